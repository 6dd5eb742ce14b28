"""Comparison of clustering methods on the same customers."""

from __future__ import annotations

import importlib
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import combinations
from typing import Any

import numpy as np
import polars as pl

from segkit.cluster.agreement import adjusted_rand, aligned, by_size, jaccard, overlaps
from segkit.cluster.fit import EXACT_ROWS, cluster_customers
from segkit.cluster.gower import gower, learn_space, mean_silhouette
from segkit.cluster.matrix import Floats, Ints, fair_order, feature_rows, fitted_transform
from segkit.cluster.mixed_types import cluster_mixed
from segkit.cluster.mixture import SHAPES, cluster_mixture
from segkit.cluster.refits import resampled_rows
from segkit.cluster.segments import Segmentation
from segkit.cluster.stability import jaccard_figures
from segkit.cluster.validity import measure_validity
from segkit.display import counted, number, percent
from segkit.errors import DataError, ParameterError, require_choice, require_least
from segkit.frames import takes_frames
from segkit.plot import Figure, heatmap
from segkit.result import Result
from segkit.transform import Transform

Fit = Callable[[pl.DataFrame], Segmentation]
WORDS = {
    "ward": "Ward",
    "two-step": "two-step Ward",
    "kmeans": "k-means",
    "mixture": "Gaussian mixture",
    "medoids": "Gower k-medoids",
    "prototypes": "k-prototypes",
}
# Both Ward methods are settled by steps of k-means: that these agree is no independent evidence.
RELATED = ("ward", "two-step", "kmeans")
MOST_GAP = 0.01  # of settled Ward's sum of squares above that of k-means from many starts
NUMERIC = ("ward", "two-step", "kmeans", "mixture")
MIXED = ("medoids", "prototypes")
ROWS = 2_000


@dataclass(frozen=True, slots=True, eq=False)
class MethodComparison(Result):
    """Segmentations of the same customers by several methods, with the same number of segments.

    Attributes
    ----------
    methods : polars.DataFrame
        One row per method: method; name; smallest_share and largest_share of the segments over all
        customers; and, on the sample that all methods were fitted to, silhouette, davies_bouldin,
        calinski_harabasz, explained_share, within_ss (sum of squares within segments; all of the
        transformed numeric variables); gower_silhouette (on all columns; null without categories);
        jaccard (clusterwise Jaccard coefficient: the mean over the refits, then over the segments
        of at least 10 customers); jaccard_least (the same mean over the refits for the least
        stable of these segments); rand (mean adjusted Rand index of the refits with the
        segmentation); agreement (mean adjusted Rand index with the other methods, over all
        customers); refits; seconds.
    agreement : polars.DataFrame
        One row per pair, both ways and with itself: first, second, adjusted_rand.
    sizes : polars.DataFrame
        method, segment (numbers matched to the first method's segments), customers, share.
    assignments : polars.DataFrame
        customer_id and one column per method: the segment's number.
    k : int
    rows : int
        Customers that the methods were fitted to, the same for all.
    seed : int
    notes : tuple of str
        What was left out or sampled.
    """

    methods: pl.DataFrame
    agreement: pl.DataFrame
    sizes: pl.DataFrame
    assignments: pl.DataFrame
    k: int
    rows: int
    seed: int
    notes: tuple[str, ...]

    @property
    def text(self) -> str:
        """Whether the segments depend on the method, and which segmentation reproduces best."""
        n, names = self.assignments.height, ", ".join(self.methods["name"])
        count, k = self.methods.height, self.k
        parts = [
            (
                f"{counted(count, 'method puts', 'methods put')} {counted(n, 'customer')} into "
                f"{counted(k, 'segment')}: {names}."
            )
        ]
        related = [WORDS[method] for method in RELATED]
        same = pl.col("first").is_in(related) & pl.col("second").is_in(related)
        pairs = self.agreement.filter((pl.col("first") < pl.col("second")) & ~same)
        pairs = pairs.sort("adjusted_rand")
        words = [
            f"{row['first']} and {row['second']} ({number(row['adjusted_rand'])})"
            for row in pairs.iter_rows(named=True)
        ]
        if words:
            least = f", least for {words[0]}" if len(words) > 1 else ""
            parts.append(f"By the adjusted Rand index they agree most for {words[-1]}{least}.")
        refitted = self.methods.drop_nulls("jaccard")
        if refitted.height:
            best = refitted.sort("jaccard", descending=True, maintain_order=True).row(0, named=True)
            name = best["name"]
            parts.append(
                f"{name[:1].upper()}{name[1:]} comes out again best over {number(best['refits'])} "
                f"refits to resampled customers (mean Jaccard {number(best['jaccard'])}, its "
                f"least stable segment {number(best['jaccard_least'])})."
            )
        parts += [*self._sums(), *self.notes]
        parts.append(
            "Where methods agree, the segments do not hang on the choice of one; silhouette and "
            "sum of squares favour the methods that seek round groups, so they do not decide."
        )
        return " ".join(parts)

    def _sums(self) -> list[str]:
        """Compare the sums of squares of settled Ward and of k-means from many starts."""
        if "within_ss" not in self.methods.columns:  # stored by an earlier version
            return []
        sums = dict(self.methods.select("method", "within_ss").iter_rows())
        if not {"ward", "kmeans"} <= sums.keys() or not sums["kmeans"]:
            return []
        gap = sums["ward"] / sums["kmeans"] - 1
        direction = "above" if gap >= 0 else "below"
        usual = "up to 1% above is usual"
        if gap > MOST_GAP:
            usual = "more than the 1% that is usual: k-means found tighter segments"
        within = (
            f"The sum of squares within segments is {number(sums['ward'])} for settled Ward and "
            f"{number(sums['kmeans'])} for k-means from many starts ({percent(abs(gap))} "
            f"{direction}; {usual})."
        )
        related = (
            "Ward's cut is settled by steps of k-means: that the two agree is no independent "
            "evidence."
        )
        return [within, related]

    def plot(self) -> Figure:
        """Draw how well each pair of methods agrees."""
        return heatmap(
            self.agreement,
            "second",
            "first",
            "adjusted_rand",
            percent=False,
            title="How far the methods agree",
            x_label="method",
            y_label="method",
            value_label="adjusted Rand index (1: the same segments)",
        )


