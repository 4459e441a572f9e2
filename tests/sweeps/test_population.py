from __future__ import annotations

import random

import pytest
import torch

import sweeprl
from sweeprl.config import load_config
from sweeprl.errors import ConfigError
from sweeprl.launcher import TrialFolder
from sweeprl.search_spaces import Choice, Float, Int, OneMinus, PowerOfTwo, SearchSpace
from sweeprl.sweeps import Sweep, SweepFolder, entries_of
from sweeprl.sweeps.entries import trained_to_the_end
from sweeprl.sweeps.exploring import explored
from tests.executors.conftest import curve, small_config
from tests.sweeps.faults import Victim

SPACE = SearchSpace(
    parameters={
        "actor_learning_rate": Float(1e-5, 1e-2, log=True),
        "discount": OneMinus(1e-3, 0.1),
        "batch_size": PowerOfTwo(4, 5),
    }
)
MEMBERS, GENERATIONS, ENV_STEPS = 5, 3, 384


def population(root, config=None, **settings):
    base = config or small_config("unused", "PPO", max_env_steps=ENV_STEPS)
    given = dict(executor="in-process", confirmation=0.3, sampler="pbt", generations=GENERATIONS)
    return Sweep(base, SPACE, MEMBERS, root_dir=root, **(given | settings))


def trials_of(root):
    """Entries of the search by member and generation."""
    entries = entries_of(SweepFolder(root).search().get_trials(deepcopy=False))
    known = [(e.trial.user_attrs["member"], e.generation) for e in entries]
    assert sorted(known) == [(m, g) for m in range(MEMBERS) for g in range(GENERATIONS)]
    return dict(zip(known, entries, strict=True))


def check_inheritance(root):
    """The worst of a generation goes on with the agent of the best, all others with their own."""
    trials = trials_of(root)
    for generation in range(1, GENERATIONS):
        before = [trials[member, generation - 1] for member in range(MEMBERS)]
        ranked = sorted(before, key=lambda e: (e.score, -e.number))
        for member in range(MEMBERS):
            entry, own = trials[member, generation], trials[member, generation - 1]
            parent = ranked[-1] if own is ranked[0] else own
            assert entry.trial.user_attrs["parent"] == parent.number
            steps = generation * ENV_STEPS // GENERATIONS
            if own is not ranked[0]:
                assert entry.params == own.params
                continue
            *earlier, change = entry.params["schedule"]
            assert earlier == parent.params.get("schedule", [])
            assert change["env_steps"] == steps
            assert set(change["settings"]) <= {"actor_learning_rate", "discount"}
            assert entry.params.get("batch_size") == parent.params.get("batch_size")
    return trials


