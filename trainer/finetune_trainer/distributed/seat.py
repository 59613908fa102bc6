"""The seat of a process among those that share a training: its number, and where they meet.

The words are torchrun's, so that `torchrun -m finetune_trainer run.json` works as well; in a pod of an Indexed Job the
node's number is what Kubernetes sets. Without torch, since whoever starts the processes needs none.

Not here: starting them (`launch.py`), meeting (`world.py`).
"""

from __future__ import annotations

import os
import socket
from collections.abc import Mapping
from dataclasses import dataclass

from finetune_trainer.contract import DistributionSettings, FailureReason
from finetune_trainer.process.failures import TrainerFailure

RANK, SIZE, LOCAL_RANK, LOCAL_SIZE = "RANK", "WORLD_SIZE", "LOCAL_RANK", "LOCAL_WORLD_SIZE"
NODE = ("NODE_RANK", "GROUP_RANK", "JOB_COMPLETION_INDEX")
"""Which node this is, from 0: ours and torchrun's old name, torchrun's, and Kubernetes' in a pod of an Indexed Job."""

HOST, PORT = "MASTER_ADDR", "MASTER_PORT"
DEFAULT_PORT = 29500
"""TCP port of process 0 at which the others meet; torchrun's own."""

HERE = "127.0.0.1"


@dataclass(frozen=True, slots=True, kw_only=True)
class Seat:
    """Number `rank` of `size` processes, `local_rank` of `local_size` on this node; they meet at host and port."""

    rank: int = 0
    size: int = 1
    local_rank: int = 0
    local_size: int = 1
    host: str = HERE
    port: int = DEFAULT_PORT

    @property
    def words(self) -> dict[str, str]:
        """Give the environment that says the same."""
        numbers = {RANK: self.rank, SIZE: self.size, LOCAL_RANK: self.local_rank, LOCAL_SIZE: self.local_size}
        return {name: str(value) for name, value in {**numbers, HOST: self.host, PORT: self.port}.items()}


def taken(distribution: DistributionSettings, environment: Mapping[str, str] | None = None) -> Seat | None:
    """Give the seat of this process, or None if it has none and is to start the processes of its node.

    Raises:
        TrainerFailure: InvalidRun, when run and environment do not fit, or the environment lacks something.
    """
    said = os.environ if environment is None else environment
    local_size = distribution.processes_per_node
    size = distribution.nodes * local_size
    if size == 1:
        return Seat()
    if RANK in said:
        seat = _told(said)
        if seat.size != size:
            message = (
                f"distribution: nodes {distribution.nodes} with {local_size} processes each are {size} processes, but "
                f"{SIZE} is {seat.size}; start as many, or change the run"
            )
            raise TrainerFailure(FailureReason.INVALID_RUN, message)
        return seat
    return None if local_size > 1 else of_node(distribution, said)[0]


def of_node(distribution: DistributionSettings, environment: Mapping[str, str] | None = None) -> tuple[Seat, ...]:
    """Give the seats of this node's processes.

    Raises:
        TrainerFailure: InvalidRun, when the environment does not say which node this is or where the first one is.
    """
    said = os.environ if environment is None else environment
    nodes, local_size = distribution.nodes, distribution.processes_per_node
    node = _node(said, nodes)
    host, port = said.get(HOST, HERE), int(said.get(PORT, 0)) or (DEFAULT_PORT if nodes > 1 else _free_port())
    return tuple(
        Seat(
            rank=node * local_size + local,
            size=nodes * local_size,
            local_rank=local,
            local_size=local_size,
            host=host,
            port=port,
        )
        for local in range(local_size)
    )


def _told(said: Mapping[str, str]) -> Seat:
    try:
        return Seat(
            rank=int(said[RANK]),
            size=int(said[SIZE]),
            local_rank=int(said[LOCAL_RANK]),
            local_size=int(said[LOCAL_SIZE]),
            host=said[HOST],
            port=int(said[PORT]),
        )
    except (KeyError, ValueError) as error:
        message = f"{RANK} is set, so torchrun or the like has started this, but {error} is missing or wrong"
        raise TrainerFailure(FailureReason.INVALID_RUN, message) from error


def _node(said: Mapping[str, str], nodes: int) -> int:
    if nodes == 1:
        return 0
    number = next((said[name] for name in NODE if name in said), "")
    if HOST not in said or not number.isdecimal() or int(number) >= nodes:
        message = (
            f"distribution.nodes is {nodes}: start the trainer on each of them with {NODE[0]} 0 to {nodes - 1} and "
            f"{HOST}, the name of the first, in the environment (and {PORT} unless {DEFAULT_PORT} is free there)"
        )
        raise TrainerFailure(FailureReason.INVALID_RUN, message)
    return int(number)


def _free_port() -> int:
    with socket.socket() as found:
        found.bind((HERE, 0))
        return int(found.getsockname()[1])
