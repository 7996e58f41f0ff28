"""The progress bar of a pipeline, configured as diffusers' (`set_progress_bar_config`)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from tqdm.auto import tqdm

from magedit.measures.meter import OnProgress
from magedit.measures.report import Progress


@contextmanager
def shown(config: Mapping[str, Any], then: OnProgress | None) -> Iterator[OnProgress]:
    """A bar in per cent of the edit's work, with stage and step; ``config`` as tqdm takes it.

    Yields the callback for progress; it calls ``then`` after the bar.
    """
    with tqdm(total=100, bar_format="{desc}: {percentage:3.0f}%|{bar}| [{elapsed}<{remaining}]", **config) as bar:

        def show(progress: Progress) -> None:
            bar.set_description_str(f"{progress.stage} {progress.step}/{progress.steps}", refresh=False)
            bar.update(int(100 * progress.fraction) - bar.n)
            if then is not None:
                then(progress)

        yield show
