"""The closed loop: potential outcomes of each customer, planted lift, and settings without any."""

from datetime import UTC, datetime, timedelta

import numpy as np
import polars as pl
import pytest

from segkit.errors import ColumnError, DataError, ParameterError
from segkit.simulate import NO_OFFER, OFFERS, simulate_retailer
from segkit.simulate.archetypes import PLANTED_LIFT
from segkit.simulate.respond import respond
from segkit.simulate.world import World, best_offers, conversion, lifts


@pytest.fixture(scope="module")
def shop():
    return simulate_retailer(1200, seed=3, dirty=False)


def assign(shop, offer, ids=None, day=0):
    people = shop.truth["customers"]
    people = people if ids is None else people.filter(pl.col("customer_id").is_in(ids))
    start = datetime.combine(shop.campaign_date, datetime.min.time(), UTC) + timedelta(days=day)
    return people.select(
        "customer_id",
        pl.lit("C1").alias("campaign_id"),
        arm=pl.lit("test"),
        offer=offer,
        assigned_at=pl.lit(start + timedelta(hours=6)),
    )


def own(frame, ids):
    return frame.filter(pl.col("account_id").is_in(ids))


def buyers(response):
    return set(response.orders.filter(status="completed")["account_id"])


def test_same_assignments_same_answer_and_raw_format(shop):
    one, two = (shop.respond(assign(shop, pl.lit("generic"))) for _ in range(2))
    assert one.orders.equals(two.orders)
    assert one.events.equals(two.events)
    assert one.orders.schema == shop.tables["orders"].schema
    assert one.events.schema == shop.tables["events"].schema
    names = set(one.orders["order_no"])
    assert not names & set(shop.tables["orders"]["order_no"])
    assert one.orders.select("order_no", "line_no").is_duplicated().sum() == 0
    assert one.orders["ordered_at"].min() >= shop.campaign_date.isoformat()


def test_others_assignments_change_nothing(shop):
    ids = shop.truth["customers"]["customer_id"].gather_every(3).to_list()
    everyone = shop.respond(assign(shop, pl.lit("flash_sale")))
    alone = shop.respond(assign(shop, pl.lit("flash_sale"), ids))
    mixed = pl.when(pl.col("customer_id").is_in(ids)).then(pl.lit("flash_sale"))
    others = shop.respond(assign(shop, mixed.otherwise(pl.lit("generic"))))
    for name in ("orders", "events"):
        mine = own(getattr(everyone, name), ids)
        assert mine.equals(own(getattr(others, name), ids)), name
        assert mine.equals(getattr(alone, name)), name


def test_row_order_of_assignments_changes_nothing(shop):
    plan = assign(shop, pl.lit("generic"))
    assert shop.respond(plan).orders.equals(shop.respond(plan[::-1]).orders)


def test_orders_made_anyway_come_under_every_offer(shop):
    without = shop.respond(assign(shop, pl.lit(NO_OFFER)))
    for offer in OFFERS:
        given = shop.respond(assign(shop, pl.lit(offer)))
        kept = given.orders.join(without.orders, on=["order_no", "line_no"], how="semi")
        assert kept.sort("order_no", "line_no").equals(without.orders.sort("order_no", "line_no"))
        assert buyers(given) >= buyers(without)
        assert len(buyers(given)) > len(buyers(without))
    assert "email_sent" not in without.events["event_type"].to_list()


def test_fewer_weeks_are_the_beginning_of_more(shop):
    plan = assign(shop, pl.lit("flash_sale"))
    short, long = shop.respond(plan, weeks=2), shop.respond(plan, weeks=8)
    end = (shop.campaign_date + timedelta(days=14)).isoformat()
    assert short.orders.equals(long.orders.filter(pl.col("ordered_at") < end))
    assert short.events.sort(short.events.columns).equals(
        long.events.filter(pl.col("event_time") < datetime.fromisoformat(end)).sort(
            short.events.columns
        )
    )


def test_nobody_is_written_to_without_consent(shop):
    response = shop.respond(assign(shop, pl.lit("generic")))
    written = set(response.events.filter(event_type="email_sent")["account_id"])
    people = shop.truth["customers"]
    assert written == set(people.filter("writable")["customer_id"])
    consents = shop.tables["customers"].filter("marketing_consent")["account_id"]
    assert written == set(consents)
    refused = people.filter(~pl.col("writable"))["customer_id"].to_list()
    without = shop.respond(assign(shop, pl.lit(NO_OFFER)))
    assert own(response.orders, refused).equals(own(without.orders, refused))


def test_emails_precede_what_they_cause(shop):
    events = shop.respond(assign(shop, pl.lit("flash_sale"))).events
    mail = events.filter(channel="email").pivot(
        "event_type", index="account_id", values="event_time", aggregate_function="first"
    )
    assert mail.select((pl.col("email_open") > pl.col("email_sent")).all()).item()
    assert mail.select((pl.col("email_click") > pl.col("email_open")).all()).item()
    assert mail["email_open"].null_count() < mail["email_click"].null_count()


