"""Looks at an index and a report as a browser does, from disk and without a network."""

import pytest

from segkit.runner.progress import Progress
from segkit.runner.run import run
from tests.toy_notebooks import write_chain

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def index(tmp_path_factory):
    place = tmp_path_factory.mktemp("browser")
    write_chain(place / "notebooks")
    return run(folder=place, progress=Progress(quiet=True)).index


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
    assert page.locator(".notebooks tbody tr").count() == 3
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
    images = page.locator("main img")
    assert images.count() == 1
    assert images.first.get_attribute("alt") == "Bars: low 1, high 2"
    assert images.first.evaluate("i => i.naturalWidth") > 300
    for width in (1200, 380):
        page.set_viewport_size({"width": width, "height": 800})
        wide = page.evaluate("document.documentElement.scrollWidth")
        assert wide <= width
