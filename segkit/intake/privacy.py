"""Personal data: masked in what is published, raw rows and rejects in private stores.

A store is a folder named after the digest of what it holds, so that runs with the same rows share
one. Each run that uses it leaves a reference in it; a store that no run refers to is removed.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import re
import secrets
import shutil
import time
from collections import Counter
from collections.abc import Callable, Collection, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from segkit import errors
from segkit.intake.headers import WORDS
from segkit.writing import close_to_others, private_folder, relative_path, write_whole

if TYPE_CHECKING:
    import polars as pl

_LOCAL = r"[\w.!#$%&'*+/=?^`{|}~-]"  # before the @; RFC 5321 allows 64 of them
# From the first of them on; after something else that is masked, from any of the last 64. (Any
# number from any place would take quadratic time in a long text without a blank.)
EMAIL = rf"(?:(?<!{_LOCAL}){_LOCAL}++|{_LOCAL}{{1,64}}+)@[\w-]+(?:\.[\w-]+)*\.\w{{2,}}"
# "+44 20 7946 0958", "0044 …", "(020) 7946-0958", "020 7946 0958": separators or a sign show that
# it is no amount and no id.
PHONE = (
    r"(?<![\w.,+-])(?<!\d[ ])(?:\+\d[\d ()./-]{6,17}\d|00[1-9]\d[\d ()/-]{6,15}\d"
    r"|\(0?\d{2,5}\)[ -]?\d[\d -]{4,10}\d|0\d{2,4}[ /-]\d{3,4}[ -]?\d{3,5})(?![\w]|[.,]\d)"
)
CARD = r"(?<![\w.,])\d(?:[ -]?\d){13,18}(?![\w]|[.,]\d)"
IBAN = r"(?<!\w)[A-Z]{2}\d{2}(?: ?[A-Z0-9]){11,30}(?!\w)"
# Names of columns with ids or personal data. A statistic on such a column is not personal.
PERSONAL = re.compile(
    r"(^|_)(customer_ids?|email|e_mail|device_ids?|loyalty_ids?|session_ids?|phone|telephone|mobile"
    r"|first_name|last_name|surname|full_name|address|street|postcode|zip|zip_code|birth_date"
    r"|birthday|date_of_birth|ip_address|identifier)($|_)",
    re.IGNORECASE,
)
_ABOUT = re.compile(
    r"(^|_)(share|rate|count|n|rows|missing|filled|opens?|opened|clicks?|clicked|sent|consent)($|_)"
)
# Numbers within a drawing are no phone or card numbers; pictures are no text.
_DRAWN = re.compile(r"(base64,[\w+/=]+| (?:d|points|transform|viewBox)=\"[^\"]*\")")
# Quoted text in an error message is a name in code or a cell; only names are shown.
_QUOTED = re.compile(r"(?<!\w)(['\"])(.+?)\1(?!\w)", re.DOTALL)
_CODE = re.compile(r"[a-z_][a-z0-9_]*(?:[./-][a-z0-9_]+)*|NoneType|(?:Data|Lazy)Frame|Series")
_NAMES = re.compile(r"(?<![\w./-])(?:[^\W\d_a-z][\w'’-]+)(?:,? [^\W\d_a-z][\w'’-]+)+")
_COLOUR = r"(?:\x1b\[[\d;]*m)*"
_TOLD = re.compile(rf"([A-Z]\w*(?:Error|Exception|Warning)){_COLOUR}(: )(.+)")
_ANY = re.compile(f"(?P<email>{EMAIL})|(?P<iban>{IBAN})|(?P<phone>{PHONE})|(?P<card>{CARD})")
# Quick test in polars whether a cell needs `mask_text` at all.
SUSPECT = r"@|\d(?:[ ()/.-]*\d){6}"
LEAST_PHONE, MOST_PHONE = 7, 15
_WORDS, _NO_VALUE = (frozenset(WORDS["shown"][kind].split()) for kind in ("short", "no_value"))
_LETTERS = re.compile(r"[^\W\d_]+")
LONGEST, LONGEST_STATE, LONGEST_CODE, LEAST_DIGITS = 30, 60, 3, 3
LEAST_HOLDERS = 5  # smallest number of cells with a value for it to be shown


def personal_columns(names: list[str]) -> list[str]:
    """Return the names, among columns, that hold ids or personal data.

    Examples
    --------
    >>> personal_columns(["customer_id", "orders", "Email", "email_share", "segment_name"])
    ['customer_id', 'Email']
    """
    return [name for name in names if PERSONAL.search(name) and not _ABOUT.search(name.lower())]


def mask_text(text: str) -> str:
    """Mask e-mail addresses, phone, card and account numbers within a text; leave the rest.

    A card number counts only if its check digit is right (Luhn), an account number only if its
    check digits are (ISO 13616), so that amounts, dates and product codes stay.

    Examples
    --------
    >>> mask_text("Columns not used: ann.lee@shop.example, tel +44 20 7946 0958, 2024-05-01.")
    'Columns not used: an…@…, tel phone number of 12 digits, 2024-05-01.'
    """
    return _ANY.sub(_shape_of, text)


def mask_html(page: str) -> str:
    """Mask what `mask_text` finds in a page or notebook; the pictures in it are left."""
    parts = _DRAWN.split(page)
    return "".join(part if place % 2 else mask_text(part) for place, part in enumerate(parts))


def mask_error(text: str, kind: str = "") -> str:
    """Mask the message of an error or warning, which may quote the cell that caused it.

    segkit's own messages (`segkit.errors`) mask cells themselves, and keep their words. In other
    messages, quoted text is shown if it can be a name in code, a type or a relative path; otherwise
    it is masked by `mask_cell`. Two capitalised words in a row are treated as a person's name.

    Examples
    --------
    >>> mask_error("could not convert string to float: 'Ann Lee'", "ValueError")
    "could not convert string to float: 'text of 7 characters'"
    >>> mask_error("no column 'order_time'; did you mean 'Order Time'?", "ColumnError")
    "no column 'order_time'; did you mean 'Order Time'?"
    >>> mask_error("name 'order_times' is not defined, says Ann Lee", "NameError")
    "name 'order_times' is not defined, says text of 7 characters"
    """
    own_error = getattr(errors, kind, None)
    if isinstance(own_error, type) and issubclass(own_error, errors.SegkitError):
        return mask_text(text)

    def shown_quote(match: re.Match[str]) -> str:
        quote, quoted = match[1], match[2]
        return f"{quote}{quoted if _CODE.fullmatch(quoted) else mask_cell(quoted)}{quote}"

    shown = mask_text(_QUOTED.sub(shown_quote, text))
    return _NAMES.sub(lambda name: f"text of {len(name[0])} characters", shown)


def mask_outputs(cells: Iterable[Any]) -> None:
    """Mask the outputs of an executed notebook's cells, in place.

    Of what was printed or shown, what `mask_text` finds; of errors, their tracebacks and warnings,
    the messages too (`mask_error`). Pictures stay, and so does the code: it is the author's.
    """
    for cell in cells:
        for output in cell.get("outputs", ()):
            kind = output["output_type"]
            if kind == "stream":
                output["text"] = _mask_stream(output["text"], errors=output["name"] == "stderr")
            elif kind == "error":
                message, masked = output["evalue"], mask_error(output["evalue"], output["ename"])
                output["evalue"] = masked
                output["traceback"] = [
                    _mask_stream(line.replace(message, masked) if message else line, errors=True)
                    for line in output["traceback"]
                ]
            else:
                for mime, content in output["data"].items():
                    if not mime.startswith(("image/", "application/pdf")) or "svg" in mime:
                        output["data"][mime] = _mask_all(content)


def _mask_stream(text: str, *, errors: bool) -> str:
    """Mask printed text, including the messages of errors and warnings in it."""
    if errors:
        text = _TOLD.sub(lambda m: m[0][: -len(m[3])] + mask_error(m[3], m[1]), text)
    return mask_text(text)


def _mask_all(content: Any) -> Any:
    """Mask every text in a cell's output, including JSON."""
    if isinstance(content, str):
        return mask_html(content)
    if isinstance(content, list):
        return [_mask_all(part) for part in content]
    if isinstance(content, dict):
        return {name: _mask_all(part) for name, part in content.items()}
    return content


