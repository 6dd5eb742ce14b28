"""Fit of a factor model, with sampling adequacy and bootstrap intervals of loadings."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import cast

import numpy as np
import polars as pl

from segkit import __version__
from segkit.display import counted, join_words, number, percent
from segkit.errors import DataError, require_least, require_range
from segkit.factor.answers import Floats
from segkit.factor.correlation import CorrelationMethod, Correlations, Missing, correlate_items
from segkit.factor.extraction import IMPROPER, Extraction, ExtractionMethod, extract, fit_indices
from segkit.factor.model import FactorModel
from segkit.factor.number import choose_factor_count
from segkit.factor.rotation import (
    ORTHOGONAL,
    Rotated,
    Rotation,
    align,
    congruence,
    factor_names,
    procrustes,
    rotate,
    rotation_name,
)
from segkit.frames import takes_frames
from segkit.plot import Figure, bars, intervals
from segkit.progress import steps
from segkit.result import Result
from segkit.stats.threads import single_thread

# Kaiser (1974), "An index of factorial simplicity", Psychometrika 39.
WORDS = (
    (0.9, "marvellous"),
    (0.8, "meritorious"),
    (0.7, "middling"),
    (0.6, "mediocre"),
    (0.5, "miserable"),
    (0.0, "unacceptable"),
)
ENOUGH = 0.5
LEVEL = 0.05
WEAK = 0.3


@dataclass(frozen=True, slots=True, eq=False)
class Adequacy(Result):
    """Suitability of items for a factor analysis.

    Attributes
    ----------
    kmo : float
        Kaiser-Meyer-Olkin measure over all items, 0 to 1: correlations against partial ones.
    by_item : polars.DataFrame
        One row per item: ``item``, ``kmo``, ``squared_multiple_correlation``.
    bartlett_chi_square, bartlett_degrees, bartlett_p : float, int, float
        Bartlett's test that no items correlate.
    determinant : float
        Of the correlation matrix. Near 0: an item is nearly a linear combination of others.
    adequate : bool
        KMO at least 0.5 and Bartlett's test below 0.05.
    n : int
        People.
    """

    kmo: float
    by_item: pl.DataFrame
    bartlett_chi_square: float
    bartlett_degrees: int
    bartlett_p: float
    determinant: float
    adequate: bool
    n: int

    def to_frame(self) -> pl.DataFrame:
        """Return the measure by item, the lowest first."""
        return self.by_item.sort("kmo", "item")

    @property
    def word(self) -> str:
        """Kaiser's word for the overall measure."""
        return next(word for least, word in WORDS if self.kmo >= least)

    @property
    def text(self) -> str:
        """State the verdict, its figures, and the items with a low measure."""
        p = "below 0.001" if self.bartlett_p < 0.001 else number(self.bartlett_p)
        text = (
            f"These answers {'can' if self.adequate else 'cannot'} carry a factor analysis: the "
            f"sampling adequacy (KMO) is {number(self.kmo)} ({self.word}), and Bartlett's test "
            f"that no items correlate has p {p} (chi-square {number(self.bartlett_chi_square)} on "
            f"{number(self.bartlett_degrees)} degrees of freedom, "
            f"{counted(self.n, 'person', 'people')})."
        )
        weak = self.by_item.filter(pl.col("kmo") < ENOUGH)["item"].to_list()
        if weak:
            text += f" Too little in common with the others: {join_words(weak)}."
        if self.determinant < 1e-5:
            text += (
                f" The determinant is only {number(self.determinant)}: some items nearly repeat "
                "each other."
            )
        return text

    def plot(self) -> Figure:
        """Draw the measure by item."""
        return bars(
            self.to_frame(),
            "item",
            "kmo",
            reference=ENOUGH,
            title="Sampling adequacy by item",
            y_label="Kaiser-Meyer-Olkin measure (dashed: the least acceptable)",
        )


def check_adequacy(correlations: Correlations) -> Adequacy:
    """Test whether answers suit a factor analysis: KMO, Bartlett's test, determinant.

    ``KMO = sum r^2 / (sum r^2 + sum q^2)`` over pairs, with the partial correlations q given all
    other items; Bartlett's chi-square ``-(n - 1 - (2p + 5)/6) log|R|``. Source: Kaiser (1974);
    Bartlett (1951).

    Parameters
    ----------
    correlations : Correlations

    Examples
    --------
    >>> r = [[1, 0.5, 0.5], [0.5, 1, 0.5], [0.5, 0.5, 1]]
    >>> round(check_adequacy(Correlations.given(r, 100)).kmo, 3)
    0.692
    """
    from scipy.special import chdtrc

    r, n = correlations.matrix, correlations.n
    p = len(r)
    inverse = np.linalg.inv(r)
    scale = np.sqrt(np.diag(inverse))
    partial = inverse / np.outer(scale, scale)
    off = ~np.eye(p, dtype=bool)
    squares, partials = (r**2 * off).sum(axis=1), (partial**2 * off).sum(axis=1)
    total = float(squares.sum() + partials.sum())
    kmo = float(squares.sum() / total) if total > 0 else 0.0
    log_determinant = float(np.linalg.slogdet(r)[1])
    chi = -log_determinant * (n - 1 - (2 * p + 5) / 6)
    degrees = p * (p - 1) // 2
    p_value = float(chdtrc(degrees, chi))
    by_item = pl.DataFrame(
        {
            "item": correlations.items,
            "kmo": np.divide(squares, squares + partials, out=np.zeros(p), where=squares > 0),
            "squared_multiple_correlation": 1 - 1 / np.diag(inverse),
        }
    )
    adequate = kmo >= ENOUGH and p_value < LEVEL
    return Adequacy(
        kmo, by_item, chi, degrees, p_value, float(np.exp(log_determinant)), adequate, n
    )


