"""Kinds of exports that an outsider's files showed to be read wrongly; truths added up here."""

from __future__ import annotations

import json
from datetime import date, timedelta

import polars as pl
import pytest

import segkit

DAY = date(2024, 1, 3)
# Customer, number, day and money of sixty orders: every customer three times.
ORDERS = [
    (f"u{n % 20}", n + 1, DAY + timedelta(days=(7 * n) % 300), round(10 + (n * 37 % 91) + 0.37, 2))
    for n in range(60)
]
WORTH = round(sum(row[3] for row in ORDERS), 2)
ALL = (20, 60, WORTH)


def _figures(source, mapping: dict | None = None) -> tuple[int, int, float]:
    lines = segkit.clean_data(source, mapping).orders
    return (
        lines["customer_id"].n_unique(),
        lines["order_id"].n_unique(),
        round(float(lines["amount"].sum()), 2),
    )


def _asked(source, mapping: dict | None = None) -> str:
    audit = segkit.audit_data(source, mapping)
    return " ".join(f"{f.finding} {f.answer}" for f in audit.findings if f.severity == "block")


def _lines(headers: list[str], **more: object) -> pl.DataFrame:
    """Make one line per order, with customer, number, day and money under these headers."""
    rows = [[f"{c}@x.example", n, str(day), cash] for c, n, day, cash in ORDERS]
    frame = pl.DataFrame(rows, schema=headers, orient="row")
    return frame.with_columns(**{k: pl.lit(v) for k, v in more.items()})


@pytest.mark.parametrize(
    ("headers", "paid", "lost"),
    [
        (["البريد الإلكتروني", "رقم الطلب", "تاريخ الطلب", "إجمالي الطلب"], "تم التوصيل", "ملغي"),
        (["Email Pembeli", "No. Pesanan", "Waktu Pesanan Dibuat", "Total Pembayaran"], "Selesai",
         "Batal"),
        (["Kundens e-post", "Ordrenummer", "Ordredato", "Belopp"], "Levererad", "Annullerad"),
        (["Email", "Order number", "Order date", "Total"], "paid", "charged back"),
    ],
)  # fmt: skip
def test_headers_and_states_of_more_languages(headers: list[str], paid: str, lost: str) -> None:
    state = {"البريد الإلكتروني": "حالة الطلب", "Email Pembeli": "Status Pesanan"}
    frame = _lines(headers)
    words = [lost if n % 6 == 0 else paid for n in range(60)]
    frame = frame.with_columns(pl.Series(state.get(headers[0], "Status"), words))
    kept = [row for n, row in enumerate(ORDERS) if n % 6]
    assert not _asked(frame)
    assert _figures(frame) == (20, 50, round(sum(row[3] for row in kept), 2))


def test_russian_documents_ask_about_returns_and_what_is_not_posted() -> None:
    frame = _lines(["Контрагент", "Номер", "Дата", "Сумма"]).with_columns(
        pl.Series("Вид документа", ["Возврат товаров" if n % 9 == 0 else "Реализация товаров"
                                    for n in range(60)]),
        pl.Series("Проведен", ["Нет" if n % 7 == 0 else "Да" for n in range(60)]),
    )  # fmt: skip
    asked = _asked(frame)
    assert '"Возврат товаров" = "return"' in asked
    assert '"Да" = "sale", "Нет" = "unpaid"' in asked


def test_eastern_figures_are_numbers(tmp_path) -> None:
    figures = str.maketrans("0123456789.", "٠١٢٣٤٥٦٧٨٩٫")
    lines = ["email,order_id,order_date,total"]
    lines += [f"{c}@x.org,{n},{day},{cash:.2f} ر.س".replace(f"{cash:.2f}", f"{cash:.2f}".translate(
        figures)) for c, n, day, cash in ORDERS]  # fmt: skip
    path = tmp_path / "orders.csv"
    path.write_text("\n".join(lines), encoding="utf-8")
    assert _figures(path) == ALL


def test_lines_below_the_first_of_an_order_belong_to_it() -> None:
    rows = []
    for c, n, day, cash in ORDERS:
        rows.append([f"S{n:05}", c, str(day), "Done", "cup", f"{cash}"])
        rows.append([None, None, None, None, "pen", "1.00"])
    names = ["Order Reference", "Customer", "Order Date", "Status", "Line/Product", "Line/Amount"]
    frame = pl.DataFrame(rows, schema=names, orient="row")
    assert _figures(frame) == (20, 60, round(WORTH + 60, 2))


def test_the_answer_of_a_web_service_is_read(tmp_path) -> None:
    records = [
        {"id": str(n), "attributes": {"order_number": n, "email": f"{c}@x.org", "total": 100 * cash,
                                      "created_at": str(day), "total_formatted": f"${cash:.2f}",
                                      "test_mode": n % 10 == 0}}
        for c, n, day, cash in ORDERS
    ]  # fmt: skip
    for record in records:
        record["attributes"]["total"] = round(record["attributes"]["total"])
    path = tmp_path / "orders.json"
    path.write_text(json.dumps({"meta": {"page": 1}, "data": records}, indent=1), encoding="utf-8")
    answer = {"orders": {"columns": {"amount": "attributes.total"}}}
    assert "'attributes.test_mode' is not used" in _asked(path, answer)  # no, and yes
    answer["orders"]["not_states"] = ["attributes.test_mode"]
    assert _figures(path, answer) == ALL  # in hundredths, as the column beside it shows


