# The trainer's dependencies: the heavy layer, 6 GB since torch from PyPI brings CUDA. Rebuilt when the lock changes.
#
#   docker build -f trainer/images/stack.Dockerfile -t finetune-trainer-stack:dev .
#
# BASE and wheels/ are as in operator/Dockerfile.
ARG BASE=python:3.11-slim

FROM ${BASE} AS build
LABEL io.finetune-operator.image="build stage"
COPY requirements/trainer.txt wheels* /wheels/
RUN python3 -m venv /opt/venv \
 && set -- --no-cache-dir --disable-pip-version-check --require-hashes \
 && if ls /wheels/*.whl > /dev/null 2>&1; then set -- "$@" --no-index --find-links /wheels; fi \
 && /opt/venv/bin/pip install "$@" -r /wheels/trainer.txt

FROM ${BASE}
# torch asks for the user's name, so the number needs one.
RUN echo 'trainer:x:1000:1000::/tmp:/usr/sbin/nologin' >> /etc/passwd && echo 'trainer:x:1000:' >> /etc/group
COPY --from=build /opt/venv /opt/venv
ENV PATH=/opt/venv/bin:/usr/local/bin:/usr/bin:/bin PYTHONUNBUFFERED=1
