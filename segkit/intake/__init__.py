"""Intake of raw tables: mapping, audit, clean tables, rejected rows, ledger, trace, identity."""

from __future__ import annotations

from segkit.lazy import attach_stub

__getattr__, __dir__, __all__ = attach_stub(__name__, __file__)
