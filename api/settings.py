"""How the service is set: from the environment (`ARBITRAGE_SERVE_...`), from options, or from tests.

Law: settings that make no sense together are refused before anything is opened, every fault named.
"""

from __future__ import annotations

import ipaddress
import json
import os
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, Self

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

from api.schemas.wire import Name
from arbitrage.agents.checkpoint import CARD_FILE
from arbitrage.errors import BadInput, Fault, refuse
from arbitrage.market.elia_client import HOST

PREFIX = "ARBITRAGE_SERVE_"
_LOOPBACK_NAMES = ("localhost",)


class Authentication(StrEnum):
    """Whether callers must show a key."""

    KEYS = "keys"
    OFF = "off"
    """On loopback only."""


class Role(StrEnum):
    """What a key may do."""

    READER = "reader"
    """Look at everything, change nothing, decide nothing."""
    OPERATOR = "operator"
    """All of it."""


class FeedKind(StrEnum):
    """Where the kept market comes from."""

    NONE = "none"
    """Nowhere: requests bring their market."""
    ELIA = "elia"
    STORE = "store"
    SIMULATOR = "simulator"


class ApiKey(BaseModel):
    """A key as the service knows it: by its digest."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: Name
    sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$", repr=False)]
    role: Role = Role.OPERATOR


class Settings(BaseSettings):
    """Everything that can be set."""

    model_config = SettingsConfigDict(env_prefix=PREFIX, extra="forbid", frozen=True, hide_input_in_errors=True)

    host: str = "127.0.0.1"
    port: Annotated[int, Field(ge=0, le=65535)] = 8321
    workers: Annotated[int, Field(ge=1, le=64)] = 1
    database_url: Annotated[str, Field(repr=False)] = "sqlite:///arbitrage.db"
    keep_decisions_days: Annotated[int, Field(ge=1)] | None = None
    """After so many days decisions that are settled at validated prices are deleted; None keeps all."""
    policies: dict[Name, Path] = Field(default_factory=dict)
    """Directories of learned policies by the id that requests use."""
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
    """A JSON list of keys, beside those of `keys`."""
    requests_per_s: Annotated[float, Field(gt=0.0)] = 200.0
    """Of one key, in the long run."""
    burst: Annotated[int, Field(ge=1)] = 400
    """Requests of one key that may come at once."""
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
    """How long requests under way may take when the service is told to stop."""
    log_level: Annotated[str, Field(pattern="^(debug|info|warning|error)$")] = "info"

    @property
    def on_loopback(self) -> bool:
        """Whether nobody outside this machine can reach the service."""
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
            kept = _keys_of(settings.keys_file, faults)
        except ValidationError as error:
            raise BadInput([*faults, *_in_words(error)]) from error
        whole = settings.model_copy(update={"keys": (*settings.keys, *kept)})
        refuse([*faults, *_contradictions(whole, bool(faults))])
        return whole

    def as_environment(self) -> dict[str, str]:
        """The same settings for a process that reads them from its environment."""
        values = self.model_dump(mode="json", exclude={"keys_file"}, exclude_none=True)
        return {
            PREFIX + name.upper(): value if isinstance(value, str) else json.dumps(value)
            for name, value in values.items()
        }


def _unknown_variables(settings: type[Settings]) -> list[Fault]:
    """Variables with our prefix that set nothing are slips of the pen."""
    known = {PREFIX + name.upper() for name in settings.model_fields}
    ours = sorted(name for name in os.environ if name.upper().startswith(PREFIX))
    return [Fault(name, "is no setting of the service") for name in ours if name.upper() not in known]


def _in_words(error: ValidationError) -> list[Fault]:
    """What pydantic found, without the values, which may be secret."""
    found = error.errors(include_url=False, include_context=False, include_input=False)
    return [Fault(".".join(str(part) for part in item["loc"]) or "settings", item["msg"]) for item in found]


def _keys_of(path: Path | None, faults: list[Fault]) -> tuple[ApiKey, ...]:
    """The keys in a file; what keeps it from being read is added to the faults. Raises ValidationError."""
    if path is None:
        return ()
    try:
        return TypeAdapter(tuple[ApiKey, ...]).validate_json(path.read_bytes())
    except OSError as error:
        faults.append(Fault("keys_file", f"{path} cannot be read: {error.strerror}"))
        return ()


def _contradictions(settings: Settings, keys_unread: bool) -> list[Fault]:
    faults = []
    if settings.authentication is Authentication.OFF and not settings.on_loopback:
        faults.append(Fault("authentication", f"may be off on loopback only, not on {settings.host}"))
    if settings.authentication is Authentication.KEYS and not settings.keys and not keys_unread:
        faults.append(Fault("keys", "are needed; make one with `arbitrage serve --new-key NAME`"))
    if settings.feed is FeedKind.ELIA and settings.workers > 1:
        faults.append(Fault("feed", "elia takes one worker; for more let `arbitrage data watch` fill a store"))
    if settings.feed in (FeedKind.ELIA, FeedKind.STORE) and settings.store is None:
        faults.append(Fault("store", f"the feed {settings.feed} needs the directory of a store"))
    names, digests = [key.name for key in settings.keys], [key.sha256 for key in settings.keys]
    faults += [Fault("keys", f"two keys are called {name}") for name in sorted(set(names)) if names.count(name) > 1]
    if len(set(digests)) < len(digests):
        faults.append(Fault("keys", "one key stands under two names"))
    faults += [
        Fault(f"markets.{name}", f"{store} is not the directory of a store")
        for name, store in settings.markets.items()
        if not store.is_dir()
    ]
    for name, directory in settings.policies.items():
        if not (directory / CARD_FILE).is_file():
            faults.append(Fault(f"policies.{name}", f"{directory} is not the directory of a policy"))
    return faults
