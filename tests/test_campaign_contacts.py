"""Contact policy and platforms in assignment and lists: who is held back, who joins, who leaves."""

import json
from datetime import UTC, datetime, time, timedelta

import polars as pl
import pytest

from segkit.campaign import SegmentContract, build_audience, check_eligibility
from segkit.campaign.list_changes import list_changes, name_list, read_lists
from segkit.errors import DataError, ParameterError, SourceError
from segkit.rules import Cap, ContactPolicy, QuietTime
from segkit.spreadsheets import restore

AT = datetime(2026, 3, 4, 12, tzinfo=UTC)
TERMS = SegmentContract("spring", "2026-02-28", "0.1", "abc", "ward", {"S1": "all of them"})
POLICY = ContactPolicy(
    (Cap(1, 7, "email"),),
    purposes={"marketing": "marketing_consent", "service": ""},
    holdout_share=0.25,
)
IDS = [f"c{i:02d}" for i in range(40)]
OUT = POLICY.in_holdout(pl.Series(IDS)).to_list()
FREE = [one for one, held in zip(IDS, OUT, strict=True) if not held]


def people(**more):
    frame = {
        "customer_id": IDS,
        "email": [f"{one}@x.org" for one in IDS],
        "marketing_consent": [True] * 40,
        "segment": ["S1"] * 40,
    }
    return pl.DataFrame({**frame, **more})


def assigned(ids=IDS):
    return pl.DataFrame({"customer_id": ids}).with_columns(
        offer=pl.lit("sale"), segment=pl.lit("S1"), assigned_at=pl.lit(AT)
    )


def build(assignments=None, customers=None, **more):
    one = assigned() if assignments is None else assignments
    two = people() if customers is None else customers
    return build_audience(one, two, contract=TERMS, min_cell=1, **more)


@pytest.fixture(scope="module")
def trouble():
    """Return customers of whom the first free ones are each held back by another rule."""
    wish = dict(zip(FREE, ["no", "pause", "post", "cap", "opted", "erased", "="], strict=False))
    frame = people().with_columns(wish=pl.col("customer_id").replace_strict(wish, default=None))
    customers = frame.with_columns(
        marketing_consent=(pl.col("wish") != "no").fill_null(value=True),
        contact_pause_until=pl.when(pl.col("wish") == "pause").then(pl.date(2026, 4, 1)),
        contact_channel=pl.when(pl.col("wish") == "post").then(pl.lit("post")),
        email=pl.when(pl.col("wish") == "=").then(pl.lit("=a@x.org")).otherwise("email"),
    )
    ids = {why: one for one, why in wish.items()}
    contacts = pl.DataFrame(
        {"customer_id": [ids["cap"]], "event_time": [AT - timedelta(days=3)]}
    ).with_columns(campaign_id=pl.lit("another"))
    return customers, ids, contacts


def test_assignment_and_list_hold_back_the_same_customers_for_the_same_reasons(trouble):
    customers, ids, contacts = trouble
    may = check_eligibility(customers, at=AT, policy=POLICY, contacts=contacts)
    reasons = dict(may.frame.drop_nulls().iter_rows())
    expected = {
        "no": "no_consent",
        "pause": "paused",
        "post": "other_channel",
        "cap": "contact_cap",
    }
    named = {ids[why]: reason for why, reason in expected.items()}
    held = dict.fromkeys((i for i, out in zip(IDS, OUT, strict=True) if out), "universal_holdout")
    assert reasons == named | held
    assert len(may.customer_ids) == len(FREE) - 4
    assert "in the universal holdout" in may.text

    lists = build(
        customers=customers,
        policy=POLICY,
        contacts=contacts,
        kind="upload",
        platform="klaviyo",
        optouts=pl.DataFrame({"customer_id": [ids["opted"]]}),
        erased=[ids["erased"]],
    )
    counts = dict(lists.counts.select("reason", "customers").filter(pl.col("customers") > 0).rows())
    assert counts == {
        None: len(FREE) - 7, "universal_holdout": sum(OUT), "no_consent": 1, "paused": 1,
        "other_channel": 1, "contact_cap": 1, "opted_out": 1, "erased": 1, "formula_email": 1,
    }  # fmt: skip
    assert sum(counts.values()) == 40
    gone = {ids[why] for why in ids}
    assert set(lists.frame["Email Address"]) == {f"{one}@x.org" for one in FREE if one not in gone}


def test_a_list_of_customers_assigned_as_of_a_day_knows_no_hours():
    night = ContactPolicy(quiet=(QuietTime(time(21), time(8)),))
    by_day = assigned().with_columns(assigned_at=pl.lit(datetime(2026, 3, 4, tzinfo=UTC)))
    assert build(by_day, policy=night).frame.height == 40
    with_hour = by_day.with_columns(assigned_at=pl.lit(datetime(2026, 3, 4, 5, tzinfo=UTC)))
    lists = build(with_hour, policy=night)
    assert lists.counts.filter(reason="quiet_time")["customers"].to_list() == [40]


