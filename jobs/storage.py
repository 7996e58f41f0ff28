"""Object storage: a local folder, S3 or memory, and the layout of its keys.

{tenant}/{job}/input/image.png            the caller's upload
{tenant}/{job}/input/mask-0.png
{tenant}/{job}/{attempt}/result-0.png     an attempt's output; the record names the attempt that counts
{tenant}/{job}/{attempt}/artifacts/{name}
inversions.v1/{tenant}/{digest}.safetensors   cache of the workers; no tenant's name has a dot
"""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import obstore
from obstore.exceptions import BaseError, NotFoundError
from obstore.store import LocalStore, MemoryStore, S3Store

from jobs.errors import ObjectNotFound, StoreUnavailable
from jobs.schema import JobRecord
from jobs.settings import Settings

if TYPE_CHECKING:
    from obstore.store import ClientConfig, RetryConfig, S3Config

# Messages of a full store: a folder (ENOSPC, EDQUOT), S3 servers (507, RFC 4918).
_FULL = ("os error 28", "os error 122", "507 Insufficient Storage")
# Longest pause between two attempts of one request, in seconds.
BACKOFF_CAP_S = 5.0


INVERSIONS = "inversions.v1/"
"""Prefix of stored inversions; the number changes with their format."""


def job_prefix(tenant: str, job_id: str) -> str:
    """Prefix of everything of one job."""
    return f"{tenant}/{job_id}/"


def image_key(tenant: str, job_id: str) -> str:
    """The input image."""
    return f"{job_prefix(tenant, job_id)}input/image.png"


def mask_key(tenant: str, job_id: str, index: int) -> str:
    """The mask of region ``index`` (0, 1, ...)."""
    return f"{job_prefix(tenant, job_id)}input/mask-{index}.png"


def attempt_prefix(record: JobRecord, attempt: int | None = None) -> str:
    """Prefix of the output of one attempt (default: the record's current one)."""
    return f"{job_prefix(record.tenant, record.id)}{record.attempt if attempt is None else attempt}/"


def result_key(claim: JobRecord, name: str) -> str:
    """A result of this attempt."""
    return attempt_prefix(claim) + name


def artifact_key(claim: JobRecord, name: str) -> str:
    """An artifact of this attempt."""
    return f"{attempt_prefix(claim)}artifacts/{name}"


def inversion_key(tenant: str, name: str) -> str:
    """A stored inversion of the tenant."""
    return f"{INVERSIONS}{tenant}/{name}.safetensors"


def sha256(data: bytes) -> str:
    """Checksum of an object for its record, in hex."""
    return hashlib.sha256(data).hexdigest()


def longest_request_s(settings: Settings) -> float:
    """Longest time that one request with all its retries may block its caller, in seconds."""
    return (settings.storage_retries + 1) * (settings.storage_timeout_s + BACKOFF_CAP_S)


