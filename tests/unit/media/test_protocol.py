"""The values of the media link, held to the golden files that Rust reads too."""

from __future__ import annotations

import typing

import msgspec
import pytest

from dialroom.media import protocol as p

from . import media_samples

SAMPLES = media_samples.samples()


@pytest.mark.parametrize("name", SAMPLES)
def test_each_value_is_encoded_as_its_golden_file(name: str) -> None:
    assert msgspec.msgpack.encode(SAMPLES[name]) == (media_samples.FOLDER / f"{name}.msgpack").read_bytes()


@pytest.mark.parametrize("name", SAMPLES)
def test_each_golden_file_is_read_as_its_value(name: str) -> None:
    kind = p.Request if name.startswith("command_") else p.FromMedia
    value = msgspec.msgpack.decode((media_samples.FOLDER / f"{name}.msgpack").read_bytes(), type=kind)
    assert value == SAMPLES[name]


@pytest.mark.parametrize("name", SAMPLES)
def test_each_json_mirror_shows_its_value(name: str) -> None:
    assert media_samples.as_json(SAMPLES[name]) == (media_samples.FOLDER / f"{name}.json").read_text()


def test_every_command_answer_and_event_has_a_golden_file() -> None:
    kinds = {*typing.get_args(p.Command), *typing.get_args(p.Answer), p.Refused, *typing.get_args(p.Event)}
    shown = [*media_samples.COMMANDS.values(), *media_samples.ANSWERS.values(), *media_samples.EVENTS.values()]
    assert {type(value) for value in shown} == kinds


def test_no_golden_file_is_left_over() -> None:
    assert {path.stem for path in media_samples.FOLDER.iterdir()} == set(SAMPLES)
