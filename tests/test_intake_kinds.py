"""Lists that hold more than orders: asked about or left out, and right after the answer.

The rows are made up here, and their truth is added up from the rows themselves.
"""

from __future__ import annotations

from datetime import date, timedelta

import polars as pl
import pytest

import segkit
from segkit.errors import SourceError
from segkit.intake.answers import mapping_of, offered_answers

DAY = date(2024, 1, 3)
# Customer, number, day and money of sixty orders: every customer three times.
ORDERS = [
    (f"u{n % 20}", n + 1, DAY + timedelta(days=(7 * n) % 300), round(10 + (n * 37 % 91) + 0.37, 2))
    for n in range(60)
]
EVENTS = ("page_view", "add_to_cart", "purchase", "view_item")
PAPERS = {"Angebot": 0, "Auftrag": 1, "Rechnung": 2}


def _papers(words: dict[str, int]) -> pl.DataFrame:
    return pl.DataFrame(
        [
            {"Belegart": word, "Belegnummer": f"{word[:2]}{n:04}", "Belegdatum": str(day),
             "Kundennummer": f"D{c}", "Gesamt netto": cash}
            for c, n, day, cash in ORDERS
            for word, lag in words.items()
            if lag < 2 or n % 5
        ]
    )  # fmt: skip


def _carts() -> pl.DataFrame:
    return pl.DataFrame(
        [
            {"cart_id": n, "email": f"{c}@x.example", "abandoned_at": str(day), "cart_total": cash,
             "recovered": "no" if n % 4 else "yes"}
            for c, n, day, cash in ORDERS
        ]
    )  # fmt: skip


def _figures(frame: pl.DataFrame, mapping: dict | None = None) -> tuple[int, int, float]:
    lines = segkit.clean_data(frame, mapping).orders
    worth = round(float(lines["amount"].sum()), 2)
    return lines["customer_id"].n_unique(), lines["order_id"].n_unique(), worth


def _truth(rows: list) -> tuple[int, int, float]:
    return len({r[0] for r in rows}), len(rows), round(sum(r[3] for r in rows), 2)


def _question(frame: pl.DataFrame, mapping: dict | None = None) -> str:
    """Return the questions of an audit that must be blocked, with their answers."""
    audit = segkit.audit_data(frame, mapping)
    assert audit.blocked, audit.text
    return " ".join(f"{f.finding} {f.answer}" for f in audit.findings if f.severity == "block")


