"""Memory and time from a raw file to segments by way of a work folder, summed over processes.

``python -m tests.benchmarks.bench_large`` at one million lines and 100 thousand customers;
``--lines N --customers N``, ``--csv`` for text beside Parquet, ``--partitions N``, ``--folder F``
for the files (kept there, so that a later call goes on), ``--memory`` to run `segkit.segment` in
memory too and to compare features, ledger and, where all customers are in the sample, segments.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import polars as pl
from polars.testing import assert_frame_equal

MODULE = "tests.benchmarks.bench_large"
MAPPING = {
    "orders": {
        "columns": {
            "customer_id": "customer_id",
            "order_id": "order_id",
            "order_time": "order_date",
            "amount": "amount",
            "status": "status",
            "category": "category",
            "channel": "channel",
        }
    }
}


def write_raw(path, lines, customers):
    """Write raw lines in order of time: three an order, 3% returns, 1% nameless, 1% cancelled."""
    import duckdb

    csv = str(path).endswith(".csv")
    form = "format csv, header" if csv else "format parquet, row_group_size 250000"
    with duckdb.connect() as connection:
        connection.execute("set memory_limit = '2GB'")
        connection.execute("set enable_progress_bar = false")
        connection.execute("set preserve_insertion_order = true")
        connection.execute(f"""
            copy (
                select
                    case when hash(k * 5) % 100 > 0 then
                    'C' || lpad(cast(cast(floor({customers}
                        * pow((hash(k * 2 + 1) % 100000007) / 100000007.0, 1.5)) as bigint)
                        as varchar), 8, '0') end as customer_id,
                    'O' || lpad(cast(k as varchar), 9, '0') as order_id,
                    date '2022-04-01' + cast(k * 730 // {lines // 3 + 1} as integer) as order_date,
                    round(1 + (hash(i * 7 + 3) % 10007) / 100.0, 2)
                        * case when k % 33 = 0 then -1 else 1 end as amount,
                    case when hash(k * 9) % 100 > 0 then 'paid' else 'cancelled' end as status,
                    'category ' || (hash(i * 11) % 12) as category,
                    'channel ' || (k % 3) as channel
                from (select i, i // 3 as k from range({lines}) lines(i))
            ) to '{path}' ({form})
        """)


def run_child(source, work, partitions):
    """Segment in this process; print what the parent compares."""
    from segkit.large import segment_files
    from segkit.progress import watched_by

    shown = {"at": 0.0}

    def watch(what, done, total):
        if time.monotonic() - shown["at"] > 20 or done == total:
            shown["at"] = time.monotonic()
            print(f"{time.process_time():8.0f} s  {what}: {done} of {total}", file=sys.stderr)

    parts = "auto" if partitions is None else partitions
    with watched_by(watch):
        found = segment_files(source, work, mapping=MAPPING, partitions=parts)
    answer = {
        "processor": time.process_time(),
        "seconds": found.seconds,
        "customers": found.customers,
        "parts": found.parts,
        "segments": found.segments.to_dicts(),
        "rejected": found.ledger.reasons(),
        "folders": [str(f) for f in (found.orders, found.features, found.assignments)],
        "text": found.text,
    }
    print(json.dumps(answer))


def resident(process):
    """Add up the resident memory of a process and all that it started, in GiB (Linux)."""
    try:
        status = Path(f"/proc/{process}/status").read_text(encoding="utf-8", errors="replace")
        tasks = list(Path(f"/proc/{process}/task").iterdir())
        children = " ".join((task / "children").read_text(encoding="ascii") for task in tasks)
    except OSError:  # it has ended
        return 0.0
    size = int(status.partition("VmRSS:")[2].split()[0]) / 2**20 if "VmRSS:" in status else 0.0
    return size + sum(resident(child) for child in children.split())


def measure(source, work, partitions):
    """Run a fresh process over a file, and watch the memory of all its processes."""
    command = [sys.executable, "-m", MODULE, "--child", str(source), str(work)]
    command += [] if partitions is None else ["--partitions", str(partitions)]
    started, peak, stop = time.perf_counter(), [0.0], threading.Event()
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as child:

        def watch():
            while not stop.wait(0.5):
                peak[0] = max(peak[0], resident(child.pid))

        watcher = threading.Thread(target=watch)
        watcher.start()
        out, _ = child.communicate()
        stop.set()
        watcher.join()
    if child.returncode:
        raise SystemExit(f"the run failed with {child.returncode}")
    answer = json.loads([line for line in out.splitlines() if line.startswith("{")][-1])
    wall = time.perf_counter() - started
    size = Path(source).stat().st_size / 2**30
    disk = sum(f.stat().st_size for f in Path(work).rglob("*") if f.is_file()) / 2**30
    print(
        f"{Path(source).name}: {size:.2f} GiB, {answer['customers']:,} customers in "
        f"{answer['parts']} parts; peak {peak[0]:.2f} GiB over all processes, {wall:.0f} s on the "
        f"clock, {answer['processor']:.0f} s of processor; work folder {disk:.2f} GiB; load "
        f"{os.getloadavg()[1]:.1f} on {os.cpu_count()} cores"
    )
    for name, seconds in answer["seconds"].items():
        print(f"  {name:<22} {seconds:8.1f} s")
    print("  segments:", json.dumps(answer["segments"]))
    print("  rejected:", answer["rejected"], flush=True)
    return answer


def in_memory(source, answer):
    """Compare with `segkit.segment`, which holds all rows."""
    import segkit
    from segkit.large.segments import SAMPLE_CUSTOMERS

    started, worked = time.perf_counter(), time.process_time()
    whole = segkit.segment(source, mapping=MAPPING)
    print(
        f"in memory: {time.perf_counter() - started:.0f} s on the clock, "
        f"{time.process_time() - worked:.0f} s of processor"
    )
    orders, features, assignments = (
        pl.read_parquet(f"{folder}/*.parquet") for folder in answer["folders"]
    )
    assert_frame_equal(orders.sort("source_row"), whole.intake.orders)
    assert_frame_equal(features.sort("customer_id"), whole.table.frame, check_exact=True)
    assert answer["rejected"] == whole.intake.ledger.reasons()
    print(f"equal clean lines, ledger and {features.width} features of {features.height:,}")
    if features.height <= SAMPLE_CUSTOMERS:
        mine = assignments.sort("customer_id").select(whole.assignments.columns)
        assert_frame_equal(mine, whole.assignments)
        print("equal segments")


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--lines", type=int, default=1_000_000)
    parser.add_argument("--customers", type=int, default=100_000)
    parser.add_argument("--csv", action="store_true")
    parser.add_argument("--partitions", type=int)
    parser.add_argument("--folder")
    parser.add_argument("--memory", action="store_true")
    parser.add_argument("--child", nargs=2)
    options = parser.parse_args()
    if options.child:
        run_child(*options.child, options.partitions)
        return
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(options.folder or temporary)
        folder.mkdir(exist_ok=True)
        answers = []
        for ending in ("parquet", "csv") if options.csv else ("parquet",):
            source = folder / f"orders-{options.lines}.{ending}"
            if not source.exists():
                write_raw(source, options.lines, options.customers)
            work = folder / f"work-{options.lines}-{ending}"
            answers.append(measure(source, work, options.partitions))
            if options.memory:
                in_memory(source, answers[-1])
        if options.csv:
            same = ("customers", "segments", "rejected")
            assert all(answers[0][name] == answers[1][name] for name in same)
            print("CSV and Parquet: equal customers, segments and rejected lines")


if __name__ == "__main__":
    main()
