"""Times moefy beside other engines: the same shape or weights, the same lengths, the same threads,
in turns. bench/peers/README.md says what is compared, and how."""

import argparse
import importlib.metadata
import json
import os
import pathlib
import statistics
import subprocess
import sys
import tempfile

import numpy as np

import cases
import checkpoints

WEIGHTS = ("f32", "int8", "int4")  # formats of moefy
PACKAGES = ("ctranslate2", "onnxruntime", "xllamacpp")


class Moefy:
    """Runs the program, and keeps what it says of the machine."""

    def __init__(self, program, threads):
        self.program, self.threads, self.machine = str(program), threads, []

    def __call__(self, *arguments):
        """The JSON document that a command prints."""
        command = [self.program, *map(str, arguments), "--json", "--quiet", "--threads",
                   str(self.threads)]
        result = subprocess.run(command, stdout=subprocess.PIPE, check=False)
        if result.returncode != 0:
            raise SystemExit(f"{' '.join(command)}: exit code {result.returncode}")
        document = json.loads(result.stdout)
        if "peak_gflops" in document:
            self.machine.append(document)
        return document

    def outputs(self, model, batch, **more):
        """What a model in F32 gives, by name, for lists of ids. more: other inputs, by name."""
        longest = max(map(len, batch))
        with tempfile.TemporaryDirectory() as directory:
            inputs, outputs = (pathlib.Path(directory) / name for name in ("in", "out"))
            checkpoints.write_safetensors(inputs, {
                "input_ids": np.array([text + [0] * (longest - len(text)) for text in batch]),
                "attention_mask": np.array([[1] * len(text) + [0] * (longest - len(text))
                                            for text in batch]),
                **{name: np.array(values) for name, values in more.items()}})
            self("run", model, "--tensors", inputs, "--out", outputs)
            return checkpoints.read_safetensors(outputs)


class Table:
    """Milliseconds of every entrant, turn by turn."""

    def __init__(self):
        self.entries = {}  # what, entrant: {"weights", "rivals", "ms": one per turn}

    def add(self, what, entrant, milliseconds, weights, rivals=None):
        """weights: their format. rivals: formats; moefy's entrants are compared with the fastest
        rival of each."""
        entry = self.entries.setdefault((what, entrant),
                                        {"weights": weights, "rivals": rivals, "ms": []})
        entry["ms"].append(milliseconds)

    def fastest_rival(self, what, weights):
        """(name, milliseconds), or None."""
        rivals = [(statistics.median(entry["ms"]), name, entry["ms"])
                  for (case, name), entry in self.entries.items()
                  if case == what and entry["rivals"] is None and entry["weights"] == weights]
        return min(rivals)[1:] if rivals else None

    def rows(self):
        """One per entrant, by what is done. "ratios": by rival, the rival's time over its own in
        the same turn; medians."""
        rows = []
        for (what, entrant), entry in self.entries.items():
            row = {"what": what, "entrant": entrant, "weights": entry["weights"], "ms": entry["ms"],
                   "median_ms": statistics.median(entry["ms"]), "ratios": {}}
            for weights in entry["rivals"] or []:
                rival = self.fastest_rival(what, weights)
                if rival:
                    row["ratios"][rival[0]] = statistics.median(
                        theirs / ours for theirs, ours in zip(rival[1], entry["ms"]))
            rows.append(row)
        order = list(dict.fromkeys(row["what"] for row in rows))
        return sorted(rows, key=lambda row: order.index(row["what"]))


def print_rows(title, note, rows):
    print(f"\n### {title}\n")
    if note:
        print(note + "\n")
    print("| what | engine | median ms | lowest to highest | faster than |")
    print("|---|---|---|---|---|")
    for row in rows:
        low, high = min(row["ms"]), max(row["ms"])
        ratios = ", ".join(f"{rival} {ratio:.2f}x" for rival, ratio in row["ratios"].items())
        print(f"| {row['what']} | {row['entrant']} | {row['median_ms']:,.1f} "
              f"| {low:,.1f} to {high:,.1f} | {ratios} |")


def print_summary(report):
    """A line for what is done in one format: its fastest rival and ours."""
    print("\n| model | what | weights | fastest rival, dense | moefy, dense | moefy, sparse |")
    print("|---|---|---|---|---|---|")
    for case in report:
        by_name = {(row["what"], row["entrant"]): row for row in case["rows"]}
        for what, weights in dict.fromkeys((row["what"], row["weights"]) for row in case["rows"]):
            ours = [row for row in case["rows"]
                    if (row["what"], row["weights"]) == (what, weights) and row["ratios"]]
            for rival in dict.fromkeys(name for row in ours for name in row["ratios"]):
                cells = {"dense": "", "sparse": ""}
                for row in ours:
                    share = row["entrant"].split(", ")[1]
                    cells["dense" if share == "dense" else "sparse"] = (
                        f"{row['median_ms']:,.1f} ms, {row['ratios'][rival]:.2f}x"
                        + ("" if share == "dense" else f" at {share}"))
                print(f"| {case['title']} | {what} | {weights} "
                      f"| {rival}: {by_name[what, rival]['median_ms']:,.1f} ms "
                      f"| {cells['dense']} | {cells['sparse']} |")


