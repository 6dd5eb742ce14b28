"""Files as people have them: headers, line ends, quotes, damage, workbooks, queries."""

import gzip
import sqlite3

import polars as pl
import pytest

import segkit
from segkit.errors import DataError, MappingError, SourceError
from segkit.intake import Mapping
from segkit.intake.workbooks import read_excel

HEADER = "customer_id,order_time,amount"
ROWS = [f"c{i},2024-01-0{i + 1},{amount}" for i, amount in enumerate(("10.50", "20.25", "30.00"))]
AMOUNTS = [10.5, 20.25, 30.0]


def write(folder, text, name="orders.csv", encoding="utf-8"):
    (folder / name).write_bytes(text.encode(encoding) if isinstance(text, str) else text)
    return folder / name


def taken(path, mapping=None):
    return segkit.clean_data(path, mapping)


# Headers ------------------------------------------------------------------------------------


@pytest.mark.parametrize("second", ["amount", " amount", "Amount"])
def test_two_columns_of_one_name_are_asked_about(tmp_path, second):
    path = write(tmp_path, "\n".join([f"{HEADER},{second}", *(f"{row},99" for row in ROWS)]))
    with pytest.raises(DataError, match="Several columns could be amount: 'amount'") as error:
        taken(path)
    name = "Amount" if second == "Amount" else "amount (2)"
    assert repr(name) in str(error.value)
    first = {"orders": {"columns": {"amount": "amount"}}}
    assert taken(path, first).orders["amount"].to_list() == AMOUNTS
    other = {"orders": {"columns": {"amount": name}}}
    assert taken(path, other).orders["amount"].to_list() == [99.0] * 3
    told = [f.finding for f in segkit.audit_data(path).findings]
    assert any("2 columns are called 'amount'" in line for line in told) == (name != "Amount")


def test_two_columns_of_one_name_and_one_content_are_one(tmp_path):
    path = write(tmp_path, "customer_id,order_time,amount,amount\nc1,2024-01-01,5,5\n")
    assert taken(path).orders["amount"].to_list() == [5.0]


@pytest.mark.parametrize(
    "above",
    [
        ["Report of sales", "Generated 2024", ""],
        ["Report of sales,,", "from;to,2024-01-01,"],
        ["sep=,"],
        [""],
    ],
)
def test_lines_above_the_header_are_skipped_and_said(tmp_path, above):
    path = write(tmp_path, "\n".join([*above, HEADER, *ROWS, "c9,soon,1.00"]))
    found = taken(path)
    assert found.orders["amount"].to_list() == AMOUNTS
    place = len(above) + 1 + len(ROWS) + 1
    assert f"(line {place})" in found.ledger.steps[1].rejected[0].examples[0]
    said = any("above the header" in note for note in found.notes)
    assert said == (above != ["sep=,"])


def test_a_wide_first_line_is_the_header_whatever_follows(tmp_path):
    path = write(tmp_path, "customer_id,order_time,amount,note\nc1,2024-01-01,5\nc2,2024-01-01,6\n")
    assert taken(path).orders["amount"].to_list() == [5.0, 6.0]


def test_the_sign_that_a_file_names_parts_its_cells(tmp_path):
    path = write(tmp_path, "\r\n".join(["sep=|", HEADER.replace(",", "|"), "c1|2024-01-01|1,5"]))
    assert taken(path, {"decimal": ","}).orders["amount"].to_list() == [1.5]


# Lines and quotes ------------------------------------------------------------------------------


@pytest.mark.parametrize("end", ["\r", "\r\n", "\n"])
def test_every_line_end_is_read(tmp_path, end):
    found = taken(write(tmp_path, end.join([HEADER, *ROWS])))
    assert found.orders["amount"].to_list() == AMOUNTS
    assert any("carriage return" in note for note in found.notes) == (end == "\r")


def test_quotes_within_cells_are_read_as_they_stand(tmp_path):
    lines = [
        f"{HEADER},product",
        f'{ROWS[0]},24" monitor',
        f'{ROWS[1]},"B, x"',
        f'{ROWS[2]},6" pan',
    ]
    found = taken(
        write(tmp_path, "\n".join(lines)), {"orders": {"columns": {"category": "product"}}}
    )
    assert found.orders["category"].to_list() == ['24" monitor', "B, x", '6" pan']
    assert any("quotes" in note for note in found.notes)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("a,b,c\n1,2,3\n4,5,6,7\n", r"line 3 has 4 cells, the header 3.*delimiter"),
        ('a,b\n1,"open\n2,x\n', "never closed"),
        ("a,b\n1,\0\n", "NUL character on line 2.*encoding"),
        (b"PK\x03\x04....", "ZIP archive or workbook"),
        (b"\xff\xfea", "cannot be read as utf-16"),
    ],
)
def test_lines_that_make_no_table_are_named(tmp_path, text, words):
    with pytest.raises(SourceError, match=words):
        segkit.audit_data(write(tmp_path, text))


