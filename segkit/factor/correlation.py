"""Correlation matrix of survey items, on which every factor analysis rests."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal, get_args

import numpy as np
import numpy.typing as npt
import polars as pl

from segkit.display import counted, join_words, number
from segkit.errors import DataError, require_choice
from segkit.factor.answers import Floats, read_answers
from segkit.factor.polychoric import Categories, categories, polychoric_matrix, polyserial
from segkit.frames import takes_frames
from segkit.plot import Figure, heatmap
from segkit.result import Result

_BLOCK = 65_536  # rows at a time, so that they fit into the processor's cache
_SINGULAR = 1e-10
CorrelationMethod = Literal["pearson", "spearman", "polychoric", "mixed"]
METHODS: tuple[CorrelationMethod, ...] = get_args(CorrelationMethod)
Missing = Literal["pairwise", "listwise"]
MISSING: tuple[Missing, ...] = get_args(Missing)
MOST_CATEGORIES = 8  # with more distinct answers "mixed" takes an item as continuous
FLOOR = 1e-6  # the smallest eigenvalue that smoothing leaves
_TINY = 1e-8
KIND = {
    "pearson": "Pearson",
    "spearman": "Spearman",
    "polychoric": "Polychoric",
    "mixed": "Mixed (polychoric, polyserial and Pearson)",
    "given": "Given",
}


@dataclass(frozen=True, slots=True, eq=False)
class Moments:
    """Counts, means and product moments of items, over the non-missing answers.

    Attributes
    ----------
    counts : ndarray of shape (items, items)
        Number of people who answered both items; on the diagonal, who answered the item.
    means, sds : ndarray of shape (items,)
        Over all who answered the item (divisor n - 1).
    covariance : ndarray of shape (items, items)
        Each pair over the people who answered both (divisor n - 1); NaN below two.
    correlation : ndarray of shape (items, items)
        Each pair over the people who answered both, standardised by their own spread.
    """

    counts: Floats
    means: Floats
    sds: Floats
    covariance: Floats
    correlation: Floats


def moments(values: Floats) -> Moments:
    """Compute pairwise counts, means, covariances and correlations.

    Parameters
    ----------
    values : ndarray of shape (people, items)
        NaN where an answer is missing.

    Examples
    --------
    >>> found = moments(np.array([[1.0, 2.0], [2.0, 1.0], [3.0, np.nan]]))
    >>> found.counts.tolist(), float(found.correlation[0, 1])
    ([[3.0, 2.0], [2.0, 2.0]], -1.0)
    """
    if not np.isnan(values.sum()):
        return _complete(values)
    with warnings.catch_warnings():  # an item that nobody of these answered has no middle
        warnings.simplefilter("ignore", RuntimeWarning)
        middle = np.nan_to_num(np.nanmean(values[:: 1 + len(values) // _BLOCK], axis=0))
    p = values.shape[1]
    counts, products, squares, sums = (np.zeros((p, p)) for _ in range(4))
    for start in range(0, values.shape[0], _BLOCK):
        part = values[start : start + _BLOCK] - middle
        answered = ~np.isnan(part)
        part[~answered] = 0.0
        mask = answered.astype(np.float64)
        counts += mask.T @ mask
        products += part.T @ part
        sums += part.T @ mask  # of item i, over those who answered j too
        squares += (part * part).T @ mask
    with np.errstate(invalid="ignore", divide="ignore"):
        cross = products - sums * sums.T / counts
        own = np.maximum(squares - sums**2 / counts, 0.0)
        covariance = np.where(counts > 1, cross / (counts - 1), np.nan)
        correlation = cross / np.sqrt(own * own.T)
        sds = np.sqrt(np.diag(covariance))
        means = middle + np.diag(sums) / np.diag(counts)
    np.fill_diagonal(correlation, 1.0)
    return Moments(counts, means, sds, covariance, np.clip(correlation, -1.0, 1.0))


def _complete(values: Floats) -> Moments:
    n, p = values.shape
    means = values.mean(axis=0)
    products = np.zeros((p, p))
    for start in range(0, n, _BLOCK):
        part = values[start : start + _BLOCK] - means
        products += part.T @ part
    covariance = products / max(n - 1, 1)
    sds = np.sqrt(np.diag(covariance))
    with np.errstate(invalid="ignore", divide="ignore"):
        correlation = covariance / np.outer(sds, sds)
    np.fill_diagonal(correlation, 1.0)
    counts = np.full((p, p), float(n))
    return Moments(counts, means, sds, covariance, np.clip(correlation, -1.0, 1.0))


@dataclass(frozen=True, slots=True, eq=False)
class Coding:
    """Numerical codes that replace the items' answers.

    Attributes
    ----------
    items : tuple of str
    tables : dict of str to (tuple of float, tuple of float)
        Item to its answers and their codes. An item without a table keeps its answers. An answer
        between two listed ones gets a code interpolated between theirs.
    """

    items: tuple[str, ...]
    tables: dict[str, tuple[tuple[float, ...], tuple[float, ...]]]

    @classmethod
    def fit(
        cls, items: Sequence[str], values: Floats, method: str, coarse: Mapping[int, Categories]
    ) -> Coding:
        """Choose codes: the expected attitude for each coarse answer, or mid-ranks (Spearman)."""
        chosen = {items[j]: (own.values, own.codes) for j, own in coarse.items()}
        if method == "spearman":
            for item, column in zip(items, values.T, strict=True):
                levels, counts = np.unique(column[~np.isnan(column)], return_counts=True)
                ranks = (np.cumsum(counts) - (counts - 1) / 2 - 0.5) / counts.sum()
                chosen[item] = (levels, ranks)
        tables = {k: (tuple(a.tolist()), tuple(c.tolist())) for k, (a, c) in chosen.items()}
        return cls(tuple(items), tables)

    def apply(self, values: Floats) -> Floats:
        """Return the coded answers; NaN stays NaN."""
        if not self.tables:
            return values
        coded = values.copy()
        for j, item in enumerate(self.items):
            if item in self.tables:
                answers, codes = self.tables[item]
                column = values[:, j]
                coded[:, j] = np.where(np.isnan(column), np.nan, np.interp(column, answers, codes))
        return coded


@dataclass(frozen=True, slots=True, eq=False)
class ScoreSide:
    """Codes of the answers, and the moments of the codes, from which scores are computed.

    Scores are computed from answers, but a polychoric model describes continuous attitudes, of
    which an answer from 1 to 5 is a rounded version. The correlations to which it was fitted are
    then not those of the answers; the latter are stored here.

    Attributes
    ----------
    coding : Coding
    means, sds : ndarray of shape (items,)
        Of the coded answers at the fit.
    correlation : ndarray of shape (items, items)
        Pearson's correlation of the coded answers.
    attenuation : ndarray of shape (items,)
        Correlation of each coded answer with the variable that the model describes. Example:
        about 0.95 for five answers to an item of a polychoric model, and exactly 1 for a Pearson
        model, which describes the answers themselves. The code of a coarse answer is the expected
        attitude of those who gave it, where attitudes have variance 1: the covariance of code and
        attitude is then the variance of the code, and the attenuation its standard deviation.
    """

    coding: Coding
    means: Floats
    sds: Floats
    correlation: Floats
    attenuation: Floats


def enough_people(n: int, names: Sequence[str]) -> None:
    """Raise unless there are at least two items, and more people than items."""
    if len(names) < 2:
        raise DataError(f"a correlation needs at least two items, got {len(names)}")
    if n <= len(names):
        raise DataError(
            f"expected more people than items, got {counted(n, 'person', 'people')} for "
            f"{counted(len(names), 'item')}; ask more people or fewer questions"
        )


def answered_together(pairs: Moments, names: Sequence[str]) -> None:
    """Raise where two items were not answered together by people who differ on both."""
    few = np.argwhere((pairs.counts < 3) | np.isnan(pairs.correlation))
    if len(few):
        i, j = few[0]
        raise DataError(
            f"{names[i]} and {names[j]} were answered together by "
            f"{counted(int(pairs.counts[i, j]), 'person', 'people')} who differ on both: they "
            "cannot be correlated; leave one out"
        )


def refuse_repeats(names: Sequence[str], r: Floats, complete: bool) -> None:
    """Raise where an item follows from others exactly: the matrix then has no inverse."""
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
            f"{join_words(bound)} are perfectly collinear: each follows from the others; leave one "
            "out"
        )


@dataclass(frozen=True, slots=True, eq=False)
class Correlations(Result):
    """Correlation matrix of items, with how it was computed.

    Attributes
    ----------
    items : tuple of str
    matrix : ndarray of shape (items, items)
        Correlations, positive definite.
    n : int
        People with at least one answer (pairwise) or all answers (listwise).
    counts : ndarray of shape (items, items)
        People behind each correlation.
    method : str
        "pearson", "spearman", "polychoric", "mixed", or "given" for a matrix from elsewhere.
    missing : str
        "pairwise" or "listwise".
    product_moment : ndarray of shape (items, items)
        Pearson's correlations of the same answers, for the tests of the number of factors.
    side : ScoreSide or None
        Codes of the answers, and their means, spreads and correlations, which factor scores need;
        None for a given matrix.
    smallest_eigenvalue : float
        Of the matrix before smoothing.
    smoothed : float or None
        Largest change of a correlation by smoothing; None where none was needed.
    notes : tuple of str
        Corrections that were made, in sentences.
    """

    items: tuple[str, ...]
    matrix: Floats
    n: int
    counts: Floats
    method: str
    missing: str
    product_moment: Floats
    side: ScoreSide | None
    smallest_eigenvalue: float = float("nan")
    smoothed: float | None = None
    notes: tuple[str, ...] = ()

    def to_frame(self) -> pl.DataFrame:
        """One row per pair of items: ``item``, ``other``, ``correlation``, ``people``."""
        first, second = np.triu_indices(len(self.items), 1)
        names = np.array(self.items)
        return pl.DataFrame(
            {
                "item": names[first],
                "other": names[second],
                "correlation": self.matrix[first, second],
                "people": self.counts[first, second].astype(np.int64),
            }
        )

    @property
    def text(self) -> str:
        """State the items, the people, the kind of correlation and the corrections made."""
        off = self.matrix[np.triu_indices(len(self.items), 1)]
        start = (
            f"{KIND[self.method]} correlations of {counted(len(self.items), 'item')} over "
            f"{counted(self.n, 'person', 'people')}, between {number(float(off.min()))} and "
            f"{number(float(off.max()))}."
        )
        return " ".join([start, *self.notes])

    def plot(self) -> Figure:
        """Draw the matrix as a heatmap."""
        p = len(self.items)
        frame = pl.DataFrame(
            {
                "item": np.repeat(self.items, p),
                "other": np.tile(self.items, p),
                "correlation": self.matrix.ravel(),
            }
        )
        return heatmap(
            frame,
            "other",
            "item",
            "correlation",
            diverging=True,
            annotate=p <= 12,
            title="Which items go together",
            x_label="Item",
            y_label="Item",
            alt=f"Heatmap of the correlations of {counted(p, 'item')}. {self.text}",
        )

    @classmethod
    def given(
        cls, matrix: npt.ArrayLike, n: int, items: Sequence[str] | None = None
    ) -> Correlations:
        """Use a given correlation matrix, such as a published table.

        Parameters
        ----------
        matrix : array_like of shape (items, items)
        n : int
            People behind it.
        items : sequence of str, optional
            Names; by default item_1, item_2, …

        Raises
        ------
        DataError
            If the matrix is not square, symmetric with ones on the diagonal, or has fewer people
            than items.
        """
        r = np.array(matrix, dtype=np.float64)
        if r.ndim != 2 or r.shape[0] != r.shape[1]:
            raise DataError(f"a correlation matrix is square, got shape {r.shape}")
        names = tuple(items) if items else tuple(f"item_{i + 1}" for i in range(len(r)))
        if len(names) != len(r):
            raise DataError(f"expected {counted(len(r), 'item name')}, got {len(names)}")
        symmetric = np.allclose(r, r.T, atol=1e-6) and np.allclose(np.diag(r), 1.0, atol=1e-6)
        if not symmetric or np.abs(r).max() > 1 + 1e-6:
            raise DataError(
                "expected a symmetric matrix with ones on its diagonal and nothing beyond 1"
            )
        enough_people(n, names)
        refuse_repeats(names, r, complete=True)
        return _smoothed(
            cls(
                items=names,
                matrix=r,
                n=n,
                counts=np.full(r.shape, float(n)),
                method="given",
                missing="listwise",
                product_moment=r,
                side=None,
            )
        )


@takes_frames
def correlate_items(
    frame: pl.DataFrame,
    items: Sequence[str] | None = None,
    *,
    method: CorrelationMethod = "pearson",
    missing: Missing = "pairwise",
) -> Correlations:
    """Correlate items: one matrix that adequacy, number, fit and scores all use.

    Parameters
    ----------
    frame : polars.DataFrame
        One row per respondent, one numeric column per item.
    items : sequence of str, optional
        Columns; by default those that look like rating scales (see `find_survey_items`).
    method : str
        "pearson"; "spearman" (of ranks); "polychoric" (of the normal attitudes assumed behind
        coarse answers); "mixed": polychoric, polyserial or Pearson by each item's number of
        distinct answers (more than 8: continuous).
    missing : str
        "pairwise" uses for each pair all who answered both; "listwise" only people who answered
        everything.

    Returns
    -------
    Correlations
        Smoothed to be positive definite where it is not, which its ``notes`` say.

    Raises
    ------
    ColumnError, DataError, ParameterError
        For unknown or non-numeric columns, constant or unanswered items, items that repeat each
        other, fewer people than items, pairs that nobody answered together, unknown options.

    Examples
    --------
    >>> frame = pl.DataFrame({"a": [1, 2, 3, 4], "b": [2, 1, 4, 3]})
    >>> correlate_items(frame, ["a", "b"]).matrix[0, 1].round(3).item()
    0.6
    """
    require_choice("method", method, METHODS)
    require_choice("missing", missing, MISSING)
    answers = read_answers(frame, items)
    names, notes = answers.items, list[str]()
    values = _rows(answers.values, missing, notes)
    enough_people(len(values), names)
    plain = moments(values)
    answered_together(plain, names)
    coarse: dict[int, Categories] = {}
    if method in ("polychoric", "mixed"):
        own = enumerate(categories(column) for column in values.T)
        is_all = method == "polychoric"
        coarse = {j: one for j, one in own if is_all or len(one.values) <= MOST_CATEGORIES}
    coding = Coding.fit(names, values, method, coarse)
    coded = moments(coding.apply(values)) if coding.tables else plain
    attenuation = np.ones(len(names))
    attenuation[list(coarse)] = np.minimum(coded.sds[list(coarse)], 1.0)
    r = _latent(values, plain, coarse, notes) if coarse else coded.correlation
    refuse_repeats(names, plain.correlation, complete=not np.isnan(values.sum()))
    return _smoothed(
        Correlations(
            items=names,
            matrix=r,
            n=len(values),
            counts=plain.counts,
            method=method,
            missing=missing,
            product_moment=plain.correlation,
            side=ScoreSide(coding, coded.means, coded.sds, coded.correlation, attenuation),
            notes=tuple(notes),
        )
    )


def _rows(values: Floats, missing: str, notes: list[str]) -> Floats:
    if not np.isnan(values.sum()):
        return values
    holes = np.isnan(values)
    keep = ~holes.any(axis=1) if missing == "listwise" else ~holes.all(axis=1)
    gone = len(values) - int(keep.sum())
    if missing == "listwise":
        notes.append(
            f"Left out (listwise): {counted(gone, 'person', 'people')} who left an item open."
        )
    else:
        share = holes[keep].mean()
        notes.append(
            f"{number(100 * float(share))}% of the answers are missing; each correlation is over "
            "the people who answered both items (pairwise)."
        )
        if gone:
            notes.append(f"Left out: {counted(gone, 'person', 'people')} who answered nothing.")
    return values if gone == 0 else values[keep]


def _latent(
    values: Floats, plain: Moments, coarse: Mapping[int, Categories], notes: list[str]
) -> Floats:
    places = list(coarse)
    r = plain.correlation.copy()
    inner, corrected = polychoric_matrix(values[:, places], list(coarse.values()))
    r[np.ix_(places, places)] = inner
    for i in set(range(values.shape[1])) - set(places):
        for j, own in coarse.items():
            r[i, j] = r[j, i] = polyserial(values[:, i], values[:, j], own)
    if corrected:
        notes.append(f"Half a person was added to empty cells of {counted(corrected, 'table')}.")
    return r


def _smoothed(raw: Correlations) -> Correlations:
    """Raise the eigenvalues of a matrix that is not positive definite."""
    r = (raw.matrix + raw.matrix.T) / 2
    np.fill_diagonal(r, 1.0)
    values, vectors = np.linalg.eigh(r)
    smallest = float(values[0])
    if smallest >= _TINY:
        return replace(raw, matrix=r, smallest_eigenvalue=smallest)
    better = (vectors * np.maximum(values, FLOOR)) @ vectors.T
    scale = 1 / np.sqrt(np.diag(better))
    better *= np.outer(scale, scale)
    np.fill_diagonal(better, 1.0)
    moved = float(np.abs(better - r).max())
    note = (
        f"The matrix was not positive definite (smallest eigenvalue {number(smallest)}) and "
        f"was smoothed; no correlation moved by more than {number(moved)}."
    )
    return replace(
        raw, matrix=better, smallest_eigenvalue=smallest, smoothed=moved, notes=(*raw.notes, note)
    )
