"""The contract of every result: its frame, its text, its page, and its storage as JSON."""

from __future__ import annotations

import json
import math
from abc import abstractmethod
from collections.abc import Callable, Iterable, Mapping
from dataclasses import fields, is_dataclass
from datetime import date, datetime
from decimal import Decimal
from io import StringIO
from numbers import Real
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Self, TypeVar

from segkit.display import first_sentence, paragraphs, table_html
from segkit.errors import DataError, ModelError
from segkit.stored import name_of, name_of_path, type_of, upgrade_fields, version_of
from segkit.writing import write_whole

if TYPE_CHECKING:
    import polars as pl

    from segkit.plot import Figure as Figure
else:
    Figure = Any  # what a result's `plot` returns; a figure's own type is heavy to import

T = TypeVar("T")


class Result:
    """Base of every result: a frozen dataclass with a text, a frame, a figure and JSON storage.

    A subclass is declared ``@dataclass(frozen=True, slots=True, eq=False)``, documents each field
    with shape and unit, and has `text` and, where a figure helps, `plot`. Its first field that is a
    frame is its main table, which `to_frame` returns; a result of another kind has a `to_frame` of
    its own.
    """

    __slots__ = ()

    def to_frame(self) -> pl.DataFrame:
        """Return the main table, tidy and numeric."""
        import polars as pl

        values = (getattr(self, field.name) for field in fields(self))  # type: ignore[arg-type]
        return next(value for value in values if isinstance(value, pl.DataFrame))

    @property
    @abstractmethod
    def text(self) -> str:
        """Finding in a sentence or two, with its uncertainty and its caveat."""

    @property
    def headline(self) -> str:
        """First sentence of the text, for an index."""
        return first_sentence(self.text)

    @property
    def answer(self) -> str:
        """Answer to the question that the result was made for, in one short sentence."""
        return self.headline

    def _repr_html_(self) -> str:
        return f"{paragraphs(self.text)}{table_html(self.to_frame())}"

    def __str__(self) -> str:
        return self.text

    def to_dict(self) -> dict[str, Any]:
        """Return the result as JSON-ready data that `from_dict` turns back into the result."""
        encoded = encode(self)
        assert isinstance(encoded, dict)  # noqa: S101 - narrows the type; a Result is a dataclass
        return encoded

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Self:
        """Rebuild a result from `to_dict`'s data.

        Raises
        ------
        ModelError
            If the data were not written by this class.
        """
        try:
            result = decode(data)
        except ModelError:
            raise
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise ModelError(f"the stored {cls.__name__} cannot be read: {error!r}") from error
        if not isinstance(result, cls):
            raise ModelError(f"expected a stored {cls.__name__}, got {type(result).__name__}")
        return result


class StoredModel(Result):
    """Base of the models that are fitted, kept as legible JSON and applied later; never pickled.

    A model says what it is in ``KIND`` and writes itself with `to_data`; ``_read`` is the inverse.
    """

    __slots__ = ()
    KIND: ClassVar[str]  # "segkit_model" in its file
    FORMAT: ClassVar[int] = 1
    KEYS: ClassVar[Mapping[str, str]] = {}  # field -> its key in the file, where they differ

    def to_data(self) -> dict[str, Any]:
        """Return the model as plain JSON data, to be read by people too."""
        return {"segkit_model": self.KIND, "format": self.FORMAT, **write_fields(self, self.KEYS)}

    @classmethod
    @abstractmethod
    def _read(cls, data: Mapping[str, Any]) -> Self:
        """Rebuild a model from `to_data`'s data, which may be anything."""

    @classmethod
    def from_data(cls, data: Mapping[str, Any]) -> Self:
        """Rebuild a model from `to_data`'s data.

        Raises
        ------
        ModelError
            If these are the data of no such model, of a later format, or lack a field.
        """
        if not isinstance(data, Mapping) or data.get("segkit_model") != cls.KIND:
            kind = f"{cls.KIND.removesuffix('s')} model"
            raise ModelError(f"this is not a segkit {kind} (no 'segkit_model': {cls.KIND!r})")
        if data.get("format") != cls.FORMAT:
            raise ModelError(
                f"the model is of format {data.get('format')}; this segkit reads format "
                f"{cls.FORMAT}"
            )
        try:
            return cls._read(data)
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise ModelError(f"the {cls.__name__} cannot be read: {error!r}") from error

    def save(self, path: Path | str) -> Path:
        """Write the model as JSON and return the path."""
        text = json.dumps(self.to_data(), indent=1, ensure_ascii=False, allow_nan=False)
        return write_whole(path, text + "\n")

    @classmethod
    def load(cls, path: Path | str) -> Self:
        """Read a model that `save` wrote.

        Raises
        ------
        ModelError
            If the file is absent, is no JSON, or holds no model of this kind.
        """
        return cls.from_data(read_json(path, "model file"))


def write_fields(value: Any, keys: Mapping[str, str]) -> dict[str, Any]:
    """Return the fields of a dataclass as plain JSON data, each under its key in the file."""
    return {keys.get(f.name, f.name): _plain(getattr(value, f.name), keys) for f in fields(value)}


