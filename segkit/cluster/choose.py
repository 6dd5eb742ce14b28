"""Choice of the number of segments: each criterion votes, and the analyst decides."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import polars as pl

from segkit.cluster.criteria import CRITERIA, VOTERS, check_criteria, measure, vote
from segkit.cluster.kmeans import SETTLE_STEPS
from segkit.cluster.matrix import Floats, Ints, as_matrix, fair_order, sample_rows
from segkit.cluster.refits import METHODS, Clustering, Method, SharedRefits
from segkit.cluster.structure import Structure
from segkit.display import MOST_WORDS, counted, join_words, number
from segkit.errors import DataError, ParameterError, require_choice, require_least
from segkit.plot import Figure
from segkit.plot.stability import criteria_over_k
from segkit.result import Result
from segkit.stats.threads import single_thread

MAX_ROWS = 20_000
NEARLY = 0.05  # adjusted Rand index: numbers this close to the most stable one are as stable
_WEAK = 0.26  # Kaufman and Rousseeuw (1990): below it, no substantial structure


@dataclass(frozen=True, slots=True, eq=False)
class KChoice(Result):
    """Recommended number of segments, the votes of all criteria, and the reason.

    Attributes
    ----------
    k : int
        The number of segments used: the recommended one, or the analyst's.
    recommended : int
        The number with most votes among the most stable ones, at least 2.
    reason : str
        Why, in words, with the criteria that disagree.
    table : polars.DataFrame
        One row per k: ``k``, ``within_ss`` (squared units of the data), ``smallest`` (customers in
        the smallest segment), ``smallest_share``, then one column per criterion and, if it has
        one, its standard error ``…_se``. Row k = 1 is present if a criterion evaluates it.
    votes : polars.DataFrame
        One row per criterion, in order of trust: ``criterion``, ``label``, ``k`` voted for (1: no
        groups; null: no value), ``value`` there, ``rule``.
    method : str
        "ward" or "kmeans".
    n, rows : int
        Customers in the input, and customers that the table is based on.
    n_draws, n_starts, seed : int
        Number of resamples, starts of k-means, seed.
    chosen_by : str
        "votes" or "analyst".
    notes : tuple of str
        What was left out, and samples drawn.
    refits : SharedRefits or None
        Refits over all k, for `assess_stability`; not stored with the result.
    """

    k: int
    recommended: int
    reason: str
    table: pl.DataFrame
    votes: pl.DataFrame
    method: str
    n: int
    rows: int
    n_draws: int
    n_starts: int
    seed: int
    chosen_by: str
    notes: tuple[str, ...]
    refits: SharedRefits | None = field(default=None, repr=False, metadata={"stored": False})

    @property
    def text(self) -> str:
        """Number of segments, the criteria that vote for it and those that do not."""
        start = self.reason
        if self.chosen_by == "analyst":
            start = f"{start} Recommended by the votes: {self.recommended}."
        return " ".join([start, *(f"{note}." for note in self.notes)])

    def choose(self, k: int, *, why: str = "") -> KChoice:
        """Use the analyst's own number of segments; the votes are kept.

        Parameters
        ----------
        k : int
            One of the numbers in the table; 0 goes back to the recommended one.
        why : str
            The analyst's reason, kept with the result.

        Raises
        ------
        ParameterError
            If the table has no such k.
        """
        if k == 0 and self.chosen_by == "votes":
            return self
        if k == 0:
            k, reason = recommend(self.votes, self.table)
            return replace(self, k=k, reason=reason, chosen_by="votes")
        examined = [value for value in self.table["k"].to_list() if value >= 2]
        if k not in examined:
            raise ParameterError(f"k = {k} was not examined; the table has k = {examined}")
        backers = self.votes.filter(pl.col("k") == k)["label"].to_list()
        backing = f"backed by {join_words(backers)}" if backers else "which no criterion votes for"
        reason = f"The analyst chose {counted(k, 'segment')}, {backing}{f': {why}' if why else ''}."
        return replace(self, k=k, reason=reason, chosen_by="analyst")

    def reconcile(self, structure: Structure) -> str:
        """State in 25 words the result of votes and structure test, and the k that is used.

        Parameters
        ----------
        structure : Structure
            From `assess_structure`, for the number of segments that is used.
        """
        by = "as recommended"
        if self.chosen_by == "analyst":
            why = self.reason.rstrip(".").partition(": ")[2]
            by = f"chosen by the analyst{f' ({why})' if why else ''}"
            if self.recommended != self.k:
                by += f"; the votes recommend {self.recommended}"
        structure_words = {
            "natural": "natural groups",
            "reproducible": "stable borders, no natural groups",
            "constructive": "neither natural groups nor stable borders",
        }[structure.verdict]
        if structure.k not in (None, self.k):
            structure_words = f"the structure test judged {structure.k}"
        elif structure.verdict != "natural" and structure.natural_k is not None:
            structure_words += f" (natural at {structure.natural_k})"
        others = sorted(set(self.votes["k"].drop_nulls().to_list()) - {self.k, 1})
        none = (self.votes["k"] == 1).any()
        dissent = join_words([*map(str, others), *(["none"] if none else [])])
        text = f"{counted(self.k, 'segment')} in force, {by}; {structure_words}"
        count = len(others) + int(none)
        rests = [f"; other votes: {dissent}", f"; {number(count)} others have votes"]
        whole = (f"{text}{rest}." for rest in (rests if dissent else []))
        return next((one for one in whole if len(one.split()) <= MOST_WORDS), f"{text}.")

    def plot(self) -> Figure:
        """Draw every criterion over k, its vote marked."""
        return criteria_over_k(self._long(), chosen=self.k)

    def _long(self) -> pl.DataFrame:
        parts = []
        for row in self.votes.iter_rows(named=True):
            name = row["criterion"]
            error = f"{name}_se"
            parts.append(
                self.table.select(
                    "k",
                    criterion=pl.lit(row["label"]),
                    value=name,
                    se=pl.col(error) if error in self.table.columns else pl.lit(None, pl.Float64),
                    voted=(pl.col("k") == row["k"]).fill_null(value=False),
                    rule=pl.lit(row["rule"]),
                )
            )
        return pl.concat(parts).drop_nulls("value")


def choose_k(
    X: Any,
    *,
    k_range: Iterable[int] = range(2, 11),
    method: Method = "ward",
    linkage: Any = None,
    criteria: Sequence[str] = VOTERS,
    seed: int = 0,
    n_draws: int = 20,
    n_starts: int = 5,
    max_rows: int = MAX_ROWS,
    settle_steps: int = SETTLE_STEPS,
) -> KChoice:
    """Recommend a number of segments: stability decides first, then each criterion votes once.

    Segments that do not reproduce are no basis for action. Therefore only numbers whose stability
    (adjusted Rand index of two refits) lies within .05 of the best are compared. Of these, the k
    with most votes is recommended. In a tie, the largest k of the range is dropped, because votes
    for it may only mean that the range is too short. Then the most trusted criterion decides, in
    this order: stability, prediction strength, gap, silhouette, Davies-Bouldin, Calinski-Harabasz,
    BIC. Votes for k = 1 (no groups) are reported but do not count.

    Parameters
    ----------
    X : array-like or frame of shape (n, d)
        Customers by features, transformed and scaled.
    k_range : iterable of int
        Numbers of segments compared, each at least 2; those not below the number of distinct
        rows are left out, and a note says so.
    method : {"ward", "kmeans"}
        Ward's tree is built once and cut for every k.
    linkage : array-like of shape (n - 1, 4), optional
        Ward's tree of exactly these rows in scipy's format, if already computed; then all
        rows are used.
    criteria : sequence of str
        Criteria that vote. With resampling: "stability", "prediction_strength", "gap". Without:
        "silhouette", "davies_bouldin", "calinski_harabasz", "bic", "squared_silhouette". By default
        all but the last.
    seed : int
    n_draws : int
        Reference data sets of the gap, split halves of the prediction strength and pairs of
        bootstrap refits of the stability.
    n_starts : int
        Starts of k-means.
    max_rows : int
        With more rows than this, a random sample of this size, independent of row order, is used.
    settle_steps : int
        Maximum number of Lloyd's steps after the cut of Ward's tree, as in `cluster_customers`;
        0 evaluates the tree's own groups.

    Returns
    -------
    KChoice

    Raises
    ------
    DataError
        If a value is missing or infinite, or distinct rows are too few.
    ParameterError
        If a method, criterion or number of segments is not known or possible.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> X = np.concatenate([rng.normal(m, 1.0, (50, 2)) for m in (0, 8, 16)])
    >>> choose_k(X, k_range=range(2, 6)).k
    3
    """
    matrix = as_matrix(X, min_rows=3)
    require_choice("method", method, METHODS)
    names = check_criteria(list(criteria))
    require_least(n_draws=(n_draws, 2), n_starts=(n_starts, 1))
    require_least(max_rows=(max_rows, 3), settle_steps=(settle_steps, 0))
    order = fair_order(matrix, seed)
    tree = None
    if linkage is not None:
        tree, max_rows = _reordered(linkage, method, order), len(matrix)
    used, ks, notes = sample_rows(matrix, order, max_rows, k_range)
    how = Clustering(method, seed, n_starts, settle_steps)
    with single_thread():
        segmentations = how.over_k(used, ks, linkage=tree)
        table, refits, more = measure(used, segmentations, names, how, n_draws=n_draws)
    votes = _votes(table, names)
    recommended, reason = recommend(votes, table)
    return KChoice(
        k=recommended,
        recommended=recommended,
        reason=reason,
        table=table,
        votes=votes,
        method=method,
        n=len(matrix),
        rows=len(used),
        n_draws=n_draws,
        n_starts=n_starts,
        seed=seed,
        chosen_by="votes",
        notes=(*notes, *more),
        refits=refits,
    )


def _reordered(linkage: Any, method: str, order: Ints) -> Floats:
    """Return Ward's tree with the leaves numbered as the rows in their new order."""
    n = len(order)
    if method != "ward":
        raise ParameterError(f"linkage needs method='ward', got method={method!r}")
    tree = np.array(linkage, dtype=np.float64)
    if tree.shape != (n - 1, 4):
        raise DataError(
            f"expected a linkage of shape ({n - 1}, 4) for {counted(n, 'row')}, got {tree.shape}"
        )
    place = np.r_[np.argsort(order), n : 2 * n - 1]
    tree[:, :2] = place[tree[:, :2].astype(np.int64)]
    return tree


