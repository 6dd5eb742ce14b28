"""What means a return is asked, never passed over; a proposal is never taken for an answer."""

import polars as pl
import pytest

import segkit
from segkit.errors import DataError, MappingError
from segkit.intake import Mapping
from segkit.intake.answers import mapping_of, offered_answers

ROWS = [
    # document, kind, customer, day, quantity, money: returns of three kinds
    ("1", "TICKET", "a", "2024-05-30", "1", "10,00"),
    ("2", "FACTURE", "b", "2024-05-30", "2", "20,00"),
    ("3", "AVOIR", "a", "2024-05-31", "1", "4,00"),
    ("4", "AVOIR", "b", "2024-05-31", "-1", "-5,00"),
    ("5", "TICKET", "b", "2024-05-31", "-1", "-1,00"),
]
COLUMNS = ["order_id", "Nature", "customer_id", "order_date", "quantity", "amount"]
LINES = pl.DataFrame(ROWS, schema=COLUMNS, orient="row")
MEANT = {"AVOIR": True, "TICKET": False, "FACTURE": False}


def mapped(**values):
    part = {"columns": {"is_return": "Nature"}, "values": {"is_return": values}}
    return {"orders": part}


def test_credit_notes_with_positive_amounts_shut_the_gate():
    with pytest.raises(
        DataError, match=r"'Nature' holds kinds of rows beside sales \('AVOIR' 2 rows, -1\)"
    ):
        segkit.clean_data(LINES)


def test_words_that_are_neither_yes_nor_no_shut_the_gate():
    with pytest.raises(DataError, match="'AVOIR', 'FACTURE', 'TICKET', neither yes nor no"):
        segkit.clean_data(LINES, mapped())
    with pytest.raises(DataError, match="'FACTURE', 'TICKET', neither"):
        segkit.clean_data(LINES, mapped(AVOIR=True))


def test_once_answered_every_kind_of_return_takes_money_back():
    taken = segkit.clean_data(LINES, mapped(**MEANT))
    assert taken.orders["is_return"].to_list() == [False, False, True, True, True]
    assert taken.orders["amount"].to_list() == [10.0, 20.0, -4.0, -5.0, -1.0]


def test_what_a_column_of_refunds_takes_off_is_offered_as_sales_first():
    rows = [(f"{n}", f"k{n % 9}", f"2024-05-{1 + n % 28:02}", "10", "Return" if n < 4 else None,
             "6" if n < 4 else "0") for n in range(40)]  # fmt: skip
    names = ["order_id", "customer_id", "order_date", "amount", "Return kind", "Refund amount"]
    lines = pl.DataFrame(rows, schema=names, orient="row")
    (asked,) = (q for q in segkit.audit_data(lines).findings if q.severity == "block")
    assert "As sales 376 is left, as returns 320." in asked.finding  # 400 - 24; 360 - 40
    given = [mapping_of(one) for one in offered_answers(asked.answer)]
    sums = [segkit.clean_data(lines, one).orders["amount"].sum() for one in given]
    assert sums == [376.0, 320.0]


@pytest.mark.parametrize(
    ("header", "word", "asks"),
    [
        ("Envío", "Contra reembolso", 0),
        ("payment_method", "Refund card", 0),
        ("Envío", "Reembolso", 1),
    ],
)
def test_cash_on_delivery_and_ways_to_pay_are_no_returns(header, word, asks):
    lines = LINES.drop("Nature").with_columns(pl.Series(header, [word, "Card", word, "Card", ""]))
    asked = [f for f in segkit.audit_data(lines).findings if f.severity == "block"]
    assert len(asked) == asks


def test_credit_notes_that_are_negative_anyway_ask_nothing():
    negative = LINES.filter(pl.col("order_id") != "3")
    assert segkit.clean_data(negative).orders["amount"].sum() == 24.0


def test_credit_notes_on_rows_that_are_left_out_ask_nothing():
    void = pl.when(pl.col("Nature") == "AVOIR").then(pl.lit("cancelled")).otherwise(pl.lit("paid"))
    taken = segkit.clean_data(LINES.with_columns(void.alias("Status")))
    assert taken.orders["amount"].to_list() == [10.0, 20.0, -1.0]


def test_a_percent_sign_is_read_as_percent():
    lines = LINES.drop("Nature", "amount").with_columns(
        pl.lit("10,00").alias("unit_price"), pl.lit("20").alias("Remise %")
    )
    audit = segkit.audit_data(lines)
    assert audit.mapping.option("orders", "discount_unit") == "percent"
    taken = segkit.clean_data(lines, audit.mapping)
    assert taken.orders["amount"].to_list() == [8.0, 16.0, 8.0, -8.0, -8.0]


def test_a_saved_proposal_keeps_the_question_open(tmp_path):
    rivals = LINES.drop("Nature").rename({"amount": "Montant TTC"})
    rivals = rivals.with_columns(pl.lit("1,00").alias("Montant HT"))
    audit = segkit.audit_data(rivals)
    assert audit.blocked
    kept = Mapping.load(audit.save_mapping(tmp_path / "mapping.toml"))
    with pytest.raises(MappingError, match="Several columns could be amount"):
        segkit.clean_data(rivals, kept)


def test_one_account_far_above_the_others_is_pointed_out():
    usual = [(f"o{i}", f"c{i}", "2024-05-30", "1", "5") for i in range(60)]
    guest = [(f"g{i}", "till", "2024-05-30", "1", "5") for i in range(55)]
    lines = pl.DataFrame(
        [*usual * 4, *guest],
        schema=["order_id", "customer_id", "order_date", "quantity", "amount"],
        orient="row",
    )
    told = [finding.finding for finding in segkit.audit_data(lines).findings]
    assert any("a guest account?" in text for text in told)


def test_a_refund_with_its_sign_on_the_price_is_a_refund():
    lines = pl.DataFrame(
        {"Order": ["1", "2", "2"], "Buyer Email": ["a@x.org", "b@x.org", "b@x.org"],
         "Date": ["2024-05-01", "2024-05-02", "2024-05-03"], "Item Price": [9.5, 5.5, -5.5],
         "Charged Amount": [9.5, 5.5, -5.5], "Financial Status": ["Charged", "Charged", "Refund"]}
    )  # fmt: skip
    taken = segkit.clean_data(lines)
    assert taken.orders["amount"].to_list() == [9.5, 5.5, -5.5]
    assert taken.orders["is_return"].to_list() == [False, False, True]
    assert not taken.ledger.reasons()
