import json
import math

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from segkit.errors import ColumnError, DataError, ModelError, ParameterError
from segkit.result import decode, encode
from segkit.transform import Column, RowTransform, Transform
from segkit.transform.steps import SCALES, SHAPES


def skewed(n=400, seed=0):
    rng = np.random.default_rng(seed)
    return pl.DataFrame(
        {
            "monetary": np.exp(rng.normal(3, 1, n)),
            "margin": rng.normal(size=n) ** 3 * 40,
            "return_share": rng.beta(1, 6, n),
            "age": rng.normal(40, 9, n),
            "member": rng.random(n) < 0.4,
        }
    )


def test_log_and_standard_scale_are_what_they_say():
    frame = pl.DataFrame({"monetary": [0.0, 9.0, 99.0, 999.0]})
    z = Transform.of({"monetary": "log1p"}).fit(frame).apply(frame)[:, 0]
    logs = np.log([1.0, 10.0, 100.0, 1000.0])
    assert z == pytest.approx((logs - logs.mean()) / logs.std(), rel=1e-12)


def test_winsorising_pulls_in_both_tails_at_the_stated_quantiles():
    x = np.arange(101.0)
    frame = pl.DataFrame({"x": x})
    fitted = Transform.of(["x"], winsor=(0.05, 0.9), scale="none").fit(frame)
    assert fitted.apply(frame)[:, 0].tolist() == np.clip(x, 5, 90).tolist()


@pytest.mark.parametrize(
    ("shape", "values"),
    [
        ("none", [-3.0, 0.0, 5.0]),
        ("log1p", [0.0, 0.5, 1e6]),
        ("signed_log", [-1e5, -0.1, 0.0, 7.0]),
        ("arcsine", [0.0, 0.3, 1.0]),
    ],
)
@pytest.mark.parametrize("scale", ["standard", "none"])
def test_every_shape_can_be_undone(shape, values, scale):
    frame = pl.DataFrame({"x": values})
    fitted = Transform.of({"x": shape}, scale=scale).fit(frame)
    back = fitted.invert(fitted.apply(frame))["x"].to_numpy()
    assert back == pytest.approx(np.array(values), rel=1e-9, abs=1e-9)


@settings(max_examples=60)
@given(
    st.lists(st.floats(-1e6, 1e6, allow_nan=False), min_size=3, max_size=40).filter(
        lambda v: max(v) - min(v) > 1e-3
    ),
    st.sampled_from(["none", "signed_log"]),
)
def test_undoing_gives_back_what_went_in(values, shape):
    frame = pl.DataFrame({"x": values})
    fitted = Transform.of({"x": shape}).fit(frame)
    back = fitted.invert(fitted.apply(frame))["x"].to_numpy()
    assert np.allclose(back, values, rtol=1e-7, atol=1e-7 * max(map(abs, values)))


def test_the_rule_proposes_by_shape_and_says_why():
    frame = skewed()
    proposal = Transform.propose(frame, frame.columns)
    shapes = {c.name: c.shape for c in proposal.columns}
    assert shapes == {
        "monetary": "log1p",
        "margin": "signed_log" if abs(skewness(frame["margin"])) > 1 else "none",
        "return_share": "arcsine",
        "age": "none",
        "member": "none",
    }
    assert "skewness" in proposal.columns[0].why
    assert all(c.why for c in proposal.columns)


def skewness(series):
    x = series.to_numpy() - series.mean()
    return (x**3).mean() / (x**2).mean() ** 1.5


def test_heavy_tails_that_remain_are_winsorised():
    x = np.random.default_rng(0).standard_t(3, 2000)
    x = np.concatenate([x, -x])  # no skewness, so no logs
    column = Transform.propose(pl.DataFrame({"x": x}), ["x"]).columns[0]
    assert column.winsor == (0.001, 0.999)
    assert "kurtosis" in column.why


