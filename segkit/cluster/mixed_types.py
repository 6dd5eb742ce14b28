"""Segments from numbers, categories, ranks and yes/no marks together: fit and model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal, Self

import numpy as np
import polars as pl

from segkit import __version__
from segkit.cluster.gower import (
    MISSING,
    Encoded,
    Space,
    gower,
    learn_space,
    mean_silhouette,
    pam,
    rescale,
)
from segkit.cluster.matrix import (
    Floats,
    Ints,
    feature_rows,
    require_distinct,
    wanted_counts,
    without_gaps,
)
from segkit.cluster.prototypes import (
    costs,
    default_gamma,
    fit_prototypes,
    joined_codes,
    most_frequent,
)
from segkit.cluster.scorers import SegmentScorer, finish_parts
from segkit.cluster.segments import Segmentation, name_segments
from segkit.display import counted, number
from segkit.errors import DataError, ModelError, ParameterError, require_choice, require_least
from segkit.frames import takes_frames
from segkit.result import check_number
from segkit.stats.threads import single_thread
from segkit.transform import Transform

Way = Literal["medoids", "hierarchical", "prototypes"]
WAYS = {
    "medoids": "k-medoids by Gower's distance",
    "hierarchical": "average linkage by Gower's distance",
    "prototypes": "k-prototypes",
}


SAMPLE = 3_000
STARTS = 10


@dataclass(frozen=True, slots=True)
class Example:
    """One segment: the medoid or prototype that stands for it.

    Attributes
    ----------
    id, name : str
    size : int
        Customers at the fit.
    centre : dict
        Column to value: the medoid's own, or the prototype's (means turned back into original
        units, the most frequent category).
    numbers, codes, marks : tuple
        The same as encoded by `segkit.cluster.gower.Encoded`, None if missing. A prototype's
        marks are among the codes.
    reach : float
        Distance beyond which a customer counts as unlike any segment.
    """

    id: str
    name: str
    size: int
    centre: dict[str, Any]
    numbers: tuple[float | None, ...]
    codes: tuple[int, ...]
    marks: tuple[float | None, ...]
    reach: float


def distances_to(
    encoded: Encoded, examples: Sequence[Example], method: str, gamma: float | None
) -> Floats:
    """Return each row's distance to each example, shape (n, k).

    Gower's distance; for prototypes the root of the squared distance plus gamma times the
    mismatches. For prototypes a missing number is set to the mean, and a missing category is its
    own category.
    """
    points, marks = _stack(examples, "numbers"), _stack(examples, "marks")
    codes = np.array([e.codes for e in examples], dtype=np.int64)
    if method == "prototypes":
        numbers = np.nan_to_num(encoded.numbers)
        cost = costs(numbers, joined_codes(encoded), points, codes, gamma or 0)
        return np.sqrt(cost, out=cost)
    return gower(encoded, Encoded(points, codes, marks, np.zeros(len(examples), dtype=np.int64)))


def _stack(examples: Sequence[Example], field: str) -> Floats:
    # None becomes NaN.
    return np.array([getattr(e, field) for e in examples], dtype=np.float64)


@dataclass(frozen=True, slots=True, eq=False)
class MixedModel(SegmentScorer):
    """Model that assigns customers by numbers, categories, ranks and yes/no marks.

    Attributes
    ----------
    method : str
        "medoids", "hierarchical" or "prototypes".
    gamma : float or None
        Weight of a mismatch, for prototypes.
    rows, fitted_rows : int
        Customers of the fit, and customers that the segments were computed from.
    seed : int
    version : str
        segkit's version at the fit.
    space : Space
        How the columns are read and scaled.
    examples : tuple of Example
    """

    KIND: ClassVar[str] = "mixed"
    PARTS: ClassVar[str] = "examples"
    PART: ClassVar[type[Any]] = Example

    method: str
    gamma: float | None
    rows: int
    fitted_rows: int
    seed: int
    version: str
    space: Space
    examples: tuple[Example, ...]

    def check_part(self, one: Example) -> None:
        """Raise ``ModelError`` if this segment's example lacks a place for one of the columns."""
        require_choice("method of a stored model", self.method, WAYS, ModelError)
        space, joined = self.space, self.method == "prototypes"
        levels = [len(places) for places in space.categorical.values()]
        if joined:
            check_number("the weight of a mismatch", self.gamma, least=0)
            levels += [2] * len(space.asymmetric)
        marks = () if joined else space.asymmetric
        wanted = {"numbers": len(space.number_names), "codes": len(levels), "marks": len(marks)}
        for field, length in wanted.items():
            got = len(getattr(one, field))
            if got != length:
                raise ModelError(f"{field} of {one.id} must be {length}, one per column; got {got}")
        for value in (*one.numbers, *one.marks):
            if value is not None:
                check_number(f"a number of {one.id}", value)
        for code, count in zip(one.codes, levels, strict=True):
            if not isinstance(code, int) or not MISSING <= code < count:
                raise ModelError(f"a category of {one.id} must be below {count}; got {code!r}")

    @property
    def features(self) -> tuple[str, ...]:
        """Columns that a frame needs to be scored."""
        return self.space.features

    @property
    def columns(self) -> tuple[str, ...]:
        """Columns that a frame needs to be scored: the features, and the exposures of rates."""
        more = () if self.space.transform is None else self.space.transform.needed
        return tuple(dict.fromkeys([*self.features, *more]))

    def _find_unfit(self, frame: pl.DataFrame) -> pl.Series:
        """Say, row by row, which value cannot be read; null where all can."""
        return self.space.find_unfit(frame)

    def _distances(self, frame: pl.DataFrame) -> Floats:
        """Return each row's distance to each segment's example, shape (n, k)."""
        return distances_to(self.space.encode(frame), self.examples, self.method, self.gamma)

    def _score(self, frame: pl.DataFrame) -> pl.DataFrame:
        """Score rows, and count those of their categories and ranks that the fit has not seen.

        Such a category differs from all that were seen, such a rank counts as missing.
        """
        unseen = pl.Series(self.space.encode(frame).unseen, dtype=pl.Int64)
        return SegmentScorer._score(self, frame).with_columns(unseen=unseen)

    def describe(self, one: Example) -> dict[str, Any]:
        """Return the centre of a segment's example."""
        return one.centre

    @property
    def wording(self) -> tuple[str, str, str]:
        """Phrases for `text`: the segments, where new customers go, what is unlike any."""
        segments = f"segments by {WAYS[self.method]} from {counted(len(self.features), 'column')}"
        return segments, "nearest", "farther from it"

    @property
    def text(self) -> str:
        """What the model was fitted on, and what its flag means."""
        more = "A category that was not there at the fit differs from all that were."
        return f"{SegmentScorer.text.fget(self)} {more}"  # type: ignore[attr-defined]

    @classmethod
    def _read(cls, data: Mapping[str, Any]) -> Self:
        return cls._rebuild(data, space=Space.from_data(data["columns"]))


