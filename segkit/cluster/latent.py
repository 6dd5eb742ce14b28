"""Latent classes behind yes/no survey items, chosen by BIC: fit, segmentation and model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Self

import numpy as np
import polars as pl

from segkit import __version__
from segkit.cluster.matrix import Floats, feature_rows, wanted_counts
from segkit.cluster.scorers import ProbabilityScorer, finish_parts
from segkit.cluster.segments import Segmentation, name_segments
from segkit.display import counted, number
from segkit.errors import ColumnError, DataError, ModelError, require_columns, require_least
from segkit.frames import takes_frames
from segkit.result import check_number
from segkit.stats.threads import single_thread

ANSWERS = {"yes": 1.0, "y": 1.0, "true": 1.0, "1": 1.0, "no": 0.0, "n": 0.0, "false": 0.0, "0": 0.0}


EDGE = 1e-9  # probabilities keep this distance from 0 and 1, so that logarithms are finite
TOLERANCE = 1e-9  # of the log-likelihood, relative
MOST_STEPS = 5_000
SAME = 1e-3  # log-likelihoods closer than this count as the same optimum


def read_answers(frame: pl.DataFrame, items: Sequence[str]) -> Floats:
    """Return yes/no answers as 1 and 0, a missing one as NaN.

    Booleans, the numbers 0 and 1, and the words yes, no, true, false, y, n (in any case) are read.

    Parameters
    ----------
    frame : polars.DataFrame
    items : sequence of str

    Returns
    -------
    array (n, items)

    Raises
    ------
    ColumnError
        If an item is absent.
    DataError
        If an answer is none of these (which, in which item).

    Examples
    --------
    >>> read_answers(pl.DataFrame({"cheap": ["Yes", "no", None]}), ["cheap"]).ravel().tolist()
    [1.0, 0.0, nan]
    """
    require_columns(frame.columns, items, "the survey")
    columns = []
    for name in items:
        series = frame.get_column(name)
        kind = series.dtype
        if kind.is_numeric() or kind == pl.Boolean:
            values = series.cast(pl.Float64).fill_null(float("nan")).to_numpy()
            odd = series.filter(pl.Series(~(np.isnan(values) | np.isin(values, (0.0, 1.0)))))
        elif kind == pl.String or isinstance(kind, pl.Enum | pl.Categorical):
            tidy = series.cast(pl.String).str.strip_chars().str.to_lowercase()
            read = tidy.replace_strict(ANSWERS, default=None, return_dtype=pl.Float64)
            odd = series.filter(read.is_null() & series.is_not_null())
            values = read.fill_null(float("nan")).to_numpy()
        else:
            raise ColumnError(f"{name} must hold yes/no answers; it is {kind}")
        if len(odd):
            raise DataError(
                f"{name} holds {odd[0]!r} ({len(odd)} such rows); latent classes take yes/no "
                f"answers: {', '.join(ANSWERS)}"
            )
        columns.append(values)
    return np.column_stack(columns)


def answer_deviances(answers: Floats, weights: Floats, yes: Floats) -> Floats:
    """Return -2 log(weight x probability of the answers) of every row under every class.

    Missing answers are ignored. Computed elementwise: a row's value does not depend on other rows.

    Parameters
    ----------
    answers : array (n, items)
    weights : array (k,)
    yes : array (k, items)
        Probability of a yes in each class, strictly between 0 and 1.

    Returns
    -------
    array (n, k)
    """
    total = np.tile(-2 * np.log(weights), (len(answers), 1))
    yes_cost, no_cost = -2 * np.log(yes), -2 * np.log1p(-yes)
    for item, column in enumerate(np.ascontiguousarray(answers.T)):
        for group in range(len(weights)):
            total[:, group] += np.where(
                column == 1, yes_cost[group, item], np.where(column == 0, no_cost[group, item], 0.0)
            )
    return total


@dataclass(frozen=True, slots=True)
class LatentClass:
    """One class: how often its members say yes to each item.

    Attributes
    ----------
    id, name : str
    size : int
        Customers whose most probable class this was at the fit.
    weight : float
        Its share of the mixture.
    yes : dict of str to float
        Item to the probability of a yes.
    reach : float
        Distance beyond which a customer counts as unlike any segment.
    """

    id: str
    name: str
    size: int
    weight: float
    yes: dict[str, float]
    reach: float


@dataclass(frozen=True, slots=True, eq=False)
class LatentModel(ProbabilityScorer):
    """Model that gives the probability of each latent class for a customer's answers.

    Attributes
    ----------
    rows : int
        Customers at the fit.
    seed : int
    version : str
        segkit's version at the fit.
    items : tuple of str
    classes : tuple of LatentClass
    """

    KIND: ClassVar[str] = "latent"
    PARTS: ClassVar[str] = "classes"
    PART: ClassVar[type[Any]] = LatentClass

    rows: int
    seed: int
    version: str
    items: tuple[str, ...]
    classes: tuple[LatentClass, ...]

    def check_part(self, one: LatentClass) -> None:
        """Raise ``ModelError`` if this class lacks the probability of a yes to an item."""
        check_number(f"the weight of {one.id}", one.weight, above=0, most=1)
        if set(one.yes) != set(self.items):
            raise ModelError(
                f"class {one.id} must have one probability for each of {', '.join(self.items)}; "
                f"got {', '.join(map(str, one.yes)) or 'none'}"
            )
        for item, share in one.yes.items():
            check_number(f"the probability of {item} in {one.id}", share, above=0, below=1)

    @property
    def features(self) -> tuple[str, ...]:
        """Columns that a frame needs to be scored."""
        return self.items

    def _find_unfit(self, frame: pl.DataFrame) -> pl.Series:
        """Return no reason for any row: missing answers are allowed.

        Without any answer the largest class is the most probable.
        """
        return pl.Series("reason", [None] * frame.height, dtype=pl.String)

    def _distances(self, frame: pl.DataFrame) -> Floats:
        """Return -2 log(weight x probability of the answers) of each row, shape (n, k)."""
        weights = np.array([latent.weight for latent in self.classes])
        yes = np.array([[latent.yes[item] for item in self.items] for latent in self.classes])
        return answer_deviances(read_answers(frame, self.items), weights, yes)

    def describe(self, one: LatentClass) -> dict[str, Any]:
        """Return a class's weight and the probability of a yes to each item."""
        return {"weight": one.weight, **one.yes}

    @property
    def wording(self) -> tuple[str, str, str]:
        """Phrases for `text`: the segments, where new customers go, what is unlike any."""
        segments = f"latent classes from {counted(len(self.items), 'yes/no item')}"
        return segments, "most probable class", "whose answers are rarer in it"

    @classmethod
    def _read(cls, data: Mapping[str, Any]) -> Self:
        return cls._rebuild(data)


