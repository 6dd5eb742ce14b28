"""What does an export look like? The small committed sample, and how it is made again."""

from __future__ import annotations

import gzip
from pathlib import Path

import polars as pl

from segkit import spreadsheets
from segkit.simulate.retailer import Retailer, simulate_retailer


def sample_retailer() -> Retailer:
    """Simulate the retailer of data/sample: 400 customers, three years, with defects."""
    return simulate_retailer(400, seed=11, difficulty="easy")


def sample_tables(retailer: Retailer) -> dict[str, pl.DataFrame]:
    """Return the sample's raw tables, and the links between identifiers."""
    return retailer.tables | {"links": retailer.extras["links"]}


def write_sample(folder: Path | str) -> list[Path]:
    """Write the sample as gzipped CSV: ``write_sample("data/sample")`` makes it again.

    Returns
    -------
    list of Path
        One file a table; the same bytes each time under one version of zlib.
    """
    target = Path(folder)
    target.mkdir(parents=True, exist_ok=True)
    paths = []
    for name, frame in sample_tables(sample_retailer()).items():
        path = target / f"{name}.csv.gz"
        path.write_bytes(gzip.compress(as_csv(frame), mtime=0))
        paths.append(path)
    return paths


def as_csv(frame: pl.DataFrame) -> bytes:
    """Write a raw table as CSV, times to the second."""
    return spreadsheets.as_csv(frame, datetime_format="%Y-%m-%d %H:%M:%S")
