"""Configuration: one TOML file, every key also an environment variable ``DIALROOM_…``; none is needed.

The environment wins over the file. A wrong key or value raises `ConfigError` naming the key, what is wrong with the
value and what to write instead.
"""

from __future__ import annotations

import difflib
import os
import re
import tomllib
from collections.abc import Mapping
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network
from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

from pydantic import BaseModel, BeforeValidator, Field, SecretStr, ValidationError, field_validator, model_validator
from pydantic_settings import BaseSettings, NoDecode, PydanticBaseSettingsSource, SettingsConfigDict
from pydantic_settings.exceptions import SettingsError

from dialroom.core.errors import ConfigError

Network = IPv4Network | IPv6Network

PRIVATE_NETWORKS = (
    "127.0.0.0/8",
    "10.0.0.0/8",
    "172.16.0.0/12",
    "192.168.0.0/16",
    "169.254.0.0/16",
    "100.64.0.0/10",
    "::1/128",
    "fc00::/7",
    "fe80::/10",
)
"""Loopback and private addresses: whose calls the default install takes."""

_PREFIX = "DIALROOM_"


def _split(value: Any) -> Any:
    """Lists may be written with commas, as environment variables are."""
    return [part.strip() for part in value.split(",") if part.strip()] if isinstance(value, str) else value


def _networks(value: Any) -> Any:
    parts = _split(value)
    if not isinstance(parts, list | tuple):
        raise ValueError("write a list of networks such as 10.0.0.0/8")
    return tuple(_network(part) for part in parts)


def _network(value: Any) -> Network:
    try:
        return ip_network(value)
    except ValueError as error:
        raise ValueError(f"{value!r} is no network; write it as 10.0.0.0/8 or 2001:db8::/32") from error


def _port_range(value: Any) -> Any:
    if isinstance(value, str):
        low, dash, high = value.partition("-")
        if not dash or not low.strip().isdecimal() or not high.strip().isdecimal():
            raise ValueError("write a range of ports such as 20000-29999")
        return (int(low), int(high))
    return value


Port = Annotated[int, Field(ge=1, le=65535)]
PortOrAny = Annotated[int, Field(ge=0, le=65535)]
Texts = Annotated[tuple[str, ...], NoDecode, BeforeValidator(_split)]
Networks = Annotated[tuple[Network, ...], NoDecode, BeforeValidator(_networks)]


class TurnServer(BaseModel, extra="forbid", frozen=True):
    """A TURN server handed to browsers, with credentials made from `secret` that live `ttl` seconds."""

    urls: Texts
    secret: SecretStr
    ttl: int = Field(default=3600, ge=60, le=86400)

    @field_validator("urls")
    @classmethod
    def _turn(cls, urls: tuple[str, ...]) -> tuple[str, ...]:
        if not urls or any(not url.startswith(("turn:", "turns:", "stun:")) for url in urls):
            raise ValueError("write URLs such as turn:turn.example.com:3478")
        return urls


