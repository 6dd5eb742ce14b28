"""From a bare partition to segments: ids, names, model, map, notes."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from segkit.cluster.kmeans import centres_of, nearest_centre, within_ss
from segkit.cluster.matrix import fair_order
from segkit.cluster.model import Segment, SegmentModel
from segkit.cluster.naming import name_segments
from segkit.cluster.outcome import Segmentation
from segkit.cluster.scoring import ALIKE
from segkit.display import number, percent
from segkit.errors import DataError
from segkit.labels import label
from segkit.transform import Transform

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from segkit.cluster.choose import KChoice

    Floats = NDArray[np.float64]
    Ints = NDArray[np.int64]

MAP_POINTS = 2_000


@dataclass(frozen=True, slots=True)
class Found:
    """A partition before its segments get ids: groups by falling size."""

    centres: Floats
    route: str
    linkage: Floats | None
    leaf_groups: Ints | None
    note: str
    settled: int = 0


@dataclass(frozen=True, slots=True)
class Wishes:
    """What the caller wants kept or used beside the partition itself."""

    method: str
    seed: int
    reference: SegmentModel | None
    words: Mapping[str, tuple[str, str]]
    definitions: Mapping[str, str]
    as_of: date | None


def assemble(
    table: pl.DataFrame,
    X: Floats,
    transform: Transform,
    found: Found,
    choice: KChoice | None,
    wishes: Wishes,
) -> Segmentation:
    """Give everyone a segment, and every segment an id, a name, a centre and a reach.

    Raises
    ------
    DataError
        If a segment is left without customers once everyone is at the nearest centre.
    """
    groups = nearest_centre(X, found.centres)
    segments, order = _segments(table, X, transform, found, groups, wishes)
    place = np.argsort(order)
    rows = place[groups]
    model = _model(table, transform, segments, found.route, wishes)
    agreement = None
    if found.route == "exact" and found.leaf_groups is not None:
        agreement = float(np.mean(found.leaf_groups == groups))
    ids = pl.Series([segment.id for segment in segments], dtype=pl.String).gather(rows)
    names = pl.Series([segment.name for segment in segments], dtype=pl.String).gather(rows)
    points, shares = _map(X, ids, wishes.seed)
    return Segmentation(
        assignments=pl.DataFrame(
            {
                "customer_id": table.get_column("customer_id"),
                "segment": ids,
                "segment_name": names,
            }
        ),
        model=model,
        segments=model.to_frame().drop("reach"),
        method=wishes.method,
        route=found.route,
        k=len(segments),
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


def _segments(
    table: pl.DataFrame, X: Floats, transform: Transform, found: Found, groups: Ints, wishes: Wishes
) -> tuple[tuple[Segment, ...], list[int]]:
    """Return the segments by id, and which group each of them is."""
    counts = np.bincount(groups, minlength=found.centres.shape[0])
    if not counts.all():
        raise DataError(
            "a segment lost all its customers to nearer centres; ask for fewer segments"
        )
    spread = X.std(axis=0)
    differences = (centres_of(X, groups) - X.mean(axis=0)) / np.where(spread > 0, spread, 1.0)
    names = name_segments(differences, transform.names, wishes.words)
    ids = [f"S{place + 1}" for place in np.argsort(np.argsort(-counts, kind="stable"))]
    if wishes.reference is not None:
        ids, names = _aligned(table, groups, counts, names, wishes.reference)
    reach = _reaches(X, found.centres, groups)
    original = transform.invert(found.centres).to_dicts()
    order = sorted(range(len(ids)), key=lambda g: (len(ids[g]), ids[g]))
    segments = tuple(
        Segment(
            ids[g],
            names[g],
            int(counts[g]),
            original[g],
            tuple(found.centres[g].tolist()),
            reach[g],
        )
        for g in order
    )
    return segments, order


def _model(
    table: pl.DataFrame,
    transform: Transform,
    segments: tuple[Segment, ...],
    route: str,
    wishes: Wishes,
) -> SegmentModel:
    from segkit import __version__

    return SegmentModel(
        transform,
        segments,
        dict(wishes.definitions),
        wishes.method,
        route,
        wishes.as_of,
        table.height,
        _data_hash(table),
        wishes.seed,
        __version__,
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
    known = np.array([name is not None for name in old])  # the reference may not score everybody
    there = np.array([place[name] for name in old if name is not None], dtype=np.int64)
    np.add.at(shared, (groups[known], there), 1)
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
    found: Found, transform: Transform, choice: KChoice | None, agreement: float | None
) -> tuple[str, ...]:
    notes = [found.note] if found.note else []
    nearest = "Everyone is in the segment with the nearest centre"
    if found.settled:
        nearest += f", {number(found.settled)} steps of k-means on from those of the cut"
    if agreement is not None:
        notes.append(
            f"{nearest}; for {percent(agreement)} of customers that is the segment of the literal "
            "cut of the tree."
        )
    elif found.linkage is not None:
        notes.append(f"{nearest}.")
    if choice is not None:
        notes.append(choice.text)
    if transform.dropped:
        what = ", ".join(f"{label(name)} ({why})" for name, why in transform.dropped)
        notes.append(f"Left out: {what}.")
    filled = [
        f"{label(c.name)} {number(c.filled)} as {c.fill}" for c in transform.columns if c.filled
    ]
    if filled:
        notes.append(f"Missing values filled: {', '.join(filled)}.")
    return tuple(notes)
