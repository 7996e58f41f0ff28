# syntax=docker/dockerfile:1.7
# Two images from one source: `service` (front end and reaper, no torch) and `worker` (torch on CUDA).
#   docker build --target service -t magedit-service .
#   docker build --target worker  -t magedit-worker .

FROM python:3.11.9-slim-bookworm AS wheel
WORKDIR /source
COPY pyproject.toml README.md LICENSE ./
COPY magedit ./magedit
COPY jobs ./jobs
COPY service ./service
COPY worker ./worker
COPY cli ./cli
RUN pip wheel --no-cache-dir --no-deps --wheel-dir /wheels .


FROM python:3.11.9-slim-bookworm AS service
ENV PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1
RUN useradd --uid 10001 --create-home --shell /usr/sbin/nologin magedit
COPY constraints.txt /tmp/constraints.txt
RUN --mount=type=bind,from=wheel,source=/wheels,target=/wheels \
    wheel="$(echo /wheels/magedit-*.whl)" \
    && pip install --no-cache-dir --constraint /tmp/constraints.txt "magedit[service,tracing] @ file://${wheel}"
USER magedit
WORKDIR /home/magedit
# Inside a container loopback is the container itself: publish the port where callers are meant to reach it.
# Whoever reaches it needs a key: `docker compose exec service magedit keys create --tenant NAME`.
ENV MAGEDIT_API_HOST=0.0.0.0 MAGEDIT_API_PORT=8000 MAGEDIT_AUTH=keys
EXPOSE 8000
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=5s --start-period=20s --retries=3 \
    CMD ["python", "-c", "import httpx; httpx.get('http://127.0.0.1:8000/livez').raise_for_status()"]
CMD ["python", "-m", "service"]


# torch brings its own CUDA libraries; the base adds what the driver's container runtime looks for.
FROM nvidia/cuda:12.8.1-base-ubuntu24.04 AS worker
ENV PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 PATH=/opt/magedit/bin:$PATH
RUN apt-get update \
    && apt-get install --yes --no-install-recommends python3 python3-venv \
    && rm -rf /var/lib/apt/lists/* \
    && python3 -m venv /opt/magedit \
    && useradd --uid 10001 --create-home --shell /usr/sbin/nologin magedit
COPY constraints.txt /tmp/constraints.txt
RUN --mount=type=bind,from=wheel,source=/wheels,target=/wheels \
    wheel="$(echo /wheels/magedit-*.whl)" \
    && pip install --no-cache-dir --constraint /tmp/constraints.txt "magedit[worker,tracing] @ file://${wheel}"
USER magedit
WORKDIR /home/magedit
ENV HF_HOME=/home/magedit/.cache/huggingface OMP_NUM_THREADS=1 MKL_NUM_THREADS=1 OMP_WAIT_POLICY=PASSIVE
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=15s --timeout=10s --start-period=180s --retries=4 CMD ["python", "-m", "worker.health"]
CMD ["python", "-m", "worker"]