def _plain(value: Any, keys: Mapping[str, str]) -> Any:
    if isinstance(value, tuple):
        return [_plain(item, keys) for item in value]
    if isinstance(value, dict):
        return {key: _plain(item, keys) for key, item in value.items()}
    if isinstance(value, date):
        return value.isoformat()
    if hasattr(value, "to_data"):
        return value.to_data()
    if hasattr(value, "tolist"):  # an array
        return value.tolist()
    return write_fields(value, keys) if is_dataclass(value) else value


def read_fields(kind: type[T], data: Mapping[str, Any], keys: Mapping[str, str], **ready: Any) -> T:
    """Rebuild a dataclass from `write_fields`' data.

    Parameters
    ----------
    kind : type
    data : mapping
    keys : mapping of str to str
        As for `write_fields`.
    **ready
        Fields that are rebuilt already: objects with a reader of their own.

    Raises
    ------
    KeyError, TypeError, ValueError
        If a field is missing or of another type.
    """
    values = dict(ready)
    for field in fields(kind):  # type: ignore[arg-type]
        if field.name not in ready:
            stored = data[keys.get(field.name, field.name)]
            values[field.name] = _restore(str(field.type), stored)
    return kind(**values)


def _restore(annotation: str, value: Any) -> Any:
    """Return a field's stored value in the type of its annotation."""
    outer = annotation.split("[")[0]
    if outer == "date | None":
        return None if value is None else date.fromisoformat(value)
    expected = {"tuple": list, "dict": dict}.get(outer)
    if expected is not None and not isinstance(value, expected):
        raise TypeError(f"expected a {expected.__name__}, got {value!r}")
    return _frozen(value)


def _frozen(value: Any) -> Any:
    """Turn nested lists into tuples, and copy mappings."""
    if isinstance(value, list):
        return tuple(_frozen(item) for item in value)
    if isinstance(value, dict):
        return {key: _frozen(item) for key, item in value.items()}
    return value


def encode(value: Any) -> Any:
    """Turn a value into JSON-ready data, tagging what JSON has no type for.

    Frames, arrays, dates, decimals, paths, tuples and sets are tagged with ``"$type"``; results
    and their parts with their registered name and version (`segkit.stored`). Mappings need string
    keys.

    Raises
    ------
    ModelError
        If the value is of a type that cannot be stored.

    Examples
    --------
    >>> decode(encode({"when": date(2024, 1, 31), "sum": Decimal("1.10")}))
    {'when': datetime.date(2024, 1, 31), 'sum': Decimal('1.10')}
    """
    if value is None or isinstance(value, bool | int | str):
        return value
    if isinstance(value, float):
        return value if abs(value) < float("inf") else {"$type": "float", "value": repr(value)}
    if isinstance(value, datetime | date):
        return {"$type": type(value).__name__, "value": value.isoformat()}
    if isinstance(value, Decimal | Path):
        kind = "Decimal" if isinstance(value, Decimal) else "Path"
        return {"$type": kind, "value": str(value)}
    if isinstance(value, Mapping):
        return {str(key): encode(item) for key, item in value.items()}
    if isinstance(value, list):
        return [encode(item) for item in value]
    if isinstance(value, tuple | set | frozenset):
        items = list(value) if isinstance(value, tuple) else sorted(value)
        return {"$type": type(value).__name__, "value": [encode(item) for item in items]}
    if is_dataclass(value) and not isinstance(value, type):
        # What a result only carries along, such as the tables that it was made from, is left out.
        stored = [f for f in fields(value) if f.metadata.get("stored", True)]
        encoded = {f.name: encode(getattr(value, f.name)) for f in stored}
        name = name_of(type(value))
        return {"$type": "object", "name": name, "version": version_of(name), "fields": encoded}
    return _encode_array(value)


def _encode_array(value: Any) -> Any:
    import numpy as np
    import polars as pl

    if isinstance(value, pl.DataFrame):
        return {"$type": "DataFrame", "value": value.serialize(format="json")}
    if isinstance(value, pl.Series):
        return {"$type": "Series", "value": value.to_frame().serialize(format="json")}
    if isinstance(value, np.ndarray):
        return {"$type": "ndarray", "dtype": str(value.dtype), "value": value.tolist()}
    if isinstance(value, np.generic):
        return encode(value.item())
    raise ModelError(f"cannot store a {type(value).__name__} as JSON")


def decode(data: Any) -> Any:
    """Turn `encode`'s data back into values.

    Raises
    ------
    ModelError
        If a tag, a type name or its version is unknown, or the fields are not the type's.
    """
    if isinstance(data, list):
        return [decode(item) for item in data]
    if not isinstance(data, Mapping):
        return data
    kind = data.get("$type")
    if kind is None:
        return {key: decode(item) for key, item in data.items()}
    if kind == "object":
        return _decode_object(str(data["name"]), data["version"], data["fields"])
    if kind == "dataclass":  # as segkit 0.1 wrote it
        written = {key: item for key, item in data.items() if key not in ("$type", "class")}
        return _decode_object(name_of_path(str(data["class"])), 1, written)
    return _decode_tagged(str(kind), data)


