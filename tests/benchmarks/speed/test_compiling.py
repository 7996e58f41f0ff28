"""Which parts of a UNet are compiled, and that the UNet itself is not."""

from __future__ import annotations

import pytest
from diffusers.models.attention import FeedForward
from diffusers.models.resnet import ResnetBlock2D

from benchmarks.speed.compiling import COMPILED, compiled
from tests.magedit.conftest import load_pipeline


# torch's compiler looks at its own deprecated parts when it is loaded.
@pytest.mark.filterwarnings("ignore:.torch.jit.script_method:DeprecationWarning")
def test_a_copy_is_compiled_in_the_regions_asked_for() -> None:
    pipe = load_pipeline()
    unet = compiled(pipe.unet, COMPILED["residual blocks and feed-forward"])
    chosen = {name for name, module in unet.named_modules() if module._compiled_call_impl is not None}
    assert chosen == {name for name, m in pipe.unet.named_modules() if isinstance(m, (ResnetBlock2D, FeedForward))}
    assert all(module._compiled_call_impl is None for module in pipe.unet.modules())
