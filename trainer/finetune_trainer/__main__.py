"""The recipe: one attempt at one job, readable from top to bottom.

    python -m finetune_trainer [run.json]
    python -m finetune_trainer inspect [run.json]

Torch and the libraries on it are imported where they are first needed, so that a bad data set fails in seconds.

Not here: what happens when a stage fails or the process is asked to stop (`attempt.py`).
"""

import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

from finetune_trainer import inspection
from finetune_trainer.contract import TrainerPhase
from finetune_trainer.distributed import launch
from finetune_trainer.process import environment
from finetune_trainer.process.attempt import Attempt, carry_out
from finetune_trainer.sources.fetch import fetch

RUN_FILE = Path("/etc/finetune/run.json")


def main() -> None:
    """Carry out the run file named on the command line, else the one that the operator mounts."""
    if sys.argv[1:2] == [inspection.VERB]:
        inspection.main(sys.argv[2:])
        sys.exit()
    run_file = Path(sys.argv[1]) if len(sys.argv) > 1 else RUN_FILE
    if seats := launch.seats_to_fill(run_file):
        sys.exit(launch.launch(seats))
    environment.prepare()
    environment.leave(carry_out(run_file, fine_tune))


def fine_tune(attempt: Attempt) -> None:
    """Take a model and rows to artifacts."""
    attempt = replace(attempt, run=fetch(attempt.run))
    run, journal = attempt.run, attempt.journal

    journal.enter(TrainerPhase.VALIDATING_DATA)
    from finetune_trainer.data.load import load_data
    from finetune_trainer.models.heads import QUESTION_ANSWERING
    from finetune_trainer.objectives import registry as objectives

    objective = objectives.of(run)
    data = load_data(run, extractive=objective.head == QUESTION_ANSWERING)
    journal.note(dataset=data.facts)

    journal.enter(TrainerPhase.LOADING_MODEL)
    environment.hide(objectives.unused_libraries(run, objective))
    from finetune_trainer.adapters import registry as adapters
    from finetune_trainer.data import prepared
    from finetune_trainer.distributed import gathering
    from finetune_trainer.export import artifacts, formats
    from finetune_trainer.models import loading
    from finetune_trainer.objectives import batches
    from finetune_trainer.objectives.arguments import Ingredients
    from finetune_trainer.training import loop

    def load() -> tuple[loading.Base, Any]:
        found = loading.load(run, objective.head, data.labels)
        formats.check(run, found.model, objective.head)
        return found, adapters.attach(found.model, run, objective.head)

    attempt.join()
    base, model = load()
    store, resumed = loop.open_checkpoints(attempt)
    given = Ingredients(run=run, model=model, tokenizer=base.tokenizer, data=data, note=journal.note)
    trainer = objective.build(given)
    if resumed is None:
        adapters.begin(trainer.model, run.technique, batches.Learnt(trainer))

    loop.measure_baseline(trainer, attempt, objective, resumed)
    loop.train(trainer, attempt, store, resumed)
    loop.measure_result(trainer, attempt, objective)

    journal.enter(TrainerPhase.EXPORTING)
    gathering.gather(trainer, run, world=attempt.world, rebuild=lambda: load()[1])
    if attempt.world.is_first:
        artifacts.export(trainer, base.tokenizer, attempt)
        prepared.forget(run)


if __name__ == "__main__":
    main()
