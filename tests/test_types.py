"""The public face is typed: a call has a result's type, and an option is a choice of words."""

import importlib
import inspect
import re
import subprocess
import sys
from typing import get_args

import pytest

import segkit
from segkit.factor import rotation
from segkit.regression import families
from tests import public

ROOT = segkit.lazy.PACKAGE.parent
# Parameters whose words are those of a column, an arm or a file, and not segkit's own.
OPTIONS = re.compile(r"^(?:[\w, ]*\b)?(\w+) : (?:sequence of )?\{(\"[^}]*\")\}", re.M)


@pytest.fixture(scope="module")
def revealed(tmp_path_factory):
    """What mypy makes of every public name; its cache is the one that `make lint` fills."""
    paths = [path for path in public.all_names() if not path.rpartition(".")[2].isupper()]
    file = tmp_path_factory.mktemp("types") / "revealed.py"
    file.write_text("import segkit\n" + "".join(f"reveal_type({path})\n" for path in paths))
    command = [sys.executable, "-m", "mypy", "--cache-dir", str(ROOT / ".mypy_cache"), str(file)]
    told = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert told.returncode == 0, told.stdout
    types = re.findall(r'note: Revealed type is "(.*)"$', told.stdout, re.M)
    assert len(types) == len(paths)
    return dict(zip(paths, types, strict=True))


def test_every_public_call_has_a_type_and_none_is_any(revealed):
    assert len(revealed) > 120
    wrong = {path: kind for path, kind in revealed.items() if not kind.startswith(("def ", "type"))}
    wrong = {path: kind for path, kind in wrong.items() if not kind.startswith("Overload")}
    assert wrong == {}
    unknown = [path for path, kind in revealed.items() if kind.endswith("-> Any")]
    assert unknown == []
    assert revealed["segkit.segment"].endswith("-> segkit.pipeline.CustomerSegments")


def test_every_option_that_a_docstring_lists_is_a_literal_of_these_words(revealed):
    checked, wrong = 0, []
    for path, function in public.routines():
        for name, words in OPTIONS.findall(inspect.getdoc(function)):
            checked += 1
            (kind,) = re.findall(rf"\b{name}: (.*?)(?=, \*?\*?\w*:? ?\w+: |\) ->)", revealed[path])[
                :1
            ] or [""]
            choices = re.findall(r"'([^']*)'", kind)
            if "Literal" not in kind or choices != re.findall(r'"([^"]*)"', words):
                wrong.append(f"{path}: {name} is {kind}, and {{{words}}} in the docstring")
    assert wrong == []
    assert checked > 30


TABLES = {
    "segkit.campaign.eligibility": [("CHANNELS", "Channel")],
    "segkit.campaign.platforms": [("PLATFORMS", "PlatformName")],
    "segkit.cluster.mixed_types": [("WAYS", "Way")],
    "segkit.cluster.refits": [("METHOD_WORDS", "Method")],
    "segkit.explorer.findings": [("METHODS", "MethodName")],
    "segkit.lift.describing": [("PAIRS", "Pair")],
    "segkit.lift.uplift": [("LEARNERS", "Learner")],
    "segkit.lift.uplift_curves": [("CONVENTIONS", "Convention")],
    "segkit.simulate.archetypes": [("DIFFICULTIES", "DifficultyName")],
    "segkit.stats.intervals": [("RELATIVE_METHODS", "RelativeMethod")],
}


@pytest.mark.parametrize("home", TABLES)
def test_a_table_by_which_an_option_is_checked_holds_the_words_of_its_type(home):
    module = importlib.import_module(home)
    for table, kind in TABLES[home]:
        assert tuple(getattr(module, table)) == get_args(getattr(module, kind))


def test_rotations_and_families_hold_the_words_of_their_type():
    assert {*rotation.ROTATIONS, *rotation._ALIASES} == set(get_args(rotation.Rotation))
    assert {*families.FAMILIES, "auto", "counts"} == set(get_args(families.Family))
