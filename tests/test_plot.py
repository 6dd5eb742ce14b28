"""Pictures: same bytes, the frame's own data, alt texts with its numbers, legible and unclipped."""

import re
from datetime import date, timedelta
from functools import cache, partial
from itertools import pairwise
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from segkit import plot
from segkit.display import percent
from segkit.errors import ColumnError, DataError
from segkit.intake.privacy import mask_html
from segkit.plot.figure import draw_narrow, styles
from segkit.plot.heatmaps import offer_map
from segkit.plot.stability import segment_stability
from segkit.plot.vector import _rgb, add_theme, luminance, to_element

LONG = "Budget shoppers who come only for promotions and leave again"
NAMES = [LONG, "Loyalists", "Browsers"]
BARS = pl.DataFrame(
    {
        "segment": NAMES,
        "spend": [120.5, 890.25, -33.0],
        "low": [110.0, 850.0, -40.0],
        "high": [130.0, 940.0, -20.0],
    }
)
GROUPED = pl.DataFrame(
    [
        {"segment": name, "channel": f"channel {j:02d}", "order_share": (i + j) / 14}
        for i, name in enumerate(NAMES)
        for j in range(12)
    ]
)
MONTHS = pl.DataFrame(
    [
        {"month": date(2024, 1, 1) + timedelta(31 * m), "segment": name, "revenue": 50.0 * i + m}
        for i, name in enumerate(NAMES)
        for m in range(12)
    ]
)
CLOUD = pl.DataFrame(
    {
        "visits": np.random.default_rng(0).lognormal(2, 1, 300),
        "monetary": np.random.default_rng(1).lognormal(5, 1, 300) - 20,
        "segment": [NAMES[i % 3] for i in range(300)],
    }
)
MARKED = pl.DataFrame(
    {
        "segment_name": [name for name in NAMES for _ in range(2)],
        "variable": ["open_rate", "frequency"] * 3,
        "difference": [0.1, -0.9, 0.2, 1.5, -0.3, 0.0],
        "marker": [False, True, False, True, False, False],
    }
)
CENTRES = pl.DataFrame(
    {
        "segment_name": NAMES,
        "first": [0.0, 2.0, -1.0],
        "second": [1.0, 0.0, 0.5],
        "first_variance": [1.0, 0.5, 0.7],
        "second_variance": [0.4, 0.6, 0.2],
        "covariance": [0.1, -0.2, 0.0],
    }
)
SPOTS = pl.DataFrame({"first": [0.1, 2.0, -1.0], "second": [1.0, 0.0, 0.3], "segment_name": NAMES})

DRAW = {
    "bars": lambda: plot.bars(BARS, "segment", "spend", interval=("low", "high"), reference=200),
    "bars upright": lambda: plot.bars(BARS, "segment", "spend", horizontal=False),
    "bars grouped": lambda: plot.bars(GROUPED, "segment", "order_share", group="channel"),
    "lines": lambda: plot.lines(MONTHS, "month", "revenue", group="segment", title="Rising"),
    "points": lambda: plot.points(CLOUD, "visits", "monetary", group="segment", log_x=True),
    "heatmap": lambda: plot.heatmap(GROUPED, "channel", "segment", "order_share"),
    "intervals": lambda: plot.intervals(BARS, "segment", "spend", interval=("low", "high")),
    "stacked": lambda: plot.stacked(GROUPED, "segment", "channel", "order_share"),
    "waterfall": lambda: plot.waterfall(BARS, "segment", "spend"),
    "histograms": lambda: plot.histograms(CLOUD, ["visits", "monetary"], log=["visits"]),
    "panel bars": lambda: plot.panel_bars(
        MARKED, "segment_name", "variable", "difference", highlight="marker"
    ),
    "clouds": lambda: plot.clouds(SPOTS, CENTRES, "first", "second", "segment_name"),
}
EVERY = pytest.mark.parametrize("name", list(DRAW))


