"""Validation of a profile against a survey of its customers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl

from segkit.display import counted, number, percent
from segkit.errors import DataError, ParameterError, require_columns, require_least
from segkit.frames import takes_frames
from segkit.plot import Figure, intervals
from segkit.result import Result
from segkit.stats.intervals import ci_words, mean_difference, wilson

DIRECTIONS = ("high", "low")


@takes_frames
def derive_claims(
    markers: pl.DataFrame, pairs: Sequence[str], *, labels: Mapping[str, str] | None = None
) -> pl.DataFrame:
    """Derive from a profile of behaviour how each segment should answer a survey.

    Such a prediction (a claim) follows where a variable of behaviour marks a segment and a pair
    says which survey item should go with it: a segment marked by many discounts should agree more
    to an item on thrift.

    Parameters
    ----------
    markers : polars.DataFrame
        One row per segment and variable, as `Profile.markers`: ``segment``, ``variable``,
        ``marker`` (yes/no), ``direction`` (above, below), ``strength``; ``segment_name`` if there
        is one.
    pairs : sequence of str
        "variable: item" means that a segment above average in the variable should agree more to the
        item, one below average less; "variable: -item" the reverse. A variable that marks no
        segment gives no claim.
    labels : mapping of str to str, optional
        Item to its statement.

    Returns
    -------
    polars.DataFrame
        One row per claim, as `validate_profile` takes them: ``segment``, ``item``, ``direction``
        (high, low), ``variable``, ``claim`` (in words). Where two variables give a segment claims
        on the same item, that of the stronger marker is kept.

    Raises
    ------
    ParameterError
        If a pair is not of that form.
    ColumnError
        If a column is missing.

    Examples
    --------
    >>> markers = pl.DataFrame(
    ...     {"segment": ["S1"], "variable": ["discount_share"], "marker": [True],
    ...      "direction": ["above"], "strength": [0.6]}
    ... )
    >>> derive_claims(markers, ["discount_share: thrift"])["claim"].to_list()
    ['S1 agree more: thrift']
    """
    needed = ["segment", "variable", "marker", "direction", "strength"]
    require_columns(markers.columns, needed, "the markers")
    rules = [read_claim(text) for text in pairs]
    schema = {"variable": pl.String, "item": pl.String, "turned": pl.Boolean}
    table = pl.DataFrame(rules, schema=schema, orient="row")
    who = "segment_name" if "segment_name" in markers.columns else "segment"
    claims = (
        markers.filter(pl.col("marker"))
        .join(table, on="variable")
        .sort("strength", descending=True)
        .unique(["segment", "item"], keep="first", maintain_order=True)
        .sort("segment", "item")
    )
    high = (pl.col("direction") == "above") != pl.col("turned")
    words = pl.when(high).then(pl.lit("more")).otherwise(pl.lit("less"))
    statement = pl.col("item").replace(dict(labels or {}))
    return claims.select(
        "segment",
        "item",
        pl.when(high).then(pl.lit("high")).otherwise(pl.lit("low")).alias("direction"),
        "variable",
        claim=pl.format("{} agree {}: {}", who, words, statement),
    )


def read_claim(text: str) -> tuple[str, str, bool]:
    """Read a claim's variable and item, and whether the item is turned (``-item``: less)."""
    variable, colon, item = (part.strip() for part in text.partition(":"))
    turned = item.startswith("-")
    item = item.removeprefix("-").strip()
    if not (variable and colon and item):
        raise ParameterError(f"a claim is written 'variable: item', got {text!r}")
    return variable, item, turned


