"""Looks at an index and a report as a browser does, from disk and without a network."""

import re

import nbformat
import polars as pl
import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output

from segkit import plot
from segkit import report as reports
from segkit.cli import invoke
from segkit.display import table_html
from segkit.profile.persona_pages import (
    FACTS,
    HEADINGS,
    MOST,
    MOST_HABITS,
    MOST_TRIED,
    PersonaPages,
)
from segkit.report.render import write_report
from segkit.runner.manifest import write_json
from segkit.runner.progress import Progress
from segkit.runner.run import run
from tests.report_pages import EARLIER, LATER, MANIFEST, SUMMARY, make_markets
from tests.toy_notebooks import write_chain, write_notebook

pytestmark = pytest.mark.slow
# Names people in every way that a notebook can show something.
PEOPLE = """\
orders = run.read("orders")
who = pl.format("p{}@mail.example", pl.int_range(pl.len()))
people = orders.with_columns(who=who, note=pl.lit("asked for by boss@mail.example"))
run.table(people, "people", caption="Spend")
run.say(f"Ask {people['who'][0]} for help.")
run.headline(f"{people['who'][1]} spends most.")
run.answer("Who spends most?", people["who"][2], "people")
print(people["who"][3])
people"""


@pytest.fixture(scope="module")
def index(tmp_path_factory):
    place = tmp_path_factory.mktemp("browser")
    write_chain(place / "notebooks", picture=True)
    write_notebook(place / "notebooks", "04_people", reads=["orders"], cells=[PEOPLE])
    return run(folder=place, progress=Progress(quiet=True), report=reports).index


@pytest.fixture(scope="module")
def markets(tmp_path_factory):
    return make_markets(tmp_path_factory.mktemp("markets"))


# What is done with a page is the same in both themes; what is drawn is looked at in either.
in_both_themes = pytest.mark.parametrize("page", ["light", "dark"], indirect=True)


@pytest.fixture
def page(browser, watch, request):
    asked = []
    theme = getattr(request, "param", "light")
    context = browser.new_context(color_scheme=theme, offline=True)
    opened = context.new_page()
    opened.on("request", lambda r: asked.append(r.url))
    trouble = watch(opened)
    yield opened
    context.close()
    assert trouble == []
    assert [url for url in asked if not url.startswith(("file:", "data:"))] == []


def test_from_the_index_to_a_report_and_its_table(index, page):
    page.goto(index.as_uri())
    assert page.locator("h1").inner_text() == "Customer segments: reports"
    assert page.locator(".notebooks tbody tr").count() == 4
    page.get_by_role("link", name="Segments", exact=True).click()
    assert page.locator("h1").inner_text() == "What does 02_segments say?"
    assert page.locator("aside [aria-current]").inner_text() == "Segments"
    for link in page.locator("main a[href]").evaluate_all("all => all.map(a => a.href)"):
        page.context.new_page().goto(link) if link.endswith(".html") else None
        assert link.startswith("file:")
    assert page.get_by_role("link", name="Table (csv)").count() == 2
    page.get_by_role("link", name="Orders", exact=True).click()
    page.get_by_role("link", name="All reports").click()
    assert page.locator("h1").inner_text() == "Customer segments: reports"


def test_one_control_unfolds_all_code(index, page):
    page.goto((index.parent / "toy/02_segments/report.html").as_uri())
    code = page.locator("details.code > div")
    assert code.count() >= 4
    assert not any(code.nth(i).is_visible() for i in range(code.count()))
    page.get_by_role("button", name="Show all code").click()
    assert all(code.nth(i).is_visible() for i in range(code.count()))
    page.get_by_role("button", name="Hide all code").click()
    assert not code.first.is_visible()


