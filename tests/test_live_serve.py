import asyncio
import http.client
import json
import logging
import math
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from dataclasses import replace
from datetime import date

import httpx
import numpy as np
import polars as pl
import pytest

import segkit
from segkit.cli import invoke
from segkit.cluster import cluster_customers, cluster_latent, cluster_mixed, cluster_mixture
from segkit.errors import ModelError, ParameterError, SourceError
from segkit.features import build_features, rebuild_features
from segkit.live.serve import app as module
from segkit.live.serve import keys as keys_module
from segkit.live.serve.app import Service, build_app, run_server
from segkit.live.serve.bodies import EVENT_COLUMNS, ORDER_COLUMNS
from segkit.live.serve.histories import Histories
from segkit.live.serve.keys import Keys, add_key, hash_key
from segkit.live.serve.models import ServedModel, read_places
from segkit.live.serve.openapi import EXAMPLE
from segkit.predict import estimate_value, fit_churn
from segkit.scoring import add_forecasts

DAY = date(2025, 2, 28)
# Among them what one customer's rows alone cannot name: trends, channels, sections, rare events.
FEATURES = [
    "recency_days", "frequency_365d", "order_value_mean", "discount_share", "gift_share",
    "channel_share_app", "orders_trend", "category_breadth", "visits_90d", "visits_trend",
    "open_rate", "abandonment_rate", "time_seconds_new_in", "view_to_cart_rate",
]  # fmt: skip
RULES = "IF segment = 'S1' THEN flash_sale\nIF segment = 'S2' THEN style_guide PRIORITY 2"


@pytest.fixture(scope="module")
def sample():
    return segkit.clean_data("data/sample", "data/mappings/simulated.toml")


@pytest.fixture(scope="module")
def shop(sample, tmp_path_factory):
    """Fit models on the sample; give their folder, what the batch says, and the features."""
    folder = tmp_path_factory.mktemp("shop")
    table = build_features(
        sample.orders,
        sample.events,
        as_of=DAY,
        calendar="uk",
        features=[*FEATURES, "emails_sent", "carts", "frequency"],
    )
    words = dict(table.definitions.select("name", "description").iter_rows())
    found = cluster_customers(table.frame, features=FEATURES, k=4, definitions=words, as_of=DAY)
    model = found.model
    model.save(folder / "segment_model.json")
    (folder / "bare").mkdir()
    replace(model, definitions={}).save(folder / "bare/segment_model.json")  # read in no time
    value = estimate_value(sample.orders, as_of=DAY, horizon_days=180, draws=100).model
    value.save(folder / "value_model.json")
    churn = fit_churn(sample.orders, as_of=DAY, horizon_days=120, windows=2)
    churn.save(folder / "churn_model.json")
    (folder / "offer_policy.json").write_text(json.dumps({"rules": RULES}))
    built = rebuild_features(
        sample.orders, sample.events, as_of=DAY, columns=model.columns,
        definitions={name: words[name] for name in FEATURES},
    )  # fmt: skip
    batch = add_forecasts(
        model.score(built.frame), sample.orders, as_of=DAY, value=value, churn=churn
    )
    return folder, batch, built.frame.select("customer_id", *model.columns)


@pytest.fixture(scope="module")
def service(shop):
    return Service({"shop": shop[0]}, max_body=2**26, max_rows=10**5)


@pytest.fixture(scope="module")
def rows(sample):
    """Return each customer's raw rows as a client would send them."""
    listed = {}
    for name, columns in (("orders", ORDER_COLUMNS), ("events", EVENT_COLUMNS)):
        frame = sample.tables[name]
        frame = frame.select("customer_id", *(one for one in columns if one in frame.columns))
        for row in frame.iter_rows(named=True):
            if name == "events":
                row["event_time"] = row["event_time"].isoformat()
            listed.setdefault(row.pop("customer_id"), {"orders": [], "events": []})[name].append(
                row
            )
    return listed


def call(service, *requests, host="localhost"):
    """Send requests (method, path, further arguments) to a service within the process."""

    async def run():
        transport = httpx.ASGITransport(app=build_app(service))
        async with httpx.AsyncClient(transport=transport, base_url=f"http://{host}") as client:
            return [await client.request(m, path, **more) for m, path, more in requests]

    answers = asyncio.run(run())
    return answers[0] if len(answers) == 1 else answers


def post(service, body, path="/assign", **more):
    return call(service, ("POST", path, {"json": body, **more}))


def one_row(shop, place=0):
    return shop[2].drop("customer_id").row(place, named=True)


