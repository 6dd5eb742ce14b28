"""Which list goes to whom? Audience lists for a CRM or an ad platform, each omission counted."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from segkit.audience.contract import SegmentContract
from segkit.audience.emails import hash_emails, normalise_emails
from segkit.audience.files import check_format, file_name, write_list
from segkit.display import number, percent
from segkit.errors import ColumnError, DataError, ParameterError, require_columns, unknown
from segkit.frames import takes_frames
from segkit.result import Result
from segkit.writing import write_frame

KINDS = ("crm", "upload")
NO_OFFER = "none"
REASONS = {
    "no_contact": "held out, or without an offer",
    "not_a_customer": "without a customer record",
    "no_consent": "without consent to marketing",
    "opted_out": "opted out",
    "no_email": "without an e-mail address",
    "bad_email": "with an e-mail address that is none",
    "same_email": "sharing an address with another customer on the lists",
    "small_cell": "in a cell too small to be handed out",
}


@dataclass(frozen=True, slots=True, eq=False)
class Audience(Result):
    """Lists ready for export, one an offer, with what was left out and why.

    Attributes
    ----------
    frame : polars.DataFrame
        All lists together: customer_id ("crm") or email_sha256 ("upload"), offer, segment,
        further columns asked for.
    counts : polars.DataFrame
        reason (null for those listed), description, customers, customer_share.
    cells : polars.DataFrame
        segment, offer, customers listed.
    contract : SegmentContract
    kind : str
    min_cell : int
        Fewest customers of a cell that is handed out.
    platform : str
        Whose spelling of e-mails.
    """

    frame: pl.DataFrame
    counts: pl.DataFrame
    cells: pl.DataFrame
    contract: SegmentContract
    kind: str
    min_cell: int
    platform: str

    def to_frame(self) -> pl.DataFrame:
        """Return the counts by reason: no customer's data."""
        return self.counts

    @property
    def text(self) -> str:
        """The finding in words."""
        listed = self.frame.height
        asked = int(self.counts.get_column("customers").sum())
        lists = self.frame.get_column("offer").n_unique() if listed else 0
        share = percent(listed / asked if asked else 0.0)
        first = f"{number(listed)} of {number(asked)} assigned customers ({share}) are on"
        parts = [f"{first} {number(lists)} lists."]
        out = self.counts.filter(pl.col("reason").is_not_null() & (pl.col("customers") > 0))
        if out.height:
            told = "; ".join(
                f"{number(r['customers'])} {r['description']}" for r in out.iter_rows(named=True)
            )
            parts.append(f"Left out: {told}.")
        parts.append(
            f"No cell of fewer than {number(self.min_cell)} customers is handed out. Who is left "
            "out after the assignment stays in its arm for the analysis."
        )
        return " ".join(parts)

    def write(self, folder: Path | str, *, formats: Sequence[str] = ("csv",)) -> tuple[Path, ...]:
        """Write one file an offer and format, the counts, and the contract; return the paths.

        Parameters
        ----------
        folder : path
            Made if it is not there; files of the same name are replaced.
        formats : sequence of {"csv", "xlsx", "parquet"}
            CSV and XLSX have formulas defused (`segkit.audience.files.defuse`); XLSX needs the
            extra ``segkit[excel]``.

        Raises
        ------
        ParameterError
            If a format is unknown, or XLSX is asked for without its library.
        """
        for kind in formats:
            check_format(kind)
        place = Path(folder)
        place.mkdir(parents=True, exist_ok=True)
        written = []
        for offer, part in sorted(self.frame.partition_by("offer", as_dict=True).items()):
            stem = file_name(self.contract.campaign_id, str(offer[0]), self.kind)
            written += [write_list(part, place / stem, kind) for kind in formats]
        write_frame(self.counts, place / "left_out.csv")
        write_frame(self.cells, place / "cells.csv")
        contract = self.contract.save(place / "contract.json")
        return (*written, place / "left_out.csv", place / "cells.csv", contract)


