"""Run every benchmark, or with ``--aims`` the table of aims: ``python -m tests.benchmarks``.

Arguments are handed on (``--quick``; with ``--aims`` also ``--write`` and names of parts).
"""

import subprocess
import sys
from pathlib import Path

if __name__ == "__main__":
    given, failed = sys.argv[1:], 0
    stems = [path.stem for path in sorted(Path(__file__).parent.glob("bench_*.py"))]
    if "--aims" in given:
        stems, given = ["aims"], [word for word in given if word != "--aims"]
    for stem in stems:
        print(f"\n== {stem}", flush=True)
        command = [sys.executable, "-m", f"tests.benchmarks.{stem}", *given]
        failed += subprocess.run(command, check=False).returncode != 0
    sys.exit(failed)
