"""Audience lists: ids kept, formulas defused, addresses hashed, consent obeyed, cells not small."""

import csv
import hashlib
import json

import fastexcel
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from segkit.audience import (
    SegmentContract,
    build_audience,
    defuse,
    hash_emails,
    normalise_emails,
)
from segkit.errors import ColumnError, DataError, ModelError, ParameterError
from segkit.result import Result

TERMS = SegmentContract("spring", "2025-02-28", "0.1", "abc", "ward", {"S1": "all of them"})


def given_to(n=60):
    return pl.DataFrame(
        {
            "customer_id": [f"{i:05d}" for i in range(n)],
            "offer": ["sale"] * (n // 2) + ["guide"] * (n - n // 2),
            "segment": ["S1"] * n,
        }
    )


def people(n=60, **more):
    frame = {
        "customer_id": [f"{i:05d}" for i in range(n)],
        "email": [f"Person.{i}@Example.com " for i in range(n)],
        "marketing_consent": [True] * n,
        "name": ["=HYPERLINK(1)"] * n,
    }
    return pl.DataFrame({**frame, **more})


def build(assignments=None, customers=None, **more):
    one = given_to() if assignments is None else assignments
    two = people() if customers is None else customers
    return build_audience(one, two, contract=TERMS, **more)


# Published: the SHA-256 of FIPS 180-4's example "abc" and of two addresses, as sha256sum prints.
PUBLISHED = {
    "abc": "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad",
    "test@example.com": "973dfe463ec85785f5f95af5ba3906eedb2d931c24e69824a89ea65dba4e813b",
}


def test_hashes_are_sha_256():
    found = hash_emails(pl.Series([*PUBLISHED, None])).to_list()
    assert found == [*PUBLISHED.values(), None]


@pytest.mark.parametrize(
    ("raw", "meta", "google"),
    [
        (" Jo.Public@Example.COM\t", "jo.public@example.com", "jo.public@example.com"),
        ("Jo.Public@gmail.com", "jo.public@gmail.com", "jopublic@gmail.com"),
        ("J.o.P+x@GoogleMail.com", "j.o.p+x@googlemail.com", "jop+x@googlemail.com"),
        ("jo@sub.gmail.com", "jo@sub.gmail.com", "jo@sub.gmail.com"),
        ("ÄRGER@Bücher.de", "ärger@bücher.de", "ärger@bücher.de"),
        ("no address", None, None),
        ("a@b", None, None),
        ("a@@b.de", None, None),
        ("a@b..de", None, None),
        ("", None, None),
        (None, None, None),
    ],
)
def test_addresses_are_written_as_platforms_ask(raw, meta, google):
    one = pl.Series([raw], dtype=pl.String)
    assert normalise_emails(one, platform="meta")[0] == meta
    assert normalise_emails(one, platform="google")[0] == google


@settings(max_examples=50, deadline=None)
@given(st.lists(st.text(max_size=12), max_size=5))
def test_normalising_twice_changes_nothing(texts):
    once = normalise_emails(pl.Series([f"{t}@x.org" for t in texts], dtype=pl.String))
    assert normalise_emails(once).to_list() == once.to_list()


@pytest.mark.parametrize(
    "text",
    ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", " =1", "＝1", "\n@x", "=cmd|' /C x'!A0"],
)
def test_formulas_are_defused(text):
    assert defuse(pl.DataFrame({"x": [text]}))["x"][0] == f"'{text}"


def test_what_is_no_formula_stays():
    frame = pl.DataFrame({"x": ["Ann", "a=b", "00123", None], "gain": [-1.5, 2.0, 0.0, None]})
    assert defuse(frame).equals(frame)


def test_each_customer_is_left_out_for_the_first_reason():
    n = 60
    email = [f"p{i}@x.org" for i in range(n)]
    email[2], email[3], email[4] = None, "nonsense", " P5@X.org"
    consent = [True] * n
    consent[0], consent[1] = False, None
    customers = people(email=email, marketing_consent=consent).filter(
        pl.col("customer_id") != "00006"
    )
    frame = given_to().with_columns(
        offer=pl.when(pl.col("customer_id") == "00007").then(pl.lit("none")).otherwise("offer")
    )
    gone = pl.DataFrame({"customer_id": ["00008", "00008", "00000"]})
    found = build(frame, customers, optouts=gone)
    held = dict(found.counts.select("reason", "customers").iter_rows())
    assert held == {
        None: 52, "no_contact": 1, "not_a_customer": 1, "no_consent": 2, "opted_out": 1,
        "no_email": 1, "bad_email": 1, "same_email": 1, "small_cell": 0,
    }  # fmt: skip
    assert sum(held.values()) == n
    assert found.frame["customer_id"].to_list()[0] == "00004"  # of two with one address, the first
    assert "2 without consent" in found.text


def test_small_cells_are_not_handed_out():
    frame = given_to().with_columns(
        segment=pl.when(pl.int_range(pl.len()) < 5).then(pl.lit("S2")).otherwise("segment")
    )
    found = build(frame, min_cell=20)
    assert found.frame["segment"].unique().to_list() == ["S1"]
    assert dict(found.counts.select("reason", "customers").iter_rows())["small_cell"] == 5
    assert found.cells["customers"].min() >= 20
    # Further columns make smaller cells.
    region = ["north"] * 50 + ["south"] * 10
    fine = build(
        customers=people(region=region), columns=["region"], cell=["offer", "region"], min_cell=15
    )
    counted = fine.frame.group_by("offer", "region").len()
    assert counted["len"].min() >= 15


def test_everybody_suppressed_gives_empty_lists(tmp_path):
    found = build(min_cell=1000)
    assert found.frame.height == 0
    assert "0 of 60" in found.text
    assert [path.name for path in found.write(tmp_path)] == [
        "left_out.csv", "cells.csv", "contract.json",
    ]  # fmt: skip


def test_an_upload_names_nobody(tmp_path):
    found = build(kind="upload")
    assert found.frame.columns == ["email_sha256", "offer", "segment"]
    expected = hashlib.sha256(b"person.7@example.com").hexdigest()
    assert expected in found.frame["email_sha256"]
    assert found.frame["email_sha256"].is_sorted()
    for path in found.write(tmp_path, formats=("csv", "parquet", "xlsx")):
        content = path.read_bytes().lower()
        assert b"example.com" not in content
        assert b"00007" not in content or path.suffix == ".xlsx"


def test_files_keep_ids_and_defuse(tmp_path):
    found = build(columns=["name", "email"])
    paths = found.write(tmp_path, formats=("csv", "xlsx", "parquet"))
    assert [path.name for path in paths[:3]] == [
        "spring-guide-crm.csv", "spring-guide-crm.xlsx", "spring-guide-crm.parquet",
    ]  # fmt: skip
    with (tmp_path / "spring-sale-crm.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert rows[0]["customer_id"] == "00000"
    assert rows[0]["name"] == "'=HYPERLINK(1)"
    assert '"00000"' in (tmp_path / "spring-sale-crm.csv").read_text(encoding="utf-8")
    sheet = fastexcel.read_excel(tmp_path / "spring-sale-crm.xlsx").load_sheet(
        0, dtypes={"customer_id": "string"}
    )
    frame = sheet.to_polars()
    assert frame["customer_id"][0] == "00000"
    assert frame["name"][0] == "'=HYPERLINK(1)"
    raw = pl.read_parquet(tmp_path / "spring-sale-crm.parquet")
    assert raw["name"][0] == "=HYPERLINK(1)"  # no spreadsheet: nothing to defuse
    contract = json.loads((tmp_path / "contract.json").read_text(encoding="utf-8"))
    assert (contract["as_of"], contract["definitions"]) == ("2025-02-28", {"S1": "all of them"})
    left = pl.read_csv(tmp_path / "left_out.csv")
    assert left["customers"].sum() == 60


def test_a_contract_comes_from_the_model():
    from segkit.cluster import cluster_customers

    frame = pl.DataFrame(
        {
            "customer_id": [str(i) for i in range(40)],
            "a": [float(i % 20 + 100 * (i // 20)) for i in range(40)],
            "b": [float(i % 7) for i in range(40)],
        }
    )
    made = cluster_customers(frame, features=["a", "b"], k=2)
    found = SegmentContract.of_model("c", made.model.to_data(), offers={"S1": "sale"})
    assert set(found.definitions) == {"S1", "S2"}
    assert set(found.cut_points["S1"]) == {"a", "b"}
    assert found.model_hash == made.model.data_hash
    assert found.model_version == made.model.version
    assert set(found.features) == {"a", "b"}
    with pytest.raises(ModelError, match="holds no segments"):
        SegmentContract.of_model("c", {})


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: build(customers=people().drop("email")), ColumnError, "lacks email"),
        (
            lambda: build(customers=people().drop("marketing_consent")),
            ColumnError,
            "lacks the consent column",
        ),
        (lambda: build(given_to().drop("segment")), ColumnError, "lacks segment"),
        (lambda: build(pl.concat([given_to(), given_to()])), DataError, "assignments: 60 rows"),
        (lambda: build(customers=pl.concat([people()] * 2)), DataError, "customers: 60 rows"),
        (lambda: build(kind="fax"), ParameterError, "unknown kind of list 'fax'"),
        (lambda: build(platform="mySpace"), ParameterError, "unknown platform"),
        (lambda: build(min_cell=0), ParameterError, "min_cell"),
        (lambda: build(kind="upload", columns=["name"]), ParameterError, "hashed address alone"),
        (lambda: build(cell=["region"]), ColumnError, "lacks region"),
    ],
)
def test_wrong_input_is_refused(call, error, message):
    with pytest.raises(error, match=message):
        call()


def test_an_unknown_format_is_refused(tmp_path):
    with pytest.raises(ParameterError, match="unknown format 'pdf'"):
        build().write(tmp_path, formats=("pdf",))


def test_consent_may_be_ascertained_elsewhere_but_is_said_so():
    found = build(customers=people().drop("marketing_consent"), consent=None)
    assert found.frame.height == 60


def test_it_is_stored_and_told_without_a_customer():
    found = build()
    assert Result.from_dict(found.to_dict()).text == found.text
    assert "customer_id" not in found.to_frame().columns