def near(first, second):
    if isinstance(second, float):
        return math.isclose(first, second, rel_tol=1e-12, abs_tol=1e-12)
    return first == (second.isoformat() if isinstance(second, date) else second)


def test_every_customer_gets_the_batch_s_segment_from_features(shop, service):
    _, batch, table = shop
    bodies = [{"features": row} for row in table.drop("customer_id").iter_rows(named=True)]
    answers = call(service, *(("POST", "/assign", {"json": body}) for body in bodies))
    names = (
        "segment",
        "segment_name",
        "distance",
        "second_segment",
        "margin",
        "unlike_any",
        "reason",
    )
    assert len(answers) == batch.height > 350
    for answer, expected in zip(answers, batch.iter_rows(named=True), strict=True):
        own = answer.json()
        assert {n: own[n] for n in names} == {n: expected[n] for n in names}  # to the last bit
    together = post(service, {"customers": bodies}, "/assign/batch").json()["customers"]
    assert [one["distance"] for one in together] == batch["distance"].to_list()


def test_every_customer_gets_the_batch_s_scores_from_raw_rows(shop, service, rows):
    _, batch, _ = shop
    ids = batch["customer_id"].to_list()
    bodies = [{"customer_id": i, "as_of": DAY.isoformat(), **rows[i]} for i in ids]
    together = post(service, {"customers": bodies}, "/assign/batch").json()
    assert [one["customer_id"] for one in together["customers"]] == ids
    alone = {place: post(service, bodies[place]).json() for place in (0, 200)}
    expected = batch.rows(named=True)
    for place, answer in [*enumerate(together["customers"]), *alone.items()]:
        for name, value in expected[place].items():
            assert near(answer[name], value), (place, name)
        assert answer["data_hash"] == together["data_hash"]


def test_who_has_not_bought_by_the_day_has_no_segment_and_no_offer(service, rows):
    body = next(iter(rows.values())) | {"as_of": "1999-01-01", "consent": True}
    answer = post(service, body).json()
    assert answer["segment"] is answer["offer"] is answer["expected_value"] is None
    assert answer["reason"] == "no purchase up to 1999-01-01"


def test_a_value_that_the_model_cannot_take_is_told_as_in_the_batch(tmp_path):
    rng = np.random.default_rng(0)
    table = pl.DataFrame(
        {"customer_id": [f"{i}" for i in range(60)], "spend": rng.gamma(0.5, 20, 60)}
    )
    model = cluster_customers(table, features=["spend"], k=2).model
    assert model.transform.columns[0].shape == "log1p"
    service = Service({"m": model.save(tmp_path / "m.json")})
    answer = post(service, {"features": {"spend": -5}}).json()
    assert answer["segment"] is None
    assert answer["reason"] == "spend is negative (-5), which log1p cannot take"


@pytest.mark.parametrize("kind", ["mixture", "latent", "mixed"])
def test_every_kind_of_model_is_served(kind, tmp_path):
    rng = np.random.default_rng(0)
    frame = pl.DataFrame(
        {
            "customer_id": [f"{i}" for i in range(60)],
            "x": rng.normal(size=60) + np.repeat([0, 9, 18], 20),
            "c": np.repeat(["a", "b", "c"], 20),
            **{f"q{j}": rng.uniform(size=60) < np.repeat([0.1, 0.9, 0.5], 20) for j in range(4)},
        }
    )
    found = {
        "mixture": lambda: cluster_mixture(frame, features=["x"], k=3, starts=1),
        "latent": lambda: cluster_latent(frame, items=[f"q{j}" for j in range(4)], k=2, starts=2),
        "mixed": lambda: cluster_mixed(frame, numeric=["x"], categorical=["c"], k=3),
    }[kind]()
    service = Service({"m": found.model.save(tmp_path / "m.json")})
    some = frame.select(found.model.columns)[::12]
    bodies = [{"features": row} for row in some.iter_rows(named=True)]
    if kind == "mixed":
        some = pl.concat([some, pl.DataFrame({"x": [None], "c": ["new"]}, schema=some.schema)])
        bodies.append({"features": {"x": None, "c": "new"}})
    answers = post(service, {"customers": bodies}, "/assign/batch").json()["customers"]
    expected = found.model.score(some).rows(named=True)
    assert [{n: a[n] for n in e} for a, e in zip(answers, expected, strict=True)] == expected
    assert post(service, bodies[-1]).json()["distance"] == expected[-1]["distance"]
    refused = post(service, {"as_of": "2025-01-01", "orders": []})
    assert refused.status_code == 422
    assert "takes features" in refused.text
    first = found.model.columns[0]
    mistyped = post(service, {"features": bodies[0]["features"] | {first: [1]}})
    assert mistyped.json()["detail"][0]["loc"] == ["body", "features", first]


