"""Raw rows and rejects lie outside the reports, for their owner alone, while a run needs them."""

import os
import shutil

import polars as pl
import pytest

import segkit
from segkit.errors import DataError
from segkit.intake.privacy import POINTER, private_root, refer_again, roots_of, settle_private

LINES = pl.DataFrame(
    {
        "customer_id": ["a", "b", "b", "gone"],
        "order_time": ["2024-05-01", "2024-05-02", "soon, says Ann Lee", "2024-05-03"],
        "amount": ["1.00", "2.00", "3.00", "4.00"],
        "remark": ["call Ann Lee", "", "secret", "secret"],
    }
)


def taken(**more):
    mapping = {"orders": {n: n for n in ("customer_id", "order_time", "amount")}}
    columns = {"orders": {"columns": mapping["orders"]}}
    return segkit.clean_data(LINES, columns, erase=["gone"], **more)


def save(place, run="run", intake=None):
    folder = place / "reports" / run / "01" / "data" / "clean"
    folder.parent.mkdir(parents=True, exist_ok=True)
    root, owner = private_root(place), place / "reports" / run
    (intake or taken()).save(folder, private=root, owner=owner)
    return folder


def stores(place):
    return [p for p in (place / "private").iterdir() if p.is_dir()]


def texts(folder):
    return "".join(
        str(pl.read_parquet(path).to_dicts()) for path in sorted(folder.rglob("*.parquet"))
    )


def test_the_reports_hold_neither_raw_rows_nor_rejects_and_a_trace_finds_them(tmp_path):
    folder = save(tmp_path)
    assert "Ann Lee" not in texts(folder)
    opened = segkit.intake.Intake.open(folder)
    found = opened.trace("b")
    assert found.to_frame()["fate"].to_list() == ["kept", "bad_date"]
    assert found.raw["orders"]["order_time"].to_list() == ["2024-05-02", "soon, says Ann Lee"]
    (store,) = stores(tmp_path)
    kept = texts(store)
    assert "secret" not in kept  # not mapped, so not kept; nor are rows of erased customers
    assert "gone" not in kept
    assert (tmp_path / "private" / ".gitignore").read_text(encoding="utf-8") == "*\n"


def test_a_working_folder_can_be_moved_and_a_store_can_be_elsewhere(tmp_path, monkeypatch):
    folder = save(tmp_path / "one")
    (tmp_path / "one").rename(tmp_path / "two")
    moved = tmp_path / "two" / folder.relative_to(tmp_path / "one")
    assert segkit.intake.Intake.open(moved).trace("b").lines == 1
    (tmp_path / "two" / "private").rename(tmp_path / "safe")
    lost = segkit.intake.Intake.open(moved)
    assert "raw rows and rejects are not there" in lost.notes[-1]
    with pytest.raises(DataError, match="cannot be traced: raw rows and rejects are not there"):
        lost.trace("b")
    monkeypatch.setenv("SEGKIT_PRIVATE", str(tmp_path / "safe"))
    assert segkit.intake.Intake.open(moved).trace("b").lines == 1
    assert private_root(tmp_path) == tmp_path / "safe"
    assert private_root(tmp_path, "own") == tmp_path / "own"


@pytest.mark.skipif(os.name != "posix", reason="this system has no modes")
def test_all_is_its_owners_alone_whatever_the_umask(tmp_path):
    before = os.umask(0)
    try:
        folder = save(tmp_path)
    finally:
        os.umask(before)
    for place in (tmp_path / "private", folder):
        for path in (place, *place.rglob("*")):
            if path.name != ".gitignore":
                assert path.stat().st_mode & 0o777 == (0o700 if path.is_dir() else 0o600), path


def test_runs_with_the_same_rows_share_a_store_that_goes_with_the_last_of_them(tmp_path):
    root = private_root(tmp_path)
    first, second = save(tmp_path, "monday"), save(tmp_path, "tuesday")
    assert len(stores(tmp_path)) == 1
    assert first.joinpath(POINTER).read_bytes() == second.joinpath(POINTER).read_bytes()
    shutil.rmtree(tmp_path / "reports" / "monday")
    assert settle_private(root) == 0
    assert segkit.intake.Intake.open(second).trace("b").lines == 1
    shutil.rmtree(tmp_path / "reports" / "tuesday")
    assert settle_private(root) == 1
    assert stores(tmp_path) == []


def test_what_a_run_no_longer_points_to_goes(tmp_path):
    folder = save(tmp_path)
    (before,) = stores(tmp_path)
    save(tmp_path, intake=segkit.clean_data(LINES, erase=["gone", "a"]))
    assert settle_private(private_root(tmp_path), tmp_path / "reports" / "run") == 1
    (after,) = stores(tmp_path)
    assert after != before
    assert segkit.intake.Intake.open(folder).orders["customer_id"].to_list() == ["b"]
    assert roots_of(tmp_path / "reports" / "run") == {tmp_path / "private"}


def test_a_run_that_takes_over_another_keeps_its_rows(tmp_path):
    folder = save(tmp_path, "monday")
    old, new = tmp_path / "reports" / "monday", tmp_path / "reports" / "tuesday"
    shutil.copytree(old, new)
    refer_again(private_root(tmp_path), new)
    shutil.rmtree(old)
    assert settle_private(private_root(tmp_path)) == 0
    assert segkit.intake.Intake.open(new / folder.relative_to(old)).trace("b").lines == 1