@takes_frames
def compare_methods(
    frame: Any,
    *,
    features: Sequence[str],
    k: int,
    categorical: Sequence[str] = (),
    ordinal: Mapping[str, Sequence[Any]] | None = None,
    asymmetric: Sequence[str] = (),
    methods: Sequence[str] = (),
    transform: Transform | None = None,
    refits: int = 20,
    rows: int = ROWS,
    seed: int = 0,
) -> MethodComparison:
    """Cluster the same customers by several methods and compare the segmentations.

    If there are more than ``rows`` customers, a random sample of that size is drawn, the same for
    every method: each is fitted to it, evaluated on it and refitted to resamples of it. All other
    customers are assigned to a segment by the method's model.

    Parameters
    ----------
    frame : polars or pandas DataFrame
        One row per customer: ``customer_id`` and the columns.
    features : sequence of str
        Numeric columns; every method uses them, in the same transform (the methods for mixed
        columns also divide them by their range, or standardise them).
    k : int
        Number of segments, the same for all.
    categorical, ordinal, asymmetric
        As for `segkit.cluster.cluster_mixed`; with any of them k-medoids and k-prototypes join.
    methods : sequence of str, optional
        Of "ward", "two-step", "kmeans", "mixture", "medoids", "prototypes"; by default all that
        the columns allow.
    transform : Transform, optional
        Proposed and fitted here by default.
    refits : int
        Bootstrap refits of each method; a customer drawn twice counts once (Hennig 2007). 0: none.
    rows : int
        Size of the sample; at most 20,000, up to which Ward's method is exact.
    seed : int

    Returns
    -------
    MethodComparison

    Raises
    ------
    ColumnError, DataError
        As the methods raise them.
    ParameterError
        If a method is unknown or needs columns that were not given, or an option is out of range.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> x = np.concatenate([rng.normal(0, 1, 60), rng.normal(9, 1, 40)])
    >>> table = pl.DataFrame({"customer_id": [f"{i:03}" for i in range(100)], "visits": x})
    >>> comparison = compare_methods(table, features=["visits"], k=2, refits=2)
    >>> comparison.agreement["adjusted_rand"].min()
    1.0
    """
    kinds = {
        "categorical": list(categorical),
        "ordinal": dict(ordinal or {}),
        "asymmetric": list(asymmetric),
    }
    others = [column for columns in kinds.values() for column in columns]
    chosen = _check(methods, others, k, refits, rows)
    table = feature_rows(frame, [*features, *others])
    fitted = fitted_transform(table, features, transform)
    X = fitted.apply(table)
    notes = []
    drawn = np.sort(fair_order(X, seed)[:rows])
    sample = table[drawn]
    if sample.height < table.height:
        notes.append(
            f"Methods are fitted to a random {counted(sample.height, 'customer')}; the others go "
            "to the segments of these models."
        )
    settings: dict[str, Any] = {"transform": fitted, "kinds": kinds, "k": k, "seed": seed}
    near = _gower(table, drawn, fitted, kinds) if others else None
    codes: dict[str, Ints] = {}
    measured: list[dict[str, Any]] = []
    failed: DataError | None = None
    importlib.import_module("sklearn.mixture")  # takes seconds once; counts for no method
    for method in chosen:
        start = time.perf_counter()
        try:
            segmentation = _fit(sample, method, **settings)
        except DataError as error:
            failed = error
            notes.append(f"{WORDS[method]} is left out: {error}.")
            continue
        seconds = time.perf_counter() - start
        whole = sample.height == table.height
        everyone = segmentation.assignments if whole else segmentation.model.score(table)
        own = _codes(segmentation, everyone)
        codes[method] = by_size(own) if not codes else aligned(next(iter(codes.values())), own)
        fit = partial(_fit, method=method, **settings, earlier=segmentation)
        shares = np.bincount(codes[method]) / table.height
        measured.append(
            {
                "method": method,
                "name": WORDS[method],
                "smallest_share": float(shares.min()),
                "largest_share": float(shares.max()),
                **_quality(X[drawn], codes[method][drawn], near),
                **_refitted(sample, codes[method][drawn], fit, refits, seed),
                "agreement": None,
                "seconds": seconds,
            }
        )
    if failed is not None and not codes:
        raise failed
    failures = {row["name"]: refits - row["refits"] for row in measured}
    short = [f"{name} {count}" for name, count in failures.items() if count]
    if short:
        notes.append(f"Refits without a result: {', '.join(short)}.")
    return _comparison(table, codes, measured, k, sample.height, seed, tuple(notes))


