"""Stability of segmentations and of single segments over refits."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain, pairwise
from typing import TYPE_CHECKING, Any, get_args

import numpy as np
import polars as pl

from segkit.cluster.agreement import across, aligned, by_size, overlaps
from segkit.cluster.kmeans import SETTLE_STEPS
from segkit.cluster.matrix import Floats, Ints, as_codes, as_matrix, fair_order, sample_rows
from segkit.cluster.refits import (
    METHOD_WORDS,
    METHODS,
    SEEDING_ROWS,
    Agreement,
    Clustering,
    HalfScores,
    Method,
    Refit,
    RefitPlan,
    Repeats,
    compare_refits,
    mean_columns,
    refit_samples,
    split_halves,
)
from segkit.display import counted, number
from segkit.errors import DataError, ParameterError, require_choice, require_least
from segkit.plot import Figure
from segkit.plot.stability import agreement_over_k, flow_over_k, segment_stability
from segkit.result import Result
from segkit.stats.threads import single_thread

if TYPE_CHECKING:
    from segkit.cluster.choose import KChoice


DISSOLVED, RECOVERED, HIGHLY = 0.5, 0.75, 0.85
# Minimum size of a segment to be evaluated: in a smaller one, a single customer changes the Jaccard
# coefficient by a tenth or more, as wide as the bands. A segment of one customer is found whenever
# the customer is drawn, and would always be "highly stable".
LEAST_SEGMENT = 10
JACCARD = ("jaccard", "jaccard_low", "jaccard_high")
TOO_FEW = "too few to judge"
MAX_ROWS = {"kmeans": 100_000, "ward": 2_000}


def band(jaccard: float) -> str:
    """Name the band of a segment's mean Jaccard coefficient.

    Hennig (2007), and the documentation of his R function fpc::clusterboot: at most .5 the
    segment is dissolved; below .6 it should not be trusted; from .6 to .75 it shows a pattern, but
    who belongs to it is doubtful; above .75 it is valid and stable; from .85 highly stable.

    Examples
    --------
    >>> [band(value) for value in (0.5, 0.55, 0.6, 0.76, 0.9)]
    ['dissolved', 'doubtful', 'pattern', 'stable', 'highly stable']
    """
    if np.isnan(jaccard):
        return "unknown"
    if jaccard <= DISSOLVED:
        return "dissolved"
    if jaccard < 0.6:
        return "doubtful"
    if jaccard <= RECOVERED:
        return "pattern"
    return "stable" if jaccard < HIGHLY else "highly stable"


def jaccard_figures(coefficients: Floats, sizes: Ints) -> dict[str, Any]:
    """Summarise each segment's Jaccard coefficients.

    Parameters
    ----------
    coefficients : ndarray of shape (refits, k)
        NaN where nobody of the segment was drawn.
    sizes : ndarray of shape (k,)
        Customers of each segment.

    Returns
    -------
    dict of str to sequence of k
        jaccard (mean), jaccard_low, jaccard_high (10% and 90% quantile), band. A segment of fewer
        than `LEAST_SEGMENT` customers has NaN and the band "too few to judge".
    """
    too_small = sizes < LEAST_SEGMENT
    judged = ~too_small & ~np.isnan(coefficients).all(axis=0)
    figures = np.full((3, len(sizes)), np.nan)
    drawn = np.ascontiguousarray(coefficients[:, judged])
    figures[0, judged] = np.nanmean(drawn, axis=0)
    figures[1:, judged] = np.nanquantile(drawn, [0.1, 0.9], axis=0)
    bands = [TOO_FEW if small else band(v) for v, small in zip(figures[0], too_small, strict=True)]
    return {**dict(zip(JACCARD, figures, strict=True)), "band": bands}


def numbered(segmentations: Mapping[int, Ints]) -> dict[int, Ints]:
    """Number segments so that they keep their numbers from one k to the next.

    The smallest k is numbered by size; each further solution is matched with the one before.
    """
    named: dict[int, Ints] = {}
    before: Ints | None = None
    for k in sorted(segmentations):
        before = by_size(segmentations[k]) if before is None else aligned(before, segmentations[k])
        named[k] = before
    return named


def flows(segmentations: Mapping[int, Ints]) -> pl.DataFrame:
    """Count the customers who go from each segment of one solution to each of the next.

    Parameters
    ----------
    segmentations : mapping of int to ndarray of shape (n,)
        Segmentations for increasing k.

    Returns
    -------
    polars.DataFrame
        ``k_from``, ``segment_from``, ``k_to``, ``segment_to`` (numbered from 1), ``customers``,
        ``share`` of the later segment (``segment_to``).

    Examples
    --------
    >>> flows({2: np.array([0, 0, 1]), 3: np.array([0, 2, 1])})["customers"].to_list()
    [1, 1, 1]
    """
    ks = sorted(segmentations)
    rows = []
    for low, high in pairwise(ks):
        table = overlaps(segmentations[low], segmentations[high], low, high)
        totals = table.sum(axis=0)
        for i, j in np.argwhere(table):
            count = int(table[i, j])
            rows.append((low, int(i) + 1, high, int(j) + 1, count, count / int(totals[j])))
    names = ["k_from", "segment_from", "k_to", "segment_to", "customers"]
    schema = {**dict.fromkeys(names, pl.Int64), "share": pl.Float64}
    return pl.DataFrame(rows, schema=schema, orient="row")


def segment_table(segmentations: Mapping[int, Ints], again: Agreement) -> pl.DataFrame:
    """Describe each segment of each solution: one row per k and segment.

    A segment of fewer than `LEAST_SEGMENT` customers has no figures of stability, and the band
    "too few to judge".
    """
    ks = sorted(segmentations)
    parts = []
    for before, k in zip([None, *ks], ks, strict=False):
        sizes = np.bincount(segmentations[k], minlength=k)
        coefficients = again.jaccard[k]
        shares: dict[str, Any] = {
            "dissolved_share": coefficients <= DISSOLVED,
            "recovered_share": coefficients > RECOVERED,
            "kept_share": again.kept[k],
        }
        slsa = [None] * k
        if before is not None:
            slsa = across(overlaps(segmentations[before], segmentations[k], before, k)).tolist()
        parts.append(
            pl.DataFrame(
                {
                    "k": np.full(k, k),
                    "segment": np.arange(1, k + 1),
                    "size": sizes,
                    "share": sizes / sizes.sum(),
                    **jaccard_figures(coefficients, sizes),
                    **{
                        name: np.where(sizes >= LEAST_SEGMENT, np.nanmean(v, axis=0), np.nan)
                        for name, v in shares.items()
                    },
                    "slsa": pl.Series(slsa, dtype=pl.Float64),
                }
            )
        )
    return pl.concat(parts).with_columns(pl.selectors.float().fill_nan(None))


def refit_table(again: Agreement) -> pl.DataFrame:
    """List each segment's Jaccard coefficient in each refit."""
    return pl.concat(
        pl.DataFrame(
            {
                "k": np.full(coefficients.size, k),
                "segment": np.tile(np.arange(1, k + 1), len(coefficients)),
                "refit": np.repeat(np.arange(len(coefficients)), k),
                "jaccard": coefficients.ravel(),
            }
        )
        for k, coefficients in again.jaccard.items()
    )


