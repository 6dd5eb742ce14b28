"""The course: every check is tried both ways; variants hold what they should, and nothing else."""

import ast
import builtins
import json
import re
import shutil
from contextlib import nullcontext
from dataclasses import replace

import pytest

from segkit.cli import invoke
from segkit.course import VARIANTS, CheckError, build, build_course, check, matrix
from segkit.course.matrix import check_course, write_parameters
from segkit.course.pages import lesson_page, to_html
from segkit.course.session import (
    CHECK,
    LESSON,
    NOTES,
    SLIDE,
    SOLUTION,
    TASK,
    exercise_of,
    kind,
    read,
    read_sessions,
)
from segkit.course.variants import variant
from segkit.datasets import load_source
from segkit.errors import ParameterError
from segkit.runner.catalog import notebook_folder, source_of
from segkit.runner.needs import as_python, assigned_names
from segkit.runner.workspace import lay_out
from segkit.simulate.retailer import sample_retailer
from tests.notebooks.runs import FILES, LOADED, sketching

COURSE = read_sessions()
NUMBERS = [session.number for session in COURSE]
each_session = pytest.mark.parametrize("session", COURSE, ids=[one.stem for one in COURSE])
LONGEST = 20  # seconds of processor


def names_of(code):
    return assigned_names(code) + sorted(read(code))


def code_of(cells):
    return [cell for cell in cells if cell["cell_type"] == "code"]


# The syllabus -------------------------------------------------------------------------------


def test_the_course_has_about_eight_sessions_in_the_order_of_its_notebooks():
    assert list(range(1, len(COURSE) + 1)) == NUMBERS
    assert 7 <= len(COURSE) <= 11
    names = [exercise.name for session in COURSE for exercise in session.exercises]
    assert len(set(names)) == len(names) >= 24


@each_session
def test_a_session_says_what_is_learnt_how_long_it_takes_and_what_to_read(session):
    assert len(session.goals) >= 3
    assert all(re.search(r"\((19|20)\d\d\)", one) for one in session.reading)
    assert session.minutes == sum(
        cell["metadata"]["segkit"]["minutes"] for cell in session.of(NOTES)
    )
    assert 3 <= len(session.exercises) <= 5
    assert all(exercise.mistakes and exercise.answers for exercise in session.exercises)
    assert sum("$$" in source_of(cell) for cell in session.of(LESSON)) >= 2
    notes = " ".join(source_of(cell) for cell in session.of(NOTES))
    assert re.search(r"[Mm]istake|[Cc]onfusion", notes) or session.number == 1
    assert len(session.of(SLIDE)) >= 3


@each_session
def test_course_cells_leave_the_analysis_alone(session):
    """Whatever a student assigns, no cell of the analysis reads or assigns."""
    plain = [cell for cell in code_of(session.cells) if not kind(cell)]
    used = {name for cell in plain for name in names_of(as_python(source_of(cell)))}
    for cell in code_of(session.cells):
        if kind(cell):
            assert not used & set(assigned_names(source_of(cell))), exercise_of(cell)
            assert "run." not in source_of(cell)


@each_session
def test_course_cells_read_what_cells_before_them_assign(session):
    known = {"display", *dir(builtins)}
    for cell in code_of(session.cells):
        code = as_python(source_of(cell))
        nodes = [n for n in ast.walk(ast.parse(code)) if isinstance(n, ast.Import | ast.ImportFrom)]
        known |= {(a.asname or a.name).split(".")[0] for node in nodes for a in node.names}
        assert read(code) <= known | set(assigned_names(code)), cell["id"]
        known |= set(assigned_names(code))


@each_session
def test_every_formula_becomes_mathml(session):
    for cell in (*session.of(LESSON), *session.of(SLIDE), *session.of(TASK)):
        made = to_html(source_of(cell))
        assert "$" not in re.sub(r"<code>.*?</code>|alttext=\"[^\"]*\"", "", made)
        assert not re.search(r"<mi>\\|<merror", made), source_of(cell)


# Variants -----------------------------------------------------------------------------------


