"""How is an intake kept? Clean Parquet, rejects, ledger and mapping in one folder."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import polars as pl

from segkit.errors import SourceError
from segkit.ingest.mapping import Mapping
from segkit.ledger import Ledger
from segkit.schema import CONTRACTS

if TYPE_CHECKING:
    from segkit.ingest.process import Intake

LEDGER, MAPPING = "ledger.json", "mapping.toml"


def save_intake(taken: Intake, folder: Path) -> Path:
    """Write an intake aside, and rename it to ``folder`` when it is whole.

    Raises
    ------
    SourceError
        If the folder exists and holds something other than an intake.
    """
    if folder.exists() and any(folder.iterdir()) and not (folder / LEDGER).exists():
        raise SourceError(f"{folder.name}/ is not empty and holds no intake; choose another folder")
    aside = folder.with_name(f".{folder.name}.part")
    shutil.rmtree(aside, ignore_errors=True)
    for inner in ("rejects", "raw"):
        (aside / inner).mkdir(parents=True)
    for name, frame in taken.tables.items():
        frame.write_parquet(aside / f"{name}.parquet", compression="zstd")
        taken.rejects[name].write_parquet(aside / "rejects" / f"{name}.parquet", compression="zstd")
    for name, rows in (taken.raw or {}).items():
        _without_erased(rows, taken.rejects[name]).collect().write_parquet(
            aside / "raw" / f"{name}.parquet", compression="zstd"
        )
    (aside / LEDGER).write_text(json.dumps(taken.ledger.to_dict(), indent=1), encoding="utf-8")
    taken.mapping.save(aside / MAPPING)
    shutil.rmtree(folder, ignore_errors=True)
    aside.rename(folder)
    return folder


def _without_erased(rows: pl.DataFrame | pl.LazyFrame, rejects: pl.DataFrame) -> pl.LazyFrame:
    """Blank the rows of erased customers, so that row numbers still hold."""
    gone = rejects.filter(pl.col("reason") == "erased")["source_row"]
    frame = rows.lazy()
    if gone.is_empty():
        return frame
    keep = ~pl.int_range(pl.len(), dtype=pl.Int64).is_in(gone.implode())
    return frame.select(pl.when(keep).then(pl.all()))


def open_intake(folder: Path) -> Intake:
    """Read back what `save_intake` wrote; raw tables are scanned, not read.

    Raises
    ------
    SourceError
        If the folder holds no intake.
    """
    from segkit.ingest.process import Intake

    if not (folder / LEDGER).is_file():
        raise SourceError(f"expected a saved intake (with {LEDGER}) in {folder.name}/, found none")
    ledger = Ledger.from_dict(json.loads((folder / LEDGER).read_text(encoding="utf-8")))
    tables = {n: folder / f"{n}.parquet" for n in CONTRACTS if (folder / f"{n}.parquet").is_file()}
    raw = {n: folder / "raw" / f"{n}.parquet" for n in tables}
    there = {n: pl.scan_parquet(path) for n, path in raw.items() if path.is_file()}
    return Intake(
        {n: pl.read_parquet(path) for n, path in tables.items()},
        {n: pl.read_parquet(folder / "rejects" / f"{n}.parquet") for n in tables},
        ledger,
        Mapping.load(folder / MAPPING),
        ledger.notes,
        there or None,
    )
