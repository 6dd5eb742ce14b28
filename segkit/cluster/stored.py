"""What every segment model shares: its ids, and its way into a file and back."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self

from segkit.cluster.scoring import read_model, write_model
from segkit.result import Result


class StoredModel(Result):
    """Base of the models that assign customers: readable JSON, never pickle."""

    __slots__ = ()

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
