"""Profiles: hand-made figures, scipy's tests, the marker rules, and what must not be claimed."""

from datetime import date

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from matplotlib.colors import to_rgba
from scipy import stats

from segkit.errors import ColumnError, DataError, ParameterError
from segkit.plot.figure import PALE
from segkit.profile import MarkerRule, Profile, choose_kpi, profile_segments
from segkit.profile.composition import hide, levels_of
from segkit.stats import effects, intervals
from tests.reference.effects import cliffs_delta


def customers_of(n=600, seed=0, segments=3):
    """Customers whose segment drives frequency and discount, but neither noise nor region."""
    rng = np.random.default_rng(seed)
    which = rng.integers(0, segments, n)
    frame = pl.DataFrame(
        {
            "customer_id": [f"C{i:04d}" for i in range(n)],
            "frequency": rng.poisson(2 + 4 * which) + 1,
            "monetary": rng.lognormal(4 + 0.5 * which, 1.0),
            "discount_share": rng.beta(2, 2 + 3 * which),
            "noise": rng.normal(size=n),
            "app_user": rng.random(n) < 0.2 + 0.3 * (which == 2),
            "visits": np.where(rng.random(n) < 0.1, np.nan, rng.poisson(5, n)),
        }
    )
    chosen = frame.select("customer_id").with_columns(
        segment=pl.Series([f"S{w + 1}" for w in which]),
        segment_name=pl.Series([["Few", "Some", "Many", "Most"][w] for w in which]),
    )
    people = frame.select("customer_id").with_columns(
        gender=pl.Series(rng.choice(["female", "male", None], n)),
        region=pl.Series(rng.choice(["North", "South", "Wales"], n)),
        income_band=pl.Series(np.where(which == 2, "over 60k", "under 25k")),
        birth_date=pl.Series([date(1990, 6, 15)] * n),
        marketing_consent=pl.Series(rng.random(n) < 0.7),
        email=pl.Series([f"c{i}@example.org" for i in range(n)]),
    )
    return frame, chosen, people


FRAME, CHOSEN, PEOPLE = customers_of()
FOUND = profile_segments(
    FRAME, CHOSEN, clustering_variables=["frequency"], customers=PEOPLE, as_of=date(2024, 6, 14)
)


def of(found, variable, segment="S3"):
    rows = found.variables.filter(pl.col("variable") == variable, pl.col("segment") == segment)
    return rows.row(0, named=True)


def values_of(variable, segment=None):
    joined = FRAME.join(CHOSEN, on="customer_id").with_columns(pl.col(variable).cast(pl.Float64))
    kept = joined.filter(pl.col("segment") == segment) if segment else joined
    return kept[variable].to_numpy()


def test_sizes_and_worth_sum_to_the_whole():
    assert FOUND.segments["customers"].sum() == 600
    assert FOUND.segments["customer_share"].sum() == pytest.approx(1)
    assert FOUND.segments["revenue"].sum() == pytest.approx(FRAME["monetary"].sum())
    row = FOUND.segments.row(0, named=True)
    own = values_of("monetary", "S1")
    assert row["revenue_per_customer"] == pytest.approx(own.mean())
    assert row["revenue_share"] == pytest.approx(own.sum() / FRAME["monetary"].sum())
    assert row["customer_share_low"] == pytest.approx(intervals.wilson(own.size, 600).low)


def test_revenue_share_interval_covers():
    """150 samples of 400 customers: the share of the whole population (error 1.8%)."""
    inside = 0
    for seed in range(150):
        rng = np.random.default_rng(seed)
        first = rng.random(400) < 0.3
        spend = np.where(first, rng.gamma(2.0, 50.0, 400), rng.gamma(2.0, 20.0, 400))
        ids = [f"C{i}" for i in range(400)]
        frame = pl.DataFrame({"customer_id": ids, "monetary": spend})
        chosen = pl.DataFrame({"customer_id": ids, "segment": np.where(first, "S1", "S2")})
        row = profile_segments(frame, chosen).segments.row(0, named=True)
        truth = 0.3 * 100 / (0.3 * 100 + 0.7 * 40)
        inside += row["revenue_share_low"] <= truth <= row["revenue_share_high"]
    assert 0.89 < inside / 150 <= 0.995


