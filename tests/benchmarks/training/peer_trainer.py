"""The peer of training_benchmark.py: the same network, batch and optimiser as people write them in
PyTorch. Prints the parameter count, then the seconds of each step."""
import argparse
import copy
import math
import time

import torch
from torch import nn
from torch.nn import functional as F


class Shape:
    """Of a network. The DDPM paper's for CIFAR-10 (Ho et al. 2020, appendix B), at some width."""
    levels = (1, 2, 2, 2)  # Times the width.
    attention = 1          # At that level.
    head = None            # Channels of a head; None: one head.
    blocks = 2             # Of a level.
    groups = 32
    channels = 3
    side = 32
    classes = 0

    def __init__(self, width):
        self.width = width


class ClothesShape(Shape):
    """As model/checkpoints/fashion-mnist."""
    levels = (1, 2, 3)
    attention = 2
    head = 32
    blocks = 1
    groups = 8
    channels = 1
    side = 28
    classes = 11


class ResnetBlock(nn.Module):
    def __init__(self, channels_in, channels_out, shape):
        super().__init__()
        embedding = 4 * shape.width
        self.norm1 = nn.GroupNorm(shape.groups, channels_in, 1e-5)
        self.conv1 = nn.Conv2d(channels_in, channels_out, 3, padding=1)
        self.time = nn.Linear(embedding, channels_out)
        self.norm2 = nn.GroupNorm(shape.groups, channels_out, 1e-5)
        self.conv2 = nn.Conv2d(channels_out, channels_out, 3, padding=1)
        same = channels_in == channels_out
        self.shortcut = nn.Identity() if same else nn.Conv2d(channels_in, channels_out, 1)

    def forward(self, x, embedding):
        h = self.conv1(F.silu(self.norm1(x)))
        h = h + self.time(F.silu(embedding))[:, :, None, None]
        return self.shortcut(x) + self.conv2(F.silu(self.norm2(h)))


