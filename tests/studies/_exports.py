"""Exports of shops composed of independent draws, with their truth and what their owner knows."""

import csv
import io
import random
import tomllib
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path

WORDS = tomllib.loads(Path(__file__).with_name("export_words.toml").read_text(encoding="utf-8"))
STATES = ("paid", "unpaid", "cancelled", "refunded")
MEANING = {"paid": "sale", **{word: word for word in STATES[1:]}}


@dataclass
class Export:
    """A made-up file with what its owner knows of it."""

    data: bytes
    drawn: dict
    roles: dict  # header: role
    words: dict  # word of a state, lower case: its meaning
    customers: set  # roles that tell every buyer
    decimal: str
    bases: list  # of (people, orders, set of revenues)
    refused: set = field(default_factory=set)  # addresses


def _pick(dice, text):
    return dice.choice([word.strip() for word in text.split("|")])


def draw_elements(dice):
    """Draw what the file looks like, each element by itself."""
    often = lambda share: dice.random() < share  # noqa: E731
    drawn = {
        "language": dice.choice(list(WORDS)),
        "shape": dice.choice(["order", "order", "repeated", "first", "lines"]),
        "identity": dice.choice([
            "customer email name", "customer email", "email name", "customer name",
            "customer name phone", "email phone name", "customer", "email", "name phone",
            "customer email name phone", "name",
        ]),
        "states": often(0.6), "paid_at": often(0.2), "guests": "", "dress": set(), "odd": set(),
    }  # fmt: skip
    if {"customer", "email"} <= set(drawn["identity"].split()) and often(0.4):
        drawn["guests"] = dice.choice(["blank", "0", "new"])
    elif drawn["identity"] == "customer" and often(0.2):
        drawn["guests"] = "blank"
    for name, share in (("title", 0.1), ("total", 0.15), ("blank", 0.08), ("signs", 0.12),
                        ("iso", 0.3), ("thousands", 0.3), ("upper", 0.05)):  # fmt: skip
        if often(share):
            drawn["dress"].add(name)
    for name, share in (("tests", 0.06), ("charges", 0.2), ("credits", 0.08), ("repeats", 0.06),
                        ("placeholder", 0.06), ("discount", 0.4), ("percent", 0.06),
                        ("units", 0.04), ("shipping", 0.4), ("net", 0.15),
                        ("refund", 0.12)):  # fmt: skip
        if often(share):
            drawn["odd"].add(name)
    more = ["tax", "method", "channel", "note", "coupon", "shipped", "due", "currency", "consent",
            "sku", "line", "phone"]  # fmt: skip
    drawn["more"] = [name for name in more if often(0.25)]
    return drawn


def draw_shop(dice, words, drawn):
    """Draw people and orders; orders are dictionaries with their lines."""
    split = lambda key: [w.strip() for w in words[key].split("|")]  # noqa: E731
    names = [f"{a} {b}" for a in split("first") for b in split("last")]
    people = [
        {
            "customer": str(10400 + 7 * n), "name": name, "email": f"user{n * 37 % 991}x@gmail.com",
            "phone": f"0{600000000 + n * 7919321 % 99999999}", "agrees": dice.random() < 0.6,
        }
        for n, name in enumerate(dice.sample(names, dice.randrange(50, 95)))
    ]  # fmt: skip
    scale = {"HUF": 400, "JPY": 150, "KRW": 1300, "VND": 25000, "IDR": 16000, "CLP": 900}
    scale = scale.get(drawn["currency"], 1)
    cents = 1 if scale > 1 else 100
    goods = [
        (f"SKU-{100 + n}", name, round(dice.uniform(4, 90) * scale) if scale > 1
         else round(dice.uniform(4, 90), 2))
        for n, name in enumerate(split("products"))
    ]  # fmt: skip
    weights = [min(dice.paretovariate(1.2), 6) for _ in people]
    states = {key: [_pick(dice, words[key]) for _ in range(2 if key == "paid" else 1)]
              for key in STATES}  # fmt: skip
    orders = []
    for _ in range(dice.randrange(130, 260)):
        state = dice.choices(STATES, (85, 6, 6, 3))[0] if drawn["states"] else "paid"
        if drawn["paid_at"] and not drawn["states"]:
            state = dice.choices(STATES[:2], (90, 10))[0]
        lines = [
            {"goods": dice.choice(goods), "quantity": dice.choice([1, 1, 1, 2, 3])}
            for _ in range(dice.choice([1, 1, 2, 3, 4]))
        ]
        orders.append({
            "time": datetime(2024, 1, 3, 8) + timedelta(minutes=dice.randrange(60 * 24 * 600)),
            "who": dice.choices(people, weights)[0], "state": state, "lines": lines,
            "word": dice.choice(states[state]), "guest": dice.random() < 0.25, "sign": 1,
        })  # fmt: skip
    orders.sort(key=lambda one: one["time"])
    for n, order in enumerate(orders):
        gross = sum(line["quantity"] * line["goods"][2] for line in order["lines"])
        off = round(gross * 0.1 * cents) / cents if n % 5 == 0 and "discount" in drawn["odd"] else 0
        ship = round(4.9 * scale, 0 if scale > 1 else 2) if "shipping" in drawn["odd"] else 0
        back = round(gross * 0.3 * cents) / cents if n % 9 == 4 and "refund" in drawn["odd"] else 0
        nobody = "placeholder" in drawn["odd"] and n % 7 == 3
        order |= {
            "number": drawn["prefix"] + str(20310 + 3 * n), "gross": gross, "off": off,
            "ship": ship, "back": back if order["state"] == "paid" else 0, "nobody": nobody,
            "method": _pick(dice, words["methods"]),
        }  # fmt: skip
    return orders, {word.lower(): MEANING[key] for key in STATES for word in states[key]}