@in_both_themes
def test_pictures_are_drawn_and_described_and_nothing_overflows(index, page):
    page.goto((index.parent / "toy/02_segments/report.html").as_uri())
    images = page.locator("main .segkit-figure > svg")
    assert images.count() == 1
    assert images.first.get_attribute("aria-label") == "Bars: low 1, high 2"
    assert images.first.bounding_box()["width"] > 300
    for width in (1200, 380):
        page.set_viewport_size({"width": width, "height": 800})
        wide = page.evaluate("document.documentElement.scrollWidth")
        assert wide <= width


def test_nobody_is_named_on_any_page(index):
    pages = [index, *index.parent.glob("*/*/report.html")]
    assert len(pages) == 5
    people = pages[0].parent / "toy/04_people/report.html"
    assert "Ask p0…@… for help." in people.read_text()
    assert "Left out as personal: customer_id. 40 cells with personal data masked" in (
        people.read_text()
    )
    for path in (*pages, *index.parent.glob("*/*/tables/*.csv")):
        text = path.read_text()
        assert not re.search(r"\w@mail|cust-\d", text), path
        assert path.stat().st_size < 3_000_000


def test_from_an_answer_to_its_table_and_the_tables_file(index, page):
    page.goto((index.parent / "toy/04_people/report.html").as_uri())
    answers = page.locator("table.answers")
    assert answers.get_by_role("row").nth(1).inner_text().startswith("Who spends most?")
    answers.get_by_role("link", name="People", exact=True).click()
    assert page.url.endswith("#table-people")
    shown = page.locator(".output:target")
    assert shown.locator("caption").inner_text() == "Spend"
    top = shown.evaluate("e => e.getBoundingClientRect().top")
    assert 0 <= top < page.viewport_size["height"]
    with page.expect_download() as begun:
        shown.get_by_role("link", name="Table (csv): People").click()
    assert begun.value.path().read_text().startswith("amount,who,note\n0.0,p0…@…,")


def shown(page):
    labels = page.locator("section.run:visible").evaluate_all(
        "all => all.map(one => `${one.dataset.label} ${one.dataset.date}`)"
    )
    return labels, page.locator("tr.report:visible").count()


def test_the_index_is_searched_and_filtered(markets, page):
    page.goto(markets.as_uri())
    rows = page.locator(".overview tbody tr:visible")
    assert rows.count() == 8
    assert page.locator(".overview th.tall").all_inner_texts() == ["Audit", "Segments", "Summary"]
    page.get_by_label("Search").fill("osterreich 95")
    kept = [f"Österreich & Co {LATER}", f"Österreich & Co {EARLIER}"]
    assert shown(page) == (kept, 6)
    assert rows.count() == 2
    assert page.get_by_role("status").inner_text() == "Shown: 6 of 18 reports, in 2 of 8 runs."
    assert page.locator(".troubles").is_hidden()
    page.get_by_label("Report", exact=True).select_option("Segments")
    assert shown(page) == (kept, 2)
    page.get_by_label("Date").select_option(EARLIER)
    assert shown(page) == (kept[1:], 1)
    page.get_by_role("button", name="Clear").click()
    page.get_by_label("Status").select_option("failed")
    assert shown(page) == ([f"Ireland {LATER}"], 1)
    page.get_by_label("Status").select_option("changed since the last run")
    assert len(shown(page)[0]) == 3
    page.get_by_role("button", name="Clear").click()
    page.get_by_label("Market").select_option("Malta")
    assert shown(page) == ([f"Malta {LATER}"], 0)
    page.get_by_label("Search").fill("no such words")
    assert shown(page) == ([], 0)
    assert "Nothing fits" in page.get_by_role("status").inner_text()
    page.keyboard.press("Enter")
    assert page.get_by_label("Search").input_value() == "no such words"


def test_the_runs_beside_one_another_fit_paper_and_are_labelled_on_a_phone(markets, page):
    page.goto(markets.as_uri())
    overview = page.locator(".overview table")
    page.set_viewport_size({"width": 390, "height": 844})
    labels = "all => all.map(e => getComputedStyle(e, '::before').content)"
    first = overview.locator("tr:has([data-label=Lift])").first.locator("[data-label]")
    assert first.evaluate_all(labels)[1] == '"Revenue in a year: "'
    page.emulate_media(media="print")
    page.set_viewport_size({"width": 702, "height": 1046})
    assert overview.evaluate("e => e.scrollWidth") <= 702