def describe_machine(options):
    """What the rows were measured on and with."""
    measured = options.moefy.machine
    version = subprocess.run([options.moefy.program, "--version"], stdout=subprocess.PIPE,
                             check=True, text=True).stdout.strip()
    flags = next((line.split(":")[1].split() for line in open("/proc/cpuinfo", encoding="utf-8")
                  if line.startswith("flags")), [])
    known = ("avx2", "avx512f", "avx512bw", "avx512_vnni", "avx_vnni", "avx512_bf16", "amx_int8")
    return {
        "cpu": measured[-1]["cpu"], "instruction_sets": [flag for flag in known if flag in flags],
        "moefy_kernels": measured[-1]["instruction_set"],
        "bandwidth_gigabytes": statistics.median(run["bandwidth_gigabytes"] for run in measured),
        "peak_gflops": statistics.median(run["peak_gflops"] for run in measured),
        "threads": options.threads, "turns": options.turns, "moefy": version,
        "versions": {name: importlib.metadata.version(name) for name in PACKAGES},
    }


def set_defaults(options):
    """Real models and texts, where MOEFY_MODELS and MOEFY_SHARED have those that tests use."""
    models, shared = (pathlib.Path(os.environ.get(name, "/nowhere"))
                      for name in ("MOEFY_MODELS", "MOEFY_SHARED"))
    defaults = {"encoder": models / "all-minilm-l6-v2", "llama": models / "smollm2-135m-instruct",
                "gguf": models / "smollm2-135m-instruct.Q4_1.gguf",
                "texts": shared / "data/sst2/dev.tsv"}
    if options.llama:
        del defaults["gguf"]  # it is another model's
    for name, path in defaults.items():
        if getattr(options, name) is None and path.exists():
            setattr(options, name, path)


def parse():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("cases", nargs="+", choices=["all", *cases.CASES])
    parser.add_argument("--moefy", type=pathlib.Path, required=True,
                        help="the program (default: build/release/bin/moefy, or $MOEFY)")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--turns", type=int, default=5)
    parser.add_argument("--repetitions", type=int, default=1,
                        help="of moefy within a turn, after one that warms up; its median counts")
    parser.add_argument("--weights", type=lambda text: text.split(","), default=list(WEIGHTS))
    parser.add_argument("--selection", default="similarity",
                        help="of split checkpoints, which are split at random here")
    parser.add_argument("--expert-size", type=int, default=32)
    parser.add_argument("--shape", choices=cases.T5_SHAPES, default="t5-large", help="of the case t5")
    parser.add_argument("--ratio", type=float, default=0.25,
                        help="share of each FFN in the cases t5, bert and llama-1b")
    parser.add_argument("--encoder", type=pathlib.Path,
                        help="checkpoint of the case minilm, of BERT's layout (default: in "
                        "$MOEFY_MODELS, as --llama and --gguf)")
    parser.add_argument("--texts", type=pathlib.Path,
                        help="what it reads: a text a line, or a .tsv with a head, its last column "
                        "(default: SST-2 in $MOEFY_SHARED)")
    parser.add_argument("--encoder-ratio", type=float, default=0.3)
    parser.add_argument("--llama", type=pathlib.Path,
                        help="checkpoint of the case smollm, of LLaMA's layout")
    parser.add_argument("--gguf", type=pathlib.Path, help="the same model for llama.cpp")
    parser.add_argument("--llama-ratio", type=float, default=0.5)
    parser.add_argument("--json", type=pathlib.Path, help="file for all times")
    parser.add_argument("--check", action="store_true",
                        help="also say how far the programs' outputs in F32 are apart")
    parser.add_argument("--prepare", action="store_true", help="only make the models")
    options = parser.parse_args()
    if not options.moefy.is_file():
        parser.error(f"there is no program {options.moefy}; build it, or give --moefy")
    set_defaults(options)
    if "all" in options.cases:
        options.cases = list(cases.CASES)
    options.moefy = Moefy(options.moefy, options.threads)
    return options


def main():
    options = parse()
    report = []
    for name in options.cases:
        case = cases.CASES[name](options)
        if case is None:
            print(f"{name}: left out, no model was given", file=sys.stderr)
            continue
        table = Table()
        for turn in range(0 if options.prepare else options.turns):
            print(f"{name}: turn {turn + 1} of {options.turns}", file=sys.stderr)
            for entrant in case.entrants:
                entrant(table)
        if options.prepare:
            continue
        checks = [line for check in case.checks for line in check()] if options.check else []
        report.append({"case": name, "title": case.title, "rows": table.rows(), "checks": checks})
        print_rows(case.title, case.note, table.rows())
        for line in checks:
            print(f"\n{line}")
    if options.prepare or not report:
        return
    print_summary(report)
    machine = describe_machine(options)
    versions = ", ".join(f"{name} {version}" for name, version in machine["versions"].items())
    print(f"\n{machine['cpu']} ({', '.join(machine['instruction_sets'])}), "
          f"{machine['bandwidth_gigabytes']:.1f} GB/s, {machine['peak_gflops']:.0f} GFLOP/s, "
          f"{machine['threads']} threads, {machine['turns']} turns; {machine['moefy']}, {versions}")
    if options.json:
        options.json.write_text(json.dumps({"machine": machine, "cases": report}, indent=1) + "\n",
                                encoding="utf-8")


if __name__ == "__main__":
    main()
