"""Fine-tuning and calibration through the program: what comes out, going on, what is refused.

usage: training_test.py MOEFY SOURCE_DIR [CLASS...]
"""
import json
import shutil
import signal
import subprocess
import sys
import time
import unittest

from cli_test import EXAMPLE, MOEFY, SOURCE, Case, read_safetensors, run

TASKS = SOURCE / "tests/data/tasks"
SENTIMENT = ["--task", EXAMPLE / "sentiment.json", "--limit", 200, "--batch-size", 8]


def changed(a, b):
    """Names of tensors that differ."""
    before, after = read_safetensors(a / "model.safetensors"), read_safetensors(b / "model.safetensors")
    assert before.keys() == after.keys()
    return {name for name in before if before[name] != after[name]}


class Finetune(Case):
    def many(self, task, copies=12):
        """A tiny task's files with their rows repeated, to have a tenth to hold out."""
        spec = json.loads((TASKS / task).read_text())
        for split in spec["splits"].values():
            text = (TASKS / split["file"]).read_text()
            head = ""
            if spec["format"] in ("tsv", "csv") and "header" not in spec:
                head, text = text.split("\n", 1)
                head += "\n"
            (self.dir / split["file"]).write_text(head + text * copies)
        (self.dir / task).write_text(json.dumps(spec))
        return self.dir / task

    def test_trains_kinds_of_tasks_and_what_comes_out_runs(self):
        for task, split in (("letters.json", "eval"), ("sums.json", "eval"), ("race.json", "eval")):
            with self.subTest(task):
                out = self.dir / f"out-{task}"
                document = self.json("finetune", EXAMPLE / "model", "--task", self.many(task), "--split",
                                     split, "--steps", 2, "--batch-size", 4, "--learning-rate",
                                     "1e-3", "--out", out)
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
            "route": {"epochs": 1},
            "calibrate": {"task": task, "limit": 100, "steps": 2, "ffn_ratio": [0.25],
                          "device": "cuda"},
            "eval": {"task": [task], "limit": 40, "ffn_ratio": [0.25], "selection": ["mlp"]}}))
        out = self.dir / "out"
        document = self.json("convert", recipe, "--out", out)["conversions"][0]
        self.assertEqual([stage["name"] for stage in document["stages"]][-2:],
                         ["calibrate kmeans", "eval"])
        self.assertEqual([row.get("model", "") for row in document["reports"][0]["rows"]],
                         ["", "moe-kmeans", "calibrated-kmeans"])
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
