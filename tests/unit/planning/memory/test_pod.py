"""What a pod needs beside its devices."""

from any_workloads import a_workload_of
from finetune_operator.api.v1alpha1.hardware import Strategy
from finetune_operator.api.v1alpha1.technique import Method
from finetune_operator.planning import catalog
from finetune_operator.planning.memory.pod import CHECKPOINT_PART_BYTES, PROCESS_BYTES, beside_devices
from finetune_operator.planning.memory.workload import Sharding

TINY = catalog.find("tiny-phi3")
LLAMA = catalog.find("llama-3.1-8b")
EIGHT = {"strategy": Strategy.DEEPSPEED, "stage": 3, "devices": 8}


def needed(shape=LLAMA, method=Method.FULL, processes=8, **sharding):
    work = a_workload_of(shape, method, sharding=Sharding(**(EIGHT | sharding)))
    return beside_devices(shape, work, processes)


def test_each_process_reads_one_part_of_a_checkpoint_at_a_time():
    assert needed() == 8 * (PROCESS_BYTES + CHECKPOINT_PART_BYTES)
    assert needed(TINY) == 8 * (PROCESS_BYTES + 2 * TINY.parameters)


def test_an_offloaded_optimizer_keeps_weights_moments_and_gradients_in_fp32():
    assert needed(offload_optimizer=True) - needed() == 16 * LLAMA.parameters


def test_offloaded_parameters_lie_in_the_nodes_memory():
    assert needed(offload_parameters=True) - needed() == 2 * LLAMA.parameters


def test_each_node_keeps_its_own_share_of_what_is_offloaded():
    one_of_two = needed(processes=4, offload_optimizer=True) - needed(processes=4)
    assert one_of_two == 8 * LLAMA.parameters


def test_what_does_not_learn_needs_no_optimizer():
    assert needed(method=Method.LORA, offload_optimizer=True) - needed(method=Method.LORA) < LLAMA.parameters
