"""Conditions on a customer's columns as plain, comparable data."""

from __future__ import annotations

import operator as operators
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import date

import polars as pl

from segkit.errors import RuleError, require_choice

Constant = bool | int | float | str | date
LONG = 16  # a list of more values is looked up as a whole
EXACT = 2**53
_COMPARE: dict[str, Callable[[pl.Expr, pl.Expr], pl.Expr]] = {
    "<": operators.lt,
    "<=": operators.le,
    ">": operators.gt,
    ">=": operators.ge,
    "=": operators.eq,
    "!=": operators.ne,
}
KEYWORDS = frozenset(
    {"and", "or", "not", "in", "between", "is", "null", "true", "false", "otherwise"}
)


@dataclass(frozen=True, slots=True)
class Comparison:
    """A column compared with a constant: ``recency_days <= 30``."""

    column: str
    operator: str
    value: Constant


@dataclass(frozen=True, slots=True)
class Membership:
    """A column's value is (or is not) in a list: ``region in ('North', 'South')``."""

    column: str
    values: tuple[Constant, ...]
    negated: bool = False


@dataclass(frozen=True, slots=True)
class Between:
    """A column lies (or does not lie) in a closed range: ``r between 2 and 3``."""

    column: str
    low: Constant
    high: Constant
    negated: bool = False


@dataclass(frozen=True, slots=True)
class IsNull:
    """A column's value is (or is not) missing: ``email is null``."""

    column: str
    negated: bool = False


@dataclass(frozen=True, slots=True)
class All:
    """Every part holds (``and``); without parts it always holds (``otherwise``)."""

    parts: tuple[Condition, ...]


@dataclass(frozen=True, slots=True)
class Either:
    """At least one part holds (``or``)."""

    parts: tuple[Condition, ...]


@dataclass(frozen=True, slots=True)
class Negation:
    """The part does not hold; where the part is unknown, so is its negation."""

    part: Condition


Condition = Comparison | Membership | Between | IsNull | All | Either | Negation


def atoms(condition: Condition) -> Iterator[Comparison | Membership | Between | IsNull]:
    """Yield the conditions on single columns, left to right."""
    match condition:
        case All(parts) | Either(parts):
            for part in parts:
                yield from atoms(part)
        case Negation(part):
            yield from atoms(part)
        case _:
            yield condition


def columns(condition: Condition) -> tuple[str, ...]:
    """Return the columns that a condition reads, each once, in order of appearance."""
    return tuple(dict.fromkeys(atom.column for atom in atoms(condition)))


def constants(atom: Condition) -> tuple[Constant, ...]:
    """Return the constants that one atom compares its column with."""
    match atom:
        case Comparison(_, _, value):
            return (value,)
        case Membership(_, values, _):
            return values
        case Between(_, low, high, _):
            return (low, high)
        case _:
            return ()


def write(condition: Condition) -> str:
    """Write a condition as the text that parses back to it.

    Examples
    --------
    >>> write(All((Comparison("r", ">=", 4), IsNull("email"))))
    'r >= 4 and email is null'
    """
    return _write(condition, sql=False)


def write_sql(condition: Condition) -> str:
    r"""Write a condition as a standard SQL predicate with quoted column names.

    Examples
    --------
    >>> write_sql(Comparison("region", "!=", "Land's End"))
    '"region" <> \'Land\'\'s End\''
    """
    return _write(condition, sql=True)


def _write(condition: Condition, *, sql: bool) -> str:
    match condition:
        case Comparison(column, operator, value):
            sign = "<>" if sql and operator == "!=" else operator
            return f"{_name(column, sql)} {sign} {_constant(value, sql)}"
        case Membership(column, values, negated):
            items = ", ".join(_constant(value, sql) for value in values)
            return f"{_name(column, sql)} {_word('not ', sql, negated)}{_word('in', sql)} ({items})"
        case Between(column, low, high, negated):
            verb = _word("not ", sql, negated) + _word("between", sql)
            return (
                f"{_name(column, sql)} {verb} {_constant(low, sql)} "
                f"{_word('and', sql)} {_constant(high, sql)}"
            )
        case IsNull(column, negated):
            ending = _word("is not null" if negated else "is null", sql)
            return f"{_name(column, sql)} {ending}"
        case Negation(part):
            return f"{_word('not', sql)} ({_write(part, sql=sql)})"
        case All(()):
            return "TRUE" if sql else "otherwise"
        case All(parts):
            return _word(" and ", sql).join(_inner(part, sql) for part in parts)
        case Either(parts):
            return _word(" or ", sql).join(_inner(part, sql) for part in parts)


