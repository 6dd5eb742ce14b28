"""Versions of profiles: what was true when and known when, against a recomputation from raw."""

import os
from datetime import UTC, date, datetime, timedelta

import numpy as np
import polars as pl
import pytest

from segkit.errors import DataError, ParameterError, SourceError
from segkit.intake.mapping import Mapping
from segkit.intake.profiles import DBT_NAMES, ProfileStore

START = datetime(2026, 1, 1, tzinfo=UTC)
PEOPLE = ["a", "b", "c", "d"]


def day(number):
    return START + timedelta(days=number)


def frame(**tiers):
    return pl.DataFrame(
        {"customer_id": list(tiers), "tier": list(tiers.values())},
        schema={"customer_id": pl.String, "tier": pl.String},
    )


class Oracle:
    """Everything that was ever said, and the state looked up in it again each time."""

    def __init__(self, deletes):
        self.deletes, self.said = deletes, []  # (recorded, order, valid, customer, value)

    def dump(self, values, valid, recorded):
        before = self.as_of(valid, recorded, gone=True)
        for who in PEOPLE:
            if who in values:
                self.said.append((recorded, len(self.said), valid, who, values[who]))
            elif self.deletes == "ignore" and who in before:  # absent: as it was
                self.said.append((recorded, len(self.said), valid, who, before[who]))
            elif self.deletes != "ignore":
                self.said.append((recorded, len(self.said), valid, who, "gone"))

    def change(self, who, value, valid, recorded):
        self.said.append((recorded, len(self.said), valid, who, value))

    def as_of(self, valid, recorded, *, gone=False):
        state = {}
        for who in PEOPLE:
            known = [s for s in self.said if s[0] <= recorded and s[2] <= valid and s[3] == who]
            if known:
                value = max(known, key=lambda s: (s[2], s[1]))[4]
                if gone or value != "gone":
                    state[who] = value
        return state


def filled(store, oracle, rng, recordings=14):
    """Record dumps and changes, on time and late, in both."""
    recorded, last = 0, -1
    for _ in range(recordings):
        recorded += int(rng.integers(1, 4))
        if rng.random() < 0.5:
            valid = int(rng.integers(0, recorded + 1))
            chosen = [who for who in PEOPLE if rng.random() < 0.75]
            values = {who: str(rng.choice(["x", "y", "z"])) for who in chosen}
            store.record_snapshot(
                frame(**values), day(valid), recorded_at=day(recorded), late=valid <= last
            )
            oracle.dump(values, day(valid), day(recorded))
            last = max(last, valid)
        else:
            events = {
                (str(rng.choice(PEOPLE)), int(rng.integers(0, recorded + 1))): str(
                    rng.choice(["x", "y", "z", "gone"])
                )
                for _ in range(3)
            }
            rows = [
                {
                    "customer_id": who,
                    "changed_at": day(valid),
                    "tier": None if value == "gone" else value,
                    "deleted": value == "gone",
                }
                for (who, valid), value in events.items()
            ]
            store.record_changes(
                pl.DataFrame(rows, schema_overrides={"tier": pl.String}),
                deleted="deleted",
                recorded_at=day(recorded),
            )
            for (who, valid), value in events.items():
                oracle.change(who, value, day(valid), day(recorded))
    return recorded


@pytest.mark.parametrize("deletes", ["ignore", "invalidate", "new_record"])
@pytest.mark.parametrize("seed", range(2))
def test_every_state_is_the_one_recomputed_from_everything_that_was_said(tmp_path, deletes, seed):
    rng = np.random.default_rng(seed)
    store, oracle = ProfileStore(tmp_path / "s", deletes=deletes), Oracle(deletes)
    end = filled(store, oracle, rng)
    dates = [(int(rng.integers(0, end + 2)), int(rng.integers(0, end + 2))) for _ in range(25)]
    for valid, recorded in dates:
        state = store.as_of(day(valid), day(recorded))
        assert dict(state.iter_rows()) == oracle.as_of(day(valid), day(recorded)), (valid, recorded)