@single_thread()
@takes_frames
def fit_factors(
    data: Correlations | pl.DataFrame,
    n_factors: int | None = None,
    items: Sequence[str] | None = None,
    *,
    correlation: CorrelationMethod = "pearson",
    missing: Missing = "pairwise",
    extraction: ExtractionMethod = "minres",
    rotation: Rotation = "oblimin",
    labels: Mapping[str, str] | None = None,
    like: FactorModel | None = None,
    seed: int = 0,
) -> FactorModel:
    """Fit, rotate and name common factors of the answers.

    Parameters
    ----------
    data : Correlations or polars.DataFrame
        A frame is correlated first, as ``items``, ``correlation`` and ``missing`` say.
    n_factors : int, optional
        By default what `choose_factor_count` recommends.
    items : sequence of str, optional
    correlation, missing : str
        See `correlate_items`.
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
        Of the parallel analysis's random draws and the rotation's random starts.

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
    full_rotation = rotation_name(rotation)
    if isinstance(data, pl.DataFrame):
        data = correlate_items(data, items, method=correlation, missing=missing)
    if n_factors is None:
        count = choose_factor_count(data, seed=seed)
        if count.n_factors == 0:
            raise DataError(count.reason)
        n_factors = count.n_factors
    fitted = extract(data.matrix, n_factors, extraction)
    rotated = rotate(fitted.loadings, full_rotation, seed=seed)
    stated = dict(labels or {})
    if like is None:
        names = factor_names(data.items, stated, rotated.loadings)
    else:
        rotated, names = _follow(like, data, rotated, stated)
    pattern = rotated.loadings
    implied = rotated.structure @ pattern.T
    np.fill_diagonal(implied, 1.0)
    return FactorModel(
        items=data.items,
        labels={item: stated[item] for item in data.items if item in stated},
        names=tuple(names),
        loadings=pattern,
        phi=rotated.phi,
        uniquenesses=fitted.uniquenesses,
        correlation=data.matrix,
        side=data.side,
        n=data.n,
        extraction=extraction,
        rotation=full_rotation,
        method=data.method,
        missing=data.missing,
        fit=fit_indices(data.matrix, implied, data.n, n_factors),
        converged=fitted.converged,
        notes=(*data.notes, *_warnings(data, fitted, pattern, names, extraction)),
        seed=seed,
        version=__version__,
    )


def _follow(
    like: FactorModel, data: Correlations, rotated: Rotated, labels: Mapping[str, str]
) -> tuple[Rotated, list[str]]:
    """Give factors the order, the signs and, where they are congruent, the names of a model's."""
    if set(like.items) != set(data.items) or like.n_factors != rotated.loadings.shape[1]:
        raise DataError(
            "like expects a model of the same items and number of factors: it has "
            f"{counted(like.n_factors, 'factor')} of {join_words(like.items)}"
        )
    target = like.loadings[[like.items.index(item) for item in data.items]]
    rotated = align(rotated, target)
    new = factor_names(data.items, labels, rotated.loadings)
    alike = np.diag(congruence(target, rotated.loadings)) >= 0.85
    names = np.where(alike, like.names, new).tolist()
    return rotated, names if len(set(names)) == len(names) else new


def _warnings(
    data: Correlations, fitted: Extraction, pattern: Floats, names: Sequence[str], method: str
) -> list[str]:
    notes = []
    if not fitted.converged:
        notes.append(f"The {method} fit did not converge: read nothing into it.")
    improper = [i for i, u in zip(data.items, fitted.uniquenesses, strict=True) if u < IMPROPER]
    if improper:
        notes.append(
            f"Improper solution (Heywood case): {join_words(improper)} would be explained in full; "
            "fewer factors or more items may mend it."
        )
    for name, column in zip(names, pattern.T, strict=True):
        on_it = int((np.abs(column) >= WEAK).sum())
        if on_it < 3:
            thing = "item loads" if on_it == 1 else "items load"
            notes.append(
                f"Only {on_it} {thing} on {name} at {WEAK} or more: three are needed to trust a "
                "factor."
            )
    if data.method in ("polychoric", "mixed", "spearman"):
        notes.append(
            "Chi-square, RMSEA and the like assume Pearson correlations of normal answers; with "
            f"{data.method} ones they are a rough guide."
        )
    return notes


