"""Segments of raw files larger than memory, by way of parts of the customers on disk."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import polars as pl

from segkit.cluster.batches import draw_customers
from segkit.cluster.fit import cluster_customers
from segkit.cluster.refits import Method
from segkit.cluster.segments import CAVEAT
from segkit.display import counted, number
from segkit.errors import ParameterError
from segkit.features import CustomerTable, choose_calendar
from segkit.features.attributes import ATTRIBUTES
from segkit.features.build import FeaturePlan, plan_features
from segkit.features.calendar import day_number
from segkit.features.rebuild import plan_rebuilt
from segkit.intake.ledger import Ledger
from segkit.intake.store import MAPPING, Intake
from segkit.large.job import Job, scan_clean
from segkit.large.work import Stage, Work
from segkit.pipeline import WINDOWS, choose_products, choose_variables, find_attributes
from segkit.profile import profile_segments
from segkit.progress import steps
from segkit.result import Result
from segkit.scoring import check_spelling, fitted_spelling, list_segments, stored_definitions

if TYPE_CHECKING:
    from segkit.cluster.model import SegmentModel
    from segkit.cluster.scorers import SegmentScorer
    from segkit.cluster.segments import Segmentation
    from segkit.plot import Figure
    from segkit.profile import Profile

__all__ = ["LargeScores", "LargeSegmentation", "score_large_files", "segment_files"]

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
        Wall-clock time of each step of this call; near zero for steps that were done before.
    unassigned : int
        Customers without a segment.
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
    unassigned: int = 0

    @property
    def text(self) -> str:
        """The segments in words, the rejected lines, and what rests on a sample."""
        whole = self.sample == self.customers
        fitted = "" if whole else f" by a model of a random sample of {number(self.sample)}"
        apart = sum(self.ledger.reasons().values())
        notes = "".join(f" {note[:1].upper()}{note[1:]}." for note in self.table.notes)
        return (
            f"{counted(self.customers, 'customer')} in {counted(len(self.segments), 'segment')}"
            f"{fitted}: {list_segments(self.segments)}.{_without_segment(self.unassigned)} "
            f"{CAVEAT} Made from order lines up to {self.table.as_of}; "
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
        Size of the random sample on which segments are fitted and profiled.
    partitions : int or "auto"
        Parts of the customers: the more, the less memory. By default a million lines each.

    Returns
    -------
    LargeSegmentation

    Raises
    ------
    DataError, MappingError, SourceError, ParameterError
        As `segkit.segment` raises them; also where something would need all rows at once, which
        parts cannot tell. The message says what to set in the mapping, or do instead.

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
    if not isinstance(sample, int) or isinstance(sample, bool) or sample < 50:
        raise ParameterError(f"sample must be at least 50 customers, a whole number; got {sample}")
    _check_day(as_of)
    choices: dict[str, Any] = {"variables": list(variables), "k": k, "method": method, "seed": seed}
    with Work.open(work) as folder:
        job = Job(source, folder, mapping, preset, partitions)
        return _segment(job, as_of, calendar, sample, choices)


def _check_day(as_of: Any) -> None:
    if as_of is not None and type(as_of) is not date:
        raise ParameterError(f"as_of is a datetime.date; got {as_of!r}")


def _segment(
    job: Job, as_of: date | None, calendar: str, sample: int, choices: dict[str, Any]
) -> LargeSegmentation:
    """Take the steps of `segment_files` in an open work folder."""
    clean = job.clean()
    table, features = job.describe(
        "features", clean, lambda stage: plan_segments(job, stage, as_of, calendar),
        as_of=as_of, calendar=calendar, windows=WINDOWS,
    )  # fmt: skip
    stage = job.work.stage("segments", features=features.key, sample=sample, **choices)
    fit, profile = job.timed(
        "clusters and profile", lambda: _fit(job, clean, features, table, sample, **choices)
    )
    sums = job.timed("assign", lambda: _assign(stage, features, fit.model))
    segments, unassigned = _sizes(fit.model, sums)
    sizes = dict(segments.select("segment", "customers").iter_rows())
    customers = sum(sizes.values())
    counts = tuple(replace(s, size=sizes[s.id]) for s in fit.model.segments)
    model = replace(fit.model, segments=counts, rows=customers)
    if stage.done("all") is None:
        path = stage.folder / "segment_model.json"
        model.save(path)
        job.prepared.mapping.save(stage.folder / MAPPING)
        stage.written.extend([path, stage.folder / MAPPING])
        stage.write(segments, "segments", "all")
        stage.write(profile.to_frame(), "profile", "all")
        stage.write(profile.variables, "profile", "variables")
        stage.record("all", {})
    return LargeSegmentation(
        model, fit, profile, table, job.ledger(clean), segments, customers, fit.model.rows,
        job.prepared.parts, stage.folder / "assignments", features.folder / "table",
        clean.folder / "orders", job.seconds, unassigned,
    )  # fmt: skip


@dataclass(frozen=True, slots=True, eq=False)
class LargeScores(Result):
    """Customers of raw files with their segments by a saved model.

    Attributes
    ----------
    segments : polars.DataFrame
        One row per segment, as `LargeSegmentation.segments`.
    customers : int
        Customers with a segment.
    assignments : pathlib.Path
        Folder of Parquet files with what the model's ``score`` gives.
    ledger : Ledger
        Account of all raw rows.
    as_of : datetime.date
        Last day that is used.
    about : str
        The model in words.
    unassigned : int
        Customers without a segment.
    """

    segments: pl.DataFrame
    customers: int
    assignments: Path
    ledger: Ledger
    as_of: date
    about: str
    unassigned: int = 0

    @property
    def text(self) -> str:
        """Customers by segment."""
        return (
            f"{counted(self.customers, 'customer')} from raw orders up to {self.as_of} assigned: "
            f"{list_segments(self.segments)}.{_without_segment(self.unassigned)} {self.about}"
        )


def score_large_files(
    model: SegmentScorer | Path | str,
    source: Any,
    work: Path | str,
    *,
    mapping: Any = None,
    preset: str | None = None,
    as_of: date | None = None,
    partitions: int | Literal["auto"] = "auto",
) -> LargeScores:
    """Assign the customers of raw files to the segments of a saved model, in bounded memory.

    Each customer gets the segment that `segkit.score_file` gives.

    Parameters
    ----------
    model : path or model
        JSON that a model's ``save`` wrote.
    source, work, mapping, preset, as_of, partitions
        As for `segment_files`.

    Returns
    -------
    LargeScores

    Raises
    ------
    ModelError
        If the model does not define its features, or they would be defined otherwise.
    DataError, MappingError, SourceError, ParameterError
        As `segment_files` raises them.
    """
    from segkit.cluster.model import load_model

    scorer = load_model(model) if isinstance(model, str | Path) else model
    words = stored_definitions(scorer)
    _check_day(as_of)
    fitted = fitted_spelling(model) if mapping is None else None
    with Work.open(work) as folder:
        job = Job(source, folder, mapping if fitted is None else fitted, preset, partitions)
        job.clean()
        if fitted is not None:
            check_spelling(fitted, job.prepared.mapping, str(source))
        return _score(job, scorer, words, as_of)


def _score(
    job: Job, scorer: SegmentScorer, words: dict[str, str], as_of: date | None
) -> LargeScores:
    """Take the steps of `score_large_files` in an open work folder."""
    clean = job.clean()
    columns = tuple(dict.fromkeys((*scorer.columns, "monetary")))

    def plan(stage: Stage) -> FeaturePlan:
        return plan_rebuilt(*scan_clean(stage), definitions=words, columns=columns, as_of=as_of)

    table, features = job.describe(
        "scored-features", clean, plan, as_of=as_of, definitions=words, columns=columns
    )
    stage = job.work.stage("scores", features=features.key, model=scorer.to_data())
    segments, unassigned = _sizes(scorer, _assign(stage, features, scorer))
    return LargeScores(
        segments,
        int(segments["customers"].sum()),
        stage.folder / "assignments",
        job.ledger(clean),
        table.as_of,
        scorer.text,
        unassigned,
    )


def plan_segments(job: Job, clean: Stage, as_of: date | None, calendar: str) -> FeaturePlan:
    """Settle the features that segments are found by."""
    orders, events = scan_clean(clean)
    products = clean.paths("products")
    goods = choose_products(pl.read_parquet(products[0]), orders) if products else None
    ledger = job.ledger(clean)
    tables = {name: pl.read_parquet(clean.path(name, 0)) for name in ("orders", "customers")
              if clean.path(name, 0).is_file()}  # fmt: skip
    raw = job.prepared.gathered.raw
    taken = Intake(tables, {}, ledger, job.prepared.mapping, ledger.notes, raw)
    return plan_features(
        orders,
        events,
        as_of=as_of,
        windows=WINDOWS,
        calendar=choose_calendar(taken, calendar),
        currency=ledger.currency,
        products=None if goods is None else goods.lazy(),
    )


def _fit(
    job: Job, clean: Stage, features: Stage, table: CustomerTable, sample: int, *,
    variables: Sequence[str], k: int | None, method: Method, seed: int,
) -> tuple[Segmentation, Profile]:  # fmt: skip
    """Cluster and profile a sample of the customers."""
    frames = (pl.read_parquet(path) for path in features.paths("table"))
    drawn = draw_customers(frames, sample, seed).sort("customer_id")
    chosen = choose_variables(drawn, variables)
    words = dict(table.definitions.select("name", "description").iter_rows())
    fit = cluster_customers(
        drawn, features=chosen, k=k, method=method, seed=seed, definitions=words,
        as_of=table.as_of,
    )  # fmt: skip
    ids = drawn.select("customer_id").lazy()
    needed = ("customer_id", "order_day", "order_time", "source_row", *ATTRIBUTES)
    rows = {
        name: pl.scan_parquet(clean.paths(name))
        .select(pl.all() if name == "customers" else pl.col(rf"^({'|'.join(needed)})$"))
        .join(ids, on="customer_id", how="semi")
        .collect(engine="streaming")
        .sort("source_row")
        for name in ("orders", "customers")
        if clean.paths(name)
    }
    ledger = job.ledger(clean)
    taken = Intake(rows, {}, ledger, job.prepared.mapping)
    profile = profile_segments(
        drawn,
        fit.assignments,
        clustering_variables=chosen,
        # The sums of the lines, exact: adding floats again would depend on their order.
        orders=drawn.select(
            "customer_id", pl.lit(day_number(table.as_of)).alias("order_day"), amount="monetary"
        ),
        customers=find_attributes(taken, table.as_of),
        as_of=table.as_of,
        seed=seed,
        currency=ledger.currency,
    )
    return fit, profile


def _assign(stage: Stage, features: Stage, model: SegmentScorer) -> list[dict[str, Any]]:
    """Assign the customers of every part, and return each part's sums by segment."""
    sums, wanted = [], ["customer_id", "monetary", *model.columns]
    for path in steps(features.paths("table"), "parts assigned"):
        record = stage.done(int(path.stem))
        if record is None:
            frame = pl.read_parquet(path, columns=list(dict.fromkeys(wanted)))
            scores = model.score(frame)
            stage.write(scores, "assignments", int(path.stem))
            micros = (pl.col("monetary") * 1_000_000).round(0).cast(pl.Int64)
            summed = (
                scores.with_columns(frame["monetary"])
                .group_by("segment")
                .agg(customers=pl.len(), revenue=micros.sum(), unlike=pl.col("unlike_any").sum())
                .sort("segment")
            )
            record = stage.record(int(path.stem), {"sums": summed.to_dict(as_series=False)})
        sums.append(record["sums"])
    return sums


