"""What is planted can be found again: archetypes, elasticity, drivers, overlap, the continuum."""

from dataclasses import replace

import numpy as np
import polars as pl
import pytest

from segkit.simulate import ARCHETYPES, simulate_retailer
from segkit.simulate.archetypes import (
    ATTITUDES,
    DRIVERS,
    SHARES,
    TRAITS,
    centres,
    spreads,
    to_scale,
)
from segkit.simulate.catalogue import make_calendar, make_catalogue
from segkit.simulate.customers import draw_people, items
from segkit.simulate.draws import root_key
from segkit.simulate.purchases import make_lines, rates, shop
from segkit.simulate.world import World


@pytest.fixture(scope="module")
def retailer():
    return simulate_retailer(4000, seed=1, dirty=False)


@pytest.fixture(scope="module")
def lines(retailer):
    """Order lines with the true customer and archetype, money in the paid currency."""
    owner = retailer.truth["identities"].select("customer_id", account_id="identifier")
    people = retailer.truth["customers"].select("customer_id", "archetype")
    return (
        retailer.tables["orders"]
        .join(owner, on="account_id")
        .join(people, on="customer_id")
        .with_columns(
            amount=pl.col("quantity") * pl.col("unit_price").cast(pl.Float64) - pl.col("discount"),
            time=pl.col("ordered_at").str.to_datetime(),
        )
    )


def by_archetype(frame, **expressions):
    found = frame.group_by("archetype").agg(**expressions)
    return {row["archetype"]: row for row in found.iter_rows(named=True)}


def test_archetypes_differ_as_planted(lines, retailer):
    sold = lines.filter(status="completed")
    orders = sold.group_by("archetype", "customer_id", "order_no").agg(
        pl.col("amount", "discount").sum(), pl.col("time").max()
    )
    size = dict(retailer.truth["customers"]["archetype"].value_counts().iter_rows())
    found = by_archetype(
        orders,
        value=pl.col("amount").mean(),
        deals=(pl.col("discount") > 0).mean(),
        orders=pl.len(),
        gifts=(pl.col("time").dt.month() == 12).mean(),
        recent=(pl.col("time").dt.year() >= 2025).mean(),
    )
    each = {name: row["orders"] / size[name] for name, row in found.items()}
    assert max(each, key=each.get) == "loyalist"
    assert min(each, key=each.get) == "browser"
    assert found["budget"]["value"] < found["loyalist"]["value"]
    assert max(found, key=lambda name: found[name]["deals"]) == "budget"
    assert max(found, key=lambda name: found[name]["gifts"]) == "occasion"
    assert found["lapsing"]["recent"] < 0.3 * found["loyalist"]["recent"]


def test_figures_are_those_of_a_plausible_shop(lines, retailer):
    sold = lines.filter(status="completed")
    values = sold.group_by("order_no").agg(pl.col("amount").sum())["amount"]
    assert 60 < values.mean() < 120
    assert values.quantile(0.1) > 12
    back = lines.filter(status="returned")
    assert 0.08 < -back["amount"].sum() / sold["amount"].sum() < 0.25
    events = retailer.tables["events"]
    counts = dict(events["event_type"].value_counts().iter_rows())
    assert 0.15 < counts["email_open"] / counts["email_sent"] < 0.45
    owner = retailer.truth["identities"].unique("identifier")
    people = retailer.truth["customers"].select("customer_id", "archetype")
    carts = (
        events.filter(pl.col("event_type").is_in(["cart_add", "checkout"]))
        .with_columns(identifier=pl.coalesce("account_id", "device_id"))
        .join(owner, on="identifier")
        .join(people, on="customer_id")
    )
    left = by_archetype(
        carts,
        share=1
        - (pl.col("event_type") == "checkout").sum() / (pl.col("event_type") == "cart_add").sum(),
    )
    assert 0.6 < left["browser"]["share"] < 0.85
    assert max(left, key=lambda name: left[name]["share"]) == "browser"


def test_events_keep_their_order_and_orders_their_hours(retailer, lines):
    events = retailer.tables["events"]
    visits = events.filter(pl.col("session_id").is_not_null())
    first = (
        visits.sort("event_time")
        .group_by("session_id", maintain_order=True)
        .agg(
            first=pl.col("event_type").first(),
            last=pl.col("event_type").last(),
            carts=(pl.col("event_type") == "cart_add").sum(),
            buys=(pl.col("event_type") == "checkout").sum(),
        )
    )
    assert (first["first"] == "site_visit").all()
    assert first.filter(pl.col("buys") > 0).select((pl.col("last") == "checkout").all()).item()
    assert first["carts"].max() == 1
    assert (first["buys"] <= first["carts"]).all()
    online = lines.filter(pl.col("status") == "completed", pl.col("channel") != "store")
    assert first["buys"].sum() == online["order_no"].n_unique()
    assert lines["time"].dt.hour().min() >= 7
    # A visit may begin some minutes before the order that it ends in.
    assert events["event_time"].dt.hour().min() >= 6


