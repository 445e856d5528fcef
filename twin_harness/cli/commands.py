"""How a command is added to the parser: its help, its example, the settings that it heeds."""

from __future__ import annotations

import argparse
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from twin_harness.cli import output
from twin_harness.cli.settings import add_settings

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from _typeshed import SupportsWrite


class Parser(argparse.ArgumentParser):
    """A parser whose help and errors go where all else goes.

    Attributes:
        commands: those that it takes; None where it takes none.
    """

    commands: Commands | None = None

    def add_commands(self, **settings: Any) -> Commands:
        """Let one of several commands follow; ``settings`` are those of ``add_subparsers``."""
        self.commands = Commands(self.add_subparsers(required=True, **settings))
        return self.commands

    def typed_commands(self, words: tuple[str, ...] = ()) -> Iterator[tuple[str, Parser]]:
        """Yield every command as it is typed, such as ``gate show``, with its parser."""
        if self.commands is None:
            yield " ".join(words), self
            return
        for name, command in self.commands.subparsers.choices.items():
            yield from command.typed_commands((*words, name))

    def _print_message(self, message: str, file: SupportsWrite[str] | None = None) -> None:
        if file is not None and file is sys.stderr:
            output.echo_error_as_is(message)
        else:
            output.stdout().write(message)


@dataclass(frozen=True)
class Commands:
    """The commands of a parser, or the actions of a command.

    Attributes:
        subparsers: where argparse keeps them.
    """

    subparsers: argparse._SubParsersAction[Parser]

    def add(
        self,
        name: str,
        run: Callable[[argparse.Namespace], int] | None,
        text: str,
        settings: Sequence[str] = (),
        *,
        about: str = "",
        example: str = "",
        has_json: bool = True,
        has_work: bool = False,
    ) -> Parser:
        """Add a command.

        Args:
            name: as it is typed.
            run: takes the parsed arguments and returns the exit code; None where actions follow.
            text: what it does, in the list of commands.
            settings: names of the options of a session that it heeds.
            about: what it does, in its own help, where that is more than ``text``.
            example: what its help ends with.
            has_json: whether it has ``--json``.
            has_work: whether it is for something else than its output: a load, a verdict.
        """
        command = self.subparsers.add_parser(
            name,
            help=text,
            description=about or text,
            epilog=example,
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        command.set_defaults(run_command=run, has_work=has_work)
        if has_json:
            command.add_argument("--json", action="store_true", help="machine output on stdout")
        add_settings(command, settings)
        return command
