"""Numbers, currencies and words for 'no value': exact where well formed, refused where not."""

from decimal import Decimal

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import segkit
from segkit.errors import DataError
from segkit.intake.numbers import CURRENCY_UNITS, Dialect, read_numbers, seen_dialect

DIALECTS = [
    Dialect(),
    Dialect(",", "."),
    Dialect(".", ",", lakh=True),
    Dialect(",", "", lakh=False),
]
GAPS = {".": ",", ",": "."}


def lines(**columns):
    rows = max(len(values) for values in columns.values())
    base = {
        "customer_id": [f"c{i}" for i in range(rows)],
        "order_date": ["2024-05-01"] * rows,
        "amount": ["1.00"] * rows,
    }
    return pl.DataFrame({**base, **columns}, strict=False)


def grouped(digits, sign, *, lakh):
    """Part a whole number's digits from the right: three, then threes (or twos)."""
    head, groups = digits[:-3], [digits[-3:]]
    while head:
        step = 2 if lakh else 3
        groups.insert(0, head[-step:])
        head = head[:-step]
    return sign.join(groups)


@st.composite
def written(draw):
    """A dialect, a number of at most 18 figures, and one way to write it."""
    dialect = draw(st.sampled_from(DIALECTS))
    whole = draw(st.integers(0, 10**12 - 1))
    cents = draw(st.text("0123456789", max_size=6))
    digits = str(whole)
    signs = ["", *((dialect.thousands,) if dialect.thousands else ())]
    if dialect.thousands and not dialect.lakh:
        signs += [" ", "\u00a0", "\u202f", "'", "’"]
    text = grouped(digits, draw(st.sampled_from(signs)), lakh=dialect.lakh)
    if cents or draw(st.booleans()):
        text += dialect.decimal + cents
    value = Decimal(f"{whole}.{cents or 0}")
    unit = draw(st.sampled_from(["", "€", "$", "EUR", "usd", "kr.", "R$", "CHF"]))
    if unit:
        gap = draw(st.sampled_from(["", " ", "\u00a0"]))
        text = draw(st.sampled_from([f"{unit}{gap}{text}", f"{text}{gap}{unit}"]))
    form = draw(st.sampled_from(["{}", "-{}", "−{}", "({})", "+{}", "{}-"]))
    # "12,-" is twelve without cents.
    if form == "{}-" and text[-1] in ".,":
        form = "{}"
    return dialect, form.format(text), value if form in ("{}", "+{}") else -value


@given(written())
@settings(max_examples=150)
def test_every_well_formed_number_reads_back_exactly(case):
    dialect, text, value = case
    assert read_numbers(pl.Series([text]), dialect, CURRENCY_UNITS)[0] == value


def oracle(text, decimal, thousands):
    """Read a plain number by hand, or None: digits, groups of three, one decimal sign."""
    body = text[1:] if text[:1] == "-" else text
    whole, _, cents = body.partition(decimal)
    if cents and not set(cents) <= set("0123456789"):
        return None
    for sign in (thousands, " ", "'"):
        groups = whole.split(sign)
        sound = (
            all(len(group) == 3 for group in groups[1:])
            and 1 <= len(groups[0]) <= 3
            and groups[0][0] != "0"
        )
        digits = "".join(groups)
        if len(groups) > 1 and sound and set(digits) <= set("0123456789"):
            whole = digits
            break
    if not (whole or cents) or not set(whole) <= set("0123456789"):
        return None
    value = Decimal(f"{whole or 0}.{cents or 0}")
    return -value if text[:1] == "-" else value


