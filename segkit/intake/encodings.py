"""Encoding of a text: Unicode by its marks, older encodings by a detector and common letters."""

from __future__ import annotations

import re

from segkit.errors import SourceError
from segkit.intake.headers import WORDS

UTF8 = ("utf-8", "utf8", "utf-8-sig")
SAMPLE = 1 << 20
# Distinct cells beyond ASCII that the detector is given.
CELLS = 3000
# Alphabets other than the Latin one, whose letters do not stand beside Latin letters in a word.
ALPHABETS = ("cp1251", "cp1253", "cp1255", "cp1256", "cp874", "koi8_r")
DROPPED, HALF = ("cp1255", "cp1256"), 0.5
# A reading is in doubt if another, in another script, has almost as many common letters; in a text
# of few letters the difference must be larger.
MARGIN, FEW, CLEAR = 0.12, 2.0, 0.8
# Encodings of the Latin script differ in a few accents, which merges no two names: the likeliest is
# taken without a question.
LATIN = {"cp1252": 0.04, "cp1250": 0.02, "cp1254": 0.02, "mac_roman": 0.0, "cp850": 0.0}
# Share of the lines beyond ASCII that must be UTF-8 in a file of lines in two encodings.
MIXED = 0.3

# Letters that are frequent in the languages of an encoding, in names and in words of trade.
COMMON: dict[str, str] = {
    encoding: "".join(WORDS["letters"][name] for name in names.split()).replace("\n", "")
    for encoding, names in WORDS["encodings"].items()
}


def seen_encoding(data: bytes, name: str = "the file", table: str = "orders") -> str:
    r"""Detect the encoding of a text.

    Unicode is seen by its marks, by its zero bytes, or because the text decodes as UTF-8. Of older
    encodings those that the detector finds plausible (library *charset-normalizer*) are compared by
    the share of letters that are common in their languages. "mixed" stands for some lines in UTF-8
    and others not. Where two encodings give different texts that are equally plausible, a
    `SourceError` asks which of them the file ``name`` is in.

    Examples
    --------
    >>> seen_encoding("Größe".encode("latin-1")), seen_encoding("Größe".encode())
    ('cp1252', 'utf-8')
    >>> seen_encoding("订单编号,买家\n1,王伟".encode("gbk"))
    'gb18030'
    >>> seen_encoding("Größe\n".encode() + "Größe".encode("cp1252"))
    'mixed'
    """
    if data[:4] in (b"\xff\xfe\0\0", b"\0\0\xfe\xff"):
        return "utf-32"
    if data[:2] in (b"\xff\xfe", b"\xfe\xff"):
        return "utf-16"
    sample = data[:SAMPLE]
    even, odd = sample[::2].count(0), sample[1::2].count(0)
    if even + odd > 0.3 * len(sample):
        return "utf-16-be" if even > odd else "utf-16-le"
    if data.isascii():
        return "utf-8"
    try:
        data.decode("utf-8")
    except UnicodeDecodeError:
        beyond = [line for line in data.split(b"\n") if not line.isascii()]
        is_mixed = sum(_decodes(line, "utf-8") for line in beyond) >= MIXED * len(beyond)
        return "mixed" if is_mixed else older_encoding(data, name, table)
    return "utf-8"


def _decodes(data: bytes, encoding: str) -> bool:
    try:
        data.decode(encoding)
    except ValueError:
        return False
    return True


def older_encoding(data: bytes, name: str, table: str) -> str:
    """Detect the encoding of a text that is not Unicode; see `seen_encoding`."""
    cells: dict[bytes, None] = {}
    for match in re.finditer(rb"[^\n\r,;\t\"]*[\x80-\xff][^\n\r,;\t\"]*", data):
        cells[match[0].strip()] = None
        if len(cells) == CELLS:
            break
    sample = b"\n".join(cells)
    readings = _plausible(sample)
    if not readings:
        undefined = (b"\x81", b"\x8d", b"\x8f", b"\x90", b"\x9d")
        return "latin-1" if any(byte in data for byte in undefined) else "cp1252"
    scores = {one: _share(text, one) + LATIN.get(one, 0.0) for one, text in readings.items()}
    ranked = sorted(scores, key=lambda one: -scores[one])
    best = ranked[0]
    if best == "cp1252" and "cp1250" in readings and _is_hungarian(readings[best]):
        best = "cp1250"
    if best == "cp1252" and _is_czech(sample):
        return "cp1250"
    if best in ("cp1250", "cp1252") and _is_turkish(sample):
        return "cp1254"
    letters = max(1, sum(letter > "\x7f" for letter in readings[best]))
    is_clear = best in LATIN and scores[best] > CLEAR
    margin = MARGIN if is_clear else max(MARGIN, FEW / letters)
    rivals = [
        one
        for one in ranked
        if readings[one] != readings[best]
        and scores[best] - scores[one] < margin
        and not {best, one} <= set(LATIN)
    ]
    if rivals:
        raise SourceError(_question(name, table, {one: readings[one] for one in (best, *rivals)}))
    return best


