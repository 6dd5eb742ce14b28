"""Small notebooks for the runner's tests: three that feed one another, and three that fail."""

from pathlib import Path

import nbformat
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook

SHARED = """\
source: str = "toy"  # name of the source
data: str = ""  # own data file
mapping: str = ""  # mapping file
out: str = "reports"  # folder of the runs
name: str = ""  # run's name
as_of: str = ""  # analysis date
seed: int = 0  # start of the random numbers
customers: int = 20  # simulated customers
"""
OPEN = """\
import polars as pl
import segkit.runner
run = segkit.runner.open_notebook("{stem}", source=source, data=data, mapping=mapping, out=out,
    name=name, as_of=as_of, seed=seed, customers=customers{extra})"""


def write_notebook(
    folder: Path,
    stem,
    *,
    reads=(),
    reads_if=None,
    writes=(),
    parameters="",
    extra="",
    cells=(),
    title="",
    end=True,
):
    """Write a notebook: heading, parameters, opening call, the cells given, the closing call."""
    meta = {
        "kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"},
        "segkit": {
            "title": title or stem,
            "question": f"What says {stem}?",
            "reads": list(reads),
            "reads_if": dict(reads_if or {}),
            "writes": list(writes),
        },
    }
    made = [
        new_markdown_cell(f"# What does {stem} say?\n\nA toy shop decides on toy money."),
        new_code_cell(SHARED + parameters, metadata={"tags": ["parameters"]}),
        new_code_cell(OPEN.format(stem=stem, extra=extra)),
    ]
    made += [new_markdown_cell(c) if c.startswith("#") else new_code_cell(c) for c in cells]
    if end:
        made.append(new_code_cell("run.finish()"))
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{stem}.ipynb"
    nbformat.write(new_notebook(cells=made, metadata=meta), path)
    return path


ORDERS = """\
ids = [f"cust-{i}" for i in range(customers)]
orders = pl.DataFrame({"customer_id": ids, "amount": [float(seed + i) for i in range(customers)]})
run.write("orders", orders)
run.describe(period=("2024-01-01", "2024-12-31"), as_of="2024-12-31", orders=orders.height)
run.quality("attention", "Three rows were rejected.")
run.headline(f"{orders.height} orders can be trusted.")"""
FIGURE = """\
from segkit.plot.figure import Figure, canvas
with canvas() as (drawing, (axes,)):
    _ = axes.bar(["low", "high"], [1, 2])
drawn = pl.DataFrame({"group": ["low", "high"], "n": [1, 2]})
run.figure(Figure(drawing, "Bars: low 1, high 2", drawn), "groups")"""
SEGMENTS = """\
orders = run.read("orders")
high = pl.col("amount") > cut
segments = orders.with_columns(segment=pl.when(high).then(pl.lit("high")).otherwise(pl.lit("low")))
run.write("segments", segments)
run.write_json("model", {"cut": cut, "names": ["low", "high"]})
run.skip("survey", "The source has no survey.")"""
SHOW = """\
sizes = segments.group_by("segment").len().sort("segment")
run.table(sizes, "sizes", caption="Customers by segment")
run.table(segments, "customers")
run.headline(f"{sizes.height} segments.")
run.answer("How many segments?", f"{sizes.height}", "table sizes")
segments"""
CLOSING = """\
answers = [row for summary in run.summaries() for row in summary["answers"]]
assert run.read_json("model")["names"] == ["low", "high"]
assert not run.has("survey")
run.headline(f"{len(answers)} question answered.")
_ = [run.answer(row["question"], row["answer"], row["evidence"]) for row in answers]"""


def write_chain(folder: Path, *, picture=False):
    """Write 01_orders -> 02_segments -> 03_summary; drawing takes longer than all else."""
    write_notebook(folder, "01_orders", writes=["orders"], cells=[ORDERS], title="Orders")
    write_notebook(
        folder,
        "02_segments",
        reads=["orders"],
        writes=["segments", "model", "survey"],
        parameters="cut: float = 9.5  # money, where high begins\n",
        extra=", cut=cut",
        cells=[
            "## Which segments?",
            SEGMENTS,
            SHOW,
            *(["### How large?", FIGURE] if picture else []),
        ],
        title="Segments",
    )
    write_notebook(folder, "03_summary", reads=["*"], cells=[CLOSING], title="Summary")
    return folder
