"""The pictures of what was earned, with their words: money, rivals, the gap, risk, seeds."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np

from arbitrage.backtest.attribution import CAUSE_IN_WORDS, CAUSES
from arbitrage.backtest.bootstrap import Estimate
from arbitrage.backtest.report import missing_panels as lacks
from arbitrage.backtest.report.figures import drawing
from arbitrage.backtest.report.figures import results as result_figures
from arbitrage.backtest.report.figures.results import Bracket
from arbitrage.backtest.report.figures.rounding import counted, interval, number, percent
from arbitrage.backtest.report.material import Material
from arbitrage.backtest.report.panel import Panel, euros, panel_or_reason
from arbitrage.backtest.statistics import AHEAD, BEHIND, FEWEST_DAYS_FOR_A_VERDICT, TAIL_LEVEL, UNDECIDED, estimate

_BY = {
    "wrong_direction_eur": "trading the wrong way",
    "held_back_eur": "holding back",
    "wrong_time_eur": "trading too soon",
    "soc_in_the_way_eur": "being empty or full when it mattered",
    "budget_spent_eur": "spending the cycle budget too early",
    "rest_eur": "not attainable",
}
_VERDICT_COLOURS = {AHEAD: drawing.OWN, BEHIND: drawing.TAIL, UNDECIDED: drawing.GREY}


def result_panels(material: Material) -> Iterator[Panel]:
    """All of them that rivals and seeds are there for; one without anything to show says why."""
    unsettled = lacks.no_settlement(material.backtest.ledger)

    def panel(name: str, subject: str, why_not: str | None, draw: Callable[[Material], Panel]) -> Panel:
        return panel_or_reason(name, subject, why_not, lambda: draw(material))

    if material.real_rivals:
        yield panel("leads", "Lead over rivals", lacks.no_leads(material), _leads)
    yield panel("cumulative", "Profit since the first day", lacks.no_profits(material), _cumulative)
    yield panel("gap", "The gap to perfect foresight", lacks.no_gap(material), _gap)
    if len(material.causes) > 1:
        yield panel("causes", "Where each strategy loses it", unsettled or lacks.no_losses(material), _causes)
    one_day = lacks.no_course_of_days(material, "distribution")
    yield panel("distribution", "How profits of a day are spread", one_day, _distribution)
    yield panel("drawdown", "Drawdown", lacks.no_drawdown(material), _drawdown)
    if len(material.seeds_eur) > 1:
        yield panel("seeds", "Training seeds", unsettled, _seeds)


def _leads(material: Material) -> Panel:
    rows = []
    for name in material.real_rivals:
        lead = material.leads[name]
        found = Estimate(*(float(lead[part]) for part in ("lead_eur", "lead_low_eur", "lead_high_eur")))
        colour = _VERDICT_COLOURS[str(lead["verdict"])]
        wide = None if found.interval is None else [float(lead[f"simultaneous_{end}_eur"]) for end in ("low", "high")]
        rows.append(Bracket(f"over {name}", found, wide, colour))
    beaten = [name for name in material.real_rivals if material.leads[name]["verdict"] == AHEAD]
    count, total = len(beaten), len(rows)
    heading = f"Ahead of {'all' if count == total else f'{count} of'} {total} rivals beyond chance"
    if total == 1:
        heading = f"{'Ahead' if count else 'Not ahead'} of {material.real_rivals[0]} beyond chance"
    intervals = (
        "Thick: 95 % interval; thin: 95 % for all rivals at once. The verdict is adjusted for their number (Holm)."
        if material.days > 1
        else "One day gives no interval."
    )
    few = " Fewer than six days distinguish no lead from chance." if material.days < FEWEST_DAYS_FOR_A_VERDICT else ""
    caption = f"What it earned a day more than each rival, on the same days{_over_seeds(material)}. {intervals}{few}"
    key = [
        ("ahead", drawing.OWN, "block"),
        ("behind", drawing.TAIL, "block"),
        ("undecided", drawing.GREY, "block"),
    ]
    return Panel("leads", heading, caption, result_figures.brackets(rows, "Lead (EUR a day)", {"0": 0.0}), key)


def _cumulative(material: Material) -> Panel:
    strokes = drawing.strokes([str(name) for name in material.daily_eur.columns])
    key = [(name, stroke.colour, stroke.css_border) for name, stroke in strokes.items()]
    total, ceiling = material.figures["profit_eur"], material.backtest.foresight.profit_eur
    heading = f"{euros(total)} in {counted(material.days, 'day')}, of {euros(ceiling)} that were there"
    caption = "Daily profits added up, wear deducted. Days that were tested stand side by side."
    return Panel("cumulative", heading, caption, result_figures.cumulative_profit(material.daily_eur), key)


def _gap(material: Material) -> Panel:
    lost = material.figures["gap_by_cause_eur_per_day"]
    gap, ceiling = material.figures["gap_eur_per_day"], material.figures["perfect_foresight_eur_per_day"]
    worst = max(CAUSES, key=lambda cause: lost[cause])
    most = number(lost[worst], material.decimals)
    heading = f"{_eur(material, gap)} a day short of perfect foresight, {most} of it by {_BY[worst]}"
    if gap < 0.005 * ceiling:
        heading = "Nothing to speak of lies between it and perfect foresight"
    caption = (
        "Each decision is compared with the best one from the same state in hindsight. What it lost is charged to the "
        "decision that lost it, not to the moment it was felt, and all of it adds up to the gap."
    )
    figure = result_figures.gap_waterfall(ceiling, lost, material.figures["profit_eur_per_day"])
    return Panel("gap", heading, caption, figure)


def _causes(material: Material) -> Panel:
    key = [
        (CAUSE_IN_WORDS[cause], colour, "block")
        for cause, colour in zip(CAUSES, result_figures.CAUSE_COLOURS, strict=True)
    ]
    caption = "The same account for every strategy but the floor, which lost it all by holding back."
    figure = result_figures.causes_side_by_side(material.causes)
    return Panel("causes", "Where each strategy loses it", caption, figure, key)


def _distribution(material: Material) -> Panel:
    figures, daily = material.figures, material.daily_eur[material.backtest.strategy]
    tail = percent(TAIL_LEVEL, 0)
    conditional = figures["conditional_value_at_risk_eur"]
    lost = percent(figures["losing_days_fraction"], 0)
    heading = f"{lost} of days lost money; the worst {tail} averaged {_eur(material, conditional)}"
    bounds = [
        interval(figures[f"{name}_interval"], material.decimals)
        for name in ("value_at_risk_eur", "conditional_value_at_risk_eur")
    ]
    caption = (
        f"The median day earned {_eur(material, float(daily.median()))}. VaR is the best of the worst {tail} of days "
        f"(95 % interval {bounds[0]} EUR), CVaR their mean ({bounds[1]} EUR)."
    )
    marks = result_figures.daily_marks_eur(daily)
    key = [("VaR or worse", drawing.TAIL, "block"), ("better than VaR", drawing.OWN, "block")]
    key += [
        (f"{name} {number(value, material.decimals)} EUR", drawing.INK, drawing.css_border(result_figures.MARKS[name]))
        for name, value in marks.items()
    ]
    return Panel("distribution", heading, caption, result_figures.profit_distribution(daily), key)


def _drawdown(material: Material) -> Panel:
    deepest = material.figures["largest_drawdown_eur"]
    heading = f"The largest drawdown was {_eur(material, deepest)}"
    caption = "How far the running total lay below its highest point so far. In EUR: there is no capital base here."
    daily = material.daily_eur[material.backtest.strategy]
    return Panel("drawdown", heading, caption, result_figures.drawdown(daily))


def _seeds(material: Material) -> Panel:
    names = [material.backtest.strategy, *(seed.strategy for seed in material.other_seeds)]
    means = material.seeds_eur.mean(axis=1)
    mean, spread = material.seeds_mean, float(means.std(ddof=1))
    rows = [Bracket(f"mean of {len(names)} seeds", mean, colour=drawing.INK)]
    rows += [Bracket(name, estimate(daily)) for name, daily in zip(names, material.seeds_eur, strict=True)]
    heading = f"{len(names)} training seeds lie {_eur(material, float(np.ptp(means)))} a day apart"
    caption = (
        f"Mean {_eur(material, mean.value_eur)} a day, standard deviation between seeds {_eur(material, spread)}. The "
        "interval of the mean is drawn over seeds and days at once; everything else on this page is the first seed's."
    )
    return Panel("seeds", heading, caption, result_figures.brackets(rows, "Profit (EUR a day)", {}))


def _eur(material: Material, value: float) -> str:
    """A sum with the decimals of all sums a day."""
    return f"{number(value, material.decimals)} EUR"


def _over_seeds(material: Material) -> str:
    count = len(material.seeds_eur)
    return f", by the mean over {count} seeds" if count > 1 else ""
