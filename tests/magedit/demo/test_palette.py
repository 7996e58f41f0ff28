from magedit.demo.palette import COLOURS, accent, mix


def test_mix_goes_from_one_colour_to_the_other() -> None:
    assert mix((0, 10, 20), (100, 110, 120), 0.0) == (0, 10, 20)
    assert mix((0, 10, 20), (100, 110, 120), 1.0) == (100, 110, 120)


def test_accents_stand_out() -> None:
    for colour, paint in COLOURS.items():
        assert sum(abs(a - b) for a, b in zip(paint, accent(colour), strict=True)) > 60, colour
