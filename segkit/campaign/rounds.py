"""The next round of a campaign: offers learnt anew from all rounds so far, against those before."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import polars as pl

from segkit.campaign.assign import name_segments
from segkit.campaign.pilot import TIE_MARK, find_ties, words
from segkit.display import counted, number
from segkit.errors import DataError, require_columns
from segkit.frames import takes_frames
from segkit.lift.requirements import finite_values
from segkit.result import Result
from segkit.stats.intervals import ci_words, interval_words, z_value
from segkit.stats.policy import Trial, cells, joint_errors, lent_customers, shrink

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
        return (
            f"Another offer for {share}; surest {words(row['offer'])} for {row['segment_name']}, "
            f"{number(row['gain'])} a customer ({ci_words(row['low'], row['high'], self.level)})."
        )

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
            f"{interval_words(row['low'], row['high'], self.level)})"
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
    level: float = 0.95,
    seed: int = 0,
) -> NextRound:
    """Learn each segment's offer anew from all rounds, a pilot and the campaigns after it.

    Within a segment and round, who got which offer was drawn at random; between rounds the season
    differs. So each round is first brought to the first one's level, segment by segment, by the
    offers that both gave: the mean difference, weighted by the harmonic mean of their customers.
    Then cell means are shrunken as in `read_pilot`. A segment keeps its offer unless another
    is clearly better: nothing is changed for a difference that may be nothing.

    Parameters
    ----------
    rounds : sequence of DataFrame
        One row per customer each: segment, offer, the payoff; segment_name where known.
    before : mapping of str to str
        Segment to the offer that it got last.
    payoff : str
        What is to be as high as possible.
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
    if not rounds:
        raise DataError("expected at least one round to learn from, got none")
    frames = []
    for k, frame in enumerate(rounds):
        require_columns(frame.columns, ["segment", "offer", payoff], f"round {k + 1}")
        name = "segment_name" if "segment_name" in frame.columns else "segment"
        names = frame[name].cast(pl.String).alias("segment_name")
        payoffs = frame.select(pl.col("segment", "offer").cast(pl.String), names)
        frames.append(payoffs.with_columns(payoff=pl.Series(finite_values(frame, payoff)), round=k))
    frame = pl.concat(frames).drop_nulls(["segment", "offer"])
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
    rows_ = []
    for g, segment in enumerate(segments):
        old = before.get(segment)
        gain = low = high = None
        if old is not None and old != offers[best[g]] and old in offers:
            one, two = (g * len(offers) + k for k in (int(best[g]), offers.index(old)))
            gain = float(shrunken.ravel()[one] - shrunken.ravel()[two])
            reach = z_value(level) * float(np.linalg.norm(loading[one] - loading[two]))
            low, high = gain - reach, gain + reach
            if low <= 0:  # the old one is as good, for all that is known
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
