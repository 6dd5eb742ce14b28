"""Personas: one card per segment with words and numbers of its profile."""

from __future__ import annotations

import html
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any

import polars as pl

from segkit.display import LABELS, counted, is_share, label, money, number, percent, stem
from segkit.errors import DataError
from segkit.profile.segment_profile import Profile
from segkit.profile.variables import ARROWS
from segkit.result import Result
from segkit.schema import fields

# The habits on a card, in this order.
HABITS: dict[str, str] = {
    name: LABELS[name]
    for name in (
        *("recency_days", "frequency", "monetary", "gap_days_mean", "order_value_mean"),
        *("discount_share", "discounted_order_share", "return_share", "category_breadth"),
        *("visits", "abandonment_rate", "open_rate", "click_rate", "engagement_recency_days"),
        *("tenure_days", "product_breadth", "carts_abandoned", "product_views", "time_seconds"),
    )
}


MOST_MARKS = 5
MOST_PEOPLE = 4
MOST_HABITS = 9
LEAST_SHARE = 0.1  # of a segment: rarer traits are not mentioned
Compared = tuple[str, str, str]
HEIGHT = {"above": "high", "below": "low"}
CHANNELS = ("preferred_channel",)
BOUGHT = ("favourite_category", "first_category", "favourite_brand", "first_brand")
MOST_FAVOURITES = 3
GUESS = "a guess from its marks, to be tested against a generic offer"
UNMARKED = "nothing: it is close to the average customer"
STACKED = "float:none;width:auto"  # else JupyterLab puts a list's terms beside their definitions


@dataclass(frozen=True, slots=True)
class OfferRule:
    """Rule that assigns an offer to a marker variable.

    Attributes
    ----------
    variable : str
        A feature without its window; a trailing ``*`` stands for any ending.
    direction : str
        "above" or "below" the other customers.
    offer : str
        What to offer.
    """

    variable: str
    direction: str
    offer: str

    def holds(self, variable: str, direction: str) -> bool:
        """Return whether a marker variable and its direction match the rule.

        Examples
        --------
        >>> OfferRule("occasion_share_*", "above", "x").holds("occasion_share_easter", "above")
        True
        """
        return direction == self.direction and fnmatchcase(stem(variable), self.variable)


OFFERS: tuple[OfferRule, ...] = (
    OfferRule("discount_share", "above", "flash sale"),
    OfferRule("discounted_order_share", "above", "flash sale"),
    OfferRule("time_seconds_sale", "above", "flash sale"),
    OfferRule("monetary", "above", "early access"),
    OfferRule("frequency", "above", "early access"),
    OfferRule("open_rate", "above", "early access"),
    OfferRule("discount_share", "below", "early access"),
    OfferRule("recency_days", "above", "reengagement"),
    OfferRule("engagement_recency_days", "above", "reengagement"),
    OfferRule("orders_trend", "below", "reengagement"),
    OfferRule("abandonment_rate", "above", "style guide"),
    OfferRule("carts_abandoned", "above", "style guide"),
    OfferRule("product_views", "above", "style guide"),
    OfferRule("time_seconds_lookbook", "above", "style guide"),
    OfferRule("occasion_share_*", "above", "reminder before the occasion"),
    OfferRule("season_share_*", "above", "reminder before the season"),
)


def habit(feature: str, words: Mapping[str, str] = HABITS) -> str:
    """Return a feature's name in words: the card's own, or the one used in all figures.

    Examples
    --------
    >>> habit("frequency_365d"), habit("shoe_size")
    ('orders (last 365 days)', 'shoe size')
    """
    name = stem(feature)
    return label(feature).replace(label(name), words[name]) if name in words else label(feature)


CONSENT = tuple(name for name in fields("customers") if name.endswith("_consent"))


def size_words(row: dict[str, Any]) -> str:
    """Write a segment's number of customers."""
    if not row["customers"]:
        return "no customers"
    return f"{counted(row['customers'], 'customer')}, {percent(row['customer_share'])} of all"


