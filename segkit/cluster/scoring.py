"""What every model hands back for a customer: segment, distance, margin, whether unlike any."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import polars as pl

from segkit.errors import ModelError, unknown
from segkit.result import check_customers, read_json
from segkit.writing import write_whole

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

# Share of the customers of the fit, per segment, that the flag "unlike any" leaves alone.
ALIKE = 0.995
KINDS: dict[str, tuple[str, str]] = {
    "segments": ("segkit.cluster.model", "SegmentModel"),
    "mixture": ("segkit.cluster.mixture_model", "MixtureModel"),
    "latent": ("segkit.cluster.latent_model", "LatentModel"),
    "mixed": ("segkit.cluster.mixed_model", "MixedModel"),
}


class Scorer(Protocol):
    """What all models share: they name their features and assign the rows of a frame."""

    @property
    def ids(self) -> tuple[str, ...]:
        """The segments' ids."""

    @property
    def names(self) -> dict[str, str]:
        """Each id's name."""

    @property
    def features(self) -> tuple[str, ...]:
        """Columns that a frame needs to be scored."""

    @property
    def text(self) -> str:
        """What the model was fitted on."""

    def score(self, frame: pl.DataFrame) -> pl.DataFrame:
        """Assign every customer of a frame."""

    def save(self, path: Path | str) -> Path:
        """Write the model as JSON."""


def scored(
    frame: pl.DataFrame, names: Mapping[str, str], distances: Floats, reach: Sequence[float]
) -> pl.DataFrame:
    """Turn distances to every segment into the frame that scoring hands back.

    Parameters
    ----------
    frame : polars.DataFrame
        The rows scored; ``customer_id`` is carried over if there.
    names : mapping of str to str
        Each segment's id and name, in the order of the columns of ``distances``.
    distances : array (n, k)
        In the model's own unit; overwritten. The lowest column wins an exact tie.
    reach : sequence of k floats
        Distance beyond which a customer is unlike any.

    Returns
    -------
    polars.DataFrame
        customer_id, segment, segment_name, distance, second_segment, margin (the second nearest
        distance less the own), unlike_any.

    Examples
    --------
    >>> names = {"S1": "a", "S2": "b"}
    >>> scored(pl.DataFrame({"x": [1]}), names, np.array([[1.0, 3.0]]), [2, 2]).row(0)
    ('S1', 'a', 1.0, 'S2', 2.0, False)
    """
    here = np.arange(frame.height)
    best = distances.argmin(axis=1)
    distance = distances[here, best]
    ids = pl.Series(list(names), dtype=pl.String)
    nothing = pl.Series([None] * frame.height, dtype=pl.Float64)
    columns: dict[str, Any] = {}
    if "customer_id" in frame.columns:
        columns["customer_id"] = frame.get_column("customer_id")
    columns["segment"] = ids.gather(best)
    columns["segment_name"] = pl.Series(list(names.values()), dtype=pl.String).gather(best)
    columns["distance"] = distance
    columns["second_segment"], columns["margin"] = nothing.cast(pl.String), nothing
    if len(names) > 1:
        distances[here, best] = np.inf
        second = distances.argmin(axis=1)
        columns["second_segment"] = ids.gather(second)
        columns["margin"] = distances[here, second] - distance
    columns["unlike_any"] = distance > np.asarray(reach, dtype=np.float64)[best]
    return pl.DataFrame(columns)


def score_rows(
    frame: pl.DataFrame, reasons: pl.Series, score: Callable[[pl.DataFrame], pl.DataFrame]
) -> pl.DataFrame:
    """Score the rows that can be scored, and keep the others with the reason why not.

    Parameters
    ----------
    frame : polars.DataFrame
        The rows; where there is a ``customer_id``, none may come twice or be missing.
    reasons : polars.Series of str
        Why a row cannot be scored; null where it can.
    score : callable
        From some rows to as many scored ones.

    Returns
    -------
    polars.DataFrame
        Rows in the frame's order: what ``score`` gives, null for rows with a reason, and
        ``reason``.

    Raises
    ------
    DataError
        If a customer comes twice, or has no id.
    """
    check_customers(frame)
    apart = reasons.is_not_null()
    if not apart.any():
        return score(frame).with_columns(reasons.alias("reason"))
    place = pl.int_range(frame.height, dtype=pl.Int64, eager=True).alias("_row")
    some = score(frame.filter(~apart)).with_columns(place.filter(~apart))
    whole = place.to_frame().join(some, on="_row", how="left", maintain_order="left").drop("_row")
    if "customer_id" in frame.columns:
        whole = whole.with_columns(frame.get_column("customer_id"))
    return whole.with_columns(reasons.alias("reason"))


def reaches(distances: Floats) -> list[float]:
    """Return, for each segment, the distance within which 99.5% of its customers lie.

    Examples
    --------
    >>> reaches(np.array([[1.0, 9.0], [3.0, 9.0], [9.0, 2.0]]))
    [2.99, 2.0]
    """
    best = distances.argmin(axis=1)
    own = distances[np.arange(len(distances)), best]
    return [float(np.quantile(own[best == g], ALIKE)) for g in range(distances.shape[1])]


def check_renaming(names: Mapping[str, str], wanted: Mapping[str, str]) -> dict[str, str]:
    """Return the names with those wanted in place of the old.

    Raises
    ------
    ModelError
        If an id is unknown or two segments would bear one name.
    """
    for key in wanted:
        if key not in names:
            raise ModelError(unknown("segment", key, names))
    found = {key: wanted.get(key, old) for key, old in names.items()}
    if len(set(found.values())) < len(found):
        raise ModelError(f"segment names must differ; got {list(found.values())}")
    return found


def write_model(data: Mapping[str, Any], path: Path | str) -> Path:
    """Write a model's plain data as JSON and return the path."""
    target = Path(path)
    text = json.dumps(data, indent=1, ensure_ascii=False, allow_nan=False)
    write_whole(target, text + "\n")
    return target


def read_model(path: Path | str) -> Any:
    """Read a model file's plain data.

    Raises
    ------
    ModelError
        If the file is absent or no JSON.
    """
    return read_json(path, "model file")


def check_kind(data: Any, kind: str, version: int) -> None:
    """Raise ``ModelError`` unless these are the data of a model of this kind and format."""
    if not isinstance(data, Mapping) or data.get("segkit_model") != kind:
        raise ModelError(f"this is not a segkit {kind} model (no 'segkit_model': {kind!r})")
    if data.get("format") != version:
        raise ModelError(
            f"the model is of format {data.get('format')}; this segkit reads format {version}"
        )


def load_model(path: Path | str) -> Scorer:
    """Which model is in this file? Read it, whatever method made it.

    Parameters
    ----------
    path : path
        JSON that a model's ``save`` wrote.

    Returns
    -------
    SegmentModel, MixtureModel, LatentModel or MixedModel

    Raises
    ------
    ModelError
        If the file is absent, is no JSON, or holds no model that this segkit reads.
    """
    import importlib

    data = read_model(path)
    kind = data.get("segkit_model") if isinstance(data, Mapping) else None
    if not isinstance(kind, str) or kind not in KINDS:
        raise ModelError(
            f"{Path(path).name} is not a segkit segment model ('segkit_model' is {kind!r}; "
            f"known: {', '.join(KINDS)})"
        )
    module, name = KINDS[kind]
    model: Scorer = getattr(importlib.import_module(module), name).from_data(data)
    return model
