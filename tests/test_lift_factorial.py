"""Factorial designs: every figure against statsmodels, refusals, the control, few buyers."""

from datetime import UTC, datetime

import numpy as np
import pandas as pd
import polars as pl
import pytest
import statsmodels.formula.api as smf
from statsmodels.stats.anova import anova_lm

import segkit
from segkit.errors import DataError, ParameterError
from segkit.lift import Factorial


def draw(seed=0, n=400, *, levels=(2, 2, 2), share=False):
    """Draw customers in unequal cells, with a block and a covariate that matter."""
    rng = np.random.default_rng(seed)
    a, b, c = (rng.choice(k, n, p=np.arange(1, k + 1) / sum(range(1, k + 1))) for k in levels)
    segment, warm = rng.integers(0, 3, n), rng.gamma(2.0, 5.0, n)
    y = 1 + 0.3 * a + 0.2 * b * a + 0.4 * segment + 0.1 * warm + rng.normal(size=n)
    frame = {"a": a, "b": b, "c": c, "segment": segment, "warm": warm}
    if share:
        frame["converted"] = (rng.random(n) < 0.2 + 0.1 * a + 0.05 * segment).astype(int)
    return pl.DataFrame(frame | {"revenue": y}).with_columns(pl.col("a", "b", "c").cast(pl.String))


def oracle(frame, formula):
    return smf.ols(formula, pd.DataFrame(frame.to_dict(as_series=False)))


SUMMED = "revenue ~ (C(a, Sum) + C(b, Sum) + C(c, Sum)) ** 2"
EXTRAS = [((), (), ""), (("segment",), (), " + C(segment)"),
          (("segment",), ("warm",), " + C(segment) + warm")]  # fmt: skip


@pytest.mark.parametrize(("blocks", "covariates", "more"), EXTRAS)
def test_contrasts_are_those_of_statsmodels(blocks, covariates, more):
    frame = draw()
    found = segkit.lift.estimate_factorial_effects(
        frame, ["a", "b", "c"], metric="revenue", blocks=blocks, covariates=covariates
    )
    known = oracle(frame, SUMMED + more).fit()
    # patsy's Sum codes the first level 1 and the last -1: one factor turns the sign, two do not.
    names = {"a": ("C(a, Sum)[S.0]", -2), "a, b": ("C(a, Sum)[S.0]:C(b, Sum)[S.0]", 4),
             "b, c": ("C(b, Sum)[S.0]:C(c, Sum)[S.0]", 4), "c": ("C(c, Sum)[S.0]", -2)}  # fmt: skip
    assert found.table.height == 6
    assert found.freedom == known.df_resid
    rows = {row["factors"]: row for row in found.table.iter_rows(named=True)}
    limits = known.conf_int()
    for name, (term, scale) in names.items():
        row = rows[name]
        assert row["value"] == pytest.approx(scale * known.params[term], rel=1e-9)
        assert row["error"] == pytest.approx(abs(scale) * known.bse[term], rel=1e-9)
        assert abs(row["statistic"]) == pytest.approx(abs(known.tvalues[term]), rel=1e-9)
        assert row["p_value"] == pytest.approx(known.pvalues[term], rel=1e-9)
        ends = sorted(scale * limits.loc[term])
        assert [row["low"], row["high"]] == pytest.approx(ends, rel=1e-9)


@pytest.mark.parametrize(("blocks", "covariates", "more"), EXTRAS)
def test_tests_of_factors_with_more_levels_are_those_of_anova(blocks, covariates, more):
    frame = draw(seed=1, levels=(2, 3, 2))
    found = segkit.lift.estimate_factorial_effects(
        frame, ["a", "b", "c"], metric="revenue", blocks=blocks, covariates=covariates
    )
    known = anova_lm(oracle(frame, SUMMED + more).fit(), typ=3)
    rows = {row["factors"]: row for row in found.table.iter_rows(named=True)}
    for name, row in rows.items():
        term = ":".join(f"C({factor}, Sum)" for factor in name.split(", "))
        f = row["statistic"] ** (2 if row["freedom"] == 1 else 1)
        assert row["freedom"] == known.loc[term, "df"]
        assert f == pytest.approx(known.loc[term, "F"], rel=1e-9)
        assert row["p_value"] == pytest.approx(known.loc[term, "PR(>F)"], rel=1e-8)
    assert rows["b"]["value"] is None
    assert rows["a, b"]["freedom"] == 2


