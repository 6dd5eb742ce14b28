"""Probabilities of churn and of a first order: logistic models, calibrated on a later window."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from typing import Any, ClassVar, Self, get_args

import numpy as np
import polars as pl
from scipy.special import expit

from segkit.display import counted, percent
from segkit.errors import DataError, ModelError, ParameterError, require_columns, require_least
from segkit.frames import takes_frames
from segkit.predict.histories import HISTORY, Season, count_purchases
from segkit.predict.likelihood import Array
from segkit.predict.purchases import PurchaseModel, fit_purchases
from segkit.predict.windows import Outcome, Rolling, Tables, Window, roll, stack
from segkit.result import StoredModel, check_number, check_numbers, read_fields
from segkit.stats.threads import single_thread
from segkit.transform import Column, Transform

PROBABILITY = {"churn": "churn_probability", "first_order": "first_order_probability"}
EVENT = {"churn": "no order", "first_order": "a first order"}
WHO = {"churn": ("customer", "customers"), "first_order": ("contact", "contacts")}
FEWEST = 20  # customers with the event, and without it, below which nothing is fitted
ORDER = "p_order"  # of the BG/NBD
LEVELS = 12  # values of a text column that have a column of their own
SEASONS = 3  # windows from which on the effect of the season is learned
PENALTY = 1.0  # inverse strength of the ridge penalty on standardised columns


@dataclass(frozen=True, slots=True, eq=False)
class PropensityModel(StoredModel):
    """A fitted logistic model of churn, or of a contact's first order.

    The probability is that of the event within ``horizon_days``: "churn" is no order of a customer,
    "first_order" an order of a contact who has not bought. Its log-odds are
    ``shift + slope * (intercept + coefficients @ z + s)``, where z are the transformed features and
    s is the effect of season (`weigh_season`).

    Attributes
    ----------
    outcome : str
        "churn" or "first_order".
    horizon_days : int
    features : tuple of str
        Columns of the customer table, and attributes.
    levels : dict of str to tuple of str
        For each text feature, the values that have a column of their own, named "feature=value".
    purchases : PurchaseModel or None
        BG/NBD fitted as of the last window (customers only): its probability of an order from the
        purchase history alone is the feature "p_order". None where it is refused.
    season : tuple of float
        Purchase intensity of January to December, 1 on average; all 1 under two years of data.
    season_effect, reference : float
        Effect of season on the log-odds: ``season_effect * (x - reference)``, where x is the
        logarithm of the mean purchase intensity over the horizon and ``reference`` its mean in the
        fitted windows.
    transform : Transform
        Shapes (logarithms, arcsine roots of shares), fills and scales, as in clustering.
    coefficients : tuple of float
        Of the transform's columns: logarithm of the odds per standard deviation.
    intercept : float
    slope, shift : float
        Platt calibration (1999) on the last window, taken halfway to no calibration (`calibrate`);
        1 and 0 if there is a single window.
    origins : tuple of date
        Past dates, as of which customers were described, to which the coefficients were fitted.
    calibrated_on : date or None
        Past date used for the calibration, one horizon before ``as_of``; None without calibration.
    as_of : date
        Last day observed.
    rows, events : int
        Customers at these dates, and those of them with the event.
    base_rate : float
        Share with the event in the last window.
    attributes : tuple of str
    known_date : str or None
        See `fit_churn` and `fit_leads`.
    """

    KIND: ClassVar[str] = "propensity"

    outcome: Outcome
    horizon_days: int
    features: tuple[str, ...]
    levels: dict[str, tuple[str, ...]]
    purchases: PurchaseModel | None
    season: tuple[float, ...]
    season_effect: float
    reference: float
    transform: Transform
    coefficients: tuple[float, ...]
    intercept: float
    slope: float
    shift: float
    origins: tuple[date, ...]
    calibrated_on: date | None
    as_of: date
    rows: int
    events: int
    base_rate: float
    attributes: tuple[str, ...]
    known_date: str | None

    @classmethod
    def _read(cls, data: Mapping[str, Any]) -> Self:
        if data["outcome"] not in get_args(Outcome):
            raise ModelError(f"the stored propensity model is of outcome {data['outcome']!r}")
        transform = Transform.from_data(data["transform"])
        check_numbers("the coefficients", data["coefficients"], len(transform.columns))
        names = ("intercept", "slope", "shift", "season_effect", "reference")
        check_numbers("intercept, calibration and season", [data[name] for name in names], 5)
        check_numbers("the season", data["season"], 12, above=0)
        check_number("the base rate", data["base_rate"], above=0, below=1)
        own = data["purchases"]
        ready = {
            "purchases": None if own is None else PurchaseModel.from_data(own),
            "transform": transform,
            "origins": tuple(date.fromisoformat(one) for one in data["origins"]),
            "as_of": date.fromisoformat(data["as_of"]),
        }
        return read_fields(cls, data, {}, **ready)

    def to_frame(self) -> pl.DataFrame:
        """Return one row per column: feature, coefficient (log-odds per standard deviation)."""
        columns = [column.name for column in self.transform.columns]
        return pl.DataFrame(
            {"feature": columns, "coefficient": np.array(self.coefficients) * self.slope}
        ).sort(pl.col("coefficient").abs(), descending=True, maintain_order=True)

    @property
    def text(self) -> str:
        """State what the model predicts and what it rests on."""
        one, many = WHO[self.outcome]
        dates = counted(len(self.origins), "past date")
        sentence = (
            f"Probability of {EVENT[self.outcome]} within {counted(self.horizon_days, 'day')}, "
            f"from {counted(self.rows, one, many)} at {dates}; {percent(self.events / self.rows)} "
            f"had {EVENT[self.outcome]}."
        )
        if np.ptp(self.season) > 0:
            sentence += " The season of the days scored is allowed for."
        if self.calibrated_on is None:
            return f"{sentence} It is not calibrated: there is one past date alone."
        return f"{sentence} Calibrated as of {self.calibrated_on.isoformat()}."

    @takes_frames
    def predict(self, frame: pl.DataFrame, origin: date) -> Array:
        """Compute the probability of each row of a table of features as of a date."""
        z = self.transform.apply(self.read_numbers(frame))
        raw = self.intercept + z @ np.array(self.coefficients) + self.weigh_season(origin)
        return np.asarray(expit(self.shift + self.slope * raw), dtype=np.float64)

    @takes_frames
    def read_numbers(self, frame: pl.DataFrame) -> pl.DataFrame:
        """Return the features as numbers, the BG/NBD's probability of an order among them."""
        return encode(frame, self.features, self.levels, self.purchases, self.horizon_days)

    def weigh_season(self, origin: date) -> float:
        """Return the effect on the log-odds of the season of the days after a date."""
        ahead = math.log(mean_intensity(self.season, origin, self.horizon_days))
        return self.season_effect * (ahead - self.reference)


