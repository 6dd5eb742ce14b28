"""Looks at the scoring service's pages as a browser does that reaches nothing but the service."""

import threading
import time

import numpy as np
import polars as pl
import pytest
import uvicorn

from segkit.cluster import cluster_customers
from segkit.features import build_features
from segkit.live.serve.app import Service, TimedProtocol, build_app, listen
from segkit.live.serve.keys import add_key

pytestmark = pytest.mark.slow
KPIS = "<!doctype html><html lang='en'><title>KPIs</title><h1>Key figures</h1></html>"


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    """Serve a small model and a KPI page behind keys; give the address and the keys."""
    folder = tmp_path_factory.mktemp("served")
    rng = np.random.default_rng(0)
    orders = pl.DataFrame({"customer_id": [f"c{i % 40}" for i in range(200)]}).with_columns(
        order_id=pl.int_range(200).cast(pl.String),
        order_day=pl.Series(rng.integers(19_000, 20_000, 200)),
        amount=pl.Series(rng.gamma(2, 20, 200)),
    )
    features = ["recency_days", "frequency", "order_value_mean"]
    table = build_features(orders, features=features)
    words = dict(table.definitions.select("name", "description").iter_rows())
    cluster_customers(table.frame, features=features, k=3, definitions=words).model.save(
        folder / "segment_model.json"
    )
    (folder / "kpis.html").write_text(KPIS)
    file = folder / "keys.toml"
    keys = {role: add_key(file, role, [role]) for role in ("assign", "read")}
    bound = listen("127.0.0.1", 0)
    app = build_app(Service({"shop": folder}, keys=file))
    config = uvicorn.Config(app, http=TimedProtocol, ws="none", lifespan="off", log_config=None)
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [bound]})
    thread.start()
    while not server.started:
        time.sleep(0.01)
    yield f"http://127.0.0.1:{bound.getsockname()[1]}", keys
    server.should_exit = True
    thread.join()


@pytest.fixture
def open_page(browser, served):
    """Return a function that opens a page; what it asks for elsewhere is cut off and listed."""
    address, _ = served
    contexts, elsewhere = [], []

    def cut(route):
        if route.request.url.startswith((address, "data:")):
            route.continue_()
        else:
            elsewhere.append(route.request.url)
            route.abort()

    def start(path, **options):
        context = browser.new_context(**options)
        contexts.append(context)
        context.route("**/*", cut)
        page = context.new_page()
        page.goto(address + path)
        return page

    yield start
    for context in contexts:
        context.close()
    assert elsewhere == []


def test_the_openapi_page_shows_and_tries_every_request(served, open_page, watch, axe):
    _, keys = served
    page = open_page("/docs")
    operations = page.locator("#operations > details")
    operations.first.wait_for()
    shown = operations.locator("> summary code").all_inner_texts()
    assert shown == ["/assign", "/assign/batch", "/segments", "/model", "/kpi", "/metrics",
                     "/health", "/reload"]  # fmt: skip
    trouble = watch(page)
    assign = page.locator("#post-assign")
    assign.locator("> summary").click()
    assign.get_by_text("Fields of the request").click()
    assert assign.get_by_text("orders[].amount", exact=True).is_visible()
    page.get_by_label("API key").fill(keys["assign"])
    assign.get_by_role("button", name="Send").click()
    answer = assign.locator("pre")
    answer.get_by_text('"segment": "S').wait_for()
    assert answer.inner_text().startswith("200")
    assert trouble == []
    page.get_by_label("API key").fill("wrong")
    assign.get_by_role("button", name="Send").click()
    answer.get_by_text("an API key is needed").wait_for()
    for width in (1200, 380):
        page.set_viewport_size({"width": width, "height": 800})
        assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert axe(page) == []


def test_the_kpi_page_asks_for_the_key_as_a_password(served, open_page):
    _, keys = served
    login = {"username": "anybody", "password": keys["read"]}
    page = open_page("/kpi", http_credentials=login)
    assert page.locator("h1").inner_text() == "Key figures"
    refused = open_page("/kpi", http_credentials=login | {"password": keys["assign"]})
    assert "lacks the role 'read'" in refused.locator("body").inner_text()
