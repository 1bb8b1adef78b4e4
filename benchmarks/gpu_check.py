"""What holds on a GPU: losses, speed, adapters side by side, memory (make gpu-check, less than four minutes).

`--device cpu` goes through all of it with the processor, and says of each part what only a GPU can tell.
"""

from __future__ import annotations

import argparse
import platform
import subprocess
import sys
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import batched_lora
import torch
import train

from cotune.findings.wording import size
from cotune.lab.toy_language import TOY_CHECKPOINT
from cotune.models import Encoded, LanguageModel
from cotune.training._live import LiveBytes
from cotune.training._loop import TrainingRun
from cotune.training.config import TrainingConfig
from cotune.training.memory_plan import Longest, plan_memory
from cotune.training.methods import Lora

ROOT = Path(__file__).parents[1]
SMOLLM2 = ROOT / ".cache" / "smollm2"
METHOD = Lora(target_modules=("q_proj", "v_proj"))
PRECISIONS = ("fp32", "bf16", "int8", "nf4")


@dataclass
class Setting:
    """What is checked on which device."""

    folder: Path
    device: str
    steps: int
    rounds: int
    examples: int
    tokens: int
    adapters: int

    @property
    def recipe(self) -> TrainingConfig:
        return TrainingConfig(batch_size=self.examples, tasks_per_batch=1, learning_rate=1e-3, warmup=0)

    @property
    def second(self) -> str:
        return "CPU second" if self.device == "cpu" else "second"

    def load(self, precision: str, device: str | None = None) -> LanguageModel:
        return LanguageModel.load(self.folder, precision=precision, device=device or self.device)

    def drawn(self, model: LanguageModel, seed: int = 0) -> list[list[Encoded]]:
        """Draw batches of random tokens: what they cost does not depend on which they are."""
        return batched_lora.draw(model, seed, self.steps, self.examples, self.tokens)


def only_gpu(setting: Setting, what: str) -> None:
    if setting.device == "cpu":
        print(f"  Only a GPU can tell {what}.")


def marked_tests(setting: Setting) -> bool:
    """Run the tests marked gpu, and give their reasons where they are skipped."""
    print("Tests marked gpu:", flush=True)
    command = [sys.executable, "-m", "pytest", "-m", "gpu", "-rs", "-p", "no:cacheprovider"]
    places = ["tests/training/test_training_gpu.py", "tests/studies/test_devices.py"]
    done = subprocess.run([*command, *places], cwd=ROOT, capture_output=True, text=True, check=False)
    for line in done.stdout.splitlines():
        if line.strip():
            print(f"  {line}")
    only_gpu(setting, "whether they pass: they were skipped")
    return done.returncode == 0


def _trained(
    model: LanguageModel, drawn: Sequence[list[Encoded]], config: TrainingConfig, start: list[torch.Tensor]
) -> list[float]:
    with METHOD.attach(model) as attached:
        with torch.no_grad():
            for parameter, value in zip(attached.parameters, start, strict=True):
                parameter.copy_(value)
        run = TrainingRun(model, attached, len(drawn), config)
        run.run(drawn)
        return list(run.log.losses)


def losses(setting: Setting) -> bool:
    """Train the same LoRA on the same batches on the device and on the processor."""
    print("Losses of the device beside the processor's, largest relative difference:", flush=True)
    good = True
    for precision in PRECISIONS:
        if precision in ("int8", "nf4") and find_spec("bitsandbytes") is None:
            print(f"  {precision}: not tried, bitsandbytes is not installed (extra quantized)")
            continue
        here = setting.load(precision, "cpu")
        drawn = setting.drawn(here)
        torch.manual_seed(0)
        with METHOD.attach(here) as attached:
            start = [parameter.detach().clone() for parameter in attached.parameters]
        ours = _trained(here, drawn, setting.recipe, start)
        there = setting.load(precision)
        theirs = _trained(there, drawn, setting.recipe, start)
        apart = max(abs(a - b) / abs(a) for a, b in zip(ours, theirs, strict=True))
        print(f"  {precision}: {apart:.1e} over {len(drawn)} steps (first loss {ours[0]:.3f})", flush=True)
        good &= apart < (1e-3 if precision == "fp32" else 0.1)
    only_gpu(setting, "how far they are apart: here one processor was compared with itself")
    return good


def speed(setting: Setting, data: Path) -> bool:
    """Let cotune's loop and PEFT under transformers' Trainer take turns on the same batches."""
    print(f"Tokens a {setting.second} beside PEFT + transformers' Trainer in one process:", flush=True)
    good = True
    for precision in ("fp32", "bf16"):
        model = setting.load(precision)
        shared = data.is_dir()
        config = setting.recipe
        drawn = train.batches(model, data, config, setting.steps) if shared else setting.drawn(model)
        found = train.throughput(setting.folder, model, drawn, config, setting.rounds)
        of = "of one task, whose instruction they share" if shared else "with nothing in common"
        print(
            f"  {precision}, {setting.examples} examples {of}: {found.sentence(setting.second)}", flush=True
        )
        good &= found.apart < (1e-2 if precision == "fp32" else 0.3)
    only_gpu(setting, "the ratio that a GPU has; docs/results has that of the processor")
    return good


