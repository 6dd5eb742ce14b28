"""Split of the data by market: every raw row belongs to one market, or counts as without.

Each market's part is a folder of raw tables, as Parquet, that a run reads like any data of the
user's own. All parts lie in one store outside the reports (`segkit.intake.privacy`). The orders
are divided by the column; other tables that name customers follow the customers; tables that name
none (products, prices, rates, campaigns) go to every market whole.
"""

from __future__ import annotations

import hashlib
import re
import shutil
import unicodedata
from collections import Counter
from collections.abc import Collection, Iterable
from collections.abc import Mapping as Map
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import polars as pl

from segkit.display import counted, number
from segkit.errors import DataError, ParameterError, unknown
from segkit.intake.columns import Columns
from segkit.intake.mapping import Mapping
from segkit.intake.people import customers_of, links_from
from segkit.intake.privacy import POINTER, keep_private, private_root, settle_private
from segkit.intake.proposal import settle_mapping
from segkit.intake.readers import gather
from segkit.pipeline import link_source
from segkit.runner.accepts import SIMULATION
from segkit.runner.manifest import data_inputs, intact, key_of, list_outputs, read_json, write_json
from segkit.runner.workspace import load_raw
from segkit.schema import CONTRACTS
from segkit.writing import relative_path

RECORD, MAPPING = "division.json", "mapping.toml"
WITHOUT = "without-market"
LONGEST = 40  # letters of a market in a folder's name
# Names of a batch's own files, or a day.
RESERVED = re.compile(r"markets|without-market|rows|mapping|\d{4}-\d\d-\d\d")
Settings = Map[str, Any]
USED = ("source", "data", "mapping", *SIMULATION)
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
    """Result of splitting the data by market.

    Attributes
    ----------
    column : str
        The raw column of the orders.
    markets : tuple of Market
        The largest first.
    read, unassigned : int
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
    unassigned: int
    shared_customers: int
    other_tables: tuple[str, ...]
    parts: Path = field(compare=False)


def divide(
    settings: Settings, by: str, place: Path, folder: Path, wanted: Collection[str] = ()
) -> Division:
    """Divide the data of a run by a column of the orders; unchanged data are not read again.

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
        content = {name: value for name, value in asdict(division).items() if name != "parts"}
        record = {"key": key, "division": content, "laid_out": laid_out}
        write_json(aside / RECORD, {**record, "outputs": list_outputs(aside)})

    folder.mkdir(parents=True, exist_ok=True)
    pointer = keep_private(root, folder, lay_out)
    write_json(folder / POINTER, pointer)
    settle_private(root, folder)  # the parts before these
    shutil.rmtree(folder / "parts", ignore_errors=True)  # where earlier versions kept them
    return _read_division(root / pointer["store"])


def _read_division(parts: Path) -> Division:
    content = read_json(parts / RECORD)["division"]
    markets = tuple(Market(**item) for item in content.pop("markets"))
    return Division(
        **{**content, "other_tables": tuple(content["other_tables"])}, markets=markets, parts=parts
    )


def choose(markets: Iterable[Market], wanted: Iterable[str]) -> list[Market]:
    """Return the markets that are wanted, by name or by folder name; all if none is named.

    Raises
    ------
    ParameterError
        If there is no such market.
    """
    listed, words = list(markets), list(wanted)
    by_name = {name: market for market in listed for name in (market.slug, market.market)}
    for name in words:
        if name not in by_name:
            raise ParameterError(f"--markets: {unknown('market', name, sorted(by_name))}")
    slugs = {by_name[name].slug for name in words}
    return [market for market in listed if not words or market.slug in slugs]


def _divide(
    settings: Settings, by: str, place: Path, folder: Path, final: Path, wanted: Collection[str]
) -> Division:

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
    unassigned = cut.write(None, folder, WITHOUT)
    _complete_mapping(mapping, base, final).save(folder / MAPPING)
    return Division(
        column,
        tuple(markets),
        raw["orders"].height,
        unassigned,
        cut.shared_customers,
        tuple(_describe_table(*item) for item in cut.others()),
        folder,
    )


