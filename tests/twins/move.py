"""MOVE's two updates in PyTorch and f64, from the description of the method: those of the released code where it differs from the paper.
The frozen networks are small here; `tests/official/move.py` takes those of the method.

python move.py GIVEN.safetensors RESULTS.safetensors spot|object
"""

import math
import sys

import torch
import torch.nn.functional as F

from given import Given, adam, save

PATCH = 16
MEAN = torch.tensor([0.485, 0.456, 0.406], dtype=torch.float64)[:, None, None]
DEVIATION = torch.tensor([0.229, 0.224, 0.225], dtype=torch.float64)[:, None, None]


class Frozen:
    """The networks that nothing trains, with few features: those of `tests/twins.rs`."""

    def __init__(self, given):
        self.given = given

    def w(self, path):
        return self.given["weight." + path]

    def dense(self, path, x):
        return F.linear(x, self.w(path + ".w"), self.w(path + ".b"))

    def normed(self, path, x):
        return F.layer_norm(x, x.shape[-1:], self.w(path + ".gain"), self.w(path + ".bias"), 1e-6)

    def block(self, path, x, heads):
        n, tokens, size = x.shape
        y = self.dense(path + ".attend.qkv", self.normed(path + ".norm_1", x))
        q, k, v = y.reshape(n, tokens, 3, heads, size // heads).permute(2, 0, 3, 1, 4)
        seen = torch.softmax(q @ k.transpose(-1, -2) / math.sqrt(size // heads), -1) @ v
        x = x + self.dense(path + ".attend.out", seen.transpose(1, 2).reshape(n, tokens, size))
        return x + self.dense(path + ".back", F.gelu(self.dense(path + ".wider", self.normed(path + ".norm_2", x))))

    def patches(self, path, x):
        w = self.w(path + ".patches.project.w")
        tokens = F.conv2d(x, w, self.w(path + ".patches.project.b"), stride=w.shape[-1]).flatten(2).transpose(1, 2)
        return torch.cat([self.w(path + ".first").expand(len(x), 1, -1), tokens], 1)

    def features(self, x):
        """The output of the block before the last one, as a map."""
        side = x.shape[-1] // 8
        h = self.block("dino.stage.0", self.patches("dino", x) + self.w("dino.position"), 2)
        return h[:, 1:].transpose(1, 2).reshape(len(x), -1, side, side)

    def painted(self, x, keep):
        """The masked autoencoder's picture of x, of whose tokens only a part is kept: [sample, token], between 0 and 1."""
        n, side = len(x), x.shape[-1] // PATCH
        h = self.patches("mae", x)
        h = h + sines(side, h.shape[-1])
        for k in range(2):
            h = self.block(f"mae.stage.{k}", h, 2)
        h = self.dense("mae.embed", self.normed("mae.norm", h))
        mixed = keep[:, :, None] * h[:, 1:] + (1 - keep[:, :, None]) * self.w("mae.hidden")
        h = self.block("mae.back.0", torch.cat([h[:, :1], mixed], 1) + sines(side, h.shape[-1]), 2)
        pixels = self.dense("mae.paint", self.normed("mae.back_norm", h))[:, 1:]
        return pixels.reshape(n, side, side, PATCH, PATCH, 3).permute(0, 5, 1, 3, 2, 4).reshape(x.shape)

    def same(self, path, x, stride=1, groups=1):
        w = self.w(path + ".w")
        down, right = (max((math.ceil(side / stride) - 1) * stride + w.shape[-1] - side, 0) for side in x.shape[2:])
        x = F.pad(x, (right // 2, right - right // 2, down // 2, down - down // 2))
        return F.conv2d(x, w, stride=stride, groups=groups)

    def settled(self, path, x):
        mean, var = (self.given[f"buffer.{path}.usual_{what}"] for what in ("mean", "var"))
        return F.batch_norm(x, mean, var, self.w(path + ".gain"), self.w(path + ".bias"), False, 0.1, 1e-3)

    def taps(self, x):
        """Maps at a quarter, an eighth, a sixteenth, a thirty-second of the side."""
        h = F.relu6(self.settled("eye.norm", self.same("eye.stem", x, 2)))
        taps = []
        for i in range(5):
            for j in range(1 + min(i, 1)):
                path, stride, before = f"eye.block.{i}.inner.{j}", 2 if i > 0 and j == 0 else 1, h
                if i == 0:
                    h = F.relu6(self.settled(path + ".norm_1", self.same(path + ".deep", h, stride, h.shape[1])))
                    h = self.settled(path + ".norm_2", self.same(path + ".wide", h))
                else:
                    h = F.relu6(self.settled(path + ".norm_1", self.same(path + ".wide", h)))
                    h = F.relu6(self.settled(path + ".norm_2", self.same(path + ".deep", h, stride, h.shape[1])))
                    h = self.settled(path + ".norm_3", self.same(path + ".narrow", h))
                h = h + before if h.shape == before.shape else h
            taps.append(h)
        return taps[1:]


def sines(side, size):
    """Fixed places: of the column, then of the row; zeros for the first token."""

    def half(place):
        angle = place.flatten()[:, None] / 10000 ** (torch.arange(size // 4, dtype=torch.float64) / (size / 4))
        return torch.cat([angle.sin(), angle.cos()], 1)

    down, right = torch.meshgrid(*[torch.arange(side, dtype=torch.float64)] * 2, indexing="ij")
    return torch.cat([torch.zeros(1, size, dtype=torch.float64), torch.cat([half(right), half(down)], 1)])


class Step:
    """One update, with the networks that it trains or leaves as they are; `states` is what their states become."""

    def __init__(self, given, frozen):
        self.given, self.frozen, self.states = given, frozen, {}
        self.x = given["field.images.image"]

    def state(self, path):
        return self.states.get(path, self.given["buffer." + path])

    def batch_norm(self, path, x):
        mean, var = (self.state(f"{path}.usual_{what}").clone() for what in ("mean", "var"))
        y = F.batch_norm(x, mean, var, self.given.w(path + ".gain"), self.given.w(path + ".bias"), True, 0.1, 1e-5)
        self.states[path + ".usual_mean"], self.states[path + ".usual_var"] = mean, var
        return y

    def conv(self, path, x, **options):
        return F.conv2d(x, self.given.w(path + ".w"), self.given.w(path + ".b"), **options)

    def segment(self, x):
        with torch.no_grad():
            h = self.frozen.features(x)
        gain, bias = self.given.w("head.norm.gain"), self.given.w("head.norm.bias")
        h = F.layer_norm(h.permute(0, 2, 3, 1), (h.shape[1],), gain, bias, 1e-6).permute(0, 3, 1, 2)
        for path in ("grown.0", "grown.1", "grown.2", "last.step.0"):
            h = F.interpolate(h, scale_factor=2, mode="nearest") if path[0] == "g" else h
            h = F.leaky_relu(self.batch_norm(f"head.{path}.norm", self.conv(f"head.{path}.conv", h, padding=1)), 0.01)
        return torch.sigmoid(self.conv("head.logit", h))

    def held(self, path):
        """A weight under spectral norm: one power step per forward, u and v constant for the derivative."""
        w = self.given.w(path + ".w")
        m = w.flatten(1)
        with torch.no_grad():
            v = F.normalize(m.T @ self.state(path + ".scale.u"), dim=0, eps=1e-12)
            u = F.normalize(m @ v, dim=0, eps=1e-12)
        self.states[path + ".scale.u"], self.states[path + ".scale.v"] = u, v
        return w / (u @ m @ v)

    def projected(self, path, x):
        return F.conv2d(x, self.given[f"buffer.critic.{path}.w"], self.given[f"buffer.critic.{path}.b"])

    def judge(self, x, *call):
        """Logits of one kind of images: a forward of its own, with changes of colour of its own."""
        light, vivid, sharp = (self.given.draw(*call, end)[:, None, None, None] for end in (".light", ".vivid", ".sharp"))
        y = 2 * (x * DEVIATION + MEAN) - 1 + light
        grey = y.mean(1, keepdim=True)
        y = grey + vivid * (y - grey)
        even = y.mean((1, 2, 3), keepdim=True)
        maps = self.frozen.taps(even + sharp * (y - even))
        across = [self.projected(f"across.{k}", tap) for k, tap in enumerate(maps)]
        y, logits = 0, []
        for k in reversed(range(4)):
            y = F.interpolate(y + across[k], scale_factor=2, mode="bilinear", align_corners=True)
            y = self.projected(f"scale.{k}", y)
            h = y
            for j in range(4 - k):
                path = f"critic.head.{k}.down.{j}"
                h = F.conv2d(h, self.held(path + ".conv"), self.given.w(path + ".conv.b"), stride=2, padding=1)
                h = F.leaky_relu(self.batch_norm(path + ".norm", h), 0.2)
            logits.append(F.conv2d(h, self.held(f"critic.head.{k}.logit")).flatten(1))
        return torch.cat(logits, 1)

    def kinds(self):
        """The shifted mask; reals: autoencoded, object put back; fakes: object moved, object twice."""
        m = self.segment(self.x)
        far, copy = self.moved(m), self.painted(self.x)
        union = 1 - (1 - m) * (1 - far)
        back = self.painted(self.x, 1 - F.max_pool2d(union, PATCH).flatten(1))
        copy_far = self.painted(self.moved(self.x))
        real = [copy, m * copy + (1 - m) * back]
        return far, real, [far * copy_far + (1 - far) * back, far * copy_far + (1 - far) * copy]

    def painted(self, x, keep=None):
        tokens = (x.shape[-1] // PATCH) ** 2
        return self.frozen.painted(x, torch.ones(len(x), tokens, dtype=x.dtype) if keep is None else keep)

    def moved(self, x):
        """Shifted by whole pixels, zeros come in."""
        size = x.shape[-1]
        amounts = [torch.round(self.given.draw(name) * size).int().tolist() for name in ("moved.dx", "moved.dy")]
        moved = []
        for one, right, down in zip(x, *amounts):
            padded = F.pad(one, (max(right, 0), max(-right, 0), max(down, 0), max(-down, 0)))
            moved.append(padded[:, max(-down, 0) :, max(-right, 0) :][:, :size, :size])
        return torch.stack(moved)

    def spot(self, results):
        with torch.no_grad():
            _, real, fake = self.kinds()
        # The second call of a name in a definition has a number.
        of_real = [F.relu(1 - self.judge(y, f"spot[{k}].judge.")).mean() for k, y in enumerate(real)]
        of_fake = [F.relu(1 + self.judge(y, f"spot[{k}].judge#2.")).mean() for k, y in enumerate(fake)]
        loss = sum(of_real) / 2 + sum(of_fake) / 2
        adam(self.given, results, loss, ["critic"], lambda path: 2e-4, (0, 0.99), shrink=0.01)
        return loss

    def object(self, results):
        far, _, fake = self.kinds()
        maps = [far, F.avg_pool2d(far, PATCH), F.max_pool2d(far, PATCH)]
        small = sum(F.relu(self.given["value.least"] - y.mean((1, 2, 3))).mean() for y in maps)
        undecided = sum(torch.minimum(y, 1 - y).mean() for y in maps)
        loss = -self.judge(fake[0], "object.judge.").mean() + 100 * small + 12.5 * self.given["value.ramp"] * undecided
        adam(self.given, results, loss, ["head"], lambda path: 2e-4, (0.9, 0.95), shrink=0.0)
        return loss


def run(given, frozen, loss):
    """The results of an update by this loss, by name."""
    step, results = Step(given, frozen), {}
    results["loss"] = getattr(step, loss)(results)
    return results | {"next." + path: state for path, state in step.states.items()}


if __name__ == "__main__":
    given = Given(sys.argv[1])
    save(run(given, Frozen(given), sys.argv[3]), sys.argv[2])
