"""Published factor analyses are reproduced to their printed digits."""

from pathlib import Path

import numpy as np
import polars as pl
import pytest
from scipy import stats

import segkit
from segkit.factor.correlation import Correlations
from segkit.factor.polychoric import polychoric
from segkit.factor.scales import alpha, omega
from tests.reference import factors as ref


@pytest.fixture(scope="module")
def thurstone():
    return Correlations.given(ref.THURSTONE, ref.THURSTONE_N, ref.THURSTONE_TESTS)


@pytest.fixture(scope="module")
def bfi(shared_data):
    return pl.read_csv(shared_data("bfi.csv"), null_values=["NA", ""])


@pytest.fixture(scope="module")
def bfi_matrix(bfi):
    return segkit.factor.correlate_items(bfi, bfi.columns[:25])


def test_thurstone_adequacy(thurstone):
    assert segkit.factor.check_adequacy(thurstone).kmo == pytest.approx(
        ref.THURSTONE_KMO, abs=0.0005
    )


@pytest.mark.parametrize("extraction", ["minres", "principal"])
def test_thurstone_three_oblimin_factors(thurstone, extraction):
    model = segkit.fit_factors(thurstone, 3, extraction=extraction)
    for item, (factor, loading) in ref.THURSTONE_LOADINGS.items():
        row = model.loadings[model.items.index(item)]
        assert row[factor] == pytest.approx(loading, abs=0.005), item
    for (i, j), r in ref.THURSTONE_PHI.items():
        assert model.phi[i, j] == pytest.approx(r, abs=0.005)
    assert model.variance()["ss_loadings"].to_list() == pytest.approx(ref.THURSTONE_SS, abs=0.005)


def test_thurstone_omega():
    r = np.array(ref.THURSTONE)
    total, hierarchical = omega(r)
    assert total == pytest.approx(ref.THURSTONE_OMEGA["omega_total"], abs=0.005)
    assert hierarchical == pytest.approx(ref.THURSTONE_OMEGA["omega_hierarchical"], abs=0.005)
    assert alpha(r, 213).value == pytest.approx(ref.THURSTONE_OMEGA["alpha"], abs=0.005)


def test_bfi_adequacy(bfi_matrix):
    found = segkit.factor.check_adequacy(bfi_matrix)
    assert found.kmo == pytest.approx(ref.BFI_KMO, abs=0.0005)
    assert found.bartlett_chi_square == pytest.approx(ref.BFI_BARTLETT[0], abs=0.0005)
    assert found.bartlett_degrees == ref.BFI_BARTLETT[1]
    assert found.adequate
    assert "meritorious" in found.text


@pytest.mark.parametrize("reference", ["normal", "permutation"])
def test_bfi_number_of_factors(bfi, reference):
    found = segkit.choose_factor_count(bfi, bfi.columns[:25], reference=reference, draws=60)
    votes = dict(found.votes.select("rule", "n_factors").iter_rows())
    assert votes["parallel_components"] == votes["parallel_factors"] == ref.BFI_PARALLEL
    assert votes["map"] == ref.BFI_MAP[0]
    assert found.eigenvalues["map"].min() == pytest.approx(ref.BFI_MAP[1], abs=0.00005)
    assert found.n_factors == 6
    assert "minimum average partial says 5" in found.text


def test_bfi_ten_items_two_factors(bfi):
    model = segkit.fit_factors(bfi, 2, bfi.columns[:10])
    for item, loading in ref.BFI_10.items():
        row = model.loadings[model.items.index(item)]
        assert row[0 if item[0] == "C" else 1] == pytest.approx(loading, abs=0.005), item
    assert model.phi[0, 1] == pytest.approx(ref.BFI_10_PHI, abs=0.005)
    assert model.fit.rmsea == pytest.approx(ref.BFI_10_RMSEA, abs=0.0005)
    assert model.fit.tli == pytest.approx(ref.BFI_10_TLI, abs=0.0005)


def test_bfi_reliability(bfi):
    scales = {name: [f"{name}{i}" for i in range(1, 6)] for name in ref.BFI_ALPHA}
    found = segkit.factor.estimate_reliability(bfi, scales, reverse=ref.BFI_REVERSED)
    values = dict(found.scales.select("scale", "alpha").iter_rows())
    assert values == pytest.approx(ref.BFI_ALPHA, abs=0.0005)
    assert (found.scales["alpha_low"] < found.scales["alpha"]).all()


@pytest.mark.parametrize(("first", "second", "both", "expected"), ref.KIRK)
def test_kirks_tetrachorics(first, second, both, expected):
    table = np.array([[[both, first - both], [second - both, 1 - first - second + both]]])
    cuts = [np.array([[-8.0, stats.norm.ppf(share), 8.0]]) for share in (first, second)]
    assert polychoric(table, *cuts)[0] == pytest.approx(expected, abs=5e-6)


def test_the_mapping_file_and_the_codebook_read_bfi(bfi, shared_data):
    data = Path(__file__).parents[1] / "data"
    read = segkit.read_survey(shared_data("bfi.csv"), data / "mappings" / "bfi.toml")
    items = segkit.factor.find_survey_items(read)
    assert items == bfi.columns[:25]
    assert read["customer_id"][0] == "0001"
    assert read.select(items).null_count().row(0) == bfi.select(items).null_count().row(0)
    assert set(segkit.factor.read_codebook(data / "codebooks" / "bfi.csv")) == set(items)


@pytest.mark.parametrize("opposite", [0, 1, 2])
def test_omega_hierarchical_by_hand_where_a_factor_points_the_other_way(opposite):
    """Nine items load on one of three factors each, and these on a general one, one negatively."""
    general = np.array([0.7, 0.6, 0.5])
    general[opposite] *= -1
    phi = np.outer(general, general)
    np.fill_diagonal(phi, 1.0)
    loadings = np.kron(np.eye(3), np.array([[0.8], [0.7], [0.6]]))
    r = loadings @ phi @ loadings.T
    np.fill_diagonal(r, 1.0)
    by_hand = float((loadings @ general).sum()) ** 2 / float(r.sum())
    _, hierarchical = omega(r)
    assert hierarchical == pytest.approx(by_hand, abs=0.002)
