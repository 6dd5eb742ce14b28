"""The elasticity equals what statsmodels gives with every effect spelt out; panels keep count."""

from datetime import date, timedelta

import numpy as np
import polars as pl
import pytest
from polars.testing import assert_frame_equal
from scipy import stats

from segkit.errors import ColumnError, DataError, ParameterError
from segkit.regression import PriceResponse, build_price_panel, estimate_price_response
from segkit.regression.price import absorb, fit_fixed_effects
from tests.studies._retail import segments, shop

EPOCH = date(1970, 1, 1)


def day_of(number):
    return EPOCH + timedelta(days=number)


def lines(seed=0, n=4000, products=6, weeks=20, customers=12, slope=-1.5):
    """Customers' lines with staggered price changes and a planted elasticity."""
    random = np.random.default_rng(seed)
    price = np.full((products, weeks), 10.0)
    for k in range(products):
        for at in random.choice(np.arange(2, weeks), 3, replace=False):
            price[k, at:] = np.round(10 * np.exp(random.normal(0, 0.2)), 2)
    taste, season = random.normal(0, 0.4, products), random.normal(0, 0.3, weeks)
    eager = random.normal(0, 0.6, customers)
    log_rate = (
        taste[None, :, None] + season[None, None, :] + eager[:, None, None]
        + slope * np.log(price)[None]
    )  # fmt: skip
    rate = np.exp(log_rate)
    counts = random.poisson(n * rate / rate.sum())
    who, what, when = (np.repeat(axis.ravel(), counts.ravel()) for axis in np.indices(counts.shape))
    day = when * 7 + random.integers(7, size=len(when))
    frame = pl.DataFrame(
        {
            "customer_id": pl.Series(who).cast(pl.String),
            "product_id": pl.Series(what).cast(pl.String),
            "order_day": pl.Series(day).cast(pl.Int32),
            "unit_price": price[what, when],
            "is_return": np.zeros(len(who), dtype=bool),
        }
    )
    moved = [
        {
            "product_id": str(k),
            "valid_from": EPOCH + timedelta(days=7 * w),
            "unit_price": price[k, w],
        }
        for k in range(products)
        for w in range(weeks)
        if w == 0 or price[k, w] != price[k, w - 1]
    ]
    return frame, pl.DataFrame(moved), counts, price


def spelt_out(y, price, effects, clusters):
    """Fit a Poisson regression with a dummy for each level of each effect, by statsmodels."""
    import statsmodels.api as sm

    columns = [np.log(price), np.ones(len(y))]
    for effect in effects:
        columns += [(effect == level).astype(float) for level in np.unique(effect)[1:]]
    X = np.column_stack(columns)
    model = sm.GLM(y, X, family=sm.families.Poisson())
    return model.fit(cov_type="cluster", cov_kwds={"groups": clusters}, tol=1e-12, maxiter=200)


def test_slope_and_clustered_error_are_those_of_statsmodels():
    frame, prices, counts, price = lines()
    found = estimate_price_response(build_price_panel(frame, prices, promotions=None))
    y = counts.sum(axis=0)
    product, week = np.indices(y.shape)
    expected = spelt_out(y.ravel(), price.ravel(), [product.ravel(), week.ravel()], product.ravel())
    row = found.elasticities.row(0, named=True)
    assert row["elasticity"] == pytest.approx(expected.params[0], abs=1e-6)
    n, k = y.size, y.shape[0] + y.shape[1]  # statsmodels counts absorbed effects as parameters
    factor = np.sqrt((n - 1) / (n - k))
    assert row["std_error"] * factor == pytest.approx(expected.bse[0], rel=1e-3)
    assert row["clusters"] == 6
    reach = stats.t.ppf(0.975, 5) * row["std_error"]
    assert row["low"] == pytest.approx(row["elasticity"] - reach)
    assert row["high"] == pytest.approx(row["elasticity"] + reach)


def test_customers_effects_even_in_each_week_change_nothing():
    """Summing over customers loses nothing: an effect of each customer in each week cancels."""
    frame, prices, counts, price = lines(n=1500, products=4, weeks=8, customers=5)
    found = estimate_price_response(build_price_panel(frame, prices, promotions=None))
    who, product, week = np.indices(counts.shape)
    every = np.broadcast_to(price, counts.shape)
    sold = counts.sum(axis=1, keepdims=True) > 0  # a customer's week without a line says nothing
    keep = np.broadcast_to(sold, counts.shape).ravel()
    goods = product.ravel()[keep]
    own = (who * counts.shape[2] + week).ravel()[keep]
    expected = spelt_out(
        counts.ravel()[keep],
        every.ravel()[keep],
        [own, goods],
        goods,
    )
    assert found.elasticities["elasticity"][0] == pytest.approx(expected.params[0], abs=1e-6)


