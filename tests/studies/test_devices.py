"""Which worker has which devices: by the functions that say it, and by the environment of workers."""

import os
from dataclasses import dataclass

import pytest
import torch
from chores import Chore, ChoreWorker
from hypothesis import given
from hypothesis import strategies as st
from test_executors import do, jobs
from transformers import LlamaForCausalLM

from cotune.exceptions import InputError
from cotune.lab.toy_language import TOY_CHECKPOINT, toy_tasks
from cotune.models import precision
from cotune.models._language_model import LanguageModel
from cotune.studies.engine import EXECUTORS
from cotune.studies.engine._devices import assign, fitting, parse_listing, visible_devices
from cotune.training.encoded_tasks import EncodedTasks

LISTING = """\
GPU 0: NVIDIA H100 80GB HBM3 (UUID: GPU-5d5ba0d6-d33d-2b2c-524d-9e3d8d2b8a77)
GPU 1: NVIDIA H100 80GB HBM3 (UUID: GPU-11111111-d33d-2b2c-524d-9e3d8d2b8a77)
  MIG 3g.40gb     Device  0: (UUID: MIG-c6d4f1ef-42e4-5de3-91c7-45d71c87eb3f)
  MIG 3g.40gb     Device  1: (UUID: MIG-cba663e8-9bed-5b25-b243-5985ef7c9beb)
"""


@pytest.mark.parametrize(
    ("value", "names"),
    [
        ("0,1,3", ("0", "1", "3")),
        ("GPU-aa-1, MIG-bb", ("GPU-aa-1", "MIG-bb")),
        ("MIG-GPU-5d5b/1/0", ("MIG-GPU-5d5b/1/0",)),
        ("2,-1,3", ("2",)),  # CUDA reads up to what is no device
        ("", ()),
        ("NoDevFiles", ()),
        ("1,1,2", ("1",)),
    ],
)
def test_what_is_visible_is_taken_as_it_is_told(value, names):
    assert visible_devices({"CUDA_VISIBLE_DEVICES": value}) == names


def test_the_drivers_listing_gives_whole_gpus_and_instances_of_those_that_are_split():
    assert parse_listing(LISTING) == (
        "GPU-5d5ba0d6-d33d-2b2c-524d-9e3d8d2b8a77",
        "MIG-c6d4f1ef-42e4-5de3-91c7-45d71c87eb3f",
        "MIG-cba663e8-9bed-5b25-b243-5985ef7c9beb",
    )
    assert parse_listing("") == ()


def shared(devices, cores=16, workers="auto", threads="auto", **options):
    found = assign(devices, cores, workers=workers, threads=threads, **options)
    return [(a.devices, a.threads) for a in found]


def test_workers_are_one_a_gpu_and_share_the_cores():
    four = tuple("0123")
    assert shared(four) == [((name,), 4) for name in four]
    assert shared(four, runs_per_gpu=2) == [((name,), 2) for name in four * 2]
    assert shared(four, gpus_per_run=2) == [(("0", "1"), 8), (("2", "3"), 8)]
    assert shared(tuple("012"), gpus_per_run=2) == [(("0", "1"), 16)]
    assert shared(four, workers=2, threads=3) == [(("0",), 3), (("1",), 3)]
    assert shared(("0",), workers=3) == [(("0",), 5)] * 3
    assert shared(four, cores=2) == [((name,), 1) for name in four]
    assert shared(four, workers=0) == []
    assert shared((), cores=3) == [((), 1)] * 3
    assert shared((), cores=3, workers=2, threads=4) == [((), 4)] * 2
    assert len(shared(("0",), cores=6, runs_per_gpu="auto")) == 6
    assert shared(("mps",), cores=8) == [(("mps",), 8)]
    assert assign(("mps",), 8, workers="auto", threads="auto")[0].environment == {}
    for devices, sentence in (
        (("0",), "2 GPUs were"),
        ((), "none is visible"),
    ):
        with pytest.raises(InputError, match=sentence):
            shared(devices, gpus_per_run=2)


@given(st.integers(1, 9), st.integers(1, 64), st.integers(1, 3), st.sampled_from([1, 2, 3, "auto"]))
def test_no_device_has_more_workers_than_another_by_two_and_no_core_is_promised_twice(n, cores, each, runs):
    devices = tuple(map(str, range(n)))
    if each > n:
        return
    found = shared(devices, cores, gpus_per_run=each, runs_per_gpu=1 if each > 1 else runs)
    groups = [devices for devices, _ in found]
    assert {len(group) for group in groups} == {each}
    counts = [groups.count(group) for group in set(groups)]
    assert max(counts) == min(counts)
    assert sum(threads for _, threads in found) <= max(cores, len(found))
    flat = [name for group in set(groups) for name in group]
    assert len(flat) == len(set(flat))


