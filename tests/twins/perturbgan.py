"""PerturbGAN's two updates at 16 x 16 while the last resolution fades in, and its encoder's, in PyTorch and f64, from the description of
the method.

python perturbgan.py GIVEN.safetensors RESULTS.safetensors discriminator|generator|reconstruction
"""

import sys

import torch
import torch.nn.functional as F

from given import Given, adam, save

given = Given(sys.argv[1])
which = sys.argv[3]
side = int(given["value.side"])
alpha = float(given["value.fade"])
resolutions = [4, 8, 16][: side.bit_length() - 2]
gain = 2**0.5


def dense(path, x):
    w = given.w(path + ".w")
    return F.linear(x, w * gain / w.shape[1] ** 0.5, given.w(path + ".b"))


def conv(path, x, pad):
    w = given.w(path + ".w")
    fan = w.shape[1] * w.shape[2] * w.shape[3]
    return F.conv2d(x, w * gain / fan**0.5, given.w(path + ".b"), padding=pad)


def lrelu(x):
    return F.leaky_relu(x, 0.2)


def blur(x):
    taps = torch.tensor([1.0, 2.0, 1.0], dtype=x.dtype)
    kernel = (taps[:, None] * taps[None, :] / 16).expand(x.shape[1], 1, 3, 3)
    return F.conv2d(x, kernel, padding=1, groups=x.shape[1])


def up(x):
    return F.interpolate(x, scale_factor=2, mode="nearest")


def adain(path, x, style):
    scale, offset = dense(path + ".gain", style), dense(path + ".shift", style)
    y = F.instance_norm(x, eps=1e-5)
    return scale[:, :, None, None] * y + offset[:, :, None, None]


def noise(path, x, n):
    g = given.w(path + ".gain")
    return x + (g * (2 / len(g)) ** 0.5)[None, :, None, None] * n[:, None]


def mapping(path, z):
    h = z / (z.pow(2).mean(1, keepdim=True) + 1e-8).sqrt()
    for layer in range(8):
        h = lrelu(dense(f"{path}.layer_of.{layer}", h))
    return h


def generator(name, z, second):
    first_w, second_w = mapping(name + ".mapping", z), mapping(name + ".mapping", second)
    cut = int(given.draw(f"{name}.cut"))
    styles = [first_w if level <= cut else second_w for level in range(len(resolutions))]
    return synthesis(name, [(style, style) for style in styles], f".{name}.synthesis")


def synthesis(name, styles, place):
    """Two styles per resolution; `place` names the noise."""
    before = None
    for r, (style_1, style_2) in zip(resolutions, styles):
        path = f"{name}.synthesis.block.{r}"
        n = given.draw(place, f"h[{r}].block.n")
        if r == 4:
            h = given.w(name + ".synthesis.start").expand(len(style_1), -1, -1, -1)
        else:
            before = h
            h = blur(conv(path + ".conv_1", up(h), 1))
        h = adain(path + ".adain_1", lrelu(noise(path + ".noise_1", h, n)), style_1)
        h = adain(path + ".adain_2", lrelu(noise(path + ".noise_2", conv(path + ".conv_2", h, 1), n)), style_2)
    new = conv(f"{name}.synthesis.painter.{side}", h, 0)
    old = up(conv(f"{name}.synthesis.painter.{side // 2}", before, 0))
    return (1 - alpha) * old + alpha * new


def features(x, least):
    """What the critic sees, down to maps of `least` pixels."""
    h = lrelu(conv(f"critic.input.{side}", x, 0))
    r = side
    while r > least:
        h = lrelu(conv(f"critic.block.{r}.conv_1", h, 1))
        h = lrelu(F.avg_pool2d(conv(f"critic.block.{r}.conv_2", blur(h), 1), 2))
        if r == side:
            old = lrelu(conv(f"critic.input.{side // 2}", F.avg_pool2d(x, 2), 0))
            h = (1 - alpha) * old + alpha * h
        r //= 2
    return h


def critic(x):
    h = features(x, 4)
    deviation = (h.var(0, unbiased=False) + 1e-8).sqrt().mean()
    h = torch.cat([h, deviation.expand(len(h), 1, 4, 4)], 1)
    h = lrelu(conv("critic.last_1", h, 1))
    h = lrelu(conv("critic.last_2", h, 0))
    return dense("critic.score", h.flatten(1))[:, 0]


def shifted(x, right, down):
    """Whole pixels, zeros come in."""
    out = torch.zeros_like(x)
    for i, (a, b) in enumerate(zip(right.tolist(), down.tolist())):
        a, b = int(a), int(b)
        rows, columns = slice(max(0, b), side + min(0, b)), slice(max(0, a), side + min(0, a))
        rows_from, columns_from = slice(max(0, -b), side + min(0, -b)), slice(max(0, -a), side + min(0, -a))
        out[i, :, rows, columns] = x[i, :, rows_from, columns_from]
    return out


