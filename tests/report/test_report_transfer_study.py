"""The page of a transfer study."""

import re
from itertools import pairwise

from samples.transfer import ARMS, HARDNESS, transfer_report

from cotune.findings.transfer import transfer_findings
from cotune.report import render_report, write_report


def test_the_page_shows_all_of_it(tmp_path):
    findings = transfer_findings(transfer_report())
    page = render_report(findings)
    assert page == render_report(findings)
    assert "5 of 5 findings of the paper came out here too." in page
    for text in (*ARMS, *HARDNESS, "The loss exploded.", "made up", "0.936", "test capped at 8"):
        assert text in page
    places = [page.index(f'id="{name}"') for name in ("arms", "curves", "along", "relation", "replay")]
    assert all(one < other for one, other in pairwise(places))
    # Curves of two measures and of each task, four along training, two clouds, losses with and without text.
    assert page.count('role="img"') == 2 + len(HARDNESS) + 4 + 2 + 2
    assert "<script" not in page
    assert not re.search(r"\bnan\b", page)
    assert "128" in page
    path = write_report(findings, tmp_path / "deep" / "report.html")
    assert path.read_text() == page


def test_a_study_under_way_has_a_page(tmp_path):
    page = render_report(transfer_findings(transfer_report(runs=(), failures=())))
    assert "No arm was trained both with and without replay." in page
    assert "not measured" in page
    one = transfer_report(labels=("uniform",), seeds=(0,))
    assert "0 of 2" not in render_report(transfer_findings(one))
