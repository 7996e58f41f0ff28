"""What the images are, and what building them again costs."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

import pytest

from tests.containers.conftest import Images

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]
TARGETS = ("service", "worker")


Run = Callable[[str, str], str]


@pytest.fixture(scope="module")
def python(images: Images) -> Iterator[Run]:
    """Runs a program in the image of a target, without a network."""

    def run(target: str, code: str) -> str:
        return images.engine.docker("run", "--rm", "--network=none", images.tags[target], "python", "-c", code).stdout

    with images.engine.running("own"):
        yield run


@pytest.mark.parametrize("target", TARGETS)
def test_a_change_of_the_source_installs_no_requirement_again(images: Images, target: str) -> None:
    said = images.again[target]
    (step,) = re.findall(r"^#(\d+) \[" + target + r" .*pip install .*--requirement", said, re.MULTILINE)
    assert re.search(rf"^#{step} CACHED$", said, re.MULTILINE)
    (wheel,) = re.findall(r"^#(\d+) \[" + target + r" .*pip install .*--no-deps", said, re.MULTILINE)
    assert not re.search(rf"^#{wheel} CACHED$", said, re.MULTILINE)


def test_the_front_ends_image_has_no_torch(python: Run) -> None:
    code = (
        "import importlib.util as u; print([n for n in ('torch', 'diffusers', 'fastapi', 'worker') if u.find_spec(n)])"
    )
    assert python("service", code) == "['fastapi', 'worker']\n"


def test_both_have_one_python_and_one_user(python: Run) -> None:
    code = "import os, sys; print(sys.version, os.getuid(), os.getgid())"
    said = {python(target, code) for target in TARGETS}
    assert len(said) == 1
    assert said.pop().split()[-2:] == ["10001", "10001"]


def test_the_workers_image_asks_for_the_driver_that_its_torch_needs(python: Run) -> None:
    code = "import os; print(os.environ['NVIDIA_REQUIRE_CUDA'], os.environ['NVIDIA_VISIBLE_DEVICES'])"
    assert python("worker", code) == "cuda>=13.0 all\n"
