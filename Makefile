# Everything a fresh machine needs: `make demo` and `make test` set themselves up.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.installed
export HF_HUB_DISABLE_TELEMETRY := 1

.PHONY: demo test test-real test-demos lint types docs picture bench-train bench-batched bench-grouping bench-decisions bench-functions bench-affinity bench-prefix bench-short-run bench-instructions bench-eval bench-chat bench-promot bench-arena bench-replay bench-transfer gpu-check chaos toy-language clean

# torch is installed first and by its exact version, so that pip never trades it for a larger build.
$(READY): pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt torch==2.13.0
	$(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt -e ".[dev]"
	touch $@

demo: $(READY)
	$(BIN)/cotune demo

test: $(READY)
	$(BIN)/pytest -m "not real and not demo" -n 2

# The main job on real tasks and a real small model; needs the data folder beside the repository.
test-real: $(READY) | .cache/smollm2
	$(BIN)/pytest -m real -v -rP --durations=5

# What the demos of ProMoT and of the transfer study promise: about ten minutes of two cores, no download.
test-demos: $(READY)
	$(BIN)/pytest -m demo -v -rP --durations=5

# Studies of every kind on a Ray cluster of this machine: the same bytes as without; three minutes of two cores.
.PHONY: test-ray
test-ray: $(READY)
	$(BIN)/pytest -m demo tests/studies/test_ray_studies.py -v --durations=5

lint: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

# The picture of a report on top of the README; needs Chromium.
picture: demo
	$(BIN)/python tools/picture.py

# The site of the documentation, in build/site; any warning fails, such as a link that leads nowhere.
docs: $(READY)
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict

types: $(READY)
	$(BIN)/mypy

# The model the benchmarks on real text use.
.cache/smollm2: $(READY)
	$(BIN)/python benchmarks/smollm2.py

bench-train: $(READY) | .cache/smollm2
	$(BIN)/python benchmarks/train.py

bench-batched: $(READY) | .cache/smollm2
	$(BIN)/python benchmarks/batched_lora.py
	$(BIN)/python benchmarks/batched_lora.py --precision fp32 --adapters 1 2 4 8 --adapt-from 0 0.5 0.75 0.875 \
	  --batches 4x16

bench-grouping: $(READY)
	$(BIN)/python benchmarks/grouping.py

# What chosen groups earn, on tables in which every subset was trained (in the data folder beside the repository).
bench-decisions: $(READY)
	$(BIN)/python benchmarks/decisions.py

bench-functions: $(READY)
	$(BIN)/python benchmarks/functions.py

# Estimators of affinity beside truly trained triples: about an hour on two cores.
bench-affinity: $(READY) | .cache/smollm2
	$(BIN)/python benchmarks/affinity.py

# What is frozen is computed once: adapters on the upper layers, their cost and the groups they lead to.
bench-prefix: $(READY) | .cache/smollm2
	$(BIN)/python benchmarks/train.py --precision fp32 --mixtures 1 --adapt-from 0.75
	$(BIN)/python benchmarks/affinity.py --folder .cache/bench-prefix --arms "trained triples" \
	  --proxies 0.75 0.5 0.875 0.25 --precision fp32

# Where the time of a short run goes, from tokens and from what lies below the adapter.
bench-short-run: $(READY) | .cache/smollm2
	$(BIN)/python benchmarks/short_run.py --kernels
	$(BIN)/python benchmarks/short_run.py --kernels --adapt-from 0.75
	$(BIN)/python benchmarks/short_run.py --adapt-from 0.75 --steps 18 --turns 8
	$(BIN)/python benchmarks/states.py

# Many instructions for one data set (Table 2 of AdaGroup).
bench-instructions: $(READY) | .cache/smollm2
	$(BIN)/python benchmarks/instructions.py

# k-shot evaluation beside lm-evaluation-harness, which only this target installs.
bench-eval: $(READY) | .cache/smollm2
	$(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt -e ".[harness]"
	$(BIN)/python benchmarks/evaluate.py

# Plain text beside the chat template, on a model tuned on chats: seven minutes on one core.
bench-chat: $(READY) | .cache/smollm2
	$(BIN)/python benchmarks/chat.py

# ProMoT beside LoRA and prompt tuning on real text: over an hour on two cores.
bench-promot: $(READY) | .cache/smollm2
	$(BIN)/python benchmarks/promot.py

# Ways to keep in-context learning side by side, on the toy language: minutes; arena_study=benchmarks/arena_smollm2.yaml is of a real model, and takes far longer.
arena_study ?= benchmarks/arena.yaml
bench-arena: $(READY)
	$(BIN)/python benchmarks/arena.py --study $(arena_study)

# The smallest replay, foretold from short runs at a few ratios, and that ratio under other seeds: minutes.
bench-replay: $(READY)
	$(BIN)/python benchmarks/replay.py

# What instruction tuning does to transfer, on real text.
bench-transfer: $(READY) | .cache/smollm2
	$(BIN)/python benchmarks/transfer.py

# What holds on a GPU, in less than four minutes of one; gpu_check="--device cpu" goes through it without.
gpu-check: $(READY)
	$(BIN)/python benchmarks/gpu_check.py $(gpu_check)

# What looking at a study with 10,000 runs takes: status, report, memory. Two minutes of one core.
.PHONY: bench-store
bench-store: $(READY)
	$(BIN)/python benchmarks/store.py

# Kills, signals, damage, full disks, strangers, counted (docs/faults.md). chaos_parts="kills damage" picks some.
chaos: $(READY)
	PYTHONPATH=benchmarks $(BIN)/python -m chaos $(chaos_parts)

# Pretrains the checkpoint that the package ships; about two and a half minutes of one core.
toy-language: $(READY)
	$(BIN)/python -m cotune.lab.toy_language.pretrain --out src/cotune/lab/assets/toy_language

clean:
	rm -rf $(VENV) .cache .mypy_cache .ruff_cache .pytest_cache .hypothesis
