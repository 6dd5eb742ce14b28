"""Reports and runs as a runner leaves them, made without a kernel."""

import nbformat
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output

from segkit.report.index import link_reports, write_index
from segkit.report.render import write_report
from segkit.runner.manifest import NAME, list_outputs, write_json

MANIFEST = {
    "notebook": "02_x",
    "title": "Segments & more",
    "question": "Which?",
    "status": "done",
    "error": None,
    "key": "abc" * 10,
    "inputs": {"data file": "1"},
    "parameters": {"source": "toy", "data": "", "code": "<b>"},
    "versions": {"segkit": "0.1.0"},
    "started": "2024-01-01T00:00:00+00:00",
    "finished": "2024-01-01T00:01:00+00:00",
    "seconds": {"execution": 1.0},
    "peak_memory_bytes": 2**20,
    "previous": None,
}
SUMMARY = {
    "headline": "5 segments <stand out>.",
    "answers": [{"question": "How many?", "answer": "5", "evidence": "Table 1"}],
    "skips": [],
    "quality": {"level": "poor", "text": "Half the rows are gone."},
    "period": ["2023-01-01", "2023-12-31"],
    "rows": {"orders": 12345},
    "as_of": "2023-12-31",
}
PIXEL = (
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9Q"
    "DwADhgGAWjR9awAAAABJRU5ErkJggg=="
)
TABLE = (
    '<table class="segkit"><caption>Sizes</caption><thead><tr><th scope="col">segment</th></tr>'
    '</thead><tbody><tr><td>high</td></tr></tbody></table><p class="segkit-link">'
    '<a href="tables/sizes.csv">Table (csv)</a></p>'
)
STEMS = {"01_audit": "Audit", "05_segments": "Segments", "12_summary": "Summary"}
LATER, EARLIER = "2026-11-22", "2026-10-22"


def outputs():
    return [
        new_output("stream", name="stderr", text="a warning\n"),
        new_output("stream", name="stdout", text="told <plainly>\n"),
        new_output("execute_result", data={"text/html": "<p>shown</p>", "text/plain": "hidden"}),
        new_output("display_data", data={"image/png": PIXEL}, metadata={"alt": 'A "bar"'}),
        new_output("execute_result", data={"text/plain": "<Figure>"}),
        new_output("display_data", data={"text/html": TABLE}),
        new_output(
            "display_data",
            data={"text/html": '<script src="https://cdn.example/x.js"></script><p>kept</p>'},
        ),
    ]


def cells():
    return [
        new_markdown_cell("# Are there natural groups?\n\nThe stakes are **high**."),
        new_code_cell(
            'source: str = "toy"  # where from\ncode: str = ""  # a label',
            metadata={"tags": ["parameters"]},
        ),
        new_markdown_cell("## How many?\n\nWords.\n\n### Why so?"),
        new_code_cell("two = 2  # leads up to it"),
        new_code_cell("1 + 1  # adds" + " and adds" * 30, outputs=outputs()),
        new_markdown_cell("Last words.\n\n## Findings"),
        new_code_cell("run.finish()"),
    ]


def make_report(folder, stem, manifest=MANIFEST, summary=SUMMARY, run_name="toy"):
    """Write a notebook's folder with its table and its report; return the report's path."""
    (folder / "tables").mkdir(parents=True, exist_ok=True)
    (folder / "tables/sizes.csv").write_text("segment\nhigh\n")
    nbformat.write(new_notebook(cells=cells()), folder / f"{stem}.ipynb")
    write_json(folder / "summary.json", summary)
    return write_report(folder, stem, manifest, run_name=run_name)


def make_run(out, name, rows, **record):
    """Write a run's folder: one entry a notebook, (stem, status, summary, previous)."""
    listed = []
    for stem, status, summary, previous in rows:
        folder = out / name / stem
        folder.mkdir(parents=True)
        (folder / "report.html").write_text("<nav><!--nav--><!--/nav--></nav>")
        write_json(folder / "summary.json", summary)
        manifest = MANIFEST | {"title": stem.title(), "status": status, "previous": previous}
        write_json(folder / NAME, manifest | {"outputs": list_outputs(folder)})
        message = "" if status == "done" else "out of <memory>"
        listed.append({"stem": stem, "status": status, "message": message, "title": stem.title()})
    known = {"name": name, "finished": "2024-02-01T00:00:00+00:00", "notebooks": listed}
    write_json(out / name / "run.json", known | {"parameters": {"source": "toy"}} | record)


SEGMENTS = """\
segment,segment_name,customers,customer_share,revenue_share,revenue_per_customer,marked_by
S1,Budget shoppers,{more},0.6,0.3,41.5,"↑ discount rate, ↓ average order value and 3 more"
S2,Loyalists & friends,1,0.4,0.7,1234.5,"↑ open rate"
"""
USABLE = "segment,stable,verdict\nS1,true,\nS2,false,\n"
STABILITY = "segment,band\nBudget shoppers,highly stable\nLoyalists & friends,doubtful\n"
STEPS = """\
segment,segment_name,decision,offer,basis,monthly,monthly_low,monthly_high,test_offer,test_against
S1,Budget shoppers,roll out,flash_sale,campaign,5200.4,900.2,9400.9,,
S2,Loyalists & friends,keep testing,,pilot,,,,gift_ideas,generic
"""
DRAWING = """<?xml version="1.0" encoding="utf-8"?>
<svg role="img" aria-label="Lift by segment" width="518pt" height="200pt" viewBox="0 0 518 200">
<g class="mark" data-names="Budget shoppers"><title>Budget shoppers: 12.0%</title>
<path d="M 0 0 L 9 0 L 9 9 z" style="fill: #0072b2"/></g>
<text style="font-size: 9px; fill: #1b2126" x="20" y="20">Budget shoppers</text></svg>
"""
NONE = [None, None]