@each_session
def test_the_exercise_keeps_checks_and_holds_no_solution(session):
    cells = variant(session, "exercise")["cells"]
    text = json.dumps(cells)
    assert "SOLUTION" not in text
    assert [exercise_of(cell) for cell in cells if kind(cell) == CHECK] == [
        exercise.name for exercise in session.exercises
    ]
    for exercise in session.exercises:
        (stub,) = [c for c in cells if exercise_of(c) == exercise.name and kind(c) == SOLUTION]
        assert all(f"{name} = ...  # your answer" in source_of(stub) for name in exercise.answers)
        (region,) = re.findall("BEGIN SOLUTION\n(.*?)\n### END", source_of(exercise.solution), re.S)
        assert region not in source_of(stub)


@each_session
def test_the_lesson_has_theory_and_neither_tasks_nor_notes(session):
    kinds = {kind(cell) for cell in variant(session, "lesson")["cells"]}
    assert kinds == {"", LESSON}


def test_the_students_own_seed_is_a_parameter():
    made = variant(COURSE[0], "exercise", seed=4711)
    (cell,) = [c for c in made["cells"] if "parameters" in c["metadata"].get("tags", [])]
    text = source_of(cell)
    assert re.search(r"^seed: int = 4711  # ", text, re.M)
    assert re.search(r"^customers: int = 400  # ", text, re.M)
    assert re.search(r'^difficulty: str = "easy"  # ', text, re.M)


def test_the_courses_customers_are_the_committed_sample():
    made = load_source("simulated", n_customers=400, seed=11, difficulty="easy")
    sample = sample_retailer().tables
    assert made.tables["orders"].equals(sample["orders"])


@each_session
def test_nbgraders_source_marks_what_is_graded_and_what_is_locked(session):
    """The metadata of nbgrader's schema 3, whose own validator was run on them once."""
    cells = variant(session, "nbgrader")["cells"]
    marked = [c["metadata"]["nbgrader"] for c in cells if "nbgrader" in c["metadata"]]
    ids = [one["grade_id"] for one in marked]
    assert len(set(ids)) == len(ids) == 3 * len(session.exercises)
    assert all(re.fullmatch(r"[a-zA-Z0-9_\-]+", one) for one in ids)
    assert {one["schema_version"] for one in marked} == {3}
    graded = [one for one in marked if one["grade"]]
    assert sum(one["points"] for one in graded) == sum(e.points for e in session.exercises)
    assert all(one["locked"] and not one["solution"] for one in graded)
    assert sum(one["solution"] for one in marked) == len(session.exercises)


# Course files -------------------------------------------------------------------------------


def test_notebooks_hold_the_analysis_alone():
    for file in FILES:
        text = file.read_text(encoding="utf-8")
        assert "course" not in json.loads(text)["metadata"]["segkit"]
        assert '"course-' not in text


def test_a_working_folder_has_the_notebooks_and_the_course_that_comes_with_segkit(
    tmp_path, monkeypatch
):
    lay_out(tmp_path / "mine")
    monkeypatch.chdir(tmp_path / "mine")
    assert notebook_folder() == tmp_path / "mine" / "notebooks"
    assert [path.suffix for path in notebook_folder().iterdir()] == [".ipynb"] * len(FILES)
    assert [session.stem for session in read_sessions()] == [one.stem for one in COURSE]


@pytest.fixture
def own_course(tmp_path):
    """Write one notebook with two sections and a course file; return what reads them."""
    cells = [
        {"cell_type": kind, "id": name, "metadata": {"tags": tags}, "source": [text]}
        for kind, name, tags, text in (
            ("markdown", "top", [], "# Why?"),
            ("code", "c1", ["parameters"], "seed: int = 0  # of chance"),
            ("markdown", "how-many", [], "## How many?"),
            ("code", "c2", [], "k = 2"),
            ("markdown", "said", [], "Two."),
            ("markdown", "what-next", [], "## What next?"),
        )
    ]
    text = json.dumps({"cells": cells, "metadata": {}, "nbformat": 4, "nbformat_minor": 5})
    (tmp_path / "01_a.ipynb").write_text(text, encoding="utf-8")
    (tmp_path / "course").mkdir()

    def read_course(body, front="session = 1\nminutes = 5\ngoals = []\nreading = []"):
        text = f"+++\n{front}\n+++\n{body}\n"
        (tmp_path / "course" / "01_a.md").write_text(text, encoding="utf-8")
        (session,) = read_sessions(tmp_path)
        return session

    return read_course


