"""Files larger than memory: the same lines, ledger, features and segments as in memory."""

import gzip
import os
import shutil
import signal
import subprocess
import sys
from datetime import date, timedelta
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import polars as pl
import pytest
from polars.testing import assert_frame_equal

import segkit
from segkit.cli import invoke
from segkit.cluster.batches import draw_customers
from segkit.errors import DataError, MappingError, ParameterError, SourceError
from segkit.features.build import plan_features
from segkit.intake.mapping import Mapping
from segkit.large import gates, job, score_large_files, segment_files
from segkit.large import work as work_folder
from segkit.large.chunks import RawFile, list_files
from segkit.large.work import Stage, Work
from segkit.pipeline import link_source
from segkit.progress import Stopped, watched_by

NAMES = {
    "customer_id": "Customer",
    "order_id": "Order",
    "order_time": "Date",
    "amount": "Amount",
    "status": "Status",
    "category": "Category",
    "channel": "Channel",
}
MAPPING = {"orders": {"columns": NAMES, "duplicates": "drop"}}


def messy_lines(n=2_400, customers=160, seed=1):
    """Return lines as text with defects: repeats, no customer, no date, words for amounts."""
    rng = np.random.default_rng(seed)
    start = date(2023, 1, 1)
    days = [start + timedelta(days=int(d)) for d in np.sort(rng.integers(0, 700, n))]
    money = [f"{a:,.2f} €".translate(str.maketrans(",.", ".,")) for a in rng.gamma(3, 20, n)]
    who = rng.integers(0, customers, n)
    category = np.where(rng.random(n) < 0.5, who % 14, rng.integers(0, 14, n))  # each has its own
    frame = pl.DataFrame(
        {
            "Customer": [f"K{c:03}" if c >= 5 else None for c in who],
            "Order": [f"R{i // 3}" for i in range(n)],
            "Date": [
                day.strftime("%d.%m.%Y") if i % 97 else "32.13.2023" for i, day in enumerate(days)
            ],
            "Amount": [
                "n.a." if i % 101 == 0 else f"-{text}" if i % 53 == 0 else text
                for i, text in enumerate(money)
            ],
            "Status": np.array(["paid", "paid", "paid", "cancelled"])[rng.integers(0, 4, n)],
            "Category": [f"cat {c}" for c in category],
            "Channel": [["web", "store", None][c] for c in rng.integers(0, 3, n)],
        }
    )
    return pl.concat([frame, frame[100:140]])


def small_blocks(monkeypatch, size=40_000, rows=700):
    """Read text in blocks of few bytes and Parquet in few rows; few windows save time."""
    for module in ("segkit.pipeline", "segkit.large.segments"):
        monkeypatch.setattr(f"{module}.WINDOWS", (90,))
    opened = RawFile.open.__func__
    small = classmethod(lambda cls, path, table, given: opened(cls, path, table, given, block=size))
    monkeypatch.setattr(job.RawFile, "open", small)
    monkeypatch.setattr("segkit.large.chunks.ROWS", rows)


def read_all(folder, by):
    return pl.read_parquet(f"{folder}/*.parquet").sort(by)


def assert_same(found, whole):
    """Compare what the parts give with what all rows in memory give."""
    assert_frame_equal(read_all(found.orders, "source_row"), whole.intake.orders)
    assert_frame_equal(found.ledger.to_frame(), whole.intake.ledger.to_frame())
    assert found.ledger.parts == whole.intake.ledger.parts
    features = read_all(found.features, "customer_id")
    assert_frame_equal(features, whole.table.frame, check_exact=True)
    assigned = read_all(found.assignments, "customer_id")
    assert_frame_equal(assigned.select(whole.assignments.columns), whole.assignments)
    assert_frame_equal(found.profile.to_frame(), whole.profile.to_frame())
    assert found.table.notes == whole.table.notes
    assert found.table.definitions.equals(whole.table.definitions)


def contents(folder):
    """Return every file's bytes but the state's, by its place."""
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(Path(folder).rglob("*"))
        if path.is_file()
    }


@pytest.fixture(scope="module")
def messy(tmp_path_factory):
    folder = tmp_path_factory.mktemp("messy")
    messy_lines().write_csv(folder / "lines.csv")
    messy_lines().write_parquet(folder / "lines.parquet")
    return folder


@pytest.fixture(scope="module")
def undisturbed(messy):
    with pytest.MonkeyPatch.context() as patch:
        small_blocks(patch)
        return segment_files(
            messy / "lines.csv", messy / "work", mapping=MAPPING, k=3, partitions=3
        )


def test_parts_of_a_csv_file_give_what_memory_gives(messy, undisturbed, monkeypatch):
    small_blocks(monkeypatch)
    whole = segkit.segment(messy / "lines.csv", mapping=MAPPING, k=3)
    assert_same(undisturbed, whole)
    assert undisturbed.parts == 3
    assert set(whole.intake.ledger.reasons()) == {
        "missing_customer_id", "impossible_date", "cancelled", "bad_amount", "exact_duplicate",
    }  # fmt: skip
    revenue = whole.table.frame["monetary"].sum()
    assert undisturbed.segments["revenue"].sum() == pytest.approx(revenue, abs=1e-6)
    assert undisturbed.segments["customers"].sum() == whole.table.frame.height


