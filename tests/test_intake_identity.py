"""Identity: components as by hand, the same ids in any order, doubts named."""

import json
from datetime import date

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import segkit
from segkit.errors import ColumnError, DataError, ParameterError
from segkit.intake.graph import factorize
from segkit.intake.identity import Identities, link_identifiers


def frame(*rows, columns=("customer_id", "email", "device_id")):
    return pl.DataFrame(rows, schema=dict.fromkeys(columns, pl.String), orient="row")


def ids(found, kind="customer_id"):
    rows = found.mapping.filter(pl.col("identifier_type") == kind)
    return dict(rows.select("identifier", "customer_id").rows())


def test_what_hangs_together_is_one_customer():
    found = link_identifiers(
        frame(
            ("7", "a@x", None),
            ("9", " A@X ", "d1"),
            ("4", None, "d2"),
            (None, "b@x", "d1"),
            (None, "c@x", "d3"),
        )
    )
    assert ids(found) == {"4": "4", "7": "7", "9": "7"}
    emails = ids(found, "email")
    assert (emails["a@x"], emails["b@x"]) == ("7", "7")
    assert emails["c@x"].startswith("anon-")
    assert emails["c@x"] == ids(found, "device_id")["d3"]
    assert found.customers.height == 3
    assert found.customers.row(1) == ("7", 5, 2)
    assert found.conflicts.is_empty()
    assert "a@x" not in found._repr_html_()


def test_empty_identifiers_link_nobody_and_are_counted():
    found = link_identifiers(frame(("1", "none", ""), ("2", "N/A", " - "), ("3", None, "nan")))
    assert ids(found) == {"1": "1", "2": "2", "3": "3"}
    assert found.empty == 5


def test_case_matters_for_all_but_emails():
    found = link_identifiers(frame(("1", "x@y", "ABC"), ("2", None, "abc")))
    assert ids(found) == {"1": "1", "2": "2"}


@pytest.mark.parametrize("collide", [False, True])
def test_texts_are_numbered_exactly_even_where_hashes_collide(collide, monkeypatch):
    raw = pl.Series(["b", "a", None, "b", "", "c", None])
    if collide:
        monkeypatch.setattr(
            pl.Series, "hash", lambda self, *_: pl.Series([7] * len(self), dtype=pl.UInt64)
        )
    codes, spellings = factorize(raw)
    texts = [None if code < 0 else spellings[int(code)] for code in codes]
    assert texts == raw.to_list()
    assert len(set(codes.tolist())) == 5


def brute(rows):
    """Merge sets until nothing overlaps."""
    groups = []
    for row in rows:
        nodes = {(place, value) for place, value in enumerate(row) if value is not None}
        if not nodes:
            continue
        touching = [group for group in groups if group & nodes]
        groups = [group for group in groups if not group & nodes]
        groups.append(nodes.union(*touching))
    return {frozenset(group) for group in groups}


VALUES = st.one_of(st.none(), st.integers(0, 12).map(lambda i: f"v{i:02d}"))


@settings(max_examples=60)
@given(
    st.lists(st.tuples(VALUES, VALUES, VALUES), min_size=1, max_size=15).filter(
        lambda rows: any(any(row) for row in rows)
    ),
    st.randoms(use_true_random=False),
)
def test_components_equal_brute_force_in_any_row_order(rows, random):
    found = link_identifiers(frame(*rows), plausible=2)
    names = {"customer_id": 0, "email": 1, "device_id": 2}
    groups = {}
    for kind, value, customer in found.mapping.rows():
        groups.setdefault(customer, set()).add((names[kind], value))
    assert {frozenset(group) for group in groups.values()} == brute(rows)
    for customer, group in groups.items():
        own = sorted(value for kind, value in group if kind == 0)
        assert customer == own[0] if own else customer.startswith("anon-")
    shuffled = link_identifiers(frame(*random.sample(rows, len(rows))), plausible=2)
    for name in ("mapping", "customers", "conflicts", "large", "cut"):
        assert getattr(shuffled, name).equals(getattr(found, name)), name


