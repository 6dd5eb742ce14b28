"""Offers of a campaign's arms by segment, and of the next round, learnt anew from all rounds."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import polars as pl

from segkit.campaign.assignment import NO_OFFER, name_segments
from segkit.campaign.offer_profits import USUAL, find_proven
from segkit.campaign.pilot import TIE_MARK, find_ties, words
from segkit.display import MOST_WORDS, counted, join_words, number, percent
from segkit.errors import DataError, require_columns
from segkit.frames import takes_frames
from segkit.lift.requirements import finite_values
from segkit.result import Result
from segkit.stats.intervals import ci_words, z_value
from segkit.stats.policy import Trial, cells, joint_errors, lent_customers, shrink

PLACEBO = "placebo check"


@dataclass(frozen=True, slots=True, eq=False)
class OfferDesign(Result):
    """What each arm sends to each segment.

    Attributes
    ----------
    table : polars.DataFrame
        One row per segment: segment, segment_name, customers, generic, persona, learnt (offers),
        same (the arms that send the same offer, "" if none do).
    arms : tuple of str
        The arms' names for generic, persona and learnt.
    """

    table: pl.DataFrame
    arms: tuple[str, str, str]

    @property
    def answer(self) -> str:
        """In how many segments the offers learnt differ from the others."""
        segments = counted(self.table.height, "segment")
        other = {
            name: number(self.table.filter(pl.col("learnt") != pl.col(name)).height)
            for name in ("generic", "persona")
        }
        if other["generic"] == "0":
            return (
                "No test showed a better offer than the generic one: the "
                f"{self.arms[2]} arm repeats it. The persona's guess differs in "
                f"{other['persona']} of {segments}."
            )
        return (
            f"The offers learnt differ from the generic one in {other['generic']} of {segments}, "
            f"from the persona's guess in {other['persona']}."
        )

    @property
    def text(self) -> str:
        """Which segments get different offers, and which serve as a placebo check."""
        same = self.table.filter(pl.col("same") != "")
        total = self.table.height
        if same.is_empty():
            where = f"In all {counted(total, 'segment')}"
            return f"{where} the generic, the persona's and the learnt offer differ."
        return (
            f"In {number(same.height)} of {counted(total, 'segment')} two arms or more send the "
            f"same offer. There these arms can differ by chance alone, and are a {PLACEBO}; they "
            "are no evidence on tailoring."
        )


def design_offers(
    sizes: Mapping[str, int],
    learnt: Mapping[str, str],
    persona: Mapping[str, str],
    *,
    generic: str = "generic",
    names: Mapping[str, str] | None = None,
    arms: Sequence[str] = ("generic", "persona", "tailored"),
) -> OfferDesign:
    """Compare the arms' offers by segment, and find the segments in which they are the same.

    Parameters
    ----------
    sizes : mapping of str to int
        Segment to its customers.
    learnt, persona : mapping of str to str
        Segment to the offer learnt from a test, and to the one that its persona suggests; a segment
        without one gets the generic offer.
    generic : str
        The one offer for all.
    names : mapping of str to str, optional
        Segment to its name.
    arms : sequence of str
        Names of the arms: generic, persona's, learnt.

    Returns
    -------
    OfferDesign

    Raises
    ------
    DataError
        If there are no segments.

    Examples
    --------
    >>> made = design_offers({"S1": 10, "S2": 20}, {"S1": "sale", "S2": "guide"}, {"S1": "sale"})
    >>> made.table["same"].to_list()
    ['persona and learnt', 'generic and persona']
    """
    if not sizes:
        raise DataError("expected at least one segment to design a campaign for, got none")
    rows = []
    for segment, customers in sizes.items():
        own = {"generic": generic, "persona": persona.get(segment, generic)}
        own["learnt"] = learnt.get(segment, generic)
        same = join_words([name for name in own if list(own.values()).count(own[name]) > 1])
        name = (names or {}).get(segment, segment)
        rows.append((segment, name, customers, *own.values(), same))
    schema = ["segment", "segment_name", "customers", "generic", "persona", "learnt", "same"]
    one, two, three = arms
    return OfferDesign(pl.DataFrame(rows, schema=schema, orient="row"), (one, two, three))


@takes_frames
def match_persona_offers(
    cards: pl.DataFrame, offers: Iterable[str] = (), *, generic: str = "generic"
) -> dict[str, str]:
    """Turn the personas' first messages into offers that can be sent.

    Parameters
    ----------
    cards : DataFrame
        segment, what_to_offer ("early access, for orders: above").
    offers : iterable of str
        Offers that exist ("early_access"): a message that names none of them becomes the generic
        one. Without offers the message's first words become the offer's name.
    generic : str
        The offer for all others.

    Returns
    -------
    dict of str to str
        Segment to offer.

    Examples
    --------
    >>> cards = pl.DataFrame({"segment": ["S1", "S2"],
    ...     "what_to_offer": ["reengagement, for recency: above", "reminder before the season"]})
    >>> match_persona_offers(cards, ["none", "reengagement", "generic"])
    {'S1': 'reengagement', 'S2': 'generic'}
    """
    require_columns(cards.columns, ["segment", "what_to_offer"], "the personas")
    codes = {re.sub("[^a-z]", "", name.lower()): name for name in offers if name != NO_OFFER}
    matched = {}
    for segment, message in cards.select("segment", "what_to_offer").iter_rows():
        start = (message or "").split(",")[0].split(":")[0].lower()
        if codes:
            plain = re.sub("[^a-z]", "", (message or "").lower())
            places = {plain.find(key): name for key, name in codes.items() if key in plain}
            matched[segment] = places[min(places)] if places else generic
        else:
            matched[segment] = re.sub("[^a-z0-9]+", "_", start).strip("_") or generic
    return matched


@dataclass(frozen=True, slots=True, eq=False)
class PilotOverlap(Result):
    """Customers of a campaign who were in the pilot too.

    Attributes
    ----------
    table : polars.DataFrame
        One row per arm, "all customers" first: arm, customers, in_pilot, pilot_share.
    only_pilot : int
        Customers of the pilot who are not in the campaign.
    """

    table: pl.DataFrame
    only_pilot: int

    @property
    def text(self) -> str:
        """How many customers are in the campaign, in the pilot, and in both."""
        row = self.table.row(0, named=True)
        if not row["in_pilot"]:
            return (
                f"Nobody is in both: {counted(row['customers'], 'customer is', 'customers are')} "
                f"in the campaign, {number(self.only_pilot)} were in the pilot."
            )
        shares = self.table["pilot_share"].to_list()[1:]
        spread = f"{percent(min(shares))} to {percent(max(shares))} of each arm"
        return (
            f"{number(row['in_pilot'])} of the campaign's {counted(row['customers'], 'customer')} "
            f"were in the pilot too ({spread}); {number(self.only_pilot)} were in the pilot alone. "
            "The arms were drawn afresh, so the comparison of arms stays fair; the offers were "
            "learnt from some of the customers who now get them."
        )


@takes_frames
def count_overlap(assigned: pl.DataFrame, pilot: pl.DataFrame) -> PilotOverlap:
    """Count a campaign's customers who were in the pilot, by arm.

    Parameters
    ----------
    assigned : DataFrame
        customer_id, arm.
    pilot : DataFrame
        customer_id.

    Returns
    -------
    PilotOverlap

    Examples
    --------
    >>> drawn = pl.DataFrame({"customer_id": ["a", "b"], "arm": ["mail", "holdout"]})
    >>> count_overlap(drawn, pl.DataFrame({"customer_id": ["b", "c"]})).table["in_pilot"].to_list()
    [1, 1, 0]
    """
    require_columns(assigned.columns, ["customer_id", "arm"], "the assignments")
    require_columns(pilot.columns, ["customer_id"], "the pilot")
    tried = pilot.get_column("customer_id").cast(pl.String).unique()
    marked = assigned.select(
        "arm", both=pl.col("customer_id").cast(pl.String).is_in(tried.implode())
    )
    counts = [pl.len().cast(pl.Int64).alias("customers"), pl.col("both").sum().cast(pl.Int64)]
    arms = marked.group_by("arm").agg(counts).sort("arm")
    whole = marked.select(pl.lit("all customers").alias("arm"), *counts).head(1)
    table = pl.concat([whole, arms]).rename({"both": "in_pilot"})
    table = table.with_columns(pilot_share=pl.col("in_pilot") / pl.col("customers"))
    return PilotOverlap(table, len(tried) - int(table["in_pilot"][0]))


Array = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class NextRound(Result):
    """The policy of the next round, and what it changes.

    Attributes
    ----------
    policy : polars.DataFrame
        One row per segment: segment, segment_name, customers (with an answer, in all rounds),
        before (the last round's offer), offer, tied with it (`segkit.campaign.pilot.TIE_MARK`
        between offers), gain with low and high (expected payoff per customer of the new offer less
        that of the one before; null where it stays).
    payoff : str
    rounds : int
    level : float
    """

    policy: pl.DataFrame
    payoff: str
    rounds: int
    level: float

    @property
    def answer(self) -> str:
        """How many segments get another offer, and what the surest change is expected to bring."""
        changed = self.policy.filter(pl.col("before") != pl.col("offer"))
        share = f"{number(changed.height)} of {counted(self.policy.height, 'segment')}"
        if changed.is_empty():
            return f"The same offers: {share} change."
        row = changed.sort("low", descending=True, nulls_last=True).row(0, named=True)
        brings = (
            f"{number(row['gain'])} per customer ({ci_words(row['low'], row['high'], self.level)})"
        )
        surest = f"{words(row['offer'])} for {row['segment_name']}"
        answer = f"Another offer for {share}; surest {surest}, {brings}."
        if len(answer.split()) <= MOST_WORDS:
            return answer
        return f"Another offer for {share}; the surest, {words(row['offer'])}, brings {brings}."

    @property
    def text(self) -> str:
        """Which offers change, and what is expected of it."""
        changed = self.policy.filter(pl.col("before") != pl.col("offer"))
        total = self.policy.height
        source = f"Learnt from {counted(self.rounds, 'round')} together"
        if changed.is_empty():
            return f"{source}, every one of the {counted(total, 'segment')} keeps its offer."
        parts = [
            f"{row['segment_name']} from {words(row['before'])} to {words(row['offer'])} "
            f"({number(row['gain'])} of {self.payoff.replace('_', ' ')} per customer, "
            f"{ci_words(row['low'], row['high'], self.level)})"
            for row in changed.iter_rows(named=True)
        ]
        share = f"{number(changed.height)} of {counted(total, 'segment')}"
        return f"{source}, {share} with another offer: {'; '.join(parts)}."


@takes_frames
def adapt_policy(
    rounds: Sequence[pl.DataFrame],
    before: Mapping[str, str],
    *,
    payoff: str = "expected_profit",
    measured: pl.DataFrame | None = None,
    usual: str = USUAL,
    level: float = 0.95,
    seed: int = 0,
) -> NextRound:
    """Choose each segment's next offer from the results of the pilot and of all later campaigns.

    Offers were assigned at random within each segment and round, but rounds differ by season. Each
    round is therefore first adjusted to the level of the first round, segment by segment: the mean
    difference over the offers that both rounds gave, weighted by the harmonic mean of their
    customers, is subtracted. Then cell means are shrunken as in `read_pilot`. A segment keeps its
    offer unless another is clearly better. An offer that the last campaign alone has shown to earn
    more than the usual one is always sent: `decide_next_steps` rolls it out too.

    Parameters
    ----------
    rounds : sequence of DataFrame
        One row per customer each: segment, offer, the payoff; segment_name where known.
    before : mapping of str to str
        Segment to the offer that it got last.
    payoff : str
        What is to be as high as possible.
    measured : DataFrame, optional
        The last campaign's comparisons of offers (`compare_offers`), by the same segments.
    usual : str
        The offer that customers get without a campaign of their segment's own.
    level : float
    seed : int

    Returns
    -------
    NextRound

    Raises
    ------
    DataError
        If there are no rounds, a round has no offer in common with the first in a segment, or a
        value is missing.

    Examples
    --------
    >>> first = pl.DataFrame({"segment": "A", "offer": ["x", "y"] * 2, "profit": [1.0, 2.0] * 2})
    >>> adapt_policy([first], {"A": "x"}, payoff="profit").policy["offer"].to_list()
    ['y']
    """
    frame = _stack_rounds(rounds, payoff)
    segments = frame["segment"].unique().sort().to_list()
    offers = frame["offer"].unique().sort().to_list()
    group, option = (
        frame[name].replace_strict(labels, range(len(labels)), return_dtype=pl.Int64).to_numpy()
        for name, labels in (("segment", segments), ("offer", offers))
    )
    at, y = frame["round"].to_numpy(), frame["payoff"].to_numpy().copy()
    chance = np.full(len(offers), 1 / len(offers))
    trial = Trial(group, option, y, chance, len(segments), len(offers))
    first = cells(trial, np.flatnonzero(at == 0))
    for k in range(1, len(rounds)):
        rows = np.flatnonzero(at == k)
        y[rows] -= _level(first, cells(trial, rows), segments, k)[group[rows]]
    counts, lent = cells(trial), lent_customers(trial)
    shrunken, _, _ = shrink(*counts, lent)
    tried = counts[0] > 0
    best = np.where(tried, shrunken, -np.inf).argmax(axis=1)
    loading = joint_errors(*counts, lent)
    ties = find_ties(shrunken, loading, offers, best, seed, tried=tried)
    named = name_segments(frame, "segment", "segment_name")
    by_segment = {} if measured is None else measured.partition_by("segment", as_dict=True)
    shown = {
        name[0]: find_proven(rows.iter_rows(named=True), usual) for name, rows in by_segment.items()
    }
    rows_ = []
    for g, segment in enumerate(segments):
        old = before.get(segment)
        gain = low = high = None
        proven = shown.get(segment)
        if proven is not None and proven["offer"] not in offers:
            proven = None  # nobody has an answer to it in the rounds
        if proven is not None:
            best[g] = offers.index(proven["offer"])
            ties[g] = [one for one in ties[g] if one != proven["offer"]]
        if old is not None and old != offers[best[g]] and old in offers:
            one, two = (g * len(offers) + k for k in (int(best[g]), offers.index(old)))
            gain = float(shrunken.ravel()[one] - shrunken.ravel()[two])
            reach = z_value(level) * float(np.linalg.norm(loading[one] - loading[two]))
            low, high = gain - reach, gain + reach
            if proven is not None:
                if proven["against"] == old:  # as the campaign has measured it
                    gain, low, high = (proven[f"profit{end}"] for end in ("", "_low", "_high"))
            elif low <= 0:  # the old one is as good, for all that is known
                ties[g] = [offers[best[g]], *(one for one in ties[g] if one != old)]
                best[g] = offers.index(old)
                gain = low = high = None
        customers = int(counts[0][g].sum())
        offer, tied = offers[best[g]], TIE_MARK.join(ties[g])
        rows_.append(
            (segment, named[segment], customers, old or offer, offer, tied, gain, low, high)
        )
    numbers = dict.fromkeys(("gain", "low", "high"), pl.Float64)
    schema = ["segment", "segment_name", "customers", "before", "offer", "tied", *numbers]
    table = pl.DataFrame(rows_, schema=schema, orient="row", schema_overrides=numbers)
    return NextRound(table, payoff, len(rounds), level)


def _stack_rounds(rounds: Sequence[pl.DataFrame], payoff: str) -> pl.DataFrame:
    """Return the rounds as one table: segment, offer, segment_name, payoff, round."""
    if not rounds:
        raise DataError("expected at least one round to learn from, got none")
    frames = []
    for k, frame in enumerate(rounds):
        require_columns(frame.columns, ["segment", "offer", payoff], f"round {k + 1}")
        name = "segment_name" if "segment_name" in frame.columns else "segment"
        names = frame[name].cast(pl.String).alias("segment_name")
        payoffs = frame.select(pl.col("segment", "offer").cast(pl.String), names)
        frames.append(payoffs.with_columns(payoff=pl.Series(finite_values(frame, payoff)), round=k))
    return pl.concat(frames).drop_nulls(["segment", "offer"])


def _level(
    first: tuple[Array, Array, Array],
    later: tuple[Array, Array, Array],
    segments: list[str],
    place: int,
) -> Array:
    """Return how far a later round lies above the first, by segment, over the offers of both."""
    n1, n2 = first[0], later[0]
    with np.errstate(invalid="ignore", divide="ignore"):
        weight = np.where((n1 > 0) & (n2 > 0), n1 * n2 / (n1 + n2), 0.0)
    alone = (weight.sum(axis=1) == 0) & (n2.sum(axis=1) > 0)
    if alone.any():
        raise DataError(
            f"round {place + 1} gave segment {segments[int(alone.argmax())]} no offer that the "
            "first round gave it, so that the rounds cannot be compared"
        )
    gap = np.where(weight > 0, later[1] - first[1], 0.0)
    total = weight.sum(axis=1)
    return np.asarray((weight * gap).sum(axis=1) / np.where(total > 0, total, 1.0))
