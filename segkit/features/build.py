"""Customer table: one row per customer from clean order lines and events."""

from __future__ import annotations

from collections.abc import Mapping as Map
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, get_args

import narwhals as nw
import polars as pl

from segkit.display import counted, number, stem
from segkit.errors import DataError, ParameterError, require_columns, unknown
from segkit.features import events as from_events
from segkit.features import orders as from_orders
from segkit.features.calendar import (
    Calendar,
    Window,
    check_days,
    day_date,
    day_number,
    whole,
)
from segkit.features.definitions import Bound, Plan, bind
from segkit.features.products import (
    NO_ZERO,
    PLURAL,
    Levels,
    LevelTotals,
    add_levels,
    add_products,
    count_unlisted,
    level_sum_names,
    listed_columns,
    product_blocks,
    product_features,
    read_products,
)
from segkit.features.sources import (
    CUSTOMER,
    Engine,
    Rows,
    are_tidy,
    check_rows,
    check_squares,
    collect,
    event_rows,
    event_types,
    levels,
    open_lazy,
    order_rows,
    square_names,
    with_ids,
)
from segkit.features.table import CustomerTable
from segkit.frames import is_sold, takes_frames
from segkit.transform import exposure_of

if TYPE_CHECKING:
    from narwhals.typing import IntoFrame


Monetary = Literal["net", "gross"]
Population = Literal["buyers", "all"]
Totals = dict[Window, list[LevelTotals]]


def build_features(
    orders: IntoFrame | str | Path,
    events: IntoFrame | str | Path | None = None,
    customers: IntoFrame | str | Path | None = None,
    *,
    as_of: date | None = None,
    windows: Sequence[int] = (),
    calendar: Calendar | str = "north",
    monetary: Monetary = "net",
    features: Sequence[str] | None = None,
    population: Population = "buyers",
    trend_days: int = 90,
    engine: Engine = "polars",
    currency: str | None = None,
    products: IntoFrame | str | Path | None = None,
) -> CustomerTable:
    """Describe each customer as of a date, over one or several windows.

    The engine that holds the data adds up lines to orders and orders to customers; every feature
    is a ratio or difference of such sums. A windowed feature is the same feature computed on the
    rows of the window's days alone.

    Parameters
    ----------
    orders : frame, str or Path
        Clean order lines: ``customer_id``, ``amount`` and ``order_day`` (or ``order_time``);
        ``order_id``, ``is_return``, ``discount``, ``category``, ``brand``, ``product_id``,
        ``channel`` where the source has them. A polars or pandas frame, lazy or not, a DuckDB
        relation, or the path of a Parquet file or folder, which is streamed. Lazy input is run
        several times, once for each kind of sum, and beyond 50 million rows for each piece of the
        customers.
    events : frame, str or Path, optional
        ``customer_id``, ``event_type`` and ``event_day`` (or ``event_time``).
    customers : frame, str or Path, optional
        Only its ``customer_id`` is used, and only with ``population="all"``.
    as_of : date, optional
        The last day that is used, included; by default the day of the last order line.
    windows : sequence of int
        Lengths in days. Each adds the features over the last so many days, ``as_of`` included.
        Yearly rates, and features by category and brand that are not asked for by name, are for the
        whole history alone.
    calendar : Calendar or str
        Seasons and occasions: a calendar of your own, a shipped one (`Calendar.of`), or what
        `choose_calendar` proposes for clean data. "north" and "south" are seasons alone.
    monetary : {"net", "gross"}
        Whether returns are deducted from ``monetary`` and the order values.
    features : sequence of str, optional
        Names or groups; by default all that the tables allow. Data for other features are not
        read. A name with a window of any length ("page_views_7d") asks for that window alone, so
        that the columns of a rule can be given as they are.
    population : {"buyers", "all"}
        Customers with a purchase up to ``as_of``, or also those known only from returns, events or
        ``customers``.
    trend_days : int
        Length of the periods that the unsuffixed trends compare.
    engine : {"polars", "duckdb"}
        Engine that reads paths; frames keep their own engine.
    currency : str, optional
        Of the amounts, to be written beside them.
    products : frame, str or Path, optional
        ``product_id`` and ``category`` or ``brand``, one row per product: joined to the order
        lines, where these state none. Lines without such a product are counted in the notes.

    Returns
    -------
    CustomerTable
        One row per customer, sorted by ``customer_id``.

    Raises
    ------
    DataError
        If there are no order lines up to ``as_of``, or amounts are infinite or missing.
    ColumnError
        If a table lacks a column that no feature can do without.
    ParameterError
        If an option or a feature's name is unknown, or a window is no whole number of days.

    Examples
    --------
    >>> lines = pl.DataFrame({
    ...     "customer_id": ["ann", "ann", "ann", "bob"],
    ...     "order_id": ["1", "1", "2", "3"],
    ...     "order_day": [19_000, 19_000, 19_010, 19_005],
    ...     "amount": [10.0, 5.0, 25.0, 8.0],
    ... })
    >>> table = build_features(lines, features=["core"])
    >>> table.frame.select("customer_id", "recency_days", "frequency", "monetary").rows()
    [('ann', 0, 2, 40.0), ('bob', 5, 1, 8.0)]
    """
    plan = plan_features(**locals())  # the same arguments
    return plan.table(*plan.compute(plan.tables))


