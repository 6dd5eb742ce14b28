"""Contact policy: each rule holds back whom it should, for one customer as for a table of them."""

from datetime import UTC, date, datetime, time, timedelta

import numpy as np
import polars as pl
import pytest

from segkit.errors import ColumnError, ParameterError
from segkit.rules import ContactPolicy, QuietTime
from segkit.rules.contact import HELD

NOON = datetime(2026, 3, 4, 12, tzinfo=UTC)  # a Wednesday
FILE = """
zone = "Europe/Berlin"
fewer = 2

[purposes]
marketing = "marketing_consent"
service = ""

[[cap]]
channel = "email"
most = 2
days = 7

[[cap]]
most = 3
days = 30

[[quiet]]
from = "21:00"
to = 08:00:00

[[quiet]]
weekdays = ["Sunday"]
dates = [2026-12-25]
"""


@pytest.fixture(scope="module")
def policy(tmp_path_factory):
    path = tmp_path_factory.mktemp("policy") / "contacts.toml"
    path.write_text(FILE)
    return ContactPolicy.load(path)


def ago(*days, by="email"):
    return [(NOON - timedelta(days=one), by) for one in days]


def agreed(**more):
    return {"customer_id": "a", "marketing_consent": True, **more}


@pytest.mark.parametrize(
    ("about", "earlier", "reason"),
    [
        (agreed(), (), None),
        (agreed(marketing_consent=False), (), "no_consent"),
        (agreed(email_consent=False), (), "no_channel_consent"),
        (agreed(email_consent=None), (), "consent_not_recorded"),
        ({}, (), "consent_not_recorded"),
        (agreed(contact_pause_until=date(2026, 3, 5)), (), "paused"),
        (agreed(contact_pause_until="2026-03-04"), (), None),
        (agreed(contact_channel="post"), (), "other_channel"),
        (agreed(contact_channel="post, email"), (), None),
        (agreed(time_zone="Pacific/Auckland"), (), "quiet_time"),
        (agreed(), ago(1), None),
        (agreed(), ago(1, 6.9), "contact_cap"),
        (agreed(), ago(1, 7), None),  # the seventh day before is no longer within seven days
        (agreed(), ago(-1, -2, -3), None),  # what comes later does not count
        (agreed(), ago(1) + ago(8, 20, by="sms"), "contact_cap"),
        (agreed(), ago(1) + ago(8, 31, by="sms"), None),
        (agreed(contact_frequency="fewer"), ago(1, 13), "contact_cap"),
        (agreed(contact_frequency="usual"), ago(1, 13), None),
    ],
)
def test_each_rule_holds_back_for_one_customer_and_for_a_table(policy, about, earlier, reason):
    assert policy.why_held(NOON, "email", customer=about, earlier=earlier) == reason
    assert reason is None or reason in HELD
    made = pl.DataFrame(
        [("a", *one) for one in earlier],
        schema={
            "customer_id": pl.String,
            "event_time": pl.Datetime("us", "UTC"),
            "channel": pl.String,
        },
        orient="row",
    )
    frame = pl.DataFrame([{"customer_id": "a", "marketing_consent": None, **about}])
    frame = frame.with_columns(pl.col("marketing_consent").cast(pl.Boolean))
    assert policy.hold_back(frame, at=NOON, contacts=made).to_list() == [reason]


def test_quiet_times_follow_the_clock_of_the_customer_over_midnight(policy):
    def reason(*when):
        return policy.why_held(datetime(*when, tzinfo=UTC), "email", customer=agreed())

    assert reason(2026, 3, 4, 19, 59) is None  # 20:59 in Berlin
    assert reason(2026, 3, 4, 20) == "quiet_time"
    assert reason(2026, 3, 5, 6, 59) == "quiet_time"
    assert reason(2026, 3, 5, 7) is None
    assert reason(2026, 7, 1, 19) == "quiet_time"  # summer time
    assert reason(2026, 3, 8, 12) == "quiet_time"  # Sunday
    assert reason(2026, 12, 25, 12) == "quiet_time"
    # a day has no hours: only whole quiet days count
    assert policy.why_held(date(2026, 3, 4), "email", customer=agreed()) is None
    assert policy.why_held(date(2026, 3, 8), "email", customer=agreed()) == "quiet_time"


