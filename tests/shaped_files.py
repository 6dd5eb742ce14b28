"""Made-up order files of different shapes, with their truth added up in whole cents.

Nothing here uses segkit. Every file is written from one made-up shop; its truth (customers, orders
and revenue net of refunds, unpaid and cancelled orders) is added up from the shop, not the file.
"""

import csv
import io
import json
import random
from dataclasses import dataclass, field
from datetime import datetime, timedelta

SOLD, UNPAID, CANCELLED, REFUNDED = "sold", "unpaid", "cancelled", "refunded"


def dice_of(seed):
    """Return a stream of chance that is the same on every system."""
    return random.Random(seed)  # noqa: S311


@dataclass
class Line:
    sku: str
    name: str
    quantity: int
    price: int  # cents
    rate: int = 0  # per cent off

    @property
    def gross(self):
        return self.quantity * self.price

    @property
    def net(self):
        return self.gross * (100 - self.rate) // 100


@dataclass
class Order:
    number: int
    customer: int
    time: datetime
    lines: list
    state: str = SOLD
    refund: int = 0  # cents given back

    @property
    def total(self):
        return sum(line.gross for line in self.lines)


@dataclass
class Shape:
    """A file's name and bytes, what must come of it, and its truth.

    ``must`` is "right" (no question), "asked" (a question that ``answer`` settles) or "refused";
    ``words`` must occur in the question or the refusal.
    """

    name: str
    data: bytes
    must: str
    customers: int = 0
    revenue: int = 0  # cents
    orders: int = 0
    off: int | None = None  # cents of discount, where the file states one
    words: str = ""
    answer: dict = field(default_factory=dict)


def make_shop(seed=5, customers=60, states=False):
    """Draw a shop's orders; with ``states``, some are unpaid, cancelled or refunded."""
    dice = dice_of(seed)
    catalogue = [(f"P{n:03}", f"Article {n}", dice.randrange(199, 8999)) for n in range(25)]
    orders, number = [], 41000
    for customer in range(1, customers + 1):
        for _ in range(dice.choice([1, 1, 2, 3, 4, 6, 8])):
            day = datetime(2023, 1, 2) + timedelta(days=dice.randrange(700))
            time = day + timedelta(hours=dice.randrange(8, 20), minutes=dice.randrange(60))
            chosen = dice.sample(catalogue, dice.choice([1, 2, 2, 3, 4]))
            lines = [
                Line(sku, name, dice.choice([1, 1, 1, 2, 3, 5]), price,
                     dice.choice([0, 0, 10, 25, 50]))
                for sku, name, price in chosen
            ]  # fmt: skip
            orders.append(Order(0, customer, time, lines))
    orders.sort(key=lambda order: order.time)
    for order in orders:
        number += dice.choice([1, 2, 3])
        order.number = number
    if states:
        _set_states(orders, dice, (customers - 1, customers))
    return orders


def _set_states(orders, dice, never):
    """Let some orders be unpaid, cancelled or refunded."""
    for order in orders:
        order.state = dice.choice([SOLD] * 12 + [UNPAID, CANCELLED, REFUNDED])
    # Two customers never bought: their only orders fell through.
    for customer, state in zip(never, (CANCELLED, UNPAID), strict=True):
        for order in orders:
            if order.customer == customer:
                order.state = state
    # Who got money back has also kept something, so that nobody asks whether they count.
    kept = {order.customer for order in orders if order.state == SOLD}
    for order in orders:
        if order.state == REFUNDED and order.customer not in kept:
            order.state = SOLD


def truth(orders, amount=None):
    """Add up customers, orders and revenue in cents of what was sold and kept."""
    sold = [order for order in orders if order.state == SOLD]
    amount = amount or (lambda order: order.total)
    return {
        "customers": len({order.customer for order in sold}),
        "orders": len(sold),
        "revenue": sum(amount(order) - order.refund for order in sold),
    }


def net_total(order):
    """Add up what an order costs after discounts."""
    return sum(line.net for line in order.lines)


def discount(orders):
    """Add up what discounts took off, in cents."""
    return sum(line.gross - line.net for order in orders for line in order.lines)