@takes_frames
def draw_validation_sample(
    assignments: pl.DataFrame,
    *,
    per_segment: int = 50,
    leave_out: Sequence[str] = (),
    seed: int | np.random.Generator = 0,
) -> pl.DataFrame:
    """Draw a random sample of every segment, to ask whether the profile is right.

    Parameters
    ----------
    assignments : polars.DataFrame
        ``customer_id`` and ``segment``.
    per_segment : int
        Customers drawn from each; all of a smaller one.
    leave_out : sequence of str
        Customers not to be asked (asked lately, no consent).
    seed : int or Generator

    Returns
    -------
    polars.DataFrame
        ``customer_id``, ``segment``, ``weight`` (customers of the segment that one drawn stands
        for); sorted by both.

    Examples
    --------
    >>> frame = pl.DataFrame({"customer_id": list("abcd"), "segment": ["S1", "S1", "S1", "S2"]})
    >>> draw_validation_sample(frame, per_segment=2)["segment"].to_list()
    ['S1', 'S1', 'S2']
    """
    require_columns(assignments.columns, ["customer_id", "segment"], "the assignments")
    require_least(per_segment=(per_segment, 1))
    random = np.random.default_rng(seed)
    whole = assignments.select("customer_id", "segment").drop_nulls().sort("segment", "customer_id")
    free = whole.filter(~pl.col("customer_id").is_in(list(leave_out)))
    if free.is_empty():
        raise DataError("there is nobody to ask: no customer is assigned, or all are left out")
    drawn = free.with_columns(turn=pl.Series(random.random(free.height))).filter(
        pl.col("turn").rank("ordinal").over("segment") <= per_segment
    )
    sizes = whole.group_by("segment").len("size")
    stands_for = pl.col("size") / pl.len().over("segment")
    sample = drawn.join(sizes, on="segment").select("customer_id", "segment", weight=stands_for)
    return sample.sort("segment", "customer_id")


@dataclass(frozen=True, slots=True, eq=False)
class Validation(Result):
    """Comparison of a profile's claims with the survey answers of segment members.

    Attributes
    ----------
    table : polars.DataFrame
        One row per claim: ``claim`` in words, ``segment``, ``item``, ``direction``, ``people`` (of
        the segment who answered), ``difference`` (segment's mean answer less everyone else's),
        ``low``, ``high`` (Welch), ``verdict`` (confirmed, contradicted, undecided, not asked).
    agreement, low, high : float
        Share of single answers on the claimed side of the others' median (a tie counts half);
        0.5 is what chance gives; Wilson's interval on the number of respondents.
    claims, confirmed, contradicted : int
    sampled, answered : int
        People asked, and those who answered at least one item of a claim on their segment.
    level : float
    """

    table: pl.DataFrame
    agreement: float
    low: float
    high: float
    claims: int
    confirmed: int
    contradicted: int
    sampled: int
    answered: int
    level: float

    @property
    def answer(self) -> str:
        """Whether customers confirm the profile's claims."""
        head = "In part"
        if not (self.confirmed or self.contradicted):
            head = "Not shown"
        elif self.contradicted >= self.confirmed:
            head = "No"
        elif self.confirmed == self.claims:
            head = "Yes"
        return (
            f"{head}: {number(self.confirmed)} of {counted(self.claims, 'claim')} confirmed, "
            f"{number(self.contradicted)} contradicted; {percent(self.agreement)} of answers lie "
            f"on the claimed side ({ci_words(self.low, self.high, self.level, percent)})."
        )

    @property
    def text(self) -> str:
        """State how far answers confirm the profile, and which claims they contradict."""
        rest = self.claims - self.confirmed - self.contradicted
        sure = "more" if self.low > 0.5 else "not surely more"
        interval = ci_words(self.low, self.high, self.level, percent)
        text = (
            f"{number(self.confirmed)} of {counted(self.claims, 'claim')} of the profile are "
            f"confirmed by answers, {number(self.contradicted)} contradicted, "
            f"{number(rest)} undecided. {percent(self.agreement)} of the single answers lie on the "
            f"claimed side ({interval}), {sure} than the half that chance gives. "
            f"{number(self.answered)} of the {number(self.sampled)} sampled answered; who kept "
            "silent may differ."
        )
        wrong = self.table.filter(pl.col("verdict") == "contradicted")
        return f"{text} Contradicted: {'; '.join(wrong['claim'])}." if wrong.height else text

    def plot(self) -> Figure:
        """Draw each claim's difference with its interval."""
        return intervals(
            self.table.drop_nulls("difference"),
            "claim",
            "difference",
            interval=("low", "high"),
            reference=0.0,
            title="Do customers say what the profile says?",
            y_label="Segment's mean answer less the others' (units of the answers)",
        )


