"""Scores, reliability, ratings, response and validation."""

import numpy as np
import polars as pl
import pytest
from scipy.stats import binomtest, f

import segkit
from segkit.errors import ColumnError, DataError, ParameterError
from segkit.factor.correlation import Correlations, moments
from segkit.factor.response import nps_interval
from segkit.factor.scales import alpha
from segkit.factor.scores import SCORES, score_weights
from segkit.stats.intervals import wilson
from tests.reference import factors as ref
from tests.test_factor import draw


@pytest.fixture(scope="module")
def survey():
    frame, truth = draw(1500, 11)
    return frame.with_columns(customer_id=pl.format("C{}", pl.int_range(pl.len()))), truth


def holes_in(frame, share, seed=1):
    random = np.random.default_rng(seed)
    names = [n for n in frame.columns if n != "customer_id"]
    gone = random.random((frame.height, len(names))) < share
    return frame.with_columns(
        pl.when(pl.Series(gone[:, j])).then(None).otherwise(pl.col(name)).alias(name)
        for j, name in enumerate(names)
    )


# Scores -------------------------------------------------------------------------------------


@pytest.mark.parametrize("method", SCORES)
@pytest.mark.parametrize("correlation", ["pearson", "polychoric"])
def test_a_row_alone_scores_as_in_its_batch(survey, method, correlation):
    frame = holes_in(survey[0], 0.05)
    model = segkit.fit_factors(frame, 3, correlation=correlation)
    batch = model.score(frame, method=method).frame
    for i in (0, 1, 2, 17, 500, 1499):
        alone = model.score(frame[i : i + 1], method=method).frame
        assert alone["customer_id"][0] == batch["customer_id"][i]
        gap = np.abs(alone[:, 1:].to_numpy() - batch[i : i + 1, 1:].to_numpy())
        assert gap.max() <= 1e-12


def test_each_kind_of_score_keeps_its_promise(survey):
    frame, truth = survey
    model = segkit.fit_factors(frame, 3)
    order = [int(np.abs(np.corrcoef(model.score(frame).frame[:, 1 + j].to_numpy(), truth.T)[0, 1:])
                 .argmax()) for j in range(3)]  # fmt: skip
    scores = {m: model.score(frame, method=m).frame[:, 1:].to_numpy() for m in SCORES}
    inner = model.score_model()
    # Bartlett's weights give a factor back from its own loadings, and nothing of the others.
    assert np.allclose(score_weights(inner, "bartlett").T @ model.loadings, np.eye(3), atol=1e-9)
    # ten Berge's scores correlate as the factors do.
    assert np.allclose(np.corrcoef(scores["tenberge"].T), model.phi, atol=1e-9)
    # No linear guess of a factor is nearer to it than the regression score.
    hits = {m: [np.corrcoef(s[:, j], truth[:, order[j]])[0, 1] for j in range(3)]
            for m, s in scores.items()}  # fmt: skip
    told = model.variance()["determinacy"].to_numpy()
    assert np.allclose(np.abs(hits["regression"]), told, atol=0.035)
    assert min(np.abs(hits["regression"])) > 0.8


def test_missing_answers_cost_knowledge_and_nothing_else(survey):
    """The score from fewer answers is the best guess from those: its spread shrinks, no bias."""
    frame, _ = survey
    model = segkit.fit_factors(frame, 3)
    gone = frame.with_columns(a_1=pl.lit(None, dtype=pl.Int64))
    column = next(c for c in model.columns if c == "attitude_a")
    whole, part = (model.score(f).frame[column].to_numpy() for f in (frame, gone))
    assert np.corrcoef(whole, part)[0, 1] > 0.85
    assert part.std() < whole.std()
    assert abs(part.mean() - whole.mean()) < 0.05
    told = model.score(gone)
    assert (told.partial, told.without) == (1500, 0)
    assert "left items open and are scored from the others" in told.text


