"""Exports in their real engine: `moefy export` writes pico models in each format, Transformers runs
them, and its logits are compared with those of `moefy run` with the same experts.

usage: transformers_exports.py MOEFY SOURCE_DIR [--model DIR ...] [--ratio R] [--speed]

Needs torch, transformers and numpy, in this Python or the one that MOEFY_TRANSFORMERS names;
without them it says so and exits 77, which ctest takes for skipped. Without --model it runs the
committed pico models (and fails if anything is off); with --model it measures a checkpoint and
prints the same table.
"""

import argparse
import json
import os
import pathlib
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, str(pathlib.Path(sys.argv[2]).resolve() / "tests/support"))
import with_transformers  # noqa: E402, F401
import numpy as np  # noqa: E402
import torch  # noqa: E402
import transformers  # noqa: E402

SOURCE = pathlib.Path(sys.argv[2]).resolve()
sys.path.insert(0, str(SOURCE / "bench/peers"))
from checkpoints import read_safetensors, write_safetensors  # noqa: E402

VERSION = tuple(int(part) for part in transformers.__version__.split(".")[:2])
# What each format can say of each model: the formats that must refuse it are in REFUSED.
PICO = ["llama-llama3-rope-scaling", "mistral-gqa", "qwen2-tied"]
REFUSED = {("qwen2-tied", "mixtral"), ("qwen2-tied", "deepseek")}
# Not in Transformers itself; tests/unit/export runs its rules.
NOT_HERE = ["deepseek"]
FORMATS = ["granite-moe", "mixtral", "qwen2-moe", "qwen3-moe", "olmoe", "glm4-moe", "deepseek"]
SHARING = ["granite-moe", "qwen2-moe", "glm4-moe"]
# A pico model's logits are about 1. What remains is that weights of experts differ by 1 / 4096 and,
# for a token in hundreds, that another expert is chosen of two that score alike. Such a token, and
# those behind it that attend to it, are told apart: which of two alike is chosen is rounding, and
# differs between machines. So each FFN is given what moefy's own run gave it, and compared by itself.
MOST_ERRORS = 4e-3  # nine in ten differences are below, times the mean logit if that is over 1
OTHERWISE = 0.02    # an FFN's output off by more, times the mean output: another expert was chosen
MOST_OTHERWISE = 0.02  # of the tokens of all FFNs
TIE = 0.01          # and only where the scores of the two are that close, in mean distances


def moefy(*arguments, fails=False):
    done = subprocess.run([sys.argv[1], *map(str, arguments)], capture_output=True, text=True,
                          check=False)
    if (done.returncode != 0) != fails:
        sys.exit(f"moefy {' '.join(map(str, arguments))}: exit {done.returncode}\n{done.stderr}")
    return done.stdout + done.stderr


def logits_of(model, ids, directory, *options):
    write_safetensors(directory / "in.safetensors", {"input_ids": ids})
    moefy("run", model, "--tensors", directory / "in.safetensors", "--out",
          directory / "out.safetensors", "--force", *options)
    return read_safetensors(directory / "out.safetensors")


def route(model, directory, size, shared, router, ids):
    """Splits and routes; the dump is what enters the FFNs on `ids`."""
    taps = logits_of(model, ids, directory, "--ffn-taps")
    dump = directory / "dump"
    dump.mkdir()
    for index in range(sum(name.endswith(".input") for name in taps)):
        np.save(dump / f"model.layers.{index}.mlp.up_proj.npy", taps[f"ffn.{index}.input"])
    share = ["--shared", shared, "--dump", dump] if shared else []
    moefy("split", model, "--expert-size", size, *share, "--out", directory / "split")
    moefy("route-train", directory / "split", "--dump", dump, "--preset", "fast", "--router",
          router, "--out", directory / "moe")
    return directory / "moe"


def load(directory):
    options = {"torch_dtype": torch.float32}
    if VERSION >= (5,):
        # Its default multiplies rows of 16 bytes only, which pico models do not have.
        options = {"dtype": torch.float32, "experts_implementation": "eager"}
    model, info = transformers.AutoModelForCausalLM.from_pretrained(
        directory, output_loading_info=True, **options)
    wrong = {kind: sorted(names) for kind, names in info.items() if names}
    if wrong:
        sys.exit(f"{directory}: Transformers finds other tensors than it wants: {wrong}")
    return model.eval()