def money(cents, comma=False):
    """Write cents as a decimal number."""
    sign, cents = ("-" if cents < 0 else ""), abs(cents)
    return f"{sign}{cents // 100}{',' if comma else '.'}{cents % 100:02}"


def table(header, rows, delimiter=",", encoding="utf-8", end="\n"):
    """Write a delimited file."""
    out = io.StringIO()
    csv.writer(out, delimiter=delimiter, lineterminator=end).writerows([header, *rows])
    return out.getvalue().encode(encoding)


def german_lines():
    orders = make_shop(states=True)
    words = {SOLD: "bezahlt", UNPAID: "offen", CANCELLED: "storniert", REFUNDED: "erstattet"}
    rows = [
        [f"K{o.customer:04}", f"B-{o.number}", o.time.strftime("%d.%m.%Y %H:%M"), line.sku,
         line.name.replace("Article", "Müsli"), line.quantity, money(line.price, comma=True),
         words[o.state]]
        for o in orders for line in o.lines
    ]  # fmt: skip
    header = ["Kundennummer", "Bestellnummer", "Bestelldatum", "Artikelnummer", "Bezeichnung",
              "Stückzahl", "Einzelpreis", "Zahlungsstatus"]  # fmt: skip
    return Shape("german_lines.csv", table(header, rows, ";", "cp1252", "\r\n"), "right",
                 **truth(orders))  # fmt: skip


def french_headers():
    orders = make_shop(6)
    rows = [
        [f"CMD{o.number}", f"CL-{o.customer}", o.time.strftime("%d/%m/%Y"), money(o.total, True)]
        for o in orders
    ]
    header = ["N° commande", "Client", "Date de commande", "Montant TTC"]
    return Shape("french_headers.csv", table(header, rows, ";", "utf-8-sig"), "right",
                 **truth(orders))  # fmt: skip


def chinese_lines():
    orders = make_shop(7, states=True)
    words = {SOLD: "交易成功", UNPAID: "等待买家付款", CANCELLED: "交易关闭", REFUNDED: "退款成功"}
    goods = ["苹果手机壳", "男士运动鞋", "女士连衣裙", "儿童书包", "咖啡杯"]
    rows = [
        ["旗舰店", o.number, f"买家{o.customer}", o.time.strftime("%Y-%m-%d %H:%M:%S"),
         goods[int(line.sku[1:]) % 5], line.quantity, money(line.price), money(line.gross),
         words[o.state]]
        for o in orders for line in o.lines
    ]  # fmt: skip
    header = ["店铺名称", "订单编号", "买家账号", "下单时间", "商品名称", "数量", "单价"]
    header += ["实付金额", "订单状态"]
    return Shape("chinese_lines.csv", table(header, rows, encoding="gbk"), "right",
                 **truth(orders))  # fmt: skip


def japanese_lines():
    orders = make_shop(8)
    goods = ["りんごジュース", "コーヒー豆", "テニスシューズ", "手帳", "お茶"]
    rows = [
        [f"T1{o.number}", f"M{o.customer:05}", o.time.strftime("%Y/%m/%d"), line.sku,
         goods[int(line.sku[1:]) % 5], line.quantity, line.price, line.gross]
        for o in orders for line in o.lines
    ]  # fmt: skip
    header = ["注文番号", "会員番号", "注文日", "商品コード", "商品名", "数量", "単価", "金額"]
    whole = truth(orders)
    return Shape("japanese_lines.csv", table(header, rows, encoding="cp932", end="\r\n"), "right",
                 **{**whole, "revenue": whole["revenue"] * 100})  # fmt: skip


def spanish_states():
    orders = make_shop(9, states=True)
    words = {SOLD: "Pagado", UNPAID: "Pendiente de pago", CANCELLED: "Anulado",
             REFUNDED: "Reembolsado"}  # fmt: skip
    rows = [
        [o.number, f"C{o.customer}", o.time.strftime("%d-%m-%Y"), money(o.total, comma=True),
         words[o.state]]
        for o in orders
    ]  # fmt: skip
    header = ["Pedido", "Cliente", "Fecha", "Importe", "Estado del pago"]
    return Shape("spanish_states.csv", table(header, rows, ";"), "right", **truth(orders))


