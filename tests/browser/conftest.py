"""One Chromium a module, for every test that looks at what a person would see."""

import shutil

import pytest

from tests.browser import axe as accessibility
from tests.browser.chromium import launched, missing


@pytest.fixture(scope="module", autouse=True)
def chromium():
    """Return the path of Chromium; skips before anything costly where a part is absent."""
    if why := missing():
        pytest.skip(why)
    return shutil.which("chromium")


@pytest.fixture(scope="module")
def browser(chromium):
    with launched() as started:
        yield started


@pytest.fixture(scope="module")
def axe(chromium):
    """Return what checks an open page for grave findings; skips where axe-core is absent."""
    accessibility.require()
    return accessibility.grave


@pytest.fixture(scope="session")
def watch():
    """Return a function that collects what goes wrong within a page into a list."""

    def start(page):
        trouble = []
        page.on("pageerror", lambda error: trouble.append(str(error)))
        page.on("console", lambda m: trouble.append(m.text) if m.type == "error" else None)
        return trouble

    return start
