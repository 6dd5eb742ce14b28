"""Exports of known systems are recognised by their header and read right."""

import csv
import re
import shutil
from decimal import Decimal
from pathlib import Path

import polars as pl
import pytest

import segkit
from segkit.campaign.audience import SegmentContract, build_audience
from segkit.errors import MappingError, SourceError
from segkit.intake.folders import table_by_name
from segkit.intake.layouts import find_layout, layout_mapping, list_layouts
from segkit.intake.mapping import PRESET_FOLDER, PRESETS, Mapping
from segkit.schema import CONTRACTS, EVENT_TYPES, OPEN, fields
from tests.export_files import (
    CUSTOMERS,
    FILES,
    FOLDER,
    GA4_EVENTS,
    GA4_ORDERS,
    KLAVIYO_EVENTS,
    consents,
    mail,
    orders_truth,
    shop,
)

ROOT = Path(__file__).parents[1]


def cents(frame):
    return round(100 * frame["amount"].sum())


def test_the_committed_files_are_what_their_generator_writes():
    assert {path.name for path in FOLDER.iterdir()} == set(FILES)
    for name, write in FILES.items():
        assert (FOLDER / name).read_bytes() == write(), name


def test_every_preset_is_data_that_the_contracts_allow():
    assert {layout.preset for layout in list_layouts()} == set(PRESETS) >= {"shopify", "stripe"}
    for layout in list_layouts():
        known = fields(layout.table)
        for name in {**layout.columns, **layout.constants}:
            assert name in known or layout.table in OPEN, (layout, name)
        part = {"columns": {}, "values": layout.values, **layout.options}
        Mapping.from_dict({layout.table: part})
        assert set(layout.values.get("event_type", {}).values()) <= set(EVENT_TYPES)
        assert layout.header
        text = (PRESET_FOLDER / f"{layout.preset}.toml").read_text(encoding="utf-8")
        assert "Source: " in text, "each preset names the source of its layouts"


def test_the_lists_of_presets_in_the_documentation_name_every_preset():
    page = (ROOT / "docs" / "how-to" / "own-data.md").read_text(encoding="utf-8")
    section = page.partition("## Exports of known systems")[2].partition("\n## ")[0]
    assert set(re.findall(r"^\| `(\w+)` \|", section, re.M)) == set(PRESETS)
    page = (ROOT / "data" / "README.md").read_text(encoding="utf-8")
    (listed,) = re.findall(r"^Exports of ([^.]+?)\s+are\s+recognised", page, re.M)
    named = set(re.split(r",\s+|\s+and\s+", listed))
    assert named == {layout.title for layout in list_layouts()}


@pytest.mark.parametrize(
    ("name", "system", "with_refunds"),
    [
        ("shopify_orders.csv", "a Shopify order export", True),
        ("woocommerce_orders.csv", "a WooCommerce order export", True),
        ("stripe_payments.csv", "a Stripe payment export", True),
        ("hubspot_deals.csv", "a HubSpot deal export", False),
    ],
)
def test_orders_customers_and_revenue_are_right_without_a_mapping(name, system, with_refunds):
    audit = segkit.audit_data(FOLDER / name)
    assert not audit.blocked
    assert any(f"This looks like {system}: " in item.finding for item in audit.findings)
    orders = segkit.clean_data(audit).orders
    whole = orders_truth(with_refunds=with_refunds)
    assert orders["customer_id"].n_unique() == whole["customers"]
    assert orders["order_id"].n_unique() == whole["orders"]
    assert cents(orders) == whole["revenue"]


# What counts as sold, in the words of each export; read by hand, without segkit.
SHARED_EXPORTS = {
    "shopify_orders_export.csv": ("Email", "Financial Status", {"paid", "partially_refunded"},
                                  "Name", "Total", "Refunded Amount"),
    "woo_orders.csv": ("billing_email", "status", {"completed"}, "order_id", "order_total", None),
    "stripe_payments.csv": ("Customer Email", "Status", {"Paid"}, "id", "Amount",
                            "Amount Refunded"),
    "square_transactions.csv": ("Customer ID", "Event Type", {"Payment", "Refund"},
                                "Transaction ID", "Net Sales", None),
}  # fmt: skip


