"""Which job is meant: the key that queues, caches and logs share."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, order=True)
class JobKey:
    """One life of one FineTuneJob: a job deleted and created again under its name has another uid, so another key."""

    namespace: str
    name: str
    uid: str

    def __str__(self) -> str:
        """Name it as people do."""
        return f"{self.namespace}/{self.name}"


@dataclass(frozen=True, slots=True)
class JobMeta:
    """The part of a FineTuneJob's metadata that decisions rest on; `created_at` in seconds since the epoch.

    `version` is the resourceVersion that was seen: what is written of it is written over no other.
    """

    key: JobKey
    generation: int
    created_at: float
    deleting: bool
    version: str = ""
