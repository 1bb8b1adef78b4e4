"""What people call the columns of their tables, other than tasks."""

from __future__ import annotations

import re


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


TASK = _words(
    "task tasks task_name dataset dataset_name data_set data benchmark subtask target target_task "
    "eval_task test_task evaluated_on evaluation eval problem"
)
"""Of long tables: which task was scored. Of wide ones: tasks stand in rows."""
SCORE = _words(
    "score scores value metric_value result results performance perf acc accuracy f1 em exact_match bleu "
    "rouge rougel rouge_l mcc auc utility test_score eval_score val_score validation_score"
)
LOSS = _words("loss nll ppl perplexity mse mae rmse wer cer error error_rate test_loss eval_loss val_loss")
RUN = _words(
    "run runs run_id run_name runid experiment experiment_id exp exp_id trial trial_id model model_id "
    "model_name job job_id config config_id name checkpoint ckpt"
)
SUBSET = _words(
    "subset subsets subset_id subset_name train_tasks training_tasks trained_on train_on trained_tasks "
    "train_set trained_together together mixture mix mix_id group combination company members train "
    "sources source_tasks"
)
SEED = _words("seed seeds random_seed rng rng_seed fold replicate rep repeat repetition split_seed")
STEP = _words("step steps global_step epoch epochs iteration iter iterations checkpoint_step update updates")
COUNTER = _words("index idx id row row_id rownames row_names no nr number # unnamed i")
COUNTING = COUNTER | RUN | SUBSET | SEED | STEP
SETTING = _words(
    "lr learning_rate batch_size bs temperature weight_decay dropout warmup rank r alpha n_tasks "
    "num_tasks subset_size size k tokens n_tokens seconds time runtime wall_time hours minutes cost flops "
    "memory date timestamp created lora_r lora_alpha max_steps gpu device params parameters"
)
METRIC = _words("metric metrics metric_name measure score_name score_type")

MEAN = _words("mean avg average")
SPREAD = _words("std sd stdev stddev std_dev")
ERROR = _words("se stderr std_err std_error sem s.e. s_e standard_error")
COUNT = _words("count n num n_runs n_seeds")
EXTREME = _words("min max median sum total var variance ci ci_low ci_high low high p25 p50 p75 25% 50% 75%")
SUMMARY = (
    MEAN
    | SPREAD
    | ERROR
    | COUNT
    | EXTREME
    | _words(
        "overall macro_avg micro_avg macro micro macro_average all_tasks avg_score mean_score average_score "
        "all_mean mean_acc avg_acc average_accuracy"
    )
)

HIGHER_METRICS = _words("acc accuracy f1 em bleu rouge rougel rouge1 rouge2 mcc auc auroc chrf exact_match")
LOWER_METRICS = _words("loss nll ppl perplexity mse mae rmse wer cer")

_RUN_LIKE = re.compile(
    r"(run|r|exp|experiment|trial|subset|seed|model|s|m|mix|job)?[-_ ]?\d+$", re.IGNORECASE
)
_SUFFIX = re.compile(r"(.+?)[\s_.:/\-(\[]+([A-Za-z0-9.%]+)[)\]]?$")
_PREFIX = re.compile(r"([A-Za-z0-9.%]+)[\s_.:/\-(\[]+(.+?)[)\]]?$")


def plain(name: str) -> str:
    """Return a name in small letters with one underscore for whatever stands between its words."""
    text = re.sub(r"[\s\-_./:]+", "_", name.strip().lower()).strip("_")
    return (
        "unnamed" if re.fullmatch(r"unnamed(_\d+)*", text) or (not text and not name.strip()) else text or "#"
    )


def is_run_like(name: str) -> bool:
    """Whether a name counts runs, such as run-3, or 3."""
    return bool(_RUN_LIKE.match(name.strip()))


def parted(name: str, words: frozenset[str]) -> tuple[str, str] | None:
    """Part a name such as ``rte_std`` or ``mean(rte)`` into what it is of and a word of those given."""
    if (found := _SUFFIX.match(name.strip())) and plain(found[2]) in words:
        return found[1].strip(), plain(found[2])
    if (found := _PREFIX.match(name.strip())) and plain(found[1]) in words:
        return found[2].strip(), plain(found[1])
    return None