def value_words(row: dict[str, Any], profile: Profile) -> str:
    """Write the value per customer, with its interval, and the share of revenue."""
    worth = row.get("revenue_per_customer")
    if worth is None:
        return ""
    words = f"{money(worth, profile.currency)} per customer"
    if row["revenue_per_customer_low"] is not None:
        low, high = row["revenue_per_customer_low"], row["revenue_per_customer_high"]
        words += f" ({percent(profile.level, places=0)} CI {money(low)} to {money(high)})"
    if row["revenue_share"] is not None:
        index = row["revenue_share"] / row["customer_share"]
        words += f", {number(index, digits=2)} times the average"
        words += f"; {percent(row['revenue_share'])} of revenue"
    return words


def people_words(composition: pl.DataFrame, profile: Profile) -> tuple[str, ...]:
    """List the levels that are clearly more common here than among all, by the marker rule."""
    rule = profile.rule
    gap = pl.col("share") - pl.col("share_all")
    rows = composition.filter(
        ~pl.col("variable").is_in([*CHANNELS, *CONSENT, *BOUGHT])
        & (pl.col("share_low") > pl.col("share_all"))
        & (pl.col("share") >= LEAST_SHARE)
        & ((gap >= rule.share_absolute) | (gap >= rule.share_relative * pl.col("share_all")))
    ).sort(gap, descending=True, maintain_order=True)
    return tuple(
        f"{label(row['variable'])} {row['level']}: {percent(row['share'])} "
        f"(all customers: {percent(row['share_all'])})"
        for row in rows.head(MOST_PEOPLE).iter_rows(named=True)
    )


def favourites_words(composition: pl.DataFrame) -> tuple[str, ...]:
    """List the commonest favourite categories of the customers, beside those of all."""
    rows = composition.filter(
        (pl.col("variable") == BOUGHT[0])
        & (pl.col("level") != "other")
        & (pl.col("share") >= LEAST_SHARE)
    ).sort("share", descending=True, maintain_order=True)
    return tuple(
        f"{row['level']}: {percent(row['share'])} (all customers: {percent(row['share_all'])})"
        for row in rows.head(MOST_FAVOURITES).iter_rows(named=True)
    )


def _typical(row: dict[str, Any], key: str) -> str:
    """Write a variable's median, or the share of a yes/no variable."""
    if row["kind"] == "yes/no":
        return percent(row["mean" + key])
    value = row["median" + key]
    return percent(value) if is_share(row["variable"]) else number(value)


def _beside(row: dict[str, Any], words: str) -> Compared:
    return (words, _typical(row, ""), _typical(row, "_all"))


def habits_words(variables: pl.DataFrame, words: Mapping[str, str]) -> tuple[Compared, ...]:
    """Give the typical value of each habit beside that of all customers."""
    rows = variables.filter(pl.col("customers") > 0).to_dicts()
    habits = [
        _beside(row, habit(row["variable"], words))
        for name in words
        for row in rows
        if stem(row["variable"]) == name
    ]
    return tuple(habits[:MOST_HABITS])


def channels_words(composition: pl.DataFrame, variables: pl.DataFrame) -> tuple[str, ...]:
    """Write the preferred channels, the channel of purchase, and the consent."""
    preferred = composition.filter(
        pl.col("variable").is_in(list(CHANNELS)) & pl.col("share").is_not_null()
    ).sort("share", descending=True, maintain_order=True)
    lines = [
        f"{percent(row['share'])} prefer {row['level']} "
        f"(all customers: {percent(row['share_all'])})"
        for row in preferred.head(2).iter_rows(named=True)
    ]
    bought = variables.filter(
        pl.col("variable").str.starts_with("channel_share_") & pl.col("mean").is_not_null()
    ).sort("mean", descending=True, maintain_order=True)
    for row in bought.head(1).iter_rows(named=True):
        channel = stem(row["variable"]).removeprefix("channel_share_")
        lines.append(f"buys most by {channel}: {percent(row['mean'])} on average")
    consent = composition.filter(
        (pl.col("variable") == "marketing_consent") & (pl.col("level") == "yes")
    ).drop_nulls("share")
    lines += [f"{percent(s)} consent to marketing" for s in consent.get_column("share")]
    return tuple(lines)