def _decode_object(name: str, version: Any, stored: Mapping[str, Any]) -> Any:
    kind = type_of(name)
    decoded = {key: decode(item) for key, item in upgrade_fields(name, version, stored).items()}
    try:
        return kind(**decoded)
    except TypeError as error:
        raise ModelError(
            f"the stored {name} has other fields than {kind.__name__}: {error}"
        ) from error


def _decode_tagged(kind: str, data: Mapping[str, Any]) -> Any:
    import numpy as np
    import polars as pl

    value = data["value"]
    readers: dict[str, Callable[[Any], Any]] = {
        "float": float,
        "date": date.fromisoformat,
        "datetime": datetime.fromisoformat,
        "Decimal": Decimal,
        "Path": Path,
        "tuple": lambda items: tuple(decode(item) for item in items),
        "set": lambda items: {decode(item) for item in items},
        "frozenset": lambda items: frozenset(decode(item) for item in items),
        "DataFrame": lambda text: pl.DataFrame.deserialize(StringIO(text), format="json"),
        "Series": lambda text: pl.DataFrame.deserialize(StringIO(text), format="json").to_series(),
        "ndarray": lambda items: np.asarray(items, dtype=data["dtype"]),
    }
    if kind not in readers:
        raise ModelError(f"unknown stored type {kind!r}; known: {', '.join(readers)}")
    return readers[kind](value)


def read_json(path: Path | str, what: str) -> Any:
    """Read the plain data of a stored model, or of anything else that is kept as JSON.

    Parameters
    ----------
    path : path
    what : str
        What the file should hold, for the error: "model file".

    Raises
    ------
    ModelError
        If the file is absent, is no JSON, or holds NaN or Infinity, which JSON does not have.
    """
    source = Path(path)
    if not source.is_file():
        raise ModelError(f"there is no {what} at {source}")
    return parse_json(source.read_bytes(), source.name)


def parse_json(content: bytes, name: str) -> Any:
    """Read the plain data of a file of that name from its content.

    Raises
    ------
    ModelError
        If it is no JSON, or holds NaN or Infinity, which JSON does not have.
    """

    def refuse(word: str) -> float:
        raise ModelError(f"{name} holds {word} where a finite number is expected")

    try:
        return json.loads(content.decode("utf-8"), parse_constant=refuse)
    except ValueError as error:
        raise ModelError(f"{name} is not JSON: {error}") from error


def check_number(
    what: str,
    value: Any,
    *,
    least: float = -math.inf,
    above: float = -math.inf,
    most: float = math.inf,
    below: float = math.inf,
) -> None:
    """Raise ``ModelError`` unless a stored value is a finite number within its limits.

    Examples
    --------
    >>> check_number("the weight of S1", 0.5, above=0, most=1)
    >>> check_number("the weight of S1", float("nan"))
    Traceback (most recent call last):
    segkit.errors.ModelError: the weight of S1 must be a finite number; got nan
    """
    if isinstance(value, bool) or not isinstance(value, Real) or not math.isfinite(value):
        raise ModelError(f"{what} must be a finite number; got {value!r}")
    size = float(value)
    if not (least <= size <= most and above < size < below):
        limits = {"at least": least, "above": above, "at most": most, "below": below}
        words = ", ".join(f"{word} {end:g}" for word, end in limits.items() if math.isfinite(end))
        raise ModelError(f"{what} must be {words}; got {value!r}")


def check_numbers(what: str, values: Any, length: int, **limits: float) -> None:
    """Raise ``ModelError`` unless there are ``length`` finite numbers within the limits."""
    if not isinstance(values, list | tuple):
        raise ModelError(f"{what} must be a list of numbers; got {type(values).__name__}")
    if len(values) != length:
        raise ModelError(f"{what} must be {length} numbers, one per column; got {len(values)}")
    for value in values:
        check_number(what, value, **limits)


def check_names(what: str, names: Iterable[Any]) -> None:
    """Raise ``ModelError`` unless there are names, all different and none blank."""
    listed = list(names)
    if not listed:
        raise ModelError(f"the stored model has no {what}")
    for name in listed:
        if not isinstance(name, str) or not name.strip():
            raise ModelError(f"{what} must have names; got {name!r}")
    twice = sorted({name for name in listed if listed.count(name) > 1})
    if twice:
        raise ModelError(f"{what} must have different names; {', '.join(twice)} comes twice")


def check_customers(frame: pl.DataFrame) -> None:
    """Raise ``DataError`` if a ``customer_id`` is missing or repeated."""
    if "customer_id" not in frame.columns:
        return
    ids = frame.get_column("customer_id")
    twice = ids.drop_nulls().len() - ids.drop_nulls().n_unique()
    if twice or ids.null_count():
        raise DataError(
            f"customer_id must be present and unique in every row; {ids.null_count()} "
            f"are missing, {twice} are repeats"
        )
