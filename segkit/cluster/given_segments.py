"""Validation of segments from rules or other sources, by the measures used for clusters."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from segkit.cluster.matrix import Floats, customer_rows, fitted_transform, without_gaps
from segkit.cluster.refits import resampled_rows
from segkit.cluster.stability import JACCARD, RECOVERED, jaccard_figures
from segkit.cluster.validity import sampled_rows, silhouettes_of
from segkit.display import counted, number, percent
from segkit.errors import DataError, require_columns, require_least
from segkit.frames import takes_frames
from segkit.plot import Figure, bars
from segkit.result import Result
from segkit.rules import RuleSet
from segkit.transform import Transform

Flags = NDArray[np.bool_]
Refit = Callable[[pl.DataFrame], pl.DataFrame]


@dataclass(frozen=True, slots=True, eq=False)
class SegmentValidity(Result):
    """Separation and stability of each given segment.

    Attributes
    ----------
    segments : polars.DataFrame
        One row per segment: segment, segment_name, customers, customer_share (of all customers of
        the table), silhouette (mean of its members), separation (distance from its centre to that
        of the nearest other segment, over the sum of both segments' mean distances from their own
        centre; from 1 on they are well separated), nearest; jaccard (mean over the refits),
        jaccard_low, jaccard_high (10% and 90%), band (Hennig 2007); null where nothing was
        refitted.
    customers : int
        Customers of the table.
    outside : int
        Those in no segment.
    overlapping : bool
        Whether customers are in several segments: each is then compared with all other customers.
    variables : tuple of str
        Variables that separation is computed from.
    refits : int
        0 if the segments are fixed, so that nothing in them is learnt from the data.
    """

    segments: pl.DataFrame
    customers: int
    outside: int
    overlapping: bool
    variables: tuple[str, ...]
    refits: int

    @property
    def text(self) -> str:
        """Segments that are well separated, segments that are stable, and the basis of both."""
        far = self.segments.filter(pl.col("separation") >= 1)["segment_name"].to_list()
        against = "all customers outside it" if self.overlapping else "the nearest other"
        none = f"; {percent(self.outside / self.customers)} are in none" if self.outside else ""
        stability = (
            "The conditions are fixed, so resampling cannot move a customer: stability is not "
            "tested, and says nothing for them."
        )
        if self.refits:
            sure = self.segments.filter(pl.col("jaccard") > RECOVERED)["segment_name"].to_list()
            stability = (
                f"Made again from {counted(self.refits, 'resample')}, {', '.join(sure) or 'none'} "
                f"{'comes' if len(sure) < 2 else 'come'} out stable (mean Jaccard above "
                f"{number(RECOVERED)})."
            )
        return (
            f"{counted(self.segments.height, 'segment')} of {counted(self.customers, 'customer')} "
            f"judged on {counted(len(self.variables), 'variable')}{none}. Farther from {against} "
            f"than both are wide: {', '.join(far) or 'none'}. {stability} Segments drawn by rules "
            "are constructive: useful lines, not natural groups."
        )

    def plot(self) -> Figure:
        """Draw each segment's separation."""
        return bars(
            self.segments.drop_nulls("separation"),
            "segment_name",
            "separation",
            reference=1.0,
            title="How far each segment lies from the nearest other",
            percent=False,
            y_label="Distance between centres, over the two widths (1: apart)",
        )


