"""Batches killed again and again: nothing half done may show as done, nothing may stay behind.

    python -m tests.tools.kills --kills 50        on toy notebooks; with --real on the case study's
    python -m tests.tools.kills --kills 50 --aimed

Each time the batch is started anew and killed at a random moment, until it comes through once;
then a parameter changes, so that everything has to be run again, and it goes on. Aimed kills hit
at a chosen call: one of the batch's processes, the run itself or a market's or a worker's, kills
itself as it is about to rename, to remove or to open a file of a kind, the n-th time.
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
from collections import Counter
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
SINGLE = ["-p", "customers=7", "--jobs", "2"]
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


# What a process is about to do when it is hit: the audit event, and what its path looks like.
AIMS = {
    "rename of a report's folder": ("os.rename", r"\.segkit/0\d_\w+\.new"),
    "rename of an older folder aside": ("os.rename", r"reports/[^/]+/0\d_\w+$"),
    "rename of run.json": ("os.rename", r"\.run\.json\."),
    "rename of batch.json": ("os.rename", r"\.batch\.json\."),
    "rename of a manifest": ("os.rename", r"\.manifest\.json\."),
    "rename of a linked report": ("os.rename", r"\.report\.html\."),
    "rename of the index": ("os.rename", r"\.index\.html\."),
    "rename of the parts": ("os.rename", r"private/\.\w+\.part"),
    "rename of status.json": ("os.rename", r"\.status\.json\."),
    "opening the index": ("open", r"\.index\.html\."),
    "opening run.json": ("open", r"\.run\.json\."),
    "opening a lock": ("open", r"\.new\.\w+\.lock$"),
    "removing an older folder": ("shutil.rmtree", r"\.old\."),
    "removing a scratch folder": ("shutil.rmtree", r"segkit-\d+-"),
    "making a scratch folder": ("os.mkdir", r"segkit-\d+-"),
    "making a folder aside": ("os.mkdir", r"\.segkit/0\d_\w+\.new"),
}
OF_BATCHES = ("rename of batch.json", "rename of the parts")
HIT = """
import os, re, signal, sys
place = os.environ.get("SEGKIT_KILL_PLACE")
if place:
    event, pattern, number = open(os.path.join(place, "aim")).read().split("\\n")
    wanted, left = re.compile(pattern), int(number)

    def hit(name, arguments):
        global left
        if name != event or not arguments or left <= 0:
            return
        if wanted.search(str(arguments[0]).rstrip("/")):
            left -= 1
            if left == 0:
                try:
                    os.close(os.open(os.path.join(place, "hit"), os.O_CREAT | os.O_EXCL))
                except FileExistsError:
                    return
                os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(hit)
"""


# Stands in for kernels and rendering: writes what a notebook promises, at once.
STUBS = """
import json, sys, types
from pathlib import Path
from segkit.runner import process
from segkit.runner.manifest import make_scratch, remove_scratch

class Stub:
    usable = True

    def __init__(self, *_, **__):
        self.folder = make_scratch()
        self.executed = self.folder / "executed.ipynb"

    def execute(self, notebook, parameters, context, **_):
        self.executed.write_bytes(notebook.read_bytes())
        folder = Path(context["folder"])
        for name in context["writes"]:
            (folder / "data" / f"{name}.json").write_text(json.dumps(parameters))
        summary = {"headline": f"Made with {parameters}.", "skips": [], "answers": []}
        (folder / "summary.json").write_text(json.dumps(summary))
        return {"status": "done", "error": None, "peak_memory_bytes": 1}

    def end(self):
        pass

    def close(self):
        remove_scratch(self.folder)

def write_report(folder, *_, **__):
    # What links reports to one another looks for these.
    page = "<html><title>x – run</title><!--nav--><!--/nav--><!--pager--><!--/pager--></html>"
    (folder / "report.html").write_text(page, encoding="utf-8")

