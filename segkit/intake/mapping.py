"""Mapping file: meaning of a source's columns, constants, words and options."""

from __future__ import annotations

import functools
import tomllib
from collections.abc import Mapping as Map
from dataclasses import dataclass, field, replace
from datetime import date, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo, available_timezones

from segkit.errors import MappingError, SourceError, unknown
from segkit.ids import NO_CUSTOMER, is_of_column
from segkit.intake.country import countries
from segkit.intake.headers import WORDS
from segkit.intake.statuses import ROW_KINDS, STATUSES
from segkit.schema import CONTRACTS, OPEN, fields
from segkit.writing import write_whole

if TYPE_CHECKING:
    import polars as pl


@dataclass(frozen=True, slots=True)
class Option:
    """One choice of the mapping file.

    Attributes
    ----------
    default : value
        Value if the mapping does not set the option; None means "as detected in the data".
    kinds : tuple of type
        Types that a value may have.
    about : str
        What the option controls.
    values : tuple of str
        The allowed words, if the option accepts only certain ones.
    """

    default: Any
    kinds: tuple[type, ...]
    about: str
    values: tuple[str, ...] = ()

    def problem(self, value: Any) -> str:
        """Describe what is wrong with a value; empty if nothing is."""
        wrong_bool = isinstance(value, bool) and bool not in self.kinds
        if wrong_bool or not isinstance(value, self.kinds):
            names = " or ".join(kind.__name__ for kind in self.kinds)
            return f"expected {names}, got {type(value).__name__}"
        if self.values and value not in self.values:
            return f"expected one of {', '.join(self.values)}"
        return ""


TOTALS: tuple[str, ...] = tuple(WORDS["totals"]["words"])
NULLS = ("", "NA", "N/A", "#N/A", "NaN", "nan", "NULL", "null", "None", "<NA>", "NaT")

# Presets: the layouts of a known system's exports, one file each.
PRESET_FOLDER = Path(__file__).with_name("presets")
PRESETS = tuple(sorted(path.stem for path in PRESET_FOLDER.glob("*.toml")))

_KINDS = {kind.__name__: kind for kind in (str, int, bool, list, tuple, date)}
_LISTS = {"nulls": NULLS, "no_customer": NO_CUSTOMER, "total_words": TOTALS}


def _read_options() -> dict[str, Option]:
    """Read the options of ``options.toml``."""
    data = tomllib.loads(Path(__file__).with_name("options.toml").read_text(encoding="utf-8"))
    options = {}
    for name, item in data.items():
        default = list(_LISTS[name]) if name in _LISTS else item.get("default")
        listed = {"preset": (*PRESETS, "none"), "phone_country": tuple(countries())}
        allowed = listed.get(name, tuple(item.get("values", ())))
        kinds = tuple(_KINDS[kind] for kind in item["kinds"])
        options[name] = Option(default, kinds, item["about"], allowed)
    return options


OPTIONS = _read_options()
_ORDERS_ONLY = """
order_grain return_prefix negative zero discount_unit discount_taken minor_units non_products
non_product_lines cancelled not_states total_words amount_of refund_of refund_is rate_is
state_time order_within
"""
ORDERS_ONLY = frozenset(_ORDERS_ONLY.split())
OF_TABLES = {"answers": "survey", "not_consents": "customers"}


def as_date(value: Any) -> date | None:
    """Turn an option's date (text or date) into a date.

    Raises
    ------
    ValueError
        If text is not an ISO date.

    Examples
    --------
    >>> as_date("2011-12-09")
    datetime.date(2011, 12, 9)
    """
    if value is None or (isinstance(value, date) and not isinstance(value, datetime)):
        return value
    return date.fromisoformat(str(value)[:10])


STATUS_COLUMNS = ("status", "payment_status")
SECTIONS = ("columns", "constants", "values", "questions")


