"""The command line: ``dialroom serve``, ``call``, ``demo``, ``route`` and what an operator needs besides.

Heavy modules are imported inside the commands, so that ``--help`` is there at once.
"""

from __future__ import annotations

import asyncio
import re
import signal
import sys
from collections.abc import Coroutine
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer
from rich.console import Console

if TYPE_CHECKING:
    from dialroom.config import Config

T = TypeVar("T")

app = typer.Typer(
    name="dialroom",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
out = Console(highlight=False, soft_wrap=True)
err = Console(stderr=True, highlight=False, soft_wrap=True)

ConfigFile = Annotated[
    Path | None, typer.Option("--config", "-c", help="TOML file; also DIALROOM_CONFIG.", dir_okay=False)
]


@app.callback()
def before_any_command() -> None:
    """Puts phones into video rooms."""
    from dialroom.core.log import set_up_logging

    # Set up at once, so that a crash of no command is told with what was in its variables.
    set_up_logging("console", "warning")


@app.command()
def serve(
    config: ConfigFile = None,
    keep_calls: Annotated[
        bool, typer.Option("--keep-calls", help="When stopped, leave running calls to the next start.")
    ] = False,
) -> None:
    """Start the server."""
    from dialroom.cli.serve import serve_until_stopped

    _run(serve_until_stopped(_load(config), out, keep_calls=keep_calls))


@app.command()
def call(
    target: Annotated[str, typer.Argument(help="SIP URI, such as sip:1000@127.0.0.1")],
    digits: Annotated[str, typer.Option(help="Keys to press; a comma pauses half a second.")] = "",
    after: Annotated[float, typer.Option(help="Seconds after the answer before keys are pressed.")] = 0.5,
    play: Annotated[Path | None, typer.Option(help="WAV file to speak: mono, 8, 16 or 48 kHz.", exists=True)] = None,
    tone: Annotated[float | None, typer.Option(help="Speak a tone of this many Hz instead.")] = None,
    record: Annotated[Path | None, typer.Option(help="WAV file for what is heard.")] = None,
    seconds: Annotated[float, typer.Option(help="Hang up after this long.")] = 10.0,
    codec: Annotated[list[str] | None, typer.Option(help="opus, G722, PCMU or PCMA; several, best first.")] = None,
    caller: Annotated[str, typer.Option("--from", help="Who calls: a number or name.")] = "test",
) -> None:
    """Call somebody with the built-in test phone.

    Ends with 0 if the call was answered and lasted, 3 if it was refused, 4 if nobody answered, 5 if the other side
    hung up early, 6 if nothing was heard.
    """
    from dialroom.cli.call import CallPlan, make_call

    plan = CallPlan(target, digits, after, play, tone, record, seconds, tuple(codec or ()), caller)
    raise typer.Exit(_run(make_call(plan, err)))


@app.command()
def demo(
    check: Annotated[bool, typer.Option("--check", help="Listen at both ends, say the verdict, and end.")] = False,
) -> None:
    """Show a phone dialling into a room, without any phone at hand."""
    from dialroom.cli.demo import show

    raise typer.Exit(_run(show(out, check=check)))


@app.command()
def route(
    number: Annotated[str, typer.Argument(help="The number, SIP user or URI that would be called.")],
    caller: Annotated[str, typer.Option("--from", help="Who would call, likewise.")] = "",
    source: Annotated[str, typer.Option(help="The address the call would come from.")] = "127.0.0.1",
    config: ConfigFile = None,
) -> None:
    """Explain what would happen to a call."""
    from dialroom.cli.route import explain_call

    raise typer.Exit(_run(explain_call(_load(config), out, number, caller, source)))


@app.command("check-config")
def check_config(config: ConfigFile = None) -> None:
    """Read the configuration and say what is wrong with it."""
    loaded = _load(config)
    for name in type(loaded).model_fields:
        out.print(f"[dim]{name}[/dim] = {_shown(getattr(loaded, name))}", markup=True)
    out.print("The configuration can be used.")


keys_app = typer.Typer(help="API keys.", no_args_is_help=True)
app.add_typer(keys_app, name="keys")


@keys_app.command("create")
def create_key(name: Annotated[str, typer.Argument(help="What it is for.")], config: ConfigFile = None) -> None:
    """Make an API key; its text is shown this once."""
    from dialroom.cli.keys import create

    _run(create(_load(config), out, name))


@keys_app.command("list")
def list_keys(config: ConfigFile = None) -> None:
    """List the API keys."""
    from dialroom.cli.keys import show_all

    _run(show_all(_load(config), out))


@keys_app.command("revoke")
def revoke_key(key: Annotated[str, typer.Argument(help="Its id, key_…")], config: ConfigFile = None) -> None:
    """Revoke an API key at once."""
    from dialroom.cli.keys import revoke

    _run(revoke(_load(config), out, key))


@app.command()
def version() -> None:
    """Say the version."""
    from importlib.metadata import version as installed

    out.print(installed("dialroom"))


def main() -> None:
    """The entry point. Errors meant for users are said without a traceback."""
    from dialroom.core.errors import DialroomError

    try:
        app()
    except DialroomError as error:
        err.print(f"[red]{error.title}.[/red]" if error.title else "", markup=True)
        err.print(error.detail, markup=False)
        err.print(error.fix, markup=False)
        sys.exit(1)


def _load(config: Path | None) -> Config:
    from dialroom.config import load_config

    return load_config(config)


def _run(work: Coroutine[Any, Any, T]) -> T:
    import uvloop

    async def until_terminated() -> T:
        # SIGTERM ends a command like Ctrl-C does, so that what it started (a media process) is stopped with it.
        task = asyncio.ensure_future(work)
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
        return await task

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        try:
            return runner.run(until_terminated())
        except asyncio.CancelledError:
            raise typer.Exit(128 + signal.SIGTERM) from None


def _shown(value: object) -> str:
    if isinstance(value, tuple):
        return ", ".join(str(each) for each in value) or "-"
    if value in (None, ""):
        return "-"
    # A database URL may hold a password, in front of the host or among its parameters.
    return re.sub(r"(?i)([?&][^=&]*password=)[^&]*", r"\1***", re.sub(r"(://[^:/@]*:).*@", r"\1***@", str(value)))