def test_orders_count_up_to_as_of_only():
    orders = pl.DataFrame(
        {
            "customer_id": ["C0000", "C0000", "C0001", "nobody"],
            "amount": [10.0, -4.0, 5.0, 99.0],
            "order_day": [100, 101, 102, 100],
        }
    )
    found = profile_segments(FRAME, CHOSEN, orders=orders, as_of=date(1970, 4, 12))  # day 101
    assert found.segments["revenue"].sum() == 6.0
    assert profile_segments(FRAME, CHOSEN, orders=orders).as_of == date(1970, 4, 13)


@pytest.mark.parametrize("variable", ["monetary", "visits", "noise"])
def test_centres_are_in_original_units(variable):
    row, own = of(FOUND, variable), values_of(variable, "S3")
    known = own[~np.isnan(own)]
    assert (row["customers"], row["missing"]) == (known.size, own.size - known.size)
    assert row["mean"] == pytest.approx(known.mean())
    assert row["sd"] == pytest.approx(known.std(ddof=1))
    middle = intervals.median(known)
    assert (row["median"], row["median_low"], row["median_high"]) == pytest.approx(
        (middle.value, middle.low, middle.high)
    )
    hall = intervals.mean_skewed(known.mean(), known.std(ddof=1), known.size, stats.skew(known))
    assert (row["mean_low"], row["mean_high"]) == pytest.approx((hall.low, hall.high))
    everyone = values_of(variable)
    assert row["mean_all"] == pytest.approx(np.nanmean(everyone))
    assert row["median_all"] == pytest.approx(np.nanmedian(everyone))


def test_yes_no_variables_get_wilson_limits_and_no_median():
    row, own = of(FOUND, "app_user"), values_of("app_user", "S3")
    share = intervals.wilson(own.sum(), own.size)
    assert (row["mean_low"], row["mean_high"]) == pytest.approx((share.low, share.high))
    assert (row["kind"], row["median"]) == ("yes/no", None)


def test_difference_is_standardised_on_logs_where_skewed():
    assert of(FOUND, "monetary")["scale"] == "log"
    assert of(FOUND, "noise")["scale"] == "raw"
    assert of(FOUND, "discount_share")["scale"] == "raw"
    own, everyone = np.log1p(values_of("monetary", "S3")), np.log1p(values_of("monetary"))
    expected = (own.mean() - everyone.mean()) / everyone.std(ddof=1)
    assert of(FOUND, "monetary")["difference"] == pytest.approx(expected)


def test_difference_interval_covers_no_difference():
    """Random segments, 200 samples: 95% of the intervals hold zero (error 1.5%)."""
    held = []
    for seed in range(200):
        rng = np.random.default_rng(seed)
        ids = [f"C{i}" for i in range(120)]
        frame = pl.DataFrame({"customer_id": ids, "x": rng.normal(size=120)})
        chosen = pl.DataFrame(
            {"customer_id": ids, "segment": rng.choice(["A", "B"], 120, p=[0.3, 0.7])}
        )
        row = profile_segments(frame, chosen).variables.row(0, named=True)
        held.append(row["difference_low"] <= 0 <= row["difference_high"])
    assert 0.90 < np.mean(held) <= 0.99


@pytest.mark.parametrize("variable", ["monetary", "visits", "frequency"])
def test_delta_is_that_of_the_two_samples(variable):
    joined = FRAME.join(CHOSEN, on="customer_id")
    rest = joined.filter(pl.col("segment") != "S3")[variable].to_numpy()
    expected = cliffs_delta(values_of(variable, "S3"), rest)
    row = of(FOUND, variable)
    assert (row["delta"], row["delta_low"], row["delta_high"]) == pytest.approx(
        (expected.value, expected.low, expected.high)
    )


