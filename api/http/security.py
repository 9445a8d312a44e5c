"""The keys that callers show: what the service keeps of one, how a file of them is read, and which are accepted now.

Contract
- A key is 32 random bytes, so a plain SHA-256 of it cannot be searched; only the digest is kept.
- Every digest is compared in constant time, whether an earlier one has matched or not.
- A key in the address of a request is not looked at: addresses end up in logs.
- A keys file that changes is read within `LOOK_INTERVAL_S`; one that cannot be used leaves the keys as they were.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
import stat
import time
from collections.abc import Callable, Iterable
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import structlog
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from api.schemas.wire import Name
from arbitrage.errors import BadInput, Fault, refuse

KEY_PREFIX = "arb_"
LOOK_INTERVAL_S = 0.5
"""At most so often the keys file is looked at."""
MOST_FILE_BYTES = 2**20
Headers = Iterable[tuple[bytes, bytes]]
log = structlog.get_logger("api.http.security")


class Role(StrEnum):
    """What a key may do."""

    READER = "reader"
    """Look at everything, change nothing, decide nothing."""
    OPERATOR = "operator"
    """All of it."""


class ApiKey(BaseModel):
    """A key as the service knows it: by its digest."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: Name
    sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$", repr=False)]
    role: Role = Role.OPERATOR


ANONYMOUS = ApiKey(name="anonymous", sha256="0" * 64, role=Role.OPERATOR)
"""The caller where authentication is off."""
_FILE = TypeAdapter(tuple[ApiKey, ...])


def new_key() -> str:
    """A key with 256 random bits."""
    return KEY_PREFIX + secrets.token_urlsafe(32)


def digest_of(key: str) -> str:
    """What the service keeps of a key."""
    return hashlib.sha256(key.encode()).hexdigest()


def keys_in(path: Path) -> tuple[ApiKey, ...]:
    """The keys of a file, a JSON list. Raises BadInput with every fault, and without a value of the file."""
    try:
        found = path.stat()
        if not stat.S_ISREG(found.st_mode) or found.st_size > MOST_FILE_BYTES:
            raise BadInput([Fault("keys_file", f"{path} is not a regular file of at most {MOST_FILE_BYTES} bytes")])
        return _FILE.validate_json(path.read_bytes())
    except OSError as error:
        raise BadInput([Fault("keys_file", f"{path} cannot be read: {error.strerror}")]) from error
    except ValidationError as error:
        raise BadInput(in_words(error, "keys_file")) from error


def in_words(error: ValidationError, whole: str) -> list[Fault]:
    """What pydantic found, without the values, which may be secret; `whole` names what has no field."""
    found = error.errors(include_url=False, include_context=False, include_input=False)
    return [Fault(".".join(str(part) for part in item["loc"]) or whole, item["msg"]) for item in found]


def doubled(keys: Iterable[ApiKey]) -> list[Fault]:
    """Names and digests that stand more than once."""
    known = tuple(keys)
    names, digests = [key.name for key in known], [key.sha256 for key in known]
    faults = [Fault("keys", f"two keys are called {name}") for name in sorted(set(names)) if names.count(name) > 1]
    if len(set(digests)) < len(digests):
        faults.append(Fault("keys", "one key stands under two names"))
    return faults


class KeyRing:
    """The keys that are accepted: those of the settings, and those that the keys file holds now."""

    def __init__(
        self, keys: Iterable[ApiKey], path: Path | None = None, steady_s: Callable[[], float] = time.monotonic
    ) -> None:
        self._fixed, self._path, self._steady_s = tuple(keys), path, steady_s
        self._keys = self._fixed
        self._stamp: tuple[int, ...] | None = None
        self._look_at_s = -float("inf")
        self.fault: str | None = None
        """Why the keys file as it stands is not used; None where it is."""
        self.refresh()

    def refresh(self) -> None:
        """Look at the keys file if it is time to, and read it if it has changed."""
        now_s = self._steady_s()
        if self._path is None or now_s < self._look_at_s:
            return
        self._look_at_s = now_s + LOOK_INTERVAL_S
        stamp = _stamp(self._path)
        if stamp == self._stamp:
            return
        self._stamp = stamp
        self._read(self._path)

    def _read(self, path: Path) -> None:
        try:
            keys = (*self._fixed, *keys_in(path))
            refuse(doubled(keys))
        except BadInput as refused:
            self.fault = f"{refused}; the keys that were read before stay valid: mend the file"
        else:
            self._take(keys)
        if self.fault is not None:
            log.error("keys_file_refused", reason=self.fault)

    def _take(self, keys: tuple[ApiKey, ...]) -> None:
        gone = sorted({key.name for key in self._keys} - {key.name for key in keys})
        self._keys, self.fault = keys, None
        log.info("keys_read", keys=sorted(key.name for key in keys), revoked=gone)

    def owner(self, headers: Headers) -> ApiKey | None:
        """Whose key a request shows; None if it shows none that is known, or two that differ."""
        shown = shown_keys(headers)
        if len(shown) != 1:
            return None
        digest = hashlib.sha256(shown.pop()).hexdigest()
        found = None
        for key in self._keys:
            if hmac.compare_digest(key.sha256, digest):
                found = key
        return found


def _stamp(path: Path) -> tuple[int, ...]:
    """What differs as soon as a file was changed or replaced; empty where there is none."""
    try:
        found = path.stat()
    except OSError:
        return ()
    return found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns


def shown_keys(headers: Headers) -> set[bytes]:
    """The keys that a request shows, right or wrong."""
    return {secret for name, value in headers if (secret := _shown(name, value)) is not None}


def _shown(name: bytes, value: bytes) -> bytes | None:
    if name == b"x-api-key":
        return value.strip()
    if name == b"authorization" and value[:7].lower() == b"bearer ":
        return value[7:].strip()
    return None