@dataclass(frozen=True, slots=True)
class TableMapping:
    """How one raw table becomes one clean table.

    Attributes
    ----------
    columns : dict of str to str
        For each column of the contract, the column of the source.
    constants : dict of str to value
        Values for columns that the source lacks; where the source has the column, the constant
        fills its gaps.
    values : dict of str to dict
        For each column, the source's words and their meaning here (event types, channels, yes and
        no; of a status "sale", "unpaid", "cancelled" or "refunded"; of a kind of row "line",
        "return", "discount", "total", "charge", "test" or "other"). The word "" stands for an empty
        cell of a status or a kind of row, "*" for every other word of a status.
    options : dict of str to value
        Options for this table only; see ``segkit.intake.mapping.OPTIONS``.
    """

    columns: dict[str, str] = field(default_factory=dict)
    constants: dict[str, Any] = field(default_factory=dict)
    values: dict[str, dict[str, Any]] = field(default_factory=dict)
    options: dict[str, Any] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        """Return the table as it stands in the TOML file."""
        parts: dict[str, Any] = dict(self.options)
        for name in ("columns", "constants", "values"):
            if getattr(self, name):
                parts[name] = getattr(self, name)
        return parts


@dataclass(frozen=True, slots=True)
class Mapping:
    """The whole mapping: a part for each table, and options that hold for all.

    Attributes
    ----------
    tables : dict of str to TableMapping
        By the contract's table name ("orders", "events", ...).
    options : dict of str to value
        Options for every table (``timezone``, ``currency``, ...); a table's own go first.
    answered : frozenset of str
        Tables that answers complete: what is proposed for the rest of their columns stays.
    overruled : tuple of str
        Answers that a later answer overrules.

    Examples
    --------
    >>> mapping = Mapping.from_dict({"timezone": "Europe/Paris", "orders": {
    ...     "return_prefix": "C", "columns": {"customer_id": "CustomerID"}}})
    >>> mapping.option("orders", "timezone"), mapping.option("orders", "duplicates")
    ('Europe/Paris', 'flag')
    >>> Mapping.from_dict({"timezone": "Europe/Pari"})
    Traceback (most recent call last):
    segkit.errors.MappingError: unknown time zone 'Europe/Pari'; did you mean 'Europe/Paris'?
    """

    tables: dict[str, TableMapping] = field(default_factory=dict)
    options: dict[str, Any] = field(default_factory=dict)
    answered: frozenset[str] = field(default=frozenset(), compare=False)
    overruled: tuple[str, ...] = field(default=(), compare=False)

    def __post_init__(self) -> None:
        for name, value in self.options.items():
            _check_option(name, value, "the mapping")
        for table, part in self.tables.items():
            _check_table(table, part)

    @classmethod
    def from_dict(cls, data: Map[str, Any]) -> Mapping:
        """Build a mapping from nested dictionaries laid out as the TOML file is.

        Raises
        ------
        MappingError
            If a table, column or option is unknown, or an option's value is not allowed.
        """
        tables: dict[str, TableMapping] = {}
        options: dict[str, Any] = {}
        for name, value in data.items():
            if name in CONTRACTS and isinstance(value, Map):
                parts = {key: dict(value.get(key, {})) for key in SECTIONS[:3]}
                rest = {key: item for key, item in value.items() if key not in SECTIONS}
                tables[name] = TableMapping(**parts, options=rest)
            elif isinstance(value, Map):
                raise MappingError(unknown("table in the mapping", name, CONTRACTS))
            else:
                options[name] = value
        return cls(tables, options)

    @classmethod
    def load(cls, path: Path | str) -> Mapping:
        """Read a mapping from a TOML file.

        Raises
        ------
        SourceError
            If the file is not there.
        MappingError
            If it is not TOML, or names an unknown table, column or option.
        """
        file = Path(path)
        if not file.is_file():
            raise SourceError(f"expected a mapping file (TOML) at {file}, found none")
        try:
            data = tomllib.loads(file.read_text(encoding="utf-8-sig"))
        except (ValueError, RecursionError) as error:  # digits or brackets without end, too
            raise MappingError(f"{file.name} is not a valid TOML file: {error}") from error
        return cls.from_dict(data)

    @classmethod
    def of_source(cls, name: str) -> Mapping:
        """Read the mapping of a known data set, from ``data/mappings`` or where it is installed."""
        return cls.load(known_mappings() / f"{name}.toml")

    def to_dict(self) -> dict[str, Any]:
        """Return the mapping as nested dictionaries, as `from_dict` takes them."""
        tables = {name: part.to_dict() for name, part in self.tables.items()}
        return {**self.options, **tables}

    def to_toml(self) -> str:
        """Write the mapping as the text of a TOML file."""
        return to_toml(self.to_dict())

    def save(self, path: Path | str) -> Path:
        """Write the mapping as a TOML file and return its path."""
        return write_whole(path, self.to_toml())

    def option(self, table: str, name: str) -> Any:
        """Return an option's value for a table: its own, the mapping's, or the default."""
        part = self.tables.get(table)
        if part is not None and name in part.options:
            return part.options[name]
        return self.options.get(name, OPTIONS[name].default)

    def is_set(self, table: str, name: str) -> bool:
        """Return whether the mapping sets an option itself, for the table or for all."""
        part = self.tables.get(table)
        return name in self.options or (part is not None and name in part.options)

    def with_option(self, table: str | None, name: str, value: Any) -> Mapping:
        """Return the mapping with one option set, for one table or (None) for all."""
        if table is None:
            return replace(self, options={**self.options, name: value})
        part = self.tables.get(table, TableMapping())
        part = replace(part, options={**part.options, name: value})
        return replace(self, tables={**self.tables, table: part})

    def over(self, other: Mapping) -> Mapping:
        """Return the other mapping, with this mapping's settings taking precedence."""
        tables = dict(other.tables)
        for table, part in self.tables.items():
            below = tables.get(table, TableMapping())
            used_columns = set(part.columns.values())
            other_columns = {
                ours: raw_column
                for ours, raw_column in below.columns.items()
                if raw_column not in used_columns
                and not (ours == "currency" and "currency" in part.constants)  # of all amounts
            }
            tables[table] = TableMapping(
                {**other_columns, **part.columns},
                {**below.constants, **part.constants},
                {
                    name: {**below.values.get(name, {}), **part.values.get(name, {})}
                    for name in {**below.values, **part.values}
                },
                {**below.options, **part.options, **_joined_lists(below, part)},
            )
        answered = {t for t in self.answered | other.answered if self.leaves(t) and other.leaves(t)}
        options = {**other.options, **self.options}
        return Mapping(tables, options, frozenset(answered), self.overruled)

    def leaves(self, table: str) -> bool:
        """Return whether columns of a table are left to propose: some are required, or answered."""
        part = self.tables.get(table)
        return part is None or table in self.answered or bool(lacks(table, part))

    def check_columns(self, table: str, frame: pl.DataFrame) -> None:
        """Raise ``MappingError`` if the table names a column that the frame lacks."""
        for ours, raw_column in self.tables[table].columns.items():
            if raw_column not in frame.columns:
                raise MappingError(
                    f"[{table}.columns] {ours} = {raw_column!r}: "
                    + unknown("column", raw_column, frame.columns)
                )


