"""Where checkpoints and artifacts lie, what is delivered and where to."""

from __future__ import annotations

import enum

from pydantic import ConfigDict, Field

from finetune_operator.api.v1alpha1.model import ApiModel, choices, exactly_one, maybe, rules, text
from finetune_operator.api.v1alpha1.sources import (
    HTTP_URL,
    IMAGE,
    OBJECT_NAME,
    REPOSITORY,
    REVISION,
    S3_URI,
    ClaimPath,
    SecretKey,
    SecretName,
)


class ClaimTemplate(ApiModel):
    """A claim that the operator makes for the job and that goes when the job is deleted, unless it is to be kept."""

    size: str = Field(
        default="2Gi",
        description="size of the claim, a Kubernetes quantity. Default: 2Gi.",
        max_length=20,
        pattern=r"^[1-9][0-9]*(Mi|Gi|Ti|M|G|T)$",
    )
    storage_class_name: str | None = maybe(
        "storageClassName of the claim. Unset: the cluster's default.", pattern=OBJECT_NAME
    )
    keep: bool = Field(
        default=False, description="keep leaves the claim when the job is deleted; delete it yourself. Default: false."
    )


class Ephemeral(ApiModel):
    """The pod's own disk: gone with the pod, so nothing can resume."""


class CheckpointStorage(ApiModel):
    """Where checkpoints and artifacts lie while the job lives."""

    model_config = ConfigDict(json_schema_extra=rules(exactly_one("claim", "template", "ephemeral")))

    claim: ClaimPath | None = Field(default=None, description="claim is yours; a folder per job is made on it.")
    template: ClaimTemplate | None = Field(default=None, description="template makes a claim that lives with the job.")
    ephemeral: Ephemeral | None = Field(default=None, description="ephemeral uses the pod's disk; nothing resumes.")


class Checkpoints(ApiModel):
    """When the state of training is saved, and where."""

    every_steps: int | None = Field(
        default=None,
        description="everySteps saves after so many optimizer steps. Unset: only by time.",
        ge=1,
        le=10_000_000,
    )
    every_seconds: int | None = Field(
        default=300,
        description="everySeconds saves after so many seconds of training. Default: 300.",
        ge=10,
        le=86_400,
    )
    keep: int = Field(
        default=2, description="keep is the number of newest checkpoints that stay. Default: 2.", ge=1, le=100
    )
    storage: CheckpointStorage | None = Field(
        default=None,
        description="storage of checkpoints and artifacts. Unset: the administrator's default, else a claim of 2Gi "
        "made for the job.",
    )


class OutputFormat(enum.StrEnum):
    """What is delivered."""

    ADAPTER = "adapter"
    MERGED = "merged"
    ONNX = "onnx"


class OciDestination(ApiModel):
    """A registry that gets the artifacts as an OCI artifact."""

    image: str = text("image to push, with its tag.", limit=512, pattern=IMAGE)
    secret_ref: SecretName | None = Field(
        default=None,
        description="secretRef names a Secret of type kubernetes.io/dockerconfigjson. Unset: pushed without one.",
    )


class S3Destination(ApiModel):
    """A folder in S3 or a storage that speaks its protocol."""

    uri: str = text("uri of the folder: `s3://bucket/key`.", limit=1024, pattern=S3_URI)
    endpoint: str | None = maybe(
        "endpoint of a storage that is not AWS, such as `http://minio:9000`. Unset: AWS.", limit=512, pattern=HTTP_URL
    )
    secret_ref: SecretName = Field(
        description="secretRef names a Secret with AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, and AWS_REGION where "
        "it matters."
    )


class HubDestination(ApiModel):
    """A repository of the model hub."""

    repository: str = text("repository on the hub: `owner/name`.", limit=200, pattern=REPOSITORY)
    revision: str | None = maybe(
        "revision is the branch to push to. Unset: the default branch.", limit=100, pattern=REVISION
    )
    private: bool = Field(default=True, description="private: nobody else sees a repository made here. Default: true.")
    token_secret_ref: SecretKey = Field(description="tokenSecretRef holds an access token that may write.")


class MlflowDestination(ApiModel):
    """An MLflow server, among them a workspace of Azure Machine Learning."""

    tracking_uri: str = text(
        "trackingUri of the server: `http://`, `https://` or `azureml://`.",
        limit=1024,
        pattern=r"^(https?|azureml)://[^\s@]+$",
    )
    experiment: str | None = maybe("experiment that the run is logged to. Unset: the namespace of the job.")
    registered_model: str | None = maybe(
        "registeredModel gets a new version made of the artifacts. Unset: logged, not registered."
    )
    secret_ref: SecretName | None = Field(
        default=None,
        description="secretRef names a Secret with MLFLOW_TRACKING_TOKEN, or MLFLOW_TRACKING_USERNAME and "
        "MLFLOW_TRACKING_PASSWORD. Unset: logged without credentials.",
    )


class Destination(ApiModel):
    """One place that gets a copy of the artifacts."""

    model_config = ConfigDict(json_schema_extra=rules(exactly_one("claim", "oci", "s3", "hub", "mlflow")))

    claim: ClaimPath | None = Field(default=None, description="claim that gets a copy of the artifacts, below `path`.")
    oci: OciDestination | None = Field(default=None, description="oci pushes the artifacts to a registry.")
    s3: S3Destination | None = Field(default=None, description="s3 copies the artifacts to object storage.")
    hub: HubDestination | None = Field(default=None, description="hub pushes the artifacts to the model hub.")
    mlflow: MlflowDestination | None = Field(default=None, description="mlflow logs the artifacts to a server.")


class Output(ApiModel):
    """What is delivered, and where to."""

    formats: tuple[OutputFormat, ...] = choices(
        "formats to deliver: `adapter` (with method full: the model itself), `merged` (adapter and model in one) and "
        "`onnx` (the merged model for ONNX Runtime). Default: adapter.",
        default=(OutputFormat.ADAPTER,),
        least=1,
        most=3,
    )
    destinations: tuple[Destination, ...] = Field(
        default=(),
        description="destinations get copies of the artifacts, which also stay in the storage of the checkpoints. "
        "Unset: no copies.",
        max_length=4,
    )