@dataclass(frozen=True, slots=True)
class FeaturePlan:
    """Features of a customer table with their windows, chosen before any sums are computed.

    Files larger than memory are described by one plan for all customers, part by part: a part
    alone could lead to other features, such as those of its own commonest categories.

    Attributes
    ----------
    tables : list of Plan
        Orders, and events if given.
    bound : list of Bound
        The features, each with its window: the columns of the customer table.
    day : int
        Day number of the last day used.
    population : str
    listed : polars.Series or None
        Customers listed beside those with orders.
    empty : CustomerTable
        The table without its rows.
    """

    tables: list[Plan]
    bound: list[Bound]
    day: int
    population: str
    listed: pl.Series | None
    empty: CustomerTable

    def compute(
        self, tables: list[Plan], totals: Totals | None = None
    ) -> tuple[pl.DataFrame, dict[str, float]]:
        """Compute the columns of the customers in ``tables``, and count who is left out.

        If they are a part of all, ``totals`` has what affinities are compared with: the totals of
        all customers. Otherwise each part would compare its customers with its own average.
        """
        sums, counts = _sums(tables, self.bound, self.population, self.listed, self.day)
        bound = self.with_level_totals(self._level_totals(sums) if totals is None else totals).bound
        # Polars divides by a constant, which is also a column of one value throughout, by its
        # reciprocal: the last bit of a customer would depend on the others.
        times = 2 if sums.height == 1 else 1
        rows = pl.DataFrame(
            [s if times == 1 else pl.Series(s.name, s.to_list() * times, s.dtype) for s in sums]
        )
        frame = rows.select(CUSTOMER, *(column.column() for column in bound))
        return frame.head(sums.height), counts

    def of_part(self, orders: pl.DataFrame, events: pl.DataFrame | None) -> list[Plan]:
        """Return the tables with the rows of a part of the customers in place of all rows."""
        parts = [order_rows(open_lazy(orders, "polars", "orders"), None).frame]
        if events is not None and len(self.tables) > 1:
            parts.append(event_rows(open_lazy(events, "polars", "events"), self.day).frame)
        return [
            replace(plan, rows=replace(plan.rows, frame=frame, n_used=0))
            for plan, frame in zip(self.tables, parts, strict=True)
        ]

    def affinities(self) -> list[Bound]:
        """List the columns that compare customers with the totals of all."""
        wanted = {name for kind in self.tables[0].facts.kinds for name in level_sum_names(kind)}
        return [column for column in self.bound if wanted & column.feature.sums()]

    def add_level_totals(self, tables: list[Plan]) -> Totals:
        """Add up lines by category and brand over the customers in ``tables``, for affinities."""
        needed = self.affinities()
        if not needed:
            return {}
        sums, _ = _sums(tables[:1], needed, self.population, self.listed, self.day)
        return self._level_totals(sums)

    def _level_totals(self, sums: pl.DataFrame) -> Totals:
        totals: Totals = {}
        for window in dict.fromkeys(column.window for column in self.affinities()):
            totals[window] = []
            for kind in self.tables[0].facts.kinds:
                names = [f"{name}{window.suffix}" for name in level_sum_names(kind)]
                some = set(names) <= set(sums.columns)
                listed = [sums[name] for name in names] if some else [pl.Series([0])] * len(names)
                totals[window].append(add_levels(listed))
        return totals

    def with_level_totals(self, totals: Totals) -> FeaturePlan:
        """Return the plan with the totals that affinities are compared with, by window."""
        facts = self.tables[0].facts
        own = {
            (feature.name, window): feature
            for window, parts in totals.items()
            for kind, part in zip(facts.kinds, parts, strict=True)
            for feature in product_features(replace(kind, totals=part), facts.as_of)
        }
        bound = [replace(b, feature=own.get((b.feature.name, b.window), b.feature))
                 for b in self.bound]  # fmt: skip
        return replace(self, bound=bound)

    def table(self, frame: pl.DataFrame, counts: Map[str, float]) -> CustomerTable:
        """Return the customer table, with notes on who is left out."""
        return replace(self.empty, frame=frame, notes=(*self.empty.notes, *note_left(counts)))


