"""Triggers tried on past events: what they would have done, and what thresholds cost."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path

import polars as pl

from segkit.display import counted, number
from segkit.errors import DataError, RuleError, require_choice
from segkit.frames import takes_frames
from segkit.live.triggers.rules import TriggerRules, read_duration
from segkit.live.triggers.run import run_triggers
from segkit.live.triggers.sinks import SCHEMA
from segkit.live.triggers.sources import JsonLinesSource, write_event_log
from segkit.result import Figure, Result
from segkit.rules import Rule
from segkit.stats.hashing import unit_hash

__all__ = ["ThresholdTrial", "compare_thresholds", "replay_triggers"]


@takes_frames
def replay_triggers(
    rules: TriggerRules | Path | str,
    orders: pl.DataFrame | None = None,
    events: pl.DataFrame | None = None,
    *,
    customers: pl.DataFrame | None = None,
    as_of: date | None = None,
    sample: int | None = None,
) -> pl.DataFrame:
    """Run triggers over clean tables as if they had just happened.

    Parameters
    ----------
    rules : TriggerRules or path
    orders, events : polars.DataFrame, optional
        Clean tables; at least one.
    customers : polars.DataFrame, optional
        Consents and preferences, for the contact policy in the rules.
    as_of : datetime.date, optional
        Last day that is used, in UTC; by default that of the last row.
    sample : int, optional
        So many customers at most, chosen by their ids' hash.

    Returns
    -------
    polars.DataFrame
        One row per output: key, kind (segment, action, withheld), customer_id, rule, version,
        occasion, time (UTC, ISO), segment, previous_segment, action, channel, reason.

    Raises
    ------
    RuleError
        If the rules cannot be used.
    DataError
        If there are no orders and no events.
    """
    loaded = rules if isinstance(rules, TriggerRules) else TriggerRules.load(rules)
    end = as_of or _last_day(orders, events)
    used = {kind for value in loaded.values for kind in (*value.steps, *value.unless)}
    if orders is not None:
        orders = orders.filter(pl.col("order_time").dt.date() <= end)
    if events is not None:
        kinds = pl.col("event_type").is_in(sorted(used))
        events = events.filter(kinds, pl.col("event_time").dt.date() <= end)
    if sample is not None:
        orders, events = _sample([orders, events], sample)
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder)
        log = write_event_log(out / "events.jsonl", orders, events)
        run_triggers(loaded, JsonLinesSource(log), out=out, customers=customers, as_of=end)
        path = out / "outputs.jsonl"
        lines = path.read_text(encoding="utf-8").splitlines() if path.is_file() else []
    return pl.DataFrame([json.loads(line) for line in lines], schema=SCHEMA)


def _last_day(orders: pl.DataFrame | None, events: pl.DataFrame | None) -> date:
    tables = ((orders, "order_time"), (events, "event_time"))
    days = [frame[name].dt.date().max() for frame, name in tables if frame is not None]
    dates = [day for day in days if isinstance(day, date)]
    if not dates:
        raise DataError("triggers are tried on orders or events; there are none")
    return max(dates)


def _sample(frames: Sequence[pl.DataFrame | None], customers: int) -> list[pl.DataFrame | None]:
    """Return the rows of the customers with the smallest hashes, of all tables together."""
    ids = pl.concat([frame["customer_id"] for frame in frames if frame is not None]).unique()
    ranked = pl.DataFrame({"customer_id": ids, "hash": unit_hash(ids, "triggers")})
    few = ranked.bottom_k(customers, by="hash")
    return [
        None if frame is None else frame.join(few, on="customer_id", how="semi") for frame in frames
    ]


@dataclass(frozen=True, slots=True, eq=False)
class ThresholdTrial(Result):
    """One rule under several leave conditions and dwell times, on the same past events.

    Attributes
    ----------
    rule : str
    trials : polars.DataFrame
        One row per setting: leave ("": as soon as the enter condition ends), dwell, customers (ever
        inside), and for each of those of the first row changes_per_customer (entries and exits),
        days_inside, extra_days (more than in the first row).
    changes : polars.DataFrame
        leave, dwell, customer_id, time, inside: every entry and exit.
    """

    rule: str
    trials: pl.DataFrame
    changes: pl.DataFrame

    @property
    def text(self) -> str:
        """The setting with the fewest changes, beside the first."""
        first = self.trials.row(0, named=True)
        best = self.trials.sort("changes_per_customer").row(0, named=True)
        words = f"leave {best['leave'] or 'at the end of enter'}, dwell {best['dwell']}"
        return (
            f"{self.rule}: {number(first['changes_per_customer'])} changes per customer at first, "
            f"{number(best['changes_per_customer'])} with {words}, for which customers stay "
            f"{counted(best['extra_days'], 'day')} longer."
        )

    def plot(self) -> Figure:
        """Draw changes per customer against the days that customers stay longer."""
        from segkit import plot

        named = pl.when(pl.col("dwell") == "0 seconds").then(pl.lit("no dwell time"))
        frame = self.trials.with_columns(named.otherwise(pl.col("dwell") + " dwell").alias("dwell"))
        # Of settings in which customers stay as long, the one with the fewest changes.
        fewest = frame.group_by("dwell", "extra_days").agg(pl.col("changes_per_customer").min())
        return plot.lines(
            fewest.sort("dwell", "extra_days"),
            "extra_days",
            "changes_per_customer",
            group="dwell",
            title=f"{self.rule}: fewer changes, longer stays",
            x_label="Days per customer inside beyond the first setting",
            y_label="Changes per customer",
        )


@takes_frames
def compare_thresholds(
    rules: TriggerRules | Path | str,
    orders: pl.DataFrame | None = None,
    events: pl.DataFrame | None = None,
    *,
    rule: str,
    leave: Sequence[str],
    dwell: Sequence[str] = ("0 seconds",),
    as_of: date | None = None,
    sample: int | None = None,
) -> ThresholdTrial:
    """Try leave conditions and dwell times of one rule on past events.

    Parameters
    ----------
    rules : TriggerRules or path
    orders, events : polars.DataFrame, optional
        Clean tables; at least one.
    rule : str
        Name of the rule.
    leave : sequence of str
        Conditions; "" for the end of the enter condition, which is no hysteresis.
    dwell : sequence of str
        Times that entering and leaving must last, as "1 day".
    as_of : datetime.date, optional
        Last day that is used, in UTC; by default that of the last row.
    sample : int, optional
        So many customers at most, chosen by their ids' hash.

    Returns
    -------
    ThresholdTrial

    Raises
    ------
    RuleError
        If there is no such rule, or a condition cannot be used.
    DataError
        If there are no orders and no events, or nobody has entered under the first setting.
    """
    loaded = rules if isinstance(rules, TriggerRules) else TriggerRules.load(rules)
    by_name = {one.name: one for one in loaded.rules}
    require_choice("rule", rule, by_name, RuleError)
    end = as_of or _last_day(orders, events)
    parts = []
    for pause in dwell:
        wait = read_duration(pause, "dwell")
        for condition in leave:
            own = replace(
                by_name[rule],
                leave=Rule(rule, condition).condition if condition else None,
                segment=rule,
                action="",
                dwell=wait,
                leave_dwell=wait,
            )
            alone = loaded.with_rules([own])
            outputs = replay_triggers(alone, orders, events, as_of=end, sample=sample)
            parts.append(
                outputs.select(
                    pl.lit(condition).alias("leave"),
                    pl.lit(pause).alias("dwell"),
                    "customer_id",
                    pl.col("time").str.to_datetime("%+", time_unit="us", time_zone="UTC"),
                    inside=pl.col("segment") == rule,
                )
            )
    changes = pl.concat(parts)
    first = changes.filter(pl.col("leave") == leave[0], pl.col("dwell") == dwell[0])
    inside = first["customer_id"].n_unique()
    if not inside:
        raise DataError(f"nobody has ever entered {rule!r}: there is nothing to compare")
    last = pl.lit(end).cast(pl.Datetime("us", "UTC")) + pl.duration(days=1)
    # Entries count from when they are to the end, exits take the rest off again.
    rest = (last - pl.col("time")).dt.total_microseconds() / 86_400e6
    trials = changes.group_by("leave", "dwell", maintain_order=True).agg(
        customers=pl.col("customer_id").n_unique(),
        changes_per_customer=pl.len() / inside,
        days_inside=pl.when("inside").then(rest).otherwise(-rest).sum() / inside,
    )
    extra = pl.col("days_inside") - pl.col("days_inside").first()
    return ThresholdTrial(rule, trials.with_columns(extra_days=extra), changes)