@pytest.mark.parametrize("executor", ["in-process", "lanes"])
def test_the_worst_copy_the_best_and_the_budget_is_exact(executor, tmp_path):
    root = tmp_path / "sweep"
    result = population(root, executor=executor, num_lanes=MEMBERS).run()
    trials = check_inheritance(root)
    search = MEMBERS * ENV_STEPS
    assert sum(entry.env_steps for entry in trials.values()) == search
    assert result.env_steps == search + result.num_runs * ENV_STEPS
    last = [trials[member, GENERATIONS - 1] for member in range(MEMBERS)]
    assert {s.number for s in result.standings if not s.is_default} <= {e.number for e in last}
    assert trained_to_the_end(list(trials.values())) == sorted(last, key=lambda e: e.number)
    for (member, generation), entry in trials.items():
        folder = TrialFolder(SweepFolder(root).trials / f"{entry.number:04}")
        record, config = folder.load_record(), folder.load_config()
        assert record.env_steps == config.max_env_steps
        assert (record.status, record.seed) == ("finished", member)
        assert folder.last.exists() == (generation > 0)  # nobody needs what is older
        steps = [int(row["step"]) for row in curve(folder.root)]
        ends = [(g + 1) * ENV_STEPS // GENERATIONS for g in range(generation + 1)]
        assert steps == sorted(steps)
        assert set(ends) <= set(steps)  # the rows of its ancestors, then its own


def test_a_winner_can_be_trained_from_its_config(tmp_path):
    root = tmp_path / "sweep"
    population(root).run()
    changed = [e for e in trials_of(root).values() if "schedule" in e.params]
    config = load_config(SweepFolder(root).trials / f"{changed[-1].number:04}" / "config.json")
    again = config.model_copy(update=dict(root_dir=str(tmp_path / "again"), seed=7))
    assert sweeprl.launch(again, view="none").status == "finished"
    assert TrialFolder(tmp_path / "again").load_config().schedule == config.schedule


@pytest.mark.parametrize("kind, count", [("report", 6), ("trial_ended", MEMBERS + 1)])
def test_a_population_that_is_killed_goes_on(kind, count, tmp_path):
    """In its first generation, whose trials have no parents, and later."""
    root = tmp_path / "sweep"
    settings = dict(
        trials=MEMBERS,
        trial={"max_env_steps": 1200, "report_every_env_steps": 100},
        executor="lanes",
        num_lanes=MEMBERS,
        sampler="pbt",
        generations=GENERATIONS,
        confirmation=0.0,
    )
    first = Victim(root, **settings)
    first.wait_for(kind, count)
    first.kill(first.process.pid)
    first.end()
    second = Victim(root, **settings)
    assert second.end() == 0, second.errors
    trials = trials_of(root)
    assert sum(entry.env_steps for entry in trials.values()) == MEMBERS * 1200
    assert {entry.state for entry in trials.values()} == {"finished"}


@pytest.mark.parametrize(
    "settings, message",
    [
        (dict(trials=1), "at least 2, one for each agent, but got 1"),
        (dict(trials=None, env_steps=10**6), "one for each agent, but got None"),
        (dict(sampler="tpe"), "generations must be left out .* not 'pbt', but got .* and 'tpe'"),
        (dict(generations=1), "generations must be at least 2 .* but got 1"),
        (dict(pruner="asha"), "must have pruner 'auto', but got 'asha'"),
        (dict(seeds=3), "must have seeds 'auto', but got 3"),
        (dict(objectives=("score", "seconds")), "must have objectives"),
    ],
)
def test_what_a_population_cannot_do_is_refused(settings, message, tmp_path):
    base = small_config("unused", "PPO", max_env_steps=ENV_STEPS)
    given = dict(trials=MEMBERS, sampler="pbt", generations=GENERATIONS, root_dir=tmp_path / "s")
    with pytest.raises(ConfigError, match=message):
        Sweep(base, SPACE, **(given | settings))


def test_a_config_that_has_a_schedule_is_refused(tmp_path):
    change = [{"env_steps": 64, "settings": {"discount": 0.9}}]
    base = small_config("unused", "PPO", max_env_steps=ENV_STEPS, schedule=change)
    with pytest.raises(ConfigError, match="without a schedule, since it finds one, .* 1 changes"):
        population(tmp_path / "sweep", base)


def test_points_are_members_and_cost_nothing_more(tmp_path):
    point = dict(actor_learning_rate=1e-3, discount=0.95, batch_size=16)
    points = [point, {**point, "discount": 0.96}]
    needed = MEMBERS * ENV_STEPS
    population(tmp_path / "fits", env_steps=2 * needed, points=points)
    with pytest.raises(ConfigError, match=f"{MEMBERS} trials of up to {ENV_STEPS} env steps"):
        population(tmp_path / "sweep", env_steps=needed, points=points)
    with pytest.raises(ConfigError, match=f"{MEMBERS + 1} trials .*, but holds {MEMBERS}"):
        population(tmp_path / "sweep", points=[point] * MEMBERS)


def test_a_space_in_which_nothing_can_change_is_refused(tmp_path):
    space = SPACE.only("batch_size")
    base = small_config("unused", "PPO", max_env_steps=ENV_STEPS)
    with pytest.raises(ConfigError, match="finds none there. Those that can: .*discount"):
        Sweep(base, space, MEMBERS, sampler="pbt", root_dir=tmp_path)


def test_settings_are_changed_by_a_fifth_or_drawn_anew_and_stay_inside():
    space = SearchSpace(
        parameters={
            "learning_rate": Float(1e-4, 1e-2, log=True),
            "discount": OneMinus(1e-3, 0.1),
            "warmup_steps": Int(1, 8),
            "optimizer": Choice(("Adam", "SGD")),
        }
    )
    values = dict(learning_rate=1e-3, discount=0.9, warmup_steps=2, optimizer="Adam")
    rng = random.Random(0)
    found = [explored(space, values, rng) for _ in range(400)]
    rates = torch.tensor([one["learning_rate"] for one in found])
    for factor in (0.8, 1.2):
        share = torch.isclose(rates, torch.tensor(1e-3 * factor)).float().mean()
        assert 0.3 < share < 0.45  # half of three quarters
    assert rates.min() >= 1e-4
    assert rates.max() <= 1e-2
    discounts = {round(one["discount"], 6) for one in found}
    assert {0.92, 0.9} <= discounts  # 1 - 0.08, and 1 - 0.12 is beyond the range
    assert {one["warmup_steps"] for one in found} == set(range(1, 9))
    kept = [one["optimizer"] == "Adam" for one in found]
    assert 0.8 < sum(kept) / len(kept) < 0.95