def test_who_answered_too_little_has_no_score(survey):
    frame, _ = survey
    model = segkit.fit_factors(frame, 3)
    items = model.items
    half = frame.head(3).with_columns(pl.lit(None, dtype=pl.Int64).alias(n) for n in items[5:])
    found = model.score(half)
    assert found.frame[:, 1:].null_count().sum_horizontal()[0] == 9
    assert found.without == 3
    assert model.score(half, least=5).without == 0
    # Bartlett's scores cannot be had for a factor without a single answer.
    assert model.score(half, method="bartlett", least=1).without == 3
    with pytest.raises(ParameterError, match="between 1 and 12"):
        model.score(half, least=13)
    with pytest.raises(ParameterError, match="unknown kind of scores"):
        model.score(half, method="anderson")
    with pytest.raises(ColumnError, match="unknown item"):
        model.score(frame.drop("a_1"))


def test_a_model_of_a_matrix_alone_has_no_scores():
    model = segkit.fit_factors(Correlations.given(ref.THURSTONE, 213), 3)
    with pytest.raises(DataError, match="fit it to a frame"):
        model.score(pl.DataFrame({"a": [1]}))
    with pytest.raises(DataError, match="no people to resample"):
        segkit.factor.estimate_loading_intervals(pl.DataFrame({"a": [1]}), model)


def test_loading_intervals_hold_the_loadings_of_a_large_sample(survey):
    frame, _ = survey
    model = segkit.fit_factors(frame, 3)
    found = segkit.factor.estimate_loading_intervals(frame, model, repeats=60, seed=3)
    assert (found.table["low"] <= found.table["high"]).all()
    again = segkit.factor.estimate_loading_intervals(frame, model, repeats=60, seed=3)
    assert found.table.equals(again.table)
    large = segkit.fit_factors(draw(60_000, 12)[0], 3, like=segkit.fit_factors(
        frame.drop("customer_id"), 3))  # fmt: skip
    truth = dict(zip(large.items, large.loadings, strict=True))
    marks = found.table.filter("marks")
    inside = [
        low <= truth[item][int(factor[1]) - 1] <= high
        for item, factor, low, high in marks.select("item", "factor", "low", "high").rows()
    ]
    assert np.mean(inside) > 0.7  # 95% expected of 12; see the study for the coverage
    # The resamples' spread is the sampling spread: about 1 / sqrt(n) times a little more.
    assert 0.015 < marks["se"].mean() < 0.05
    assert "markers keep their sign" in found.text
    assert found.plot().data.height == marks.height


# Reliability --------------------------------------------------------------------------------


def test_alpha_by_hand():
    frame = pl.DataFrame(
        {"a": [1, 2, 3, 4, 5, 4], "b": [2, 1, 4, 3, 5, 5], "c": [5, 4, 2, 3, 1, 2]}
    )
    found = segkit.factor.estimate_reliability(frame, {"s": ["a", "b", "c"]}, reverse=["c"])
    values = frame.with_columns(c=6 - pl.col("c")).to_numpy().astype(float)
    total = values.sum(axis=1).var(ddof=1)
    by_hand = 1.5 * (1 - values.var(axis=0, ddof=1).sum() / total)
    assert found.scales["alpha"][0] == pytest.approx(by_hand)
    dropped = 2 * (
        1 - values[:, 1:].var(axis=0, ddof=1).sum() / values[:, 1:].sum(axis=1).var(ddof=1)
    )
    assert found.items["alpha_if_dropped"][0] == pytest.approx(dropped)
    rest = np.corrcoef(values[:, 0], values[:, 1:].sum(axis=1))[0, 1]
    assert found.items["item_rest_r"][0] == pytest.approx(rest)


def test_feldts_interval_covers():
    """200 samples of a known alpha: coverage of 95% lies between 90% and 99%."""
    r = np.full((4, 4), 0.4) + 0.6 * np.eye(4)
    truth = 4 / 3 * (1 - 4 / r.sum())
    root = np.linalg.cholesky(r)
    random = np.random.default_rng(0)
    hits = 0
    for _ in range(200):
        frame = pl.DataFrame(random.normal(size=(80, 4)) @ root.T, schema=list("abcd"))
        row = segkit.factor.estimate_reliability(frame, list("abcd")).scales.row(0, named=True)
        hits += row["alpha_low"] <= truth <= row["alpha_high"]
    assert 180 <= hits <= 198


