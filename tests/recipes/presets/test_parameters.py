import pytest

from recipes.presets.parameters import Preset
from recipes.presets.stable_diffusion import PRESETS


@pytest.mark.parametrize("preset", PRESETS.values(), ids=PRESETS)
def test_presets_fit_together(preset: Preset) -> None:
    assert preset.size % 8 == 0
    assert preset.vae.crop % 8 == 0
    assert preset.vae.crop <= preset.size
    assert all(width % preset.vae.groups == 0 for width in preset.vae.channels)
    assert all(width % preset.unet.groups == 0 == width % preset.unet.heads for width in preset.unet.channels)
    assert preset.text.width % preset.text.heads == 0
    for schedule in (preset.vae.schedule, preset.text.schedule, preset.unet.schedule):
        assert schedule.warmup < schedule.samples * (1 - schedule.decay) + schedule.batch