@pytest.mark.parametrize("name", SHARED_EXPORTS)
def test_exports_made_by_others_are_right_without_a_mapping(name, shared_data):
    """Orders, customers, revenue net of refunds and unpaid, consent, against sums made apart."""
    path = shared_data(f"../cases/exports/{name}")
    who, state, sold, number, total, refund = SHARED_EXPORTS[name]
    with path.open(encoding="utf-8-sig", newline="") as file:
        rows = [row for row in csv.DictReader(file) if row[state]]  # further lines hold no state
    kept = [row for row in rows if row[state] in sold and row[who]]
    paid = [Decimal(re.sub("[$,]", "", row[total])) for row in kept]
    paid += [-Decimal(row[refund]) for row in kept if refund]
    taken = segkit.clean_data(path)
    orders = taken.orders
    assert set(orders["customer_id"].str.to_lowercase()) == {row[who].lower() for row in kept}
    assert set(orders["order_id"]) == {row[number] for row in kept}
    assert cents(orders) == 100 * sum(paid)
    if "Accepts Marketing" in rows[0]:
        latest = sorted((row for row in rows if row[who]), key=lambda row: row["Created at"])
        agreed = {row[who].lower(): row["Accepts Marketing"] == "yes" for row in latest}
        told = dict(taken.customers.select("customer_id", "email_consent").iter_rows())
        assert told == {customer: agreed[customer.lower()] for customer in told}
        assert set(orders["customer_id"]) <= set(told)


def test_square_joins_date_and_time_and_subtracts_refunds():
    taken = segkit.clean_data(FOLDER / "square_transactions.csv")
    assert cents(taken.orders) == orders_truth()["revenue"]
    assert taken.mapping.options["timezone"] == "Europe/Amsterdam"
    sales = taken.orders.filter(~pl.col("is_return"))
    assert sales["order_time"].dt.hour().n_unique() > 5
    assert taken.orders.filter(pl.col("amount") < 0)["is_return"].all()


def test_lines_of_a_shopify_order_add_up_to_what_was_paid():
    taken = segkit.clean_data(FOLDER / "shopify_orders.csv")
    paid = {f"#{o.number}": o.total - o.refund for o in shop()}
    by_order = taken.orders.group_by("order_id").agg(pl.col("amount").sum(), lines=pl.len())
    for order, amount, _ in by_order.iter_rows():
        assert round(100 * amount) == paid[order]
    lines = {f"#{o.number}": len(o.lines) for o in shop()}
    assert all(lines[order] == count for order, _, count in by_order.iter_rows())


def test_consent_in_an_order_export_is_that_of_the_latest_order():
    taken = segkit.clean_data(FOLDER / "shopify_orders.csv")
    told = dict(taken.customers.select("customer_id", "email_consent").iter_rows())
    assert told == {mail(n): email for n, (email, _) in consents().items() if mail(n) in told}
    assert len(told) == len({o.customer for o in shop()})


@pytest.mark.parametrize(
    ("names", "with_sms"),
    [
        (["shopify_customers.csv"], True),
        (["klaviyo_profiles.csv"], True),
        (["klaviyo_profiles.jsonl"], True),
        (["hubspot_contacts.csv"], False),
        ([name for name in FILES if "audience_export" in name], False),
    ],
)
def test_contacts_join_the_orders_and_say_their_consent_by_channel(tmp_path, names, with_sms):
    for name in ("woocommerce_orders.csv", *names):
        shutil.copy(FOLDER / name, tmp_path / name)
    taken = segkit.clean_data(tmp_path)
    contacts = taken.customers.sort("customer_id")
    told = {row["customer_id"]: row for row in contacts.iter_rows(named=True)}
    assert set(told) == {mail(n) for n in consents()}
    for n, (email, sms) in consents().items():
        assert told[mail(n)]["email_consent"] is email
        if with_sms:
            assert told[mail(n)]["sms_consent"] is sms
    assert set(taken.orders["customer_id"]) <= set(told)


