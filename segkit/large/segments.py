"""Segments of raw files larger than memory, by way of parts of the customers on disk."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import polars as pl

from segkit.cluster.batches import draw_customers
from segkit.cluster.fit import cluster_customers
from segkit.cluster.model import SegmentModel
from segkit.cluster.refits import Method
from segkit.cluster.segments import CAVEAT
from segkit.display import counted, number, percent
from segkit.errors import DataError, ParameterError
from segkit.features import CustomerTable, choose_calendar
from segkit.features.build import FeaturePlan, plan_features
from segkit.intake.clean import complete_mapping, doubt_result, run, usable_links
from segkit.intake.columns import Columns, Shared
from segkit.intake.grouped import fill_orders
from segkit.intake.ledger import Ledger
from segkit.intake.mapping import Mapping as ColumnMapping
from segkit.intake.readers import Gathered, gather
from segkit.intake.readers import read_table as read_whole
from segkit.intake.store import Intake
from segkit.large.chunks import WHOLE, RawFile, list_files
from segkit.large.clean import add_up, clean_part, write_clean
from segkit.large.split import (
    ROW,
    Split,
    find_headers,
    needs_whole_orders,
    split_by_customer,
    split_table,
    write_parts,
)
from segkit.large.work import Stage, Work, fingerprint
from segkit.pipeline import (
    IDENTIFIERS,
    WINDOWS,
    choose_products,
    choose_variables,
    find_attributes,
    link_tables,
)
from segkit.profile import profile_segments
from segkit.progress import steps
from segkit.result import Result
from segkit.schema import fields

if TYPE_CHECKING:
    from segkit.cluster.segments import Segmentation
    from segkit.plot import Figure
    from segkit.profile import Profile

__all__ = ["LargeSegmentation", "segment_files"]

PART_ROWS = 1_000_000  # lines of a part, about
LINE_BYTES = 60  # of a line of text, about
MOST_PARTS = 1_000
SAMPLE_CUSTOMERS = 50_000


@dataclass(frozen=True, slots=True, eq=False)
class LargeSegmentation(Result):
    """Segments of all customers of raw files, and where they are kept.

    Attributes
    ----------
    model : SegmentModel
        The model of the sampled customers, with the sizes of all.
    fit : Segmentation
        The sample's segmentation.
    profile : Profile
        Profile of each segment, from the sampled customers.
    table : CustomerTable
        The features without their rows, which are in ``features``.
    ledger : Ledger
        Account of all raw rows.
    segments : polars.DataFrame
        One row per segment, of all customers: segment, segment_name, customers, customer_share,
        revenue (net), revenue_share, revenue_per_customer, unlike_any (customers).
    customers, sample, parts : int
        Customers in segments, customers that the model was fitted on, parts on disk.
    assignments, features, orders : pathlib.Path
        Folders of Parquet files: each customer's segment, features, and clean order lines.
    seconds : dict of str to float
        Time on the clock of each step of this call; little where it was done before.
    """

    model: SegmentModel
    fit: Segmentation
    profile: Profile
    table: CustomerTable
    ledger: Ledger
    segments: pl.DataFrame
    customers: int
    sample: int
    parts: int
    assignments: Path
    features: Path
    orders: Path
    seconds: dict[str, float]

    def to_frame(self) -> pl.DataFrame:
        """Return one row per segment: customers and revenue of all customers."""
        return self.segments

    @property
    def text(self) -> str:
        """The segments in words, the rejected lines, and what rests on a sample."""
        each = "; ".join(
            f"{row['segment']} {row['segment_name']} {percent(row['customer_share'])} of customers "
            f"with {percent(row['revenue_share'])} of revenue"
            for row in self.segments.iter_rows(named=True)
        )
        whole = self.sample == self.customers
        fitted = "" if whole else f" by a model of a random sample of {number(self.sample)}"
        apart = sum(self.ledger.reasons().values())
        notes = "".join(f" {note[:1].upper()}{note[1:]}." for note in self.table.notes)
        return (
            f"{counted(self.customers, 'customer')} in {counted(len(self.segments), 'segment')}"
            f"{fitted}: {each}. {CAVEAT} Made from order lines up to {self.table.as_of}; "
            f"{counted(apart, 'raw line')} rejected (.ledger).{notes}"
        )

    def plot(self) -> Figure:
        """Draw each segment's profile against all sampled customers."""
        return self.profile.plot()


