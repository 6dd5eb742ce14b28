"""Country, region and company from order lines, distances to stores, companies as customers."""

from datetime import date

import polars as pl
import pytest

import segkit
from segkit.errors import ColumnError, DataError, ParameterError
from segkit.features import derive_attributes, group_companies, measure_store_distances


def day(number):
    return date.fromordinal(date(1970, 1, 1).toordinal() + number)


LINES = pl.DataFrame(
    {
        "customer_id": ["a", "a", "a", "b", "c", "c"],
        "order_day": [1, 5, 9, 3, 2, 4],
        "country": ["FR", "DE", "AT", None, "DE", None],
        "region": ["Paris", "Berlin", None, "Berlin", "Berlin", "France"],
        "company": [None, "Acme", " ", None, "Beta", "Beta"],
    }
)


def rows(frame, *names):
    return {row[0]: row[1:] for row in frame.select("customer_id", *names).iter_rows()}


def test_the_latest_value_stands_with_its_day():
    found = derive_attributes(LINES)
    assert rows(found.frame, "region", "region_date") == {
        "a": ("Berlin", day(5)), "b": ("Berlin", day(3)), "c": ("France", day(4)),
    }  # fmt: skip
    assert rows(found.frame, "company", "company_date")["a"] == ("Acme", day(5)), "a blank is none"
    assert rows(found.frame, "country", "country_date") == {
        "a": ("AT", day(9)), "b": ("DE", None), "c": ("DE", day(2)),
    }, "b's country is that of the other lines from Berlin"  # fmt: skip
    assert "Country of 1 customer from the region" in found.text


def test_nothing_stated_after_as_of_is_known():
    found = derive_attributes(LINES, as_of=day(2)).frame
    assert rows(found, "country", "company") == {"a": ("FR", None), "c": ("DE", "Beta")}
    cut = derive_attributes(LINES.filter(pl.col("order_day") <= 2)).frame
    assert found.equals(cut)


def test_a_record_takes_precedence_and_gaps_are_filled():
    records = pl.DataFrame({"customer_id": ["a", "b", "d"], "country": ["US", None, "JP"]})
    found = derive_attributes(LINES, records).frame
    assert rows(found, "country", "country_date") == {
        "a": ("US", None), "b": ("DE", None), "c": ("DE", day(2)), "d": ("JP", None),
    }  # fmt: skip


def test_a_region_that_is_a_country_is_one():
    lines = pl.DataFrame({"customer_id": ["a", "b"], "order_day": 1, "region": ["Italia", "Mars"]})
    assert rows(derive_attributes(lines).frame, "country") == {"a": ("Italia",), "b": (None,)}
    more = lines.vstack(
        lines.with_columns(customer_id=pl.lit("c"), region=pl.Series(["Hull", "York"]))
    )
    found = derive_attributes(more).frame
    assert "country" not in found.columns, "one region of four would stand for all customers"


def test_wrong_tables_are_refused():
    with pytest.raises(ColumnError, match="orders lacks order_day"):
        derive_attributes(LINES.drop("order_day"))
    with pytest.raises(DataError, match="comes more than once"):
        derive_attributes(LINES, pl.DataFrame({"customer_id": ["a", "a"]}))


STORES = pl.DataFrame(
    {"store_id": ["Paris", "Rome"], "latitude": [48.8566, 41.9028], "longitude": [2.3522, 12.4964]}
)


def test_distances_are_those_of_great_circles():
    homes = pl.DataFrame({
        "customer_id": ["berlin", "nowhere", "rome", "antipode"],
        "latitude": [52.52, None, 41.9028, -48.8566],
        "longitude": [13.405, 4.0, 12.4964, -177.6478],
    })  # fmt: skip
    found = measure_store_distances(homes, STORES)
    assert found["nearest_store"].to_list() == ["Paris", None, "Rome", "Rome"]
    distances = found["store_distance_km"].to_list()
    # Published great-circle distance Berlin - Paris: 878 km; half of the earth: pi R = 20,015 km.
    assert distances[0] == pytest.approx(878, abs=1.5)
    assert distances[1] is None
    assert distances[2] == pytest.approx(0, abs=1e-6)
    assert 18_000 < distances[3] < 20_015
    with pytest.raises(DataError, match="1 customers have a latitude beyond 90"):
        measure_store_distances(homes.with_columns(latitude=pl.Series([5252.0, 1, 2, 3])), STORES)
    with pytest.raises(DataError, match="at least one store"):
        measure_store_distances(homes, STORES.clear())


def business(n=60):
    """Order lines of companies with two contacts each, in two spellings."""
    data = [
        (f"{firm}{'xy'[k % 2]}", f"2024-{1 + k:02}-{1 + firm % 28:02}", 10.0 + firm % 7,
         (f"Firm {firm}", f"Firm {firm}", f" FIRM  {firm}", None)[k % 4])
        for firm in range(n) for k in range(2 + firm % 5)
    ]  # fmt: skip
    schema = ["customer_id", "order_date", "amount", "company"]
    return pl.DataFrame(data, schema=schema, orient="row")


def test_companies_are_the_customers_and_contacts_stand_within():
    taken = segkit.clean_data({"orders": business()})
    grouped, contacts = group_companies(taken)
    assert grouped.orders["customer_id"].n_unique() == 60
    assert grouped.orders.height == taken.orders.height
    assert grouped.orders["amount"].sum() == taken.orders["amount"].sum()
    assert set(contacts.filter(customer_id="Firm 4")["contact_id"]) == {"4x", "4y"}
    assert contacts["orders"].sum() == taken.orders.height
    assert any("60 companies with 120 contacts" in note for note in grouped.notes)
    assert set(grouped.customers["customer_id"]) == set(grouped.orders["customer_id"])
    found = segkit.segment(business(), k=2, customers_are="companies")
    assert found.assignments["customer_id"].sort().to_list() == sorted(
        f"Firm {k}" for k in range(60)
    )


def test_without_a_company_persons_stay_persons():
    lines = business(3).with_columns(
        company=pl.when(pl.col("customer_id") != "2x").then("company")
    ).filter(pl.col("customer_id") != "2y")  # fmt: skip
    grouped, _ = group_companies(segkit.clean_data({"orders": lines}))
    assert set(grouped.orders["customer_id"]) == {"Firm 0", "Firm 1", "2x"}
    assert any("1 buyer without a company" in note for note in grouped.notes)
    with pytest.raises(DataError, match="no company is stated"):
        group_companies(segkit.clean_data({"orders": lines.drop("company")}))
    with pytest.raises(ParameterError, match="did you mean 'companies'"):
        segkit.segment(business(), k=2, customers_are="company")
