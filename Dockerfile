# syntax=docker/dockerfile:1
# The API, without ML code; with --build-arg PROCESS=worker the worker for the CPU.
ARG PROCESS=api

FROM python:3.12-slim-bookworm AS base
ENV PYTHONUNBUFFERED=1 PATH=/srv/.venv/bin:$PATH
WORKDIR /srv
COPY requirements/bootstrap.lock requirements/
RUN python -m venv .venv \
    && .venv/bin/pip install --no-cache-dir --require-hashes -r requirements/bootstrap.lock \
    && useradd --create-home --uid 10001 unmask \
    && install --directory --owner unmask /data

FROM base AS api
COPY requirements/api.lock requirements/
RUN uv pip install --no-cache --no-deps --require-hashes --compile-bytecode -r requirements/api.lock

FROM base AS worker
# MediaPipe needs EGL and GLES even where it computes on the CPU.
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install --yes --no-install-recommends libegl1 libgles2 libseccomp2 \
    && rm -rf /var/lib/apt/lists/*
COPY requirements/worker.lock requirements/
RUN uv pip install --no-cache --no-deps --require-hashes --compile-bytecode -r requirements/worker.lock

# hadolint ignore=DL3006
FROM ${PROCESS} AS service
WORKDIR /srv
COPY pyproject.toml README.md LICENSE NOTICE ./
COPY alembic alembic
COPY app app
COPY worker worker
COPY training training
RUN uv pip install --no-cache --no-deps --no-build-isolation --editable .
USER 10001
CMD ["unmask", "api"]
