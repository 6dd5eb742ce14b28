"""The fit: invariances, identities, bad input, and what factor-analyzer gets wrong."""

import warnings

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import segkit
from segkit.errors import ColumnError, DataError, ModelError, ParameterError
from segkit.factor.answers import read_answers
from segkit.factor.correlation import Correlations
from segkit.factor.extraction import _likelihood, _residuals, extract
from segkit.factor.number import null_eigenvalues
from segkit.factor.rotation import (
    OBLIQUE,
    ORTHOGONAL,
    ROTATIONS,
    congruence,
    procrustes,
    rotate,
)
from tests.reference import factors as ref

THURSTONE = np.array(ref.THURSTONE)
PLANTED = np.kron(np.eye(3), np.array([[0.8], [0.7], [-0.6], [0.5]]))
PHI = np.array([[1.0, 0.4, 0.2], [0.4, 1.0, 0.0], [0.2, 0.0, 1.0]])


def draw(n, seed, *, loadings=PLANTED, phi=PHI, cuts=(-1.4, -0.5, 0.4, 1.3)):
    """Answers from a known model, and the factors behind them."""
    random = np.random.default_rng(seed)
    factors = random.multivariate_normal(np.zeros(len(phi)), phi, size=n)
    unique = 1 - ((loadings @ phi) * loadings).sum(axis=1)
    latent = factors @ loadings.T + random.normal(size=(n, len(loadings))) * np.sqrt(unique)
    answers = 1 + np.searchsorted(cuts, latent) if cuts else latent
    names = [f"{'abc'[i // 4]}_{i % 4 + 1}" for i in range(len(loadings))]
    return pl.DataFrame(answers, schema=names, orient="row"), factors


@pytest.fixture(scope="module")
def survey():
    return draw(800, 1)[0]


@pytest.fixture(scope="module")
def holes(survey):
    random = np.random.default_rng(5)
    open_ = random.random((survey.height, survey.width)) < 0.08
    names = survey.columns
    made = survey.with_columns(
        pl.when(pl.Series(open_[:, j])).then(None).otherwise(pl.col(name)).alias(name)
        for j, name in enumerate(names)
    )
    return made.with_columns(pl.Series("customer_id", [f"C{i}" for i in range(made.height)]))


# Fit and rotation ---------------------------------------------------------------------------


@pytest.mark.parametrize("goal", [_residuals, _likelihood])
def test_the_gradients_are_those_of_the_goals(goal):
    psi = np.linspace(0.3, 0.7, 9)
    _, slope = goal(psi, THURSTONE, 2)
    for i in range(9):
        step = np.zeros(9)
        step[i] = 1e-6
        rise = goal(psi + step, THURSTONE, 2)[0] - goal(psi - step, THURSTONE, 2)[0]
        assert slope[i] == pytest.approx(rise / 2e-6, abs=1e-6)


@pytest.mark.parametrize("method", ["minres", "ml"])
def test_the_fit_is_at_least_as_good_as_factor_analyzers(method):
    """Same optimum: its own objective at our solution is no higher than at its own."""
    from factor_analyzer import FactorAnalyzer

    tool = FactorAnalyzer(n_factors=3, rotation=None, method=method, is_corr_matrix=True)
    theirs = tool._fit_factor_analysis(THURSTONE.copy())
    ours = extract(THURSTONE, 3, method)
    goal = _likelihood if method == "ml" else _residuals
    reached = [goal(1 - (x**2).sum(axis=1), THURSTONE, 3)[0] for x in (ours.loadings, theirs)]
    assert ours.converged
    assert reached[0] <= reached[1] + 1e-9
    assert np.allclose(ours.loadings @ ours.loadings.T, theirs @ theirs.T, atol=2e-3)


def test_principal_axis_converges_to_minres():
    one, other = extract(THURSTONE, 3, "principal"), extract(THURSTONE, 3, "minres")
    assert np.allclose(one.loadings, other.loadings, atol=1e-4)


@pytest.mark.parametrize("name", ROTATIONS)
def test_a_rotation_keeps_the_fit_and_its_three_matrices_agree(name):
    plain = extract(THURSTONE, 3).loadings
    found = rotate(plain, name)
    assert np.allclose(found.loadings @ found.phi, found.structure, atol=1e-12)
    assert np.allclose(found.structure @ found.loadings.T, plain @ plain.T, atol=1e-8)
    assert np.allclose(np.diag(found.phi), 1.0, atol=1e-12)
    if name in (*ORTHOGONAL, "none"):
        assert np.array_equal(found.phi, np.eye(3))
    else:
        assert found.phi[0, 1] > 0.3


