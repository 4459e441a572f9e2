import pytest
import torch
from torch import nn

from sweeprl.engine import LaneOptimizer, Stack
from sweeprl.errors import ConfigError

CLASSES = [
    "SGD", "Adam", "AdamW", "RMSprop", "Adagrad", "NAdam", "RAdam", "Adamax", "Adadelta",
]  # fmt: skip
SETTINGS = {
    "SGD": dict(momentum=0.9, nesterov=True, weight_decay=0.01),
    "AdamW": dict(weight_decay=0.1),
    "Adagrad": dict(lr_decay=0.1),
    "RMSprop": dict(momentum=0.5, centered=True),
}
RATES = [1e-3, 1e-2, 3e-2]


def lanes():
    modules = []
    for seed in range(len(RATES)):
        torch.manual_seed(seed)
        modules.append({"net": nn.Linear(3, 2)})
    return modules


def data(step):
    generator = torch.Generator().manual_seed(step)
    return torch.randn(len(RATES), 8, 3, generator=generator)


def separate(name, settings, gradient_max=None):
    results = []
    for lane, modules in enumerate(lanes()):
        net = modules["net"]
        optimizer = getattr(torch.optim, name)(net.parameters(), lr=RATES[lane], **settings)
        for step in range(12):
            optimizer.zero_grad()
            net(data(step)[lane]).square().sum().backward()
            if gradient_max:
                nn.utils.clip_grad_norm_(net.parameters(), gradient_max)
            optimizer.step()
        results.append(torch.cat([p.detach().reshape(-1) for p in net.parameters()]))
    return torch.stack(results)


def together(name, settings, gradient_max=float("inf"), scheduler=None, rates=RATES):
    stack = Stack(lanes(), ["net"], torch.device("cpu"))
    limits = torch.full((len(RATES),), gradient_max)
    optimizer = LaneOptimizer(
        stack, getattr(torch.optim, name), settings, [torch.tensor(rates)], limits, scheduler
    )
    for step in range(12):
        weight, bias = stack.parameters["net"]["weight"], stack.parameters["net"]["bias"]
        output = torch.einsum("lbi,loi->lbo", data(step), weight) + bias.unsqueeze(1)
        stack.differentiate(output.square().sum())
        optimizer.step()
        optimizer.step_schedule()
    return stack.flat


@pytest.mark.parametrize("name", CLASSES)
def test_one_optimizer_for_all_lanes_equals_one_for_each(name):
    settings = SETTINGS.get(name, {})
    torch.testing.assert_close(
        together(name, settings), separate(name, settings), atol=2e-6, rtol=1e-5
    )


class Eager(torch.optim.Optimizer):
    """Makes its state in the constructor, as torch's own Adagrad did before 2.13."""

    def __init__(self, params, lr):
        super().__init__(params, {"lr": lr})
        for parameter in self.param_groups[0]["params"]:
            self.state[parameter]["sum"] = torch.zeros_like(parameter)

    @torch.no_grad()
    def step(self):
        for group in self.param_groups:
            for parameter in group["params"]:
                total = self.state[parameter]["sum"]
                total += parameter.grad.square()
                parameter -= group["lr"] * parameter.grad / (total.sqrt() + 1e-10)


def test_state_that_is_made_in_the_constructor_is_kept_for_each_lane(monkeypatch):
    monkeypatch.setattr(torch.optim, "Eager", Eager, raising=False)
    torch.testing.assert_close(together("Eager", {}), separate("Eager", {}), atol=2e-6, rtol=1e-5)


def test_gradients_are_clipped_lane_by_lane():
    torch.testing.assert_close(
        together("SGD", {}, gradient_max=0.5), separate("SGD", {}, gradient_max=0.5)
    )


