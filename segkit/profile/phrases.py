"""What a persona card says under each heading, from the profile's numbers alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import polars as pl

from segkit.display import is_share, money, number, percent
from segkit.labels import label, stem
from segkit.profile.habits import ARROWS, OfferRule, habit
from segkit.profile.outcome import Profile
from segkit.schema import fields

MOST_MARKS = 5
MOST_PEOPLE = 4
MOST_HABITS = 9
LEAST_SHARE = 0.1  # of a segment, for a trait to be told of it
Compared = tuple[str, str, str]
HEIGHT = {"above": "high", "below": "low"}
CHANNELS = ("preferred_channel",)
CONSENT = tuple(name for name in fields("customers") if name.endswith("_consent"))
GUESS = "a guess from its marks, to be tested against a generic offer"


def size_words(row: dict[str, Any]) -> str:
    """Say how many customers a segment has."""
    if not row["customers"]:
        return "no customers"
    return f"{number(row['customers'])} customers, {percent(row['customer_share'])} of all"


def value_words(row: dict[str, Any], profile: Profile) -> str:
    """Say what a customer is worth, with the interval, and the share of revenue."""
    worth = row.get("revenue_per_customer")
    if worth is None:
        return ""
    said = f"{money(worth, profile.currency)} a customer"
    if row["revenue_per_customer_low"] is not None:
        low, high = row["revenue_per_customer_low"], row["revenue_per_customer_high"]
        said += f" ({percent(profile.level, places=0)} interval {number(low)} to {number(high)})"
    if row["revenue_share"] is not None:
        index = row["revenue_share"] / row["customer_share"]
        said += f", {number(index, digits=2)} times the average"
        said += f"; {percent(row['revenue_share'])} of revenue"
    return said


def people_words(composition: pl.DataFrame, profile: Profile) -> tuple[str, ...]:
    """Say the levels that are clearly more common here than among all, by the marker rule."""
    rule = profile.rule
    gap = pl.col("share") - pl.col("share_all")
    rows = composition.filter(
        ~pl.col("variable").is_in([*CHANNELS, *CONSENT])
        & (pl.col("share_low") > pl.col("share_all"))
        & (pl.col("share") >= LEAST_SHARE)
        & ((gap >= rule.share_absolute) | (gap >= rule.share_relative * pl.col("share_all")))
    ).sort(gap, descending=True, maintain_order=True)
    return tuple(
        f"{label(row['variable'])} {row['level']}: {percent(row['share'])} "
        f"(all customers: {percent(row['share_all'])})"
        for row in rows.head(MOST_PEOPLE).iter_rows(named=True)
    )


def _typical(row: dict[str, Any], key: str) -> str:
    """Write a variable's median, or the share of a yes/no variable."""
    if row["kind"] == "yes/no":
        return percent(row["mean" + key])
    value = row["median" + key]
    return percent(value) if is_share(row["variable"]) else number(value)


def _beside(row: dict[str, Any], words: str) -> Compared:
    return (words, _typical(row, ""), _typical(row, "_all"))


def habits_words(variables: pl.DataFrame, known: Mapping[str, str]) -> tuple[Compared, ...]:
    """Give the typical value of each habit beside that of all customers."""
    rows = [row for row in variables.iter_rows(named=True) if row["customers"] > 0]
    said = [
        _beside(row, habit(row["variable"], known))
        for name in known
        for row in rows
        if stem(row["variable"]) == name
    ]
    return tuple(said[:MOST_HABITS])


def channels_words(composition: pl.DataFrame, variables: pl.DataFrame) -> tuple[str, ...]:
    """Say the preferred channels, the channel bought by, and the consent."""
    preferred = composition.filter(
        pl.col("variable").is_in(list(CHANNELS)) & pl.col("share").is_not_null()
    ).sort("share", descending=True, maintain_order=True)
    said = [
        f"{percent(row['share'])} prefer {row['level']} "
        f"(all customers: {percent(row['share_all'])})"
        for row in preferred.head(2).iter_rows(named=True)
    ]
    bought = variables.filter(
        pl.col("variable").str.starts_with("channel_share_") & pl.col("mean").is_not_null()
    ).sort("mean", descending=True, maintain_order=True)
    for row in bought.head(1).iter_rows(named=True):
        channel = stem(row["variable"]).removeprefix("channel_share_")
        said.append(f"buys most by {channel}: {percent(row['mean'])} on average")
    consent = composition.filter(
        (pl.col("variable") == "marketing_consent") & (pl.col("level") == "yes")
    ).drop_nulls("share")
    said += [f"{percent(s)} consent to marketing" for s in consent.get_column("share")]
    return tuple(said)


def marks_words(variables: pl.DataFrame) -> tuple[Compared, ...]:
    """Give what marks the segment, strongest first, beside all customers."""
    rows = variables.filter(pl.col("marker")).sort(
        pl.col("strength").abs(), descending=True, maintain_order=True
    )
    return tuple(
        _beside(row, f"{ARROWS[row['direction']]} {habit(row['variable'])}")
        for row in rows.head(MOST_MARKS).iter_rows(named=True)
    )


def offer_words(variables: pl.DataFrame, offers: Sequence[OfferRule]) -> str:
    """Name the offer that the strongest marks speak for, and why."""
    marks = variables.filter(pl.col("marker"))
    weight: dict[str, float] = {}
    reasons: dict[str, list[tuple[float, str]]] = {}
    for row in marks.iter_rows(named=True):
        for rule in offers:
            if rule.holds(row["variable"], row["direction"]):
                size = abs(row["strength"])
                weight[rule.offer] = weight.get(rule.offer, 0.0) + size
                words = f"{HEIGHT[row['direction']]} {habit(row['variable'])}"
                reasons.setdefault(rule.offer, []).append((size, words))
    if not weight:
        return "the generic offer: no mark speaks for another"
    best = max(sorted(weight), key=lambda name: weight[name])
    why = ", ".join(words for _, words in sorted(reasons[best], key=lambda pair: -pair[0])[:3])
    return f"{best}, for {why}: {GUESS}"
