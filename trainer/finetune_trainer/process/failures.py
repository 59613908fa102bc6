"""Failure: how anything that went wrong becomes a reason, an exit code and a sentence for the user.

Not here: who writes it down (`reporting/exit_report.py`).
"""

from __future__ import annotations

import errno
import re
from dataclasses import dataclass

from finetune_trainer.contract import EXIT_CODES, ContractError, ExitCode, FailureReason

STORAGE_ERRNOS = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
STORAGE_PHRASES = ("No space left on device", "os error 28", "Disk quota exceeded", "os error 122", "File too large")
WRITER_PHRASES = ("PytorchStreamWriter failed", "unexpected pos")
"""What torch.save says when a write fell short; the operating system's own words are lost by then."""

HOST_MEMORY_PHRASES = ("DefaultCPUAllocator: can't allocate memory", "Cannot allocate memory")
GPU_MEMORY_PHRASES = ("CUDA out of memory", "HIP out of memory", "CUBLAS_STATUS_ALLOC_FAILED")


class TrainerFailure(Exception):
    """An attempt that cannot go on, with the reason and what the user should know."""

    def __init__(self, reason: FailureReason, message: str) -> None:
        super().__init__(message)
        self.reason = reason
        self.message = message


class Suspended(BaseException):
    """The attempt was asked to stop and has saved what it could; `message` says what could not be saved."""

    def __init__(self, message: str = "") -> None:
        super().__init__(message)
        self.message = message


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """Why an attempt ended, in the words of the contract."""

    reason: FailureReason
    message: str

    @property
    def exit_code(self) -> ExitCode:
        """Give the process status that means the same."""
        return EXIT_CODES[self.reason]

    @property
    def expected(self) -> bool:
        """Tell whether the message says it all, so that a traceback would only frighten."""
        return self.reason is not FailureReason.TRAINER_ERROR


def classify(error: BaseException) -> Failure:
    """Find the reason for an error by its type first, then by the words that libraries use, through all its causes."""
    if isinstance(error, TrainerFailure):
        return Failure(reason=error.reason, message=error.message)
    if isinstance(error, ContractError):
        return Failure(reason=FailureReason.INVALID_RUN, message=f"the run file does not follow the contract: {error}")
    for each in _chain(error):
        if found := _from_one(each):
            return found
    return Failure(reason=FailureReason.TRAINER_ERROR, message=f"{type(error).__name__}: {_first_line(error)}")


def _chain(error: BaseException | None) -> list[BaseException]:
    links: list[BaseException] = []
    while error is not None and error not in links:
        links.append(error)
        error = error.__cause__ or error.__context__
    return links


def _from_one(error: BaseException) -> Failure | None:
    text = str(error)
    if _is_storage(error, text):
        where = f" ({error.filename})" if isinstance(error, OSError) and error.filename else ""
        return Failure(
            reason=FailureReason.STORAGE_FULL,
            message=f"no space left on the storage{where}: {_first_line(error)}; give the claim more room",
        )
    if type(error).__name__ == "OutOfMemoryError" or _mentions(text, GPU_MEMORY_PHRASES):
        return Failure(reason=FailureReason.GPU_OUT_OF_MEMORY, message=f"out of GPU memory: {_first_line(error)}")
    if isinstance(error, MemoryError) or _mentions(text, HOST_MEMORY_PHRASES):
        return Failure(reason=FailureReason.HOST_OUT_OF_MEMORY, message=f"out of memory: {_first_line(error)}")
    return None


def _is_storage(error: BaseException, text: str) -> bool:
    if isinstance(error, OSError) and error.errno in STORAGE_ERRNOS:
        return True
    if _mentions(text, STORAGE_PHRASES):
        return True
    return isinstance(error, RuntimeError) and _mentions(text, WRITER_PHRASES)


def _mentions(text: str, phrases: tuple[str, ...]) -> bool:
    return any(phrase in text for phrase in phrases)


def _first_line(error: BaseException) -> str:
    text = re.sub(r"\s+", " ", str(error).strip().split("\n\n")[0])
    return text[:400] or type(error).__name__
