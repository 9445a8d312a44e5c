"""A user's own strategy: what it is given, that none of it is of the future, and how a wrong one is refused."""

from __future__ import annotations

import gc
import math
from dataclasses import replace
from pathlib import Path
from types import FunctionType, ModuleType
from typing import ClassVar

import numpy as np
import pytest

from arbitrage.backtest.engine import run_backtest
from arbitrage.battery import Battery, BatteryState
from arbitrage.dispatch import decide
from arbitrage.errors import BadInput
from arbitrage.market.coverage import Need
from arbitrage.market.point_in_time import DAY_AHEAD, INDICATIVE, PRICE, KnownMarket, PointInTimeSeries
from arbitrage.market.series import MarketSeries
from arbitrage.market.simulation.embedded_sample import sample_market
from arbitrage.market.splits import select
from arbitrage.policies.minute_rule import indicative_spread_eur_mwh
from arbitrage.policies.own_strategy import MOST_RECORDS, Now, Strategy
from arbitrage.policies.protocol import CannotDecide
from arbitrage.policies.registry import RULES, find_strategy
from arbitrage.policies.rules import LAST_PRICE, SpreadRule, last_known_price_eur_mwh
from arbitrage.policies.strategy_spec import StrategySpec, folder_name
from arbitrage.quarter_hour import epoch_minute
from tests.worlds import market_of

BATTERY = Battery(max_cycles_per_day=1.5)
NOT_FOLLOWED = (type, ModuleType, FunctionType)
"""Through classes and modules everything in the program is reached."""
NOON = epoch_minute("2025-03-29T12:07+01:00")
HALF = BatteryState(1.0)
NEEDS = (LAST_PRICE, Need(DAY_AHEAD), Need(INDICATIVE))
IMPORT = "from arbitrage.policies.own_strategy import Strategy\n"
SPREAD = """
from arbitrage.market.coverage import Need
from arbitrage.market.point_in_time import DAY_AHEAD, PRICE
from arbitrage.policies.own_strategy import Now, Strategy


class MySpread(Strategy):
    '''The spread rule again.'''

    needs = (Need(PRICE), Need(DAY_AHEAD))

    def power_mw(self, now: Now) -> float:
        gap = now.last_price_eur_mwh - now.day_ahead_price_eur_mwh
        return -now.battery.power_mw if gap < -50.0 else now.battery.power_mw if gap > 50.0 else 0.0
"""


class Seeing(Strategy):
    """Keeps what it was given."""

    step_min = 1
    needs = NEEDS
    seen: ClassVar[list[Now]] = []

    def power_mw(self, now: Now) -> float:
        self.seen.append(now)
        return 0.0


def given(market: MarketSeries, time: int, state: BatteryState = HALF) -> Now:
    Seeing.seen.clear()
    decide(Seeing(), BATTERY, market, time, state, duration_min=1, profit_today_eur=12.0)
    return Seeing.seen[0]


def written(folder: Path, text: str, name: str = "mine.py") -> Path:
    path = folder / name
    path.write_text(text)
    return path


def test_a_strategy_is_given_what_the_rules_read_too() -> None:
    market = sample_market(with_minutes=True)
    now, known = given(market, NOON, BatteryState(0.5, 0.4)), market.known_at([NOON])
    assert now.time_utc.isoformat() == "2025-03-29T11:07:00+00:00"
    assert now.time_brussels.isoformat() == "2025-03-29T12:07:00+01:00"
    assert (now.soc_fraction, now.cycles_left, now.profit_today_eur) == (0.25, pytest.approx(1.1), 12.0)
    assert now.last_price_eur_mwh == last_known_price_eur_mwh(known)[0]
    spread = now.indicative_price_eur_mwh - now.day_ahead_price_eur_mwh
    assert spread == indicative_spread_eur_mwh(known)[0]
    final = known.gather(PRICE, [-45, -30, -15])[0]
    np.testing.assert_array_equal(now.history(3), final)
    np.testing.assert_array_equal(now.ahead(4), known.gather(DAY_AHEAD, [0, 15, 30, 45])[0])


def test_what_is_not_known_is_nan_and_holds_in_no_comparison() -> None:
    market = sample_market(with_minutes=True)
    now = given(market, int(market.quarter_hours[0]))
    assert math.isnan(now.last_price_eur_mwh)
    assert np.isnan(now.history(MOST_RECORDS)).all()


