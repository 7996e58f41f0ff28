"""A mask found in this process, as a worker does. Loads torch: import it only for this."""

from __future__ import annotations

from pathlib import Path

import torch
from rich.console import Console

from cli.local_edit import refused
from jobs.settings import Settings
from magedit.demo import checkpoint_path
from magedit.edits.checkpoint import closed_vocabulary
from magedit.errors import MAGEditError
from magedit.masks.phrases import Phrase
from magedit.masks.shapes import MaskPrompt
from magedit.pipelines.mag_edit import MAGEditPipeline
from magedit.prompts.checks import check_vocabulary, in_vocabulary
from magedit.segmenters.detector import Detector
from magedit.segmenters.finder import Finders, FoundMasks
from magedit.segmenters.sam import SamSegmenter
from service.errors import RequestError
from service.images.inputs import upload_limits
from service.images.uploads import read_image
from service.problems.mapping import problem_of


def find(image: Path, prompt: MaskPrompt, settings: Settings, console: Console) -> FoundMasks:
    """Find the candidates for ``prompt``; loads only the models it needs.

    Raises:
        ServiceError: it is rejected, or nothing is found, with the service's problem.
    """
    torch.set_num_threads(settings.threads)
    device = settings.device
    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        picture = read_image(image.read_bytes(), field="image", limits=upload_limits(settings))
        prompt.check(picture.size)
        vocabulary = closed_vocabulary(settings.checkpoint or str(checkpoint_path()))
        if prompt.words is not None and settings.detector is None:
            check_vocabulary(in_vocabulary(Phrase.read(prompt.words).thing, vocabulary), vocabulary, field="words")
        with console.status("loading the model"):
            finders = _load(prompt, settings, device)
        return finders.find(picture, prompt)
    except (MAGEditError, RequestError) as error:
        raise refused(problem_of(error)) from error


def _load(prompt: MaskPrompt, settings: Settings, device: str) -> Finders:
    needs_words = prompt.needs == "words"
    detector = Detector.load(settings.detector, device=device) if needs_words and settings.detector else None
    checkpoint = settings.checkpoint or checkpoint_path()
    segmenter = SamSegmenter.beside(checkpoint, settings.segmenter, device=device)
    if detector is not None or (segmenter is not None and not needs_words):
        return Finders(segmenter=segmenter, detector=detector)
    pipe = MAGEditPipeline.from_pretrained(checkpoint)
    return Finders.of(pipe.to(device).backbone, segmenter)
