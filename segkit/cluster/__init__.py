"""Segmentation of customers: clustering, number of segments, stability, structure, models.

Submodules are imported on first use, so scikit-learn loads with the first estimator.
"""

from __future__ import annotations

from segkit.lazy import attach_stub

__getattr__, __dir__, __all__ = attach_stub(__name__, __file__)
