import re
from html.parser import HTMLParser

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output

from segkit.report.change import causes, change
from segkit.report.index import link_reports, write_index
from segkit.report.page import page
from segkit.report.render import keep_offline, write_report
from segkit.report.runs import find_runs
from segkit.report.style import style
from segkit.runner.manifest import NAME, file_digest, list_outputs, read_json, write_json

MANIFEST = {
    "notebook": "02_x",
    "title": "Segments & more",
    "question": "Which?",
    "status": "done",
    "error": None,
    "key": "abc" * 10,
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


class Tags(HTMLParser):
    """Collects tags, and checks that they are closed in order."""

    VOID = frozenset({"meta", "img", "br", "link", "hr", "input"})

    def __init__(self, text):
        super().__init__()
        self.seen, self.open = [], []
        self.feed(text)
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        self.seen.append((tag, dict(attrs)))
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        assert tag in self.VOID
        self.handle_starttag(tag, attrs)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag, f"</{tag}> at {self.getpos()}"


def outputs():
    return [
        new_output("stream", name="stderr", text="a warning\n"),
        new_output("stream", name="stdout", text="told <plainly>\n"),
        new_output("execute_result", data={"text/html": "<p>shown</p>", "text/plain": "hidden"}),
        new_output("display_data", data={"image/png": PIXEL}, metadata={"alt": 'A "bar"'}),
        new_output("execute_result", data={"text/plain": "<Figure>"}),
        new_output(
            "display_data",
            data={"text/html": '<script src="https://cdn.example/x.js"></script><p>kept</p>'},
        ),
    ]


@pytest.fixture
def report(tmp_path):
    folder = tmp_path / "reports/toy/02_x"
    folder.mkdir(parents=True)
    cells = [
        new_markdown_cell("# Are there natural groups?\n\nThe stakes are **high**."),
        new_code_cell(
            'source: str = "toy"  # where from\ncode: str = ""  # a label',
            metadata={"tags": ["parameters"]},
        ),
        new_markdown_cell("## How many?\n\nWords.\n\n### Why so?"),
        new_code_cell("1 + 1  # adds", outputs=outputs()),
    ]
    nbformat.write(new_notebook(cells=cells), folder / "02_x.ipynb")
    write_json(folder / "summary.json", SUMMARY)
    write_report(folder, "02_x", MANIFEST, run_name="toy")
    return folder / "report.html"


def test_a_report_is_well_formed_small_and_whole(report):
    text = report.read_text()
    tags = Tags(text)
    names = [tag for tag, _ in tags.seen]
    assert names.count("h1") == 1
    assert len(text) < 60_000
    for said in [
        "Are there natural groups?",
        "<strong>high</strong>",
        "5 segments &lt;stand out&gt;.",
        "Half the rows are gone.",
        "2023-01-01 to 2023-12-31",
        "12,345",
        "where from",
        "<code>'&lt;b&gt;'</code>",
        "told &lt;plainly&gt;",
        "<p>shown</p>",
        "&lt;Figure&gt;",
        "segkit 0.1.0",
    ]:
        assert said in text
    assert "hidden</pre>" not in text
    assert text.index("How many?") < text.index("Table 1") < text.index("Words.")


def test_a_reports_headings_pictures_and_code_serve_every_reader(report):
    text = report.read_text()
    tags = Tags(text).seen
    levels = [int(tag[1]) for tag, _ in tags if re.fullmatch(r"h[1-6]", tag)]
    assert levels == [1, 2, 3]
    assert [a["alt"] for tag, a in tags if tag == "img"] == ['A "bar"']
    assert [a for tag, a in tags if tag == "details" and a.get("class") == "code"] == [
        {"class": "code"}  # folded: no attribute "open"
    ]
    assert '<a href="#How-many?">How many?</a>' in text or 'href="#How-many' in text
    assert "Messages of this step" in text
    assert "In [" not in text


def test_nothing_is_fetched_from_elsewhere(report):
    text = report.read_text()
    assert "[left out: content from cdn.example]" in text
    assert "<p>kept</p>" in text
    assert "http" not in text.replace("content from", "")


@pytest.mark.parametrize(
    "remote",
    [
        '<link rel="stylesheet" href="//fonts.example/a.css">',
        "<iframe src=http://a.example/></iframe>",
        "<img alt='x' SRC='https://a.example/t.gif'/>",
        "<style>@import 'https://a.example/a.css';</style>",
        "<style>p { background: url( http://b.example/x ) }</style>",
    ],
)
def test_remote_content_is_taken_out_in_every_spelling(remote):
    assert "//" not in keep_offline(remote)


def test_a_failed_report_shows_what_failed_where(report):
    failed = MANIFEST | {
        "status": "gate",
        "error": {"kind": "DataError", "message": "no <rows>", "cell": 3},
    }
    write_report(report.parent, "02_x", failed, run_name="toy")
    text = report.read_text()
    assert "The data cannot carry this analysis, in cell 3." in text
    assert "DataError: no &lt;rows&gt;" in text


def luminance(colour):
    parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one, other):
    light, dark = sorted([luminance(one), luminance(other)], reverse=True)
    return (light + 0.05) / (dark + 0.05)