def test_a_second_table_below_the_first_is_refused_and_a_footer_is_not(tmp_path):
    header = "order_id,customer_id,order_time,amount"
    rows = [f"B{n},K{n % 7},2024-01-{1 + n % 28:02},{n}.50" for n in range(1, 60)]
    other = ["customer_id,name,city,since", *(f"K{n},Ann,Leeds,2022-01-01" for n in range(7))]
    with pytest.raises(SourceError, match=r"second table, with another header about line 6\d"):
        segkit.audit_data(write(tmp_path, "\n".join([header, *rows, "", *other])))
    again = [row.replace("B", "C") for row in rows]
    for more in ([header, *again], ["Made,by,the,shop"], ["Total,,,5000.00"]):
        text = "\n".join([header, *rows, *more])
        assert taken(write(tmp_path, text)).orders.height >= len(rows)


def test_a_row_that_describes_the_columns_is_left_out_and_said(tmp_path):
    header = "order_id,customer_id,order_time,amount"
    said = '"Platform unique\norder ID.",The buyer.,Order created time.,"Paid, in all."'
    rows = [f"B{n},K{n % 7},2024-01-{1 + n % 28:02},{n}.50" for n in range(1, 60)]
    found = taken(write(tmp_path, "\n".join([header, said, *rows])))
    assert (found.orders.height, found.rejects["orders"].height) == (59, 0)
    assert any("1 row below the header that describes the columns" in n for n in found.notes)


def test_empty_cells_beyond_the_header_are_left_out(tmp_path):
    found = taken(write(tmp_path, "\n".join([HEADER, *(f"{row},," for row in ROWS)])))
    assert found.orders["amount"].to_list() == AMOUNTS
    assert any("beyond the header" in note for note in found.notes)


def test_packed_files_that_are_cut_or_damaged_say_so(tmp_path):
    packed = gzip.compress("\n".join([HEADER, *ROWS * 50]).encode())
    damaged = packed[:-6] + b"\0\0" + packed[-4:]
    for data, words in ((packed[:-20], "cut short"), (damaged, "damaged"), (packed[:5], "cut")):
        with pytest.raises(SourceError, match=rf"{words}.*download it again"):
            segkit.audit_data(write(tmp_path, data, "orders.csv.gz"))


@pytest.mark.parametrize("encoding", ["utf-16-le", "utf-16-be", "utf-32", "cp1252", "utf-8-sig"])
def test_encodings_without_a_mark_are_seen(tmp_path, encoding):
    text = "\n".join([HEADER, "Müller,2024-01-01,1.00", *ROWS * 5])
    found = taken(write(tmp_path, text, encoding=encoding))
    assert found.orders["customer_id"][0] == "Müller"


def test_lines_in_two_encodings_are_each_read_in_theirs(tmp_path):
    lines = [
        HEADER.encode(),
        "Müller,2024-01-01,1".encode(),
        "Müller,2024-01-02,2".encode("cp1252"),
    ]
    found = taken(write(tmp_path, b"\n".join(lines)))
    assert found.orders["customer_id"].to_list() == ["Müller", "Müller"]
    assert any("1 line not in UTF-8" in note for note in found.notes)


# Columns that hold lists, mappings that nest -----------------------------------------------------


def test_columns_of_lists_are_asked_about_where_used_and_left_alone_elsewhere(tmp_path):
    base = pl.DataFrame({"customer_id": ["a", "b"], "order_time": ["2024-01-01"] * 2})
    amount = base.with_columns(amount=pl.Series([[1.0], [2.0]]))
    amount.write_parquet(tmp_path / "orders.parquet")
    with pytest.raises(DataError, match=r"holds List\(Float64\)"):
        taken(tmp_path / "orders.parquet")
    spare = base.with_columns(
        amount=pl.lit(1.0), tags=pl.Series([["x"], None]), box=pl.struct(a=pl.lit(1))
    )
    assert taken(spare).orders.height == 2
    with pytest.raises(DataError, match="holds List"):
        taken(spare, {"orders": {"columns": {"category": "tags"}}})


@pytest.mark.parametrize("text", ["a = " + "[" * 5000, "a = " + "9" * 5000, "a = nan", "= 3"])
def test_mapping_files_that_nest_or_count_too_far_are_refused(tmp_path, text):
    with pytest.raises(MappingError):
        Mapping.load(write(tmp_path, text, "m.toml"))


