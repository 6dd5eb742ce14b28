"""Controls of the explorer and the results beside them, as Jupyter widgets."""

from __future__ import annotations

import html
from collections.abc import Mapping
from typing import Any

import ipywidgets as widgets

from segkit.display import label, number
from segkit.errors import SegkitError
from segkit.explorer.findings import FILES, LEAST, METHODS, MOST, OTHER, TOPICS, topic_of

VIEW = "application/vnd.jupyter.widget-view+json"
REFITS = 30
WIDE = {"description_width": "initial"}
PARTS = {
    "segments": "Segments",
    "map": "Map",
    "profile": "Profile",
    "number": "How many?",
    "stability": "Stability",
    "export": "Export",
}
ASK_NUMBER = "<p>Which number of segments do the criteria speak for?</p>"
ASK_STABILITY = "<p>Do the segments come out again on other customers like these?</p>"
# The picture for pages without a kernel is in the previous output; this style hides it.
STYLE = """<style>
.jp-OutputArea:has(.segkit-explorer) .segkit-static { display: none }
.segkit-explorer { color: var(--jp-content-font-color1, inherit) }
.segkit-explorer .widget-html-content { line-height: 1.5; font-size: 13px }
.segkit-explorer .widget-html-content p { margin: 0 0 .6em; max-width: 80em }
.segkit-explorer .segkit-scroll { overflow-x: auto }
.segkit-explorer table { border-collapse: collapse; margin: .4em 0 }
.segkit-explorer caption { text-align: left; font-weight: 600; padding: .2em 0 }
.segkit-explorer th, .segkit-explorer td { padding: .3em .7em; text-align: left;
  vertical-align: top; border-bottom: 1px solid var(--jp-border-color2, #ccc) }
.segkit-explorer .segkit-figure > svg { max-width: min(100%, 900px); height: auto }
.segkit-explorer .segkit-failed { border-left: 4px solid var(--jp-error-color1, #b00020);
  padding-left: .6em }
.segkit-explorer .segkit-recommended label::after { content: " ★" / "" }
.segkit-explorer .segkit-of { opacity: .8 }
.segkit-explorer :focus-visible { outline: 2px solid var(--jp-brand-color1, #0072b2) }
</style>"""