@dataclass(frozen=True, slots=True)
class ClassFit:
    """Latent classes for one k: the best of several starts.

    Attributes
    ----------
    weights : array (k,)
    yes : array (k, items)
    log_likelihood : float
    reached : int
        Number of starts that reached this optimum.
    """

    weights: Floats
    yes: Floats
    log_likelihood: float
    reached: int

    @property
    def parameters(self) -> int:
        """Free parameters: k - 1 shares and k probabilities an item."""
        return int(len(self.weights) - 1 + self.yes.size)


def fit_classes(answers: Floats, k: int, *, starts: int = 20, seed: int = 0) -> ClassFit:
    """Fit k latent classes to yes/no answers by EM over their distinct patterns.

    Lazarsfeld and Henry (1968), "Latent structure analysis"; Goodman (1974), "Exploratory latent
    structure analysis using both identifiable and unidentifiable models", Biometrika 61, for the
    iterations. Items are independent within a class; a missing answer is left out of the
    likelihood (missing at random). Patterns are taken in an order of their own, so the order of
    rows changes nothing.

    Parameters
    ----------
    answers : array (n, items)
        1, 0 or NaN.
    k : int
    starts : int
        Random starts.
    seed : int

    Returns
    -------
    ClassFit

    Examples
    --------
    >>> answers = np.repeat([[1.0, 1.0, 1.0], [0.0, 0.0, 0.0]], [30, 10], axis=0)
    >>> fit = fit_classes(answers, 2, starts=3)
    >>> sorted(fit.weights.round(3).tolist())
    [0.25, 0.75]
    """
    patterns, counts = np.unique(np.nan_to_num(answers, nan=2.0), axis=0, return_counts=True)
    patterns = np.where(patterns == 2.0, np.nan, patterns)
    mass = counts.astype(np.float64)
    seeds = np.random.SeedSequence([seed, k]).spawn(starts if k > 1 else 1)
    with single_thread():
        fits = [_em(patterns, mass, k, np.random.default_rng(start_seed)) for start_seed in seeds]
    best = max(fits, key=lambda fit: fit[2])
    reached = sum(best[2] - fit[2] <= SAME for fit in fits)
    return ClassFit(best[0], best[1], best[2], reached)