@pytest.mark.parametrize("deletes", ["ignore", "invalidate", "new_record"])
def test_versions_have_no_gap_and_no_overlap_and_the_history_agrees_with_them(tmp_path, deletes):
    rng = np.random.default_rng(7)
    store = ProfileStore(tmp_path / "s", deletes=deletes)
    end = filled(store, Oracle(deletes), rng)
    history = store.history()
    overlaps = pl.col("dbt_valid_to") > pl.col("dbt_valid_from").shift(-1).over("customer_id")
    for recorded in range(1, end + 1):
        versions = store.versions(day(recorded))
        assert not versions.select(overlaps.any()).item()
        if deletes == "new_record":  # deletions are rows: nothing between two versions
            gap = pl.col("dbt_valid_to") != pl.col("dbt_valid_from").shift(-1).over("customer_id")
            assert not versions.select(gap.any()).item()
        neighbours = versions.filter(
            (pl.col("tier").eq_missing(pl.col("tier").shift(-1).over("customer_id")))
            & (pl.col("dbt_valid_to") == pl.col("dbt_valid_from").shift(-1).over("customer_id"))
            & (pl.col("dbt_is_deleted") == pl.col("dbt_is_deleted").shift(-1).over("customer_id"))
        )
        assert not neighbours.height  # two versions that follow each other differ
        believed = history.filter(
            (pl.col("recorded_from") <= day(recorded))
            & (pl.col("recorded_to").is_null() | (pl.col("recorded_to") > day(recorded)))
        )
        same = ["customer_id", "tier", "dbt_scd_id", "dbt_valid_from", "dbt_valid_to"]
        assert believed.select(same).sort(same).equals(versions.select(same).sort(same))


def test_twice_is_once_and_late_knowledge_does_not_alter_what_was_known(tmp_path):
    store = ProfileStore(tmp_path / "s", deletes="invalidate")
    store.record_snapshot(frame(a="x", b="y"), day(0), recorded_at=day(0))
    store.record_snapshot(frame(a="x", b="z"), day(10), recorded_at=day(10))
    known = store.as_of(day(5), day(10))
    again = store.record_snapshot(frame(b="z", a="x"), day(10), recorded_at=day(11))
    assert again.repeated
    assert len(store.recordings) == 2
    event = pl.DataFrame({"customer_id": ["a"], "tier": ["late"], "changed_at": [day(4)]})
    told = store.record_changes(event, recorded_at=day(12))
    assert (told.added, told.changed, told.unchanged) == (0, 1, 0)
    assert store.record_changes(event, recorded_at=day(13)).repeated
    assert store.as_of(day(5), day(10)).equals(known)
    assert dict(store.as_of(day(5)).iter_rows()) == {"a": "late", "b": "y"}
    assert dict(store.as_of(day(10)).iter_rows()) == {"a": "x", "b": "z"}  # the dump said so
    spans = store.versions().filter(pl.col("customer_id") == "a")
    assert spans["tier"].to_list() == ["x", "late", "x"]
    assert spans["dbt_valid_from"].to_list() == [day(0), day(4), day(10)]
    assert spans["dbt_valid_to"].to_list() == [day(4), day(10), None]


def test_the_columns_are_those_of_dbt_and_can_be_named(tmp_path):
    store = ProfileStore(tmp_path / "s", names={"valid_from": "start"})
    store.record_snapshot(frame(a="x"), date(2026, 1, 1), recorded_at=day(1))
    columns = store.versions().columns
    others = ["dbt_scd_id", "dbt_updated_at", "dbt_valid_to", "dbt_is_deleted"]
    assert set(columns) == {"customer_id", "tier", "start", *others}
    assert store.versions()["dbt_scd_id"].n_unique() == 1
    with pytest.raises(ParameterError, match="column of a version"):
        ProfileStore(tmp_path / "t", names={"from": "start"})
    with pytest.raises(ParameterError, match="same name"):
        ProfileStore(tmp_path / "t", names={"valid_from": "dbt_valid_to"})
    assert set(DBT_NAMES) >= {"valid_from", "valid_to"}