def test_consent_by_channel_reaches_the_audiences(tmp_path):
    for name in ("shopify_orders.csv", "klaviyo_profiles.csv"):
        shutil.copy(FOLDER / name, tmp_path / name)
    taken = segkit.clean_data(tmp_path)
    given = taken.customers.select("customer_id", offer=pl.lit("sale"), segment=pl.lit("S1"))
    terms = SegmentContract("c", "2025-02-28", "1", "", "ward", {"S1": "all"})
    for channel, place in (("email", 0), ("sms", 1)):
        made = build_audience(given, taken.customers, contract=terms, channel=channel, min_cell=1)
        allowed = {mail(n) for n, consent in consents().items() if consent[place]}
        assert set(made.frame["customer_id"]) == allowed


def test_an_event_export_is_events_and_never_orders():
    taken = segkit.clean_data(FOLDER / "ga4_events.jsonl")
    assert taken.orders is None
    known = [kind for kind in GA4_EVENTS if kind != "scroll"]
    assert taken.events.height == len(known) * GA4_ORDERS
    views = taken.events.filter(pl.col("event_type") == "product_view")
    orders = shop()[:GA4_ORDERS]
    assert views["product_id"].to_list() == [o.lines[0].sku for o in orders]
    visits = taken.events.filter(pl.col("event_type") == "site_visit")
    assert visits["event_time"].dt.replace_time_zone(None).to_list() == [o.time for o in orders]
    assert visits["session_id"].to_list() == [str(o.number) for o in orders]


@pytest.mark.parametrize("name", ["klaviyo_events.csv", "klaviyo_events.jsonl"])
def test_klaviyo_events_are_told_by_their_metric(name):
    taken = segkit.clean_data(FOLDER / name)
    orders = shop() if name.endswith("csv") else shop()[:GA4_ORDERS]
    counts = dict(taken.events["event_type"].value_counts().iter_rows())
    kinds = ("email_sent", "email_open", "email_click", "product_view")
    assert len(KLAVIYO_EVENTS) == len(kinds)
    assert counts == dict.fromkeys(kinds, len(orders))
    assert set(taken.events["customer_id"]) == {mail(o.customer) for o in orders}


def test_of_several_ids_the_preferred_is_taken_unless_it_is_nearly_empty():
    names = ["id", "Created date (UTC)", "Amount", "Amount Refunded", "Currency", "Status"]
    base = pl.DataFrame(dict.fromkeys(names, ["x"] * 10))
    layout = find_layout(base.columns, None)
    for filled, chosen in ((10, "Customer Email"), (6, "Customer Email"), (1, "Customer ID")):
        emails = [f"a{n}@example.com" if n < filled else " " for n in range(10)]
        frame = base.with_columns(
            pl.Series("Customer Email", emails),
            pl.Series("Customer ID", [f"cus_{n}" for n in range(10)]),
        )
        assert layout_mapping(layout, frame).columns["customer_id"] == chosen
    empty = base.with_columns(
        pl.lit("").alias("Customer ID"), pl.lit(None).alias("Card Issue Country")
    )
    columns = layout_mapping(layout, empty).columns
    assert columns["customer_id"] == "Customer ID"
    assert "country" not in columns


def test_events_go_by_the_column_that_holds_the_orders_customers(tmp_path):
    for name in ("shopify_orders.csv", "ga4_events.jsonl", "shopify_products.csv"):
        shutil.copy(FOLDER / name, tmp_path / name)
    taken = segkit.clean_data(tmp_path)
    assert set(taken.events["customer_id"]) <= {mail(n) for n in range(1, CUSTOMERS + 1)}
    assert taken.products.height == 25
    assert set(taken.orders["product_id"]) <= set(taken.products["product_id"])


