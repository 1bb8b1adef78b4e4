"""Every block of code of the documentation is run, or says in a comment above it why it cannot be."""

import re

import pytest
from blocks import PAGES, ROOT, all_blocks, read_page
from markdown_it import MarkdownIt
from rewrite import rewritten
from running import Reading, alike

import cotune
from cotune.exceptions import InputError

RUN_BY_DEMO = [page for page in PAGES if any(block.comments.way == "demo" for block in read_page(page))]


@pytest.fixture
def folder(tmp_path, monkeypatch):
    import torch

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    monkeypatch.chdir(tmp_path)
    yield tmp_path
    torch.set_num_threads(threads)


@pytest.mark.filterwarnings("ignore:.*is_gradient_checkpointing")
@pytest.mark.parametrize("page", [page for page in PAGES if read_page(page)])
def test_the_page_does_what_it_says(page, folder):
    Reading(page).read()


@pytest.mark.demo
@pytest.mark.parametrize("page", RUN_BY_DEMO)
def test_the_page_does_what_it_says_where_that_takes_minutes(page, folder):
    Reading(page, demo=True).read()


@pytest.mark.parametrize("page", PAGES)
def test_no_block_is_overlooked(page):
    tokens = MarkdownIt("commonmark").parse((ROOT / page).read_text(encoding="utf-8"))
    assert not [token.content for token in tokens if token.type == "code_block"], (
        "indented code: put it in a fence"
    )
    fenced = [token.content for token in tokens if token.type == "fence"]
    assert fenced == [block.text for block in read_page(page) if not block.hidden]


def test_most_blocks_are_run():
    ways = [block.comments.way for block in all_blocks()]
    assert ways.count("run") + ways.count("demo") >= 3 * ways.count("checked")


def test_no_start_of_the_first_hour_takes_more_than_four_commands():
    text = (ROOT / "docs" / "first-hour.md").read_text(encoding="utf-8")
    starts = text.split("\n## ")[1:]
    assert len(starts) == 5
    for start in starts:
        assert 1 <= len(re.findall(r"(?m)^\$ ", start)) <= 4


def page(folder, text):
    """Write a page whose fences are of quotes."""
    (folder / "page.md").write_text(text.replace("'''", "```"), encoding="utf-8")
    return "page.md"


def do(folder, text):
    reading = Reading(page(folder, text), root=folder)
    reading.read()
    return reading


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("'''rust\nfn main() {}\n'''\n", "knows no blocks of 'rust'"),
        ("'''python\nx = 1\n", "has no end"),
        ("<!-- test: skip -->\n'''python\nx = 1\n'''\n", "no comment of the test is called 'skip'"),
        ("<!-- test: checked -->\n'''python\nx = 1\n'''\n", "say why the block is checked"),
        ("<!-- test: demo -->\n\nText between.\n\n'''python\nx = 1\n'''\n", "stands above no block"),
        ("<!-- test: demo -->\n", "stands above no block"),
        ("'''python\nx = 1 / 0\n'''\n", "page.md:1: ZeroDivisionError"),
        ("<!-- test: hidden\nassert False\n-->\n", "page.md:1: AssertionError"),
        (
            "<!-- test: checked: it is long -->\n'''python\nfrom cotune import tuna\n'''\n",
            "cotune has no tuna",
        ),
        ("'''\nwhat is this?\n'''\n", "say by a comment what the block is"),
        ("'''toml\n[a]\n'''\n", "say by a comment what the block is"),
        ("'''bash\nrm -r /\n'''\n", "rm is not run by the test"),
        ("'''bash\ncotune group nowhere.csv\n'''\n", "nowhere.csv"),
        ("'''bash\ncotune gruop scores.csv\n'''\n", "no command"),
        ("<!-- test: checked: it is long -->\n'''bash\ncotune run s.yaml --wrkers 3\n'''\n", "--wrkers"),
        ("<!-- test: checked: it is long -->\n'''bash\nmake it-so\n'''\n", "it-so"),
        ("<!-- test: checked: installs -->\n'''bash\npip install 'cotune[modles]'\n'''\n", "modles"),
        ("'''yaml\nlearner: {kind: language_model, model: m, formt: chat}\n'''\n", "formt"),
        ("'''yaml\nmixture: {a: 1}\n'''\n", "neither"),
        ("'''console\n$ cotune --version\ncotune of old\n'''\n", "cotune of old"),
        ("'''python\nprint('a')\n'''\n<!-- test: output -->\n'''\nb\n'''\n", "printed:\na"),
        ("<!-- test: file a.csv -->\n'''csv\na,b\n1,2\n'''\n", "nothing on the page reads a.csv"),
        ("'''jsonl\n{\"input\": \"a\"\n'''\n", "Expecting"),
        ("<!-- test: shown: a table -->\n'''csv\na,b\n1\n'''\n", "ragged rows"),
    ],
)
def test_what_is_wrong_with_a_page_is_told(folder, text, expected):
    with pytest.raises((AssertionError, ValueError, InputError), match=expected):
        do(folder, text)


def test_a_page_goes_on_where_it_was(folder):
    text = """
<!-- test: hidden
plant_scores("scores.csv")
-->
'''console
$ cotune group scores.csv --lower-is-better \\
>   --n-clusters 2
6 tasks, score table of 99 runs
...
group-0: a, c, e
...
'''

<!-- test: file more/study.yaml -->
'''yaml
name: planted
learner: {kind: planted, tasks: 6, groups: 2}
'''

- in a list:

  '''python
  kept = open("more/study.yaml").read()
  print("as it is:", len(kept))
  '''

  <!-- test: output -->
  '''
  as it is: 7
  '''

<!-- test: adding group: --n-clusters 3 -->
'''bash
cat more/study.yaml > copied.txt
cotune group scores.csv --lower-is-better > found.txt  # a comment
'''

<!-- test: hidden
from pathlib import Path

assert Path("copied.txt").read_text() == kept
assert "group-2: " in Path("found.txt").read_text()
-->
"""
    do(folder, text)


def test_outputs_are_written_anew(folder):
    text = "# Title\n\n'''console\n$ cotune --version\n{}\n$ echo one 2\n{}\n'''\n\nText.\n"
    name = page(folder, text.format("cotune of old", "one 3"))
    assert rewritten(name, folder) == text.format(f"cotune {cotune.__version__}", "one 3").replace(
        "'''", "```"
    )


def test_likeness_leaves_numbers_times_and_dots_aside():
    assert alike("loss 0.52\n", "loss 0.48 \n\n")
    assert alike("loss +0.52", "loss \N{MINUS SIGN}1,234.5")
    assert alike("a\naffinity: 3 of 3 runs in 17 s\nb", "a\nb")
    assert alike("a\nb", "a\naffinity: 2 of 3 runs, steps 31 of 32 and 28 of 96 in 10 s, about 19 s left\nb")
    assert alike("a ... d", "a b\nc d")
    assert alike("a\n...\nd", "a\nb\nc\nd")
    assert alike("a\n...\nd", "a\nd")
    assert not alike("a\n...\nd", "a\nb\nc")
    assert not alike("a b", "a c")
    assert not alike("a", "a\nb")
