"""Printing of a run's summary as PDF, with the installed Chromium."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from pathlib import Path
from urllib.parse import unquote

from segkit.errors import RunError, SourceError
from segkit.report.index import PDF, find_runs, write_index
from segkit.writing import sweep, temporary_name

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
WINDOWS_PLACES = (
    "Google/Chrome/Application/chrome.exe",
    "Chromium/Application/chrome.exe",
    "Microsoft/Edge/Application/msedge.exe",
)
PLACES = (
    "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome",
    "/Applications/Chromium.app/Contents/MacOS/Chromium",
)
FLAGS = (
    "--headless",
    "--disable-gpu",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-pdf-header-footer",
)
SECONDS = 120


def write_pdfs(folder: Path) -> list[Path]:
    """Print the summaries of the runs in a folder, or of the run that the folder is.

    Parameters
    ----------
    folder : pathlib.Path
        A run's folder, or the folder that holds runs.

    Returns
    -------
    list of pathlib.Path
        ``summary.pdf`` in each run's folder; the index links to them.

    Raises
    ------
    SourceError
        If there is no such folder, or no run in it has a finished summary.
    RunError
        If no Chromium is installed, or it fails.
    """
    if not folder.is_dir():
        raise SourceError(f"there is no folder {folder}")
    whole = folder.resolve()
    is_run = (whole / "run.json").is_file()
    out = whole.parent if is_run else whole
    runs = [run for run in find_runs(out) if not is_run or run["name"] == whole.name]
    ready = [out / run["name"] / _page(run["summary_link"]) for run in runs if run["summary_link"]]
    if not ready:
        raise SourceError(
            f"no run in {folder} has a finished summary to print: run its notebooks first"
        )
    browser = find_browser()
    pages = [print_page(page, page.parents[1] / PDF, browser) for page in ready]
    write_index(out)
    return pages


def _page(link: str) -> str:
    """Return a link's path from the run's folder: its first part is the run."""
    return unquote(link.partition("/")[2])


def find_browser() -> str:
    """Return the path of this machine's Chromium or Chrome.

    Raises
    ------
    RunError
        If there is none, with what can be done.
    """
    browsers = [path for name in NAMES if (path := shutil.which(name))]
    homes = [os.environ.get(name) for name in ("ProgramFiles", "ProgramFiles(x86)", "LOCALAPPDATA")]
    programs = [f"{home}/{place}" for home in homes if home for place in WINDOWS_PLACES]
    browsers += [place for place in (*PLACES, *programs) if Path(place).is_file()]
    if not browsers:
        raise RunError(
            "a PDF is printed by Chromium or Chrome, and neither is installed here (looked for "
            f"{', '.join(NAMES)}); install one, or open the summary in any browser and print it"
        )
    return browsers[0]


def print_page(page: Path, target: Path, browser: str) -> Path:
    """Print a page from disk as PDF; the target appears whole or not at all."""
    sweep(target)
    aside = temporary_name(target)
    # Chromium's sandbox does not work for the root user, whom containers often use.
    root = ["--no-sandbox"] if getattr(os, "geteuid", lambda: 1)() == 0 else []
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        words = [*FLAGS, *root, f"--user-data-dir={profile}", f"--print-to-pdf={aside}"]
        try:
            output = subprocess.run(
                [browser, *words, page.resolve().as_uri()],
                capture_output=True,
                encoding="utf-8",
                errors="replace",
                timeout=SECONDS,
                check=False,
            )
            why = output.stderr.strip().splitlines()[-1:] or [f"exit code {output.returncode}"]
        except subprocess.TimeoutExpired:
            why = [f"no page within {SECONDS} seconds"]
        except OSError as error:
            why = [str(error)]
    try:
        whole = aside.read_bytes()[-1024:].rstrip().endswith(b"%%EOF")
    except OSError:
        whole = False
    if not whole:
        aside.unlink(missing_ok=True)
        raise RunError(f"{Path(browser).name} printed no PDF of {page.parent.name}: {why[0]}")
    aside.replace(target)
    return target
