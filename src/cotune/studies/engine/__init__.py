"""The engine of studies: what every kind of study shares, and nothing that any one of them knows.

A kind is a subclass of :class:`Study` with a configuration, runs, a :class:`Worker` and a
:class:`StudyResult`, and a line in :mod:`cotune.studies.kinds`.
"""

from cotune._files import csv_text
from cotune.studies.engine._config import ModelStudyConfig, StudyConfig, read_study_file
from cotune.studies.engine._deaths import Deaths
from cotune.studies.engine._events import Events, StepEvents, UnderWay, tell_notes
from cotune.studies.engine._executor import Executor, ExecutorConfig
from cotune.studies.engine._executors import EXECUTORS, LocalConfig, RayConfig
from cotune.studies.engine._folder import is_study_folder, locked, study_file_of
from cotune.studies.engine._kept_status import MANY
from cotune.studies.engine._lacking import lacking, surplus_states
from cotune.studies.engine._memory import Trained, check_memory, count_memory, shortage
from cotune.studies.engine._mending import RUN_KEY, damaged, seal_all
from cotune.studies.engine._model_study import ModelStudy, choose
from cotune.studies.engine._plan import Costs, Plan, StagePlan, Usage
from cotune.studies.engine._pool import WorkerPool
from cotune.studies.engine._prompting import Prompting
from cotune.studies.engine._results import StudyResult, aligned, cell, machine_rows, write_json
from cotune.studies.engine._rows import StoredRow, StoredRows, hash_rows
from cotune.studies.engine._runner import Runner, StageUsage, StoredRunner
from cotune.studies.engine._runs import Run, RunRecord, key_of, seen
from cotune.studies.engine._salvage import salvage
from cotune.studies.engine._status import Counted, Standing, Status
from cotune.studies.engine._store import RunStore, is_older, open_store
from cotune.studies.engine._study import KINDS, Study, load_config
from cotune.studies.engine._worker import (
    Job,
    Worker,
    artefact_lack,
    artefact_record,
    peak_memory,
    write_artefact_record,
)

__all__ = [
    "EXECUTORS",
    "KINDS",
    "MANY",
    "RUN_KEY",
    "Costs",
    "Counted",
    "Deaths",
    "Events",
    "Executor",
    "ExecutorConfig",
    "Job",
    "LocalConfig",
    "ModelStudy",
    "ModelStudyConfig",
    "Plan",
    "Prompting",
    "RayConfig",
    "Run",
    "RunRecord",
    "RunStore",
    "Runner",
    "StagePlan",
    "StageUsage",
    "Standing",
    "Status",
    "StepEvents",
    "StoredRow",
    "StoredRows",
    "StoredRunner",
    "Study",
    "StudyConfig",
    "StudyResult",
    "Trained",
    "UnderWay",
    "Usage",
    "Worker",
    "WorkerPool",
    "aligned",
    "artefact_lack",
    "artefact_record",
    "cell",
    "check_memory",
    "choose",
    "count_memory",
    "csv_text",
    "damaged",
    "hash_rows",
    "is_older",
    "is_study_folder",
    "key_of",
    "lacking",
    "load_config",
    "locked",
    "machine_rows",
    "open_store",
    "peak_memory",
    "read_study_file",
    "salvage",
    "seal_all",
    "seen",
    "shortage",
    "study_file_of",
    "surplus_states",
    "tell_notes",
    "write_artefact_record",
    "write_json",
]
