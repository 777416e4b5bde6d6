"""Fine-tuning and calibration through the program: what comes out, going on, what is refused.

usage: training_test.py MOEFY SOURCE_DIR [CLASS...]
"""
import json
import shutil
import signal
import struct
import subprocess
import sys
import time
import unittest

from cli_test import EXAMPLE, MOEFY, PICO, SOURCE, Case, read_safetensors, run
from tasks_test import causal_model

TASKS = SOURCE / "tests/data/tasks"
SENTIMENT = ["--task", EXAMPLE / "sentiment.json", "--limit", 200, "--batch-size", 8]


def changed(a, b):
    """Names of tensors that differ."""
    before, after = read_safetensors(a / "model.safetensors"), read_safetensors(b / "model.safetensors")
    assert before.keys() == after.keys()
    return {name for name in before if before[name] != after[name]}


def many(directory, task, copies=12):
    """A tiny task's files with their rows repeated, to have a tenth to hold out."""
    spec = json.loads((TASKS / task).read_text())
    for split in spec["splits"].values():
        text = (TASKS / split["file"]).read_text()
        head = ""
        if spec["format"] in ("tsv", "csv") and "header" not in spec:
            head, text = text.split("\n", 1)
            head += "\n"
        text = head + text * copies
        if spec["format"] == "squad":
            data = json.loads((TASKS / split["file"]).read_text())
            data["data"] *= copies
            text = json.dumps(data)
        (directory / split["file"]).write_text(text)
    (directory / task).write_text(json.dumps(spec))
    return directory / task


class Finetune(Case):
    def test_trains_kinds_of_tasks_and_what_comes_out_runs(self):
        for task, split in (("letters.json", "eval"), ("sums.json", "eval"), ("race.json", "eval")):
            with self.subTest(task):
                out = self.dir / f"out-{task}"
                document = self.json("finetune", EXAMPLE / "model", "--task", many(self.dir, task),
                                     "--split", split, "--steps", 2, "--batch-size", 4,
                                     "--learning-rate", "1e-3", "--out", out)
                self.assertGreater(document["sequences"], 10)
                self.assertLess(document["history"][-1]["held_out_loss"],
                                document["history"][0]["held_out_loss"])
                self.json("eval", out, "--task", TASKS / task)

    def test_from_scratch_needs_no_weights(self):
        bare = self.dir / "bare"
        bare.mkdir()
        for name in ("config.json", "spiece.model", "tokenizer_config.json"):
            shutil.copy(EXAMPLE / "model" / name, bare)
        document = self.json("finetune", bare, "--from-scratch", *SENTIMENT, "--steps", 6,
                             "--learning-rate", "1e-3", "--optimizer", "muon", "--out",
                             self.dir / "out")
        self.assertGreater(document["history"][0]["held_out_loss"], 2)
        self.assertLess(document["history"][-1]["held_out_loss"],
                        document["history"][0]["held_out_loss"])
        self.json("eval", self.dir / "out", "--task", EXAMPLE / "sentiment.json", "--limit", 20)

    def test_trains_only_what_it_is_told_to(self):
        args = ["finetune", EXAMPLE / "model", *SENTIMENT, "--steps", 1, "--learning-rate", "1e-2",
                "--evaluate-every", 1]
        self.succeed(*args, "--train", "w-out", "--out", self.dir / "w-out")
        names = changed(EXAMPLE / "model", self.dir / "w-out")
        self.assertTrue(all(name.endswith("wo.weight") for name in names), names)
        self.succeed(*args, "--lora-rank", 2, "--train", "ffn", "--out", self.dir / "lora")
        names = changed(EXAMPLE / "model", self.dir / "lora")
        self.assertTrue(all("DenseReluDense" in name for name in names), names)

    def interrupted(self, *args):
        """True when a training that writes `out` was stopped, false when it was done before."""
        process = subprocess.Popen([MOEFY, *map(str, args)], stdout=subprocess.PIPE,
                                   stderr=subprocess.PIPE, text=True)
        state = self.dir / "out.training" / "state.json"
        deadline = time.monotonic() + 120
        while not state.exists() and time.monotonic() < deadline:
            time.sleep(0.02)
        process.send_signal(signal.SIGINT)
        _, stderr = process.communicate(timeout=120)
        if process.returncode == 0:
            return False
        self.assertEqual(process.returncode, 130, stderr)
        self.assertIn("goes on from there", stderr)
        return True

    def test_goes_on_after_an_interruption(self):
        args = ["finetune", EXAMPLE / "model", *SENTIMENT, "--steps", 60, "--threads", 1,
                "--evaluate-every", 10, "--out", self.dir / "out"]
        if self.interrupted(*args):
            self.refuse(2, ["learning_rate was", "--force"], *args, "--learning-rate", "0.5")
            document = json.loads(self.succeed(*args, "--json", "--quiet").stdout)
            self.assertGreater(document["first_step"], 0)
        self.assertFalse((self.dir / "out.training").exists())
        self.succeed(*args[:-1], self.dir / "whole")
        self.assertEqual(changed(self.dir / "out", self.dir / "whole"), set())

    def test_device(self):
        """Where there is no CUDA, asking for it gives what the CPU gives, and a warning."""
        args = ["finetune", EXAMPLE / "model", *SENTIMENT, "--steps", 20, "--threads", 1,
                "--evaluate-every", 2]
        self.refuse(2, "unknown device 'gpu'; expected cpu, cuda or cuda:N", *args, "--device",
                    "gpu", "--out", self.dir / "out")
        for name, device in (("cpu", []), ("cuda", ["--device", "cuda"])):
            result = self.succeed(*args, *device, "--out", self.dir / name)
            if device and "no CUDA in this LibTorch" not in result.stderr:
                return  # there is a GPU: its figures differ in their last digits
            self.assertEqual("no CUDA in this LibTorch; running on the CPU" in result.stderr,
                             bool(device), result.stderr)
        self.assertEqual(changed(self.dir / "cpu", self.dir / "cuda"), set())
        # A training may go on elsewhere.
        out = ["--out", self.dir / "out"]
        if self.interrupted(*args, "--device", "cuda", *out):
            document = json.loads(self.succeed(*args, *out, "--json").stdout)
            self.assertGreater(document["first_step"], 0)
        self.assertEqual(changed(self.dir / "cpu", self.dir / "out"), set())

    def test_mistakes(self):
        out = ["--out", self.dir / "out"]
        self.refuse(2, "--task", "finetune", "no-model", *out)
        self.refuse(2, "--out", "finetune", "no-model", *SENTIMENT)
        self.refuse(2, "--learning-rate is -1", "finetune", "no-model", *SENTIMENT,
                    "--learning-rate", -1, *out)
        self.refuse(2, "--train is 'heads'", "finetune", EXAMPLE / "model", *SENTIMENT, "--train",
                    "heads", *out)
        self.refuse(3, "at least 10", "finetune", "no-model", "--task", TASKS / "sums.json",
                    "--split", "eval", *out)


