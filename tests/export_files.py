"""Made-up exports in the layouts of the presets, one shop in all of them, with their truth.

``python -m tests.export_files`` writes them to ``tests/exports``. Nothing here uses segkit.
"""

import calendar
import json
from datetime import timedelta
from pathlib import Path

from tests.shaped_files import (
    CANCELLED,
    REFUNDED,
    SOLD,
    UNPAID,
    make_shop,
    money,
    table,
    truth,
)


def header_of(names):
    """Return the names of columns."""
    return names.split(",")


FOLDER = Path(__file__).with_name("exports")
CUSTOMERS = 14
SHOPIFY = header_of(
    "Name,Email,Financial Status,Paid at,Fulfillment Status,Fulfilled at,Accepts Marketing,"
    "Currency,Subtotal,Shipping,Taxes,Total,Discount Code,Discount Amount,Shipping Method,"
    "Created at,"
    "Lineitem quantity,Lineitem name,Lineitem price,Lineitem compare at price,Lineitem sku,"
    "Lineitem requires shipping,Lineitem taxable,Lineitem fulfillment status,Billing Name,"
    "Billing Street,Billing Address1,Billing Address2,Billing Company,Billing City,Billing Zip,"
    "Billing Province,Billing Country,Billing Phone,Shipping Name,Shipping Street,"
    "Shipping Address1,Shipping Address2,Shipping Company,Shipping City,Shipping Zip,"
    "Shipping Province,Shipping Country,Shipping Phone,Notes,Note Attributes,Cancelled at,"
    "Payment Method,Payment Reference,Refunded Amount,Vendor,Outstanding Balance,Employee,"
    "Location,"
    "Device ID,Id,Tags,Risk Level,Source,Lineitem discount,Phone,Receipt Number"
)
MAILCHIMP = header_of(
    "Email Address,First Name,Last Name,Address,Phone Number,MEMBER_RATING,OPTIN_TIME,OPTIN_IP,"
    "CONFIRM_TIME,CONFIRM_IP,LATITUDE,LONGITUDE,GMTOFF,DSTOFF,TIMEZONE,CC,REGION,LAST_CHANGED,LEID,"
    "EUID,NOTES,TAGS"
)


def shop():
    """Return the shop's orders; some are unpaid, cancelled, or refunded wholly or in part."""
    orders = make_shop(51, customers=CUSTOMERS, states=True)
    for order in orders:
        if order.state == REFUNDED:
            order.refund = order.total
    for order in [order for order in orders if order.state == SOLD][::6]:
        order.refund = order.total // 4
    return orders


def mail(customer):
    """Return a customer's address."""
    return f"ann.{customer}@example.com"


def consents():
    """Return each customer's consent to e-mail and to text messages."""
    return {n: (n % 3 != 0, n % 4 == 0) for n in range(1, CUSTOMERS + 1)}


def stamp(order, form="%Y-%m-%d %H:%M:%S"):
    """Write when an order was placed."""
    return order.time.strftime(form)


def rows_of(header, records):
    """Lay records out under a header; what a record lacks is empty."""
    return [[record.get(name, "") for name in header] for record in records]


def shopify_orders():
    words = {SOLD: "paid", UNPAID: "pending", CANCELLED: "voided", REFUNDED: "refunded"}
    records = []
    for order in reversed(shop()):  # the newest first, as Shopify lists them
        part = order.state == SOLD and order.refund
        head = {
            "Financial Status": "partially_refunded" if part else words[order.state],
            "Accepts Marketing": "yes" if consents()[order.customer][0] else "no",
            "Currency": "EUR", "Subtotal": money(order.total), "Shipping": "0.00",
            "Taxes": "0.00", "Total": money(order.total), "Discount Amount": "0.00",
            "Billing Country": "NL", "Shipping Country": "NL", "Refunded Amount":
            money(order.refund), "Outstanding Balance": "0.00", "Id": 5_000_000_000 + order.number,
            "Source": "web", "Risk Level": "Low",
            "Cancelled at": stamp(order) + " +0000" if order.state == CANCELLED else "",
        }  # fmt: skip
        for place, line in enumerate(order.lines):
            records.append({
                "Name": f"#{order.number}", "Email": mail(order.customer),
                "Created at": stamp(order) + " +0000", "Lineitem quantity": line.quantity,
                "Lineitem name": line.name, "Lineitem price": money(line.price),
                "Lineitem sku": line.sku, "Lineitem discount": "0.00", "Vendor": "House",
                **(head if place == 0 else {}),
            })  # fmt: skip
    return table(SHOPIFY, rows_of(SHOPIFY, records))


