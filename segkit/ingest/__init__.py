"""Intake of raw tables: mapping, audit, clean tables, rejected rows, ledger, trace, identity."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from segkit.ingest.audit import Audit, check
    from segkit.ingest.clean import count_customers, intake
    from segkit.ingest.identity import Identities, link
    from segkit.ingest.ledger import Ledger
    from segkit.ingest.mapping import Mapping, TableMapping
    from segkit.ingest.questions import Finding
    from segkit.ingest.store import Intake, Trace

# Privacy is needed where nothing else of intake is, so each name is imported when it is used.
_MODULES = {
    "Audit": "audit",
    "Finding": "questions",
    "Identities": "identity",
    "Intake": "store",
    "Ledger": "ledger",
    "Mapping": "mapping",
    "TableMapping": "mapping",
    "Trace": "store",
    "check": "audit",
    "count_customers": "clean",
    "intake": "clean",
    "link": "identity",
}
__all__ = [
    "Audit",
    "Finding",
    "Identities",
    "Intake",
    "Ledger",
    "Mapping",
    "TableMapping",
    "Trace",
    "check",
    "count_customers",
    "intake",
    "link",
]


def __getattr__(name: str) -> Any:
    if name in _MODULES:
        return getattr(importlib.import_module(f"segkit.ingest.{_MODULES[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