def make_export(seed):
    """Compose an export and its truth."""
    dice = random.Random(seed)  # noqa: S311 - repeatable draws, no secret
    drawn = draw_elements(dice)
    words = WORDS[drawn["language"]]
    drawn["currency"], decimal, *marks = _pick(dice, words["money"]).split(" ")
    drawn["prefix"] = dice.choice(["", "", "", "#", "A-", "2024/"])
    orders, meanings = draw_shop(dice, words, drawn)
    for order in dice.sample(orders, 4) if "tests" in drawn["odd"] else []:
        order["who"] = {"customer": "99999", "name": "Test Test", "email": "test@example.com",
                        "phone": "0123456789", "agrees": True, "test": True}  # fmt: skip
    if "credits" in drawn["odd"] and drawn["shape"] != "first":
        sold = [order for order in orders if order["state"] == "paid"]
        for n, order in enumerate(dice.sample(sold, 6)):
            orders.append(order | {"number": f"{drawn['prefix']}{90001 + n}", "sign": -1, "back": 0,
                                   "time": order["time"] + timedelta(days=9)})  # fmt: skip
    header, rows = _rows(dice, words, drawn, orders)
    mark = {"_": " "}.get(marks[0], marks[0]) if marks and "thousands" in drawn["dress"] else ""
    data = _write(dice, words, drawn, header, rows, decimal, mark)
    case = str.upper if "upper" in drawn["dress"] else str
    roles = {case(text): role for role, text in header.items()}
    told = _telling(drawn, header)
    return Export(data, drawn, roles, meanings, told, decimal, *_truth(drawn, orders, header))


def _telling(drawn, header):
    """Return the roles that tell every buyer."""
    known = {"customer", "email", "phone", "name"} & set(header)
    if drawn["guests"] and "email" in known:
        known -= {"customer"}
    if "placeholder" in drawn["odd"] and known - {"email"}:
        known -= {"email"}
    return known


def _total(order):
    return order["gross"] - order["off"] + order["ship"]


def _net(order):
    return round(_total(order) / 1.2, 2)


def _columns(drawn):
    """Return the roles of the file's columns, in the order of a usual export."""
    lines = drawn["shape"] != "order"
    roles = ["order", "ordered", *drawn["identity"].split()]
    roles += ["state"] if drawn["states"] else []
    roles += ["paid_at"] if drawn["paid_at"] else []
    if lines:
        roles += ["product", "quantity", "price", "line_total"]
    if drawn["shape"] != "lines":
        roles += ["total"]
        roles += ["shipping"] if "shipping" in drawn["odd"] else []
        roles += [one for one in ("discount", "net", "refund") if one in drawn["odd"]]
    more = [one for one in drawn["more"] if lines or one not in ("sku", "line")]
    return [*dict.fromkeys([*roles, *more])]


def _rows(dice, words, drawn, orders):
    """Write the headers by role, and rows of values."""
    header = {}
    for role in _columns(drawn):
        free = [w.strip() for w in words[role].split("|") if w.strip() not in header.values()]
        if free:
            header[role] = dice.choice(free)
    moved = list(header)
    if dice.random() < 0.5:
        dice.shuffle(moved)
    header = {role: header[role] for role in moved}
    yes, no = _pick(dice, words["yes_no"]).split(" ")
    rows = []
    for order in orders:
        whole = _whole(drawn, order) | {"consent": yes if order["who"]["agrees"] else no}
        for place, line in enumerate(order["lines"] if drawn["shape"] != "order" else [None]):
            row = whole | {"line": str(len(rows) + 1)}
            if line:
                sku, name, price = line["goods"]
                units = order["sign"] * line["quantity"]
                row |= {"sku": sku, "product": name, "quantity": units, "price": price,
                        "line_total": units * price}  # fmt: skip
            if place and drawn["shape"] == "first":
                row |= dict.fromkeys(["total", "net", "refund", "shipping", "discount", "tax"])
            rows.append(row)
        if "charges" in drawn["odd"] and drawn["shape"] == "lines" and order["sign"] > 0:
            order["charge"] = order["ship"] or 5
            charge = {"quantity": 1, "price": order["charge"], "line_total": order["charge"]}
            rows.append(whole | charge | {"product": _pick(dice, words["shipping"])})
    if "repeats" in drawn["odd"] and drawn["shape"] == "order":
        rows += rows[-25:]
    return header, rows