def beside(setting: Setting) -> bool:
    """Train LoRAs in one pass, and one after the other."""
    print(f"{setting.adapters} LoRAs in one pass beside one after the other:", flush=True)
    model, good = setting.load("bf16" if setting.device != "cpu" else "fp32"), True
    for examples, tokens in ((setting.examples, setting.tokens), (2, max(setting.tokens // 8, 8))):
        drawn = [
            batched_lora.draw(model, seed, setting.steps, examples, tokens)
            for seed in range(setting.adapters)
        ]
        config = setting.recipe.model_copy(update={"batch_size": examples})
        found = batched_lora.beside(model, drawn, config, setting.rounds)
        print(f"  {examples} examples of {tokens} tokens: {found.sentence(setting.second)}", flush=True)
        good &= found.apart < (1e-2 if setting.device == "cpu" else 0.3)
    only_gpu(setting, "from how many adapters on one pass is faster there")
    return good


@contextmanager
def peak(model: LanguageModel) -> Iterator[Callable[[], int]]:
    """Give what tells the bytes of tensors on the model's device at most within the block."""
    if model.device.type == "cuda":
        torch.cuda.reset_peak_memory_stats()
        yield lambda: int(torch.cuda.max_memory_allocated())
        return
    with LiveBytes([*model.base.parameters(), *model.base.buffers()]) as live:
        yield lambda: live.most


def memory(setting: Setting) -> bool:
    """Compare what a training takes at most with what was counted before."""
    print("Memory of tensors at most, beside what the plan counted from shapes:", flush=True)
    good = True
    for precision in ("fp32", "bf16"):
        model = setting.load(precision)
        skeleton = LanguageModel.skeleton(setting.folder, model.encoder)
        drawn, config = setting.drawn(model), setting.recipe
        plan = plan_memory(
            skeleton, METHOD, config, (), Longest.of(drawn[0]), precision=precision, device=setting.device
        )
        torch.manual_seed(0)
        with peak(model) as most, METHOD.attach(model) as attached:
            TrainingRun(model, attached, 2, config).run(drawn)
            measured = most()
        ratio = plan.total / measured
        print(
            f"  {precision}: {size(measured)} measured, {size(plan.total)} planned, ratio {ratio:.2f} "
            f"(beyond the weights {(plan.total - plan.weights) / max(measured - plan.weights, 1):.2f})",
            flush=True,
        )
        good &= 0.5 < ratio < 3
    only_gpu(setting, "what its kernels take for themselves, and how its allocator fragments")
    return good


def main(argv: Sequence[str] | None = None) -> None:
    """Print all parts; status 1 where one of them is not as it should be, 2 without a GPU."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--device", choices=("cuda", "cpu"), default="cuda")
    parser.add_argument("--model", type=Path, default=SMOLLM2 if SMOLLM2.is_dir() else TOY_CHECKPOINT)
    parser.add_argument("--data", type=Path, default=ROOT.parent / "shared" / "data" / "natural_instructions")
    parser.add_argument("--steps", type=int, default=6, help="steps of a round")
    parser.add_argument("--rounds", type=int, default=3, help="two ways in turn, so often")
    parser.add_argument("--examples", type=int, default=8, help="examples of a step")
    parser.add_argument("--tokens", type=int, default=256, help="tokens of an example")
    parser.add_argument("--adapters", type=int, default=8, help="LoRAs in a pass")
    parser.add_argument(
        "--parts", nargs="+", default=["tests", "losses", "speed", "beside", "memory"], help="some of these"
    )
    options = parser.parse_args(argv)
    if options.device == "cuda" and not torch.cuda.is_available():
        print(
            "gpu-check: torch sees no GPU here; on a machine that has one this takes about four minutes, and "
            "--device cpu goes through the same with the processor.",
            file=sys.stderr,
        )
        raise SystemExit(2)
    warnings.filterwarnings("ignore", category=FutureWarning)
    train.disable_progress_bar()
    begin = time.perf_counter()
    setting = Setting(
        options.model,
        options.device,
        options.steps,
        options.rounds,
        options.examples,
        options.tokens,
        options.adapters,
    )
    name = torch.cuda.get_device_name() if options.device == "cuda" else platform.machine()
    print(f"{name}, torch {torch.__version__}, model {options.model.name}", flush=True)
    parts: dict[str, Callable[[], bool]] = {
        "tests": lambda: marked_tests(setting),
        "losses": lambda: losses(setting),
        "speed": lambda: speed(setting, options.data),
        "beside": lambda: beside(setting),
        "memory": lambda: memory(setting),
    }
    odd = sorted({*options.parts} - {*parts})
    if odd:
        parser.error(f"--parts: must be of {', '.join(parts)}, got {odd[0]!r}")
    bad = [part for part in options.parts if not parts[part]()]
    print(f"{time.perf_counter() - begin:.0f} s in all.", flush=True)
    if bad:
        print(f"Not as it should be: {', '.join(bad)}.", flush=True)
        raise SystemExit(1)


if __name__ == "__main__":
    main()
