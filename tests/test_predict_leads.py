"""Leads from files to lists: newsletter sign-ups, and companies with their contacts."""

from datetime import date, timedelta

import numpy as np
import polars as pl
import pytest

import segkit
from segkit.campaign import SegmentContract
from segkit.features import group_companies
from segkit.predict import fit_leads, score_propensity
from segkit.predict.windows import Tables

START, DAYS = date(2023, 1, 1), 420
MAPPING = {
    name: {"columns": columns}
    for name, columns in {
        "orders": {
            "customer_id": "contact",
            "order_id": "invoice",
            "order_time": "paid_on",
            "amount": "net",
        },
        "customers": {
            "customer_id": "contact",
            "email": "address",
            "company": "firm",
            "company_size": "size",
            "known_since": "signed_up",
            "email_consent": "newsletter",
        },
        "events": {"customer_id": "contact", "event_time": "at", "event_type": "what"},
    }.items()
}


def day(number):
    return (START + timedelta(days=int(number))).isoformat()


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """Exports of a shop of 700 contacts in 350 firms: the large ones and the keen buy more."""
    rng = np.random.default_rng(4)
    n = 700
    firm, signed, keen = rng.integers(0, 350, n), rng.integers(0, DAYS - 40, n), rng.random(n)
    large = firm % 3 == 0
    place = tmp_path_factory.mktemp("exports")
    pl.DataFrame(
        {
            "contact": [f"p{k}" for k in range(n)],
            "address": [f"p{k}@firm{f}.example" for k, f in enumerate(firm)],
            "firm": [f"Firm {f}" if k % 2 else f"firm  {f} " for k, f in enumerate(firm)],
            "size": np.where(large, "50 or more", "below 50"),
            "signed_up": [day(one) for one in signed],
            "newsletter": np.where(np.arange(n) % 5 > 0, "yes", "no"),
        }
    ).write_csv(place / "customers.csv")
    who = np.repeat(np.arange(n), rng.poisson(8 * keen))
    opened = signed[who] + rng.integers(0, 150, len(who))
    seen = opened < DAYS
    pl.DataFrame(
        {
            "contact": [f"p{k}" for k in who[seen]],
            "at": [f"{day(one)} 09:00:00" for one in opened[seen]],
            "what": "email_open",
        }
    ).write_csv(place / "events.csv")
    buys = np.flatnonzero(rng.random(n) < 0.05 + 0.4 * keen + 0.35 * large)
    paid = signed[buys] + rng.integers(15, 250, len(buys))
    paid[0] = DAYS - 1  # the export ends here
    kept = paid < DAYS
    pl.DataFrame(
        {
            "contact": [f"p{k}" for k in buys[kept]],
            "invoice": np.arange(kept.sum()),
            "paid_on": [f"{day(one)} 10:00:00" for one in paid[kept]],
            "net": 99.0,
        }
    ).write_csv(place / "orders.csv")
    return place


def take(files, as_of=None):
    tables = {name: files / f"{name}.csv" for name in ("orders", "customers", "events")}
    return segkit.clean_data(tables, MAPPING, as_of=as_of)


@pytest.fixture(scope="module")
def taken(files):
    return take(files)


def score(taken, as_of=None):
    tables = {"events": taken.events, "customers": taken.customers}
    model = fit_leads(
        taken.orders, **tables, as_of=as_of, horizon_days=60, attributes=["company_size"]
    )
    return model, score_propensity(model, taken.orders, **tables, as_of=as_of)


def test_sign_ups_become_a_list_of_consenting_leads_best_first(taken):
    assert taken.customers.schema["known_since"] == pl.Date
    model, scores = score(taken)
    assert model.known_date == "known_since"  # found without being named
    leads = scores.customers
    bought = set(taken.orders["customer_id"])
    assert not bought & set(leads["customer_id"])
    assert leads.height == taken.customers.height - len(bought)
    effects = dict(model.to_frame().iter_rows())
    assert effects["company_size=50 or more"] > 0 > effects["company_size=below 50"]
    best = leads.filter(pl.col("decile") <= 3).select("customer_id", segment=pl.lit("hot"))
    terms = SegmentContract("leads", day(DAYS), "1", "", "rules", {"hot": "score"})
    audience = segkit.build_audience(
        best.with_columns(offer=pl.lit("welcome")), taken.customers, contract=terms, min_cell=5
    )
    agreed = taken.customers.filter("email_consent")["customer_id"]
    assert set(audience.frame["customer_id"]) == set(best["customer_id"]) & set(agreed)
    assert 0 < audience.frame.height < best.height


def test_companies_are_leads_until_one_of_their_contacts_buys(taken):
    firms, _ = group_companies(taken)
    first = taken.customers.with_columns(
        customer_id=pl.col("company")
        .str.to_lowercase()
        .str.replace_all(r"\s+", " ")
        .str.strip_chars()
    )
    first = first.group_by("customer_id").agg(pl.col("known_since").min()).sort("customer_id")
    own = firms.customers.with_columns(pl.col("customer_id").str.to_lowercase()).sort("customer_id")
    assert own.select("customer_id", "known_since").equals(first)
    model, scores = score(firms)
    bought = set(firms.orders["customer_id"])
    assert set(scores.customers["customer_id"]) == set(firms.customers["customer_id"]) - bought
    assert dict(model.to_frame().iter_rows())["company_size=50 or more"] > 0
    # At a past date only firms with a contact by then, and no order by then.
    origin = START + timedelta(days=200)
    tables = Tables(firms.orders, firms.events, firms.customers, outcome="first_order")
    then = set(tables.describe(origin).frame["customer_id"])
    early = firms.orders.filter(pl.col("order_time").dt.date() <= origin)["customer_id"]
    known = firms.customers.filter(pl.col("known_since") <= origin)["customer_id"]
    assert then == set(known) - set(early)


def test_scores_of_a_past_date_are_those_of_an_export_that_ends_there(taken, files, tmp_path):
    """What came later, sign-ups included, changes nothing; a sign-up of the next day is no lead."""
    origin = START + timedelta(days=330)
    late = pl.read_csv(files / "customers.csv").filter(pl.col("signed_up") > origin.isoformat())
    assert late.height > 20
    people = pl.read_csv(files / "customers.csv").join(late, on="contact", how="anti")
    people.write_csv(tmp_path / "customers.csv")
    for name, column in (("events", "at"), ("orders", "paid_on")):
        lines = pl.read_csv(files / f"{name}.csv")
        lines.filter(pl.col(column).str.head(10) <= origin.isoformat()).write_csv(
            tmp_path / f"{name}.csv"
        )
    _, then = score(take(tmp_path), origin)
    _, now = score(taken, origin)
    assert then.customers.equals(now.customers)
    assert not set(late["contact"]) & set(now.customers["customer_id"])