def marks_words(variables: pl.DataFrame) -> tuple[Compared, ...]:
    """Return the segment's marker variables, strongest first, with values of all customers."""
    rows = variables.filter(pl.col("marker")).sort(
        pl.col("strength").abs(), descending=True, maintain_order=True
    )
    return tuple(
        _beside(row, f"{ARROWS[row['direction']]} {habit(row['variable'])}")
        for row in rows.head(MOST_MARKS).iter_rows(named=True)
    )


def choose_offer(variables: pl.DataFrame, offers: Sequence[OfferRule]) -> tuple[str, str]:
    """Choose the offer that the strongest marker variables support; return it, and it in words."""
    reasons: dict[str, list[tuple[float, str]]] = {}
    for row in variables.filter(pl.col("marker")).iter_rows(named=True):
        words = f"{HEIGHT[row['direction']]} {habit(row['variable'])}"
        for rule in offers:
            if rule.holds(row["variable"], row["direction"]):
                reasons.setdefault(rule.offer, []).append((abs(row["strength"]), words))
    if not reasons:
        return "generic", "the generic offer: no mark speaks for another"
    best = max(sorted(reasons), key=lambda offer: sum(size for size, _ in reasons[offer]))
    strongest = sorted(reasons[best], key=lambda pair: -pair[0])[:3]
    return best, f"{best}, for {', '.join(words for _, words in strongest)}: {GUESS}"


@dataclass(frozen=True, slots=True)
class Persona:
    """One segment as a card.

    Attributes
    ----------
    segment, name : str
    size, value : str
        Number of customers, and their value.
    people, channels : tuple of str
        Traits that are more common than among all customers; channels.
    habits, marks : tuple of (str, str, str)
        Habits, and marker variables: the name, the segment's median (the share, for
        yes/no variables), and that of all customers.
    offer : str
        Suggested offer, and the marker variables that support it.
    favourites : tuple of str
        The commonest favourite categories; empty where the order lines state none.
    idea : str
        The suggested offer alone; "generic" where no marker variable speaks for another.
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
    favourites: tuple[str, ...] = ()
    idea: str = "generic"

    def rows(self) -> list[tuple[str, tuple[str, ...]]]:
        """Return the card's headings and the text under each."""
        return [
            ("Size", (self.size,)),
            ("Value", (self.value,)),
            ("Who", self.people),
            ("Habits", _in_words(self.habits)),
            *([("Favourite categories", self.favourites)] if self.favourites else []),
            ("Channels", self.channels),
            ("What marks it", _in_words(self.marks) or (UNMARKED,)),
            ("What to offer", (self.offer,)),
        ]


def _in_words(compared: tuple[Compared, ...]) -> tuple[str, ...]:
    return tuple(f"{what}: {own} (all customers: {whole})" for what, own, whole in compared)


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
        headings = max((card.rows() for card in self.cards), key=len, default=[])
        return pl.DataFrame(
            [
                {"segment": card.segment, "segment_name": card.name}
                | {
                    heading.lower().replace(" ", "_"): "; ".join(dict(card.rows()).get(heading, ()))
                    for heading, _ in headings
                }
                | {"idea": card.idea}
                for card in self.cards
            ]
        )

    @property
    def text(self) -> str:
        """One sentence per card."""
        sentences = [f"{card.name}: {card.size}; {card.offer}." for card in self.cards]
        return " ".join(sentences)

    def _repr_html_(self) -> str:
        return (
            '<div class="segkit-personas" style="display:grid;gap:1rem;'
            'grid-template-columns:repeat(auto-fill,minmax(19rem,1fr))">'
            f"{''.join(_card(card) for card in self.cards)}</div>"
        )


FOLDED = ("How it compares", "Habits", "Favourite categories", "Channels", "Why this offer")


