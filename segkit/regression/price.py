"""Price elasticities from a panel, by Poisson regression with fixed effects."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import polars as pl

from segkit.display import counted, number, percent
from segkit.errors import DataError, require_range
from segkit.plot import Figure, intervals
from segkit.plot.response import response
from segkit.regression.design import Floats, Ints
from segkit.regression.panel import ALL, PricePanel
from segkit.result import Result
from segkit.stats.intervals import ci_words

_MOST_STEPS, _MOST_SWEEPS = 100, 5_000
_TOLERANCE = 1e-9
_BINS = 10
_SAME = 1e-9  # log prices that differ by less are equal up to rounding
_MANY_OFF = 0.1  # with more lines at other prices, the panel's prices are not called a list


@dataclass(frozen=True, slots=True, eq=False)
class FixedEffects:
    """A Poisson regression with its fixed effects absorbed.

    Attributes
    ----------
    slopes : ndarray, shape (columns,)
    fitted : ndarray, shape (cells,)
        Expected counts.
    residual_x : ndarray, shape (cells, columns)
        The columns freed from both sets of effects, weighted by the expected counts.
    information : ndarray, shape (columns, columns)
    used : ndarray of bool, shape (cells given,)
        Cells that inform the slopes; units and periods without any count do not.
    steps : int
        Newton steps.
    """

    slopes: Floats
    fitted: Floats
    residual_x: Floats
    information: Floats
    used: np.ndarray
    steps: int

    def cluster_scores(self, y: Floats, clusters: Ints) -> Floats:
        """Sum the scores within clusters, shape (clusters, columns)."""
        each = self.residual_x * (y - self.fitted)[:, None]
        n = int(clusters.max()) + 1
        return np.stack([np.bincount(clusters, s, n) for s in each.T], axis=1)


def absorb(columns: Floats, weights: Floats, first: Ints, second: Ints) -> Floats:
    """Subtract two sets of weighted group means from columns, in turn, until they converge.

    Examples
    --------
    >>> x = np.array([[1.0], [2.0], [3.0], [5.0]])
    >>> absorb(x, np.ones(4), np.array([0, 0, 1, 1]), np.array([0, 1, 0, 1])).ravel().tolist()
    [0.25, -0.25, -0.25, 0.25]
    """
    totals = [np.bincount(codes, weights) for codes in (first, second)]
    scale = np.sqrt((weights[:, None] * columns**2).sum(axis=0) / weights.sum()) + 1e-300
    free = columns.copy()
    for _ in range(_MOST_SWEEPS):
        largest = 0.0
        for codes, total in zip((first, second), totals, strict=True):
            for j in range(free.shape[1]):
                mean = np.bincount(codes, weights * free[:, j]) / total
                free[:, j] -= mean[codes]
                spread = np.sqrt((total * mean**2).sum() / total.sum())
                largest = max(largest, float(spread / scale[j]))
        if largest < _TOLERANCE:
            return free
    raise DataError(
        "the effects of products and periods cannot be separated: too few products are sold in "
        "several periods"
    )


def fit_fixed_effects(
    y: Floats, X: Floats, first: Ints, second: Ints, offset: Floats
) -> FixedEffects:
    """Fit E(y) = exp(offset + X b + effect of first + effect of second).

    Iterated weighted least squares, in whose every step both sets of effects are absorbed
    (Correia, Guimarães & Zylkin 2020, The Stata Journal 20(1)). Consistent whatever the
    distribution of y, if its mean is right (Gouriéroux, Monfort & Trognon 1984).

    Parameters
    ----------
    y : ndarray, shape (cells,)
        Counts.
    X : ndarray, shape (cells, columns)
    first, second : ndarray of int, shape (cells,)
        Codes of the two sets of groups.
    offset : ndarray, shape (cells,)
        Log exposure.

    Raises
    ------
    DataError
        If there is no count, the columns do not vary within both sets, or it does not converge.

    Examples
    --------
    >>> product, week = np.divmod(np.arange(12), 4)
    >>> x = np.array([0, 0, 1, 1, 0, 1, 1, 0, 1, 0, 0, 1.0])[:, None]
    >>> y = np.exp(1 + 0.5 * x[:, 0] + 0.2 * product - 0.1 * week)
    >>> fit_fixed_effects(y, x, product, week, np.zeros(12)).slopes.round(6).tolist()
    [0.5]
    """
    from scipy.special import kl_div

    used = _usable(y, first, second)
    if not used.any():
        raise DataError("all counts are zero: a price response needs purchases")
    y, X, offset = y[used], X[used], offset[used]
    first, second = (np.unique(codes[used], return_inverse=True)[1] for codes in (first, second))
    mu = (y + y.mean()) / 2
    eta = np.log(mu) - offset
    slopes, deviance = np.full(X.shape[1], np.inf), np.inf
    for step in range(_MOST_STEPS):
        z = eta + (y - mu) / mu
        free = absorb(np.column_stack([z, X]), mu, first, second)
        fz, fx = free[:, 0], free[:, 1:]
        information = (fx * mu[:, None]).T @ fx
        _check_information(information, X, mu)
        new = np.linalg.solve(information, (fx * mu[:, None]).T @ fz)
        eta = z - (fz - fx @ new)
        mu = np.exp(np.clip(eta + offset, -30.0, 30.0))
        was, deviance = deviance, float(2 * kl_div(y, mu).sum())
        change = float(np.abs(new - slopes).max())
        slopes = new
        if change < 1e-8 and abs(was - deviance) < 1e-8 * (abs(deviance) + 1):
            free = absorb(X, mu, first, second)
            final = (free * mu[:, None]).T @ free
            return FixedEffects(slopes, mu, free, final, used, step + 1)
    raise DataError("the regression did not converge: the counts are too few for its effects")


def _usable(y: Floats, first: Ints, second: Ints) -> np.ndarray:
    """Leave out groups without a count, until none is left."""
    used = np.ones(len(y), dtype=bool)
    while True:
        before = used.sum()
        for codes in (first, second):
            total = np.bincount(codes, y * used, int(codes.max()) + 1 if len(codes) else 0)
            used &= total[codes] > 0
        if used.sum() == before:
            return used


def _check_information(information: Floats, X: Floats, mu: Floats) -> None:
    total = ((X - np.average(X, axis=0, weights=mu)) ** 2 * mu[:, None]).sum(axis=0)
    if (np.diagonal(information) <= 1e-10 * total + 1e-300).any():
        raise DataError(
            "no price changes within products at different times: an elasticity cannot be told "
            "from the products' and the periods' own levels"
        )


@dataclass(frozen=True, slots=True, eq=False)
class PriceResponse(Result):
    """Price elasticities of purchase frequency.

    Attributes
    ----------
    elasticities : polars.DataFrame
        One row for all customers, then one per segment: segment, elasticity (per cent more
        purchases for one per cent more price), std_error, low, high, p_value (against no
        response), change_10 (share by which purchases change at prices 10% higher), change_10_low,
        change_10_high, lines, products (with a sale), clusters (products that contribute to the
        estimate, because their own price changed or because those with a change are compared
        with them).
    curve : polars.DataFrame
        For all customers, tenths of the purchases by price (no price is split): price_ratio (to
        the product's usual price, freed from season), purchases_ratio (observed over expected at
        the usual price), low, high (Poisson limits, at ``level``), expected_ratio (by the
        elasticity), lines.
    differ_statistic, differ_p : float or None
        Wald test that all segments have one elasticity (chi-square, segments - 1 degrees of
        freedom); None without segments.
    level : float
    panel : str
        What the panel held.
    prices_from : str
    off_list : float
        Share of lines charged at another price than the panel's.
    period_days, promotion_days : int
    by_category : bool
        Whether each category has period effects of its own.
    skipped : dict of str to str
        Segment to the reason why it has no estimate.
    notes : tuple of str
    """

    elasticities: pl.DataFrame
    curve: pl.DataFrame
    differ_statistic: float | None
    differ_p: float | None
    level: float
    panel: str
    prices_from: str
    off_list: float
    period_days: int
    promotion_days: int
    by_category: bool
    skipped: dict[str, str]
    notes: tuple[str, ...]

    @property
    def listed(self) -> bool:
        """Whether prices are those of a price list, charged to all alike."""
        return self.prices_from == "price list" and self.off_list <= _MANY_OFF

    @property
    def text(self) -> str:
        """The elasticity with its interval, whether segments differ, and what it rests on."""
        row = self.elasticities.row(0, named=True)
        sure = "" if row["low"] > 0 or row["high"] < 0 else ", its sign not shown"
        interval = ci_words(row["low"], row["high"], self.level)
        finding = (
            f"A price 10% higher goes with {percent(abs(row['change_10']))} "
            f"{'fewer' if row['change_10'] < 0 else 'more'} purchases: elasticity "
            f"{number(row['elasticity'])} ({interval}{sure})."
        )
        return " ".join(part for part in (finding, self._segments(), self._design()) if part)

    def _segments(self) -> str:
        rows = self.elasticities[1:].drop_nulls("elasticity").sort("elasticity")
        if self.differ_p is None or rows.height < 2:
            return ""
        most, least = rows.row(0, named=True), rows.row(-1, named=True)
        chance = f"p {number(self.differ_p)}" if self.differ_p >= 0.001 else "p below 0.001"
        if self.differ_p < 1 - self.level:
            return (
                f"Segments differ ({chance}): {most['segment']} responds most "
                f"({number(most['elasticity'])}, {number(most['low'])} to {number(most['high'])}), "
                f"{least['segment']} least ({number(least['elasticity'])}, "
                f"{number(least['low'])} to {number(least['high'])})."
            )
        return f"That segments differ in it is not shown ({chance})."

    def _design(self) -> str:
        apart = " and its promotion days" if self.promotion_days else ""
        whose = " of each category" if self.by_category else ""
        base = (
            f"It compares products whose price changed with others{whose} in the same "
            f"{counted(self.period_days, 'day')}{apart}, each against its own usual sales; what "
            "makes a customer, a season or a promotion busy hits both alike and drops out."
        )
        if self.listed:
            return (
                f"{base} It is the effect of price if changes were not timed to a product's own "
                f"demand; purchases that move to another product count as lost."
            )
        share = percent(self.off_list)
        why = (
            f"prices are read off the order lines, and {share} of lines were charged at another "
            f"price than the product's usual one"
            if self.prices_from != "price list"
            else f"{share} of lines were charged at another price than the list's"
        )
        return f"{base} Read it as association, not as the effect of price: {why}."

    def plot(self) -> Figure:
        """Draw the elasticities with their intervals."""
        rows = self.elasticities.drop_nulls("elasticity")
        first = rows.row(0, named=True)
        return intervals(
            rows,
            "segment",
            "elasticity",
            interval=("low", "high"),
            title=f"At a price 10% higher, {percent(abs(first['change_10']))} "
            f"{'fewer' if first['change_10'] < 0 else 'more'} purchases",
            y_label="price elasticity (per cent more purchases for one per cent more price)",
        )

    def plot_curve(self) -> Figure:
        """Draw purchases against price, both relative to the product's usual level."""
        row = self.elasticities.row(0, named=True)
        return response(
            self.curve,
            "price_ratio",
            "purchases_ratio",
            interval=("low", "high"),
            line="expected_ratio",
            title=f"Purchases fall with price: elasticity {number(row['elasticity'])}"
            if row["high"] < 0
            else f"Purchases and price: elasticity {number(row['elasticity'])}",
            x_label="price, as a multiple of the product's usual price",
            y_label="purchases, as a multiple of those at the usual price",
        )


