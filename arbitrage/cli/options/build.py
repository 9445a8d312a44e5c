"""Commands from functions whose arguments are groups of options: `command` is their one decorator.

A group is a dataclass with a `PANEL`; each field is an option, annotated as Typer has it. `train(market:
MarketOptions, ...)` becomes a command with every option of the market, in one panel of the help.

Contract
- A default of the argument holds the defaults of its options; without one they are those of the fields.
- Every command takes `--config`. A command with `recorded` writes `used.toml` beside its results once it is done.
"""

from __future__ import annotations

import copy
import inspect
from collections.abc import Callable
from dataclasses import MISSING, fields, is_dataclass
from functools import wraps
from typing import Annotated, Any, get_args, get_type_hints

import typer

from arbitrage.cli.options.config_file import ConfigOption, write_used

_CONTEXT, _CONFIG = "context", "config"
_EMPTY = inspect.Parameter.empty
_Command = Callable[..., None]


def command(*, example: str, recorded: bool = False) -> Callable[[_Command], _Command]:
    """A command with the options of its groups, with `--config`, and with an example for its help.

    example: as one types it, without the name of the program. recorded: see the module.
    """

    def built(function: _Command) -> _Command:
        arguments = inspect.signature(function, eval_str=True).parameters.values()
        options = {each.name: _options(each) for each in arguments if is_dataclass(each.annotation)}
        kinds = {each.name: each.annotation for each in arguments}

        @wraps(function)
        def with_options(**values: Any) -> None:
            context = values.pop(_CONTEXT)
            values.pop(_CONFIG)
            grouped = {
                name: kinds[name](**{option.name: values[option.name] for option in own})
                for name, own in options.items()
            }
            function(**{name: grouped[name] if name in grouped else values[name] for name in kinds})
            if recorded:
                write_used(context, values)

        parameters = [option for each in arguments for option in options.get(each.name, [_keyword(each)])]
        parameters += [_option(_CONFIG, ConfigOption, None), _option(_CONTEXT, typer.Context, _EMPTY)]
        with_options.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
        with_options.__annotations__ = {each.name: each.annotation for each in parameters}
        with_options.example = example  # type: ignore[attr-defined]
        return with_options

    return built


def _options(group: inspect.Parameter) -> list[inspect.Parameter]:
    """The options of a group in its panel, with the defaults of the argument where it has one."""
    kind = group.annotation
    hints = get_type_hints(kind, include_extras=True)
    options = []
    for field in fields(kind):
        default = field.default if group.default is _EMPTY else getattr(group.default, field.name)
        hint = _in_panel(hints[field.name], kind.PANEL)
        options.append(_option(field.name, hint, _EMPTY if default is MISSING else default))
    return options


def _in_panel(hint: Any, panel: str) -> Any:
    kind, option = get_args(hint)
    shown = copy.copy(option)
    shown.rich_help_panel = panel
    return Annotated[kind, shown]


def _keyword(argument: inspect.Parameter) -> inspect.Parameter:
    return _option(argument.name, argument.annotation, argument.default)


def _option(name: str, hint: Any, default: Any) -> inspect.Parameter:
    return inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, annotation=hint, default=default)
