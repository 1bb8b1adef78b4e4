from __future__ import annotations

from abc import abstractmethod
from importlib.metadata import EntryPoint, EntryPoints
from pathlib import Path
from typing import Annotated

import pytest
from pydantic import BaseModel, PositiveInt

from cotune import _registry
from cotune._config import Config, parse
from cotune._registry import Registry
from cotune.exceptions import InputError
from cotune.studies.kinds import KINDS
from cotune.studies.tuning import TuneConfig
from cotune.training.methods import METHODS


class Shape(Config):
    @abstractmethod
    def area(self) -> float: ...


class Square(Shape):
    side: PositiveInt = 1

    def area(self) -> float:
        return self.side**2


class Disc(Shape):
    radius: float = 1.0
    inner: Square | None = None

    def area(self) -> float:
        return 3 * self.radius**2


class Unfinished(Shape):
    pass


class Overlapping(Square):
    name: str = ""


class Stranger(BaseModel):
    pass


def shapes(**classes) -> Registry[Shape]:
    return Registry(Shape, key="name", group="cotune.shapes", classes={"square": Square, **classes})


@pytest.fixture
def offer(monkeypatch):
    """Entry points as installed packages have them, without a package; the real thing is in tests/plugins."""

    def these(**offers: str) -> None:
        found = EntryPoints(EntryPoint(name, value, "cotune.shapes") for name, value in offers.items())
        monkeypatch.setattr(_registry, "_entry_points", lambda: found)

    these()
    return these


def drawing_of(table: Registry[Shape]) -> type[Config]:
    class Drawing(Config):
        first: Annotated[Shape, table] = Square()
        second: Annotated[Shape, table] | None = None

    Drawing.model_rebuild(_types_namespace={**globals(), "table": table})
    return Drawing


def test_what_is_installed_is_chosen_like_the_rest(offer):
    offer(disc=f"{__name__}:Disc")
    table = shapes()
    assert list(table) == ["square", "disc"]
    assert len(table) == 2
    drawing = drawing_of(table)
    one = parse(drawing, {"first": {"name": "disc", "radius": 2}}, "f")
    assert one.first == Disc(radius=2)
    assert one.plain() == {"first": {"name": "disc", "radius": 2.0, "inner": None}, "second": None}
    assert parse(drawing, one.plain(), "f") == one
    assert table.name_of(one.first) == "disc"
    with pytest.raises(InputError) as caught:
        parse(drawing, {"first": {"name": "disk"}}, "f")
    assert str(caught.value) == (
        "f: first.name: must be one of: disc, square; got 'disk' (did you mean 'disc'?)."
    )


def test_nothing_is_imported_before_it_is_chosen(offer):
    offer(gone="no_such_module:Gone")
    table = shapes()
    assert "gone" in table
    drawing = drawing_of(table)
    assert parse(drawing, {"first": {"name": "square"}}, "f").plain()["first"] == {
        "name": "square",
        "side": 1,
    }
    assert "Square" in drawing.model_json_schema()["$defs"]


@pytest.mark.parametrize(
    ("target", "reason"),
    [
        ("no_such_module:Gone", "it raises ModuleNotFoundError (No module named 'no_such_module')."),
        (f"{__name__}:Stranger", "it must be a subclass of test_core_registry.Shape."),
        (f"{__name__}:Unfinished", "it lacks area."),
        (f"{__name__}:Overlapping", "its option 'name' has the name of the key that chooses it."),
    ],
)
def test_what_cannot_be_used_is_told_when_it_is_chosen_and_breaks_nothing_else(offer, target, reason):
    offer(broken=target, disc=f"{__name__}:Disc")
    table = shapes()
    with pytest.raises(InputError) as caught:
        parse(drawing_of(table), {"second": {"name": "broken"}}, "f")
    assert str(caught.value) == (
        f"f: second.name: 'broken' is added by an unnamed package (cotune.shapes: {target}) and cannot be "
        f"used: {reason}"
    )
    assert table["disc"] is Disc
    assert table.name_of(Disc()) == "disc"


