"""Copies of what segkit 0.1 stored, and of every table that it made, to compare with.

They were made from commit 4de41c8, before the house was made smaller and renamed:

- ``golden.tar.xz``: a result of every class, a model of every kind with the scores that it gave,
  and a working folder with the reports of a small simulated retailer (without pages and pictures).
- ``simulated.json.xz``, ``online-retail.json.xz``, ``hillstrom.json.xz``: every table of a run,
  column by column (`tests.golden.tables`). The first was made anew with version 2 of the generator:
  its offers and its pilot are others. The second has the names of segments of today, in which alone
  it differs from the one before. Until then the first two were made anew at 4cefa29: rates are
  shrunk before customers are clustered, and zero-inflated drivers, compared methods and features by
  category are new since the first version; until then they were compared with its tables. Both were
  made anew at e865930: mean order values are true quotients, whose last digits decide which rows
  samples draw (notebook 05), and next rounds and next steps agree (10, 12); 59 and 57 columns
  differed, of 211 and 84 tables, and no other.
- ``renames.toml``: what is named otherwise since, and which tables differ on purpose, and why.
- ``make``: made them. ``compare``: compares a run, as ``python -m tests.golden.compare RUN``.
"""

from pathlib import Path

FOLDER = Path(__file__).parent
MADE_FROM = "4de41c8"
# What is asked of `segkit run` for each source whose tables are kept; tests ask the same.
ASKED = {
    "simulated": ("customers=600", "repeats=10", "references=19", "draws=30", "resamples=30"),
    "online-retail": ("repeats=5",),
    "hillstrom": (),
}