def estimate_price_response(
    panel: PricePanel, *, level: float = 0.95, min_lines: int = 200
) -> PriceResponse:
    """Estimate how purchase frequency responds to price.

    Poisson regression of counts on the log price, with an effect of each product (in each
    segment) and of each period's ordinary and promotion days (by category, where known), the days
    on sale as exposure. Errors are clustered by product, as prices change by product.

    That some customers buy more than others, or more in one period than in another, does not
    change the estimate. Suppose that the model also had an effect of each customer in each period.
    Given how much a customer buys in a period, how this divides among the products is multinomial,
    and the customer's effect cancels from these shares. All customers of a segment face the same
    prices, so they have the same shares, and the sums over customers hold all that the data say
    of the elasticity. This is the Poisson-multinomial equivalence (Palmgren 1981, Biometrika 68;
    Baker 1994, The Statistician 43; compare Hausman, Hall & Griliches 1984, Econometrica 52).

    Parameters
    ----------
    panel : PricePanel
        From `build_price_panel`.
    level : float
        Nominal coverage of the intervals.
    min_lines : int
        A segment with fewer sale lines gets no estimate.

    Returns
    -------
    PriceResponse

    Raises
    ------
    DataError
        If prices do not change within products, at different times, or lines are too few.

    Examples
    --------
    >>> from segkit.regression.panel import build_price_panel
    >>> days = [d for d in range(60) for _ in range(3 if d < 30 else 1)]
    >>> lines = pl.DataFrame({
    ...     "customer_id": ["c"] * 180, "product_id": ["x"] * 120 + ["y"] * 60,
    ...     "order_day": days + list(range(60)),
    ...     "unit_price": [2.0 if d < 30 else 3.0 for d in days] + [5.0] * 60})
    >>> panel = build_price_panel(lines, promotions=None)
    >>> round(float(estimate_price_response(panel, min_lines=1).elasticities["elasticity"][0]), 3)
    -2.71
    """
    require_range("(0, 1)", level=level)
    if panel.lines < min_lines:
        raise DataError(
            f"{counted(panel.lines, 'sale line is', 'sale lines are')} too few; expected "
            f"{min_lines:,} or more"
        )
    cells = panel.cells.with_columns(
        product=pl.col("product_id").rank("dense").cast(pl.Int64) - 1,
        block=pl.struct("stratum", "category").rank("dense").cast(pl.Int64) - 1,
    )
    keys = ["product", "block", "price", "days"]
    pooled = cells.group_by(keys, maintain_order=True).agg(pl.col("lines").sum())
    whole = _fit(pooled)
    rows, fits, skipped = [_row(ALL, whole, pooled, level)], [], dict[str, str]()
    for name in cells.get_column("segment").unique().sort():
        if name == ALL:
            continue
        part = cells.filter(pl.col("segment") == name)
        if int(part.get_column("lines").sum()) < min_lines:
            skipped[name] = f"fewer than {counted(min_lines, 'sale line')}"
            continue
        try:
            fitted = _fit(part)
        except DataError as error:
            skipped[name] = str(error)
            continue
        fits.append(fitted)
        rows.append(_row(name, fitted, part, level))
    statistic, p = _differ(fits) if len(fits) > 1 else (None, None)
    return PriceResponse(
        elasticities=pl.DataFrame(rows),
        curve=_curve(whole, level),
        differ_statistic=statistic,
        differ_p=p,
        level=level,
        panel=panel.text,
        prices_from=panel.prices_from,
        off_list=panel.off_list,
        period_days=panel.period_days,
        promotion_days=panel.promotion_days,
        by_category=panel.cells.get_column("category").n_unique() > 1,
        skipped=skipped,
        notes=panel.notes,
    )