def test_feldts_limits_are_quantiles_of_f():
    """Feldt (1965): (1 - alpha) / (1 - estimate) is F with n - 1 and (n - 1)(k - 1) freedom."""
    found = alpha(np.full((4, 4), 0.4) + 0.6 * np.eye(4), 80)
    upper, lower = f.ppf([0.975, 0.025], 79, 79 * 3)
    assert found.low == pytest.approx(1 - (1 - found.value) * upper)
    assert found.high == pytest.approx(1 - (1 - found.value) * lower)


def test_scales_follow_from_a_model(survey):
    frame, truth = survey
    model = segkit.fit_factors(frame, 3)
    scales, reverse = segkit.factor.derive_scales(model)
    assert sorted(map(sorted, scales.values())) == [
        [f"{k}_{i}" for i in (1, 2, 3, 4)] for k in "abc"
    ]
    assert sorted(reverse) == ["a_3", "b_3", "c_3"]
    found = segkit.factor.score_scales(frame, scales, reverse=reverse, answers=(1, 5))
    assert found["scale_a"].is_between(1, 5).all()
    assert np.corrcoef(found["scale_a"].to_numpy(), truth[:, 0])[0, 1] > 0.8
    row = frame.row(0, named=True)
    by_hand = (row["a_1"] + row["a_2"] + 6 - row["a_3"] + row["a_4"]) / 4
    assert found["scale_a"][0] == pytest.approx(by_hand)


def test_scale_scores_of_open_answers():
    frame = pl.DataFrame({"a": [1, None, None], "b": [3, 4, None], "c": [None, 5, 2]})
    got = segkit.factor.score_scales(frame, {"s": ["a", "b", "c"]}, answers=(1, 5))[
        "scale_s"
    ].to_list()
    assert got == [2.0, 4.5, None]
    with pytest.raises(ParameterError, match="unknown reversed item 'd'"):
        segkit.factor.score_scales(frame, {"s": ["a", "b"]}, reverse=["d"])
    with pytest.raises(DataError, match="two are needed"):
        segkit.factor.score_scales(frame, {"s": ["a"]})


# Ratings ------------------------------------------------------------------------------------


def test_nps_and_csat_by_hand():
    frame = pl.DataFrame(
        {"nps": [10, 9, 9, 8, 7, 6, 0, None], "csat": [5, 4, 4, 3, 2, 1, 5, None],
         "g": ["a", "a", "a", "a", "b", "b", "b", "b"]}
    )  # fmt: skip
    nps = segkit.factor.rate_recommendation(frame, by="g")
    assert nps.table["value"].to_list() == pytest.approx([100 / 7, 75.0, -200 / 3])
    assert nps.missing == 1
    csat = segkit.factor.rate_satisfaction(frame, by="g")
    assert csat.table["value"].to_list() == pytest.approx([4 / 7, 3 / 4, 1 / 3])
    assert csat.table["low"][0] == pytest.approx(wilson(4, 7).low)
    assert "1 person gave no rating" in csat.text or csat.missing == 1
    assert nps.plot().data.height == 3


@pytest.mark.parametrize(
    ("rate", "column", "overall"), [("rate_recommendation", "nps", 25.0),
                                    ("rate_satisfaction", "csat", 0.75)]
)  # fmt: skip
def test_groups_leave_the_rating_of_all_as_it_is(rate, column, overall):
    frame = pl.DataFrame(
        {"nps": [10, 9, 8, 3, None], "csat": [5, 4, 4, 1, None],
         "g": ["a", "a", None, None, "a"], "w": [1.0, 2.0, 3.0, 4.0, 5.0]}
    )  # fmt: skip
    judge = getattr(segkit.factor, rate)
    plain, found = judge(frame, column), judge(frame, column, by="g")
    assert plain.table["value"][0] == overall
    assert found.table.head(1).equals(plain.table)
    assert found.table["group"].to_list() == ["all", "a"]
    assert found.table["people"].to_list() == [4, 2]
    assert (plain.missing, plain.ungrouped) == (1, 0)
    assert (found.missing, found.ungrouped) == (1, 2)
    assert "2 of those who rated have no g" in found.text
    assert "1 person gave no rating" in found.text
    assert "have no" not in plain.text
    weighted = judge(frame, column, weights="w").table
    assert judge(frame, column, by="g", weights="w").table.head(1).equals(weighted)
    nobody = judge(frame.with_columns(g=pl.lit(None, pl.String)), column, by="g")
    assert nobody.table.equals(plain.table)
    assert nobody.ungrouped == 4


