"""Rules as data: what is read is what is applied, checked and printed as SQL."""

import itertools
import json
import operator
from datetime import date
from pathlib import Path

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from segkit.errors import ColumnError, RuleError
from segkit.result import decode, encode
from segkit.rules import (
    All,
    Between,
    Comparison,
    Domain,
    Either,
    IsNull,
    Membership,
    Negation,
    Rule,
    RuleSet,
    parse_condition,
)
from segkit.rules.conditions import expression, write

SCORE = Domain("integer", low=1, high=5, nullable=False)
REFERENCE = Path(__file__).parent / "reference" / "rfm_segment_tables.csv"


def boxes(version):
    table = pl.read_csv(REFERENCE, comment_prefix="#", schema_overrides={"version": pl.String})
    rows = table.filter(pl.col("version") == version).drop("version").rows()
    return {name: tuple(zip(ends[::2], ends[1::2], strict=True)) for name, *ends in rows}


def published(version):
    rules = [
        Rule(
            name,
            " and ".join(
                f"{c} between {lo} and {hi}" for c, (lo, hi) in zip("rfm", box, strict=True)
            ),
        )
        for name, box in boxes(version).items()
    ]
    return RuleSet(tuple(rules), domains=dict.fromkeys("rfm", SCORE))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("recency_days <= 30", Comparison("recency_days", "<=", 30)),
        ("a == -1.5e2", Comparison("a", "=", -150.0)),
        ("a <> 1_000", Comparison("a", "!=", 1000)),
        ("3 < a", Comparison("a", ">", 3)),
        ("1 <= a < 3", All((Comparison("a", ">=", 1), Comparison("a", "<", 3)))),
        ("region in ('Land''s End', \"North\")", Membership("region", ("Land's End", "North"))),
        ("a NOT IN [1, 2, 1]", Membership("a", (1, 2), negated=True)),
        ("a not between 2 and 3", Between("a", 2, 3, negated=True)),
        ("`order value` is not null", IsNull("order value", negated=True)),
        ("first >= 2024-01-31", Comparison("first", ">=", date(2024, 1, 31))),
        ("consent = true", Comparison("consent", "=", True)),
        ("otherwise", All(())),
        (
            "a > 1 and b > 1 or not c > 1",
            Either(
                (
                    All((Comparison("a", ">", 1), Comparison("b", ">", 1))),
                    Negation(Comparison("c", ">", 1)),
                )
            ),
        ),
        (
            "a > 1 and (b > 1 or c > 1)",
            All(
                (
                    Comparison("a", ">", 1),
                    Either((Comparison("b", ">", 1), Comparison("c", ">", 1))),
                )
            ),
        ),
    ],
)
def test_a_text_is_read_and_written_back(text, expected):
    assert parse_condition(text) == expected
    assert parse_condition(write(expected)) == expected


@pytest.mark.parametrize(
    ("text", "problem", "place"),
    [
        ("recency_days <= and views > 3", "expected a number", 17),
        ("recency_days", "expected a comparison", 13),
        ("a > 1 b", "'and', 'or' or the end", 7),
        ("a > b", "constants only", 5),
        ("(a > 1", "expected ')'", 7),
        ("a in (1, 2", "expected ',' or ')'", 11),
        ("a in 1", "a list in brackets", 6),
        ("a > 'x", "never closed", 5),
        ("a > 1 & b > 2", "cannot read '&'", 7),
        ("a between 5 and 2", "smaller", 11),
        ("a between 'x' and 'y'", "smaller", 11),
        ("a = null", "is null", 5),
        ("a is 3", "'null'", 6),
        ("d > 2024-02-30", "no day of the calendar", 5),
        ("__import__('os').system('x')", "cannot read '.'", 17),
    ],
)
def test_an_error_points_at_the_place(text, problem, place):
    with pytest.raises(RuleError) as caught:
        parse_condition(text)
    message = str(caught.value)
    assert problem in message
    assert f"at character {place}\n" in message
    pointer = message.splitlines()[-1]
    assert pointer.index("^") - 2 == place - 1


def test_an_error_names_rule_and_line():
    with pytest.raises(RuleError, match=r"line 3, rule 'B': .*at character 3"):
        RuleSet.parse("A: a > 1\n# comment\nB: a ? 1")
    with pytest.raises(RuleError, match=r"line 1: expected 'name: condition'"):
        RuleSet.parse("a > 1")
    with pytest.raises(RuleError, match="empty"):
        parse_condition("  ")


