"""Are there natural groups? The null's margins and correlations, valleys, verdicts."""

import numpy as np
import pytest
from matplotlib.text import Text
from sklearn.datasets import load_iris

from segkit.cluster import structure
from segkit.cluster.null import (
    elliptical_reference,
    normal_scores,
    null_reference,
    unimodal_margin,
)
from segkit.cluster.structure import (
    Structure,
    Valley,
    assess_structure,
    gabriel_pairs,
    shallowest_valley,
)
from segkit.errors import DataError, ParameterError
from tests.studies._populations import continuum, mixture

IRIS = load_iris().data
QUICK = {"n_null": 19, "n_refits": 4, "k_range": [2, 3, 4]}


def draws(x, n=20_000):
    return unimodal_margin(x).quantile(np.random.default_rng(0).random(n))


def deepest_valley(x, bins=25):
    """Return how far a histogram falls below what stands on both sides, in standard errors."""
    counts, _ = np.histogram(x, bins)
    both = np.minimum(np.maximum.accumulate(counts), np.maximum.accumulate(counts[::-1])[::-1])
    return (both - counts).max() / np.sqrt(counts.max())


@pytest.mark.parametrize(
    "law",
    [
        lambda rng: rng.normal(size=800),
        lambda rng: rng.random(800),
        lambda rng: rng.exponential(size=800),
        lambda rng: np.exp(rng.normal(size=800)),
    ],
)
def test_a_unimodal_margin_stays_what_it_is(law):
    x = law(np.random.default_rng(2))
    drawn = draws(x)
    at = np.sort(x)
    gap = np.searchsorted(np.sort(drawn), at, side="right") / len(drawn) - np.arange(1, 801) / 800
    assert np.abs(gap).max() < 0.04
    assert drawn.min() >= x.min()
    assert drawn.max() <= x.max()


def test_a_valley_between_two_humps_is_filled():
    rng = np.random.default_rng(3)
    x = np.r_[rng.normal(-4, 1, 500), rng.normal(4, 1, 500)]
    drawn = draws(x)
    assert deepest_valley(x) > 5 > 4 > deepest_valley(drawn[:1000])
    assert (np.abs(drawn) < 1.5).mean() > 0.1 > 0.02 > (np.abs(x) < 1.5).mean()
    assert drawn.std() == pytest.approx(x.std(), rel=0.2)


def test_spikes_at_the_ends_and_the_grain_of_counts_stay():
    rng = np.random.default_rng(4)
    share = np.where(rng.random(1000) < 0.6, 0.0, rng.beta(4, 8, 1000))
    drawn = draws(share)
    assert (drawn == 0).mean() == pytest.approx((share == 0).mean(), abs=0.01)
    count = np.log1p(1 + rng.poisson(2, 1000))
    drawn = draws(count)
    assert set(np.unique(drawn)) <= set(np.unique(count))
    for value in np.unique(count)[:5]:
        assert (drawn == value).mean() == pytest.approx((count == value).mean(), abs=0.03)
    yes = (rng.random(500) < 0.3).astype(float)
    assert draws(yes).mean() == pytest.approx(yes.mean(), abs=0.01)
    likert = rng.choice([1.0, 2, 3, 4, 5], 600, p=[0.3, 0.1, 0.1, 0.2, 0.3])
    assert (draws(likert) == 1).mean() == pytest.approx((likert == 1).mean(), abs=0.01)


def test_the_reference_keeps_correlations_even_of_yes_no_items():
    rng = np.random.default_rng(5)
    latent = rng.multivariate_normal(np.zeros(3), 0.6 + 0.4 * np.eye(3), 1500)
    X = np.c_[latent[:, 0] > 0.5, np.exp(latent[:, 1]), np.round(latent[:, 2] * 2)]
    drawn = null_reference(X).draw(20_000, np.random.default_rng(1))
    expected = np.corrcoef(normal_scores(X), rowvar=False)
    assert np.corrcoef(normal_scores(drawn), rowvar=False) == pytest.approx(expected, abs=0.03)


@pytest.mark.parametrize("d", [1, 3])
def test_the_elliptical_reference_keeps_a_ball_and_fills_a_ring(d):
    """A ball comes again; customers on a sphere fill it."""
    rng = np.random.default_rng(8)
    sphere = rng.normal(size=(900, d))
    sphere /= np.linalg.norm(sphere, axis=1, keepdims=True)
    for X in (sphere * rng.random((900, 1)) ** (1 / d), sphere):
        drawn = elliptical_reference(X).draw(4000, rng)
        radius = np.linalg.norm(drawn, axis=1) / np.linalg.norm(X, axis=1).max()
        quantiles = np.quantile(radius**d, [0.25, 0.5, 0.75])
        assert quantiles == pytest.approx([0.25, 0.5, 0.75], abs=0.1)
    repeated = elliptical_reference(np.c_[X, 2 * X[:, 0]]).draw(50, rng)
    assert repeated[:, d] == pytest.approx(2 * repeated[:, 0])


