"""Files that hold more than sales: asked about, and right once the first offers are taken."""

import polars as pl
import pytest

import segkit
from segkit.intake.answers import as_options, mapping_of, offered_answers, read_answer
from segkit.intake.counts import understand
from segkit.intake.mapping import Mapping, TableMapping

N = 60
CENTS = [1000 + 37 * n for n in range(N)]
DAYS = [f"2024-{1 + n % 12:02}-{1 + n % 28:02} 10:00:00" for n in range(N)]
ODD = [n % 10 == 3 for n in range(N)]  # every customer buys three times; six rows are no sales
SOLD = sum(cents for cents, odd in zip(CENTS, ODD, strict=True) if not odd)
BACK = SOLD - sum(cents for cents, odd in zip(CENTS, ODD, strict=True) if odd)


def test_what_is_to_be_filled_in_is_no_option_beside_answers():
    text = '[orders.columns] order_time = "Day"; or [orders.columns] order_time = "..."'
    assert as_options(text) == ['--answer "orders.columns.order_time=Day"']


def euros(cents):
    return f"{cents / 100:.2f}"


def listed(header, sale, other, **more):
    """Give the orders with a column of kinds of rows."""
    return pl.DataFrame(
        {
            "Receipt": [f"R{n}" for n in range(N)],
            "Member card": [f"M{n // 3}" for n in range(N)],
            "Date": DAYS,
            header: [other if odd else sale for odd in ODD],
            "Total": [euros(cents) for cents in CENTS],
            **more,
        }
    )


def rows_of(*kinds, header="Kind", amount=lambda kind, cents: cents):
    """Give rows of several kinds for each order, in a table."""
    return pl.DataFrame(
        [
            {"Order": f"R{n}", "Email": f"p{n // 3}@x.example", "Date": DAYS[n], header: kind,
             "Amount": euros(amount(kind, CENTS[n]))}
            for n in range(N)
            for kind, only_odd in kinds
            if ODD[n] or not only_odd
        ]
    )  # fmt: skip


def settle(frame):
    """Take the best offer of the first question until none is open; count the questions."""
    mapping, asked = Mapping(), []
    while True:
        audit = segkit.audit_data(frame, mapping)
        blocks = [item for item in audit.findings if item.severity == "block"]
        if not blocks:
            return audit, asked
        assert len(asked) < 3, asked
        asked.append(blocks[0])
        offers = [o for o in offered_answers(blocks[0].answer) if "..." not in " ".join(o)]
        assert offers, blocks[0]
        for line in offers[0]:
            mapping = Mapping.from_dict(read_answer(line)).over(mapping)


def cents_of(audit):
    return round(100 * float(segkit.clean_data(audit).orders["amount"].sum()))


@pytest.mark.parametrize(
    ("header", "sale", "other", "worth"),
    [
        ("Type", "Sale", "Payout", SOLD),
        ("Transaction Type", "Order", "Transfer", SOLD),
        ("Kind", "capture", "authorization", SOLD),
        ("Category", "Sales", "Gift card load", SOLD),
        ("Type", "Charge", "Reserve hold", SOLD),
        ("Type", "Payment", "Service fee", SOLD),
        ("Type", "Sale", "Chargeback", BACK),
        ("Vorgang", "Verkauf", "Auszahlung", SOLD),
        ("Zahlungsart", "Kartenzahlung", "Zahlungsgebühr", SOLD),
        ("Nature", "Vente", "Virement", SOLD),
        ("Tipo de movimiento", "Venta", "Retiro", SOLD),
        ("Tipo", "Venda", "Taxa", SOLD),
        ("Tipo", "Vendita", "Rimborso", BACK),
        ("İşlem Türü", "Satış", "İade", BACK),
        ("取引種別", "売上", "出金", SOLD),
        ("类型", "支付", "提现", SOLD),
    ],
)
def test_kinds_of_rows_that_are_no_sales_are_asked_and_the_offer_is_right(
    header, sale, other, worth
):
    audit, asked = settle(listed(header, sale, other))
    assert [item.column for item in asked] == ["row_kind"]
    assert repr(other) in asked[0].finding
    assert cents_of(audit) == worth


@pytest.mark.parametrize(
    ("header", "one", "other"),
    [
        ("Type", "Online", "In person"),
        ("Payment type", "Card", "Bank transfer"),
        ("Order type", "Pickup", "Delivery"),
        ("Category", "Mugs", "Gift cards"),
        ("Type", "B2B", "B2C"),
        ("Ödeme Tipi", "Kredi Kartı", "Havale/EFT"),
        ("Tipo de Pagamento", "Pagamento único", "Assinatura"),
        ("Description", "Garden hose 15m", "Slow release fertiliser 5kg"),
    ],
)
def test_ways_to_buy_and_kinds_of_goods_are_no_kinds_of_rows(header, one, other):
    assert not settle(listed(header, one, other))[1]


def test_a_word_that_is_not_known_beside_known_ones_is_asked():
    frame = listed("Type", "Sale", "Zorp")
    (asked,) = [f for f in segkit.audit_data(frame).findings if f.severity == "block"]
    assert "'Zorp' 6 rows" in asked.finding
    muted = segkit.audit_data(frame, {"orders": {"not_states": ["Type"]}})
    assert not muted.blocked


def test_a_refund_row_beside_its_sale_is_given_back_and_a_refunded_sale_is_none():
    audit, _ = settle(rows_of(("sale", False), ("refunded", True)))
    assert cents_of(audit) == SOLD
    audit, _ = settle(listed("Order type", "Completed order", "Refunded"))
    assert cents_of(audit) == SOLD
    minus = rows_of(
        ("Sale", False), ("Refund", True), amount=lambda kind, c: -c if kind == "Refund" else c
    )
    audit, asked = settle(minus)
    assert not asked
    assert cents_of(audit) == SOLD


