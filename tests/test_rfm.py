"""RFM: R rfm's figures, ties that never skew silently, cut-points that score one like many."""

import itertools
import json
from datetime import date, timedelta
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from segkit.errors import ColumnError, DataError, ModelError, ParameterError, RuleError, SourceError
from segkit.result import Result
from segkit.rfm import (
    RFM,
    Cuts,
    build_rfm_segments,
    build_rfm_table,
    find_micro_segments,
    find_natural_cuts,
    find_quantile_cuts,
    measure_concentration,
    measure_sensitivity,
    score_rfm,
)
from segkit.rules import Rule, RuleSet
from segkit.stats.intervals import median

REFERENCE = Path(__file__).parent / "reference"
EPOCH = date(1970, 1, 1)


def table(recency, frequency, monetary):
    ids = [f"c{i:05d}" for i in range(len(recency))]
    return pl.DataFrame(
        {
            "customer_id": ids,
            "recency_days": recency,
            "frequency": frequency,
            "monetary": [float(m) for m in monetary],
        }
    )


def drawn(n, seed=0):
    rng = np.random.default_rng(seed)
    return table(
        rng.integers(0, 700, n).tolist(),
        (1 + rng.poisson(1.5, n)).tolist(),
        rng.lognormal(4, 1, n).round(2).tolist(),
    )


@pytest.fixture(scope="module")
def demo(shared_data):
    raw = pl.read_csv(shared_data("rfm_orders.csv"), try_parse_dates=True).with_row_index("line")
    return raw.select(
        "customer_id",
        order_id=pl.col("line").cast(pl.String),  # R rfm counts each line as a transaction
        order_day=(pl.col("order_date") - pl.lit(EPOCH)).dt.total_days().cast(pl.Int32),
        amount=pl.col("revenue").cast(pl.Float64),
    )


@pytest.fixture(scope="module")
def scored(demo):
    return score_rfm(demo, as_of=date(2006, 12, 31), ties="rfm")


# --- published figures ----------------------------------------------------------------------


def test_cut_points_are_those_of_r_rfm(scored):
    published = pl.read_csv(REFERENCE / "rfm_cuts.csv", comment_prefix="#")
    for name, *cuts in published.rows():
        assert getattr(scored.cuts, name) == pytest.approx(cuts, abs=1e-9)


def test_the_five_published_scores(scored):
    published = pl.read_csv(
        REFERENCE / "rfm_scores.csv", comment_prefix="#", schema_overrides={"rfm": pl.String}
    )
    columns = ["customer_id", "recency_days", "frequency", "monetary", "rfm"]
    ours = scored.frame.filter(pl.col("customer_id").is_in(published["customer_id"].to_list()))
    assert ours.select(columns).rows() == [
        (name, r, f, float(m), code) for name, r, f, m, code in published.rows()
    ]


def test_r_rfms_own_test_of_its_segments(scored):
    # rfm 0.2.2's test: 158 Champions with 1,234 orders and 120,178 of revenue.
    boxes = pl.read_csv(
        REFERENCE / "rfm_segment_tables.csv",
        comment_prefix="#",
        schema_overrides={"version": pl.String},
    ).filter(pl.col("version") == "0.2.2")
    rules = RuleSet(
        tuple(
            Rule(
                row["segment"],
                " and ".join(
                    f"{c} between {row[c + '_low']} and {row[c + '_high']}" for c in "rfm"
                ),
            )
            for row in boxes.iter_rows(named=True)
        ),
        policy="first",
    )
    champions = rules.apply(scored.frame.select("frequency", "monetary", "r", "f", "m")).filter(
        pl.col("segment") == "Champions"
    )
    assert champions.height == 158
    assert champions["frequency"].sum() == 1234
    assert champions["monetary"].sum() == 120178


# --- from order lines to customers ----------------------------------------------------------


