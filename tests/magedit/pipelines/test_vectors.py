"""The whole algorithm against vectors recorded from the authors' program, fp32 on a CPU (tests/data/vectors).

A free run cannot be held to recorded numbers: null-text inversion amplifies rounding on this random checkpoint, and two
instruction sets round differently. So each step is *forced*: it starts from the recorded state, and its result depends
on that step alone. Its tolerance is the rounding of one pass times its measured amplification.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

import pytest
import torch
from PIL import Image
from safetensors.torch import load_file
from torch import Tensor
from torch.nn.functional import max_pool2d

from magedit.backbones.base import Conditioning, classifier_free_guidance, frozen
from magedit.backbones.denoiser import Denoiser
from magedit.backbones.stable_diffusion.backbone import StableDiffusion
from magedit.config import EditConfig, Region
from magedit.guidance.constraints import resample_mask
from magedit.guidance.descent import Descent, Guided
from magedit.inversion.base import InversionTask, Inverted
from magedit.inversion.null_text.loop import optimise
from magedit.measures.meter import Meter
from magedit.pipelines.mag_edit import MAGEditPipeline
from magedit.pipelines.output import Inversion, MAGEditOutput
from tests.magedit.conftest import VECTORS, relative

STEPS = (0, 1, 12, 24, 25, 34, 35, 49)
"""Steps whose null embeddings and latents are recorded."""

CONSECUTIVE = ((0, 1), (24, 25), (34, 35))
"""Recorded steps that follow one another, so that the second can be forced from the first."""

GUIDED = (0, 12, 24)
"""Steps whose gradients and optimised latents are recorded."""

ROUNDING = 1e-5
"""By how much one pass may differ between two processors, relative to its result: 1.3e-6 is the most that was measured
(SSE 4.1, AVX2 and AVX-512, the VAE's pass), and no processor is known to be ten times worse."""

# Tolerance of a result: rounding, times by how much the result moves for a relative change of 1 in the recorded state
# that it is computed from. Measured with changes of 1e-6 (`python -m benchmarks.fidelity.conditioning`), rounded up.
TRAJECTORY = 140 * ROUNDING
NULL_EMBEDDING = 100 * ROUNDING  # Adam's first updates are the gradient's signs, whatever its size
GRADIENT = 70 * ROUNDING
LATENT = 15 * ROUNDING
LOSS = 1 * ROUNDING

FREE_LOSS = 2000 * ROUNDING
"""The losses of a free run, in which 50 steps of null-text inversion carry on what the first passes round."""


@dataclass
class Run:
    """One edit with everything that the vectors speak of."""

    vectors: dict[str, Tensor]
    output: MAGEditOutput
    config: EditConfig
    case: dict[str, Any]
    after: dict[int, Tensor] = field(default_factory=dict)
    optimised: list[Tensor] = field(default_factory=list)
    gradients: list[Tensor] = field(default_factory=list)

    @property
    def inverted(self) -> Inverted:
        return self.output.inversion.inverted


CASES = ("replace_word", "insert_words")


@pytest.fixture(scope="module", params=CASES)
def run(request: pytest.FixtureRequest, pipe: MAGEditPipeline, cases: dict[str, dict[str, Any]]) -> Run:
    """The case, run freely."""
    with pytest.MonkeyPatch.context() as patch:
        return free_run(pipe, patch, request.param, cases[request.param])


def free_run(
    pipe: MAGEditPipeline,
    patch: pytest.MonkeyPatch,
    name: str,
    case: dict[str, Any],
    *,
    vectors: dict[str, Tensor] | None = None,
) -> Run:
    """The case ``name`` from its recorded VAE latent to its result, with this program's numbers alone."""
    config = EditConfig.preset(
        "exact",
        steps=case["steps"],
        guidance_scale=case["guidance_scale"],
        guidance_step_size=case["scale"],
        max_iterations=case["iters"],
        cross_replace=case["cross_replace_steps"],
        self_replace=case["self_replace_steps"],
        null_text_iterations=case["null_text_inner_steps"],
    )
    assert config.guided_steps == case["guided_steps"]
    assert config.steps - config.blend_from == case["blend_last_steps"]
    vectors = vectors or load_file(VECTORS / f"{name}.safetensors")
    # One processor's VAE is 1e-6 off another's, which is what the run amplifies.
    patch.setattr(StableDiffusion, "encode_image", lambda *_: vectors["vae_latent"])
    return edit(pipe, patch, vectors, config, case)


def edit(
    pipe: MAGEditPipeline,
    patch: pytest.MonkeyPatch,
    vectors: dict[str, Tensor],
    config: EditConfig,
    case: dict[str, Any],
    *,
    inversion: Inversion | None = None,
    force: dict[int, Tensor] | None = None,
) -> Run:
    """Edit the case; ``force`` puts a recorded latent in place after a step."""
    after: dict[int, Tensor] = {}
    optimised: list[Tensor] = []
    gradients: list[Tensor] = []
    attend = Denoiser.attend
    guided = Descent.guided

    def spy_attend(self: Denoiser, latent: Tensor, *rest: Any) -> None:
        if latent.requires_grad:
            latent.register_hook(gradients.append)  # type: ignore[no-untyped-call]
        attend(self, latent, *rest)

    def spy_guided(self: Descent) -> Guided:
        found = guided(self)
        optimised.append(found.latent)
        return found

    def on_step(_pipe: object, step: int, _timestep: int, state: dict[str, Any]) -> dict[str, Any]:
        after[step] = state["latents"]
        return {"latents": force[step][None] if force and step in force else state["latents"]}

    patch.setattr(Denoiser, "attend", spy_attend)
    patch.setattr(Descent, "guided", spy_guided)
    output = pipe(
        Image.open(VECTORS / case["image"]),
        [Image.open(VECTORS / mask) for mask in case["masks"]],
        case["source"],
        case["target"],
        [Region(words=(word,)) for word in case["words"]],
        config,
        inversion=inversion,
        callback_on_step_end=on_step,
    )
    patch.undo()
    return Run(vectors, output, config, case, after, optimised, gradients)


def recorded(run: Run, name: str, step: int) -> Tensor:
    return run.vectors[name][STEPS.index(step)]


def vae_latent(run: Run, pipe: MAGEditPipeline) -> Tensor:
    """This program's own."""
    with torch.no_grad():
        latent: Tensor = pipe.encode_image(Image.open(VECTORS / run.case["image"]).convert("RGB"))
    return latent


def test_latent_and_inversion(run: Run, pipe: MAGEditPipeline) -> None:
    latents = run.inverted.latents
    assert relative(vae_latent(run, pipe), run.vectors["vae_latent"]) < ROUNDING
    assert relative(latents[0], run.vectors["inverted"]) < TRAJECTORY
    for index, steps in enumerate((1, 10, 25, 40, 50)):
        assert relative(latents[50 - steps][0], run.vectors["ddim_latents"][index]) < TRAJECTORY


def test_every_loss_of_the_free_run(run: Run) -> None:
    losses, wanted = losses_of(run)
    assert ((losses - wanted).abs() / wanted).max() < FREE_LOSS


def losses_of(run: Run) -> tuple[Tensor, Tensor]:
    """The traced losses and the recorded ones."""
    # The release records L, this program traces scale * L.
    wanted = run.vectors["token_ratio_loss"] * run.case["scale"]
    return wanted.new_tensor([loss for step in run.output.measures.trace for loss in step.losses]), wanted


def test_each_null_text_step_continues_from_the_previous_one(run: Run, pipe: MAGEditPipeline) -> None:
    for step in (1, 2, 30):
        embedding, latent = optimised_from(
            run, pipe, step, run.inverted.sampled[step], run.inverted.unconditional[step - 1].hidden_states
        )
        assert relative(embedding, run.inverted.unconditional[step].hidden_states) < NULL_EMBEDDING
        assert relative(latent, run.inverted.sampled[step + 1]) < LATENT


def test_the_first_null_text_optimisation_forced_at_the_recorded_noise(run: Run, pipe: MAGEditPipeline) -> None:
    embedding, latent = optimised_from(run, pipe, 0, run.vectors["inverted"], pipe.encode("").hidden_states)
    assert relative(embedding[0], recorded(run, "null_embeddings", 0)) < NULL_EMBEDDING
    assert relative(latent[0], recorded(run, "latents_after_step", 0)[0]) < LATENT


@pytest.mark.parametrize(("before", "step"), CONSECUTIVE)
def test_null_text_optimisation_forced_at_each_recorded_pair(
    run: Run, pipe: MAGEditPipeline, before: int, step: int
) -> None:
    embedding, latent = forced_optimisation(run, pipe, before, step)
    assert relative(embedding[0], recorded(run, "null_embeddings", step)) < NULL_EMBEDDING
    assert relative(latent[0], recorded(run, "latents_after_step", step)[0]) < LATENT


def forced_optimisation(run: Run, pipe: MAGEditPipeline, before: int, step: int) -> tuple[Tensor, Tensor]:
    """Embedding and source latent of ``step``, from the recorded ones of the step ``before`` it."""
    return optimised_from(
        run, pipe, step, recorded(run, "latents_after_step", before)[:1], recorded(run, "null_embeddings", before)[None]
    )


def optimised_from(
    run: Run, pipe: MAGEditPipeline, step: int, current: Tensor, embedding: Tensor
) -> tuple[Tensor, Tensor]:
    """Embedding and source latent of ``step``, from the source latent and the embedding that it starts with."""
    denoiser = pipe._denoiser(run.config, Meter({}))
    with torch.no_grad(), frozen(pipe.unet):
        task = InversionTask(
            denoiser, run.inverted.latents[-1], pipe.encode(run.case["source"]), pipe.encode(""), run.config
        )
        empty, latent = optimise(task, step, current, run.inverted.latents[step + 1], Conditioning(embedding))
    return empty.hidden_states, latent


@pytest.fixture(scope="module")
def forced(run: Run, pipe: MAGEditPipeline) -> Run:
    """The case again, with every recorded state put in its place."""
    return forced_run(run, pipe)


def test_losses_gradients_and_optimised_latents_forced_at_each_recorded_step(run: Run, forced: Run) -> None:
    losses, wanted = losses_of(forced)
    iterations = run.case["iters"]
    for index, step in enumerate(GUIDED):
        for k in range(step * iterations, (step + 1) * iterations):
            recorded_gradient = run.vectors["gradient"][index * iterations + k % iterations]
            assert abs(losses[k] - wanted[k]) / wanted[k] < LOSS
            assert relative(forced.gradients[k], recorded_gradient) < GRADIENT
        assert relative(forced.optimised[step][0], run.vectors["optimised_latent"][index]) < LATENT


def test_edit_steps_forced_at_each_recorded_state(run: Run, forced: Run, pipe: MAGEditPipeline) -> None:
    for got, wanted in edit_latents(run, forced, pipe).values():
        assert relative(got, wanted) < LATENT


def forced_run(run: Run, pipe: MAGEditPipeline) -> Run:
    """The case edited again, where each step that is recorded, or follows a recorded one, starts from that state."""
    source = list(run.inverted.latents)
    unconditional = list(run.inverted.unconditional)
    for step in STEPS:
        unconditional[step] = Conditioning(recorded(run, "null_embeddings", step)[None])
        source[step + 1] = recorded(run, "latents_after_step", step)[:1]
    force = {before: recorded(run, "latents_after_step", before)[1] for before, _ in CONSECUTIVE}
    source[0] = run.vectors["inverted"]
    for index, step in enumerate(GUIDED[1:], start=1):
        source[step] = source_before(run, pipe, step)
        force[step - 1] = edit_before(run, pipe, index)
    with pytest.MonkeyPatch.context() as patch:
        return edit(
            pipe,
            patch,
            run.vectors,
            run.config,
            run.case,
            inversion=replace(run.output.inversion, inverted=Inverted(tuple(source), tuple(unconditional), exact=True)),
            force=force,
        )


def source_before(run: Run, pipe: MAGEditPipeline, step: int) -> Tensor:
    """The source latent from which guided sampling came to the recorded one of ``step``, by fixed-point iteration."""
    denoiser, after = pipe._denoiser(run.config, Meter({})), recorded(run, "latents_after_step", step)[:1]
    process = denoiser.process
    t = process.timesteps[step]
    shrink = process.signal(process.following(t)) / process.signal(t)
    latent = after
    with torch.no_grad():
        source, unconditional = (
            pipe.encode(run.case["source"]),
            Conditioning(recorded(run, "null_embeddings", step)[None]),
        )
        for _ in range(20):
            noise = classifier_free_guidance(
                denoiser.predict(latent, t, unconditional),
                denoiser.predict(latent, t, source),
                run.config.guidance_scale,
            )
            latent = latent + (after - process.step(noise, t, latent)) / shrink
    return latent


def edit_before(run: Run, pipe: MAGEditPipeline, index: int) -> Tensor:
    """The edit latent before the guidance at step ``GUIDED[index]``: the optimised one with its updates taken back."""
    schedule = pipe._denoiser(run.config, Meter({})).process
    sigma, iterations = schedule.sigma(schedule.timesteps[GUIDED[index]]), run.case["iters"]
    updates = run.vectors["gradient"][index * iterations : (index + 1) * iterations].sum(0)[0]
    return run.vectors["optimised_latent"][index] + mask(run, pipe) * sigma * updates


def edit_latents(run: Run, forced: Run, pipe: MAGEditPipeline) -> dict[int, tuple[Tensor, Tensor]]:
    """Per forced step: the edit latent after it and the recorded one, inside the mask where the step blends."""
    inside = max_pool2d(mask(run, pipe)[None], 3, stride=1, padding=1)[0]
    pairs = {}
    for step in sorted({*GUIDED, *(step for _, step in CONSECUTIVE)}):
        source_after, wanted = recorded(run, "latents_after_step", step)
        got = forced.after[step][0]
        if step >= run.config.blend_from:
            # The vectors were recorded before the blend of their step.
            assert torch.equal(got * (1 - inside), source_after * (1 - inside))
            got, wanted = got * inside, wanted * inside
        pairs[step] = (got, wanted)
    return pairs


def mask(run: Run, pipe: MAGEditPipeline) -> Tensor:
    """M of the case, at latent resolution."""
    union = torch.zeros(pipe.size, pipe.size)
    for each in run.case["masks"]:
        pixels = torch.tensor(list(Image.open(VECTORS / each).convert("L").get_flattened_data()))
        union = torch.maximum(union, (pixels.view(pipe.size, pipe.size) >= 128).float())
    return resample_mask(union, pipe.latent_side, "nearest")
