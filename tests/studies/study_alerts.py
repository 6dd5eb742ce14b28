"""How often do alerts sound without a cause, and how soon after one?

Daily key figures of a year with a weekly season, after eight weeks of past: counts of 3, 30 and 300
a day (Poisson, and with twice its variance), shares of 20, 200 and 2,000 messages and of a varying
number, revenue and order value of 5 to 300 orders a day and the share that comes back, with
lognormal order values (standard deviation of the log 0.8, and 1.1: a few large orders make the
day). One false alarm a year is declared. Cause: from a day on the figure falls by a third. Shares
of 20 messages get no band, nor does money of few orders, or so unequal ones, that its tail is too
heavy.
"""

from datetime import date

import numpy as np
import polars as pl

from segkit.monitor import AlertRule, KpiSeries, find_alerts
from tests.studies._study import arguments, over_seeds, publish

WEEK = np.array([0.9, 0.85, 0.85, 0.9, 1.0, 1.3, 1.2])
PAST, YEAR, FALL = 56, 364, 2 / 3
SETTINGS = (
    ("visits", "poisson", 3),
    ("visits", "poisson", 30),
    ("visits", "poisson", 300),
    ("visits", "over-dispersed", 30),
    ("visits", "over-dispersed", 300),
    ("open_rate", "binomial", 20),
    ("open_rate", "binomial", 200),
    ("open_rate", "binomial", 2000),
    ("revenue", "lognormal", 5),
    ("revenue", "lognormal", 50),
    ("open_rate", "varying number", 500),
    ("revenue", "lognormal", 300),
    ("revenue", "heavy lognormal", 50),
    ("revenue", "heavy lognormal", 300),
    ("order_value", "lognormal", 50),
    ("order_value", "lognormal", 300),
    ("order_value", "heavy lognormal", 300),
    ("return_share", "lognormal", 300),
)
LOG_SD = {"lognormal": 0.8, "heavy lognormal": 1.1}
RETURNED = 0.2  # of orders


def draw(
    rng: np.random.Generator, kpi: str, kind: str, size: int, level: np.ndarray
) -> pl.DataFrame:
    """Draw a key figure by day at given levels (1: as always), with what is behind it."""
    nothing = np.full(len(level), np.nan)
    if kind in LOG_SD:
        return draw_money(rng, kpi, LOG_SD[kind], size, level)
    if kpi == "open_rate":
        season = np.resize(WEEK, len(level))  # changes are in the share, not in who is written to
        sent = rng.poisson(size * season) if kind == "varying number" else np.full(len(level), size)
        opened = rng.binomial(sent, 0.2 * (level / season if kind == "varying number" else level))
        columns = opened / sent, opened, sent, opened, nothing
    else:
        laws = {"poisson": rng.poisson, "over-dispersed": lambda m: rng.negative_binomial(m, 0.5)}
        counts = laws[kind](size * level)
        columns = counts, counts, nothing, counts, nothing
    names = ("value", "numerator", "denominator", "cases", "squares")
    return pl.DataFrame(dict(zip(names, (np.asarray(c, float) for c in columns), strict=True)))


def draw_money(
    rng: np.random.Generator, kpi: str, log_sd: float, size: int, level: np.ndarray
) -> pl.DataFrame:
    """Draw revenue, order value or the share returned from single orders."""
    season = np.resize(WEEK, len(level))
    change = level / season if kpi != "revenue" else np.ones(len(level))
    rows = []
    for day, many in enumerate(rng.poisson(size * (level if kpi == "revenue" else season))):
        values = rng.lognormal(3.5, log_sd, many)
        back = values[rng.random(many) < RETURNED * change[day]]
        if kpi == "order_value":
            values = values * change[day]
            row = (values.mean(), values.sum(), many, many, (values**2).sum())
        elif kpi == "return_share":
            row = (back.sum() / values.sum(), back.sum(), values.sum(), len(back), (back**2).sum())
        else:
            row = (values.sum(), values.sum(), np.nan, many, (values**2).sum())
        rows.append([float(one) for one in row])
    names = ["value", "numerator", "denominator", "cases", "squares"]
    return pl.DataFrame(rows, schema=names, orient="row")


def alarms(drawn: pl.DataFrame, kpi: str) -> list[dict[str, object]]:
    """Return the alerts of a series that begins on a Monday."""
    days = pl.date_range(date(2024, 1, 1), date(2026, 12, 31), eager=True).head(drawn.height)
    frame = drawn.with_columns(
        period=days, segment_name=pl.lit("all"), kpi=pl.lit(kpi), denominator=pl.col("denominator")
    ).fill_nan(None)
    return find_alerts(KpiSeries(frame, "1d"), [AlertRule(kpi, false_alarms_per_year=1.0)]).alerts


def task(setting: int, seed: int) -> dict[str, object]:
    """Count the alarms of one year without a cause, and the days until one with it."""
    kpi, kind, size = SETTINGS[setting]
    rng = np.random.default_rng([seed, setting])
    start = date(2024, 1, 1).toordinal() + PAST
    level = np.resize(WEEK, PAST + YEAR)
    quiet = alarms(draw(rng, kpi, kind, size, level), kpi)
    false = [one for one in quiet if date.fromisoformat(str(one["since"])).toordinal() >= start]
    level = np.resize(WEEK, PAST + 28) * np.where(np.arange(PAST + 28) < PAST, 1, FALL)
    changed = alarms(draw(rng, kpi, kind, size, level), kpi)
    days = [date.fromisoformat(str(one["last"])).toordinal() - start for one in changed]
    since = [date.fromisoformat(str(one["since"])).toordinal() - start for one in changed]
    after = [max(s, 0) for s, d in zip(since, days, strict=True) if d >= 0]
    return {"setting": setting, "alarms": len(false), "delay": min(after) + 1 if after else None}


def main() -> None:
    """Run the study and publish its table."""
    options = arguments(__doc__, seeds=200, thin=2)
    cells = [(setting, seed) for seed in range(options.seeds) for setting in range(len(SETTINGS))]
    results = over_seeds(task, cells, jobs=options.jobs, keep=options.keep)
    rows = []
    for (setting,), part in results.group_by("setting", maintain_order=True):
        kpi, kind, size = SETTINGS[setting]
        error = float(part["alarms"].std() or 0) / part.height**0.5
        mean = float(part["alarms"].mean())
        rows.append(
            {
                "kpi": kpi,
                "distribution": kind,
                "size": size,
                "years": part.height,
                "false_alarms_per_year": mean,
                "low": mean - 1.96 * error,
                "high": mean + 1.96 * error,
                "seen_within_28_days": part["delay"].count() / part.height,
                "median_days": part["delay"].median(),
            }
        )
    note = (
        "one false alarm a year and series is declared; alarms of the 364 days after the first 56 "
        "are counted; the fall by a third is planted"
    )
    publish(pl.DataFrame(rows, infer_schema_length=None), "alerts", thin=options.thin, note=note)


if __name__ == "__main__":
    main()
