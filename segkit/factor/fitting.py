"""Fit of a factor model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import polars as pl

from segkit.errors import DataError
from segkit.factor.answers import Floats, join
from segkit.factor.correlation import Correlations, correlate
from segkit.factor.extraction import Extraction, extract
from segkit.factor.indices import fit_indices
from segkit.factor.model import FactorModel
from segkit.factor.number import how_many_factors
from segkit.factor.rotation import Rotated, align, factor_names, rotate, rotation_name
from segkit.frames import takes_frames
from segkit.stats.threads import single_thread

WEAK = 0.3


@single_thread()
@takes_frames
def fit_factors(
    found: Correlations | pl.DataFrame,
    n_factors: int | None = None,
    items: Sequence[str] | None = None,
    *,
    correlation: str = "pearson",
    missing: str = "pairwise",
    extraction: str = "minres",
    rotation: str = "oblimin",
    labels: Mapping[str, str] | None = None,
    like: FactorModel | None = None,
    seed: int = 0,
) -> FactorModel:
    """Fit, rotate and name common factors of the answers.

    Parameters
    ----------
    found : Correlations or polars.DataFrame
        A frame is correlated first, as ``items``, ``correlation`` and ``missing`` say.
    n_factors : int, optional
        By default what `how_many_factors` recommends.
    items : sequence of str, optional
    correlation, missing : str
        See `correlate`.
    extraction : str
        "minres", "ml" or "principal".
    rotation : str
        One of factor-analyzer's: varimax, quartimax, equamax, oblimax, geomin_ort (orthogonal),
        promax, oblimin, quartimin, geomin_obl (oblique); or "none".
    labels : mapping of str to str, optional
        Item to its statement, for names and texts.
    like : FactorModel, optional
        An earlier model of the same items: factors keep its order, signs and names where they
        are congruent (Tucker's coefficient of 0.85 or more).
    seed : int
        Of the number's reference draws and of a rotation's random starts.

    Raises
    ------
    DataError
        If there is no common factor, or too few items for so many.
    ColumnError, ParameterError
        For unknown items or options.

    Examples
    --------
    >>> r = np.eye(6) * 0.4 + 0.6
    >>> model = fit_factors(Correlations.given(r, 200), 1)
    >>> bool(np.allclose(model.loadings, np.sqrt(0.6)))
    True
    """
    rotation = rotation_name(rotation)
    if isinstance(found, pl.DataFrame):
        found = correlate(found, items, method=correlation, missing=missing)
    if n_factors is None:
        count = how_many_factors(found, seed=seed)
        if count.n_factors == 0:
            raise DataError(count.reason)
        n_factors = count.n_factors
    fitted = extract(found.matrix, n_factors, extraction)
    rotated = rotate(fitted.loadings, rotation, seed=seed)
    if like is not None:
        rotated = _alike(rotated, like, found)
    return _model(found, fitted, rotated, (extraction, rotation), dict(labels or {}), like, seed)


def _alike(rotated: Rotated, like: FactorModel, found: Correlations) -> Rotated:
    if set(like.items) != set(found.items) or like.n_factors != rotated.loadings.shape[1]:
        raise DataError(
            "like expects a model of the same items and number of factors: it has "
            f"{like.n_factors} factors of {join(like.items)}"
        )
    rows = [like.items.index(item) for item in found.items]
    return align(rotated, like.loadings[rows])


def _model(
    found: Correlations,
    fitted: Extraction,
    rotated: Rotated,
    how: tuple[str, str],
    labels: dict[str, str],
    like: FactorModel | None,
    seed: int,
) -> FactorModel:
    from segkit import __version__

    pattern = rotated.loadings
    implied = rotated.structure @ pattern.T
    np.fill_diagonal(implied, 1.0)
    fit = fit_indices(found.matrix, implied, found.n, pattern.shape[1])
    names = _names(found, labels, pattern, like)
    known = {item: labels[item] for item in found.items if item in labels}
    notes = [*found.notes, *_warnings(found, fitted, pattern, names, how[0])]
    return FactorModel(
        found.items, known, names, pattern, rotated.phi, fitted.uniquenesses, found.matrix,
        found.side, found.n, *how, found.method, found.missing, fit, fitted.converged,
        tuple(notes), seed, __version__,
    )  # fmt: skip


def _names(
    found: Correlations, labels: Mapping[str, str], pattern: Floats, like: FactorModel | None
) -> tuple[str, ...]:
    from segkit.factor.rotation import congruence

    names = factor_names(found.items, labels, pattern)
    if like is not None:
        rows = [like.items.index(item) for item in found.items]
        alike = np.diag(congruence(like.loadings[rows], pattern))
        kept = [old if c >= 0.85 else new
                for old, new, c in zip(like.names, names, alike, strict=True)]  # fmt: skip
        names = kept if len(set(kept)) == len(kept) else names
    return tuple(names)


def _warnings(
    found: Correlations, fitted: Extraction, pattern: Floats, names: Sequence[str], method: str
) -> list[str]:
    notes = []
    if not fitted.converged:
        notes.append(f"The {method} fit did not converge: read nothing into it.")
    improper = [i for i, u in zip(found.items, fitted.uniquenesses, strict=True) if u < 0.0051]
    if improper:
        notes.append(
            f"Improper solution (Heywood case): {join(improper)} would be explained in full; fewer "
            "factors or more items may mend it."
        )
    for name, column in zip(names, pattern.T, strict=True):
        on_it = int((np.abs(column) >= WEAK).sum())
        if on_it < 3:
            thing = "item loads" if on_it == 1 else "items load"
            notes.append(
                f"Only {on_it} {thing} on {name} at {WEAK} or more: three are needed to trust a "
                "factor."
            )
    if found.method in ("polychoric", "mixed", "spearman"):
        notes.append(
            "Chi-square, RMSEA and the like assume Pearson correlations of normal answers; with "
            f"{found.method} ones they are a rough guide."
        )
    return notes
