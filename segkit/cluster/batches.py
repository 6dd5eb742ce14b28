"""Segments for a Parquet file larger than memory: fitted on a sample, assigned in batches."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import polars as pl
from polars.io.plugins import register_io_source

from segkit.cluster.fit import cluster_customers
from segkit.cluster.model import SegmentModel
from segkit.cluster.segments import Segmentation
from segkit.display import counted, number, percent
from segkit.errors import DataError, SourceError, require_columns
from segkit.result import Result

BATCH_ROWS = 500_000
SAMPLE_ROWS = 20_000


@dataclass(frozen=True, slots=True, eq=False)
class BatchSegmentation(Result):
    """Segments of all customers of a file, and the fit on a sample behind them.

    Attributes
    ----------
    model : SegmentModel
        The sample's model with the sizes of all customers.
    fit : Segmentation
        The sample's segmentation: tree, choice of k, map.
    path : Path
        Parquet file of customer_id, segment, margin, unlike_any for every customer.
    rows, sample : int
        Customers in the file, and those that the model was fitted on.
    unlike_share : float
        Share of all customers flagged as unlike any segment.
    seconds : dict of str to float
        Time on the clock of each step: sample, fit, assign.
    """

    model: SegmentModel
    fit: Segmentation
    path: Path
    rows: int
    sample: int
    unlike_share: float
    seconds: dict[str, float]

    def to_frame(self) -> pl.DataFrame:
        """One row per segment, sizes of all customers, centres in original units."""
        return self.model.to_frame().drop("reach")

    @property
    def text(self) -> str:
        """Number of customers assigned, and number that the model was fitted on."""
        return (
            f"{counted(self.rows, 'customer')} assigned to "
            f"{counted(len(self.model.segments), 'segment')} by a model of a random sample of "
            f"{number(self.sample)}; {percent(self.unlike_share)} are unlike any segment. Of the "
            f"sample: {self.fit.text}"
        )


def cluster_parquet(
    path: Path | str,
    out: Path | str,
    *,
    features: Sequence[str],
    sample: int = SAMPLE_ROWS,
    batch_rows: int = BATCH_ROWS,
    seed: int = 0,
    **options: Any,
) -> BatchSegmentation:
    """Cluster the customers of a Parquet file in bounded memory.

    The file is read twice in batches. First a random sample of customers is drawn (by a hash of
    their ids, so the order of the rows does not matter) and clustered by `cluster_customers`;
    then everyone is assigned to the nearest centre and written to ``out``.

    Parameters
    ----------
    path : path
        Parquet file with ``customer_id`` (one row each; not checked across the file) and features.
    out : path
        Parquet file to write.
    features : sequence of str
    sample : int
        Customers to fit on.
    batch_rows : int
        Rows in memory at a time.
    seed : int
    **options
        Further arguments of `cluster_customers`, such as ``k``.

    Raises
    ------
    SourceError
        If there is no such file.
    DataError
        As `cluster_customers`, on the sample or in any batch.
    """
    source = Path(path)
    if not source.is_file():
        raise SourceError(f"there is no Parquet file at {source}")
    lazy = pl.scan_parquet(source)
    schema = lazy.collect_schema()
    require_columns(schema.names(), ["customer_id", *features], source.name)
    lazy = lazy.select(pl.col("customer_id").cast(pl.String), *features)
    rows = int(lazy.select(pl.len()).collect().item())
    ticks = [time.perf_counter()]
    chosen = draw_customers(_batches(lazy, rows, batch_rows), sample, seed)
    ticks.append(time.perf_counter())
    fit = cluster_customers(chosen, features=features, seed=seed, **options)
    ticks.append(time.perf_counter())
    counts, unlike = _assign(fit.model, _batches(lazy, rows, batch_rows), Path(out))
    ticks.append(time.perf_counter())
    took = [after - before for before, after in pairwise(ticks)]
    seconds = dict(zip(("sample", "fit", "assign"), took, strict=True))
    segments = tuple(replace(s, size=counts.get(s.id, 0)) for s in fit.model.segments)
    model = replace(fit.model, segments=segments, rows=rows)
    return BatchSegmentation(model, fit, Path(out), rows, chosen.height, unlike / rows, seconds)


def _batches(lazy: pl.LazyFrame, rows: int, size: int) -> Iterator[pl.DataFrame]:
    for start in range(0, rows, size):
        yield lazy.slice(start, size).collect(engine="streaming")


def draw_customers(batches: Iterable[pl.DataFrame], size: int, seed: int) -> pl.DataFrame:
    """Draw a random sample of the customers of several frames, by a hash of their ids."""
    chosen: pl.DataFrame | None = None
    for batch in batches:
        keyed = batch.with_columns(_key=batch.get_column("customer_id").hash(seed))
        pool = keyed if chosen is None else pl.concat([chosen, keyed])
        chosen = pool.bottom_k(size, by=["_key", "customer_id"])
    if chosen is None:
        raise DataError("the file has no customers")
    return chosen.drop("_key")


def _assign(
    model: SegmentModel, batches: Iterator[pl.DataFrame], out: Path
) -> tuple[dict[str, int], int]:
    """Score batch by batch into one Parquet file; return sizes and the unlike count."""
    counts: dict[str, int] = {}
    unlike = 0

    def scored(*_pushed_down: object) -> Iterator[pl.DataFrame]:
        nonlocal unlike
        for batch in batches:
            part = model.score(batch).select("customer_id", "segment", "margin", "unlike_any")
            unlike += int(part.get_column("unlike_any").sum())
            for name, count in part.get_column("segment").value_counts().iter_rows():
                counts[name] = counts.get(name, 0) + count
            yield part

    schema = {
        "customer_id": pl.String,
        "segment": pl.String,
        "margin": pl.Float64,
        "unlike_any": pl.Boolean,
    }
    register_io_source(scored, schema=schema).sink_parquet(out)
    return counts, unlike