def test_parquet_gives_the_same_files_as_csv(messy, undisturbed, tmp_path, monkeypatch):
    small_blocks(monkeypatch)
    found = segment_files(
        messy / "lines.parquet", tmp_path / "w", mapping=MAPPING, k=3, partitions=3
    )
    for name in ("orders", "features", "assignments"):
        mine, theirs = (contents(getattr(one, name)) for one in (found, undisturbed))
        assert mine == theirs
        assert len(mine) == 3
    assert found.segments.equals(undisturbed.segments)


def test_a_sample_of_the_customers_carries_the_model_and_all_are_counted(
    messy, undisturbed, tmp_path, monkeypatch
):
    small_blocks(monkeypatch)
    work = shutil.copytree(messy / "work", tmp_path / "work")
    monkeypatch.setattr("segkit.large.job.clean_part", None)  # nothing is cleaned again
    found = segment_files(messy / "lines.csv", work, mapping=MAPPING, k=3, partitions=3, sample=60)
    assert (found.sample, found.customers) == (60, undisturbed.customers)
    features = read_all(found.features, "customer_id")
    scored = found.model.score(features)
    assert_frame_equal(read_all(found.assignments, "customer_id"), scored)
    sizes = dict(scored["segment"].value_counts().iter_rows())
    assert {s.id: s.size for s in found.model.segments} == sizes
    assert "random sample of 60" in found.text


def test_a_saved_model_scores_a_file_in_parts_as_it_does_in_memory(messy, undisturbed, tmp_path):
    model, mapping = tmp_path / "model.json", tmp_path / "mapping.toml"
    undisturbed.model.save(model)
    Mapping.from_dict(MAPPING).save(mapping)
    whole = segkit.score_file(model, messy / "lines.csv", mapping=MAPPING)
    work = shutil.copytree(messy / "work", tmp_path / "work")  # cleaned already
    before = contents(work)
    args = ["score", str(model), str(messy / "lines.csv"), "--mapping", str(mapping)]
    args += ["--work", str(work)]
    assert invoke([*args, "--churn", "x.json"]) == 2
    found = score_large_files(model, messy / "lines.csv", work, mapping=MAPPING, partitions=3)
    mine = read_all(found.assignments, "customer_id")
    assert_frame_equal(mine, whole.assignments.sort("customer_id"))
    sizes = found.segments.select("segment", "segment_name", "customers", "customer_share")
    assert_frame_equal(sizes, whole.segments, check_dtypes=False)
    after = contents(work)
    assert all(after[name] == before[name] for name in before if name != "state.json")


def test_the_command_line_segments_a_file_and_scores_it(tmp_path, capsys, monkeypatch):
    small_blocks(monkeypatch)
    source, work, mapping = tmp_path / "o.parquet", tmp_path / "w", tmp_path / "mapping.toml"
    messy_lines(600, 70).write_parquet(source)
    Mapping.from_dict(MAPPING).save(mapping)
    args = [str(source), "--work", str(work), "--mapping", str(mapping)]
    parts = ["--partitions", "2"]
    assert invoke(["segment", *args, "-k", "2", *parts]) == 0
    model = next(work.glob("segments-*/segment_model.json"))
    shares = capsys.readouterr().out
    assert "customers in 2 segments" in shares
    assert invoke(["score", str(model), str(source), *parts]) == 2
    monkeypatch.setattr(job, "clean_part", None)  # nothing is cleaned again
    assert invoke(["score", str(model), *args, *parts]) == 0
    assert "assigned: S1" in capsys.readouterr().out
    for name in ("write_whole", "write_frame"):  # as on a disk that nobody can write
        monkeypatch.setattr(f"segkit.large.work.{name}", None)
    assert invoke(["segment", *args, "-k", "2", *parts]) == 0
    assert invoke(["segment", *args, "-k", "2", "--partitions", "0"]) == 2


KILLED = """
import os, signal
import tests.test_large as here
from segkit.large import work
import pytest
record, left = work.Stage.record, [{records}]
def killed(self, part, data):
    left[0] -= 1
    if not left[0]:
        os.kill(os.getpid(), signal.SIGKILL)
    return record(self, part, data)
work.Stage.record = killed
with pytest.MonkeyPatch.context() as patch:
    here.small_blocks(patch)
    here.segment_files({source!r}, {work!r}, mapping=here.MAPPING, k=3, partitions=3)
"""