def plan_features(
    orders: IntoFrame | str | Path,
    events: IntoFrame | str | Path | None = None,
    customers: IntoFrame | str | Path | None = None,
    *,
    as_of: date | None = None,
    windows: Sequence[int] = (),
    calendar: Calendar | str = "north",
    monetary: Monetary = "net",
    features: Sequence[str] | None = None,
    population: Population = "buyers",
    trend_days: int = 90,
    engine: Engine = "polars",
    currency: str | None = None,
    products: IntoFrame | str | Path | None = None,
) -> FeaturePlan:
    """Settle what features there are, and over which days; for arguments see `build_features`."""
    _check_options(monetary, population, as_of)
    market = calendar if isinstance(calendar, Calendar) else Calendar.of(calendar)
    lengths = check_days(windows, "windows")
    (period,) = check_days((trend_days,), "trend_days")
    lines = order_rows(
        open_lazy(orders, engine, "orders"), day_number(as_of) if as_of else None, check_ids=False
    )
    day = lines.final if as_of is None else day_number(as_of)
    plans, notes = [], list[str]()
    wanted_names = None if features is None else set(features)
    goods = None
    if products is not None:
        goods = read_products(open_lazy(products, engine, "products"), lines.frame)
    plans.append(_order_plan(lines, day, monetary, market, wanted_names, notes, goods))
    if events is not None:
        acts = event_rows(open_lazy(events, engine, "events"), day)
        plans.append(_event_plan(acts, day, wanted_names, notes))
    catalogue = plans[0].catalogue if events is None else plans[0].catalogue + plans[1].catalogue
    if events is None:
        notes.append("no events were given: nothing on visits, mail and carts")
    firsts = {"orders": lines.first, "events": plans[-1].rows.first}
    bound, short = bind(catalogue.choose(features, lengths), firsts, day, period)
    listed = None if customers is None else _listed(customers, engine)
    empty = CustomerTable(
        frame=pl.DataFrame(),
        definitions=_definitions(bound),
        skipped=pl.DataFrame(
            [*(catalogue.skipped if features is None else ()), *short],
            schema={"feature": pl.String, "reason": pl.String},
            orient="row",
        ),
        as_of=day_date(day),
        monetary=monetary,
        calendar=market,
        notes=tuple(notes),
        currency=currency,
    )
    return FeaturePlan(plans, bound, day, population, listed, empty)


def _check_options(monetary: str, population: str, as_of: Any) -> None:
    for name, got, choices in (
        ("monetary policy", monetary, get_args(Monetary)),
        ("population", population, get_args(Population)),
    ):
        if got not in choices:
            raise ParameterError(unknown(name, got, choices))
    if as_of is not None and (not isinstance(as_of, date) or isinstance(as_of, datetime)):
        raise ParameterError(f"as_of is a datetime.date; got {as_of!r}")


