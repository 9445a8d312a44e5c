"""The command line. Results go to standard output and files, progress and complaints to standard error.

Exit codes: 0 done; 1 the job failed; 2 bad input, every fault named.
"""

from __future__ import annotations

import typer

from arbitrage.cli.backtest import add_backtests
from arbitrage.cli.data import add_data
from arbitrage.cli.decide import add_decide
from arbitrage.cli.demo import add_demo
from arbitrage.cli.doctor import examine
from arbitrage.cli.fit_mpc import add_fit_mpc
from arbitrage.cli.learn import add_learn
from arbitrage.cli.options import (
    SEVERAL_VALUES,
    JsonOut,
    write_json,
)
from arbitrage.cli.output import print_table
from arbitrage.cli.policies import policies_app
from arbitrage.cli.runs import add_runs
from arbitrage.cli.sweep import add_sweep
from arbitrage.cli.train import add_train
from arbitrage.cli.walk_forward import add_walk_forward

app = typer.Typer(
    help="Battery arbitrage in the Belgian imbalance settlement. Positive power is discharge; times are UTC.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)
for add in (
    add_demo,
    add_train,
    add_decide,
    add_data,
    add_backtests,
    add_walk_forward,
    add_learn,
    add_runs,
    add_fit_mpc,
    add_sweep,
):
    add(app)
app.add_typer(policies_app, name="policies")


@app.command("doctor")
def doctor_command(json_out: JsonOut = None) -> None:
    """Check that this installation can do its work; exit 1 if it cannot."""
    findings = examine()
    write_json([vars(finding) for finding in findings], json_out)
    if json_out != "-":
        print_table(("check", "ok", "detail"), [vars(finding) for finding in findings])
    if not all(finding.ok for finding in findings):
        raise RuntimeError("something is not as it should be")


def expanded(arguments: list[str]) -> list[str]:
    """Write `--prices A B` as `--prices A --prices B`, for the options that take several values."""
    out: list[str] = []
    option: str | None = None
    for argument in arguments:
        if argument.startswith("--"):
            option = argument if argument in SEVERAL_VALUES else None
        elif option is not None and out[-1] != option:
            out.append(option)
        out.append(argument)
    return out
