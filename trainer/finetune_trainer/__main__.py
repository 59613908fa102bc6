"""The recipe: one attempt at one job, readable from top to bottom.

    python -m finetune_trainer [run.json]

Torch and the libraries on it are imported where they are first needed, so that a bad data set fails in seconds.

Not here: what happens when a stage fails or the process is asked to stop (`attempt.py`).
"""

import sys
from pathlib import Path

from finetune_trainer import environment
from finetune_trainer.attempt import Attempt, carry_out
from finetune_trainer.contract import TrainerPhase

RUN_FILE = Path("/etc/finetune/run.json")


def main() -> None:
    """Carry out the run file named on the command line, else the one that the operator mounts."""
    environment.prepare()
    sys.exit(carry_out(Path(sys.argv[1]) if len(sys.argv) > 1 else RUN_FILE, fine_tune))


def fine_tune(attempt: Attempt) -> None:
    """Take a model and rows to artifacts."""
    run, journal = attempt.run, attempt.journal

    journal.enter(TrainerPhase.VALIDATING_DATA)
    from finetune_trainer.data.load import load_data
    from finetune_trainer.heads import QUESTION_ANSWERING, family
    from finetune_trainer.objectives import registry as objectives

    objective = objectives.find(run.task, family(run.model))
    data = load_data(run, extractive=objective.head == QUESTION_ANSWERING)

    journal.enter(TrainerPhase.LOADING_MODEL)
    environment.hide(objectives.unused_libraries(run, objective))
    from finetune_trainer import export, models
    from finetune_trainer.adapters import registry as adapters
    from finetune_trainer.objectives.arguments import Ingredients
    from finetune_trainer.training import loop

    base = models.load(run, objective.head, data.labels)
    model = adapters.attach(base.model, run, objective.head)
    store, resumed = loop.open_checkpoints(attempt)
    trainer = objective.build(Ingredients(run=run, model=model, tokenizer=base.tokenizer, data=data))

    loop.measure_baseline(trainer, attempt, objective, resumed)
    loop.train(trainer, attempt, store, resumed)
    loop.measure_result(trainer, attempt, objective)

    journal.enter(TrainerPhase.EXPORTING)
    export.export(trainer.model, base.tokenizer, attempt)


if __name__ == "__main__":
    main()
