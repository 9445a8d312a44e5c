"""A simulation as the command line runs it: who decides, in which world, what is shown, what is left at the end.

Contract
- The world is simulated, and the figures say so. At the end the profit stands beside that of a backtest of the same
  policy on the same world; without faults of the feed they are equal to rounding.
- An interrupted run keeps the figures up to the interruption.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from contextlib import ExitStack, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import typer
from rich.live import Live

from api.commands.in_process import InProcessService
from arbitrage.backtest.engine import run_backtest
from arbitrage.battery import Battery
from arbitrage.cli.output import print_figures, say, stderr
from arbitrage.errors import BadInput, Fault, refuse
from arbitrage.live.challenger import Contender, Setpoint, deciding
from arbitrage.live.decider import LiveDecider
from arbitrage.live.decision import PolicyIdentity, iso
from arbitrage.live.feed import Snapshot
from arbitrage.live.live_battery import LiveBattery
from arbitrage.live.simulated_source import FaultKind, FeedFault
from arbitrage.live.simulation import Scene, Simulation
from arbitrage.live.simulation_figures import live_table, outcome, seen_prices
from arbitrage.market.point_in_time import INDICATIVE
from arbitrage.market.series import MINUTE_PUBLICATION_DELAY_MIN
from arbitrage.market.simulation.simulator import simulate
from arbitrage.market.splits import Span
from arbitrage.policies.checkpoint.load import CARD_FILE, load_policy, read_card
from arbitrage.policies.protocol import Policy, RiskChoice
from arbitrage.policies.registry import RULES, find_strategy, strategy_names
from arbitrage.quarter_hour import MINUTES_PER_QUARTER_HOUR, epoch_minute

_DAY_MIN = 24 * 60
_HISTORY_DAYS = 18
"""Days before the simulated span, which features look back on."""
_AFTER_DAYS = 1


@dataclass(frozen=True, slots=True)
class Wanted:
    """What was asked for."""

    strategies: tuple[str, ...]
    """The first acts, the others are in its shadow."""
    days: float
    speed: float
    seed: int
    start: str
    preset: str
    risk_aversion: float | None
    faults: tuple[str, ...]
    battery: Battery
    """Of a rule; a policy decides for its own."""
    direct: bool = False
    """Whether to decide without the service between."""
    port: int | None = None
    """Where the service listens besides."""


def simulate_live(wanted: Wanted) -> dict[str, Any]:
    """Live through what is wanted, and return its figures. Raises BadInput."""
    deciders = _deciders(wanted)
    scene = _scene(wanted, deciders)
    with ExitStack() as stack:
        service = None if wanted.direct else stack.enter_context(_service(wanted, deciders[0]))
        contenders = _contenders(deciders, service, scene.start)
        simulation = Simulation(
            scene,
            contenders,
            min(each.step_min for each in deciders),
            polled=_unheard if service is None else service.receive,
            speed=wanted.speed,
        )
        played = _live(simulation)
    results = [_outcome(scene, decider, played, number) for number, decider in enumerate(deciders)]
    return {
        "simulated": True,
        "decided_by": "this process" if wanted.direct else "the service, over its interface",
        "preset": wanted.preset,
        "seed": wanted.seed,
        "start": iso(scene.start),
        "end": iso(scene.end),
        "publication_delay_min": scene.publication_delay_min,
        "interrupted": played.interrupted,
        "faults": list(wanted.faults),
        **results[0],
        "challengers": results[1:],
    }


def show(figures: dict[str, Any], json_out: str | None) -> None:
    """The figures for people, and as JSON where it is wanted."""
    text = json.dumps(figures, indent=2)
    if json_out == "-":
        typer.echo(text)
        return
    if json_out is not None:
        Path(json_out).write_text(text + "\n", encoding="utf-8")
    print_figures({name: value for name, value in figures.items() if name not in ("challengers", "final_state")})
    for each in figures["challengers"]:
        say("challenger:", f"{each['name']} would have made {each['profit_eur']:,.2f} EUR")
    if figures["interrupted"]:
        say("[yellow]broken off:[/yellow]", "the figures are those of the span until then")


def _service(wanted: Wanted, acting: LiveDecider) -> InProcessService:
    """The service that decides for the one who acts."""
    name, policy_id = wanted.strategies[0], acting.identity.policy_id
    policies = {} if name in RULES else {policy_id: name}
    return InProcessService(policies, policy_id, acting.battery, risk_aversion=wanted.risk_aversion, port=wanted.port)


def _contenders(deciders: list[LiveDecider], service: InProcessService | None, start: int) -> list[Contender]:
    """The one who acts, asked over the service if there is one, and its shadows."""
    contenders = [Contender(each.identity.policy_id, deciding(each), LiveBattery(each.battery)) for each in deciders]
    if service is not None:
        service.begin(contenders[0].asset, start * 60.0)
        contenders[0].decide = service.decide
    return contenders


def _unheard(_snapshot: Snapshot, _now_s: float) -> None:
    """The decider reads the feed itself."""


@dataclass(frozen=True, slots=True)
class _Played:
    """What is left of a simulation."""

    contenders: Sequence[Contender]
    setpoints: list[list[Setpoint]]
    """The setpoints of each contender."""
    prices: dict[int, float]
    """Final prices that the feed has brought."""
    interrupted: bool


def _live(simulation: Simulation) -> _Played:
    setpoints: list[list[Setpoint]] = [[] for _ in simulation.contenders]
    prices: dict[int, float] = {}
    screen = Live(console=stderr, refresh_per_second=8, transient=True) if stderr.is_terminal else nullcontext()
    try:
        with screen as live:
            for moment in simulation.run():
                seen_prices(moment, prices)
                for given, each in zip(setpoints, moment.setpoints, strict=True):
                    given.extend([] if each is None else [each])
                if live is not None:
                    live.update(live_table(moment, simulation.contenders, setpoints[0][-1] if setpoints[0] else None))
    except KeyboardInterrupt:
        return _Played(simulation.contenders, setpoints, prices, interrupted=True)
    return _Played(simulation.contenders, setpoints, prices, interrupted=False)


def _outcome(scene: Scene, decider: LiveDecider, played: _Played, number: int) -> dict[str, Any]:
    """What a contender made, with the backtest of the same beside it where it was not interrupted."""
    contender = played.contenders[number]
    figures = outcome(contender, played.setpoints[number], played.prices)
    if played.interrupted:
        return figures
    market = scene.world.market(
        with_minutes=decider.judged_series == INDICATIVE, publication_delay_min=scene.publication_delay_min
    )
    rows = market.rows(scene.start, scene.end)
    span = (Span(rows.start, rows.stop),)
    ledger = run_backtest(market, decider.battery, decider.policy, span, step_min=decider.step_min).ledger
    backtest_eur = float(ledger["profit_eur"].sum())
    return {
        **figures,
        "backtest_profit_eur": backtest_eur,
        "difference_to_backtest_eur": contender.profit_eur - backtest_eur,
    }


def _scene(wanted: Wanted, deciders: list[LiveDecider]) -> Scene:
    """Raises BadInput for a span, preset or faults that make no sense, or policies for different delays."""
    start = epoch_minute(wanted.start)
    quarter_hours = max(1, round(wanted.days * _DAY_MIN / MINUTES_PER_QUARTER_HOUR))
    end = start + MINUTES_PER_QUARTER_HOUR * quarter_hours
    faults = [_fault(text, start) for text in wanted.faults]
    delays = {delay for each in deciders if (delay := each.policy.publication_delay_min) is not None}
    if len(delays) > 1:
        raise BadInput([Fault("challenger", f"the policies were trained for different delays: {sorted(delays)} min")])
    delay_min = delays.pop() if delays else MINUTE_PUBLICATION_DELAY_MIN
    begin, over = start - _HISTORY_DAYS * _DAY_MIN, end + _AFTER_DAYS * _DAY_MIN
    world = simulate(begin, over, seed=wanted.seed, parameters=wanted.preset)
    with_minutes = any(each.judged_series == INDICATIVE for each in deciders)
    return Scene(world, start, end, delay_min, with_minutes, faults)


def _fault(text: str, start: int) -> FeedFault:
    """Reads KIND:AFTER:MINUTES. Raises BadInput."""
    kind, *numbers = text.split(":")
    if kind not in list(FaultKind) or len(numbers) != 2 or not all(number.isdecimal() for number in numbers):
        kinds = ", ".join(FaultKind)
        raise BadInput([Fault("fault", f"is KIND:AFTER:MINUTES with a kind of {kinds}, not {text!r}")])
    after, minutes = map(int, numbers)
    return FeedFault(FaultKind(kind), start + after, start + after + minutes)


def _deciders(wanted: Wanted) -> list[LiveDecider]:
    """Everybody who decides, all for one kind of battery: that of the learned policies, if there are any.

    Raises BadInput for a strategy that there is not, risk that it does not weigh, or another battery.
    """
    found = [_found(name) for name in wanted.strategies]
    unknown = [name for name, each in zip(wanted.strategies, found, strict=True) if each is None]
    known = ", ".join(strategy_names())
    refuse(
        Fault("strategy", f"{name!r} is neither one of {known}, nor module:Class, nor a policy directory")
        for name in unknown
    )
    ready = [each for each in found if each is not None]
    battery = next((own for policy, _ in ready if (own := policy.trained_battery) is not None), wanted.battery)
    acting, identity = ready[0]
    ready[0] = acting.with_risk(RiskChoice(wanted.risk_aversion)), identity
    return [LiveDecider(policy, battery, identity) for policy, identity in ready]


def _found(name: str) -> tuple[Policy, PolicyIdentity] | None:
    """A strategy, or the policy of a directory, as decisions name it; None where there is none. Raises BadInput."""
    spec = find_strategy(name)
    if spec is not None:
        return spec.make(), PolicyIdentity(_policy_id(name), spec.code_sha256)
    directory = Path(name)
    if not (directory / CARD_FILE).is_file():
        return None
    return load_policy(directory), PolicyIdentity(directory.resolve().name, read_card(directory)["tensors_sha256"])


def _policy_id(name: str) -> str:
    """The name, or the class of `module:Class`."""
    return name.rpartition(":")[2]
