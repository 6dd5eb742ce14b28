"""Who is one customer: identifiers linked by connected components, doubts reported."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl

from segkit.display import number
from segkit.errors import DataError, ParameterError, require_columns
from segkit.identity.graph import (
    Graph,
    components,
    degrees,
    find_bridge,
    number_nodes,
    tidy,
)
from segkit.result import Result

IDENTIFIERS = ("customer_id", "email", "device_id", "loyalty_id")
LONG = ("identifier_type", "identifier", "other_type", "other")
MAX_LARGE = 20


@dataclass(frozen=True, slots=True, eq=False)
class Identities(Result):
    """Which identifiers belong to one customer, and where that is doubtful.

    Attributes
    ----------
    mapping : polars.DataFrame
        identifier_type, identifier (tidied), customer_id (of the one customer): one row an
        identifier, sorted; for intake. Identifiers cut as hubs are left out.
    customers : polars.DataFrame
        customer_id, identifiers (how many), customer_ids (how many of them customer ids);
        sorted.
    conflicts : polars.DataFrame
        One row a customer and contradicted key: customer_id, key, values (sorted), found
        (how many values), customer_ids (joined in the component).
    large : polars.DataFrame
        Implausibly large components, largest first, at most 20: customer_id, customer_ids,
        identifiers, bridge_type, bridge (the identifier that holds it together),
        bridge_degree, pieces_without, largest_without (customer ids in the largest piece).
    cut : polars.DataFrame
        Hubs that were cut: identifier_type, identifier, degree.
    links : int
        Rows given.
    empty : int
        Cells of the identifier columns that said to be missing ("", "none", "n/a", …).
    customer_ids : int
        Distinct customer ids before linking.
    large_found : int
        Components above the size that counts as plausible.
    """

    mapping: pl.DataFrame
    customers: pl.DataFrame
    conflicts: pl.DataFrame
    large: pl.DataFrame
    cut: pl.DataFrame
    links: int
    empty: int
    customer_ids: int
    large_found: int

    def to_frame(self) -> pl.DataFrame:
        """Return the counts, one row each; no identifier is shown."""
        rows = {
            "links": self.links,
            "identifiers": self.mapping.height,
            "customer ids": self.customer_ids,
            "customers after linking": self.customers.height,
            "customers of several customer ids": int((self.customers["customer_ids"] > 1).sum()),
            "customers with a contradiction": self.conflicts["customer_id"].n_unique(),
            "implausibly large customers": self.large_found,
            "hubs cut": self.cut.height,
            "empty identifiers": self.empty,
        }
        return pl.DataFrame({"what": list(rows), "count": list(rows.values())})

    @property
    def text(self) -> str:
        """The finding in words, without any identifier."""
        parts = [
            (
                f"{number(self.links)} links join {number(self.customer_ids)} customer ids and "
                f"{number(self.mapping.height - self.customer_ids)} other identifiers into "
                f"{number(self.customers.height)} customers."
            )
        ]
        if self.cut.height:
            parts.append(f"{number(self.cut.height)} identifiers shared by too many were cut.")
        if self.conflicts.height:
            keys = ", ".join(sorted(set(self.conflicts["key"])))
            count = self.conflicts["customer_id"].n_unique()
            parts.append(f"{number(count)} customers contradict themselves ({keys}).")
        if self.large_found:
            row = self.large.row(0, named=True)
            parts.append(
                f"{number(self.large_found)} are implausibly large; the largest joins "
                f"{number(row['customer_ids'])} customer ids, and without one {row['bridge_type']} "
                f"it falls into {number(row['pieces_without'])}: set max_degree to cut such hubs."
            )
        parts.append("Whoever shares an identifier counts as one customer, families too.")
        return " ".join(parts)


def link(
    links: pl.DataFrame,
    *,
    identifiers: Sequence[str] | None = None,
    hard_keys: Sequence[str] | None = None,
    single: Sequence[str] = ("loyalty_id",),
    max_degree: int | None = None,
    plausible: int = 10,
) -> Identities:
    """Link identifiers that were seen together to one customer each.

    Each row says that its identifiers belong to one person; what hangs together, directly or
    through others, is one customer (connected components). The customer's id is the smallest
    of its customer ids as text, or a hash of its smallest identifier where it has none: the
    same whatever the order of the rows. Identifiers are trimmed, e-mails put in lower case,
    and "", "-", "nan", "none", "null", "na", "n/a" count as missing; placeholders such as
    ``none@shop.com`` are not guessed but show up as what bridges a large component.

    Parameters
    ----------
    links : polars.DataFrame
        One column an identifier type (customer_id, email, device_id, loyalty_id, or as named
        in ``identifiers``), nulls allowed; or pairs: identifier_type, identifier, other_type,
        other.
    identifiers : sequence of str, optional
        The identifier columns, by default those of the four that the frame has.
    hard_keys : sequence of str, optional
        Columns that one person has one value of; by default birth_date where the frame has it.
    single : sequence of str
        Identifier types that one person has one of.
    max_degree : int, optional
        An identifier, other than a customer id, seen with more customers than this (in rows
        without a customer id: with more of the row's first identifiers) is a hub and links
        nobody. By default none is cut.
    plausible : int
        Customer ids (identifiers, where there are none) above which a component is reported.

    Returns
    -------
    Identities

    Raises
    ------
    ColumnError
        If a column is missing.
    DataError
        If there is no row, or no identifier in any.
    ParameterError
        If a limit is below one, or fewer than two identifier columns are there.

    Examples
    --------
    >>> links = pl.DataFrame({"customer_id": ["7", "9", "4"],
    ...     "email": ["ann@x.org", " Ann@X.org", "bo@x.org"]})
    >>> link(links).mapping.filter(pl.col("identifier_type") == "customer_id").rows()
    [('customer_id', '4', '4'), ('customer_id', '7', '7'), ('customer_id', '9', '7')]
    """
    for name, value in (("max_degree", max_degree), ("plausible", plausible)):
        if value is not None and value < 1:
            raise ParameterError(f"{name} must be at least 1, got {value}")
    if links.is_empty():
        raise DataError("there are no links")
    columns = _columns(links, identifiers)
    tidied = [(kind, tidy(series, kind)) for kind, series in columns]
    whole = number_nodes(tidied, customer="customer_id")
    if not whole.nodes.height:
        raise DataError("no row holds an identifier")
    graph, cut = _cut(whole, max_degree)
    edges = graph.edges()
    labels = components(edges, whole.nodes.height)
    nodes = _name(whole, labels, np.isin(np.arange(whole.nodes.height), cut))
    keys = _hard_keys(links, hard_keys)
    large, found = _large(nodes, edges, labels, whole.is_customer, plausible)
    return Identities(
        mapping=nodes.filter(~pl.col("cut"))
        .select("identifier_type", "identifier", "customer_id")
        .sort("identifier_type", "identifier"),
        customers=_customers(nodes),
        conflicts=_conflicts(nodes, links.select(keys), graph, single),
        large=large,
        cut=_hubs(whole, cut),
        links=links.height,
        empty=sum(series.null_count() for _, series in tidied)
        - sum(series.null_count() for _, series in columns),
        customer_ids=int(whole.is_customer.sum()),
        large_found=found,
    )


def _columns(links: pl.DataFrame, identifiers: Sequence[str] | None) -> list[tuple[str, pl.Series]]:
    """Return the identifier columns with their types, the customer id first."""
    if identifiers is None and set(LONG) <= set(links.columns):
        return _from_pairs(links)
    names = [n for n in IDENTIFIERS if n in links.columns] if identifiers is None else identifiers
    require_columns(links.columns, names, "links")
    if len(set(names)) < 2:
        raise ParameterError(
            "expected at least two identifier columns, such as customer_id and email; got "
            f"{', '.join(names) or 'none'} among {', '.join(links.columns)}"
        )
    ordered = sorted(names, key=lambda name: name != "customer_id")
    return [(name, links[name]) for name in ordered]


def _from_pairs(links: pl.DataFrame) -> list[tuple[str, pl.Series]]:
    """Spread pairs into one column a type; a pair of one type takes a second such column."""
    kinds = sorted(
        set(links["identifier_type"].drop_nulls()) | set(links["other_type"].drop_nulls()),
        key=lambda kind: (kind != "customer_id", kind),
    )
    ends = [pl.col("identifier").cast(pl.String), pl.col("other").cast(pl.String)]
    columns = []
    for kind in kinds:
        first = pl.col("identifier_type") == kind
        second = pl.col("other_type") == kind
        one = pl.when(first).then(ends[0]).when(second).then(ends[1])
        columns.append((kind, links.select(one.alias(kind)).to_series()))
        if links.select((first & second).any()).item():
            two = pl.when(first & second).then(ends[1])
            columns.append((kind, links.select(two.alias(kind)).to_series()))
    return columns


def _cut(graph: Graph, max_degree: int | None) -> tuple[Graph, np.ndarray]:
    if max_degree is None:
        return graph, np.empty(0, dtype=np.int64)
    degree = degrees(graph.edges(), graph.nodes.height)
    hubs = np.flatnonzero((degree > max_degree) & ~graph.is_customer)
    return graph.without(hubs), hubs


def _name(graph: Graph, labels: np.ndarray, cut: np.ndarray) -> pl.DataFrame:
    """Give each node the stable id of its component."""
    nodes = graph.nodes.with_columns(
        label=pl.Series(labels), cut=pl.Series(cut), customer=pl.Series(graph.is_customer)
    )
    smallest = nodes.group_by("label").agg(
        customer_id=pl.col("identifier").filter(pl.col("customer")).min(),
        other=pl.concat_str("identifier_type", pl.lit(":"), "identifier")
        .filter(~pl.col("customer"))
        .min(),
    )
    nameless = smallest.filter(pl.col("customer_id").is_null())
    hashed = [
        "anon-" + hashlib.blake2b(text.encode(), digest_size=10).hexdigest()
        for text in nameless["other"]
    ]
    ids = pl.concat(
        [
            smallest.filter(pl.col("customer_id").is_not_null()).select("label", "customer_id"),
            nameless.select("label", customer_id=pl.Series(hashed, dtype=pl.String)),
        ]
    )
    return nodes.join(ids, on="label", how="left", maintain_order="left")


def _customers(nodes: pl.DataFrame) -> pl.DataFrame:
    return (
        nodes.filter(~pl.col("cut"))
        .group_by("customer_id")
        .agg(
            identifiers=pl.len().cast(pl.Int64),
            customer_ids=pl.col("customer").sum().cast(pl.Int64),
        )
        .sort("customer_id")
    )


def _hard_keys(links: pl.DataFrame, hard_keys: Sequence[str] | None) -> list[str]:
    if hard_keys is None:
        return [name for name in ("birth_date",) if name in links.columns]
    require_columns(links.columns, hard_keys, "links")
    return list(hard_keys)


def _conflicts(
    nodes: pl.DataFrame, keys: pl.DataFrame, graph: Graph, single: Sequence[str]
) -> pl.DataFrame:
    """List the customers with several values of what one person has once."""
    claims = [
        nodes.lazy()
        .filter(pl.col("identifier_type").is_in(list(single)) & ~pl.col("cut"))
        .select("customer_id", key="identifier_type", value="identifier")
    ]
    anchors = graph.anchors()
    if keys.width:
        owner = nodes["customer_id"].gather(np.where(anchors < 0, 0, anchors))
        owners = owner.set(pl.Series(anchors < 0), None).alias("customer_id")
        claims += [
            keys.lazy()
            .select(pl.lit(owners), pl.lit(name).alias("key"), value=pl.col(name).cast(pl.String))
            .drop_nulls()
            for name in keys.columns
        ]
    sizes = nodes.group_by("customer_id").agg(customer_ids=pl.col("customer").sum().cast(pl.Int64))
    found: pl.DataFrame = (
        pl.concat(claims)
        .group_by("customer_id", "key")
        .agg(values=pl.col("value").unique().sort())
        .with_columns(found=pl.col("values").list.len().cast(pl.Int64))
        .filter(pl.col("found") > 1)
        .collect()
    )
    return found.join(sizes, on="customer_id").sort("customer_id", "key")


def _hubs(graph: Graph, cut: np.ndarray) -> pl.DataFrame:
    degree = degrees(graph.edges(), graph.nodes.height) if len(cut) else np.empty(0, np.int64)
    found = graph.nodes[cut.tolist()].with_columns(degree=pl.Series(degree[cut], dtype=pl.Int64))
    return found.sort("degree", "identifier_type", "identifier", descending=[True, False, False])


def _large(
    nodes: pl.DataFrame,
    edges: np.ndarray,
    labels: np.ndarray,
    is_customer: np.ndarray,
    plausible: int,
) -> tuple[pl.DataFrame, int]:
    """Describe the largest components and what holds them together."""
    counted = is_customer if is_customer.any() else np.ones(len(labels), dtype=bool)
    sizes = np.bincount(labels[counted])
    suspects = np.flatnonzero(sizes > plausible)
    _, firsts = np.unique(labels, return_index=True)
    names = nodes["customer_id"].gather(firsts[suspects]).to_list()
    smallest = dict(zip(suspects.tolist(), names, strict=True))
    order = sorted(suspects.tolist(), key=lambda s: (-sizes[s], smallest[s]))[:MAX_LARGE]
    rows: list[tuple[Any, ...]] = []
    for label in order:
        members = np.flatnonzero(labels == label)
        # Sorted by their text, so that a tie between two bridges falls the same way.
        members = members[nodes["identifier"].gather(members).arg_sort().to_numpy()]
        inside = edges[labels[edges[:, 0]] == label]
        bridge = find_bridge(inside, members, counted[members])
        name = nodes.row(bridge.node, named=True) if bridge.node >= 0 else {}
        rows.append(
            (
                smallest[label],
                int(sizes[label]),
                len(members),
                name.get("identifier_type"),
                name.get("identifier"),
                bridge.degree,
                bridge.pieces,
                bridge.largest,
            )
        )
    schema: dict[str, type[pl.DataType]] = {
        "customer_id": pl.String,
        "customer_ids": pl.Int64,
        "identifiers": pl.Int64,
        "bridge_type": pl.String,
        "bridge": pl.String,
        "bridge_degree": pl.Int64,
        "pieces_without": pl.Int64,
        "largest_without": pl.Int64,
    }
    return pl.DataFrame(rows, schema=schema, orient="row"), len(suspects)
