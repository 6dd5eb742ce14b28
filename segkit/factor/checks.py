"""Which answers cannot be correlated? Refusals that name the items."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from segkit.display import number
from segkit.errors import DataError
from segkit.factor.answers import Floats, join
from segkit.factor.moments import Moments

_SINGULAR = 1e-10


def enough_people(n: int, names: Sequence[str]) -> None:
    """Raise unless there are at least two items, and more people than items."""
    if len(names) < 2:
        raise DataError(f"a correlation needs at least two items, got {len(names)}")
    if n <= len(names):
        raise DataError(
            f"expected more people than items, got {number(n)} people for {len(names)} items; ask "
            "more people or fewer questions"
        )


def answered_together(found: Moments, names: Sequence[str]) -> None:
    """Raise where two items were not answered together by people who differ on both."""
    few = np.argwhere((found.counts < 3) | np.isnan(found.correlation))
    if len(few):
        i, j = few[0]
        raise DataError(
            f"{names[i]} and {names[j]} were answered together by {int(found.counts[i, j])} people "
            "who differ on both: they cannot be correlated; leave one out"
        )


def refuse_repeats(names: Sequence[str], r: Floats, complete: bool) -> None:
    """Raise where an item follows from others exactly: then nothing can be inverted."""
    same = np.argwhere(np.triu(np.abs(r), 1) > 1 - _SINGULAR)
    if len(same):
        i, j = same[0]
        raise DataError(
            f"{names[i]} and {names[j]} are perfectly collinear (correlation "
            f"{number(float(r[i, j]))}); leave one out"
        )
    values, vectors = np.linalg.eigh(r)
    if complete and abs(values[0]) < _SINGULAR:
        bound = [n for n, w in zip(names, vectors[:, 0], strict=True) if abs(w) > 1e-4]
        raise DataError(
            f"{join(bound)} are perfectly collinear: each follows from the others; leave one out"
        )