def lines():
    return pl.DataFrame(
        {
            "customer_id": ["a", "a", "a", "a", "b", "b", "c", "d"],
            "order_id": ["1", "1", "2", "3", "4", "5", "6", "7"],
            "order_day": [10, 10, 10, 20, 5, 9, 12, 30],
            "amount": [5.0, 2.0, 4.0, -3.0, 8.0, 1.0, -6.0, 9.0],
        }
    )


def test_returns_are_no_orders_and_same_day_orders_are_two():
    day = EPOCH + timedelta(days=25)
    net = build_rfm_table(lines(), as_of=day)
    assert net.rows() == [("a", 15, 2, 8.0), ("b", 16, 2, 9.0), ("c", None, 0, -6.0)]
    gross = build_rfm_table(lines(), as_of=day, monetary="gross")
    assert gross["monetary"].to_list() == [11.0, 9.0, 0.0]
    flagged = lines().with_columns(is_return=pl.col("order_id") == "1")
    assert build_rfm_table(flagged, as_of=day).row(0) == ("a", 5, 2, 8.0)


def test_lazy_and_eager_agree_and_the_last_day_is_the_default():
    result = score_rfm(lines().lazy(), bins=2)
    assert result.as_of == EPOCH + timedelta(days=30)
    assert result.frame.equals(score_rfm(lines(), bins=2).frame)
    assert result.unscored == 1
    assert result.frame.filter(pl.col("customer_id") == "c")["segment"].to_list() == [None]
    assert "1 customer without a purchase" in result.text


@settings(max_examples=40)
@given(
    st.lists(
        st.tuples(
            st.sampled_from("abcd"), st.integers(1, 4), st.integers(0, 40), st.integers(-5, 20)
        ),
        min_size=1,
        max_size=30,
    ),
    st.randoms(use_true_random=False),
)
def test_the_customer_table_equals_brute_force_in_any_row_order(rows, random):
    shuffled = random.sample(rows, len(rows))
    frame = pl.DataFrame(
        {
            "customer_id": [r[0] for r in shuffled],
            "order_id": [f"{r[0]}{r[1]}" for r in shuffled],
            "order_day": [r[2] for r in shuffled],
            "amount": [r[3] / 10 for r in shuffled],
        }
    )
    expected = []
    for customer in sorted({r[0] for r in rows}):
        own = [r for r in rows if r[0] == customer]
        bought = [r for r in own if r[3] >= 0]
        recency = 40 - max(r[2] for r in bought) if bought else None
        net = round(sum(r[3] for r in own) / 10, 6)
        expected.append((customer, recency, len({r[1] for r in bought}), net))
    result = build_rfm_table(frame, as_of=EPOCH + timedelta(days=40))
    assert result.rows() == [(c, r, f, pytest.approx(m)) for c, r, f, m in expected]


# --- cut-points and ties --------------------------------------------------------------------


@pytest.mark.parametrize(
    ("ties", "cuts", "scores"),
    [
        ("rfm", (2.0, 2.0, 2.6, 6.2), [1] * 5 + [3, 4, 4, 5, 5]),
        ("down", None, [1] * 5 + [4, 4, 5, 5, 5]),
        ("up", None, [3] * 5 + [4, 4, 5, 5, 5]),
        ("midrank", None, [2] * 5 + [3, 4, 4, 5, 5]),
    ],
)
def test_tie_policies_on_a_skewed_frequency(ties, cuts, scores):
    values = np.array([1, 1, 1, 1, 1, 2, 3, 4, 9, 12], dtype=float)
    found = find_quantile_cuts(values, 5, ties)
    if ties == "midrank":
        # Mid-ranks .25 .55 .65 .75 .85 .95, each in its fifth.
        expected = [int(p * 5) + 1 for p in [0.25] * 5 + [0.55, 0.65, 0.75, 0.85, 0.95]]
    else:
        quantiles = np.quantile(values, [0.2, 0.4, 0.6, 0.8])
        beats = {
            "rfm": lambda v: v >= quantiles + 1,
            "down": lambda v: v > quantiles,
            "up": lambda v: v >= quantiles,
        }[ties]
        expected = [1 + int(beats(v).sum()) for v in values]
    ours = [1 + sum(v >= c for c in found) for v in values]
    assert ours == expected


