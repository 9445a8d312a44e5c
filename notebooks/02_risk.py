# ---
# jupyter:
#   jupytext:
#     formats: ipynb,py:percent
#     text_representation:
#       extension: .py
#       format_name: percent
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # The risk dial
#
# A battery trader may give up a little of the mean to have fewer bad days. The policy trained here carries a *risk
# head*: seven numbers that change with one dial, from 0 (risk-neutral) to 0.95. They are found once, by search on the
# profits of whole days; turning the dial afterwards trains nothing. Everything below is SIMULATED: the embedded sample
# of three months, the first two to learn from and the last one to look at. One month has three days in its worst tenth,
# so differences below are illustrations and no evidence; `benchmarks/risk_dial.py` is where the evidence is.

# %%
import os
from pathlib import Path

import numpy as np

from arbitrage.backtest.report.figures.risk_frontier import draw_daily_change, draw_day, draw_frontier, draw_outcomes
from arbitrage.backtest.report.risk_frontier import frontier, run_at_risk_aversions
from arbitrage.battery import Battery, BatteryState
from arbitrage.dispatch import Dispatcher
from arbitrage.learners.closed_form.config import ClosedFormConfig
from arbitrage.learners.closed_form.network_training import NetworkConfig
from arbitrage.learners.closed_form.risk_search import RiskSearchConfig
from arbitrage.market.simulation.embedded_sample import sample_market
from arbitrage.market.splits import DaysOfMonth, SocReset, select
from arbitrage.policies.checkpoint.load import load_policy
from arbitrage.policies.checkpoint.risk_setting import write_setting
from arbitrage.policies.closed_form.lattice import LatticeSize
from arbitrage.policies.closed_form.risk_head import NAMES
from arbitrage.quarter_hour import epoch_minute
from arbitrage.risk import RiskMeasure, RiskPreference
from arbitrage.training.closed_form import ClosedFormTrainer
from arbitrage.training.data_split import DataSplit

# %% [markdown]
# ## Settings
# `ARBITRAGE_NOTEBOOK=small` makes everything small, to see that the notebook runs.

# %%
small = os.environ.get("ARBITRAGE_NOTEBOOK") == "small"
where = Path(os.environ.get("ARBITRAGE_NOTEBOOK_RUNS", "runs/notebook")) / "policy"
positions = (0.0, 0.5, 0.95) if small else (0.0, 0.25, 0.5, 0.75, 0.9, 0.95)
battery = Battery(power_mw=1.0, capacity_mwh=2.0, max_cycles_per_day=1.1)
small_config = ClosedFormConfig(cosines=32, passes=1, network=NetworkConfig(width=8, steps=60), size=LatticeSize(5, 4))
config = small_config if small else ClosedFormConfig()
search = RiskSearchConfig(points=(0.5, 0.95), samples=10, elite=4, rounds=2) if small else RiskSearchConfig()

# %% [markdown]
# ## Train
# Days 1 to 25 of March and April to learn from, the rest of them to choose on; energy is carried over midnight.

# %%
market = sample_market()
split = DataSplit(
    market=market,
    train_days=DaysOfMonth(1, 25),
    validation_days=DaysOfMonth(26, 31),
    end=epoch_minute("2025-05-01T00:00+02:00"),
    soc_reset=SocReset.NEVER,
)
trainer = ClosedFormTrainer(config=config, risk_search=search)
(where / "risk.json").unlink(missing_ok=True)
card = trainer.fit(split, battery, 0, where)
policy = load_policy(where)
card["training_seconds"]

# %% [markdown]
# ## The dial
# What the seven numbers are at each position. All zero is the risk-neutral policy, bit for bit.

# %%
np.round([policy.head.parameters(position) for position in positions], 2), NAMES

# %% [markdown]
# May, which nobody has learned from, at each position of the dial.

# %%
may = select(market, start="2025-05-01T00:00+02:00", soc_reset=SocReset.NEVER)
runs = run_at_risk_aversions(market, policy, may, positions)
frontier(runs).round(1)

# %%
draw_frontier(runs)

# %% [markdown]
# ## One day
# Move the slider under the picture: price, power (discharge up), and what is in store.

# %%
draw_day(runs, "2025-05-14")

# %% [markdown]
# Every day's profit, worst days to the left; the line is the risk-neutral policy.

# %%
draw_daily_change(runs)

# %% [markdown]
# ## What may come of each action
# The quantile critic's distribution of the profit from noon to midnight, for a half-full battery. The dotted line marks
# the worst tenth.

# %%
noon, half_full = epoch_minute("2025-05-14T12:00+02:00"), BatteryState(battery.capacity_mwh / 2.0, cycles_used=0.3)
draw_outcomes(Dispatcher(policy, battery, market, noon, 15).outcomes_eur(0, half_full))

# %% [markdown]
# ## Turn the dial yourself
# Two ways, both at decision time: `risk_aversion` turns the whole-day head; a preference weighs a risk measure of each
# step's outcomes against the mean, as the reference does with VaR (which, by the step, rarely helps the day's tail).

# %%
risk_aversion = 0.5
preference = None  # or: RiskPreference(RiskMeasure.CVAR, level=0.1, weight=0.5)

mine = policy.with_risk_aversion(risk_aversion).with_risk_preference(preference)
cautious = policy.with_risk_preference(RiskPreference(RiskMeasure.VAR, level=0.1, weight=1.0))
for own in (policy, mine, cautious):
    decision = Dispatcher(own, battery, market, noon, 15).decide(0, half_full, profit_today_eur=250.0)
    print(decision.action, decision.power_mw, decision.intent.reason)

# %% [markdown]
# Write the setting beside the policy: `load_policy`, the command line and the service obey it from now on.

# %%
print(write_setting(where, mine).read_text())
assert load_policy(where).risk_aversion == risk_aversion
