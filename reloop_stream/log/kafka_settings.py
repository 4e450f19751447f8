"""Settings of Kafka's clients that pass through: security above all, under kafka-python's own names.

A secret need not be written down: the value `env:NAME` is read from the environment, and `file:PATH` from a file, when a
client is made and not before.
"""

from __future__ import annotations

import difflib
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeAlias

from reloop_stream.errors import SettingsError

__all__ = [
    "KAFKA_SETTINGS",
    "READER_SETTINGS",
    "Setting",
    "Settings",
    "check_bootstrap",
    "check_settings",
    "has_secrets",
    "parse_setting",
    "plain_secrets",
    "read_settings",
    "resolve_settings",
]

Setting: TypeAlias = str | int | bool
Settings: TypeAlias = Mapping[str, Setting]

# What may be set, and of what type. The rest of a client's settings are this package's own business.
KAFKA_SETTINGS: dict[str, type[str | int | bool]] = {
    "client_id": str,
    "isolation_level": str,
    "security_protocol": str,
    "ssl_cafile": str,
    "ssl_certfile": str,
    "ssl_keyfile": str,
    "ssl_password": str,
    "ssl_crlfile": str,
    "ssl_check_hostname": bool,
    "sasl_mechanism": str,
    "sasl_plain_username": str,
    "sasl_plain_password": str,
    "sasl_kerberos_name": str,
    "sasl_kerberos_service_name": str,
    "sasl_kerberos_domain_name": str,
    "proxy_url": str,
    "client_dns_lookup": str,
    "connections_max_idle_ms": int,
    "metadata_max_age_ms": int,
    "receive_buffer_bytes": int,
    "send_buffer_bytes": int,
}
READER_SETTINGS = ("isolation_level",)  # other clients do not have them
ISOLATION_LEVELS = ("read_committed", "read_uncommitted")
PROTOCOLS = ("PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL")
MECHANISMS = ("PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512", "GSSAPI", "AWS_MSK_IAM")
WITH_PASSWORD = ("PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512")
SECRETS = ("ssl_password", "sasl_plain_password")
ENVIRONMENT, FILE = "env:", "file:"
FLAGS = {"true": True, "false": False}


ADDRESS = re.compile(r"(?:\[[0-9A-Fa-f:.%]+\]|[^\s:/,@?#\[\]]+):([0-9]{1,5})")