def test_a_killed_process_goes_on_and_writes_the_same_bytes(
    messy, undisturbed, tmp_path, monkeypatch
):
    small_blocks(monkeypatch)
    source, work = str(messy / "lines.csv"), str(tmp_path / "work")
    chunks = len(list(RawFile.open(messy / "lines.csv", "orders", Mapping()).chunks()))
    code = KILLED.format(records=chunks + 2, source=source, work=work)  # in the second part
    root = Path(__file__).parents[1]
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=root,
        env=os.environ | {"PYTHONPATH": str(root)},
        check=False,
    )
    assert done.returncode == -signal.SIGKILL
    cleaned = list(Path(work).glob("clean-*/done/*.json"))
    assert [path.name for path in cleaned] == ["00000.json"]
    before = cleaned[0].stat().st_mtime_ns

    # Then stopped by its user at every kind of step, and called again each time.
    for what in ("parts cleaned", "parts weighed", "parts described", "parts assigned"):

        def stop(step, done, total, what=what):
            if step.startswith(what) and done == 2:
                raise Stopped

        with watched_by(stop), pytest.raises(Stopped):
            segment_files(source, work, mapping=MAPPING, k=3, partitions=3)
    found = segment_files(source, work, mapping=MAPPING, k=3, partitions=3)
    assert cleaned[0].stat().st_mtime_ns == before
    assert found.segments.equals(undisturbed.segments)
    assert contents(work) == contents(undisturbed.orders.parent.parent)


