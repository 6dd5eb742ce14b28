"""A batch is killed again and again: nothing half ever shows as done, and nothing stays behind.

    python -m tests.kills --kills 50        on toy notebooks; with --real on the case study's

Each time the batch is started anew and killed at a random moment, until it comes through once;
then a parameter changes, so that everything has to be run again, and it goes on.
"""

import argparse
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
import uuid
from pathlib import Path

from segkit.runner.manifest import file_digest, intact, read_json
from tests.toy_notebooks import write_notebook

MARK = "SEGKIT_KILLS"
ORDERS = """\
orders = pl.read_parquet(run.data / "orders.parquet")
run.write("orders", orders)
run.table(orders.head(3).drop("customer"), "head")
run.headline(f"{orders.height} orders, seed {seed}.")"""
SUMS = """\
sums = run.read("orders").group_by("when").len().sort("when")
run.write("sums", sums.with_columns(seed=pl.lit(seed)))
run.table(sums, "sums")"""
GOOD = ("done", "reused")


def lay_out(place, markets=("Peru", "Chad", "Togo"), rows=40):
    """Write two notebooks that feed one another, and a shop of several markets."""
    write_notebook(place / "notebooks", "01_orders", writes=["orders"], cells=[ORDERS])
    write_notebook(place / "notebooks", "02_sums", reads=["orders"], writes=["sums"], cells=[SUMS])
    rng = random.Random(0)  # noqa: S311 - toy data
    lines = [
        f"c{i % 12}-{market},2024-{rng.randint(1, 12):02d}-{rng.randint(1, 28):02d},"
        f"{rng.randint(100, 5000) / 100:.2f},{market}"
        for market in markets
        for i in range(rows)
    ]
    text = "customer,when,amount,country\n" + "\n".join(lines) + "\n"
    (place / "shop.csv").write_text(text, encoding="utf-8")


TOY = ["--data", "shop.csv", "--by", "country", "--jobs", "2", "--min-customers", "1"]
REAL = [
    "01",
    "02",
    "--source",
    "simulated",
    "-p",
    "customers=600",
    "--by",
    "channel",
    "--jobs",
    "2",
]


class Killed:
    """A place in which one batch is started and killed."""

    def __init__(self, place, words):
        self.place, self.words, self.name = place, words, uuid.uuid4().hex
        self.scratch = place / "scratch"
        self.scratch.mkdir(exist_ok=True)

    def start(self, seed):
        code = "from segkit.cli import main; main()"
        environment = {**os.environ, MARK: self.name, "TMPDIR": str(self.scratch)}
        words = [sys.executable, "-c", code, "run", *self.words, "-p", f"seed={seed}"]
        with (self.place / "told.txt").open("w") as told:
            return subprocess.Popen(
                words, cwd=self.place, env=environment, stdout=told, stderr=subprocess.STDOUT
            )

    def left(self):
        """List the processes that the batch left behind."""
        found = []
        for entry in Path("/proc").iterdir():
            try:
                marked = f"{MARK}={self.name}".encode() in (entry / "environ").read_bytes()
                if entry.name.isdigit() and marked:
                    found.append(int(entry.name))
            except OSError:
                continue
        return found

    def wait_alone(self, seconds=15.0):
        """Wait until no process of the batch is there; return how long that took."""
        began = time.monotonic()
        while self.left():
            assert time.monotonic() - began < seconds, f"still there: {self.left()}"
            time.sleep(0.02)
        return time.monotonic() - began

    def check(self, before):
        """Assert that what looks done is whole, and that what was there before still is."""
        runs = [path.parent for path in (self.place / "reports").glob("*/[0-9]*/manifest.json")]
        for folder in runs:
            manifest = read_json(folder / "manifest.json")
            assert manifest["status"] == "done", (folder, manifest.get("error"))
            # A report is linked to the others by a swap of its own, and its digest after that.
            others = [item for item in manifest["outputs"] if item["path"] != "report.html"]
            assert intact(folder, {**manifest, "outputs": others}), folder
            assert (folder / "report.html").read_text(encoding="utf-8").rstrip().endswith("</html>")
        for path in (self.place / "reports").glob("*/*.json"):
            json.loads(path.read_text(encoding="utf-8"))  # none is half
        for path in (self.place / "reports").glob("*/run.json"):
            record = read_json(path)
            if record["status"] == "done":
                assert all(item["status"] in GOOD for item in record["notebooks"])
                stems = [item["stem"] for item in record["notebooks"]]
                assert all((path.parent / stem / "report.html").is_file() for stem in stems)
        for name in before:
            kept = self.place / "reports" / name
            aside = list(kept.parent.glob(f".segkit/{kept.name}.old.*"))
            assert kept.is_dir() or aside, f"{name} is lost"
        return {f"{folder.parent.name}/{folder.name}" for folder in runs}

    def contents(self):
        """Hash what the notebooks made."""
        return {
            path.relative_to(self.place).as_posix(): file_digest(path)
            for part in ("data", "tables", "figures")
            for path in (self.place / "reports").glob(f"*/[0-9]*/{part}/*")
            if path.is_file()
        }


