"""The audit sees what it can, asks what it cannot, and proposes the rest."""

from datetime import date

import polars as pl
import pytest

import segkit
from segkit.errors import DataError, MappingError, SourceError
from segkit.intake import Mapping
from segkit.intake.headers import plain

SHOP = """Kunden-Nr.;Belegnummer;Kaufdatum;Artikelnummer;Warengruppe;Menge;Einzelpreis;Filiale
00012;R1;03.04.2024 09:15;4711;Schuhe;2;1.234,50;Köln
00013;R2;14.04.2024 19:15;4712;Hüte;1;12,00;Bonn
00013;R2;14.04.2024 19:15;4713;Hüte;3;0,99;Bonn
00013;R3;15.06.2024 11:00;4712;Hüte;-1;12,00;Bonn
;R4;16.06.2024 12:00;4712;Hüte;1;12,00;Bonn
00014;R5;31.02.2024 10:00;4712;Hüte;1;9,99;Bonn
00014;R6;17.06.2024 23:30;4712;Hüte;1;gratis;Bonn
00014;R7;18.06.2024 23:30;4712;Hüte;1;9,99;Bonn
"""


@pytest.mark.parametrize("encoding", ["utf-8-sig", "latin-1", "utf-8"])
def test_a_foreign_file_goes_from_check_to_intake_without_a_mapping(tmp_path, encoding):
    file = tmp_path / "umsatz.csv"
    file.write_bytes(SHOP.replace("\n", "\r\n").encode(encoding))
    audit = segkit.audit_data(file)
    assert not audit.blocked
    assert audit.mapping.tables["orders"].columns == {
        "customer_id": "Kunden-Nr.",
        "order_id": "Belegnummer",
        "order_time": "Kaufdatum",
        "product_id": "Artikelnummer",
        "category": "Warengruppe",
        "quantity": "Menge",
        "unit_price": "Einzelpreis",
    }
    taken = segkit.clean_data(file, {"timezone": "Europe/Berlin"})
    assert taken.ledger.reasons() == {
        "missing_customer_id": 1,
        "impossible_date": 1,
        "bad_amount": 1,
    }
    assert taken.orders["amount"].to_list() == [2469.0, 12.0, 2.97, -12.0, 9.99]
    assert taken.orders["is_return"].to_list() == [False, False, False, True, False]
    assert taken.orders["customer_id"][0] == "00012"
    assert taken.orders["order_day"].cast(pl.Date)[-1] == date(2024, 6, 18)
    assert taken.ledger.steps[-1].money_kept == sum(
        taken.ledger.part(k).money for k in ("sale", "return")
    )


def _same(one, other):
    assert one.ledger.to_dict() == other.ledger.to_dict()
    assert one.notes == other.notes
    for ours, theirs in ((one.tables, other.tables), (one.rejects, other.rejects)):
        assert list(ours) == list(theirs)
        assert all(ours[name].equals(theirs[name]) for name in ours)


def test_an_audit_is_a_source_and_its_files_are_read_once(tmp_path):
    (tmp_path / "orders.csv").write_text(
        "customer_id,order_id,order_date,amount,email\n"
        "7,1,2024-05-01,10,\n 7.0 ,1,2024-05-02,-2,\n,2,2024-05-03,5,Ann@x.org\n"
        "8,3,2024-06-03,4,\n8,3,2024-06-03,4,\n9,4,2024-02-31,1,\n",
        encoding="utf-8",
    )
    (tmp_path / "customers.csv").write_text(
        "customer_id,email,birth_date,profiling_consent\n7,ann@x.org,1980-01-05,yes\n"
        "8,bo@x.org,2024-06-04,yes\n9,,,no\n",
        encoding="utf-8",
    )
    (tmp_path / "events.csv").write_text(
        "customer_id,event_time,event_type\n7,2024-05-01 10:00,visit\n8,2024-06-05 10:00,dance\n"
        "unknown,2024-05-01 10:00,visit\n",
        encoding="utf-8",
    )
    whole = [segkit.pipeline.link_source(tmp_path), segkit.clean_data(tmp_path)]
    linked = segkit.clean_data(tmp_path, identities=whole[0], erase=["9"], as_of=date(2024, 5, 30))
    audit = segkit.audit_data(tmp_path)
    for file in tmp_path.iterdir():
        file.unlink()
    identities = segkit.pipeline.link_source(audit)
    assert identities.mapping.equals(whole[0].mapping)
    again = segkit.clean_data(audit, identities=identities, erase=["9"], as_of=date(2024, 5, 30))
    _same(again, linked)
    assert {"before_birth", "after_as_of"} & {*again.ledger.reasons(), *linked.ledger.reasons()}
    _same(segkit.clean_data(audit), whole[1])  # what was read is used up: the raw rows are not
    other = segkit.clean_data(audit, {"orders": {"negative": "reject"}})
    assert other.ledger.reasons()["negative_amount"] == 1