class NewHead(Case):
    """Encoders that were made for something else."""

    def encoder(self, pico, drop, rename=lambda name: name, **config):
        """A pico encoder without some tensors, with others' names changed, and a vocabulary."""
        directory = self.dir / "encoder"
        shutil.rmtree(directory, ignore_errors=True)
        directory.mkdir()
        changed_config = json.loads((PICO / pico / "config.json").read_text()) | config
        (directory / "config.json").write_text(json.dumps(changed_config))
        header, data = {}, b""
        for name, (shape, values) in read_safetensors(PICO / pico / "model.safetensors").items():
            if name.startswith(drop):
                continue
            header[rename(name)] = {"dtype": "F32", "shape": shape,
                                    "data_offsets": [len(data), len(data) + len(values)]}
            data += values
        text = json.dumps(header).encode()
        (directory / "model.safetensors").write_bytes(struct.pack("<Q", len(text)) + text + data)
        letters = [chr(letter) for letter in range(ord("a"), ord("z") + 1)]
        pieces = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *letters]
        pieces += [f"##{letter}" for letter in letters]
        pieces += [f"[unused{i}]" for i in range(changed_config["vocab_size"] - len(pieces))]
        (directory / "vocab.txt").write_text("\n".join(pieces) + "\n")
        return directory

    def learn(self, encoder, task, *args, steps=20, rate="1e-3"):
        """The config and tensors that come out, and what was said."""
        out = self.dir / "out"
        result = self.succeed("finetune", encoder, "--task", many(self.dir, task, 40), "--split",
                              "eval", "--steps", steps, "--batch-size", 8, "--learning-rate",
                              rate, "--evaluate-every", 20, *args, "--out", out, "--force")
        self.json("eval", out, "--task", TASKS / task)
        return (json.loads((out / "config.json").read_text()),
                read_safetensors(out / "model.safetensors"), result.stderr)

    def test_is_made_where_there_is_none(self):
        rows = (("bert-cls-gelu", ("classifier",), "BertForMaskedLM", "moods.json",
                 ["classifier.bias", "classifier.weight"], "BertForSequenceClassification",
                 ["sad", "glad"]),
                ("bert-cls-gelu", ("classifier", "bert.pooler"), None, "follows.json",
                 ["bert.pooler.dense.bias", "bert.pooler.dense.weight", "classifier.bias",
                  "classifier.weight"], "BertForSequenceClassification", ["false", "true"]),
                ("distilbert-cls-gelu", ("classifier", "pre_classifier"), "DistilBertForMaskedLM",
                 "moods.json", ["classifier.bias", "classifier.weight", "pre_classifier.bias",
                                "pre_classifier.weight"],
                 "DistilBertForSequenceClassification", ["sad", "glad"]))
        for pico, drop, architecture, task, names, made, labels in rows:
            with self.subTest(f"{pico} {architecture} {task}"):
                encoder = self.encoder(pico, drop, architectures=architecture and [architecture])
                self.refuse(3, ["cannot answer", "finetune --new-head"], "eval", encoder, "--task", TASKS / task)
                config, tensors, stderr = self.learn(encoder, task)
                self.assertIn(f"the head is new: {', '.join(names)} begin with random weights",
                              stderr)
                self.assertEqual(config["architectures"], [made])
                self.assertEqual(config["num_labels"], 2)
                self.assertEqual(config["id2label"], {"0": labels[0], "1": labels[1]})
                self.assertEqual(config["label2id"], {labels[0]: 0, labels[1]: 1})
                self.assertEqual(tensors["classifier.bias"][0], [2])
                self.assertEqual(tensors.keys() - names,
                                 read_safetensors(encoder / "model.safetensors").keys() - names)

    def test_gets_the_names_of_today(self):
        def old(name):
            name = name.removeprefix("bert.")
            for now, then in (("weight", "gamma"), ("bias", "beta")):
                name = name.replace(f"LayerNorm.{now}", f"LayerNorm.{then}")
            return name

        encoder = self.encoder("bert-cls-gelu", ("classifier",), old, architectures=["BertModel"])
        _, tensors, _ = self.learn(encoder, "moods.json")
        self.assertEqual(tensors.keys(),
                         read_safetensors(PICO / "bert-cls-gelu/model.safetensors").keys())

    def test_of_other_labels_is_made_when_asked_for(self):
        encoder = self.encoder("bert-cls-gelu", ("no such",))
        task = many(self.dir, "moods.json")
        self.refuse(3, ["has 2 labels", "head has 5", "--new-head makes one with 2"], "finetune",
                    encoder, "--task", task, "--split", "eval", "--out", self.dir / "out")
        _, tensors, _ = self.learn(encoder, "moods.json", "--new-head")
        self.assertEqual(tensors["classifier.weight"][0], [2, 48])
        # All that is trained besides are the low ranks.
        _, tensors, _ = self.learn(encoder, "moods.json", "--new-head", "--lora-rank", 2, "--train",
                                   "w-out", "--seed", 1, steps=40, rate="3e-2")
        before = read_safetensors(encoder / "model.safetensors")
        different = {name for name in tensors if tensors[name] != before[name]}
        self.assertEqual({name for name in different if "output.dense.weight" not in name},
                         {"classifier.weight", "classifier.bias"})
        self.assertEqual(len(different), 3 + 2)

    def test_of_spans(self):
        encoder = self.encoder("bert-cls-gelu", ("no such",))
        config, tensors, stderr = self.learn(encoder, "squad.json")
        self.assertIn("the head is new: qa_outputs.bias, qa_outputs.weight", stderr)
        self.assertEqual(config["architectures"], ["BertForQuestionAnswering"])
        self.assertNotIn("id2label", config)
        self.assertEqual(tensors["qa_outputs.weight"][0], [2, 48])
        self.assertNotIn("classifier.weight", tensors)

    def test_from_scratch_is_the_tasks(self):
        encoder = self.encoder("bert-cls-gelu", ("",), architectures=["BertForMaskedLM"])
        config, _, stderr = self.learn(encoder, "moods.json", "--from-scratch")
        self.assertEqual(config["num_labels"], 2)
        self.assertNotIn("the head is new", stderr)

    def test_is_for_encoders(self):
        self.refuse(2, ["--new-head makes heads of encoders", "'sentiment'"], "finetune",
                    EXAMPLE / "model", *SENTIMENT, "--new-head", "--out", self.dir / "out")