def test_what_follows_a_heading_stands_at_the_end_of_its_section(own_course):
    session = own_course(
        "<!-- after how-many -->\n\n<!-- lesson -->\n### Theory\n\n$$k$$\n\n"
        "<!-- slide figure=k -->\n## Count\n\n"
        "<!-- after what-next -->\n<!-- notes minutes=5 -->\nEnd"
    )
    places = [cell["id"] for cell in session.cells]
    assert places == [
        *("top", "c1", "how-many", "c2", "said", "course-lesson-1", "course-slide-1"),
        *("what-next", "course-notes-1"),
    ]
    lesson, slide, notes = (cell for cell in session.cells if kind(cell))
    assert source_of(lesson) == "### Theory\n\n$$k$$"
    assert slide["metadata"]["segkit"] == {"figure": "k"}
    assert notes["metadata"]["segkit"] == {"minutes": 5}


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("<!-- after how-meny -->\n<!-- lesson -->\nA", "'how-meny'; did you mean 'how-many'"),
        ("<!-- after top -->\n<!-- lessen -->\nA", "'lessen'; did you mean 'lesson'"),
        ("<!-- lesson -->\nA", "which heading"),
        ("A\n<!-- after top -->", "text before"),
        ("<!-- after top -->\n<!-- task -->\nA", "have a name"),
        ("<!-- after top -->\n<!-- lesson one -->\nA", "have a name"),
        ("<!-- after top -->\n<!-- check one -->\nk == 2", "one block of code"),
        ("<!-- after top -->\n<!-- task one -->\n### A", "exactly one cell 'course-solution'"),
    ],
)
def test_a_course_file_that_cannot_be_read_is_refused(own_course, body, message):
    with pytest.raises(ParameterError, match=message):
        own_course(body)


@pytest.mark.parametrize(
    ("front", "message"),
    [
        ("session = 1\nminutes = 5\ngoals = []", "does not say reading"),
        ("session =", "01_a.md: "),
    ],
)
def test_a_course_file_says_goals_and_reading(own_course, front, message):
    with pytest.raises(ParameterError, match=message):
        own_course("", front)


# One check ----------------------------------------------------------------------------------


def test_a_check_says_what_is_wrong_in_plain_words(capsys):
    check("mean", 2.0000001, 2, within=1e-6)
    assert capsys.readouterr().out == "Right: mean.\n"
    wrong = {
        "still open": (..., 2.0),
        "a number; it is a text": ("2", 2.0),
        "division by zero": (float("nan"), 2.0),
        "too large": (2.1, 2.0),
        "too small": (1.9, 2.0),
        "wrong sign": (-2.0, 2.0),
        "not per cent": (20.0, 0.2),
        "3 values; it has 2": ([1, 2], [1, 2, 3]),
        "another order": ([3, 2, 1], [1, 2, 3]),
        "differs in value 2": ([1, 5, 3], [1, 2, 3]),
        "value 1, should be a number": (["a"], [1.0]),
    }
    for words, (answer, expected) in wrong.items():
        with pytest.raises(CheckError, match=words):
            check("mean", answer, expected)
    with pytest.raises(CheckError, match="Sort first"):
        check("mean", 3.0, 2.0, slips={"Sort first.": 3.0})
    check("mean", 2.0, 2.0, slips={"Sort first.": 2.0})  # a slip that leads to the answer is none


class AlwaysEqual:
    """Mix in a comparison and arithmetic that make anything right."""

    def __eq__(self, other):
        return True

    def __sub__(self, other):
        return 0.0

    __rsub__ = __sub__
    __hash__ = None


@pytest.mark.parametrize(
    ("kind", "wrong", "right"), [(float, 9.0, 2.0), (int, 9, 2), (str, "B", "A")]
)
def test_what_an_answer_holds_is_compared_and_not_how_it_compares_itself(kind, wrong, right):
    lies = type("Lies", (AlwaysEqual, kind), {})
    for answer, expected in ((lies(wrong), right), ([lies(wrong)], [right])):
        with pytest.raises(CheckError):
            check("x", answer, expected)
    check("x", [lies(right)], [right])


