"""Our images: what each is built from, built when that changed, loaded when the node lacks it.

Not here: how an image gets into the node; see ``load.py``.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

import cache
import engine
import load
import node_image
import wheels
from steps import Failed, Step, run

LABEL = "io.finetune-operator.image"
"""Marks what we build, so that tidying up touches nothing else on a shared engine."""

INPUTS = "io.finetune-operator.inputs"
BASE = "python:3.11-slim"
BASE_PACKAGES = ("ca-certificates", "python3", "python3-venv")
STACK = "finetune-trainer-stack"
STACK_LOCKS = {"trainer.txt": "1 to 5 min, 3 GB", "deepspeed.txt": "10 s"}
"""The trainer's locks, and how long their wheels usually take to fetch."""

LOCK = "requirements/operator.txt"
REPOSITORY = cache.REPOSITORY
SAMPLES = REPOSITORY / "examples" / "samples"


@dataclass(frozen=True, slots=True)
class Image:
    """One image: its Dockerfile, what goes into its context, and its build arguments."""

    tag: str
    dockerfile: Path
    usually: str
    sources: Mapping[str, Path]
    """Places in the context, with the files or folders that go there."""
    arguments: Mapping[str, str] = field(default_factory=dict)
    wheels: tuple[Path, ...] = ()
    target: str = ""

    @property
    def inputs(self) -> str:
        """Hash all that shapes the image; the wheels' folders are themselves named by a hash."""
        parts = [self.dockerfile.read_text(), *(f"{key}={value}" for key, value in sorted(self.arguments.items()))]
        parts += [folder.name for folder in self.wheels]
        for place, source in sorted(self.sources.items()):
            parts += [place, cache.key_of_tree(source) if source.is_dir() else cache.key(source.read_bytes())]
        return cache.key(*parts)


def ensure() -> None:
    """Build and load what changed: operator and samples whole, the trainer's code on its stack."""
    base = _base()
    prepared = base != BASE
    whole = operator(base, prepared=prepared)
    build(replace(whole, tag="finetune-operator-build:dev", target="build", sources={LOCK: whole.sources[LOCK]}))
    build(whole)
    load.whole(whole.tag, "5 s")
    stack = trainer_stack(base, prepared=prepared)
    build(stack)
    load.whole(stack.tag, "2 to 4 min")
    trainer, code = trainer_code(stack.tag), trainer_code("scratch")
    build(trainer)
    build(code)
    load.on_top(trainer.tag, stack.tag, code.tag)
    _tidy(keep=stack.tag)
    sample = samples(base)
    build(sample)
    load.whole(sample.tag, "5 s")
    _tidy(keep=stack.tag)


def loaded() -> list[str]:
    """Return one line for each of our images in the node."""
    return [f"{tag} {image_id}" for tag, image_id in sorted(load.in_node().items()) if tag.startswith("finetune-")]


def operator(base: str, *, prepared: bool) -> Image:
    """Describe the operator's image; prepared says that wheels are fetched here, for want of an index inside builds."""
    lock = REPOSITORY / LOCK
    code = REPOSITORY / "operator" / "finetune_operator"
    shared = REPOSITORY / "trainer" / "finetune_trainer"
    return Image(
        "finetune-operator:dev",
        REPOSITORY / "operator" / "Dockerfile",
        "30 s, 3 s when only code changed",
        {
            LOCK: lock,
            "operator/finetune_operator": code,
            "trainer/finetune_trainer/__init__.py": shared / "__init__.py",
            "trainer/finetune_trainer/contract": shared / "contract",
        },
        {"BASE": base},
        (wheels.ensure(lock, "15 s"),) if prepared else (),
    )


def trainer_stack(base: str, *, prepared: bool) -> Image:
    """Describe the image of the trainer's dependencies; its tag is the hash of what it is made from."""
    locks = {f"requirements/{name}": REPOSITORY / "requirements" / name for name in STACK_LOCKS}
    dockerfile = REPOSITORY / "trainer" / "images" / "stack.Dockerfile"
    key = cache.key(*map(cache.source_lines, locks.values()), dockerfile.read_text(), base)
    missing = prepared and not engine.image_id(f"{STACK}:{key}")
    return Image(
        f"{STACK}:{key}",
        dockerfile,
        "5 min",
        locks,
        {"BASE": base},
        tuple(wheels.ensure(lock, usually) for lock, usually in zip(locks.values(), STACK_LOCKS.values(), strict=True))
        if missing
        else (),
    )


