"""How soon a server that has been started before answers a call."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from .support.server import DialroomServer
from .support.sipp import Scenario, sdp


def test_a_later_start_answers_calls_at_once(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with DialroomServer(tmp_path / "server") as server:
        server.stop()
        began = time.monotonic()
        server.start()
        Scenario().invite(sdp()).answered().bye().run(server.sip_port)
        seconds = time.monotonic() - began
        assert server.ended_call()["ending"]["result"] == "completed"
        assert server.log(lines=10_000).count("store.migrated") == 1, "the schema was there already"
    with capsys.disabled():
        print(f"\na later start: {seconds:.1f} s until a call was answered and over (aim: 3 s, on an idle machine)")
