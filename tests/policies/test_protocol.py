"""What callers must know of a policy it answers itself: nothing outside `policies` asks for its type."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

CHECKS = ("isinstance", "issubclass")
ROOT = Path(__file__).resolve().parents[2]
OUTSIDE = [
    path
    for package in ("arbitrage", "api")
    for path in sorted((ROOT / package).rglob("*.py"))
    if ROOT / "arbitrage" / "policies" not in path.parents
]


def type_checks(tree: ast.AST) -> list[str]:
    """Lines that ask whether something is of the class of a policy or of a policy's view."""
    found = []
    for node in ast.walk(tree):
        kinds: list[ast.AST] = []
        if (
            isinstance(node, ast.Call)
            and isinstance(node.func, ast.Name)
            and node.func.id in ("isinstance", "issubclass")
        ):
            kinds = [node.args[1]]
        elif isinstance(node, ast.MatchClass):
            kinds = [node.cls]
        elif isinstance(node, ast.Compare):
            kinds = [side for side in (node.left, *node.comparators) if _is_call_of_type(node)]
        names = {inner.id for kind in kinds for inner in ast.walk(kind) if isinstance(inner, ast.Name)}
        names |= {inner.attr for kind in kinds for inner in ast.walk(kind) if isinstance(inner, ast.Attribute)}
        found += [f"line {node.lineno}: {name}" for name in names if name.endswith(("Policy", "View", "Rule"))]
    return found


def _is_call_of_type(node: ast.Compare) -> bool:
    sides = (node.left, *node.comparators)
    return any(
        isinstance(side, ast.Call) and isinstance(side.func, ast.Name) and side.func.id == "type" for side in sides
    )


@pytest.mark.parametrize("path", OUTSIDE, ids=lambda path: str(path.relative_to(ROOT)))
def test_nothing_outside_policies_asks_for_the_type_of_a_policy(path: Path) -> None:
    assert type_checks(ast.parse(path.read_text(encoding="utf-8"))) == []


@pytest.mark.parametrize(
    "line",
    [
        "isinstance(policy, ClosedFormPolicy)",
        "isinstance(policy, (int, network_policy.NetworkPolicy))",
        "isinstance(view, ClosedFormView | NetworkView)",
        "issubclass(kind, SpreadRule)",
        "type(policy) is MpcPolicy",
        "match policy:\n    case ThresholdRule():\n        pass",
    ],
)
def test_such_a_question_is_found(line: str) -> None:
    assert type_checks(ast.parse(line)) != []


def test_policies_load_no_torch_and_no_learner() -> None:
    names = [
        ".".join(path.relative_to(ROOT).with_suffix("").parts)
        for path in sorted((ROOT / "arbitrage" / "policies").rglob("*.py"))
        if path.name != "__init__.py"
    ]
    code = (
        f"import sys, importlib; [importlib.import_module(name) for name in {names}]; "
        "sys.exit(any(name == 'torch' or name.startswith('arbitrage.learners') for name in sys.modules))"
    )
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=False).returncode == 0
