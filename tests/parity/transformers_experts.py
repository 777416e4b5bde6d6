"""Split models in Transformers: `moefy export --format transformers` writes pico models of many
families, routers and selections, Transformers runs them with the experts, and its outputs are
compared with those of `moefy run`.

usage: transformers_experts.py MOEFY SOURCE_DIR [MODEL_DIR ...]

Needs torch, transformers and numpy, in this Python or the one that MOEFY_TRANSFORMERS names;
without them it says so and exits 77, which ctest takes for skipped. Without models it runs the
committed ones, and where MOEFY_SHARED is set those of its goldens5 and mixtures of experts.
"""

import json
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile

sys.path.insert(0, str(pathlib.Path(sys.argv[2]).resolve() / "tests/support"))
import with_transformers  # noqa: E402, F401
import numpy as np  # noqa: E402
import torch  # noqa: E402
import transformers  # noqa: E402

SOURCE = pathlib.Path(sys.argv[2]).resolve()
sys.path.insert(0, str(SOURCE / "bench/peers"))
from checkpoints import read_safetensors, write_safetensors  # noqa: E402

VERSION = tuple(int(part) for part in transformers.__version__.split(".")[:2])
# Faster ways to attend leave out Gemma 2's soft caps.
LOADING = {"dtype" if VERSION >= (5,) else "torch_dtype": torch.float32,
           "attn_implementation": "eager"}
# Dense models that 4.57 computes otherwise than the version that recorded them: it takes Gemma's
# hidden_act for what it says, and scales the logits of mT5 and UMT5.
READ_OTHERWISE = {"pico/gemma-mqa", "mt5/gated-own-head", "umt5/own-head"}
# What is written for each model: options of split, of route-train and of export.
FIXED = ([], ["--preset", "best"], ["--ffn-ratio", "0.5"])
CASES = {
    "bert-cls-relu": [
        FIXED,
        ([], ["--preset", "fast", "--router", "mlp"], ["--ffn-ratio", "0.3"]),
        ([], ["--preset", "fast", "--router", "mlp", "--compensation", "mean"],
         ["--ffn-ratio", "0.5", "--selection", "stored:threshold"])],
    "bert-qa-gelu": [
        ([], ["--preset", "best", "--router", "low-rank", "--compensation", "low-rank"],
         ["--ffn-ratio", "0.5"])],
    "t5-relu-tied": [
        ([], ["--preset", "mlp-fit"], ["--ffn-ratio", "0.4"]),
        (["--shared", "1"], ["--preset", "best"], ["--ffn-ratio", "0.5"])],
    "t5-v1_1-gated-gelu-untied": [
        ([], ["--preset", "fast", "--router", "sketch"],
         ["--ffn-ratio", "0.5", "--selection", "stored/0.6"]),
        (["--expert-size", "1"], ["--preset", "first-product", "--metric-ratio", "0.5"],
         ["--ffn-ratio", "0.5", "--selection", "stored:threshold"])],
    "opt-350m-like-postln-proj": [
        ([], ["--preset", "best", "--router", "low-rank", "--compensation", "low-rank"],
         ["--ffn-ratio", "0.5"]),
        ([], ["--preset", "fast", "--router", "regression"],
         ["--ffn-ratio", "0.4", "--selection", "stored:budget"])],
    "opt-fp16": [FIXED],
    "gpt2-relu-ninner": [
        FIXED, ([], ["--preset", "fast", "--router", "representative"], ["--ffn-ratio", "0.5"])],
    "llama-llama3-rope-scaling": [
        (["--expert-size", "1"], ["--preset", "first-product", "--metric-ratio", "0.5"],
         ["--ffn-ratio", "0.5"]),
        (["--shared", "1"], ["--preset", "best"],
         ["--ffn-ratio", "0.5", "--selection", "stored:threshold"])],
    "mistral-gqa": [
        ([], ["--preset", "fast", "--router", "similarity"], ["--ffn-ratio", "0.6"]),
        ([], ["--preset", "fast", "--router", "exemplar"], ["--ffn-ratio", "0.6"]),
        ([], ["--preset", "fast", "--router", "gate-rows"],
         ["--ffn-ratio", "0.6", "--selection", "stored:relative"])],
    "qwen2-tied": [([], ["--preset", "fast", "--router", "linear"], ["--ffn-ratio", "0.6"]), FIXED],
}
# Experts inside the experts of mixtures, which lie in MOEFY_SHARED/goldens. Transformers 5 keeps the
# experts of a layer in one tensor, where no hook reaches.
MIXTURES = {
    "mixtral": [FIXED, (["--expert-size", "1"], ["--preset", "first-product"],
                        ["--ffn-ratio", "0.5", "--selection", "stored:threshold"])],
    "qwen2_moe": [FIXED, ([], ["--preset", "fast"],
                          ["--ffn-ratio", "0.5", "--selection", "stored:budget"])],
    "olmoe": [FIXED, ([], ["--preset", "fast", "--compensation", "mean"],
                      ["--ffn-ratio", "0.4", "--selection", "stored:relative"])],
}
# Outputs of moefy, and of Transformers.
HEADS = {"logits": "logits", "start_logits": "start_logits", "end_logits": "end_logits",
         "last_hidden_state": "last_hidden_state"}
