"""Customers into segments: the one call that an analyst makes."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import polars as pl

from segkit.cluster.assign import centres_of, nearest_centre, order_groups, within_ss
from segkit.cluster.kmeans import fit_kmeans
from segkit.cluster.matrix import distinct_rows, fair_order
from segkit.cluster.model import ALIKE, Segment, SegmentModel
from segkit.cluster.naming import name_segments
from segkit.cluster.tree import cut_tree
from segkit.cluster.twostep import two_step
from segkit.cluster.ward import ward_linkage
from segkit.display import number, percent
from segkit.errors import DataError, ParameterError, require_columns, unknown
from segkit.result import Result
from segkit.transform import Transform

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from segkit.cluster.choose import KChoice
    from segkit.plot import Figure

    Floats = NDArray[np.float64]
    Ints = NDArray[np.int64]

METHODS = ("ward", "kmeans")
EXACT_ROWS = 20_000
CHOICE_ROWS = 5_000
MAP_POINTS = 2_000
SHOWN_LEAVES = 40


@dataclass(frozen=True, slots=True, eq=False)
class Segmentation(Result):
    """Which segment every customer is in, and what the segments rest on.

    Attributes
    ----------
    assignments : polars.DataFrame
        One row a customer, by customer_id: customer_id, segment ("S1", …), segment_name.
    model : SegmentModel
        Assigns new customers; agrees with ``assignments`` on these ones.
    segments : polars.DataFrame
        One row a segment: segment, segment_name, customers, customer_share, and the centre in
        original units (see ``model.transform.to_frame()`` for the kind of mean).
    method : str
        "ward" or "kmeans".
    route : str
        "exact" (Ward on every customer), "two-step" (Ward on micro-clusters) or "restarts".
    k : int
    choice : KChoice or None
        The table behind k; None if k was given.
    linkage : array (m - 1, 4) or None
        Ward's tree in scipy's format: over customers by customer_id (exact) or over
        micro-clusters (two-step).
    leaf_groups : array (m,) or None
        For each leaf of the tree the place of its literal cut's segment in ``segments``.
    tree_agreement : float or None
        Share of customers (exact) whose segment is that of the literal cut of the tree.
    within_ss, total_ss : float
        Sums of squares of the transformed matrix, within segments and in all.
    map_points : polars.DataFrame
        Up to 2,000 customers on the first two principal components: pc1, pc2, segment.
    map_shares : tuple of two floats
        Shares of the variance that the two components hold.
    notes : tuple of str
        What the fit did that a reader should know.
    """

    assignments: pl.DataFrame
    model: SegmentModel
    segments: pl.DataFrame
    method: str
    route: str
    k: int
    choice: KChoice | None
    linkage: Any
    leaf_groups: Any
    tree_agreement: float | None
    within_ss: float
    total_ss: float
    map_points: pl.DataFrame
    map_shares: tuple[float, float]
    notes: tuple[str, ...]

    def to_frame(self) -> pl.DataFrame:
        """Return the table of segments."""
        return self.segments

    @property
    def text(self) -> str:
        """Who the segments are, how they were found, and how far to trust them."""
        rows = self.segments.sort("customers", descending=True).to_dicts()
        each = "; ".join(
            f"{r['segment']} {r['segment_name']} ({percent(r['customer_share'])})" for r in rows
        )
        between = 1 - self.within_ss / self.total_ss
        parts = [
            f"{number(self.assignments.height)} customers in {number(self.k)} segments: {each}.",
            f"Found by {_method_words(self.method, self.route)}; {percent(between)} of the "
            "variation lies between segments.",
            *self.notes,
            "Any method divides customers, whether or not they fall into groups: stability over "
            "resamples and a comparison with group-free data say how real the borders are.",
        ]
        return " ".join(parts)

    def rename(self, names: Mapping[str, str]) -> Self:
        """Return a copy in which some segments bear other names.

        Raises
        ------
        ModelError
            If an id is unknown or a name would be borne twice.
        """
        model = self.model.rename(names)
        words = pl.col("segment").replace_strict(model.names, return_dtype=pl.String)
        return replace(
            self,
            model=model,
            assignments=self.assignments.with_columns(segment_name=words),
            segments=self.segments.with_columns(segment_name=words),
        )

    def plot(self) -> Figure:
        """Draw customers on the first two principal components, coloured by segment."""
        from segkit.plot import points

        first, second = self.map_shares
        n, shown = self.assignments.height, self.map_points.height
        sample = f", a random {number(shown)} of {number(n)} customers" if shown < n else ""
        return points(
            self.map_points,
            "pc1",
            "pc2",
            group="segment",
            sample=None,
            title=f"Segment map{sample}",
            x_label=f"first component ({percent(first)} of the variation)",
            y_label=f"second component ({percent(second)} of the variation)",
        )

    def dendrogram(self, leaves: int = SHOWN_LEAVES) -> Figure:
        """Draw the top of Ward's tree, coloured by segment.

        Raises
        ------
        ParameterError
            If the method grew no tree.
        """
        if self.linkage is None:
            raise ParameterError("k-means grows no tree; use method='ward' for a dendrogram")
        from segkit.plot.dendrogram import dendrogram

        names = [f"{row['segment']} {row['segment_name']}" for row in self.segments.to_dicts()]
        unit = "customers" if self.route == "exact" else "micro-clusters"
        return dendrogram(self.linkage, self.leaf_groups, names, leaves=leaves, unit=unit)


@dataclass(frozen=True, slots=True)
class _Found:
    """A partition before its segments get ids: groups by falling size."""

    centres: Floats
    route: str
    linkage: Floats | None
    leaf_groups: Ints | None
    note: str


def cluster_customers(
    frame: Any,
    *,
    features: Sequence[str],
    k: int | None = None,
    method: str = "ward",
    transform: Transform | None = None,
    seed: int = 0,
    reference: SegmentModel | None = None,
    k_range: Sequence[int] = range(2, 11),
    exact_rows: int = EXACT_ROWS,
    words: Mapping[str, tuple[str, str]] | None = None,
    definitions: Mapping[str, str] | None = None,
    as_of: date | None = None,
) -> Segmentation:
    """Divide customers into segments of similar behaviour.

    Features are transformed (`Transform.propose` unless given), Ward's tree is grown on every
    customer (up to ``exact_rows``, beyond that on micro-clusters) and cut into k, and everyone
    goes to the segment with the nearest centre of the cut, so that the model scores old and new
    customers by one rule. That is one Lloyd step beyond the tree; ``tree_agreement`` says how
    many customers the literal cut would place alike. With k-means the two are the same.

    Segments are numbered by falling size; given a ``reference`` model, each segment that shares
    customers with one of its segments, matched one to one for the largest total overlap, keeps
    that one's id and name.

    Parameters
    ----------
    frame : polars or pandas DataFrame
        One row a customer: ``customer_id`` and numeric columns.
    features : sequence of str
        Columns to cluster on.
    k : int, optional
        Number of segments; by default chosen by `choose_k` from ``k_range``.
    method : {"ward", "kmeans"}
    transform : Transform, optional
        Its columns must be the features. Fitted here unless it is fitted already.
    seed : int
        For sampling and starts; exact Ward uses none.
    reference : SegmentModel, optional
        An earlier model to keep ids and names from.
    k_range : sequence of int
        Numbers of segments to compare.
    exact_rows : int
        Customers up to which Ward is exact.
    words : mapping, optional
        Further words for names, as in `segkit.cluster.naming.WORDS`.
    definitions : mapping, optional
        Feature definitions to keep in the model.
    as_of : date, optional
        Day up to which the features look, kept in the model.

    Raises
    ------
    ColumnError
        If ``customer_id`` or a feature is absent, or a feature is not numeric.
    DataError
        If there are fewer than two different customers, fewer different ones than k, a customer
        twice or without an id, or a value that the transform cannot take.
    ParameterError
        If the method is unknown, k is below 2, or features and transform differ.

    Examples
    --------
    >>> table = pl.DataFrame({
    ...     "customer_id": ["a", "b", "c", "d", "e"],
    ...     "frequency": [1.0, 2.0, 1.0, 30.0, 31.0],
    ... })
    >>> found = cluster_customers(table, features=["frequency"], k=2)
    >>> found.assignments["segment"].to_list()
    ['S1', 'S1', 'S1', 'S2', 'S2']
    >>> found.model.names
    {'S1': 'Infrequent customers', 'S2': 'Frequent customers'}
    """
    if method not in METHODS:
        raise ParameterError(unknown("method", method, METHODS))
    table = _table(frame, features)
    fitted = _fitted(table, features, transform)
    X = fitted.apply(table)
    distinct = distinct_rows(X, max(k or 2, 2))
    if k is not None and k < 2:
        raise ParameterError(f"k must be at least 2 (or None to choose it); got {k}")
    if distinct < (k or 2):
        raise DataError(
            f"{number(k or 2)} segments need as many different customers; among "
            f"{number(table.height)} there are {number(distinct)} with different features"
        )
    choice = None
    linkage = ward_linkage(X) if method == "ward" and table.height <= exact_rows else None
    if k is None:
        choice = _choose(X, k_range, method, linkage, seed)
        k = choice.k
    found = _partition(X, k, method, linkage, seed)
    return _assemble(
        table, X, fitted, found, method, choice, seed, reference, words or {},
        dict(definitions or {}), as_of,
    )  # fmt: skip


def _table(frame: Any, features: Sequence[str]) -> pl.DataFrame:
    """Return the needed columns as polars, ordered by customer."""
    if not isinstance(frame, pl.DataFrame):
        if hasattr(frame, "collect"):
            frame = frame.collect()
        else:
            frame = pl.DataFrame({str(name): frame[name].to_numpy() for name in frame.columns})
    if not features:
        raise ParameterError("no features were named; name at least one numeric column")
    if len(set(features)) < len(features):
        raise ParameterError(f"a feature is named twice: {', '.join(features)}")
    require_columns(frame.columns, ["customer_id", *features], "the customer table")
    ids = frame.get_column("customer_id")
    if ids.null_count() or ids.n_unique() < frame.height:
        raise DataError(
            f"customer_id must be there and differ on every row; {ids.null_count()} are missing, "
            f"{frame.height - ids.n_unique()} are repeats"
        )
    if frame.height < 2:
        raise DataError(f"segments need at least two customers; the table has {frame.height}")
    table = frame.select(pl.col("customer_id").cast(pl.String), *features)
    return table.sort("customer_id")


def _fitted(table: pl.DataFrame, features: Sequence[str], given: Transform | None) -> Transform:
    if given is None:
        return Transform.propose(table, features).fit(table)
    known = {*given.names, *(name for name, _ in given.dropped)}
    if known != set(features):
        raise ParameterError(
            f"the transform's columns ({', '.join(sorted(known))}) are not the features "
            f"({', '.join(sorted(features))})"
        )
    return given if given.rows is not None else given.fit(table)


def _choose(
    X: Floats, k_range: Sequence[int], method: str, linkage: Floats | None, seed: int
) -> KChoice:
    from segkit.cluster.choose import choose_k

    if linkage is not None and X.shape[0] <= CHOICE_ROWS:
        return choose_k(X, k_range=k_range, method=method, linkage=linkage, seed=seed)
    return choose_k(X, k_range=k_range, method=method, seed=seed)


def _partition(X: Floats, k: int, method: str, linkage: Floats | None, seed: int) -> _Found:
    """Return centres of k groups and the tree behind them."""
    if method == "kmeans":
        fit = fit_kmeans(X, k, seed=seed)
        rows = "all customers" if fit.sample == X.shape[0] else f"{number(fit.sample)} of them"
        note = f"K-means kept the best of {number(fit.starts)} starts on {rows}."
        return _Found(fit.centres, "restarts", None, None, note)
    if linkage is not None:
        groups = order_groups(X, cut_tree(linkage, k))
        return _Found(centres_of(X, groups), "exact", linkage, groups, "")
    tree = two_step(X, seed=seed)
    note = (
        f"Ward's tree joins {number(len(tree.counts))} micro-clusters made from a random sample "
        f"of {number(tree.sample)} customers."
    )
    return _Found(tree.group_centres(k), "two-step", tree.linkage, tree.groups(k), note)


def _assemble(
    table: pl.DataFrame,
    X: Floats,
    transform: Transform,
    found: _Found,
    method: str,
    choice: KChoice | None,
    seed: int,
    reference: SegmentModel | None,
    words: Mapping[str, tuple[str, str]],
    definitions: dict[str, str],
    as_of: date | None,
) -> Segmentation:
    groups = nearest_centre(X, found.centres)
    counts = np.bincount(groups, minlength=found.centres.shape[0])
    if not counts.all():
        raise DataError(
            "a segment lost all its customers to nearer centres; ask for fewer segments"
        )
    spread = X.std(axis=0)
    differences = (centres_of(X, groups) - X.mean(axis=0)) / np.where(spread > 0, spread, 1.0)
    names = name_segments(differences, transform.names, words)
    ids = [f"S{place + 1}" for place in np.argsort(np.argsort(-counts, kind="stable"))]
    if reference is not None:
        ids, names = _aligned(table, groups, counts, names, reference)
    reach = _reaches(X, found.centres, groups)
    original = transform.invert(found.centres).to_dicts()
    order = sorted(range(len(ids)), key=lambda g: (len(ids[g]), ids[g]))
    segments = tuple(
        Segment(ids[g], names[g], int(counts[g]), original[g], tuple(found.centres[g].tolist()),
                reach[g])
        for g in order
    )  # fmt: skip
    from segkit import __version__

    model = SegmentModel(
        transform, segments, definitions, method, found.route, as_of, table.height,
        _data_hash(table), seed, __version__,
    )  # fmt: skip
    place = np.argsort(np.array(order))
    agreement = None
    if found.route == "exact" and found.leaf_groups is not None:
        agreement = float(np.mean(found.leaf_groups == groups))
    points, shares = _map(X, [ids[g] for g in groups.tolist()], seed)
    return Segmentation(
        assignments=pl.DataFrame(
            {
                "customer_id": table.get_column("customer_id"),
                "segment": pl.Series([ids[g] for g in groups.tolist()], dtype=pl.String),
                "segment_name": pl.Series([names[g] for g in groups.tolist()], dtype=pl.String),
            }
        ),
        model=model,
        segments=model.to_frame().drop("reach"),
        method=method,
        route=found.route,
        k=len(ids),
        choice=choice,
        linkage=found.linkage,
        leaf_groups=None if found.leaf_groups is None else place[found.leaf_groups],
        tree_agreement=agreement,
        within_ss=within_ss(X, groups),
        total_ss=float(np.square(X - X.mean(axis=0)).sum()),
        map_points=points,
        map_shares=shares,
        notes=_notes(found, transform, choice, agreement),
    )


def _aligned(
    table: pl.DataFrame,
    groups: Ints,
    counts: Ints,
    names: list[str],
    reference: SegmentModel,
) -> tuple[list[str], list[str]]:
    """Match segments to the reference's by the customers they share, one to one."""
    from scipy.optimize import linear_sum_assignment

    old = reference.score(table).get_column("segment").to_list()
    place = {name: i for i, name in enumerate(reference.ids)}
    shared = np.zeros((counts.shape[0], len(place)))
    np.add.at(shared, (groups, np.array([place[name] for name in old])), 1)
    ids, named = [""] * counts.shape[0], list(names)
    for group, match in zip(*linear_sum_assignment(-shared), strict=True):
        if shared[group, match] > 0:
            ids[group] = reference.ids[match]
            named[group] = reference.segments[match].name
    numbers = [int(name[1:]) for name in reference.ids if name[1:].isdigit()]
    fresh = max(numbers, default=0)
    for group in np.argsort(-counts, kind="stable").tolist():
        if not ids[group]:
            fresh += 1
            ids[group] = f"S{fresh}"
            if named.count(named[group]) > 1:
                named[group] = f"{named[group]} ({ids[group]})"
    return ids, named


