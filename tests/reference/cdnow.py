"""CDNOW's published sample of customers, and the donations of a charity.

The ids of the 2,357 customers of Fader and Hardie's CDNOW sample stand in the file
``datasets/CDNOW_sample.txt`` of the lifetimes package (MIT), the donations of Fader, Hardie and
Shang (2010), by occasions, in its ``datasets/donations.csv``.
"""

from pathlib import Path

import polars as pl

HERE = Path(__file__).parent
SAMPLE = (HERE / "cdnow_sample.txt").read_text(encoding="utf-8").split()


def load_donations():
    """One row per donor: repeat donations, occasion of the last, occasions passed."""
    grouped = pl.read_csv(HERE / "donations.csv")
    return grouped.select(pl.exclude("donors").repeat_by("donors")).explode(pl.all())
