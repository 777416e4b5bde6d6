"""Nothing of the user's is lost: what --force replaces, where outputs may go, what is refused before
anything is written.

usage: safety_test.py MOEFY SOURCE_DIR [CLASS...]
"""
import json
import os
import pathlib
import shutil
import subprocess
import unittest

from cli_test import EXAMPLE, MOEFY, PICO, Case, run

SENTIMENT = EXAMPLE / "sentiment.json"


def tree(path):
    return {str(entry.relative_to(path)): entry.read_bytes() if entry.is_file() else None
            for entry in sorted(pathlib.Path(path).rglob("*"))}


class Force(Case):
    """Every command that writes, onto what is not moefy's."""

    def make_inputs(self):
        self.dense, self.moe, self.dump = self.dir / "dense", self.dir / "moe", self.dir / "dump"
        shutil.copytree(EXAMPLE / "model", self.dense)
        self.succeed("split", self.dense, "--expert-size", 32, "--out", self.moe)
        self.succeed("record", self.dense, "--task", SENTIMENT, "--limit", 10, "--out", self.dump)

    def directory_commands(self, out):
        task = ["--task", SENTIMENT, "--limit", 10]
        return [["split", self.dense, "--expert-size", 32, "--out", out],
                ["merge", self.moe, "--out", out],
                ["record", self.dense, *task, "--out", out],
                ["route-train", self.moe, "--dump", self.dump, "--preset", "fast", "--out", out],
                ["finetune", self.dense, *task, "--steps", 1, "--out", out],
                ["calibrate", self.moe, *task, "--steps", 1, "--out", out],
                ["sparsify", self.dense, *task, "--steps", 1, "--out", out],
                ["sparsity", self.dense, "--dump", self.dump, "--plots", out]]

    def test_what_is_not_moefys_stays(self):
        self.make_inputs()
        mine = self.dir / "mine"
        (mine / "runs").mkdir(parents=True)
        (mine / "runs/log.txt").write_text("y")
        (mine / "model.safetensors").write_text("weights")
        before = tree(mine)
        for command in self.directory_commands(mine):
            self.refuse(2, ["mine", "moefy did not write"], *command, "--force")
            self.refuse(2, ["exists already", "would not replace"], *command)
        self.assertEqual(tree(mine), before)

    def test_what_moefy_made_is_replaced_until_somebody_adds_to_it(self):
        self.make_inputs()
        for number, command in enumerate(self.directory_commands(self.dir / "out")):
            out = self.dir / f"out{number}"
            command = [out if part == self.dir / "out" else part for part in command]
            self.succeed(*command)
            self.succeed(*command, "--force")
            (out / "notes.txt").write_text("mine")
            self.refuse(2, ["notes.txt", "moefy did not write"], *command, "--force")
            if number > 0:
                continue
            (out / "notes.txt").unlink()
            (out / ".git").mkdir()
            (out / ".git/HEAD").write_text("mine")
            self.refuse(2, ["git work tree"], *command, "--force")
            self.assertEqual((out / ".git/HEAD").read_text(), "mine")

    def test_an_output_is_no_input(self):
        self.make_inputs()
        inputs = {"split": [self.dense], "merge": [self.moe], "record": [self.dense],
                  "route-train": [self.dump], "finetune": [self.dense], "calibrate": [self.moe],
                  "sparsify": [self.dense],
                  "sparsity": [self.dense, self.dump]}
        os.symlink(self.dense, self.dir / "link")
        before = tree(self.dir)
        for name, reads in inputs.items():
            for read in reads:
                for out, word in ((read, "is the input"), (read / "x", "lies in the input"),
                                  (self.dir, "holds the input")):
                    command = next(c for c in self.directory_commands(out) if c[0] == name)
                    named = [] if out == self.dir else [read.name]  # it holds others too
                    self.refuse(2, [word, *named], *command, "--force")
        self.refuse(2, "lies in the input", "split", self.dense, "--expert-size", 32, "--out",
                    self.dir / "link/x")
        self.assertEqual(tree(self.dir), before)

    def test_the_case_of_the_report(self):
        repository = self.dir / "repository"
        shutil.copytree(EXAMPLE / "model", repository)
        for name in (".git/HEAD", "runs/log.txt"):
            (repository / name).parent.mkdir()
            (repository / name).write_text("x")
        self.refuse(2, "is the input", "split", repository, "--expert-size", 32, "--out",
                    repository, "--force")

    def test_routers_in_place_keep_what_is_not_moefys(self):
        self.make_inputs()
        train = ["route-train", self.moe, "--dump", self.dump, "--preset", "fast"]
        (self.moe / "mine").mkdir()
        (self.moe / "mine/x").write_text("1")
        self.refuse(2, ["mine/x"], *train)
        shutil.rmtree(self.moe / "mine")
        config = self.moe / "config.json"
        config.write_text(config.read_text() + "\n")  # changed, and carried over
        self.succeed(*train)
        self.succeed(*train[:1], str(self.moe) + "/", *train[2:], "--out", self.moe)
        self.assertTrue(config.read_text().endswith("\n\n"))
        self.assertEqual(sorted(path.name for path in self.dir.iterdir()), ["dense", "dump", "moe"])

    def test_single_files(self):
        texts = self.dir / "in.txt"
        texts.write_text("a fine film .\na dull film .\n")
        out = self.dir / "out.jsonl"
        answer = ["run", EXAMPLE / "model", "--task", SENTIMENT, "--input", texts, "--out", out]
        self.succeed(*answer)
        for line in out.read_text().splitlines():
            self.assertIn("label", json.loads(line))
        self.succeed(*answer, "--force")
        out.write_text(out.read_text() + '{"label": "mine"}\n')
        self.refuse(2, ["out.jsonl", "not a file that moefy wrote"], *answer, "--force")
        self.refuse(2, "is the input", *answer[:-1], texts, "--force")
        samples = self.dir / "samples.jsonl"
        samples.write_text('{"id": 1}\n')
        evaluate = ["eval", EXAMPLE / "model", "--task", SENTIMENT, "--limit", 3, "--samples", samples]
        self.refuse(2, ["samples.jsonl", "not a file that moefy wrote"], *evaluate, "--force")
        samples.unlink()
        self.succeed(*evaluate)
        self.succeed(*evaluate, "--force")
        tensors = self.dir / "x.safetensors"
        shutil.copy(PICO / "t5-relu-tied/golden.safetensors", tensors)
        forward = ["run", PICO / "t5-relu-tied", "--tensors", PICO / "t5-relu-tied/golden.safetensors",
                   "--out", tensors]
        self.refuse(2, ["x.safetensors", "not a file that moefy wrote"], *forward, "--force")
        tensors.unlink()
        self.succeed(*forward)
        self.succeed(*forward, "--force")

    def test_links_and_devices(self):
        (self.dir / "file").write_text("")
        os.symlink("file", self.dir / "link")
        for out, word in ((self.dir / "link", "is a link to"), ("/dev/stdout", "is a link to"),
                          ("/dev/null", "is not a file")):
            self.refuse(2, word, "run", EXAMPLE / "model", "x", "--task", SENTIMENT, "--out", out,
                        "--force")
        self.assertTrue((self.dir / "link").is_symlink())

    def test_a_state_of_training_that_is_none(self):
        (self.dir / "out.training").mkdir()
        (self.dir / "out.training/thesis.txt").write_text("mine")
        tune = ["finetune", EXAMPLE / "model", "--task", SENTIMENT, "--limit", 20, "--steps", 1,
                "--out", self.dir / "out"]
        self.refuse(2, ["out.training", "thesis.txt"], *tune)
        (self.dir / "out.training/thesis.txt").unlink()
        self.succeed(*tune)