def _check(
    methods: Sequence[str], others: Sequence[str], k: int, refits: int, rows: int
) -> list[str]:
    for method in methods:
        require_choice("method", method, WORDS)
        if method in MIXED and not others:
            raise ParameterError(f"{method} needs categorical, ordinal or asymmetric columns")
    require_least(k=(k, 2), refits=(refits, 0))
    if not 4 <= rows <= EXACT_ROWS:
        raise ParameterError(f"expected rows from 4 to {EXACT_ROWS}; got {rows}")
    return list(dict.fromkeys(methods)) or [*NUMERIC, *(MIXED if others else ())]


def _fit(
    table: pl.DataFrame,
    method: str,
    transform: Transform,
    kinds: Mapping[str, Any],
    k: int,
    seed: int,
    earlier: Segmentation | None = None,
) -> Segmentation:
    """Cluster a table by a method; a refit keeps the settings of the earlier fit."""
    options: dict[str, Any] = {"k": k, "transform": transform, "seed": seed}
    names = list(transform.names)
    if method in MIXED:
        gamma = earlier.model.gamma if earlier is not None else None
        options |= {**kinds, "method": method, "gamma": gamma, "starts": 5}
        return cluster_mixed(table, numeric=names, **options)
    if method == "mixture":
        shapes = SHAPES if earlier is None else [earlier.model.shape]
        return cluster_mixture(table, features=names, **options, shapes=shapes, starts=3)
    if method == "kmeans":
        return cluster_customers(table, features=names, **options, method="kmeans")
    exact = EXACT_ROWS if method == "ward" else 1
    return cluster_customers(table, features=names, **options, exact_rows=exact)