def test_marks_are_those_planted():
    marks = FOUND.markers.select("segment", "variable").rows()
    assert ("S3", "frequency") in marks
    assert ("S3", "app_user") in marks
    assert not [pair for pair in marks if pair[1] in ("noise", "visits")]
    assert of(FOUND, "frequency")["direction"] == "above"
    assert of(FOUND, "frequency", "S1")["direction"] == "below"


@pytest.mark.parametrize(
    ("here", "elsewhere", "marked"),
    [
        (0.80, 0.40, True),  # .80 against .50 of all: +.30 absolute
        (0.60, 0.40, False),  # +.15 absolute, +33% relative
        (0.20, 0.06, True),  # +.105 absolute, but +111% relative
        (0.00, 0.08, True),  # all of it is missing
    ],
)
def test_dolnicars_rule_for_yes_no_items(here, elsewhere, marked):
    """One segment of 400 among 1,600: deviation from all of .25, or of half of all."""
    yes = np.concatenate([np.arange(400) < 400 * here, np.arange(1200) < 1200 * elsewhere])
    ids = [f"C{i}" for i in range(1600)]
    chosen = pl.DataFrame({"customer_id": ids, "segment": ["S1"] * 400 + ["S2"] * 1200})
    found = profile_segments(pl.DataFrame({"customer_id": ids, "item": yes}), chosen)
    assert of(found, "item", "S1")["marker"] is marked
    strict = MarkerRule(share_absolute=2.0, share_relative=100.0)
    found = profile_segments(pl.DataFrame({"customer_id": ids, "item": yes}), chosen, rule=strict)
    assert of(found, "item", "S1")["marker"] is False


def test_random_segments_are_hardly_ever_marked():
    """60 tables of 6 variables and 3 random segments: at most 1% of the pairs marked."""
    marked = pairs = 0
    for seed in range(60):
        frame, _, _ = customers_of(200, seed)
        random = np.random.default_rng(seed + 1000).choice(["A", "B", "C"], 200)
        found = profile_segments(frame, frame.select("customer_id", segment=pl.Series(random)))
        marked += int(found.variables["marker"].sum())
        pairs += found.variables.height
    assert marked / pairs < 0.01


def test_tests_equal_scipys():
    tests = {row["variable"]: row for row in FOUND.tests.iter_rows(named=True)}
    groups = [values_of("visits", s) for s in ("S1", "S2", "S3")]
    expected = stats.kruskal(*[g[~np.isnan(g)] for g in groups])
    n = sum((~np.isnan(g)).sum() for g in groups)
    assert tests["visits"]["statistic"] == pytest.approx(expected.statistic)
    assert tests["visits"]["p_value"] == pytest.approx(expected.pvalue)
    assert tests["visits"]["effect"] == pytest.approx(expected.statistic / (n - 1))
    joined = PEOPLE.join(CHOSEN, on="customer_id").drop_nulls("gender")
    table = joined.pivot("gender", index="segment", values="email", aggregate_function="len")
    found = stats.chi2_contingency(table.drop("segment").to_numpy(), correction=False)
    assert tests["gender"]["statistic"] == pytest.approx(found.statistic)
    assert tests["gender"]["p_value"] == pytest.approx(found.pvalue)
    assert tests["gender"]["effect"] == pytest.approx(
        effects.cramers_v(table.drop("segment").to_numpy())
    )


