"""The wheel, installed into a clean environment on a machine that has neither Rust nor Node."""

from __future__ import annotations

import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from .support.server import DialroomServer, steps
from .support.tones import level_of, loudness, read_wav

CHECKOUT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What `make wheel` makes, once media process and pages are built."""
    folder = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory", str(folder)]
    built = subprocess.run(command, cwd=CHECKOUT, capture_output=True, text=True, check=False)
    assert built.returncode == 0, f"{built.stdout}\n{built.stderr}\nRun `make build` first."
    (wheel,) = folder.glob("dialroom-*.whl")
    return wheel


@pytest.fixture(scope="module")
def clean(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A clean environment with the wheel and what it depends on; its folder of programs."""
    folder = tmp_path_factory.mktemp("clean") / "venv"
    run([sys.executable, "-m", "venv", str(folder)])
    versions = str(CHECKOUT / "requirements.lock")
    run([str(folder / "bin" / "pip"), "install", "--quiet", "--constraint", versions, str(wheel)])
    return folder / "bin"


def run(command: list[str], **more: object) -> str:
    """Runs a command that has to work; what it printed."""
    done = subprocess.run(command, capture_output=True, text=True, timeout=240, check=False, **more)  # type: ignore[call-overload]
    assert done.returncode == 0, f"{command}: {done.returncode}\n{done.stdout}\n{done.stderr}"
    return str(done.stdout + done.stderr)


def test_the_wheel_holds_the_media_process_the_pages_and_the_prompts(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
        mode = archive.getinfo("dialroom/_bin/dialroom-media").external_attr >> 16
    assert mode & 0o111, "the media process can be executed"
    assert {"dialroom/web/index.html", "dialroom/prompts/audio/en/goodbye.wav"} <= names
    assert "any" not in wheel.stem.split("-")[-1], "it is for this platform only"


@pytest.mark.timeout(300)
def test_the_installed_wheel_takes_a_call_without_rust_or_node(clean: Path, tmp_path: Path) -> None:
    environment = {"PATH": str(clean), "HOME": str(tmp_path)}
    for program in ("cargo", "rustc", "node", "npm"):
        assert shutil.which(program, path=environment["PATH"]) is None
    command = (str(clean / "dialroom"),)
    with DialroomServer(tmp_path / "server", command=command, environment=environment) as server:
        room = server.room()
        heard = tmp_path / "heard.wav"
        phone = [*command, "call", server.sip(), "--digits", room.code, "--tone", "440", "--seconds", "6"]
        told = run([*phone, "--record", str(heard)], env=environment, cwd=tmp_path)
        assert "answered" in told
        assert "joined" in steps(server.ended_call())
        samples, rate = read_wav(heard)
        assert loudness(samples) > -50
        assert level_of(samples, rate, 440) < 0.1, "nobody hears themselves"
        page = server.page(room)
        assert "<script" in page