@dataclass(frozen=True, slots=True, eq=False)
class _SearchData:
    """Input of the search for segments: customers, encoded and compared."""

    table: pl.DataFrame
    space: Space
    encoded: Encoded
    sampled: Ints  # rows compared pair by pair
    distances: Floats  # Gower's, among them
    gamma: float | None


@takes_frames
def cluster_mixed(
    frame: Any,
    *,
    numeric: Sequence[str] = (),
    categorical: Sequence[str] = (),
    ordinal: Mapping[str, Sequence[Any]] | None = None,
    asymmetric: Sequence[str] = (),
    k: int | None = None,
    method: Way = "medoids",
    k_range: Sequence[int] = range(2, 9),
    gamma: float | None = None,
    transform: Transform | None = None,
    sample: int = SAMPLE,
    starts: int = STARTS,
    seed: int = 0,
) -> Segmentation:
    """Segment customers by columns of several kinds.

    "medoids": the k customers with the least mean distance to their segment by Gower's distance
    (PAM, exact on at most ``sample`` customers). "hierarchical": average linkage by the same
    distance on the same sample; each branch is represented by its medoid. "prototypes":
    k-prototypes on all customers; ``gamma`` weighs categories against numbers. Every customer is
    assigned to the nearest medoid or prototype, so the model scores old and new customers by the
    same rule.

    Missing values. While medoids and branches are searched for, a column that is missing for one of
    two customers contributes its mean distance over all pairs. (If it were left out, as in Gower's
    coefficient, customers with most missing values would be near to everybody and become medoids.)
    A value missing for a medoid is set to the median or the most frequent value of its segment.
    Customers are then compared with the medoids by their known columns. For prototypes a missing
    number is set to the mean and a missing category is a category of its own. Evidence:
    tests/studies/study_missing.py.

    Parameters
    ----------
    frame : polars or pandas DataFrame
        One row per customer: ``customer_id`` and the columns.
    numeric : sequence of str
        Skewed ones are put on logarithms first (``Transform.propose``).
    categorical : sequence of str
    ordinal : mapping of str to sequence
        Column to its levels from lowest to highest.
    asymmetric : sequence of str
        Yes/no columns in which a shared "no" carries no information (owns a boat).
    k : int, optional
        Number of segments; by default that of ``k_range`` with the highest mean silhouette by
        Gower's distance (Kaufman and Rousseeuw 1990, section 2.2).
    method : {"medoids", "hierarchical", "prototypes"}
    k_range : sequence of int
    gamma : float, optional
        Weight of one mismatch in squared standard deviations, for prototypes; by default half the
        mean standard deviation of the numbers (Huang 1998), so .5 where all are standardised.
    transform : Transform, optional
        For the numeric columns.
    sample : int
        Maximum number of customers compared in pairs, sampled in the order of their ids.
    starts, seed : int
        Starts of k-prototypes; seed of the sample.

    Returns
    -------
    Segmentation
        ``compared`` holds k, silhouette, cost (mean distance, or sum of costs), reached, chosen.

    Raises
    ------
    ColumnError, DataError
        If a column is absent, of the wrong type or constant, a customer has no value at all, or
        there are fewer different customers than segments.
    ParameterError
        If the method is unknown, or an option is out of range.

    Examples
    --------
    >>> table = pl.DataFrame({
    ...     "customer_id": [*"abcdef"],
    ...     "visits": [1.0, 2.0, 2.0, 30.0, 31.0, 29.0],
    ...     "region": ["north", "north", "north", "south", "south", "south"],
    ... })
    >>> segmentation = cluster_mixed(table, numeric=["visits"], categorical=["region"], k=2)
    >>> segmentation.assignments["segment"].to_list()
    ['S1', 'S1', 'S1', 'S2', 'S2', 'S2']
    """
    ranks = dict(ordinal or {})
    columns = [*numeric, *categorical, *ranks, *asymmetric]
    require_choice("method for mixed columns", method, WAYS)
    require_least(sample=(sample, 2), starts=(starts, 1), gamma=(gamma or 0, 0))
    if gamma is not None and method != "prototypes":
        raise ParameterError(f"gamma is an option of method='prototypes'; got method={method!r}")
    ks = wanted_counts(k, k_range, 2)
    table = feature_rows(frame, columns)
    space = learn_space(
        table,
        numeric=numeric,
        ordinal=ranks,
        categorical=categorical,
        asymmetric=asymmetric,
        transform=transform,
    )
    encoded = space.encode(table)
    sampled = np.sort(np.random.default_rng(seed).permutation(table.height)[:sample])
    near = encoded.rows(sampled)
    distinct = _distinct(near)
    require_distinct(distinct, k or 2, len(sampled))
    with single_thread():
        distances = gower(near, near, expected=True)
        if method == "prototypes":
            space = rescale(space, table, "deviation")
            encoded = space.encode(table)
            gamma = default_gamma(np.nan_to_num(encoded.numbers)) if gamma is None else gamma
        given = _SearchData(table, space, encoded, sampled, distances, gamma)
        tried = [_fit(given, count, method, starts, seed) for count in ks if count <= distinct]
    best = max(tried, key=lambda fit: (fit["silhouette"], -fit["k"]))
    bare = best.pop("examples")
    compared = pl.DataFrame(tried, schema=["k", "silhouette", "cost", "reached"])
    compared = compared.with_columns(chosen=pl.col("k") == best["k"])
    model = MixedModel(
        method=method,
        gamma=gamma,
        rows=table.height,
        fitted_rows=table.height if method == "prototypes" else len(sampled),
        seed=seed,
        version=__version__,
        space=space,
        examples=finish_parts(
            bare,
            distances_to(encoded, bare, method, gamma),
            np.array([[v or 0.0 for v in (*e.numbers, *e.codes, *e.marks)] for e in bare]),
            lambda _, groups: _names(space, encoded, groups),
        ),
    )
    return _segmentation(given, model, compared, best, starts)