class Panel:
    """Controls and results of an explorer, as widgets.

    Parameters
    ----------
    explorer : Explorer
    """

    def __init__(self, explorer: Any) -> None:  # an Explorer, which imports this module
        self._explorer = explorer
        self._heard = True
        self.status = widgets.HTML()
        self.parts = {name: widgets.HTML() for name in PARTS}
        self.values = widgets.HTML()
        self._values: dict[str, str] = {}
        chosen, top = self._controls(), self._buttons()
        shown = [widgets.HTML(STYLE), top, chosen, self.status, self._results()]
        self.box = widgets.VBox(shown)
        self.box.add_class("segkit-explorer")
        self.clear()

    def bundle(self) -> dict[str, Any]:
        """Return the widgets for display, without a fallback that a page could store."""
        return {"text/plain": "", "text/html": "", VIEW: self.box._repr_mimebundle_()[VIEW]}

    # Layout --------------------------------------------------------------------------------

    def _controls(self) -> Any:
        settings = self._explorer.settings
        methods = [(each.words, name) for name, each in METHODS.items()]
        self.method = _field("Dropdown", "Method", options=methods, value=settings.method)
        self.k = _number("Number of segments", "17em", settings.k, LEAST, MOST)
        self.features = {
            name: widgets.Checkbox(
                value=name in settings.features,
                description=label(name),
                indent=False,
                layout=widgets.Layout(width="auto", margin="0"),
            )
            for name in self._explorer.usable
        }
        for name in self._explorer.recommended:
            self.features[name].add_class("segkit-recommended")
            self.features[name].tooltip = "recommended"
        self._count = widgets.HTML()
        self.search = _field("Text", "Search", placeholder="part of a variable's name")
        self.search.observe(lambda _: self._narrow(), "value")
        self.recommend = _button(
            "Take the recommended",
            "Choose the variables marked as recommended",
            lambda: self._explorer.change(features=self._explorer.recommended),
        )
        self.recommend.disabled = not self._explorer.recommended
        for control in (self.method, self.k, *self.features.values()):
            control.observe(self._changed, "value")
        self.topics = {topic: self._topic(topic, names) for topic, names in self._by_topic()}
        boxes = widgets.VBox(
            list(self.topics.values()),
            layout=widgets.Layout(max_height="16em", overflow="auto", width="100%"),
        )
        tools = widgets.HBox([self.search, self.recommend])
        return widgets.VBox([self._count, tools, boxes])

    def _by_topic(self) -> list[tuple[str, list[str]]]:
        topics: dict[str, list[str]] = {}
        for name in self.features:
            topics.setdefault(topic_of(name), []).append(name)
        return [(topic, topics[topic]) for topic in [*TOPICS, OTHER] if topic in topics]

    def _topic(self, topic: str, names: list[str]) -> Any:
        grid = widgets.Layout(
            grid_template_columns="repeat(auto-fill, minmax(17em, 1fr))", width="100%"
        )
        boxes = widgets.GridBox([self.features[name] for name in names], layout=grid)
        heading = widgets.HTML(f"<b>{html.escape(topic)}</b>")
        return widgets.VBox([heading, boxes], layout=widgets.Layout(flex="none"))

    def _narrow(self) -> None:
        """Show the variables, and topics, that the search finds."""
        sought = self.search.value.strip().lower()
        for topic, names in self._by_topic():
            fits = [sought in f"{topic} {label(name)} {name}".lower() for name in names]
            for name, fit in zip(names, fits, strict=True):
                self.features[name].layout.display = None if fit else "none"
            self.topics[topic].layout.display = None if any(fits) else "none"

    def _buttons(self) -> Any:
        explorer = self._explorer
        self.refits = _number("Refits", "10em", REFITS, 4, 500)
        self.stop = _button("Stop", "End what is being worked out", explorer.stop)
        self.refit = _button("Fit again", "Work out these settings once more", explorer.refit)
        self.assess = _button(
            "Assess stability",
            "Repeat the segmentation on resampled customers",
            lambda: explorer.assess(self.refits.value),
        )
        self.suggest = _button("Compare numbers", "Let every criterion vote", explorer.suggest)
        self.take = _button("Use that number", "Set the number suggested", self._take)
        self.measure = widgets.ToggleButtons(options=["mean", "median"], description="Values")
        self.measure.observe(lambda _: self._show_values(), "value")
        self.name = _field("Text", "File name", placeholder="made from the settings")
        self.ending = _field("Dropdown", "Assignments as", width="14em", options=FILES)
        self.save = _button("Save model and assignments", "Write both files", self._save)
        self.code = _field("Textarea", "Code", width="100%", max_width="60em", rows=16)
        row = [self.method, self.k, self.refit, self.stop]
        return widgets.HBox(row, layout=widgets.Layout(flex_flow="row wrap"))

    def _results(self) -> Any:
        at = {
            "profile": [self.parts["profile"], self.measure, self.values],
            "number": [widgets.HBox([self.suggest, self.take]), self.parts["number"]],
            "stability": [widgets.HBox([self.refits, self.assess]), self.parts["stability"]],
            "export": [
                widgets.HBox([self.name, self.ending, self.save]),
                self.parts["export"],
                self.code,
            ],
        }
        pages = [widgets.VBox(at.get(name, [self.parts[name]])) for name in PARTS]
        return widgets.Tab(children=pages, titles=tuple(PARTS.values()))

    # Events --------------------------------------------------------------------------------

    def _changed(self, _: Any) -> None:
        if not self._heard:
            return
        chosen = [name for name, box in self.features.items() if box.value]
        self._explorer.change(features=chosen, k=self.k.value, method=self.method.value)

    def _take(self) -> None:
        if self._explorer.suggestion is not None:
            self.k.value = self._explorer.suggestion.k

    def _save(self) -> None:
        try:
            model, rows = self._explorer.export(self.name.value.strip(), ending=self.ending.value)
        except (SegkitError, OSError) as error:
            self.parts["export"].value = _status_html(str(error), failed=True)
            return
        message = f"Saved {model.name} and {rows.name} in {model.resolve().parent.name}/."
        self.parts["export"].value = _status_html(message)
        self.code.value = self._explorer.code(model=model.name, assignments=rows.name)

    # Display -------------------------------------------------------------------------------

    def clear(self) -> None:
        """Remove all results, and show the current settings."""
        settings = self._explorer.settings
        self._heard = False
        self.method.value, self.k.value = settings.method, settings.k
        for name, box in self.features.items():
            box.value = name in settings.features
        self._heard = True
        chosen, usable = len(settings.features), len(self.features)
        self._count.value = (
            f"<b>Variables</b>: {number(chosen)} of {number(usable)} chosen (★ recommended)"
        )
        empty = dict.fromkeys(PARTS, "") | {"stability": ASK_STABILITY, "number": ASK_NUMBER}
        self._values = {}
        self.values.value = self.code.value = ""
        for name, text in empty.items():
            self.parts[name].value = text

    def show(self, shown: Mapping[str, str]) -> None:
        """Show parts of the results, each with the settings that it was computed for."""
        of = f'<p class="segkit-of">{html.escape(self._explorer.settings.words)}</p>'
        for name, text in shown.items():
            if name in self.parts:
                self.parts[name].value = f'{of}<div class="segkit-scroll">{text}</div>'
            else:
                self._values[name] = f'<div class="segkit-scroll">{text}</div>'
        self._show_values()
        self.code.value = self._explorer.code()

    def _show_values(self) -> None:
        self.values.value = self._values.get(self.measure.value, "")

    def say(self, text: str, *, busy: bool, failed: bool) -> None:
        """Show a status or an error."""
        bar = "<progress aria-label='Working'></progress> " if busy else ""
        self.status.value = _status_html(text, failed=failed, bar=bar)
        ready = self._explorer.segmentation is not None and not busy
        self.stop.disabled = not busy
        self.refit.disabled = busy
        for button in (self.assess, self.suggest, self.save):
            button.disabled = not ready
        self.take.disabled = busy or self._explorer.suggestion is None

    def progress(self, what: str, done: int, total: int | None) -> None:
        """Show the progress of the work."""
        span = f" max='{total}' value='{done}'" if total else ""
        of = f" of {number(total)}" if total else ""
        bar = f"<progress aria-label='Progress'{span}></progress> "
        self.status.value = _status_html(f"{what}: {number(done)}{of}", bar=bar)


def _field(
    kind: str, words: str, *, width: str | None = None, max_width: str | None = None, **options: Any
) -> Any:
    """Return a field of ipywidgets with its description in full."""
    layout = widgets.Layout(width=width, max_width=max_width)
    return getattr(widgets, kind)(description=words, style=WIDE, layout=layout, **options)


def _number(words: str, width: str, value: int, least: int, most: int) -> Any:
    return _field("BoundedIntText", words, width=width, value=value, min=least, max=most)


def _button(words: str, tip: str, act: Any) -> Any:
    button = widgets.Button(description=words, tooltip=tip, layout=widgets.Layout(width="auto"))
    button.on_click(lambda _: act())
    return button


def _status_html(text: str, *, failed: bool = False, bar: str = "") -> str:
    role = "alert" if failed else "status"
    kind = ' class="segkit-failed"' if failed else ""
    return f'<div role="{role}"{kind}>{bar}{html.escape(text)}</div>'