@pytest.mark.parametrize(
    ("make", "problem"),
    [
        (lambda: RuleSet(()), "at least one"),
        (lambda: Rule(" ", "a > 1"), "needs a name"),
        (lambda: RuleSet.parse("A: a > 1\nA: a < 1"), "named twice: A"),
        (lambda: RuleSet.parse("A: a > 1\nB: otherwise"), "policy 'first'"),
        (lambda: RuleSet.parse("A: a > 1", policy="frist"), "did you mean 'first'"),
        (lambda: Domain("integr"), "did you mean 'integer'"),
        (lambda: Domain("integer", low=5, high=1), "from 5 to 1"),
        (lambda: RuleSet.from_dict({"rule": []}), "did you mean 'rules'"),
        (lambda: RuleSet.from_dict({"rules": [{"name": "A"}]}), "a name and a condition"),
        (lambda: RuleSet.from_dict({"rules": [{"name": "A", "when": "a > 1"}]}), "unknown key"),
        (lambda: RuleSet.from_dict({"rules": ["A"]}), "expected a table"),
        (lambda: RuleSet.parse("A: a > 1").where("B"), "unknown rule 'B'"),
        (lambda: RuleSet.load("nowhere.toml"), "no rule file"),
    ],
)
def test_a_bad_table_is_refused(make, problem):
    with pytest.raises(RuleError, match=problem):
        make()


def test_apply_names_rows_and_leaves_nulls_unmatched():
    rules = RuleSet.parse("Low: a <= 3\nHigh: a > 3")
    frame = pl.DataFrame({"a": [1.0, 3.0, 3.5, None], "keep": [1, 2, 3, 4]})
    named = rules.apply(frame)
    assert named["segment"].to_list() == ["Low", "Low", "High", None]
    assert named.columns == ["a", "keep", "segment"]
    negated = RuleSet.parse("Not high: not (a > 3)").apply(frame)["segment"].to_list()
    assert negated == ["Not high", "Not high", None, None]


def test_apply_refuses_what_it_cannot_compare():
    frame = pl.DataFrame({"recency_days": [1], "region": ["N"], "bad": [float("nan")]})
    with pytest.raises(ColumnError, match="did you mean 'recency_days'"):
        RuleSet.parse("A: recency_day > 1").apply(frame)
    with pytest.raises(ColumnError, match="rule 'A': column region holds String"):
        RuleSet.parse("A: region > 1").apply(frame)
    with pytest.raises(ColumnError, match="1 NaN"):
        RuleSet.parse("A: bad > 1").apply(frame)


def test_a_row_matched_twice_is_an_error_in_a_partition_only():
    text = "Big: a > 1\nBigger: a > 5"
    frame = pl.DataFrame({"a": [0, 2, 9]})
    with pytest.raises(RuleError, match=r"1 row is .*\{'a': 9\} by Big, Bigger"):
        RuleSet.parse(text).apply(frame)
    assert RuleSet.parse(text, policy="first").apply(frame)["segment"].to_list() == [
        None,
        "Big",
        "Big",
    ]
    first = RuleSet((Rule("Big", "a > 1", 2), Rule("Bigger", "a > 5", 1)), policy="first")
    assert first.apply(frame)["segment"].to_list() == [None, "Big", "Bigger"]
    many = RuleSet.parse(text, policy="many")
    assert many.matches(frame).sum().row(0) == (2, 1)
    with pytest.raises(RuleError, match="matches"):
        many.apply(frame)


def test_degenerate_frames():
    rules = RuleSet.parse("Low: a <= 3\nHigh: otherwise", policy="first")
    assert rules.apply(pl.DataFrame({"a": pl.Series([], dtype=pl.Int64)})).height == 0
    assert rules.apply(pl.DataFrame({"a": [4]}))["segment"].to_list() == ["High"]
    only = RuleSet.parse("All: otherwise", policy="first")
    assert only.apply(pl.DataFrame({"a": [1, 2]}))["segment"].to_list() == ["All", "All"]
    assert only.check().ok


