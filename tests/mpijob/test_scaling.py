import pytest

from components.mpijob.plan_scaling import Plan, main

# 1e6 images of 500 kB; 64 GPUs that train 20 images a second each; 100 Gbit/s = 12.5e9 B/s.
PLAN = Plan(1_000_000, 500e3, nodes=8, gpus=8, batch=4, speed=20, parameters=42.9e6, network=12.5e9)


def test_hand_worked_numbers():
    assert PLAN.steps == 3907  # 1e6 / 256 = 3906.25
    assert PLAN.compute_seconds == pytest.approx(0.2)
    # 2 * 7 / 8 * 171.6e6 B / 12.5e9 B/s = 24.024 ms, and 14 messages of 30 us.
    assert PLAN.exchange_seconds == pytest.approx(0.024024 + 0.00042)
    assert PLAN.efficiency == pytest.approx(0.2 / 0.224444)
    assert PLAN.images_a_second == pytest.approx(1140.6, abs=0.1)


def test_one_node_exchanges_nothing_over_the_network():
    alone = Plan(1000, 1.0, nodes=1, gpus=8, batch=4, speed=20, parameters=1e9, network=1.0)
    assert alone.efficiency == 1.0


def test_command_prints_the_plan(capsys):
    assert main(["--speed", "20"]) == 0
    assert "steps per epoch                 3907" in capsys.readouterr().out
