"""Works in JupyterLab as a person does: a notebook opened alone, one's own frame in five cells."""

import json
import os
import re
import secrets
import shlex
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path
from textwrap import dedent

import nbformat
import polars as pl
import pytest

from segkit.runner.workspace import lay_out

pytestmark = pytest.mark.slow

UPSTREAM = "01_data_audit"
ALONE = "02_customer_table"
STARTING, RUNNING = 120, 480  # seconds at most, on a busy machine
PATHS = {
    "JUPYTER_CONFIG_DIR": "config",
    "JUPYTER_DATA_DIR": "data",
    "JUPYTER_RUNTIME_DIR": "runtime",
    "JUPYTERLAB_SETTINGS_DIR": "settings",
    "JUPYTERLAB_WORKSPACES_DIR": "workspaces",
    "IPYTHONDIR": "ipython",
}
ROOT = Path(__file__).parents[2]
# Besides what `make lab` tells JupyterLab; an administrator runs the tests in a container.
OPTIONS = [
    "--no-browser",
    "--allow-root",
    "--expose-app-in-browser",
    "--ServerApp.ip=127.0.0.1",
    "--ServerApp.port_retries=0",
]
CELLS = """() => {
  const cells = window.jupyterapp.shell.currentWidget.content.model.cells;
  return Array.from({length: cells.length}, (_, i) => cells.get(i).toJSON())
    .filter(cell => cell.cell_type === "code" && cell.source.length);
}"""
# Asked often, so without the outputs: whether all cells have ended, and whether one has failed.
STATE = """() => {
  const cells = window.jupyterapp.shell.currentWidget.content.model.cells;
  const codes = Array.from({length: cells.length}, (_, i) => cells.get(i))
    .filter(cell => cell.type === "code" && cell.sharedModel.getSource().length);
  const kinds = ({outputs}) => Array.from({length: outputs.length}, (_, i) => outputs.get(i).type);
  return {ended: codes.every(cell => cell.executionCount),
          failed: codes.some(cell => kinds(cell).includes("error"))};
}"""
OWN_FRAME = [
    """
    import numpy as np
    import pandas as pd
    import segkit
    """,
    """
    rng = np.random.default_rng(0)
    who = rng.integers(0, 200, 2000)
    days = pd.to_timedelta(rng.integers(0, 366, 2000), unit="D")
    frame = pd.DataFrame({
        "customer": [f"C{i:03}" for i in who],
        "order_date": pd.Timestamp("2024-01-01") + days,
        "amount": rng.gamma(2, 20 * (1 + who % 3)).round(2),
    })
    """,
    "segkit.audit_data(frame)",
    """
    found = segkit.segment(frame)
    found
    """,
    """
    found.assignments.write_csv("segments.csv")
    found.plot()
    """,
]

RAISES = {"tags": ["raises-exception"]}
EXPLORED = [
    """
    import numpy as np
    import polars as pl
    import segkit

    rng = np.random.default_rng(0)
    group = rng.integers(0, 3, 240)
    table = pl.DataFrame({
        "customer_id": [f"C{i:03}" for i in range(240)],
        "frequency": rng.poisson(2 + 9 * group),
        "monetary": rng.gamma(3, 20 + 60 * group),
        "visits": rng.poisson(4 + 8 * (2 - group)),
    })
    """,
    'segkit.explore_segments(table, k=3, folder="chosen")',
    'segkit.cluster_customers(table, features=["visits"], k=2, method="wrad")',
    """
    X = table.select("frequency", "visits")
    segkit.assess_stability(X, n_refits=100_000)
    """,
    "segkit.assess_stability(X, k_range=[3], n_refits=4, n_splits=2)",
]


@pytest.fixture(scope="module")
def shop(tmp_path_factory):
    """Lay out a working folder as `segkit new` does; its second notebook asks for a small shop."""
    folder = tmp_path_factory.mktemp("lab") / "shop"
    lay_out(folder)
    notebook = folder / "notebooks" / f"{ALONE}.ipynb"
    text = notebook.read_text(encoding="utf-8")
    small, changed = re.subn(r"customers: int = \d+", "customers: int = 400", text)
    assert changed == 1
    notebook.write_text(small, encoding="utf-8")
    return folder


