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
    """The part of a FineTuneJob's metadata that decisions rest on; `created_at` in seconds since the epoch."""

    key: JobKey
    generation: int
    created_at: float
    deleting: bool