def test_columns_of_one_family_weigh_as_one():
    rng = np.random.default_rng(0)
    names = [f"season_share_{s}" for s in ("winter", "spring", "summer", "autumn")]
    frame = pl.DataFrame(
        {
            **dict(zip(names, rng.dirichlet(np.ones(4), 300).T, strict=True)),
            "age": rng.normal(size=300),
        }
    )
    z = Transform.propose(frame, frame.columns).fit(frame).apply(frame)
    assert z[:, :4].var(axis=0).sum() == pytest.approx(1.0)
    assert z[:, 4].var() == pytest.approx(1.0)


def test_a_row_alone_is_transformed_as_in_a_batch():
    frame = skewed(257)
    fitted = Transform.propose(frame, frame.columns).fit(frame)
    whole = fitted.apply(frame)
    for i in range(frame.height):
        assert np.array_equal(fitted.apply(frame[i]), whole[i : i + 1])


def test_the_order_of_the_rows_changes_nothing():
    frame = skewed()
    shuffled = frame.sample(fraction=1, shuffle=True, seed=5)
    assert (
        Transform.propose(frame, frame.columns).fit(frame).to_data()
        == Transform.propose(shuffled, frame.columns).fit(shuffled).to_data()
    )


def test_json_brings_back_the_same_transform():
    frame = skewed().with_columns(gap_days_mean=pl.Series([None, 3.0] * 200))
    fitted = Transform.propose(frame, frame.columns).fit(frame)
    back = Transform.from_data(json.loads(json.dumps(fitted.to_data())))
    assert np.array_equal(back.apply(frame), fitted.apply(frame))
    assert decode(json.loads(json.dumps(encode(fitted)))).to_data() == fitted.to_data()


@pytest.mark.parametrize(
    ("fill", "expected"), [("median", 2.0), ("mean", 3.0), ("min", 1.0), ("max", 6.0), (9.5, 9.5)]
)
def test_missing_values_are_filled_as_stated_and_counted(fill, expected):
    frame = pl.DataFrame({"x": [1.0, 2.0, 6.0, None, float("nan")]})
    fitted = Transform.of(["x"], fill=fill, scale="none").fit(frame)
    assert fitted.apply(frame)[3:, 0].tolist() == [expected, expected]
    assert fitted.columns[0].filled == 2
    assert "x 2 as" in fitted.text


def test_worst_is_high_for_recency_and_low_for_frequency():
    frame = pl.DataFrame({"recency_days": [1.0, 900.0, None], "frequency": [1.0, 9.0, None]})
    fitted = Transform.of(frame.columns, fill="worst", scale="none").fit(frame)
    assert fitted.apply(frame)[2].tolist() == [900.0, 1.0]


def test_a_missing_value_met_only_at_scoring_is_filled_where_a_fill_is_stated():
    frame = pl.DataFrame({"x": [1.0, 2.0, 6.0]})
    one = pl.DataFrame({"x": [None]}, schema={"x": pl.Float64})
    stated = Transform.of(["x"], fill="median", scale="none").fit(frame)
    assert stated.apply(one).item() == 2.0
    with pytest.raises(DataError, match="x has 1 missing"):
        Transform.of(["x"]).fit(frame).apply(one)


def test_a_constant_column_is_dropped_and_said_or_refused():
    frame = pl.DataFrame({"x": [1.0, 2.0], "same": [3.0, 3.0]})
    fitted = Transform.of(["x", "same"]).fit(frame)
    assert fitted.names == ("x",)
    assert "same (constant over all 2 rows)" in fitted.text
    assert fitted.to_frame().filter(pl.col("column") == "same")["steps"].item() == "dropped"
    with pytest.raises(DataError, match="constant over all 2 rows: same"):
        Transform.of(["x", "same"]).fit(frame, constant="error")
    with pytest.raises(DataError, match="constant"):
        Transform.of(["same"]).fit(frame)


