"""Who are the customers? Archetype, traits, attitudes, demographics, and when they come and go."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from segkit.simulate.archetypes import (
    ARCHETYPES,
    DRIVERS,
    SHARES,
    TRAITS,
    centres,
    from_scale,
    spreads,
)
from segkit.simulate.draws import Draws, Floats, Ints
from segkit.simulate.seasons import Calendar

REGIONS = ("London", "South", "Midlands", "North", "Scotland", "Wales", "Ireland")
_REGION_SHARES = np.array([0.19, 0.25, 0.17, 0.20, 0.07, 0.04, 0.08])
INCOME_BANDS = ("under 25k", "25k-40k", "40k-60k", "over 60k")
_INCOME_CUTS = np.array([-0.7, 0.1, 0.9])
_MOST = {"orders_per_year": 60.0, "sessions_per_month": 15.0, "items_per_order": 8.0}
_LIFE_SHAPE = 4.0  # of the gamma time until a customer drops out


@dataclass(frozen=True, slots=True)
class People:
    """Some customers and all that is true of them; every array has one entry a customer.

    Attributes
    ----------
    index : array of int
        Number of the customer, from 0.
    draws : Draws
        Each customer's own random numbers.
    archetype : array of int
        Place in `ARCHETYPES`; -1 in the setting without groups.
    weights : array, shape (n, archetypes)
        How much of each archetype's answer to an offer the customer gives (one-hot with groups).
    traits : dict of arrays
        By the names of `archetypes.TRAITS`, in natural units.
    joined, active_from, left : arrays of int
        Day of joining (negative before history), first day in history, day of dropping out.
    """

    index: Ints
    draws: Draws
    archetype: Ints
    weights: Floats
    traits: dict[str, Floats]
    joined: Ints
    active_from: Ints
    left: Ints

    def __len__(self) -> int:
        return len(self.index)

    def flag(self, trait: str) -> NDArray[np.bool_]:
        """Draw a yes or no from a trait that is a probability; the same at every call."""
        return np.asarray(self.draws.uniform(f"flag {trait}") < self.traits[trait])

    def some(self, rows: Ints) -> People:
        """Return the customers of some rows, in that order."""
        traits = {name: values[rows] for name, values in self.traits.items()}
        return People(
            self.index[rows],
            self.draws.rows(rows),
            self.archetype[rows],
            self.weights[rows],
            traits,
            self.joined[rows],
            self.active_from[rows],
            self.left[rows],
        )

    @property
    def abroad(self) -> NDArray[np.bool_]:
        """Whether the customer lives in Ireland and pays in euros."""
        return np.asarray(self.draws.choice("region", _REGION_SHARES) == REGIONS.index("Ireland"))


def draw_people(
    root: np.uint64, index: Ints, calendar: Calendar, difficulty: str, structure: str
) -> People:
    """Draw customers by number; the same number is the same customer in any batch."""
    draws = Draws.of(root, index)
    middle, archetype, weights = _centres_of(draws, difficulty, structure)
    values = _vary(draws, middle, difficulty)
    names = list(TRAITS)
    traits = {name: from_scale(values[:, k], TRAITS[name].scale) for k, name in enumerate(names)}
    # A customer's own purchase rate is gamma about the archetype's, not lognormal (Ehrenberg).
    spread = spreads(difficulty)[names.index("orders_per_year")]
    traits["orders_per_year"] = traits["orders_per_year"] * draws.gamma("rate", spread**-2.0)
    for name, most in _MOST.items():
        traits[name] = np.minimum(traits[name], most)
    before = draws.uniform("joined before") < traits["joined_before"]
    place = draws.uniform("joined")
    joined = np.where(before, -1 - place * 730, place * max(calendar.days - 1, 1)).astype(np.int64)
    active = np.maximum(joined, 0)
    years = traits["years_active"] * draws.gamma("life", _LIFE_SHAPE)
    left = active + np.maximum(1, years * 365.25).astype(np.int64)
    return People(index, draws, archetype, weights, traits, joined, active, left)


def _centres_of(draws: Draws, difficulty: str, structure: str) -> tuple[Floats, Ints, Floats]:
    """Each customer's centre on the traits' scales, archetype, and weights of the archetypes."""
    table = centres(difficulty)
    if structure == "archetypes":
        archetype = draws.choice("archetype", SHARES)
        return table[archetype], archetype, np.eye(len(ARCHETYPES))[archetype]
    # One continuum with the mean and covariance that the archetypes' centres have together.
    middle = SHARES @ table
    normals = np.column_stack([draws.normal(f"continuum {name}") for name in ARCHETYPES])
    centre = middle + (normals * np.sqrt(SHARES)) @ (table - middle)
    unit = np.where(spreads("medium") > 0, spreads("medium"), 1.0)
    apart = ((centre[:, None, :] - table[None, :, :]) / unit) ** 2
    score = np.log(SHARES) - 0.1 * apart.sum(axis=2)
    weights = np.exp(score - score.max(axis=1, keepdims=True))
    nobody = np.full(len(draws.keys), -1, dtype=np.int64)
    return centre, nobody, weights / weights.sum(axis=1, keepdims=True)


def _vary(draws: Draws, middle: Floats, difficulty: str) -> Floats:
    """Add what is the customer's own: noise on every trait, and what the drivers do to it."""
    names, spread = list(TRAITS), spreads(difficulty)
    own = np.zeros_like(middle)
    for k, name in enumerate(names):
        if name != "orders_per_year" and spread[k] > 0:
            own[:, k] = spread[k] * draws.normal(f"own {name}")
    moved = own.copy()
    for trait, driver, coefficient in DRIVERS:
        moved[:, names.index(trait)] += coefficient * own[:, names.index(driver)]
    return np.asarray(middle + moved)