def test_a_frame_changed_after_its_audit_is_taken_in_as_audited():
    lines = pl.DataFrame(
        {"customer_id": ["a", "b"], "order_date": ["2024-05-01"] * 2, "amount": [1, 2]}
    )
    audit, before = segkit.audit_data(lines), segkit.clean_data(lines)
    lines.replace_column(2, pl.Series("amount", [9, 9]))
    _same(segkit.clean_data(audit), before)
    assert segkit.clean_data(lines).orders["amount"].to_list() == [9.0, 9.0]


def test_an_audit_read_back_holds_no_rows():
    audit = segkit.audit_data(
        pl.DataFrame({"customer_id": ["a"], "order_date": ["2024-05-01"], "amount": [1]})
    )
    stored = type(audit).from_dict(audit.to_dict())
    assert stored.text == audit.text
    assert stored.coverage.equals(audit.coverage)
    with pytest.raises(SourceError, match="read back from a file holds no rows; give the source"):
        segkit.clean_data(stored)


def test_the_audit_tells_what_it_found_and_what_to_write():
    audit = segkit.audit_data(pl.read_csv(SHOP.encode(), separator=";", infer_schema=False))
    frame = audit.to_frame()
    apart = frame.filter(pl.col("finding").str.starts_with("Impossible date"))
    assert apart.select("severity", "rows").row(0) == ("warn", 1)
    assert "31.02.2024" in apart["example"].item()
    assert "00014" not in str(audit)
    spare = frame.filter(pl.col("finding").str.starts_with("Columns not used"))
    assert "Filiale" in spare["finding"].item()
    assert frame.filter(column="order_time")["answer"].item().startswith("timezone")
    assert audit.coverage.select("month", "rows").rows() == [
        (date(2024, 4, 1), 3),
        (date(2024, 5, 1), 0),
        (date(2024, 6, 1), 2),
    ]
    assert "1 of them without any" in audit.plot().alt
    assert "Kunden-Nr." in audit._repr_html_()
    assert "They can be used as mapped" in audit.text


@pytest.mark.parametrize(
    "names",
    [
        ("CustomerID", "InvoiceDate", "TotalPrice"),
        ("client_id", "date_commande", "montant_ttc"),
        ("N° client", "Date d'achat", "Montant total"),
        ("ID Cliente", "Fecha compra", "Importe"),
        ("klantnummer", "besteldatum", "bedrag"),
        ("Kundennummer", "Bestelldatum", "Umsatz"),
        ("user id", "created at", "order value"),
        ("Code tiers", "Date de la pièce", "Montant HT"),
        ("Debitoren-Nr.", "Belegdatum", "Gesamtpreis"),
        ("Código de cliente", "Fecha del pedido", "Importe total"),
        ("Codice cliente", "Data dell'ordine", "Importo"),
        ("Código do cliente", "Data do pedido", "Valor total"),
        ("Klantnr.", "Factuurdatum", "Totaalbedrag"),
    ],
)
def test_names_in_seven_languages(names):
    frame = pl.DataFrame([["a"], ["2024-01-31"], [1.0]], schema=list(names))
    columns = segkit.audit_data(frame).mapping.tables["orders"].columns
    assert columns == dict(zip(("customer_id", "order_time", "amount"), names, strict=True))


