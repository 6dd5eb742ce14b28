"""Description of the scoring service in the OpenAPI page: requests, answers and refusals."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from segkit.live.serve.bodies import REQUIRED, ROWS
from segkit.live.serve.models import ASSIGNED, VALUED

DESCRIPTION = (
    "Segments, value, churn and offers of single customers, by the same models and code as the "
    "batch. Every answer names the model's version and the hash of the data that it was fitted on."
)


def _kind(*kinds: str, about: str = "", **more: Any) -> dict[str, Any]:
    schema = {"type": kinds[0] if len(kinds) == 1 else list(kinds), **more}
    return schema | ({"description": about} if about else {})


def _object(properties: Mapping[str, Any], *required: str) -> dict[str, Any]:
    """Describe the object of a request: it has no other properties."""
    return _kind("object", properties=properties, required=required, additionalProperties=False)


def _describe_rows(table: str) -> dict[str, Any]:
    columns = {n: _kind(*_KINDS[f.kind], about=f.about) for n, f in ROWS[table].items()}
    return {"type": "array", "items": _object(columns, *REQUIRED[table])}


_KINDS = {"id": ("string", "integer"), "day": ("string", "integer"), "flag": ("boolean", "null"),
          **dict.fromkeys(("money", "number"), ("number", "null")),
          **dict.fromkeys(("text", "time"), ("string", "null"))}  # fmt: skip
_TEXT, _MAYBE_TEXT = _kind("string"), _kind("string", "null")
CUSTOMER = _object({
    "customer_id": _kind("string", "integer", "null", about="handed back"),
    "consent": _kind(
        "boolean", "null",
        about="Whether the customer agreed to be contacted with offers. Without true the segment "
        "is told, but no offer.",
    ),
    "features": _kind(
        "object", about="The model's columns (GET /model), all of them; null where not known.",
        additionalProperties=_kind("number", "string", "boolean", "null"),
    ),
    "orders": _describe_rows("orders"),
    "events": _describe_rows("events"),
    "as_of": _kind("string", format="date", about="last day that is used; 1990 to a year from now"),
    "attributes": _kind("object", about="Columns of customers that the model of churn reads."),
})  # fmt: skip
CUSTOMER["description"] = "Features, or orders with as_of (and events, where the model reads any)."
_VERSION = {
    "model": _TEXT,
    "model_version": _kind("string", about="of the files' bytes"),
    "segkit_version": _kind("string", "null", about="that fitted the model"),
    "data_hash": _kind("string", "null", about="of the customers of the fit"),
}
_MEANINGS = {
    "distance": "in the model's own unit",
    "margin": "how much farther the second segment is",
    "reason": "why there is no segment",
    "offer_withheld": "no_consent or consent_not_recorded",
}
_TEXTS = ("customer_id", "segment", "segment_name", "second_segment", "reason", "next_date",
          "offer", "offer_withheld")  # fmt: skip
_NUMBERS = (*ASSIGNED, *VALUED, "churn_probability")
ASSIGNMENT = _kind("object", properties={
    **_VERSION,
    **{n: _kind("number", "null", about=_MEANINGS.get(n, "")) for n in _NUMBERS},
    "unlike_any": _kind("boolean", "null"),
    **{n: _kind("string", "null", about=_MEANINGS.get(n, "")) for n in _TEXTS},
})  # fmt: skip
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
_FIELD = {"loc": _kind("array", items=_kind("string", "integer")), "msg": _TEXT}
_DETAIL = _kind(
    "object", properties={"detail": _kind("array", items=_kind("object", properties=_FIELD))}
)
_WHICH = {"name": "model", "in": "query", "required": False, "schema": _TEXT,
          "description": "Name of the model; the first without it."}  # fmt: skip


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


_ANY = _kind("object")
_BATCH = _object({"customers": _kind("array", items=CUSTOMER)}, "customers")
_ANSWERS = _kind("object", properties={**_VERSION, "customers": _kind("array", items=ASSIGNMENT)})
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
