"""Triggers: rules, windows, sequences and timers, against hand computation and a slow oracle."""

import json
import random
from dataclasses import replace
from datetime import date, datetime, timedelta

import polars as pl
import pytest

import segkit
from segkit.cli import invoke
from segkit.errors import DataError, ModelError, RuleError, SourceError
from segkit.live import JsonLinesSource, ParquetSink, TriggerRules, run_triggers
from segkit.live.triggers.reading import read_customers
from segkit.live.triggers.run import Runner
from segkit.live.triggers.state import Store

START = datetime(2025, 1, 1)
HEAD = 'version = 1\nlateness = "0 seconds"\njump = "52 weeks"\n'


def log(path, events):
    """Write events (customer, hours after the start, type, more) as a log."""
    lines = []
    for customer, hours, kind, *more in events:
        moment = START + timedelta(hours=hours)
        record = {"customer_id": customer, "event_time": moment.isoformat(), "event_type": kind}
        lines.append(json.dumps(record | (more[0] if more else {})) + "\n")
    path.write_text("".join(lines))
    return JsonLinesSource(path)


def run(tmp_path, text, events, *, days=400, name="out", ordered=True, customers=None):
    """Run triggers over events to some days after the start; return the outputs."""
    rules = TriggerRules.parse(HEAD + text)
    events = sorted(events, key=lambda event: event[1]) if ordered else events
    source = log(tmp_path / f"{name}.jsonl", events)
    as_of = START + timedelta(days=days)
    result = run_triggers(rules, source, out=tmp_path / name, as_of=as_of, customers=customers)
    lines = (tmp_path / name / "outputs.jsonl").read_text().splitlines()
    return result, [json.loads(line) for line in lines]


def hours_of(outputs, kind, **equal):
    """Return the hours after the start of the outputs of a kind."""
    return [
        (datetime.fromisoformat(one["time"]).replace(tzinfo=None) - START) / timedelta(hours=1)
        for one in outputs
        if one["kind"] == kind and all(one[name] == value for name, value in equal.items())
    ]


INTEREST = """
[values]
views = { count = "product_view", within = "7 days" }
orders = { count = "order", within = "7 days" }
[[rules]]
name = "Interested"
enter = "views >= 3 and orders = 0"
leave = "views <= 1"
segment = "Interested"
action = "offer"
"""


def test_three_views_in_a_week_and_no_order(tmp_path):
    events = [
        ("a", 0, "product_view"), ("a", 24, "product_view"), ("a", 48, "product_view"),
        ("b", 0, "product_view"), ("b", 24, "order"), ("b", 48, "product_view"),
        ("b", 49, "product_view"),
        ("c", 0, "product_view"), ("c", 24, "product_view"), ("c", 168, "product_view"),
    ]  # fmt: skip
    _, outputs = run(tmp_path, INTEREST, events)
    # a: enters with the third view; the second leaves the window 168 h after it, and one is left.
    assert hours_of(outputs, "segment", customer_id="a") == [48, 24 + 168]
    # b: only once the order is out of its window would it count; then one view is too old.
    assert not hours_of(outputs, "segment", customer_id="b")
    # c: after exactly seven days the first view no longer counts.
    assert not hours_of(outputs, "segment", customer_id="c")
    first = outputs[0]
    assert (first["segment"], first["previous_segment"]) == ("Interested", "none")
    assert first["reason"] == "views >= 3 and orders = 0 (views 3 or more, orders 0)"


CART = """
[values]
cart = { since = "cart_add", unless = ["checkout"], unit = "hours" }
visit = { since = "site_visit", unit = "days" }
[[rules]]
name = "Cart left"
enter = "cart >= 2"
action = "remind"
[[rules]]
name = "Quiet"
enter = "visit >= 60"
segment = "Quiet"
"""


def test_timers_sound_without_an_event(tmp_path):
    events = [
        ("a", 0, "cart_add"), ("a", 1, "cart_add"), ("a", 1.5, "site_visit"),
        ("b", 0, "cart_add"), ("b", 1.9, "checkout"), ("b", 10, "site_visit"),
        ("b", 59 * 24, "site_visit"),
    ]  # fmt: skip
    _, outputs = run(tmp_path, CART, events)
    assert hours_of(outputs, "action") == [3]
    assert hours_of(outputs, "segment", customer_id="a") == [1.5 + 60 * 24]
    assert hours_of(outputs, "segment", customer_id="b") == [(59 + 60) * 24]
    _, early = run(tmp_path, CART, events, days=59, name="early")
    assert not hours_of(early, "segment")


