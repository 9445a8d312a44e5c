"""How many small breaks of the core the tests notice: one change at a time, in a copy of the project.

Each mutation replaces one piece of text that occurs once in its file, and runs the tests of that module and the
keystone. A mutation is caught if a test fails; a test run that takes longer than the limit counts as caught.

    python benchmarks/mutations.py [--only battery] [--json OUT]
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path

from rich.console import Console
from rich.progress import track
from rich.table import Table

PROJECT = Path(__file__).resolve().parents[1]
COPIED = (
    "arbitrage",
    "api",
    "tests",
    "benchmarks",
    "data",
    "notebooks",
    "pyproject.toml",
    "CONTRIBUTING.md",
    "README.md",
)
LIMIT_S = 300
KEYSTONE = "tests/properties/test_keystone.py"
TESTS = {
    "arbitrage/battery.py": ("tests/test_battery.py", KEYSTONE),
    "arbitrage/settling.py": ("tests/test_settling.py", "tests/backtest/test_engine.py", KEYSTONE),
    "arbitrage/market/settlement.py": ("tests/market/test_settlement.py",),
    "arbitrage/market/point_in_time.py": (
        "tests/market/test_series.py",
        "tests/features/test_encoder.py",
        "tests/properties/test_no_leak.py",
    ),
    "arbitrage/dispatch.py": ("tests/test_dispatch.py", "tests/backtest/test_engine.py", KEYSTONE),
    "arbitrage/backtest/ledger.py": ("tests/backtest/test_ledger.py", "tests/backtest/test_engine.py"),
}


@dataclass(frozen=True, slots=True)
class Mutation:
    """One piece of text and what takes its place."""

    file: str
    text: str
    instead: str


MUTATIONS = (
    Mutation("arbitrage/battery.py", "min(drawable_mwh, budget_mwh) * law", "drawable_mwh * law"),
    Mutation("arbitrage/battery.py", "law.discharge_efficiency / duration_h", "law.charge_efficiency / duration_h"),
    Mutation(
        "arbitrage/battery.py",
        "min(power_mw, law.discharge_power_mw, energy_bound_mw)",
        "min(power_mw, energy_bound_mw)",
    ),
    Mutation("arbitrage/battery.py", "room_mwh / law.charge_efficiency", "room_mwh * law.charge_efficiency"),
    Mutation(
        "arbitrage/battery.py", "drawn_mwh = power_mw * duration_h / law", "drawn_mwh = power_mw * duration_h * law"
    ),
    Mutation("arbitrage/battery.py", "cycles_used + drawn_mwh / law.capacity_mwh", "cycles_used + drawn_mwh"),
    Mutation("arbitrage/battery.py", "min(soc_mwh, law.min_soc_mwh))", "law.min_soc_mwh)"),
    Mutation(
        "arbitrage/battery.py",
        "discharge_power_mw=_least(self.power_mw, self.export_limit_mw)",
        "discharge_power_mw=self.power_mw",
    ),
    Mutation("arbitrage/battery.py", "return drawn_mwh * law.wear_cost_eur_mwh", "return 0.0 * drawn_mwh"),
    Mutation(
        "arbitrage/settling.py", "return price_eur_mwh * power_mw * duration_h", "return price_eur_mwh * power_mw"
    ),
    Mutation("arbitrage/settling.py", "charge_gain_eur >= discharge_gain_eur", "charge_gain_eur > discharge_gain_eur"),
    Mutation(
        "arbitrage/settling.py", "DISCHARGE if discharge_gain_eur > 0.0", "DISCHARGE if discharge_gain_eur >= 0.0"
    ),
    Mutation("arbitrage/settling.py", "if entry[0] > now]", "if entry[0] >= now]"),
    Mutation("arbitrage/settling.py", "            if published_at <= now:", "            if published_at < now:"),
    Mutation("arbitrage/settling.py", "        self._due.clear()", "        pass"),
    Mutation("arbitrage/market/settlement.py", "imbalance_mw < 0.0, in_shortage", "imbalance_mw <= 0.0, in_shortage"),
    Mutation("arbitrage/market/settlement.py", "np.float64) - incentive", "np.float64) + incentive"),
    Mutation("arbitrage/market/settlement.py", "dtype=np.float64))) / 2.0", "dtype=np.float64)))"),
    Mutation("arbitrage/market/settlement.py", "<= _ALPHA_FREE_MW", "< _ALPHA_FREE_MW"),
    Mutation("arbitrage/market/settlement.py", "starts < SCARCITY_FACTOR_SINCE", "starts <= SCARCITY_FACTOR_SINCE"),
    Mutation(
        "arbitrage/market/point_in_time.py",
        "row < values.shape[0] and available_at[row] <= times[i]",
        "row < values.shape[0]",
    ),
    Mutation(
        "arbitrage/market/point_in_time.py",
        "            if available_at[row] <= times[i] and not np.isnan(values[row]):\n                known += 1\n",
        "            if not np.isnan(values[row]):\n                known += 1\n",
    ),
    Mutation("arbitrage/market/point_in_time.py", "latest[block] <= times[i]", "True"),
    Mutation(
        "arbitrage/market/point_in_time.py", "moments.max() > self.times.max()", "moments.max() < self.times.min()"
    ),
    Mutation("arbitrage/market/point_in_time.py", "self.available_at[row] > time or", ""),
    Mutation("arbitrage/dispatch.py", "flow.power_mw != intent.power_mw", "flow.power_mw > intent.power_mw"),
    Mutation("arbitrage/dispatch.py", "if not intent.is_number:", "if False:"),
    Mutation(
        "arbitrage/dispatch.py",
        "budget_left_mwh < state.soc_mwh - law.min_soc_mwh",
        "budget_left_mwh < state.soc_mwh + law.min_soc_mwh",
    ),
    Mutation("arbitrage/backtest/ledger.py", 'cash - columns["wear_eur"]', "cash"),
    Mutation(
        "arbitrage/backtest/ledger.py",
        'columns["discharge_mwh"] - columns["charge_mwh"]',
        'columns["charge_mwh"] - columns["discharge_mwh"]',
    ),
    Mutation("arbitrage/backtest/ledger.py", '"soc_carried": np.abs(start - carried)', '"soc_carried": 0.0 * start'),
    Mutation(
        "arbitrage/backtest/ledger.py", "used.cumsum().to_numpy() - law.max_cycles_per_day", "-used.cumsum().to_numpy()"
    ),
)


def is_caught(project: Path, mutation: Mutation) -> bool:
    """Whether a test fails under the mutation; the copy of the project is whole again after it."""
    file = project / mutation.file
    whole = file.read_text(encoding="utf-8")
    if whole.count(mutation.text) != 1:
        raise SystemExit(f"{mutation.file}: {mutation.text!r} occurs {whole.count(mutation.text)} times, not once")
    file.write_text(whole.replace(mutation.text, mutation.instead), encoding="utf-8")
    compiled = tempfile.TemporaryDirectory()  # what was compiled before would hide the change from its callers
    environment = {**os.environ, "NUMBA_CACHE_DIR": compiled.name}
    command = [sys.executable, "-m", "pytest", "-q", "-x", "-n", "0", "-p", "no:cacheprovider", *TESTS[mutation.file]]
    try:
        done = subprocess.run(command, cwd=project, env=environment, capture_output=True, timeout=LIMIT_S, check=False)
    except subprocess.TimeoutExpired:
        return True
    finally:
        compiled.cleanup()
        file.write_text(whole, encoding="utf-8")
    return done.returncode != 0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", default="", help="mutate the files whose path contains this")
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    asked = [mutation for mutation in MUTATIONS if arguments.only in mutation.file]
    with tempfile.TemporaryDirectory() as folder:
        project = Path(folder) / "project"
        project.mkdir()
        for name in COPIED:
            copy = shutil.copytree if (PROJECT / name).is_dir() else shutil.copy2
            copy(PROJECT / name, project / name)
        caught = [is_caught(project, each) for each in track(asked, console=Console(stderr=True))]
    table = Table("file", "text", "instead", "caught")
    for mutation, found in zip(asked, caught, strict=True):
        table.add_row(mutation.file, mutation.text.strip(), mutation.instead.strip(), "yes" if found else "NO")
    console = Console()
    console.print(table)
    console.print(f"{sum(caught)} of {len(caught)} caught")
    if arguments.json:
        rows = [asdict(mutation) | {"caught": found} for mutation, found in zip(asked, caught, strict=True)]
        arguments.json.write_text(json.dumps(rows, indent=1))


if __name__ == "__main__":
    main()
