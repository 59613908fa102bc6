"""The engines that let processes share a training, in the words of transformers, and the proof that one is running.

The libraries fall back in silence: with `use_cpu` set, accelerate ignores DeepSpeed's configuration and runs plain DDP;
without a device, FSDP2 does the same. So what runs is looked at before the first step.

Not here: the processes (`launch.py`, `world.py`).
"""

from __future__ import annotations

import logging
import os
from typing import Any

import torch

from finetune_trainer.contract import DistributionSettings, FailureReason, TrainerRun
from finetune_trainer.process.failures import TrainerFailure

NONE, DDP, DEEPSPEED, FSDP = "none", "ddp", "deepspeed", "fsdp"
WHOLE_PARAMETERS_BELOW = 3
"""The ZeRO stage from which on no process holds all parameters."""


def arguments(run: TrainerRun) -> dict[str, Any]:
    """Return the training arguments that choose the engine.

    Raises:
        TrainerFailure: InvalidRun, for what does not run here.
    """
    spread, on_cpu = run.distribution, not torch.cuda.is_available()
    processes = spread.nodes * spread.processes_per_node
    if spread.strategy == NONE and processes > 1:
        raise _refused(f"distribution.strategy: none is for one process, and this run has {processes}; take ddp")
    if spread.strategy == DEEPSPEED:
        return _deepspeed(run, on_cpu=on_cpu)
    if spread.strategy == FSDP:
        return _fsdp(run, on_cpu=on_cpu)
    alone = {"ddp_backend": None} if processes == 1 else {"ddp_backend": "gloo" if on_cpu else "nccl"}
    return {"use_cpu": on_cpu, **alone, "ddp_find_unused_parameters": False}


def check(trainer: Any, run: TrainerRun) -> None:
    """Look at what the library made of the arguments, once it has wrapped the model.

    Raises:
        TrainerFailure: TrainerError, if another engine runs than was asked for.
    """
    spread, wrapped = run.distribution, trainer.model_wrapped
    processes = spread.nodes * spread.processes_per_node
    running = f"{type(wrapped).__name__} on {_world_size()} processes"
    asked = f"{spread.strategy} on {processes} processes"
    right = _world_size() == processes
    if spread.strategy == DDP and processes > 1:
        right &= isinstance(wrapped, torch.nn.parallel.DistributedDataParallel)
    elif spread.strategy == DEEPSPEED:
        asked = f"ZeRO {_zero(spread)} {asked}"
        right &= type(wrapped).__name__ == "DeepSpeedEngine"
        if right:
            found = _found_zero(wrapped)
            running, right = f"ZeRO {found} {running}", found == _zero(spread)
    elif spread.strategy == FSDP:
        right &= isinstance(wrapped, torch.distributed.fsdp.FSDPModule)
    if not right:
        message = f"asked for {asked}, but {running} would train: this is a defect of the trainer, please report it"
        raise TrainerFailure(FailureReason.TRAINER_ERROR, message)
    if processes > 1:
        print(f"engine: {running}")


def settle(trainer: Any) -> None:
    """Let an evaluation's last parameters go that ZeRO-3 fetched ahead and nobody used; they could not be saved so."""
    if getattr(trainer, "deepspeed", None) is not None:
        trainer.deepspeed.empty_partition_cache()


def is_sharded(distribution: DistributionSettings) -> bool:
    """Tell whether no process holds the whole model."""
    stage = distribution.zero_stage if distribution.strategy == DEEPSPEED else 0
    return distribution.strategy == FSDP or stage >= WHOLE_PARAMETERS_BELOW


def ties(distribution: DistributionSettings) -> dict[str, Any]:
    """Say what has to be the same for a checkpoint's optimizer to be read again; nothing for DDP and one process."""
    if distribution.strategy not in {DEEPSPEED, FSDP}:
        return {}
    stage = {"zero_stage": distribution.zero_stage} if distribution.strategy == DEEPSPEED else {}
    processes = distribution.nodes * distribution.processes_per_node
    return {"strategy": distribution.strategy, **stage, "processes": processes}


