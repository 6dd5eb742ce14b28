"""Uplift of each customer, learnt by cross-fitting on a randomised campaign."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import polars as pl

from segkit.display import counted, label, number
from segkit.errors import ParameterError, require_choice, require_columns, require_least
from segkit.frames import takes_frames
from segkit.ids import require_unique
from segkit.lift.requirements import finite_values
from segkit.lift.uplift_curves import Convention, UpliftCurve, compute_uplift_curve
from segkit.result import Figure, Result
from segkit.stats.two_part import compare_outcomes

Floats = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]
Learner = Literal["t", "x", "transformed"]
LEARNERS = {
    "t": "two models, one for each arm, and their difference",
    "x": "X-learner (Künzel, Sekhon, Bickel & Yu 2019)",
    "transformed": "one model of the transformed outcome (Athey & Imbens 2015)",
}


class Constant:
    """Constant prediction for an arm whose outcomes are all equal."""

    def __init__(self, value: float) -> None:
        self.value = value

    def predict(self, X: Floats) -> Floats:
        """Return the number for every row."""
        return np.full(len(X), self.value)


class Probability:
    """Fitted 0/1 classifier as a regression: it predicts the probability of a 1."""

    def __init__(self, model: Any) -> None:
        self.model = model

    def predict(self, X: Floats) -> Floats:
        """Return the chance of a 1 for every row."""
        return np.asarray(self.model.predict_proba(X)[:, 1], dtype=np.float64)


def default_model(*, binary: bool, seed: int) -> Any:
    """Return a gradient boosting of shallow trees; it accepts missing values and skewed columns."""
    from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor

    kind = HistGradientBoostingClassifier if binary else HistGradientBoostingRegressor
    return kind(
        max_iter=60,
        max_leaf_nodes=8,
        learning_rate=0.08,
        min_samples_leaf=60,
        l2_regularization=1.0,
        random_state=seed,
    )


def fit_outcome(model: Any, X: Floats, y: Floats, *, seed: int) -> Any:
    """Fit a model (a fresh copy, or the default one) of an outcome, 0/1 or continuous."""
    from sklearn.base import clone, is_classifier

    if not len(y) or (y == y[0]).all():
        return Constant(float(y[0]) if len(y) else 0.0)
    binary = bool(np.isin(y, (0.0, 1.0)).all())
    fresh = default_model(binary=binary, seed=seed) if model is None else clone(model)
    if is_classifier(fresh):
        if not binary:
            raise ParameterError("a classifier models 0/1 outcomes only; give a regressor")
        return Probability(fresh.fit(X, y.astype(np.int64)))
    return fresh.fit(X, y)


def fit_effect(
    learner: str, model: Any, X: Floats, y: Floats, treated: Flags, chance: float, *, seed: int
) -> Callable[[Floats], Floats]:
    """Fit a learner and return the function from features to the estimated effect.

    Parameters
    ----------
    learner : {"t", "x", "transformed"}
    model : scikit-learn estimator or None
        Copied for every fit. A classifier is used only where outcomes are predicted; the effects of
        the X-learner and the transformed outcome are continuous, and the default regressor takes
        its place there.
    chance : float
        Probability of treatment, by design.

    Raises
    ------
    ParameterError
        If the learner is unknown.
    """
    require_choice("learner", learner, LEARNERS)
    if learner == "transformed":
        z = y * (treated - chance) / (chance * (1 - chance))
        fitted = fit_outcome(_regressor(model), X, z, seed=seed)
        return lambda new: np.asarray(fitted.predict(new), dtype=np.float64)
    ours = fit_outcome(model, X[treated], y[treated], seed=seed)
    theirs = fit_outcome(model, X[~treated], y[~treated], seed=seed)
    if learner == "t":
        return lambda new: ours.predict(new) - theirs.predict(new)
    gain = y[treated] - theirs.predict(X[treated])
    loss = ours.predict(X[~treated]) - y[~treated]
    effect_1 = fit_outcome(_regressor(model), X[treated], gain, seed=seed)
    effect_0 = fit_outcome(_regressor(model), X[~treated], loss, seed=seed)
    # Weighted by the treatment's probability (Künzel et al., after eq. 9).
    return lambda new: chance * effect_0.predict(new) + (1 - chance) * effect_1.predict(new)


def _regressor(model: Any) -> Any:
    from sklearn.base import is_classifier

    if model is None or is_classifier(model):
        return default_model(binary=False, seed=0)
    return model


_MOST_LEVELS = 20


@dataclass(frozen=True, slots=True, eq=False)
class Uplift(Result):
    """Estimated effect per customer, from models that were not fitted to that customer.

    Attributes
    ----------
    frame : polars.DataFrame
        customer_id, uplift (estimated effect on the outcome), outcome, treated, fold; one row per
        customer, in the order given.
    curve : UpliftCurve
        How well the scores order customers.
    learner, outcome, treatment, control : str
    features : tuple of str
        Columns that the models saw.
    folds : int
    chance : float
        Share of the customers who were treated.
    calibration : polars.DataFrame
        fifth (1 the highest scores), customers, predicted, observed with low and high: null where
        an arm has fewer than two customers, limits also where it has too few buyers.
    """

    frame: pl.DataFrame
    curve: UpliftCurve
    learner: str
    outcome: str
    treatment: str
    control: str
    features: tuple[str, ...]
    folds: int
    chance: float
    calibration: pl.DataFrame

    def to_frame(self) -> pl.DataFrame:
        """Return predicted and observed effects by fifth of the scores."""
        return self.calibration

    @property
    def text(self) -> str:
        """The finding in words."""
        top, bottom = self.calibration.row(0, named=True), self.calibration.row(-1, named=True)
        share = self.curve.is_share

        def describe(row: dict[str, Any]) -> str:
            if row["observed"] is None:
                return "an unknown amount (an arm has fewer than two customers there)"
            value, low, high = (
                "" if row[k] is None else number(100 * row[k] if share else row[k])
                for k in ("observed", "low", "high")
            )
            interval = f"{low} to {high}" if low else "too few buyers for an interval"
            return f"{value} {'points ' if share else ''}({interval})"

        return (
            f"{self.curve.text} Among the fifth of the customers with the highest scores "
            f"{self.treatment} changed {label(self.outcome)} by {describe(top)} against "
            f"{self.control}, among the fifth with the lowest by {describe(bottom)}. Scores: "
            f"{LEARNERS[self.learner]}, each customer scored by models that did not see it "
            f"({counted(self.folds, 'fold')})."
        )

    def plot(self) -> Figure:
        """Draw the curve; see `UpliftCurve.plot`."""
        return self.curve.plot()

    def plot_calibration(self) -> Figure:
        """Draw the observed effect by fifth of the scores."""
        from segkit.plot import intervals

        return intervals(
            self.calibration.with_columns(which=pl.format("fifth {}", "fifth")),
            "which",
            "observed",
            percent=self.curve.is_share,
            title="Observed effect by fifth of the scores, highest first",
            y_label=f"Effect on {label(self.outcome)}",
            x_label="Customers by score",
        )


@takes_frames
def fit_uplift(
    frame: pl.DataFrame,
    outcome: str,
    *,
    features: Sequence[str],
    treatment: str,
    control: str,
    learner: Learner = "t",
    model: Any = None,
    folds: int = 5,
    convention: Convention = "qini",
    repeats: int = 200,
    level: float = 0.95,
    seed: int = 0,
) -> Uplift:
    """Estimate each customer's uplift by models fitted to other customers.

    Parameters
    ----------
    frame : DataFrame
        One row per customer: customer_id, the arm (randomised), the outcome, and features known
        before the assignment. Customers of other arms are left out.
    outcome : str
        0/1 or continuous.
    features : sequence of str
        Numbers, Booleans, or text (one 0/1 column for each of the 20 most frequent values).
    treatment, control : str
        Labels of the two arms.
    learner : {"t", "x", "transformed"}
        See `segkit.lift.uplift.LEARNERS`.
    model : scikit-learn estimator, optional
        By default gradient boosting of shallow trees. It must take missing values if there are
        any.
    folds : int
        Customers of a fold are scored by models fitted to the other folds.
    convention, repeats, level
        As in `compute_uplift_curve`.
    seed : int

    Returns
    -------
    Uplift

    Raises
    ------
    DataError
        If an arm is missing, a customer comes twice, or a value is not finite.
    ParameterError
        If a name is unknown, or there are fewer than two folds.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> n, x = 2000, rng.random(2000)
    >>> mailed = rng.random(n) < 0.5
    >>> people = pl.DataFrame({
    ...     "customer_id": [str(i) for i in range(n)], "x": x,
    ...     "arm": ["mail" if t else "holdout" for t in mailed],
    ...     "bought": (rng.random(n) < 0.1 + 0.5 * mailed * (x > 0.5)).astype(int)})
    >>> found = fit_uplift(people, "bought", features=["x"], treatment="mail", control="holdout")
    >>> bool(found.curve.coefficient_low > 0)
    True
    """
    require_choice("learner", learner, LEARNERS)
    require_least(folds=(folds, 2))
    customers = two_arms(frame, "arm", treatment, control, ["customer_id", outcome, *features])
    y = finite_values(customers, outcome)
    treated = (customers.get_column("arm") == treatment).to_numpy()
    X = feature_matrix(customers, features)
    fold = _deal(treated, y, folds, seed)
    chance = float(treated.mean())
    score = np.zeros(len(y))
    for k in range(folds):
        rest, test = fold != k, fold == k
        predict = fit_effect(learner, model, X[rest], y[rest], treated[rest], chance, seed=seed)
        score[test] = predict(X[test])
    ids = customers.select("customer_id")
    curve = compute_uplift_curve(
        y,
        score,
        treated,
        convention=convention,
        repeats=repeats,
        level=level,
        seed=seed,
        name=label(outcome),
        strata=fold,
    )
    return Uplift(
        frame=ids.with_columns(
            uplift=pl.Series(score),
            outcome=pl.Series(y),
            treated=pl.Series(treated),
            fold=pl.Series(fold),
        ),
        curve=curve,
        learner=learner,
        outcome=outcome,
        treatment=treatment,
        control=control,
        features=tuple(features),
        folds=folds,
        chance=chance,
        calibration=_calibrate(y, score, treated, level),
    )


def two_arms(
    frame: pl.DataFrame, arm: str, treatment: str, control: str, need: Sequence[str]
) -> pl.DataFrame:
    """Return the customers of two arms.

    Raises
    ------
    ColumnError, DataError, ParameterError
        If a column, an arm or its label is missing, or a customer comes twice.
    """
    require_columns(frame.columns, [arm, *need], "the frame")
    arms = frame.get_column(arm).drop_nulls().unique().sort().cast(pl.String).to_list()
    for name in (treatment, control):
        require_choice("arm", name, arms)
    if treatment == control:
        raise ParameterError(f"treatment and control are both {treatment!r}")
    customers = frame.filter(pl.col(arm).is_in([treatment, control]))
    require_unique(customers, "the frame")
    return customers


def feature_matrix(frame: pl.DataFrame, features: Sequence[str]) -> npt.NDArray[np.float64]:
    """Return features as numbers: text as one column per frequent value, missing as NaN.

    Raises
    ------
    ParameterError
        If there are none.
    """
    if not features:
        raise ParameterError("expected at least one feature known before the assignment")
    columns = []
    for name in features:
        column = frame.get_column(name)
        if column.dtype.is_numeric() or column.dtype == pl.Boolean:
            columns.append(column.cast(pl.Float64).to_numpy())
            continue
        text = column.cast(pl.String)
        common = text.drop_nulls().value_counts(sort=True).get_column(name).head(_MOST_LEVELS)
        values = text.to_numpy()
        columns += [(values == level).astype(np.float64) for level in sorted(common.to_list())]
    return np.column_stack(columns).astype(np.float64)


def _deal(treated: Flags, y: Floats, folds: int, seed: int) -> npt.NDArray[np.int64]:
    """Split customers into folds, stratified by arm and by whether the outcome is zero."""
    rng = np.random.default_rng(seed)
    fold = np.empty(len(y), dtype=np.int64)
    for arm in (False, True):
        for with_outcome in (False, True):
            rows = np.flatnonzero((treated == arm) & ((y != 0) == with_outcome))
            fold[rng.permutation(rows)] = np.arange(len(rows)) % folds
    return fold


def _calibrate(y: Floats, score: Floats, treated: Flags, level: float) -> pl.DataFrame:
    rows = []
    for k, part in enumerate(np.array_split(np.argsort(-score, kind="stable"), 5), start=1):
        change = compare_outcomes(y[part][treated[part]], y[part][~treated[part]], level=level)
        limits = (
            float(v) if np.isfinite(v) else None for v in (change.value, change.low, change.high)
        )
        rows.append((k, len(part), float(score[part].mean()), *limits))
    numbers = ("predicted", "observed", "low", "high")
    schema = {"fifth": pl.Int64, "customers": pl.Int64, **dict.fromkeys(numbers, pl.Float64)}
    return pl.DataFrame(rows, schema=schema, orient="row")
