"""Networks of the library at small sizes in PyTorch and f64, with the weights that `tests/networks.rs` makes up from their paths; prints
the numbers that stand there.

python networks.py
"""

import math

import torch
import torch.nn.functional as F

torch.set_default_dtype(torch.float64)


def given(path, *sizes):
    """As `invented` in `tests/networks.rs`."""
    state = 0x9E3779B9
    for byte in path.encode():
        state = ((state ^ byte) * 0x100000001B3) % 2**64
    count, values = math.prod(sizes), []
    for _ in range(count):
        state = (state * 6364136223846793005 + 1442695040888963407) % 2**64
        values.append((state >> 33) / 2**30 - 1)
    x = torch.tensor(values).reshape(sizes)
    last = path.rsplit(".")[-1]
    if last in ("gain", "usual_var"):
        return 1 + 0.3 * x
    if last in ("u", "v"):
        return x / x.norm()
    if last == "picture":
        return x
    return 1.7 * x / math.sqrt(count / sizes[0] if len(sizes) > 1 else 10)


def shown(name, x):
    x = x.flatten()
    few = [x[part * (len(x) - 1) // 3].item() for part in range(4)]
    numbers = [*few, x.sum().item(), x.square().sum().item()]
    print(f"const {name}: [f64; 6] = [{', '.join(f'{number:.8}' for number in numbers)}];")


# ---- transformers
def dense(path, x, out):
    return F.linear(x, given(path + ".w", out, x.shape[-1]), given(path + ".b", out))


def normed(path, x):
    size = x.shape[-1]
    return F.layer_norm(x, (size,), given(path + ".gain", size), given(path + ".bias", size), 1e-6)


def attention(path, x, heads):
    tokens, size = x.shape
    q, k, v = dense(path + ".qkv", x, 3 * size).reshape(tokens, 3, heads, size // heads).permute(1, 2, 0, 3)
    seen = torch.softmax(q @ k.transpose(1, 2) / math.sqrt(size // heads), -1) @ v
    return dense(path + ".out", seen.transpose(0, 1).reshape(tokens, size), size)


def block(path, x, heads):
    size = x.shape[-1]
    x = x + attention(path + ".attend", normed(path + ".norm_1", x), heads)
    return x + dense(path + ".back", F.gelu(dense(path + ".wider", normed(path + ".norm_2", x), 4 * size)), size)


def patches(path, x, side, out):
    w, b = given(path + ".project.w", out, 3, side, side), given(path + ".project.b", out)
    return F.conv2d(x[None], w, b, stride=side)[0].flatten(1).T


def encoder():
    x, size, rows, columns = given("given.picture", 1, 3, 16, 24)[0], 8, 4, 6
    table = given("subject.position", 10, size)
    grid = table[1:].reshape(1, 3, 3, size).permute(0, 3, 1, 2)
    scale = ((rows + 0.1) / 3, (columns + 0.1) / 3)
    moved = F.interpolate(grid, scale_factor=scale, mode="bicubic")
    assert moved.shape[2:] == (rows, columns)
    places = torch.cat([table[:1], moved[0].flatten(1).T])
    h = torch.cat([given("subject.first", size)[None], patches("subject.patches", x, 4, size)]) + places
    h = block("subject.stage.0", h, 2)
    first = h[1:].T
    shown("TOKENS", normed("subject.norm", block("subject.stage.1", h, 2)))
    shown("MAP", first)


def sines(rows, columns, size):
    """As the authors of masked autoencoders write it: a half for the column, a half for the row."""

    def half(place):
        omega = 1 / 10000 ** (torch.arange(size // 4) / (size / 4))
        angle = place.flatten()[:, None] * omega
        return torch.cat([angle.sin(), angle.cos()], 1)

    down, right = torch.meshgrid(torch.arange(rows) * 1.0, torch.arange(columns) * 1.0, indexing="ij")
    return torch.cat([torch.zeros(1, size), torch.cat([half(right), half(down)], 1)])


def autoencoder():
    x, size = given("given.picture", 1, 3, 16, 16)[0], 8
    part = given("kept.picture", 1, 1, 4, 4).flatten()
    places = sines(4, 4, size)

    def encoded(seen):
        h = (patches("subject.patches", x, 4, size) + places[1:])[seen]
        h = torch.cat([given("subject.first", size)[None], h])
        for k in range(2):
            h = block(f"subject.stage.{k}", h, 2)
        return h

    def painted(h):
        h = block("subject.back.0", h + places, 2)
        pixels = dense("subject.paint", normed("subject.back_norm", h), 48)[1:]
        return torch.einsum("hwpqc->chpwq", pixels.reshape(4, 4, 4, 4, 3)).reshape(3, 16, 16)

    hidden = given("subject.hidden", size)
    everything = encoded(list(range(16)))
    coded = dense("subject.embed", normed("subject.norm", everything), size)
    shown("COPY", painted(coded))
    mixed = part[:, None] * coded[1:] + (1 - part[:, None]) * hidden
    shown("PAINTED", painted(torch.cat([coded[:1], mixed])))
    seen = [3, 10, 1, 8]
    some = dense("subject.embed", normed("subject.norm", encoded(seen)), size)
    full = hidden.repeat(16, 1)
    full[seen] = some[1:]
    shown("RESTORED", painted(torch.cat([some[:1], full])))
    shown("AFTER", everything[1:].T)


# ---- convolutions
def batch_norm(path, x, settled=False, eps=1e-5):
    size = x.shape[1]
    statistics = (given(path + ".usual_mean", size), given(path + ".usual_var", size)) if settled else (None, None)
    return F.batch_norm(x, *statistics, given(path + ".gain", size), given(path + ".bias", size), not settled, 0.1, eps)


def conv(path, x, out, kernel=3, **options):
    return F.conv2d(x, given(path + ".w", out, x.shape[1], kernel, kernel), given(path + ".b", out), **options)


def head():
    x = given("given.picture", 1, 8, 3, 4)
    x = normed("subject.norm", x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)

    def even(path, x, out):
        return F.leaky_relu(batch_norm(path + ".norm", conv(path + ".conv", x, out, padding=1)), 0.01)

    for k, out in enumerate((4, 3)):
        x = even(f"subject.grown.{k}", F.interpolate(x, scale_factor=2, mode="nearest"), out)
        x = even(f"subject.more.{k}.step.0", x, out)
    for k in range(2):
        x = even(f"subject.last.step.{k}", x, 3)
    shown("LOGITS", conv("subject.logit", x, 1, kernel=1))


def same(path, x, out, kernel, stride=1, groups=1):
    """Padded as TensorFlow does."""
    down, right = (max((math.ceil(side / stride) - 1) * stride + kernel - side, 0) for side in x.shape[2:])
    x = F.pad(x, (right // 2, right - right // 2, down // 2, down - down // 2))
    return F.conv2d(x, given(path + ".w", out, x.shape[1] // groups, kernel, kernel), stride=stride, groups=groups)


def lite0():
    def norm(path, x):
        return batch_norm(path, x, settled=True, eps=1e-3)

    x = F.relu6(norm("subject.norm", same("subject.stem", given("given.picture", 1, 3, 37, 45), 32, 3, 2)))
    taps = []
    stages = zip((16, 24, 40, 80, 112, 192, 320), (1, 2, 2, 3, 3, 4, 1), (3, 3, 5, 3, 5, 5, 3), (1, 2, 2, 2, 1, 2, 1))
    for i, (out, times, kernel, first) in enumerate(stages):
        for j in range(times):
            path, stride, before = f"subject.block.{i}.inner.{j}", first if j == 0 else 1, x
            if i == 0:
                x = F.relu6(norm(path + ".norm_1", same(path + ".deep", x, x.shape[1], kernel, stride, x.shape[1])))
                x = norm(path + ".norm_2", same(path + ".wide", x, out, 1))
            else:
                inner = 6 * x.shape[1]
                x = F.relu6(norm(path + ".norm_1", same(path + ".wide", x, inner, 1)))
                x = F.relu6(norm(path + ".norm_2", same(path + ".deep", x, inner, kernel, stride, inner)))
                x = norm(path + ".norm_3", same(path + ".narrow", x, out, 1))
            x = x + before if x.shape == before.shape else x
        taps.append(x)
    shown("NEAR", taps[1])
    shown("FAR", taps[6])


def projected():
    taps = [given(f"tap_{k}.picture", 1, 3 + k, 32 >> k, 32 >> k) for k in range(4)]
    across = [conv(f"subject.across.{k}", tap, 2 * 2**k, kernel=1) for k, tap in enumerate(taps)]

    def scaled(k, x):
        x = F.interpolate(x, scale_factor=2, mode="bilinear", align_corners=True)
        return conv(f"subject.scale.{k}", x, 2 * 2 ** max(k - 1, 0), kernel=1)

    def spectral(path, shape):
        w = given(path + ".w", *shape)
        m = w.flatten(1)
        v = F.normalize(m.T @ given(path + ".scale.u", shape[0]), dim=0)
        u = F.normalize(m @ v, dim=0)
        return w / (u @ m @ v)

    y, logits = scaled(3, across[3]), []
    for k in reversed(range(4)):
        if k < 3:
            y = scaled(k, y + across[k])
        h = y
        for j in range(4 - k):
            path, out = f"subject.head.{k}.down.{j}", 2 * 2 ** (k + j)
            w = spectral(path + ".conv", (out, h.shape[1], 4, 4))
            h = F.conv2d(h, w, given(path + ".conv.b", out), stride=2, padding=1)
            h = F.leaky_relu(batch_norm(path + ".norm", h), 0.2)
        logits.insert(0, F.conv2d(h, spectral(f"subject.head.{k}.logit", (1, h.shape[1], 4, 4))).flatten())
    shown("PROJECTED", torch.cat(logits))


encoder()
autoencoder()
head()
lite0()
projected()
