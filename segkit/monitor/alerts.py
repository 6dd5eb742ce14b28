"""Alerts on key figures: outside the band that the past gives, or past a target; told once."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from email.message import EmailMessage
from email.utils import format_datetime
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from segkit.display import counted
from segkit.errors import ParameterError, RunError, require_choice, require_range
from segkit.monitor.kpis import ALL, KPIS, MONEY, NO_SEGMENT, WORDS, Every, KpiSeries, write_value
from segkit.result import Result
from segkit.webhook import Webhook
from segkit.writing import write_whole

PERIODS = {"1d": 364, "1w": 52, "1mo": 12}  # a year
SEASON = {"1d": 7, "1w": 1, "1mo": 1}  # periods of the season that a band knows
PAST = {"1d": 56, "1w": 26, "1mo": 12}  # periods that a band rests on
SETTLED = 8  # periods outside in a row after which a change is the new normal
LEAST_CASES = 10  # orders behind money, or cases (and others) of a rate, for a band
HEAVIEST = 1.0  # excess kurtosis of a sum of money, on its scale, up to which there is a band
LEAST_PAST = {"1d": 28, "1w": 12, "1mo": 8}
KEYS = ("kpi", "segment", "min", "max", "false_alarms_per_year")


@dataclass(frozen=True, slots=True)
class AlertRule:
    """One rule: a target, or a band with its rate of false alarms.

    Attributes
    ----------
    kpi : str
        One of `segkit.monitor.kpis.KPIS`.
    segment : str
        A segment's name, "all", or "*" for each of them.
    least, most : float or None
        Targets: below or above them is an alert.
    false_alarms_per_year : float or None
        How often a year, for one series, chance alone may lie outside the band of the past.
    """

    kpi: str
    segment: str = "*"
    least: float | None = None
    most: float | None = None
    false_alarms_per_year: float | None = None

    def __post_init__(self) -> None:
        require_choice("kpi", self.kpi, KPIS)
        if self.least is self.most is self.false_alarms_per_year is None:
            raise ParameterError(
                f"the rule on {self.kpi} says nothing: give min, max or false_alarms_per_year"
            )
        require_range("(0, 12]", false_alarms_per_year=self.false_alarms_per_year)


def read_rules(path: Path | str) -> list[AlertRule]:
    r"""Read rules from a TOML file: ``[[alert]]`` tables with kpi, segment, min, max or a rate.

    Raises
    ------
    ParameterError
        If the file cannot be read or a rule is not valid.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.NamedTemporaryFile(suffix=".toml") as file:
    ...     _ = Path(file.name).write_text('[[alert]]\nkpi = "open_rate"\nmin = 0.15')
    ...     read_rules(file.name)[0].least
    0.15
    """
    file = Path(path)
    try:
        content = tomllib.loads(file.read_text(encoding="utf-8-sig"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ParameterError(f"{file.name} cannot be read: {error}") from error
    rules = content.get("alert")
    if set(content) - {"alert"} or not isinstance(rules, list) or not rules:
        raise ParameterError(f"{file.name}: expected [[alert]] tables and nothing else")
    for rule in rules:
        for key in rule:
            require_choice(f"key of an alert in {file.name}", key, KEYS)
        if "kpi" not in rule:
            raise ParameterError(f"{file.name}: an alert names no kpi")
    names = {"min": "least", "max": "most"}
    return [AlertRule(**{names.get(key, key): rule[key] for key in rule}) for rule in rules]


def write_limits(one: Mapping[str, Any], currency: str | None = None) -> str:
    """Write an alert's band or target in the unit of its key figure.

    Examples
    --------
    >>> write_limits({"kpi": "orders", "low": 5.0, "high": None})
    '5 or more'
    """
    low, high = (write_value(one["kpi"], one[side], currency) for side in ("low", "high"))
    if one["low"] is None or one["high"] is None:
        return f"{high} or less" if one["low"] is None else f"{low} or more"
    return f"{low} to {high}"


@dataclass(frozen=True, slots=True, eq=False)
class Alerts(Result):
    """Key figures outside their band or target; one alert for each continuous period outside.

    Attributes
    ----------
    alerts : list of dict
        kpi, segment, kind ("band" or "target"), direction ("low" or "high"), value (the last one),
        low and high (band or target), since, last (first and last period outside), open (it was
        outside in the last period), acknowledged.
    checked : int
        Values that were compared.
    withheld : int
        Values without a band: too short a past, or none that varies.
    bands : polars.DataFrame or None
        One row per key figure, segment and period with a band: kpi, segment_name, period, low,
        high.
    currency : str or None
    """

    alerts: list[dict[str, Any]]
    checked: int
    withheld: int
    bands: pl.DataFrame | None = None
    currency: str | None = None

    def to_frame(self) -> pl.DataFrame:
        """Return one row per alert."""
        return pl.DataFrame(self.alerts, infer_schema_length=None)

    @property
    def open(self) -> list[dict[str, Any]]:
        """Alerts that go on and that nobody acknowledged."""
        return [one for one in self.alerts if one["open"] and not one["acknowledged"]]

    @property
    def text(self) -> str:
        """List what is open, or say that nothing is."""
        if not self.open:
            return f"Nothing needs attention: {counted(self.checked, 'value')} compared."
        words = "; ".join(self._describe_alert(one) for one in self.open)
        return f"{counted(len(self.open), 'alert')}: {words}."

    def _describe_alert(self, one: Mapping[str, Any]) -> str:
        """Say of one alert what it is, since when, and what would have been expected."""
        kpi, whose = one["kpi"], one["segment"]
        value = write_value(kpi, one["value"], self.currency)
        limits = write_limits(one, self.currency)
        due = "expected" if one["kind"] == "band" else "target"
        name = WORDS[kpi][0]
        return (
            f"{name} of {'all customers' if whose == ALL else whose} is {one['direction']} since "
            f"{one['since']}: {value}, {due} {limits}"
        )

    def acknowledge(self, earlier: Iterable[Mapping[str, Any]]) -> Alerts:
        """Return a copy in which alerts that were acknowledged before stay so.

        Parameters
        ----------
        earlier : iterable of mappings
            Alerts as ``alerts.json`` holds them; they are the same if key figure, segment, kind,
            direction and beginning are.
        """
        acknowledged = {_key(one) for one in earlier if one.get("acknowledged")}
        marked = [one | {"acknowledged": _key(one) in acknowledged} for one in self.alerts]
        return replace(self, alerts=marked)

    def write(self, path: Path | str) -> Path:
        """Write ``alerts.json``; alerts that are acknowledged in the file there stay so."""
        file = Path(path)
        earlier = json.loads(file.read_text()) if file.exists() else []
        marked = self.acknowledge(earlier).alerts
        return write_whole(file, json.dumps(marked, indent=1), private=True)

    def post(self, url: str, *, timeout: float = 10.0) -> int:
        """Send the open alerts to a webhook as JSON, and return the status of its answer.

        Raises
        ------
        ParameterError
            If the address is not http or https.
        RunError
            If there is no answer, or the answer is not a success (redirects included).
        """
        hook = Webhook(url, timeout=timeout)
        try:
            return hook.post(json.dumps({"text": self.text, "alerts": self.open}))
        except RunError as error:
            raise RunError(f"the webhook did not take the alerts: {error}") from error

    def mail(self, path: Path | str, *, sender: str, to: Sequence[str], on: datetime) -> Path:
        """Write the open alerts as a message file (.eml) that a mail program sends."""
        message = EmailMessage()
        message["From"], message["To"] = sender, ", ".join(to)
        message["Date"] = format_datetime(on if on.tzinfo else on.replace(tzinfo=UTC))
        message["Subject"] = f"segkit: {counted(len(self.open), 'alert')}"
        message.set_content(self.text)
        return write_whole(path, bytes(message), private=True)


def find_alerts(
    series: KpiSeries, rules: Sequence[AlertRule], *, currency: str | None = None
) -> Alerts:
    """Compare key figures with their past and their targets.

    The band of a period comes from the periods before it: for days the same weekdays of eight
    weeks, for weeks half a year, for months a year. Values are first transformed to a constant
    variance (square root of counts, arc sine of shares, cube root of money); rates and means are
    weighted by their denominator. The band is the prediction interval (Student's t) around the mean
    for the weekday, with one variance for all. Its width follows from the rule's rate of false
    alarms, and it is corrected for the skewness and kurtosis that remain after the transformation
    (Cornish and Fisher). For money these come from the order values, taken as lognormal. A value
    outside its band enters later bands at the band's limit, so that the alert stays open as long as
    the change lasts; after eight periods the new level counts as normal.

    Money and rates get no band while they rest on fewer than ten cases per period on average.
    Neither does money if there are too few orders, or too unequal ones, to correct for the heavy
    tail; use longer periods then.

    Parameters
    ----------
    series : KpiSeries
    rules : sequence of AlertRule
    currency : str, optional
        Of the amounts, to write them.

    Returns
    -------
    Alerts

    Raises
    ------
    ParameterError
        If a rule names a segment or key figure that the series lacks.

    References
    ----------
    Anscombe (1948), "The transformation of Poisson, binomial and negative-binomial data",
    Biometrika 35; Wilson and Hilferty (1931) for the cube root; Cornish and Fisher (1938),
    "Moments and cumulants in the specification of distributions".

    Examples
    --------
    >>> from datetime import date, timedelta
    >>> rng = np.random.default_rng(0)
    >>> days = [date(2026, 1, 5) + timedelta(days=i) for i in range(70)]
    >>> visits = rng.poisson(100, 70).astype(float)
    >>> visits[-1] = 30
    >>> frame = pl.DataFrame({"period": days, "segment_name": "all", "kpi": "visits",
    ...     "value": visits, "numerator": visits, "denominator": None, "cases": visits})
    >>> alerts = find_alerts(KpiSeries(frame, "1d"), [AlertRule("visits",
    ...     false_alarms_per_year=0.5)])
    >>> [(one["segment"], one["direction"]) for one in alerts.open]
    [('all', 'low')]
    """
    alerts: list[dict[str, Any]] = []
    checked = withheld = 0
    drawn: list[pl.DataFrame] = []
    names = series.series["segment_name"].unique(maintain_order=True).to_list()
    for rule in rules:
        require_choice("segment", rule.segment, [*names, "*"])
        require_choice("kpi of the series", rule.kpi, series.series["kpi"].unique().to_list())
        # who has no segment yet changes with each refresh, not with customers
        named = [name for name in names if name != NO_SEGMENT]
        for name in named if rule.segment == "*" else [rule.segment]:
            chosen = (pl.col("kpi") == rule.kpi) & (pl.col("segment_name") == name)
            part = series.series.filter(chosen).sort("period")
            periods, values = part["period"].to_list(), part["value"].to_numpy()
            bands = [("target", _target(rule, len(values)))]
            if rule.false_alarms_per_year is not None:
                level = rule.false_alarms_per_year / PERIODS[series.every]
                band = _bands(part, rule.kpi, series.every, level)
                withheld += int((np.isnan(band).any(axis=1) & ~np.isnan(values)).sum())
                bands.append(("band", band))
                limits_of = pl.Series("low", band[:, 0]), pl.Series("high", band[:, 1])
                drawn.append(part.select("kpi", "segment_name", "period").with_columns(limits_of))
            for kind, limits in bands:
                if np.isnan(limits).all():
                    continue
                checked += int((~np.isnan(values) & ~np.isnan(limits).all(axis=1)).sum())
                subject = {"kpi": rule.kpi, "segment": name, "kind": kind}
                alerts += _runs(subject, periods, values, limits)
    bands_of = pl.concat(drawn).fill_nan(None).drop_nulls("low") if drawn else None
    return Alerts(alerts, checked, withheld, bands_of, currency)


def _target(rule: AlertRule, periods: int) -> np.ndarray:
    limits = [np.nan if v is None else float(v) for v in (rule.least, rule.most)]
    return np.tile(limits, (periods, 1))


def _bands(part: pl.DataFrame, kpi: str, every: Every, level: float) -> np.ndarray:
    """Return the band of each period from those before it; NaN where the past says too little."""
    from scipy.special import stdtrit

    values = part["value"].to_numpy()
    scaled, back = _scale(kpi, values)
    weights = np.nan_to_num(part["denominator"].cast(pl.Float64).fill_null(1.0).to_numpy())
    few, shapes = _few_cases(kpi, part), _Shapes.of(kpi, part)
    season, past = SEASON[every], PAST[every]
    bands = np.full((len(values), 2), np.nan)
    scaled, has_value = scaled.copy(), ~np.isnan(scaled) & (weights > 0)
    outside = 0
    for now in range(len(values)):
        before = np.arange(max(now - past, 0), now)
        before = before[has_value[before]]
        phases = (now - before) % season
        freedom = len(before) - len(np.unique(phases))
        same = before[phases == 0]
        if not has_value[now] or len(before) < LEAST_PAST[every] or len(same) < 2 or freedom < 5:
            continue
        if few[now - 1]:
            continue
        sums = np.bincount(phases, weights[before] * scaled[before], minlength=season)
        heavy = np.bincount(phases, weights[before], minlength=season)
        rest = scaled[before] - (sums / np.where(heavy > 0, heavy, 1.0))[phases]
        variance = (weights[before] * rest**2).sum() / freedom
        shape = shapes.at(now, variance)
        if variance == 0 or shape is None:
            continue
        middle = sums[0] / heavy[0]
        spread = np.sqrt(variance * (1 / weights[now] + 1 / heavy[0]))
        sides = stdtrit(freedom, np.array([level / 2, 1 - level / 2]))
        limits = middle + spread * _corrected(sides, *shape)
        bands[now] = back(limits[0]), back(limits[1])
        # left out, the tails would be missing from later spreads: bands would be too narrow
        inside = np.clip(scaled[now], *limits)
        outside = outside + 1 if inside != scaled[now] else 0
        if outside <= SETTLED:
            scaled[now] = inside
    return bands


def _corrected(z: np.ndarray, skewness: float, kurtosis: float) -> np.ndarray:
    """Move quantiles of a normal distribution to one with a skewness and an excess kurtosis."""
    return np.asarray(
        z
        + skewness * (z**2 - 1) / 6
        + kurtosis * (z**3 - 3 * z) / 24
        - skewness**2 * (2 * z**3 - 5 * z) / 36
    )


def _scale(kpi: str, values: np.ndarray) -> tuple[np.ndarray, Callable[[float], float]]:
    """Make the spread of a key figure alike along the series; return how to undo that."""
    if _is_count(kpi):
        return np.sqrt(np.maximum(values, 0) + 0.375), lambda x: max(x, 0.0) ** 2 - 0.375
    if KPIS[kpi][0] in MONEY:
        return np.cbrt(values), lambda x: x**3
    return np.arcsin(np.sqrt(np.clip(values, 0, 1))), _sine


def _is_count(kpi: str) -> bool:
    above, below = KPIS[kpi]
    return below is None and above not in MONEY


@dataclass(frozen=True, slots=True)
class _Shapes:
    """Skewness and excess kurtosis that are left on a key figure's scale, from the past so far.

    By the expansion of a function of a sum in its cumulants (a, b: second and third derivative over
    the first, in standard deviations): skewness + 3 a, kurtosis + 12 a skewness + 12 a² + 4 b.
    """

    kpi: str
    value: np.ndarray  # means over the periods so far
    cases: np.ndarray
    squares: np.ndarray
    other: np.ndarray  # of a share: what is below the line

    @classmethod
    def of(cls, kpi: str, part: pl.DataFrame) -> _Shapes:
        numbers = np.arange(1, part.height + 1)
        names = ("numerator", "cases", "squares", "denominator")
        columns = [
            np.cumsum(np.nan_to_num(part[name].cast(pl.Float64).to_numpy())) / numbers
            if name in part.columns
            else np.zeros(part.height)
            for name in names
        ]
        return cls(kpi, *columns)

    def at(self, now: int, variance: float) -> tuple[float, float] | None:
        """Return both for a period, from those before; None where the tail is too heavy."""
        if KPIS[self.kpi][0] not in MONEY:
            return self._counted(now - 1, variance)
        value, cases, squares = (one[now - 1] for one in (self.value, self.cases, self.squares))
        if value <= 0 or cases <= 0 or squares <= 0:
            return None
        ratio = cases * squares / value**2  # exp(variance of the log): E X² / (E X)²
        if KPIS[self.kpi] == ("sold", "orders"):  # a mean of so many values, not a sum
            variance = (ratio - 1) / cases
            skewness = (ratio + 2) * np.sqrt(ratio - 1) / np.sqrt(cases)
            kurtosis = (ratio**4 + 2 * ratio**3 + 3 * ratio**2 - 6) / cases
        else:
            variance, skewness, kurtosis = (
                ratio / cases,
                ratio**1.5 / np.sqrt(cases),
                ratio**4 / cases,
            )
        a, b = -2 / 3 * np.sqrt(variance), 10 / 9 * variance
        kurtosis += 12 * a * skewness + 12 * a**2 + 4 * b
        return None if kurtosis > HEAVIEST else (float(skewness + 3 * a), float(kurtosis))

    def _counted(self, now: int, variance: float) -> tuple[float, float] | None:
        """Return those of a count (with more than Poisson's variance, if so) or of a share."""
        mean, sign = self.cases[now], 1.0
        if not _is_count(self.kpi) and self.other[now] > 0:
            share = min(mean / self.other[now], 1.0)
            mean = mean * (1 - share) / max((1 - 2 * share) ** 2, 1e-9)
            sign = 1.0 if share <= 0.5 else -1.0
        if mean <= 0:
            return None
        excess = max(4 * variance, 1.0)
        skewness = sign * (excess / 2 - 1) / np.sqrt(mean * excess)
        return float(skewness), float(min(excess / mean, 0.5))


def _sine(angle: float) -> float:
    return float(np.sin(np.clip(angle, 0, np.pi / 2)) ** 2)


def _few_cases(kpi: str, part: pl.DataFrame) -> np.ndarray:
    """Return by period whether money or a rate rests, by its mean so far, on too few cases."""
    if _is_count(kpi):
        return np.zeros(part.height, dtype=bool)
    above, below = KPIS[kpi]
    cases = part["cases"].to_numpy()
    if below is not None and above not in MONEY:
        cases = np.minimum(cases, part["denominator"].to_numpy() - cases)
    mean_cases = np.cumsum(np.nan_to_num(cases)) / np.arange(1, len(cases) + 1)
    return np.asarray(mean_cases < LEAST_CASES)


def _runs(
    subject: Mapping[str, Any], periods: Sequence[Any], values: np.ndarray, limits: np.ndarray
) -> list[dict[str, Any]]:
    """Join periods outside that follow one another in one direction."""
    runs: list[dict[str, Any]] = []
    for period, value, (low, high) in zip(periods, values, limits, strict=True):
        direction = "low" if value < low else "high" if value > high else ""
        if runs and runs[-1]["open"] and direction != runs[-1]["direction"]:
            runs[-1]["open"] = bool(np.isnan(value))
        if not direction:
            continue
        if not runs or not runs[-1]["open"]:
            since = {"direction": direction, "since": period.isoformat()}
            runs.append({**subject, **since, "acknowledged": False})
        band = {"low": _plain(low), "high": _plain(high)}
        runs[-1] |= {"value": float(value), **band, "last": period.isoformat(), "open": True}
    return runs


def _plain(value: float) -> float | None:
    return None if np.isnan(value) else float(value)


def _key(one: Mapping[str, Any]) -> tuple[Any, ...]:
    return tuple(one[name] for name in ("kpi", "segment", "kind", "direction", "since"))
