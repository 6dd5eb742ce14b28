"""Intake on made and on published lines: what is kept, what is rejected, and why."""

from datetime import UTC, date, datetime
from decimal import Decimal

import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import segkit
from segkit.errors import DataError, MappingError, SourceError
from segkit.intake.clean import run
from tests.reference.online_retail import CLEAN, RAW, WITHOUT_REPEATS


def lines(**columns):
    rows = max(len(values) for values in columns.values())
    made = {
        "customer_id": [f"c{i}" for i in range(rows)],
        "order_date": ["2024-04-13"] * rows,
        "amount": ["10.00"] * rows,
    }
    return pl.DataFrame(made | columns)


@pytest.fixture(scope="session")
def retail(shared_data):
    source = segkit.load_source("online-retail", shared_data("online_retail_2010_2011.parquet"))
    return segkit.clean_data(source)


# Published totals ---------------------------------------------------------------------------


def test_online_retail_raw_totals(retail):
    first = next(step for step in retail.ledger.steps if step.table == "orders")
    assert first.rows_in == RAW["lines"]
    assert first.customers_in == RAW["customers"]
    assert first.money_in == Decimal(RAW["revenue"])
    assert retail.ledger.reasons()["missing_customer_id"] == RAW["without_customer"]
    assert any(f"{RAW['repeats']:,} lines repeat" in note for note in retail.notes)
    raw = retail.raw["orders"]
    assert raw["InvoiceNo"].n_unique() == RAW["invoices"]
    cancelled = raw["InvoiceNo"].str.starts_with("C").sum()
    assert cancelled == RAW["cancellation_lines"]
    known = raw.filter(pl.col("InvoiceNo").str.starts_with("C"), pl.col("CustomerID").is_not_null())
    assert retail.ledger.part("return").rows == known.height


def test_online_retail_clean_totals(retail):
    sales = retail.ledger.part("sale")
    assert (sales.rows, sales.customers, sales.orders) == (
        CLEAN["lines"],
        CLEAN["customers"],
        CLEAN["invoices"],
    )
    assert sales.money == Decimal(CLEAN["revenue"])
    clean = retail.orders.filter(~pl.col("is_return"))
    assert clean["order_id"].n_unique() == CLEAN["invoices"]
    assert clean["amount"].sum() == pytest.approx(float(CLEAN["revenue"]), abs=1e-4)
    assert retail.orders.height + retail.rejects["orders"].height == RAW["lines"]
    assert retail.orders["customer_id"][0] == "17850"
    assert any("123.0" in note for note in retail.notes)


def test_online_retail_without_repeats(shared_data):
    source = segkit.load_source("online-retail", shared_data("online_retail_2010_2011.parquet"))
    mapping = source.mapping.with_option("orders", "duplicates", "drop")
    sales = segkit.clean_data(source.tables, mapping).ledger.part("sale")
    assert sales.rows == WITHOUT_REPEATS["lines"]
    assert f"{sales.money:.2f}" == WITHOUT_REPEATS["revenue"]


def test_online_retail_is_proposed_without_any_mapping(shared_data, retail):
    taken = segkit.clean_data(shared_data("online_retail_2010_2011.parquet"))
    assert taken.mapping.option("orders", "return_prefix") == "C"
    assert taken.ledger.parts == retail.ledger.parts


def test_trace_of_every_tenth_retail_customer_re_adds(retail):
    by = retail.orders.group_by("customer_id").agg(
        pl.len(), pl.col("amount").sum(), pl.col("is_return").sum().alias("returns")
    )
    for name, rows, amount, returns in by.sort("customer_id")[::200].iter_rows():
        trace = retail.trace(name)
        assert (trace.lines, trace.returns) == (rows, returns)
        assert float(trace.amount) == pytest.approx(amount, abs=1e-6)
        raw = trace.raw["orders"].filter(pl.col("reason").is_null())
        re_added = (raw["Quantity"] * raw["UnitPrice"]).sum()
        assert re_added == pytest.approx(float(trace.amount), abs=1e-6)


# Bad input ----------------------------------------------------------------------------------


