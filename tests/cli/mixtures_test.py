"""Mixtures of experts whose experts are split further, through the program: recorded, routed, run,
measured, converted, undone. On the pico models of MOEFY_SHARED, with a vocabulary of made-up words.

usage: mixtures_test.py MOEFY SOURCE_DIR [CLASS...]
"""
import array
import json
import random
import shutil
import struct
import sys
import unittest

from cli_test import SHARED, Case, read_safetensors

GOLDENS = SHARED / "goldens"
# Where it lies, the size of experts, and what runs per token: layers with a mixture, experts of a
# mixture that run, FFNs that see every token (shared ones, and those of dense layers).
MIXTURES = [("mixtral/e6k2", 13, [0, 1], 2, []),
            ("qwen2_moe/no-norm", 2, [0, 2], 3, ["ffn.0.shared", "ffn.1", "ffn.2.shared"]),
            ("olmoe/no-norm", 4, [0, 1], 3, [])]
TEXTS, WORDS = 40, 24


def floats(tensor):
    return array.array("f", tensor[1])


def rows(values, width):
    return [tuple(values[i:i + width]) for i in range(0, len(values), width)]


def near(a, b):
    return all(abs(x - y) < 1e-5 for x, y in zip(a, b))


class Converted(Case):
    def make_model(self, name):
        """The model, with a tokenizer of a word an id, texts to record, and a task."""
        model = self.dir / name.split("/")[0]
        model.mkdir()
        for file in ("config.json", "model.safetensors"):
            shutil.copy(GOLDENS / name / file, model / file)
        vocabulary = json.loads((model / "config.json").read_text())["vocab_size"]
        words = ["<unk>", "<s>", "</s>", *(f"w{i}" for i in range(3, vocabulary))]
        (model / "tokenizer.json").write_text(json.dumps({
            "pre_tokenizer": {"type": "WhitespaceSplit"},
            "model": {"type": "WordLevel", "unk_token": "<unk>",
                      "vocab": {word: i for i, word in enumerate(words)}}}))
        (model / "tokenizer_config.json").write_text('{"tokenizer_class": "PreTrainedTokenizerFast"}')
        generator = random.Random(1)
        self.ids = [[generator.randrange(3, vocabulary) for _ in range(WORDS)] for _ in range(TEXTS)]
        self.text = self.dir / "train.txt"
        self.text.write_text("".join(" ".join(f"w{i}" for i in ids) + "\n" for ids in self.ids))
        self.task = self.dir / "task.json"
        self.task.write_text(json.dumps({
            "name": "words", "kind": "language_modelling", "format": "text",
            "splits": {"train": {"file": "train.txt"}, "eval": {"file": "train.txt"}}}))
        return model

    def check_dump(self, model, dump, layers, chosen, whole):
        """Each expert's recorded inputs are those of the tokens that the mixture's router gives it,
        by its scores on the same ids: computed here, not by what recorded them."""
        flat = [i for ids in self.ids for i in ids]
        header = json.dumps({"input_ids": {"dtype": "I64", "shape": [TEXTS, WORDS],
                                           "data_offsets": [0, 8 * len(flat)]}}).encode()
        (self.dir / "ids").write_bytes(struct.pack("<Q", len(header)) + header +
                                       struct.pack(f"<{len(flat)}q", *flat))
        self.succeed("run", model, "--tensors", self.dir / "ids", "--ffn-taps", "--out",
                     self.dir / "taps")
        taps = read_safetensors(self.dir / "taps")
        document = json.loads((dump / "dump.json").read_text())
        recorded = {}
        for ffn in document["ffns"]:
            values = array.array("f")
            for shard in ffn["shards"]:
                values.extend(floats(read_safetensors(dump / shard)["ffn_input"]))
            recorded[ffn["name"]] = sorted(rows(values, ffn["hidden"]))
            self.assertEqual(len(recorded[ffn["name"]]), ffn["tokens"])
        for layer in layers:
            (inputs, scores) = (taps[f"moe.{layer}.{what}"] for what in ("input", "router_logits"))
            tokens = rows(floats(inputs), inputs[0][-1])
            given = {}
            for token, row in zip(tokens, rows(floats(scores), scores[0][-1])):
                for expert in sorted(range(len(row)), key=lambda e: -row[e])[:chosen]:
                    given.setdefault(expert, []).append(token)
            self.assertGreater(len({len(of) for of in given.values()}), 1)
            for expert, of in given.items():
                found = recorded.pop(f"ffn.{layer}.expert.{expert}")
                self.assertEqual(len(found), len(of))
                self.assertTrue(all(map(near, found, sorted(of))), (layer, expert))
        self.assertEqual(sorted(recorded), sorted(whole))
        for found in recorded.values():
            self.assertEqual(len(found), TEXTS * WORDS)

    def test_the_whole_chain(self):
        for name, size, layers, chosen, whole in MIXTURES:
            with self.subTest(name):
                model = self.make_model(name)
                dump, split, moe = (self.dir / f"{model.name}-{what}"
                                    for what in ("dump", "split", "moe"))
                self.succeed("record", model, "--text", self.text, "--out", dump)
                self.check_dump(model, dump, layers, chosen, whole)
                shutil.rmtree(self.dir / "taps", ignore_errors=True)
                (self.dir / "taps").unlink(missing_ok=True)
                self.succeed("split", model, "--expert-size", size, "--out", split)
                self.succeed("route-train", split, "--dump", dump, "--preset", "fast", "--out", moe)
                self.assertTrue(self.json("verify", model, moe)["equal"])
                report = self.json("eval", moe, "--dense", model, "--task", self.task, "--ffn-ratio",
                                   "0.5,1", "--selection", "stored,stored:threshold")["reports"][0]
                dense = report["rows"][0]["perplexity"]["value"]
                rows_of = {ratio: [row for row in report["rows"] if row["model"] == moe.name and
                                   row["ffn_ratio"] == ratio] for ratio in (0.5, 1)}
                self.assertEqual([len(found) for found in rows_of.values()], [2, 2])
                for row in rows_of[1]:
                    self.assertLess(abs(row["perplexity"]["value"] / dense - 1), 1e-5)
                for row in rows_of[0.5]:
                    self.assertLess(abs(row["measured_ffn_ratio"] - 0.5), 0.1)
                    self.assertGreater(abs(row["perplexity"]["value"] / dense - 1), 1e-4)
                more = ("--max-new-tokens", 4, "w5 w6 w7")
                self.assertEqual(
                    self.succeed("run", moe, "--selection", "stored", "--ffn-ratio", 1, *more).stdout,
                    self.succeed("run", model, *more).stdout)
                self.succeed("merge", moe, "--out", self.dir / "back")
                self.assertEqual((self.dir / "back/model.safetensors").read_bytes(),
                                 (model / "model.safetensors").read_bytes())
                shutil.rmtree(self.dir / "back")
                for form in ("mixtral", "qwen2-moe", "gguf"):
                    self.refuse(3, ["cannot be exported as " + form, "experts inside of experts",
                                    "--format transformers", "moefy merge"], "export", moe,
                                "--format", form, "--ffn-ratio", 0.5, "--out", self.dir / "export")

    def test_convert_without_a_recipe(self):
        model = self.make_model("mixtral/e6k2")
        out = self.dir / "out"
        plan = self.succeed("convert", model, "--task", self.task, "--dry-run").stdout
        self.assertIn("12 FFNs of 52 neurons", plan)
        self.succeed("convert", model, "--task", self.task, "--out", out)
        report = json.loads((out / "eval.json").read_text())[0]
        for row in report["rows"]:
            if row["ffn_ratio"] == 0.5:
                self.assertLess(abs(row["measured_ffn_ratio"] - 0.5), 0.05)
        self.succeed("report", out)

    def test_experts_without_tokens(self):
        """One short text leaves experts out: record warns, and route-train names them all."""
        model = self.make_model("olmoe/no-norm")
        text, dump, split = (self.dir / what for what in ("one.txt", "dump", "split"))
        text.write_text("w5\n")
        self.assertIn("16 of 16 FFNs got fewer than 64 tokens",
                      self.succeed("record", model, "--text", text, "--out", dump).stderr)
        self.succeed("split", model, "--expert-size", 4, "--out", split)
        counts = {ffn["name"]: ffn["tokens"] for ffn in
                  json.loads((dump / "dump.json").read_text())["ffns"]}
        empty = [name for name, tokens in counts.items() if tokens == 0]
        self.assertGreater(len(empty), 5)
        self.refuse(3, ["holds no token of", "record more text", *map(repr, empty)], "route-train",
                    split, "--dump", dump, "--out", self.dir / "moe")


if __name__ == "__main__":
    if not GOLDENS.exists():
        print(f"skipped: needs {GOLDENS} (set MOEFY_SHARED to find it)")
        sys.exit(77)
    unittest.main(argv=[sys.argv[0], *sys.argv[3:]], verbosity=2)