def test_titles_with_commas_do_not_hide_the_delimiter(tmp_path) -> None:
    lines = ["Sales (goods, services, fees)", "Period: 2024", ""]
    lines += ["Customer;Order number;Order date;Total;Place"]
    lines += [f"{c};{n};{day};{cash:.2f};here, there" for c, n, day, cash in ORDERS]
    path = tmp_path / "orders.csv"
    path.write_text("\n".join(lines), encoding="utf-8")
    assert _figures(path) == ALL


def test_rows_of_two_exports_that_overlap_are_asked_about() -> None:
    frame = _lines(["Email", "Payment ID", "Date", "Amount"])
    twice = pl.concat([frame, frame.head(7)])
    assert '[orders] duplicates = "drop"' in _asked(twice)
    assert _figures(twice, {"orders": {"duplicates": "drop"}}) == ALL
    sold_twice = twice.drop("Payment ID")  # without a number of its own a row can be sold twice
    assert "twice in the file" not in _asked(sold_twice)


def test_the_address_of_every_row_goes_before_an_account_of_the_same_people_on_some() -> None:
    frame = _lines(["Consumer name", "ID", "Date", "Amount"])
    account = pl.when(pl.int_range(60) % 3 > 0).then("Consumer name")
    assert _figures(frame.with_columns(account.alias("Customer account"))) == ALL
    other = pl.when(pl.int_range(60) % 3 > 0).then(pl.col("ID").cast(pl.String).str.head(1))
    frame = frame.with_columns(("A" + other).alias("Customer account"))
    assert '[orders.columns] customer_id = "Consumer name"' in _asked(frame)


def test_the_time_and_the_address_of_an_order_are_one_on_its_lines() -> None:
    rows = [
        [f"O{n}", str(day), str(day + timedelta(days=k)), f"{c}@x.org", f"guest{n}{k}@x.org", cash]
        for c, n, day, cash in ORDERS
        for k in range(2)
    ]
    names = ["Order number", "Close date", "Created date", "Buyer email", "Email", "Amount"]
    frame = pl.DataFrame(rows, schema=names, orient="row")
    part = segkit.audit_data(frame).mapping.tables["orders"].columns
    assert (part["order_time"], part["customer_id"]) == ("Close date", "Buyer email")
    assert part["order_id"] == "Order number"


def test_sums_of_orders_are_asked_about_where_kinds_of_rows_are_told_already() -> None:
    rows = []
    for c, n, day, cash in ORDERS:
        paper = "Invoice" if n % 3 else "Sales Order"
        base = [c, f"{paper[0]}{n}", str(day), paper]
        rows += [[*base, "*", cash], [*base, "", round(cash - 4, 2)], [*base, "", 4.0]]
    names = ["Customer", "Document Number", "Date", "Type", "Main Line", "Amount"]
    frame = pl.DataFrame(rows, schema=names, orient="row").with_columns(
        Item=pl.when(pl.col("Main Line") == "").then(pl.lit("cup"))
    )
    kinds = {"columns": {"row_kind": "Type"}, "values": {"row_kind": {"Sales Order": "other"}}}
    assert '"" = "cancelled"' in _asked(frame, {"orders": kinds})
    kinds["columns"]["payment_status"] = "Item"
    kinds["values"]["payment_status"] = {"*": "sale", "": "cancelled"}
    sold = [row for row in ORDERS if row[1] % 3]
    _, orders, worth = _figures(frame, {"orders": kinds})
    assert (orders, worth) == (len(sold), round(sum(row[3] for row in sold), 2))


def test_no_among_several_words_for_cancelled_counts_as_a_sale() -> None:
    frame = _lines(["Customer", "DocNum", "DocDate", "DocTotal"]).with_columns(
        CANCELED=pl.Series(["Y" if n % 8 == 0 else "C" if n % 8 == 1 else "N" for n in range(60)])
    )
    assert '"*" = "cancelled", "N" = "sale"' in _asked(frame)


def test_thousands_are_offered_before_decimals_of_three_figures() -> None:
    frame = _lines(["Email", "Order number", "Order date", "Total"]).with_columns(
        Total=pl.Series([f"{n + 1},000" for n in range(60)])
    )
    assert 'decimal = "."; or [orders] decimal = ","' in _asked(frame)


def test_events_alone_are_no_orders() -> None:
    events = pl.DataFrame(
        {"event_name": ["page_view"] * 3, "event_timestamp": [1_704_089_160_000_000] * 3,
         "user_pseudo_id": ["1.2"] * 3, "platform": ["WEB"] * 3}
    )  # fmt: skip
    assert "They hold no orders" in segkit.audit_data(events).text