@cache
def drawn(name):
    """Return a picture that tests look at, and leave as it is."""
    return CROWDED[name]()


def texts(figure):
    from matplotlib.text import Text

    found = figure.figure.findobj(Text)
    return [t for t in found if t.get_visible() and t.get_text().strip()]


@EVERY
def test_same_figure_same_bytes(name):
    one, two = drawn(name), DRAW[name]()
    first = one.png(dpi=65)
    assert first == two.png(dpi=65) == one.png(dpi=65)
    assert first.startswith(b"\x89PNG")


@EVERY
def test_alt_text_has_numbers_and_no_leftovers(name):
    alt = drawn(name).alt
    assert any(character.isdigit() for character in alt)
    assert alt.endswith(".")
    assert "  " not in alt
    assert "None" not in alt


SMALL = re.compile(r"fontsize\"?(?:=|: )(\d+(?:\.\d+)?)")


def test_no_picture_writes_smaller_than_nine_points():
    sources = (Path(plot.__file__).parent).glob("*.py")
    sizes = [float(size) for path in sources for size in SMALL.findall(path.read_text("utf-8"))]
    assert len(sizes) > 5
    assert min(sizes) >= 9


@EVERY
def test_long_names_are_whole(name):
    """Wrapped, never cut: every word of the long name is drawn, where the name is."""
    words = " ".join(t.get_text().replace("\n", " ") for t in texts(drawn(name)))
    if name != "histograms":
        assert LONG in words


@EVERY
def test_pyplot_is_left_alone(name):
    import matplotlib.pyplot as plt

    drawn(name)
    assert plt.get_fignums() == []


def test_data_are_the_drawn_rows():
    with_null = pl.concat([BARS, pl.DataFrame([{"segment": "Lapsing"}])], how="diagonal")
    figure = plot.bars(with_null, "segment", "spend")
    assert figure.data.equals(BARS.select("segment", "spend"))
    assert figure.alt.endswith("1 row without a value is not drawn.")
    widths = [bar.get_width() for bar in figure.figure.axes[0].patches]
    assert widths == BARS["spend"].to_list()


def test_bars_of_groups_with_a_missing_pair_stand_at_their_category():
    frame = GROUPED.filter(pl.col("channel").is_in(["channel 00", "channel 01"])).filter(
        ~((pl.col("segment") == "Loyalists") & (pl.col("channel") == "channel 00"))
    )
    axes = plot.bars(frame, "segment", "order_share", group="channel").figure.axes[0]
    heights = sorted(round(bar.get_y() + bar.get_height() / 2, 6) for bar in axes.patches)
    assert heights == [-0.2, 0.2, 1.2, 1.8, 2.2]


def test_titles_and_numbers_reach_the_alt_text():
    figure = plot.bars(BARS, "segment", "spend", title="Loyalists spend most", y_label="GBP")
    assert figure.alt.startswith("Loyalists spend most. Bar chart of GBP by segment: Budget")
    assert "Loyalists 890" in figure.alt
    assert plot.bars(BARS, "segment", "spend", alt="my own").alt == "my own"
    many = plot.heatmap(GROUPED, "channel", "segment", "order_share").alt
    assert "36 values" in many
    assert "highest Browsers, channel 11 92.9%" in many


def test_shares_are_written_in_percent_unless_told_otherwise():
    assert "%" in plot.bars(GROUPED.head(3), "channel", "order_share").alt
    assert "%" not in plot.bars(GROUPED.head(3), "channel", "order_share", percent=False).alt


def test_a_line_and_its_name_have_one_colour_whatever_the_order_of_the_rows():
    frame = pl.DataFrame({"x": [2, 3, 1, 3], "y": [1.0, 2.0, 5.0, 6.0], "g": [*"aabb"]})
    axes = plot.lines(frame, "x", "y", group="g").figure.axes[0]
    inks = {style.colour: style.ink for style in styles(2)}
    shown = [line for line in axes.lines if line.get_label()]
    drawn = {line.get_label(): inks[line.get_color()] for line in shown}
    named = {text.get_text(): text.get_color() for text in axes.texts}
    assert named == drawn


