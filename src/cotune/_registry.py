"""Tables of classes that a file chooses by name: those of cotune, and those that installed packages add."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cache, cached_property
from importlib.metadata import EntryPoint, entry_points
from typing import Any, Generic, Self, TypeVar, cast

from pydantic import BaseModel, GetCoreSchemaHandler, GetJsonSchemaHandler, SerializationInfo
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema, core_schema

from cotune._config import ConfigError, did_you_mean, plain, validate
from cotune.exceptions import InputError

ModelT = TypeVar("ModelT", bound=BaseModel)


class Registry(Mapping[str, type[ModelT]], Generic[ModelT]):
    """The classes that ``{key: name, ...options}`` may become.

    As the annotation of a field (``method: Annotated[Method, METHODS]``) it makes the field a union of all
    of them, told apart by the key: in validation, in plain data and in the JSON schema.

    Packages add to it by entry points of its group. Their names are read from the installed packages'
    metadata when the registry is first looked into; their code is imported when one of them is chosen, or
    all are listed.

    Parameters
    ----------
    base : type
        The class that all are of.
    key : str
        The key that holds the name.
    classes : mapping of str to type
        Those of cotune, by name.
    default : str, optional
        The name that is meant where the key is not written.
    group : str, optional
        The group of entry points that adds further ones, such as ``cotune.methods``.
    """

    def __init__(
        self,
        base: type[Any],  # abstract, which type[ModelT] must not be
        *,
        key: str,
        classes: Mapping[str, type[ModelT]],
        default: str | None = None,
        group: str | None = None,
    ) -> None:
        self._base: type[Any] = base
        self._key = key
        self._default = default
        self._group = group
        self._classes = dict(classes)

    # A table is itself alone: annotations are hashed, and comparing its classes would import all of them.
    def __eq__(self, other: object) -> bool:
        return self is other

    def __hash__(self) -> int:
        return id(self)

    def __iter__(self) -> Iterator[str]:
        return iter({**self._classes, **self._installed})

    def __len__(self) -> int:
        return len({**self._classes, **self._installed})

    def __contains__(self, name: object) -> bool:
        return name in self._classes or name in self._installed

    def __getitem__(self, name: str) -> type[ModelT]:
        """Return the class of a name.

        Raises
        ------
        KeyError
            If there is no such name.
        InputError
            If packages contend for the name, or the package that adds it cannot be used.
        """
        offers = self._installed.get(name, [])
        if name in self._classes:
            if offers:
                raise InputError(f"'{name}' is cotune's own and {_offer(offers[0])} too; {_ONE}.")
            return self._classes[name]
        if len(offers) > 1:
            raise InputError(f"'{name}' is {' and '.join(map(_offer, offers))}; {_ONE}.")
        if not offers:
            raise KeyError(name)
        return self._load(offers[0])

    def add(self, name: str, cls: type[ModelT]) -> None:
        """Add a class from within the process; packages that are installed name it as an entry point.

        Raises
        ------
        InputError
            If the name is taken, or the class is none that can be chosen.
        """
        if self._classes.get(name, cls) is not cls:
            raise InputError(f"The name '{name}' is taken; choose another.")
        problem = self._problem(cls)
        if problem:
            raise InputError(f"'{name}' cannot be added: {problem}.")
        self._classes[name] = cls

    def extended(self, classes: Mapping[str, type[ModelT]]) -> Self:
        """Return the registry with further classes of cotune's own; this one stays as it is."""
        return type(self)(
            self._base,
            key=self._key,
            classes={**self._classes, **classes},
            default=self._default,
            group=self._group,
        )

    def name_of(self, chosen: ModelT) -> str:
        """Return the name of an instance's class, or that of a class that is not in the registry itself."""
        cls = type(chosen)
        own = next((name for name, one in self._classes.items() if one is cls), None)
        return own or next((name for name, one in self._usable() if one is cls), cls.__name__)

    def choose(self, data: Any) -> ModelT:
        """Make an instance of what ``{key: name, ...options}`` says; instances stay as they are.

        Raises
        ------
        ConfigError
            If it says nothing valid.
        """
        if isinstance(data, self._base):
            return cast("ModelT", data)
        if not isinstance(data, Mapping):
            raise ConfigError((), f"must be a mapping with the key '{self._key}', got {data!r}.")
        names = ", ".join(sorted(self))
        if self._key not in data and self._default is not None:
            return validate(self[self._default], data)
        if self._key not in data:
            raise ConfigError((), f"needs the key '{self._key}', one of: {names}.")
        name = data[self._key]
        if not isinstance(name, str) or name not in self:
            near = did_you_mean(str(name), self)
            raise ConfigError((self._key,), f"must be one of: {names}; got {name!r}{near}.")
        try:
            cls = self[name]
        except InputError as error:
            raise ConfigError((self._key,), str(error)) from error
        return validate(cls, {k: v for k, v in data.items() if k != self._key})

    def plain(self, chosen: ModelT) -> dict[str, Any]:
        """Return plain JSON types, which :meth:`choose` makes the same instance of."""
        return {self._key: self.name_of(chosen), **plain(chosen)}

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        # The classes are looked up by every validation, not here: a package that adds one imports cotune,
        # which is still being imported while the schemas of its own fields are built.
        return core_schema.no_info_plain_validator_function(
            self.choose,
            serialization=core_schema.plain_serializer_function_ser_schema(self._dump, info_arg=True),
        )

    def __get_pydantic_json_schema__(
        self, schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        return self.json_schema(handler)

    def json_schema(
        self, handler: GetJsonSchemaHandler, beside: Mapping[str, JsonSchemaValue] | None = None
    ) -> JsonSchemaValue:
        """Return the JSON schema of the union.

        Parameters
        ----------
        handler : GetJsonSchemaHandler
            Makes the schemas of the classes.
        beside : mapping of str to JSON schema, optional
            Keys that may stand beside the options of every class.
        """
        variants = {}
        for name, cls in sorted(self._usable(own=True)):
            reference = handler(_by_reference(cls))
            variant = handler.resolve_ref_schema(reference)
            tag = {"const": name, "type": "string", "description": f"Chooses these options: {name}."}
            variant["properties"] = {self._key: tag, **variant.get("properties", {})}
            needed = [k for k in variant.get("required", ()) if k != self._key]
            variant["required"] = needed if name == self._default else [self._key, *needed]
            properties = {**variant["properties"], **(beside or {})}
            variants[name] = {**variant, "properties": properties} if beside else reference
        discriminator: dict[str, Any] = {"propertyName": self._key}
        if not beside:
            discriminator["mapping"] = {name: one["$ref"] for name, one in variants.items()}
        return {"discriminator": discriminator, "oneOf": list(variants.values())}

    def _dump(self, chosen: ModelT, info: SerializationInfo) -> dict[str, Any]:
        options = chosen.model_dump(
            mode=info.mode,
            exclude_unset=info.exclude_unset,
            exclude_defaults=info.exclude_defaults,
        )
        return {self._key: self.name_of(chosen), **options}

    @cached_property
    def _installed(self) -> dict[str, list[EntryPoint]]:
        """What packages offer, by name; nothing of it is imported."""
        offers: dict[str, list[EntryPoint]] = {}
        found = _entry_points().select(group=self._group) if self._group else ()
        for offer in sorted(found, key=_offer):
            offers.setdefault(offer.name, []).append(offer)
        return offers

    def _usable(self, *, own: bool = False) -> Iterator[tuple[str, type[ModelT]]]:
        """Classes by name, without those of packages that cannot be used, which are told of when chosen."""
        for name in self if own else self._installed:
            try:
                yield name, self[name]
            except InputError:
                continue

    def _load(self, offer: EntryPoint) -> type[ModelT]:
        try:
            cls = offer.load()
        except Exception as error:  # whatever a stranger's module does when it is imported
            reason = f"it raises {type(error).__name__} ({error})".rstrip(".")
        else:
            problem = self._problem(cls)
            if not problem:
                return cls  # type: ignore[no-any-return]
            reason = problem
        raise InputError(f"'{offer.name}' is {_offer(offer)} and cannot be used: {reason}.")

    def _problem(self, cls: Any) -> str:
        """Say why a class cannot be chosen, or nothing."""
        if not (isinstance(cls, type) and issubclass(cls, self._base)):
            return f"it must be a subclass of {self._base.__module__}.{self._base.__name__}"
        lacking: frozenset[str] = getattr(cls, "__abstractmethods__", frozenset())
        if lacking:
            return f"it lacks {', '.join(sorted(lacking))}"
        if self._key in getattr(cls, "model_fields", ()):
            return f"its option '{self._key}' has the name of the key that chooses it"
        return ""


def _by_reference(cls: type[BaseModel]) -> CoreSchema:
    """Return a class's schema so that JSON schemas define it once and refer to it."""
    schema, definitions = cls.__pydantic_core_schema__, []
    if schema["type"] == "definitions":
        schema, definitions = schema["schema"], schema["definitions"]
    if schema["type"] == "definition-ref":
        reference = schema
    else:
        name = f"{cls.__module__}.{cls.__qualname__}:{id(cls)}"
        reference = core_schema.definition_reference_schema(name)
        definitions = [*definitions, cast("CoreSchema", {**schema, "ref": name})]
    return core_schema.definitions_schema(reference, definitions)


_ONE = "uninstall one of the packages"


@cache
def _entry_points() -> Any:
    """All entry points there are, read once a process."""
    return entry_points()


def _offer(offer: EntryPoint) -> str:
    package = f"the package {offer.dist.name} {offer.dist.version}" if offer.dist else "an unnamed package"
    return f"added by {package} ({offer.group}: {offer.value})"