EVENT_ROWS = [
    {
        "timestamp": f"{day}T14:03:00",
        "user_id": c,
        "event_name": EVENTS[(n + n // 20) % 4],
        "value": cash,
    }
    for c, n, day, cash in ORDERS
]
BOUGHT = [row for row in ORDERS if EVENTS[(row[1] + row[1] // 20) % 4] == "purchase"]
OTHERS = {word: "other" for word in EVENTS if word != "purchase"}
ASKED = {
    "events of users": (
        pl.DataFrame(EVENT_ROWS),
        "only the rows with 'purchase' orders?",
        {"columns": {"row_kind": "event_name"}, "values": {"row_kind": OTHERS}},
        BOUGHT,
    ),
    "events of visitors": (
        pl.DataFrame(EVENT_ROWS).rename({"user_id": "visitor_id"}),
        "only the rows with 'purchase' orders?",
        {
            "columns": {"row_kind": "event_name", "customer_id": "visitor_id"},
            "values": {"row_kind": OTHERS},
        },
        BOUGHT,
    ),
    "quotes, orders and invoices": (
        _papers(PAPERS),
        "Does only 'Rechnung' count?",
        {
            "columns": {"row_kind": "Belegart"},
            "values": {"row_kind": {"Angebot": "other", "Auftrag": "other"}},
        },
        [row for row in ORDERS if row[1] % 5],
    ),
    "abandoned carts": (
        _carts(),
        "carts that were left behind ('abandoned_at', 'recovered')",
        {
            "columns": {"status": "recovered"},
            "values": {"status": {"yes": "sale", "no": "cancelled"}},
        },
        [row for row in ORDERS if not row[1] % 4],
    ),
}


@pytest.mark.parametrize("name", ASKED)
def test_rows_that_are_no_orders_are_asked_about_and_right_after_the_answer(name: str) -> None:
    frame, words, answer, truth = ASKED[name]
    assert words in _question(frame)
    assert _figures(frame, {"orders": answer}) == _truth(truth)


def _paid(**more: object) -> pl.DataFrame:
    """Return the orders as a processor of payments lists them."""
    rows = [
        {"Transaction ID": f"T{n:04}", "Date": f"{day} 14:03:00", "Total": cash,
         "From Email Address": f"{c}@x.example"}
        for c, n, day, cash in ORDERS
    ]  # fmt: skip
    return pl.DataFrame(rows).with_columns(**more)


def test_the_shop_itself_is_asked_about_as_the_customer() -> None:
    shop = pl.when(pl.int_range(pl.len()) < 55).then(pl.lit("shop@me.example"))
    paid = _paid(**{"Account Email": shop.otherwise(pl.col("From Email Address"))})
    mapping = {"orders": {"columns": {"customer_id": "Account Email"}}}
    assert not segkit.audit_data(paid, mapping).blocked
    told = _question(paid)
    assert "From Email Address" in told
    received = paid.rename({"Account Email": "Receiver Email"})
    columns = segkit.audit_data(received).mapping.tables["orders"].columns
    assert columns["customer_id"] == "From Email Address"


def test_what_the_shop_itself_pays_is_no_return() -> None:
    place = pl.int_range(pl.len())
    bill, back = place % 10 == 7, place % 10 == 3
    cash = pl.when(bill | back).then(-pl.col("Total")).otherwise(pl.col("Total"))
    kinds = pl.when(bill).then(pl.lit("General Payment")).when(back).then(pl.lit("Payment Refund"))
    paid = _paid().with_columns(Total=cash, Type=kinds.otherwise(pl.lit("Website Payment")))
    audit = segkit.audit_data(paid)
    (asked,) = [item for item in audit.findings if item.severity == "block"]
    (answer, *_) = offered_answers(asked.answer)
    assert answer == [
        "orders.columns.row_kind=Type",
        "orders.values.row_kind.'General Payment'=other",
    ]
    kept = paid.filter(pl.col("Type") != "General Payment")["Total"].sum()
    taken = segkit.clean_data(paid, mapping_of(answer))
    assert taken.orders["amount"].sum() == pytest.approx(kept)


def test_kinds_of_tickets_are_what_is_sold_and_credits_are_returns() -> None:
    kinds = pl.Series(["Lote promocional", "Inteira", "Meia"] * 20)
    assert not segkit.audit_data(_paid(**{"Tipo de ingresso": kinds})).blocked
    is_credit = pl.int_range(pl.len()) % 10 == 7
    bills = _paid(type=pl.when(is_credit).then(pl.lit("credit")).otherwise(pl.lit("charge")),
                  state=pl.when(is_credit).then(pl.lit("closed")).otherwise(pl.lit("paid")),
                  Total=pl.when(is_credit).then(-pl.col("Total")).otherwise("Total"))  # fmt: skip
    (asked,) = [item for item in segkit.audit_data(bills).findings if item.severity == "block"]
    (answer, *_) = offered_answers(asked.answer)
    assert answer == ["orders.values.status.closed=refunded"]
    taken = segkit.clean_data(bills, mapping_of(answer))
    assert taken.orders["amount"].sum() == pytest.approx(bills["Total"].sum())


def test_the_account_of_counter_sales_is_asked_about_with_its_id() -> None:
    counter, short = pl.int_range(pl.len()) % 12 == 5, pl.col("From Email Address").str.head(3)
    paid = _paid(
        Code=pl.when(counter).then(pl.lit("CL0")).otherwise(short),
        Nom=pl.when(counter).then(pl.lit("COMPTOIR")).otherwise("From Email Address"),
    ).rename({"Code": "CodeClient"}).drop("From Email Address")  # fmt: skip
    (asked,) = [f for f in segkit.audit_data(paid).findings if "'COMPTOIR'" in f.finding]
    assert offered_answers(asked.answer)[0] == ["orders.no_customer=['CodeClient = CL0']"]
    taken = segkit.clean_data(paid, mapping_of(offered_answers(asked.answer)[0]))
    assert taken.ledger.reasons() == {"missing_customer_id": 5}
    # The answer holds, too, where another one takes another customer; a bare id does not.
    both = paid.with_columns(Phone="Nom")
    who = "orders.columns.customer_id=Phone"
    for account, reasons in (
        ("CodeClient = CL0", {"missing_customer_id": 5}),
        ("CodeClient != CL0", {}),
        ("CL0", {}),
    ):
        told = mapping_of([who, f"orders.no_customer=['{account}']"])
        assert segkit.clean_data(both, told).ledger.reasons() == reasons
    (void,) = [f for f in segkit.audit_data(both, told).findings if "no effect" in f.finding]
    assert "'CodeClient', customers in 'Phone'" in void.finding
    for header, word in (
        ("Email", "test@example.com"),
        ("Nom", "测试用户"),
        ("Nom", "Test Testsson"),
    ):
        tried = paid.rename({"Nom": header}).with_columns(pl.col(header).replace("COMPTOIR", word))
        assert f"{word!r} in {header!r}: test orders?" in _question(tried)
    till = paid.with_columns(pl.col("CodeClient").replace("CL0", "shop@x.example"))
    assert "'COMPTOIR'" in _question(till)
    answered = mapping_of(["orders.columns.customer_id=CodeClient"])  # asked all the same
    assert "'COMPTOIR'" in _question(paid, answered)
    tills = paid.with_columns(
        CodeClient=pl.when(counter).then(pl.format("CL{}", pl.int_range(pl.len()) % 24 // 12))
        .otherwise("CodeClient"),
        Nom=pl.col("Nom").replace("COMPTOIR", "Client comptoir (caisse 2)"),
    )  # fmt: skip
    (asked,) = [f for f in segkit.audit_data(tills).findings if "comptoir" in f.finding]
    assert asked.finding.startswith("2 customer ids have ")
    taken = segkit.clean_data(tills, mapping_of(offered_answers(asked.answer)[0]))
    assert taken.ledger.reasons() == {"missing_customer_id": 5}


def test_a_handful_of_staff_is_asked_about_as_the_customers() -> None:
    tills = pl.format("till{}@cafe.example", pl.int_range(pl.len()) % 3)
    frame = _paid(Email=tills).drop("From Email Address")
    assert "3 customers for 60 orders" in _question(frame)
    mapping = {"orders": {"columns": {"customer_id": "Email"}}}
    assert not segkit.audit_data(frame, mapping).blocked


@pytest.mark.parametrize(
    ("state", "reason"), [("pending", "unpaid 60"), ("cancelled", "cancelled 60")]
)
def test_a_file_without_an_order_left_is_never_usable(state: str, reason: str) -> None:
    frame = _paid(Status=pl.lit(state))
    audit = segkit.audit_data(frame)
    assert "60 of 60 rows" in _question(frame)
    assert reason in audit.text
    assert "can be used as mapped" not in audit.text


def test_nearly_all_rows_rejected_is_asked_about() -> None:
    first = pl.int_range(pl.len()) < 1
    frame = _paid(Status=pl.when(first).then(pl.lit("paid")).otherwise(pl.lit("pending")))
    assert "Nearly every row is rejected, 59 of 60 rows (unpaid 59)" in _question(frame)
    mostly = pl.when(pl.int_range(pl.len()) < 10).then(pl.lit("paid")).otherwise(pl.lit("pending"))
    assert not segkit.audit_data(_paid(Status=mostly)).blocked


@pytest.mark.parametrize("word", ["Subtotal {}/2024", "Total", "Summe", "合計", "Gesamt {}/2024"])
def test_dated_sums_are_no_orders(word: str) -> None:
    rows: list[dict[str, object]] = []
    for start in range(0, 60, 12):
        part = ORDERS[start : start + 12]
        rows += [
            {"Customer": f"Firm {c}", "Invoice": f"R{n}", "Date": str(d), "Amount": f"{x:.2f}"}
            for c, n, d, x in part
        ]
        total = f"{sum(row[3] for row in part):.2f}"
        name, day = word.format(start // 12 + 1), "2024-12-28"
        rows.append({"Customer": name, "Invoice": None, "Date": day, "Amount": total})
    total = f"{sum(row[3] for row in ORDERS):.2f}"
    rows.append({"Customer": "Grand total", "Invoice": None, "Date": "2024-12-29", "Amount": total})
    taken = segkit.clean_data(pl.DataFrame(rows))
    assert taken.ledger.reasons() == {"total_line": 6}
    assert taken.orders["customer_id"].n_unique() == 20
    assert round(float(taken.orders["amount"].sum()), 2) == _truth(ORDERS)[2]


def test_a_customer_named_total_keeps_dated_orders() -> None:
    named = pl.when(pl.col("client") == "u3").then(pl.lit("Total")).otherwise("client")
    rows = [{"client": c, "order": n, "date": str(d), "amount": x} for c, n, d, x in ORDERS]
    assert _figures(pl.DataFrame(rows).with_columns(client=named)) == _truth(ORDERS)


def test_a_refused_list_shows_no_counts() -> None:
    frame = pl.DataFrame(
        [{"Email": f"p{n}@x.example", "Orders": 2 + n % 5, "Total spent": 20.5 + n,
          "Last order date": "2024-05-01", "Created": "2022-05-01"} for n in range(30)]
    )  # fmt: skip
    assert "list of customers" in _question(frame)
    assert segkit.audit_data(frame).understood == ""


def test_documents_of_one_kind_and_kinds_of_sales_are_not_asked_about() -> None:
    words = pl.when(pl.int_range(pl.len()) % 2 == 0).then(pl.lit("Web order"))
    frame = _paid(Type=words.otherwise(pl.lit("Phone order")))
    assert not segkit.audit_data(frame).blocked
    email = "From Email Address"
    ways = pl.when(pl.int_range(pl.len()) % 2 == 0).then(pl.lit("Rechnung"))
    frame = _paid(Zahlungsart=ways.otherwise(pl.lit("PayPal"))).rename({email: "email"})
    assert not segkit.audit_data(frame).blocked


def test_credit_notes_of_positive_money_are_offered_as_given_back() -> None:
    words = {"Rechnung": 0, "Stornorechnung": 1}
    frame = _papers(words).filter(
        (pl.col("Belegart") == "Rechnung") | (pl.int_range(pl.len()) % 10 < 2)
    )
    for note in ("Stornorechnung", "NOTA DE CRÉDITO ELECTRÓNICA"):
        named = frame.with_columns(pl.col("Belegart").replace("Stornorechnung", note))
        assert f'"{note}" = "return"' in _question(named)


@pytest.mark.parametrize("is_beside", [False, True])
@pytest.mark.parametrize(
    ("bill", "invoice", "void"),
    [("Scontrino", "Fattura", "Annullo fattura"), ("Talão", "Fatura", "Anulação de talão"),
     ("Kassenbon", "Rechnung", "Storno Kassenbon")],
)  # fmt: skip
def test_voided_receipts_are_left_out_or_given_back_as_data_tell(bill, invoice, void, is_beside):
    gone = [(c, 100 + n, day, cash) for c, n, day, cash in ORDERS[::9]]
    sold = ORDERS if is_beside else [row for row in ORDERS if row not in ORDERS[::9]]
    words = [(bill, row) for row in sold[::2]] + [(invoice, row) for row in sold[1::2]]
    frame = pl.DataFrame(
        [{"Tipo documento": word, "Numero": n, "Data": str(day), "Email": f"{c}@x.example",
          "Totale": cash} for word, (c, n, day, cash) in [*words, *((void, row) for row in gone)]]
    )  # fmt: skip
    (asked,) = [f for f in segkit.audit_data(frame).findings if f.severity == "block"]
    first, second, last = map(mapping_of, offered_answers(asked.answer))
    both = [one.tables["orders"].values["row_kind"][void] for one in (first, second)]
    assert both == ["return", "other"][:: 1 if is_beside else -1]
    assert last.tables["orders"].options["not_states"] == ["Tipo documento"]
    back = sum(row[3] for row in gone) if is_beside else 0
    assert _figures(frame, first)[2] == round(sum(row[3] for row in sold) - back, 2)


def test_rows_that_name_the_sale_they_give_back_are_refunds_and_no_state() -> None:
    link = "Refunded transaction ID"
    sales = _paid(Zone=pl.lit("Europe/London")).with_columns(
        pl.lit(None, pl.String).alias(link), pl.col("Transaction ID").alias("Order ID")
    ).rename({"Zone": "Created timezone", "Date": "Created date"})  # fmt: skip
    back = sales.gather_every(10).with_columns(
        pl.col("Transaction ID").str.replace("T", "R"), pl.col("Transaction ID").alias(link),
        pl.col("Total") / 2,
    )  # fmt: skip
    frame, net = pl.concat([sales, back]), sales["Total"].sum() - back["Total"].sum()
    (asked,) = [f for f in segkit.audit_data(frame).findings if f.severity == "block"]
    assert asked.finding.startswith(repr(link))
    lines = segkit.clean_data(frame, mapping_of(offered_answers(asked.answer)[0])).orders
    assert lines["amount"].sum() == pytest.approx(net)
    assert lines["order_id"].n_unique() == len(ORDERS)


def test_a_status_question_offers_our_own_reading_first() -> None:
    kinds = pl.when(pl.int_range(pl.len()) % 6 == 0).then(pl.lit("Refund"))
    frame = _paid(Status=kinds.otherwise(pl.lit("Completed")))
    audit = segkit.audit_data(frame, {"orders": {"columns": {"status": "Status"}}})
    asked = [f.answer for f in audit.findings if f.severity == "block" and f.column == "status"]
    assert len(asked) == 1
    assert '"Refund" = "refunded"' in asked[0]


def test_numbered_texts_are_asked_about_by_their_words() -> None:
    """More than forty different texts: "Payout #55", "Fee 3/2024" on rows that name a customer."""
    rows = [
        {"customer_id": c, "date": str(day), "amount": cash, "Details": f"Order #{1000 + n}"}
        for c, n, day, cash in ORDERS
    ]
    rows += [
        {"customer_id": c, "date": str(day), "amount": 90.0, "Details": text}
        for c, n, day, _ in ORDERS[:25]
        for text in (f"Payout #{n}", f"Fee {n}/2024")
    ]
    frame = pl.DataFrame(rows)
    asked = _question(frame)
    assert '"Fee" = "charge" and "Payout" = "other"' in asked
    answer = {
        "orders": {
            "columns": {"row_kind": "Details"},
            "values": {"row_kind": {"Fee": "charge", "Payout": "other"}},
        }
    }
    lines = segkit.clean_data(frame, answer).orders
    assert lines.height == 60
    assert round(lines["amount"].sum(), 2) == _truth(ORDERS)[2]


def test_names_above_their_rows_are_read_as_the_customers(tmp_path) -> None:
    lines = ["Our shop,,,,,", "Sales by Customer Detail,,,,,", ",,,,,", ",Date,Type,Num,Qty,Amount"]
    for who in sorted({c for c, *_ in ORDERS}):
        own = [row for row in ORDERS if row[0] == who]
        lines += [f'"{who}, Ann",,,,,']
        lines += [f",{day},Invoice,{n},1,{cash}" for _, n, day, cash in own]
        lines += [f'"Total for {who}, Ann",,,,{len(own)},"{sum(r[3] for r in own):,.2f}"']
    lines += [f'TOTAL,,,,60,"{_truth(ORDERS)[2]:,.2f}"']
    path = tmp_path / "report.csv"
    path.write_text("\n".join(lines), encoding="utf-8")
    assert _figures(path) == _truth(ORDERS)
    # Without a title that says whose the names are, it is asked, and the names are offered.
    path.write_text("\n".join(lines[3:]), encoding="utf-8")
    assert "customer_id" in _question(path)
    names = {"orders": {"columns": {"customer_id": "column 1"}}}
    assert _figures(path, names) == _truth(ORDERS)


MEANT = ("sale", "cancelled", "sale")  # S, X and F of VirtueMart


def test_codes_of_a_known_system_are_offered_as_it_means_them() -> None:
    frame = pl.DataFrame(
        [
            {"注文番号": n, "ステータス": "900" if n % 9 == 0 else "700", "注文日時": str(day),
             "合計金額": cash, "注文者メールアドレス": f"{c}@x.example"}
            for c, n, day, cash in ORDERS
        ]
    )  # fmt: skip
    assert '"700" = "sale", "900" = "cancelled"' in _question(frame)
    letters = {"ステータス": pl.col("注文番号").map_elements(lambda n: "SXF"[n % 3], pl.String)}
    asked = _question(frame.with_columns(**letters).rename({"ステータス": "order_status"}))
    assert all(f'"{one}" = "{so}"' in asked for one, so in zip("SXF", MEANT, strict=True))


def test_unknown_types_of_service_that_share_the_sales_are_no_kinds_of_rows():
    services = ("Zork", "Blip", "Quux")
    frame = pl.DataFrame(
        [
            {"Order": n, "Order type": services[n % 3], "Date": str(day), "Total": cash,
             "Email": f"{c}@x.example"}
            for c, n, day, cash in ORDERS
        ]
    )  # fmt: skip
    assert not segkit.audit_data(frame).blocked
    rare = frame.with_columns(
        pl.when(pl.col("Order") % 9 == 0).then(pl.lit("Zork")).otherwise(pl.lit("Blip"))
        .alias("Order type")
    )  # fmt: skip
    assert "kinds of rows" in " ".join(one.finding for one in segkit.audit_data(rare).findings)


LEDGER = ("Sales Invoice", "Sales Receipt", "Purchase", "Purchase Payment", "Credit note")
CODES = ("SI", "SR", "PI", "PP", "SC")


def _ledger(words) -> pl.DataFrame:
    """Every sale is invoiced and paid; one in ten is credited, and something is bought."""
    rows = []
    for c, n, day, cash in ORDERS:
        lines = [(words[0], c, cash), (words[1], c, cash)]
        lines += [(words[2], "paper", 7.5), (words[3], "paper", 7.5)] * (n % 3 == 0)
        lines += [(words[4], c, cash)] * (n % 10 == 0)
        rows += [{"Ref": f"R{n}", "Kind": word, "Account": who, "Date": str(day), "Amount": worth}
                 for word, who, worth in lines]  # fmt: skip
    return pl.DataFrame(rows)


LEDGER_COLUMNS = {
    "order_id": "Ref",
    "customer_id": "Account",
    "order_time": "Date",
    "amount": "Amount",
    "row_kind": "Kind",
}
CREDITED = round(sum(row[3] * (row[1] % 10 != 0) for row in ORDERS), 2)


@pytest.mark.parametrize("words", [LEDGER, CODES])
def test_receipts_and_purchases_of_a_ledger_are_no_sales(words) -> None:
    asked = _question(_ledger(words))
    assert "tells the rows of a ledger" in asked
    kinds = dict(zip(words, ("line", "other", "other", "other", "return"), strict=True))
    assert all(f'"{word}" = "{kind}"' in asked for word, kind in kinds.items())
    some = {"columns": LEDGER_COLUMNS, "values": {"row_kind": {words[4]: "return"}}}
    asked = _question(_ledger(words), {"orders": some})
    assert "that the mapping does not name" in asked
    assert all(f'"{word}" = "other"' in asked for word in words[1:4])
    whole = {"columns": LEDGER_COLUMNS, "values": {"row_kind": kinds}}
    lines = segkit.clean_data(_ledger(words), {"orders": whole}).orders
    assert round(float(lines["amount"].sum()), 2) == CREDITED
    assert "paper" not in lines["customer_id"]


def test_marks_of_debit_and_credit_are_asked_and_bookings_refused(tmp_path) -> None:
    rows = [{"Konto": f"D{c}", "Belegfeld": f"R{n}", "Belegdatum": str(day), "Umsatz": cash,
             "Soll/Haben-Kennzeichen": "H" if n % 10 == 0 else "S"}
            for c, n, day, cash in ORDERS]  # fmt: skip
    frame = pl.DataFrame(rows)
    assert '"S" = "line" and "H" = "return"' in _question(frame)
    is_out = pl.col("Soll/Haben-Kennzeichen") == "H"
    kinds = pl.when(is_out).then(pl.lit("Saque")).otherwise(pl.lit("Venda"))
    left_out = '"S" = "line" and "H" = "other"'
    assert left_out in _question(frame.with_columns(Vorgang=kinds))
    unnamed = frame.with_columns(Konto=pl.when(~is_out).then("Konto"))
    assert left_out in _question(unnamed, {"orders": {"columns": {"customer_id": "Konto"}}})
    bookings = frame.with_columns(Gegenkonto=pl.lit("8400"))
    assert "These are bookings" in _question(bookings)
    assert "cannot be used as orders" in segkit.audit_data(bookings).headline
    accounts = frame.with_columns(Soll=pl.lit("10001"), Haben=pl.lit("8400"))
    assert "'Soll' and 'Haben' are the two accounts" in _question(accounts)
    path = tmp_path / "EXTF_bookings.csv"
    path.write_text('"EXTF";700;21;"Buchungsstapel";13\n' + frame.write_csv(separator=";"))
    with pytest.raises(SourceError, match=r"DATEV file of bookings.*export the list of invoices"):
        segkit.audit_data(path)


@pytest.mark.parametrize("sign", [1, -1])
@pytest.mark.parametrize("link", ["Reference Transaction ID", "Ursprungsbeleg", "元の番号"])
def test_rows_that_name_the_sale_they_give_back_are_returns(link: str, sign: int) -> None:
    rows = [(f"{c}@x.example", f"T{n}", str(day), cash, "Settled Successfully", None)
            for c, n, day, cash in ORDERS]  # fmt: skip
    back = [(f"{c}@x.example", f"R{n}", str(day), sign * round(cash / (1 + n % 4), 2),
             "Refund Settled Successfully", f"T{n}")
            for c, n, day, cash in ORDERS[::6]]  # fmt: skip
    names = ["Email", "Transaction ID", "Submit Date", "Total Amount", "Transaction Status", link]
    frame = pl.DataFrame([*rows, *back], names, orient="row", infer_schema_length=None)
    worth = sum(row[3] for row in rows) - sum(abs(row[3]) for row in back)
    lines = segkit.clean_data(frame).orders
    assert round(float(lines["amount"].sum()), 2) == round(worth, 2)
    assert lines.filter(~pl.col("is_return"))["order_id"].n_unique() == 60


def test_a_credit_beside_captured_payments_is_offered_as_a_return() -> None:
    kinds = ("Credit", *["Authorization w/ Auto Capture"] * 5)
    rows = [(f"{c}@x.example", f"T{n}", str(day), cash, kinds[n % 6])
            for c, n, day, cash in ORDERS]  # fmt: skip
    names = ["Email", "Transaction ID", "Submit Date", "Total Amount", "Transaction Type"]
    frame = pl.DataFrame(rows, names, orient="row")
    asked = _question(frame)
    assert '"Credit" = "return"' in asked
    assert 'Capture" = "other"' not in asked
