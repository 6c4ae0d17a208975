# syntax=docker/dockerfile:1
# Two images from one file: --target api (no ML code) and --target worker (CPU).
FROM python:3.12-slim-bookworm AS base
ENV PYTHONUNBUFFERED=1 PATH=/srv/.venv/bin:$PATH
WORKDIR /srv
COPY requirements/uv.lock requirements/
RUN python -m venv .venv \
    && .venv/bin/pip install --no-cache-dir --require-hashes -r requirements/uv.lock \
    && useradd --create-home --uid 10001 unmask \
    && install --directory --owner unmask /data

FROM base AS api
COPY requirements/api.lock requirements/
RUN uv pip install --no-cache --no-deps --require-hashes --compile-bytecode -r requirements/api.lock
COPY pyproject.toml README.md LICENSE ./
COPY app app
COPY worker worker
COPY training training
COPY alembic alembic
RUN uv pip install --no-cache --no-deps --no-build-isolation --editable .
USER 10001
EXPOSE 8000
HEALTHCHECK CMD ["python", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:8000/livez')"]
CMD ["unmask", "api"]

FROM base AS worker
# MediaPipe needs EGL and GLES even where it computes on the CPU.
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install --yes --no-install-recommends libegl1 libgles2 libseccomp2 \
    && rm -rf /var/lib/apt/lists/*
COPY requirements/worker.lock requirements/
RUN uv pip install --no-cache --no-deps --require-hashes --compile-bytecode -r requirements/worker.lock
COPY pyproject.toml README.md LICENSE ./
COPY app app
COPY worker worker
COPY training training
COPY alembic alembic
RUN uv pip install --no-cache --no-deps --no-build-isolation --editable .
USER 10001
CMD ["unmask", "worker"]