process.Worker = Stub
process.import_nbformat = lambda: None
sys.modules["segkit.report.render"] = types.ModuleType("render")
sys.modules["segkit.report.render"].write_report = write_report
"""


class Killed:
    """A place in which one batch is started and killed."""

    def __init__(self, place, words, *, kernels=True):
        self.place, self.words, self.name = place, words, uuid.uuid4().hex
        self.code = "from segkit.cli import main; main()"
        if not kernels:
            self.code = STUBS + self.code
        self.scratch = place / "scratch"
        self.scratch.mkdir(exist_ok=True)

    def aim(self, rng):
        """Choose at which call a process is to be hit; return the aim's name."""
        name = rng.choice([aim for aim in AIMS if "--by" in self.words or aim not in OF_BATCHES])
        event, pattern = AIMS[name]
        hook = self.place / "hook"
        hook.mkdir(exist_ok=True)
        (hook / "sitecustomize.py").write_text(HIT)
        (hook / "hit").unlink(missing_ok=True)
        (hook / "aim").write_text(f"{event}\n{pattern}\n{rng.randint(1, 2)}")
        return name

    def start(self, seed, *, aimed=False):
        environment = {**os.environ, MARK: self.name, "TMPDIR": str(self.scratch)}
        if aimed:
            hook = str(self.place / "hook")
            paths = [hook, *filter(None, [environment.get("PYTHONPATH")])]
            environment |= {"SEGKIT_KILL_PLACE": hook, "PYTHONPATH": os.pathsep.join(paths)}
        words = [sys.executable, "-c", self.code, "run", *self.words, "-p", f"seed={seed}"]
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


def try_out(place, words, kills, *, longest, seed=0, told=None, aimed=False, kernels=True):
    """Kill a batch so many times, and return what was seen.

    Returns
    -------
    dict
        kills, runs that came through, the longest time until every process was gone (seconds),
        how often each aim was hit, and the digests of what the last whole run left.
    """
    rng = random.Random(seed)  # noqa: S311 - when to kill
    batch, done, before, slowest, killed = Killed(place, words, kernels=kernels), 0, set(), 0.0, 0
    hits = Counter()
    while True:
        aiming = aimed and killed < kills
        name = batch.aim(rng) if aiming else "any moment"
        process = batch.start(done, aimed=aiming)
        try:
            code = process.wait(rng.uniform(0, longest) if killed < kills and not aimed else None)
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGKILL)
            code = process.wait()
        hit = aiming and (place / "hook" / "hit").exists()
        if hit or code == -signal.SIGKILL:
            killed += 1
            hits[name] += 1
            slowest = max(slowest, batch.wait_alone())
            before |= batch.check(before)
            if told:
                ended = f"exit code {code}, {len(before)} reports whole"
                print(f"kill {killed}: {name}: {ended}", file=told, flush=True)
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
    left += [p.name for p in (place / "reports").rglob(".*.new")]
    seen = {"kills": killed, "came_through": done, "slowest": slowest, "left": left}
    return seen | {
        "hits": dict(hits),
        "scratch": [p.name for p in batch.scratch.iterdir()],
        "contents": batch.contents(),
    }


def main():
    reader = argparse.ArgumentParser(description=__doc__)
    reader.add_argument("--kills", type=int, default=50)
    reader.add_argument("--longest", type=float, default=12.0, help="seconds until a kill, at most")
    reader.add_argument("--real", action="store_true", help="the case study's notebooks 01 and 02")
    reader.add_argument(
        "--without-kernels", dest="kernels", action="store_false", help="one run of stubs, quick"
    )
    reader.add_argument("--aimed", action="store_true", help="at renames and writing, not by time")
    reader.add_argument("--seed", type=int, default=0)
    given = reader.parse_args()
    with tempfile.TemporaryDirectory() as name:
        place = Path(name)
        if given.real:
            (place / "notebooks").symlink_to(Path(__file__).resolve().parents[2] / "notebooks")
        else:
            lay_out(place)
        words = REAL if given.real else TOY if given.kernels else SINGLE
        asked = {"longest": given.longest, "seed": given.seed, "aimed": given.aimed}
        asked |= {"kernels": given.kernels}
        seen = try_out(place, words, given.kills, told=sys.stdout, **asked)
        last = Killed(place, words, kernels=given.kernels)
        undisturbed = place / "again"
        undisturbed.mkdir()
        other = Killed(undisturbed, words, kernels=given.kernels)
        (undisturbed / "notebooks").symlink_to(place / "notebooks")
        if not given.real:
            (undisturbed / "shop.csv").write_bytes((place / "shop.csv").read_bytes())
        assert other.start(seen["came_through"] - 1).wait() == 0
        assert last.contents() == other.contents()
        print({name: value for name, value in seen.items() if name != "contents"})
        print(f"{len(last.contents())} files as in a run that nobody disturbed")


if __name__ == "__main__":
    main()
