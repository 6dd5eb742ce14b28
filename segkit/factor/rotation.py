"""Rotation of factors by factor-analyzer (with corrections), and names of factors."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, Literal

import numpy as np

from segkit.errors import ParameterError, unknown
from segkit.factor.answers import Floats

ORTHOGONAL = ("varimax", "quartimax", "equamax", "oblimax", "geomin_ort")
OBLIQUE = ("promax", "oblimin", "quartimin", "geomin_obl")
ROTATIONS = ("none", *ORTHOGONAL, *OBLIQUE)
_ALIASES = {"geomin": "geomin_obl"}
Rotation = Literal[
    "none", "varimax", "quartimax", "equamax", "oblimax", "geomin_ort",
    "promax", "oblimin", "quartimin", "geomin_obl", "geomin",
]  # fmt: skip
_STARTS = {"geomin_obl": 10, "geomin_ort": 10}  # many local minima (Browne 2001)
MARK = 0.4  # a loading from here on marks (Stevens 2002, for samples of 150 and more)


@dataclass(frozen=True, slots=True, eq=False)
class Rotated:
    """Rotated factors.

    Attributes
    ----------
    loadings : ndarray of shape (items, factors)
        Pattern: weight of each factor in each item.
    phi : ndarray of shape (factors, factors)
        Correlations of the factors.
    """

    loadings: Floats
    phi: Floats

    @property
    def structure(self) -> Floats:
        """Correlations of items with factors."""
        return np.asarray(self.loadings @ self.phi)


def rotation_name(name: str) -> str:
    """Return a rotation's full name.

    Raises
    ------
    ParameterError
        If there is none of that name.

    Examples
    --------
    >>> rotation_name("geomin")
    'geomin_obl'
    """
    full = _ALIASES.get(name.lower(), name.lower())
    if full not in ROTATIONS:
        raise ParameterError(unknown("rotation", name, [*ROTATIONS, *_ALIASES]))
    return full


def rotate(loadings: Floats, name: str = "oblimin", *, seed: int = 0) -> Rotated:
    """Rotate unrotated loadings by one of factor-analyzer's rotations.

    Only the rotated pattern is taken from factor-analyzer. The transformation is solved from it,
    and phi and structure follow: the package hands out phi in another order than the loadings.
    Also corrected: a single factor (its varimax fails), equamax (its default is quartimax: here
    kappa = factors / (2 items), Crawford & Ferguson 1970), oblimax's sign, geomin's local minima
    (10 starts), its loose tolerance. Then order and sign are fixed: by variance explained, the sum
    of cubes positive.

    Parameters
    ----------
    loadings : ndarray of shape (items, factors)
        Of orthogonal factors.
    name : str
        One of `ROTATIONS`, or "geomin" for the oblique one.
    seed : int
        Of the random starts.

    Examples
    --------
    >>> plain = np.array([[0.7, 0.5], [0.6, 0.4], [0.5, -0.6], [0.4, -0.5]])
    >>> np.abs(rotate(plain, "varimax").loadings).max(axis=1).round(2).tolist()
    [0.86, 0.72, 0.77, 0.63]
    """
    full = rotation_name(name)
    k = loadings.shape[1]
    if k == 1 or full == "none":
        return _ordered(Rotated(loadings, np.eye(k)))
    patterns = [_pattern(loadings, full)]
    random = np.random.default_rng(seed)
    for _ in range(_STARTS.get(full, 1) - 1):
        turn, _ = np.linalg.qr(random.normal(size=(k, k)))
        patterns.append(_pattern(loadings @ turn, full))
    best = min(patterns, key=_geomin)
    return _ordered(solve(loadings, best, oblique=full in OBLIQUE))


def solve(loadings: Floats, pattern: Floats, *, oblique: bool) -> Rotated:
    """Derive phi from unrotated loadings and the pattern that they were turned to."""
    turn, *_ = np.linalg.lstsq(loadings, pattern, rcond=None)
    if not oblique:
        return Rotated(pattern, np.eye(turn.shape[0]))
    inverse = np.linalg.inv(turn)
    scale = np.sqrt(np.diag(inverse @ inverse.T))  # unit variance of each factor, to the last digit
    inverse = inverse / scale[:, None]
    return Rotated(loadings @ (turn * scale), inverse @ inverse.T)


def _pattern(loadings: Floats, name: str) -> Floats:
    items, factors = loadings.shape
    loose = name in ("varimax", "promax")
    options: dict[str, Any] = {"kappa": factors / (2 * items)} if name == "equamax" else {}
    tool = _mended()(
        method=name,
        normalize=True,
        max_iter=1000 if loose else 3000,
        tol=1e-12 if loose else 1e-6,
        **options,
    )
    return np.asarray(tool.fit_transform(loadings), dtype=np.float64)


@cache
def _mended() -> Any:
    """Return factor-analyzer's Rotator with oblimax's criterion in its gradient's direction.

    The package minimises by a gradient of the criterion's negative, so that its line search
    rejects every good step.
    """
    from factor_analyzer.rotator import Rotator

    class Mended(Rotator):  # type: ignore[misc]
        def _oblimax_obj(self, loadings: Floats) -> dict[str, Any]:
            goal = super()._oblimax_obj(loadings)
            return {"grad": goal["grad"], "criterion": -goal["criterion"]}

    return Mended


def _geomin(pattern: Floats, delta: float = 0.01) -> float:
    return float(np.exp(np.log(pattern**2 + delta).mean(axis=1)).sum())


def _ordered(rotated: Rotated) -> Rotated:
    """Order by variance explained, signs by the sum of cubes: neither depends on items' order."""
    order = np.argsort(-variance(rotated.loadings, rotated.phi), kind="stable")
    signs = np.where((rotated.loadings**3).sum(axis=0) < 0, -1.0, 1.0)
    return arrange(rotated, order, signs[order])


