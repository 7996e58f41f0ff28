from __future__ import annotations

import random
import statistics

import pytest

from benchmarks.scale.simulation import Scenario, arrivals, simulate


def test_one_worker_waits_as_queueing_theory_says() -> None:
    """Poisson arrivals, constant service: the Pollaczek-Khinchine formula, rho s / (2 (1 - rho))."""
    scenario = Scenario(workers=1, edit_s=[10.0], utilization=0.5, duration_s=2e6, queue_limit=10**9)
    outcome = simulate(scenario)
    assert statistics.mean(outcome.waits_s) == pytest.approx(5.0, rel=0.05)
    assert outcome.busy_s / scenario.duration_s == pytest.approx(0.5, rel=0.02)


def test_bursts_keep_the_mean_rate() -> None:
    scenario = Scenario(workers=10, edit_s=[10.0], burst_factor=5.0, duration_s=90_000)
    times = list(arrivals(scenario, random.Random(0)))
    assert len(times) / scenario.duration_s == pytest.approx(scenario.rate, rel=0.02)
    in_bursts = sum(time % scenario.burst_period_s < scenario.burst_s for time in times) / scenario.burst_s
    between = sum(time % scenario.burst_period_s >= scenario.burst_s for time in times)
    assert in_bursts / (between / (scenario.burst_period_s - scenario.burst_s)) == pytest.approx(5, rel=0.05)


def test_killed_workers_lose_no_edit() -> None:
    scenario = Scenario(workers=5, edit_s=[5.0, 15.0], kill_interval_s=120.0, restart_s=20.0, duration_s=20_000)
    outcome = simulate(scenario)
    assert outcome.killed > 100
    assert outcome.lost == 0
    assert outcome.succeeded + outcome.failed + outcome.refused == outcome.arrived
    # Whoever was killed in the middle waited for the lease at least.
    assert max(outcome.waits_s) > 10


def test_an_edit_longer_than_any_workers_life_fails_after_its_attempts() -> None:
    scenario = Scenario(
        workers=1, edit_s=[1000.0], utilization=0.1, kill_interval_s=1.0, restart_s=1.0, load_s=1.0, duration_s=200_000
    )
    outcome = simulate(scenario)
    # The last arrivals outlive the killing.
    assert outcome.failed > 0.9 * outcome.arrived
    assert outcome.lost == 0


def test_a_full_queue_refuses() -> None:
    outcome = simulate(Scenario(workers=1, edit_s=[10.0], utilization=3.0, queue_limit=5, duration_s=10_000))
    assert outcome.refused > outcome.arrived / 2
    assert outcome.longest_line <= 5
    assert outcome.lost == 0


def test_a_seed_reproduces_the_simulation() -> None:
    scenario = Scenario(workers=3, edit_s=[5.0, 7.0], burst_factor=5.0, kill_interval_s=600.0, duration_s=5_000)
    assert simulate(scenario, 7) == simulate(scenario, 7)
    assert simulate(scenario, 7) != simulate(scenario, 8)
