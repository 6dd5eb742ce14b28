"""Learners of individual effects on scikit-learn: two-model, X-learner, transformed outcome."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from segkit.errors import ParameterError, unknown

Floats = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]
LEARNERS = {
    "t": "two models, one for each arm, and their difference",
    "x": "X-learner (Künzel, Sekhon, Bickel & Yu 2019)",
    "transformed": "one model of the transformed outcome (Athey & Imbens 2015)",
}


class Constant:
    """A model that has learnt one number: for an arm whose outcomes are all equal."""

    def __init__(self, value: float) -> None:
        self.value = value

    def predict(self, X: Floats) -> Floats:
        """Return the number for every row."""
        return np.full(len(X), self.value)


class Probability:
    """A fitted classifier of 0/1 seen as a regression: it predicts the chance of a 1."""

    def __init__(self, model: Any) -> None:
        self.model = model

    def predict(self, X: Floats) -> Floats:
        """Return the chance of a 1 for every row."""
        return np.asarray(self.model.predict_proba(X)[:, 1], dtype=np.float64)


def default_model(*, binary: bool, seed: int) -> Any:
    """Return a gradient boosting of shallow trees: it takes missing values and skewed columns."""
    from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor

    kind = HistGradientBoostingClassifier if binary else HistGradientBoostingRegressor
    return kind(
        max_iter=60, max_leaf_nodes=8, learning_rate=0.08, min_samples_leaf=60,
        l2_regularization=1.0, random_state=seed,
    )  # fmt: skip


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
        Copied for every fit. For the effects of the X-learner and the transformed outcome, which
        are continuous, a regressor; a classifier is used for the outcomes alone.
    chance : float
        Probability of treatment, by design.

    Raises
    ------
    ParameterError
        If the learner is unknown.
    """
    if learner == "transformed":
        z = y * (treated - chance) / (chance * (1 - chance))
        return _predictor(fit_outcome(_regressor(model), X, z, seed=seed))
    if learner not in LEARNERS:
        raise ParameterError(unknown("learner", learner, LEARNERS))
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


def _predictor(model: Any) -> Callable[[Floats], Floats]:
    return lambda new: np.asarray(model.predict(new), dtype=np.float64)
