import re
from html.parser import HTMLParser

import pytest

from segkit.cli import invoke
from segkit.errors import RunError, SourceError
from segkit.report.change import causes, change, in_words
from segkit.report.index import find_runs, link_reports, write_index
from segkit.report.overview import GUESS, describe_run
from segkit.report.page import style
from segkit.report.pdf import find_browser, print_page, write_pdfs
from segkit.report.render import keep_offline, write_report
from segkit.runner.manifest import NAME, file_digest, read_json, write_json
from tests.report_pages import MANIFEST, SUMMARY, make_markets, make_report, make_run


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
        assert tag in self.VOID or tag == "path"
        self.seen.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag, f"</{tag}> at {self.getpos()}"


@pytest.fixture
def report(tmp_path):
    return make_report(tmp_path / "reports/toy/02_x", "02_x")


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
        "<code>&#39;&lt;b&gt;&#39;</code>",
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
    assert levels == [1, 2, 3, 2]
    assert [a["alt"] for tag, a in tags if tag == "img"] == ['A "bar"']
    assert [a for tag, a in tags if tag == "details" and a.get("class") == "code"] == [
        {"class": "code"},  # folded: no attribute "open"
        {"class": "code"},
    ]
    assert text.index("leads up to it") < text.index("adds")  # in one fold
    assert '<a href="#How-many?">How many?</a>' in text or 'href="#How-many' in text
    assert "Messages of this step" in text
    assert "Last words." in text
    assert "Findings" not in text  # a heading with nothing below it but folded code
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


BEFORE = {
    "key": "k",
    "inputs": {"data file": "1", "summary of 01_audit": "1", "orders": "1"},
    "parameters": {"k": 4, "out": "a", "data": "a.csv", "why": ""},
    "versions": {"segkit source": "1", "polars": "2.0"},
    "notebook_digest": "1",
    "rows": {"customers": 1375},
}
MAPPED, RESULTS = "the mapping file (how columns are read)", "new results of Audit"


@pytest.mark.parametrize(
    ("part", "changed", "said"),
    [
        ("inputs", {"data file": "2"}, [("data", "the data file's content")]),
        ("inputs", {"mapping file": "2"}, [("parameters", MAPPED)]),
        ("inputs", {"file b.csv": "2"}, [("data", "the content of b.csv")]),
        ("inputs", {"orders": "2", "summary of 01_audit": "2"}, [("earlier reports", RESULTS)]),
        ("parameters", {"k": 5}, [("parameters", "k 4 → 5")]),
        ("parameters", {"why": "five plans"}, [("parameters", "why none → five plans")]),
        ("parameters", {"out": "b", "data": "b.csv"}, []),
        ("parameters", {"source": "cdnow"}, [("data", "source not set → cdnow")]),
        ("versions", {"segkit source": "2"}, [("code", "segkit's own code")]),
        ("versions", {"polars": "2.1"}, [("code", "polars 2.0 → 2.1")]),
        ("notebook_digest", "2", [("code", "the notebook itself")]),
        ("rows", {"customers": 1402}, [("customers", "1,375 → 1,402 (+27)")]),
    ],
)  # fmt: skip
def test_a_change_is_put_down_to_what_differs(part, changed, said):
    now = BEFORE[part] | changed if isinstance(changed, dict) else changed
    manifest = {**BEFORE, "status": "done", "previous": BEFORE} | {part: now}
    found = causes(manifest, {"rows": manifest["rows"]}, {"orders": "Audit", "01_audit": "Audit"})
    assert [(one["kind"], one["text"]) for one in found] == said


def test_causes_are_not_guessed_where_none_were_recorded():
    for before in ({"headline": "x"}, {"inputs": None}, BEFORE | {"key": ""}):
        found = causes({**BEFORE, "previous": before}, {})
        assert [one["kind"] for one in found] == ["unknown"]
    assert causes(BEFORE, {}) == []
    always_new = BEFORE | {"inputs": {"data address": "not hashed"}}
    (one,) = causes({**always_new, "previous": always_new}, {})
    assert one["kind"] == "data"
    both = [{"kind": "data", "text": "a"}, {"kind": "code", "text": "b"}]
    assert in_words([*both, both[0]]) == "Causes, not told apart: data (a), code (b)."