def test_schedule_moves_every_lanes_rate():
    schedule = lambda optimizer: torch.optim.lr_scheduler.StepLR(optimizer, 1, gamma=0.5)  # noqa: E731
    moved = together("SGD", {}, scheduler=schedule)
    for lane, modules in enumerate(lanes()):
        net = modules["net"]
        optimizer = torch.optim.SGD(net.parameters(), lr=RATES[lane])
        own = schedule(optimizer)
        for step in range(12):
            optimizer.zero_grad()
            net(data(step)[lane]).square().sum().backward()
            optimizer.step()
            own.step()
        flat = torch.cat([p.detach().reshape(-1) for p in net.parameters()])
        torch.testing.assert_close(moved[lane], flat, atol=1e-6, rtol=1e-5)


def test_each_role_of_a_stack_has_its_own_rate_and_its_own_clip():
    def build():
        torch.manual_seed(0)
        return {"a": nn.Linear(2, 2), "b": nn.Linear(2, 1)}

    modules, reference = build(), build()
    stack = Stack([modules], ["a", "b"], torch.device("cpu"))
    optimizer = LaneOptimizer(
        stack, torch.optim.SGD, {}, [torch.tensor([0.1]), torch.tensor([0.5])], torch.tensor([0.3])
    )
    x = torch.randn(16, 2, generator=torch.Generator().manual_seed(1))

    def loss(nets):
        return nets["a"](x).square().sum() + nets["b"](x).square().sum()

    stack.differentiate(loss(modules))
    optimizer.step()
    loss(reference).backward()
    for role, rate in (("a", 0.1), ("b", 0.5)):
        nn.utils.clip_grad_norm_(reference[role].parameters(), 0.3)
        for mine, other in zip(
            modules[role].parameters(), reference[role].parameters(), strict=True
        ):
            torch.testing.assert_close(mine.detach(), other.detach() - rate * other.grad)


class SignOfTheSum(torch.optim.Optimizer):
    """Not element-wise: every element's step depends on all of them."""

    def __init__(self, params, lr):
        super().__init__(params, {"lr": lr})

    @torch.no_grad()
    def step(self, closure=None):
        for group in self.param_groups:
            for p in group["params"]:
                p.sub_(group["lr"] * p.grad.sum().expand_as(p))


class SquaredRate(torch.optim.Optimizer):
    """Its step is not proportional to the learning rate."""

    def __init__(self, params, lr):
        super().__init__(params, {"lr": lr})

    @torch.no_grad()
    def step(self, closure=None):
        for group in self.param_groups:
            for p in group["params"]:
                p.sub_(group["lr"] ** 2 * p.grad)


@pytest.mark.parametrize("optimizer_class", [torch.optim.LBFGS, SignOfTheSum, SquaredRate])
def test_optimizers_that_lanes_cannot_share_are_refused(optimizer_class):
    stack = Stack(lanes(), ["net"], torch.device("cpu"))
    limits = torch.full((len(RATES),), float("inf"))
    with pytest.raises(ConfigError, match=f"{optimizer_class.__name__} must be"):
        LaneOptimizer(stack, optimizer_class, {}, [torch.tensor(RATES)], limits)


STACKED = ["Adam", "AdamW", "SGD", "RMSprop", "NAdam", "Adagrad", "Adadelta", "Adamax", "RAdam"]


def of_lanes(name, gradient_max=float("inf")):
    stack = Stack(lanes(), ["net"], torch.device("cpu"))
    limits = torch.full((len(RATES),), gradient_max)
    optimizer_class = getattr(torch.optim, name)
    rates = [torch.tensor(RATES)]
    return stack, LaneOptimizer(stack, optimizer_class, SETTINGS.get(name, {}), rates, limits)


def descend(stack, step, kept=(0, 1, 2)):
    weight, bias = stack.parameters["net"]["weight"], stack.parameters["net"]["bias"]
    inputs = data(step)[list(kept)]
    output = torch.einsum("lbi,loi->lbo", inputs, weight.view(-1, 2, 3))
    stack.differentiate((output + bias.view(-1, 1, 2)).square().sum())