ORDER = {"order_id": "1", "order_day": "2025-01-01", "amount": 9.5, "discount": 0, "category": "a",
         "channel": "app", "product_id": "p"}  # fmt: skip
EVENT = {"event_type": "site_visit", "event_day": "2025-01-01", "session_id": None, "page": None,
         "event_time": "2025-01-01T10:00:00Z", "campaign_id": None,
         "duration_seconds": 5}  # fmt: skip
WRONG = {
    "features.recency_days": [
        {"recency_days": "x"},
        {"recency_days": [1]},
        {"recency_days": 10**400},
    ],
    "features.spend": [{"spend": 1.0}],
    "orders.0.amount": [{"amount": True}, {"amount": None}, {"amount": "9"}],
    "orders.0.discount": [{"discount": -1}, {"discount": "x"}],
    "orders.0.order_day": [
        {"order_day": "yesterday"},
        {"order_day": 1.5},
        {"order_day": None},
        *({"order_day": d} for d in (-700_000, 10**30, "1025-01-01", "1989-12-31", "9999-12-31")),
    ],
    "events.0.event_day": [{"event_day": "0001-01-01"}],
    "orders.0.order_id": [{"order_id": " "}],
    "orders.0.is_return": [{"is_return": 1}],
    "orders.0.email": [{"email": "ann@shop.org"}],
    "events.0.event_type": [{"event_type": "purchase"}],
    "events.0.event_time": [
        {"event_time": "2025-01-01T10:00:00"},
        {"event_time": "noon"},
        {"event_time": "1025-01-01T10:00:00Z"},
    ],
    "consent": ["yes"],
    "customer_id": [1.5],
    "as_of": ["2025-02-30", None, 20250228, "9999-12-31", "0001-01-05", "1989-12-31"],
    "attributes.region": [{"region": "north"}],
    "name": ["Ann"],
}


@pytest.mark.parametrize("field", WRONG)
def test_what_is_wrong_is_named(shop, service, field):
    top, *inner = field.split(".")
    base = {"as_of": "2025-02-28", "orders": [ORDER], "events": [EVENT]}
    if top == "features":
        base = {"features": one_row(shop)}
    for wrong in WRONG[field]:
        body = dict(base)
        if top in ("orders", "events"):
            body[top] = [base[top][0] | wrong]
        else:
            body[top] = base[top] | wrong if top == "features" else wrong
        answer = post(service, body)
        loc = ["body", top, *(int(part) if part.isdigit() else part for part in inner)]
        assert answer.status_code == 422, (wrong, answer.text)
        assert answer.json()["detail"][0]["loc"] == loc
    assert post(service, base).status_code == 200


def test_what_is_missing_is_named(shop, service):
    row = one_row(shop)
    del row["open_rate"]
    answers = {
        "features.open_rate": {"features": row},
        "features": {},
        "events": {"as_of": "2025-02-28", "orders": [ORDER]},
        "orders.0.channel": {
            "as_of": "2025-02-28",
            "events": [],
            "orders": [{key: ORDER[key] for key in ORDER if key != "channel"}],
        },
        "events.0.campaign_id": {
            "as_of": "2025-02-28",
            "orders": [],
            "events": [{key: EVENT[key] for key in EVENT if key != "campaign_id"}],
        },
        "orders": {"features": one_row(shop), "orders": [ORDER]},
    }
    for field, body in answers.items():
        answer = post(service, body)
        assert answer.status_code == 422
        assert ".".join(map(str, answer.json()["detail"][0]["loc"][1:])) == field
    batch = post(service, {"customers": [{"features": one_row(shop)}, {}]}, "/assign/batch")
    assert batch.json()["detail"][0]["loc"] == ["body", "customers", 1, "features"]


@pytest.mark.parametrize(
    "content",
    [b"", b"{", b"[1]", b"\xff", b"[" * 100_000, b'{"features": ' + b"9" * 5000 + b"}", b"null",
     b'{"\\ud83d": 1}', b'{"customer_id": "\\uDE00\\ud83d", "features": {}}',
     b'{"customer_id": "\xed\xa0\xbd"}'],
)  # fmt: skip
def test_a_body_that_is_no_json_object_is_refused(service, content):
    answer = call(service, ("POST", "/assign", {"content": content}))
    assert answer.status_code == 422
    assert answer.json()["detail"] == [{"loc": ["body"], "msg": answer.json()["detail"][0]["msg"]}]


