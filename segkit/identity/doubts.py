"""Where is a linked customer doubtful: contradictions, hubs, implausibly large components?"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import polars as pl

from segkit.identity.graph import (
    Graph,
    degrees,
    find_bridge,
)

MAX_LARGE = 20


def claims(
    keys: pl.DataFrame, graph: Graph, labels: np.ndarray, single: Sequence[str]
) -> pl.LazyFrame:
    """Gather what each component claims of keys that one person has one value of."""
    nodes = graph.nodes.lazy().with_columns(label=pl.Series(labels))
    claims = [
        nodes.filter(pl.col("identifier_type").is_in(list(single))).select(
            "label", key="identifier_type", value="identifier"
        )
    ]
    anchors = graph.anchors()
    named = anchors >= 0
    owners = pl.Series("label", labels[anchors[named]])
    for name in keys.columns:
        values = keys[name].filter(pl.Series(named)).cast(pl.String).alias("value")
        frame = pl.DataFrame([owners, values]).lazy().drop_nulls()
        claims.append(frame.select("label", pl.lit(name).alias("key"), "value"))
    return pl.concat(claims).unique()


def conflicts(
    claims: pl.LazyFrame, graph: Graph, names: pl.Series, labels: np.ndarray
) -> pl.DataFrame:
    """List the customers with several values of what one person has once."""
    found = (
        claims.filter(pl.len().over("label", "key") > 1)
        .group_by("label", "key")
        .agg(values=pl.col("value").sort())
        .collect()
    )
    sizes = np.bincount(labels[graph.is_customer], minlength=len(names))
    places = found["label"].to_numpy()
    return found.select(
        names.gather(places),
        "key",
        "values",
        found=pl.col("values").list.len().cast(pl.Int64),
        customer_ids=pl.Series(sizes[places], dtype=pl.Int64),
    ).sort("customer_id", "key")


def hubs(graph: Graph, cut: np.ndarray) -> pl.DataFrame:
    """List the identifiers that were cut, with how many they were seen with."""
    degree = degrees(graph.edges(), graph.nodes.height) if len(cut) else np.empty(0, np.int64)
    nodes: pl.DataFrame = graph.nodes[cut.tolist()]
    found = nodes.with_columns(degree=pl.Series(degree[cut], dtype=pl.Int64))
    return found.sort("degree", "identifier_type", "identifier", descending=[True, False, False])


def large(
    graph: Graph, names: pl.Series, edges: np.ndarray, labels: np.ndarray, plausible: int
) -> tuple[pl.DataFrame, int]:
    """Describe the largest components and what holds them together."""
    nodes, is_customer = graph.nodes, graph.is_customer
    counted = is_customer if is_customer.any() else np.ones(len(labels), dtype=bool)
    sizes = np.bincount(labels[counted], minlength=len(names))
    suspects = np.flatnonzero(sizes > plausible).tolist()
    order = sorted(suspects, key=lambda label: (-sizes[label], names[label]))[:MAX_LARGE]
    rows: list[tuple[Any, ...]] = []
    for label in order:
        members = np.flatnonzero(labels == label)
        inside = edges[labels[edges[:, 0]] == label]
        bridge = find_bridge(inside, members, counted[members])
        name = nodes.row(bridge.node, named=True) if bridge.node >= 0 else {}
        rows.append(
            (
                names[label],
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
