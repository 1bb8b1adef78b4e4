"""Templates: how the rows of a table become examples."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from functools import partial
from textwrap import shorten
from typing import Any

import jinja2
from pydantic import Field, field_validator, model_validator

from cotune._steps import Together, TooMuchWorkError
from cotune.exceptions import InputError
from cotune.tasks._names import suggest
from cotune.tasks._task import Example
from cotune.tasks.readers._builtin import get_builtin
from cotune.tasks.readers._options import Options
from cotune.tasks.readers._rendering import (
    SEPARATOR,
    compile_expression,
    compile_template,
    fields_of,
    parts_of,
)
from cotune.tasks.readers._rows import Unusable


class TemplateOptions(Options):
    """How the rows of a table become examples, and what the task asks for.

    The templates are Jinja: ``{{ premise }}`` is the row's field of that name, ``answer_choices`` are the
    choices.
    """

    builtin: str | None = None
    """A ready-made template: rte, cb, wic, qa, translation or summarization.

    Those of the ProMoT paper, with their labels, choices, metric and format; whatever else is given here goes
    before it.
    """
    fields: dict[str, str] = Field(default_factory=dict)
    """Where fields of the template come from, if not from the row's field of that name.

    Jinja expressions, such as {premise: passage, sentence: translation.en, source_language: "'English'"}.
    """
    instruction: str = ""
    """What every prompt of the task opens with."""
    input: str = "{{ input }}"
    """Template of what the model reads."""
    target: str = "{{ target }}"
    """Template of the acceptable output; several are parted by "|||", or stand in a list of the data."""
    template: str | None = None
    """Instead of input and target, both in one in PromptSource's style: "{{ question }} ||| {{ answer }}"."""
    labels: dict[str, str] | None = None
    """Words for the values of the target in the data, by value, or in a list for the values 0, 1, ..."""
    choices: list[str] | None = None
    """The closed set of answers of a classification task; by default the words of the labels."""

    @model_validator(mode="before")
    @classmethod
    def _fill_in_builtin(cls, data: Any) -> Any:
        if not isinstance(data, Mapping) or not isinstance(data.get("builtin"), str):
            return data
        ready = get_builtin(data["builtin"]).options()
        # A whole template leaves no input and target to fill in, words of one's own no choices.
        for given, replaced in (("template", "input target"), ("labels", "choices"), ("choices", "labels")):
            if data.get(given) is not None:
                ready = {name: value for name, value in ready.items() if name not in replaced.split()}
        return {**ready, **data}

    @field_validator("labels", mode="before", json_schema_input_type=dict[str, Any] | list[str] | None)
    @classmethod
    def _name_labels(cls, labels: Any) -> Any:
        if isinstance(labels, list):
            return {str(value): word for value, word in enumerate(labels)}
        if isinstance(labels, Mapping):
            return {str(value): word for value, word in labels.items()}
        return labels

    @model_validator(mode="after")
    def _check(self) -> TemplateOptions:
        if self.template is not None:
            if self.model_fields_set & {"input", "target"}:
                raise InputError(
                    "'template' holds both input and target; give it alone, or give the other two."
                )
            if SEPARATOR not in self.template:
                raise InputError(
                    f"'template' must part input and target by '{SEPARATOR}', got {self.template!r}."
                )
        elif SEPARATOR in self.input:
            raise InputError(
                f"'input' must not contain '{SEPARATOR}', which parts an input from its targets."
            )
        compile_template(self.source)
        self._check_fields()
        if self.choices is not None and (len(set(self.choices)) < 2 or not all(self.choices)):
            raise InputError(f"'choices' must be at least two different words, got {self.choices}.")
        unknown = set((self.labels or {}).values()) - set(self.answers)
        if unknown:
            raise InputError(
                f"'labels' leads to '{min(unknown)}', which is not one of the choices {self.choices}."
            )
        return self

    def _check_fields(self) -> None:
        used = fields_of(self.source)
        of_instructions = getattr(self, "instructions", None) is not None  # templates that are read later
        for name, expression in self.fields.items():
            if name not in used and not of_instructions:
                raise InputError(
                    f"'fields' gives '{name}', which the template does not use; {suggest(name, used)}"
                )
            compile_expression(expression)

    @property
    def source(self) -> str:
        """The template of input and targets in one."""
        return f"{self.input}{SEPARATOR}{self.target}" if self.template is None else self.template

    @property
    def answers(self) -> tuple[str, ...]:
        """The closed set of answers, empty for free text."""
        return tuple(self.choices or dict.fromkeys((self.labels or {}).values()))

    @property
    def default_metric(self) -> str:
        """The metric that fits: of the built-in template, accuracy among choices, ROUGE-L of free text."""
        if self.builtin is not None:
            return get_builtin(self.builtin).metric
        return "accuracy" if self.answers else "rouge_l"

    @property
    def why_metric(self) -> str:
        """Why it fits, where answers do not tell."""
        return "" if self.builtin is None else f"as the template {self.builtin} has it"

    @property
    def default_format(self) -> str:
        """The format that fits the template."""
        return "default" if self.builtin is None else get_builtin(self.builtin).format

    def override(self, other: TemplateOptions) -> TemplateOptions:
        """Return these options with all that ``other`` sets in their place."""
        kept = {
            field: getattr(self, field)
            for field, info in TemplateOptions.model_fields.items()
            # What a reader says by a default of its own counts as said.
            if field in self.model_fields_set
            or getattr(self, field) != info.get_default(call_default_factory=True)
        }
        if other.template is not None:
            kept = {field: value for field, value in kept.items() if field not in ("input", "target")}
        elif other.model_fields_set & {"input", "target"}:
            kept.pop("template", None)
        return TemplateOptions(**kept | {field: getattr(other, field) for field in other.model_fields_set})

    def examples(
        self, rows: Iterable[tuple[str, Mapping[str, Any] | InputError]], unusable: Unusable | None = None
    ) -> list[Example]:
        """Render rows into examples.

        Parameters
        ----------
        rows : iterable of (str, mapping of str to Any or InputError)
            The rows, each with where it stands; an error in place of one that cannot be read.
        unusable : Unusable, optional
            Counts the rows that lack a field, hold what is no text where text is needed, or whose target is
            empty or not one of the labels or choices; they are left out.

        Raises
        ------
        InputError
            If no row can be used: what is wrong with the first.
        """
        template = compile_template(self.source)
        texts = partial(self.texts, template, Together())
        return (unusable or Unusable()).examples(rows, texts, self.answers)

    def texts(
        self, template: jinja2.Template, together: Together, where: str, row: Mapping[str, Any]
    ) -> tuple[str, list[str]]:
        """Return input and targets that a compiled template makes of a row; ``together`` counts all rows.

        Raises
        ------
        InputError
            If it cannot be filled in.
        """
        try:
            values = {"answer_choices": self.answers, **row}
            with together.rendering(row):
                renamed = {name: compile_expression(field)(row) for name, field in self.fields.items()}
                rendered = template.render(values | renamed)
        except jinja2.UndefinedError as error:
            raise InputError(self._missing(where, row, error)) from None
        except TooMuchWorkError as error:  # it would for the next row too
            raise TooMuchWorkError(f"{where}: the template is not filled in: {error}.") from None
        except RecursionError:
            raise TooMuchWorkError(f"{where}: the template calls itself too deeply.") from None
        except MemoryError:
            raise
        except Exception as error:  # a template is a program, which may raise anything
            reason = shorten(str(error), 200).rstrip(".")
            raise InputError(f"{where}: the template cannot be filled in: {reason}.") from None
        try:
            input, outputs = parts_of(rendered)
        except ValueError as error:
            raise InputError(f"{where}: the template prints {error}.") from None
        return input, [self._word(where, output) for output in outputs]

    def _missing(self, where: str, row: Mapping[str, Any], error: jinja2.UndefinedError) -> str:
        needed = fields_of(self.source) - set(self.fields)
        needed = needed.union(*(fields_of(f"{{{{ {expression} }}}}") for expression in self.fields.values()))
        fields = ", ".join(row) or "none"
        if missing := sorted(needed - set(row)):
            return f"{where} has no field '{missing[0]}', which the template needs; its fields are {fields}."
        return f"{where}: the template cannot be filled in: {error.message}; its fields are {fields}."

    def _word(self, where: str, value: str) -> str:
        known = self.answers if self.labels is None else self.labels
        if not value or not known:
            return value
        # JSON's true is Python's True, which is how labels of tables are often written.
        same = (value, value.title(), value.lower()) if value.lower() in ("true", "false") else (value,)
        found = next((each for each in same if each in known), None)
        if found is None:
            kind = "choices" if self.labels is None else "labels"
            raise InputError(f"{where}: '{value}' is not one of the {kind} {', '.join(known)}.")
        return found if self.labels is None else self.labels[found]

    def row_options(self, name: str) -> TemplateOptions | None:
        """Return these options, which are of all tasks."""
        return self


class TaskTemplates(TemplateOptions):
    """Template options of a reader of several tasks: common ones, and others for single tasks."""

    templates: dict[str, TemplateOptions] = Field(default_factory=dict)
    """Options for single tasks, by name, in place of the common ones."""

    def options_by_task(self, names: Collection[str]) -> dict[str, TemplateOptions]:
        """Return the options of every task.

        Raises
        ------
        InputError
            If ``templates`` names a task that is not there.
        """
        for name in self.templates:
            if name not in names:
                raise InputError(f"'templates' names '{name}', which is not a task; {suggest(name, names)}")
        return {
            name: self.override(self.templates[name]) if name in self.templates else self for name in names
        }

    def row_options(self, name: str) -> TemplateOptions | None:
        """Return the options of a task."""
        return self.override(self.templates[name]) if name in self.templates else self
