"""Customer table, segments and assignments in Apache Spark, where one machine is too small."""

from __future__ import annotations

from segkit.lazy import attach_stub

__getattr__, __dir__, __all__ = attach_stub(__name__, __file__)