def _codes(segmentation: Any, assignments: pl.DataFrame) -> Ints:
    """Return the place of each customer's segment among the segments."""
    place = {name: i for i, name in enumerate(segmentation.segments["segment"].to_list())}
    return np.asarray(
        assignments["segment"].replace_strict(place, return_dtype=pl.Int64).to_numpy()
    )


def _gower(
    table: pl.DataFrame, drawn: Ints, transform: Transform, kinds: Mapping[str, Any]
) -> Floats:
    space = learn_space(table, numeric=transform.names, transform=transform, **kinds)
    encoded = space.encode(table[drawn])
    return gower(encoded, encoded)


def _quality(X: Floats, codes: Ints, near: Floats | None) -> dict[str, float | None]:
    index = measure_validity(X, codes, rows=len(X))
    names = ("silhouette", "davies_bouldin", "calinski_harabasz", "explained_share")
    gower_silhouette = None if near is None else mean_silhouette(near, codes)
    total = float(np.square(X - X.mean(axis=0)).sum())
    return {
        **{name: getattr(index, name) for name in names},
        "within_ss": (1 - index.explained_share) * total,
        "gower_silhouette": gower_silhouette,
    }


def _refitted(
    sample: pl.DataFrame, codes: Ints, fit: Fit, refits: int, seed: int
) -> dict[str, Any]:
    """Refit to bootstrap samples; the same samples for every method."""
    n, k = len(codes), int(codes.max()) + 1
    jaccards, rands = [], []
    for drawn in resampled_rows(n, refits, [seed, 7]):
        try:
            refit = fit(sample[drawn])
        except DataError:
            continue
        refit_codes = _codes(refit, refit.assignments)
        cells = overlaps(codes[drawn], refit_codes, k, int(refit_codes.max()) + 1)
        jaccards.append(jaccard(cells))
        rands.append(adjusted_rand(cells))
    if not jaccards:
        return {"jaccard": None, "jaccard_least": None, "rand": None, "refits": 0}
    figures = jaccard_figures(np.array(jaccards), np.bincount(codes, minlength=k))["jaccard"]
    means = figures[~np.isnan(figures)]
    return {
        "jaccard": float(means.mean()) if means.size else None,
        "jaccard_least": float(means.min()) if means.size else None,
        "rand": float(np.mean(rands)),
        "refits": len(jaccards),
    }


def _comparison(
    table: pl.DataFrame,
    codes: Mapping[str, Ints],
    measured: list[dict[str, Any]],
    k: int,
    rows: int,
    seed: int,
    notes: tuple[str, ...],
) -> MethodComparison:
    names = list(codes)
    index = {(a, a): 1.0 for a in names}
    for a, b in combinations(names, 2):
        cells = overlaps(codes[a], codes[b], int(codes[a].max()) + 1, int(codes[b].max()) + 1)
        index[a, b] = index[b, a] = adjusted_rand(cells)
    agreement = pl.DataFrame(
        [(WORDS[a], WORDS[b], index[a, b]) for a in names for b in names],
        schema=["first", "second", "adjusted_rand"],
        orient="row",
    )
    if len(names) > 1:
        for row in measured:
            own = row["method"]
            row["agreement"] = float(np.mean([index[own, b] for b in names if b != own]))
    floats = ("gower_silhouette", "jaccard", "jaccard_least", "rand", "agreement")
    assignments = table.select("customer_id").with_columns(
        pl.Series(name, values + 1) for name, values in codes.items()
    )
    sizes = (
        assignments.unpivot(names, variable_name="method", value_name="segment")
        .group_by("method", "segment", maintain_order=True)
        .agg(customers=pl.len().cast(pl.Int64))
        .sort(pl.col("method").replace_strict(names, range(len(names))), "segment")
        .with_columns(share=pl.col("customers") / table.height)
    )
    return MethodComparison(
        methods=pl.DataFrame(measured, schema_overrides=dict.fromkeys(floats, pl.Float64)),
        agreement=agreement,
        sizes=sizes,
        assignments=assignments,
        k=k,
        rows=rows,
        seed=seed,
        notes=notes,
    )
