"""The commands by name, with the line that the help says of each: what is needed to list them without loading any.

Contract: nothing is imported from here but the standard library. A command's line is the first sentence of its
docstring.
"""

from __future__ import annotations

from typing import NamedTuple

START, DATA, LEARN, TEST, LIVE = "First steps", "Data", "Learn", "Test", "Decide"


class CommandLine(NamedTuple):
    """A command as the help lists it."""

    panel: str
    line: str
    target: str | None = None
    """`module:function`; None for a group, and for a command that an entry point brings."""


COMMANDS = {
    "demo": CommandLine(
        START,
        "Train on the embedded simulated market, backtest on its unseen days, and write a report.",
        "arbitrage.cli.demo:demo_command",
    ),
    "doctor": CommandLine(
        START,
        "Check that this installation can do its work; exit 1 if it cannot.",
        "arbitrage.cli.doctor:doctor_command",
    ),
    "data": CommandLine(DATA, "Look at market files and fetch them."),
    "data validate": CommandLine(
        DATA,
        "Read files and say what is wrong with them and where they have gaps: exit 0 if nothing is wrong, else 2.",
        "arbitrage.cli.data:validate_command",
    ),
    "data info": CommandLine(DATA, "Say what files hold.", "arbitrage.cli.data:info_command"),
    "data formats": CommandLine(
        DATA, "List what is read, with an example of each.", "arbitrage.cli.data:formats_command"
    ),
    "data fetch": CommandLine(
        DATA,
        "Bring past prices and forecasts into the store; repeating it fetches only what may have changed.",
        "arbitrage.cli.data:fetch_command",
    ),
    "data watch": CommandLine(
        DATA,
        "Poll the near-real-time sets into the store until Ctrl-C, and say what is the newest record.",
        "arbitrage.cli.data:watch_command",
    ),
    "train": CommandLine(LEARN, "Learn a policy from past prices.", "arbitrage.cli.train:train_command"),
    "learn": CommandLine(
        LEARN,
        "Train a neural agent (DQN, SAC and their distributional kin) on counterfactual transitions of past prices.",
        "arbitrage.cli.learn:learn_command",
    ),
    "fit-mpc": CommandLine(
        LEARN,
        "Fit a price forecast for rolling model-predictive control (needs scikit-learn: extra `compare`).",
        "arbitrage.cli.fit_mpc:fit_mpc_command",
    ),
    "policies": CommandLine(LEARN, "Look at trained policies."),
    "policies show": CommandLine(
        LEARN,
        "Say what a policy is: features and units, battery, data, split, seeds, figures, code.",
        "arbitrage.cli.policies:show_command",
    ),
    "policies list": CommandLine(
        LEARN, "List all policies at or below a folder.", "arbitrage.cli.policies:list_command"
    ),
    "backtest": CommandLine(
        TEST,
        "Run a strategy over past prices, settle it, and write figures and a report.",
        "arbitrage.cli.backtest:backtest_command",
    ),
    "compare": CommandLine(
        TEST,
        "Compare strategies run over the same days, or run folders, with differences to the first one paired by day.",
        "arbitrage.cli.backtest:compare_command",
    ),
    "walk-forward": CommandLine(
        TEST,
        "Train again at intervals and test the months after each training.",
        "arbitrage.cli.walk_forward:walk_forward_command",
    ),
    "sweep": CommandLine(
        TEST,
        "Train and test over a grid of strategies, seeds, windows, risk settings and batteries.",
        "arbitrage.cli.sweep:sweep_command",
    ),
    "report": CommandLine(
        TEST,
        "Draw the tear sheet of a run folder again, without data or policy, and print it where that is asked for.",
        "arbitrage.cli.runs:report_command",
    ),
    "decide": CommandLine(
        LIVE,
        "Decide one quarter-hour, or one minute where the policy looks at minutes, on what was known then.",
        "arbitrage.cli.decide:decide_command",
    ),
    "serve": CommandLine(LIVE, "Decide over HTTP."),
    "simulate-live": CommandLine(
        LIVE, "Play a simulated market as if it were live: feed, decisions, battery, settlement, profit."
    ),
}
"""Those below a group bear its name first."""
