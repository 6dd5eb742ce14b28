"""Interactive explorer of segments: settings are changed by hand, results run in the background."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import date
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import polars as pl

from segkit.cluster.choose import KChoice
from segkit.cluster.methods import MethodComparison
from segkit.cluster.segments import Segmentation
from segkit.cluster.stability import Stability
from segkit.errors import DataError, ParameterError, SegkitError, require_choice
from segkit.explorer import findings
from segkit.explorer.findings import FILES, Ending, MethodName, Settings
from segkit.explorer.work import Job, Worker
from segkit.frames import from_memory, takes_frames
from segkit.pipeline import choose_variables
from segkit.profile import Profile
from segkit.progress import is_watched
from segkit.writing import write_frame

if TYPE_CHECKING:
    from segkit.explorer.panel import Panel

PAUSE = 0.4  # seconds without a further change before the computation begins
STATIC = "In JupyterLab, with a running kernel, variables, method and number can be turned here."
FIRST_FEW = 6
BEAT = 0.15  # seconds between two updates of the progress display


class Explorer:
    """Interactive choice of segments; created by `explore_segments`.

    Attributes
    ----------
    table : polars.DataFrame
        The customers.
    settings : Settings
        Current variables, k, method and seed.
    usable : list of str
        Columns that may be chosen.
    recommended : tuple of str
        Those among them that segkit would choose: one for each aspect of behaviour.
    folder : pathlib.Path
        Where `export` writes.
    segmentation : Segmentation or None
        Segments for the current settings; None until they are computed, and if they cannot be.
    profile : Profile or None
        Profile of the segments, once it is displayed.
    stability : Stability, MethodComparison or None
        Stability of the segments, once requested.
    suggestion : KChoice, Segmentation or None
        Suggested number of segments, once requested; kept until variables or method change.
    error : str
        Reason why there is no result, if there is none.
    """

    def __init__(
        self,
        table: pl.DataFrame,
        settings: Settings,
        usable: list[str],
        folder: Path,
        start: Segmentation | None = None,
        recommended: Sequence[str] = (),
    ) -> None:
        self.table = table
        self.settings = settings
        self.usable = usable
        self.recommended = tuple(recommended)
        self.folder = folder
        self.segmentation: Segmentation | None = start or settings.fit(table)
        self.profile: Profile | None = None
        self.stability: Stability | MethodComparison | None = None
        self.suggestion: KChoice | Segmentation | None = None
        self.error = ""
        self._lock = threading.RLock()  # results and their display change together
        self._panel: Panel | None = None
        self._picture: Any = None
        self._told = 0.0
        self._worker = Worker(self._progress)

    def __repr__(self) -> str:
        return f"<Explorer: {self.settings.words}>"

    # Requests ------------------------------------------------------------------------------

    def change(
        self,
        *,
        features: Sequence[str] | None = None,
        k: int | None = None,
        method: str | None = None,
    ) -> Explorer:
        """Change the settings; results of the old ones are dropped at once.

        The computation runs in the background, after a moment without further changes.
        """
        with self._lock:
            self._worker.stop()
            old = self.settings
            self.settings = replace(
                old,
                features=old.features if features is None else tuple(features),
                k=old.k if k is None else k,
                method=old.method if method is None else method,
            )
            if (old.features, old.method) != (self.settings.features, self.settings.method):
                self.suggestion = None
            return self.refit(delay=PAUSE if self._panel else 0.0)

    def refit(self, *, delay: float = 0.0) -> Explorer:
        """Compute the segments for the current settings, again if necessary."""
        with self._lock:
            self._worker.stop()
            self.segmentation = self.profile = self.stability = None
            if self._panel:
                self._panel.clear()
            return self._begin(self._fit, "Working out the segments …", delay)

    def assess(self, refits: int = 30) -> Explorer:
        """Assess in the background how stable the current segments are."""
        with self._lock:
            self.stability = None
            message = "Repeating the segmentation on resampled customers …"
            return self._begin(lambda job: self._assess(job, refits), message)

    def suggest(self) -> Explorer:
        """Compute, in the background, which number of segments the data support."""
        with self._lock:
            self.suggestion = None
            return self._begin(self._suggest, "Comparing numbers of segments …")

    def stop(self) -> Explorer:
        """Stop the background computation at its next step."""
        with self._lock:
            if self._worker.stop():
                self._say("Stopped." if self.segmentation else "Stopped; there are no results yet.")
        return self

    def wait(self, timeout: float | None = None) -> Explorer:
        """Wait until the background computation ends."""
        self._worker.wait(timeout)
        return self

    @property
    def busy(self) -> bool:
        """Whether a background computation is running."""
        return self._worker.busy

    # Export --------------------------------------------------------------------------------

    def code(self, table: str = "table", *, model: str = "", assignments: str = "") -> str:
        """Return code that reproduces the current segments."""
        return self.settings.code(table, model=model, assignments=assignments)

    def export(self, name: str = "", *, ending: Ending = "csv") -> tuple[Path, Path]:
        """Save the model as JSON and the assignments, and return both paths.

        Parameters
        ----------
        name : str
            Of both files, without extension; by default formed from the method and k.
        ending : {"csv", "parquet"}
            File format of the assignments.

        Raises
        ------
        ParameterError
            If the ending is unknown, or there are no segments to save.
        """
        with self._lock:
            segmentation, stem = self.segmentation, name or self.settings.stem
        require_choice("kind of file", ending, FILES)
        if segmentation is None:
            raise ParameterError("there are no segments to save; wait for them, or refit")
        self.folder.mkdir(parents=True, exist_ok=True)
        model = segmentation.model.save(self.folder / f"{stem}.json")
        rows = self.folder / f"{stem}.{ending}"
        return model, write_frame(segmentation.assignments, rows, private=True)

    # In the background ---------------------------------------------------------------------

    def _begin(self, task: Callable[[Job], None], message: str, delay: float = 0.0) -> Explorer:
        self.error = ""
        self._say(message, busy=True)
        self._worker.submit(lambda job: self._guarded(task, job), delay=delay)
        return self

    def _guarded(self, task: Callable[[Job], None], job: Job) -> None:
        try:
            task(job)
        except SegkitError as error:
            self._publish(job, error=str(error))
        except Exception as error:  # noqa: BLE001 - told in place: a thread has no cell to fail
            self._publish(job, error=f"{type(error).__name__}: {error}")
        with self._lock:
            job.check()
            self._say(self.error, failed=bool(self.error))

    def _publish(self, job: Job, shown: Mapping[str, str] | None = None, **results: Any) -> None:
        """Store results and display them, unless a newer job has replaced this one."""
        with self._lock:
            job.check()
            for name, value in results.items():
                setattr(self, name, value)
            if self._panel and shown:
                self._panel.show(shown)

    def _fit(self, job: Job) -> None:
        segmentation = self.settings.fit(self.table)
        self._publish(
            job, {"segments": findings.paragraph(segmentation.headline)}, segmentation=segmentation
        )
        self._describe(job, segmentation)

    def _describe(self, job: Job, segmentation: Segmentation) -> None:
        profile = findings.describe(self.table, segmentation, self.settings)
        self._publish(job, findings.segments(segmentation, profile), profile=profile)
        if self._panel is None:
            return
        chart = findings.chart(profile)
        self._publish(job, {"map": chart})
        if self._picture:
            still = findings.static(segmentation, profile, chart, self.settings.words)
            with self._lock:
                job.check()
                self._picture.update(_html(still))
        self._publish(job, findings.portraits(profile))
        self._show_suggestion(job)

    def _assess(self, job: Job, refits: int) -> None:
        if self.segmentation is None:
            raise ParameterError("there are no segments whose stability could be told")
        stable = findings.stability_of(self.table, self.segmentation, self.settings, refits)
        self._publish(job, {"stability": findings.stability(stable)}, stability=stable)

    def _suggest(self, job: Job) -> None:
        if self.segmentation is None:
            raise ParameterError("there are no segments to start from")
        suggestion = findings.suggested(self.table, self.segmentation, self.settings)
        self._publish(job, suggestion=suggestion)
        self._show_suggestion(job)

    def _show_suggestion(self, job: Job) -> None:
        if self._panel and self.suggestion is not None:
            drawn = findings.suggestion(self.suggestion, self.settings.k)
            self._publish(job, {"number": drawn})

    # Display -------------------------------------------------------------------------------

    def _say(self, text: str, *, busy: bool = False, failed: bool = False) -> None:
        if self._panel:
            self._panel.say(text, busy=busy, failed=failed)

    def _progress(self, job: Job, what: str, done: int, total: int | None) -> None:
        now = time.monotonic()
        if self._panel is None or now - self._told < BEAT:
            return
        with self._lock:
            job.check()
            self._told = now
            self._panel.progress(what, done, total)

    def _repr_html_(self) -> str:
        """Return the current choice as static HTML, for pages without controls."""
        with self._lock:
            segmentation, profile = self.segmentation, self.profile
        if segmentation is None:
            return findings.paragraph(self.error or "The segments are being worked out.")
        if profile is None:  # compute it now: a static page cannot request it later
            profile = findings.describe(
                self.table, segmentation, self.settings, self.settings.features
            )
        note = f"{self.settings.words}. {STATIC}"
        return findings.static(segmentation, profile, findings.chart(profile), note)

    def _ipython_display_(self) -> None:
        from IPython.display import display

        if not is_watched() or find_spec("ipywidgets") is None:
            display(_html(self._repr_html_()))  # type: ignore[no-untyped-call]
            return
        from segkit.explorer.panel import Panel

        # Two outputs: a page without a kernel shows the picture, which the controls otherwise hide.
        self._picture = display(_html(""), display_id=True)  # type: ignore[no-untyped-call]
        self._panel = self._panel or Panel(self)
        display(self._panel.bundle(), raw=True)  # type: ignore[no-untyped-call]
        segmentation = self.segmentation
        if segmentation is None:
            self.refit()
        else:
            self._begin(lambda job: self._describe(job, segmentation), "Describing the segments …")


def _html(text: str) -> Any:
    from IPython.display import HTML

    return HTML(text)  # type: ignore[no-untyped-call]


@takes_frames
def explore_segments(
    table: Any,
    *,
    features: Sequence[str] = (),
    k: int = 5,
    method: MethodName = "ward",
    start: Segmentation | None = None,
    definitions: Mapping[str, str] | None = None,
    as_of: date | None = None,
    seed: int = 0,
    folder: Path | str = ".",
) -> Explorer:
    """Open an explorer of segments: choose variables, method and number, see the results.

    In JupyterLab, controls appear if the call is the last line of a cell; results are computed in
    the background. Where controls cannot be used (a report, another front end), a map and a table
    are shown. All results come from `segkit.cluster` and `segkit.profile`.

    Parameters
    ----------
    table : CustomerTable, polars or pandas DataFrame
        One row per customer: ``customer_id`` and numeric columns, of which any may be chosen.
    features : sequence of str
        Variables chosen at first; by default those of ``start``, else segkit's default features.
    k : int
        Number of segments at first, 2 to 12.
    method : {"ward", "two-step", "kmeans", "mixture"}
        The method chosen at first.
    start : Segmentation, optional
        An existing segmentation of this table: its settings are used, and the first display needs
        no fit.
    definitions, as_of
        As for `segkit.cluster_customers`; a CustomerTable brings its own.
    seed : int
        Of all random steps.
    folder : path
        Where the chosen model and assignments are saved.

    Returns
    -------
    Explorer
        Its ``segmentation``, ``profile`` and ``code()`` always refer to the current choice.

    Raises
    ------
    ColumnError, DataError
        If the table has no ids, or no column that varies.
    ParameterError
        If a setting is unknown or out of range.

    Examples
    --------
    >>> rows = [(f"C{i}", i % 2 * 9 + i / 20, float(i % 3)) for i in range(20)]
    >>> table = pl.DataFrame(rows, schema=["customer_id", "frequency", "monetary"], orient="row")
    >>> chosen = explore_segments(table, features=["frequency"], k=2)
    >>> chosen.segmentation.segments["customers"].to_list()
    [10, 10]
    >>> chosen.change(features=["frequency", "monetary"], k=3).wait().segmentation.k
    3
    """
    frame = table
    if hasattr(table, "definitions") and hasattr(table, "frame"):
        descriptions = dict(table.definitions.select("name", "description").iter_rows())
        frame, definitions, as_of = table.frame, definitions or descriptions, as_of or table.as_of
    frame = from_memory(frame)
    if start is not None:
        k, seed = start.k, start.model.seed
        method = cast("MethodName", _method_of(start))
        features = features or start.model.features
        definitions = definitions or start.model.definitions
        as_of = as_of or start.model.as_of
    usable = numeric_columns(frame)
    for name in features:
        require_choice("numeric column that varies", name, usable)
    chosen = tuple(features) or _usual(frame, usable)
    settings = Settings(chosen, k, method, seed, dict(definitions or {}), as_of)
    settings.check()
    return Explorer(frame, settings, usable, Path(folder), start, _recommended(frame, usable))


def numeric_columns(frame: pl.DataFrame) -> list[str]:
    """List the columns that can be clustered on: numbers that vary, known for most customers.

    Raises
    ------
    DataError
        If there is none.
    """
    columns = [
        name
        for name, kind in frame.schema.items()
        if name != "customer_id"
        and kind.is_numeric()
        and frame[name].null_count() <= frame.height / 2
        and frame[name].drop_nulls().n_unique() > 1
    ]
    if not columns:
        raise DataError("the table has no numeric column that varies, so nothing to segment by")
    return columns


def _method_of(start: Segmentation) -> str:
    return "two-step" if start.route == "two-step" else start.method


def _recommended(frame: pl.DataFrame, usable: Sequence[str]) -> tuple[str, ...]:
    """Return the variables that segkit would choose; none where it knows none of the columns."""
    try:
        return tuple(name for name in choose_variables(frame) if name in usable)
    except DataError:
        return ()


def _usual(frame: pl.DataFrame, usable: Sequence[str]) -> tuple[str, ...]:
    return _recommended(frame, usable) or tuple(usable[:FIRST_FEW])
