import random

from magedit.demo.captions import MAX_WORDS, Style, caption_scene
from magedit.demo.scene import Scene, Thing, sample_scene


def test_captions_fit_and_say_what_is_there() -> None:
    rng = random.Random(0)
    sides = 0
    for _ in range(400):
        scene = sample_scene(rng)
        caption = caption_scene(scene, rng)
        assert len(caption.words) <= MAX_WORDS
        for mention in caption.mentions:
            said = caption.words[mention.start : mention.end + 1]
            assert mention.start <= mention.noun <= mention.end
            assert {mention.colour, mention.pattern, mention.side} - {None} <= set(said)
            for index in mention.things:
                thing = scene.things[index]
                assert thing.kind == mention.kind
                assert mention.colour in (None, thing.colour)
                assert mention.side in (None, thing.side)
            if mention.negated:
                assert all(thing.kind != mention.kind for thing in scene.things)
        sides += any(side in caption.words[:-1] for side in ("left", "right"))
    assert sides > 200  # left and right are learnt from captions that say them


def test_captions_differ_and_repeat_with_their_seed() -> None:
    scene = sample_scene(random.Random(3))
    texts = {caption_scene(scene, random.Random(seed)).text for seed in range(20)}
    assert len(texts) > 10
    assert caption_scene(scene, random.Random(5)) == caption_scene(scene, random.Random(5))


def test_two_like_pillows_are_told_in_the_plural() -> None:
    things = (
        Thing(kind="sofa", x=64, y=72, colour="blue"),
        Thing(kind="pillow", x=48, y=72, side="left", colour="orange"),
        Thing(kind="pillow", x=80, y=72, side="right", colour="orange"),
    )
    style = Style(pair=1.0, omission=0.0, negation=0.0, synonym=0.0, colour=1.0, shuffle=0.0, plain=0.0)
    caption = caption_scene(Scene(wall="mint", floor="brown", things=things), random.Random(0), style)
    assert "two orange pillows" in caption.text
    assert caption.mentions[-1].things == (1, 2)
