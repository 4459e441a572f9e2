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