@dataclass(frozen=True, slots=True, eq=False)
class _Fitted:
    """One regression, with what its clustered error needs."""

    model: FixedEffects
    y: Floats
    log_price: Floats
    product: Ints
    scores: Floats
    variance: float

    @property
    def slope(self) -> float:
        return float(self.model.slopes[0])

    @property
    def influence(self) -> Floats:
        """Each product's influence on the slope, with the correction for few clusters."""
        return np.asarray(_correction(self.scores) * self.scores / self.model.information[0, 0])


def _correction(scores: Floats) -> float:
    n = int((scores != 0).sum())
    return float(np.sqrt(n / (n - 1))) if n > 1 else float("nan")


def _fit(cells: pl.DataFrame) -> _Fitted:
    y, price, days = (
        cells.get_column(name).cast(pl.Float64).to_numpy() for name in ("lines", "price", "days")
    )
    product, block = (cells.get_column(name).to_numpy() for name in ("product", "block"))
    x = np.log(price)
    model = fit_fixed_effects(y, x[:, None], product, block, np.log(days))
    y, x, product = y[model.used], x[model.used], product[model.used]
    scores = model.cluster_scores(y, product)[:, 0]
    # A product whose price never moves has a residual that is not exactly zero after absorption.
    scores[np.abs(scores) < 1e-9 * np.abs(scores).max()] = 0.0
    if (scores != 0).sum() < 2:
        raise DataError("fewer than two products have price changes: no error can be given")
    variance = float((_correction(scores) ** 2 * scores**2).sum() / model.information[0, 0] ** 2)
    return _Fitted(model, y, x, product, scores, variance)