def test_main_effects_alone_and_all_interactions():
    frame = draw(seed=2)
    main = segkit.lift.estimate_factorial_effects(
        frame, ["a", "b", "c"], metric="revenue", interactions=1
    )
    known = oracle(frame, "revenue ~ a + b + c").fit()
    assert main.table["effect"].to_list() == ["a 1 against 0", "b 1 against 0", "c 1 against 0"]
    assert main.table["value"].to_list() == pytest.approx(known.params[1:].tolist(), rel=1e-9)
    every = segkit.lift.estimate_factorial_effects(
        frame, ["a", "b", "c"], metric="revenue", interactions=3
    )
    known = oracle(frame, SUMMED.replace("** 2", "** 3")).fit()
    assert every.table.height == 7
    assert every.table["p_value"][-1] == pytest.approx(known.pvalues.iloc[-1], rel=1e-9)


def test_values_are_differences_of_cell_means_where_the_model_is_full():
    frame = draw(seed=3)
    found = segkit.lift.estimate_factorial_effects(frame, ["a", "b"], metric="revenue")
    cell = {row[:2]: row[-1] for row in found.cells.rows()}
    one, two = cell["1", "0"] - cell["0", "0"], cell["1", "1"] - cell["0", "1"]
    assert found.table["value"][0] == pytest.approx((one + two) / 2)
    assert found.table["value"][2] == pytest.approx(two - one)
    assert found.means.filter(factor="a", level="1")["value"].item() == pytest.approx(
        (cell["1", "0"] + cell["1", "1"]) / 2
    )
    assert found.cells["customers"].sum() == 400


def test_each_contrast_is_tested_once():
    found = segkit.lift.estimate_factorial_effects(draw(seed=4), ["a", "b", "c"], metric="revenue")
    smallest = found.table.sort("p_value").row(0, named=True)
    assert smallest["p_adjusted"] == pytest.approx(6 * smallest["p_value"])
    assert "6 contrasts" in found.text


def test_the_holdout_of_assign_factors_is_a_contrast_of_its_own():
    people = pl.DataFrame({"customer_id": [f"c{i}" for i in range(900)],
                           "segment": ["S1", "S2", "S3"] * 300})  # fmt: skip
    made = segkit.campaign.assign_factors(
        people, campaign_id="mv", at=datetime(2025, 3, 1, tzinfo=UTC), holdout=0.2,
        factors={"subject": ["plain", "question"], "saving": ["none", "ten", "twenty"]},
    )  # fmt: skip
    rng = np.random.default_rng(5)
    treated = (made.frame["arm"] != "holdout").to_numpy()
    segment = made.frame["segment"].to_numpy()
    y = 5 + 2.0 * treated + (segment == "S2") + rng.normal(size=900)
    frame = made.frame.with_columns(revenue=pl.Series(y))
    given = segkit.lift.read_outcomes(made.frame, frame.select("customer_id", "revenue"))
    found = segkit.lift.estimate_factorial_effects(
        given, ["subject", "saving"], metric="revenue", blocks=["segment"]
    )
    subject = np.array([{"plain": -1.0, "question": 1.0}.get(v, 0.0) for v in frame["subject"]])
    saving = np.array([{"none": [-1.0, -1], "ten": [1.0, 0], "twenty": [0.0, 1]}.get(v, [0.0, 0])
                       for v in frame["saving"]])  # fmt: skip
    columns = {"t": treated * 1.0, "s": subject, "u": saving[:, 0], "v": saving[:, 1],
               "segment": segment, "revenue": y}  # fmt: skip
    known = smf.ols("revenue ~ t + s * (u + v) + segment", pd.DataFrame(columns)).fit()
    first = found.table.row(0, named=True)
    assert first["effect"] == "any treatment against holdout"
    assert first["value"] == pytest.approx(known.params["t"], rel=1e-9)
    assert first["p_value"] == pytest.approx(known.pvalues["t"], rel=1e-9)
    assert found.table["statistic"][1] == pytest.approx(known.tvalues["s"], rel=1e-9)
    assert found.freedom == known.df_resid
    named = segkit.lift.estimate_factorial_effects(
        frame, ["subject", "saving"], metric="revenue", blocks=["segment"], control="holdout"
    )
    assert named.table.equals(found.table)
    assert found.cells.filter(pl.col("subject").is_null())["customers"].item() == (~treated).sum()