@takes_frames
def assign_by_rules(frame: pl.DataFrame, rules: RuleSet | Mapping[str, str]) -> pl.DataFrame:
    """Assign customers to the rules that they meet, as a table like that of a clustering.

    Parameters
    ----------
    frame : polars.DataFrame
        One row per customer: ``customer_id`` and the columns that the rules read.
    rules : RuleSet or mapping of str to str
        A rule set gives everyone one segment at most; conditions by name may overlap, and give a
        customer a row for each segment that it is in.

    Returns
    -------
    polars.DataFrame
        customer_id, segment, segment_name (both the rule's name). Customers whom no rule matches
        are absent.

    Raises
    ------
    ColumnError, RuleError
        As the rules raise them.

    Examples
    --------
    >>> table = pl.DataFrame({"customer_id": ["a", "b"], "visits": [1, 9]})
    >>> assign_by_rules(table, {"keen": "visits > 5", "all": "visits > 0"}).rows()
    [('b', 'keen', 'keen'), ('a', 'all', 'all'), ('b', 'all', 'all')]
    """
    require_columns(frame.columns, ["customer_id"], "the customer table")
    rules = RuleSet.take(rules)
    ids = pl.col("customer_id").cast(pl.String)
    if rules.policy != "many":
        assignments = (
            rules.apply(frame, column="segment").select(ids, "segment").drop_nulls("segment")
        )
    else:
        flags = frame.select(ids).hstack(rules.matches(frame))
        assignments = pl.concat(
            flags.filter(pl.col(name)).select("customer_id", pl.lit(name).alias("segment"))
            for name in rules.names
        )
    return assignments.with_columns(segment_name=pl.col("segment"))


@takes_frames
def validate_segments(
    frame: pl.DataFrame,
    segments: pl.DataFrame | RuleSet | Mapping[str, str],
    *,
    variables: Sequence[str],
    refit: Refit | None = None,
    transform: Transform | None = None,
    refits: int = 50,
    rows: int | None = None,
    seed: int = 0,
) -> SegmentValidity:
    """Measure the separation and stability of given segments.

    Parameters
    ----------
    frame : polars.DataFrame
        The customer table.
    segments : polars.DataFrame, RuleSet or mapping
        Assignments (customer_id, segment, optionally segment_name), or rules; see
        `assign_by_rules`. A customer may be in several.
    variables : sequence of str
        Numeric columns on which the segments should differ.
    refit : callable, optional
        Function that returns the assignments for a table of resampled customers. Give it if the
        rules depend on the data (on quantiles, for example). Without it, stability is not tested.
    transform : Transform, optional
        Of the variables; proposed and fitted here by default.
    refits : int
        Bootstrap resamples; a customer drawn twice counts once.
    rows : int, optional
        Customers whose silhouette is computed; see `segkit.cluster.measure_validity`.
    seed : int

    Returns
    -------
    SegmentValidity

    Raises
    ------
    ColumnError, DataError
        If a column is missing, or no segment has two members among the table's customers.
    ParameterError
        If fewer than one resample is asked for.

    Notes
    -----
    Separation is the inverse of the ratio of Davies and Bouldin (1979) for the nearest segment;
    stability Hennig's (2007) clusterwise Jaccard coefficient.

    Examples
    --------
    >>> table = pl.DataFrame({"customer_id": [*"abcd"], "visits": [1.0, 2.0, 50.0, 51.0]})
    >>> rules = {"seldom": "visits < 10", "often": "visits >= 10"}
    >>> validate_segments(table, rules, variables=["visits"]).segments["separation"].min() > 1
    True
    """
    require_least(refits=(refits, 1))
    table = customer_rows(frame, variables)
    if not isinstance(segments, pl.DataFrame):
        segments = assign_by_rules(frame, segments)
    names, within = _within(table["customer_id"], segments)
    fitted = fitted_transform(table, variables, transform)
    X = fitted.apply(table)
    overlapping = bool((within.sum(axis=0) > 1).any())
    measured = _measured(X, within, list(names.values()), overlapping, rows, seed)
    stable: dict[str, Any] = {}
    if refit is not None:
        stable = _stable(frame, table["customer_id"], within, refit, refits, seed)
    kinds = {"nearest": pl.String, "band": pl.String, "customers": pl.Int64}
    kinds |= dict.fromkeys(JACCARD, pl.Float64)
    table_of_segments = pl.DataFrame(
        {
            "segment": list(names),
            "segment_name": list(names.values()),
            "customers": within.sum(axis=1),
            "customer_share": within.mean(axis=1),
            **measured,
            **{name: stable.get(name, [None] * len(names)) for name in (*JACCARD, "band")},
        },
        schema_overrides=kinds,
    )
    return SegmentValidity(
        segments=table_of_segments.with_columns(pl.selectors.float().fill_nan(None)),
        customers=table.height,
        outside=int((~within.any(axis=0)).sum()),
        overlapping=overlapping,
        variables=fitted.names,
        refits=refits if refit is not None else 0,
    )


