"""Which eigenvalues would chance alone give? The reference of Horn's parallel analysis."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from segkit.errors import ParameterError, unknown
from segkit.factor.answers import Floats
from segkit.live import steps
from segkit.stats.threads import single_thread

REFERENCES = ("normal", "permutation")
_STEPS = 60


@dataclass(frozen=True, slots=True, eq=False)
class Null:
    """Eigenvalues of correlation matrices without common factors.

    Attributes
    ----------
    components : ndarray of shape (draws, items)
        Of the correlation matrix, descending.
    factors : ndarray of shape (draws, items)
        Of the reduced matrix, with one factor's communalities on its diagonal.
    """

    components: Floats
    factors: Floats


def component_eigenvalues(r: Floats) -> Floats:
    """Give a correlation matrix's eigenvalues, descending (of one matrix, or of many at once).

    Examples
    --------
    >>> component_eigenvalues(np.array([[1.0, 0.5], [0.5, 1.0]])).tolist()
    [1.5, 0.5]
    """
    return np.asarray(np.linalg.eigvalsh(r)[..., ::-1])


def factor_eigenvalues(r: Floats) -> Floats:
    """Give the eigenvalues with one factor's communalities on the diagonal, descending.

    As R's psych does: squared multiple correlations instead keep too many factors in large
    samples. The communalities are those of the one-factor least squares fit.

    Examples
    --------
    >>> factor_eigenvalues(np.eye(3)).tolist()
    [0.0, 0.0, 0.0]
    """
    communalities = _one_factor(r)
    reduced = r.copy()
    index = np.arange(r.shape[-1])
    reduced[..., index, index] = communalities
    return np.asarray(np.linalg.eigvalsh(reduced)[..., ::-1])


def _one_factor(r: Floats) -> Floats:
    """Iterate the principal axis of many matrices at once, by power steps."""
    communalities = 1 - 1 / np.diagonal(np.linalg.inv(r), axis1=-2, axis2=-1)
    axis = np.linalg.eigh(r)[1][..., -1]
    index = np.arange(r.shape[-1])
    hollow = r.copy()
    hollow[..., index, index] = 0.0
    for _ in range(_STEPS):
        moved = (hollow @ axis[..., None])[..., 0] + communalities * axis
        size = np.maximum(np.linalg.norm(moved, axis=-1, keepdims=True), 1e-300)
        axis = moved / size
        communalities = np.minimum(size * axis**2, 1.0)
    return np.asarray(communalities)


@single_thread()
def null_eigenvalues(
    n: int,
    items: int,
    *,
    draws: int,
    seed: int | np.random.Generator,
    reference: str = "normal",
    values: Floats | None = None,
) -> Null:
    """Draw correlation matrices of unrelated items and give their eigenvalues.

    "normal" draws each matrix from the Wishart distribution itself (Bartlett's decomposition:
    no data are made); "permutation" shuffles each item's own answers, which keeps their
    distributions.

    Parameters
    ----------
    n, items : int
    draws : int
    seed : int or Generator
    reference : str
        "normal" or "permutation".
    values : ndarray of shape (people, items), optional
        Answers to shuffle, none missing.

    Examples
    --------
    >>> null_eigenvalues(100, 4, draws=3, seed=0).components.shape
    (3, 4)
    """
    if reference not in REFERENCES:
        raise ParameterError(unknown("reference", reference, REFERENCES))
    if draws < 1:
        raise ParameterError(f"expected at least one draw, got {draws}")
    random = np.random.default_rng(seed)
    if reference == "normal":
        r = _wishart(n, items, draws, random)
    else:
        if values is None:
            raise ParameterError("permutation needs the answers, not their correlations alone")
        r = _shuffled(values, draws, random)
    return Null(component_eigenvalues(r), factor_eigenvalues(r))


def _wishart(n: int, items: int, draws: int, random: np.random.Generator) -> Floats:
    """Draw sample correlations of independent normals. Source: Bartlett (1933)."""
    low = np.tril(random.normal(size=(draws, items, items)), -1)
    index = np.arange(items)
    low[:, index, index] = np.sqrt(random.chisquare(n - 1 - index, size=(draws, items)))
    low /= np.linalg.norm(low, axis=2, keepdims=True)
    return np.asarray(low @ low.transpose(0, 2, 1))


def _shuffled(values: Floats, draws: int, random: np.random.Generator) -> Floats:
    scaled = values - values.mean(axis=0)
    scaled /= np.linalg.norm(scaled, axis=0)
    made = np.empty((draws, values.shape[1], values.shape[1]))
    work = np.asfortranarray(scaled)
    for i in steps(range(draws), "shuffled data sets"):
        for column in work.T:
            random.shuffle(column)
        made[i] = work.T @ work
    return made