def _votes(table: pl.DataFrame, names: Sequence[str]) -> pl.DataFrame:
    rows = []
    for name in names:
        k = vote(CRITERIA[name], table)
        value = None if k is None else table.filter(pl.col("k") == k)[name].item()
        rows.append((name, CRITERIA[name].label, k, value, CRITERIA[name].words))
    names_only = dict.fromkeys(("criterion", "label"), pl.String)
    kinds = {**names_only, "k": pl.Int64, "value": pl.Float64, "rule": pl.String}
    return pl.DataFrame(rows, schema=kinds, orient="row")


def _reproducible(votes: pl.DataFrame, table: pl.DataFrame) -> pl.DataFrame:
    """Return the votes for numbers that are nearly as stable as the most stable one."""
    if "stability" not in table.columns:
        return votes
    curve = table.drop_nulls("stability")
    near = curve.filter(pl.col("stability") >= pl.col("stability").max() - NEARLY)["k"].to_list()
    own = votes.filter(criterion="stability")["k"].to_list()  # within its own standard error
    return votes.filter(pl.col("k").is_in([*near, *own]))


def recommend(votes: pl.DataFrame, table: pl.DataFrame) -> tuple[int, str]:
    """Return the number of segments that votes and stability speak for, and why.

    Parameters
    ----------
    votes, table : polars.DataFrame
        As in `KChoice`.

    Examples
    --------
    >>> votes = pl.DataFrame({"criterion": ["gap", "bic"], "label": ["gap", "BIC"], "k": [3, 1]})
    >>> recommend(votes, pl.DataFrame({"k": [2, 3, 4]}))[0]
    3
    """
    cast = _reproducible(votes.filter(pl.col("k") >= 2), table)
    if cast.is_empty():
        k = int(table.filter(pl.col("k") >= 2)["k"].min())  # type: ignore[arg-type]
        return k, f"No criterion votes for two or more segments; {k} is the smallest examined."
    counts = cast.group_by("k").len()
    tied = counts.filter(pl.col("len") == pl.col("len").max())["k"].to_list()
    edge = int(table["k"].to_numpy().max())
    rivals = [other for other in tied if other != edge] or tied
    first = cast.filter(pl.col("k").is_in(rivals)).row(0, named=True)  # votes: in order of trust
    k = int(first["k"])
    backers = cast.filter(pl.col("k") == k)["label"].to_list()
    voters = len(votes.filter(pl.col("k").is_not_null()))
    backing = (
        f"{len(backers)} of {counted(voters, 'criterion votes', 'criteria vote')} for {k} "
        f"({join_words(backers)})"
    )
    parts = [f"{counted(k, 'segment is', 'segments are')} recommended: {backing}."]
    if edge in cast["k"].to_list() and table["k"].n_unique() > 2:
        parts.append(f"A vote for {edge} may only mean that k_range ends there.")
    if len(tied) > 1:
        others = join_words([str(other) for other in sorted(tied) if other != k])
        first_words = "comes first in the order of trust and decides"
        parts.append(f"The vote is tied with {others}; the {first['label']} {first_words}.")
    outside = set(votes["k"].drop_nulls().to_list()) - {1, *cast["k"].to_list()}
    if outside:
        parts.append(
            "Stability comes first: votes for numbers that come out again less well "
            f"({join_words([str(other) for other in sorted(outside)])}) do not count."
        )
    for other in sorted(set(votes["k"].drop_nulls().to_list()) - {k}):
        labels = votes.filter(pl.col("k") == other)["label"].to_list()
        verb = "votes" if len(labels) == 1 else "vote"
        what = "one group, that is, for no segments at all" if other == 1 else str(other)
        parts.append(f"The {join_words(labels)} {verb} for {what}.")
    silhouette = None
    if "silhouette" in table.columns:
        silhouette = table.filter(pl.col("k") == k)["silhouette"].item()
    if silhouette is not None and silhouette < _WEAK:
        parts.append(
            f"With a mean silhouette of {number(silhouette)} the segments run into each other: "
            "their number is a choice more than a finding."
        )
    return k, " ".join(parts)