@dataclass(frozen=True, slots=True, eq=False)
class LoadingIntervals(Result):
    """Loadings with bootstrap intervals.

    Attributes
    ----------
    table : polars.DataFrame
        One row per item and factor: ``item``, ``factor``, ``name``, ``loading``, ``low``, ``high``
        (percentiles), ``se``, ``marks`` (whether the item marks the factor).
    repeats, failed : int
        Resamples asked for, and those that could not be fitted (left out).
    level : float
    seed : int
        -1 where a Generator was handed in.
    """

    table: pl.DataFrame
    repeats: int
    failed: int
    level: float
    seed: int

    @property
    def text(self) -> str:
        """State which markers clearly load on their factor."""
        marks = self.table.filter("marks").with_columns(width=pl.col("high") - pl.col("low"))
        crosses = (pl.col("low") <= 0) & (pl.col("high") >= 0)
        shaky = marks.filter(crosses)["item"].to_list()
        refits = self.repeats - self.failed
        text = (
            f"{number(marks.height - len(shaky))} of "
            f"{counted(marks.height, 'marker keeps', 'markers keep')} their sign in the "
            f"{percent(self.level, places=0)} interval of {counted(refits, 'resample')}, each "
            "turned onto the fitted loadings (Procrustes)."
        )
        for row in marks.sort("width").tail(1).iter_rows(named=True):
            text += (
                f" The least sure marker is {row['item']} on {row['name']}: "
                f"{number(row['loading'])} ({number(row['low'])} to {number(row['high'])})."
            )
        if shaky:
            text += f" Not to be relied on: {join_words(shaky)}."
        if self.failed:
            text += f" Left out: {counted(self.failed, 'resample')} that could not be fitted."
        return text

    def plot(self) -> Figure:
        """Draw the markers' loadings with their intervals."""
        marks = self.table.filter("marks").with_columns(
            marker=pl.format("{} on {}", "item", "name")
        )
        return intervals(
            marks,
            "marker",
            "loading",
            interval=("low", "high"),
            reference=0.0,
            title="How sure each marker's loading is",
            y_label="Loading",
        )


@single_thread()
@takes_frames
def estimate_loading_intervals(
    frame: pl.DataFrame,
    model: FactorModel,
    *,
    repeats: int = 200,
    level: float = 0.95,
    seed: int | np.random.Generator = 0,
) -> LoadingIntervals:
    """Estimate percentile intervals of loadings by refits to resampled people.

    Every refit's unrotated loadings are turned onto the model's pattern by Procrustes rotation
    (orthogonal, or oblique with unit variances), so that order, sign and the freedom of rotation
    do not count as uncertainty. Source: Zhang (2014), "Estimating standard errors in exploratory
    factor analysis", Multivariate Behavioral Research 49; Lambert et al. (1991).

    Parameters
    ----------
    frame : polars.DataFrame
        The answers that the model was fitted to.
    model : FactorModel
    repeats : int
        Resamples; a refit to polychoric correlations takes some tenths of a second.
    level : float
    seed : int or Generator

    Raises
    ------
    DataError
        If fewer than half of the resamples can be fitted.
    ParameterError
        If ``repeats`` is below 2 or ``level`` no share.
    """
    require_least(repeats=(repeats, 2))
    require_range("(0, 1)", level=level)
    if model.side is None:
        raise DataError("a model of a given matrix has no people to resample")
    random = np.random.default_rng(seed)
    chosen = frame.select(model.items)
    oblique = model.rotation not in (*ORTHOGONAL, "none")
    method = cast("CorrelationMethod", model.method)
    missing = cast("Missing", model.missing)
    refits: list[Floats] = []
    for _ in steps(range(repeats), "refits to resampled people"):
        rows = random.integers(0, chosen.height, chosen.height)
        try:
            correlations = correlate_items(
                chosen[rows], model.items, method=method, missing=missing
            )
        except DataError:
            continue
        fitted = extract(correlations.matrix, model.n_factors, model.extraction)
        refits.append(procrustes(fitted.loadings, model.loadings, oblique=oblique).loadings)
    if len(refits) < repeats / 2:
        raise DataError(
            f"only {len(refits)} of {counted(repeats, 'resample')} could be fitted: too few people "
            "answered"
        )
    draws = np.stack(refits)
    low, high = np.quantile(draws, [(1 - level) / 2, (1 + level) / 2], axis=0)
    seed_used = seed if isinstance(seed, int) else -1
    table = _table(model, low, high, draws.std(axis=0, ddof=1))
    return LoadingIntervals(table, repeats, repeats - len(refits), level, seed_used)


def _table(model: FactorModel, low: Floats, high: Floats, se: Floats) -> pl.DataFrame:
    p, k = model.loadings.shape
    marking = [{marker.item for marker in model.markers(j)} for j in range(k)]
    figures = {"loading": model.loadings, "low": low, "high": high, "se": se}
    return pl.DataFrame(
        {
            "item": model.items * k,
            "factor": np.repeat(model.ids, p),
            "name": np.repeat(model.names, p),
            **{name: values.T.ravel() for name, values in figures.items()},
            "marks": [item in items for items in marking for item in model.items],
        }
    )
