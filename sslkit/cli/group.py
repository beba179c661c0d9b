"""The group of commands: the kernel's own, and those of the folders beside it."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from typing import Any, ClassVar

import click

from sslkit.terminal.told import told


class Commands(click.Group):
    """The commands below, and those of the folders beside the kernel, imported when they are used."""

    beside: ClassVar[Mapping[str, str]] = {
        "advise": "sslkit.harness.commands.advise",
        "compare": "sslkit.harness.commands",
        "table": "sslkit.harness.commands",
        "runs": "sslkit.harness.commands.runs",
        "data": "sslkit.cli.data",
        "list": "sslkit.cli.listing",
        "check": "sslkit.cli.check",
        "new": "sslkit.cli.new",
        "predict": "sslkit.cli.finished",
        "export": "sslkit.cli.finished",
        "audit": "sslkit.cli.finished",
        "map": "sslkit.cli.finished",
        "convert": "sslkit.cli.labels",
        "schema": "sslkit.cli.machines",
        "skill": "sslkit.cli.machines",
    }

    def invoke(self, ctx: click.Context) -> Any:
        """As click does, which prints an empty line at Ctrl-C: that is no line of `--progress json`."""
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt:
            if told.progress == "json":
                raise click.Abort from None
            raise

    def list_commands(self, ctx: click.Context) -> list[str]:
        return [*super().list_commands(ctx), *self.beside]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name in self.beside:
            command: click.Command = getattr(importlib.import_module(self.beside[cmd_name]), f"{cmd_name}_command")
            return command
        return super().get_command(ctx, cmd_name)