def _order_plan(
    rows: Rows,
    as_of: int,
    monetary: str,
    calendar: Calendar,
    wanted_names: set[str] | None,
    notes: list[str],
    products: Any,
) -> Plan:
    named = _asks(wanted_names, "channels", "channel_share_")
    channels, omitted = levels(rows, "channel", as_of) if named else ({}, [])
    columns = (*rows.columns, *(() if products is None else listed_columns(products)))
    kinds = []
    for column, group in PLURAL.items():
        prefixes = tuple(f"{column}_{part}_" for part in ("share", "recency", "affinity", "new"))
        if column in columns and _asks(
            wanted_names, group, *prefixes, f"favourite_{column}", f"first_{column}"
        ):
            joined = replace(rows, frame=add_products(rows.frame, products), columns=columns)
            names, more = levels(joined, column, as_of)
            kinds += [Levels(column, names, has_others=bool(more))] if names else []
            omitted += more
    if products is not None and (kinds or _asks(wanted_names, "breadth", "category_breadth")):
        omitted += count_unlisted(rows.frame.filter(nw.col("day") <= as_of), products)
    facts = from_orders.OrderFacts(
        rows.columns, rows.first, as_of, monetary, channels, calendar, tuple(kinds), products,
        size=rows.size,
    )  # fmt: skip
    notes += [*rows.notes, *omitted]
    if rows.n_later:
        notes.append(f"not used: {counted(rows.n_later, 'order line')} after {day_date(as_of)}")
    return Plan(
        rows,
        facts,
        from_orders.BLOCKS | product_blocks(facts.kinds),
        from_orders.NO_ZERO | NO_ZERO,
        from_orders.order_catalogue(facts),
    )


def _event_plan(rows: Rows, as_of: int, wanted_names: set[str] | None, notes: list[str]) -> Plan:
    named = _asks(wanted_names, "time", "time_seconds_")
    pages, omitted = levels(rows, "page", as_of) if named else ({}, [])
    types = event_types(rows, as_of)
    facts = from_events.EventFacts(rows.columns, rows.first, as_of, types, pages)
    notes += [*rows.notes, *omitted]
    if rows.n_later:
        notes.append(f"not used: {counted(rows.n_later, 'event')} after {day_date(as_of)}")
    return Plan(
        rows, facts, from_events.BLOCKS, from_events.NO_ZERO, from_events.event_catalogue(facts)
    )


def _asks(wanted_names: set[str] | None, group: str, *prefixes: str) -> bool:
    """Return whether features named after data values are wanted (they need one more pass)."""
    return wanted_names is None or any(
        stem(name) == group or name.startswith(prefixes) for name in wanted_names
    )


def _sums(
    plans: list[Plan],
    bound: list[Bound],
    population: str,
    listed: pl.Series | None,
    as_of: int,
) -> tuple[pl.DataFrame, dict[str, float]]:
    """Compute every block of sums that is needed, joined to one row per customer.

    Counted beside it: customers with returns alone, who are left out, and buyers who are worth
    nothing.
    """
    needed = needed_sums(bound, as_of)
    orders, *rest = plans
    (first, names), *blocks = orders.needed_blocks(needed).items()
    base, others = orders.sums(*first, names), list[pl.DataFrame]()
    if not orders.rows.ids_checked and not are_tidy(base[CUSTOMER]):
        orders = replace(orders, rows=check_rows(orders.rows))
        base = orders.sums(*first, names)
    counts: dict[str, float] = {}
    if population == "buyers":
        buys = pl.col("orders.n_orders") > 0
        returners = base.filter(~buys)
        frame = base.lazy().filter(buys).sort(CUSTOMER).collect(engine="streaming")
        worth = frame["orders.amount"]
        counts = {
            "returners": returners.height,
            "returned": float(returners["orders.amount"].sum()),
            "buyers": frame.height,
            "worthless": int((worth <= 0).sum()),
            "lost": float(worth.filter(worth <= 0).sum()),
        }
    else:
        customer_ids = [base[CUSTOMER], *(plan.customers(as_of) for plan in rest)]
        everybody = pl.concat(customer_ids if listed is None else [*customer_ids, listed])
        frame = everybody.unique().sort().to_frame(CUSTOMER)
        others.append(base)
    orders = replace(orders, facts=replace(orders.facts, customers=frame[CUSTOMER]))
    others += [orders.sums(*block, names) for block, names in blocks]
    others += [
        plan.sums(*block, names)
        for plan in rest
        for block, names in plan.needed_blocks(needed).items()
    ]
    for table in others:
        if table[CUSTOMER].equals(frame[CUSTOMER]):
            frame = frame.hstack(table.drop(CUSTOMER))
        else:
            frame = frame.join(table, on=CUSTOMER, how="left", maintain_order="left")
    zeros = [name for plan in plans for name in plan.zeros(frame.columns)]
    frame = frame.with_columns(pl.col(zeros).fill_null(0))
    check_orders(frame)
    return frame, counts


