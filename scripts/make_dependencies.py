#!/usr/bin/env python3
"""Writes docs/reference/dependencies.md: what we use of others, under which licence, and why.

The reasons are here. Names come from the manifests and lock files, licences from the installed packages, `cargo
metadata` and the lock file of npm. A test compares the names and licences with what is locked.
"""

from __future__ import annotations

import importlib.metadata
import json
import subprocess
import sys
import tomllib
from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parent.parent
PAGE = ROOT / "docs/reference/dependencies.md"

PYTHON = {
    "alembic": "Migrations of the database's tables, made by SQLAlchemy's own authors.",
    "cryptography": "Encrypts secrets in the database (AES-GCM); kept by the Python Cryptographic Authority.",
    "fastapi": "HTTP and WebSocket routes with OpenAPI 3.1 made from their types.",
    "httpx2": "HTTP client for webhooks, with a network backend of ours that keeps it off inner addresses.",
    "msgspec": "MessagePack and JSON of our own values, checked while decoding, many times faster than pydantic.",
    "phonenumbers": "Google's data of the world's numbering plans.",
    "prometheus-client": "`/metrics`, in the format everyone reads.",
    "pydantic-settings": "One class for the TOML file and the environment, with errors that name the key.",
    "PyJWT": "Join tokens.",
    "rich": "What the command line prints.",
    "sqlalchemy": "SQL for SQLite and PostgreSQL from one description of the tables.",
    "standardwebhooks": "Signs webhooks by the specification's own library, so that receivers can verify with it.",
    "structlog": "Logs as fields, for people and for machines.",
    "typer": "The command line.",
    "uvicorn": "Serves HTTP and WebSocket inside our own event loop.",
    "uvloop": "An event loop about twice as fast as Python's.",
    "websockets": "WebSocket for uvicorn.",
    "psycopg": "PostgreSQL. LGPL: not in our wheel, only installed when asked for (`dialroom[postgresql]`).",
    "hatchling": "Builds the wheel.",
    "hypothesis": "Finds the inputs nobody thought of.",
    "import-linter": "Keeps imports going one way.",
    "mypy": "Types.",
    "numpy": "Measures tones in recordings.",
    "playwright": "Drives Debian's Chromium.",
    "pytest": "Runs the tests.",
    "pytest-asyncio": "Tests that are coroutines.",
    "pytest-timeout": "No test hangs for ever.",
    "pytest-xdist": "Tests on all cores.",
    "ruff": "Format and lint.",
    "schemathesis": "Tests the API against its own OpenAPI description.",
}
RUST = {
    "arrayvec": "Lists of a fixed size without the heap, for the packet path.",
    "aws-lc-rs": "HMAC of the link to a media process elsewhere; the cryptography that str0m brings anyway.",
    "foldhash": "A quick, seeded hash for what is looked up with every packet.",
    "libc": "System calls `std` has no name for (recvmmsg, sendmmsg, epoll, timers).",
    "opusic-sys": "libopus with its source, linked in; the thin wrapper is ours.",
    "proptest": "Tests with drawn inputs.",
    "rmp-serde": "MessagePack towards Python.",
    "rtcp-types": "RTCP reports read and written.",
    "serde": "Values to and from MessagePack.",
    "serde_bytes": "Bytes as MessagePack's bytes.",
    "serde_json": "Lines of JSON from the media process and the load generator; golden files in tests.",
    "slotmap": "Legs and peers by keys that cannot name a later one.",
    "socket2": "Socket options before binding.",
    "str0m": "WebRTC without I/O of its own: ICE, DTLS, SRTP and RTP, behind the one crate `dialroom-rtc`.",
    "tracing": "What the media process logs.",
    "tracing-subscriber": "Writes it, as text or JSON.",
}
NPM = {
    "@preact/signals": "State of the room page.",
    "preact": "Components of the room page in 4 kB.",
    "qrcode-generator": "The QR code of the `tel:` link.",
    "swagger-ui-dist": "The API's page.",
    "@biomejs/biome": "Format and lint.",
    "axe-core": "Finds in the page's views what people with a screen reader or weak eyes would stumble over.",
    "happy-dom": "A document for tests.",
    "typescript": "Types.",
    "vite": "Builds the pages and the SDK.",
    "vitest": "Runs their tests.",
}

HEAD = """\
<!-- Made by scripts/make_dependencies.py; edit the reasons there and run it again. -->
# Dependencies

dialroom is Apache-2.0. What is shipped with it, in the wheel or linked into the media process, is under licences that
allow that. GPL programs (espeak-ng, SIPp) are run as programs of their own, for rendering prompts and for tests, and
are never linked or shipped. Versions are pinned in `requirements.lock`, `rust/Cargo.lock` and `web/package-lock.json`.
A test keeps this page complete.
"""


# --- what is there -----------------------------------------------------------------------------------------------