@settings(max_examples=60)
@given(
    st.sampled_from(["down", "up", "midrank"]),
    st.sampled_from([100.0, 0.1, 0.01, 0.001, 1 / 3, 1e6]),
    st.lists(st.integers(1, 400), min_size=1, max_size=60),
    st.integers(2, 12),
)
def test_the_unit_of_money_changes_nobodys_score(ties, unit, cents, bins):
    n = len(cents)
    frame = table(list(range(n)), [1] * n, [c / 100 for c in cents])
    other = frame.with_columns(pl.col("monetary") * unit)
    mine, theirs = (score_rfm(f, bins=bins, ties=ties).frame for f in (frame, other))
    assert mine["m"].to_list() == theirs["m"].to_list()


def test_by_default_money_in_another_unit_gives_the_same_scores_segments_and_bins(demo):
    day = date(2006, 12, 31)
    mine = score_rfm(demo, as_of=day)
    for unit in (100, 0.001):
        other = score_rfm(demo.with_columns(pl.col("amount") * unit), as_of=day)
        assert other.frame.drop("monetary").equals(mine.frame.drop("monetary"))
    # R rfm's rule, by name, does not have that property: its 1 is in the unit of money.
    thousandth = demo.with_columns(pl.col("amount") * 0.001)
    assert set(score_rfm(thousandth, as_of=day, ties="rfm").frame["m"]) != {1, 2, 3, 4, 5}


def test_coinciding_cuts_are_counted_in_a_note():
    n = 200
    frame = table(list(range(n)), [1] * 170 + [2] * 30, range(n))
    result = score_rfm(frame)
    assert result.bins.filter(pl.col("dimension") == "frequency")["customers"].sum() == n
    assert sorted(result.frame["f"].unique()) == [1, 5]
    assert result.notes == (
        "Only 2 of 5 scores of frequency occur: score 1 alone holds 85.0% of customers.",
    )
    assert result.notes[0] in result.text


def test_all_alike_and_one_customer_are_scored_without_error():
    same = score_rfm(table([5] * 9, [1] * 9, [2] * 9))
    assert same.frame["rfm"].unique().to_list() == ["511"]
    assert len(same.notes) == 3
    one = score_rfm(table([5], [1], [2]))
    assert one.segments["customers"].sum() == 1
    assert score_rfm(table([5], [1], [2]), method="natural").frame.height == 1


def brute_breaks(values, bins):
    unique = sorted(set(values))
    best = None
    for starts in itertools.combinations(range(1, len(unique)), bins - 1):
        edges = [0, *starts, len(unique)]
        spread = 0.0
        for low, high in itertools.pairwise(edges):
            inside = [v for v in values if v in unique[low:high]]
            spread += float(np.var(inside) * len(inside))
        if best is None or spread < best[0] - 1e-9:
            best = (spread, [unique[s] for s in starts])
    return best


@settings(max_examples=50)
@given(st.lists(st.integers(0, 60), min_size=6, max_size=14), st.integers(2, 4))
def test_natural_breaks_have_the_least_spread(values, bins):
    if len(set(values)) < bins:
        return
    cuts = find_natural_cuts(np.array(values, dtype=float), bins)
    codes = np.searchsorted(cuts, values, side="right")
    assert len(set(codes)) == bins
    parts = [np.array(values)[codes == code] for code in set(codes)]
    spread = sum(part.var() * part.size for part in parts)
    assert spread == pytest.approx(brute_breaks(values, bins)[0], abs=1e-6)


def test_natural_breaks_on_many_values_are_near_the_exact_ones():
    rng = np.random.default_rng(1)
    values = np.concatenate([rng.normal(m, 1, 4000) for m in (0, 20, 50)])
    low, high = find_natural_cuts(values, 3)
    assert 4 < low < 17
    assert 24 < high < 47
    assert find_natural_cuts(np.array([3.0, 3.0]), 3)[0] > 3.0