def run_engine(model, ids):
    with torch.no_grad():
        return model(torch.from_numpy(ids)).logits.float().numpy()


def run_ffn(layer, x):
    """The experts of one layer on x [texts, tokens, hidden]."""
    block = layer.block_sparse_moe if hasattr(layer, "block_sparse_moe") else layer.mlp
    with torch.no_grad():
        y = block(x)
        y = y[0] if isinstance(y, tuple) else y
        if getattr(layer, "shared_mlp", None) is not None:
            y = y + layer.shared_mlp(x)
    return y.numpy()


def margins(moe, taps, ratio):
    """[texts, tokens, FFNs]: how far the score of the last expert that runs is above that of the
    first that does not, over the mean distance of two scores that follow each other."""
    extras = read_safetensors(moe / "moefy.safetensors")
    shared = [ffn.get("num_shared", 0) for ffn in
              json.loads((moe / "moefy.json").read_text(encoding="utf-8"))["ffns"]]
    gaps = []
    for index, always in enumerate(shared):
        x = taps[f"ffn.{index}.input"]
        w = extras[f"ffn.{index}.router.w"].astype(np.float64)
        chosen = round(ratio * len(w)) - always
        scores = -np.sort(-(x @ w[always:].T), -1)
        spread = (scores[..., 0] - scores[..., -1]) / (scores.shape[-1] - 1)
        gaps.append((scores[..., chosen - 1] - scores[..., chosen]) / spread)
    return np.stack(gaps, -1)


def chosen_otherwise(engine, taps):
    """[texts, tokens, FFNs]: whether the engine chooses other experts than moefy for this input."""
    otherwise = []
    for index, layer in enumerate(engine.model.layers):
        wanted = taps[f"ffn.{index}.output"]
        got = run_ffn(layer, torch.from_numpy(taps[f"ffn.{index}.input"].copy()))
        far = np.abs(got - wanted).max(-1) > OTHERWISE * np.abs(wanted).mean()
        otherwise.append(far.reshape(wanted.shape[:-1]))
    return np.stack(otherwise, -1)


def perplexity(logits, ids):
    """Of each token but the first, given those before it."""
    wide = logits[:, :-1].astype(np.float64)
    wide -= wide.max(-1, keepdims=True)
    shares = wide - np.log(np.exp(wide).sum(-1, keepdims=True))
    return float(np.exp(-np.take_along_axis(shares, ids[:, 1:, None], -1).mean()))


def tokens_per_second(model, ids, count=48):
    """Greedy decoding after a prompt; the best of three."""
    prompt = torch.from_numpy(ids[:1, :16])
    times = []
    for _ in range(3):
        begin = time.perf_counter()
        model.generate(prompt, max_new_tokens=count, min_new_tokens=count, do_sample=False,
                       pad_token_id=0)
        times.append(time.perf_counter() - begin)
    return count / min(times)


def compare(name, moe, form, ratio, ids, directory, speed=False):
    """A row of the table: how far logits are apart."""
    out = directory / form
    moefy("export", moe, "--format", form, "--ffn-ratio", ratio, "--out", out)
    engine = load(out)
    got = run_engine(engine, ids)
    taps = logits_of(moe, ids, directory, "--ffn-taps", "--selection", "stored/1", "--ffn-ratio",
                     ratio)
    wanted = taps["logits"]
    error = np.abs(got - wanted)
    otherwise = chosen_otherwise(engine, taps)
    untouched = ~np.logical_or.accumulate(otherwise.any(-1), 1)  # no such token up to here
    gaps = margins(moe, taps, ratio)[otherwise]
    row = {"model": name, "format": form, "ratio": ratio, "largest": float(error.max()),
           "margin": float(gaps.max()) if gaps.size else 0.0,
           "otherwise": float(otherwise.mean()), "untouched": float(untouched.mean()),
           "nine_in_ten": float(np.quantile(error[untouched], 0.9)) if untouched.any() else np.inf,
           "mean": float(error.mean()), "logits": float(np.abs(wanted).mean()),
           "perplexity": perplexity(got, ids), "moefy_perplexity": perplexity(wanted, ids),
           "top1": float((got.argmax(-1) == wanted.argmax(-1)).mean()),
           "mb": (out / "model.safetensors").stat().st_size / 1e6}
    if speed:
        row["tokens_per_second"] = tokens_per_second(engine, ids)
    print(json.dumps(row), flush=True)
    return row