def test_designs_that_are_not_estimable_are_refused_by_the_contrasts_name():
    frame = draw(seed=6)
    gap = frame.filter((pl.col("a") == "0") | (pl.col("b") == "0"))
    with pytest.raises(
        DataError, match=r"'a with b' cannot be told apart from a 1.*no customer has a 1 and b 1"
    ):
        segkit.lift.estimate_factorial_effects(gap, ["a", "b"], metric="revenue")
    main = segkit.lift.estimate_factorial_effects(gap, ["a", "b"], metric="revenue", interactions=1)
    assert "1 of the combinations" in main.text
    half = frame.filter((pl.col("a") == pl.col("b")) == (pl.col("c") == "1"))
    with pytest.raises(DataError, match=r"'b with c' cannot be told apart from a 1 against 0"):
        segkit.lift.estimate_factorial_effects(half, ["a", "b", "c"], metric="revenue")
    assert segkit.lift.estimate_factorial_effects(half, ["a", "b", "c"], metric="revenue",
                                    interactions=1).table.height == 3  # fmt: skip
    twin = frame.with_columns(d="a")
    with pytest.raises(DataError, match=r"'d 1 against 0' cannot be told apart from a 1 against 0"):
        segkit.lift.estimate_factorial_effects(twin, ["a", "d"], metric="revenue", interactions=1)
    with pytest.raises(DataError, match=r"'a 1 against 0' cannot be told apart from block d"):
        segkit.lift.estimate_factorial_effects(twin, ["a", "b"], metric="revenue", blocks=["d"])


def test_bad_input_is_refused():
    frame = draw(seed=7, share=True)
    call = segkit.lift.estimate_factorial_effects
    with pytest.raises(DataError, match="one level only"):
        call(frame.with_columns(a=pl.lit("x")), ["a", "b"], metric="revenue")
    with pytest.raises(ParameterError, match="a share or a mean"):
        call(frame, ["a"], metric="order_value")
    with pytest.raises(DataError, match="must be 0 or 1"):
        call(frame.with_columns(converted=2), ["a", "b"])
    with pytest.raises(DataError, match="not finite for 1 customer"):
        call(frame.with_columns(warm=pl.when(pl.int_range(400) > 0).then("warm")), ["a"],
             metric="revenue", covariates=["warm"])  # fmt: skip
    with pytest.raises(ParameterError, match="interactions"):
        call(frame, ["a"], metric="revenue", interactions=0)
    with pytest.raises(DataError, match="no level of a factor"):
        call(frame.with_columns(a=pl.when(pl.int_range(400) > 0).then("a")), ["a", "b"],
             metric="revenue")  # fmt: skip
    with pytest.raises(DataError, match="leave nothing to tell errors from"):
        call(frame.unique(["a", "b"]), ["a", "b"], metric="revenue")
    chosen = segkit.lift.read_outcomes(
        pl.DataFrame({"customer_id": ["x"], "arm": ["m"]}),
        pl.DataFrame({"customer_id": ["x"], "revenue": [1.0]}), randomised=False,
    )  # fmt: skip
    with pytest.raises(DataError, match="chosen, not assigned at random"):
        call(chosen, ["arm"], metric="revenue")


def test_few_buyers_leave_a_contrast_undecided():
    rows = [(a, b, float(i < 4) * 50 if a == "x" else 0.0)
            for a in "xy" for b in "uv" for i in range(100)]  # fmt: skip
    frame = pl.DataFrame(rows, schema=["a", "b", "revenue"], orient="row")
    found = segkit.lift.estimate_factorial_effects(frame, ["a", "b"], metric="revenue")
    assert found.table["few"].to_list() == [True, True, True]
    assert found.table["p_adjusted"][0] < 0.05
    assert set(found.table["verdict"]) == {"undecided"}
    assert "left undecided" in found.text


def test_a_constant_outcome_is_not_measured_and_no_nan_is_said():
    frame = draw(seed=8).with_columns(revenue=3.0, warm=1.0)
    found = segkit.lift.estimate_factorial_effects(
        frame, ["a", "b"], metric="revenue", covariates=["warm"]
    )
    assert set(found.table["verdict"]) == {"not measured"}
    assert "nan" not in found.text.lower()
    assert "Left out" in found.text


def test_far_values_and_the_order_of_rows_do_not_matter():
    frame = draw(seed=10)
    near = segkit.lift.estimate_factorial_effects(
        frame, ["a", "b"], metric="revenue", covariates=["warm"]
    )
    moved = frame.with_columns(pl.col("revenue") + 2.0**30, pl.col("warm") + 2.0**30)
    far = segkit.lift.estimate_factorial_effects(
        moved.sample(fraction=1.0, shuffle=True, seed=1), ["a", "b"], metric="revenue",
        covariates=["warm"],
    )  # fmt: skip
    for name in ("value", "error", "p_value"):
        assert far.table[name].to_list() == pytest.approx(near.table[name].to_list(), rel=1e-5)


def test_the_result_is_stored_and_drawn():
    found = segkit.lift.estimate_factorial_effects(
        draw(seed=11, levels=(2, 3, 2)), ["a", "b"], metric="revenue"
    )
    again = Factorial.from_dict(found.to_dict())
    assert again.text == found.text
    assert "a 1 against 0" in found.plot().alt
    only = segkit.lift.estimate_factorial_effects(
        draw(seed=11, levels=(2, 3, 2)), ["b"], metric="revenue"
    )
    assert "b 2" in only.plot().alt
