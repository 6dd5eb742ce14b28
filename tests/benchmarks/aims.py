"""Every aim of speed, measured beside its peer: the table of ``docs/benchmarks.md``.

``python -m tests.benchmarks --aims`` prints aim, measured ratio, met or not (about twelve minutes
on two idle cores); ``--quick`` takes a tenth of the rows; ``--write`` rewrites
``docs/benchmarks.md``; names (``core lift``) choose parts. Each part runs in a fresh process.
Ratios are medians over rounds in which all tasks run one after the other. Times are by the clock;
where the aim speaks of processor time the line says so.
"""

import argparse
import contextlib
import importlib.metadata
import importlib.util
import io
import json
import os
import platform
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from datetime import date
from pathlib import Path

import numpy as np

from tests.benchmarks import bench_features, bench_intake
from tests.benchmarks._common import Run, in_child, interleaved

ME = "tests.benchmarks.aims"
PAGE = Path(__file__).parents[2] / "docs" / "benchmarks.md"
LIBRARIES = ("polars", "duckdb", "narwhals", "numpy", "scikit-learn", "lifetimes", "tea-tasting")


def times(task, runs):
    """Return the clock's seconds of some runs, after one to warm up."""
    task()
    return [run.wall for run in interleaved({"": task}, rounds=runs)[""]]


def aim(what, value, bound, *, unit="x", most=False, note=""):
    """Return a line of the table: at least ``bound``, or at most."""
    met = bool(value <= bound if most else value >= bound)
    told = f"{'at most' if most else 'at least'} {bound:g} {unit}"
    return {"aim": what, "bound": told, "measured": f"{value:.3g} {unit}", "met": met, "note": note}


def versus(runs: dict[str, list[Run]], other, mine="segkit", by="wall"):
    """Return the median over the rounds of another task's time over ours."""
    pairs = zip(runs[other], runs[mine], strict=True)
    return statistics.median(getattr(a, by) / getattr(b, by) for a, b in pairs)


def seconds_of(runs, name="segkit"):
    """Describe a task's median seconds."""
    wall, worked = (statistics.median(column) for column in zip(*runs[name], strict=True))
    return f"{name} {wall:.2f} s (processor {worked:.2f} s)"


@contextlib.contextmanager
def lines_of(n):
    """Write order lines to a folder of their own."""
    with tempfile.TemporaryDirectory() as folder:
        path = str(Path(folder) / "lines.parquet")
        bench_features.write_lines(path, n)
        yield path


def core(quick):
    """Core features beside DuckDB's SQL, hand-written Polars and lifetimes."""
    n, told = (1_000_000, "1 million") if quick else (10_000_000, "10 million")
    with lines_of(n) as path:
        frame = bench_features.pandas_lines(path)
        bench_features.check_equal(path, frame)
        tasks = {
            "segkit": lambda: bench_features.ours(path),
            "DuckDB": lambda: bench_features.by_sql(path),
            "Polars": lambda: bench_features.by_hand(path),
            "segkit on DuckDB": lambda: bench_features.ours(path, "duckdb"),
        }
        runs = interleaved(tasks, rounds=5)
        slow = {"segkit": tasks["segkit"], "lifetimes": lambda: bench_features.by_lifetimes(frame)}
        peer = interleaved(slow, rounds=2)
    each = ", ".join(seconds_of(runs, name) for name in tasks)
    work = versus(runs, "DuckDB", by="processor")
    what = f"core features, {told} lines"
    return [
        aim(f"{what}: speed of DuckDB's SQL, sums exact in both", versus(runs, "DuckDB"), 0.95,
            note=f"{each}; by processor {work:.2f}"),
        aim(f"{what}: speed of lifetimes", versus(peer, "lifetimes"), 10,
            note=f"by processor {versus(peer, 'lifetimes', by='processor'):.1f}"),
    ]  # fmt: skip


def large(quick):
    """Core features of five times the lines beside DuckDB's SQL, and their memory."""
    n, told = (5_000_000, "5 million") if quick else (50_000_000, "50 million")
    with lines_of(n) as path:
        found = in_child("tests.benchmarks.bench_features", "--child", path, "core")
        tasks = {
            "segkit": lambda: bench_features.ours(path),
            "DuckDB": lambda: bench_features.by_sql(path),
        }
        runs = interleaved(tasks, rounds=3)
    each = ", ".join(seconds_of(runs, name) for name in tasks)
    work = versus(runs, "DuckDB", by="processor")
    return [
        aim(f"core features, {told} lines: speed of DuckDB's SQL", versus(runs, "DuckDB"), 0.95,
            note=f"{each}; by processor {work:.2f}"),
        aim(f"core features, {told} lines: peak memory", found["peak"], 2.5, unit="GiB", most=True),
    ]  # fmt: skip


