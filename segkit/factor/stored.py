"""A factor model as plain JSON data, and back."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import numpy as np

from segkit.errors import ModelError, unknown
from segkit.factor.coding import Coding, ScoreSide
from segkit.factor.indices import FitIndices
from segkit.result import check_names, check_number, check_numbers

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
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise ModelError(f"the factor model cannot be read: {error!r}") from error


def check_model(model: FactorModel) -> None:
    """Raise ``ModelError`` unless a model's names and arrays fit one another.

    One finite number for each item and factor; spreads that are not negative;
    per coded item as many codes as answers, the answers ascending.
    """
    check_names("items", model.items)
    check_names("factors", model.names)
    check_number("the people of the stored model", model.n, least=1)
    p, k = len(model.items), len(model.names)
    shapes = {"loadings": (p, k), "phi": (k, k), "uniquenesses": (p,), "correlation": (p, p)}
    for name, shape in shapes.items():
        _check_array(name, getattr(model, name), shape)
    side = model.side
    if side is None:
        return
    for name, shape in {
        "means": (p,), "sds": (p,), "correlation": (p, p), "attenuation": (p,)
    }.items():  # fmt: skip
        _check_array(f"scoring {name}", getattr(side, name), shape)
    for item, (answers, codes) in side.coding.tables.items():
        if item not in model.items:
            raise ModelError(unknown("coded item", str(item), model.items))
        check_numbers(f"the answers to {item}", answers, len(answers))
        check_numbers(f"the codes of {item}", codes, len(answers))
        if list(answers) != sorted(set(answers)) or not answers:
            raise ModelError(f"the answers to {item} must ascend; got {list(answers)}")


def _check_array(name: str, values: np.ndarray[Any, Any], shape: tuple[int, ...]) -> None:
    if values.shape != shape:
        raise ModelError(f"the model's {name} must be of shape {shape}; got {values.shape}")
    if not np.isfinite(values).all():
        raise ModelError(f"the model's {name} hold a number that is not finite")
    if name == "scoring sds" and (values < 0).any():
        raise ModelError(f"the model's {name} must not be negative")


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