def test_gabriel_neighbours_by_hand():
    square = np.array([[0.0, 0.0], [1.0, 0.0], [0.0, 1.0], [1.1, 1.1]])
    assert gabriel_pairs(square) == [(0, 1), (0, 2), (1, 2), (1, 3), (2, 3)]
    assert gabriel_pairs(np.array([[0.0], [0.0]])) == [(0, 1)]


def test_the_valley_is_the_shallowest_between_neighbours():
    rng = np.random.default_rng(6)
    X = np.c_[np.r_[rng.normal(0, 1, 300), rng.normal(12, 1, 300), rng.normal(15.2, 1, 300)]]
    codes = np.repeat([0, 1, 2], 300)
    found = shallowest_valley(X, codes, 3)
    assert (found.first, found.second) == (1, 2)
    # Two normal humps 3.2 sd apart: f(1.6) / peak = .56 before smoothing, which fills it a little.
    assert found.height == pytest.approx(0.56, abs=0.15)
    assert shallowest_valley(np.ones((20, 2)), np.repeat([0, 1], 10), 2).z == 0.0


def test_depth_over_cuts_of_level_ground_stays_small():
    deep = []
    for seed in range(60):
        X = np.random.default_rng(seed).random((400, 2))
        deep.append(shallowest_valley(X, (X[:, 0] > 0.5).astype(int), 2).z)
    assert np.quantile(deep, 0.9) < 2.5


def test_groups_are_natural_and_counted():
    X, _ = mixture(3, k=4, n=500)
    found = assess_structure(X, **{**QUICK, "k_range": range(2, 7)})
    assert (found.verdict, found.natural_k, found.p_value) == ("natural", 4, 0.05)
    assert "at k = 4 every two neighbours are set apart by a valley" in found.text


def test_the_verdict_is_of_the_number_of_segments_in_force():
    X, _ = mixture(3, k=4, n=500)
    options = {**QUICK, "k_range": range(2, 5)}
    found = assess_structure(X, k=7, **options)
    assert found.table["k"].to_list() == [2, 3, 4, 7]
    assert found.natural_k == 4
    p = dict(found.table.select("k", "p_value").iter_rows())
    assert found.p_value == min(p.values()) == 0.05
    assert p[7] > 0.05
    assert found.verdict != "natural"
    assert not found.text.startswith("Yes")
    assert "at k = 7, in force" in found.text
    assert found.text.rstrip().endswith("At k = 4 they would be natural groups.")
    assert f"p = {p[7]:.2g}" in found.text
    right = assess_structure(X, k=4, **options)
    assert right.verdict == "natural"
    assert right.text.startswith("Yes, natural groups: at k = 4, in force, every two")
    with pytest.raises(
        DataError, match="the structure at k = 9 cannot be tested: k = 4, 9 left out"
    ):
        assess_structure(np.repeat(np.arange(4.0), 20)[:, None], k=9, **QUICK)


@pytest.mark.parametrize(
    ("which", "deeper", "alpha", "natural"),
    [(0, 5, 0.05, None), (0, 4, 0.05, 3), (0, 9, 0.1, 3), (1, 5, 0.05, None)],
)
def test_what_is_natural_is_read_off_the_p_values_alone(monkeypatch, which, deeper, alpha, natural):
    valley = Valley(0, 1, 0.5, 4.0)
    references = np.zeros((2, 99, 1))
    references[which, :deeper] = 5.0
    monkeypatch.setattr(structure, "_valleys_over_k", lambda *_, **__: [valley])
    monkeypatch.setattr(structure, "_null_valleys", lambda *_, **__: references)
    X = np.random.default_rng(1).normal(size=(60, 2))
    found = assess_structure(X, k=3, k_range=[3], n_null=99, n_refits=2, alpha=alpha)
    assert found.natural_k == natural
    assert (found.verdict == "natural") == (natural == 3)
    assert ("would be natural" in found.text) is False