def categories(quick):
    """Features by category beside the core features."""
    from segkit.features import build_features

    n, told = (1_000_000, "1 million") if quick else (10_000_000, "10 million")
    with lines_of(n) as path:
        tasks = {
            "segkit": lambda: bench_features.ours(path),
            "categories": lambda: build_features(path, features=["categories"]),
        }
        runs = interleaved(tasks, rounds=3)
    each = ", ".join(seconds_of(runs, name) for name in tasks)
    return [aim(f"category features, {told} lines: time of the core features",
                versus(runs, "categories"), 2, most=True, note=each)]  # fmt: skip


def command(*words, expect=(0,)):
    """Run segkit's command in a process of its own: seconds by the clock and of the processor."""
    started, before = time.perf_counter(), resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run(
        [sys.executable, *words], check=False, capture_output=True, text=True, timeout=600
    )
    if done.returncode not in expect:
        raise RuntimeError(f"{' '.join(words)} ended with {done.returncode}: {done.stderr[-600:]}")
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    worked = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return Run(time.perf_counter() - started, worked)


def check(quick):
    """Audit of 1.5 million lines from the command line, imports included."""
    found = []
    with tempfile.TemporaryDirectory() as folder:
        for path in bench_intake.write_grocer(Path(folder)):
            words = ("-m", "segkit", "check", str(path))
            took = [command(*words, expect=(0, 1, 2, 3)) for _ in range(2 if quick else 5)]
            kind = "CSV" if path.suffix == ".csv" else "Parquet"
            wall, worked = (statistics.median(column) for column in zip(*took, strict=True))
            what = f"segkit check, 1.5 million lines of {kind}, imports included"
            told = f"processor {worked:.1f} s"
            found.append(aim(what, wall, 5, unit="s", most=True, note=told))
    return found


def start(quick):
    """Import, help and the report of a notebook; what is printed at exit."""
    runs = 3 if quick else 9
    code = "import time; t = time.perf_counter(); import segkit; print(time.perf_counter() - t)"
    imports = [
        float(subprocess.check_output([sys.executable, "-c", code], text=True)) for _ in range(runs)
    ]
    helps = [command("-m", "segkit", "--help").wall for _ in range(runs)]
    with tempfile.TemporaryDirectory() as folder:
        command("-m", "segkit", "run", "01", "--source", "simulated", "--out", folder,
                "-p", "customers=600")  # fmt: skip
        from segkit.report.render import write_report

        (executed,) = Path(folder).rglob("01_data_audit.ipynb")
        manifest = json.loads((executed.parent / "manifest.json").read_text(encoding="utf-8"))
        rendered = times(
            lambda: write_report(executed.parent, executed.stem, manifest, run_name="simulated"),
            runs,
        )
    with lines_of(20_000) as path:
        code = "import sys; from segkit.features import build_features as b; b(sys.argv[1], "
        code += "engine='duckdb')"
        done = subprocess.run(
            [sys.executable, "-c", code, path], check=True, capture_output=True, text=True
        )
    noise = len(done.stdout.splitlines()) + len(done.stderr.splitlines())
    limits = (("import segkit", imports, 0.1), ("segkit --help", helps, 0.4),
              ("a report rendered (notebook 01, executed)", rendered, 0.3))  # fmt: skip
    return [
        *(aim(what, statistics.median(took), most, unit="s", most=True)
          for what, took, most in limits),
        aim("features on DuckDB: lines printed at exit", noise, 0, unit="lines", most=True),
    ]  # fmt: skip


