"""Segments in use as customers act: triggers over a log of events, and a scoring service."""

from __future__ import annotations

from segkit.lazy import attach_stub

__getattr__, __dir__, __all__ = attach_stub(__name__, __file__)