def _distinct(encoded: Encoded) -> int:
    whole = np.column_stack([encoded.numbers, encoded.codes, encoded.marks])
    return len(np.unique(np.nan_to_num(whole, nan=-9.0), axis=0))


def _fit(given: _SearchData, k: int, method: str, starts: int, seed: int) -> dict[str, Any]:
    """Find k segments; return their examples with the silhouette on the sample."""
    encoded, sampled, reached = given.encoded, given.sampled, 1
    if method == "prototypes":
        numbers, codes = np.nan_to_num(encoded.numbers), joined_codes(encoded)
        gamma = given.gamma or 0.0
        fit = fit_prototypes(numbers, codes, k, gamma=gamma, starts=starts, seed=seed)
        cost, reached = fit.cost, fit.reached
        bare = [_prototype(given.space, p, m) for p, m in zip(fit.points, fit.modes, strict=True)]
    else:
        if method == "medoids":
            medoids = pam(given.distances, k)
            rows, members, cost = medoids.rows, medoids.groups, medoids.cost
        else:
            rows, members, cost = _branches(given.distances, k)
        bare = [_medoid(given, sampled[row], sampled[members == g]) for g, row in enumerate(rows)]
    groups = distances_to(encoded, bare, method, given.gamma).argmin(axis=1)
    fair = mean_silhouette(given.distances, without_gaps(groups[sampled]))
    return {"k": k, "silhouette": fair, "cost": cost, "reached": reached, "examples": bare}


