"""``cotune export``: trained models in folders that are served."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from cotune.cli._options import JsonOption, TrustOption


def export(
    source: Annotated[
        Path,
        typer.Argument(
            metavar="STUDY|FOLDER",
            help="A study that was run, whose kept models are taken, or the folder of an adapter or of tune.",
        ),
    ],
    out: Annotated[Path, typer.Option(help="A new folder.")],
    merge: Annotated[
        bool,
        typer.Option(
            "--merge", help="Make adapters part of the weights; transformers alone loads the models."
        ),
    ] = False,
    name: Annotated[
        list[str] | None,
        typer.Option(
            "--name",
            metavar="NAME|OLD=NEW",
            help="What a model is to be called: group-0=reviews; of a single one NAME. May be repeated.",
        ),
    ] = None,
    model: Annotated[
        str | None,
        typer.Option(help="The base's folder or hub name, in place of the one that adapters name."),
    ] = None,
    push: Annotated[
        str | None,
        typer.Option(
            metavar="USER/NAME", help="Push all of it to this repository on the hub; made if missing."
        ),
    ] = None,
    trust_remote_code: TrustOption = None,
    public: Annotated[
        bool, typer.Option("--public", help="A repository that is made is for all; else it is private.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Write trained models into a new folder, ready to be served: renamed, merged, listed for vLLM, pushed.

    Beside the models, each with card and tokenizer, tasks.json says which is for which task, and
    lora-modules.txt has the arguments of vLLM's --lora-modules. Nothing is pushed without --push.
    """
    from cotune.cli._progress import emit
    from cotune.exceptions import InputError
    from cotune.studies.exporting import export

    if public and push is None:
        raise InputError("--public is of a repository that --push makes; name one, or leave it out.")
    if trust_remote_code is not None and not merge:
        raise InputError("--trust-remote-code is of --merge: no code runs where adapters are only copied.")
    found = export(
        source,
        out,
        merged=merge,
        names=_names(name or []),
        base=model,
        push_to=push,
        public=public,
        trusted_revision=trust_remote_code,
    )
    if as_json:
        emit(found.to_dict())
        return
    for one in found.models:
        tasks = f": {', '.join(one.tasks)}" if one.tasks else ""
        print(f"{one.folder}{tasks}")
    for note in found.notes:
        print(f"  {note}")
    if found.vllm is not None:
        print(found.vllm)
    if found.address is not None:
        print(f"pushed to {found.address}; its card says that the licence is not known")


def _names(given: list[str]) -> dict[str, str] | str | None:
    """Read the names given; a single one without a sign is of a single model."""
    from cotune.exceptions import InputError

    if len(given) == 1 and "=" not in given[0]:
        return given[0]
    pairs = [text.partition("=") for text in given]
    if not all(sign for _, sign, _ in pairs):
        raise InputError("--name takes OLD=NEW where it is given more than once, such as group-0=reviews.")
    names = {old: new for old, _, new in pairs}
    if len(names) < len(pairs):
        raise InputError("--name gives one model two names; give each one.")
    return names or None