def lift(quick):
    """`measure_lift` beside tea-tasting, and a bootstrap of a million customers."""
    import segkit
    from segkit.lift import compute_uplift_curve
    from tests.benchmarks.bench_lift import make, peer

    n = 200_000 if quick else 1_000_000
    told = f"{n:,} customers"
    rng = np.random.default_rng(0)
    treated, score = rng.random(n) < 0.5, rng.random(n)
    outcome = (rng.random(n) < 0.05 + 0.05 * score * treated).astype(np.int8)
    drawn = interleaved(
        {"": lambda: compute_uplift_curve(outcome, score, treated, repeats=50)}, rounds=5
    )
    drawn = statistics.median(run.processor for run in drawn[""])
    found = [aim(f"bootstrap of an uplift curve, {told}, 50 resamples of all (processor)",
                 drawn, 0.3, unit="s", most=True)]  # fmt: skip
    table = make(n)
    whole = times(lambda: segkit.measure_lift(table, control="holdout"), 3)
    took = f"all arms, segments and metrics {statistics.median(whole):.2f} s"
    if importlib.util.find_spec("tea_tasting") is None:
        line = {"aim": f"measure_lift, {told}: speed of tea-tasting", "bound": "at least 1 x",
                "measured": "", "met": False}  # fmt: skip
        return [{**line, "note": f"not measured: tea-tasting is not installed; {took}"}, *found]
    tasks = peer(n)
    for task in tasks.values():
        task()
    runs = interleaved(tasks, rounds=9)
    each = ", ".join(seconds_of(runs, name) for name in tasks)
    return [
        aim(f"measure_lift, {told}: speed of tea-tasting, clock",
            versus(runs, "tea-tasting", "segkit measure_lift"), 1, note=f"{each}; {took}"),
        aim(f"measure_lift, {told}: speed of tea-tasting, processor",
            versus(runs, "tea-tasting", "segkit measure_lift", "processor"), 1),
        *found,
    ]  # fmt: skip


def stability(quick):
    """Refits of the stability beside a loop of full k-means refits."""
    from segkit.stats.threads import single_thread
    from tests.benchmarks.bench_stability import compare, population

    X = population(20_000 if quick else 100_000)
    with single_thread():
        ratios = {k: compare(X, k, refits=6 if quick else 12) for k in (4, 8)}
    return [aim(f"stability, {len(X):,} x 8, k = {k}: speed of the naive loop (processor)", x, 8)
            for k, x in ratios.items()]  # fmt: skip


def kmeans(quick):
    """k-means beside ten full starts of scikit-learn's."""
    from tests.benchmarks.bench_kmeans import kmeans as compare

    n = 100_000 if quick else 1_000_000
    seeds = 3 if quick else 10
    ratio, gap = compare(n, seeds)
    return [
        aim(f"k-means, {n:,} x 8, k = 8: speed of scikit-learn, one thread each", ratio, 12),
        aim(
            f"k-means: sum of squares above scikit-learn's, relative, worst of {seeds} seeds",
            gap,
            0,
            unit="",
            most=True,
        ),
    ]


def factor(quick):
    """Whole factor analysis of a survey, complete and with gaps."""
    from tests.benchmarks.bench_factor import analyse, survey

    n = 100_000 if quick else 1_000_000
    found = []
    for missing, most in ((0.0, 1.0), (0.02, 2.0)):
        frame = survey(n, 30, 5, missing=missing)
        took = times(lambda frame=frame: analyse(frame, frame.columns), 3)
        gaps = ", 2% missing" if missing else ""
        found.append(aim(f"factor analysis, {n:,} x 30{gaps}", statistics.median(took), most,
                         unit="s", most=True))  # fmt: skip
    return found


def case_study(quick):
    """All notebooks of the simulated retailer, with kernels and reports, two at a time."""
    from tests.benchmarks.bench_case_study import run_whole

    customers = 600 if quick else 20_000
    with tempfile.TemporaryDirectory() as folder:
        wall, worked, chain = run_whole(Path(folder), customers)
    return [aim(f"segkit run, all notebooks, {customers:,} customers", wall, 120, unit="s",
                most=True, note=f"processor {worked:.0f} s; {chain}")]  # fmt: skip


