"""Predictions of what customers will do next: value, churn, next purchase, recommendations."""

from __future__ import annotations

from segkit.lazy import attach_stub

__getattr__, __dir__, __all__ = attach_stub(__name__, __file__)
