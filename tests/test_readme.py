"""The README's code runs as it stands and prints what the README shows."""

import csv
import json
import re
import sys
from pathlib import Path

import polars as pl
import pytest
from typer.testing import CliRunner

from segkit.cli import app

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "docs"))
import readme  # noqa: E402

README = readme.README.read_text(encoding="utf-8")


@pytest.fixture
def shop(tmp_path, monkeypatch):
    """Write an export with semicolons, a BOM, day-first dates, decimal commas, mixed returns."""
    rows = ["Kunde;Bestellnr;Bestelldatum;Betrag"]
    for i in range(60):
        for j in range(1 + i % 7):
            day, month = 1 + (7 * i + 3 * j) % 28, 1 + (i + 2 * j) % 12
            sign = "-" if (i + j) % 11 == 0 else ""
            rows.append(f"K{i:03};B{i}-{j};{day:02}.{month:02}.2024;{sign}{10 + 3 * i + j},50")
    (tmp_path / "orders.csv").write_text("\n".join(rows) + "\n", encoding="utf-8-sig")
    (tmp_path / "data").symlink_to(ROOT / "data")
    monkeypatch.chdir(tmp_path)
    return rows[1:]


def test_the_blocks_run_one_after_the_other_and_print_what_is_shown(shop):
    names = {}
    outputs = readme.run_blocks(README, names)
    assert sum(map(bool, outputs)) >= 2
    assert readme.with_outputs(README, outputs) == README, "outputs have changed: run `make readme`"
    orders, result = names["result"].intake.orders, names["result"]
    amounts = [float(row.split(";")[3].replace(",", ".")) for row in shop]
    assert orders["amount"].sum() == pytest.approx(sum(amounts))
    assert orders["is_return"].sum() == sum(amount < 0 for amount in amounts)
    written = pl.read_csv("segments.csv")
    assert written.columns == ["customer_id", "segment", "segment_name"]
    assert written.height == result.table.frame.height


def test_a_stale_output_is_noticed():
    shown = "```python\nprint(1 + 1)\n```\n\n```text\n3\n```\n"
    outputs = readme.run_blocks(shown, {})
    assert readme.with_outputs(shown, outputs) == shown.replace("3", "2")
    silent = "```python\nx = 1\n```\n\nText.\n"
    assert readme.with_outputs(silent, readme.run_blocks(silent, {})) == silent


def test_the_counts_of_the_e_mail_test_are_those_of_its_source():
    path = ROOT / "tests" / "reference" / "hillstrom_lift.csv"
    lines = [line for line in path.read_text("utf-8").splitlines() if line[0] != "#"]
    row = next(
        r for r in csv.DictReader(lines) if r["outcome"] == "conversion" and r["arm"] == "mens"
    )
    for column in ("successes", "n", "control_successes", "control_n"):
        assert f"{int(row[column]):,}" in README


def test_the_table_of_answers_has_each_notebook_once(tmp_path):
    for stem in ("01_audit", "05_segments"):
        (tmp_path / stem).mkdir()
        summary = {"question": f"What of {stem}?", "headline": f"It is {stem}."}
        (tmp_path / stem / "summary.json").write_text(json.dumps(summary), encoding="utf-8")
    table = readme.answers_of(tmp_path).splitlines()
    assert table[2:] == [
        "| What of 01_audit? | It is 01_audit. |",
        "| What of 05_segments? | It is 05_segments. |",
    ]
    shown = readme.TABLE.search(README).group()
    notebooks = [
        json.loads(path.read_text("utf-8")) for path in (ROOT / "notebooks").glob("*.ipynb")
    ]
    asked = {one["metadata"]["segkit"]["question"] for one in notebooks}
    assert set(re.findall(r"^\| ([^|]+\?) \|", shown, re.M)) == asked, "run `make picture`"


def test_a_working_folder_is_laid_out_as_the_readme_says(shop):
    done = CliRunner().invoke(app, ["new", "my-shop", "--data", "orders.csv"])
    assert done.exit_code == 0, done.output
    made = {path.name for path in Path("my-shop").iterdir()}
    assert {"mapping.toml", "parameters.toml", "notebooks"} <= made


def test_every_file_that_the_readme_names_is_there():
    named = re.findall(r"\((reports/[\w.]+)\)|`((?:data|tests|segkit|notebooks)/[\w./]*)`", README)
    assert named
    for path in (first or second for first, second in named):
        assert (ROOT / path).exists(), path
