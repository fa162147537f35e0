"""The `jrecipe` command. Nothing here imports JAX before a command runs."""

from jrecipe.cli.commands import main

__all__ = ["main"]