def _whole(drawn, order):
    """Return what the file says of an order, by role."""
    who = dict(order["who"])
    if order["guest"] and drawn["guests"] and "test" not in who:
        fresh = {"blank": "", "0": "0", "new": f"7{order['number'][-5:]}"}
        who["customer"] = fresh[drawn["guests"]]
    if order["nobody"]:
        who["email"] = "noemail@shop.example"
    paid = order["time"] + timedelta(days=1) if order["state"] in ("paid", "refunded") else None
    return who | {
        "order": order["number"], "ordered": order["time"], "state": order["word"],
        "paid_at": paid, "shipped": paid, "due": order["time"] + timedelta(days=14),
        "total": order["sign"] * _total(order), "net": order["sign"] * _net(order),
        "refund": order["back"], "shipping": order["ship"], "discount": order["off"],
        "tax": round((order["gross"] - order["off"]) / 6, 2), "method": order["method"],
        "channel": "Web", "note": "", "coupon": "SAVE10" if order["off"] else "",
        "currency": drawn["currency"],
    }  # fmt: skip


def _write(dice, words, drawn, header, rows, decimal, mark):
    """Write the file with its dress."""
    form = "%Y-%m-%d %H:%M:%S" if "iso" in drawn["dress"] else _pick(dice, words["dates"])
    whole = all(row["total"] == round(row["total"]) for row in rows if row["total"] is not None)
    sign = {"EUR": " €", "GBP": " £", "USD": " $"}.get(drawn["currency"], "")
    sign = (sign or " " + drawn["currency"]) if "signs" in drawn["dress"] else ""

    def show(role, value):
        if value is None:
            return ""
        if isinstance(value, datetime):
            return value.strftime(form)
        if role == "quantity":
            return f"{value} pcs" if "units" in drawn["odd"] else str(value)
        if isinstance(value, (int, float)):
            text = f"{value:,.0f}" if whole else f"{value:,.2f}"
            return text.replace(",", "\0").replace(".", decimal).replace("\0", mark) + sign
        return str(value)

    titles = [name.upper() if "upper" in drawn["dress"] else name for name in header.values()]
    table = [titles, *([show(role, row.get(role)) for role in header] for row in rows)]
    if "blank" in drawn["dress"]:
        table.insert(len(table) // 2, [""] * len(header))
    if "total" in drawn["dress"]:
        sums = {
            role: show(role, sum(row.get(role) or 0 for row in rows))
            for role in ("total", "line_total") if role in header
        }  # fmt: skip
        last = [sums.get(role, "") for role in header]
        last[0] = last[0] or "Total"
        table.append(last)
    if "title" in drawn["dress"]:
        table[:0] = [["Report 2024"], []]
    separator = dice.choice([";", "\t"]) if decimal == "," else dice.choice([",", ",", ";", "\t"])
    text = io.StringIO()
    ends = dice.choice(["\n", "\r\n"])
    csv.writer(text, delimiter=separator, lineterminator=ends).writerows(table)
    encoding = _pick(dice, words["encodings"])
    try:
        return text.getvalue().encode(encoding)
    except UnicodeEncodeError:
        return text.getvalue().encode("utf-8")


def _truth(drawn, orders, header):
    """Return the accepted bases, and the addresses that may not be written to."""
    bases = []
    for refunded in (False, True):  # a refunded order is an order without revenue
        for hidden in (False, not {"name", "email"} & set(header)):  # nothing says test
            kept = [o for o in orders if hidden or "test" not in o["who"]]
            if not {"name", "customer", "phone"} & set(header):
                kept = [o for o in kept if not o["nobody"]]
            if drawn["guests"] and not {"name", "email", "phone"} & set(header):
                kept = [o for o in kept if not o["guest"] or "test" in o["who"]]
            sold = [o for o in kept if o["state"] == "paid"]
            back = [o for o in kept if o["state"] == "refunded"] if refunded else []
            people = len({o["who"]["name"] for o in sold + back if o["sign"] > 0})
            number = sum(o["sign"] > 0 for o in sold + back)
            money = [
                sum(o["sign"] * value(o) - (o["back"] if "refund" in header else 0) for o in sold)
                for value in (
                    lambda o: o["gross"], lambda o: o["gross"] - o["off"], _total, _net,
                    lambda o: o["gross"] + o.get("charge", 0),
                )
            ]  # fmt: skip
            bases.append((people, number, set(money)))
    refused = {o["who"]["email"] for o in orders if not o["who"]["agrees"]}
    return bases, refused if {"consent", "email"} <= set(header) else set()
