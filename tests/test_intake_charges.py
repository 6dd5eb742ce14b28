"""Charges and tests among order lines, and amounts in cents."""

import polars as pl
import pytest

import segkit
from segkit.errors import DataError
from segkit.intake.answers import mapping_of, offered_answers


def lines(*rows, names=("order", "customer", "date", "kind", "sku", "amount")):
    return pl.DataFrame(rows, schema=list(names), orient="row")


def shop(extra):
    """Give forty orders of two goods each, with one more line made by ``extra``."""
    rows = []
    for n in range(40):
        head = (f"B{n}", f"K{n % 9}", f"2024-01-{1 + n % 28:02}")
        rows += [(*head, "item", f"P{n % 5}", f"{n + 1}.50"), (*head, "item", "P9", "10.00")]
        rows += [(*head, *one) for one in extra(n)]
    return lines(*rows)


GOODS = sum(n + 1.5 for n in range(40)) + 400


def test_shipping_and_tax_beside_goods_are_asked_about_and_both_answers_work():
    frame = shop(lambda n: [("Shipping", None, "4.95"), ("Sales tax", None, "2.00")])
    audit = segkit.audit_data(frame)
    asked = [item for item in audit.findings if item.severity == "block"]
    assert len(asked) == 1
    assert "'Sales tax' 40 rows, 80" in asked[0].finding
    assert "'Shipping' 40 rows, 198" in asked[0].finding
    with pytest.raises(DataError, match="or left out"):
        segkit.clean_data(frame)
    for meaning, revenue in (("charge", GOODS), ("line", GOODS + 40 * 6.95)):
        words = dict.fromkeys(["Shipping", "Sales tax"], meaning)
        part = {"columns": {"row_kind": "kind"}, "values": {"row_kind": words}}
        taken = segkit.clean_data(frame, {"orders": part})
        assert taken.orders["amount"].sum() == pytest.approx(revenue)
        rejected = {"charge_line": 80} if meaning == "charge" else {}
        assert taken.ledger.reasons() == rejected


@pytest.mark.parametrize(
    "kind",
    [
        pl.when(pl.col("order").str.ends_with("1")).then(pl.lit("delivery"))
        .otherwise(pl.lit("pickup")),
        pl.when(pl.col("sku") == "P9").then(None)  # on the first line of an order only
        .when(pl.col("order").str.ends_with("1")).then(pl.lit("pickup"))
        .otherwise(pl.lit("Standard shipping")),
        pl.when(pl.col("sku") == "P9").then(pl.lit("shipped")).otherwise(pl.lit("pending")),
        pl.when(pl.col("sku") == "P9").then(pl.lit("taxable")).otherwise(pl.lit("exempt")),
    ],
)  # fmt: skip
def test_channels_methods_and_tax_classes_are_no_charges(kind):
    frame = shop(lambda n: []).with_columns(kind.alias("kind"))
    assert not segkit.audit_data(frame).to_frame().filter(column="row_kind").height


def test_test_orders_are_rejected_and_said():
    frame = shop(lambda n: []).with_columns(
        kind=pl.when(pl.col("order") == "B7").then(pl.lit("Test")).otherwise(pl.lit("live"))
    )
    taken = segkit.clean_data(frame)
    assert taken.ledger.reasons() == {"test_line": 2}
    said = segkit.audit_data(frame).to_frame().filter(column="row_kind")
    assert "'Test' (2 rows, 18.50)" in said["finding"][0]
    arms = frame.with_columns(pl.col("kind").replace("live", "control"))
    assert segkit.clean_data(arms).ledger.reasons() == {}


@pytest.mark.parametrize("name", ["amount_cents", "Amount (cents)", "amountMinor"])
def test_amounts_in_cents_are_read_as_their_name_says(name):
    frame = lines(
        ("B1", "K1", "2024-01-31", 1250), ("B2", "K2", "2024-02-01", 99),
        names=("order", "customer", "date", name),
    )  # fmt: skip
    audit = segkit.audit_data(frame)
    assert audit.mapping.option("orders", "minor_units") is True
    assert segkit.clean_data(audit).orders["amount"].to_list() == [12.5, 0.99]
    as_written = segkit.clean_data(frame, {"orders": {"minor_units": False}})
    assert as_written.orders["amount"].to_list() == [1250.0, 99.0]
    texts = frame.with_columns(pl.col(name).cast(pl.String))
    assert segkit.clean_data(texts).orders["amount"].to_list() == [12.5, 0.99]


def test_a_discount_rate_beside_cents_is_no_money():
    frame = pl.DataFrame(
        {"customer_id": ["a"], "order_time": ["2024-01-31"], "quantity": [2],
         "unit_price": [500], "discount": [0.25]}
    )  # fmt: skip
    options = {"minor_units": True, "discount_unit": "share"}
    orders = segkit.clean_data(frame, {"orders": options}).orders
    assert orders["amount"].to_list() == [7.5]


@pytest.mark.parametrize(
    ("header", "refund", "unit", "asks"),
    [
        ("amount_cents", lambda cents: cents, 100, True),
        ("amount_in_minor_units", lambda cents: cents // 100, 1, True),
        ("amount_cents", lambda cents: f"{cents / 100:.2f}", 1, False),
    ],
)
def test_refunds_beside_cents_are_read_in_their_own_unit(header, refund, unit, asks):
    cents = [1200 + 100 * n for n in range(40)]
    back = [refund(one) if n % 9 == 4 else 0 for n, one in enumerate(cents)]
    rows = [
        (f"B{n}", f"K{n % 9}", f"2024-01-{1 + n % 28:02}", one, str(back[n]))
        for n, one in enumerate(cents)
    ]
    frame = lines(*rows, names=("order", "customer", "date", header, "refund"))
    audit = segkit.audit_data(frame)
    blocks = [item for item in audit.findings if item.severity == "block"]
    assert [item.column for item in blocks] == ["amount"] * asks
    if asks:
        audit = segkit.audit_data(frame, mapping_of(offered_answers(blocks[0].answer)[0]))
    kept = sum(one for n, one in enumerate(cents) if n % 9 != 4) / 100
    assert segkit.clean_data(audit).orders["amount"].sum() == pytest.approx(kept)


def test_whole_amounts_beside_codes_in_lower_case_are_asked_about():
    rows = [(f"B{n}", f"K{n % 9}", f"2024-01-{1 + n % 28:02}", 1049 + 37 * n) for n in range(40)]
    frame = lines(*rows, names=("order", "customer", "date", "amount")).with_columns(
        currency=pl.lit("eur")
    )
    (asked,) = [f for f in segkit.audit_data(frame).findings if f.severity == "block"]
    answer = mapping_of(offered_answers(asked.answer)[0])
    worth = segkit.clean_data(frame, answer).orders["amount"].sum()
    assert worth == pytest.approx(sum(row[3] for row in rows) / 100)
    for code in ("EUR", "jpy"):
        assert not segkit.audit_data(frame.with_columns(currency=pl.lit(code))).blocked