def shopify_customers():
    header = ["Customer ID", "First Name", "Last Name", "Email", "Accepts Email Marketing",
              "Default Address Company", "Default Address City", "Default Address Province Code",
              "Default Address Country Code", "Phone", "Accepts SMS Marketing", "Total Spent",
              "Total Orders", "Note", "Tax Exempt", "Tags"]  # fmt: skip
    records = [
        {"Customer ID": f"'{7_000_000 + n}", "First Name": "Ann", "Last Name": f"No {n}",
         "Email": mail(n), "Accepts Email Marketing": "yes" if email else "no",
         "Accepts SMS Marketing": "yes" if sms else "no", "Default Address Country Code": "NL",
         "Default Address Province Code": "UT", "Phone": f"'+3161234{n:04}"}
        for n, (email, sms) in consents().items()
    ]  # fmt: skip
    return table(header, rows_of(header, records))


def shopify_products():
    header = ["Handle", "Title", "Body (HTML)", "Vendor", "Product Category", "Type", "Tags",
              "Published", "Variant SKU", "Variant Price", "Variant Compare At Price",
              "Status"]  # fmt: skip
    records = [
        {"Handle": f"article-{n}", "Title": f"Article {n}", "Vendor": f"House {n % 3}",
         "Type": ("Shirts", "Shoes", "Bags")[n % 3], "Variant SKU": f"P{n:03}",
         "Variant Price": "9.90", "Status": "active", "Body (HTML)": "<p>two\nlines</p>"}
        for n in range(25)
    ]  # fmt: skip
    return table(header, rows_of(header, records))


def woocommerce_orders():
    words = {SOLD: "completed", UNPAID: "on-hold", CANCELLED: "cancelled", REFUNDED: "refunded"}
    header = ["order_id", "order_number", "order_date", "paid_date", "status", "shipping_total",
              "shipping_tax_total", "tax_total", "cart_discount", "order_discount",
              "discount_total", "order_total", "refunded_total", "order_currency",
              "payment_method", "customer_id", "billing_first_name", "billing_last_name",
              "billing_company", "billing_email", "billing_phone", "billing_country",
              "shipping_country", "customer_note"]  # fmt: skip
    records = [
        {"order_id": o.number, "order_number": o.number, "order_date": stamp(o),
         "status": words[o.state], "order_total": money(o.total), "shipping_total": "0.00",
         "refunded_total": money(-o.refund) if o.refund else "0", "order_currency": "EUR",
         "customer_id": 0 if o.customer % 2 else o.customer, "billing_email": mail(o.customer),
         "billing_country": "NL", "customer_note": "ring twice,\nplease"}
        for o in shop()
    ]  # fmt: skip
    return table(header, rows_of(header, records))