def python_direct() -> set[str]:
    """Names in pyproject.toml."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
    lists = [
        project["project"]["dependencies"],
        *project["project"]["optional-dependencies"].values(),
        *project["dependency-groups"].values(),
    ]
    return {canonicalize_name(Requirement(line).name) for each in lists for line in each}


def python_locked() -> set[str]:
    """Names in requirements.lock."""
    lines = (ROOT / "requirements.lock").read_text("utf-8").splitlines()
    return {canonicalize_name(Requirement(line.split(" \\")[0]).name) for line in lines if line[:1].isalnum()}


def rust_direct() -> set[str]:
    """Names in the manifests of our crates, ours left out."""
    names: set[str] = set()
    for manifest in ROOT.glob("rust/*/Cargo.toml"):
        parts = tomllib.loads(manifest.read_text("utf-8"))
        names |= {
            name for part in ("dependencies", "dev-dependencies", "build-dependencies") for name in parts.get(part, ())
        }
    return {name for name in names if not name.startswith("dialroom-")}


def rust_locked() -> set[str]:
    """Names in Cargo.lock, ours left out."""
    lock = tomllib.loads((ROOT / "rust/Cargo.lock").read_text("utf-8"))
    return {package["name"] for package in lock["package"] if "source" in package}


def npm_direct() -> set[str]:
    """Names in the manifests of our workspaces, ours left out."""
    names: set[str] = set()
    for manifest in (ROOT / "web/package.json", *ROOT.glob("web/*/package.json")):
        parts = json.loads(manifest.read_text("utf-8"))
        names |= {*parts.get("dependencies", ()), *parts.get("devDependencies", ())}
    return {name for name in names if name != "dialroom"}


def npm_locked() -> Mapping[str, str]:
    """Names and licences in package-lock.json, ours left out."""
    packages = json.loads((ROOT / "web/package-lock.json").read_text("utf-8"))["packages"]
    return {
        path.rpartition("node_modules/")[2]: package["license"]
        for path, package in packages.items()
        if "node_modules/" in path and not package.get("link")
    }


# --- licences ----------------------------------------------------------------------------------------------------

_SPELT = {
    "BSD 2-Clause License": "BSD-2-Clause",
    "BSD License": "BSD-3-Clause",
    "ISC License": "ISC",
    "MIT License": "MIT",
    "Apache 2.0": "Apache-2.0",
    "Apache Software License": "Apache-2.0",
    "Mozilla Public License 2.0 (MPL 2.0)": "MPL-2.0",
}


def python_licence(name: str) -> str:
    """As the installed package says it."""
    about = importlib.metadata.metadata(name)
    said = about.get("License-Expression") or about.get("License") or ""
    if not said or "\n" in said:
        classified = [
            line.rpartition(" :: ")[2] for line in about.get_all("Classifier") or () if line.startswith("License")
        ]
        said = classified[-1]
    return _SPELT.get(said, said)


def rust_licences() -> Mapping[str, str]:
    """As `cargo metadata` says it."""
    command = ["cargo", "metadata", "--locked", "--format-version", "1"]
    output = subprocess.run(command, cwd=ROOT / "rust", check=True, capture_output=True, text=True).stdout
    return {
        each["name"]: each["license"].replace(" / ", "/").replace("/", " OR ")
        for each in json.loads(output)["packages"]
    }


# --- the page ----------------------------------------------------------------------------------------------------


def page() -> str:
    """All of it."""
    python = {name: python_licence(name) for name in python_locked() | {"hatchling"}}
    python_reasons = {canonicalize_name(name): why for name, why in PYTHON.items()}
    rust = {name: licence for name, licence in rust_licences().items() if name in rust_locked()}
    return HEAD + "".join(
        (
            section("Python", python_direct(), python, python_reasons),
            section("Rust", rust_direct(), rust, RUST),
            section("Web", npm_direct(), npm_locked(), NPM),
        )
    )


def section(heading: str, direct: set[str], licences: Mapping[str, str], reasons: Mapping[str, str]) -> str:
    """One ecosystem: what we chose, with reasons; then what that brings along, by licence."""
    lines = [f"\n## {heading}\n\n| name | licence | why |\n|---|---|---|\n"]
    lines += [f"| `{name}` | {licences[name]} | {reasons[name]} |\n" for name in sorted(direct)]
    brought: dict[str, list[str]] = defaultdict(list)
    for name in sorted(set(licences) - direct):
        brought[licences[name]].append(f"`{name}`")
    lines.append("\nThese bring along:\n\n| licence | names |\n|---|---|\n")
    lines += [f"| {licence} | {', '.join(names)} |\n" for licence, names in sorted(brought.items())]
    return "".join(lines)


def main() -> int:
    PAGE.write_text(page(), "utf-8")
    print(PAGE.relative_to(ROOT))
    return 0


if __name__ == "__main__":
    sys.exit(main())
