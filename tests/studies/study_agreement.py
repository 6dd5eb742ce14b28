"""Do the reports on one retailer agree with one another?

``python -m tests.studies.study_agreement --jobs 1``: the case study's notebooks themselves, cell by
cell without kernels and without drawing, on small simulated retailers. What they leave is held
against itself: decision, measured profit, policy, usability, names, number of segments, and the
sentences that a reader sees first. results/rows/agreement.csv has a row per retailer; a run that
was stopped goes on from it.
"""

import contextlib
import io
import json
import math
import os
import re
import tempfile
from pathlib import Path
from types import SimpleNamespace

import polars as pl

from segkit.campaign.next_steps import CHANGING, DECIDED, DECISIONS, USABLE
from segkit.cluster.aliases import RULES
from segkit.display import counted
from segkit.report.overview import describe_run
from segkit.runner.catalog import CONTEXT, Catalog, build_context, notebook_folder
from segkit.runner.needs import Needs
from segkit.runner.notebook import NotebookRun
from tests.benchmarks.bench_case_study import run_cell
from tests.studies._study import arguments, publish, resume_over_seeds

SIZE = 700
# As few repeats as they accept: what is tested are the sentences, not the data.
FEW = {"repeats": 6, "references": 19}
WRONG = ["tenure_days", "product_breadth", "return_share"]  # say little of who answers which offer
SETTINGS = {
    "easy": {"difficulty": "easy"},
    "medium": {},
    "hard": {"difficulty": "hard"},
    "no segments": {"structure": "none"},
    "no lift": {"lift": "none"},
    "small pilot": {"customers": 350},
    "more customers": {"customers": 5000},
    "wrong segments": {"k": 3, "why": "a trial", "variables": WRONG},
}
# Nothing that is compared here comes from these notebooks.
PASSED_OVER = ("04_attitudes", "07_drivers", "08_value_and_churn", "11_refresh")
DEAR = re.compile(
    r"compare_methods|\bmoved\b|\bdaily\b|plot_flow|screening|sensitivity|distributions"
)
ALL = "all customers"
# What a marker of the alias' own feature may not say.
AGAINST = {"at least": "below", "at most": "above"}


def study_retailer(setting: str, seed: int) -> list[dict[str, object]]:
    """Take one retailer through the notebooks; return what contradicts what."""
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place) / "run"
        run_notebooks(folder, {"seed": seed, "customers": SIZE, **FEW, **SETTINGS[setting]})
        left = Left(folder)
        wrong = find_contradictions(left)
    decisions = left.steps["decision"].to_list()
    row = {"setting": setting, "seed": seed, "segments": len(decisions)}
    row |= {name.replace(" ", "_"): decisions.count(name) for name in DECISIONS}
    return [row | {"contradictions": len(wrong), "which": "; ".join(wrong)}]


def run_notebooks(folder: Path, given: dict[str, object]) -> None:
    """Execute the notebooks' cells in this process, with what each reads from the others."""
    known = Catalog.open(notebook_folder()).for_source("simulated").notebooks
    absent = {name: "Not studied." for stem in PASSED_OVER for name in known[stem].writes}
    catalog = Catalog.of(
        [one.without(absent) for stem, one in known.items() if stem not in PASSED_OVER]
    )
    drawn, NotebookRun.figure = NotebookRun.figure, _pass_over
    try:
        for stem, notebook in catalog.notebooks.items():
            settings = {name: one.default for name, one in notebook.parameters.items()}
            settings |= {name: value for name, value in given.items() if name in settings}
            for part in ("data", "tables", "figures"):
                (folder / stem / part).mkdir(parents=True)
            own = str(folder / stem)
            context = build_context(catalog, notebook, folder, own, folder, settings)
            path = folder / f"{stem}.json"
            path.write_text(json.dumps(context.to_json()), encoding="utf-8")
            os.environ[CONTEXT] = str(path)
            with contextlib.redirect_stdout(io.StringIO()):
                _run_cells(notebook.path, settings)
    finally:
        NotebookRun.figure = drawn
        os.environ.pop(CONTEXT, None)