def test_rows_that_repeat_the_money_of_others_count_once():
    whole = sum(CENTS)
    for kinds in (("authorization", "capture"), ("Received", "Authorised", "Settled")):
        audit, asked = settle(rows_of(*((kind, False) for kind in kinds)))
        assert cents_of(audit) == whole
    lines = [
        {"Receipt": n, "Customer": f"K{n // 3}", "Date": DAYS[n], "Line type": kind,
         "Amount": euros(cents)}
        for n in range(N)
        for kind, cents in [("Sale", CENTS[n]), ("Sale line", 900), ("Sale line", CENTS[n] - 900),
                            ("Payment", CENTS[n])]
    ]  # fmt: skip
    audit, asked = settle(pl.DataFrame(lines))
    assert not asked
    assert cents_of(audit) == whole


def test_a_history_of_states_is_refused():
    frame = rows_of(("created", False), ("paid", False), ("shipped", False), header="Status")
    later = pl.int_range(pl.len()).cast(pl.String) + " min"
    audit = segkit.audit_data(frame.with_columns(updated_at=later))
    assert "history of states" in audit.text
    days = pl.date(2025, 1, 1) + pl.duration(days=pl.int_range(pl.len()) % 3)
    last = pl.when(pl.col("Order") == "R0").then(pl.lit("cancelled"))
    states = pl.when(pl.col("Status") == "shipped").then(last.otherwise("Status"))
    dated = frame.with_columns(updated_at=days, Status=states.otherwise("Status")).reverse()
    (asked,) = [item for item in segkit.audit_data(dated).findings if item.severity == "block"]
    taken = segkit.clean_data(dated, mapping_of(offered_answers(asked.answer)[0]))
    assert round(100 * taken.orders["amount"].sum()) == sum(CENTS) - CENTS[0]
    assert taken.ledger.reasons() == {"earlier_state": 2 * N, "cancelled": 1}


