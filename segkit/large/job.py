"""Steps from raw files to features over a work folder: sample, split, clean, describe."""

from __future__ import annotations

import shutil
import time
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import polars as pl

from segkit.display import counted, number
from segkit.errors import DataError, ParameterError, SourceError
from segkit.features import CustomerTable
from segkit.features.build import FeaturePlan, Totals
from segkit.intake.calendars import find_calendars
from segkit.intake.clean import complete_mapping, doubt_result, run, usable_links
from segkit.intake.columns import Columns, Shared
from segkit.intake.graph import tidy
from segkit.intake.ledger import Ledger
from segkit.intake.mapping import Mapping as ColumnMapping
from segkit.intake.people import UNLINKED, erased_ids, pseudonyms
from segkit.intake.readers import Gathered, gather
from segkit.intake.readers import read_table as read_whole
from segkit.intake.reshape import fill_orders
from segkit.intake.spellings import are_telephones
from segkit.large.chunks import WHOLE, RawFile, concat_samples, list_files
from segkit.large.clean import add_up, clean_part, write_clean
from segkit.large.gates import LateColumnsError, ask_all_rows
from segkit.large.split import (
    ROW,
    Split,
    find_headers,
    find_repeats,
    needs_whole_orders,
    split_by_customer,
    split_table,
    write_parts,
)
from segkit.large.work import Stage, Work, fingerprint, frame_hash, stage_key
from segkit.pipeline import IDENTIFIERS, link_tables
from segkit.progress import steps
from segkit.schema import fields

PART_ROWS = 1_000_000  # lines of a part, about
LINE_BYTES = 60  # of a line of text, about
MOST_PARTS = 1_000


@dataclass(frozen=True, slots=True)
class Prepared:
    """Sample, mapping and files of a source, as `prepare` returns them.

    Attributes
    ----------
    gathered : Gathered
        The sample of the rows.
    mapping : Mapping
        Completed by the sample.
    files : dict of str to list of RawFile
        Files of each table that is read in chunks.
    small : dict of str to polars.DataFrame
        Tables that are read whole.
    parts : int
        Parts that the customers are divided into.
    """

    gathered: Gathered
    mapping: ColumnMapping
    files: dict[str, list[RawFile]]
    fingerprints: dict[str, list[Any]]
    small: dict[str, pl.DataFrame]
    parts: int

    def made_from(self) -> dict[str, Any]:
        """Return what the rows are split by, for a stage's key."""
        return {
            "files": self.fingerprints,
            "small": {name: frame_hash(frame) for name, frame in self.small.items()},
            "mapping": self.mapping.to_dict(),
            "parts": self.parts,
        }

    def facts(self) -> dict[str, str | None]:
        """Return hashes of what cleaning reads besides the files: erased ids, pseudonyms' key."""
        options = self.mapping.options
        erase, variable = options.get("erase_file"), options.get("pseudonymise")
        erased = erased_ids(None, erase, self.gathered.base).to_frame()
        key = pseudonyms(pl.Series([""]), variable)["pseudonym"][0] if variable else None
        return {"erased": frame_hash(erased), "pseudonyms": key}


