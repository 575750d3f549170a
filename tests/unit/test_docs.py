"""What is written for people holds: made pages are current, links lead somewhere, names that are used exist."""

from __future__ import annotations

import importlib.util
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

from dialroom.config import Config

ROOT = Path(__file__).resolve().parents[2]
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")])
ALLOWED_LICENCES = {"MIT", "MIT-0", "Apache-2.0", "BSD-2-Clause", "BSD-3-Clause", "ISC", "0BSD", "Zlib", "PSF-2.0"}
ALLOWED_LICENCES |= {"MPL-2.0", "CC0-1.0", "Unicode-3.0", "Unlicense"}
NOT_SHIPPED = {"psycopg", "psycopg-binary"}


def script(name: str) -> ModuleType:
    """A module of ``scripts``."""
    spec = importlib.util.spec_from_file_location(name, ROOT / "scripts" / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


def named(path: Path) -> str:
    return str(path.relative_to(ROOT))


def code(page: Path) -> str:
    """What stands in fenced blocks and in backticks, a line each."""
    text = page.read_text("utf-8")
    blocks = re.findall(r"^```\w*\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    return "\n".join([*blocks, *re.findall(r"`([^`\n]+)`", text)])


def rows(text: str) -> Iterator[list[str]]:
    """The cells of every row of every table."""
    for line in text.splitlines():
        if line.startswith("|") and not line.startswith("|---"):
            yield [cell.strip() for cell in line.strip("|").split("|")]


@pytest.mark.parametrize("path", list(script("make_reference").pages()), ids=named)
def test_pages_made_from_code_are_current(path: Path) -> None:
    wanted = script("make_reference").pages()[path]
    assert path.read_text("utf-8") == wanted, "run scripts/make_reference.py"


def test_every_dependency_has_its_licence_and_every_chosen_one_its_reason() -> None:
    made = script("make_dependencies")
    text = (ROOT / "docs/reference/dependencies.md").read_text("utf-8")
    chosen = {row[0].strip("`") for row in rows(text) if len(row) == 3 and row[2]} - {"name"}
    brought = {name.strip("` ") for row in rows(text) if len(row) == 2 for name in row[1].split(",")} - {"names"}
    direct = made.python_direct() | made.rust_direct() | made.npm_direct()
    locked = made.python_locked() | made.rust_locked() | set(made.npm_locked())
    assert chosen == direct, "run scripts/make_dependencies.py"
    assert chosen | brought == direct | locked, "run scripts/make_dependencies.py"


def test_every_licence_allows_shipping() -> None:
    text = (ROOT / "docs/reference/dependencies.md").read_text("utf-8")
    for first, second, *_ in rows(text):
        licence, names = (second, first) if first.startswith("`") else (first, second)
        if "licence" in (first, second) or {name.strip("` ") for name in names.split(",")} <= NOT_SHIPPED:
            continue
        for every in licence.replace("(", "").replace(")", "").split(" AND "):
            choices = {one.partition(" WITH ")[0] for one in every.split(" OR ")}
            assert choices & ALLOWED_LICENCES, f"{names}: {licence}"


@pytest.mark.parametrize("page", PAGES, ids=named)
def test_links_between_pages_lead_somewhere(page: Path) -> None:
    text = page.read_text("utf-8")
    targets = re.findall(r"\]\(([^)#\s]+)(?:#[^)]*)?\)", text) + re.findall(r'(?:src|srcset)="(docs/[^"]+)"', text)
    for target in targets:
        if "://" not in target and not target.startswith("mailto:"):
            assert (page.parent / target).exists(), f"{named(page)} links to {target}"


@pytest.mark.parametrize("page", PAGES, ids=named)
def test_settings_that_are_named_exist(page: Path) -> None:
    known = {f"DIALROOM_{key.upper()}" for key in Config.model_fields} | {"DIALROOM_CONFIG"}
    assert set(re.findall(r"DIALROOM_[A-Z_]+[A-Z]", page.read_text("utf-8"))) <= known


@pytest.mark.parametrize("page", PAGES, ids=named)
def test_make_targets_that_are_named_exist(page: Path) -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE))
    assert set(re.findall(r"^make ([a-z-]+)", code(page), re.MULTILINE)) <= targets


@pytest.mark.parametrize("page", PAGES, ids=named)
def test_commands_that_are_named_exist(page: Path) -> None:
    import typer.main

    from dialroom.cli import app

    commands = set(typer.main.get_command(app).commands)  # type: ignore[attr-defined]
    assert set(re.findall(r"(?:^|^\$ |bin/)dialroom ([a-z][a-z-]+)", code(page), re.MULTILINE)) <= commands


@pytest.mark.parametrize("page", PAGES, ids=named)
def test_files_that_are_named_exist(page: Path) -> None:
    """Paths in backticks that begin with one of the repository's folders."""
    folders = "src|rust|web|tests|scripts|prompts|docs|bench"
    for path in re.findall(rf"`((?:{folders})/[\w./-]+)`", page.read_text("utf-8")):
        assert (ROOT / path).exists(), f"{named(page)} names {path}"


def test_every_way_a_call_can_end_is_explained() -> None:
    page = (ROOT / "docs/guide/call-records.md").read_text("utf-8")
    patterns = (
        r'TurnedAwayError\("([a-z_]+)"',
        r'(?:hang_up|_give_up|_let_go)\((?:[a-z]+, )?"([a-z_]+)"',
        r'Reject\(\d+, "[^"]+", "([a-z_]+)"',
        r'_refused\([a-z.]+, \d+, "([a-z_]+)"',
        r'_refuse\(\d+, "([a-z_]+)"',
        r'Ending\("[a-z]+", "([a-z_]+)", (?!status)',
        r'Crowded\(\d+, "([a-z_]+)"',
    )
    text = "\n".join(path.read_text("utf-8") for path in (ROOT / "src/dialroom").rglob("*.py"))
    reasons = {reason for pattern in patterns for reason in re.findall(pattern, text)}
    assert len(reasons) > 20
    assert {reason for reason in reasons if f"`{reason}`" not in page} == set()
