"""Simulated customers: archetype, traits, demographics, lifetime, and answers to a survey."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import polars as pl
from numpy.typing import NDArray

from segkit.simulate.archetypes import (
    ARCHETYPES,
    ATTITUDES,
    DRIVERS,
    SHARES,
    TRAITS,
    centres,
    from_scale,
    spreads,
)
from segkit.simulate.catalogue import Calendar, Catalogue
from segkit.simulate.draws import Draws, Floats, Ints, spread_out

REGIONS = ("London", "South", "Midlands", "North", "Scotland", "Wales", "Ireland")
_REGION_SHARES = np.array([0.19, 0.25, 0.17, 0.20, 0.07, 0.04, 0.08])
INCOME_BANDS = ("under 25k", "25k-40k", "40k-60k", "over 60k")
_INCOME_CUTS = np.array([-0.7, 0.1, 0.9])
_MOST = {"orders_per_year": 60.0, "sessions_per_month": 15.0, "items_per_order": 8.0}
_LIFE_SHAPE = 4.0  # of the gamma time until a customer drops out


@dataclass(frozen=True, slots=True)
class People:
    """Customers with their true values; every array has one entry per customer.

    Attributes
    ----------
    calendar, catalogue : Calendar, Catalogue
        The days on which they may shop, and what there is to buy.
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

    calendar: Calendar
    catalogue: Catalogue
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
        arrays = ("index", "archetype", "weights", "joined", "active_from", "left")
        return replace(
            self,
            draws=self.draws.rows(rows),
            traits={name: values[rows] for name, values in self.traits.items()},
            **{name: getattr(self, name)[rows] for name in arrays},
        )

    def happen(
        self, purpose: str, each: str, part: int, kind: int, rate: Floats, first: Ints, last: Ints
    ) -> tuple[Ints, Ints, Draws, Ints]:
        """Draw what each customer does in a span of days: a Poisson process.

        Parameters
        ----------
        purpose, each : str
            Names of the random streams: of the customers, and of each thing done.
        part : int
            Number of the span among those with the same purpose.
        kind : int
            Rhythm of the calendar: everyday shopping, sales or gifts.
        rate : array
            How often a year.
        first, last : arrays of int
            First day, and the day after the last.

        Returns
        -------
        tuple
            For each thing done: row of the customer, number among the customer's own, random
            numbers, day.
        """
        stream = self.draws.child(np.arange(len(self)), part, purpose)
        counts = stream.poisson("count", rate * self.calendar.weight(kind, first, last))
        person, number = spread_out(counts)
        draws = stream.child(person, number, each)
        day = self.calendar.day_at(kind, first[person], last[person], draws.uniform("day"))
        return person, number, draws, day

    @property
    def abroad(self) -> NDArray[np.bool_]:
        """Whether the customer lives in Ireland and pays in euros."""
        return np.asarray(self.draws.choice("region", _REGION_SHARES) == REGIONS.index("Ireland"))


def draw_people(
    root: np.uint64,
    index: Ints,
    calendar: Calendar,
    catalogue: Catalogue,
    difficulty: str,
    structure: str,
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
    shop = (calendar, catalogue)
    return People(*shop, index, draws, archetype, weights, traits, joined, active, left)


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
    """Add each customer's random deviation to every trait, and the effects of the drivers."""
    names, spread = list(TRAITS), spreads(difficulty)
    own = np.zeros_like(middle)
    for k, name in enumerate(names):
        if name != "orders_per_year" and spread[k] > 0:
            own[:, k] = spread[k] * draws.normal(f"own {name}")
    moved = own.copy()
    for trait, driver, coefficient in DRIVERS:
        moved[:, names.index(trait)] += coefficient * own[:, names.index(driver)]
    return np.asarray(middle + moved)


def leaving_day(people: People) -> Ints:
    """Return the day on which each customer unsubscribes; for most long after the history."""
    draws, days = people.draws, people.calendar.days
    leaves = draws.uniform("unsubscribes") < 0.16 - 0.14 * people.traits["open_probability"]
    span = np.maximum(days - people.active_from, 1)
    day = people.active_from + 30 + (draws.uniform("unsubscribe day") * span).astype(np.int64)
    return np.where(leaves & (day < days), day, days + 10**6)


def writable(people: People, day: int) -> NDArray[np.bool_]:
    """Return whether each customer has agreed to e-mail and not unsubscribed before a day."""
    return np.asarray(people.flag("marketing_consent") & (leaving_day(people) >= day))


def describe(people: People) -> pl.DataFrame:
    """Return the demographic columns of the raw customers table, in the customers' order."""
    traits, draws, calendar = people.traits, people.draws, people.calendar
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
            "marketing_consent": writable(people, calendar.days),
            "profiling_consent": draws.uniform("profiling consent") < 0.96,
        }
    )


