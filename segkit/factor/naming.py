"""What is each factor about? Named from the items that mark it."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from segkit.factor.answers import Floats

MARK = 0.4  # a loading from here on marks (Stevens 2002, for samples of 150 and more)


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

    The strongest first. Where none does, the strongest item alone.

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
        found = markers(items, labels, loadings, factor)
        stems = [re.sub(r"[\W_]*\d+$", "", marker.item) for marker in found]
        common = max(set(stems), key=lambda stem: (stems.count(stem), stem)) if stems else ""
        shared = common and stems.count(common) >= max(2, 2 * len(stems) / 3)
        stem = common.replace("_", " ").strip()
        name = labels.get(common, stem) if shared else _two(found)
        names.append(name if name not in names else f"{name} ({_two(found)})")
    return [name if names.count(name) == 1 else f"{name} {i + 1}" for i, name in enumerate(names)]


def _two(found: Sequence[Marker]) -> str:
    return " / ".join(
        marker.label if marker.loading > 0 else f"not: {marker.label}" for marker in found[:2]
    )


def slug(name: str) -> str:
    """Make a column's name of a factor's.

    Examples
    --------
    >>> slug("Price & sale")
    'price_sale'
    """
    return re.sub(r"\W+", "_", name.lower()).strip("_")[:40].strip("_")
