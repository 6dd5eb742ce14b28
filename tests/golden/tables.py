"""Every table of a run in short: each column's values as a digest that another run can meet."""

import hashlib
import math
import re
from pathlib import Path

import polars as pl

FEW = 60  # distinct texts up to which they are kept, so that a renamed one can be told
PROSE = 4  # words from which a text is a sentence: how it is worded is not compared
DIGITS = 9  # significant digits compared: what is beyond them may differ between processors
ZERO = 1e-12
EXACT = 1e15  # whole numbers below are written with all their digits


def table_files(run):
    """Yield the path, and its name within the run, of every table of a run folder."""
    for path in sorted(Path(run).rglob("*")):
        if path.suffix in (".csv", ".parquet") and ".ipynb_checkpoints" not in path.parts:
            yield path, path.relative_to(run).as_posix()


def describe_run(run):
    """Return every table of a run as ``describe_table`` has it, by its name within the run."""
    return {name: describe_table(path) for path, name in table_files(run)}


def describe_table(path):
    """Return each column of a CSV or Parquet file in short, in the file's order."""
    if path.suffix == ".csv":
        frame = pl.read_csv(path, infer_schema=False)
    else:
        frame = pl.read_parquet(path)
    return {name: describe_column(frame[name]) for name in frame.columns}


def describe_column(series):
    """Return a column's rows, nulls, digest, and its sum or, where there are few, its texts."""
    values = [plain(value) for value in series.to_list()]
    there = [value for value in values if value is not None]
    short = {"rows": len(values), "nulls": len(values) - len(there), "digest": digest(values)}
    if all(isinstance(value, float) for value in there):
        total = math.fsum(value for value in there if math.isfinite(value))
        return short | {"sum": float(f"{total:.6g}")}
    texts = list(dict.fromkeys(map(written, there)))
    if any(is_prose(text) for text in texts):
        return {"rows": len(values), "nulls": short["nulls"], "prose": True}
    if len(texts) > FEW:
        return short
    place = {text: number for number, text in enumerate(texts)}
    codes = [None if value is None else float(place[written(value)]) for value in values]
    return short | {"digest": digest(codes), "texts": texts}


def is_prose(text):
    """Tell whether a text is a sentence, or a part of one."""
    return len(text.split()) >= PROSE


def digest(values):
    """Return the digest of a column's values in their order."""
    lines = "\n".join("" if value is None else written(value) for value in values)
    return hashlib.blake2b(lines.encode(), digest_size=12).hexdigest()


def written(value):
    """Return a value as text, numbers to so many digits."""
    if not isinstance(value, float):
        return value or ""
    if math.isfinite(value) and (abs(value) < ZERO or (value.is_integer() and abs(value) < EXACT)):
        return str(int(value))
    return f"{value:.{DIGITS}g}"


NUMBER = re.compile(r"[-+]?(\d+\.?\d*|\.\d+)([eE][-+]?\d+)?|-?inf|NaN")


def plain(value):
    """Return a value as a number, a text or None, alike from CSV and Parquet."""
    if value is None or isinstance(value, float):
        return value
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int):
        return float(value)
    if isinstance(value, dict):
        return plain([part for item in value.items() for part in item])
    if isinstance(value, list):
        return "[" + ",".join(written(plain(item)) or "null" for item in value) + "]"
    text = str(value)
    return float(text) if NUMBER.fullmatch(text) else text
