"""Segment rules as SQL and as a dbt project: DuckDB gives every customer segkit's segment."""

import tempfile
from datetime import date, timedelta
from itertools import product
from pathlib import Path

import duckdb
import jinja2
import numpy as np
import polars as pl
import pytest
import yaml

from segkit.cli import invoke
from segkit.errors import ModelError, ParameterError, RuleError, SourceError
from segkit.rfm import Cuts, SegmentSql, build_rfm_segments, score_rfm
from segkit.rules import Rule, RuleSet
from segkit.rules.conditions import Comparison, IsNull

AS_OF = date(2025, 6, 30)


def edges(cuts):
    """Return every combination of values at, just below and just above each cut, and missing."""

    def around(values):
        near = [x for v in values for x in (np.nextafter(v, -np.inf), v, np.nextafter(v, np.inf))]
        return [*dict.fromkeys([*near, max(values) + 1e6])]

    days = [None, 0, *sorted({int(v) + d for v in cuts.recency for d in (-1, 0, 1)})]
    counts = [None, 0, *sorted({int(v) + d for v in cuts.frequency for d in (-1, 0, 1)})]
    rows = product(days, counts, [None, -50.0, 0.0, *around(cuts.monetary)])
    schema = {"recency_days": pl.Int32, "frequency": pl.Int32, "monetary": pl.Float64}
    frame = pl.DataFrame(list(rows), schema=schema, orient="row").unique(maintain_order=True)
    ids = pl.Series("customer_id", [f"c{i}" for i in range(frame.height)])
    return frame.insert_column(0, ids)


@pytest.fixture(scope="module")
def customers():
    """Return customers with ties, and the cuts that their quantiles give."""
    rng = np.random.default_rng(1)
    frame = pl.DataFrame(
        {
            "customer_id": [f"c{i}" for i in range(300)],
            "recency_days": rng.integers(0, 400, 300),
            "frequency": rng.geometric(0.5, 300),
            "monetary": (rng.gamma(2, 40, 300) * 3).round(1) / 3,
        }
    )
    return frame, score_rfm(frame).cuts


def rendered(text, table):
    """Render a model as dbt does, for a database without schemas."""
    return (
        jinja2.Environment(undefined=jinja2.StrictUndefined)  # noqa: S701 (SQL is no page)
        .from_string(text)
        .render(
            config=lambda **_: "",
            source=lambda _, name: f'"{table or name}"',
            ref=lambda name: f'"{name}"',
            var=lambda name: {"as_of": str(AS_OF)}[name],
        )
    )


def run_dbt(folder, connection, table=""):
    """Build a project's models in order and return the last one's rows and the tests that fail."""
    assert yaml.safe_load((folder / "dbt_project.yml").read_text())["model-paths"] == ["models"]
    schema = yaml.safe_load((folder / "models/schema.yml").read_text())
    for name in ("rfm_table", "rfm_scores", "customer_segments"):
        path = folder / "models" / f"{name}.sql"
        if path.exists():
            connection.execute(
                f'CREATE OR REPLACE TABLE "{name}" AS {rendered(path.read_text(), table)}'
            )
    failures = []
    for part in (*schema["models"], *schema["sources"][0]["tables"]):
        for column in part.get("columns", ()):
            for test in column["data_tests"]:
                kind, options = next(iter(test.items())) if isinstance(test, dict) else (test, {})
                query = failing(kind, options, part["name"], column["name"])
                if connection.execute(query).fetchone()[0]:
                    failures.append((part["name"], column["name"], kind))
    return rows_of(connection, 'SELECT * FROM "customer_segments"'), failures


def failing(kind, options, table, column):
    """Return the query that counts the rows on which one of dbt's own tests fails."""
    where = options.get("config", {}).get("where", "TRUE")
    if kind == "not_null":
        return f'SELECT count(*) FROM "{table}" WHERE {where} AND "{column}" IS NULL'
    if kind == "unique":
        return f'SELECT count("{column}") - count(DISTINCT "{column}") FROM "{table}"'
    assert kind == "accepted_values"
    values = options["arguments"]["values"]
    quoted = options["arguments"].get("quote", True)
    # dbt puts quotes around a value as it is, and renders what is in brackets
    listed = ", ".join(rendered(f"'{v}'" if quoted else str(v), "") for v in values)
    return f'SELECT count(*) FROM "{table}" WHERE "{column}" NOT IN ({listed})'


def loaded(frame, name="customers"):
    connection = duckdb.connect()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "given.parquet"
        frame.write_parquet(path)
        connection.execute(f'CREATE TABLE "{name}" AS SELECT * FROM read_parquet(?)', [str(path)])
    return connection


def rows_of(connection, query):
    """Return a query's rows; DuckDB hands Polars no frame without pyarrow."""
    answer = connection.execute(query)
    names = [column[0] for column in answer.description]
    rows = answer.fetchall()
    return pl.DataFrame(rows, schema=names, orient="row", infer_schema_length=None)


def same(one, two):
    columns = ["customer_id", "r", "f", "m", "rfm", "segment"]
    both = [
        f.select(columns).cast(dict.fromkeys("rfm", pl.Int64)).sort("customer_id")
        for f in (one, two)
    ]
    assert both[0].equals(both[1])


