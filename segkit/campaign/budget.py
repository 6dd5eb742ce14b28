"""Contacts for each segment and offer within a budget: greatest profit, and its uncertainty."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self

import numpy as np
import numpy.typing as npt
import polars as pl

from segkit.campaign.assignment import NO_OFFER
from segkit.display import counted, money
from segkit.errors import DataError, require_choice, require_columns, require_range
from segkit.frames import takes_frames
from segkit.result import Figure, Result
from segkit.stats.intervals import ci_words

Floats = npt.NDArray[np.float64]
_NEED = ("segment", "offer", "customers", "gain", "cost")


@dataclass(frozen=True, slots=True, eq=False)
class Budget(Result):
    """Contacts per segment and offer, with profit and its uncertainty.

    Attributes
    ----------
    plan : polars.DataFrame
        One row per segment and offer: segment (segment_name), offer, available (customers of the
        segment), gain (expected profit of one contact before its cost, against no contact), error,
        cost, contacts, spend, profit (contacts times gain less cost), low, high (interval of the
        cell's profit), loss_share (chance that the contact earns less than it costs).
    spend, profit, low, high : float
        Totals of the plan; the limits include the uncertainty of the gains, with their correlation.
    budget : float or None
    caps : dict of str to int
        Most contacts of an offer.
    frontier : polars.DataFrame
        budget, profit, low, high: profit of the best plan at other budgets.
    regret : float
        Expected regret: mean over the draws of the added profit of a plan that knows the true
        gains.
    draws : int
    level : float
    joint : bool
        Whether the correlation of the gains' errors was given; otherwise draws are independent.
    currency : str or None
    """

    plan: pl.DataFrame
    spend: float
    profit: float
    low: float
    high: float
    budget: float | None
    caps: dict[str, int]
    frontier: pl.DataFrame
    regret: float
    draws: int
    level: float
    joint: bool
    currency: str | None = None

    def to_frame(self) -> pl.DataFrame:
        """Return the plan, one row per segment and offer that gets contacts."""
        return self.plan.filter(pl.col("contacts") > 0)

    @property
    def contacts(self) -> int:
        """Contacts in all."""
        return int(self.plan.get_column("contacts").sum())

    @property
    def text(self) -> str:
        """The finding in words."""
        regret = money(self.regret, self.currency)
        if not self.contacts:
            return (
                "No contact is expected to earn more than it costs, so that the best plan contacts "
                f"nobody. A plan that knew the true gains would earn {regret} more on average: "
                "that is what a larger pilot could be worth."
            )
        budget = money(self.budget, self.currency)
        left = "" if self.budget is None else f" of the budget of {budget}"
        spend, profit = money(self.spend, self.currency), money(self.profit, self.currency)
        finding = (
            f"The best plan makes {counted(self.contacts, 'contact')}, spends {spend}{left} and is "
            f"expected to earn {profit} after costs "
            f"({ci_words(self.low, self.high, self.level)})."
        )
        parts = [finding]
        if self.low < 0:
            parts.append("The interval includes a loss.")
        if not self.joint and self.to_frame().filter(pl.col("error") > 0).height > 1:
            parts.append(
                "The gains' errors were taken as independent; what they share would widen the "
                "interval."
            )
        parts.append(
            "The gains come from a sample: as the plan picks what looked best, its expected profit "
            "is likely to be too high unless the gains were shrunken. A plan that knew the true "
            f"gains would earn {regret} more on average."
        )
        return " ".join(parts)

    def plot(self) -> Figure:
        """Draw the expected profit over the budget."""
        from segkit.plot import lines

        unit = f", {self.currency}" if self.currency else ""
        return lines(
            self.frontier,
            "budget",
            "profit",
            band=("low", "high"),
            percent=False,
            markers=False,
            reference=0.0,
            title="What a larger budget would earn",
            x_label=f"Budget for contacts{unit}",
            y_label=f"Expected profit after costs{unit}",
        )


@takes_frames
def plan_budget(
    gains: pl.DataFrame,
    *,
    budget: float | None = None,
    caps: Mapping[str, int] | None = None,
    max_share: float = 1.0,
    draws: int = 2000,
    level: float = 0.95,
    seed: int = 0,
    currency: str | None = None,
) -> Budget:
    """Plan how many customers of each segment get which offer, for the greatest profit.

    Every customer gets one offer or none. The plan maximises the sum of contacts times (gain
    less cost), under the budget and caps, over whole numbers (linear programme, HiGHS).

    Parameters
    ----------
    gains : DataFrame
        One row per segment and offer: segment, offer, customers (of the segment who may be
        contacted), gain (profit that one contact adds, before its cost), cost (of one contact);
        error (the gain's standard error; 0 without the column); loading (list of numbers, equally
        long in all rows: factor loadings of the gains' errors, whose product with standard normals
        that all rows share gives correlated errors; its norm is the error), as
        `estimate_pilot_gains` gives it.
    budget : float, optional
        Largest total cost of contacts; None means no limit.
    caps : mapping of str to int, optional
        Offer to the most contacts that it may have (stock, vouchers).
    max_share : float
        Largest share of a segment's customers that may be contacted: the rest is the holdout.
    draws : int
        Draws of the gains for intervals: normal, together by ``loading``, independent without it.
    level, seed
    currency : str, optional
        Of gains and costs, for texts.

    Returns
    -------
    Budget

    Raises
    ------
    ParameterError
        If the budget is negative, an offer of ``caps`` unknown, or a share out of range.
    DataError
        If a number is missing or negative where it may not be, or a cell comes twice.

    Examples
    --------
    >>> gains = pl.DataFrame({
    ...     "segment": ["A", "B"], "offer": ["x", "x"], "customers": [100, 50],
    ...     "gain": [1.0, 3.0], "cost": [0.5, 0.5]})
    >>> plan_budget(gains, budget=50).plan["contacts"].to_list()
    [50, 50]
    """
    require_range("[0, inf]", budget=budget)
    require_range("(0, 1]", max_share=max_share)
    table, limits = _checked(gains), dict(caps or {})
    offers = table.get_column("offer").unique().sort().to_list()
    for offer, cap in limits.items():
        require_choice("offer", offer, offers)
        require_range("[0, inf]", **{f"the cap of {offer}": cap})
    programme = _Programme.of(table, limits, max_share)
    gain, error = (table.get_column(name).to_numpy() for name in ("gain", "error"))
    net = gain - programme.cost
    joint = "loading" in table.columns
    loading = np.array(table.get_column("loading").to_list()) if joint else np.diag(error)
    noise = np.random.default_rng(seed).standard_normal((draws, loading.shape[1])) @ loading.T
    contacts = programme.solve(net, budget, whole=True)
    tails = [(1 - level) / 2, (1 + level) / 2]
    each = (net + noise) * contacts
    plan = _plan(table, net, contacts, np.quantile(each, tails, axis=0))
    spend = float(plan.get_column("spend").sum())
    low, high = np.quantile(each.sum(axis=1), tails)
    # Regret: what knowing the true gains adds, over the first 100 draws.
    drawn = (net + noise)[:100]
    extra = [float(true @ (programme.solve(true, budget) - contacts)) for true in drawn]
    return Budget(
        plan=plan,
        spend=spend,
        profit=float(net @ contacts),
        low=float(low),
        high=float(high),
        budget=budget,
        caps=limits,
        frontier=_frontier(programme, net, noise, max(1.2 * spend, budget or 0.0), tails),
        regret=max(0.0, float(np.mean(extra))) if extra else 0.0,
        draws=draws,
        level=level,
        joint=joint,
        currency=currency,
    )


@takes_frames
def estimate_pilot_gains(
    cells: pl.DataFrame,
    customers: Mapping[str, int],
    costs: Mapping[str, float] | float,
    *,
    paid: bool = False,
) -> pl.DataFrame:
    """Compute the input of `plan_budget` from a pilot's cells: gains against no contact.

    Parameters
    ----------
    cells : DataFrame
        `Pilot.cells`; some customers of the pilot must have had no offer.
    customers : mapping of str to int
        Segment to the customers who may be contacted now.
    costs : mapping of str to float, or float
        Of one contact, by offer.
    paid : bool
        Whether the cost is already subtracted from the pilot's payoff; it is then added back.

    Returns
    -------
    DataFrame
        segment, offer, customers, gain, error, cost; loading where the cells have theirs.

    Raises
    ------
    DataError
        If the pilot had no customers without an offer: it then shows no gain, only differences
        between offers.

    Examples
    --------
    >>> cells = pl.DataFrame({"segment": ["A", "A"], "offer": ["none", "x"],
    ...     "payoff_shrunken": [1.0, 1.5], "payoff_error": [0.3, 0.4]})
    >>> estimate_pilot_gains(cells, {"A": 10}, 0.1).row(0, named=True)["gain"]
    0.5
    """
    base = cells.filter(pl.col("offer") == NO_OFFER)
    if not base.height:
        raise DataError(
            "the pilot had no customers without an offer, so that it shows no gain over no contact"
        )
    joint = "payoff_loading" in cells.columns
    values = [f"payoff_{name}" for name in ("shrunken", "error", *(["loading"] if joint else []))]
    base = base.select("segment", pl.col(values).name.prefix("base_"))
    offers = cells.filter(pl.col("offer") != NO_OFFER).join(base, on="segment", how="left")
    names = offers.get_column("offer").unique().to_list()
    price = {name: costs[name] if isinstance(costs, Mapping) else float(costs) for name in names}
    cost = pl.col("offer").replace_strict(price, return_dtype=pl.Float64)
    size = pl.col("segment").replace_strict(dict(customers), default=0, return_dtype=pl.Int64)
    gains = offers.select(
        pl.col("segment", *(["segment_name"] if "segment_name" in cells.columns else []), "offer"),
        customers=size,
        gain=pl.col("payoff_shrunken") - pl.col("base_payoff_shrunken") + (cost if paid else 0.0),
        error=(pl.col("payoff_error") ** 2 + pl.col("base_payoff_error") ** 2).sqrt(),
        cost=cost,
    )
    if not joint:
        return gains
    with_offer, without = (
        np.array(offers.get_column(f"{prefix}payoff_loading").to_list()) for prefix in ("", "base_")
    )
    loading = with_offer - without
    return gains.with_columns(
        error=pl.Series(np.linalg.norm(loading, axis=1)), loading=pl.Series(loading.tolist())
    )


@takes_frames
def spread_gains_by_value(gains: pl.DataFrame, customers: pl.DataFrame) -> pl.DataFrame:
    """Distribute each segment's gain over its customers in proportion to their expected value.

    A pilot is too small to measure gains within segments. They are taken to be in proportion to a
    customer's expected value, with the segment's mean unchanged. The plan then contacts the
    customers of highest expected value first.

    Parameters
    ----------
    gains : DataFrame
        As `plan_budget` takes them, from `estimate_pilot_gains`.
    customers : DataFrame
        One row per customer who may be contacted: segment, value_segment, expected_value (null
        counts as 0).

    Returns
    -------
    DataFrame
        As ``gains``, with one row per segment, value segment and offer.

    Raises
    ------
    ColumnError
        If a column is missing.

    Examples
    --------
    >>> gains = pl.DataFrame(
    ...     {"segment": ["A"], "offer": ["x"], "customers": [4], "gain": [2.0], "cost": [1.0]})
    >>> customers = pl.DataFrame({"segment": ["A"] * 4, "expected_value": [6.0, 2.0, 2.0, 2.0],
    ...     "value_segment": ["Top", "Rest", "Rest", "Rest"]})
    >>> spread = spread_gains_by_value(gains, customers)
    >>> spread.select("segment", "customers", pl.col("gain").round(3)).rows()
    [('A, Rest', 3, 1.333), ('A, Top', 1, 4.0)]
    """
    require_columns(
        customers.columns, ["segment", "value_segment", "expected_value"], "the customers"
    )
    value = pl.col("expected_value").fill_null(0.0)
    whole = (pl.col("mean") * pl.col("size")).sum().over("segment")
    whole = whole / pl.col("size").sum().over("segment")
    parts = (
        customers.drop_nulls("value_segment")
        .group_by("segment", "value_segment")
        .agg(size=pl.len().cast(pl.Int64), mean=value.mean())
        .with_columns(factor=pl.when(whole > 0).then(pl.col("mean") / whole).otherwise(1.0))
        .sort("segment", "value_segment")
    )
    scaled = [name for name in ("gain", "error", "loading") if name in gains.columns]
    named = [name for name in ("segment", "segment_name") if name in gains.columns]
    wide = gains.join(parts, on="segment", how="inner", maintain_order="left_right")
    return wide.with_columns(
        *(pl.col(name) * pl.col("factor") for name in scaled),
        *(pl.concat_str(name, "value_segment", separator=", ") for name in named),
        customers=pl.col("size"),
    ).select(gains.columns)


def _checked(gains: pl.DataFrame) -> pl.DataFrame:
    require_columns(gains.columns, _NEED, "gains")
    if not gains.height:
        raise DataError("expected gains of at least one segment and offer, got no rows")
    table = gains if "error" in gains.columns else gains.with_columns(error=pl.lit(0.0))
    table = table.with_columns(
        pl.col("segment", "offer").cast(pl.String), pl.col("gain", "cost", "error").cast(pl.Float64)
    ).sort("segment", "offer")
    for column in ("customers", "gain", "cost", "error"):
        values = table.get_column(column).cast(pl.Float64).to_numpy()
        if not np.isfinite(values).all():
            raise DataError(f"gains: {column!r} holds missing or infinite values")
        if column != "gain" and (values < 0).any():
            raise DataError(f"gains: {column!r} must be at least 0, got {values.min():g}")
    repeated = table.height - table.select("segment", "offer").unique().height
    if repeated:
        cells = counted(repeated, "cell comes", "cells come")
        raise DataError(f"gains: {cells} twice (segment and offer)")
    if (table.group_by("segment").agg(pl.col("customers").n_unique())["customers"] > 1).any():
        raise DataError("gains: a segment has different numbers of customers in its rows")
    if "loading" in table.columns:
        _check_loading(table)
    return table


def _check_loading(table: pl.DataFrame) -> None:
    lengths = table.get_column("loading").list.len().unique().to_list()
    if len(lengths) != 1 or lengths[0] is None:
        raise DataError("gains: 'loading' must hold lists of one length in every row")
    loading = np.array(table.get_column("loading").to_list(), dtype=np.float64)
    error = table.get_column("error").to_numpy()
    if not np.allclose(np.linalg.norm(loading, axis=1), error, rtol=1e-6, atol=1e-12):
        raise DataError("gains: 'error' is not the root of the summed squares of 'loading'")


@dataclass(frozen=True, slots=True, eq=False)
class _Programme:
    """The linear programme of a plan: most contacts by cell, segment and offer.

    Attributes
    ----------
    rows, most : array of shape (limits, cells), (limits,)
        Weights of the cells in each limit, and the limit.
    room, cost : array of shape (cells,)
        Most contacts, and cost of one.
    """

    rows: Floats
    most: Floats
    room: Floats
    cost: Floats

    @classmethod
    def of(cls, table: pl.DataFrame, caps: Mapping[str, int], max_share: float) -> Self:
        segment, offer = (table.get_column(name).to_numpy() for name in ("segment", "offer"))
        room = (table.get_column("customers") * max_share + 1e-9).floor().to_numpy()
        limits = [(segment == name, room[segment == name][0]) for name in np.unique(segment)]
        limits += [(offer == name, cap) for name, cap in caps.items()]
        rows, most = zip(*limits, strict=True)
        return cls(np.array(rows, float), np.array(most, float), room, table["cost"].to_numpy())

    def solve(self, net: Floats, budget: float | None, *, whole: bool = False) -> Floats:
        """Return the contacts that earn most; cells that would lose money get none."""
        from scipy.optimize import Bounds, LinearConstraint, milp

        rows, most = self.rows, self.most
        if budget is not None:
            rows, most = np.vstack([rows, self.cost]), np.append(most, budget)
        solution = milp(
            -np.maximum(net, 0.0),
            constraints=LinearConstraint(rows, -np.inf, most),
            bounds=Bounds(0, np.where(net > 0, self.room, 0)),
            integrality=np.full(len(net), int(whole)),
            options={"mip_rel_gap": 1e-6, "time_limit": 20.0},
        )
        if solution.x is None:
            raise DataError(f"no plan was found: {solution.message}")
        return np.asarray(np.round(solution.x) if whole else solution.x, dtype=np.float64)


def _frontier(
    programme: _Programme, net: Floats, noise: Floats, top: float, tails: list[float]
) -> pl.DataFrame:
    free = float(programme.solve(net, None) @ programme.cost)
    rows = []
    for value in np.linspace(0, max(1.2 * free, top) or 1.0, 21):
        contacts = programme.solve(net, float(value))
        low, high = np.quantile((net + noise) @ contacts, tails)
        rows.append((float(value), float(net @ contacts), float(low), float(high)))
    return pl.DataFrame(rows, schema=["budget", "profit", "low", "high"], orient="row")


def _plan(table: pl.DataFrame, net: Floats, contacts: Floats, limits: Floats) -> pl.DataFrame:
    from scipy.special import ndtr

    error = table.get_column("error").to_numpy()
    with np.errstate(divide="ignore", invalid="ignore"):
        loss = np.where(error > 0, ndtr(-net / error), (net < 0).astype(np.float64))
    named = ["segment_name"] if "segment_name" in table.columns else []
    cells = table.select("segment", *named, "offer", "gain", "error", "cost", available="customers")
    return cells.with_columns(
        contacts=pl.Series(contacts.astype(np.int64)),
        spend=pl.col("cost") * pl.Series(contacts),
        profit=pl.Series(contacts * net),
        low=pl.Series(limits[0]),
        high=pl.Series(limits[1]),
        loss_share=pl.Series(loss),
    )
