"""Personas: one card a segment, every word and number of it from the profile."""

from __future__ import annotations

import html
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import polars as pl

from segkit.errors import DataError
from segkit.profile.habits import HABITS, OFFERS, OfferRule
from segkit.profile.outcome import Profile
from segkit.profile.phrases import (
    Compared,
    channels_words,
    habits_words,
    marks_words,
    offer_words,
    people_words,
    size_words,
    value_words,
)
from segkit.result import Result

UNMARKED = "nothing: it is close to the average customer"
STACKED = "float:none;width:auto"  # JupyterLab puts a list's terms beside what they stand for


@dataclass(frozen=True, slots=True)
class Persona:
    """One segment as a card.

    Attributes
    ----------
    segment, name : str
    size, value : str
        How many, and what they are worth.
    people, channels : tuple of str
        Who they are more often than others, where they are reached.
    habits, marks : tuple of (str, str, str)
        What they do, what sets them apart: the habit, the segment's median (the share, for
        yes/no variables), that of all customers.
    offer : str
        What to offer, and the marks that speak for it.
    """

    segment: str
    name: str
    size: str
    value: str
    people: tuple[str, ...]
    habits: tuple[Compared, ...]
    channels: tuple[str, ...]
    marks: tuple[Compared, ...]
    offer: str

    def rows(self) -> list[tuple[str, tuple[str, ...]]]:
        """Return the card's headings with what stands under them, as text."""
        return [
            ("Size", (self.size,)),
            ("Value", (self.value,)),
            ("Who", self.people),
            ("Habits", _in_words(self.habits)),
            ("Channels", self.channels),
            ("What marks it", _in_words(self.marks) or (UNMARKED,)),
            ("What to offer", (self.offer,)),
        ]


def _in_words(compared: tuple[Compared, ...]) -> tuple[str, ...]:
    return tuple(f"{what}: {here} (all customers: {whole})" for what, here, whole in compared)


@dataclass(frozen=True, slots=True, eq=False)
class Personas(Result):
    """A card for each segment.

    Attributes
    ----------
    cards : tuple of Persona
        In the order of the profile's segments.
    """

    cards: tuple[Persona, ...]

    def to_frame(self) -> pl.DataFrame:
        """Return the cards, one row each, as text."""
        return pl.DataFrame(
            [
                {"segment": card.segment, "segment_name": card.name}
                | {name.lower().replace(" ", "_"): "; ".join(v) for name, v in card.rows()}
                for card in self.cards
            ]
        )

    @property
    def text(self) -> str:
        """The cards in a sentence each."""
        said = [f"{card.name}: {card.size}; {card.offer}." for card in self.cards]
        return " ".join(said)

    def _repr_html_(self) -> str:
        return (
            '<div class="segkit-personas" style="display:grid;gap:1rem;'
            'grid-template-columns:repeat(auto-fill,minmax(19rem,1fr))">'
            f"{''.join(_card(card) for card in self.cards)}</div>"
        )


def _card(card: Persona) -> str:
    tables = {"Habits": card.habits, "What marks it": card.marks}
    parts = []
    for heading, said in card.rows():
        if not any(said):
            continue
        body = _table(tables[heading]) if tables.get(heading) else _list(said)
        parts.append(
            f'<dt style="font-weight:600;margin-top:.5rem;{STACKED}">{heading}</dt>'
            f'<dd style="margin:0;{STACKED}">{body}</dd>'
        )
    return (
        '<article style="border:1px solid #8a8a8a;border-radius:.5rem;padding:.75rem 1rem">'
        f'<h3 style="margin:0">{html.escape(card.name)}</h3>'
        f'<dl style="margin:0">{"".join(parts)}</dl></article>'
    )


def _list(said: tuple[str, ...]) -> str:
    if len(said) == 1:
        return html.escape(said[0])
    items = "".join(f"<li>{html.escape(item)}</li>" for item in said)
    return f'<ul style="margin:0;padding-left:1.1rem">{items}</ul>'


def _table(compared: tuple[Compared, ...]) -> str:
    """Render habits as a small table: what, here, all customers."""
    right = ' style="text-align:right;padding-left:.5rem"'
    rows = "".join(
        f'<tr><th scope="row" style="text-align:left;font-weight:400">{html.escape(what)}</th>'
        f"<td{right}><b>{html.escape(here)}</b></td><td{right}>{html.escape(whole)}</td></tr>"
        for what, here, whole in compared
    )
    return (
        '<table style="width:100%;margin:0;font:inherit"><thead><tr><td></td>'
        f'<th scope="col"{right}>here</th><th scope="col"{right}>all</th></tr></thead>'
        f"<tbody>{rows}</tbody></table>"
    )


def personas(
    profile: Profile,
    *,
    offers: Sequence[OfferRule] = OFFERS,
    habits: Mapping[str, str] | None = None,
) -> Personas:
    """Write a card for each segment: size, value, people, habits, channels, marks, offer.

    Parameters
    ----------
    profile : Profile
        From `profile_segments`.
    offers : sequence of OfferRule
        Which mark speaks for which offer; the offer with the strongest marks in sum is named,
        as a guess to be tested.
    habits : mapping of str to str, optional
        Feature, without its window, to its name in words; added to those that segkit knows.

    Examples
    --------
    >>> from segkit.profile import profile_segments
    >>> table = pl.DataFrame({"customer_id": ["a", "b", "c"], "frequency": [1, 1, 7]})
    >>> chosen = pl.DataFrame({"customer_id": ["a", "b", "c"], "segment": ["S1", "S1", "S2"]})
    >>> personas(profile_segments(table, chosen)).cards[0].habits
    (('orders', '1', '1'),)
    """
    known = {**HABITS, **(habits or {})}
    cards = []
    for segment in profile.segments.get_column("segment"):
        mine = profile.of(segment)
        row = mine["segments"].row(0, named=True)
        cards.append(
            Persona(
                segment=segment,
                name=row["segment_name"],
                size=size_words(row),
                value=value_words(row, profile),
                people=people_words(mine["composition"], profile),
                habits=habits_words(mine["variables"], known),
                channels=channels_words(mine["composition"], mine["variables"]),
                marks=marks_words(mine["variables"]),
                offer=offer_words(mine["variables"], offers),
            )
        )
    if not cards:
        raise DataError("a profile without segments has no personas")
    return Personas(tuple(cards))