def made_by(target):
    """Return what `make` would have Python do, without the interpreter's path."""
    make = ["make", "--dry-run", "--no-print-directory", target]
    said = subprocess.run(make, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    command = said.replace("\\\n", " ").strip().splitlines()[-1]
    return shlex.split(command)[1:]


@pytest.fixture(scope="module")
def lab(shop):
    """Start JupyterLab as `make lab` does, on loopback; return its address with its token."""
    aside = shop.parent / "jupyter"
    asks = aside / "settings" / "@jupyterlab" / "apputils-extension"
    asks.mkdir(parents=True)
    (asks / "notification.jupyterlab-settings").write_text(
        '{"fetchNews": "false", "checkForUpdates": false}'
    )
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port = found.getsockname()[1]
    token = secrets.token_hex(16)
    own = [
        f"--ServerApp.port={port}",
        f"--IdentityProvider.token={token}",
    ]
    environment = {k: v for k, v in os.environ.items() if k != "SEGKIT_CONTEXT"}
    environment |= {name: str(aside / folder) for name, folder in PATHS.items()}
    with (aside / "server.txt").open("wb") as written:
        server = subprocess.Popen(
            [sys.executable, *made_by("lab"), *OPTIONS, *own],
            cwd=shop,
            stdout=written,
            stderr=subprocess.STDOUT,
            env=environment,
        )
    try:
        wait_for_server(server, f"http://127.0.0.1:{port}/api?token={token}", aside / "server.txt")
        yield f"http://127.0.0.1:{port}/?token={token}"  # what `make lab` opens
    finally:
        server.send_signal(signal.SIGTERM)  # ends the kernels too
        try:
            server.wait(30)
        except subprocess.TimeoutExpired:
            server.kill()
            server.wait()


def wait_for_server(server, address, written):
    until = time.monotonic() + STARTING
    while time.monotonic() < until and server.poll() is None:
        try:
            with urllib.request.urlopen(address, timeout=5):  # noqa: S310 - loopback
                return
        except (urllib.error.URLError, OSError):
            time.sleep(0.5)
    pytest.fail(f"JupyterLab did not start:\n{written.read_text(errors='replace')[-3000:]}")


@pytest.fixture(scope="module")
def window(browser, lab, watch):
    """Open JupyterLab, which takes seconds to load, once; return its page and what went wrong."""
    context = browser.new_context(viewport={"width": 1300, "height": 1000})
    opened = context.new_page()
    trouble = watch(opened)
    opened.goto(lab)
    opened.add_style_tag(content="* {animation: none !important; transition: none !important}")
    opened.wait_for_selector(".jp-Notebook .jp-MarkdownCell h1", timeout=STARTING * 1000)
    yield opened, trouble
    context.close()


@pytest.fixture
def page(window):
    opened, trouble = window
    trouble.clear()
    yield opened
    assert trouble == []


HERE = """path => {
  const here = window.jupyterapp.shell.currentWidget;
  return here?.context?.path === path && here.content.model?.cells.length
    && here.sessionContext?.session?.kernel?.status === 'idle';
}"""


def open_notebook(page, path):
    """Open a notebook in place of all but the first, which JupyterLab itself has opened."""
    page.evaluate(
        "() => [...window.jupyterapp.shell.widgets('main')].slice(1).forEach(w => w.dispose())"
    )
    execute(page, "docmanager:open", path=path)
    page.wait_for_function(HERE, arg=path, timeout=STARTING * 1000, polling=200)


def run_all(page, path):
    """Open a notebook, run all of its cells, and return its code cells once they have ended."""
    open_notebook(page, path)
    execute(page, "notebook:run-all-cells")
    until = time.monotonic() + RUNNING
    while time.monotonic() < until and not any(page.evaluate(STATE).values()):
        page.wait_for_timeout(500)
    cells = page.evaluate(CELLS)
    assert errors(cells) == []
    waiting = [cell["source"] for cell in cells if not cell["execution_count"]]
    assert waiting == [], f"after {RUNNING} s these cells had not ended"
    return cells


def errors(cells):
    return [
        f"{out['ename']}: {out['evalue']}"
        for cell in cells
        for out in cell["outputs"]
        if out["output_type"] == "error"
    ]


def printed(cells, name="stdout"):
    outputs = [out for cell in cells for out in cell["outputs"]]
    return "".join(out["text"] for out in outputs if out.get("name") == name)


def markup(cells):
    outputs = [out for cell in cells for out in cell["outputs"]]
    return "".join(out["data"].get("text/html", "") for out in outputs if "data" in out)


def expect_to_see(page, cells, *, tables, figures):
    """Check that what the cells hand over stands in the page: tables in full, pictures with words.

    The page draws what is scrolled to, so each is scrolled to first.
    """
    html = markup(cells)
    found = page.locator(".jp-OutputArea table.segkit")
    assert found.count() == html.count('<table class="segkit"') >= tables
    for table in found.all():
        table.scroll_into_view_if_needed()
        assert table.bounding_box()["height"] > 40
        assert table.locator("th").first.text_content()
    pictures = page.locator(".jp-OutputArea .segkit-figure > svg")
    assert pictures.count() == html.count("<svg ") >= figures
    for picture in pictures.all():
        picture.scroll_into_view_if_needed()
        assert picture.is_visible()
        assert picture.bounding_box()["width"] > 300
        assert re.search(r"\w+ .*\w+", picture.get_attribute("aria-label")), (
            "a picture without words"
        )
    wide = page.locator(".jp-OutputArea-output").evaluate_all(
        "all => all.filter(o => o.scrollWidth > o.clientWidth + 1).length"
    )
    assert wide == 0, "an output is wider than the notebook"


def take_picture(page, selector, path):
    """Scroll to the first thing that fits, let it settle, and take a picture of the window."""
    page.locator(selector).locator("visible=true").first.evaluate(
        "e => e.scrollIntoView({block: 'center'})"
    )
    page.wait_for_timeout(300)
    page.screenshot(path=path)
    assert path.stat().st_size > 10_000


def read_manifest(shop, stem):
    path = shop / "reports" / "simulated" / stem / "manifest.json"
    return json.loads(path.read_text(encoding="utf-8"))


# Collects what the outputs say while cells run, for it is gone when they end.
OVERHEAR = """() => {
  window.told = [];
  const note = () => document.querySelectorAll('.jp-OutputArea small').forEach(
    small => { const text = small.textContent;  // of outputs out of sight too
               if (!window.told.includes(text)) window.told.push(text); });
  new MutationObserver(note).observe(document, {childList: true, subtree: true});
}"""


def test_a_notebook_opened_alone_runs_what_it_needs_first(shop, page):
    assert page.locator("h1").first.inner_text().startswith("Can we trust the data?")
    page.evaluate(OVERHEAR)
    cells = run_all(page, f"notebooks/{ALONE}.ipynb")
    said = printed(cells)
    assert said.startswith("First running what this notebook needs: ")
    assert f"{UPSTREAM}  done" in said
    assert printed(cells, "stderr") == ""
    audit, own = (read_manifest(shop, stem) for stem in (UPSTREAM, ALONE))
    assert (audit["status"], own["status"]) == ("done", "interactive")
    live = page.evaluate("() => window.told")
    assert re.search(r"\[1/1\] \d\d_\w+ +cell \d+ of \d+, \d+ s", " ".join(live)), live
    assert page.locator(".jp-OutputArea p:has-text('cell ')").count() == 0
    assert audit["finished"] <= own["started"]
    assert {m["parameters"]["customers"] for m in (audit, own)} == {400}
    written = shop / "reports" / "simulated" / ALONE / "data" / "customer_table.parquet"
    assert 300 < pl.read_parquet(written).height <= 400
    expect_to_see(page, cells, tables=6, figures=3)
    take_picture(page, ".jp-OutputArea table.segkit", shop.parent / "alone_table.png")
    take_picture(page, ".jp-OutputArea .segkit-figure > svg", shop.parent / "alone_figure.png")
    page.get_by_role("link", name="Table (csv)").first.click()
    page.wait_for_selector(".jp-CSVViewer", timeout=STARTING * 1000)
    take_picture(page, ".jp-CSVViewer", shop.parent / "alone_csv.png")


def test_a_new_folder_for_one_s_own_data_opens_with_its_own_parameters(shop, page):
    rows = [
        f"c{i % 40},o{i},2024-{i % 6 + 1:02d}-{i % 27 + 1:02d},{i % 13 + 5}" for i in range(150)
    ]
    text = "customer_id,order_id,order_time,amount\n" + "\n".join(rows) + "\n"
    (shop / "Meine Käufe.csv").write_text(text, encoding="utf-8")
    lay_out(shop / "own", shop / "Meine Käufe.csv")
    cells = run_all(page, "own/notebooks/01_data_audit.ipynb")
    assert "150" in markup(cells)
    made = next((shop / "own/reports").glob("*/01_data_audit/manifest.json"))
    used = json.loads(made.read_text(encoding="utf-8"))["parameters"]
    assert (used["source"], used["data"]) == ("file", "../Meine Käufe.csv")


def test_a_pandas_frame_is_segmented_within_five_cells(shop, page):
    pytest.importorskip("pandas")
    assert len(OWN_FRAME) <= 5
    write_notebook(shop / "own_frame.ipynb", OWN_FRAME, {})
    cells = run_all(page, "own_frame.ipynb")
    assert len(cells) == len(OWN_FRAME)
    assert printed(cells, "stderr") == ""
    assert "They can be used as mapped." in markup(cells)
    expect_to_see(page, cells, tables=2, figures=1)
    written = pl.read_csv(shop / "segments.csv")
    assert written["customer_id"].n_unique() == written.height == 200
    assert written["segment"].n_unique() > 1
    take_picture(page, ".jp-CodeCell:nth-of-type(4)", shop.parent / "frame_segments.png")
    take_picture(page, ".jp-OutputArea .segkit-figure > svg", shop.parent / "frame_figure.png")


def write_notebook(path, sources, metadata):
    codes = [
        nbformat.v4.new_code_cell(dedent(source).strip(), metadata=metadata.get(place, {}))
        for place, source in enumerate(sources)
    ]
    kernel = {"name": "python3", "display_name": "Python 3 (ipykernel)", "language": "python"}
    notebook = nbformat.v4.new_notebook(cells=codes, metadata={"kernelspec": kernel})
    nbformat.write(notebook, path)


def execute(page, command, **arguments):
    """Ask JupyterLab for one of its commands, without waiting for its end."""
    page.evaluate(
        "([name, told]) => { window.jupyterapp.commands.execute(name, told); }",
        [command, arguments],
    )


def wait_for(page, script):
    page.wait_for_function(script, timeout=STARTING * 1000, polling=200)


def panel(page):
    return page.locator(".segkit-explorer")


def see(page, text):
    """Wait until the explorer shows a text."""
    panel(page).get_by_text(text).locator("visible=true").first.wait_for(timeout=STARTING * 1000)


def take_in_both_themes(page, selector, path):
    for theme, is_light in (("Dark", "false"), ("Light", "true")):
        execute(page, "apputils:change-theme", theme=f"JupyterLab {theme}")
        wait_for(page, f"() => document.body.dataset.jpThemeLight === '{is_light}'")
        take_picture(page, selector, path.with_name(f"{path.stem}_{theme.lower()}.png"))


def test_an_explorer_is_turned_beside_a_mistake_and_an_interruption(shop, page):
    write_notebook(shop / "explore.ipynb", EXPLORED, {2: RAISES, 3: RAISES})
    open_notebook(page, "explore.ipynb")
    execute(page, "notebook:run-all-cells")
    interrupt_long_work(page)
    cells = page.evaluate(CELLS)
    check_what_stands_after_it(page, cells)
    turn_the_settings(page)
    ask_for_stability_and_stop(page)
    save_the_choice(page, shop)
    take_in_both_themes(page, ".segkit-explorer", shop.parent / "explorer.png")
    check_the_saved_notebook(page, shop)


def interrupt_long_work(page):
    line = page.locator(".jp-OutputArea p:has(> small > progress)")
    line.wait_for(timeout=STARTING * 1000)
    assert re.match(r"refits: \d+ of 100,000, \d+ s", line.inner_text().strip())
    execute(page, "notebook:interrupt-kernel")
    wait_for(page, f"() => ({STATE})().ended")
    assert line.count() == 0, "its progress stands on"


def check_what_stands_after_it(page, cells):
    _, _, wrong, long, after = cells
    told, where, more = wrong["outputs"][0]["traceback"]
    assert told.startswith("ParameterError: unknown method 'wrad'; did you mean 'ward'?")
    assert where.startswith("  in line 1: segkit.cluster_customers(")
    assert "%tb Plain" in more
    assert [out["ename"] for out in long["outputs"] if "ename" in out] == ["KeyboardInterrupt"]
    assert "<table" in markup([after])


def turn_the_settings(page):
    see(page, "240 customers in 3 segments")
    panel(page).get_by_label("Number of segments").fill("4")
    panel(page).get_by_label("Number of segments").press("Enter")
    see(page, "240 customers in 4 segments")
    assert panel(page).locator("table").locator("visible=true").count() == 1
    shrinks = "all => all.map(e => getComputedStyle(e.parentElement).flexShrink)"
    assert set(panel(page).locator(".widget-gridbox").evaluate_all(shrinks)) == {"0"}  # shown whole
    panel(page).get_by_label("Method").select_option("k-means")
    see(page, "k-means, 4 segments, 3 variables")
    panel(page).get_by_role("checkbox", name="visits to the site").press(
        "Space"
    )  # by keyboard alone
    see(page, "k-means, 4 segments, 2 variables")
    for name in ("net spend", "orders"):
        panel(page).get_by_role("checkbox", name=name, exact=True).uncheck()
    see(page, "no variable is chosen; choose at least one")
    assert panel(page).locator("table").locator("visible=true").count() == 0
    panel(page).get_by_role("checkbox", name="orders", exact=True).check()
    panel(page).get_by_role("checkbox", name="visits to the site").check()
    see(page, "k-means, 4 segments, 2 variables")
    panel(page).get_by_role("tab", name="Map").click()
    picture = panel(page).locator(".segkit-figure > svg:visible")
    picture.wait_for(timeout=STARTING * 1000)
    assert "centres of 4 groups" in picture.get_attribute("aria-label")
    panel(page).get_by_role("tab", name="Map").press(
        "ArrowRight"
    )  # moves the focus, and Enter opens
    page.keyboard.press("Enter")
    see(page, "Mean by segment")


def ask_for_stability_and_stop(page):
    panel(page).get_by_role("tab", name="Stability").click()
    panel(page).get_by_label("Refits").fill("10")
    panel(page).get_by_label("Refits").press("Enter")
    panel(page).get_by_role("button", name="Assess stability").click()
    see(page, "Stability over refits")
    panel(page).get_by_label("Refits").fill("500")
    panel(page).get_by_label("Refits").press("Enter")
    panel(page).get_by_role("button", name="Assess stability").click()
    see(page, "refits: ")
    panel(page).get_by_role("button", name="Stop").click()
    see(page, "Stopped.")
    assert panel(page).locator("progress").count() == 0


def save_the_choice(page, shop):
    panel(page).get_by_role("tab", name="Export").click()
    panel(page).get_by_label("File name").fill("mine")
    panel(page).get_by_label("File name").press("Enter")
    panel(page).get_by_role("button", name="Save model and assignments").click()
    see(page, "Saved mine.json and mine.csv in chosen/.")
    code = panel(page).get_by_label("Code", exact=True).input_value()
    assert 'segmentation.model.save("mine.json")' in code
    rows = pl.read_csv(shop / "chosen" / "mine.csv")
    space: dict = {}
    exec(dedent(EXPLORED[0]), space)  # noqa: S102 - the notebook's first cell
    exec(code.replace('"mine.', f'"{shop}/again.'), space)  # noqa: S102 - what a person would paste
    assert (shop / "again.json").read_bytes() == (shop / "chosen" / "mine.json").read_bytes()
    assert rows.equals(pl.read_csv(shop / "again.csv"))


def check_the_saved_notebook(page, shop):
    """See that a page made of it, without a kernel, has the picture and no widget."""
    assert page.locator(".segkit-static").count() == 1
    assert not page.locator(".segkit-static").is_visible()
    execute(page, "docmanager:save")
    wait_for(page, "() => !window.jupyterapp.shell.currentWidget.context.model.dirty")
    from nbconvert.exporters.html import HTMLExporter

    made, _ = HTMLExporter(embed_images=True).from_filename(str(shop / "explore.ipynb"))
    body = made.partition("<body")[2]
    (still,) = re.findall(r'<div class="segkit-static">.*?</div>', body, re.DOTALL)
    assert re.search(r'<svg [^>]*aria-label="[^"]*centres of 4 groups', still)
    assert "k-means, 4 segments, 2 variables" in still
    assert "widget-view" not in body
