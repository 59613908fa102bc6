"""Where things come from and go to: claims, ConfigMaps, the hub.

A reference names an object of the job's own namespace; a field for another namespace does not exist on purpose.
"""

from __future__ import annotations

from pydantic import ConfigDict, Field

from finetune_operator.api.v1alpha1.model import ApiModel, exactly_one, rules, text

OBJECT_NAME = r"^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$"
RELATIVE_PATH = r"^[A-Za-z0-9_][A-Za-z0-9_. -]*(/[A-Za-z0-9_][A-Za-z0-9_. -]*)*$"
"""No leading slash, no part that starts with a dot: a path cannot leave its volume."""


class ClaimPath(ApiModel):
    """A file or folder on a PersistentVolumeClaim of the job's namespace."""

    name: str = text("name of the PersistentVolumeClaim, in the namespace of the job.", pattern=OBJECT_NAME)
    path: str | None = Field(
        default=None,
        description="path of the file or folder on the claim, without a leading slash. Unset: the root of the claim.",
        min_length=1,
        max_length=512,
        pattern=RELATIVE_PATH,
    )


class ConfigMapKey(ApiModel):
    """One key of a ConfigMap of the job's namespace."""

    name: str = text("name of the ConfigMap, in the namespace of the job.", pattern=OBJECT_NAME)
    key: str = text("key of the ConfigMap whose value is the file.", pattern=r"^[-._a-zA-Z0-9]+$")


class Hub(ApiModel):
    """The model hub, reached from the training pod under the model's name."""


class ModelSource(ApiModel):
    """Where the model's files lie."""

    model_config = ConfigDict(json_schema_extra=rules(exactly_one("spec.model.source", "hub", "claim")))

    hub: Hub | None = Field(default=None, description="hub fetches the model by its name inside the training pod.")
    claim: ClaimPath | None = Field(
        default=None,
        description="claim reads the model from a folder (config.json, safetensors, tokenizer) on a claim.",
    )


class DatasetSource(ApiModel):
    """Where the rows lie."""

    model_config = ConfigDict(json_schema_extra=rules(exactly_one("spec.dataset.source", "claim", "configMap")))

    claim: ClaimPath | None = Field(
        default=None,
        description="claim reads a file, or all data files of a folder, from a claim: JSON Lines or CSV, also gzipped.",
    )
    config_map: ConfigMapKey | None = Field(
        default=None, description="configMap reads one key of a ConfigMap; good for small sets up to 1 MiB."
    )
