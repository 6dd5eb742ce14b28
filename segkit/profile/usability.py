"""Usability of segments: measurable, substantial, accessible, relevant, differentiated, stable."""

from __future__ import annotations

import html
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from segkit.display import number, percent
from segkit.errors import require_columns
from segkit.frames import takes_frames
from segkit.profile.composition import held_out_skill, predictability, read_descriptions
from segkit.profile.members import match_members
from segkit.profile.segment_profile import Profile
from segkit.profile.variables import read_variables
from segkit.result import Result
from segkit.stats.intervals import wilson

if TYPE_CHECKING:
    from segkit.plot import Figure


TYPES: dict[str, type[pl.DataType]] = {
    **dict.fromkeys(["segment", "segment_name", "test", "measure"], pl.String),
    **dict.fromkeys(["value", "low", "high", "threshold"], pl.Float64),
    "passed": pl.Boolean,
    "why": pl.String,
}
Triple = tuple[float | None, float | None, float | None]


TESTS = ("measurable", "substantial", "accessible", "relevant", "differentiated", "stable")
BASIC = TESTS[:4]
SIGNS = {True: "✓ yes", False: "✗ no", None: "not tested"}


@dataclass(frozen=True, slots=True)
class Thresholds:
    """Thresholds of each test of usability.

    Attributes
    ----------
    known_share : float
        Measurable: least share of the variables' values that is known.
    customers : int
        Substantial: least number of customers ...
    customer_share, revenue_share : float
        ... least share of customers, and of revenue, by the lower limit of the interval.
    reachable_share : float
        Accessible: least share with consent and a known channel, by the lower limit.
    predictable_auc : float
        Accessible: least cross-validated area under the ROC curve with which descriptors tell
        the segment from the others, by the lower limit (0.5 is guessing).
    relevant_difference : float
        Relevant: least size of the standardised difference on the KPI (Cohen's "small").
    apart : float
        Differentiated: least standardised difference from the nearest other segment on the
        variable that sets them apart most (Cohen's "large").
    jaccard : float
        Stable: least clusterwise Jaccard index (Hennig 2007: 0.75).
    """

    known_share: float = 0.8
    customers: int = 100
    customer_share: float = 0.05
    revenue_share: float = 0.05
    reachable_share: float = 0.5
    predictable_auc: float = 0.6
    relevant_difference: float = 0.2
    apart: float = 0.8
    jaccard: float = 0.75


@dataclass(frozen=True, slots=True)
class Trial:
    """One measure of one segment against its threshold; ``passed`` is None if not measured."""

    segment: str
    test: str
    measure: str
    value: float | None
    low: float | None
    high: float | None
    threshold: float
    passed: bool | None
    why: str

    def row(self, names: Mapping[str, str]) -> dict[str, Any]:
        """Return the trial as a row of the table."""
        return {
            "segment": self.segment, "segment_name": names[self.segment], "test": self.test,
            "measure": self.measure, "value": self.value, "low": self.low, "high": self.high,
            "threshold": self.threshold, "passed": self.passed, "why": self.why,
        }  # fmt: skip


def try_segment(
    profile: Profile, segment: str, evidence: Mapping[str, Any], limits: Thresholds
) -> Iterator[Trial]:
    """Yield every measure of one segment."""
    mine = profile.of(segment)
    row = mine["segments"].row(0, named=True)
    if row["customers"] == 0:
        yield Trial(
            segment, "substantial", "customers", 0.0, None, None, float(limits.customers),
            passed=False, why="the segment is empty",
        )  # fmt: skip
        return
    yield _measurable(segment, mine["variables"], limits)
    yield from _substantial(segment, row, limits)
    yield _by_low(
        segment, "accessible", "reachable_share", evidence.get("reach"), limits.reachable_share,
        "have consent and a known channel", "no marketing_consent is recorded",
    )  # fmt: skip
    yield _by_low(
        segment, "accessible", "predictable_auc", evidence.get("auc"), limits.predictable_auc,
        "area under the ROC curve of descriptors, held out", "no descriptors, or too few customers",
    )  # fmt: skip
    yield _relevant(segment, profile, mine["variables"], evidence.get("skill"), limits)
    yield _apart(segment, profile, limits)
    value = evidence.get("jaccard")
    yield Trial(
        segment, "stable", "jaccard", value, None, None, limits.jaccard,
        passed=None if value is None else value >= limits.jaccard,
        why="no stability was given, or too few customers to judge it"
        if value is None
        else f"Jaccard index {number(value)}",
    )  # fmt: skip