def test_the_index_leads_to_failures_reports_and_evidence(markets, page):
    page.goto(markets.as_uri())
    page.locator(".troubles").get_by_role("link", name="Segments").click()
    assert "too few customers in this market" in page.get_by_role("alert").inner_text()
    page.get_by_role("link", name="All reports").click()
    assert page.url.endswith(f"index.html#shop--ireland--{LATER}")
    kingdom = page.get_by_role("region", name=f"United Kingdom shop {LATER}")
    kingdom.get_by_role("link", name="Segments: sizes", exact=True).first.click()
    assert page.url.endswith("05_segments/report.html#table-sizes")
    assert page.locator(".output:target caption").inner_text() == "Sizes"
    page.get_by_role("link", name="Next: Summary").click()
    assert page.locator("header .kicker").inner_text() == f"SUMMARY · UNITED KINGDOM, {LATER}"


def test_without_scripts_and_on_paper_everything_is_shown(markets, browser):
    context = browser.new_context(java_script_enabled=False, offline=True)
    page = context.new_page()
    page.goto(markets.as_uri())
    assert shown_without_scripts(page) == (8, 18)
    assert page.locator("#filter").is_hidden()
    assert not page.get_by_text("And in week 8?").first.is_visible()
    page.emulate_media(media="print")
    assert shown_without_scripts(page) == (8, 18)
    assert page.get_by_text("And in week 8?").first.is_visible()
    context.close()


def shown_without_scripts(page):
    return (
        page.locator("section.run").filter(visible=True).count(),
        page.locator("tr.report").filter(visible=True).count(),
    )


# What the case study says: five segments, six key figures, words of several lines.
LONG = """() => {
  const page = document.querySelector(".overview-page");
  const [cards, figures] = [page.querySelector(".cards"), page.querySelector(".figures")];
  while (cards.children.length < 5) cards.append(cards.children[0].cloneNode(true));
  for (const words of cards.querySelectorAll(".soft:last-child"))
    words.textContent = "Highly stable; not shown usable before the offer was tried; " +
      "its measured profit decides";
  while (figures.children.length < 6) figures.append(figures.children[0].cloneNode(true));
  document.querySelector(".lead").textContent = "Roll out early access to Loyalists. ".repeat(5);
}"""


def test_the_first_page_fits_a_sheet(markets, browser):
    """As wide and as high as what A4's margins leave, at 96 pixels an inch."""
    context = browser.new_context(viewport={"width": 710, "height": 1031}, offline=True)
    page = context.new_page()
    page.emulate_media(media="print")
    whole = markets.parent / f"shop--united-kingdom--{LATER}/12_summary/report.html"
    page.goto(whole.as_uri())
    box = page.locator(".overview-page").bounding_box()
    assert box["width"] <= 710
    assert 200 < box["y"] + box["height"] <= 1001
    page.evaluate(LONG)
    box = page.locator(".overview-page").bounding_box()
    assert 600 < box["y"] + box["height"] <= 1031
    context.close()


MANY = """() => {
  const run = document.querySelector("section.run:has(.cards)");
  const [cards, notes] = [run.querySelector(".cards"), run.querySelector(".beside ul")];
  while (cards.children.length < 8) cards.append(cards.children[1].cloneNode(true));
  while (notes.children.length < 5) notes.append(notes.children[0].cloneNode(true));
  return run.id;
}"""


def test_a_runs_first_page_on_the_index_fits_a_sheet_with_eight_segments_too(markets, browser):
    context = browser.new_context(viewport={"width": 702, "height": 1046}, offline=True)
    page = context.new_page()
    page.emulate_media(media="print")
    page.goto(markets.as_uri())
    run = page.locator(f"[id='{page.evaluate(MANY)}']")
    box, end = run.bounding_box(), run.locator(".beside").bounding_box()
    assert run.locator(".cards > li:visible").count() == 8
    assert 400 < end["y"] + end["height"] - box["y"] <= 1046
    answers = run.locator(".said > .answers")
    assert answers.evaluate("e => getComputedStyle(e).breakBefore") == "page"
    context.close()


