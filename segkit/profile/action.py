"""What should be done first? One segment and one message, from the profile and its cards."""

from __future__ import annotations

from dataclasses import dataclass

import polars as pl

from segkit.display import number, percent
from segkit.errors import DataError, require_columns
from segkit.frames import takes_frames
from segkit.result import Result


@dataclass(frozen=True, slots=True, eq=False)
class FirstStep(Result):
    """The segment to begin with, and what to try on it.

    Attributes
    ----------
    segment, segment_name : str
        The segment that brings most revenue; the largest where revenue is not known.
    offer, reason : str
        What to try, and which marks speak for it ("" where none does).
    customers : int
    customer_share : float
    revenue_share : float or None
    """

    segment: str
    segment_name: str
    offer: str
    reason: str
    customers: int
    customer_share: float
    revenue_share: float | None

    def to_frame(self) -> pl.DataFrame:
        """Return one row: the segment, its size and share of revenue, the offer and why."""
        return pl.DataFrame({name: [getattr(self, name)] for name in self.__dataclass_fields__})

    @property
    def text(self) -> str:
        """What to do first, on whom, and how to know whether it worked."""
        worth = ""
        if self.revenue_share is not None:
            worth = f", and bring {percent(self.revenue_share)} of revenue"
        why = f" What speaks for it: {self.reason}." if self.reason else ""
        return (
            f"Begin with {self.segment_name} ({self.segment}): try {self.offer} on them, and hold "
            f"a random part of them back. They are {number(self.customers)} customers, "
            f"{percent(self.customer_share)} of all{worth}.{why} The offer is a guess from the "
            "segment's marks; only the difference to those held back shows what it earns."
        )


@takes_frames
def first_step(segments: pl.DataFrame, cards: pl.DataFrame) -> FirstStep:
    """Which segment comes first, and with which message?

    Parameters
    ----------
    segments : polars.DataFrame
        `Profile.segments`: segment, segment_name, customers, customer_share, revenue_share.
    cards : polars.DataFrame
        `Personas.to_frame`: segment, what_to_offer.

    Returns
    -------
    FirstStep

    Raises
    ------
    ColumnError
        If a column is missing.
    DataError
        If there is no segment with a customer.

    Examples
    --------
    >>> segments = pl.DataFrame({"segment": ["S1"], "segment_name": ["Loyal"], "customers": [9],
    ...                          "customer_share": [1.0], "revenue_share": [1.0]})
    >>> cards = pl.DataFrame({"segment": ["S1"], "what_to_offer": ["early access, for orders: ?"]})
    >>> first_step(segments, cards).offer
    'early access'
    """
    needed = ["segment", "segment_name", "customers", "customer_share", "revenue_share"]
    require_columns(segments.columns, needed, "segments")
    require_columns(cards.columns, ["segment", "what_to_offer"], "cards")
    there = segments.filter(pl.col("customers") > 0)
    if there.is_empty():
        raise DataError("no segment holds a customer, so there is nobody to begin with")
    best = there.sort(
        "revenue_share", "customers", descending=True, nulls_last=True, maintain_order=True
    ).row(0, named=True)
    said = cards.filter(segment=best["segment"])["what_to_offer"].to_list()
    # The card's caveat follows its colon; the text has it in its own words.
    told = (said[0] if said else "the generic offer").split(":")[0]
    offer, _, reason = told.partition(", for ")
    return FirstStep(
        offer=offer,
        reason=reason,
        **{name: best[name] for name in needed},
    )
