"""Whole studies on Ray: what they find and keep is what processes of this machine find, byte by byte."""

import json
import os
import re
import signal
import subprocess
import sys
import time

import psutil
import pytest

from cotune.studies import Study, run_study
from cotune.studies.engine import open_store

pytestmark = pytest.mark.demo


@pytest.fixture(scope="module")
def cluster():
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    from ray.cluster_utils import Cluster

    small = {"object_store_memory": 80 * 2**20, "include_dashboard": False}
    two = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, **small})
    two.add_node(num_cpus=1, **small)
    yield two
    two.shutdown()


def found(study):
    """Return what the store holds and the files that runs left, without what they took."""
    with open_store(study.home.store) as store:
        records = {
            r.key: (r.kind, dict(r.scores), r.losses, r.tokens, untimed(r.payload), r.error) for r in store
        }
        arrays = {r.key: {name: a.tobytes() for name, a in r.arrays.items()} for r in store}
    kept = {
        str(path.relative_to(study.folder)): path.read_bytes()
        for path in study.folder.rglob("*")
        if path.suffix == ".safetensors" or path.name in ("parts.pt", "cotune.json")
    }
    configs = {
        str(path.relative_to(study.folder)): ordered(json.loads(path.read_text()))
        for path in study.folder.rglob("adapter_config.json")
    }
    return records, arrays, kept, configs


def untimed(payload):
    """Return as text what a run found, without the seconds that it took."""
    return re.sub(r'"(\w*seconds)": [0-9.e+-]+', r'"\1": 0', json.dumps(payload))


def ordered(config):
    """Return an adapter's configuration without the order of what is a set."""
    return {key: sorted(value) if isinstance(value, list) else value for key, value in config.items()}


def executors(cluster):
    ray = {"kind": "ray", "address": cluster.address, "workers": 2, "gpus_per_run": 0}
    return {"inline": {"workers": 0}, "local": {"workers": 2}, "ray": ray}


def test_a_grouping_study_finds_the_same_wherever_it_runs(workshop, cluster):
    learner = workshop.data["learner"] | {"warm_start": {"steps": 2}}
    results = {}
    for name, executor in executors(cluster).items():
        file = workshop.file(name, learner=learner, executor=executor)
        study = Study.load(file)
        result = run_study(study)
        assert not result.incidents  # runs of a worker that died are done again without their company
        results[name] = ((study.folder / "affinity.csv").read_text(), result.groups.members, *found(study))
    assert results["inline"][-1]
    assert any("warm-" in path for path in results["inline"][-2])
    for name in ("local", "ray"):
        for one, other in zip(results[name], results["inline"], strict=True):
            assert one == other


def test_retention_and_transfer_studies_find_the_same(retention, transfer, cluster):
    for shop, changes in ((retention, {"keep": True}), (transfer, {})):
        results = {}
        for name in ("inline", "ray"):
            study = shop.study(executor=executors(cluster)[name], **changes)
            study = Study.load(study.path, study.folder.with_name(f"{study.config.kind}-{name}"))
            assert not run_study(study).incidents
            results[name] = found(study)
        assert results["inline"][0]
        for one, other in zip(results["ray"], results["inline"], strict=True):
            assert one == other


def is_worker(process):
    """Whether a process is an actor of a study's; Ray's own are named alike."""
    try:
        said = " ".join(process.cmdline())
    except psutil.NoSuchProcess:
        return False
    return "ray::Host" in said


@pytest.mark.parametrize(
    ("number", "process"),
    [(signal.SIGTERM, "gcs_server"), (signal.SIGINT, "raylet"), (signal.SIGTERM, "raylet")],
)
def test_an_interrupt_ends_the_start_of_a_cluster(planted, number, process):
    """While it is begun, and while the compiled part waits for it."""
    study = planted.study(executor={"kind": "ray", "address": "local", "workers": 1})
    command = [sys.executable, "-m", "cotune", "run", str(study.path)]
    run = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    begun = []
    while not any(child.name() == process for child in begun):
        assert run.poll() is None
        time.sleep(0.01)
        begun = psutil.Process(run.pid).children(recursive=True)
    if process == "raylet":
        time.sleep(0.5)
        begun = psutil.Process(run.pid).children(recursive=True)
    run.send_signal(number)
    said, _ = run.communicate(timeout=60)
    assert run.returncode == 128 + number, said
    assert said.count("\n") == 1
    assert "goes on" in said
    _, alive = psutil.wait_procs(begun, timeout=5)
    assert not alive
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupt_ends_the_cluster_of_the_command_and_the_command_goes_on(planted, number, tmp_path):
    study = planted.study(learner={"tasks": 40}, executor={"kind": "ray", "address": "local", "workers": 1})
    command = [sys.executable, "-m", "cotune", "run", str(study.path)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    while not (study.folder / "runs.sqlite").is_file():
        assert process.poll() is None
        time.sleep(0.05)
    deadline = time.monotonic() + 60
    children = psutil.Process(process.pid).children(recursive=True)
    while not any(is_worker(child) for child in children):
        assert time.monotonic() < deadline
        assert process.poll() is None
        time.sleep(0.05)
        children = psutil.Process(process.pid).children(recursive=True)
    process.send_signal(number)
    said, _ = process.communicate(timeout=30)
    assert process.returncode == 128 + number, said
    assert "goes on" in said
    gone, alive = psutil.wait_procs(children, timeout=20)
    assert not alive, f"{len(alive)} of {len(gone) + len(alive)} processes outlived the command"
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr
