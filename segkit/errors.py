"""The library's own errors: each says what was expected, what was got and what is available."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

__all__ = [
    "ColumnError",
    "DataError",
    "MappingError",
    "ModelError",
    "ParameterError",
    "RuleError",
    "RunError",
    "SegkitError",
    "SourceError",
    "WriteError",
]


class SegkitError(ValueError):
    """Base of every error that segkit raises on purpose.

    Where a person reads it in JupyterLab, the message and the line at fault stand for the whole
    traceback; batch runs keep that.
    """

    def _render_traceback_(self) -> list[str]:
        from segkit.progress import written_error

        return written_error(self)


class SourceError(SegkitError):
    """A data source is unknown, absent or unreadable."""


class MappingError(SegkitError):
    """A mapping file names a column, table or option that is not there."""


class DataError(SegkitError):
    """The data are not sufficient for the analysis (no rows, one customer, a constant column)."""


class ColumnError(DataError):
    """A frame lacks a column that the function needs, or holds it in the wrong type."""


class ParameterError(SegkitError):
    """An argument or a notebook's parameter is unknown, of the wrong type or out of range."""


class RuleError(SegkitError):
    """A table of rules overlaps, leaves a gap, or cannot be parsed."""


class ModelError(SegkitError):
    """A saved model cannot be read, or does not fit the data to be scored."""


class WriteError(OSError, SegkitError):
    """A file cannot be written: the disk is full, or the folder is absent or not writable."""

    def __str__(self) -> str:
        return f"cannot write {self.filename}: {self.strerror}"


class RunError(SegkitError):
    """A run cannot start or go on: its folder is in use, or a notebook broke its promises."""


def unknown(kind: str, got: str, available: Iterable[str]) -> str:
    """Word the message for a name that is not among the known ones.

    Parameters
    ----------
    kind : str
        What the name stands for, in the singular ("column", "data set").
    got : str
        The name that was asked for.
    available : iterable of str
        The names that exist.

    Returns
    -------
    str
        One sentence with the closest known name first, then all of them.

    Examples
    --------
    >>> unknown("column", "amuont", ["amount", "order_id"])
    "unknown column 'amuont'; did you mean 'amount'? Available: amount, order_id"
    """
    names = [str(name) for name in available]
    close = difflib.get_close_matches(got, names, n=1)
    hint = f"; did you mean {close[0]!r}?" if close else "."
    return f"unknown {kind} {got!r}{hint} Available: {', '.join(names) or 'none'}"


def require_choice(
    kind: str, got: str, available: Iterable[str], error: type[SegkitError] = ParameterError
) -> None:
    """Raise an error unless a name is among the available ones.

    Examples
    --------
    >>> require_choice("method", "ward", ["ward", "kmeans"])
    """
    names = list(available)
    if got not in names:
        raise error(unknown(kind, str(got), names))


def require_least(**options: tuple[float, float]) -> None:
    """Raise ``ParameterError`` unless each option is at least its limit: ``k=(k, 2)``.

    Examples
    --------
    >>> require_least(k=(1, 2))
    Traceback (most recent call last):
    segkit.errors.ParameterError: expected k >= 2, got 1
    """
    for name, (value, least) in options.items():
        if not value >= least:
            raise ParameterError(f"expected {name} >= {least:g}, got {value}")


def require_range(limits: str, **options: float | None) -> None:
    """Raise ``ParameterError`` unless each option that is given lies in an interval.

    Parameters
    ----------
    limits : str
        The interval: a square bracket where it holds its end, a round one where it does not.
    **options : float | None
        Options by name; None is not given.

    Examples
    --------
    >>> require_range("[0, 1)", share=0.2)
    >>> require_range("[0, 1)", share=1.0)
    Traceback (most recent call last):
        ...
    segkit.errors.ParameterError: share must be at least 0 and below 1, got 1.0
    """
    low, high = (float(end) for end in limits[1:-1].split(","))
    for name, value in options.items():
        if value is None:
            continue
        above = value >= low if limits[0] == "[" else value > low
        below = value <= high if limits[-1] == "]" else value < high
        if isinstance(value, bool) or not (above and below):
            words = [f"{'at least' if limits[0] == '[' else 'above'} {low:g}"]
            if high < float("inf"):
                words.append(f"{'at most' if limits[-1] == ']' else 'below'} {high:g}")
            raise ParameterError(f"{name} must be {' and '.join(words)}, got {value}")


def require_columns(have: Iterable[str], need: Iterable[str], what: str) -> None:
    """Raise ``ColumnError`` unless every needed column is there.

    Parameters
    ----------
    have : iterable of str
        The frame's columns.
    need : iterable of str
        The columns that the caller cannot do without.
    what : str
        The frame's name in the message ("orders").

    Raises
    ------
    ColumnError
        The error names each missing column and those available.

    Examples
    --------
    >>> require_columns(["customer_id"], ["customer_id"], "orders")
    """
    names = list(have)
    missing = [column for column in need if column not in names]
    if missing:
        raise ColumnError(
            f"{what} lacks {', '.join(missing)}; it has {', '.join(names) or 'no columns'}"
        )