def test_second_accounts_are_the_same_person(shop):
    pair = shop.truth["identities"].filter(pl.col("identifier").str.starts_with("G")).row(0)
    guest, _, main = pair
    plan = assign(shop, pl.lit("generic"), [main])
    as_main = shop.respond(plan)
    as_guest = shop.respond(plan.with_columns(customer_id=pl.lit(guest)))
    assert as_guest.events.height == as_main.events.height
    assert as_guest.orders.drop("account_id").equals(as_main.orders.drop("account_id"))


def test_assignments_may_start_later_and_empty_ones_are_fine(shop):
    later = shop.respond(assign(shop, pl.lit("generic"), day=10))
    begin = shop.campaign_date + timedelta(days=10)
    assert later.orders["ordered_at"].min() >= begin.isoformat()
    none = shop.respond(assign(shop, pl.lit("generic"), []))
    assert none.orders.is_empty()
    assert none.events.is_empty()


def test_wrong_assignments_are_named(shop):
    plan = assign(shop, pl.lit("generic"))
    with pytest.raises(ColumnError, match="assignments lacks offer"):
        shop.respond(plan.drop("offer"))
    with pytest.raises(
        ParameterError, match="unknown offer 'flashsale'; did you mean 'flash_sale'"
    ):
        shop.respond(assign(shop, pl.lit("flashsale")))
    with pytest.raises(DataError, match="1,200 assigned customers are not this retailer's"):
        shop.respond(plan.with_columns(customer_id=pl.lit("X1")))
    stranger = plan.head(1).with_columns(customer_id=pl.lit("C0001201"))
    with pytest.raises(DataError, match=r"1 assigned customer.*C0001201"):
        shop.respond(stranger)
    with pytest.raises(DataError, match="assigned more than once"):
        shop.respond(pl.concat([plan, plan.head(1)]))
    with pytest.raises(DataError, match="assigned_at must lie from the campaign's date"):
        shop.respond(assign(shop, pl.lit("generic"), day=-2))
    with pytest.raises(DataError, match="assigned_at must lie"):
        shop.respond(assign(shop, pl.lit("generic"), day=160), weeks=4)
    with pytest.raises(ParameterError, match="weeks must be 1 to 26, got 27"):
        shop.respond(plan, weeks=27)


def test_a_second_round_is_answered_anew():
    """From version 2 on: other answers to the same offers, orders numbered apart, one customer."""
    made = simulate_retailer(700, seed=3, dirty=False)
    first, second = (made.respond(assign(made, pl.lit("flash_sale"), day=d)) for d in (0, 28))
    numbers = [set(one.orders["order_no"]) for one in (first, second)]
    assert not numbers[0] & numbers[1]
    days = [
        set(one.orders.select("account_id", day=(pl.col("ordered_at").str.to_datetime()
            - timedelta(days=shift)).dt.date()).iter_rows())
        for one, shift in ((first, 0), (second, 28))
    ]  # fmt: skip
    assert len(days[0] & days[1]) < 0.2 * len(days[0])


# The planted lift, over seeds


def world(seed, **other):
    return World(2500, seed, dirty=False, **other)


def outcome(made, places, weeks=4):
    """Who of the writable customers orders under these offers, and with what expected chance."""
    from segkit.simulate import world
    from segkit.simulate.customers import writable

    days = made.calendar.days
    people = made.people(np.arange(made.n_customers))
    people = people.some(np.flatnonzero(writable(people, days)))
    offers = places(people)
    everyone = np.ones(len(people), dtype=bool)
    added = made.planted.added(people, everyone) * world.realised(7.0 * weeks - 1)
    added = np.column_stack([added, np.zeros(len(people))])[np.arange(len(people)), offers]
    base = world.natural(people, days, 7 * weeks)
    names = np.array([*OFFERS, NO_OFFER])
    start = datetime.combine(made.calendar.campaign_date, datetime.min.time(), UTC)
    ids = [f"C{k + 1:07d}" for k in people.index]
    plan = pl.DataFrame(
        {"customer_id": ids, "campaign_id": "C1", "offer": names[offers], "assigned_at": start}
    )
    orders = respond(made, plan, weeks=weeks).orders
    buyers = orders.filter(status="completed")["account_id"]
    bought = plan["customer_id"].is_in(buyers.implode())
    return bought, conversion(base, added)


def all_get(offer):
    place = OFFERS.index(offer) if offer in OFFERS else len(OFFERS)
    return lambda people: np.full(len(people), place)


def test_conversion_is_as_planted_over_seeds():
    """The observed share with an order, against its expectation, in standard errors, by seed."""
    scores = {"tailored": [], "generic": [], NO_OFFER: []}
    lift = []
    for seed in range(7):
        made, rate = world(seed), {}
        for arm in scores:
            bought, chance = outcome(made, best_offers if arm == "tailored" else all_get(arm))
            error = np.sqrt((chance * (1 - chance)).sum())
            scores[arm].append((bought.sum() - chance.sum()) / error)
            rate[arm] = chance.mean()
        lift.append(rate["tailored"] / rate["generic"] - 1)
    for arm, z in scores.items():
        assert abs(np.mean(z)) < 4 / np.sqrt(len(z)), arm
        assert np.mean(np.square(z)) < 1 + 4 * np.sqrt(2 / len(z)), arm
    # The planted 40% is calibrated on a reference population; each shop's own is close to it.
    assert abs(np.mean(lift) - 0.40) < 0.01
    assert np.std(lift) < 0.02