def arrange(rotated: Rotated, order: Any, signs: Floats) -> Rotated:
    """Reorder and turn round the factors of both matrices together."""
    phi = rotated.phi[np.ix_(order, order)] * np.outer(signs, signs)
    return Rotated(rotated.loadings[:, order] * signs, phi)


def variance(loadings: Floats, phi: Floats) -> Floats:
    """Give each factor's share in the communalities: the diagonal of ``Phi L'L``.

    Examples
    --------
    >>> variance(np.array([[0.5], [0.5]]), np.eye(1)).tolist()
    [0.5]
    """
    return np.asarray(np.diag(phi @ loadings.T @ loadings)).copy()


def congruence(one: Floats, other: Floats) -> Floats:
    """Give Tucker's congruence of every factor of one matrix with every one of the other.

    Source: Tucker (1951); Lorenzo-Seva & ten Berge (2006): .95 and above is called equal.

    Examples
    --------
    >>> round(float(congruence(np.array([[1.0], [2.0]]), np.array([[2.0], [4.0]]))[0, 0]), 6)
    1.0
    """
    lengths = np.outer(np.linalg.norm(one, axis=0), np.linalg.norm(other, axis=0))
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray((one.T @ other) / lengths)


def align(rotated: Rotated, target: Floats) -> Rotated:
    """Put factors into the order and sign of the target's that they are most congruent with."""
    from scipy.optimize import linear_sum_assignment

    alike = np.nan_to_num(congruence(target, rotated.loadings))
    _, order = linear_sum_assignment(-np.abs(alike))
    signs = np.sign(alike[np.arange(len(order)), order])
    return arrange(rotated, order, np.where(signs == 0, 1.0, signs))


def procrustes(loadings: Floats, target: Floats, *, oblique: bool) -> Rotated:
    """Rotate unrotated loadings as close to a target pattern as possible.

    Orthogonal: Schonemann (1966), Psychometrika 31. Oblique: least squares, columns rescaled to
    factors of unit variance (Hurley & Cattell 1962, "The Procrustes program").

    Examples
    --------
    >>> target = np.array([[0.8, 0.0], [0.7, 0.1], [0.0, 0.6], [0.1, 0.9]])
    >>> turned = target @ np.array([[0.6, -0.8], [0.8, 0.6]])
    >>> bool(np.allclose(procrustes(turned, target, oblique=False).loadings, target))
    True
    """
    if oblique:
        turn, *_ = np.linalg.lstsq(loadings, target, rcond=None)
        return solve(loadings, loadings @ turn, oblique=True)
    left, _, right = np.linalg.svd(loadings.T @ target)
    rotated = loadings @ left @ right
    return Rotated(rotated, np.eye(rotated.shape[1]))


@dataclass(frozen=True, slots=True)
class Marker:
    """An item that marks a factor.

    Attributes
    ----------
    item, label : str
        The column, and its statement where one is known.
    loading : float
    """

    item: str
    label: str
    loading: float


def markers(
    items: Sequence[str], labels: Mapping[str, str], loadings: Floats, factor: int
) -> list[Marker]:
    """List the items that load on a factor at 0.4 or more, and on no other as much.

    The largest loading comes first. Without such an item, only the one with the largest loading.

    Examples
    --------
    >>> found = markers(["a", "b"], {}, np.array([[0.8, 0.0], [-0.5, 0.6]]), 0)
    >>> [marker.item for marker in found]
    ['a']
    """
    own = loadings[:, factor]
    mine = np.abs(loadings).argmax(axis=1) == factor
    order = sorted(range(len(items)), key=lambda i: (-round(abs(float(own[i])), 9), items[i]))
    chosen = [i for i in order if mine[i] and abs(own[i]) >= MARK] or order[:1]
    return [Marker(items[i], labels.get(items[i], items[i]), float(own[i])) for i in chosen]


def factor_names(items: Sequence[str], labels: Mapping[str, str], loadings: Floats) -> list[str]:
    """Name every factor: by the stem that its markers share, else by its two strongest markers.

    A stem with a label of its own, as "conv" of "conv_1" and "conv_2", goes by that.

    Examples
    --------
    >>> factor_names(["price_1", "price_2"], {}, np.array([[0.8], [-0.7]]))
    ['price']
    >>> factor_names(["conv_1", "conv_2"], {"conv": "convenience"}, np.array([[0.8], [-0.7]]))
    ['convenience']
    >>> factor_names(["thrift", "haste"], {"thrift": "I save"}, np.array([[0.8], [-0.7]]))
    ['I save / not: haste']
    """
    names: list[str] = []
    for factor in range(loadings.shape[1]):
        marking = markers(items, labels, loadings, factor)
        stems = [re.sub(r"[\W_]*\d+$", "", marker.item) for marker in marking]
        common = max(set(stems), key=lambda stem: (stems.count(stem), stem)) if stems else ""
        shared = common and stems.count(common) >= max(2, 2 * len(stems) / 3)
        stem = common.replace("_", " ").strip()
        name = labels.get(common, stem) if shared else _two(marking)
        names.append(name if name not in names else f"{name} ({_two(marking)})")
    return [name if names.count(name) == 1 else f"{name} {i + 1}" for i, name in enumerate(names)]


def _two(marking: Sequence[Marker]) -> str:
    return " / ".join(
        marker.label if marker.loading > 0 else f"not: {marker.label}" for marker in marking[:2]
    )


def slug(name: str) -> str:
    """Make a column's name of a factor's.

    Examples
    --------
    >>> slug("Price & sale")
    'price_sale'
    """
    return re.sub(r"\W+", "_", name.lower()).strip("_")[:40].strip("_")
