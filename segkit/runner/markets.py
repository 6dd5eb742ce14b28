"""How are the data divided by market? Every raw row goes to one market, or is counted as without.

Each market's part is a folder of raw tables, as Parquet, that a run reads like any data of the
user's own. All parts lie in one store outside the reports (`segkit.ingest.privacy`). The orders
are divided by the column; other tables that name customers follow the customers; tables that name
none (products, prices, rates, campaigns) go to every market whole.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Collection, Iterable
from collections.abc import Mapping as Map
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from segkit.display import counted, number
from segkit.errors import DataError, ParameterError, unknown
from segkit.ingest.privacy import POINTER, keep_private, private_root, settle_private
from segkit.runner.manifest import (
    data_inputs,
    intact,
    key_of,
    list_outputs,
    read_json,
    write_json,
)

if TYPE_CHECKING:
    import polars as pl

    from segkit.ingest.mapping import Mapping

RECORD, MAPPING = "division.json", "mapping.toml"
WITHOUT = "without-market"
USED = ("source", "data", "mapping", "seed", "customers", "difficulty", "structure", "lift")
WHERE = ("file", "database", "sql", "sheet")  # options that say where raw tables are


@dataclass(frozen=True, slots=True)
class Market:
    """One market's part of the data: its name, its folder's, order rows and customers in it."""

    market: str
    slug: str
    rows: int
    customers: int


@dataclass(frozen=True, slots=True)
class Division:
    """The data, divided.

    Attributes
    ----------
    column : str
        The raw column of the orders.
    markets : tuple of Market
        The largest first.
    read, without : int
        Order rows in all, and those without a market.
    shared_customers : int
        Customers who bought in two markets or more; each market has what they bought there.
    other_tables : tuple of str
        A sentence for each further table.
    parts : pathlib.Path
        The folder that holds the markets' parts, for its owner alone.
    """

    column: str
    markets: tuple[Market, ...]
    read: int
    without: int
    shared_customers: int
    other_tables: tuple[str, ...]
    parts: Path = field(compare=False)


def divide(
    settings: Map[str, Any],
    by: str,
    place: Path,
    folder: Path,
    wanted: Collection[str] = (),
) -> Division:
    """Divide the data of a run by a column of the orders; what has not changed is not read.

    Parameters
    ----------
    settings : mapping
        The run's parameters: which data, and their mapping.
    by : str
        A raw column of the orders, or the contract's name of one (country, channel).
    place : pathlib.Path
        Where relative paths start.
    folder : pathlib.Path
        The batch's folder, which holds a pointer to the parts.
    wanted : collection of str
        The markets whose parts are laid out, by name or by folder name; none means all.

    Raises
    ------
    ParameterError
        If there is no such column, or no such market.
    DataError
        If there are no orders, no row names a market, or a question about the data is open.
    """
    inputs = data_inputs(settings, place)
    used = {name: settings[name] for name in USED if name in settings} | {"by": by}
    key = key_of("divide", used, inputs)
    root = private_root(place, str(settings.get("private", "")))
    parts = root / read_json(folder / POINTER).get("store", "none")
    old = read_json(parts / RECORD)
    same = old.get("key") == key and "not hashed" not in inputs.values()
    if same and intact(parts, old):
        division = _read_division(parts)
        if {one.slug for one in choose(division.markets, wanted)} <= {*old["laid_out"]}:
            return division

    def lay_out(aside: Path) -> None:
        division = _divide(settings, by, place, aside, root / "parts", wanted)
        laid_out = [one.slug for one in choose(division.markets, wanted)]
        told = {name: value for name, value in asdict(division).items() if name != "parts"}
        record = {"key": key, "division": told, "laid_out": laid_out}
        write_json(aside / RECORD, {**record, "outputs": list_outputs(aside)})

    folder.mkdir(parents=True, exist_ok=True)
    pointer = keep_private(root, folder, lay_out)
    write_json(folder / POINTER, pointer)
    settle_private(root, folder)  # the parts before these
    shutil.rmtree(folder / "parts", ignore_errors=True)  # where earlier versions kept them
    return _read_division(root / pointer["store"])


def _read_division(parts: Path) -> Division:
    told = read_json(parts / RECORD)["division"]
    markets = tuple(Market(**item) for item in told.pop("markets"))
    return Division(
        **{**told, "other_tables": tuple(told["other_tables"])}, markets=markets, parts=parts
    )


def choose(markets: Iterable[Market], wanted: Iterable[str]) -> list[Market]:
    """Return the markets that are wanted, by name or by folder name; all if none is named.

    Raises
    ------
    ParameterError
        If there is no such market.
    """
    listed, words = list(markets), list(wanted)
    known = {name: market for market in listed for name in (market.slug, market.market)}
    for name in words:
        if name not in known:
            raise ParameterError(f"--markets: {unknown('market', name, sorted(known))}")
    slugs = {known[name].slug for name in words}
    return [market for market in listed if not words or market.slug in slugs]


def _divide(
    settings: Map[str, Any],
    by: str,
    place: Path,
    folder: Path,
    final: Path,
    wanted: Collection[str],
) -> Division:
    from segkit.runner.cutting import Cut, gathered

    raw, mapping, base = gathered(settings, place)
    if "orders" not in raw:
        raise DataError("there are no orders to be divided: the source has no such table")
    named = mapping.tables["orders"].columns if "orders" in mapping.tables else {}
    column = find_column(by, raw["orders"].columns, named)
    cut = Cut(_mapped(raw, mapping, column), mapping, column)
    if not cut.names:
        raise DataError(f"no order names a market: column {column!r} is empty throughout")
    markets = [Market(name, slug, *cut.size(name)) for name, slug in cut.names.items()]
    markets.sort(key=lambda one: (-one.rows, one.market))
    for market in choose(markets, wanted):
        cut.write(market.market, folder, market.slug)
    without = cut.write(None, folder, WITHOUT)
    _settled(mapping, base, final).save(folder / MAPPING)
    return Division(
        column,
        tuple(markets),
        raw["orders"].height,
        without,
        cut.shared_customers,
        tuple(_told(*item) for item in cut.others()),
        folder,
    )


def find_column(by: str, columns: list[str], mapped: Map[str, str]) -> str:
    """Return the raw column that a name means: itself, the one mapped to it, or but for its case.

    Examples
    --------
    >>> find_column("country", ["Id", "Country"], {})
    'Country'
    >>> find_column("channel", ["Id", "Kanal"], {"channel": "Kanal"})
    'Kanal'
    """
    close = [name for name in columns if name.casefold() == by.casefold()]
    if by in columns:
        return by
    if by in mapped:
        return mapped[by]
    if len(close) == 1:
        return close[0]
    raise ParameterError(f"--by: {unknown('column of the orders', by, columns)}")


def _settled(mapping: Any, base: Path | None, final: Path) -> Any:
    """Return the mapping for the parts: complete, and without the places of the whole data."""
    options = {name: value for name, value in mapping.options.items() if name not in WHERE}
    erase = options.get("erase_file")
    if erase:
        options["erase_file"] = Path(os.path.relpath((base or Path()) / erase, final)).as_posix()
    tables = {
        name: replace(part, options={k: v for k, v in part.options.items() if k not in WHERE})
        for name, part in mapping.tables.items()
    }
    return replace(mapping, tables=tables, options=options)


def _mapped(raw: Map[str, pl.DataFrame], mapping: Mapping, by: str) -> dict[str, pl.DataFrame]:
    """Keep of the raw tables the mapped columns and the market's; a survey's items are mapped."""
    kept = {}
    for table, frame in raw.items():
        part = mapping.tables.get(table)
        named = set() if part is None else set(part.columns.values())
        whole = part is None or table == "survey"
        wanted = {*named, by} if table == "orders" else named
        kept[table] = frame if whole else frame.select(n for n in frame.columns if n in wanted)
    return kept


def _told(table: str, rows: int, without: int) -> str:
    if without < 0:
        return f"{table.capitalize()}: {counted(rows, 'row')}, the same for every market."
    return (
        f"{table.capitalize()}: {counted(rows, 'row')}, each in the markets where its customer "
        f"bought; {number(without)} of customers who bought in none."
    )