@pytest.mark.parametrize(
    "names",
    [
        ("N° client", "N° pièce", "Réf. article", "Qté", "Px unitaire HT"),
        ("Kunden-Nr.", "Rechnungs-Nr.", "Artikel-Nr.", "Menge", "Einzelpreis"),
        ("Cód. cliente", "Nº de pedido", "Cód. artículo", "Cantidad", "Precio unitario"),
        ("ID Cliente", "Numero scontrino", "Codice articolo", "Quantità", "Prezzo unitario"),
        ("Cód. cliente", "Nº do pedido", "Código do produto", "Quantidade", "Preço unitário"),
        ("Klantnummer", "Ordernr", "Artikelnr.", "Aantal", "Prijs per stuk"),
    ],
)
def test_names_of_orders_and_products(names):
    frame = pl.DataFrame(
        [["a"], ["o"], ["p"], [1], [2.0], ["2024-01-31"]], schema=[*names, "Datum"]
    )
    columns = segkit.audit_data(frame).mapping.tables["orders"].columns
    ours = ("customer_id", "order_id", "product_id", "quantity", "unit_price", "order_time")
    assert columns == dict(zip(ours, (*names, "Datum"), strict=True))


def test_all_that_is_open_is_asked_at_once(tmp_path):
    frame = pl.DataFrame(
        {
            "Code tiers": ["a", "b"],
            "N° client": ["x", "y"],
            "Date pièce": ["03/04/2024"] * 2,
            "Px": ["1,234"] * 2,
        }
    )
    audit = segkit.audit_data(frame)
    asked = {item.column for item in audit.findings if item.severity == "block"}
    assert asked == {"customer_id", "order_time", "amount", "unit_price"}
    with pytest.raises(DataError, match=r"(?s)Several columns.*amount.*day_first.*decimal"):
        segkit.clean_data(frame)
    saved = Mapping.load(audit.save_mapping(tmp_path / "m.toml")).tables["orders"].columns
    assert saved["customer_id"].startswith("? Several columns")


def test_an_optional_column_with_rivals_is_a_finding_and_no_bar(tmp_path):
    frame = pl.DataFrame(
        {
            "customer_id": ["a"],
            "day": ["2024-01-31"],
            "amount": [1.0],
            "sku": ["p"],
            "item_code": ["q"],
        }
    )
    audit = segkit.audit_data(frame)
    assert not audit.blocked
    rivals = next(item for item in audit.findings if item.finding.startswith("Several columns"))
    assert (rivals.severity, rivals.column) == ("warn", "product_id")
    assert segkit.clean_data(frame, audit.save_mapping(tmp_path / "m.toml")).orders.height == 1


def test_counts_of_one_are_singular_and_notes_name_their_table():
    frame = pl.DataFrame({"customer_id": ["a", "b"], "day": ["2024-01-31"] * 2, "amount": [1.0, 2]})
    audit = segkit.audit_data(frame)
    assert "1 finding deserves a look." in audit.text
    assert audit.headline.endswith("; 1 finding deserves a look.")
    told = audit.to_frame()
    consent = told.filter(pl.col("finding").str.starts_with("consent to profiling"))
    assert consent["table"].to_list() == ["customers"]
    assert consent["finding"].item().removeprefix("consent") in audit.text
    calendar = told.filter(pl.col("finding").str.starts_with("Calendar"))
    assert calendar["finding"].item() in audit.text
    assert set(told["table"]) <= {"orders", "customers"}
    assert segkit.audit_data(frame[:1]).text.startswith("Read 1 order line.")


def test_the_example_zone_is_nobodys():
    frame = pl.DataFrame({"customer_id": ["a"], "day": ["2024-01-31 10:00"], "amount": [1.0]})
    zone = next(item for item in segkit.audit_data(frame).findings if item.column == "order_time")
    assert zone.answer.startswith('timezone = "Continent/City"')


def test_a_date_is_found_by_its_values():
    frame = pl.DataFrame({"client": ["a"], "gekauft": ["2024-01-31"], "betrag": [1.0]})
    assert segkit.audit_data(frame).mapping.tables["orders"].columns["order_time"] == "gekauft"


