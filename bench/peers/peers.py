"""Times moefy beside other engines: the same shape or weights, the same lengths, the same threads,
in turns. Every figure is the median over the turns, with the lowest and the highest.

bench/peers/run.sh t5 [--shape t5-large]                       CTranslate2 dense, random weights
bench/peers/run.sh decode --model DIR --gguf FILE [--moe DIR]  llama.cpp, greedy decoding
bench/peers/run.sh encode --model DIR --texts FILE             CTranslate2 dense, sentence vectors
"""

import argparse
import json
import pathlib
import statistics
import subprocess
import sys
import time

SHAPES = {  # layers, hidden, neurons, heads, vocab, as in src/bench/synthetic_model.cpp
    "t5-small": (6, 512, 2048, 8, 32128),
    "t5-base": (12, 768, 3072, 12, 32128),
    "t5-large": (24, 1024, 4096, 16, 32128),
}
CACHE = pathlib.Path(__file__).resolve().parents[2] / "build/peers/models"


def timed(work):
    """Milliseconds that `work` takes."""
    begin = time.perf_counter()
    work()
    return 1e3 * (time.perf_counter() - begin)


def moefy(options, *arguments):
    """The JSON document that a command of moefy prints."""
    command = [options.moefy, *map(str, arguments), "--json", "--quiet", "--threads", str(options.threads)]
    return json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout)


def made(name, write):
    """The directory of a model in a rival's format, written once."""
    directory = CACHE / name
    if not (directory / "model.bin").is_file():
        print(f"making {directory}", file=sys.stderr)
        write(directory)
    return str(directory)


class Table:
    """Milliseconds per engine and setting, over all turns."""

    def __init__(self):
        self.times = {}

    def add(self, engine, what, milliseconds):
        self.times.setdefault((what, engine), []).append(milliseconds)

    def show(self, title):
        print(f"\n{title}\n\n| case | engine | median ms | lowest to highest | to the fastest rival |")
        print("|---|---|---|---|---|")
        for what in dict.fromkeys(what for what, _ in self.times):
            medians = {engine: statistics.median(times)
                       for (case, engine), times in self.times.items() if case == what}
            rivals = [median for engine, median in medians.items() if not engine.startswith("moefy")]
            for engine, median in medians.items():
                times = self.times[what, engine]
                ratio = f"{min(rivals) / median:.2f}x" if rivals and engine.startswith("moefy") else ""
                print(f"| {what} | {engine} | {median:,.1f} | {min(times):,.1f} to {max(times):,.1f} "
                      f"| {ratio} |")


def t5(options, table):
    import ctranslate2
    import ct2_models

    shape = SHAPES[options.shape]
    batch = [[f"t{7 * i % 1000}" for i in range(128)]] * 8
    encoders, translators = {}, {}
    for kind in ("float32", "int8"):
        how = {"compute_type": kind, "intra_threads": options.threads, "device": "cpu"}
        encoders[kind] = ctranslate2.Encoder(
            made(f"{options.shape}-encoder", lambda d: ct2_models.write_t5_encoder(shape, d)), **how)
        translators[kind] = ctranslate2.Translator(
            made(options.shape, lambda d: ct2_models.write_t5(shape, d)), **how)

    def decode(translator, count):
        translator.translate_batch([["t1"] * 16], beam_size=1, min_decoding_length=count,
                                   max_decoding_length=count)

    short, long = 8, 40
    for _ in range(options.turns):
        for kind, encoder in encoders.items():
            table.add(f"CTranslate2 {kind}, dense", "encoder 8 x 128",
                      timed(lambda: encoder.forward_batch(batch)))
        for kind, translator in translators.items():
            both = [timed(lambda: decode(translator, count)) for count in (short, long)]
            table.add(f"CTranslate2 {kind}, dense", "decoder, a token",
                      (both[1] - both[0]) / (long - short))
        result = moefy(options, "bench", "--shape", options.shape, "--end-to-end", "--ffn-ratio",
                       options.ffn_ratio, "--weights", "f32,int8", "--repetitions", 1)
        for row in result["rows"]:
            what = "encoder 8 x 128" if row["what"].startswith("encoder") else "decoder, a token"
            table.add(f"moefy {row['weights']}, {100 * row['ffn_ratio']:.0f} % of each FFN", what,
                      row["sparse_ms"]["median"])
            if row["weights"] == "f32":
                table.add("moefy f32, dense", what, row["dense_ms"]["median"])


