"""The explorer shows what the library says of the settings in force, and nothing else."""

import ast
import re
import subprocess
import sys
import threading
from datetime import date
from functools import partial
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import polars as pl
import pytest

import segkit
from segkit.errors import DataError, ParameterError
from segkit.explorer import explorer as module
from segkit.explorer.findings import METHODS, Settings
from segkit.explorer.work import Worker
from segkit.progress import Stopped, steps

PACKAGE = Path(module.__file__).parent
FEATURES = ["frequency", "monetary", "visits"]


def make_table(n=90):
    rng = np.random.default_rng(3)
    middle = rng.integers(0, 3, n)
    return pl.DataFrame(
        {
            "customer_id": [f"person{i:04}@example.org" for i in range(n)],
            "frequency": rng.poisson(2 + 9 * middle),
            "monetary": rng.gamma(3, 20 + 60 * middle),
            "visits": rng.poisson(4 + 8 * (2 - middle)),
            "open_rate": rng.random(n),
            "constant": np.ones(n),
            "region": rng.choice(["north", "south"], n),
        }
    )


TABLE = make_table()


@pytest.fixture
def explorer(tmp_path):
    made = segkit.explore_segments(TABLE, features=FEATURES, k=3, folder=tmp_path)
    yield made
    made.stop().wait(30)


@pytest.fixture
def panel(explorer):
    """Give the explorer its controls, as the first display does."""
    pytest.importorskip("ipywidgets")
    from segkit.explorer.panel import Panel

    explorer._panel = Panel(explorer)
    explorer._panel.say("", busy=False, failed=False)
    return explorer._panel


@pytest.fixture(scope="module")
def looked_at():
    """An explorer with its controls that tests only look at."""
    pytest.importorskip("ipywidgets")
    from segkit.explorer.panel import Panel

    made = segkit.explore_segments(TABLE, features=FEATURES, k=3)
    made._panel = Panel(made)
    yield made.refit().wait(60)
    made.stop().wait(30)


def results(panel):
    return {**{name: part.value for name, part in panel.parts.items()}, "v": panel.values.value}


# What is found -----------------------------------------------------------------------------


@pytest.mark.parametrize("method", METHODS)
def test_the_code_finds_the_same_segments_to_the_byte(tmp_path, method):
    meanings = {"frequency": 'orders, "net" of returns', "open_rate": "not chosen"}
    told = {"definitions": meanings, "as_of": date(2024, 8, 31), "seed": 4}
    made = segkit.explore_segments(
        TABLE, features=FEATURES, k=3, method=method, folder=tmp_path / "a", **told
    )
    model, rows = made.export("kept")
    (tmp_path / "b").mkdir()
    code = made.code(
        "customers", model=f"{tmp_path}/b/kept.json", assignments=f"{tmp_path}/b/kept.csv"
    )
    exec(code, {"customers": TABLE})  # noqa: S102 - what the analyst would paste
    assert (tmp_path / "b/kept.json").read_bytes() == model.read_bytes()
    assert (tmp_path / "b/kept.csv").read_bytes() == rows.read_bytes()
    loaded = segkit.load_model(model)
    assert loaded.as_of == date(2024, 8, 31)
    assert loaded.score(TABLE)["segment"].to_list() == (
        TABLE.select("customer_id").join(pl.read_csv(rows), on="customer_id")["segment"].to_list()
    )


def test_a_change_gives_what_the_library_gives(explorer):
    explorer.change(k=4, method="kmeans", features=["frequency", "visits"])
    assert explorer.segmentation is None
    assert explorer.profile is None
    found = explorer.wait(60).segmentation
    direct = segkit.cluster_customers(
        TABLE, features=["frequency", "visits"], k=4, method="kmeans", seed=0
    )
    assert found.assignments.equals(direct.assignments)
    profile = segkit.profile_segments(
        TABLE, direct.assignments, clustering_variables=["frequency", "visits"]
    )
    assert explorer.profile.segments.equals(profile.segments)
    assert explorer.profile.variables.equals(profile.variables)


def test_stability_and_suggestion_are_the_librarys(explorer):
    explorer.assess(refits=6).wait(60)
    X = explorer.segmentation.model.transform.apply(TABLE)
    direct = segkit.assess_stability(
        X, k_range=[3], method="ward", n_refits=6, n_splits=2,
        segments=explorer.segmentation.assignments["segment"],
    )  # fmt: skip
    assert explorer.stability.own.equals(direct.own)
    suggestion = explorer.suggest().wait(60).suggestion
    assert suggestion.table.equals(segkit.choose_k(X).table)
    assert explorer.change(k=4).wait(60).suggestion is suggestion
    assert explorer.stability is None
    assert explorer.change(method="kmeans").suggestion is None


