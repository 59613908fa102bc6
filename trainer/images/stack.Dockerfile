# The trainer's dependencies: the heavy layer, 6 GB since torch from PyPI brings CUDA. Rebuilt when the lock changes.
#
#   docker build -f trainer/images/stack.Dockerfile -t finetune-trainer-stack:dev .
#
# BASE and wheels/ are as in operator/Dockerfile.
ARG BASE=python:3.11-slim

FROM ${BASE} AS build
LABEL io.finetune-operator.image="build stage"
COPY requirements/trainer.txt requirements/deepspeed.txt wheels* /wheels/
# DeepSpeed is to be had as source only; without its compiled operators it is Python alone, so no compiler is needed here
# or in a pod (docs/adr/0010).
RUN python3 -m venv /opt/venv \
 && set -- --no-cache-dir --disable-pip-version-check --require-hashes \
 && if ls /wheels/*.whl > /dev/null 2>&1; then set -- "$@" --no-index --find-links /wheels; fi \
 && /opt/venv/bin/pip install "$@" -r /wheels/trainer.txt \
 && DS_BUILD_OPS=0 DS_ACCELERATOR=cpu /opt/venv/bin/pip install "$@" --no-deps --no-build-isolation --use-pep517 \
    -r /wheels/deepspeed.txt

FROM ${BASE}
# torch asks for the user's name, so the number needs one.
RUN echo 'trainer:x:1000:1000::/tmp:/usr/sbin/nologin' >> /etc/passwd && echo 'trainer:x:1000:' >> /etc/group
COPY --from=build /opt/venv /opt/venv
ENV PATH=/opt/venv/bin:/usr/local/bin:/usr/bin:/bin PYTHONUNBUFFERED=1
