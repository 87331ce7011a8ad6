"""The workloads of `segc bench` in PyTorch, as a peer to measure against: the same networks, losses and optimisers, ordinary code.

    python twins.py WORKLOAD [--steps 16] [--warm 8] [--threads 2] [--compile] [--count]

    W1  IEM, 32 images of 128 x 128, one round          (specs/iem.seg, the constants of +paper)
    W2  PerturbGAN as it is, 32 x 32, batch 16          (specs/perturbgan.seg)
    W3  PerturbGAN's published nets, 64 x 64, batch 4   (specs/perturbgan.seg +paper, while 64 pixels fade in)
    W4  ReDO's published nets, 128 x 128, batch 2       (specs/redo.seg +flowers)
    W6  a U-Net segmenter, 64 x 64, batch 16            (benches/unet.seg)
    W7  convolutions with both gradients, twenty shapes
    W8  element-wise chains, norms and Adam's arithmetic

Everything is f32 on the processor; images are random and lie in memory. W1 to W6 time `--steps` steps after `--warm` others; W7 and W8
time each case at least three times and for 0.3 s, and their `ms` is the sum over the cases.

Prints one line of JSON: workload, torch, compiled, ms (mean of a step), cases, mb (peak resident memory), first_ms (from the beginning
of building to the end of the first step). Where torch.compile fails there is `error` instead of the numbers. With `--count` it prints
how many parameters each model has, and measures nothing.
"""

import argparse
import functools
import json
import random
import resource
import time

import torch
import torch.nn.functional as F
from torch import nn

BATCHES = 4  # made once, used in turn


def random_images(batch, side):
    return [torch.rand(batch, 3, side, side) * 2 - 1 for _ in range(BATCHES)]


def doublings(first, last):
    sides = [first]
    while sides[-1] < last:
        sides.append(2 * sides[-1])
    return sides


def lrelu(x):
    return F.leaky_relu(x, 0.2)


def grow(x):
    return F.interpolate(x, scale_factor=2, mode="nearest")


def pixel_norm(x):
    return x * torch.rsqrt(x.square().mean(dim=1, keepdim=True) + 1e-8)


def update(optimiser, loss):
    """One step by the optimiser's own parameters; nothing else gets a gradient, images of a penalty included."""
    optimiser.zero_grad(set_to_none=True)
    loss.backward(inputs=[weight for group in optimiser.param_groups for weight in group["params"]])
    optimiser.step()


# ---- W1: IEM

SIGMA, TAPS, PASSES, LAMBDA = 5.0, 11, 2, 1e-3


