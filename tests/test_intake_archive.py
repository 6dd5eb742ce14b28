"""What was known when we assigned: four kinds of versions, and a strategy test that reads them."""

from datetime import UTC, date, datetime, timedelta

import numpy as np
import polars as pl
import pytest

from segkit.campaign import assign_segmentations, read_segmentation_test, recall_offers
from segkit.cli import invoke
from segkit.errors import DataError, ParameterError, SourceError
from segkit.intake import ProfileArchive

JAN, FEB, MAR, APR = (date(2026, month, 1) for month in (1, 2, 3, 4))
ASSIGNED = datetime(2026, 3, 10, 9, tzinfo=UTC)


def people(ids, **more):
    return pl.DataFrame({"customer_id": list(ids), **more})


@pytest.fixture
def archive(tmp_path):
    """Return an archive of January and February; in April late knowledge of March comes in."""
    made = ProfileArchive(tmp_path / "archive")
    for day, region, segment, score, consent in (
        (JAN, ["N", "S"], ["S1", "S2"], [0.1, 0.2], [True, True]),
        (FEB, ["N", "N"], ["S1", "S1"], [0.1, 0.5], [True, False]),
    ):
        made.record(
            day,
            recorded_at=day,
            customers=people("ab", region=region, marketing_consent=consent),
            segments=people("ab", segment=segment),
            scores=people("ab", churn_probability=score),
        )
    late = {
        "customers": people("ab", region=["W", "W"], changed_at=[MAR, MAR]),
        "segments": people("ab", segment=["S3", "S3"], changed_at=[MAR, MAR]),
        "scores": people("ab", churn_probability=[0.9, 0.9], changed_at=[MAR, MAR]),
        "consents": people("ab", marketing_consent=[False, True], changed_at=[MAR, MAR]),
    }
    for kind, frame in late.items():
        made.stores[kind].record_changes(frame, recorded_at=APR)
    return made


def test_what_was_known_when_assigned_is_the_same_question_for_all_four(archive):
    assert sorted(archive.stores) == ["consents", "customers", "scores", "segments"]
    drawn = people("abx", assigned_at=[ASSIGNED] * 3)
    known = {kind: archive.known_when_assigned(drawn, kind) for kind in archive.stores}
    assert known["customers"]["region"].to_list() == ["N", "N", None]
    assert known["segments"]["segment"].to_list() == ["S1", "S1", None]
    assert known["scores"]["churn_probability"].to_list() == [0.1, 0.5, None]
    assert known["consents"]["marketing_consent"].to_list() == [True, False, None]
    then = archive.as_of(ASSIGNED, ASSIGNED)
    for kind, frame in known.items():
        same = frame.drop("assigned_at").head(2).sort("customer_id")
        assert same.equals(then[kind].select(same.columns))
    # today we know better what was true then
    now = archive.as_of(ASSIGNED)
    assert now["customers"]["region"].to_list() == ["W", "W"]
    assert now["consents"]["marketing_consent"].to_list() == [False, True]


def test_a_recording_leaves_what_it_does_not_tell_and_erasure_takes_everything(archive):
    archive.record(APR, recorded_at=APR, scores=people("ab", distance=[1.0, 2.0]))
    scores = archive.as_of(APR)["scores"]
    assert scores["churn_probability"].to_list() == [0.9, 0.9]
    assert scores["distance"].to_list() == [1.0, 2.0]
    assert archive.erase(["a"]) == dict.fromkeys(archive.stores, 1)
    again = ProfileArchive.open(archive.folder)
    for store in again.stores.values():
        assert store.history()["customer_id"].unique().to_list() == ["b"]


def test_wrong_input_is_refused_in_words(archive, tmp_path):
    with pytest.raises(ParameterError, match="unknown kind of versions 'score'; did you mean"):
        archive.record(APR, score=people("a"))
    with pytest.raises(SourceError, match="holds no versions of customers, segments"):
        ProfileArchive.open(tmp_path)
    early = people("a", assigned_at=[datetime(2025, 12, 1, tzinfo=UTC)])
    with pytest.raises(DataError, match="nothing was known of segments at 2025-12-01"):
        archive.known_when_assigned(early)