def curve_table(
    ks: Sequence[int], again: Agreement, halves: Sequence[HalfScores], segments: pl.DataFrame
) -> pl.DataFrame:
    """Describe each solution as a whole: one row per k.

    ``jaccard_least`` is null where a segment is too small to be judged.
    """
    whole = pl.col("jaccard").null_count() == 0
    least = segments.group_by("k", maintain_order=True).agg(
        pl.when(whole).then(pl.col("jaccard").min()).alias("jaccard")
    )["jaccard"]
    rand = {k: np.array([half.rand[k] for half in halves]) for k in ks}
    strength = {k: np.array([half.strength[k] for half in halves]) for k in ks}
    return pl.DataFrame(
        {
            "k": list(ks),
            **mean_columns("rand", {k: again.rand[k] for k in ks}),
            "rand_low": [np.quantile(again.rand[k], 0.1) for k in ks],
            "rand_high": [np.quantile(again.rand[k], 0.9) for k in ks],
            **mean_columns("replication", rand),
            **mean_columns("prediction_strength", strength),
            "jaccard_least": least,
        }
    )


def own_codes(segments: Any, order: Ints, rows: int) -> tuple[list[str], Ints]:
    """Code the given segments for the rows that are used.

    Parameters
    ----------
    segments : array-like of shape (n,)
    order : ndarray of shape (n,)
        Order of the rows, of which the first are used.
    rows : int
        How many are used.

    Returns
    -------
    ids : list of str
        In order.
    codes : ndarray of shape (rows,)
        Index in ``ids`` of the segment of each used row.

    Raises
    ------
    DataError
        If the number of labels differs from the rows, one is missing, fewer than two differ, or a
        segment has no customer among the rows used.

    Examples
    --------
    >>> own_codes(["S2", "S1", "S2"], np.array([2, 1, 0]), 2)
    (['S1', 'S2'], array([1, 0]))
    """
    given = pl.Series(list(segments)).cast(pl.String)
    if len(given) != len(order) or given.null_count():
        raise DataError(
            f"expected the segment of each of {counted(len(order), 'row')}, got {len(given)}, of "
            f"which {given.null_count()} are missing"
        )
    codes, ids = as_codes(given, len(given))
    used = codes[order[:rows]]
    counts = np.bincount(used, minlength=len(ids))
    absent = ", ".join(name for name, count in zip(ids, counts, strict=True) if not count)
    if len(ids) < 2 or absent:
        empty = (
            f"; nobody of {absent} is among the {counted(len(used), 'row')} used" if absent else ""
        )
        raise DataError(f"stability needs two segments or more, got {len(ids)}{empty}")
    return ids, used