def try_out(place, words, kills, *, longest, seed=0, told=None):
    """Kill a batch so many times, and return what was seen.

    Returns
    -------
    dict
        kills, runs that came through, the longest time until every process was gone (seconds),
        and the digests of what the last whole run left.
    """
    rng = random.Random(seed)  # noqa: S311 - when to kill
    batch, done, before, slowest, killed = Killed(place, words), 0, set(), 0.0, 0
    while True:
        process = batch.start(done)
        try:
            code = process.wait(rng.uniform(0, longest) if killed < kills else None)
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGKILL)
            process.wait()
            killed += 1
            slowest = max(slowest, batch.wait_alone())
            before |= batch.check(before)
            if told:
                print(f"kill {killed}: {len(before)} reports whole", file=told, flush=True)
            continue
        assert code == 0, (batch.place / "told.txt").read_text()
        batch.wait_alone()
        before |= batch.check(before)
        records = [read_json(p)["status"] for p in (place / "reports").glob("*/run.json")]
        assert set(records) == {"done"}, records
        done += 1
        if killed >= kills:
            break
    left = [p.name for p in (place / "reports").glob("*/.segkit/*") if p.name != "lock"]
    seen = {"kills": killed, "came_through": done, "slowest": slowest, "left": left}
    return seen | {
        "scratch": [p.name for p in batch.scratch.iterdir()],
        "contents": batch.contents(),
    }


def main():
    reader = argparse.ArgumentParser(description=__doc__)
    reader.add_argument("--kills", type=int, default=50)
    reader.add_argument("--longest", type=float, default=12.0, help="seconds until a kill, at most")
    reader.add_argument("--real", action="store_true", help="the case study's notebooks 01 and 02")
    given = reader.parse_args()
    with tempfile.TemporaryDirectory() as name:
        place = Path(name)
        if given.real:
            (place / "notebooks").symlink_to(Path(__file__).resolve().parents[1] / "notebooks")
        else:
            lay_out(place)
        words = REAL if given.real else TOY
        seen = try_out(place, words, given.kills, longest=given.longest, told=sys.stdout)
        last = Killed(place, words)
        undisturbed = place / "again"
        undisturbed.mkdir()
        other = Killed(undisturbed, words)
        (undisturbed / "notebooks").symlink_to(place / "notebooks")
        if not given.real:
            (undisturbed / "shop.csv").write_bytes((place / "shop.csv").read_bytes())
        assert other.start(seen["came_through"] - 1).wait() == 0
        assert last.contents() == other.contents()
        print({name: value for name, value in seen.items() if name != "contents"})
        print(f"{len(last.contents())} files as in a run that nobody disturbed")


if __name__ == "__main__":
    main()