# Seeds. Other ids are run than were recorded, because a threshold may be the very score of a token
# that was recorded, and such a token falls to either side.
RECORD, RUN = 5, 7
TOLERANCE = 1e-4  # times the mean magnitude if that is over 1


def moefy(*arguments, fails=False):
    done = subprocess.run([sys.argv[1], *map(str, arguments)], capture_output=True, text=True,
                          check=False)
    if (done.returncode != 0) != fails:
        sys.exit(f"moefy {' '.join(map(str, arguments))}: exit {done.returncode}\n{done.stderr}")
    return done.stderr if fails else done.stdout


def make_inputs(config, seed, texts=3):
    """Ids of some texts, the second one padded behind; of encoder-decoders on both sides."""
    generator = np.random.default_rng(seed)
    vocabulary = min(config.get("vocab_size", 50257), 50257)
    width = min(20, config.get("max_position_embeddings", 20))

    def side(names):
        ids = generator.integers(3, vocabulary - 1, (texts, width))
        mask = np.ones_like(ids)
        mask[1, width - 6:] = 0
        return {names[0]: ids * mask + (1 - mask) * (config.get("pad_token_id") or 0),
                names[1]: mask}

    inputs = side(("input_ids", "attention_mask"))
    if config.get("is_encoder_decoder"):
        inputs |= side(("decoder_input_ids", "decoder_attention_mask"))
    return inputs


def run_moefy(model, inputs, directory, *options):
    write_safetensors(directory / "in.safetensors", inputs)
    moefy("run", model, "--tensors", directory / "in.safetensors", "--out",
          directory / "out.safetensors", "--force", *options)
    return read_safetensors(directory / "out.safetensors")


def real_rows(array, inputs, name=""):
    """The rows of real tokens of [batch, tokens, ...]; what has no tokens is left as it is."""
    decoder = "decoder_attention_mask" in inputs and not name.startswith("encoder.")
    mask = inputs["decoder_attention_mask" if decoder else "attention_mask"]
    return array[mask == 1] if array.shape[:2] == mask.shape else array


def rows_of_ffn(name, taps, inputs, inspected):
    """What enters an FFN: [real tokens, hidden]; of an expert of a mixture its own tokens."""
    if name + ".input" in taps:
        return real_rows(taps[name + ".input"], inputs, name)
    if len(inspected["ffns"]) == 1:  # layers that share an FFN each have a tap
        return np.concatenate([real_rows(taps[tap], inputs, tap) for tap in taps
                               if tap.endswith(".input")])
    layer, kind, *expert = name.removeprefix("ffn.").split(".")
    rows, scores = (real_rows(taps[f"moe.{layer}.{tap}"], inputs)
                    for tap in ("input", "router_logits"))
    if kind == "shared":
        return rows
    chosen = np.argsort(-scores, -1)[:, :inspected["mixture"]["experts_per_token"]]
    return rows[(chosen == int(expert[0])).any(-1)]


def write_dump(model, inputs, directory):
    """What enters each FFN on random ids, as an activation dump (docs/formats.md)."""
    taps = run_moefy(model, inputs, directory, "--ffn-taps")
    inspected = json.loads(moefy("inspect", model, "--json"))
    ffns = inspected["ffns"]
    listed = []
    (directory / "dump").mkdir()
    for index, ffn in enumerate(ffns):
        rows = rows_of_ffn(ffn["name"], taps, inputs, inspected)
        file = f"{index}.safetensors"
        write_safetensors(directory / "dump" / file, {"ffn_input": rows.astype(np.float32)})
        listed.append({"name": ffn["name"], "tokens": len(rows), "hidden": rows.shape[1],
                       "shards": [file]})
    (directory / "dump/dump.json").write_text(json.dumps(
        {"format": 1, "family": inspected["family"], "model_fingerprint": "", "corpus": "random ids",
         "dtype": "F32", "ffns": listed}), encoding="utf-8")
    return ffns