def _criterion(name, pattern):
    p, k = pattern.shape
    squares = pattern**2
    if name in ("oblimin", "quartimin"):
        return (squares.T @ squares)[~np.eye(k, dtype=bool)].sum()
    if name.startswith("geomin"):
        return np.exp(np.log(squares + 0.01).mean(axis=1)).sum()
    if name == "varimax":
        squares = squares / squares.sum(axis=1, keepdims=True)
        return -squares.var(axis=0).sum()
    if name == "equamax":
        kappa = k / (2 * p)
        rows = ((squares.sum(axis=1) ** 2) - (squares**2).sum(axis=1)).sum()
        columns = ((squares.sum(axis=0) ** 2) - (squares**2).sum(axis=0)).sum()
        return (1 - kappa) * rows + kappa * columns
    return -(squares**2).sum()  # quartimax, and oblimax where the sum of squares is fixed


@pytest.mark.parametrize("name", [n for n in ROTATIONS if n not in ("none", "promax")])
def test_no_small_turn_improves_a_rotations_criterion(name):
    plain = extract(THURSTONE, 3).loadings
    found = rotate(plain, name)
    best = _criterion(name, found.loadings)
    random = np.random.default_rng(0)
    for _ in range(60):
        turn = np.eye(3) + 0.01 * random.normal(size=(3, 3))
        if name in OBLIQUE:
            inverse = np.linalg.inv(turn)
            scale = np.sqrt(np.diag(inverse @ found.phi @ inverse.T))
            tried = found.loadings @ (turn * scale)
        else:
            tried = found.loadings @ np.linalg.qr(turn)[0]
        assert _criterion(name, tried) >= best - 1e-7


def test_oblimax_of_orthogonal_factors_is_quartimax():
    plain = extract(THURSTONE, 3).loadings
    one, other = rotate(plain, "oblimax"), rotate(plain, "quartimax")
    assert np.allclose(one.loadings, other.loadings, atol=1e-4)


def test_procrustes_finds_a_turned_pattern_back():
    random = np.random.default_rng(2)
    plain = extract(THURSTONE, 3).loadings
    target = rotate(plain, "oblimin")
    turned = plain @ np.linalg.qr(random.normal(size=(3, 3)))[0]
    back = procrustes(turned, target.loadings, oblique=True)
    assert np.allclose(back.loadings, target.loadings, atol=1e-8)
    assert np.allclose(back.phi, target.phi, atol=1e-8)


# Invariances --------------------------------------------------------------------------------


@settings(max_examples=8)
@given(st.permutations(range(12)))
def test_the_order_of_the_items_changes_nothing(order):
    frame = draw(400, 3)[0]
    names = [frame.columns[i] for i in order]
    one = segkit.fit_factors(frame, 3)
    other = segkit.fit_factors(frame.select(names), 3)
    rows = [other.items.index(item) for item in one.items]
    assert np.allclose(one.loadings, other.loadings[rows], atol=1e-4)
    assert np.allclose(one.phi, other.phi, atol=1e-4)
    assert one.names == other.names
    assert one.fit.chi_square == pytest.approx(other.fit.chi_square, rel=1e-6)


def test_the_order_of_the_people_changes_nothing(holes):
    one = segkit.fit_factors(holes, 3)
    other = segkit.fit_factors(holes.reverse(), 3)
    assert np.allclose(one.loadings, other.loadings, atol=1e-6)


def test_the_planted_factors_are_found(survey):
    count = segkit.choose_factor_count(survey)
    assert count.n_factors == 3
    model = segkit.fit_factors(survey)
    alike = np.abs(congruence(PLANTED, model.loadings)).max(axis=1)
    assert (alike > 0.95).all()
    assert set(model.names) == {"a", "b", "c"}
    assert model.columns == tuple(f"attitude_{name}" for name in model.names)
    assert (model.loadings**3).sum(axis=0).min() > 0