def _reaches(X: Floats, centres: Floats, groups: Ints) -> list[float]:
    distance = np.sqrt(np.square(X - centres[groups]).sum(axis=1))
    return [float(np.quantile(distance[groups == g], ALIKE)) for g in range(centres.shape[0])]


def _map(X: Floats, segments: list[str], seed: int) -> tuple[pl.DataFrame, tuple[float, float]]:
    """Project a fair sample on two principal components, signs fixed by the largest loading."""
    middle = X.mean(axis=0)
    values, vectors = np.linalg.eigh(np.atleast_2d(np.cov(X - middle, rowvar=False)))
    axes = vectors[:, ::-1][:, :2]
    axes = axes * np.sign(axes[np.abs(axes).argmax(axis=0), np.arange(axes.shape[1])])
    rows = np.sort(fair_order(X, seed)[:MAP_POINTS])
    at = (X[rows] - middle) @ axes
    if at.shape[1] == 1:
        at = np.column_stack([at, np.zeros(rows.shape[0])])
    total = float(values.sum())
    shares = [float(v) / total for v in values[::-1][:2]] + [0.0]
    frame = pl.DataFrame(
        {"pc1": at[:, 0], "pc2": at[:, 1], "segment": [segments[i] for i in rows.tolist()]}
    )
    return frame, (shares[0], shares[1])


