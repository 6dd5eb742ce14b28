"""Audience lists: ids kept, formulas defused, addresses hashed, consent obeyed, cells not small."""

import csv
import hashlib
import json
import os
from datetime import date

import fastexcel
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from segkit.campaign import (
    SegmentContract,
    build_audience,
    check_eligibility,
    hash_identifiers,
    hash_texts,
    normalise_emails,
    normalise_identifiers,
    read_phones,
)
from segkit.errors import ColumnError, DataError, ModelError, ParameterError
from segkit.result import Result
from segkit.spreadsheets import defuse

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
    found = hash_texts(pl.Series([*PUBLISHED, None])).to_list()
    assert found == [*PUBLISHED.values(), None]


@pytest.mark.parametrize(
    ("raw", "meta", "google"),
    [
        (" Jo.Public@Example.COM\t", "jo.public@example.com", "jo.public@example.com"),
        ("Jo.Public@gmail.com", "jo.public@gmail.com", "jopublic@gmail.com"),
        ("J.o.P+x@GoogleMail.com", "j.o.p+x@googlemail.com", "jop@googlemail.com"),
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


@settings(max_examples=50)
@given(st.lists(st.text(max_size=12), max_size=5))
def test_normalising_twice_changes_nothing(texts):
    once = normalise_emails(pl.Series([f"{t}@x.org" for t in texts], dtype=pl.String))
    assert normalise_emails(once).to_list() == once.to_list()


@pytest.mark.parametrize(
    "text",
    ["=1+1", "@SUM(A1)", "\t=1", "\r=1", " =1", "＝1", "\n@x", "=cmd|' /C x'!A0"],
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
        None: 52, "no_contact": 1, "not_a_customer": 1, "no_consent": 1, "consent_not_recorded": 1,
        "no_channel_consent": 0, "opted_out": 1, "address_refused": 0, "no_email": 1,
        "bad_email": 1, "no_phone": 0, "bad_phone": 0, "same_email": 1, "small_cell": 0,
    }  # fmt: skip
    assert sum(held.values()) == n
    assert found.frame["customer_id"].to_list()[0] == "00004"  # of two with one address, the first
    assert "1 without consent" in found.text
    assert "not recorded for 1 of 58 customers; it is taken as refused" in found.consent


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
    assert found.frame.columns == ["email", "offer", "segment"]
    expected = hashlib.sha256(b"person.7@example.com").hexdigest()
    assert expected in found.frame["email"]
    assert found.frame["email"].is_sorted()
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
        (
            lambda: build(pl.concat([given_to(), given_to()])),
            DataError,
            "assignments: 60 customers",
        ),
        (lambda: build(customers=pl.concat([people()] * 2)), DataError, "customers: 60 customers"),
        (lambda: build(kind="fax"), ParameterError, "unknown kind of list 'fax'"),
        (lambda: build(platform="mySpace"), ParameterError, "unknown platform"),
        (lambda: build(min_cell=0), ParameterError, "min_cell"),
        (
            lambda: build(kind="upload", columns=["name"]),
            ParameterError,
            "platform's columns alone",
        ),
        (lambda: build(cell=["region"]), ColumnError, "lacks region"),
    ],
)
def test_wrong_input_is_refused(call, error, message):
    with pytest.raises(error, match=message):
        call()


def test_a_list_for_the_post_needs_no_address_of_the_mailbox():
    found = build(channel="post", min_cell=1)
    consenting = people().filter("marketing_consent")["customer_id"].to_list()
    assert set(found.frame["customer_id"]) == set(consenting)


def test_an_unknown_format_is_refused(tmp_path):
    with pytest.raises(ParameterError, match="unknown format 'pdf'"):
        build().write(tmp_path, formats=("pdf",))


def test_consent_may_be_ascertained_elsewhere_but_is_said_so():
    found = build(customers=people().drop("marketing_consent"), consent=None)
    assert found.frame.height == 60
    assert "not recorded for 60 of 60 customers (the source has no column for it); it is" in (
        found.text
    )
    refused = build(
        customers=people().drop("marketing_consent"), consent=None, unrecorded="refused"
    )
    assert refused.frame.height == 0


