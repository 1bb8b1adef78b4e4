"""What notebooks show: whole HTML, nothing of a user's names taken for markup, not too much of it."""

from html.parser import HTMLParser

import numpy as np
import pytest

import cotune
from cotune._html import MOST, heat_map, table
from cotune.affinity import table_of


class Whole(HTMLParser):
    """Sees that every element is closed, in order; keeps texts and the titles of cells."""

    def __init__(self, html):
        super().__init__()
        self.open, self.texts, self.titles, self.styles = [], [], [], []
        self.feed(html)
        self.close()
        assert not self.open

    def handle_starttag(self, tag, attributes):
        self.open.append(tag)
        self.titles += [value for name, value in attributes if name == "title"]
        self.styles += [value for name, value in attributes if name == "style"]

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.texts.append(data)


NAMES = ["<script>x</script>", 'a"b', "c&d", "plain"]
BLOCKS = np.kron(np.eye(2), np.ones((2, 2)))


@pytest.fixture
def groups():
    return cotune.group(BLOCKS, tasks=NAMES, n_clusters=2)


def test_groups_show_their_heat_map_in_their_order(groups):
    seen = Whole(groups._repr_html_())
    assert set(NAMES) <= set(seen.texts)
    assert len([title for title in seen.titles if " to " in title]) == 16
    assert "script" not in seen.open
    assert any("certified optimal" in text for text in seen.texts)


def test_a_table_shows_what_is_known_and_how_it_was_read():
    matrix = BLOCKS.copy()
    matrix[0, 3] = np.nan
    seen = Whole(table_of(matrix, tasks=NAMES)._repr_html_())
    assert f"{NAMES[3]} to {NAMES[0]}: unknown" in seen.titles
    assert seen.texts[0] == "affinity matrix of 4 tasks"
    scores = table_of([[1, np.nan], [2, 3], [np.nan, 1]], tasks="ab")
    assert Whole(scores._repr_html_()).texts[0] == "score table of 2 tasks, 3 runs"


def test_colours_tell_above_from_below_and_strong_from_weak():
    values = np.array([[9.0, 2.0, -1.0], [0.5, 9.0, 0.0], [-2.0, 0.5, 9.0]])
    seen = Whole(heat_map(["a", "b", "c"], values))
    style = {
        title.partition(":")[0]: style
        for title, style in zip(seen.titles, (s for s in seen.styles if "1.1em" in s), strict=True)
    }
    assert "rgba(33,102,172,0.82)" in style["b to a"]
    assert "rgba(178,24,43,1.00)" in style["a to c"]
    assert "rgba(33,102,172,0.12)" in style["a to b"]
    assert Whole(heat_map(["a"], np.array([[1.0]]))).titles == ["a to a: 1"]
    assert Whole(heat_map(["a", "b"], np.full((2, 2), np.nan))).titles[0] == "a to a: unknown"


def test_much_is_cut_and_said():
    many = [str(i) for i in range(500)]
    html = heat_map(many, np.zeros((500, 500)))
    assert f"the first {MOST} of 500 tasks" in Whole(html).texts
    assert len(html) < 400_000
    assert f"{MOST} of 500 rows" in Whole(table(["x"], [[name] for name in many])).texts


def test_a_study_and_its_result_show_what_they_are(tmp_path):
    (tmp_path / "study.yaml").write_text(
        "name: <b>\nlearner: {kind: planted, tasks: 6, groups: 2}\ncomparison: null\n"
        "affinity: {estimator: higher_order}\nexecutor: {workers: 0}\n"
    )
    study = cotune.Study.load(tmp_path / "study.yaml")
    assert "study <b>" in Whole(study._repr_html_()).texts
    assert any("not run yet" in text for text in Whole(study._repr_html_()).texts)
    result = study.run()
    seen = Whole(result._repr_html_())
    assert any(text.startswith("group-0: ") for text in seen.texts)
    assert f"report: {result.report}" in seen.texts