def needed_sums(bound: list[Bound], as_of: int) -> list[tuple[str, str, Window]]:
    """List the sums to compute: first those that tell who is a buyer, then those of the columns."""
    history = whole(as_of)
    buyers = [("orders", "n_orders", history), ("orders", "amount", history)]
    return buyers + [sums for column in bound for sums in column.sums()]


def check_orders(frame: pl.DataFrame) -> None:
    """Raise if a customer has more orders than their values' squares can be summed for."""
    parts = next((n for n in (3, 2) if f"orders.{square_names('value', n)[-1]}" in frame), 0)
    if parts:
        check_squares(frame["orders.n_orders"], parts)


def note_left(counts: Map[str, float]) -> list[str]:
    """Note the customers without a purchase, who are left out, and buyers with no net revenue."""
    notes = []
    if counts.get("returners"):
        notes.append(
            f"customers with returns alone are left out: {number(counts['returners'])} "
            f"({number(counts['returned'])})"
        )
    if counts.get("worthless"):
        notes.append(
            f"{number(counts['worthless'])} of {counted(counts['buyers'], 'buyer')} have net "
            f"revenue of zero or less ({number(counts['lost'])} in all), mostly by returns; they "
            "may form segments of their own"
        )
    return notes


def _listed(customers: Any, engine: str) -> pl.Series:
    frame = open_lazy(customers, engine, "customers")
    require_columns(frame.collect_schema().names(), [CUSTOMER], "customers")
    return collect(with_ids(frame, "customers").select(CUSTOMER))[CUSTOMER].drop_nulls()


def _definitions(bound: list[Bound]) -> pl.DataFrame:
    return pl.DataFrame(
        [
            (b.name, b.feature.group, b.feature.unit, b.feature.source, b.words,
             b.feature.formula, b.feature.empty, exposure_of(b.name) or "")
            for b in bound
        ],
        schema=dict.fromkeys(
            ("name", "group", "unit", "source", "window", "description", "empty", "exposure"),
            pl.String,
        ),
        orient="row",
    )  # fmt: skip


EPOCH = date(1970, 1, 1)


@takes_frames
def compute_later_spend(orders: pl.DataFrame, *, after: date, days: int = 90) -> pl.DataFrame:
    """Compute what each customer spent in the days after a date.

    Parameters
    ----------
    orders : polars.DataFrame
        Clean order lines: ``customer_id``, ``order_day``, ``amount`` (returns negative), and
        ``is_return`` if there.
    after : datetime.date
        The last day that is *not* counted.
    days : int
        Length of the period in days.

    Returns
    -------
    polars.DataFrame
        ``customer_id``, ``later_spend`` (net of returns), ``later_buyer`` (1 with a sale line, else
        0), for customers with a line in the period, sorted; the others spent nothing.

    Raises
    ------
    ParameterError
        If ``days`` is not positive.
    DataError
        If the data end before the period does.

    Examples
    --------
    >>> lines = pl.DataFrame({"customer_id": ["a", "a", "b"], "order_day": [0, 5, 9],
    ...                       "amount": [1.0, 2.0, 3.0]})
    >>> compute_later_spend(lines, after=date(1970, 1, 3), days=7).rows()
    [('a', 2.0, 1), ('b', 3.0, 1)]
    """
    require_columns(orders.columns, ["customer_id", "order_day", "amount"], "orders")
    if days < 1:
        raise ParameterError(f"days must be at least 1, got {days}")
    first = (after - EPOCH).days + 1
    last = first + days - 1
    final_day = orders["order_day"].max()
    if not isinstance(final_day, int) or final_day < last:
        until = EPOCH + timedelta(days=final_day) if isinstance(final_day, int) else "no day"
        raise DataError(
            f"expected orders up to {EPOCH + timedelta(days=last)}, {counted(days, 'day')} after "
            f"{after}; they end on {until}"
        )
    return (
        orders.drop_nulls("customer_id")
        .filter(pl.col("order_day").is_between(first, last))
        .group_by("customer_id")
        .agg(
            later_spend=pl.col("amount").sum(),
            later_buyer=is_sold(orders.columns).any().cast(pl.Int64),
        )
        .sort("customer_id")
    )