def _branches(distances: Floats, k: int) -> tuple[Ints, Ints, float]:
    """Cut the average-linkage tree; return medoids, branches, mean distance to nearest medoid."""
    from scipy.cluster.hierarchy import fcluster, linkage
    from scipy.spatial.distance import squareform

    tree = linkage(squareform(distances, checks=False), "average")
    groups = fcluster(tree, k, "maxclust") - 1
    if len(np.unique(groups)) < k:
        raise DataError(
            f"the tree has fewer than {k} branches, because distances are equal; set a smaller k"
        )
    rows = []
    for group in range(k):
        inside = np.flatnonzero(groups == group)
        rows.append(inside[distances[np.ix_(inside, inside)].sum(axis=0).argmin()])
    chosen = np.array(rows)
    return chosen, groups, float(distances[:, chosen].min(axis=1).mean())


def _medoid(given: _SearchData, row: int, members: Ints) -> Example:
    """Return a customer as its segment's example; what it lacks is filled from the members."""
    space = given.space
    raw = given.table.select(space.features).row(row, named=True)
    centre = {name: None if value != value else value for name, value in raw.items()}  # NaN
    blocks = []
    for names, columns in space.blocks(given.encoded):
        own = columns[row].copy()
        for place in np.flatnonzero(np.isnan(own)):
            theirs = columns[members, place]
            present = theirs[~np.isnan(theirs)]
            if present.size:
                # The lower median is a value that occurs among the members.
                median = np.sort(present)[(len(present) - 1) // 2]
                own[place] = median if names == space.number_names else most_frequent(present)
                donor = int(members[np.flatnonzero(theirs == own[place])[0]])
                centre[names[place]] = given.table.get_column(names[place])[donor]
        blocks.append(own)
    numbers, codes, marks = blocks
    return _example(centre, numbers, np.nan_to_num(codes, nan=MISSING), marks)


def _prototype(space: Space, point: Floats, modes: Ints) -> Example:
    """Write a prototype in original units and levels."""
    raw = point * np.array(space.unit) + np.array(space.origin)
    count = len(space.numeric)
    values: dict[str, Any] = {}
    if space.transform is not None:
        values = space.transform.invert(raw[None, :count]).row(0, named=True)
    for (name, levels), place in zip(space.ordinal.items(), raw[count:], strict=True):
        values[name] = levels[min(max(round(float(place)), 0), len(levels) - 1)]
    for (name, levels), code in zip(space.categorical.items(), modes, strict=False):
        values[name] = levels[code] if code >= 0 else None
    for name, code in zip(space.asymmetric, modes[len(space.categorical) :], strict=True):
        values[name] = {0: "no", 1: "yes"}.get(int(code))
    return _example(values, point, modes, np.empty(0))


def _example(centre: dict[str, Any], numbers: Floats, codes: Any, marks: Floats) -> Example:
    """Return an example that has no id, name, size and reach yet."""
    floats = [tuple(None if v != v else v for v in block.tolist()) for block in (numbers, marks)]
    return Example("", "", 0, centre, floats[0], tuple(int(c) for c in codes), floats[1], 0.0)


def _names(space: Space, encoded: Encoded, groups: Ints) -> list[str]:
    """Name segments by the numbers, ranks, categories and marks that set them apart most."""
    columns = [encoded.numbers, encoded.marks]
    features = [*space.number_names, *space.asymmetric]
    words = {name: (name.replace("_", "-"), f"no-{name}") for name in space.asymmetric}
    for (name, levels), codes in zip(space.categorical.items(), encoded.codes.T, strict=True):
        present = np.where(codes >= 0, 1.0, np.nan)
        for place, level in enumerate(levels):
            columns.append(((codes == place) * present)[:, None])
            features.append(f"{name} {level}")
            words[f"{name} {level}"] = (f"{level}-{name}", f"non-{level}-{name}")
    whole = np.column_stack(columns)
    spread = np.nanstd(whole, axis=0)
    overall = np.nanmean(whole, axis=0)
    means = np.array([_means(whole[groups == g], overall) for g in range(int(groups.max()) + 1)])
    return name_segments((means - overall) / np.where(spread > 0, spread, 1.0), features, words)


def _means(part: Floats, overall: Floats) -> Floats:
    present = ~np.isnan(part)
    count = present.sum(axis=0)
    sums = np.where(present, part, 0.0).sum(axis=0)
    return np.where(count > 0, sums / np.maximum(count, 1), overall)


def _segmentation(
    given: _SearchData,
    model: MixedModel,
    compared: pl.DataFrame,
    best: Mapping[str, Any],
    starts: int,
) -> Segmentation:
    whole = len(given.sampled) == given.table.height
    rows = "all customers" if whole else f"a random {number(len(given.sampled))} of them"
    found_by = f"{WAYS[model.method]}, found on {rows}"
    treated = "a column counts at its mean where one of two customers lacks it"
    if model.method == "prototypes":
        found_by = (
            f"{WAYS[model.method]} (a mismatch of categories weighs {number(model.gamma)} squared "
            f"standard deviations; {number(best['reached'])} of "
            f"{counted(starts, 'start reached', 'starts reached')} the best)"
        )
        treated = "a missing number lies at the mean, a missing category is one of its own"
    notes = [f"Mean silhouette by Gower's distance {number(best['silhouette'])}, on {rows}."]
    if np.isnan(given.encoded.numbers).any() or (given.encoded.codes < 0).any():
        notes.append(f"With missing values: {treated}.")
    return model.segment(
        given.table,
        method=model.method,
        compared=compared,
        criterion="silhouette",
        found_by=found_by,
        notes=tuple(notes),
    )