def test_segments_are_fitted_apart_and_tested_together():
    steep, prices, _, _ = lines(seed=1, n=20_000, slope=-2.5)
    flat, _, _, _ = lines(seed=1, n=20_000, slope=-0.5)
    both = pl.concat([steep, flat.with_columns(customer_id="x" + pl.col("customer_id"))])
    names = both.select("customer_id").unique()
    kinds = names.with_columns(
        segment=pl.when(pl.col("customer_id").str.starts_with("x"))
        .then(pl.lit("flat"))
        .otherwise(pl.lit("steep"))
    )
    panel = build_price_panel(both, prices, segments=kinds, promotions=None)
    found = estimate_price_response(panel)
    alone = estimate_price_response(
        build_price_panel(steep, prices, promotions=None)
    ).elasticities.row(0, named=True)
    rows = {row["segment"]: row for row in found.elasticities.to_dicts()}
    assert rows["steep"]["elasticity"] == pytest.approx(alone["elasticity"], abs=1e-6)
    assert rows["steep"]["std_error"] == pytest.approx(alone["std_error"], rel=1e-4)
    assert found.differ_p < 0.001
    assert "steep responds most" in found.text
    assert {row["segment"] for row in found.plot().data.to_dicts()} == {
        "all customers",
        "steep",
        "flat",
    }
    assert found.elasticities["lines"].to_list()[0] == sum(
        found.elasticities["lines"].to_list()[1:]
    )


def test_the_panel_counts_every_line_and_day_once():
    frame, prices, counts, _ = lines()
    back = frame.head(50).with_columns(is_return=pl.lit(True))
    nameless = frame.head(7).with_columns(product_id=pl.lit(None, pl.String))
    panel = build_price_panel(pl.concat([frame, back, nameless]), prices, promotions=None)
    assert panel.lines == counts.sum()
    assert panel.lines_apart == 0
    days = (panel.last_day - panel.first_day).days + 1
    assert panel.cells["days"].sum() == 6 * days
    assert panel.changes == prices.height - 6
    assert panel.off_list == 0.0
    assert str(panel.lines)[:1] in panel.text
    shuffled = build_price_panel(
        frame.sample(fraction=1.0, shuffle=True, seed=3), prices, promotions=None
    )
    assert shuffled.cells.equals(panel.cells)


def test_a_path_a_lazy_frame_and_a_frame_give_one_panel(tmp_path):
    frame, prices, _, _ = lines(n=500)
    frame.write_parquet(tmp_path / "lines.parquet")
    found = [
        build_price_panel(source, prices, promotions=None).cells
        for source in (frame, frame.lazy(), tmp_path / "lines.parquet")
    ]
    assert found[0].equals(found[1])
    assert found[0].equals(found[2])


def test_promotion_days_get_effects_of_their_own():
    frame, prices, _, _ = lines()
    spans = pl.DataFrame({"starts": [day_of(10)], "ends": [day_of(12)]})
    panel = build_price_panel(frame, prices, promotions=spans)
    assert panel.promotion_days == 3
    strata = panel.cells.filter(pl.col("product_id") == "0")["stratum"].n_unique()
    assert strata == 21
    discounted = frame.with_columns(
        discount=pl.when(pl.col("order_day").is_between(40, 55)).then(1.0).otherwise(0.0)
    )
    seen = build_price_panel(discounted, prices)
    assert seen.promotion_days in range(14, 19)
    assert build_price_panel(frame, prices).promotion_days == 0
    with pytest.raises(ParameterError, match="promotions must be"):
        build_price_panel(frame, prices, promotions="guess")


def test_prices_read_off_lines_are_said_to_be():
    frame, prices, _, _ = lines()
    panel = build_price_panel(frame, promotions=None)
    assert panel.prices_from == "order lines"
    found = estimate_price_response(panel)
    assert "association" in found.text
    assert (
        "association"
        not in estimate_price_response(build_price_panel(frame, prices, promotions=None)).text
    )
    haggled = frame.with_columns(
        unit_price=pl.col("unit_price") * pl.Series([0.8, 1.0] * 5000).head(frame.height)
    )
    off = estimate_price_response(build_price_panel(haggled, prices, promotions=None))
    assert off.off_list == pytest.approx(0.5, abs=0.01)
    assert "another price than the list's" in off.text


