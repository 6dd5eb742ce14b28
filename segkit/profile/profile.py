"""Profiling of segments: size, value, variables, composition, marker variables."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import date

import numpy as np
import polars as pl

from segkit.display import counted, label
from segkit.errors import ColumnError, ParameterError, require_columns, unknown
from segkit.frames import takes_frames
from segkit.profile.composition import compare_descriptors, compose, read_descriptions
from segkit.profile.members import Floats, Members, match_members
from segkit.profile.segment_profile import Profile, separate
from segkit.profile.variables import ARROWS, MarkerRule, profile_variables, read_variables
from segkit.stats.intervals import mean_skewed, wilson, z_value

EPOCH = date(1970, 1, 1)


MARKS_SAID = 6  # maximum number of marker variables in a segment's row; the table has all


def revenue_of(
    members: Members, orders: pl.DataFrame | None, as_of: date | None
) -> tuple[Floats | None, str]:
    """Return each customer's net revenue and its source.

    From the order lines up to ``as_of``; without orders, from the table's ``monetary``; without
    that, ``None``. Customers without an order line have zero.
    """
    if orders is not None:
        require_columns(orders.columns, ["customer_id", "amount", "order_day"], "orders")
        lines = orders
        if as_of is not None:
            lines = orders.filter(pl.col("order_day") <= (as_of - EPOCH).days)
        sums = lines.group_by("customer_id").agg(pl.col("amount").sum())
        joined = members.frame.select("customer_id").join(
            sums, on="customer_id", how="left", maintain_order="left"
        )
        return joined.get_column("amount").fill_null(0.0).cast(pl.Float64).to_numpy(), (
            "net order lines up to the as-of date"
        )
    if "monetary" in members.frame.columns:
        column = members.frame.get_column("monetary").cast(pl.Float64).fill_null(0.0).fill_nan(0.0)
        return column.to_numpy(), "the column monetary"
    return None, "neither orders nor a column monetary"


def last_day(orders: pl.DataFrame | None) -> date | None:
    """Return the last order day, or ``None`` without orders."""
    if orders is None or "order_day" not in orders.columns or orders.height == 0:
        return None
    return date.fromordinal(EPOCH.toordinal() + int(orders.get_column("order_day").max()))  # type: ignore[arg-type]


def weigh(
    members: Members, revenue: Floats | None, kpi: Floats | None, *, level: float
) -> pl.DataFrame:
    """Return one row per segment: see `segkit.profile.Profile`'s ``segments``.

    The share of revenue is a ratio of sums; its interval is the linearised one of Cochran (1977,
    Sampling Techniques, section 6.4). Because revenue is skewed, the interval is approximate for
    segments of a few dozen customers.
    """
    within = members.within
    n = within.shape[1]
    size = within.sum(axis=1)
    share = wilson(size, n, level=level)
    columns: dict[str, object] = {
        "customers": size,
        "customer_share": share.value,
        "customer_share_low": share.low,
        "customer_share_high": share.high,
        **_revenue(within.astype(np.float64), revenue, level),
    }
    if revenue is not None:
        columns |= _per_customer("revenue_per_customer", revenue, members, level)
    if kpi is not None:
        columns |= _per_customer("kpi", kpi, members, level)
    return pl.concat([members.keys(), pl.DataFrame(columns)], how="horizontal").fill_nan(None)


def _revenue(within: Floats, revenue: Floats | None, level: float) -> dict[str, object]:
    names = ("revenue_share", "revenue_share_low", "revenue_share_high")
    blank = np.full(within.shape[0], np.nan)
    if revenue is None:
        return {"revenue": blank, **dict.fromkeys(names, blank)}
    sums, total, n = within @ revenue, revenue.sum(), revenue.size
    if total <= 0 or n < 2:
        return {"revenue": sums, **dict.fromkeys(names, blank)}
    share = sums / total
    residual = within * revenue - share[:, None] * revenue
    reach = z_value(level) * np.sqrt(n * residual.var(axis=1, ddof=1)) / total
    return {"revenue": sums, **dict(zip(names, (share, share - reach, share + reach), strict=True))}


def _per_customer(name: str, values: Floats, members: Members, level: float) -> dict[str, object]:
    intervals = []
    for inside in members.within:
        own = values[inside]
        own = own[np.isfinite(own)]
        if own.size < 2:
            intervals.append((own.mean() if own.size else np.nan, np.nan, np.nan))
            continue
        mean, sd = own.mean(), own.std(ddof=1)
        skewness = ((own - mean) ** 3).mean() / own.std() ** 3 if sd > 0 else 0.0
        interval = mean_skewed(mean, sd, own.size, skewness, level=level)
        intervals.append((mean, interval.low, interval.high))
    columns = np.array(intervals).reshape(-1, 3).T
    return dict(zip((name, f"{name}_low", f"{name}_high"), columns, strict=True))


@takes_frames
def profile_segments(
    frame: pl.DataFrame,
    assignments: pl.DataFrame,
    *,
    variables: Sequence[str] | None = None,
    clustering_variables: Collection[str] = (),
    orders: pl.DataFrame | None = None,
    customers: pl.DataFrame | None = None,
    kpi: str | None = None,
    as_of: date | None = None,
    rule: MarkerRule | None = None,
    smallest_cell: int = 5,
    level: float = 0.95,
    seed: int = 0,
    currency: str | None = None,
) -> Profile:
    """Describe each segment: size, value, habits, composition, and marker variables.

    Parameters
    ----------
    frame : polars.DataFrame
        The customer table, one row per customer: customer_id and numeric, yes/no or text columns.
    assignments : polars.DataFrame
        customer_id, segment and optionally segment_name: from a clustering, a rule table, or
        micro-segments. If customers are in several segments, differences are not tested.
    variables : sequence of str, optional
        Columns of ``frame`` to profile; by default all but customer_id.
    clustering_variables : collection of str
        The variables that built the segments. They are described and may mark a segment, but
        are not tested: segments differ on them by construction.
    orders : polars.DataFrame, optional
        Clean order lines, for revenue; by default the column ``monetary`` is taken.
    customers : polars.DataFrame, optional
        The customers contract, for demographics, channel and consent.
    kpi : str, optional
        The column of ``frame`` that the segments should differ on; best measured after as_of.
    as_of : datetime.date, optional
        Day up to which orders count and at which ages are taken; by default the last order day.
    rule : MarkerRule, optional
        Rule that decides when a variable marks a segment.
    smallest_cell : int
        Counts below this, and counts from which they could be computed, are hidden.
    level : float
        Coverage of the intervals.
    seed : int
        For the random points of the separation plot.
    currency : str, optional
        Of revenue, shown with it.

    Returns
    -------
    Profile

    Raises
    ------
    ColumnError
        If a column is missing, or the KPI is not numeric.
    DataError
        If no customer is left, or a customer comes twice.
    ParameterError
        If a name is not a column of the table.

    Notes
    -----
    Means: t interval corrected for skewness (Hall 1992); shares: Wilson; medians: order
    statistics. Differences from all customers are standardised by the deviation of all, after
    the signed logarithm where the variable's skewness exceeds 1 (column ``scale``).

    Examples
    --------
    >>> table = pl.DataFrame({"customer_id": ["a", "b", "c"], "monetary": [10.0, 20.0, 70.0]})
    >>> chosen = pl.DataFrame({"customer_id": ["a", "b", "c"], "segment": ["S1", "S1", "S2"]})
    >>> profile = profile_segments(table, chosen)
    >>> profile.segments.select("segment", "customers", "revenue_share").rows()
    [('S1', 2, 0.3), ('S2', 1, 0.7)]
    """
    if smallest_cell < 1:
        raise ParameterError(f"smallest_cell must be at least 1, got {smallest_cell}")
    as_of = as_of or last_day(orders)
    members = match_members(frame, assignments)
    chosen = _choose(members.frame, variables, clustering_variables, kpi)
    numeric = read_variables(members.frame, [n for n in chosen if _is_number(members.frame, n)])
    described, left_out = read_descriptions(
        members, customers, as_of, members.frame.select(n for n in chosen), smallest_cell
    )
    rule = rule or MarkerRule()
    circular = frozenset(clustering_variables)
    revenue, source = revenue_of(members, orders, as_of)
    kpi_values = (
        members.frame.get_column(kpi).cast(pl.Float64).fill_null(float("nan")).to_numpy()
        if kpi
        else None
    )
    table = profile_variables(members, numeric, circular=circular, kpi=kpi, rule=rule, level=level)
    built = [n for n in numeric.names if n in circular]
    axes = built if len(built) >= 2 else [n for n in numeric.names if n != kpi]
    return Profile(
        segments=_with_marks(weigh(members, revenue, kpi_values, level=level), table),
        variables=table,
        composition=compose(members, described, smallest_cell=smallest_cell, level=level),
        tests=compare_descriptors(members, numeric, described, circular=circular, kpi=kpi),
        separation=separate(members, numeric, axes, seed=seed),
        counts={"customers": members.frame.height, **members.counts},
        skipped={**numeric.skipped, **left_out},
        as_of=as_of,
        kpi=kpi,
        clustering_variables=tuple(sorted(circular)),
        rule=rule,
        level=level,
        notes=_notes(members, source if revenue is not None else "", circular),
        currency=currency,
    )


@takes_frames
def choose_kpi(frame: pl.DataFrame, wanted: str, leave_out: Collection[str]) -> str | None:
    """Choose the KPI of a table in which the usual one may be missing, as in a survey.

    Parameters
    ----------
    frame : DataFrame
        One row per customer.
    wanted : str
        Preferred KPI: returned if the table has it, or if ``leave_out`` is empty.
    leave_out : collection of str
        Columns that cannot be the KPI, such as a survey's items.

    Returns
    -------
    str or None
        Otherwise the first other numeric column; None if there is none.

    Examples
    --------
    >>> choose_kpi(pl.DataFrame({"cheap": [1, 0], "age": [31, 54]}), "monetary", ["cheap"])
    'age'
    """
    if not leave_out or wanted in frame.columns:
        return wanted
    numbers = frame.select(pl.selectors.numeric()).columns
    return next((name for name in numbers if name not in leave_out), None)


def _is_number(frame: pl.DataFrame, name: str) -> bool:
    kind = frame.schema[name]
    return kind.is_numeric() or kind in (pl.Boolean, pl.Null)


def _choose(
    frame: pl.DataFrame,
    variables: Sequence[str] | None,
    clustering_variables: Collection[str],
    kpi: str | None,
) -> list[str]:
    """Return the columns to profile, after checking that every name given is one."""
    named = [*(variables or ()), *clustering_variables, *([kpi] if kpi else [])]
    for name in named:
        if name not in frame.columns:
            raise ParameterError(unknown("column of the customer table", name, frame.columns))
    if kpi and not _is_number(frame, kpi):
        raise ColumnError(f"the KPI {kpi} must be numeric or yes/no, got {frame.schema[kpi]}")
    if variables is None:
        return [name for name in frame.columns if name != "customer_id"]
    return list(dict.fromkeys([*variables, *([kpi] if kpi else [])]))


def _with_marks(segments: pl.DataFrame, variables: pl.DataFrame) -> pl.DataFrame:
    """Add each segment's marker variables, strongest first, in words."""
    arrow = pl.col("direction").replace(ARROWS)
    named = pl.col("variable").map_elements(label, return_dtype=pl.String)
    strongest, more = (
        pl.format("{} {}", arrow, named).head(MARKS_SAID),
        pl.len().cast(pl.Int64) - MARKS_SAID,
    )
    marks = (
        variables.filter(pl.col("marker"))
        .sort(pl.col("strength").abs(), descending=True, maintain_order=True)
        .group_by("segment", maintain_order=True)
        .agg(
            marks=pl.len(),
            marked_by=strongest.str.join(", ")
            + pl.when(more > 0).then(pl.format(" and {} more", more)).otherwise(pl.lit("")),
        )
    )
    joined = segments.join(marks, on="segment", how="left", maintain_order="left")
    return joined.with_columns(pl.col("marks").fill_null(0).cast(pl.Int64))


def _notes(members: Members, revenue_from: str, circular: frozenset[str]) -> tuple[str, ...]:
    notes = []
    words = {
        "assignments_without_customer": "assigned customers are not in the customer table",
        "customers_without_segment": "customers of the table have no segment",
        "assignments_without_segment": "assignments name no segment",
    }
    notes += [f"{n:,} {words[key]}" for key, n in members.counts.items() if n]
    empty = [
        name
        for name, inside in zip(members.names, members.within, strict=True)
        if not np.any(inside)
    ]
    if empty:
        notes.append(f"without a customer: {', '.join(empty)}")
    if members.overlapping:
        notes.append(
            f"{counted(members.overlapping, 'customer is', 'customers are')} in several segments: "
            "shares do not add up to one, each segment is compared with those outside it, and "
            "nothing is tested"
        )
    if not circular:
        notes.append(
            "the variables that built the segments were not named: the tests of those are circular"
        )
    notes.append(f"revenue from {revenue_from}" if revenue_from else "no revenue: no orders given")
    return tuple(notes)
