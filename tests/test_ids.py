"""Ids: one reader at every door; lists that meet nobody are reported; pandas frames come in."""

import inspect
import re
from datetime import UTC, date, datetime
from functools import partial

import pandas as pd
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

import segkit
from segkit.errors import DataError, MappingError
from segkit.features.sources import with_ids
from segkit.frames import from_memory, take_frame
from segkit.ids import fold_ids, ids_of, is_no_customer, names_nobody, read_ids, unmatched
from segkit.intake.country import countries
from segkit.intake.mapping import Mapping
from segkit.intake.spellings import read_telephones, require_met
from tests import public

SPELLINGS = [
    pl.Series([17850.0, None]),
    pl.Series([17850, None]),
    pl.Series([17850.0, float("nan")], dtype=pl.Float32),
    pl.Series(["17850.0", None]),
    pl.Series([" 17850\u00a0", ""]),
    pl.Series(["17850", None], dtype=pl.Categorical),
]


def lines(ids, **more):
    days = [f"2024-01-{1 + i:02}" for i in range(len(ids))]
    return pl.DataFrame(
        {"customer_id": ids, "order_time": days, "amount": [10.0] * len(ids)} | more
    )


@pytest.mark.parametrize("spelt", SPELLINGS, ids=lambda series: str(series.dtype))
def test_spellings_of_one_id_meet(spelt):
    assert ids_of(spelt, "ids").to_list() == ["17850", None]
    assert segkit.clean_data(lines(["17850", "13047"]), erase=spelt).orders[
        "customer_id"
    ].to_list() == ["13047"]


DIGITS = st.from_regex(r"-?\d{1,6}(\.0+)?", fullmatch=True)


@given(
    st.lists(
        st.one_of(
            st.none(),
            st.text(st.characters(exclude_categories=["C"]), max_size=8),
            DIGITS,
        )
    )
)
def test_reading_twice_is_reading_once(texts):
    read = read_ids(pl.Series("id", texts, dtype=pl.String))
    assert read_ids(read).to_list() == read.to_list()
    assert all(item is None or item == item.strip() != "" for item in read.to_list())


@given(
    st.lists(
        st.one_of(st.none(), st.sampled_from(["A@b.C", " 7.00", "7", "", "x.0", "00.0", "É@x.Y"])),
        min_size=1,
    )
)
def test_features_read_ids_as_every_other_door_does(texts):
    import narwhals as nw

    frame = pl.DataFrame({"customer_id": pl.Series(texts, dtype=pl.String)})
    lazily = nw.to_native(with_ids(nw.from_native(frame).lazy(), "orders")).collect()
    assert lazily["customer_id"].to_list() == read_ids(frame["customer_id"]).to_list()


def test_every_public_function_that_takes_a_frame_has_the_door():
    frames = re.compile(r"pl\.(DataFrame|LazyFrame|Series)|IntoFrame")
    own = {"build_features", "Mapping.check_columns"}  # reads in the frame's engine; raw columns
    without = []
    for path in public.all_names():
        if path.startswith("segkit.plot."):  # draws what results hand it
            continue
        name, found = path.rpartition(".")[2], public.find(path)
        items = {name: found}
        if inspect.isclass(found):
            items = {f"{name}.{n}": getattr(found, n) for n in vars(found) if n[0] != "_"}
        for spelt, function in items.items():
            if not inspect.isroutine(function) or spelt in own:
                continue
            parameters = inspect.signature(function).parameters.values()
            if any(frames.search(str(item.annotation)) for item in parameters):
                door, layer = False, function
                while layer is not None:
                    door = door or getattr(layer, "takes_frames", False)
                    layer = getattr(layer, "__wrapped__", None)
                without += [] if door else [f"{path}: {spelt}"]
    assert without == []


