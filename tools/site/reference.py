"""The pages of the API: everything public, read from each ``__all__``, so that no name can be forgotten."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

SOURCES = Path(__file__).parents[2] / "src"


@dataclass(frozen=True)
class Public:
    """A package or module that lists public names."""

    name: str
    doc: str
    names: tuple[str, ...]
    homes: dict[str, str]
    """Where the names that are imported come from, as far as they come from cotune."""

    @property
    def room(self) -> str:
        """Return the room that it belongs to, or ``cotune``."""
        return ".".join(self.name.split(".")[:2])

    def origin(self, name: str) -> str:
        """Return where a name is defined, as far as imports tell."""
        return f"{self.homes.get(name, self.name)}.{name}"


def public_modules() -> list[Public]:
    """Return what has an ``__all__`` and no underscore in its path, the rooms in alphabetical order."""
    found = []
    for file in sorted((SOURCES / "cotune").rglob("*.py")):
        parts = file.relative_to(SOURCES).with_suffix("").parts
        parts = parts[:-1] if parts[-1] == "__init__" else parts
        if any(part.startswith("_") for part in parts):
            continue
        tree = ast.parse(file.read_text(encoding="utf-8"))
        names = _listed(tree)
        is_room = len(parts) == 2 and file.name == "__init__.py"  # some list their names in packages below
        if names or is_room:
            name = ".".join(parts)
            found.append(Public(name, ast.get_docstring(tree) or "", names, dict(_homes(tree))))
    return sorted(found, key=lambda public: public.name)


def _listed(tree: ast.Module) -> tuple[str, ...]:
    for node in tree.body:
        if isinstance(node, ast.Assign) and [ast.unparse(target) for target in node.targets] == ["__all__"]:
            return tuple(ast.literal_eval(node.value))
    return ()


def _homes(tree: ast.Module) -> Iterator[tuple[str, str]]:
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("cotune"):
            yield from ((alias.asname or alias.name, str(node.module)) for alias in node.names)


def reference_pages() -> dict[str, str]:
    """Return a page for ``cotune`` and for each room, by its address in the site."""
    modules = public_modules()
    pages: dict[str, list[str]] = {}
    shown: dict[str, str] = {}
    for module in sorted(modules, key=lambda module: (module.name.count("."), module.name)):
        page = pages.setdefault(_address(module.room), [])
        page.append(f"{'##' if page else '#'} `{module.name}`\n\n{module.doc}\n")
        for name in sorted(set(module.names) - {"__version__"}, key=str.casefold):
            full, origin = f"{module.name}.{name}", module.origin(name)
            if origin in shown and module.name != "cotune":
                page.append(f"- `{name}` is [`{shown[origin]}`][{shown[origin]}].\n")
                continue
            if module.name != "cotune":
                shown[origin] = full
            page.append(
                f"::: {full}\n    options:\n      heading_level: {3 if module.name.count('.') > 1 else 2}\n"
            )
    return {address: "\n".join(parts) for address, parts in pages.items() if len(parts) > 1}


def _address(room: str) -> str:
    return f"reference/api/{room}.md"
