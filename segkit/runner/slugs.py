"""How are markets called in folder names? Short, plain, each its own, and going nowhere else."""

from __future__ import annotations

import hashlib
import re
import unicodedata
from collections import Counter
from collections.abc import Iterable

LONGEST = 40
RESERVED = re.compile(
    r"markets|without-market|rows|mapping|\d{4}-\d\d-\d\d"
)  # of a batch, or a day


def slugs(markets: Iterable[str]) -> dict[str, str]:
    """Return a folder's name for each market.

    Letters lose their accents and all else becomes a hyphen, so that no name leads out of its
    folder. Where two markets would share a name, or one has none, a piece of the market's own
    hash is added: it does not change with the markets that come and go around it.

    Examples
    --------
    >>> slugs(["Côte d'Azur", "../..", "A/B", "a b"]).values()
    dict_values(['cote-d-azur', 'market-0cfd1c', 'a-b-998d3e', 'a-b-c8687a'])
    """
    listed = list(markets)
    plain = {market: _plain(market) for market in listed}
    seen = Counter(plain.values())
    return {
        market: slug
        if slug and seen[slug] == 1 and not RESERVED.fullmatch(slug)
        else f"{slug or 'market'}-{hashlib.sha256(market.encode()).hexdigest()[:6]}"
        for market, slug in plain.items()
    }


def _plain(market: str) -> str:
    bare = unicodedata.normalize("NFKD", market).encode("ascii", "ignore").decode().lower()
    return re.sub(r"[^a-z0-9]+", "-", bare).strip("-")[:LONGEST].rstrip("-")
