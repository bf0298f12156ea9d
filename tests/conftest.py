"""What holds for every test: Hypothesis's profiles, seeds, and one broker for all tests that need one."""

from __future__ import annotations

import os

import pytest
from hypothesis import HealthCheck, settings

from tests.broker.fixtures import broker, broker_address, module_broker, own_broker, proxy, secure_broker

__all__ = ["broker", "broker_address", "module_broker", "own_broker", "proxy", "secure_broker"]

# Deadlines are off: on a busy two-core machine they measure the neighbours, not the code.
settings.register_profile("dev", deadline=None, max_examples=100, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("ci", parent=settings.get_profile("dev"), print_blob=True, derandomize=True)
settings.register_profile("long", parent=settings.get_profile("dev"), max_examples=5_000)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "ci" if os.environ.get("CI") == "true" else "dev"))


SEEDS = 20


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("seeds", "tests that take a `seed`")
    group.addoption("--seeds", type=int, default=SEEDS, help=f"how many seeds each is run with (default {SEEDS})")
    group.addoption("--first-seed", type=int, default=0, help="the first; with --seeds 1, one that failed once more")


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """A test that takes a `seed` and gives none itself runs once for each; a failure's name ends in its seed."""
    given = [mark.args[0] for mark in metafunc.definition.iter_markers("parametrize")]
    if "seed" in metafunc.fixturenames and not any("seed" in str(names) for names in given):
        first = metafunc.config.getoption("--first-seed")
        seeds = range(first, first + metafunc.config.getoption("--seeds"))
        metafunc.parametrize("seed", seeds, ids=[f"seed-{seed}" for seed in seeds])


# Before xdist's own hook, which reads the groups.
@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Tests marked `broker` run in one xdist process, so that a run starts one broker, not one a process."""
    for item in items:
        if item.get_closest_marker("broker") and not item.get_closest_marker("xdist_group"):
            item.add_marker(pytest.mark.xdist_group("broker"))
