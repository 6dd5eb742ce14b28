"""Checks pages with axe-core; ``python -m tests.browser.axe`` fetches it.

It is the newest release of the checker itself, taken from where its makers publish it, by the
machine's own npm, and held to the digest of that release: a wrapper on PyPI would be a third
party's copy of the same file.
"""

import base64
import hashlib
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

import pytest

VERSION = "4.14.1"
INTEGRITY = (
    "FHfa+lmNjQZfJz1q8wKqIDwC6DExcHt/pkjNQb09a3NPjCKg2rhu5qb2S4r76ASyFNNtuFooJpZe37OgudVGtQ=="
)
SCRIPT = Path(sys.prefix) / "share" / "axe-core" / VERSION / "axe.min.js"
GRAVE = ("serious", "critical")
ORDER = ("heading-order", "empty-heading", "page-has-heading-one", "landmark-unique", "region")
# A drawing is one image, with its text beside it, to whoever cannot see it: its thousands of shapes
# are put aside meanwhile. (Colours of its texts, which axe-core cannot tell, are tested elsewhere.)
RUN = """async (rules) => {
  const only = rules ? { runOnly: rules } : {};
  const drawings = [...document.querySelectorAll(".segkit-figure > svg")];
  const shapes = drawings.map((svg) => [...svg.childNodes]);
  drawings.forEach((svg) => svg.replaceChildren());
  const found = await axe.run(document, { resultTypes: ["violations"], ...only });
  drawings.forEach((svg, at) => svg.append(...shapes[at]));
  return found.violations.map((one) => [one.impact, one.id, one.help,
    one.nodes.slice(0, 3).map((node) => `${node.target} ${node.html.slice(0, 120)}`)]);
}"""


def fetch():
    """Put axe-core's script where the tests look for it."""
    with tempfile.TemporaryDirectory() as place:
        npm = ["npm", "pack", f"axe-core@{VERSION}", "--pack-destination", place, "--silent"]
        subprocess.run(npm, check=True, cwd=place, stdout=subprocess.DEVNULL)
        (archive,) = Path(place).glob("*.tgz")
        found = base64.b64encode(hashlib.sha512(archive.read_bytes()).digest()).decode()
        if found != INTEGRITY:
            raise SystemExit(f"axe-core {VERSION} is not the file that was pinned: {found}")
        with tarfile.open(archive) as content:
            text = content.extractfile("package/axe.min.js").read()
    SCRIPT.parent.mkdir(parents=True, exist_ok=True)
    aside = SCRIPT.with_suffix(f".{os.getpid()}")
    aside.write_bytes(text)
    aside.replace(SCRIPT)


def require():
    """Skip where axe-core was not fetched; where everything is to be tested, fail."""
    if SCRIPT.is_file():
        return
    why = f"axe-core {VERSION} is not here: python -m tests.browser.axe fetches it"
    if os.environ.get("CI"):
        pytest.fail(why)
    pytest.skip(why)


def check(page, rules=None):
    """Return what axe-core finds on an open page: impact, rule, what it means, and where."""
    page.evaluate("document.querySelectorAll('details').forEach((each) => { each.open = true; })")
    page.add_script_tag(path=SCRIPT)
    return page.evaluate(RUN, rules)


def grave(page):
    """Return the findings on a page that keep somebody from reading it."""
    return [found for found in check(page) if found[0] in GRAVE]


if __name__ == "__main__":
    if not SCRIPT.is_file():
        if shutil.which("npm") is None:
            raise SystemExit("npm is needed to fetch axe-core, and is not installed")
        fetch()
    print(f"axe-core {VERSION} is ready")
