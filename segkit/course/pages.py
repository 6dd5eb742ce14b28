"""HTML pages of the course: lessons, slides, notes for teachers and syllabus."""

from __future__ import annotations

import html
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from markupsafe import Markup

from segkit.course.matrix import REFUSED, CheckRow
from segkit.course.session import CHECK, NOTES, REGION, SLIDE, SOLUTION, TASK, Session, kind
from segkit.plot.vector import NARROW, add_theme, from_file
from segkit.report import markup
from segkit.report.page import style, templates
from segkit.runner.catalog import source_of

TEMPLATES = Path(__file__).parent / "templates"
_CODE = r"```.*?```|`[^`\n]+`"
MATH = re.compile(rf"(?P<code>{_CODE})|\$\$(?P<block>.+?)\$\$|\$(?P<inline>[^$\n]+?)\$", re.DOTALL)
SIZE = re.compile(r'<svg [^>]*?width="([\d.]+)pt" height="([\d.]+)pt"')
TALL = 1.4  # height over width from which a figure is too tall for a slide


def lesson_page(session: Session, cells: Iterable[Mapping[str, Any]]) -> str:
    """Return an executed lesson as a page: theory, results, code folded.

    Parameters
    ----------
    session : Session
        The session.
    cells : iterable of dict
        The executed cells of the solution; what belongs to exercises is left out.
    """
    left_out = {TASK, SOLUTION, CHECK}
    parts = [_part(cell) for cell in cells if kind(_plain(cell)) not in left_out]
    body = [part for part in parts if part["html"]]
    return _fill("lesson.html.j2", session=session, parts=body, contents=_contents(body))


def slides_page(session: Session, run_folder: Path | None, *, spoken: bool = False) -> str:
    """Return a session's slides as one page with a small script that turns them.

    reveal.js is not used: it and its fonts would be loaded from a network address.

    Parameters
    ----------
    session : Session
        The session.
    run_folder : pathlib.Path, optional
        Where the executed lesson left its figures; without it, slides have none.
    spoken : bool
        Add the teacher's notes that follow a slide, shown by the key N.
    """
    opening: list[Markup] = []
    slides: list[dict[str, Any]] = []
    for cell in session.cells:
        if kind(cell) == SLIDE:
            about = cell["metadata"].get("segkit", {})
            picture, broad = _figure(run_folder, session.stem, about.get("figure", ""))
            text = _html(to_html(source_of(cell)))
            slides.append({"html": text, "figure": picture, "broad": broad, "notes": []})
        elif kind(cell) == NOTES and spoken:
            notes = slides[-1]["notes"] if slides else opening
            notes.append(_html(to_html(source_of(cell))))
    return _fill("slides.html.j2", session=session, slides=slides, opening=opening)


def notes_page(session: Session, rows: Iterable[CheckRow]) -> str:
    """Return the teacher's notes: a plan by minutes, what to ask, solutions, common mistakes."""
    refused = {row.exercise: dict(row.mistakes) for row in rows}
    plan = [
        {
            "minutes": int(cell["metadata"]["segkit"]["minutes"]),
            "html": _html(to_html(source_of(cell))),
        }
        for cell in session.of(NOTES)
    ]
    exercises = [
        {
            "number": f"{session.number}.{place}",
            "title": one.title,
            "points": one.points,
            "task": _html(to_html(source_of(one.task).partition("\n")[2])),
            "solution": markup.highlight_code(_bare(source_of(one.solution))),
            "mistakes": [
                (
                    words,
                    markup.highlight_code(code),
                    refused.get(one.name, {}).get(words, "").removeprefix(REFUSED),
                )
                for words, code in one.mistakes
            ],
        }
        for place, one in enumerate(session.exercises, 1)
    ]
    return _fill("notes.html.j2", session=session, plan=plan, exercises=exercises)


def syllabus_page(sessions: list[Session], *, seed: int, variants: Iterable[str]) -> str:
    """Return the course's front page: its sessions, goals, minutes and reading, with links."""
    total = sum(session.minutes for session in sessions)
    reading = {
        session.stem: [_html(to_html(one)) for one in session.reading] for session in sessions
    }
    goals = {session.stem: [_html(to_html(one)) for one in session.goals] for session in sessions}
    return _fill(
        "syllabus.html.j2",
        sessions=sessions,
        reading=reading,
        goals=goals,
        seed=seed,
        variants=set(variants),
        hours=f"{total / 60:.0f}",
    )


