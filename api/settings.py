"""How the service is set: from the environment (`ARBITRAGE_SERVE_...`), from options, or from tests.

Contract: settings that make no sense together are refused before anything is opened, every fault named.
"""

from __future__ import annotations

import ipaddress
import json
import os
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, Self

from pydantic import BeforeValidator, Field, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

from api.http.security import ApiKey, doubled, in_words, keys_in
from api.schemas.wire import Name
from arbitrage.errors import BadInput, Fault, refuse
from arbitrage.market.fetch.elia_client import HOST
from arbitrage.policies.checkpoint.load import CARD_FILE
from arbitrage.policies.registry import names_own_strategy

HostName = Annotated[str, Field(pattern=r"^(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9_.-]+)(:[0-9]{1,5})?$")]
PolicySource = Annotated[str, BeforeValidator(lambda given: str(given) if isinstance(given, Path) else given)]
PREFIX = "ARBITRAGE_SERVE_"
_LOOPBACK_NAMES = ("localhost",)


class Authentication(StrEnum):
    """Whether callers must show a key."""

    KEYS = "keys"
    OFF = "off"
    """On loopback only."""


class FeedKind(StrEnum):
    """Where the kept market comes from."""

    NONE = "none"
    """Nowhere: requests bring their market."""
    ELIA = "elia"
    STORE = "store"
    SIMULATOR = "simulator"


class Settings(BaseSettings):
    """Everything that can be set."""

    model_config = SettingsConfigDict(env_prefix=PREFIX, extra="forbid", frozen=True, hide_input_in_errors=True)

    host: str = "127.0.0.1"
    port: Annotated[int, Field(ge=0, le=65535)] = 8321
    workers: Annotated[int, Field(ge=1, le=64)] = 1
    database_url: Annotated[str, Field(repr=False)] = "sqlite:///arbitrage.db"
    keep_decisions_days: Annotated[int, Field(ge=1)] | None = None
    """After so many days decisions that are settled at validated prices are deleted; None keeps all."""
    delete_unsettled_after_days: Annotated[int, Field(ge=1)] | None = None
    """After so many days decisions are deleted though they are not settled; None keeps these. Not before the others."""
    policies: dict[Name, PolicySource] = Field(default_factory=dict)
    """By the id that requests use: the directory of a policy, or an own strategy as `module:Class`, `file.py:Class` or
    the name of an entry point. An own strategy's code is imported and run: that is the operator's choice, never a
    request's."""
    pinned_policies: dict[Name, Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]] = Field(default_factory=dict)
    """By id of `policies`, the digest of its card (`card_sha256`) or of an own strategy's file (`sha256`); another one
    stops the start."""
    default_policy: str | None = None
    """An id of `policies` or the name of a rule; None: the only learned policy."""
    markets: dict[Name, Path] = Field(default_factory=dict)
    """Stores of market data that backtests may be asked for, by name."""
    reports: Path = Path("reports")
    """Folder of the tear sheets of backtests."""
    most_open_backtests: Annotated[int, Field(ge=1)] = 20
    """Backtests of one key that may be queued or running."""
    authentication: Authentication = Authentication.KEYS
    keys: tuple[ApiKey, ...] = ()
    keys_file: Path | None = None
    """A JSON list of keys, beside those of `keys`; read again within a second of a change."""
    allowed_hosts: tuple[HostName, ...] = ()
    """Names, with or without a port, by which the service may be addressed besides those of loopback and `host`; with
    keys any name will do as long as none is given here."""
    requests_per_s: Annotated[float, Field(gt=0.0)] = 200.0
    """Of one key in the long run, by all workers together; without a key, of one address."""
    burst: Annotated[int, Field(ge=1)] = 400
    """Requests of one key, or without a key of one address, that may come at once."""
    wrong_keys_per_min: Annotated[float, Field(gt=0.0)] = 30.0
    """Wrong keys of one address in the long run; so many may come at once."""
    wrong_key_delay_s: Annotated[float, Field(ge=0.0, le=5.0)] = 0.25
    """How long the answer to a wrong key is held back."""
    most_connections: Annotated[int, Field(ge=8)] = 2000
    """Open connections of each worker; fewer where the process may not open as many files."""
    most_connections_per_address: Annotated[int, Field(ge=4)] = 1000
    """Open connections of one address at each worker; never above three quarters of all that it may have."""
    header_timeout_s: Annotated[float, Field(gt=0.0)] = 10.0
    """For the headers of a request, from its first byte or the begin of the connection; after an answer, for the rest
    of a body that is not needed. A body has the time of its request."""
    idle_timeout_s: Annotated[float, Field(gt=0.0)] = 30.0
    """After so long without a request a connection is closed."""
    answer_timeout_s: Annotated[float, Field(gt=0.0)] = 30.0
    """How long a caller may take to receive an answer."""
    most_body_bytes: Annotated[int, Field(ge=1024)] = 4 * 1024 * 1024
    request_timeout_s: Annotated[float, Field(gt=0.0)] = 10.0
    feed: FeedKind = FeedKind.NONE
    store: Path | None = None
    """Directory of the store that the feeds `elia` and `store` live on."""
    elia_url: str = HOST
    simulator_seed: Annotated[int, Field(ge=0)] = 0
    feed_interval_s: Annotated[float, Field(gt=0.0)] = 20.0
    """From one poll of the feed to the next."""
    graceful_stop_s: Annotated[float, Field(ge=1.0)] = 20.0
    """How long requests under way may take when the service is asked to stop."""
    log_level: Annotated[str, Field(pattern="^(debug|info|warning|error)$")] = "info"

    @property
    def on_loopback(self) -> bool:
        """Whether no one outside this machine can reach the service."""
        if self.host in _LOOPBACK_NAMES:
            return True
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return False

    @property
    def served_by_default(self) -> str | None:
        """The id that decides where a request names none."""
        return self.default_policy or (next(iter(self.policies)) if len(self.policies) == 1 else None)

    @classmethod
    def read(cls, **given: Any) -> Self:
        """Settings from what is given, else from the environment. Raises BadInput with every fault."""
        faults = _unknown_variables(cls)
        try:
            settings = cls(**given)
        except ValidationError as error:
            raise BadInput([*faults, *in_words(error, "settings")]) from error
        refuse([*faults, *_key_faults(settings), *_contradictions(settings)])
        return settings

    def as_environment(self) -> dict[str, str]:
        """The same settings for a process that reads them from its environment."""
        values = self.model_dump(mode="json", exclude_none=True)
        return {
            PREFIX + name.upper(): value if isinstance(value, str) else json.dumps(value)
            for name, value in values.items()
        }