def stripe_payments():
    words = {SOLD: "Paid", UNPAID: "Uncaptured", CANCELLED: "Failed", REFUNDED: "Refunded"}
    header = ["id", "Created date (UTC)", "Amount", "Amount Refunded", "Currency", "Captured",
              "Converted Amount", "Converted Amount Refunded", "Converted Currency",
              "Description", "Fee", "Taxes On Fee", "Status", "Seller Message", "Card ID",
              "Customer ID", "Customer Description", "Customer Email", "Invoice ID",
              "Transfer"]  # fmt: skip
    records = [
        {"id": f"ch_{o.number}", "Created date (UTC)": stamp(o), "Amount": money(2 * o.total),
         "Amount Refunded": money(2 * o.refund), "Currency": "usd" if o.number % 2 else "eur",
         "Captured": "true", "Converted Amount": money(o.total),
         "Converted Amount Refunded": money(o.refund), "Converted Currency": "eur",
         "Status": words[o.state], "Customer Email": mail(o.customer)}
        for o in shop()
    ]  # fmt: skip
    return table(header, rows_of(header, records))


SQUARE = ["Date", "Time", "Time Zone", "Gross Sales", "Discounts", "Service Charges", "Net Sales",
          "Gift Card Sales", "Tax", "Tip", "Partial Refunds", "Total Collected", "Source", "Card",
          "Cash", "Fees", "Net Total", "Transaction ID", "Payment ID", "Event Type", "Location",
          "Customer ID", "Customer Name", "Customer Reference ID"]  # fmt: skip


def square_transactions():
    records = []
    for o in shop():
        if o.state in (UNPAID, CANCELLED):
            continue
        amounts = [("Payment", o.total)] + ([("Refund", -o.refund)] if o.refund else [])
        for kind, cents in amounts:
            when = o.time + timedelta(days=2 if cents < 0 else 0)
            shown = f"${money(cents)}" if cents >= 0 else f"-${money(-cents)}"
            records.append({
                "Date": when.strftime("%m/%d/%y"), "Time": when.strftime("%H:%M:%S"),
                "Time Zone": "Amsterdam", "Gross Sales": shown, "Net Sales": shown,
                "Tax": "$0.00", "Total Collected": shown, "Source": "Register", "Card": shown,
                "Transaction ID": f"{kind[0]}{o.number}", "Payment ID": f"p{o.number}",
                "Event Type": kind, "Location": "Main St", "Customer ID": f"SQ{o.customer:05}",
                "Customer Name": f"Ann {o.customer}",
            })  # fmt: skip
    return table(SQUARE, rows_of(SQUARE, records))


GA4_ORDERS = 12
GA4_EVENTS = ("session_start", "page_view", "view_item", "add_to_cart", "begin_checkout", "scroll")


def ga4_events():
    lines = []
    for o in shop()[:GA4_ORDERS]:
        for place, kind in enumerate(GA4_EVENTS):
            at = o.time + timedelta(minutes=place)
            items = [{"item_id": line.sku, "price": line.price / 100} for line in o.lines]
            lines.append({
                "event_date": at.strftime("%Y%m%d"),
                "event_timestamp": f"{calendar.timegm(at.timetuple())}000000",
                "event_name": kind, "event_params": [
                    {"key": "page_location", "value": {"string_value": "https://a.example/shirts",
                     "int_value": None, "float_value": None, "double_value": None}},
                    {"key": "ga_session_id", "value": {"string_value": None,
                     "int_value": str(o.number), "float_value": None, "double_value": None}}],
                "user_id": mail(o.customer) if o.number % 3 else None,
                "user_pseudo_id": f"{o.customer}.170{o.customer}", "platform": "WEB",
                "items": items[:1] if kind == "view_item" else items,
            })  # fmt: skip
    return "\n".join(json.dumps(line) for line in lines).encode() + b"\n"


WORDS = {True: "SUBSCRIBED", False: "UNSUBSCRIBED"}


def klaviyo_profiles():
    header = ["Email", "Klaviyo ID", "First Name", "Last Name", "Phone Number", "Country",
              "State / Region", "City", "Email Marketing Consent", "SMS Marketing Consent",
              "Profile Created On"]  # fmt: skip
    records = [
        {"Email": mail(n).upper() if n % 5 == 0 else mail(n), "Klaviyo ID": f"01H{n:05}",
         "First Name": "Ann", "Country": "Netherlands", "Email Marketing Consent": WORDS[email],
         "SMS Marketing Consent": "SUBSCRIBED" if sms else "NEVER_SUBSCRIBED",
         "Phone Number": f"+3161234{n:04}"}
        for n, (email, sms) in consents().items()
    ]  # fmt: skip
    return table(header, rows_of(header, records))


