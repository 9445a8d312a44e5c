"""The command line. Results go to standard output and files, progress and complaints to standard error.

Contract
- Exit codes: 0 done; 1 the job failed; 2 bad input, every fault named.
- A command is loaded when it is asked for: help, completion and a mistyped name load none.
- Help stands in panels and is whole at 80 columns: no name is cut.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Container, Iterable, Mapping
from importlib import import_module, metadata
from typing import Annotated, Any

import typer
import typer.main
from typer.core import TyperCommand, TyperGroup

from arbitrage.cli.options.panels import ARGUMENTS, FIRST, LAST, OTHER
from arbitrage.cli.table import COMMANDS, CommandLine

ENTRY_POINTS = "arbitrage.commands"
"""Group of entry points: functions, each named as the command that it is."""


class PanelCommand(TyperCommand):
    """A command with options in panels, and several values after an option that may be given again."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        several = {name for each in self.params if getattr(each, "multiple", False) for name in each.opts}
        return super().parse_args(ctx, expanded(args, several))

    def format_options(self, ctx: Any, formatter: Any) -> None:
        shown = [(each, record) for each in self.get_params(ctx) if (record := each.get_help_record(ctx))]
        _write_panels(formatter, [(_panel(each), (_name(each, name), words)) for each, (name, words) in shown])

    def format_epilog(self, _ctx: Any, formatter: Any) -> None:
        if self.epilog:
            with formatter.section("Example"):
                formatter.write("".join(f"  {line}\n" for line in example_lines(self.epilog)))


class CommandStub(TyperCommand):
    """What the help says of a command that is not loaded."""

    def __init__(self, name: str, listed: CommandLine, load: Callable[[], Callable[..., Any]]) -> None:
        super().__init__(name, help=listed.line, rich_help_panel=listed.panel, rich_markup_mode=None)
        self._load = load

    def loaded(self) -> Any:
        """The command itself."""
        app = typer.Typer(add_completion=False, rich_markup_mode=None, pretty_exceptions_enable=False)
        function = self._load()
        app.command(self.name, cls=PanelCommand, epilog=getattr(function, "example", None))(function)
        return typer.main.get_command(app)


class CommandGroup(TyperGroup):
    """Commands of which the one that is asked for is loaded."""

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        name, command, rest = super().resolve_command(ctx, args)
        return name, command.loaded() if isinstance(command, CommandStub) else command, rest

    def format_options(self, ctx: Any, formatter: Any) -> None:
        options = [(OTHER, record) for each in self.get_params(ctx) if (record := each.get_help_record(ctx))]
        commands = [(str(_panel(each)), (name, each.help or "")) for name, each in self.commands.items()]
        _write_panels(formatter, [*commands, *options])


class RootGroup(CommandGroup):
    """All commands: those of the table, and those that entry points bring."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings)
        brought = {point.name: point for point in metadata.entry_points(group=ENTRY_POINTS)}
        for name, listed in COMMANDS.items():
            if listed.target is not None and " " not in name:
                self.add_command(_stub(name, listed))
            elif below := {rest: each for full, each in COMMANDS.items() if (rest := _below(name, full))}:
                self.add_command(_group(name, listed, below))
            elif name in brought:
                self.add_command(CommandStub(name, listed, brought.pop(name).load))
        for name, point in brought.items():
            origin = CommandLine(OTHER, f"From {point.dist.name if point.dist else point.module}.")
            self.add_command(CommandStub(name, origin, point.load))


def _below(group: str, full: str) -> str | None:
    """The name of a command within a group; None for one that is not in it."""
    return full.removeprefix(f"{group} ") if full.startswith(f"{group} ") else None


def _stub(name: str, listed: CommandLine) -> CommandStub:
    module, _, function = str(listed.target).partition(":")
    return CommandStub(name, listed, lambda: getattr(import_module(module), function))


def _group(name: str, listed: CommandLine, below: Mapping[str, CommandLine]) -> CommandGroup:
    commands: list[Any] = [_stub(each, line) for each, line in below.items()]
    return CommandGroup(
        name=name,
        commands=commands,
        help=listed.line,
        rich_help_panel=listed.panel,
        no_args_is_help=True,
        rich_markup_mode=None,
    )


def _panel(each: Any) -> str:
    return getattr(each, "rich_help_panel", None) or (OTHER if each.param_type_name == "option" else ARGUMENTS)


def _name(each: Any, shown: str) -> str:
    """The name of an option or argument, with the kind of its values in few letters."""
    if each.param_type_name == "argument":
        return shown.partition(" <")[0]
    plain = shown.replace(" range>", ">")
    return re.sub(r"<list\[(\w+)\]>", lambda kind: f"<{kind[1].lower()}>...", plain)


def _write_panels(formatter: Any, shown: Iterable[tuple[str, tuple[str, str]]]) -> None:
    """Names and their help under the title of their panel, panels in the order of the house."""
    panels: dict[str, list[tuple[str, str]]] = {}
    for panel, record in shown:
        panels.setdefault(panel, []).append(record)
    others = [panel for panel in panels if panel not in (*FIRST, *LAST)]
    for panel in filter(panels.__contains__, (*FIRST, *others, *LAST)):
        with formatter.section(panel):
            formatter.write_dl(panels[panel])


def example_lines(example: str, width: int = 74) -> list[str]:
    """A call of the program in lines of a shell, none of them longer than `width`; options are kept together."""
    lines = ["arbitrage"]
    for part in example.replace(" --", "\n--").replace(" ", "\n", 1).split("\n"):
        if len(lines[-1]) + len(part) + 3 > width:
            lines[-1] += " \\"
            lines.append(f"    {part}")
        else:
            lines[-1] += f" {part}"
    return lines


def expanded(arguments: Iterable[str], several: Container[str]) -> list[str]:
    """Write `--prices A B` as `--prices A --prices B`, for the options that take several values."""
    out: list[str] = []
    option: str | None = None
    for argument in arguments:
        if argument.startswith("--"):
            option = argument if argument in several else None
        elif option is not None and out[-1] != option:
            out.append(option)
        out.append(argument)
    return out


app = typer.Typer(
    cls=RootGroup,
    help="Battery arbitrage in the Belgian imbalance settlement. Positive power is discharge; times are UTC.",
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"arbitrage {metadata.version('arbitrage')}")
        raise typer.Exit


@app.callback()
def root(
    version: Annotated[
        bool, typer.Option("--version", help="Print the version and exit.", callback=_print_version, is_eager=True)
    ] = False,
) -> None:
    """The options of the command line itself."""