def test_a_service_message_needs_no_consent_and_knows_no_holdout(trouble):
    customers, _, contacts = trouble
    may = check_eligibility(customers, at=AT, policy=POLICY, contacts=contacts, purpose="service")
    assert len(may.customer_ids) == 40
    lists = build(customers=customers, policy=POLICY, contacts=contacts, purpose="service")
    assert lists.frame.height == 40


@pytest.mark.parametrize(
    ("platform", "columns"),
    [
        ("klaviyo", ["Email Address", "Segment", "Segment Date", "Campaign", "Offer"]),
        ("mailchimp", ["Email Address", "Tags"]),
        ("hubspot", ["Email", "Segment", "Segment Date", "Campaign", "Offer"]),
        ("google", ["Email"]),
        ("meta", ["email"]),
    ],
)
def test_each_platform_gets_its_columns_with_additions_and_removals(platform, columns, tmp_path):
    options = {"kind": "upload", "platform": platform}
    build(assigned(IDS[:30]), **options).write(tmp_path / "march")
    erased = build(assigned(IDS[5:35]), erased=["c06"], **options)
    written = erased.write(tmp_path / "april", since=tmp_path / "march")
    files = {path.name: path for path in written}

    def read(name):
        return restore(pl.read_csv(files[name], infer_schema=False))

    full, added, removed = (
        read(f"spring-sale-upload{end}.csv") for end in ("", "-added", "-removed")
    )
    assert full.columns == added.columns == removed.columns == columns
    assert (full.height, added.height, removed.height) == (29, 5, 6)  # c06 leaves, being erased
    before = restore(pl.read_csv(tmp_path / "march/spring-sale-upload.csv", infer_schema=False))
    key = columns[0]
    assert set(before[key]) - set(removed[key]) | set(added[key]) == set(full[key])
    if platform == "mailchimp":
        assert full["Tags"][0] == "S1 2026-02-28,spring sale"


def test_everybody_leaves_a_list_that_is_no_more(tmp_path):
    both = assigned().with_columns(
        offer=pl.when(pl.col("customer_id") < "c20").then(pl.lit("free-gift")).otherwise("offer")
    )
    build(both, kind="upload").write(tmp_path / "a", formats=("parquet",))
    build(assigned(IDS[20:]), kind="upload").write(tmp_path / "b", since=tmp_path / "a")
    removed = pl.read_csv(tmp_path / "b/spring-free-gift-upload-removed.csv")
    assert removed.height == 20
    assert pl.read_csv(tmp_path / "b/spring-sale-upload-removed.csv").height == 0


def test_offers_that_differ_in_signs_alone_get_files_of_their_own(tmp_path):
    names = ["10% off", "10€ off", "flash sale", "flash_sale"]
    offers = pl.col("customer_id").str.slice(1).cast(pl.Int64) // 10
    given = assigned().with_columns(offer=offers.replace_strict(dict(enumerate(names))))
    build(given, kind="upload").write(tmp_path / "a")
    lists = read_lists(tmp_path / "a", "upload")
    assert [frame.height for frame in lists.values()] == [10] * 4
    assert "flash_sale" in lists  # a plain name stays as it is
    stem = name_list("spring", "10€ off", "upload")  # whichever other offers there are
    assert (tmp_path / "a" / f"{stem}.csv").is_file()
    build(given.slice(10), kind="upload").write(tmp_path / "b", since=tmp_path / "a")
    removed = [name_list("spring", name, "upload") + "-removed.csv" for name in names]
    assert [pl.read_csv(tmp_path / "b" / name).height for name in removed] == [10, 0, 0, 0]
    alike = given.with_columns(pl.col("offer").replace("flash_sale", "Flash_Sale").replace(
        "10% off", "flash_sale"))  # fmt: skip
    with pytest.raises(ParameterError, match="differ in capitals alone"):
        build(alike).write(tmp_path / "c")


