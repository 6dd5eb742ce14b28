"""Answers to the audit's questions: what a question offers, and what somebody wrote."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping as Map
from collections.abc import Sequence
from dataclasses import replace
from itertools import product
from typing import Any

from segkit.errors import ParameterError
from segkit.intake.mapping import OPTIONS, Mapping

# An assignment in an answer of the audit: [table] "word" = value (or other values).
_TEXT = r'"(?:[^"\\]|\\.)*"'
_LIST = rf'\[(?:{_TEXT}|[^\]"])*\]'
_ASSIGNED = re.compile(
    rf"(?:\[((?:[\w.]|{_TEXT})+)\]\s*)?([\w.]+|{_TEXT})\s*=\s*({_TEXT}|{_LIST}|[^\s,;()]+)"
    rf"(\s*\(or (?:{_TEXT}|[^)\"])*\))?"
)
_QUOTED = rf"{_TEXT}|\([^)]*\)|{_LIST}"
_BARE = re.compile(r"[A-Za-z0-9_-]+")


def mapping_of(answers: Sequence[str]) -> Mapping:
    """Read answers as a mapping; a later one overrules an earlier one, which is kept in mind.

    However many columns they name, the rest of a proposal stays.
    """
    mapping, overruled = Mapping(), []
    for text in answers:
        merged = Mapping.from_dict(read_answer(text)).over(mapping)
        stays = _entries(merged.to_dict())
        overruled += [
            f"{path} = {value!r}"
            for path, value in _entries(mapping.to_dict()).items()
            if stays.get(path) != value and not isinstance(value, list)
        ]
        mapping = merged
    return replace(mapping, answered=frozenset(mapping.tables), overruled=tuple(overruled))


def _entries(data: Map[str, Any], before: str = "") -> dict[str, Any]:
    """List the entries of a mapping by their path."""
    entries: dict[str, Any] = {}
    for key, value in data.items():
        path = f"{before}{key}"
        entries |= _entries(value, f"{path}.") if isinstance(value, Map) else {path: value}
    return entries


def offered_answers(text: str) -> list[list[str]]:
    """Read the answers that a question offers, the best first.

    Each may take several lines of a mapping; "..." stands where the audit knows no value.

    Examples
    --------
    >>> offered_answers("[orders] day_first = true (or false)")
    [['orders.day_first=true'], ['orders.day_first=false']]
    >>> offered_answers('[orders.columns] amount = "..."')
    [['orders.columns.amount=...']]
    >>> offered_answers('[orders.values.status] "A" = "sale", "B" = "unpaid"; or currency = "EUR"')
    [['orders.values.status.A=sale', 'orders.values.status.B=unpaid'], ['currency=EUR']]
    """
    return [offer for part in split_offers(text) for offer in _alternatives(part)]


def split_offers(text: str) -> list[str]:
    """Split the answers that a question offers, the best first, as they are written."""
    parts = re.sub(rf"({_QUOTED})|;", lambda m: m[1] or "\0", text).split("\0")
    return [part.strip() for part in parts]


def as_options(text: str) -> list[str]:
    """Write the answers that a question offers as options of a command, the best first.

    What is to be filled in ("...") is none beside others.

    Examples
    --------
    >>> as_options("[orders] day_first = true (or false)")
    ['--answer "orders.day_first=true"', '--answer "orders.day_first=false"']
    """
    offers = offered_answers(text)
    real = [offer for offer in offers if "=..." not in " ".join(offer)]
    return [" ".join(f"--answer {_quoted(one)}" for one in offer) for offer in real or offers]


def _quoted(answer: str) -> str:
    if '"' in answer and "'" not in answer:
        return f"'{answer}'"
    return '"' + answer.replace('"', '\\"') + '"'


def _alternatives(text: str) -> list[list[str]]:
    """Read one answer: its lines, and the same with each other value of the first."""
    values: dict[str, list[str]] = {}
    table = ""
    for named, key, value, others in _ASSIGNED.findall(text):
        if not named and not key.startswith('"') and key not in OPTIONS:
            continue  # a word of the explanation
        table = named or (table if key.startswith('"') else "")
        bare = _unquoted(key)
        last = bare if _BARE.fullmatch(bare) else f"'{bare}'" if "'" not in bare else key
        path = f"{table}.{last}" if table else last
        more = re.split(r",\s*|\s+or\s+", others.strip()[4:-1].partition(";")[0]) if others else []
        more = [one for one in more if re.fullmatch(rf"{_TEXT}|[^\s\"]+", one)]
        values.setdefault(path, []).extend(map(_unquoted, (value, *more)))
    if not values:
        return []
    first, *rest = values
    also = [f"{path}={values[path][0]}" for path in rest]
    return [[f"{first}={value}", *also] for value in dict.fromkeys(values[first])]


def _unquoted(value: str) -> str:
    """Take quotes off a text, so that no command line does: it is read without them too."""
    bare = value.strip()
    if bare.startswith("["):
        return bare if "'" in bare or "\\" in bare else bare.replace('"', "'")
    if len(bare) > 1 and bare[0] == bare[-1] == '"':
        return re.sub(r"\\(.)", r"\1", bare[1:-1])
    return bare


def read_answer(text: str) -> dict[str, Any]:
    """Read an answer: ``orders.columns.amount=Total``, or the line of a mapping file.

    Raises
    ------
    ParameterError
        If it is neither.

    Examples
    --------
    >>> read_answer("orders.day_first=true"), read_answer('[orders.columns] amount = "Net total"')
    ({'orders': {'day_first': True}}, {'orders': {'columns': {'amount': 'Net total'}}})
    >>> read_answer("orders.columns.amount=Net total")
    {'orders': {'columns': {'amount': 'Net total'}}}
    >>> read_answer("orders.values.status.已 取消=cancelled")
    {'orders': {'values': {'status': {'已 取消': 'cancelled'}}}}
    """
    match = re.fullmatch(r"\s*(?:\[([^\]]+)\])?\s*([^=]+?)\s*=\s*(.*?)\s*", text, re.DOTALL)
    if match is None:
        raise ParameterError(f"expected an answer such as orders.day_first=true, got {text!r}")
    table, key, value = match.groups()
    path = f"{table}.{key}" if table else key
    named = re.fullmatch(r"(.*\bvalues\.\w+)\.(.+)", path)  # of a word in any script
    paths = [path, *([f"{named[1]}.{quote_text(named[2])}"] if named else [])]
    for whole, written in product(paths, (value, quote_text(value))):
        try:
            return tomllib.loads(f"{whole} = {written}")
        except tomllib.TOMLDecodeError:
            continue
    raise ParameterError(f"expected an answer such as orders.day_first=true, got {text!r}")


def quote_text(value: str) -> str:
    r"""Write a text as a mapping file needs it.

    Examples
    --------
    >>> print(quote_text('5" nails'))
    "5\" nails"
    """
    escaped = value.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'
