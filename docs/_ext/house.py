"""The package as the documentation shows it: floors, packages, public names and one drawing.

Everything here is read from the code when the site is built, so that a package that moves, or a
name that goes, changes the pages without anybody's help.
"""

from __future__ import annotations

import ast
import html
import importlib
import inspect
import pkgutil
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from docutils import nodes
from numpydoc.xref import DEFAULT_LINKS
from sphinx.application import Sphinx
from sphinx.config import Config
from sphinx.environment import BuildEnvironment
from sphinx.util.docutils import SphinxDirective
from sphinx.util.nodes import make_refnode

import segkit
from tests.test_floors import FLOORS

SOURCE = Path(segkit.__file__).parent
# What the floors of tests/test_floors.py are called.
FLOOR_NAMES = (
    "ground",
    "shared craft",
    "intake",
    "sources",
    "customer table",
    "analyses",
    "uses",
    "face",
)
# What a floor hands to those above it.
HANDED = {
    "ground": "errors, results, words",
    "shared craft": "contracts, rules, statistics, pictures",
    "intake": "clean tables and a ledger",
    "sources": "frames with contracts",
    "customer table": "one row per customer",
    "analyses": "results with intervals",
    "uses": "campaigns, lists, scores",
    "face": "runs, reports, courses",
}
# Drawing, in pixels: one band a floor, its packages side by side, what it hands on at the right.
WIDTH, LEFT, RIGHT, BOX, GAP, LETTER = 880, 144, 190, 26, 8, 7.2


@dataclass(frozen=True)
class Package:
    """One package or module of segkit, with what it offers.

    Attributes
    ----------
    name : str
        Below ``segkit``.
    floor : int
    about : str
        Its docstring.
    lines : int
        Lines in its files.
    names : tuple of str
        Its public names, each under the shortest path by which a user reaches it.
    """

    name: str
    floor: int
    about: str
    lines: int
    names: tuple[str, ...]

    @property
    def title(self) -> str:
        """The first line of the docstring, without its full stop."""
        return self.about.split("\n\n")[0].replace("\n", " ").rstrip(".")


def files(name: str) -> list[Path]:
    """List the files of a package or module of segkit."""
    folder = SOURCE / name
    return sorted(folder.rglob("*.py")) if folder.is_dir() else [SOURCE / f"{name}.py"]


def top_level() -> dict[str, str]:
    """Return where each name of ``segkit`` is defined: the package or module below ``segkit``."""
    homes = {}
    for name in segkit.__all__:
        module = getattr(getattr(segkit, name), "__module__", "")
        if module.startswith("segkit."):
            homes[name] = module.split(".")[1]
    return homes


@cache
def read_packages() -> list[Package]:
    """Read the packages of segkit, floor by floor as the data walk: intake first, ground last."""
    homes = top_level()
    packages = []
    for floor, rooms in sorted(FLOORS.items(), key=lambda item: (item[0] < 2, item[0])):
        for room in sorted(room for room in rooms if not room.startswith("_")):
            paths = files(room)
            about = ast.get_docstring(ast.parse(paths[0].read_text(encoding="utf-8"))) or ""
            module = importlib.import_module(f"segkit.{room}")
            own = {name: f"segkit.{room}.{name}" for name in getattr(module, "__all__", ())}
            own |= {name: f"segkit.{name}" for name, home in homes.items() if home == room}
            names = tuple(own[name] for name in sorted(own, key=str.casefold))
            lines = sum(path.read_text(encoding="utf-8").count("\n") for path in paths)
            packages.append(Package(room, floor, about, lines, names))
    return packages


def find(name: str) -> Any:
    """Return the object that a public name leads to."""
    module, _, attribute = name.rpartition(".")
    return getattr(importlib.import_module(module), attribute)


def headed(title: str, mark: str = "=") -> str:
    """Underline a heading of reStructuredText."""
    return f"{title}\n{mark * len(title)}\n\n"


def page_of(name: str) -> str:
    """Write the page of one public name."""
    target = find(name)
    kind = "class" if inspect.isclass(target) else "function" if callable(target) else "data"
    members = "   :members:\n" if kind == "class" else ""
    return f"{headed(name.rpartition('.')[2])}.. auto{kind}:: {name}\n{members}"


