from __future__ import annotations

import asyncio
import datetime as dt
import itertools
from collections.abc import Iterable

import pytest
from hypothesis import HealthCheck, given
from hypothesis import strategies as st

from api.storage.database.database import Database
from api.storage.decision_log import DecisionLog
from api.storage.decision_record import ChainLink, DecisionRecord, Role
from api.storage.price_ledger import KnownPrice, PriceLedger, PriceStage
from api.storage.reconciliation import Reconciled, reconcile
from api.storage.retention import delete_decisions
from tests.api.storage.decisions import MINUTE, NOON, decision
from tests.examples import examples

LIVE, VALIDATED = PriceStage.NEAR_REAL_TIME, PriceStage.VALIDATED
DAY = dt.timedelta(days=1)
_quarter_hours = itertools.count(100)
"""One for each example of a property, none of them used twice."""


def held(minute: float, minutes: float, power_mw: float = 1.0, **changes: object) -> DecisionRecord:
    """A decision that begins `minute` minutes after noon and is valid for `minutes`."""
    return decision(minute, valid_until=NOON + (minute + minutes) * MINUTE, power_mw=power_mw, **changes)


def link(record: DecisionRecord) -> ChainLink:
    return ChainLink(*(getattr(record, name) for name in ChainLink._fields))


def price(quarter_hours: int, stage: PriceStage, eur_mwh: float, known: float = 60) -> KnownPrice:
    return KnownPrice(NOON + 15 * quarter_hours * MINUTE, stage, eur_mwh, NOON + known * MINUTE)


def append(database: Database, records: Iterable[DecisionRecord]) -> None:
    async def together() -> None:
        log = DecisionLog(database)
        await asyncio.gather(*map(log.append, records))
        await log.close()

    asyncio.run(together())


def spans(rows: Iterable[Reconciled]) -> list[tuple[float, float]]:
    return [((row.start - NOON) / MINUTE, (row.end - NOON) / MINUTE) for row in rows]


def test_a_decision_is_worth_its_energy_at_each_price_as_it_becomes_known(database: Database) -> None:
    ledger = PriceLedger(database)
    append(database, [held(0, 15, power_mw=-0.8, price_seen_eur_mwh=-50.0)])

    def worth() -> tuple[float | None, ...]:
        (row,) = reconcile(ledger.chain("be-1", NOON, NOON + DAY), ledger.prices(NOON, NOON + DAY), NOON, NOON + DAY)
        assert row.energy_mwh == pytest.approx(-0.2)  # -0.8 MW for a quarter of an hour
        return row.profit_seen_eur, row.profit_near_real_time_eur, row.profit_validated_eur

    assert worth() == (pytest.approx(10.0), None, None)
    ledger.record([price(0, LIVE, -40.0)])
    assert worth() == (pytest.approx(10.0), pytest.approx(8.0), None)
    ledger.record([price(0, VALIDATED, 30.0), price(1, VALIDATED, 999.0)])
    assert worth() == (pytest.approx(10.0), pytest.approx(8.0), pytest.approx(-6.0))


def test_a_decision_holds_until_the_next_one_begins_and_never_after_its_end() -> None:
    chain = [held(0, 15), held(4, 2), held(10, 1)]
    assert spans(reconcile(chain, {}, NOON, NOON + DAY)) == [(0, 4), (4, 6), (10, 11)]


def test_of_decisions_that_begin_together_the_last_counts() -> None:
    chain = [held(0, 15), held(0, 5)]
    rows = list(reconcile(chain, {}, NOON, NOON + DAY))
    assert spans(rows) == [(0, 5)]
    assert rows[0].decision is chain[1]


def test_energy_is_cut_at_quarter_hours_and_each_part_has_its_price() -> None:
    prices = {(NOON, LIVE): 100.0, (NOON + 15 * MINUTE, LIVE): 10.0}
    rows = list(reconcile([held(10, 15, power_mw=1.2)], prices, NOON, NOON + DAY))
    assert spans(rows) == [(10, 15), (15, 25)]
    assert [row.profit_near_real_time_eur for row in rows] == pytest.approx([10.0, 2.0])  # 0.1 and 0.2 MWh


def test_only_what_lies_within_the_time_asked_for_counts() -> None:
    start, end = NOON + 5 * MINUTE, NOON + 12 * MINUTE
    assert spans(reconcile([held(0, 10), held(10, 15), held(40, 5)], {}, start, end)) == [(5, 10), (10, 12)]


@given(
    st.lists(st.tuples(st.integers(0, 100), st.integers(1, 60), st.floats(-5, 5)), max_size=30),
    st.integers(0, 100),
    st.integers(0, 100),
)
def test_energy_is_that_of_a_battery_which_obeys_minute_by_minute(
    orders: list[tuple[int, int, float]], start: int, length: int
) -> None:
    chain = sorted((held(*order) for order in orders), key=lambda record: record.valid_from)
    by_minute = [0.0] * 200
    for record in chain:
        begin = round((record.valid_from - NOON) / MINUTE)
        ends = round((record.valid_until - NOON) / MINUTE)
        by_minute[begin:] = [record.power_mw] * (ends - begin) + [0.0] * (200 - ends)
    rows = list(reconcile(chain, {}, NOON + start * MINUTE, NOON + (start + length) * MINUTE))
    assert sum(row.energy_mwh for row in rows) == pytest.approx(sum(by_minute[start : start + length]) / 60, abs=1e-9)


