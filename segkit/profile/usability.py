"""Is a segment of use: measurable, substantial, accessible, relevant, differentiated, stable."""

from __future__ import annotations

import html
from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from segkit.display import number
from segkit.errors import require_columns
from segkit.frames import takes_frames
from segkit.profile.composition import read_descriptions
from segkit.profile.members import match_members
from segkit.profile.outcome import Profile
from segkit.profile.prediction import held_out_skill, predictability
from segkit.profile.thresholds import Thresholds
from segkit.profile.trials import TYPES, try_segment
from segkit.profile.variables import read_variables
from segkit.result import Result
from segkit.stats.intervals import wilson

if TYPE_CHECKING:
    from segkit.plot import Figure

TESTS = ("measurable", "substantial", "accessible", "relevant", "differentiated", "stable")
BASIC = TESTS[:4]
SIGNS = {True: "✓ yes", False: "✗ no", None: "not tested"}


@dataclass(frozen=True, slots=True, eq=False)
class Usability(Result):
    """Which segments can be acted on, and what stands in the way of the others.

    Attributes
    ----------
    trials : polars.DataFrame
        One row a segment and measure: segment, segment_name, test, measure, value with limits,
        threshold, passed (null where not tested), why.
    scores : polars.DataFrame
        One row a segment: customers, customer_share, revenue_share, revenue_index (revenue a
        customer over that of all), one Boolean column a test (all its measures that could be
        taken passed; null if none could), passed, made (counts of tests), verdict.
    thresholds : Thresholds
        The limits.
    notes : tuple of str
    """

    trials: pl.DataFrame
    scores: pl.DataFrame
    thresholds: Thresholds
    notes: tuple[str, ...]

    def to_frame(self) -> pl.DataFrame:
        """Return every measure of every segment."""
        return self.trials

    @property
    def text(self) -> str:
        """The finding in words."""
        good = self.scores.filter(pl.col("verdict") == "usable").get_column("segment_name")
        parts = [
            f"{number(good.len())} of {number(self.scores.height)} segments pass every test made"
        ]
        parts[0] += f": {', '.join(good.to_list())}." if good.len() else "."
        for row in self.scores.iter_rows(named=True):
            failed = [test for test in TESTS if row[test] is False]
            if failed:
                parts.append(f"{row['segment_name']} fails: {', '.join(failed)}.")
        untested = [
            t for t in TESTS if self.scores.get_column(t).null_count() == self.scores.height
        ]
        if untested:
            parts.append(f"Not tested for want of data: {', '.join(untested)}.")
        parts += [f"{note[0].upper()}{note[1:]}." for note in self.notes]
        parts.append("The thresholds are conventions, given with the result; change them there.")
        return " ".join(parts)

    def plot(self) -> Figure:
        """Draw the segment evaluation plot: size across, worth a customer up.

        Without revenue, the share of tests passed stands for the worth.
        """
        from segkit.plot import points

        by_worth = self.scores.get_column("revenue_index").null_count() == 0
        y = "revenue_index" if by_worth else "passed_share"
        data = self.scores.filter(pl.col("customers") > 0).with_columns(
            passed_share=pl.col("passed") / pl.col("made"),
            label=pl.format("{}: {}/{} tests", "segment_name", "passed", "made"),
        )  # fmt: skip
        return points(
            data, "customer_share", y, label="label", percent=not by_worth,
            title="Which segments are large, which are worth most",
            x_label="Share of customers",
            y_label="Revenue a customer (all customers = 1)" if by_worth else "Tests passed",
        )  # fmt: skip

    def _repr_html_(self) -> str:
        head = "".join(
            f'<th scope="col">{html.escape(t)}</th>' for t in ("segment", *TESTS, "verdict")
        )
        body = "".join(
            f'<tr><th scope="row" style="text-align:left">{html.escape(row["segment_name"])}</th>'
            + "".join(f"<td>{SIGNS[row[test]]}</td>" for test in TESTS)
            + f"<td>{html.escape(row['verdict'])}</td></tr>"
            for row in self.scores.iter_rows(named=True)
        )
        return (
            f"<p>{html.escape(self.text)}</p><table class='segkit'>"
            "<caption>Tests of a usable segment</caption>"
            f"<thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"
        )