def mean_intensity(months: Sequence[float], origin: date, days: int) -> float:
    """Return the mean purchase intensity of the days after a date."""
    return float(Season(np.array(months), 0).count_days(origin, days)[-1]) / days


def encode(
    frame: pl.DataFrame,
    features: Sequence[str],
    levels: Mapping[str, Sequence[str]],
    purchases: PurchaseModel | None,
    horizon_days: int,
) -> pl.DataFrame:
    """Return the features as numbers: text as a 0/1 column for each of its frequent values.

    With a model of repeat buying, its probability of an order is the last column.
    """
    require_columns(frame.columns, features, "the table of features")
    columns: list[pl.Expr] = []
    for name in features:
        if name in levels:
            text = pl.col(name).cast(pl.String)
            columns += [
                (text == value).fill_null(False).cast(pl.Float64).alias(f"{name}={value}")
                for value in levels[name]
            ]
        else:
            columns.append(pl.col(name).cast(pl.Float64))
    if purchases is not None:
        (order,) = purchases.predict_order(frame, [horizon_days])
        columns.append(pl.lit(pl.Series(ORDER, order)))
    return frame.select(columns)


def _text_levels(frame: pl.DataFrame, features: Sequence[str]) -> dict[str, tuple[str, ...]]:
    """Return the most frequent values of each text column; of equal ones the first by name."""
    levels = {}
    for name in features:
        kind = frame.schema[name]
        if kind in (pl.String, pl.Categorical, pl.Enum):
            counts = frame.select(pl.col(name).cast(pl.String)).drop_nulls().group_by(name).len("n")
            ordered = counts.sort(["n", name], descending=[True, False])
            levels[name] = tuple(ordered[name].head(LEVELS))
        elif not (kind.is_numeric() or kind == pl.Boolean):
            raise ParameterError(f"{name} is {kind}; features must be numbers, yes or no, or text")
    return levels


