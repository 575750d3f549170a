"""``make demo CHECK=1``, as a newcomer runs it."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest


@pytest.mark.peers
def test_the_demonstration_hears_a_phone_in_a_browser_and_the_browser_in_the_phone() -> None:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("DIALROOM_")}
    shown = subprocess.run(
        [sys.executable, "-m", "dialroom", "demo", "--check"],
        env=environment,
        capture_output=True,
        text=True,
        timeout=110,
        check=False,
    )
    assert shown.returncode == 0, shown.stdout + shown.stderr
    assert "ok   the phone hears the browser" in shown.stdout
    assert "ok   the browser hears the phone" in shown.stdout
    assert "VERDICT: good" in shown.stdout