def test_dwell_cool_down_limits_and_priority(tmp_path):
    text = """
[[contacts.cap]]
most = 2
days = 10
[[contacts.quiet]]
from = 22:00:00
to = 08:00:00
[values]
cart = { since = "cart_add", unless = ["checkout"], unit = "hours" }
views = { count = "product_view", within = "1 day" }
[[rules]]
name = "Second"
enter = "views >= 1"
action = "show"
channel = "email"
priority = 2
cool_down = "3 days"
[[rules]]
name = "First"
enter = "cart >= 0"
leave = "cart is null"
dwell = "1 hour"
action = "remind"
channel = "email"
priority = 1
"""
    events = [
        ("a", 0, "cart_add"), ("a", 0.9, "checkout"),  # held for less than the hour
        ("a", 10, "cart_add"), ("a", 11, "product_view"),  # both act at hour 11, First first
        ("a", 12, "checkout"), ("a", 48, "product_view"),  # in the cool-down
        ("a", 106, "cart_add"),  # a third contact within ten days
        ("a", 107.5, "checkout"), ("a", 300, "product_view"),
        ("b", 9, "product_view"), ("c", 9, "product_view"),
        ("d", 22.5, "product_view"),  # at night: sent at eight
        ("d", 70.5, "cart_add"), ("d", 79.8, "checkout"),  # at night, and over by the morning
    ]  # fmt: skip
    people = pl.DataFrame(
        {"customer_id": ["a", "b", "d"], "marketing_consent": [True, False, True]}
    )
    _, outputs = run(tmp_path, text, events, customers=people)
    refused = {one["customer_id"]: one["reason"] for one in outputs if one["time"][11:13] == "09"}
    assert [refused[who].split(": ")[1] for who in "bc"] == ["no_consent", "consent_not_recorded"]
    night = [one for one in outputs if one["customer_id"] == "d"]
    assert [(one["rule"], one["time"]) for one in night] == [("Second", "2025-01-02T08:00:00Z")]
    assert night[0]["occasion"] == "entered 2025-01-01T22:30:00Z"
    outputs = [one for one in outputs if one["customer_id"] == "a"]
    assert [one["rule"] for one in outputs[:2]] == ["First", "Second"]
    assert hours_of(outputs, "action") == [11, 11, 300]
    held = [one["reason"].split("withheld: ")[1] for one in outputs if one["kind"] == "withheld"]
    assert hours_of(outputs, "withheld") == [48, 107]
    assert ["cool-down" in held[0], held[1] == "contact_cap"] == [True, True]
    assert len({one["key"] for one in outputs}) == len(outputs)


def test_sequences_filters_and_sums(tmp_path):
    text = """
[values]
pairs = { count = ["product_view", "cart_add"], span = "2 hours", within = "7 days" }
shoes = { count = "product_view", within = "7 days", where = "page = 'shoes' and channel is null" }
spent = { sum = "amount", of = "order", within = "30 days" }
[[rules]]
name = "Pair"
enter = "pairs >= 2"
action = "pair"
[[rules]]
name = "Shoes"
enter = "not (shoes < 2)"
action = "shoes"
[[rules]]
name = "Spender"
enter = "spent >= 100.3"
segment = "Spender"
"""
    shoes = {"page": "shoes"}
    events = [
        ("a", 0, "product_view", shoes), ("a", 3, "cart_add"),  # too far apart
        ("a", 4, "cart_add"), ("a", 5, "product_view", {"page": "hats"}), ("a", 6, "cart_add"),
        ("a", 7, "cart_add"), ("a", 8, "product_view", shoes | {"channel": "app"}),
        ("a", 9, "cart_add"), ("a", 10, "product_view", shoes),
        ("a", 20, "order", {"amount": 100.1}), ("a", 30, "order", {"amount": 0.2}),
    ]  # fmt: skip
    _, outputs = run(tmp_path, text, events)
    assert hours_of(outputs, "action", rule="Pair") == [9]
    assert hours_of(outputs, "action", rule="Shoes") == [10]
    assert hours_of(outputs, "segment") == [30, 20 + 720]


