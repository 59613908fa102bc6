"""Facts that plans are made of, read once from the package's own data files; `find` returns what is known of a model.

Not here: what memory follows from a shape (`planning.memory`).
"""

from finetune_operator.planning.catalog.accelerators import (
    Accelerator,
    Confidence,
    Tflops,
    Vendor,
    accelerators,
    find_accelerator,
    nearest_accelerators,
)
from finetune_operator.planning.catalog.families import has_experts, is_known, runs_own_code
from finetune_operator.planning.catalog.hf_config import CatalogError, from_config
from finetune_operator.planning.catalog.instances import (
    Instance,
    Provider,
    cheapest,
    find_instance,
    holding,
    instances,
    nearest_instances,
)
from finetune_operator.planning.catalog.layouts import Group, Layout, Linear
from finetune_operator.planning.catalog.models import find, models, nearest
from finetune_operator.planning.catalog.numbers import described, read_shape
from finetune_operator.planning.catalog.peft_options import peft_options
from finetune_operator.planning.catalog.shape import Biases, ModelKind, ModelShape, Norm
from finetune_operator.planning.catalog.techniques import (
    Advice,
    Scenario,
    Technique,
    advice,
    scenarios,
    scenarios_of_goal,
    scenarios_of_task,
    serves,
    serves_goal,
    table,
)

__all__ = [
    "Accelerator",
    "Advice",
    "Biases",
    "CatalogError",
    "Confidence",
    "Group",
    "Instance",
    "Layout",
    "Linear",
    "ModelKind",
    "ModelShape",
    "Norm",
    "Provider",
    "Scenario",
    "Technique",
    "Tflops",
    "Vendor",
    "accelerators",
    "advice",
    "cheapest",
    "described",
    "find",
    "find_accelerator",
    "find_instance",
    "from_config",
    "has_experts",
    "holding",
    "instances",
    "is_known",
    "models",
    "nearest",
    "nearest_accelerators",
    "nearest_instances",
    "peft_options",
    "read_shape",
    "runs_own_code",
    "scenarios",
    "scenarios_of_goal",
    "scenarios_of_task",
    "serves",
    "serves_goal",
    "table",
]
