"""Holds index and reports to axe-core's rules, in both themes, wide and narrow."""

from itertools import pairwise

import pytest

from tests.report_pages import EARLIER, LATER, make_markets

pytestmark = pytest.mark.slow
SIZES = {"wide": {"width": 1280, "height": 900}, "narrow": {"width": 420, "height": 900}}
POOR = (
    '<html><body><h1></h1><img src="x.png"><p style="color:#bbb">grey</p><button></button></body>'
)


@pytest.fixture(scope="module")
def markets(tmp_path_factory):
    return make_markets(tmp_path_factory.mktemp("markets"))


@pytest.fixture
def page(browser, watch):
    context = browser.new_context(offline=True)
    opened = context.new_page()
    trouble = watch(opened)
    yield opened
    context.close()
    assert trouble == []


def test_what_is_wrong_is_found(axe, browser, tmp_path):
    """The check bites: what nobody can read or name is grave."""
    (tmp_path / "poor.html").write_text(POOR)
    context = browser.new_context()
    page = context.new_page()
    page.goto((tmp_path / "poor.html").as_uri())
    found = {rule for _, rule, *_ in axe(page)}
    context.close()
    assert {"image-alt", "color-contrast", "button-name", "html-has-lang"} <= found


@pytest.mark.parametrize(
    ("scheme", "size"), [("light", "wide"), ("dark", "wide"), ("light", "narrow")]
)
def test_nothing_grave_is_found_on_index_and_reports(axe, markets, page, scheme, size):
    page.emulate_media(color_scheme=scheme)
    page.set_viewport_size(SIZES[size])
    failed = f"shop--ireland--{LATER}/05_segments/report.html"
    whole = f"shop--united-kingdom--{EARLIER}/12_summary/report.html"
    for path in ("index.html", failed, whole):
        page.goto((markets.parent / path).as_uri())
        assert axe(page) == []
        levels = page.locator("h1, h2, h3, h4").evaluate_all("all => all.map(h => +h.tagName[1])")
        assert levels[0] == 1
        assert all(after - before <= 1 for before, after in pairwise(levels))
    page.goto(markets.as_uri())
    page.get_by_label("Search").fill("ireland")
    assert axe(page) == []


def test_all_can_be_reached_and_seen_by_keyboard(markets, page):
    page.goto(markets.as_uri())
    page.keyboard.press("Tab")
    skip = page.locator(".skip-link")
    assert skip.bounding_box()["x"] >= 0
    page.keyboard.press("Enter")
    assert page.evaluate("document.activeElement.id") == "runs"
    page.goto(markets.as_uri())
    seen = []
    for _ in range(14):
        page.keyboard.press("Tab")
        seen.append(
            page.evaluate(
                "(e => [e.id || e.textContent.trim(), getComputedStyle(e).outlineStyle])"
                "(document.activeElement)"
            )
        )
    names = [name for name, _ in seen]
    controls = ["f-text", "f-market", "f-date", "f-status", "f-report", "Clear"]
    start = names.index("f-text")
    assert names[start : start + 6] == controls
    assert all(style != "none" for _, style in seen), seen


def test_what_scrolls_sideways_is_reached_by_keyboard(markets, page):
    page.set_viewport_size(SIZES["narrow"])
    path = f"shop--united-kingdom--{LATER}/05_segments/report.html"
    page.goto((markets.parent / path).as_uri())
    page.get_by_text("Contents, and the other reports").click()
    page.get_by_role("button", name="Show all code").click()
    wide = page.locator("pre[tabindex='0']")
    wide.first.wait_for()
    assert wide.first.get_attribute("aria-label") == "Scrolls sideways"
    assert page.evaluate("document.documentElement.scrollWidth") <= 420
