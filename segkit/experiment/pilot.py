"""What a pilot taught: which offer serves which segment, and whether tailoring pays."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from segkit.display import money, number, percent
from segkit.experiment.assignment import NO_OFFER
from segkit.result import Result

if TYPE_CHECKING:
    from segkit.plot import Figure


@dataclass(frozen=True, slots=True, eq=False)
class Pilot(Result):
    """What the pilot taught.

    Attributes
    ----------
    cells : polars.DataFrame
        One row a segment and offer: segment, segment_name, offer, customers, mean (of the
        outcome) with low and high (Wilson for 0/1 outcomes, else normal), payoff (its mean),
        payoff_shrunken (moved towards "every offer does the same everywhere") with payoff_error
        and payoff_loading (list: how the cells' errors hang together, see
        `segkit.stats.policy.joint_errors`), best (Boolean: what the policy gives).
    policy : polars.DataFrame
        segment, segment_name, offer, offer_name, sure_share: the learnt policy, and in how many
        bootstrap resamples of the pilot that offer came out best.
    values : polars.DataFrame
        policy ("tailored by segment", "best single offer", and each offer to everyone), value
        (mean payoff per customer) with low and high; honest: learnt without the customers that
        it is valued on. What is valued is what a part of the pilot teaches, averaged over the
        parts (the first fold, the first two, ...): `policy`, learnt from all, has learnt more.
    gain, gain_low, gain_high : float
        Tailored less best single offer, per customer.
    single : str
        The best single offer, learnt from all.
    interaction_p : float
        p-value of "every offer does the same in every segment".
    interaction_sd : float
        Estimated standard deviation of the true interaction, in the payoff's unit.
    outcome, payoff : str
        What the cells show, and what the values count.
    is_share : bool
        Whether the outcome is 0/1.
    money : bool
        Whether the payoff is money (else in the outcome's unit).
    folds, customers : int
    level : float
    notes : tuple of str
    currency : str or None
        Of the payoff, where that is money.
    """

    cells: pl.DataFrame
    policy: pl.DataFrame
    values: pl.DataFrame
    gain: float
    gain_low: float
    gain_high: float
    single: str
    interaction_p: float
    interaction_sd: float
    outcome: str
    payoff: str
    is_share: bool
    money: bool
    folds: int
    customers: int
    level: float
    notes: tuple[str, ...]
    currency: str | None = None

    def to_frame(self) -> pl.DataFrame:
        """Return the cells, one row a segment and offer, without the lists of loadings."""
        return self.cells.drop("payoff_loading")

    @property
    def pays(self) -> bool:
        """Whether the pilot shows that tailoring by segment pays."""
        return self.gain_low > 0

    def _words(self, value: float) -> str:
        return percent(value, places=2) if self.is_share and not self.money else number(value)

    @property
    def text(self) -> str:
        """The finding in words."""
        unit = self.currency if self.money else None
        gain = money(self.gain, unit) if unit else self._words(self.gain)
        reach = (
            f"{gain} per customer ({percent(self.level, places=0)} interval "
            f"{self._words(self.gain_low)} to {self._words(self.gain_high)})"
        )
        what = self.payoff.replace("_", " ")
        against = f"{words(self.single)} to everyone"
        if self.gain == self.gain_low == self.gain_high == 0:
            first = (
                "The pilot does not show that tailoring pays: whichever part of the customers it "
                "was learnt from, the best offer was the same one for every segment."
            )
        elif self.pays:
            first = (
                f"The pilot shows that tailoring pays: the offer learnt for each segment brings "
                f"{reach} more {what} than the best single offer."
            )
        elif self.gain_high < 0:
            first = (
                f"The pilot speaks against tailoring: what was learnt for each segment brings "
                f"{reach} of {what} against the best single offer."
            )
        else:
            first = (
                f"The pilot does not show that tailoring pays: what was learnt for each segment "
                f"differs from the best single offer by {reach} of {what}, which may be nothing."
            )
        parts = [first, self._interaction_words()]
        parts.append(
            f"Over all {number(self.customers)} customers the best single choice is {against}. "
            f"What is compared was always learnt from other customers than it is valued on, in "
            f"{steps(self.folds)}."
        )
        return " ".join([*parts, *self.notes])

    def _interaction_words(self) -> str:
        if np.isnan(self.interaction_p):
            return "Whether offers work differently by segment cannot be tested here."
        p = f"p = {number(self.interaction_p)}"
        p = p if self.interaction_p >= 0.001 else "p below 0.001"
        if self.interaction_p < 0.05:
            return f"Offers work differently by segment ({p})."
        return f"That offers work alike in all segments is not ruled out ({p})."

    def plot(self) -> Figure:
        """Draw the outcome by segment and offer, with intervals written in."""
        from segkit.plot.offers import offer_map

        return offer_map(
            self.to_frame().with_columns(
                offer=pl.col("offer").replace({o: words(o) for o in self.cells["offer"].unique()}),
            ),
            "offer", "segment_name", "mean", interval=("low", "high"), mark="best",
            percent=self.is_share,
            title="Tailoring pays" if self.pays else "Tailoring is not shown to pay",
            x_label="Offer, given at random", y_label="Segment",
            value_label=self.outcome.replace("_", " "),
            mark_label="learnt for the segment",
        )  # fmt: skip

    def plot_values(self) -> Figure:
        """Draw the value of each policy with its interval."""
        from segkit.plot import intervals

        return intervals(
            self.values.with_columns(policy=pl.col("policy").map_elements(words, pl.String)),
            "policy", "value", interval=("low", "high"), reference=None,
            percent=self.is_share and not self.money,
            title="What each policy would earn per customer",
            y_label=f"{self.payoff.replace('_', ' ')} per customer"
            + (f", {self.currency}" if self.currency and self.money else ""),
            x_label="Policy",
        )  # fmt: skip


def steps(folds: int) -> str:
    """Write in words how often a policy was learnt and valued.

    Examples
    --------
    >>> steps(2), steps(5)
    ('one step', '4 steps, each learning from all customers before it')
    """
    if folds == 2:
        return "one step"
    return f"{number(folds - 1)} steps, each learning from all customers before it"


def words(offer: str) -> str:
    """Write an offer's code in words.

    Examples
    --------
    >>> words("flash_sale"), words("none")
    ('flash sale', 'no offer')
    """
    return "no offer" if offer == NO_OFFER else offer.replace("_", " ")
