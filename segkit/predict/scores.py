"""Scores of customers and contacts, and the features behind each score in words."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date

import numpy as np
import polars as pl

from segkit.display import counted, join_words, label, number, percent
from segkit.errors import DataError, ParameterError, require_columns, require_least
from segkit.frames import takes_frames
from segkit.ids import require_unique
from segkit.predict.histories import check_as_of
from segkit.predict.likelihood import Array
from segkit.predict.propensity import EVENT, ORDER, PROBABILITY, WHO, PropensityModel
from segkit.predict.windows import Tables
from segkit.result import Result

# Driver -> its features, without their windows; the first ones stand for it in words.
DRIVERS: dict[str, tuple[str, ...]] = {
    "purchase history": ("recency_days", "frequency", "tenure_days", "gap_days_mean", "gap_days_cv",
                         "orders_per_year", "orders_trend", "category_breadth",
                         "product_breadth", ORDER),
    "visits": ("engagement_recency_days", "visits", "page_views", "product_views", "visits_trend",
               "visits_per_year", "time_seconds", "carts", "carts_abandoned", "abandonment_rate"),
    "e-mail": ("open_rate", "emails_opened", "click_rate", "emails_clicked", "emails_sent",
               "unsubscribed"),
}  # fmt: skip


@dataclass(frozen=True, slots=True, eq=False)
class Propensity(Result):
    """Scores of customers or contacts, with what they rest on.

    Attributes
    ----------
    customers : polars.DataFrame
        customer_id, churn_probability (or first_order_probability), decile (1 the highest tenth).
    model : PropensityModel
    as_of : date
        Last day known.
    frame : polars.DataFrame or None
        The features, one row per customer in the same order; not stored.
    """

    customers: pl.DataFrame
    model: PropensityModel
    as_of: date
    frame: pl.DataFrame | None = field(default=None, repr=False, metadata={"stored": False})

    @property
    def text(self) -> str:
        """State how many are expected to have the event, and how the scores are spread."""
        outcome = self.model.outcome
        probability = self.customers[PROBABILITY[outcome]].to_numpy()
        n = len(probability)
        high = probability[probability >= np.quantile(probability, 0.9)].mean()
        return (
            f"Of {counted(n, *WHO[outcome])}, {number(round(probability.sum()))} "
            f"({percent(probability.mean())}) are expected to have {EVENT[outcome]} in the "
            f"{counted(self.model.horizon_days, 'day')} after {self.as_of.isoformat()}; in the "
            f"tenth with the highest scores {percent(high)}. Scores are associations: they do not "
            "say whom a contact would change."
        )

    def explain(self, customer_ids: Sequence[str] | None = None, *, top: int = 3) -> pl.DataFrame:
        """Name the drivers that move each customer's score most.

        Correlated features (of purchase history, of visits, of e-mail) form one driver, as do the
        values of a text feature, because only their sum can be interpreted.

        Parameters
        ----------
        customer_ids : sequence of str, optional
            By default all.
        top : int
            Drivers per customer.

        Returns
        -------
        polars.DataFrame
            customer_id, rank, driver, contribution (to the log-odds: coefficients times
            standardised deviations from the mean of the fitted customers), words. A contribution is
            an association, not a cause.
        """
        ids = self.customers["customer_id"]
        rows = np.arange(len(ids))
        if customer_ids is not None:
            wanted = pl.Series(list(customer_ids), dtype=pl.String)
            missing = wanted.filter(~wanted.is_in(ids.implode()))
            if missing.len():
                raise DataError(
                    f"{counted(missing.len(), 'customer')} without a score, such as {missing[0]!r}"
                )
            rows = np.flatnonzero(ids.is_in(wanted.implode()).to_numpy())
        numbers, drivers, contributions = self._contributions()
        centre = self.model.transform.invert(np.zeros((1, len(self.model.coefficients))))
        part = numbers[rows], contributions[rows], centre.row(0, named=True)
        return self._strongest("customer_id", ids.gather(rows).to_list(), drivers, *part, top)

    @takes_frames
    def explain_segments(self, segments: pl.DataFrame, *, top: int = 3) -> pl.DataFrame:
        """Name the drivers by which each segment's mean score differs most from that of all.

        Parameters
        ----------
        segments : polars.DataFrame
            customer_id and segment.
        top : int
            Drivers per segment.

        Returns
        -------
        polars.DataFrame
            segment, rank, driver, contribution (mean of the segment less that of all), words.
        """
        require_columns(segments.columns, ["customer_id", "segment"], "segments")
        own = segments.select("customer_id", pl.col("segment").cast(pl.String))
        require_unique(segments, "segments")
        joined = self.customers.select("customer_id").join(
            own, on="customer_id", how="left", maintain_order="left"
        )
        names = joined["segment"].drop_nulls().unique().sort().to_list()
        if not names:
            raise DataError("segments name none of the scored customers")
        numbers, drivers, contributions = self._contributions()
        members = [(joined["segment"] == name).fill_null(False).to_numpy() for name in names]
        means = np.array([contributions[own_].mean(axis=0) for own_ in members])
        values = pl.concat([numbers.filter(pl.Series(own_)).mean() for own_ in members])
        part = values, means - contributions.mean(axis=0), numbers.mean().row(0, named=True)
        return self._strongest("segment", names, drivers, *part, top)

    def _contributions(self) -> tuple[pl.DataFrame, list[str], Array]:
        """Return the features as numbers, the drivers, and each customer's contributions."""
        if self.frame is None:
            raise DataError("the features are not stored with the scores; score again to explain")
        model = self.model
        numbers = model.read_numbers(self.frame)
        each = model.transform.apply(numbers) * np.array(model.coefficients) * model.slope
        of = [_driver_of(name) for name in model.transform.names]
        drivers = list(dict.fromkeys(of))
        sums = np.array([each[:, [one == name for one in of]].sum(axis=1) for name in drivers])
        return numbers, drivers, sums.T

    def _strongest(
        self,
        key: str,
        keys: list[str],
        drivers: list[str],
        numbers: pl.DataFrame,
        contributions: Array,
        typical: Mapping[str, float],
        top: int,
    ) -> pl.DataFrame:
        """Return the drivers of the largest contributions of each row, in words."""
        require_least(top=(top, 1))
        what = PROBABILITY[self.model.outcome].replace("_", " ")
        strongest = np.argsort(-np.abs(contributions), axis=1, kind="stable")[:, :top]
        rows = []
        for row, (name, places) in enumerate(zip(keys, strongest.tolist(), strict=True)):
            values = numbers.row(row, named=True)
            for rank, place in enumerate(places, 1):
                size = float(contributions[row, place])
                shown = _describe_driver(drivers[place], values, typical)
                words = f"{shown}: goes with a {'higher' if size > 0 else 'lower'} {what}"
                rows.append((name, rank, drivers[place], size, words))
        schema = {key: pl.String, "rank": pl.Int64, "driver": pl.String}
        schema |= {"contribution": pl.Float64, "words": pl.String}
        return pl.DataFrame(rows, schema=schema, orient="row")


