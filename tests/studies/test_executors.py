"""What every executor promises, whether workers are processes here or actors on a cluster of two nodes."""

import os
import sys
from unittest import mock

import pytest
from chores import Chore, ChoreWorker

from cotune.exceptions import InputError
from cotune.studies.engine import EXECUTORS, Deaths, Job, artefact_record

KINDS = ("inline", "local", "ray")
DYING = ("local", "ray")


class TwoNodes:
    """A Ray cluster on this machine: a head that does no work, and nodes that come and go."""

    def __init__(self):
        os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
        # What the actors import; on real nodes it is installed.
        before = os.environ.get("PYTHONPATH", "").split(os.pathsep)
        os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, dict.fromkeys([*before, *sys.path])))
        from ray.cluster_utils import Cluster

        small = {"object_store_memory": 80 * 2**20, "include_dashboard": False}
        self.cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 0, **small})
        self._small = small
        self.nodes = [self.join(num_gpus=4)]

    def join(self, **resources):
        return self.cluster.add_node(num_cpus=2, **resources, **self._small)


@pytest.fixture(scope="module")
def cluster():
    with mock.patch.dict(os.environ):
        two = TwoNodes()
        yield two
        two.cluster.shutdown()


@pytest.fixture
def make(request, tmp_path):
    """Return what opens an executor of a kind over one study's folder."""
    study = tmp_path / "study"
    worker = ChoreWorker(shared=study / "shared", states=study / "states", base=tmp_path)

    def make(kind, deaths=None, **options):
        if kind == "ray":
            address = request.getfixturevalue("cluster").cluster.address
            data = {"kind": "ray", "address": address, "workers": 2, "gpus_per_run": 0, **options}
        else:
            data = {"workers": 0 if kind == "inline" else 2, **options}
        return EXECUTORS.choose(data).open(worker, deaths)

    make.study = study
    return make


def jobs(*chores, save_to=None):
    return [Job((chore,), (f"{at} {chore.what} {chore.value}",), save_to) for at, chore in enumerate(chores)]


def do(executor, wanted, told=lambda steps: None):
    """Return by key what came out of every job."""
    found = {}
    for records in executor.run(wanted, told):
        for record in records:
            assert record.key not in found
            found[record.key] = record.error or record.payload["answer"]
    assert set(found) == {key for job in wanted for key in job.keys}
    return found


def all_at_work(executor, workers):
    """Return where so many workers are, once each has done something."""
    found = {}
    for _ in range(60):
        found |= {of["pid"]: of for of in do(executor, jobs(*[Chore("where", "0.2")] * workers)).values()}
        if len(found) >= workers:
            break
    assert len(found) == workers
    return list(found.values())


@pytest.mark.parametrize("kind", KINDS)
def test_jobs_come_back_whole_and_once(kind, make):
    squares = jobs(*(Chore("square", str(n)) for n in range(5)))
    together = Job((Chore("square", "7"), Chore("fail"), Chore("square", "8")), ("a", "b", "c"))
    with make(kind) as executor:
        found = do(executor, [*squares, together])
        assert [found[job.keys[0]] for job in squares] == [0, 1, 4, 9, 16]
        assert (found["a"], found["b"], found["c"]) == (49, "It diverged.", 64)
        assert do(executor, []) == {}
        # Workers outlive what they are asked for.
        pids = {of["pid"] for of in all_at_work(executor, 1 if kind == "inline" else 2)}
        again = do(executor, jobs(*[Chore("where", "0.1")] * 4)).values()
        assert {of["pid"] for of in again} <= pids
        assert {of["starts"] for of in again} == {1}
        assert (os.getpid() in pids) == (kind == "inline")


