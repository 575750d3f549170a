"""The limit on open files, in a process of its own: it cannot be raised again once it was lowered."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

LIMITED = """
import resource, sys
from dialroom.core.open_files import raise_open_files
resource.setrlimit(resource.RLIMIT_NOFILE, ({soft}, {hard}))
print(raise_open_files(), resource.getrlimit(resource.RLIMIT_NOFILE))
"""


def said(soft: int, hard: int) -> str:
    program = LIMITED.format(soft=soft, hard=hard)
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    return done.stdout


def test_the_limit_is_raised_to_what_the_system_allows() -> None:
    assert said(256, 4096) == "4096 (4096, 4096)\n"


def test_a_low_limit_is_told_with_what_to_do() -> None:
    warning, limit = said(256, 1024).splitlines()
    assert limit == "1024 (1024, 1024)"
    assert "server.few_open_files" in warning
    assert "LimitNOFILE" in warning


def test_a_server_looks_to_it_at_its_start(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    environment = {**os.environ, "DIALROOM_DATA_DIR": str(tmp_path / "file")}
    program = 'ulimit -n 1024; exec "$0" -m dialroom serve'
    done = subprocess.run(
        ["/bin/sh", "-c", program, sys.executable], capture_output=True, text=True, check=False, env=environment
    )
    assert done.returncode == 1
    assert "server.few_open_files" in done.stderr + done.stdout
