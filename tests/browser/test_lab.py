"""Works in JupyterLab as a person does: a notebook opened alone, one's own frame in five cells."""

import json
import os
import re
import secrets
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from textwrap import dedent

import nbformat
import polars as pl
import pytest

from segkit.runner.workspace import lay_out

pytestmark = pytest.mark.slow

UPSTREAM = ("01_data_audit", "02_customer_table")
ALONE = "03_rfm_segments"
STARTING, RUNNING = 120, 480  # seconds at most, on a busy machine
PATHS = {
    "JUPYTER_CONFIG_DIR": "config",
    "JUPYTER_DATA_DIR": "data",
    "JUPYTER_RUNTIME_DIR": "runtime",
    "JUPYTERLAB_SETTINGS_DIR": "settings",
    "JUPYTERLAB_WORKSPACES_DIR": "workspaces",
    "IPYTHONDIR": "ipython",
}
OPTIONS = [
    "--no-browser",
    "--allow-root",
    "--expose-app-in-browser",
    "--ServerApp.ip=127.0.0.1",
    "--ServerApp.port_retries=0",
    "--LabApp.extension_manager=readonly",
    "--LabApp.news_url=",
    "--LabApp.check_for_updates_class=jupyterlab.NeverCheckForUpdate",
]
CELLS = """() => {
  const cells = window.jupyterapp.shell.currentWidget.content.model.cells;
  return Array.from({length: cells.length}, (_, i) => cells.get(i).toJSON())
    .filter(cell => cell.cell_type === "code" && cell.source.length);
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
    "segkit.check(frame)",
    """
    found = segkit.segment(frame)
    found
    """,
    """
    found.assignments.write_csv("segments.csv")
    found.plot()
    """,
]


@pytest.fixture(scope="module")
def shop(tmp_path_factory):
    """Lay out a working folder as `segkit new` does; its third notebook asks for a small shop."""
    folder = tmp_path_factory.mktemp("lab") / "shop"
    lay_out(folder)
    notebook = folder / "notebooks" / f"{ALONE}.ipynb"
    text = notebook.read_text(encoding="utf-8")
    small, changed = re.subn(r"customers: int = \d+", "customers: int = 400", text)
    assert changed == 1
    notebook.write_text(small, encoding="utf-8")
    return folder


@pytest.fixture(scope="module")
def lab(shop):
    """Start JupyterLab on loopback with no settings but its own; return its address and token."""
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
        f"--ServerApp.root_dir={shop}",
        f"--IdentityProvider.token={token}",
    ]
    environment = {k: v for k, v in os.environ.items() if k != "SEGKIT_CONTEXT"}
    environment |= {name: str(aside / folder) for name, folder in PATHS.items()}
    with (aside / "server.txt").open("wb") as written:
        server = subprocess.Popen(
            [sys.executable, "-m", "jupyterlab", *OPTIONS, *own],
            stdout=written,
            stderr=subprocess.STDOUT,
            env=environment,
        )
    try:
        wait_for_server(server, f"http://127.0.0.1:{port}/api?token={token}", aside / "server.txt")
        yield f"http://127.0.0.1:{port}/lab/tree/{{path}}?token={token}&reset"
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


@pytest.fixture
def page(browser, watch):
    context = browser.new_context(viewport={"width": 1300, "height": 1000})
    opened = context.new_page()
    trouble = watch(opened)
    yield opened
    context.close()
    assert trouble == []


def run_all(page, address):
    """Open a notebook, run all of its cells, and return its code cells once they have ended."""
    page.goto(address)
    page.wait_for_selector(".jp-Notebook .jp-CodeCell", timeout=STARTING * 1000)
    page.wait_for_function(
        "() => window.jupyterapp.shell.currentWidget.sessionContext?.session?.kernel?.status"
        " === 'idle'",
        timeout=STARTING * 1000,
    )
    page.evaluate("() => { window.jupyterapp.commands.execute('notebook:run-all-cells'); }")
    until = time.monotonic() + RUNNING
    while time.monotonic() < until:
        cells = page.evaluate(CELLS)
        assert errors(cells) == []
        if all(cell["execution_count"] for cell in cells):
            return cells
        page.wait_for_timeout(500)
    waiting = [cell["source"] for cell in cells if not cell["execution_count"]]
    return pytest.fail(f"after {RUNNING} s these cells had not ended: {waiting}")


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
    pictures = page.locator(".jp-OutputArea img")
    assert pictures.count() == html.count("<img ") >= figures
    for picture in pictures.all():
        picture.scroll_into_view_if_needed()
        assert picture.is_visible()
        assert picture.evaluate("i => i.complete && i.naturalWidth") > 300
        assert re.search(r"\w+ .*\w+", picture.get_attribute("alt")), "a picture without words"
    wide = page.locator(".jp-OutputArea-output").evaluate_all(
        "all => all.filter(o => o.scrollWidth > o.clientWidth + 1).length"
    )
    assert wide == 0, "an output is wider than the notebook"


def take_picture(page, selector, path):
    """Scroll to the first thing that fits, let it settle, and take a picture of the window."""
    page.locator(selector).first.evaluate("e => e.scrollIntoView({block: 'center'})")
    page.wait_for_timeout(300)
    page.screenshot(path=path)
    assert path.stat().st_size > 10_000


def read_manifest(shop, stem):
    path = shop / "reports" / "simulated" / stem / "manifest.json"
    return json.loads(path.read_text(encoding="utf-8"))


def test_a_notebook_opened_alone_runs_what_it_needs_first(shop, lab, page):
    cells = run_all(page, lab.format(path=f"notebooks/{ALONE}.ipynb"))
    said = printed(cells)
    assert said.startswith("First running what this notebook needs: ")
    assert all(f"{stem}  done" in said for stem in UPSTREAM)
    assert printed(cells, "stderr") == ""
    audit, table, own = (read_manifest(shop, stem) for stem in (*UPSTREAM, ALONE))
    assert (audit["status"], table["status"], own["status"]) == ("done", "done", "interactive")
    assert audit["finished"] <= table["started"] <= table["finished"] <= own["started"]
    assert {m["parameters"]["customers"] for m in (audit, table, own)} == {400}
    written = shop / "reports" / "simulated" / ALONE / "data" / "rfm.parquet"
    assert 300 < pl.read_parquet(written).height <= 400
    expect_to_see(page, cells, tables=6, figures=3)
    take_picture(page, ".jp-OutputArea table.segkit", shop.parent / "alone_table.png")
    take_picture(page, ".jp-OutputArea img", shop.parent / "alone_figure.png")
    page.get_by_role("link", name="Table (csv)").first.click()
    page.wait_for_selector(".jp-CSVViewer", timeout=STARTING * 1000)
    take_picture(page, ".jp-CSVViewer", shop.parent / "alone_csv.png")


def test_a_pandas_frame_is_segmented_within_five_cells(shop, lab, page):
    pytest.importorskip("pandas")
    assert len(OWN_FRAME) <= 5
    codes = [nbformat.v4.new_code_cell(dedent(code).strip()) for code in OWN_FRAME]
    kernel = {"name": "python3", "display_name": "Python 3 (ipykernel)", "language": "python"}
    notebook = nbformat.v4.new_notebook(cells=codes, metadata={"kernelspec": kernel})
    nbformat.write(notebook, shop / "own_frame.ipynb")
    cells = run_all(page, lab.format(path="own_frame.ipynb"))
    assert len(cells) == len(OWN_FRAME)
    assert printed(cells, "stderr") == ""
    assert "They can be used as mapped." in markup(cells)
    expect_to_see(page, cells, tables=2, figures=1)
    written = pl.read_csv(shop / "segments.csv")
    assert written["customer_id"].n_unique() == written.height == 200
    assert written["segment"].n_unique() > 1
    take_picture(page, ".jp-CodeCell:nth-of-type(4)", shop.parent / "frame_segments.png")
    take_picture(page, ".jp-OutputArea img", shop.parent / "frame_figure.png")