@pytest.mark.parametrize(("version", "gaps", "overlaps"), [("0.3.0", 10, 58), ("0.2.2", 36, 39)])
def test_the_published_rfm_tables_are_no_partitions(version, gaps, overlaps):
    check = published(version).check()
    assert (check.gap_points, check.overlap_points, check.points) == (gaps, overlaps, 125)
    assert check.gaps["points"].sum() == gaps
    assert check.overlaps["points"].sum() == overlaps
    # By brute force over the 125 scores, without any of the checker's code.
    counts = [
        sum(
            all(lo <= x <= hi for x, (lo, hi) in zip(score, box, strict=True))
            for box in boxes(version).values()
        )
        for score in itertools.product(range(1, 6), repeat=3)
    ]
    assert sum(n == 0 for n in counts) == gaps
    assert sum(n > 1 for n in counts) == overlaps
    assert not check.ok
    assert f"{gaps} of 125 possible customers match nobody's rule" in check.text
    with pytest.raises(RuleError, match=f"{overlaps} of 125"):
        check.require()


def test_a_partition_must_cover_nulls_and_points_between():
    text = "Low: a < 3\nHigh: a > 3"
    check = RuleSet.parse(text).check()
    assert check.gaps["where"].to_list() == ["a = 3 or a is null"]
    whole = {"a": Domain("integer", low=0, nullable=False)}
    assert RuleSet.parse("Low: a <= 3\nHigh: a >= 4", domains=whole).check().ok
    real = {"a": Domain("number", low=0, nullable=False)}
    check = RuleSet.parse("Low: a <= 3\nHigh: a >= 4", domains=real).check()
    assert check.gaps["where"].to_list() == ["3 < a < 4"]
    assert check.gap_points is None
    frame = pl.DataFrame({"a": pl.Series([1, None, 9], dtype=pl.Int64)})
    check = RuleSet.parse("Low: a <= 3\nHigh: a >= 4").check(frame)
    assert check.gaps.select("where", "customers").rows() == [("a is null", 1)]


def test_texts_booleans_and_dates_are_cut_too():
    rules = RuleSet.parse("North: region = 'N'\nRest: region != 'N'\nNone: region is null")
    assert rules.check().ok
    closed = RuleSet.parse(
        "A: region in ('N', 'S')",
        domains={"region": Domain("text", values=("N", "S", "W"), nullable=False)},
    ).check()
    assert closed.gaps.select("where", "points").rows() == [("region is W", 1)]
    frame = pl.DataFrame({"region": ["N", "E", "W"]})
    counted = RuleSet.parse(closed_text := "A: region in ('N', 'S')").check(frame)
    assert counted.gaps["customers"].to_list() == [2], closed_text
    flag = RuleSet.parse("Yes: ok = true\nNo: ok = false or ok is null")
    assert flag.check().ok
    days = RuleSet.parse("Old: d < 2024-01-31\nNew: d > 2024-01-31\nNone: d is null")
    dates = pl.DataFrame({"d": [date(2024, 1, 31), date(2024, 2, 1)]})
    found = days.check(dates)
    assert found.gaps.select("where", "customers").rows() == [("d = 2024-01-31", 1)]


def test_the_check_reports_impossible_rules_and_rows_outside():
    domains = {"r": SCORE}
    rules = RuleSet.parse("All: r >= 1\nNever: r > 9", domains=domains)
    check = rules.check(pl.DataFrame({"r": [1, 7]}))
    assert check.empty == ("Never",)
    assert check.outside == 1
    assert not check.ok
    assert "Never matched by anybody: Never" in check.text


def test_the_check_refuses_what_it_cannot_cut():
    with pytest.raises(RuleError, match="no order"):
        RuleSet.parse("A: region > 'N'").check()
    with pytest.raises(RuleError, match="several kinds"):
        RuleSet.parse("A: a > 1 or a = 'x'").check()
    with pytest.raises(RuleError, match="declared text"):
        RuleSet.parse("A: a > 1", domains={"a": Domain("text")}).check()
    wide = " and ".join(f"c{i} in (1, 3, 5, 7)" for i in range(8))
    with pytest.raises(RuleError, match="more than the 4,000,000"):
        RuleSet.parse(f"A: {wide}").check()