def _run_cells(path: Path, settings: dict[str, object]) -> None:
    names = {"__name__": "__main__", "__mark__": lambda _: None}
    needs = None
    for number, cell in enumerate(json.loads(path.read_text(encoding="utf-8"))["cells"], 1):
        text = "".join(cell["source"])
        if cell["cell_type"] != "code" or DEAR.search(text):
            continue
        if needs is None and "run" in names:
            needs = Needs(SimpleNamespace(user_ns=names), names["run"])
        run_cell(text, names, needs, f"{path.stem} cell {number}")
        if "parameters" in cell["metadata"].get("tags", []):
            names |= {name: settings[name] for name in settings if name in names}
        if "run.finish()" in text:
            return


def _pass_over(run, what, name):
    """Show a figure's text, and leave the figure undrawn."""
    run._lead(what)


class Left:
    """What a run has left: tables, results, sentences."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.summaries = [
            json.loads(path.read_text(encoding="utf-8"))
            for path in sorted(folder.glob("*/summary.json"))
        ]
        self.steps = self.table("12_summary", "next_steps")
        self.usability = self.table("06_profiles", "usable")
        self.profile = pl.read_parquet(folder / "06_profiles/data/profile.parquet")
        rounds = self.table("10_campaign_lift", "next_round")
        self.next_round = (
            {} if rounds is None else dict(rounds.select("segment_name", "offer").iter_rows())
        )
        self.first_page = describe_run(folder, self.summaries, picture=False)

    def table(self, stem: str, name: str) -> pl.DataFrame | None:
        """Return a kept table, None where there is none."""
        path = self.folder / stem / "tables" / f"{name}.csv"
        return pl.read_csv(path, infer_schema_length=None) if path.is_file() else None

    def result(self, stem: str, name: str) -> dict:
        """Return a kept result as it is stored, empty where there is none."""
        path = self.folder / stem / "data" / f"{name}.json"
        return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}

    def answer(self, stem: str, question: str) -> str:
        """Return an answer, empty where it was not given."""
        summary = next((one for one in self.summaries if one["notebook"] == stem), {})
        rows = [one for one in summary.get("answers", []) if one["question"] == question]
        return rows[-1]["answer"] if rows else ""

    def offers(self, name: str) -> set[str]:
        """Return the offers that the campaign sent to a segment, by its name."""
        outcomes = pl.read_parquet(self.folder / "10_campaign_lift/data/outcomes.parquet")
        return set(outcomes.filter(segment=name)["offer"])

    def guess(self, segment: str) -> str:
        """Return the offer that a segment's persona suggests."""
        return self.result("09_campaign_design", "offer_policy")["persona"].get(segment, "")

    def headline(self, stem: str) -> str:
        """Return what the index says of a notebook."""
        return next(one["headline"] for one in self.summaries if one["notebook"] == stem)


def find_contradictions(left: Left) -> list[str]:
    """Return everything that two places of a run say differently."""
    wrong: list[str] = []
    usable = {row["segment"]: row for row in left.usability.iter_rows(named=True)}
    for step in left.steps.iter_rows(named=True):
        named = f"{step['segment_name']} ({step['decision']})"
        wrong += [
            f"{named}: {what}" for what in _wrong_in_step(step, usable[step["segment"]], left)
        ]
    for check in (_wrong_in_opening, _wrong_in_names, _wrong_in_count, _wrong_in_lift):
        wrong += check(left)
    long = [
        row["answer"] for one in left.summaries for row in one["answers"]
        if len(row["answer"].split()) > 25
    ]  # fmt: skip
    return wrong + [f"an answer of more than 25 words: {one}" for one in long]