def segment_files(
    source: Any,
    work: Path | str,
    *,
    mapping: Any = None,
    preset: str | None = None,
    as_of: date | None = None,
    variables: Sequence[str] = (),
    k: int | None = None,
    method: Method = "ward",
    calendar: str = "",
    seed: int = 0,
    sample: int = SAMPLE_CUSTOMERS,
    partitions: int | Literal["auto"] = "auto",
) -> LargeSegmentation:
    """Segment the customers of raw files in bounded memory, and go on after an interruption.

    The steps of `segkit.segment`, taken for one part of the customers after another. Rows are read
    in chunks and split by a hash of their customer into the work folder; each part is cleaned,
    and described by features, as all rows would be. Segments are found among a random sample of
    customers, and every customer is assigned by their model.

    Parameters
    ----------
    source : path, dict of str to (path or list of paths), or None
        A file of orders, a folder of tables, paths by table, or None: the mapping's files. Orders
        and events are Parquet or text.
    work : path
        Folder for all intermediate and final files, about twice the size of the source. A second
        call with the same source and options goes on where the first was stopped.
    mapping, preset, as_of, variables, k, method, calendar, seed
        As for `segkit.segment`; a proposal rests on a sample of the rows.
    sample : int
        Customers to find segments among, and to profile.
    partitions : int or "auto"
        Parts of the customers: the more, the less memory. By default a million lines each.

    Returns
    -------
    LargeSegmentation

    Raises
    ------
    DataError, MappingError, SourceError, ParameterError
        As `segkit.segment` raises them; and where something cannot be told of a part of the
        customers alone, with what to set or do.

    Examples
    --------
    >>> import tempfile
    >>> rows = [(f"c{i}", f"2024-{m:02}-{1 + i % 28:02}", 10.0 + i)
    ...         for i in range(60) for m in range(1, 13, 1 + 3 * (i % 2))]
    >>> lines = pl.DataFrame(rows, schema=["customer_id", "order_date", "amount"], orient="row")
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     _ = lines.write_csv(f"{folder}/lines.csv")
    ...     found = segment_files(f"{folder}/lines.csv", f"{folder}/work", k=2, partitions=3)
    >>> found.segments["customers"].sum()
    60
    """
    if sample < 50:
        raise ParameterError(f"sample must be at least 50 customers, got {sample}")
    job = _Job(source, Work.open(work), mapping, preset, partitions)
    clean = job.clean()
    planned, features = job.describe(clean, as_of, calendar)
    return job.assign(clean, features, planned, variables, k, method, seed, sample)


@dataclass(slots=True)
class _Prepared:
    """Sample, mapping and files of a source."""

    gathered: Gathered
    mapping: ColumnMapping
    files: dict[str, list[RawFile]]
    small: dict[str, pl.DataFrame]
    is_whole: bool
    parts: int


