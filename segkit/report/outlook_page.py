"""Page of a shop's customer segments: worth, customers slipping away, lists, possible tests."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import polars as pl

from segkit.campaign.outlook import MOST_LIFT
from segkit.display import counted, money, number, percent
from segkit.report.page import hide_addresses, part, style

if TYPE_CHECKING:
    from segkit.campaign.outlook import Outlook

CARDS = 3


def write_outlook_page(
    outlook: Outlook,
    *,
    source: str,
    files: Mapping[str, str],
    notices: Sequence[str] = (),
    compared: Sequence[str] = (),
    basis: Sequence[str] = (),
    is_net: bool = True,
) -> str:
    """Return the page as HTML, complete in itself.

    Parameters
    ----------
    outlook : Outlook
    source : str
        Name of the data.
    files : mapping of str to str
        Files that lie beside the page, and what they hold.
    notices : sequence of str
        What must be seen first.
    compared : sequence of str
        What is left out, and other figures of the same rows, to compare with those shown.
    basis : sequence of str
        What was read, and what was assumed.
    is_net : bool
        Whether sums given back are known, and taken off revenue.
    """
    return hide_addresses(
        part(
            "start.html.j2",
            css=style("style.css", "overview.css", "start.css"),
            source=source,
            first_day=outlook.first_day.isoformat(),
            as_of=outlook.as_of.isoformat(),
            lead=_lead(outlook),
            figures=_figures(outlook, is_net=is_net),
            cards=_cards(outlook),
            rows=_rows(outlook),
            contact="May be written to" if outlook.has_addresses else "",
            slipping=_slipping(outlook),
            tests=_tests(outlook),
            months=_months(outlook),
            files=[{"name": name, "about": about} for name, about in files.items()],
            notices=notices,
            compared=[line.removeprefix("Compare: ") for line in compared],
            basis=basis,
        )
    )


def _lead(outlook: Outlook) -> str:
    best = outlook.concentration
    if best is None:
        return outlook.at_stake
    share = percent(best.top_share, places=0)
    return f"The best fifth of your customers bring {share} of revenue. {outlook.at_stake}"


def _figures(outlook: Outlook, *, is_net: bool) -> list[dict[str, str]]:
    people = outlook.customers
    listed = outlook.audience.frame.height
    contact = number(listed) if listed or not outlook.unrecorded else "not known"
    if not outlook.has_addresses:
        contact = "no addresses"
    slipping = number(int(outlook.slipping["customers"].sum()))
    revenue = money(float(people["revenue"].sum()), outlook.currency)
    return [
        {"name": "customers who bought", "value": number(people.height), "tone": ""},
        {"name": "revenue, net of returns" if is_net else "revenue", "value": revenue, "tone": ""},
        {"name": "customers slipping away", "value": slipping, "tone": "attention"},
        {"name": "customers you may write to", "value": contact, "tone": ""},
    ]


def _contact(row: Mapping[str, Any], outlook: Outlook) -> str:
    """Write how many of a segment may be written to, or that it is not known."""
    is_recorded = outlook.audience.frame.height or not outlook.unrecorded
    return number(row["listed"]) if is_recorded else "not known"


def _cards(outlook: Outlook) -> list[dict[str, str]]:
    cards = []
    for row in outlook.urgent.head(CARDS).iter_rows(named=True):
        size = counted(row["customers"], "customer")
        if outlook.audience.frame.height:
            size = f"You may write to {number(row['listed'])} of {size}."
        cards.append(
            {
                "segment": row["segment"],
                "size": size,
                "action": row["action"],
                "who": f"{row['description'][0].upper()}{row['description'][1:]}: "
                f"{money(round(row['revenue']), outlook.currency)} so far, last order "
                f"{counted(round(row['recency_days']), 'day')} ago (median).",
            }
        )
    return cards


def _rows(outlook: Outlook) -> list[dict[str, Any]]:
    most = max(outlook.segments["revenue_share"].fill_null(0.0))
    rows = []
    for row in outlook.segments.iter_rows(named=True):
        share = row["revenue_share"]
        width = 100 * max(0.0, share) / most if share is not None and most > 0 else 0.0
        rows.append(
            {
                "segment": row["segment"],
                "description": row["description"],
                "slipping": row["slipping"],
                "customers": number(row["customers"]),
                "customer_share": percent(row["customer_share"], places=0),
                "revenue": money(round(row["revenue"])),
                "revenue_share": percent(share, places=0),
                "width": round(width, 1),
                "orders": f"{row['orders_per_customer']:.1f}",
                "recency": number(round(row["recency_days"])),
                "contact": _contact(row, outlook),
            }
        )
    return rows


def _slipping(outlook: Outlook) -> list[str]:
    """Write who is slipping away, the largest loss first, and how many new customers return."""
    texts = [
        f"{row['segment']}: {counted(row['customers'], 'customer')}, "
        f"{money(round(row['revenue']), outlook.currency)} "
        f"({percent(row['revenue_share'], places=0)} of revenue), last order "
        f"{counted(round(row['recency_days']), 'day')} ago."
        for row in outlook.slipping.sort("revenue", descending=True).iter_rows(named=True)
    ]
    if not texts:
        texts.append("Nobody: no customer who ordered several times is late.")
    first = outlook.repeat.by_order.row(0, named=True)
    if first["repeat_rate"] is not None:
        texts.append(
            f"{percent(first['repeat_rate'], places=0)} of new customers order again within a "
            f"year (95% confidence interval {percent(first['repeat_rate_low'], places=0)} to "
            f"{percent(first['repeat_rate_high'], places=0)})."
        )
    return texts


def _tests(outlook: Outlook) -> list[str]:
    """Write which lift a test of one month shows, and in which segments alone."""
    if outlook.power is None:
        text = (
            "The orders do not reach back far enough: a test is planned from two months or more, "
        )
        return [f"{text}with 50 customers in the first."]
    whole = outlook.power.table.row(0, named=True)
    smallest = whole["smallest_lift_rate"]
    size = counted(whole["customers"], "customer")
    base = f"{percent(whole['base_rate'])} of customers order within a month"
    if smallest is None or smallest > MOST_LIFT:
        first = (
            f"Do not test mails for a month: {base}, and with {size} even a doubling would often "
            "go unseen. Write to all, and test over a longer time."
        )
    else:
        first = (
            f"Hold back a random half of the list for a month. {base[0].upper()}{base[1:]}; with "
            f"{size} the smallest lift of orders that such a test shows is "
            f"{percent(smallest, places=0)} (80% power, 5% level)."
        )
    alone = outlook.segments.filter(pl.col("smallest_lift_rate") <= MOST_LIFT)
    names = ", ".join(
        f"{row['segment']} ({percent(row['smallest_lift_rate'], places=0)})"
        for row in alone.iter_rows(named=True)
    )
    second = f"Large enough to be tested alone: {names}." if names else ""
    return [first, *([second] if second else ["No segment is large enough to be tested alone."])]


def _months(outlook: Outlook) -> list[dict[str, str]]:
    rows = []
    for row in outlook.months.iter_rows(named=True):
        if outlook.months_tried == 0:
            break
        if row["months"] is not None:
            test = counted(row["months"], "month")
        elif row["customers_needed"] is None:
            test = f"none of up to {counted(outlook.months_tried, 'month')}"
        else:
            test = (
                f"none; {counted(outlook.months_tried, 'month')} would take "
                f"{counted(row['customers_needed'], 'customer')}"
            )
        rows.append({"lift": percent(row["lift_rate"], places=0), "test": test})
    return rows
