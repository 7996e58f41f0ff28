"""`deploy/kubernetes`: every overlay builds, fits its schemas, and agrees with settings, images and programs."""

from __future__ import annotations

import inspect
import json
import re
import shutil
import subprocess
import textwrap
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml
from pydantic_settings import SettingsError

from cli.processes.workers import PROCESS_EXIT_S
from jobs.settings import Settings
from service import metrics
from service.__main__ import GRACE_S
from tests.deploy.test_deploy import OTHERS, OURS, TARGETS, VARIABLES
from worker import telemetry

FOLDER = Path(__file__).parents[2] / "deploy" / "kubernetes"
OVERLAYS = sorted(each.name for each in (FOLDER / "overlays").iterdir())
VERSION = "1.32"
CUSTOM = {"keda.sh/v1alpha1", "monitoring.coreos.com/v1"}
"""What Kubernetes itself does not have."""
PACKAGES = ("@kubernetes-models/keda@0.4.2", "@kubernetes-models/prometheus-operator@6.0.0")
CHECK = """\
import { readFileSync } from "node:fs";
import { ScaledObject } from "@kubernetes-models/keda/keda.sh/v1alpha1/ScaledObject";
import { PodMonitor } from "@kubernetes-models/prometheus-operator/monitoring.coreos.com/v1/PodMonitor";
import { ServiceMonitor } from "@kubernetes-models/prometheus-operator/monitoring.coreos.com/v1/ServiceMonitor";
const kinds = { PodMonitor, ScaledObject, ServiceMonitor };
for (const each of JSON.parse(readFileSync(0))) new kinds[each.kind](each).validate();
"""

Object = dict[str, Any]


@lru_cache
def objects(overlay: str) -> tuple[Object, ...]:
    """What an overlay comes to."""
    kubectl = shutil.which("kubectl")
    if kubectl is None:
        pytest.skip("there is no kubectl")
    done = subprocess.run(
        [kubectl, "kustomize", FOLDER / "overlays" / overlay], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""  # of what is deprecated it warns
    return tuple(yaml.safe_load_all(done.stdout))


def of_kind(overlay: str, kind: str) -> dict[str, Object]:
    return {each["metadata"]["name"]: each for each in objects(overlay) if each["kind"] == kind}


def pods(overlay: str) -> Iterator[tuple[str, Object, Object]]:
    """Name, pod and its only container of every deployment."""
    for name, each in of_kind(overlay, "Deployment").items():
        pod = each["spec"]["template"]["spec"]
        (container,) = pod["containers"]
        yield name, pod, container


def environment(overlay: str, container: Object) -> dict[str, str]:
    """What a container is told, secrets left empty."""
    told: dict[str, str] = {}
    secrets = {each["metadata"]["name"]: each for each in yaml.safe_load_all((FOLDER / "secret.yaml").read_text())}
    for source in container["envFrom"]:
        if "configMapRef" in source:
            told |= of_kind(overlay, "ConfigMap")[source["configMapRef"]["name"]]["data"]
        else:
            told |= secrets[source["secretRef"]["name"]]["stringData"]
    return told | {each["name"]: each["value"] for each in container.get("env", ())}


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_manifests_match_the_kubernetes_schemas(overlay: str) -> None:
    known = [each for each in objects(overlay) if each["apiVersion"] not in CUSTOM]
    assert known
    for each in known:
        kubernetes_validate.validate(each, VERSION, strict=True)


def test_the_secrets_template_fits_its_schema() -> None:
    for each in yaml.safe_load_all((FOLDER / "secret.yaml").read_text()):
        kubernetes_validate.validate(each, VERSION, strict=True)
        assert not any(each["stringData"].values())


def test_a_misspelt_field_is_found() -> None:
    broken = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "x"}, "stringdata": {}}
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(broken, VERSION, strict=True)