def order_number_first():
    orders = make_shop(10)
    dice = dice_of(1)
    rows = []
    for o in orders:
        mail = f"ann.{o.customer}@example.com"
        spelt = dice.choice([mail, mail, mail.upper(), mail.title()])
        rows.append([o.number, spelt, o.time.strftime("%Y-%m-%d"), money(o.total)])
    header = ["ID", "Customer Email", "Order date", "Amount"]
    return Shape("order_number_first.csv", table(header, rows), "right", **truth(orders))


def units_named_amount_with_total():
    orders = make_shop(11)
    rows = [
        [o.customer, o.number, o.time.strftime("%Y-%m-%d"), line.sku, line.quantity,
         money(line.price), money(line.gross)]
        for o in orders for line in o.lines
    ]  # fmt: skip
    header = ["customer_id", "order_id", "date", "product_id", "amount", "price", "line_total"]
    return Shape("units_named_amount_with_total.csv", table(header, rows), "right",
                 **truth(orders))  # fmt: skip


def rate_of_discount_with_total():
    orders = make_shop(12)
    rows = [
        [o.customer, o.number, o.time.strftime("%Y-%m-%d"), line.sku, line.quantity,
         money(line.price), f"{line.rate / 100:g}", money(line.net)]
        for o in orders for line in o.lines
    ]  # fmt: skip
    header = ["customer_id", "order_id", "order_date", "sku", "quantity", "unit_price", "discount",
              "line_total"]  # fmt: skip
    return Shape("rate_of_discount_with_total.csv", table(header, rows), "right",
                 off=discount(orders), **truth(orders, net_total))  # fmt: skip


def refund_column():
    orders = make_shop(13)
    for o in orders[::9]:
        o.refund = o.total // 3
    rows = [
        [f"#{o.number}", f"buyer{o.customer}@shop.example", o.time.isoformat() + "Z",
         money(o.total), money(o.refund)]
        for o in orders
    ]  # fmt: skip
    header = ["Order number", "Email", "Placed at", "Total", "Amount refunded"]
    return Shape("refund_column.csv", table(header, rows), "right", **truth(orders))


def refund_rows_and_guests():
    orders = make_shop(14)
    for o in orders[::8]:
        o.refund = o.total // 2
    rows = []
    for o in orders:
        kept = [o.customer, o.number, o.time.strftime("%Y-%m-%d %H:%M"), money(o.total)]
        rows.append(kept)
        if o.refund:
            later = (o.time + timedelta(days=3)).strftime("%Y-%m-%d %H:%M")
            rows.append([o.customer, o.number, later, money(-o.refund)])
    dice = dice_of(2)
    for n in range(70):
        rows.insert(dice.randrange(len(rows)), [0, 90000 + n, "2023-05-05 12:00", "19.90"])
    header = ["customer_id", "order_id", "order_date", "amount"]
    return Shape("refund_rows_and_guests.csv", table(header, rows, encoding="utf-8-sig",
                 end="\r\n"), "right", **truth(orders))  # fmt: skip


def units_named_amount():
    orders = make_shop(15)
    rows = [
        [o.customer, o.number, o.time.strftime("%Y-%m-%d"), line.sku, line.quantity,
         money(line.price)]
        for o in orders for line in o.lines
    ]  # fmt: skip
    header = ["customer_id", "order_id", "date", "product_id", "amount", "price"]
    answer = {"orders": {"columns": {"quantity": "amount", "unit_price": "price"}}}
    return Shape("units_named_amount.csv", table(header, rows), "asked", words="amount",
                 answer=answer, **truth(orders))  # fmt: skip


