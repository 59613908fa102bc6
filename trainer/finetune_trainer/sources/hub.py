"""Models and data sets of the model hub, at one commit."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path

from finetune_trainer.contract import HubSource
from finetune_trainer.sources.problems import Denied, Invalid, NotFound, SourceProblem, Unreachable
from finetune_trainer.sources.store import Facts, Place

CHILD_SECONDS = 6 * 3600
"""Longest that reading a data set of the hub may take."""

KINDS = {kind.__name__: kind for kind in (Denied, Invalid, NotFound, Unreachable)}
ROWS = "rows.jsonl"


def download_model(source: HubSource, place: Place, patterns: tuple[str, ...]) -> Facts:
    """Fetch the files of a model that match.

    Raises:
        SourceProblem: they cannot be had.
    """
    from huggingface_hub import HfApi, hf_hub_download

    with explained(source):
        api = HfApi(token=_token(source))
        info = api.model_info(source.repository, revision=source.revision, files_metadata=True)
        files = {
            each.rfilename: int(each.size or 0) for each in info.siblings or () if _matches(each.rfilename, patterns)
        }
        folder = place.folder(sum(files.values()))
        for number, name in enumerate(sorted(files), start=1):
            print(f"fetching {source.repository}: {name}, {files[name] / 1e6:,.1f} MB ({number} of {len(files)})")
            hf_hub_download(source.repository, name, revision=info.sha, local_dir=folder, token=_token(source))
    return {"commit": info.sha}


def download_dataset(source: HubSource, place: Place) -> Facts:
    """Fetch one split of a data set as JSON Lines.

    A child process reads it: the library that knows all layouts of data sets holds memory that training needs.

    Raises:
        SourceProblem: it cannot be had.
    """
    target = place.folder(0) / ROWS
    command = [sys.executable, "-m", "finetune_trainer.sources.hub_rows", json.dumps(asdict(source)), str(target)]
    try:
        done = subprocess.run(  # noqa: S603
            command, env=_with_us(), stdout=subprocess.PIPE, text=True, check=False, timeout=CHILD_SECONDS
        )
    except subprocess.TimeoutExpired as error:
        raise Unreachable(f"{source.repository} took longer than {CHILD_SECONDS} s to read") from error
    *said, last = done.stdout.splitlines() or [""]
    print("\n".join(said), end="\n" if said else "")
    try:
        answer = json.loads(last)
    except ValueError as error:
        message = f"{source.repository} could not be read: the process that read it ended with {done.returncode}"
        raise Unreachable(message) from error
    if "problem" in answer:
        raise KINDS[answer["problem"]](answer["message"])
    return {"commit": answer["commit"]}


@contextmanager
def explained(source: HubSource) -> Iterator[None]:
    """Say what the hub's errors mean."""
    from huggingface_hub import errors

    name = source.repository
    secret = "its token does not open it" if source.token_variable else "set tokenSecretRef"
    try:
        yield
    except errors.GatedRepoError as error:
        raise Denied(f"access to {name} is not granted: accept its terms on the hub, and {secret}") from error
    except errors.RevisionNotFoundError as error:
        raise NotFound(f"{name} has no revision {source.revision}") from error
    except errors.RepositoryNotFoundError as error:
        raise NotFound(f"the hub has no {name}, or it is private: {secret}") from error
    except errors.LocalEntryNotFoundError as error:
        raise _offline(name, error) from error
    except (errors.EntryNotFoundError, errors.HFValidationError) as error:
        raise NotFound(f"{name}: {_first_line(error)}") from error
    except errors.HfHubHTTPError as error:
        raise _meaning(name, secret, error) from error
    except SourceProblem:
        raise
    except Exception as error:
        if not _is_connection(error):
            raise
        raise _offline(name, error) from error


def _offline(name: str, error: Exception) -> Unreachable:
    return Unreachable(f"the hub is not reachable from here: {type(error).__name__}; else bring {name} on a claim")


def _meaning(name: str, secret: str, error: Exception) -> SourceProblem:
    status = getattr(getattr(error, "response", None), "status_code", 0)
    if status in (401, 403):
        return Denied(f"the hub answers {status} for {name}: {secret}")
    if status in (404, 410):
        return NotFound(f"the hub answers {status} for {name}")
    return Unreachable(f"the hub answers {status or 'nothing'} for {name}: {_first_line(error)}")


def _is_connection(error: BaseException) -> bool:
    """Tell a network's errors from others, whichever library the hub's client is built on."""
    kinds = {kind.__name__ for kind in type(error).__mro__}
    return bool(kinds & {"TransportError", "ConnectionError", "OfflineModeIsEnabled", "TimeoutError", "gaierror"})


def _token(source: HubSource) -> str | bool:
    """Give the token, or False so that none is looked for in the image."""
    return os.environ.get(source.token_variable or "", "") or False


def _matches(name: str, patterns: tuple[str, ...]) -> bool:
    return "/" not in name and any(Path(name).match(pattern) for pattern in patterns)


def _first_line(error: BaseException) -> str:
    return str(error).strip().split("\n")[0][:300]


def _with_us() -> dict[str, str]:
    """Return the environment of a child that finds this package, wherever we were found."""
    ours = str(Path(__file__).parents[2])
    return os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, (ours, os.environ.get("PYTHONPATH"))))}
