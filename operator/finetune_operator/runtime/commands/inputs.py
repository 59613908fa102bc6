"""Reads the other files that a plan depends on: what the administrator offers, and a model's own config.json.

Not here: manifests of jobs (`runtime.commands.manifest`).
"""

from __future__ import annotations

import json
import pathlib

import yaml
from pydantic import ValidationError

from finetune_operator.planning import catalog
from finetune_operator.planning.catalog import CatalogError, ModelShape
from finetune_operator.planning.profiles import Profiles, misnamed
from finetune_operator.runtime.commands import complaints
from finetune_operator.runtime.commands.complaints import BadInput
from finetune_operator.runtime.config import ConfigError, OperatorConfig, load

PARTS = frozenset(field.alias or name for name, field in Profiles.model_fields.items())
WHOLE = frozenset(field.alias or name for name, field in OperatorConfig.model_fields.items())


def profiles(path: pathlib.Path | None) -> Profiles:
    """Read the operator's config file, or one that holds only what stands below `profiles` there.

    Raises:
        BadInput: the file cannot be used.
    """
    try:
        raw = yaml.safe_load(path.read_text("utf-8")) if path else None
        if path and isinstance(raw, dict) and raw.keys() & PARTS and not raw.keys() & WHOLE:
            return _known(path, Profiles.model_validate(raw))
        return load(path).profiles
    except ValidationError as error:
        found = complaints.lines(error, complaints.ANY, "profiles")
        raise BadInput("\n".join(f"{path}: {line}" for line in found)) from error
    except ConfigError as error:
        raise BadInput(str(error)) from error
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise BadInput(f"{path}: {error}") from error


def _known(path: pathlib.Path, offered: Profiles) -> Profiles:
    if wrong := "\n".join(f"{path}: profiles.{line}" for line in misnamed(offered)):
        raise BadInput(wrong)
    return offered


def beside(manifest: str) -> pathlib.Path | None:
    """Return the config.json that lies beside a manifest under its name, as what the operator would find on a claim."""
    path = pathlib.Path(manifest).with_suffix(".config.json")
    return path if path.is_file() else None


def shape(path: pathlib.Path | None) -> ModelShape | None:
    """Read the shape of a model that the catalog does not have from its Hugging Face config.

    Raises:
        BadInput: the file cannot be used.
    """
    if path is None:
        return None
    try:
        config = json.loads(path.read_text("utf-8"))
        if not isinstance(config, dict):
            raise BadInput(f"{path}: must be a JSON object, as in config.json of a model")
        return catalog.from_config(config)
    except CatalogError as error:
        raise BadInput(f"{path}: {error}") from error
    except (OSError, ValueError) as error:
        raise BadInput(f"{path}: {error}") from error
