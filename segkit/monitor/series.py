"""Refreshes month by month: kept, watched or fitted anew, with everybody's moves."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from segkit.cluster import SegmentModel, cluster_customers
from segkit.display import counted, first_sentence, join_words, number, percent
from segkit.errors import DataError, ModelError, ParameterError
from segkit.features import rebuild_features
from segkit.frames import takes_frames
from segkit.intake import ProfileArchive
from segkit.intake.versions import as_utc
from segkit.monitor.migration import Migration, compare_periods
from segkit.monitor.refresh import IN_A_ROW, Refresh, decide_refresh, find_comparable_day
from segkit.progress import steps
from segkit.result import Result
from segkit.writing import private_folder, write_frame, write_whole

if TYPE_CHECKING:
    pass


EPOCH = date(1970, 1, 1)
YEAR = 365
LOOKED = ("page_views", "product_views", "view_to_", "cart_to_", "time")  # counted looks
DRIFT_CUSTOMERS = 5000  # more do not make a distance that matters any surer
LEAST_CUSTOMERS = 50


@dataclass(frozen=True, slots=True, eq=False)
class RefreshSeries(Result):
    """Refreshes one after the other.

    Attributes
    ----------
    rows : polars.DataFrame
        One row per refresh: as_of, action, reason, alarms, customers, moved and moved_share (since
        the refresh before).
    sizes : polars.DataFrame
        One row per refresh and segment: as_of, segment, segment_name, customers, customer_share.
    flows : polars.DataFrame
        One row per refresh and pair of segments: as_of, from_segment, to_segment, customers.
    assignments : polars.DataFrame
        One row per refresh and customer, those of the fit first: as_of, customer_id, segment,
        segment_name, and the scores distance, margin, unlike_any.
    models : dict of date to SegmentModel
        The models that were fitted anew, by the refresh from which they hold.
    migration : Migration or None
        From the fit to the last refresh, by the models then in force.
    rescored : polars.DataFrame or None
        Assignments of the last refresh by the first model, whatever was fitted since: who moved
        because of what they do.
    """

    rows: pl.DataFrame
    sizes: pl.DataFrame
    flows: pl.DataFrame
    assignments: pl.DataFrame
    models: dict[date, SegmentModel]
    migration: Migration | None = None
    rescored: pl.DataFrame | None = None

    @property
    def alerts(self) -> list[dict[str, Any]]:
        """Each drift once: what, since when, until when (null: still there), how often."""
        ongoing: dict[str, dict[str, Any]] = {}
        over: list[dict[str, Any]] = []
        for row in self.rows.iter_rows(named=True):
            day = row["as_of"].isoformat()
            names = set(filter(None, row["alarms"].split(", ")))
            over += [ongoing.pop(name) | {"until": day} for name in sorted(set(ongoing) - names)]
            for name in sorted(names):
                new = {"kind": "drift", "what": name, "since": day, "refreshes": 0}
                alert = ongoing.setdefault(name, new)
                alert["refreshes"] += 1
                alert["action"] = row["action"]
        return [*over, *(alert | {"until": None} for alert in ongoing.values())]

    @property
    def text(self) -> str:
        """Say whether the segments held, how many customers move, and what drifts."""
        again = self.rows.filter(pl.col("action") == "refit")
        count = counted(self.rows.height, "refresh", "refreshes")
        shares = self.rows["moved_share"].drop_nulls()
        moved = percent(float(shares.median())) if shares.len() else "nobody"  # type: ignore[arg-type]
        days = f" ({', '.join(day.isoformat() for day in again['as_of'])})" if again.height else ""
        refits = number(again.height) if again.height else "None"
        text = f"{refits} of {count} asked for a new fit{days}."
        text += f" In the middle one {moved} of the customers changed segment."
        lasting = [one["what"] for one in self.alerts if one["until"] is None]
        return f"{text} Drift that goes on: {', '.join(lasting)}." if lasting else text

    @property
    def headline(self) -> str:
        """Say whether the segments held, in one sentence."""
        return self._verdict("The segments still hold", "The segments no longer hold")

    @property
    def answer(self) -> str:
        """Answer whether the segments still hold."""
        return self._verdict("Yes", "No")

    def _verdict(self, yes: str, no: str) -> str:
        first = first_sentence(self.text)
        return f"{yes}: none{first[4:]}" if first.startswith("None") else f"{no}: {first}"

    @property
    def decision(self) -> str:
        """Say what to do now, and why: keep and rescore, look again, or use the new fit."""
        last = self.rows.row(-1, named=True)
        if self.models:
            day = max(self.models)
            why = self.rows.filter(pl.col("as_of") == day)["reason"][0]
            return f"Use the segments fitted anew on {day.isoformat()}: {why}"
        if last["action"] == "watch":
            return f"Keep the segments, score everybody and look again next time: {last['reason']}"
        return f"Keep the segments and score everybody again: {last['reason']}"

    @takes_frames
    def write(
        self,
        folder: Path | str,
        *,
        store: Path | str | None = None,
        customers: pl.DataFrame | None = None,
    ) -> list[Path]:
        """Write tables, alerts, models and the versions of everybody's segment.

        The folder gets ``refreshes.csv``, ``sizes.csv``, ``flows.csv``, ``alerts.json``,
        ``model-YYYY-MM-DD.json`` for each new fit, and the versions of assignments (``segments/``)
        and scores (``scores/``), a `segkit.intake.ProfileArchive`. It is readable by its owner
        alone.

        Parameters
        ----------
        folder : path
            Made if it is not there.
        store : path, optional
            Archive that the versions go to instead. Refreshes up to its last one are there already
            and stay as they were known.
        customers : DataFrame, optional
            Customers with their consents as they are today, which go to that archive too, as of
            the last refresh.
        """
        place = private_folder(Path(folder))
        tables = {"refreshes": self.rows, "sizes": self.sizes, "flows": self.flows}
        written = [
            write_frame(frame, place / f"{name}.csv", private=True)
            for name, frame in tables.items()
        ]
        alerts = json.dumps(self.alerts, indent=1)
        written.append(write_whole(place / "alerts.json", alerts, private=True))
        for day, model in self.models.items():
            written.append(model.save(place / f"model-{day.isoformat()}.json"))
        archive = ProfileArchive(place if store is None else Path(store))
        last = archive.recorded_upto("segments")
        for day in self.assignments["as_of"].unique(maintain_order=True):
            part = self.assignments.filter(pl.col("as_of") == day).drop("as_of")
            after = day + timedelta(days=1)
            if last is None or as_utc(after) > last:  # what was known then stays as it was known
                segments = part.select("customer_id", "segment", "segment_name")
                scores = part.drop("segment", "segment_name")
                archive.record(after, recorded_at=after, segments=segments, scores=scores)
        upto = archive.recorded_upto("customers")
        if customers is not None and (upto is None or as_utc(after) > upto):
            people = customers.drop("source_row", strict=False)
            archive.record(after, recorded_at=after, customers=people)
        return [*written, archive.folder / "segments"]


@takes_frames
def refresh_series(
    model: SegmentModel,
    orders: pl.DataFrame,
    events: pl.DataFrame | None = None,
    *,
    days: Sequence[date] = (),
    measures: Sequence[str] = (),
    in_a_row: int = IN_A_ROW,
    repeats: int = 499,
    seed: int = 0,
) -> RefreshSeries:
    """Refresh a segmentation on several days, as if each were today.

    Orders and events after the day are unknown to it. Drift is measured between equal spans of
    orders of the same season (`decide_refresh`): the last year (or up to two, if there is history)
    is compared with an equally long span that ends in the same month, at or before the fit. This
    needs two years of history before the fit. With less, the whole history before the fit is
    compared with an equally long span up to the day, and season is part of the drift. Drift is
    measured on at most 5,000 customers, drawn at random; all customers are scored. If the same
    drift recurs, the segments are fitted anew on the same features, with the same number of
    segments; segments that are the same keep their names.

    Parameters
    ----------
    model : SegmentModel
        In force, with the definitions of its features and its date.
    orders, events : polars.DataFrame
        Clean order lines and events, also those up to the fit.
    days : sequence of datetime.date
        Last days of the data of each refresh, in order; by default the ends of the months after
        the fit that the orders cover.
    measures : sequence of str
        Further features, such as ``monetary``, that the migration shows then and now.
    in_a_row, repeats, seed
        As for `decide_refresh`.

    Returns
    -------
    RefreshSeries

    Raises
    ------
    ModelError
        If the model has no date or no definitions of its features.
    DataError
        If there is no day to refresh on, days are not in order or lie beyond the orders, or a
        month between them has no order at all.
    """
    fitted = model.as_of
    if fitted is None:
        raise ModelError("a refresh needs a model that holds its date; fit it with as_of")
    first, last = (
        EPOCH + timedelta(days=int(end))  # type: ignore[arg-type]
        for end in (orders["order_day"].min(), orders["order_day"].max())
    )
    chosen = _choose_days(days, fitted, last)
    check_gaps(orders, fitted, chosen[-1])
    table = _keep_tables(model, orders, events, measures, seed)
    in_force, since, previous = model, fitted, fitted
    decisions: list[Refresh] = []
    rows, sizes, flows = [], [], []
    assignments = [_assigned(model, table(fitted), fitted)]
    models: dict[date, SegmentModel] = {}
    for day in steps(chosen, "refreshes"):
        season, span = _compared_span(since, day, first)
        decision = decide_refresh(
            in_force,
            table(since),
            table(day),
            as_of=day,
            compared=(table(season, span, drawn=True), table(day, span, drawn=True)),
            earlier=decisions,
            in_a_row=in_a_row,
            repeats=repeats,
            seed=seed,
        )
        newer = in_force
        if decision.action == "refit":
            newer = _fit_again(in_force, table(day), day, seed)
            models[day], since, decisions = newer, day, []
        else:
            decisions = [*decisions, decision]
        moves = compare_periods(in_force, table(previous), table(day), later=newer)
        assignments.append(_assigned(newer, table(day), day))
        both = table(previous).join(table(day), on="customer_id", how="semi").height
        rows.append(_describe_refresh(day, decision, assignments[-1].height, moves.moved, both))
        sizes.append(_sizes(assignments[-1]))
        flows.append(moves.flows.select(pl.lit(day).alias("as_of"), pl.all()))
        in_force, previous = newer, day
    whole = compare_periods(
        model, table(fitted), table(chosen[-1]), later=in_force, measures=measures
    )
    return RefreshSeries(
        pl.DataFrame(rows),
        pl.concat(sizes),
        pl.concat(flows),
        pl.concat(assignments),
        models,
        whole,
        _assigned(model, table(chosen[-1]), chosen[-1]),
    )


def _keep_tables(
    model: SegmentModel,
    orders: pl.DataFrame,
    events: pl.DataFrame | None,
    measures: Sequence[str],
    seed: int,
) -> Callable[..., pl.DataFrame]:
    """Return a function that rebuilds the customers as of a day, and does so once for each day."""
    events = None if events is None else _needed(events, model)
    sampled = _drawn(orders, events, seed)

    @cache
    def table(day: date, span: int | None = None, *, drawn: bool = False) -> pl.DataFrame:
        lines, views = sampled if drawn else (orders, events)
        return rebuild_customers(
            model,
            _since(lines, "order_day", day, span),
            None if views is None else _since(views, "event_day", day, span),
            as_of=day,
            also=() if drawn else measures,
        )

    return table


def _describe_refresh(
    day: date, decision: Refresh, customers: int, moved: int, both: int
) -> dict[str, Any]:
    """Return a row of ``table``; ``both`` are the customers of this refresh and the last."""
    return {
        "as_of": day,
        "action": decision.action,
        "reason": decision.reason,
        "alarms": ", ".join(decision.alarms),
        "customers": customers,
        "moved": moved,
        "moved_share": moved / both if both else None,
    }


def _compared_span(fitted: date, day: date, first: date) -> tuple[date, int]:
    """Return the last day and the length of the span with which the orders up to a day compare."""
    history = (fitted - first).days + 1
    span = min(history - YEAR, 2 * YEAR)
    if span < YEAR:  # no earlier season: the history before the fit, and as long a span
        return fitted, history
    return find_comparable_day(day, fitted), span


@takes_frames
def rebuild_customers(
    model: SegmentModel,
    orders: pl.DataFrame,
    events: pl.DataFrame | None = None,
    *,
    as_of: date,
    also: Sequence[str] = (),
) -> pl.DataFrame:
    """Build the customer table that a model needs as it could have been built on a day.

    Parameters
    ----------
    model : SegmentModel
        With the definitions of its features.
    orders, events : polars.DataFrame
        Clean order lines and events; what comes after the day is not used.
    as_of : datetime.date
        Last day that is used.
    also : sequence of str
        Further features, such as ``monetary``.

    Returns
    -------
    polars.DataFrame
        One row per customer.

    Raises
    ------
    ModelError
        If the model does not define a feature, or defines it as it is no longer built.
    """
    missing = [name for name in model.features if name not in model.definitions]
    if missing:
        raise ModelError(
            f"the model does not define {', '.join(missing)}, so they cannot be built for another "
            "day; fit it with definitions"
        )
    return rebuild_features(
        orders,
        events,
        definitions={name: model.definitions[name] for name in model.features},
        columns=[*model.columns, *also],
        as_of=as_of,
    ).frame


@takes_frames
def fit_earlier(
    model: SegmentModel,
    orders: pl.DataFrame,
    events: pl.DataFrame | None = None,
    *,
    as_of: date,
    seed: int = 0,
) -> SegmentModel:
    """Fit the segments of an earlier day, as if it were today: same features, as many segments.

    Segments that hold mostly the same customers get the names of the given model's segments.

    Parameters
    ----------
    model : SegmentModel
        In force now.
    orders, events : polars.DataFrame
        Clean order lines and events; what comes after the day is not used.
    as_of : datetime.date
        The earlier day.
    seed : int
        Of the fit.

    Returns
    -------
    SegmentModel

    Raises
    ------
    DataError
        If there were too few customers on that day, or the segments cannot be made from orders and
        events (they use survey answers), or not by Ward's method.
    """
    if not isinstance(model, SegmentModel) or set(model.features) - set(model.definitions):
        raise DataError(
            "these segments cannot be made for an earlier day: they rest on more than orders and "
            "events tell, or were not made by Ward's method"
        )
    table = rebuild_customers(model, orders, events, as_of=as_of)
    if table.height < LEAST_CUSTOMERS:
        raise DataError(
            f"{counted(table.height, 'customer')} had bought by {as_of.isoformat()}; segments of "
            f"that day need {number(LEAST_CUSTOMERS)}"
        )
    return _fit_again(model, table, as_of, seed)


def month_ends(after: date, upto: date) -> list[date]:
    """Return the last days of the months that end after a day and up to another.

    Examples
    --------
    >>> month_ends(date(2025, 12, 31), date(2026, 3, 15))
    [datetime.date(2026, 1, 31), datetime.date(2026, 2, 28)]
    """
    firsts = pl.date_range(after, upto + timedelta(days=1), "1d", eager=True)
    firsts = firsts.filter(firsts.dt.day() == 1)
    return [day - timedelta(days=1) for day in firsts if day - timedelta(days=1) > after]


def _choose_days(days: Sequence[date], fitted: date, last: date) -> list[date]:
    """Return the days of the refreshes: those given, or the ends of months since the fit."""
    chosen = list(days) or month_ends(fitted, last)
    if not chosen:
        raise DataError(
            f"the orders end on {last.isoformat()}; no month has ended since the model's date, "
            f"{fitted.isoformat()}"
        )
    if sorted(set(chosen)) != chosen or chosen[0] <= fitted or chosen[-1] > last:
        raise DataError(
            f"expected days in order after {fitted.isoformat()} and up to {last.isoformat()}, got "
            f"{', '.join(day.isoformat() for day in chosen)}"
        )
    return chosen


def check_gaps(orders: pl.DataFrame, after: date, upto: date) -> None:
    """Refuse a month without any order between two days.

    Raises
    ------
    DataError
        Naming the months: an export is missing rather than that nobody bought.
    """
    day = pl.col("order_day").cast(pl.Int32).cast(pl.Date)
    months = orders.select(day.dt.truncate("1mo").alias("month"))["month"].unique()
    due = pl.date_range(after + timedelta(days=1), upto, "1d", eager=True).dt.truncate("1mo")
    whole = due.value_counts().filter(pl.col("count") >= 28)[due.name]
    missing = sorted(set(whole) - set(months))
    if missing:
        raise DataError(
            f"there is no order in {join_words([f'{month:%Y-%m}' for month in missing])}, but "
            f"some before and after: is an export missing? Refreshes up to {upto.isoformat()} "
            "need all months"
        )


def _needed(events: pl.DataFrame, model: SegmentModel) -> pl.DataFrame:
    """Leave out what the model's features do not tell apart: how often a page was looked at."""
    if any(name.startswith(LOOKED) for name in model.columns):
        return events
    looks = pl.col("event_type").is_in(["page_view", "product_view"])
    looks_once = pl.struct("customer_id", "event_day").is_first_distinct()
    once = events.filter(looks).filter(looks_once)
    return pl.concat([events.filter(~looks), once])


