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
    for reserved in ("all", "no segment"):
        named = assignments.with_columns(segment_name=pl.lit(reserved))
        with pytest.raises(DataError, match=f"a segment is called '{reserved}'"):
            measure_kpis(orders, events, named, every="1w")


def test_returns_are_told_by_their_mark_and_else_below_zero():
    orders = pl.DataFrame(
        [
            ("a", "1", day(0), 10.0, False),
            ("a", "1", day(50), 10.0, True),  # handed back, with a positive amount: no order
            ("b", "2", day(0), 30.0, None),  # not marked: sold, as it is above zero
            ("b", "2", day(1), -5.0, None),
            ("z", "3", day(-5), 1.0, False),
        ],
        schema=["customer_id", "order_id", "order_day", "amount", "is_return"],
        orient="row",
    )
    given = {"since": MONDAY, "until": MONDAY + timedelta(days=120), "lapse_days": 60}
    found = measure_kpis(orders, **given).to_frame()
    named = {k: found.filter(kpi=k)["numerator"].to_list() for k in ("orders", "revenue")}
    assert named == {"orders": [2, 0, 0, 0], "revenue": [35.0, -10.0, 0, 0]}
    churn = found.filter(kpi="churn_rate").select("numerator", "denominator").rows()
    assert churn[2:] == [(2, 2), (0, 0)]  # both passed 60 days in March


def test_churn_and_satisfaction_are_those_counted_by_hand():
    since, until = date(2024, 3, 1), date(2024, 4, 30)
    first, march, april = day(0), day(60), day(91)
    orders = pl.DataFrame(
        [
            ("z", "0", first - 5),  # lapsed before March
            ("a", "1", first),  # lapses on 2 March: 60 days after 1 January have passed
            ("b", "2", first),
            ("b", "3", first + 61),  # came back on the very day on which a lapsed: too late
            ("c", "4", first + 40),  # active in March, lapses in April
            ("d", "5", march),  # new in March
            ("e", "6", first + 40),
            ("e", "7", april),
        ],
        schema=["customer_id", "order_id", "order_day"],
        orient="row",
    ).with_columns(amount=pl.lit(10.0))
    survey = pl.DataFrame(
        {
            "customer_id": ["a", "b", "c", "d"],
            "csat": [5, 3, 4, None],
            "answered_at": ["2024-03-04", "2024-03-31T10:00:00", "2024-04-01", "2024-04-02"],
        }
    )
    given = {"since": since, "until": until, "lapse_days": 60}
    result = measure_kpis(orders, survey=survey, **given).series
    columns = ["numerator", "denominator"]
    assert result.filter(pl.col("kpi") == "churn_rate").select(columns).rows() == [(2, 4), (1, 4)]
    assert result.filter(pl.col("kpi") == "csat").select(columns).rows() == [(1, 2), (1, 1)]
    # without their day answers tell nothing about a month; so do data that begin too late
    undated = measure_kpis(orders, survey=survey.drop("answered_at"), **given).series
    assert "csat" not in undated["kpi"]
    late = measure_kpis(orders.filter(pl.col("order_day") >= first), **given).series
    assert late.filter(pl.col("kpi") == "churn_rate")["value"].to_list() == [None, 0.25]
    for wrong, words in (
        (survey.with_columns(csat=9), "csat must be 1 to 5"),
        (survey.with_columns(answered_at=pl.lit("soon")), "holds no day"),
    ):
        with pytest.raises(DataError, match=words):
            measure_kpis(orders, survey=wrong, **given)
    with pytest.raises(ParameterError, match="lapse_days"):
        measure_kpis(orders, lapse_days=7)
    with pytest.raises(DataError, match="neither orders nor events"):
        measure_kpis(orders.clear())


def money(sizes, spread, seed=5):
    """Return the revenue of days with so many orders, of a lognormal value."""
    rng = np.random.default_rng(seed)
    days = [rng.lognormal(3.5, spread, size) for size in sizes]
    sums = [one.sum() for one in days]
    base = series(sums, kpi="revenue")
    squares = pl.Series([float((one**2).sum()) for one in days])
    return KpiSeries(
        base.series.with_columns(squares=squares, cases=pl.Series(sizes, dtype=pl.Float64)), "1d"
    )


def test_a_band_of_money_is_wider_above_where_order_values_are_unequal():
    rule = [AlertRule("revenue", false_alarms_per_year=1)]
    result = find_alerts(money([300] * 70, 0.8), rule)
    assert result.withheld == 28
    assert find_alerts(money([30] * 70, 1.5), rule).checked == 0  # a heavy tail has no band
    # a single enormous order makes the past too uneven to judge the days after it
    sizes = [300] * 70
    uneven = money(sizes, 0.8).series.with_columns(
        squares=pl.when(pl.int_range(70) == 40).then(1e9).otherwise(pl.col("squares"))
    )
    assert find_alerts(KpiSeries(uneven, "1d"), rule).checked == 40 - 28 + 1


def test_a_rate_of_few_messages_does_not_widen_the_band_of_many():
    """Days weigh by their messages: ten on six days, ten thousand on the seventh."""
    rng = np.random.default_rng(2)
    sent = np.tile([10_000] + [40] * 6, 12)
    opens = rng.binomial(sent, 0.3)
    opens[-7] = 2_700  # 27% of ten thousand: 6.5 standard deviations
    columns = {"value": opens / sent, "numerator": opens, "denominator": sent, "cases": opens}
    rates = series(opens / sent, kpi="open_rate").series.with_columns(
        **{name: pl.Series(values, dtype=pl.Float64) for name, values in columns.items()}
    )
    alerts = find_alerts(
        KpiSeries(rates, "1d"), [AlertRule("open_rate", false_alarms_per_year=0.5)]
    ).alerts
    assert [one["since"] for one in alerts] == [(MONDAY + timedelta(days=77)).isoformat()]


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
    assert "Open rate of all customers is low" in message.get_payload()
    taken = []

    class Hook(BaseHTTPRequestHandler):
        def do_POST(self):
            taken.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(204 if len(taken) == 1 else 302)
            self.send_header("Location", "/elsewhere")
            self.end_headers()

        def log_message(self, *_):
            pass

    server = HTTPServer(("127.0.0.1", 0), Hook)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    assert alerts.post(f"http://127.0.0.1:{server.server_port}") == 204
    with pytest.raises(RunError, match="answers 302"):  # a redirect would lose the body
        alerts.post(f"http://127.0.0.1:{server.server_port}")
    server.shutdown()
    thread.join()
    server.server_close()
    assert taken[0]["alerts"][0]["kpi"] == "open_rate"
    with pytest.raises(RunError, match="did not take"):
        alerts.post(f"http://127.0.0.1:{server.server_port}", timeout=1)
    with pytest.raises(ParameterError, match="https"):
        alerts.post("file:///etc/hosts")