def test_like_keeps_order_sign_and_names(survey):
    model = segkit.fit_factors(survey, 3).rename({"F1": "Thrift"})
    again = segkit.fit_factors(draw(500, 9)[0].select(survey.columns[::-1]), 3, like=model)
    rows = [again.items.index(item) for item in model.items]
    alike = np.diag(congruence(model.loadings, again.loadings[rows]))
    assert (alike > 0.9).all()
    assert again.names == model.names
    with pytest.raises(DataError, match="same items"):
        segkit.fit_factors(survey, 2, like=model)


def test_the_fit_indices_say_when_a_model_is_too_small(survey):
    good, poor = segkit.fit_factors(survey, 3).fit, segkit.fit_factors(survey, 1).fit
    assert good.p_value > 0.001 > poor.p_value
    assert good.rmsea < 0.05 < poor.rmsea
    assert good.rmsea_low <= good.rmsea <= good.rmsea_high
    assert good.cfi > 0.97 > poor.cfi
    assert good.srmr < poor.srmr
    assert good.bic < poor.bic


# How many -----------------------------------------------------------------------------------


def test_noise_has_no_common_factor():
    """A chance of 5% a data set: of 40, more than 8 would be one in 2,000."""
    random = np.random.default_rng(0)
    names = [f"q{i}" for i in range(10)]
    wrong = 0
    for seed in range(40):
        noise = np.searchsorted([-1, 0, 1], random.normal(size=(200, 10)))
        found = segkit.choose_factor_count(
            pl.DataFrame(noise, schema=names, orient="row"), seed=seed
        )
        wrong += found.n_factors > 0
        if found.n_factors == 0:
            assert "no common factor" in found.text
    assert wrong <= 8
    with pytest.raises(DataError, match="no common factor"):
        segkit.fit_factors(draw(300, 4, loadings=PLANTED * 0.0)[0])


def test_the_references_of_parallel_analysis_agree():
    random = np.random.default_rng(1)
    values = random.normal(size=(400, 8))
    one = null_eigenvalues(400, 8, draws=300, seed=1).components.mean(axis=0)
    other = null_eigenvalues(
        400, 8, draws=300, seed=2, reference="permutation", values=values
    ).components.mean(axis=0)
    made = [
        np.linalg.eigvalsh(np.corrcoef(random.normal(size=(400, 8)).T))[::-1] for _ in range(300)
    ]
    assert np.allclose(one, other, atol=0.015)
    assert np.allclose(one, np.mean(made, axis=0), atol=0.015)


def test_the_same_seed_gives_the_same_number_and_figures(survey):
    one, other = (segkit.choose_factor_count(survey, seed=7) for _ in range(2))
    assert one.eigenvalues.equals(other.eigenvalues)
    assert one.plot().png() == other.plot().png()


# Correlations -------------------------------------------------------------------------------


def test_pairwise_equals_each_pair_by_itself(holes):
    found = segkit.factor.correlate_items(holes)
    a, b = holes.select("a_1", "b_2").drop_nulls().to_numpy().astype(float).T
    i, j = found.items.index("a_1"), found.items.index("b_2")
    assert found.matrix[i, j] == pytest.approx(np.corrcoef(a, b)[0, 1], abs=1e-12)
    assert found.counts[i, j] == len(a)
    whole = segkit.factor.correlate_items(holes, missing="listwise")
    rest = holes.drop("customer_id").drop_nulls().to_numpy().astype(float)
    assert np.allclose(whole.matrix, np.corrcoef(rest.T), atol=1e-12)
    assert whole.n == len(rest)
    assert "Left out (listwise)" in whole.text


def test_spearman_is_pearson_of_ranks(survey):
    from scipy.stats import spearmanr

    found = segkit.factor.correlate_items(survey, method="spearman")
    assert np.allclose(found.matrix, spearmanr(survey.to_numpy()).statistic, atol=1e-12)


def test_polychoric_undoes_what_coarse_answers_lose():
    frame, _ = draw(20_000, 6, cuts=(-0.5, 1.5))
    truth = PLANTED @ PHI @ PLANTED.T
    off = ~np.eye(12, dtype=bool)
    coarse = segkit.factor.correlate_items(frame).matrix - truth
    latent = segkit.factor.correlate_items(frame, method="polychoric").matrix - truth
    assert np.abs(latent[off]).max() < 0.035
    assert np.abs(coarse[off]).max() > 0.08


