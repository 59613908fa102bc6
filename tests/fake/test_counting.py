"""The counter counts what is alive, once, and says what it was for."""

import torch
from counting import BLOCK, LiveBytes, Phase
from torch._subclasses.fake_tensor import FakeTensorMode

MEGABYTE = 1_000_000


def test_a_tensor_is_counted_until_it_is_freed():
    with FakeTensorMode(), LiveBytes() as live:
        first = torch.empty(MEGABYTE, dtype=torch.uint8)
        held = live.live
        del first
        second = torch.empty(BLOCK, dtype=torch.uint8)

        assert (held, live.live) == (-(-MEGABYTE // BLOCK) * BLOCK, BLOCK)
        assert live.peak == held
        del second


def test_views_and_changes_in_place_cost_nothing():
    with FakeTensorMode(), LiveBytes() as live:
        values = torch.empty(16, BLOCK, dtype=torch.uint8)
        view = values[2:].t()
        values.add_(1)

        assert live.live == 16 * BLOCK
        del view


def test_the_peak_is_told_by_what_tensors_were_for():
    with FakeTensorMode(), LiveBytes() as live:
        live.phase = Phase.FORWARD
        activation = torch.empty(4 * BLOCK, dtype=torch.uint8)
        live.phase = Phase.BACKWARD
        gradient = torch.empty(2 * BLOCK, dtype=torch.uint8)
        live.move(gradient, Phase.GRADIENTS)
        del activation
        live.phase = Phase.OPTIMIZER
        state = torch.empty(8 * BLOCK, dtype=torch.uint8)

    assert live.at_peak == {Phase.GRADIENTS: 2 * BLOCK, Phase.OPTIMIZER: 8 * BLOCK}
    assert live.peak_of[Phase.BACKWARD] == 6 * BLOCK
    del gradient, state


def test_what_a_kernel_holds_inside_counts_only_while_it_runs():
    with FakeTensorMode(), LiveBytes(lambda _operation, _arguments: 3 * BLOCK) as live:
        kept = torch.empty(BLOCK, dtype=torch.uint8)

    assert (live.live, live.peak) == (BLOCK, 4 * BLOCK)
    del kept