def test_pandas_ids_come_in_whatever_pandas_made_of_them():
    zone = pd.to_datetime(["2024-01-01 00:30", None]).tz_localize("Europe/Paris")
    frame = pd.DataFrame(
        {
            "customer_id": [17850.0, None],
            "product_id": pd.array([12, None], dtype="Int64"),
            "campaign_id": pd.Categorical(["a ", None]),
            "mixed": pd.Series([1, "b"], dtype=object),
            "at": zone,
        }
    )
    read = take_frame(frame, "orders")
    assert read["customer_id"].to_list() == ["17850", None]
    assert read["product_id"].to_list() == ["12", None]
    assert read["campaign_id"].to_list() == ["a", None]
    assert read["mixed"].to_list() == ["1", "b"]
    assert read["at"].to_list()[0].astimezone(UTC) == datetime(2023, 12, 31, 23, 30, tzinfo=UTC)
    assert read["at"][1] is None


def test_an_index_that_has_a_name_is_a_column():
    table = pd.DataFrame({"customer_id": [7.0, 9.0], "recency_days": [3, 4]})
    indexed = table.set_index("customer_id")
    assert from_memory(indexed).columns == ["customer_id", "recency_days"]
    assert take_frame(indexed[indexed["recency_days"] > 3], "t")["customer_id"].to_list() == ["9"]
    assert from_memory(table[table["recency_days"] > 3]).columns == ["customer_id", "recency_days"]


def test_pandas_and_polars_give_the_same_scores():
    ids = [float(i) for i in range(1, 41)]
    data = {"customer_id": ids, "recency_days": range(40), "frequency": [1, 2] * 20}
    table = pd.DataFrame(data | {"monetary": [float(i % 7) for i in range(40)]})
    ours = segkit.score_rfm(pl.DataFrame({n: table[n].to_list() for n in table}))
    assert segkit.score_rfm(table).frame.equals(ours.frame)
    assert ours.frame["customer_id"][0] == "1"


def test_mangled_ids_are_refused_at_every_door():
    many = ["1.23457E+12", "1,2346E+15", "7"]
    with pytest.raises(DataError, match=r"2 ids are written as 1\.23457E"):
        ids_of(many, "the opt-outs")
    with pytest.raises(DataError, match="mangled by a spreadsheet"):
        segkit.clean_data(lines(many))
    apart = segkit.clean_data(lines(many), {"mangled_ids": "reject"})
    assert apart.orders["customer_id"].to_list() == ["7"]
    assert apart.ledger.reasons() == {"missing_customer_id": 2}
    with pytest.raises(DataError, match="1 id is written"):
        segkit.score_rfm(pl.DataFrame({"customer_id": [2.0**60, 1.0], "recency_days": [1, 2],
                                       "frequency": [1, 1], "monetary": [1.0, 2.0]}))  # fmt: skip
    orders = pl.DataFrame({"customer_id": many, "order_day": [1, 2, 3], "amount": [1.0, 2.0, 3.0]})
    with pytest.raises(DataError, match="2 ids are written"):
        segkit.build_features(orders)
    # An id with an E in it, and a product's bar code, are no reason to stop.
    assert segkit.clean_data(lines(["12E4", "1E+B"])).orders.height == 2
    codes = lines(["a", "b"], product_id=["5.01E+12", "5.01E+12"])
    assert segkit.clean_data(codes).orders.height == 2
    asked = segkit.audit_data(codes).to_frame().filter(column="product_id")
    assert asked["severity"].to_list() == ["warn"]