def convert(model, case, directory, ffns, split_options=()):
    """Splits, routes and exports; returns the split model and the exported one."""
    split, route, export = case
    if not any(option.startswith("--expert") for option in split):
        neurons = np.gcd.reduce([ffn["neurons"] for ffn in ffns])
        size = max(n for n in range(1, max(2, neurons // 4 + 1)) if neurons % n == 0)
        split = [*split, "--expert-size", size]
    if "--shared" in split:
        split = [*split, "--dump", directory / "dump"]
    moefy("split", model, *split, *split_options, "--out", directory / "split")
    moefy("route-train", directory / "split", "--dump", directory / "dump", *route, "--out",
          directory / "moe")
    moefy("export", directory / "moe", "--format", "transformers", *export, "--out",
          directory / "exported")
    return directory / "moe", directory / "exported"


def readable(model, directory):
    """The model, spelled so that this Transformers reads it: 4 knows no `rope_parameters`."""
    config = json.loads((model / "config.json").read_text(encoding="utf-8"))
    rotary = config.get("rope_parameters")
    if VERSION >= (5,) or not rotary or "rope_theta" not in rotary:
        return model
    config |= {"rope_theta": rotary["rope_theta"]}
    if rotary.get("rope_type", "default") != "default":
        config["rope_scaling"] = rotary
    shutil.copytree(model, directory / model.name)
    (directory / model.name / "config.json").chmod(0o644)
    (directory / model.name / "config.json").write_text(json.dumps(config), encoding="utf-8")
    return directory / model.name


def load(directory, auto=None):
    config = json.loads((directory / "config.json").read_text(encoding="utf-8"))
    auto = auto or max(config["auto_map"], key=len)  # that of the head, if there is one
    return getattr(transformers, auto).from_pretrained(
        directory, trust_remote_code=True, **LOADING).eval()


def run_transformers(model, inputs):
    with torch.no_grad():
        return model(**{name: torch.from_numpy(array) for name, array in inputs.items()})


def difference(got, wanted, inputs):
    """The largest of all outputs, over the mean magnitude where that is above 1."""
    worst = {}
    for name, of in HEADS.items():
        if name not in wanted or getattr(got, of, None) is None:
            continue
        mine = real_rows(getattr(got, of).numpy(), inputs)
        theirs = real_rows(wanted[name], inputs)
        if mine.shape != theirs.shape:
            sys.exit(f"{name}: {mine.shape} and {theirs.shape}")
        error = np.abs(mine - theirs).max() / max(1, np.abs(theirs).mean())
        worst[name] = float(error)
    if not worst:
        sys.exit(f"nothing to compare: moefy gives {sorted(wanted)}, Transformers {list(got)}")
    return max(worst.values())


def check(model, case):
    """True if Transformers agrees, False if not, None if it disagrees about the dense model too."""
    config = json.loads((model / "config.json").read_text(encoding="utf-8"))
    inputs = make_inputs(config, RUN)
    with tempfile.TemporaryDirectory() as scratch:
        directory = pathlib.Path(scratch)
        model = readable(model, directory)
        # Each expert of a mixture is to get some tokens.
        recorded = make_inputs(config, RECORD, 3 if config["model_type"] not in MIXTURES else 24)
        ffns = write_dump(model, recorded, directory)
        moe, exported = convert(model, case, directory, ffns)
        selection = case[2] if "--selection" in case[2] else [*case[2], "--selection", "stored"]
        wanted = run_moefy(moe, inputs, directory, *selection)
        dense = run_moefy(model, inputs, directory)
        engine = load(exported)
        got = run_transformers(engine, inputs)
        dense_class = getattr(transformers, json.loads(
            (exported / "config.json").read_text(encoding="utf-8"))["architectures"][0])
        plain = dense_class.from_pretrained(model, **LOADING).eval()
        row = {"model": model.name, "split": " ".join(case[0]), "route": " ".join(case[1]),
               "export": " ".join(case[2]), "difference": difference(got, wanted, inputs),
               "to_dense": difference(got, dense, inputs),
               "dense": difference(run_transformers(plain, inputs), dense, inputs)}
        print(json.dumps(row), flush=True)
        if row["dense"] > TOLERANCE:
            return None
        return row["difference"] < TOLERANCE < row["to_dense"]


def check_loading():
    """What a user may do besides: other Auto classes, saving, a dense model in the same process."""
    model = SOURCE / "tests/data/pico/bert-cls-relu"
    inputs = make_inputs(json.loads((model / "config.json").read_text(encoding="utf-8")), RUN)
    with tempfile.TemporaryDirectory() as scratch:
        directory = pathlib.Path(scratch)
        _, exported = convert(model, FIXED, directory, write_dump(model, inputs, directory))
        first = load(exported)
        logits = run_transformers(first, inputs).logits
        first.save_pretrained(directory / "saved")
        again = run_transformers(load(directory / "saved"), inputs).logits
        assert torch.equal(logits, again), "saved and read again, the model answers otherwise"
        hidden = run_transformers(load(exported, "AutoModel"), inputs)
        whole = first.classifier(hidden.pooler_output)
        assert torch.allclose(logits, whole, atol=1e-5), "AutoModel runs other experts"
        dense = transformers.AutoModelForSequenceClassification.from_pretrained(model)
        plain = run_transformers(dense.eval(), inputs).logits.numpy()
        wanted = run_moefy(model, inputs, directory)["logits"]
        assert np.abs(plain - wanted).max() < TOLERANCE, "a dense model is no longer dense"


def check_named():
    """FFNs that were named by hand: the same split, so the same answers."""
    model = SOURCE / "tests/data/pico/opt-350m-like-postln-proj"
    inputs = make_inputs(json.loads((model / "config.json").read_text(encoding="utf-8")), RUN)
    logits = []
    for named in (False, True):
        with tempfile.TemporaryDirectory() as scratch:
            directory = pathlib.Path(scratch)
            ffns = write_dump(model, inputs, directory)
            pattern = ":".join(ffns[0][key].replace("layers.0.", "layers.{}.")
                               for key in ("w_in", "w_out"))
            _, exported = convert(model, FIXED, directory, ffns,
                                  ["--ffn", pattern] if named else [])
            logits.append(run_transformers(load(exported), inputs).logits)
    assert torch.equal(*logits), "an FFN that was named by hand answers otherwise"


def main():
    transformers.logging.set_verbosity_error()
    os.environ["HF_HUB_OFFLINE"] = "1"
    print(f"transformers {transformers.__version__}, torch {torch.__version__}")
    cases = [(pathlib.Path(name), FIXED) for name in sys.argv[3:]]
    if not cases:
        pico = SOURCE / "tests/data/pico"
        cases = [(pico / name, case) for name, of in CASES.items() for case in of]
        cases += [(model, FIXED) for model in sorted(pico.iterdir())
                  if model.name not in CASES and "num_experts_per_tok" not in
                  json.loads((model / "config.json").read_text(encoding="utf-8"))]
        shared = pathlib.Path(os.environ.get("MOEFY_SHARED", SOURCE / "../shared"))
        cases += [(model, case) for name, of in MIXTURES.items() for case in of
                  for model in sorted((shared / "goldens" / name).glob("*")) if VERSION < (5,)]
        shared /= "goldens5"
        # A model of each family that is not committed.
        known = {model.name.split("-")[0] for model in pico.iterdir()}
        cases += [(sorted(family.iterdir())[0], FIXED) for family in sorted(shared.glob("*"))
                  if family.is_dir() and family.name not in known]
        check_loading()
        check_named()
    results = [(f"{model.parent.name}/{model.name}", check(model, case)) for model, case in cases]
    bad = [name for name, result in results if result is False]
    otherwise = {name for name, result in results if result is None}
    if otherwise:
        print("this Transformers reads config.json of these otherwise than the one that wrote it, "
              f"so that the dense models differ: {', '.join(sorted(otherwise))}")
    if bad or otherwise - READ_OTHERWISE:
        sys.exit(f"of {len(cases)} models these are off: {bad}, {otherwise - READ_OTHERWISE}")
    print(f"{len(cases) - len(otherwise)} models agree")


with tempfile.TemporaryDirectory() as modules:
    os.environ["HF_MODULES_CACHE"] = modules
    transformers.dynamic_module_utils.HF_MODULES_CACHE = modules
    main()