@settings(max_examples=40)
@given(
    st.sampled_from(["rfm", "down", "up", "midrank", "natural"]),
    st.integers(2, 12),
    st.integers(0, 10_000),
)
def test_one_customer_alone_scores_as_in_the_batch_and_order_is_nothing(how, bins, seed):
    frame = drawn(60, seed)
    options = {"method": "natural"} if how == "natural" else {"ties": how}
    batch = score_rfm(frame, bins=bins, **options)
    shuffled = score_rfm(frame.sample(fraction=1, shuffle=True, seed=seed), bins=bins, **options)
    assert shuffled.frame.equals(batch.frame)
    assert shuffled.cuts == batch.cuts
    reloaded = Cuts.from_dict(json.loads(json.dumps(batch.cuts.to_dict())))
    assert reloaded == batch.cuts
    place = seed % 60
    alone = score_rfm(frame[place], cuts=reloaded)
    assert alone.frame.equals(batch.frame[place])
    assert batch.score(frame[place]).frame.equals(batch.frame[place])
    assert batch.segments["customers"].sum() == 60
    assert batch.segments["revenue"].sum() == pytest.approx(frame["monetary"].sum())


def test_bins_differ_by_dimension_and_long_scores_are_dashed():
    result = score_rfm(drawn(300), bins=(3, 2, 12))
    assert result.cuts.bins == (3, 2, 12)
    assert result.frame["m"].max() == 12
    assert result.frame["rfm"][0].count("-") == 2


def test_fixed_cuts_saved_and_loaded(tmp_path):
    cuts = Cuts((30, 90), (2, 5), (100, 500), method="fixed", ties="given")
    assert Cuts.load(cuts.save(tmp_path / "cuts.json")) == cuts
    result = score_rfm(table([29, 30, 90], [1, 2, 5], [99.9, 100, 500]), method="fixed", cuts=cuts)
    assert result.frame["rfm"].to_list() == ["311", "222", "133"]
    with pytest.raises(ModelError, match="there is no file of cuts"):
        Cuts.load(tmp_path / "none.json")
    with pytest.raises(ModelError, match="did you mean 'recency'"):
        Cuts.from_dict({"recenc": [1]})
    with pytest.raises(ModelError, match="lack frequency, monetary"):
        Cuts.from_dict({"recency": [1]})
    (tmp_path / "bad.json").write_text("{")
    with pytest.raises(ModelError, match="not JSON"):
        Cuts.load(tmp_path / "bad.json")
    with pytest.raises(ParameterError, match="ascending"):
        Cuts((90, 30), (2,), (1,), method="fixed", ties="given")


# --- segments -------------------------------------------------------------------------------


@pytest.mark.parametrize("bins", [*range(2, 21), (5, 3, 4), (2, 20, 3)])
def test_the_default_table_is_a_partition_for_every_number_of_bins(bins):
    rules = build_rfm_segments(bins)
    tops = (bins,) * 3 if isinstance(bins, int) else bins
    grid = list(itertools.product(*(range(1, top + 1) for top in tops)))
    scores = pl.DataFrame(grid, schema=["r", "f", "m"], orient="row")
    held = rules.matches(scores).select(pl.sum_horizontal(pl.all().cast(pl.Int32))).to_series()
    assert held.to_list() == [1] * len(grid)
    assert rules.check().ok


def test_the_default_table_names_what_the_names_mean():
    codes = {
        "555": "Champions", "511": "New", "411": "Promising", "531": "Potential loyalists",
        "451": "Loyal", "345": "Loyal", "333": "Need attention", "311": "About to sleep",
        "155": "Can't lose", "233": "At risk", "211": "Hibernating", "111": "Lost",
    }  # fmt: skip
    scores = pl.DataFrame(
        [tuple(map(int, code)) for code in codes], schema=["r", "f", "m"], orient="row"
    )
    assert build_rfm_segments(5).apply(scores)["segment"].to_list() == list(codes.values())


