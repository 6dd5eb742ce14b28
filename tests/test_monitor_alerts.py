"""Key figures over time and their alerts: counted right, told once, at the declared rate."""

import json
import threading
from datetime import date, datetime, timedelta
from email import message_from_bytes
from http.server import BaseHTTPRequestHandler, HTTPServer

import numpy as np
import polars as pl
import pytest

from segkit.errors import DataError, ParameterError, RunError
from segkit.monitor import AlertRule, KpiSeries, find_alerts, measure_kpis, read_rules

EPOCH = date(1970, 1, 1)
MONDAY = date(2024, 1, 1)


def day(number):
    return (MONDAY - EPOCH).days + number


def series(values, kpi="visits", every="1d", name="all"):
    start = MONDAY
    periods = pl.date_range(
        start, start.replace(year=start.year + 9), interval=every, eager=True
    ).head(len(values))
    nothing = pl.Series("denominator", [None] * len(values), dtype=pl.Float64)
    frame = pl.DataFrame({"period": periods, "value": np.asarray(values, dtype=float)})
    return KpiSeries(
        frame.select(
            "period",
            pl.lit(name).alias("segment_name"),
            pl.lit(kpi).alias("kpi"),
            pl.col("value").fill_nan(None),
            pl.col("value").alias("numerator"),
            nothing,
            pl.col("value").alias("cases"),
        ),
        every,
    )


def test_key_figures_are_those_counted_by_hand():
    orders = pl.DataFrame(
        {
            "customer_id": ["a", "a", "b", "a"],
            "order_id": ["1", "1", "2", "1"],
            "order_day": [day(0), day(0), day(8), day(9)],
            "amount": [10.0, 20.0, 50.0, -20.0],
            "is_return": [False, False, False, True],
        }
    )
    kinds = ["email_sent", "email_sent", "email_open", "product_view", "cart_add", "page_view"]
    events = pl.DataFrame(
        {
            "customer_id": ["a", "b", "a", "a", "a", "b"],
            "event_day": [day(0), day(1), day(1), day(0), day(0), day(8)],
            "event_type": kinds,
            "session_id": [None, None, None, "s1", "s1", "s2"],
        }
    )
    assignments = pl.DataFrame(
        {
            "customer_id": ["a", "b", "b"],
            "segment_name": ["Loyal", "New", "Loyal"],
            "as_of": [MONDAY - timedelta(days=1)] * 2 + [MONDAY + timedelta(days=6)],
        }
    )
    found = measure_kpis(orders, events, assignments, every="1w", until=MONDAY + timedelta(days=13))
    wide = found.series.pivot("kpi", index=["segment_name", "period"], values="value")
    rows = {(r["segment_name"], r["period"]): r for r in wide.iter_rows(named=True)}
    weeks = MONDAY, MONDAY + timedelta(days=7)
    first, second = rows["all", weeks[0]], rows["all", weeks[1]]
    assert (first["orders"], first["revenue"], first["order_value"]) == (1, 30.0, 30.0)
    assert (second["orders"], second["revenue"], second["return_share"]) == (1, 30.0, 0.4)
    assert (first["open_rate"], first["visits"], first["conversion_rate"]) == (0.5, 1, 1.0)
    assert (second["bounce_rate"], second["open_rate"]) == (1.0, None)
    assert rows["New", weeks[0]]["open_rate"] == 0.0
    assert rows["New", weeks[1]]["orders"] == 0  # b had become loyal the day before
    assert rows["Loyal", weeks[1]]["orders"] == 1
    parts = found.series.filter(pl.col("segment_name") != "all").group_by("period", "kpi")
    sums = parts.agg(pl.col("numerator").sum()).sort("period", "kpi")
    whole = found.series.filter(pl.col("segment_name") == "all").sort("period", "kpi")
    assert sums["numerator"].to_list() == whole["numerator"].to_list()
    with pytest.raises(DataError, match="no whole period"):
        measure_kpis(orders, every="1mo", until=MONDAY + timedelta(days=9))
    with pytest.raises(ParameterError, match="length of a period"):
        measure_kpis(orders, every="2d")


