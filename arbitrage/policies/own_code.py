"""A user's own strategy found by its code: `module:Class`, or `file.py:Class`.

Contract: this imports code, and runs what it says. It is for names that the operator of the program gives, on the
command line or in settings, never for a name that came with a request. What is wrong with a strategy is refused before
it decides, every fault named.
"""

from __future__ import annotations

import hashlib
import importlib
import importlib.util
import inspect
import re
import sys
import traceback
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

from arbitrage.errors import BadInput, Fault, refuse
from arbitrage.market.coverage import IN_WORDS, Need
from arbitrage.policies.own_strategy import Strategy
from arbitrage.policies.protocol import Policy
from arbitrage.policies.strategy_spec import StrategySpec
from arbitrage.quarter_hour import step_faults

_REFERENCE = re.compile(r"(?P<where>.+):(?P<attribute>[A-Za-z_]\w*)", re.DOTALL)
_MEMBERS = tuple(sorted(name for name in vars(Policy) if not name.startswith("_")))
"""What every policy has."""
_REMEDY = "derive it from arbitrage.policies.own_strategy.Strategy, which has all but power_mw"


def is_reference(name: str) -> bool:
    """Whether a name says where a strategy's code is, rather than what it is called."""
    return _REFERENCE.fullmatch(name) is not None and not Path(name).exists()


def own_strategy(reference: str, name: str | None = None) -> StrategySpec:
    """The strategy at `module:Class` or `file.py:Class`; a class, an object, or a `StrategySpec`.

    A module is looked for among installed ones, then in the current folder. name: as users call it, else the reference.
    Raises BadInput with all that is wrong with it.
    """
    match = _REFERENCE.fullmatch(reference)
    if match is None:
        raise BadInput([Fault("strategy", f"{reference!r} is not module:Class")])
    module = _module(match["where"])
    found = getattr(module, match["attribute"], None)
    if found is None:
        raise BadInput([Fault("strategy", f"{_place(module)} has no {match['attribute']}{_candidates(module)}")])
    spec = found if isinstance(found, StrategySpec) else _spec_of(found, reference)
    refuse(_faults(_made(spec.make, reference), reference))
    return replace(spec, name=name or reference, code_sha256=_digest(module))


def _module(where: str) -> ModuleType:
    """Raises BadInput for a module that there is not, or that fails."""
    try:
        return _of_file(Path(where).resolve()) if where.endswith(".py") else _of_name(where)
    except BadInput:
        raise
    except Exception as error:
        raise BadInput([Fault("strategy", f"importing {where} {_raised(error)}")]) from error


def _of_file(path: Path) -> ModuleType:
    if not path.is_file():
        raise BadInput([Fault("strategy", f"there is no file {path}")])
    name = f"own_strategy_{hashlib.sha256(str(path).encode() + path.read_bytes()).hexdigest()[:16]}"
    if name in sys.modules:
        return sys.modules[name]
    _look_in(path.parent)
    found = importlib.util.spec_from_file_location(name, path)
    if found is None or found.loader is None:
        raise BadInput([Fault("strategy", f"{path} cannot be imported")])
    module = importlib.util.module_from_spec(found)
    sys.modules[name] = module  # as importing does: dataclasses look their module up
    try:
        found.loader.exec_module(module)
    except BaseException:
        del sys.modules[name]
        raise
    return module


def _of_name(where: str) -> ModuleType:
    _look_in(Path.cwd())
    try:
        return importlib.import_module(where)
    except ModuleNotFoundError as error:
        if error.name is None or not f"{where}.".startswith(f"{error.name}."):
            raise
        message = (
            f"there is no module {error.name}, neither installed nor in {Path.cwd()}; name a file as file.py:Class"
        )
        raise BadInput([Fault("strategy", message)]) from error


def _look_in(folder: Path) -> None:
    """Find modules in a folder too, after all others."""
    if str(folder) not in sys.path:
        sys.path.append(str(folder))


def _spec_of(found: Any, reference: str) -> StrategySpec:
    """Of a class, made without arguments, or of an object that is a strategy already."""
    text = inspect.getdoc(found) or ""
    description = text.splitlines()[0] if text else "A strategy of one's own."
    make: Any = found if inspect.isclass(found) else lambda: found
    return StrategySpec(name=reference, description=description, make=make)


def _made(make: Callable[[], Policy], reference: str) -> Policy:
    """Raises BadInput where it cannot be made without arguments."""
    try:
        return make()
    except Exception as error:
        abstract = sorted(getattr(make, "__abstractmethods__", ()))
        if abstract:
            text = f"lacks {', '.join(abstract)}"
        elif isinstance(error, TypeError) and inspect.isclass(make):
            text = f"cannot be made without arguments; give each a default ({error})"
        else:
            text = f"cannot be made: it {_raised(error)}"
        lacking = [] if not inspect.isclass(make) or issubclass(make, Strategy) else list(_lacking(make, reference))
        raise BadInput([Fault("strategy", f"{reference} {text}"), *lacking]) from error


def _faults(policy: Policy, reference: str) -> Iterator[Fault]:
    """What is wrong with a strategy that has been made."""
    absent = [name for name in _MEMBERS if not hasattr(policy, name)]
    if absent:
        yield Fault("strategy", f"{reference} lacks {', '.join(absent)}; {_REMEDY}")
    rules: dict[str, tuple[Callable[[Any], bool], str]] = {
        "name": (lambda value: isinstance(value, str) and value.isprintable() and value != "", "a printable text"),
        "needs": (_are_needs, f"a tuple of Need, each of a series of {', '.join(IN_WORDS)}"),
        "bind": (callable, "a method"),
        "with_risk": (callable, "a method"),
    }
    for name, (holds, kind) in rules.items():
        if name not in absent and not holds(getattr(policy, name)):
            yield Fault("strategy", f"{reference}.{name} must be {kind}, not {getattr(policy, name)!r}")
    if "step_min" not in absent:
        wrong = step_faults(policy.step_min)
        yield from (Fault("strategy", f"{reference}.{fault.where} {fault.message}") for fault in wrong)


def _lacking(kind: type, reference: str) -> Iterator[Fault]:
    methods = [name for name in ("bind", "with_risk") if not hasattr(kind, name)]
    if methods:
        yield Fault("strategy", f"{reference} lacks {', '.join(methods)}; {_REMEDY}")


def _are_needs(value: Any) -> bool:
    return isinstance(value, tuple) and all(isinstance(need, Need) and need.series in IN_WORDS for need in value)


def _digest(module: ModuleType) -> str | None:
    """Of the file that defines it; None for one without a file."""
    file = getattr(module, "__file__", None)
    return None if file is None else hashlib.sha256(Path(file).read_bytes()).hexdigest()


def _place(module: ModuleType) -> str:
    return str(getattr(module, "__file__", None) or module.__name__)


def _candidates(module: ModuleType) -> str:
    """The strategies that a module defines, in words."""
    own = [
        name
        for name, value in vars(module).items()
        if isinstance(value, StrategySpec) or (inspect.isclass(value) and issubclass(value, Strategy))
    ]
    names = [name for name in own if name != Strategy.__name__]
    return f"; its strategies are {', '.join(names)}" if names else "; it defines no strategy"


def _raised(error: Exception) -> str:
    frames = traceback.extract_tb(error.__traceback__)
    return f"raised {type(error).__name__}: {error} ({frames[-1].filename}:{frames[-1].lineno})"
