"""Segmentation of customers by Ward's method or k-means, including the choice of k."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

import numpy as np
import polars as pl

from segkit import __version__
from segkit.cluster.aliases import RULES, AliasRule, choose_aliases
from segkit.cluster.choose import MAX_ROWS, KChoice, choose_k
from segkit.cluster.kmeans import (
    SETTLE_STEPS,
    centres_of,
    fit_kmeans,
    iterate_means,
    nearest_centre,
    order_groups,
    within_ss,
)
from segkit.cluster.matrix import (
    Floats,
    Ints,
    distinct_rows,
    fair_order,
    feature_rows,
    fitted_transform,
    require_distinct,
)
from segkit.cluster.model import Segment, SegmentModel
from segkit.cluster.refits import METHODS, Method
from segkit.cluster.scorers import reaches
from segkit.cluster.segments import Segmentation, name_segments
from segkit.cluster.twostep import fit_two_step
from segkit.cluster.ward import cut_tree, ward_linkage
from segkit.display import counted, label, number, percent
from segkit.errors import DataError, require_choice, require_least
from segkit.frames import takes_frames
from segkit.transform import Transform

EXACT_ROWS = 20_000
MAP_POINTS = 2_000


@takes_frames
def cluster_customers(
    frame: Any,
    *,
    features: Sequence[str],
    k: int | None = None,
    method: Method = "ward",
    transform: Transform | None = None,
    seed: int = 0,
    reference: SegmentModel | None = None,
    k_range: Sequence[int] = range(2, 11),
    exact_rows: int = EXACT_ROWS,
    settle_steps: int = SETTLE_STEPS,
    aliases: Sequence[AliasRule] = RULES,
    definitions: Mapping[str, str] | None = None,
    as_of: date | None = None,
) -> Segmentation:
    """Cluster customers into segments of similar behaviour.

    Features are transformed (`Transform.propose` unless given). Ward's tree is built on every
    customer (up to ``exact_rows``, beyond that on micro-clusters) and cut into k groups. Lloyd's
    steps then move the groups' centres (k-means started from Ward's centres, a combination that
    Hair et al. 2019, "Multivariate Data Analysis", chapter 4, recommend); ``settle_steps=0`` keeps
    the centres of the cut. Every customer is assigned to the nearest centre, so the model scores
    old and new customers by the same rule. ``tree_agreement`` is the share of customers who are in
    the same segment in the literal cut: the cut of Ward's tree before Lloyd's steps and the
    assignment.

    Segments are numbered by decreasing size. With a ``reference`` model, segments are matched one
    to one with its segments so that the total overlap is largest; a matched segment that shares
    customers with its counterpart keeps that one's id and name.

    Parameters
    ----------
    frame : polars or pandas DataFrame
        One row per customer: ``customer_id`` and numeric columns.
    features : sequence of str
        Columns to cluster on.
    k : int, optional
        Number of segments; by default chosen by `choose_k` from ``k_range``.
    method : {"ward", "kmeans"}
    transform : Transform, optional
        Its columns must be the features. Fitted here unless it is fitted already.
    seed : int
        For sampling and starts; exact Ward is not random.
    reference : SegmentModel, optional
        An earlier model to keep ids and names from.
    k_range : sequence of int
        Numbers of segments to compare.
    exact_rows : int
        Customers up to which Ward is exact.
    settle_steps : int
        Maximum number of Lloyd's steps after Ward's cut; not used by k-means.
    aliases : sequence of AliasRule
        Rules on any columns of ``frame`` that give a segment a short name, such as "Loyalists". A
        segment that meets no rule is named by its description.
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
    >>> import polars as pl
    >>> table = pl.DataFrame({
    ...     "customer_id": ["a", "b", "c", "d", "e"],
    ...     "frequency": [1.0, 2.0, 1.0, 30.0, 31.0],
    ... })
    >>> segmentation = cluster_customers(table, features=["frequency"], k=2)
    >>> segmentation.assignments["segment"].to_list()
    ['S1', 'S1', 'S1', 'S2', 'S2']
    >>> segmentation.model.names
    {'S1': 'Infrequent customers', 'S2': 'Frequent customers'}
    """
    require_choice("method", method, METHODS)
    table = feature_rows(frame, features)
    fitted = fitted_transform(table, features, transform)
    X = fitted.apply(table)
    if k is not None:
        require_least(k=(k, 2))
    require_distinct(distinct_rows(X, k or 2), k or 2, table.height)
    require_least(settle_steps=(settle_steps, 0))
    choice = None
    linkage = ward_linkage(X) if method == "ward" and table.height <= exact_rows else None
    if k is None:
        options: Any = {"method": method, "seed": seed, "settle_steps": settle_steps}
        tree = linkage if table.height <= MAX_ROWS else None  # beyond that k rests on a sample
        choice = choose_k(X, k_range=k_range, linkage=tree, **options)
        k = choice.k
    clustered = _cluster(X, k, method, linkage, seed, settle_steps)
    groups = nearest_centre(X, clustered.centres)
    described = describe_groups(X, groups, len(clustered.centres), fitted)
    names = name_groups(frame, table, groups, described, aliases)
    segments, order = make_segments(
        table, X, fitted, clustered.centres, groups, (names, described), reference
    )
    model = SegmentModel(
        method=method,
        route=clustered.route,
        as_of=as_of,
        rows=table.height,
        data_hash=_data_hash(table),
        seed=seed,
        version=__version__,
        definitions=dict(definitions or {}),
        segments=segments,
        transform=fitted,
    )
    return _segmentation(table, X, model, clustered, groups, order, choice)


@dataclass(frozen=True, slots=True)
class Groups:
    """Clustered customers before segments get ids; groups by decreasing size."""

    centres: Floats
    route: str
    linkage: Floats | None
    leaf_groups: Ints | None
    note: str
    lloyd_steps: int = 0


def _cluster(
    X: Floats, k: int, method: str, linkage: Floats | None, seed: int, settle_steps: int
) -> Groups:
    """Return centres of k groups and the tree behind them."""
    if method == "kmeans":
        fit = fit_kmeans(X, k, seed=seed)
        rows = "all customers" if fit.sample == X.shape[0] else f"{number(fit.sample)} of them"
        note = f"K-means kept the best of {counted(fit.starts, 'start')} on {rows}."
        return Groups(fit.centres, "restarts", None, None, note)
    if linkage is not None:
        route, note = "exact", ""
        leaf_groups = order_groups(X, cut_tree(linkage, k))
        centres = centres_of(X, leaf_groups)
    else:
        tree = fit_two_step(X, seed=seed)
        route, linkage = "two-step", tree.linkage
        leaf_groups, centres = tree.groups(k), tree.group_centres(k)
        note = (
            f"Ward's tree joins {number(len(tree.counts))} micro-clusters made from a random "
            f"sample of {counted(tree.sample, 'customer')}."
        )
    centres, taken = iterate_means(X, centres, steps=settle_steps)
    return Groups(centres, route, linkage, leaf_groups, note, taken)


def describe_groups(X: Floats, groups: Ints, count: int, transform: Transform) -> list[str]:
    """Describe each group by what marks it most."""
    if len(np.unique(groups)) < count:
        return [""] * count  # an error is on its way
    spread = X.std(axis=0)
    differences = (centres_of(X, groups) - X.mean(axis=0)) / np.where(spread > 0, spread, 1.0)
    return name_segments(differences, transform.names)


def name_groups(
    frame: pl.DataFrame,
    table: pl.DataFrame,
    groups: Ints,
    described: list[str],
    rules: Sequence[AliasRule],
) -> list[str]:
    """Name each group by its alias where a rule gives one, else by its description."""
    needed = {mark.feature for rule in rules for mark in rule.marks}
    features = frame.select(
        pl.col("customer_id").cast(table["customer_id"].dtype),
        pl.selectors.by_name(*sorted(needed), require_all=False)
        & (pl.selectors.numeric() | pl.selectors.boolean()),
    )
    assigned = table.select("customer_id", segment=pl.Series(groups).cast(pl.String))
    aliases = choose_aliases(features, assigned, rules=rules)
    return [aliases.get(str(group), name) for group, name in enumerate(described)]


def make_segments(
    table: pl.DataFrame,
    X: Floats,
    transform: Transform,
    centres: Floats,
    groups: Ints,
    named: tuple[list[str], list[str]],
    reference: SegmentModel | None,
) -> tuple[tuple[Segment, ...], list[int]]:
    """Make segments from groups of customers: id, name, size, centre, reach and description.

    Parameters
    ----------
    table : polars.DataFrame
        customer_id and the features.
    X : array (n, d)
        The features, transformed.
    transform : Transform
    centres : array (k, d)
        Of the groups, in the transformed matrix.
    groups : array (n,)
        Index of each customer's group.
    named : tuple of (list of str, list of str)
        The groups' names, and their descriptions.
    reference : SegmentModel or None
        An earlier model whose ids and names are kept where segments match.

    Returns
    -------
    segments : tuple of Segment
        In the order of their ids.
    order : list of int
        For each of them the index of its group.

    Raises
    ------
    DataError
        If a group has no customers.
    """
    counts = np.bincount(groups, minlength=centres.shape[0])
    if not counts.all():
        raise DataError(
            "a segment lost all its customers to nearer centres; ask for fewer segments"
        )
    names, described = named
    ids = [f"S{place + 1}" for place in np.argsort(np.argsort(-counts, kind="stable"))]
    if reference is not None:
        ids, names = _aligned(table, groups, counts, names, reference)
    reach = reaches(np.sqrt(np.square(X - centres[groups]).sum(axis=1)), groups)
    original, points = transform.invert(centres).to_dicts(), centres.tolist()
    order = sorted(range(len(ids)), key=lambda g: (len(ids[g]), ids[g]))
    segments = tuple(
        Segment(
            ids[g], names[g], int(counts[g]), original[g], tuple(points[g]), reach[g], described[g]
        )
        for g in order
    )
    return segments, order


def _segmentation(
    table: pl.DataFrame,
    X: Floats,
    model: SegmentModel,
    clustered: Groups,
    groups: Ints,
    order: list[int],
    choice: KChoice | None,
) -> Segmentation:
    """Gather the assignments, the tree and the map; groups become segments in their ``order``."""
    place = np.argsort(order)  # inverse permutation: from a group's number to its segment's place
    leaf_groups, agreement = clustered.leaf_groups, None
    if clustered.route == "exact":
        agreement = float(np.mean(leaf_groups == groups))
    ids = pl.Series("segment", model.ids).gather(place[groups])
    names = pl.Series("segment_name", model.names.values()).gather(place[groups])
    points, shares = _map(X, ids, model.seed)
    return Segmentation(
        assignments=table.select("customer_id").with_columns(ids, names),
        model=model,
        segments=model.to_frame().drop("reach"),
        method=model.method,
        route=model.route,
        k=len(order),
        choice=choice,
        linkage=clustered.linkage,
        leaf_groups=None if leaf_groups is None else place[leaf_groups],
        tree_agreement=agreement,
        within_ss=within_ss(X, groups),
        total_ss=float(np.square(X - X.mean(axis=0)).sum()),
        map_points=points,
        map_shares=shares,
        notes=_notes(clustered, model.transform, choice, agreement),
    )


def _aligned(
    table: pl.DataFrame, groups: Ints, counts: Ints, names: list[str], reference: SegmentModel
) -> tuple[list[str], list[str]]:
    """Match segments to the reference's by the customers they share, one to one."""
    from scipy.optimize import linear_sum_assignment

    old = reference.score(table).get_column("segment")
    scored = old.is_not_null().to_numpy()  # the reference may not score everybody
    place = {name: i for i, name in enumerate(reference.ids)}
    matched = old.drop_nulls().replace_strict(place, return_dtype=pl.Int64).to_numpy()
    shared = np.zeros((counts.shape[0], len(place)))
    np.add.at(shared, (groups[scored], matched), 1)
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


