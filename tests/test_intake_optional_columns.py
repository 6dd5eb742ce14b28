"""Optional columns left out, one after the other and all at once: nothing that reads them fails."""

from datetime import UTC, date, datetime, timedelta
from functools import cache

import polars as pl
import pytest

import segkit
from segkit.cohorts import estimate_repeat_rate, measure_retention
from segkit.features import build_features
from segkit.lift import derive_outcomes
from segkit.predict import count_purchases
from segkit.regression import build_price_panel
from segkit.rfm import build_rfm_table
from segkit.schema import CONTRACTS

N = 60
ARMS = ("tailored", "control")


def dates(step):
    return [date(2024, 1 + (i * step) % 12, 1 + (i * 3) % 28).isoformat() for i in range(4 * N)]


def tables():
    """Give raw tables that hold every column that a mapping can name."""
    rows = range(4 * N)
    who = [f"c{i % N}" for i in rows]
    orders = pl.DataFrame(
        {
            "customer_id": who,
            "order_id": [f"o{i}" for i in rows],
            "order_time": [f"{day} 10:00" for day in dates(5)],
            "amount": [float(10 + i % 7 * (1 + i % 3)) for i in rows],
            "product_id": [f"p{i % 5}" for i in rows],
            "category": ["ab"[i % 2] for i in rows],
            "quantity": [1 + i % 2 for i in rows],
            "unit_price": [5.0 + i % 7 for i in rows],
            "discount": [0.5 * (i % 3) for i in rows],
            "currency": ["EUR"] * len(rows),
            "channel": ["web" if i % 3 else "shop" for i in rows],
            "is_return": [i % 29 == 28 for i in rows],
            "status": ["paid"] * len(rows),
            "payment_status": ["captured"] * len(rows),
            "cancelled_at": ["no"] * len(rows),
            "refund": [0.5 * (i % 31 == 30) for i in rows],
            "row_kind": ["line"] * len(rows),
            "email": [f"{w}@shop.example" for w in who],
            "device_id": [f"d{w}" for w in who],
            "loyalty_id": [f"l{w}" for w in who],
        }
    )
    kinds = ["email_sent", "email_open", "email_click", "page_view", "cart_add", "checkout"]
    events = pl.DataFrame(
        {
            "customer_id": who,
            "event_time": [f"{day} 10:00" for day in dates(7)],
            "event_type": [kinds[i % 6] for i in rows],
            "campaign_id": [f"k{i % 3}" for i in rows],
            "session_id": [f"s{i // 3}" for i in rows],
            "product_id": [f"p{i % 5}" for i in rows],
            "page": ["sale" if i % 2 else "home" for i in rows],
            "channel": ["web"] * len(rows),
            "duration_seconds": [float(i % 90) for i in rows],
            "email": [f"{w}@shop.example" for w in who],
            "device_id": [f"d{w}" for w in who],
            "loyalty_id": [f"l{w}" for w in who],
        }
    )
    ids = [f"c{i}" for i in range(N)]
    customers = pl.DataFrame(
        {
            "customer_id": ids,
            "birth_date": ["1980-05-01"] * N,
            "gender": ["f", "m"] * (N // 2),
            "income_band": ["low", "high"] * (N // 2),
            "region": ["north", "south"] * (N // 2),
            "preferred_channel": ["web"] * N,
            "industry": ["retail"] * N,
            "company_size": ["small"] * N,
            "email": [f"{w}@shop.example" for w in ids],
            "device_id": [f"d{w}" for w in ids],
            "loyalty_id": [f"l{w}" for w in ids],
            "marketing_consent": ["yes"] * N,
            "profiling_consent": ["yes"] * N,
        }
    )
    products = [f"p{i}" for i in range(5)]
    return {
        "orders": orders,
        "events": events,
        "customers": customers,
        "products": pl.DataFrame(
            {
                "product_id": products,
                "category": list("ababa"),
                "name": products,
                "list_price": [9.0] * 5,
            }
        ),
        "prices": pl.DataFrame(
            {"product_id": products, "valid_from": ["2023-01-01"] * 5, "unit_price": [9.0] * 5}
        ),
        "fx": pl.DataFrame({"currency": ["USD"], "valid_from": ["2023-01-01"], "rate": [0.9]}),
        "campaigns": pl.DataFrame(
            {
                "campaign_id": ["k0"],
                "offer": ["x"],
                "starts": ["2024-06-01"],
                "cost_per_contact": [0.5],
                "margin": [0.4],
            }
        ),
        "links": pl.DataFrame(
            {
                "customer_id": ids,
                "email": [f"{w}@shop.example" for w in ids],
                "device_id": [f"d{w}" for w in ids],
                "loyalty_id": [f"l{w}" for w in ids],
            }
        ),
        "survey": pl.DataFrame(
            {
                "customer_id": ids,
                "nps": [i % 11 for i in range(N)],
                "csat": [1 + i % 5 for i in range(N)],
                "q1": [1 + i % 5 for i in range(N)],
            }
        ),
        "assignments": pl.DataFrame(
            {
                "customer_id": ids,
                "campaign_id": ["k0"] * N,
                "arm": list(ARMS) * (N // 2),
                "offer": ["x"] * N,
                "assigned_at": ["2024-06-01 09:00"] * N,
            }
        ),
    }


FILLED = {"flag": "yes", "text": "x", "id": "x", "date": "2024-01-05", "money": 1.0, "number": 1.0}


def fill(table, frame):
    """Add the columns of the contract that a table above does not spell out."""
    lacking = [f for f in CONTRACTS[table] if f.raw and f.name not in frame.columns]
    return frame.with_columns(pl.lit(FILLED[f.kind]).alias(f.name) for f in lacking)


IDS = ("email", "device_id", "loyalty_id")
TABLES = {
    name: fill(name, frame).drop(IDS if name in ("survey", "assignments") else (), strict=False)
    for name, frame in tables().items()
}
OPTIONS = {"currency": "EUR", "timezone": "UTC", "orders": {"discount_taken": True}}


def optional(table):
    """List a contract's columns that a source may lack, among those given here."""
    listed = [f.name for f in CONTRACTS[table] if f.raw and f.name in TABLES[table].columns]
    derived = {"orders": {"order_id", "is_return"}}.get(table, set())
    required = {f.name for f in CONTRACTS[table] if f.required} - derived
    return [name for name in listed if name not in required]


def words_and_numbers(table):
    """List the optional columns that join nothing, of tables that no other reading needs."""
    alone = table in ("links", "assignments")
    return [] if alone else [name for name in optional(table) if name not in IDS]


def clean_without(table, *names):
    """Clean the tables without some columns of one, and every other table whole.

    A single column of words or numbers is left out together with one of each other table, beside
    which all others of its table stand. Ids join tables, and several columns leave more to fail.
    """
    out = {table: names}
    if len(names) == 1 and names[0] in words_and_numbers(table):
        place = words_and_numbers(table).index(names[0])
        out = {each: words_and_numbers(each)[place : place + 1] for each in TABLES}
    return clean_all_but(tuple((each, tuple(out.get(each, ()))) for each in TABLES))


@cache
def clean_all_but(out):
    return segkit.clean_data({table: TABLES[table].drop(names) for table, names in out}, OPTIONS)


def test_the_tables_hold_every_column_that_a_mapping_can_name():
    for table, fields in CONTRACTS.items():
        named = {f.name for f in fields if f.raw} - set(IDS)
        assert named <= set(TABLES[table].columns), table


def ids_of(item):
    return item if isinstance(item, str) else f"{len(item)} of them" if len(item) > 1 else item[0]


CASES = [(t, [n]) for t in TABLES for n in optional(t)]
CASES += [(t, optional(t)) for t in TABLES if len(optional(t)) > 1]


@pytest.mark.parametrize(("table", "names"), CASES, ids=ids_of)
def test_intake_does_without_any_optional_column(table, names):
    taken = clean_without(table, *names)
    assert taken.orders["customer_id"].n_unique() == N
    if table == "links":  # used up: they join accounts, and are not kept
        return
    frame = taken.tables[table]
    assert frame.height
    kept = {f.name for f in CONTRACTS[table] if f.clean and f.required}
    assert kept <= set(frame.columns)
    derived = ("order_id", "is_return", "marketing_consent")  # the last from consent by channel
    assert not (set(names) - set(derived)) & set(frame.columns)


READ = [(t, n) for t, n in CASES if t in ("orders", "events") and set(n) - set(IDS)]


@pytest.mark.parametrize(("table", "names"), READ, ids=ids_of)
def test_what_reads_the_tables_does_without_any_optional_column(table, names):
    taken = clean_without(table, *names)
    features = segkit.build_features(taken.orders, taken.events)
    assert features.frame.height == N
    assert segkit.score_rfm(taken.orders).frame.height == N
    assert segkit.cohorts.measure_retention(taken.orders).cells.height
    outcomes = segkit.derive_outcomes(taken.assignments, taken.orders, taken.events, window_days=28)
    assert outcomes.frame.height


ALONE = [("orders", optional("orders")), ("events", optional("events")), ("events", ["page"])]


@pytest.mark.parametrize(("table", "names"), ALONE, ids=ids_of)
def test_segments_come_of_tables_without_optional_columns(table, names):
    taken = clean_without(table, *names)
    assert segkit.segment(taken, k=2).text


# Returns ------------------------------------------------------------------------------------

BACK = [i % 4 == 3 for i in range(40)]


def sales_and_returns():
    """Order lines of ten customers in a month, every fourth a return of the line before."""
    days = [19_700 + i for i in range(40)]
    return pl.DataFrame(
        {
            "customer_id": [f"c{i // 4}" for i in range(40)],
            "order_id": [f"o{i}" for i in range(40)],
            "order_day": pl.Series(days, dtype=pl.Int32),
            "order_time": [
                datetime(2023, 12, 9, tzinfo=UTC) + timedelta(days=i) for i in range(40)
            ],
            "product_id": ["xy"[i % 2] for i in range(40)],
            "quantity": [-1.0 if back else 1.0 for back in BACK],
            "unit_price": [2.0 + (i > 20) for i in range(40)],
            "amount": [(-1 if back else 1) * (2.0 + (i > 20)) for i, back in enumerate(BACK)],
        }
    )


def outcomes(lines):
    drawn = datetime(2023, 12, 20, tzinfo=UTC)
    who = lines.select("customer_id").unique(maintain_order=True)
    who = who.with_columns(arm=pl.lit("mail"), assigned_at=pl.lit(drawn))
    until = drawn + timedelta(days=28)
    return derive_outcomes(who, lines, window_days=14, pre_days=7, data_until=until).frame


READERS = {
    "rfm": lambda lines: build_rfm_table(lines, as_of=date(2024, 2, 1)),
    "histories": count_purchases,
    "retention": lambda lines: measure_retention(lines).cells,
    "repeats": lambda lines: estimate_repeat_rate(lines).by_order,
    "prices": lambda lines: build_price_panel(lines, promotions=None).cells,
    "features": lambda lines: build_features(lines, as_of=date(2024, 2, 1)).frame,
    "lift": outcomes,
}


@pytest.mark.parametrize("reader", READERS)
def test_every_reader_finds_the_same_returns(reader):
    read, lines = READERS[reader], sales_and_returns()
    marked = read(lines.with_columns(is_return=pl.Series(BACK)))
    assert read(lines).equals(marked)
    for every in (1, 2):  # no mark at all, a mark on every other line
        marks = [None if i % every == 0 else back for i, back in enumerate(BACK)]
        unsure = lines.with_columns(is_return=pl.Series(marks, dtype=pl.Boolean))
        assert read(unsure).equals(marked)


def test_a_price_panel_tells_returns_by_quantity_without_an_amount():
    panel = build_price_panel(sales_and_returns().drop("amount"), promotions=None)
    assert panel.lines == 40 - sum(BACK)