def leaving_day(people: People, calendar: Calendar) -> Ints:
    """Day on which a customer unsubscribes or complains; far past history for most."""
    draws, never = people.draws, calendar.days + 10**6
    leaves = draws.uniform("unsubscribes") < 0.16 - 0.14 * people.traits["open_probability"]
    span = np.maximum(calendar.days - people.active_from, 1)
    day = people.active_from + 30 + (draws.uniform("unsubscribe day") * span).astype(np.int64)
    return np.where(leaves & (day < calendar.days), day, never)


def writable(people: People, calendar: Calendar, day: int) -> NDArray[np.bool_]:
    """Whether each customer has agreed to e-mail and not unsubscribed before a day."""
    return np.asarray(people.flag("marketing_consent") & (leaving_day(people, calendar) >= day))


def describe(people: People, calendar: Calendar) -> pl.DataFrame:
    """Return the demographic columns of the raw customers table, in the customers' order."""
    traits, draws = people.traits, people.draws
    age_days = (np.clip(traits["age"], 18, 85) + draws.uniform("birthday")) * 365.25
    born = (np.datetime64(calendar.campaign_date) - age_days.astype(np.int64)).astype(
        "datetime64[D]"
    )
    income = np.searchsorted(_INCOME_CUTS, traits["income"])
    app, store = traits["app_share"], traits["store_share"]
    preferred = np.where(store > np.maximum(app, 1 - app - store), 2, np.where(app > 0.5, 1, 0))
    joined = np.datetime64(calendar.start) + people.joined
    gender = np.where(draws.uniform("gender stated") < 0.04, 2, people.flag("female"))
    return pl.DataFrame(
        {
            "birth_date": pl.Series(born).cast(pl.Date),
            "gender": pl.Series(["male", "female", None]).gather(gender),
            "income_band": pl.Series(INCOME_BANDS).gather(income),
            "region": pl.Series(REGIONS).gather(draws.choice("region", _REGION_SHARES)),
            "preferred_channel": pl.Series(["web", "app", "store"]).gather(preferred),
            "joined": pl.Series(joined).cast(pl.Date),
            "marketing_consent": writable(people, calendar, calendar.days),
            "profiling_consent": draws.uniform("profiling consent") < 0.96,
        }
    )


def truth_of(people: People, calendar: Calendar) -> pl.DataFrame:
    """Return what is true of the customers: archetype, traits, and when they dropped out."""
    labels = pl.Series([*ARCHETYPES, None])
    gone = people.left < calendar.days
    left = np.datetime64(calendar.start) + np.where(gone, people.left, 0)
    columns: dict[str, object] = {
        "archetype": labels.gather(people.archetype % (len(ARCHETYPES) + 1)),
        "left": pl.Series(left).cast(pl.Date).set(~pl.Series(gone), None),
    }
    columns |= {name: people.traits[name] for name in TRAITS}
    return pl.DataFrame(columns)
