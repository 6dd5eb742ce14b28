"""Factor scores: weights of the answers, and each respondent's scores."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
import numpy.typing as npt
import polars as pl

from segkit.display import counted, join_words, number
from segkit.errors import require_choice
from segkit.factor.answers import Floats
from segkit.plot import Figure, histograms
from segkit.result import Result
from segkit.stats.threads import single_thread

ScoreMethod = Literal["regression", "bartlett", "tenberge"]
SCORES: tuple[ScoreMethod, ...] = get_args(ScoreMethod)
MOST_ERROR = 10.0  # variance of an unbiased score's error, in variances of its factor


@dataclass(frozen=True, slots=True, eq=False)
class ScoreModel:
    """Matrices from which the weights of standardised answers are computed.

    Attributes
    ----------
    loadings : ndarray of shape (items, factors)
    phi : ndarray of shape (factors, factors)
    correlation : ndarray of shape (items, items)
        Of the coded answers.
    attenuation : ndarray of shape (items,)
        Correlation of each coded answer with the variable that the loadings describe (the latent
        attitude in a polychoric model).
    """

    loadings: Floats
    phi: Floats
    correlation: Floats
    attenuation: Floats


def score_weights(
    model: ScoreModel, method: str, answered: npt.NDArray[np.bool_] | None = None
) -> Floats | None:
    """Give the weights of standardised answers in each factor's score.

    With R the correlations of the coded answers, L their loadings, Phi the factors' correlations
    and U the diagonal matrix of uniquenesses:

    - regression (Thurstone 1935): ``R^-1 L Phi``, the best linear guess, shrunk towards the mean;
    - Bartlett (1937): ``U^-1 L (L' U^-1 L)^-1``, unbiased and noisier;
    - ten Berge et al. (1999): ``R^-1/2 C Phi^1/2`` with ``C = A (A' A)^-1/2`` and
      ``A = R^-1/2 L Phi^1/2``; these scores correlate as the factors do.

    If some answers are missing, the rows and columns of the others take the place of the whole
    matrices.

    Parameters
    ----------
    model : ScoreModel
    method : str
        "regression", "bartlett" or "tenberge".
    answered : boolean ndarray of shape (items,), optional
        Which items are answered; by default all.

    Returns
    -------
    ndarray of shape (items, factors), or None
        Zero for items without an answer. None where the answers do not determine the scores: a
        matrix has no inverse, or (Bartlett, ten Berge) the error of an unbiased score has more
        than ten times the variance of its factor.

    Examples
    --------
    >>> model = ScoreModel(np.array([[0.8], [0.6]]), np.eye(1),
    ...                    np.array([[1, 0.48], [0.48, 1]]), np.ones(2))
    >>> score_weights(model, "regression").round(3).ravel().tolist()
    [0.665, 0.281]
    """
    require_choice("kind of scores", method, SCORES)
    use = np.ones(len(model.loadings), dtype=bool) if answered is None else answered
    r = model.correlation[np.ix_(use, use)]
    loadings = (model.loadings * model.attenuation[:, None])[use]
    weights = np.zeros(model.loadings.shape)
    try:
        weights[use] = _weights(r, loadings, model.phi, method)
    except np.linalg.LinAlgError:
        return None
    return weights if np.isfinite(weights).all() else None


def _weights(r: Floats, loadings: Floats, phi: Floats, method: str) -> Floats:
    if method == "regression":
        return np.asarray(np.linalg.solve(r, loadings @ phi))
    unique = np.maximum(1 - ((loadings @ phi) * loadings).sum(axis=1), 0.005)
    scaled = loadings / unique[:, None]
    information = loadings.T @ scaled
    if (np.diag(np.linalg.inv(information)) > MOST_ERROR).any():
        raise np.linalg.LinAlgError("the answers say too little about some factor")
    if method == "bartlett":
        return np.asarray(np.linalg.solve(information, scaled.T).T)
    root = _power(phi, 0.5)
    inverse_root = _power(r, -0.5)
    turned = loadings @ root
    inner = _power(turned.T @ np.linalg.solve(r, turned), -0.5)
    return np.asarray(inverse_root @ (inverse_root @ turned @ inner) @ root)


def _power(matrix: Floats, exponent: float) -> Floats:
    values, vectors = np.linalg.eigh(matrix)
    return np.asarray((vectors * np.maximum(values, 1e-12) ** exponent) @ vectors.T)


def determinacy(model: ScoreModel) -> Floats:
    """Give each factor's correlation with its regression score: how well answers determine it.

    Examples
    --------
    >>> model = ScoreModel(np.array([[0.8], [0.6]]), np.eye(1),
    ...                    np.array([[1, 0.48], [0.48, 1]]), np.ones(2))
    >>> determinacy(model).round(3).tolist()
    [0.837]
    """
    structure = model.attenuation[:, None] * (model.loadings @ model.phi)
    explained = (structure * np.linalg.solve(model.correlation, structure)).sum(axis=0)
    return np.asarray(np.sqrt(np.clip(explained, 0.0, 1.0)))


@single_thread()
def apply_weights(
    values: Floats, scale: tuple[Floats, Floats], model: ScoreModel, method: str, *, least: int
) -> tuple[Floats, int, int]:
    """Score answers, with separate weights for each pattern of missing answers.

    Parameters
    ----------
    values : ndarray of shape (people, items)
        Coded answers, NaN where one is missing.
    scale : ndarrays of shape (items,)
        Means and standard deviations that they are standardised by.
    model : ScoreModel
    method : str
    least : int
        Answers that a person needs to get a score at all.

    Returns
    -------
    scores : ndarray of shape (people, factors), NaN without a score
    partial : int
        People scored from some of the answers.
    without : int
        People without a score.
    """
    means, sds = scale
    weights = score_weights(model, method)
    if weights is None:
        return np.full((len(values), model.loadings.shape[1]), np.nan), 0, len(values)
    inner = weights / sds[:, None]
    scores = values @ inner - means @ inner  # NaN where an answer is missing
    holes = np.flatnonzero(np.isnan(scores[:, 0]))
    if len(holes) == 0:
        return scores, 0, 0
    z = (values[holes] - means) / sds
    is_answered = ~np.isnan(z)
    scores[holes] = np.nan
    packed = np.packbits(is_answered, axis=1)
    keys = np.ascontiguousarray(packed).view(np.dtype((np.void, packed.shape[1]))).ravel()
    _, first, inverse = np.unique(keys, return_index=True, return_inverse=True)
    groups = np.split(np.argsort(inverse, kind="stable"), np.cumsum(np.bincount(inverse))[:-1])
    for which, members in zip(first, groups, strict=True):
        answered = is_answered[which]
        if answered.sum() < max(least, 1):
            continue
        own = score_weights(model, method, answered)
        if own is not None:
            scores[holes[members]] = z[np.ix_(members, answered)] @ own[answered]
    without = int(np.isnan(scores[holes]).any(axis=1).sum())
    return scores, len(holes) - without, without


@dataclass(frozen=True, slots=True, eq=False)
class Scores(Result):
    """Factor scores of respondents.

    Attributes
    ----------
    frame : polars.DataFrame
        Rows in the answers' order: ``customer_id`` where the answers had one, and a column a
        factor in standard deviations of the factor; null without a score.
    names : tuple of str
        The factors' names, one a column.
    method : str
        "regression", "bartlett" or "tenberge".
    least : int
        Answers that a score needs.
    items, people, partial, without : int
        Items; respondents; those scored from some of their answers; those without a score.
    determinacy : tuple of float
        Per factor, how far a regression score from all answers correlates with the factor.
    """

    frame: pl.DataFrame
    names: tuple[str, ...]
    method: str
    least: int
    items: int
    people: int
    partial: int
    without: int
    determinacy: tuple[float, ...]

    @property
    def text(self) -> str:
        """Say who has scores, how missing answers were treated, and how far to trust scores."""
        scored, people = number(self.people - self.without), self.people
        have = counted(people, "respondent has", "respondents have")
        parts = [f"{scored} of {have} scores ({self.method})."]
        if self.partial or self.without:
            parts.append(
                f"Of these, {number(self.partial)} left items open and are scored from the others; "
                f"{number(self.without)} answered fewer than {number(self.least)} of "
                f"{counted(self.items, 'item')}, or none about some factor, and have no score."
            )
        low = int(np.argmin(self.determinacy))
        values = [f"{n} {number(d)}" for n, d in zip(self.names, self.determinacy, strict=True)]
        parts.append(f"Correlation of scores with what they stand for: {join_words(values)}.")
        if self.determinacy[low] < 0.8:
            parts.append(f"Too loose to judge one person by: {self.names[low]}.")
        return " ".join(parts)

    def plot(self) -> Figure:
        """Draw the distribution of each factor's scores."""
        columns = [name for name in self.frame.columns if name != "customer_id"]
        return histograms(self.frame.select(columns), columns, title="Scores (standard deviations)")