def test_a_change_is_told_once_with_its_beginning_and_its_end():
    rng = np.random.default_rng(1)
    week = np.array([100, 90, 90, 95, 120, 200, 180])
    values = rng.poisson(np.tile(week, 14)).astype(float)
    values[80:84] = 20
    rule = AlertRule("visits", false_alarms_per_year=0.1)
    alerts = find_alerts(series(values), [rule]).alerts
    told = [one for one in alerts if one["direction"] == "low"]
    assert len(told) == 1
    assert told[0]["since"] == (MONDAY + timedelta(days=80)).isoformat()
    assert told[0]["last"] == (MONDAY + timedelta(days=83)).isoformat()
    assert not told[0]["open"]
    assert told[0]["value"] == 20
    still = find_alerts(series(values[:82]), [rule])
    assert [one["since"] for one in still.open] == [told[0]["since"]]
    assert "is low since" in still.text


def test_targets_and_bands_of_each_segment(tmp_path):
    file = tmp_path / "rules.toml"
    file.write_text('[[alert]]\nkpi = "open_rate"\nsegment = "Loyal"\nmin = 0.2\n')
    rules = read_rules(file)
    low = series([0.3, 0.25, 0.1], kpi="open_rate", every="1mo", name="Loyal")
    alerts = find_alerts(low, rules)
    assert [(one["kind"], one["low"], one["high"]) for one in alerts.open] == [
        ("target", 0.2, None)
    ]
    with pytest.raises(ParameterError, match="Loyal"):
        find_alerts(series([0.3], kpi="open_rate", every="1mo", name="Other"), rules)
    short = find_alerts(
        series([5.0, 6, 5, 7], every="1mo"), [AlertRule("visits", false_alarms_per_year=1)]
    )
    assert (short.checked, short.withheld) == (0, 4)
    assert not short.alerts
    few = series([0.2] * 20 + [0.0], kpi="open_rate", every="1w")
    assert find_alerts(few, [AlertRule("open_rate", false_alarms_per_year=1)]).withheld == 21
    for text, words in (
        ('[[alert]]\nkpi = "clicks"', "kpi"),
        ('[[alert]]\nkpi = "open_rate"', "says nothing"),
        ('[[alert]]\nkpi = "open_rate"\nbelow = 3', "key of an alert"),
        ("x = 1", "expected"),
        ("[[", "cannot be read"),
    ):
        file.write_text(text)
        with pytest.raises(ParameterError, match=words):
            read_rules(file)


def test_what_was_acknowledged_stays_so_and_sinks_get_what_is_open(tmp_path):
    low = series([0.3, 0.1], kpi="open_rate", every="1mo")
    alerts = find_alerts(low, [AlertRule("open_rate", least=0.2)])
    path = alerts.write(tmp_path / "alerts.json")
    stored = json.loads(path.read_text())
    stored[0]["acknowledged"] = True
    path.write_text(json.dumps(stored))
    alerts.write(path)
    assert json.loads(path.read_text())[0]["acknowledged"]
    assert alerts.acknowledge(stored).open == []
    mail = alerts.mail(
        tmp_path / "a.eml", sender="a@example.org", to=["b@example.org"], on=datetime(2024, 5, 1)
    )
    message = message_from_bytes(mail.read_bytes())
    assert message["Subject"] == "segkit: 1 alert"
    assert "open_rate of all is low" in message.get_payload()
    taken = []

    class Hook(BaseHTTPRequestHandler):
        def do_POST(self):
            taken.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(204)
            self.end_headers()

        def log_message(self, *_):
            pass

    server = HTTPServer(("127.0.0.1", 0), Hook)
    thread = threading.Thread(target=server.handle_request, daemon=True)
    thread.start()
    assert alerts.post(f"http://127.0.0.1:{server.server_port}") == 204
    thread.join()
    server.server_close()
    assert taken[0]["alerts"][0]["kpi"] == "open_rate"
    with pytest.raises(RunError, match="did not take"):
        alerts.post(f"http://127.0.0.1:{server.server_port}", timeout=1)
    with pytest.raises(ParameterError, match="https"):
        alerts.post("file:///etc/hosts")