# Meta, "Customer Information Parameters": input, normal form, and the hash that the page expects.
META = {
    ("email", "John_Smith@gmail.com"): (
        "john_smith@gmail.com",
        "62a14e44f765419d10fea99367361a727c12365e2520f32218d505ed9aa0f62f",
    ),
    ("phone", "(650)555-1212"): (
        "16505551212",
        "e323ec626319ca94ee8bff2e4c87cf613be6ea19919ed1364124e16807ab3176",
    ),
    ("first_name", "Mary"): (
        "mary",
        "6915771be1c5aa0c886870b6951b03d7eafc121fea0e80a5ea83beb7c449f4ec",
    ),
    ("first_name", "정"): (
        "정",
        "8fa8cd9c440be61d0151429310034083132b35975c4bea67fdd74158eb51db14",
    ),
    ("last_name", "Valéry"): (
        "valéry",
        "08e1996b5dd49e62a4b4c010d44e4345592a863bb9f8e3976219bac29417149c",
    ),
    ("country", "US"): (
        "us",
        "79adb2a2fce5c6ba215fe5f27f532d4e7edbac4b6a5e09e1ef3a08084a904621",
    ),
    ("zip", "94035-1234"): ("94035", None),
    ("zip", "M1 1AE"): ("m11ae", None),
}
# Google, "Format user data" (Data Manager API) and "OfflineUserAddressInfo" (Google Ads API).
GOOGLE = {
    ("email", "cloudy.sanfrancisco+shopping@gmail.com"): "cloudysanfrancisco@gmail.com",
    ("email", "user.name+NYC@Example.com"): "user.name+nyc@example.com",
    ("phone", "(800)555-0100"): "+18005550100",
    ("first_name", " Mrs. Joanna  Ann "): "joanna ann",
    ("last_name", "O'Brien, Jr."): "obrien",
    ("country", "us"): "US",
    ("zip", "94303-5300"): "94303-5300",
    ("zip", "WC2H 8LG"): "WC2H 8LG",
}


@pytest.mark.parametrize(("given_as", "published"), META.items(), ids=str)
def test_identifiers_are_hashed_as_meta_publishes(given_as, published):
    (name, raw), (normal, digest) = given_as, published
    made, rejected = normalise_identifiers(pl.DataFrame({name: [raw]}), region="US")
    assert made[name].to_list() == [normal]
    assert rejected.height == 0
    (hashed,) = hash_identifiers(made).row(0)
    assert hashed == hashlib.sha256(normal.encode()).hexdigest() == (digest or hashed)


@pytest.mark.parametrize(("given_as", "normal"), GOOGLE.items(), ids=str)
def test_identifiers_are_written_as_google_publishes(given_as, normal):
    name, raw = given_as
    made, rejected = normalise_identifiers(
        pl.DataFrame({name: [raw]}), platform="google", region="US"
    )
    assert made[name].to_list() == [normal]
    assert rejected.height == 0
    (hashed,) = hash_identifiers(made, platform="google").row(0)
    plain = name in ("country", "zip")
    assert hashed == (normal if plain else hashlib.sha256(normal.encode()).hexdigest())


def test_an_upload_has_the_headers_that_its_platform_publishes(tmp_path):
    more = {
        "phone": ["+44 20 7946 0958"] * 60, "first_name": ["Ann"] * 60, "last_name": ["Lee"] * 60,
        "country": ["GB"] * 60, "zip": ["WC2H 8LG"] * 60,
    }  # fmt: skip
    headers = {
        "google": ["Email", "Phone", "First Name", "Last Name", "Country", "Zip"],
        "meta": ["email", "phone", "fn", "ln", "zip", "country"],
    }
    for platform, expected in headers.items():
        made = build(customers=people(**more), kind="upload", platform=platform)
        first = made.write(tmp_path / platform)[0]
        rows = pl.read_csv(first, infer_schema=False)
        assert rows.columns == expected
        assert rows.height == 30
    google = pl.read_csv(tmp_path / "google" / "spring-sale-upload.csv", infer_schema=False)
    assert google["Country"].unique().to_list() == ["GB"]
    assert google["Zip"].unique().to_list() == ["WC2H 8LG"]


def test_numbers_that_cannot_be_read_are_counted_by_reason():
    raw = ["+44 20 7946 0958", "020 7946 0958", "none", "12", "+1", None, "00 44 20 7946 0958"]
    here = read_phones(pl.Series(raw), region="GB")
    assert here["phone"].to_list()[:2] == ["+442079460958"] * 2
    assert here["phone"].to_list()[6] == "+442079460958"
    assert here["reason"].to_list()[2:6] == ["bad_phone", "bad_phone", "bad_phone", None]
    nowhere = read_phones(pl.Series(raw))
    assert nowhere["reason"].to_list()[1] == "phone_without_country"
    own = read_phones(pl.Series(["(650)555-1212"]), region="GB", regions=pl.Series(["us"]))
    assert own["phone"].to_list() == ["+16505551212"]
    digest = hashlib.sha256(b"ann@shop.example").hexdigest()
    odd = pl.DataFrame({"email": [digest, "nobody", None], "country": ["Britain", "GB", None]})
    _, rejected = normalise_identifiers(odd)
    assert dict(rejected.select("reason", "customers").iter_rows()) == {
        "hashed_email": 1, "bad_email": 1, "bad_country": 1,
    }  # fmt: skip