class _Job:
    """One run over a work folder; each step returns the stage that it has filled."""

    def __init__(
        self, source: Any, work: Work, mapping: Any, preset: str | None, partitions: Any
    ) -> None:
        self.work = work
        self.seconds: dict[str, float] = {}
        self.prepared = self._timed("sample", lambda: _prepare(source, mapping, preset, partitions))

    def _timed(self, name: str, task: Any) -> Any:
        started = time.perf_counter()
        result = task()
        self.seconds[name] = self.seconds.get(name, 0.0) + time.perf_counter() - started
        return result

    @cached_property
    def links(self) -> pl.DataFrame | None:
        """The identifiers that belong to one customer, if the source links any."""
        return _link(self.prepared)

    def clean(self) -> Stage:
        """Split and clean all rows."""
        prepared = self.prepared
        made_from = {
            "files": {name: [fingerprint(f.path) for f in each]
                      for name, each in prepared.files.items()},
            "small": {name: str(frame.hash_rows().sum()) for name, frame in prepared.small.items()},
            "mapping": prepared.mapping.to_dict(),
            "parts": prepared.parts,
        }  # fmt: skip
        split_stage = self.work.stage("split", **made_from)
        stage = self.work.stage("clean", split=split_stage.key)
        if stage.done("all") is None:
            self._timed("clean", lambda: self._clean(split_stage, stage))
        return stage

    def _clean(self, split_stage: Stage, stage: Stage) -> None:
        prepared, mapping = self.prepared, self.prepared.mapping
        splits, facts = self._timed("split", lambda: self._split(split_stage))
        _check_currencies(splits["orders"], mapping, with_fx="fx" in prepared.small)
        links = None
        if self.links is not None:
            rows = self.links.with_columns(pl.int_range(pl.len(), dtype=pl.Int64).alias(ROW))
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
                result, raw, notes = clean_part(
                    part, splits, facts, mapping, rates, links, base, firsts
                )
                if part == 0:
                    doubt_result(raw["orders"], prepared.gathered.given, mapping, result)
                notes += result.notes if prepared.parts == 1 else ()
                if part == 0 and prepared.parts > 1:
                    where = f"in the first of {counted(prepared.parts, 'part')}"
                    notes += [f"{where}: {note}" for note in result.notes]
                write_clean(stage, part, result, notes)
        if whole is not None:
            for name, frame in whole.tables.items():
                stage.write(frame, name, 0)
        noted = [(stage.done(part) or {})["notes"] for part in range(prepared.parts)]
        notes = (*prepared.gathered.notes, *(note for each in noted for note in each))
        ledger = add_up(stage, prepared.parts, None if whole is None else whole.ledger, notes)
        if not any((stage.done(part) or {})["lines"] for part in range(prepared.parts)):
            raise DataError(f"no order line is left: {ledger.text}")
        stage.record("all", {"ledger": ledger.to_dict()})

    def _split(self, stage: Stage) -> tuple[dict[str, Split], dict[str, Shared]]:
        """Split each table with customers; orders by order first, where they need it."""
        prepared, mapping = self.prepared, self.prepared.mapping
        raw, given = prepared.gathered.raw, prepared.gathered.given
        splits, facts = dict[str, Split](), dict[str, Shared]()
        for name, files in prepared.files.items():
            whole_orders = name == "orders" and needs_whole_orders(
                Columns(name, raw[name], mapping)
            )
            ask = (stage, files, raw[name], mapping, given, self.links, prepared.parts)
            split = split_table(*ask, by_order=whole_orders)
            headers = split.headers()
            if None in headers.values() and not whole_orders:
                again = Stage(stage.folder / "by-order", stage.key)
                again.folder.mkdir(exist_ok=True)
                split = split_table(again, *ask[1:], by_order=True)
                whole_orders = True
            known = split.facts(mapping)
            if whole_orders:
                found = find_headers(split, mapping)
                known |= {("header", column): stands for column, stands in found.items()}
                split = split_by_customer(split, mapping, self.links, known)
            else:
                known |= {("header", column): False for column in headers}
            splits[name], facts[name] = split, known
        return splits, facts

    def describe(
        self, clean: Stage, as_of: date | None, calendar: str
    ) -> tuple[CustomerTable, Stage]:
        """Build the features of every part, by the facts of all."""
        stage = self.work.stage(
            "features", clean=clean.key, as_of=as_of, calendar=calendar, windows=WINDOWS
        )
        done = stage.done("all")
        if done is None:
            self._timed("features", lambda: self._describe(clean, stage, as_of, calendar))
            done = stage.done("all") or {}
        return CustomerTable.from_dict(done["table"]), stage

    def _describe(self, clean: Stage, stage: Stage, as_of: date | None, calendar: str) -> None:
        parts = self.prepared.parts
        plan = self._timed("plan of features", lambda: self._plan(clean, as_of, calendar))
        totals: list[Any] = []
        for part in steps(range(parts), "parts weighed by category"):
            orders, events = _read_clean(clean, part)
            if orders.height:
                own = plan.add_level_totals(plan.of_part(orders, events))
                totals = [a + b for a, b in zip(totals, own, strict=True)] if totals else own
                if not totals:  # no category, no brand
                    break
        plan = plan.with_level_totals(totals)
        counts: dict[str, float] = {}
        for part in steps(range(parts), "parts described by features"):
            own_counts = stage.done(part)
            if own_counts is None:
                orders, events = _read_clean(clean, part)
                own_counts = {}
                if orders.height:
                    frame, own_counts = plan.compute(plan.of_part(orders, events))
                    stage.write(frame, "table", part)
                stage.record(part, own_counts)
            for name, n in own_counts.items():
                counts[name] = counts.get(name, 0) + n
        table = plan.table(pl.DataFrame(), counts)
        stage.record("all", {"table": table.to_dict(), "customers": int(counts["buyers"])})

    def _plan(self, clean: Stage, as_of: date | None, calendar: str) -> FeaturePlan:
        orders = pl.scan_parquet(clean.paths("orders"))
        events = pl.scan_parquet(clean.paths("events")) if clean.paths("events") else None
        products = clean.paths("products")
        goods = choose_products(pl.read_parquet(products[0]), orders) if products else None
        ledger = self.ledger(clean)
        tables = {name: pl.read_parquet(clean.path(name, 0)) for name in ("orders", "customers")
                  if clean.path(name, 0).is_file()}  # fmt: skip
        raw = self.prepared.gathered.raw
        taken = Intake(tables, {}, ledger, self.prepared.mapping, ledger.notes, raw)
        return plan_features(
            orders,
            events,
            as_of=as_of,
            windows=WINDOWS,
            calendar=choose_calendar(taken, calendar),
            currency=ledger.currency,
            products=None if goods is None else goods.lazy(),
        )

    def ledger(self, clean: Stage) -> Ledger:
        """Return the account of all raw rows."""
        return Ledger.from_dict((clean.done("all") or {})["ledger"])

    def assign(
        self,
        clean: Stage,
        features: Stage,
        table: CustomerTable,
        variables: Sequence[str],
        k: int | None,
        method: Method,
        seed: int,
        sample: int,
    ) -> LargeSegmentation:
        """Find segments among a sample of customers, and assign all."""
        stage = self.work.stage(
            "segments", features=features.key, variables=list(variables), k=k, method=method,
            seed=seed, sample=sample,
        )  # fmt: skip
        fit, profile, drawn = self._timed(
            "clusters",
            lambda: self._fit(clean, features, table, variables, k, method, seed, sample),
        )
        sums = self._timed("assign", lambda: _assign(stage, features, fit.model))
        segments = _sizes(fit.model, sums)
        customers = int(segments["customers"].sum())
        sizes = dict(segments.select("segment", "customers").iter_rows())
        parts = tuple(replace(s, size=sizes.get(s.id, 0)) for s in fit.model.segments)
        model = replace(fit.model, segments=parts, rows=customers)
        model.save(stage.folder / "segment_model.json")
        stage.write(segments, "segments", "all")
        stage.write(profile.to_frame(), "profile", "all")
        stage.write(profile.variables, "profile", "variables")
        return LargeSegmentation(
            model=model,
            fit=fit,
            profile=profile,
            table=table,
            ledger=self.ledger(clean),
            segments=segments,
            customers=customers,
            sample=drawn,
            parts=self.prepared.parts,
            assignments=stage.folder / "assignments",
            features=features.folder / "table",
            orders=clean.folder / "orders",
            seconds=self.seconds,
        )

    def _fit(
        self,
        clean: Stage,
        features: Stage,
        table: CustomerTable,
        variables: Sequence[str],
        k: int | None,
        method: Method,
        seed: int,
        sample: int,
    ) -> tuple[Segmentation, Profile, int]:
        frames = (pl.read_parquet(path) for path in features.paths("table"))
        drawn = draw_customers(frames, sample, seed).sort("customer_id")
        chosen = choose_variables(drawn, variables)
        words = dict(table.definitions.select("name", "description").iter_rows())
        fit = cluster_customers(
            drawn, features=chosen, k=k, method=method, seed=seed, definitions=words,
            as_of=table.as_of,
        )  # fmt: skip
        ids = drawn.select("customer_id").lazy()
        rows = {
            name: pl.scan_parquet(clean.paths(name))
            .join(ids, on="customer_id", how="semi")
            .collect(engine="streaming")
            for name in ("orders", "customers")
            if clean.paths(name)
        }
        ledger = self.ledger(clean)
        taken = Intake(rows, {}, ledger, self.prepared.mapping)
        profile = profile_segments(
            drawn,
            fit.assignments,
            clustering_variables=chosen,
            orders=rows["orders"],
            customers=find_attributes(taken, table.as_of),
            as_of=table.as_of,
            seed=seed,
            currency=ledger.currency,
        )
        return fit, profile, drawn.height


