"""Random numbers by counter: a stream for each customer, order and line.

Every number is a hash of (seed, what it is for, which customer, which order, which line). So no
draw depends on how many customers there are, on the batch they are made in, or on what another
customer was offered: the offers of a campaign are compared under common random numbers.
"""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import blake2b

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Keys = NDArray[np.uint64]

_GOLDEN = np.uint64(0x9E3779B97F4A7C15)
_FIRST = np.uint64(0xBF58476D1CE4E5B9)
_SECOND = np.uint64(0x94D049BB133111EB)


def mix(keys: Keys) -> Keys:
    """Scramble 64-bit keys by the finaliser of SplitMix64 (Steele, Lea and Flood 2014, fig. 17).

    Examples
    --------
    >>> int(mix(np.array([0x9E3779B97F4A7C15], dtype=np.uint64))[0]) == 0xE220A8397B1DCDAF
    True
    """
    keys = (keys ^ (keys >> np.uint64(30))) * _FIRST
    keys = (keys ^ (keys >> np.uint64(27))) * _SECOND
    return keys ^ (keys >> np.uint64(31))


def as_seed(seed: int | np.random.Generator) -> int:
    """Return a whole number as seed; a Generator gives one."""
    return int(seed.integers(2**31)) if isinstance(seed, np.random.Generator) else int(seed)


def root_key(seed: int, version: int) -> np.uint64:
    """Turn a seed into the key that all streams of one simulation start from."""
    return np.uint64(np.random.SeedSequence([seed, version]).generate_state(1, np.uint64)[0])


def _named(name: str) -> np.uint64:
    return np.uint64(int.from_bytes(blake2b(name.encode(), digest_size=8).digest(), "little"))


@dataclass(frozen=True, slots=True)
class Draws:
    """Random numbers for n things, each with a key of its own.

    Parameters
    ----------
    keys : array of uint64, shape (n,)

    Examples
    --------
    >>> draws = Draws.of(np.uint64(7), np.arange(3))
    >>> fewer = Draws.of(np.uint64(7), np.arange(2))
    >>> bool((draws.uniform("age")[:2] == fewer.uniform("age")).all())
    True
    """

    keys: Keys

    @classmethod
    def of(cls, root: np.uint64, numbers: Ints) -> Draws:
        """Give each number below a root key its own stream."""
        return cls(mix(np.asarray(numbers).astype(np.uint64) * _GOLDEN + root))

    def child(self, rows: Ints, numbers: Ints | int, name: str) -> Draws:
        """Return streams for what belongs to these: number ``numbers[j]`` of row ``rows[j]``."""
        steps = (np.zeros(len(rows), np.uint64) + np.asarray(numbers).astype(np.uint64)) * _GOLDEN
        return Draws(mix((self.keys[rows] ^ _named(name)) + steps + _GOLDEN))

    def rows(self, keep: NDArray[np.bool_] | Ints) -> Draws:
        """Keep some of the streams."""
        return Draws(self.keys[keep])

    def uniform(self, name: str) -> Floats:
        """Draw one number in (0, 1) for each, for the named purpose."""
        bits = mix(self.keys ^ _named(name)) >> np.uint64(12)
        return (bits.astype(np.float64) + 0.5) / 2.0**52

    def normal(self, name: str) -> Floats:
        """Draw one standard normal number for each."""
        from scipy.special import ndtri

        return np.asarray(ndtri(self.uniform(name)))

    def gamma(self, name: str, shape: float) -> Floats:
        """Draw one gamma number of mean one for each; its variance is ``1 / shape``."""
        from scipy.special import gammaincinv

        return np.asarray(gammaincinv(shape, self.uniform(name))) / shape

    def poisson(self, name: str, mean: Floats) -> Ints:
        """Draw one Poisson count for each by inverting the distribution function.

        The count rises with ``mean`` for the same key, so a stronger offer never loses an order.
        """
        wanted, counts = self.uniform(name), np.zeros(len(self.keys), np.int64)
        term = np.exp(-mean)
        reached = term.copy()
        rows, number = np.flatnonzero(wanted > reached), 0
        while len(rows) and number < 2000:
            number += 1
            counts[rows] = number
            term[rows] *= mean[rows] / number
            reached[rows] += term[rows]
            rows = rows[wanted[rows] > reached[rows]]
        return counts

    def choice(self, name: str, weights: Floats) -> Ints:
        """Pick one column for each by weights, shape (k,) or (n, k); they need not add to one."""
        sums = np.cumsum(np.atleast_2d(weights), axis=1)
        level = self.uniform(name)[:, None] * sums[:, -1:]
        return np.asarray((level > sums).sum(axis=1), dtype=np.int64)


def spread_out(counts: Ints) -> tuple[Ints, Ints]:
    """Return, for n parents with so many children each, every child's parent row and number.

    Examples
    --------
    >>> [part.tolist() for part in spread_out(np.array([2, 0, 1]))]
    [[0, 0, 2], [0, 1, 0]]
    """
    parents = np.repeat(np.arange(len(counts)), counts)
    firsts = np.cumsum(counts) - counts
    return parents, np.arange(len(parents)) - firsts[parents]