@pytest.mark.parametrize("alpha", [0.01, 0.05, 0.2])
def test_the_threshold_and_the_quantile_per_k_follow_the_level(monkeypatch, alpha):
    references = np.random.default_rng(0).normal(size=(2, 99, 2))
    monkeypatch.setattr(
        structure, "_valleys_over_k", lambda _, ks, __: [Valley(0, 1, 0.5, 4.0)] * len(ks)
    )
    monkeypatch.setattr(structure, "_null_valleys", lambda *_, **__: references)
    X = np.random.default_rng(1).normal(size=(60, 2))
    found = assess_structure(X, k_range=[2, 3], n_null=99, n_refits=2, alpha=alpha)
    per_k = np.quantile(references, 1 - alpha, axis=1).max(axis=0)
    assert found.table["null_95"].to_list() == per_k.tolist()
    assert found.threshold == max(np.quantile(one.max(axis=1), 1 - alpha) for one in references)
    words = [text.get_text() for text in found.plot().figure.findobj(Text)]
    share, rest = f"{alpha:.0%}", f"{1 - alpha:.0%}"
    assert any(f"dashed: {share} of data" in text and f"grey: {rest}" in text for text in words)


def test_no_p_value_is_below_what_its_references_can_show():
    X, _ = mixture(3, k=4, n=300)
    for n_null, least in ((19, "0.05"), (39, "0.025")):
        found = assess_structure(X, k=4, k_range=[4], n_null=n_null, n_refits=2)
        assert found.p_value == 1 / (n_null + 1)
        assert f"(p <= {least}, the least that so many can show)" in found.text


def test_a_line_cut_by_kmeans_is_reproducible_and_a_ball_is_constructive():
    rng = np.random.default_rng(0)
    line = rng.multivariate_normal([0, 0, 0], 0.9 * np.ones((3, 3)) + 0.1 * np.eye(3), 400)
    found = assess_structure(line, method="kmeans", **QUICK)
    assert found.verdict == "reproducible"
    assert "cuts through a continuum" in found.text
    ball = rng.normal(size=(400, 6))
    found = assess_structure(ball, **QUICK)
    assert found.verdict == "constructive"
    assert "we draw the lines ourselves" in found.text
    assert found.natural_k is None


@pytest.mark.parametrize("kind", ["normal", "uniform", "rfm_log"])
def test_continua_are_seldom_natural(kind):
    hits = sum(
        assess_structure(
            continuum(seed, kind, n=100), k_range=[2, 3], n_null=19, n_refits=2, seed=seed
        ).verdict
        == "natural"
        for seed in range(14)
    )
    assert hits <= 3, "at level .05, 4 or more of 14 have a chance of .004"


def test_same_seed_same_result_whatever_the_order():
    X = continuum(1, "rfm_log", n=120)
    order = np.random.default_rng(0).permutation(120)
    one, other = assess_structure(X, **QUICK), assess_structure(X[order], **QUICK)
    assert one.table.equals(other.table)
    assert one.p_value == other.p_value


def test_large_data_constant_features_and_copies_are_borne():
    X = np.repeat(continuum(2, "normal", n=100).round(1), 3, axis=0)
    wide = np.c_[X, np.ones(len(X))]
    found = assess_structure(wide, max_rows=150, **QUICK)
    assert (found.n, found.rows) == (300, 150)
    assert "random sample of 150 of 300" in found.text
    assert "1 constant feature was left out" in found.text
    few = np.repeat([[0.0], [1.0], [2.0]], 20, axis=0)
    assert assess_structure(few, **QUICK).table["k"].to_list() == [2]


@pytest.mark.parametrize(
    ("X", "options", "error", "words"),
    [
        (np.ones((40, 2)), {}, DataError, "every feature is constant"),
        (IRIS[:10], {}, DataError, "at least 30 customers"),
        (np.full((40, 1), np.nan), {}, DataError, "missing or infinite"),
        (IRIS, {"n_null": 10}, ParameterError, "n_null of at least 1 / alpha - 1"),
        (IRIS, {"alpha": 0.0}, ParameterError, "level 0"),
        (IRIS, {"n_refits": 1}, ParameterError, "n_refits >= 2"),
        (IRIS, {"method": "single"}, ParameterError, "unknown method"),
    ],
)
def test_bad_input_is_named(X, options, error, words):
    with pytest.raises(error, match=words):
        assess_structure(X, **{**QUICK, **options})


def test_picture_and_json():
    found = assess_structure(IRIS, **QUICK)
    assert "Shallowest valley between neighbours" in found.plot().alt
    again = Structure.from_dict(found.to_dict())
    assert again.text == found.text
    assert again.table.equals(found.table)
