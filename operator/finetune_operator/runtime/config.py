"""The administrator's file, read once at start; a wrong file stops the operator with the path of the wrong key."""

from __future__ import annotations

import pathlib
import typing

import yaml
from pydantic import Field, ValidationError

from finetune_operator.api.keys import FIELD_MANAGER
from finetune_operator.api.v1alpha1.model import ApiModel
from finetune_operator.planning.profiles import Profiles, misnamed


class Watch(ApiModel):
    """What the operator looks at."""

    namespaces: tuple[str, ...] = Field(default=(), description="namespaces to watch. Default: all of the cluster.")


class Logs(ApiModel):
    """What the operator writes to its log."""

    level: typing.Literal["debug", "info", "warning", "error"] = Field(
        default="info", description="level to log from. Default: info."
    )
    as_json: bool = Field(
        default=True, alias="json", description="json: one object a line, else plain text. Default: true."
    )


class Server(ApiModel):
    """Where the operator answers."""

    port: int = Field(
        default=8080, description="port of /metrics, /healthz and /readyz. Default: 8080.", ge=0, le=65535
    )


class LeaderElection(ApiModel):
    """Several operators, of which one writes. A single one needs no election, and starts faster after a crash."""

    enabled: bool = Field(
        default=False, description="enabled where several operators run: one leads, the others wait. Default: false."
    )
    namespace: str = Field(default="default", description="namespace of the Lease. Default: default.", min_length=1)
    name: str = Field(default=FIELD_MANAGER, description=f"name of the Lease. Default: {FIELD_MANAGER}.", min_length=1)


class PerJob(ApiModel):
    """Metrics that name jobs."""

    max_jobs: int = Field(
        default=500,
        description="maxJobs that have series of their own: those that have not ended, newest first, then those that "
        "ended within the hour. Default: 500.",
        ge=0,
        le=100_000,
    )


class Metrics(ApiModel):
    """What the operator shows to Prometheus."""

    per_job: PerJob = Field(default=PerJob(), description="perJob metrics.")


class OperatorConfig(ApiModel):
    """The whole file."""

    watch: Watch = Field(default=Watch(), description="watch some namespaces only.")
    logs: Logs = Field(default=Logs(), description="logs in which form.")
    server: Server = Field(default=Server(), description="server of metrics and health.")
    metrics: Metrics = Field(default=Metrics(), description="metrics in which detail.")
    leader_election: LeaderElection = Field(
        default=LeaderElection(), description="leaderElection among several operators."
    )
    workers: int = Field(
        default=40, description="workers that pass over jobs at the same time. Default: 40.", ge=1, le=200
    )
    profiles: Profiles = Field(default=Profiles(), description="profiles of hardware, images, storage and prices.")


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
        config = OperatorConfig.model_validate(raw)
    except ValidationError as error:
        lines = [f"{_place(e['loc'])}: {e['msg'].removeprefix('Value error, ')}" for e in error.errors()]
        raise ConfigError(f"{path}: " + "; ".join(lines)) from error
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise ConfigError(f"{path}: {error}") from error
    if wrong := "; ".join(f"profiles.{line}" for line in misnamed(config.profiles)):
        raise ConfigError(f"{path}: {wrong}")
    return config


def _place(parts: tuple[int | str, ...]) -> str:
    """Write the path of a key as the file has it; pydantic says `[key]` where the name itself is wrong."""
    return ".".join(str(part) for part in parts if part != "[key]") or "the file"
