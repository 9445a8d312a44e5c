"""Who may ask, and how often.

Law
- A key is 32 random bytes, so a plain SHA-256 of it cannot be searched; only the digest is kept.
- Every digest is compared in constant time, whether an earlier one has matched or not.
- A key in the address of a request is not looked at: addresses end up in logs.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from collections.abc import Iterable
from dataclasses import dataclass, field

from api.settings import ApiKey, Role

KEY_PREFIX = "arb_"
ANONYMOUS = ApiKey(name="anonymous", sha256="0" * 64, role=Role.OPERATOR)
"""The caller where authentication is off."""
Headers = Iterable[tuple[bytes, bytes]]


def new_key() -> str:
    """A key with 256 bits of chance in it."""
    return KEY_PREFIX + secrets.token_urlsafe(32)


def digest_of(key: str) -> str:
    """What the service keeps of a key."""
    return hashlib.sha256(key.encode()).hexdigest()


class KeyRing:
    """The keys that are accepted."""

    def __init__(self, keys: Iterable[ApiKey]) -> None:
        self._keys = tuple(keys)

    def owner(self, headers: Headers) -> ApiKey | None:
        """Whose key a request shows; None if it shows none that is known, or two that differ."""
        shown = {secret for name, value in headers if (secret := _shown(name, value)) is not None}
        if len(shown) != 1:
            return None
        digest = hashlib.sha256(shown.pop()).hexdigest()
        found = None
        for key in self._keys:
            if hmac.compare_digest(key.sha256, digest):
                found = key
        return found


def _shown(name: bytes, value: bytes) -> bytes | None:
    if name == b"x-api-key":
        return value.strip()
    if name == b"authorization" and value[:7].lower() == b"bearer ":
        return value[7:].strip()
    return None


@dataclass(slots=True)
class _Bucket:
    tokens: float
    filled_at_s: float


@dataclass(slots=True)
class RateLimiter:
    """Token buckets, one a key: so many requests at once, refilled at a steady rate."""

    requests_per_s: float
    burst: int
    _buckets: dict[str, _Bucket] = field(default_factory=dict)

    def wait_s(self, name: str, now_s: float) -> float:
        """0 where a request may pass, which takes a token; else seconds until one may."""
        bucket = self._buckets.setdefault(name, _Bucket(float(self.burst), now_s))
        gained = max(0.0, now_s - bucket.filled_at_s) * self.requests_per_s
        bucket.tokens = min(float(self.burst), bucket.tokens + gained)
        bucket.filled_at_s = now_s
        if bucket.tokens >= 1.0:
            bucket.tokens -= 1.0
            return 0.0
        return (1.0 - bucket.tokens) / self.requests_per_s