def page_of_package(package: Package) -> str:
    """Write the page of one package: what it is for, and its public names."""
    names = "\n".join(f"   {name}" for name in package.names)
    return (
        f"{headed(f'segkit.{package.name}')}{package.about}\n\n"
        f".. autosummary::\n   :toctree: .\n   :nosignatures:\n\n{names}\n"
    )


def pages(packages: list[Package]) -> Iterator[tuple[str, str]]:
    """Yield the file name and text of each page of the reference."""
    shown = [package for package in packages if package.names]
    yield "index.rst", index_page(shown)
    for package in shown:
        yield f"segkit.{package.name}.rst", page_of_package(package)
        for name in package.names:
            yield f"{name}.rst", page_of(name)


def index_page(packages: list[Package]) -> str:
    """Write the first page of the reference: the top level, then the packages."""
    short = sorted(
        (name for package in packages for name in package.names if name.count(".") == 1),
        key=str.casefold,
    )
    rows = "\n".join(
        f"   * - :doc:`segkit.{package.name} <segkit.{package.name}>`\n     - {package.title}"
        for package in packages
    )
    tree = "\n".join(f"   segkit.{package.name}" for package in packages)
    listed = "\n".join(f"   {name}" for name in short)
    return (
        f"{headed('API reference')}"
        "Functions take polars frames (pandas frames are accepted) and return results: objects\n"
        "with ``text`` (the finding), ``to_frame()`` and often ``plot()``. Every example on\n"
        "these pages is run by the tests.\n\n"
        f"{headed('By package', '-')}"
        f".. list-table::\n   :widths: 25 75\n\n{rows}\n\n"
        f"{headed('The main path', '-')}"
        f"These names can be reached as ``segkit.NAME``.\n\n"
        f".. autosummary::\n   :nosignatures:\n\n{listed}\n\n"
        f".. toctree::\n   :hidden:\n\n{tree}\n"
    )


def write_pages(app: Sphinx, _config: object) -> None:
    """Write the pages of the reference into ``docs/api``, touching only those that changed."""
    folder = Path(app.srcdir) / "api"
    folder.mkdir(exist_ok=True)
    wanted = dict(pages(read_packages()))
    for path in folder.glob("*.rst"):
        if path.name not in wanted:
            path.unlink()
    for name, text in wanted.items():
        path = folder / name
        if not path.exists() or path.read_text(encoding="utf-8") != text:
            path.write_text(text, encoding="utf-8")


def rows_of(packages: list[Package]) -> list[list[tuple[Package, float]]]:
    """Break the packages of one floor into rows that fit the drawing, with each box's width."""
    rows: list[list[tuple[Package, float]]] = [[]]
    used = 0.0
    for package in packages:
        width = len(package.name) * LETTER + 18
        if rows[-1] and used + width > WIDTH - LEFT - RIGHT:
            rows.append([])
            used = 0.0
        rows[-1].append((package, width))
        used += width + GAP
    return rows


def draw(packages: list[Package]) -> str:
    """Draw the floors as SVG: imports run downward only; each box leads to its page."""
    parts: list[str] = []
    y = 0.0
    for floor in sorted({package.floor for package in packages}, reverse=True):
        rows = rows_of([package for package in packages if package.floor == floor])
        height = len(rows) * (BOX + GAP) + GAP
        parts.append(
            f'<rect class="floor" x="0.5" y="{y + 0.5}" width="{WIDTH - 1}" height="{height - 1}"/>'
            f'<text class="name" x="12" y="{y + height / 2 + 5}">'
            f"{floor} {FLOOR_NAMES[floor]}</text>"
            f'<text class="handed" x="{WIDTH - 12}" y="{y + height / 2 + 5}">'
            f"↑ {HANDED[FLOOR_NAMES[floor]]}</text>"
        )
        for number, row in enumerate(rows):
            x, top = float(LEFT), y + GAP + number * (BOX + GAP)
            for package, width in row:
                box = (
                    f"<title>{html.escape(package.title)}</title>"
                    f'<rect class="box" x="{x:.1f}" y="{top:.1f}" width="{width:.1f}" '
                    f'height="{BOX}" rx="3"/>'
                    f'<text x="{x + width / 2:.1f}" y="{top + 18:.1f}" '
                    f'text-anchor="middle">{package.name}</text>'
                )
                link = f'<a href="api/segkit.{package.name}.html">{box}</a>'
                parts.append(link if package.names else f"<g>{box}</g>")
                x += width + GAP
        y += height + GAP
    label = "The packages of segkit on their floors; imports run downward only"
    return (
        f'<svg class="house" viewBox="0 0 {WIDTH} {y - GAP:.0f}" role="img" '
        f'aria-label="{label}" xmlns="http://www.w3.org/2000/svg">{"".join(parts)}</svg>'
    )