def test_every_reason_is_named_once_and_in_order():
    raw = lines(
        customer_id=["a", None, "b", "b", "b", "b", "b", "b", "b"],
        order_date=["2024-04-13"] * 2
        + ["soon", "2024-02-31", "1066-10-14", None]
        + ["2024-04-13"] * 3,
        amount=["1", "1", "1", "1", "1", "1", "free", None, "0"],
    )
    taken = segkit.clean_data(raw)
    assert taken.ledger.reasons() == {
        "missing_customer_id": 1,
        "missing_date": 1,
        "bad_date": 1,
        "impossible_date": 2,
        "missing_amount": 1,
        "bad_amount": 1,
        "zero_amount": 1,
    }
    rejects = taken.rejects["orders"]
    assert rejects["source_row"].to_list() == list(range(1, 9))
    assert rejects.filter(reason="bad_date")["order_date"].item() == "soon"
    bad = next(a for step in taken.ledger.steps for a in step.rejected if a.reason == "bad_date")
    assert bad.examples == ("row 2: order_date = text of 4 characters",)
    assert bad.change == "the source"  # no format that was tried reads it


def test_prices_and_quantities():
    raw = pl.DataFrame(
        {
            "customer_id": list("abcdefg"),
            "order_date": ["2024-04-13"] * 7,
            "quantity": [2.0, 1.0, -1.0, 1.0, float("inf"), 0.0, 0.5],
            "unit_price": [0.1, 0.0, 3.0, -3.0, 1.0, 1.0, 0.001],
        }
    )
    taken = segkit.clean_data(raw)
    assert taken.ledger.reasons() == {
        "bad_amount": 1,
        "negative_price": 1,
        "zero_price": 1,
        "zero_amount": 1,
    }
    assert taken.orders["amount"].to_list() == [0.2, -3.0, 0.0005]
    assert taken.orders["is_return"].to_list() == [False, True, False]
    assert taken.ledger.steps[-1].money_kept == Decimal("-2.7995")


def test_a_negative_price_is_given_back_where_the_amount_or_a_word_says_so():
    """Dolibarr and others write credit notes with the sign on the price."""
    raw = lines(amount=[20.0, -20.0, -20.0, 20.0]).with_columns(
        quantity=pl.Series([1, 1, -1, 1]), unit_price=pl.Series([20.0, -20.0, -20.0, -20.0])
    )
    taken = segkit.clean_data(raw)
    assert taken.orders["amount"].to_list() == [20.0, -20.0, -20.0]
    assert taken.orders["is_return"].to_list() == [False, True, True]
    assert taken.ledger.reasons() == {"negative_price": 1}  # its amount says the opposite
    raw = raw.drop("amount").with_columns(kind=pl.Series(["0", "2", "2", "0"]))
    kinds = {"columns": {"row_kind": "kind"}, "values": {"row_kind": {"0": "line", "2": "return"}}}
    for said in (kinds, {"negative": "return"}):
        taken = segkit.clean_data(raw, {"orders": said})
        assert taken.orders["amount"].to_list()[:3] == [20.0, -20.0, -20.0]
    (left,) = segkit.clean_data(raw).ledger.steps[-1].rejected
    assert (left.rows, left.money) == (3, Decimal(-60))
    assert left.change == '[orders] negative = "return"'


def test_negative_prices_that_nothing_explains_are_asked_about_with_their_money():
    raw = lines(amount=[20.0] * 99 + [-20.0]).rename({"amount": "unit_price"})
    raw = raw.with_columns(quantity=1)
    audit = segkit.audit_data(raw)
    (asked,) = (f for f in audit.findings if f.column == "unit_price")
    assert "'unit_price' is negative on 1 row (-20" in asked.finding
    assert "Rows left out: negative price 1 (-20" in audit.understood
    told = next(f.finding for f in audit.findings if f.finding.startswith("Negative price"))
    assert told == "Negative price: rejected (1.0% of its rows, -20, by 'unit_price')."
    audit = segkit.audit_data(raw, {"orders": {"negative": "return"}})
    assert not [f for f in audit.findings if f.severity == "block"]
    assert segkit.clean_data(audit).orders["amount"].sum() == 99 * 20 - 20


def test_infinite_and_huge_amounts_are_counted_not_summed():
    raw = lines(amount=[1.0, float("inf"), float("-inf"), float("nan"), 1e300, -2.5])
    taken = segkit.clean_data(raw)
    assert taken.ledger.reasons() == {"missing_amount": 1, "bad_amount": 3}
    assert taken.ledger.steps[-1].money_kept == Decimal("-1.5")