def test_a_table_of_segments_with_a_gap_is_refused():
    frame = drawn(50)
    gap = RuleSet.parse("Good: r >= 4\nBad: r <= 2")
    with pytest.raises(RuleError, match="1 of 5 possible"):
        score_rfm(frame, segments=gap)
    twice = RuleSet.parse("Good: r >= 3\nBad: r <= 3")
    with pytest.raises(RuleError, match="claimed by several"):
        score_rfm(frame, segments=twice)
    ordered = RuleSet.parse("Good: r >= 3\nBad: otherwise", policy="first")
    assert set(score_rfm(frame, segments=ordered).frame["segment"]) == {"Good", "Bad"}
    with pytest.raises(ParameterError, match="got tenure"):
        score_rfm(frame, segments=RuleSet.parse("A: tenure > 3"))
    with pytest.raises(ParameterError, match="find_micro_segments"):
        score_rfm(frame, segments=RuleSet.parse("A: r > 3", policy="many"))


@pytest.mark.parametrize("n", [6, 7, 20, 101])
def test_median_interval_covers_by_simulation(n):
    rng = np.random.default_rng(n)
    hits, runs = 0, 1500
    for _ in range(runs):
        found = median(rng.exponential(size=n))
        hits += found.low <= np.log(2) <= found.high
    error = 3 * np.sqrt(0.05 * 0.95 / runs)
    assert hits / runs >= 0.95 - error
    # Exactly: the wider choice of order statistics would not be needed.
    assert hits / runs <= 1.0


def test_median_interval_of_few():
    few = score_rfm(table([1, 2, 9], [1, 1, 1], [1, 1, 1]), bins=2).segments
    row = few.filter(pl.col("customers") == 0).row(0, named=True)
    assert [row[f"recency_days{end}"] for end in ("", "_low", "_high")] == [None, None, None]
    row = few.filter(pl.col("customers") > 0).row(0, named=True)
    assert (row["recency_days_low"], row["recency_days_high"]) == (None, None)
    # n = 10: Conover's table gives the 2nd and the 9th value.
    found = median(np.arange(1, 11))
    assert (found.value, found.low, found.high) == (5.5, 2.0, 9.0)


def test_bad_input():
    good = drawn(10)
    with pytest.raises(ColumnError, match="expected a customer table"):
        score_rfm(good.drop("monetary"))
    with pytest.raises(DataError, match="no rows"):
        score_rfm(good.clear())
    with pytest.raises(DataError, match="1 customer comes more than once"):
        score_rfm(pl.concat([good, good.head(1)]))
    with pytest.raises(DataError, match="not finite in 1 value"):
        score_rfm(table([1, 2], [1, 2], [1.0, float("inf")]))
    with pytest.raises(ColumnError, match="must be numeric"):
        score_rfm(good.with_columns(pl.col("monetary").cast(pl.String)))
    with pytest.raises(DataError, match="no order line lies on or before 1960"):
        score_rfm(lines(), as_of=date(1960, 1, 1))
    with pytest.raises(DataError, match="no line"):
        score_rfm(lines().clear())
    with pytest.raises(DataError, match="nobody can be scored"):
        score_rfm(lines().filter(pl.col("customer_id") == "c"))
    for bad in (1, 21, (5, 5), (5, 5, 1), 2.5):
        with pytest.raises(ParameterError, match="bins must be"):
            score_rfm(good, bins=bad)
    with pytest.raises(ParameterError, match="did you mean 'quantile'"):
        score_rfm(good, method="quantiles")
    with pytest.raises(ParameterError, match="needs the cut-points"):
        score_rfm(good, method="fixed")
    with pytest.raises(ParameterError, match="unknown tie policy 'first'"):
        score_rfm(good, ties="first")
    with pytest.raises(ParameterError, match="monetary value 'nett'"):
        score_rfm(lines(), monetary="nett")


