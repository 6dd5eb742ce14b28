"""What the tests of runs share: a finished run, its pages, its ledger, what a source lacks."""

import html
import json
import re
import subprocess
import sys
from contextlib import contextmanager, nullcontext
from pathlib import Path

import polars as pl

import segkit
from segkit.course.kernel import code_cell
from segkit.runner.catalog import Catalog
from segkit.runner.opening import SHARED

NOTEBOOKS = Path(__file__).parents[2] / "notebooks"
FILES = sorted(NOTEBOOKS.glob("*.ipynb"))
STEMS = [file.stem for file in FILES]


class Finished:
    """What notebooks have left in the folder of their run."""

    place: Path

    @property
    def folder(self):
        (found,) = {path.parents[1] for path in self.place.glob("reports/*/*/summary.json")}
        return found

    def summary(self, stem):
        return json.loads((self.folder / stem / "summary.json").read_text(encoding="utf-8"))

    def skips(self, stem):
        skips = self.summary(stem)["skips"]
        assert all(skip["why"].endswith(".") for skip in skips)
        return {skip["what"] for skip in skips}

    def customers(self):
        taken = segkit.intake.Intake.open(self.folder / "01_data_audit" / "data" / "clean")
        return set(taken.orders["customer_id"])


class OneByOne(Finished):
    """Notebooks executed by hand, as a person does: no run, no report.

    Those that the source can carry; with ``last``, that one and what it needs. The first
    ``by_papermill`` of them by the plain ``papermill`` command, the others in one kernel, which may
    have executed others before: each notebook begins without names, in the folder given. Without
    ``pictures`` these are sketched.
    """

    def __init__(self, place, kernel, *, last=None, by_papermill=0, pictures=True, **given):
        self.place = place
        # Where this file lies, results are kept; what it says holds for all notebooks.
        lines = [f"{name} = {json.dumps(given[name])}" for name in SHARED if name in given]
        (place / "parameters.toml").write_text("\n".join(lines), encoding="utf-8")
        catalog = Catalog.open(NOTEBOOKS).for_source(given["source"])
        self.stems = catalog.closure([catalog.find(last)] if last else catalog.notebooks)
        self.shown = {}
        for number, stem in enumerate(self.stems):
            notebook = catalog.notebooks[stem]
            own = {name: value for name, value in given.items() if name in notebook.parameters}
            if number < by_papermill:
                outputs = self._by_papermill(notebook, own)
            else:
                kernel.forget(place)
                with nullcontext() if pictures else sketching(kernel, NOT_DRAWN_TWICE):
                    outputs = self._execute(kernel, notebook, own)
            self.shown[stem] = without_pictures(json.dumps(outputs, ensure_ascii=False))
            assert self.summary(stem)["headline"], stem
        assert not list(place.glob("reports/*/run.json")), "notebooks were run again"

    def _execute(self, kernel, notebook, own):
        chosen = code_cell("\n".join(f"{name} = {value!r}" for name, value in own.items()))
        content = json.loads(notebook.path.read_text(encoding="utf-8"))
        outputs = []
        for cell in content["cells"]:
            if cell["cell_type"] == "code":
                (done,) = kernel.run([{**cell, "source": "".join(cell["source"])}])
                outputs += done["outputs"]
            if "parameters" in cell["metadata"].get("tags", []):
                kernel.run([chosen])
        return outputs

    def _by_papermill(self, notebook, own):
        made = self.place / notebook.path.name
        words = [word for name, value in own.items() for word in ("-p", name, str(value))]
        command = [sys.executable, "-m", "papermill", str(notebook.path), str(made), *words]
        told = subprocess.run(command, cwd=self.place, capture_output=True, text=True)
        assert told.returncode == 0, told.stderr[-2000:]
        cells = json.loads(made.read_text(encoding="utf-8"))["cells"]
        return [output for cell in cells for output in cell.get("outputs", [])]


