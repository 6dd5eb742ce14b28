"""The README's outputs, case study and picture, computed so that they are never stale.

``python docs/readme.py`` runs the README's Python blocks and writes below each what it prints;
``python docs/readme.py --run reports/case-study`` also takes the case study's answers and picture
from a finished run.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import os
import re
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from segkit.display import first_sentence

ROOT = Path(__file__).resolve().parents[1]
README = ROOT / "README.md"
PICTURE = ROOT / "reports" / "example.svg"
FIGURE = "06_profiles/figures/segment_profiles.svg"
BLOCK = re.compile(r"```python\n(?P<code>.*?)```\n(?:\n```text\n.*?```\n)?", re.S)
TABLE = re.compile(r"(<!-- case study:.*?-->\n).*?(<!-- end -->)", re.S)


@contextlib.contextmanager
def folder_with_sample() -> Iterator[Path]:
    """Work in a folder of its own that holds the sample data."""
    before = Path.cwd()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "data").symlink_to(ROOT / "data")
        os.chdir(folder)
        try:
            yield folder
        finally:
            os.chdir(before)


def run_blocks(text: str, names: dict[str, Any]) -> list[str]:
    """Run the Python blocks of a page one after the other, and return what each prints."""
    outputs = []
    for block in BLOCK.finditer(text):
        with contextlib.redirect_stdout(io.StringIO()) as printed:
            exec(compile(block["code"], "README.md", "exec"), names)  # noqa: S102
        outputs.append(printed.getvalue())
    return outputs


def with_outputs(text: str, outputs: list[str]) -> str:
    """Return the page with each block's output below it."""
    left = iter(outputs)

    def write(block: re.Match[str]) -> str:
        shown = next(left).rstrip()
        output = f"\n```text\n{shown}\n```\n" if shown else ""
        return f"```python\n{block['code']}```\n{output}"

    return BLOCK.sub(write, text)


def answers_of(run: Path) -> str:
    """Write the case study's answers as a table: each notebook's question and finding."""
    summaries = [json.loads(path.read_text("utf-8")) for path in sorted(run.glob("*/summary.json"))]
    rows = [f"| {one['question']} | {first_sentence(one['headline'])} |" for one in summaries]
    return "\n".join(["| question | the case study's answer |", "|---|---|", *rows])


def take_picture(run: Path) -> None:
    """Take the picture of the segments from a run."""
    PICTURE.write_bytes((run / FIGURE).read_bytes())


def main() -> None:
    """Rewrite the README, and with ``--run`` its case study and picture too."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--run", type=Path, help="a finished run of the case study")
    run = parser.parse_args().run
    text = README.read_text(encoding="utf-8")
    with folder_with_sample() as folder:
        lines = [f"c{i},2024-{1 + (i + j) % 12:02}-09,{9 + i}" for i in range(60) for j in range(3)]
        (folder / "orders.csv").write_text("\n".join(["customer,date,amount", *lines]), "utf-8")
        text = with_outputs(text, run_blocks(text, {}))
    if run:
        text = TABLE.sub(lambda part: f"{part[1]}{answers_of(run)}\n{part[2]}", text)
        take_picture(run)
    README.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