def test_variables_that_built_the_segments_are_not_tested():
    row = FOUND.tests.filter(pl.col("variable") == "frequency").row(0, named=True)
    assert (row["p_value"], row["p_holm"], row["statistic"]) == (None, None, None)
    assert "circular" in row["note"]
    assert "circular" in FOUND.text
    made = FOUND.tests.drop_nulls("p_value")
    ordered = made.sort("p_value")
    smallest = ordered.row(0, named=True)
    assert smallest["p_holm"] == pytest.approx(min(1, smallest["p_value"] * made.height))
    unnamed = profile_segments(FRAME, CHOSEN)
    assert "were not named" in unnamed.text


def test_holm_over_descriptors_keeps_its_level():
    """120 null tables of 6 variables and 4 descriptions: any finding in about 5% of them."""
    wrong = 0
    for seed in range(120):
        frame, _, people = customers_of(150, seed)
        people = people.drop("income_band", "birth_date")
        random = np.random.default_rng(seed + 5000).choice(["A", "B", "C"], 150)
        chosen = frame.select("customer_id", segment=pl.Series(random))
        found = profile_segments(frame, chosen, customers=people)
        wrong += bool((found.tests["p_holm"].drop_nulls() <= 0.05).any())
    assert wrong / 120 < 0.11  # 5% + 3 Monte Carlo errors


def test_composition_shares_of_the_known():
    rows = FOUND.composition.filter(pl.col("variable") == "gender", pl.col("segment") == "S1")
    joined = PEOPLE.join(CHOSEN, on="customer_id").filter(pl.col("segment") == "S1")
    assert rows["known"][0] == joined["gender"].drop_nulls().len()
    assert rows["share"].sum() == pytest.approx(1)
    women = rows.filter(pl.col("level") == "female").row(0, named=True)
    assert women["customers"] == (joined["gender"] == "female").sum()
    names = set(FOUND.composition["variable"])
    assert names == {"gender", "region", "income_band", "age_band", "marketing_consent"}


@pytest.mark.parametrize(
    ("as_of", "band"),
    [((2025, 6, 14), "25-34"), ((2015, 6, 14), "18-24"), ((2015, 6, 15), "25-34")],
)
def test_age_is_whole_years_at_as_of(as_of, band):
    found = profile_segments(FRAME, CHOSEN, customers=PEOPLE, as_of=date(*as_of))
    rows = found.composition.filter(pl.col("variable") == "age_band")
    assert set(rows["level"]) == {band}
    without = profile_segments(FRAME, CHOSEN, customers=PEOPLE)
    assert "as_of" in without.skipped["age_band"]


def test_bands_are_in_reading_order():
    bands = pl.Series(["over 60k", "25k-40k", "under 25k", "other", "40k-60k"])
    assert levels_of("income", bands) == ["under 25k", "25k-40k", "40k-60k", "over 60k", "other"]


@given(st.lists(st.lists(st.integers(0, 12), min_size=3, max_size=3), min_size=2, max_size=4))
def test_hidden_cells_cannot_be_worked_out(rows):
    counts = np.array(rows)
    hidden = hide(counts, 5)
    assert hidden[(counts > 0) & (counts < 5)].all()
    for flags, cells in [*zip(hidden, counts, strict=True), *zip(hidden.T, counts.T, strict=True)]:
        if flags.sum() == 1:
            assert not (cells[~flags] > 0).any()


def test_small_cells_are_hidden_from_the_tables_and_the_picture():
    people = PEOPLE.with_columns(
        region=pl.when(pl.col("customer_id").is_in(["C0000", "C0001"]))
        .then(pl.lit("Isle"))
        .otherwise("region")
    )
    found = profile_segments(FRAME, CHOSEN, customers=people)
    isle = found.composition.filter(pl.col("level") == "other", pl.col("hidden"))
    assert "Isle" not in found.composition["level"]
    assert isle.height >= 1
    assert isle["customers"].null_count() == isle.height == isle["share"].null_count()
    picture = found.plot_composition("region")
    assert "small cells hidden" in picture.alt
    bars = picture.figure.axes[0].patches
    assert bars[-1].get_facecolor() == to_rgba(PALE), "hidden cells are grey"
    ages = found.plot_composition("income_band").figure.axes[0].patches
    assert {bar.get_hatch() for bar in ages if bar.get_facecolor() != to_rgba(PALE)} == {""}
    # What is hidden is not left out of the whole: the shares drawn are those of the table.
    told = found.composition.filter(pl.col("variable") == "region").drop_nulls("share")
    both = picture.data.cast({"segment_name": pl.String, "level": pl.String}).join(
        told, on=["segment_name", "level"], suffix="_told"
    )
    assert both.height == told.filter(pl.col("share") > 0).height
    assert both["share"].to_list() == pytest.approx(both["share_told"].to_list())
    shown = profile_segments(FRAME, CHOSEN, customers=people, smallest_cell=1)
    assert not shown.composition["hidden"].any()
    assert "Isle" in shown.composition["level"]