def test_returns_refund_what_was_paid(lines):
    sold = lines.filter(status="completed").select(
        "account_id", "product_id", price=pl.col("amount") / pl.col("quantity"), sold="time"
    )
    back = lines.filter(status="returned").with_columns(price=pl.col("amount") / pl.col("quantity"))
    assert (back["quantity"] < 0).all()
    assert (back["discount"] == 0).all()
    pairs = back.join(sold, on=["account_id", "product_id"], suffix="_sold").filter(
        pl.col("time") > pl.col("sold"), (pl.col("price") - pl.col("price_sold")).abs() < 0.011
    )
    assert pairs["order_no"].n_unique() == back["order_no"].n_unique()


def one_kind_of_people(number, elasticity, seed):
    """Customers who differ in nothing that matters to demand, for a year and a half."""
    calendar, root = make_calendar(make_date(), 18), root_key(seed, 99)
    catalogue = make_catalogue(root, calendar)
    people = draw_people(root, np.arange(number), calendar, catalogue, "medium", "archetypes")
    fixed = {"price_elasticity": elasticity, "items_per_order": 2.0, "orders_per_year": 6.0}
    fixed |= {"price_tier": 1.0, "gift_taste": 0.1, "deal_proneness": 0.3, "occasion_share": 0.1}
    traits = people.traits | {name: np.full(number, value) for name, value in fixed.items()}
    everyone = np.zeros(number, dtype=np.int64)
    people = replace(people, traits=traits, active_from=everyone, left=everyone + 10**6)
    return people, calendar, catalogue


def make_date():
    from datetime import date

    return date(2023, 1, 1)


def estimated_elasticity(people, calendar, catalogue):
    """Poisson regression of lines by product and day on log price, products fixed, days' exposure.

    Conditional on a product's total the days are multinomial, so one Newton search is enough.
    Returns the estimate and its standard error.
    """
    made = make_lines(people, shop(people), sure=False)
    days, products = calendar.days, len(catalogue.ids)
    counts = np.zeros((products, days))
    np.add.at(counts, (made["product"].to_numpy(), made["day"].to_numpy()), 1)
    kinds = rates(people).sum(axis=1)
    exposure = sum(kinds[k] * np.diff(calendar.sums[k])[:days] for k in range(3))
    x, total, slope = np.log(catalogue.price[:, :days]), counts.sum(axis=1), 0.0
    for _ in range(20):
        weight = exposure * np.exp(slope * (x - x.mean(axis=1, keepdims=True)))
        share = weight / weight.sum(axis=1, keepdims=True)
        mean = (share * x).sum(axis=1)
        information = (total * ((share * x**2).sum(axis=1) - mean**2)).sum()
        slope += ((counts * x).sum() - (total * mean).sum()) / information
    return slope, information**-0.5


@pytest.mark.parametrize("elasticity", [0.8, 2.0])
def test_planted_elasticity_is_recovered(elasticity):
    scores = []
    for seed in range(8):
        slope, error = estimated_elasticity(*one_kind_of_people(1500, elasticity, seed))
        assert error < 0.15
        scores.append((slope + elasticity) / error)
    # Eight standard normal scores: their mean and mean square must look like it.
    assert abs(np.mean(scores)) < 4 / np.sqrt(8)
    assert np.mean(np.square(scores)) < 1 + 4 * np.sqrt(2 / 8)


def test_elasticities_by_archetype_are_in_the_truth(retailer):
    table = dict(retailer.truth["elasticities"].iter_rows())
    assert set(table) == {"all", *ARCHETYPES}
    assert table["budget"] < table["browser"] < table["loyalist"] < 0


def test_prices_change_product_by_product(retailer):
    prices = retailer.tables["prices"]
    counts = prices.group_by("product_id").len()["len"]
    assert counts.min() >= 3
    later = prices.filter(pl.col("valid_from") > retailer.world.start)
    assert later["valid_from"].n_unique() > 300  # staggered: hardly two on one day
    first = prices.filter(pl.col("valid_from") == retailer.world.start)
    listed = retailer.tables["products"].sort("product_id")["list_price"]
    assert first.sort("product_id")["unit_price"].equals(listed, check_names=False)


