"""Description of the scoring service in the OpenAPI page: requests, answers and refusals."""

from __future__ import annotations

from typing import Any

from segkit.live.serve.bodies import REQUIRED, ROWS

DESCRIPTION = (
    "Segments, value, churn and offers of single customers, by the same models and code as the "
    "batch. Every answer names the model's version and the hash of the data that it was fitted on."
)
_JSON_TYPES: dict[str, dict[str, Any]] = {
    "id": {"type": ["string", "integer"]},
    "text": {"type": ["string", "null"]},
    "money": {"type": ["number", "null"]},
    "number": {"type": ["number", "null"]},
    "flag": {"type": ["boolean", "null"]},
    "day": {"type": ["string", "integer"], "format": "date"},
    "time": {"type": ["string", "null"], "format": "date-time"},
}


def _describe_rows(table: str) -> dict[str, Any]:
    properties = {
        name: {**_JSON_TYPES[field.kind], "description": field.about}
        for name, field in ROWS[table].items()
    }
    return {
        "type": "array",
        "items": {
            "type": "object",
            "properties": properties,
            "required": list(REQUIRED[table]),
            "additionalProperties": False,
        },
    }


_TEXT = {"type": "string"}
_MAYBE_TEXT, _MAYBE_NUMBER = {"type": ["string", "null"]}, {"type": ["number", "null"]}
CUSTOMER: dict[str, Any] = {
    "type": "object",
    "description": "Either features, or orders with as_of (and events, where the model reads any).",
    "properties": {
        "customer_id": {"type": ["string", "integer", "null"], "description": "handed back"},
        "consent": {
            "type": ["boolean", "null"],
            "description": "Whether the customer agreed to be contacted with offers. Without true "
            "the segment is told, but no offer.",
        },
        "features": {
            "type": "object",
            "description": "The model's columns (GET /model), all of them; null where not known.",
            "additionalProperties": {"type": ["number", "string", "boolean", "null"]},
        },
        "orders": _describe_rows("orders"),
        "events": _describe_rows("events"),
        "as_of": {"type": "string", "format": "date", "description": "last day that is used"},
        "attributes": {
            "type": "object",
            "description": "Columns of the customers table that the model of churn reads.",
        },
    },
    "additionalProperties": False,
}
_VERSION = {
    "model": _TEXT,
    "model_version": {"type": "string", "description": "of the files' bytes"},
    "segkit_version": {"type": ["string", "null"], "description": "that fitted the model"},
    "data_hash": {"type": ["string", "null"], "description": "of the customers of the fit"},
}
ASSIGNMENT: dict[str, Any] = {
    "type": "object",
    "properties": {
        **_VERSION,
        "customer_id": _MAYBE_TEXT,
        "segment": _MAYBE_TEXT,
        "segment_name": _MAYBE_TEXT,
        "distance": {**_MAYBE_NUMBER, "description": "in the model's own unit"},
        "second_segment": _MAYBE_TEXT,
        "margin": {**_MAYBE_NUMBER, "description": "how much farther the second segment is"},
        "unlike_any": {"type": ["boolean", "null"]},
        "reason": {**_MAYBE_TEXT, "description": "why there is no segment"},
        "probability": _MAYBE_NUMBER,
        "p_alive": _MAYBE_NUMBER,
        "p_order": _MAYBE_NUMBER,
        "expected_orders": _MAYBE_NUMBER,
        "spend_per_order": _MAYBE_NUMBER,
        "expected_value": _MAYBE_NUMBER,
        "next_date": {"type": ["string", "null"], "format": "date"},
        "churn_probability": _MAYBE_NUMBER,
        "offer": _MAYBE_TEXT,
        "offer_withheld": {
            "type": ["string", "null"],
            "enum": ["no_consent", "consent_not_recorded", None],
        },
    },
}
_LINE = {"order_id": "O1", "order_day": "2025-01-15", "amount": 49.9, "discount": 5.0,
         "category": "shoes", "product_id": "P1", "channel": "web"}  # fmt: skip