def _row(name: str, fitted: _Fitted, cells: pl.DataFrame, level: float) -> dict[str, object]:
    from scipy import stats

    clusters = int((fitted.scores != 0).sum())
    error = float(np.sqrt(fitted.variance))
    reach = float(stats.t.ppf((1 + level) / 2, clusters - 1)) * error
    low, high = fitted.slope - reach, fitted.slope + reach
    change, least, most = (1.1**e - 1 for e in (fitted.slope, low, high))
    return {
        "segment": name,
        "elasticity": fitted.slope,
        "std_error": error,
        "low": low,
        "high": high,
        "p_value": float(2 * stats.t.sf(abs(fitted.slope / error), clusters - 1)),
        "change_10": change,
        "change_10_low": least,
        "change_10_high": most,
        "lines": int(cells.get_column("lines").sum()),
        "products": int(np.unique(fitted.product).size),
        "clusters": clusters,
    }


def _differ(fits: list[_Fitted]) -> tuple[float, float]:
    """Test that all slopes are equal; products are shared, so the errors are correlated."""
    from scipy.stats import chi2

    width = max(len(fit.scores) for fit in fits)
    pulls = np.stack([np.pad(fit.influence, (0, width - len(fit.scores))) for fit in fits])
    covariance = pulls @ pulls.T
    slopes = np.array([fit.slope for fit in fits])
    contrast = np.eye(len(fits))[1:] - np.eye(len(fits))[:1]
    gap = contrast @ slopes
    statistic = float(gap @ np.linalg.solve(contrast @ covariance @ contrast.T, gap))
    return statistic, float(chi2.sf(statistic, len(fits) - 1))