def _measurable(segment: str, variables: pl.DataFrame, limits: Thresholds) -> Trial:
    cells = variables.select((pl.col("customers") + pl.col("missing")).sum()).item()
    share = float(variables.get_column("customers").sum()) / cells if cells else None
    return Trial(
        segment, "measurable", "known_share", share, None, None, limits.known_share,
        passed=None if share is None else share >= limits.known_share,
        why=f"{percent(share)} of the variables' values are known",
    )  # fmt: skip


def _substantial(segment: str, row: Mapping[str, Any], limits: Thresholds) -> Iterator[Trial]:
    count = float(row["customers"])
    yield Trial(
        segment, "substantial", "customers", count, None, None, float(limits.customers),
        passed=count >= limits.customers, why=f"{number(count)} customers",
    )  # fmt: skip
    for name in ("customer_share", "revenue_share"):
        triple = (row[name], row[f"{name}_low"], row[f"{name}_high"])
        words = f"of {'customers' if name == 'customer_share' else 'revenue'}"
        yield _by_low(
            segment, "substantial", name, triple, getattr(limits, name), words, "no revenue known"
        )


def _by_low(
    segment: str,
    test: str,
    measure: str,
    triple: Triple | None,
    threshold: float,
    words: str,
    missing: str,
) -> Trial:
    """Compare the interval's lower limit with the threshold, so that chance rarely passes."""
    value, low, high = triple or (None, None, None)
    if value is None or low is None or high is None:
        return Trial(segment, test, measure, value, low, high, threshold, passed=None, why=missing)
    write = number if measure.endswith("auc") else percent
    return Trial(
        segment, test, measure, value, low, high, threshold, passed=low >= threshold,
        why=f"{write(value)} {words} (at least {write(low)})",
    )  # fmt: skip


def _relevant(
    segment: str,
    profile: Profile,
    variables: pl.DataFrame,
    skill: float | None,
    limits: Thresholds,
) -> Trial:
    rows = variables.filter(pl.col("variable") == (profile.kpi or ""))
    row = rows.row(0, named=True) if rows.height else None
    circular = profile.kpi in profile.clustering_variables
    if row is None or circular or row["difference_low"] is None or skill is None:
        why = "the KPI built the segments: circular" if circular else "no KPI to judge by"
        return Trial(
            segment, "relevant", "kpi_difference", None, None, None, limits.relevant_difference,
            passed=None, why=why,
        )  # fmt: skip
    value, low, high = (row[f"difference{end}"] for end in ("", "_low", "_high"))
    passed = abs(value) >= limits.relevant_difference and (low > 0 or high < 0) and skill > 0
    return Trial(
        segment, "relevant", "kpi_difference", value, low, high, limits.relevant_difference,
        passed=passed,
        why=(
            f"{number(value)} standard deviations from all on {profile.kpi}; the segment's mean "
            f"foretells held-out members {percent(skill)} better than that of all"
        ),
    )  # fmt: skip


