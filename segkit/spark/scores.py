"""Assignment of the customers of a Spark frame to segments, by any stored model."""

from __future__ import annotations

from typing import Any

from segkit.cluster.scorers import SegmentScorer
from segkit.errors import require_columns
from segkit.features.sources import CUSTOMER
from segkit.spark.engine import Frame, check_customers, collect, map_frames


def score_table(model: SegmentScorer, frame: Any) -> Frame:
    """Assign every customer of a Spark frame; the executors run the model's own ``score``.

    Parameters
    ----------
    model : SegmentModel, MixtureModel, LatentModel or MixedModel
    frame : pyspark.sql.DataFrame
        ``customer_id`` and the model's columns, one row per customer. The ids are read at once, to
        see that each comes once: write a table that takes long to compute, and read that.

    Returns
    -------
    pyspark.sql.DataFrame
        The columns of `segkit.cluster.SegmentModel.score`, computed only when written or shown.

    Raises
    ------
    ColumnError
        If a column is missing.
    DataError
        If a customer has no id or comes twice.
    """
    require_columns(frame.columns, [CUSTOMER, *model.columns], "the customer table")
    check_customers(frame)
    return score_rows(model, frame)


def score_rows(model: SegmentScorer, frame: Any) -> Frame:
    """Assign every customer of a Spark frame as `score_table` does, without a look at the ids."""
    rows = frame.select(CUSTOMER, *model.columns)
    schema = model.score(collect(rows.limit(0))).schema
    scores: Frame = map_frames(rows, model.score, dict(schema))
    return scores
