"""The command line's door to the service; the command line finds it by its entry point.

Contract: nothing of the service is loaded until it is asked for, so that other commands need none of it installed.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar

import typer

from arbitrage.cli.options.build import command
from arbitrage.errors import BadInput, Fault

if TYPE_CHECKING:
    from api.settings import Settings


@dataclass(frozen=True, slots=True)
class ListenOptions:
    """Where and how the service listens."""

    PANEL: ClassVar[str] = "Service"

    host: Annotated[str | None, typer.Option(help="Address to listen on. [default: 127.0.0.1]")] = None
    port: Annotated[int | None, typer.Option(min=0, max=65535, help="Port to listen on. [default: 8321]")] = None
    workers: Annotated[int | None, typer.Option(min=1, help="Processes that answer. [default: 1]")] = None
    allowed_host: Annotated[
        list[str] | None,
        typer.Option(help="Name (and port) by which the service may be addressed; again for each."),
    ] = None
    log_level: Annotated[str | None, typer.Option(help="debug, info, warning or error. [default: info]")] = None


@dataclass(frozen=True, slots=True)
class ServedOptions:
    """The policies that decide."""

    PANEL: ClassVar[str] = "Policies"

    policy: Annotated[
        list[str] | None,
        typer.Option(
            help="Directory of a policy, or module:Class; or ID=EITHER; again for each. Default id: its name."
        ),
    ] = None
    pin: Annotated[
        list[str] | None,
        typer.Option(help="ID=SHA256 of a policy's card, as `policies show` says it; another policy is not served."),
    ] = None
    default_policy: Annotated[str | None, typer.Option(help="Id that decides where a request names none.")] = None


@dataclass(frozen=True, slots=True)
class AccessOptions:
    """Who may ask."""

    PANEL: ClassVar[str] = "Access"

    keys_file: Annotated[
        Path | None, typer.Option(help="JSON list of keys: name, sha256, role (reader or operator).")
    ] = None
    no_authentication: Annotated[
        bool, typer.Option("--no-authentication", help="Ask for no key; on loopback only, for first steps.")
    ] = False
    new_key: Annotated[
        str | None, typer.Option(help="Print a new key of that name and its entry for the keys file.")
    ] = None


@dataclass(frozen=True, slots=True)
class StorageOptions:
    """What the service keeps."""

    PANEL: ClassVar[str] = "Storage"

    database_url: Annotated[
        str | None, typer.Option(help="sqlite:/// or postgresql://. [default: sqlite:///arbitrage.db]")
    ] = None
    feed: Annotated[
        str | None,
        typer.Option(help="Market that the service keeps: none, elia, store or simulator. [default: none]"),
    ] = None
    store: Annotated[Path | None, typer.Option(help="Directory of the store, for the feeds elia and store.")] = None


@command(example="serve --policy policies/first --keys-file keys.json --port 8321")
def serve_command(listen: ListenOptions, served: ServedOptions, access: AccessOptions, storage: StorageOptions) -> None:
    """Decide over HTTP. Every option can also be set as ARBITRAGE_SERVE_...; see the README."""
    if access.new_key is not None:
        _print_new_key(access.new_key)
        return
    given: dict[str, Any] = {
        "host": listen.host,
        "port": listen.port,
        "workers": listen.workers,
        "policies": _policies(served.policy),
        "pinned_policies": _pins(served.pin),
        "default_policy": served.default_policy,
        "database_url": storage.database_url,
        "keys_file": access.keys_file,
        "authentication": "off" if access.no_authentication else None,
        "allowed_hosts": listen.allowed_host,
        "feed": storage.feed,
        "store": storage.store,
        "log_level": listen.log_level,
    }
    serve(_settings({name: value for name, value in given.items() if value is not None}))


def _settings(given: dict[str, Any]) -> Settings:
    """Raises BadInput where settings make no sense, or the service is not installed."""
    try:
        from api.settings import Settings
    except ModuleNotFoundError as error:
        raise BadInput([Fault("serve", f"needs {error.name}: pip install 'arbitrage[api]'")]) from error
    return Settings.read(**given)


def serve(settings: Settings) -> None:
    """Run the service until it is asked to stop. Raises BadInput, RuntimeError."""
    from api.commands.server import run

    run(settings)


def _policies(named: list[str] | None) -> dict[str, str] | None:
    """Policy directories and own strategies by id. Raises BadInput where two have one id."""
    if not named:
        return None
    pairs = [text.split("=", 1) if "=" in text else [_default_id(text), text] for text in named]
    ids = [name for name, _ in pairs]
    twice = sorted({name for name in ids if ids.count(name) > 1})
    if twice:
        raise BadInput([Fault("policy", f"two are called {name}; write ID=DIRECTORY") for name in twice])
    return dict(pairs)


def _default_id(source: str) -> str:
    """The directory's name, or the class of `module:Class`."""
    return Path(source).resolve().name.rpartition(":")[2]


def _pins(named: list[str] | None) -> dict[str, str] | None:
    """Digests of cards by policy. Raises BadInput for what names no policy, and where one is pinned twice."""
    pairs = [text.partition("=") for text in named or ()]
    faults = [Fault("pin", f"{name!r} is not ID=SHA256") for name, sign, _ in pairs if not name or not sign]
    ids = [name for name, _, _ in pairs]
    faults += [Fault("pin", f"{name} is pinned twice") for name in sorted(set(ids)) if ids.count(name) > 1]
    if faults:
        raise BadInput(faults)
    return {name: digest for name, _, digest in pairs} or None


def _print_new_key(name: str) -> None:
    from api.http.security import digest_of, new_key

    key = new_key()
    entry = {"name": name, "sha256": digest_of(key), "role": "operator"}
    typer.echo(f"key, shown this once: {key}\nfor the keys file: {json.dumps(entry)}")
