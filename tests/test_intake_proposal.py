"""The proposal weighs names, values and fit; what looks wrong as a whole is asked."""

from datetime import datetime, timedelta

import polars as pl
import pytest

import segkit
from segkit.errors import DataError, MappingError
from segkit.intake.answers import mapping_of, offered_answers
from segkit.intake.columns import Columns
from segkit.intake.headers import concepts, is_address_part, without_prefix
from segkit.intake.mapping import Mapping
from segkit.intake.proposal import propose_orders
from segkit.intake.reshape import fill_orders
from segkit.intake.roles import name_score
from tests.export_files import FOLDER

DAYS = [f"2024-{1 + i % 12:02}-{1 + i % 28:02}" for i in range(400)]


def proposed(**columns):
    return propose_orders(Columns("orders", pl.DataFrame(columns), Mapping()))[0]


def asked(frame, mapping=None):
    """Return the questions of an audit, and check that the intake refuses as well."""
    audit = segkit.audit_data(frame, mapping)
    blocks = [item for item in audit.findings if item.severity == "block"]
    if blocks:
        with pytest.raises(DataError):
            segkit.clean_data(frame, mapping)
    return blocks


def shop(customers=30, orders=4, lines=2):
    """Give plain order lines with a customer, an order, two products and whole cents."""
    n = customers * orders * lines
    order = [i // lines for i in range(n)]
    return pl.DataFrame(
        {
            "Order No": [f"A{o:05}" for o in order],
            "Client": [f"K{o % customers:03}" for o in order],
            "Order date": [DAYS[o % 400] for o in order],
            "SKU": [f"P{(i * 7) % 40:02}" for i in range(n)],
            "Amount": [round(3.5 + (i * 37 % 911) / 100, 2) for i in range(n)],
        }
    )


def test_yes_and_no_of_any_language_are_read_as_a_status():
    paid = proposed(**shop().to_dict(as_series=False), Paid=["tak", "tak", "nie"] * 80)
    assert paid.values["status"] == {"nie": "unpaid", "tak": "sale"}


def test_a_constant_quantity_gives_each_line_its_money():
    goods = pl.when(pl.int_range(pl.len()) < 200).then(pl.lit("P1")).otherwise(pl.lit("POSTAGE"))
    lines = shop().rename({"Amount": "Unit price"}).with_columns(SKU=goods)
    mapping = Mapping.from_dict({"orders": {"constants": {"quantity": 1}}})
    [postage] = [f for f in segkit.audit_data(lines, mapping).findings if "postage" in f.finding]
    assert f"40 lines, {lines['Unit price'][200:].sum():,.0f}" in postage.finding


# The four exports, without their presets ------------------------------------------------------


def decimals(name):
    return pl.col(name).cast(pl.Decimal(18, 2)).abs().fill_null(0)


@pytest.mark.parametrize(
    ("file", "who", "order", "total", "refund", "sold"),
    [
        ("shopify_orders.csv", "Email", "Name", "Total", "Refunded Amount",
         pl.col("Financial Status").is_in(["paid", "partially_refunded"])),
        ("woocommerce_orders.csv", "billing_email", "order_id", "order_total", "refunded_total",
         pl.col("status").is_in(["completed", "processing"])),
    ],
)  # fmt: skip
def test_exports_are_right_by_the_proposal_alone(file, who, order, total, refund, sold):
    raw = pl.read_csv(FOLDER / file, infer_schema=False).filter(sold)
    taken = segkit.clean_data(FOLDER / file, preset="none")
    sales = taken.orders.filter(~pl.col("is_return"))
    assert taken.orders["customer_id"].n_unique() == raw[who].str.to_lowercase().n_unique()
    assert sales["order_id"].n_unique() == raw[order].n_unique()
    net = raw.select((decimals(total) - decimals(refund)).sum()).item()
    assert sum(part.money for part in taken.ledger.parts) == net


def test_stripe_without_its_preset_asks_for_rates_and_takes_the_address():
    blocks = asked(FOLDER / "stripe_payments.csv", {"preset": "none"})
    assert [item.column for item in blocks] == ["currency"]
    part = segkit.audit_data(FOLDER / "stripe_payments.csv", preset="none").mapping.tables["orders"]
    assert part.columns["customer_id"] == "Customer Email"
    assert part.columns["refund"] == "Amount Refunded"


def test_the_audit_says_in_three_lines_what_it_understood():
    lines = segkit.audit_data(FOLDER / "shopify_orders.csv", preset="none").understood.split("\n")
    assert lines[0].startswith("Read customers by 'Email', orders by 'Name', time by 'Created at'")
    assert lines[0].endswith("money is 'Total' of the whole order less 'Refunded Amount'.")
    assert lines[1] == "12 people, 31 orders, 6,555 EUR net of refunds, 2023-01 to 2024-11."
    assert lines[2] == (
        "Rows left out: cancelled 13 ('voided' 1,124), refunded 5 ('refunded' 276), unpaid 16 "
        "('pending' 1,334). Counted: 'paid' 54, 'partially_refunded' 18."
    )
    back = [9.5, 9.5, -3.5, 8.5]
    sales = {"Customer ID": ["a", "a", "b", "c"], "Invoice no": ["1", "2", "3", "4"]}
    sales |= {"Date": ["2024-05-01", "2024-05-02", "2024-05-03", "2024-06-01"], "Total": back}
    understood = segkit.audit_data(pl.DataFrame(sales)).understood
    assert "\n2 people (1 more person only returned), 3 orders, 24 (no currency s" in understood
    told = pl.concat([pl.DataFrame(sales)] * 10).with_columns(
        pl.Series("Invoice no", range(40)),
        pl.Series("Cancelled at", [None, "2024-05-03"] + [None] * 38),
        pl.Series("By", ["Ann Lee", *["paid"] * 34, *["void"] * 5]),
    )
    part = {"columns": {"cancelled_at": "Cancelled at", "status": "By"}, "amount_of": "line"}
    part |= {"values": {"status": {"Ann Lee": "unpaid"}}, "not_states": ["Date"]}
    assert segkit.audit_data(told, {"orders": part}).understood.split("\n")[2] == (
        "Rows left out: cancelled 6 ('void' 32.50, 'Cancelled at': filled 9.50), unpaid 1 ('text "
        "of 7 characters' 9.50). Counted: 'paid' 33. No state: 'Date'."
    )


# Names ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("header", "meant"),
    [
        ("Kundennummer", "customer id"),
        ("订单金额", "order amount"),
        ("注文日", "order date"),
        ("Amount Refunded", "amount refund"),
        ("Order Total (inc tax)", "order total gross"),
        ("Discount %", "discount percent"),
        ("Customer Email", "customer email"),
        ("Zamówienie nr", "order id"),
        ("מספר הזמנה", "order id"),
        ('סה"כ לתשלום', "total payment"),
        ("Αρ. Παραγγελίας", "order id"),
        ("Ποσότητα", "quantity"),
        ("الإجمالي شامل الضريبة", "total gross"),
        ("Sipariş Tarihi", "order date"),
        ("Termin Süresinin Bittiği Tarih", "deadline date"),
        ("Rendelésszám", "order id"),
        ("Ordrenummer", "order id"),
        ("Beløb", "amount"),
        ("小計(税込)", "subtotal gross"),
        ("総額(税抜)", "total net"),
        ("決済手数料", "payment fee"),
        ("Totale IVA inclusa", "total gross"),
        ("CEP Comprador", "customer place"),
        ("Cep Telefonu", "phone"),
        ("Mobiltelefon", "phone"),
        ("Celular Comprador", "customer phone"),
        ("Order (main) number (payment)", "id order"),
        ("주문번호(상품)", "id order product"),
    ],
)
def test_headers_name_concepts_in_any_script(header, meant):
    assert concepts(header)[0] == set(meant.split())


