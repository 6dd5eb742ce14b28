"""Twelve more made-up order files, harder than those of `tests.shaped_files`, with their truth."""

from datetime import datetime, timedelta

from tests.shaped_files import Shape, make_shop, money, table, truth

DAY = "%Y-%m-%d"


def charges_as_lines():
    orders = make_shop(81)
    rows = []
    for o in orders:
        head = [o.number, o.customer, o.time.strftime(DAY)]
        rows += [[*head, "item", n.sku, n.quantity, money(n.gross)] for n in o.lines]
        rows.append([*head, "shipping", "", 1, "4.95"])
        rows.append([*head, "tax", "", 1, money(o.total // 5)])
    header = ["Order", "Customer", "Date", "Line type", "SKU", "Qty", "Amount"]
    words = {"shipping": "charge", "tax": "charge"}
    answer = {"orders": {"columns": {"row_kind": "Line type"}, "values": {"row_kind": words}}}
    return Shape("charges_as_lines.csv", table(header, rows), "asked", words="Line type",
                 answer=answer, **truth(orders))  # fmt: skip


def amounts_in_cents():
    orders = make_shop(82)
    rows = [[o.number, f"c{o.customer}", o.time.isoformat(), o.total, "usd"] for o in orders]
    header = ["order_id", "customer_id", "created_at", "amount_cents", "currency"]
    return Shape("amounts_in_cents.csv", table(header, rows), "right", **truth(orders))


def credit_memos():
    orders = make_shop(83)
    rows = []
    for o in orders[::6]:
        o.refund = o.total
    for o in orders:
        tail = [f"A{o.customer}", o.time.strftime("%m/%d/%Y")]
        rows.append(["Invoice", f"INV{o.number}", *tail, money(o.total)])
        if o.refund:
            rows.append(["Credit Memo", f"CM{o.number}", *tail, money(o.refund)])
    header = ["Type", "Num", "Name", "Date", "Amount"]
    columns = {"customer_id": "Name", "order_id": "Num", "is_return": "Type"}
    words = {"is_return": {"Credit Memo": True, "Invoice": False}}
    answer = {"orders": {"columns": columns, "values": words}}
    return Shape("credit_memos.csv", table(header, rows), "asked", words="Credit Memo",
                 answer=answer, **truth(orders))  # fmt: skip


def instalments():
    orders = make_shop(84)
    rows = []
    for o in orders:
        times = 3 if o.number % 4 == 0 else 1
        part = o.total // times
        for n in range(times):
            cents = o.total - part * (times - 1) if n == times - 1 else part
            day = (o.time + timedelta(days=30 * n)).strftime(DAY)
            rows.append([f"P{o.number}{n}", o.number, f"c{o.customer}", day, money(cents)])
    header = ["payment_id", "order_id", "customer_id", "paid_at", "amount"]
    return Shape("instalments.csv", table(header, rows), "right", **truth(orders))


def base_currency():
    orders = make_shop(85)
    rows = [
        [o.number, f"c{o.customer}", o.time.strftime(DAY), ("EUR", "USD")[o.number % 2],
         money(o.total if o.number % 2 == 0 else o.total * 110 // 100), money(o.total)]
        for o in orders
    ]  # fmt: skip
    header = ["Order", "Customer", "Date", "Currency", "Total (currency)", "Total (EUR)"]
    return Shape("base_currency.csv", table(header, rows), "right", **truth(orders))


def sellers():
    orders = make_shop(86)
    rows = [
        [o.number, f"seller{o.number % 7}", f"buyer{o.customer}", o.time.strftime(DAY),
         money(o.total)]
        for o in orders
    ]  # fmt: skip
    header = ["order_id", "seller_id", "buyer_id", "order_date", "total"]
    return Shape("sellers.csv", table(header, rows), "right", **truth(orders))


def clerks_and_members():
    orders = make_shop(87)
    rows = [
        [o.number, o.time.strftime("%Y-%m-%d %H:%M"), f"clerk{o.number % 5}",
         f"M{o.customer:05}" if o.customer % 2 else "", money(o.total)]
        for o in orders
    ]  # fmt: skip
    header = ["ticket", "datetime", "employee", "member", "total"]
    answer = {"orders": {"columns": {"customer_id": "member"}}}
    known = [o for o in orders if o.customer % 2]
    return Shape("clerks_and_members.csv", table(header, rows), "asked", words="member",
                 answer=answer, **truth(known))  # fmt: skip


def taxed_total():
    orders = make_shop(88)
    rows = [
        [o.number, f"c{o.customer}", o.time.strftime(DAY), line.sku, line.quantity,
         money(line.price), money(line.gross * 12 // 10)]
        for o in orders for line in o.lines
    ]  # fmt: skip
    header = ["order_no", "customer_no", "date", "sku", "qty", "unit price net",
              "line total gross"]  # fmt: skip

    def taxed(order):
        return sum(line.gross * 12 // 10 for line in order.lines)

    answer = {"orders": {"columns": {"amount": "line total gross"}}}
    return Shape("taxed_total.csv", table(header, rows), "asked", words="gross", answer=answer,
                 **truth(orders, taxed))  # fmt: skip


def subscriptions():
    rows = [
        [f"c{c}", f"2023-{m:02}-01", "active" if (c + m) % 9 else ("trial", "churned")[c % 2],
         money(2900)]
        for c in range(60) for m in range(1, 13)
    ]  # fmt: skip
    paid = [row for row in rows if row[2] == "active"]
    return Shape("subscriptions.csv", table(["customer", "month", "state", "mrr"], rows), "asked",
                 words="mrr", customers=len({row[0] for row in paid}), orders=len(paid),
                 revenue=2900 * len(paid))  # fmt: skip


def spreadsheet_serials():
    orders = make_shop(90)
    rows = [
        [f"{o.customer}.0", f"{o.number}.0", (o.time - datetime(1899, 12, 30)).days, money(o.total)]
        for o in orders
    ]
    header = ["CustomerID", "InvoiceNo", "InvoiceDate", "Total"]
    return Shape("spreadsheet_serials.csv", table(header, rows), "right", **truth(orders))


def shipped_later():
    orders = make_shop(91)
    rows = [
        [o.number, f"c{o.customer}",
         (o.time + timedelta(days=9)).strftime(DAY) if o.number % 3 else "",
         o.time.strftime(DAY), money(o.total)]
        for o in orders
    ]  # fmt: skip
    header = ["order_id", "customer_id", "ship_date", "order_date", "total"]
    return Shape("shipped_later.csv", table(header, rows), "right", **truth(orders))


def orders_for_testing():
    orders = make_shop(92)
    rows = [
        [o.number, f"c{o.customer}@example.com", o.time.strftime(DAY), money(o.total), "live"]
        for o in orders
    ]
    rows += [[90000 + n, "test@test.example", "2023-05-05", "1.00", "test"] for n in range(30)]
    header = ["order", "email", "date", "total", "mode"]
    return Shape("test_orders.csv", table(header, rows), "right", **truth(orders))


TWELVE = (
    charges_as_lines, amounts_in_cents, credit_memos, instalments, base_currency, sellers,
    clerks_and_members, taxed_total, subscriptions, spreadsheet_serials, shipped_later,
    orders_for_testing,
)  # fmt: skip
