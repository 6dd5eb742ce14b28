"""Contacts for each segment and offer within a budget: greatest profit, and its uncertainty."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import polars as pl

from segkit.display import money, number, percent
from segkit.errors import DataError, ParameterError, require_columns, unknown
from segkit.frames import takes_frames
from segkit.result import Result

if TYPE_CHECKING:
    from segkit.plot import Figure

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
        if not self.contacts:
            return (
                "No contact is expected to earn more than it costs, so that the best plan contacts "
                "nobody. A plan that knew the true gains would earn "
                f"{money(self.regret, self.currency)} more on average: that is what a larger "
                "pilot could be worth."
            )
        left = ""
        if self.budget is not None:
            left = f" of the budget of {money(self.budget, self.currency)}"
        first = (
            f"The best plan makes {number(self.contacts)} contacts, spends "
            f"{money(self.spend, self.currency)}"
            f"{left} and is expected to earn {money(self.profit, self.currency)} after costs "
            f"({percent(self.level, places=0)} interval {number(self.low)} to {number(self.high)})."
        )
        loss = "The interval includes a loss." if self.low < 0 else ""
        cautious = (
            "The gains come from a sample: as the plan picks what looked best, its expected profit "
            "is likely to be too high unless the gains were shrunken. A plan that knew the true "
            f"gains would earn {money(self.regret, self.currency)} more on average."
        )
        apart = ""
        if not self.joint and self.to_frame().filter(pl.col("error") > 0).height > 1:
            apart = (
                "The gains' errors were taken as independent; what they share would widen the "
                "interval."
            )
        return " ".join(part for part in (first, loss, apart, cautious) if part)

    def plot(self) -> Figure:
        """Draw the expected profit over the budget."""
        from segkit.plot import lines

        return lines(
            self.frontier, "budget", "profit", band=("low", "high"), percent=False, markers=False,
            reference=0.0, title="What a larger budget would earn",
            x_label="Budget for contacts", y_label="Expected profit after costs"
            + (f", {self.currency}" if self.currency else ""),
        )  # fmt: skip


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
        error (the gain's standard error; 0 without the column); loading (list of one length,
        whose root of summed squares is the error: a draw of the gain's error is its product with
        independent standard normals, the same for all rows), as `estimate_pilot_gains` gives it.
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
    if budget is not None and not budget >= 0:
        raise ParameterError(f"the budget must be at least 0, got {budget}")
    if not 0 < max_share <= 1:
        raise ParameterError(f"max_share must lie above 0 and at most at 1, got {max_share}")
    table = _checked(gains)
    limits = dict(caps or {})
    offers = table.get_column("offer").unique().sort().to_list()
    for offer, cap in limits.items():
        if offer not in offers:
            raise ParameterError(unknown("offer", offer, offers))
        if cap < 0:
            raise ParameterError(f"the cap of {offer} must be at least 0, got {cap}")
    room = (table.get_column("customers") * max_share + 1e-9).floor()
    table = table.with_columns(room=room.cast(pl.Int64))
    net = (table.get_column("gain") - table.get_column("cost")).to_numpy()
    error = table.get_column("error").to_numpy()
    contacts = _best(table, net, budget, limits)
    rng = np.random.default_rng(seed)
    joint = "loading" in table.columns
    loading = np.array(table.get_column("loading").to_list()) if joint else np.diag(error)
    noise = rng.standard_normal((draws, loading.shape[1])) @ loading.T
    tails = [(1 - level) / 2, (1 + level) / 2]
    each = (net + noise) * contacts
    low, high = np.quantile(each, tails, axis=0)
    total = each.sum(axis=1)
    regret = _regret(table, net, noise, contacts, budget, limits)
    plan = _plan(table, net, error, contacts, low, high)
    spend = float(plan.get_column("spend").sum())
    ends = np.quantile(total, tails)
    return Budget(
        plan, spend, float(net @ contacts), float(ends[0]), float(ends[1]), budget, limits,
        _frontier(table, net, noise, spend, budget, limits, level), regret, draws, level,
        joint, currency,
    )  # fmt: skip


@takes_frames
def estimate_pilot_gains(
    cells: pl.DataFrame, customers: Mapping[str, int], costs: Mapping[str, float] | float,
    *, nothing: str = "none", paid: bool = False,
) -> pl.DataFrame:  # fmt: skip
    """Compute the input of `plan_budget` from a pilot's cells: gains against no contact.

    Parameters
    ----------
    cells : DataFrame
        `Pilot.cells`, with cells of no offer.
    customers : mapping of str to int
        Segment to the customers who may be contacted now.
    costs : mapping of str to float, or float
        Of one contact, by offer.
    nothing : str
        The offer that means no contact.
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
    base = cells.filter(pl.col("offer") == nothing)
    if not base.height:
        raise DataError(
            "the pilot had no customers without an offer, so that it shows no gain over no contact"
        )
    joint = "payoff_loading" in cells.columns
    shared = {"base_loading": "payoff_loading"} if joint else {}
    base = base.select("segment", base="payoff_shrunken", base_error="payoff_error", **shared)
    gains = cells.filter(pl.col("offer") != nothing).join(base, on="segment", how="left")
    names = gains.get_column("offer").unique().to_list()
    price = {name: costs[name] if isinstance(costs, Mapping) else float(costs) for name in names}
    cost = pl.col("offer").replace_strict(price, return_dtype=pl.Float64)
    size = pl.col("segment").replace_strict(dict(customers), default=0, return_dtype=pl.Int64)
    found = gains.select(
        "segment", *(["segment_name"] if "segment_name" in cells.columns else []), "offer",
        customers=size,
        gain=pl.col("payoff_shrunken") - pl.col("base") + (cost if paid else 0.0),
        error=(pl.col("payoff_error") ** 2 + pl.col("base_error") ** 2).sqrt(),
        cost=cost,
    )  # fmt: skip
    if not joint:
        return found
    with_, without = (np.array(gains[c].to_list()) for c in ("payoff_loading", "base_loading"))
    loading = with_ - without
    return found.with_columns(
        error=pl.Series(np.linalg.norm(loading, axis=1)), loading=pl.Series(loading.tolist())
    )


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
    twice = table.height - table.select("segment", "offer").unique().height
    if twice:
        raise DataError(f"gains: {number(twice)} cells of segment and offer come twice")
    if "loading" in table.columns:
        _check_loading(table)
    sizes = table.group_by("segment").agg(pl.col("customers").n_unique().alias("n"))
    if (sizes.get_column("n") > 1).any():
        raise DataError("gains: a segment has different numbers of customers in its rows")
    return table


