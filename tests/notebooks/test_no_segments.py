"""A retailer without segments is told so, at the end of every notebook's chain."""

import pytest

from tests.notebooks.runs import Ran

pytestmark = pytest.mark.slow


def test_a_retailer_without_segments_is_told_so(tmp_path):
    settings = ["customers=300", "structure=none", "repeats=5", "references=19"]
    ran = Ran(tmp_path, "12", *(word for value in settings for word in ("-p", value)))
    assert ran.code == 0, ran.err
    graded = {row["question"]: row["answer"] for row in ran.summary("12_summary")["answers"]}
    assert graded["How right was it?"].startswith("Simulated without segments")
    assert ran.skips("12_summary") == set()