def decode(options, table):
    import xllamacpp

    parameters = xllamacpp.CommonParams()
    parameters.model.path = str(options.gguf)
    parameters.cpuparams.n_threads = parameters.cpuparams_batch.n_threads = options.threads
    parameters.n_ctx = 2048
    parameters.verbosity = 0
    parameters.warmup = True
    server = xllamacpp.Server(parameters)
    prompt, count = "The history of the steam engine", 128

    def complete():
        answer = server.handle_completions({"prompt": prompt, "max_tokens": count, "temperature": 0,
                                            "ignore_eos": True})
        answer = json.loads(answer) if isinstance(answer, str) else answer
        return answer["timings"]["predicted_per_token_ms"]

    models = [("dense", options.model, [])]
    if options.moe:
        models += [(f"{100 * options.ffn_ratio:.0f} % of each FFN, {weights}", options.moe,
                    ["--selection", "stored", "--ffn-ratio", options.ffn_ratio, "--weights", weights])
                   for weights in ("f32", "int8")]
    for _ in range(options.turns):
        table.add(f"llama.cpp {options.gguf.name}, dense", "a token", complete())
        for name, model, more in models:
            # The second of two lengths less the first leaves out reading the prompt.
            both = [moefy(options, "run", model, prompt, "--max-new-tokens", tokens, *more)
                    for tokens in (8, count)]
            tokens = both[1]["new_tokens"] - both[0]["new_tokens"]
            table.add(f"moefy, {name}", "a token", 1e3 * (both[1]["seconds"] - both[0]["seconds"]) / tokens)


def encode(options, table):
    import ctranslate2
    import tokenizers
    import ct2_models

    tokenizer = tokenizers.Tokenizer.from_file(str(options.model / "tokenizer.json"))
    tokenizer.no_padding()
    tokenizer.enable_truncation(512)
    texts = [line for line in options.texts.read_text(encoding="utf-8").splitlines() if line]
    ids = sorted((encoding.ids for encoding in tokenizer.encode_batch(texts)), key=len)
    batches, current = [], []
    for text in ids:  # padded tokens, as moefy counts them
        if current and len(text) * (len(current) + 1) > 4096:
            batches.append(current)
            current = []
        current.append(text)
    batches.append(current)
    directory = made(options.model.name, lambda d: ct2_models.write_bert(options.model, d))
    encoders = {kind: ctranslate2.Encoder(directory, compute_type=kind, intra_threads=options.threads)
                for kind in ("float32", "int8")}
    what = f"{len(texts)} texts, {sum(map(len, ids))} tokens"
    for _ in range(options.turns):
        for kind, encoder in encoders.items():
            table.add(f"CTranslate2 {kind}, dense", what,
                      timed(lambda: [encoder.forward_batch(batch) for batch in batches]))
        result = moefy(options, "run", options.model, "--input", options.texts)
        table.add("moefy f32, dense, tokenizing included", what, 1e3 * result["seconds"])


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("case", choices=["t5", "decode", "encode"])
    parser.add_argument("--moefy", required=True, help="the program (run.sh gives it)")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--turns", type=int, default=5)
    parser.add_argument("--ffn-ratio", type=float, default=0.25)
    parser.add_argument("--shape", choices=SHAPES, default="t5-large")
    for path in ("model", "moe", "gguf", "texts"):
        parser.add_argument(f"--{path}", type=pathlib.Path)
    options = parser.parse_args()
    table = Table()
    {"t5": t5, "decode": decode, "encode": encode}[options.case](options, table)
    cpu = next(line.split(":")[1].strip() for line in open("/proc/cpuinfo", encoding="utf-8")
               if line.startswith("model name"))
    table.show(f"{cpu}, {options.threads} threads, {options.turns} turns")


if __name__ == "__main__":
    main()
