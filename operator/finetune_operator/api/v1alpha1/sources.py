"""Where things come from: claims, ConfigMaps, the hub, object storage, images, web addresses.

A reference names an object of the job's own namespace; a field for another namespace does not exist on purpose.
"""

from __future__ import annotations

from pydantic import ConfigDict, Field

from finetune_operator.api.v1alpha1.model import ApiModel, exactly_one, maybe, rules, text

OBJECT_NAME = r"^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$"
KEY_NAME = r"^[-._a-zA-Z0-9]+$"
RELATIVE_PATH = r"^[A-Za-z0-9_][A-Za-z0-9_. -]*(/[A-Za-z0-9_][A-Za-z0-9_. -]*)*$"
"""No leading slash, no part that starts with a dot: a path cannot leave its volume."""
REPOSITORY = r"^[A-Za-z0-9][A-Za-z0-9._-]*(/[A-Za-z0-9][A-Za-z0-9._-]*)?$"
REVISION = r"^[A-Za-z0-9][A-Za-z0-9._/-]*$"
IMAGE = r"^[a-zA-Z0-9][a-zA-Z0-9._:/@-]*$"
S3_URI = r"^s3://[a-z0-9][a-z0-9.-]*[a-z0-9](/[A-Za-z0-9_.=+ /-]*)?$"
HTTP_URL = r"^https?://[A-Za-z0-9.-]+(:[0-9]+)?(/\S*)?$"
HTTPS_URL = r"^https://[A-Za-z0-9.-]+(:[0-9]+)?(/\S*)?$"
"""Neither has room for a user and a password: those belong into a Secret."""


class ClaimPath(ApiModel):
    """A file or folder on a PersistentVolumeClaim of the job's namespace."""

    name: str = text("name of the PersistentVolumeClaim, in the namespace of the job.", pattern=OBJECT_NAME)
    path: str | None = maybe(
        "path of the file or folder on the claim, without a leading slash. Unset: the root of the claim.",
        limit=512,
        pattern=RELATIVE_PATH,
    )


class ConfigMapKey(ApiModel):
    """One key of a ConfigMap of the job's namespace."""

    name: str = text("name of the ConfigMap, in the namespace of the job.", pattern=OBJECT_NAME)
    key: str = text("key of the ConfigMap whose value is the file.", pattern=KEY_NAME)


class SecretName(ApiModel):
    """A Secret of the job's namespace; only the training pod reads it, never the operator."""

    name: str = text("name of the Secret, in the namespace of the job.", pattern=OBJECT_NAME)


class SecretKey(ApiModel):
    """One key of a Secret of the job's namespace; only the training pod reads it, never the operator."""

    name: str = text("name of the Secret, in the namespace of the job.", pattern=OBJECT_NAME)
    key: str = text("key of the Secret whose value is meant.", pattern=KEY_NAME)


class S3Source(ApiModel):
    """A file or folder in S3 or a storage that speaks its protocol."""

    uri: str = text("uri of the file or folder: `s3://bucket/key`.", limit=1024, pattern=S3_URI)
    endpoint: str | None = maybe(
        "endpoint of a storage that is not AWS, such as `http://minio:9000`. Unset: AWS.", limit=512, pattern=HTTP_URL
    )
    secret_ref: SecretName | None = Field(
        default=None,
        description="secretRef names a Secret with AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, and AWS_REGION where "
        "it matters. Unset: read without credentials.",
    )


class OciSource(ApiModel):
    """Files in a container image or OCI artifact."""

    image: str = text("image that holds the files, by tag or, better, by digest.", limit=512, pattern=IMAGE)
    path: str | None = maybe(
        "path of the file or folder in the image, without a leading slash. Unset: the root of the image.",
        limit=512,
        pattern=RELATIVE_PATH,
    )
    pull_secret_ref: SecretName | None = Field(
        default=None,
        description="pullSecretRef names a Secret of type kubernetes.io/dockerconfigjson. Unset: pulled without one.",
    )


class Hub(ApiModel):
    """The model hub, reached from the training pod under the model's name."""


class HubDataset(ApiModel):
    """A dataset of the hub."""

    name: str = text("name of the dataset on the hub, such as `stanfordnlp/imdb`.", limit=200, pattern=REPOSITORY)
    subset: str | None = maybe("subset (configuration) of the dataset. Unset: its default one.", limit=100)
    split: str = Field(
        default="train", description="split to take rows from. Default: train.", min_length=1, max_length=100
    )
    revision: str | None = maybe(
        "revision of the dataset: branch, tag or commit. Unset: the default branch.", limit=100, pattern=REVISION
    )
    token_secret_ref: SecretKey | None = Field(
        default=None, description="tokenSecretRef holds the hub's access token. Unset: read without one."
    )


class Https(ApiModel):
    """A file behind a web address."""

    url: str = text("url of the file; it begins with https:// and holds no password.", limit=2048, pattern=HTTPS_URL)
    sha256: str | None = Field(
        default=None,
        description="sha256 of the file in hexadecimal; other bytes fail the job before training. Unset: not checked.",
        pattern=r"^[0-9a-f]{64}$",
    )


class ModelSource(ApiModel):
    """Where the model's files lie."""

    model_config = ConfigDict(json_schema_extra=rules(exactly_one("hub", "claim", "oci", "s3")))

    hub: Hub | None = Field(default=None, description="hub fetches the model by its name inside the training pod.")
    claim: ClaimPath | None = Field(
        default=None,
        description="claim reads the model from a folder (config.json, safetensors, tokenizer) on a claim.",
    )
    oci: OciSource | None = Field(default=None, description="oci reads the model from a folder in an image.")
    s3: S3Source | None = Field(default=None, description="s3 reads the model from a folder in object storage.")


class DatasetSource(ApiModel):
    """Where the rows lie."""

    model_config = ConfigDict(json_schema_extra=rules(exactly_one("claim", "configMap", "hub", "https", "s3", "oci")))

    claim: ClaimPath | None = Field(
        default=None,
        description="claim reads a file, or all data files of a folder, from a claim: JSON Lines or CSV, also "
        "gzipped, or Parquet.",
    )
    config_map: ConfigMapKey | None = Field(
        default=None, description="configMap reads one key of a ConfigMap; good for small sets up to 1 MiB."
    )
    hub: HubDataset | None = Field(default=None, description="hub reads a dataset of the model hub.")
    https: Https | None = Field(default=None, description="https reads one file from a web address.")
    s3: S3Source | None = Field(default=None, description="s3 reads a file or a folder from object storage.")
    oci: OciSource | None = Field(default=None, description="oci reads a file or a folder from an image.")
