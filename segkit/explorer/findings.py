"""What the library says of one choice of settings, and how that is written for the eye."""

from __future__ import annotations

import html
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import polars as pl

from segkit.cluster.choose import KChoice, choose_k
from segkit.cluster.matrix import customer_rows
from segkit.cluster.methods import compare_methods
from segkit.cluster.mixture import cluster_mixture
from segkit.cluster.stability import assess_stability
from segkit.display import cell, number, table_html
from segkit.errors import DataError
from segkit.explorer.settings import METHODS, Settings
from segkit.labels import label
from segkit.profile import Profile, profile_segments

if TYPE_CHECKING:
    from segkit.cluster.division import Division
    from segkit.cluster.methods import MethodComparison
    from segkit.cluster.outcome import Segmentation
    from segkit.cluster.stability import Stability
    from segkit.plot import Figure

SIZES = ("segment", "segment_name", "customers", "customer_share", "revenue_share", "marked_by")
FEW_SPLITS = 2  # split halves say nothing that is shown here


def describe(
    table: pl.DataFrame,
    found: Segmentation | Division,
    settings: Settings,
    variables: Sequence[str] | None = None,
) -> Profile:
    """Say who the segments are: `segkit.profile_segments` on the same customers.

    ``variables`` are all columns by default.
    """
    return profile_segments(
        table,
        found.assignments.select("customer_id", "segment", "segment_name"),
        variables=variables,
        clustering_variables=settings.features,
        as_of=settings.as_of,
        seed=settings.seed,
    )


def stability_of(
    table: pl.DataFrame, found: Segmentation | Division, settings: Settings, refits: int
) -> Stability | MethodComparison:
    """Ask whether the segments come out again: bootstrap refits by the same method."""
    refit = METHODS[settings.method].refit
    if not refit:
        return compare_methods(
            table, features=settings.features, k=settings.k, methods=[settings.method],
            transform=found.model.transform, refits=refits, seed=settings.seed,
        )  # fmt: skip
    X = found.model.transform.apply(customer_rows(table, settings.features))
    return assess_stability(
        X, k_range=[found.k], method=refit, n_boot=refits, n_splits=FEW_SPLITS,
        segments=found.assignments["segment"], seed=settings.seed,
    )  # fmt: skip


def suggested(
    table: pl.DataFrame, found: Segmentation | Division, settings: Settings
) -> KChoice | Division:
    """Ask how many segments the data speak for, by the criteria that the method has."""
    refit = METHODS[settings.method].refit
    if not refit:
        return cluster_mixture(table, features=settings.features, seed=settings.seed)
    X = found.model.transform.apply(customer_rows(table, settings.features))
    return choose_k(X, method=refit, seed=settings.seed)


# Written ----------------------------------------------------------------------------------


def paragraph(text: str) -> str:
    """Write a sentence as HTML."""
    return f"<p>{html.escape(text)}</p>"


def picture(figure: Figure) -> str:
    """Write a figure as HTML, its alternative text with it."""
    return figure._repr_html_()


def segments(found: Segmentation | Division, profile: Profile) -> dict[str, str]:
    """Write what the segments are: the finding, and the table of names, sizes, worth, marks."""
    return {"segments": paragraph(found.text) + sizes(profile)}


def chart(profile: Profile) -> str:
    """Write the map: customers and segments on two principal components."""
    if profile.separation is None:
        return paragraph("A map needs two variables that vary and three customers.")
    return picture(profile.plot_separation())


def portraits(profile: Profile) -> dict[str, str]:
    """Write who the segments are: what marks them, drawn; means and medians, in tables."""
    try:
        marks = picture(profile.plot())
    except DataError as error:
        marks = paragraph(str(error))
    return {"profile": marks, "mean": values(profile, "mean"), "median": values(profile, "median")}


def suggestion(found: KChoice | Division, k: int) -> str:
    """Write how many segments the criteria speak for, beside the ``k`` in force."""
    drawn = found
    if isinstance(found, KChoice) and k in found.table["k"]:
        drawn = found.choose(k)
    return paragraph(found.text) + picture(drawn.plot())


def sizes(profile: Profile) -> str:
    """Write the table of segments: names, sizes, worth, marks."""
    shown = profile.segments.select(SIZES)
    if shown["revenue_share"].null_count() == shown.height:
        shown = shown.drop("revenue_share")
    return table_html(shown, caption="Segments", headings={"marked_by": "marked by"})


def values(profile: Profile, measure: str) -> str:
    """Write each variable's mean or median by segment, marks in bold, what shapes them first.

    Parameters
    ----------
    profile : Profile
    measure : {"mean", "median"}
    """
    known = profile.variables.drop_nulls(measure)
    marks = known.filter(pl.col("marker"))["variable"].unique().to_list()
    rows = known.filter((pl.col("role") == "clustering") | pl.col("variable").is_in(marks))
    names = profile.segments["segment_name"].to_list()
    order = rows.sort(pl.col("role") != "clustering", maintain_order=True)
    head = "".join(f'<th scope="col">{html.escape(name)}</th>' for name in [*names, "all"])
    body = "".join(
        _row(rows.filter(pl.col("variable") == variable), variable, names, measure)
        for variable in order["variable"].unique(maintain_order=True)
    )
    caption = f"{measure.capitalize()} by segment; in bold what marks one"
    return (
        f'<table class="segkit"><caption>{caption}</caption><thead><tr>'
        f'<th scope="col">variable</th>{head}</tr></thead><tbody>{body}</tbody></table>'
    )


def _row(rows: pl.DataFrame, variable: str, names: Sequence[str], measure: str) -> str:
    found = {row["segment_name"]: row for row in rows.iter_rows(named=True)}
    cells = ""
    for name in names:
        value = cell(found[name][measure] if name in found else None, variable)
        strong = name in found and found[name]["marker"]
        cells += f"<td>{f'<strong>{value}</strong>' if strong else value}</td>"
    everyone = next(iter(found.values()))[f"{measure}_all"]
    return (
        f'<tr><th scope="row">{html.escape(label(variable))}</th>{cells}'
        f"<td>{cell(everyone, variable)}</td></tr>"
    )


def stability(stable: Stability | MethodComparison) -> str:
    """Write how surely the segments come out again."""
    own: Any = getattr(stable, "own", None)
    if own is not None:
        shown = own.select("segment", "size", "jaccard", "jaccard_low", "jaccard_high", "band")
        return paragraph(stable.text) + table_html(shown, caption="Stability over refits")
    row = stable.to_frame().row(0, named=True)
    said = (
        f"Over {number(row['refits'])} refits to resampled customers the segments' mean Jaccard "
        f"coefficient is {number(row['jaccard'])}, that of the least stable "
        f"{number(row['jaccard_least'])}; a refit agrees with the division with an adjusted Rand "
        f"index of {number(row['rand'])}."
    )
    return paragraph(" ".join([said, *getattr(stable, "notes", ())]))


def static(found: Segmentation | Division, profile: Profile, chart: str, note: str) -> str:
    """Write a choice for a page that nobody can click: the sentence, the map, the table."""
    small = f"<p><small>{html.escape(note)}</small></p>"
    parts = paragraph(found.headline) + chart + sizes(profile) + small
    return f'<div class="segkit-static">{parts}</div>'