@pytest.mark.slow
def test_custom_kinds_fit_their_schemas(tmp_path: Path) -> None:
    npm, node = shutil.which("npm"), shutil.which("node")
    if npm is None or node is None:
        pytest.skip("there is no npm")
    install = [npm, "install", "--no-audit", "--no-fund", "--silent", *PACKAGES]
    done = subprocess.run(install, cwd=tmp_path, capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip(f"npm cannot install the schemas: {done.stderr[-300:]}")
    (tmp_path / "check.mjs").write_text(CHECK)
    custom = [each for overlay in OVERLAYS for each in objects(overlay) if each["apiVersion"] in CUSTOM]
    assert {each["kind"] for each in custom} == {"PodMonitor", "ScaledObject", "ServiceMonitor"}

    def check(these: list[Object]) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [node, "check.mjs"], cwd=tmp_path, input=json.dumps(these), capture_output=True, text=True, check=False
        )

    done = check(custom)
    assert done.returncode == 0, done.stderr
    for each in custom:
        assert check([{**each, "spec": {}}]).returncode != 0


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_every_variable_is_a_setting_and_fits(overlay: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, _, container in pods(overlay):
        told = environment(overlay, container)
        assert set(told) - OTHERS <= VARIABLES, name
        with monkeypatch.context() as patch:
            for variable, value in told.items():
                patch.setenv(variable, value)
            try:
                settings = Settings()
            except SettingsError as error:
                pytest.fail(f"{name}: {error}")
        assert settings.storage_url
        assert settings.storage_url.startswith("s3://")


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_images_are_those_that_are_built(overlay: str) -> None:
    built = {each["image"] for each in OURS.values()}
    assert {container["image"] for _, _, container in pods(overlay)} == built == {f"magedit-{t}:0.1.0" for t in TARGETS}


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_programs_are_those_of_the_compose_file(overlay: str) -> None:
    for name, _, container in pods(overlay):
        command = container.get("command")
        assert command == (OURS[name]["command"] if name in {"reaper", "deliverer"} else None)


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_ends_are_given_time(overlay: str) -> None:
    for name, pod, container in pods(overlay):
        grace_s = pod["terminationGracePeriodSeconds"]
        if name == "front-end":
            program, pause_s = container["lifecycle"]["preStop"]["exec"]["command"]
            assert program == "sleep"
            assert grace_s > int(pause_s) + GRACE_S + 5
        elif name.startswith("worker-"):
            assert grace_s > Settings().stop_grace_s + PROCESS_EXIT_S


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_pods_are_hardened(overlay: str) -> None:
    for name, pod, container in pods(overlay):
        own = pod["securityContext"]
        assert own["runAsNonRoot"] is True
        assert own["runAsUser"] == own["runAsGroup"] == own["fsGroup"] == 10001, name
        assert container["securityContext"] == {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        }
        assert "memory" in container["resources"]["limits"]
        assert pod["serviceAccountName"] == "magedit"
    (account,) = of_kind(overlay, "ServiceAccount").values()
    assert account["automountServiceAccountToken"] is False


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_liveness_depends_on_nothing_else(overlay: str) -> None:
    for name, _, container in pods(overlay):
        probe = container["livenessProbe"]
        if name == "front-end":
            assert probe["httpGet"]["path"] == container["readinessProbe"]["httpGet"]["path"] == "/livez"
        else:
            assert probe["exec"]["command"] == container["startupProbe"]["exec"]["command"]
            assert probe["exec"]["command"][-1] == "worker.alive"
            assert environment(overlay, container)["MAGEDIT_HEARTBEAT_FILE"].startswith("/tmp/")


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_a_worker_serves_the_model_that_requests_get(overlay: str) -> None:
    worker = {name: environment(overlay, container) for name, _, container in pods(overlay) if "worker" in name}
    (told,) = worker.values()
    assert told["MAGEDIT_MODEL"] == told["MAGEDIT_DEFAULT_MODEL"]
    assert set(worker) == {f"worker-{told['MAGEDIT_MODEL']}"}


def test_a_gpu_for_each_worker_where_there_are_some() -> None:
    for overlay, gpus in (("cpu", None), ("gpu", 1), ("keda", 1)):
        for name, _, container in pods(overlay):
            limit = container["resources"]["limits"].get("nvidia.com/gpu")
            assert limit == (gpus if name.startswith("worker-") else None)


def test_the_line_is_read_as_it_is_told() -> None:
    (scaled,) = of_kind("keda", "ScaledObject").values()
    name = scaled["spec"]["scaleTargetRef"]["name"]
    told = next(environment("keda", container) for each, _, container in pods("keda") if each == name)
    query = scaled["spec"]["triggers"][0]["metadata"]["query"]
    assert set(re.findall(r'model="([^"]+)"', query)) == {told["MAGEDIT_MODEL"]}
    sources = inspect.getsource(metrics) + inspect.getsource(telemetry)
    for metric in re.findall(r"magedit_\w+", query):
        assert f'"{metric}"' in sources
    # Without a worker an edit is accepted for a declared model alone: else 0 would never be left again.
    assert scaled["spec"]["minReplicaCount"] == 0
    assert told["MAGEDIT_DECLARE_MODEL"] == "true"


def test_monitors_find_the_ports() -> None:
    (service,) = of_kind("keda", "Service").values()
    (monitor,) = of_kind("keda", "ServiceMonitor").values()
    assert monitor["spec"]["selector"]["matchLabels"].items() <= service["metadata"]["labels"].items()
    assert monitor["spec"]["endpoints"][0]["port"] in {port["name"] for port in service["spec"]["ports"]}
    (monitor,) = of_kind("keda", "PodMonitor").values()
    for name, _, container in pods("keda"):
        if name.startswith("worker-"):
            (port,) = container["ports"]
            assert port["name"] == monitor["spec"]["podMetricsEndpoints"][0]["port"]
            assert str(port["containerPort"]) == environment("keda", container)["MAGEDIT_WORKER_METRICS_PORT"]


def test_the_documented_overlay_builds(tmp_path: Path) -> None:
    kubectl = shutil.which("kubectl")
    if kubectl is None:
        pytest.skip("there is no kubectl")
    page = (FOLDER.parents[1] / "docs" / "deploy.md").read_text()
    (block,) = re.findall(r"```yaml\n( *# kustomization\.yaml\n.*?)```", page, re.DOTALL)
    shutil.copytree(FOLDER, tmp_path / "magedit" / "deploy" / "kubernetes")
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "kustomization.yaml").write_text(textwrap.dedent(block))
    done = subprocess.run([kubectl, "kustomize", tmp_path / "mine"], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    built = list(yaml.safe_load_all(done.stdout))
    assert {each["metadata"]["namespace"] for each in built} == {"magedit"}
    told = next(each["data"] for each in built if each["metadata"]["name"].startswith("magedit-") and "data" in each)
    assert told["MAGEDIT_STORAGE_URL"] == "s3://my-bucket/edits"
    assert told["MAGEDIT_HEARTBEAT_FILE"]
    deployments = [each["spec"]["template"]["spec"] for each in built if each["kind"] == "Deployment"]
    assert {image for pod in deployments for image in [pod["containers"][0]["image"]]} == {
        f"registry.example.com/magedit-{target}:0.1.0" for target in TARGETS
    }