def _prepare(source: Any, mapping: Any, preset: str | None, partitions: Any) -> _Prepared:
    """Look at the files, take a sample, and complete the mapping by it."""
    base = Path(mapping).parent if isinstance(mapping, str | Path) else None
    given = gather({}, mapping, preset).given
    listed = list_files(source, given, base)
    files: dict[str, list[RawFile]] = {}
    small, frames, is_whole = dict[str, pl.DataFrame](), dict[str, pl.DataFrame](), True
    rows = 0
    for table, paths in listed.items():
        if table != "links" and "customer_id" in fields(table):
            files[table] = [RawFile.open(path, table, given) for path in paths]
            samples = [file.sample() for file in files[table]]
            is_whole = is_whole and all(whole for _, whole in samples)
            frames[table] = pl.concat([frame for frame, _ in samples], how="vertical_relaxed")
            if table in ("orders", "events"):
                rows += sum(f.rows or f.path.stat().st_size // LINE_BYTES for f in files[table])
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
    if not isinstance(parts, int) or not 1 <= parts <= MOST_PARTS:
        raise ParameterError(
            f'partitions is "auto" or a number from 1 to {MOST_PARTS}; got {partitions!r}'
        )
    return _Prepared(gathered, settled, files, small, is_whole, parts)


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


def _link(prepared: _Prepared) -> pl.DataFrame | None:
    """Link identifiers of the customers and links tables, whose identifiers are held in memory."""
    tables, mapping = dict[str, pl.DataFrame](), prepared.mapping
    if "links" in prepared.small:
        tables["links"] = prepared.small["links"]
    if "customers" in prepared.files:
        named = mapping.tables["customers"].columns
        wanted = {named[kind] for kind in (*IDENTIFIERS, "birth_date") if kind in named}
        if len({named.get(kind) for kind in IDENTIFIERS} - {None}) > 1:
            chunks = [frame.select(sorted(wanted)) for file in prepared.files["customers"]
                      for frame, _ in file.chunks()]  # fmt: skip
            tables["customers"] = pl.concat(chunks)
    return usable_links(link_tables(tables, mapping), mapping) if tables else None


def _check_currencies(orders: Split, mapping: ColumnMapping, *, with_fx: bool) -> None:
    """Raise where lines are in several currencies and none is named to report in."""
    stated = sorted({c for record in orders.records for c in record.get("currencies", ())})
    if len(stated) > 1 and not with_fx and not mapping.option("orders", "currency"):
        raise DataError(
            f"orders are in {counted(len(stated), 'currency', 'currencies')} "
            f"({', '.join(stated[:6])}): name the one to report in ([orders] currency), and give "
            "rates (the table fx)"
        )


def _read_clean(clean: Stage, part: int) -> tuple[pl.DataFrame, pl.DataFrame | None]:
    """Read a part's clean orders and events."""
    events = clean.path("events", part)
    return pl.read_parquet(clean.path("orders", part)), (
        pl.read_parquet(events) if events.is_file() else None
    )


def _assign(stage: Stage, features: Stage, model: SegmentModel) -> list[dict[str, Any]]:
    """Assign the customers of every part, and return each part's sums by segment."""
    sums = []
    for path in steps(features.paths("table"), "parts assigned"):
        record = stage.done(int(path.stem))
        if record is None:
            frame = pl.read_parquet(path, columns=["customer_id", "monetary", *model.columns])
            scores = model.score(frame)
            stage.write(scores, "assignments", int(path.stem))
            micros = (pl.col("monetary") * 1_000_000).round(0).cast(pl.Int64)
            summed = (
                scores.with_columns(frame["monetary"])
                .drop_nulls("segment")
                .group_by("segment")
                .agg(customers=pl.len(), revenue=micros.sum(), unlike=pl.col("unlike_any").sum())
                .sort("segment")
            )
            record = stage.record(int(path.stem), {"sums": summed.to_dict(as_series=False)})
        sums.append(record["sums"])
    return sums


def _sizes(model: SegmentModel, sums: list[dict[str, Any]]) -> pl.DataFrame:
    """Add up customers and revenue of each segment."""
    kinds = {"segment": pl.String, "customers": pl.Int64, "revenue": pl.Int64, "unlike": pl.Int64}
    added = (
        pl.concat([pl.DataFrame(one, schema=kinds) for one in sums])
        .group_by("segment")
        .agg(pl.all().sum())
    )
    names = pl.DataFrame(
        [(s.id, s.name) for s in model.segments], schema=["segment", "segment_name"], orient="row"
    )
    whole = names.join(added, on="segment", how="left", maintain_order="left").fill_null(0)
    revenue = pl.col("revenue") / 1_000_000
    return whole.select(
        "segment",
        "segment_name",
        "customers",
        customer_share=pl.col("customers") / pl.col("customers").sum(),
        revenue=revenue,
        revenue_share=pl.col("revenue") / pl.col("revenue").sum(),
        revenue_per_customer=pl.when(pl.col("customers") > 0).then(revenue / pl.col("customers")),
        unlike_any="unlike",
    )
