"""Settings of the explorer, and the results for them as HTML."""

from __future__ import annotations

import html
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import Any, Literal, get_args

import polars as pl

from segkit.cluster.choose import KChoice, choose_k
from segkit.cluster.matrix import customer_rows
from segkit.cluster.methods import MethodComparison, compare_methods
from segkit.cluster.mixture import cluster_mixture
from segkit.cluster.segments import Segmentation
from segkit.cluster.stability import Stability, assess_stability
from segkit.display import cell, counted, label, number, table_html
from segkit.errors import DataError, ParameterError, require_choice
from segkit.plot import Figure
from segkit.plot.vector import to_element
from segkit.profile import Profile, profile_segments

LEAST, MOST = 2, 12  # segments: figures cannot distinguish more than 12
Ending = Literal["csv", "parquet"]
FILES: tuple[Ending, ...] = get_args(Ending)
SIZES = ("segment", "segment_name", "customers", "customer_share", "revenue_share", "marked_by")
FEW_SPLITS = 2  # the fewest split halves: their result is not shown here


@dataclass(frozen=True, slots=True)
class Method:
    """A clustering method: its label, its function, and further arguments."""

    words: str
    function: str
    options: Mapping[str, Any]
    refit: Literal["ward", "kmeans", ""]  # name for `assess_stability`; empty where it has none


MethodName = Literal["ward", "two-step", "kmeans", "mixture"]
METHODS = {
    "ward": Method("Ward (hierarchical)", "cluster_customers", {"method": "ward"}, "ward"),
    "two-step": Method(
        "two-step Ward", "cluster_customers", {"method": "ward", "exact_rows": 1}, "ward"
    ),
    "kmeans": Method("k-means", "cluster_customers", {"method": "kmeans"}, "kmeans"),
    "mixture": Method("Gaussian mixture", "cluster_mixture", {}, ""),
}


@dataclass(frozen=True, slots=True)
class Settings:
    """All settings that determine the segments.

    Attributes
    ----------
    features : tuple of str
        Variables to cluster on.
    k : int
        Number of segments.
    method : str
        One of `METHODS`.
    seed : int
    definitions : dict of str to str
        What each feature means, kept in the model.
    as_of : date or None
        Day up to which the features look, kept in the model.
    """

    features: tuple[str, ...]
    k: int
    method: str = "ward"
    seed: int = 0
    definitions: Mapping[str, str] = field(default_factory=dict)
    as_of: date | None = None

    def check(self) -> None:
        """Check the settings.

        Raises
        ------
        ParameterError
            If the method is unknown, no variable is chosen, or k is out of range.
        """
        require_choice("method", self.method, METHODS)
        if not self.features:
            raise ParameterError("no variable is chosen; choose at least one")
        if not LEAST <= self.k <= MOST:
            raise ParameterError(f"k must be from {LEAST} to {MOST}, got {self.k}")

    @property
    def words(self) -> str:
        """The settings in one line."""
        shaped = counted(len(self.features), "variable")
        method = METHODS.get(self.method)
        return f"{method.words if method else self.method}, {counted(self.k, 'segment')}, {shaped}"

    @property
    def stem(self) -> str:
        """File name for the segments of these settings."""
        return f"segments_{self.method}_{self.k}".replace("-", "_")

    @property
    def arguments(self) -> dict[str, Any]:
        """Arguments of the method's function, after the table."""
        definitions = {f: self.definitions[f] for f in self.features if f in self.definitions}
        extra: dict[str, Any] = {"definitions": definitions} if definitions else {}
        extra |= {"as_of": self.as_of} if self.as_of else {}
        options = METHODS[self.method].options
        return {"features": list(self.features), "k": self.k, **options, **extra, "seed": self.seed}

    def fit(self, table: pl.DataFrame) -> Segmentation:
        """Cluster the customers.

        Raises
        ------
        SegkitError
            As the method raises it.
        """
        from segkit import cluster

        self.check()
        function: Callable[..., Any] = getattr(cluster, METHODS[self.method].function)
        return function(table, **self.arguments)  # type: ignore[no-any-return]

    def code(self, table: str = "table", *, model: str = "", assignments: str = "") -> str:
        """Write the call as code to be run elsewhere.

        Parameters
        ----------
        table : str
            Name of the variable that holds the customer table.
        model, assignments : str
            Files to write, if any.

        Examples
        --------
        >>> print(Settings(("frequency", "monetary"), 3, "kmeans").code())
        import segkit
        <BLANKLINE>
        segmentation = segkit.cluster.cluster_customers(
            table,
            features=[
                "frequency",
                "monetary",
            ],
            k=3,
            method="kmeans",
            seed=0,
        )
        """
        named = [f"    {name}={_written(value)}," for name, value in self.arguments.items()]
        call = f"segmentation = segkit.cluster.{METHODS[self.method].function}("
        lines = ["from datetime import date", ""] if self.as_of else []
        lines += ["import segkit", "", call, f"    {table},", *named, ")"]
        if model:
            lines.append(f"segmentation.model.save({_written(model)})")
        if assignments:
            lines.append(
                f"segkit.writing.write_frame(segmentation.assignments, {_written(assignments)})"
            )
        return "\n".join(lines)