def batch_norm(path, x):
    """With the statistics of the batch; the usual ones follow by a tenth."""
    mean, variance = x.mean((0, 2, 3)), x.var((0, 2, 3), unbiased=False)
    states[path + ".usual_mean"] = 0.9 * given["buffer." + path + ".usual_mean"] + 0.1 * mean
    count = x.numel() / x.shape[1]
    states[path + ".usual_var"] = 0.9 * given["buffer." + path + ".usual_var"] + 0.1 * variance * count / (count - 1)
    y = (x - mean[:, None, None]) / (variance[:, None, None] + 1e-5).sqrt()
    return given.w(path + ".gain")[:, None, None] * y + given.w(path + ".bias")[:, None, None]


def resnet18(path, x):
    def plain(name, x, **options):
        return F.conv2d(x, given.w(f"{path}.{name}.w"), **options)

    h = F.relu(batch_norm(path + ".norm", plain("stem", x, stride=2, padding=3)))
    h = F.max_pool2d(h, 3, stride=2, padding=1)
    for k in range(8):
        block, stride = f"block.{k}", 2 if k in (2, 4, 6) else 1
        y = F.relu(batch_norm(f"{path}.{block}.norm_1", plain(block + ".conv_1", h, stride=stride, padding=1)))
        y = batch_norm(f"{path}.{block}.norm_2", plain(block + ".conv_2", y, padding=1))
        if stride == 2:
            h = batch_norm(f"{path}.{block}.norm_around", plain(block + ".around", h, stride=2))
        h = F.relu(h + y)
    return F.linear(h.flatten(1), given.w(path + ".last.w"), given.w(path + ".last.b"))


def composed(background, figure, mask):
    return (1 - mask) * background + mask * figure


def shifted_world():
    """Fakes and their masks."""
    z, mate = given.draw("draw.world.z"), given.draw("world.mate")
    second = mate if float(given.draw("world.mixes")) else z
    background = generator("backdrop", z, second)
    figure = generator("actor", z, second)
    right = (given.draw("shifted.dx") * side).round()
    down = (given.draw("shifted.dy") * side).round()
    contrast = given.draw("contrast.c")[:, None, None, None]
    centre = background.mean((2, 3), keepdim=True)
    jittered = centre + contrast * (background - centre)
    jittered = torch.minimum(torch.maximum(jittered, background.amin((2, 3), keepdim=True)), background.amax((2, 3), keepdim=True))
    layer = shifted(torch.cat([figure[:, :3], torch.sigmoid(figure[:, 3:])], 1), right, down)
    mask = layer[:, 3:]
    return composed(jittered, layer[:, :3], mask), mask


results, states = {}, {}

if which == "discriminator":
    real = given["field.images.image"]
    fake = shifted_world()[0].detach()
    t = given.draw("wgan_gp.t")[:, None, None, None]
    mixed = (t * real + (1 - t) * fake).requires_grad_()
    (slope,) = torch.autograd.grad(critic(mixed).sum(), mixed, create_graph=True)
    penalty = ((slope.flatten(1).norm(dim=1) - 1) ** 2).mean()
    on_real = critic(real)
    loss = critic(fake).mean() - on_real.mean() + 1e-3 * (on_real**2).mean() + 10 * penalty
    adam(given, results, loss, ["critic"], lambda path: 1e-3, (0, 0.99))
elif which == "generator":
    fake, mask = shifted_world()
    size = F.relu(0.25 - mask.mean((1, 2, 3))).mean()
    binary = torch.minimum(mask, 1 - mask).mean()
    loss = -critic(fake).mean() + 2 * size + 2 * binary
    adam(given, results, loss, ["backdrop", "actor"], lambda path: 1e-5 if ".mapping." in path else 1e-3, (0, 0.99))
else:
    real = given["field.images.image"]
    styles = resnet18("encoder", real).reshape(len(real), 2, len(resolutions), 2, -1)
    sheets = [[(styles[:, sheet, level, 0], styles[:, sheet, level, 1]) for level in range(len(resolutions))] for sheet in range(2)]
    background = synthesis("backdrop", sheets[0], "portrait.back.synthesis")
    figure = synthesis("actor", sheets[1], "cast.synthesis")
    painted = composed(background, figure[:, :3], torch.sigmoid(figure[:, 3:]))
    loss = (painted - real).abs().mean() + (features(painted, 8) - features(real, 8)).pow(2).mean()
    adam(given, results, loss, ["encoder"], lambda path: 1e-4, (0.9, 0.999))

results["loss"] = loss
for path, state in states.items():
    results["next." + path] = state
save(results, sys.argv[2])