def two_amounts():
    orders = make_shop(16)
    rows = [
        [o.customer, o.number, o.time.strftime("%Y-%m-%d"), money(o.total),
         money(o.total * 119 // 100)]
        for o in orders
    ]  # fmt: skip
    header = ["customer_id", "order_id", "order_date", "net_amount", "gross_amount"]
    answer = {"orders": {"columns": {"amount": "net_amount"}}}
    return Shape("two_amounts.csv", table(header, rows), "asked", words="gross_amount",
                 answer=answer, **truth(orders))  # fmt: skip


def day_or_month():
    orders = make_shop(17)
    for o in orders:
        o.time = o.time.replace(day=1 + o.time.day % 12)
    rows = [[o.customer, o.number, o.time.strftime("%d/%m/%Y"), money(o.total)] for o in orders]
    header = ["customer_id", "order_id", "order_date", "amount"]
    return Shape("day_or_month.csv", table(header, rows), "asked", words="day_first",
                 answer={"orders": {"day_first": True}}, **truth(orders))  # fmt: skip


def unknown_states():
    orders = make_shop(18, states=True)
    words = {SOLD: "green", UNPAID: "amber", CANCELLED: "red", REFUNDED: "violet"}
    rows = [
        [o.customer, o.number, o.time.strftime("%Y-%m-%d"), money(o.total), words[o.state]]
        for o in orders
    ]
    header = ["customer_id", "order_id", "order_date", "amount", "order_status"]
    return Shape("unknown_states.csv", table(header, rows), "asked", words="amber",
                 answer={"orders": {"values": {"status": {
                     "green": "sale", "amber": "unpaid", "red": "cancelled",
                     "violet": "refunded"}}}},
                 **truth(orders))  # fmt: skip


def total_on_each_line():
    orders = make_shop(19)
    rows = [
        [o.customer, o.number, o.time.strftime("%Y-%m-%d"), line.sku, line.quantity,
         money(o.total)]
        for o in orders for line in o.lines
    ]  # fmt: skip
    header = ["customer_id", "order_id", "order_date", "sku", "quantity", "order_total"]
    return Shape("total_on_each_line.csv", table(header, rows), "asked", words="order_total",
                 answer={"orders": {"amount_of": "order"}}, **truth(orders))  # fmt: skip


def row_per_customer():
    orders = make_shop(20)
    rows = []
    for customer in sorted({o.customer for o in orders}):
        theirs = [o for o in orders if o.customer == customer]
        rows.append([customer, theirs[0].time.strftime("%Y-%m-%d"),
                     theirs[-1].time.strftime("%Y-%m-%d"), len(theirs),
                     money(sum(o.total for o in theirs))])  # fmt: skip
    header = ["customer_id", "first_order_date", "last_order_date", "orders", "total_spent"]
    return Shape("row_per_customer.csv", table(header, rows), "refused", words="customer")


def event_export():
    dice = dice_of(21)
    rows = []
    for o in make_shop(21):
        for _ in range(4):
            name = dice.choice(["page_view", "view_item", "add_to_cart", "session_start"])
            rows.append([o.time.isoformat(), name, f"u{o.customer}", "/shop", f"s{o.number}", ""])
        rows.append([o.time.isoformat(), "purchase", f"u{o.customer}", "/thanks", f"s{o.number}",
                     money(o.total)])  # fmt: skip
    header = ["event_time", "event_name", "user_id", "page", "session_id", "value"]
    return Shape("event_export.csv", table(header, rows), "refused", words="event")


def daily_totals():
    orders = make_shop(22)
    days = {}
    for o in orders:
        count, total = days.get(o.time.date(), (0, 0))
        days[o.time.date()] = count + 1, total + o.total
    rows = [
        [day.isoformat(), count, money(total), money(total * 9 // 10)]
        for day, (count, total) in days.items()
    ]
    header = ["Day", "Orders", "Gross sales", "Net sales"]
    return Shape("daily_totals.csv", table(header, rows), "refused", words="customer")


def catalogue():
    dice = dice_of(23)
    rows = [
        [f"P{n:03}", f"Article {n}", money(dice.randrange(199, 8999)), dice.randrange(200),
         f"2024-0{1 + n % 9}-11", f"V{n % 7}"]
        for n in range(80)
    ]  # fmt: skip
    header = ["sku", "name", "price", "stock", "updated_at", "vendor_id"]
    return Shape("catalogue.csv", table(header, rows), "refused", words="customer")


def two_tables():
    orders = make_shop(24)
    first = table(["order_id", "customer_id", "order_date", "amount"],
                  [[o.number, o.customer, o.time.strftime("%Y-%m-%d"), money(o.total)]
                   for o in orders])  # fmt: skip
    second = table(["customer_id", "name", "city", "since"],
                   [[n, f"Ann {n}", "Leeds", "2022-01-01"] for n in range(1, 61)])  # fmt: skip
    return Shape("two_tables.csv", first + b"\n" + second, "refused", words="table")


TWENTY = (
    german_lines, french_headers, chinese_lines, japanese_lines, spanish_states,
    order_number_first, units_named_amount_with_total, rate_of_discount_with_total, refund_column,
    refund_rows_and_guests, units_named_amount, two_amounts, day_or_month, unknown_states,
    total_on_each_line, row_per_customer, event_export, daily_totals, catalogue, two_tables,
)  # fmt: skip


# Ten more ----------------------------------------------------------------------------------------


def month_sums():
    orders = make_shop(31)
    rows, month, total = [], None, 0
    for o in orders:
        if month not in (None, o.time.month):
            rows.append(["", "", "Subtotal", "", money(total)])
            total = 0
        month, total = o.time.month, total + o.total
        rows.append([o.customer, o.number, o.time.strftime("%Y-%m-%d"), "web", money(o.total)])
    rows += [["", "", "Subtotal", "", money(total)],
             ["", "", "Grand total", "", money(sum(o.total for o in orders))]]  # fmt: skip
    header = ["Customer No", "Invoice No", "Invoice date", "Channel", "Invoice total"]
    return Shape("month_sums.csv", table(header, rows), "right", **truth(orders))


def sale_rows_beside_lines():
    orders = make_shop(32)
    rows = []
    for o in orders:
        day = o.time.strftime("%Y-%m-%d")
        rows.append(["order", o.number, o.customer, day, "", "", money(o.total)])
        rows += [
            ["line", o.number, o.customer, day, line.sku, line.quantity, money(line.gross)]
            for line in o.lines
        ]
    header = ["row_type", "order_id", "customer_id", "order_date", "sku", "quantity", "amount"]
    return Shape("sale_rows_beside_lines.csv", table(header, rows), "asked", words="row_type",
                 answer={"orders": {"columns": {"row_kind": "row_type"}, "values": {"row_kind": {
                     "order": "total", "line": "line"}}}}, **truth(orders))  # fmt: skip


def net_amount_and_rate():
    orders = make_shop(33)
    rows = [
        [o.customer, o.number, o.time.strftime("%Y-%m-%d"), line.sku, money(line.net),
         f"{line.rate / 100:g}"]
        for o in orders for line in o.lines
    ]  # fmt: skip
    header = ["customer_id", "order_id", "order_date", "sku", "amount", "discount"]
    answer = {"orders": {"discount_unit": "share", "discount_taken": True}}
    return Shape("net_amount_and_rate.csv", table(header, rows), "asked", words="discount",
                 off=discount(orders), answer=answer, **truth(orders, net_total))  # fmt: skip


def italian_company_headers():
    orders = make_shop(34, states=True)
    words = {SOLD: "Pagata", UNPAID: "In attesa di pagamento", CANCELLED: "Annullata",
             REFUNDED: "Rimborsata"}  # fmt: skip
    rows = [
        [f"FT/{o.number}", o.time.strftime("%d/%m/%Y"), f"IT{o.customer:011}",
         f"Ditta {o.customer} S.r.l.", money(o.total, comma=True), words[o.state]]
        for o in orders
    ]  # fmt: skip
    header = ["Numero fattura", "Data fattura", "Codice cliente", "Ragione sociale", "Importo",
              "Stato pagamento"]  # fmt: skip
    return Shape("italian_company_headers.csv", table(header, rows, ";", "cp1252"), "right",
                 **truth(orders))  # fmt: skip


def refund_rows_without_sign():
    orders = make_shop(35)
    for o in orders[::7]:
        o.refund = o.total // 4
    rows = []
    for o in orders:
        day = o.time.strftime("%Y-%m-%d")
        rows.append(["Sale", f"TX{o.number}", f"CU{o.customer}", day, money(o.total)])
        if o.refund:
            rows.append(["Refund", f"RF{o.number}", f"CU{o.customer}", day, money(o.refund)])
    header = ["Transaction type", "Transaction ID", "Customer ID", "Date", "Amount"]
    whole = truth(orders)
    answer = {"orders": {"columns": {"is_return": "Transaction type"},
                         "values": {"is_return": {"Refund": True, "Sale": False}}}}  # fmt: skip
    return Shape("refund_rows_without_sign.csv", table(header, rows), "asked", words="Refund",
                 answer=answer, **whole)  # fmt: skip


def percent_signs():
    orders = make_shop(36)
    rows = [
        [o.customer, o.number, o.time.strftime("%Y-%m-%d"), line.sku, line.quantity,
         money(line.price * 100), f"{line.rate} %"]
        for o in orders for line in o.lines
    ]  # fmt: skip
    header = ["Customer ID", "Order ID", "Order date", "SKU", "Qty", "Unit price", "Discount %"]

    def exact(order):
        return sum(line.gross * (100 - line.rate) for line in order.lines)

    off = sum(line.gross * line.rate for order in orders for line in order.lines)
    return Shape("percent_signs.csv", table(header, rows), "right", off=off,
                 **truth(orders, exact))  # fmt: skip


def korean_tabs():
    orders = make_shop(37)
    rows = [
        [o.number, f"회원{o.customer}", o.time.strftime("%Y-%m-%d %H:%M"), line.name,
         line.quantity, line.gross]
        for o in orders for line in o.lines
    ]  # fmt: skip
    header = ["주문번호", "회원아이디", "주문일시", "상품명", "수량", "결제금액"]
    whole = truth(orders)
    return Shape("korean_tabs.tsv", table(header, rows, "\t", "utf-16"), "right",
                 **{**whole, "revenue": whole["revenue"] * 100})  # fmt: skip


def nested_json():
    orders = make_shop(38)
    records = [
        {
            "id": o.number,
            "created_at": o.time.isoformat() + "Z",
            "customer": {"id": 700000 + o.customer, "email": f"c{o.customer}@example.com"},
            "total_price": money(o.total),
            "line_items": [
                {"sku": line.sku, "quantity": line.quantity, "price": money(line.price)}
                for line in o.lines
            ],
        }
        for o in orders
    ]
    data = "\n".join(json.dumps(record) for record in records).encode()
    return Shape("nested_json.jsonl", data, "right", **truth(orders))


def answers_of_a_survey():
    dice = dice_of(39)
    rows = [
        [n, f"2024-03-{1 + n % 28:02}", *(dice.randrange(1, 6) for _ in range(8))]
        for n in range(1, 120)
    ]
    header = ["respondent_id", "submitted_at", *(f"q{n}" for n in range(1, 9))]
    return Shape("answers_of_a_survey.csv", table(header, rows), "refused", words="amount")


def invoices():
    orders = make_shop(40, states=True)
    words = {SOLD: "Paid", UNPAID: "Open", CANCELLED: "Void", REFUNDED: "Refunded"}
    rows = []
    for n, o in enumerate(orders):
        if o.state == SOLD and n % 17 == 0:
            o.state, word = UNPAID, ("Draft", "Uncollectible", "Past due")[n % 3]
        else:
            word = words[o.state]
        rows.append([f"in_{o.number}", f"cus_{o.customer:06}", o.time.strftime("%Y-%m-%d %H:%M"),
                     "USD", money(o.total), word])  # fmt: skip
    header = ["Invoice ID", "Customer", "Date (UTC)", "Currency", "Total", "Status"]
    return Shape("invoices.csv", table(header, rows), "right", **truth(orders))


TEN = (
    month_sums, sale_rows_beside_lines, net_amount_and_rate, italian_company_headers,
    refund_rows_without_sign, percent_signs, korean_tabs, nested_json, answers_of_a_survey,
    invoices,
)  # fmt: skip


# Ten more, made after the proposal ---------------------------------------------------------------


def paypal_activity():
    orders = make_shop(61)
    for o in orders[::11]:
        o.refund = o.total
    rows = []
    for n, o in enumerate(orders):
        day, time = o.time.strftime("%m/%d/%Y"), o.time.strftime("%H:%M:%S")
        who, shop = f"ann.{o.customer}@example.com", "till@shop.example"
        rows.append([day, time, "PST", f"Ann {o.customer}", "Express Checkout Payment",
                     "Completed", "USD", money(o.total), money(-o.total // 30),
                     money(o.total - o.total // 30), who, shop, f"T{o.number}", ""])  # fmt: skip
        if o.refund:
            rows.append([day, time, "PST", f"Ann {o.customer}", "Payment Refund", "Completed",
                         "USD", money(-o.refund), "0.00", money(-o.refund), shop, who,
                         f"R{o.number}", f"T{o.number}"])  # fmt: skip
        if n % 20 == 19:
            rows.append([day, time, "PST", "", "General Withdrawal", "Completed", "USD",
                         "-5000.00", "0.00", "-5000.00", shop, "", f"W{o.number}",
                         ""])  # fmt: skip
    header = ["Date", "Time", "TimeZone", "Name", "Type", "Status", "Currency", "Gross", "Fee",
              "Net", "From Email Address", "To Email Address", "Transaction ID",
              "Reference Txn ID"]  # fmt: skip
    return Shape("paypal_activity.csv", table(header, rows), "asked", words="the shop itself",
                 **truth(orders))  # fmt: skip


def several_totals():
    orders = make_shop(62)
    rows = [
        [o.time.strftime("%m/%d/%y"), o.number, f"buyer{o.customer}", f"Ann {o.customer}",
         len(o.lines), "Credit Card", money(o.total), "0.00", "4.95", money(o.total // 12),
         money(o.total + 495 + o.total // 12), money(o.total + 495 - o.total // 30)]
        for o in orders
    ]  # fmt: skip
    header = ["Sale Date", "Order ID", "Buyer User ID", "Full Name", "Number of Items",
              "Payment Method", "Order Value", "Discount Amount", "Shipping", "Sales Tax",
              "Order Total", "Order Net"]  # fmt: skip
    answer = {"orders": {"columns": {"amount": "Order Value"}}}
    return Shape("several_totals.csv", table(header, rows), "asked", words="Order Value",
                 answer=answer, **truth(orders))  # fmt: skip


def marketplace_with_footer():
    orders = make_shop(63)
    rows = [
        [f"S{o.number}{n}", f"{o.number}-00", f"buyer_{o.customer}", line.sku, line.name,
         line.quantity, f"${money(line.price)}", f"${money(line.gross)}",
         o.time.strftime("%b-%d-%y")]
        for o in orders for n, line in enumerate(o.lines)
    ]  # fmt: skip
    header = ["Sales record number", "Order number", "Buyer username", "Item number",
              "Item title", "Quantity", "Sold for", "Total price", "Sale date"]  # fmt: skip
    blank = [""] * len(header)
    foot = [blank, [f"{len(rows)}", "record(s) downloaded", *[""] * 7],
            ["Seller ID : shop", *[""] * 8]]  # fmt: skip
    data = b"\n\n" + table(header, [blank, *rows, *foot])
    answer = {"orders": {"columns": {"customer_id": "Buyer username"}}}
    return Shape("marketplace_with_footer.csv", data, "asked", words="Buyer username",
                 answer=answer, **truth(orders))  # fmt: skip


def russian_lines():
    orders = make_shop(64, states=True)
    words = {SOLD: "Выполнен", UNPAID: "Не оплачен", CANCELLED: "Отменён", REFUNDED: "Возврат"}

    def rubles(cents):
        whole = f"{cents // 100:,}".replace(",", "\u00a0")
        return f"{whole},{cents % 100:02}"

    rows = [
        [o.time.strftime("%d.%m.%Y %H:%M"), o.number, f"Клиент {o.customer}", line.sku,
         line.quantity, rubles(line.price * 10), rubles(line.gross * 10), words[o.state]]
        for o in orders for line in o.lines
    ]  # fmt: skip
    header = ["Дата", "Номер заказа", "Клиент", "Артикул", "Кол-во", "Цена", "Сумма", "Статус"]
    whole = truth(orders)
    return Shape("russian_lines.csv", table(header, rows, ";", "cp1251", "\r\n"), "right",
                 **{**whole, "revenue": whole["revenue"] * 10})  # fmt: skip


def polish_lines():
    orders = make_shop(65, states=True)
    words = {SOLD: "Zrealizowane", UNPAID: "Nieopłacone", CANCELLED: "Anulowane",
             REFUNDED: "Zwrócone"}  # fmt: skip
    rows = [
        [f"ZAM-{o.number}", o.time.strftime("%Y-%m-%d"), f"klient{o.customer}@poczta.example",
         line.name.replace("Article", "Żarówka"), line.quantity, money(line.price, comma=True),
         money(line.gross, comma=True), words[o.state]]
        for o in orders for line in o.lines
    ]  # fmt: skip
    header = ["Numer zamówienia", "Data zamówienia", "E-mail klienta", "Nazwa produktu", "Ilość",
              "Cena jednostkowa", "Wartość", "Status"]  # fmt: skip
    return Shape("polish_lines.csv", table(header, rows, ";", "cp1250"), "right",
                 **truth(orders))  # fmt: skip


def opportunities():
    orders = make_shop(66, states=True)
    words = {SOLD: "Closed Won", UNPAID: "Negotiation/Review", CANCELLED: "Closed Lost",
             REFUNDED: "Closed Lost"}  # fmt: skip
    chance = {SOLD: 100, UNPAID: 75, CANCELLED: 0, REFUNDED: 0}
    rows = [
        [f"006{o.number:012}", f"Deal {o.number}", f"Account {o.customer}", words[o.state],
         chance[o.state], money(o.total), o.time.strftime("%m/%d/%Y")]
        for o in orders
    ]  # fmt: skip
    header = ["Opportunity ID", "Opportunity Name", "Account Name", "Stage", "Probability (%)",
              "Amount", "Close Date"]  # fmt: skip
    answer = {"orders": {"columns": {"customer_id": "Account Name"}}}
    return Shape("opportunities.csv", table(header, rows), "asked", words="Account Name",
                 answer=answer, **truth(orders))  # fmt: skip


def till_with_loyalty_cards():
    orders = make_shop(67)
    known = [o for o in orders if o.customer % 5 < 2]
    rows = [
        [o.number, o.time.strftime("%d/%m/%Y"), o.time.strftime("%H:%M"), "2",
         f"LC{o.customer:06}" if o.customer % 5 < 2 else "", money(o.total + o.total // 5),
         money(o.total // 5), money(o.total)]
        for o in orders
    ]  # fmt: skip
    header = ["Receipt no", "Date", "Time", "Till", "Loyalty card", "Gross", "VAT", "Net"]
    answer = {"orders": {"columns": {"customer_id": "Loyalty card", "amount": "Net"}}}
    return Shape("till_with_loyalty_cards.csv", table(header, rows), "asked", words="Net",
                 answer=answer, **truth(known))  # fmt: skip


def column_per_month():
    dice = dice_of(68)
    months = [f"2023-{n:02}" for n in range(1, 13)]
    rows = [[f"K{n}", *(money(dice.randrange(0, 9000)) for _ in months)] for n in range(1, 90)]
    return Shape("column_per_month.csv", table(["customer_id", *months], rows), "refused",
                 words="order_time")  # fmt: skip


def stock_movements():
    dice = dice_of(69)
    rows = [
        [o.time.strftime("%Y-%m-%d"), line.sku, f"W{dice.randrange(1, 4)}",
         dice.choice(["in", "out", "move"]), line.quantity, money(line.price // 2)]
        for o in make_shop(69) for line in o.lines
    ]  # fmt: skip
    header = ["date", "sku", "warehouse", "movement", "quantity", "unit_cost"]
    return Shape("stock_movements.csv", table(header, rows), "refused", words="customer")


def several_currencies():
    orders = make_shop(70)
    rows = [
        [o.customer, o.number, o.time.strftime("%Y-%m-%d"), money(o.total),
         ("EUR", "USD", "JPY")[o.number % 3]]
        for o in orders
    ]  # fmt: skip
    header = ["Customer ID", "Order ID", "Order date", "Order total", "Currency"]
    return Shape("several_currencies.csv", table(header, rows), "asked", words="JPY")


LATER = (
    paypal_activity, several_totals, marketplace_with_footer, russian_lines, polish_lines,
    opportunities, till_with_loyalty_cards, column_per_month, stock_movements, several_currencies,
)  # fmt: skip
