"""Times balanced k-means beside k-means-constrained, on random and on grouped points of the shapes
of FFNs, in turns, and compares the inertia: bench/peers/README.md."""

import argparse
import json
import pathlib
import statistics
import subprocess
import tempfile
import time

import numpy as np
from k_means_constrained import KMeansConstrained

from checkpoints import read_safetensors, write_safetensors

SHAPES = {  # neurons, hidden, experts
    "minilm": (1536, 384, 48), "t5-base": (3072, 768, 96), "t5-large": (4096, 1024, 128),
    "llama-7b": (11008, 4096, 344)}


def make_points(neurons, hidden, experts, grouped):
    random = np.random.default_rng(0)
    points = random.standard_normal((neurons, hidden), np.float32)
    if grouped:
        centres = random.standard_normal((experts, hidden), np.float32)
        points += 0.5 * centres[random.integers(experts, size=neurons)]
    return points / np.linalg.norm(points, axis=1, keepdims=True)


def inertia(points, labels, experts):
    sums = np.zeros((experts, points.shape[1]))
    np.add.at(sums, labels, points.astype(np.float64))
    return (points.astype(np.float64) ** 2).sum() - (sums ** 2).sum() * experts / len(points)


def time_moefy(options, points, experts):
    """(seconds, labels): the time of `moefy split` but for writing, so with reading the points."""
    with tempfile.TemporaryDirectory() as directory:
        dense, moe = pathlib.Path(directory, "dense"), pathlib.Path(directory, "moe")
        dense.mkdir()
        (dense / "config.json").write_text('{"model_type": "points"}', encoding="utf-8")
        write_safetensors(dense / "model.safetensors", {
            "ffn.0.in.weight": points, "ffn.0.out.weight": np.ascontiguousarray(points.T)})
        result = subprocess.run(
            [options.moefy, "split", dense, "--ffn", "ffn.{}.in.weight:ffn.{}.out.weight",
             "--experts", str(experts), "--restarts", str(options.restarts), "--out", moe,
             "--threads", str(options.threads), "--json", "--quiet"],
            stdout=subprocess.PIPE, check=True)
        order = read_safetensors(moe / "moefy.safetensors")["ffn.0.neuron_order"]
    labels = np.empty(len(points), np.int64)
    labels[order] = np.arange(len(points)) // (len(points) // experts)
    return json.loads(result.stdout)["seconds"], labels


def time_constrained(options, points, experts):
    size = len(points) // experts
    # Its own defaults, but for as many starts as ours.
    means = KMeansConstrained(experts, size_min=size, size_max=size, n_init=options.restarts,
                              random_state=0, n_jobs=1)
    begin = time.perf_counter()
    labels = means.fit(points).labels_
    return time.perf_counter() - begin, labels


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("shapes", nargs="+", choices=SHAPES)
    parser.add_argument("--moefy", type=pathlib.Path, default="build/release/bin/moefy")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--restarts", type=int, default=1)
    parser.add_argument("--turns", type=int, default=3)
    parser.add_argument("--alone", action="store_true", help="leave the rival out")
    options = parser.parse_args()
    engines = {"moefy": time_moefy}
    if not options.alone:
        engines["k-means-constrained"] = time_constrained
    print("| points | experts | engine | median s | inertia | times as long |")
    print("|---|---|---|---|---|---|")
    for shape in options.shapes:
        neurons, hidden, experts = SHAPES[shape]
        for grouped in (False, True):
            points = make_points(neurons, hidden, experts, grouped)
            seconds = {name: [] for name in engines}
            found = {}
            for _ in range(options.turns):
                for name, run in engines.items():
                    spent, labels = run(options, points, experts)
                    seconds[name].append(spent)
                    found[name] = inertia(points, labels, experts)
            for name in engines:
                ratio = statistics.median(
                    theirs / ours for theirs, ours in zip(seconds[name], seconds["moefy"]))
                print(f"| {neurons} x {hidden}, {'grouped' if grouped else 'random'} | {experts} "
                      f"| {name} | {statistics.median(seconds[name]):.2f} | {found[name]:.1f} "
                      f"| {ratio:.1f} |", flush=True)


if __name__ == "__main__":
    main()
