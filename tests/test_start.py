"""The first look at a shop: questions, the page, the workbook, import files, other systems."""

import fastexcel
import polars as pl
import pytest

from segkit import cli
from segkit.errors import DataError, ParameterError
from segkit.intake.answers import offered_answers, read_answer
from segkit.start import PAGE, WORKBOOK, start
from tests.test_campaign_outlook import lines, people

RETURNS = (
    '[orders.columns] is_return = "Event Type" with [orders.values.is_return] "A refund" = true '
    "(and each other word = true or false)"
)


@pytest.fixture
def shop(tmp_path):
    """Write the orders and customers of a shop to a folder."""
    folder = tmp_path / "shop"
    folder.mkdir()
    lines().write_csv(folder / "orders.csv")
    people().write_csv(folder / "customers.csv")
    return folder


def test_a_first_look_writes_page_workbook_and_lists(shop, tmp_path):
    made = start(shop, out=tmp_path / "out")
    assert {path.name for path in made.files} == {
        PAGE, WORKBOOK, "klaviyo.csv", "mailchimp.csv", "hubspot.csv", "mapping.toml",
    }  # fmt: skip
    page = made.page.read_text(encoding="utf-8")
    assert "@shop.example" not in page
    assert "http" not in page  # complete in itself
    assert "import file for HubSpot: " in page
    for row in made.outlook.segments.iter_rows(named=True):
        assert row["segment"].replace("'", "&#39;") in page
        assert row["description"] in page
    chimp = pl.read_csv(tmp_path / "out" / "mailchimp.csv")
    assert chimp.height == made.outlook.audience.frame.height > 0


def test_the_workbook_has_a_sheet_for_each_segment_and_runs_no_formula(tmp_path):
    wild = lines().with_columns(
        pl.when(pl.col("customer_id") == "c1")
        .then(pl.lit("=cmd|' /C calc'!A0"))
        .otherwise("customer_id")
        .alias("customer_id")
    )
    wild.write_csv(tmp_path / "orders.csv")
    made = start(tmp_path / "orders.csv", out=tmp_path / "out")
    book = fastexcel.read_excel(tmp_path / "out" / WORKBOOK)
    assert book.sheet_names == ["Summary", *made.outlook.segments["segment"]]
    sheets = [book.load_sheet(name).to_polars() for name in book.sheet_names[1:]]
    people_ = pl.concat([sheet.select("Customer", "Revenue", "Last order") for sheet in sheets])
    assert people_.height == 90
    assert people_["Revenue"].sum() == pytest.approx(lines()["amount"].sum())
    assert people_.schema["Last order"].is_temporal()
    assert "'=cmd|' /C calc'!A0" in people_["Customer"].to_list()


def test_without_recorded_consent_no_list_is_written_and_an_earlier_one_goes(tmp_path):
    file, out = tmp_path / "orders.csv", tmp_path / "out"
    lines().with_columns(pl.col("customer_id") + "@shop.example").write_csv(file)
    assumed = start(file, out=out, assume_consent=True)
    assert pl.read_csv(out / "klaviyo.csv").height == 90
    assert "as you asked" in assumed.notices[0]
    made = start(file, out=out)
    assert not (out / "klaviyo.csv").exists()
    assert not (out / "mailchimp.csv").exists()
    assert "--assume-consent" in made.notices[0]
    assert "--assume-consent" in made.page.read_text(encoding="utf-8")


@pytest.fixture
def unclear(tmp_path):
    """Write orders whose dates can be read in two orders."""
    file = tmp_path / "orders.csv"
    early = lines().with_columns(pl.col("order_time").dt.strftime("%d/%m/%Y"))
    early.filter(pl.col("order_time").str.slice(0, 2).cast(pl.Int64) <= 12).write_csv(file)
    return file


