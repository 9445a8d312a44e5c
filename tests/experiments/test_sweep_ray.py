"""A sweep on a cluster of two nodes, one of which is killed: a cluster of its own, in processes of its own."""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


NEEDS_RAY = pytest.mark.skipif(
    importlib.util.find_spec("ray") is None, reason="ray is not installed: pip install 'arbitrage[ray]'"
)


@NEEDS_RAY
def test_a_sweep_on_two_nodes_of_which_one_is_killed_leaves_the_same_bytes(tmp_path: Path) -> None:
    out = tmp_path / "figures.json"
    options = ["--sample", "--kill-after", "1", "--json", str(out)]
    script = [sys.executable, str(ROOT / "benchmarks" / "ray_sweep.py"), *options]
    done = subprocess.run(script, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    answer = json.loads(out.read_text())
    assert answer["identical"]
    assert answer["files"] > 0
    assert answer["two nodes, one killed"]["failures"] == {}
    assert answer["two nodes, one killed"]["processes_killed"] > 1