LINES = (
    "income band, 40k-60k: 49.6% (all customers: 32.2%)",
    "reengagement against generic: -10.94 GBP profit per customer (95% CI -16.41 to 4.73)",
)


def test_a_persona_fits_a_sheet_with_every_line_that_it_may_have(browser):
    counts = {"Size and worth": 2, "Habits": MOST_HABITS, "Next action": 2, "Content brief": 6}
    counts |= {"What was tried, and what it did": MOST_TRIED + 1}
    facts = pl.DataFrame(
        [
            ("S1", "Loyalists", heading, LINES["tried" in heading], "income_band", 1234)
            for heading in HEADINGS
            for _ in range(counts.get(heading, MOST))
        ],
        schema=FACTS,
        orient="row",
    )
    context = browser.new_context(viewport={"width": 703, "height": 1032}, offline=True)
    page = context.new_page()
    page.emulate_media(media="print")
    page.set_content(PersonaPages(facts, {"S1": "Mail-opening frequent customers"}).render("S1"))
    assert page.locator("li:visible").count() == facts.height
    assert 500 < page.locator("main").bounding_box()["height"] <= 1032
    context.close()


def test_the_summary_is_printed_as_pdf(markets, capsys):
    name = f"shop--united-kingdom--{LATER}"
    assert invoke(["pdf", str(markets.parent / name)]) == 0
    made = markets.parent / name / "summary.pdf"
    assert capsys.readouterr().out.strip().endswith(f"{name}/summary.pdf")
    content = made.read_bytes()
    assert content.startswith(b"%PDF")
    assert content.count(b"/Type /Page\n") >= 1
    assert b"/URI" not in content  # no link to this machine's files
    assert b"file:" not in content
    assert markets.read_text().count("Summary as PDF") == 1


SEGMENTS = pl.DataFrame(
    {
        "segment_name": [f"Segment {letter}" for letter in "ABCDEFGHIJKL"],
        "customers": [1200, 900, *range(800, 790, -1)],
        "open_rate": [0.05 * (i + 1) for i in range(12)],
        "low": [0.05 * i for i in range(12)],
        "high": [0.05 * (i + 2) for i in range(12)],
    }
)


@pytest.fixture(scope="module")
def evidence(tmp_path_factory):
    """Write a report with two pictures of segments and a long table of them."""
    folder = tmp_path_factory.mktemp("evidence") / "reports/toy/02_x"
    folder.mkdir(parents=True)
    few = SEGMENTS.head(4)
    forest = plot.intervals(few, "segment_name", "open_rate", interval=("low", "high"))
    shown = [
        plot.bars(few, "segment_name", "customers")._repr_html_() + LINK.format("bars"),
        forest._repr_html_() + LINK.format("forest"),
        table_html(SEGMENTS, caption="All segments") + LINK.format("segments"),
    ]
    outputs = [new_output("display_data", data={"text/html": html}) for html in shown]
    words = (
        "## Which is large?\n\nA paragraph that says at some length why anybody asks. "
        "It goes on and on, as such paragraphs do, for more words than a finding has."
    )
    cells = [new_markdown_cell("# Which?"), new_markdown_cell(words)]
    nbformat.write(
        new_notebook(cells=[*cells, new_code_cell("draw", outputs=outputs)]), folder / "02_x.ipynb"
    )
    write_json(folder / "summary.json", SUMMARY)
    return write_report(folder, "02_x", MANIFEST, run_name="toy")


LINK = '<p class="segkit-link"><a href="tables/{}.csv">Table (csv)</a></p>'