@given(st.text("0123456789.,' -", min_size=1, max_size=9), st.sampled_from(".,"))
@settings(max_examples=250)
def test_everything_else_is_refused(text, decimal):
    text = text.strip()
    # Endings of their own: a minus or a dash for cents after the number.
    if not text or text[-1] == "-" or text.startswith("- "):
        return
    read = read_numbers(pl.Series([text]), Dialect(decimal, GAPS[decimal]))[0]
    expected = oracle(text, decimal, GAPS[decimal])
    assert read == (None if expected is None else expected.quantize(Decimal("0.000001")))


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("12,5", None),
        ("10 20", None),
        ("1,23,456", None),
        ("1,234,56", None),
        ("20.25 PCS", None),
        ("5%", None),
        ("1e3", 1000),
        ("12.-", 12),
        ("$.50", Decimal("0.5")),
        ("9" * 5000, None),
        ("1e999", None),
        ("١٢", None),
        ("(5", None),
        ("--5", None),
        ("€5 EUR", None),
    ],
)
def test_single_cells(text, value):
    assert read_numbers(pl.Series([text]), Dialect(), CURRENCY_UNITS)[0] == value


def test_the_dialect_is_seen():
    assert seen_dialect(pl.Series(["1.5e2", "3.0E+02"])) == (Dialect(), True)
    assert seen_dialect(pl.Series(["12,34,567", "1,00,000"])) == (Dialect(lakh=True), True)
    assert not seen_dialect(pl.Series(["12,34,567", "1,234,567"]))[0].lakh
    assert not seen_dialect(pl.Series(["1,234,567", "12,5"]))[1]


def test_lines_that_are_no_numbers_are_counted_not_summed():
    raw = lines(amount=["1,234.50", "12,5", "10 20", "10\n20", "7"])
    taken = segkit.clean_data(raw, {"decimal": "."})
    assert taken.orders["amount"].to_list() == [1234.5, 7.0]
    assert taken.ledger.reasons() == {"bad_amount": 3}


def test_rupees_in_lakhs_are_read():
    taken = segkit.clean_data(lines(amount=["₹12,34,567.00", "₹1,00,000.50"]))
    assert taken.orders["amount"].to_list() == [1_234_567.0, 100_000.5]


# Currencies and units ------------------------------------------------------------------------


@pytest.mark.parametrize("amounts", [["10 EUR", "20 USD", "3000 JPY"], ["€10", "20 usd", "¥3000"]])
def test_currencies_in_the_amounts_are_asked_about_then_obeyed(amounts):
    raw = lines(amount=amounts)
    with pytest.raises(DataError, match=r"3 currencies: EUR \(1\), JPY \(1\), USD \(1\)"):
        segkit.clean_data(raw)
    assert segkit.audit_data(raw).blocked
    home = segkit.clean_data(raw, {"currency": "EUR"})
    assert home.orders["amount"].to_list() == [10.0]
    assert home.ledger.reasons() == {"unknown_currency": 2}
    fx = pl.DataFrame(
        {"currency": ["USD", "JPY"], "valid_from": ["2024-01-01"] * 2, "rate": [0.5, 0.01]}
    )
    taken = segkit.clean_data({"orders": raw, "fx": fx}, {"currency": "EUR"})
    assert taken.orders["amount"].to_list() == [10.0, 10.0, 30.0]
    assert taken.orders["currency"].to_list() == ["EUR", "USD", "JPY"]


def test_a_shared_sign_stands_for_the_reporting_currency():
    taken = segkit.clean_data(lines(amount=["$10", "20"]), {"currency": "CAD"})
    assert taken.orders["amount"].to_list() == [10.0, 20.0]
    assert any("1 amount without a currency" in note for note in taken.notes)


def test_an_amount_that_contradicts_its_currency_column_is_rejected():
    raw = lines(amount=["10 USD", "10 EUR", "$10"], currency=["EUR", "EUR", "EUR"])
    assert segkit.clean_data(raw).ledger.reasons() == {"currency_conflict": 1}


def test_units_that_are_no_currency_are_rejected_with_a_reason():
    taken = segkit.clean_data(lines(amount=["10.50", "20.25 PCS", "5 KGM"]))
    assert taken.orders["amount"].to_list() == [10.5]
    assert taken.ledger.reasons() == {"unknown_unit": 2}


def test_prices_in_several_currencies_are_asked_about():
    prices = pl.DataFrame(
        {"product_id": ["a", "b"], "valid_from": ["2024-01-01"] * 2, "unit_price": ["1 €", "2 £"]}
    )
    with pytest.raises(DataError, match="2 currencies"):
        segkit.clean_data({"orders": lines(amount=["1"]), "prices": prices})