def test_deals_and_companies_meet_by_the_companys_id(tmp_path):
    for name in ("hubspot_deals.csv", "hubspot_companies.csv"):
        shutil.copy(FOLDER / name, tmp_path / name)
    taken = segkit.clean_data(tmp_path)
    assert set(taken.orders["customer_id"]) <= set(taken.customers["customer_id"])
    assert taken.customers["industry"].n_unique() == 2


def test_deals_and_contacts_meet_by_the_companys_id_of_the_contact(tmp_path):
    for name in ("hubspot_deals.csv", "hubspot_contacts.csv"):
        shutil.copy(FOLDER / name, tmp_path / name)
    taken = segkit.clean_data(tmp_path)
    assert set(taken.orders["customer_id"]) <= set(taken.customers["customer_id"])


def test_a_preset_can_be_set_and_switched_off_at_every_door():
    path = FOLDER / "stripe_payments.csv"
    off = segkit.audit_data(path, preset="none")
    assert not any("This looks like" in item.finding for item in off.findings)
    assert "amount_of" not in off.mapping.tables["orders"].options
    by_mapping = segkit.audit_data(path, {"preset": "none"})
    assert by_mapping.mapping == off.mapping
    on = segkit.clean_data(path, preset="stripe")
    assert cents(on.orders) == orders_truth()["revenue"]
    with pytest.raises(
        SourceError, match=r"expected a Shopify .*columns not found: .*'none' reads"
    ):
        segkit.audit_data(path, preset="shopify")
    with pytest.raises(MappingError, match="expected one of ") as error:
        segkit.audit_data(path, preset="magento")
    assert all(re.search(rf"\b{name}\b", str(error.value)) for name in (*PRESETS, "none"))


def test_ones_own_mapping_goes_before_the_preset(tmp_path):
    path = FOLDER / "shopify_orders.csv"
    answer = {"orders": {"columns": {"amount": "Subtotal"}}}
    audit = segkit.audit_data(path, answer)
    assert audit.mapping.tables["orders"].columns["amount"] == "Subtotal"
    saved = audit.save_mapping(tmp_path / "mapping.toml")
    again = segkit.clean_data(path, saved)
    assert again.orders.equals(segkit.clean_data(path, answer).orders)


def test_parts_of_one_export_are_appended(tmp_path):
    whole = (FOLDER / "woocommerce_orders.csv").read_bytes()
    header, *rows = whole.decode().replace("twice,\nplease", "twice").splitlines()
    for place in (0, 1):
        part = "\n".join([header, *rows[place::2]])
        (tmp_path / f"wc-orders-{place}.csv").write_text(part, encoding="utf-8")
    taken = segkit.clean_data(tmp_path)
    assert cents(taken.orders) == orders_truth()["revenue"]
    assert any("2 files appended: wc-orders-0.csv, wc-orders-1.csv" in n for n in taken.notes)
    paths = sorted(tmp_path.iterdir())
    assert segkit.clean_data({"orders": paths}).orders.equals(taken.orders)
    overlap = "\n".join([header, *rows[1::2], *rows[:6]])
    (tmp_path / "wc-orders-1.csv").write_text(overlap, encoding="utf-8")
    again = segkit.clean_data(tmp_path)
    assert cents(again.orders) == orders_truth()["revenue"]
    assert any("3 rows of these files stand in an earlier one too" in n for n in again.notes)


