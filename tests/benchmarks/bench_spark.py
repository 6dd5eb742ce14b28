"""Spark on local[2]: features, compressed clustering and scoring, at two sizes.

Polars' features of the same lines stand beside them.

``python -m tests.benchmarks.bench_spark`` with 2 and 8 million lines (``--quick``: a tenth of it),
``--lines N`` for another smaller size, ``--cores N``. Each run has a fresh process. Processor
seconds are those of Spark's Java process and its Python workers; start-up is not counted. What a
further row costs is the difference between the two sizes. Skipped without PySpark.
"""

import argparse
import importlib.util
import json
import os
import tempfile
import time
from pathlib import Path
from urllib.request import urlopen

from segkit.features import build_features
from tests.benchmarks._common import in_child
from tests.benchmarks.bench_features import write_lines

FEATURES = ["core", "rates", "returns"]
VARIABLES = ["recency_days", "orders_per_year", "order_value_mean", "return_share"]
STEPS = {"features": "lines", "clustering": "customers", "scoring": "customers"}  # rows of each


def processor():
    """Give the processor seconds so far of this process and all below it (Linux)."""
    ticks, parents = {}, {}
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            text = path.read_text(encoding="ascii", errors="replace")
        except OSError:
            continue
        fields = text.rpartition(")")[2].split()
        own = int(path.parent.name)
        parents[own] = int(fields[1])
        ticks[own] = sum(map(int, fields[11:15]))  # its ended children's too
    total = 0
    for one, spent in ticks.items():
        above = one
        while above not in (0, os.getpid()):
            above = parents.get(above, 0)
        total += spent if above else 0
    return total / os.sysconf("SC_CLK_TCK")


def shuffled(session):
    """Give the bytes that Spark has written for its shuffles so far."""
    context = session.sparkContext
    address = f"{context.uiWebUrl}/api/v1/applications/{context.applicationId}/stages"
    with urlopen(address, timeout=600) as answer:  # noqa: S310 - Spark's own page
        return sum(stage["shuffleWriteBytes"] for stage in json.load(answer))


def measure(cores, path, folder):
    """Run the three steps in a fresh process and print their seconds."""
    from segkit import spark
    from segkit.cluster import fit_two_step
    from segkit.cluster.fit import cluster_customers
    from segkit.cluster.matrix import feature_rows
    from segkit.spark.clustering import compress, draw_customers

    session = spark.open_session(
        f"local[{cores}]",
        spark__sql__shuffle__partitions=str(4 * int(cores)),
        spark__driver__memory="3g",
        spark__driver__host="127.0.0.1",
        spark__ui__showConsoleProgress="false",
        spark__log__level="ERROR",
    )
    session.range(1000).mapInArrow(lambda batches: batches, "id bigint").count()
    found = {}

    def run(name, task):
        before, started, worked = shuffled(session), time.perf_counter(), processor()
        value = task()
        wall, work = time.perf_counter() - started, processor() - worked
        found[name] = {"wall": wall, "work": work, "shuffled": shuffled(session) - before}
        return value

    customers, scores = f"{folder}/customers", f"{folder}/scores"
    run("features", lambda: spark.build_table(session, path, features=FEATURES)
        .frame.write.parquet(customers))  # fmt: skip
    table = session.read.parquet(customers)
    found["customers"] = table.count()
    chosen = draw_customers(table, 2000, 0)
    model = cluster_customers(chosen, features=VARIABLES, k=5).model
    X = model.transform.apply(feature_rows(chosen, VARIABLES))
    seeds = fit_two_step(X, micro=1000).centres
    run("clustering", lambda: compress(table, model.transform, seeds).find_centres(5))
    run("scoring", lambda: spark.score_table(model, table).write.parquet(scores))
    session.stop()
    print(json.dumps(found))


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--lines", type=int)
    parser.add_argument("--cores", type=int, default=2)
    parser.add_argument("--child", nargs=3)
    options = parser.parse_args()
    if options.child:
        measure(*options.child)
        return
    if importlib.util.find_spec("pyspark") is None:
        print("skipped: needs the extra spark (make test-spark sets up .venv-spark)")
        return
    smaller = options.lines or (200_000 if options.quick else 2_000_000)
    runs = []
    for lines in (smaller, 4 * smaller):
        with tempfile.TemporaryDirectory() as folder:
            path = str(Path(folder) / "lines.parquet")
            write_lines(path, lines)
            worked = time.process_time()
            build_features(path, features=FEATURES)
            print(f"{lines:,} lines in Polars: processor {time.process_time() - worked:.1f} s")
            work = [str(options.cores), path, str(Path(folder) / "spark")]
            runs.append(in_child("tests.benchmarks.bench_spark", "--child", *work))
        runs[-1]["lines"] = lines
        print(f"{lines:,} lines, {runs[-1]['customers']:,} customers, local[{options.cores}]")
        for step, what in STEPS.items():
            one, rows = runs[-1][step], runs[-1][what]
            print(
                f"  {step:<11}{one['wall']:8.1f} s on the clock, processor {one['work']:7.1f} s, "
                f"{rows / one['work']:10,.0f} {what} a second; shuffled "
                f"{one['shuffled'] / rows:6.1f} bytes each",
                flush=True,
            )
    small, large = runs
    for step, what in STEPS.items():
        each = (large[step]["work"] - small[step]["work"]) / (large[what] - small[what])
        print(f"{step}: {1e6 * each:.1f} µs of processor for each of the further {what}")


if __name__ == "__main__":
    main()