def test_who_can_wait_is_told_until_when(policy):
    saturday = datetime(2026, 3, 7, 22, tzinfo=UTC)
    # 23:00 on Saturday in Berlin; Sunday is quiet, and its night too: Monday, 8:00
    assert policy.next_open(saturday, "sms") == datetime(2026, 3, 9, 7, tzinfo=UTC)
    assert policy.next_open(NOON, "sms") == NOON
    always = ContactPolicy(quiet=(QuietTime(time(0), time(0)),))
    assert always.next_open(NOON, "sms") is None


def test_service_messages_are_never_held_back_and_count_towards_no_cap(policy):
    night = NOON.replace(hour=23)
    assert policy.why_held(night, "email", purpose="service") is None
    made = pl.DataFrame(
        {
            "customer_id": ["a"] * 4,
            "event_time": [NOON - timedelta(hours=1)] * 4,
            "purpose": ["service"] * 3 + ["marketing"],
        }
    )
    frame = pl.DataFrame([agreed()])
    assert policy.hold_back(frame, at=NOON, contacts=made).to_list() == [None]
    marketing = made.with_columns(purpose=pl.lit("marketing"))
    assert policy.hold_back(frame, at=NOON, contacts=marketing).to_list() == ["contact_cap"]
    assert policy.hold_back(frame, at=night, purpose="service").to_list() == [None]


def test_the_universal_holdout_is_the_same_for_every_campaign_and_channel():
    policy = ContactPolicy(holdout_share=0.2, holdout_seed=3)
    ids = pl.Series("customer_id", [f"c{i}" for i in range(2000)])
    out = policy.in_holdout(ids)
    assert abs(out.mean() - 0.2) < 0.03
    assert policy.in_holdout(ids.reverse()).reverse().equals(out)  # whoever stands beside
    frame = ids.to_frame().with_columns(marketing_consent=pl.lit(value=True))
    for channel in ("email", "ads"):
        held = policy.hold_back(frame, at=NOON, channel=channel)
        assert (held == "universal_holdout").fill_null(value=False).equals(out.alias("reason"))
    one = ids.filter(out)[0]
    about = {"customer_id": one, "marketing_consent": True}
    assert policy.why_held(NOON, "sms", customer=about) == "universal_holdout"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[[cap]]\nmost = 0\ndays = 7", "a cap's most must be 1 or more"),
        ("[[cap]]\nmost = 3", r"\[\[cap\]\] needs days"),
        ("[[cap]]\nmost = 3\ndays = 7\nchanel = 'sms'", "did you mean 'channel'"),
        ("[[cap]]\nmost = 3\ndays = 7\nchannel = 'mail'", "unknown channel 'mail'"),
        ("[[quiet]]\nfrom = '21h'\nto = '8:00'", "expected a time as 21:00, got '21h'"),
        ("[[quiet]]\nfrom = '21:00'", "both from and to"),
        ("[[quiet]]\nchannel = 'sms'", "hours, weekdays or dates"),
        ("[[quiet]]\nweekdays = ['Sonntag']", "unknown weekday 'sonntag'"),
        ("zone = 'Berlin'", "unknown time zone 'Berlin'"),
        ("fewer = 0.5", "expected fewer >= 1"),
        ("[holdout]\nshare = 5", "holdout_share must be at least 0 and below 1"),
        ("cap = 3", "cannot be read|is a table"),
        ("caps = []", "did you mean 'cap'"),
        ("zone = ", "contacts.toml cannot be read"),
    ],
)
def test_a_file_that_is_wrong_is_refused_with_its_name(tmp_path, text, message):
    path = tmp_path / "contacts.toml"
    path.write_text(text)
    with pytest.raises(ParameterError, match=message) as refused:
        ContactPolicy.load(path)
    assert str(refused.value).startswith("contacts.toml")


