import json
import pickle
import time

import pytest
import torch

from cotune.models import LanguageModel, resolve_precision
from cotune.models import precision as module
from cotune.models.config import ModelConfig
from cotune.models.precision import ChosenPrecision, choose_precision, layer_shape


@pytest.fixture
def measured(monkeypatch):
    """Let the measurement come out as it would on another processor."""

    def on_a_machine(speed):
        monkeypatch.setattr(module, "_measured_speed", lambda *_: speed)

    return on_a_machine


def seconds_of(dtype, shape, tokens=384):
    states, weight = torch.full((tokens, shape[0]), 0.5, dtype=dtype), torch.ones(shape[::-1], dtype=dtype)
    times = []
    for _ in range(5):
        start = time.perf_counter()
        weight.new_ones(1) @ (torch.nn.functional.linear(states, weight) @ weight)[:1, :1]
        times.append(time.perf_counter() - start)
    return min(times)


def test_auto_is_the_type_that_is_faster_here(one_thread):
    shape = (512, 1024)
    module._measured_speed.cache_clear()
    torch.manual_seed(0)
    expected = torch.rand(1)
    torch.manual_seed(0)
    begin = time.process_time()
    chosen = choose_precision("cpu", shape=shape)
    assert time.process_time() - begin < 2
    assert torch.equal(torch.rand(1), expected)
    speed = seconds_of(torch.float32, shape) / seconds_of(torch.bfloat16, shape)
    if not 0.6 < speed < 1.7:  # where it is clear, whatever else the machine does
        assert chosen.precision == ("bf16" if speed > 1 else "fp32")
    begin = time.process_time()
    assert choose_precision("cpu", shape=shape) == chosen
    assert time.process_time() - begin < 0.01
    assert resolve_precision("auto", "cpu", shape=shape) == chosen.precision


@pytest.mark.parametrize(
    ("speed", "precision"), [(0.56, "fp32"), (1.0, "fp32"), (1.05, "fp32"), (1.06, "bf16"), (2.3, "bf16")]
)
def test_without_a_clear_win_the_digits_are_kept(measured, speed, precision):
    measured(speed)
    chosen = choose_precision("cpu")
    assert str(chosen) == f"{precision}: bf16 measured {speed:.2g} times as fast as fp32"
    assert ChosenPrecision.from_dict(json.loads(json.dumps(chosen.to_dict()))) == chosen


@pytest.mark.parametrize("data", [None, [], "fp32", {}, {"precision": "fp16"}, {"speed": 1.0}])
def test_what_is_no_choice_is_none(data):
    assert ChosenPrecision.from_dict(data) is None


@pytest.mark.parametrize(
    ("config", "shape"),
    [
        ({"hidden_size": 64, "intermediate_size": 176}, (64, 176)),
        ({"d_model": 16, "d_ff": 24}, (16, 24)),
        ({"d_model": 16, "encoder_ffn_dim": 40, "decoder_ffn_dim": 48}, (16, 40)),
        ({"n_embd": 12, "n_inner": None}, (12, 48)),
        ({"hidden_size": 12}, (12, 48)),
        ({"text_config": {"hidden_size": 8, "intermediate_size": 20}, "vision_config": {}}, (8, 20)),
        ({}, None),
        ([], None),
        ({"hidden_size": "wide"}, None),
    ],
)
def test_the_shape_is_read_from_every_dialect_of_configurations(tmp_path, config, shape):
    (tmp_path / "config.json").write_text(json.dumps(config))
    assert layer_shape(tmp_path) == shape


def test_a_shape_that_cannot_be_read_is_unknown(tmp_path):
    assert layer_shape(tmp_path) is None
    (tmp_path / "config.json").write_text("{")
    assert layer_shape(tmp_path) is None


def test_a_configuration_measures_once_and_takes_the_result_along(tiny_causal, tmp_path, measured):
    config = ModelConfig(model=str(tiny_causal))
    measured(3.0)
    before = config.fingerprint(tmp_path)
    assert before["precision"] == "bf16"
    measured(0.5)
    again = pickle.loads(pickle.dumps(config.model_copy(update={"profile": "plain"})))
    assert again.fingerprint(tmp_path)["precision"] == "bf16"
    assert again.load(tmp_path).dtype == torch.bfloat16
    fresh = ModelConfig(model=str(tiny_causal))
    assert fresh.fingerprint(tmp_path)["precision"] == "fp32"
    assert fresh.load(tmp_path).dtype == torch.float32
    assert fresh == config
    assert hash(fresh) == hash(config)
    assert config.plain()["precision"] == "auto"


def test_what_was_chosen_before_stands_on_the_same_kind_of_device(tiny_causal, tmp_path, measured):
    measured(0.5)
    config = ModelConfig(model=str(tiny_causal))
    config.recall_precision(ChosenPrecision("bf16", "cpu", 1.07))
    config.recall_precision(None)
    assert config.resolved_precision(tmp_path) == "bf16"
    config.recall_precision(ChosenPrecision("bf16", "another"))
    assert config.resolved_precision(tmp_path) == "fp32"


def test_a_type_that_is_given_is_not_measured(tiny_causal, tmp_path, monkeypatch):
    monkeypatch.setattr(module, "_measured_speed", None)
    for precision in ("fp32", "bf16"):
        config = ModelConfig(model=str(tiny_causal), precision=precision)
        config.recall_precision(ChosenPrecision("fp32", "cpu"))
        assert config.chosen_precision(tmp_path) is None
        assert config.resolved_precision(tmp_path) == precision
        assert LanguageModel.load(tiny_causal, precision=precision, device="cpu").base.dtype.itemsize in (
            2,
            4,
        )