def test_round_trips(tmp_path):
    rules = RuleSet(
        (
            Rule(
                'Can\'t lose "them"', "r <= 2 and region in ('Land''s End', 'é') or d < 2024-01-31"
            ),
            Rule("B", "not (r > 2.5) and `order value` is not null and ok = true", 3),
        ),
        policy="first",
        domains={"r": SCORE, "region": Domain("text", values=("Land's End", "é"))},
    )
    assert RuleSet.load(rules.save(tmp_path / "rules.toml")) == rules
    assert RuleSet.load(rules.save(tmp_path / "rules.json")) == rules
    assert RuleSet.from_dict(json.loads(json.dumps(rules.to_dict()))) == rules
    assert decode(json.loads(json.dumps(encode(rules)))) == rules
    assert RuleSet.parse(rules.text).names == rules.names
    (tmp_path / "bad.toml").write_text("policy = ")
    with pytest.raises(RuleError, match=r"bad.toml"):
        RuleSet.load(tmp_path / "bad.toml")
    check = published("0.3.0").check()
    assert type(check).from_dict(check.to_dict()).regions.equals(check.regions)


# --- properties -----------------------------------------------------------------------------

NUMBERS = st.sampled_from([-1, 0, 1, 2, 3, 0.5, 2.5, 0.1])
TEXTS = st.sampled_from(["N", "Land's End", 'a "b"', "é", ""])
COMPARE = {"<": operator.lt, "<=": operator.le, ">": operator.gt, ">=": operator.ge}
COMPARE |= {"=": operator.eq, "!=": operator.ne}


def leaves():
    column = st.sampled_from(["x", "y"])
    bounds = st.tuples(NUMBERS, NUMBERS).map(sorted)
    return st.one_of(
        st.builds(Comparison, column, st.sampled_from(list(COMPARE)), NUMBERS),
        st.builds(Comparison, st.just("t"), st.sampled_from(["=", "!="]), TEXTS),
        st.builds(lambda c, b, n: Between(c, b[0], b[1], n), column, bounds, st.booleans()),
        st.builds(
            Membership,
            st.just("t"),
            st.lists(TEXTS, min_size=1, max_size=3, unique=True).map(tuple),
            st.booleans(),
        ),
        st.builds(IsNull, st.sampled_from(["x", "y", "t"]), st.booleans()),
    )


def parts(inner):
    return st.lists(inner, min_size=2, max_size=3).map(tuple)


CONDITIONS = st.recursive(
    leaves(),
    lambda inner: st.one_of(
        st.builds(All, parts(inner)), st.builds(Either, parts(inner)), st.builds(Negation, inner)
    ),
    max_leaves=6,
)
POINTS = [
    {"x": x, "y": y, "t": t}
    for x in (None, -2.0, -1.0, 0.0, 0.05, 0.1, 0.3, 0.5, 1.0, 2.0, 2.2, 2.5, 3.0, 4.0)
    for y in (None, 0, 2, 7)
    for t in (None, "N", "Land's End", "other")
]
FRAME = pl.DataFrame(POINTS, schema={"x": pl.Float64, "y": pl.Int64, "t": pl.String})


def truth(condition, row):
    """Kleene's three-valued logic in plain Python: True, False or None."""
    match condition:
        case Comparison(column, sign, value):
            return None if row[column] is None else COMPARE[sign](row[column], value)
        case Between(column, low, high, negated):
            return None if row[column] is None else (low <= row[column] <= high) != negated
        case Membership(column, values, negated):
            return None if row[column] is None else (row[column] in values) != negated
        case IsNull(column, negated):
            return (row[column] is None) != negated
        case Negation(part):
            inner = truth(part, row)
            return None if inner is None else not inner
        case All(some):
            held = [truth(part, row) for part in some]
            return False if False in held else (None if None in held else True)
        case Either(some):
            held = [truth(part, row) for part in some]
            return True if True in held else (None if None in held else False)
    raise AssertionError(condition)


@settings(max_examples=150)
@given(CONDITIONS)
def test_frames_follow_three_valued_logic_and_text_round_trips(condition):
    rules = RuleSet((Rule("A", condition),))
    held = rules.matches(FRAME)["A"].to_list()
    assert held == [truth(condition, row) is True for row in POINTS]
    again = RuleSet.parse(rules.text)
    assert again.matches(FRAME)["A"].to_list() == held


@settings(max_examples=100)
@given(st.lists(CONDITIONS, min_size=1, max_size=3))
def test_the_check_agrees_with_every_point(conditions):
    rules = RuleSet(tuple(Rule(f"R{i}", c) for i, c in enumerate(conditions)))
    check = rules.check(FRAME)
    counts = [sum(truth(c, row) is True for c in conditions) for row in POINTS]
    assert check.gaps["customers"].sum() == sum(n == 0 for n in counts)
    assert check.overlaps["customers"].sum() == sum(n > 1 for n in counts)
    if check.regions.is_empty():
        assert set(counts) == {1}


