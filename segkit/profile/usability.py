"""Usability of segments: measurable, substantial, accessible, relevant, differentiated, stable."""

from __future__ import annotations

import html
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from segkit.display import counted, join_words, number, percent
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


Row = dict[str, Any]


def _trial(
    test: str,
    measure: str,
    threshold: float,
    why: str,
    value: float | None = None,
    *,
    low: float | None = None,
    high: float | None = None,
    passed: bool | None = None,
) -> Row:
    """Return one measure against its threshold; ``passed`` is None if it was not measured."""
    return {
        "test": test,
        "measure": measure,
        "value": value,
        "low": low,
        "high": high,
        "threshold": threshold,
        "passed": passed,
        "why": why,
    }


def try_segment(
    profile: Profile, segment: str, evidence: Mapping[str, Any], limits: Thresholds
) -> Iterator[Row]:
    """Yield every measure of one segment."""
    tables = profile.of(segment)
    row, variables = tables["segments"].row(0, named=True), tables["variables"]
    count = float(row["customers"])
    if not count:
        why = "the segment is empty"
        yield _trial("substantial", "customers", limits.customers, why, 0.0, passed=False)
        return
    yield _measurable(variables, limits.known_share)
    enough, why = count >= limits.customers, f"{counted(count, 'customer')}"
    yield _trial("substantial", "customers", limits.customers, why, count, passed=enough)
    for name in ("customer_share", "revenue_share"):
        triple = (row[name], row[f"{name}_low"], row[f"{name}_high"])
        words = f"of {name.removesuffix('_share').replace('customer', 'customers')}"
        least = getattr(limits, name)
        yield _by_low("substantial", name, triple, least, words, "no revenue known")
    yield _by_low(
        "accessible",
        "reachable_share",
        evidence.get("reach"),
        limits.reachable_share,
        "have consent and a known channel",
        "no marketing_consent is recorded",
    )
    yield _by_low(
        "accessible",
        "predictable_auc",
        evidence.get("auc"),
        limits.predictable_auc,
        "area under the ROC curve of descriptors, held out",
        "no descriptors, or too few customers",
    )
    yield _relevant(profile, variables, evidence.get("skill"), limits.relevant_difference)
    yield _differentiable(profile, segment, limits.apart)
    value, why = evidence.get("jaccard"), "no stability was given, or too few customers to judge it"
    passed = None
    if value is not None:
        passed, why = value >= limits.jaccard, f"Jaccard index {number(value)}"
    yield _trial("stable", "jaccard", limits.jaccard, why, value, passed=passed)


def _measurable(variables: pl.DataFrame, least: float) -> Row:
    filled, missing = variables.select(pl.col("customers", "missing").sum()).row(0)
    share = float(filled) / (filled + missing) if filled + missing else None
    passed = None if share is None else share >= least
    why = f"{percent(share)} of the variables' values are known"
    return _trial("measurable", "known_share", least, why, share, passed=passed)


def _by_low(
    test: str,
    measure: str,
    triple: tuple[float | None, float | None, float | None] | None,
    threshold: float,
    words: str,
    missing: str,
) -> Row:
    """Compare the interval's lower limit with the threshold, so that chance rarely passes."""
    value, low, high = triple or (None, None, None)
    if value is None or low is None or high is None:
        return _trial(test, measure, threshold, missing, value, low=low, high=high)
    write = number if measure.endswith("auc") else percent
    why = f"{write(value)} {words} (at least {write(low)})"
    return _trial(test, measure, threshold, why, value, low=low, high=high, passed=low >= threshold)


def _relevant(profile: Profile, variables: pl.DataFrame, skill: float | None, least: float) -> Row:
    rows = variables.filter(pl.col("variable") == (profile.kpi or "")).to_dicts()
    circular = profile.kpi in profile.clustering_variables
    if not rows or circular or rows[0]["difference_low"] is None or skill is None:
        why = "the KPI built the segments: circular" if circular else "no KPI to judge by"
        return _trial("relevant", "kpi_difference", least, why)
    value, low, high = (rows[0][f"difference{end}"] for end in ("", "_low", "_high"))
    passed = abs(value) >= least and (low > 0 or high < 0) and skill > 0
    why = (
        f"{number(value)} standard deviations from all on {profile.kpi}; the segment's mean "
        f"foretells held-out members {percent(skill)} better than that of all"
    )
    return _trial(
        "relevant", "kpi_difference", least, why, value, low=low, high=high, passed=passed
    )