@pytest.mark.parametrize("difficulty", ["easy", "hard"])
@pytest.mark.parametrize("structure", ["archetypes", "none"])
def test_lift_is_the_planted_one_in_every_setting(difficulty, structure):
    shop = simulate_retailer(
        3000,
        seed=9,
        difficulty=difficulty,
        structure=structure,
        dirty=False,
        months=36,
    )
    overall = shop.truth["lifts"].row(0, named=True)
    assert overall["archetype"] == "all"
    assert abs(overall["lift"] - PLANTED_LIFT) < 0.03
    assert overall["holdout"] < overall["generic"] < overall["tailored"]


def test_a_wrong_segmentation_earns_less():
    made = world(21)
    rng = np.random.default_rng(0)
    chances = {
        name: outcome(made, places)[1].mean()
        for name, places in {
            "right": best_offers,
            "shuffled": lambda people: rng.permutation(best_offers(people)),
            "random": lambda people: rng.integers(0, len(OFFERS), len(people)),
        }.items()
    }
    assert chances["right"] > 1.15 * chances["shuffled"]
    assert chances["right"] > 1.15 * chances["random"]


def test_truth_tells_lifts_that_differ_by_archetype(shop):
    table = shop.truth["lifts"]
    gain = dict(table.select("archetype", "lift").iter_rows())
    assert gain["lapsing"] > gain["browser"] > gain["budget"] > gain["loyalist"] > 0.05
    assert gain["occasion"] == 0
    weights = table["customers"][1:] / table["customers"][0]
    assert (weights * table["tailored"][1:]).sum() == pytest.approx(table["tailored"][0])
    assert lifts(shop.truth["customers"]).equals(table)


def test_without_lift_no_offer_does_anything():
    made = simulate_retailer(600, seed=4, lift="none", dirty=False)
    answers = [made.respond(assign(made, pl.lit(offer))) for offer in (*OFFERS, NO_OFFER)]
    assert all(answer.orders.equals(answers[0].orders) for answer in answers)
    table = made.truth["lifts"]
    assert (table["lift"] == 0).all()
    assert (table["tailored"] == table["holdout"]).all()


def test_pilot_offers_are_random_and_teach_the_best(shop):
    pilot = shop.tables["assignments"]
    people = shop.truth["customers"].rename({"customer_id": "account_id"})
    joined = pilot.join(people, on="account_id")
    assert joined.height == people["in_pilot"].sum()
    counts = joined["offer"].value_counts()
    assert set(counts["offer"]) == {*OFFERS, NO_OFFER}
    expected = joined.height / 6
    assert ((counts["count"] - expected).abs() < 5 * np.sqrt(expected)).all()
    # No offer is tied to who the customer is: chi-square of archetype by offer, 20 degrees.
    table = joined.pivot("offer", index="archetype", values="account_id", aggregate_function="len")
    seen = table.drop("archetype").fill_null(0).to_numpy().astype(float)
    fit = seen.sum(1, keepdims=True) * seen.sum(0, keepdims=True) / seen.sum()
    assert ((seen - fit) ** 2 / fit).sum() < 20 + 5 * np.sqrt(40)
    sent = shop.tables["events"].filter(campaign_id="PILOT", event_type="email_sent")
    assert sent.height == joined.filter(pl.col("offer") != NO_OFFER).height


def test_pilot_orders_show_the_best_offer_over_seeds():
    """Conversion under the archetype's own offer less that under the generic one, pooled."""
    best = {"budget": "flash_sale", "loyalist": "early_access", "browser": "style_guide"}
    best |= {"lapsing": "reengagement"}
    gain = variance = 0.0
    for seed in range(4):
        made = simulate_retailer(2500, seed=seed, dirty=False, pilot_share=1.0)
        people = made.truth["customers"].rename({"customer_id": "account_id"})
        sent = made.tables["assignments"]["assigned_at"][0]
        owner = made.truth["identities"].select("customer_id", account_id="identifier")
        after = made.tables["orders"].filter(
            pl.col("ordered_at").str.to_datetime() >= sent, status="completed"
        )
        buyers = after.join(owner, on="account_id")["customer_id"].unique()
        joined = made.tables["assignments"].join(people, on="account_id")
        joined = joined.with_columns(bought=pl.col("account_id").is_in(buyers.implode()))
        for archetype, own_offer in best.items():
            mine = joined.filter(archetype=archetype)
            for offer, sign in ((own_offer, 1), ("generic", -1)):
                bought = mine.filter(offer=offer)["bought"]
                gain += sign * bought.mean() / 16
                variance += bought.mean() * (1 - bought.mean()) / bought.len() / 16**2
    assert gain > 2.5 * variance**0.5
    assert 0.03 < gain < 0.2