def test_a_mixture_is_judged_by_its_own_refits_and_bic(explorer):
    explorer.change(method="mixture").wait(60)
    explorer.assess(refits=4).wait(60)
    direct = segkit.compare_methods(
        TABLE, features=FEATURES, k=3, methods=["mixture"], refits=4,
        transform=explorer.segmentation.model.transform,
    )  # fmt: skip
    assert explorer.stability.methods.drop("seconds").equals(direct.methods.drop("seconds"))
    assert explorer.suggest().wait(60).suggestion.criterion == "bic"


def test_what_was_found_before_is_taken_over_without_a_fit(monkeypatch):
    before = segkit.cluster_customers(TABLE, features=FEATURES, k=4, method="kmeans", seed=2)
    monkeypatch.setattr(Settings, "fit", lambda *_: pytest.fail("it was fitted again"))
    made = segkit.explore_segments(TABLE, start=before)
    assert made.segmentation is before
    assert made.settings == Settings(tuple(FEATURES), 4, "kmeans", 2)
    assert "4 segments" in made._repr_html_()


def test_a_customer_table_brings_its_definitions_and_its_day():
    days = [date(2024, 1, 1 + i % 28) for i in range(120)]
    orders = segkit.clean_data(
        pl.DataFrame({"customer_id": [f"C{i % 40}" for i in range(120)], "order_time": days,
                      "amount": [float(5 + i % 7) for i in range(120)]})
    ).orders  # fmt: skip
    table = segkit.build_features(orders)
    made = segkit.explore_segments(table, k=2)
    assert made.settings.as_of == table.as_of
    known = dict(table.definitions.select("name", "description").iter_rows())
    assert made.segmentation.model.definitions == {f: known[f] for f in made.settings.features}


def test_a_pandas_frame_will_do():
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame(TABLE.to_dict(as_series=False))
    made = segkit.explore_segments(frame, features=FEATURES, k=3)
    direct = segkit.cluster_customers(TABLE, features=FEATURES, k=3)
    assert made.segmentation.assignments.equals(direct.assignments)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"features": ["visit"]}, "did you mean 'visits'"),
        ({"features": ["constant"]}, "unknown numeric column that varies"),
        ({"features": ["region"]}, "unknown numeric column that varies"),
        ({"k": 1}, "k must be from 2 to 12"),
        ({"method": "wards"}, "did you mean 'ward'"),
    ],
)
def test_wrong_settings_are_refused_at_once(wrong, message):
    with pytest.raises(ParameterError, match=message):
        segkit.explore_segments(TABLE, **wrong)


def test_a_table_without_numbers_is_refused():
    with pytest.raises(DataError, match="no numeric column"):
        segkit.explore_segments(TABLE.select("customer_id", "region"))


def test_saving_names_its_files_and_what_is_missing(explorer, tmp_path):
    model, rows = explorer.export(ending="parquet")
    assert (model.name, rows.name) == ("segments_ward_3.json", "segments_ward_3.parquet")
    assert pl.read_parquet(rows).equals(explorer.segmentation.assignments)
    with pytest.raises(ParameterError, match="unknown kind of file 'xls'"):
        explorer.export(ending="xls")
    explorer.change(features=[]).wait(60)
    with pytest.raises(ParameterError, match="no segments to save"):
        explorer.export()


# In the background -------------------------------------------------------------------------


def test_of_many_changes_the_last_alone_is_worked_out(explorer, panel, monkeypatch):
    fitted = []
    fit = Settings.fit
    monkeypatch.setattr(Settings, "fit", lambda s, table: fitted.append(s.k) or fit(s, table))
    for k in (4, 5, 6, 7):
        explorer.change(k=k)
    assert explorer.wait(60).segmentation.k == 7
    assert fitted == [7]


def test_what_was_overtaken_is_never_shown(explorer, panel, monkeypatch):
    begun, go_on = threading.Event(), threading.Event()
    fit = Settings.fit

    def slow(settings, table):
        if settings.k == 5:
            begun.set()
            assert go_on.wait(30)
        return fit(settings, table)

    monkeypatch.setattr(Settings, "fit", slow)
    shown = []
    monkeypatch.setattr(
        type(panel), "show", lambda self, parts: shown.append(explorer.segmentation.k)
    )
    explorer.change(k=5)
    assert begun.wait(30)
    explorer.change(k=4)
    go_on.set()
    assert explorer.wait(60).segmentation.k == 4
    assert set(shown) == {4}