@pytest.mark.parametrize("product", [[], ["cup", "pen"]])
def test_of_orders_in_two_exports_the_later_state_holds(tmp_path, product):
    def write(name, orders, state):
        rows = [
            f"N{n},k{n % 9},2024-01-{1 + n // 2:02} 10:{n % 2}0,{state(n)},{n}.50{line}"
            for n in orders
            for line in ([f",{item},2" for item in product] if product else [""])
        ]
        header = "Order ID,Customer,Date,Status,Total" if not product else (
            "Order ID,Customer,Date,Status,Unit price,Product,Quantity")  # fmt: skip
        (tmp_path / name).write_text("\n".join([header, *rows]))

    def final(n):
        return "cancelled" if n % 5 == 0 else "paid"

    write("orders z old.csv", range(1, 31), lambda n: "paid" if n > 20 else final(n))
    write("orders a new.csv", range(21, 50), final)
    taken = segkit.clean_data(tmp_path)
    each = 2 * len(product) or 1
    assert taken.orders["amount"].sum() == each * sum(n + 0.5 for n in range(1, 50) if n % 5)
    assert any("2 orders of these files stand in a later one" in note for note in taken.notes)
    write("orders z old.csv", range(21, 50), lambda n: "paid")
    with pytest.raises(SourceError, match="end at the same time"):
        segkit.clean_data(tmp_path)


def test_an_order_that_two_files_share_by_its_lines_is_whole(tmp_path):
    header = "Order ID,Customer,Date,Product,Quantity,Unit price\n"
    rows = [f"N{n // 2},k,2024-01-{1 + n // 2:02},P{n},1,{n}.50" for n in range(1, 20)]
    (tmp_path / "orders 1.csv").write_text(header + "\n".join(rows[:10]))
    (tmp_path / "orders 2.csv").write_text(header + "\n".join(rows[10:]))
    assert segkit.clean_data(tmp_path).orders.height == 19


@pytest.mark.parametrize("other", ["stripe_payments.csv", "orders.csv"])
def test_orders_in_two_layouts_are_refused_because_sales_could_count_twice(tmp_path, other):
    shutil.copy(FOLDER / "shopify_orders.csv", tmp_path / "shopify orders.csv")
    if other in FILES:
        shutil.copy(FOLDER / other, tmp_path / other)
    else:
        (tmp_path / "Bestellungen.csv").write_text("Kunde,Datum,Betrag\na,2024-01-31,1.50\n")
    with pytest.raises(SourceError, match="the same sales may stand in more than one"):
        segkit.audit_data(tmp_path)
    one = segkit.clean_data({"orders": tmp_path / "shopify orders.csv"})
    assert cents(one.orders) == orders_truth()["revenue"]


def test_files_of_a_folder_without_a_preset_are_told_by_their_names(tmp_path):
    (tmp_path / "Bestellungen 2024.csv").write_text(
        "Kundennummer;Bestelldatum;Betrag\nann@example.com;31.01.2024;10,50\n"
    )
    (tmp_path / "kontakte.csv").write_text("Nr,Email,Geschlecht\n1,Ann@example.com,f\n")
    (tmp_path / "x.csv").write_text("a,b\n1,2\n")
    taken = segkit.clean_data(tmp_path)
    assert taken.customers.select("customer_id", "gender").rows() == [("ann@example.com", "f")]
    assert any("x.csv is not read" in note for note in taken.notes)
    (tmp_path / "pedidos.csv").write_text("Cliente;Fecha;Importe\na;31.01.2024;1\n")
    with pytest.raises(SourceError, match=r"Bestellungen 2024\.csv, pedidos\.csv have diff"):
        segkit.clean_data(tmp_path)
    (tmp_path / "pedidos.csv").unlink()
    (tmp_path / "clients.csv").write_text("id,sex\n1,f\n")
    with pytest.raises(SourceError, match="expected files of one table to have the same"):
        segkit.clean_data(tmp_path)


def test_tables_are_known_by_the_first_word_of_a_file_that_tells_one():
    names = {"customer_orders.csv": "customers", "orders_by_customer.csv": "orders",
             "Produkte.xlsx": "products", "events.jsonl": "events", "notes.txt": None}  # fmt: skip
    assert {name: table_by_name(name) for name in names} == names
    assert set(names.values()) - {None} <= set(CONTRACTS)