def altered_after(market: MarketSeries, time: int) -> MarketSeries:
    """The same market with another future: all that is not published by then is another."""
    return replace(
        market,
        known_series={
            name: replace(series, values=np.where(series.available_at > time, -9999.0, series.values))
            for name, series in market.known_series.items()
        },
    )


@pytest.mark.parametrize("time", [NOON, NOON - 7, epoch_minute("2025-03-30T01:59+01:00"), NOON + 11])
def test_nothing_that_a_strategy_is_given_is_of_the_future(time: int) -> None:
    market = sample_market(with_minutes=True)
    honest, other = given(market, time), given(altered_after(market, time), time)
    for records in ("past", "coming"):
        mine, its = getattr(honest, records), getattr(other, records)
        assert mine.keys() == its.keys()
        for name in mine:
            np.testing.assert_array_equal(mine[name], its[name])
            assert -9999.0 not in its[name]


def test_from_what_a_strategy_is_given_no_reference_leads_to_the_market() -> None:
    met, left = set(), [given(sample_market(with_minutes=True), NOON)]
    while left:
        one = left.pop()
        if id(one) in met or isinstance(one, NOT_FOLLOWED):
            continue
        met.add(id(one))
        assert not isinstance(one, (KnownMarket, PointInTimeSeries, MarketSeries))
        left += gc.get_referents(one)
        left += [one.base] if isinstance(one, np.ndarray) and one.base is not None else []
    assert len(met) > 5


def test_a_series_that_is_not_among_its_needs_cannot_be_read() -> None:
    class Careless(Strategy):
        needs = (LAST_PRICE,)

        def power_mw(self, now: Now) -> float:
            return now.day_ahead_price_eur_mwh

    with pytest.raises(CannotDecide, match=f"{DAY_AHEAD} is not a series of `needs`"):
        decide(Careless(), BATTERY, sample_market(), NOON - 7, BatteryState(0.0))


def test_a_strategy_remembers_nothing_from_one_decision_to_the_next() -> None:
    class Counting(Strategy):
        count = 0

        def power_mw(self, now: Now) -> float:
            self.count += 1
            return float(self.count)

    counting = Counting()
    result = run_backtest(market_of([50.0] * 8), BATTERY, counting, select(market_of([50.0] * 8)))
    assert set(result.ledger["asked_mw"]) == {1.0}
    assert counting.count == 0


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ("return None", "returned None, which is no finite number"),
        ("return float('nan')", "returned nan"),
        ("return True", "returned True"),
        ("return 1 / 0", "raised ZeroDivisionError"),
        ("return now.history(0)[0]", "count: must be 1 to 672, not 0"),
        ("return now.history(673)[0]", "count: must be 1 to 672, not 673"),
    ],
)
def test_a_strategy_that_comes_to_no_number_is_refused_with_the_time_and_the_reason(
    tmp_path: Path, body: str, said: str
) -> None:
    text = f"{IMPORT}class S(Strategy):\n  def power_mw(self, now):\n    {body}"
    spec = find_strategy(f"{written(tmp_path, text)}:S")
    with pytest.raises(CannotDecide, match=r"power_mw at 2025-03-29 11:00 UTC") as refused:
        decide(spec.make(), BATTERY, sample_market(), NOON - 7, BatteryState(0.0))
    assert said in str(refused.value)


def test_a_strategy_from_a_file_decides_as_the_rule_that_it_copies(tmp_path: Path) -> None:
    spec = find_strategy(f"{written(tmp_path, SPREAD)}:MySpread")
    market = sample_market()
    selection = select(market)[:3]
    own, rule = (run_backtest(market, BATTERY, policy, selection) for policy in (spec.make(), SpreadRule()))
    assert own.strategy == "MySpread"
    assert own.ledger["profit_eur"].tolist() == rule.ledger["profit_eur"].tolist()
    assert (spec.description, spec.tune, spec.step_min) == ("The spread rule again.", None, 15)
    assert len(spec.code_sha256 or "") == 64


def test_a_changed_file_is_read_again(tmp_path: Path) -> None:
    path = written(tmp_path, SPREAD)
    before = find_strategy(f"{path}:MySpread")
    path.write_text(SPREAD.replace("-50.0", "-60.0"))
    after = find_strategy(f"{path}:MySpread")
    assert before.code_sha256 != after.code_sha256
    assert before.make is not after.make