def _written(value: Any) -> str:
    """Write a value as Python does, lists and mappings a line an item."""
    if isinstance(value, list):
        return "[\n" + "".join(f"        {_written(item)},\n" for item in value) + "    ]"
    if isinstance(value, Mapping):
        items = (f"        {_written(k)}: {_written(v)},\n" for k, v in value.items())
        return "{\n" + "".join(items) + "    }"
    if isinstance(value, date):
        return f"date({value.year}, {value.month}, {value.day})"
    return json.dumps(value, ensure_ascii=False) if isinstance(value, str) else repr(value)


def describe(
    table: pl.DataFrame,
    segmentation: Segmentation,
    settings: Settings,
    variables: Sequence[str] | None = None,
) -> Profile:
    """Profile the segments by `segkit.profile_segments` on the same customers.

    ``variables`` are all columns by default.
    """
    return profile_segments(
        table,
        segmentation.assignments.select("customer_id", "segment", "segment_name"),
        variables=variables,
        clustering_variables=settings.features,
        as_of=settings.as_of,
        seed=settings.seed,
    )


def stability_of(
    table: pl.DataFrame, segmentation: Segmentation, settings: Settings, refits: int
) -> Stability | MethodComparison:
    """Assess how stable the segments are, by bootstrap refits with the same method."""
    refit = METHODS[settings.method].refit
    if not refit:
        return compare_methods(
            table,
            features=settings.features,
            k=settings.k,
            methods=[settings.method],
            transform=segmentation.model.transform,
            refits=refits,
            seed=settings.seed,
        )
    X = segmentation.model.transform.apply(customer_rows(table, settings.features))
    return assess_stability(
        X,
        k_range=[segmentation.k],
        method=refit,
        n_refits=refits,
        n_splits=FEW_SPLITS,
        segments=segmentation.assignments["segment"],
        seed=settings.seed,
    )


def suggested(
    table: pl.DataFrame, segmentation: Segmentation, settings: Settings
) -> KChoice | Segmentation:
    """Suggest a number of segments by the criteria of the method."""
    refit = METHODS[settings.method].refit
    if not refit:
        return cluster_mixture(table, features=settings.features, seed=settings.seed)
    X = segmentation.model.transform.apply(customer_rows(table, settings.features))
    return choose_k(X, method=refit, seed=settings.seed)


# Topics of variables ----------------------------------------------------------------------

# Topic -> how the names of its variables begin; the first topic that fits holds.
TOPICS: dict[str, tuple[str, ...]] = {
    "Attitudes": ("attitude_",),
    "E-mail": ("email", "open_rate", "click_rate", "unsubscribed"),
    "Site and carts": ("visit", "page_", "product_view", "time_", "cart", "abandon", "view_to"),
    "Prices and returns": ("discount", "return", "full_price"),
    "Products": ("category", "brand", "product_", "favourite", "first_"),
    "Times of the year": ("season", "occasion", "gift", "weekend"),
    "Channels": ("channel",),
    "Orders and spend": (
        *("recency", "frequency", "monetary", "tenure", "order", "gap", "spend", "engagement"),
        *("revenue", "later"),
    ),
}
OTHER = "Other variables"


