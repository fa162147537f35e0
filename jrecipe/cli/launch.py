"""`jrecipe launch`: one command in several processes of this machine, which find each other."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import time
from types import FrameType

import click

from jrecipe.cli import options
from jrecipe.cli.stop import BAD_INPUT, INTERRUPTED, TERMINATED, StopError

_PATIENCE = 15.0  # seconds that the others have to end by themselves when one has failed
_POLL = 0.1  # seconds


@click.command(
    context_settings={"ignore_unknown_options": True},
    epilog=options.examples(
        "jrecipe launch --processes 2 -- jrecipe fit digits --join --out runs/two",
        "jrecipe launch --processes 4 -- python my_training.py",
    ),
)
@click.option(
    "--processes",
    type=click.IntRange(1),
    default=2,
    show_default=True,
    help="How many to start.",
)
@click.argument("command", nargs=-1, required=True, type=click.UNPROCESSED)
@options.with_traceback
def launch(processes: int, command: tuple[str, ...]) -> int:
    """Start COMMAND several times here, as processes that train one network together.

    Each joins the others by `jrecipe fit --join`, or `jr.train.join_processes()` in a script of
    your own. It is for trying out, on one machine, what runs on many: a cluster starts the
    processes by itself. Ctrl-C and SIGTERM are passed on to each of them. When one fails, the
    others are ended, and its exit code is returned.
    """
    if command[0] == "jrecipe" and "--join" not in command:
        raise StopError(
            f"launch got {' '.join(command)!r}, which would run {processes} times, each by itself; "
            "it is for `jrecipe fit`: add --join to that.",
            BAD_INPUT,
        )
    address = f"localhost:{_free_port()}"
    children: list[subprocess.Popen[bytes]] = []

    def pass_on(number: int, frame: FrameType | None) -> None:
        for child in children:
            if child.poll() is None:
                child.send_signal(number)

    before = {number: signal.signal(number, pass_on) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        for index in range(processes):
            children.append(_start(command, address, processes, index))
        return _wait(children)
    finally:
        for child in children:
            if child.poll() is None:
                child.kill()
            child.wait()
        for number, handler in before.items():
            signal.signal(number, signal.SIG_DFL if handler is None else handler)


def _start(
    command: tuple[str, ...], address: str, processes: int, index: int
) -> subprocess.Popen[bytes]:
    # The names are those that `jrecipe.train.processes` reads; to import it would import JAX.
    environment = {
        **os.environ,
        "JRECIPE_COORDINATOR": address,
        "JRECIPE_PROCESSES": str(processes),
        "JRECIPE_PROCESS": str(index),
    }
    try:
        # Sessions of their own, so that Ctrl-C in a terminal reaches each once, passed on.
        return subprocess.Popen(command, env=environment, start_new_session=True)
    except OSError as error:
        raise StopError(
            f"launch cannot start {command[0]!r} ({error.strerror}); name a program that is there.",
            BAD_INPUT,
        ) from error


def _wait(children: list[subprocess.Popen[bytes]]) -> int:
    """Waits for all; after a failure, as long as the others are allowed to take."""
    until = None
    while any(child.poll() is None for child in children):
        codes = [child.poll() for child in children]
        failed = [code for code in codes if code not in (None, 0, INTERRUPTED, TERMINATED)]
        if failed and until is None:
            until = time.monotonic() + _PATIENCE
        if until is not None and time.monotonic() > until:
            break
        time.sleep(_POLL)
    codes = [child.poll() for child in children]
    first = next((code for code in codes if code), 0)  # None: it is killed now
    return 128 - first if first < 0 else first


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("localhost", 0))
        port: int = listener.getsockname()[1]
        return port