def _shape_of(match: re.Match[str]) -> str:
    text, kind = match[0], match.lastgroup
    digits = re.sub(r"\D", "", text)
    if kind == "email":
        return f"{text[:2].split('@')[0]}…@…"
    if kind == "iban":
        return "account number" if _is_iban(text) else text
    if kind == "card":
        return f"card number of {len(digits)} digits" if _is_card(digits) else text
    is_phone = LEAST_PHONE <= len(digits) <= MOST_PHONE
    return f"phone number of {len(digits)} digits" if is_phone else text


def _is_card(digits: str) -> bool:
    """Return whether the last digit is the check digit of the others (ISO/IEC 7812, Luhn)."""
    doubled = [int(d) * (2 if place % 2 else 1) for place, d in enumerate(reversed(digits))]
    return sum(d - 9 if d > 9 else d for d in doubled) % 10 == 0 and digits[0] in "3456"


def _is_iban(text: str) -> bool:
    """Return whether an account number's check digits are right (ISO 13616, ISO 7064 mod 97)."""
    plain = text.replace(" ", "")
    turned = plain[4:] + plain[:4]
    return int("".join(str(int(sign, 36)) for sign in turned)) % 97 == 1


def mask_cell(value: object) -> str:
    """Return the part of an unreadable cell that helps to correct it, without personal data.

    A cell of at most 30 characters that holds digits is shown if its letters are codes: single
    letters, two or three capitals, or what dates, times and amounts are written with. One longer
    word among three digits or more is replaced by "…". Of any other text only the length is given.

    Examples
    --------
    >>> [mask_cell(v) for v in ("31.02.2024", "1.234,5O", "A-17", "32 Januar 2024", "n/a", None)]
    ['31.02.2024', '1.234,5O', 'A-17', '32 … 2024', 'n/a', 'nothing']
    >>> mask_cell("Ann Lee, call after six"), mask_cell("ann@shop.example"), mask_cell("Miller")
    ('text of 23 characters', 'an…@…', 'text of 6 characters')
    """
    if value is None:
        return "nothing"
    text = str(value)
    plain = text.strip()
    hidden = f"text of {len(text)} characters"
    masked = mask_text(plain)
    if masked != plain:
        return masked if _ANY.fullmatch(plain) else hidden
    if not plain or plain.casefold() in _NO_VALUE:
        return text
    if re.fullmatch(r"0[1-9]\d{8,13}", plain):
        return f"phone number of {len(plain)} digits"
    digits = sum(sign.isdigit() for sign in plain)
    if len(plain) > LONGEST or not digits:
        return hidden
    words = [
        word
        for word in _LETTERS.findall(plain)
        if not (len(word) == 1 or (len(word) <= LONGEST_CODE and word.isupper()))
        and word.casefold() not in _WORDS
    ]
    if not words:
        return text
    if len(words) == 1 and digits >= LEAST_DIGITS:
        return text.replace(words[0], "…")
    return hidden