def growth(quick):
    """Seconds over three decades of size."""
    import segkit
    from segkit.cluster.kmeans import fit_kmeans
    from segkit.features import build_features
    from tests.benchmarks.bench_factor import analyse, survey
    from tests.benchmarks.bench_lift import make
    from tests.benchmarks.bench_ward import data

    def features(n, **options):
        with lines_of(n) as path:
            return times(lambda: build_features(path, **options), 2)

    def lift_of(n):
        frame = make(n)
        return times(lambda: segkit.measure_lift(frame, control="holdout"), 2)

    def factors_of(n):
        frame = survey(n, 30, 5)
        return times(lambda: analyse(frame, frame.columns), 2)

    def kmeans_of(n):
        X = data(n)
        return times(lambda: fit_kmeans(X, 8, starts=10, seed=0), 2)

    tasks = {
        "core features (lines)": (10_000_000, lambda n: features(n, features=["core"])),
        "category features (lines)": (10_000_000, lambda n: features(n, features=["categories"])),
        "all features, no events (lines)": (10_000_000, features),
        "measure_lift, whole table (customers)": (10_000_000, lift_of),
        "k-means, k = 8 (customers x 8)": (1_000_000, kmeans_of),
        "factor analysis (answers x 30)": (1_000_000, factors_of),
    }
    rows = []
    for what, (top, task) in tasks.items():
        top //= 10 if quick else 1
        sizes = [top // 10**k for k in (3, 2, 1, 0)]
        took = [statistics.median(task(n)) for n in sizes]
        each = {f"{n:,}": round(s, 4) for n, s in zip(sizes, took, strict=True)}
        rows.append({"growth": what, "seconds": each})
        print(f"{what}: " + ", ".join(f"{n} in {s:.3f} s" for n, s in each.items()), flush=True)
    return rows


PARTS = {part.__name__: part for part in (core, large, categories, check, start, lift, stability,
                                          kmeans, factor, case_study, growth)}  # fmt: skip


def machine():
    """Describe the machine without its name: cores, memory, versions."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    versions = []
    for name in LIBRARIES:
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            versions.append(f"{name} {importlib.metadata.version(name)}")
    return (
        f"{os.cpu_count()} cores ({platform.machine()}), {memory:.0f} GiB of memory, "
        f"{platform.system()}, Python {platform.python_version()}, {', '.join(versions)}; "
        f"processes ready to run at the start: {os.getloadavg()[0]:.1f}"
    )


def write_page(found, described, quick):
    """Write the page of benchmarks."""
    aims = [row for row in found if "aim" in row]
    grown = [row for row in found if "growth" in row]
    words = " --quick" if quick else ""
    head = f"""# Benchmarks

Written by `python -m tests.benchmarks --aims --write{words}` on {date.today()}. Each part runs in a
process of its own; what is compared runs in turn, and a ratio is the median over the rounds.

Machine: {described}.

## Aims

| what | aim | measured | met |
|---|---|---|---|"""
    text = [head]
    for a in aims:
        met = "yes" if a["met"] else "**no**"
        text.append(f"| {a['aim']} | {a['bound']} | {a['measured']} | {met} |")
    text += ["\nIn seconds:\n", *(f"- {a['aim']}: {a['note']}" for a in aims if a["note"])]
    if grown:
        told = "Seconds, and in brackets the number of rows; each size is ten times the one before."
        text.append(f"\n## How costs grow\n\n{told}\n\n| what | | | | |\n|---|---|---|---|---|")
    for g in grown:
        cells = [g["growth"], *(f"{s:.3g} ({n})" for n, s in g["seconds"].items())]
        text.append(f"| {' | '.join(cells)} |")
    PAGE.write_text("\n".join(text) + "\n", encoding="utf-8")
    print(f"written: {PAGE.name}")


def main():
    """Run the parts in fresh processes and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("parts", nargs="*", help=f"of {', '.join(PARTS)}")
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--write", action="store_true")
    parser.add_argument("--child", choices=sorted(PARTS))
    options = parser.parse_args()
    if options.child:
        told = io.StringIO()
        with contextlib.redirect_stdout(told):
            found = PARTS[options.child](options.quick)
        print(json.dumps({"found": found}), flush=True)
        os._exit(0)  # the peers' own warnings at exit are theirs
    if unknown := set(options.parts) - set(PARTS):
        parser.error(f"no such part: {', '.join(sorted(unknown))}; there are {', '.join(PARTS)}")
    described, found, failed = machine(), [], 0
    print(f"{described}\n", flush=True)
    for name in options.parts or PARTS:
        started = time.perf_counter()
        try:
            answer = in_child(ME, "--child", name, *(["--quick"] if options.quick else []))
        except subprocess.CalledProcessError as error:
            failed += 1
            print(f"{name} failed:\n{error.stderr[-2000:]}", flush=True)
            continue
        for row in answer["found"]:
            if "growth" in row:
                print(row["growth"], row["seconds"], flush=True)
                continue
            met = "met" if row["met"] else "NOT MET"
            print(f"{met:<8} {row['aim']}: {row['measured']} ({row['bound']})", flush=True)
        found += answer["found"]
        print(f"         [{name}: {time.perf_counter() - started:.0f} s]", flush=True)
    if options.write:
        write_page(found, described, options.quick)
    sys.exit(failed)


if __name__ == "__main__":
    main()