def test_a_chain_is_of_one_asset_and_one_role_and_begins_early_enough(database: Database) -> None:
    served, before, too_old = held(0, 15), held(-600, 610), held(-24 * 60, 15)
    other, after = held(0, 15, asset_id="be-2"), held(30, 15)
    challengers = [held(0, 15, role=Role.CHALLENGER, policy_sha256=name) for name in "ab"]
    append(database, [served, before, too_old, other, after, *challengers])
    ledger, end = PriceLedger(database), NOON + 30 * MINUTE
    assert ledger.chain("be-1", NOON, end) == (link(before), link(served))
    assert ledger.chain("be-1", NOON, end, Role.CHALLENGER, "b") == (link(challengers[1]),)


def test_of_each_quarter_hour_and_stage_the_newest_price_is_kept(database: Database) -> None:
    ledger = PriceLedger(database)
    assert ledger.record([price(0, LIVE, 10.0, known=5), price(0, LIVE, 12.0, known=6), price(1, LIVE, 1.0)]) == 3
    assert ledger.record([price(0, LIVE, 11.0, known=5)]) == 0, "older than what is there"
    assert ledger.record([price(0, LIVE, 12.0, known=6)]) == 0, "the same again"
    assert ledger.record([price(0, LIVE, 12.0, known=9)]) == 0, "repeated later"
    assert ledger.record([price(0, VALIDATED, 0.1 + 0.2)]) == 1
    assert ledger.prices(NOON, NOON + 15 * MINUTE) == {(NOON, LIVE): 12.0, (NOON, VALIDATED): 0.1 + 0.2}


@examples(25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.permutations(range(6)), st.lists(st.floats(-5e3, 5e3), min_size=6, max_size=6, unique=True))
def test_a_feed_that_repeats_contradicts_itself_and_comes_late_ends_with_the_newest_price(
    database: Database, order: list[int], values: list[float]
) -> None:
    ledger, quarter_hour, newest_so_far = PriceLedger(database), next(_quarter_hours), 0
    for known in order:
        ledger.record([price(quarter_hour, LIVE, values[known], known=1e6 + known)] * 2)
        newest_so_far = max(newest_so_far, known)
        start = NOON + quarter_hour * 15 * MINUTE
        assert ledger.prices(start, start + MINUTE) == {(start, LIVE): values[newest_so_far]}


def test_no_prices_are_no_work(database: Database) -> None:
    assert PriceLedger(database).record([]) == 0


def test_a_price_off_the_grid_of_quarter_hours_is_refused() -> None:
    with pytest.raises(ValueError, match=r"12:01:00\+00:00 is not the start of a quarter-hour"):
        KnownPrice(NOON + MINUTE, LIVE, 1.0, NOON)


def test_what_decisions_still_wait_for_is_known(database: Database) -> None:
    append(database, [held(1, 1), held(2, 1), held(31, 1), held(16, 1), held(61, 1)])
    ledger = PriceLedger(database)
    ledger.record([price(1, VALIDATED, 5.0), price(0, LIVE, 5.0)])
    assert ledger.unpriced(VALIDATED, NOON + 60 * MINUTE) == (NOON, NOON + 30 * MINUTE)
    assert ledger.unpriced(LIVE, NOON + 60 * MINUTE, limit=1) == (NOON + 15 * MINUTE,)


def left(database: Database) -> list[DecisionRecord]:
    return list(reversed(DecisionLog(database).find(limit=1000).records))


def test_old_decisions_go_in_batches_and_those_that_are_not_settled_stay(database: Database) -> None:
    settled, over_two = [held(number, 1) for number in range(7)], held(14, 2)
    unsettled, young = held(30, 1), held(45, 1)
    append(database, [*settled, over_two, unsettled, young])
    ledger = PriceLedger(database)
    ledger.record([price(0, VALIDATED, 5.0), price(2, LIVE, 5.0), price(3, VALIDATED, 5.0)])
    assert list(delete_decisions(database, young.generated_at, batch=3)) == [3, 3, 1, 0], "of three looked at each time"
    assert left(database) == [over_two, unsettled, young]
    ledger.record([price(1, VALIDATED, 5.0)])
    assert list(delete_decisions(database, young.generated_at)) == [1]
    assert left(database) == [unsettled, young]
    assert list(delete_decisions(database, young.generated_at, unsettled_too=True)) == [1]
    assert left(database) == [young]


def test_a_deletion_that_is_broken_off_keeps_the_rest(database: Database) -> None:
    records = [held(number, 1) for number in range(6)]
    append(database, records)
    next(delete_decisions(database, NOON + DAY, unsettled_too=True, batch=2))
    assert left(database) == records[2:]


def test_the_end_of_a_decision_on_a_quarter_hour_needs_no_price_of_the_next(database: Database) -> None:
    append(database, [held(0, 15)])
    PriceLedger(database).record([price(0, VALIDATED, 5.0)])
    assert list(delete_decisions(database, NOON + DAY)) == [1]