@pytest.mark.parametrize("kind", KINDS)
def test_files_go_to_workers_and_come_back(kind, make):
    study = make.study
    with make(kind) as executor:
        leaving = jobs(*(Chore("leave", name) for name in ("one", "two", "three")))
        do(executor, leaving)
        for name in ("one", "two", "three"):
            assert (study / "shared" / name / "part.bin").read_bytes() == name.encode() * 3
            assert (study / "shared" / name / "empty.bin").read_bytes() == b""
        assert "by " in (study / "shared" / "begun.txt").read_text()
        # What others left is there for all, what the command took away is not.
        (study / "shared" / "two" / "part.bin").write_text("changed")
        (study / "shared" / "three" / "part.bin").unlink()
        read = do(executor, jobs(*[Chore("read", "one/part.bin")] * 3, Chore("read", "two/part.bin")))
        assert list(read.values()).count("oneoneone") == 3
        assert "changed" in read.values()
        (seen,) = do(executor, jobs(Chore("leave", "four"))).values()
        assert "three/part.bin" not in seen
        assert {"four/part.bin", "two/part.bin", "begun.txt"} <= set(seen)
        keep = study / "models" / "a"
        (job,) = jobs(Chore("keep"), save_to=keep)
        do(executor, [job])
        assert (keep / "adapter.bin").read_bytes() == b"weights"
        assert (keep / "deep" / "config.json").read_text() == "{}"
        assert artefact_record(keep)["run"] == job.keys[0]
    assert not [path for path in study.rglob("*") if path.name.startswith(".")]


@pytest.mark.parametrize("kind", KINDS)
def test_an_error_of_the_users_is_told_in_its_own_words(kind, make):
    for what, sentence in (("break", "The file x is broken."), ("refuse", "The file x holds nothing.")):
        with pytest.raises(InputError) as told, make(kind) as executor:
            do(executor, jobs(Chore(what, "x")))
        assert str(told.value) == sentence


@pytest.mark.parametrize("kind", KINDS)
def test_how_far_jobs_are_is_told(kind, make, monkeypatch):
    monkeypatch.setattr("cotune.studies.engine._executor._LOOK_SECONDS", 0.02)
    monkeypatch.setattr("cotune.studies.engine._ray._LOOK_SECONDS", 0.02)
    told = set()
    with make(kind) as executor:
        do(executor, jobs(Chore("square", "1"), Chore("step", "0.3")), told.update)
    assert told <= {(1, step, 3) for step in (1, 2, 3)}
    assert told


@pytest.mark.parametrize("kind", DYING)
def test_a_worker_that_dies_is_replaced_and_its_run_done_again(kind, make, tmp_path):
    once, ever = tmp_path / "once", tmp_path / "ever"
    once.write_text("x")
    ever.write_text("x" * 9)
    notes = []
    deaths = Deaths(notes.append)
    with make(kind, deaths) as executor:
        wanted = jobs(
            Chore("die", str(ever)), *(Chore("square", str(n)) for n in range(6)), Chore("die", str(once))
        )
        found = do(executor, wanted)
    died, *squares, lived = (found[job.keys[0]] for job in wanted)
    assert squares == [0, 1, 4, 9, 16, 25]
    assert isinstance(lived, int)
    assert "The worker that did the run died" in died
    # A local run is done again once, one on a cluster as often as max_failures says, 2 by default.
    assert len(ever.read_text()) == 9 - {"local": 2, "ray": 3}[kind]
    assert once.read_text() == ""
    assert len(notes) == {"local": 2, "ray": 3}[kind]


def test_runs_of_a_node_that_is_lost_are_done_elsewhere_and_nodes_that_join_take_work(make, cluster):
    lost = cluster.join()
    notes, pids = [], set()

    def wanted(n):
        return jobs(*[Chore("where", "0.4")] * n)

    with make("ray", Deaths(notes.append), workers="auto") as executor:
        all_at_work(executor, 4)  # two cores on each of two nodes
        killed = False
        for records in executor.run(wanted(12), lambda steps: None):
            pids |= {record.payload["answer"]["pid"] for record in records}
            if not killed:
                cluster.cluster.remove_node(lost, allow_graceful=False)
                killed = True
        assert len(notes) >= 1
        assert all("lost" in note or "died" in note for note in notes)
        cluster.join()
        all_at_work(executor, 2 + 2)  # a node that joined has work


@pytest.mark.parametrize(("gpus", "workers"), [(0.5, 4), (1, 4), (2, 2)])
def test_each_actor_sees_its_own_devices(gpus, workers, make, cluster):
    with make("ray", workers=workers, gpus_per_run=gpus, cpus_per_run=0.5) as executor:
        seen = [of["visible"] for of in all_at_work(executor, workers)]
    if gpus == 1:
        assert sorted(seen) == ["0", "1", "2", "3"]
    elif gpus == 2:
        assert sorted(",".join(seen).split(",")) == ["0", "1", "2", "3"]
        assert [len(visible.split(",")) for visible in seen] == [2, 2]
    else:
        assert all(len(visible.split(",")) == 1 for visible in seen)
        assert max(map(seen.count, seen)) <= 2