def test_a_question_is_asked_and_its_answer_used(unclear, tmp_path):
    asked = []

    def ask(question, offered):
        asked.append((question, offered))
        return replies.pop(0)

    replies = [""]
    first = start(unclear, out=tmp_path / "a", ask=ask)
    assert "day first or month first" in asked[0][0]
    assert asked[0][1] == ["orders.day_first=true", "orders.day_first=false"]
    replies = ["false"]  # the value alone
    second = start(unclear, out=tmp_path / "b", ask=ask)
    assert first.outlook.as_of != second.outlook.as_of
    replies = ["2"]  # the number of the answer
    assert start(unclear, out=tmp_path / "b", ask=ask).outlook.as_of == second.outlook.as_of
    again = start(unclear, out=tmp_path / "c", mapping=tmp_path / "b" / "mapping.toml")
    assert again.outlook.as_of == second.outlook.as_of


def test_a_state_is_asked_until_it_is_one_of_four_meanings(tmp_path):
    saved = pl.when(pl.int_range(pl.len()) % 7 == 0).then(pl.lit("Zaved")).otherwise(pl.lit("paid"))
    lines().with_columns(Status=saved).write_csv(tmp_path / "orders.csv")
    replies, asked = ["", "9", "2"], []

    def ask(question, offered):
        asked.append((question, offered))
        return replies.pop(0)

    made = start(tmp_path / "orders.csv", out=tmp_path / "a", ask=ask)
    assert [offered for _, offered in asked] == [["sale", "unpaid", "cancelled", "refunded"]] * 3
    assert "'Zaved'" in asked[0][0]
    assert "'9' is none" in asked[2][0]
    paid = lines().filter(pl.int_range(pl.len()) % 7 != 0)
    assert made.outlook.customers["orders"].sum() == paid.height
    left = f"unpaid {lines().height - paid.height} (&#39;Zaved&#39;"
    assert f"<li>Rows left out: {left}" in made.page.read_text(encoding="utf-8")


def test_without_a_terminal_an_open_question_stops_and_prints_the_option(unclear, tmp_path):
    with pytest.raises(DataError, match=r'--answer "orders.day_first=true"'):
        start(unclear, out=tmp_path / "a")
    assert not (tmp_path / "a").exists()
    start(unclear, out=tmp_path / "a", answers=["orders.day_first=true"])


def test_no_more_than_three_questions_are_asked(unclear, tmp_path):
    asked = []

    def ask(question, offered):
        asked.append(question)
        return "orders.zero=keep"  # answers nothing that was asked

    with pytest.raises(DataError, match="after 3 answers there are open questions still"):
        start(unclear, out=tmp_path / "a", ask=ask)
    assert len(asked) == 3


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("orders.day_first=true", {"orders": {"day_first": True}}),
        ("[orders] day_first = true", {"orders": {"day_first": True}}),
        ("orders.columns.amount=Net total", {"orders": {"columns": {"amount": "Net total"}}}),
        ('[orders.columns] amount = "a=b"', {"orders": {"columns": {"amount": "a=b"}}}),
        ("currency=GBP", {"currency": "GBP"}),
        (r"orders.columns.amount=C:\new", {"orders": {"columns": {"amount": r"C:\new"}}}),
    ],
)
def test_answers_are_read_with_and_without_quotes(text, expected):
    assert read_answer(text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            'similar_ids = "join" if they are the same, similar_ids = "apart" if not',
            [["similar_ids=join"], ["similar_ids=apart"]],
        ),
        (
            RETURNS,
            [["orders.columns.is_return=Event Type", "orders.values.is_return.'A refund'=true"]],
        ),
        (
            '[orders] date_format = "%d-%m-%y" (or "%m-%d-%y", "%y-%m-%d")',
            [[f"orders.date_format={form}"] for form in ("%d-%m-%y", "%m-%d-%y", "%y-%m-%d")],
        ),
        (
            '[orders] nulls = ["", "NA", "-999"] (without, where it is a true value)',
            [["orders.nulls=['', 'NA', '-999']"]],
        ),
        (
            'a table fx (currency, valid_from, rate) and currency = "GBP"; currency alone rejects',
            [["currency=GBP"]],
        ),
        (
            '[orders.values.status] "returned" = "sale" (or "unpaid", "refunded"; others too)',
            [[f"orders.values.status.returned={word}"] for word in ("sale", "unpaid", "refunded")],
        ),
        ("the ids exported as text", []),
    ],
)
def test_the_answers_of_the_audit_are_read_as_options(text, expected):
    offers = offered_answers(text)
    assert offers == expected
    for answer in (one for offer in offers for one in offer):
        assert read_answer(answer)