def test_a_null_breaks_a_line():
    frame = pl.DataFrame({"k": [1, 2, 3, 4], "index": [1.0, None, 2.0, 3.0]})
    figure = plot.lines(frame, "k", "index")
    assert np.isnan(figure.figure.axes[0].lines[0].get_ydata()[1])
    assert figure.data.height == 3
    assert "lowest 1, highest 3" in figure.alt


def test_text_on_the_ordered_axis_keeps_the_order_of_rows():
    frame = pl.DataFrame({"band": ["low", "middle", "high"], "share": [0.1, 0.2, 0.3]})
    axes = plot.lines(frame, "band", "share").figure.axes[0]
    assert [t.get_text() for t in axes.get_xticklabels()] == ["low", "middle", "high"]


def test_a_group_has_one_colour_in_every_picture_whatever_its_first_row():
    order = pl.Enum(["Loyal", "Browsing", "Away"])
    frame = pl.DataFrame({"x": [1, 2, 3], "y": [3, 1, 2], "group": ["Away", "Loyal", "Browsing"]})
    frame = frame.with_columns(pl.col("group").cast(order))
    cloud = plot.points(frame, "x", "y", group="group").figure
    named = {text.get_text(): handle.get_markerfacecolor() for text, handle in zip(
        cloud.axes[0].get_legend().get_texts(), cloud.axes[0].get_legend().legend_handles,
        strict=True)}  # fmt: skip
    several = pl.concat([frame, frame.with_columns(x=pl.col("x") + 5)])
    lines = plot.lines(several, "x", "y", group="group").figure.axes[0].lines
    drawn = {line.get_label(): line.get_color() for line in lines}
    assert list(named) == order.categories.to_list()
    assert all(drawn[name] == colour for name, colour in named.items())
    assert list(named.values()) == list(plot.figure.OKABE_ITO[:3])


def test_points_are_sampled_by_seed_and_say_so():
    one = plot.points(CLOUD, "visits", "monetary", sample=50, seed=1)
    assert one.data.equals(plot.points(CLOUD, "visits", "monetary", sample=50, seed=1).data)
    assert not one.data.equals(plot.points(CLOUD, "visits", "monetary", sample=50, seed=2).data)
    assert "50 points, a sample of 300" in one.alt
    logged = plot.points(CLOUD, "visits", "monetary", log_y=True)
    left_out = int((CLOUD["monetary"] <= 0).sum())
    assert left_out > 0
    assert f"{left_out} rows without a value are" in logged.alt


def test_heatmap_leaves_missing_cells_blank_and_centres_zero():
    frame = pl.DataFrame({"a": ["p", "q"], "b": ["r", "s"], "z": [1.0, -4.0]})
    mesh = plot.heatmap(frame, "a", "b", "z", diverging=True).figure.axes[0].collections[0]
    assert np.isnan(np.ma.filled(mesh.get_array(), np.nan)).sum() == 2
    assert mesh.get_clim() == (-4.0, 4.0)


def test_cells_have_as_many_decimals_and_the_bar_their_colours_on_a_dark_page():
    frame = pl.DataFrame({"a": range(1, 13), "b": ["r"] * 12, "z": [0.511 + k for k in range(12)]})
    picture = plot.heatmap(frame, "a", "b", "z")
    axes, bar = picture.figure.axes
    assert {len(text.get_text().partition(".")[2]) for text in axes.texts} == {2}
    assert all(tick.get_rotation() == 0 for tick in axes.get_xticklabels())  # numbers lie
    assert not any(solid.get_rasterized() for solid in bar.collections)
    assert "<image" not in picture.svg()


