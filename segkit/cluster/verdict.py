"""Was the verdict on the structure right? Only a simulated source can tell."""

from __future__ import annotations

from dataclasses import dataclass

import polars as pl

from segkit.cluster.structure import Structure
from segkit.display import number
from segkit.errors import require_columns
from segkit.frames import takes_frames
from segkit.result import Result


@dataclass(frozen=True, slots=True, eq=False)
class StructureGrade(Result):
    """What was said of the structure, beside what is known of it.

    Attributes
    ----------
    verdict : str
        "natural", "reproducible" or "constructive", as `assess_structure` found it.
    p_value : float
        Of its test over all numbers of segments.
    planted : int
        Groups that were planted; 0 for a continuum of customers.
    right : bool
        Whether planted groups were called natural, or a continuum was not.
    """

    verdict: str
    p_value: float
    planted: int
    right: bool

    def to_frame(self) -> pl.DataFrame:
        """Return one row: verdict, p_value, planted, right."""
        names = ("verdict", "p_value", "planted", "right")
        return pl.DataFrame({name: [getattr(self, name)] for name in names})

    @property
    def text(self) -> str:
        """Say whether the verdict was right, and what a wrong one means."""
        found = f"(verdict '{self.verdict}', p = {number(self.p_value, digits=2)})"
        if self.planted:
            start = f"Simulated with {self.planted} groups, and"
            if self.right:
                return f"{start} the test sees natural groups: right {found}."
            return (
                f"{start} the test does not see them {found}: they overlap so far that no valley "
                "is left between them."
            )
        start = "Simulated without segments, along one continuum, and"
        if self.right:
            return f"{start} the test sees no natural groups: right {found}."
        return (
            f"{start} the test calls segments natural all the same {found}: a false alarm, as at "
            "a level of .05 about one data set in twenty gives."
        )


@takes_frames
def grade_structure(structure: Structure, truth: pl.DataFrame) -> StructureGrade:
    """Was the verdict on the structure right?

    Parameters
    ----------
    structure : Structure
        From `assess_structure`.
    truth : polars.DataFrame
        ``archetype``: the group planted for each customer, null throughout in a continuum.

    Returns
    -------
    StructureGrade

    Raises
    ------
    ColumnError
        If ``archetype`` is missing.

    Examples
    --------
    >>> import numpy as np
    >>> from segkit.cluster.structure import assess_structure
    >>> X = np.random.default_rng(0).normal(size=(60, 2))
    >>> found = assess_structure(X, k_range=[2, 3], n_null=19, n_boot=6)
    >>> grade_structure(found, pl.DataFrame({"archetype": [None] * 60})).right
    True
    """
    require_columns(truth.columns, ["archetype"], "the truth")
    planted = truth["archetype"].drop_nulls().n_unique()
    right = (structure.p_value <= structure.alpha) == (planted > 0)
    return StructureGrade(structure.verdict, structure.p_value, planted, right)
