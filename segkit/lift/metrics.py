"""Which figures are measured, and over what: the definitions, with their denominators."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import polars as pl

from segkit.errors import DataError, ParameterError, unknown

KINDS = ("share", "mean", "ratio")


@dataclass(frozen=True, slots=True)
class Kpi:
    """One figure, defined so that two people compute the same.

    Attributes
    ----------
    name, label : str
        Its name in frames, and in sentences.
    kind : str
        "share" (a 0/1 or Boolean column over customers), "mean" (an amount over customers) or
        "ratio" (a sum over another sum).
    column : str
        The outcome above the line, one value a customer.
    below : str
        The outcome below the line of a ratio; empty for customers assigned.
    denominator : str
        What it is counted over, in words.
    definition : str
        What counts above the line.
    better : str
        "up" or "down".
    guardrail : bool
        Whether the question is that it does no harm.
    mailed : bool
        Whether it exists only where mail was sent, so that a holdout cannot be compared.
    """

    name: str
    label: str
    kind: str
    column: str
    below: str = ""
    denominator: str = "customers assigned"
    definition: str = ""
    better: str = "up"
    guardrail: bool = False
    mailed: bool = False

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise ParameterError(unknown("kind of metric", self.kind, KINDS))
        if (self.kind == "ratio") != bool(self.below):
            raise ParameterError(f"metric {self.name!r}: a ratio, and only a ratio, has `below`")

    @property
    def causal(self) -> bool:
        """Whether its denominator was fixed by the assignment; else it only describes."""
        return self.kind != "ratio"

    @property
    def columns(self) -> tuple[str, ...]:
        """The outcome columns that it needs."""
        return (self.column, self.below) if self.below else (self.column,)


_SENT = "e-mails sent"
KPIS: tuple[Kpi, ...] = (
    Kpi("conversion", "conversion", "share", "converted", definition="made at least one order"),
    Kpi(
        "revenue", "revenue per customer", "mean", "revenue",
        definition="amounts of order lines, returns deducted",
    ),
    Kpi("orders", "orders per customer", "mean", "orders", definition="orders made"),
    Kpi("visit_rate", "visit rate", "share", "visited", definition="came to the site at all"),
    Kpi(
        "click_through", "click-through", "share", "clicked", definition="clicked a link in a mail",
        mailed=True,
    ),
    Kpi(
        "unsubscribe_rate", "unsubscribes", "share", "unsubscribed", definition="unsubscribed",
        better="down", guardrail=True,
    ),
    Kpi(
        "complaint_rate", "complaints", "share", "complained", definition="complained",
        better="down", guardrail=True,
    ),
    Kpi(
        "inactive_rate", "inactivity (churn)", "share", "inactive",
        definition="neither ordered nor visited", better="down",
    ),
    Kpi("clv", "customer lifetime value", "mean", "clv", definition="expected value, as given"),
    Kpi(
        "open_rate", "open rate", "ratio", "emails_opened", "emails_sent", _SENT,
        "e-mails opened", mailed=True,
    ),
    Kpi(
        "click_to_open", "click-to-open rate", "ratio", "emails_clicked", "emails_opened",
        "e-mails opened", "e-mails clicked", mailed=True,
    ),
    Kpi(
        "orders_per_visit", "orders per visit", "ratio", "orders", "visits", "visits", "orders made"
    ),
    Kpi(
        "order_value", "average order value", "ratio", "revenue", "orders", "orders",
        "amounts of order lines, returns deducted",
    ),
)  # fmt: skip
"""The usual figures; `choose_metrics` takes those that a frame can carry."""


def choose_metrics(
    columns: Iterable[str], wanted: Sequence[str | Kpi] | None = None
) -> tuple[Kpi, ...]:
    """Choose the figures that the outcomes can carry, or those asked for.

    Raises
    ------
    ParameterError
        If a wanted name is unknown.
    DataError
        If an outcome column that a wanted figure needs is missing, or none can be measured.

    Examples
    --------
    >>> [metric.name for metric in choose_metrics(["converted", "revenue", "orders"])]
    ['conversion', 'revenue', 'orders', 'order_value']
    """
    have = set(columns)
    named = {metric.name: metric for metric in KPIS}
    if wanted is None:
        chosen = tuple(metric for metric in KPIS if have.issuperset(metric.columns))
    else:
        for one in wanted:
            if isinstance(one, str) and one not in named:
                raise ParameterError(unknown("metric", one, named))
        chosen = tuple(named[one] if isinstance(one, str) else one for one in wanted)
    for metric in chosen:
        missing = [column for column in metric.columns if column not in have]
        if missing:
            raise DataError(
                f"metric {metric.name!r} needs {', '.join(missing)}; the outcomes have "
                f"{', '.join(sorted(have))}"
            )
    if not chosen:
        raise DataError(f"no figure can be measured from the columns {', '.join(sorted(have))}")
    return chosen


def kpi_table(metrics: Sequence[Kpi] = KPIS) -> pl.DataFrame:
    """What does each figure mean, and over what is it counted?

    Returns
    -------
    polars.DataFrame
        metric, label, above, below, kind, use ("causal" where the denominator is fixed by the
        assignment, else "descriptive"), better, and last the campaign's ROI.

    Examples
    --------
    >>> kpi_table()["use"].unique().sort().to_list()
    ['causal', 'descriptive']
    """
    rows = [
        (m.name, m.label, m.definition, m.denominator, m.kind,
         "causal" if m.causal else "descriptive", m.better)
        for m in metrics
    ]  # fmt: skip
    roi = (
        "roi", "return on investment", "added revenue x margin, less added cost", "added cost",
        "ratio", "causal", "up",
    )  # fmt: skip
    schema = ["metric", "label", "above", "below", "kind", "use", "better"]
    return pl.DataFrame([*rows, roi], schema=schema, orient="row")
