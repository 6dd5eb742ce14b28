"""Consent, erasure, identities, pseudonyms; events, customers and the other tables."""

import os
from datetime import date

import polars as pl
import pytest

import segkit
from segkit.campaign.platforms import read_emails
from segkit.errors import DataError, MappingError, SourceError
from segkit.intake.answers import mapping_of, offered_answers
from segkit.intake.layouts import add_contacts

ORDERS = pl.DataFrame(
    {
        "customer_id": ["a", "a", "b", "c", None, "d"],
        "order_id": ["1", "1", "2", "3", "4", "5"],
        "order_date": ["2024-04-13"] * 6,
        "amount": [1.0, 2.0, 4.0, 8.0, 16.0, 32.0],
    }
)
CUSTOMERS = pl.DataFrame(
    {
        "customer_id": ["a", "b", "c", "c"],
        "birth_date": ["1990-01-31", "2024-05-20", "soon", None],
        "profiling_consent": ["yes", "yes", "no", "yes"],
        "email": ["A@x.org ", "b@x.org", "c@x.org", None],
        "shoe_size": [39, 44, 41, 41],
    }
)


def test_refusal_of_profiling_is_obeyed_and_counted():
    taken = segkit.clean_data({"orders": ORDERS, "customers": CUSTOMERS})
    assert taken.ledger.reasons() == {
        "missing_customer_id": 1,
        "before_birth": 1,
        "no_profiling_consent": 1,
    }
    assert taken.orders["customer_id"].to_list() == ["a", "a", "d"]
    # One refusal among several rows of a customer stands.
    assert taken.customers["customer_id"].to_list() == ["a", "b"]
    assert taken.ledger.reasons("customers") == {"repeated_customer": 1, "no_profiling_consent": 1}
    assert any("1 value of birth_date" in note for note in taken.notes)
    ignored = segkit.clean_data({"orders": ORDERS, "customers": CUSTOMERS}, {"consent": "ignore"})
    assert "no_profiling_consent" not in ignored.ledger.reasons()


def test_where_consent_is_not_recorded_the_default_is_said():
    granted = segkit.clean_data(ORDERS)
    assert any(
        "it is taken as granted (to change it: [customers] consent_default" in note
        for note in granted.notes
    )
    both = {"orders": ORDERS, "customers": CUSTOMERS}
    refused = segkit.clean_data(both, {"consent_default": "refused"})
    assert refused.orders["customer_id"].unique().to_list() == ["a"]
    with pytest.raises(DataError, match="no profiling consent 5"):
        segkit.clean_data(ORDERS, {"consent_default": "refused"})


def test_erasure_reaches_every_table_and_hides_the_id(tmp_path):
    events = pl.DataFrame(
        {
            "customer_id": ["a", "b"],
            "event_time": ["2024-06-13 10:00"] * 2,
            "event_type": ["open"] * 2,
        }
    )
    tables = {"orders": ORDERS, "customers": CUSTOMERS, "events": events}
    taken = segkit.clean_data(tables, erase=["a"])
    for frame in taken.tables.values():
        assert "a" not in frame["customer_id"].to_list()
    assert taken.ledger.reasons()["erased"] == 2
    gone = taken.rejects["orders"].filter(reason="erased")
    assert gone["source_row"].to_list() == [0, 1]
    assert gone.drop("source_row", "reason").null_count().row(0) == (2,) * (gone.width - 2)
    told = next(a for step in taken.ledger.steps for a in step.rejected if a.reason == "erased")
    assert told.examples == ()
    with pytest.raises(DataError, match="no row names customer"):
        taken.trace("a")
    saved = segkit.intake.Intake.open(taken.save(tmp_path / "kept"))
    assert saved.raw["orders"].collect()["customer_id"].to_list()[:3] == [None, None, "b"]
    listed = tmp_path / "erase.csv"
    listed.write_text("customer_id\na\n")
    assert segkit.clean_data(tables, erase=listed).ledger.reasons()["erased"] == 2
    assert segkit.clean_data(tables, {"erase_file": str(listed)}).ledger.reasons()["erased"] == 2
    with pytest.raises(SourceError, match="erasure list"):
        segkit.clean_data(tables, erase=tmp_path / "none.csv")


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "cp1252"])
def test_an_erasure_list_is_read_in_its_encoding(tmp_path, encoding):
    listed = tmp_path / "erase.txt"
    listed.write_bytes("customer_id\r\nMüller\r\nSchäfer\r\n".encode(encoding))
    lines = pl.DataFrame(
        {"customer_id": ["Müller", "Weiß"], "order_time": ["2024-05-01"] * 2, "amount": [1.0, 2.0]}
    )
    taken = segkit.clean_data(lines, erase=listed)
    assert taken.orders["customer_id"].to_list() == ["Weiß"]


