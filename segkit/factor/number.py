"""Number of factors, by parallel analysis, Velicer's criterion and measures of fit."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np
import polars as pl

from segkit.display import counted, join_words, number, percent
from segkit.errors import DataError, ParameterError, require_choice, require_least, require_range
from segkit.factor.answers import Floats
from segkit.factor.correlation import Correlations, correlate_items
from segkit.factor.extraction import IMPROPER, degrees_of_freedom, extract, fit_indices
from segkit.frames import takes_frames
from segkit.plot import Figure
from segkit.plot.factors import scree
from segkit.progress import steps
from segkit.result import Result
from segkit.stats.threads import single_thread

Reference = Literal["normal", "permutation"]
REFERENCES: tuple[Reference, ...] = get_args(Reference)
_STEPS = 60
MOST = 12  # factors fitted, where the items identify as many
CLOSE_FIT = 0.05  # Browne & Cudeck (1993): an RMSEA up to here is a close fit
VOTERS = {
    "parallel_components": ("parallel analysis of components", "eigenvalues above chance"),
    "parallel_factors": ("parallel analysis of factors", "reduced eigenvalues above chance"),
    "map": ("minimum average partial", "smallest mean squared partial correlation"),
    "scree": ("scree", "sharpest bend of the eigenvalues (shown, no vote)"),
    "fit": ("fit", f"fewest factors with an RMSEA of at most {CLOSE_FIT}"),
    "bic": ("BIC", "smallest BIC"),
}
# The bend of the scree plot is shown but has no vote: it cannot recommend zero factors, and it
# often recommends one.
_COUNTED = ("parallel_components", "parallel_factors", "map", "fit", "bic")


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


def factor_eigenvalues(r: Floats) -> Floats:
    """Give the eigenvalues of the matrix with communalities on its diagonal, descending.

    The communalities are those of the least squares fit of one factor, as in R's psych. Squared
    multiple correlations, the usual estimate of communalities, would keep too many factors in
    large samples.

    Examples
    --------
    >>> factor_eigenvalues(np.eye(3)).tolist()
    [0.0, 0.0, 0.0]
    """
    reduced = r.copy()
    index = np.arange(r.shape[-1])
    reduced[..., index, index] = _one_factor(r)
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
    require_choice("reference", reference, REFERENCES)
    require_least(draws=(draws, 1))
    random = np.random.default_rng(seed)
    if reference == "normal":
        r = _wishart(n, items, draws, random)
    else:
        if values is None:
            raise ParameterError("permutation needs the answers, not their correlations alone")
        r = _shuffled(values, draws, random)
    return Null(np.asarray(np.linalg.eigvalsh(r)[..., ::-1]), factor_eigenvalues(r))


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
    matrices = np.empty((draws, values.shape[1], values.shape[1]))
    work = np.asfortranarray(scaled)
    for i in steps(range(draws), "shuffled data sets"):
        for column in work.T:
            random.shuffle(column)
        matrices[i] = work.T @ work
    return matrices


def velicer(r: Floats) -> tuple[float, Floats]:
    """Give Velicer's mean squared partial correlation with 0, and with 1, 2, … components out.

    Source: Velicer (1976), "Determining the number of components from the matrix of partial
    correlations", Psychometrika 41. NaN where a component leaves an item without variance.

    Examples
    --------
    >>> round(velicer(np.eye(3) * 0.5 + 0.5)[0], 3)
    0.25
    """
    p = len(r)
    off = ~np.eye(p, dtype=bool)
    values, vectors = np.linalg.eigh(r)
    loadings = vectors[:, ::-1] * np.sqrt(np.maximum(values[::-1], 0.0))
    left = r.copy()
    means = np.full(p, np.nan)
    for m in range(p - 1):
        left = left - np.outer(loadings[:, m], loadings[:, m])
        spread = np.diag(left)
        if (spread < 1e-8).any():
            break
        means[m] = (left**2 / np.outer(spread, spread))[off].mean()
    return float((r**2)[off].mean()), means


def fit_by_number(correlations: Correlations, most: int | None = None) -> pl.DataFrame:
    """Fit 1, 2, … factors by least squares, and give the fit of each."""
    p = len(correlations.items)
    names = ("chi_square", "degrees", "rmsea", "tli", "cfi", "srmr", "bic")
    rows = []
    for k in range(1, min(most or MOST, p - 1) + 1):
        if degrees_of_freedom(p, k) > 0:
            fitted = extract(correlations.matrix, k)
            implied = fitted.loadings @ fitted.loadings.T
            np.fill_diagonal(implied, 1.0)
            fit = fit_indices(correlations.matrix, implied, correlations.n, k)
            heywood = int((fitted.uniquenesses < IMPROPER).sum())
            rows.append([k, *(getattr(fit, name) for name in names), heywood])
    kinds: dict[str, Any] = dict.fromkeys(("n_factors", *names, "heywood"), pl.Float64)
    kinds |= dict.fromkeys(("n_factors", "degrees", "heywood"), pl.Int64)
    return pl.DataFrame(rows, schema=kinds, orient="row")


@dataclass(frozen=True, slots=True, eq=False)
class FactorCount(Result):
    """Recommended number of common factors, with the result of every rule.

    Attributes
    ----------
    n_factors : int
        Recommended; 0 means no common factor.
    reason : str
        The reason, and the rules that disagree.
    votes : polars.DataFrame
        One row per rule: ``rule``, ``label``, ``n_factors`` (null: no value), ``how``.
    eigenvalues : polars.DataFrame
        One row per item's rank: ``rank``, ``component``, ``component_chance`` (the reference's
        percentile), ``factor``, ``factor_chance``, ``map`` (Velicer's criterion with ``rank``
        components taken out; null where undefined).
    fits : polars.DataFrame
        One row per number of factors: ``n_factors``, ``chi_square``, ``degrees``, ``rmsea``,
        ``tli``, ``cfi``, ``srmr``, ``bic``, ``heywood``.
    map_at_zero : float
        Velicer's criterion with nothing taken out.
    n, draws : int
        People; matrices of the reference.
    percentile : float
        Of the reference that an eigenvalue must exceed, as a share.
    reference : str
        "normal" or "permutation".
    seed : int
        -1 where a Generator was handed in.
    """

    n_factors: int
    reason: str
    votes: pl.DataFrame
    eigenvalues: pl.DataFrame
    fits: pl.DataFrame
    map_at_zero: float
    n: int
    draws: int
    percentile: float
    reference: str
    seed: int

    @property
    def answer(self) -> str:
        """The number recommended, and how many of the rules vote for it."""
        counting = self.votes.filter(pl.col("rule").is_in(_COUNTED))["n_factors"]
        cast = counting.drop_nulls().to_list()
        share = f"{cast.count(self.n_factors)} of {counted(len(cast), 'rule')}"
        return f"{counted(self.n_factors, 'common factor')}, for which {share} vote."

    @property
    def text(self) -> str:
        """State the number of factors, and which rules agree and disagree."""
        return self.reason

    def plot(self) -> Figure:
        """Draw the scree with the eigenvalues that chance gives."""
        return scree(self.eigenvalues, n_factors=self.n_factors, percentile=self.percentile)


@single_thread()
@takes_frames
def choose_factor_count(
    data: Correlations | pl.DataFrame,
    items: Sequence[str] | None = None,
    *,
    draws: int = 100,
    percentile: float = 0.95,
    reference: Reference = "normal",
    most: int | None = None,
    seed: int | np.random.Generator = 0,
) -> FactorCount:
    """Recommend the number of common factors behind the answers, or none.

    Parallel analysis compares the eigenvalues of Pearson's correlations with those of unrelated
    items (Horn 1965; percentile instead of mean: Glorfeld 1995). It does so for polychoric models
    too: polychoric correlations vary more between samples than Pearson's, so they are not what is
    compared. If the first eigenvalue of components does not exceed its percentile, no common factor
    is recommended; if there is none, some factor is recommended with a probability of at most
    ``1 - percentile``. Otherwise the rules vote: the number of factors that most of them give is
    recommended. In a tie it is that of the first of the tied rules in the order of trust: parallel
    analysis of components, of factors, minimum average partial, fit (RMSEA), BIC. The scree is
    shown and has no vote, nor has a rule that gives none, or more factors than the items identify.

    Parameters
    ----------
    data : Correlations or polars.DataFrame
        A frame is correlated (Pearson, pairwise) first.
    items : sequence of str, optional
        Of the frame.
    draws : int
        Number of random data sets that parallel analysis compares with.
    percentile : float
    reference : str
        "normal" or "permutation" (needs a frame; only people who answered everything).
    most : int, optional
        Largest number of factors tried; by default 12, or the most that this number of items can
        identify.
    seed : int or Generator

    Raises
    ------
    DataError
        If there are fewer than three items.
    ParameterError
        For unknown options.

    Examples
    --------
    >>> r = np.eye(6) * 0.4 + 0.6
    >>> choose_factor_count(Correlations.given(r, 200)).n_factors
    1
    """
    require_range("(0, 1)", percentile=percentile)
    values = None
    if isinstance(data, pl.DataFrame):
        given, data = data, correlate_items(data, items)
        whole = given.select(pl.col(data.items).cast(pl.Float64)).drop_nulls()
        values = whole.to_numpy() if reference == "permutation" else None
    p = len(data.items)
    if p < 3:
        raise DataError(f"common factors need at least three items, got {p}")
    people = _people(data) if values is None else len(values)
    null = null_eigenvalues(people, p, draws=draws, seed=seed, reference=reference, values=values)
    eigenvalues, at_zero = _table(data, null, percentile)
    fits = fit_by_number(data, most)
    votes = _votes(eigenvalues, at_zero, fits)
    count, reason = _decide(votes, data, percentile)
    return FactorCount(
        n_factors=count,
        reason=reason,
        votes=votes,
        eigenvalues=eigenvalues,
        fits=fits,
        map_at_zero=at_zero,
        n=data.n,
        draws=draws,
        percentile=percentile,
        reference=reference,
        seed=seed if isinstance(seed, int) else -1,
    )


def _people(correlations: Correlations) -> int:
    """Return the number of people a typical correlation rests on (harmonic mean)."""
    counts = correlations.counts[np.triu_indices(len(correlations.items), 1)]
    return max(len(correlations.items) + 1, int(1 / np.mean(1 / counts)))


def _table(correlations: Correlations, null: Null, percentile: float) -> tuple[pl.DataFrame, float]:
    r = correlations.product_moment
    if np.linalg.eigvalsh(r)[0] <= 1e-8:
        r = correlations.matrix  # pairwise and not positive definite: the smoothed one
    at_zero, partials = velicer(correlations.matrix)
    frame = pl.DataFrame(
        {
            "rank": np.arange(1, len(r) + 1),
            "component": np.linalg.eigvalsh(r)[::-1],
            "component_chance": np.quantile(null.components, percentile, axis=0),
            "factor": factor_eigenvalues(r),
            "factor_chance": np.quantile(null.factors, percentile, axis=0),
            "map": partials,
        }
    )
    return frame.with_columns(pl.col("map").fill_nan(None)), at_zero


def _above(eigenvalues: pl.DataFrame, kind: str) -> int:
    """Count the leading eigenvalues that exceed those of chance."""
    above = eigenvalues[kind].to_numpy() > eigenvalues[f"{kind}_chance"].to_numpy()
    return int(above.argmin()) if not above.all() else len(above)


def _votes(eigenvalues: pl.DataFrame, at_zero: float, fits: pl.DataFrame) -> pl.DataFrame:
    partials = [at_zero, *eigenvalues["map"].fill_null(np.inf).to_list()]
    values = eigenvalues["component"].to_numpy()
    bends = values[:-2] - 2 * values[1:-1] + values[2:]  # Raiche et al. (2013): acceleration
    clean = fits.filter(pl.col("heywood") == 0)
    close = clean.filter(pl.col("rmsea") <= CLOSE_FIT)
    chosen = {
        "parallel_components": _above(eigenvalues, "component"),
        "parallel_factors": _above(eigenvalues, "factor"),
        "map": int(np.argmin(partials)),
        "scree": int(np.argmax(bends)) + 1,
        "fit": close["n_factors"].first(),
        "bic": clean.sort("bic")["n_factors"].first(),
    }
    return pl.DataFrame(
        [(rule, VOTERS[rule][0], k, VOTERS[rule][1]) for rule, k in chosen.items()],
        schema={"rule": pl.String, "label": pl.String, "n_factors": pl.Int64, "how": pl.String},
        orient="row",
    )


def _decide(votes: pl.DataFrame, correlations: Correlations, percentile: float) -> tuple[int, str]:
    cast = dict(votes.select("rule", "n_factors").iter_rows())
    if cast["parallel_components"] == 0:
        return 0, (
            "There is no common factor: not even the largest eigenvalue exceeds what "
            f"{percent(percentile, places=0)} of samples of "
            f"{counted(correlations.n, 'person', 'people')} give whose items have nothing to do "
            "with each other. Scores would be noise."
        )
    p = len(correlations.items)
    votes_for = [k for rule in _COUNTED if (k := cast[rule]) and degrees_of_freedom(p, k) >= 0]
    if not votes_for:
        return 1, "One factor is all that these items identify; the rules have no say."
    most = max(votes_for.count(k) for k in votes_for)
    count = next(k for k in votes_for if votes_for.count(k) == most)  # in order of trust
    labels = votes.filter(pl.col("rule").is_in(_COUNTED))
    backers = labels.filter(pl.col("n_factors") == count)["label"].to_list()
    rules = labels["n_factors"].count()
    parts = [
        f"{counted(count, 'common factor')} {'is' if count == 1 else 'are'} recommended:",
        (
            f"{number(len(backers))} of {counted(rules, 'rule votes', 'rules vote')} for "
            f"{number(count)}"
        ),
        f"({join_words(backers)}).",
    ]
    if sum(votes_for.count(k) == most for k in set(votes_for)) > 1:
        parts.append("The vote is tied; the first of the rules in order of trust decides.")
    for other in sorted({k for k in cast.values() if k is not None} - {count}):
        says = votes.filter(pl.col("n_factors") == other)["label"].to_list()
        verb = "say" if len(says) > 1 else "says"
        parts.append(f"The {join_words(says)} {verb} {counted(other, 'factor')}.")
    return count, " ".join(parts)