def _check_loading(table: pl.DataFrame) -> None:
    lengths = table.get_column("loading").list.len().unique().to_list()
    if len(lengths) != 1 or lengths[0] is None:
        raise DataError("gains: 'loading' must hold lists of one length in every row")
    loading = np.array(table.get_column("loading").to_list(), dtype=np.float64)
    error = table.get_column("error").to_numpy()
    if not np.allclose(np.linalg.norm(loading, axis=1), error, rtol=1e-6, atol=1e-12):
        raise DataError("gains: 'error' is not the root of the summed squares of 'loading'")


def _constraints(
    table: pl.DataFrame, budget: float | None, caps: Mapping[str, int]
) -> tuple[Floats, Floats]:
    segment = table.get_column("segment").to_numpy()
    offer = table.get_column("offer").to_numpy()
    room = table.get_column("room").to_numpy()
    rows = [(segment == name, float(room[segment == name][0])) for name in np.unique(segment)]
    rows += [(offer == name, float(cap)) for name, cap in caps.items()]
    A = np.array([mask.astype(np.float64) for mask, _ in rows])
    b = np.array([limit for _, limit in rows])
    if budget is not None:
        A = np.vstack([A, table.get_column("cost").to_numpy()])
        b = np.append(b, budget)
    return A, b


def _best(
    table: pl.DataFrame, net: Floats, budget: float | None, caps: Mapping[str, int]
) -> Floats:
    """Solve for whole numbers of contacts; cells that would lose money get none."""
    from scipy.optimize import Bounds, LinearConstraint, milp

    A, b = _constraints(table, budget, caps)
    useful = net > 0
    upper = np.where(useful, table.get_column("room").to_numpy(), 0)
    solution = milp(
        -np.where(useful, net, 0.0), constraints=LinearConstraint(A, -np.inf, b),
        bounds=Bounds(0, upper), integrality=np.ones(len(net)),
        options={"mip_rel_gap": 1e-6, "time_limit": 20.0},
    )  # fmt: skip
    if solution.x is None:
        raise DataError(f"no plan was found: {solution.message}")
    return np.asarray(np.round(solution.x), dtype=np.float64)


def _relaxed(
    table: pl.DataFrame, net: Floats, budget: float | None, caps: Mapping[str, int]
) -> Floats:
    from scipy.optimize import linprog

    A, b = _constraints(table, budget, caps)
    upper = np.where(net > 0, table.get_column("room").to_numpy(), 0)
    bounds = np.column_stack([np.zeros(len(net)), upper])
    solution = linprog(-net, A_ub=A, b_ub=b, bounds=bounds, method="highs")
    return np.asarray(solution.x, dtype=np.float64)


def _regret(
    table: pl.DataFrame, net: Floats, noise: Floats, contacts: Floats, budget: float | None,
    caps: Mapping[str, int],
) -> float:  # fmt: skip
    """Compute the mean gain of knowing the true gains, over the first 100 draws."""
    extra = []
    for drawn in (net + noise)[:100]:
        best = _relaxed(table, drawn, budget, caps)
        extra.append(float(drawn @ best - drawn @ contacts))
    return max(0.0, float(np.mean(extra))) if extra else 0.0


def _frontier(
    table: pl.DataFrame, net: Floats, noise: Floats, spend: float, budget: float | None,
    caps: Mapping[str, int], level: float,
) -> pl.DataFrame:  # fmt: skip
    cost = table.get_column("cost").to_numpy()
    free = float(_relaxed(table, net, None, caps) @ cost)
    top = max(1.2 * free, 1.2 * spend, budget or 0.0)
    rows = []
    for value in np.linspace(0, top or 1.0, 21):
        contacts = _relaxed(table, net, float(value), caps)
        drawn = (net + noise) @ contacts
        low, high = np.quantile(drawn, [(1 - level) / 2, (1 + level) / 2])
        rows.append((float(value), float(net @ contacts), float(low), float(high)))
    return pl.DataFrame(rows, schema=["budget", "profit", "low", "high"], orient="row")


def _plan(
    table: pl.DataFrame, net: Floats, error: Floats, contacts: Floats, low: Floats, high: Floats
) -> pl.DataFrame:
    from scipy.special import ndtr

    with np.errstate(divide="ignore", invalid="ignore"):
        loss = np.where(error > 0, ndtr(-net / error), (net < 0).astype(np.float64))
    more: dict[str, Any] = {
        "contacts": contacts.astype(np.int64),
        "spend": contacts * table.get_column("cost").to_numpy(),
        "profit": contacts * net,
        "low": low,
        "high": high,
        "loss_share": loss,
    }
    named = ["segment_name"] if "segment_name" in table.columns else []
    kept = table.select("segment", *named, "offer", "gain", "error", "cost", available="customers")
    return kept.with_columns(**{name: pl.Series(values) for name, values in more.items()})
