import random

from magedit.demo.captions import MAX_WORDS, VERBS, Style, caption_scene, tell_scene, varied_caption
from magedit.demo.scene import Scene, Thing, sample_scene, sample_varied_scene


def test_captions_fit_and_are_true() -> None:
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


def test_two_like_pillows_are_in_the_plural() -> None:
    things = (
        Thing(kind="sofa", x=64, y=72, colour="blue"),
        Thing(kind="pillow", x=48, y=72, side="left", colour="orange"),
        Thing(kind="pillow", x=80, y=72, side="right", colour="orange"),
    )
    style = Style(pair=1.0, omission=0.0, negation=0.0, synonym=0.0, colour=1.0, shuffle=0.0, plain=0.0)
    caption = caption_scene(Scene(wall="mint", floor="brown", things=things), random.Random(0), style)
    assert "two orange pillows" in caption.text
    assert caption.mentions[-1].things == (1, 2)


def test_sentences_have_verbs_and_are_true() -> None:
    rng = random.Random(0)
    verbs = {verb for verbs in VERBS.values() for verb in verbs} | {"is", "are", "hang", "lie", "rest"}
    for _ in range(300):
        scene = sample_varied_scene(rng)
        caption = tell_scene(scene, rng)
        assert len(caption.words) <= MAX_WORDS
        assert verbs & set(caption.words), caption.text
        for mention in caption.mentions:
            said = caption.words[mention.start : mention.end + 1]
            assert mention.side is None or mention.side in said, caption.text
            for index in mention.things:
                thing = scene.things[index]
                assert (thing.kind, mention.colour or thing.colour) == (mention.kind, thing.colour)
                assert mention.side in (None, thing.side)


def test_a_caption_places_a_thing_where_it_is() -> None:
    things = (
        Thing(kind="picture", x=64, y=24, colour="red"),
        Thing(kind="clock", x=104, y=24, side="right", colour="blue"),
        Thing(kind="sofa", x=44, y=72, side="left", colour="green"),
    )
    scene = Scene(wall="mint", floor="brown", things=things)
    texts = [tell_scene(scene, random.Random(seed), Style(side=0.3, omission=0.0)).text for seed in range(200)]
    assert any("picture hangs above the sofa" in text for text in texts)
    assert any("sofa stands on the left" in text for text in texts)
    assert not any("clock hangs above the sofa" in text for text in texts)


def test_some_captions_tell_of_few_things() -> None:
    rng = random.Random(1)
    told = [len(varied_caption(sample_scene(rng), rng).mentions) for _ in range(200)]
    assert 20 < sum(number <= 3 for number in told) < 160