def _joined_lists(below: TableMapping, part: TableMapping) -> dict[str, Any]:
    """Join the lists that answers fill: one answer adds to another.

    Of ids that stand for nobody, a later list of bare ones replaces an earlier one.
    """
    joined: dict[str, Any] = {}
    for name in ("not_states", "nulls", "no_customer"):
        lists = [one.options.get(name) for one in (below, part)]
        if not all(isinstance(one, list | tuple) for one in lists):
            continue
        first, last = ([*one] for one in lists if one is not None)
        if name == "no_customer" and not (last and all(map(is_of_column, last))):
            first = [*filter(is_of_column, first)] if last else []
        joined[name] = list(dict.fromkeys([*first, *last]))
    return joined


def lacks(table: str, part: TableMapping) -> list[str]:
    """List the required columns that a table's mapping does not provide."""
    have = {*part.columns, *part.constants}
    need = [f.name for f in CONTRACTS[table] if f.required and f.raw]
    derived = {"order_id", "is_return"}
    if {"quantity", "unit_price"} <= have:
        derived.add("amount")
    if have & {"email", "device_id", "loyalty_id"}:
        derived.add("customer_id")
    return [name for name in need if name not in have | derived]


def _check_table(table: str, part: TableMapping) -> None:
    if table not in CONTRACTS:
        raise MappingError(unknown("table in the mapping", table, CONTRACTS))
    columns = [name for name, item in fields(table).items() if item.raw]
    for section in ("columns", "constants", "values"):
        for name in getattr(part, section):
            if name not in columns and not (table in OPEN and section != "constants"):
                raise MappingError(f"[{table}.{section}]: {unknown('column', name, columns)}")
    for name, value in part.columns.items():
        if not isinstance(value, str):
            raise MappingError(f"[{table}.columns] {name}: expected a column's name, got {value!r}")
    _check_meanings(table, part)
    for name, value in part.options.items():
        owner = "orders" if name in ORDERS_ONLY else OF_TABLES.get(name, table)
        if owner != table:
            raise MappingError(f"option {name!r} belongs to [{owner}], not to [{table}]")
        _check_option(name, value, f"[{table}]")