def test_results_are_stored_and_drawn():
    result = score_rfm(drawn(200))
    again = Result.from_dict(json.loads(json.dumps(result.to_dict())))
    assert isinstance(again, RFM)
    assert again.frame.equals(result.frame)
    assert again.cuts == result.cuts
    assert again.rules == result.rules
    assert "customer" in result.plot().alt
    cells = result.frame.select("r", "f").unique().height
    assert result.plot_scores().data.height == cells
    assert "c00001" not in result._repr_html_()


# --- sensitivity, concentration, micro-segments ---------------------------------------------


def test_sensitivity_counts_who_moves():
    frame = drawn(400)
    found = measure_sensitivity(
        frame, variants={"same": {}, "four": {"bins": 4}}, samples=20, seed=1
    )
    assert found.shifts["variant"].to_list() == ["same", "four", "cut-points redrawn"]
    assert found.shifts.row(0)[2:6] == (0, 0.0, 0, 0.0)
    base, other = score_rfm(frame).frame, score_rfm(frame, bins=4).frame
    moved = int((base["segment"] != other["segment"]).sum())
    row = found.shifts.row(1, named=True)
    assert (row["segment_changed"], row["score_changed"]) == (moved, None)
    assert found.flows.filter(pl.col("variant") == "four")["customers"].sum() == moved
    again = measure_sensitivity(frame, variants={}, samples=20, seed=1)
    assert again.shifts.row(0) == found.shifts.row(2)
    assert again.shifts["low_share"][0] <= again.shifts["segment_changed_share"][0]
    assert "redrawn" in found.text
    assert found.plot().data.height == 3


def test_sensitivity_shifts_the_day_of_orders(demo):
    found = measure_sensitivity(demo, as_of=date(2006, 12, 31), samples=0)
    assert "30 days earlier" in found.shifts["variant"].to_list()
    assert found.baseline == "5 quantile bins, ties 'down'"
    with pytest.raises(ParameterError, match="nothing to compare"):
        measure_sensitivity(demo, variants={}, samples=0)
    with pytest.raises(ParameterError, match="negative"):
        measure_sensitivity(demo, samples=-1)


def test_gini_and_top_share_by_definition():
    x = np.array([1.0, 2.0, 3.0, 4.0, 10.0, 0.0, 7.0, 7.0, 2.0, 30.0])
    found = measure_concentration(pl.DataFrame({"monetary": x}))
    pairs = np.abs(x[:, None] - x[None, :]).mean()
    assert found.gini == pytest.approx(pairs / (2 * x.mean()))
    assert found.top_share == pytest.approx(40 / x.sum())
    assert found.lorenz["revenue_share"][-1] == pytest.approx(1.0)
    alike = measure_concentration(pl.DataFrame({"monetary": [5.0] * 50}))
    assert (alike.gini, alike.top_share) == (pytest.approx(0), pytest.approx(0.2))


def test_concentration_intervals_cover():
    # Exponential values: Gini 1/2, top fifth p (1 - log p) with p = 0.2.
    truth = {"gini": 0.5, "top": 0.2 * (1 - np.log(0.2))}
    rng = np.random.default_rng(5)
    runs, hits = 800, {"gini": 0, "top": 0}
    for _ in range(runs):
        found = measure_concentration(pl.DataFrame({"monetary": rng.exponential(size=500)}))
        hits["gini"] += found.gini_low <= truth["gini"] <= found.gini_high
        hits["top"] += found.top_share_low <= truth["top"] <= found.top_share_high
    for count in hits.values():
        # Large-sample intervals at n = 500: 3 Monte Carlo errors and a point of bias allowed.
        assert abs(count / runs - 0.95) < 3 * np.sqrt(0.05 * 0.95 / runs) + 0.01


