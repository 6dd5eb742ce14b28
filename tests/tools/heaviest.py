"""Processor seconds of the heaviest files of tests: ``python -m pytest -p tests.tools.heaviest``.

What a test's processes use is counted, kernels and browsers too; unlike seconds on the clock it
does not hang on what else the machine does. Works with ``-n``; whoever starts a thing that others
share (a fixture of the session) is charged for it.
"""

import contextlib
import os
from collections import Counter

import psutil
import pytest

SHOWN = 25
NAME = "processor seconds"
_begun: dict[str, float] = {}
_seconds: Counter[str] = Counter()


def spent():
    """Return the processor seconds of this process and of all that it has started."""
    total = sum(os.times()[:4])
    for child in psutil.Process().children(recursive=True):
        with contextlib.suppress(psutil.Error):  # it has just ended
            total += sum(child.cpu_times()[:4])  # its own, and on Linux those of its ended children
    return total


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item):
    _begun[item.nodeid] = spent()
    return (yield)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item, call):
    if call.when == "teardown" and item.nodeid in _begun:
        item.user_properties.append((NAME, spent() - _begun.pop(item.nodeid)))
    return (yield)


def pytest_runtest_logreport(report):
    if report.when == "teardown":
        _seconds[report.nodeid.partition("::")[0]] += dict(report.user_properties).get(NAME, 0.0)


def pytest_terminal_summary(terminalreporter):
    total = sum(_seconds.values())
    terminalreporter.section(f"{total:.0f} processor seconds in {len(_seconds)} files")
    for file, seconds in _seconds.most_common(SHOWN):
        terminalreporter.write_line(f"{seconds:8.1f}  {file}")
