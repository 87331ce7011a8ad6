"""ReDO's two updates with the published networks, made small, in PyTorch and f64, from the description of the method.

python redo.py GIVEN.safetensors RESULTS.safetensors generator|discriminator
"""

import sys

import torch
import torch.nn.functional as F

from given import Given, adam, save
from pyramid import pyramid

given = Given(sys.argv[1])
which = sys.argv[3]
image, others = given["field.images.image"], given.tensors.get("field.others.image")
side = image.shape[-1]
states = {}


def held(path):
    """A weight under spectral norm: one power step per call, u and v constant for the derivative."""
    w = given.w(path + ".w")
    m = w.flatten(1)
    u = states.get(path + ".scale.u", given["buffer." + path + ".scale.u"])
    with torch.no_grad():
        v = F.normalize(m.T @ u, dim=0, eps=1e-12)
        u = F.normalize(m @ v, dim=0, eps=1e-12)
    states[path + ".scale.u"], states[path + ".scale.v"] = u, v
    return w / (u @ m @ v)


def conv(path, x, bias=True, **options):
    return F.conv2d(x, held(path), given.w(path + ".b") if bias else None, **options)


def dense(path, x):
    return F.linear(x, given.w(path + ".w"), given.w(path + ".b"))


def up(x):
    return F.interpolate(x, scale_factor=2, mode="nearest")


def masks(x):
    m = torch.sigmoid(pyramid(given, "F", x))
    return torch.cat([m, 1 - m], 1)


def by_latent(path, x, z):
    scale, offset = dense(path + ".gamma", z), dense(path + ".beta", z)
    return scale[:, :, None, None] * F.instance_norm(x, eps=1e-5) + offset[:, :, None, None]


def look(path, x):
    """Self-attention of SAGAN without a scale, keys and values pooled."""
    n, channels, height, width = x.shape
    query = conv(path + ".query", x, bias=False).flatten(2)
    keys = F.max_pool2d(conv(path + ".find", x, bias=False), 2).flatten(2)
    values = F.max_pool2d(conv(path + ".value", x, bias=False), 2).flatten(2)
    near = torch.softmax(keys.transpose(1, 2) @ query, 1)
    seen = (values @ near).reshape(n, channels // 2, height, width)
    return x + given.w(path + ".gamma") * conv(path + ".back", seen, bias=False)


def paint(k, m, z):
    name = f"G.{k}"
    h = dense(name + ".stem", z)
    h = h.reshape(len(z), -1, 4, 4)
    r = 4
    while r < side:
        path = f"{name}.block.{2 * r}"
        if 2 * r == side:
            h = look(name + ".look", h)
        small = F.avg_pool2d(m, side // r)
        a = conv(path + ".conv_a", up(torch.cat([F.relu(by_latent(path + ".norm_a", h, z)), small], 1)), bias=False, padding=1)
        b = conv(path + ".conv_b", F.relu(by_latent(path + ".norm_b", a, z)), padding=1)
        h = b + conv(path + ".around", up(h))
        r *= 2
    h = torch.cat([F.relu(by_latent(name + ".norm", h, z)), m], 1)
    return torch.tanh(conv(name + ".last", h, padding=1)) * m


def trunk(path, x, attend):
    r = side // 2
    h = x
    while r >= 4:
        block = f"{path}.block.{r}"
        if attend and r == side // 4:
            h = look(path + ".look", h)
        y = h if r == side // 2 else F.relu(h)
        y = conv(block + ".conv_b", F.relu(conv(block + ".conv_a", y, padding=1)), padding=1)
        h = F.avg_pool2d(y, 2) + conv(block + ".around", F.avg_pool2d(h, 2))
        r //= 2
    y = conv(path + ".last.conv_b", F.relu(conv(path + ".last.conv_a", F.relu(h), padding=1)), padding=1)
    return (h + y).sum((2, 3))


def judge(x):
    return dense("D.last", trunk("D.body", x, True))[:, 0]


m = masks(image)
z = [given.draw(f"z[{k}]") for k in range(2)]
painted = [paint(k, m[:, k : k + 1], z[k]) for k in range(2)]
fakes = torch.cat([painted[k] + (1 - m[:, k : k + 1]) * image for k in range(2)])
results = {}

if which == "generator":
    guessed = dense("delta.last", trunk("delta.body", sum(painted), False)).reshape(len(image), 2, -1)
    loss = -judge(fakes).mean() + 5 * ((torch.stack(z, 1) - guessed) ** 2).mean()
    rate = lambda path: 1e-5 if path.startswith("F.") else 1e-4
    decay = lambda path: 1e-4 if path.startswith("F.") else 0.0
    adam(given, results, loss, ["F", "G", "delta"], rate, (0, 0.9), decay)
else:
    fakes = fakes.detach()
    loss = F.relu(1 - judge(others)).mean() + F.relu(1 + judge(fakes)).mean()
    adam(given, results, loss, ["D"], lambda path: 1e-4, (0, 0.9))

results["loss"] = loss
for path, state in states.items():
    results["next." + path] = state
save(results, sys.argv[2])