class Recipes(Case):
    def write(self, **changes):
        recipe = {"model": str(EXAMPLE / "model"), "record": {"task": [str(SENTIMENT)], "limit": 20},
                  "split": [{"expert_size": 32}], "route": {"preset": "fast"},
                  "eval": {"task": [str(SENTIMENT)], "limit": 5, "ffn_ratio": [0.25],
                           "selection": ["stored"]}}
        for stage, options in changes.items():
            recipe[stage] = {**recipe.get(stage, {}), **options} if isinstance(options, dict) else options
        path = self.dir / "recipe.json"
        path.write_text(json.dumps(recipe))
        return path

    def test_what_is_wrong_is_said_before_anything_is_written(self):
        bad = [({"eval": {"ffn_ratio": [1.2]}}, ["eval", "1.2"]),
               ({"eval": {"ffn_ratio": [0]}}, ["eval", "ffn-ratio"]),
               ({"eval": {"ffn_ratio": []}}, ["eval", "empty"]),
               ({"eval": {"selection": ["bogus"]}}, ["eval", "bogus"]),
               ({"eval": {"selection": ["stored/7"]}}, ["eval", "stored/7"]),
               ({"eval": {"selection": ["mlp"]}}, ["eval", "mlp", "ridge"]),
               ({"eval": {"weights": "f8"}}, ["eval", "f8"]),
               ({"eval": {"device": "tpu"}}, ["eval", "tpu"]),
               ({"eval": {"split": "none"}}, ["eval", "none"]),
               ({"record": {"max_tokens": 0}}, ["record", "max-tokens"]),
               ({"record": {"split": "none"}}, ["record", "none"]),
               ({"route": {"router": "bogus"}}, ["route", "bogus"]),
               ({"route": {"held_out": 2}}, ["route", "held-out"]),
               ({"split": [{"expert_size": 33}]}, ["split", "33"]),
               ({"split": [{"expert_size": 32, "method": "bogus"}]}, ["bogus"]),
               ({"split": [{"expert_size": 32, "restarts": 0}]}, ["split", "restarts"]),
               ({"split": [{"expert_size": 32, "shared": 99}]}, ["split", "shared"]),
               ({"calibrate": {"task": str(SENTIMENT), "ffn_ratio": [2]}}, ["calibrate", "2"]),
               ({"sparsify": {"task": str(SENTIMENT), "active": 2}}, ["sparsify", "--active is 2"]),
               ({"calibrate": {"task": str(SENTIMENT), "selection": "mlp"}}, ["calibrate", "ridge"])]
        for changes, words in bad:
            recipe = self.write(**changes)
            for dry in ([], ["--dry-run"]):
                self.refuse(2, words, "convert", recipe, "--out", self.dir / "out", *dry)
        # Of several, all are looked at first.
        good = self.write()
        shutil.copy(good, self.dir / "good.json")
        self.write(eval={"weights": "f8"})
        self.refuse(2, "f8", "convert", self.dir / "good.json", good, "--out", self.dir / "out")
        self.write()
        self.succeed("convert", good, self.dir / "good.json", "--out", self.dir / "out", "--dry-run")
        self.assertFalse((self.dir / "out").exists())

    def test_places(self):
        recipe = self.write()
        (self.dir / "file").write_text("mine")
        self.refuse(2, "not a directory", "convert", recipe, "--out", self.dir / "file/x")
        self.refuse(2, "not a directory", "convert", recipe, "--out", self.dir / "file")
        model = self.dir / "model"
        shutil.copytree(EXAMPLE / "model", model)
        self.refuse(2, "lies in the input", "convert", recipe, "--model", model, "--out", model / "out")
        (self.dir / "mine").mkdir()
        (self.dir / "mine/x").write_text("1")
        self.refuse(2, "not the output of a conversion", "convert", recipe, "--out", self.dir / "mine")

    def convert(self, *args):
        return self.json("convert", self.write(), "--out", self.dir / "out", *args)["conversions"][0]

    def again(self, expected):
        stages = {stage["name"]: stage["kept"] for stage in self.convert()["stages"]}
        self.assertEqual({name for name, kept in stages.items() if not kept}, set(expected))

    def test_finished_stages_are_looked_at(self):
        out = self.dir / "out"
        out.mkdir()
        (out / "inspect.json").write_text("{}")  # where an earlier version was stopped
        (out / "results.json").write_text("{}")  # where there was no room for more
        self.convert()
        self.again([])
        (out / "split-kmeans/model.safetensors").unlink()
        self.again(["split kmeans"])
        weights = out / "split-kmeans/model.safetensors"
        data = weights.read_bytes()
        weights.unlink()
        weights.write_bytes(data[:-1])
        self.again(["split kmeans"])
        weights.unlink()
        weights.write_bytes(b"\xff" * len(data))  # the size alone is right
        self.again(["split kmeans"])
        next((out / "dump").glob("*.safetensors")).unlink()
        self.again(["record"])
        (out / "eval.json").write_text("[]")
        self.again(["eval"])
        (out / "inspect.json").unlink()
        self.again(["inspect"])
        self.again([])
        # What is not moefy's stops the stage that would remove it.
        (out / "split-kmeans/notes.txt").write_text("mine")
        self.again([])
        (out / "split-kmeans/model.safetensors").unlink()
        self.refuse(2, "notes.txt", "convert", self.dir / "recipe.json", "--out", out, "--quiet")
        (out / "split-kmeans/notes.txt").unlink()
        (out / "stages.json").write_text("[]")
        self.refuse(3, "stages.json", "convert", self.dir / "recipe.json", "--out", out, "--quiet")
        self.assertTrue(self.convert("--force"))