EXAMPLE = {
    "customer_id": "C1",
    "consent": True,
    "as_of": "2025-02-28",
    "orders": [_LINE, _LINE | {"order_id": "O2", "order_day": "2025-02-20", "amount": 25.0}],
    "events": [
        {"event_type": "email_open", "event_day": "2025-02-20", "campaign_id": "M1",
         "event_time": "2025-02-20T18:30:00Z", "session_id": "V1", "page": "home",
         "duration_seconds": 20.0}
    ],
}  # fmt: skip
_REFUSALS = {
    401: "no key, or a wrong one",
    403: "the key lacks the role",
    404: "no such model",
    408: "the request did not come whole in time",
    413: "the body is too large",
    422: "a field is missing, unknown or holds what it cannot; loc names it",
}
_DETAIL = {
    "type": "object",
    "properties": {
        "detail": {
            "type": "array",
            "items": {
                "type": "object",
                "properties": {
                    "loc": {"type": "array", "items": {"type": ["string", "integer"]}},
                    "msg": _TEXT,
                },
            },
        }
    },
}
_WHICH = {
    "name": "model",
    "in": "query",
    "required": False,
    "schema": _TEXT,
    "description": "Name of the model; the first without it.",
}


def _content(schema: Any, kind: str = "application/json") -> dict[str, Any]:
    return {kind: {"schema": schema}}


def _operation(
    method: str,
    role: str,
    summary: str,
    description: str,
    answer: dict[str, Any],
    *,
    body: Any = None,
    refusals: tuple[int, ...] = (),
    choose: bool = False,
    kind: str = "application/json",
) -> dict[str, Any]:
    words = f"{description} Role: {role}." if role else description
    extra: dict[str, Any] = {"security": [{"key": []}]} if role else {}
    if body is not None:
        example = EXAMPLE if "features" in body.get("properties", {}) else {"customers": [EXAMPLE]}
        content = {"application/json": {"schema": body, "example": example}}
        extra["requestBody"] = {"required": True, "content": content}
    if choose:
        extra["parameters"] = [_WHICH]
    codes = (*((401, 403) if role else ()), *refusals)
    responses: dict[int, Any] = {
        code: {"description": _REFUSALS[code], "content": _content(_DETAIL)} for code in codes
    }
    responses[200] = {"description": "the answer", "content": _content(answer, kind)}
    return {
        "method": method,
        "summary": summary,
        "description": words,
        "extra": extra,
        "responses": responses,
    }


_ANY = {"type": "object"}
_BATCH = {
    "type": "object",
    "properties": {"customers": {"type": "array", "items": CUSTOMER}},
    "required": ["customers"],
    "additionalProperties": False,
}
_ANSWERS = {
    "type": "object",
    "properties": {**_VERSION, "customers": {"type": "array", "items": ASSIGNMENT}},
}
_BODY = (404, 408, 413, 422)
OPERATIONS: dict[str, dict[str, Any]] = {
    "/assign": _operation(
        "POST", "assign", "Assign one customer",
        "From features, or from raw orders and events; with raw rows also value and churn, where "
        "such models are in service.",
        ASSIGNMENT, body=CUSTOMER, refusals=_BODY, choose=True,
    ),
    "/assign/batch": _operation(
        "POST", "assign", "Assign several customers",
        "One wrong field refuses them all; its place is named.",
        _ANSWERS, body=_BATCH, refusals=_BODY, choose=True,
    ),
    "/segments": _operation(
        "GET", "read", "List the segments", "Size, share and centre of each segment.",
        {"type": "object", "properties": {**_VERSION, "segments": {"type": "array"}}},
        refusals=(404,), choose=True,
    ),
    "/model": _operation(
        "GET", "read", "Describe a model", "What it is, and what it needs of a customer.",
        {"type": "object", "properties": _VERSION}, refusals=(404,), choose=True,
    ),
    "/kpi": _operation(
        "GET", "read", "Show the KPI page", "The page that the last batch wrote.", _TEXT,
        refusals=(404,), kind="text/html",
    ),
    "/metrics": _operation(
        "GET", "read", "Show the metrics", "As Prometheus reads them.", _TEXT, kind="text/plain"
    ),
    "/health": _operation("GET", "", "Say that the service answers", "Needs no key.", _ANY),
    "/reload": _operation(
        "POST", "reload", "Read models and keys again",
        "What cannot be read stays as it was: the answer then has status 409 and says why. "
        "Requests under way keep the model that they began with.",
        _ANY,
    ),
}  # fmt: skip
