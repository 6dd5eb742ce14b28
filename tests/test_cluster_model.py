import json
from datetime import date

import numpy as np
import polars as pl
import pytest

from segkit.cluster.batches import cluster_parquet
from segkit.cluster.fit import cluster_customers
from segkit.cluster.model import SegmentModel
from segkit.cluster.segments import WORDS, marks, name_segments
from segkit.errors import ColumnError, ModelError, SourceError
from segkit.result import decode, encode
from segkit.transform import Column, Transform

FEATURES = ["frequency", "monetary", "discount_share", "recency_days"]


def customers(n=900, seed=0):
    rng = np.random.default_rng(seed)
    kind = rng.integers(0, 3, n)
    return pl.DataFrame(
        {
            "customer_id": [f"c{i:05d}" for i in rng.permutation(n)],
            "frequency": 1.0 + rng.poisson(np.array([20, 3, 8])[kind]),
            "monetary": np.exp(rng.normal(np.array([6.0, 3.5, 5])[kind], 0.4)),
            "discount_share": rng.beta(np.array([1, 6, 2])[kind], np.array([9, 2, 2])[kind]),
            "recency_days": np.round(np.exp(rng.normal(np.array([3.0, 5, 4])[kind], 0.5))),
        }
    )


@pytest.fixture(scope="module")
def found():
    return cluster_customers(
        customers(),
        features=FEATURES,
        k=4,
        as_of=date(2024, 6, 30),
        definitions={"monetary": "net spend to date"},
    )


def test_the_model_scores_its_own_customers_as_assigned(found):
    scored = found.model.score(customers())
    both = scored.join(found.assignments, on="customer_id", validate="1:1")
    assert both.height == 900
    assert both["segment"].equals(both["segment_right"], check_names=False)
    assert both["segment_name"].equals(both["segment_name_right"], check_names=False)
    assert scored["customer_id"].to_list() == customers()["customer_id"].to_list()


def test_one_row_alone_gets_what_it_gets_in_a_batch(found):
    frame = customers(200, seed=9)
    batch = found.model.score(frame)
    for i in range(frame.height):
        assert found.model.score(frame[i]).equals(batch[i])


def test_distance_and_margin_are_what_they_say(found):
    frame = customers(50, seed=3)
    scored = found.model.score(frame)
    X = found.model.transform.apply(frame)
    points = np.array([s.point for s in found.model.segments])
    d = np.sort(np.sqrt(((X[:, None] - points) ** 2).sum(-1)), axis=1)
    assert scored["distance"].to_numpy() == pytest.approx(d[:, 0], rel=1e-12)
    assert scored["margin"].to_numpy() == pytest.approx(d[:, 1] - d[:, 0], rel=1e-9, abs=1e-12)
    assert (scored["segment"] != scored["second_segment"]).all()


def test_customers_unlike_any_are_flagged(found):
    frame = customers()
    flagged = found.model.score(frame)["unlike_any"].mean()
    assert 0 < flagged <= 0.005 + 4 / 900
    odd = frame.head(2).with_columns(frequency=pl.lit(4000.0), monetary=pl.lit(0.0))
    assert found.model.score(odd)["unlike_any"].all()


def test_a_saved_model_scores_the_same_and_can_be_read_by_people(found, tmp_path):
    path = found.model.save(tmp_path / "model.json")
    back = SegmentModel.load(path)
    assert back.score(customers()).equals(found.model.score(customers()))
    data = json.loads(path.read_text(encoding="utf-8"))
    assert data["as_of"] == "2024-06-30"
    assert data["features"][1]["definition"] == "net spend to date"
    assert [s["id"] for s in data["segments"]] == ["S1", "S2", "S3", "S4"]
    assert sum(s["customers"] for s in data["segments"]) == 900
    assert back.to_data() == found.model.to_data()
    assert back.as_of == date(2024, 6, 30)


def test_the_data_hash_follows_the_data_not_their_order(found):
    again = cluster_customers(customers().reverse(), features=FEATURES, k=4)
    assert again.model.data_hash == found.model.data_hash
    changed = customers().with_columns(monetary=pl.col("monetary") + 1e-9)
    other = cluster_customers(changed, features=FEATURES, k=4)
    assert other.model.data_hash != found.model.data_hash


def test_centres_are_geometric_means_where_logs_were_taken(found):
    steps = {c.name: c.shape for c in found.model.transform.columns}
    assert steps["monetary"] == "log1p"
    members = customers().join(found.assignments, on="customer_id")
    for segment in found.model.segments:
        spend = members.filter(pl.col("segment") == segment.id)["monetary"].to_numpy()
        assert segment.centre["monetary"] == pytest.approx(np.expm1(np.log1p(spend).mean()))