@takes_frames
def usable(
    profile: Profile,
    frame: pl.DataFrame,
    assignments: pl.DataFrame,
    *,
    customers: pl.DataFrame | None = None,
    stability: pl.DataFrame | None = None,
    thresholds: Thresholds | None = None,
    as_of: date | None = None,
    folds: int = 5,
    seed: int = 0,
) -> Usability:
    """Test each segment for use: measured, large enough, reached, of consequence, distinct, stable.

    Parameters
    ----------
    profile : Profile
        From `profile_segments` on the same frames; its KPI is the one judged.
    frame, assignments : polars.DataFrame
        As given to `profile_segments`.
    customers : polars.DataFrame, optional
        The customers contract; without it nothing is known of consent, channel, descriptors.
    stability : polars.DataFrame, optional
        segment and jaccard (clusterwise stability); without it stability is not tested.
    thresholds : Thresholds, optional
        The limits.
    as_of : datetime.date, optional
        Day at which ages are taken; by default the profile's.
    folds : int
        Folds of the cross-validations.
    seed : int
        Deals customers into folds.

    Returns
    -------
    Usability

    Notes
    -----
    Measurable, substantial, accessible: Kotler & Keller (2016), Marketing Management, chapter 9.
    Accessible also asks whether descriptors (never behaviour) tell members from others, by
    cross-validated AUC. Relevant: a standardised difference on the KPI, its interval without
    zero, and a gain in foretelling held-out members' KPI; a KPI that built the segments is
    refused as circular. Differentiated: the largest standardised difference from the nearest
    other segment. Stable: Hennig (2007), "Cluster-wise assessment of cluster stability".

    Examples
    --------
    >>> from segkit.profile import profile_segments
    >>> table = pl.DataFrame({"customer_id": [*"abcd"], "orders": [1, 2, 8, 9]})
    >>> chosen = pl.DataFrame({"customer_id": [*"abcd"], "segment": ["S1", "S1", "S2", "S2"]})
    >>> usable(profile_segments(table, chosen), table, chosen).scores["substantial"].to_list()
    [False, False]
    """
    limits = thresholds or Thresholds()
    members = match_members(frame, assignments)
    named = dict(zip(members.segments, members.names, strict=True))
    evidence: dict[str, dict[str, Any]] = {segment: {} for segment in members.segments}
    described, _ = read_descriptions(members, customers, as_of or profile.as_of, pl.DataFrame())
    consents = [name for name in described.columns if name.endswith("_consent")]
    found = predictability(
        members, described.drop(consents), folds=folds, seed=seed, level=profile.level
    )
    for row in found.iter_rows(named=True) if found is not None else ():
        evidence[row["segment"]]["auc"] = (row["auc"], row["auc_low"], row["auc_high"])
    for i, segment in enumerate(members.segments):
        if "marketing_consent" in described.columns:
            evidence[segment]["reach"] = _reach(described, members.within[i], profile.level)
    if profile.kpi:
        kpi = read_variables(members.frame, [profile.kpi])
        if kpi.names:
            skill = held_out_skill(kpi.scaled[:, 0], members.within, folds=folds, seed=seed)
            for segment, value in zip(members.segments, skill, strict=True):
                evidence[segment]["skill"] = None if np.isnan(value) else float(value)
    if stability is not None:
        require_columns(stability.columns, ["segment", "jaccard"], "the stability frame")
        for segment, value in stability.select("segment", "jaccard").iter_rows():
            if segment in evidence:
                evidence[segment]["jaccard"] = value
    trials = [
        trial
        for segment in members.segments
        for trial in try_segment(profile, segment, evidence[segment], limits)
    ]
    table = pl.DataFrame([t.row(named) for t in trials], schema=TYPES)
    return Usability(table, _scores(profile, table), limits, _notes(profile))


def _reach(described: pl.DataFrame, inside: np.ndarray, level: float) -> tuple[float, float, float]:
    """Return the share with consent (and a known channel, where channels are recorded)."""
    reached = described.get_column("marketing_consent") == "yes"
    if "preferred_channel" in described.columns:
        reached = reached & described.get_column("preferred_channel").is_not_null()
    flags = reached.fill_null(value=False).to_numpy()[inside]
    share = wilson(flags.sum(), flags.size, level=level)
    return share.value, share.low, share.high


def _scores(profile: Profile, trials: pl.DataFrame) -> pl.DataFrame:
    made = trials.drop_nulls("passed")
    by_test = made.group_by("segment", "test").agg(pl.col("passed").all())
    wide = profile.segments.select(
        "segment", "segment_name", "customers", "customer_share", "revenue_share"
    )
    for test in TESTS:
        column = by_test.filter(pl.col("test") == test).select(
            "segment", pl.col("passed").alias(test)
        )
        wide = wide.join(column, on="segment", how="left", maintain_order="left")
    tests = [pl.col(test).cast(pl.Int64) for test in TESTS]
    basic_failed = pl.any_horizontal(~pl.col(test) for test in BASIC).fill_null(value=False)
    return wide.with_columns(
        revenue_index=pl.col("revenue_share") / pl.col("customer_share"),
        passed=pl.sum_horizontal(tests),
        made=pl.sum_horizontal(pl.col(test).is_not_null().cast(pl.Int64) for test in TESTS),
    ).with_columns(
        verdict=pl.when(pl.col("customers") == 0)
        .then(pl.lit("empty"))
        .when(pl.col("passed") == pl.col("made"))
        .then(pl.lit("usable"))
        .when(basic_failed)
        .then(pl.lit("not usable yet"))
        .otherwise(pl.lit("usable with care"))
    )


def _notes(profile: Profile) -> tuple[str, ...]:
    if profile.kpi and profile.kpi in profile.clustering_variables:
        return (f"{profile.kpi} built the segments, so its relevance is not tested: circular",)
    if profile.kpi is None:
        return ("no KPI was named, so relevance is not tested",)
    return ()