# Workbooks ---------------------------------------------------------------------------------------


def workbook(path, sheets):
    xlsxwriter = pytest.importorskip("xlsxwriter")
    book = xlsxwriter.Workbook(str(path))
    for name, rows in sheets.items():
        sheet = book.add_worksheet(name)
        for place, row in enumerate(rows):
            sheet.write_row(place, 0, row)
    book.close()
    return path


def test_a_column_that_changes_its_type_late_is_read_as_text(tmp_path):
    rows = [[1000 + i, "2024-01-05", 1.5, i] for i in range(1500)]
    rows[1200][0], rows[1300][2], rows[1400][3] = "A12", "12.50 EUR", "none"
    path = workbook(tmp_path / "o.xlsx", {"s": [[*HEADER.split(","), "quantity"], *rows]})
    found = taken(path)
    assert found.orders.height == 1500
    assert found.orders["customer_id"][1200] == "A12"
    assert found.orders["customer_id"][0] == "1000"
    assert found.orders["amount"].sum() == 1499 * 1.5 + 12.5
    assert any("1 value of quantity" in note for note in found.notes)


def test_texts_with_a_decimal_comma_among_numbers_are_read(tmp_path):
    rows = [[f"c{i % 9}", "2024-01-05", 10.5 + i, 30] for i in range(40)]
    said = {3: "71,10 €", 9: "71,10", 15: "71.10 €", 21: "€ 1.071,10", 27: "kr. -71,10"}
    for row, text in said.items():
        rows[row][2] = text
    path = workbook(tmp_path / "o.xlsx", {"s": [[*HEADER.split(","), "quantity"], *rows]})
    frame = read_excel(path, None, "orders").frame
    read = frame["amount"]
    assert {*frame["quantity"].cast(pl.String)} == {"30"}
    assert read.filter(read.str.contains("[^0-9.]")).to_list() == [
        "71.10 €", "71.10 €", "€ 1071.10", "kr -71.10"]  # fmt: skip
    assert (read[9], read[0], read.null_count()) == ("71.10", "10.5", 0)
    texts = [[f"c{i % 9}", "2024-01-05", f"{i},50" if i else 2.5, 1] for i in range(40)]
    path = workbook(tmp_path / "t.xlsx", {"s": [[*HEADER.split(","), "quantity"], *texts]})
    assert read_excel(path, None, "orders").frame["amount"][1] == "1,50"  # a column of texts


def test_sheets_with_the_same_columns_are_asked_about(tmp_path):
    jan, feb = (
        [HEADER.split(","), ["a", "2024-01-05", 1]],
        [HEADER.split(","), ["b", "2024-02-05", 2]],
    )
    path = workbook(tmp_path / "o.xlsx", {"Jan": jan, "Feb": feb, "Notes": [["see"]]})
    with pytest.raises(SourceError, match=r"--answer \"orders.sheet=\['Jan', 'Feb'\]\""):
        segkit.audit_data(path)
    assert taken(path, {"orders": {"sheet": "Feb"}}).orders["amount"].to_list() == [2.0]
    assert taken(path, {"orders": {"sheet": ["Jan", 2]}}).orders["amount"].to_list() == [1.0, 2.0]
    with pytest.raises(SourceError, match="did you mean 'Jan'"):
        taken(path, {"orders": {"sheet": "Jann"}})


def test_a_sheet_of_contacts_is_read_as_the_customers_wherever_it_stands(tmp_path):
    contacts = [
        ["Kundennr", "E-Mail", "Newsletter"],
        ["a", "a@x.org", "ja"],
        ["b", "b@x.org", "nein"],
    ]
    sales = [["Kundennr", "Auftragsnr", "Datum", "Betrag"], ["a", "A1", "2024-01-05", 1.5]]
    for sheets in (
        {"Rubrica": contacts, "Vendite": sales},
        {"Vendite": sales, "Rubrica": contacts},
    ):
        found = taken(workbook(tmp_path / "o.xlsx", sheets))
        assert found.orders["amount"].to_list() == [1.5]
        assert found.customers["marketing_consent"].to_list() == [True, False]
        assert any("'Rubrica' is read as the table of customers" in note for note in found.notes)