def fit_logistic(
    windows: Sequence[Window],
    calibration: Window | None,
    tables: Tables,
    rolling: Rolling,
    end: date,
    only: str = "",
) -> PropensityModel:
    """Fit coefficients on earlier windows and the calibration on the last one.

    Parameters
    ----------
    windows, calibration : Window
        As `Rolling.before` gives them.
    tables : Tables
    rolling : Rolling
    end : date
        Last day known to the fit; the labels end on or before it.
    only : str
        The one feature to use, for a naive score.
    """
    last = calibration or windows[-1]
    frame, event = stack(windows, last)
    check_events(event, tables.outcome)
    names = [only] if only else [n for n in frame.columns if n not in HISTORY]
    levels = _text_levels(frame, names)
    names = [n for n in names if n in levels or frame[n].count() > frame[n].is_nan().sum()]
    purchases = None if only or tables.outcome != "churn" else _fit_purchases(tables, last.origin)
    numeric = encode(frame, names, levels, purchases, rolling.horizon_days)
    transform = Transform.propose(numeric, numeric.columns, families=False)
    transform = replace(transform, columns=tuple(_robust_steps(one) for one in transform.columns))
    transform = transform.fit(numeric)
    season = rolling.find_season(end)
    ahead = np.log([mean_intensity(season, one.origin, rolling.horizon_days) for one in windows])
    column = np.repeat(ahead, [one.frame.height for one in windows])
    reference = float(column.mean())
    design = np.column_stack([transform.apply(numeric), column - reference])
    coefficients, intercept = _logistic(design, event, PENALTY)
    base_rate = float(np.mean(last.event))  # type: ignore[arg-type]
    seasonal = len(windows) >= SEASONS
    effect = float(coefficients[-1]) if seasonal else guess_season_effect(base_rate, tables.outcome)
    model = PropensityModel(
        tables.outcome,
        rolling.horizon_days,
        tuple(names),
        levels,
        purchases,
        season,
        effect,
        reference,
        transform,
        tuple(coefficients[:-1].tolist()),
        intercept,
        1.0,
        0.0,
        tuple(window.origin for window in windows),
        None,
        end,
        len(event),
        int(event.sum()),
        base_rate,
        tuple(tables.attributes),
        tables.known_date,
    )
    if calibration is None:
        return model
    slope, shift = calibrate(model.predict(calibration.frame, last.origin), calibration)
    return replace(model, slope=slope, shift=shift, calibrated_on=calibration.origin)


def guess_season_effect(base_rate: float, outcome: Outcome) -> float:
    """Return the effect of a season on the log-odds where too few windows show it.

    A season multiplies the rate of buying by q, and the share b without an order becomes b ** q:
    the derivative of its log-odds by log q, at q = 1.
    """
    without = float(np.clip(base_rate if outcome == "churn" else 1 - base_rate, 0.01, 0.99))
    effect = math.log(without) / (1 - without)
    return effect if outcome == "churn" else -effect


def _fit_purchases(tables: Tables, origin: date) -> PurchaseModel | None:
    """Fit the BG/NBD as of a date; None where the data allow none, or do not determine it."""
    try:
        fitted = fit_purchases(count_purchases(tables.orders, as_of=origin))
    except DataError:
        return None
    return fitted if fitted.converged else None


def _robust_steps(column: Column) -> Column:
    """Return steps that no later value can break: a fill, and a logarithm of either sign."""
    if column.name == ORDER:
        return Column(ORDER, "arcsine", fill="median", why="a probability")
    shape = "signed_log" if column.shape == "log1p" else column.shape
    return replace(column, shape=shape, fill=column.fill or "median")


def _logistic(z: Array, event: Array, penalty: float) -> tuple[Array, float]:
    from sklearn.linear_model import LogisticRegression

    with single_thread():
        fitted = LogisticRegression(C=penalty, max_iter=1_000, tol=1e-8).fit(z, event)
    return fitted.coef_[0], float(fitted.intercept_[0])


def logit(probability: Array) -> Array:
    """Return log-odds, of probabilities kept off 0 and 1."""
    inside = np.clip(probability, 1e-6, 1 - 1e-6)
    return np.asarray(np.log(inside / (1 - inside)))


def calibrate(probability: Array, window: Window) -> tuple[float, float]:
    """Fit slope and shift of the log-odds to what came after a window's origin (Platt 1999).

    They go half of the way from no change: the level of one window is its own as much as that of
    the next. Where the event, or its absence, is rarer than 20 customers, or the order of the
    customers did not hold, nothing is changed: slope 1, shift 0.
    """
    event = np.asarray(window.event, dtype=float)
    if min(event.sum(), (1 - event).sum()) < FEWEST:
        return 1.0, 0.0
    slope, shift = _logistic(logit(probability)[:, None], event, 1e6)
    return ((1 + float(slope[0])) / 2, shift / 2) if slope[0] > 0 else (1.0, 0.0)


def check_events(event: Array, outcome: str) -> None:
    """Raise an error where too few customers had the event, or had it not."""
    yes, no = int(event.sum()), int((1 - event).sum())
    if min(yes, no) < FEWEST:
        bought, not_bought = (no, yes) if outcome == "churn" else (yes, no)
        raise DataError(
            f"a model needs at least {FEWEST} {WHO[outcome][1]} who ordered within the horizon "
            f"and {FEWEST} who did not; at the past dates there are {bought} and {not_bought}"
        )


