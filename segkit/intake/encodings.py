"""Encoding of a text: Unicode by its marks, older encodings by a detector and common letters."""

from __future__ import annotations

import re

from segkit.errors import SourceError

UTF8 = ("utf-8", "utf8", "utf-8-sig")
SAMPLE = 1 << 20
# Distinct cells beyond ASCII that the detector is given.
CELLS = 3000
# Alphabets other than the Latin one, whose letters do not stand beside Latin letters in a word.
ALPHABETS = ("cp1251", "cp1253", "cp1255", "cp1256", "cp874", "koi8_r")
# A reading is in doubt if another, in another script, has almost as many common letters; in a text
# of few letters the difference must be larger.
MARGIN, FEW, CLEAR = 0.12, 2.0, 0.8
# Encodings of the Latin script differ in a few accents, which merges no two names: the likeliest is
# taken without a question.
LATIN = {"cp1252": 0.04, "cp1250": 0.02, "cp1254": 0.02, "mac_roman": 0.0, "cp850": 0.0}
# Share of the lines beyond ASCII that must be UTF-8 in a file of lines in two encodings.
MIXED = 0.3

WESTERN = "äöüßéèêëàâçñóíáúãõøåæôîïœùûòìÄÖÜÉÈÀÂÅØÇÑÁÓÍÚÊÔÕÆ€£°º’"
# Characters of names and of trade in Chinese and Japanese; then those of one of them alone.
HANZI = (
    "的一是不了在人有我他中大上到和你地出也要就可以能得下自之年用道行所然家事成方多去法如"
    "都同面起看定天分好小部其些主理心本前因只日者意力把十民第公此已工使情明性知全三又正外"
    "高最重物手向文政美相利二等或新制身果加西月合回特代信表化老位次度常先海通原立及比水名"
    "真各入口平活更打女神安少反受目太量再建必期市直金指至形社便空白光放王色路南品住告求北"
    "取格清今切林吳店付款商客男士"
)
SIMPLIFIED = (
    "这来个国说们为会时对过发后作里种经么学现当没动还进样从实长机关点业将两间由问并应战头"
    "体见产儿东声员论处义几认条系气题尔别变总电数报结务场件计管资许统区保队决马书达强难权"
    "思设记类据程边张该交规万领确传师观识带导争运户编号称额单价订铺买卖状态李刘陈杨赵黄周"
    "吴伟娜鞋裙衣"
)
TRADITIONAL = (
    "這來個國說們為會時對過發後裡種經麼學現當沒動還進樣從實長機關點業將兩間問並應戰頭體見"
    "產兒東聲員論處義幾認條氣題爾別變總電數報結務場計資許統區隊決馬書達強難權設記類據邊張"
    "該規萬領確傳師觀識帶導爭運戶編號稱額單價訂鋪買賣狀態劉陳楊趙黃偉蘋"
)
KANA = "".join(map(chr, (*range(0x3041, 0x3094), *range(0x30A1, 0x30FD))))
KANJI = "顧番号額数単価購注舗状態払会員氏時東京阪田佐藤鈴木橋伊渡辺山村子"
JAPANESE = KANA + HANZI + KANJI
KOREAN = (
    "이다는의에가고하지을사기도를한자로해대그인리아나은시어일서부정만수라상원제들보전경주"
    "여장안스동구위게비공성과선학무관조내식소국계방화금신개양생분행번교모진연강남당산오문"
    "술결체품반차중회미영통년월속용발재실민호현면력업세적직타물판매량격객순액단김박최윤임"
    "철희피"
)
RUSSIAN = "оеаинтсрвлкмдпу"
# Letters that are frequent in the languages of an encoding, in names and in words of trade.
# Encodings are listed in the order in which equal readings are preferred.
COMMON: dict[str, str] = {
    "cp1252": WESTERN,
    "gb18030": HANZI + SIMPLIFIED,
    "cp932": JAPANESE,
    "cp949": KOREAN,
    "big5": HANZI + TRADITIONAL,
    "euc_jp": JAPANESE,
    "cp1251": RUSSIAN,
    "cp1250": "ěščřžýáíéůúďťňłżźćńęąśóôőűöüäßşţăâîđŁŚŻŹČŠŽŘÁÖÜÉÓ€’",
    "cp1254": WESTERN + "şğıİŞĞ",
    "cp1253": "αοιεστνηυρπκμλςίάόέήύώ",
    "cp1255": "יוהלאתמרבשנדחםקכ",
    "cp1256": "المينورتبعدسهفكحقةأ",
    "cp874": "านรมอกเงยลวดตสหทคปบขพแใไ่้ัิีุู",
    "koi8_r": RUSSIAN,
    "mac_roman": WESTERN,
    "cp850": WESTERN,
}


def seen_encoding(data: bytes, name: str = "the file", table: str = "orders") -> str:
    r"""Detect the encoding of a text.

    Unicode is seen by its marks, by its zero bytes, or because the text decodes as UTF-8. Of older
    encodings those that the detector finds plausible (library *charset-normalizer*) are compared by
    the share of letters that are common in their languages.

    Parameters
    ----------
    data : bytes
        The text.
    name, table : str
        The file and the contract's table, for the question.

    Returns
    -------
    str
        Name of the encoding; "mixed" if some lines are in UTF-8 and others are not.

    Raises
    ------
    SourceError
        If two encodings give different texts that are equally plausible.

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
        return "mixed" if _is_mixed(data) else older_encoding(data, name, table)
    return "utf-8"


def _is_mixed(data: bytes) -> bool:
    """Return whether a large part of the lines beyond ASCII is in UTF-8."""
    beyond = [line for line in data.split(b"\n") if not line.isascii()]
    good = sum(_decodes(line, "utf-8") for line in beyond)
    return good >= MIXED * len(beyond)


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
    readings = _plausible(b"\n".join(cells))
    if not readings:
        undefined = (b"\x81", b"\x8d", b"\x8f", b"\x90", b"\x9d")
        return "latin-1" if any(byte in data for byte in undefined) else "cp1252"
    scores = {one: _share(text, one) + LATIN.get(one, 0.0) for one, text in readings.items()}
    ranked = sorted(scores, key=lambda one: -scores[one])
    best = ranked[0]
    letters = sum(letter > "\x7f" for letter in readings[best])
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
    # The detector keeps one of two encodings that read a text alike; the most usual one of the
    # Latin script is always compared.
    chosen = [
        one
        for one in COMMON
        if one in near or _same(sample, one, near) or (one == "cp1252" and _decodes(sample, one))
    ]
    return {one: sample.decode(one) for one in chosen}


def _same(sample: bytes, encoding: str, near: set[str]) -> bool:
    if not _decodes(sample, encoding):
        return False
    text = sample.decode(encoding)
    return any(sample.decode(one) == text for one in near)


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