def test_a_whole_character_is_taken_and_half_a_one_can_be_told(shop, service):
    text = json.dumps({"customer_id": "\U0001f600", "features": one_row(shop)})
    assert "\\ud83d\\ude00" in text
    answer = call(service, ("POST", "/assign", {"content": text}))
    assert answer.json()["customer_id"] == "\U0001f600"
    refusal = module._refuse(422, "\ud83d", ("body", "\ud83d"))
    assert json.loads(refusal.body)["detail"][0]["msg"] == "\ud83d"


def test_more_rows_or_days_than_can_be_answered_at_once_are_refused(shop, monkeypatch):
    own = Service({"shop": shop[0] / "bare"})
    one = {"as_of": "2025-02-28", "orders": [ORDER] * 4_000, "events": [EVENT] * 1_001}
    answer = post(own, one)
    assert (answer.status_code, answer.json()["detail"][0]["loc"]) == (422, ["body", "events"])
    assert "5,000" in answer.text
    many = [{"as_of": "2025-02-28", "orders": [ORDER] * 4_000}] * 6
    answer = post(own, {"customers": many}, "/assign/batch")
    assert (answer.status_code, answer.json()["detail"][0]["loc"]) == (422, ["body", "customers"])
    assert "20,000" in answer.text
    days = [{"as_of": str(date(2024, 1, 1 + d)), "orders": []} for d in range(31)]
    days.append({"as_of": "2024-02-01", "orders": []})
    answer = post(own, {"customers": days}, "/assign/batch")
    assert "31 different as_of" in answer.text


@pytest.mark.parametrize("number", ["Infinity", "-Infinity", "NaN", "1e999"])
def test_a_number_that_is_not_finite_is_refused_by_name(shop, service, number):
    text = json.dumps({"features": one_row(shop) | {"gift_share": "?"}}).replace('"?"', number)
    answer = call(service, ("POST", "/assign", {"content": text}))
    assert answer.status_code == 422
    assert answer.json()["detail"][0] == {
        "loc": ["body", "features", "gift_share"],
        "msg": "expected a finite number",
    }


@pytest.mark.parametrize("path", ["/assign", "/assign/batch"])
def test_offers_obey_consent(shop, service, path):
    _, batch, table = shop
    place = batch["segment"].to_list().index("S2")
    row = table.drop("customer_id").row(place, named=True)
    for consent, offer, withheld in (
        (True, "style_guide", None),
        (False, None, "no_consent"),
        (None, None, "consent_not_recorded"),
    ):
        body = {"features": row, "consent": consent}
        answer = post(service, {"customers": [body]} if "batch" in path else body, path).json()
        answer = answer["customers"][0] if "batch" in path else answer
        assert (answer["offer"], answer["offer_withheld"]) == (offer, withheld)
        assert answer["segment"] == "S2"  # told whatever the consent


def test_offers_by_features_are_those_of_the_rules(shop, tmp_path):
    folder, batch, table = shop
    shutil.copy(folder / "segment_model.json", tmp_path)
    rules = (
        "IF recency_days > 60 AND segment = 'S1' THEN reengagement\n"
        "IF otherwise THEN news PRIORITY 2"
    )
    (tmp_path / "offer_policy.json").write_text(json.dumps({"rules": rules}))
    service = Service({"shop": tmp_path})
    bodies = [
        {"features": row, "consent": True} for row in table.drop("customer_id").rows(named=True)
    ]
    answers = post(service, {"customers": bodies}, "/assign/batch").json()["customers"]
    away = (table["recency_days"] > 60) & (batch["segment"] == "S1")
    expected = ["reengagement" if one else "news" for one in away]
    assert 0 < away.sum() < len(away)
    assert [one["offer"] for one in answers] == expected
    assert post(service, bodies[0]).json()["offer"] == expected[0]
    for rules, words in (
        ("IF age > 30 THEN news", "read age"),
        ("IF otherwise THEN a CAP 3", "cap"),
    ):
        (tmp_path / "offer_policy.json").write_text(json.dumps({"rules": rules}))
        with pytest.raises(ModelError, match=words):
            Service({"shop": tmp_path})


def test_features_that_rest_on_all_customers_are_not_made_from_one(sample, tmp_path):
    features = ["recency_days", "category_affinity_dresses"]
    table = build_features(sample.orders, as_of=DAY, calendar="uk", features=features)
    words = dict(table.definitions.select("name", "description").iter_rows())
    model = cluster_customers(table.frame, features=features, k=2, definitions=words).model
    service = Service({"m": model.save(tmp_path / "m.json")})
    answer = post(service, {"as_of": "2025-02-28", "orders": [ORDER], "events": []})
    assert answer.status_code == 422
    assert "category_affinity_dresses depends on all other customers" in answer.text
    described = call(service, ("GET", "/model", {})).json()
    assert described["takes_raw_rows"] is False