def test_every_colour_of_text_can_be_read_in_light_and_dark():
    blocks = re.findall(r":root \{(.*?)\}", style("style.css"), re.DOTALL)[:2]
    assert len(blocks) == 2
    for block in blocks:
        colours = dict(re.findall(r"--([\w-]+): (#[0-9a-f]{6})", block))
        on_page = ["ink", "soft", "accent", "good", "attention", "poor"]
        on_tint = ["keyword", "string", "literal", "note", "ink", "soft"]
        pairs = [(name, "page") for name in on_page] + [(name, "tint") for name in on_tint]
        pairs += [(name, f"{name}-tint") for name in ("good", "attention", "poor")]
        pairs += [("ink", "poor-tint")]
        for text, ground in pairs:
            assert contrast(colours[text], colours[ground]) >= 4.5, (text, ground)


def make_run(out, name, rows):
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
    record = {"name": name, "finished": "2024-02-01T00:00:00+00:00", "notebooks": listed}
    write_json(out / name / "run.json", record | {"parameters": {"source": "toy"}})


def test_the_index_shows_findings_failures_and_changes(tmp_path):
    before = {
        "finished": "2023-12-01T00:00:00+00:00",
        "headline": "4 segments.",
        "answers": [{"question": "How many?", "answer": "4", "evidence": ""}],
    }
    rows = [
        ("01_audit", "done", SUMMARY, None),
        ("05_segments", "done", SUMMARY, before),
        ("06_profiles", "killed", {}, None),
        ("12_summary", "done", SUMMARY | {"headline": "Act on <two>."}, None),
    ]
    make_run(tmp_path, "my run", rows)
    text = write_index(tmp_path).read_text()
    Tags(text)
    assert text.index("Act on &lt;two&gt;.") < text.index("05_segments/report.html")
    assert "06_Profiles: ended from outside." in text
    assert "out of &lt;memory&gt;" in text
    assert "<del>4 segments.</del><br><ins>5 segments &lt;stand out&gt;.</ins>" in text
    assert "Changed since 2023-12-01 00:00: 2" in text
    assert 'href="my%20run/05_segments/report.html"' in text
    assert "http" not in text


def test_a_summary_that_failed_is_not_shown_as_the_result(tmp_path):
    make_run(tmp_path, "a", [("12_summary", "failed", SUMMARY, None)])
    text = write_index(tmp_path).read_text()
    assert "stand out" not in text


def test_several_runs_come_newest_first_with_an_overview(tmp_path):
    for name in ("old", "new"):
        make_run(tmp_path, name, [("01_audit", "done", SUMMARY, None)])
    record = read_json(tmp_path / "old/run.json") | {"finished": "2020-01-01T00:00:00+00:00"}
    write_json(tmp_path / "old/run.json", record)
    text = write_index(tmp_path).read_text()
    assert text.index('id="new"') < text.index('id="old"')
    assert "1 of 1" in text


def test_an_index_of_nothing_says_so(tmp_path):
    assert find_runs(tmp_path) == []
    assert "No run has been made" in write_index(tmp_path).read_text()


def test_reports_are_linked_with_one_another_and_stay_on_record(tmp_path):
    rows = [(stem, "done", SUMMARY, None) for stem in ("01_audit", "02_table")]
    make_run(tmp_path, "a", rows)
    link_reports(tmp_path / "a")
    link_reports(tmp_path / "a")
    report = tmp_path / "a/01_audit/report.html"
    text = report.read_text()
    assert text.count("../02_table/report.html") == 1
    assert "../../index.html#a" in text
    outputs = read_json(report.parent / NAME)["outputs"]
    listed = {output["path"]: output["sha256"] for output in outputs}
    assert listed["report.html"] == file_digest(report)


def test_changes_name_new_and_dropped_questions():
    before = {"headline": "a", "answers": [{"question": "x", "answer": "1"}]}
    now = {"headline": "a", "answers": [{"question": "y", "answer": "2"}]}
    assert [(c["what"], c["was"], c["now"]) for c in change(now, before)] == [
        ("y", "not asked", "2"),
        ("x", "1", "no longer answered"),
    ]
    assert change(now, None) == []
