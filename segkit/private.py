"""Where raw rows and rejects are kept: outside the reports, for their owner alone.

A store is a folder named after the digest of what it holds, so that runs with the same rows share
one. Each run that uses it leaves a reference in it; a store that no run refers to is removed.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import secrets
import shutil
import time
from collections import Counter
from collections.abc import Callable, Collection
from pathlib import Path

from segkit.writing import close_to_others, private_folder, write_whole

VARIABLE = "SEGKIT_PRIVATE"  # names the folder that holds the stores
DEFAULT = "private"  # in the working folder, beside the reports
# In a saved intake: which store holds its raw rows and rejects; in a batch's folder: which one its
# markets' parts.
POINTER = "private.json"
REFERENCES = "used_by"
_STALE, _YOUNG = 24 * 3600.0, 600.0  # seconds: half-written stores, references without pointer


def private_root(home: Path, chosen: str = "") -> Path:
    """Return the folder that holds the stores.

    Parameters
    ----------
    home : pathlib.Path
        The working folder, where relative paths start.
    chosen : str
        The folder asked for; empty takes ``$SEGKIT_PRIVATE``, else ``private`` in ``home``.

    Examples
    --------
    >>> private_root(Path("shop"), "safe").as_posix()
    'shop/safe'
    """
    return home / (chosen or os.environ.get(VARIABLE, "") or DEFAULT)


def keep_private(root: Path, owner: Path, fill: Callable[[Path], None]) -> dict[str, str]:
    """Fill a store, and return the pointer to it.

    Parameters
    ----------
    root : pathlib.Path
        Holds the stores; made for its owner alone, with a ``.gitignore`` of all that is in it.
    owner : pathlib.Path
        The run's folder.
    fill : callable
        Writes the files into the folder that it is given.
    """
    private_folder(root)
    if not (root / ".gitignore").exists():
        write_whole(root / ".gitignore", "*\n")
    aside = private_folder(root / f".{secrets.token_hex(8)}.part")
    try:
        fill(aside)
        close_to_others(aside)
        name = _digest(aside)
        store = root / name
        while True:
            with contextlib.suppress(OSError):  # another run has put the same rows there
                if not store.exists():
                    aside.rename(store)
            try:
                _refer(store, owner)
            except FileNotFoundError:  # its last user let it go just now
                continue
            return {"root": path_between(owner, root), "store": name}
    finally:
        shutil.rmtree(aside, ignore_errors=True)


def find_private(folder: Path, pointer: dict[str, str]) -> Path | None:
    """Return the store that a pointer names, or None if it is not there.

    It is looked for in ``$SEGKIT_PRIVATE``, then where it lay as seen from the run, so that a
    working folder can be moved as a whole.
    """
    given = os.environ.get(VARIABLE, "")
    places = [Path(given)] if given else []
    whole = folder.resolve()
    places += [above / pointer["root"] for above in (whole, *whole.parents)]
    return next((p / pointer["store"] for p in places if (p / pointer["store"]).is_dir()), None)


def settle_private(root: Path, owner: Path | None = None) -> int:
    """Keep of the stores what runs point to, remove the others, and return how many went.

    Parameters
    ----------
    root : pathlib.Path
        Holds the stores.
    owner : pathlib.Path, optional
        The run whose references are settled; by default all runs', those of runs that are gone
        included.
    """
    removed = 0
    for store in sorted(root.glob("*")) if root.is_dir() else ():
        if not (store / REFERENCES).is_dir():
            if store.name.endswith(".part") and time.time() - store.stat().st_mtime > _STALE:
                shutil.rmtree(store, ignore_errors=True)
            continue
        for reference in (store / REFERENCES).iterdir():
            run = root / reference.read_text(encoding="utf-8")
            if owner is None:  # a run that is just being written has its pointer not yet
                ours = not run.is_dir() or time.time() - reference.stat().st_mtime > _YOUNG
            else:
                ours = reference.name == _reference(root, owner)[0]
            if ours and store.name not in pointed_to(run):
                reference.unlink(missing_ok=True)
        with contextlib.suppress(OSError):  # not empty: in use
            (store / REFERENCES).rmdir()
            shutil.rmtree(store, ignore_errors=True)
            removed += 1
    return removed


def free_with(root: Path, gone: Collection[Path]) -> Counter[Path]:
    """Count the bytes of the stores that nobody needs without some runs, each under one of them.

    Parameters
    ----------
    root : pathlib.Path
        Holds the stores.
    gone : collection of pathlib.Path
        Runs that go, or have gone; of those that shared a store the first one listed frees it.
    """
    freed: Counter[Path] = Counter()
    known = {run.resolve(): run for run in gone}
    for references in root.glob(f"*/{REFERENCES}"):
        users = {(root / one.read_text(encoding="utf-8")).resolve() for one in references.iterdir()}
        if users & known.keys() and not any(user.is_dir() for user in users - known.keys()):
            first = next(run for user, run in known.items() if user in users)
            files = (path for path in references.parent.rglob("*") if path.is_file())
            freed[first] += sum(path.stat().st_size for path in files)
    return freed


def refer_again(root: Path, owner: Path) -> None:
    """Leave references of a run whose folder took over what an earlier run had written."""
    for name in pointed_to(owner):
        with contextlib.suppress(OSError):  # it is not there: nothing to keep
            _refer(root / name, owner)


def pointed_to(run: Path) -> set[str]:
    """Return the stores to which a run or batch points, with intakes that are half-written."""
    return {pointer["store"] for pointer in _pointers(run)}


def roots_of(run: Path) -> set[Path]:
    """Return the folders that hold the stores to which a run or batch points."""
    return {(run / pointer["root"]).resolve() for pointer in _pointers(run)}


def _pointers(run: Path) -> list[dict[str, str]]:
    found = []
    for pattern in (POINTER, f"*/data/*/{POINTER}", f".segkit/*/data/*/{POINTER}"):
        for path in run.glob(pattern):
            with contextlib.suppress(OSError, ValueError):
                pointer = json.loads(path.read_text(encoding="utf-8"))
                if {"root", "store"} <= set(pointer):
                    found.append(pointer)
    return found


def _refer(store: Path, owner: Path) -> None:
    name, text = _reference(store.parent, owner)
    if not store.is_dir():
        raise FileNotFoundError(store.name)
    (store / REFERENCES).mkdir(0o700, exist_ok=True)
    write_whole(store / REFERENCES / name, text, private=True)


def _reference(root: Path, owner: Path) -> tuple[str, str]:
    """Name a run in a store: by its path from the root, so that both can be moved together."""
    text = path_between(root, owner)
    return hashlib.sha256(text.encode()).hexdigest()[:16], text


def path_between(start: Path, end: Path) -> str:
    """Return the path of one place as seen from another; whole, where they lie on two drives."""
    try:
        return Path(os.path.relpath(end.resolve(), start.resolve())).as_posix()
    except ValueError:  # another drive
        return end.resolve().as_posix()


def _digest(folder: Path) -> str:
    whole = hashlib.sha256()
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            with path.open("rb") as handle:
                own = hashlib.file_digest(handle, "sha256").hexdigest()
            whole.update(f"{path.relative_to(folder).as_posix()}\0{own}\0".encode())
    return whole.hexdigest()[:32]
