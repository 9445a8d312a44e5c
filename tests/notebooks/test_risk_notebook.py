"""The notebook on risk runs from top to bottom, and is the same as the script beside it."""

from __future__ import annotations

import ast
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SCRIPT = ROOT / "notebooks" / "02_risk.py"


def test_the_notebook_runs_and_writes_the_setting_that_a_loaded_policy_obeys(tmp_path: Path) -> None:
    small = {"ARBITRAGE_NOTEBOOK": "small", "ARBITRAGE_NOTEBOOK_RUNS": str(tmp_path), "PYTHONPATH": str(ROOT)}
    ran = subprocess.run(
        [sys.executable, str(SCRIPT)], cwd=tmp_path, env=os.environ | small, capture_output=True, text=True, check=False
    )
    assert ran.returncode == 0, ran.stderr
    setting = json.loads((tmp_path / "policy" / "risk.json").read_text())
    assert setting == {"risk_aversion": 0.5, "risk_preference": None}
    assert len(ran.stdout.splitlines()) >= 3


def test_script_and_notebook_are_one() -> None:
    jupytext = pytest.importorskip("jupytext", reason="the extra `notebooks` is not installed")
    script, notebook = (jupytext.read(SCRIPT.with_suffix(suffix)) for suffix in (".py", ".ipynb"))
    cells = [[(cell.cell_type, cell.source) for cell in book.cells] for book in (script, notebook)]
    assert cells[0] == cells[1]


def test_the_notebook_calls_and_never_defines() -> None:
    tree = ast.parse(SCRIPT.read_text())
    assert not [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.ClassDef | ast.Lambda)]
