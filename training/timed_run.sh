#!/usr/bin/env bash
# Train for a fixed time on a machine without network and without an installation of this project.
#
# Usage, in the root of a checkout: training/timed_run.sh CONFIG OUT [NAME=VALUE ...]
# Try it first with frames.minutes=0.3, which runs every step in short.
#   CONFIG  config.json of 'python -m training pack'
#   OUT     folder for run.log, history.csv, config.json and the model in parts of 15 MB (cat model.tar.part-* | tar x)
# WHEELS (default .gpu/wheels) is a folder of wheels that the machine lacks. PYTHON (default python3) needs torch and timm.
# GENERATOR (optional) has the weights of 'python -m training generate': half of the pseudo-fakes go through it.
set -euo pipefail
config=$1 out=$2
shift 2
wheels=${WHEELS:-.gpu/wheels} python=${PYTHON:-python3}
scratch=$(mktemp -d)
mkdir -p "$out"
exec > >(tee "$out/run.log") 2>&1

if compgen -G "$wheels/*.whl" >/dev/null; then
  "$python" -m pip install --quiet --no-index --no-deps --target "$scratch/site" "$wheels"/*.whl
  export PYTHONPATH="$scratch/site"
fi
"$python" -c '
import torch
gpu = torch.cuda.get_device_name() if torch.cuda.is_available() else "none"
print(f"torch {torch.__version__}, GPU: {gpu}")'

if command -v nvidia-smi >/dev/null; then
  nvidia-smi --query-gpu=timestamp,utilization.gpu,memory.used --format=csv --loop=10 >"$out/gpu.csv" &
  monitor=$!
fi
if [ -n "${GENERATOR:-}" ]; then
  "$python" -m training generate --config "$config" --weights "$GENERATOR" --out "$scratch/generated" "$@"
  set -- "data.generator=$scratch/generated" blend.generator=0.5 "$@"
fi
"$python" -m training train --config "$config" --out "$scratch/run" "$@"
[ -z "${monitor:-}" ] || kill "$monitor"
cp "$scratch"/run/{history.csv,config.json} "$out"
tar -C "$scratch/run" -c model | split --bytes=15M - "$out/model.tar.part-"
ls -l "$out"
