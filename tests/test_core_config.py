from typing import Annotated, Literal

import pytest
from pydantic import PositiveInt

from cotune._config import Config, parse
from cotune._registry import Registry
from cotune.exceptions import CotuneError, InputError, RunError


class Base(Config):
    pass


class Cat(Base):
    lives: PositiveInt = 9


class Dog(Base):
    good: bool = True


PETS = Registry(Base, key="kind", classes={"cat": Cat, "dog": Dog})


class House(Config):
    number: PositiveInt
    colour: Literal["red", "white"] = "red"
    pet: Annotated[Base, PETS] = Dog()
    pets: tuple[Annotated[Base, PETS], ...] = ()
    tenant: Cat | None = None


def test_a_table_chooses_the_class():
    house = parse(House, {"number": 1, "pet": {"kind": "cat", "lives": 3}, "pets": [{"kind": "dog"}]}, "f")
    assert house.pet == Cat(lives=3)
    assert house.pets == (Dog(),)
    assert house.plain()["pet"] == {"kind": "cat", "lives": 3}
    assert parse(House, house.plain(), "f") == house
    assert parse(House, house, "f") is house


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        ({}, "f: number: is required and missing."),
        ({"number": 0}, "f: number: input should be greater than 0, got 0."),
        ({"numbr": 1}, "f: numbr: unknown key (did you mean 'number'?)."),
        ({"number": 1, "zzz": 1}, "f: zzz: unknown key; valid keys are: colour, number, pet, pets, tenant."),
        ({"number": 1, "colour": "blue"}, "f: colour: input should be 'red' or 'white', got 'blue'."),
        (
            {"number": 1, "tenant": "tom.jsonl"},
            "f: tenant: must be a mapping of keys to values (its keys: lives), got 'tom.jsonl'.",
        ),
        ({"number": 1, "pet": {}}, "f: pet: needs the key 'kind', one of: cat, dog."),
        ({"number": 1, "pet": "cat"}, "f: pet: must be a mapping with the key 'kind', got 'cat'."),
        (
            {"number": 1, "pet": {"kind": "cta"}},
            "f: pet.kind: must be one of: cat, dog; got 'cta' (did you mean 'cat'?).",
        ),
        (
            {"number": 1, "pets": [{"kind": "cat"}, {"kind": "cat", "live": 3}]},
            "f: pets.1.live: unknown key (did you mean 'lives'?).",
        ),
        (["a"], "f: must be a mapping of keys to values, got ['a']."),
    ],
)
def test_mistakes_are_one_sentence(data, expected):
    with pytest.raises(InputError) as caught:
        parse(House, data, "f")
    assert str(caught.value) == expected


def test_nothing_changes_after_it_is_made():
    house = House(number=1)
    with pytest.raises(ValueError, match="frozen"):
        house.number = 2


def test_one_root_of_errors_that_are_also_what_python_calls_them():
    assert issubclass(InputError, CotuneError)
    assert issubclass(InputError, ValueError)
    assert issubclass(RunError, RuntimeError)
