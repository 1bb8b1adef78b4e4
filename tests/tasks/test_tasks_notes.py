import pytest
from hypothesis import given
from hypothesis import strategies as st

from cotune.tasks import note_lines

TASKS = [f"task{number:03}" for number in range(19)]


def test_one_line_for_all_tasks_alike():
    notes = {
        name: (f"capped at 120 / 16 / 24 examples (of {300 + at} / 40 / 60)",)
        for at, name in enumerate(TASKS)
    }
    assert note_lines(notes) == ["all 19 tasks: capped at 120 / 16 / 24 examples"]
    assert note_lines(notes, each=True) == [f"{name}: {note}" for name, (note,) in notes.items()]


def test_up_to_three_tasks_are_named():
    notes = {name: ("validation was split in half",) if at < 2 else () for at, name in enumerate(TASKS)}
    assert note_lines(notes) == ["task000 and task001: validation was split in half"]
    notes[TASKS[2]] = notes[TASKS[0]]
    assert note_lines(notes) == ["task000, task001 and task002: validation was split in half"]
    notes[TASKS[3]] = notes[TASKS[0]]
    assert note_lines(notes) == [
        "4 of 19 tasks (task000, task001, task002, ...): validation was split in half"
    ]


def test_numbers_that_differ_become_ranges():
    notes = {
        "a": ["3 of 1,200 examples dropped as repetitions"],
        "b": ["12 of 90 examples dropped as repetitions."],
        "c": ["3 of 200 examples dropped as repetitions", "something else"],
    }
    assert note_lines(notes) == [
        "a, b and c: 3 to 12 of 90 to 1,200 examples dropped as repetitions",
        "c: something else",
    ]


def test_a_note_of_one_task_keeps_its_details():
    notes = {"a": ["1 of 9 examples dropped as unusable (the first: a.jsonl, line 3 is not JSON (at all))"]}
    assert note_lines(notes) == [f"a: {notes['a'][0]}"]
    notes["b"] = ["2 of 9 examples dropped as unusable (the first: b.jsonl, line 8 has an empty target)"]
    assert note_lines(notes) == ["a and b: 1 to 2 of 9 examples dropped as unusable"]


@pytest.mark.parametrize("note", ["(all of it)", "odd )", "a (b) c", "", ".", "b (such as 'x)')"])
def test_whatever_stands_in_a_note_it_is_told(note):
    assert note_lines({"a": [note], "b": [note]}) == [f"a and b: {note.rstrip('.').partition(' (such')[0]}"]


@given(
    st.dictionaries(
        st.text("abc", min_size=1), st.lists(st.sampled_from(["x 1 (y 2)", "x 22", "z", "1 (3)", "1.5 of 7"]))
    )
)
def test_every_task_with_a_note_is_counted_once(notes):
    lines = note_lines(notes)
    assert bool(lines) == any(notes.values())
    assert len(set(lines)) == len(lines) <= len({(task, note) for task in notes for note in notes[task]})
    if all(set(of_task) == {"x 1 (y 2)", "z"} for of_task in notes.values()):
        assert len(lines) <= 2
    assert len(note_lines(notes, each=True)) == sum(map(len, notes.values()))
