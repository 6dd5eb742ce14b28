"""Comparison of clustering methods on the same customers."""

from __future__ import annotations

import importlib
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import polars as pl

from segkit.cluster.agreement import adjusted_rand, aligned, by_size, jaccard, overlaps
from segkit.cluster.gower import gower, learn_space, mean_silhouette
from segkit.cluster.matrix import Floats, Ints, fair_order, feature_rows, fitted_transform
from segkit.cluster.mixed import Way, cluster_mixed
from segkit.cluster.mixture import SHAPES, cluster_mixture
from segkit.cluster.segmentation import EXACT_ROWS, cluster_customers
from segkit.cluster.stability import LEAST_SEGMENT
from segkit.cluster.validity import measure_validity
from segkit.display import number
from segkit.errors import DataError, ParameterError, unknown
from segkit.frames import takes_frames
from segkit.live import steps
from segkit.result import Result
from segkit.transform import Transform

if TYPE_CHECKING:
    from segkit.plot import Figure

    Fit = Callable[[pl.DataFrame], Any]


WORDS = {
    "ward": "Ward",
    "two-step": "two-step Ward",
    "kmeans": "k-means",
    "mixture": "Gaussian mixture",
    "medoids": "Gower k-medoids",
    "prototypes": "k-prototypes",
}


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
        calinski_harabasz, explained_share (of the transformed numeric variables);
        gower_silhouette (on all columns; null without categories); jaccard and jaccard_least (mean
        over segments of at least 10 customers, and of the least stable, of the clusterwise Jaccard
        coefficient over the refits); rand (mean adjusted Rand index of the refits with the
        segmentation); agreement (mean adjusted Rand index with the other methods, over all
        customers); refits; seconds.
    agreement : polars.DataFrame
        One row per pair, both ways and with itself: first, second, adjusted_rand.
    sizes : polars.DataFrame
        method, segment (numbers matched to the first method's segments), customers, share.
    assignments : polars.DataFrame
        customer_id and one column a method: the segment's number.
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

    def to_frame(self) -> pl.DataFrame:
        """Return the methods, one row each."""
        return self.methods

    @property
    def text(self) -> str:
        """Whether the segments depend on the method, and which segmentation reproduces best."""
        n = self.assignments.height
        parts = [
            (
                f"{number(self.methods.height)} methods put {number(n)} customers into "
                f"{number(self.k)} segments: {', '.join(self.methods['name'].to_list())}."
            )
        ]
        pairs = self.agreement.filter(pl.col("first") < pl.col("second")).sort("adjusted_rand")
        if pairs.height:
            low, high = pairs.row(0, named=True), pairs.row(-1, named=True)
            agreement = (
                f"They agree most for {high['first']} and {high['second']} (adjusted Rand index "
                f"{number(high['adjusted_rand'])})"
            )
            if pairs.height > 1:
                agreement += (
                    f", least for {low['first']} and {low['second']} "
                    f"({number(low['adjusted_rand'])})"
                )
            parts.append(f"{agreement}.")
        refitted = self.methods.drop_nulls("jaccard")
        if refitted.height:
            best = refitted.sort("jaccard", descending=True, maintain_order=True).row(0, named=True)
            name = best["name"]
            parts.append(
                f"{name[:1].upper()}{name[1:]} comes out again best over {number(best['refits'])} "
                f"refits to resampled customers (mean Jaccard {number(best['jaccard'])}, its "
                f"least stable segment {number(best['jaccard_least'])})."
            )
        parts += self.notes
        parts.append(
            "Where methods agree, the segments do not hang on the choice of one; silhouette and "
            "sum of squares favour the methods that seek round groups, so they do not decide."
        )
        return " ".join(parts)

    def plot(self) -> Figure:
        """Draw how well each pair of methods agrees."""
        from segkit.plot import heatmap

        return heatmap(
            self.agreement, "second", "first", "adjusted_rand", percent=False,
            title="How far the methods agree", x_label="method", y_label="method",
            value_label="adjusted Rand index (1: the same segments)",
        )  # fmt: skip


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
        "categorical": list(categorical), "ordinal": dict(ordinal or {}),
        "asymmetric": list(asymmetric),
    }  # fmt: skip
    others = [*kinds["categorical"], *kinds["ordinal"], *kinds["asymmetric"]]
    chosen = _check(methods, others, k, refits, rows)
    table = feature_rows(frame, [*features, *others])
    fitted = fitted_transform(table, features, transform)
    X = fitted.apply(table)
    notes = []
    drawn = np.sort(fair_order(X, seed)[:rows])
    sample = table[drawn]
    if sample.height < table.height:
        notes.append(
            f"Methods are fitted to a random {number(sample.height)} customers; the others go to "
            "the segments of these models."
        )
    near = _gower(table, drawn, fitted, kinds) if others else None
    codes: dict[str, Ints] = {}
    measured: list[dict[str, Any]] = []
    failed: DataError | None = None
    importlib.import_module("sklearn.mixture")  # takes seconds once; counts for no method
    for method in chosen:
        fit = _fitter(method, list(fitted.names), fitted, kinds, k, seed)
        start = time.perf_counter()
        try:
            segmentation = fit(sample)
        except DataError as error:
            failed = error
            notes.append(f"{WORDS[method]} is left out: {error}.")
            continue
        seconds = time.perf_counter() - start
        everyone = segmentation.assignments
        if sample.height < table.height:
            everyone = segmentation.model.score(table)
        own = _codes(segmentation, everyone)
        codes[method] = by_size(own) if not codes else aligned(next(iter(codes.values())), own)
        again = _fitter(method, list(fitted.names), fitted, kinds, k, seed, segmentation)
        shares = np.bincount(codes[method]) / table.height
        measured.append(
            {
                "method": method,
                "smallest_share": float(shares.min()),
                "largest_share": float(shares.max()),
                **_quality(X[drawn], codes[method][drawn], near),
                **_refitted(sample, codes[method][drawn], again, refits, seed),
                "seconds": seconds,
            }
        )
    if failed is not None and not codes:
        raise failed
    short = [
        f"{WORDS[r['method']]} {refits - r['refits']}" for r in measured if r["refits"] < refits
    ]
    if short:
        notes.append(f"Refits without a result: {', '.join(short)}.")
    return _comparison(table, codes, measured, k, sample.height, seed, tuple(notes))