def test_a_discount_that_cannot_be_read_is_not_taken_as_none():
    raw = lines(price=["10", "10"], quantity=["1", "1"], discount=["1", "10%"]).drop("amount")
    assert segkit.clean_data(raw, {"orders": {"discount_unit": "money"}}).ledger.reasons() == {
        "bad_discount": 1
    }
    percent = segkit.clean_data(raw, {"orders": {"discount_unit": "percent"}})
    assert percent.orders["amount"].to_list() == [9.9, 9.0]


def test_an_unreadable_quantity_beside_an_amount_is_noted():
    taken = segkit.clean_data(lines(amount=["5", "6"], quantity=["1", "two"]))
    assert taken.orders["quantity"].to_list() == [1.0, None]
    assert any("1 value of quantity cannot be read" in note for note in taken.notes)


# Words for no value --------------------------------------------------------------------------

RAW = pl.DataFrame(
    {
        "customer_id": [1, 2, -999, 4, 5],
        "order_id": [11, 12, 13, 14, -999],
        "order_date": [20240105, 20240106, 20240107, -999, 20240109],
        "amount": [10.0, -999.0, 30.0, 40.0, 50.0],
        "quantity": [1, 2, 1, 1, -999],
        "product_id": [7, 7, 7, 7, -999],
    }
)


def files(tmp_path):
    pytest.importorskip("xlsxwriter")
    RAW.write_csv(tmp_path / "orders.csv")
    RAW.write_parquet(tmp_path / "orders.parquet")
    RAW.write_excel(tmp_path / "orders.xlsx")
    return [RAW, RAW.lazy(), RAW.cast(pl.String), *(tmp_path / f"orders.{end}" for end in
            ("csv", "parquet", "xlsx"))]  # fmt: skip


def test_a_number_for_no_value_is_obeyed_at_every_door(tmp_path):
    pandas = pytest.importorskip("pandas")
    sources = [*files(tmp_path), pandas.DataFrame(RAW.to_dict(as_series=False))]
    for source in sources:
        taken = segkit.clean_data(source, {"nulls": ["", "-999"]})
        assert taken.ledger.reasons() == {
            "missing_customer_id": 1,
            "missing_amount": 1,
            "missing_date": 1,
        }
        assert taken.orders["amount"].to_list() == [10.0, 50.0]
        assert taken.orders["quantity"].to_list() == [1.0, None]
        assert taken.orders["product_id"].to_list() == ["7", None]
        assert taken.orders["order_id"].to_list() == ["11", "5@2024-01-09"]


@pytest.mark.parametrize("kind", [pl.String, pl.Float64])
@pytest.mark.parametrize(
    ("values", "asked"),
    [
        ([10, -999, 30, 40], ["-999"]),
        ([10, 9999, 30, 40], ["9999"]),
        ([10, 99999, 30, 400], ["99999"]),
        ([10, -1, 30, 40], ["-1"]),
        ([10, -5, 30, 40], []),
        ([10, -999, -30, 40], []),
        ([10, 9999, 3000, 40], []),
    ],
)
def test_a_suspicious_number_is_asked_about(values, asked, kind):
    raw = lines(amount=pl.Series(values).cast(kind))
    findings = [item for item in segkit.audit_data(raw).findings if "no value" in item.finding]
    assert [item.example for item in findings] == asked
    if asked:
        with pytest.raises(DataError, match=rf'nulls = .*"{asked[0]}"'):
            segkit.clean_data(raw)
        assert segkit.clean_data(raw, {"nulls": ["", *asked]}).orders.height == 3
        assert segkit.clean_data(raw, {"nulls": [""]}).orders.height == 4


def test_minus_one_as_a_quantity_is_a_return_unless_the_amount_denies_it():
    sold = {"quantity": [1, -1, 2], "price": [5.0, 5.0, 5.0]}
    assert segkit.clean_data(lines(**sold).drop("amount")).orders["is_return"].sum() == 1
    with pytest.raises(DataError, match="may stand for 'no value'"):
        segkit.clean_data(lines(amount=[5, 5, 10], quantity=[1, -1, 2]))


