"""The measurement of the heaviest tests counts what their processes use."""

import re
import subprocess
import sys
from pathlib import Path

WORK = "import time; until = time.process_time() + 0.6\nwhile time.process_time() < until: pass"


def test_processes_of_a_test_are_counted_and_the_heaviest_file_comes_first(tmp_path):
    words = f"[sys.executable, '-c', {WORK!r}]"
    heavy = f"import subprocess, sys\ndef test_it(): subprocess.run({words}, check=True)\n"
    (tmp_path / "test_a_light.py").write_text("def test_it(): pass\n", encoding="utf-8")
    (tmp_path / "test_b_heavy.py").write_text(heavy, encoding="utf-8")
    alone = ["-c", "/dev/null", f"--rootdir={tmp_path}", "-p", "no:cacheprovider", "-p", "no:xdist"]
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", *alone, "-p", "tests.tools.heaviest", str(tmp_path)],
        cwd=Path(__file__).parents[1], capture_output=True, text=True, check=True,
    )  # fmt: skip
    listed = re.findall(r"^ +([\d.]+)  (test_\w+)\.py$", done.stdout, re.M)
    assert [name for _, name in listed] == ["test_b_heavy", "test_a_light"]
    assert float(listed[0][0]) >= 0.6 > float(listed[1][0])
