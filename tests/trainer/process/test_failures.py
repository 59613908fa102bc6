import errno

import pytest
from finetune_trainer.contract import ContractError, ExitCode, FailureReason
from finetune_trainer.process.failures import TrainerFailure, classify


class OutOfMemoryError(RuntimeError):
    """Named as torch names its own."""


CASES = {
    "ours": (TrainerFailure(FailureReason.DATA_INVALID, "row 7"), FailureReason.DATA_INVALID),
    "contract": (ContractError("$.task: missing"), FailureReason.INVALID_RUN),
    "disk full": (OSError(errno.ENOSPC, "No space left on device", "/checkpoints/x"), FailureReason.STORAGE_FULL),
    "quota": (OSError(errno.EDQUOT, "Disk quota exceeded"), FailureReason.STORAGE_FULL),
    "safetensors' words": (ValueError("I/O error: No space left on device (os error 28)"), FailureReason.STORAGE_FULL),
    "torch.save's words": (
        RuntimeError("[enforce fail at inline_container.cc:672] . unexpected pos 64 vs 0"),
        FailureReason.STORAGE_FULL,
    ),
    "gpu by type": (OutOfMemoryError("tried to allocate 2 GiB"), FailureReason.GPU_OUT_OF_MEMORY),
    "gpu by words": (RuntimeError("CUDA out of memory."), FailureReason.GPU_OUT_OF_MEMORY),
    "host by type": (MemoryError(), FailureReason.HOST_OUT_OF_MEMORY),
    "host by words": (
        RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried"),
        FailureReason.HOST_OUT_OF_MEMORY,
    ),
    "anything else": (KeyError("label"), FailureReason.TRAINER_ERROR),
}


@pytest.mark.parametrize(("error", "want_reason"), CASES.values(), ids=CASES)
def test_an_error_has_one_reason(error, want_reason):
    assert classify(error).reason is want_reason


def test_the_cause_of_an_error_counts():
    error = RuntimeError("could not save")
    error.__cause__ = OSError(errno.ENOSPC, "No space left on device")
    assert classify(error).reason is FailureReason.STORAGE_FULL


def test_an_unexpected_error_keeps_its_type_and_first_line():
    failure = classify(ValueError("bad shape\n\nlong advice"))
    assert (failure.message, failure.exit_code, failure.expected) == (
        "ValueError: bad shape",
        ExitCode.TRAINER_ERROR,
        False,
    )