def test_a_saved_intake_reads_a_table_when_it_is_first_asked_for(tmp_path, monkeypatch):
    folder = segkit.clean_data({"orders": ORDERS, "customers": CUSTOMERS}).save(tmp_path / "kept")
    read, whole = [], pl.read_parquet
    monkeypatch.setattr(pl, "read_parquet", lambda path: read.append(path.name) or whole(path))
    opened = segkit.intake.Intake.open(folder)
    assert list(opened.tables) == ["orders", "customers"]
    assert opened.events is None
    assert not read
    assert opened.customers is opened.customers
    assert read == ["customers.parquet"]
    (folder / "orders.parquet").write_bytes(b"PAR1")
    with pytest.raises(SourceError, match=r"table orders .* removed or damaged"):
        _ = opened.orders
    (folder / "orders.parquet").unlink()
    with pytest.raises(SourceError, match=r"table orders .* removed or damaged"):
        _ = opened.orders


def test_identities_name_the_customer_behind_an_address_or_a_device():
    events = pl.DataFrame(
        {
            "customer_id": ["a", None, None, None],
            "email": [None, "B@X.org", None, "stranger@x.org"],
            "device_id": [None, None, "d-1", None],
            "event_time": ["2024-06-13 10:00"] * 4,
            "event_type": ["site_visit"] * 4,
        }
    )
    links = pl.DataFrame({"identifier": ["b@x.org", "d-1", "c"], "customer_id": ["b", "c", "c2"]})
    taken = segkit.clean_data({"orders": ORDERS, "events": events}, identities=links)
    assert taken.events["customer_id"].to_list() == ["a", "b", "c"]
    assert taken.ledger.reasons("events") == {"unlinked_identifier": 1}
    assert "c2" in taken.orders["customer_id"].to_list()
    assert "email" not in taken.events.columns
    without = segkit.clean_data({"orders": ORDERS, "events": events})
    assert without.ledger.reasons("events") == {"missing_customer_id": 3}


def test_an_identifier_only_counts_as_what_it_is():
    links = pl.DataFrame(
        {"identifier_type": ["loyalty_id", "customer_id"], "identifier": ["a", "b"]}
    ).with_columns(customer_id=pl.lit("z"))
    taken = segkit.clean_data(ORDERS, identities=links)
    assert taken.orders["customer_id"].to_list() == ["a", "a", "z", "c", "d"]


def test_linked_identities_are_taken_as_they_come():
    from segkit.intake.identity import link_identifiers

    pairs = CUSTOMERS.select("customer_id", "email").drop_nulls()
    events = pl.DataFrame(
        {"email": ["B@X.org"], "event_time": ["2024-06-13 10:00"], "event_type": ["open"]}
    )
    taken = segkit.clean_data(
        {"orders": ORDERS, "events": events}, identities=link_identifiers(pairs)
    )
    assert taken.events["customer_id"].to_list() == ["b"]


def test_pseudonyms_are_keyed_and_keep_the_numbers(monkeypatch, tmp_path):
    monkeypatch.setenv("SEGKIT_TEST_KEY", "one")
    both = {"orders": ORDERS, "customers": CUSTOMERS}
    plain = segkit.clean_data(both)
    hidden = segkit.clean_data(both, {"pseudonymise": "SEGKIT_TEST_KEY"})
    assert not {"a", "b", "c", "d"} & set(hidden.orders["customer_id"])
    assert hidden.orders["customer_id"].n_unique() == plain.orders["customer_id"].n_unique()
    assert hidden.ledger.parts == plain.ledger.parts
    assert "email" not in hidden.customers.columns
    assert hidden.raw is None
    who = hidden.orders["customer_id"][0]
    assert hidden.trace(who).amount == plain.trace("a").amount
    hidden.save(tmp_path / "kept")
    stored = b"".join(f.read_bytes() for f in (tmp_path / "kept").rglob("*") if f.is_file())
    assert b"x.org" not in stored
    monkeypatch.setenv("SEGKIT_TEST_KEY", "two")
    other = segkit.clean_data(both, {"pseudonymise": "SEGKIT_TEST_KEY"})
    assert other.orders["customer_id"][0] != who
    monkeypatch.delenv("SEGKIT_TEST_KEY")
    assert "SEGKIT_TEST_KEY" not in os.environ
    with pytest.raises(MappingError, match="environment variable"):
        segkit.clean_data(both, {"pseudonymise": "SEGKIT_TEST_KEY"})