@pytest.fixture
def guarded(shop, tmp_path):
    """Give a service with three keys of one role each, on a copy of a model, and the keys."""
    folder = shutil.copytree(shop[0] / "bare", tmp_path / "models")
    shutil.copy(shop[0] / "offer_policy.json", folder)
    file = tmp_path / "keys.toml"
    keys = {role: add_key(file, role, [role]) for role in keys_module.ROLES}
    return Service({"shop": folder, "second": folder / "segment_model.json"}, keys=file), keys


ROUTES = {
    ("POST", "/assign"): "assign",
    ("POST", "/assign/batch"): "assign",
    ("GET", "/segments"): "read",
    ("GET", "/model"): "read",
    ("GET", "/kpi"): "read",
    ("GET", "/metrics"): "read",
    ("POST", "/reload"): "reload",
}


def test_every_route_is_refused_without_its_role(guarded, caplog, monkeypatch):
    service, keys = guarded
    compared = []
    digest = keys_module.hmac.compare_digest
    monkeypatch.setattr(
        keys_module.hmac, "compare_digest", lambda a, b: compared.append(1) or digest(a, b)
    )
    for (method, path), needed in ROUTES.items():
        for role, key in [*keys.items(), ("nobody", "wrong"), ("nobody", "")]:
            headers = {"Authorization": f"Bearer {key}"} if key else {}
            answer = call(service, (method, path, {"headers": headers}))
            expected = 401 if role == "nobody" else 403
            assert (answer.status_code in (401, 403)) == (role != needed), (path, role)
            if role != needed:
                assert answer.status_code == expected
                asked = "Basic" if path == "/kpi" else "Bearer"
                scheme = answer.headers.get("www-authenticate", "").partition(" ")[0]
                assert scheme == (asked if expected == 401 else "")
    assert len(compared) == 3 * 5 * len(ROUTES)  # every key, each time
    assert call(service, ("GET", "/health", {})).status_code == 200
    assert (
        call(service, ("GET", "/segments", {"auth": ("anybody", keys["read"])})).status_code == 200
    )
    assert "/reload refused with 401" in caplog.text
    for key in (*keys.values(), *(hash_key(key) for key in keys.values())):
        assert key not in caplog.text
    assert all(key not in (service.keys_file).read_text() for key in keys.values())
    if os.name == "posix":
        assert service.keys_file.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("x = 1", "expected"),
        ("", "holds no key"),
        ("[a]\nsha256 = 'no'\nroles = ['read']", "64 hexadecimal"),
        (f"[a]\nsha256 = '{hash_key('')}'\nroles = ['write']", "did you mean|Available"),
        (f"[a]\nsha256 = '{hash_key('')}'\nroles = []", "list of roles"),
        ("[a]\nkey = 'secret'", "expected sha256 and roles"),
        ("[", "not a keys file"),
    ],
)
def test_a_keys_file_that_is_wrong_says_why(tmp_path, text, words):
    (tmp_path / "keys.toml").write_text(text)
    with pytest.raises((ParameterError, SourceError), match=words):
        Keys.load(tmp_path / "keys.toml")


def test_an_empty_secret_is_no_key():
    keys = Keys.of({"a": {"sha256": hash_key(""), "roles": ["read"]}})
    assert keys.find(b"Bearer ") is keys.find(b"Basic !!") is keys.find(b"Digest x") is None


def test_without_keys_this_machine_alone_is_served(service):
    assert call(service, ("GET", "/segments", {}), host="127.0.0.1:8000").status_code == 200
    assert call(service, ("GET", "/segments", {}), host="[::1]:8000").status_code == 200
    assert call(service, ("GET", "/segments", {}), host="evil.example").status_code == 403
    assert call(service, ("GET", "/openapi.json", {}), host="evil.example").status_code == 403
    with pytest.raises(ParameterError, match="without keys"):
        run_server(["x"], host="0.0.0.0", port=0, keys=None, kpi_page=None, say=print)  # noqa: S104


def test_a_page_of_another_site_changes_nothing(service, shop):
    body = {"json": {"features": one_row(shop)}}
    for headers, status in (
        ({"origin": "https://evil.example"}, 403),
        ({"origin": "null"}, 403),
        ({"origin": "http://localhost:3000"}, 403),  # another page of this machine
        ({"sec-fetch-site": "cross-site"}, 403),
        ({"sec-fetch-site": "same-site", "origin": "http://localhost"}, 403),
        ({"origin": "http://localhost"}, 200),
        ({"sec-fetch-site": "same-origin"}, 200),
        ({}, 200),
    ):
        answer = call(service, ("POST", "/assign", body | {"headers": headers}))
        assert answer.status_code == status, headers
    foreign = {"content": "", "headers": {"origin": "https://evil.example"}}
    assert call(service, ("POST", "/reload", foreign)).status_code == 403


