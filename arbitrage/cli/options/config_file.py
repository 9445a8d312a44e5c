"""Options from a TOML file, and the file that repeats what a command did.

    [battery]
    power_mw = 10
    capacity_mwh = 20

Contract
- A key is the name of an option, with underscores or hyphens; a section is the title of its panel. Options may also
  stand outside every section.
- The command line comes before the file, and the file before the defaults. A value is read as on the command line.
- All keys that the command does not know are refused together, each with the name that may be meant.
"""

from __future__ import annotations

import datetime as dt
import difflib
import json
import shlex
import tomllib
from collections.abc import Iterator, Mapping
from enum import Enum
from importlib import metadata, resources
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import typer

from arbitrage.cli.options.panels import ARGUMENTS, OTHER
from arbitrage.errors import BadInput, Fault, refuse

USED_FILE = "used.toml"
_PRESET = "preset:"
_NOT_REPEATED = frozenset({"config", "run_folder", "record", "help"})
"""Options of a run that a repetition cannot share: a run folder and a label on a card are written once."""


class Known(NamedTuple):
    """An option that a file may set."""

    argument: str
    """Of the function."""
    panel: str
    several: bool


def read_config(context: typer.Context, value: str | None) -> str | None:
    """Make the options of the file the defaults of the command. Raises BadInput naming every fault."""
    if value is not None and not context.resilient_parsing:
        context.default_map = _defaults(known_options(context.command), *_content(value))
    return value


ConfigOption = Annotated[
    str | None,
    typer.Option(
        "--config",
        metavar="FILE",
        help="TOML file of options, sections named as these panels; or preset:NAME.",
        callback=read_config,
        is_eager=True,
    ),
]


def presets() -> dict[str, str]:
    """The files that are shipped, by name."""
    folder = resources.files("arbitrage.cli") / "presets"
    return {
        each.name.removesuffix(".toml"): each.read_text("utf-8")
        for each in sorted(folder.iterdir(), key=lambda each: each.name)
        if each.name.endswith(".toml")
    }


def known_options(command: Any) -> dict[str, Known]:
    """The options and arguments of a command, by the name that a file gives them."""
    known = {}
    for each in command.params:
        if each.name in ("config", "help"):
            continue
        rest = ARGUMENTS if each.param_type_name == "argument" else OTHER
        several = each.nargs == -1 or bool(getattr(each, "multiple", False))
        names = [option for option in each.opts if option.startswith("--")] or [str(each.name)]
        own = Known(str(each.name), each.rich_help_panel or rest, several)
        known.update({_plain(name): own for name in names})
    return known


def _plain(name: str) -> str:
    return name.removeprefix("--").replace("-", "_").lower()


def _content(value: str) -> tuple[str, dict[str, Any]]:
    """The name of the file for people, and what it holds. Raises BadInput."""
    if value.startswith(_PRESET):
        shipped, name = presets(), value.removeprefix(_PRESET)
        if name not in shipped:
            raise BadInput([Fault("--config", f"there is no preset {name!r}; choose one of {', '.join(shipped)}")])
        return value, tomllib.loads(shipped[name])
    try:
        return value, tomllib.loads(Path(value).read_text("utf-8"))
    except OSError as error:
        raise BadInput([Fault("--config", f"{value} cannot be read: {error.strerror}")]) from error
    except ValueError as error:
        raise BadInput([Fault(value, f"is not TOML: {error}")]) from error


def _defaults(known: Mapping[str, Known], where: str, content: Mapping[str, Any]) -> dict[str, Any]:
    """Values by argument. Raises BadInput naming every key that is none of the command's, or stands wrongly."""
    faults: list[Fault] = []
    values: dict[str, Any] = {}
    for section, key, value in _entries(content):
        option = known.get(_plain(key))
        fault = _fault(known, section, key, value)
        if fault is None and option is not None and option.argument in values:
            fault = "is given twice"
        if fault is not None or option is None:
            faults.append(Fault(where, f"{key if section is None else f'[{section}] {key}'}: {fault}"))
        else:
            values[option.argument] = _value(value, option)
    refuse(faults)
    return values


def _entries(content: Mapping[str, Any]) -> Iterator[tuple[str | None, str, Any]]:
    """Section, key and value of all that a file holds."""
    for key, value in content.items():
        if isinstance(value, dict):
            yield from ((key, inner, part) for inner, part in value.items())
        else:
            yield None, key, value


def _fault(known: Mapping[str, Known], section: str | None, key: str, value: Any) -> str | None:
    option = known.get(_plain(key))
    if option is None:
        return f"this command has no such option{_meant(_plain(key), list(known))}"
    if section is not None and _plain(section) != _plain(option.panel):
        return f"stands in [{option.panel.lower()}], not in [{section}]"
    if isinstance(value, dict) or (isinstance(value, list) and not option.several):
        return f"takes one value, not {value!r}"
    return None


def _meant(name: str, names: list[str]) -> str:
    close = difflib.get_close_matches(name, names, n=1)
    return f"; did you mean {close[0]}?" if close else ""


def _value(value: Any, option: Known) -> Any:
    if option.several:
        return [_scalar(each) for each in (value if isinstance(value, list) else [value])]
    return _scalar(value)


def _scalar(value: Any) -> Any:
    return value.isoformat() if isinstance(value, dt.date | dt.time) else value


def write_used(context: typer.Context, values: Mapping[str, Any]) -> None:
    """Write the options of a command that is done beside each of its results.

    In its directories the file is `used.toml`; beside `figures.json` it is `figures.used.toml`.
    """
    places = [Path(str(values[name])) / USED_FILE for name in ("out", "run_folder") if values.get(name) is not None]
    if values.get("json_out") not in (None, "-"):
        places.append(Path(values["json_out"]).with_suffix(f".{USED_FILE}"))
    if not places:
        return
    text = used_toml(context, values)
    for place in places:
        place.write_text(text, "utf-8")


def used_toml(context: typer.Context, values: Mapping[str, Any]) -> str:
    """The options in sections, as a file for `--config`; options without a value are left out."""
    sections: dict[str, list[str]] = {}
    for name, option in known_options(context.command).items():
        value = values.get(option.argument)
        if option.argument not in _NOT_REPEATED and value not in (None, [], ()):
            sections.setdefault(option.panel.lower(), []).append(f"{name} = {_toml(value)}")
    call = shlex.join(["arbitrage", str(context.info_name), "--config", USED_FILE])
    head = f"# `{call}` repeats this; paths are relative to {Path.cwd()}\n# arbitrage {metadata.version('arbitrage')}\n"
    return head + "".join(f"\n[{section}]\n" + "\n".join(lines) + "\n" for section, lines in sections.items())


def _toml(value: Any) -> str:
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(_toml, value))}]"
    if isinstance(value, Enum):
        value = value.value
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int | float):
        return repr(value)
    return json.dumps(str(value), ensure_ascii=False).replace("\x7f", "\\u007f")