def _unknown_variables(settings: type[Settings]) -> list[Fault]:
    """Variables with our prefix that set nothing are slips of the pen."""
    known = {PREFIX + name.upper() for name in settings.model_fields}
    ours = sorted(name for name in os.environ if name.upper().startswith(PREFIX))
    return [Fault(name, "is no setting of the service") for name in ours if name.upper() not in known]


def _key_faults(settings: Settings) -> list[Fault]:
    """What is wrong with the keys, those of the file included."""
    try:
        kept = () if settings.keys_file is None else keys_in(settings.keys_file)
    except BadInput as error:
        return list(error.faults)
    keys = (*settings.keys, *kept)
    if settings.authentication is Authentication.KEYS and not keys:
        return [Fault("keys", "are needed; make one with `arbitrage serve --new-key NAME`")]
    return doubled(keys)


def _contradictions(settings: Settings) -> list[Fault]:
    faults = []
    if settings.authentication is Authentication.OFF and not settings.on_loopback:
        faults.append(Fault("authentication", f"may be off on loopback only, not on {settings.host}"))
    if settings.feed is FeedKind.ELIA and settings.workers > 1:
        faults.append(Fault("feed", "elia takes one worker; for more let `arbitrage data watch` fill a store"))
    if settings.feed in (FeedKind.ELIA, FeedKind.STORE) and settings.store is None:
        faults.append(Fault("store", f"the feed {settings.feed} needs the directory of a store"))
    faults += [
        Fault(f"markets.{name}", f"{store} is not the directory of a store")
        for name, store in settings.markets.items()
        if not store.is_dir()
    ]
    unknown = sorted(settings.pinned_policies.keys() - settings.policies)
    faults += [Fault(f"pinned_policies.{name}", "is not served; name its directory in policies") for name in unknown]
    kept_days, unsettled_days = settings.keep_decisions_days, settings.delete_unsettled_after_days
    if unsettled_days is not None and (kept_days is None or unsettled_days < kept_days):
        message = "needs keep_decisions_days, and at least so many days"
        faults.append(Fault("delete_unsettled_after_days", message))
    for name, source in settings.policies.items():
        if not (Path(source) / CARD_FILE).is_file() and not names_own_strategy(source):
            faults.append(Fault(f"policies.{name}", f"{source} is neither the directory of a policy nor module:Class"))
    return faults