def test_weights_count_as_people():
    frame = pl.DataFrame({"nps": [10, 0], "w": [3.0, 1.0]})
    found = segkit.factor.rate_recommendation(frame, weights="w").table.row(0, named=True)
    assert found["value"] == pytest.approx(50.0)
    assert found["effective"] == pytest.approx(16 / 10)
    even = segkit.factor.rate_recommendation(frame.with_columns(w=pl.lit(2.0)), weights="w").table
    plain = segkit.factor.rate_recommendation(frame).table
    assert even.equals(plain)


def test_the_nps_interval_is_wilsons_where_nobody_is_passive():
    found, share = nps_interval(0.7, 0.3, 50), wilson(35, 50)
    assert (found.low, found.high) == pytest.approx((2 * share.low - 1, 2 * share.high - 1))
    none = nps_interval(0.0, 0.0, 20)
    assert none.low < 0 < none.high


def test_ratings_refuse_what_is_no_rating():
    with pytest.raises(DataError, match="1 answer lies outside, such as 11"):
        segkit.factor.rate_recommendation(pl.DataFrame({"nps": [11, 3]}))
    with pytest.raises(DataError, match="nobody answered"):
        segkit.factor.rate_satisfaction(pl.DataFrame({"csat": [None]}, schema={"csat": pl.Int64}))
    with pytest.raises(ColumnError, match="not numbers"):
        segkit.factor.rate_recommendation(pl.DataFrame({"nps": ["9"]}))
    with pytest.raises(ColumnError, match="lacks nps"):
        segkit.factor.rate_recommendation(pl.DataFrame({"csat": [1]}))


# Response -----------------------------------------------------------------------------------


def test_weights_restore_the_population():
    people = pl.DataFrame(
        {"customer_id": [f"c{i}" for i in range(400)],
         "band": ["young"] * 300 + ["old"] * 90 + [None] * 10}
    )  # fmt: skip
    survey = pl.concat([people[:30], people[300:360], pl.DataFrame({"customer_id": ["x"],
                       "band": [None]}, schema=people.schema)])  # fmt: skip
    found = segkit.factor.compute_response_rates(people, survey, "band")
    table = {r["stratum"]: r for r in found.table.iter_rows(named=True)}
    assert table["young"]["response_rate"] == pytest.approx(0.1)
    assert table["unknown"]["weight"] is None
    assert (found.unreached, found.strangers, found.respondents) == (10, 1, 90)
    w = found.weights.join(people, on="customer_id")
    assert w["weight"].mean() == pytest.approx(1.0)
    share = w.filter(pl.col("band") == "young")["weight"].sum() / w["weight"].sum()
    assert share == pytest.approx(300 / 390)
    assert found.p_value < 0.001
    assert "differs by band" in found.text
    assert found.plot().data.height == 3
    with pytest.raises(DataError, match="ids do not match"):
        segkit.factor.compute_response_rates(people, pl.DataFrame({"customer_id": ["x"]}), "band")


def test_response_that_depends_on_nothing_is_not_called_different():
    random = np.random.default_rng(0)
    people = pl.DataFrame(
        {"customer_id": [str(i) for i in range(1000)], "g": random.integers(0, 4, 1000)}
    )
    wrong = 0
    for _ in range(200):
        survey = people.filter(pl.Series(random.random(1000) < 0.3))
        wrong += segkit.factor.compute_response_rates(people, survey, "g").p_value < 0.05
    assert binomtest(wrong, 200, 0.05).pvalue > 0.001