def _within(ids: pl.Series, given: pl.DataFrame) -> tuple[dict[str, str], Flags]:
    """Return the segments' names by id, and who is in which, shape (segments, customers)."""
    require_columns(given.columns, ["customer_id", "segment"], "the assignments")
    assigned = given.drop_nulls("segment").with_columns(pl.col("segment").cast(pl.String))
    name = "segment_name" if "segment_name" in assigned.columns else "segment"
    both = assigned.select("segment", pl.col(name).cast(pl.String).alias("called"))
    names = dict(both.unique().sort("segment").iter_rows())
    place = {key: row for row, key in enumerate(names)}
    where = pl.DataFrame({"customer_id": ids}).with_row_index("row")
    pairs = assigned.join(where, on="customer_id", how="inner")
    within = np.zeros((len(names), len(ids)), dtype=np.bool_)
    within[[place[key] for key in pairs["segment"]], pairs["row"].to_numpy()] = True
    if not (within.sum(axis=1) > 1).any():
        raise DataError("no segment has two members among the table's customers")
    return names, within


def _measured(
    X: Floats, within: Flags, names: list[str], overlapping: bool, rows: int | None, seed: int
) -> dict[str, Any]:
    """Return silhouette, separation and nearest of each segment; of empty ones nothing."""
    sampled = sampled_rows(X, rows, seed)
    silhouette, apart = np.full(len(names), np.nan), np.full(len(names), np.nan)
    nearest: list[str | None] = [None] * len(names)
    if not overlapping:
        members = np.flatnonzero(within.any(axis=0))
        codes = without_gaps(within[:, members].argmax(axis=0))
        chosen = np.flatnonzero(np.isin(members, sampled))
        values = silhouettes_of(X[members], codes[:, None], chosen)[:, 0]
    for i, part in enumerate(within):
        if not part.any() or part.all():
            continue
        if overlapping:
            others = {"all others": ~part}
            two = (~part).astype(np.int64)[:, None]
            own = silhouettes_of(X, two, sampled[part[sampled]])[:, 0]
        else:
            others = {names[j]: within[j] for j in range(len(names)) if j != i and within[j].any()}
            own = values[part[members[chosen]]]
        ratios = {name: _separation(X[part], X[rest]) for name, rest in others.items()}
        if ratios:
            nearest[i], apart[i] = min(ratios.items(), key=lambda pair: pair[1])
        silhouette[i] = own.mean() if len(own) else np.nan
    return {"silhouette": silhouette, "separation": apart, "nearest": nearest}


def _separation(first: Floats, second: Floats) -> float:
    """Return the distance of two centres over the sum of the mean distances to them."""
    centres = first.mean(axis=0), second.mean(axis=0)
    distance = float(np.linalg.norm(centres[0] - centres[1]))
    widths = [
        float(np.linalg.norm(part - centre, axis=1).mean())
        for part, centre in zip((first, second), centres, strict=True)
    ]
    both = sum(widths)
    return distance / both if both > 0 else (float("inf") if distance > 0 else 0.0)


def _stable(
    frame: pl.DataFrame, ids: pl.Series, within: Flags, refit: Refit, refits: int, seed: int
) -> dict[str, Any]:
    """Rebuild the segments from resamples; return each one's largest Jaccard coefficient."""
    ordered = frame.with_columns(pl.col("customer_id").cast(pl.String)).sort("customer_id")
    coefficients = np.full((refits, len(within)), np.nan)
    for turn, drawn in enumerate(resampled_rows(len(ids), refits, [seed, 11])):
        _, again = _within(ids.gather(drawn), refit(ordered[drawn]))
        mine = within[:, drawn].astype(np.float64)
        shared = mine @ again.T
        union = mine.sum(axis=1)[:, None] + again.sum(axis=1) - shared
        best = (shared / np.maximum(union, 1)).max(axis=1)
        coefficients[turn] = np.where(mine.any(axis=1), best, np.nan)
    return jaccard_figures(coefficients, within.sum(axis=1))