def _check(
    methods: Sequence[str], others: Sequence[str], k: int, refits: int, rows: int
) -> list[str]:
    for method in methods:
        if method not in WORDS:
            raise ParameterError(unknown("method", method, WORDS))
        if method in MIXED and not others:
            raise ParameterError(f"{method} needs categorical, ordinal or asymmetric columns")
    if k < 2 or refits < 0 or not 4 <= rows <= EXACT_ROWS:
        raise ParameterError(
            f"expected k >= 2, refits >= 0, rows from 4 to {EXACT_ROWS}; got {k}, {refits}, {rows}"
        )
    return list(dict.fromkeys(methods)) or [*NUMERIC, *(MIXED if others else ())]


def _fitter(
    method: str,
    features: list[str],
    transform: Transform,
    kinds: Mapping[str, Any],
    k: int,
    seed: int,
    earlier: Any = None,
) -> Fit:
    """Return the method as a function of a table; a refit keeps the settings of the first fit."""
    options: dict[str, Any] = {"features": features, "k": k, "transform": transform, "seed": seed}
    if method in MIXED:
        way = cast("Way", method)
        gamma = earlier.model.gamma if earlier is not None else None
        given = {**kinds, "numeric": features, "transform": transform, "k": k, "seed": seed}
        return lambda table: cluster_mixed(table, **given, method=way, gamma=gamma, starts=5)
    if method == "mixture":
        shapes = SHAPES if earlier is None else [earlier.model.shape]
        return lambda table: cluster_mixture(table, **options, shapes=shapes, starts=3)
    if method == "kmeans":
        return lambda table: cluster_customers(table, **options, method="kmeans")
    exact = EXACT_ROWS if method == "ward" else 1
    return lambda table: cluster_customers(table, **options, exact_rows=exact)


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
    return {
        "silhouette": index.silhouette,
        "davies_bouldin": index.davies_bouldin,
        "calinski_harabasz": index.calinski_harabasz,
        "explained_share": index.explained_share,
        "gower_silhouette": None if near is None else mean_silhouette(near, codes),
    }


def _refitted(
    sample: pl.DataFrame, codes: Ints, fit: Fit, refits: int, seed: int
) -> dict[str, Any]:
    """Refit to bootstrap samples; the same samples for every method."""
    n, k = len(codes), int(codes.max()) + 1
    jaccards, rands = [], []
    drawings = np.random.SeedSequence([seed, 7]).spawn(refits)
    for one in steps(drawings, "refits to resampled customers"):
        rng = np.random.default_rng(one)
        drawn = np.unique(rng.integers(n, size=n))
        try:
            refit = fit(sample[drawn])
        except DataError:
            continue
        again = _codes(refit, refit.assignments)
        cells = overlaps(codes[drawn], again, k, int(again.max()) + 1)
        jaccards.append(jaccard(cells))
        rands.append(adjusted_rand(cells))
    if not jaccards:
        return {"jaccard": None, "jaccard_least": None, "rand": None, "refits": 0}
    # A small segment may be absent from a resample; one below the minimum size is not evaluated.
    table = np.array(jaccards)
    judged = ~np.isnan(table).all(axis=0) & (np.bincount(codes, minlength=k) >= LEAST_SEGMENT)
    means = np.nanmean(table[:, judged], axis=0)
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
    sizes = pl.concat(
        pl.DataFrame({"segment": codes[name] + 1})
        .group_by("segment")
        .len("customers")
        .sort("segment")
        .select(pl.lit(name).alias("method"), "segment", pl.col("customers").cast(pl.Int64))
        for name in names
    ).with_columns(share=pl.col("customers") / table.height)
    shared = [
        float(np.mean([index[a, b] for b in names if b != a])) if len(names) > 1 else None
        for a in names
    ]
    methods = pl.DataFrame(
        [
            {**row, "agreement": other, "name": WORDS[row["method"]]}
            for row, other in zip(measured, shared, strict=True)
        ],
        schema_overrides=dict.fromkeys(
            ["gower_silhouette", "jaccard", "jaccard_least", "rand", "agreement"], pl.Float64
        ),
    )
    order = ["method", "name", *(c for c in methods.columns if c not in ("method", "name"))]
    numbered = [pl.Series(name, values + 1) for name, values in codes.items()]
    return MethodComparison(
        methods.select(*(c for c in order if c != "seconds"), "seconds"),
        agreement,
        sizes,
        table.select("customer_id").hstack(numbered),
        k,
        rows,
        seed,
        notes,
    )