# Validation ---------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def asked():
    random = np.random.default_rng(4)
    people = pl.DataFrame(
        {"customer_id": [f"c{i:04}" for i in range(900)],
         "segment": ["S1"] * 500 + ["S2"] * 380 + ["S3"] * 20}
    )  # fmt: skip
    lift = np.where(people["segment"] == "S1", 1.0, 0.0)
    answers = people.select("customer_id").with_columns(
        thrift=pl.Series(np.clip(np.round(3 + lift + random.normal(size=900)), 1, 5)),
        haste=pl.Series(np.clip(np.round(3 - lift + random.normal(size=900)), 1, 5)),
    )
    return people, answers


def test_a_validation_sample_is_drawn_by_segment(asked):
    people, _ = asked
    sample = segkit.factor.draw_validation_sample(
        people, per_segment=50, leave_out=["c0000"], seed=1
    )
    counts = dict(sample.group_by("segment").len().iter_rows())
    assert counts == {"S1": 50, "S2": 50, "S3": 20}
    assert "c0000" not in sample["customer_id"].to_list()
    assert sample["weight"].sum() == pytest.approx(900)
    assert sample.equals(
        segkit.factor.draw_validation_sample(people.reverse(), leave_out=["c0000"], seed=1)
    )
    with pytest.raises(ParameterError, match="per_segment >= 1"):
        segkit.factor.draw_validation_sample(people, per_segment=0)
    with pytest.raises(DataError, match="nobody to ask"):
        segkit.factor.draw_validation_sample(people.head(0))


def test_claims_are_confirmed_contradicted_or_left_open(asked):
    people, answers = asked
    sample = segkit.factor.draw_validation_sample(people, per_segment=60, seed=2)
    claims = pl.DataFrame(
        {"segment": ["S1", "S1", "S2", "S2"], "item": ["thrift", "haste", "thrift", "speed"],
         "direction": ["high", "high", "low", "high"]}
    )  # fmt: skip
    found = segkit.factor.validate_profile(sample, answers, claims)
    assert found.table["verdict"].to_list() == [
        "confirmed",
        "contradicted",
        "confirmed",
        "not asked",
    ]
    assert (found.claims, found.confirmed, found.contradicted) == (4, 2, 1)
    assert found.low < found.agreement < found.high
    assert "Contradicted: S1 is high on haste." in found.text
    right = claims.with_columns(direction=pl.Series(["high", "low", "low", "high"]))
    better = segkit.factor.validate_profile(sample, answers, right)
    assert better.agreement > 0.6 > found.agreement
    assert better.plot().data.height == 3


def test_markers_become_claims_that_members_can_be_asked():
    markers = pl.DataFrame(
        {"segment": ["S1", "S1", "S2", "S2"], "segment_name": ["Thrifty"] * 2 + ["Loyal"] * 2,
         "variable": ["discount_share", "order_value_mean", "discount_share", "frequency"],
         "marker": [True, True, False, True], "direction": ["above", "below", "below", "above"],
         "strength": [0.5, 0.7, 0.1, 0.4]}
    )  # fmt: skip
    pairs = ["discount_share: sale", "order_value_mean: -sale", "frequency: first", "visits: look"]
    found = segkit.factor.derive_claims(
        markers, pairs, labels={"first": "I think of this shop first"}
    )
    assert found.select("segment", "item", "direction", "variable").rows() == [
        ("S1", "sale", "high", "order_value_mean"),
        ("S2", "first", "high", "frequency"),
    ]
    assert found["claim"].to_list()[1] == "Loyal agree more: I think of this shop first"
    for wrong in ("discount_share", ": sale", "discount_share:"):
        with pytest.raises(ParameterError, match="variable: item"):
            segkit.factor.derive_claims(markers, [wrong])
    assert segkit.factor.derive_claims(markers, []).height == 0


