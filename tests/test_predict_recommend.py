"""Recommendations: weights against their formulas, rules before ranks, bad input, storage."""

from datetime import date

import numpy as np
import polars as pl
import pytest
from scipy import sparse

from segkit.errors import ColumnError, DataError, ModelError, ParameterError, RuleError
from segkit.predict import (
    RecommendBacktest,
    Recommender,
    RecommendSettings,
    backtest_recommendations,
    fit_recommender,
    recommend_products,
)
from segkit.predict.buy_again import DEFAULT, describe_products, fit_again, rank_again
from segkit.predict.ranking import bought_matrix, find_largest, rank_discover
from segkit.predict.recommend_backtest import _Split, measure_lists

END = date(1970, 7, 20)  # day 200


def made_orders(seed=0, customers=60, products=12, lines=900):
    """Two tastes: customers buy mostly from their half of the products."""
    rng = np.random.default_rng(seed)
    customer = rng.integers(0, customers, lines)
    product = rng.integers(0, products // 2, lines)
    other = (customer % 2 == 1) ^ (rng.random(lines) < 0.1)
    return pl.DataFrame(
        {
            "customer_id": pl.Series(customer).cast(pl.String),
            "product_id": pl.Series(np.where(other, product + products // 2, product)).cast(
                pl.String
            ),
            "order_day": pl.Series(rng.integers(0, 200, lines)).cast(pl.Int32),
            "amount": rng.gamma(2.0, 10.0, lines),
        }
    )


ORDERS = made_orders()
PURCHASES = ORDERS.group_by("customer_id", "product_id").agg(
    days=pl.col("order_day").unique().sort()
)


@pytest.fixture(scope="module")
def model():
    return fit_recommender(ORDERS, as_of=END)


def dense(orders):
    """Return customers x products as the plain definition has them, ids in alphabetical order."""
    rows, columns = (sorted(orders[name].unique()) for name in ("customer_id", "product_id"))
    X = np.zeros((len(rows), len(columns)))
    for customer, product in orders.select("customer_id", "product_id").iter_rows():
        X[rows.index(customer), columns.index(product)] = 1.0
    return X, rows, columns


def recent_share(orders, columns, end=200):
    """Return (recent customers + 1) / (customers + 5) of each product."""
    shares = []
    for product in columns:
        own = orders.filter(pl.col("product_id") == product)
        recent = own.filter(pl.col("order_day") > end - 30)["customer_id"].n_unique()
        shares.append((recent + 1) / (own["customer_id"].n_unique() + 5))
    return np.array(shares)


def test_weights_are_steck_s_closed_form_times_the_recent_share(model):
    X, _, columns = dense(ORDERS)
    P = np.linalg.inv(X.T @ X + 300 * np.eye(len(columns)))
    B = np.eye(len(columns)) - P / np.diag(P)
    np.fill_diagonal(B, 0)
    expected = B * recent_share(ORDERS, columns)
    assert model.products["product_id"].to_list() == columns
    np.testing.assert_allclose(model.weights, expected, atol=1e-6)


def test_neighbours_are_those_of_the_largest_shrunk_cosine():
    settings = RecommendSettings(method="neighbours", neighbours=3, recent_weight=0.5)
    fitted = fit_recommender(ORDERS, as_of=END, settings=settings)
    X, _, columns = dense(ORDERS)
    both, n = X.T @ X, X.sum(axis=0)
    np.fill_diagonal(both, 0)
    near = both / (np.sqrt(np.outer(n, n)) + 10)
    for j, share in enumerate(recent_share(ORDERS, columns) ** 0.5):
        top = np.sort(near[:, j])[::-1][:3]
        np.testing.assert_allclose(fitted.weights[j], top * share, rtol=1e-5)
        np.testing.assert_allclose(near[fitted.neighbours[j], j], top, rtol=1e-6)
    # Scored block by block, it is the sum over the products bought that are among the nearest.
    _, bought = bought_matrix(ORDERS.select("customer_id", "product_id").unique(), fitted.products)
    codes, scores, sources = rank_discover(fitted, bought, 3)
    own = bought.toarray()[0] > 0
    for code, score, source in zip(codes[0], scores[0], sources[0], strict=True):
        if code < 0:
            continue
        mine = own[fitted.neighbours[code]]
        assert score == pytest.approx(fitted.weights[code][mine].sum(), rel=1e-5)
        assert source == fitted.neighbours[code][mine][0]


@pytest.mark.parametrize(("m", "k"), [(7, 3), (16, 16), (333, 5), (1000, 20), (5, 9)])
def test_the_largest_are_those_of_a_full_sort(m, k):
    scores = np.random.default_rng(m).normal(size=(40, m)).astype(np.float32)
    expected = np.argsort(-scores, axis=1)[:, :k]
    np.testing.assert_array_equal(find_largest(scores, k), expected)


def test_lists_hold_what_their_names_say(model):
    result = recommend_products(ORDERS, model=model, as_of=END, n=4)
    bought = set(PURCHASES.select("customer_id", "product_id").iter_rows())
    for row in result.lists.iter_rows(named=True):
        assert ((row["customer_id"], row["product_id"]) in bought) == (row["list"] == "buy again")
    ranks = result.lists.group_by("customer_id", "list", maintain_order=True).agg("rank", "score")
    for row in ranks.iter_rows(named=True):
        assert row["rank"] == list(range(1, len(row["rank"]) + 1))
    assert result.lists.filter(list="buy again")["due_date"].null_count() == 0


def test_who_buys_of_one_kind_is_offered_more_of_it():
    result = recommend_products(made_orders(products=40), as_of=END, n=1)
    first = result.lists.filter(list="discover", basis="goes together")
    odd, upper = pl.col("customer_id").cast(int) % 2 == 1, pl.col("product_id").cast(int) >= 20
    assert first.height == 60
    assert first.select((odd == upper).mean()).item() > 0.9


def test_discover_scores_are_the_sum_of_the_weights_of_what_was_bought(model):
    result = recommend_products(ORDERS, model=model, as_of=END, n=12)
    X, rows, columns = dense(ORDERS)
    scores = X @ model.weights
    found = result.lists.filter(list="discover", basis="goes together")
    for row in found.iter_rows(named=True):
        expected = scores[rows.index(row["customer_id"]), columns.index(row["product_id"])]
        assert row["score"] == pytest.approx(expected, rel=1e-4, abs=1e-7)
    assert found.height == ((scores > 0) & (X == 0)).sum()


def test_buy_again_is_frequency_with_decay_and_the_usual_interval():
    """One customer by hand, among others who make up the rest of the shop."""
    days = {"a": [100, 140, 180], "b": [190], "c": [20, 30]}
    own = pl.DataFrame(
        [("me", product, day) for product, listed in days.items() for day in listed],
        schema={"customer_id": pl.String, "product_id": pl.String, "order_day": pl.Int32},
        orient="row",
    )
    rest = pl.DataFrame(
        {
            "customer_id": [str(i) for i in range(30)] * 3,
            "product_id": ["a"] * 30 + ["b"] * 30 + ["c"] * 30,
            "order_day": pl.Series(range(90), dtype=pl.Int32),
        }
    )
    orders = pl.concat([own, rest])
    result = recommend_products(orders, as_of=END, customers=pl.DataFrame({"customer_id": ["me"]}))
    rows = {row["product_id"]: row for row in result.lists.iter_rows(named=True)}
    # Two of the 93 pairs were repeats, after 40 (the mean of two gaps) and 10 days: median 25.
    share, usual = 2 / 93, 25.0
    recent = {"a": 2 / 36, "b": 2 / 36, "c": 1 / 36}
    interval = {"a": (40 + 10 * usual) / 11, "b": usual, "c": (10 + 10 * usual) / 11}
    repeat = {"a": (1 + 10 * share) / 41, "b": 10 * share / 41, "c": (1 + 10 * share) / 41}
    for product, listed in days.items():
        decayed = sum(0.5 ** ((200 - day) / 180) for day in listed)
        expected = (listed[-1] - listed[0] + interval[product]) / len(listed)
        late = min(1.0, expected / (200 - listed[-1]))
        product_of_powers = (
            decayed * (repeat[product] + 0.001) ** 0.5 * recent[product] ** 0.25 * late**0.2
        )
        score = product_of_powers / (1 + product_of_powers)
        assert rows[product]["score"] == pytest.approx(score, rel=1e-7)
        assert (rows[product]["due_date"] - date(1970, 1, 1)).days == round(listed[-1] + expected)
    reasons = {product: row["reason"] for product, row in rows.items()}
    assert reasons == {
        "a": "bought 3 times, usually every 40 days, last 20 days ago",
        "b": "bought once, 10 days ago; usually bought again after 25 days",
        "c": "bought 2 times, usually every 10 days, last 170 days ago",
    }


def test_rules_go_first_and_the_model_ranks_within(model):
    goods = pl.DataFrame(
        {
            "product_id": [str(i) for i in range(11)] + ["new"],  # 11 has vanished
            "in_stock": [True] * 10 + [None, True],
            "margin": [0.1, 0.5] * 6,
            "category": ["toys", "books", "toys"] * 4,
            "name": [f"Product {i}" for i in range(12)],
        }
    )
    people = pl.DataFrame(
        {"customer_id": [str(i) for i in range(60)], "consent": [True, None, False] * 20}
    )
    rule = "in_stock = true and margin > 0.2 and category = 'toys'"
    result = recommend_products(
        ORDERS,
        model=model,
        customers=people,
        products=goods,
        as_of=END,
        product_rule=rule,
        customer_rule="consent = true",
    )
    assert set(result.lists["product_id"]) == {"3", "5", "9"}
    assert set(result.lists["customer_id"]) == {str(i) for i in range(0, 60, 3)}
    assert set(result.lists["name"]) == {"Product 3", "Product 5", "Product 9"}
    counts = {(kind, reason): n for kind, reason, n in result.left_out.iter_rows()}
    assert counts == {
        ("customer", "not: consent = true"): 40,
        ("product", "no longer in products"): 1,
        ("product", f"not: {rule}"): 8,
    }
    assert "1 product offered was not bought by anybody yet" in result.text
    # What is left keeps the order that it had without the rule.
    whole = recommend_products(ORDERS, model=model, customers=people, as_of=END, n=12)
    for name in ("buy again", "discover"):
        kept = whole.lists.filter(list=name).join(
            result.lists.select("customer_id", "list", "product_id"),
            on=["customer_id", "list", "product_id"],
            maintain_order="left",
        )
        part = result.lists.filter(list=name)
        assert kept["product_id"].to_list() == part["product_id"].to_list()


def test_boosts_multiply_the_scores(model):
    plain = recommend_products(ORDERS, model=model, as_of=END, n=12)
    more = recommend_products(
        ORDERS, model=model, as_of=END, n=12, boosts={"product_id in ('1', '7')": 5.0}
    )
    on = ["customer_id", "list", "product_id"]
    both = plain.lists.join(more.lists, on=on, suffix="_boosted")
    assert both.height == plain.lists.height
    boosted = pl.col("product_id").is_in(["1", "7"])
    factor = pl.col("score_boosted") / pl.col("score")
    off = both.select(factor - pl.when(boosted).then(5.0).otherwise(1.0)).to_series()
    assert off.abs().max() < 1e-5
    sunk = more.lists.group_by("customer_id", "list", "basis", maintain_order=True).agg("score")
    assert all(s.to_list() == s.sort(descending=True).to_list() for s in sunk["score"])


def test_a_returned_product_is_not_offered_to_who_returned_it(model):
    returned = ORDERS.head(1).with_columns(amount=pl.lit(-5.0), order_day=pl.lit(199, pl.Int32))
    orders = pl.concat([ORDERS, returned])
    pair = returned.select("customer_id", "product_id")
    result = recommend_products(orders, model=model, as_of=END, n=12)
    assert result.lists.join(pair, on=pair.columns).is_empty()
    assert result.left_out.row(0) == ("customer and product", "returned by the customer", 1)
    kept = recommend_products(orders, model=model, as_of=END, n=12, skip_returned=False)
    assert kept.lists.join(pair, on=pair.columns).height == 1
    # Also where what came back was never bought.
    never = returned.with_columns(product_id=pl.lit("11"), customer_id=pl.lit("0"))
    pair = never.select("customer_id", "product_id")
    assert ORDERS.join(pair, on=pair.columns).is_empty()
    result = recommend_products(pl.concat([ORDERS, never]), model=model, as_of=END, n=12)
    assert result.lists.join(pair, on=pair.columns).is_empty()
    whole = recommend_products(ORDERS, model=model, as_of=END, n=12).lists
    assert whole.join(pair, on=pair.columns).height == 1


def test_new_customers_get_what_is_popular_in_their_segment():
    odd = pl.col("customer_id").cast(pl.Int64) % 2 == 1
    segments = ORDERS.select(pl.col("customer_id").unique()).with_columns(
        segment=pl.when(odd).then(pl.lit("S1")).otherwise(pl.lit("S0"))
    )
    model = fit_recommender(ORDERS, as_of=END, segments=segments)
    people = pl.DataFrame({"customer_id": ["x", "y", "z"], "segment": ["S1", "S9", None]})
    result = recommend_products(ORDERS, model=model, customers=people, as_of=END, n=3)
    assert result.lists.select("list", "basis").unique().rows() == [("discover", "popular")]
    recent = ORDERS.filter(pl.col("order_day") > 170)
    for customer, part in (("x", recent.filter(odd)), ("y", recent), ("z", recent)):
        counts = part.group_by("product_id").agg(n=pl.col("customer_id").n_unique())
        counts = counts.sort("n", "product_id", descending=[True, False]).head(3)
        rows = result.lists.filter(customer_id=customer)
        assert rows["product_id"].to_list() == counts["product_id"].to_list()
        of = " of S1" if customer == "x" else ""
        assert rows["reason"][0] == (
            f"popular: bought by {counts['n'][0]} customers{of} in the last 30 days"
        )


def test_the_order_of_lines_does_not_matter(model):
    mixed = ORDERS.sample(fraction=1, shuffle=True, seed=1)
    again = fit_recommender(mixed, as_of=END)
    assert np.array_equal(again.weights, model.weights)
    assert again.products.equals(model.products)
    one = recommend_products(ORDERS, model=model, as_of=END)
    other = recommend_products(mixed, model=model, as_of=END)
    assert one.lists.equals(other.lists)


def test_what_came_after_the_last_day_is_not_seen():
    later = ORDERS.with_columns(order_day=pl.col("order_day") + 201)
    both = pl.concat([ORDERS, later])
    assert fit_recommender(both, as_of=END).products.equals(
        fit_recommender(ORDERS, as_of=END).products
    )


def test_bad_input_is_refused_in_words(model):
    one = ORDERS.filter(customer_id="3")
    with pytest.raises(DataError, match=r"at least 20 customers and 2 products .* got 1 customer"):
        fit_recommender(one)
    with pytest.raises(DataError, match="no purchase of a known customer and product"):
        fit_recommender(ORDERS.head(0), as_of=END)
    with pytest.raises(DataError, match="got 60 customers and 1 product"):
        fit_recommender(ORDERS.with_columns(product_id=pl.lit("1")))
    with pytest.raises(ColumnError, match="orders lacks product_id"):
        fit_recommender(ORDERS.drop("product_id"))
    with pytest.raises(ColumnError, match="unknown column 'in_stok'"):
        recommend_products(ORDERS, model=model, product_rule="in_stok = true")
    with pytest.raises(RuleError, match="expected a comparison"):
        recommend_products(ORDERS, model=model, product_rule="margin")
    with pytest.raises(DataError, match="none of them meets product_rule: customers > 1000"):
        recommend_products(ORDERS, model=model, product_rule="customers > 1000")
    with pytest.raises(DataError, match="customer_rule leaves none of 60 customers"):
        recommend_products(ORDERS, model=model, customer_rule="customer_id = 'nobody'")
    people = pl.DataFrame({"customer_id": ["1", "1", None]})
    with pytest.raises(DataError, match="1 are missing, 1 are repeats"):
        recommend_products(ORDERS, model=model, customers=people)
    with pytest.raises(DataError, match="more than once"):
        recommend_products(ORDERS, model=model, products=pl.DataFrame({"product_id": ["1", "1"]}))
    with pytest.raises(ParameterError, match="boost must be above 0"):
        recommend_products(ORDERS, model=model, boosts={"otherwise": 0.0})
    with pytest.raises(ParameterError, match="expected n >= 1"):
        recommend_products(ORDERS, model=model, n=0)
    for bad in ({"ridge": 0.0}, {"again_days": 0}, {"recent_weight": -0.1}, {"method": "als"}):
        with pytest.raises(ParameterError):
            RecommendSettings(**bad)


def test_without_a_repeat_purchase_the_lists_say_so():
    once = ORDERS.unique(["customer_id", "product_id"], keep="first", maintain_order=True)
    result = recommend_products(once, as_of=END)
    assert "Nobody bought a product twice" in result.text
    again = result.lists.filter(list="buy again")
    assert again["reason"].str.contains(r"^bought once, (\d+ days?|1 day) ago$").all()
    assert again["due_date"].null_count() == again.height


def test_products_that_the_model_does_not_know_are_told(model):
    extra = ORDERS.head(3).with_columns(product_id=pl.lit("brand-new"))
    result = recommend_products(pl.concat([ORDERS, extra]), model=model, as_of=END)
    assert "1 product bought, such as brand-new, came after the model" in result.text
    assert "brand-new" not in result.lists["product_id"]
    with pytest.raises(DataError, match="none of the products bought is known to the model"):
        recommend_products(extra, model=model, as_of=END)


@pytest.mark.parametrize("method", ["ease", "neighbours"])
def test_a_model_is_stored_without_pickle_and_scores_alike(method, tmp_path):
    settings = RecommendSettings(method=method, neighbours=4)
    model = fit_recommender(ORDERS, as_of=END, settings=settings)
    path = model.save(tmp_path / "model.npz")
    for read in (Recommender.load(path), Recommender.from_dict(model.to_dict())):
        assert (read.settings, read.as_of, read.notes) == (settings, END, model.notes)
        one, other = (recommend_products(ORDERS, model=m, as_of=END) for m in (model, read))
        assert one.lists.equals(other.lists)
    again = type(one).from_dict(one.to_dict())
    assert again.lists.equals(one.lists)


def test_a_file_that_is_no_model_is_refused(model, tmp_path):
    (tmp_path / "junk.npz").write_bytes(b"junk")
    np.savez(tmp_path / "other.npz", a=np.ones(3))
    path = model.save(tmp_path / "model.npz")
    (tmp_path / "cut.npz").write_bytes(path.read_bytes()[:-400])
    for name in ("junk", "other", "cut"):
        with pytest.raises(ModelError, match=f"{name}.npz is not a recommender"):
            Recommender.load(tmp_path / f"{name}.npz")
    with pytest.raises(ModelError, match="there is no recommender at"):
        Recommender.load(tmp_path / "absent.npz")
    for weights in (model.weights[:-1], model.weights[:, :-1], model.weights * np.nan):
        with pytest.raises(ModelError):
            Recommender(
                model.products, model.popularity, weights, model.neighbours, model.again,
                model.settings, model.as_of, model.customers,
            )  # fmt: skip


def test_lists_are_written_for_the_owner_alone(model, tmp_path):
    result = recommend_products(ORDERS, model=model, as_of=END, n=2)
    path = result.write(tmp_path / "offers.csv")
    assert path.stat().st_mode & 0o777 == 0o600
    read = pl.read_csv(path, schema_overrides={"customer_id": pl.String, "product_id": pl.String})
    assert read.select("customer_id", "list", "rank", "reason").equals(
        result.lists.select("customer_id", "list", "rank", "reason")
    )


def test_blocks_change_nothing(model, monkeypatch):
    _, bought = bought_matrix(ORDERS.select("customer_id", "product_id").unique(), model.products)
    whole = rank_discover(model, bought, 5)
    monkeypatch.setattr("segkit.predict.ranking.CELLS", 60)  # blocks of a few customers
    monkeypatch.setattr("segkit.predict.ranking.WIDE", 5)  # and of five products
    monkeypatch.setattr("segkit.predict.ranking.NARROW", 2)
    parts = rank_discover(model, bought, 5)
    assert all(np.array_equal(a, b) for a, b in zip(whole, parts, strict=True))
    small = fit_recommender(ORDERS, as_of=END)
    np.testing.assert_allclose(small.weights, model.weights, atol=1e-7)


# Weights of 'buy again' -------------------------------------------------------------------------


def rhythms(seed, customers=200, days=300):
    """Staples every 10 days or so, and whims that are bought once: the rhythm is to be learned."""
    rng = np.random.default_rng(seed)
    rows = []
    for customer in range(customers):
        for staple in rng.choice(10, 3, replace=False):
            gaps = np.cumsum(rng.integers(5, 16, 60)) + rng.integers(0, 10)
            rows += [(str(customer), f"staple {staple}", int(day)) for day in gaps if day < days]
        rows += [
            (str(customer), f"whim {whim}", int(rng.integers(0, days)))
            for whim in rng.choice(40, 12, replace=False)
        ]
    schema = {"customer_id": pl.String, "product_id": pl.String, "order_day": pl.Int32}
    return pl.DataFrame(rows, schema=schema, orient="row")


RHYTHMS = rhythms(0)


def test_weights_of_buy_again_are_learned_where_there_is_enough():
    weights = fit_again(RHYTHMS, 299, 30, 60)
    assert weights["times"] + weights["decayed"] > 0 < weights["repeat_share"]
    products = describe_products(RHYTHMS, 299, 30)
    ranked = rank_again(RHYTHMS, products, 299, weights)
    staple = pl.col("product_id").str.starts_with("staple")
    assert ranked.filter(staple)["score"].min() > 0.9
    assert ranked.filter(~staple)["score"].max() < 0.1
    one = ranked.filter(customer_id="7", product_id=ranked.filter(customer_id="7")["product_id"][0])
    day = RHYTHMS.join(one.select("customer_id", "product_id"), on=["customer_id", "product_id"])
    day = np.sort(day["order_day"].to_numpy())
    product = products.filter(product_id=one["product_id"].item()).row(0, named=True)
    since = 299 - day[-1]
    expected = (day[-1] - day[0] + product["interval_days"]) / len(day)
    due = np.log(max(since, 1) / expected)
    features = {
        "times": np.log(len(day)),
        "decayed": np.log((0.5 ** ((299 - day) / 180)).sum()),
        "days_since": np.log(since + 1),
        "late": max(due, 0),
        "early": min(due, 0),
        "repeat_share": np.log(product["repeat_share"] + 0.001),
        "recent_share": np.log((product["recent_customers"] + 1) / (product["customers"] + 5)),
        "recent_customers": np.log(product["recent_customers"] + 1),
        "customer_days": np.log(RHYTHMS.filter(customer_id="7")["order_day"].n_unique()),
    }
    logit = weights["intercept"] + sum(weights[name] * value for name, value in features.items())
    assert one["score"].item() == pytest.approx(1 / (1 + np.exp(-logit)), rel=1e-6)
    assert fit_again(RHYTHMS.filter(pl.col("customer_id") < "11"), 299, 30, 60) == DEFAULT


# Backtest ---------------------------------------------------------------------------------------


def test_ndcg_and_recall_are_those_of_a_plain_loop():
    rng = np.random.default_rng(0)
    wanted = rng.random((30, 25)) < 0.2
    wanted[:, 0] = True
    codes = np.array([rng.permutation(25)[:6] for _ in range(30)], np.int32)
    codes[3, 2:] = -1
    ndcg, recall = measure_lists(codes, sparse.csr_matrix(wanted.astype(np.float32)))
    for row in range(30):
        hits = [code >= 0 and wanted[row, code] for code in codes[row]]
        gain = sum(hit / np.log2(rank + 2) for rank, hit in enumerate(hits))
        ideal = sum(1 / np.log2(rank + 2) for rank in range(min(6, wanted[row].sum())))
        assert ndcg[row] == pytest.approx(gain / ideal)
        assert recall[row] == pytest.approx(sum(hits) / wanted[row].sum())


@pytest.fixture(scope="module")
def tested():
    orders = pl.concat([made_orders(seed, products=40, lines=700) for seed in (3, 4)])
    return orders, backtest_recommendations(orders, test_days=40, k=5, draws=400)


def test_the_backtest_splits_what_was_bought_into_repeats_and_new(tested):
    orders, result = tested
    before, after = (
        orders.filter(part).select("customer_id", "product_id").unique()
        for part in (pl.col("order_day") <= 159, pl.col("order_day") > 159)
    )
    known = after.join(before, on="product_id", how="semi")
    known = known.join(before, on="customer_id", how="semi")
    repeats = known.join(before, on=["customer_id", "product_id"], how="semi")
    new = known.join(before, on=["customer_id", "product_id"], how="anti")
    counts = dict(result.table.select("list", "customers").unique().iter_rows())
    for name, part in {"buy again": repeats, "discover": new, "both": known}.items():
        assert counts[name] == part["customer_id"].n_unique()
    assert (result.start, result.end) == (date(1970, 6, 10), date(1970, 7, 19))
    # 'Popular' lists the products of most customers: its recall is counted here by hand.
    counts = before.group_by("product_id").agg(n=pl.len())
    best = counts.sort("n", "product_id", descending=[True, False])["product_id"].to_list()
    recalls = []
    for customer in new["customer_id"].unique():
        own = set(before.filter(customer_id=customer)["product_id"])
        listed = [product for product in best if product not in own][:5]
        wanted = set(new.filter(customer_id=customer)["product_id"])
        recalls.append(len(wanted & set(listed)) / len(wanted))
    row = result.table.row(
        by_predicate=(pl.col("list") == "discover") & (pl.col("method") == "popular"), named=True
    )
    assert row["recall"] == pytest.approx(np.mean(recalls))


def test_intervals_are_those_of_a_mean_over_customers(tested):
    _, result = tested
    table = result.table
    assert ((table["ndcg_low"] <= table["ndcg"]) & (table["ndcg"] <= table["ndcg_high"])).all()
    others = table.filter(pl.col("method") != "segkit")
    assert ((others["gain_low"] <= others["gain"]) & (others["gain"] <= others["gain_high"])).all()
    own = table.filter(method="segkit").select("list", own="ndcg")
    gains = others.join(own, on="list").select(pl.col("own") - pl.col("ndcg") - pl.col("gain"))
    assert gains.to_series().abs().max() < 1e-12
    assert table["coverage"].is_between(0, 1).all()
    # Planted tastes are found: new products of the own half are named more than popular ones.
    gain = others.filter(list="discover", method="popular")
    assert gain["gain_low"].item() > 0
    assert "no lift" in result.text
    assert RecommendBacktest.from_dict(result.to_dict()).table.equals(table)
    assert "NDCG@5" in result.plot().alt


def test_nothing_after_the_origin_is_known_to_lists_or_settings(tested):
    orders, result = tested
    after = pl.col("order_day") > 159
    other = orders.with_columns(
        product_id=pl.when(after).then(pl.lit("7")).otherwise("product_id"),
    )
    changed = backtest_recommendations(other, as_of=result.end, test_days=40, k=5, draws=100)
    assert changed.settings == result.settings
    days = [
        part.select("customer_id", "product_id", "order_day").unique() for part in (orders, other)
    ]
    origin = date(1970, 6, 9)
    one, two = (_Split(part, origin, 40, 5, result.settings) for part in days)
    assert np.array_equal(one.model.weights, two.model.weights)
    assert one.model.again == two.model.again
    assert changed.table.filter(list="discover")["ndcg"].max() < 1


def test_rhythm_beats_the_last_purchase():
    result = backtest_recommendations(RHYTHMS, test_days=20, k=5, draws=200, tune=False)
    rows = {r["method"]: r for r in result.table.filter(list="buy again").iter_rows(named=True)}
    assert rows["bought last"]["gain_low"] > 0
    assert rows["segkit"]["ndcg"] > 0.95


def test_a_backtest_says_what_it_could_not_judge():
    once = made_orders(products=40).unique(["customer_id", "product_id"], maintain_order=True)
    fresh = once.with_columns(
        product_id=pl.when(pl.col("order_day") > 185).then(pl.lit("fresh")).otherwise("product_id")
    )
    result = backtest_recommendations(fresh, test_days=20, k=5, draws=100, tune=False)
    assert "'buy again' is not judged" in result.text
    assert "are of products first sold in it" in result.text
    assert set(result.table["list"]) == {"discover", "both"}
    short = backtest_recommendations(ORDERS, test_days=110, k=3, draws=100)
    assert "Not tuned, for there is too little before the window" in short.text
    with pytest.raises(DataError, match="no purchase on or before"):
        backtest_recommendations(ORDERS, test_days=300)
    with pytest.raises(DataError, match="at least 20 customers"):
        backtest_recommendations(ORDERS.filter(customer_id="3"), test_days=20)
    strangers = ORDERS.with_columns(
        customer_id=pl.when(pl.col("order_day") > 149).then(pl.lit("new")).otherwise("customer_id")
    )
    with pytest.raises(DataError, match="no customer known by 1970-05-30 bought"):
        backtest_recommendations(strangers, test_days=50, as_of=date(1970, 7, 19), tune=False)
    with pytest.raises(ParameterError, match="level must be at least 0"):
        backtest_recommendations(ORDERS, level=95)