def test_scores_of_a_file_go_to_the_archive(tmp_path, monkeypatch, capsys):
    from segkit.cluster import cluster_customers

    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(0)
    frame = people([f"c{i}" for i in range(60)], x=rng.normal(size=60), y=rng.normal(size=60))
    cluster_customers(frame, features=["x", "y"], k=2, seed=0).model.save(tmp_path / "model.json")
    frame.write_parquet("customers.parquet")
    words = [
        "score",
        "model.json",
        "customers.parquet",
        "--store",
        "archive",
        "--as-of",
        "2026-03-01",
    ]
    assert invoke([*words, "--out", "one.csv"]) == 0
    assert "segments: 60 rows: 60 new" in capsys.readouterr().out
    known = ProfileArchive.open("archive").as_of(date(2026, 3, 2))
    assert known["segments"].height == known["scores"].height == 60
    assert "distance" in known["scores"].columns
    assert invoke([*words, "--out", "two.csv"]) == 0
    assert "recorded before" in capsys.readouterr().out


POLICIES = {"old": {"S1": "sale", "S2": "guide"}, "new": {"S1": "sale", "S2": "sale"}}


@pytest.fixture(scope="module")
def strategies(tmp_path_factory):
    """Return two segmentations' archives, and a test of one against the other with its outcomes."""
    rng = np.random.default_rng(5)
    n = 3000
    ids = [f"c{i}" for i in range(n)]
    old = people(ids, segment=np.where(np.arange(n) % 5 == 0, "S2", "S1"))
    archives = {}
    for name in POLICIES:
        archives[name] = ProfileArchive(tmp_path_factory.mktemp("versions") / name)
        archives[name].record(FEB, recorded_at=FEB, segments=old)
    drawn = assign_segmentations(
        old.with_columns(other="segment"),
        campaign_id="strategies",
        segmentations={"old": ("segment", POLICIES["old"]), "new": ("other", POLICIES["new"])},
        at=ASSIGNED,
        method="quota",
    ).frame
    profit = rng.normal(0, 1, n) + (drawn["offer"] == "guide").to_numpy() * 0.5
    # a refresh after the assignment moves everybody; it was not known then
    for one in archives.values():
        one.record(APR, recorded_at=APR, segments=old.with_columns(segment=pl.lit("S1")))
    return archives, drawn.with_columns(profit=profit)


def test_a_strategy_test_is_read_on_all_and_where_they_disagree(strategies):
    archives, outcomes = strategies
    bare = outcomes.drop("offer_by_old", "offer_by_new", "segment")
    plans = {name: (archives[name], POLICIES[name]) for name in POLICIES}
    recalled = recall_offers(bare, plans)
    columns = ["customer_id", "offer_by_old", "offer_by_new"]
    assert recalled.select(columns).equals(outcomes.select(columns))
    assert recall_offers(outcomes, plans).equals(outcomes)
    found = read_segmentation_test(recalled, "profit", names=("old", "new"))
    assert found.differ_share == pytest.approx(0.2)
    apart = outcomes.filter(pl.col("offer_by_old") != pl.col("offer_by_new"))
    arms = [apart.filter(arm=name)["profit"] for name in ("old", "new")]
    by_hand = 0.2 * (arms[0].mean() - arms[1].mean())
    assert found.difference == pytest.approx(by_hand)
    whole = [outcomes.filter(arm=name)["profit"] for name in ("old", "new")]
    assert found.all_difference == pytest.approx(whole[0].mean() - whole[1].mean())
    # the error of all customers' difference against a fifth of that of a fifth of them: 5 times
    assert found.variance_gain == pytest.approx(5, rel=0.15)
    assert found.low > 0
    assert "times as many customers for the same precision" in found.text


def test_arms_are_exact_within_each_pair_of_segments_and_the_same_again(strategies):
    _, outcomes = strategies
    counts = outcomes.group_by("segment", "arm").len().sort("segment", "arm")["len"].to_list()
    assert counts == [1200, 1200, 300, 300]


def test_offers_that_rest_on_later_knowledge_are_refused(strategies):
    archives, outcomes = strategies
    plans = {"old": (archives["old"], {"S1": "sale", "S2": "sale"})}
    with pytest.raises(
        DataError,
        match="600 customers: the assigned offer differs from that of their segment of 'old'",
    ):
        recall_offers(outcomes, plans)
    with pytest.raises(DataError, match="'old' has no offer for segment S2"):
        recall_offers(outcomes, {"old": (archives["old"], {"S1": "sale"})})
    late = outcomes.with_columns(assigned_at=pl.col("assigned_at") - timedelta(days=60))
    with pytest.raises(DataError, match="nothing was known of segments"):
        recall_offers(late, plans)
    strange = outcomes.head(2).with_columns(customer_id=pl.Series(["x", "y"]))
    with pytest.raises(DataError, match="2 customers had no known segment by 'old'"):
        recall_offers(strange, plans)