def test_a_name_is_of_one_package(offer):
    offer(square=f"{__name__}:Disc", disc=f"{__name__}:Disc")
    table = shapes()
    with pytest.raises(InputError, match=r"'square' is cotune's own and added by .*; uninstall one of the"):
        table["square"]
    assert table["disc"] is Disc
    with pytest.raises(InputError, match="'square' is taken"):
        table.add("square", Disc)
    table.add("disc", Square)
    with pytest.raises(InputError, match="'disc' is cotune's own and added by"):
        table["disc"]
    with pytest.raises(InputError, match="'unfinished' cannot be added: it lacks area"):
        table.add("unfinished", Unfinished)


def test_classes_can_be_added_and_tables_extended(offer):
    table = shapes()
    more = table.extended({"disc": Disc})
    assert set(more) == {"square", "disc"}
    assert set(table) == {"square"}
    table.add("disc", Disc)
    table.add("disc", Disc)
    assert table["disc"] is Disc
    with pytest.raises(KeyError):
        table["triangle"]


def test_the_schema_is_a_union_told_apart_by_the_key(offer):
    offer(disc=f"{__name__}:Disc")
    schema = drawing_of(shapes()).model_json_schema()
    union = schema["properties"]["first"]
    assert union["discriminator"] == {
        "propertyName": "name",
        "mapping": {"disc": "#/$defs/Disc", "square": "#/$defs/Square"},
    }
    assert union["oneOf"] == [{"$ref": "#/$defs/Disc"}, {"$ref": "#/$defs/Square"}]
    disc = schema["$defs"]["Disc"]
    assert list(disc["properties"]) == ["name", "radius", "inner"]
    assert disc["properties"]["name"]["const"] == "disc"
    assert disc["required"] == ["name"]
    assert {"type": "null"} in schema["properties"]["second"]["anyOf"]


# The schema of study files


def arms(schema: dict) -> list[dict]:
    """The methods of a retention study, which stand flat beside their labels."""
    return schema["$defs"][schema["properties"]["methods"]["items"]["$ref"].rpartition("/")[2]]["oneOf"]


@pytest.mark.parametrize("kind", KINDS)
def test_the_schema_of_a_study_names_everything_that_can_be_chosen(kind):
    from cotune.studies.readers import READERS
    from cotune.training.schemes import SCHEMES

    schema = KINDS[kind].config_class.model_json_schema()
    defined = schema["$defs"]
    for table in (READERS, SCHEMES):
        for name, cls in table.items():
            one = defined[cls.__name__]["properties"]
            assert name in [field.get("const") for field in one.values()]
            assert set(cls.model_fields) < set(one)
    listed = [defined[cls.__name__] for cls in METHODS.values()] if kind != "retention" else arms(schema)
    methods = {one["properties"]["name"]["const"]: one for one in listed}
    assert set(methods) == set(METHODS)
    for name, cls in METHODS.items():
        extra = {"label"} if kind == "retention" else set()
        assert set(methods[name]["properties"]) == {"name", *cls.model_fields, *extra}


def test_plain_data_of_studies_reads_back(tmp_path: Path):
    from test_run_keys import PROMOT, STUDIES, TEXT

    tasks = [{"reader": "jsonl", "path": "a.jsonl", "choices": ["a", "b"]}, {"reader": "toy_language"}]
    for kind, data in STUDIES.items():
        cls = KINDS[kind].config_class
        config = parse(cls, {"name": "x", "tasks": tasks, **data}, "f")
        assert parse(cls, config.plain(), "f") == config, kind
    config = parse(TuneConfig, {"model": "model", "method": PROMOT, "training": {"replay": TEXT}}, "f")
    assert parse(TuneConfig, config.plain(), "f") == config