class Sparsify(Case):
    ARGS = ["sparsify", EXAMPLE / "model", *SENTIMENT, "--steps", 2]

    def test_presses_a_models_neurons_to_silence_and_what_comes_out_converts(self):
        out = self.dir / "sparse"
        document = self.json(*self.ARGS, "--active", 0.001, "--out", out)
        self.assertEqual(document["activation"], "relu")
        self.assertEqual(document["original"]["activation"], "relu")
        self.assertEqual(len(document["original"]["active"]), len(document["ffns"]))
        for point in document["history"]:
            self.assertTrue(all(0 < share < 1 for share in point["active"]), point)
        self.json("split", out, "--expert-size", 16, "--out", self.dir / "moe")

    def test_learns_from_a_text_and_says_what_it_did(self):
        text = self.dir / "text.txt"
        text.write_text("".join(f"The {i}. cat sat on a mat and saw {i + 1} dogs.\n"
                                for i in range(400)))
        out = self.dir / "sparse"
        result = self.succeed("sparsify", causal_model(self.dir / "causal"), "--text", text,
                              "--activation", "relu2", "--lora-rank", 2, "--steps", 2,
                              "--batch-size", 2, "--batch-tokens", 64, "--active", 1, "--out", out)
        self.assertIn("relu2 in place of relu", result.stdout)
        self.assertIn("the original has perplexity", result.stdout)
        self.assertIn(f"moefy record {out} --text {text}", result.stdout + result.stderr)
        config = json.loads((out / "config.json").read_text())
        self.assertEqual(config["activation_function"], "relu2")
        self.json("eval", out, "--task", TASKS / "tales.json")

    def test_mistakes(self):
        out = ["--out", self.dir / "out"]
        self.refuse(2, "either --task or --text", "sparsify", EXAMPLE / "model", *out)
        self.refuse(2, "--out", *self.ARGS)
        self.refuse(2, ["--activation is 'rleu'", "relu, relu2, relu_both, keep"], *self.ARGS,
                    "--activation", "rleu", *out)
        self.refuse(2, "--active is 2", *self.ARGS, "--active", 2, *out)