def mask_word(word: object, cells: pl.Series) -> str:
    """Show a word of a column of kinds (status, type) if many cells hold it; else `mask_cell`.

    "Many" means five cells, or a fifth of the cells in a column of fewer than 25.

    Examples
    --------
    >>> import polars as pl
    >>> cells = pl.Series(["void"] * 6 + ["Ann Lee, see note"] + ["paid"] * 20)
    >>> mask_word("void", cells), mask_word("Ann Lee, see note", cells)
    ('void', 'text of 17 characters')
    """
    import polars as pl

    text = str(word)
    if word is None or len(text) > LONGEST or mask_text(text) != text:
        return mask_cell(word)
    holders = int((cells.cast(pl.String) == text).sum())
    return text if holders >= _few(cells.len()) else mask_cell(word)


def show_state(word: object, cells: pl.Series) -> str:
    """Show a word of a column of few states if two cells hold it; else as `mask_word` does.

    Examples
    --------
    >>> import polars as pl
    >>> cells = pl.Series(["paid"] * 30 + ["lost"] * 2 + ["Ann Lee"])
    >>> show_state("lost", cells), show_state("Ann Lee", cells)
    ('lost', 'text of 7 characters')
    """
    text = str(word)
    holders = (cells.cast(str) == text).sum() if mask_text(text) == text else 0
    if holders > 1 and (len(text) <= LONGEST_STATE or holders >= _few(cells.len())):
        return text
    return mask_word(word, cells)


def fold_rare(column: pl.Series, *, most: int, least: int | None = None) -> pl.Series:
    """Replace rare values in a column of texts by "other", since they can be personal.

    Where there are more values than ``most``, one fewer is kept. A value with fewer holders than
    ``least`` (as for `mask_word` by default) is rare.

    Examples
    --------
    >>> import polars as pl
    >>> cells = pl.Series(["north"] * 30 + ["Ann Lee", None])
    >>> fold_rare(cells, most=12).drop_nulls().unique().sort().to_list()
    ['north', 'other']
    """
    import polars as pl

    if least is None:
        least = _few(column.len() - column.null_count())
    counts = column.drop_nulls().value_counts(name="n")
    counts = counts.sort("n", column.name, descending=[True, False])
    common = counts.filter(pl.col("n") >= least)
    if common.height == counts.height <= most:
        return column
    common_values = common.get_column(column.name).head(most - 1)
    is_rare = ~column.is_in(common_values.implode()) & column.is_not_null()
    return column.set(is_rare, "other")