@pytest.mark.parametrize(("longest", "lines"), [(2.34, 2), (-1234567.5, 4)])
def test_the_limits_of_a_cell_stand_in_one_line_where_it_has_room(longest, lines):
    frame = pl.DataFrame({"o": [*"abcde"], "s": "r", "m": 1.11, "low": -0.12, "high": longest})
    axes = offer_map(frame, "o", "s", "m", interval=("low", "high")).figure.axes[0]
    assert {text.get_text().count("\n") + 1 for text in axes.texts} == {lines}


@pytest.mark.parametrize("draw", [plot.bars, partial(plot.intervals, interval=("spend", "spend"))])
def test_names_of_several_lines_do_not_touch(draw):
    names = [f"{k} days since the last purchase of jewellery and accessories" for k in range(25)]
    frame = pl.DataFrame({"name": names, "spend": range(25)})
    figure = draw(frame, "name", "spend").figure
    figure.draw_without_rendering()
    labels = [one.get_window_extent() for one in figure.axes[0].get_yticklabels()]
    assert all(above.y0 >= below.y1 for above, below in pairwise(labels))


def test_a_share_along_the_axis_is_in_per_cent():
    curve = pl.DataFrame({"customer_share": [0.0, 0.5, 1.0], "revenue_share": [0.0, 0.2, 1.0]})
    axes = plot.lines(curve, "customer_share", "revenue_share").figure.axes[0]
    assert axes.xaxis.get_major_formatter()(0.5) == "50%"


def test_histograms_count_every_value_once():
    figure = plot.histograms(CLOUD, ["visits", "monetary"], log=["monetary"])
    counts = figure.data.group_by("column", maintain_order=True).agg(pl.col("rows").sum())
    assert dict(counts.iter_rows()) == {
        "visits": 300,
        "monetary": int((CLOUD["monetary"] > 0).sum()),
    }
    label = figure.figure.axes[1].get_xlabel()
    assert f"{int((CLOUD['monetary'] <= 0).sum())} not above 0" in label
    empty = CLOUD.with_columns(nothing=pl.lit(None, dtype=pl.Float64), one=1.0)
    assert plot.histograms(empty, ["nothing", "one"]).data["rows"].sum() == 300


def test_a_long_legend_leaves_two_stacked_bars_their_room():
    """Twelve categories with long names: the axes would have collapsed, with a warning."""
    levels = [f"VEGETABLES AND SIDES FOR {k} PERSONS" for k in range(12)]
    rows = [(segment, level, 1.0 + k) for segment in "AB" for k, level in enumerate(levels)]
    frame = pl.DataFrame(rows, schema=["segment", "category", "customers"], orient="row")
    figure = plot.stacked(frame, "segment", "category", "customers", title="Segments")
    assert figure.png()
    assert figure.figure.axes[0].get_position().height > 0.5


def test_stacked_shares_sum_to_one_and_refuse_negatives():
    figure = plot.stacked(GROUPED, "segment", "channel", "order_share")
    sums = figure.data.group_by("segment").agg(pl.col("share").sum())["share"]
    assert sums.to_list() == pytest.approx([1.0] * 3)
    with pytest.raises(DataError, match=r"spend >= 0"):
        plot.stacked(BARS.with_columns(part=pl.lit("a")), "segment", "part", "spend")


def test_waterfall_ends_at_the_sum():
    figure = plot.waterfall(BARS, "segment", "spend", total="in all")
    assert figure.data["spend"][-1] == pytest.approx(BARS["spend"].sum())
    bars = figure.figure.axes[0].patches
    shares = BARS.with_columns(lift_rate=pl.lit(0.1))
    texts = plot.waterfall(shares, "segment", "lift_rate", total="in all").figure.axes[0].texts
    assert [text.get_text() for text in texts][:2] == ["10.0%", "+10.0 points"]
    assert bars[1].get_x() == pytest.approx(120.5)
    assert bars[2].get_x() + bars[2].get_width() == pytest.approx(BARS["spend"].sum())