def _check_meanings(table: str, part: TableMapping) -> None:
    """Check the meanings given to the words of statuses and of kinds of rows."""
    for name in (*STATUS_COLUMNS, "row_kind") if table == "orders" else ():
        meanings = ROW_KINDS if name == "row_kind" else STATUSES
        for word, meaning in part.values.get(name, {}).items():
            if meaning not in meanings:
                raise MappingError(
                    f"[orders.values.{name}] {word!r} = {meaning!r}: "
                    f"expected one of {', '.join(meanings)}"
                )


def _check_option(name: str, value: Any, where: str) -> None:
    if name not in OPTIONS:
        raise MappingError(f"{where}: {unknown('option', name, OPTIONS)}")
    problem = OPTIONS[name].problem(value)
    if problem:
        raise MappingError(f"{where}: option {name} = {value!r}: {problem}")
    if name == "timezone":
        _check_zone(str(value))
    if name == "answers" and value is not None:
        ends = [v for v in value if isinstance(v, int | float) and not isinstance(v, bool)]
        if len(ends) != 2 or len(value) != 2 or not ends[0] < ends[1]:
            raise MappingError(
                f"{where}: option answers = {value!r}: expected the lowest and the highest answer, "
                "such as [1, 5]"
            )


@functools.cache
def list_time_zones() -> frozenset[str]:
    """Return the names of all time zones, read once: the system keeps them in 600 files."""
    return frozenset(available_timezones())


def _check_zone(zone: str) -> None:
    zones = list_time_zones()
    if zone not in zones:
        message = unknown("time zone", zone, sorted(zones))
        raise MappingError(message.split(" Available:")[0])
    ZoneInfo(zone)


def known_mappings() -> Path:
    """Return the folder of the known data sets' mappings: in a checkout, or as installed."""
    package = Path(__file__).parents[1]
    folder = package.parent / "data" / "mappings"
    return folder if folder.is_dir() else package / "_mappings"


def to_toml(data: Map[str, Any], prefix: str = "") -> str:
    """Write nested dictionaries of plain values as TOML text.

    Examples
    --------
    >>> print(to_toml({"currency": "EUR", "orders": {"day_first": True}}))
    currency = "EUR"
    <BLANKLINE>
    [orders]
    day_first = true
    """
    plain = {key: value for key, value in data.items() if not isinstance(value, Map)}
    nested = {key: value for key, value in data.items() if isinstance(value, Map)}
    lines = [f"{_key(key)} = {_literal(value)}" for key, value in plain.items()]
    for key, value in nested.items():
        name = f"{prefix}{_key(key)}"
        inner = to_toml(value, f"{name}.")
        has_values = any(not isinstance(item, Map) for item in value.values())
        lines += [f"\n[{name}]\n{inner}" if has_values else inner]
    return "\n".join(lines)


def _key(key: str) -> str:
    bare = key.replace("_", "").replace("-", "")
    return key if bare.isascii() and bare.isalnum() else _literal(key)


def _literal(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(_literal(item) for item in value) + "]"
    if isinstance(value, int | float):
        return repr(value)
    if hasattr(value, "isoformat"):
        return str(value.isoformat())
    text = str(value).replace("\\", "\\\\").replace('"', '\\"')
    escaped = "".join(c if c >= " " and c != "\x7f" else f"\\u{ord(c):04x}" for c in text)
    return f'"{escaped}"'