class Job:
    """One run over a work folder; each step returns the stage that it has filled."""

    def __init__(
        self, source: Any, work: Work, mapping: Any, preset: str | None, partitions: Any
    ) -> None:
        self.work = work
        self.seconds: dict[str, float] = {}
        self.prepared = self.timed("sample", lambda: prepare(source, mapping, preset, partitions))

    def timed(self, name: str, task: Any) -> Any:
        """Run a step, and keep its time on the clock."""
        started = time.perf_counter()
        result = task()
        self.seconds[name] = self.seconds.get(name, 0.0) + time.perf_counter() - started
        return result

    @cached_property
    def people(self) -> tuple[pl.DataFrame | None, bool]:
        """The identifiers that belong to one customer; see `link_people`."""
        return link_people(self.prepared)

    def clean(self) -> Stage:
        """Split and clean all rows; once more by a mapping that later rows complete."""
        late = self.work.stage("mapping", **self.prepared.made_from())
        if late.done("late") is None:
            try:
                return self._clean_all()
            except LateColumnsError as error:
                gathered = replace(self.prepared.gathered, raw=error.raw)
                mapping = _pin_clocks(gathered, error.mapping, self.prepared.files)
                late.record("late", mapping.to_dict())
        mapping = ColumnMapping.from_dict(late.done("late") or {})
        self.prepared = replace(self.prepared, mapping=mapping)
        self.__dict__.pop("people", None)  # linked by the mapping before
        return self._clean_all()

    def _clean_all(self) -> Stage:
        made_from, facts = self.prepared.made_from(), self.prepared.facts()
        stage = self.work.stage("clean", split=stage_key(**made_from)[0], **facts)
        if not self.is_done(stage):
            split_stage = self.work.stage("split", **made_from)
            self.timed("clean", lambda: self._clean(split_stage, stage))
        self.work.remove("split")  # raw rows, of those too whom the clean ones leave out
        return stage

    def is_done(self, stage: Stage) -> bool:
        """Return whether all parts of a stage are done and their files there."""
        return all(stage.done(part) is not None for part in ("all", *range(self.prepared.parts)))

    def _clean(self, split_stage: Stage, stage: Stage) -> None:
        prepared, mapping = self.prepared, self.prepared.mapping
        people, is_pruned = self.timed("link", lambda: self.people)
        try:
            splits, facts, repeats = self.timed("split", lambda: self._split(split_stage))
        finally:
            self._check_unchanged(split_stage)
        _check_currencies(splits["orders"], mapping, with_fx="fx" in prepared.small)
        links = None
        if people is not None:
            rows = people.with_columns(pl.int_range(pl.len(), dtype=pl.Int64).alias(ROW))
            sizes = write_parts(split_stage, "links", 0, rows, rows["customer_id"], prepared.parts)
            links = Split(split_stage, "links", prepared.parts, [{"sizes": sizes}], [0], "links")
        used = {name: frame for name, frame in prepared.small.items() if name != "links"}
        whole = run(used, mapping, base=prepared.gathered.base) if used else None
        rates = {name: frame for name, frame in used.items() if name == "fx"}
        firsts = {name: files[0].layout.first_line for name, files in prepared.files.items()
                  if len(files) == 1 and files[0].layout is not None}  # fmt: skip
        for part in steps(range(prepared.parts), "parts cleaned"):
            if stage.done(part) is None:
                base = prepared.gathered.base
                result, raw = clean_part(part, splits, facts, mapping, rates, links, base, firsts)
                if part == 0:
                    doubt_result(raw["orders"], prepared.gathered.given, mapping, result)
                noted = list(result.notes) if prepared.parts == 1 else []
                if part == 0 and prepared.parts > 1:
                    where = f"in the first of {counted(prepared.parts, 'part')}"
                    noted += [f"{where}: {note}" for note in result.notes
                              if not (is_pruned and note.endswith(UNLINKED))]  # fmt: skip
                write_clean(stage, part, result, raw["orders"], noted)
        if whole is not None:
            for name, frame in whole.tables.items():
                stage.write(frame, name, 0)
        records = [stage.done(part) or {} for part in range(prepared.parts)]
        own = (note for each in records for note in each["notes"])
        notes = (*prepared.gathered.notes, *repeats, *own)
        ledger = add_up(stage, prepared.parts, None if whole is None else whole.ledger, notes)
        if not any(each["lines"] for each in records):
            raise DataError(f"no order line is left: {ledger.text}")
        stage.record("all", {"ledger": ledger.to_dict()})

    def _check_unchanged(self, stage: Stage) -> None:
        """Drop what was split, and raise, where a file has changed since it was looked at."""
        try:
            now = {table: [fingerprint(file.path) for file in each]
                   for table, each in self.prepared.files.items()}  # fmt: skip
        except OSError:
            now = {}
        if now != self.prepared.fingerprints:
            shutil.rmtree(stage.folder, ignore_errors=True)
            raise SourceError(
                "a file of the source was replaced, or changed, while it was read; call again when "
                "nobody writes it"
            )

    def _split(self, stage: Stage) -> tuple[dict[str, Split], dict[str, Shared], list[str]]:
        """Split each table with customers; orders by order first, where they need it."""
        prepared, mapping = self.prepared, self.prepared.mapping
        raw, given = prepared.gathered.raw, prepared.gathered.given
        splits, facts, notes = dict[str, Split](), dict[str, Shared](), list[str]()
        for name, files in prepared.files.items():
            whole_orders = name == "orders" and needs_whole_orders(
                Columns(name, raw[name], mapping)
            )
            ask = (stage, files, raw[name], mapping, given, self.people[0], prepared.parts)
            split = split_table(*ask, by_order=whole_orders)
            headers = split.headers()
            if split.needs_orders and not whole_orders:
                again = Stage(stage.folder / "by-order", stage.key)
                again.folder.mkdir(exist_ok=True)
                split = split_table(again, *ask[1:], by_order=True)
                whole_orders = True
            notes += _about_sample(split, prepared)
            own_facts = split.facts(mapping)
            split = replace(split, repeats=find_repeats(split))
            if split.repeats is not None and (repeats := split.repeats.len()):
                notes.append(f"{name}: {counted(repeats, 'row')} in an earlier file too left out")
            if whole_orders:
                stated = find_headers(split, mapping)
                own_facts |= {("header", column): stands for column, stands in stated.items()}
                split = split_by_customer(split, mapping, self.people[0], own_facts)
            else:
                own_facts |= {("header", column): False for column in headers}
            splits[name], facts[name] = split, own_facts
        stages = {name: split.stage for name, split in splits.items()}
        ask_all_rows(prepared.gathered, mapping, stages, facts)
        return splits, facts, notes

    def describe(
        self, name: str, clean: Stage, plan_of: Callable[[Stage], FeaturePlan], **inputs: Any
    ) -> tuple[CustomerTable, Stage]:
        """Build the features of every part, into a stage of this name.

        ``plan_of`` settles for all parts together which features there are. Returns the customer
        table without its rows, and the stage that holds them.
        """
        stage = self.work.stage(name, clean=clean.key, **inputs)
        if not self.is_done(stage):
            self.timed("features", lambda: self._describe(clean, stage, plan_of))
        return CustomerTable.from_dict((stage.done("all") or {})["table"]), stage

    def _describe(
        self, clean: Stage, stage: Stage, plan_of: Callable[[Stage], FeaturePlan]
    ) -> None:
        parts = self.prepared.parts
        plan = self.timed("plan of features", lambda: plan_of(clean))
        totals: Totals = {}
        for part in steps(range(parts), "parts weighed by category"):
            orders, events = _read_clean(clean, part)
            if orders.height:
                own = plan.add_level_totals(plan.of_part(orders, events))
                for window, levels in totals.items():
                    own[window] = [a + b for a, b in zip(levels, own[window], strict=True)]
                totals = own
                if not totals:  # no category, no brand
                    break
        counts: dict[str, float] = {}
        for part in steps(range(parts), "parts described by features"):
            own_counts = stage.done(part)
            if own_counts is None:
                orders, events = _read_clean(clean, part)
                own_counts = {}
                if orders.height:
                    frame, own_counts = plan.compute(plan.of_part(orders, events), totals)
                    stage.write(frame, "table", part)
                stage.record(part, own_counts)
            for name, n in own_counts.items():
                counts[name] = counts.get(name, 0) + n
        table = plan.table(pl.DataFrame(), counts)
        stage.record("all", {"table": table.to_dict()})

    def ledger(self, clean: Stage) -> Ledger:
        """Return the account of all raw rows."""
        return Ledger.from_dict((clean.done("all") or {})["ledger"])