def test_a_library_that_is_missing_is_named(monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    with pytest.raises(ParameterError, match=r"segkit\[audience\]"):
        read_phones(pl.Series(["1"]))


def reasons_of(made):
    held = dict(made.counts.select("reason", "customers").iter_rows())
    return {name: count for name, count in held.items() if count and name}


def test_a_channel_obeys_consent_to_it_and_to_the_purpose():
    n = 60
    number = [f"+44 20 7946 {i:04d}" for i in range(n)]
    texts = [True] * 50 + [False] * 6 + [None] * 4
    customers = people(phone=number, sms_consent=texts)
    assert reasons_of(build(customers=customers)) == {}  # e-mail has no column of its own
    sms = build(customers=customers, channel="sms", min_cell=1)
    assert reasons_of(sms) == {"no_channel_consent": 6, "consent_not_recorded": 4}
    assert "by text message is not recorded for 4 of 60 customers; it is taken as refused" in (
        sms.text
    )
    granted = build(customers=customers, channel="sms", unrecorded="granted", min_cell=1)
    assert reasons_of(granted) == {"no_channel_consent": 6}
    both = build(
        customers=customers.with_columns(marketing_consent=pl.int_range(pl.len()) > 0),
        channel="sms", min_cell=1,
    )  # fmt: skip
    assert reasons_of(both)["no_consent"] == 1
    with pytest.raises(ParameterError, match="unknown channel 'fax'"):
        build(channel="fax")


def test_the_contract_beside_a_list_says_what_was_assumed(tmp_path):
    found = build(customers=people().drop("marketing_consent"), consent=None)
    found.write(tmp_path)
    said = json.loads((tmp_path / "contract.json").read_text(encoding="utf-8"))["consent"]
    assert said == found.consent
    assert 'consent_default = "refused"' in said


def test_opt_outs_are_met_by_address_and_an_address_by_all_who_share_it():
    email = [f"p{i}@x.org" for i in range(60)]
    email[1] = " P0@X.org"
    gone = pl.DataFrame({"email": ["P0@x.org "]})
    found = build(customers=people(email=email), optouts=gone, min_cell=1)
    assert reasons_of(found) == {"opted_out": 2}
    by_id = build(
        customers=people(email=email), optouts=pl.DataFrame({"customer_id": ["00000"]}), min_cell=1
    )
    assert reasons_of(by_id) == {"opted_out": 1, "address_refused": 1}
    refused = [False] + [True] * 59
    one = build(customers=people(email=email, marketing_consent=refused), min_cell=1)
    assert reasons_of(one) == {"no_consent": 1, "address_refused": 1}
    for_texts = gone.with_columns(channel=pl.lit("sms"))
    assert reasons_of(build(customers=people(email=email), optouts=for_texts)) == {"same_email": 1}
    for_mails = gone.with_columns(channel=pl.lit(" Email"))
    assert reasons_of(build(customers=people(email=email), optouts=for_mails)) == {"opted_out": 2}
    with pytest.raises(ParameterError, match="unknown channel of a contact 'fax'"):
        build(optouts=gone.with_columns(channel=pl.lit("fax")))
    nobody = build(optouts=pl.DataFrame({"email": ["else@x.org"]}))
    assert "None of the 1 opt-out matches" in nobody.text
    with pytest.raises(ColumnError, match="optouts expects a column customer_id or email"):
        build(optouts=pl.DataFrame({"id": [1]}))


def test_lists_are_their_owners_alone(tmp_path):
    if os.name != "posix":
        pytest.skip("this system has no modes")
    before = os.umask(0)
    try:
        build().write(tmp_path / "lists", formats=("csv", "parquet", "xlsx"))
    finally:
        os.umask(before)
    modes = {path.stat().st_mode & 0o777 for path in (tmp_path / "lists").iterdir()}
    assert modes == {0o600}
    assert (tmp_path / "lists").stat().st_mode & 0o777 == 0o700


def test_it_is_stored_and_told_without_a_customer():
    found = build()
    assert Result.from_dict(found.to_dict()).text == found.text
    assert "customer_id" not in found.to_frame().columns


def test_a_list_reads_consent_as_the_contact_policy_does():
    numbers = people(marketing_consent=[0] + [1] * 59)
    assert reasons_of(build(customers=numbers)) == {"no_consent": 1}
    for wrong, shown in ((["no"] * 60, "'no'"), ([2] * 60, "2")):
        with pytest.raises(ParameterError, match=f"marketing_consent: a consent.*got {shown}"):
            build(customers=people(marketing_consent=wrong))
        with pytest.raises(ParameterError, match=f"marketing_consent: a consent.*got {shown}"):
            check_eligibility(people(marketing_consent=wrong), at=date(2025, 3, 1))
    may = check_eligibility(numbers, at=date(2025, 3, 1))
    assert may.frame["reason"].to_list() == ["no_consent"] + [None] * 59