class _Secret(str):
    """A text that logs and tracebacks show as ***: kafka-python writes its settings to its debug log."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "'***'"


def parse_setting(text: str) -> tuple[str, str]:
    """Name and value in `NAME=VALUE`. Raises SettingsError.

    >>> parse_setting("sasl_plain_password=env:KAFKA_PASSWORD")
    ('sasl_plain_password', 'env:KAFKA_PASSWORD')
    """
    name, equals, value = text.partition("=")
    if not equals or not name.strip():
        # What was given is not shown: it may be a password.
        raise SettingsError("a setting of Kafka's clients must be NAME=VALUE, as in security_protocol=SASL_SSL")
    return name.strip(), value.strip()


def check_bootstrap(text: str) -> None:
    """Raise SettingsError where this is not HOST:PORT[,HOST:PORT].

    >>> check_bootstrap("broker-1:9092,[::1]:9093")
    """
    for address in text.split(","):
        found = ADDRESS.fullmatch(address)
        if found is None or not 1 <= int(found[1]) <= 65_535:
            raise SettingsError(f"got {text!r}, must be HOST:PORT[,HOST:PORT] of Kafka's brokers, each port 1 to 65535")


def read_settings(path: Path) -> dict[str, str]:
    """The settings in a file: `NAME=VALUE` a line; empty lines and lines that begin with # are passed over.

    Raises SettingsError naming the file and the line.
    """
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(f"{path}: cannot be read: {getattr(error, 'strerror', None) or error}") from None
    found = {}
    for number, line in enumerate(lines, 1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        try:
            name, value = parse_setting(line)
            _check_name(name)
        except SettingsError as error:
            raise SettingsError(f"{path}, line {number}: {error}") from None
        found[name] = value
    return found


def check_settings(settings: Settings) -> None:
    """Raise SettingsError where a setting is unknown, has a value that it cannot have, or lacks another one."""
    for name, value in settings.items():
        _check_name(name)
        if not _from_elsewhere(value):
            _typed(name, value)
    _one_of("isolation_level", settings.get("isolation_level", "read_committed"), ISOLATION_LEVELS)
    protocol = settings.get("security_protocol", "PLAINTEXT")
    _one_of("security_protocol", protocol, PROTOCOLS)
    if _from_elsewhere(protocol):
        return
    for kind, prefix in (("SASL", "sasl_"), ("SSL", "ssl_")):
        given = [name for name in settings if name.startswith(prefix)]
        if given and kind not in str(protocol).split("_"):
            raise SettingsError(
                f"{given[0]}: is for security_protocol {' and '.join(p for p in PROTOCOLS if kind in p.split('_'))}, "
                f"not {protocol}"
            )
    if str(protocol).startswith("SASL"):
        mechanism = settings.get("sasl_mechanism")
        _one_of("sasl_mechanism", mechanism, MECHANISMS)
        for name in ("sasl_plain_username", "sasl_plain_password"):
            if mechanism in WITH_PASSWORD and not settings.get(name):
                raise SettingsError(f"{name}: missing; sasl_mechanism {mechanism} needs it")


def resolve_settings(settings: Settings) -> dict[str, Any]:
    """The settings as a client takes them, with what lies in the environment and in files.

    Raises SettingsError naming a variable or file that is not there.
    """
    found: dict[str, Any] = {}
    for name, value in settings.items():
        text = value
        if isinstance(value, str) and value.startswith(ENVIRONMENT):
            if (text := os.environ.get(value.removeprefix(ENVIRONMENT), "")) == "":
                raise SettingsError(f"{name}: got {value}, the environment has no such variable; export it first")
        elif isinstance(value, str) and value.startswith(FILE):
            try:
                text = Path(value.removeprefix(FILE)).read_text(encoding="utf-8").rstrip("\r\n")
            except (OSError, UnicodeDecodeError) as error:
                reason = getattr(error, "strerror", None) or error
                raise SettingsError(f"{name}: got {value}, which cannot be read: {reason}") from None
        typed = _typed(name, text)
        found[name] = _Secret(typed) if _is_secret(name, text) else typed
    return found


def has_secrets(settings: Settings) -> bool:
    """Whether any setting is a secret, wherever it is kept."""
    return any(_is_secret(name, value) for name, value in settings.items())


def plain_secrets(settings: Settings) -> list[str]:
    """The settings whose secret is written down, and not read from the environment or a file.

    >>> plain_secrets({"sasl_plain_username": "me", "sasl_plain_password": "1234", "ssl_password": "file:/run/key"})
    ['sasl_plain_password']
    """
    return [name for name, value in settings.items() if _is_secret(name, value) and not _from_elsewhere(value)]


def _is_secret(name: str, value: Setting) -> bool:
    return name in SECRETS or (name == "proxy_url" and "@" in str(value))  # a proxy's address may hold a password


def _from_elsewhere(value: object) -> bool:
    return isinstance(value, str) and value.startswith((ENVIRONMENT, FILE))


def _check_name(name: str) -> None:
    if name not in KAFKA_SETTINGS:
        near = difflib.get_close_matches(name.replace(".", "_"), KAFKA_SETTINGS, n=1, cutoff=0.5)
        raise SettingsError(
            f"{name}: unknown setting of Kafka's clients"
            + (f", did you mean `{near[0]}`?" if near else f", must be one of {', '.join(KAFKA_SETTINGS)}")
        )


def _one_of(name: str, value: object, allowed: tuple[str, ...]) -> None:
    if value not in allowed and not _from_elsewhere(value):
        raise SettingsError(f"{name}: got {value!r}, must be one of {', '.join(allowed)}")


def _typed(name: str, value: Setting) -> Setting:
    """The value in its type: settings in files and on command lines are texts."""
    wanted = KAFKA_SETTINGS[name]
    if isinstance(value, wanted) and (wanted is not int or not isinstance(value, bool)):
        return value
    if wanted is bool and isinstance(value, str) and value.lower() in FLAGS:
        return FLAGS[value.lower()]
    if wanted is int and isinstance(value, str) and value.isdigit():
        return int(value)
    shown = "***" if _is_secret(name, value) else repr(value)
    rule = {str: "a text", bool: "true or false", int: "a whole number"}[wanted]
    raise SettingsError(f"{name}: got {shown}, must be {rule}")
