"""Recipes of many jobs, results.json, JUnit XML, the schema of recipes, and the example for CI.

usage: many_test.py MOEFY SOURCE_DIR [CLASS...]
"""
import copy
import json
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import time
import unittest
from xml.etree import ElementTree

import schema
from cli_test import EXAMPLE, MOEFY, SOURCE, Case, run
from tasks_test import TASKS, causal_model

SENTIMENT = str(EXAMPLE / "sentiment.json")
RECIPE = {"model": str(EXAMPLE / "model"), "record": {"task": [SENTIMENT], "limit": 20},
          "split": [{"expert_size": 32}], "route": {"preset": "fast"},
          "eval": {"task": [SENTIMENT], "limit": 5, "ffn_ratio": [0.5], "selection": ["stored"]}}


class Many(Case):
    def write(self, name="many.json", **changes):
        recipe = {**RECIPE, **changes}
        if "models" in changes:
            del recipe["model"]
        path = self.dir / name
        path.write_text(json.dumps(recipe))
        return path

    def bad_model(self):
        """Its header is whole, so that nothing is wrong before it is read."""
        bad = self.dir / "bad"
        shutil.copytree(EXAMPLE / "model", bad)
        with open(bad / "model.safetensors", "r+b") as file:
            file.seek(-4096, os.SEEK_END)
            file.write(b"\xff" * 4096)
        return bad

    def test_each_model_with_each_option(self):
        recipe = self.write(models=[str(EXAMPLE / "model"), {"name": "other", "model": str(EXAMPLE / "model"),
                                                            "eval": {"limit": 3}}],
                            matrix={"split.expert_size": [16, 32]})
        names = ["model-split.expert_size=16", "model-split.expert_size=32",
                 "other-split.expert_size=16", "other-split.expert_size=32"]
        out = self.dir / "out"
        plans = self.json("convert", recipe, "--out", out, "--dry-run")["conversions"]
        self.assertEqual([plan["outputs"][0]["path"] for plan in plans],
                         [str(out / name / "dump") for name in names])
        self.assertFalse(out.exists())
        self.refuse(2, ["--only 'nosuch'", "names no job", names[0]], "convert", recipe, "--out",
                    out, "--only", "nosuch")
        # One of them alone, and then all: what was done is kept.
        (first,) = self.json("convert", recipe, "--out", out, "--only", names[1])["conversions"]
        self.assertEqual(first["name"], names[1])
        self.assertEqual([path.name for path in out.iterdir()], [names[1]])
        self.assertFalse((out / "results.json").exists())  # it was one conversion
        result = run("convert", recipe, "--out", out, "--json", "--jobs", "2", "--threads", "2",
                     "--only", "model-*,*16")
        self.assertEqual(result.returncode, 0, result.stderr)
        jobs = json.loads(result.stdout)["conversions"]
        self.assertEqual([job["name"] for job in jobs], names[:3])
        self.assertEqual([{stage["kept"] for stage in job["stages"]} for job in jobs],
                         [{False}, {True}, {False}])
        self.assertEqual([job["reports"][0]["examples"] for job in jobs], [5, 5, 3])
        self.assertIn(f"[{names[2]}] ", result.stderr)
        results = json.loads((out / "results.json").read_text())
        self.assertEqual((results["schema"], results["status"]), ("moefy/conversions/1", "passed"))
        self.assertEqual(results["conversions"], jobs)
        self.assertIn("cpu", results["machine"])
        # The same recipe alone, with as many threads, gives the same.
        alone = self.write("alone.json", split=[{"expert_size": 16}])
        self.succeed("convert", alone, "--out", self.dir / "alone", "--threads", 1)
        for file in ("moe-kmeans/moefy.safetensors", "moe-kmeans/model.safetensors"):
            self.assertEqual((self.dir / "alone" / file).read_bytes(),
                             (out / names[0] / file).read_bytes())

    def test_several_files(self):
        a, b = self.write("a.json"), self.write("b.json", matrix={"split.seed": [1, 2]})
        out = self.dir / "out"
        text = self.succeed("convert", a, b, "--out", out, "--only", "a,b/*=2").stdout
        self.assertIn("== a\n", text)
        self.assertEqual(sorted(path.name for path in out.iterdir()), ["a", "b", "results.json"])
        self.assertEqual([path.name for path in (out / "b").iterdir()], ["split.seed=2"])
        (self.dir / "sub").mkdir()
        self.refuse(2, "another recipe has the name 'a'", "convert", a, self.write("sub/a.json"),
                    "--out", out)

    def test_one_that_fails_stops_the_rest_unless_told_otherwise(self):
        recipe = self.write(models=[str(self.bad_model()), str(EXAMPLE / "model")])
        out, junit = self.dir / "out", self.dir / "junit.xml"
        result = run("convert", recipe, "--out", out, "--junit", junit, "--json")
        self.assertEqual(result.returncode, 3, result.stderr)
        bad, good = json.loads(result.stdout)["conversions"]
        self.assertEqual((bad["exit_code"], good["exit_code"]), (3, None))
        self.assertIn("holds nan", bad["error"])
        self.assertFalse((out / "model").exists())
        suites = ElementTree.parse(junit).getroot()
        self.assertEqual({key: suites.get(key) for key in ("errors", "skipped", "failures")},
                         {"errors": "1", "skipped": "1", "failures": "0"})
        result = run("convert", recipe, "--out", out, "--junit", junit, "--keep-going", "--jobs", "2")
        self.assertEqual(result.returncode, 3, result.stderr)
        self.assertIn("error: bad: ", result.stderr)
        self.assertEqual(json.loads((out / "bad/results.json").read_text())["status"], "error")
        self.assertEqual(json.loads((out / "model/results.json").read_text())["status"], "passed")
        suites = ElementTree.parse(junit).getroot()
        self.assertEqual((suites.get("errors"), suites.get("skipped")), ("1", "0"))
        results = json.loads((out / "results.json").read_text())
        self.assertEqual(results["status"], "error")
        self.assertEqual([job["exit_code"] for job in results["conversions"]], [3, 0])

    def test_a_crash_costs_one_job(self):
        """A job is a process of its own; the parent tells how it ended."""
        recipe = self.write(matrix={"split.seed": [1, 2]})
        process = subprocess.Popen([MOEFY, "convert", recipe, "--out", self.dir / "out",
                                    "--keep-going", "--json"],
                                   stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        os.kill(self.job_of(process), signal.SIGKILL)
        output, errors = process.communicate(timeout=300)
        self.assertEqual(process.returncode, 4, errors)
        first, second = json.loads(output)["conversions"]
        self.assertEqual((first["exit_code"], second["exit_code"]), (4, 0))
        self.assertIn("signal 9", first["error"])

    def test_interruption_reaches_the_jobs(self):
        recipe = self.write(matrix={"split.seed": [1, 2]})
        for number in (signal.SIGTERM, signal.SIGKILL):
            process = subprocess.Popen([MOEFY, "convert", recipe, "--out", self.dir / "out",
                                        "--jobs", "2", "--force"],
                                       stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
            job = self.job_of(process)
            process.send_signal(number)
            process.communicate(timeout=60)
            self.assertEqual(process.returncode, 130 if number == signal.SIGTERM else -number)
            until = time.monotonic() + 30
            while time.monotonic() < until and pathlib.Path(f"/proc/{job}").exists():
                time.sleep(0.05)
            self.assertFalse(pathlib.Path(f"/proc/{job}").exists())
        self.succeed("convert", recipe, "--out", self.dir / "out", "--jobs", "2")

    def job_of(self, process):
        """The process of the first job, once it has begun to write."""
        children = pathlib.Path(f"/proc/{process.pid}/task/{process.pid}/children")
        while process.poll() is None:
            begun = list(self.dir.glob("out/*/.moefy-lock"))
            pids = children.read_text().split()
            if begun and pids:
                return int(pids[0])
            time.sleep(0.02)
        self.fail(process.communicate()[1])

    def test_mistakes(self):
        out = self.dir / "out"
        for changes, words in (({"matrix": {"split.sed": [1]}}, ["'sed'", "did you mean 'seed'"]),
                               ({"matrix": {"split": [1]}}, ["split.expert_size"]),
                               ({"models": []}, ["models is []"])):
            self.refuse(2, words, "convert", self.write(**changes), "--out", out)
        self.refuse(2, "--jobs is 0", "convert", self.write(), "--out", out, "--jobs", 0)
        recipe = self.write(models=[str(EXAMPLE / "model"), {"name": "x", "model": "elsewhere"}])
        self.refuse(2, "names several", "convert", recipe, "--out", out, "--model", "y")
        self.refuse(3, "elsewhere", "convert", recipe, "--out", out)
        (self.dir / "mine.xml").write_text("<mine/>")
        self.refuse(2, "mine.xml", "convert", self.write(), "--out", out, "--junit",
                    self.dir / "mine.xml")


class Results(Case):
    def test_tell_what_was_done_from_what_and_how_it_went(self):
        recipe = self.dir / "r.json"
        gated = {**RECIPE, "eval": {**RECIPE["eval"], "fail_if": "accuracy < 2*dense"}}
        recipe.write_text(json.dumps(gated))
        out, junit = self.dir / "out", self.dir / "junit.xml"
        for kept in (False, True):
            result = run("convert", recipe, "--out", out, "--junit", junit)
            self.assertEqual(result.returncode, 1, result.stderr)
            results = json.loads((out / "results.json").read_text())
            self.assertEqual((results["schema"], results["status"], results["error"]),
                             ("moefy/results/1", "failed", None))
            self.assertTrue(results["build"]["libtorch"] and results["build"]["compiler"])
            self.assertGreater(results["machine"]["memory_bytes"], 0)
            self.assertEqual(results["inputs"]["model"]["path"], str(EXAMPLE / "model"))
            files = {pathlib.Path(file["path"]).name for file in results["inputs"]["files"]}
            self.assertEqual(files, {"sentiment.json", "sentiment.train.tsv", "sentiment.eval.tsv"})
            self.assertEqual(results["options"]["split kmeans"]["expert_size"], 32)
            self.assertEqual(results["options"]["record"]["task"], [SENTIMENT])
            self.assertEqual({stage["kept"] for stage in results["timings"]["stages"]}, {kept})
            row = next(row for row in results["metrics"] if row["model"] == "moe-kmeans")
            self.assertEqual((row["task"], row["ffn_ratio"]), ("sentiment", 0.5))
            self.assertIn("value", row["accuracy"])
            self.assertIn("accuracy < 2*dense", results["failures"][0]["failure"])
            suite = ElementTree.parse(junit).getroot().find("testsuite")
            self.assertEqual((suite.get("name"), suite.get("failures")), ("r", "1"))
            cases = {case.get("name"): case for case in suite}
            self.assertIn("split kmeans", cases)
            self.assertIn("accuracy < 2*dense",
                          cases["quality of sentiment"].find("failure").get("message"))
        # A run that is killed leaves none, so that nobody takes the old one for it.
        recipe.write_text(json.dumps({**RECIPE, "split": [{"expert_size": 16}]}))
        process = subprocess.Popen([MOEFY, "convert", recipe, "--out", out],
                                   stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        while (out / "results.json").exists() and process.poll() is None:
            time.sleep(0.01)
        process.kill()
        process.wait()
        self.assertFalse((out / "results.json").exists())


class Schema(Case):
    SCHEMA = json.loads((SOURCE / "configs/schema/recipe.json").read_text())

    def problems(self, recipe):
        found = schema.problems(recipe, self.SCHEMA, self.SCHEMA)
        try:  # where it is installed, the judge of the judge
            import jsonschema
        except ImportError:
            return found
        valid = jsonschema.Draft202012Validator(self.SCHEMA).is_valid(recipe)
        self.assertEqual(valid, not found, found)
        return found

    def test_is_fresh(self):
        self.assertEqual(self.succeed("--recipe-schema").stdout,
                         (SOURCE / "configs/schema/recipe.json").read_text(),
                         "run: moefy --recipe-schema > configs/schema/recipe.json")

    def test_every_recipe_is_valid(self):
        recipes = [*SOURCE.glob("configs/recipes/*.json"), EXAMPLE / "recipe.json",
                   EXAMPLE / "calibrated.json", SOURCE / "examples/ci/recipe.json"]
        self.assertGreater(len(recipes), 15)
        for recipe in recipes:
            self.assertEqual(self.problems(json.loads(recipe.read_text())), [], recipe)

    def test_wrong_ones_are_not_and_the_reader_agrees(self):
        good = {**copy.deepcopy(RECIPE), "matrix": {"split.seed": [1, 2], "route.preset": ["fast"]}}
        self.assertEqual(self.problems(good), [])
        path = self.dir / "r.json"
        for where, value in (("recrd", {}), ("record", 3), ("record.limt", 3), ("record.limit", "3"),
                             ("record.limit", 2.5), ("record.out", "x"), ("record.task", "t.json"),
                             ("split", {}), ("split", []), ("split.0.experts", "4"),
                             ("split.0.dump", "x"), ("split.0.name", 1), ("route.output_fit", 1),
                             ("route", []), ("route", [{"epoch": 1}]), ("route.name", 5),
                             ("eval", None), ("eval.ffn_ratio", 0.5), ("eval.ffn_ratio", ["1"]),
                             ("eval.samples", "x"), ("max_loss", 2), ("max_loss", "1%"),
                             ("models", []), ("models", ["a", 3]), ("models", [{"name": "x"}]),
                             ("models", [{"model": "x", "matrix": {}}]), ("matrix", {}),
                             ("matrix", {"split.sed": [1]}), ("matrix", {"split.seed": []}),
                             ("matrix", {"split.seed": ["a"]}), ("matrix", {"eval.task": ["a"]}),
                             ("calibrate", {"moe": "x"}), ("sparsify", {"data": "x"})):
            recipe = copy.deepcopy(good)
            if where == "models":
                del recipe["model"]
            place = recipe
            *parts, last = where.split(".")
            for part in parts:
                place = place[int(part) if part.isdigit() else part]
            place[last] = value
            with self.subTest(where=where, value=value):
                self.assertNotEqual(self.problems(recipe), [])
                path.write_text(json.dumps(recipe))
                self.refuse(2, "r.json", "convert", path, "--dry-run")


class Ci(Case):
    """The script of examples/ci on pico models."""

    def setUp(self):
        super().setUp()
        for name in ("recipe.json", "convert.sh"):
            shutil.copy(SOURCE / "examples/ci" / name, self.dir)
        (self.dir / "models").mkdir()
        shutil.copytree(EXAMPLE / "model", self.dir / "models/reviews")
        causal_model(self.dir / "models/tales")
        tasks = self.dir / "tasks"
        shutil.copytree(EXAMPLE / "data", tasks / "data")
        shutil.copy(EXAMPLE / "sentiment.json", tasks / "reviews.json")
        shutil.copy(TASKS / "tales.json", tasks)
        shutil.copy(TASKS / "tales.txt", tasks)
        self.edit("record", limit=40)
        self.edit("eval", limit=20)

    def edit(self, stage, **options):
        path = self.dir / "recipe.json"
        recipe = json.loads(path.read_text())
        recipe[stage].update(options)
        path.write_text(json.dumps(recipe))

    def convert(self, *args):
        return subprocess.run([self.dir / "convert.sh", self.dir / "recipe.json", self.dir / "out", *args],
                              capture_output=True, text=True, timeout=600,
                              env={**os.environ, "MOEFY": str(MOEFY)})

    def test_gates_on_quality(self):
        self.edit("eval", ffn_ratio=[1.0])  # with which nothing is lost
        result = self.convert("--jobs", "2")
        self.assertEqual(result.returncode, 0, result.stderr)
        self.assertIn("every model keeps its quality", result.stderr)
        self.assertIn("moe-kmeans", result.stdout)
        suites = ElementTree.parse(self.dir / "out/junit.xml").getroot()
        self.assertEqual([suite.get("name") for suite in suites], ["reviews", "tales"])
        self.assertEqual(suites.get("failures"), "0")
        # One that loses too much: the gate of one model says no, and the other is kept.
        path = self.dir / "recipe.json"
        recipe = json.loads(path.read_text())
        recipe["models"][1]["eval"]["fail_if"] = "perplexity > 0.5*dense"
        path.write_text(json.dumps(recipe))
        result = self.convert()
        self.assertEqual(result.returncode, 1, result.stderr)
        self.assertIn("loses more than it may", result.stderr)
        suites = ElementTree.parse(self.dir / "out/junit.xml").getroot()
        self.assertEqual([suite.get("failures") for suite in suites], ["0", "1"])
        self.assertEqual(self.convert("--jobs", "x").returncode, 2)
        self.assertEqual(subprocess.run([self.dir / "convert.sh"], capture_output=True).returncode, 2)

    def test_workflow_is_yaml(self):
        try:
            import yaml
        except ImportError:
            self.skipTest("no PyYAML here")
        workflow = yaml.safe_load((SOURCE / "examples/ci/convert.yml").read_text())
        steps = [step.get("run", "") for step in workflow["jobs"]["convert"]["steps"]]
        self.assertTrue(any("examples/ci/convert.sh" in step for step in steps))


if __name__ == "__main__":
    unittest.main(argv=[sys.argv[0], *sys.argv[3:]], verbosity=2)