def test_names_of_buyers_without_a_name_are_nobody_and_those_of_persons_and_shops_are_not():
    nobody = [
        "Cliente Boleta",
        "Consumidor Final",
        "Laufkunde",
        "Contado",
        "散客",
        "一般客",
        "Гость",
        "Khách lẻ",
        "Diğer",
        "Розничный покупатель",
        "Pelanggan Umum",
        "CLIENTE GENERICO",
        "Público en General",
        "Gast",
        "XAXX010101000",
        "66.666.666-6",
        "Perakende Müşteri",
        "Cash customer 3",
    ]
    people = "Cash Converters, Nan O'Connell, Banco Santander, persoana fizica Ion, Anna Gast"
    assert names_nobody(pl.Series(nobody)).all()
    assert not names_nobody(pl.Series(people.split(", "))).any()
    assert is_no_customer(pl.Series(nobody[:-1])).all()
    addresses = "noemail@shop.com no-reply@x.de Guest@x.org none@x.fr sin.email@x.es a@a.a"
    assert is_no_customer(pl.Series(f"{addresses} keine-e-mail@x.de".split())).all()
    persons = "noel@x.fr guest.ann@x.org keiner@x.de nora@a.a info@shop.com"
    assert not is_no_customer(pl.Series(persons.split())).any()


def test_ids_of_nobody_are_missing_and_counted():
    ids = ["0", "0", "Unknown", "(not set)", "-", "undefined", "<NA>", "c1", "c2"]
    taken = segkit.clean_data(lines(ids))
    assert taken.orders["customer_id"].to_list() == ["c1", "c2"]
    assert taken.ledger.reasons() == {"missing_customer_id": 7}
    tried = segkit.clean_data(lines(["0", "0", "test@test.com", "Test@x.de", "ann@x.de"]))
    assert tried.ledger.reasons() == {"missing_customer_id": 2, "test_order": 2}
    (note,) = [note for note in taken.notes if "nobody" in note]
    assert "6 rows" in note  # <NA> is a word for no value in any column
    assert "'0' 2" in note
    kept = segkit.clean_data(lines(ids), {"no_customer": []})
    assert kept.orders["customer_id"].n_unique() == 7
    assert segkit.clean_data(lines([0, 7])).orders["customer_id"].to_list() == ["7"]


def test_addresses_as_ids_are_compared_without_case():
    ids = ["Ann@Shop.org", "ann@shop.org", "ANN@SHOP.ORG ", "bo@x.org"]
    audit = segkit.audit_data(lines(ids))
    assert not audit.blocked
    (note,) = [item.finding for item in audit.findings if "compared without case" in item.finding]
    assert "4 spellings" in note
    assert note.endswith("2 addresses")
    assert segkit.clean_data(lines(ids)).orders["customer_id"].n_unique() == 2


@pytest.mark.parametrize(
    ("ids", "kind"),
    [
        (["ab1", "AB1", "Ab1"], "case"),
        (["A1", "\u0410\u0031", "\u03911"], "look alike"),
        (["Zoe\u0301", "Zo\u00e9"], "composition of accents"),
        (["c1", "c1\u200b", "\ufeffc1", "c\u00ad1"], "invisible"),
        (["c1", "\uff43\uff11"], "width"),
    ],
)
def test_ids_that_differ_in_little_are_asked_about_and_answered_either_way(ids, kind):
    raw = lines([*ids, "other"])
    (asked,) = [item for item in segkit.audit_data(raw).findings if item.severity == "block"]
    assert kind in asked.finding
    assert f"{len(ids)} customer ids" in asked.finding
    assert "1 customer." in asked.finding
    assert asked.rows == len(ids)
    assert not any(spelt in asked.finding for spelt in ids if len(spelt) > 2)
    with pytest.raises(DataError, match="similar_ids"):
        segkit.clean_data(raw)
    assert segkit.clean_data(raw, {"similar_ids": "apart"}).orders["customer_id"].n_unique() == len(
        set(ids)
    ) + 1  # fmt: skip
    joined = segkit.clean_data(raw, {"similar_ids": "join"}, erase=[ids[0]])
    assert joined.orders["customer_id"].to_list() == ["other"]
    with pytest.raises(MappingError, match="join, apart"):
        segkit.clean_data(raw, {"similar_ids": "maybe"})


def test_tables_are_asked_about_together():
    people = pl.DataFrame({"customer_id": ["ab1"], "profiling_consent": [False]})
    tables = {"orders": lines(["AB1", "c"]), "customers": people}
    assert segkit.audit_data(tables).blocked
    joined = segkit.clean_data(tables, {"similar_ids": "join"})
    assert joined.ledger.reasons()["no_profiling_consent"] >= 1
    assert joined.orders["customer_id"].to_list() == ["c"]