def _differentiable(profile: Profile, segment: str, least: float) -> Row:
    """Test the difference from the nearest other segment on the variable that differs most."""
    differing = profile.variables.filter(pl.col("role") != "kpi").drop_nulls("difference")
    mine = differing.filter(pl.col("segment") == segment).select("variable", own="difference")
    pairs = differing.filter(pl.col("segment") != segment).join(mine, on="variable")
    nearest = (
        pairs.with_columns(apart=(pl.col("difference") - pl.col("own")).abs())
        .sort("apart", descending=True, maintain_order=True)
        .group_by("segment", maintain_order=True)
        .first()
        .sort("apart", maintain_order=True)
    ).head(1)
    for row in nearest.iter_rows(named=True):
        value, where = row["apart"], f"{row['segment_name']}, the nearest, on {row['variable']}"
        why = f"{number(value)} standard deviations from {where}"
        return _trial("differentiated", "apart", least, why, value, passed=value >= least)
    return _trial("differentiated", "apart", least, "there is no other segment to compare with")


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

    @property
    def text(self) -> str:
        """The finding in words."""
        usable = self.scores.filter(pl.col("verdict") == "usable")["segment_name"].to_list()
        passing = f"{number(len(usable))} of {counted(self.scores.height, 'segment')}"
        names = f": {', '.join(usable)}" if usable else ""
        parts = [f"{passing} pass every test made{names}."]
        for row in self.scores.iter_rows(named=True):
            failed = [test for test in TESTS if row[test] is False]
            if failed:
                parts.append(f"{row['segment_name']} fails: {', '.join(failed)}.")
        untested = [test for test in TESTS if self.scores[test].is_null().all()]
        if untested:
            parts.append(f"Not tested for want of data: {', '.join(untested)}.")
        parts += [f"{note[0].upper()}{note[1:]}." for note in self.notes]
        parts.append("The thresholds are conventions, given with the result; change them there.")
        return " ".join(parts)

    @property
    def answer(self) -> str:
        """How many segments pass every test, and which."""
        usable = self.scores.filter(pl.col("verdict") == "usable")["segment_name"].to_list()
        count = len(usable)
        verdict = "Yes" if count == self.scores.height else "In part" if count else "No"
        whole = counted(self.scores.height, "segment")
        text = f"{verdict}: {number(count)} of {whole} pass every test"
        return f"{text}: {join_words(usable)}." if 0 < count < self.scores.height else f"{text}."

    def plot(self) -> Figure:
        """Draw the segment evaluation plot: size on the x axis, value per customer on the y axis.

        Without revenue, the y axis shows the share of tests passed.
        """
        from segkit.plot import points

        by_worth = self.scores.get_column("revenue_index").null_count() == 0
        data = self.scores.filter(pl.col("customers") > 0).with_columns(
            passed_share=pl.col("passed") / pl.col("made"),
            label=pl.format("{}: {}/{} tests", "segment_name", "passed", "made"),
        )
        return points(
            data,
            "customer_share",
            "revenue_index" if by_worth else "passed_share",
            label="label",
            percent=not by_worth,
            title="Which segments are large, which are worth most",
            x_label="Share of customers",
            y_label="Revenue per customer (all customers = 1)" if by_worth else "Tests passed",
        )

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
        segment (its id or its name) and jaccard (clusterwise stability); without it stability is
        not tested.
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
        ids = dict(zip(members.names, members.segments, strict=True))
        for name, value in stability.select("segment", "jaccard").iter_rows():
            segment = ids.get(name, name)
            if segment in evidence:
                evidence[segment]["jaccard"] = value
    trials = [
        {"segment": segment, "segment_name": name, **trial}
        for segment, name in zip(members.segments, members.names, strict=True)
        for trial in try_segment(profile, segment, evidence[segment], limits)
    ]
    table = pl.DataFrame(trials, schema=TYPES)
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
    passed = made.group_by("segment", "test").agg(pl.col("passed").all())
    scores = profile.segments.select(
        "segment", "segment_name", "customers", "customer_share", "revenue_share"
    )
    for test in TESTS:
        column = passed.filter(test=test).select("segment", pl.col("passed").alias(test))
        scores = scores.join(column, on="segment", how="left", maintain_order="left")
    basic_failed = pl.any_horizontal(~pl.col(test) for test in BASIC).fill_null(value=False)
    verdict = (
        pl.when(pl.col("customers") == 0)
        .then(pl.lit("empty"))
        .when(pl.col("passed") == pl.col("made"))
        .then(pl.lit("usable"))
        .when(basic_failed)
        .then(pl.lit("not shown usable"))
        .otherwise(pl.lit("usable with care"))
    )
    return scores.with_columns(
        revenue_index=pl.col("revenue_share") / pl.col("customer_share"),
        passed=pl.sum_horizontal(pl.col(TESTS).cast(pl.Int64)),
        made=pl.sum_horizontal(pl.col(TESTS).is_not_null().cast(pl.Int64)),
    ).with_columns(verdict=verdict)


def _notes(profile: Profile) -> tuple[str, ...]:
    if profile.kpi and profile.kpi in profile.clustering_variables:
        return (f"{profile.kpi} built the segments, so its relevance is not tested: circular",)
    if profile.kpi is None:
        return ("no KPI was named, so relevance is not tested",)
    return ()