class ObjectStore:
    """Whole objects by key. Failed requests are retried with back-off, then raise StoreUnavailable."""

    def __init__(self, store: obstore.store.ObjectStore, signer: S3Store | None = None) -> None:
        """``signer``: the same store under its public address."""
        self._store, self._signer = store, signer

    @classmethod
    def from_settings(cls, settings: Settings) -> ObjectStore:
        """The store that `storage_url` names. Raises ValueError for an unknown scheme."""
        if settings.storage_url is None:
            return cls(_local(settings.state_dir.absolute() / "objects"))
        url = urlsplit(settings.storage_url)
        if url.scheme == "file" and not url.netloc and url.path.startswith("/"):
            return cls(_local(Path(url.path)))
        if url.scheme == "memory":
            return cls(MemoryStore())
        if url.scheme == "s3" and url.netloc:
            place = url.netloc, url.path.strip("/")
            public = settings.s3_public_endpoint or settings.s3_endpoint
            return cls(_s3(settings, *place, settings.s3_endpoint), _s3(settings, *place, public))
        raise ValueError(
            f"storage_url is {settings.storage_url!r}: give file:///absolute/folder, s3://bucket/prefix or memory:"
        )

    @property
    def backend(self) -> obstore.store.ObjectStore:
        """The obstore store behind this one."""
        return self._store

    def put(self, key: str, data: bytes, content_type: str) -> None:
        """Store or replace an object atomically. A folder keeps no content type."""
        attributes = {} if isinstance(self._store, LocalStore) else {"Content-Type": content_type}
        with _storage_errors(key):
            obstore.put(self._store, key, data, attributes=attributes)

    def get(self, key: str) -> bytes:
        """The object's bytes. Raises ObjectNotFound."""
        with _storage_errors(key):
            return obstore.get(self._store, key).bytes().to_bytes()

    def signed_url(self, key: str, expires_s: float) -> str | None:
        """Presigned URL with which anyone can fetch the object for ``expires_s`` seconds.

        None if the store cannot sign: a folder, memory.
        """
        if self._signer is None:
            return None
        with _storage_errors(key):
            return obstore.sign(self._signer, "GET", key, timedelta(seconds=expires_s))

    def size(self, key: str) -> int | None:
        """The object's size in bytes, None if there is none."""
        try:
            with _storage_errors(key):
                return obstore.head(self._store, key)["size"]
        except ObjectNotFound:
            return None

    def keys(self, prefix: str) -> list[str]:
        """The keys below ``prefix`` (which ends with `/`), sorted."""
        with _storage_errors(prefix):
            return sorted(meta["path"] for batch in obstore.list(self._store, prefix) for meta in batch)

    def folders(self, prefix: str) -> list[str]:
        """Sorted names of the folders directly below ``prefix`` (empty, or ends with `/`).

        On disk this includes folders that hold only a half-written object of a killed process, which has no key.
        """
        with _storage_errors(prefix):
            below = obstore.list_with_delimiter(self._store, prefix or None)["common_prefixes"]
        return sorted(path.rstrip("/").rpartition("/")[2] for path in below)

    def delete_prefix(self, prefix: str) -> int:
        """Remove everything below ``prefix``; returns the number of objects."""
        keys = self.keys(prefix)
        for key in keys:
            # One by one: others may be removing the same objects, and a batch stops at the first that is gone.
            try:
                with _storage_errors(key):
                    obstore.delete(self._store, key)
            except ObjectNotFound:
                continue
        if isinstance(self._store, LocalStore) and self._store.prefix is not None:
            # Half-written files of killed processes are not objects yet.
            shutil.rmtree(Path(self._store.prefix) / prefix, ignore_errors=True)
        return len(keys)

    def delete_older(self, prefix: str, age_s: float) -> int:
        """Remove the objects below ``prefix`` written more than ``age_s`` seconds ago; returns their number.

        Ages are by the clocks of this machine and of the store.
        """
        before = datetime.now(UTC) - timedelta(seconds=age_s)
        with _storage_errors(prefix):
            objects = [meta for batch in obstore.list(self._store, prefix) for meta in batch]
        old = [meta["path"] for meta in objects if meta["last_modified"] <= before]
        for key in old:
            with suppress(ObjectNotFound), _storage_errors(key):
                obstore.delete(self._store, key)
        return len(old)

    def ping(self) -> None:
        """Raise StoreUnavailable unless the store answers."""
        self.size("ping")


def _local(folder: Path) -> LocalStore:
    return LocalStore(folder, mkdir=True, automatic_cleanup=True)


def _s3(settings: Settings, bucket: str, prefix: str, endpoint: str | None) -> S3Store:
    timeout = timedelta(seconds=settings.storage_timeout_s)
    options: ClientConfig = {"timeout": timeout, "connect_timeout": timeout, "allow_http": True}
    retries: RetryConfig = {
        "max_retries": settings.storage_retries,
        "backoff": {"max_backoff": timedelta(seconds=BACKOFF_CAP_S)},
    }
    # Unset options must be absent: the store then uses the machine's own credentials.
    secret = settings.s3_secret_access_key and settings.s3_secret_access_key.get_secret_value()
    given: S3Config = {"region": settings.s3_region}
    if endpoint:
        given["endpoint"] = endpoint
    if settings.s3_access_key_id and secret:
        given["access_key_id"], given["secret_access_key"] = settings.s3_access_key_id, secret
    return S3Store(bucket, prefix=prefix or None, config=given, client_options=options, retry_config=retries)


@contextmanager
def _storage_errors(key: str) -> Iterator[None]:
    try:
        yield
    except (NotFoundError, FileNotFoundError) as error:
        raise ObjectNotFound(f"storage has no object {key!r}") from error
    except (BaseError, OSError) as error:
        if any(sign in str(error) for sign in _FULL):
            raise StoreUnavailable("object storage is full; try again later") from error
        raise StoreUnavailable("object storage cannot be reached; try again in a moment") from error
