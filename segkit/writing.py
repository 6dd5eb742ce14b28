"""Files written completely or not at all, and removal of temporary files after a crash."""

from __future__ import annotations

import contextlib
import os
import re
import secrets
import shutil
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, get_args

from segkit.errors import ParameterError, WriteError, unknown
from segkit.spreadsheets import as_csv, as_xlsx

if TYPE_CHECKING:
    import polars as pl

__all__ = ["write_frame"]

PARQUET = (".parquet", ".pq")
Format = Literal["csv", "xlsx", "parquet"]
FORMATS: tuple[Format, ...] = get_args(Format)
OWNER_FILE, OWNER_FOLDER = 0o600, 0o700
WINDOWS = os.name == "nt"


def write_whole(
    path: Path | str, content: str | bytes, *, overwrite: bool = True, private: bool = False
) -> Path:
    """Write a file atomically: a reader sees the old one or the new one.

    It is written under a temporary name in the same folder and then renamed, so that a full disk,
    an error or a killed process leaves the old file as it was.

    Parameters
    ----------
    path : path
        The file. Its folder must be there.
    content : str or bytes
        All of it; text is written as UTF-8.
    overwrite : bool
        Replace an existing file; otherwise raise an error, even if the file appeared during the
        call.
    private : bool
        Readable and writable by its owner alone, whatever the umask is (mode 0600, where the
        system has modes).

    Returns
    -------
    pathlib.Path

    Raises
    ------
    WriteError
        If the file cannot be written, with the system's reason; it is an ``OSError`` too.
    ParameterError
        If the file is there and may not be replaced.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     write_whole(Path(folder) / "a.txt", "all of it").read_text()
    'all of it'
    """
    target = Path(path)
    if not overwrite and os.path.lexists(target):
        raise ParameterError(f"{target} exists; it is not overwritten")
    data = content.encode() if isinstance(content, str) else content
    aside = temporary_name(target)
    try:
        sweep(target)
        if private:
            aside.touch(OWNER_FILE, exist_ok=False)
        with aside.open("r+b" if private else "xb") as handle:
            lock(handle.fileno())
            handle.write(data)
        if overwrite:
            aside.replace(target)
        else:
            _put(aside, target)
    except OSError as error:
        why = error.strerror or str(error)
        if WINDOWS and isinstance(error, PermissionError):  # a file that is open is not replaced
            why = f"{why}; close it if another program has it open"
        raise WriteError(error.errno, why, str(target)) from error
    finally:
        with contextlib.suppress(OSError):
            aside.unlink(missing_ok=True)
    return target


def write_frame(
    frame: pl.DataFrame,
    path: Path | str,
    *,
    overwrite: bool = True,
    private: bool = False,
    quote_text: bool = False,
    **options: Any,
) -> Path:
    """Write a frame whole, as Parquet, XLSX or CSV by the file's ending; see `write_whole`.

    The one writer of tables: formulas are defused in CSV and XLSX (`segkit.spreadsheets`).

    Parameters
    ----------
    frame : polars.DataFrame
        The rows.
    path : path
        Ends in .parquet or .pq for Parquet, in .xlsx for a workbook; anything else is CSV.
    overwrite, private : bool
        As for `write_whole`.
    quote_text : bool
        Quote every text in a CSV.
    **options
        For polars' own ``write_csv`` or ``write_parquet``.
    """
    from segkit.frames import take_frame  # polars takes long, and most writers need none

    frame = take_frame(frame, "frame")
    name = Path(path).name
    if name.lower().endswith(PARQUET):
        buffer = BytesIO()
        frame.write_parquet(buffer, **options)
        content = buffer.getvalue()
    elif name.lower().endswith(".xlsx"):
        content = as_xlsx(frame, str(path))
    else:
        content = as_csv(frame, quote_text=quote_text, **options)
    return write_whole(path, content, overwrite=overwrite, private=private)


write_frame.takes_frames = True  # type: ignore[attr-defined]  # it takes them as the door does


def check_format(kind: str) -> None:
    """Refuse a format of tables before anything is written.

    Raises
    ------
    ParameterError
        If it is unknown.
    """
    if kind not in FORMATS:
        raise ParameterError(unknown("format", kind, FORMATS))


def private_folder(path: Path) -> Path:
    """Make a folder that its owner alone can enter, or make an existing one so (mode 0700)."""
    path.mkdir(OWNER_FOLDER, parents=True, exist_ok=True)
    with contextlib.suppress(OSError, NotImplementedError):  # a system without modes
        path.chmod(OWNER_FOLDER)
    return path


