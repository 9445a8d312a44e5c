"""The architecture, as rules that hold for every file of the package."""

from __future__ import annotations

import ast
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

PACKAGE = Path(__file__).resolve().parents[1] / "arbitrage"
LONGEST_FUNCTION = 45
LAYERS = [
    layer.split(" | ")
    for layer in reversed(
        tomllib.loads((PACKAGE.parent / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["importlinter"][
            "contracts"
        ][0]["layers"]
    )
]
"""From the ground up, as the import linter has them. A module imports from its own part and from layers below; parts of
one layer do not import each other."""
FRONT_DOOR = {"arbitrage", "arbitrage.__main__"}
BANNED = {"alpha", "tau", "mdp", "mip", "si", "isp", "eta", "soc", "done", "capacity", "var"}
"""Letters that mean two things here, and words that lack a unit: never the bare name of an argument."""

Import = tuple[str, int]


def module_name(path: Path) -> str:
    parts = path.relative_to(PACKAGE.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


TREES = {module_name(path): ast.parse(path.read_text(encoding="utf-8")) for path in sorted(PACKAGE.rglob("*.py"))}
INSIDE = sorted(set(TREES) - FRONT_DOOR)
MODULES = pytest.mark.parametrize("module", INSIDE)


def imports(tree: ast.AST) -> Iterator[Import]:
    """Modules of the package that a tree imports, wherever in it, with the line."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((alias.name, node.lineno) for alias in node.names if alias.name.split(".")[0] == "arbitrage")
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"line {node.lineno} imports relatively"
            source = node.module or ""
            if source.split(".")[0] == "arbitrage":
                for alias in node.names:
                    inner = f"{source}.{alias.name}"
                    yield (inner if inner in TREES else source), node.lineno


def part(module: str) -> str:
    """The package, or module, of the project's plan that a module belongs to."""
    return ".".join(module.split(".")[:2])


def layer(module: str) -> int:
    return next(number for number, parts in enumerate(LAYERS) if part(module) in parts)


def wrong_imports(module: str, tree: ast.AST) -> list[str]:
    """What a module imports against the order of the layers."""
    found = []
    for target, line in imports(tree):
        if target in FRONT_DOOR:
            found.append(f"line {line} imports the front door")
        elif part(module) != part(target) and layer(target) >= layer(module):
            found.append(f"line {line} imports {target}")
    return found


def test_every_module_has_its_layer() -> None:
    assert {part(module) for module in INSIDE} <= {part for layer in LAYERS for part in layer}


@MODULES
def test_a_module_imports_only_what_stands_before_it_and_never_the_front_door(module: str) -> None:
    assert wrong_imports(module, TREES[module]) == []


@pytest.mark.parametrize(
    ("module", "line"),
    [
        ("arbitrage.market.series", "from arbitrage.features.encoder import MarketFeatures"),
        ("arbitrage.env.single", "from arbitrage.policies.protocol import Policy"),
        ("arbitrage.policies.rules", "from arbitrage.env import single"),
        ("arbitrage.backtest.engine", "import arbitrage.training.closed_form"),
        ("arbitrage.battery", "from arbitrage import risk"),
        ("arbitrage.dispatch", "from arbitrage import Battery"),
        ("arbitrage.dispatch", "def late():\n    import arbitrage"),
    ],
)
def test_an_import_against_the_order_is_found(module: str, line: str) -> None:
    assert wrong_imports(module, ast.parse(line)) != []


def test_dispatch_knows_policies_by_their_protocol_only() -> None:
    policies = {target for target, _ in imports(TREES["arbitrage.dispatch"]) if part(target) == "arbitrage.policies"}
    assert policies == {"arbitrage.policies.protocol"}


def test_no_modules_import_each_other_in_a_circle() -> None:
    left = {module: {target for target, _ in imports(tree)} - {module} for module, tree in TREES.items()}
    while left:
        free = {module for module, targets in left.items() if not targets & set(left)}
        assert free, f"a circle among {sorted(left)}"
        left = {module: targets for module, targets in left.items() if module not in free}


@MODULES
def test_the_init_files_of_sub_packages_are_empty(module: str) -> None:
    path = PACKAGE.parent.joinpath(*module.split("."), "__init__.py")
    assert not path.exists() or path.read_text(encoding="utf-8").strip() == ""


def functions(tree: ast.AST) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node


@pytest.mark.parametrize("module", sorted(TREES))
def test_no_function_is_longer_than_45_lines(module: str) -> None:
    long = [
        f"{node.name}: {lines} lines"
        for node in functions(TREES[module])
        if (lines := (node.end_lineno or 0) - node.lineno + 1) > LONGEST_FUNCTION
    ]
    assert long == []


@pytest.mark.parametrize("module", sorted(TREES))
def test_no_argument_or_field_has_a_name_that_means_two_things(module: str) -> None:
    arguments = [
        f"{argument.arg} in {node.name}"
        for node in functions(TREES[module])
        for argument in (*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs)
        if argument.arg in BANNED
    ]
    fields = [
        f"{item.target.id} in {node.name}"
        for node in ast.walk(TREES[module])
        if isinstance(node, ast.ClassDef)
        for item in node.body
        if isinstance(item, ast.AnnAssign) and isinstance(item.target, ast.Name) and item.target.id in BANNED
    ]
    assert arguments + fields == []


@pytest.mark.parametrize(
    "module", ["arbitrage", "arbitrage.dispatch", "arbitrage.backtest.engine", "arbitrage.env.batched"]
)
def test_deciding_and_testing_need_no_torch(module: str) -> None:
    code = f"import sys, {module}; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=PACKAGE.parent, check=False).returncode == 0


def test_the_front_door_has_at_most_12_names_and_opens_for_each() -> None:
    code = (
        "import sys, arbitrage; names = arbitrage.__all__; assert len(names) <= 12, names; "
        "assert {'Battery', 'read_market', 'perfect_foresight', 'run_backtest', 'load_policy'} <= set(names); "
        "[getattr(arbitrage, name) for name in names]"
    )
    subprocess.run([sys.executable, "-c", code], cwd=PACKAGE.parent, check=True)


def test_a_property_takes_its_number_of_examples_from_the_profile() -> None:
    own = Path(__file__).resolve().parent
    fixed = [path.name for path in own.rglob("test_*.py") if "@" + "settings(" in path.read_text(encoding="utf-8")]
    assert fixed == [], "use tests.examples.examples, so that make fuzz tries more"


WIDEST_FOLDER = 18


def test_no_folder_holds_more_modules_than_one_reads_at_a_glance() -> None:
    root = PACKAGE.parent
    counted = {
        str(folder.relative_to(root)): len([path for path in folder.glob("*.py") if path.name != "__init__.py"])
        for top in ("arbitrage", "api", "tests", "benchmarks", "notebooks")
        for folder in (root / top, *(root / top).rglob("*/"))
    }
    assert {folder: count for folder, count in counted.items() if count > WIDEST_FOLDER} == {}
