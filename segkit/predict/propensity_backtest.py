"""Backtests of churn and lead scores at past dates, beside naive scores."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

import numpy as np
import polars as pl
from scipy.special import expit

from segkit.display import counted, percent
from segkit.errors import DataError, ParameterError, require_least, require_range, unknown
from segkit.frames import takes_frames
from segkit.predict.histories import count_purchases
from segkit.predict.likelihood import Array
from segkit.predict.measures import BY_CHANCE, METRICS, Ranked, ece_by_chance, limits, reliability
from segkit.predict.measures import resample as resample_measures
from segkit.predict.propensity import EVENT, WHO, PropensityModel, calibrate, fit_logistic, logit
from segkit.predict.purchases import fit_purchases
from segkit.predict.windows import Rolling, Tables, Window, roll, stack
from segkit.result import Figure, Result
from segkit.stats.intervals import ci_words
from segkit.stats.threads import single_thread

LOGISTIC, BOOSTING, BG_NBD = "logistic", "gradient boosting", "BG/NBD"
RECENCY, BASE = "recency alone", "base rate"
SCORES = (LOGISTIC, BOOSTING, BG_NBD, RECENCY, BASE)


@dataclass(frozen=True, slots=True, eq=False)
class PropensityBacktest(Result):
    """Scores made at past dates, compared with actual outcomes and with naive scores.

    Attributes
    ----------
    table : polars.DataFrame
        One row per origin (null: the mean of all), score and measure: origin, score, measure,
        customers, event_rate, value, low, high (bootstrap over customers), difference (from the
        logistic regression), difference_low, difference_high (of the same resamples). Measures:
        brier, ece, ece_by_chance (the ECE that right probabilities would show), auc, pr_auc,
        gain_top_decile, gain_top_2_deciles, gain_top_3_deciles (share with the event over that of
        all, minus 1).
    reliability : polars.DataFrame
        origin, score, decile (1 the highest tenth), customers, predicted, observed, low, high.
    predictions : polars.DataFrame
        origin, customer_id, event, and a column per score.
    outcome : str
        "churn" or "first_order".
    horizon_days : int
    level : float
    resamples, seed : int
    notes : tuple of str
        What was left out.
    """

    table: pl.DataFrame
    reliability: pl.DataFrame
    predictions: pl.DataFrame
    outcome: str
    horizon_days: int
    level: float
    resamples: int
    seed: int
    notes: tuple[str, ...] = ()

    def compare(self) -> pl.DataFrame:
        """Return one row per score: its measures, on average over the origins."""
        means = self.table.filter(pl.col("origin").is_null())
        return means.pivot(on="measure", index="score", values="value")

    @property
    def answer(self) -> str:
        """State how well the scores rank, beside recency alone, and how far they are off."""
        means = self.table.filter(pl.col("origin").is_null(), pl.col("score") == LOGISTIC)
        cells = {row["measure"]: row for row in means.iter_rows(named=True)}
        auc = cells["auc"]
        limits = ci_words(auc["low"], auc["high"], self.level, _digits)
        return (
            f"AUC {_digits(auc['value'])} ({limits}) within {counted(self.horizon_days, 'day')}; "
            f"probabilities are off by {percent(cells['ece']['value'])} on average."
        )

    @property
    def text(self) -> str:
        """Compare the logistic regression with the naive scores and the challengers."""
        means = self.table.filter(pl.col("origin").is_null())
        cells = {(row["score"], row["measure"]): row for row in means.iter_rows(named=True)}
        auc, ece = cells[LOGISTIC, "auc"], cells[LOGISTIC, "ece"]
        gain, naive = cells[LOGISTIC, "gain_top_decile"], cells.get((RECENCY, "auc"))
        dates = counted(self.table["origin"].drop_nulls().n_unique(), "past date")
        sure = percent(self.level, places=0)
        beside = f", recency alone with {_digits(naive['value'])}" if naive else ""
        ranked = (
            f"Over {dates}, the logistic regression ranked {WHO[self.outcome][1]} by "
            f"{EVENT[self.outcome]} within {counted(self.horizon_days, 'day')} with an AUC of "
            f"{_digits(auc['value'])} ({sure} interval {_digits(auc['low'])} to "
            f"{_digits(auc['high'])}){beside}."
        )
        calibrated = (
            f"Its probabilities were off by {percent(ece['value'])} on average (ECE; "
            f"{percent(cells[LOGISTIC, BY_CHANCE]['value'])} would come by chance alone), and the "
            f"tenth with the highest scores had {percent(gain['value'], places=0)} more of the "
            "event than all."
        )
        others = [
            _compared(name, cells[name, "brier"])
            for name in (BOOSTING, BG_NBD)
            if (name, "brier") in cells
        ]
        return " ".join([ranked, calibrated, *others, *self.notes])

    def plot(self, scores: Sequence[str] = (LOGISTIC,), *, origin: date | None = None) -> Figure:
        """Draw the reliability curve: observed share by predicted probability.

        Parameters
        ----------
        scores : sequence of str
            Of the table.
        origin : date, optional
            By default the last one.
        """
        from segkit.plot import lines

        when = origin or max(self.reliability["origin"])
        part = self.reliability.filter(
            (pl.col("origin") == when) & pl.col("score").is_in(list(scores))
        )
        if part.is_empty():
            names = self.reliability["score"].unique(maintain_order=True)
            raise ParameterError(unknown("score or origin", ", ".join(scores), names))
        right = part.select(
            pl.col("predicted").min().alias("low"), pl.col("predicted").max().alias("high")
        ).row(0)
        ideal = pl.DataFrame({"score": "exactly right", "predicted": right, "observed": right})
        frame = pl.concat(
            [part.unique(["score", "predicted"], maintain_order=True), ideal], how="diagonal"
        )
        return lines(
            frame,
            "predicted",
            "observed",
            group="score",
            band=("low", "high"),
            title=f"Predicted and observed share with {EVENT[self.outcome]}, as of {when!s}",
            x_label="predicted probability",
            y_label="observed share",
        )


def _digits(value: float) -> str:
    return f"{value:.3f}"


def _compared(name: str, row: dict[str, float]) -> str:
    """Say whether another score's Brier score differs from the logistic regression's."""
    low, high = row["difference_low"], row["difference_high"]
    verdict = "closer" if high < 0 else "less close" if low > 0 else "neither closer nor less close"
    return (
        f"{name[:1].upper()}{name[1:]} came {verdict} (Brier score "
        f"{_digits(row['value'])}, difference {row['difference']:+.4f}, {low:+.4f} to {high:+.4f})."
    )


@takes_frames
def backtest_churn(
    orders: pl.DataFrame,
    *,
    events: pl.DataFrame | None = None,
    customers: pl.DataFrame | None = None,
    as_of: date | None = None,
    horizon_days: int = 90,
    origins: int = 3,
    windows: int = 5,
    attributes: Sequence[str] = (),
    resamples: int = 200,
    level: float = 0.95,
    seed: int = 1,
) -> PropensityBacktest:
    """Score churn at past dates with the data of that time, and compare with actual churn.

    At each origin the scores of `fit_churn` are compared with those of gradient boosting (a
    challenger that is not stored), the BG/NBD model, recency alone and the base rate of the last
    window. All but the BG/NBD are fitted on the same earlier windows, whose labels end on or before
    the origin.

    Parameters
    ----------
    orders, events, customers, horizon_days, windows, attributes
        As in `fit_churn`.
    as_of : date, optional
        Last day of the last horizon; by default the last day with an order line.
    origins : int
        Past dates to judge at; those without an earlier window are left out.
    resamples : int
        Bootstrap resamples of customers.
    level : float
        Of the intervals.
    seed : int

    Returns
    -------
    PropensityBacktest

    Raises
    ------
    DataError
        If no origin has an earlier window to fit on.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> often = rng.gamma(1.0, 0.01, 400)
    >>> customer, day = np.nonzero(rng.random((400, 400)) < often[:, None])
    >>> orders = pl.DataFrame(
    ...     {"customer_id": customer.astype(str), "order_day": day, "amount": 20.0}
    ... )
    >>> judged = backtest_churn(orders, origins=1, resamples=20)
    >>> judged.compare()["score"].to_list()
    ['logistic', 'gradient boosting', 'BG/NBD', 'recency alone', 'base rate']
    """
    tables = Tables(orders, events, customers, "churn", attributes)
    return _backtest(tables, as_of, horizon_days, (origins, windows, resamples), level, seed)


@takes_frames
def backtest_leads(
    orders: pl.DataFrame,
    *,
    events: pl.DataFrame | None = None,
    customers: pl.DataFrame | None = None,
    as_of: date | None = None,
    horizon_days: int = 90,
    origins: int = 3,
    windows: int = 5,
    attributes: Sequence[str] = (),
    known_date: str | None = None,
    resamples: int = 200,
    level: float = 0.95,
    seed: int = 1,
) -> PropensityBacktest:
    """Score contacts' first orders at past dates, and compare with actual first orders.

    Parameters
    ----------
    orders, events, customers, horizon_days, windows, attributes, known_date
        As in `fit_leads`.
    as_of, origins, resamples, level, seed
        As in `backtest_churn`.

    Returns
    -------
    PropensityBacktest

    Raises
    ------
    DataError
        If no origin has an earlier window to fit on.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> keen, first = rng.random(900), rng.integers(0, 400, 900)
    >>> who = np.repeat(np.arange(900), rng.poisson(6 * keen))
    >>> events = pl.DataFrame({
    ...     "customer_id": who.astype(str), "event_type": "site_visit",
    ...     "event_day": first[who] + rng.integers(0, 60, len(who))})
    >>> buys = np.flatnonzero(rng.random(900) < 0.6 * keen)
    >>> orders = pl.DataFrame({
    ...     "customer_id": buys.astype(str), "amount": 9.0,
    ...     "order_day": first[buys] + rng.integers(30, 120, len(buys))})
    >>> judged = backtest_leads(orders, events=events, origins=1, resamples=20)
    >>> judged.compare()["score"].to_list()
    ['logistic', 'gradient boosting', 'recency alone', 'base rate']
    """
    tables = Tables(orders, events, customers, "first_order", attributes, known_date)
    return _backtest(tables, as_of, horizon_days, (origins, windows, resamples), level, seed)


def _backtest(
    tables: Tables,
    as_of: date | None,
    horizon_days: int,
    counts: tuple[int, int, int],
    level: float,
    seed: int,
) -> PropensityBacktest:
    origins, windows, resamples = counts
    require_least(origins=(origins, 1), windows=(windows, 1), resamples=(resamples, 20))
    require_range("[0.5, 0.999]", level=level)
    rolling = roll(tables, as_of, horizon_days, origins + windows)
    judged = [one for one in rolling.windows[-origins:] if rolling.before(one.origin, windows)[0]]
    if not judged:
        raise DataError(
            f"no past date has an earlier one to fit on: that takes {counted(horizon_days, 'day')} "
            "for the labels of each of the two, after 90 days of purchases; purchases end on "
            f"{rolling.end.isoformat()}"
        )
    notes: list[str] = []
    if len(judged) < origins:
        dates = counted(len(judged), "past date")
        notes.append(f"The data allow {dates} instead of {origins}.")
    scored = []
    for window in judged:
        fit, calibration = rolling.before(window.origin, windows)
        scored.append(_score(fit, calibration, window, tables, rolling, seed, notes))
        if calibration is None:
            notes.append(f"As of {window.origin.isoformat()} nothing was left to calibrate on.")
    names = [name for name in SCORES if any(name in one for one in scored)]
    ranked = [
        {n: Ranked.of(p, np.asarray(window.event, dtype=float)) for n, p in scores.items()}
        for window, scores in zip(judged, scored, strict=True)
    ]
    values, drawn = resample_measures(
        [(w.frame["customer_id"], r) for w, r in zip(judged, ranked, strict=True)],
        names,
        resamples,
        seed,
    )
    dates_ = [window.origin for window in judged]
    curves = [
        reliability(one, level).select(
            pl.lit(when).alias("origin"), pl.lit(name).alias("score"), pl.all()
        )
        for when, scores in zip(dates_, ranked, strict=True)
        for name, one in scores.items()
    ]
    return PropensityBacktest(
        _table(judged, ranked, names, (values, drawn), level, seed),
        pl.concat(curves),
        _join_scores(judged, scored, names),
        tables.outcome,
        horizon_days,
        level,
        resamples,
        seed,
        tuple(dict.fromkeys(notes)),
    )


def _join_scores(
    judged: Sequence[Window], scored: Sequence[dict[str, Array]], names: Sequence[str]
) -> pl.DataFrame:
    """Return every customer of every origin with the event and each score's probability."""
    parts = [
        pl.DataFrame({"origin": [window.origin] * window.frame.height}).with_columns(
            window.frame["customer_id"],
            pl.Series("event", window.event),
            *(pl.Series(name, scores.get(name), dtype=pl.Float64) for name in names),
        )
        for window, scores in zip(judged, scored, strict=True)
    ]
    return pl.concat(parts, how="diagonal")