def _wrong_in_step(step: dict, judged: dict, left: Left) -> list[str]:
    """Hold a segment's decision against usability, profit, policy, next round and its card."""
    decision, low = step["decision"], step["monthly_low"]
    is_usable, stable = judged["verdict"] in USABLE, bool(judged["stable"])
    card = next(
        one for one in left.first_page["cards"] if one["name"] == step["segment_name"]
    )  # fmt: skip
    words = card["judged"].lower().split("; ")
    policy = left.result("09_campaign_design", "offer_policy")["policy"]
    next_offer = left.next_round.get(step["segment_name"])
    tested = step["test_offer"]
    shown = (
        "at a loss" if (step["monthly_high"] or 0) < 0 else "at a gain" if (low or 0) > 0 else ""
    )
    checks = {
        "neither stable nor usable": decision != "none" and not is_usable and not stable,
        "nothing, though usable": decision == "none" and is_usable,
        "its interval includes a loss": decision == "roll out" and not (low or -1) > 0,
        "stopped, and a gain is possible": decision == "stop" and not (low or -1) > 0,
        "an offer that was never tried": (
            decision == "roll out"
            and step["basis"] == "campaign"
            and step["offer"] not in left.offers(step["segment_name"])
        ),
        "rolls out what neither policy nor persona sends": (
            decision == "roll out"
            and step["offer"] not in (policy[step["segment"]], left.guess(step["segment"]))
        ),
        "the next round sends another offer": (
            decision == "roll out" and next_offer not in (None, step["offer"])
        ),
        f"tests {tested}, the next round sends {next_offer}": (
            "test" in decision
            and tested != step["offer"]
            and next_offer not in (None, tested, step["offer"])
        ),
        "the next round sends nothing": decision in ("keep", "change") and next_offer == "none",
        f"{shown}, and open without a reason": (
            "testing" in decision and shown and "allowed for" not in step["why"]
        ),
        "its card says another decision": not card["decision"].lower().startswith(
            "keep the usual" if decision == "keep" else "stop contacting" if decision == "stop"
             else "no message" if decision == "none" else decision
        ),
        "its card and usability differ on stability": card["stable"] != ("yes" if stable else "no"),
        "its card's words and stability differ": stable != (
            words[0].endswith("stable") and words[0] != "not stable"
        ),
        "its card and usability differ": not any(
            word in (judged["verdict"], f"{judged['verdict']} before the offer was tried")
            for word in words
        ),
    }  # fmt: skip
    return [what for what, is_so in checks.items() if is_so]


def _wrong_in_opening(left: Left) -> list[str]:
    """Hold the first sentence against the table of decisions, and the index against the report."""
    headline = left.headline("12_summary")
    start = headline.split(":")[0]
    changing = left.steps.filter(pl.col("decision").is_in(CHANGING))
    several = "of" in start and headline.startswith("Change what")
    wrong = [
        f"the first sentence leaves out {name}"
        for name in changing["segment_name"]
        if name not in start and not several
    ]
    others = left.steps.filter(~pl.col("decision").is_in(CHANGING), pl.col("decision") == "none")
    wrong += [
        f"the first sentence names {name}" for name in others["segment_name"] if name in start
    ]
    known = changing.drop_nulls(["monthly_low", "monthly_high"])
    if known.height:
        total = math.fsum(known["monthly"])
        # The table is kept with six figures: 1358.5 may have been 1358.502.
        shown = {f"{round(total + rest):,}" for rest in (-1e-5 * abs(total), 1e-5 * abs(total))}
        if not any(one in headline for one in shown):
            wrong.append(f"the first sentence has another total than {round(total):,}")
    if changing.is_empty() and re.match(r"(Roll out|Change|Stop)", headline):
        wrong.append(f"the first sentence changes something: {headline}")
    answer = left.answer("12_summary", "What should we do next?")
    share = re.match(r"(?:Change what|Keep .* for) (\d+) of", answer)  # too many to name each
    rows = changing if answer.startswith("Change") else left.steps.filter(decision="keep")
    if rows.height != int(share[1]) if share else answer[:12] != headline[:12]:
        wrong.append("answer and headline differ")
    cards = {card["stable"] for card in left.first_page["cards"]}
    alarm = " ".join(left.first_page["attention"])
    if cards == {"no"} and "No segment came out again" not in alarm:
        wrong.append("no segment is stable, and the first page does not say so")
    if "treat all alike" in alarm and changing.height:
        wrong.append("the first page treats all alike, and the decisions do not")
    return wrong


def _wrong_in_names(left: Left) -> list[str]:
    """Hold aliases against the markers of the features that they rest on."""
    names = left.profile["segment_name"].to_list()
    wrong = [] if len(set(names)) == len(names) else ["two segments with one name"]
    markers = left.table("06_profiles", "markers").filter("marker")
    for rule in RULES:
        for mark in rule.marks:
            turned = mark.bound
            if mark.within is not None:  # many with a small value: the value itself is low
                turned = "at most" if mark.bound == "at least" else "at least"
            against = markers.filter(
                segment_name=rule.alias, variable=mark.feature, direction=AGAINST[turned]
            )
            if against.height:
                wrong.append(f"{rule.alias}, marked {AGAINST[turned]} by {mark.feature}")
    return wrong