def test_negative_amounts_can_be_refused():
    raw = lines(amount=[1.0, -1.0])
    assert segkit.clean_data(raw).orders["is_return"].to_list() == [False, True]
    refused = segkit.clean_data(raw, {"orders": {"negative": "reject"}})
    assert refused.ledger.reasons() == {"negative_amount": 1}


@pytest.mark.parametrize("policy", ["flag", "drop"])
def test_duplicates_are_a_policy(policy):
    raw = pl.concat([lines(amount=["1", "2"])] * 3)
    taken = segkit.clean_data(raw, {"duplicates": policy})
    assert taken.orders.height == (6 if policy == "flag" else 2)
    assert taken.ledger.reasons() == ({} if policy == "flag" else {"exact_duplicate": 4})
    assert any("4 lines repeat" in note for note in taken.notes) == (policy == "flag")


def test_float_ids_lose_their_decimals_and_leading_zeros_stay():
    floats = segkit.clean_data(lines(customer_id=[17850.0, 3.0]))
    texts = segkit.clean_data(lines(customer_id=["17850.0", "3"]))
    zeros = segkit.clean_data(lines(customer_id=["00001", "1"]))
    assert floats.orders["customer_id"].to_list() == ["17850", "3"]
    assert texts.orders["customer_id"].to_list() == ["17850", "3"]
    assert zeros.orders["customer_id"].to_list() == ["00001", "1"]
    assert any("123.0" in note for note in floats.notes)
    assert any("ending in '.0'" in note for note in texts.notes)
    # An id is read by itself, whatever stands beside it, so that tables and lists meet.
    mixed = segkit.clean_data(lines(customer_id=["v1.0", "2.0"])).orders["customer_id"]
    assert mixed.to_list() == ["v1.0", "2"]


def test_dates_in_two_orders_shut_the_gate_until_answered():
    raw = lines(order_date=["13/04/2024", "04/25/2024", "01/02/2024"])
    with pytest.raises(DataError, match=r"two orders.*day_first"):
        segkit.clean_data(raw)
    day_first = segkit.clean_data(raw, {"orders": {"day_first": True}})
    month_first = segkit.clean_data(raw, {"orders": {"day_first": False}})
    assert day_first.ledger.reasons() == month_first.ledger.reasons() == {"impossible_date": 1}
    assert day_first.orders["order_time"].dt.month().to_list() == [4, 2]
    assert month_first.orders["order_time"].dt.month().to_list() == [4, 1]


def test_ambiguous_day_order_shuts_the_gate():
    raw = lines(order_date=["03/04/2024", "05/06/2024"])
    with pytest.raises(DataError, match="no number is above 12"):
        segkit.clean_data(raw)
    assert segkit.audit_data(raw).blocked
    assert segkit.clean_data(raw, {"day_first": True}).orders["order_time"].dt.month()[0] == 4


@pytest.mark.parametrize(
    ("texts", "sums"),
    [
        (["1.234,50", "12,00"], "1246.5"),
        (["1,234.50", "12.00"], "1246.5"),
        (["1 234,50 €", "12,00 €"], "1246.5"),
        (["1'234.50", "-12.00"], "1222.5"),
        (["(7,25)", "7,25-"], "-14.5"),
        (["0,125", "1,250"], "1.375"),
        (["1.234.567", "1.000"], "1235567"),
        (["$5.10", "USD 4.90"], "10"),
    ],
)
def test_amounts_as_people_write_them(texts, sums):
    taken = segkit.clean_data(lines(amount=texts))
    assert taken.ledger.steps[-1].money_kept == Decimal(sums)


def test_a_doubtful_comma_shuts_the_gate_until_answered():
    raw = lines(amount=["1,500", "2,250"])
    with pytest.raises(DataError, match=r"decimal = "):
        segkit.clean_data(raw)
    assert segkit.clean_data(raw, {"decimal": ","}).orders["amount"].sum() == 3.75
    assert segkit.clean_data(raw, {"decimal": "."}).orders["amount"].sum() == 3750


