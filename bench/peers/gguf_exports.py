"""What llama.cpp makes of `moefy export --format gguf`: how far the log probabilities of next tokens
are from those of `moefy run` with the same experts, and tokens per second.

usage: gguf_exports.py MOEFY MOE --ids IDS.npy [--ratio R ...] [--weights T ...] [--dense GGUF ...]

MOE is a split and routed model, IDS.npy token ids of some text. Run it in the environment that
run.sh makes; without xllamacpp it says so and exits 77.
"""

import argparse
import json
import pathlib
import subprocess
import sys
import tempfile

import numpy as np

try:
    import xllamacpp
except ImportError as error:
    print(f"skipped: {error}; bench/peers/run.sh makes the environment")
    sys.exit(77)

from checkpoints import read_safetensors, write_safetensors

COMMON = {"temperature": 0, "ignore_eos": True, "cache_prompt": False}
PROMPT, LIKELIEST = 24, 20


def open_server(file, threads, exact):
    """exact: keys and values in F32 and no flash attention, to compare numbers."""
    parameters = xllamacpp.CommonParams()
    parameters.model.path = str(file)
    parameters.cpuparams.n_threads = parameters.cpuparams_batch.n_threads = threads
    parameters.n_ctx = 1024
    parameters.n_parallel = 1
    parameters.verbosity = 0
    if exact:
        parameters.cache_type_k = parameters.cache_type_v = xllamacpp.ggml_type.GGML_TYPE_F32
        parameters.flash_attn_type = xllamacpp.llama_flash_attn_type.LLAMA_FLASH_ATTN_TYPE_DISABLED
    return xllamacpp.Server(parameters)


def complete(server, prompt, count, **more):
    answer = server.handle_completions({"prompt": prompt, "max_tokens": count, **COMMON, **more})
    return json.loads(answer) if isinstance(answer, str) else answer


def likeliest(server, prompt):
    """{id: log probability} of the likeliest next tokens."""
    answer = complete(server, prompt, 1, logprobs=LIKELIEST, n_probs=LIKELIEST)
    listed = answer["choices"][0]["logprobs"]["content"][0]["top_logprobs"]
    return {token["id"]: token["logprob"] for token in listed}


def log_shares(moefy, moe, ratio, prompts, directory):
    """What moefy says of the tokens after each prompt, [prompts, vocabulary]."""
    write_safetensors(directory / "in.safetensors", {"input_ids": np.array(prompts, np.int64)})
    subprocess.run([moefy, "run", moe, "--selection", "stored/1", "--ffn-ratio", str(ratio),
                    "--tensors", directory / "in.safetensors", "--out",
                    directory / "out.safetensors", "--force", "--quiet"], check=True)
    logits = read_safetensors(directory / "out.safetensors")["logits"][:, -1].astype(np.float64)
    logits -= logits.max(-1, keepdims=True)
    return logits - np.log(np.exp(logits).sum(-1, keepdims=True))


def compare(server, prompts, wanted):
    errors, same = [], 0
    for prompt, shares in zip(prompts, wanted):
        got = likeliest(server, prompt)
        errors += [abs(share - shares[token]) for token, share in got.items()]
        same += max(got, key=got.get) == int(shares.argmax())
    return {"mean": float(np.mean(errors)), "largest": float(np.max(errors)),
            "same_token": f"{same} of {len(prompts)}"}


def speed(file, prompt, threads):
    server = open_server(file, threads, exact=False)
    complete(server, prompt, 8)
    return max(complete(server, prompt, 64)["timings"]["predicted_per_second"] for _ in range(3))


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("moefy")
    parser.add_argument("moe")
    parser.add_argument("--ids", required=True)
    parser.add_argument("--ratio", nargs="*", type=float, default=[0.5])
    parser.add_argument("--weights", nargs="*", default=["f32", "f16", "q8_0", "q4_0"])
    parser.add_argument("--dense", nargs="*", default=[])
    parser.add_argument("--prompts", type=int, default=20)
    parser.add_argument("--threads", type=int, default=2)
    options = parser.parse_args()
    ids = np.load(options.ids)
    prompts = ids[:options.prompts * PROMPT].reshape(-1, PROMPT).tolist()
    for file in options.dense:
        print(json.dumps({"file": file, "mb": pathlib.Path(file).stat().st_size / 1e6,
                          "tokens_per_second": speed(file, prompts[0], options.threads)}))
    for ratio in options.ratio:
        with tempfile.TemporaryDirectory() as scratch:
            directory = pathlib.Path(scratch)
            wanted = log_shares(options.moefy, options.moe, ratio, prompts, directory)
            for weights in options.weights:
                out = directory / weights
                subprocess.run([options.moefy, "export", options.moe, "--format", "gguf",
                                "--weights", weights, "--ffn-ratio", str(ratio), "--out", out,
                                "--quiet"], check=True, stdout=subprocess.DEVNULL)
                file = out / "model.gguf"
                row = {"ratio": ratio, "weights": weights, "mb": file.stat().st_size / 1e6}
                row |= compare(open_server(file, options.threads, exact=True), prompts, wanted)
                row["tokens_per_second"] = speed(file, prompts[0], options.threads)
                print(json.dumps(row), flush=True)


main()