def test_the_index_sets_markets_and_days_side_by_side(tmp_path):
    text = make_markets(tmp_path).read_text()
    Tags(text)
    runs = find_runs(tmp_path)
    order = [(run["date"], run["label"]) for run in runs]
    assert order[:2] == [("2026-11-22", "United Kingdom"), ("2026-11-22", "Österreich & Co")]
    assert [date for date, _ in order] == ["2026-11-22"] * 5 + ["2026-10-22"] * 3
    assert "2 of 5 markets done; 2 failed; 1 too small to be analysed" in text
    assert "12 rows without a market; 8 customers in two or more markets" in text
    assert "8 runs, 2 with a failure; the latest is of 2026-11-22." in text
    assert "Österreich &amp; Co" in text
    assert "Österreich & Co" not in text
    failed = text[text.index("What failed, and why") : text.index('id="filter"')]
    assert "Ireland" in failed
    assert "too few customers in this market" in failed
    assert "Iceland" in failed
    assert "its orders could not be read" in failed
    assert "Malta" not in failed
    news = "Cause: data (the data file&#39;s content), customers (5 → 3,920 (+3,915))."
    assert f"9 findings changed since 2026-10-22 08:00. {news}" in text


def test_the_first_page_has_figures_segments_decisions_and_what_needs_a_look(tmp_path):
    index = make_markets(tmp_path)
    name = "shop--united-kingdom--2026-11-22"
    told = [read_json(path) for path in sorted((tmp_path / name).glob("*/summary.json"))]
    page = describe_run(tmp_path / name, told)
    revenue, lift = page["tiles"]
    assert (revenue["value"], revenue["change"]) == ("41,204 GBP", "+2.1% (-0.4% to +4.7%)")
    assert revenue["link"] == "../05_segments/report.html#table-sizes"
    assert (lift["value"], lift["interval"]) == ("+19.9%", "+12.7% to +27.6%")
    loyal, budget = page["cards"]  # those with most revenue first
    assert (loyal["name"], loyal["size"]) == ("Loyalists & friends", "1 customer, 40.0%")
    assert loyal["worth"] == "70.0% of revenue, 1,234 GBP each"
    assert (loyal["decision"], loyal["gain"]) == ("Keep testing: gift ideas against generic", "")
    assert (budget["decision"], budget["gain"], budget["basis"]) == (
        "Roll out: flash sale",
        "5,200 GBP a month (900 to 9,401)",
        "measured in the campaign",
    )
    assert (loyal["judged"], budget["judged"]) == ("Not stable", "Highly stable")
    assert budget["marks"] == "↑ discount rate, ↓ average order value"
    data, shaky = page["attention"]
    assert data == "The data cannot carry firm conclusions: Half the rows are gone."
    assert shaky == "Not stable on resampled customers: Loyalists & friends."
    assert 'aria-label="Lift by segment"' in page["picture"]
    for text in (index.read_text(), (tmp_path / name / "12_summary/report.html").read_text()):
        Tags(text)
        assert "Keep testing: gift ideas against generic" in text
        assert "Loyalists &amp; friends" in text
    answer = {"question": GUESS, "answer": "Yes, as far as shown: 12 and 11 points."}
    guess = describe_run(tmp_path / name, [{"answers": [answer]}])["guess"]
    assert guess.endswith("did as well as the offers learnt, as far as shown: 12 and 11 points.")
    answer["answer"] = "Yes, and better: 12 and 9 points."
    guess = describe_run(tmp_path / name, [{"answers": [answer]}])["guess"]
    assert guess == "The persona's guess did better than the offers learnt: 12 and 9 points."
    answer["answer"] = "No: 12 and 14 points."
    assert describe_run(tmp_path / name, [{"answers": [answer]}])["guess"] == ""
    empty = describe_run(tmp_path / "absent", [])
    assert not any(empty.values())


def test_markets_stand_side_by_side_and_skipped_work_looks_skipped(tmp_path):
    text = make_markets(tmp_path).read_text()
    rows = re.findall(r"<tr data-run.*?</tr>", text, re.DOTALL)
    cells = [re.sub(r"\s+", " ", re.sub("<[^>]+>", " ", row)) for row in rows]
    assert "3,920 customers 2026-11-22 41,204 GBP +2.1% (-0.4% to +4.7%) 2, 1 stable" in cells[0]
    skipped = [row for row in rows if 'class="skipped"' in row]
    assert len(skipped) == 3  # of this day: Ireland, which failed, Malta and Iceland
    assert any("too small" in row and "2 customers" in row for row in skipped)