def alone(name, row, rate, steps, lane):
    """A fresh torch optimizer on what a lane sees in some steps."""
    net = nn.Linear(3, 2)
    nn.utils.vector_to_parameters(row, net.parameters())
    optimizer = getattr(torch.optim, name)(net.parameters(), lr=rate, **SETTINGS.get(name, {}))
    for step in steps:
        optimizer.zero_grad()
        net(data(step)[lane]).square().sum().backward()
        optimizer.step()
    return nn.utils.parameters_to_vector(net.parameters()).detach()


@pytest.mark.parametrize("name", STACKED)
def test_a_lane_placed_late_goes_where_a_fresh_optimizer_goes(name):
    stack, optimizer = of_lanes(name)
    fresh = {"net": nn.Linear(3, 2)}
    for step in range(12):
        if step == 5:
            stack.place(1, fresh)
            optimizer.place(1, [0.02], float("inf"))
        descend(stack, step)
        optimizer.step(None, is_in_step=step < 5)
    row = nn.utils.parameters_to_vector(fresh["net"].parameters()).detach()
    late = alone(name, row, 0.02, range(5, 12), 1)
    torch.testing.assert_close(stack.flat[1], late, atol=2e-6, rtol=1e-5)
    expected = separate(name, SETTINGS.get(name, {}))
    torch.testing.assert_close(stack.flat[[0, 2]], expected[[0, 2]], atol=2e-6, rtol=1e-5)


@pytest.mark.parametrize("name", STACKED)
def test_a_masked_lane_is_frozen_to_the_bit_and_counts_no_step(name):
    stack, optimizer = of_lanes(name)
    start = stack.flat[1].clone()
    for step in range(12):
        descend(stack, step)
        before, state = stack.flat[1].clone(), optimizer.state_dict(1)
        active = torch.tensor([[True], [step >= 4], [True]])
        optimizer.step(None if step >= 4 else active, is_in_step=False)
        if step < 4:
            assert torch.equal(stack.flat[1], before)
            after = optimizer.state_dict(1)["moments"]
            assert all(torch.equal(after[k], v) for k, v in state["moments"].items())
    late = alone(name, start, RATES[1], range(4, 12), 1)
    torch.testing.assert_close(stack.flat[1], late, atol=2e-6, rtol=1e-5)


@pytest.mark.parametrize("name", STACKED)
@pytest.mark.parametrize("kept", [[2, 1], [1]])
def test_lanes_that_are_kept_go_on(name, kept):
    stack, optimizer = of_lanes(name)
    for step in range(12):
        if step == 6:
            stack.keep(kept)
            optimizer.keep(kept)
        descend(stack, step, range(len(RATES)) if step < 6 else kept)
        optimizer.step(None, is_in_step=True)
    expected = separate(name, SETTINGS.get(name, {}))[kept]
    torch.testing.assert_close(stack.flat, expected, atol=2e-6, rtol=1e-5)


@pytest.mark.parametrize("name", ["Adam", "SGD"])
def test_a_lanes_optimizer_goes_on_in_another_lane(name):
    stack, optimizer = of_lanes(name)
    other_stack, other = of_lanes(name)
    for step in range(12):
        descend(stack, step)
        optimizer.step(None, is_in_step=True)
        if step == 5:
            other_stack.flat.copy_(stack.flat[[1, 0, 2]])
            for lane, source in enumerate([1, 0, 2]):
                other.place(lane, [RATES[source]], float("inf"))
                other.load_state_dict(optimizer.state_dict(source), lane)
    assert other.state_dict(0)["moments"].keys() == optimizer.state_dict(1)["moments"].keys()
    for step in range(6, 12):
        descend(other_stack, step, [1, 0, 2])
        other.step(None, is_in_step=True)
    torch.testing.assert_close(other_stack.flat[[1, 0, 2]], stack.flat, atol=2e-6, rtol=1e-5)
