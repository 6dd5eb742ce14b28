"""How far apart the segments lie, seen on the first two principal components."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import polars as pl

from segkit.labels import label
from segkit.profile.members import Members
from segkit.profile.variables import Variables

MOST_POINTS = 2000
STRONGEST = 3


@dataclass(frozen=True, slots=True, eq=False)
class Separation:
    """Segments on two principal components.

    Attributes
    ----------
    points : polars.DataFrame
        Up to 2,000 customers chosen at random, without their ids: first, second, segment_name.
    centres : polars.DataFrame
        One row a segment with at least two customers, from all of them: segment_name, first,
        second, first_variance, second_variance, covariance.
    shares : tuple of float
        Share of the variance on each component.
    names : tuple of str
        The variables that load most on each component, signed, for the axes.
    """

    points: pl.DataFrame
    centres: pl.DataFrame
    shares: tuple[float, float]
    names: tuple[str, str]


def separate(
    members: Members, variables: Variables, use: list[str], *, seed: int
) -> Separation | None:
    """Project the standardised variables (unknown values at their mean) on two components.

    Returns ``None`` where fewer than two variables vary or there are fewer than three customers.
    The sign of a component is such that its largest loading (the first of equal ones) is
    positive.
    """
    place = [variables.names.index(name) for name in use]
    scaled = variables.scaled[:, place]
    varies = np.atleast_1d(~np.isnan(scaled).all(axis=0))
    matrix = np.nan_to_num(scaled[:, varies])
    names = [name for name, keep in zip(use, varies, strict=True) if keep]
    if matrix.shape[0] < 3 or matrix.shape[1] < 2:
        return None
    matrix = matrix - matrix.mean(axis=0)
    values, vectors = np.linalg.eigh(matrix.T @ matrix)
    axes = vectors[:, ::-1][:, :2]
    axes = axes * np.sign(axes[np.abs(axes).round(9).argmax(axis=0), [0, 1]])
    scores = matrix @ axes
    centres = [
        _centre(scores[inside], name)
        for inside, name in zip(members.within, members.names, strict=True)
        if inside.sum() >= 2
    ]
    picked = np.arange(scores.shape[0])
    if picked.size > MOST_POINTS:
        picked = np.sort(np.random.default_rng(seed).choice(picked, MOST_POINTS, replace=False))
    labels = np.array(members.names)[members.labels()[picked]]
    points = pl.DataFrame(
        {"first": scores[picked, 0], "second": scores[picked, 1], "segment_name": labels}
    )
    total = values.sum()
    return Separation(
        points,
        pl.DataFrame(centres),
        (float(values[-1] / total), float(values[-2] / total)),
        (_loads(axes[:, 0], names), _loads(axes[:, 1], names)),
    )


def _centre(scores: np.ndarray, name: str) -> dict[str, object]:
    spread = np.cov(scores, rowvar=False)
    first, second = scores.mean(axis=0)
    return {
        "segment_name": name, "first": float(first), "second": float(second),
        "first_variance": float(spread[0, 0]), "second_variance": float(spread[1, 1]),
        "covariance": float(spread[0, 1]),
    }  # fmt: skip


def _loads(axis: np.ndarray, names: list[str]) -> str:
    strongest = np.argsort(-np.abs(axis).round(9), kind="stable")[:STRONGEST]
    return ", ".join(f"{'+' if axis[i] > 0 else '−'}{label(names[i])}" for i in strongest)