def _deepspeed(run: TrainerRun, *, on_cpu: bool) -> dict[str, Any]:
    spread = run.distribution
    if on_cpu and run.training.precision != "fp32":
        raise _refused("training.precision: DeepSpeed trains in fp32 on a CPU; set fp32, or strategy: ddp")
    if run.technique.peft is not None and run.technique.peft.type == "adalora":
        raise _refused("distribution.strategy: adalora looks at gradients that DeepSpeed keeps to itself; take ddp")
    if run.technique.quantization is not None and is_sharded(spread):
        raise _refused("distribution.zeroStage: 3 cannot split quantized weights; set 2, or method: lora")
    _use_no_compiled_operators(on_cpu=on_cpu)
    # accelerate must find its processes before it makes its own mind up about a machine without a GPU
    os.environ["ACCELERATE_USE_DEEPSPEED"] = "true"
    from accelerate import PartialState

    PartialState(backend="gloo" if on_cpu else "nccl")
    return {
        "use_cpu": False,  # it would switch DeepSpeed off without a word
        "accelerator_config": {"use_configured_state": True},
        "deepspeed": _configuration(spread),
    }


def _configuration(spread: DistributionSettings) -> dict[str, Any]:
    zero: dict[str, Any] = {
        "stage": spread.zero_stage,
        "overlap_comm": torch.cuda.is_available(),
        "contiguous_gradients": True,
        "reduce_bucket_size": "auto",
    }
    if spread.zero_stage >= WHOLE_PARAMETERS_BELOW:
        zero |= {
            "stage3_prefetch_bucket_size": "auto",
            "stage3_param_persistence_threshold": "auto",
            "stage3_gather_16bit_weights_on_model_save": True,
        }
    if spread.offload_optimizer:
        zero["offload_optimizer"] = {"device": "cpu", "pin_memory": torch.cuda.is_available()}
    if spread.offload_parameters:
        zero["offload_param"] = {"device": "cpu", "pin_memory": torch.cuda.is_available()}
    names = ("train_batch_size", "train_micro_batch_size_per_gpu", "gradient_accumulation_steps", "gradient_clipping")
    return {
        **dict.fromkeys(names, "auto"),
        "bf16": {"enabled": "auto"},
        "fp16": {"enabled": "auto"},
        "zero_optimization": zero,
        "zero_allow_untested_optimizer": True,
        "zero_force_ds_cpu_optimizer": False,  # its own one has to be compiled; torch's updates offloaded states too
        "steps_per_print": 10**9,
        "wall_clock_breakdown": False,
    }


def _use_no_compiled_operators(*, on_cpu: bool) -> None:
    """Keep DeepSpeed from compiling at the first step: a pod has no compiler, and may not write where it would."""
    if not on_cpu:
        return
    os.environ["DS_ACCELERATOR"] = "cpu"
    import deepspeed

    logging.getLogger("DeepSpeed").setLevel(logging.ERROR)
    # Shared memory beside gloo, for processes of one node. DeepSpeed asks this table, which it lets others edit.
    deepspeed.ops.__compatible_ops__ = {}


def _fsdp(run: TrainerRun, *, on_cpu: bool) -> dict[str, Any]:
    spread = run.distribution
    if on_cpu:
        raise _refused("distribution.strategy: fsdp needs GPUs; set ddp or deepspeed")
    if spread.nodes * spread.processes_per_node == 1:
        raise _refused("distribution.strategy: fsdp divides a model among processes, and this is one; take none")
    if run.technique.quantization is not None:
        raise _refused("distribution.strategy: fsdp cannot split quantized weights; set ddp, or method: lora")
    return {
        "use_cpu": False,
        "fsdp": True,
        "fsdp_config": {
            "version": 2,
            "reshard_after_forward": True,
            "state_dict_type": "SHARDED_STATE_DICT",
            "cpu_offload": spread.offload_parameters,
        },
    }


def _zero(spread: DistributionSettings) -> str:
    return _stage(spread.zero_stage, optimizer=spread.offload_optimizer, parameters=spread.offload_parameters)


def _found_zero(engine: Any) -> str:
    optimizer, parameters = engine.zero_offload_optimizer(), engine.zero_offload_param()
    return _stage(
        engine.zero_optimization_stage(),
        optimizer=optimizer is not None and str(optimizer.device) != "none",
        parameters=parameters is not None and str(parameters.device) != "none",
    )


def _stage(stage: int, *, optimizer: bool, parameters: bool) -> str:
    return f"{stage}{' with offloaded optimizer' * optimizer}{' and parameters' * parameters}"


def _world_size() -> int:
    return torch.distributed.get_world_size() if torch.distributed.is_initialized() else 1


def _refused(message: str) -> TrainerFailure:
    return TrainerFailure(FailureReason.INVALID_RUN, message)