class System(Case):
    @unittest.skipUnless(os.path.exists("/dev/full"), "needs /dev/full")
    def test_stdout_that_cannot_be_written(self):
        for args in (["--help"], ["--version"], [], ["split", "--help"], ["--help-markdown"],
                     ["--completion", "bash"], ["families"]):
            with open("/dev/full", "w") as full:
                result = subprocess.run([MOEFY, *args], stdout=full, stderr=subprocess.PIPE, text=True)
            self.assertEqual(result.returncode, 4, args)
            self.assertIn("stdout cannot be written", result.stderr)
        out = self.dir / "out"
        with open("/dev/full", "w") as full:
            result = subprocess.run([MOEFY, "split", PICO / "t5-relu-tied", "--experts", "4", "--out",
                                     out], stdout=full, stderr=subprocess.PIPE, text=True)
        self.assertEqual(result.returncode, 4)
        self.assertIn("what it wrote is complete", result.stderr)
        self.succeed("verify", PICO / "t5-relu-tied", out)

    def test_names_that_no_file_can_have(self):
        long_name = "n" * 5000
        sharded = self.dir / "sharded"
        sharded.mkdir()
        (sharded / "config.json").write_bytes((PICO / "t5-relu-tied/config.json").read_bytes())
        (sharded / "model.safetensors.index.json").write_text(
            json.dumps({"weight_map": {"x": long_name + ".safetensors"}}))
        self.refuse(3, "name too long", "inspect", sharded)
        self.refuse(3, [], "inspect", long_name)
        self.refuse(2, "name too long", "split", PICO / "t5-relu-tied", "--experts", 4, "--out",
                    self.dir / long_name)

    def test_a_full_disk_while_a_file_is_copied(self):
        model = self.dir / "model"
        shutil.copytree(PICO / "t5-relu-tied", model)
        (model / "vocabulary.txt").write_bytes(b"x" * 2_000_000)
        command = f"ulimit -f 1000; exec '{MOEFY}' split '{model}' --experts 4 --out '{self.dir}/out'"
        result = subprocess.run(["bash", "-c", command], capture_output=True, text=True)
        self.assertEqual(result.returncode, 4, result.stderr)
        self.assertIn("vocabulary.txt: cannot be written: File too large", result.stderr)
        self.assertFalse((self.dir / "out").exists())


if __name__ == "__main__":
    import sys
    unittest.main(argv=[sys.argv[0], *sys.argv[3:]], verbosity=2)