def trainer_code(stack: str) -> Image:
    """Describe the trainer's image on its stack, or, on scratch, its code layer alone."""
    tag = "finetune-trainer:dev" if stack != "scratch" else "finetune-trainer-code:dev"
    return Image(
        tag,
        REPOSITORY / "trainer" / "images" / "Dockerfile",
        "2 s",
        {"trainer/finetune_trainer": REPOSITORY / "trainer" / "finetune_trainer"},
        {"STACK": stack},
    )


def samples(base: str) -> Image:
    """Describe the image of sample models and data."""
    return Image("finetune-samples:dev", SAMPLES / "Dockerfile", "5 s", {"samples": make_samples()}, {"BASE": base})


def make_samples() -> Path:
    """Return the folder of sample models and data, made anew when anything of their script has changed."""
    sources = [path for path in SAMPLES.iterdir() if path.suffix in {".py", ".md", ".txt"}]
    out = cache.root() / "samples" / cache.key_of_files(sources)
    if out.exists():
        return out
    python = REPOSITORY / ".venv-trainer" / "bin" / "python"
    if not python.exists():
        raise Failed("samples need the trainer's environment: run `make venv-trainer`")
    partial = out.with_name(f".{out.name}")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    command = (str(python), "-W", "ignore", str(SAMPLES / "build.py"), str(partial))
    run(Step("make the samples", command, usually="1 to 3 min", deadline=1800, cwd=REPOSITORY))
    partial.rename(out)
    return out


def build(image: Image) -> None:
    """Build an image unless the engine has one made from the same things."""
    form = f'{{{{index .Config.Labels "{INPUTS}"}}}}'
    inputs = image.inputs
    known = engine.image_id(image.tag) and engine.docker("image", "inspect", "--format", form, image.tag)
    if known == inputs or (image.tag.startswith(f"{STACK}:") and known):
        return
    context = cache.root() / "work" / f"context-{image.tag.split(':')[0]}"
    shutil.rmtree(context, ignore_errors=True)
    context.mkdir(parents=True)
    for place, source in image.sources.items():
        _stage(source, context / place)
    for folder in image.wheels:
        _stage(folder, context / "wheels")
    arguments = [part for key, value in image.arguments.items() for part in ("--build-arg", f"{key}={value}")]
    labels = [part for label in (f"{LABEL}=yes", f"{INPUTS}={inputs}") for part in ("--label", label)]
    run(
        Step(
            f"build {image.tag}",
            (
                *("docker", "build", "-f", str(image.dockerfile), "-t", image.tag, *arguments, *labels),
                *(("--target", image.target) if image.target else ()),
                str(context),
            ),
            usually=image.usually,
            deadline=1800,
            env=engine.build_env(),
        )
    )
    shutil.rmtree(context)


def _base() -> str:
    """Return the base image: Python's own where it is to be had, else Debian's Python from debootstrap."""
    if os.environ.get("FINETUNE_BASE_IMAGE"):
        return os.environ["FINETUNE_BASE_IMAGE"]
    own = f"localhost/finetune-base:{cache.key(node_image.SUITE, *BASE_PACKAGES)}"
    if not engine.image_id(own) and engine.pull(BASE):
        return BASE
    return node_image.debian_base("finetune-base", BASE_PACKAGES)


def _stage(source: Path, target: Path) -> None:
    """Put a file or folder into a build context; hard links where possible, since wheels are gigabytes."""
    files = cache.source_files(source) if source.is_dir() else [source]
    for file in files:
        place = target / file.relative_to(source) if source.is_dir() else target
        place.parent.mkdir(parents=True, exist_ok=True)
        try:
            os.link(file, place)
        except OSError:
            shutil.copy2(file, place)


def _tidy(keep: str) -> None:
    """Drop build stages and replaced images of ours from engine and node; what the next run starts from stays."""
    listed = engine.docker("image", "ls", "--format", "{{.Repository}}:{{.Tag}}", "--filter", f"label={LABEL}")
    for tag in listed.splitlines():
        if tag.startswith(f"{STACK}:") and tag != keep:
            engine.docker("image", "rm", tag, within=300)
    engine.docker("image", "prune", "--force", "--filter", f"label={LABEL}", within=300)
    load.tidy(keep)
