"""The project's own promises: quick import, no address in a committed file, targets that exist."""

import importlib
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

import segkit
from tests import conftest, faults, public

ROOT = Path(__file__).parents[1]
HEAVY = (
    *("polars", "numpy", "sklearn", "scipy", "seaborn", "matplotlib", "statsmodels", "pandas"),
    *("nbconvert", "nbformat", "papermill", "jinja2", "mistune", "pygments"),
)


@pytest.mark.parametrize(
    "act",
    [
        "import segkit",
        "from segkit import cli; assert cli.invoke(['--help']) == 0",
        "from segkit import cli; assert cli.invoke(['run', '--help']) == 0",
        "from segkit import cli; assert cli.invoke(['--version']) == 0",
        # The process that runs notebooks computes nothing itself.
        "import segkit.runner.run, segkit.runner.earlier, segkit.report.index",
    ],
)
def test_what_computes_nothing_imports_nothing_heavy(act):
    code = f"import sys; {act}\nprint([m for m in {HEAVY!r} if m in sys.modules])"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.splitlines()[-1] == "[]"


def test_every_public_name_leads_somewhere_and_is_documented():
    names = public.all_names()
    assert len(names) > 150
    constants = [path for path in names if path.rpartition(".")[2].isupper()]
    assert [path for path in set(names) - set(constants) if not public.find(path).__doc__] == []
    assert all(public.find(path) for path in constants)


def test_the_main_path_is_short_and_every_package_lists_its_names():
    assert 30 <= len(segkit.__all__) <= 42
    assert all(public.public_names(home) for home in public.PACKAGES)
    assert set(segkit.__all__) | set(public.PACKAGES) == set(dir(segkit))
    for home in public.PACKAGES:
        module = importlib.import_module(f"segkit.{home}")
        assert sorted(module.__all__) == sorted(public.public_names(home)), home


def test_a_name_that_is_not_at_the_top_level_says_where_it_is():
    for path in public.all_names():
        home, _, name = path.rpartition(".")
        if home != "segkit":
            with pytest.raises(AttributeError, match=rf"it is segkit\.\w+\.{name}$"):
                getattr(segkit, name)


def test_every_name_of_segkit_in_notebooks_and_pages_exists():
    """A name of a package or module, or one that it holds, in code or in backticks."""
    pages = [*ROOT.glob("notebooks/**/*.ipynb"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("*.md")]
    lost = set()
    for page in pages:
        if page.name == "CHANGELOG.md":  # it says what was
            continue
        text = page.read_text(encoding="utf-8")
        for name in set(re.findall(r"(?<![\w./])segkit(?:\.[a-zA-Z_]\w+){1,2}", text)):
            if not public.exists(name):
                lost.add(f"{page.relative_to(ROOT)}: {name}")
    assert lost == set()


def test_no_public_name_hides_a_module():
    modules = {path.stem for path in (ROOT / "segkit").iterdir()}
    assert not modules & set(segkit.__all__)


def test_an_unknown_name_lists_the_known_ones():
    with pytest.raises(AttributeError, match="did you mean 'SegkitError'"):
        segkit.SegkitErorr  # noqa: B018


def tracked_files():
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True)
    if listed.returncode:
        pytest.skip("not a git checkout")
    return [ROOT / name for name in listed.stdout.splitlines()]


def test_no_committed_file_names_a_registry_or_a_machine_path():
    needles = re.compile(
        r"pypi\.org|files\.pythonhosted|registry\.npmjs|/root/|/work/main|/opt/pypi"
    )
    here = Path(__file__)
    found = [
        f"{path.relative_to(ROOT)}: {match.group()}"
        for path in tracked_files()
        if path.exists() and path != here and path.suffix not in {".parquet", ".png", ".gz"}
        for match in needles.finditer(path.read_text(encoding="utf-8", errors="replace"))
    ]
    assert found == []


def test_every_pinned_version_has_a_hash():
    text = (ROOT / "constraints.txt").read_text(encoding="utf-8")
    pins = [block for block in re.split(r"\n(?=[a-z0-9])", text) if "==" in block.split("\n")[0]]
    assert len(pins) > 100
    assert [block.split("\n")[0] for block in pins if "--hash=sha256:" not in block] == []


def test_versions_agree():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert project["version"] == segkit.__version__
    assert f"## {segkit.__version__}" in (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")


def test_make_has_the_targets_that_the_readme_names():
    made = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.M))
    named = set(re.findall(r"make ([a-z-]+)", (ROOT / "README.md").read_text(encoding="utf-8")))
    assert {"case-study", "test", "lab", "bench", "study", "format"} <= made
    assert named <= made


def test_every_fault_that_tests_are_tried_with_has_its_place_in_the_code():
    """Where code has changed, name in tests/faults.py what the same fault would look like now."""
    assert faults.lost() == []
    named = {fault.tests.partition("::")[0] for fault in faults.FAULTS}
    assert all((ROOT / "tests" / f"{name}.py").is_file() for name in named)


def test_the_files_that_are_tested_first_are_there():
    assert all((ROOT / name).is_file() for name in conftest.LONGEST)
    assert len(set(conftest.LONGEST)) == len(conftest.LONGEST) > 9
