"""The scripts of the benchmarks are no package: their folder is put where their own imports look."""

import sys
from pathlib import Path

SCRIPTS = Path(__file__).resolve().parents[2] / "benchmarks"
sys.path.append(str(SCRIPTS))
