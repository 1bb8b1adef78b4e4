"""Whether runs fit the memory there is: said in plans, refused before anything is loaded."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

import cotune
from cotune.exceptions import InputError
from cotune.lab.toy_language import TOY_CHECKPOINT, toy_tasks
from cotune.models import LanguageModel
from cotune.studies.engine import EXECUTORS, _devices
from cotune.studies.engine._devices import free_bytes, parse_memory
from cotune.studies.engine._memory import Room, check_memory, machine_bytes, said_of_memory, shortage
from cotune.training.memory_plan import MemoryPlan

GB = 10**9
PLAN = MemoryPlan(8 * GB, GB, GB, 6 * GB, 16_384)
LISTED = "0, GPU-aa, 40000\n1, GPU-bb, 80000\n2, GPU-cc, [N/A]\n"


def gpu(free, runs=1):
    return Room(True, int(free * GB), runs)


def machine(held, runs=1):
    return Room(False, int(held * GB), runs)


def test_what_a_run_takes_is_said():
    told = said_of_memory(PLAN, None)
    assert "8.0 GB of weights, 1.0 GB trained with their gradients, 1.0 GB of the optimiser" in told
    assert "at most 6.0 GB of passes of 16,384 tokens; 16 GB in all." in told
    assert said_of_memory(PLAN, gpu(80)) == told
    assert "which this architecture's shapes do not tell" in said_of_memory(MemoryPlan(8, 1, 1), None)


def test_where_passes_alone_do_not_fit_they_are_halved():
    assert shortage(PLAN, gpu(12)) == [
        "A GPU has 12 GB free: passes will be taken in halves, unless training.pass_tokens is smaller."
    ]
    assert "which 2 runs share" in shortage(PLAN, gpu(31, 2))[0]
    assert shortage(PLAN, gpu(33, 2)) == shortage(PLAN, None) == []
    check_memory(PLAN, gpu(12))


@pytest.mark.parametrize(
    ("room", "sentence"),
    [
        (gpu(9), r"takes 10 GB of memory before .* and a GPU has 9.0 GB free; take a smaller precision"),
        (gpu(9), r"or more executor\.gpus_per_run\.$"),
        (gpu(15, 2), r", 20 GB for the 2 that share it, and a GPU has 15 GB free; .*runs_per_gpu: 1\.$"),
        (machine(9, 4), r"and this machine has 9.0 GB; take .* or a method that trains less \(lora\)\.$"),
    ],
)
def test_what_no_size_of_a_pass_makes_fit_is_refused(room, sentence):
    with pytest.raises(InputError, match=sentence):
        check_memory(PLAN, room)


def test_workers_of_a_machine_share_what_they_map():
    mapped = MemoryPlan(8 * GB, GB, GB, 2 * GB, 384, mapped=8 * GB)
    (told,) = shortage(mapped, machine(24, 4))
    assert told == "4 workers, their weights once: 24 GB beside what libraries take, of 24 GB here."
    assert shortage(mapped, machine(23, 4))[0].endswith("is not enough: executor.workers: 3 fits.")
    assert "lower training.pass_tokens" in shortage(mapped, machine(11, 1))[0]
    assert shortage(MemoryPlan(GB, GB, GB), machine(100)) == [], "of passes nothing was counted"


@given(st.integers(1, 50), st.integers(1, 50), st.integers(1, 8))
def test_a_refusal_and_a_shortage_follow_the_numbers(free, fixed, runs):
    plan, room = MemoryPlan(fixed * GB, 0, 0, GB, 384), gpu(free, runs)
    if runs * fixed > free:
        with pytest.raises(InputError):
            check_memory(plan, room)
    else:
        check_memory(plan, room)
        assert bool(shortage(plan, room)) == (runs * (fixed + 1) > free)


def test_what_is_free_is_that_of_the_gpus_that_are_visible(monkeypatch):
    assert parse_memory(LISTED) == dict.fromkeys(("0", "GPU-aa"), 40000 << 20) | dict.fromkeys(
        ("1", "GPU-bb"), 80000 << 20
    )
    monkeypatch.setattr(_devices.shutil, "which", lambda name: name)
    monkeypatch.setattr(_devices, "_ask", lambda *command: LISTED)
    assert free_bytes(("GPU-aa", "1")) == 120000 << 20
    assert free_bytes(("2",)) is free_bytes(("MIG-x",)) is free_bytes(()) is None
    monkeypatch.setattr("cotune.studies.engine._executors.available_cores", lambda: 8)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "1,0")
    rooms = {
        (): Room(True, 40000 << 20, 1),
        (("runs_per_gpu", 2),): Room(True, 40000 << 20, 2),
        (("runs_per_gpu", "auto"),): Room(True, 40000 << 20, 1),
        (("gpus_per_run", 2),): Room(True, 120000 << 20, 1),
        (("workers", 0),): Room(True, 80000 << 20, 1),
    }
    for options, room in rooms.items():
        assert EXECUTORS.choose(dict(options)).room() == room
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "MIG-x")
    assert EXECUTORS.choose({}).room() is None
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    assert EXECUTORS.choose({"workers": 3}).room() == Room(False, machine_bytes(), 3)


@pytest.fixture
def small(monkeypatch):
    """Let the machine have so little memory that nothing fits; return what sets how much."""

    def have(held):
        monkeypatch.setattr("cotune.studies.engine._executors.machine_bytes", lambda: held)

    have(10_000)
    monkeypatch.setattr(LanguageModel, "load", None)  # nothing is loaded
    return have


@pytest.mark.parametrize("kind", ["workshop", "retention", "transfer"])
def test_studies_of_all_kinds_are_refused_before_anything_is_loaded(kind, request, small):
    study = request.getfixturevalue(kind).study()
    for step in (lambda: study.plan(measure=False), study.run):
        with pytest.raises(
            InputError, match=r"A run takes .* before its first pass .* this machine has 10 kB;"
        ):
            step()
    assert not study.home.store.exists()


@pytest.mark.parametrize("kind", ["workshop", "retention", "transfer"])
def test_plans_say_what_workers_take_where_that_is_not_little(kind, request, small):
    study = request.getfixturevalue(kind).study(executor={"workers": 3})
    small(10**12)
    assert not [note for note in study.plan(measure=False).notes if "as counted from shapes" in note]
    counted = study.memory()
    assert counted.activations > 0
    small(counted.of(2))
    (told,) = (note for note in study.plan(measure=False).notes if "as counted from shapes" in note)
    assert told.endswith("which is not enough: executor.workers: 2 fits.")


def test_tuning_is_refused_before_anything_is_loaded(small, tmp_path):
    (copy,) = toy_tasks(["copy"], train=8, validation=2, test=2)
    with pytest.raises(InputError, match=r"A run takes .* this machine has 10 kB;"):
        cotune.tune(copy, TOY_CHECKPOINT, tmp_path / "out", "lora", steps=1)
    assert not (tmp_path / "out").exists()