def test_wrong_customers_are_refused_in_words(policy):
    with pytest.raises(ParameterError, match="there is no contact policy"):
        ContactPolicy.load("none.toml")
    with pytest.raises(ColumnError, match="customers lacks marketing_consent"):
        policy.hold_back(pl.DataFrame({"customer_id": ["a"]}), at=NOON)
    with pytest.raises(ParameterError, match="unknown purpose 'survey'"):
        policy.why_held(NOON, "email", purpose="survey")
    with pytest.raises(ParameterError, match="unknown frequency that a customer asks for 'rarely'"):
        policy.why_held(NOON, "email", customer=agreed(contact_frequency="rarely"))
    with pytest.raises(ParameterError, match="a pause: expected a date"):
        policy.why_held(NOON, "email", customer=agreed(contact_pause_until="next week"))
    with pytest.raises(ParameterError, match="unknown time zone"):
        policy.why_held(NOON, "email", customer=agreed(time_zone="here"))


@pytest.mark.parametrize(
    ("answers", "reason"),
    [((False, np.False_, 0, np.int64(0), 0.0), "no_consent"), ((True, np.True_, 1), None)],
)
def test_a_consent_counts_in_whatever_type_it_comes(policy, answers, reason):
    for answer in answers:
        about = agreed(marketing_consent=answer)
        assert policy.why_held(NOON, "email", customer=about) == reason
        assert policy.hold_back(pl.DataFrame([about]), at=NOON).to_list() == [reason]


@pytest.mark.parametrize("answer", ["false", "no", "true", 2, float("nan")])
@pytest.mark.parametrize("column", ["marketing_consent", "email_consent"])
def test_a_consent_that_is_neither_yes_nor_no_is_refused(policy, answer, column):
    about = agreed(**{column: answer})
    message = f"{column}: a consent is true.*{answer!r}"
    with pytest.raises(ParameterError, match=message):
        policy.why_held(NOON, "email", customer=about)
    with pytest.raises(ParameterError, match=message):
        policy.hold_back(pl.DataFrame([about]), at=NOON)


def test_caps_asked_of_a_day_count_the_contacts_of_that_day():
    once = ContactPolicy.from_dict({"zone": "Europe/Berlin", "cap": [{"most": 1, "days": 7}]})
    frame = pl.DataFrame([agreed()])

    def reason(*when):
        sent = datetime(*when, tzinfo=UTC)
        made = pl.DataFrame({"customer_id": ["a"], "event_time": [sent]})
        by_table = once.hold_back(frame, at=date(2026, 3, 4), contacts=made).to_list()
        earlier = [(sent, "email")]
        one = once.why_held(date(2026, 3, 4), "email", customer=agreed(), earlier=earlier)
        assert by_table == [one]
        return one

    assert reason(2026, 3, 4, 9) == "contact_cap"
    assert reason(2026, 3, 4, 22, 59) == "contact_cap"  # the last minute in Berlin
    assert reason(2026, 3, 4, 23) is None  # the day after in Berlin
    assert reason(2026, 2, 25, 9) == "contact_cap"  # not yet seven days at eight o'clock
    assert reason(2026, 2, 24, 9) is None


def test_a_channel_counts_in_any_spelling_and_an_unknown_one_is_refused():
    once = ContactPolicy.from_dict({"cap": [{"most": 1, "days": 7, "channel": "email"}]})
    frame, sent = pl.DataFrame([agreed()]), NOON - timedelta(days=1)
    for name, reason in ((" Email ", "contact_cap"), ("SMS", None)):
        assert once.why_held(NOON, "email", customer=agreed(), earlier=[(sent, name)]) == reason
        made = pl.DataFrame({"customer_id": ["a"], "event_time": [sent], "channel": [name]})
        assert once.hold_back(frame, at=NOON, contacts=made).to_list() == [reason]
    unknown = made.with_columns(channel=pl.lit("mail"))
    with pytest.raises(ParameterError, match="unknown channel of a contact 'mail'"):
        once.hold_back(frame, at=NOON, contacts=unknown)
    with pytest.raises(ParameterError, match="unknown channel of a contact 'mail'"):
        once.why_held(NOON, "email", customer=agreed(), earlier=[(sent, "mail")])