def test_an_address_or_number_of_anybody_who_refused_is_never_listed():
    phones = [f"+44 20 7946 0{i:03d}" for i in range(40)]
    phones[2] = "+442079460001"  # c01's in another spelling
    emails = [f"{one}@x.org" for one in IDS]
    emails[3], emails[4] = "jo.doe@gmail.com", "Jo.Doe+x@gmail.com"
    emails[5] = "an.na@gmail.com"
    refused = [i in (1, 4) for i in range(40)]
    everybody = people(email=emails, phone=phones, marketing_consent=[not one for one in refused])
    some = assigned([one for i, one in enumerate(IDS) if not refused[i]])
    gone = pl.DataFrame({"customer_id": [None], "email": ["anna@gmail.com"]})
    gone = gone.with_columns(pl.col("customer_id").cast(pl.String))

    def held(channel=None, **more):
        made = build(some, everybody, channel=channel, optouts=gone, **more)
        return made.counts.filter(reason="address_refused")["customers"][0], made.frame.height

    assert held(kind="upload", platform="google") == (3, 35)  # c02 by phone, c03 and c05 by dots
    assert held(kind="upload", platform="meta") == (1, 37)
    assert held("sms") == (1, 37)
    assert held("email") == (0, 38)
    by_number = pl.DataFrame({"email": [None], "phone": ["00442079460007"]})
    gone = by_number.with_columns(pl.col("email").cast(pl.String))
    assert held("sms", region="GB") == (2, 36)
    emails[6] = "C01@x.org"
    everybody = everybody.with_columns(email=pl.Series(emails))
    assert held("email") == (1, 37)  # c01 is assigned to nothing
    everybody, gone = people(email=emails), pl.DataFrame({"customer_id": ["c01"]})
    assert held("email") == (1, 37)


def test_nobody_who_withdrew_stays_in_a_folder_that_is_written_again(tmp_path):
    both = assigned().with_columns(
        offer=pl.when(pl.col("customer_id") < "c20").then(pl.lit("gift")).otherwise("offer")
    )
    build(both, kind="upload").write(tmp_path / "may")
    build(both, kind="upload").write(tmp_path / "x", formats=("csv", "parquet", "xlsx"))
    (tmp_path / "x" / "spring-note.csv").write_text("mine")
    refused = people(marketing_consent=[False] * 20 + [True] * 20)
    build(both, refused, kind="upload").write(tmp_path / "x", since=tmp_path / "may")
    ends = ("", "-added", "-removed")
    stems = [f"spring-{offer}-upload{end}.csv" for offer in ("gift", "sale") for end in ends]
    others = ["cells.csv", "contract.json", "left_out.csv", "spring-note.csv"]
    assert sorted(path.name for path in (tmp_path / "x").iterdir()) == sorted([*stems, *others])
    heights = [pl.read_csv(tmp_path / "x" / name).height for name in stems]
    assert heights == [0, 0, 20, 20, 0, 0]
    emptied = json.loads((tmp_path / "x/contract.json").read_text(encoding="utf-8"))["emptied"]
    assert emptied == ["spring-gift-upload"]


def test_a_month_without_a_list_is_followed_by_one_with(tmp_path):
    none = people(marketing_consent=[False] * 40)
    build(kind="upload").write(tmp_path / "may")
    build(customers=none, kind="upload").write(tmp_path / "june", since=tmp_path / "may")
    build(kind="upload").write(tmp_path / "july", since=tmp_path / "june")
    assert pl.read_csv(tmp_path / "july/spring-sale-upload-added.csv").height == 40
    with pytest.raises(SourceError, match="holds no lists of kind 'crm'"):
        build().write(tmp_path / "crm", since=tmp_path / "may")


def test_an_identifier_that_changed_or_went_away_is_taken_off():
    now = pl.DataFrame({"email": ["a", "b", "n"], "phone": ["2", "3", None]})
    before = pl.DataFrame({"email": ["a", "b", None], "phone": ["1", "3", "4"]})
    added, removed = list_changes(now, before)
    assert added.rows() == [("a", "2"), ("n", None)]
    assert removed.rows() == [(None, "1"), (None, "4")]  # "a" is on the list still
    added, removed = list_changes(now.drop("phone"), before)
    assert added.rows() == [("n",)]
    assert removed.rows() == [(None, "1"), (None, "3"), (None, "4")]
    with pytest.raises(DataError, match="were they made for the same platform"):
        list_changes(now, before.drop("phone"))


def test_wrong_lists_and_policies_are_refused_in_words(tmp_path):
    lists = build(kind="upload")
    with pytest.raises(SourceError, match="holds no lists of kind 'upload'"):
        lists.write(tmp_path / "now", since=tmp_path)
    lists.write(tmp_path / "meta")
    with pytest.raises(ParameterError, match="holds the last lists, which would be lost"):
        lists.write(tmp_path / "meta", since=tmp_path / "meta")
    with pytest.raises(DataError, match="were they made for the same platform"):
        build(kind="upload", platform="google").write(tmp_path / "b", since=tmp_path / "meta")
    with pytest.raises(ParameterError, match="a list for klaviyo goes by e-mail"):
        build(kind="upload", platform="klaviyo", channel="sms")
    with pytest.raises(ParameterError, match="a contact policy needs the time of sending"):
        build(assigned().drop("assigned_at"), policy=POLICY)