def test_several_models_are_told_apart_by_name(guarded, shop):
    service, keys = guarded
    read = {"headers": {"Authorization": f"Bearer {keys['read']}"}}
    first, second, none = call(
        service,
        *(("GET", path, read) for path in ("/model", "/model?model=second", "/model?model=x")),
    )
    assert first.json()["models"] == ["shop", "second"]
    assert (first.json()["model"], second.json()["model"]) == ("shop", "second")
    assert first.json()["model_version"] != second.json()["model_version"]  # value, churn, offers
    assert first.json()["data_hash"] == second.json()["data_hash"]
    assert none.status_code == 404
    assert "shop, second" in none.text
    assert second.json()["value_days"] is None
    places = read_places(["a=x/m.json", "y/b.json"])
    assert {name: path.as_posix() for name, path in places.items()} == {
        "a": "x/m.json",
        "b": "y/b.json",
    }
    with pytest.raises(ParameterError, match="two models are called 'b'"):
        read_places(["b=x.json", "b.json"])


def test_a_reload_takes_what_can_be_read_and_says_why_the_rest_stays(guarded, shop, caplog):
    service, keys = guarded
    reload = ("POST", "/reload", {"headers": {"Authorization": f"Bearer {keys['reload']}"}})
    ask = ("POST", "/assign", {
        "headers": {"Authorization": f"Bearer {keys['assign']}"},
        "json": {"features": one_row(shop)},
    })  # fmt: skip
    before = call(service, ask).json()
    file = service.places["second"]
    model = json.loads(file.read_text())
    for garbage, why in (
        ("garbage", "is not JSON"),
        (json.dumps(model | {"format": 99}), "format 99"),
        (json.dumps({"segkit_model": "value"}), "not a segkit segment model"),
        (None, "there is no model"),
    ):
        file.unlink() if garbage is None else file.write_text(garbage)
        answer = call(service, reload)
        assert answer.status_code == 409
        assert set(answer.json()["kept"]) == {"shop", "second"}  # both read that file
        assert why in answer.json()["kept"]["second"]
        assert call(service, ask).json() == before
    renamed = segkit.cluster.SegmentModel.from_data(model).rename({before["segment"]: "Renamed"})
    renamed.save(file)
    entry = service.keys_file.read_text()
    service.keys_file.write_text("garbage")
    answer = call(service, reload)
    assert "keys.toml" in answer.json()["kept"]
    assert call(service, ask).json()["segment_name"] == "Renamed"
    service.keys_file.write_text(
        entry.replace("[assign]", "[old]").replace(hash_key(keys["assign"]), "0" * 64)
    )
    assert call(service, reload).json()["kept"] == {}
    assert call(service, ask).status_code == 401  # a key that was taken back
    assert "stays as it was" in caplog.text


def test_a_key_taken_back_is_refused_whatever_befalls_the_models(guarded, monkeypatch):
    service, keys = guarded
    text = service.keys_file.read_text().replace(hash_key(keys["assign"]), "0" * 64)
    service.keys_file.write_text(text)

    def fail(*_):
        raise KeyError

    monkeypatch.setattr(module, "reload_models", fail)
    headers = {"Authorization": f"Bearer {keys['reload']}"}
    assert call(service, ("POST", "/reload", {"headers": headers})).status_code == 500
    headers = {"Authorization": f"Bearer {keys['assign']}"}
    assert call(service, ("POST", "/assign", {"headers": headers})).status_code == 401


def test_the_version_is_that_of_the_bytes_that_are_served(shop, tmp_path, monkeypatch):
    file = tmp_path / "segment_model.json"
    shutil.copy(shop[0] / "bare/segment_model.json", file)
    old = file.read_bytes()
    named = ServedModel.load("m", file)
    new = tmp_path / "new.json"
    segkit.cluster.load_model(file).rename({"S1": "Renamed"}).save(new)
    content, read = new.read_bytes(), type(file).read_bytes

    def replace_after_reading(path):
        found = read(path)
        path.write_bytes(content)  # a batch that ends just now
        return found

    monkeypatch.setattr(type(file), "read_bytes", replace_after_reading)
    served = ServedModel.load("m", file)
    assert (served.version, served.scorer.names) == (named.version, named.scorer.names)
    assert read(file) == content != old


