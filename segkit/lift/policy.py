"""Profit of contacting some segments only, against all and none, on held-out customers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import polars as pl

from segkit.display import counted, number
from segkit.errors import DataError, require_range
from segkit.frames import takes_frames
from segkit.lift.requirements import finite_values
from segkit.lift.uplift import two_arms
from segkit.result import Figure, Result
from segkit.stats.intervals import ci_words, z_value
from segkit.stats.policy import (
    Trial,
    cell_errors,
    cells,
    honest_scores,
    least_error,
    lent_customers,
    shrink,
    split_folds,
    value_of,
)

POLICIES = ("these segments", "everyone", "nobody")


@dataclass(frozen=True, slots=True, eq=False)
class SegmentPolicy(Result):
    """Segments worth contacting, and the profit of contacting them.

    Attributes
    ----------
    segments : polars.DataFrame
        segment, customers, effect (on the outcome, without cost) with low and high, shrunken
        (towards one effect for all), contact (Boolean: worth its cost, by the shrunken effect).
    values : polars.DataFrame
        policy ("these segments", "everyone", "nobody"), value per customer (outcome times worth
        less cost) with low and high, learnt and valued on different customers (see
        `segkit.stats.policy.honest_scores`).
    gains : polars.DataFrame
        against ("everyone", "nobody"), gain of "these segments" per customer with low and high.
    cost, worth : float
        Cost of one contact; value of one unit of the outcome.
    outcome, treatment, control : str
    folds, customers : int
    level : float
    """

    segments: pl.DataFrame
    values: pl.DataFrame
    gains: pl.DataFrame
    cost: float
    worth: float
    outcome: str
    treatment: str
    control: str
    folds: int
    customers: int
    level: float

    def to_frame(self) -> pl.DataFrame:
        """Return the value of each policy."""
        return self.values

    @property
    def text(self) -> str:
        """The finding in words."""
        chosen, rest = (
            ", ".join(self.segments.filter(pl.col("contact") == worth)["segment"])
            for worth in (True, False)
        )
        where = (
            (f"{chosen}, not in {rest}" if chosen else "no segment") if rest else "every segment"
        )
        costs = "By what each segment's contact brings and costs on average"
        parts = [f"{costs}, {self.treatment} pays in {where}."]
        for row in self.gains.iter_rows(named=True):
            verdict = "not shown to differ from"
            if row["low"] > 0 or row["high"] < 0:
                verdict = "better than" if row["low"] > 0 else "worse than"
            interval = ci_words(row["low"], row["high"], self.level)
            parts.append(
                f"Contacting by segment is {verdict} contacting {row['against']}: "
                f"{number(row['gain'])} per customer ({interval})."
            )
        parts.append("It was always learnt from other customers than it is valued on.")
        return " ".join(parts)

    def plot(self) -> Figure:
        """Draw the value of each policy."""
        from segkit.plot import intervals

        return intervals(
            self.values,
            "policy",
            "value",
            reference=None,
            title="What contacting these segments, everyone or nobody is worth",
            x_label="Contacted",
            y_label="Value per customer",
        )


@takes_frames
def value_segment_policy(
    frame: pl.DataFrame,
    outcome: str,
    *,
    treatment: str,
    control: str,
    segment: str = "segment",
    cost: float = 0.0,
    worth: float = 1.0,
    folds: int = 5,
    level: float = 0.95,
    seed: int = 0,
) -> SegmentPolicy:
    """Choose the segments to contact, and estimate the profit against all and none.

    Parameters
    ----------
    frame : DataFrame
        One row per customer: customer_id, the arm (randomised), the segment as of the assignment,
        the outcome.
    outcome : str
    treatment, control : str
        Labels of the two arms.
    segment : str
        Column of the segment.
    cost : float
        Cost of one contact, in money.
    worth : float
        Money for one unit of the outcome (margin of an order, or margin rate of revenue).
    folds : int
        Number of parts of the customers. The policy learnt on the first part is valued on the
        second, the policy learnt on the first two is valued on the third, and so on.
    level, seed

    Returns
    -------
    SegmentPolicy

    Raises
    ------
    DataError, ParameterError
        If an arm is missing, a customer comes twice or has no segment, or the cost is negative.

    Examples
    --------
    >>> n = 800
    >>> people = pl.DataFrame({
    ...     "customer_id": [str(i) for i in range(n)], "segment": ["A", "B"] * (n // 2),
    ...     "arm": ["mail", "mail", "holdout", "holdout"] * (n // 4)})
    >>> moved = (pl.col("segment") == "A") & (pl.col("arm") == "mail")
    >>> people = people.with_columns(bought=moved.cast(pl.Int8))
    >>> terms = {"treatment": "mail", "control": "holdout", "cost": 0.1}
    >>> policy = value_segment_policy(people, "bought", **terms)
    >>> policy.segments.filter("contact")["segment"].to_list()
    ['A']
    """
    require_range("[0, inf)", cost=cost)
    customers = two_arms(frame, "arm", treatment, control, ["customer_id", segment, outcome])
    lost = customers.get_column(segment).null_count()
    if lost:
        raise DataError(
            f"{counted(lost, 'customer has', 'customers have')} no {segment}; leave them out"
        )
    names, group = np.unique(
        customers.get_column(segment).cast(pl.String).to_numpy(), return_inverse=True
    )
    option = (customers.get_column("arm") == treatment).cast(pl.Int64).to_numpy()
    chance = np.array([1 - option.mean(), option.mean()])
    paid = finite_values(customers, outcome) * worth - cost * option
    trial = Trial(group, option, paid, chance, len(names), 2)
    learners: dict[str, Callable[[np.ndarray], np.ndarray]] = {
        "these segments": lambda rows: _contact(trial, rows),
        "everyone": lambda rows: np.ones(len(names), dtype=np.int64),  # noqa: ARG005
        "nobody": lambda rows: np.zeros(len(names), dtype=np.int64),  # noqa: ARG005
    }
    scores = honest_scores(trial, learners, split_folds(trial, folds, seed))
    given = {name: learn(np.arange(customers.height)) for name, learn in learners.items()}
    values, gains = [], []
    own = "these segments"
    for name in POLICIES:
        value = value_of(scores[name], level=level, least=least_error(trial, given[name]))
        values.append((name, value.value, value.low, value.high))
        if name != own:
            least = least_error(trial, given[own], given[name])
            gain = value_of(scores[own] - scores[name], level=level, least=least)
            gains.append((name, gain.value, gain.low, gain.high))
    return SegmentPolicy(
        segments=_table(trial, names.tolist(), cost, worth, level),
        values=pl.DataFrame(values, schema=["policy", "value", "low", "high"], orient="row"),
        gains=pl.DataFrame(gains, schema=["against", "gain", "low", "high"], orient="row"),
        cost=cost,
        worth=worth,
        outcome=outcome,
        treatment=treatment,
        control=control,
        folds=folds,
        customers=customers.height,
        level=level,
    )


def _contact(trial: Trial, rows: np.ndarray) -> np.ndarray:
    shrunken = shrink(*cells(trial, rows), lent_customers(trial))[0]
    return (shrunken[:, 1] > shrunken[:, 0]).astype(np.int64)


def _table(trial: Trial, names: list[str], cost: float, worth: float, level: float) -> pl.DataFrame:
    n, mean, variance = cells(trial)
    lent = lent_customers(trial)
    shrunken = shrink(n, mean, variance, lent)[0]
    with np.errstate(invalid="ignore", divide="ignore"):
        own = np.sqrt(variance / n)
        error = np.sqrt((np.maximum(own, cell_errors(n, mean, variance, lent)) ** 2).sum(axis=1))
    net = mean[:, 1] - mean[:, 0]
    reach = z_value(level) * error
    scale = worth or 1.0
    return pl.DataFrame(
        {
            "segment": names,
            "customers": n.sum(axis=1).astype(np.int64),
            "effect": (net + cost) / scale,
            "low": (net + cost - reach) / scale,
            "high": (net + cost + reach) / scale,
            "shrunken": (shrunken[:, 1] - shrunken[:, 0] + cost) / scale,
            "contact": shrunken[:, 1] > shrunken[:, 0],
        }
    ).with_columns(pl.col(pl.Float64).fill_nan(None))
