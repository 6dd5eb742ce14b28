"""Looks at an index and a report as a browser does, from disk and without a network."""

import re

import pytest

from segkit import report as reports
from segkit.cli import invoke
from segkit.runner.progress import Progress
from segkit.runner.run import run
from tests.report_pages import EARLIER, LATER, make_markets
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
    write_chain(place / "notebooks")
    write_notebook(place / "notebooks", "04_people", reads=["orders"], cells=[PEOPLE])
    return run(folder=place, progress=Progress(quiet=True), report=reports).index


@pytest.fixture(scope="module")
def markets(tmp_path_factory):
    return make_markets(tmp_path_factory.mktemp("markets"))


@pytest.fixture(params=["light", "dark"])
def page(browser, watch, request):
    asked = []
    context = browser.new_context(color_scheme=request.param, offline=True)
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