def close_to_others(folder: Path) -> None:
    """Make a folder and all within it readable by their owner alone, whatever the umask was."""
    if not folder.is_dir():
        return
    private_folder(folder)
    for path in folder.rglob("*"):
        with contextlib.suppress(OSError, NotImplementedError):
            path.chmod(OWNER_FOLDER if path.is_dir() else OWNER_FILE)


@contextlib.contextmanager
def whole_folder(folder: Path) -> Iterator[Path]:
    """Yield a temporary folder to fill; it is moved to its place if there is no error.

    Parameters
    ----------
    folder : pathlib.Path
        Absent or empty. An existing folder is kept and not replaced, for processes that work in it.

    Raises
    ------
    WriteError
        If it cannot be written; the temporary folder is then removed.
    """
    place = folder.absolute()
    exists = place.is_dir()
    aside = temporary_name(place / "folder") if exists else temporary_name(place)
    try:
        aside.mkdir(parents=True)
        yield aside
        if exists:
            for part in aside.iterdir():
                part.rename(place / part.name)
        else:
            aside.rename(place)
    except WriteError:
        raise
    except OSError as error:
        raise WriteError(error.errno, error.strerror or str(error), str(folder)) from error
    finally:
        shutil.rmtree(aside, ignore_errors=True)


def temporary_name(target: Path) -> Path:
    """Return a name beside a file under which this process may write it.

    A long name is cut: file systems allow 255 bytes.
    """
    short = target.name.encode()[:180].decode(errors="ignore")
    return target.with_name(f".{short}.{os.getpid()}-{secrets.token_hex(4)}.new")


def _put(aside: Path, target: Path) -> None:
    """Rename a file unless the name is in use."""
    try:
        os.link(aside, target)
    except FileExistsError:
        raise ParameterError(f"{target} exists; it is not overwritten") from None
    except OSError:  # a file system without links
        if os.path.lexists(target):
            raise ParameterError(f"{target} exists; it is not overwritten") from None
        aside.rename(target)


def sweep(target: Path) -> None:
    """Remove temporary files of killed processes beside a file (named by `temporary_name`)."""
    short = target.name.encode()[:180].decode(errors="ignore")
    stale = re.compile(rf"\.{re.escape(short)}\.(\d+)-[0-9a-f]+\.new")
    with os.scandir(target.parent) as entries:
        leftovers = [(entry.path, m[1]) for entry in entries if (m := stale.fullmatch(entry.name))]
    for path, pid in leftovers:
        if is_abandoned(Path(path), int(pid)):
            with contextlib.suppress(OSError):
                Path(path).unlink()


def is_abandoned(path: Path, pid: int) -> bool:
    """Return whether the process that made a file or folder has gone, and nobody holds its lock.

    A process in another container has a number that says nothing here; its lock does.
    """
    return not is_alive(pid) and is_free(path, os.O_RDONLY)


def is_free(path: Path, flags: int) -> bool:
    """Return whether a file or folder that can be opened is locked by nobody."""
    try:
        handle = os.open(path, flags, 0o644)
    except OSError:
        return False
    try:
        return lock(handle)
    finally:
        os.close(handle)


def is_alive(pid: int) -> bool:
    """Return whether a process exists; always True on Windows, where this cannot be asked safely.

    There a signal 0 would be Ctrl-C for the process.
    """
    if WINDOWS:
        return True
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True  # the process belongs to another user
    return True


def relative_path(path: Path | str, start: Path | str) -> str:
    """Return a path as seen from a folder, with slashes; absolute if no such path exists.

    On Windows none leads from one drive to another.

    Examples
    --------
    >>> relative_path("/shop/exports/a.csv", "/shop/work")
    '../exports/a.csv'
    """
    try:
        return Path(os.path.relpath(path, start)).as_posix()
    except ValueError:
        return Path(path).absolute().as_posix()


def lock(handle: int) -> bool:
    """Take an advisory lock that the system frees when this process ends, however it ends."""
    try:
        import fcntl
    except ImportError:  # Windows
        import msvcrt

        try:
            msvcrt.locking(handle, msvcrt.LK_NBLCK, 1)  # type: ignore[attr-defined,unused-ignore]
        except OSError:
            return False
        return True
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True