def _is_hungarian(text: str) -> bool:
    """Return whether the letters õ and û of a western reading stand for the Hungarian ő and ű.

    Portuguese has õ before e and beside ã, Estonian beside ä, French û without õ.

    Examples
    --------
    >>> _is_hungarian("Vevõ neve, vásárló"), _is_hungarian("Observações, cartões, são, água")
    (True, False)
    """
    low = text.lower()
    alone = len(re.findall("õ(?!e)", low))
    return alone > low.count("õe") and "á" in low and not {"ã", "ä"} & {*low}


def _is_czech(sample: bytes) -> bool:
    """Return whether all letters beyond ASCII are Czech: ř, ě or ů beside those of others, too.

    Examples
    --------
    >>> _is_czech("Vyřízeno".encode("cp1250")), _is_czech("Beløb, Købt, é".encode("cp1252"))
    (True, False)
    """
    text = sample.decode("cp1250", "replace").lower()
    letters = {one for one in text if one > "\x7f" and one.isalpha()}
    return bool(letters & {*"řěů"} and letters & {*"íýšžá"}) and letters <= {*"áčďéěíňóřšťúůýž"}


def _is_turkish(sample: bytes) -> bool:
    """Return whether all letters beyond ASCII are Turkish, and one is in Turkish alone.

    Examples
    --------
    >>> _is_turkish("Sipariş Toplamı".encode("cp1254")), _is_turkish("þú, ég".encode("cp1252"))
    (True, False)
    """
    letters = {one for one in sample.decode("cp1254", "replace") if one > "\x7f" and one.isalpha()}
    return bool(letters & {*"şğıİŞĞ"}) and letters <= {*"çğıöşüÇĞİÖŞÜâîûÂÎÛ"}


def _plausible(sample: bytes) -> dict[str, str]:
    """Decode a sample in every encoding that the detector finds plausible."""
    from charset_normalizer import from_bytes

    matches = from_bytes(sample, cp_isolation=list(COMMON), threshold=0.2, enable_fallback=False)
    if not matches:
        return {}
    least = min(match.chaos for match in matches)
    near = {
        one
        for match in matches
        if match.chaos <= least + 0.1
        for one in (match.encoding, *match.could_be_from_charset)
    }
    # The detector keeps one of two encodings that read a text alike, and drops Hebrew and Arabic
    # for their lack of capitals: alphabets that give mostly common letters are compared, too.
    texts = {one: sample.decode(one) for one in COMMON if _decodes(sample, one)}
    alike = {sample.decode(one, "replace") for one in near}
    return {
        one: text
        for one, text in texts.items()
        if text in alike or one == "cp1252" or (one in DROPPED and _share(text, one) > HALF)
    }


def _share(text: str, encoding: str) -> float:
    """Return the share of the letters beyond ASCII that are common in an encoding's languages.

    A letter of another alphabet beside a Latin one does not count, nor does a capital after a small
    letter; and a text of the Latin script has more letters without accents than with them.
    """
    common, total, good, plain = set(COMMON[encoding]), 0, 0, 0
    letters = f" {text} "
    for before, letter, after in zip(letters, letters[1:], letters[2:], strict=False):
        if letter <= "\x7f":
            plain += letter.isalpha()
            continue
        total += 1
        mixed = encoding in ALPHABETS and any(
            one.isascii() and one.isalpha() for one in before + after
        )
        good += letter in common and not mixed and not (letter.isupper() and before.islower())
    accents = sum(letter > "\x7f" and letter.isalpha() for letter in text)
    weight = min(1.0, plain / accents) if encoding in LATIN and accents else 1.0
    return weight * good / max(total, 1)


def _question(name: str, table: str, readings: dict[str, str]) -> str:
    """Ask for the encoding, with the first cell on which the readings differ."""
    cells = zip(*(text.split("\n") for text in readings.values()), strict=False)
    differing = next(row for row in cells if len(set(row)) > 1)
    shown = " or ".join(
        f'{one} (then a cell says "{cell[:30]}")'
        for one, cell in zip(readings, differing, strict=True)
    )
    return (
        f"{name} could be in {shown}; say which, as in [{table}] encoding = "
        f'"{next(iter(readings))}", or save it as UTF-8'
    )