@pytest.mark.parametrize("kind", [pl.Int64, pl.String])
def test_a_number_for_no_value_is_obeyed_in_items_and_attributes(kind):
    survey = pl.DataFrame({"customer_id": ["c0", "c1"], "q1": pl.Series([4, -999]).cast(kind)})
    people = survey.rename({"q1": "age"})
    tables = {"orders": lines(amount=["1"]), "survey": survey, "customers": people}
    taken = segkit.clean_data(
        tables, {"nulls": ["", "-999"], "customers": {"columns": {"age": "age"}}}
    )
    assert taken.survey["q1"].to_list() == [4, None]
    assert taken.customers["age"].drop_nulls().len() == 1


def test_answers_are_read_as_numbers_are():
    survey = pl.DataFrame({"customer_id": ["c0", "c1"], "q1": ["3,5", "4,0"]})
    taken = segkit.clean_data({"orders": lines(amount=["1"]), "survey": survey})
    assert taken.survey["q1"].to_list() == [3.5, 4.0]


RUPIAH = ["85.000", "133.500", "1.250", "12.500", "99.000", "500"] * 4


@pytest.mark.parametrize(
    ("names", "currency", "total"),
    [
        (("Pembeli", "Tanggal pesanan", "Harga"), None, 1_327_000),
        (("Customer id", "Order date", "Amount"), "EUR", 1_327_000),
        (("Customer id", "Order date", "Amount"), "KWD", None),
        (("Customer id", "Order date", "Amount"), None, None),
    ],
)
def test_three_figures_behind_each_sign_part_thousands_or_no_sum_is_shown(names, currency, total):
    who, when, worth = names
    lines = pl.DataFrame(
        {who: [f"K{i % 9}" for i in range(24)], when: ["2024-05-13"] * 24, worth: RUPIAH}
    )
    if currency:
        lines = lines.with_columns(pl.lit(currency).alias("Currency"))
    columns = {"customer_id": who, "order_time": when, "amount": worth}
    mapping = {"orders": {"columns": columns | ({"currency": "Currency"} if currency else {})}}
    audit = segkit.audit_data(lines, mapping)
    if total is None:
        assert audit.blocked
        assert not audit.understood
        assert any('decimal = ","' in item.answer for item in audit.findings)
    else:
        assert segkit.clean_data(audit).orders["amount"].sum() == total
        assert any("parts thousands" in item.finding for item in audit.findings)


@pytest.mark.parametrize(
    ("title", "header", "code"),
    [
        ("", "Total (IDR)", "IDR"), ("", "Betrag in EUR", "EUR"), ("", "amount_usd", "USD"),
        ("", "Total ($)", None), ("Devise : EUR\n", "Montant", "EUR"),
        ("Report of sales\nВалюта: RUB\n", "Сумма", "RUB"),
        ("Currency,USD\n", "Amount (EUR)", "EUR"),
    ],
)  # fmt: skip
def test_the_currency_of_a_header_or_of_the_lines_above_is_that_of_the_amounts(
    tmp_path, title, header, code
):
    rows = [f"R{i},u{i % 9}@x.example,2024-03-{1 + i % 28:02},{20 + i}.50" for i in range(30)]
    table = "\n".join([f"order_id,email,order_date,{header}", *rows])
    (tmp_path / "sales.csv").write_text(title + table + "\n")
    taken = segkit.clean_data(tmp_path / "sales.csv")
    assert taken.mapping.tables["orders"].constants.get("currency") == code
    if code:
        assert taken.orders["currency"].unique().to_list() == [code]


def test_a_header_and_a_column_that_name_two_currencies_are_pointed_out():
    frame = pl.DataFrame({
        "order_id": ["a", "b"], "email": ["u@x.example", "v@x.example"], "currency": ["USD", "USD"],
        "order_date": ["2024-03-15", "2024-03-16"], "Total (EUR)": ["5.50", "6.50"],
    })  # fmt: skip
    said = [f.answer for f in segkit.audit_data(frame).findings if f.column == "currency"]
    assert said == ['[orders.constants] currency = "EUR"']