def _em(
    patterns: Floats, mass: Floats, k: int, rng: np.random.Generator
) -> tuple[Floats, Floats, float]:
    """Run EM from one random start; return shares, probabilities, log-likelihood."""
    given = ~np.isnan(patterns)
    yes_answers = np.where(given, patterns, 0.0)
    answered, ayes = given * mass[:, None], yes_answers * mass[:, None]
    overall = (ayes.sum(axis=0) + 0.5) / (answered.sum(axis=0) + 1.0)
    weights = np.full(k, 1.0 / k)
    yes = np.clip(0.5 * overall + 0.5 * rng.uniform(size=(k, patterns.shape[1])), 0.02, 0.98)
    before = -np.inf
    for _ in range(MOST_STEPS):
        log_joint = (
            np.log(weights) + yes_answers @ np.log(yes).T + (given - yes_answers) @ np.log1p(-yes).T
        )
        top = log_joint.max(axis=1)
        share = np.exp(log_joint - top[:, None])
        total = share.sum(axis=1)
        likelihood = float(mass @ (top + np.log(total)))
        share /= total[:, None]
        weights = np.maximum(mass @ share / mass.sum(), EDGE)
        weights /= weights.sum()
        mass_answered = share.T @ answered
        yes = (share.T @ ayes + EDGE * overall) / (mass_answered + EDGE)
        yes = np.clip(yes, EDGE, 1 - EDGE)
        if likelihood - before <= TOLERANCE * abs(likelihood):
            break
        before = likelihood
    return weights, yes, likelihood


@takes_frames
def cluster_latent(
    frame: Any,
    *,
    items: Sequence[str],
    k: int | None = None,
    k_range: Sequence[int] = range(1, 9),
    starts: int = 20,
    seed: int = 0,
) -> Segmentation:
    """Segment respondents by their yes/no answers, with each one's probability of each class.

    Parameters
    ----------
    frame : polars or pandas DataFrame
        One row per customer: ``customer_id`` and the items, as yes/no, true/false or 1/0.
    items : sequence of str
        An item to which everyone gives the same answer is uninformative and is left out, with a
        note. Missing answers are left out of the likelihood.
    k : int, optional
        Number of classes; by default that of the lowest BIC among two and more of ``k_range``.
    k_range : sequence of int
    starts : int
        Random starts for each k; the one with the highest likelihood is kept.
    seed : int

    Returns
    -------
    Segmentation
        With ``posterior``; ``compared`` holds k, bic, log_likelihood, parameters, reached (starts
        that reached the best optimum), admitted (no more parameters than the answer patterns can
        identify, and no class without customers), chosen.

    Raises
    ------
    ColumnError, DataError
        If an item is absent or holds other answers, no item varies, a customer gives no answer,
        or there are fewer different patterns of answers than classes.
    ParameterError
        If k is below 2, or an option is out of range.

    Examples
    --------
    >>> table = pl.DataFrame({
    ...     "customer_id": [f"{i:02}" for i in range(40)],
    ...     **{item: ["yes"] * 30 + ["no"] * 10 for item in ("cheap", "fast", "tasty")},
    ... })
    >>> segmentation = cluster_latent(table, items=["cheap", "fast", "tasty"], k=2)
    >>> segmentation.segments["customers"].to_list()
    [30, 10]
    """
    require_least(starts=(starts, 1))
    ks = wanted_counts(k, k_range, 1)
    table = feature_rows(frame, items)
    answers = read_answers(table, items)
    used, dropped = _varying_items(answers, items)
    answers = answers[:, [items.index(item) for item in used]]
    silent = int(np.isnan(answers).all(axis=1).sum())
    if silent:
        raise DataError(
            f"{counted(silent, 'customer answers', 'customers answer')} no item; drop them before "
            "fitting classes"
        )
    patterns = len(np.unique(np.nan_to_num(answers, nan=2.0), axis=0))
    if patterns < (k or 2):
        raise DataError(
            f"{counted(k or 2, 'class needs', 'classes need')} at least as many different patterns "
            f"of answers; there {'is' if patterns == 1 else 'are'} {patterns}"
        )
    fits = {
        count: fit_classes(answers, count, starts=starts, seed=seed)
        for count in ks
        if count <= patterns
    }
    compared = _compared(answers, fits)
    wanted = compared.filter("admitted", pl.col("k") >= 2)
    if wanted.is_empty():
        raise DataError(
            f"{', '.join(map(str, ks))} classes cannot be identified from "
            f"{counted(len(used), 'item')}: there are more parameters than patterns "
            "of answers, or empty classes; set a smaller k"
        )
    chosen = int(wanted.sort("bic")["k"][0])
    fit = fits[chosen]
    model = LatentModel(
        rows=table.height,
        seed=seed,
        version=__version__,
        items=tuple(used),
        classes=_classes(answers, fit, used),
    )
    compared = compared.with_columns(chosen=pl.col("k") == chosen)
    return _segmentation(table, model, compared, dropped, starts)


