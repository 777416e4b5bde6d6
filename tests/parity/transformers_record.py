"""scripts/record_hf.py against `moefy record`: what enters each FFN of pico models with vocabularies
of letters, by Transformers and by moefy, on the same texts. And a split that is routed with such a
dump, and exported.

usage: transformers_record.py MOEFY SOURCE_DIR

Needs torch, transformers and numpy, in this Python or the one that
MOEFY_TRANSFORMERS names; without them it says so and exits 77, which ctest takes for skipped.
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

SOURCE = pathlib.Path(sys.argv[2]).resolve()
sys.path.insert(0, str(SOURCE / "bench/peers"))
from checkpoints import read_safetensors  # noqa: E402

LETTERS = "abcdefghijklmnopqrstuvwxyz"
TOLERANCE = 1e-4
TEXTS = ["the soup was warm and the waiter kind", "nobody liked the room",
         "it was not bad at all , but the stairs were steep and the door would not close", "good"]


def run(*command, fails=False):
    done = subprocess.run([str(part) for part in command], capture_output=True, text=True,
                          check=False)
    if (done.returncode != 0) != fails:
        sys.exit(f"{command}: exit {done.returncode}\n{done.stdout}{done.stderr}")
    return done.stdout + done.stderr


def moefy(*arguments):
    return run(sys.argv[1], *arguments)


def record_hf(*arguments, fails=False):
    return run(sys.executable, "-B", SOURCE / "scripts/record_hf.py", *arguments, fails=fails)


def rows_of(dump):
    """The rows of each FFN by its name; moefy sorts texts by length, so their order is its own."""
    document = json.loads((dump / "dump.json").read_text(encoding="utf-8"))
    return {ffn["name"]: np.concatenate([read_safetensors(dump / file)["ffn_input"]
                                         for file in ffn["shards"]]) for ffn in document["ffns"]}


def compare(mine, theirs):
    assert list(mine) == list(theirs), (list(mine), list(theirs))
    largest = 0
    for name, rows in mine.items():
        assert rows.shape == theirs[name].shape, (name, rows.shape, theirs[name].shape)
        apart = np.abs(rows[:, None] - theirs[name][None]).max(-1)
        largest = max(largest, apart.min(0).max(), apart.min(1).max())
    return largest


def bert(directory):
    """A BERT whose words are letters."""
    shutil.copytree(SOURCE / "tests/data/pico/bert-cls-relu", directory)
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", ",", "the", "was", *LETTERS,
             *(f"##{letter}" for letter in LETTERS)]
    words += [f"[unused{index}]" for index in range(173 - len(words))]
    (directory / "vocab.txt").write_text("\n".join(words) + "\n", encoding="utf-8")
    (directory / "tokenizer_config.json").write_text(
        '{"tokenizer_class": "BertTokenizer", "do_lower_case": true}', encoding="utf-8")
    return directory


def bart(directory):
    """A BART whose tokens are letters, spaces and a few that are merged."""
    shutil.copytree(SOURCE / "tests/data/pico/bart-gelu", directory)
    merges = ["t h", "th e", "\u0120 the"]
    tokens = ["<s>", "<pad>", "</s>", "<unk>", "\u0120", ",", *LETTERS,
              *(merge.replace(" ", "") for merge in merges)]
    tokens += [f"<unused{index}>" for index in range(202 - len(tokens))] + ["<mask>"]
    (directory / "vocab.json").write_text(
        json.dumps({token: index for index, token in enumerate(tokens)}), encoding="utf-8")
    (directory / "merges.txt").write_text("#version: 0.2\n" + "\n".join(merges) + "\n",
                                          encoding="utf-8")
    (directory / "tokenizer_config.json").write_text('{"tokenizer_class": "BartTokenizer"}',
                                                     encoding="utf-8")
    return directory


def check_inspected(model, directory, text):
    """By the names that moefy gives its FFNs."""
    (directory / "model.json").write_text(moefy("inspect", model, "--json", "--quiet"),
                                          encoding="utf-8")
    moefy("record", model, *text, "--out", directory / "moefy", "--quiet")
    record_hf(model, *text, "--inspected", directory / "model.json", "--out", directory / "hf")
    largest = compare(rows_of(directory / "hf"), rows_of(directory / "moefy"))
    print(f"{model.name}: largest difference {largest:.2g}")
    assert largest < TOLERANCE, largest


def check_named(model, directory, text):
    """By names of tensors, as of a model that moefy does not know; one text at a time."""
    by_name = ["--ffn", "bert.encoder.layer.{}.intermediate.dense.weight:"
                        "bert.encoder.layer.{}.output.dense.weight"]
    loaded = ["--auto", "AutoModelForSequenceClassification"]
    record_hf(model, *text, *by_name, *loaded, "--out", directory / "named", "--batch", 1)
    named, known = rows_of(directory / "named"), rows_of(directory / "hf")
    assert compare(named, known) < TOLERANCE
    moefy("split", model, *by_name, "--experts", 4, "--out", directory / "split")
    moefy("route-train", directory / "split", "--dump", directory / "named", "--preset", "fast",
          "--out", directory / "moe")
    moefy("export", directory / "moe", "--format", "transformers", "--ffn-ratio", 0.5, "--out",
          directory / "exported")
    assert (directory / "exported/modeling_moefy.py").is_file()

    said = record_hf(model, *text, *by_name, *loaded, "--out", directory / "hf", fails=True)
    assert "is there already" in said, said
    said = record_hf(model, *text, *loaded, "--ffn", "layer.{}.dense", "--out", directory / "no",
                     fails=True)
    assert "no module 'layer.{}.dense' (there is bert.encoder" in said, said


def main():
    with tempfile.TemporaryDirectory() as scratch:
        scratch = pathlib.Path(scratch)
        (scratch / "text.txt").write_text("\n".join(TEXTS) + "\n", encoding="utf-8")
        text = ["--text", scratch / "text.txt"]
        for make in (bert, bart):
            directory = scratch / f"of-{make.__name__}"
            directory.mkdir()
            model = make(scratch / make.__name__)
            check_inspected(model, directory, text)
            if make is bert:
                check_named(model, directory, text)
    print("the dumps agree")


main()
