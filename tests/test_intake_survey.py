"""Answers to a survey: codes for no answer are asked about, words for no value are obeyed."""

from types import SimpleNamespace

import polars as pl
import pytest

import segkit
from segkit.errors import ColumnError, DataError, MappingError, ParameterError, SegkitError
from segkit.intake.numbers import doubted_answers

WHO = {"survey": {"columns": {"customer_id": "customer_id"}}}


def asked(frame, **options):
    mapping = {"survey": {**options, "columns": {"customer_id": "customer_id"}}}
    audit = segkit.audit_data({"survey": frame}, mapping)
    return [finding for finding in audit.findings if finding.severity == "block"]


def likert(n=60, **changed):
    made = {f"q{j}": [1 + (k * j + k // 7) % 5 for k in range(n)] for j in (1, 2, 3)}
    return pl.DataFrame({"customer_id": [f"c{k}" for k in range(n)], **(made | changed)})


HOLES = [99 if k % 9 == 0 else 1 + k % 5 for k in range(60)]
MINUS = [-9 if k % 7 == 0 else 1 + k % 5 for k in range(60)]


@pytest.mark.parametrize("kind", [pl.Int64, pl.Float64, pl.String])
def test_codes_are_asked_about_with_the_line_that_answers(kind):
    frame = likert(q1=HOLES, q3=MINUS).with_columns(pl.col("q1", "q2", "q3").cast(kind))
    (question,) = asked(frame)
    assert question.rows == HOLES.count(99) + MINUS.count(-9)
    assert 'nulls = ["", "-9", "99"]' in question.answer
    with pytest.raises(DataError, match=r"q1 holds 99 \(7 times\)"):
        segkit.clean_data({"survey": frame}, WHO)
    answered = {"nulls": ["", "-9", "99"], **WHO}
    taken = segkit.clean_data({"survey": frame}, answered).survey
    assert taken["q1"].null_count() == HOLES.count(99)
    assert taken["q1"].max() == 5
    assert (taken["q3"].null_count(), taken["q3"].min()) == (MINUS.count(-9), 1)
    assert taken["q2"].null_count() == 0


def test_a_zero_below_a_scale_to_five_is_asked_about_and_can_be_an_answer():
    frame = likert(q1=[k % 6 for k in range(60)])
    assert "q1 holds 0 (10 times)" in asked(frame)[0].finding
    assert not asked(frame, answers=[0, 5])
    assert asked(likert(q1=HOLES), answers=[0, 5])  # 99 is outside all the same
    taken = segkit.clean_data({"survey": frame}, {"survey": {"answers": [0, 5], **WHO["survey"]}})
    assert taken.survey["q1"].min() == 0


@pytest.mark.parametrize(
    ("values", "doubted"),
    [
        ([1, 2, 3, 4, 5], []),
        ([0, 1, 2, 3, 4], []),
        (list(range(11)), []),
        ([-2, -1, 0, 1, 2], []),
        ([0, 1], []),
        ([0, 1, 9], [9]),
        ([1, 2, 3, 4, 5, 6, 7, 9], [9]),
        ([1, 2, 3, 4, 5, 6, 7, 8, 9], []),
        ([1, 2, 3, 4, 5, 8, 9], [8, 9]),
        ([1, 2, 4, 5, -1, 998], [-1, 998]),
        ([0, 5, 10, -99], [-99]),
        ([1, 2, 3, 4, 5, 55], [55]),
        ([18, 25, 33, 44, 99], []),  # ages are no scale
        ([0, 3, 17, 55, 99, 120], []),  # counts neither
        ([1.5, 2.0, 99.0], []),
    ],
)
def test_which_numbers_are_doubted(values, doubted):
    assert [value for value, _ in doubted_answers(pl.Series(values))] == doubted


def test_answers_that_are_no_numbers_are_counted():
    frame = likert().with_columns(q1=pl.lit("agree"), q2=pl.col("q2").cast(pl.String))
    taken = segkit.clean_data({"survey": frame}, WHO)
    assert "survey: 60 answers to q1 cannot be read as a number and are left empty" in taken.notes
    assert not any("q2" in note for note in taken.notes)
    yes = likert(q1=["Yes", "k.A."] * 30)
    read = segkit.clean_data({"survey": yes}, {"nulls": ["k.A."], **WHO}).survey
    assert read["q1"].to_list() == [1.0, None] * 30


def test_a_range_of_answers_is_two_rising_numbers_of_the_survey():
    for bad in ([5, 1], [1], ["1", "5"], [True, False]):
        with pytest.raises(MappingError, match="the lowest and the highest"):
            segkit.audit_data({"survey": likert()}, {"survey": {"answers": bad, **WHO["survey"]}})
    with pytest.raises(MappingError, match=r"belongs to \[survey\]"):
        segkit.audit_data({"survey": likert()}, {"customers": {"answers": [1, 5]}})


def test_no_analysis_averages_a_code():
    frame, items = likert(q1=HOLES), ["q1", "q2", "q3"]
    for analysis in (
        segkit.factor.correlate_items,
        segkit.factor.estimate_reliability,
        segkit.fit_factors,
    ):
        with pytest.raises(DataError, match=r"99 in q1 \(7 times\)"):
            analysis(
                frame,
                **{"scales" if analysis is segkit.factor.estimate_reliability else "items": items},
            )
    with pytest.raises(DataError, match="99 in q1"):
        segkit.factor.score_scales(frame, {"s": items}, answers=(1, 5))


# Reversed items -------------------------------------------------------------------------------


def test_items_are_reversed_by_the_range_that_was_offered():
    frame = pl.DataFrame({"x": [1, 2, 4], "y": [4, 3, 2]})  # of 1 to 5; nobody said 5
    with pytest.raises(ParameterError, match=r"'y' is reversed, .* answers=\(lowest, highest\)"):
        segkit.factor.score_scales(frame, {"s": ["x", "y"]}, reverse=["y"])
    scores = segkit.factor.score_scales(frame, {"s": ["x", "y"]}, reverse=["y"], answers=(1, 5))
    assert scores["scale_s"].to_list() == [1.5, 2.5, 4.0]
    each = segkit.factor.score_scales(
        frame, {"s": ["x", "y"]}, reverse=["y"], answers={"y": (1, 7)}
    )
    assert each["scale_s"].to_list() == [2.5, 3.5, 5.0]
    with pytest.raises(ParameterError, match="'y' is reversed"):
        segkit.factor.score_scales(frame, {"s": ["x", "y"]}, reverse=["y"], answers={"x": (1, 5)})
    with pytest.raises(DataError, match="x runs from 1 to 3; 1 answer lies outside, such as 4"):
        segkit.factor.score_scales(frame, {"s": ["x", "y"]}, answers={"x": (1, 3)})


def test_a_survey_is_opened_from_clean_data_or_from_a_file_of_its_own(tmp_path):
    answers = pl.DataFrame({"customer_id": ["a", "b", "c"], "loyal_3": [1, 5, 2]})
    opened = segkit.factor.open_survey(SimpleNamespace(survey=answers), source="simulated")
    assert opened.answers is answers
    assert opened.items == ["loyal_3"]
    assert opened.ranges["loyal_3"] == (1.0, 5.0)
    assert "loyal_3" in opened.labels
    nobody = segkit.factor.open_survey(SimpleNamespace(survey=None))
    assert (nobody.answers, nobody.items, nobody.labels, nobody.ranges) == (None, [], {}, {})
    file, book = tmp_path / "s.csv", tmp_path / "codebook.csv"
    file.write_text("q1,q2\n1,2\n5,4\n2,\n", encoding="utf-8")
    book.write_text("item,statement,low,high\nq1,I save,1,7\n", encoding="utf-8")
    mapping = tmp_path / "m.toml"
    mapping.write_text('[survey.columns]\ncustomer_id = "row"\nq1 = "q1"\nq2 = "q2"\n', "utf-8")
    taken = SimpleNamespace(survey=answers)
    own = segkit.factor.open_survey(
        taken, path=str(file), mapping=str(mapping), codebook=str(book), source="simulated"
    )
    assert own.answers["q1"].to_list() == [1, 5, 2]
    assert (own.items, own.labels) == (["q1", "q2"], {"q1": "I save"})
    assert own.ranges == {"q1": (1.0, 7.0)}
    plain = segkit.factor.open_survey(
        taken, path=str(file), mapping=str(mapping), source="simulated"
    )
    assert plain.labels == {}, "the source's codebook is for its own survey"
    with pytest.raises(SegkitError, match="absent"):
        segkit.factor.open_survey(taken, path=str(tmp_path / "absent.csv"))


def test_a_codebook_states_the_range(tmp_path):
    assert segkit.factor.read_answer_ranges("simulated")["loyal_3"] == (1.0, 5.0)
    assert segkit.factor.read_answer_ranges("online-retail") == {}
    file = tmp_path / "codebook.csv"
    file.write_text("item,statement,low,high\nx,I like it,1,7\ny,I do not,,\n")
    assert segkit.factor.read_answer_ranges(file) == {"x": (1.0, 7.0)}
    assert segkit.factor.read_codebook(file) == {"x": "I like it", "y": "I do not"}
    file.write_text("item,statement,low,high\nx,I like it,7,1\n")
    with pytest.raises(DataError, match="answers to x run from '7' to '1'"):
        segkit.factor.read_answer_ranges(file)
    file.write_text("item,statement,low\nx,I like it,7\n")
    with pytest.raises(ColumnError, match="high"):
        segkit.factor.read_answer_ranges(file)


def test_a_picture_of_answers_keeps_the_middle_that_was_offered():
    frame = pl.DataFrame({"q": [1, 2, 3, 3, 4]})  # of 1 to 5
    stated = segkit.factor.plot_answers(frame, ["q"], answers=(1, 5))
    assert "q 40.0% disagree, 20.0% agree" in stated.alt
    assert "those given (1 to 4)" in segkit.factor.plot_answers(frame, ["q"]).alt
    with pytest.raises(DataError, match="q runs from 1 to 3; 1 answer lies outside, such as 4"):
        segkit.factor.plot_answers(frame, ["q"], answers=(1, 3))


def test_each_items_answers_lie_in_the_range_that_the_codebook_states():
    frame = pl.DataFrame({"q": [1, 2, 3, 4], "r": [0, 2, 3, 5]})
    with pytest.raises(DataError, match="r runs from 1 to 5; 1 answer lies outside, such as 0"):
        segkit.factor.plot_answers(frame, ["q", "r"], answers={"q": (1.0, 5.0), "r": (1.0, 5.0)})
    one = segkit.factor.plot_answers(frame, ["q", "r"], answers={"q": (0.0, 5.0), "r": (0.0, 5.0)})
    assert "middle of the scale from 0 to 5" in one.alt
    # Items with ranges of their own have no common middle.
    two = segkit.factor.plot_answers(frame, ["q", "r"], answers={"q": (1.0, 4.0), "r": (0.0, 5.0)})
    assert "middle of those given (0 to 5)" in two.alt


def test_a_scale_that_does_not_vary_reaches_no_reliability():
    """Two opposite items: their sum is constant, and NaN is above any limit to polars."""
    frame = pl.DataFrame({"a": [1, 5, 2, 4], "b": [5, 1, 4, 2], "c": [1, 2, 3, 5]})
    alone = segkit.factor.estimate_reliability(frame, ["a", "b"])
    assert alone.scales.select("alpha", "alpha_low").row(0) == (None, None)
    assert "All reach" not in alone.text
    assert "Nothing is known" in alone.text
    three = segkit.factor.estimate_reliability(frame, ["a", "b", "c"]).items
    assert not three["alpha_if_dropped"].is_nan().any()
    assert three["alpha_if_dropped"].null_count() == 1