@dataclass(frozen=True, slots=True, eq=False)
class Stability(Result):
    """Stability of segmentations and of single segments in refits.

    Attributes
    ----------
    curve : polars.DataFrame
        One row per k: ``k``; ``rand``, ``rand_se``, ``rand_low``, ``rand_high`` (mean, standard
        error, 10% and 90% quantile of the adjusted Rand index over pairs of refits);
        ``replication``, ``replication_se`` (adjusted Rand index of split halves);
        ``prediction_strength``, ``prediction_strength_se``; ``jaccard_least`` (the least stable
        segment's mean Jaccard coefficient; null where a segment has fewer than 10 customers).
    segments : polars.DataFrame
        One row per k and segment: ``k``, ``segment`` (a segment keeps its number when k changes),
        ``size``, ``share``; ``jaccard`` (mean, the clusterwise stability),
        ``jaccard_low``, ``jaccard_high`` (10% and 90%), ``band``, ``dissolved_share`` and
        ``recovered_share`` (refits with a coefficient of at most .5, and above .75),
        ``kept_share`` (customers who stay in the matched segment); ``slsa`` (stability across
        solutions, 0 to 1; null for the smallest k). A segment of fewer than 10 customers
        (`LEAST_SEGMENT`) has no figures over refits, and the band "too few to judge".
    refits : polars.DataFrame
        ``k``, ``segment``, ``refit``, ``jaccard``: stability within solutions (SLSw), one row per
        segment and refit.
    own : polars.DataFrame or None
        The given segments, if any: ``segment`` (their ids), ``number`` (in
        ``segments``, at their k), ``size``, ``share``, ``jaccard``, ``jaccard_low``,
        ``jaccard_high``, ``band``, ``kept_share``, ``slsa``.
    flow : polars.DataFrame
        ``k_from``, ``segment_from``, ``k_to``, ``segment_to``, ``customers``,
        ``share`` (of the later segment, ``segment_to``).
    method : str
        "ward" or "kmeans".
    n, rows : int
        Customers in the input, and customers used.
    n_refits, n_splits, n_starts, seeding_rows, seed : int
        Bootstrap refits, split halves, starts of k-means in every refit (they change the answer),
        customers per segment on which the starts run, seed.
    repeats : str
        Whether a customer drawn several times counts "once" or "weighted".
    notes : tuple of str
        What was left out or sampled.
    """

    curve: pl.DataFrame
    segments: pl.DataFrame
    refits: pl.DataFrame
    own: pl.DataFrame | None
    flow: pl.DataFrame
    method: str
    n: int
    rows: int
    n_refits: int
    n_splits: int
    n_starts: int
    seeding_rows: int
    seed: int
    repeats: str
    notes: tuple[str, ...]

    def to_frame(self) -> pl.DataFrame:
        """Return the segments, one row each for every k."""
        return self.segments

    @property
    def text(self) -> str:
        """Numbers of segments that are reproducible, and the basis of that finding."""
        best = self.curve.sort("rand", descending=True, maintain_order=True).row(0, named=True)
        worst = self.curve.sort("rand", maintain_order=True).row(0, named=True)
        sure = self.curve.filter(pl.col("jaccard_least") > RECOVERED)["k"].to_list()
        solid = (
            f"Every segment is stable (mean Jaccard above {number(RECOVERED)}) at k = "
            f"{', '.join(str(k) for k in sure)}."
            if sure
            else f"At no k is every segment stable (mean Jaccard above {number(RECOVERED)})."
        )
        starts = f", {counted(self.n_starts, 'start')} each" if self.method == "kmeans" else ""
        span = f"{number(best['rand'])} at k = {best['k']}"
        if worst["k"] != best["k"]:
            span += f", {number(worst['rand'])} at k = {worst['k']} (the least stable)"
        notes = "".join(f" {note}." for note in self.notes)
        return self._own_segment_words() + (
            f"Two refits to bootstrap samples of {counted(self.rows, 'customer')} agree with an "
            f"adjusted Rand index of {span} ({counted(self.n_refits, 'refit')}, "
            f"{METHOD_WORDS[self.method]}{starts}). {solid} Stable segments need not be natural "
            f"ones: a line cut in two is stable too.{notes}"
        )

    @property
    def answer(self) -> str:
        """Whether the given segments come out again, and how many of them."""
        if self.own is None:
            return self.headline
        k = self.own.height
        rand = self.curve.filter(pl.col("k") == k)["rand"].item()
        sure = self.own.filter(pl.col("jaccard") > RECOVERED).height
        verdict = "Yes" if sure == k else "No" if sure == 0 else "In part"
        return (
            f"{verdict}: {number(sure)} of {counted(k, 'segment')} came out again when customers "
            f"were drawn anew; adjusted Rand index of two refits {number(rand)}."
        )

    def _own_segment_words(self) -> str:
        """Return a sentence on the stability of the given segments."""
        if self.own is None:
            return ""
        k = self.own.height
        rand = self.curve.filter(pl.col("k") == k)["rand"].item()
        sure = self.own.filter(pl.col("jaccard") > RECOVERED).height
        ordered = self.own.sort("jaccard", descending=True, nulls_last=True, maintain_order=True)
        each = ", ".join(
            f"{row['segment']} {TOO_FEW if row['jaccard'] is None else number(row['jaccard'])}"
            for row in ordered.iter_rows(named=True)
        )
        small = (
            f" A segment of fewer than {LEAST_SEGMENT} customers has no figure: one customer more "
            "or less would move it from one band to another."
            if self.own["jaccard"].null_count()
            else ""
        )
        return (
            f"Of the {counted(k, 'segment')} in force {sure} are stable (mean Jaccard above "
            f"{number(RECOVERED)} over refits: {each}); two refits with {counted(k, 'segment')} "
            f"agree with an adjusted Rand index of {number(rand)}.{small} "
        )

    def of(self, k: int) -> pl.DataFrame:
        """Return the segments of the solution with ``k``.

        Raises
        ------
        ParameterError
            If ``k`` was not examined.
        """
        if k not in self.curve["k"]:
            raise ParameterError(f"k = {k} was not examined; k = {self.curve['k'].to_list()} were")
        return self.segments.filter(pl.col("k") == k)

    def plot(self) -> Figure:
        """Draw the adjusted Rand index and the split-half replication over k."""
        return agreement_over_k(self.curve)

    def plot_segments(self, k: int | None = None) -> Figure:
        """Draw each segment's stability within the solution with ``k`` (SLSw).

        Without ``k`` the given segments are drawn.

        Raises
        ------
        ParameterError
            If ``k`` was not examined, or is left out and no segments were given.
        """
        if k is not None:
            return segment_stability(self.of(k))
        if self.own is None:
            raise ParameterError("give k: assess_stability was called without segments")
        return segment_stability(self.own)

    def plot_flow(self) -> Figure:
        """Draw how customers move between segments from one k to the next (SLSa)."""
        return flow_over_k(self.segments, self.flow)