def test_a_failed_check_shows_its_sentence_alone():
    assert CheckError("mean is too large.")._render_traceback_() == ["Not yet: mean is too large."]


# With a kernel ------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def one_kernel(kernel):
    """Have every build of the course use the tests' kernel, whose libraries are imported."""
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(matrix, "open_kernel", lambda: nullcontext(kernel))
        with sketching(kernel):
            yield kernel


@pytest.fixture(scope="module")
def built(tmp_path_factory, one_kernel):
    place = tmp_path_factory.mktemp("course") / "course"
    return build_course(place)


@pytest.mark.slow
def test_every_check_passes_on_the_solution_and_on_nothing_else(built):
    """Refused in its own words: the untouched exercise, and each of the common mistakes."""
    rows = built.matrix.rows
    assert [row.exercise for row in rows] == [e.name for s in COURSE for e in s.exercises]
    for row in rows:
        assert row.solution == "", row
        assert "still open" in row.untouched, row
        assert row.mistakes
        assert all(said.startswith("CheckError: ") for _, said in row.mistakes), row
        assert all("still open" not in said for _, said in row.mistakes), row
    assert built.matrix.good


@pytest.mark.slow
def test_every_lesson_is_short_enough_for_a_class_room(built):
    assert list(built.matrix.seconds) == [session.stem for session in COURSE]
    assert max(built.matrix.seconds.values()) < LONGEST


@pytest.mark.slow
def test_every_variant_is_written_and_loads_nothing_from_afar(built):
    for name in VARIANTS:
        assert len([p for p in built.paths if p.parts[len(built.place.parts)] == name]) >= 9
    pages = [path for path in built.paths if path.suffix == ".html"]
    assert len(pages) == 4 * len(COURSE) + 2
    for page in pages:
        text = re.sub(r"base64,[\w+/=]+", "", page.read_text(encoding="utf-8"))
        assert not LOADED.search(text), page
        assert "$$" not in text
        assert page.stat().st_size < 3_000_000
    for session in COURSE:  # every slide between the first and the last has its picture
        slides = (built.place / f"slides/{session.stem}.html").read_text(encoding="utf-8")
        pictures = slides.count('<section class="slide pictured">')
        assert pictures == slides.count('<svg role="img" aria-label="')
        assert pictures == slides.count('<section class="slide') - 2
        assert not re.search(r'<svg[^>]*aria-label=""', slides)
    slides = (built.place / "slides/05_segments.html").read_text(encoding="utf-8")
    assert "the last 15 merges drawn" in slides  # of two forms the one whose texts are larger
    spoken = (built.place / "notes/slides/05_segments.html").read_text(encoding="utf-8")
    assert 'class="spoken"' in spoken
    assert 'class="spoken"' not in slides
    for name, wholly in (("index.html", False), ("teacher.html", True)):
        front = (built.place / name).read_text(encoding="utf-8")
        links = re.findall(r'href="([^"#]+)"', front)
        assert all((built.place / link).is_file() for link in links)
        assert any(link.startswith("solution/") for link in links) == wholly
        assert any(link.startswith("notes/") for link in links) == wholly


@pytest.mark.slow
def test_the_links_of_a_lesson_lead_to_its_data(built):
    lesson = built.place / "lesson" / "03_rfm_segments.html"
    links = re.findall(r'<a href="([^"#]+)"', lesson.read_text(encoding="utf-8"))
    assert links
    assert all((lesson.parent / link).is_file() for link in links)


@pytest.mark.slow
def test_an_untouched_exercise_fails_at_its_checks_alone_when_all_cells_are_run(built, kernel):
    """What a student sees who runs everything: the analysis is there, every check objects."""
    session = COURSE[2]
    cells = [{**c, "source": source_of(c)} for c in variant(session, "exercise")["cells"]]
    kernel.forget(built.place / "exercise")
    done = code_of(kernel.run(cells, stop=False))
    failed = {c["id"] for c in done if any(o["output_type"] == "error" for o in c["outputs"])}
    assert failed == {f"course-check-{exercise.name}" for exercise in session.exercises}