def test_a_large_body_is_refused_before_it_is_read(service):
    sent = []

    async def run(headers, parts):
        stream = iter(parts)

        async def receive():
            sent.append(1)
            return {"type": "http.request", "body": next(stream), "more_body": True}

        answer = []

        async def send(message):
            answer.append(message)

        scope = {"type": "http", "method": "POST", "path": "/assign", "raw_path": b"/assign",
                 "query_string": b"", "headers": [(b"host", b"localhost"), *headers],
                 "http_version": "1.1", "scheme": "http", "root_path": "",
                 "asgi": {"version": "3.0"},
                 "server": ("localhost", 1), "client": ("localhost", 2)}  # fmt: skip
        await build_app(service)(scope, receive, send)
        return answer

    head, _ = asyncio.run(run([(b"content-length", str(10**8).encode())], []))
    assert head["status"] == 413
    assert (b"connection", b"close") in head["headers"]
    assert not sent
    head, _ = asyncio.run(run([], [b" " * 2**24] * 100))  # no length told
    assert head["status"] == 413
    assert len(sent) == 5  # the fifth part of 16 MiB is beyond the limit of 64


def test_nothing_personal_is_logged_or_counted(service, caplog, monkeypatch):
    who = "ann@shop.org"
    caplog.set_level(logging.DEBUG)
    post(service, {"customer_id": who, who: 1})
    post(service, {"customer_id": who, "as_of": "2025-02-28", "orders": [ORDER], "events": []})
    call(service, ("GET", f"/model?model={who}", {}))

    def fail(*_):
        raise KeyError(who)

    monkeypatch.setattr(module, "read_customer", fail)
    answer = post(service, {"customer_id": who})
    assert answer.status_code == 500
    assert who not in answer.text
    logged = "\n".join(
        r.getMessage() for r in caplog.records if r.name.startswith(("segkit", "uvicorn"))
    )
    assert "/assign failed: KeyError at test_live_serve.py" in logged
    metrics = call(service, ("GET", "/metrics", {})).text
    assert "ann" not in logged + metrics


def test_what_was_assigned_and_asked_is_counted(shop):
    service = Service({"shop": shop[0] / "bare"})
    body = {"features": one_row(shop)}
    segment = post(service, body).json()["segment"]
    post(service, {"customers": [body, body]}, "/assign/batch")
    post(service, {})
    text = call(service, ("GET", "/metrics", {})).text
    version = service.models["shop"].version
    for line in (
        f'segkit_assigned_customers_total{{model="shop",segment="{segment}"}} 3.0',
        'segkit_requests_total{route="/assign",status="200"} 1.0',
        'segkit_requests_total{route="/assign",status="422"} 1.0',
        'segkit_request_seconds_count{route="/assign/batch"} 1.0',
    ):
        assert line in text
    assert f'model_version="{version["model_version"]}"' in text
    call(service, ("POST", "/reload", {}))
    assert (
        'segkit_reloads_total{outcome="replaced"} 1.0'
        in call(service, ("GET", "/metrics", {})).text
    )


def test_the_example_of_the_openapi_page_is_answered(service):
    api = call(service, ("GET", "/openapi.json", {})).json()
    shown = api["paths"]["/assign"]["post"]["requestBody"]["content"]["application/json"]["example"]
    assert shown == EXAMPLE
    answer = post(service, shown)
    assert answer.status_code == 200, answer.text
    properties = api["paths"]["/assign"]["post"]["responses"]["200"]["content"]["application/json"]
    assert set(answer.json()) <= set(properties["schema"]["properties"])
    assert set(api["paths"]) == {path for _, path in ROUTES} | {"/health"}


def test_the_kpi_page_is_that_of_the_last_batch(shop, tmp_path):
    run = shutil.copytree(shop[0] / "bare", tmp_path / "run")
    own = Service({"shop": run})
    assert call(own, ("GET", "/kpi", {})).status_code == 404
    for place in (run / "old", run / "11_refresh"):
        place.mkdir()
        (place / "kpis.html").write_text(f"<h1>{place.name}</h1>")
    os.utime(run / "old/kpis.html", (0, 0))
    assert call(own, ("GET", "/kpi", {})).text == "<h1>11_refresh</h1>"  # the last batch's
    own = Service({"shop": run}, kpi_page=run / "old/kpis.html")
    assert call(own, ("GET", "/kpi", {})).text == "<h1>old</h1>"