def test_names_can_be_edited_and_stay_unique(found, tmp_path):
    renamed = found.rename({"S2": "VIP"})
    assert renamed.model.names["S2"] == "VIP"
    assert set(renamed.assignments.filter(pl.col("segment") == "S2")["segment_name"]) == {"VIP"}
    assert "VIP" in renamed.segments["segment_name"].to_list()
    assert SegmentModel.load(renamed.model.save(tmp_path / "m.json")).names["S2"] == "VIP"
    with pytest.raises(ModelError, match="unknown segment 's2'"):
        found.model.rename({"s2": "VIP"})
    with pytest.raises(ModelError, match="must differ"):
        found.model.rename({"S1": "VIP", "S2": "VIP"})


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        (lambda f: f.drop("monetary"), ColumnError, "lacks monetary"),
        (lambda f: f.with_columns(monetary=pl.lit("?")), ColumnError, "must be numeric"),
    ],
)
def test_frames_that_cannot_be_scored_say_why(found, change, error, message):
    with pytest.raises(error, match=message):
        found.model.score(change(customers().head(9)))


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (None, "monetary is missing, and the model states nothing in its place"),
        (float("inf"), "monetary is infinite"),
        (-5.0, "monetary is negative (-5), which log1p cannot take"),
    ],
)
def test_customers_who_cannot_be_scored_say_why(found, value, reason):
    frame = customers().head(9).with_columns(monetary=pl.lit(value, pl.Float64))
    scored = found.model.score(frame)
    assert scored["reason"].to_list() == [reason] * 9
    assert scored["segment"].null_count() == scored["unlike_any"].null_count() == 9


def test_files_that_are_no_model_say_so(tmp_path, found):
    with pytest.raises(ModelError, match="no model file"):
        SegmentModel.load(tmp_path / "none.json")
    (tmp_path / "a.json").write_text("{", encoding="utf-8")
    with pytest.raises(ModelError, match="not JSON"):
        SegmentModel.load(tmp_path / "a.json")
    with pytest.raises(ModelError, match="not a segkit segment model"):
        SegmentModel.from_data({})
    with pytest.raises(ModelError, match="format 99"):
        SegmentModel.from_data({**found.model.to_data(), "format": 99})
    with pytest.raises(ModelError, match=r"cannot be read.*'segments'"):
        SegmentModel.from_data({k: v for k, v in found.model.to_data().items() if k != "segments"})


def test_an_empty_frame_is_scored_to_an_empty_frame(found):
    assert found.model.score(customers().head(0)).height == 0


def test_names_come_from_the_strongest_marks_one_of_each_topic():
    features = ["frequency_365d", "gap_days_mean", "discount_share", "tenure_days"]
    z = np.array([[1.9, -1.5, -1.2, 0.1], [-0.2, 0.1, 0.3, 0.0]])
    assert marks(z[0], features) == [("frequency_365d", 1.9), ("discount_share", -1.2)]
    assert name_segments(z, features) == ["Frequent full-price customers", "Average customers"]


def test_names_are_always_unique():
    z = np.array([[1.0, 0.8, 0.6], [1.0, 0.8, -0.6], [1.0, 0.8, 0.6], [0.0, 0.0, 0.0]])
    names = name_segments(z, ["visits", "open_rate", "shoe_size"])
    assert len(set(names)) == 4
    assert names[1] == "Often-visiting mail-opening customers with low shoe size"


def test_own_words_win():
    names = name_segments(
        np.array([[2.0]]), ["shoe_size"], {"shoe_size": ("big-foot", "small-foot")}
    )
    assert names == ["Big-foot customers"]
    assert all(high != low for high, low in WORDS.values())


def test_a_file_is_assigned_in_batches_as_the_model_would(tmp_path):
    frame = customers(4000, seed=2)
    path = tmp_path / "customers.parquet"
    frame.write_parquet(path)
    done = cluster_parquet(
        path, tmp_path / "out.parquet", features=FEATURES, sample=700, batch_rows=900, k=3
    )
    out = pl.read_parquet(done.path)
    expected = done.model.score(frame).select("customer_id", "segment", "margin", "unlike_any")
    assert out.equals(expected)
    sizes = dict(out["segment"].value_counts().iter_rows())
    assert {s.id: s.size for s in done.model.segments} == sizes
    assert done.sample == done.fit.assignments.height == 700
    assert "4,000 customers assigned" in done.text
    shuffled = tmp_path / "shuffled.parquet"
    frame.sample(fraction=1, shuffle=True, seed=1).write_parquet(shuffled)
    again = cluster_parquet(
        shuffled, tmp_path / "again.parquet", features=FEATURES, sample=700, batch_rows=900, k=3
    )
    assert again.model.to_data() == done.model.to_data()
    with pytest.raises(SourceError, match="no Parquet file"):
        cluster_parquet(tmp_path / "x.parquet", tmp_path / "y.parquet", features=FEATURES)


def test_the_models_data_are_plain_json_whoever_writes_them():
    """A notebook writes them through the runner, which marks tuples."""

    def kinds(value):
        inner = value.values() if isinstance(value, dict) else value
        nested = isinstance(value, dict | list | tuple)
        return {type(value)}.union(*(kinds(item) for item in inner)) if nested else {type(value)}

    rng = np.random.default_rng(0)
    frame = pl.DataFrame(
        {"customer_id": [str(i) for i in range(80)], "x": np.exp(3 * rng.normal(size=80))}
    )
    transform = Transform((Column("x", "log1p", winsor=(0.01, 0.99)),)).fit(frame)
    model = cluster_customers(frame, features=["x"], k=2, transform=transform).model
    assert kinds(model.to_data()) <= {dict, list, str, int, float, bool, type(None)}
    again = SegmentModel.from_data(decode(json.loads(json.dumps(encode(model.to_data())))))
    assert again.score(frame).equals(model.score(frame))