def _score(
    fit: list[Window],
    calibration: Window | None,
    window: Window,
    tables: Tables,
    rolling: Rolling,
    seed: int,
    notes: list[str],
) -> dict[str, Array]:
    """Return every score's probabilities at one origin, made with what was known at it."""
    logistic = fit_logistic(fit, calibration, tables, rolling, window.origin)
    scores = {LOGISTIC: logistic.predict(window.frame, window.origin)}
    scores[BOOSTING] = _boost(fit, calibration, window, logistic, seed)
    if tables.outcome == "churn":
        try:
            history = count_purchases(tables.orders, as_of=window.origin)
            (ordered,) = fit_purchases(history).predict_order(history, [rolling.horizon_days])
            own = window.frame.select("customer_id").join(
                history.select("customer_id", p_order=pl.Series(ordered)),
                on="customer_id",
                how="left",
                maintain_order="left",
            )
            scores[BG_NBD] = 1 - own["p_order"].to_numpy()
        except DataError as error:
            notes.append(f"No BG/NBD as of {window.origin.isoformat()}: {error}.")
    recency = next(
        name
        for name in ("recency_days", "engagement_recency_days", "known_days")
        if name in window.frame.columns
    )
    alone = fit_logistic(fit, calibration, tables, rolling, window.origin, only=recency)
    scores[RECENCY] = alone.predict(window.frame, window.origin)
    last = calibration or fit[-1]
    scores[BASE] = np.full(window.frame.height, np.mean(np.asarray(last.event, dtype=float)))
    return scores