def _driver_of(column: str) -> str:
    """Return the driver that a column of the model belongs to."""
    bare = _base_feature(column)
    return next((name for name, members in DRIVERS.items() if bare in members), bare)


def _base_feature(column: str) -> str:
    """Return a column's feature: without its window, or the value that it stands for."""
    return re.sub(r"_\d+d$", "", column.partition("=")[0])


def _describe_driver(
    driver: str, values: Mapping[str, float | None], typical: Mapping[str, float]
) -> str:
    """Word what a customer or segment shows of a driver, beside what is typical."""
    columns = [name for name in values if _driver_of(name) == driver]
    if "=" in columns[0]:
        shares = {name.partition("=")[2]: values[name] or 0.0 for name in columns}
        level, share = max(shares.items(), key=lambda item: item[1])
        if share in (0.0, 1.0):
            return f"{label(driver)} {level if share else 'other'}"
        return f"{label(driver)} {level} ({percent(share, places=0)})"
    leading = list(DRIVERS.get(driver, ()))
    shown = sorted(columns, key=lambda name: leading.index(_base_feature(name)) if leading else 0)
    parts = [
        f"{label(name)} {'unknown' if values[name] is None else number(values[name])}, "
        f"typical {number(typical[name])}"
        for name in shown[:2]
        if name in typical
    ]
    return f"{driver} ({'; '.join(parts)})" if driver in DRIVERS else "; ".join(parts)


@takes_frames
def score_propensity(
    model: PropensityModel,
    orders: pl.DataFrame,
    *,
    events: pl.DataFrame | None = None,
    customers: pl.DataFrame | None = None,
    as_of: date | None = None,
) -> Propensity:
    """Score each customer's churn, or each contact's first order, as of a date.

    Parameters
    ----------
    model : PropensityModel
        From `fit_churn` or `fit_leads`, or loaded.
    orders, events, customers : polars or pandas frame
        As given at fitting.
    as_of : date, optional
        Last day known; by default the last day with an order line.

    Returns
    -------
    Propensity
        ``customers`` has customer_id, the probability, and its decile.

    Raises
    ------
    DataError
        If nobody is there to be scored.
    ParameterError, ColumnError
        If a table lacks what the model's features need.

    Examples
    --------
    >>> import segkit
    >>> rng = np.random.default_rng(0)
    >>> often = rng.gamma(1.0, 0.01, 400)
    >>> customer, day = np.nonzero(rng.random((400, 400)) < often[:, None])
    >>> orders = pl.DataFrame(
    ...     {"customer_id": customer.astype(str), "order_day": day, "amount": 20.0}
    ... )
    >>> scores = score_propensity(segkit.predict.fit_churn(orders), orders)
    >>> scores.customers.columns
    ['customer_id', 'churn_probability', 'decile']
    >>> scores.explain(["0"], top=1)["driver"].to_list()
    ['purchase history']
    """
    if not isinstance(model, PropensityModel):
        raise ParameterError(f"model is what fit_churn or fit_leads return; got {model!r}")
    built = tuple(n for n in model.features if n not in (*model.attributes, "known_days"))
    tables = Tables(
        orders, events, customers, model.outcome, model.attributes, model.known_date, built
    )
    origin = check_as_of(orders, as_of)
    frame = tables.describe(origin).frame
    missing = [name for name in model.features if name not in frame.columns]
    if missing:
        raise DataError(
            f"the model needs {join_words(missing)}, which the tables do not allow as of "
            f"{origin.isoformat()}"
        )
    probability = pl.Series(PROBABILITY[model.outcome], model.predict(frame, origin))
    rank = probability.rank("average", descending=True)
    customers_ = frame.select("customer_id").with_columns(
        probability, decile=((rank - 0.5) * 10 / frame.height).floor().cast(pl.Int64) + 1
    )
    return Propensity(customers_, model, origin, frame)