@takes_frames
def build_audience(
    assignments: pl.DataFrame,
    customers: pl.DataFrame,
    *,
    contract: SegmentContract,
    kind: str = "crm",
    email: str = "email",
    consent: str | None = "marketing_consent",
    columns: Sequence[str] = (),
    optouts: pl.DataFrame | None = None,
    min_cell: int = 20,
    cell: Sequence[str] = ("segment", "offer"),
    platform: str = "meta",
) -> Audience:
    """Which customers go on which list, and who is left out for which reason?

    Parameters
    ----------
    assignments : DataFrame
        customer_id, offer, segment (`segkit.experiment.Assignment.frame`); offer "none" gets no
        list.
    customers : DataFrame
        customer_id, the e-mail, the consent, and ``columns``; one row a customer.
    contract : SegmentContract
        Travels with every list.
    kind : {"crm", "upload"}
        "crm": customer_id, and the address in plain text if ``columns`` names it; "upload": the
        hashed address and nothing that names a customer, for a custom audience.
    email, consent : str
        Columns. Only ``True`` is consent. ``consent=None`` is for sources without the column,
        whose consent is ascertained elsewhere.
    columns : sequence of str
        Further columns of ``customers`` on the list ("crm" only).
    optouts : DataFrame, optional
        customer_id of those who opted out since.
    min_cell : int
        k-anonymity: combinations of ``cell`` with fewer customers are left out.
    cell : sequence of str
        Columns of the list whose combinations must not be small.
    platform : {"meta", "google"}
        Whose spelling of e-mails before hashing.

    Returns
    -------
    Audience

    Raises
    ------
    ColumnError
        If a column is missing, the consent column above all.
    DataError
        If a customer is assigned or described twice.
    ParameterError
        If the kind or platform is unknown, or ``min_cell`` below 1.

    Examples
    --------
    >>> given = pl.DataFrame({"customer_id": ["007", "008"], "offer": ["sale", "sale"],
    ...                       "segment": ["S1", "S1"]})
    >>> people = pl.DataFrame({"customer_id": ["007", "008"], "email": ["A@b.org", None],
    ...                        "marketing_consent": [True, True]})
    >>> terms = SegmentContract("c", "2025-02-28", "1", "", "ward", {"S1": "all"})
    >>> made = build_audience(given, people, contract=terms, min_cell=1)
    >>> made.frame["customer_id"].to_list(), made.counts.filter(reason="no_email")["customers"][0]
    (['007'], 1)
    """
    if kind not in KINDS:
        raise ParameterError(unknown("kind of list", kind, KINDS))
    if min_cell < 1:
        raise ParameterError(f"min_cell must be at least 1, got {min_cell}")
    _check(assignments, customers, email, consent, columns, kind)
    some = _joined(assignments, customers, email, consent, columns)
    normal = normalise_emails(some.get_column("_email"), platform=platform)
    some = some.with_columns(normal.alias("_normal"))
    gone = pl.Series(dtype=pl.String) if optouts is None else optouts.get_column("customer_id")
    reasons = {
        "no_contact": pl.col("offer").is_null() | (pl.col("offer") == NO_OFFER),
        "not_a_customer": pl.col("_known").is_null(),
        "no_consent": ~pl.col("_consent").fill_null(value=False),
        "opted_out": pl.col("customer_id").is_in(gone.cast(pl.String).unique().implode()),
        "no_email": pl.col("_email").str.strip_chars().fill_null("") == "",
        "bad_email": pl.col("_normal").is_null(),
    }
    some = some.with_columns(_reason=_first(reasons))
    free = pl.col("_reason").is_null()
    again = free & ~(pl.col("_normal").is_first_distinct().over(free))
    some = some.with_columns(_reason=pl.when(again).then(pl.lit("same_email")).otherwise("_reason"))
    kept = [name for name in cell if name in some.columns]
    if len(kept) < len(tuple(cell)):
        require_columns(some.columns, cell, "the list")
    held = free.sum().over(kept) if kept else free.sum()
    small = free & (held < min_cell)
    some = some.with_columns(_reason=pl.when(small).then(pl.lit("small_cell")).otherwise("_reason"))
    listed = some.filter(free)
    cells = listed.group_by("segment", "offer").agg(customers=pl.len()).sort("segment", "offer")
    return Audience(
        _shape(listed, kind, columns, email), _counts(some), cells, contract, kind, min_cell,
        platform,
    )  # fmt: skip


def _check(
    assignments: pl.DataFrame, customers: pl.DataFrame, email: str, consent: str | None,
    columns: Sequence[str], kind: str,
) -> None:  # fmt: skip
    require_columns(assignments.columns, ["customer_id", "offer", "segment"], "assignments")
    require_columns(customers.columns, ["customer_id", email, *columns], "customers")
    if consent is not None and consent not in customers.columns:
        raise ColumnError(
            f"customers lacks the consent column {consent!r}; it has "
            f"{', '.join(customers.columns)}. No list is made on a guess: name the column, or set "
            "consent=None if consent is ascertained elsewhere"
        )
    if kind == "upload" and columns:
        raise ParameterError(
            f"an upload to a platform holds the hashed address alone; columns: {', '.join(columns)}"
        )
    for name, frame in (("assignments", assignments), ("customers", customers)):
        twice = frame.height - frame.get_column("customer_id").n_unique()
        if twice:
            raise DataError(f"{name}: {number(twice)} rows repeat a customer; give one row each")


def _joined(
    assignments: pl.DataFrame, customers: pl.DataFrame, email: str, consent: str | None,
    columns: Sequence[str],
) -> pl.DataFrame:  # fmt: skip
    about = customers.select(
        pl.col("customer_id").cast(pl.String),
        pl.col(email).cast(pl.String).alias("_email"),
        (pl.col(consent).cast(pl.Boolean) if consent else pl.lit(value=True)).alias("_consent"),
        *(pl.col(name) for name in dict.fromkeys(columns)),
        _known=pl.lit(value=True),
    )
    base = assignments.select(pl.col("customer_id").cast(pl.String), "offer", "segment")
    return base.join(about, on="customer_id", how="left", maintain_order="left").sort("customer_id")


def _first(reasons: dict[str, pl.Expr]) -> pl.Expr:
    return pl.coalesce(
        [
            pl.when(condition.fill_null(value=False)).then(pl.lit(name)).otherwise(None)
            for name, condition in reasons.items()
        ]
    )


def _shape(listed: pl.DataFrame, kind: str, columns: Sequence[str], email: str) -> pl.DataFrame:
    if kind == "crm":
        plain = [pl.col("_normal").alias(email)] if email in columns else []
        others = [name for name in dict.fromkeys(columns) if name != email]
        return listed.select("customer_id", *plain, "offer", "segment", *others)
    hashed = hash_emails(listed.get_column("_normal"))
    # Sorted by hash: the order of the rows tells nothing of the ids.
    return listed.select(hashed.alias("email_sha256"), "offer", "segment").sort("email_sha256")


def _counts(some: pl.DataFrame) -> pl.DataFrame:
    held = dict(some.group_by("_reason").len().iter_rows())
    rows: list[tuple[str | None, str, int]] = [(None, "on a list", int(held.get(None, 0)))]
    rows += [(name, told, int(held.get(name, 0))) for name, told in REASONS.items()]
    schema = {"reason": pl.String, "description": pl.String, "customers": pl.Int64}
    counts = pl.DataFrame(rows, schema=schema, orient="row")
    return counts.with_columns(customer_share=pl.col("customers") / max(1, some.height))
