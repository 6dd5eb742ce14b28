"""A retailer without segments is told so, at the end of every notebook's chain."""

import pytest

from tests.notebooks.runs import STEMS, OneByOne, check_answers

pytestmark = pytest.mark.slow


def test_a_retailer_without_segments_is_told_so(tmp_path, kernel):
    """The first notebook by papermill: later ones find what it kept."""
    settings = {"customers": 300, "structure": "none", "repeats": 5, "references": 19}
    settings |= {"draws": 20, "resamples": 20}
    done = OneByOne(
        tmp_path, kernel, by_papermill=1, pictures=False, source="simulated", **settings
    )
    assert done.stems == STEMS
    graded = {row["question"]: row["answer"] for row in done.summary("12_summary")["answers"]}
    assert graded["How right was it?"].startswith("Simulated without segments")
    check_answers(done)
    assert done.skips("12_summary") == {"planted"}
