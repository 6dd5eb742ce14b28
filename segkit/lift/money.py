"""Added revenue, cost, profit and return on investment per assigned customer."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from segkit.display import counted, money, number, percent
from segkit.errors import ParameterError, require_choice, require_columns, require_range
from segkit.frames import takes_frames
from segkit.lift.effects import KPIS, compare_means
from segkit.lift.outcomes import Outcomes
from segkit.lift.requirements import read_test
from segkit.lift.sums import Sums, check_arms, sum_up
from segkit.lift.verdicts import ALL
from segkit.result import Figure, Result
from segkit.stats.intervals import Estimate, ci_words, z_value
from segkit.stats.two_part import EXPECTED_BUYERS

Floats = npt.NDArray[np.float64]
REVENUE = next(metric for metric in KPIS if metric.name == "revenue")
MAYBE = ("added_revenue", "added_profit", "total_profit", "roi", "profit_chance")  # may be null
ROUNDING = 1e-12  # share of the cost per customer; a smaller difference counts as zero (rounding)


@dataclass(frozen=True, slots=True, eq=False)
class Money(Result):
    """Profit of a campaign, by arm and segment.

    Attributes
    ----------
    table : DataFrame
        One row per arm and segment ("all customers" first): arm, control, segment, customers,
        buyers and buyers_control (customers whose revenue is not zero), revenue_arm and
        revenue_control (per assigned customer), added_revenue, added_cost (per assigned customer),
        added_profit, each profit and revenue with _low and _high; total_revenue, total_cost,
        total_profit with _low and _high (over the arm's customers), roi with _low and _high (null
        if there was no added cost), profit_chance (confidence that there was a profit, 0 to 1), and
        few (too few buyers: _low, _high and profit_chance are null).
    control : str
    margin : float
        Share of revenue that is profit.
    cost_per_contact : dict of str to float
        By arm.
    fixed_cost : float
        Fixed cost of each arm except the control, in total.
    level : float
    currency : str or None
    notes : tuple of str
        What a reader must know beside the figures.
    over_next : DataFrame or None
        Where there are several arms: over all customers, the arm with the highest added profit
        against the next; columns as in the table.
    """

    table: pl.DataFrame
    control: str
    margin: float
    cost_per_contact: dict[str, float]
    fixed_cost: float
    level: float
    currency: str | None = None
    notes: tuple[str, ...] = ()
    over_next: pl.DataFrame | None = None

    @property
    def text(self) -> str:
        """Finding: profit per assigned customer and in total, with its interval."""
        rows = self.table.filter(pl.col("segment") == ALL).to_dicts()
        each = "; ".join(_per_customer(row, self.currency) for row in rows)
        whole = "; ".join(_total_words(row, self.currency) for row in rows)
        shown = any(not row["few"] for row in rows)
        limits = "; limits from the number of buyers and what a buyer spent" if shown else ""
        sentences = (
            f"Added profit per assigned customer against {self.control}, with its "
            f"{percent(self.level, places=0)} interval: {each}. In all: {whole}. Revenue is net of "
            f"returns within the window, {percent(self.margin)} of it profit{limits}."
        )
        return " ".join([sentences, *self.notes])

    @property
    def answer(self) -> str:
        """Whether the arm that added most paid."""
        rows = self.table.filter(pl.col("segment") == ALL).sort("added_profit", descending=True)
        row = rows.row(0, named=True)
        verdict, limits = "Not shown to pay", "no interval, too few buyers"
        if not row["few"]:
            low, high = row["added_profit_low"], row["added_profit_high"]
            verdict = "A gain" if low > 0 else "A loss" if high < 0 else verdict
            limits = ci_words(low, high, self.level, money)
        added = money(row["added_profit"], self.currency)
        return f"{verdict}: {row['arm']} added {added} per customer over {self.control} ({limits})."

    @property
    def advice(self) -> str:
        """What to do with the arm that added most, and why."""
        rows = self.table.filter(pl.col("segment") == ALL).sort("added_profit", descending=True)
        row = rows.row(0, named=True)
        low, high = row["added_profit_low"], row["added_profit_high"]
        words = "Keep testing {}: whether it pays is not shown, profit {} per customer ({})"
        if low is not None and low > 0:
            words = "Roll out {}: it added {} of profit per customer ({})"
        elif high is not None and high < 0:
            words = "Stop {}: it changed profit by {} per customer ({})"
        limits = "no interval, too few buyers"
        if low is not None:
            limits = ci_words(low, high, self.level, money)
        advice = words.format(row["arm"], money(row["added_profit"], self.currency), limits)
        if self.over_next is None or low is None or low <= 0:
            return f"{advice}."
        over = self.over_next.row(0, named=True)
        clear = over["added_profit_low"] is not None and over["added_profit_low"] > 0
        return f"{advice}, {'' if clear else 'not clearly '}more than {over['control']}."

    def plot(self) -> Figure:
        """Draw the added profit per assigned customer by segment."""
        from segkit.plot import intervals

        several = self.table["arm"].n_unique() > 1
        return intervals(
            self.table,
            "segment",
            "added_profit",
            interval=("added_profit_low", "added_profit_high"),
            group="arm" if several else None,
            title=f"Added profit per assigned customer against {self.control}, "
            f"{self.level:.0%} intervals",
            y_label="added profit per assigned customer, "
            f"{self.currency or 'currency of the data'}",
        )


def _per_customer(row: Mapping[str, Any], currency: str | None) -> str:
    low, high = row["added_profit_low"], row["added_profit_high"]
    if row["few"]:
        return (
            f"{row['arm']} {money(row['added_profit'], currency)}, without an interval: "
            f"{counted(row['buyers_control'], 'buyer')} under {row['control']} and "
            f"{number(row['buyers'])} under {row['arm']} are too few (fewer than "
            f"{EXPECTED_BUYERS:g} expected in the smaller arm, or spending too unequally), gain or "
            "loss undecided"
        )
    verdict = "a gain" if low > 0 else "a loss" if high < 0 else "gain or loss undecided"
    return (
        f"{row['arm']} {money(row['added_profit'], currency)} ({money(low)} to {money(high)}), "
        f"{verdict}"
    )


def _total_words(row: Mapping[str, Any], currency: str | None) -> str:
    roi = "no more was spent than on the control, so there is no return on it"
    if row["few"]:
        return f"{row['arm']} {_whole(row['total_profit'], currency)}, undecided"
    if row["roi"] is not None:
        roi = (
            f"{number(row['roi'])} times the added cost of {_whole(row['total_cost'], currency)} "
            f"({number(row['roi_low'])} to {number(row['roi_high'])})"
        )
    return (
        f"{row['arm']} {_whole(row['total_profit'], currency)} "
        f"({_whole(row['total_profit_low'])} to {_whole(row['total_profit_high'])}); {roi}"
    )


def _whole(value: float | None, currency: str | None = None) -> str:
    return "–" if value is None else money(round(value), currency)


@takes_frames
def measure_profit(
    outcomes: Outcomes | pl.DataFrame,
    *,
    control: str,
    margin: float,
    cost_per_contact: float | Mapping[str, float],
    fixed_cost: float = 0.0,
    arms: list[str] | None = None,
    level: float = 0.95,
    currency: str | None = None,
) -> Money:
    """Compute added revenue, profit and return of a campaign, per customer and in total.

    Added revenue is the difference of the arms' mean revenue over *assigned* customers, buyers or
    not; over all customers segments are weighted by their size in the arm. Added profit is
    ``margin x added revenue - added cost``, the return ``added profit / added cost``. The interval
    is that of the difference in revenue, from its two parts (`segkit.stats.two_part`): the share of
    buyers and the revenue per buyer. It is null if fewer than `EXPECTED_BUYERS` buyers are expected
    in the smaller arm, or if the amounts of an arm's buyers vary too much for their number
    (`segkit.stats.two_part.MOST_TIMES`).

    Parameters
    ----------
    outcomes : Outcomes or DataFrame
        arm, revenue (net, per customer), optionally segment, and emails_sent (contacts made; else
        every customer of an arm with a cost was contacted once).
    control : str
    margin : float
        Share of revenue that is profit, from 0 to 1.
    cost_per_contact : float or mapping of str to float
        Cost of one contact, for all arms or by arm. With a single number the control costs 0,
        unless emails_sent shows contacts.
    fixed_cost : float
        Cost that each arm except the control has once.
    arms : list of str, optional
        Arms to compare; by default all but the control.
    level : float
    currency : str, optional
        Of the revenue, for texts.

    Returns
    -------
    Money

    Raises
    ------
    DataError
        As `measure_lift`; also if revenue is not finite.
    ParameterError
        If the margin lies outside [0, 1], a cost is negative or of an unknown arm.

    Examples
    --------
    >>> rows = pl.DataFrame({"arm": ["mail"] * 50 + ["none"] * 50,
    ...     "revenue": [40.0] * 10 + [0.0] * 40 + [40.0] * 5 + [0.0] * 45})
    >>> found = measure_profit(rows, control="none", margin=0.5, cost_per_contact=0.2)
    >>> round(found.table["added_profit"][0], 2), round(found.table["roi"][0], 2)
    (1.8, 9.0)
    """
    frame = read_test(outcomes)
    require_columns(frame.columns, ["arm", "revenue"], "the outcomes")
    by = "segment" if "segment" in frame.columns else None
    mailed = ["emails_sent"] if "emails_sent" in frame.columns else []
    sums = sum_up(frame, ["revenue", *mailed], segment=by)
    places, base = check_arms(sums, control, arms, by is not None), sums.arms.index(control)
    costs = _costs(sums, control, cost_per_contact, bool(mailed))
    require_range("[0, 1]", margin=margin)
    require_range("[0, inf)", fixed_cost=fixed_cost)
    contacts = sums.totals[..., sums.columns.index("emails_sent")] if mailed else sums.n
    spent = np.asarray(contacts * np.array([costs[name] for name in sums.arms]))
    rows: list[dict[str, Any]] = []
    notes: list[str] = []
    for place in places:
        both = [i for i in range(len(sums.segments)) if min(sums.n[i, [place, base]]) > 0]
        alone = [i for i in range(len(sums.segments)) if i not in both and sums.n[i, place] > 0]
        if alone:
            lost = sums.n[alone, place].sum()
            names = ", ".join(sums.segments[i] for i in alone)
            notes.append(
                f"Left out: {counted(lost, 'customer')} of {sums.arms[place]}, for {control} has "
                f"nobody in {names}."
            )
        groups = [(ALL, both), *((sums.segments[i], [i]) for i in both)] if by else [(ALL, both)]
        for name, which in groups:
            fixed = fixed_cost if name == ALL else 0.0
            rows.append(_row(sums, spent, (place, base), name, which, (margin, fixed, level)))
    # If all limits are null, the column still has to be numeric.
    maybe = {name: pl.Float64 for name in (rows[0] if rows else ()) if name.startswith(MAYBE)}
    table = pl.DataFrame(rows, schema_overrides=maybe, infer_schema_length=None)
    over_next = _over_next(sums, spent, table, margin, level)
    return Money(
        table, control, margin, costs, fixed_cost, level, currency, tuple(notes), over_next
    )


def _over_next(
    sums: Sums, spent: Floats, table: pl.DataFrame, margin: float, level: float
) -> pl.DataFrame | None:
    """Compare the arm with the highest added profit with the next, over all customers."""
    ranked = table.filter(pl.col("segment") == ALL).sort("added_profit", descending=True)["arm"]
    if ranked.len() < 2:
        return None
    one, two = (sums.arms.index(name) for name in ranked[:2])
    both = [i for i in range(len(sums.segments)) if min(sums.n[i, [one, two]]) > 0]
    if not both:
        return None
    row = _row(sums, spent, (one, two), ALL, both, (margin, 0.0, level))
    maybe = {name: pl.Float64 for name in row if name.startswith(MAYBE)}
    return pl.DataFrame([row], schema_overrides=maybe)


def _costs(
    sums: Sums, control: str, given: float | Mapping[str, float], mailed: bool
) -> dict[str, float]:
    if isinstance(given, Mapping):
        for name in given:
            require_choice("arm", name, sums.arms)
        costs = {name: float(given.get(name, 0.0)) for name in sums.arms}
    else:
        costs = dict.fromkeys(sums.arms, float(given))
        costs[control] = costs[control] if mailed else 0.0
    if min(costs.values()) < 0:
        raise ParameterError(f"a cost per contact is negative: {costs}")
    return costs


def _row(
    sums: Sums,
    spent: Floats,
    arms: tuple[int, int],
    name: str,
    which: list[int],
    terms: tuple[float, float, float],
) -> dict[str, Any]:
    (arm, base), (margin, fixed, level) = arms, terms
    n = sums.n[which, arm]
    weights, total = n / n.sum(), float(n.sum())
    effect = compare_means(REVENUE, sums, which, arms, n, level=level)
    added = effect.difference
    both = np.ix_(which, [arm, base])
    cost = spent[both] / sums.n[both]
    added_cost = float(weights @ (cost[:, 0] - cost[:, 1])) + fixed / total
    # Costs that differ only by rounding count as equal; dividing by the difference is meaningless.
    added_cost = 0.0 if abs(added_cost) <= ROUNDING * cost.max() else added_cost
    ends = {"": added.value, "_low": added.low, "_high": added.high}
    revenue = {end: None if np.isnan(v) else float(v) for end, v in ends.items()}
    profit = {end: None if v is None else margin * v - added_cost for end, v in revenue.items()}
    whole = {end: None if v is None else v * total for end, v in profit.items()}
    paid_back = {
        end: None if v is None or added_cost <= 0 else v / added_cost for end, v in profit.items()
    }
    return {
        "arm": sums.arms[arm],
        "control": sums.arms[base],
        "segment": name,
        "customers": int(total),
        "buyers": int(effect.cases[0]),
        "buyers_control": int(effect.cases[1]),
        "revenue_arm": effect.value_arm,
        "revenue_control": effect.value_control,
        **{f"added_revenue{end}": value for end, value in revenue.items()},
        "added_cost": added_cost,
        **{f"added_profit{end}": value for end, value in profit.items()},
        "total_revenue": added.value * total,
        "total_cost": added_cost * total,
        **{f"total_profit{end}": value for end, value in whole.items()},
        **{f"roi{end}": value for end, value in paid_back.items()},
        "profit_chance": _chance(added, added_cost / margin) if margin > 0 else None,
        "few": effect.few,
    }


def _chance(added: Estimate, needed: float) -> float | None:
    """Return the confidence that the added amount exceeds a threshold, from the interval."""
    from scipy.special import ndtr

    away = added.value - needed
    reach = added.value - added.low if away > 0 else added.high - added.value
    if not reach > 0:
        return None
    return float(ndtr(z_value(added.level) * away / reach))