def _inner(part: Condition, sql: bool) -> str:
    text = _write(part, sql=sql)
    return f"({text})" if isinstance(part, All | Either) and len(part.parts) > 1 else text


def _word(word: str, sql: bool, wanted: bool = True) -> str:
    return (word.upper() if sql else word) if wanted else ""


def quote_name(name: str) -> str:
    """Return a name as SQL writes it."""
    return '"' + name.replace('"', '""') + '"'


def quote_text(text: str) -> str:
    """Return a text as SQL writes it."""
    return "'" + text.replace("'", "''") + "'"


def _name(column: str, sql: bool) -> str:
    if sql:
        return quote_name(column)
    plain = re.fullmatch(r"[^\W\d]\w*", column) and column.lower() not in KEYWORDS
    return column if plain else f"`{column}`"


def _constant(value: Constant, sql: bool) -> str:
    if isinstance(value, bool):
        return _word(str(value).lower(), sql)
    if isinstance(value, date):
        return f"DATE '{value.isoformat()}'" if sql else value.isoformat()
    if isinstance(value, str):
        return quote_text(value)
    text = repr(value)
    # SQL reads a plain decimal as an exact type; past 15 figures that rounds twice, "e0" does not.
    long = isinstance(value, float) and len(text.lstrip("-0.").replace(".", "")) > 15
    return f"{text}e0" if sql and long and "e" not in text else text


def expression(condition: Condition) -> pl.Expr:
    """Turn a condition into a Polars expression with SQL's three-valued logic.

    A comparison with a null is null, ``not`` of null is null, and a null never selects a row.
    """
    match condition:
        case Comparison(column, operator, value):
            require_choice("operator", operator, _COMPARE, RuleError)
            return _COMPARE[operator](pl.col(column), pl.lit(value))
        case Membership(column, values, negated):
            inside = _inside(column, values)
            return ~inside if negated else inside
        case Between(column, low, high, negated):
            inside = (pl.col(column) >= pl.lit(low)) & (pl.col(column) <= pl.lit(high))
            return ~inside if negated else inside
        case IsNull(column, negated):
            return pl.col(column).is_not_null() if negated else pl.col(column).is_null()
        case Negation(part):
            return ~expression(part)
        case All(()):
            return pl.lit(value=True)
        case All(parts):
            return pl.all_horizontal([expression(part) for part in parts])
        case Either(parts):
            return pl.any_horizontal([expression(part) for part in parts])


def _inside(column: str, values: tuple[Constant, ...]) -> pl.Expr:
    """Tell whether a column's value is one of a list; a long list is a set lookup."""
    col = pl.col(column)
    kinds = {type(value) for value in values}
    numbers = kinds <= {int, float}
    if len(values) <= LONG or (not numbers and len(kinds) > 1):
        return pl.any_horizontal([col == pl.lit(value) for value in values])
    if not numbers:
        return col.is_in(pl.Series(list(values)).implode())
    # Below 2**53 every whole number is a float of its own; above, they are compared as such.
    whole = [v for v in values if isinstance(v, int) and EXACT <= abs(v) < 2**63]
    wholes = set(whole)
    rest = [v for v in values if isinstance(v, int | float) and v not in wholes]
    inside = col.cast(pl.Float64).is_in(pl.Series(rest, dtype=pl.Float64, strict=False).implode())
    if not whole:
        return inside
    return inside | col.cast(pl.Int64, strict=False).is_in(pl.Series(whole).implode())