def test_results_go_the_moment_that_a_setting_changes(explorer, panel):
    explorer.refit().wait(60).assess(4).wait(60)
    before = results(panel)
    assert all(before[name] for name in ("segments", "map", "profile", "stability", "v"))
    assert "Ward (hierarchical), 3 segments, 3 variables" in before["segments"]
    panel.k.value = 4
    at_once = results(panel)
    assert not any(at_once[name] for name in ("segments", "map", "profile", "v"))
    assert "<svg" not in at_once["stability"] + at_once["number"]
    assert "Jaccard" not in at_once["stability"]
    assert panel.code.value == ""
    assert panel.save.disabled
    explorer.wait(60)
    assert "4 segments" in results(panel)["segments"]
    assert "k=4" in panel.code.value


def test_a_long_job_stops_at_its_next_step_and_leaves_what_was_there(explorer, panel):
    reached = threading.Event()
    progress = panel.progress

    def tell(what, done, total):
        progress(what, done, total)
        reached.set()

    panel.progress = tell
    module.BEAT, beat = 0.0, module.BEAT
    try:
        explorer.assess(500)
        assert reached.wait(30)
        explorer.stop().wait(30)
    finally:
        module.BEAT = beat
    assert explorer.stability is None
    assert explorer.segmentation is not None
    assert "Stopped." in panel.status.value
    assert not panel.assess.disabled
    assert panel.stop.disabled
    assert explorer.assess(4).wait(60).stability is not None, "the next job runs as usual"


def test_an_error_is_told_in_place_and_the_next_change_mends_it(explorer, panel):
    for box in panel.features.values():
        box.value = False
    explorer.wait(60)
    assert explorer.error == "no variable is chosen; choose at least one"
    assert 'role="alert"' in panel.status.value
    assert explorer.error in panel.status.value
    assert explorer.segmentation is None
    assert panel.assess.disabled
    panel.features["visits"].value = True
    explorer.wait(60)
    assert explorer.error == ""
    assert explorer.segmentation.model.features == ("visits",)


def test_an_unforeseen_error_is_told_too(explorer, panel, monkeypatch):
    monkeypatch.setattr(Settings, "fit", lambda *_: 1 / 0)
    explorer.change(k=5).wait(60)
    assert "ZeroDivisionError: division by zero" in panel.status.value
    monkeypatch.undo()
    assert explorer.refit().wait(60).segmentation.k == 5


def test_a_worker_does_the_newest_job_and_ends_when_idle():
    done = []
    worker = Worker(lambda *_: None)
    worker.submit(lambda job: done.append("old"), delay=5.0)
    worker.submit(lambda job: [done.append("new") for _ in steps(range(2), "things")])
    assert worker.wait(10)
    assert done == ["new", "new"]
    assert not worker.stop()


def test_a_stopped_job_raises_at_its_next_step():
    jobs = []

    def task(job):
        jobs.append(job)
        job.stop()
        for _ in steps(range(3), "things"):
            pytest.fail("it went on")

    worker = Worker(lambda *_: None)
    worker.submit(task)
    assert worker.wait(10)
    with pytest.raises(Stopped):
        jobs[0].check()


# Shown -------------------------------------------------------------------------------------


def test_the_page_without_a_kernel_has_picture_words_and_table(looked_at):
    page = looked_at._repr_html_()
    (alt,) = {*re.findall(r'<svg [^>]*aria-label="([^"]+)"', page)}  # broad and for phones
    assert "centres of 3 groups" in alt
    assert page.count("<tr") == 4
    assert "Ward (hierarchical), 3 segments, 3 variables" in page
    assert not re.search(r"(?:src|href)=\"(?!data:|#)", page)
    assert "example.org" not in page, "ids are nobody's business"


def test_in_batch_there_is_no_widget(explorer, monkeypatch):
    shown = []
    monkeypatch.setattr("IPython.display.display", lambda what, **how: shown.append((what, how)))
    explorer._ipython_display_()
    ((what, how),) = shown
    assert "segkit-static" in what.data
    assert how == {}
    assert explorer._panel is None


