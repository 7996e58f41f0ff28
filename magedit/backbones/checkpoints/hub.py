"""Configs of a checkpoint on the Hugging Face hub, from the cache or downloaded. Free of torch."""

from __future__ import annotations

import re
from pathlib import Path

from magedit.errors import CheckpointError

HUB_TIMEOUT_S = 10.0
"""Timeout of the hub's listing, in seconds."""


def fetch_configs(
    repository: str, revision: str | None = None, endpoint: str | None = None
) -> tuple[Path, frozenset[str]]:
    """The folder with the configs of a hub repository, downloaded or from the cache, and the names of all its files.

    Raises:
        CheckpointError: the repository or revision does not exist, access is denied, or the hub is unreachable.
    """
    from huggingface_hub import HfApi, hf_hub_download, snapshot_download
    from huggingface_hub.errors import (
        GatedRepoError,
        LocalEntryNotFoundError,
        RepositoryNotFoundError,
        RevisionNotFoundError,
    )

    try:
        cached = Path(snapshot_download(repository, revision=revision, local_files_only=True))
    except (LocalEntryNotFoundError, ValueError):
        cached = None
    if cached is not None and (cached / "model_index.json").is_file() and any(cached.rglob("*.safetensors")):
        return cached, list_files(cached)
    at = f" at revision {revision!r}" if revision else ""
    try:
        info = HfApi(endpoint=endpoint).model_info(repository, revision=revision, timeout=HUB_TIMEOUT_S)
        names = [each.rfilename for each in info.siblings or ()]
        for name in names:
            if name == "model_index.json" or re.fullmatch(r"\w+/(config|scheduler_config)\.json", name):
                got = hf_hub_download(repository, name, revision=info.sha, endpoint=endpoint)
                folder = Path(got).parents[name.count("/")]
    except GatedRepoError as error:
        raise CheckpointError(
            f"{repository!r} is gated: accept its terms on its hub page, and set HF_TOKEN to a token of that account"
        ) from error
    except RevisionNotFoundError as error:
        raise CheckpointError(f"{repository!r} has no revision {revision!r} on the hub (MAGEDIT_REVISION)") from error
    except RepositoryNotFoundError as error:
        raise CheckpointError(
            f"there is no checkpoint {repository!r} on the hub and no folder of this name: check the spelling; for a "
            f"private one set HF_TOKEN"
        ) from error
    except Exception as error:  # any exception of that package's HTTP library
        raise CheckpointError(
            f"the hub cannot be reached to look for {repository!r}{at}, which is not in the local cache: give a "
            f"folder, or try again when the network is available"
        ) from error
    if "model_index.json" not in names:
        raise CheckpointError(
            f"{repository!r} on the hub has no model_index.json: it is not a checkpoint in diffusers' layout"
        )
    return folder, frozenset(names)


def list_files(folder: Path) -> frozenset[str]:
    """Paths of all files below ``folder``, relative to it."""
    return frozenset(str(each.relative_to(folder)) for each in folder.rglob("*") if each.is_file())
