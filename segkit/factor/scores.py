"""Factor scores: weights of the answers, and each respondent's scores."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, get_args

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
Ints = npt.NDArray[np.int64]
_MOST_CELLS = 4_000_000  # of the matrices that are solved at once
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
) -> Floats:
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
    answered : boolean ndarray of shape (..., items), optional
        Which items are answered, of one person or of many; by default all.

    Returns
    -------
    ndarray of shape (..., items, factors)
        Zero for items without an answer. NaN where the answers do not determine the scores: a
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
    use: Any = np.ones(len(model.loadings), dtype=bool) if answered is None else answered
    # An item without an answer becomes one that correlates with nothing and loads on nothing.
    r = np.where(use[..., :, None] & use[..., None, :], model.correlation, np.eye(use.shape[-1]))
    loadings = np.where(use[..., None], model.loadings * model.attenuation[:, None], 0.0)
    try:
        weights = _weights(r, loadings, model.phi, method)
    except np.linalg.LinAlgError:
        if use.ndim == 1:
            return np.full(model.loadings.shape, np.nan)
        return np.stack([score_weights(model, method, one) for one in use])
    weights[~np.isfinite(weights).all(axis=(-2, -1))] = np.nan
    return weights


def _weights(r: Floats, loadings: Floats, phi: Floats, method: str) -> Floats:
    if method == "regression":
        return np.asarray(np.linalg.solve(r, loadings @ phi))
    unique = np.maximum(1 - ((loadings @ phi) * loadings).sum(axis=-1), 0.005)
    scaled = loadings / unique[..., None]
    inverse = _power(np.swapaxes(loadings, -1, -2) @ scaled, -1.0)
    error = np.diagonal(inverse, axis1=-2, axis2=-1).max(axis=-1)
    if method == "bartlett":
        weights = scaled @ inverse
    else:
        root, inverse_root = _power(phi, 0.5), _power(r, -0.5)
        turned = loadings @ root
        inner = _power(np.swapaxes(turned, -1, -2) @ np.linalg.solve(r, turned), -0.5)
        weights = inverse_root @ (inverse_root @ turned @ inner) @ root
    return np.where(np.expand_dims(error > MOST_ERROR, (-2, -1)), np.nan, weights)


def _power(matrix: Floats, exponent: float) -> Floats:
    values, vectors = np.linalg.eigh(matrix)
    raised = np.maximum(values, 1e-12)[..., None, :] ** exponent
    return np.asarray((vectors * raised) @ np.swapaxes(vectors, -1, -2))


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
    if np.isnan(weights).any():
        return np.full((len(values), model.loadings.shape[1]), np.nan), 0, len(values)
    inner = weights / sds[:, None]
    scores = values @ inner - means @ inner  # NaN where an answer is missing
    holes = np.flatnonzero(np.isnan(scores[:, 0]))
    if len(holes) == 0:
        return scores, 0, 0
    z = (values[holes] - means) / sds
    patterns, inverse, counts = _patterns(~np.isnan(z))
    order = np.argsort(inverse, kind="stable")
    holes, z = holes[order], z[order]
    z[np.isnan(z)] = 0.0
    ends, at_once = np.cumsum(counts), 1 + _MOST_CELLS // values.shape[1] ** 2
    for start in range(0, len(patterns), at_once):
        here = slice(start, start + at_once)
        own = score_weights(model, method, patterns[here])
        own[patterns[here].sum(axis=1) < max(least, 1)] = np.nan
        for each, end, count in zip(own, ends[here], counts[here], strict=True):
            scores[holes[end - count : end]] = z[end - count : end] @ each
    without = int(np.isnan(scores[holes]).any(axis=1).sum())
    return scores, len(holes) - without, without


def _patterns(answered: npt.NDArray[np.bool_]) -> tuple[npt.NDArray[np.bool_], Ints, Ints]:
    """Return the distinct rows, which of them each row is, and how often each comes."""
    width = -(-answered.shape[1] // 64) * 8
    packed = np.zeros((len(answered), width), np.uint8)
    packed[:, : -(-answered.shape[1] // 8)] = np.packbits(answered, axis=1)
    # Up to 64 items are one number, which sorts three times as fast as a row of bytes.
    keys = packed.view(np.uint64 if width == 8 else np.dtype((np.void, width))).ravel()
    _, first, inverse, counts = np.unique(
        keys, return_index=True, return_inverse=True, return_counts=True
    )
    return answered[first], inverse, counts


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