def test_a_module_in_the_current_folder_is_found_and_a_spec_in_it_may_be_tuned(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tuned = SPREAD + (
        "\nfrom arbitrage.policies.strategy_spec import StrategySpec\n"
        "TUNED = StrategySpec(name='x', description='Tuned.', make=MySpread, tune=lambda *given: MySpread())\n"
    )
    written(tmp_path, tuned, "a_module_of_mine.py")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.path", [*__import__("sys").path])
    spec = find_strategy("a_module_of_mine:TUNED")
    assert spec.name == "a_module_of_mine:TUNED"
    assert spec.tuned(sample_market(), BATTERY, [object()], "days").name == "MySpread"
    assert find_strategy("a_module_of_mine:MySpread").tune is None


def test_an_installed_package_brings_strategies_by_its_entry_points(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    written(tmp_path, SPREAD, "brought_module.py")
    about = tmp_path / "brought-1.0.dist-info"
    about.mkdir()
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: brought\nVersion: 1.0\n")
    (about / "entry_points.txt").write_text("[arbitrage.strategies]\nmy-spread = brought_module:MySpread\n")
    monkeypatch.syspath_prepend(tmp_path)
    spec = find_strategy("my-spread")
    assert spec is not None
    assert (spec.name, spec.make().name) == ("my-spread", "MySpread")


@pytest.mark.parametrize(
    ("text", "reference", "said"),
    [
        (SPREAD, "{folder}/none.py:MySpread", ["there is no file"]),
        (SPREAD, "no_such_module_at_all:MySpread", ["there is no module no_such_module_at_all", "file.py:Class"]),
        (SPREAD, "{path}:Other", ["has no Other", "its strategies are MySpread"]),
        ("1 / 0", "{path}:A", ["raised ZeroDivisionError", "mine.py:1"]),
        ("import no_such_module_at_all", "{path}:A", ["raised ModuleNotFoundError"]),
        ("def broken(:", "{path}:A", ["raised SyntaxError"]),
        (
            f"{IMPORT}class A(Strategy):\n    pass",
            "{path}:A",
            ["lacks power_mw"],
        ),
        (
            "class A:\n    name = ''\n    step_min = 7\n    needs = ('price',)",
            "{path}:A",
            [
                "lacks bind, ",
                "with_risk",
                "derive it from",
                "name must be",
                "needs must be",
                "one of 1, 3, 5, 15 minutes",
            ],
        ),
        (
            "class A:\n    def __init__(self, x):\n        pass",
            "{path}:A",
            ["without arguments", "lacks bind, with_risk"],
        ),
        (
            "class A:\n    def __init__(self):\n        raise OSError('no disk')",
            "{path}:A",
            ["raised OSError: no disk"],
        ),
        ("A = 3", "{path}:A", ["lacks bind"]),
    ],
)
def test_what_cannot_be_used_is_refused_with_all_that_is_missing(
    tmp_path: Path, text: str, reference: str, said: list[str]
) -> None:
    path = written(tmp_path, text)
    with pytest.raises(BadInput) as refused:
        find_strategy(reference.format(path=path, folder=tmp_path))
    assert [words for words in said if words not in str(refused.value)] == []


def test_a_name_without_code_is_no_strategy_of_one_s_own() -> None:
    assert find_strategy("some/policy/directory") is None
    assert find_strategy("guess") is None
    assert {name: find_strategy(name) for name in RULES} == RULES


def test_a_rule_asks_for_every_series_that_the_market_lacks_with_its_option() -> None:
    prices = market_of([50.0] * 4)
    spec = RULES["minute-spread"]
    with pytest.raises(BadInput) as refused:
        spec.refuse_without_sources(prices)
    assert "minute records of the price; give them with --minutes" in str(refused.value)
    assert "day-ahead prices; give them with --day-ahead" in str(refused.value)
    RULES["threshold"].refuse_without_sources(prices)


def test_every_spec_says_what_its_strategy_says() -> None:
    for name, spec in RULES.items():
        policy = spec.make()
        assert isinstance(spec, StrategySpec)
        assert (spec.name, spec.needs, spec.step_min) == (name, policy.needs, policy.step_min)
        assert spec.description.endswith(".")


@pytest.mark.parametrize("name", ["../up.py:A", "/etc/x.py:A", "a.b:C", "..", "a/b", "C:\\x.py:A"])
def test_a_strategy_s_folder_is_one_below_the_given_one(name: str, tmp_path: Path) -> None:
    folder = (tmp_path / folder_name(name)).resolve()
    assert folder.parent == tmp_path.resolve()
    assert ":" not in folder.name
    assert folder_name("quantile-dqn") == "quantile-dqn"
    assert folder_name("a.b:C") != folder_name("a.b-C")