def test_columns_that_are_missing_unknown_or_of_the_wrong_type():
    with pytest.raises(DataError, match="recognised as amount"):
        segkit.clean_data(lines(amount=["1"]).drop("amount"))
    with pytest.raises(MappingError, match="did you mean 'amount'"):
        segkit.clean_data(lines(amount=["1"]), {"orders": {"columns": {"amount": "amuont"}}})
    with pytest.raises(DataError, match="holds Boolean, which cannot be read as order_time"):
        segkit.clean_data(lines(order_date=[True]))
    with pytest.raises(DataError, match=r"holds List\(Int64\)"):
        segkit.clean_data(lines(amount=[[1], [2]]))
    with pytest.raises(DataError, match="not recognised as dates"):
        segkit.clean_data(lines(order_date=["spring", "summer"]))


def test_empty_one_customer_and_nothing_left():
    with pytest.raises(DataError, match="holds no rows"):
        segkit.clean_data(lines(amount=["1"]).clear())
    one = segkit.clean_data(lines(amount=["1"]))
    assert one.orders.height == 1
    assert any(
        "All lines are of one customer" in f.finding
        for f in segkit.audit_data(lines(amount=["1"])).findings
    )
    with pytest.raises(DataError, match=r"as customer_id.*without a value: customer_id"):
        segkit.clean_data(lines(customer_id=[None, ""]))
    with pytest.raises(DataError, match=r"no order line is left.*missing customer id 2"):
        segkit.clean_data(lines(customer_id=["0", "unknown"]))


def test_sources_that_are_not_there(tmp_path):
    (tmp_path / "orders.csv").write_text("a,b\n")
    with pytest.raises(SourceError, match=r"did you mean 'orders\.csv'"):
        segkit.clean_data(tmp_path / "order.csv")
    with pytest.raises(SourceError, match="did you mean 'orders'"):
        segkit.clean_data({"order": lines(amount=["1"])})
    with pytest.raises(SourceError, match="got int"):
        segkit.clean_data(42)
    with pytest.raises(SourceError, match="expected a source"):
        segkit.clean_data()


def test_several_candidates_are_asked_about():
    raw = lines(net_amount=["1", "2"], gross_amount=["1.2", "2.4"]).drop("amount")
    with pytest.raises(
        DataError, match=r"Several columns could be amount: 'net_amount' \(sum 3\), 'gross"
    ):
        segkit.clean_data(raw)
    answered = segkit.clean_data(raw, {"orders": {"columns": {"amount": "gross_amount"}}})
    assert answered.orders["amount"].sum() == pytest.approx(3.6)


# Time, currency, discount, returns ------------------------------------------------------------


def test_local_times_become_utc_and_the_day_is_the_shops():
    raw = lines(
        order_date=[
            "2024-03-31 02:30",  # skipped in Berlin
            "2024-10-27 02:30",  # twice in Berlin
            "2024-07-01 00:30",
            "2024-07-01T00:30:00Z",
            "2024-07-01T00:30:00+02:00",
        ]
    )
    taken = segkit.clean_data(raw, {"timezone": "Europe/Berlin"})
    assert taken.orders["order_time"].to_list() == [
        datetime(2024, 3, 31, 1, 30, tzinfo=UTC),
        datetime(2024, 10, 27, 0, 30, tzinfo=UTC),
        datetime(2024, 6, 30, 22, 30, tzinfo=UTC),
        datetime(2024, 7, 1, 0, 30, tzinfo=UTC),
        datetime(2024, 6, 30, 22, 30, tzinfo=UTC),
    ]
    assert taken.orders["order_day"].cast(pl.Date).dt.day().to_list() == [31, 27, 1, 1, 1]
    assert sum("1 time in" in note for note in taken.notes) == 2
    strict = segkit.clean_data(raw, {"timezone": "Europe/Berlin", "missing_time": "reject"})
    assert strict.ledger.reasons() == {"impossible_date": 1}
    late = segkit.clean_data(raw, {"timezone": "Europe/Berlin", "ambiguous_time": "latest"})
    assert late.orders["order_time"][1] == datetime(2024, 10, 27, 1, 30, tzinfo=UTC)


def test_midnights_that_do_not_exist_keep_their_day():
    taken = segkit.clean_data(lines(order_date=["2024-03-10"]), {"timezone": "America/Havana"})
    assert taken.orders["order_day"].cast(pl.Date).to_list() == [date(2024, 3, 10)]


