import torch

from magedit.demo import checkpoint_path
from magedit.demo.evaluate import psnr
from magedit.demo.model import DemoModel
from magedit.demo.named import demo_edit


def test_the_shipped_checkpoint_encodes_inverts_and_draws() -> None:
    torch.set_num_threads(1)
    model = DemoModel.load(checkpoint_path())
    edit = demo_edit("carpet")
    picture = edit.image(model.size)
    latent = model.encode(picture)
    plain = model.decode(latent)[0]
    assert psnr(picture, plain) > 27
    inverted, redrawn = model.invert_and_redraw(latent, edit.source_prompt, steps=20)
    assert 0.3 < inverted.std() < 1.2  # below 1: what the picture leaves predictable
    assert psnr(plain, model.decode(redrawn)[0]) > 25
    drawn = model.draw(["a red sofa", "a blue carpet"], steps=4)
    assert [one.size for one in drawn] == [(model.size, model.size)] * 2
