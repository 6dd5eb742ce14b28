"""Segments from numbers, categories, ranks and yes/no marks together: fit and model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal, Self

import numpy as np
import polars as pl

from segkit.cluster.gower import MISSING, Encoded, Space, gower, learn_space, mean_silhouette, pam
from segkit.cluster.matrix import Floats, Ints, feature_rows
from segkit.cluster.model import ALIKE, SegmentScorer, reaches
from segkit.cluster.prototypes import costs, default_gamma, fit_prototypes, joined_codes
from segkit.cluster.segments import Segmentation, by_size, name_segments, segment_ids
from segkit.display import number, percent
from segkit.errors import DataError, ModelError, ParameterError, unknown
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
    encoded: Encoded,
    examples: tuple[Example, ...] | list[Example],
    method: str,
    gamma: float | None,
) -> Floats:
    """Return each row's distance to each example, shape (n, k).

    Gower's distance; for prototypes the root of the squared distance plus gamma times the
    mismatches. For prototypes a missing number is set to the mean, and a missing category is its
    own category.
    """
    if method == "prototypes":
        points, modes = _stack(examples, "numbers"), np.array([e.codes for e in examples])
        cost = costs(
            np.nan_to_num(encoded.numbers), joined_codes(encoded), points, modes, gamma or 0
        )
        return np.sqrt(cost, out=cost)
    other = Encoded(
        _stack(examples, "numbers"),
        np.array([e.codes for e in examples], dtype=np.int64),
        _stack(examples, "marks"),
        np.zeros(len(examples), dtype=np.int64),
    )
    return gower(encoded, other)


def _stack(examples: tuple[Example, ...] | list[Example], what: str) -> Floats:
    rows = [[np.nan if v is None else v for v in getattr(e, what)] for e in examples]
    return np.array(rows, dtype=np.float64).reshape(len(rows), -1)


@dataclass(frozen=True, slots=True, eq=False)
class MixedModel(SegmentScorer):
    """Model that assigns customers by numbers, categories, ranks and yes/no marks.

    Attributes
    ----------
    space : Space
        How the columns are read and scaled.
    examples : tuple of Example
    method : str
        "medoids", "hierarchical" or "prototypes".
    gamma : float or None
        Weight of a mismatch, for prototypes.
    rows, fitted_rows : int
        Customers of the fit, and customers that the segments were computed from.
    seed : int
    version : str
        segkit's version at the fit.
    """

    KIND: ClassVar[str] = "mixed"
    PARTS: ClassVar[str] = "examples"

    space: Space
    examples: tuple[Example, ...]
    method: str
    gamma: float | None
    rows: int
    fitted_rows: int
    seed: int
    version: str

    def check_part(self, one: Example) -> None:
        """Raise ``ModelError`` unless one segment's example has a place for every column."""
        if self.method not in WAYS:
            raise ModelError(unknown("method of a stored model", str(self.method), WAYS))
        space, joined = self.space, self.method == "prototypes"
        levels = [len(places) for places in space.categorical.values()]
        if joined:
            check_number("the weight of a mismatch", self.gamma, least=0)
            levels += [2] * len(space.asymmetric)
        marks = () if joined else space.asymmetric
        wanted = {"numbers": len(space.number_names), "codes": len(levels), "marks": len(marks)}
        for what, length in wanted.items():
            got = len(getattr(one, what))
            if got != length:
                raise ModelError(f"{what} of {one.id} must be {length}, one a column; got {got}")
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
        """Columns that a frame needs to be scored: the features, and what rates rest on."""
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
        rows = self.space.encode(frame)
        distances = distances_to(rows, self.examples, self.method, self.gamma)
        unseen = pl.Series(rows.unseen, dtype=pl.Int64)
        return self._scored(frame, distances).with_columns(unseen=unseen)

    def describe(self, one: Example) -> dict[str, Any]:
        """Return the centre of a segment's example."""
        return one.centre

    @property
    def text(self) -> str:
        """What the model was fitted on, and what its flag means."""
        return (
            f"{number(len(self.examples))} segments by {WAYS[self.method]} from "
            f"{number(len(self.features))} columns of {number(self.rows)} customers. New "
            f"customers go to the nearest; one farther from it than {percent(ALIKE)} of the "
            "segment's own customers were at the fit is flagged as unlike any. A category that "
            "was not there at the fit differs from all that were."
        )

    def to_data(self) -> dict[str, Any]:
        """Return the model as plain JSON data, to be read by people too."""
        return {
            "segkit_model": self.KIND,
            "format": self.FORMAT,
            "segkit_version": self.version,
            "method": self.method,
            "gamma": self.gamma,
            "customers": self.rows,
            "fitted_customers": self.fitted_rows,
            "seed": self.seed,
            "columns": self.space.to_data(),
            "segments": [
                {
                    "id": e.id, "name": e.name, "customers": e.size, "centre": e.centre,
                    "numbers": list(e.numbers), "codes": list(e.codes), "marks": list(e.marks),
                    "unlike_beyond": e.reach,
                }
                for e in self.examples
            ],
        }  # fmt: skip

    @classmethod
    def _read(cls, data: Mapping[str, Any]) -> Self:
        examples = tuple(
            Example(
                e["id"], e["name"], e["customers"], dict(e["centre"]), tuple(e["numbers"]),
                tuple(e["codes"]), tuple(e["marks"]), e["unlike_beyond"],
            )
            for e in data["segments"]
        )  # fmt: skip
        return cls(
            Space.from_data(data["columns"]), examples, data["method"], data["gamma"],
            data["customers"], data["fitted_customers"], data["seed"],
            data["segkit_version"],
        )  # fmt: skip