def test_what_was_used_again_is_said_to_be_unchanged(tmp_path):
    before = MANIFEST | {"headline": "4 segments.", "answers": SUMMARY["answers"]}
    make_run(tmp_path, "a", [("05_segments", "done", SUMMARY, before)])
    record = read_json(tmp_path / "a/run.json")
    record["notebooks"][0]["status"] = "reused"
    write_json(tmp_path / "a/run.json", record)
    text = write_index(tmp_path).read_text()
    assert "Nothing has changed since the last run." in text
    assert "<del>4 segments.</del>" in text


def test_a_run_whose_only_cause_is_another_report_names_it(tmp_path):
    before = MANIFEST | {"headline": "4 segments.", "inputs": {"data file": "1", "segments": "1"}}
    make_run(tmp_path, "a", [("06_profiles", "done", SUMMARY, before)])
    assert "Cause: earlier reports (new results of segments)." in write_index(tmp_path).read_text()


def test_an_address_is_shown_nowhere(report, tmp_path):
    said = "Ask ann.b3@mail.shop.example about it."
    summary = SUMMARY | {"headline": said, "quality": {"level": "good", "text": said}}
    text = make_report(report.parent, "02_x", MANIFEST, summary).read_text()
    make_run(tmp_path, "a", [("12_summary", "done", summary, None)], message=said)
    for page in (text, write_index(tmp_path).read_text()):
        assert "ann.b3" not in page
        assert "Ask [address left out] about it." in page


def test_an_answer_leads_to_its_table_in_the_report_and_to_its_file(report):
    answer = {"question": "How many?", "answer": "5", "evidence": "02_x/sizes"}
    summary = SUMMARY | {"answers": [answer | {"link": "02_x/tables/sizes.csv"}]}
    text = make_report(report.parent, "02_x", MANIFEST, summary).read_text()
    assert '<a href="#table-sizes">X: sizes</a>' in text
    assert text.count('id="table-sizes"') == 1
    assert 'href="../02_x/tables/sizes.csv"' in text
    links = [dict(attrs) for tag, attrs in Tags(text).seen if tag == "a" and "download" in attrs]
    assert [link.get("aria-label") for link in links if link["href"] == "tables/sizes.csv"] == [
        "Table (csv): Sizes",
        None,
    ]


def test_reports_name_their_market_and_lead_on(tmp_path):
    make_markets(tmp_path)
    report = tmp_path / "shop--united-kingdom--2026-11-22/05_segments/report.html"
    text = report.read_text()
    Tags(text)
    assert "<title>Segments – United Kingdom, 2026-11-22</title>" in text
    assert 'rel="prev" href="../01_audit/report.html">← Audit</a>' in text
    assert 'rel="next" href="../12_summary/report.html">Next: Summary</a>' in text


def test_without_a_browser_a_pdf_is_refused_with_what_to_do(tmp_path, monkeypatch, capsys):
    make_run(tmp_path, "a", [("12_summary", "done", SUMMARY, None)])
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr("segkit.report.pdf.PLACES", ())
    with pytest.raises(RunError, match="neither is installed here"):
        find_browser()
    assert invoke(["pdf", str(tmp_path)]) == 1
    assert "open the summary in any browser and print it" in capsys.readouterr().err


def test_a_pdf_needs_a_finished_summary_and_a_working_browser(tmp_path):
    make_run(tmp_path, "a", [("12_summary", "failed", SUMMARY, None)])
    with pytest.raises(SourceError, match="has a finished summary"):
        write_pdfs(tmp_path)
    with pytest.raises(SourceError, match="no folder"):
        write_pdfs(tmp_path / "absent")
    page = tmp_path / "a/12_summary/report.html"
    for broken, why in (("false", "exit code 1"), ("/no/such/browser", "No such file")):
        with pytest.raises(RunError, match=f"printed no PDF of 12_summary: .*{why}"):
            print_page(page, tmp_path / "summary.pdf", broken)
    assert not (tmp_path / "summary.pdf").exists()
    assert list(tmp_path.glob(".summary*")) == []