def check_pico():
    bad, rows = [], 0
    generator = np.random.default_rng(3)
    for name in PICO:
        model = SOURCE / "tests/data/pico" / name
        config = json.loads((model / "config.json").read_text(encoding="utf-8"))
        if config.get("rope_scaling") and VERSION < (4, 48):
            print(f"{name}: Transformers before 4.48 leaves rope_scaling out, as export warns")
            continue
        ids = generator.integers(3, config["vocab_size"], (4, 24))
        size = next(n for n in (10, 29, 2) if config["intermediate_size"] % n == 0)
        for shared in (0, 1):
            with tempfile.TemporaryDirectory() as scratch:
                directory = pathlib.Path(scratch)
                moe = route(model, directory, size, shared, "unbiased", ids)
                for form in FORMATS:
                    if shared and form not in SHARING:
                        continue
                    if (name, form) in REFUSED:
                        moefy("export", moe, "--format", form, "--ffn-ratio", 0.5, "--out",
                              directory / form, fails=True)
                        continue
                    if form in NOT_HERE or not hasattr(transformers, class_of(form)):
                        print(f"{form}: not in Transformers {transformers.__version__}")
                        continue
                    rows += 1
                    row = compare(name, moe, form, 0.75, ids, directory)
                    if not (row["nine_in_ten"] < MOST_ERRORS * max(1, row["logits"])
                            and row["otherwise"] <= MOST_OTHERWISE and row["margin"] < TIE
                            and row["untouched"] > 0.5):
                        bad.append(row)
    if bad or rows < 4:
        sys.exit(f"{rows} exports, of which these are off: {bad}")
    print(f"{rows} exports agree")


def class_of(form):
    return {"granite-moe": "GraniteMoeShared", "mixtral": "Mixtral", "qwen2-moe": "Qwen2Moe",
            "qwen3-moe": "Qwen3Moe", "olmoe": "Olmoe", "glm4-moe": "Glm4Moe",
            "deepseek": "Deepseek"}[form] + "ForCausalLM"


def measure(options):
    """Split and routed models that are there already, against themselves."""
    for moe in options.model:
        text = pathlib.Path(options.text).read_text(encoding="utf-8")
        tokenizer = transformers.AutoTokenizer.from_pretrained(moe)
        ids = np.array(tokenizer(text)["input_ids"][:options.tokens], dtype=np.int64)[None]
        with tempfile.TemporaryDirectory() as scratch:
            directory = pathlib.Path(scratch)
            if options.speed:
                dense = load_dense(moe, directory)
                print(json.dumps({"model": str(moe), "format": "dense",
                                  "tokens_per_second": tokens_per_second(dense, ids)}))
            for form in options.format:
                for ratio in options.ratio:
                    compare(pathlib.Path(moe).name, moe, form, ratio, ids,
                            pathlib.Path(tempfile.mkdtemp(dir=directory)), options.speed)


def load_dense(moe, directory):
    moefy("merge", moe, "--out", directory / "dense")
    return load(directory / "dense")


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("moefy")
    parser.add_argument("source")
    parser.add_argument("--model", action="append")
    parser.add_argument("--format", nargs="*", default=["granite-moe", "mixtral", "qwen2-moe"])
    parser.add_argument("--ratio", nargs="*", type=float, default=[0.5])
    parser.add_argument("--text", help="a file of text to compare logits on")
    parser.add_argument("--tokens", type=int, default=256)
    parser.add_argument("--speed", action="store_true")
    options = parser.parse_args()
    os.environ["TRANSFORMERS_VERBOSITY"] = "error"
    transformers.logging.set_verbosity_error()
    torch.manual_seed(0)
    print(f"transformers {transformers.__version__}, torch {torch.__version__}")
    if options.model:
        measure(options)
    else:
        check_pico()


main()
