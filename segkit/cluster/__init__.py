"""Groups among the customers: are there any, how many, and who belongs to which.

Nothing is imported until it is asked for: scikit-learn loads with the first estimator.
"""

from __future__ import annotations

import importlib
from typing import Any

_MAP: dict[str, str] = {
    "Ward": "segkit.cluster.estimators",
    "ward_linkage": "segkit.cluster.ward",
    "cut_tree": "segkit.cluster.ward",
    "leaf_order": "segkit.cluster.ward",
    "fit_kmeans": "segkit.cluster.kmeans",
    "cluster_parquet": "segkit.cluster.batches",
    "two_step": "segkit.cluster.twostep",
    "cluster_customers": "segkit.cluster.segmentation",
    "Segmentation": "segkit.cluster.outcome",
    "SegmentModel": "segkit.cluster.model",
    "choose_k": "segkit.cluster.choose",
    "cluster_mixture": "segkit.cluster.mixture",
    "cluster_latent": "segkit.cluster.latent",
    "cluster_mixed": "segkit.cluster.mixed",
    "compare_methods": "segkit.cluster.methods",
    "assign_by_rules": "segkit.cluster.validate",
    "validate_segments": "segkit.cluster.validate",
    "load_model": "segkit.cluster.scoring",
}

__all__ = sorted(_MAP)


def __getattr__(name: str) -> Any:
    """Import a public name from its module on first use (PEP 562)."""
    if name not in _MAP:
        from segkit.errors import unknown

        raise AttributeError(unknown("segkit.cluster name", name, _MAP))
    value = getattr(importlib.import_module(_MAP[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return __all__
