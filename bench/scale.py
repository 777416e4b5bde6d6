#!/usr/bin/env python3
"""Time and memory of each stage of a conversion on random weights in the shape of a known model:

  bench/scale.py llama-7b --layers 4 --work build/scale

Memory is the most that the process had to itself (RssAnon of /proc, looked at every 20 ms). Pages
of mapped files that are clean are not counted: the kernel takes them back when others need room."""

import argparse
import json
import pathlib
import shutil
import subprocess
import sys
import threading
import time

HERE = pathlib.Path(__file__).resolve().parent


def write_tokenizer(directory):
    """Bytes as tokens, so that any text is a corpus."""
    printable = [*range(33, 127), *range(161, 173), *range(174, 256)]
    others = [byte for byte in range(256) if byte not in printable]
    names = {chr(byte): byte for byte in printable}
    names |= {chr(256 + i): byte for i, byte in enumerate(others)}
    vocab = {name: 3 + byte for name, byte in names.items()}
    special = [{"id": i, "content": name, "single_word": False, "lstrip": False, "rstrip": False,
                "normalized": False, "special": True}
               for i, name in enumerate(("<pad>", "<s>", "</s>"))]
    (directory / "tokenizer.json").write_text(json.dumps({
        "version": "1.0", "truncation": None, "padding": None, "added_tokens": special,
        "normalizer": None, "post_processor": None,
        "pre_tokenizer": {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True,
                          "use_regex": True},
        "decoder": {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True,
                    "use_regex": True},
        "model": {"type": "BPE", "vocab": {**{t["content"]: t["id"] for t in special}, **vocab},
                  "merges": []}}), encoding="utf-8")
    (directory / "tokenizer_config.json").write_text(json.dumps(
        {"tokenizer_class": "PreTrainedTokenizerFast", "pad_token": "<pad>", "bos_token": "<s>",
         "eos_token": "</s>"}), encoding="utf-8")


def run(command):
    """(seconds, bytes)"""
    begin, most = time.perf_counter(), [0]
    process = subprocess.Popen([str(part) for part in command], stdout=subprocess.DEVNULL)

    def watch():
        while process.poll() is None:
            try:
                status = pathlib.Path(f"/proc/{process.pid}/status").read_text(encoding="ascii")
            except FileNotFoundError:
                return
            for line in status.splitlines():
                if line.startswith("RssAnon:"):
                    most[0] = max(most[0], 1024 * int(line.split()[1]))
            time.sleep(0.02)

    watcher = threading.Thread(target=watch)
    watcher.start()
    if process.wait() != 0:
        raise SystemExit(f"exit code {process.returncode}: {' '.join(map(str, command))}")
    watcher.join()
    return time.perf_counter() - begin, most[0]


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("shape")
    parser.add_argument("--layers", type=int, help="of each stack (default: all)")
    parser.add_argument("--work", type=pathlib.Path, required=True)
    parser.add_argument("--moefy", type=pathlib.Path,
                        default=HERE.parent / "build/release/bin/moefy")
    parser.add_argument("--stages", default="split,record,route-train,verify,merge",
                        type=lambda text: text.split(","))
    parser.add_argument("--tokens", type=int, default=16384, help="that are recorded")
    parser.add_argument("--text-tokens", type=int, default=512, help="of each text")
    parser.add_argument("--preset", default="fast", help="of route-train")
    parser.add_argument("--threads", type=int, default=2)
    options = parser.parse_args()
    work = options.work
    dense = work / "dense"
    if not dense.exists():
        work.mkdir(parents=True, exist_ok=True)
        layers = ["--layers", str(options.layers)] if options.layers else []
        subprocess.run([sys.executable, HERE / "make_checkpoint.py", options.shape, dense, *layers],
                       check=True)
        write_tokenizer(dense)
    text = work / "text.txt"
    letters = "".join(chr(97 + (i * i + i // 7) % 26) + (" " if i % 5 == 0 else "")
                      for i in range(options.tokens))
    length = options.text_tokens - 1  # and one that begins or ends it
    text.write_text("\n".join(letters[i:i + length] for i in range(0, options.tokens, length)) +
                    "\n", encoding="ascii")
    stages = {
        "split": ["split", dense, "--expert-size", 32, "--out", work / "moe"],
        "record": ["record", dense, "--text", text, "--limit", 0, "--max-tokens", options.tokens,
                   "--out", work / "dump"],
        "route-train": ["route-train", work / "moe", "--dump", work / "dump", "--preset",
                        options.preset],
        "verify": ["verify", dense, work / "moe"],
        "merge": ["merge", work / "moe", "--out", work / "merged"],
        # Engines have linear routers without biases.
        "unbiased": ["route-train", work / "moe", "--dump", work / "dump", "--preset",
                     options.preset, "--router", "unbiased"],
        "export": ["export", work / "moe", "--format", "granite-moe", "--ffn-ratio", 0.25, "--out",
                   work / "exported"],
    }
    size = (dense / "model.safetensors").stat().st_size
    print(f"{options.shape}, {options.layers or 'all'} layers, {size / 1e9:.2f} GB\n")
    print("| stage | seconds | peak memory, MB |\n|---|---|---|")
    for stage in options.stages:
        for made in ("merged", "exported"):  # only one at a time: they are as large as the model
            shutil.rmtree(work / made, ignore_errors=True)
        seconds, most = run([options.moefy, *stages[stage], "--threads", options.threads, "--quiet",
                             *(["--force"] if stage in ("split", "record") else [])])
        print(f"| {stage} | {seconds:.1f} | {most / 1e6:,.0f} |", flush=True)


if __name__ == "__main__":
    main()