def test_ellipse_holds_half_of_a_normal_cloud():
    rng = np.random.default_rng(2)
    cloud = rng.multivariate_normal([1.0, 2.0], [[2.0, 0.8], [0.8, 1.0]], 20_000)
    points = pl.DataFrame({"x": cloud[:, 0], "y": cloud[:, 1]}).with_columns(g=pl.lit("a"))
    middle = pl.DataFrame(
        {"g": ["a"], "x": [1.0], "y": [2.0], "x_variance": [2.0], "y_variance": [1.0]}
    ).with_columns(covariance=0.8)
    path = plot.clouds(points, middle, "x", "y", "g").figure.axes[0].lines[0].get_path()
    assert path.contains_points(cloud).mean() == pytest.approx(0.5, abs=0.015)


@pytest.mark.parametrize(
    "draw",
    [
        lambda f: plot.bars(f, "segment", "spend"),
        lambda f: plot.lines(f, "segment", "spend"),
        lambda f: plot.points(f, "low", "spend"),
        lambda f: plot.heatmap(f, "segment", "low", "spend"),
        lambda f: plot.intervals(f, "segment", "spend", interval=("low", "high")),
        lambda f: plot.waterfall(f, "segment", "spend"),
        lambda f: plot.histograms(f, ["spend"]),
        lambda f: plot.panel_bars(f, "segment", "low", "spend"),
    ],
)
def test_no_rows_or_only_nulls_are_refused_and_one_row_is_drawn(draw):
    with pytest.raises(DataError, match="nothing to draw"):
        draw(BARS.clear())
    with pytest.raises(DataError, match="nothing to draw"):
        draw(BARS.with_columns(spend=pl.lit(None, dtype=pl.Float64)))
    assert draw(BARS.head(1)).png()
    with pytest.raises(ColumnError, match="lacks spend"):
        draw(BARS.drop("spend"))


def test_two_rows_on_one_spot_are_refused():
    with pytest.raises(DataError, match="one row for each segment, got 3 more"):
        plot.bars(pl.concat([BARS, BARS]), "segment", "spend")


def test_more_groups_than_can_be_told_apart_are_refused():
    looks = {(s.colour, str(s.dash), s.marker) for s in styles(12)}
    assert len(looks) == 12
    frame = pl.DataFrame({"x": [1] * 13, "y": range(13), "g": [str(i) for i in range(13)]})
    with pytest.raises(DataError, match="at most 12 groups apart, got 13"):
        plot.lines(frame, "x", "y", group="g")


def clashes(figure):
    """Return the pairs of texts that a figure draws over one another."""
    figure.svg()
    figure.figure.canvas.draw()
    renderer = figure.figure.canvas.get_renderer()
    hidden = set()
    for axes in figure.figure.axes:
        for axis in (axes.xaxis, axes.yaxis):
            low, high = sorted(axis.get_view_interval())
            for tick in (*axis.get_major_ticks(), *axis.get_minor_ticks()):
                if not low <= tick.get_loc() <= high or not axes.get_visible():
                    hidden |= {tick.label1, tick.label2}
    drawn = [
        (t.get_text(), t.get_window_extent(renderer)) for t in texts(figure) if t not in hidden
    ]
    found = []
    for place, (text, box) in enumerate(drawn):
        for other, beside in drawn[:place]:
            wide = min(box.x1, beside.x1) - max(box.x0, beside.x0)
            high = min(box.y1, beside.y1) - max(box.y0, beside.y0)
            if wide > 1.5 and high > 1.5:
                found.append((other, text))
    return found