def _curve(fit: _Fitted, level: float) -> pl.DataFrame:
    """Bundle cells by their price relative to the usual one; compare observed and expected.

    Cells with equal relative prices stay in one group, as they differ by rounding only. (About a
    third of cells are equal: no price of their category changed.)
    """
    from scipy.stats import chi2

    away = fit.model.residual_x[:, 0]
    order = np.argsort(away, kind="stable")
    price_rank = np.cumsum(np.diff(away[order], prepend=away[order[0]]) > _SAME)
    weight = np.bincount(price_rank, fit.model.fitted[order])
    middle = (np.cumsum(weight) - weight / 2) / weight.sum()
    bundle = (middle * _BINS).astype(np.int64)[price_rank]
    usual = fit.model.fitted * np.exp(-fit.slope * away)
    rows = pl.DataFrame(
        {
            "bundle": bundle,
            "lines": fit.y[order],
            "usual": usual[order],
            "fitted": fit.model.fitted[order],
            "away": (away * fit.model.fitted)[order],
        }
    )
    table = rows.group_by("bundle").agg(pl.all().sum()).sort("bundle")
    lines, expected = table.get_column("lines").to_numpy(), table.get_column("usual").to_numpy()
    low = np.where(lines > 0, chi2.ppf((1 - level) / 2, 2 * np.maximum(lines, 0.5)) / 2, 0.0)
    price = np.exp((table.get_column("away") / table.get_column("fitted")).to_numpy())
    return pl.DataFrame(
        {
            "price_ratio": price,
            "purchases_ratio": lines / expected,
            "low": low / expected,
            "high": chi2.ppf((1 + level) / 2, 2 * lines + 2) / 2 / expected,
            "expected_ratio": price**fit.slope,
            "lines": lines.astype(np.int64),
        }
    )