def shop(folder, n=1_200, customers=120):
    """Write a folder of tables: consent, records twice, guests by e-mail, events, products."""
    rng = np.random.default_rng(3)
    who = np.repeat(rng.integers(0, customers, n // 2), 2)  # two lines an order
    start = date(2024, 1, 1)
    guest = [i // 2 % 9 == 0 for i in range(n)]
    pl.DataFrame(
        {
            "customer_id": [None if g else f"C{c}" for g, c in zip(guest, who, strict=True)],
            "email": [f"u{c}@x.org" if g else None for g, c in zip(guest, who, strict=True)],
            "order_id": [f"O{i // 2}" for i in range(n)],
            "order_date": [start + timedelta(days=int(d)) for d in rng.integers(0, 360, n)],
            "amount": np.round(rng.gamma(3, 9, n), 2),
            "product_id": [f"p{c}" for c in rng.integers(0, 9, n)],
            "country": [["DE", "FR"][c % 2] for c in who],
        }
    ).write_parquet(folder / "orders.parquet")
    records = [*range(customers), 3, 4]
    pl.DataFrame(
        {
            "customer_id": [f"C{c}" for c in records],
            "email": [f"u{c - c % 10 if c % 10 == 1 else c}@x.org" for c in records],
            "profiling_consent": ["no" if c % 25 == 7 else "yes" for c in records],
        }
    ).write_csv(folder / "customers.csv")
    types = ["site_visit", "email_sent", "email_open", "cart_add", "checkout", "wave"]
    pl.DataFrame(
        {
            "customer_id": [f"C{c}" for c in rng.integers(0, customers + 9, n)],
            "event_time": [start + timedelta(days=int(d)) for d in rng.integers(0, 360, n)],
            "event_type": [types[k] for k in rng.integers(0, 6, n)],
            "session_id": [f"s{k}" for k in rng.integers(0, 500, n)],
        }
    ).write_parquet(folder / "events.parquet")
    pl.DataFrame(
        {"product_id": [f"p{k}" for k in range(8)], "category": [f"c{k % 3}" for k in range(8)]}
    ).write_csv(folder / "products.csv")


def test_all_tables_are_split_with_their_customers_and_those_linked(tmp_path, monkeypatch):
    (tmp_path / "shop").mkdir()
    shop(tmp_path / "shop")
    small_blocks(monkeypatch, rows=500)
    whole = segkit.segment(tmp_path / "shop", k=2)
    found = segment_files(tmp_path / "shop", tmp_path / "work", k=2, partitions=4)
    assert_same(found, whole)
    assert link_source(tmp_path / "shop").customers.height < 120
    assert {"missing_customer_id", "no_profiling_consent"} & set(found.ledger.reasons())
    assert found.ledger.reasons("events")["unknown_event_type"] > 100
    assert found.ledger.reasons("customers")["repeated_customer"] > 1
    folder = found.orders.parent
    for table in ("events", "customers"):
        mine = read_all(folder / table, "source_row")
        assert_frame_equal(mine, whole.intake.tables[table].select(mine.columns).sort("source_row"))
    rejects = read_all(folder / "orders-rejects", "source_row")
    assert_frame_equal(rejects, whole.intake.rejects["orders"].sort("source_row"))


def test_only_customers_who_share_an_identifier_are_held_in_memory(tmp_path, monkeypatch):
    small_blocks(monkeypatch, size=900)
    people = pl.DataFrame(
        {
            "customer_id": [f"C{c}" for c in range(80)],
            "email": [f"U{c - 1 if c % 20 == 7 else c}@x.org" for c in range(79)] + ["none"],
        }
    )
    (tmp_path / "shop").mkdir()
    people.write_csv(tmp_path / "shop" / "customers.csv")
    days = [str(date(2024, 1, 1) + timedelta(days=k)) for k in range(300)]
    lines = {"customer_id": [f"C{k % 80}" for k in range(600)], "order_date": days * 2,
             "amount": [1.0 + k % 7 for k in range(600)]}  # fmt: skip
    pl.DataFrame(lines).write_csv(tmp_path / "shop" / "orders.csv")
    prepared = job.prepare(tmp_path / "shop", None, None, 3)
    links, is_pruned = job.link_people(prepared)
    assert is_pruned
    assert sorted(links["identifier"].filter(links["kind"] == "customer_id")) == [
        "C26", "C27", "C46", "C47", "C6", "C66", "C67", "C7",
    ]  # fmt: skip
    whole = segkit.segment(tmp_path / "shop", k=2)
    found = segment_files(tmp_path / "shop", tmp_path / "w", k=2, partitions=3)
    assert_same(found, whole)
    assert whole.table.frame.height == 76


def test_totals_and_headers_of_whole_orders_are_seen_together(tmp_path, monkeypatch):
    rng = np.random.default_rng(5)
    rows = []
    for order in range(300):
        day = date(2024, 1, 1) + timedelta(days=int(rng.integers(0, 300)))
        total = f"{rng.gamma(3, 20):.2f}"
        for line in range(1 + order % 3):
            head = (f"K{order % 70}", day, total) if line == 0 else (None, None, None)
            rows.append((f"R{order}", *head, str(1 + line), f"{5 + line}.50"))
    names = ["Order", "Customer", "Date", "Total", "Quantity", "Price"]
    lines = pl.DataFrame(rows, schema=names, orient="row")
    lines.write_csv(tmp_path / "orders.csv")
    columns = dict(zip(["order_id", "customer_id", "order_time", "amount", "quantity",
                        "unit_price"], names, strict=True))  # fmt: skip
    mapping = {"orders": {"columns": columns, "amount_of": "order"}}
    small_blocks(monkeypatch, size=3_000)
    whole = segkit.segment(tmp_path / "orders.csv", mapping=mapping, k=2)
    found = segment_files(
        tmp_path / "orders.csv", tmp_path / "w", mapping=mapping, k=2, partitions=3
    )
    assert_same(found, whole)
    assert whole.intake.orders.height == lines.height

    twice = lines.with_columns(Customer=pl.Series([f"K{i % 70}" for i in range(lines.height)]))
    twice.write_csv(tmp_path / "twice.csv")
    with pytest.raises(DataError, match=r"orders name several customers.*segkit\.segment"):
        segment_files(tmp_path / "twice.csv", tmp_path / "v", mapping=mapping, partitions=3)


def test_no_bit_of_a_customers_features_depends_on_who_else_is_in_the_part():
    rng = np.random.default_rng(2)
    lines = pl.DataFrame(
        {
            "customer_id": [f"c{k % 24:02}" for k in range(192)],  # eight orders each
            "order_id": [f"o{k}" for k in range(192)],
            "order_day": rng.integers(19_000, 19_400, 192),
            "amount": np.round(rng.gamma(3, 20, 192), 2),
        }
    )
    plan = plan_features(lines, features=["core", "weekend"])
    whole, _ = plan.compute(plan.tables)
    for size in (1, 2):
        groups = [[f"c{k + j:02}" for j in range(size)] for k in range(0, 24, size)]
        parts = [lines.filter(pl.col("customer_id").is_in(group)) for group in groups]
        frames = [plan.compute(plan.of_part(part, None))[0] for part in parts]
        assert_frame_equal(pl.concat(frames), whole, check_exact=True)


def first_of_order(lines):
    """Leave customer and date on the first of every two lines alone, as some exports do."""
    first = pl.int_range(pl.len()) % 2 == 0
    order = (pl.int_range(pl.len()) // 2).cast(pl.String)
    return lines.with_columns(
        *(pl.when(first).then(name).alias(name) for name in ("Customer", "Date")), Order=order
    )


@pytest.mark.parametrize(
    ("change", "change_of_second", "dropped"),
    [
        (lambda lines: lines, lambda lines: lines.select(reversed(lines.columns)), ()),
        (first_of_order, lambda lines: lines, ()),
        (lambda lines: lines, lambda lines: lines, ("order_id",)),  # ids are made of the row
    ],
)
def test_overlapping_files_count_a_row_once(
    tmp_path, monkeypatch, change, change_of_second, dropped
):
    small_blocks(monkeypatch, size=3_000)
    lines = change(plain_lines())
    names = {name: raw for name, raw in PLAIN.items() if name not in dropped}
    lines = lines.select(names.values())
    paths = [tmp_path / "orders.csv", tmp_path / "orders 2.csv"]
    lines[:200].write_csv(paths[0])
    change_of_second(lines[150:]).write_csv(paths[1])
    mapping = {"orders": {"columns": names}}
    whole = segkit.clean_data({"orders": paths}, mapping)
    with Work.open(tmp_path / "w") as work:
        own = job.Job({"orders": paths}, work, mapping, None, 3)
        stage = own.clean()
    assert whole.orders.height == 300
    assert_frame_equal(read_all(stage.folder / "orders", "source_row"), whole.orders)
    assert "orders: 50 rows in an earlier file too left out" in own.ledger(stage).notes


def test_nothing_in_the_folder_is_of_who_is_erased(tmp_path, monkeypatch):
    small_blocks(monkeypatch)
    source, work, erase = (tmp_path / name for name in ("o.csv", "w", "erase.txt"))
    messy_lines(400, 70).write_csv(source)
    mapping = MAPPING | {"erase_file": str(erase)}
    erase.write_text("")

    def find(customer):
        frames = (pl.read_parquet(path) for path in work.rglob("*.parquet"))
        return sum(customer in frame.write_csv() for frame in frames)

    first = segment_files(source, work, mapping=mapping, k=2, partitions=2)
    score_large_files(first.model, source, work, mapping=mapping, partitions=2)
    assert find("K017") > 3
    erase.write_text("K017")
    again = segment_files(source, work, mapping=mapping, k=2, partitions=2)
    assert again.ledger.reasons()["erased"] > 1
    assert not find("K017")
    assert not list(work.glob("split-*")) + list(work.glob("scores-*"))


def test_the_sample_is_random_whatever_the_parts():
    table = pl.DataFrame({"customer_id": [f"c{k:04}" for k in range(2000)]})
    sample = draw_customers([table], 200, 0)
    parts = draw_customers([table[1500:], table[:1500]], 200, 0)
    assert_frame_equal(parts.sort("customer_id"), sample.sort("customer_id"))
    first_half = (sample["customer_id"] < "c1000").sum()
    assert abs(first_half - 100) < 4 * np.sqrt(200 / 4), "about half of them"


def test_slices_of_hashes_are_disjoint_and_leave_none_out(monkeypatch):
    monkeypatch.setattr(gates, "HASHES_AT_ONCE", 9)
    hashes = pl.Series("h", [0, 2**64 - 1, *range(2**61, 2**64, 2**61)], pl.UInt64).to_frame()
    hashes = pl.concat([hashes] * 3).lazy()
    slices = [part.collect() for part in gates.slices_of(hashes, "h")]
    assert len(slices) == 4
    assert [part["h"].n_unique() for part in slices] == [2, 2, 2, 3]
    assert sum(part.height for part in slices) == 27


def test_blocks_of_text_end_where_lines_end(tmp_path):
    text = 'id;day;word\n1;2024-01-05;"two\nlines"\n2;2024-01-06;é\n3;2024-01-07;"a ""b"""\n'
    path = tmp_path / "events.csv"
    for size in (7, 20, 33, 1_000):
        path.write_text(text, encoding="utf-8")
        file = RawFile.open(path, "events", Mapping(), block=max(size, 30))
        chunks = list(file.chunks())
        rows = pl.concat([frame for frame, _ in chunks])
        assert rows.rows()[0] == ("1", "2024-01-05", "two\nlines")
        assert rows["word"].to_list()[1:] == ["é", 'a "b"']
        assert chunks[-1][1] == len(text.encode())
        middle = chunks[0][1]
        rest = [frame for frame, _ in file.chunks(middle)]
        assert sum(f.height for f in rest) == 3 - chunks[0][0].height
    inches = 'id,note\n1,5" tube\n\n2,"a\nb"\n,\n3,"c\nd"\n  \n4,e\n\n'  # blank lines are no rows
    path.write_text(inches)
    for size in (9, 16, 30, 1_000):
        chunks = list(RawFile.open(path, "events", Mapping(), block=max(size, 16)).chunks())
        rows = pl.concat([frame for frame, _ in chunks])
        assert rows["note"].to_list() == ['5" tube', "a\nb", "c\nd", "e"]
    path.write_text("id,note\n1,x\n2,x\n3,x\n4,x,too\n")
    with pytest.raises(SourceError, match=r"line 5 has 3 cells"):
        list(RawFile.open(path, "events", Mapping(), block=9).chunks())
    path.write_bytes(gzip.compress(text.encode())[:-20])
    with pytest.raises(SourceError, match=r"is cut short"):
        list(RawFile.open(path, "events", Mapping()).chunks())
    path.write_bytes(gzip.compress(text.encode()))
    assert next(RawFile.open(path, "events", Mapping()).chunks())[0].height == 3
    packed = tmp_path / "orders.csv.gz"
    packed.write_bytes(gzip.compress(text.encode()))
    (frame, _), *_ = RawFile.open(packed, "orders", Mapping()).chunks()
    assert frame.height == 3


def test_what_parts_cannot_tell_is_refused_with_what_to_do(tmp_path, messy):
    path = tmp_path / "orders.csv"
    lines = messy_lines(300, 60)

    def refuse(error, match, frame=lines, mapping=MAPPING, **options):
        frame.write_csv(path)
        with pytest.raises(error, match=match):
            segment_files(path, tmp_path / "w", mapping=mapping, **{"partitions": 2, **options})

    total = lines.with_columns(
        Customer=pl.when(pl.int_range(pl.len()) == 7).then(pl.lit("Total")).otherwise("Customer")
    )
    refuse(DataError, r"1 order line of a customer named as totals.*total_words", total)
    dollars = lines.with_columns(
        Amount=pl.when(pl.int_range(pl.len()) == 150).then(pl.lit("5,00 $")).otherwise("Amount")
    )
    refuse(DataError, r"currenc", dollars)
    refund = lines.with_columns(Back=pl.lit("1,00"))
    named = {"orders": {"columns": NAMES | {"refund": "Back"}, "duplicates": "drop"}}
    refuse(MappingError, r"refund_of", refund, named)
    refuse(ParameterError, r"partitions is .auto. or a number from 1 to 1000; got 0", partitions=0)
    for sample in (3, None, 60.5):
        refuse(ParameterError, r"sample must be at least 50", sample=sample)
    with pytest.raises(SourceError, match=r"no work folder"):
        segment_files(messy / "lines.csv", tmp_path)
    (tmp_path / "orders.json").write_text("[]")
    with pytest.raises(SourceError, match=r"expected Parquet or text"):
        segment_files(tmp_path / "orders.json", tmp_path / "v")
    with pytest.raises(SourceError, match=r"segments need orders; the source has events"):
        list_files({"events": path}, Mapping(), None)
    with pytest.raises(SourceError, match=r"orders: expected paths"):
        list_files({"orders": []}, Mapping(), None)


PLAIN = {
    "customer_id": "Customer",
    "order_id": "Order",
    "order_time": "Date",
    "amount": "Amount",
}


def plain_lines(n=300, customers=60):
    """Return clean lines, one an order."""
    rng = np.random.default_rng(4)
    days = [date(2023, 1, 1) + timedelta(days=2 * i) for i in range(n)]
    return pl.DataFrame(
        {
            "Customer": [f"K{c:03}" for c in rng.integers(0, customers, n)],
            "Order": [f"R{i}" for i in range(n)],
            "Date": [day.isoformat() for day in days],
            "Amount": [f"{a:.2f}" for a in rng.gamma(3, 20, n)],
        }
    )


@pytest.mark.parametrize("form", ["csv", "parquet"])
def test_thai_years_and_joined_names_are_read_as_in_memory(form, tmp_path, monkeypatch):
    small_blocks(monkeypatch, size=3_000, rows=90)
    year = pl.col("Date").str.head(4).cast(pl.Int32) + 543
    lines = plain_lines().select(
        "Amount",
        pl.col("Order").alias("Order id"),
        pl.when(pl.int_range(pl.len()) % 50 == 9).then(pl.lit("2567-02-31")).otherwise(
            pl.concat_str(year, pl.col("Date").str.tail(6))).alias("Date"),
        pl.col("Customer").alias("First name"),
        pl.lit("Lee").alias("Last name"),
    )  # fmt: skip
    path = tmp_path / f"orders.{form}"
    getattr(lines, f"write_{form}")(path)
    mapping = {"orders": {"columns": {"customer_id": "Customer name"}}}
    whole = segkit.clean_data(path, mapping)
    assert whole.orders.height == 294
    assert whole.orders["order_day"].min() == (date(2023, 1, 1) - date(1970, 1, 1)).days
    with Work.open(tmp_path / "w") as work:
        own = job.Job(path, work, mapping, None, 3)
        stage = own.clean()
    assert_frame_equal(read_all(stage.folder / "orders", "source_row"), whole.orders)
    assert own.ledger(stage).reasons() == whole.ledger.reasons() == {"impossible_date": 6}


def test_that_a_sample_tells_the_country_of_telephone_numbers_is_noted(tmp_path, monkeypatch):
    small_blocks(monkeypatch, size=3_000)
    numbers = pl.col("Customer").str.replace("K", "+47 912 34 ")
    home = pl.when(pl.int_range(pl.len()) % 2 == 0).then(numbers)
    home = home.otherwise(numbers.str.replace("+47 ", "", literal=True)).alias("Phone")
    plain_lines().with_columns(home).drop("Customer").write_csv(tmp_path / "orders.csv")
    mapping = {"orders": {"columns": PLAIN | {"customer_id": "Phone"}}}
    for more, noted in (({}, 1), ({"phone_country": "NO"}, 0)):
        with Work.open(tmp_path / f"w{noted}") as work:
            own = job.Job(tmp_path / "orders.csv", work, more | mapping, None, 1)
            notes = own.ledger(own.clean()).notes
        assert sum("(phone_country) is told by " in note for note in notes) == noted
        assert any(" of 300 rows" in note for note in notes) == bool(noted)


def test_what_shows_beyond_the_sample_is_asked_as_in_memory(tmp_path, monkeypatch):
    small_blocks(monkeypatch, size=3_000)
    path, lines = tmp_path / "orders.csv", plain_lines()
    late = pl.int_range(pl.len()) >= 250
    day = pl.col("Date").str.to_date()
    plain = {"orders": {"columns": PLAIN}}
    states = {"orders": {"columns": PLAIN | {"status": "Status"}}}
    word = pl.when(late).then(pl.lit("weird")).otherwise(pl.lit("paid"))
    low = pl.when(late).then(pl.col("Customer").str.to_lowercase()).otherwise("Customer")
    slashed = pl.when(late).then(day.dt.strftime("%m/%d/%Y")).otherwise(day.dt.strftime("%d/%m/%Y"))
    flag = pl.when(late & (pl.int_range(pl.len()) % 2 == 0)).then(pl.lit("yes"))
    for change, mapping, match in (
        (word.alias("Status"), states, "It is not known what 'weird'"),
        (low.alias("Customer"), plain, "customer ids differ from another one only in case"),
        (slashed.alias("Date"), plain, "'Date' writes dates in two orders"),
        (flag.alias("refunded"), plain, "'refunded' is not used"),
    ):
        lines.with_columns(change).write_csv(path)
        for call in (
            lambda mapping: segkit.clean_data(path, mapping),
            lambda mapping: segment_files(path, tmp_path / "w", mapping=mapping, partitions=3),
        ):
            with pytest.raises(DataError, match=match):
                call(mapping)
    twice = pl.concat([lines, lines[:90]]).rename({"Order": "order_id"})
    twice.write_csv(path)
    with pytest.raises(DataError, match=r"90 rows repeat others.*'order_id' too"):
        segment_files(path, tmp_path / "w", partitions=3)


def test_a_column_that_is_empty_in_the_sample_is_read_as_in_memory(tmp_path, monkeypatch):
    small_blocks(monkeypatch, size=3_000)
    path, late = tmp_path / "orders.csv", pl.int_range(pl.len()) >= 250
    flag = pl.when(late & (pl.int_range(pl.len()) % 2 == 0)).then(pl.lit("yes"))
    plain_lines().with_columns(flag.alias("cancelled")).write_csv(path)
    whole = segkit.clean_data(path)
    assert whole.ledger.reasons()["cancelled"] > 9
    for clean_part in (job.clean_part, None):  # the second call cleans nothing again
        monkeypatch.setattr(job, "clean_part", clean_part)
        with Work.open(tmp_path / "w") as work:
            own = job.Job(path, work, None, None, 3)
            stage = own.clean()
        assert_frame_equal(read_all(stage.folder / "orders", "source_row"), whole.orders)
        assert own.ledger(stage).reasons() == whole.ledger.reasons()
    plain = Mapping.from_dict({"orders": {"columns": PLAIN}})
    sample = pl.DataFrame({"c": [None, ""], "d": ["x", None]})
    for column, is_empty in (("c", True), ("d", False)):  # the others are refused
        more = Mapping.from_dict({"orders": {"columns": PLAIN | {"category": column}}})
        assert gates._adds_empty(more, plain, sample, "orders") == is_empty


def test_signs_coupons_and_nobodies_ids_are_told_by_all_rows(tmp_path, monkeypatch):
    small_blocks(monkeypatch, size=3_000)
    folder, lines = tmp_path / "shop", plain_lines(n=150, customers=30)
    folder.mkdir()
    dollar = pl.when(pl.col("Customer") == "K001").then(pl.lit("$")).otherwise(pl.lit(""))
    own = lines.with_columns(
        Amount=dollar + pl.col("Amount"), Customer=pl.col("Customer").str.slice(1).cast(pl.Int64)
    )
    own.write_csv(folder / "orders.csv")
    rates = {"currency": ["USD", "EUR"], "valid_from": ["2022-01-01"] * 2, "rate": [0.5, 1.0]}
    pl.DataFrame(rates).write_csv(folder / "fx.csv")
    people = pl.DataFrame({"customer_id": [*range(30), 17], "country": ["DE"] * 31})
    people.write_csv(folder / "customers.csv")
    whole = segkit.clean_data(folder)
    with Work.open(tmp_path / "w") as work:
        found = job.Job(folder, work, None, None, 5)
        stage = found.clean()
    assert_frame_equal(read_all(stage.folder / "orders", "source_row"), whole.orders)
    assert found.ledger(stage).reasons() == whole.ledger.reasons()
    assert whole.ledger.reasons("customers")["missing_customer_id"] == 1

    coupon = pl.when(pl.int_range(pl.len()) % 20 == 1).then(pl.lit("-5")).otherwise("Amount")
    pair = (pl.int_range(pl.len()) // 2).cast(pl.String)
    priced = lines.with_columns(Price=coupon, Order=pair, Units=1).drop("Amount")
    priced.write_csv(folder / "c.csv")
    named = {"customer_id": "Customer", "order_id": "Order", "order_time": "Date"}
    mapping = {"orders": {"columns": named | {"unit_price": "Price", "quantity": "Units"}}}
    with pytest.raises(DataError, match=r"orders name several customers"):
        segment_files(folder / "c.csv", tmp_path / "v", mapping=mapping, partitions=3)


def test_a_later_change_of_format_is_an_error_and_never_another_reading(tmp_path, monkeypatch):
    small_blocks(monkeypatch, size=2_000)
    lines = messy_lines(300, 60)
    path = tmp_path / "orders.csv"
    body = lines.write_csv().encode() + "K001;é\n".encode("latin-1")
    path.write_bytes(body)
    with pytest.raises(SourceError):
        segment_files(path, tmp_path / "w", mapping=MAPPING)


def test_one_call_at_a_time_works_in_a_folder(tmp_path):
    (tmp_path / "w").mkdir()
    (tmp_path / "w" / ".state.json.99-ab.new").touch()  # of a call killed at its first write
    with Work.open(tmp_path / "w"):
        with (
            pytest.raises(SourceError, match="another call works in w/"),
            Work.open(tmp_path / "w"),
        ):
            pass
        assert (tmp_path / "w").stat().st_mode & 0o077 == 0
    (tmp_path / "w" / "state.json").write_text("")
    with Work.open(tmp_path / "w") as work, pytest.raises(SourceError, match=r"w/ is damaged"):
        work.stage("clean")
    (tmp_path / "precious").mkdir()
    (tmp_path / "w" / "state.json").write_text('{"clean": {"folder": "../precious"}}')
    with Work.open(tmp_path / "w") as work:
        work.stage("clean")
    assert (tmp_path / "precious").is_dir()
    (tmp_path / "f").touch()
    with pytest.raises(SourceError, match="f is a file"), Work.open(tmp_path / "f"):
        pass


def test_a_part_is_done_while_its_files_are_whole(tmp_path):
    with Work.open(tmp_path / "w") as work:
        stage = work.stage("clean")
        for part in (0, 1):
            stage.write(pl.DataFrame({"a": [part]}), "orders", part)
            stage.record(part, {"lines": 1})
        (stage.folder / "orders" / "copy.parquet").write_bytes(b"not of this stage")
        first, second = stage.paths("orders")
        assert stage.path("orders", 0).parent.stat().st_mode & 0o077 == 0
        second.write_bytes(second.read_bytes()[:-9])
        assert (stage.done(0), stage.done(1)) == ({"lines": 1}, None)
        with pytest.raises(SourceError, match="00001 are lost or damaged"):
            stage.paths("orders")
        first.unlink()
        assert stage.done(0) is None
        stage.path("done", 1, "json").write_text("")
        assert stage.done(1) is None


def test_where_a_block_ends_depends_on_where_it_begins(tmp_path):
    path = tmp_path / "orders.csv"
    rows = "".join(f"{i},{'x' * (i * 37 % 90)}\n" for i in range(60))
    path.write_text("a,b\n" + rows)
    file = RawFile.open(path, "orders", Mapping(), block=200)
    ends = [end for _, end in file.chunks()]
    assert len(ends) > 8
    for k, end in enumerate(ends):
        assert [after for _, after in file.chunks(end)] == ends[k + 1 :]
    path.with_suffix(".csv.gz").write_bytes(gzip.compress(path.read_bytes() * 50))
    size = path.stat().st_size * 50
    assert job.text_bytes(path.with_suffix(".csv.gz")) == pytest.approx(size, rel=0.05)


def test_what_a_part_was_made_from_is_in_its_key(tmp_path, monkeypatch):
    path, erase = tmp_path / "orders.csv", tmp_path / "erase.txt"
    messy_lines(300, 60).write_csv(path)
    products = pl.DataFrame({"product_id": ["p", "q"], "a": ["1", "2"], "b": ["3", "4"]})
    seen = {work_folder.frame_hash(f) for f in (
        products, products.reverse(), products.rename({"a": "b", "b": "a"}))}  # fmt: skip
    assert len(seen) == 3
    given = MAPPING | {"erase_file": str(erase), "pseudonymise": "KEY"}
    facts = []
    for ids, key in (("K001", "one"), ("K001\nK002", "one"), ("K001", "two")):
        erase.write_text(ids)
        monkeypatch.setenv("KEY", key)
        facts.append(str(job.prepare(path, given, None, 2).facts()))
    assert len(set(facts)) == 3
    stat, data = path.stat(), path.read_bytes()
    before = work_folder.fingerprint(path)
    path.write_bytes(data[:-1] + b" ")
    os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    assert work_folder.fingerprint(path) != before


def test_a_source_that_changes_while_it_is_split_is_refused(tmp_path, monkeypatch):
    small_blocks(monkeypatch, size=8_000)
    path, lines = tmp_path / "orders.csv", messy_lines(600, 70)
    lines.write_csv(path)
    looked = job.split_table

    def replaced(*args, **options):
        result = looked(*args, **options)
        lines[:300].write_csv(path)
        return result

    monkeypatch.setattr(job, "split_table", replaced)
    with pytest.raises(SourceError, match="replaced, or changed, while it was read"):
        segment_files(path, tmp_path / "w", mapping=MAPPING, partitions=2)
    assert not list((tmp_path / "w").glob("split-*"))


def test_segments_without_customers_have_shares_of_nought():
    from segkit.large.segments import _sizes

    model = SimpleNamespace(names={"S1": "Few", "S2": "Many"})
    for sums in ([], [{"segment": [], "customers": [], "revenue": [], "unlike": []}]):
        segments, without = _sizes(model, sums)
        assert segments.select("customer_share", "revenue_share").rows() == [(0.0, 0.0)] * 2
        assert without == 0
    part = {"segment": ["S1", None], "customers": [3, 2], "revenue": [9, 1], "unlike": [0, 0]}
    segments, without = _sizes(model, [part, part])
    assert segments["customers"].to_list() == [6, 0]
    assert without == 4


def test_a_stage_of_other_inputs_takes_the_place_of_the_old_one(tmp_path):
    with Work.open(tmp_path / "w") as work:
        first = work.stage("clean", mapping={"a": 1})
        first.record(0, {"rows": 3})
        assert work.stage("clean", mapping={"a": 1}).done(0) == {"rows": 3}
        other = work.stage("clean", mapping={"a": 2})
    assert isinstance(other, Stage)
    assert other.done(0) is None
    assert not first.folder.exists()
