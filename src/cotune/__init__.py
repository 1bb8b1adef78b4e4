"""Which tasks should be trained together, and what instruction tuning does to a language model.

The names here are all that a user of the library needs; each is loaded on first use, and with it whatever it
needs.
"""

from __future__ import annotations

from cotune._lazy import on_first_use

TYPE_CHECKING = False  # type checkers take the name for true; typing alone takes longer than all of this
__version__ = "0.1.0"

if TYPE_CHECKING:
    from cotune.exceptions import CotuneError, InputError, RunError
    from cotune.findings.preview import Preview
    from cotune.grouping import SDPClustering
    from cotune.studies.engine import Plan, Status, StudyResult
    from cotune.studies.evaluating import Evaluation, evaluate
    from cotune.studies.grouping import Groups, group
    from cotune.studies.kinds import Study
    from cotune.studies.previewing import preview
    from cotune.studies.task_files import read_tasks
    from cotune.studies.tuning import TuneResult, tune
    from cotune.tasks import Example, Task

_HOMES = {
    "CotuneError": "exceptions",
    "Evaluation": "studies.evaluating",
    "Example": "tasks",
    "Groups": "studies.grouping",
    "InputError": "exceptions",
    "Plan": "studies.engine",
    "Preview": "findings.preview",
    "RunError": "exceptions",
    "SDPClustering": "grouping",
    "Status": "studies.engine",
    "Study": "studies.kinds",
    "StudyResult": "studies.engine",
    "Task": "tasks",
    "TuneResult": "studies.tuning",
    "evaluate": "studies.evaluating",
    "group": "studies.grouping",
    "preview": "studies.previewing",
    "read_tasks": "studies.task_files",
    "tune": "studies.tuning",
}

__all__ = [
    "CotuneError",
    "Evaluation",
    "Example",
    "Groups",
    "InputError",
    "Plan",
    "Preview",
    "RunError",
    "SDPClustering",
    "Status",
    "Study",
    "StudyResult",
    "Task",
    "TuneResult",
    "__version__",
    "evaluate",
    "group",
    "preview",
    "read_tasks",
    "tune",
]

if not TYPE_CHECKING:  # a type checker would take any name for one of them
    __getattr__ = on_first_use(__name__, _HOMES)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