def test_row_order_and_segment_names_do_not_matter():
    shuffled = profile_segments(
        FRAME.sample(fraction=1, shuffle=True, seed=1),
        CHOSEN.sample(fraction=1, shuffle=True, seed=2),
        clustering_variables=["frequency"],
        customers=PEOPLE.sample(fraction=1, shuffle=True, seed=3),
        as_of=date(2024, 6, 14),
    )
    for name in ("segments", "variables", "composition", "tests"):
        assert getattr(shuffled, name).equals(getattr(FOUND, name)), name
    assert shuffled.separation.points.equals(FOUND.separation.points)
    swapped = CHOSEN.with_columns(
        pl.col("segment").replace({"S1": "S3", "S3": "S1"}), segment_name=pl.col("segment_name")
    )
    other = profile_segments(FRAME, swapped, clustering_variables=["frequency"])
    keys = ["segment_name", "variable", "mean", "delta"]
    one, two = (f.variables.select(keys).sort("segment_name", "variable") for f in (FOUND, other))
    assert one.select(keys[:2]).equals(two.select(keys[:2]))
    assert np.allclose(one["delta"], two["delta"], equal_nan=True)


def test_unmatched_customers_are_counted():
    chosen = pl.concat(
        [CHOSEN.tail(590), CHOSEN.head(1).with_columns(customer_id=pl.lit("ghost"))]
    ).with_columns(
        segment=pl.when(pl.col("customer_id") == "C0599").then(None).otherwise("segment")
    )
    found = profile_segments(FRAME, chosen)
    assert found.counts == {
        "customers": 589,
        "assignments_without_customer": 1,
        "customers_without_segment": 11,
        "assignments_without_segment": 1,
    }
    assert "11 customers of the table have no segment" in found.text


def test_empty_segment_and_segment_of_one():
    kind = pl.Enum(["S1", "S2", "S3", "S4"])
    chosen = CHOSEN.with_columns(
        segment=pl.when(pl.col("customer_id") == "C0000").then(pl.lit("S3"))
        .otherwise(pl.when(pl.col("segment") == "S3").then(pl.lit("S2")).otherwise("segment"))
        .cast(kind)
    ).drop("segment_name")  # fmt: skip
    found = profile_segments(FRAME, chosen, customers=PEOPLE, as_of=date(2024, 1, 1))
    assert found.segments["customers"].to_list()[2:] == [1, 0]
    empty = of(found, "monetary", "S4")
    assert (empty["mean"], empty["difference"], empty["delta"], empty["marker"]) == (
        None, None, None, False,
    )  # fmt: skip
    alone = of(found, "monetary", "S3")
    assert alone["mean"] == FRAME["monetary"][0]
    assert (alone["mean_low"], alone["difference_low"], alone["marker"]) == (None, None, False)
    assert "Without a customer: S4" in found.text
    for draw in (found.plot, found.plot_sizes, found.plot_separation):
        assert draw().png()
    assert found.plot_composition("region").png()


