"""Persona cards: every number from the profile, every name escaped, offers as guesses."""

import re

import polars as pl

from segkit.display import money, number, percent
from segkit.profile import OfferRule, Personas, profile_segments, write_personas
from segkit.profile.cards import GUESS
from tests.test_profile import CHOSEN, FOUND, FRAME, PEOPLE

CARDS = write_personas(FOUND)


def test_a_card_for_each_segment_with_its_numbers():
    assert [card.segment for card in CARDS.cards] == FOUND.segments["segment"].to_list()
    for card, row in zip(CARDS.cards, FOUND.segments.iter_rows(named=True), strict=True):
        assert number(row["customers"]) in card.size
        assert percent(row["customer_share"]) in card.size
        assert number(row["revenue_per_customer"]) in card.value
        assert percent(row["revenue_share"]) in card.value
    median = FOUND.variables.filter(pl.col("variable") == "frequency").row(2, named=True)
    assert ("orders", number(median["median"]), number(median["median_all"])) in CARDS.cards[
        2
    ].habits


def test_who_they_are_is_what_sets_them_apart():
    assert any("income band over 60k" in said for said in CARDS.cards[2].people)
    assert not any("region" in said for card in CARDS.cards for said in card.people)


def test_marks_and_offer_follow_from_each_other():
    few, _, many = CARDS.cards
    assert any("orders" in what and what.startswith("↑") for what, _, _ in many.marks)
    assert many.offer.startswith("early access")
    assert "high orders" in many.offer
    assert few.offer.startswith("flash sale")
    assert GUESS in many.offer
    chosen = write_personas(FOUND, offers=[OfferRule("frequency", "above", "a loyalty card")])
    assert chosen.cards[2].offer.startswith("a loyalty card")
    assert chosen.cards[0].offer.startswith("the generic offer")


def test_other_data_other_cards():
    other = write_personas(profile_segments(FRAME.with_columns(pl.col("frequency") * 3), CHOSEN))
    assert other.cards[2].habits != CARDS.cards[2].habits


def test_no_number_of_a_card_is_made_up():
    """Whatever numbers a card's value holds are in the profile's table for that segment."""
    for card, row in zip(CARDS.cards, FOUND.segments.iter_rows(named=True), strict=True):
        known = {
            write(v) for v in row.values() if isinstance(v, float) for write in (number, money)
        }
        known |= {percent(v).rstrip("%") for v in row.values() if isinstance(v, float)}
        known |= {"95", number(row["revenue_share"] / row["customer_share"], digits=2)}
        found = re.findall(r"\d[\d,]*\.?\d*", card.value)
        assert set(found) <= known, (card.value, found)


def test_names_are_escaped():
    chosen = CHOSEN.with_columns(segment_name=pl.col("segment") + "<b>&")
    page = write_personas(profile_segments(FRAME, chosen, customers=PEOPLE))._repr_html_()
    assert "<b>&</b>" not in page
    assert "S1&lt;b&gt;&amp;" in page
    assert page.count("<article") == page.count("</article>") == 3


def test_a_segment_without_marks_or_customers():
    kind = pl.Enum(["S1", "S2"])
    chosen = FRAME.select("customer_id", segment=pl.lit("S1").cast(kind))
    one, empty = write_personas(profile_segments(FRAME, chosen)).cards
    assert one.marks == ()
    assert one.offer.startswith("the generic offer")
    assert (empty.size, empty.habits, empty.people) == ("no customers", (), ())
    page = write_personas(profile_segments(FRAME, chosen))._repr_html_()
    assert "close to the average customer" in page


def test_stored_framed_and_told():
    again = Personas.from_dict(CARDS.to_dict())
    assert again.cards == CARDS.cards
    assert CARDS.to_frame().height == 3
    assert "early access" in CARDS.text
    assert not hasattr(CARDS, "plot")


def test_favourite_categories_stand_on_the_card_and_not_among_the_people():
    bought = ["tea"] * 18 + ["soap"] * 12 + ["lamp"] * 30
    table = pl.DataFrame({
        "customer_id": [f"c{k:02}" for k in range(60)], "favourite_category": bought,
        "frequency": range(60),
    })  # fmt: skip
    chosen = table.select("customer_id", segment=pl.Series(["S1"] * 30 + ["S2"] * 30))
    first, second = write_personas(profile_segments(table, chosen)).cards
    assert first.favourites == (
        "tea: 60.0% (all customers: 30.0%)", "soap: 40.0% (all customers: 20.0%)",
    )  # fmt: skip
    assert second.favourites == ("lamp: 100.0% (all customers: 50.0%)",)
    assert not any("favourite" in said for said in first.people + second.people)
    assert ("Favourite categories", first.favourites) in first.rows()
    assert not any(card.favourites for card in CARDS.cards), "no category was stated"


def test_a_card_names_what_is_expected_beside_the_value_of_the_past():
    outlook = {"S1": "12 a customer expected in the next 90 days"}
    cards = write_personas(FOUND, outlook=outlook).cards
    assert cards[0].value.endswith("; 12 a customer expected in the next 90 days")
    assert cards[1].value == CARDS.cards[1].value
    named = write_personas(FOUND, outlook={cards[0].name: "as much"}).cards
    assert named[0].value.endswith("; as much")