def test_an_unknown_zone_is_an_error():
    with pytest.raises(MappingError, match="did you mean 'Europe/Paris'"):
        segkit.clean_data(lines(amount=["1"]), {"timezone": "Europe/Pariss"})


@pytest.mark.parametrize(
    ("values", "day"),
    [
        ([20240413], date(2024, 4, 13)),
        ([1713000000], date(2024, 4, 13)),
        ([1713000000000], date(2024, 4, 13)),
        ([45395.5], date(2024, 4, 13)),
        ([date(2024, 4, 13)], date(2024, 4, 13)),
        ([datetime(2024, 4, 13, 23)], date(2024, 4, 13)),
        (["13. April 2024"], date(2024, 4, 13)),
        (["13. Brumaire 2024"], None),
        (["13 Apr 2024"], date(2024, 4, 13)),
        (["Apr 13, 2024"], date(2024, 4, 13)),
        (["13.4.24"], date(2024, 4, 13)),
        (["4/13/2024 11:05 PM"], date(2024, 4, 13)),
        (["20240413"], date(2024, 4, 13)),
    ],
)
def test_dates_of_any_spelling(values, day):
    raw = lines(order_date=values)
    if day is None:
        with pytest.raises(DataError, match="not recognised as dates"):
            segkit.clean_data(raw)
    else:
        assert segkit.clean_data(raw).orders["order_day"].cast(pl.Date).to_list() == [day]


def test_a_date_format_can_be_named():
    raw = lines(order_date=["2024 day 104"])
    taken = segkit.clean_data(raw, {"orders": {"date_format": "%Y day %j"}})
    assert taken.orders["order_day"].cast(pl.Date).to_list() == [date(2024, 4, 13)]


def test_currencies_are_converted_by_the_rate_of_the_day():
    orders = lines(
        currency=["EUR", "usd", "USD", "XXX", "GBP"],
        order_date=["2024-04-13", "2024-04-13", "2024-04-20", "2024-04-13", "2024-01-01"],
        amount=["10.00"] * 5,
    )
    fx = pl.DataFrame(
        {
            "currency": ["USD", "USD", "GBP"],
            "valid_from": [date(2024, 4, 1), date(2024, 4, 15), date(2024, 4, 1)],
            "rate": [0.9, 0.95, 1.2],
        }
    )
    taken = segkit.clean_data({"orders": orders, "fx": fx}, {"currency": "EUR"})
    assert taken.orders["amount"].to_list() == [10.0, 9.0, 9.5]
    assert taken.ledger.reasons() == {"unknown_currency": 1, "no_fx_rate": 1}
    with pytest.raises(DataError, match="currencies"):
        segkit.clean_data(orders)
    home = segkit.clean_data(orders, {"currency": "EUR"})
    assert home.ledger.reasons() == {"unknown_currency": 4}


@pytest.mark.parametrize(
    ("options", "amount", "discount"),
    [
        ({}, 18.0, 2.0),
        ({"discount_taken": True}, 20.0, 2.0),
        ({"discount_unit": "percent"}, 19.6, 0.4),
        ({"discount_unit": "share"}, -20.0, 40.0),
    ],
)
def test_discounts(options, amount, discount):
    raw = lines(quantity=[2], price=[10.0], discount=[2.0]).drop("amount")
    taken = segkit.clean_data(raw, {"orders": options})
    assert taken.orders.select("amount", "discount").row(0) == pytest.approx((amount, discount))


def test_returns_by_flag_prefix_and_sign_all_end_negative():
    raw = lines(
        order_id=["C1", "2", "3", "4"],
        amount=[5.0, -5.0, 5.0, 5.0],
        is_return=["no", "no", "yes", "no"],
    )
    taken = segkit.clean_data(raw, {"orders": {"return_prefix": "C"}})
    assert taken.orders["is_return"].to_list() == [True, True, True, False]
    assert taken.orders["amount"].to_list() == [-5.0, -5.0, -5.0, 5.0]
    assert taken.ledger.part("sale").rows == 1


@pytest.mark.parametrize(("grain", "orders"), [("day", 2), ("time", 3), ("line", 4)])
def test_order_grain(grain, orders):
    raw = lines(
        customer_id=["a"] * 4,
        order_date=["2024-04-13 10:00", "2024-04-13 10:00", "2024-04-13 11:00", "2024-04-14 10:00"],
    )
    taken = segkit.clean_data(raw, {"orders": {"order_grain": grain}})
    assert taken.orders["order_id"].n_unique() == orders
    assert any("no order id" in note for note in taken.notes)


