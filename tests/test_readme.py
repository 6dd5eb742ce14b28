"""The README's code runs as it stands, on data shaped like nothing else here."""

import re
from pathlib import Path

import polars as pl
import pytest
from typer.testing import CliRunner

from segkit.cli import app

README = (Path(__file__).parents[1] / "README.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"```python\n(.*?)```", README, re.S)


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
    monkeypatch.chdir(tmp_path)
    return rows[1:]


def test_the_blocks_run_one_after_the_other(shop):
    names = {}
    for block in BLOCKS:
        exec(compile(block, "README.md", "exec"), names)  # noqa: S102 - the README's own code
    taken, found = names["taken"], names["found"]
    amounts = [float(row.split(";")[3].replace(",", ".")) for row in shop]
    assert taken.orders["amount"].sum() == pytest.approx(sum(amounts))
    assert taken.orders["is_return"].sum() == sum(amount < 0 for amount in amounts)
    written = pl.read_csv("segments.csv")
    assert written.columns == ["customer_id", "segment", "segment_name"]
    assert written.height == found.table.frame.height
    assert names["trace"].lines > 0


def test_a_working_folder_is_laid_out_as_the_readme_says(shop):
    done = CliRunner().invoke(app, ["new", "my-shop", "--data", "orders.csv"])
    assert done.exit_code == 0, done.output
    made = {path.name for path in Path("my-shop").iterdir()}
    assert {"mapping.toml", "parameters.toml", "notebooks"} <= made


def test_every_file_that_the_readme_names_is_there():
    root = Path(__file__).parents[1]
    named = re.findall(r"\((reports/[\w.]+)\)|`((?:data|tests|segkit|notebooks)/[\w./]*)`", README)
    assert named
    for path in (first or second for first, second in named):
        assert (root / path).exists(), path