@pytest.mark.parametrize(
    ("values", "shape", "message"),
    [
        ([1.0, float("inf"), float("-inf")], "none", "x holds 2 infinite"),
        ([1.0, None, float("nan")], "none", "x has 2 missing"),
        ([1.0, -2.0, -3.0], "log1p", "x has 2 negative"),
        ([0.5, 1.5, 0.1], "arcsine", "x has 1 value above 1"),
    ],
)
def test_values_that_do_not_fit_are_counted_in_the_error(values, shape, message):
    with pytest.raises(DataError, match=message):
        Transform.of({"x": shape}).fit(pl.DataFrame({"x": values}))


def test_a_later_share_above_one_counts_as_one():
    fitted = Transform.of({"x": "arcsine"}).fit(pl.DataFrame({"x": [0.0, 0.5, 0.9]}))
    one, more = fitted.apply(pl.DataFrame({"x": [1.0, 1.5]}))
    assert one == more
    with pytest.raises(DataError, match="x has 1 negative"):
        fitted.apply(pl.DataFrame({"x": [-0.5]}))


def test_wrong_names_and_kinds_are_errors():
    with pytest.raises(ColumnError, match="lacks y"):
        Transform.of(["y"]).fit(pl.DataFrame({"x": [1.0, 2.0]}))
    with pytest.raises(ColumnError, match=r"region must be numeric.*String"):
        Transform.of(["region"]).fit(pl.DataFrame({"region": ["n", "s"]}))
    with pytest.raises(ParameterError, match="did you mean 'log1p'"):
        Column("x", "log1")
    with pytest.raises(ParameterError, match="unknown scale 'minmax'"):
        Column("x", scale="minmax")
    with pytest.raises(ParameterError, match="or a number"):
        Column("x", fill="bfill")
    with pytest.raises(ParameterError, match="rising quantiles"):
        Column("x", winsor=(0.9, 0.1))
    with pytest.raises(ParameterError, match="must be positive"):
        Column("x", weight=0)
    with pytest.raises(ModelError, match="not fitted"):
        Transform.of(["x"]).apply(pl.DataFrame({"x": [1.0]}))
    with pytest.raises(DataError, match="at least one row"):
        Transform.of(["x"]).fit(pl.DataFrame({"x": []}, schema={"x": pl.Float64}))
    with pytest.raises(ModelError, match="cannot be read"):
        Transform.from_data({"columns": [{"nam": "x"}], "dropped": [], "rows": 1})


def test_all_values_missing():
    frame = pl.DataFrame({"x": [None, None]}, schema={"x": pl.Float64})
    with pytest.raises(DataError, match="all values were missing"):
        Transform.propose(frame, ["x"]).fit(frame)


RATES = pl.DataFrame(
    {
        "abandonment_rate": [1.0, 0.0, 0.3, 0.5, None],
        "carts": [1, 1, 10, 8, 0],
        "visits": [1.0, 5.0, 2.0, 4.0, 9.0],
    }
)


def test_rates_are_shrunk_to_the_average_by_what_they_rest_on():
    fitted = Transform.propose(RATES, ["abandonment_rate", "visits"]).fit(RATES)
    column = fitted.columns[0]
    average = (1 + 0 + 3 + 4) / 20
    # Weir and Hill's moments by hand: between and within mean squares of the four with carts.
    between = (0.6**2 + 0.4**2 + 10 * 0.1**2 + 8 * 0.1**2) / 3
    within = (10 * 0.3 * 0.7 + 8 * 0.5 * 0.5) / 16
    size = (20 - (1 + 1 + 100 + 64) / 20) / 3
    theta = (between - within) / (between + (size - 1) * within)
    assert theta < 0, "these four do not differ beyond chance: the average weighs one cart, no more"
    assert (column.average, column.average_weight) == (pytest.approx(average), 1.0)
    own = [(1 + average) / 2, average / 2, (3 + average) / 11, (4 + average) / 9, average]
    shaped = np.arcsin(np.sqrt(own))
    z = (shaped - shaped.mean()) / shaped.std()
    assert fitted.apply(RATES)[:, 0] == pytest.approx(z)
    assert "shrunk to the average (0.400), which counts as 1 of carts" in column.steps
    assert fitted.apply(RATES[4:])[0, 0] == pytest.approx(z[4]), "a row alone is as in the batch"
    again = Transform.from_data(json.loads(json.dumps(fitted.to_data())))
    assert np.array_equal(again.apply(RATES), fitted.apply(RATES))
    assert fitted.find_unfit(RATES).null_count() == 5


