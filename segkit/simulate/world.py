"""Which retailer is simulated? Its settings, checked, and what follows from them for everyone."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from functools import cached_property

import numpy as np

from segkit.errors import ParameterError, unknown
from segkit.simulate import campaign
from segkit.simulate.archetypes import DIFFICULTIES, GENERATOR_VERSION
from segkit.simulate.catalogue import Catalogue, make_catalogue
from segkit.simulate.customers import People, draw_people
from segkit.simulate.draws import Draws, Ints, root_key
from segkit.simulate.seasons import Calendar, make_calendar

BLOCK = 2_000  # customers made at a time, whatever the batch
PILOT_ID, PILOT_DAYS = "PILOT", 42  # the pilot goes out so many days before the campaign
STRUCTURES = ("archetypes", "none")


@dataclass(frozen=True)
class World:
    """A simulated retailer's settings; the same settings give the same bytes.

    Attributes
    ----------
    n_customers : int
        At least 1.
    seed : int
    difficulty : {"easy", "medium", "hard"}
    structure : {"archetypes", "none"}
    lift : {"planted", "none"}
    start : date
        First day of history.
    months : int
        Length of history, 1 to 60; the campaign's date is the day after.
    dirty : bool
        Whether defects are planted.
    pilot_share : float
        Share of customers who may be written to that is in the pilot.

    Raises
    ------
    ParameterError
        If a setting is unknown or out of range.
    """

    n_customers: int
    seed: int
    difficulty: str
    structure: str
    lift: str
    start: date
    months: int
    dirty: bool
    pilot_share: float

    def __post_init__(self) -> None:
        choices = [
            ("difficulty", self.difficulty, list(DIFFICULTIES)),
            ("structure", self.structure, list(STRUCTURES)),
            ("lift", self.lift, ["planted", "none"]),
        ]
        for kind, got, known in choices:
            if got not in known:
                raise ParameterError(unknown(kind, str(got), known))
        if not 1 <= self.n_customers < 2**24:
            raise ParameterError(f"n_customers must be 1 to {2**24 - 1:,}, got {self.n_customers}")
        if not 1 <= self.months <= 60:
            raise ParameterError(f"months must be 1 to 60, got {self.months}")
        if not 0 <= self.pilot_share <= 1:
            raise ParameterError(f"pilot_share must be 0 to 1, got {self.pilot_share}")

    @cached_property
    def root(self) -> np.uint64:
        """The key from which every random number comes."""
        return root_key(self.seed, GENERATOR_VERSION)

    @cached_property
    def calendar(self) -> Calendar:
        """Days, sales and occasions."""
        return make_calendar(self.start, self.months)

    @cached_property
    def catalogue(self) -> Catalogue:
        """Products, prices and exchange rates."""
        return make_catalogue(self.root, self.calendar)

    @cached_property
    def planted(self) -> campaign.Planted:
        """The answers to offers."""
        return campaign.plant(self.start, self.months, self.difficulty, self.structure, self.lift)

    @property
    def pilot_day(self) -> int:
        """Day on which the pilot goes out."""
        return self.calendar.days - min(PILOT_DAYS, self.calendar.days // 2)

    def neighbours(self, people: People) -> Draws:
        """Return the streams of each customer's neighbour, with whom a device may be shared."""
        return Draws.of(self.root, people.index ^ 1)

    def people(self, index: Ints) -> People:
        """Draw customers by number."""
        return draw_people(self.root, index, self.calendar, self.difficulty, self.structure)
