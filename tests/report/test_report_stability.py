"""How sure tasks are of their groups, in the report."""

from __future__ import annotations

import dataclasses
import re

import pytest
from samples import grouping as samples

from cotune.exceptions import InputError
from cotune.report import write_report


def report_with(confidence):
    data = samples.language_report()
    grouping = dataclasses.replace(data.grouping, confidence=confidence, resamples=40)
    return dataclasses.replace(data, grouping=grouping)


def test_tasks_are_listed_from_the_least_sure_with_their_group(tmp_path):
    data = report_with(tuple(1.0 - 0.05 * i for i in range(16)))
    page = write_report(data, tmp_path / "report.html").read_text()
    section = page[page.index("How sure each task is of its group") :]
    rows = re.findall(r'<th scope="row">([^<]+)</th><td>([^<]+)</td><td class="n">([^<]+)</td>', section)[:16]
    assert "Share of the 40 resamples" in section
    assert [name for name, _, _ in rows] == [task.name for task in reversed(data.tasks)]
    assert rows[0][2] == "25 %"
    assert rows[-1][2] == "100 %"
    members = {task: group.name for group in data.grouping.groups for task in group.tasks}
    assert {name: group for name, group, _ in rows} == members


def test_without_resampling_nothing_is_claimed(tmp_path):
    page = write_report(samples.language_report(), tmp_path / "report.html").read_text()
    assert "How sure each task is" not in page


def test_one_confidence_for_every_task_is_required(tmp_path):
    with pytest.raises(InputError, match="one number for each of its 16 tasks, got 3"):
        write_report(report_with((1.0, 0.5, 0.2)), tmp_path / "report.html")
