"""The offers of a campaign's arms by segment: generic, the persona's, the one learnt."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import polars as pl

from segkit.campaign.assign import NO_OFFER
from segkit.campaign.pilot import words
from segkit.display import counted, join_words, number, percent
from segkit.errors import DataError, require_columns
from segkit.frames import takes_frames
from segkit.result import Result

PLACEBO = "placebo check"


@dataclass(frozen=True, slots=True, eq=False)
class OfferDesign(Result):
    """What each arm sends to each segment.

    Attributes
    ----------
    table : polars.DataFrame
        One row per segment: segment, segment_name, customers, generic, persona, learnt (offers),
        same (which of the three are one offer, "" for none).
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
        parts = [
            f"{row['segment_name']} ({row['same']}: "
            f"{words(row['learnt' if 'learnt' in row['same'] else 'generic'])})"
            for row in same.iter_rows(named=True)
        ]
        return (
            f"In {number(same.height)} of {counted(total, 'segment')} arms send the same offer: "
            f"{'; '.join(parts)}. There these arms can differ by chance alone, and are a "
            f"{PLACEBO}; they are no evidence on tailoring."
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
    """Put the arms' offers beside one another, and say where they are the same.

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
    ...     "what_to_offer": ["re-engagement, for recency: above", "reminder before the season"]})
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