def test_concentration_of_bad_values():
    found = measure_concentration(pl.DataFrame({"monetary": [-5.0, None, 5.0]}))
    assert (found.negative, found.customers) == (1, 2)
    assert "count as zero" in found.text
    with pytest.raises(DataError, match="above zero"):
        measure_concentration(pl.DataFrame({"monetary": [-5.0]}))
    with pytest.raises(ColumnError, match="lacks monetary"):
        measure_concentration(pl.DataFrame({"m": [1.0]}))
    with pytest.raises(ParameterError, match="between 0 and 1"):
        measure_concentration(pl.DataFrame({"monetary": [1.0]}), top=20)
    assert measure_concentration(pl.DataFrame({"monetary": [3.0, 4.0]})).plot().data.height > 2


def test_micro_segments_sizes_overlap_and_revenue():
    frame = pl.DataFrame(
        {
            "customer_id": ["a", "b", "c", "d", "e"],
            "recency_days": [3, 9, 90, 2, None],
            "product_views_7d": [5, 1, 4, 8, 9],
            "monetary": [10.0, 20.0, 30.0, 40.0, 0.0],
        }
    )
    rules = {
        "Hot": "recency_days <= 30 and product_views_7d > 3",
        "Recent": "recency_days <= 30",
        "Nobody": "recency_days > 1000",
    }
    found = find_micro_segments(frame, rules)
    assert found.segments.select("customers", "revenue", "alone").rows() == [
        (2, 50.0, 0),
        (3, 70.0, 1),
        (0, 0.0, 0),
    ]
    assert found.segments["revenue_share"].to_list() == [0.5, 0.7, 0.0]
    assert found.unmatched == 2
    assert found.of("Hot")["customer_id"].to_list() == ["a", "d"]
    shared = {(a, b): (n, s) for a, b, n, s in found.overlap.rows()}
    assert shared["Hot", "Recent"] == (2, 1.0)
    assert shared["Recent", "Hot"] == (2, pytest.approx(2 / 3))
    assert shared["Nobody", "Hot"] == (0, None)
    assert "Hot and Recent, 2 customers in both" in found.text
    assert found.plot().data.height == 6  # an empty segment shares with nobody
    bare = find_micro_segments(frame.drop("monetary"), rules)
    assert bare.segments["revenue"].to_list() == [None, None, None]
    with pytest.raises(DataError, match="no rows"):
        find_micro_segments(frame.clear(), rules)
    with pytest.raises(ColumnError, match="lacks spend"):
        find_micro_segments(frame, rules, value="spend")
    with pytest.raises(ColumnError, match="did you mean 'recency_days'"):
        find_micro_segments(frame, {"A": "recency_dys < 3"})
    with pytest.raises(ColumnError, match="expected numbers in customer_id, got String"):
        find_micro_segments(frame, rules, value="customer_id")
    for wrong in (["recency_days < 3"], "recency_days < 3", None):
        with pytest.raises(RuleError, match=r"conditions by name.*; got (list|str|NoneType)"):
            find_micro_segments(frame, wrong)
    with pytest.raises(RuleError, match=r"rule 'A': expected a condition as text.*; got 3"):
        find_micro_segments(frame, {"A": 3})
    with pytest.raises(RuleError, match="a name of text; got 3"):
        find_micro_segments(frame, {3: "recency_days < 3"})
    with pytest.raises(SourceError, match="expected a Polars or pandas frame as frame, got list"):
        find_micro_segments([1], rules)


def test_one_customer_written_in_two_ways_is_not_scored_twice():
    frame = table([3, 9, 90], [5, 1, 4], [10.0, 20.0, 30.0])
    twice = frame.with_columns(customer_id=pl.Series(["17850", "17850.0", "17851"]))
    single = frame.with_columns(customer_id=pl.Series(["17850", "17852.0", "17851"]))
    fitted = score_rfm(single)
    for score in (score_rfm, fitted.score):
        with pytest.raises(DataError, match="1 customer comes more than once"):
            score(twice)