def test_one_segment_only_has_nothing_to_compare():
    chosen = FRAME.select("customer_id", segment=pl.lit("all"))
    found = profile_segments(FRAME, chosen, customers=PEOPLE, as_of=date(2024, 1, 1))
    assert "nothing to compare" in found.text
    assert found.variables["difference"].drop_nulls().abs().max() == 0
    assert found.variables["delta"].null_count() == found.variables.height
    assert not found.variables["marker"].any()
    assert found.tests["p_value"].null_count() == found.tests.height
    assert found.plot().png()


def test_constant_and_unknown_variables():
    frame = FRAME.with_columns(
        constant=7.0,
        large=pl.lit(1e9),
        nothing=pl.lit(None, dtype=pl.Float64),
        infinite=pl.when(pl.col("customer_id") == "C0001").then(float("inf")).otherwise("noise"),
    )
    found = profile_segments(frame, CHOSEN)
    assert found.skipped == {"nothing": "no customer has a value"}
    for name in ("constant", "large"):
        row = of(found, name)
        assert row["mean_low"] == row["mean"] == row["mean_high"] == row["mean_all"]
        assert (row["difference"], row["marker"]) == (None, False)
    segment = CHOSEN.filter(pl.col("customer_id") == "C0001")["segment"][0]
    assert of(found, "infinite", segment)["missing"] == 1
    assert found.plot().png()
    nothing = profile_segments(FRAME.select("customer_id"), CHOSEN)
    assert nothing.variables.height == 0
    assert "No variable marks" in nothing.text
    with pytest.raises(DataError, match="no variable varies"):
        nothing.plot()
    with pytest.raises(DataError, match="two variables that vary"):
        nothing.plot_separation()


def test_overlapping_micro_segments_are_compared_with_those_outside():
    rules = {"frequent": pl.col("frequency") > 8, "big": pl.col("monetary") > 200}
    parts = [
        FRAME.filter(rule).select("customer_id", segment=pl.lit(n)) for n, rule in rules.items()
    ]
    both = pl.concat(parts)
    found = profile_segments(FRAME, both)
    twice = both["customer_id"].is_duplicated().sum() // 2
    assert twice > 0
    assert f"{twice} customers are in several segments" in found.text
    assert found.tests["p_value"].null_count() == found.tests.height
    inside = both["customer_id"].unique()
    kept = FRAME.filter(pl.col("customer_id").is_in(inside.to_list()))
    big = kept.filter(pl.col("monetary") > 200)["noise"].to_numpy()
    rest = kept.filter(pl.col("monetary") <= 200)["noise"].to_numpy()
    assert of(found, "noise", "big")["delta"] == pytest.approx(cliffs_delta(big, rest).value)


def test_kpi_is_described_but_marks_nothing():
    found = profile_segments(FRAME, CHOSEN, kpi="frequency")
    assert of(found, "frequency")["role"] == "kpi"
    assert not of(found, "frequency")["marker"]
    assert found.segments["kpi"][2] == pytest.approx(values_of("frequency", "S3").mean())
    assert found.tests.filter(pl.col("role") == "kpi")["p_holm"][0] < 1e-10


def test_the_kpi_is_the_one_wanted_or_the_first_number_that_is_no_answer():
    survey = pl.DataFrame({"customer_id": ["a"], "cheap": [1], "age": [31], "visits": [2]})
    assert choose_kpi(survey, "visits", ["cheap"]) == "visits"
    assert choose_kpi(survey, "monetary", ["cheap"]) == "age"
    assert choose_kpi(survey, "monetary", ["cheap", "age", "visits"]) is None
    wanted = choose_kpi(FRAME, "income", [])
    with pytest.raises(ParameterError, match="'income'"):  # and not another in its place
        profile_segments(FRAME, CHOSEN, kpi=wanted)


def test_a_segments_worth_is_its_revenue_or_else_the_kpi():
    assert FOUND.worth == ["revenue_share", "revenue_per_customer"]
    frame = FRAME.drop("monetary")
    found = profile_segments(frame, CHOSEN, kpi="visits")
    assert found.worth == ["kpi"]
    assert found.segments.select(found.worth).null_count().item() == 0