def test_an_amount_after_fees_or_refunds_gives_way_to_what_was_paid():
    fees = [cents // 10 for cents in CENTS]
    frame = listed("Note", "a", "b").rename({"Total": "Gross"}).with_columns(
        Fee=pl.Series(map(euros, fees)),
        Net=pl.Series([euros(c - f) for c, f in zip(CENTS, fees, strict=True)]),
    )  # fmt: skip
    audit, asked = settle(frame)
    assert audit.mapping.tables["orders"].columns["amount"] == "Gross"
    assert not asked
    part = [400 if odd else 0 for odd in ODD]
    frame = listed("Note", "a", "b").with_columns(
        pl.Series("Refunded amount", map(euros, part)),
        pl.Series("Net amount", [euros(c - p) for c, p in zip(CENTS, part, strict=True)]),
    )
    audit, asked = settle(frame)
    assert cents_of(audit) == sum(CENTS) - sum(part)  # not taken off twice
    assert not asked


def test_totals_that_were_adjusted_replace_the_first_ones():
    left = [(euros(500) if n % 20 == 3 else "0.00") if ODD[n] else None for n in range(N)]
    frame = listed("Note", "a", "b").rename({"Total": "Order Total"})
    frame = frame.with_columns(pl.Series("Adjusted Order Total", left))
    audit, asked = settle(frame)
    assert not asked
    assert cents_of(audit) == SOLD + 3 * 500
    other = frame.with_columns(pl.Series("Order Value", [euros(c - 100) for c in CENTS]))
    told = segkit.audit_data(other, {"orders": {"columns": {"amount": "Order Value"}}})
    assert "do they replace 'Order Total'" in told.text


def test_money_in_two_columns_is_received_and_given_back():
    cells = [[euros(c) if odd is way else None for c, odd in zip(CENTS, ODD, strict=True)]
             for way in (False, True)]  # fmt: skip
    frame = listed("Note", "a", "b").drop("Total")
    frame = frame.with_columns(pl.Series("Credit", cells[0]), pl.Series("Debit", cells[1]))
    audit, asked = settle(frame)
    assert "are these refunds?" in asked[0].finding
    assert cents_of(audit) == BACK


def test_a_stage_that_sales_have_too_is_no_second_state():
    status = ["Lost" if odd else "Won" for odd in ODD]
    frame = listed("Stage", "Negotiation", "Proposal").with_columns(pl.Series("Status", status))
    audit, asked = settle(frame)
    assert not asked
    assert cents_of(audit) == SOLD


def test_the_customer_of_a_payment_is_the_other_party_whichever_way_the_money_goes():
    rows = [
        {"Date": DAYS[n], "Name": f"Ann {n // 3}", "Gross": euros(-CENTS[n] if back else CENTS[n]),
         "From Email Address": "shop@me.example" if back else f"p{n // 3}@x.example",
         "To Email Address": f"p{n // 3}@x.example" if back else "shop@me.example",
         "Transaction ID": f"T{n}{back}"}
        for n in range(N)
        for back in ((False, True) if ODD[n] else (False,))
    ]  # fmt: skip
    audit, asked = settle(pl.DataFrame(rows))
    assert not asked
    assert audit.mapping.tables["orders"].columns["customer_id"] == "Customer email"
    by_customer = (
        segkit.clean_data(audit).orders.group_by("customer_id").agg(pl.col("amount").sum())
    )
    assert by_customer["amount"].min() > 0


def test_a_column_that_is_one_for_one_currency_is_offered_as_the_rate_both_ways_and_as_none():
    codes = ["USD" if odd else "EUR" for odd in ODD]
    frame = listed("Note", "a", "b", Currency=codes, Factor=["0.5" if o else "1.0" for o in ODD])
    asked = [f for f in segkit.audit_data(frame).findings if f.severity == "block"]
    offers = offered_answers(asked[0].answer)
    assert offers[0] == ["orders.columns.rate=Factor", "currency=EUR"]
    odd = sum(CENTS) - SOLD
    sums = (SOLD + odd / 2, SOLD + odd * 2, SOLD, sum(CENTS))
    for offer, worth in zip(offers, sums, strict=False):
        mapping = Mapping()
        for line in offer:
            mapping = Mapping.from_dict(read_answer(line)).over(mapping)
        assert cents_of(segkit.audit_data(frame, mapping)) == round(worth), offer


def test_rows_told_by_numbers_that_name_others_orders_are_given_back():
    frame = listed("ObjType", "13", "14").with_columns(
        pl.Series("BaseRef", [f"R{n - 1}" if odd else "" for n, odd in enumerate(ODD)])
    )
    audit, asked = settle(frame)
    assert len(asked) == 1
    assert cents_of(audit) == BACK
    assert not settle(listed("Room type", "1", "2"))[1]


def test_a_coupon_at_a_negative_price_comes_off_its_order_and_is_no_return():
    rows = [
        {"Order": f"R{n}", "Customer": f"M{n // 3}", "Date": DAYS[n], "Quantity": "1",
         "Price": euros(-500 if kind == "Coupon" else CENTS[n]), "Kind": kind}
        for n in range(N)
        for kind in ("Product", "Coupon")
        if ODD[n] or kind == "Product"
    ]  # fmt: skip
    frame = pl.DataFrame(rows)
    kinds = {"columns": {"row_kind": "Kind"}, "values": {"row_kind": {"Coupon": "discount"}}}
    orders = segkit.clean_data(frame, {"orders": kinds}).orders
    coded = frame.with_columns(SKU=pl.when(pl.col("Kind") == "Coupon").then(pl.lit("C5"))
                               .otherwise("Order"))  # fmt: skip
    for taken in (orders, *(segkit.clean_data(each).orders for each in (frame, coded))):
        assert not taken["is_return"].any()
        assert round(100 * taken["amount"].sum()) == sum(CENTS) - 500 * sum(ODD)


@pytest.mark.parametrize(
    ("tax", "worth"), [(1.0, sum(CENTS)), (1.2, round(1.2 * sum(CENTS)) + 600 * N)]
)
def test_a_total_stays_whole_where_lines_are_left_out_that_do_not_make_it_up(tax, worth):
    rows = [
        {"Order": f"R{n}", "Customer": f"M{n // 3}", "Date": DAYS[n], "Quantity": "1", "Kind": kind,
         "Price": euros(cents), "Order total": euros(tax * (CENTS[n] + 500))}
        for n in range(N)
        for kind, cents in (("Product", CENTS[n]), ("Shipping", 500))
    ]  # fmt: skip
    mapping = {
        "orders": {
            "amount_of": "order",
            "columns": {"row_kind": "Kind", "amount": "Order total"},
            "values": {"row_kind": {"Shipping": "charge"}},
        }
    }
    orders = segkit.clean_data(pl.DataFrame(rows), mapping).orders
    assert abs(round(100 * orders["amount"].sum()) - worth) <= N


def test_refunds_on_rows_of_their_own_come_off_once_and_orders_run_over_several_days():
    back = [
        {"Merchant Reference": f"R{n}", "Shopper": f"M{n // 3}", "Date": f"2025-01-{1 + n % 28:02}",
         "Gross Debit": euros(CENTS[n]), "Gross Credit": None}
        for n in range(N) if ODD[n]
    ]  # fmt: skip
    sold = [
        {"Merchant Reference": f"R{n}", "Shopper": f"M{n // 3}", "Date": DAYS[n][:10],
         "Gross Debit": None, "Gross Credit": euros(CENTS[n])} for n in range(N)
    ]  # fmt: skip
    audit, _ = settle(pl.DataFrame(sold + back))
    assert audit.mapping.tables["orders"].columns["order_id"] == "Merchant Reference"
    assert cents_of(audit) == SOLD


@pytest.mark.parametrize("empty", [0.0, None])
@pytest.mark.parametrize("sign", [-1, 1])
def test_a_refund_on_a_negative_amount_is_that_amount(sign, empty):
    part = {"customer_id": "c", "order_id": "o", "order_time": "d", "amount": "net", "refund": "r"}
    rows = [("A", "1", 10.0, empty), ("A", "1", -10.0, 10.0 * sign), ("B", "2", 7.0, empty)]
    frame = pl.DataFrame(rows, ["c", "o", "net", "r"], orient="row").with_columns(
        d=pl.date(2025, 1, 3)
    )
    taken = segkit.clean_data(frame, {"orders": {"columns": part}})
    assert taken.orders["amount"].sum() == 7.0
    assert understand(taken.mapping, taken).startswith(
        "Read customers by 'c', orders by 'o', time by 'd'; money is 'net'.\n"
    )


def test_reasons_of_refunds_are_asked_only_where_no_sign_tells_and_all_are_returns():
    why = [None, "Returned goods", None, "Wrong order", None, None]
    part = {"customer_id": "c", "order_id": "o", "order_time": "d", "is_return": "Refund reason"}
    part |= {"amount": "net"}
    frame = pl.DataFrame({"c": [*"AABBCD"], "o": [*"112234"], "Refund reason": why})
    frame = frame.with_columns(
        d=pl.date(2025, 1, 3), net=pl.Series([9.0, -9.0, 8.0, -8.0, 7.0, 6.0])
    )
    mapping = {"orders": {"columns": part}}
    assert segkit.clean_data(frame, mapping).orders["amount"].sum() == 13.0
    frame = pl.concat([frame] * 5).with_columns(pl.col("net").abs())
    asked = segkit.audit_data(frame, mapping=mapping).findings
    assert [one.answer.count("= true") for one in asked if one.column == "is_return"] == [2]


@pytest.mark.parametrize("word", ["sztornó számla", "Stornorechnung", "Nota di credito"])
@pytest.mark.parametrize("back", [("1", None), ("4", "1")])  # on its number, or naming it
def test_an_invoice_that_a_credit_note_wholly_takes_back_is_no_order(back, word):
    part = {"customer_id": "c", "order_id": "o", "order_time": "d", "amount": "net"}
    rows = [
        ("A", "1", 6.0, None, None), ("A", "1", 4.0, None, None),
        ("A", back[0], -10.0, back[1], word),
        ("B", "2", 7.0, None, None), ("B", "5", -3.0, "2", word), ("C", "3", 9.0, None, None),
    ]  # fmt: skip
    frame = pl.DataFrame(rows, ["c", "o", "net", "of", "kind"], orient="row")
    frame = frame.with_columns(d=pl.date(2025, 1, 3))
    taken = segkit.clean_data(frame, {"orders": {"columns": part}})
    assert taken.orders["amount"].to_list() == [7.0, -3.0, 9.0]
    assert taken.ledger.reasons() == {"given_back": 3}


@pytest.mark.parametrize(
    ("told", "called"),
    [("status", None), ("payment_status", None), ("cancelled_at", None), ("status", "refunded")],
)
@pytest.mark.parametrize(
    ("notes", "left"),
    [
        # by the sum; the first two with no order of that sum which counts
        ([("A", "7", -30.0, None), ("B", "8", -12.0, None)], 21.0),
        ([("A", "7", -30.0, None)], 21.0),
        ([("B", "8", -5.0, None)], 16.0),  # a part of what counts
        ([("A", "7", -20.0, "1"), ("B", "8", -2.0, "2")], 21.0),  # by the number named
        ([("A", "1", -30.0, None)], 21.0),
        ([("B", "8", -9.0, None), ("C", "9", -5.0, None)], 7.0),  # of orders that count
    ],
)
def test_what_takes_a_cancelled_document_back_is_left_out_with_it(told, called, notes, left):
    part = {"customer_id": "c", "order_id": "o", "order_time": "d", "amount": "net"}
    off = "2025-01-02" if told == "cancelled_at" else "cancelled"
    rows = [
        *((None, f"X{n}", 8.0, None, off) for n in range(9)),  # nobody's
        ("A", "1", 30.0, None, off), ("B", "2", 12.0, None, off), ("C", "6", 5.0, None, off),
        ("B", "3", 9.0, None, None), ("C", "4", 5.0, None, None), ("D", "5", 7.0, None, None),
    ]  # fmt: skip
    rows += [(*note, called) for note in notes]
    frame = pl.DataFrame(rows, ["c", "o", "net", "of", "state"], orient="row")
    frame = frame.with_columns(d=pl.date(2025, 1, 3))
    taken = segkit.clean_data(frame, {"orders": {"columns": part | {told: "state"}}})
    assert taken.orders["amount"].sum() == left


def test_where_only_what_takes_back_is_called_cancelled_it_comes_off():
    sold = [(f"c{n}", f"A{n}", 10.0 + n, "paid") for n in range(8)]
    back = [(f"c{n}", f"B{n}", -10.0 - n, "cancelled") for n in range(3)]
    part = {"customer_id": "c", "order_id": "o", "order_time": "d", "amount": "net", "status": "s"}
    sums = []
    for rows in (sold + back, [*sold, *back, ("c9", "A9", 5.0, "cancelled")]):
        frame = pl.DataFrame(rows, ["c", "o", "net", "s"], orient="row")
        frame = frame.with_columns(d=pl.date(2025, 1, 3))
        sums.append(segkit.clean_data(frame, {"orders": {"columns": part}}).orders["amount"].sum())
    assert sums == [75.0, 108.0]  # 13 + ... + 17; documents called so are void elsewhere


@pytest.mark.parametrize(
    ("back", "counts"),
    [
        ([("A", "1", 30.0, 30.0, None), ("B", "2", 12.0, 12.0, None)], False),
        ([("A", "1", 30.0, None, "refunded"), ("B", "2", 12.0, None, "refunded")], False),
        ([("A", "1", 30.0, None, None), ("B", "2", 12.0, None, None),
          ("A", "1", -30.0, None, None), ("B", "2", -12.0, None, None)], True),
        ([("A", "1", 30.0, None, None), ("B", "2", 12.0, None, None),
          ("A", "8", -30.0, None, None), ("B", "9", -12.0, None, None)], True),
        ([("A", "1", 30.0, None, None), ("B", "2", 12.0, None, None),
          ("A", "1", -30.0, None, "credit note"), ("B", "2", -12.0, None, "credit note")], False),
    ],
)  # fmt: skip
def test_orders_that_were_wholly_given_back_are_told_in_every_shape_of_file(back, counts):
    part = {"customer_id": "c", "order_id": "o", "order_time": "d", "amount": "net"}
    part |= {"refund": "r"} | ({"status": "s"} if back[0][-1] else {})
    rows = [*back, ("B", "3", 7.0, None, None), ("C", "4", 9.0, None, None),
            ("C", "5", -4.0, None, None)]  # fmt: skip
    frame = pl.DataFrame(rows, ["c", "o", "net", "r", "s"], orient="row")
    frame = frame.with_columns(d=pl.date(2025, 1, 3))
    taken = segkit.clean_data(frame, {"orders": {"columns": part}})
    assert taken.orders["amount"].sum() == 12.0
    how = "counted as orders, with no money left" if counts else "not counted"
    how = f"{', as returns of the same sum tell' if back[-1][1] == '9' else ''}: {how}"
    said = f"2 orders were wholly given back (42){how}; 1 person has no other order."
    assert understand(taken.mapping, taken).split("\n")[3] == said


@pytest.mark.parametrize("state", ["refunded", "paid"])
def test_no_money_is_told_of_orders_given_back_in_several_currencies(state):
    frame = pl.DataFrame({"c": ["A", "B", "B"], "o": ["1", "2", "3"], "net": [9.0, 8.0, 7.0]})
    frame = frame.with_columns(
        d=pl.date(2025, 1, 3),
        cur=pl.Series(["EUR", "USD", "EUR"]),
        s=pl.Series(["paid", state, "paid"]),
    )
    part = {"customer_id": "c", "order_id": "o", "order_time": "d", "amount": "net"}
    part |= {"currency": "cur", "status": "s"}
    fx = pl.DataFrame({"currency": ["USD"], "valid_from": ["2025-01-01"], "rate": [0.5]})
    options = {"currency": "EUR", "columns": part}
    taken = segkit.clean_data({"orders": frame, "fx": fx}, {"orders": options})
    assert ("given back: not counted." in understand(taken.mapping, taken)) == (state == "refunded")


def test_a_document_that_takes_a_cancelled_one_back_is_left_out_with_it():
    rows = [
        ("A", "R1", "01-05", 50.0, "Storniert"), ("A", "S1", "01-07", -50.0, "Bezahlt"),
        ("B", "R2", "01-06", 30.0, "Storniert"), ("B", "S2", "01-06", -30.0, "Bezahlt"),
        ("B", "R3", "01-08", 30.0, "Bezahlt"), ("B", "S3", "01-09", -30.0, "Bezahlt"),
        ("C", "R4", "01-09", 20.0, "Bezahlt"), ("C", "S4", "01-10", -5.0, "Bezahlt"),
    ]  # fmt: skip
    names = ("Kunde", "Nummer", "Datum", "Betrag", "Status")
    frame = pl.DataFrame(rows, names, orient="row").with_columns(
        Datum=pl.lit("2025-") + pl.col("Datum")
    )
    taken = segkit.clean_data(frame)
    assert taken.orders["amount"].to_list() == [30.0, -30.0, 20.0, -5.0]
    assert taken.ledger.reasons() == {"cancelled": 4}
    same = frame.with_columns(pl.col("Nummer").str.replace("S", "R"))  # on the number of the first
    assert segkit.clean_data(same.head(6)).orders["amount"].sum() == 0.0


@pytest.mark.parametrize("header", ["Gebucht von", "Booked by", "Guest name", "Vevő neve"])
def test_names_are_offered_beside_a_customer_that_many_rows_lack(header):
    frame = pl.DataFrame(
        {"Order": [f"R{n}" for n in range(60)], "Date": ["2025-01-03"] * 60,
         "Total": [10.5 + n for n in range(60)], "Personen": [1 + n % 4 for n in range(60)],
         "Telephone": [None if n % 10 == 0 else f"0171 55512{n // 2:02}" for n in range(60)],
         header: [f"{'ABCDEFGHIJ'[n // 2 % 10]}nna {'XYZ'[n // 20]}eber" for n in range(60)]}
    )  # fmt: skip
    (asked,) = [f for f in segkit.audit_data(frame).findings if f.column == "customer_id"]
    assert f'"{header}"' in asked.answer
    assert f"{header!r} names 30 people" in asked.finding
    assert "Personen" not in asked.answer


def test_a_number_on_all_rows_is_offered_where_few_rows_lack_the_customer():
    frame = pl.DataFrame(
        {"Order": [f"R{n}" for n in range(200)], "Date": ["2025-01-03"] * 200,
         "Total": [10.5 + n for n in range(200)],
         "E-mail": [None if n % 34 == 1 else f"k{n // 3}@x.example" for n in range(200)],
         "เบอร์โทร": [f"08123{n if n % 40 == 2 else n // 3:05}" for n in range(200)],
         "Monedă": ["RON"] * 200}
    )  # fmt: skip
    audit = segkit.audit_data(frame)
    (asked,) = [f for f in audit.findings if f.column == "customer_id" and f.severity == "block"]
    assert 'customer_id = "เบอร์โทร"; or' in asked.answer
    assert "'เบอร์โทร' names 6 people (6 rows)" in asked.finding
    assert "left out (6 rows, 579 of sales)" in asked.finding
    assert audit.mapping.tables["orders"].columns["currency"] == "Monedă"
    same = frame.with_columns(pl.Series("เบอร์โทร", [f"08123{n // 3:05}" for n in range(200)]))
    fuller = segkit.audit_data(same)  # one number for each address: it is taken
    assert fuller.mapping.tables["orders"].columns["customer_id"] == "เบอร์โทร"
    assert "customer_id" not in [f.column for f in fuller.findings if f.severity == "block"]
    without = frame.with_columns(pl.lit(None, pl.String).alias("เบอร์โทร"))
    assert "customer_id" not in [
        f.column for f in segkit.audit_data(without).findings if f.severity == "block"
    ]


def test_refunds_that_have_come_off_the_amount_are_left_alone():
    back = [-20.0 if n % 5 == 0 else 0.0 for n in range(40)]
    frame = pl.DataFrame(
        {"Receipt": [f"R{n}" for n in range(40)], "Customer": [f"Cust {n % 9}" for n in range(40)],
         "Date": ["2025-01-03"] * 40, "Gross Sales": [50.0 + n for n in range(40)],
         "Discounts": [-5.0] * 40, "Refunds": back,
         "Net Sales": [45.0 + n + b for n, b in enumerate(back)]}
    )  # fmt: skip
    audit = segkit.audit_data(frame, {"orders": {"columns": {"amount": "Net Sales"}}})
    assert "refund" not in audit.mapping.tables["orders"].columns
    taken = segkit.clean_data(frame, audit.mapping)
    assert round(taken.orders["amount"].sum()) == round(frame["Net Sales"].sum())


def test_guests_whose_id_is_zero_are_asked_about_where_an_address_names_them():
    frame = (
        listed("customer_id", "0", "0")
        .drop("Member card")
        .with_columns(
            pl.Series("customer_id", ["0" if n % 6 == 3 else str(7 + n // 3) for n in range(N)]),
            pl.Series("email", [f"p{n // 2}@x.example" for n in range(N)]),
        )
    )
    asked = [f for f in segkit.audit_data(pl.concat([frame] * 3)).findings if f.severity == "block"]
    assert "no customer in 'customer_id'" in " ".join(f.finding for f in asked)


def questions(frame, mapping=None):
    """Give what is asked of a frame, and how it is answered, as one text."""
    audit = segkit.audit_data(frame, mapping)
    return " ".join(f"{f.finding} {f.answer}" for f in audit.findings if f.severity == "block")


def test_states_by_numbers_or_with_a_number_behind_each_word_are_asked():
    assert '"5" = "sale", "6" = "unpaid"' in questions(listed("current_state", "5", "6"))
    numbered = [f"{'Denied' if odd else 'Passed'} {9000 + n}" for n, odd in enumerate(ODD)]
    frame = listed("Note", "a", "b").with_columns(pl.Series("Result and code", numbered))
    audit, (asked,) = settle(frame)
    assert '"Passed" = "sale"' in asked.answer
    assert cents_of(audit) == SOLD


def test_a_date_of_payment_on_the_first_line_of_orders_is_of_the_whole_order():
    rows = [
        {"Order": f"R{n}", "Customer": f"M{n // 3}", "Date": DAYS[n], "Price": euros(CENTS[n]),
         "Quantity": "1", "Paid on": None if ODD[n] or line else DAYS[n]}
        for n in range(N)
        for line in range(3)
    ]  # fmt: skip
    audit, asked = settle(pl.DataFrame(rows))
    assert "'Paid on' is not used" in asked[0].finding
    assert cents_of(audit) == 3 * SOLD


def test_two_events_that_tell_the_same_orders_count_once_and_cancelled_ones_are_given_back():
    def event(n, kind, order=True):
        return {"metric": kind, "email": f"p{n // 3}@x.example", "datetime": DAYS[n],
                "OrderId": f"R{n}" if order else None, "value": euros(CENTS[n])}  # fmt: skip

    rows = [event(n, "Started Checkout", order=False) for n in range(N)]
    rows += [
        event(n, kind) for n in range(N) for kind in ("Placed Order", *["Ordered Product"] * 2)
    ]
    rows += [event(n, "Cancelled Order") for n in range(N) if ODD[n]]
    audit, _ = settle(pl.DataFrame(rows))
    assert cents_of(audit) == SOLD


@pytest.mark.parametrize(
    ("sale", "other"),
    [
        ("Invoice", "Proforma invoice"),
        ("Faktura VAT", "Faktura Proforma"),
        ("Factura", "Factura proforma"),
        ("Faktura", "Zálohová faktura"),
        ("Számla", "Díjbekérő"),
        ("Fatura", "Teklif"),
        ("Tax invoice", "Quotation"),
        ("Счет-фактура", "Счет на оплату"),
        ("חשבונית מס / קבלה", "הצעת מחיר"),
        ("发票", "形式发票"),
    ],
)
def test_the_most_specific_word_of_a_document_decides(sale, other):
    audit, asked = settle(listed("Document type", sale, other))
    assert [item.column for item in asked] == ["row_kind"]
    assert repr(other) in asked[0].finding
    assert repr(sale) in asked[0].finding
    assert cents_of(audit) == SOLD


def test_a_receipt_of_the_money_of_an_invoice_is_its_payment():
    frame = rows_of(("חשבונית מס", False), ("קבלה", True), ("הצעת מחיר", True))
    audit, _ = settle(frame.with_columns(Order=pl.int_range(pl.len())))
    assert cents_of(audit) == sum(CENTS)


def test_documents_that_are_not_known_stand_in_the_answer():
    frame = rows_of(("Factuur", False), ("Betaling", False), ("Rentefactuur", True))
    assert '"Rentefactuur" = "line"' in questions(frame)


def test_thai_orders_with_years_of_the_buddhist_era_and_buyers_nobody_named():
    day = [f"{1 + n % 28:02}/{1 + n % 12:02}/2567 10:00" for n in range(N)]
    frame = pl.DataFrame(
        {
            "หมายเลขคำสั่งซื้อ": [f"R{n}" for n in range(N)],
            "วันที่สั่งซื้อ": day,
            "สถานะคำสั่งซื้อ": ["ยกเลิก" if odd else "สำเร็จ" for odd in ODD],
            "ลูกค้า": ["Walk-in" if n % 6 == 0 else f"M{n // 4}" for n in range(N)],
            "ยอดรวมสุทธิ": [f"฿{euros(cents)}" for cents in CENTS],
        }
    )
    orders = segkit.clean_data(frame).orders
    assert orders["order_time"].dt.year().unique().to_list() == [2024]
    kept = sum(c for n, (c, odd) in enumerate(zip(CENTS, ODD, strict=True)) if not odd and n % 6)
    assert round(100 * orders["amount"].sum()) == kept


def test_a_blank_line_below_the_header_is_no_second_table(tmp_path):
    path = tmp_path / "orders.csv"
    lines = [f"R{n};M{n // 3};{DAYS[n]};{CENTS[n]}.00;1" for n in range(N)]
    lines[9:9] = [";;;;", "; ;;;"]  # nor is any other blank line an order line
    path.write_text("\n".join(["\n" + "Order;Customer;Date;Total;Pieces", ";;;;", *lines]))
    taken = segkit.clean_data(path)
    assert taken.orders.height == N
    assert taken.ledger.kept_share("orders") == 1


def test_a_minus_in_brackets_is_a_minus():
    signed = [f"{'(-)' if odd else ''}{euros(c)}" for c, odd in zip(CENTS, ODD, strict=True)]
    frame = listed("Note", "a", "b").with_columns(pl.Series("Total", signed))
    assert cents_of(settle(frame)[0]) == BACK


def test_an_amount_of_pieces_beside_their_price_and_worth_is_the_quantity():
    pieces = [1 + n % 3 for n in range(N)]
    frame = listed("Note", "a", "b").rename({"Total": "itemTotalPriceWithVat"}).with_columns(
        pl.Series("itemAmount", [str(each) for each in pieces]),
        pl.Series("itemUnitPriceWithVat",
                  [f"{c / 100 / p:.4f}" for c, p in zip(CENTS, pieces, strict=True)]),
    )  # fmt: skip
    audit, asked = settle(frame)
    part = audit.mapping.tables["orders"].columns
    assert not asked
    assert (part["quantity"], cents_of(audit)) == ("itemAmount", sum(CENTS))


def test_copies_of_an_order_and_returns_beside_their_credit_note_do_not_count_again():
    kinds = ("Auftrag", False), ("Lieferauftrag", True), ("Retoure", True), ("Gutschrift", True)
    frame = rows_of(*kinds, header="Auftragstyp")
    number = pl.col("Order") + pl.col("Auftragstyp").str.head(1)
    parent = pl.when(pl.col("Auftragstyp") != "Auftrag").then(pl.col("Order") + "A")
    audit, asked = settle(frame.with_columns(number.alias("Order"), parent.alias("Parent ID")))
    assert len(asked) == 1
    assert cents_of(audit) == SOLD


def test_words_of_states_are_offered_by_what_was_paid():
    states = ["Qxa" if odd else "Qxb" if n % 4 == 0 else "Paid" for n, odd in enumerate(ODD)]
    paid = ["0" if odd else "1" for odd in ODD]
    frame = listed("Paid", "1", "0").with_columns(Status=pl.Series(states), Paid=pl.Series(paid))
    ((asked,),) = [[i for i in segkit.audit_data(frame).findings if i.severity == "block"]]
    assert set(offered_answers(asked.answer)[0]) == {
        "orders.values.status.Qxa=unpaid", "orders.values.status.Qxb=sale"
    }  # fmt: skip


def test_lost_deals_need_no_date_and_cancelled_words_alone_are_a_state():
    days = [None if odd else day for odd, day in zip(ODD, DAYS, strict=True)]
    lost = listed("Status", "Won", "Lost").with_columns(Date=pl.Series(days))
    for frame in (lost, listed("Cancel", None, "cancelled")):
        audit, asked = settle(frame)
        assert not asked
        taken = segkit.clean_data(audit)
        assert taken.ledger.reasons() == {"cancelled": sum(ODD)}
        assert round(100 * taken.orders["amount"].sum()) == SOLD


def test_without_or_with_tax_is_assumed_where_three_other_questions_are_asked():
    frame = listed("Status", "Paid", "Qxa").with_columns(
        (pl.col("Total").cast(float) * 1.2).round(2).alias("Total incl. VAT")
    )
    given = {"orders": {"columns": {"status": "Status"}, "values": {"status": {"Qxa": "sale"}},
                        "order_grain": "day"}}  # fmt: skip
    (asked,) = [i for i in segkit.audit_data(frame, given).findings if i.kind == "tax"]
    assert asked.severity == "block"
    given["orders"]["columns"]["customer_id"] = "Member card"
    audit = segkit.audit_data(frame, given)
    (told,) = [i for i in audit.findings if i.kind == "tax"]
    assert told.severity == "warn"
    assert "The first is assumed" in told.finding
    assert not audit.blocked
    assert segkit.clean_data(frame, given).orders.height == N


def test_a_number_of_every_person_is_offered_where_addresses_are_not_on_all_rows():
    email = [None if n % 5 == 0 else f"p{n // 3}@x.example" for n in range(N)]
    frame = listed("Note", "a", "b").drop("Member card").with_columns(
        pl.Series("Correo electrónico", email),
        pl.Series("Documento de identidad", [f"{6136254 + n // 3}D" for n in range(N)]),
        pl.Series("Nombre del huésped", [f"Ana {'ABCDEFGHIJ'[n // 3 % 10]}" for n in range(N)]),
    )  # fmt: skip
    audit, asked = settle(frame)
    assert len(asked) == 1
    assert audit.mapping.tables["orders"].columns["customer_id"] == "Documento de identidad"
    assert cents_of(audit) == sum(CENTS)


def test_the_words_of_two_columns_of_states_are_one_question():
    words = {
        "Order status": ("Qxa", "cancelled", "complete"),
        "Payment status": ("Qxb", "unpaid", "paid"),
    }
    frame = listed("Note", "a", "b").with_columns(
        pl.Series(header, [asked if n % 9 == 0 else out if ODD[n] else sale for n in range(N)])
        for header, (asked, out, sale) in words.items()
    )
    (asked,) = [i for i in segkit.audit_data(frame).findings if i.severity == "block"]
    assert "'Qxa'" in asked.finding
    assert "'Qxb'" in asked.finding
    assert len(offered_answers(asked.answer)[0]) == 2


def test_a_worth_of_products_that_adds_up_to_orders_with_the_quantity_is_a_price():
    rows = [
        {"Pedido": f"R{n}", "E-mail": f"p{n // 3}@x.example", "Data": DAYS[n],
         "Subtotal": None if line else euros(2 * CENTS[n] + 900),
         "Valor do Produto": euros(CENTS[n] if line else 900), "Quantidade": "2" if line else "1"}
        for n in range(N)
        for line in (False, True)
    ]  # fmt: skip
    audit, asked = settle(pl.DataFrame(rows))
    assert audit.mapping.tables["orders"].columns["unit_price"] == "Valor do Produto"
    assert len(asked) <= 1
    assert cents_of(audit) == 2 * sum(CENTS) + 900 * N


def test_cards_whose_zeros_a_spreadsheet_took_off_are_joined_by_what_stands_beside():
    cards = ["0042" if n < 3 else "42" if n < 6 else f"1{n // 3:03}" for n in range(N)]
    frame = listed("Note", "a", "b").with_columns(pl.Series("Member card", cards))
    for names, joined in (
        (None, False),
        ([f"Ann {'ABCDEFGHIJKLMNOPQRST'[max(n // 3, 1)]}" for n in range(N)], True),
        ([f"Ann {'ABCDEFGHIJKLMNOPQRST'[n // 3]}" for n in range(N)], False),
    ):
        beside = frame if names is None else frame.with_columns(pl.Series("Buyer name", names))
        (told,) = [f for f in segkit.audit_data(beside).findings if "only in zeros" in f.finding]
        assert told.finding.startswith("2 customer ids differ from another one only in zeros")
        assert told.severity == "warn"
        assert ("read as one, since 1 of 1 such numbers have one" in told.finding) == joined
        people = segkit.clean_data(beside).orders["customer_id"]
        assert people.n_unique() == len(set(cards)) - joined
        answer = {"leading_zeros": "apart" if joined else "join"}
        assert f'leading_zeros = "{answer["leading_zeros"]}"' in told.answer
        answered = segkit.clean_data(beside, answer).orders["customer_id"]
        assert answered.n_unique() == len(set(cards)) - (not joined)
    assert "42" in answered.to_list()


def test_the_order_number_told_by_values_stays_when_the_customer_is_answered():
    frame = pl.concat([listed("Note", "a", "b"), listed("Note", "a", "b")]).sort("Receipt")
    frame = frame.rename({"Receipt": "Qwx", "Member card": "Client"})
    own = {"customer_id": "Client", "order_time": "Date", "amount": "Total"}
    replies = [f"orders.columns.{role}={header}" for role, header in own.items()]
    for answers in ([], replies[:1], replies):  # all of them are no mapping
        audit = segkit.audit_data(frame, mapping_of(answers).over(Mapping()))
        assert audit.mapping.tables["orders"].columns["order_id"] == "Qwx"
    file = Mapping({"orders": TableMapping(own)})
    whole = mapping_of(["orders.columns.product_id=Note"]).over(file)
    assert "order_id" not in segkit.audit_data(frame, whole).mapping.tables["orders"].columns


@pytest.mark.parametrize(
    ("ways", "people", "country"),
    [
        (("+7 (961) 053-92-{:02}", "8961053 92{:02}", "+796105392{:02}"), 10, "RU"),
        (("+47 912 34 5{:02}", "0047912345{:02}", "47.912.345{:02}"), 10, "NO"),
        (("+47 912 34 5{:02}", "0047-912-34-5{:02}", "(0047) 912345{:02}"), 10, None),
        (("+47 912 34 5{:02}", "+46 912 34 5{:02}", "912345{:02}"), 30, None),
    ],
)
def test_telephone_numbers_in_several_spellings_are_one_where_their_country_is_known(
    ways, people, country
):
    phones = [ways[n % 3].format(n // 6) for n in range(N)]
    names = [f"Ann {'ABCDEFGHIJ'[n // 6]}" for n in range(N)]
    frame = listed("Note", "a", "b").drop("Member card")
    frame = frame.with_columns(pl.Series("Phone", phones), pl.Series("Buyer name", names))
    frame = pl.concat([frame, frame[-1:].with_columns(Phone=pl.lit("+7 (000) 000-00-00"))])
    given = {"orders": {"columns": {"customer_id": "Phone"}}}
    audit = segkit.audit_data(frame, given)
    assert audit.mapping.options.get("phone_country") == country
    assert segkit.clean_data(audit).orders["customer_id"].n_unique() == people
    text = "10 telephone numbers in 'Phone', in 30 spellings, were read as one each"
    assert any(text in f.finding for f in audit.findings) == (people == 10)
    asked = [f for f in audit.findings if "writes 10 telephone numbers in 30 ways" in f.finding]
    assert [(f.severity, '"Buyer name"' in f.answer) for f in asked] == [("warn", True)] * (
        people == 30
    )
    home = segkit.audit_data(frame.with_columns(Country=pl.lit("Norge")), given).mapping
    assert home.options.get("phone_country") == (country or ("NO" if people == 30 else None))
    erased = segkit.clean_data(frame, given, erase=[phones[1]])
    assert erased.orders["customer_id"].n_unique() == people - 1


@pytest.mark.parametrize("beside", ["Phone", "Customer name"])
@pytest.mark.parametrize("own", ["orders@me.example", "No-Email@me.example"])
def test_the_shops_own_address_on_orders_of_many_is_asked_about(beside, own):
    email = [own if n % 6 == 0 else f"p{n // 3}@x.example" for n in range(N)]
    persons = {"Phone": "03055512", "Customer name": "Ann Smith "}[beside]
    frame = (
        listed("Note", "a", "b")
        .drop("Member card")
        .with_columns(
            pl.Series("Email", email),
            pl.Series(beside, [f"{persons}{n // 3:03}" for n in range(N)]),
        )
    )
    given = {"orders": {"columns": {"customer_id": "Email"}}}
    audit = segkit.audit_data(frame, given)
    asked = [f for f in audit.findings if "One value of 'Email' stands beside 10" in f.finding]
    assert [f.severity for f in asked] == ["block"] * (own == "orders@me.example")
    *by_phone, nobody, _ = offered_answers(asked[0].answer) if asked else [[], []]
    email = ["orders.columns.customer_id=Email"]
    taken = segkit.clean_data(frame, mapping_of([*email, *nobody]))
    assert own not in taken.orders["customer_id"]
    assert taken.ledger.reasons() == {"missing_customer_id": 10}
    assert len(by_phone) == bool(asked and beside == "Phone")
    for answers in by_phone:  # whoever said before that the address is nobody's
        for before in (email, [*email, *nobody]):
            taken = segkit.clean_data(frame, mapping_of([*before, *answers]))
            assert taken.orders["customer_id"].n_unique() == N // 3
            assert not taken.ledger.reasons()


def test_lines_without_their_order_go_on_with_it_and_money_is_no_customer():
    lines = [{"Mã đơn hàng": f"SON{n}", "Ngày tạo": DAYS[n], "Mã khách hàng": f"C{n // 3}",
              "Khách phải trả": 1000.0 * CENTS[n], "Thành tiền": 400.0 * CENTS[n],
              "Số lượng": 1 + n % 4, "Đơn giá": 400.0 * CENTS[n] / (1 + n % 4)}
             for n in range(N)]  # fmt: skip
    below = [{"Thành tiền": 600.0 * cents} for cents in CENTS]
    rows = [row for pair in zip(lines, below, strict=True) for row in pair]
    frame = pl.DataFrame([*rows, {"Mã đơn hàng": "Tổng cộng", "Thành tiền": 1.0}])
    for blanks in ([], [dict.fromkeys(frame.columns)] * 9):
        audit, asked = settle(pl.concat([frame, pl.DataFrame(blanks, schema=frame.schema)]))
        assert not asked
        assert audit.mapping.tables["orders"].columns["customer_id"] == "Mã khách hàng"
        assert segkit.clean_data(audit).orders["order_id"].n_unique() == N
        assert cents_of(audit) == 100_000 * sum(CENTS)


@pytest.mark.parametrize(
    ("sign", "beside", "code"),
    [
        ("$", "Ballarat VIC 3350", "AUD"),
        ("$", "Ottawa K1A 0B1", "CAD"),
        ("$", "Austin, TX 78701", "USD"),
        ("$", "+64 21 123 456", "NZD"),
        ("kr", "ann@handel.dk", "DKK"),
        ("$", "Springfield", None),
    ],
)
def test_a_sign_of_several_currencies_is_of_the_country_that_addresses_tell(sign, beside, code):
    frame = listed("Note", "a", "a", Place=[beside if n % 3 else None for n in range(N)])
    audit = segkit.audit_data(frame.with_columns(Total=sign + pl.col("Total")))
    assert audit.mapping.tables["orders"].constants.get("currency") == code
    said = "is of several currencies" in " ".join(item.finding for item in audit.findings)
    assert said == (code is None)


def test_words_for_currencies_are_read_as_their_codes():
    audit = segkit.audit_data(listed("Para Birimi", "TL", "USD"))
    assert '"TRY"' not in questions(listed("Para Birimi", "TL", "TL"))
    assert audit.mapping.tables["orders"].values["currency"] == {"TL": "TRY"}
    assert "TRY (54)" in next(
        item.finding for item in audit.findings if "currencies" in item.finding
    )


def test_the_day_of_payment_is_asked_with_the_words_that_are_not_known():
    paid = ["" if n % 7 == 2 else DAYS[n] for n in range(N)]
    frame = listed("Status", "Opłacona", "Wystawiona", **{"Data płatności": paid})
    asked = [item.column for item in segkit.audit_data(frame).findings if item.severity == "block"]
    assert sorted(asked) == ["payment_status", "status"]
