"""A small shop whose raw files hold planted personal data in every place where they turn up."""

import html
import re
from pathlib import Path

import polars as pl

import segkit

# Names that no product, word or place of the simulated shop holds.
NAMES = ("Wilhelmina", "Oxenstierna", "Thorvaldsen")
SECRETS = {
    "email": "wilhelmina.oxenstierna@planted.example",
    "phone": "+44 7700 900123",
    "local": "07700 900456",
    "card": "4111 1111 1111 1111",
    "iban": "GB82 WEST 1234 5698 7654 32",
    "name": "Wilhelmina Oxenstierna",
    "text": "please ring Thorvaldsen after six, the parcel went to the neighbour again",
}
UNREAD = tuple(SECRETS.values())
# Columns of words that the shop's own systems fill; a customer's words can get into the others.
TEXT_COLUMNS = {"customers": ("gender", "region", "income_band", "preferred_channel")}


def plant(folder: Path, customers: int, *, statuses: bool = False, structure="archetypes") -> Path:
    """Write a simulated shop's raw tables with secrets in them; return the path of its mapping.

    Planted are: columns that no mapping names, with text in every row; cells that cannot be read,
    in every column of dates and numbers; remarks among the words of customer attributes and
    events; customers whose id is an e-mail address. With ``statuses`` also what is no word for
    the state of an order, which closes the gate. What is known of the customers is written beside
    the folder, to ``truth.parquet``.
    """
    source = segkit.load_source("simulated", n_customers=customers, structure=structure)
    mapping, raw = source.mapping, dict(source.tables)
    part = mapping.tables["customers"].columns
    ids = raw["customers"][part["customer_id"]].unique(maintain_order=True).head(12).to_list()
    new = {one: f"{NAMES[2].lower()}.{n}@planted.example" for n, one in enumerate(ids)}
    folder.mkdir()
    for table, frame in raw.items():
        columns = mapping.tables[table].columns if table in mapping.tables else {}
        known = segkit.schema.fields(table) if table in segkit.schema.CONTRACTS else {}
        frame = frame.with_columns(pl.all().cast(pl.String))
        for number, (ours, theirs) in enumerate(columns.items()):
            field = known.get(ours)
            if field is None or theirs not in frame.columns:
                continue
            if ours == "customer_id":
                frame = frame.with_columns(pl.col(theirs).replace(new))
            words = theirs in TEXT_COLUMNS.get(table, ()) or ours == "event_type"
            words = words or (statuses and ours == "status")
            if field.kind in ("money", "number", "date", "time", "flag") or words:
                frame = _spoil(frame, theirs, number)
        rows = pl.int_range(frame.height)
        notes = pl.lit(pl.Series(UNREAD)).gather(rows % len(UNREAD))
        frame = frame.with_columns(remark=notes, contact_name=pl.lit(SECRETS["name"]))
        frame.write_csv(folder / f"{table}.csv")
    source.truth["customers"].write_parquet(folder.parent / "truth.parquet")
    path = folder.parent / "mapping.toml"
    mapping.save(path)
    return path


def _spoil(frame: pl.DataFrame, column: str, number: int) -> pl.DataFrame:
    """Put each secret once into a column, in rows of its own."""
    cells = frame[column].to_list()
    for place, secret in enumerate(UNREAD):
        row = (101 * number + 37 * place + 5) % max(len(cells), 1)
        if len(cells) > 60:
            cells[row] = secret
    return frame.with_columns(pl.Series(column, cells, dtype=pl.String))


def find_secrets(folder: Path) -> dict[str, list[str]]:
    """Return each text file under a folder in which a secret stands, in any case or encoding."""
    wanted = [*UNREAD, *NAMES, "planted.example"]
    bare = {re.sub(r"\D", "", one): one for one in UNREAD if sum(c.isdigit() for c in one) > 9}
    found: dict[str, list[str]] = {}
    for path in sorted(folder.rglob("*")):
        if not path.is_file() or path.suffix in (".parquet", ".png", ".lock"):
            continue
        text = path.read_text(encoding="utf-8", errors="replace")
        text = re.sub(r"base64,[\w+/=]+", "", text)
        plain = re.sub(r"\\u([0-9a-fA-F]{4})", lambda code: chr(int(code[1], 16)), text)
        texts = {text, html.unescape(text), plain}
        for one in texts:
            folded = html.unescape(one).casefold()
            digits = re.sub(r"(?<=\d)[ ()/-]+(?=\d)", "", folded)
            hits = [secret for secret in wanted if secret.casefold() in folded]
            hits += [secret for plain, secret in bare.items() if plain in digits]
            if hits:
                found.setdefault(str(path.relative_to(folder)), []).extend(sorted(set(hits)))
    return found