def _map(X: Floats, segments: pl.Series, seed: int) -> tuple[pl.DataFrame, tuple[float, float]]:
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
    frame = pl.DataFrame({"pc1": at[:, 0], "pc2": at[:, 1], "segment": segments.gather(rows)})
    return frame, (shares[0], shares[1])


def _data_hash(table: pl.DataFrame) -> str:
    """Hash ids and features; the table is already in the order of the ids."""
    digest = hashlib.sha256(",".join(table.columns).encode())
    digest.update("\n".join(table.get_column("customer_id").to_list()).encode())
    for name in table.columns[1:]:
        digest.update(table.get_column(name).cast(pl.Float64).to_numpy().tobytes())
    return digest.hexdigest()


def _notes(
    clustered: Groups, transform: Transform, choice: KChoice | None, agreement: float | None
) -> tuple[str, ...]:
    notes = [clustered.note] if clustered.note else []
    nearest = "Everyone is in the segment with the nearest centre"
    if clustered.lloyd_steps:
        nearest += f", {counted(clustered.lloyd_steps, 'step')} of k-means on from those of the cut"
    if agreement is not None:
        notes.append(
            f"{nearest}; for {percent(agreement)} of customers that is the segment of the literal "
            "cut of the tree."
        )
    elif clustered.linkage is not None:
        notes.append(f"{nearest}.")
    if choice is not None:
        notes.append(choice.text)
    if transform.dropped:
        what = ", ".join(f"{label(name)} ({why})" for name, why in transform.dropped)
        notes.append(f"Left out: {what}.")
    filled = [
        f"{label(c.name)} {number(c.filled)} as {c.fill or 'average'}"
        for c in transform.columns
        if c.filled
    ]
    if filled:
        notes.append(f"Missing values filled: {', '.join(filled)}.")
    return tuple(notes)