@in_both_themes
def test_a_value_is_shown_under_the_pointer_and_its_segment_everywhere(evidence, page):
    page.goto(evidence.as_uri())
    bar = page.locator(".mark[data-names='Segment B']").first
    bar.scroll_into_view_if_needed()
    bar.hover()
    assert page.locator(".tip").inner_text() == "Segment B: 900"
    hits = page.locator(".hit")
    assert hits.count() == 3  # the bar, the interval, the row
    assert hits.evaluate_all("all => all.map(e => e.dataset.names)") == ["Segment B"] * 3
    assert page.locator(".mark.dim").count() == 6
    page.mouse.move(2, 2)
    assert page.locator(".tip").is_hidden()
    assert page.locator(".hit").count() == 0
    page.locator("tr[data-names='Segment C']").click()
    page.mouse.move(2, 2)
    assert page.locator(".mark.hit").count() == 2  # it stays, until somebody asks for another
    page.keyboard.press("Escape")
    assert page.locator(".hit").count() == 0


def rows_of(page):
    return page.locator("table.segkit tbody tr:visible td:first-child").all_inner_texts()


def test_a_table_opens_at_ten_rows_and_is_sorted_filtered_copied_and_saved(evidence, page):
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    page.goto(evidence.as_uri())
    assert rows_of(page) == SEGMENTS["segment_name"].to_list()[:10]
    page.get_by_role("button", name="All 12 rows").click()
    assert len(rows_of(page)) == 12
    page.get_by_role("button", name="customers", exact=True).click()
    assert rows_of(page)[0] == "Segment L"
    head = page.get_by_role("columnheader", name="customers")
    assert head.get_attribute("aria-sort") == "ascending"
    page.get_by_role("button", name="customers", exact=True).click()
    assert rows_of(page)[:2] == ["Segment A", "Segment B"]
    page.get_by_label("Filter rows: All segments").fill("segment k")
    assert rows_of(page) == ["Segment K"]
    page.get_by_role("button", name="Copy").click()
    page.get_by_role("button", name="Copied").wait_for()
    with page.expect_download() as begun:
        page.get_by_role("button", name="Download", exact=True).click()
    saved = begun.value.path().read_text("utf-8-sig")
    assert begun.value.suggested_filename == "all_segments.csv"
    assert saved.splitlines()[:2] == [
        "segment name,customers,open rate,low,high",
        'Segment A,"1,200",5.0%,0.0%,10.0%',
    ]
    with page.expect_download() as begun:
        page.get_by_role("button", name="Download picture").first.click()
    drawn = begun.value.path().read_text()
    assert drawn.startswith("<svg")
    assert "light-dark" not in drawn


def test_what_explains_is_folded_and_opens(evidence, page):
    page.goto(evidence.as_uri())
    words = page.get_by_text("for more words than a finding has")
    assert not words.is_visible()
    page.locator("summary", has_text="Why, and how").click()
    assert words.is_visible()


def test_texts_of_a_picture_are_read_at_their_size_on_a_phone_and_on_paper_too(evidence, page):
    for width, media in ((1280, "screen"), (380, "screen"), (710, "print")):
        page.emulate_media(media=media)
        page.set_viewport_size({"width": width, "height": 800})
        page.goto(evidence.as_uri())
        heights = page.locator(".segkit-figure text").evaluate_all(
            "all => all.map(t => parseFloat(getComputedStyle(t).fontSize) * t.getScreenCTM().a)"
        )
        assert len(heights) > 20
        assert min(heights) >= 11.9  # pixels: 9 points
        assert page.evaluate("document.documentElement.scrollWidth") <= width


def test_a_report_is_whole_without_scripts(evidence, browser):
    context = browser.new_context(java_script_enabled=False, offline=True)
    page = context.new_page()
    page.goto(evidence.as_uri())
    assert len(rows_of(page)) == 12
    assert page.locator(".segkit-figure svg:visible").count() == 2
    assert page.locator(".mark title").first.text_content() == "Segment A: 1,200"
    assert page.get_by_role("button", name="Copy").count() == 0
    context.close()
