"""What the storage refuses, each kind with a class of its own, so that the service can answer each in its own way."""

from __future__ import annotations


class StorageRefusal(Exception):
    """The storage did not do what was asked; but for `OutcomeOpen` nothing was changed. The message says why."""


class DatabaseRefused(StorageRefusal):
    """The database cannot be used as it is: out of reach, of another program, or of a newer version of this one."""


class StorageUnavailable(StorageRefusal):
    """The database did not answer, is locked or full. The same request may succeed later."""


class OutcomeOpen(StorageUnavailable):
    """The connection broke while something was written: it may be there, or not."""


class ReadTooLong(StorageRefusal):
    """Reading took longer than it may. A smaller question may be answered."""


class StorageBusy(StorageRefusal):
    """More is waiting to be written than the queue may hold. The same request may succeed shortly."""


class StorageClosed(StorageRefusal):
    """The service is stopping and writes nothing any more."""


class RecordRefused(StorageRefusal):
    """The database cannot hold this record; others are not affected."""


class IdempotencyKeyReused(StorageRefusal):
    """The principal used this idempotency key before, for another request."""


class AssetUnknown(StorageRefusal):
    """There is no asset of this name."""


class VersionConflict(StorageRefusal):
    """The asset was changed since it was read."""

    def __init__(self, asset_id: str, expected: int, found: int) -> None:
        self.expected, self.found = expected, found
        super().__init__(f"asset {asset_id!r} is at version {found}, not {expected}: read it again")


class JobUnknown(StorageRefusal):
    """There is no job of this number."""


class JobsTooMany(StorageRefusal):
    """The principal has as many jobs queued and running as it may."""


class JobLost(StorageRefusal):
    """The job is no longer this worker's: it was given up as lost, was called off, or has ended."""