def test_what_else_a_header_names_rules_it_out():
    part = proposed(
        **{"Tax total": [1.5, 2.5], "Order total": [9.5, 8.5], "Shipping amount": [1.0, 1.5],
           "Customer name": ["a", "b"], "Customer no": ["1", "2"], "Ship date": ["2024-01-02"] * 2,
           "Order date": ["2024-01-01"] * 2}
    )  # fmt: skip
    assert part.columns["amount"] == "Order total"
    assert part.columns["customer_id"] == "Customer no"
    assert part.columns["order_time"] == "Order date"


@pytest.mark.parametrize(
    ("ordered", "later"),
    [
        ("Sipariş Tarihi", "Teslim Tarihi"),
        ("Bestelldatum", "Liefertermin"),
        ("Orderdatum", "Förfallodatum"),
        ("Invoice date", "Due date"),
        ("Data zamówienia", "Termin płatności"),
        ("주문일자(결제확인전)", "발송일자"),
        ("注文日（入金前）", "出荷日"),
    ],
)
def test_what_happens_after_an_order_is_not_its_time(ordered, later):
    part = proposed(**{later: ["2024-02-01"] * 2, ordered: ["2024-01-01"] * 2})
    assert part.columns == {"order_time": ordered}


@pytest.mark.parametrize("later", ["Payout date", "Settlement date", "Dispatch date"])
def test_a_full_date_of_payment_comes_before_dates_of_payout_and_dispatch(later):
    frame = shop(lines=1).rename({"Order date": later})
    frame = frame.with_columns(pl.Series("Paid", DAYS[:120]))
    assert proposed(**frame.to_dict(as_series=False)).columns["order_time"] == "Paid"


def test_few_sales_without_a_date_are_asked_about_where_another_date_is_full():
    frame = shop().with_columns(Confirmed=pl.col("Order date"))
    lacking = pl.when(pl.int_range(pl.len()) >= 2).then("Order date").alias("Order date")
    (question,) = asked(frame.with_columns(lacking))
    assert offered_answers(question.answer) == [
        ["orders.columns.order_time=Confirmed"], ["orders.columns.order_time=Order date"]
    ]  # fmt: skip
    kept = {"orders": {"columns": {"order_time": "Order date"}}}
    assert asked(frame.with_columns(lacking), kept) == []
    assert asked(frame.with_columns(lacking).drop("Confirmed")) == []


@pytest.mark.parametrize(
    ("main", "part"),
    [
        ("主订单编号", "子订单编号"),
        ("主單編號", "訂單編號"),
        ("親注文番号", "子注文番号"),
        ("주문번호", "상품주문번호"),
        ("Hauptauftrag Nr.", "Unterauftrag Nr."),
        ("N° pedido principal", "N° subpedido"),
        ("Order No", "Sub order no"),
        ("Parent order ID", "Order ID"),
    ],
)
def test_the_number_of_a_whole_order_comes_before_those_of_its_parts(main, part):
    frame = shop().rename({"Order No": main})
    frame = frame.with_columns(pl.Series(part, [f"B{i:06}" for i in range(frame.height)]))
    assert proposed(**frame.to_dict(as_series=False)).columns["order_id"] == main