def test_mixed_takes_each_pair_for_what_it_is():
    coarse, _ = draw(20_000, 6)
    fine, _ = draw(20_000, 6, cuts=None)
    frame = coarse.with_columns(fine["a_1"], fine["b_1"])
    found = segkit.factor.correlate_items(frame, frame.columns, method="mixed")
    truth = PLANTED @ PHI @ PLANTED.T
    i, j, k = (found.items.index(n) for n in ("a_1", "b_1", "a_2"))
    plain = np.corrcoef(fine["a_1"].to_numpy(), fine["b_1"].to_numpy())[0, 1]
    assert found.matrix[i, j] == pytest.approx(plain, abs=1e-12)
    assert found.matrix[i, k] == pytest.approx(truth[i, k], abs=0.02)


def test_a_matrix_that_is_not_positive_definite_is_smoothed_and_said_so():
    frame = pl.DataFrame(
        {
            "a": [1, 2, 3, 4, 5, None, None, None, None, None, 1, 3, 5, 2, 4],
            "b": [1, 2, 3, 5, 4, 1, 2, 3, 4, 5, None, None, None, None, None],
            "c": [None, None, None, None, None, 1, 2, 3, 5, 4, 5, 3, 1, 4, 3],
        }
    )
    found = segkit.factor.correlate_items(frame, ["a", "b", "c"])
    assert found.smallest_eigenvalue < 0
    assert np.linalg.eigvalsh(found.matrix)[0] > 0
    assert found.smoothed > 0
    assert "not positive definite" in found.text
    assert np.allclose(np.diag(found.matrix), 1.0)


# Bad input ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"a_1": 3}, "everybody gave the same answer to a_1"),
        ({"a_1": None}, "nobody answered a_1"),
        ({"a_1": pl.lit(None, dtype=pl.Int64)}, "nobody answered a_1"),
        ({"a_1": pl.col("a_2") * -2}, "a_1 and a_2 are perfectly collinear"),
        ({"a_1": pl.col("a_2") + pl.col("a_3")}, "a_1, a_2 and a_3 are perfectly collinear"),
        ({"a_1": float("inf")}, "infinite ones in a_1"),
    ],
)
def test_items_that_carry_nothing_are_refused_by_name(survey, change, message):
    bad = survey.with_columns(
        (value if isinstance(value, pl.Expr) else pl.lit(value)).alias(name)
        for name, value in change.items()
    )
    with pytest.raises(DataError, match=message):
        segkit.factor.correlate_items(bad, survey.columns)


@pytest.mark.parametrize("code", [8, 9, 99, -7, -9, -99])
def test_codes_for_no_answer_are_refused_and_answers_are_not(code):
    answers = pl.DataFrame({"q1": [1, 2, 3, 4, 5], "q2": [0, 2, 4, 5, 6], "q3": [-2, -1, 0, 1, 2]})
    assert read_answers(answers).items == ("q1", "q2", "q3")
    coded = answers.with_columns(q1=pl.Series([1, 2, 3, 5, code]))
    with pytest.raises(DataError, match=rf"codes for 'no answer': {code} in q1 \(1 time\)"):
        read_answers(coded)


def test_too_few_people_items_or_numbers_are_refused(survey):
    with pytest.raises(DataError, match="more people than items, got 12 people for 12 items"):
        segkit.factor.correlate_items(survey.head(12), survey.columns)
    with pytest.raises(DataError, match="at least two items"):
        segkit.factor.correlate_items(survey, ["a_1"])
    words = survey.with_columns(a_1=pl.lit("agree"))
    with pytest.raises(ColumnError, match="'a_1' holds String"):
        segkit.factor.correlate_items(words, survey.columns)
    with pytest.raises(ColumnError, match="unknown item 'a_9'"):
        segkit.factor.correlate_items(survey, ["a_1", "a_9"])
    with pytest.raises(DataError, match="named twice: a_1"):
        segkit.factor.correlate_items(survey, ["a_1", "a_1"])
    with pytest.raises(DataError, match="expected survey items"):
        segkit.factor.correlate_items(pl.DataFrame({"x": ["a"]}))
    with pytest.raises(ParameterError, match="unknown method 'kendall'"):
        segkit.factor.correlate_items(survey, method="kendall")


def test_a_factor_needs_three_items(survey):
    with pytest.raises(DataError, match="1 factor cannot be identified from 2 items; at least 3"):
        segkit.fit_factors(survey, 1, ["a_1", "a_2"])
    with pytest.raises(DataError, match="at least three items"):
        segkit.choose_factor_count(survey, ["a_1", "a_2"])
    with pytest.raises(ParameterError, match="factors >= 1, got 0"):
        segkit.fit_factors(survey, 0)
    exact = segkit.fit_factors(survey, 1, ["a_1", "a_2", "a_3"])
    assert "fit cannot be tested" in exact.text