def key_figure(name, value, unit, interval=NONE, change=(*NONE, None), note="", evidence=""):
    figure = {"name": name, "value": value, "unit": unit, "interval": interval}
    return figure | {"change": list(change), "note": note, "evidence": evidence}


def write_evidence(folder, customers):
    """Write the tables and the picture that the first page of a run is made of."""
    for path, text in (
        ("06_profiles/tables/profile.csv", SEGMENTS.format(more=customers - 1)),
        ("06_profiles/tables/usable.csv", USABLE),
        ("05_segments/tables/segment_stability.csv", STABILITY),
        ("12_summary/tables/next_steps.csv", STEPS),
        ("12_summary/figures/campaign_lift.svg", DRAWING),
    ):
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text(text, encoding="utf-8")


def make_market(out, market, date, customers, *, fails=False):
    """Write one market's run of one day, its reports whole; one that fails does at segments."""
    name = f"shop--{market.lower().replace(' ', '-')}--{date}"
    listed, finished = [], f"{date}T08:00:00+00:00"
    if not fails and customers > 50:
        write_evidence(out / name, customers)
    link = "05_segments/tables/sizes.csv"
    for stem, title in STEMS.items():
        status = "done" if not fails or stem < "05" else "failed" if stem < "06" else "not run"
        why = {"failed": "too few customers in this market", "not run": "needs 05_segments"}
        listed.append(
            {"stem": stem, "status": status, "message": why.get(status, ""), "title": title}
        )
        if status == "not run":
            continue
        answer = {"question": "How many?", "answer": f"{customers % 7}", "link": link}
        answer |= {"evidence": "05_segments/sizes"}
        more = [answer | {"question": f"And in week {week}?"} for week in range(1, 9)]
        summary = SUMMARY | {
            "headline": f"{title}: {market} has {customers} customers.",
            "answers": [answer, *(more if stem == "12_summary" else [])],
            "rows": {"customers": customers},
        }
        if stem == "12_summary" and customers > 50:
            path = "figures/campaign_lift.svg"
            summary |= {"figures": [{"path": path, "alt": "Lift by segment"}], "currency": "GBP"}
            revenue = ("revenue in a year", 41203.6, "money", NONE, (0.021, -0.004, 0.047))
            lift = ("conversion lift", 0.199, "lift", [0.127, 0.276])
            figures = [key_figure(*revenue, evidence="05_segments/sizes"), key_figure(*lift)]
            summary |= {"notebook": stem, "key_figures": figures}
        before = None
        if date == LATER:
            kept = ("inputs", "parameters", "versions")
            before = {name: MANIFEST[name] for name in kept} | {"inputs": {"data file": "0"}}
            before |= {"finished": f"{EARLIER}T08:00:00+00:00", "headline": summary["headline"]}
            before |= {"answers": [answer | {"answer": "1"}], "rows": {"customers": 5}, "key": "x"}
        manifest = MANIFEST | {"title": title, "notebook": stem, "status": status}
        manifest |= {"finished": finished, "previous": before}
        if status == "failed":
            manifest |= {"error": {"kind": "DataError", "message": why["failed"], "cell": 3}}
        folder = out / name / stem
        make_report(folder, stem, manifest, summary, name)
        write_json(folder / NAME, manifest | {"outputs": list_outputs(folder)})
    record = {
        "schema": 2,
        "name": name,
        "series": "shop",
        "market": market,
        "by": "country",
        "batch": "shop--markets",
        "date": date,
        "finished": finished,
        "message": "",
        "status": "failed" if fails else "done",
        "customers": customers,
        "rows": 9,
        "notebooks": listed,
        "parameters": {"source": "toy"},
    }
    write_json(out / name / "run.json", record)
    link_reports(out / name)


def make_markets(out):
    """Write two days of three markets, one of which fails, one too small; return the index."""
    for date in (EARLIER, LATER):
        make_market(out, "United Kingdom", date, 3920)
        make_market(out, "Österreich & Co", date, 95)
        make_market(out, "Ireland", date, 3, fails=date == LATER)
    bare = {"series": "shop", "by": "country", "date": LATER, "notebooks": [], "customers": 2}
    bare |= {"finished": f"{LATER}T08:00:00+00:00", "parameters": {}}
    for market, status, why in (
        ("Malta", "skipped", "2 customers: a market needs 30."),
        ("Iceland", "stopped", "its orders could not be read"),
    ):
        folder = out / f"shop--{market.lower()}--{LATER}"
        folder.mkdir()
        told = {"market": market, "status": status, "message": why}
        write_json(folder / "run.json", bare | told)
    (out / "shop--markets").mkdir()
    batch = {"series": "shop", "by": "country", "date": LATER, "finished": f"{LATER}T09"}
    statuses = ("done", "done", "failed", "skipped", "stopped")
    batch |= {"markets": [{"status": s} for s in statuses], "shared_customers": 8}
    write_json(out / "shop--markets/batch.json", batch | {"rows": {"without a market": 12}})
    return write_index(out)
