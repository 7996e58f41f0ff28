"""One contract over every store: a folder, memory, and two real S3 servers."""

from __future__ import annotations

import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import boto3
import httpx
import pytest
from moto.server import ThreadedMotoServer
from pydantic import SecretStr

from jobs.errors import ObjectNotFound, StoreUnavailable
from jobs.settings import Settings
from jobs.storage import (
    ObjectStore,
    artifact_key,
    attempt_prefix,
    image_key,
    job_prefix,
    longest_request_s,
    mask_key,
    result_key,
    sha256,
)
from tests.conftest import S3_KEY, S3_SECRET, free_port, running
from tests.jobs.conftest import Desk


@pytest.fixture(scope="module")
def moto_endpoint() -> Iterator[str]:
    server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    client = boto3.client(
        "s3",
        endpoint_url=f"http://{host}:{port}",
        region_name="us-east-1",
        aws_access_key_id="key",
        aws_secret_access_key="secret",
    )
    client.create_bucket(Bucket="bucket")
    client.close()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture(params=["folder", "memory", "rclone", "moto"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> ObjectStore:
    if request.param == "folder":
        return ObjectStore.from_settings(Settings(state_dir=tmp_path))
    if request.param == "memory":
        return ObjectStore.from_settings(Settings(storage_url="memory:"))
    if request.param == "rclone":
        return ObjectStore.from_settings(request.getfixturevalue("s3_settings"))
    return ObjectStore.from_settings(
        Settings(
            storage_url=f"s3://bucket/{tmp_path.name}",
            s3_endpoint=request.getfixturevalue("moto_endpoint"),
            s3_access_key_id="key",
            s3_secret_access_key=SecretStr("secret"),
        )
    )


def test_objects_are_read_back_unchanged(store: ObjectStore) -> None:
    data = bytes(range(256)) * 5000
    store.put("t/j/1/result-0.png", data, "image/png")
    assert store.get("t/j/1/result-0.png") == data
    assert store.size("t/j/1/result-0.png") == len(data)


def test_last_write_wins(store: ObjectStore) -> None:
    for text in (b"one", b"two two"):
        store.put("t/j/1/a.json", text, "application/json")
    assert store.get("t/j/1/a.json") == b"two two"


def test_missing_objects(store: ObjectStore) -> None:
    assert store.size("t/nothing") is None
    assert store.keys("t/nothing/") == []
    assert store.delete_prefix("t/nothing/") == 0
    with pytest.raises(ObjectNotFound, match="t/nothing"):
        store.get("t/nothing")
    store.ping()


def test_prefix_matches_whole_folder_names(store: ObjectStore) -> None:
    for key in ("t/j/1/a", "t/j/1/artifacts/b", "t/j/10/a", "t/j/input/a"):
        store.put(key, b"x", "text/plain")
    assert store.keys("t/j/1/") == ["t/j/1/a", "t/j/1/artifacts/b"]
    assert store.delete_prefix("t/j/1/") == 2
    assert store.keys("t/j/") == ["t/j/10/a", "t/j/input/a"]
    assert store.delete_prefix("t/j/") == 2
    assert store.keys("t/") == []


def test_a_folder_keeps_no_empty_folders(tmp_path: Path) -> None:
    store = ObjectStore.from_settings(Settings(state_dir=tmp_path))
    store.put("t/j/1/a", b"x", "text/plain")
    store.delete_prefix("t/j/")
    assert list((tmp_path / "objects").iterdir()) == []


def test_folder_listing_is_one_level_deep(store: ObjectStore) -> None:
    for key in ("t/j/1/a", "t/j/10/a", "t/k/input/a", "u/j/a", "top"):
        store.put(key, b"x", "text/plain")
    assert store.folders("") == ["t", "u"]
    assert store.folders("t/") == ["j", "k"]
    assert store.folders("t/j/") == ["1", "10"]
    assert store.folders("t/j/1/") == store.folders("nothing/") == []


def test_an_interrupted_write_is_not_an_object_and_can_be_removed(tmp_path: Path) -> None:
    store = ObjectStore.from_settings(Settings(state_dir=tmp_path))
    half = tmp_path / "objects" / "t" / "j" / "input" / "image.png#1"
    half.parent.mkdir(parents=True)
    half.write_bytes(b"half")
    assert store.keys("t/j/") == []
    assert store.folders("t/") == ["j"]
    store.delete_prefix("t/j/")
    assert not half.exists()
    assert store.folders("t/") == []


def test_full_disk_leaves_no_partial_object(tmp_path: Path) -> None:
    # A limit on the size of files fails a write where a full disk does: in its middle.
    program = f"""
import resource
from jobs.errors import StoreUnavailable
from jobs.settings import Settings
from jobs.storage import ObjectStore
store = ObjectStore.from_settings(Settings(state_dir={str(tmp_path)!r}))
store.put("t/j/input/image.png", b"before", "image/png")
resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
try:
    store.put("t/j/input/image.png", b"x" * 5000, "image/png")
except StoreUnavailable:
    assert store.get("t/j/input/image.png") == b"before"
    print("refused")
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout == "refused\n"
    assert [file.name for file in (tmp_path / "objects").rglob("*") if file.is_file()] == ["image.png"]


def test_full_disk_is_reported(tmp_path: Path) -> None:
    mount = ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(tmp_path)]
    if subprocess.run(mount, capture_output=True, check=False).returncode != 0:
        pytest.skip("this user may not mount a small disk")
    try:
        store = ObjectStore.from_settings(Settings(state_dir=tmp_path))
        with pytest.raises(StoreUnavailable, match="full"):
            store.put("t/j/input/image.png", b"x" * 2**18, "image/png")
        assert store.keys("t/") == []
        store.put("t/j/input/image.png", b"x", "image/png")
    finally:
        subprocess.run(["umount", "--lazy", str(tmp_path)], check=True)


def test_an_s3_server_that_is_away(tmp_path: Path) -> None:
    settings = Settings(
        storage_url=f"s3://bucket/{tmp_path.name}",
        s3_endpoint=f"http://127.0.0.1:{free_port()}",
        s3_access_key_id="key",
        s3_secret_access_key=SecretStr("secret"),
        storage_retries=1,
    )
    store = ObjectStore.from_settings(settings)
    for call in (lambda: store.put("k", b"x", "text/plain"), lambda: store.get("k"), store.ping):
        with pytest.raises(StoreUnavailable):
            call()


def test_retries_until_a_late_server_starts(tmp_path: Path) -> None:
    port = free_port()
    (tmp_path / "bucket").mkdir()
    settings = Settings(
        storage_url="s3://bucket",
        s3_endpoint=f"http://127.0.0.1:{port}",
        s3_access_key_id=S3_KEY,
        s3_secret_access_key=SecretStr(S3_SECRET),
        storage_retries=10,
    )
    store = ObjectStore.from_settings(settings)
    program = shutil.which("rclone") or str(Path(sys.executable).parent / "rclone")
    command = [program, "serve", "s3", f"--auth-key={S3_KEY},{S3_SECRET}", "--addr", f"127.0.0.1:{port}"]
    with running([*command, "--config=", str(tmp_path)], stderr=subprocess.DEVNULL):
        store.put("k", b"x", "text/plain")  # nobody listens yet
        assert store.get("k") == b"x"


def test_unset_credentials_use_the_default_chain(monkeypatch: pytest.MonkeyPatch, s3_settings: Settings) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", s3_settings.s3_access_key_id or "")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", S3_SECRET)
    bare = s3_settings.model_copy(update={"s3_access_key_id": None, "s3_secret_access_key": None})
    store = ObjectStore.from_settings(bare)
    store.put("k", b"x", "text/plain")
    assert store.get("k") == b"x"


def test_longest_request_is_shorter_than_the_watchdog_timeout() -> None:
    assert longest_request_s(Settings(storage_retries=0, storage_timeout_s=10)) == 15
    assert longest_request_s(Settings()) < Settings().watchdog_s


def test_an_s3_server_that_hangs(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        settings = Settings(
            storage_url=f"s3://bucket/{tmp_path.name}",
            s3_endpoint=f"http://127.0.0.1:{silent.getsockname()[1]}",
            s3_access_key_id="key",
            s3_secret_access_key=SecretStr("secret"),
            storage_retries=0,
            storage_timeout_s=0.2,
        )
        with pytest.raises(StoreUnavailable):
            ObjectStore.from_settings(settings).put("k", b"x", "text/plain")


def test_a_folder_that_cannot_be_written(tmp_path: Path) -> None:
    store = ObjectStore.from_settings(Settings(state_dir=tmp_path))
    (tmp_path / "objects" / "t").write_text("a file where a folder should be")
    with pytest.raises(StoreUnavailable):
        store.put("t/j/a", b"x", "text/plain")


@pytest.mark.parametrize("url", ["objects", "file://relative/folder", "s3:", "ftp://host/x"])
def test_other_addresses_are_refused(url: str) -> None:
    with pytest.raises(ValueError, match="storage_url"):
        ObjectStore.from_settings(Settings(storage_url=url))


def test_a_file_url_names_the_folder(tmp_path: Path) -> None:
    ObjectStore.from_settings(Settings(storage_url=f"file://{tmp_path}/here")).put("a", b"x", "text/plain")
    assert (tmp_path / "here" / "a").read_bytes() == b"x"


def test_the_layout(desk: Desk) -> None:
    record = desk.record().model_copy(update={"id": "j", "attempt": 2})
    assert job_prefix("local", "j") == "local/j/"
    assert image_key("local", "j") == "local/j/input/image.png"
    assert mask_key("local", "j", 1) == "local/j/input/mask-1.png"
    assert result_key(record, "result-0.png") == "local/j/2/result-0.png"
    assert artifact_key(record, "trace.json") == "local/j/2/artifacts/trace.json"
    assert attempt_prefix(record, 1) == "local/j/1/"
    assert sha256(b"") == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"


def test_presigned_urls_open_their_object(s3_settings: Settings) -> None:
    store = ObjectStore.from_settings(s3_settings)
    store.put("a/b.png", b"picture", "image/png")
    address = store.signed_url("a/b.png", 60)
    assert address is not None
    assert httpx.get(address).content == b"picture"
    assert httpx.get(address.replace("b.png", "c.png")).status_code == 403
    assert httpx.get(address.partition("?")[0]).status_code in {400, 403}
    # The end is part of what is signed.
    assert "X-Amz-Expires=60&" in address
    assert httpx.get(address.replace("X-Amz-Expires=60&", "X-Amz-Expires=600&")).status_code == 403


def test_signed_addresses_have_the_public_host(s3_settings: Settings) -> None:
    settings = s3_settings.model_copy(update={"s3_public_endpoint": "https://pictures.example.com"})
    address = ObjectStore.from_settings(settings).signed_url("a.png", 60)
    assert address is not None
    assert address.startswith("https://pictures.example.com/bucket/")
    assert "X-Amz-Expires=60" in address


def test_folder_and_memory_stores_cannot_presign(tmp_path: Path) -> None:
    for settings in (Settings(state_dir=tmp_path), Settings(storage_url="memory:")):
        assert ObjectStore.from_settings(settings).signed_url("a.png", 60) is None