def _wrong_in_count(left: Left) -> list[str]:
    """Hold the number of segments, and what is said of natural groups, against what is in force."""
    said = left.answer("05_segments", "How many segments?")
    natural = left.answer("05_segments", "Are there natural groups?")
    verdict = left.result("05_segments", "structure")["fields"]["verdict"]
    force = left.profile.height
    checks = {
        f"{said!r} beside {force} in force": not said.startswith(f"{counted(force, 'segment')} in"),
        f"{natural!r} beside {verdict}": natural.startswith("Yes") != (verdict == "natural"),
        f"{said!r} beside {natural!r}": (natural.startswith("Yes") != ("; natural groups" in said)),
        "cards and segments differ in number": len(left.first_page["cards"]) != force,
        "the policy's segments are others": (
            set(left.result("09_campaign_design", "offer_policy")["policy"])
            != set(left.profile["segment"])
        ),
    }
    return [what for what, is_so in checks.items() if is_so]


def _wrong_in_lift(left: Left) -> list[str]:
    """Hold verdicts and answers against the intervals beside them."""
    wrong = []
    for name in ("verdicts", "tailoring", "learnt_over_persona"):
        rows = left.table("10_campaign_lift", name)
        for row in () if rows is None else rows.iter_rows(named=True):
            won = row["verdict"] == "higher" and not row["low_points"] > 0
            lost = row["verdict"] == "lower" and not row["high_points"] < 0
            if won or lost:
                wrong.append(f"{name}: {row['segment']} is {row['verdict']}, its interval is not")
    offers = left.table("10_campaign_lift", "offer_profits")
    wrong += [
        f"{row['offer']} is shown to gain, its interval is not"
        for row in (() if offers is None else offers.iter_rows(named=True))
        if row["shown"] == "gain" and not row["profit_low"] > 0
    ]
    tailored = left.table("10_campaign_lift", "tailoring")
    for question, table in (("Did tailoring work?", tailored),):
        said = left.answer("10_campaign_lift", question)
        if table is not None and said:
            row = table.filter(segment=ALL).row(-1, named=True)
            if said.startswith("Yes") != (row["low_points"] > 0) and "allow" not in said:
                wrong.append(f"{question} {said} [{row['low_points']}, {row['high_points']}]")
    wrong += [
        f"{row['question']} {row['answer']}"
        for row in next(s for s in left.summaries if s["notebook"] == "10_campaign_lift")["answers"]
        if row["answer"].startswith("Not shown") and "allow" not in row["answer"]
        and (ends := re.search(r"CI ([-\d.,]+) to ([-\d.,]+)", row["answer"]))
        and float(ends[1].replace(",", "")) * float(ends[2].rstrip(".,").replace(",", "")) > 0
    ]  # fmt: skip
    return wrong


def main() -> None:
    """Run what is missing, and publish how many contradict themselves, by setting."""
    options = arguments(__doc__, seeds=8, thin=1)
    cells = [(name, seed) for seed in range(options.seeds) for name in SETTINGS]
    rows = resume_over_seeds(
        study_retailer, cells[: 1 if options.thin else None], name="agreement", jobs=options.jobs,
        thin=options.thin, as_is=options.as_is,
    )  # fmt: skip
    table = rows.group_by("setting", maintain_order=True).agg(
        retailers=pl.len(),
        with_contradiction=(pl.col("contradictions") > 0).sum(),
        segments=pl.col("segments").mean(),
        decided=pl.sum_horizontal(name.replace(" ", "_") for name in DECIDED).sum(),
        testing=pl.sum_horizontal("keep_testing", "start_testing").sum(),
        nothing=pl.col("none").sum(),
    )
    publish(
        table,
        "agreement",
        thin=options.thin,
        note=f"{SIZE} customers a retailer (small pilot: 350, more: 5,000).\n"
        "with_contradiction: retailers whose reports differ in two places.\n"
        "decided, testing, nothing: segments.\n"
        "rows/agreement.csv: its rows",
    )
    wrong = [one for one in rows["which"] if one]
    if wrong:
        raise SystemExit("\n".join(wrong))


if __name__ == "__main__":
    main()