@pytest.mark.parametrize("header", ["Main subscription no", "Parent account order", "Master ID"])
def test_the_number_of_a_subscription_or_customer_is_no_orders(header):
    order = pl.int_range(pl.len()) // 2
    frame = shop().rename({"Order No": "Order ID"}).with_columns(
        pl.format("S{}{}", "Client", order // 30 % 2).alias(header))  # fmt: skip
    frame = frame.with_columns(pl.format("B{}", pl.int_range(pl.len()) + 10_000).alias("Order ID"))
    assert proposed(**frame.to_dict(as_series=False)).columns["order_id"] == "Order ID"


# Equations ------------------------------------------------------------------------------------


def test_an_amount_less_fees_and_taxes_is_not_the_amount():
    frame = pl.DataFrame(
        {"Sale Price ($)": [79.0, 39.0, 22.8, 50.0], "Fees ($)": [8.4, 4.4, 2.78, 5.0],
         "Taxes ($)": [0.0, 1.5, 3.8, 2.5], "Net Total ($)": [70.6, 33.1, 16.22, 42.5]}
    )  # fmt: skip
    part, findings = propose_orders(Columns("orders", frame, Mapping()))
    assert part.columns["amount"] == "Sale Price ($)"
    (said,) = [item for item in findings if item.column == "amount"]
    assert said.severity == "info"
    assert "'Fees ($)' and 'Taxes ($)'" in said.finding
    # One cent off on most rows: no equation, and the better name is taken.
    other = frame.with_columns(pl.col("Fees ($)") + 0.5)
    part = propose_orders(Columns("orders", other, Mapping()))[0]
    assert part.columns["amount"] == "Net Total ($)"


def test_an_amount_less_discounts_is_what_was_paid():
    gross, off = [10.0, 12.0, 9.5, 30.0], [0.0, 2.0, 1.5, 3.0]
    paid = [a - b for a, b in zip(gross, off, strict=True)]
    one = proposed(**{"Gross sales": gross, "Discounts": off, "Net sales": paid})
    assert one.columns["amount"] == "Net sales"
    minus = [-b for b in off]
    two = proposed(unitPrice=gross, paidPrice=paid, sellerDiscountTotal=minus)
    assert two.columns["amount"] == "paidPrice"
    assert two.columns["unit_price"] == "unitPrice"
    three = proposed(Betrag=gross, Rabatt=off, Zahlbetrag=[1.0, 2.5, 4.0, 3.0])
    assert three.columns["amount"] == "Betrag"


# Values and fit -------------------------------------------------------------------------------


def test_an_empty_column_is_never_proposed():
    frame = shop().with_columns(pl.lit("").alias("Customer ID"), email=pl.col("Client") + "@x.org")
    columns = segkit.audit_data(frame.drop("Client")).mapping.tables["orders"].columns
    assert columns["customer_id"] == "email"


def test_guests_without_an_account_are_known_by_their_address():
    frame = shop().with_columns(
        customer_id=pl.Series([7, 0, 0] * 80),
        email=pl.col("Client").str.to_uppercase() + "@X.org",
    )  # fmt: skip
    taken = segkit.clean_data(frame.drop("Client"))
    assert taken.orders["customer_id"].n_unique() == 30
    assert taken.orders["customer_id"].str.ends_with("@x.org").all()


def test_two_people_of_one_name_are_told_apart_by_their_addresses():
    number = pl.col("Client").str.slice(1).cast(pl.Int32)
    letters = [chr(97 + i) for i in range(26)]
    first = pl.Series(letters + letters[:4])  # thirty people, twenty-six names
    frame = shop().with_columns(email=pl.col("Client") + "@x.org", Client=number)
    frame = frame.with_columns(Client="Ann " + first.gather(frame["Client"]))
    assert segkit.clean_data(frame).orders["customer_id"].n_unique() == 30
    firms = frame.with_columns(email=pl.col("Order No") + "@x.org")  # an address per order
    assert segkit.clean_data(firms).orders["customer_id"].n_unique() == 26


def test_whole_numbers_named_amount_beside_a_price_are_units():
    units = [1 + i % 5 for i in range(240)]
    frame = shop().with_columns(amount=pl.Series(units), price=pl.col("Amount")).drop("Amount")
    taken = segkit.clean_data(frame)
    assert taken.mapping.tables["orders"].columns["quantity"] == "amount"
    assert taken.orders["amount"].sum() == pytest.approx((frame["amount"] * frame["price"]).sum())


def test_a_price_that_grows_with_the_quantity_is_the_lines_amount():
    each = 4.25 + pl.col("SKU").str.slice(1).cast(pl.Int32)
    frame = shop().drop("Amount").with_columns(qty=pl.int_range(pl.len()) * 5 // 3 % 4 + 1)
    by_line = frame.with_columns(price=pl.col("qty") * each)
    taken = segkit.clean_data(by_line)
    assert taken.orders["amount"].sum() == pytest.approx(by_line["price"].sum())
    by_unit = frame.with_columns(price=each)
    both = by_unit.select((pl.col("qty") * pl.col("price")).sum()).item()
    assert segkit.clean_data(by_unit).orders["amount"].sum() == pytest.approx(both)


@pytest.mark.parametrize(("unit", "scale"), [("share", 1), ("percent", 100), ("money", None)])
def test_the_unit_of_a_discount_is_the_one_that_makes_the_amount(unit, scale):
    rate = pl.int_range(pl.len()) % 5 / 10
    frame = shop().with_columns(qty=pl.lit(2), price=pl.lit(15.0)).with_columns(rate=rate)
    given = pl.col("rate") * (scale or 30)
    frame = frame.with_columns(discount=given, Amount=30 * (1 - pl.col("rate"))).drop("rate")
    taken = segkit.clean_data(frame)
    assert taken.mapping.option("orders", "discount_unit") == unit
    assert taken.orders["discount"].sum() == pytest.approx(30 * 240 - frame["Amount"].sum())


def test_the_same_money_on_each_line_of_an_order_is_asked_about():
    frame = shop().with_columns(Amount=pl.col("Amount").first().over("Order No"))
    blocks = asked(frame)
    assert [item.column for item in blocks] == ["amount"]
    assert blocks[0].answer.startswith('[orders] amount_of = "order"')
    whole = segkit.clean_data(frame, {"orders": {"amount_of": "order"}})
    assert 2 * whole.orders["amount"].sum() == pytest.approx(frame["Amount"].sum())


def test_a_total_on_each_line_is_asked_about_without_an_order_number():
    total = pl.col("Amount").first().over("Order No")
    frame = shop().with_columns(Amount=total)
    numbers = frame.unique("Order No")["Amount"].sum()
    (question,) = asked(frame.drop("Order No"))
    assert "stands alike on the lines that a customer has at one time (120 times)" in (
        question.finding
    )
    answer = {"orders": {"amount_of": "order"}}
    taken = segkit.clean_data(frame.drop("Order No"), answer)
    assert taken.orders["amount"].sum() == pytest.approx(numbers, abs=0.01)
    # Units of one product cost the same, and few prices meet by chance.
    units = frame.drop("Order No").with_columns(SKU=pl.col("Amount").cast(pl.String))
    few = shop().drop("Order No").with_columns(Amount=pl.int_range(240) % 3 // 2 + 4.5)
    assert not asked(units)
    assert not asked(few)


def test_the_order_id_is_found_by_its_values_in_any_language():
    frame = shop().rename({"Order No": "Zaqwsx"})
    columns = segkit.audit_data(frame).mapping.tables["orders"].columns
    assert columns["order_id"] == "Zaqwsx"
    own = frame.with_columns(Zaqwsx=pl.int_range(240).cast(pl.String) + "x")
    assert "order_id" not in segkit.audit_data(own).mapping.tables["orders"].columns


def test_the_running_number_of_the_rows_is_not_the_order_id():
    frame = shop().rename({"Order No": "Ref"}).with_columns(No=pl.int_range(1, 241))
    assert segkit.audit_data(frame).mapping.tables["orders"].columns["order_id"] == "Ref"
    alone = frame.drop("Ref").rename({"No": "Invoice No"})
    columns = segkit.audit_data(alone).mapping.tables["orders"].columns
    assert columns["order_id"] == "Invoice No"


def test_the_number_of_a_line_is_not_the_order_id():
    frame = shop().rename({"Order No": "注文ID"})
    frame = frame.with_columns(pl.int_range(240).alias("注文明細ID"))
    assert segkit.audit_data(frame).mapping.tables["orders"].columns["order_id"] == "注文ID"
    alone = frame.drop("注文ID")
    assert segkit.audit_data(alone).mapping.tables["orders"].columns["order_id"] == "注文明細ID"


def test_rows_that_sum_up_their_order_count_once():
    lines = shop().with_columns(kind=pl.lit("Item"))
    sums = lines.group_by("Order No", maintain_order=True).agg(
        pl.col("Client", "Order date").first(), pl.lit("").alias("SKU"), pl.col("Amount").sum(),
        kind=pl.lit("Sale"),
    )  # fmt: skip
    both = pl.concat([lines, sums.select(lines.columns)]).sort("Order No", maintain_order=True)
    for frame in (both, both.drop("kind")):  # told by a word, or by the missing product
        taken = segkit.clean_data(frame)
        assert taken.ledger.reasons() == {"total_line": 120}
        assert taken.orders["amount"].sum() == pytest.approx(lines["Amount"].sum())


def test_postage_and_tests_are_proposed_as_no_products_with_their_money():
    code = pl.when(pl.int_range(pl.len()) % 20 == 0).then(pl.lit("POSTAGE")).otherwise("SKU")
    audit = segkit.audit_data(shop().with_columns(SKU=code))
    assert audit.mapping.option("orders", "non_products") == ["POSTAGE"]
    worth = shop().filter(pl.int_range(pl.len()) % 20 == 0)["Amount"].sum()
    told = next(item for item in audit.findings if "'POSTAGE' (12 lines" in item.finding)
    assert f"{worth:,.0f}"[:2] in told.finding
    assert not audit.blocked


def test_close_candidates_are_asked_about_with_what_each_gives():
    frame = shop().rename({"Amount": "Net sales"})
    frame = frame.with_columns((pl.col("Net sales") * 1.2).round(2).alias("Gross sales"))
    (question,) = asked(frame)
    assert f"{frame['Net sales'].sum():,.0f}" in question.finding
    assert f"{frame['Gross sales'].sum():,.0f}" in question.finding


@pytest.mark.parametrize(
    "header", ["Estimated total", "Authorised amount", "Autorisierter Betrag", "Tahmini tutar",
               "Montant prévu", "予定金額", "Average amount", "Quoted amount"],
)  # fmt: skip
def test_a_sum_that_is_no_fact_is_never_taken_as_the_amount_without_a_question(header):
    frame = shop().with_columns((pl.col("Amount") * 1.1).alias(header)).rename({"Amount": "Total"})
    assert asked(frame) == []
    assert segkit.audit_data(frame).mapping.tables["orders"].columns["amount"] == "Total"
    (question,) = asked(frame.drop("Total"))
    assert (question.column, repr(header)[1:-1] in question.answer) == ("amount", True)


# The whole ------------------------------------------------------------------------------------


def test_a_telephone_number_is_no_offer_as_the_amount():
    frame = shop().drop("Amount").with_columns(pl.lit("0671234567").alias("Телефон"))
    (question,) = [item for item in asked(frame) if item.column == "amount"]
    assert '"..."' in question.answer
    frame = shop().with_columns(pl.format("{} грн", pl.col("Amount").floor()).alias("Сума"))
    taken = segkit.clean_data(frame.drop("Amount")).orders
    assert taken["currency"].unique().to_list() == ["UAH"]
    assert taken["amount"].sum() == shop()["Amount"].floor().sum()


def test_an_order_number_taken_for_the_customer_is_doubted():
    frame = shop(lines=1).rename({"Client": "customer_unique_id", "Order No": "customer_id"})
    (question,) = asked(frame)
    assert question.finding.startswith("Nobody bought twice: 120 orders of 120 customers")
    assert question.answer.startswith('[orders.columns] customer_id = "customer_unique_id" (30 cus')
    answered = {"orders": {"columns": {"customer_id": "customer_unique_id"}}}
    assert segkit.clean_data(frame, answered).orders["customer_id"].n_unique() == 30
    kept = {"orders": {"columns": {"customer_id": "customer_id"}}}
    warned = [
        f for f in segkit.audit_data(frame, kept).findings if "Nobody bought twice" in f.finding
    ]
    assert [item.severity for item in warned] == ["warn"]
    assert segkit.clean_data(frame, kept).orders["customer_id"].n_unique() == 120


def test_an_id_with_a_large_part_of_the_lines_may_be_guests():
    frame = shop(customers=60)
    till = pl.when(pl.int_range(pl.len()) % 3 == 0).then(pl.lit("K999")).otherwise("Client")
    (question,) = asked(frame.with_columns(Client=till))
    assert "One customer id (K999) has 33.3% of the lines" in question.finding
    assert question.rows == 160
    kept = mapping_of(offered_answers(question.answer)[-1])
    left = segkit.audit_data(frame.with_columns(Client=till), kept).findings
    assert not [f for f in left if "guest account" in f.finding or "no effect" in f.finding]


def test_an_id_with_many_short_orders_may_be_a_till():
    frame = shop(customers=60)
    sales = shop(customers=1, orders=24, lines=1).with_columns(
        pl.concat_str(pl.lit("T"), "Order No").alias("Order No"), Client=pl.lit("K999")
    )
    both = pl.concat([frame, sales])
    (warned,) = [f for f in segkit.audit_data(both).findings if "a guest account?" in f.finding]
    assert (warned.severity, warned.rows) == ("warn", 24)
    assert '"Client = K999"' in warned.answer


def test_several_ids_of_one_telephone_number_may_be_one_customer():
    again = pl.int_range(pl.len()) // 4 % 2 == 1  # every second order
    numbers = pl.format("8903{}", pl.col("Client").str.extract(r"(\d+)").str.zfill(7))
    ids = pl.when(again).then(pl.col("Client") + "-b").otherwise("Client").alias("Client no")
    frame = shop().with_columns(numbers.alias("Phone"), ids)
    (question,) = asked(frame.drop("Client"))
    assert question.finding.startswith("Beside 30 values of 'Phone' stand several of 'Client no'")
    assert question.answer.startswith('[orders.columns] customer_id = "Phone" (30 customers)')
    assert not asked(frame.with_columns(pl.col("Client").alias("Client no")).drop("Client"))
    ways = pl.when(again).then(pl.col("Phone").str.replace("8", "+7 ")).otherwise("Phone")
    spelled = frame.with_columns(ways).drop("Client")
    (question,) = asked(spelled)  # two spellings of a number are one customer
    assert question.answer.startswith('[orders.columns] customer_id = "Phone" (30 customers)')
    tested, part = pl.int_range(pl.len()) < 8, pl.int_range(pl.len()) % 10 > 0
    (question,) = asked(frame.drop("Client").with_columns(
        pl.when(part).then(pl.format("{}@x.org", "Phone")).alias("Email"),
        pl.when(tested).then(pl.lit("Test Testsson")).alias("Customer name"),
    ))  # fmt: skip
    assert [line.split('"')[1] for line in question.answer.split("; or ")] == [
        *("Phone", "Email", "Client no")  # the fuller one first; of whose ids none is asked before
    ]
    answered = segkit.clean_data(spelled, {"orders": {"columns": {"customer_id": "Phone"}}})
    assert answered.orders["customer_id"].n_unique() == 30


def test_a_column_that_is_mostly_unreadable_is_asked_about_with_what_reads_more():
    bad = pl.when(pl.int_range(pl.len()) % 4 == 0).then(pl.lit("n.v.")).otherwise(
        pl.col("Amount").cast(pl.String))  # fmt: skip
    (question,) = asked(shop().with_columns(Amount=bad))
    assert question.finding.startswith("25.0% of the rows have no amount that can be read")
    assert "decimal" not in question.answer  # 24.00 stands beside: a comma would ruin it
    swapped = {"orders": {"decimal": ","}}
    (question,) = asked(shop().with_columns(pl.col("Amount").cast(pl.String)), swapped)
    assert question.answer == '[orders] decimal = "."'


def test_a_strange_date_is_offered_the_format_that_reads_it():
    frame = shop().with_columns(pl.col("Order date").str.replace_all("-", "_"))
    (question,) = asked(frame)
    assert question.answer == '[orders] date_format = "%Y_%m_%d"'
    read = segkit.clean_data(frame, {"orders": {"date_format": "%Y_%m_%d"}})
    assert read.orders["order_time"].dt.date().cast(pl.String)[0] == DAYS[0]


def test_a_file_that_names_no_customer_is_refused_and_no_place_is_offered():
    frame = shop().drop("Client")
    cities, models = ["Leeds", "Bath", "York"], ["a52q", "beyond1", "oriole"]
    frame = frame.with_columns(
        pl.Series("City of Buyer", [cities[i % 3] for i in range(frame.height)]),
        pl.Series("Postal Code of Buyer", [f"LS{i % 25} 4AP" for i in range(frame.height)]),
        pl.Series("Device Model", [models[i // 5 % 3] for i in range(frame.height)]),
    )
    (refusal,) = asked(frame)
    assert refusal.finding.startswith("This file names no customer")
    assert "Buyer" not in refusal.answer
    assert "Device" not in refusal.answer
    few = pl.Series(
        "Customer Phone",
        [f"0791234{i % 7:03}" if i % 5 == 0 else None for i in range(frame.height)],
    )
    till = frame.with_columns(few)  # a till, where one in five says who it is
    (question,) = [f for f in asked(till) if f.column == "customer_id"]
    assert question.answer == '[orders.columns] customer_id = "Customer Phone"'
    unnamed = few.null_count()
    assert f"without a customer there are left out: {unnamed} rows, " in question.finding


def test_a_column_of_an_unknown_name_is_offered_where_it_repeats_as_customers_do():
    frame = shop()
    unknown = frame.rename({"Client": "Zaqwsx"}).with_columns(Checks=pl.int_range(240) % 37)
    (lacking,) = asked(unknown)
    assert lacking.answer == '[orders.columns] customer_id = "Zaqwsx"'
    (lacking,) = asked(frame.rename({"Client": "A/C"}))
    assert lacking.answer == '[orders.columns] customer_id = "A/C"'


def test_codes_of_currencies_are_the_currency_under_any_name():
    codes = [("USD", "GBP", "EUR")[i % 3] for i in range(240)]
    (several,) = asked(shop().with_columns(pl.Series("Currency of Sale", codes)))
    assert "3 currencies" in several.finding
    part = proposed(WKZ=["EUR"] * 3, Size=["ALL"] * 3, Betrag=[1.5, 2.5, 3.5])
    assert part.columns == {"currency": "WKZ", "amount": "Betrag"}


def test_addresses_that_are_another_one_on_each_order_of_a_domain_are_doubted():
    number, person = pl.col("Order No"), pl.col("Client")
    masked = person.str.to_lowercase() + "+" + number.str.to_lowercase() + "@market.example"
    own = person.str.to_lowercase() + "@x.example"
    frame = shop().with_columns(
        pl.when(pl.int_range(pl.len()) // 2 % 2 == 0).then(masked).otherwise(own).alias("E-mail"),
        ("+4479110" + person.str.slice(1)).alias("Phone"),
    )
    (question,) = asked(frame.drop("Client"))
    assert "Addresses at market.example are another one on nearly each order" in question.finding
    assert question.answer.startswith('[orders.columns] customer_id = "Phone" (30 customers); or')
    assert not asked(frame.with_columns(own.alias("E-mail")).drop("Client"))


def test_numbers_and_addresses_beside_several_names_are_doubted():
    name, number = pl.col("Client") + " Miller", pl.col("Client").str.slice(1).cast(pl.Int64)
    frame = shop(customers=60).select(  # thirty numbers, in each of two branches
        "Order No", "Order date", "Amount", (number % 30 + 100).alias("Customer no"),
        name.alias("Customer name"),
    )  # fmt: skip
    (question,) = asked(frame)
    assert "stand several names in 'Customer name' (60 names)" in question.finding
    assert question.answer.startswith('[orders.columns] customer_id = "Customer name" (60 custom')
    few = pl.when(pl.col("Client") < "K004").then(pl.lit("info@shop.example"))
    mails = shop().with_columns(
        few.otherwise(pl.col("Client") + "@x.example").alias("E-mail"), name.alias("Name")
    )
    (question,) = asked(mails.drop("Client"))
    assert question.finding.startswith("Beside 1 value of 'E-mail' (27 customers)")
    each = mails.with_columns((pl.col("Client") + "@x.example").alias("E-mail"))
    assert not asked(each.drop("Client"))


def test_an_address_that_tells_the_same_people_and_guests_too_is_the_customer():
    guest = pl.int_range(pl.len()) // 2 % 10 == 0
    frame = shop().with_columns(
        pl.when(~guest).then("Client").alias("Member no"), pl.col("Client") + "@x.example"
    )
    part = proposed(**frame.rename({"Client": "Mail"}).to_dict(as_series=False))
    assert part.columns["customer_id"] == "Mail"
    shared = frame.with_columns(pl.col("Client").str.replace(r"K0.", "K"))
    part = proposed(**shared.rename({"Client": "Mail"}).to_dict(as_series=False))
    assert part.columns["customer_id"] == "Member no"  # a household has one address
    once = pl.when(guest).then(pl.concat_str(pl.lit("G"), pl.int_range(pl.len()) // 2))
    split = frame.with_columns(once.otherwise("Client").alias("Member no"))
    part = proposed(**split.rename({"Client": "Mail"}).to_dict(as_series=False))
    assert part.columns["customer_id"] == "Mail"  # a guest has another number each time


def test_lists_of_customers_and_exports_of_events_are_refused():
    customers = shop(lines=1).group_by("Client").agg(
        pl.col("Order date").max().alias("Last order"), pl.len().alias("Orders count"),
        pl.col("Amount").sum().alias("Total spent"),
    )  # fmt: skip
    (refusal,) = asked(customers)
    assert refusal.finding.startswith("This is a list of customers, not of orders")
    events = shop().select("Client", "Order date").with_columns(
        event=pl.Series(["Opened Email", "Clicked Email", "page_view"] * 80)
    )  # fmt: skip
    (refusal,) = asked(events)
    assert refusal.finding.startswith("This is an export of events ('event': Clicked Email")


def test_states_and_refunds_that_a_complete_mapping_leaves_out_are_asked_about():
    frame = shop(lines=1).with_columns(
        stage=pl.Series(["Closed Won", "Closed Won", "Closed Lost"] * 40),
        refunded=pl.Series([0.0, 1.5, 0.0] * 40),
    )
    columns = {"customer_id": "Client", "order_time": "Order date", "amount": "Amount"}
    mapping = {"orders": {"columns": columns}}
    questions = asked(frame.rename({"stage": "Deal stage", "refunded": "Amount refunded"}), mapping)
    assert {item.column for item in questions} == {"status", "refund"}
    named = {**columns, "status": "stage", "refund": "refunded"}
    taken = segkit.clean_data(frame, {"orders": {"columns": named}})
    assert taken.ledger.reasons() == {"cancelled": 40}
    counted = {"orders": {"columns": columns, "constants": {"status": "sale", "refund": 0}}}
    assert segkit.clean_data(frame, counted).orders.height == 120


def test_whole_discounts_are_money_or_percent_as_answered():
    frame = shop().with_columns(
        qty=pl.lit(2), price=pl.col("Amount"), discount=pl.int_range(pl.len()) % 4 * 10
    ).drop("Amount")  # fmt: skip
    (question,) = asked(frame)
    assert question.answer.startswith('[orders] discount_unit = "percent"')
    rate = 1 - frame["discount"] / 100
    taken = segkit.clean_data(frame, {"orders": {"discount_unit": "percent"}})
    assert taken.orders["amount"].sum() == pytest.approx((frame["price"] * 2 * rate).sum())


def test_a_loyalty_card_is_the_customer_where_nothing_else_is():
    frame = shop().rename({"Client": "Loyalty card"})
    assert segkit.clean_data(frame).orders["customer_id"].n_unique() == 30


PREFIXES = ["OX", "XYZQ", "oc_", "sales_order.", "Bestellung: ", "order_", "Export ", "tbl"]


@pytest.mark.parametrize("prefix", PREFIXES)
def test_a_prefix_of_every_header_is_left_out_and_the_headers_of_the_file_stay(prefix):
    roles = {
        "ORDERNR": "order_id", "USERID": "customer_id", "ORDERDATE": "order_time",
        "TOTALSUM": "amount", "CURRENCY": "currency", "STORNO": "cancelled_at",
    }  # fmt: skip
    cells = [
        [f"R{i}" for i in range(40)], [f"u{i % 13}" for i in range(40)],
        [f"2024-03-{1 + i % 28:02}" for i in range(40)], [f"{20 + i}.50" for i in range(40)],
        ["EUR"] * 40, ["1" if i % 8 == 7 else "0" for i in range(40)],
    ]  # fmt: skip
    frame = pl.DataFrame(dict(zip((prefix + name for name in roles), cells, strict=True)))
    audit = segkit.audit_data(frame)
    assert not audit.blocked
    columns = audit.mapping.tables["orders"].columns
    assert columns == {role: prefix + name for name, role in roles.items()}


def test_a_word_that_every_header_needs_is_no_prefix():
    headers = ["order_id", "order_date", "order_total", "order_status", "order_currency"]
    for names in (headers, headers[:3], ["Sales Date", "Sales Amount", "Sales Rep", "Sales Qty"]):
        with without_prefix(names) as prefix:
            assert prefix == ""


def receipts(*series: str) -> pl.DataFrame:
    """Give 480 receipts of twenty days, numbered within the columns named."""
    rows, last = [], {}
    for n in range(480):
        place = {"Store": "AB"[n % 2], "Till": f"T{n // 2 % 2}", "Day": n // 24}
        key = tuple(place[name] for name in series)
        last[key] = last.get(key, 50 * (n % 2) * (series == ("Store",))) + 1
        when = datetime(2024, 1, 3, 9) + timedelta(days=n // 24, minutes=n % 24)
        rows += [
            {"Store": place["Store"], "Till": place["Till"], "Receipt No": last[key],
             "Date": str(when), "Card": f"C{n * n % 47:02}", "SKU": f"P{line}",
             "Amount": 1.25 + n % 7 + line}
            for line in range(1 + n % 3)
        ]  # fmt: skip
    return pl.DataFrame(rows)


@pytest.mark.parametrize(
    "series", [("Day",), ("Store",), ("Store", "Day"), ("Store", "Till", "Day")]
)
def test_receipts_that_begin_again_are_orders_within_their_series(series):
    frame = receipts(*series).rename({"Date": "day"})
    taken = segkit.clean_data(frame)
    within = ["day" if name == "Day" else name for name in series]
    assert taken.mapping.option("orders", "order_within") == within
    assert taken.orders["order_id"].n_unique() == 480
    known = {"orders": {"columns": {"order_id": "Receipt No"}, "order_within": ["Shop"]}}
    with pytest.raises(MappingError, match="order_within: unknown column 'Shop'"):
        segkit.clean_data(frame, known)


def test_an_order_for_several_persons_is_no_series_of_numbers():
    frame = receipts("Store").with_columns(
        pl.struct("Store", "Receipt No").rank("dense").alias("Receipt No"),
        Card=pl.format("C{}", pl.int_range(pl.len()) % 47),
    )
    assert segkit.audit_data(frame).mapping.option("orders", "order_within") is None


# Words of no language that is known -----------------------------------------------------------


def unknown(orders=60, **more):
    """Give a row per order in words that say nothing; the customer and the day are named."""
    n = range(orders)
    return pl.DataFrame(
        {
            "Bxol": [f"Z{7001 + 3 * i}" for i in n],
            "Client": [f"K{i % 17:03}" for i in n],
            "Order date": [DAYS[i] for i in n],
            "Amount": [round(3.5 + (i * 37 % 911) / 10, 2) for i in n],
            **more,
        }
    )


def test_the_product_of_two_columns_is_the_amount_whatever_it_is_called():
    units, price = [1 + i % 3 for i in range(60)], [5.25 + i % 7 for i in range(60)]
    worth = [a * b for a, b in zip(units, price, strict=True)]
    lines = unknown(Mxo=units, Vfre=price, Qodd=worth).drop("Amount")
    columns = propose_orders(Columns("orders", lines, Mapping()))[0].columns
    assert [columns[n] for n in ("quantity", "unit_price", "amount")] == ["Mxo", "Vfre", "Qodd"]


@pytest.mark.parametrize("part", ["Сумма скидки", "Сумма НДС", "Discount amount", "Kwota rabatu"])
def test_what_comes_off_an_order_or_is_in_it_is_no_amount(part):
    off = [0.0 if i % 3 else 2.5 + i for i in range(60)]
    worth = [9.5 + i for i in range(60)]
    lines = unknown(**{part: off, "Qodd": worth}).drop("Amount")
    assert "amount" not in propose_orders(Columns("orders", lines, Mapping()))[0].columns


def test_a_number_that_is_another_on_each_row_is_the_order_where_a_row_is_one():
    assert proposed(**unknown().to_dict(as_series=False)).columns["order_id"] == "Bxol"


def test_a_repeated_row_is_asked_about_beside_a_row_of_totals_and_has_no_share_of_an_order():
    lines = unknown().rename({"Bxol": "Bestellung"})
    footer = pl.DataFrame([[None, None, None, 99.0]], lines.schema, orient="row")
    frame = pl.concat([lines, lines.tail(9), footer])
    [question] = asked(frame)
    assert "9 rows repeat" in question.finding
    options = {"duplicates": "drop", "amount_of": "order"}
    taken = segkit.clean_data(frame, {"orders": options})
    assert taken.orders["amount"].sum() == pytest.approx(lines["Amount"].sum())


def test_a_discount_that_stands_on_every_line_of_its_order_comes_off_once():
    off = pl.int_range(pl.len()) // 2 % 7 * 0.1
    lines = shop().with_columns(Discount=off.round(2))
    options = {"discount_taken": False, "discount_unit": "money"}
    taken = segkit.clean_data(lines, {"orders": options})
    once = lines["Amount"].sum() - lines["Discount"].sum() / 2
    assert taken.orders["amount"].sum() == pytest.approx(once)


def test_a_date_in_unknown_words_that_some_orders_lack_is_asked_about():
    days = [None if i % 9 == 0 else DAYS[i] for i in range(60)]
    [question] = asked(unknown(Wuxo=days))
    assert question.finding.startswith("'Wuxo' is not used")
    assert not asked(unknown(Wuxo=DAYS[:60]))


def test_a_word_in_a_footer_is_no_state():
    states = ["paid" if i % 5 else "cancelled" for i in range(60)]
    lines = unknown(Status=states)
    footer = pl.DataFrame([[None, None, None, 99.0, "Summary"]], lines.schema, orient="row")
    assert not asked(pl.concat([lines, footer]))


@pytest.mark.parametrize(
    "header", ["Navn", "Jméno", "Nombre y apellidos", "Họ tên", "注文者名", "ID Qux"]
)
def test_a_name_or_a_number_of_who_ordered_is_offered_and_no_refusal(header):
    questions = asked(unknown().rename({"Client": header}))
    assert not questions or header in questions[0].answer


def test_words_of_states_in_a_column_that_names_none_are_the_state():
    words = ["Evaso", "Evaso", "Consegnato", "Reso", "Fallito", "Insoluto"] * 10
    assert proposed(**unknown(Ghex=words).to_dict(as_series=False)).columns["status"] == "Ghex"


@pytest.mark.parametrize(
    ("header", "meant"),
    [
        ("KÄUFER", {"customer"}),
        ("SZÁMLA ÖSSZEGE", {"order", "amount"}),
        ("注文者", {"customer"}),
        ("Refundert beløp", {"refund", "amount"}),
        ("ERSTATTETER BETRAG", {"refund", "amount"}),
        ("Kwota zwrotu", {"refund", "amount"}),
        ("Data zapłaty", {"payment", "date"}),
        ("Khách cần trả", {"total"}),
        ("Tiền khách đưa", {"payment"}),
        ("Khách còn nợ", {"balance"}),
        ("Celkem s DPH", {"total", "gross"}),
        ("Сумма без НДС", {"amount", "net"}),
        ("Total fără TVA", {"total", "net"}),
    ],
)
def test_capitals_and_compounds_name_what_their_words_do(header, meant):
    assert concepts(header)[0] == meant


def test_a_number_of_rows_is_no_order_where_another_column_groups_them():
    lines = (
        shop().rename({"Order No": "Bxol"}).with_columns((pl.int_range(pl.len()) + 1).alias("ID"))
    )
    columns = propose_orders(Columns("orders", lines, Mapping()))[0].columns
    assert columns["order_id"] == "Bxol"


def test_a_refund_of_many_small_units_of_money_counts_no_pieces():
    back = [0 if i % 4 else 25_000 + i for i in range(60)]
    [question] = asked(unknown(**{"Jumlah Pengembalian": back}))
    assert "are they taken off" in question.finding


@pytest.mark.parametrize(
    ("header", "concept"),
    [("注文者郵便番号1", "place"), ("注文者住所都道府県", "place"), ("注文者姓", "name"),
     ("注文者名", "name"), ("주문자명", "name")],
)  # fmt: skip
def test_the_postcode_and_the_parts_of_a_buyers_name_are_no_customer_number(header, concept):
    assert concept in concepts(header)[0]


def test_the_amounts_of_a_whole_order_are_all_offered_what_was_paid_first():
    paid = [20.5 + 7 * (o % 30) for o in range(120)]
    lines = shop().rename({"Amount": "京东价"})
    money = {"订单金额": 1.02, "应付金额": 0.98, "结算金额": 1}
    lines = lines.with_columns(
        pl.Series(name, [round(paid[i // 2] * part, 2) for i in range(240)])
        for name, part in money.items()
    )
    [ask] = asked(lines)
    assert [name in ask.finding for name in money] == [True, True, True]
    assert ask.answer.index("结算金额") < min(ask.answer.index(n) for n in [*money][:2])


@pytest.mark.parametrize(
    "time", ["Gebucht am", "Réservé le", "Geboekt op", "予約日", "Reserved on"]
)
def test_the_price_of_a_booking_is_its_amount_and_it_is_of_the_time_it_was_booked(time):
    bookings = shop(lines=1).drop("SKU").rename({"Order date": time, "Amount": "Preis"})
    bookings = bookings.with_columns(Anreise=pl.Series(DAYS[5:125]), Booker=pl.col("Client"))
    found = proposed(**bookings.to_dict(as_series=False)).columns
    assert (found["amount"], found["order_time"]) == ("Preis", time)


@pytest.mark.parametrize("number", ["ID", "Bestelnummer", "Number"])
def test_a_payments_id_numbers_the_order_where_no_order_number_does(number):
    ids = [f"tr_p{'KdYVNkMf'[i % 8]}q{'abcdefghijklmno'[i // 8]}X" for i in range(120)]  # no digits
    paid = pl.DataFrame({"Bedrag": [9.5 + i % 7 for i in range(120)], "Datum": DAYS[:120]})
    known = [
        f"Bestelling {i // 2}" if number == "Bestelnummer" else f"T{ids[i]}1" for i in range(120)
    ]
    paid = paid.with_columns(pl.Series(number, ids if number == "ID" else known))
    if number != "ID":
        paid = paid.with_columns(pl.Series("Payment transaction ID", ids))
    assert proposed(**paid.to_dict(as_series=False)).columns["order_id"] == number


def test_the_subject_of_an_invoice_is_no_kind_of_row():
    subject = ["Vendita", "Cesto regalo", "Storno fattura 12", "Degustazione"] * 60
    sign = pl.Series([-1 if word.startswith("Storno") else 1 for word in subject])
    lines = shop().with_columns(pl.col("Amount") * sign, Oggetto=pl.Series(subject))
    assert not any("Oggetto" in ask.finding for ask in asked(lines))


def test_of_orders_that_are_paid_in_part_it_is_said_what_is_paid():
    orders = shop(lines=1).with_columns(
        Status=pl.Series(["paid", "paid", "paid", "partially paid"] * 30),
        Paid=pl.col("Amount") * pl.Series([1.0, 1.0, 1.0, 0.5] * 30),
    )
    [ask] = [ask for ask in asked(orders) if ask.column == "status"]
    assert "is paid by 'Paid'" in ask.finding


@pytest.mark.parametrize("header", ["ยอดชำระ", "ยอดสั่งซื้อ", "ご請求額", "Thực thu", "Tahsil edilen"])
def test_what_was_paid_or_ordered_is_an_amount(header):
    assert name_score("amount", header) >= 2.4


@pytest.mark.parametrize("header", ["Khách đã trả", "Kunde zahlt", "顧客實付", "Cliente paga"])
def test_what_a_customer_pays_is_no_customer(header):
    sums = [40 + 7 * n % 61 for n in range(60)]
    frame = shop().head(60).drop("Client")
    money = frame.with_columns(pl.Series(header, sums), pl.Series("Total", sums))
    assert header != propose_orders(Columns("orders", money, Mapping()))[0].columns.get(
        "customer_id"
    )


# What stands beside the reading ---------------------------------------------------------------


def sold():
    """Give 60 orders of two lines: one is cancelled, shipping and coupon stand on both lines."""
    orders = pl.DataFrame(
        {
            "Order": [f"A{i:03}" for i in range(60)],
            "Email": [f"c{i % 20}@x.org" for i in range(60)],
            "Phone": [f"0171 20{i % 15:02} 55" for i in range(60)],
            "First name": ["Ann", "Bo", "Cy", "Di"] * 15,
            "Last name": [("Lee", "Roe", "Poe")[i % 3] for i in range(60)],
            "Date": DAYS[:60],
            "State": ["cancelled"] + ["paid"] * 59,
            "Shipping": [4.9 if i % 3 else 0.0 for i in range(60)],
            "Coupon": [0.5 + i % 7 if i % 4 == 1 else 0.0 for i in range(60)],
            "Zyx": [("plain", "odd")[i % 12 == 5] for i in range(60)],
        }
    )
    lines = pl.concat([orders, orders]).sort("Order", maintain_order=True)
    net = [round(3.5 + (i * 37 % 911) / 100, 2) for i in range(120)]
    return lines.with_columns(Net=pl.Series(net), Tax=pl.Series([round(n / 5, 2) for n in net]))


def test_what_stands_beside_the_reading_is_summed_over_the_rows_that_count():
    lines = sold()
    audit = segkit.audit_data(lines, {"orders": {"columns": {"amount": "Net"}}})
    sums, people, words = audit.understood.split("\n")[-3:]
    counts = lines.filter(pl.col("State") == "paid")
    orders = counts.unique("Order")
    assert f"'Coupon' {orders['Coupon'].sum():.2f} (counted once per order, " in sums
    assert f"'Shipping' {orders['Shipping'].sum():,.0f} (counted once per order)" in sums
    assert f"'Tax' {counts['Tax'].sum():,.0f}" in sums
    assert people == (
        "Compare: people by 'First name' with 'Last name' would be 12, by 'Phone' would be 15."
    )
    assert words.endswith("few words: 'Zyx' (plain 108, odd 10).")
    assert not any("not used: " in item.finding for item in audit.findings)


def test_a_price_beside_what_was_paid_is_summed_on_the_rows_without_a_payment_too():
    visits = pl.DataFrame(
        {
            "Email": [f"c{i % 20}@x.org" for i in range(60)],
            "Date": DAYS[:60],
            "Appointment price": [20.0 + i % 7 for i in range(60)],
            "Paid online": [20.0 + i % 7 if i % 2 else 0.0 for i in range(60)],
        }
    )
    audit = segkit.audit_data(visits, {"orders": {"columns": {"amount": "Paid online"}}})
    assert f"'Appointment price' {visits['Appointment price'].sum():,.0f}." in audit.understood


def test_nothing_is_compared_where_all_columns_are_used():
    lines = sold().select("Order", "Email", "Date", "Net")
    assert "Compare" not in segkit.audit_data(lines).understood


@pytest.mark.parametrize(
    "words",
    ["Kod pocztowy klienta, Miasto klienta, Adres klienta, Kunden-PLZ, Ville du client",
     "Código postal del cliente, Città cliente, CEP do cliente, Postcode klant, PSČ zákazníka",
     "Vevő irányítószám, Oraș client, Poštni kod kupca, Asiakkaan postinumero, Kundens postnummer",
     "Müşteri posta kodu, Город клиента, Поштовий індекс покупця, Πόλη πελάτη, עיר לקוח",
     "مدينة العميل, お客様郵便番号, 客户城市, 고객 주소, Thành phố khách, Kota pelanggan"],
)  # fmt: skip
def test_a_part_of_an_address_is_no_customer_whatever_else_its_header_says(words):
    assert {word: is_address_part(word) for word in words.split(", ")} == dict.fromkeys(
        words.split(", "), True
    )
    others = "Email klienta, Adres e-mail, Kod klienta, Il cliente, E-postadress, Klientas, Kunde"
    assert not any(is_address_part(word) for word in others.split(", "))


@pytest.mark.parametrize("part", ["Kod pocztowy klienta", "Miasto klienta", "Nabywca"])
def test_an_address_is_the_customer_before_the_postcode_and_city_of_one(part):
    lines = shop().with_columns(
        pl.concat_str(pl.col("Client"), pl.lit("@x.org")).alias("Email klienta"),
        (pl.lit("43-9") + pl.col("Client").str.tail(2)).alias(part),
    )
    columns = propose_orders(Columns("orders", lines.drop("Client"), Mapping()))[0].columns
    assert columns["customer_id"] == "Email klienta"


@pytest.mark.parametrize("header", ["№", "No", "Nr", "N°", "#", "nro", "番号", "单号", "Xq"])
def test_lines_go_on_with_the_order_above_whatever_numbers_it(header):
    lines = shop(lines=3)
    rows = pl.int_range(pl.len())
    blank = [pl.when(rows % 3 == 0).then(name) for name in ("Order No", "Client", "Order date")]
    frame = lines.with_columns(*blank).rename({"Order No": header})
    assert fill_orders(frame)[0].equals(lines.rename({"Order No": header}))
    sums = frame.with_columns(pl.when(pl.col("Client").is_not_null()).then("SKU"))
    assert header not in "#Xq番号单号" or not fill_orders(sums)[1]


def test_a_number_that_is_repeated_where_its_customer_is_not_numbers_the_orders():
    rows = pl.int_range(pl.len())
    blank = [pl.when(rows % 2 == 0).then(name).alias(name) for name in ("Client", "Order date")]
    frame = shop().with_columns(*blank).rename({"Order No": "№"})
    columns = propose_orders(Columns("orders", frame, Mapping()))[0].columns
    assert (columns["order_id"], columns["customer_id"]) == ("№", "Client")


def test_the_state_of_the_order_goes_before_that_after_the_sale():
    after = ["无售后或售后取消", "无售后或售后取消", "退款成功"] * 80
    frame = shop().with_columns(
        pl.Series("售后状态", after), pl.Series("订单状态", ["已签收", "待发货", "已签收"] * 80)
    )
    columns = propose_orders(Columns("orders", frame, Mapping()))[0].columns
    assert columns["status"] == "订单状态"


def test_where_every_order_is_rejected_the_word_that_does_it_is_offered_and_taken_unquoted():
    frame = shop().with_columns(
        pl.Series("售后状态", ["没有售后"] * 200 + ["退款成功"] * 40),
        pl.Series("订单状态", ["已签收"] * 200 + ["已取消"] * 40),
    )
    word = "orders.values.payment_status.没有售后"
    audit = segkit.audit_data(frame, mapping_of([f"{word}=cancelled"]))
    (asked,) = [one for one in audit.findings if "No order line is left" in one.finding]
    assert '[orders.values.payment_status] "没有售后" = "sale"' in asked.answer