def test_the_planted_elasticity_of_the_retailer_is_found():
    """One seed, at four standard errors: coverage is the study's business."""
    world, people, orders = shop(3, 1500, months=24)
    person = orders["customer_id"].cast(pl.Int64).to_numpy()
    truth = -people.traits["price_elasticity"][person].mean()
    panel = build_price_panel(orders, world.catalogue.prices, segments=segments(people))
    found = estimate_price_response(panel)
    row = found.elasticities.row(0, named=True)
    assert abs(row["elasticity"] - truth) < 4 * row["std_error"]
    assert row["std_error"] < 0.12
    assert panel.promotion_days > 50
    assert found.by_category
    assert "of each category" in found.text
    curve = found.curve
    assert curve["purchases_ratio"][0] > 1
    assert curve["purchases_ratio"][-1] < 1
    assert "elasticity" in found.plot_curve().alt
    assert PriceResponse.from_dict(found.to_dict()).text == found.text


def test_the_limits_of_the_curve_follow_the_level():
    frame, prices, _, _ = lines(n=1000)
    panel = build_price_panel(frame, prices, promotions=None)
    for level in (0.95, 0.5):
        curve = estimate_price_response(panel, level=level).curve
        count, expected = curve["lines"].to_numpy(), curve["lines"] / curve["purchases_ratio"]
        low, high = (curve[name].to_numpy() * expected.to_numpy() for name in ("low", "high"))
        tail = (1 - level) / 2  # Garwood's limits: the means that make so few, or so many, rare
        assert stats.poisson.sf(count - 1, low) == pytest.approx(tail)
        assert stats.poisson.cdf(count, high) == pytest.approx(tail)


def test_rounding_does_not_move_the_price_curve(monkeypatch):
    # cells at one relative price differ by rounding alone, which threads and machines change
    frame, prices, _, _ = lines(products=12, weeks=40)
    panel = build_price_panel(frame, prices, promotions=None)
    expected = estimate_price_response(panel).curve
    random = np.random.default_rng(1)

    def shaken(columns, *args):
        free = absorb(columns, *args)
        return free + 1e-12 * random.normal(size=free.shape)

    monkeypatch.setattr("segkit.regression.price.absorb", shaken)
    for _ in range(5):
        assert_frame_equal(estimate_price_response(panel).curve, expected, rel_tol=1e-9)


def test_absorbing_equals_regressing_on_dummies():
    random = np.random.default_rng(0)
    first, second = random.integers(5, size=80), random.integers(7, size=80)
    weights, x = random.random(80) + 0.1, random.normal(size=(80, 2))
    free = absorb(x, weights, first, second)
    D = np.column_stack([first[:, None] == np.arange(5), second[:, None] == np.arange(7)]).astype(
        float
    )
    root = np.sqrt(weights)[:, None]
    rest = x - D @ np.linalg.lstsq(root * D, root * x, rcond=None)[0]
    assert free == pytest.approx(rest, abs=1e-7)


def test_what_cannot_be_estimated_is_refused_in_words():
    frame, prices, _, _ = lines(n=800)
    constant = prices.group_by("product_id").first().with_columns(valid_from=pl.lit(EPOCH))
    with pytest.raises(DataError, match="no price changes within products"):
        estimate_price_response(build_price_panel(frame, constant, promotions=None))
    with pytest.raises(DataError, match="too few; expected 9,000"):
        estimate_price_response(build_price_panel(frame, prices, promotions=None), min_lines=9000)
    with pytest.raises(DataError, match="needs sale lines"):
        build_price_panel(frame.head(0), prices)
    with pytest.raises(DataError, match="no sale line has a price"):
        build_price_panel(frame, prices.with_columns(pl.col("product_id") + "z"))
    with pytest.raises(ColumnError, match="orders lacks product_id"):
        build_price_panel(frame.drop("product_id"))
    with pytest.raises(ParameterError, match="period_days"):
        build_price_panel(frame, prices, period_days=0)
    with pytest.raises(ParameterError, match="segment or segment_name"):
        build_price_panel(frame, prices, segments=frame.select("customer_id"))
    zero, codes = np.zeros(4), np.array([0, 0, 1, 1])
    with pytest.raises(DataError, match="all counts are zero"):
        fit_fixed_effects(zero, zero[:, None], codes, codes[::-1], zero)
    alone = frame.filter(pl.col("product_id") == "0")
    with pytest.raises(DataError):  # its price cannot be told from the weeks
        estimate_price_response(build_price_panel(alone, prices, promotions=None), min_lines=1)


def test_a_segment_with_few_lines_is_left_out_and_said():
    frame, prices, _, _ = lines()
    ids = frame["customer_id"].unique().sort()
    kinds = pl.DataFrame({"customer_id": ids, "segment": ["few"] + ["many"] * (len(ids) - 1)})
    found = estimate_price_response(
        build_price_panel(frame, prices, segments=kinds, promotions=None), min_lines=1000
    )
    assert found.skipped == {"few": "fewer than 1,000 sale lines"}
    assert found.differ_p is None
    assert found.elasticities["segment"].to_list() == ["all customers", "many"]