def to_html(text: str) -> str:
    r"""Turn Markdown with ``$...$`` and ``$$...$$`` into HTML.

    Examples
    --------
    >>> "<mfrac>" in to_html(r"Half is $\frac{1}{2}$.")
    True
    """
    formulae: list[str] = []

    def keep(match: re.Match[str]) -> str:
        if match["code"]:
            return match[0]
        formulae.append(mathml(match["block"] or match["inline"], block=bool(match["block"])))
        return f"MATH{len(formulae) - 1}HTAM"

    page = markup.to_html(MATH.sub(keep, text))
    return re.sub(r"MATH(\d+)HTAM", lambda match: formulae[int(match[1])], page)


def mathml(formula: str, *, block: bool = False) -> str:
    """Turn a LaTeX formula into MathML; the LaTeX is kept as its alternative text.

    Examples
    --------
    >>> mathml("x")[:5]
    '<math'
    """
    from latex2mathml.converter import convert

    page = str(convert(formula.strip(), display="block" if block else "inline"))
    return page.replace("<math ", f'<math alttext="{html.escape(formula.strip())}" ', 1)


def _html(text: str) -> Markup:
    return Markup(text)  # noqa: S704 - the course's own words; results escape what they show


def _fill(template: str, **values: Any) -> str:
    own = (TEMPLATES / "course.css").read_text(encoding="utf-8")
    page = templates(TEMPLATES).get_template(template)
    return page.render(css=_html(style("style.css") + own), **values)


def _plain(cell: Mapping[str, Any]) -> dict[str, Any]:
    return {"metadata": dict(cell.get("metadata", {}))}


def _part(cell: Mapping[str, Any]) -> dict[str, Any]:
    if cell["cell_type"] == "markdown":
        part = "theory" if kind(_plain(cell)) else "text"
        return {"kind": part, "html": _html(to_html(source_of(cell)))}
    outputs = "".join(_output(output) for output in cell.get("outputs", []))
    shown = markup.highlight_code(source_of(cell))
    return {"kind": "code", "html": shown, "outputs": _html(outputs)}


def _output(output: Mapping[str, Any]) -> str:
    data = output.get("data", {})
    if "text/html" in data:
        text = data["text/html"]
        return text if isinstance(text, str) else "".join(text)
    if "image/png" in data:
        return f'<img alt="" src="data:image/png;base64,{data["image/png"]}">'
    words = output.get("text") or data.get("text/plain", "")
    words = words if isinstance(words, str) else "".join(words)
    return f"<pre>{html.escape(words)}</pre>" if words else ""


def _bare(text: str) -> str:
    return REGION.sub(lambda region: "\n".join(region[0].splitlines()[1:-1]), text)


def _contents(parts: Iterable[Mapping[str, Any]]) -> list[tuple[str, str]]:
    heading = re.compile(r'<h2[^>]*\bid="([^"]+)"[^>]*>(.*?)</h2>', re.DOTALL)
    headings = [each for part in parts for each in heading.findall(str(part["html"]))]
    return [(anchor, html.unescape(re.sub("<[^>]+>", "", words))) for anchor, words in headings]


def _figure(run_folder: Path | None, stem: str, name: str) -> tuple[Markup | None, bool]:
    """Return a figure of the lesson, or a drawing of the course's own, and whether it is broad.

    Of the two forms the narrow one, whose texts are larger on a slide, unless it is a tall one.
    """
    folder = run_folder / stem / "figures" if run_folder and name else None
    paths = [folder / f"{name}{form}.svg" for form in (NARROW, "")] if folder else []
    paths.append(TEMPLATES / f"{name}.svg")
    drawn = [from_file(path.read_text(encoding="utf-8")) for path in paths if path.is_file()]
    if not drawn:
        return None, False
    size = SIZE.search(drawn[0])
    is_tall = size is not None and float(size[2]) > TALL * float(size[1])
    return _html(add_theme(drawn[-1] if is_tall else drawn[0])), is_tall
