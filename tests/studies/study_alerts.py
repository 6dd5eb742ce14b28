"""How often do alerts sound without a cause, and how soon after one?

Daily key figures of a year with a weekly season: counts of 3, 30 and 300 a day (Poisson, and with
twice its variance), shares of 20, 200 and 2,000 messages, revenue of 5 and 50 orders a day
(lognormal values). One false alarm a year is declared. Cause: from a day on the figure falls by a
third. Shares of 20 messages and the money of 5 orders a day get no band.
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
)
Drawn = tuple[np.ndarray, np.ndarray]  # a figure by day, and the cases behind it


def draw(
    rng: np.random.Generator, kind: str, size: int, level: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Draw a daily figure of a size at given levels (1: as always), and the cases behind it."""
    if kind == "lognormal":
        orders = rng.poisson(size * level)
        return np.array([rng.lognormal(3.5, 0.8, n).sum() for n in orders]), orders
    if kind == "binomial":
        cases = rng.binomial(size, 0.2 * level)
        return cases / size, cases
    spread = {"poisson": rng.poisson, "over-dispersed": lambda m: rng.negative_binomial(m, 0.5)}
    counts = spread[kind](size * level).astype(float)
    return counts, counts


def alarms(drawn: Drawn, kpi: str, size: int) -> list[dict[str, object]]:
    """Return the alerts of a series that begins on a Monday."""
    values, cases = drawn
    days = pl.date_range(date(2024, 1, 1), date(2026, 12, 31), eager=True).head(len(values))
    frame = pl.DataFrame({"period": days, "value": values, "numerator": values}).with_columns(
        segment_name=pl.lit("all"),
        kpi=pl.lit(kpi),
        denominator=pl.lit(float(size)),
        cases=pl.Series(cases, dtype=pl.Float64),
    )
    return find_alerts(KpiSeries(frame, "1d"), [AlertRule(kpi, false_alarms_per_year=1.0)]).alerts


def task(setting: int, seed: int) -> dict[str, object]:
    """Count the alarms of one year without a cause, and the days until one with it."""
    kpi, kind, size = SETTINGS[setting]
    rng = np.random.default_rng([seed, setting])
    level = np.resize(WEEK, PAST + YEAR)
    quiet = alarms(draw(rng, kind, size, level), kpi, size)
    level = np.resize(WEEK, PAST + 28) * np.where(np.arange(PAST + 28) < PAST, 1, FALL)
    changed = [one for one in alarms(draw(rng, kind, size, level), kpi, size) if one["last"]]
    start = date(2024, 1, 1).toordinal() + PAST
    days = [date.fromisoformat(str(one["last"])).toordinal() - start for one in changed]
    since = [date.fromisoformat(str(one["since"])).toordinal() - start for one in changed]
    after = [max(s, 0) for s, d in zip(since, days, strict=True) if d >= 0]
    return {"setting": setting, "alarms": len(quiet), "delay": min(after) + 1 if after else None}


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
    note = "one false alarm a year and series is declared; the fall by a third is planted"
    publish(pl.DataFrame(rows, infer_schema_length=None), "alerts", thin=options.thin, note=note)


if __name__ == "__main__":
    main()