class Config(BaseSettings):
    """Every setting, with its default. Units are in the name or the description."""

    model_config = SettingsConfigDict(
        env_prefix=_PREFIX,
        extra="forbid",
        frozen=True,
        env_nested_delimiter="__",
        nested_model_default_partial_update=True,
    )

    data_dir: Path = Field(Path("var"), description="Where the database, keys and recordings are.")
    database_url: str = Field("", description="SQLAlchemy URL; empty: SQLite in `data_dir`.")
    log_format: Literal["console", "json"] = Field("console", description="How log lines look.")
    log_level: Literal["debug", "info", "warning", "error"] = Field("info", description="The least that is logged.")

    http_host: str = Field("127.0.0.1", description="Address of pages, API and sockets.")
    http_port: PortOrAny = Field(8080, description="Port of pages, API and sockets; 0: any free one.")
    public_url: str = Field(
        "", description="How browsers reach us, for links; empty: from `http_host` and `http_port`."
    )
    trusted_proxies: Networks = Field(
        (), description="Proxies whose `X-Forwarded-For` says who a visitor is; empty: nobody's is believed."
    )
    sockets_per_address: int = Field(
        200, ge=1, description="Room and live sockets at once from one address, loopback aside."
    )
    sockets_per_organisation: int = Field(5000, ge=1, description="Room sockets at once of one organisation.")
    live_sockets_per_organisation: int = Field(100, ge=1, description="Live sockets at once of one organisation.")
    allowed_origins: Texts = Field((), description="Origins of other web pages that may open the room socket.")

    sip_host: str = Field("0.0.0.0", description="Address SIP listens on, UDP and TCP; `::`: by IPv6 and IPv4.")  # noqa: S104
    sip_port: PortOrAny = Field(5060, description="Port SIP listens on; 0: any free one.")
    sip_advertised_host: str = Field("", description="Address in our Contact and SDP; empty: by the route to the peer.")
    sip_allowed_networks: Networks = Field(
        default=PRIVATE_NETWORKS,
        validate_default=True,
        description="Whose calls are taken without a gateway.",
    )
    sip_strangers: Literal["403", "drop"] = Field("403", description="What others get: 403, or no answer at all.")
    max_calls: int = Field(5000, ge=1, description="Calls at once; further ones get 503.")
    outside_calls_per_organisation: int = Field(
        2000, ge=1, description="Calls at once of one organisation that are not in a room yet; further ones get 486."
    )
    outside_calls_per_address: int = Field(
        200, ge=1, description="The same from one address without a gateway, loopback aside."
    )
    outside_calls_per_caller: int = Field(20, ge=1, description="The same of one caller's number.")
    rtp_ports: Annotated[tuple[Port, Port], NoDecode, BeforeValidator(_port_range)] = Field(
        (20000, 29999), description="Ports for the phones' media."
    )

    webrtc_port: PortOrAny = Field(
        7882, description="The one UDP and TCP port of the browsers' media; 0: any free one."
    )
    webrtc_addresses: Texts = Field((), description="Addresses browsers reach it at; empty: this machine's.")
    turn_servers: tuple[TurnServer, ...] = Field((), description="TURN servers handed to browsers.")
    media_control: str = Field("", description="Unix path or host:port of a media process; empty: we start one.")
    media_secret: SecretStr | None = Field(
        None, description="What that media process asks for at host:port: its `DIALROOM_MEDIA_SECRET`."
    )
    media_linger_seconds: int = Field(
        600, ge=0, le=86_400, description="How long our media process and its calls wait for a server; 0: for ever."
    )
    media_binary: str = Field("", description="The media program; empty: the one in the package.")

    prompts_dir: Path | None = Field(None, description="Own prompts, which replace shipped ones file by file.")
    dial_in_entry_seconds: int = Field(
        300, ge=30, le=3600, description="How long a caller may take for code and PIN, from the call's beginning."
    )
    dial_in_wait_seconds: int = Field(600, ge=10, le=7200, description="How long a caller waits for a room to open.")
    resume_seconds: int = Field(30, ge=5, le=300, description="How long a participant without connection stays.")
    empty_session_seconds: float = Field(3, ge=0, le=3600, description="How long an empty session goes on.")

    webhook_allowed_networks: Networks = Field(
        (), description="Inner networks webhooks may reach; public addresses always may."
    )
    webhook_timeout_seconds: float = Field(15, ge=1, le=60, description="Longest wait for a webhook receiver.")

    events_kept_days: int = Field(30, ge=4, le=3650, description="How long events and their deliveries are kept.")
    history_kept_days: int = Field(
        365, ge=1, le=36500, description="How long calls, sessions and participants are kept after they ended."
    )

    @field_validator("public_url")
    @classmethod
    def _http_url(cls, url: str) -> str:
        parts = urlsplit(url)
        wrong = parts.scheme not in ("http", "https") or not parts.hostname or parts.query or parts.fragment
        if url and (wrong or "@" in parts.netloc):
            raise ValueError("write it as https://rooms.example.com")
        return url.rstrip("/")

    @field_validator("webrtc_addresses")
    @classmethod
    def _addresses(cls, addresses: tuple[str, ...]) -> tuple[str, ...]:
        for address in addresses:
            try:
                ip_address(address)
            except ValueError:
                raise ValueError(f"{address!r} is no IP address; browsers get no names") from None
        return addresses

    @field_validator("sip_advertised_host")
    @classmethod
    def _host(cls, host: str) -> str:
        if host and not re.fullmatch(r"[A-Za-z0-9.-]+|[0-9A-Fa-f:.]+", host):
            raise ValueError("write an address such as 203.0.113.7, or a host name")
        return host

    @field_validator("prompts_dir")
    @classmethod
    def _folder(cls, folder: Path | None) -> Path | None:
        if folder is not None and not folder.is_dir():
            raise ValueError(f"{folder} is no folder")
        return folder

    @field_validator("allowed_origins")
    @classmethod
    def _origins(cls, origins: tuple[str, ...]) -> tuple[str, ...]:
        for origin in origins:
            parts = urlsplit(origin)
            if parts.scheme not in ("http", "https") or not parts.hostname or parts.path not in ("", "/"):
                raise ValueError(f"{origin!r} is no origin; write it as https://app.example.com")
        return tuple(origin.rstrip("/").lower() for origin in origins)

    @field_validator("database_url")
    @classmethod
    def _database(cls, url: str) -> str:
        if url and not url.startswith(("sqlite:///", "postgresql://", "postgresql+psycopg://", "postgres://")):
            raise ValueError("write sqlite:///file.db or postgresql://user:password@host/database")
        return url

    @model_validator(mode="after")
    def _ranges(self) -> Config:
        low, high = self.rtp_ports
        if high - low < 9:
            raise ValueError("rtp_ports: the range must hold at least 10 ports, lower one first")
        for name, port in (("sip_port", self.sip_port), ("webrtc_port", self.webrtc_port)):
            if low <= port <= high:
                raise ValueError(f"{name}: {port} is within rtp_ports; each needs its own")
        ports = [port for port in (self.http_port, self.sip_port, self.webrtc_port) if port]
        if len(set(ports)) < len(ports):
            raise ValueError("http_port, sip_port and webrtc_port: each needs a port of its own")
        return self

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        return (env_settings, init_settings)

    @property
    def base_url(self) -> str:
        """How links to us begin, without a slash at the end."""
        if self.public_url:
            return self.public_url
        host = "127.0.0.1" if self.http_host in ("0.0.0.0", "::", "") else self.http_host  # noqa: S104
        return f"http://[{host}]:{self.http_port}" if ":" in host else f"http://{host}:{self.http_port}"

    @property
    def database(self) -> str:
        """The SQLAlchemy URL in use, with its driver."""
        if not self.database_url:
            return f"sqlite:///{self.data_dir / 'dialroom.db'}"
        scheme, _, rest = self.database_url.partition("://")
        return f"postgresql+psycopg://{rest}" if scheme in ("postgres", "postgresql") else self.database_url