def _card(card: Persona) -> str:
    """Render a card: what decides is open; its grounds, and what tables say too, are folded."""
    tables = {"Habits": card.habits, "What marks it": card.marks}
    rows = dict(card.rows())
    if card.value:
        rows["How it compares"] = rows["Value"]
        rows["Value"] = (re.split(r" \(|, |; ", card.value)[0],)  # the interval is folded
    if card.idea != "generic":
        rows["Why this offer"], rows["What to offer"] = (
            rows["What to offer"],
            (f"{card.idea} (a guess)",),
        )
    parts: list[str] = []
    folded: list[str] = []
    for heading, lines in rows.items():
        if not any(lines):
            continue
        body = _table(tables[heading]) if tables.get(heading) else _list(lines)
        (folded if heading in FOLDED else parts).append(
            f'<dt style="font-weight:600;margin-top:.5rem;{STACKED}">{heading}</dt>'
            f'<dd style="margin:0;{STACKED}">{body}</dd>'
        )
    fold = (
        "<details><summary>Grounds, habits and channels</summary>"
        f'<dl style="margin:0">{"".join(folded)}</dl></details>'
        if folded
        else ""
    )
    return (
        '<article style="border:1px solid #8a8a8a;border-radius:.5rem;padding:.75rem 1rem">'
        f'<h3 style="margin:0">{html.escape(card.name)}</h3>'
        f'<dl style="margin:0">{"".join(parts)}</dl>'
        f"{fold}</article>"
    )


def _list(lines: tuple[str, ...]) -> str:
    if len(lines) == 1:
        return html.escape(lines[0])
    items = "".join(f"<li>{html.escape(item)}</li>" for item in lines)
    return f'<ul style="margin:0;padding-left:1.1rem">{items}</ul>'


def _table(compared: tuple[Compared, ...]) -> str:
    """Render habits as a small table: name, this segment, all customers."""
    right = ' style="text-align:right;padding-left:.5rem"'
    rows = "".join(
        f'<tr><th scope="row" style="text-align:left;font-weight:400">{html.escape(what)}</th>'
        f"<td{right}><b>{html.escape(own)}</b></td><td{right}>{html.escape(whole)}</td></tr>"
        for what, own, whole in compared
    )
    return (
        '<table style="width:100%;margin:0;font:inherit"><thead><tr><td></td>'
        f'<th scope="col"{right}>here</th><th scope="col"{right}>all</th></tr></thead>'
        f"<tbody>{rows}</tbody></table>"
    )


def write_personas(
    profile: Profile,
    *,
    offers: Sequence[OfferRule] = OFFERS,
    habits: Mapping[str, str] | None = None,
    outlook: Mapping[str, str] | None = None,
) -> Personas:
    """Write a card for each segment: size, value, people, habits, channels, marks, offer.

    Parameters
    ----------
    profile : Profile
        From `profile_segments`.
    offers : sequence of OfferRule
        Rules from marker variables to offers. The offer whose marker variables have the largest
        total strength is named; it is a hypothesis to be tested.
    habits : mapping of str to str, optional
        Feature, without its window, to its name in words; added to those that segkit knows.
    outlook : mapping of str to str, optional
        Segment, or its name, to what its customers are expected to bring, in words
        (`segkit.predict.Value.words`); added to the value.

    Examples
    --------
    >>> from segkit.profile import profile_segments
    >>> table = pl.DataFrame({"customer_id": ["a", "b", "c"], "frequency": [1, 1, 7]})
    >>> chosen = pl.DataFrame({"customer_id": ["a", "b", "c"], "segment": ["S1", "S1", "S2"]})
    >>> write_personas(profile_segments(table, chosen)).cards[0].habits
    (('orders', '1', '1'),)
    """
    words = {**HABITS, **(habits or {})}
    cards = []
    for segment in profile.segments.get_column("segment"):
        mine = profile.of(segment)
        row = mine["segments"].row(0, named=True)
        idea, offer = choose_offer(mine["variables"], offers)
        ahead = (outlook or {}).get(row["segment_name"]) or (outlook or {}).get(segment)
        cards.append(
            Persona(
                segment=segment,
                name=row["segment_name"],
                size=size_words(row),
                value="; ".join(filter(None, (value_words(row, profile), ahead))),
                people=people_words(mine["composition"], profile),
                favourites=favourites_words(mine["composition"]),
                habits=habits_words(mine["variables"], words),
                channels=channels_words(mine["composition"], mine["variables"]),
                marks=marks_words(mine["variables"]),
                offer=offer,
                idea=idea,
            )
        )
    if not cards:
        raise DataError("a profile without segments has no personas")
    return Personas(tuple(cards))