def test_lists_that_meet_nobody_or_only_some_are_reported():
    raw = lines(["17850", "13047", "x"])

    def told(erase):
        return next(n for n in segkit.clean_data(raw, erase=erase).notes if "erasure" in n)

    assert told(["17850"]) == "erasure list: 1 of 1 id found, 1 row erased"
    assert "0 of 1 id found" in told(["nobody"])
    assert "1 of 2 ids found" in told(["X", "13047"])
    assert "1 would be but for its spelling" in told(["X", "13047"])
    links = segkit.intake.link_identifiers(
        pl.DataFrame({"customer_id": [17850.0, 9.0], "email": ["a@x.org", "b@x.org"]})
    )
    notes = segkit.clean_data(raw, identities=links).notes
    assert any("of 3 ids in its customer_id 2 are not among the linked ids" in n for n in notes)
    strangers = pl.DataFrame({"customer_id": ["p1"], "region": ["N"]})
    notes = segkit.clean_data({"orders": raw, "customers": strangers}).notes
    assert any("do they mean the same customers?" in n for n in notes)
    known = pl.Series(["a", "b"])
    assert unmatched(pl.Series(["a", None]), known, "the list", "the customers") == ""


def test_links_assignments_and_outcomes_read_float_ids():
    orders = segkit.clean_data(pd.DataFrame({
        "customer_id": [17850.0, 13047.0, None, 17851.0], "order_id": [1, 2, 3, 4],
        "order_time": pd.to_datetime([f"2024-01-0{d}" for d in (1, 2, 3, 4)]),
        "amount": [10.0, 20.0, 30.0, 40.0],
    })).orders  # fmt: skip
    links = pd.DataFrame(
        {"customer_id": [17850.0, 17851.0, None], "email": ["a@x.org", "a@x.org", "z@x.org"]}
    )
    linked = segkit.intake.link_identifiers(links).mapping.filter(identifier_type="customer_id")
    assert linked["customer_id"].to_list() == ["17850", "17850"]
    start = datetime(2023, 12, 31, tzinfo=UTC)
    drawn = pl.DataFrame({"customer_id": [17850.0, 13047.0, 5.0], "arm": ["a", "b", "a"],
                          "assigned_at": [start] * 3})  # fmt: skip
    made = segkit.derive_outcomes(drawn, orders, window_days=3)
    assert dict(made.frame.select("customer_id", "revenue").iter_rows()) == {
        "17850": 10.0, "13047": 20.0, "5": 0.0}  # fmt: skip
    assert "named by no order line at all: 1" in made.text
    strangers = drawn.with_columns(customer_id=pl.Series(["p", "q", "r"]))
    assert (
        "are the ids of one kind?" in segkit.derive_outcomes(strangers, orders, window_days=3).text
    )
    segments = pd.DataFrame({"customer_id": [" 17850 "], "segment": ["S1"]})
    placed = segkit.lift.attach_segments(drawn, segments, as_of=date(2023, 12, 30))
    assert placed["segment"].to_list() == ["S1", "no segment", "no segment"]
    with pytest.raises(DataError, match="ids of one kind"):
        segkit.lift.attach_segments(strangers, segments, as_of=date(2023, 12, 30))


def test_placeholders_link_nobody():
    for word in ("unknown", "0", "(not set)", "<NA>", "undefined", "Guest"):
        rows = [(f"K{n}", word, f"d{n}") for n in range(4)]
        frame = pl.DataFrame(rows, schema=["customer_id", "email", "device_id"], orient="row")
        assert segkit.intake.link_identifiers(frame).customers.height == 4


