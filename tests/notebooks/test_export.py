"""A shop's own export runs without a mapping."""

import pytest

from tests.notebooks.runs import LACKS, Ran, check_pages, ledger

pytestmark = pytest.mark.slow
# Among eighty customers, those who send things back all stay away: a logit has no finite fit.
FEW = {"07_drivers": LACKS["07_drivers"] | {"staying away"}}


@pytest.fixture
def export(tmp_path):
    """Write a shop's export: semicolons, a BOM, days first, decimal commas, returns among sales."""
    lines, sums = ["Kunde;Bestellnr;Bestelldatum;Betrag"], {"sale": [0, 0.0], "return": [0, 0.0]}
    for i in range(80):
        for j in range(1 + i % 7):
            day, month = 1 + (7 * i + 3 * j) % 28, 1 + (i + 2 * j) % 12
            amount = (10 + 3 * i + j + 0.5) * (-1 if (i + j) % 11 == 0 else 1)
            written = f"{amount:.2f}".replace(".", ",")
            lines.append(f"Kd{i:03};B{i}-{j};{day:02}.{month:02}.2024;{written}")
            part = sums["sale" if amount > 0 else "return"]
            part[0], part[1] = part[0] + 1, part[1] + amount
    path = tmp_path / "verkauf.csv"
    path.write_text("\n".join(lines) + "\n", encoding="utf-8-sig")
    return path, {("of which", kind): tuple(part) for kind, part in sums.items()}


def test_an_export_of_ones_own_runs_without_a_mapping(export):
    path, expected = export
    ran = Ran(path.parent, "06", "07", "--data", path.name, "-p", "repeats=5")
    assert ran.code == 0, ran.err
    done = ran.statuses()
    assert set(done.values()) == {"done"}
    found = ledger(ran)
    assert {entry: found[entry] for entry in expected} == expected
    lacks = LACKS | FEW
    assert {stem: ran.skips(stem) for stem in done} == {stem: lacks[stem] for stem in done}
    check_pages(ran, {f"Kd{i:03}" for i in range(80)})
