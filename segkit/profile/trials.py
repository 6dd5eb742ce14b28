"""The measures by which one segment is judged, each with its threshold and reason."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import polars as pl

from segkit.display import number, percent
from segkit.profile.outcome import Profile
from segkit.profile.thresholds import Thresholds

TYPES: dict[str, type[pl.DataType]] = {
    **dict.fromkeys(["segment", "segment_name", "test", "measure"], pl.String),
    **dict.fromkeys(["value", "low", "high", "threshold"], pl.Float64),
    "passed": pl.Boolean,
    "why": pl.String,
}
Triple = tuple[float | None, float | None, float | None]


@dataclass(frozen=True, slots=True)
class Trial:
    """One measure of one segment against its threshold; ``passed`` is None where not taken."""

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
    asked = variables.select((pl.col("customers") + pl.col("missing")).sum()).item()
    share = float(variables.get_column("customers").sum()) / asked if asked else None
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
    """Judge by the lower limit, so that a pass is not luck."""
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
    """Judge the distance from the nearest other segment on what sets the two apart most."""
    known = profile.variables.filter(pl.col("role") != "kpi").drop_nulls("difference")
    mine = known.filter(pl.col("segment") == segment).select("variable", own="difference")
    pairs = known.filter(pl.col("segment") != segment).join(mine, on="variable")
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