def test_erasure_removes_every_version_and_an_old_dump_does_not_bring_it_back(tmp_path):
    store = ProfileStore(tmp_path / "s")
    store.record_snapshot(frame(a="x", b="y"), day(0), recorded_at=day(0))
    store.record_snapshot(frame(a="z", b="y"), day(5), recorded_at=day(5))
    with pytest.raises(DataError, match=r"1 id is not among .* but for its spelling"):
        store.erase(["A", "nobody"], at=day(6))
    assert store.erase(["A"], at=day(6), mapping=Mapping()) == 0
    assert store.erase(["a", "nobody"], at=day(6)) == 1
    assert store.history()["customer_id"].unique().to_list() == ["b"]
    assert not any(b"a\x00" in path.read_bytes() for path in tmp_path.glob("*.json"))
    old = store.record_snapshot(frame(a="x", b="y"), day(4), recorded_at=day(7), late=True)
    assert (old.refused, old.returned) == (1, 0)
    assert "before the erasure" in old.text
    back = store.record_snapshot(frame(a="new", b="y"), day(8), recorded_at=day(8))
    assert (back.refused, back.returned, back.added) == (0, 1, 1)
    assert "came back after an erasure" in back.text
    spans = store.history().filter(pl.col("customer_id") == "a")
    assert spans["dbt_valid_from"].to_list() == [day(8)]


def test_recordings_out_of_order_or_of_another_shape_are_refused_in_words(tmp_path):
    store = ProfileStore(tmp_path / "s")
    store.record_snapshot(frame(a="x"), date(2026, 1, 1), recorded_at=day(0))
    store.record_snapshot(frame(a="x"), date(2026, 4, 1), recorded_at=day(90))
    doubled = pl.concat([frame(a="x"), frame(a="y")])
    bare = frame(a="x").drop("tier")
    typed = frame(a="x").with_columns(tier=pl.lit(1, pl.Int64))
    two = pl.DataFrame({"customer_id": ["a", "a"], "tier": ["p", "q"], "changed_at": [day(3)] * 2})
    with pytest.raises(DataError, match="2026-02-01 comes after that of 2026-04-01"):
        store.record_snapshot(frame(a="y"), date(2026, 2, 1), recorded_at=day(91))
    with pytest.raises(DataError, match="differs from"):
        store.record_snapshot(frame(a="y"), date(2026, 4, 1), recorded_at=day(91))
    with pytest.raises(DataError, match="must not be before the last recording"):
        store.record_snapshot(frame(a="y"), date(2026, 1, 5), recorded_at=day(50))
    with pytest.raises(DataError, match="lies after the recording"):
        store.record_snapshot(frame(a="y"), date(2027, 1, 1), recorded_at=day(91))
    with pytest.raises(DataError, match="more than one row"):
        store.record_snapshot(doubled, date(2026, 5, 1), recorded_at=day(200))
    with pytest.raises(DataError, match="tier is missing"):
        store.record_snapshot(bare, date(2026, 5, 1), recorded_at=day(200))
    with pytest.raises(DataError, match="was String in earlier recordings and is Int64 now"):
        store.record_snapshot(typed, date(2026, 5, 1), recorded_at=day(200))
    with pytest.raises(DataError, match="differ"):
        store.record_changes(two, recorded_at=day(200))
    with pytest.raises(ParameterError, match="was made with"):
        ProfileStore(tmp_path / "s", deletes="invalidate")
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "a.txt").write_text("x")
    with pytest.raises(SourceError, match="other files"):
        ProfileStore(tmp_path / "other")


def test_a_new_attribute_is_null_before_and_files_are_their_owners_alone(tmp_path):
    store = ProfileStore(tmp_path / "s")
    store.record_snapshot(frame(a="x", b="y"), day(0), recorded_at=day(0))
    wider = frame(a="x", b="y").with_columns(score=pl.Series([0.5, None]))
    told = store.record_snapshot(wider, day(1), recorded_at=day(1))
    assert (told.changed, told.unchanged) == (1, 1)
    assert store.columns == ["tier", "score"]
    assert store.as_of(day(0))["score"].to_list() == [None, None]
    assert store.as_of(day(1))["score"].to_list() == [0.5, None]
    if os.name != "nt":
        assert all(p.stat().st_mode & 0o077 == 0 for p in (tmp_path / "s").iterdir())
