"""The command line, as somebody types it."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Callable, Coroutine
from importlib.metadata import version
from pathlib import Path

import pytest
import structlog

from dialroom import cli

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Run:
    """Runs ``dialroom …`` in an empty folder; returns exit code, output and errors."""
    monkeypatch.chdir(tmp_path)
    for name in [name for name in os.environ if name.startswith("DIALROOM_")]:
        monkeypatch.delenv(name)

    def run(*arguments: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["dialroom", *arguments])
        code = 0
        try:
            cli.main()
        except SystemExit as exit_:
            code = exit_.code if isinstance(exit_.code, int) else int(exit_.code is not None)
        written = capfd.readouterr()
        return code, written.out, written.err

    return run


@pytest.fixture
async def first_start(tmp_path: Path) -> None:
    """A data directory in which the server was started once."""
    from dialroom.core.bus import EventBus
    from dialroom.core.clock import SystemClock
    from dialroom.store.store import Store

    store = await Store.open(f"sqlite:///{tmp_path / 'var' / 'dialroom.db'}", tmp_path / "var", EventBus())
    await store.first_start(SystemClock())
    await store.close()


def test_the_version_is_said(run: Run) -> None:
    assert run("version") == (0, version("dialroom") + "\n", "")


def test_help_names_every_command(run: Run) -> None:
    code, text, _ = run("--help")
    assert code == 0
    for command in ("serve", "call", "demo", "route", "check-config", "keys", "version"):
        assert command in text


def test_a_good_configuration_is_shown(run: Run, tmp_path: Path) -> None:
    (tmp_path / "dialroom.toml").write_text("sip_port = 5080\n")
    code, text, _ = run("check-config", "--config", "dialroom.toml")
    assert code == 0
    assert re.search(r"^sip_port = 5080$", text, re.M)
    assert "can be used" in text


def test_a_wrong_configuration_is_named_with_the_key_and_without_a_traceback(run: Run, tmp_path: Path) -> None:
    (tmp_path / "dialroom.toml").write_text("sip_prot = 5080\n")
    code, _, said = run("check-config", "--config", "dialroom.toml")
    assert code == 1
    assert "sip_prot" in said
    assert "sip_port" in said
    assert "Traceback" not in said


def test_secrets_are_not_shown_with_the_configuration(run: Run, tmp_path: Path) -> None:
    (tmp_path / "dialroom.toml").write_text(
        'database_url = "postgresql://dialroom:hush/@ush@db/dialroom"\n'
        '[[turn_servers]]\nurls = ["turn:t.example.com"]\nsecret = "hush"\n'
    )
    code, text, said = run("check-config", "--config", "dialroom.toml")
    assert code == 0
    assert "ush" not in text + said
    assert "postgresql://dialroom:***@db/dialroom" in text
    (tmp_path / "dialroom.toml").write_text('database_url = "postgresql:///d?host=db&password=hush&sslmode=require"')
    _, text, _ = run("check-config", "--config", "dialroom.toml")
    assert "database_url = postgresql:///d?host=db&password=***&sslmode=require" in text


@pytest.mark.usefixtures("first_start")
def test_a_call_is_explained_step_by_step(run: Run) -> None:
    code, text, _ = run("route", "1000")
    assert code == 0
    assert "number 1000" in text
    assert "asked for a meeting code" in text


@pytest.mark.usefixtures("first_start")
def test_a_call_that_would_be_refused_says_why_and_ends_with_3(run: Run) -> None:
    code, text, _ = run("route", "+4930123456")
    assert code == 3
    assert "404 Not Found" in text
    code, text, _ = run("route", "1000", "--source", "192.0.2.1")
    assert code == 3
    assert "192.0.2.1 is in no gateway's networks" in text


@pytest.mark.usefixtures("first_start")
def test_what_a_phone_would_dial_can_be_asked_for_as_it_is_and_a_wrong_address_is_no_answer(run: Run) -> None:
    code, text, _ = run("route", "sip:1000@127.0.0.1")
    assert (code, "asked for a meeting code" in text) == (0, True)
    code, text, said = run("route", "1000", "--source", "my.host")
    assert (code, text) == (1, "")
    assert "198.51.100.7" in said


@pytest.mark.parametrize("command", [["route", "1000"], ["keys", "create", "app"], ["call", "sip:1000@127.0.0.1"]])
def test_a_crash_does_not_tell_what_was_in_variables(
    run: Run, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], command: list[str]
) -> None:
    def crash(_work: Coroutine[object, object, object]) -> None:
        _work.close()
        api_key = "dr_" + "hush" * 13
        try:
            raise ZeroDivisionError(len(api_key))
        except ZeroDivisionError:
            structlog.get_logger("dialroom.test").exception("crashed")

    monkeypatch.setattr(cli, "_run", crash)
    _, said, logged = run(*command)
    assert "ZeroDivisionError" in logged
    assert "hush" not in said + logged


@pytest.mark.usefixtures("first_start")
def test_keys_are_made_listed_and_revoked(run: Run) -> None:
    code, text, _ = run("keys", "create", "for the test")
    assert code == 0
    key = text.split()[0]
    assert re.search(r"^dr_\S{60,}$", text, re.M)
    _, listed, _ = run("keys", "list")
    assert key in listed
    assert "dr_" not in listed
    assert run("keys", "revoke", key)[0] == 0
    code, _, said = run("keys", "revoke", "key_nobody")
    assert code == 1
    assert "key_nobody" in said


@pytest.mark.parametrize("command", [["keys", "list"], ["route", "1000"]])
def test_in_a_folder_without_a_server_it_is_said_where_to_look_and_nothing_is_made(
    run: Run, tmp_path: Path, command: list[str]
) -> None:
    code, text, said = run(*command)
    assert (code, text) == (1, "")
    assert "dialroom serve" in said
    assert "--config" in said
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--codec", "G729"], "opus, G722, PCMU, PCMA"),
        (["--digits", "12x"], "0-9"),
        (["--tone", "440", "--play", "tone.wav"], "exclude"),
    ],
)
def test_a_call_that_cannot_be_is_refused_before_dialling(
    run: Run, tmp_path: Path, arguments: list[str], words: str
) -> None:
    (tmp_path / "tone.wav").write_bytes(b"RIFF")
    code, _, said = run("call", "sip:1000@127.0.0.1", *arguments)
    assert code == 1
    assert words in said
