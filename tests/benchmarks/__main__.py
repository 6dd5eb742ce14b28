"""Run every benchmark: ``python -m tests.benchmarks``; arguments are handed on (``--quick``)."""

import subprocess
import sys
from pathlib import Path

if __name__ == "__main__":
    failed = 0
    for path in sorted(Path(__file__).parent.glob("bench_*.py")):
        print(f"\n== {path.stem}", flush=True)
        command = [sys.executable, "-m", f"tests.benchmarks.{path.stem}", *sys.argv[1:]]
        failed += subprocess.run(command, check=False).returncode != 0
    sys.exit(failed)