@dataclass(frozen=True, slots=True, eq=False)
class _Given:
    """Input of the search for segments: customers, encoded and compared."""

    table: pl.DataFrame
    space: Space
    encoded: Encoded
    some: Ints  # rows compared pair by pair
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

    Missing values. When medoids and branches are searched, a column missing for one of two
    customers counts at its mean over all pairs. (If it were left out, as in Gower's coefficient,
    the customers with most missing values would be near to everybody and become medoids.) A value
    missing for a medoid is set to the median or the most frequent value of its segment. Customers
    are then compared with the medoids by their known columns. For prototypes a missing number is
    set to the mean and a missing category is a category of its own. Evidence:
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
    ks = [k] if k is not None else sorted({int(one) for one in k_range})
    _check(method, ks, gamma, sample, starts)
    table = feature_rows(frame, columns)
    kinds: dict[str, Any] = {
        "numeric": numeric, "ordinal": ranks, "categorical": categorical,
        "asymmetric": asymmetric, "transform": transform,
    }  # fmt: skip
    ranged = learn_space(table, **kinds, scale="range")
    near = ranged.encode(table)
    drawn = np.random.default_rng(seed).permutation(table.height)[:sample]
    some = np.sort(drawn)
    distinct = _distinct(near.rows(some))
    if distinct < (k or 2):
        raise DataError(
            f"{number(k or 2)} segments need as many different customers; among "
            f"{number(len(some))} there are {number(distinct)}"
        )
    with single_thread():
        distances = gower(near.rows(some), near.rows(some), expected=True)
        space, encoded = ranged, near
        if method == "prototypes":
            space = learn_space(table, **kinds, scale="deviation")
            encoded = space.encode(table)
            gamma = default_gamma(np.nan_to_num(encoded.numbers)) if gamma is None else gamma
        given = _Given(table, space, encoded, some, distances, gamma)
        tried = [_fit(given, one, method, starts, seed) for one in ks if one <= distinct]
    best = max(tried, key=lambda one: (one["silhouette"], -one["k"]))
    model = _model(given, best["examples"], method, seed)
    return _segmentation(given, model, tried, best, starts)


def _check(method: str, ks: list[int], gamma: float | None, sample: int, starts: int) -> None:
    if method not in WAYS:
        raise ParameterError(unknown("method for mixed columns", method, WAYS))
    if min(ks, default=0) < 2 or sample < 2 or starts < 1 or (gamma is not None and gamma < 0):
        raise ParameterError(
            "expected k >= 2 (or None), sample >= 2, starts >= 1, gamma >= 0; got "
            f"k = {', '.join(str(k) for k in ks)}, {sample}, {starts}, {gamma}"
        )
    if gamma is not None and method != "prototypes":
        raise ParameterError(f"gamma is the weight of k-prototypes; {method} has none")


def _distinct(encoded: Encoded) -> int:
    whole = np.column_stack([encoded.numbers, encoded.codes, encoded.marks])
    return len(np.unique(np.nan_to_num(whole, nan=-9.0), axis=0))


def _fit(given: _Given, k: int, method: str, starts: int, seed: int) -> dict[str, Any]:
    """Find k segments; return their examples with the silhouette on the sample."""
    encoded, some, reached = given.encoded, given.some, 1
    if method == "prototypes":
        fit = fit_prototypes(
            np.nan_to_num(encoded.numbers), joined_codes(encoded), k,
            gamma=given.gamma or 0.0, starts=starts, seed=seed,
        )  # fmt: skip
        cost, reached = fit.cost, fit.reached
        bare = [_prototype(given.space, p, m) for p, m in zip(fit.points, fit.modes, strict=True)]
    else:
        if method == "medoids":
            medoids = pam(given.distances, k)
            rows, members, cost = medoids.rows, medoids.groups, medoids.cost
        else:
            rows, members, cost = _branches(given.distances, k)
        bare = [
            _medoid(given, int(some[row]), some[members == place]) for place, row in enumerate(rows)
        ]
    groups = distances_to(encoded, bare, method, given.gamma).argmin(axis=1)
    fair = mean_silhouette(given.distances, np.unique(groups[some], return_inverse=True)[1])
    return {"k": k, "silhouette": fair, "cost": cost, "reached": reached, "examples": bare}


