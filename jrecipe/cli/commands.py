"""The commands of `jrecipe`, by name."""

from __future__ import annotations

import click

from jrecipe import __version__
from jrecipe.cli.group import Lazy, LazyGroup

TABLE = {
    "cook": Lazy("jrecipe.cli.cook:cook", "Look, train, check and test: the whole recipe."),
    "check": Lazy("jrecipe.cli.check:check", "Check a task without training it to the end."),
    "inspect": Lazy("jrecipe.cli.inspect:inspect", "Look at the data only."),
    "human": Lazy("jrecipe.cli.human:human", "Ask a person, on a page, and score the answers."),
    "fit": Lazy("jrecipe.cli.fit:fit", "Train only; can be interrupted and resumed."),
    "tune": Lazy("jrecipe.cli.tune:tune", "Search for learning rate, decay, dropout and so on."),
    "finetune": Lazy("jrecipe.cli.finetune:finetune", "Fine-tune BERT or its like on texts."),
    "ensemble": Lazy(
        "jrecipe.cli.ensemble:ensemble", "Train several networks and average their answers."
    ),
    "launch": Lazy("jrecipe.cli.launch:launch", "Try out training in several processes."),
    "predict": Lazy("jrecipe.cli.predict:predict", "Use a trained network on new files."),
    "squeeze": Lazy("jrecipe.cli.squeeze:squeeze", "Make a trained network smaller, and compare."),
    "export": Lazy("jrecipe.cli.export:export", "Write a trained network as StableHLO or ONNX."),
    "items": Lazy("jrecipe.cli.items:items", "List what the recipe asks, and what shows it."),
}


_END = """\b
Examples:
  jrecipe cook digits                  bundled data, about a minute
  jrecipe cook my_table.csv            a CSV file with a column 'label'
  jrecipe check my_task.py:task        your own network, loss and data
  jrecipe predict runs/digits new.png

Exit codes: 0 all well, 1 a check failed, 2 bad input, 130 interrupted, 143 SIGTERM (saved)."""


def _start(context: click.Context) -> int:
    """Turns data, or a task of your own, into a trained network that can be trusted."""
    if context.invoked_subcommand is None:
        click.echo(context.get_help())
    return 0


main = LazyGroup(
    TABLE,
    name="jrecipe",
    callback=click.pass_context(_start),
    help=_start.__doc__,
    epilog=_END,
    invoke_without_command=True,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    params=[],
)
click.version_option(__version__, prog_name="jrecipe", message="%(prog)s %(version)s")(main)