@pytest.mark.parametrize("bins", [5, 3, 12])
def test_every_customer_has_the_same_scores_and_segment_in_sql_and_dbt(customers, bins, tmp_path):
    frame, _ = customers
    cuts = score_rfm(frame, bins=bins).cuts
    near = edges(cuts).with_columns(customer_id="e" + pl.col("customer_id"))
    everybody = pl.concat([frame, near], how="vertical_relaxed")
    expected = score_rfm(everybody, cuts=cuts).frame
    assert expected["segment"].null_count() > 10
    sql = SegmentSql.of_cuts(cuts)
    connection = loaded(everybody)
    same(rows_of(connection, sql.to_sql()), expected)
    written = sql.write_dbt(tmp_path / "dbt")
    assert {path.name for path in written} == {
        "rfm_scores.sql", "customer_segments.sql", "schema.yml", "dbt_project.yml",
    }  # fmt: skip
    rows, failures = run_dbt(tmp_path / "dbt", connection)
    same(rows, expected)
    assert failures == []
    # the tests see what is wrong
    connection.execute("INSERT INTO customers SELECT * FROM customers WHERE customer_id = 'c1'")
    _, failures = run_dbt(tmp_path / "dbt", connection)
    assert {(part, kind) for part, _, kind in failures} == {
        ("customers", "unique"), ("customer_segments", "unique"),
    }  # fmt: skip


@pytest.mark.parametrize("monetary", ["net", "gross"])
def test_order_lines_are_added_up_as_segkit_does(monetary, tmp_path):
    rng = np.random.default_rng(2)
    n = 900
    back = rng.random(n) < 0.15
    lines = pl.DataFrame(
        {
            "customer_id": [f"c{i}" for i in rng.integers(0, 150, n)],
            "order_id": [f"o{i}" for i in rng.integers(0, 400, n)],
            "order_day": (AS_OF - date(1970, 1, 1)).days - rng.integers(-20, 500, n),
            "amount": np.where(back, -1, 1) * rng.gamma(2, 30, n).round(2),
            "is_return": back,
        }
    )
    only_returns = lines.head(1).with_columns(
        customer_id=pl.lit("back"), is_return=True, order_day=pl.lit(20000, pl.Int64)
    )
    lines = pl.concat([lines, only_returns])
    expected = score_rfm(lines, as_of=AS_OF, monetary=monetary)
    assert expected.unscored
    sql = SegmentSql.of_cuts(expected.cuts, expected.rules, table="orders", monetary=monetary)
    assert sql.as_of == AS_OF
    days = lines.with_columns(order_date=pl.date(1970, 1, 1) + pl.duration(days="order_day"))
    connection = loaded(days.drop("order_day"), "lines of orders")
    same(rows_of(connection, sql.to_sql("lines of orders")), expected.frame)
    sql.write_dbt(tmp_path / "dbt", table="lines of orders")
    rows, failures = run_dbt(tmp_path / "dbt", connection)
    same(rows, expected.frame)
    assert failures == []


RULES = """
Can't {{ wait }}: region = 'Land''s {% End %}' and visits > 3
Rest: region != 'Land''s {% End %}' or visits <= 3 or region is null or visits is null
"""


def test_rules_over_other_columns_keep_their_texts_and_nulls(tmp_path):
    rules = RuleSet.parse(RULES)
    frame = (
        pl.DataFrame(
            list(product(["Land's {% End %}", "North", None], [None, 3, 4])),
            schema={"region": pl.String, "visits": pl.Int64},
            orient="row",
        )
        .with_row_index("customer_id")
        .cast({"customer_id": pl.String})
    )
    expected = rules.apply(frame)
    connection = loaded(frame)
    assert rows_of(connection, SegmentSql(rules).to_sql()).equals(expected)
    SegmentSql(rules).write_dbt(tmp_path / "dbt")
    rows, failures = run_dbt(tmp_path / "dbt", connection)
    assert rows.equals(expected)
    assert failures == []
    schema = yaml.safe_load((tmp_path / "dbt/models/schema.yml").read_text())
    assert schema["models"][0]["columns"][-1]["data_tests"][1] == "not_null"  # no gap, so tested
    with_gap = RuleSet.parse("Keen: visits > 3")
    SegmentSql(with_gap).write_dbt(tmp_path / "gap")
    _, failures = run_dbt(tmp_path / "gap", connection)
    assert failures == []  # some have no segment, and no test says that everybody has


def test_rules_that_overlap_become_a_column_each(tmp_path):
    rules = RuleSet.take({"Keen": "visits > 3", "North": "region = 'North'"})
    frame = pl.DataFrame(
        {"customer_id": ["a", "b"], "visits": [9, None], "region": ["North", None]}
    )
    rows = rows_of(loaded(frame), SegmentSql(rules).to_sql())
    assert rows.select("Keen", "North").equals(rules.matches(frame))
    SegmentSql(rules).write_dbt(tmp_path / "dbt")
    assert run_dbt(tmp_path / "dbt", loaded(frame))[1] == []