def _drawn(
    orders: pl.DataFrame, events: pl.DataFrame | None, seed: int
) -> tuple[pl.DataFrame, pl.DataFrame | None]:
    """Draw customers at random on whom drift is measured, where there are many."""
    people = orders["customer_id"].drop_nulls().unique().sort()
    if people.len() <= DRIFT_CUSTOMERS:
        return orders, events
    rows = np.random.default_rng(seed).choice(people.len(), DRIFT_CUSTOMERS, replace=False)
    chosen = people.gather(np.sort(rows)).to_frame()
    lines = orders.join(chosen, on="customer_id", how="semi")
    if events is None:
        return lines, None
    return lines, events.join(chosen, on="customer_id", how="semi")


def _since(frame: pl.DataFrame, column: str, day: date, span: int | None) -> pl.DataFrame:
    """Keep the rows of the last days up to a day; all earlier ones if no span is given."""
    number_of = (day - EPOCH).days
    if span is None:
        return frame.filter(pl.col(column) <= number_of)
    return frame.filter(pl.col(column).is_between(number_of - span + 1, number_of))


def _sizes(assigned: pl.DataFrame) -> pl.DataFrame:
    """Return the size of each segment on one day."""
    keys = ("as_of", "segment", "segment_name")
    counts = assigned.group_by(keys).agg(pl.len().alias("customers")).sort("segment")
    return counts.with_columns(customer_share=pl.col("customers") / assigned.height)


def _assigned(model: SegmentModel, table: pl.DataFrame, day: date) -> pl.DataFrame:
    scored = model.score(table)
    columns = ("customer_id", "segment", "segment_name", "distance", "margin", "unlike_any")
    return scored.select(pl.lit(day).alias("as_of"), *columns)


def _fit_again(model: SegmentModel, table: pl.DataFrame, day: date, seed: int) -> SegmentModel:
    fresh = cluster_customers(
        table,
        features=model.features,
        k=len(model.parts),
        seed=seed,
        reference=model,
        definitions=model.definitions,
        as_of=day,
    ).model
    if not isinstance(fresh, SegmentModel):  # what cluster_customers returns without a method
        raise ParameterError("a refresh fits the segments by Ward's method")
    return fresh