def _data_hash(table: pl.DataFrame) -> str:
    """Hash ids and features; the table is already in the order of the ids."""
    digest = hashlib.sha256(",".join(table.columns).encode())
    digest.update("\n".join(table.get_column("customer_id").to_list()).encode())
    for name in table.columns[1:]:
        digest.update(table.get_column(name).cast(pl.Float64).to_numpy().tobytes())
    return digest.hexdigest()


def _notes(
    found: _Found, transform: Transform, choice: KChoice | None, agreement: float | None
) -> tuple[str, ...]:
    notes = [found.note] if found.note else []
    if agreement is not None:
        notes.append(
            "Everyone is in the segment with the nearest centre, which for "
            f"{percent(agreement)} of customers is that of the literal cut of the tree."
        )
    elif found.linkage is not None:
        notes.append("Everyone is in the segment with the nearest centre of the cut.")
    if choice is not None:
        notes.append(choice.text)
    if transform.dropped:
        what = ", ".join(f"{name} ({why})" for name, why in transform.dropped)
        notes.append(f"Left out: {what}.")
    filled = [f"{c.name} {number(c.filled)} as {c.fill}" for c in transform.columns if c.filled]
    if filled:
        notes.append(f"Missing values filled: {', '.join(filled)}.")
    return tuple(notes)


def _method_words(method: str, route: str) -> str:
    if method == "kmeans":
        return "k-means"
    return "Ward's method on every customer" if route == "exact" else "two-step Ward clustering"