def test_a_trace_takes_an_id_in_any_spelling():
    taken = segkit.clean_data(lines([17850.0, 3.0]))
    assert taken.trace(17850.0).lines == taken.trace(" 17850").lines == 1
    norway = segkit.clean_data(lines(["912 34 567"]), {"phone_country": "NO"})
    assert norway.trace("+47 912 34 567").lines == 1
    assert norway.spell(["0047 91234567", None]).to_list() == ["91234567", None]


def test_folding_leaves_real_differences():
    ids = pl.DataFrame({"id": ["o1", "01", "l1", "11", "c-1", "c1", "é", "e"]})
    assert ids.select(fold_ids(pl.col("id")).n_unique()).item() == 8


def test_an_audience_says_which_lists_name_strangers():
    ids = ["17850", "13047", "00017"]
    emails = [f"u{n}@x.org" for n in range(3)]
    people = pd.DataFrame({"customer_id": ids, "email": emails, "marketing_consent": [True] * 3})
    drawn = pl.DataFrame({"customer_id": ids, "offer": ["sale"] * 3, "segment": ["S1"] * 3})
    terms = segkit.campaign.SegmentContract("c", "2025-02-28", "1", "", "ward", {"S1": "all"})

    def made(optouts, given=drawn, **more):
        listed = pd.DataFrame({"customer_id": optouts})
        return segkit.build_audience(
            given, people, contract=terms, min_cell=1, optouts=listed, **more
        )

    assert made([17850.0, None]).frame["customer_id"].to_list() == ["00017", "13047"]
    assert made([17850.0, None]).notes == ()
    with pytest.raises(DataError, match=r"the opt-outs: 1 id is not .* but for its spelling"):
        made([17])
    note = "None of 1 id in the opt-outs is among the customers (1 would be but for its spelling)."
    assert note in made([17], mapping=Mapping()).notes
    floats = drawn.with_columns(pl.col("customer_id").cast(pl.Float64))
    note = "Of 3 ids in the assignments 1 is not among the customers (1 would be but for"
    assert note in made([], floats).text


@pytest.fixture(scope="module")
def shop():
    return segkit.load_source("simulated", n_customers=300, seed=0)


def test_second_accounts_of_the_simulated_retailer_are_linked_without_error(shop):
    linked = segkit.pipeline.link_source(shop)
    accounts = shop.truth["identities"].filter(kind="account_id")
    named = linked.mapping.filter(identifier_type="customer_id")
    both = accounts.join(named, on="identifier", suffix="_found")
    assert both.height == accounts.height > accounts["customer_id"].n_unique() == 300
    assert both["customer_id"].to_list() == both["customer_id_found"].to_list()
    assert linked.cut.height > 0  # devices that two households share join nobody


def test_counts_of_customers_follow_from_one_another(shop):
    linked = segkit.pipeline.link_source(shop)
    taken = segkit.clean_data(shop, identities=linked)
    counts = segkit.intake.count_customers(taken, linked)
    assert counts.accounts == linked.customer_ids > counts.customers == 300
    assert counts.customers > counts.ordering > counts.kept >= counts.buyers
    table = segkit.build_features(taken.orders, features=["core"]).frame
    assert table.height == counts.buyers
    assert set(table["customer_id"]) <= set(shop.truth["customers"]["customer_id"])
    assert f"{counts.accounts} accounts belong to 300 customers" in counts.text
    apart = segkit.clean_data(shop)
    assert any("join nobody unless" in note for note in apart.notes)
    assert apart.orders["customer_id"].n_unique() > counts.kept


def test_a_weak_identifier_seen_with_several_customers_joins_nobody():
    rows = [("a", "a@x.org", "d1"), ("b", "b@x.org", "d1"), ("c", "c@x.org", "d2"),
            (None, "c@x.org", "d3"), ("C2", "c@x.org", "d2")]  # fmt: skip
    links = pl.DataFrame(rows, schema=["customer_id", "email", "device_id"], orient="row")
    assert segkit.intake.link_identifiers(links).customers.height == 2
    weak = segkit.intake.link_identifiers(links, weak=["device_id"])
    assert weak.customers.height == 3
    assert weak.cut["identifier"].to_list() == ["d1"]
    owner = dict(weak.mapping.select("identifier", "customer_id").iter_rows())
    assert owner["d2"] == owner["d3"] == owner["c"] == owner["C2"]
    turned = segkit.intake.link_identifiers(links.reverse(), weak=["device_id"])
    assert turned.mapping.equals(weak.mapping)