def klaviyo_profiles_json():
    lines = [
        {"type": "profile", "id": f"01H{n:05}", "attributes": {
            "email": mail(n), "phone_number": f"+3161234{n:04}", "external_id": None,
            "location": {"country": "Netherlands", "region": "UT"},
            "subscriptions": {
                "email": {"marketing": {"consent": WORDS[email], "suppression": []}},
                "sms": {"marketing": {"consent": WORDS[sms]}}}}}
        for n, (email, sms) in consents().items()
    ]  # fmt: skip
    return "\n".join(json.dumps(line) for line in lines).encode() + b"\n"


KLAVIYO_EVENTS = ("Received Email", "Opened Email", "Clicked Email", "Viewed Product")


def klaviyo_events():
    header = ["Metric Name", "Email", "Profile ID", "Timestamp", "Campaign Name", "SKU", "URL"]
    records = []
    for o in shop():
        for place, kind in enumerate(KLAVIYO_EVENTS):
            at = o.time - timedelta(hours=5 - place)
            records.append({
                "Metric Name": kind, "Email": mail(o.customer), "Timestamp":
                at.strftime("%Y-%m-%d %H:%M:%S+00:00"), "Campaign Name": f"Spring {o.number % 4}",
                "SKU": o.lines[0].sku if kind == "Viewed Product" else "",
            })  # fmt: skip
    return table(header, rows_of(header, records))


def klaviyo_events_json():
    lines = []
    for o in shop()[:GA4_ORDERS]:
        for place, kind in enumerate(KLAVIYO_EVENTS):
            at = o.time - timedelta(hours=5 - place)
            lines.append({
                "type": "event", "id": f"{o.number}-{place}", "attributes": {
                    "datetime": at.strftime("%Y-%m-%dT%H:%M:%S+00:00"), "event_properties": {
                        "Campaign Name": f"Spring {o.number % 4}", "SKU": o.lines[0].sku}},
                "metric": {"name": kind}, "profile": {"email": mail(o.customer)},
            })  # fmt: skip
    return "\n".join(json.dumps(line) for line in lines).encode() + b"\n"


def _mailchimp(customers, more):
    records = [
        {"Email Address": mail(n), "First Name": "Ann", "Phone Number": f"+3161234{n:04}",
         "MEMBER_RATING": 1 + n % 5, "OPTIN_TIME": "2022-03-01 10:00:00",
         "CONFIRM_TIME": "2022-03-01 10:00:00", "CC": "nl", "REGION": "ut",
         "TIMEZONE": "Europe/Amsterdam", "LEID": 300 + n, "EUID": f"{n:010x}",
         "TAGS": '"vip","shop"' if n % 4 == 0 else "", "UNSUB_TIME": "2023-05-01 09:00:00",
         "CLEAN_TIME": "2023-06-01 09:00:00"}
        for n in customers
    ]  # fmt: skip
    header = MAILCHIMP[:-2] + more + MAILCHIMP[-2:]
    return table(header, rows_of(header, records))


def mailchimp_subscribed():
    return _mailchimp([n for n, (email, _) in consents().items() if email], [])


def mailchimp_unsubscribed():
    left = [n for n, (email, _) in consents().items() if not email]
    more = ["UNSUB_TIME", "UNSUB_CAMPAIGN_TITLE", "UNSUB_CAMPAIGN_ID", "UNSUB_REASON"]
    return _mailchimp(left[:-1], more)


def mailchimp_cleaned():
    left = [n for n, (email, _) in consents().items() if not email]
    return _mailchimp(left[-1:], ["CLEAN_TIME", "CLEAN_CAMPAIGN_TITLE", "CLEAN_CAMPAIGN_ID"])