def assess_stability(
    X: Any,
    *,
    k_range: Iterable[int] = range(2, 9),
    method: Method = "kmeans",
    n_refits: int = 100,
    n_splits: int = 20,
    n_starts: int = 5,
    seed: int = 0,
    max_rows: int | None = None,
    seeding_rows: int = SEEDING_ROWS,
    repeats: Repeats = "once",
    n_jobs: int = 1,
    settle_steps: int = SETTLE_STEPS,
    segments: Any = None,
    choice: KChoice | None = None,
) -> Stability:
    """Measure how well segmentations and segments reproduce in refits to resampled customers.

    One set of bootstrap refits gives the adjusted Rand index over k (Dolnicar and Leisch 2010,
    "Evaluation of structure and reproducibility of cluster solutions using the bootstrap"), the
    clusterwise Jaccard coefficient (Hennig 2007) and segment-level stability within solutions.
    Segment-level stability across solutions compares the solutions for successive k (Dolnicar and
    Leisch 2017).

    Parameters
    ----------
    X : array-like or frame of shape (n, d)
        Customers by features, transformed and scaled.
    k_range : iterable of int
        Numbers of segments, each at least 2.
    method : {"ward", "kmeans"}
        For the adjusted Rand index every customer is assigned to the nearest centre, like a new
        customer.
    n_refits, n_splits : int
        Bootstrap refits (an even number is used in full) and split halves.
    n_starts : int
        k-means++ starts of every refit; the solution that is evaluated is the best of five times
        this number. More starts raise the stability (Jaccard .87 with one start, .98 with five on
        the same data), so the number is reported.
    seed : int
    max_rows : int, optional
        With more customers, a random sample of this size, independent of row order, is used:
        by default 100,000 for k-means and 2,000 for Ward. The stability is then that of a sample of
        this size, which is slightly lower than that of all customers.
    seeding_rows : int
        k-means: starts run on this many customers per segment; one run on all rows follows.
    repeats : {"once", "weighted"}
        Whether a customer drawn several times counts once, as in R's fpc::clusterboot, or as
        often as drawn, which gives somewhat lower figures.
    n_jobs : int
        Threads; the result does not depend on them.
    settle_steps : int
        Maximum number of Lloyd's steps after a cut of Ward's tree, as in `cluster_customers`; with
        0 the Jaccard coefficients compare the groups of the cut tree itself.
    segments : array-like of shape (n,), optional
        The segment of every row in an existing segmentation. It replaces the solution with as many
        segments, its k is added to ``k_range``, and ``own`` lists its segments by their ids.
    choice : KChoice, optional
        Result of `choose_k` for the same rows, method and seed. Its refits are used again, which
        saves time and changes no figure. It is ignored if its refits differ from those needed
        (k-means of more than 2,000 customers, another k_range).

    Returns
    -------
    Stability

    Raises
    ------
    DataError
        If a value is missing or infinite, or distinct rows are too few.
    ParameterError
        If an option is not known or out of range.

    Examples
    --------
    >>> import numpy as np
    >>> rng = np.random.default_rng(0)
    >>> X = np.concatenate([rng.normal(m, 1.0, (40, 2)) for m in (0, 9, 18)])
    >>> stability = assess_stability(X, k_range=[2, 3], n_refits=10, n_splits=2)
    >>> stability.of(3)["band"].to_list()
    ['highly stable', 'highly stable', 'highly stable']
    """
    matrix = as_matrix(X, min_rows=4)
    require_choice("method", method, METHODS)
    require_choice("way to count repeats", repeats, get_args(Repeats))
    limit = MAX_ROWS[method] if max_rows is None else max_rows
    require_least(n_refits=(n_refits, 2), seeding_rows=(seeding_rows, 2), n_splits=(n_splits, 1))
    require_least(n_starts=(n_starts, 1), n_jobs=(n_jobs, 1))
    require_least(max_rows=(limit, 4), settle_steps=(settle_steps, 0))
    order = fair_order(matrix, seed)
    ids, codes = ([], None) if segments is None else own_codes(segments, order, limit)
    wanted = sorted({*k_range, *([len(ids)] if ids else [])})
    used, ks, notes = sample_rows(matrix, order, limit, wanted)
    plan = RefitPlan(tuple(ks), method, n_starts, seeding_rows, repeats, settle_steps)
    with single_thread():
        segmentations = Clustering(method, seed, 5 * n_starts, settle_steps).over_k(used, ks)
        if codes is not None and len(ids) in segmentations:
            segmentations[len(ids)] = codes
        segmentations = numbered(segmentations)
        samples: tuple[Refit, ...] = ()
        halves: tuple[HalfScores, ...] = ()
        if choice is not None and choice.refits and choice.refits.serve(used, plan, seed):
            samples, halves = choice.refits.samples[:n_refits], choice.refits.halves[:n_splits]
        options: Any = {"seed": seed, "n_jobs": n_jobs}
        further = refit_samples(used, plan, range(len(samples), n_refits), **options)
        compared = compare_refits(chain(samples, further), segmentations)
        halves = (*halves, *split_halves(used, plan, range(len(halves), n_splits), **options))
    table, own = segment_table(segmentations, compared), None
    if codes is not None and len(ids) in segmentations:
        firsts = np.unique(codes, return_index=True)[1]
        named = pl.DataFrame({"segment": ids, "number": segmentations[len(ids)][firsts] + 1})
        shown = table.filter(pl.col("k") == len(ids)).rename({"segment": "number"})
        own = named.join(shown, on="number", how="left", maintain_order="left")
        own = own.drop("k", "dissolved_share", "recovered_share")
    return Stability(
        curve=curve_table(ks, compared, halves, table),
        segments=table,
        refits=refit_table(compared),
        own=own,
        flow=flows(segmentations),
        method=method,
        n=len(matrix),
        rows=len(used),
        n_refits=n_refits,
        n_splits=n_splits,
        n_starts=n_starts,
        seeding_rows=seeding_rows,
        seed=seed,
        repeats=repeats,
        notes=tuple(notes),
    )
