"""A factor model as plain JSON data, and back."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import numpy as np

from segkit.errors import ModelError
from segkit.factor.coding import Coding, ScoreSide
from segkit.factor.indices import FitIndices

if TYPE_CHECKING:
    from segkit.factor.model import FactorModel

FORMAT = 1
_PLAIN = ("n", "extraction", "rotation", "method", "missing", "converged", "seed")


def write_data(model: FactorModel) -> dict[str, Any]:
    """Return a model as JSON data; a figure of fit that is not defined is null."""
    fit = {k: v if math.isfinite(v) else None for k, v in asdict(model.fit).items()}
    side = model.side
    return {
        "segkit_model": "factors",
        "format": FORMAT,
        "segkit_version": model.version,
        **{name: getattr(model, name) for name in _PLAIN},
        "items": list(model.items),
        "labels": model.labels,
        "factors": [
            {"id": id_, "name": name, "column": column}
            for id_, name, column in zip(model.ids, model.names, model.columns, strict=True)
        ],
        "loadings": model.loadings.tolist(),
        "phi": model.phi.tolist(),
        "uniquenesses": model.uniquenesses.tolist(),
        "correlation": model.correlation.tolist(),
        "fit": fit,
        "notes": list(model.notes),
        "scoring": side
        and {
            "means": side.means.tolist(),
            "sds": side.sds.tolist(),
            "correlation": side.correlation.tolist(),
            "attenuation": side.attenuation.tolist(),
            "codes": {k: [list(a), list(b)] for k, (a, b) in side.coding.tables.items()},
        },
    }


def read_data(data: Mapping[str, Any]) -> dict[str, Any]:
    """Turn `write_data`'s data into a model's fields.

    Raises
    ------
    ModelError
        If this is no factor model, is of a later format, or lacks a field.
    """
    if not isinstance(data, Mapping) or data.get("segkit_model") != "factors":
        raise ModelError("this is not a segkit factor model (no 'segkit_model': 'factors')")
    if data.get("format") != FORMAT:
        raise ModelError(
            f"the model is of format {data.get('format')}; this segkit reads format {FORMAT}"
        )
    try:
        return _fields(data)
    except (KeyError, TypeError, ValueError) as error:
        raise ModelError(f"the factor model cannot be read: {error!r}") from error


def _fields(data: Mapping[str, Any]) -> dict[str, Any]:
    items = tuple(data["items"])
    names = ("loadings", "phi", "uniquenesses", "correlation")
    arrays = {name: np.asarray(data[name], dtype=np.float64) for name in names}
    fit: dict[str, Any] = {k: math.nan if v is None else v for k, v in data["fit"].items()}
    return {
        "items": items,
        "labels": dict(data["labels"]),
        "names": tuple(factor["name"] for factor in data["factors"]),
        **arrays,
        "side": _side(items, data["scoring"]),
        **{name: data[name] for name in _PLAIN},
        "fit": FitIndices(**fit),
        "notes": tuple(data["notes"]),
        "version": data["segkit_version"],
    }


def _side(items: tuple[str, ...], scoring: Mapping[str, Any] | None) -> ScoreSide | None:
    if not scoring:
        return None
    tables = {k: (tuple(a), tuple(b)) for k, (a, b) in scoring["codes"].items()}
    names = ("means", "sds", "correlation", "attenuation")
    arrays = (np.asarray(scoring[name], dtype=np.float64) for name in names)
    return ScoreSide(Coding(items, tables), *arrays)