def hubspot_contacts():
    header = ["Record ID", "First Name", "Last Name", "Email", "Phone Number", "Contact owner",
              "Associated Company", "Associated Company IDs", "Lead Status", "Lifecycle Stage",
              "Country/Region", "Create Date", "Unsubscribed from all email"]  # fmt: skip
    records = [
        {"Record ID": 8000 + n, "First Name": "Ann", "Last Name": f"No {n}", "Email": mail(n),
         "Phone Number": f"+3161234{n:04}", "Associated Company": f"Firm {n}",
         "Associated Company IDs": 9000 + n, "Lifecycle Stage": "Customer",
         "Country/Region": "Netherlands", "Create Date": "2022-01-05 10:00",
         "Unsubscribed from all email": "No" if email else "Yes"}
        for n, (email, _) in consents().items()
    ]  # fmt: skip
    return table(header, rows_of(header, records))


def hubspot_companies():
    header = ["Record ID", "Company name", "Company owner", "Create Date", "Phone Number",
              "City", "Country/Region", "Industry", "Number of Employees"]  # fmt: skip
    records = [
        {"Record ID": 9000 + n, "Company name": f"Firm {n}", "Country/Region": "Netherlands",
         "Industry": ("Retail", "Software")[n % 2], "Number of Employees": 10 * n}
        for n in consents()
    ]  # fmt: skip
    return table(header, rows_of(header, records))


def hubspot_deals():
    words = {SOLD: "Closed Won", UNPAID: "Contract Sent", CANCELLED: "Closed Lost",
             REFUNDED: "Closed Lost"}  # fmt: skip
    header = ["Record ID", "Deal Name", "Deal Stage", "Close Date", "Deal owner", "Amount",
              "Pipeline", "Create Date", "Associated Contact", "Associated Contact IDs",
              "Associated Company", "Associated Company IDs"]  # fmt: skip
    records = [
        {"Record ID": o.number, "Deal Name": f"Deal {o.number}", "Deal Stage": words[o.state],
         "Close Date": o.time.strftime("%Y-%m-%d %H:%M"), "Amount": money(o.total),
         "Pipeline": "Sales Pipeline", "Associated Contact IDs": 8000 + o.customer,
         "Associated Company": f"Firm {o.customer}", "Associated Company IDs": 9000 + o.customer}
        for o in shop()
    ]  # fmt: skip
    return table(header, rows_of(header, records))


FILES = {
    "shopify_orders.csv": shopify_orders,
    "shopify_customers.csv": shopify_customers,
    "shopify_products.csv": shopify_products,
    "woocommerce_orders.csv": woocommerce_orders,
    "stripe_payments.csv": stripe_payments,
    "square_transactions.csv": square_transactions,
    "ga4_events.jsonl": ga4_events,
    "klaviyo_profiles.csv": klaviyo_profiles,
    "klaviyo_profiles.jsonl": klaviyo_profiles_json,
    "klaviyo_events.csv": klaviyo_events,
    "klaviyo_events.jsonl": klaviyo_events_json,
    "subscribed_email_audience_export_1.csv": mailchimp_subscribed,
    "unsubscribed_email_audience_export_1.csv": mailchimp_unsubscribed,
    "cleaned_email_audience_export_1.csv": mailchimp_cleaned,
    "hubspot_contacts.csv": hubspot_contacts,
    "hubspot_companies.csv": hubspot_companies,
    "hubspot_deals.csv": hubspot_deals,
}


def orders_truth(*, with_refunds=True):
    """Add up what the shop sold and kept."""
    orders = shop()
    if not with_refunds:
        for order in orders:
            order.refund = 0
    return truth(orders)


if __name__ == "__main__":
    FOLDER.mkdir(exist_ok=True)
    for name, write in FILES.items():
        (FOLDER / name).write_bytes(write())
