"""What is shown of a simulation while it runs, and what is left of it at the end."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from rich.table import Table

from arbitrage.live.challenger import Contender, Setpoint
from arbitrage.live.decision import action_of, iso
from arbitrage.live.reconciliation import accounts, reconcile
from arbitrage.live.simulation import Moment, known_prices

_BAR = 20
_LEVELS = ("policy", "policy on the last good data", "day-ahead rule", "hold")
_COLOURS = {"charge": "cyan", "idle": "dim", "discharge": "yellow"}


def live_table(moment: Moment, contenders: Sequence[Contender], last: Setpoint | None) -> Table:
    """The moment as a table that a terminal can redraw."""
    table = Table(title=f"simulated market, {iso(moment.time)}", show_header=False, min_width=62)
    if last is not None:
        action = action_of(last.power_mw)
        price = last.price_seen_eur_mwh
        table.add_row("price seen", "unknown" if price is None else f"{price:,.2f} EUR/MWh")
        table.add_row("setpoint", f"[{_COLOURS[action]}]{action} {abs(last.power_mw):g} MW[/] ({last.reason})")
        shield = "" if last.shield_rule is None else f", cut by {last.shield_rule}"
        table.add_row("decided by", f"{_LEVELS[last.fallback_level]} (data {last.quality}){shield}")
    for number, each in enumerate(contenders):
        asset = each.asset
        full = asset.state.soc_mwh / asset.battery.capacity_mwh
        bar = "█" * round(_BAR * full) + "░" * (_BAR - round(_BAR * full))
        budget = asset.battery.max_cycles_per_day
        cycles = f"{asset.state.cycles_used:.2f}" + ("" if budget is None else f" of {budget:g}")
        name = each.name if number == 0 else f"{each.name} (shadow)"
        table.add_row(name, f"{bar} {full:4.0%}  cycles {cycles}  [bold]{each.profit_eur:+,.2f} EUR[/]")
    return table


def outcome(contender: Contender, moments: list[Setpoint], prices: dict[int, float]) -> dict[str, Any]:
    """What a contender made, at the price that it saw and at the final one."""
    total = reconcile(accounts(contender.flows, prices, {}))
    return {
        "name": contender.name,
        "profit_eur": contender.profit_eur,
        "wear_eur": total.wear_eur,
        "cash_at_seen_price_eur": total.seen.cash_eur,
        "cash_at_final_price_eur": total.near_real_time.cash_eur,
        "quarter_hours": total.near_real_time.known,
        "quarter_hours_without_price": total.near_real_time.unknown,
        "decisions": len(moments),
        "decisions_by_level": {
            _LEVELS[level]: count for level, count in sorted(Counter(m.fallback_level for m in moments).items())
        },
        "decisions_by_quality": dict(sorted(Counter(m.quality for m in moments).items())),
        "shielded_by": dict(sorted(Counter(m.shield_rule for m in moments if m.shield_rule is not None).items())),
        "final_state": asdict(contender.asset.state),
    }


def seen_prices(moment: Moment, prices: dict[int, float]) -> None:
    """Add what the feed has brought of final prices."""
    prices.update(known_prices(moment.snapshot, moment.time))