@pytest.mark.slow
def test_a_check_that_lets_anything_pass_is_found_out(built):
    """The matrix itself is no rubber stamp: checks without teeth, and wrong solutions, fail it."""
    session = COURSE[2]
    first, *_ = session.exercises
    toothless = replace(first, check={**first.check, "source": ["quintile_check = cuts"]})
    wrong = replace(
        first, solution={**first.solution, "source": ["import numpy as np\n\ncuts = [1, 2, 3, 4]"]}
    )
    spoilt = []
    for bad in (toothless, wrong):
        last = [exercise_of(c) for c in session.cells].index("score")  # what follows is not needed
        cells = [dict(cell) for cell in session.cells[:last]]
        for cell in cells:
            if exercise_of(cell):
                now = {CHECK: bad.check, SOLUTION: bad.solution}.get(kind(cell), cell)
                cell["source"] = now["source"]
        content = {**session.content, "cells": cells}
        spoilt.append(replace(session, exercises=(bad,), content=content))
    rows = check_course(spoilt, place=built.place).rows
    assert not any(replace(built.matrix, rows=(row,)).good for row in rows)
    assert (rows[0].solution, rows[0].untouched) == ("", "")
    assert rows[1].solution.startswith("CheckError: cuts")


@pytest.mark.slow
def test_the_command_builds_into_a_relative_folder_of_any_working_folder(
    tmp_path, monkeypatch, capsys
):
    session = COURSE[0]  # with one of its exercises; it needs no other notebook
    first, *_ = session.exercises
    cells = [cell for cell in session.cells if exercise_of(cell) in ("", first.name)]
    content = {**session.content, "cells": cells}
    short = replace(session, exercises=(first,), content=content)
    monkeypatch.setattr(build, "read_sessions", lambda: [short])
    (tmp_path / "school").mkdir()
    monkeypatch.chdir(tmp_path / "school")
    assert invoke(["course", "build", "own/course", "--variant", "lesson,exercise"]) == 0
    assert capsys.readouterr().out.splitlines()[-1] == "own/course/index.html"
    place = tmp_path / "school" / "own" / "course"
    made = {path.name for path in place.iterdir() if path.suffix != ".toml"}
    assert made == {"exercise", "index.html", "lesson", "private", "reports"}
    for page in (place / "index.html", place / "lesson" / f"{session.stem}.html"):
        links = re.findall(r'href="([^"#:]+)"', page.read_text(encoding="utf-8"))
        assert links
        assert all((page.parent / link).is_file() for link in links), links
    assert [path.name for path in tmp_path.iterdir()] == ["school"]
    assert [path.name for path in (tmp_path / "school").iterdir()] == ["own"]


# What is refused ----------------------------------------------------------------------------


def test_an_unknown_variant_and_a_strangers_folder_are_refused(tmp_path):
    with pytest.raises(ParameterError, match="did you mean 'slides'"):
        build_course(tmp_path / "course", variants=["slide"])
    (tmp_path / "thesis.txt").write_text("mine", encoding="utf-8")
    with pytest.raises(ParameterError, match="nothing is overwritten"):
        build_course(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.txt"]


def test_the_command_refuses_what_the_builder_refuses(tmp_path, capsys):
    assert invoke(["course", "build", str(tmp_path / "course"), "--variant", "slide"]) == 2
    assert "did you mean 'slides'" in capsys.readouterr().err
    assert not (tmp_path / "course").exists()


def test_a_lesson_page_folds_code_and_leaves_tasks_out():
    session = COURSE[2]
    page = lesson_page(session, variant(session, "solution")["cells"])
    assert "<details" in page
    assert "Exercise" not in page
    assert "course.check" not in page
    assert page.count("<h1") == 1


def test_the_shared_parameters_are_written_for_every_notebook(tmp_path):
    text = write_parameters(tmp_path, 5).read_text(encoding="utf-8")
    assert 'difficulty = "easy"' in text
    assert "seed = 5" in text
    shutil.rmtree(tmp_path)
