"""Factor analysis of survey answers: factors, scales, scores, ratings and weights.

Submodules are imported when they are first used.
"""

from __future__ import annotations

from segkit.lazy import attach_stub

__getattr__, __dir__, __all__ = attach_stub(__name__, __file__)
