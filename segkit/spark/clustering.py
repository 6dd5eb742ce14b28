"""Clustering of customers in Spark: seeds from a sample, statistics from the partitions."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import polars as pl

from segkit.cluster.compressed import Compressed, move_centres
from segkit.cluster.fit import cluster_customers as cluster_sample
from segkit.cluster.matrix import Floats, feature_rows
from segkit.cluster.model import SegmentModel
from segkit.cluster.segments import Segmentation
from segkit.cluster.twostep import MICRO, SAMPLE, fit_two_step
from segkit.errors import ParameterError, require_columns, require_least
from segkit.features.sources import CUSTOMER
from segkit.spark.engine import (
    check_customers,
    check_session,
    collect,
    map_batches,
    map_frames,
    to_batches,
)
from segkit.transform import Transform

KEY = "_key"


@dataclass(frozen=True, slots=True, eq=False)
class SparkClusters:
    """Segments of all customers of a Spark frame.

    Attributes
    ----------
    model : SegmentModel
        Its centres are those of all customers; order, names and reach are the sample's.
    fit : Segmentation
        The sample's own segmentation, on which the choice of k rests.
    rows, sample : int
        Customers that could be transformed, and those of them that were sampled.
    within_ss, total_ss : float
        Sum of squares about the segments' centres and about the grand mean.
    """

    model: SegmentModel
    fit: Segmentation
    rows: int
    sample: int
    within_ss: float
    total_ss: float


def cluster_table(
    frame: Any,
    *,
    features: Sequence[str],
    sample: int = SAMPLE,
    micro: int = MICRO,
    seed: int = 0,
    **options: Any,
) -> SparkClusters:
    """Cluster the customers of a Spark frame into segments of similar behaviour.

    A random sample is fitted in memory (`segkit.cluster.cluster_customers`): its transform, the
    number of segments, and micro-clusters as seeds. Spark then counts and sums all customers about
    the seeds; exact weighted Ward joins these micro-clusters, and Lloyd's steps settle the centres.

    Parameters
    ----------
    frame : pyspark.sql.DataFrame
        ``customer_id`` and the features, one row per customer. It is read four times.
    features : sequence of str
    sample : int
        Customers to fit on, chosen by a hash of their ids.
    micro : int
        Micro-clusters at most.
    seed : int
    **options
        Further arguments of `segkit.cluster.cluster_customers`, such as ``k``.

    Returns
    -------
    SparkClusters

    Raises
    ------
    ColumnError, DataError, ParameterError
        As `segkit.cluster.cluster_customers`, on the sample; if any customer has no id, comes twice
        or has an infinite value; or if sample or micro is below k.
    """
    check_numbers(options.get("k"), seed, sample=sample, micro=micro)
    check_session(frame.sparkSession)
    require_columns(frame.columns, [CUSTOMER, *features], "the customer table")
    check_customers(frame, features)
    chosen = draw_customers(frame, sample, seed)
    return cluster_about(frame, chosen, features=features, micro=micro, seed=seed, **options)


def cluster_about(
    frame: Any,
    chosen: pl.DataFrame,
    *,
    features: Sequence[str],
    micro: int = MICRO,
    seed: int = 0,
    **options: Any,
) -> SparkClusters:
    """Cluster a Spark frame's customers as `cluster_table` does, from a sample already drawn."""
    fit = cluster_sample(chosen, features=features, seed=seed, **options)
    transform = fit.model.transform
    X = transform.apply(feature_rows(chosen, fit.model.features))
    seeds = fit_two_step(X, micro=min(micro, len(X)), sample=len(X), seed=seed).centres
    whole = compress(frame, transform, seeds)
    centres = whole.find_centres(fit.k)
    rows = int(whole.counts.sum())
    middle = (whole.means * whole.counts[whole.counts > 0, None]).sum(axis=0)[None, :] / rows
    return SparkClusters(
        replace(move_centres(fit.model, chosen, centres), rows=rows),
        fit,
        rows,
        chosen.height,
        whole.within_ss(centres),
        whole.within_ss(middle),
    )


def check_numbers(k: int | None, seed: int, **sizes: int) -> None:
    """Raise ``ParameterError`` unless k segments can come of so many customers and seeds."""
    for name, value in {"seed": seed, **({} if k is None else {"k": k}), **sizes}.items():
        if isinstance(value, bool) or not isinstance(value, int):
            raise ParameterError(f"{name} should be a whole number, got {value!r}")
    require_least(seed=(seed, 0), k=(2 if k is None else k, 2))
    for name, value in sizes.items():
        if value < (k or 2):
            raise ParameterError(
                f"{name} must be at least {'2' if k is None else f'k = {k}'}, since as many "
                f"segments start from it; got {value}"
            )


def draw_customers(frame: Any, size: int, seed: int) -> pl.DataFrame:
    """Draw a random sample of customers by a hash of their ids, whatever their partitions."""

    def key(batch: pl.DataFrame) -> pl.DataFrame:
        half = batch[CUSTOMER].hash(seed) // 2  # Spark has no unsigned numbers
        return batch.select(CUSTOMER, half.cast(pl.Int64).alias(KEY))

    keys = map_frames(frame.select(CUSTOMER), key, {CUSTOMER: pl.String, KEY: pl.Int64})
    smallest = keys.orderBy(KEY, CUSTOMER).limit(size).select(CUSTOMER)
    from pyspark.sql import functions

    return collect(frame.join(functions.broadcast(smallest), on=CUSTOMER, how="left_semi"))


def compress(frame: Any, transform: Transform, seeds: Floats) -> Compressed:
    """Compute the statistics of a Spark frame's rows about starting centres; see `Compressed`."""
    width = seeds.shape[1]
    names = ["rows", "squares", *(f"s{j}" for j in range(width))]
    schema = dict.fromkeys(["seed", *names], pl.Int64)

    def add(batches: Iterator[Any]) -> Iterator[Any]:
        nothing = np.zeros((0, width))
        total = Compressed.of(nothing, seeds)
        for batch in batches:
            rows = pl.DataFrame(pl.from_arrow(batch))
            rows = rows.filter(transform.find_unfit(rows).is_null())
            total += Compressed.of(transform.apply(rows), seeds)
        columns = [np.arange(len(seeds)), total.counts, total.squares, *total.sums.T]
        part = pl.DataFrame(dict(zip(schema, columns, strict=True)))
        yield from to_batches(part.filter(pl.col("rows") > 0), schema)

    from pyspark.sql import functions

    parts = map_batches(frame.select(*transform.needed), add, schema)
    sums = parts.groupBy("seed").agg(*(functions.sum(name).alias(name) for name in names))
    whole = collect(sums).sort("seed")
    counts, squares, *columns = (whole[name].to_numpy() for name in names)
    return Compressed(counts, np.stack(columns, axis=1), squares)