class Iem:
    """The loop of `iem.py`, one round after the other on the same images."""

    networks = {}

    def __init__(self, wrap, side=128, batch=32, square=78):
        offsets = torch.arange(TAPS, dtype=torch.float32) - TAPS // 2
        taps = torch.exp(-offsets.square() / (2 * SIGMA * SIGMA))
        taps = (taps / taps.sum()).repeat(4, 1)
        self.kernels = taps.view(4, 1, TAPS, 1), taps.view(4, 1, 1, TAPS)
        self.image = random_images(batch, side)[0]
        self.mask = torch.zeros(batch, 1, side, side)
        near = (side - square) // 2
        self.mask[:, :, near : near + square, near : near + square] = 1
        self.objective = wrap(self.objective)
        self.moved = wrap(self.moved)

    def inpaint(self, visible):
        """Colours guessed from where `visible` is one; far from there, their mean colour."""
        stack = torch.cat([self.image * visible, visible], dim=1)
        floor = 1e-8 * stack.sum(dim=(2, 3), keepdim=True)
        for _ in range(PASSES):
            for kernel in self.kernels:
                stack = F.conv2d(stack, kernel, padding=(kernel.shape[2] // 2, kernel.shape[3] // 2), groups=4)
        stack = stack + floor
        return stack[:, :3] / stack[:, 3:]

    def surprise(self, region):
        """How badly a region is guessed from its complement, per image."""
        error = (self.image - self.inpaint(1 - region)).abs().mean(dim=1, keepdim=True)
        return (region * error).sum(dim=(1, 2, 3)) / region.sum(dim=(1, 2, 3))

    def deviation(self, region):
        """Squared distance of a region's colours to their mean, summed, per image."""
        mean = (region * self.image).sum(dim=(2, 3), keepdim=True) / region.sum(dim=(2, 3), keepdim=True)
        return (region * (self.image - mean).square()).sum(dim=(1, 2, 3))

    def objective(self, mask):
        rest = 1 - mask
        gain = self.surprise(mask) + self.surprise(rest)
        cost = self.deviation(mask) + self.deviation(rest)
        return (gain - LAMBDA * cost).sum()

    @staticmethod
    def edge(inside):
        padded = F.pad(inside, (1, 1, 1, 1))
        around = padded[:, :, :-2, 1:-1] + padded[:, :, 2:, 1:-1] + padded[:, :, 1:-1, :-2] + padded[:, :, 1:-1, 2:]
        return (4 * inside - around) >= 0.5

    def moved(self, mask, uphill):
        """The sign of the gradient on the boundary, then the majority among nine pixels."""
        free = (self.edge(mask) | self.edge(1 - mask)) & (uphill != 0)
        mask = torch.where(free, (uphill > 0).float(), mask)
        return (F.avg_pool2d(mask, 3, stride=1, padding=1) * 9 >= 3.5).float()

    def step(self, index):
        mask = self.mask.requires_grad_(True)
        (uphill,) = torch.autograd.grad(self.objective(mask), mask)
        with torch.no_grad():
            self.mask = self.moved(mask.detach(), uphill)


# ---- W2: PerturbGAN's compact networks


def compact_width(side):
    return min(96, 512 // side)


def he(layer, gain=1.0):
    """He et al. 2015 for a leaky ReLU of slope 0.2, times `gain`; no bias at first."""
    fan = layer.weight[0].numel()
    nn.init.normal_(layer.weight, std=gain * (2 / (1.04 * fan)) ** 0.5)
    if layer.bias is not None:
        nn.init.zeros_(layer.bias)
    return layer


class CompactStyleBlock(nn.Module):
    def __init__(self, channels, out, latent, first):
        super().__init__()
        self.first = first
        self.conv = he(nn.Conv2d(channels, out, 3, padding=1))
        self.gain = he(nn.Linear(latent, out), 0.3)
        self.shift = he(nn.Linear(latent, out), 0.3)

    def forward(self, x, style):
        y = pixel_norm(lrelu(self.conv(x if self.first else grow(x))))
        return y * (1 + self.gain(style)[:, :, None, None]) + self.shift(style)[:, :, None, None]


class CompactGenerator(nn.Module):
    """One style for all resolutions, since no styles are mixed."""

    def __init__(self, channels, top, latent=64):
        super().__init__()
        self.mapping = nn.ModuleList(he(nn.Linear(latent, latent)) for _ in range(2))
        self.stem = he(nn.Linear(latent, compact_width(4) * 16))
        self.blocks = nn.ModuleList(
            CompactStyleBlock(compact_width(max(4, side // 2)), compact_width(side), latent, side == 4) for side in doublings(4, top)
        )
        self.painter = he(nn.Conv2d(compact_width(top), channels, 3, padding=1), 0.3)

    def forward(self, z):
        style = pixel_norm(z)
        for layer in self.mapping:
            style = lrelu(layer(style))
        h = self.stem(style).view(len(z), -1, 4, 4)
        for block in self.blocks:
            h = block(h, style)
        return self.painter(h)


class CompactCriticBlock(nn.Module):
    def __init__(self, channels, out):
        super().__init__()
        self.conv_1 = he(nn.Conv2d(channels, channels, 3, padding=1))
        self.conv_2 = he(nn.Conv2d(channels, out, 3, padding=1))
        self.around = he(nn.Conv2d(channels, out, 1, bias=False))

    def forward(self, x):
        y = F.avg_pool2d(self.conv_2(lrelu(self.conv_1(lrelu(x)))), 2)
        return (y + self.around(F.avg_pool2d(x, 2))) * 0.5**0.5


def batch_deviation(x, group):
    """How much groups of samples vary, one number per sample, as a further channel."""
    n, _, height, width = x.shape
    groups = x.view(group, n // group, *x.shape[1:])
    deviation = (groups.var(dim=0, unbiased=False) + 1e-8).sqrt().mean(dim=(1, 2, 3))
    return torch.cat([x, deviation.repeat(group).view(n, 1, 1, 1).expand(n, 1, height, width)], dim=1)


class CompactCritic(nn.Module):
    def __init__(self, top):
        super().__init__()
        self.input = he(nn.Conv2d(3, compact_width(top), 3, padding=1))
        sides = reversed(doublings(8, top))
        self.blocks = nn.Sequential(*(CompactCriticBlock(compact_width(side), compact_width(side // 2)) for side in sides))
        self.last = he(nn.Conv2d(compact_width(4) + 1, compact_width(4), 3, padding=1))
        self.score = he(nn.Linear(compact_width(4) * 16, 1))

    def forward(self, x):
        h = self.blocks(self.input(x))
        h = lrelu(self.last(lrelu(batch_deviation(h, group=min(8, len(h))))))
        return self.score(h.flatten(1))[:, 0]


# ---- W3: StyleGAN's networks as PerturbGAN has them


def style_width(side):
    return min(512, 16384 // side)


class EqualDense(nn.Module):
    """Weights of deviation one that are multiplied when used."""

    def __init__(self, features, out, start=0.0):
        super().__init__()
        self.weight = nn.Parameter(torch.randn(out, features))
        self.bias = nn.Parameter(torch.full((out,), start))
        self.scale = (2 / features) ** 0.5

    def forward(self, x):
        return F.linear(x, self.weight * self.scale, self.bias)


class EqualConv(nn.Module):
    def __init__(self, channels, out, kernel=3, padding=None):
        super().__init__()
        self.weight = nn.Parameter(torch.randn(out, channels, kernel, kernel))
        self.bias = nn.Parameter(torch.zeros(out))
        self.scale = (2 / (channels * kernel**2)) ** 0.5
        self.padding = kernel // 2 if padding is None else padding

    def forward(self, x):
        return F.conv2d(x, self.weight * self.scale, self.bias, padding=self.padding)


class Blur(nn.Module):
    def __init__(self, channels):
        super().__init__()
        taps = torch.tensor([1.0, 2.0, 1.0])
        self.register_buffer("kernel", (taps[:, None] * taps / 16).repeat(channels, 1, 1, 1))

    def forward(self, x):
        return F.conv2d(x, self.kernel, padding=1, groups=x.shape[1])


class Noise(nn.Module):
    def __init__(self, channels):
        super().__init__()
        self.gain = nn.Parameter(torch.zeros(channels))
        self.scale = (2 / channels) ** 0.5

    def forward(self, x, noise):
        return x + (self.gain * self.scale)[:, None, None] * noise


class AdaIn(nn.Module):
    def __init__(self, channels, latent):
        super().__init__()
        self.gain = EqualDense(latent, channels, start=1.0)
        self.shift = EqualDense(latent, channels)

    def forward(self, x, style):
        return self.gain(style)[:, :, None, None] * F.instance_norm(x, eps=1e-5) + self.shift(style)[:, :, None, None]


class StyleBlock(nn.Module):
    """One map of noise for both convolutions; the first block begins with a constant."""

    def __init__(self, channels, out, latent, first):
        super().__init__()
        self.conv_1 = None if first else EqualConv(channels, out)
        self.blur = None if first else Blur(out)
        self.conv_2 = EqualConv(out, out)
        self.noise_1, self.noise_2 = Noise(out), Noise(out)
        self.adain_1, self.adain_2 = AdaIn(out, latent), AdaIn(out, latent)

    def forward(self, x, style):
        if self.conv_1 is not None:
            x = self.blur(self.conv_1(grow(x)))
        noise = torch.randn(len(x), 1, *x.shape[2:])
        x = self.adain_1(lrelu(self.noise_1(x, noise)), style)
        return self.adain_2(lrelu(self.noise_2(self.conv_2(x), noise)), style)


class StyleGenerator(nn.Module):
    """While `top` fades in, the painter of half the side is there too."""

    def __init__(self, channels, top, latent=512):
        super().__init__()
        self.mapping = nn.ModuleList(EqualDense(latent, latent) for _ in range(8))
        self.start = nn.Parameter(torch.randn(style_width(4), 4, 4))
        self.blocks = nn.ModuleList(
            StyleBlock(style_width(max(4, side // 2)), style_width(side), latent, side == 4) for side in doublings(4, top)
        )
        self.old_painter = EqualConv(style_width(top // 2), channels, kernel=1)
        self.painter = EqualConv(style_width(top), channels, kernel=1)

    def style(self, z):
        h = pixel_norm(z)
        for layer in self.mapping:
            h = lrelu(layer(h))
        return h

    def forward(self, z, second, fade):
        first_style, second_style = self.style(z), self.style(second)
        cut = torch.randint(0, len(self.blocks) - 1, ())
        h = self.start.expand(len(z), -1, -1, -1)
        for level, block in enumerate(self.blocks):
            before = h
            h = block(h, torch.where(level <= cut, first_style, second_style))
        return torch.lerp(grow(self.old_painter(before)), self.painter(h), fade)


class StyleCriticBlock(nn.Module):
    def __init__(self, channels, out):
        super().__init__()
        self.conv_1 = EqualConv(channels, out)
        self.blur = Blur(out)
        self.conv_2 = EqualConv(out, out)

    def forward(self, x):
        return lrelu(F.avg_pool2d(self.conv_2(self.blur(lrelu(self.conv_1(x)))), 2))


class StyleCritic(nn.Module):
    def __init__(self, top):
        super().__init__()
        self.input = EqualConv(3, style_width(top), kernel=1)
        self.old_input = EqualConv(3, style_width(top // 2), kernel=1)
        first, *others = (StyleCriticBlock(style_width(side), style_width(side // 2)) for side in reversed(doublings(8, top)))
        self.first, self.others = first, nn.Sequential(*others)
        self.last_1 = EqualConv(style_width(4) + 1, style_width(4))
        self.last_2 = EqualConv(style_width(4), style_width(4), kernel=4, padding=0)
        self.score = EqualDense(style_width(4), 1)

    def forward(self, x, fade):
        new = self.first(lrelu(self.input(x)))
        old = lrelu(self.old_input(F.avg_pool2d(x, 2)))
        h = self.others(torch.lerp(old, new, fade))
        h = lrelu(self.last_2(lrelu(self.last_1(batch_deviation(h, group=len(h))))))
        return self.score(h.flatten(1))[:, 0]


# ---- W2 and W3: PerturbGAN


def shifted(x, right, down, reach):
    """Every sample moved by whole pixels of its own, at most `reach`; zeros come in."""
    n, channels, height, width = x.shape
    rows = torch.arange(height) - down[:, None] + reach
    columns = torch.arange(width) - right[:, None] + reach
    places = rows[:, :, None] * (width + 2 * reach) + columns[:, None, :]
    padded = F.pad(x, (reach, reach, reach, reach)).flatten(2)
    return padded.gather(2, places.view(n, 1, -1).expand(-1, channels, -1)).view_as(x)


class PerturbGan:
    least_area = 0.15

    def __init__(self, wrap, actor, backdrop, critic, side, batch, latent):
        self.actor, self.backdrop, self.critic = actor, backdrop, critic
        self.networks = {"actor": actor, "backdrop": backdrop, "critic": critic}
        self.side, self.batch, self.latent, self.reach = side, batch, latent, side // 8
        self.images = random_images(batch, side)
        mapping = [weight for net in (actor, backdrop) for weight in net.mapping.parameters()]
        slow = {id(weight) for weight in mapping}
        self.weights = [*actor.parameters(), *backdrop.parameters()]
        groups = [{"params": [weight for weight in self.weights if id(weight) not in slow]}, {"params": mapping, "lr": 1e-5}]
        self.generator_adam = torch.optim.Adam(groups, lr=1e-3, betas=(0, 0.99))
        self.critic_adam = torch.optim.Adam(critic.parameters(), lr=1e-3, betas=(0, 0.99))
        self.averages = [weight.detach().clone() for weight in self.weights]
        self.paint = wrap(self.fake)
        self.generator_loss = wrap(self.generator_loss)
        self.adversary = wrap(self.adversary)

    def draws(self):
        right, down = ((torch.rand(2, self.batch) * 2 - 1) * self.reach).round().long()
        return (*self.latents(), right, down)

    def fake(self, *draws):
        *latents, right, down = draws
        back, front, mask = self.layers(*latents)
        layer = shifted(torch.cat([front, mask], dim=1), right, down, self.reach)
        front, mask = layer[:, :3], layer[:, 3:]
        return torch.lerp(back, front, mask), mask

    def generator_loss(self, *draws):
        fake, mask = self.fake(*draws)
        small = F.relu(self.least_area - mask.mean(dim=(1, 2, 3))).mean()
        undecided = torch.minimum(mask, 1 - mask).mean()
        return self.fooled(fake) + 2 * small + 2 * undecided

    def step(self, index):
        with torch.no_grad():
            fake, _ = self.paint(*self.draws())
        self.critic.requires_grad_(True)
        self.train_critic(index, fake)
        self.critic.requires_grad_(False)
        update(self.generator_adam, self.generator_loss(*self.draws()))
        decay = min(0.999, (index + 1) / (index + 10))
        with torch.no_grad():
            torch._foreach_lerp_(self.averages, self.weights, 1 - decay)


class Compact(PerturbGan):
    """A latent of its own for each layer, softplus losses, R1 in every eighth step."""

    def __init__(self, wrap, side=32, batch=16, latent=64):
        actor, backdrop = CompactGenerator(4, side, latent), CompactGenerator(3, side, latent)
        super().__init__(wrap, actor, backdrop, CompactCritic(side), side, batch, latent)

    def latents(self):
        return torch.randn(self.batch, self.latent), torch.randn(self.batch, self.latent)

    def layers(self, z, z_back):
        painted = self.actor(z)
        return torch.tanh(self.backdrop(z_back)), torch.tanh(painted[:, :3]), torch.sigmoid(painted[:, 3:])

    def fooled(self, fake):
        return F.softplus(-self.critic(fake)).mean()

    def adversary(self, real, fake):
        return F.softplus(-self.critic(real)).mean() + F.softplus(self.critic(fake)).mean()

    def roughness(self, real):
        """Eager always: torch.compile has no second derivatives."""
        real = real.detach().requires_grad_()
        (slope,) = torch.autograd.grad(self.critic(real).sum(), real, create_graph=True)
        return 8 * 0.25 * slope.square().sum(dim=(1, 2, 3)).mean()

    def train_critic(self, index, fake):
        update(self.critic_adam, self.adversary(self.images[index % BATCHES], fake))
        if index % 8 == 0:
            update(self.critic_adam, self.roughness(self.images[(index + 1) % BATCHES]))


class Published(PerturbGan):
    """One latent for both layers, mixed styles, Wasserstein losses with gradient penalty, half faded in."""

    least_area = 0.25
    fade = 0.5

    def __init__(self, wrap, side=64, batch=4, latent=512):
        actor, backdrop = StyleGenerator(4, side, latent), StyleGenerator(3, side, latent)
        super().__init__(wrap, actor, backdrop, StyleCritic(side), side, batch, latent)

    def latents(self):
        z, mate = torch.randn(2, self.batch, self.latent)
        return z, mate if random.random() < 0.9 else z

    def layers(self, z, second):
        painted = self.actor(z, second, self.fade)
        return self.backdrop(z, second, self.fade), painted[:, :3], torch.sigmoid(painted[:, 3:])

    def fooled(self, fake):
        return -self.critic(fake, self.fade).mean()

    def adversary(self, real, fake):
        on_real = self.critic(real, self.fade)
        return self.critic(fake, self.fade).mean() - on_real.mean() + 1e-3 * on_real.square().mean()

    def penalty(self, real, fake):
        """Eager always: torch.compile has no second derivatives."""
        mixed = torch.lerp(fake, real, torch.rand(self.batch, 1, 1, 1)).requires_grad_()
        (slope,) = torch.autograd.grad(self.critic(mixed, self.fade).sum(), mixed, create_graph=True)
        return 10 * (slope.flatten(1).norm(dim=1) - 1).square().mean()

    def train_critic(self, index, fake):
        real = self.images[index % BATCHES]
        update(self.critic_adam, self.adversary(real, fake) + self.penalty(real, fake))


# ---- W4: ReDO


class SpectralConv(nn.Conv2d):
    """The weight divided by its largest singular value, found by one power step per call, v first."""

    def __init__(self, channels, out, kernel=3, bias=True):
        super().__init__(channels, out, kernel, padding=kernel // 2, bias=bias)
        self.register_buffer("u", F.normalize(torch.randn(out), dim=0))
        self.register_buffer("v", F.normalize(torch.randn(channels * kernel**2), dim=0))

    def forward(self, x):
        matrix = self.weight.flatten(1)
        with torch.no_grad():
            v = F.normalize(matrix.t() @ self.u, dim=0, eps=1e-12)
            u = F.normalize(matrix @ v, dim=0, eps=1e-12)
            self.u.copy_(u)
            self.v.copy_(v)
        return F.conv2d(x, self.weight / torch.dot(u, matrix @ v), self.bias, padding=self.padding)


def orthogonal(layer):
    nn.init.orthogonal_(layer.weight, gain=0.8)
    return layer


class SelfAttention(nn.Module):
    """Over pixels, without a scale; keys and values pooled (SAGAN)."""

    def __init__(self, channels):
        super().__init__()
        self.query = SpectralConv(channels, channels // 8, 1, bias=False)
        self.find = SpectralConv(channels, channels // 8, 1, bias=False)
        self.value = SpectralConv(channels, channels // 2, 1, bias=False)
        self.back = SpectralConv(channels // 2, channels, 1, bias=False)
        self.gamma = nn.Parameter(torch.zeros(()))

    def forward(self, x):
        queries = self.query(x).flatten(2)
        keys = F.max_pool2d(self.find(x), 2).flatten(2)
        values = F.max_pool2d(self.value(x), 2).flatten(2)
        near = torch.softmax(queries.transpose(1, 2) @ keys, dim=-1)
        seen = (values @ near.transpose(1, 2)).unflatten(2, x.shape[2:])
        return x + self.gamma * self.back(seen)


class ByLatent(nn.Module):
    def __init__(self, channels, latent):
        super().__init__()
        self.gamma, self.beta = orthogonal(nn.Linear(latent, channels)), orthogonal(nn.Linear(latent, channels))

    def forward(self, x, z):
        return self.gamma(z)[:, :, None, None] * F.instance_norm(x, eps=1e-5) + self.beta(z)[:, :, None, None]


class Up(nn.Module):
    def __init__(self, channels, out, latent):
        super().__init__()
        self.norm_a, self.norm_b = ByLatent(channels, latent), ByLatent(out, latent)
        self.conv_a = SpectralConv(channels + 1, out, bias=False)
        self.conv_b = SpectralConv(out, out)
        self.around = SpectralConv(channels, out, 1)

    def forward(self, x, mask, z):
        small = F.avg_pool2d(mask, mask.shape[2] // x.shape[2])
        a = self.conv_a(grow(torch.cat([F.relu(self.norm_a(x, z)), small], dim=1)))
        return self.conv_b(F.relu(self.norm_b(a, z))) + self.around(grow(x))


class RegionGenerator(nn.Module):
    def __init__(self, top, base, latent):
        super().__init__()
        wide = base * top // 8
        self.stem = orthogonal(nn.Linear(latent, wide * 16))
        widths = [wide, *(wide * 8 // side for side in doublings(8, top))]
        self.blocks = nn.ModuleList(Up(a, b, latent) for a, b in zip(widths, widths[1:]))
        self.look = SelfAttention(widths[-2])
        self.norm = ByLatent(widths[-1], latent)
        self.last = SpectralConv(widths[-1] + 1, 3)

    def forward(self, mask, z):
        h = self.stem(z).view(len(z), -1, 4, 4)
        for block in self.blocks[:-1]:
            h = block(h, mask, z)
        h = self.blocks[-1](self.look(h), mask, z)
        return torch.tanh(self.last(torch.cat([F.relu(self.norm(h, z)), mask], dim=1)))


class Down(nn.Module):
    def __init__(self, channels, out, first):
        super().__init__()
        self.first = first
        self.conv_a, self.conv_b = SpectralConv(channels, out), SpectralConv(out, out)
        self.around = SpectralConv(channels, out, 1)

    def forward(self, x):
        y = self.conv_b(F.relu(self.conv_a(x if self.first else F.relu(x))))
        return F.avg_pool2d(y, 2) + self.around(F.avg_pool2d(x, 2))


class Flat(nn.Module):
    def __init__(self, channels):
        super().__init__()
        self.conv_a, self.conv_b = SpectralConv(channels, channels), SpectralConv(channels, channels)

    def forward(self, x):
        return x + self.conv_b(F.relu(self.conv_a(F.relu(x))))


def trunk(side, base, attend, out):
    """Blocks that halve down to four pixels, attention after the first; the sum over what is left goes through one layer."""
    widths = [3, *(base * side // (2 * r) for r in reversed(doublings(4, side // 2)))]
    blocks = [Down(a, b, first=a == 3) for a, b in zip(widths, widths[1:])]
    if attend:
        blocks.insert(1, SelfAttention(widths[1]))
    return nn.Sequential(*blocks, Flat(widths[-1]), PixelSum(), orthogonal(nn.Linear(widths[-1], out)))


class PixelSum(nn.Module):
    def forward(self, x):
        return x.sum(dim=(2, 3))


def scaled_norm(channels):
    norm = nn.InstanceNorm2d(channels, affine=True)
    nn.init.uniform_(norm.weight)
    return norm


def plain_conv(channels, out, kernel=3, bias=True, **options):
    return orthogonal(nn.Conv2d(channels, out, kernel, bias=bias, **options))


class NormedResidual(nn.Module):
    def __init__(self, channels):
        super().__init__()
        self.conv_1, self.norm_1 = plain_conv(channels, channels, bias=False, padding=1), scaled_norm(channels)
        self.conv_2, self.norm_2 = plain_conv(channels, channels, padding=1), scaled_norm(channels)

    def forward(self, x):
        return F.relu(self.norm_2(x + self.conv_2(F.relu(self.norm_1(self.conv_1(x))))))


class MaskNetwork(nn.Module):
    """Halved twice, residual blocks, pyramid pooling, and back; two regions that sum to one."""

    def __init__(self, base=16):
        super().__init__()
        wide = 4 * base + 4
        self.encoder = nn.Sequential(
            nn.ReflectionPad2d(3), plain_conv(3, base, 7, bias=False), scaled_norm(base), nn.ReLU(),
            plain_conv(base, 2 * base, bias=False, stride=2, padding=1), scaled_norm(2 * base), nn.ReLU(),
            plain_conv(2 * base, 4 * base, bias=False, stride=2, padding=1), scaled_norm(4 * base), nn.ReLU(),
            *(NormedResidual(4 * base) for _ in range(3)),
        )  # fmt: skip
        self.branches = nn.ModuleList(plain_conv(4 * base, 1, 1) for _ in range(4))
        self.decoder = nn.Sequential(
            nn.Upsample(scale_factor=2), plain_conv(wide, wide // 2, bias=False, padding=1), scaled_norm(wide // 2), nn.ReLU(),
            nn.Upsample(scale_factor=2), plain_conv(wide // 2, wide // 4, bias=False, padding=1), scaled_norm(wide // 4), nn.ReLU(),
            nn.ReflectionPad2d(3), plain_conv(wide // 4, 1, 7),
        )  # fmt: skip

    def forward(self, x):
        h = self.encoder(x)
        size = h.shape[-1]
        pooled = [branch(F.avg_pool2d(h, max(1, size // bins))) for branch, bins in zip(self.branches, (1, 2, 3, 6))]
        seen = [F.interpolate(y, size=(size, size), mode="bilinear", align_corners=False) for y in pooled]
        m = torch.sigmoid(self.decoder(torch.cat([h, *seen], dim=1)))
        return torch.cat([m, 1 - m], dim=1)


class Redo:
    """Two turns with one batch and the same latents; the second sees the updated masks and generators, so it paints anew."""

    def __init__(self, wrap, side=128, batch=2, latent=32, base=32, critic_base=64):
        self.masks = MaskNetwork()
        self.generators = nn.ModuleList(RegionGenerator(side, base, latent) for _ in range(2))
        self.critic = trunk(side, critic_base, True, 1)
        self.regressor = trunk(side, critic_base, False, 2 * latent)
        self.networks = {"F": self.masks, "G.0": self.generators[0], "G.1": self.generators[1]}
        self.networks |= {"D": self.critic, "delta": self.regressor}
        self.batch, self.latent, self.images = batch, latent, random_images(batch, side)
        painters = [*self.generators.parameters(), *self.regressor.parameters()]
        groups = [{"params": painters}, {"params": self.masks.parameters(), "lr": 1e-5, "weight_decay": 1e-4}]
        self.generator_adam = torch.optim.Adam(groups, lr=1e-4, betas=(0, 0.9))
        self.critic_adam = torch.optim.Adam(self.critic.parameters(), lr=1e-4, betas=(0, 0.9))
        self.paint = wrap(self.redrawn)
        self.generator_loss = wrap(self.generator_loss)
        self.hinge = wrap(self.hinge)

    def redrawn(self, image, z):
        """Each region painted by its generator, and the images in which one region is redrawn."""
        masks = self.masks(image).split(1, dim=1)
        painted = [mask * net(mask, code) for net, mask, code in zip(self.generators, masks, z)]
        fakes = [new + (1 - mask) * image for new, mask in zip(painted, masks)]
        return painted, torch.cat(fakes)

    def generator_loss(self, image, z):
        painted, fakes = self.redrawn(image, z)
        guessed = self.regressor(painted[0] + painted[1]).view(self.batch, 2, self.latent)
        return -self.critic(fakes).mean() + 5 * F.mse_loss(guessed, z.transpose(0, 1))

    def hinge(self, real, fakes):
        return F.relu(1 - self.critic(real)).mean() + F.relu(1 + self.critic(fakes)).mean()

    def step(self, index):
        image, others = self.images[index % BATCHES], self.images[(index + 1) % BATCHES]
        z = torch.randn(2, self.batch, self.latent)
        self.critic.requires_grad_(False)
        update(self.generator_adam, self.generator_loss(image, z))
        self.critic.requires_grad_(True)
        with torch.no_grad():
            _, fakes = self.paint(image, z)
        update(self.critic_adam, self.hinge(others, fakes))


# ---- W6: a segmenter


def two(channels, out):
    return nn.Sequential(
        nn.Conv2d(channels, out, 3, padding=1), nn.BatchNorm2d(out), nn.ReLU(),
        nn.Conv2d(out, out, 3, padding=1), nn.BatchNorm2d(out), nn.ReLU(),
    )  # fmt: skip


class UNet(nn.Module):
    def __init__(self, widths):
        super().__init__()
        self.down = nn.ModuleList(two(a, b) for a, b in zip([3, *widths], widths))
        self.up = nn.ModuleList(two(a + b, a) for a, b in zip(widths, widths[1:]))
        self.last = nn.Conv2d(widths[0], 1, 1)

    def forward(self, x):
        seen = [self.down[0](x)]
        for block in self.down[1:]:
            seen.append(block(F.max_pool2d(seen[-1], 2)))
        h = seen.pop()
        for block in reversed(self.up):
            h = block(torch.cat([seen.pop(), grow(h)], dim=1))
        return self.last(h)[:, 0]


class Segmenter:
    def __init__(self, wrap, side=64, batch=16):
        self.net = UNet([16, 32, 64, 64])
        self.networks = {"F": self.net}
        self.images = random_images(batch, side)
        self.adam = torch.optim.Adam(self.net.parameters(), lr=1e-3)
        self.loss = wrap(self.loss)

    def loss(self, x):
        return F.binary_cross_entropy_with_logits(self.net(x), (x[:, 0] >= 0).float())

    def step(self, index):
        update(self.adam, self.loss(self.images[index % BATCHES]))


# ---- W7 and W8: single operations

SHAPES = [  # batch, in, out, side, kernel, stride
    (16, 3, 16, 32, 3, 1), (16, 16, 16, 32, 3, 1), (16, 16, 32, 32, 3, 1), (16, 32, 32, 16, 3, 1), (16, 32, 64, 16, 3, 1),
    (16, 64, 64, 8, 3, 1), (16, 64, 96, 8, 3, 1), (16, 96, 96, 4, 3, 1), (16, 64, 32, 16, 1, 1), (16, 32, 16, 32, 1, 1),
    (4, 512, 512, 8, 3, 1), (4, 512, 512, 16, 3, 1), (4, 512, 512, 32, 3, 1), (4, 512, 256, 64, 3, 1), (2, 64, 128, 128, 3, 1),
    (2, 256, 512, 16, 3, 1), (2, 512, 1024, 8, 3, 1), (16, 16, 16, 64, 3, 1), (16, 64, 64, 16, 3, 1), (2, 16, 32, 128, 3, 2),
]  # fmt: skip


def convolutions(wrap):
    """Forward and the gradients by input and weight."""
    for batch, channels, out, side, kernel, stride in SHAPES:
        x = torch.randn(batch, channels, side, side, requires_grad=True)
        w = torch.randn(out, channels, kernel, kernel, requires_grad=True)
        conv = wrap(functools.partial(F.conv2d, stride=stride, padding=(kernel - 1) // 2))
        g = torch.randn_like(conv(x, w).detach())
        yield f"{batch}x{channels}->{out} {side}x{side} k{kernel} s{stride}", lambda: torch.autograd.grad(conv(x, w), (x, w), g), {}


def elementwise(wrap):
    """With the fewest bytes that can be moved: every input read once, every output written once."""
    x, g = torch.randn(16, 64, 64, 64, requires_grad=True), torch.randn(16, 64, 64, 64)
    plain = x.detach()
    a, b, c, d = torch.randn(4, 1, 64, 1, 1)
    size = 4 * x.numel()

    chain = wrap(lambda x: lrelu(x * a + b) * c + d)
    yield "chain", lambda: chain(plain), {"bytes": 2 * size + 4 * 4 * 64}

    norm = wrap(lambda x: F.instance_norm(x, eps=1e-5))
    yield "instance_norm", lambda: norm(plain), {"bytes": 2 * size}

    weights = [nn.Parameter(torch.randn(512, 512)) for _ in range(16)]
    for weight in weights:
        weight.grad = torch.randn_like(weight)
    adam = torch.optim.Adam(weights, lr=1e-3, foreach=True)
    yield "adam", wrap(lambda: adam.step()), {"bytes": 7 * 4 * sum(weight.numel() for weight in weights)}

    slope = wrap(lrelu)
    yield "lrelu_backward", lambda: torch.autograd.grad(slope(x), x, g), {"bytes": 4 * size}


# ---- the command

TRAININGS = {"W1": Iem, "W2": Compact, "W3": Published, "W4": Redo, "W6": Segmenter}
OPERATIONS = {"W7": convolutions, "W8": elementwise}


def milliseconds(begin):
    return (time.perf_counter() - begin) * 1e3


def time_training(options, wrap):
    begin = time.perf_counter()
    training = TRAININGS[options.workload](wrap)
    training.step(0)
    first = milliseconds(begin)
    for index in range(1, options.warm):
        training.step(index)
    begin = time.perf_counter()
    for index in range(options.warm, options.warm + options.steps):
        training.step(index)
    return first, [{"name": "step", "ms": milliseconds(begin) / options.steps}]


def time_operations(options, wrap):
    first, cases = None, []
    begin = time.perf_counter()
    for name, run, more in OPERATIONS[options.workload](wrap):
        run()
        first = first or milliseconds(begin)
        since, runs = time.perf_counter(), 0
        while runs < 3 or milliseconds(since) < 300:
            run()
            runs += 1
        cases.append({"name": name, "ms": milliseconds(since) / runs, **more})
        torch.compiler.reset()  # another shape is another program, not a more general one
    return first, cases


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("workload", choices=[*TRAININGS, *OPERATIONS])
    parser.add_argument("--steps", type=int, default=16)
    parser.add_argument("--warm", type=int, default=8)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--compile", action="store_true", help="forwards and losses go through torch.compile")
    parser.add_argument("--count", action="store_true", help="print how many parameters each model has, and measure nothing")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    torch.manual_seed(0)
    random.seed(0)

    if options.count:
        networks = TRAININGS[options.workload](lambda function: function).networks if options.workload in TRAININGS else {}
        parameters = {name: sum(weight.numel() for weight in net.parameters()) for name, net in networks.items()}
        print(json.dumps({"workload": options.workload, "parameters": parameters}))
        return

    result = {"workload": options.workload, "torch": torch.__version__, "compiled": options.compile}
    timed = time_training if options.workload in TRAININGS else time_operations
    try:
        first, cases = timed(options, functools.partial(torch.compile, dynamic=False) if options.compile else lambda function: function)
    except Exception as error:
        if not options.compile:
            raise
        print(json.dumps(result | {"error": f"{type(error).__name__}: {error}"}))
        return
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1000
    print(json.dumps(result | {"ms": sum(case["ms"] for case in cases), "cases": cases, "mb": peak, "first_ms": first}))


if __name__ == "__main__":
    main()