def test_a_guest_account_is_pointed_out():
    ids = ["K999"] * 40 + [f"c{i}" for i in range(60)]
    frame = pl.DataFrame(
        {"customer_id": ids, "order_date": ["2024-01-31"] * 100, "amount": [1.0] * 100}
    )
    guest = (
        segkit.audit_data(frame).to_frame().filter(pl.col("finding").str.contains("guest account"))
    )
    assert guest["rows"].item() == 40
    nulls = {"orders": {"nulls": ["", "K999"]}}
    assert segkit.clean_data(frame, nulls).ledger.reasons() == {"missing_customer_id": 40}


def test_a_blocked_audit_shows_the_question_and_shuts_the_gate():
    frame = pl.DataFrame({"customer_id": ["a"], "order_date": ["03/04/2024"], "amount": ["1.5"]})
    audit = segkit.audit_data(frame)
    assert audit.blocked
    assert audit.findings[0].answer.startswith("[orders] day_first = true")
    assert "day_first" in audit.text
    with pytest.raises(DataError, match="data quality gate"):
        segkit.clean_data(frame)
    answered = audit.mapping.with_option("orders", "day_first", True)
    assert segkit.clean_data(frame, answered).orders.height == 1
    assert segkit.audit_data(pl.DataFrame({"x": [1]})).blocked
    assert segkit.audit_data(frame.clear()).blocked


def test_two_currency_signs_in_one_column_block():
    frame = pl.DataFrame(
        {"customer_id": ["a", "b"], "day": ["2024-01-31"] * 2, "amount": ["$1", "€1"]}
    )
    with pytest.raises(DataError, match=r"2 currencies: EUR \(1\), USD \(1\)"):
        segkit.clean_data(frame)


def test_mapping_files_round_trip(tmp_path):
    data = {
        "timezone": "Europe/Paris",
        "orders": {
            "duplicates": "drop",
            "day_first": True,
            "skip_rows": 2,
            "nulls": ["", "-"],
            "columns": {"customer_id": 'client "no"\t1', "amount": "é"},
            "constants": {"channel": "web", "quantity": 1.5},
            "values": {"channel": {"W W": "web"}},
        },
    }
    mapping = Mapping.from_dict(data)
    assert mapping.to_dict() == data
    assert Mapping.load(mapping.save(tmp_path / "m.toml")) == mapping


@pytest.mark.parametrize(
    ("data", "words"),
    [
        ({"ordres": {"columns": {}}}, "did you mean 'orders'"),
        ({"orders": {"columns": {"amuont": "x"}}}, "did you mean 'amount'"),
        ({"orders": {"duplicate": "drop"}}, "did you mean 'duplicates'"),
        ({"duplicates": "merge"}, "expected one of flag, drop"),
        ({"orders": {"day_first": "yes"}}, "expected bool, got str"),
        ({"orders": {"skip_rows": True}}, "expected int, got bool"),
        ({"events": {"return_prefix": "C"}}, "belongs to"),
        ({"timezone": "Mars/Base"}, "unknown time zone"),
        ({"orders": {"columns": {"amount": 3}}}, "expected a column's name"),
    ],
)
def test_a_wrong_mapping_says_what_is_known(data, words):
    with pytest.raises(MappingError, match=words):
        Mapping.from_dict(data)


def test_a_mapping_file_that_is_missing_or_no_toml(tmp_path):
    with pytest.raises(SourceError, match="expected a mapping file"):
        Mapping.load(tmp_path / "none.toml")
    (tmp_path / "bad.toml").write_text("orders = [")
    with pytest.raises(MappingError, match="not a valid TOML"):
        Mapping.load(tmp_path / "bad.toml")


def test_constants_fill_columns_and_gaps():
    frame = pl.DataFrame(
        {
            "customer_id": ["a", "b"],
            "day": ["2024-01-31"] * 2,
            "amount": [1.0, 2.0],
            "channel": ["app", None],
        }
    )
    constants = {"channel": "web", "category": "shoes"}
    taken = segkit.clean_data(frame, {"orders": {"constants": constants}})
    assert taken.orders["channel"].to_list() == ["app", "web"]
    assert taken.orders["category"].to_list() == ["shoes"] * 2


def test_plain_names():
    assert plain("Straße Nr.") == "strasse_nr"
    assert plain("invoiceDate") == "invoice_date"
