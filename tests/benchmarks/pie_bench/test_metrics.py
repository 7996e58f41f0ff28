"""The figures on small inputs with known answers; models of the right layout, small and with drawn weights."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch import nn
from transformers import CLIPConfig, CLIPModel, ViTConfig, ViTModel

from benchmarks.pie_bench.metrics import Lpips, Structure, TextSimilarity, mse, only, psnr, self_similarity, ssim

BLACK, WHITE = (np.full((16, 16, 3), value, dtype=np.uint8) for value in (0, 255))
NOISE = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
HALF = np.zeros((16, 16), dtype=np.uint8)
HALF[:8] = 1


def test_error_and_its_decibels() -> None:
    assert (mse(BLACK, WHITE), mse(BLACK, BLACK)) == (1.0, 0.0)
    grey = np.full((16, 16, 3), 51, dtype=np.uint8)  # a fifth
    assert mse(BLACK, grey) == pytest.approx(0.04)
    assert psnr(BLACK, grey) == pytest.approx(10 * np.log10(25), abs=1e-4)
    assert psnr(BLACK, BLACK) == float("inf")


def test_a_part_counts_as_the_whole_with_the_rest_black() -> None:
    assert mse(BLACK, WHITE, HALF) == 0.5
    assert only(WHITE, HALF).sum() == 8 * 16 * 3


def test_structural_similarity_of_constants_and_of_a_picture_with_its_inverse() -> None:
    # Constants have luminance alone: (2 a b + C1) / (a^2 + b^2 + C1) with a = 0, b = 1.
    assert ssim(BLACK, WHITE) == pytest.approx(0.0001 / 1.0001)
    assert ssim(NOISE, NOISE) == pytest.approx(1.0)
    assert -1 < ssim(NOISE, 255 - NOISE) < 0


def test_self_similarity_is_the_cosine_of_each_pair() -> None:
    keys = torch.tensor([[3.0, 0.0], [0.0, 2.0], [1.0, 1.0]])
    half = 0.5**0.5
    torch.testing.assert_close(
        self_similarity(keys), torch.tensor([[1.0, 0.0, half], [0.0, 1.0, half], [half, half, 1.0]])
    )


@pytest.fixture(scope="module")
def structure() -> Structure:
    torch.manual_seed(0)
    small = ViTConfig(
        hidden_size=8, num_hidden_layers=12, num_attention_heads=2, intermediate_size=8, image_size=224, patch_size=32
    )
    return Structure(ViTModel(small, add_pooling_layer=False))


def test_structure_is_that_of_the_twelfth_layers_keys(structure: Structure) -> None:
    assert structure(NOISE, NOISE) == 0
    distance = structure(NOISE, 255 - NOISE)
    assert distance > 0
    assert distance == pytest.approx(structure(255 - NOISE, NOISE))
    names = [name for name, module in structure._model.named_modules() if module is structure._layer]
    assert names[0].split(".")[-3] == "11"


class Keys(nn.Module):
    """Twelve layers whose keys are known: of the last, two places that differ in a dark picture and agree in a bright
    one; of the others the same in all."""

    def __init__(self) -> None:
        super().__init__()
        layers = [nn.ModuleDict({"attention": nn.ModuleDict({"key": nn.Identity()})}) for _ in range(12)]
        self.layers = nn.ModuleList(layers)

    def forward(self, pixel_values: torch.Tensor, **_: object) -> None:
        second = [2.0, 0.0] if pixel_values.mean() > 0 else [0.0, 2.0]
        for number, layer in enumerate(self.layers):
            keys = torch.tensor([[[1.0, 0.0], second if number == 11 else [1.0, 1.0]]])
            layer.get_submodule("attention.key")(keys)


def test_structure_distance_of_known_keys() -> None:
    # Self-similarities [[1, 0], [0, 1]] and [[1, 1], [1, 1]]: half of the entries differ by one.
    distance = Structure(Keys())
    assert distance(BLACK, WHITE) == distance(WHITE, BLACK) == pytest.approx(0.5)
    assert distance(BLACK, BLACK) == distance(WHITE, WHITE) == 0


class Embeddings(nn.Module):
    """A model whose embeddings are known."""

    def __init__(self, image: list[float], text: list[float]) -> None:
        super().__init__()
        self.output = SimpleNamespace(image_embeds=torch.tensor([image]), text_embeds=torch.tensor([text]))

    def forward(self, **_: object) -> SimpleNamespace:
        return self.output


@pytest.mark.parametrize(
    ("image", "text", "score"),
    [([3.0, 4.0], [4.0, 3.0], 96.0), ([3.0, 0.0], [0.1, 0.0], 100.0), ([1.0, 0.0], [-1.0, 1.0], 0.0)],
)
def test_similarity_of_known_embeddings(image: list[float], text: list[float], score: float) -> None:
    similarity = TextSimilarity(Embeddings(image, text), lambda **_: {})
    assert similarity(WHITE, "a red room") == pytest.approx(score, rel=1e-5)


def test_picture_and_prompt_are_compared_by_their_embeddings() -> None:
    torch.manual_seed(0)
    shape = {"hidden_size": 8, "intermediate_size": 8, "num_hidden_layers": 1, "num_attention_heads": 2}
    text, vision = {"vocab_size": 20, "eos_token_id": 2}, {"image_size": 16, "patch_size": 8}
    config = CLIPConfig(text_config={**shape, **text}, vision_config={**shape, **vision}, projection_dim=4)
    model = CLIPModel(config).eval()

    def prepare(text: list[str], images: object, **_: object) -> dict[str, torch.Tensor]:
        ids = [[1, *(3 + len(word) % 10 for word in text[0].split()), 2]]
        pixels = torch.tensor(np.asarray(images), dtype=torch.float32).permute(2, 0, 1)[None] / 255
        return {"input_ids": torch.tensor(ids), "pixel_values": pixels}

    score = TextSimilarity(model, prepare)
    inputs = prepare(["a red room"], WHITE)
    with torch.no_grad():
        image = model.get_image_features(pixel_values=inputs["pixel_values"])
        words = model.get_text_features(input_ids=inputs["input_ids"])
    vectors = [each if isinstance(each, torch.Tensor) else each.pooler_output for each in (image, words)]
    cosine = float(torch.nn.functional.cosine_similarity(vectors[0], vectors[1]))
    assert score(WHITE, "a red room") == pytest.approx(max(0.0, 100 * cosine), rel=1e-4)
    assert score(WHITE, "a red room", np.zeros((16, 16), np.uint8)) == pytest.approx(score(BLACK, "a red room"))


@torch.no_grad()
def test_lpips_weighs_squared_differences_of_unit_activations(tmp_path: Path) -> None:
    torch.manual_seed(0)
    drawn = Lpips()
    weights = drawn.state_dict()
    for name in weights:
        if name.startswith("lin"):
            weights[name] = torch.ones_like(weights[name])
    parts = [{k: v for k, v in weights.items() if k.startswith(start)} for start in ("features.", "lin")]
    files = [tmp_path / "squeezenet1_1.pth", tmp_path / "squeeze.pth"]
    for part, file in zip(parts, files, strict=True):
        torch.save(part, file)
    lpips = Lpips.load(files)
    other = np.roll(NOISE, 9, axis=0)
    assert lpips.distance(NOISE, NOISE) == 0
    x, y = (lpips._activations(only(each, None)) for each in (NOISE, other))
    assert [each.shape[1] for each in x] == list(Lpips.WIDTHS)
    # With weights of one: 2 - 2 cos of the activations at each place.
    wanted = sum(
        float((2 - 2 * torch.nn.functional.cosine_similarity(a, b, dim=1)).mean()) for a, b in zip(x, y, strict=True)
    )
    assert lpips.distance(NOISE, other) == pytest.approx(wanted, rel=1e-4)


@torch.no_grad()
@pytest.mark.parametrize(("first", "second"), [(1.0, 1.0), (0.0, 1.0), (0.5, 0.0)])
def test_lpips_of_known_activations(first: float, second: float) -> None:
    """The first slice alone counts. Its first channel is 1 throughout, its second the red channel, others are 0."""
    lpips = Lpips()
    for parameter in lpips.parameters():
        parameter.zero_()
    lpips.get_parameter("features.0.bias")[0] = 1
    lpips.get_parameter("features.0.weight")[1, 0, 1, 1] = 1
    weight = lpips.get_parameter("lin0.model.1.weight")
    weight[0, 0], weight[0, 1] = first, second
    # Red as LPIPS sees it is (1 + 0.030) / 0.458 = r in white, below 0 and cut off in black: the unit vectors are
    # (1, r) / sqrt(1 + r^2) and (1, 0).
    red = 1.03 / 0.458
    length = (1 + red**2) ** 0.5
    wanted = first * (1 - 1 / length) ** 2 + second * (red / length) ** 2
    black, white = (each.repeat(4, 0).repeat(4, 1) for each in (BLACK, WHITE))
    assert lpips.distance(white, black) == pytest.approx(wanted, rel=1e-5)
    # In half of the picture: 16 of the 31 rows of places have their centre in the upper 32 of 64.
    assert lpips.distance(white, black, HALF.repeat(4, 0).repeat(4, 1)) == pytest.approx(wanted * 16 / 31, rel=1e-5)