def test_for_a_person_the_controls_come_and_the_picture_stays_behind(explorer, monkeypatch):
    pytest.importorskip("ipywidgets")
    shown, later = [], []

    def display(what, **how):
        shown.append((what, how))
        return SimpleNamespace(update=lambda html: later.append(html.data))

    monkeypatch.setattr("IPython.display.display", display)
    monkeypatch.setattr(module, "is_watched", lambda: True)
    explorer._ipython_display_()
    explorer.wait(60)
    (picture, how), (bundle, raw) = shown
    assert (picture.data, how) == ("", {"display_id": True})
    assert raw == {"raw": True}
    assert set(bundle) == {"text/plain", "text/html", "application/vnd.jupyter.widget-view+json"}
    assert bundle["text/plain"] == bundle["text/html"] == "", "nothing that a page would show"
    assert "<svg" in later[-1]
    explorer.change(k=4).wait(60)
    assert "4 segments" in later[-1], "a saved notebook keeps the choice last looked at"


def test_every_control_has_a_name_and_the_settings_in_words(looked_at):
    panel = looked_at._panel
    controls = [panel.method, panel.k, panel.refits, panel.measure, panel.name, panel.ending,
                panel.code, panel.stop, panel.refit, panel.assess, panel.suggest, panel.take,
                panel.save, *panel.features.values()]  # fmt: skip
    assert all(control.description for control in controls)
    assert set(panel.features) == {*FEATURES, "open_rate"}
    assert panel.features["visits"].description == "visits to the site"


def test_means_or_medians_are_shown_as_chosen(looked_at):
    panel, explorer = looked_at._panel, looked_at
    assert "Mean by segment" in panel.values.value
    panel.measure.value = "median"
    assert "Median by segment" in panel.values.value
    row = explorer.profile.variables.filter(pl.col("variable") == "visits").row(0, named=True)
    assert segkit.display.number(row["median"]) in panel.values.value


def test_the_number_suggested_can_be_taken(panel, explorer, monkeypatch):
    quick = partial(segkit.choose_k, k_range=range(2, 6), n_draws=2)
    monkeypatch.setattr("segkit.explorer.findings.choose_k", quick)
    explorer.suggest().wait(60)
    three = panel.parts["number"].value
    assert "criteria vote for" in three
    explorer.change(k=5).wait(60)
    five = panel.parts["number"].value
    drawn = explorer.suggestion.choose(5).plot()
    assert drawn._repr_html_() in five, "the number in force is marked"
    assert drawn._repr_html_() not in three
    panel.take.click()
    assert panel.k.value == explorer.settings.k == explorer.suggestion.k


def test_a_click_saves_and_says_where(panel, explorer, tmp_path):
    panel.name.value, panel.ending.value = "spring", "parquet"
    panel.save.click()
    assert (
        f"Saved spring.json and spring.parquet in {tmp_path.name}/" in panel.parts["export"].value
    )
    assert segkit.load_model(tmp_path / "spring.json").names == explorer.segmentation.model.names
    assert 'segmentation.model.save("spring.json")' in panel.code.value


# The house ---------------------------------------------------------------------------------


def test_importing_segkit_or_the_explorer_leaves_widgets_alone():
    code = "import sys, segkit; segkit.explore_segments; print('ipywidgets' in sys.modules)"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "False"


def test_it_computes_no_statistic_of_its_own():
    for path in PACKAGE.glob("*.py"):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        nodes = list(ast.walk(tree))
        names = {alias.name for n in nodes if isinstance(n, ast.Import) for alias in n.names}
        names |= {n.module for n in nodes if isinstance(n, ast.ImportFrom)}
        roots = {name.split(".")[0] for name in names}
        assert not roots & {"numpy", "scipy", "sklearn", "statistics", "math"}, path.name
        calls = {n.func.attr for n in nodes if isinstance(n, ast.Call)
                 and isinstance(n.func, ast.Attribute)}  # fmt: skip
        assert not calls & {"mean", "median", "std", "var", "quantile", "sum"}, path.name


def test_variables_stand_by_topic_are_searched_and_the_recommended_are_marked(explorer):
    pytest.importorskip("ipywidgets")
    from segkit.explorer.panel import Panel

    explorer.recommended = ("monetary", "open_rate")
    panel = Panel(explorer)
    assert list(panel.topics) == ["E-mail", "Site and carts", "Orders and spend"]
    marked = [name for name, box in panel.features.items() if box.tooltip == "recommended"]
    assert marked == ["monetary", "open_rate"]
    panel.recommend.click()
    assert explorer.settings.features == explorer.recommended
    panel.search.value = "visits"
    shown = [name for name, box in panel.features.items() if box.layout.display != "none"]
    assert shown == [name for name in panel.features if "visits" in name]
    assert shown
    assert panel.topics["E-mail"].layout.display == "none"
    panel.search.value = ""
    assert all(box.layout.display is None for box in panel.features.values())
