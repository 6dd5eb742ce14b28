"""Comparison of a run's tables with the golden ones, by the names of ``renames.toml``.

``python -m tests.golden.compare RUN`` compares the run folder RUN (``reports/simulated``), whose
source and settings must be those of `tests.golden.ASKED`.
"""

import argparse
import fnmatch
import json
import lzma
import sys
import tomllib
from pathlib import Path

from tests.golden import FOLDER
from tests.golden.tables import describe_run, is_prose

SECTIONS = ("functions", "columns", "features", "options", "parameters", "files", "changed")


class Renames:
    """What `renames.toml` says: new names of old ones, and what differs on purpose."""

    def __init__(self, sections):
        unknown = set(sections) - set(SECTIONS)
        assert not unknown, f"renames.toml has sections that nothing reads: {sorted(unknown)}"
        self.sections = {name: dict(sections.get(name, {})) for name in SECTIONS}
        self.changed = self.sections["changed"]
        self._columns = self.sections["features"] | self.sections["columns"]
        self._texts = self.sections["options"] | self._columns

    @classmethod
    def read(cls):
        """Read the file beside this one."""
        return cls(tomllib.loads((FOLDER / "renames.toml").read_text(encoding="utf-8")))

    def column(self, old):
        """Return a column's name of today."""
        return self._columns.get(old, old)

    def text(self, old):
        """Return a cell's text of today."""
        return self._texts.get(old, old)

    def file(self, old):
        """Return the name of a run's file of today."""
        files = self.sections["files"]
        parts = "/".join(files.get(part, part) for part in old.split("/"))
        return files.get(old, files.get(parts, parts))

    def why_changed(self, table, column=None):
        """Return why a table, or one column of it, differs; None if it must not."""
        for pattern, reason in self.changed.items():
            name, _, own = pattern.partition(":")
            if fnmatch.fnmatchcase(table, name) and own in ("", column):
                return reason
        return None


def golden(source):
    """Return the golden tables of a source, as `describe_run` has them."""
    return json.loads(lzma.decompress((FOLDER / f"{source}.json.xz").read_bytes()))


def differences(old, new, renames):
    """Return a line for each thing in which the tables of a run differ from the golden ones."""
    told = []
    for name, columns in old.items():
        if renames.why_changed(name):
            continue
        now = renames.file(name)
        if now not in new:
            told.append(f"{name}: there is no {now}")
            continue
        told += [f"{name}: {line}" for line in table_differences(name, columns, new[now], renames)]
    return told


def table_differences(name, old, new, renames):
    """Yield a line for each column in which two tables differ; new ones have none in the old."""
    wanted = {renames.column(column): (column, short) for column, short in old.items()}
    for now, (column, short) in wanted.items():
        if renames.why_changed(name, column):
            continue
        if now not in new:
            yield f"column {now} is absent"
        elif not is_same(expected := renamed(short, renames), new[now]):
            yield f"column {now}: {in_short(expected)} became {in_short(new[now])}"
    for extra in new.keys() - wanted:
        if not renames.why_changed(name, extra):
            yield f"column {extra} is new"


def is_same(old, new):
    """Tell whether two columns in short are alike; where sentences stood, only how many."""
    if old.get("prose"):
        return all(old[name] == new[name] for name in ("rows", "nulls")) and "sum" not in new
    return old == new


def renamed(short, renames):
    """Return a column in short with its texts as they are named today."""
    if "texts" not in short:
        return short
    texts = [renames.text(text) for text in short["texts"]]
    assert len(set(texts)) == len(texts), f"two of {texts} have one name"
    assert not any(map(is_prose, texts)), texts
    return short | {"texts": texts}


def in_short(short):
    """Word a column's values for a line."""
    rows = f"{short['rows']} rows ({short['nulls']} null)"
    if "texts" in short:
        return f"{rows} of {', '.join(short['texts'])}"
    return f"{rows}, sum {short['sum']}" if "sum" in short else rows


def compare_run(run, source):
    """Return a line for each table or column of a run folder that is not as it was."""
    return differences(golden(source), describe_run(run), Renames.read())


def main():
    """Compare a run folder, print what differs, and exit with 1 if anything does."""
    parser = argparse.ArgumentParser(prog="python -m tests.golden.compare", description=__doc__)
    parser.add_argument("run", type=Path)
    run = parser.parse_args().run
    record = json.loads((run / "run.json").read_text(encoding="utf-8"))
    source = record["parameters"]["source"]
    told = compare_run(run, source)
    old, renames = golden(source), Renames.read()
    new = set(describe_run(run)) - {renames.file(name) for name in old}
    sys.stdout.writelines(f"{line}\n" for line in told)
    sys.stdout.writelines(f"{name} is new\n" for name in sorted(new))
    sys.stdout.write(f"{len(old)} golden tables, {len(told)} differences\n")
    sys.exit(bool(told))


if __name__ == "__main__":
    main()