def truth_of(people: People) -> pl.DataFrame:
    """Return the customers' true values: archetype, traits, and day of dropping out."""
    labels = pl.Series([*ARCHETYPES, None])
    has_left = people.left < people.calendar.days
    left = np.datetime64(people.calendar.start) + np.where(has_left, people.left, 0)
    columns: dict[str, object] = {
        "archetype": labels.gather(people.archetype % (len(ARCHETYPES) + 1)),
        "left": pl.Series(left).cast(pl.Date).set(~pl.Series(has_left), None),
    }
    columns |= {name: people.traits[name] for name in TRAITS}
    return pl.DataFrame(columns)


ANSWERING = 0.35  # share of customers who take part
_MISSING = 0.03  # share of items left open
_LOADINGS = (0.80, 0.75, 0.70, 0.65)  # of an attitude's four items
ANSWERS = (1, 5)  # lowest and highest answer to an item
_CUTS = np.array([-1.4, -0.5, 0.4, 1.3])  # between the answers

# Four statements an attitude; the third and fourth are worded the other way round.
_STATEMENTS = """
price   I compare prices before I buy clothes
price   I wait for the sale
price   I buy what I like whatever it costs
price   I seldom look at the price tag
fashion I follow what is new in fashion
fashion Clothes say who I am
fashion I wear the same things for years
fashion Fashion bores me
loyal   I think of this shop first
loyal   I would miss this shop if it closed
loyal   I could as well buy elsewhere
loyal   I like trying other shops
conv    Shopping should take as little time as possible
conv    I pay for quick delivery
conv    I enjoy going round the shops
conv    I do not mind queueing for the right thing
sust    I ask how clothes are made
sust    I would pay more for organic cotton
sust    I throw away clothes that still fit
sust    Where clothes come from does not matter to me
"""


def items() -> pl.DataFrame:
    """Return the codebook: item, statement, attitude it measures, whether it is reversed, loading.

    Examples
    --------
    >>> items().height, items()["reversed"].sum()
    (20, 10)
    """
    rows = []
    for place, line in enumerate(_STATEMENTS.strip().splitlines()):
        short, statement = line.split(maxsplit=1)
        which, k = divmod(place, len(_LOADINGS))
        rows.append((f"{short}_{k + 1}", statement, ATTITUDES[which], k >= 2, _LOADINGS[k]))
    names = ["item", "statement", "attitude", "reversed", "loading"]
    return pl.DataFrame(rows, schema=names, orient="row")


def survey_table(people: People, accounts: pl.Series) -> pl.DataFrame:
    """Draw the answers of those who take part; an item left open is null."""
    takes = people.draws.uniform("takes part") < ANSWERING
    draws, rows = people.draws.rows(takes), np.flatnonzero(takes)
    columns: dict[str, pl.Series] = {"account_id": accounts.filter(pl.Series(takes))}
    for item, _, attitude, reverse, loading in items().iter_rows():
        score = people.traits[attitude][rows] * (-1 if reverse else 1)
        noise = np.sqrt(1 - loading**2) * draws.normal(f"noise {item}")
        answer = pl.Series(ANSWERS[0] + np.searchsorted(_CUTS, loading * score + noise))
        left_open = pl.Series(draws.uniform(f"open {item}") < _MISSING)
        columns[item] = answer.cast(pl.Int64).set(left_open, None)
    loyal = people.traits["loyalty"][rows]
    nps = np.round(7.2 + 1.3 * loyal + 1.6 * draws.normal("nps")).clip(0, 10)
    csat = np.round(3.8 + 0.35 * loyal + 0.7 * draws.normal("csat")).clip(1, 5)
    columns["nps"] = pl.Series(nps).cast(pl.Int64)
    columns["csat"] = pl.Series(csat).cast(pl.Int64)
    return pl.DataFrame(columns)