def test_a_respondent_numbered_0_is_one_of_them():
    survey = pl.DataFrame({"customer_id": [0, 1, 2, 3], "q1": [1, 2, 3, 4]})
    assert segkit.clean_data({"survey": survey}).survey["customer_id"].sort().to_list() == list(
        "0123"
    )
    orders = pl.DataFrame(
        {"customer_id": [0, 0, 1, 2], "order_date": ["2024-05-01"] * 4, "amount": [1.0, 2, 3, 4]}
    )
    assert segkit.clean_data(orders).orders["customer_id"].sort().to_list() == ["1", "2"]


def test_telephone_numbers_of_each_country_are_read_as_the_library_reads_them():
    phonenumbers = pytest.importorskip("phonenumbers")
    form = phonenumbers.PhoneNumberFormat
    mobile = phonenumbers.PhoneNumberType.MOBILE
    for country, facts in countries().items():
        example = phonenumbers.example_number_for_type(country, mobile)
        e164 = phonenumbers.format_number(example, form.E164)
        assert e164.startswith("+" + facts["phone"][0])
        number = str(example.national_number)
        number = number.removeprefix("9") if country == "AR" else number  # dialled from abroad only
        ways = [e164, f"00{e164[1:]}", str(example.national_number)]
        ways += [
            phonenumbers.format_number(example, way) for way in (form.INTERNATIONAL, form.NATIONAL)
        ]
        # As long as numbers of Austria and Indonesia are without it: not told, and left alone.
        ways += [] if country in ("AT", "ID") else [e164[1:]]
        read = read_telephones(pl.Series(ways), country)
        assert read.unique().to_list() == [number], country
        assert read_telephones(pl.Series(ways[:2])).to_list() == [e164] * 2


@pytest.mark.parametrize(
    ("country", "number", "ways"),
    [
        ("AR", "1123456789", "+54 9 11 2345-6789|011 15-2345-6789|11 15 2345 6789|5491123456789"),
        ("AR", "2214567890", "+54 221 456-7890|0221 15 456-7890|+54 9 221 4567890"),
        ("AR", "2966123456", "02966 15-123456|+54 9 2966 123456|2966 123456"),
        ("MX", "5512345678", "+52 1 55 1234 5678|5215512345678|044 55 1234 5678|01 55 1234 5678"),
        ("BR", "11987654321", "+55 11 8765-4321|0 15 11 98765-4321|551187654321|011987654321"),
        ("BR", "1132345678", "+55 11 3234-5678|(11) 3234-5678|0 21 11 3234-5678"),
        ("LT", "61234567", "+370 612 34567|8 612 34567|(8-612) 34567|0 612 34567"),
        ("CL", "912345678", "+56 9 1234 5678|09 1234 5678"),
    ],
)
def test_digits_that_only_some_write_in_mobile_numbers_are_left_out(country, number, ways):
    read = read_telephones(pl.Series(ways.split("|")), country)
    assert read.unique().to_list() == [number]


def test_texts_that_are_no_telephone_numbers_stay_as_they_are():
    texts = ["Ann", "A-123 456 789", "12-34", "91234567/92345678", "+47 912 34 567 ext. 3", None]
    assert read_telephones(pl.Series(texts), "NO").to_list() == texts
    swedish = pl.Series(["+46 70 123 45 67", "+44 (0)20 7946 0958"])
    assert read_telephones(swedish, "NO").to_list() == ["+46701234567", "+442079460958"]
    assert read_telephones(swedish, "GB").to_list() == ["+46701234567", "2079460958"]