def test_two_items_of_a_factor_are_pointed_out(survey):
    items = [c for c in survey.columns if c not in ("c_3", "c_4")]
    model = segkit.fit_factors(survey, 3, items)
    assert "Only 2 items load on c" in model.text


def test_a_heywood_case_is_flagged():
    r = np.array([[1, 0.9, 0.8, 0.2], [0.9, 1, 0.6, 0.2], [0.8, 0.6, 1, 0.2], [0.2, 0.2, 0.2, 1]])
    model = segkit.fit_factors(Correlations.given(r, 100, list("wxyz")), 1)
    assert model.heywood == ("w",)
    assert "Heywood case" in model.text


@pytest.mark.parametrize(
    ("matrix", "message"),
    [
        ([[1, 0.5]], "square"),
        ([[1, 0.5], [0.4, 1]], "symmetric"),
        ([[1, 1.5], [1.5, 1]], "beyond 1"),
        ([[1, 1], [1, 1]], "perfectly collinear"),
    ],
)
def test_a_given_matrix_must_be_one(matrix, message):
    with pytest.raises(DataError, match=message):
        Correlations.given(matrix, 50)


def test_unknown_rotations_and_extractions_are_named(survey):
    with pytest.raises(ParameterError, match="did you mean 'varimax'"):
        segkit.fit_factors(survey, 3, rotation="varimx")
    with pytest.raises(ParameterError, match="unknown extraction"):
        segkit.fit_factors(survey, 3, extraction="pca")


# Model as a file ----------------------------------------------------------------------------


@pytest.mark.parametrize("method", ["pearson", "polychoric", "spearman"])
def test_a_saved_model_scores_alike(holes, method, tmp_path):
    model = segkit.fit_factors(holes, 3, correlation=method)
    back = segkit.factor.FactorModel.load(model.save(tmp_path / "model.json"))
    assert back.to_data() == model.to_data()
    assert back.text == model.text
    assert model.score(holes).frame.equals(back.score(holes).frame)
    again = type(model).from_dict(model.to_dict())
    assert again.score(holes).frame.equals(model.score(holes).frame)


def test_a_broken_model_file_is_refused(tmp_path):
    path = tmp_path / "model.json"
    with pytest.raises(ModelError, match="no model file"):
        segkit.factor.FactorModel.load(path)
    path.write_text("{", encoding="utf-8")
    with pytest.raises(ModelError, match="not JSON"):
        segkit.factor.FactorModel.load(path)
    path.write_text('{"segkit_model": "segments"}', encoding="utf-8")
    with pytest.raises(ModelError, match="not a segkit factor model"):
        segkit.factor.FactorModel.load(path)
    path.write_text('{"segkit_model": "factors", "format": 1}', encoding="utf-8")
    with pytest.raises(ModelError, match="cannot be read"):
        segkit.factor.FactorModel.load(path)


def test_renaming(survey):
    model = segkit.fit_factors(survey, 3)
    assert model.rename({"F2": "Thrift & sale"}).columns[1] == "attitude_thrift_sale"
    with pytest.raises(ModelError, match="unknown factor 'F9'"):
        model.rename({"F9": "x"})
    with pytest.raises(ModelError, match="must differ"):
        model.rename({"F1": "x", "F2": "x"})


def test_pictures_tell_what_they_show(survey):
    model = segkit.fit_factors(survey, 3)
    assert "a_1 0." in model.plot().alt
    assert "Correlated factors" in model.diagram(least=0.1).alt
    count = segkit.choose_factor_count(survey)
    assert "of the components, 3 lie above" in count.plot().alt
    shown = segkit.factor.plot_answers(survey, ["a_1", "a_2"])
    shares = shown.data.group_by("item").agg(pl.col("share").sum())["share"].to_list()
    assert shares == pytest.approx([1.0, 1.0])
    assert segkit.factor.correlate_items(survey).plot().data.height == 144
    assert (
        segkit.factor.check_adequacy(segkit.factor.correlate_items(survey)).plot().data.height == 12
    )
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for figure in (model.plot(), model.diagram(), count.plot(), shown):
            assert figure.png()[:4] == b"\x89PNG"
