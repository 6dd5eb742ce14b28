"""Decision curves: what contacting the customers above a probability would have earned."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import polars as pl

from segkit.display import counted, number, percent
from segkit.errors import ParameterError, require_range
from segkit.predict.measures import limits
from segkit.predict.propensity import EVENT, WHO
from segkit.predict.propensity_backtest import LOGISTIC, SCORES, PropensityBacktest
from segkit.result import Figure, Result

THRESHOLDS = (0.02, 0.05, *(np.arange(1, 10) / 10).tolist(), 0.95)


@dataclass(frozen=True, slots=True, eq=False)
class DecisionCurve(Result):
    """Profit of contacting the customers above a probability, by the cost of a contact.

    Attributes
    ----------
    table : polars.DataFrame
        One row per score and cost: score ("everybody": all are contacted), threshold (probability
        from which a contact pays: cost / (margin * response)), cost, contacted (share), profit,
        low, high (per customer, in the unit of money; nobody contacted earns 0).
    cost : float
        Of a contact, as asked for.
    margin, response : float
        See `compute_decision_curve`.
    outcome : str
    customers : int
        Judged, at all origins.
    """

    table: pl.DataFrame
    cost: float
    margin: float
    response: float
    outcome: str
    customers: int

    @property
    def threshold(self) -> float:
        """Probability from which a contact pays."""
        return self.cost / (self.margin * self.response)

    @property
    def text(self) -> str:
        """State whom to contact at the cost given, and what that would have earned."""
        own = self.table.filter(pl.col("cost") == self.cost)
        rows = {row["score"]: row for row in own.iter_rows(named=True)}
        best, every = rows[LOGISTIC], rows["everybody"]
        who = WHO[self.outcome][1]
        return (
            f"A contact for {number(self.cost)} pays where the probability of "
            f"{EVENT[self.outcome]} is at least {percent(self.threshold)}: "
            f"{percent(best['contacted'])} of {counted(self.customers, who[:-1])} at past dates, "
            f"for a profit of {number(1_000 * best['profit'])} per 1,000 {who} "
            f"({number(1_000 * best['low'])} to {number(1_000 * best['high'])}) against "
            f"{number(1_000 * every['profit'])} if all are contacted. This takes as given that a "
            f"contact changes the outcome of {percent(self.response)} of those who would have had "
            f"{EVENT[self.outcome]}; only a randomised test can tell."
        )

    def plot(self) -> Figure:
        """Draw the profit of each score by the probability from which a contact pays."""
        from segkit.plot import lines

        return lines(
            self.table.with_columns(profit=1_000 * pl.col("profit")),
            "threshold",
            "profit",
            group="score",
            reference=0.0,
            title="Profit of contacting those above the probability from which it pays",
            x_label="probability from which a contact pays",
            y_label=f"profit per 1,000 {WHO[self.outcome][1]}",
        )


def compute_decision_curve(
    backtest: PropensityBacktest, *, cost: float, margin: float, response: float
) -> DecisionCurve:
    """Compute the past profit of contacting customers above a probability, by cost of a contact.

    Parameters
    ----------
    backtest : PropensityBacktest
    cost : float
        Of one contact.
    margin : float
        Gained where the contact changes the outcome: a customer kept, a first order won.
    response : float
        Share of the customers with the event (churn) whose outcome a contact changes, from a
        randomised test; for leads, the share of first orders that are due to the contact.

    Returns
    -------
    DecisionCurve
        At the cost given and at others with the same margin, each score beside contacting all.

    Raises
    ------
    ParameterError
        If an option is out of range, or the contact costs more than it can ever gain.

    Notes
    -----
    Vickers and Elkin (2006), "Decision curve analysis", Medical Decision Making 26: net benefit
    times margin and response.

    Examples
    --------
    >>> predictions = pl.DataFrame({
    ...     "origin": ["2025-01-31"] * 4, "customer_id": [*"abcd"],
    ...     "event": [True, True, False, False], "logistic": [0.9, 0.6, 0.4, 0.1]})
    >>> nothing = pl.DataFrame()
    >>> judged = PropensityBacktest(nothing, nothing, predictions, "churn", 90, 0.95, 20, 1)
    >>> curve = compute_decision_curve(judged, cost=1, margin=20, response=0.1)
    >>> curve.table.filter(cost=1.0).select("score", "contacted", "profit").rows()
    [('logistic', 0.5, 0.5), ('everybody', 1.0, 0.0)]
    """
    require_range("(0, inf)", cost=cost, margin=margin)
    require_range("(0, 1]", response=response)
    gain = margin * response
    if cost >= gain:
        raise ParameterError(
            f"a contact costs {number(cost)} and gains at most {number(gain)} (margin times "
            "response): it never pays"
        )
    frame = backtest.predictions
    names = [name for name in frame.columns if name in SCORES and not frame[name].null_count()]
    costs = np.unique([cost, *(share * gain for share in THRESHOLDS)])
    event = frame["event"].to_numpy().astype(float)
    everybody, place = np.unique(frame["customer_id"].to_numpy(), return_inverse=True)
    earned = event[:, None] * gain - costs
    contacts = {name: frame[name].to_numpy()[:, None] >= costs / gain for name in names}
    contacts["everybody"] = np.ones((len(event), len(costs)), dtype=bool)
    per_customer = np.zeros((len(everybody), len(contacts) * len(costs) + 1))
    profits = np.hstack([own * earned for own in contacts.values()])
    np.add.at(per_customer, place, np.hstack([profits, np.ones((len(event), 1))]))
    rng = np.random.default_rng(backtest.seed)
    drawn = np.empty((backtest.resamples, profits.shape[1]))
    for draw in range(backtest.resamples):
        chosen = rng.integers(0, len(everybody), len(everybody))
        sums = np.bincount(chosen, minlength=len(everybody)) @ per_customer
        drawn[draw] = sums[:-1] / sums[-1]
    low, high = limits(profits.mean(axis=0), drawn, backtest.level)
    shares = np.hstack([own.mean(axis=0) for own in contacts.values()])
    table = pl.DataFrame(
        {
            "score": np.repeat(list(contacts), len(costs)),
            "threshold": np.tile(costs / gain, len(contacts)),
            "cost": np.tile(costs, len(contacts)),
            "contacted": shares,
            "profit": profits.mean(axis=0),
            "low": low,
            "high": high,
        }
    )
    return DecisionCurve(table, cost, margin, response, backtest.outcome, len(event))