class Attention(nn.Module):
    def __init__(self, channels, shape):
        super().__init__()
        self.heads = channels // (shape.head or channels)
        self.norm = nn.GroupNorm(shape.groups, channels, 1e-5)
        self.q, self.k, self.v, self.out = (nn.Linear(channels, channels) for _ in range(4))

    def forward(self, x):
        b, c, height, width = x.shape
        h = self.norm(x).flatten(2).transpose(1, 2)
        q, k, v = (self.by_head(part(h)) for part in (self.q, self.k, self.v))
        weights = torch.matmul(q / math.sqrt(c // self.heads), k.transpose(-1, -2)).softmax(-1)
        h = self.out(torch.matmul(weights, v).transpose(1, 2).reshape(b, height * width, c))
        return x + h.transpose(1, 2).reshape(b, c, height, width)

    def by_head(self, x):
        return x.reshape(*x.shape[:2], self.heads, -1).transpose(1, 2)


class UNet(nn.Module):
    def __init__(self, shape):
        super().__init__()
        self.shape, width = shape, shape.width
        embedding = 4 * width
        channels = [width * level for level in shape.levels]
        self.conv_in = nn.Conv2d(shape.channels, width, 3, padding=1)
        self.time = nn.Sequential(nn.Linear(width, embedding), nn.SiLU(),
                                  nn.Linear(embedding, embedding))
        self.classes = nn.Embedding(shape.classes, embedding) if shape.classes else None
        self.down, self.up = nn.ModuleList(), nn.ModuleList()
        skips, c = [width], width
        for level, out in enumerate(channels):
            for _ in range(shape.blocks):
                self.down.append(self.block(c, out, level))
                c = out
                skips.append(c)
            if level + 1 < len(channels):
                self.down.append(nn.ModuleList([nn.Conv2d(c, c, 3, 2, 1)]))
                skips.append(c)
        self.middle = nn.ModuleList([ResnetBlock(c, c, shape), Attention(c, shape),
                                     ResnetBlock(c, c, shape)])
        for level in reversed(range(len(channels))):
            for _ in range(shape.blocks + 1):
                self.up.append(self.block(c + skips.pop(), channels[level], level))
                c = channels[level]
            if level > 0:
                self.up.append(nn.ModuleList([nn.Conv2d(c, c, 3, padding=1)]))
        self.norm_out = nn.GroupNorm(shape.groups, width, 1e-5)
        self.conv_out = nn.Conv2d(width, shape.channels, 3, padding=1)

    def block(self, channels_in, channels_out, level):
        parts = [ResnetBlock(channels_in, channels_out, self.shape)]
        if level == self.shape.attention:
            parts.append(Attention(channels_out, self.shape))
        return nn.ModuleList(parts)

    def forward(self, x, t, label=None):
        half = self.shape.width // 2
        frequencies = torch.exp(-math.log(10000) * torch.arange(half, device=t.device) / half)
        angles = t[:, None].float() * frequencies[None]
        embedding = self.time(torch.cat([angles.cos(), angles.sin()], 1))
        if self.classes is not None:
            embedding = embedding + self.classes(label)
        h = self.conv_in(x)
        skips = [h]
        for block in self.down:
            h = block[0](h, embedding) if isinstance(block[0], ResnetBlock) else block[0](h)
            for attention in block[1:]:
                h = attention(h)
            skips.append(h)
        h = self.middle[2](self.middle[1](self.middle[0](h, embedding)), embedding)
        for block in self.up:
            if isinstance(block[0], ResnetBlock):
                h = block[0](torch.cat([h, skips.pop()], 1), embedding)
            else:
                h = block[0](F.interpolate(h, scale_factor=2.0, mode="nearest"))
            for attention in block[1:]:
                h = attention(h)
        return self.conv_out(F.silu(self.norm_out(h)))


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--width", type=int, required=True)
    parser.add_argument("--batch", type=int, required=True)
    parser.add_argument("--steps", type=int, required=True)
    parser.add_argument("--threads", type=int, required=True)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--fast", action="store_true",
                        help="as one tunes it for a GPU: bf16 autocast, channels-last, fused AdamW")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    torch.manual_seed(0)
    network = UNet(Shape(args.width)).to(args.device)
    if args.fast:
        network = network.to(memory_format=torch.channels_last)
    print(sum(p.numel() for p in network.parameters()), flush=True)
    ema = copy.deepcopy(network)
    fused = {"fused": True} if args.fast else {}
    optimizer = torch.optim.AdamW(network.parameters(), 2e-4, weight_decay=0.01, **fused)
    data = torch.randint(0, 256, (256, 3, 32, 32), dtype=torch.uint8)
    alpha_bar = torch.cumprod(1 - torch.linspace(1e-4, 0.02, 1000), 0).to(args.device)
    for _ in range(args.steps):
        begin = time.perf_counter()
        x0 = data[torch.randint(0, len(data), (args.batch,))].to(args.device).float() / 127.5 - 1
        eps = torch.randn_like(x0)
        t = torch.randint(0, 1000, (args.batch,), device=args.device)
        a = alpha_bar[t].view(-1, 1, 1, 1)
        x_t = a.sqrt() * x0 + (1 - a).sqrt() * eps
        if args.fast:
            x_t = x_t.contiguous(memory_format=torch.channels_last)
        with torch.autocast(torch.device(args.device).type, torch.bfloat16, enabled=args.fast):
            f = network(x_t, t)
        loss = F.mse_loss(f.float(), eps)
        loss.backward()
        nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad()
        with torch.no_grad():
            if args.fast:
                torch._foreach_lerp_(list(ema.parameters()), list(network.parameters()), 1e-4)
            else:
                for average, parameter in zip(ema.parameters(), network.parameters()):
                    average.mul_(0.9999).add_(parameter, alpha=1e-4)
        loss.item()
        print(time.perf_counter() - begin, flush=True)


if __name__ == "__main__":
    main()
