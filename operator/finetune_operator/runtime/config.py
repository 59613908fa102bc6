"""The administrator's file, read once at start; a wrong file stops the operator with the path of the wrong key."""

from __future__ import annotations

import pathlib
import typing

import yaml
from pydantic import Field, ValidationError

from finetune_operator.api.v1alpha1.model import ApiModel
from finetune_operator.planning.profiles import Profiles


class Watch(ApiModel):
    """What the operator looks at."""

    namespaces: tuple[str, ...] = Field(default=(), description="namespaces to watch. Empty: all of the cluster.")


class Logs(ApiModel):
    """What the operator writes to its log."""

    level: typing.Literal["debug", "info", "warning", "error"] = Field(default="info", description="level to log from.")
    as_json: bool = Field(default=True, alias="json", description="json lines, else plain text.")


class Server(ApiModel):
    """Where the operator answers."""

    port: int = Field(default=8080, description="port of /metrics, /healthz and /readyz.", ge=0, le=65535)


class OperatorConfig(ApiModel):
    """The whole file."""

    watch: Watch = Field(default=Watch(), description="watch.")
    logs: Logs = Field(default=Logs(), description="logs.")
    server: Server = Field(default=Server(), description="server.")
    workers: int = Field(default=20, description="workers that pass over jobs at the same time.", ge=1, le=200)
    profiles: Profiles = Field(default=Profiles(), description="profiles of hardware and trainer pods.")


class ConfigError(Exception):
    """The file cannot be used; the message names it and the wrong key."""


def load(path: pathlib.Path | None) -> OperatorConfig:
    """Read the file; without one everything has its default.

    Raises:
        ConfigError: the file is missing, not YAML, or holds a wrong key or value.
    """
    if path is None:
        return OperatorConfig()
    try:
        raw = yaml.safe_load(path.read_text("utf-8")) or {}
        return OperatorConfig.model_validate(raw)
    except ValidationError as error:
        lines = [f"{'.'.join(str(part) for part in e['loc'])}: {e['msg']}" for e in error.errors()]
        raise ConfigError(f"{path}: " + "; ".join(lines)) from error
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise ConfigError(f"{path}: {error}") from error