# Everything is drawn; what comes out is a picture without lines, with all its words: texts, what
# stands beside an axis or a mark, and the alternative text.
SKETCHED = """
def _sketch():
    import html, json, segkit.plot.figure as drawing, segkit.plot.vector as vector
    from matplotlib.text import Text
    def svg(self):
        for axes in self.figure.axes:
            axes.get_xticklabels(), axes.get_yticklabels()
        words = [one.get_text() for one in self.figure.findobj(Text)]
        for gid in dict.fromkeys(str(one.get_gid()) for one in self.figure.findobj()):
            if gid.startswith(vector._MARK):
                text, names = json.loads(bytes.fromhex(gid.removeprefix(vector._MARK)))
                words += [text, *names]
        words = html.escape(" ".join(words))
        return vector._finish(f"<svg ><text>{words}</text></svg>", self.alt)
    drawing.drawn = drawing.Figure.svg
    drawing.Figure.svg = svg
_sketch()
del _sketch"""
# A picture's form for a phone has the same words, as a test of the simulated retailer sees.
NOT_DRAWN_TWICE = """
import segkit.plot.figure as _drawing
_drawing.drawn_narrow = _drawing.Figure.narrow_svg
_drawing.Figure.narrow_svg = lambda self: self.svg() if self.again else ""
del _drawing"""
DRAWN = """import segkit.plot.figure as _drawing
_drawing.Figure.svg = _drawing.drawn
_drawing.Figure.narrow_svg = getattr(_drawing, "drawn_narrow", _drawing.Figure.narrow_svg)
del _drawing"""


@contextmanager
def sketching(kernel, more=""):
    """Have a kernel leave out what takes half of a notebook's time: layout and SVG of pictures."""
    kernel.run([code_cell(SKETCHED + more)])
    try:
        yield
    finally:
        kernel.run([code_cell(DRAWN)])


# Of data of one's own nobody knows the truth: here it lies beside them.
KNOWN = """
import pathlib, polars, segkit.runner.notebook as _opened
class _Known(type(pathlib.Path())):
    @property
    def truth(self):
        return {"customers": polars.read_parquet("truth.parquet")}
_opened.NotebookRun.load = lambda self, load=_opened.NotebookRun.load: _Known(load(self))
del _opened"""


def write_sketching(place):
    """Lay out a working folder's notebooks, each with a cell that has its pictures sketched.

    The first one knows the truth about its customers.
    """
    (place / "notebooks").mkdir()
    for file in FILES:
        content = json.loads(file.read_text(encoding="utf-8"))
        tags = [cell["metadata"].get("tags", []) for cell in content["cells"]]
        at = tags.index(["parameters"]) + 1
        code = SKETCHED + NOT_DRAWN_TWICE + KNOWN * (file == FILES[0])
        content["cells"].insert(at, {**code_cell(code), "id": "sketched"})
        text = json.dumps(content, ensure_ascii=False)
        (place / "notebooks" / file.name).write_text(text, encoding="utf-8")


class Ran(Finished):
    """A finished ``segkit run``: its exit code, what it said, and the folder of its run."""

    def __init__(self, place, *words):
        code = "from segkit.cli import main; main()"
        told = subprocess.run(
            [sys.executable, "-c", code, "run", *words], cwd=place, capture_output=True, text=True
        )
        self.place, self.code, self.out, self.err = place, told.returncode, told.stdout, told.stderr
        self.folders = sorted(place.glob("reports/*/run.json"))

    @property
    def folder(self):
        (record,) = self.folders
        return record.parent

    def statuses(self):
        record = json.loads((self.folder / "run.json").read_text(encoding="utf-8"))
        return {item["stem"]: item["status"] for item in record["notebooks"]}

    def reports(self):
        """Return the text of every page, by stem, without the pictures' bytes."""
        pages = [*self.folder.glob("*/report.html"), self.place / "reports" / "index.html"]
        assert all(page.stat().st_size < 3_000_000 for page in pages)
        texts = {page.parent.name: page.read_text(encoding="utf-8") for page in pages}
        return {stem: without_pictures(text) for stem, text in texts.items()}


