"""What do the simulated raw columns mean? The mapping for the intake, as data."""

from __future__ import annotations

from typing import Any

from segkit.simulate.catalogue import CURRENCY
from segkit.simulate.seasons import ZONE

_SAME = ("email", "device_id")

MAPPING: dict[str, Any] = {
    "timezone": ZONE,
    "currency": CURRENCY,
    "duplicates": "drop",
    "orders": {
        "discount_unit": "money",
        "discount_taken": False,
        "cancelled": ["cancelled"],
        "date_format": "%Y-%m-%d %H:%M:%S",
        "decimal": ".",
        "columns": {
            "customer_id": "account_id",
            "order_id": "order_no",
            "order_time": "ordered_at",
            "product_id": "product_id",
            "category": "category",
            "quantity": "quantity",
            "unit_price": "unit_price",
            "discount": "discount",
            "currency": "currency",
            "channel": "channel",
            "status": "status",
        },
    },
    "events": {
        "columns": {"customer_id": "account_id"}
        | {
            name: name
            for name in (
                *("event_time", "event_type", "session_id", "campaign_id", "product_id", "page"),
                *("channel", "duration_seconds", *_SAME),
            )
        },
    },
    "customers": {
        "columns": {"customer_id": "account_id"}
        | {
            name: name
            for name in (
                *("birth_date", "gender", "income_band", "region", "preferred_channel", *_SAME),
                *("loyalty_id", "marketing_consent", "profiling_consent"),
            )
        },
    },
    "links": {"columns": {n: n for n in ("customer_id", "email", "device_id", "loyalty_id")}},
    "products": {"columns": {n: n for n in ("product_id", "category", "name", "list_price")}},
    "prices": {"columns": {n: n for n in ("product_id", "valid_from", "unit_price")}},
    "fx": {"columns": {n: n for n in ("currency", "valid_from", "rate")}},
    "campaigns": {
        "columns": {n: n for n in ("campaign_id", "offer", "starts", "cost_per_contact", "margin")}
    },
    "survey": {"columns": {"customer_id": "account_id", "nps": "nps", "csat": "csat"}},
    "assignments": {
        "columns": {"customer_id": "account_id"}
        | {n: n for n in ("campaign_id", "arm", "offer", "assigned_at")}
    },
}