def test_a_second_list_that_states_consents_is_put_to_the_first_or_refused(tmp_path):
    sales = [["Kundennr", "Auftragsnr", "Datum", "Betrag"], ["a", "A1", "2024-01-05", 1.5],
             ["b", "A2", "2024-01-06", 2.5]]  # fmt: skip
    head = ["Kundennr", "E-Mail", "Newsletter"]
    first, more = [head, ["a", "a@x.org", "ja"]], [head, ["b", "b@x.org", "nein"]]
    other = [["Kundennr", "Name", "Werbung"], ["a", "Ann", "nein"]]
    book = {"Vendite": sales, "Rubrica": first, "Kontakte": more}
    (folder := tmp_path / "shop").mkdir()
    lists = {"orders": sales, "customers": first, "Kontakte": more}
    for name, rows in lists.items():
        write_lines(folder / f"{name}.csv", rows)
    for source in (workbook(tmp_path / "o.xlsx", book), folder):
        found = taken(source).customers.sort("customer_id")
        assert found["marketing_consent"].to_list() == [True, False]
    write_lines(folder / "Kontakte.csv", other)
    for source in (workbook(tmp_path / "p.xlsx", book | {"Kontakte": other}), folder):
        with pytest.raises(SourceError, match=r"customers: .* have different columns"):
            taken(source)
    write_lines(folder / "Kontakte.csv", [["Kundennr", "Name"], ["a", "Ann"]])  # says no consent
    assert taken(folder).customers["customer_id"].to_list() == ["a"]


def write_lines(path, rows):
    path.write_text("\n".join(",".join(map(str, row)) for row in rows), encoding="utf-8")


def test_covers_and_titles_of_workbooks_are_passed_over_and_said(tmp_path):
    table = [["Sales 2024"], [], [*HEADER.split(","), "amount"], ["a", "2024-01-05", 1, 1]]
    path = workbook(tmp_path / "o.xlsx", {"Cover": [["Hello"]], "Data": table})
    found = taken(path)
    assert found.orders["amount"].to_list() == [1.0]
    assert any("'Data' is read, 'Cover' not" in note for note in found.notes)
    assert any("2 rows above the header" in note for note in found.notes)


# Queries -----------------------------------------------------------------------------------------


def sqlite(folder):
    path = folder / "shop.sqlite"
    with sqlite3.connect(path) as link:
        link.execute("create table o (customer_id, order_time, amount)")
        link.execute("insert into o values ('a', '2024-01-05', 1.5)")
    link.close()
    return path


@pytest.mark.parametrize(
    "sql",
    [
        "attach '{folder}/made.db' as m",
        "select * from o; attach '{folder}/made.db' as m",
        "vacuum into '{folder}/made.db'",
        "pragma journal_mode = wal",
        "create table p (a)",
        "create temp table p (a)",
        "insert into o values ('b', '2024-01-05', 1)",
        "delete from o",
        "select load_extension('x')",
        "select * from pragma_database_list",
    ],
)
def test_a_query_on_sqlite_makes_no_file_and_changes_nothing(tmp_path, sql):
    path = sqlite(tmp_path)
    before = path.read_bytes()
    with pytest.raises(SourceError, match=r"failed|expected one statement"):
        taken(path, {"orders": {"sql": sql.format(folder=tmp_path)}})
    assert sorted(item.name for item in tmp_path.iterdir()) == ["shop.sqlite"]
    assert path.read_bytes() == before
    whole = "with t as (select *, upper(customer_id) as who from o) select * from t"
    assert taken(path, {"orders": {"sql": whole}}).orders["amount"].to_list() == [1.5]


@pytest.mark.parametrize(
    "sql",
    [
        "attach '{folder}/made.db' as m",
        "copy o to '{folder}/made.csv'",
        "select * from read_csv('{folder}/secret.csv')",
        "select * from read_text('{folder}/secret.csv')",
        "select * from '{folder}/secret.csv'",
        "select * from glob('{folder}/*')",
        "select * from o; copy o to '{folder}/made.csv'",
        "set enable_external_access = true",
        "insert into o values ('b', '2024-01-05', 1)",
        "install httpfs",
    ],
)
def test_a_query_on_duckdb_makes_no_file_and_reads_no_other(tmp_path, sql):
    duckdb = pytest.importorskip("duckdb")
    path = tmp_path / "shop.duckdb"
    with duckdb.connect(str(path)) as link:
        link.execute("create table o as select 'a' customer_id, date '2024-01-05' d, 1.5 amount")
    write(tmp_path, "x\n1\n", "secret.csv")
    with pytest.raises(SourceError, match=r"failed|expected one statement"):
        taken(path, {"orders": {"sql": sql.format(folder=tmp_path)}})
    assert sorted(item.name for item in tmp_path.iterdir()) == ["secret.csv", "shop.duckdb"]
    whole = "select customer_id, d as order_time, amount, amount from o"
    found = taken(path, {"orders": {"sql": whole}})
    assert found.orders["amount"].to_list() == [1.5]
