"""The log of decisions: written before the answer leaves, never changed, each decision exactly once.

Contract
- `append` returns after the commit. Of requests with the same principal and idempotency key, however many at once and
  in however many processes, the first to be committed is stored; all get that one's record.
- An append that the database cannot hold fails alone.
- A decision can be committed against the version of its asset, with what it makes of the asset's state: all of that
  is there, or nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass

from sqlalchemy import Connection, and_, select
from sqlalchemy.exc import StatementError

from api.storage.asset_store import StateChange, change_state
from api.storage.asset_versions import VersionCheck
from api.storage.bulk_insert import BulkInsert
from api.storage.database.database import Database, is_outage, reason
from api.storage.database.refusals import AssetUnknown, IdempotencyKeyReused, RecordRefused, VersionConflict
from api.storage.database.tables import DecisionRow
from api.storage.decision_record import COLUMNS, NAMES, DecisionRecord
from api.storage.group_commit import LONGEST_QUEUE, GroupCommit
from api.storage.log_reader import LogReader, stored

_FAULTS_OF_A_RECORD = (StatementError, ValueError, TypeError, OverflowError)


@dataclass(frozen=True, slots=True)
class _Entry:
    """What one waiter wants committed."""

    record: DecisionRecord
    change: StateChange | None


@dataclass(frozen=True, slots=True)
class Appended:
    """What the log holds after an append."""

    record: DecisionRecord
    is_new: bool
    """False if an earlier request with the same idempotency key was there first: `record` is what that one got."""


class DecisionLog(LogReader):
    """Appends decisions in groups and finds them again."""

    def __init__(self, database: Database, longest_queue: int = LONGEST_QUEUE) -> None:
        super().__init__(database)
        self._insert = database.insert(DecisionRow).on_conflict_do_nothing()
        self._bulk = BulkInsert(database, DecisionRow, NAMES)
        self._versions = VersionCheck(database)
        self._writer: GroupCommit[_Entry, Appended] = GroupCommit(self._append_together, longest_queue)

    @property
    def waiting(self) -> int:
        """How many records wait for their transaction to begin."""
        return len(self._writer)

    async def append(
        self, record: DecisionRecord, change: StateChange | None = None, on_taken: Callable[[], None] | None = None
    ) -> Appended:
        """Store a decision, and what it rests on and makes of its asset; returns after the commit.

        A request that was answered before changes no state again. Raises IdempotencyKeyReused if the key stood for
        another request, RecordRefused for a record that the database cannot hold, VersionConflict or AssetUnknown if
        the state cannot be changed, StorageBusy if too many wait, StorageUnavailable if the database fails, and
        StorageClosed after `close`. In every such case neither is stored. Raises OutcomeOpen if the connection broke
        and no one knows. on_taken: see `GroupCommit.write`.
        """
        return await self._writer.write(_Entry(record, change), on_taken)

    async def close(self) -> None:
        """Wait until all that was to be appended is; refuse further appends."""
        await self._writer.close()

    def _append_together(self, entries: Sequence[_Entry]) -> Sequence[Appended | Exception]:
        """One transaction for all; if a record spoils it, one for all again in which each may fail alone."""
        records = [entry.record for entry in entries]
        changes = [entry.change for entry in entries if entry.change is not None]
        if all(change.state is None for change in changes):
            if self._bulk.store(_in_order(records), self._versions.check(changes) if changes else None):
                return [Appended(record, is_new=True) for record in records]
            if not changes:
                with suppress(*_FAULTS_OF_A_RECORD), self._database.writing() as connection:
                    return self._append_all(connection, records)
        in_order = sorted(range(len(entries)), key=lambda number: _lock_order(entries[number]))
        with self._database.writing() as connection:
            outcomes = {number: self._append_apart(connection, entries[number]) for number in in_order}
        return [outcomes[number] for number in range(len(entries))]

    def _append_all(self, connection: Connection, records: Sequence[DecisionRecord]) -> list[Appended | Exception]:
        inserted = connection.execute(self._insert, [record.as_row() for record in _in_order(records)]).rowcount
        if inserted == len(records):
            return [Appended(record, is_new=True) for record in records]
        return [_appended(connection, record) for record in records]

    def _append_apart(self, connection: Connection, entry: _Entry) -> Appended | Exception:
        try:
            with connection.begin_nested():
                (outcome,) = self._append_all(connection, [entry.record])
                if entry.change is not None and isinstance(outcome, Appended) and outcome.is_new:
                    change_state(connection, entry.change)
                return outcome
        except (VersionConflict, AssetUnknown) as refused:
            return refused
        except _FAULTS_OF_A_RECORD as error:
            if is_outage(error):
                raise
            return RecordRefused(f"decision {entry.record.decision_id!r} cannot be stored: {reason(error)}")


def _lock_order(entry: _Entry) -> tuple[str, str, str]:
    """Assets and keys in one order for everybody, as for `_in_order`."""
    asset_id = "" if entry.change is None else entry.change.asset_id
    return asset_id, entry.record.principal, entry.record.idempotency_key or ""


def _in_order(records: Sequence[DecisionRecord]) -> list[DecisionRecord]:
    """Keys in one order for everybody: two processes that insert the same two keys never wait for each other."""
    return sorted(records, key=lambda record: (record.principal, record.idempotency_key or ""))


def _appended(connection: Connection, record: DecisionRecord) -> Appended | Exception:
    """What the log holds for a record after an insert that some earlier record may have forestalled."""
    if record.idempotency_key is None:
        same = DecisionRow.decision_id == record.decision_id
    else:
        same = and_(DecisionRow.principal == record.principal, DecisionRow.idempotency_key == record.idempotency_key)
    there = stored(connection, select(*COLUMNS).where(same))
    if there is None or (record.idempotency_key is None and there != record):
        return RecordRefused(f"the log already holds another decision {record.decision_id!r}")
    if there.request_sha256 != record.request_sha256:
        return IdempotencyKeyReused(
            f"the idempotency key {record.idempotency_key!r} was used before, for another request"
        )
    return Appended(there, is_new=there.decision_id == record.decision_id)