@takes_frames
def validate_profile(
    sample: pl.DataFrame, answers: pl.DataFrame, claims: pl.DataFrame, *, level: float = 0.95
) -> Validation:
    """Compare what customers say of themselves with what the profile claims.

    Parameters
    ----------
    sample : polars.DataFrame
        The customers surveyed: ``customer_id``, ``segment`` (see `draw_validation_sample`).
    answers : polars.DataFrame
        ``customer_id`` and numeric items.
    claims : polars.DataFrame
        What the profile claims: ``segment``, ``item`` (a column of the answers), ``direction``
        ("high" or "low", against the other segments); ``claim``, its words, if there is one.
    level : float

    Raises
    ------
    ColumnError
        If a column is missing.
    ParameterError
        If a direction is neither high nor low, or a claim comes twice.
    DataError
        If there are no claims, or none of the sampled answered an item that is claimed.

    Examples
    --------
    >>> sample = pl.DataFrame({"customer_id": list("abcdef"), "segment": ["S1"] * 3 + ["S2"] * 3})
    >>> answers = sample.with_columns(thrift=pl.Series([5, 5, 4, 1, 2, 1]))
    >>> claims = pl.DataFrame({"segment": ["S1"], "item": ["thrift"], "direction": ["high"]})
    >>> validate_profile(sample, answers, claims).confirmed
    1
    """
    require_columns(sample.columns, ["customer_id", "segment"], "the sample")
    require_columns(claims.columns, ["segment", "item", "direction"], "the claims")
    require_columns(answers.columns, ["customer_id"], "the answers")
    _check_claims(claims)
    invited = sample.select("customer_id", pl.col("segment").cast(pl.String))
    items = [i for i in claims["item"].unique(maintain_order=True) if i in answers.columns]
    together = invited.join(answers.select("customer_id", *items), on="customer_id", how="left")
    if "claim" not in claims.columns:
        words = pl.format("{} is {} on {}", "segment", "direction", "item")
        claims = claims.with_columns(claim=words)
    rows, sides, who = [], list[float](), set[str]()
    wanted = claims.select("claim", pl.col("segment").cast(pl.String), "item", "direction")
    for claim in wanted.iter_rows(named=True):
        nobody = {"people": 0, "difference": None, "low": None, "high": None}
        rows.append(claim | nobody | {"verdict": "not asked"})
        if claim["item"] not in together.columns:
            continue
        answer = pl.col(claim["item"]).cast(pl.Float64)
        rated = together.select("customer_id", "segment", answer=answer).drop_nulls()
        is_own = rated["segment"] == claim["segment"]
        own, rest = rated.filter(is_own), rated.filter(~is_own)["answer"].to_numpy()
        rows[-1]["people"] = own.height
        if min(own.height, len(rest)) < 2:
            continue
        mine = own["answer"].to_numpy()
        moments = [(part.mean(), part.std(ddof=1), len(part)) for part in (mine, rest)]
        gap = mean_difference(*moments[0], *moments[1], level=level)
        sign = 1 if claim["direction"] == "high" else -1
        clear = sign * (int(gap.low > 0) - int(gap.high < 0))  # 1: the claim's side, -1: the other
        rows[-1] |= {"difference": gap.value, "low": gap.low, "high": gap.high}
        rows[-1]["verdict"] = ("undecided", "confirmed", "contradicted")[clear]
        # 1 for an answer on the claimed side of the others' median, 0.5 for a tie.
        sides += ((np.sign(sign * (mine - np.median(rest))) + 1) / 2).tolist()
        who |= set(own["customer_id"])
    if not sides:
        raise DataError("none of the sampled customers answered an item of a claim")
    share = float(np.mean(sides))
    interval = wilson(share * len(who), len(who), level=level)
    kinds = dict.fromkeys(("difference", "low", "high"), pl.Float64)
    table = pl.DataFrame(rows, schema_overrides=kinds)
    verdicts = table["verdict"].to_list()
    return Validation(
        table=table,
        agreement=share,
        low=interval.low,
        high=interval.high,
        claims=table.height,
        confirmed=verdicts.count("confirmed"),
        contradicted=verdicts.count("contradicted"),
        sampled=invited.height,
        answered=len(who),
        level=level,
    )


def _check_claims(claims: pl.DataFrame) -> None:
    if claims.is_empty():
        raise DataError("there is no claim to validate")
    wrong = sorted(set(claims["direction"].to_list()) - set(DIRECTIONS))
    if wrong:
        raise ParameterError(f"a claim's direction is high or low, got {wrong[0]!r}")
    if claims.select("segment", "item").is_duplicated().any():
        raise ParameterError("expected one claim for each segment and item; one comes twice")
