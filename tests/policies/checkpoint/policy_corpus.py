"""Damaged and hostile policies: what each is, and what its refusal must say.

A case changes a good policy's directory. Cards are changed as by somebody who takes their seal off, and tensors with a
digest that fits, so that each case meets the check that it is meant for and not the digests before it.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import load, save

from arbitrage.policies.checkpoint.files import CARD_FILE, SETTING_FILE, TENSORS_FILE
from tests.policies.small_policies import SAVED, names_and_shapes

Damage = Callable[[Path], object]
KINDS = ("quarter-hours", "minutes", "network", "mpc")
CLOSED_FORM = KINDS[:2]
DEEP = "[" * 100_000 + "]" * 100_000


@dataclass(frozen=True)
class Case:
    """A change of a good policy."""

    name: str
    kind: str
    damage: Damage
    says: str
    """Pattern of the refusal."""


def cases() -> list[Case]:
    """All of them."""
    return [*_file_cases(), *_text_cases(), *_setting_cases(), *_card_cases(), *_byte_cases(), *_tensor_cases()]


def card_of(directory: Path) -> dict[str, Any]:
    return dict(json.loads((directory / CARD_FILE).read_text()))


def write_card(directory: Path, card: dict[str, Any]) -> None:
    (directory / CARD_FILE).write_text(json.dumps(card))


def change_card(directory: Path, change: Callable[[dict[str, Any]], object]) -> None:
    """Change a card and take its seal off."""
    card = card_of(directory)
    del card["card_sha256"]
    change(card)
    write_card(directory, card)


def put_bytes(directory: Path, content: bytes) -> None:
    """Put another file in the place of the tensors, with a digest that fits."""
    (directory / TENSORS_FILE).write_bytes(content)
    change_card(directory, lambda card: card.update(tensors_sha256=hashlib.sha256(content).hexdigest()))


def change_tensors(directory: Path, change: Callable[[dict[str, np.ndarray]], object]) -> None:
    tensors = {name: tensor.copy() for name, tensor in load((directory / TENSORS_FILE).read_bytes()).items()}
    change(tensors)
    put_bytes(directory, save({name: np.ascontiguousarray(tensor) for name, tensor in tensors.items()}))


def _file_cases() -> Iterator[Case]:
    endless = Path("/dev/zero")
    specials: dict[str, tuple[Callable[[Path], object], str]] = {
        "missing": (lambda path: None, "No such file"),
        "a directory": (lambda path: path.mkdir(), "is not a regular file"),
        "a pipe": (os.mkfifo, "is not a regular file"),
        "a link to an endless device": (lambda path: path.symlink_to(endless), "is not a regular file"),
        "a link to a pipe": (_link_to_pipe, "is not a regular file"),
        "a link to itself": (lambda path: path.symlink_to(path), "symbolic link"),
        "a link to nothing": (lambda path: path.symlink_to("nowhere"), "No such file"),
        "too large": (lambda path: _sparse(path, 2**30), "is larger than"),
    }
    for file in (CARD_FILE, TENSORS_FILE, SETTING_FILE):
        for name, (put, says) in specials.items():
            if file != SETTING_FILE or name != "missing":
                for kind in KINDS if file != SETTING_FILE else KINDS[:1]:
                    yield Case(f"{file} {name}", kind, _instead(file, put), f"{re.escape(file)}.*{says}")


def _instead(file: str, put: Callable[[Path], object]) -> Damage:
    def damage(directory: Path) -> None:
        (directory / file).unlink(missing_ok=True)
        put(directory / file)

    return damage


def _link_to_pipe(path: Path) -> None:
    os.mkfifo(path.with_name("pipe"))
    path.symlink_to("pipe")


def _sparse(path: Path, size: int) -> None:
    with path.open("wb") as file:
        file.truncate(size)


def _text_cases() -> Iterator[Case]:
    """Cards that are no strict JSON, or not the card of a policy."""
    texts: dict[str, tuple[Callable[[str], bytes], str]] = {
        "empty": (lambda _: b"", "is not JSON"),
        "cut": (lambda text: text[:-1].encode(), "is not JSON"),
        "followed by more": (lambda text: (text + "{}").encode(), "is not JSON"),
        "bytes": (lambda _: bytes(range(256)), "is not JSON"),
        "no utf-8": (lambda text: text.replace("seed", "s\udcffed").encode(errors="surrogateescape"), "is not JSON"),
        "with NaN": (_with("NaN"), "NaN is not a number of JSON"),
        "with Infinity": (_with("Infinity"), "Infinity is not a number"),
        "with -Infinity": (_with("-Infinity"), "-Infinity is not a number"),
        "with 1e999": (_with("1e999"), "too large for a number"),
        "with a whole number of 400 digits": (_with("9" * 400), "too large for a number"),
        "with a whole number of 5,000 digits": (_with("9" * 5_000), "too large for a number"),
        "with a key twice": (lambda text: text.replace('"seed"', '"seed": 1, "seed"').encode(), "'seed' stands twice"),
        "with half a surrogate": (_with('"\\ud800"'), "half a surrogate pair"),
        "with half a surrogate as a key": (_with('{"\\udfff": 1}'), "half a surrogate pair"),
        "deeper than the interpreter goes": (_with(DEEP), "nested deeper"),
        "objects deeper than the interpreter goes": (_with('{"a":' * 50_000 + "1" + "}" * 50_000), "nested deeper"),
        "deeper than cards are": (_with("[" * 40 + "]" * 40), "nested deeper"),
        "a list": (lambda _: b"[]", "is not the card of a policy"),
        "a number": (lambda _: b"1", "is not the card of a policy"),
        "null": (lambda _: b"null", "is not the card of a policy"),
        "without anything": (lambda _: b"{}", "is not the card of a policy: .* missing"),
        "padded": (lambda text: (text + " " * 2**20).encode(), "is larger than"),
    }
    for name, (made, says) in texts.items():
        yield Case(f"card {name}", KINDS[0], _rewritten(made), f"{re.escape(CARD_FILE)}: .*({says})")


def _with(value: str) -> Callable[[str], bytes]:
    return lambda text: text.replace("{", '{"more": ' + value + ",", 1).encode()


def _rewritten(made: Callable[[str], bytes]) -> Damage:
    return lambda directory: (directory / CARD_FILE).write_bytes(made((directory / CARD_FILE).read_text()))


def _setting_cases() -> Iterator[Case]:
    settings = {
        "{": "is not JSON",
        "[]": "is not a risk setting",
        '{"risk_aversion": NaN, "risk_preference": null}': "NaN is not a number",
        '{"risk_aversion": 1e999, "risk_preference": null}': "too large",
        '{"risk_aversion": 0, "risk_aversion": 0.9, "risk_preference": null}': "stands twice",
        '{"risk_aversion": true, "risk_preference": null}': "is not a number",
        '{"risk_aversion": -1, "risk_preference": null}': "must be between 0",
        '{"risk_aversion": 0.5, "risk_preference": ["cvar"]}': "is not text",
        '{"risk_aversion": 0.5, "risk_preference": "cvar:nan:1"}': "level",
        '{"risk_aversion": 0.5, "risk_preference": "cvar:0.1:inf"}': "weight",
        '{"risk_aversion": 0.5, "risk_preference": "luck:0.1:1"}': "measure",
        '{"risk_aversion": 0.5, "risk_preference": null, "more": 1}': "is not a risk setting",
        '{"risk_aversion": 0.5, "risk_preference": ' + DEEP[:60_000] + "}": "nested deeper|is not JSON",
    }
    for text, says in settings.items():
        yield Case(f"risk {text[:70]}", KINDS[0], _setting(text), says)


def _setting(text: str) -> Damage:
    return lambda directory: (directory / SETTING_FILE).write_text(text)


_COMMON: tuple[tuple[str, Any], ...] = (
    *(("schema_version", value) for value in (0, 2, 1.5, "1", True, None, [])),
    *(("kind", value) for value in ("oracle", None, 7, [], ["network"], {}, "x" * 100_000)),
    *(("publication_delay_min", value) for value in (-10, -1, 1441, 10**18, 1.5, "abc", None, True, [])),
    *(("decision_latency_min", value) for value in (-1, 10**9, "late")),
    *(("tensors_sha256", value) for value in ("", "0" * 64, 5, None)),
    *(("card_sha256", value) for value in ("", "0" * 64, 5, None)),
    *(("name", value) for value in ("", None, 5, "a\nb", "\x1b[2J", "x" * 1_000)),
    *(("sources", value) for value in (5, None, "price", ["weather"], [5], [[]], {}, ["imbalance_price_eur_mwh"] * 99)),
    *(("feature_set", value) for value in ("all", None, 5, [])),
    *(("features", value) for value in (["tomorrow"], 5, None, [5], [], "past_1")),
    *(("seed", value) for value in (-1, 1.5, "x", None)),
    *(("minute_source", value) for value in ("crystal ball", 5, [])),
    *(("minute_seed", value) for value in (1.5, "x")),
    *(("split", value) for value in (5, None, [], {"soc_reset": "sometimes"}, {"train_days_of_month": "0-40"})),
    ("split", {"validation_days_of_month": 5}),
    ("split", {"start_epoch_minute": "now"}),
    ("split", {"start_epoch_minute": 10, "end_epoch_minute": 10}),
    ("split", {"start_epoch_minute": 10**30}),
    *(("battery", value) for value in (5, None, [], {}, {"power_mw": 1.0}, {"power_mw": 1, "capacity_mwh": "2"})),
    *(("battery.power_mw", value) for value in (-1, 0, 5e-324, 1e300, None, True, "1", [1])),
    *(("battery.capacity_mwh", value) for value in (0, -2, 1e9, 5e-324, None)),
    *(("battery.min_soc_fraction", value) for value in (-0.1, 1.0, 2, None)),
    *(("battery.charge_efficiency", value) for value in (0, 1.1, None)),
    *(("battery.max_cycles_per_day", value) for value in (-1, "many")),
    ("battery.colour", "red"),
    ("step_min", 7),
    ("tests", {"autumn": 5}),
    ("description", 5),
)
_OWN: dict[str, tuple[tuple[str, Any], ...]] = {
    **dict.fromkeys(
        CLOSED_FORM,
        (
            *(("members", value) for value in (0, -1, 65, 10**12, 2.0, "2", None, 1, 3)),
            *(("lattice.soc_nodes", value) for value in (0, 1, -3, 4, 10**9, 3.0, "3", None)),
            *(("lattice.cycle_nodes", value) for value in (0, -1, 4, 10**9, None)),
            ("lattice", {"soc_nodes": 1_000, "cycle_nodes": 1_000}),
            *(("lattice", value) for value in (None, [], {}, {"soc_nodes": 3, "cycle_nodes": 3, "more": 1})),
        ),
    ),
    "network": (
        *(("critics", value) for value in (-1, 0, 1, 3, 65, 10**12, 2.0, None)),
        *(("head", value) for value in ("crystal", None, "expected", [])),
        *(("support", value) for value in ([], [1.0], [1.0, "2"], None, [1.0, 2.0, 3.0])),
        *(("continuous", value) for value in (None, "yes", True)),
        *(("reward_scale", value) for value in (0, -1, None, "1")),
        *(("preference", value) for value in (None, {}, {"measure": "luck", "level": 0.1, "weight": 1})),
        ("preference.level", 7),
        ("preference", {"measure": "cvar", "level": 0.1, "weight": -1}),
        *(("state_feature_set", value) for value in ("full", "quarter_hour", None, [])),
        ("state_features", ["mood"]),
        *(("step_min", value) for value in (0, 15.0, 20, None)),
    ),
    "mpc": (
        *(("plan", value) for value in (None, [], {}, {"form": "mpc"}, {"form": "crystal", "point": "mean"})),
        ("plan", {"form": "mpc", "point": "mode"}),
        *(("plan.shared_quarter_hours", value) for value in (0, 10**9, 1.5, "4")),
        *(("plan.beyond_quarter_hours", value) for value in (-1, 4, 97, None)),
        *(("plan.end_value_fraction", value) for value in (-1, 1e300, "all")),
        ("plan.more", 1),
        *(("forecast_inputs", value) for value in ([], ["mood"], None)),
        ("preference", None),
        ("preference.weight", -1),
    ),
}
_SAID_OTHERWISE = {
    ("members", 1): "other tensors",
    ("members", 3): "other tensors",
    ("lattice.soc_nodes", 4): "has the shape",
    ("lattice.cycle_nodes", 4): "has the shape",
    ("critics", 1): "other tensors",
    ("critics", 3): "other tensors",
    ("critics", 0): "other tensors",
    ("head", "expected"): "12 outputs",
    ("continuous", True): "critics",
    ("preference.level", 7): "level: must be above 0",
    ("plan.beyond_quarter_hours", 4): "beyond_quarter_hours",
    ("tensors_sha256", "0" * 64): "altered or cut short",
    ("card_sha256", "0" * 64): "does not match its own digest",
    ("state_feature_set", "full"): "state_features",
    ("state_feature_set", "quarter_hour"): "state_features",
}


def _card_cases() -> Iterator[Case]:
    for kind in KINDS:
        for place, value in (*(_COMMON if kind == KINDS[0] else _COMMON[::7]), *_OWN[kind]):
            key = place.split(".")[-1]
            says = _SAID_OTHERWISE.get((place, value) if isinstance(value, str | int) else (), place.split(".")[0])
            says = {"schema_version": "schema version", "kind": "kind", "tests": "tests"}.get(key, says)
            yield Case(f"card {place} {str(value)[:40]}", kind, _changed_card(place, value), says)
        for place in (
            "kind",
            "battery",
            "sources",
            "split",
            "tensors_sha256",
            *dict.fromkeys(p for p, _ in _OWN[kind]),
        ):
            if "." not in place and place != "state_features":
                yield Case(f"card without {place}", kind, _shortened_card(place), f"{place}.* missing")
        for place, value in (("battery.power_mw", 5.0), ("battery.capacity_mwh", 1e3), ("publication_delay_min", 2)):
            yield Case(f"sealed card {place}", kind, _sealed_card(place, value), "does not match its own digest")


def set_at(card: dict[str, Any], place: str, value: Any) -> None:
    """Put a value at a place such as `battery.power_mw`."""
    *parents, key = place.split(".")
    for parent in parents:
        card = card[parent]
    card[key] = value


def _changed_card(place: str, value: Any) -> Damage:
    return lambda directory: change_card(directory, lambda card: set_at(card, place, value))


def _shortened_card(place: str) -> Damage:
    return lambda directory: change_card(directory, lambda card: card.pop(place))


def _sealed_card(place: str, value: Any) -> Damage:
    def damage(directory: Path) -> None:
        card = card_of(directory)
        set_at(card, place, value)
        write_card(directory, card)

    return damage


def _byte_cases() -> Iterator[Case]:
    """Files of tensors that are none, or none of a policy."""
    header = b'{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}}'
    contents = {
        "empty": b"",
        "seven bytes": b"1234567",
        "a header longer than the file": (2**20).to_bytes(8, "little") + b"{}",
        "a header longer than memory": (2**63).to_bytes(8, "little") + b"{}",
        "a header that is no JSON": _with_header(b"{nothing}"),
        "a header that is deep": _with_header(DEEP[:4_000].encode()),
        "fewer bytes than named": _with_header(header, 4),
        "more bytes than named": _with_header(header, 12),
        "half floats": _with_header(header.replace(b"F32", b"BF16").replace(b",8]", b",4]"), 4),
        "eight bits": _with_header(header.replace(b"F32", b"F8_E4M3").replace(b",8]", b",2]"), 2),
        "long integers": save({"a": np.zeros(2, dtype=np.int64)}),
        "truth values": save({"a": np.zeros(2, dtype=np.bool_)}),
        "no values": save({"a": np.zeros((0, 5), dtype=np.float32)}),
        "many axes": save({"a": np.zeros((1,) * 9, dtype=np.float32)}),
        "a shape beyond counting": _with_header(header.replace(b"[2]", b"[4611686018427387904,4]")),
        "offsets that overlap": _with_header(
            b'{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]},"b":{"dtype":"F32","shape":[2],"data_offsets":[4,12]}}',
            12,
        ),
        "no tensors": save({}),
        "a pickle": b"\x80\x04\x95\x0c\x00\x00\x00\x00\x00\x00\x00\x8c\x05posix\x94.",
    }
    for name, content in contents.items():
        for kind in KINDS:
            yield Case(f"tensors {name}", kind, _bytes(content), f"{re.escape(TENSORS_FILE)}: ")
    for kind in KINDS:
        for share in (0.1, 0.5, 0.999):
            yield Case(f"tensors cut at {share}", kind, _cut(share), "altered or cut short")
            yield Case(f"tensors cut at {share}, digest fitting", kind, _cut(share, fitting=True), "not a safetensors")
            yield Case(f"tensors with a bit turned at {share}", kind, _turned(share), "altered or cut short")
    for kind, other in zip(KINDS, KINDS[1:] + KINDS[:1], strict=True):
        yield Case(f"tensors of {other}", kind, _foreign(other), "other tensors|has the shape")


def _with_header(header: bytes, data: int = 8) -> bytes:
    return len(header).to_bytes(8, "little") + header + bytes(data)


def _bytes(content: bytes) -> Damage:
    return lambda directory: put_bytes(directory, content)


def _cut(share: float, *, fitting: bool = False) -> Damage:
    def damage(directory: Path) -> None:
        content = (directory / TENSORS_FILE).read_bytes()
        content = content[: int(share * len(content))]
        if fitting:
            put_bytes(directory, content)
        else:
            (directory / TENSORS_FILE).write_bytes(content)

    return damage


def _turned(share: float) -> Damage:
    def damage(directory: Path) -> None:
        content = bytearray((directory / TENSORS_FILE).read_bytes())
        content[int(share * len(content))] ^= 1
        (directory / TENSORS_FILE).write_bytes(bytes(content))

    return damage


def _foreign(kind: str) -> Damage:
    def damage(directory: Path) -> None:
        SAVED[kind](directory / "other")
        put_bytes(directory, (directory / "other" / TENSORS_FILE).read_bytes())

    return damage


_EVERY: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "cut to one row": lambda tensor: tensor[:1],
    "a row longer": lambda tensor: np.concatenate([tensor, tensor[:1]]),
    "with another axis": lambda tensor: tensor[None],
    "of another type": lambda tensor: tensor.astype(np.float64 if tensor.dtype == np.float32 else np.float32),
}
_OF_ANY_NUMBER = ("risk.dial", "roots", "paths")
"""Tensors of which fewer or more rows make another good policy."""
_FLOATS: dict[str, float] = {"NaN": np.nan, "infinite": -np.inf}


def _tensor_cases() -> Iterator[Case]:
    """Every tensor of every kind, damaged in every way; then what shapes alone do not say."""
    for kind in KINDS:
        yield Case("tensor added", kind, _changed_tensors(lambda t: t.update(more=np.zeros(1))), "more unknown")
        for name, shape in names_and_shapes(kind).items():
            where = f"{re.escape(name)}|other tensors|has the shape"
            yield Case(f"{name} missing", kind, _changed_tensors(lambda t, n=name: t.pop(n)), where)
            for how, change in _EVERY.items():
                fits = "row" in how and (name.endswith(_OF_ANY_NUMBER) or (shape[0] == 1 and how == "cut to one row"))
                if not fits:
                    yield Case(f"{name} {how}", kind, _one(name, change), where)
            if kind != "mpc" or name.split(".")[-1] not in ("roots", "inputs", "left", "right"):
                for what, value in _FLOATS.items():
                    yield Case(f"{name} {what}", kind, _one(name, _holding(value)), re.escape(name))
            if name.endswith(("std", "transitions")):
                yield Case(f"{name} zero", kind, _one(name, np.zeros_like), re.escape(name))
    yield from _chain_cases()
    yield from _tree_cases()


def _changed_tensors(change: Callable[..., object]) -> Damage:
    return lambda directory: change_tensors(directory, change)


def _one(name: str, change: Callable[[np.ndarray], np.ndarray]) -> Damage:
    return _changed_tensors(lambda tensors: tensors.update({name: change(tensors[name])}))


def _holding(value: float) -> Callable[[np.ndarray], np.ndarray]:
    return lambda tensor: np.where(np.arange(tensor.size).reshape(tensor.shape) == 0, tensor.dtype.type(value), tensor)


def _chain_cases() -> Iterator[Case]:
    chain = "0.chain."
    many = {
        f"{chain}fast_centres": np.arange(300.0),
        f"{chain}centres": np.zeros(600),
        f"{chain}transitions": np.full((600, 600), 1.0 / 600.0),
    }
    changes: dict[str, tuple[Callable[..., object], str]] = {
        "centres that descend": (lambda t: t.update({f"{chain}fast_centres": np.array([1.0, 0.0, -1.0])}), "ascend"),
        "rows of twice the mass": (lambda t: t.update({f"{chain}transitions": np.full((6, 6), 1 / 3)}), "sum to 1"),
        "negative mass": (lambda t: t.update({f"{chain}transitions": np.full((6, 6), -1 / 6)}), "outside 0 to 1"),
        "a single bin": (
            lambda t: t.update({f"{chain}slow_centres": np.zeros(1), f"{chain}centres": np.zeros(3)}),
            "slow_centres",
        ),
        "more states than can be planned": (lambda t: t.update(many), "fast_centres has the shape"),
        "more news than can be planned": (
            lambda t: t.update({f"{chain}surprises": np.zeros(1_000), f"{chain}shifts": np.zeros(1_000)}),
            "surprises has the shape",
        ),
    }
    for kind in CLOSED_FORM:
        for name, (change, says) in changes.items():
            yield Case(f"chain with {name}", kind, _changed_tensors(change), says)


def _tree_cases() -> Iterator[Case]:
    def of(name: str, *values: int) -> Damage:
        return _one(f"quantile1.{name}", lambda _: np.array(values, dtype=np.int32))

    yield Case("tree with a node that leads to itself", "mpc", of("left", 0, 0, 0, 4, 0, 0), "left leads a node back")
    yield Case("trees in a circle", "mpc", of("right", 3, 0, 0, 0, 0, 0), "right leads a node back")
    yield Case("tree that leads out of the file", "mpc", of("left", 6, 0, 0, 4, 0, 0), "left leads a node back, or out")
    yield Case("tree that leads far out", "mpc", of("right", 2**31 - 1, 0, 0, 5, 0, 0), "or out of the trees")
    yield Case("tree that leads before the file", "mpc", of("left", -5, 0, 0, 4, 0, 0), "left leads a node back")
    yield Case("root out of the file", "mpc", of("roots", 0, 6), "roots holds values outside")
    yield Case("root before the file", "mpc", of("roots", -1, 3), "roots holds values outside")
    yield Case("input that there is not", "mpc", of("inputs", 10**6, -1, -1, 2, -1, -1), "inputs holds values outside")
    yield Case("input below a leaf's", "mpc", of("inputs", -2, -1, -1, 2, -1, -1), "inputs holds values outside")
    flat = _one("fractions", lambda _: np.array([0.5, 0.5, 0.9]))
    yield Case("quantiles of one fraction", "mpc", flat, "fractions does not ascend")
    far = _one("fractions", lambda _: np.array([0.5, 0.9, 1.5]))
    yield Case("quantiles beyond 1", "mpc", far, "fractions holds values outside")
    few = _one("paths", lambda paths: paths[:, :50])
    yield Case("paths shorter than a day", "mpc", few, "reach past the 50 forecast")
    yield Case("thousands of paths", "mpc", _one("paths", lambda paths: np.tile(paths, (1_000, 1))), "paths has the")