def _branches(distances: Floats, k: int) -> tuple[Ints, Ints, float]:
    """Cut the average-linkage tree; return medoids, branches, mean distance to nearest medoid."""
    from scipy.cluster.hierarchy import fcluster, linkage
    from scipy.spatial.distance import squareform

    tree = linkage(squareform(distances, checks=False), "average")
    groups = fcluster(tree, k, "maxclust") - 1
    if len(np.unique(groups)) < k:
        raise DataError(f"equal distances leave fewer than {k} branches; ask for fewer segments")
    rows = []
    for group in range(k):
        inside = np.flatnonzero(groups == group)
        rows.append(inside[distances[np.ix_(inside, inside)].sum(axis=0).argmin()])
    chosen = np.array(rows)
    return chosen, groups, float(distances[:, chosen].min(axis=1).mean())


def _medoid(given: _Given, row: int, members: Ints) -> Example:
    """Return a customer as its segment's example; what it lacks is filled from the members."""
    one, group = given.encoded.rows([row]), given.encoded.rows(members)
    raw = given.table.select(given.space.features).row(row, named=True)
    values = {name: None if value != value else value for name, value in raw.items()}  # NaN
    space = given.space
    for names, own, theirs in (
        (space.number_names, one.numbers[0], group.numbers),
        (tuple(space.categorical), one.codes[0], group.codes),
        (space.asymmetric, one.marks[0], group.marks),
    ):
        for place, name in enumerate(names):
            values_there = theirs[:, place]
            values_there = (
                values_there[~np.isnan(values_there)]
                if values_there.dtype.kind == "f"
                else values_there[values_there >= 0]
            )
            lacks = np.isnan(own[place]) if values_there.dtype.kind == "f" else own[place] < 0
            if not lacks or not values_there.size:
                continue
            # The lower median is a value that occurs among the members, and is 0 or 1 for marks.
            levels, counts = np.unique(values_there, return_counts=True)
            typical = names is space.number_names
            own[place] = np.sort(values_there)[(len(values_there) - 1) // 2] if typical else (
                levels[counts.argmax()]
            )  # fmt: skip
            donor = members[int(np.flatnonzero(theirs[:, place] == own[place])[0])]
            values[name] = given.table.get_column(name)[int(donor)]
    return Example("", "", 0, values, _plain(one.numbers[0]), _ints(one.codes[0]),
                   _plain(one.marks[0]), 0.0)  # fmt: skip


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
    return Example("", "", 0, values, _plain(point), _ints(modes), (), 0.0)


def _plain(values: Floats) -> tuple[float | None, ...]:
    return tuple(None if np.isnan(v) else float(v) for v in values)


def _ints(values: Ints) -> tuple[int, ...]:
    return tuple(int(v) for v in values)


def _model(given: _Given, bare: list[Example], method: str, seed: int) -> MixedModel:
    """Order, name and measure the segments."""
    from segkit import __version__

    groups = distances_to(given.encoded, bare, method, given.gamma).argmin(axis=1)
    keys = np.array([[v or 0.0 for v in (*e.numbers, *e.codes, *e.marks)] for e in bare])
    order = by_size(groups, keys)
    bare = [bare[g] for g in order]
    distances = distances_to(given.encoded, bare, method, given.gamma)
    groups = distances.argmin(axis=1)
    counts, reach = np.bincount(groups, minlength=len(bare)), reaches(distances.min(axis=1), groups)
    names = _names(given.space, given.encoded, groups)
    examples = tuple(
        Example(name, names[g], int(counts[g]), e.centre, e.numbers, e.codes, e.marks, reach[g])
        for g, (name, e) in enumerate(zip(segment_ids(len(bare)), bare, strict=True))
    )
    used = given.table.height if method == "prototypes" else len(given.some)
    return MixedModel(
        given.space, examples, method, given.gamma, given.table.height, used, seed, __version__
    )


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
    given: _Given, model: MixedModel, tried: list[dict[str, Any]], best: dict[str, Any], starts: int
) -> Segmentation:
    compared = pl.DataFrame(
        [
            {**{key: one[key] for key in ("k", "silhouette", "cost", "reached")},
             "chosen": one is best}
            for one in tried
        ]
    )  # fmt: skip
    rows = "all customers" if len(given.some) == given.table.height else (
        f"a random {number(len(given.some))} of them"
    )  # fmt: skip
    how = WAYS[model.method]
    if model.method == "prototypes":
        how += (
            f" (a mismatch of categories weighs {number(model.gamma)} squared standard "
            f"deviations; {number(best['reached'])} of {number(starts)} starts reached the best)"
        )
    else:
        how += f", found on {rows}"
    notes = [f"Mean silhouette by Gower's distance {number(best['silhouette'])}, on {rows}."]
    gaps = int(
        np.isnan(given.encoded.numbers).any(axis=1).sum() + (given.encoded.codes < 0).any(1).sum()
    )
    if gaps:
        treated = (
            "a missing number lies at the mean, a missing category is one of its own"
            if model.method == "prototypes"
            else "a column counts at its mean where one of two customers lacks it"
        )
        notes.append(f"With missing values: {treated}.")
    return Segmentation(
        assignments=model.score(given.table).select("customer_id", "segment", "segment_name"),
        posterior=None,
        model=model,
        segments=model.to_frame(),
        method=model.method,
        k=best["k"],
        compared=compared,
        criterion="silhouette",
        found_by=how,
        notes=tuple(notes),
    )
