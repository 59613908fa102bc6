"""The rows to learn from: where they lie, how they are laid out, what is held out.

Not here: reading them (the trainer).
"""

from __future__ import annotations

import enum
import typing

from pydantic import ConfigDict, Field

from finetune_operator.api.v1alpha1.model import PATH, ApiModel, exactly_one, maybe, rule, rules
from finetune_operator.api.v1alpha1.sources import DatasetSource

COLUMN_NAME_LENGTH = 128


class DataFormat(enum.StrEnum):
    """How a row of the dataset is laid out."""

    AUTO = "auto"
    CHAT = "chat"
    PROMPT_COMPLETION = "prompt-completion"
    ALPACA = "alpaca"
    SHAREGPT = "sharegpt"
    TEXT = "text"
    PREFERENCE = "preference"
    CLASSIFICATION = "classification"
    TOKENS = "tokens"


class Validation(ApiModel):
    """Rows held out of training to measure on."""

    model_config = ConfigDict(json_schema_extra=rules(exactly_one("fraction", "source")))

    fraction: float | None = Field(
        default=None,
        description="fraction of the rows that is held out, from 0.001 to 0.5. Equal rows stay on one side.",
        ge=0.001,
        le=0.5,
    )
    source: DatasetSource | None = Field(default=None, description="source holds rows of its own to measure on.")


def _column(role: str, meaning: str) -> typing.Any:
    return maybe(f"{role} is the column of {meaning}. Unset: `{role}`.", limit=COLUMN_NAME_LENGTH)


class Columns(ApiModel):
    """Which column of the file plays which role."""

    text: str | None = _column("text", "the text")
    label: str | None = _column("label", "the class (task text-classification)")
    prompt: str | None = _column("prompt", "the prompt")
    completion: str | None = _column("completion", "the answer to the prompt")
    messages: str | None = _column("messages", "the conversation")
    chosen: str | None = _column("chosen", "the better answer (task preference)")
    rejected: str | None = _column("rejected", "the worse answer (task preference)")
    tokens: str | None = _column("tokens", "the list of words (task token-classification)")
    tags: str | None = _column("tags", "the list of their classes (task token-classification)")
    question: str | None = _column("question", "the question (task question-answering)")
    answer: str | None = _column("answer", "the answer (task question-answering)")
    context: str | None = _column("context", "the text to answer from (task question-answering)")
    source: str | None = _column("source", "the sentence to translate (task translation)")
    target: str | None = _column("target", "its translation (task translation)")


class TokenHistogram(ApiModel):
    """How long the rows are, in tokens of the model."""

    model_config = ConfigDict(
        json_schema_extra=rules(
            rule(
                "self.median <= self.p95 && self.p95 <= self.max",
                f"{PATH}: median, p95 and max must not fall; check which is which",
            )
        )
    )

    median: int = Field(description="median of the rows' lengths, in tokens.", ge=1, le=1_073_741_824)
    p95: int = Field(description="p95: 95 in 100 rows are not longer, in tokens.", ge=1, le=1_073_741_824)
    max: int = Field(description="max is the length of the longest row, in tokens.", ge=1, le=1_073_741_824)
    rows: int | None = Field(
        default=None,
        description="rows of the dataset, from which steps and time are computed. Unset: not known before the run.",
        ge=1,
        le=1_000_000_000_000,
    )


class Dataset(ApiModel):
    """The rows to learn from."""

    source: DatasetSource = Field(description="source says where the rows lie.")
    format: DataFormat = Field(
        default=DataFormat.AUTO, description="format of a row. Default: `auto`, which recognises it by the columns."
    )
    columns: Columns | None = Field(
        default=None, description="columns maps roles to the names they have in the file. Unset: the roles' own names."
    )
    validation: Validation | None = Field(
        default=None, description="validation holds rows out of training. Unset: a tenth of the rows (fraction 0.1)."
    )
    max_invalid_rows: int = Field(
        default=0,
        description="maxInvalidRows is the number of broken rows that are skipped; one more fails the job, before "
        "training, with the row numbers. Default: 0.",
        ge=0,
        le=1_000_000,
    )
    tokens: TokenHistogram | None = Field(
        default=None,
        description="tokens says how long the rows are, so that sequence length and time can be planned. Unset: the "
        "plan assumes what is usual for the task.",
    )