def test_errors_name_what_is_wrong():
    with pytest.raises(ParameterError, match="did you mean 'frequency'"):
        profile_segments(FRAME, CHOSEN, variables=["frequncy"])
    with pytest.raises(ParameterError, match="did you mean 'noise'"):
        profile_segments(FRAME, CHOSEN, clustering_variables=["nois"])
    with pytest.raises(ColumnError, match="the assignments lacks segment"):
        profile_segments(FRAME, CHOSEN.drop("segment"))
    with pytest.raises(DataError, match="the customer table holds a customer twice"):
        profile_segments(FRAME.with_columns(customer_id=pl.lit(1, dtype=pl.Int64)), CHOSEN)
    with pytest.raises(DataError, match="the customer table holds a customer twice"):
        profile_segments(pl.concat([FRAME, FRAME]), CHOSEN)
    with pytest.raises(DataError, match="twice in one segment"):
        profile_segments(FRAME, pl.concat([CHOSEN, CHOSEN]))
    with pytest.raises(DataError, match="no customer to profile: 600 in the table"):
        profile_segments(
            FRAME, CHOSEN.with_columns(customer_id=pl.lit("x") + pl.col("customer_id"))
        )
    with pytest.raises(DataError, match="segment 'S1' has several names"):
        profile_segments(FRAME, CHOSEN.with_columns(segment=pl.lit("S1")))
    with pytest.raises(ColumnError, match="the KPI colour must be numeric"):
        profile_segments(FRAME.with_columns(colour=pl.lit("red")), CHOSEN, kpi="colour")
    with pytest.raises(ParameterError, match="smallest_cell must be at least 1, got 0"):
        profile_segments(FRAME, CHOSEN, smallest_cell=0)
    with pytest.raises(DataError, match="did you mean 'region'"):
        FOUND.plot_composition("regon")
    with pytest.raises(DataError, match="unknown segment 'S9'"):
        FOUND.of("S9")


def test_names_shared_by_two_segments_get_their_id():
    chosen = CHOSEN.with_columns(segment_name=pl.lit("Shoppers"))
    found = profile_segments(FRAME, chosen)
    assert found.segments["segment_name"].to_list() == [f"Shoppers (S{i})" for i in (1, 2, 3)]


def test_natural_order_of_ids():
    which = [f"S{i % 11 + 1}" for i in range(600)]
    found = profile_segments(FRAME, FRAME.select("customer_id", segment=pl.Series(which)))
    assert found.segments["segment"].to_list() == [f"S{i}" for i in range(1, 12)]


def test_stored_and_read_again():
    again = Profile.from_dict(FOUND.to_dict())
    assert again.text == FOUND.text
    assert again.variables.equals(FOUND.variables)
    assert again.plot().png() == FOUND.plot().png()
    assert again.plot_separation().png() == FOUND.plot_separation().png()


def test_no_personal_identifier_gets_into_a_profile():
    stored = str(FOUND.to_dict())
    assert "C0001" not in stored
    assert "example.org" not in stored


def test_components_and_their_shares():
    two = profile_segments(FRAME, CHOSEN, clustering_variables=["frequency", "monetary"])
    assert sum(two.separation.shares) == pytest.approx(1)
    assert two.separation.names == ("+orders, +net spend", "+orders, −net spend")
    many = FOUND.separation  # one clustering variable is no plane: all variables are taken
    assert 1 >= many.shares[0] >= many.shares[1] >= 0
    assert many.centres.height == 3
    centre = many.points.group_by("segment_name").agg(pl.col("first").mean())
    drawn = dict(centre.iter_rows())
    for row in many.centres.iter_rows(named=True):  # all 600 customers are drawn
        assert drawn[row["segment_name"]] == pytest.approx(row["first"])