@pytest.fixture(scope="module")
def database(tmp_path_factory):
    duckdb = pytest.importorskip("duckdb", reason="the duckdb extra is not installed")
    path = tmp_path_factory.mktemp("sql") / "customers.parquet"
    FRAME.with_row_index("row").write_parquet(path)
    connection = duckdb.connect()
    connection.execute(f"CREATE TABLE customers AS SELECT * FROM read_parquet('{path}')")
    return connection


@settings(max_examples=100)
@given(st.lists(CONDITIONS, min_size=1, max_size=3))
def test_sql_gives_the_same_segments_in_duckdb(database, conditions):
    rules = RuleSet(
        tuple(Rule(f"R'{i}", c, priority=-i) for i, c in enumerate(conditions)), policy="first"
    )
    query = f"SELECT segment FROM ({rules.to_sql()}) ORDER BY row"
    segments = [row[0] for row in database.execute(query).fetchall()]
    assert segments == rules.apply(FRAME)["segment"].to_list()
    where = f"SELECT row FROM customers WHERE {rules.where(rules.names[0])} ORDER BY row"
    held = rules.matches(FRAME)[rules.names[0]]
    assert [row[0] for row in database.execute(where).fetchall()] == held.arg_true().to_list()


def test_sql_reads_a_long_decimal_as_the_same_double(database):
    value = 0.1 + 0.2  # 0.30000000000000004, 17 figures
    rules = RuleSet((Rule("A", Comparison("v", "<=", value)),))
    assert rules.where("A").endswith("e0")
    row = database.execute(
        f"SELECT CAST(? AS DOUBLE) <= {rules.where('A')[7:]}", [value]
    ).fetchone()
    assert row == (True,)


# Long lists, deep brackets, long numbers ------------------------------------------------------


@pytest.mark.parametrize(
    ("values", "column", "held"),
    [
        (range(0, 200, 2), pl.Series([0, 1, 198, None]), [True, False, True, None]),
        (range(0, 200, 2), pl.Series([0.0, 1.0, 0.5, None]), [True, False, False, None]),
        ([k / 4 for k in range(99)], pl.Series([0, 1, 30]), [True, True, False]),
        ([2**53 + k for k in range(0, 99, 2)], pl.Series([2**53, 2**53 + 1]), [True, False]),
        ([f"c{k}" for k in range(99)], pl.Series(["c1", "x", None]), [True, False, None]),
    ],
)
def test_a_long_list_means_what_its_values_mean_one_by_one(values, column, held):
    listed = ", ".join(repr(value) for value in values)
    frame = column.alias("a").to_frame()
    for text, expected in (
        (f"a in ({listed})", held),
        (f"a not in [{listed}]", [None if h is None else not h for h in held]),
        (" or ".join(f"a = {value!r}" for value in values), held),
    ):
        condition = parse_condition(text)
        assert frame.select(expression(condition)).to_series().to_list() == expected
        assert parse_condition(write(condition)) == condition


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("(" * 5000 + "a = 1" + ")" * 5000, "nested more than 50 deep"),
        ("not " * 5000 + "a = 1", "nested more than 50 deep"),
        ("a > " + "9" * 5000, "number of 5,000 figures is too large"),
        ("a in (1, " + "9" * 5000 + ")", "too large"),
        ("a > 1e999", "1e999 is too large"),
        ("a in (1, 2]", r"expected '\)'"),
        ("a = (1, 2)", "expected a number"),
    ],
)
def test_text_without_end_is_refused(text, words):
    with pytest.raises(RuleError, match=words):
        parse_condition(text)


@pytest.mark.parametrize("text", ["a = " + "[" * 5000, "a = " + "9" * 5000, "\xff"])
@pytest.mark.parametrize("ending", ["toml", "json"])
def test_rule_files_without_end_are_refused(tmp_path, text, ending):
    (tmp_path / f"r.{ending}").write_text(text, encoding="latin-1")
    with pytest.raises(RuleError):
        RuleSet.load(tmp_path / f"r.{ending}")


def test_numbers_beyond_sixty_four_bits_are_compared():
    frame = pl.DataFrame({"a": [1, 2**62]})
    assert frame.select(expression(parse_condition("a < " + "9" * 50)).all()).item()