STABLE = pl.DataFrame(
    {
        "segment": range(1, 7),
        "jaccard": [0.9, 0.8, 0.7, 0.6, 0.55, None],
        "jaccard_low": [0.8, 0.7, 0.6, 0.5, 0.5, None],
        "jaccard_high": [1.0, 0.9, 0.8, 0.7, 0.6, None],
        "share": [0.4, 0.2, 0.1, 0.1, 0.1, 0.1],
        "band": ["highly stable", "stable", "pattern", "pattern", "doubtful", "too small"],
    }
)
ARMS = [(f"Covariate {i}", arm, 0.01 * i, 0.0, 0.02 * i) for i in range(12) for arm in "ab"]
CROWDED = {
    **DRAW,
    "stability": lambda: segment_stability(STABLE),
    "heatmap of long names": lambda: plot.heatmap(
        pl.DataFrame(
            [(LONG, f"{LONG} {i}", i / 7) for i in range(7)],
            schema=["a", "b", "share"],
            orient="row",
        ),
        "b",
        "a",
        "share",
    ),
    "points with labels": lambda: plot.points(
        pl.DataFrame({"x": [0.1, 0.11, 0.5], "y": [1.0, 1.01, 1.02], "name": [LONG, "B", "C"]}),
        "x",
        "y",
        label="name",
    ),
    "lines that end together": lambda: plot.lines(
        pl.DataFrame([(x, g, 1 + 0.001 * i) for x in (1, 2) for i, g in enumerate(NAMES)],
                     schema=["k", "segment", "index"], orient="row"),
        "k", "index", group="segment",
    ),
    "intervals of arms": lambda: plot.intervals(
        pl.DataFrame(ARMS, schema=["x", "arm", "y", "low", "high"], orient="row"),
        "x", "y", interval=("low", "high"), group="arm",
    ),
    "centres on one spot": lambda: plot.clouds(
        SPOTS, CENTRES.with_columns(first=pl.lit(0.5), second=pl.lit(0.5)),
        "first", "second", "segment_name",
    ),
}  # fmt: skip


def test_names_that_stand_upright_on_a_phone_do_not_meet():
    rows = [(f"{LONG[:28]} {i}", f"RFM {j}", i + j / 20) for i in range(6) for j in range(11)]
    with draw_narrow():
        figure = plot.heatmap(pl.DataFrame(rows, ["a", "b", "z"], orient="row"), "b", "a", "z")
    assert clashes(figure) == []


@pytest.mark.parametrize("name", list(CROWDED))
def test_no_two_texts_meet_and_every_one_is_legible(name):
    figure = drawn(name)
    assert clashes(figure) == []
    assert [t.get_text() for t in texts(figure) if t.get_fontsize() < 9] == []


def test_a_value_stands_beside_its_bar_where_every_category_has_one_of_another_group():
    frame = pl.DataFrame({"x": ["A", "B", "C"], "kind": ["m", "n", "m"], "y": [3.0, 5.0, -2.0]})
    (axes,) = plot.bars(frame, "x", "y", group="kind").figure.axes
    middles = [bar.get_y() + bar.get_height() / 2 for bars in axes.containers for bar in bars]
    assert sorted(middles) == pytest.approx(sorted(note.xy[1] for note in axes.texts))


def test_a_mark_carries_its_names_and_its_value():
    """One mark per row, with the row's own value; the same figure gives the same text."""
    one, two = (DRAW["intervals"]() for _ in range(2))
    svg = one.svg()
    assert svg == two.svg() == one.svg()
    assert re.findall(r"<title>(.*?)</title>", svg) == [
        f"{LONG}: 120 (110 to 130)",
        "Loyalists: 890 (850 to 940)",
        "Browsers: -33 (-40 to -20)",
    ]
    assert svg.count('data-names="Loyalists"') == 1
    for name in ("bars grouped", "heatmap", "stacked"):
        marks = re.findall(r'data-names="([^"]*)"><title>(.*?)</title>', DRAW[name]().svg())
        told = {tuple(names.split("|")): text.rpartition(": ")[2] for names, text in marks}
        assert len(told) == GROUPED.height
        share = 17 / 14 if name != "stacked" else (2 + 11) / sum(2 + j for j in range(12))
        assert told[("Browsers", "channel 11")] == (
            "92.9%" if name != "stacked" else percent(share)
        )


def test_an_image_within_a_figure_is_not_read_as_text():
    svg = plot.points(pl.concat([CLOUD] * 2), "visits", "monetary").svg()
    assert "base64,iVBOR" in svg
    assert mask_html(svg) == svg