class Calibrate(Case):
    def setUp(self):
        super().setUp()
        self.moe = self.dir / "moe"
        self.succeed("split", EXAMPLE / "model", "--expert-size", 32, "--out", self.moe)

    def test_changes_weights_and_says_so(self):
        out = self.dir / "out"
        document = self.json("calibrate", self.moe, *SENTIMENT, "--steps", 4, "--selection",
                             "similarity", "--ffn-ratio", "0.25,0.5", "--distill", 0.5,
                             "--distill-ffn", 0.1, "--learning-rate", "1e-3", "--evaluate-every", 2,
                             "--train", "w-out", "--out", out)
        self.assertEqual(document["ffn_ratios"], [0.25, 0.5])
        self.assertEqual([point["step"] for point in document["history"]], [0, 2, 4])
        self.assertEqual(len(document["history"][0]["metrics"]), 2)
        entry = json.loads((out / "moefy.json").read_text())["calibration"][-1]
        self.assertEqual((entry["kind"], entry["ffn_ratios"], entry["selection"]),
                         ("gradient", [0.25, 0.5], "similarity"))
        self.assertEqual(changed(self.moe, out), set(entry["tensors"]))
        self.assertGreater(document["best"], 0)  # or nothing would have changed
        verify = run("verify", EXAMPLE / "model", out)
        self.assertEqual(verify.returncode, 1)
        self.assertIn("calibrated by gradient at ffn ratio 0.25, 0.5", verify.stdout + verify.stderr)
        self.json("eval", out, "--dense", EXAMPLE / "model", "--task", EXAMPLE / "sentiment.json",
                  "--limit", 20, "--selection", "similarity", "--ffn-ratio", 0.25)
        # The parent is not in there any more.
        self.refuse(2, "--dense", "calibrate", out, *SENTIMENT, "--selection", "similarity",
                    "--distill", 0.5, "--out", self.dir / "again")

    def test_single_neurons(self):
        """First products choose by weights that the training changes, and choose by them again when
        the result runs: it is nearer to dense than before."""
        one, dump, routed, out = (self.dir / name for name in ("one", "dump", "routed", "out"))
        task = ["--task", EXAMPLE / "sentiment.json", "--limit", 200]
        self.succeed("split", EXAMPLE / "model", "--expert-size", 1, "--out", one)
        self.succeed("record", EXAMPLE / "model", *task, "--out", dump)
        self.succeed("route-train", one, "--dump", dump, "--no-output-fit", "--out", routed)
        self.succeed("calibrate", routed, *SENTIMENT, "--selection", "stored", "--ffn-ratio", 0.02,
                     "--distill", 1, "--dense", EXAMPLE / "model", "--steps", 30, "--train", "ffn",
                     "--learning-rate", "1e-3", "--out", out)
        divergences = []
        for model in (routed, out):
            report = self.json("eval", model, "--dense", EXAMPLE / "model", *task, "--selection",
                               "stored", "--ffn-ratio", 0.02)
            divergences.append(report["reports"][0]["rows"][-1]["kl_from_dense"]["value"])
        self.assertLess(divergences[1], 0.8 * divergences[0])

    def test_device(self):
        """As for finetune."""
        args = ["calibrate", self.moe, *SENTIMENT, "--steps", 2, "--selection", "similarity",
                "--distill", 0.5, "--learning-rate", "1e-3"]
        for name, device in (("cpu", []), ("cuda", ["--device", "cuda"])):
            result = self.succeed(*args, *device, "--out", self.dir / name)
            if device and "no CUDA in this LibTorch" not in result.stderr:
                return
            self.assertEqual("no CUDA in this LibTorch; running on the CPU" in result.stderr,
                             bool(device), result.stderr)
        self.assertEqual(changed(self.dir / "cpu", self.dir / "cuda"), set())

    def test_says_when_nothing_was_better(self):
        out = self.dir / "out"
        result = self.succeed("calibrate", self.moe, *SENTIMENT, "--steps", 1, "--selection",
                              "similarity", "--learning-rate", "1e-30", "--out", out)
        self.assertIn("the weights are unchanged", result.stderr)
        self.assertEqual(changed(self.moe, out), set())
        self.assertNotIn("calibration", json.loads((out / "moefy.json").read_text()))
        self.assertTrue(self.json("verify", EXAMPLE / "model", out)["equal"])

    def test_in_a_recipe(self):
        recipe = self.dir / "recipe.json"
        task = str(EXAMPLE / "sentiment.json")
        recipe.write_text(json.dumps({
            "model": str(EXAMPLE / "model"),
            "record": {"task": [task], "limit": 60},
            "split": [{"expert_size": 32}],
            "route": [{"preset": "paper", "epochs": 1}, {"preset": "fast"}],
            "calibrate": {"task": task, "limit": 100, "steps": 2, "ffn_ratio": [0.25],
                          "device": "cuda"},
            "eval": {"task": [task], "limit": 40, "ffn_ratio": [0.25],
                     "selection": ["stored"]}}))
        out = self.dir / "out"
        document = self.json("convert", recipe, "--out", out)["conversions"][0]
        self.assertEqual([stage["name"] for stage in document["stages"]][-5:],
                         ["route-train kmeans-paper", "calibrate kmeans-paper",
                          "route-train kmeans-fast", "calibrate kmeans-fast", "eval"])
        self.assertEqual([(row.get("model", ""), row["selection"])
                          for row in document["reports"][0]["rows"]],
                         [("", "dense"), ("", "packed"), ("moe-kmeans-paper", "mlp"),
                          ("calibrated-kmeans-paper", "mlp"), ("moe-kmeans-fast", "ridge"),
                          ("calibrated-kmeans-fast", "ridge")])
        again = self.json("convert", recipe, "--out", out)["conversions"][0]
        self.assertTrue(all(stage["kept"] for stage in again["stages"]))

    def test_mistakes(self):
        args = ["calibrate", self.moe, *SENTIMENT, "--out", self.dir / "out"]
        self.refuse(2, "route-train", *args, "--selection", "mlp")
        self.refuse(2, "--distill is 2", *args, "--distill", 2)
        self.refuse(2, "ffn ratio is 1.5", *args, "--ffn-ratio", 1.5)
        self.refuse(2, "calibrate", "finetune", self.moe, *SENTIMENT, "--out", self.dir / "out")


if __name__ == "__main__":
    unittest.main(argv=[sys.argv[0], *sys.argv[3:]])
