"""CDNOW's published sample of customers, and the donations of a charity.

The ids of the 2,357 customers of Fader and Hardie's CDNOW sample stand in the file
``datasets/CDNOW_sample.txt`` of the lifetimes package (MIT), the donations of Fader, Hardie and
Shang (2010), by occasions, in its ``datasets/donations.csv``.
"""

from pathlib import Path

import polars as pl

HERE = Path(__file__).parent
SAMPLE = (HERE / "cdnow_sample.txt").read_text(encoding="utf-8").split()


def load_log(path):
    """Return CDNOW's purchases, one row per line of the published log."""
    cells = pl.read_csv(path, separator="\t", new_columns=["line"])["line"]
    cells = cells.str.strip_chars().str.replace_all(r"\s+", " ").str.split(" ")
    log = cells.list.to_struct(fields=["customer_id", "day", "discs", "amount"]).struct.unnest()
    return log.select(
        customer_id=pl.col("customer_id").str.strip_chars_start("0"),
        order_id=pl.col("customer_id") + pl.col("day"),
        order_day=pl.col("day").str.to_date("%Y%m%d").to_physical().cast(pl.Int64),
        amount=pl.col("amount").cast(pl.Float64),
    )


def load_donations():
    """One row per donor: repeat donations, occasion of the last, occasions passed."""
    grouped = pl.read_csv(HERE / "donations.csv")
    return grouped.select(pl.exclude("donors").repeat_by("donors")).explode(pl.all())