def prepare(source: Any, mapping: Any, preset: str | None, partitions: Any) -> Prepared:
    """Look at the files, take a sample, and complete the mapping by it."""
    base = Path(mapping).parent if isinstance(mapping, str | Path) else None
    given = gather({}, mapping, preset).given
    listed = list_files(source, given, base)
    files: dict[str, list[RawFile]] = {}
    prints = dict[str, list[Any]]()
    small, frames = dict[str, pl.DataFrame](), dict[str, pl.DataFrame]()
    rows = 0
    for table, paths in listed.items():
        if table != "links" and "customer_id" in fields(table):
            prints[table] = [fingerprint(path) for path in paths if path.is_file()]
            files[table] = [RawFile.open(path, table, given) for path in paths]
            samples = [file.sample() for file in files[table]]
            frames[table] = concat_samples(samples, files[table])
            calendars = find_calendars(frames[table])
            files[table] = [replace(file, calendars=calendars) for file in files[table]]
            if table in ("orders", "events"):
                rows += sum(f.rows or text_bytes(f.path) // LINE_BYTES for f in files[table])
        else:
            small[table] = pl.concat([read_whole(path, given, table).frame for path in paths])
    gathered = gather({**frames, **small}, mapping, preset)
    is_named = "orders" in given.tables and "order_id" in given.tables["orders"].columns
    if not is_named and fill_orders(frames["orders"])[1]:
        raise DataError(
            "orders: rows go on with the order of an earlier row; map [orders.columns] order_id, "
            f"or {WHOLE}"
        )
    settled = complete_mapping(gathered)
    settled = _pin_clocks(gathered, settled, files)
    parts = max(1, -(-rows // PART_ROWS)) if partitions == "auto" else partitions
    if not isinstance(parts, int) or isinstance(parts, bool) or not 1 <= parts <= MOST_PARTS:
        raise ParameterError(
            f'partitions is "auto" or a number from 1 to {MOST_PARTS}; got {partitions!r}'
        )
    return Prepared(gathered, settled, files, prints, small, parts)


def _about_sample(split: Split, prepared: Prepared) -> list[str]:
    """Note that the country of telephone numbers as ids is told by the sample alone."""
    is_told = prepared.gathered.given.option("orders", "phone_country") is not None
    read, rows = (
        prepared.gathered.raw[split.table].height,
        sum(sum(r["sizes"]) for r in split.records),
    )
    if is_told or split.table != "orders" or read >= rows or not are_telephones(prepared.mapping):
        return []
    told = f"told by {number(read)} of {counted(rows, 'row')}"
    return [f"orders: the country of telephone numbers (phone_country) is {told}"]


def text_bytes(path: Path) -> int:
    """Return the bytes of a text file; of a packed one about, by how its start unpacks."""
    size = path.stat().st_size
    if not path.name.lower().endswith(".gz"):
        return size
    with path.open("rb") as handle:
        head = handle.read(1 << 20)
    unpacker = zlib.decompressobj(31)
    try:
        unpacked = len(unpacker.decompress(head))
    except zlib.error:  # its reader says so
        return size
    return size * unpacked // max(1, len(head) - len(unpacker.unused_data))


def _pin_clocks(
    gathered: Gathered, mapping: ColumnMapping, files: dict[str, list[RawFile]]
) -> ColumnMapping:
    """Fix how numbers are read as dates, which a part's own range could tell otherwise."""
    for table in files:
        for name, field in fields(table).items():
            if field.kind != "time" or mapping.is_set(table, "date_format"):
                continue
            columns = Columns(table, gathered.raw[table], mapping)
            raw_column = columns.source(name)
            if raw_column and columns.raw.schema[raw_column].is_numeric():
                formats = columns.clock(name).formats
                if formats:
                    mapping = mapping.with_option(table, "date_format", formats[0])
    return mapping


def link_people(prepared: Prepared) -> tuple[pl.DataFrame | None, bool]:
    """Link the identifiers of the customers and links tables.

    A row that shares no identifier with another is a customer of its own; only the others are held
    in memory, unless orders or events name customers by e-mail, device or card.

    Returns
    -------
    tuple of (polars.DataFrame or None, bool)
        The links (None if no rows share an identifier), and whether rows that share none with
        another were left out of them.
    """
    mapping, named = prepared.mapping, dict[str, dict[str, str]]()
    for table in ("links", "customers"):
        if table not in {*prepared.small, *prepared.files}:
            continue
        columns = mapping.tables[table].columns
        kinds = {kind: columns[kind] for kind in (*IDENTIFIERS, "birth_date") if kind in columns}
        if len(set(kinds) & set(IDENTIFIERS)) > 1:
            named[table] = kinds
    if not named:
        return None, False
    others = (mapping.tables[name].columns for name in prepared.files if name != "customers")
    is_pruned = not any(set(IDENTIFIERS[1:]) & set(columns) for columns in others)
    is_shared = _share_identifiers(prepared, named) if is_pruned else None
    frames, place = dict[str, list[pl.DataFrame]](), 0
    for table, frame in _identifier_rows(prepared, named):
        part = frame if is_shared is None else frame.filter(is_shared.slice(place, frame.height))
        place += frame.height
        frames.setdefault(table, []).append(part)
    tables = {table: pl.concat(each) for table, each in frames.items()}
    if not any(frame.height for frame in tables.values()):
        return None, True
    return usable_links(link_tables(tables, mapping), mapping), is_pruned


def _identifier_rows(
    prepared: Prepared, named: dict[str, dict[str, str]]
) -> Iterator[tuple[str, pl.DataFrame]]:
    """Yield the identifiers of each table, a chunk after another."""
    for table, kinds in named.items():
        wanted = list(dict.fromkeys(kinds.values()))
        if table in prepared.small:
            yield table, prepared.small[table].select(wanted)
        for file in prepared.files.get(table, ()):
            yield from ((table, frame.select(wanted)) for frame, _ in file.chunks())


def _share_identifiers(prepared: Prepared, named: dict[str, dict[str, str]]) -> pl.Series:
    """Mark the rows that share an identifier with another, by hashes."""
    rows = _identifier_rows(prepared, named)
    hashes = pl.concat(
        [_hash_identifiers(frame, named[table]) for table, frame in rows], how="diagonal"
    )
    shared = (pl.col(kind).is_duplicated() & pl.col(kind).is_not_null() for kind in hashes.columns)
    return hashes.select(pl.any_horizontal(shared).alias("shared")).to_series()


def _hash_identifiers(frame: pl.DataFrame, kinds: dict[str, str]) -> pl.DataFrame:
    """Return a hash of each identifier as it is compared; null where a cell names nobody."""
    read = {kind: tidy(frame[column], kind) for kind, column in kinds.items()
            if kind in IDENTIFIERS}  # fmt: skip
    return pl.DataFrame(
        {kind: ids.to_frame("id").select(pl.when(pl.col("id").is_not_null())
                                         .then(pl.col("id").hash())).to_series()
         for kind, ids in read.items()}
    )  # fmt: skip


def _check_currencies(orders: Split, mapping: ColumnMapping, *, with_fx: bool) -> None:
    """Raise where lines are in several currencies and none is named to report in."""
    stated = sorted({c for record in orders.records for c in record.get("currencies", ())})
    if len(stated) > 1 and not with_fx and not mapping.option("orders", "currency"):
        raise DataError(
            f"orders are in {counted(len(stated), 'currency', 'currencies')} "
            f"({', '.join(stated[:6])}): name the one to report in ([orders] currency), and give "
            "rates (the table fx)"
        )


def scan_clean(clean: Stage) -> tuple[pl.LazyFrame, pl.LazyFrame | None]:
    """Return the clean orders and events of all parts, lazy."""
    orders, events = (clean.paths(name) for name in ("orders", "events"))
    return pl.scan_parquet(orders), pl.scan_parquet(events) if events else None


def _read_clean(clean: Stage, part: int) -> tuple[pl.DataFrame, pl.DataFrame | None]:
    """Read a part's clean orders and events."""
    events = clean.path("events", part)
    return pl.read_parquet(clean.path("orders", part)), (
        pl.read_parquet(events) if events.is_file() else None
    )