def _few(rows: int) -> int:
    """Return how many rows make a value common: five, or a fifth of fewer than 25 rows."""
    return min(LEAST_HOLDERS, max(1, rows // 5))


def mask_column(cells: pl.Series) -> tuple[pl.Series, int]:
    """Mask what `mask_text` finds in a column of texts, and count the cells that it changed.

    Examples
    --------
    >>> import polars as pl
    >>> mask_column(pl.Series(["ann@shop.example", "red", None]))[0].to_list()
    ['an…@…', 'red', None]
    """
    import polars as pl

    suspects = cells.filter(cells.str.contains(SUSPECT).fill_null(value=False)).unique()
    masked = {text: new for text in suspects.to_list() if (new := mask_text(text)) != text}
    if not masked:
        return cells, 0
    changed = int(cells.is_in(list(masked)).sum())
    return cells.replace(pl.Series(list(masked)), pl.Series(list(masked.values()))), changed


VARIABLE = "SEGKIT_PRIVATE"  # names the folder that holds the stores
DEFAULT = "private"  # in the working folder, beside the reports
# In a saved intake: which store holds its raw rows and rejects; in a batch's folder: which one its
# markets' parts.
POINTER = "private.json"
REFERENCES = "used_by"
_STALE, _YOUNG = 24 * 3600.0, 600.0  # seconds: half-written stores, references without pointer


def private_root(home: Path, chosen: str = "") -> Path:
    """Return the folder that holds the stores.

    It is the one chosen, else ``$SEGKIT_PRIVATE``, else ``private`` in the working folder.

    Examples
    --------
    >>> private_root(Path("shop"), "safe").as_posix()
    'shop/safe'
    """
    return home / (chosen or os.environ.get(VARIABLE, "") or DEFAULT)


def keep_private(root: Path, owner: Path, fill: Callable[[Path], None]) -> dict[str, str]:
    """Fill a store, and return the pointer to it.

    ``root`` holds the stores; it is made for its owner alone, with a ``.gitignore`` of all that is
    in it. ``owner`` is the run's folder; ``fill`` writes the files.
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
            except FileNotFoundError:  # its last user has just released it
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
    """Remove the stores that no run refers to, and return how many were removed.

    Settled are the references of the run ``owner``; by default all runs', those of runs that are
    gone included.
    """
    removed = 0
    for store in sorted(root.glob("*")) if root.is_dir() else ():
        if not (store / REFERENCES).is_dir():
            if store.name.endswith(".part") and time.time() - store.stat().st_mtime > _STALE:
                shutil.rmtree(store, ignore_errors=True)
            continue
        for reference in (store / REFERENCES).iterdir():
            run = root / reference.read_text(encoding="utf-8")
            if owner is None:  # a run that is being written has no pointer yet
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


def free_with(root: Path, removed: Collection[Path]) -> Counter[Path]:
    """Count the bytes of the stores that become unused if some runs are removed, by run.

    A shared store counts for the first run listed.
    """
    freed: Counter[Path] = Counter()
    run_by_path = {run.resolve(): run for run in removed}
    for references in root.glob(f"*/{REFERENCES}"):
        users = {(root / one.read_text(encoding="utf-8")).resolve() for one in references.iterdir()}
        if users & run_by_path.keys() and not any(
            user.is_dir() for user in users - run_by_path.keys()
        ):
            first = next(run for user, run in run_by_path.items() if user in users)
            files = (path for path in references.parent.rglob("*") if path.is_file())
            freed[first] += sum(path.stat().st_size for path in files)
    return freed


def refer_again(root: Path, owner: Path) -> None:
    """Write references for a run whose folder reuses outputs of an earlier run."""
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
    pointers = []
    for pattern in (POINTER, f"*/data/*/{POINTER}", f".segkit/*/data/*/{POINTER}"):
        for path in run.glob(pattern):
            with contextlib.suppress(OSError, ValueError):
                pointer = json.loads(path.read_text(encoding="utf-8"))
                if {"root", "store"} <= set(pointer):
                    pointers.append(pointer)
    return pointers


def _refer(store: Path, owner: Path) -> None:
    name, text = _reference(store.parent, owner)
    if not store.is_dir():
        raise FileNotFoundError(store.name)
    (store / REFERENCES).mkdir(0o700, exist_ok=True)
    write_whole(store / REFERENCES / name, text, private=True)


def _reference(root: Path, owner: Path) -> tuple[str, str]:
    """Return a run in a store: by its path from the root, so that both can be moved together."""
    text = path_between(root, owner)
    return hashlib.sha256(text.encode()).hexdigest()[:16], text


def path_between(start: Path, end: Path) -> str:
    """Return the relative path between two places; absolute if they are on two drives."""
    return relative_path(end.resolve(), start.resolve())


def _digest(folder: Path) -> str:
    whole = hashlib.sha256()
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            with path.open("rb") as handle:
                file_digest = hashlib.file_digest(handle, "sha256").hexdigest()
            whole.update(f"{path.relative_to(folder).as_posix()}\0{file_digest}\0".encode())
    return whole.hexdigest()[:32]