def test_cancelled_lines_and_non_products():
    raw = lines(
        status=["completed", "Cancelled", "completed"],
        sku=["shoe", "shoe", "POST"],
        amount=["1", "2", "3"],
    )
    options = {"non_products": ["POST"], "non_product_lines": "set_apart"}
    taken = segkit.clean_data(raw, {"orders": options})
    assert taken.ledger.reasons() == {"cancelled": 1, "non_product": 1}
    assert segkit.clean_data(raw).orders.height == 2


def test_as_of_sets_later_lines_apart():
    raw = lines(order_date=["2024-04-13", "2024-04-14"])
    taken = segkit.clean_data(raw, as_of=date(2024, 4, 13))
    assert taken.ledger.reasons() == {"after_as_of": 1}


# Properties -----------------------------------------------------------------------------------

CELLS = {
    "customer_id": st.sampled_from(["a", "b", "c", "", None, "NA"]),
    "order_date": st.sampled_from(
        ["2024-04-13", "2024-02-30", "soon", None, "1900-01-01", "2024-05-01"]
    ),
    "quantity": st.sampled_from(["1", "2", "-1", "0", "x", None, "0.5"]),
    "price": st.sampled_from(["1.10", "0", "-2", "inf", None, "19.999", "1e3"]),
}
ROWS = st.lists(st.tuples(*CELLS.values()), min_size=1, max_size=30)


def dirty(rows):
    frame = pl.DataFrame(rows, schema=dict.fromkeys(CELLS, pl.String), orient="row")
    mapping = segkit.Mapping.from_dict(
        {
            "orders": {
                "date_format": "%Y-%m-%d",
                "decimal": ".",
                "columns": {
                    "customer_id": "customer_id",
                    "order_time": "order_date",
                    "quantity": "quantity",
                    "unit_price": "price",
                },
            }
        }
    )
    return frame, mapping


def exact(text):
    try:
        made = Decimal(text)
    except (ArithmeticError, TypeError):
        return None
    return made if made.is_finite() else None


@settings(max_examples=25, suppress_health_check=[HealthCheck.too_slow])
@given(ROWS, st.sampled_from(["flag", "drop"]))
def test_the_ledger_sums_to_the_input(rows, policy):
    frame, mapping = dirty(rows)
    taken = run({"orders": frame}, mapping.with_option("orders", "duplicates", policy))
    ledger = taken.ledger.check()
    first, last = ledger.steps[0], ledger.steps[-1]
    pairs = [(exact(q), exact(p)) for _, _, q, p in rows]
    total = sum((q * p for q, p in pairs if q is not None and p is not None), Decimal(0))
    signed = sum(
        (-abs(q * p) if q < 0 or q * p < 0 else q * p)
        for q, p in pairs
        if q is not None and p is not None
    )
    assert first.rows_in == len(rows)
    assert first.money_in == signed or first.money_in == total
    assert taken.orders.height + taken.rejects["orders"].height == len(rows)
    seen = [*taken.orders["source_row"], *taken.rejects["orders"]["source_row"]]
    assert sorted(seen) == list(range(len(rows)))
    kept = pl.Series([pairs[row] for row in taken.orders["source_row"]], dtype=pl.Object)
    by_hand = sum((q * p for q, p in kept), Decimal(0))
    assert last.money_kept == by_hand
    by_reason = taken.rejects["orders"]["reason"].value_counts()
    assert dict(by_reason.iter_rows()) == ledger.reasons()


@settings(max_examples=25, suppress_health_check=[HealthCheck.too_slow])
@given(ROWS, st.randoms(use_true_random=False))
def test_row_order_does_not_matter(rows, random):
    shuffled = list(rows)
    random.shuffle(shuffled)
    results = []
    for order in (rows, shuffled):
        frame, mapping = dirty(order)
        taken = run({"orders": frame}, mapping.with_option("orders", "duplicates", "drop"))
        content = taken.orders.drop("source_row")
        results.append((content.sort(content.columns), taken.ledger.reasons(), taken.ledger.parts))
    assert results[0][0].equals(results[1][0])
    assert results[0][1:] == results[1][1:]
