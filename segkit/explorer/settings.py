"""What the analyst has set, and the one call to the library that it stands for."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import date
from typing import TYPE_CHECKING, Any

from segkit.display import counted
from segkit.errors import ParameterError, unknown

if TYPE_CHECKING:
    import polars as pl

    from segkit.cluster.division import Division
    from segkit.cluster.outcome import Segmentation

LEAST, MOST = 2, 12  # segments: no picture tells more apart
FILES = ("csv", "parquet")


@dataclass(frozen=True, slots=True)
class Method:
    """A way to divide customers: its name for people, its function, what it is told besides."""

    words: str
    function: str
    options: Mapping[str, Any]
    refit: str  # as `assess_stability` calls it; empty where it has no such method


METHODS = {
    "ward": Method("Ward (hierarchical)", "cluster_customers", {"method": "ward"}, "ward"),
    "two-step": Method(
        "two-step Ward", "cluster_customers", {"method": "ward", "exact_rows": 1}, "ward"
    ),
    "kmeans": Method("k-means", "cluster_customers", {"method": "kmeans"}, "kmeans"),
    "mixture": Method("Gaussian mixture", "cluster_mixture", {}, ""),
}


@dataclass(frozen=True, slots=True)
class Settings:
    """One choice of everything that makes the segments what they are.

    Attributes
    ----------
    features : tuple of str
        Variables that shape the segments.
    k : int
        Number of segments.
    method : str
        Of `METHODS`.
    seed : int
    definitions : dict of str to str
        What each feature means, kept in the model.
    as_of : date or None
        Day up to which the features look, kept in the model.
    """

    features: tuple[str, ...]
    k: int
    method: str = "ward"
    seed: int = 0
    definitions: Mapping[str, str] = field(default_factory=dict)
    as_of: date | None = None

    def check(self) -> None:
        """Refuse what no method could do, in words for people.

        Raises
        ------
        ParameterError
            If the method is unknown, no variable is chosen, or k is out of range.
        """
        if self.method not in METHODS:
            raise ParameterError(unknown("method", self.method, METHODS))
        if not self.features:
            raise ParameterError("no variable is chosen; choose at least one")
        if not LEAST <= self.k <= MOST:
            raise ParameterError(f"k must be from {LEAST} to {MOST}, got {self.k}")

    @property
    def words(self) -> str:
        """The settings in a line."""
        shaped = counted(len(self.features), "variable")
        known = METHODS.get(self.method)
        return f"{known.words if known else self.method}, {self.k} segments, {shaped}"

    @property
    def stem(self) -> str:
        """A file's name for what these settings find."""
        return f"segments_{self.method}_{self.k}".replace("-", "_")

    @property
    def arguments(self) -> dict[str, Any]:
        """What the method's function is called with, after the table."""
        known = {f: self.definitions[f] for f in self.features if f in self.definitions}
        kept: dict[str, Any] = {"definitions": known} if known else {}
        kept |= {"as_of": self.as_of} if self.as_of else {}
        options = METHODS[self.method].options
        return {"features": list(self.features), "k": self.k, **options, **kept, "seed": self.seed}

    def fit(self, table: pl.DataFrame) -> Segmentation | Division:
        """Divide the customers.

        Raises
        ------
        SegkitError
            As the method raises it.
        """
        import segkit

        self.check()
        function: Callable[..., Any] = getattr(segkit, METHODS[self.method].function)
        return function(table, **self.arguments)  # type: ignore[no-any-return]

    def code(self, table: str = "table", *, model: str = "", assignments: str = "") -> str:
        """Write the call as code to be run elsewhere.

        Parameters
        ----------
        table : str
            Name of the variable that holds the customer table.
        model, assignments : str
            Files to write, if any.

        Examples
        --------
        >>> print(Settings(("frequency", "monetary"), 3, "kmeans").code())
        import segkit
        <BLANKLINE>
        found = segkit.cluster_customers(
            table,
            features=[
                "frequency",
                "monetary",
            ],
            k=3,
            method="kmeans",
            seed=0,
        )
        """
        named = [f"    {name}={_written(value)}," for name, value in self.arguments.items()]
        call = f"found = segkit.{METHODS[self.method].function}("
        lines = ["from datetime import date", ""] if self.as_of else []
        lines += ["import segkit", "", call, f"    {table},", *named, ")"]
        if model:
            lines.append(f"found.model.save({_written(model)})")
        if assignments:
            lines.append(f"segkit.write_frame(found.assignments, {_written(assignments)})")
        return "\n".join(lines)


def _written(value: Any) -> str:
    """Write a value as Python does, lists and mappings a line an item."""
    if isinstance(value, list):
        return "[\n" + "".join(f"        {_written(item)},\n" for item in value) + "    ]"
    if isinstance(value, Mapping):
        items = (f"        {_written(k)}: {_written(v)},\n" for k, v in value.items())
        return "{\n" + "".join(items) + "    }"
    if isinstance(value, date):
        return f"date({value.year}, {value.month}, {value.day})"
    return json.dumps(value, ensure_ascii=False) if isinstance(value, str) else repr(value)
