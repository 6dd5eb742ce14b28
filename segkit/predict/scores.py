"""Scores of customers and contacts, and the features behind each score in words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import Any

import numpy as np
import polars as pl

from segkit.display import counted, join_words, label, number, percent
from segkit.errors import DataError, require_columns, require_least
from segkit.frames import takes_frames
from segkit.predict.histories import check_as_of
from segkit.predict.likelihood import Array
from segkit.predict.propensity import EVENT, PROBABILITY, WHO, PropensityModel, encode
from segkit.predict.windows import Tables
from segkit.result import Result


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

    def to_frame(self) -> pl.DataFrame:
        """Return one row per customer."""
        return self.customers

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
            f"{self.model.horizon_days} days after {self.as_of.isoformat()}; in the tenth with "
            f"the highest scores {percent(high)}. Scores are associations: they do not say "
            "whom a contact would change."
        )

    def explain(self, customer_ids: Sequence[str] | None = None, *, top: int = 3) -> pl.DataFrame:
        """Name the features that move each customer's score most.

        Parameters
        ----------
        customer_ids : sequence of str, optional
            By default all.
        top : int
            Features per customer.

        Returns
        -------
        polars.DataFrame
            customer_id, rank, feature, value (null where missing), typical (of the fitted
            customers), contribution (to the log-odds: coefficient times standardised deviation),
            words. A contribution is an association, not a cause.
        """
        frame, contributions = self._contributions()
        ids = self.customers["customer_id"]
        if customer_ids is None:
            rows = np.arange(len(ids))
        else:
            wanted = pl.Series(list(customer_ids), dtype=pl.String)
            missing = wanted.filter(~wanted.is_in(ids.implode()))
            if missing.len():
                raise DataError(
                    f"{counted(missing.len(), 'customer')} without a score, such as {missing[0]!r}"
                )
            rows = np.flatnonzero(ids.is_in(wanted.implode()).to_numpy())
        part = contributions[rows]
        keys = ids.gather(rows).to_list()
        return self._strongest("customer_id", keys, frame[rows], part, top)

    def explain_segments(self, segments: pl.DataFrame, *, top: int = 3) -> pl.DataFrame:
        """Name the features by which each segment's mean score differs most from that of all.

        Parameters
        ----------
        segments : polars.DataFrame
            customer_id and segment.
        top : int
            Features per segment.

        Returns
        -------
        polars.DataFrame
            segment, rank, feature, value (the segment's mean), typical (the mean of all),
            contribution (mean of the segment less that of all), words.
        """
        require_columns(segments.columns, ["customer_id", "segment"], "segments")
        frame, contributions = self._contributions()
        joined = self.customers.select("customer_id").join(
            segments.select("customer_id", pl.col("segment").cast(pl.String)),
            on="customer_id",
            how="left",
            maintain_order="left",
        )
        if joined.height != self.customers.height:
            raise DataError("segments name a customer twice")
        names = joined["segment"].drop_nulls().unique().sort().to_list()
        if not names:
            raise DataError("segments name none of the scored customers")
        members = [(joined["segment"] == name).fill_null(False).to_numpy() for name in names]
        overall = contributions.mean(axis=0)
        part = np.array([contributions[own].mean(axis=0) - overall for own in members])
        means = pl.concat([frame.filter(pl.Series(own)).mean() for own in members])
        typical = frame.mean().row(0, named=True)
        return self._strongest("segment", names, means, part, top, typical)

    def _contributions(self) -> tuple[pl.DataFrame, Array]:
        if self.frame is None:
            raise DataError("the features are not stored with the scores; score again to explain")
        model = self.model
        frame = encode(self.frame, model.features, model.levels)
        z = model.transform.apply(frame)
        return frame, z * np.array(model.coefficients) * model.slope

    def _strongest(
        self,
        key: str,
        keys: list[str],
        frame: pl.DataFrame,
        contributions: Array,
        top: int,
        typical: Mapping[str, Any] | None = None,
    ) -> pl.DataFrame:
        """Return the features of the largest contributions of each row, in words."""
        require_least(top=(top, 1))
        names = list(self.model.transform.names)
        if typical is None:
            centre = np.zeros((1, len(names)))
            typical = self.model.transform.invert(centre).row(0, named=True)
        top = min(top, len(names))
        strongest = np.argsort(-np.abs(contributions), axis=1, kind="stable")[:, :top]
        values = frame.select(names).to_numpy()
        rows = []
        for row, (name, columns) in enumerate(zip(keys, strongest.tolist(), strict=True)):
            for rank, column in enumerate(columns, 1):
                feature, value = names[column], float(values[row, column])
                known = None if np.isnan(value) else value
                share = float(contributions[row, column])
                words = _driver_words(feature, known, typical[feature], share, self.model.outcome)
                rows.append((name, rank, feature, known, typical[feature], share, words))
        schema = {key: pl.String, "rank": pl.Int64, "feature": pl.String, "value": pl.Float64}
        schema |= {"typical": pl.Float64, "contribution": pl.Float64, "words": pl.String}
        return pl.DataFrame(rows, schema=schema, orient="row")


def _driver_words(
    feature: str, value: float | None, typical: float, contribution: float, outcome: str
) -> str:
    """Word one driver, as an association."""
    goes = "higher" if contribution > 0 else "lower"
    with_what = {"churn": "probability of churn", "first_order": "probability of a first order"}
    name, _, level = feature.partition("=")
    if level:
        what = f"{label(name)} {'is' if value else 'is not'} {level}"
    else:
        size = "not known" if value is None else number(value)
        what = f"{label(name)} {size} (typical {number(typical)})"
    return f"{what}: goes with a {goes} {with_what[outcome]}"


@takes_frames
def score_propensity(
    model: PropensityModel,
    orders: pl.DataFrame,
    *,
    events: pl.DataFrame | None = None,
    customers: pl.DataFrame | None = None,
    products: pl.DataFrame | None = None,
    as_of: date | None = None,
) -> Propensity:
    """Score each customer's churn, or each contact's first order, as of a date.

    Parameters
    ----------
    model : PropensityModel
        From `fit_churn` or `fit_leads`, or loaded.
    orders, events, customers, products : polars or pandas frame
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
    >>> scores.explain(["0"], top=1)["feature"].to_list()
    ['frequency']
    """
    asked = tuple(n for n in model.features if n not in (*model.attributes, "known_days"))
    tables = Tables(
        orders,
        events,
        customers,
        products,
        model.outcome,
        asked,
        model.attributes,
        model.known_date,
        model.active_days,
    )
    origin = check_as_of(orders, as_of)
    frame = tables.describe(origin).frame
    missing = [name for name in model.features if name not in frame.columns]
    if missing:
        raise DataError(
            f"the model needs {join_words(missing)}, which the tables do not allow as of "
            f"{origin.isoformat()}"
        )
    probability = pl.Series(PROBABILITY[model.outcome], model.predict(frame))
    rank = probability.rank("average", descending=True)
    customers_ = frame.select("customer_id").with_columns(
        probability, decile=((rank - 0.5) * 10 / frame.height).floor().cast(pl.Int64) + 1
    )
    return Propensity(customers_, model, origin, frame)
