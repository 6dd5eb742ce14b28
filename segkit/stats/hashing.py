"""Hashes of customer ids: numbers in [0, 1) that depend on the id and a key alone."""

from __future__ import annotations

import hashlib

import numpy as np
import numpy.typing as npt
import polars as pl

_WORD = 8  # bytes of an id that are mixed in at a time
_GOLDEN = 0x9E3779B97F4A7C15
_CHUNK = 1_000_000  # ids hashed at a time


def hash_key(*parts: object) -> int:
    """Turn a seed and names into a 64-bit key.

    Examples
    --------
    >>> hash_key(0, "spring") == hash_key("0", "spring"), hash_key(0, "spring") == hash_key(1)
    (True, False)
    """
    text = "\x1f".join(str(part) for part in parts).encode()
    return int.from_bytes(hashlib.blake2b(text, digest_size=8).digest(), "little")


def unit_hash(ids: pl.Series, *parts: object) -> npt.NDArray[np.float64]:
    """Map each customer to a number in [0, 1), independently of other customers.

    The id's UTF-8 bytes are mixed eight at a time into a key made of ``parts`` (the seed, the
    campaign's name), with the finaliser of SplitMix64. The number depends on the id and the key
    alone: not on the row, the other customers, the machine or a library's version.

    Parameters
    ----------
    ids : polars.Series
        Customer ids, String; a null counts as the empty text.
    *parts : object
        What the key is made of.

    Returns
    -------
    ndarray of shape (n,)
        Multiples of 2**-53.

    Notes
    -----
    Source of the mixing step: Steele, Lea & Flood (2014), "Fast splittable pseudorandom number
    generators", OOPSLA, with Stafford's constants (variant 13).

    Examples
    --------
    >>> here = unit_hash(pl.Series(["a", "b"]), 0, "spring")
    >>> bool(here[1] == unit_hash(pl.Series(["b"]), 0, "spring")[0]), bool(here[0] == here[1])
    (True, False)
    """
    key = np.uint64(hash_key(*parts))
    hashes = [_hash(ids.slice(first, _CHUNK), key) for first in range(0, len(ids), _CHUNK)]
    words = np.concatenate(hashes) if hashes else np.zeros(0, dtype=np.uint64)
    return np.asarray((words >> np.uint64(11)).astype(np.float64) * 2.0**-53)


def _hash(ids: pl.Series, key: np.uint64) -> npt.NDArray[np.uint64]:
    text = ids.cast(pl.String).fill_null("").alias("id").to_frame()
    size = text.select(pl.col("id").str.len_bytes().cast(pl.UInt64)).to_series().to_numpy()
    longest = int(size.max()) if len(size) else 0
    count = max(1, -(-longest // _WORD))
    padded = (pl.col("id") + "\0" * (_WORD * count)).cast(pl.Binary)
    state = mix(size ^ key)
    for k in range(count):
        word = padded.bin.slice(_WORD * k, _WORD).bin.reinterpret(dtype=pl.UInt64)
        values = text.select(word).to_series().to_numpy()
        more = mix(state ^ values)
        # Shorter ids skip this step: their number must not depend on the longest id of the batch.
        state = np.where(size > _WORD * k, more, state)
    return mix(state)


def mix(words: npt.NDArray[np.uint64]) -> npt.NDArray[np.uint64]:
    """Scramble 64-bit words: each input bit changes about half of the output's."""
    with np.errstate(over="ignore"):
        z = words + np.uint64(_GOLDEN)
        z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        return np.asarray(z ^ (z >> np.uint64(31)))
