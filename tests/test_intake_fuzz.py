"""Damaged files: whatever happens to a file's bytes, intake answers with its own errors."""

import gzip
import io
import random

import polars as pl
import pytest

import segkit
from segkit.errors import SegkitError

ROWS = "\n".join(
    f'c{i % 7},{2024 + i % 2}-{1 + i % 12:02d}-{1 + i % 28:02d} 10:{i % 60:02d},"{i},5 €",{i % 3}'
    for i in range(40)
)
TEXT = f"customer_id,order_time,amount,quantity\n{ROWS}\n"
FRAME = pl.read_csv(TEXT.encode()).with_columns(pl.col("order_time").str.to_datetime())
BITS = [b"\0", b"\xff", b'"', b"\r", b"\n", b",", b";", b"\t", b"(((", b"[", b"9" * 400]
BITS += [b"\xe2\x82", b"-999", b"\xef\xbb\xbf", b"NaN", b"inf", b"1e999", b"'", b"=1+1"]


def chance(seed):
    return random.Random(seed)  # noqa: S311 - repeatable damage, no secret


def answer(door, *given):
    """Call a public door; only segkit's own errors, with words, may come out."""
    try:
        return str(door(*given))
    except SegkitError as error:
        return str(error)


def originals():
    """Give a small file of every kind that is installed."""
    parquet, made = io.BytesIO(), {}
    FRAME.write_parquet(parquet)
    made["csv"], made["csv.gz"] = TEXT.encode(), gzip.compress(TEXT.encode())
    made["parquet"] = parquet.getvalue()
    made["jsonl"] = FRAME.with_columns(pl.col("order_time").cast(pl.String)).write_ndjson().encode()
    names = TEXT.replace("c1,", "王伟,").replace("c2,", "李娜,").replace(" €", "")
    made["txt"] = names.encode("gbk")
    made["tsv"] = TEXT.replace('",', "\t").replace(',"', "\t").replace(",", "\t").encode("utf-16")
    try:
        book = io.BytesIO()
        FRAME.write_excel(book)
        made["xlsx"] = book.getvalue()
    except ImportError:
        pass
    return made


def mutate(data, dice):
    """Cut, turn, insert, repeat or reorder some bytes."""
    data = bytearray(data)
    for _ in range(dice.choice([1, 1, 2, 4])):
        place = dice.randrange(len(data) + 1)
        kind = dice.randrange(6)
        if kind == 0:
            del data[place:]
        elif kind == 1:
            data[place:place] = dice.choice(BITS)
        elif kind == 2:
            data[place:place] = dice.randbytes(dice.randrange(1, 8))
        elif kind == 3:
            del data[place : place + dice.randrange(1, 30)]
        elif kind == 4 and data:
            data[min(place, len(data) - 1)] ^= 1 << dice.randrange(8)
        elif kind == 5:
            data[place:place] = data[max(0, place - 60) : place]
    return bytes(data)


def feed(folder, ending, data):
    """Run check and intake on a file; only segkit's own errors may come out."""
    path = folder / f"orders.{ending}"
    path.write_bytes(data)
    for door in (segkit.audit_data, segkit.clean_data):
        assert answer(door, path)


ORIGINALS = originals()


@pytest.mark.parametrize("ending", ORIGINALS)
def test_damaged_files_give_errors_in_words(tmp_path, ending):
    dice = chance(f"files {ending}")
    for _ in range(8):
        feed(tmp_path, ending, mutate(ORIGINALS[ending], dice))


def test_random_bytes_are_no_table(tmp_path):
    dice = chance("bytes")
    for ending in ORIGINALS:
        for size in (0, 1, 60):
            feed(tmp_path, ending, dice.randbytes(size))


ODD = ["", " ", "x", "-", "(", "9" * 500, "1e999", "nan", "inf", "-0", "0x1F", "1,2,3", "€", "%"]
ODD += ["2024-02-30", "0000-00-00", "24-1-1", "99/99/99", "2024-01-01T25:00:00Z", "+5", "\x00"]
ODD += ["'", "=A1", "NULL", "true", "1.2.3", "12:30", "Σ", "\u200b", "20240101", "1704067200"]
CELLS = {
    "customer_id": "c1",
    "order_id": "o1",
    "order_time": "2024-01-05",
    "amount": "1.50",
    "quantity": "2",
    "price": "5",
    "discount": "0.1",
    "currency": "EUR",
    "status": "paid",
    "is_return": "no",
}


def test_odd_cells_in_any_column():
    dice = chance("cells")
    settled = {"nulls": [""], "decimal": ".", "day_first": True}
    for turn in range(3):
        rows = dice.randrange(1, 9)
        frame = pl.DataFrame(
            {
                name: [dice.choice([value, dice.choice(ODD), None]) for _ in range(rows)]
                for name, value in CELLS.items()
            },
            schema=dict.fromkeys(CELLS, pl.String),
        )
        for source in (frame, frame.drop("amount"), {"orders": frame, "customers": frame}):
            for mapping in (None, settled):
                assert answer(segkit.audit_data, source, mapping), turn
                assert answer(segkit.clean_data, source, mapping), turn