def test_colours_have_a_counterpart_on_a_dark_page_that_can_be_read():
    """Every colour of a text stands out from the dark page; cells turn with their texts."""
    for name in ("lines", "clouds", "heatmap"):
        svg = add_theme(DRAW[name]().svg())
        for text in re.findall(r"<text[^>]*>", re.sub(r'<g class="cell">.*?</g>', "", svg)):
            dark = re.search(r"fill: light-dark\(#\w+, (#\w+)\)", text)
            assert dark, text
            assert (luminance(*_rgb(dark[1])) + 0.05) / (luminance(*_rgb("#15191d")) + 0.05) >= 4.5
    cells = re.findall(r'<g class="cell">(.*?)</g>', svg)
    inks = [c for c in cells if "<text" in c]
    assert len(inks) == GROUPED.height
    assert all(
        "light-dark(#000000, #f4f6f8)" in c or "light-dark(#ffffff, #0b0e10)" in c for c in inks
    )


@EVERY
def test_every_picture_has_a_form_that_fits_a_phone(name):
    """A phone shows 268 points without scaling, so that a text of 9 points has 12 pixels there."""
    figure = DRAW[name]()
    wide, narrow = figure.svg(), figure.narrow_svg()
    sizes = [float(re.search(r'width="([\d.]+)pt"', one)[1]) for one in (wide, narrow)]
    assert sizes[0] > sizes[1]
    assert 150 < sizes[1] <= 268
    assert narrow.count("data-names") == wide.count("data-names")
    page = to_element(wide, narrow)
    assert page.count('class="on-wide"') == page.count('class="on-narrow"') == 1
    assert figure.svg() == wide


def test_a_picture_wider_than_a_sheet_is_printed_broad():
    assert 'class="segkit-figure broad"' in to_element('<svg width="600.0pt">')
    assert 'class="segkit-figure"' in to_element('<svg width="500.0pt">')


def test_long_numbers_of_an_axis_stand_apart():
    names = ["Loyalists: roll out, early access", "Gift buyers: keep testing, flash sale"]
    frame = pl.DataFrame({"step": names, "profit": [18_456.0, 4_114.0],
                          "low": [5_392.0, -3_471.0], "high": [31_062.0, 12_430.0]})  # fmt: skip
    figure = plot.intervals(frame, "step", "profit")
    figure.svg()
    labels = figure.figure.axes[0].get_xticklabels()
    boxes = [label.get_window_extent() for label in labels]
    assert min(b.x0 - a.x1 for a, b in pairwise(boxes)) > boxes[0].height / 2


def test_a_very_long_interval_leaves_the_bars_of_all_panels_room():
    frame = pl.DataFrame({"segment": ["A", "A", "B"], "of": ["x", "y", "x"], "z": [1.0, -0.5, 0.2],
                          "low": [0.8, -0.6, -12.0], "high": [1.2, -0.4, 12.4]})  # fmt: skip
    figure = plot.panel_bars(frame, "segment", "of", "z", interval=("low", "high"))
    assert figure.figure.axes[1].get_xlim() == (-1.5, 1.5)
    assert "run to the edge" in figure.figure.get_supxlabel()
    short = plot.panel_bars(frame.head(2), "segment", "of", "z", interval=("low", "high"))
    assert "edge" not in short.figure.get_supxlabel()


def test_numbers_of_an_axis_are_short():
    frame = pl.DataFrame({"segment": ["A", "B"], "value": [400_000.0, 1_600_000.0]})
    for figure, written in ((plot.bars(frame, "segment", "value"), "0.5m"),
                            (plot.bars(frame.head(1), "segment", "value"), "400,000")):  # fmt: skip
        figure.svg()
        ticks = [text.get_text() for text in figure.figure.axes[0].get_xticklabels()]
        assert written in ticks
        assert ticks[0] == "0"