def test_made_order_ids_do_not_give_the_customer_away(monkeypatch):
    monkeypatch.setenv("SEGKIT_TEST_KEY", "one")
    raw = ORDERS.drop("order_id").with_columns(customer_id=pl.lit("jane@shop"))
    hidden = segkit.clean_data(raw, {"pseudonymise": "SEGKIT_TEST_KEY"})
    assert not hidden.orders["order_id"].str.contains("jane").any()
    assert hidden.orders["order_id"].n_unique() == 1


def test_events_are_judged_like_orders():
    events = pl.DataFrame(
        {
            "customer_id": ["a", "a", "a", "a", None, "b"],
            "when": ["2024-06-13 10:00", "2999-01-01 10:00", "2024-02-30 10:00", "x"]
            + ["2024-06-13 10:00"] * 2,
            "event": ["Email Opened", "open", "open", "open", "open", "teleport"],
            "seconds": ["1.5", "2", "3", "4", "5", "6"],
        }
    ).rename({"when": "timestamp"})
    taken = segkit.clean_data({"orders": ORDERS, "events": events})
    assert taken.ledger.reasons("events") == {
        "missing_customer_id": 1,
        "bad_date": 1,
        "impossible_date": 2,
        "unknown_event_type": 1,
    }
    assert taken.events.select("event_type", "duration_seconds").row(0) == ("email_open", 1.5)
    words = {"events": {"values": {"event_type": {"teleport": "site_visit"}}}}
    mapped = segkit.clean_data({"orders": ORDERS, "events": events}, words)
    assert "unknown_event_type" not in mapped.ledger.reasons("events")


def test_rates_that_are_no_rates_are_rejected():
    fx = pl.DataFrame({"currency": ["USD", "GBP"], "date": ["2024-01-31"] * 2, "rate": [0.9, 0.0]})
    taken = segkit.clean_data({"orders": ORDERS, "fx": fx}, {"currency": "EUR"})
    assert taken.ledger.reasons("fx") == {"bad_rate": 1}


def test_the_other_tables():
    tables = {
        "orders": ORDERS,
        "products": pl.DataFrame(
            {"sku": ["p", "p", None], "name": ["x", "y", "z"], "price": ["1,50"] * 3}
        ),
        "prices": pl.DataFrame({"sku": ["p"], "valid_from": ["2024-01-31"], "price": [1.5]}),
        "survey": pl.DataFrame({"customer_id": ["a", "b"], "q1": ["5", "4"], "nps": [9, None]}),
        "campaigns": pl.DataFrame({"campaign": ["k"], "offer": ["sale"], "starts": ["2024-05-31"]}),
        "assignments": pl.DataFrame({"customer_id": ["a"], "arm": ["holdout"], "campaign": ["k"]}),
    }
    taken = segkit.clean_data(tables)
    assert taken.products.select("product_id", "list_price").rows() == [("p", 1.5)]
    assert taken.ledger.reasons("products") == {"repeated_product": 1, "missing_product_id": 1}
    assert taken.prices["valid_from"].to_list() == [date(2024, 1, 31)]
    assert taken.survey.select("q1", "nps").rows() == [(5.0, 9.0), (4.0, None)]
    assert taken.assignments["arm"].to_list() == ["holdout"]
    assert taken.campaigns["starts"].to_list() == [date(2024, 5, 31)]


def test_trace_shows_rejected_rows_and_survives_saving(tmp_path):
    raw = ORDERS.with_columns(
        order_date=pl.Series(["2024-04-13", "2024-02-31", *["2024-04-13"] * 4])
    )
    taken = segkit.clean_data(raw)
    trace = taken.trace("a")
    assert trace.raw["orders"].select("source_row", "reason", "amount").rows() == [
        (0, None, 1.0),
        (1, "impossible_date", 2.0),
    ]
    assert (trace.lines, trace.orders, float(trace.amount)) == (1, 1, 1.0)
    assert trace.to_frame()["fate"].to_list() == ["kept", "impossible_date"]
    assert "impossible date 1" in trace.text
    folder = taken.save(tmp_path / "kept")
    again = segkit.intake.Intake.open(folder)
    assert again.trace("a").to_frame().equals(trace.to_frame())
    assert again.orders.equals(taken.orders)
    assert again.mapping == taken.mapping
    assert again.ledger.steps == taken.ledger.steps
    assert taken.save(folder) == folder
    with pytest.raises(DataError, match="no row names customer 'zz'"):
        again.trace("zz")
    with pytest.raises(SourceError, match="expected a saved intake"):
        segkit.intake.Intake.open(tmp_path)
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "precious.txt").write_text("x")
    with pytest.raises(SourceError, match="holds no intake"):
        taken.save(tmp_path / "other")