def _varying_items(answers: Floats, items: Sequence[str]) -> tuple[list[str], list[str]]:
    """Separate the items with both answers from the others."""
    varies = [bool({0.0, 1.0} <= set(column[~np.isnan(column)])) for column in answers.T]
    used = [item for item, tells in zip(items, varies, strict=True) if tells]
    if not used:
        raise DataError(
            f"no item varies: all respondents give the same answer to {', '.join(items)}"
        )
    return used, [item for item in items if item not in used]


def _compared(answers: Floats, fits: Mapping[int, ClassFit]) -> pl.DataFrame:
    """Return one row per number of classes: BIC = -2 log L + p log n."""
    n, items = answers.shape
    rows = []
    for k, fit in fits.items():
        best = answer_deviances(answers, fit.weights, fit.yes).argmin(axis=1)
        empty = not np.bincount(best, minlength=k).all()
        rows.append(
            {
                "k": k,
                "bic": -2 * fit.log_likelihood + fit.parameters * float(np.log(n)),
                "log_likelihood": fit.log_likelihood,
                "parameters": fit.parameters,
                "reached": fit.reached,
                "admitted": fit.parameters <= 2.0**items - 1 and not empty,
            }
        )
    return pl.DataFrame(rows)


def _classes(answers: Floats, fit: ClassFit, items: list[str]) -> tuple[LatentClass, ...]:
    """Return the classes by decreasing size, named by their most distinctive answers."""
    bare = [
        LatentClass("", "", 0, weight, dict(zip(items, yes, strict=True)), 0.0)
        for weight, yes in zip(fit.weights.tolist(), fit.yes.tolist(), strict=True)
    ]
    overall = np.nanmean(answers, axis=0)
    words = {item: (item.lower(), f"not-{item.lower()}") for item in items}

    def name(classes: list[LatentClass], _: Any) -> list[str]:
        yes = np.array([list(latent.yes.values()) for latent in classes])
        apart = (yes - overall) / np.sqrt(overall * (1 - overall))
        return name_segments(apart, items, words)

    return finish_parts(bare, answer_deviances(answers, fit.weights, fit.yes), fit.yes, name)


def _segmentation(
    table: pl.DataFrame, model: LatentModel, compared: pl.DataFrame, dropped: list[str], starts: int
) -> Segmentation:
    row = compared.filter("chosen").row(0, named=True)
    notes = []
    if not compared.filter(pl.col("k") == 1, pl.col("bic") <= row["bic"]).is_empty():
        notes.append("One class has a lower BIC than any other number: no evidence of types.")
    if dropped:
        notes.append(f"Left out, as everyone answers alike: {', '.join(dropped)}.")
    return model.segment(
        table,
        method="latent",
        compared=compared,
        criterion="bic",
        found_by=(
            f"latent classes of {number(len(model.items))} yes/no items (BIC {number(row['bic'])}; "
            f"{number(row['reached'])} of {counted(starts, 'start reached', 'starts reached')} it)"
        ),
        notes=tuple(notes),
    )
