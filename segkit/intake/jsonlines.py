"""JSON Lines: one object per line, nested objects flattened, lists of objects as rows."""

from __future__ import annotations

import io
import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import polars as pl

from segkit.display import counted, number
from segkit.errors import SourceError
from segkit.intake.textfiles import RawTable, distinct_names

Record = dict[str, Any]
# Number of objects that are read at a time.
CHUNK = 20_000
# Lists of a name and a value, as in GA4's event_params, are columns in disguise.
PAIRS = ({"key", "value"}, {"name", "value"})


def read_json_lines(
    path: Path,
    text: str,
    table: str,
    explode: str | None,
    default: Callable[[list[str]], str | None] = lambda _: None,
) -> RawTable:
    """Read objects, one per line or as one list; every value as text, as it is written.

    A nested object becomes columns with dotted names (``customer.email``), so does a list of keys
    and values. One list of objects, such as the items of an order, makes a row of each object, with
    the rest repeated. A list of plain values is joined by commas. ``explode`` names that list (""
    for none: then a list of one object is flattened, and longer ones stay as text); where it is
    None, ``default`` gives it for the names of the columns. ``path`` and ``table`` are for
    messages.
    """
    frames: list[pl.DataFrame] = []
    lists: dict[str, None] = {}
    objects = 0
    for records in _chunks(path, text):
        flat = [_flatten(record) for record in records]
        objects += len(flat)
        lists |= dict.fromkeys(
            name
            for record in flat
            for name, value in record.items()
            if isinstance(value, list) and any(isinstance(item, dict) for item in value)
        )
        if explode is None:
            explode = default(list(dict.fromkeys(name for record in flat for name in record)))
        if explode is None and len(lists) > 1:
            listed = " or ".join(f'"{name}"' for name in lists)
            raise SourceError(
                f"{path.name} holds {counted(len(lists), 'list')} of objects; say which of them "
                f'makes the rows: [{table}] explode = {listed}, or "" for none'
            )
        # Objects read before the first list have none: they are one row each in any case.
        rows_of = next(iter(lists), "") if explode is None else explode
        rows = _exploded(flat, rows_of) if rows_of else flat
        frames.append(_frame([_settled(row) for row in rows]))
    if not frames:
        raise SourceError(f"{path.name} holds no objects; expected one per line")
    if explode and explode not in lists:
        available = ", ".join(lists) or "none"
        raise SourceError(
            f"{path.name}: explode = {explode!r}: expected a list of objects, found: {available}"
        )
    frame = pl.concat(frames, how="diagonal")
    frame.columns, changes = distinct_names(frame.columns)
    notes = [f"{path.name}: {change}" for change in changes]
    if rows_of:
        notes.append(
            f"{path.name}: {counted(objects, 'object')} with {counted(frame.height, 'row')} of "
            f"{rows_of!r}; what an object says once is repeated in each of its rows (explode)"
        )
    return RawTable(frame, 1 if frame.height == objects else None, tuple(notes))


def _frame(rows: list[dict[str, str | None]]) -> pl.DataFrame:
    names = dict.fromkeys(name for row in rows for name in row)
    return pl.DataFrame(
        pl.Series(name, [row.get(name) for row in rows], dtype=pl.String) for name in names
    )


def _chunks(path: Path, text: str) -> Iterator[list[Record]]:
    """Parse the objects, numbers as they are written, some thousands at a time."""
    head = text.lstrip()
    if head.startswith("[") or re.match(r"\{\s*\n", head):
        try:
            whole = json.loads(text, parse_float=str, parse_int=str, parse_constant=str)
        except (ValueError, RecursionError) as error:
            raise SourceError(f"{path.name} is not valid JSON: {error}") from error
        if isinstance(whole, dict):  # the answer of a web service: the records are in one list
            lists = (item for item in whole.values() if isinstance(item, list) and item)
            nested = [item for item in lists if all(isinstance(one, dict) for one in item)]
            whole = nested[0] if len(nested) == 1 else [whole]
        for start in range(0, len(whole), CHUNK):
            yield _objects(path, whole[start : start + CHUNK], start)
        return
    chunk: list[Any] = []
    read = 0
    for place, line in enumerate(io.StringIO(text), 1):
        if not line.strip():
            continue
        try:
            chunk.append(json.loads(line, parse_float=str, parse_int=str, parse_constant=str))
        except (ValueError, RecursionError) as error:
            raise SourceError(
                f"{path.name}: line {number(place)} is not valid JSON: {error}; expected one "
                "object a line"
            ) from error
        if len(chunk) == CHUNK:
            yield _objects(path, chunk, read)
            read, chunk = read + CHUNK, []
    if chunk:
        yield _objects(path, chunk, read)


def _objects(path: Path, records: list[Any], before: int) -> list[Record]:
    for place, record in enumerate(records, before + 1):
        if not isinstance(record, dict):
            raise SourceError(
                f"{path.name}: expected objects such as {{...}}, got {type(record).__name__} as "
                f"number {number(place)}"
            )
    return records


def _flatten(record: Record, prefix: str = "") -> Record:
    """Flatten nested objects, and lists of keys and values, to dotted names."""
    flat: Record = {}
    for name, value in record.items():
        key = prefix + name
        if (
            isinstance(value, list)
            and value
            and all(isinstance(item, dict) and set(item) in PAIRS for item in value)
        ):
            value = {str(item.get("key", item.get("name"))): item["value"] for item in value}
            value = {name: _only(item) for name, item in value.items()}
        if isinstance(value, dict):
            flat |= _flatten(value, f"{key}.")
        else:
            flat[key] = value
    return flat


def _only(value: Any) -> Any:
    """Return the one value of an object with a value for each type, as in GA4."""
    if isinstance(value, dict) and all(name.endswith("_value") for name in value):
        given = [item for item in value.values() if item is not None]
        return given[0] if given else None
    return value


def _exploded(flat: list[Record], name: str) -> list[Record]:
    """Make a row of each object in a list; an object without any keeps one row."""
    rows = []
    for record in flat:
        rest = {key: value for key, value in record.items() if key != name}
        items = [item for item in record.get(name) or [] if isinstance(item, dict)]
        rows += [{**rest, **_flatten(item, f"{name}.")} for item in items] or [rest]
    return rows


def _settled(row: Record) -> dict[str, str | None]:
    """Write the values of a row as text."""
    settled: dict[str, str | None] = {}
    for name, value in row.items():
        if isinstance(value, list) and len(value) == 1 and isinstance(value[0], dict):
            settled |= _settled(_flatten(value[0], f"{name}."))
        else:
            settled[name] = _text(value)
    return settled


def _text(value: Any) -> str | None:
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, list) and not any(isinstance(item, list | dict) for item in value):
        return ", ".join(str(item) for item in value if item is not None) or None
    return json.dumps(value, ensure_ascii=False)
