"""The default table of segments over the scores r, f and m: complete, and nobody twice."""

from __future__ import annotations

from segkit.rfm.cuts import bins_of
from segkit.rules import Domain, RuleSet

# Lowest and highest grade of r, f, m on a scale of five; several boxes are joined by "or".
_GRADES: dict[str, tuple[str, ...]] = {
    "Champions": ("r45 f45 m45",),
    "Loyal": ("r45 f45 m13", "r33 f45 m15"),
    "Potential loyalists": ("r45 f23 m15",),
    "New": ("r55 f11 m15",),
    "Promising": ("r44 f11 m15",),
    "Need attention": ("r33 f23 m15",),
    "About to sleep": ("r33 f11 m15",),
    "Can't lose": ("r12 f45 m45",),
    "At risk": ("r12 f45 m13", "r12 f33 m15"),
    "Hibernating": ("r22 f12 m15",),
    "Lost": ("r11 f12 m15",),
}


def rfm_segments(bins: int | tuple[int, int, int] = 5) -> RuleSet:
    """Name every combination of the scores r, f and m once, in the field's usual names.

    The table is written for scores of 1 to 5 and carried over to other numbers of bins by the
    grade of each score, 1 + 4 (score - 1) / (bins - 1), halves up; where no score has a
    grade, the segments that need it do not exist (with two or four bins no score is middling).

    ===================== ============== ============ =======================================
    segment               r              f            m
    ===================== ============== ============ =======================================
    Champions             4-5            4-5          4-5
    Loyal                 4-5, or 3      4-5          1-3 where r is 4-5, any where r is 3
    Potential loyalists   4-5            2-3          any
    New                   5              1            any
    Promising             4              1            any
    Need attention        3              2-3          any
    About to sleep        3              1            any
    Can't lose            1-2            4-5          4-5
    At risk               1-2            3, or 4-5    any where f is 3, 1-3 where f is 4-5
    Hibernating           2              1-2          any
    Lost                  1              1-2          any
    ===================== ============== ============ =======================================

    Parameters
    ----------
    bins : int or three ints
        Highest score of r, f and m.

    Returns
    -------
    RuleSet
        Checked to be a partition of all scores.

    Raises
    ------
    RuleError
        If the table were no partition (a defect of this module).

    Examples
    --------
    >>> rfm_segments(5).check().points
    125
    >>> print(rfm_segments(3).text.splitlines()[0])
    Champions: r = 3 and f = 3 and m = 3
    """
    numbers = bins_of(bins)
    lines = []
    for name, boxes in _GRADES.items():
        written = [_write(box, numbers) for box in boxes]
        possible = [text for text in written if text is not None]
        if possible:
            lines.append(f"{name}: {' or '.join(possible)}")
    domains = {
        letter: Domain("integer", low=1, high=top, nullable=False)
        for letter, top in zip("rfm", numbers, strict=True)
    }
    rules = RuleSet.parse("\n".join(lines), domains=domains)
    rules.check().require()
    return rules


def _write(box: str, bins: tuple[int, int, int]) -> str | None:
    parts = []
    for part, top in zip(box.split(), bins, strict=True):
        letter, low, high = part[0], int(part[1]), int(part[2])
        scores = [s for s in range(1, top + 1) if low <= _grade(s, top) <= high]
        if not scores:
            return None
        if len(scores) == 1:
            parts.append(f"{letter} = {scores[0]}")
        elif len(scores) < top:
            parts.append(f"{letter} between {scores[0]} and {scores[-1]}")
    return " and ".join(parts)


def _grade(score: int, top: int) -> int:
    # Whole arithmetic: floor(1 + 4 (score - 1) / (top - 1) + 1/2).
    return (8 * (score - 1) + 3 * (top - 1)) // (2 * (top - 1))