LOADED = re.compile(
    r"""(?:\bsrc|<link[^>]*href|url\(|@import)\s*=?\s*["'(]?\s*(?:https?:)?//""", re.I
)


def check_pages(ran, secret):
    """Assert that no page loads anything from afar, or names one of the secret texts."""
    record = json.loads((ran.folder / "run.json").read_text(encoding="utf-8"))
    secret = secret - {str(value) for value in record["parameters"].values()}  # an id may be 20000
    pages = ran.reports()
    assert set(pages) == {*ran.statuses(), "reports"}
    for stem, page in pages.items():
        assert not LOADED.search(page), stem
        assert "PosixPath" not in page, stem
    check_nobody_named(pages, secret)


def check_nobody_named(texts, secret):
    """Assert that none of the secret texts stands in texts by stem."""
    for stem, shown in texts.items():
        text = re.sub(r"\brow [\d,]+", "", html.unescape(shown))
        words = {word.strip(".-") for word in re.findall(r"[\w.@-]+", text)}
        named = {one for one in secret if one in words or (" " in one and one in text)}
        assert not named, (stem, sorted(named)[:5])


def words_of(picture):
    """Return all words of a picture: its texts, the names of its marks, its alternative text."""
    texts = re.findall(r">([^<]+)<|data-names=\"([^\"]*)|aria-label=\"([^\"]*)", picture)
    return set(re.findall(r"\w+", html.unescape(" ".join(map("".join, texts)))))


def without_pictures(text):
    return re.sub(r"base64,[\w+/=]+", "", text)


ASKED_YES_OR_NO = ("Can", "Do", "Does", "Did", "Would", "Is", "Are", "Will", "Has", "Have")
VERDICTS = ("Yes", "No", "Not shown", "Not known", "Not measured", "In part", "About half")


def check_answers(ran):
    """Assert that answers have at most 25 words, and a verdict first where one is asked for."""
    answers = [
        (row["question"], row["answer"])
        for path in ran.folder.glob("*/summary.json")
        for row in json.loads(path.read_text(encoding="utf-8"))["answers"]
    ]
    assert len(answers) >= 4
    assert [pair for pair in answers if len(pair[1].split()) > 25] == []
    asked = [pair for pair in answers if pair[0].split()[0] in ASKED_YES_OR_NO]
    assert [pair for pair in asked if not pair[1].startswith(VERDICTS)] == []


def ledger(ran):
    rows = pl.read_csv(ran.folder / "01_data_audit" / "tables" / "ledger_orders.csv")
    entry = pl.col("entry").fill_null("")
    return {
        (step, kind): (lines, money)
        for step, kind, lines, money in rows.select("step", entry, "rows", "money").iter_rows()
    }


# What a table of order lines alone lacks, by notebook and by the name under which that is said.
LACKS = {
    "01_data_audit": {"linked", "other tables", "truth"},
    "02_customer_table": set(),
    "03_rfm_segments": {"recency_days < 31 and product_views_7d > 3"},
    "04_attitudes": {"items", "attitudes", "attitude_model"},
    "05_segments": {"attitudes"},
    "06_profiles": {"demographics", "answers", "marketing consent"},
    "07_drivers": {"events", "product id", "elasticities"},
    "08_value_and_churn": {"product id", "offers"},
    "09_campaign_design": {
        *("attitudes", "pilot", "consent", "past campaign", "differing", "audiences"),
        *("pilot_profits", "retention_lists", "pilot_answers"),
    },
    # The campaign is assigned as of the last order: nothing has come of it yet.
    "10_campaign_lift": {
        *("outcomes", "lift", "offer_profits", "contacts", "tailoring", "pilot answers"),
        "next_round",
    },
    "11_refresh": {"truth"},
    "12_summary": {
        *("offer profits", "pilot profits", "next round", "worth", "lift", "tailoring", "truth"),
        "attitudes",
    },
}