def find_column(by: str, columns: list[str], mapped: Map[str, str]) -> str:
    """Return the raw column with a name: exactly, by mapping, or ignoring case.

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


def _complete_mapping(mapping: Any, base: Path | None, final: Path) -> Any:
    """Return the mapping for the parts: complete, without the paths of the original data."""
    options = {name: value for name, value in mapping.options.items() if name not in WHERE}
    erase = options.get("erase_file")
    if erase:
        options["erase_file"] = relative_path((base or Path()) / erase, final)
    tables = {
        name: replace(part, options={k: v for k, v in part.options.items() if k not in WHERE})
        for name, part in mapping.tables.items()
    }
    return replace(mapping, tables=tables, options=options)


def _mapped(raw: Map[str, pl.DataFrame], mapping: Mapping, by: str) -> dict[str, pl.DataFrame]:
    """Keep the mapped columns and the market column of raw tables (survey items are mapped)."""
    tables = {}
    for table, frame in raw.items():
        part = mapping.tables.get(table)
        named = set() if part is None else set(part.columns.values())
        whole = part is None or table == "survey"
        wanted = {*named, by} if table == "orders" else named
        tables[table] = frame if whole else frame.select(n for n in frame.columns if n in wanted)
    return tables


def _describe_table(table: str, rows: int, unassigned: int) -> str:
    if unassigned < 0:
        return f"{table.capitalize()}: {counted(rows, 'row')}, the same for every market."
    return (
        f"{table.capitalize()}: {counted(rows, 'row')}, each in the markets where its customer "
        f"bought; {number(unassigned)} of customers who bought in none."
    )


def gathered(
    settings: Settings, place: Path
) -> tuple[dict[str, pl.DataFrame], Mapping, Path | None]:
    """Read the raw tables of a run, with the complete mapping and the folder it counts from.

    Raises
    ------
    DataError
        If a question that changes the numbers is open.
    """
    data, path = (str(settings.get(name, "")) for name in ("data", "mapping"))
    source = load_raw(str(settings.get("source", "")), place / data if data else None, settings)
    gathering = gather(source, place / path if path else None)
    mapping, questions = settle_mapping(gathering.raw, gathering.given)
    blocking = [question for question in questions if question.severity == "block"]
    if blocking:
        answers = "; ".join(f"{q.finding} Answer with: {q.answer}" for q in blocking)
        raise DataError(f"the data quality gate is closed; {answers} (in a mapping file)")
    return gathering.raw, mapping, gathering.base


class Cut:
    """Raw tables with the market of every row.

    Parameters
    ----------
    raw : dict of str to polars.DataFrame
        Raw tables by contract name, orders among them.
    mapping : Mapping
        The complete mapping.
    column : str
        The raw column of the orders that names the market.
    """

    def __init__(self, raw: dict[str, pl.DataFrame], mapping: Mapping, column: str) -> None:
        self._raw = raw
        self._mapping = mapping
        words = raw["orders"].get_column(column).cast(pl.String).str.strip_chars()
        blank = words.is_in([*mapping.option("orders", "nulls"), ""])
        self._market = words.set(blank.fill_null(value=False), None).alias("market")
        self.names = slugs(self._market.drop_nulls().unique().sort().to_list())
        linked = link_source(raw, mapping)
        self._links = None if linked is None else links_from(linked)

    def _customers(self, table: str) -> pl.Series:
        columns = Columns(table, self._raw[table], self._mapping)
        return customers_of(columns, self._links)["customer_id"]

    @cached_property
    def _buyers(self) -> pl.DataFrame:
        """Customers by market: one row per pair, without rows that have no customer id."""
        pairs = pl.DataFrame({"market": self._market, "customer_id": self._customers("orders")})
        return pairs.drop_nulls().unique().sort("market", "customer_id")

    @cached_property
    def _followers(self) -> dict[str, pl.Series]:
        """The customer of each row, for all tables with customers except orders."""
        named = (t for t in self._raw if any(f.name == "customer_id" for f in CONTRACTS[t]))
        return {table: self._customers(table) for table in named if table != "orders"}

    @property
    def shared_customers(self) -> int:
        """The number of customers who bought in two markets or more."""
        return int((self._buyers["customer_id"].value_counts()["count"] > 1).sum())

    def size(self, market: str) -> tuple[int, int]:
        """Return a market's order rows and its customers."""
        rows = int((self._market == market).sum())
        return rows, self._buyers.filter(market=market).height

    def others(self) -> list[tuple[str, int, int]]:
        """List each further table, its rows, and its rows without a buyer (-1: not split)."""
        tables = []
        for table, frame in self._raw.items():
            if table in self._followers:
                bought = self._buyers["customer_id"].unique().implode()
                of_buyers = self._followers[table].is_in(bought).fill_null(value=False)
                tables.append((table, frame.height, frame.height - int(of_buyers.sum())))
            elif table != "orders":
                tables.append((table, frame.height, -1))
        return tables

    def write(self, market: str | None, folder: Path, slug: str) -> int:
        """Write a market's tables, and the row numbers of its orders in the whole data.

        Returns
        -------
        int
            Its order rows; without any, nothing is written.
        """
        mine = self._market.is_null() if market is None else self._market == market
        mine = mine.fill_null(value=False)
        rows = mine.arg_true().cast(pl.Int64).alias("source_row")
        if not rows.len():
            return 0
        (folder / slug).mkdir(parents=True)
        (folder / "rows").mkdir(exist_ok=True)
        self._raw["orders"].filter(mine).write_parquet(folder / slug / "orders.parquet")
        rows.to_frame().write_parquet(folder / "rows" / f"{slug}.parquet")
        for table, frame in self._raw.items() if market is not None else ():
            if table in self._followers:
                buyers = self._buyers.filter(market=market)["customer_id"].implode()
                frame = frame.filter(self._followers[table].is_in(buyers).fill_null(value=False))
            if table != "orders":
                frame.write_parquet(folder / slug / f"{table}.parquet")
        return rows.len()


def slugs(markets: Iterable[str]) -> dict[str, str]:
    """Return a folder's name for each market.

    Letters lose their accents and all else becomes a hyphen, so that no name leads out of its
    folder. Where two markets would share a name, or one has none, a piece of the market's own
    hash is added: it does not change with the markets that come and go around it.

    Examples
    --------
    >>> slugs(["Côte d'Azur", "../..", "A/B", "a b"]).values()
    dict_values(['cote-d-azur', 'market-0cfd1c', 'a-b-998d3e', 'a-b-c8687a'])
    """
    listed = list(markets)
    plain = {market: _plain(market) for market in listed}
    counts = Counter(plain.values())
    return {
        market: slug
        if slug and counts[slug] == 1 and not RESERVED.fullmatch(slug)
        else f"{slug or 'market'}-{hashlib.sha256(market.encode()).hexdigest()[:6]}"
        for market, slug in plain.items()
    }


def _plain(market: str) -> str:
    bare = unicodedata.normalize("NFKD", market).encode("ascii", "ignore").decode().lower()
    return re.sub(r"[^a-z0-9]+", "-", bare).strip("-")[:LONGEST].rstrip("-")