class Drawing(SphinxDirective):
    """The drawing of the floors."""

    def run(self) -> list[nodes.Node]:
        """Return the drawing as inline SVG, so that it takes the page's colours."""
        return [nodes.raw("", f"<figure>{draw(read_packages())}</figure>", format="html")]


class Packages(SphinxDirective):
    """A table of every package: its floor, and the first line of its docstring."""

    def run(self) -> list[nodes.Node]:
        """Return the table, from the top floor down."""
        rows = ["| floor | package | what it is for |", "|---|---|---|"]
        for package in sorted(read_packages(), key=lambda one: (-one.floor, one.name)):
            page = f"[`{package.name}`](/api/segkit.{package.name}.rst)"
            name = page if package.names else f"`{package.name}`"
            rows.append(
                f"| {package.floor} {FLOOR_NAMES[package.floor]} | {name} | {package.title} |"
            )
        return self.parse_text_to_nodes("\n".join(rows))


def link_name(
    app: Sphinx, env: BuildEnvironment, node: nodes.Element, content: nodes.Element
) -> nodes.Node | None:
    """Link a name of segkit to the page on which it stands under another name.

    A docstring may say `segkit.cluster.choose_k` of what is documented as `segkit.choose_k`, or
    `RFM` alone. What is no name of segkit (a parameter, a type in words) is left as it is. A path
    into segkit that leads nowhere is left to Sphinx, which warns of it; so is, in a page written
    by hand, whatever has no page.
    """
    page, target = node["refdoc"], str(node.get("reftarget", ""))
    around = [part for part in (node.get("py:module"), node.get("py:class")) if part]
    places = [target, *(".".join([*around[:depth], target]) for depth in (2, 1) if around)]
    known = env.domains.python_domain.objects
    for name in (documented_name(place) for place in places):
        if name in known:
            return make_refnode(app.builder, page, known[name].docname, name, content)
    if not page.startswith("api/") or (target.startswith("segkit.") and not leads(target)):
        return None
    return nodes.literal("", content.astext()) if "." in target else nodes.emphasis("", target)


def leads(path: str) -> bool:
    """Say whether a dotted path can be imported."""
    try:
        pkgutil.resolve_name(path)
    except (ImportError, AttributeError, ValueError):
        return False
    return True


@cache
def documented_names() -> tuple[dict[int, str], dict[str, str]]:
    """Return the documented name of each public object: by identity, and by its last part."""
    names = [name for package in read_packages() for name in package.names]
    last = Counter(name.rpartition(".")[2] for name in names)
    return (
        {id(find(name)): name for name in names},
        {end: name for name in names if last[end := name.rpartition(".")[2]] == 1},
    )


def documented_name(path: str) -> str | None:
    """Return the documented name of what a path leads to: a public object or a member of one."""
    by_identity, by_last_part = documented_names()
    for parts in (0, 1):
        owner, *member = path.rsplit(".", parts)
        name = by_last_part.get(owner)
        if not name and leads(owner):
            name = by_identity.get(id(pkgutil.resolve_name(owner)))
        if name:
            return ".".join([name, *member])
    return None


def skip_member(_app: Sphinx, _kind: str, name: str, *_: object) -> bool | None:
    """Leave out the methods that scikit-learn gives to every estimator to route metadata."""
    return True if name.startswith("set_") and name.endswith("_request") else None


def set_types(_app: Sphinx, config: Config) -> None:
    """Let the types in docstrings lead to segkit's classes, and to no other site."""
    names = [name for package in read_packages() for name in package.names]
    DEFAULT_LINKS.clear()
    config.numpydoc_xref_ignore = "all"
    config.numpydoc_xref_aliases = {
        name.rpartition(".")[2]: name for name in names if inspect.isclass(find(name))
    }


def setup(app: Sphinx) -> dict[str, Any]:
    """Register the directives, and write the reference before pages are looked for."""
    app.add_directive("drawing", Drawing)
    app.add_directive("packages", Packages)
    app.connect("config-inited", write_pages)
    app.connect("config-inited", set_types, priority=100)  # before numpydoc reads them
    app.connect("missing-reference", link_name)
    app.connect("autodoc-skip-member", skip_member)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
