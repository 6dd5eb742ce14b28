"""The size of a pilot: what choosing the wrong offers costs, against what testing costs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import polars as pl

from segkit.campaign.metrics import Metric
from segkit.display import counted, money, number, percent
from segkit.errors import DataError, ParameterError, require_least, require_range
from segkit.result import Figure, Result

Array = npt.NDArray[np.float64]
SHARES = (0.05, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9)


@dataclass(frozen=True, slots=True, eq=False)
class PilotSize(Result):
    """Expected costs of pilots of several sizes.

    Attributes
    ----------
    table : polars.DataFrame
        One row per size: share (of the customers), customers, per_cell (customers of the smallest
        segment with one offer), right_share (expected share of customers whose segment gets its
        best offer), lost (expected profit lost to wrong offers, over all campaigns), testing
        (expected cost of the pilot itself), total.
    share : float
        The size of least total.
    customers : int
        Customers in all segments.
    offers : int
        Number of options in the pilot, counting "no offer" as one.
    spread, common : float
        Standard deviations assumed for the offers' effects: within a segment, and shared.
    campaigns : float
        Number of campaigns in which the learnt offers will be used.
    currency : str or None
    """

    table: pl.DataFrame
    share: float
    customers: int
    offers: int
    spread: float
    common: float
    campaigns: float
    currency: str | None = None

    @property
    def best(self) -> dict[str, float]:
        """The row of least total."""
        return self.table.filter(share=self.share).row(0, named=True)

    @property
    def text(self) -> str:
        """The finding in words."""
        row = self.best
        lost, testing = (money(row[name], self.currency) for name in ("lost", "testing"))
        largest = float(self.table["share"].to_numpy().max())
        edge = "" if self.share < largest else " A larger pilot was not considered."
        return (
            f"A pilot with {percent(self.share, places=0)} of the customers "
            f"({number(int(row['customers']))}) costs least: wrong offers lose {lost}, testing "
            f"{testing}. It would find the best offer for {percent(row['right_share'], places=0)} "
            "of the customers. This assumes that offers differ within a segment by "
            f"{number(self.spread)} per customer (standard deviation), and that what is learnt "
            f"serves {counted(self.campaigns, 'campaign')}.{edge}"
        )

    def plot(self) -> Figure:
        """Draw both costs and their total over the pilot's size."""
        from segkit.plot import lines

        parts = {"lost": "wrong offers", "testing": "testing", "total": "together"}
        long = self.table.unpivot(list(parts), index="share", variable_name="cost")
        return lines(
            long.with_columns(pl.col("cost").replace(parts)),
            "share",
            "value",
            group="cost",
            title=f"A pilot with {percent(self.share, places=0)} of the customers costs least",
            x_label="Customers in the pilot",
            y_label=f"Expected cost, {self.currency}" if self.currency else "Expected cost",
        )


def size_pilot(
    sizes: Mapping[str, int],
    metric: Metric,
    *,
    offers: int,
    spread: float,
    common: float | None = None,
    campaigns: float = 4,
    cost: float = 0.0,
    shares: Sequence[float] = SHARES,
    draws: int = 2000,
    seed: int = 0,
    currency: str | None = None,
) -> PilotSize:
    """Find the size of a pilot with the lowest expected cost of testing and of wrong offers.

    Options get equal parts of the pilot at random, one of them no offer. True effects are drawn as
    ``common + within-segment`` parts, both normal; the pilot's means are drawn around them, and
    each segment gets the option whose posterior mean is highest. The loss is the difference to the
    truly best option, over all customers and campaigns. The cost of testing is that of its
    contacts, and the profit that its customers would have brought in one campaign with the chosen
    option.

    Parameters
    ----------
    sizes : mapping of str to int
        Customers of each segment who may be contacted.
    metric : Metric
        Profit per customer (or another payoff): its standard deviation is the noise.
    offers : int
        Number of options in the pilot, counting "no offer" as one; at least 2.
    spread : float
        Standard deviation, in the metric's unit, of an option's effect within a segment around its
        effect over all. An earlier pilot's is `Pilot.interaction_sd`.
    common : float, optional
        That of an option's effect over all segments; by default as large as ``spread``.
    campaigns : float
        Number of campaigns in which the learnt offers will be used.
    cost : float
        Of one contact.
    shares : sequence of float
        Sizes considered, as shares of the customers.
    draws : int
        Pilots simulated for each size.
    seed : int
    currency : str, optional
        Of the metric, for texts.

    Returns
    -------
    PilotSize

    Raises
    ------
    ParameterError
        If a number is out of range.
    DataError
        If there are no customers.

    Notes
    -----
    Source: Stallard, Miller, Day, Hee, Madan, Zohar & Posch (2017), "Determination of the optimal
    sample size for a clinical trial accounting for the population size", Biometrical Journal 59,
    for the principle of weighing a trial's cost against the later customers' gain.

    Examples
    --------
    >>> from segkit.campaign import mean
    >>> found = size_pilot({"A": 3000, "B": 2000}, mean(8.0, 20.0), offers=4, spread=1.0)
    >>> 0.05 < found.share < 0.9, found.table["lost"].is_sorted(descending=True)
    (True, True)
    """
    shared = spread if common is None else common
    require_least(offers=(offers, 2), draws=(draws, 10), cost=(cost, 0), common=(shared, 0))
    require_range("(0, inf)", spread=spread, campaigns=campaigns)
    if not shares or any(not 0 < share < 1 for share in shares):
        raise ParameterError(f"shares must lie between 0 and 1, got {list(shares)}")
    n = np.array([size for size in sizes.values() if size > 0], dtype=np.float64)
    if not n.size:
        raise DataError("there are no customers to try offers on")
    rng = np.random.default_rng(seed)
    groups = len(n)
    effects = shared * rng.standard_normal((draws, 1, offers))
    effects = effects + spread * rng.standard_normal((draws, groups, offers))
    noise = rng.standard_normal((draws, groups, offers))
    cell = np.repeat(np.arange(offers), groups)
    prior = shared**2 * (cell[:, None] == cell[None, :]) + spread**2 * np.eye(groups * offers)
    rows = []
    for share in sorted(shares):
        per_cell = np.maximum(n * share / offers, 1e-9)
        error = metric.variance / per_cell
        flat_error = np.tile(error, offers)
        observed = effects + noise * np.sqrt(error)[None, :, None]
        flat = observed.transpose(0, 2, 1).reshape(draws, -1)  # option by option
        weight = np.linalg.solve(prior + np.diag(flat_error), prior)
        posterior = (flat @ weight).reshape(draws, offers, groups).transpose(0, 2, 1)
        chosen = posterior.argmax(axis=2)
        best, got = effects.max(axis=2), np.take_along_axis(effects, chosen[..., None], 2)[..., 0]
        lost = campaigns * float((best - got).mean(axis=0) @ n)
        average = effects.mean(axis=2)
        forgone = float((got - average).mean(axis=0) @ n) * share
        contacts = share * n.sum() * (offers - 1) / offers * cost
        right = float((got == best).mean(axis=0) @ n / n.sum())
        testing = forgone + contacts
        rows.append(
            (share, round(share * n.sum()), per_cell.min(), right, lost, testing, lost + testing)
        )
    schema = ["share", "customers", "per_cell", "right_share", "lost", "testing", "total"]
    table = pl.DataFrame(rows, schema=schema, orient="row")
    cheapest = float(table.sort("total", "share")["share"][0])
    return PilotSize(
        table, cheapest, int(n.sum()), offers, spread, shared, float(campaigns), currency
    )