def naive(rule, events, last):
    """Return the hours at which a customer enters and leaves, tried hour by hour."""
    inside, since, flips = False, None, []
    for now in range(last + 1):
        past = [(hour, kind) for hour, kind in events if hour <= now]
        cleared = max((h for h, kind in past if kind == "checkout"), default=-1)
        views = sum(kind == "product_view" and hour > now - 24 for hour, kind in past)
        carts = [h for h, kind in past if kind == "cart_add" and h > cleared]
        cart = now - carts[-1] if carts else None
        holds = rule(inside, views, cart)
        since = (now if since is None else since) if holds else None
        if holds and now - since >= (2 if inside else 5):
            inside, since = not inside, None
            flips.append(now)
    return flips


def test_flips_are_those_of_a_walk_hour_by_hour(tmp_path):
    text = """
[values]
views = { count = "product_view", within = "24 hours" }
cart = { since = "cart_add", unless = ["checkout"], unit = "hours" }
[[rules]]
name = "R"
enter = "views between 2 and 4 or cart > 30"
leave = "views != 1 and not (views between 2 and 4) and (cart is null or not (cart >= 20))"
dwell = "5 hours"
leave_dwell = "2 hours"
segment = "R"
"""

    def rule(inside, views, cart):
        if not inside:
            return 2 <= views <= 4 or (cart is not None and cart > 30)
        return views not in (1, 2, 3, 4) and (cart is None or cart < 20)

    draw = random.Random(5)  # noqa: S311
    kinds = ("product_view", "product_view", "product_view", "cart_add", "checkout")
    events, last = {}, 400
    for customer in "abcdefghijklmnopqrst":
        # No checkout and cart in one hour: the naive walk knows no order within it.
        hours = sorted(draw.sample(range(300), 60))
        events[customer] = [(hour, draw.choice(kinds)) for hour in hours]
    rows = [(c, hour, kind) for c, own in events.items() for hour, kind in own]
    _, outputs = run(tmp_path, text, rows, days=last / 24)
    expected = {c: naive(rule, own, last) for c, own in events.items()}
    # "cart > 30" holds from a microsecond after the hour, so the walk sees it an hour later.
    flips = {
        c: [-int(-hour // 1) for hour in hours_of(outputs, "segment", customer_id=c)]
        for c in events
    }
    assert sum(map(len, expected.values())) > 60
    assert flips == expected


@pytest.fixture(scope="module")
def sample(tmp_path_factory):
    """Log of some customers of the sample, with the clean tables it was made of."""
    taken = segkit.clean_data("data/sample", "data/mappings/simulated.toml")
    few = taken.orders["customer_id"].unique().sort().head(40).implode()
    orders = taken.orders.filter(pl.col("customer_id").is_in(few))
    events = taken.events.filter(pl.col("customer_id").is_in(few))
    path = tmp_path_factory.mktemp("log") / "events.jsonl"
    return segkit.live.write_event_log(path, orders, events), orders, events


def contents(folder):
    """Return the states of all customers, and the bytes of the outputs."""
    store = Store(folder, TriggerRules.load("data/triggers.toml"))
    customers = store.base.execute("SELECT * FROM customers ORDER BY customer").fetchall()
    store.close()
    return customers, (folder / "outputs.jsonl").read_bytes()


def test_replays_batches_disorder_and_duplicates_end_alike(tmp_path, sample):
    path, *_ = sample
    sinks = [segkit.live.JsonLinesSink(tmp_path / "a" / "outputs.jsonl"),
             ParquetSink(tmp_path / "a" / "parts", rows=300)]  # fmt: skip
    end = {"as_of": date(2025, 3, 31)}
    rules = "data/triggers.toml"
    run_triggers(rules, JsonLinesSource(path), out=tmp_path / "a", sinks=sinks, **end)
    run_triggers(rules, JsonLinesSource(path), out=tmp_path / "b", batch=999, **end)
    assert contents(tmp_path / "a") == contents(tmp_path / "b")
    framed = pl.read_parquet(tmp_path / "a" / "parts" / "*.parquet")
    lines = (tmp_path / "a" / "outputs.jsonl").read_text().splitlines()
    assert framed.to_dicts() == [json.loads(line) for line in lines]
    draw = random.Random(1)  # noqa: S311
    lines = path.read_text().splitlines(keepends=True)
    timed = [(datetime.fromisoformat(json.loads(line)["event_time"]), line) for line in lines]
    late = [(moment + timedelta(minutes=draw.uniform(0, 55)), line) for moment, line in timed]
    twice = [(m + timedelta(minutes=draw.uniform(0, 200)), line) for m, line in late[::9]]
    shuffled = tmp_path / "shuffled.jsonl"
    shuffled.write_text("".join(line for _, line in sorted(late + twice)))
    result = run_triggers(rules, JsonLinesSource(shuffled), out=tmp_path / "c", batch=500, **end)
    assert contents(tmp_path / "a") == contents(tmp_path / "c")
    counts = result.counts
    again = counts["repeated"] + counts["rejected_late"]
    assert counts["repeated"] > 100 < counts["rejected_late"]
    # Repeats of events that no rule uses are counted as unused, or late.
    assert again <= len(twice) <= again + counts["unused"]


def test_batch_features_as_of_the_same_moment_give_the_same_segments(tmp_path, sample):
    path, orders, events = sample
    text = """
version = 1
outside = "Regular"
[values]
product_views_30d = { count = "product_view", within = "30 days" }
visits_90d = { count = "site_visit", within = "90 days" }
[[rules]]
name = "Browsing"
enter = "product_views_30d >= 3"
segment = "Browsing"
[[rules]]
name = "Gone quiet"
enter = "visits_90d = 0"
segment = "Gone quiet"
priority = 1
"""
    rules = TriggerRules.parse(text)
    for day in (date(2024, 6, 30), date(2024, 11, 3)):
        out = tmp_path / day.isoformat()
        known = tmp_path / f"{day}.jsonl"
        known.write_text("".join(
            line for line in path.read_text().splitlines(keepends=True)
            if json.loads(line)["event_time"] < (day + timedelta(1)).isoformat()
        ))  # fmt: skip
        run_triggers(rules, JsonLinesSource(known), out=out, as_of=day)
        store = Store(out, rules)
        live = dict(store.segments().iter_rows())
        store.close()
        # The contract's days are the shop's; the log and its windows are in UTC.
        days = {"order": orders, "event": events}
        in_utc = [
            frame.with_columns(pl.col(f"{name}_time").dt.date().cast(pl.Int32).alias(f"{name}_day"))
            for name, frame in days.items()
        ]
        table = segkit.build_features(
            *in_utc, as_of=day, windows=[30, 90], features=["product_views", "visits"],
            population="all",
        ).frame  # fmt: skip
        batch = rules.to_rule_set().apply(table.with_columns(
            pl.col("product_views_30d", "visits_90d").fill_null(0)))  # fmt: skip
        expected = dict(
            batch.select("customer_id", pl.col("segment").fill_null("Regular")).iter_rows()
        )
        assert {name: live[name] for name in expected if name in live} == {
            name: segment for name, segment in expected.items() if name in live
        }
        assert len(set(live.values())) == 3
        assert len(live) > 30


def test_what_cannot_be_read_is_rejected_and_counted(tmp_path):
    good = {"customer_id": 17850.0, "event_time": "2025-01-01T10:00:00+01:00",
            "event_type": "product_view"}  # fmt: skip
    bad = {
        "malformed": [
            '{"customer_id":',
            "[1, 2]",
            "\udcff",
            good | {"event_id": "\ud83d"},
            good | {"customer_id": "a\ud83d"},
        ],
        "no_customer": [good | {"customer_id": who} for who in (None, "guest", [], True)],
        "mangled_id": [good | {"customer_id": "1.23E+12"}],
        "no_time": [
            good | {"event_time": when} for when in ("yesterday", None, "2025-13-01", "9999-12-31")
        ],
        "unknown_event_type": [good | {"event_type": kind} for kind in ("viewed", 3)],
        "bad_amount": [
            good | {"amount": amount} for amount in ("3 EUR", float("nan"), 10**400, -1e305, 1e12)
        ],
    }
    lines = [*(item for items in bad.values() for item in items), good, good,
             good | {"customer_id": "b", "event_time": 1735725600}]  # fmt: skip
    path = tmp_path / "log.jsonl"
    with path.open("w", errors="surrogateescape") as handle:
        for line in lines:
            handle.write((line if isinstance(line, str) else json.dumps(line)) + "\n\n")
        handle.write('{"customer_id": "not complete')
    text = HEAD + INTEREST.replace(
        "[values]", '[values]\nspent = { sum = "amount", of = "order", within = "7 days" }'
    )
    rules = TriggerRules.parse(text)
    result = run_triggers(rules, JsonLinesSource(path), out=tmp_path / "out", as_of=START)
    found = {name[9:]: n for name, n in result.counts.items() if name.startswith("rejected_")}
    assert found == {reason: len(items) for reason, items in bad.items()}
    kept = [json.loads(x) for x in (tmp_path / "out" / "rejected.jsonl").read_text().splitlines()]
    assert [one["reason"] for one in kept] == [r for r, items in bad.items() for _ in items]
    assert (result.counts["repeated"], result.waiting) == (1, 1)
    assert "no_customer 4" in result.text
    # The last line is completed, and the log goes on.
    with path.open("a") as handle:
        handle.write('"}\n')
    again = run_triggers(rules, JsonLinesSource(path), out=tmp_path / "out")
    assert again.counts["rejected_no_time"] == len(bad["no_time"]) + 1
    assert again.counts["messages"] == len(lines) + 1


def test_a_clock_that_jumps_makes_nobody_late(tmp_path):
    ahead = 24 * 365 * 50
    events = [
        ("a", 0, "product_view"), ("b", 1, "product_view"),
        ("a", ahead, "product_view"), ("a", ahead + 1, "product_view"),  # a device's wrong clock
        ("b", 2, "product_view"), ("b", 3, "product_view"), ("a", 3.5, "product_view"),
        ("a", 1, "cart_add"),  # too late
    ]  # fmt: skip
    result, outputs = run(tmp_path, INTEREST, events, days=3, ordered=False)
    assert hours_of(outputs, "segment", customer_id="b") == [3]
    assert (result.counts["rejected_late"], result.waiting) == (1, 2)
    # Two customers who are ahead are believed: the shop was closed for a year and a half.
    events += [("c", 24 * 500, "site_visit"), ("d", 24 * 501, "site_visit")]
    result, _ = run(tmp_path, INTEREST, events, days=3, name="later", ordered=False)
    assert result.clock.startswith("2026-05-17")


def test_rules_are_checked_before_they_run():
    cases = {
        "views": "unknown value 'veiws'; did you mean 'views'",
        "flip": "enter and leave both hold where views = 2",
        "kind": "unknown event type in value views 'product_veiw'",
        "time": "expected a length of time such as '2 hours'",
        "key": "unknown key of rule 'Interested' 'dwel'; did you mean 'dwell'",
        "nothing": "expected a segment or an action",
        "text": "rule 'Interested': column views is compared with constants of several kinds",
        "zone": "expected an IANA zone",
        "version": "version: expected a whole number from 1",
    }
    changes = {
        "views": ("views >= 3", "veiws >= 3"),
        "flip": ("views <= 1", "views <= 3 and orders = 0 and views = 2 or views = 3"),
        "kind": ('count = "product_view"', 'count = "product_veiw"'),
        "time": ("7 days", "7 moons"),
        "key": ("segment =", "dwel ="),
        "nothing": ('segment = "Interested"\naction = "offer"\n', ""),
        "text": ("views >= 3", "views >= 'x'"),
        "zone": ("[values]", 'zone = "Mars"\n[values]'),
        "version": ("", ""),
    }
    cases["flip"] = "enter and leave both hold where"
    for name, (old, new) in changes.items():
        text = (HEAD + INTEREST).replace(old, new, 1) if old else INTEREST
        with pytest.raises(RuleError) as caught:
            TriggerRules.parse(text)
        assert cases[name] in str(caught.value), name


def test_state_of_other_rules_and_a_cut_log_are_refused(tmp_path):
    path = tmp_path / "log.jsonl"
    source = log(path, [("a", 0, "product_view"), ("b", 1, "product_view")])
    rules = TriggerRules.parse(HEAD + INTEREST)
    run_triggers(rules, source, out=tmp_path / "out")
    changed = (HEAD + INTEREST).replace(">= 3", ">= 4")
    with pytest.raises(ModelError, match="other rules of the same version 1; raise the version"):
        run_triggers(TriggerRules.parse(changed), source, out=tmp_path / "out")
    newer = changed.replace("version = 1", "version = 2")
    with pytest.raises(ModelError, match="version 1 of the rules, these are version 2"):
        run_triggers(TriggerRules.parse(newer), source, out=tmp_path / "out")
    log(path, [("a", 0, "product_view")])
    with pytest.raises(SourceError, match="another log, or was cut"):
        run_triggers(rules, JsonLinesSource(path), out=tmp_path / "out")
    log(path, [("c", 0, "product_view"), ("b", 1, "product_view"), ("d", 2, "product_view")])
    with pytest.raises(SourceError, match="does not begin as the log that was read earlier"):
        run_triggers(rules, JsonLinesSource(path), out=tmp_path / "out")
    runner = Runner(rules, tmp_path / "out")
    with pytest.raises(segkit.errors.WriteError, match="another process runs these triggers"):
        run_triggers(rules, JsonLinesSource(path), out=tmp_path / "out")
    runner.store.close()
    (tmp_path / "bad").mkdir()
    (tmp_path / "bad" / "state.sqlite").write_text("not a database" * 100)
    with pytest.raises(ModelError, match="is no state of triggers"):
        run_triggers(rules, JsonLinesSource(path), out=tmp_path / "bad")


def test_the_command_runs_a_log_and_raw_data_that_grow(tmp_path, capsys):
    rules = tmp_path / "rules.toml"
    rules.write_text(
        (HEAD + INTEREST).replace("product_view", "order").replace("orders = 0", "orders >= 0")
    )
    lines = ["customer_id,order_id,order_date,amount\n"]
    lines += [f"{'ab'[n % 2]},{n},2025-01-{1 + n:02d} 10:00,{20 + n}.50\n" for n in range(9)]
    data = tmp_path / "orders.csv"
    data.write_text("".join(lines[:-2]))
    command = ["triggers", str(rules), str(data), "--out", str(tmp_path / "out")]
    assert invoke(command) == 0
    data.write_text("".join(lines))
    assert invoke([*command, "--parquet", "--as-of", "2025-03-01"]) == 0
    assert "9 messages read" in capsys.readouterr().out
    once = ["triggers", str(rules), str(tmp_path / "out" / "events.jsonl"), "--as-of", "2025-03-01"]
    assert invoke([*once, "--out", str(tmp_path / "once")]) == 0
    outputs = [(tmp_path / name / "outputs.jsonl").read_text() for name in ("out", "once")]
    assert outputs[0] == outputs[1]
    assert outputs[0].count("\n") == 6
    data.write_text("".join([*lines[:2], *lines[3:]]))
    capsys.readouterr()
    assert invoke(command) == 3
    assert "before the end of the last run have changed" in capsys.readouterr().err
    for words, code in (("no.toml", 1), ("kafka://x", 3), ("nothing.csv", 3)):
        wrong = ["triggers", str(rules), words] if code == 3 else ["triggers", words, str(data)]
        assert invoke([*wrong, "--out", str(tmp_path / "out")]) == code


CONSENTED = """
[contacts]
unrecorded = "UNRECORDED"
[values]
views = { count = "product_view", within = "7 days" }
[[rules]]
name = "Seen"
enter = "views >= 1"
action = "write"
channel = "email"
"""


def test_consent_in_a_list_of_customers_is_read_in_words(tmp_path):
    people = tmp_path / "customers.csv"
    people.write_text(
        "customer_id,marketing_consent\n007,no\n008,0\n009,1\n010,yes\n011,NA\n9,oui\n"
    )
    events = [(who, 1, "product_view") for who in ("007", "008", "009", "010", "011", "new")]
    acted = {}
    for word in ("refused", "granted"):
        text = CONSENTED.replace("UNRECORDED", word)
        result, outputs = run(tmp_path, text, events, name=word, customers=people)
        acted[word] = {one["customer_id"] for one in outputs if one["kind"] == "action"}
        assert result.counts["unlisted"] == 1
        assert "1 customer with events not in the list of customers" in result.text
    # A policy without a word asks for consent all the same.
    text = CONSENTED.replace('unrecorded = "UNRECORDED"', "")
    _, outputs = run(tmp_path, text, events, name="empty", customers=people)
    assert {one["customer_id"] for one in outputs if one["kind"] == "action"} == {"009", "010"}
    assert acted == {"refused": {"009", "010"}, "granted": {"009", "010", "011", "new"}}
    twice = pl.DataFrame({"customer_id": [9, 9], "marketing_consent": [0, 1]})
    assert read_customers(twice)["9"]["marketing_consent"] is False
    with pytest.raises(DataError, match="marketing_consent is neither yes nor no: 'perhaps'"):
        read_customers(pl.DataFrame({"customer_id": ["a"], "marketing_consent": ["perhaps"]}))


def test_a_refusal_during_a_run_counts_from_the_next_messages(tmp_path):
    people = tmp_path / "customers.csv"
    people.write_text("customer_id,marketing_consent\na,yes\nb,yes\n")
    source = log(tmp_path / "log.jsonl", [(who, hours, "product_view") for hours, who in
                                          enumerate(("a", "z", "b", "z"))])  # fmt: skip
    polled = []

    def poll(limit):
        polled.append(limit)
        if len(polled) == 3:
            people.write_text("customer_id,marketing_consent\na,yes\nb,no\n")
        return JsonLinesSource.poll(source, 1)

    source.poll = poll
    rules = TriggerRules.parse(HEAD + CONSENTED.replace("UNRECORDED", "refused"))
    run_triggers(rules, source, out=tmp_path, customers=people)
    outputs = map(json.loads, (tmp_path / "outputs.jsonl").read_text().splitlines())
    kinds = {one["customer_id"]: one["kind"] for one in outputs if one["customer_id"] != "z"}
    assert kinds == {"a": "action", "b": "withheld"}
    people.unlink()
    with pytest.raises(SourceError, match=r"customers\.csv cannot be read"):
        run_triggers(rules, source, out=tmp_path, customers=people)


def test_a_preference_that_cannot_be_read_withholds_one_customers_action(tmp_path):
    customers = pl.DataFrame({
        "customer_id": ["a", "b", "c"], "marketing_consent": [True] * 3,
        "contact_channel": ["whatsapp", None, None], "time_zone": [None, "Europe/Pari", None],
    })  # fmt: skip
    events = [(who, 1, "product_view") for who in "abc"]
    text = CONSENTED.replace("UNRECORDED", "refused")
    _, outputs = run(tmp_path, text, events, customers=customers)
    kinds = {one["customer_id"]: one["kind"] for one in outputs}
    assert kinds == {"a": "withheld", "b": "withheld", "c": "action"}
    assert "'whatsapp'" in outputs[0]["reason"]
    assert "Europe/Pari" in outputs[1]["reason"]


def test_keys_of_other_rules_of_the_same_name_and_version_are_others(tmp_path):
    events = [("a", 1, "product_view")]
    text = CONSENTED.replace("UNRECORDED", "granted")
    keys = [
        run(tmp_path, own, events, name=name)[1][0]["key"]
        for name, own in (("one", text), ("two", text.replace("write", "call")), ("again", text))
    ]
    assert keys[0] == keys[2] != keys[1]


def test_thresholds_are_compared_on_the_same_events():
    hours = {"a": [0, 1, 2, 24 * 6, 24 * 8, 24 * 8 + 1], "b": [0, 1]}
    events = pl.DataFrame(
        [(who, START + timedelta(hours=hour)) for who, own in hours.items() for hour in own],
        schema=["customer_id", "event_time"],
        orient="row",
    ).with_columns(
        pl.col("event_time").dt.replace_time_zone("UTC"), event_type=pl.lit("product_view")
    )
    rules = TriggerRules.parse(INTEREST.replace("[values]", "version = 1\n[values]", 1))
    trial = segkit.live.compare_thresholds(
        rules, events=events, rule="Interested", leave=["", "views < 1"],
        dwell=["0 seconds", "2 days"], as_of=date(2025, 1, 20),
    )  # fmt: skip
    # Inside from hour 2 (three views) to day 7 and one hour (two are left), again from day 8 and
    # one hour to day 13; to day 15 and one hour where no view may be left.
    first, low, slow, both = trial.trials.iter_rows(named=True)
    assert first["changes_per_customer"] == 4
    assert first["days_inside"] == pytest.approx(7 - 1 / 24 + 5 - 1 / 24)
    assert (low["changes_per_customer"], low["customers"]) == (2, 1)
    assert low["extra_days"] == pytest.approx(15 + 1 / 24 - 2 / 24 - first["days_inside"])
    assert slow["changes_per_customer"] == 2
    assert both["days_inside"] == pytest.approx(low["days_inside"])
    assert "Interested: 4 changes per customer at first, 2 with leave" in trial.text
    assert "no dwell time" in trial.plot().alt
    more = trial.trials.with_columns(pl.col("changes_per_customer") + 1)  # as long a stay, dearer
    alike = replace(trial, trials=pl.concat([more, trial.trials]))
    assert alike.plot().data.equals(trial.plot().data)
    with pytest.raises(RuleError, match="unknown rule 'No'"):
        segkit.live.compare_thresholds(rules, rule="No", leave=[""], as_of=date(2025, 1, 1))