@takes_frames
def fit_churn(
    orders: pl.DataFrame,
    *,
    events: pl.DataFrame | None = None,
    customers: pl.DataFrame | None = None,
    as_of: date | None = None,
    horizon_days: int = 90,
    windows: int = 5,
    attributes: Sequence[str] = (),
) -> PropensityModel:
    """Fit a model of the probability that a customer does not order within the horizon.

    Customers are described at past dates, one horizon apart; what they did in the horizon after
    each is the label. The last date serves the calibration, the earlier ones the coefficients.

    Parameters
    ----------
    orders : polars or pandas frame
        Clean order lines: customer_id, order_day, amount; see `segkit.build_features`.
    events, customers : polars or pandas frame, optional
        Clean events, and customer records (for ``attributes``).
    as_of : date, optional
        Last day observed; by default the last day with an order line.
    horizon_days : int
        Who does not order for so many days has churned.
    windows : int
        Past dates used at most; those with under 90 days of purchases before them are left out.
    attributes : sequence of str
        Columns of ``customers``: numbers, yes or no, or text. Use only attributes that do not
        change, or were recorded before the first past date; others leak the outcome.

    Returns
    -------
    PropensityModel

    Raises
    ------
    DataError
        If no past date has enough history before and after it, or there are fewer than 20 customers
        with an order in the horizon, or fewer than 20 without.
    ParameterError
        If an option is out of range or an attribute unknown.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> often = rng.gamma(1.0, 0.01, 400)
    >>> customer, day = np.nonzero(rng.random((400, 400)) < often[:, None])
    >>> orders = pl.DataFrame(
    ...     {"customer_id": customer.astype(str), "order_day": day, "amount": 20.0}
    ... )
    >>> model = fit_churn(orders)
    >>> model.calibrated_on, model.horizon_days
    (datetime.date(1970, 11, 6), 90)

    `score_propensity` scores the customers of a date with it.
    """
    tables = Tables(orders, events, customers, "churn", attributes)
    return _fit(tables, as_of, horizon_days, windows)


@takes_frames
def fit_leads(
    orders: pl.DataFrame,
    *,
    events: pl.DataFrame | None = None,
    customers: pl.DataFrame | None = None,
    as_of: date | None = None,
    horizon_days: int = 90,
    windows: int = 5,
    attributes: Sequence[str] = (),
    known_date: str | None = None,
) -> PropensityModel:
    """Fit a model of the probability that a lead places a first order within the horizon.

    Contacts are newsletter sign-ups, or companies after `segkit.features.group_companies`. A
    contact who is known at a past date and has no order line by then is a lead; the label is
    whether the first order falls in the horizon after that date.

    Parameters
    ----------
    orders : polars or pandas frame
        Clean order lines of all customers.
    events : polars or pandas frame, optional
        Clean events: engagement by which a contact is described, and from which on it is known.
    customers : polars or pandas frame, optional
        Contact records, for ``attributes`` and ``known_date``.
    as_of, horizon_days, windows, attributes
        As in `fit_churn`.
    known_date : str, optional
        Column of ``customers`` with the day on which a contact became known (signed up); by default
        known_since, if the column exists. If the first event is earlier, its day is used.

    Returns
    -------
    PropensityModel

    Raises
    ------
    DataError
        As in `fit_churn`.
    ParameterError
        If neither events nor ``known_date`` tell since when a contact is known.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> keen, first = rng.random(600), rng.integers(0, 300, 600)
    >>> visits = rng.poisson(6 * keen)
    >>> who = np.repeat(np.arange(600), visits)
    >>> events = pl.DataFrame({
    ...     "customer_id": who.astype(str), "event_type": "site_visit",
    ...     "event_day": first[who] + rng.integers(0, 60, len(who))})
    >>> buys = np.flatnonzero(rng.random(600) < 0.6 * keen)
    >>> orders = pl.DataFrame({
    ...     "customer_id": buys.astype(str), "amount": 9.0,
    ...     "order_day": first[buys] + rng.integers(30, 120, len(buys))})
    >>> model = fit_leads(orders, events=events)
    >>> model.outcome, "visits" in model.features
    ('first_order', True)
    """
    tables = Tables(orders, events, customers, "first_order", attributes, known_date)
    return _fit(tables, as_of, horizon_days, windows)


def _fit(tables: Tables, as_of: date | None, horizon_days: int, windows: int) -> PropensityModel:
    require_least(windows=(windows, 1))
    rolling = roll(tables, as_of, horizon_days, windows)
    return fit_logistic(*rolling.before(rolling.end, windows), tables, rolling, rolling.end)