def test_claims_about_segments_that_do_not_differ_agree_by_half():
    random = np.random.default_rng(1)
    shares, sure = [], 0
    for _ in range(60):
        sample = pl.DataFrame(
            {"customer_id": [str(i) for i in range(200)], "segment": ["S1", "S2"] * 100}
        )
        answers = sample.select("customer_id").with_columns(q=pl.Series(random.integers(1, 6, 200)))
        claims = pl.DataFrame({"segment": ["S1"], "item": ["q"], "direction": ["high"]})
        found = segkit.factor.validate_profile(sample, answers, claims)
        shares.append(found.agreement)
        sure += found.confirmed + found.contradicted
    assert np.mean(shares) == pytest.approx(0.5, abs=0.03)
    assert sure <= 9


def test_claims_must_be_claims(asked):
    people, answers = asked
    sample = segkit.factor.draw_validation_sample(people, per_segment=10)
    claim = {"segment": ["S1"], "item": ["thrift"], "direction": ["high"]}
    with pytest.raises(ParameterError, match="high or low, got 'up'"):
        segkit.factor.validate_profile(sample, answers, pl.DataFrame(claim | {"direction": ["up"]}))
    twice = pl.concat([pl.DataFrame(claim)] * 2)
    with pytest.raises(ParameterError, match="comes twice"):
        segkit.factor.validate_profile(sample, answers, twice)
    with pytest.raises(DataError, match="no claim"):
        segkit.factor.validate_profile(sample, answers, pl.DataFrame(claim).head(0))
    with pytest.raises(DataError, match="none of the sampled"):
        segkit.factor.validate_profile(sample, answers.head(0), pl.DataFrame(claim))


# The simulated survey -----------------------------------------------------------------------


def test_the_simulated_surveys_attitudes_are_found():
    source = segkit.load_source("simulated", n_customers=1500, seed=3)
    survey = segkit.clean_data(source).survey
    words = segkit.factor.read_codebook("simulated")
    model = segkit.fit_factors(survey, labels=words)
    assert model.n_factors == 5
    assert set(model.names) == {"price consciousness", "fashion involvement", "loyalty",
                                "convenience", "sustainability"}  # fmt: skip
    assert "“I wait for the sale”" in model.text
    truth = source.truth["customers"].select("customer_id", "price_consciousness")
    both = model.score(survey).frame.join(truth, on="customer_id")
    assert both.select(pl.corr("attitude_price_consciousness", "price_consciousness")).item() > 0.8


def test_codebooks_and_survey_files(tmp_path):
    with pytest.raises(segkit.SegkitError, match="no codebook"):
        segkit.factor.read_codebook(tmp_path / "words.csv")
    (tmp_path / "words.csv").write_text("item,statement\nq1,I save\n", encoding="utf-8")
    assert segkit.factor.read_codebook(tmp_path / "words.csv") == {"q1": "I save"}
    (tmp_path / "s.csv").write_text("q1,q2\n1,2\n5,\n", encoding="utf-8")
    mapping = tmp_path / "m.toml"
    mapping.write_text(
        '[survey.columns]\ncustomer_id = "row"\nq1 = "q1"\nq2 = "q2"\n', encoding="utf-8"
    )
    frame = segkit.read_survey(tmp_path / "s.csv", mapping)
    assert frame["customer_id"].to_list() == ["1", "2"]
    assert frame["q2"].to_list() == [2, None]


def test_moments_of_blocks_are_those_of_the_whole():
    random = np.random.default_rng(0)
    values = random.normal(size=(70_000, 3)) + 1e6
    found = moments(values)
    assert np.allclose(found.correlation, np.corrcoef(values.T), atol=1e-9)
    values[random.random(values.shape) < 0.1] = np.nan
    part = moments(values)
    both = ~np.isnan(values[:, :2]).any(axis=1)
    assert part.correlation[0, 1] == pytest.approx(np.corrcoef(values[both, :2].T)[0, 1], abs=1e-9)


def test_answers_without_ids_are_scored(survey):
    model = segkit.fit_factors(survey[0], 3)
    alone = model.score(survey[0].drop("customer_id")).frame
    assert alone.equals(model.score(survey[0]).frame.drop("customer_id"))