@pytest.mark.parametrize("driver", range(len(DRIVERS)))
def test_planted_drivers_are_recovered(driver):
    """Least squares within an archetype, on the trait's scale, finds the coefficient."""
    trait, name, coefficient = DRIVERS[driver]
    people = World(20_000, 3, "medium", "archetypes", "none", make_date(), 12, False, 0.0).people(
        np.arange(20_000)
    )
    others = [d for t, d, _ in DRIVERS if t == trait]
    y = to_scale(people.traits[trait], TRAITS[trait].scale)
    X = np.column_stack([people.traits[d] for d in others])
    for group in range(len(ARCHETYPES)):
        chosen = people.archetype == group
        design = np.column_stack([np.ones(chosen.sum()), X[chosen]])
        fit, rest, *_ = np.linalg.lstsq(design, y[chosen], rcond=None)
        variance = rest[0] / (len(design) - design.shape[1])
        error = np.sqrt(variance * np.linalg.inv(design.T @ design).diagonal())
        place = 1 + others.index(name)
        assert abs(fit[place] - coefficient) < 4.5 * error[place]


def test_attitudes_drive_the_answers(retailer):
    book, answers = items(), retailer.tables["survey"]
    people = retailer.truth["customers"].rename({"customer_id": "account_id"})
    joined = answers.join(people, on="account_id")
    assert 0.3 < answers.height / 4000 < 0.4
    assert len(book) == 20
    for item, _, attitude, reverse, loading in book.iter_rows():
        pair = joined.select(item, attitude).drop_nulls()
        assert pair.height < joined.height  # some items are left open
        assert set(pair[item]) <= {1, 2, 3, 4, 5}
        r = np.corrcoef(pair[item], pair[attitude])[0, 1]
        assert (r < 0) == reverse
        assert 0.6 * loading < abs(r) < loading + 0.15
    assert answers["nps"].is_between(0, 10).all()
    assert answers["csat"].is_between(1, 5).all()
    assert [row[2] for row in book.iter_rows()][::4] == list(ATTITUDES)


def bayes_accuracy(difficulty, structure="archetypes", number=20_000):
    """Accuracy of the classifier that knows every trait and the law it was drawn from.

    The traits that are drawn as gamma or by drivers are left as they are: the score uses the
    normal ones alone, so this is a lower bound of the Bayes accuracy.
    """
    world = World(number, 5, difficulty, structure, "none", make_date(), 12, False, 0.0)
    people = world.people(np.arange(number))
    driven = {trait for trait, _, _ in DRIVERS} | {"orders_per_year"}
    names = list(TRAITS)
    use = [k for k, n in enumerate(names) if n not in driven and spreads(difficulty)[k] > 0]
    X = np.column_stack([to_scale(people.traits[names[k]], TRAITS[names[k]].scale) for k in use])
    apart = (X[:, None, :] - centres(difficulty)[None, :, use]) / spreads(difficulty)[use]
    score = np.log(SHARES) - 0.5 * (apart**2).sum(axis=2)
    return (score.argmax(axis=1) == people.archetype).mean()


def test_difficulty_orders_the_overlap():
    easy, medium, hard = (bayes_accuracy(name) for name in ("easy", "medium", "hard"))
    assert easy > medium > hard
    assert easy > 0.999
    assert hard < 0.995


def test_the_continuum_has_the_same_mean_and_covariance_but_no_groups():
    number = 40_000
    made = {}
    for structure in ("archetypes", "none"):
        world = World(number, 6, "medium", structure, "none", make_date(), 12, False, 0.0)
        people = world.people(np.arange(number))
        columns = [
            to_scale(people.traits[name], TRAITS[name].scale)
            for name in ("price_tier", "open_probability", "occasion_share", "loyalty")
        ]
        made[structure] = np.column_stack(columns)
    one, two = made["archetypes"], made["none"]
    error = one.std(axis=0) / np.sqrt(number)
    assert (np.abs(one.mean(axis=0) - two.mean(axis=0)) < 6 * error).all()
    assert np.allclose(np.corrcoef(one.T), np.corrcoef(two.T), atol=0.04)
    assert np.allclose(one.std(axis=0), two.std(axis=0), rtol=0.04)
    # Occasion buyers make a second hump; the continuum is normal, with no excess kurtosis.
    occasion = to_z(two[:, 2])
    assert abs((occasion**3).mean()) < 6 * np.sqrt(6 / number)
    assert abs((to_z(one[:, 2]) ** 3).mean()) > 0.5


def to_z(values):
    return (values - values.mean()) / values.std()


def test_without_groups_nobody_has_an_archetype():
    shop_of = simulate_retailer(300, seed=2, structure="none", months=12)
    assert shop_of.truth["customers"]["archetype"].null_count() == 300
    assert shop_of.truth["lifts"]["archetype"].to_list() == ["all"]
    assert shop_of.truth["elasticities"]["archetype"].to_list() == ["all"]
