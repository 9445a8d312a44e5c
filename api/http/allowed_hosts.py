"""Which names the service may be addressed by, and which web pages may send it orders.

Contract: a page of another site commands nothing, neither across sites (Fetch standard, `Origin` and `Sec-Fetch-Site`)
nor under a name of its own that it lets point to this machine (DNS rebinding).

With keys this is checked only where names are given: a page of another site has no key to show.
"""

from __future__ import annotations

from collections.abc import Iterable
from http import HTTPStatus

from api.http.problems import Problem
from api.settings import Authentication, Settings

LOOPBACK = ("localhost", "127.0.0.1", "[::1]")
_DEFAULT_PORTS = {"http": "80", "https": "443"}
Headers = Iterable[tuple[bytes, bytes]]
_LOOKED_AT = (b"host", b"origin", b"sec-fetch-site")


class Sites:
    """The names of this service."""

    def __init__(self, settings: Settings) -> None:
        is_open = settings.authentication is Authentication.OFF
        self._allowed = frozenset(name.lower() for name in (*LOOPBACK, settings.host, *settings.allowed_hosts))
        self._is_checked = is_open or bool(settings.allowed_hosts)

    def check(self, headers: Headers, *, changes: bool) -> None:
        """Raises Problem where the request is for another name, or changes something for a page of another site."""
        if not self._is_checked:
            return
        shown: dict[bytes, list[str]] = {}
        for name, value in headers:
            if name in _LOOKED_AT:
                shown.setdefault(name, []).append(value.decode("latin-1").strip().lower())
        hosts = shown.get(b"host", [])
        if len(hosts) != 1 or not self._is_ours(hosts[0]):
            raise Problem(
                HTTPStatus.FORBIDDEN,
                "The Host of the request is no name of this service: use localhost, or let the service be started with "
                "--allowed-host.",
                kind="wrong-host",
            )
        if changes and self._is_foreign(hosts[0], shown):
            raise Problem(HTTPStatus.FORBIDDEN, "A page of another site may change nothing here.", kind="wrong-origin")

    def _is_ours(self, host: str) -> bool:
        return host in self._allowed or _parted(host)[0] in self._allowed

    def _is_foreign(self, host: str, shown: dict[bytes, list[str]]) -> bool:
        if "cross-site" in shown.get(b"sec-fetch-site", ()):
            return True
        return any(not self._is_same(host, origin) for origin in shown.get(b"origin", ()))

    def _is_same(self, host: str, origin: str) -> bool:
        """Whether a page of that origin is ours: of the host that was asked, or of a name that was allowed."""
        scheme, _, authority = origin.partition("://")
        name, port = _parted(authority)
        default = _DEFAULT_PORTS.get(scheme)
        if default is None:
            return False
        same_host = (name, port or default) == (_parted(host)[0], _parted(host)[1] or default)
        return same_host or (name not in LOOPBACK and self._is_ours(authority))


def _parted(authority: str) -> tuple[str, str]:
    """Name and port; the port is empty where there is none."""
    name, colon, port = authority.rpartition(":")
    return (name, port) if colon and not authority.endswith("]") else (authority, "")