def test_contradictions_are_named():
    links = pl.DataFrame(
        {
            "customer_id": ["1", "2", "3", "4"],
            "email": ["a@x", "a@x", "b@x", "b@x"],
            "loyalty_id": ["L1", "L2", "L3", None],
            "birth_date": [date(1980, 1, 1), date(1990, 1, 1), date(1970, 5, 5), date(1970, 5, 5)],
        }
    )
    found = link_identifiers(links)
    assert found.conflicts.select("customer_id", "key", "values", "found").rows() == [
        ("1", "birth_date", ["1980-01-01", "1990-01-01"], 2),
        ("1", "loyalty_id", ["L1", "L2"], 2),
    ]
    assert found.conflicts["customer_ids"].to_list() == [2, 2]
    assert "1 customer contradicts themselves (birth_date, loyalty_id)" in found.text
    none = link_identifiers(links, hard_keys=(), single=())
    assert none.conflicts.is_empty()


def shared_device():
    rows = [(f"c{i:02d}", f"m{i}@x", "kiosk" if i < 15 else f"d{i}") for i in range(20)]
    rows += [("c00", "m0@x", "phone"), ("c99", "m0@x", None)]
    return frame(*rows)


def test_a_large_component_is_reported_with_its_bridge():
    found = link_identifiers(shared_device())
    assert found.large_found == 1
    assert found.large.row(0) == ("c00", 16, 33, "device_id", "kiosk", 15, 15, 2)
    assert "without one device_id it falls into 15" in found.text
    assert "kiosk" not in found.text


def test_hubs_are_cut_above_a_degree_and_listed():
    found = link_identifiers(shared_device(), max_degree=5)
    assert found.cut.rows() == [("device_id", "kiosk", 15)]
    assert found.large_found == 0
    assert ids(found)["c01"] == "c01"
    assert ids(found)["c99"] == "c00"
    assert "kiosk" not in found.mapping["identifier"].to_list()
    same = link_identifiers(shared_device(), max_degree=15)
    assert same.cut.is_empty()
    assert same.large_found == 1


def test_a_customer_id_is_never_cut():
    rows = [("1", f"m{i}@x", None) for i in range(30)]
    assert link_identifiers(frame(*rows), max_degree=2).customers.height == 1


def test_a_cut_hub_does_not_part_the_rest_of_its_row():
    rows = [(None, "all@x", f"d{i}") for i in range(9)]
    links = frame(*rows).with_columns(card=pl.Series([f"k{i}" for i in range(9)]))
    columns = ["device_id", "email", "card"]
    found = link_identifiers(links, identifiers=columns, max_degree=3)
    assert found.cut.rows() == [("email", "all@x", 9)]
    assert ids(found, "device_id")["d4"] == ids(found, "card")["k4"]
    assert found.customers.height == 9


def test_bad_input():
    good = frame(("1", "a@x", None))
    with pytest.raises(DataError, match="no links"):
        link_identifiers(good.clear())
    with pytest.raises(DataError, match="no row holds"):
        link_identifiers(frame((None, "", None)))
    with pytest.raises(ColumnError, match="lacks phone"):
        link_identifiers(good, identifiers=["customer_id", "phone"])
    with pytest.raises(ColumnError, match="lacks birth"):
        link_identifiers(good, hard_keys=["birth"])
    with pytest.raises(ParameterError, match="at least two identifier columns"):
        link_identifiers(good.select("email"))
    with pytest.raises(ParameterError, match="max_degree must be at least 1"):
        link_identifiers(good, max_degree=0)
    with pytest.raises(ParameterError, match="plausible must be"):
        link_identifiers(good, plausible=0)


def test_one_link_and_numbers_as_ids():
    found = link_identifiers(pl.DataFrame({"customer_id": [1], "email": ["a@x"]}))
    assert ids(found) == {"1": "1"}
    assert found.to_frame().height == 9


def test_the_result_is_stored():
    found = link_identifiers(shared_device())
    again = Identities.from_dict(json.loads(json.dumps(found.to_dict())))
    assert again.mapping.equals(found.mapping)
    assert again.text == found.text


def test_ids_with_and_without_a_decimal_of_zero_are_one_and_others_stay_apart():
    frame = pl.DataFrame(
        {"Order ID": ["100", "100.0", "100.5", "0100"], "Customer ID": ["7", "7.0", "7.00", "8"],
         "Order date": ["2024-05-01"] * 4, "Total": [1.0, 2.0, 4.0, 8.0]}
    )  # fmt: skip
    taken = segkit.clean_data(frame)
    assert taken.orders["order_id"].to_list() == ["100", "100", "100.5", "0100"]
    assert taken.orders["customer_id"].to_list() == ["7", "7", "7", "8"]
    assert any("1 id in 'Order ID' ending in '.0'" in note for note in taken.notes)