def test_a_key_is_shown_once_and_its_name_is_taken(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert invoke(["serve-key", "website", "--role", "assign", "--role", "read"]) == 0
    key = capsys.readouterr().out.splitlines()[1]
    keys = Keys.load("keys.toml")
    assert keys.find(f"Bearer {key}".encode()).roles == {"assign", "read"}
    assert invoke(["serve-key", "website", "--role", "assign"]) == 2
    assert invoke(["serve-key", "a b", "--role", "assign"]) == 2
    assert invoke(["serve-key", "other", "--role", "write"]) == 2
    assert invoke(["serve", "nowhere.json"]) != 0
    assert "there is no model nowhere.json" in capsys.readouterr().err


START = """
from segkit.cli import main
from segkit.live.serve import app
app.REQUEST_SECONDS = 1.0
main()"""


@pytest.fixture(scope="module")
def server(shop, tmp_path_factory):
    """Start the service as a user does; give its port, folder and process."""
    place = tmp_path_factory.mktemp("server")
    folder = shutil.copytree(shop[0] / "bare", place / "models")
    command = [sys.executable, "-c", START, "serve", f"shop={folder}", "--port", "0"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    line = next(line for line in process.stdout if line.startswith("http"))
    yield int(line.split("/docs")[0].rpartition(":")[2]), folder, process
    process.terminate()
    process.wait(timeout=20)


def test_a_reload_under_load_drops_no_request(shop, server):
    port, folder, _ = server
    body = json.dumps({"features": one_row(shop)})
    model = segkit.cluster.load_model(folder / "segment_model.json")
    old = model.score(shop[2])["segment_name"][0]
    names, errors, stop = [], [], threading.Event()

    def ask():
        connection = http.client.HTTPConnection("localhost", port, timeout=20)
        while not stop.is_set():
            try:
                connection.request("POST", "/assign", body)
                answer = connection.getresponse()
                data = json.loads(answer.read())
                names.append((answer.status, data["model_version"], data["segment_name"]))
            except (OSError, http.client.HTTPException, KeyError) as error:
                errors.append(repr(error))
        connection.close()

    askers = [threading.Thread(target=ask) for _ in range(4)]
    for one in askers:
        one.start()
    versions = set()
    for turn in range(3):
        segment = next(key for key, name in model.names.items() if name == old)
        model.rename({segment: f"Turn {turn}"}).save(folder / "segment_model.json")
        answer = httpx.post(f"http://localhost:{port}/reload", timeout=20)
        assert answer.status_code == 200
        versions.add(answer.json()["models"][0]["model_version"])
    time.sleep(0.1)
    stop.set()
    for one in askers:
        one.join()
    assert errors == []
    assert {status for status, *_ in names} == {200}
    assert len(versions) == 3
    # A version has one name: no answer mixes the old model with the new one.
    pairs = {(version, name) for _, version, name in names}
    assert len({version for version, _ in pairs}) == len(pairs)
    assert (names[-1][2], len(pairs) >= 2) == ("Turn 2", True)


def test_a_slow_client_is_left_and_a_huge_one_refused(server):
    port, *_ = server
    head = b"POST /assign HTTP/1.1\r\nHost: localhost\r\n"
    for sent in (head, head + b"Content-Length: 50\r\n\r\n{"):
        with socket.create_connection(("localhost", port), timeout=15) as slow:
            slow.sendall(sent)
            assert slow.recv(100).startswith(b"HTTP/1.1 408")
            assert slow.recv(100) == b""
    started = time.perf_counter()
    with socket.create_connection(("localhost", port), timeout=15) as huge:
        huge.sendall(head + b"Content-Length: 100000000\r\n\r\n")
        assert huge.recv(100).startswith(b"HTTP/1.1 413")
    assert time.perf_counter() - started < 5
    answer = httpx.post(f"http://localhost:{port}/assign", content=b" " * 10**8, timeout=20)
    assert answer.status_code == 413  # told to a client that sends it all at once, too


def test_the_server_ends_when_it_is_told_to(server):
    *_, process = server
    process.send_signal(signal.SIGTERM)
    _, errors = process.communicate(timeout=20)
    assert process.returncode == 143
    assert "Traceback" not in errors
    assert "127.0.0.1" not in errors  # no client's address


def test_a_model_folder_without_segments_says_so(tmp_path):
    with pytest.raises(SourceError, match="holds no segment_model"):
        ServedModel.load("x", tmp_path)


def test_features_beside_all_other_customers_are_refused(service):
    model = service.models["shop"]
    churn = model.churn
    relative = replace(churn, features=(*churn.features, "category_affinity_dresses"))
    with pytest.raises(ModelError, match="depends on all other customers"):
        Histories.of(model.scorer, None, relative)