def test_a_list_in_other_spellings_of_numbers_is_pointed_out():
    present, listed = pl.Series(["91234567", "123"]), pl.Series(["+47 912 34 567", "00123", "9"])
    note = unmatched(listed, present, "the opt-outs", "the customers")
    assert note == (
        "none of 3 ids in the opt-outs is among the customers (2 would be but for their spelling)"
    )
    with pytest.raises(DataError, match="the opt-outs: 2 ids are not among"):
        require_met(listed, present, "the opt-outs")
    hashed = pl.Series([f"{n:032x}" for n in range(3)])
    for one, other, hidden in (
        (hashed, present, "the opt-outs"),
        (listed, hashed, "the customers"),
    ):
        with pytest.raises(DataError, match=f"as the ids of {hidden} are pseudonyms"):
            unmatched(one, other, "the opt-outs", "the customers")
        with pytest.raises(DataError, match=f"as the ids of {hidden} are pseudonyms"):
            require_met(one, other, "the opt-outs")
    for code, close in (("47", True), ("55", False)):  # numbers of Brazil are longer
        bare = pl.Series([f"{code}91234567", "7712345678"])
        if close:
            with pytest.raises(DataError, match="1 id is not"):
                require_met(bare, present, "the opt-outs")
        else:
            require_met(bare, present, "the opt-outs")
    require_met(pl.Series(["+46 912 34 568", "A-7"]), present, "the opt-outs")
    with pytest.raises(DataError, match="1 id is not"):  # both in the spellings of their source
        require_met(pl.Series(["4791234567"]), pl.Series(["+47 912 34 567"]), "the opt-outs")
    iceland = pl.Series(["+354 555 1234"]), pl.Series(["5551234"])
    assert unmatched(*iceland, "the opt-outs", "the customers").endswith("but for its spelling)")
    other = unmatched(pl.Series(["5591234567"]), present, "the opt-outs", "the customers")
    assert other == "none of 1 id in the opt-outs is among the customers"


def test_refusals_in_other_spellings_of_telephone_numbers_meet_their_customers():
    mapping = Mapping(options={"phone_country": "NO"})
    ids = [f"912345{n:02}" for n in range(5)]
    people = pl.DataFrame({"customer_id": ids, "marketing_consent": True}).with_columns(
        email=pl.format("{}@x.org", "customer_id")
    )
    ways = ["+47 912 34 500", "004791234501", "4791234502", "912 34 503"]
    moment = datetime(2025, 2, 1, tzinfo=UTC)
    gone = pl.DataFrame({"customer_id": ways, "event_time": [moment] * 4})
    free = segkit.check_eligibility(people, at=date(2025, 3, 1), optouts=gone, mapping=mapping)
    assert free.customer_ids.to_list() == ids[4:]
    said = "4 ids in the opt-outs were written as the data write them."
    assert free.rules["spelling"] == said
    drawn = pl.DataFrame({"customer_id": ids, "offer": "sale", "segment": "S1"})
    terms = segkit.campaign.SegmentContract("c", "2025-02-28", "1", "", "ward", {"S1": "all"})
    build = partial(segkit.build_audience, drawn, people, contract=terms, min_cell=1)
    for left, more in (("opted_out", {"optouts": gone}), ("erased", {"erased": ways})):
        made = build(mapping=mapping, **more)
        assert made.frame["customer_id"].to_list() == ids[4:]
        assert made.counts.filter(reason=left)["customers"].to_list() == [4]
        with pytest.raises(DataError, match="4 ids are not among the customers, and would be"):
            build(**more)
    assert said in build(mapping=mapping, optouts=gone).notes
    with pytest.raises(DataError, match="4 ids are not among the customers, and would be"):
        segkit.check_eligibility(people, at=date(2025, 3, 1), optouts=gone)
    by_address = gone.with_columns(email=pl.Series(people["email"][:4]))
    assert build(optouts=by_address).frame["customer_id"].to_list() == ids[4:]
