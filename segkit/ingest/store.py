"""How is an intake kept? Clean Parquet, rejects, ledger and mapping in one folder."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from collections.abc import Mapping as Map
from pathlib import Path
from typing import TYPE_CHECKING

import polars as pl

from segkit.errors import SourceError
from segkit.ingest.mapping import Mapping
from segkit.ingest.settle import WHO
from segkit.ledger import Ledger
from segkit.private import POINTER, VARIABLE, find_private, keep_private
from segkit.schema import CONTRACTS, OPEN
from segkit.writing import close_to_others, private_folder

if TYPE_CHECKING:
    from segkit.ingest.process import Intake

LEDGER, MAPPING = "ledger.json", "mapping.toml"
REJECTED = ("source_row", "reason", WHO)


def save_intake(
    taken: Intake, folder: Path, *, private: Path | None = None, owner: Path | None = None
) -> Path:
    """Write an intake aside, and rename it to ``folder`` when it is whole.

    All is readable by its owner alone. Of raw rows and rejects only mapped columns are kept.

    Parameters
    ----------
    taken : Intake
    folder : pathlib.Path
    private : pathlib.Path, optional
        Root of the stores that take the raw rows and the rejects (`segkit.private`); by
        default they lie in ``folder`` too.
    owner : pathlib.Path, optional
        The run on whose behalf they are kept; ``folder`` itself by default.

    Raises
    ------
    SourceError
        If the folder exists and holds something other than an intake.
    """
    if folder.exists() and any(folder.iterdir()) and not (folder / LEDGER).exists():
        raise SourceError(f"{folder.name}/ is not empty and holds no intake; choose another folder")
    aside = folder.with_name(f".{folder.name}.part")
    shutil.rmtree(aside, ignore_errors=True)
    private_folder(aside)
    for name, frame in taken.tables.items():
        frame.write_parquet(aside / f"{name}.parquet", compression="zstd")
    if private is None:
        _write_rows(taken, aside)
    else:
        pointer = keep_private(private, owner or folder, lambda place: _write_rows(taken, place))
        (aside / POINTER).write_text(json.dumps(pointer), encoding="utf-8")
    (aside / LEDGER).write_text(json.dumps(taken.ledger.to_dict(), indent=1), encoding="utf-8")
    taken.mapping.save(aside / MAPPING)
    close_to_others(aside)
    shutil.rmtree(folder, ignore_errors=True)
    aside.rename(folder)
    return folder


def _write_rows(taken: Intake, folder: Path) -> None:
    """Write the raw rows and the rejects, mapped columns alone."""
    for inner in ("rejects", "raw"):
        (folder / inner).mkdir(parents=True, exist_ok=True)
    for name, rejects in taken.rejects.items():
        mapped = _mapped(taken, name)
        own = [n for n in rejects.columns[:3] if n in REJECTED]
        theirs = {n: n.removeprefix("raw_") if n.removeprefix("raw_") in REJECTED else n
                  for n in rejects.columns if n not in own}  # fmt: skip
        kept = [n for n, source in theirs.items() if source in mapped]
        rejects.select(*own, *kept).write_parquet(
            folder / "rejects" / f"{name}.parquet", compression="zstd"
        )
    for name, rows in (taken.raw or {}).items():
        frame = _without_erased(rows, taken.rejects[name])
        there = [n for n in frame.collect_schema().names() if n in _mapped(taken, name)]
        frame.select(there).collect().write_parquet(
            folder / "raw" / f"{name}.parquet", compression="zstd"
        )


def _mapped(taken: Intake, table: str) -> set[str]:
    """Name the source columns that the clean table was made from, survey items included."""
    part = taken.mapping.tables.get(table)
    named = set() if part is None else set(part.columns.values())
    extra = set(taken.tables[table].columns) if table in OPEN and table in taken.tables else set()
    return named | extra


def _without_erased(rows: pl.DataFrame | pl.LazyFrame, rejects: pl.DataFrame) -> pl.LazyFrame:
    """Blank the rows of erased customers, so that row numbers still hold."""
    gone = rejects.filter(pl.col("reason") == "erased")["source_row"]
    frame = rows.lazy()
    if gone.is_empty():
        return frame
    keep = ~pl.int_range(pl.len(), dtype=pl.Int64).is_in(gone.implode())
    return frame.select(pl.when(keep).then(pl.all()))


class StoredTables(Map[str, pl.DataFrame]):
    """Tables of a saved intake; each is read when it is first asked for.

    Parameters
    ----------
    paths : mapping of str to pathlib.Path
        Name to Parquet file.
    """

    def __init__(self, paths: Map[str, Path]) -> None:
        self._paths = dict(paths)
        self._read: dict[str, pl.DataFrame] = {}

    def __getitem__(self, name: str) -> pl.DataFrame:
        if name not in self._read:
            path = self._paths[name]
            try:
                self._read[name] = pl.read_parquet(path)
            except (OSError, pl.exceptions.PolarsError) as error:
                raise SourceError(
                    f"the saved intake's table {name} ({path.name} in {path.parent.name}/) cannot "
                    "be read: it was removed or damaged since; run the intake again"
                ) from error
        return self._read[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._paths)

    def __len__(self) -> int:
        return len(self._paths)

    def __contains__(self, name: object) -> bool:
        return name in self._paths  # without reading it


def open_intake(folder: Path) -> Intake:
    """Read back what `save_intake` wrote: a table when it is first asked for, raw ones scanned.

    Where raw rows and rejects are kept elsewhere and are not there, a note says so, and `trace`
    refuses.

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
    notes, rows = ledger.notes, folder if not (folder / POINTER).is_file() else None
    if rows is None:
        pointer = json.loads((folder / POINTER).read_text(encoding="utf-8"))
        rows = find_private(folder, pointer)
        if rows is None:
            told = (
                f"raw rows and rejects are not there: expected {pointer['store']} in "
                f"{pointer['root']} (from the run's folder), or in ${VARIABLE}"
            )
            notes = (*notes, told)
    raw = {} if rows is None else {n: rows / "raw" / f"{n}.parquet" for n in tables}
    there = {n: pl.scan_parquet(path) for n, path in raw.items() if path.is_file()}
    rejected = {} if rows is None else {n: rows / "rejects" / f"{n}.parquet" for n in tables}
    return Intake(
        StoredTables(tables),
        StoredTables(rejected),
        ledger,
        Mapping.load(folder / MAPPING),
        notes,
        there or None,
    )