def load_config(path: Path | None = None, environ: Mapping[str, str] | None = None, **overrides: Any) -> Config:
    """Read the file (if given, or named by ``DIALROOM_CONFIG``) and the environment; `overrides` win over the file.

    Raises ConfigError.
    """
    environ = os.environ if environ is None else environ
    named = path or (Path(environ[_PREFIX + "CONFIG"]) if environ.get(_PREFIX + "CONFIG") else None)
    values = {**(_read_file(named) if named else {}), **overrides}
    _check_environment(environ)
    try:
        if environ is os.environ:
            return Config(**values)
        return _with_environment(values, environ)
    except ValidationError as error:
        raise _config_error(error) from error
    except SettingsError as error:
        raise ConfigError(f"An environment variable cannot be read: {error}") from error


def _with_environment(values: dict[str, Any], environ: Mapping[str, str]) -> Config:
    before = dict(os.environ)
    try:
        for name in [name for name in os.environ if name.startswith(_PREFIX)]:
            del os.environ[name]
        os.environ.update({name: value for name, value in environ.items() if name.startswith(_PREFIX)})
        return Config(**values)
    finally:
        os.environ.clear()
        os.environ.update(before)


def _read_file(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text("utf-8"))
    except OSError as error:
        raise ConfigError(f"The configuration file {path} cannot be read: {error.strerror}.") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"The configuration file {path} is not TOML: {error}.") from error


def _check_environment(environ: Mapping[str, str]) -> None:
    known = {_PREFIX + name.upper() for name in Config.model_fields} | {_PREFIX + "CONFIG"}
    for name in environ:
        if name.startswith(_PREFIX) and name.split("__")[0] not in known:
            raise ConfigError(f"{name}: there is no such setting.{_suggest(name, known)}")


def _config_error(error: ValidationError) -> ConfigError:
    lines = []
    for problem in error.errors(include_url=False, include_input=False):
        key = ".".join(str(part) for part in problem["loc"]) or "the whole"
        if problem["type"] == "extra_forbidden":
            lines.append(f"{key}: there is no such setting.{_suggest(key, set(Config.model_fields))}")
        else:
            text = problem["msg"].removeprefix("Value error, ")
            line = text if key == "the whole" else f"{key}: {text[0].lower()}{text[1:]}"
            field = Config.model_fields.get(key.split(".")[0])
            hint = f" ({field.description})" if field and field.description else ""
            lines.append(f"{line}.{hint}")
    unique = list(dict.fromkeys(lines))
    return ConfigError("\n".join(unique), "Correct the file or the environment variable (DIALROOM_ and the key).")


def _suggest(name: str, known: set[str]) -> str:
    close = difflib.get_close_matches(name, sorted(known), n=1, cutoff=0.6)
    return f" Did you mean {close[0]}?" if close else ""