def topic_of(variable: str) -> str:
    """Return the topic that a variable belongs to, by its name.

    Examples
    --------
    >>> topic_of("open_rate_365d"), topic_of("orders_per_year"), topic_of("shoe_size")
    ('E-mail', 'Orders and spend', 'Other variables')
    """
    return next((topic for topic, starts in TOPICS.items() if variable.startswith(starts)), OTHER)


# HTML -------------------------------------------------------------------------------------


def paragraph(text: str) -> str:
    """Write a sentence as HTML."""
    return f"<p>{html.escape(text)}</p>"


def picture(figure: Figure) -> str:
    """Write a figure as HTML, its alternative text with it."""
    return figure._repr_html_()


def segments(segmentation: Segmentation, profile: Profile) -> dict[str, str]:
    """Write the finding, and the table of segments with size, value and markers."""
    return {"segments": paragraph(segmentation.text) + sizes(profile)}


def chart(profile: Profile) -> str:
    """Write the map: customers and segments on two principal components."""
    if profile.separation is None:
        return paragraph("A map needs two variables that vary and three customers.")
    drawn = profile.plot_separation()
    return to_element(drawn.svg(), drawn.narrow_svg())


def portraits(profile: Profile) -> dict[str, str]:
    """Write the profile: markers as a picture, means and medians as tables."""
    try:
        marks = picture(profile.plot())
    except DataError as error:
        marks = paragraph(str(error))
    return {"profile": marks, "mean": values(profile, "mean"), "median": values(profile, "median")}


def suggestion(suggested_: KChoice | Segmentation, k: int) -> str:
    """Write the number of segments that the criteria suggest, with the current ``k``."""
    drawn = suggested_
    if isinstance(suggested_, KChoice) and k in suggested_.table["k"]:
        drawn = suggested_.choose(k)
    return paragraph(suggested_.text) + picture(drawn.plot())


def sizes(profile: Profile) -> str:
    """Write the table of segments: names, sizes, value, marker variables."""
    shown = profile.segments.select(SIZES)
    if shown["revenue_share"].null_count() == shown.height:
        shown = shown.drop("revenue_share")
    return table_html(shown, caption="Segments", headings={"marked_by": "marked by"})


def values(profile: Profile, measure: str) -> str:
    """Write each variable's mean or median by segment, markers in bold, clustering variables first.

    Parameters
    ----------
    profile : Profile
    measure : {"mean", "median"}
    """
    variables = profile.variables.drop_nulls(measure)
    marks = variables.filter(pl.col("marker"))["variable"].unique().to_list()
    rows = variables.filter((pl.col("role") == "clustering") | pl.col("variable").is_in(marks))
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
    by_segment = {row["segment_name"]: row for row in rows.iter_rows(named=True)}
    cells = ""
    for name in names:
        value = cell(by_segment[name][measure] if name in by_segment else None, variable)
        strong = name in by_segment and by_segment[name]["marker"]
        cells += f"<td>{f'<strong>{value}</strong>' if strong else value}</td>"
    everyone = next(iter(by_segment.values()))[f"{measure}_all"]
    return (
        f'<tr><th scope="row">{html.escape(label(variable))}</th>{cells}'
        f"<td>{cell(everyone, variable)}</td></tr>"
    )


def stability(stable: Stability | MethodComparison) -> str:
    """Write the stability of the segments."""
    own: Any = getattr(stable, "own", None)
    if own is not None:
        shown = own.select("segment", "size", "jaccard", "jaccard_low", "jaccard_high", "band")
        return paragraph(stable.text) + table_html(shown, caption="Stability over refits")
    row = stable.to_frame().row(0, named=True)
    sentence = (
        f"Over {counted(row['refits'], 'refit')} to resampled customers the segments' mean Jaccard "
        f"coefficient is {number(row['jaccard'])}, that of the least stable "
        f"{number(row['jaccard_least'])}; a refit agrees with it with an adjusted Rand index of "
        f"{number(row['rand'])}."
    )
    return paragraph(" ".join([sentence, *getattr(stable, "notes", ())]))


def static(segmentation: Segmentation, profile: Profile, chart: str, note: str) -> str:
    """Write a choice as static HTML: the sentence, the map, the table."""
    small = f"<p><small>{html.escape(note)}</small></p>"
    parts = paragraph(segmentation.headline) + chart + sizes(profile) + small
    return f'<div class="segkit-static">{parts}</div>'