def test_as_many_runs_share_a_gpu_as_fit_its_memory():
    gib = 2**30
    assert [fitting(peak * gib, 80 * gib) for peak in (100, 70, 30, 20, 1)] == [1, 1, 2, 3, 8]
    assert fitting(0, 80 * gib) == fitting(gib, 0) == 1


def local(tmp_path, worker=ChoreWorker, **options):
    study = tmp_path / "study"
    return EXECUTORS.choose(options), worker(shared=study / "s", states=study / "t", base=tmp_path)


def at_work(executor, workers):
    found = {}
    for _ in range(60):
        found |= {of["pid"]: of for of in do(executor, jobs(*[Chore("where", "0.1")] * workers)).values()}
        if len(found) >= workers:
            break
    return [(of["visible"], of["threads"]) for of in found.values()]


def test_each_worker_sees_its_own_devices_before_it_loads_anything(tmp_path, monkeypatch):
    monkeypatch.setattr("cotune.studies.engine._executors.available_cores", lambda: 6)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "GPU-aa,MIG-bb,5")
    config, worker = local(tmp_path)
    assert config.count() == 3
    with config.open(worker) as executor:
        assert sorted(at_work(executor, 3)) == [("5", "2"), ("GPU-aa", "2"), ("MIG-bb", "2")]
    config, worker = local(tmp_path, gpus_per_run=2)
    with config.open(worker) as executor:
        assert at_work(executor, 1) == [("GPU-aa,MIG-bb", "6")]
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    config, worker = local(tmp_path, workers=1, threads=2)
    with config.open(worker) as executor:
        assert at_work(executor, 1) == [("", "2")]


@dataclass(kw_only=True)
class Measured(ChoreWorker):
    """A worker whose runs take a third of a GPU."""

    def device_memory(self):
        return (30 * 2**30, 100 * 2**30)


def test_workers_join_on_a_gpu_when_it_is_known_what_a_run_takes(tmp_path, monkeypatch):
    monkeypatch.setattr("cotune.studies.engine._executors.available_cores", lambda: 5)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "7")
    config, worker = local(tmp_path, Measured, runs_per_gpu="auto")
    assert config.count() == 1
    with config.open(worker) as executor:
        assert len(do(executor, jobs(Chore("where")))) == 1
        assert [visible for visible, _ in at_work(executor, 3)] == ["7"] * 3
        assert executor._pool.places == 3


def test_several_gpus_and_several_runs_on_one_exclude_each_other(tmp_path):
    with pytest.raises(ValueError, match="runs_per_gpu must be 1"):
        EXECUTORS.choose({"gpus_per_run": 2, "runs_per_gpu": 2})


def test_a_model_that_is_spread_says_what_it_says_on_one_device(monkeypatch):
    plain = LanguageModel.load(TOY_CHECKPOINT, precision="fp32")
    given, real = [], LlamaForCausalLM.from_pretrained.__func__

    def spy(cls, *args, **options):
        given.append(options.get("device_map"))
        return real(cls, *args, **options)

    monkeypatch.setattr(LlamaForCausalLM, "from_pretrained", classmethod(spy))
    monkeypatch.setattr("cotune.models._language_model.spreads", lambda: True)
    spread = LanguageModel.load(TOY_CHECKPOINT, precision="fp32")
    assert given == ["auto"]
    tasks = toy_tasks(["copy"], train=4, validation=1, test=1)
    examples = list(EncodedTasks(tasks, lambda: plain.encoder).encoded("copy", "train"))
    assert spread.nll(spread.base, examples) == pytest.approx(plain.nll(plain.base, examples))
    assert not precision.spreads()


def test_a_plan_says_what_a_run_takes_of_a_gpu_where_there_is_one(workshop, monkeypatch):
    def said(study):
        return [note for note in study.plan(measure=False).notes if "device's memory" in note]

    assert said(workshop.study()) == []
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0")
    (line,) = said(workshop.study())
    assert "of weights" in line
    assert "at most" in line


@dataclass(kw_only=True)
class Seeing(ChoreWorker):
    """A worker that computes on the GPU that it sees."""

    def start(self):
        torch.ones(1000, device="cuda").sum().item()

    def outcomes(self, job):
        seen = [str(torch.cuda.get_device_properties(at).uuid) for at in range(torch.cuda.device_count())]
        return [{"payload": {"answer": (os.getpid(), seen)}} for _ in job.runs]


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="torch sees no GPU")
def test_two_workers_compute_each_on_a_gpu_of_its_own(tmp_path):
    n = torch.cuda.device_count()
    config, worker = local(tmp_path, Seeing, **({"workers": 2} if n > 1 else {"runs_per_gpu": 2}))
    found = {}
    with config.open(worker) as executor:
        for _ in range(60):
            found |= dict(map(tuple, do(executor, jobs(*[Chore("where")] * 4)).values()))
            if len(found) == 2:
                break
    assert [len(seen) for seen in found.values()] == [1, 1]
    assert len({seen[0] for seen in found.values()}) == min(n, 2)