def named_orders(**columns):
    """Give the orders of twelve people of six last names, four each."""
    people = [(first, last) for last in ("Lee", "Ito", "Kaya", "Diaz", "Roux", "Berg")
              for first in ("Ann", "Bo")]  # fmt: skip
    buyers = [people[n % 12] for n in range(48)]
    return pl.DataFrame(
        {"Bestellnummer": [f"N{n}" for n in range(48)], "Datum": [f"2024-0{1 + n % 9}-11" for n in
         range(48)], "Betrag": [f"{n}.50" for n in range(1, 49)]}
        | {name: [make(*buyer) for buyer in buyers] for name, make in columns.items()}
    )  # fmt: skip


def settle_first(frame):
    """Take the first offer of the only question."""
    (asked,) = [f for f in segkit.audit_data(frame).findings if f.severity == "block"]
    assert asked.column == "customer_id"
    return segkit.clean_data(frame, mapping_of(offered_answers(asked.answer)[0])).orders


@pytest.mark.parametrize("place", ["", "Rechnungsadresse "])
def test_first_and_last_names_are_joined_where_nothing_else_names_customers(place):
    named = {f"{place}Vorname": lambda first, _: first, f"{place}Nachname": lambda _, last: last}
    orders = settle_first(named_orders(**named))
    assert orders["customer_id"].n_unique() == 12
    assert "Ann Lee" in orders["customer_id"].to_list()
    sent = {"Lieferadresse Vorname": lambda *_: "Oma", "Lieferadresse Nachname": lambda *_: "Ek"}
    with_phones = {
        "Lieferadresse Telefon": lambda *_: "0301234567",
        f"{place}Telefon": lambda first, last: f"040{len(first)}{ord(last[0])}67",
    }
    for more in (sent, sent | with_phones):  # those who receive presents are not who bought
        assert settle_first(named_orders(**more, **named))["customer_id"].n_unique() == 12
    with_id = named_orders(**named, Kundennummer=lambda first, last: f"K{first}{last}")
    assert segkit.clean_data(with_id).orders["customer_id"].str.starts_with("K").all()


def test_names_beside_several_telephone_numbers_are_doubted():
    frame = named_orders(
        Kunde=lambda _, last: last, Telefon=lambda first, last: f"010-{ord(last[0])}{len(first)}55"
    )
    assert settle_first(frame)["customer_id"].n_unique() == 12


def test_a_full_telephone_is_the_customer_before_an_address_that_some_orders_lack():
    n = 60
    lines = {
        "order_id": [f"R{i}" for i in range(n)],
        "order_date": [f"2024-03-{1 + i % 28:02}" for i in range(n)],
        "total": [f"{20 + i}.50" for i in range(n)],
        "email": [f"u{i % 45}@x.example" if i % 45 % 6 else None for i in range(n)],
        "phone": [f"+4915112345{i % 45:03}" for i in range(n)],
    }
    frame = pl.DataFrame(lines)
    audit = segkit.audit_data(frame)
    assert not audit.blocked
    assert audit.mapping.tables["orders"].columns["customer_id"] == "phone"
    other = frame.with_columns(phone=pl.Series([f"+4915112345{i // 2:03}" for i in range(n)]))
    assert segkit.audit_data(other).mapping.tables["orders"].columns["customer_id"] == "email"


def test_the_address_beside_a_number_in_one_cell_of_contacts_is_read():
    who = ["Ann Lee", "Bo Ek", "Cy Ash"] * 10
    cells = {"Ann Lee": "ann@x.org, +254706005311", "Bo Ek": "+254706005312", "Cy Ash": None}
    lines = pl.DataFrame(
        {
            "Date": [f"2024-0{1 + k % 9}-03" for k in range(30)],
            "Net sales": [20.5 + k % 7 for k in range(30)],
            "Customer name": who,
            "Customer contacts": [cells[name] for name in who],
        }
    )
    mapping = mapping_of(["orders.columns.customer_id=Customer name"])
    customers = add_contacts(segkit.clean_data(lines, mapping)).customers
    assert read_emails(customers["email"]).to_list().count("ann@x.org") == 1
