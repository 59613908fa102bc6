"""A process that writes one split of a hub's data set as JSON Lines: `python -m ... SOURCE FILE`.

Its last line on stdout says the commit, or the problem. Data sets that bring code of their own are refused.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
from pathlib import Path

from finetune_trainer.contract import HubSource
from finetune_trainer.sources.hub import explained
from finetune_trainer.sources.problems import NotFound, SourceProblem

ROWS_BETWEEN_LINES = 200_000


def main() -> None:
    """Write the rows."""
    source = HubSource(**json.loads(sys.argv[1]))
    with tempfile.TemporaryDirectory() as cache:
        os.environ["HF_HOME"] = cache  # read in passing; what stays is the file
        try:
            print(json.dumps({"commit": write_rows(source, Path(sys.argv[2]))}))
        except SourceProblem as problem:
            print(json.dumps({"problem": type(problem).__name__, "message": str(problem)}))


def write_rows(source: HubSource, file: Path) -> str:
    """Write a split row by row, without the images and sounds it may have, and give its commit.

    Raises:
        SourceProblem: it cannot be had.
    """
    from datasets import exceptions, load_dataset
    from huggingface_hub import HfApi

    token = os.environ.get(source.token_variable or "", "") or False
    with explained(source):
        commit = str(HfApi(token=token).dataset_info(source.repository, revision=source.revision).sha)
        try:
            rows = load_dataset(
                source.repository, source.subset, split=source.split, revision=commit, token=token, streaming=True
            )
            with file.open("w", encoding="utf-8") as stream:
                for number, row in enumerate(rows, start=1):
                    stream.write(json.dumps(row, ensure_ascii=False, default=str) + "\n")
                    if number % ROWS_BETWEEN_LINES == 0:
                        print(f"fetching {source.repository}: {number:,} rows", flush=True)
        except (exceptions.DatasetNotFoundError, exceptions.DataFilesNotFoundError, ValueError, RuntimeError) as error:
            raise NotFound(f"{source.repository}: {str(error).strip().splitlines()[0][:300]}") from error
    return commit


if __name__ == "__main__":
    main()
