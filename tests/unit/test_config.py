from __future__ import annotations

import re
from ipaddress import ip_network
from pathlib import Path
from typing import Any

import pytest

from dialroom.config import Config, load_config
from dialroom.core.errors import ConfigError


def test_nothing_needs_to_be_configured() -> None:
    config = load_config(environ={})
    assert config.database == "sqlite:///var/dialroom.db"
    assert config.base_url == "http://127.0.0.1:8080"
    assert ip_network("192.168.0.0/16") in config.sip_allowed_networks
    assert ip_network("8.0.0.0/8") not in config.sip_allowed_networks


def test_every_setting_is_described() -> None:
    assert [name for name, field in Config.model_fields.items() if not field.description] == []


def test_every_setting_does_something() -> None:
    source = Path(__file__).parents[2] / "src" / "dialroom"
    text = "\n".join(path.read_text("utf-8") for path in source.rglob("*.py") if path.name != "config.py")
    read_as = {"database_url": "database", "public_url": "base_url"}
    unread = [name for name in Config.model_fields if not re.search(rf"config\.{read_as.get(name, name)}\b", text)]
    assert unread == []


def test_the_file_is_read_and_the_environment_wins(tmp_path: Path) -> None:
    file = tmp_path / "dialroom.toml"
    file.write_text(
        """
        http_port = 9000
        sip_port = 5070
        rtp_ports = [30000, 31000]
        sip_allowed_networks = ["192.0.2.0/24"]
        [[turn_servers]]
        urls = ["turn:turn.example.com:3478"]
        secret = "s"
        """
    )
    config = load_config(file, environ={"DIALROOM_HTTP_PORT": "9001", "DIALROOM_WEBRTC_ADDRESSES": "192.0.2.1, ::1"})
    assert (config.http_port, config.sip_port, config.rtp_ports) == (9001, 5070, (30000, 31000))
    assert config.sip_allowed_networks == (ip_network("192.0.2.0/24"),)
    assert config.webrtc_addresses == ("192.0.2.1", "::1")
    assert config.turn_servers[0].ttl == 3600


def test_the_file_may_be_named_by_the_environment(tmp_path: Path) -> None:
    file = tmp_path / "dialroom.toml"
    file.write_text("http_port = 9000")
    assert load_config(environ={"DIALROOM_CONFIG": str(file)}).http_port == 9000


def test_a_given_environment_hides_the_real_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DIALROOM_HTTP_PORT", "1234")
    assert load_config(environ={}).http_port == 8080
    assert load_config().http_port == 1234


@pytest.mark.parametrize(
    ("environ", "values", "words"),
    [
        ({"DIALROOM_HTTP_PORTS": "1"}, {}, ["DIALROOM_HTTP_PORTS", "no such setting", "DIALROOM_HTTP_PORT"]),
        ({}, {"rtp_portz": "1"}, ["rtp_portz", "Did you mean rtp_ports?"]),
        ({"DIALROOM_HTTP_PORT": "http"}, {}, ["http_port", "integer"]),
        ({}, {"http_port": 70000}, ["http_port", "65535"]),
        ({}, {"rtp_ports": "20000"}, ["rtp_ports", "20000-29999"]),
        ({}, {"rtp_ports": "20009-20000"}, ["rtp_ports", "lower one first"]),
        ({"DIALROOM_SIP_ALLOWED_NETWORKS": "10.0.0.0/8,home"}, {}, ["sip_allowed_networks", "'home'", "10.0.0.0/8"]),
        ({}, {"sip_strangers": "maybe"}, ["sip_strangers", "'403' or 'drop'"]),
        ({}, {"public_url": "rooms.example.com"}, ["public_url", "https://rooms.example.com"]),
        ({}, {"allowed_origins": "example.com"}, ["allowed_origins", "https://app.example.com"]),
        ({}, {"database_url": "mysql://x"}, ["database_url", "postgresql://"]),
        ({}, {"turn_servers": [{"urls": ["x"], "secret": "s"}]}, ["turn_servers.0.urls", "turn:turn.example.com"]),
        ({"DIALROOM_TURN_SERVERS": "{"}, {}, ["turn_servers"]),
        ({}, {"public_url": "https://user:word@rooms.example.com"}, ["public_url"]),
        ({}, {"webrtc_addresses": "rooms.example.com"}, ["webrtc_addresses", "IP address"]),
        ({}, {"sip_advertised_host": "sip:203.0.113.7 "}, ["sip_advertised_host", "203.0.113.7"]),
        ({}, {"prompts_dir": "/nowhere"}, ["prompts_dir", "/nowhere is no folder"]),
        ({}, {"rtp_ports": "7000-8000"}, ["webrtc_port", "rtp_ports"]),
        ({}, {"rtp_ports": "5000-6000"}, ["sip_port", "rtp_ports"]),
        ({}, {"http_port": 5060}, ["http_port, sip_port and webrtc_port"]),
    ],
)
def test_a_mistake_is_named_with_what_to_write_instead(
    environ: dict[str, str], values: dict[str, Any], words: list[str]
) -> None:
    with pytest.raises(ConfigError) as refused:
        load_config(environ=environ, **values)
    assert all(word in refused.value.detail for word in words), refused.value.detail


def test_all_mistakes_are_named_at_once() -> None:
    with pytest.raises(ConfigError) as refused:
        load_config(environ={}, http_port="x", sip_port="y")
    assert "http_port" in refused.value.detail
    assert "sip_port" in refused.value.detail


def test_a_file_that_is_missing_or_no_toml_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"missing\.toml cannot be read"):
        load_config(tmp_path / "missing.toml", environ={})
    (tmp_path / "bad.toml").write_text("http_port =")
    with pytest.raises(ConfigError, match=r"bad\.toml is not TOML"):
        load_config(tmp_path / "bad.toml", environ={})


def test_secrets_do_not_show_in_the_configuration() -> None:
    config = load_config(environ={}, turn_servers=[{"urls": ["turn:t"], "secret": "hidden-from-all"}])
    assert "hidden-from-all" not in repr(config)
    with pytest.raises(ConfigError) as refused:
        load_config(environ={}, turn_servers=[{"urls": ["x"], "secret": "hidden-from-all"}])
    assert "hidden-from-all" not in str(refused.value)


@pytest.mark.parametrize("scheme", ["postgres", "postgresql", "postgresql+psycopg"])
def test_a_postgresql_url_gets_our_driver(scheme: str) -> None:
    assert load_config(environ={}, database_url=f"{scheme}://u@h/d").database == "postgresql+psycopg://u@h/d"


def test_links_use_an_address_browsers_can_reach() -> None:
    assert load_config(environ={}, http_host="0.0.0.0").base_url == "http://127.0.0.1:8080"
    assert load_config(environ={}, http_host="::1").base_url == "http://[::1]:8080"
    assert load_config(environ={}, public_url="https://a.example/").base_url == "https://a.example"
