"""Which run came before this one, and how do its results serve again without being run?"""

from __future__ import annotations

import html
import os
import re
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from segkit.runner.folder import Aside
from segkit.runner.manifest import NAME, list_outputs, read_json, write_json
from segkit.runner.state import Label
from segkit.writing import write_whole

RECORD = "run.json"
NAMED = re.compile(r'<title>.*?</title>|<p class="kicker">.*?</p>', re.DOTALL)


def same_series(out: Path, series: str, market: str | None) -> list[Path]:
    """List the folders of the runs of one series and market, the newest first."""
    found = []
    for path in out.glob(f"*/{RECORD}"):
        record = read_json(path)
        if record.get("series", record.get("name")) == series and record.get("market") == market:
            day = str(record.get("date") or str(record.get("started", ""))[:10])
            found.append((day, str(record.get("started", "")), path.parent.name, path.parent))
    return [item[-1] for item in sorted(found, reverse=True)]


def find_earlier(out: Path, label: Label) -> Path | None:
    """Return the newest run of the same series and market in another folder, if there is one."""
    others = (f for f in same_series(out, label.series, label.market) if f.name != label.folder)
    return next(others, None)


def take_over(
    source: Path, run_folder: Path, manifest: Mapping[str, Any], previous: Mapping[str, Any] | None
) -> None:
    """Put a notebook's folder of an earlier run in its place in this one.

    Files are linked where the file system can (two names of one file: nothing is ever written
    into a file that stands in its place), else copied.
    """
    aside = Aside(run_folder, source.name)
    try:
        for output in manifest["outputs"]:
            target = aside.path / output["path"]
            target.parent.mkdir(parents=True, exist_ok=True)
            if target.name == "report.html":
                text = (source / output["path"]).read_text(encoding="utf-8")
                old, new = (html.escape(f.name) for f in (source.parent, run_folder))
                text = NAMED.sub(lambda m: m[0].replace(old, new), text, count=2)  # noqa: B023
                write_whole(target, text)
            else:
                _link(source / output["path"], target)
        kept = {**manifest, "reused_from": source.parent.name, "previous": previous}
        write_json(aside.path / NAME, {**kept, "outputs": list_outputs(aside.path)})
        aside.commit()
    finally:
        aside.discard()


def _link(source: Path, target: Path) -> None:
    try:
        os.link(source, target)
    except OSError:
        shutil.copy2(source, target)
