"""The sockets that the service listens on, bound before anything else is begun.

Contract: an address that cannot be had is found out at once, and one sentence says why and what to do.
"""

from __future__ import annotations

import errno
import socket
from collections.abc import Sequence
from contextlib import ExitStack

_REASONS = {
    errno.EADDRINUSE: "something else listens there: stop it, or give another --port",
    errno.EACCES: "this user may not: give a --port of 1024 or above",
    errno.EADDRNOTAVAIL: "it is no address of this machine: give another --host",
}


def bound_sockets(host: str, port: int) -> Sequence[socket.socket]:
    """A socket for each address of the host, bound and not yet listening. Raises RuntimeError."""
    place = f"{host}:{port}" if ":" not in host else f"[{host}]:{port}"
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except socket.gaierror as error:
        raise RuntimeError(f"cannot listen on {place}: {host} is no address: {error.strerror}") from error
    with ExitStack() as opened:
        sockets, absent = [], None
        for family, address in dict.fromkeys((family, address) for family, _, _, _, address in found):
            try:
                sockets.append(opened.enter_context(_bound(family, address)))
            except OSError as error:
                if error.errno not in (errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT):
                    raise _refusal(place, error) from error
                absent = error  # a name may stand for an address of a family that this machine does not have
        if not sockets and absent is not None:
            raise _refusal(place, absent)
        opened.pop_all()
        return sockets


def _bound(family: int, address: tuple[object, ...]) -> socket.socket:
    """Raises OSError."""
    listener = socket.socket(family, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        listener.bind(address)
        listener.set_inheritable(True)
    except OSError:
        listener.close()
        raise
    return listener


def _refusal(place: str, error: OSError) -> RuntimeError:
    reason = _REASONS.get(error.errno or 0, error.strerror or str(error))
    return RuntimeError(f"cannot listen on {place}: {reason}")
