"""The simulated retailer runs through every notebook, and a second run uses everything again."""

import pytest

import segkit
from tests.browser import axe, chromium
from tests.golden import ASKED as GOLDEN
from tests.golden.compare import compare_run
from tests.notebooks.runs import STEMS, Ran, check_answers, check_pages, words_of

pytestmark = pytest.mark.slow
# Fewer refits and draws than by default: how sure the findings are is not asked here.
SETTINGS = (word for value in GOLDEN["simulated"] for word in ("-p", value))
ASKED = ["--source", "simulated", *SETTINGS]


@pytest.fixture(scope="module")
def simulated(tmp_path_factory):
    place = tmp_path_factory.mktemp("simulated")
    return Ran(place, *ASKED)


def test_the_simulated_retailer_runs_through_every_notebook(simulated):
    assert simulated.code == 0, simulated.err
    assert simulated.statuses() == dict.fromkeys(STEMS, "done")
    assert simulated.out.splitlines()[-1] == "reports/index.html"
    graded = {row["question"]: row for row in simulated.summary("12_summary")["answers"]}
    assert graded["How right was it?"]["answer"]
    assert simulated.skips("12_summary") == set()


def test_its_answers_are_short_and_its_first_page_compares_alike(simulated):
    check_answers(simulated)
    figures = {one["name"]: one for one in simulated.summary("10_campaign_lift")["key_figures"]}
    lift, profit = figures["conversion lift"], figures["profit added by the campaign"]
    assert lift["note"] == profit["note"] == "tailored against generic"
    assert (simulated.folder / "12_summary/figures/lift_waterfall_narrow.svg").is_file()
    assert 'class="on-narrow"' in (simulated.place / "reports/index.html").read_text("utf-8")


def test_its_tables_are_those_of_the_first_version_but_for_what_renames_lists(simulated):
    assert compare_run(simulated.folder, "simulated") == []


def test_a_picture_for_a_phone_has_the_words_of_the_other(simulated):
    """But for numbers: steps of an axis, and sizes of branches."""
    forms = sorted(simulated.folder.glob("*/figures/*_narrow.svg"))
    assert len(forms) > 60
    for form in forms:
        wide = form.with_name(form.name.replace("_narrow", ""))
        words = (words_of(path.read_text(encoding="utf-8")) for path in (form, wide))
        more = next(words) - next(words)
        assert {word for word in more if not word.isdigit()} == set(), form


def test_its_pages_load_nothing_from_afar_and_name_nobody(simulated):
    raw = segkit.load_source("simulated", n_customers=600).truth["identities"]
    secret = simulated.customers() | set(raw["identifier"].drop_nulls())
    assert len(secret) > 1_000
    check_pages(simulated, secret)


def test_its_pages_can_be_read_by_everybody_in_both_themes(simulated):
    if why := chromium.missing():
        pytest.skip(why)
    axe.require()
    pages = [*simulated.folder.glob("*/report.html"), simulated.place / "reports/index.html"]
    assert len(pages) == len(STEMS) + 1
    found = {}
    with chromium.launched() as browser:
        page = browser.new_context(offline=True).new_page()
        for path in pages:
            page.goto(path.as_uri())
            # A theme changes colours and nothing else.
            for scheme, rules in (("light", None), ("dark", ["color-contrast"])):
                page.emulate_media(color_scheme=scheme)
                found[scheme, path.parent.name] = [
                    one
                    for one in axe.check(page, rules)
                    if one[0] in axe.GRAVE or one[1] in axe.ORDER
                ]
    assert {where: what for where, what in found.items() if what} == {}


def test_a_second_run_uses_everything_again(simulated):
    def manifests():
        return {
            path.parent.name: path.read_bytes() for path in simulated.folder.glob("*/manifest.json")
        }

    before = manifests()
    again = Ran(simulated.place, *ASKED)
    assert again.code == 0, again.err
    assert again.statuses() == dict.fromkeys(STEMS, "reused")
    assert before == manifests()
    assert set(before) == set(STEMS)