def test_rates_that_differ_surely_are_hardly_shrunk():
    split = pl.DataFrame({"open_rate": [0.0, 1.0] * 20, "emails_sent": [30, 30] * 20})
    column = Transform.propose(split, ["open_rate"]).fit(split).columns[0]
    assert column.average_weight == 0.0, "everybody opens all or nothing: no doubt about anyone"
    one = pl.DataFrame({"open_rate": [None, 1.0], "emails_sent": [0, 1]})
    fitted = Transform.propose(split, ["open_rate"]).fit(split)
    assert fitted.apply(one)[:, 0] == pytest.approx([0.0, 1.0])


def test_a_rate_without_its_exposure_stays_as_it_is():
    bare = RATES.drop("carts")
    assert Transform.propose(bare, ["abandonment_rate"]).columns[0].exposure is None
    assert Transform.propose(RATES, ["abandonment_rate"], shrink=False).columns[0].fill == "median"
    fitted = Transform.propose(RATES, ["abandonment_rate"]).fit(RATES)
    with pytest.raises(ColumnError, match="lacks carts"):
        fitted.apply(bare)
    lost = fitted.to_data()
    lost["columns"][0]["average"] = None
    with pytest.raises(ModelError, match="the average of abandonment_rate"):
        Transform.from_data(lost)


@settings(max_examples=12, deadline=None)
@given(seed=st.integers(0, 2**32 - 1))
def test_one_row_in_plain_numbers_has_the_bits_of_the_batch(seed):
    rng = np.random.default_rng(seed)
    columns = [
        Column(f"c{place}", shape, fill=fill, winsor=winsor, group="a" if place % 2 else None,
               exposure=exposure, scale=str(rng.choice(SCALES)))
        for place, (shape, fill, winsor, exposure) in enumerate(
            (shape, fill, winsor, exposure)
            for shape in SHAPES
            for fill, winsor, exposure in (
                ("median", None, None), (None, (0.05, 0.9), None), (None, None, "n")
            )
        )
    ]  # fmt: skip
    frame = pl.DataFrame({column.name: rng.uniform(0, 1, 30) for column in columns})
    frame = frame.with_columns(n=pl.Series(rng.integers(0, 3, 30)))
    fitted = Transform(tuple(columns)).fit(frame)
    rates = [pl.when(pl.col("n") > 0).then(c.name) for c in columns if c.exposure]
    wilder = frame.with_columns(rates).with_columns(
        pl.col(c.name) * rng.choice([1.0, -3.0, 900.0], 30) for c in columns if not c.exposure
    )
    holes = pl.Series(rng.random(30) < 0.3)
    wilder = wilder.with_columns(
        pl.when(~holes).then(c.name) for c in columns if c.fill or rng.random() < 0.1
    )
    wilder = wilder.with_columns(n=pl.Series(rng.choice([0, 1, 5, -1], 30)))
    wilder = wilder.with_columns(pl.when(pl.Series(rng.random(30) < 0.9)).then("n"))
    row = RowTransform(fitted)
    reasons = fitted.find_unfit(wilder)
    rows = [
        row.apply([math.nan if value is None else value for value in values])
        for values in wilder.select(row.needed).rows()
    ]
    assert [one is None for one in rows] == reasons.is_not_null().to_list()
    batch = fitted.apply(wilder.filter(reasons.is_null()))
    assert [one for one in rows if one is not None] == batch.tolist()