def test_a_saved_model_or_a_runs_folder_is_read(customers, tmp_path):
    _, cuts = customers
    data = tmp_path / "run" / "03_rfm_segments" / "data"
    data.mkdir(parents=True)
    cuts.save(data / "rfm_cuts.json")
    build_rfm_segments(5).save(data / "rfm_rules.json")
    sql = SegmentSql.of_cuts(cuts).to_sql()
    assert SegmentSql.load(tmp_path / "run").to_sql() == sql
    assert SegmentSql.load(data / "rfm_cuts.json").to_sql() == sql
    assert SegmentSql.load(data / "rfm_rules.json").cuts is None
    with pytest.raises(SourceError, match="holds no RFM segments"):
        SegmentSql.load(data)
    (tmp_path / "list.json").write_text("[1]")
    with pytest.raises(ModelError, match="neither rules nor cuts"):
        SegmentSql.load(tmp_path / "list.json")
    with pytest.raises(RuleError, match="no rule file"):
        SegmentSql.load(tmp_path / "none.toml")


def test_segkit_sql_prints_the_query_or_writes_it(customers, tmp_path, capsys):
    frame, cuts = customers
    path = str(cuts.save(tmp_path / "cuts.json"))
    assert invoke(["sql", path, "--table", "crm"]) == 0
    query = capsys.readouterr().out
    assert rows_of(loaded(frame, "crm"), query).height == 300
    words = ["--from", "orders", "--as-of", "2025-06-30", "--dbt", str(tmp_path / "dbt")]
    assert invoke(["sql", path, *words, "--out", str(tmp_path / "segments.sql")]) == 0
    assert (tmp_path / "segments.sql").read_text().startswith('WITH "rfm_table" AS')
    assert 'as_of: "2025-06-30"' in (tmp_path / "dbt" / "dbt_project.yml").read_text()
    assert invoke(["sql", path, "--from", "visits"]) == 2
    assert invoke(["sql", path, "--from", "orders"]) == 2
    assert "order lines need the last day" in capsys.readouterr().err


def test_wrong_requests_are_refused_in_words(customers, tmp_path):
    _, cuts = customers
    rules = RuleSet.parse("Keen: visits > 3")
    with pytest.raises(ParameterError, match="give the cuts too"):
        SegmentSql(rules, table="orders", as_of=AS_OF)
    with pytest.raises(ParameterError, match="order lines need the last day"):
        SegmentSql.of_cuts(cuts, table="orders")
    with pytest.raises(ParameterError, match="rules over r, f and m; got visits"):
        SegmentSql.of_cuts(cuts, rules)
    with pytest.raises(RuleError, match="match nobody's rule"):
        SegmentSql.of_cuts(Cuts((1,), (1,), (1,), "fixed", "given"), RuleSet.parse("Best: r = 2"))
    (tmp_path / "x").touch()
    with pytest.raises(ParameterError, match="not empty"):
        SegmentSql(rules).write_dbt(tmp_path)
    with pytest.raises(ParameterError, match="dbt takes names of a-z"):
        SegmentSql(rules).write_dbt(tmp_path / "new", project="My Shop")


def test_a_day_later_everybody_is_a_day_older():
    cuts = Cuts((30.0,), (2.0,), (100.0,), method="fixed", ties="given")
    lines = pl.DataFrame(
        {
            "customer_id": ["a"],
            "order_id": ["1"],
            "amount": [5.0],
            "order_date": [AS_OF - timedelta(days=29)],
            "is_return": [False],
        }
    )
    recency = []
    for later in (0, 1):
        day = AS_OF + timedelta(days=later)
        sql = SegmentSql.of_cuts(cuts, table="orders", as_of=day).to_sql()
        recency += rows_of(loaded(lines, "orders"), sql)["r"].to_list()
    assert recency == [2, 1]


def test_line_breaks_and_apostrophes_are_taken_as_they_are(tmp_path):
    texts = ["Land\nEnd", "Land\r\nEnd", "o'x\n{% y", "plain\u2028z", None]
    wanted = ["R0", "R1", "R2", "R3", "Rest"]
    conditions = [*(Comparison("region", "=", text) for text in texts[:4]), IsNull("region")]
    rules = RuleSet(tuple(map(Rule, wanted, conditions)), policy="first")
    frame = pl.DataFrame({"customer_id": [*"abcde"], "region": texts})
    assert rules.apply(frame)["segment"].to_list() == wanted
    assert rows_of(loaded(frame), SegmentSql(rules).to_sql())["segment"].to_list() == wanted
    SegmentSql(rules).write_dbt(tmp_path / "dbt", table="o'x \\ y")
    text = (tmp_path / "dbt/models/customer_segments.sql").read_bytes().decode()
    rows = rows_of(loaded(frame, "o'x \\ y"), rendered(text, ""))
    assert rows["segment"].to_list() == wanted
    cuts = Cuts((30.0,), (2.0,), (100.0,), method="fixed", ties="given")
    query = SegmentSql.of_cuts(cuts).to_sql("two\nlines")
    assert 'FROM "two\nlines"' in query