def _boost(
    fit: list[Window],
    calibration: Window | None,
    window: Window,
    logistic: PropensityModel,
    seed: int,
) -> Array:
    """Predict by gradient boosting of shallow trees, from the same features and windows.

    It is calibrated, and the season is allowed for, in the same way.
    """
    from sklearn.ensemble import HistGradientBoostingClassifier

    frame, event = stack(fit, calibration or fit[-1])
    with single_thread():
        model = HistGradientBoostingClassifier(
            max_iter=100,
            max_leaf_nodes=8,
            learning_rate=0.06,
            min_samples_leaf=40,
            l2_regularization=1.0,
            early_stopping=False,
            random_state=seed,
        ).fit(logistic.read_numbers(frame).to_numpy(), event)

        def predict(rows: Window) -> Array:
            chances = model.predict_proba(logistic.read_numbers(rows.frame).to_numpy())
            season = logistic.weigh_season(rows.origin)
            return np.asarray(expit(logit(chances[:, 1]) + season), dtype=np.float64)

        slope, shift = (1.0, 0.0)
        if calibration is not None:
            slope, shift = calibrate(predict(calibration), calibration)
        return np.asarray(expit(shift + slope * logit(predict(window))), dtype=np.float64)


def _table(
    judged: list[Window],
    ranked: list[dict[str, Ranked]],
    names: list[str],
    measured: tuple[Array, Array],
    level: float,
    seed: int,
) -> pl.DataFrame:
    """Return every measure with its interval, per origin and on average, in long form."""
    values, drawn = measured
    chance = np.stack(
        [
            [
                ece_by_chance(one[name], len(drawn), seed)
                if name in one
                else np.full(len(drawn), np.nan)
                for name in names
            ]
            for one in ranked
        ]
    )  # origins, scores, resamples
    values = np.concatenate([values, values.mean(axis=0, keepdims=True)])
    drawn = np.concatenate([drawn, drawn.mean(axis=1, keepdims=True)], axis=1)
    chance = np.concatenate([chance, chance.mean(axis=0, keepdims=True)])
    low, high = limits(values, drawn, level)
    base = names.index(LOGISTIC)
    gap, gaps = values - values[:, [base]], drawn - drawn[:, :, [base]]
    gap_low, gap_high = limits(gap, gaps, level)
    rows = []
    for at in range(len(values)):
        every = at == len(judged)
        events = [np.asarray(w.event, dtype=float) for w in (judged if every else [judged[at]])]
        size = sum(len(one) for one in events)
        head = (None if every else judged[at].origin, size)
        rate = float(np.mean([one.mean() for one in events]))
        for score, name in enumerate(names):
            for place, metric in enumerate(METRICS):
                cell = (at, score, place)
                least = -1.0 if metric.startswith("gain") else 0.0
                ends = [max(float(one[cell]), least) for one in (low, high)]
                others = [float(one[cell]) for one in (gap, gap_low, gap_high)]
                gaps_ = [None] * 3 if score == base else others
                rows.append((*head, name, metric, rate, float(values[cell]), *ends, *gaps_))
                if metric == "ece":
                    ends = np.quantile(chance[at, score], [(1 - level) / 2, (1 + level) / 2])
                    mean = float(chance[at, score].mean())
                    rows.append((*head, name, BY_CHANCE, rate, mean, *ends.tolist(), *[None] * 3))
    columns = {"origin": pl.Date, "customers": pl.Int64, "score": pl.String, "measure": pl.String}
    numbers = ("event_rate", "value", "low", "high",
               "difference", "difference_low", "difference_high")  # fmt: skip
    schema = columns | dict.fromkeys(numbers, pl.Float64)
    table = pl.DataFrame(rows, schema=schema, orient="row").fill_nan(None)
    return table.filter(pl.col("value").is_not_null()).select(
        "origin", "score", "measure", "customers", *numbers
    )
