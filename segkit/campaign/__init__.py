"""Campaigns: data before, pilot, power, budget, assignment, audience lists, outcomes.

Submodules are imported on first use; the names stand in ``__init__.pyi``.
"""

from __future__ import annotations

from segkit.lazy import attach_stub

__getattr__, __dir__, __all__ = attach_stub(__name__, __file__)
