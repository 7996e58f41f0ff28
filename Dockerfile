# Two images from one source: `service` (front end, reaper, deliverer; no torch) and `worker` (torch). BuildKit builds
# them, Docker's own since version 25 (no syntax directive names another builder, which would be fetched from a registry):
#   docker build --target service -t magedit-service .
#   docker build --target worker  -t magedit-worker .
# The base image is another with --build-arg PYTHON_IMAGE=..., for one a mirror's, or one pinned by its digest.
ARG PYTHON_IMAGE=python:3.11.15-slim-bookworm


# Requirements by themselves, so that a change of the source installs none of them anew.
FROM ${PYTHON_IMAGE} AS requirements
WORKDIR /requirements
COPY pyproject.toml ./
RUN python <<END
import pathlib, tomllib

project = tomllib.loads(pathlib.Path("pyproject.toml").read_text())["project"]
extras = project["optional-dependencies"]
for target in ("service", "worker"):
    names = [*project["dependencies"], *extras[target], *extras["tracing"]]
    pathlib.Path(f"{target}.txt").write_text("\n".join(names))
END


FROM ${PYTHON_IMAGE} AS wheel
WORKDIR /source
COPY constraints.txt ./
RUN pip install --no-cache-dir --constraint constraints.txt setuptools
COPY pyproject.toml README.md LICENSE ./
COPY magedit ./magedit
COPY jobs ./jobs
COPY service ./service
COPY worker ./worker
COPY cli ./cli
RUN pip wheel --no-cache-dir --no-deps --no-build-isolation --wheel-dir /wheels .


FROM ${PYTHON_IMAGE} AS base
ENV PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 PYTHONSAFEPATH=1
RUN groupadd --gid 10001 magedit \
    && useradd --uid 10001 --gid 10001 --create-home --shell /usr/sbin/nologin magedit
COPY constraints.txt constraints-cuda.txt /tmp/
WORKDIR /home/magedit
STOPSIGNAL SIGTERM


FROM base AS service
RUN --mount=type=bind,from=requirements,source=/requirements/service.txt,target=/tmp/requirements.txt \
    pip install --no-cache-dir --constraint /tmp/constraints.txt --requirement /tmp/requirements.txt
RUN --mount=type=bind,from=wheel,source=/wheels,target=/wheels pip install --no-cache-dir --no-deps /wheels/*.whl
USER 10001:10001
# Inside a container loopback is the container itself: publish the port where callers are meant to reach it.
# Whoever reaches it needs a key: `docker compose exec service magedit keys create --tenant NAME`.
ENV MAGEDIT_API_HOST=0.0.0.0 MAGEDIT_API_PORT=8000 MAGEDIT_AUTH=keys
EXPOSE 8000
HEALTHCHECK --interval=10s --timeout=15s --start-period=30s --retries=3 \
    CMD ["python", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:8000/livez', timeout=4)"]
CMD ["python", "-m", "service"]


# torch's own wheel brings CUDA; the host adds its driver, which the variables ask the NVIDIA runtime for.
FROM base AS worker
RUN --mount=type=bind,from=requirements,source=/requirements/worker.txt,target=/tmp/requirements.txt \
    pip install --no-cache-dir --constraint /tmp/constraints.txt --constraint /tmp/constraints-cuda.txt \
    --requirement /tmp/requirements.txt
RUN --mount=type=bind,from=wheel,source=/wheels,target=/wheels pip install --no-cache-dir --no-deps /wheels/*.whl
ENV HF_HOME=/home/magedit/.cache/huggingface OMP_NUM_THREADS=1 MKL_NUM_THREADS=1 OMP_WAIT_POLICY=PASSIVE \
    NVIDIA_VISIBLE_DEVICES=all NVIDIA_DRIVER_CAPABILITIES=compute,utility NVIDIA_REQUIRE_CUDA="cuda>=13.0"
# A volume that is mounted here takes over the folder's owner, and checkpoints can be downloaded into it.
RUN install --directory --owner=10001 --group=10001 /home/magedit/.cache /home/magedit/.cache/huggingface
USER 10001:10001
HEALTHCHECK --interval=30s --timeout=30s --start-period=1800s --start-interval=3s --retries=4 \
    CMD ["python", "-m", "worker.health"]
CMD ["python", "-m", "worker"]