@pytest.mark.parametrize("text", ["true", "", "[orders]", "= 3"])
def test_what_is_no_answer_is_refused(text):
    with pytest.raises(ParameterError, match=r"expected an answer such as orders\.day_first=true"):
        read_answer(text)


def test_the_command_names_what_it_wrote(shop, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert cli.invoke(["start", "shop"]) == 0
    shown = capsys.readouterr().out
    assert "shop-customers" in shown
    assert "90 customers spent" in shown
    monkeypatch.setattr("segkit.start.DEMO_CUSTOMERS", 120)
    assert cli.invoke(["start", "--demo"]) == 0
    assert (tmp_path / "simulated-retailer-customers" / PAGE).exists()
    assert cli.invoke(["start"]) == cli.USAGE
    assert cli.invoke(["start", "shop", "--demo"]) == cli.USAGE
    assert cli.invoke(["start", "none.csv"]) == cli.GATE
    assert "there is no file none.csv" in capsys.readouterr().err


def test_addresses_and_consent_of_the_order_lines_are_used(tmp_path):
    """The latest order speaks: c2 agreed at first and refuses with its last order."""
    latest = pl.col("order_time") == pl.col("order_time").max().over("customer_id")
    refuses = (pl.col("customer_id") == "c2") & latest
    stated = lines().with_columns(
        (pl.col("customer_id") + "@shop.example").alias("E-Mail"),
        pl.when(refuses).then(pl.lit("nein")).otherwise(pl.lit("ja")).alias("Newsletter"),
        pl.col("order_time").dt.strftime("%d.%m.%Y").alias("Bestelldatum"),  # no order as text
        pl.format("{},00 €", pl.col("amount").cast(pl.Int64)).alias("Gesamtbetrag"),
        pl.format("A{}", pl.int_range(pl.len()) + 1000).alias("Auftragsnummer"),
    )
    stated = stated.rename({"customer_id": "Kundennr."}).drop("order_time", "amount")
    stated.write_csv(tmp_path / "bestellungen.csv", separator=";")
    made = start(tmp_path / "bestellungen.csv", out=tmp_path / "out")
    listed = set(pl.read_csv(tmp_path / "out" / "klaviyo.csv")["Email Address"])
    assert listed == {f"c{k}@shop.example" for k in range(90) if k != 2}
    assert made.notices == ()
    assert made.outlook.currency == "EUR"
    assert made.outlook.customers["revenue"].sum() == pytest.approx(lines()["amount"].sum())


def test_a_page_says_first_that_many_lines_are_not_used_and_why(tmp_path):
    guests = pl.when(pl.int_range(pl.len()) % 4 == 0).then(None).otherwise("customer_id")
    lines().with_columns(guests.alias("customer_id")).write_csv(tmp_path / "orders.csv")
    made = start(tmp_path / "orders.csv", out=tmp_path / "out", answers=["orders.zero=keep"])
    lost = (lines().height + 3) // 4
    worth = lines()["amount"].gather_every(4).sum()
    text = f"lines of your file are used: missing customer id {lost} ({worth:,.0f})."
    assert f"Only 75% of the {text}" in (made.page.read_text(encoding="utf-8"))


def test_a_page_says_what_people_and_orders_are_doubted(tmp_path):
    lines().drop("order_id", strict=False).write_csv(tmp_path / "orders.csv")
    made = start(tmp_path / "orders.csv", out=tmp_path / "out", answers=["orders.zero=keep"])
    assert "No order ids: one order is taken to be one customer" in (
        made.page.read_text(encoding="utf-8")
    )


def test_a_handful_of_customers_is_shown_with_a_warning(tmp_path):
    few = pl.DataFrame(
        {"customer": ["A", "B", "A"], "date": ["2024-01-02", "2024-02-03", "2024-03-04"]}
    ).with_columns(amount=pl.Series([10.0, 20.0, 5.0]))
    few.write_csv(tmp_path / "orders.csv")
    made = start(tmp_path / "orders.csv", out=tmp_path / "out")
    assert made.notices[0].startswith("There are only 2 customers")
    assert "Nobody is slipping away." in made.page.read_text(encoding="utf-8")
