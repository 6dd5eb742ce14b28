"""What every segment model shares: its ids, and its way into a file and back."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self

from segkit.cluster.scoring import read_model, write_model
from segkit.result import Result, check_names, check_number


class StoredModel(Result):
    """Base of the models that assign customers: readable JSON, never pickle."""

    __slots__ = ()
    rows: int  # customers of the fit

    def __post_init__(self) -> None:
        """Check the model, however it came about: fitted, renamed or read.

        Raises
        ------
        ModelError
            If it could not score: no columns, a list of the wrong length, a number that is not
            finite, two segments of one id.
        """
        check_names("features", self.features)
        check_names("segments", (one.id for one in self.parts))
        check_names("segments", (one.name for one in self.parts))
        check_number("the customers of the stored model", self.rows, least=1)
        for one in self.parts:
            check_number(f"the customers of {one.id}", one.size, least=0)
            check_number(f"the reach of {one.id}", one.reach)
            self.check_part(one)

    @property
    @abstractmethod
    def parts(self) -> tuple[Any, ...]:
        """What stands for each segment."""

    @abstractmethod
    def check_part(self, one: Any) -> None:
        """Raise ``ModelError`` unless one segment's numbers fit the model's columns."""

    @property
    @abstractmethod
    def features(self) -> tuple[str, ...]:
        """Columns that a frame needs to be scored."""

    @property
    @abstractmethod
    def names(self) -> dict[str, str]:
        """Each id's name."""

    @property
    def ids(self) -> tuple[str, ...]:
        """The segments' ids."""
        return tuple(self.names)

    @abstractmethod
    def to_data(self) -> dict[str, Any]:
        """Return the model as plain JSON data, to be read by people too."""

    @classmethod
    @abstractmethod
    def from_data(cls, data: Mapping[str, Any]) -> Self:
        """Rebuild a model from `to_data`'s data.

        Raises
        ------
        ModelError
            If these are the data of no such model.
        """

    def save(self, path: Path | str) -> Path:
        """Write the model as JSON and return the path."""
        return write_model(self.to_data(), path)

    @classmethod
    def load(cls, path: Path | str) -> Self:
        """Read a model that `save` wrote.

        Raises
        ------
        ModelError
            If the file is absent, is no JSON, or holds no model of this kind.
        """
        return cls.from_data(read_model(path))
