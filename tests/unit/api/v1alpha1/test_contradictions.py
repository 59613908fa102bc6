"""The tables of which the rules between groups are made."""

from finetune_operator.api.v1alpha1.contradictions import FORMATS, METRICS, PACKING_TASKS, ROLES
from finetune_operator.api.v1alpha1.dataset import Columns, DataFormat
from finetune_operator.api.v1alpha1.spec import Task
from finetune_operator.api.v1alpha1.training import Metric

TASKS = {task.value for task in Task}


def test_every_task_has_formats_and_every_format_a_task():
    assert FORMATS.keys() == TASKS
    assert {name for names in FORMATS.values() for name in names} | {"auto"} == {each.value for each in DataFormat}


def test_every_column_is_read_by_a_task_and_has_one_rule():
    roles = [role for together in ROLES for role in together]
    assert sorted(roles) == sorted(Columns.model_fields)
    assert {task for tasks in ROLES.values() for task in tasks} == TASKS


def test_every_task_has_metrics_and_every_metric_a_task():
    assert METRICS.keys() == TASKS
    assert {name for names in METRICS.values() for name in names} == {metric.value for metric in Metric}
    assert all("loss" in names for names in METRICS.values())


def test_tasks_that_pack_are_tasks():
    assert set(PACKING_TASKS) < TASKS
