"""The grade of a campaign on simulated customers: what its offers could have earned, and did."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from segkit.campaign.assignment import NO_OFFER
from segkit.display import percent
from segkit.errors import DataError, require_choice, require_columns
from segkit.frames import takes_frames
from segkit.result import Figure, Result
from segkit.simulate.world import conversion

Array = npt.NDArray[np.float64]
ADDED = "added_"  # of the truth's columns: orders that an offer adds, by its name
STEPS = ("own offers", "best by segment", "policy sent", "measured")


@dataclass(frozen=True, slots=True, eq=False)
class LiftGrade(Result):
    """A campaign's lift of conversion, step by step from what was possible to what was measured.

    Attributes
    ----------
    table : polars.DataFrame
        One row per step of `STEPS`: step, lift (relative, over the generic offer), change (from the
        step before), low, high (of the measurement; null for what is true).
    segments : polars.DataFrame
        One row per segment: segment, customers, best_offer (truly, for the segment), sent_offer
        (to most of it), right (Boolean), best_lift, sent_lift (true).
    claimed : float
        The published lift.
    level : float
    """

    table: pl.DataFrame
    segments: pl.DataFrame
    claimed: float
    level: float

    def lift(self, step: str) -> float:
        """Return the lift at a step."""
        require_choice("step", step, STEPS)
        return float(self.table.filter(step=step)["lift"].item())

    @property
    def covers_truth(self) -> bool:
        """Whether the measured interval contains the true lift of the policy that was sent."""
        row = self.table.row(-1, named=True)
        return bool(row["low"] <= self.lift("policy sent") <= row["high"])

    @property
    def text(self) -> str:
        """The steps in one paragraph."""
        own, best, sent, measured = (percent(value) for value in self.table["lift"])
        row = self.table.row(-1, named=True)
        interval = f"{percent(self.level, places=0)} CI {percent(row['low'])} to "
        interval += percent(row["high"])
        right = dict(self.segments.group_by("right").agg(pl.col("customers").sum()).iter_rows())
        share = percent(right.get(True, 0) / max(1, sum(right.values())), places=0)
        verb = "holds" if self.covers_truth else "misses"
        claim = "within" if row["low"] <= self.claimed <= row["high"] else "outside"
        return (
            f"The policy sent truly lifted conversion by {sent} over the generic offer; measured "
            f"were {measured} ({interval}), which {verb} the truth. Had every customer got its own "
            f"archetype's offer, it would have been {own}; with the best offer for each segment "
            f"found, {best}. So segments that are not quite the archetypes cost "
            f"{self._points('best by segment')} points, and a pilot that does not teach every best "
            f"offer, with the ties explored, {self._points('policy sent')}; {share} of the "
            "customers are in a segment that got its best offer. The published "
            f"{percent(self.claimed, places=0)} lies {claim} the measured interval."
        )

    def _points(self, step: str) -> str:
        change = -100 * float(self.table.filter(step=step)["change"].item())
        return f"{change:.1f}"

    def plot(self) -> Figure:
        """Draw the waterfall from what was possible to what was measured."""
        from segkit.plot import waterfall

        names = ("each customer's own offer", "segments found", "policy learnt and sent",
                 "chance in the measurement")  # fmt: skip
        changes = [self.table["lift"][0], *self.table["change"][1:]]
        row = self.table.row(-1, named=True)
        return waterfall(
            pl.DataFrame({"step": names, "lift": changes}),
            "step",
            "lift",
            total="measured",
            interval=(row["low"], row["high"]),
            reference=self.claimed,
            reference_label="claimed",
            percent=True,
            title="From what offers could have earned to what was measured",
            x_label="Step",
            y_label="Lift of conversion over the generic offer",
        )


@takes_frames
def grade_lift(
    assigned: pl.DataFrame,
    truth: pl.DataFrame,
    measured: dict[str, Any],
    *,
    arm: str = "tailored",
    control: str = "generic",
    claimed: float = 0.3,
    level: float = 0.95,
) -> LiftGrade:
    """Grade a simulated campaign's lift against the planted chances to order.

    Each customer's chance under an offer is ``1 - exp(-(natural + added orders))``. The policy sent
    is what the arm's customers got in each segment, exploration of ties included, applied to all
    assigned customers of the segment.

    Parameters
    ----------
    assigned : DataFrame
        customer_id, segment, arm, offer.
    truth : DataFrame
        customer_id, natural_orders, best_offer, ``added_<offer>`` for each offer (the simulated
        retailer's truth about its customers).
    measured : dict
        relative, relative_low, relative_high: `segkit.lift.Lift.row` of the arm over the control.
    arm, control : str
        The arm with the policy, and the one with one offer for all.
    claimed : float
        The published lift, drawn as a line.
    level : float
        Of the measured interval.

    Returns
    -------
    LiftGrade

    Raises
    ------
    DataError
        If an arm is missing, has several offers where one is expected, or an assigned customer or
        offer is not in the truth.

    Examples
    --------
    >>> assigned = pl.DataFrame({"customer_id": ["a", "b"], "segment": "S1",
    ...     "arm": ["tailored", "generic"], "offer": ["sale", "generic"]})
    >>> truth = pl.DataFrame({"customer_id": ["a", "b"], "natural_orders": 0.1, "added_sale": 0.2,
    ...     "added_generic": 0.1, "best_offer": "sale"})
    >>> seen = {"relative": 0.4, "relative_low": 0.1, "relative_high": 0.8}
    >>> round(grade_lift(assigned, truth, seen).lift("policy sent"), 3)
    0.43
    """
    require_columns(assigned.columns, ["customer_id", "segment", "arm", "offer"], "the assignments")
    require_columns(truth.columns, ["customer_id", "natural_orders", "best_offer"], "the truth")
    offers = [name.removeprefix(ADDED) for name in truth.columns if name.startswith(ADDED)]
    people = assigned.join(truth, on="customer_id", how="inner", maintain_order="left")
    if people.height < assigned.height:
        lost = assigned.height - people.height
        raise DataError(f"{lost:,} of the assigned customers are not among those of the truth")
    base = people["natural_orders"].to_numpy()
    chances = {name: conversion(base, people[f"{ADDED}{name}"].to_numpy()) for name in offers}
    chances[NO_OFFER] = conversion(base, np.zeros(people.height))
    sent = _shares_of(people, arm, chances)
    everyone = _shares_of(people, control, chances)
    if everyone["offer"].n_unique() > 1:
        raise DataError(
            f"the arm {control!r} is to get one offer, got {everyone['offer'].unique()}"
        )
    usual = chances[everyone["offer"][0]]
    own = np.array([chances[name][k] for k, name in enumerate(people["best_offer"])])
    best, policy, rows = np.zeros(people.height), np.zeros(people.height), []
    for (segment,), part in people.with_row_index("place").group_by("segment", maintain_order=True):
        place = part["place"].to_numpy()
        means = {name: float(values[place].mean()) for name, values in chances.items()}
        top = max(means, key=lambda name: means[name])
        given = sent.filter(segment=segment)
        if given.is_empty():  # nobody of this segment happens to be in the arm
            given = everyone.head(1).with_columns(share=pl.lit(1.0))
        best[place] = chances[top][place]
        for offer, share in given.select("offer", "share").iter_rows():
            policy[place] += share * chances[offer][place]
        most, generic = given["offer"][0], float(usual[place].mean())
        truly = float(policy[place].mean()) / generic - 1
        rows.append((segment, len(place), top, most, top == most, means[top] / generic - 1, truly))
    level_of = float(usual.mean())
    steps = [float(values.mean()) / level_of - 1 for values in (own, best, policy)]
    steps.append(float(measured["relative"]))
    low, high = float(measured["relative_low"]), float(measured["relative_high"])
    table = pl.DataFrame(
        {
            "step": STEPS,
            "lift": steps,
            "change": [None, *np.diff(steps).tolist()],
            "low": [None, None, None, low],
            "high": [None, None, None, high],
        }
    )
    schema = ["segment", "customers", "best_offer", "sent_offer", "right", "best_lift", "sent_lift"]
    segments = pl.DataFrame(rows, schema=schema, orient="row").sort("segment")
    return LiftGrade(table, segments, claimed, level)


def _shares_of(customers: pl.DataFrame, arm: str, chances: dict[str, Array]) -> pl.DataFrame:
    """Return the share of each offer among an arm's customers, by segment, the largest first."""
    part = customers.filter(pl.col("arm") == arm)
    if part.is_empty():
        arms = ", ".join(sorted(customers["arm"].unique()))
        raise DataError(f"nobody was assigned to arm {arm!r}; the arms are {arms}")
    for offer in part["offer"].unique().sort():
        require_choice("offer of the truth", str(offer), chances, DataError)
    counts = part.group_by("segment", "offer").len("customers")
    share = pl.col("customers") / pl.col("customers").sum().over("segment")
    return counts.with_columns(share=share).sort(
        "segment", "share", "offer", descending=[False, True, False]
    )