def _sizes(model: SegmentScorer, sums: list[dict[str, Any]]) -> tuple[pl.DataFrame, int]:
    """Add up customers and revenue of each segment, and customers without one."""
    kinds = {"segment": pl.String, "customers": pl.Int64, "revenue": pl.Int64, "unlike": pl.Int64}
    added = (
        pl.concat([pl.DataFrame(schema=kinds), *(pl.DataFrame(one, schema=kinds) for one in sums)])
        .group_by("segment")
        .agg(pl.all().sum())
    )
    names = pl.DataFrame({"segment": model.names.keys(), "segment_name": model.names.values()})
    whole = names.join(added, on="segment", how="left", maintain_order="left").fill_null(0)
    revenue = pl.col("revenue") / 1_000_000

    def share(name: str) -> pl.Expr:
        return pl.when(pl.col(name).sum() != 0).then(pl.col(name) / pl.col(name).sum()).otherwise(0)

    segments = whole.select(
        "segment",
        "segment_name",
        "customers",
        customer_share=share("customers"),
        revenue=revenue,
        revenue_share=share("revenue"),
        revenue_per_customer=pl.when(pl.col("customers") > 0).then(revenue / pl.col("customers")),
        unlike_any="unlike",
    )
    return segments, int(added.filter(pl.col("segment").is_null())["customers"].sum())


def _without_segment(customers: int) -> str:
    have = counted(customers, "customer has", "customers have")
    return f" {have} no segment (the reason stands beside each)." if customers else ""