def _apart(segment: str, profile: Profile, limits: Thresholds) -> Trial:
    """Test the difference from the nearest other segment on the variable that differs most."""
    differing = profile.variables.filter(pl.col("role") != "kpi").drop_nulls("difference")
    mine = differing.filter(pl.col("segment") == segment).select("variable", own="difference")
    pairs = differing.filter(pl.col("segment") != segment).join(mine, on="variable")
    far = (
        pairs.with_columns(apart=(pl.col("difference") - pl.col("own")).abs())
        .sort("apart", descending=True, maintain_order=True)
        .group_by("segment", maintain_order=True)
        .first()
        .sort("apart", maintain_order=True)
    )
    if far.height == 0:
        return Trial(
            segment, "differentiated", "apart", None, None, None, limits.apart, passed=None,
            why="there is no other segment to compare with",
        )  # fmt: skip
    row = far.row(0, named=True)
    return Trial(
        segment, "differentiated", "apart", row["apart"], None, None, limits.apart,
        passed=row["apart"] >= limits.apart,
        why=(
            f"{number(row['apart'])} standard deviations from {row['segment_name']}, the nearest, "
            f"on {row['variable']}"
        ),
    )  # fmt: skip


@dataclass(frozen=True, slots=True, eq=False)
class Usability(Result):
    """Usability of each segment, and the tests that it does not pass.

    Attributes
    ----------
    trials : polars.DataFrame
        One row per segment and measure: segment, segment_name, test, measure, value with limits,
        threshold, passed (null where not tested), why.
    scores : polars.DataFrame
        One row per segment: customers, customer_share, revenue_share, revenue_index (revenue per
        customer over that of all), one Boolean column per test (all its measures that could be
        computed passed; null if none could), passed, made (counts of tests), verdict.
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
        """Draw the segment evaluation plot: size on the x axis, value per customer on the y axis.

        Without revenue, the y axis shows the share of tests passed.
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
def assess_usability(
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
    """Test whether each segment is measurable, substantial, accessible, relevant, distinct, stable.

    Parameters
    ----------
    profile : Profile
        From `profile_segments` on the same frames; its KPI is the one judged.
    frame, assignments : polars.DataFrame
        As given to `profile_segments`.
    customers : polars.DataFrame, optional
        The customers contract; without it consent, channel and descriptors are unknown.
    stability : polars.DataFrame, optional
        segment and jaccard (clusterwise stability); without it stability is not tested.
    thresholds : Thresholds, optional
        The limits.
    as_of : datetime.date, optional
        Day at which ages are taken; by default the profile's.
    folds : int
        Folds of the cross-validations.
    seed : int
        For the random folds.

    Returns
    -------
    Usability

    Notes
    -----
    Measurable, substantial, accessible: Kotler & Keller (2016), Marketing Management, chapter 9.
    Accessible also tests whether descriptors (never behaviour) separate members from others, by
    cross-validated AUC. Relevant: a standardised difference on the KPI whose interval excludes
    zero, and a better prediction of held-out members' KPI; a KPI that built the segments is
    refused as circular. Differentiated: the largest standardised difference from the nearest
    other segment. Stable: Hennig (2007), "Cluster-wise assessment of cluster stability".

    Examples
    --------
    >>> from segkit.profile import profile_segments
    >>> table = pl.DataFrame({"customer_id": [*"abcd"], "orders": [1, 2, 8, 9]})
    >>> chosen = pl.DataFrame({"customer_id": [*"abcd"], "segment": ["S1", "S1", "S2", "S2"]})
    >>> usability = assess_usability(profile_segments(table, chosen), table, chosen)
    >>> usability.scores["substantial"].to_list()
    [False, False]
    """
    limits = thresholds or Thresholds()
    members = match_members(frame, assignments)
    named = dict(zip(members.segments, members.names, strict=True))
    evidence: dict[str, dict[str, Any]] = {segment: {} for segment in members.segments}
    described, _ = read_descriptions(members, customers, as_of or profile.as_of, pl.DataFrame())
    consents = [name for name in described.columns if name.endswith("_consent")]
    areas = predictability(
        members, described.drop(consents), folds=folds, seed=seed, level=profile.level
    )
    for row in areas.iter_rows(named=True) if areas is not None else ():
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
