"""The program from outside: exit codes, one JSON document, what stderr says, no stray files.

usage: cli_test.py MOEFY SOURCE_DIR [CLASS...]
"""
import atexit
import functools
import json
import os
import pathlib
import re
import shutil
import signal
import struct
import subprocess
import sys
import tempfile
import time
import unittest
from xml.etree import ElementTree

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "support"))
from program_server import ProgramServer  # noqa: E402

MOEFY = pathlib.Path(sys.argv[1])
SOURCE = pathlib.Path(sys.argv[2])
PICO = SOURCE / "tests/data/pico"
EXAMPLE = SOURCE / "examples/quickstart"
SHARED = pathlib.Path(os.environ.get("MOEFY_SHARED", SOURCE / "../shared"))

# The library that lets one loaded process stand for many (tests/support/program_server.py).
FORK_LIBRARY = os.environ.get("MOEFY_FORK_LIBRARY")


@functools.cache
def server():
    directory = tempfile.TemporaryDirectory(prefix="moefy-cli-")
    atexit.register(directory.cleanup)
    made = ProgramServer(MOEFY, FORK_LIBRARY, pathlib.Path(directory.name) / "server")
    atexit.register(made.close)
    return made


def run(*args, cwd=".", **kwargs):
    """One run of the program. kwargs: more for subprocess.run, which a process of its own takes."""
    if FORK_LIBRARY and not kwargs:
        return server().run(args, pathlib.Path(cwd).resolve())
    return subprocess.run([MOEFY, *map(str, args)], capture_output=True, text=True, timeout=600,
                          cwd=cwd, **kwargs)


def read_safetensors(path):
    """Header and raw bytes of each tensor."""
    data = pathlib.Path(path).read_bytes()
    size = struct.unpack("<Q", data[:8])[0]
    header = json.loads(data[8:8 + size])
    header.pop("__metadata__", None)
    return {name: (info["shape"], data[8 + size + info["data_offsets"][0]:
                                       8 + size + info["data_offsets"][1]])
            for name, info in header.items()}


class Case(unittest.TestCase):
    def setUp(self):
        self.dir = pathlib.Path(tempfile.mkdtemp(prefix="moefy-cli-"))
        self.addCleanup(shutil.rmtree, self.dir, ignore_errors=True)

    def succeed(self, *args):
        result = run(*args)
        self.assertEqual(result.returncode, 0, result.stderr)
        return result

    def json(self, *args):
        """Exactly one JSON document on stdout, with its schema and the version."""
        document = json.loads(self.succeed(*args, "--json", "--quiet").stdout)
        self.assertEqual(document["schema"], f"moefy/{args[0]}/1")
        self.assertRegex(document["moefy_version"], r"^\d+\.\d+\.\d+$")
        return document

    def refuse(self, exit_code, fragments, *args):
        """One clear message, nothing on stdout, nothing left behind."""
        before = sorted(self.dir.rglob("*"))
        result = run(*args)
        self.assertEqual(result.returncode, exit_code, result.stderr)
        self.assertEqual(result.stdout, "")
        errors = [line for line in result.stderr.splitlines() if line.startswith("error: ")]
        self.assertEqual(len(errors), 1, result.stderr)
        for fragment in [fragments] if isinstance(fragments, str) else fragments:
            self.assertIn(fragment, result.stderr)
        self.assertEqual(sorted(self.dir.rglob("*")), before)

    def copy_pico(self, name="t5-relu-tied"):
        target = self.dir / name
        target.mkdir()
        for file in ("config.json", "model.safetensors"):
            shutil.copy(PICO / name / file, target / file)
        return target

    def edit_config(self, checkpoint, **changes):
        path = checkpoint / "config.json"
        path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))
        return checkpoint


class StartUp(Case):
    """The program starts itself anew, so that threads that wait for each other soon sleep."""

    def spins(self, command, **variables):
        """How often OpenMP looks before it sleeps, as it says itself."""
        environment = {name: value for name, value in os.environ.items()
                       if name not in ("GOMP_SPINCOUNT", "OMP_WAIT_POLICY")}
        result = subprocess.run([*command, "--version"], capture_output=True, text=True, timeout=600,
                                env={**environment, "OMP_DISPLAY_ENV": "verbose", **variables})
        self.assertEqual(result.returncode, 0, result.stderr)
        self.assertRegex(result.stdout, r"^moefy \d")
        found = re.findall(r"GOMP_SPINCOUNT = '(\d+)'", result.stderr)
        if not found:
            self.skipTest("this OpenMP is not GNU's, or does not say how long it spins")
        self.assertEqual(len(found), 1, "LibTorch was initialised twice")
        return int(found[0])

    def test_threads_wait_briefly_unless_the_user_says_how(self):
        self.assertEqual(self.spins([MOEFY]), 10000)
        self.assertEqual(self.spins([MOEFY], GOMP_SPINCOUNT="77"), 77)
        self.assertEqual(self.spins([MOEFY], OMP_WAIT_POLICY="passive"), 0)

    def test_where_it_cannot_it_goes_on(self):
        loader = pathlib.Path("/lib64/ld-linux-x86-64.so.2")
        if not loader.exists():
            self.skipTest(f"no {loader}")
        self.assertGreater(self.spins([loader, MOEFY]), 10000)


class Usage(Case):
    def test_help_and_version(self):
        self.assertIn("Examples:", self.succeed("--help").stdout)
        self.assertRegex(self.succeed("--version").stdout, r"^moefy \d")
        self.assertIn("moefy split", self.succeed("split", "--help").stdout)

    def test_typos_name_the_nearest(self):
        self.refuse(2, ["unknown command 'splitt'", "did you mean 'split'"], "splitt")
        self.refuse(2, ["unknown option '--methd' (did you mean '--method'?)", "moefy split --help"],
                    "split", PICO / "t5-relu-tied", "--methd", "kmeans")
        self.refuse(2, "unexpected argument 'stray'", "split", PICO / "t5-relu-tied", "stray")
        self.refuse(2, ["unknown split method 'kmean'", "did you mean 'kmeans'"], "split",
                    PICO / "t5-relu-tied", "--method", "kmean", "--experts", 4, "--out",
                    self.dir / "out")

    def test_config_file_below_flags(self):
        config = self.dir / "split.json"
        config.write_text('{"experts": 4, "method": "random"}')
        out = self.json("split", PICO / "t5-relu-tied", "--config", config, "--experts", 8, "--out",
                        self.dir / "out")
        self.assertEqual((out["num_experts"], out["method"]), (8, "random"))
        config.write_text('{"expert": 4}')
        self.refuse(2, ["unknown key 'expert'", "did you mean 'experts'"], "split",
                    PICO / "t5-relu-tied", "--config", config, "--out", self.dir / "out2")

    def test_old_names_give_the_new_ones(self):
        self.refuse(2, "--least-squares is now called --output-fit", "route-train", "moe", "--least-squares")
        config = self.dir / "route.json"
        config.write_text('{"least_squares": true}')
        self.refuse(2, "least_squares is now called 'output_fit'", "route-train", "moe", "--config", config)
        config.write_text('{"record": {}, "split": [{}], "route": {"least_squares": true}, "eval": {}}')
        self.refuse(2, "route: least_squares is now called 'output_fit'", "convert", config, "--model",
                    EXAMPLE / "model", "--out", self.dir / "out")
        self.refuse(2, "excludes", "route-train", "moe", "--output-fit", "--no-output-fit")

    def test_families(self):
        names = [family["name"] for family in self.json("families")["families"]]
        self.assertEqual(len(names), 38)
        self.assertIn("gpt_neox", names)

    def test_every_recipe_and_task_parses(self):
        for recipe in [*SOURCE.glob("configs/recipes/*.json"), EXAMPLE / "recipe.json"]:
            self.succeed("convert", recipe, "--model", EXAMPLE / "model", "--dry-run", "--out",
                         self.dir / "out")
            document = json.loads(recipe.read_text())
            for stage in ("record", "eval"):
                for task in document[stage]["task"]:
                    self.assertTrue((recipe.parent / task).exists(), f"{recipe}: {task}")

    def test_cli_docs_are_fresh(self):
        self.assertEqual(self.succeed("--help-markdown").stdout,
                         (SOURCE / "docs/cli.md").read_text(),
                         "run: moefy --help-markdown > docs/cli.md")


class Doctor(Case):
    """What the machine has: only what is really read, so it changes with what it is read of."""

    def doctor(self, *args, **variables):
        environment = {name: value for name, value in os.environ.items()
                       if name not in ("OMP_WAIT_POLICY", "OPENBLAS_CORETYPE")}
        result = run("doctor", "--json", *args, env={**environment, **variables})
        self.assertEqual(result.returncode, 0, result.stderr)
        document = json.loads(result.stdout)
        return document["machine"], {row["about"]: row["remedy"] for row in document["advice"]}

    def test_facts(self):
        machine, advice = self.doctor("--threads", 1)
        self.assertEqual(machine["threads"], 1)
        self.assertEqual(machine["processors"], len(os.sched_getaffinity(0)))
        self.assertRegex(machine["libtorch"], r"^[12]\.\d+\.\d+$")
        self.assertTrue(os.path.exists(machine["libtorch_file"]))
        self.assertTrue(0 <= machine["busy_share"] <= 1)
        self.assertLessEqual(machine["free_bytes"], machine["memory_bytes"])
        self.assertFalse({"threads", "wait_policy", "memory"} & advice.keys())

    def test_advice(self):
        processors = len(os.sched_getaffinity(0))
        machine, advice = self.doctor("--threads", processors + 1, "--seconds", 0,
                                      OMP_WAIT_POLICY="passive")
        self.assertIn(f"--threads {processors}", advice["threads"])
        self.assertIn("unset OMP_WAIT_POLICY", advice["wait_policy"])
        self.assertIsNone(machine["busy_share"])
        if machine["blas_kernels"] == "SkylakeX":
            machine, advice = self.doctor(OPENBLAS_CORETYPE="Cooperlake")
            if machine["blas_kernels"] == "Cooperlake":
                self.assertIn("unset OPENBLAS_CORETYPE", advice["blas_kernels"])

    def test_table(self):
        threads = len(os.sched_getaffinity(0)) + 1
        text = self.succeed("doctor", EXAMPLE / "model", "--threads", threads,
                            "--seconds", 0).stdout
        self.assertRegex(text, r"kernels run with +\S")
        self.assertRegex(text, rf"(?m)^threads +{threads}$")
        self.assertIn(f"- {threads} threads compute on ", text)
        self.assertNotIn("the model takes", text)
        self.refuse(2, "--seconds is 61", "doctor", "--seconds", 61)
        self.refuse(3, "no such file", "doctor", self.dir / "nothing")


class Pipeline(Case):
    def test_inspect_reads_headers_only(self):
        document = self.json("inspect", EXAMPLE / "model")
        self.assertEqual(document["family"], "t5")
        self.assertGreater(document["ffn_parameters"], 0)

    def test_split_verify_merge_round_trip(self):
        dense, moe, back = self.copy_pico(), self.dir / "moe", self.dir / "back"
        self.succeed("split", dense, "--expert-size", 8, "--out", moe)
        self.assertTrue(self.json("verify", dense, moe)["equal"])
        self.succeed("merge", moe, "--out", back)
        for file in dense.iterdir():
            self.assertEqual(file.read_bytes(), (back / file.name).read_bytes(), file.name)

    def test_packed_models_answer_as_their_source_does(self):
        moe, packed = self.dir / "moe", self.dir / "packed"
        self.succeed("split", EXAMPLE / "model", "--expert-size", 8, "--out", moe)
        self.succeed("pack", moe, "--weights", "int4", "--out", packed)
        self.assertEqual(self.json("inspect", packed)["packed"], "int4")
        sparse = "--selection", "random", "--ffn-ratio", 0.5
        text = "sentiment: nothing about the plot was dull ."
        self.assertEqual(self.succeed("run", packed, *sparse, text).stdout,
                         self.succeed("run", moe, *sparse, "--weights", "int4", text).stdout)
        self.refuse(2, "packed in int4", "run", packed, "--weights", "int8", *sparse, text)
        self.refuse(3, "the checkpoint that it was made from", "merge", packed,
                    "--out", self.dir / "merged")

    def test_split_is_deterministic(self):
        dense = self.copy_pico()
        for name in ("a", "b"):
            self.succeed("split", dense, "--expert-size", 8, "--seed", 3, "--out", self.dir / name)
        for file in (self.dir / "a").iterdir():
            self.assertEqual(file.read_bytes(), (self.dir / "b" / file.name).read_bytes())

    def test_split_by_what_was_recorded(self):
        model, dump = EXAMPLE / "model", self.dir / "dump"
        self.succeed("record", model, "--task", EXAMPLE / "sentiment.json", "--limit", 20, "--out", dump)
        for method in (["coactivation"], ["keep-pattern"], ["kmeans", "--features", "contribution"]):
            moe = self.dir / method[0]
            out = self.json("split", model, "--method", *method, "--dump", dump, "--expert-size", 8,
                            "--out", moe)
            self.assertEqual(out["neurons_per_expert"], 8)
            self.assertTrue(self.json("verify", model, moe)["equal"])
        split = ["split", model, "--expert-size", 8, "--out", self.dir / "out"]
        self.refuse(2, ["coactivation needs --dump", f"moefy record {model}"], *split, "--method", "coactivation")
        self.refuse(2, ["kmeans with features contribution needs --dump"], *split, "--features", "contribution")
        self.refuse(2, ["kmeans looks at the weights alone"], *split, "--dump", dump)
        self.refuse(2, ["kmeans with shared experts needs --dump"], *split, "--shared", 1)
        self.refuse(3, ["is of another model than", "it was recorded from"], "split",
                    PICO / "t5-relu-tied", "--method", "keep-pattern", "--dump", dump, "--expert-size", 8,
                    "--out", self.dir / "out")

    def test_shared_experts(self):
        model, dump, moe = EXAMPLE / "model", self.dir / "dump", self.dir / "moe"
        self.succeed("record", model, "--task", EXAMPLE / "sentiment.json", "--limit", 20, "--out", dump)
        split = ["split", model, "--dump", dump, "--experts", 8]
        self.refuse(2, ["--shared is 8 of 8 experts", "expected 0 to 7"], *split, "--shared", 8, "--out", moe)
        self.refuse(2, ["--shared is -1"], *split, "--method", "keep-pattern", "--shared", -1, "--out", moe)
        self.assertFalse(moe.exists())
        self.assertEqual(self.json(*split, "--shared", 2, "--out", moe)["num_shared"], 2)
        self.assertTrue(self.json("verify", model, moe)["equal"])
        self.assertEqual(self.json("inspect", moe)["num_shared"], 2)
        self.assertIn("8 experts per FFN, 2 of them shared", self.succeed("inspect", moe).stdout)
        self.succeed("route-train", moe, "--dump", dump, "--preset", "mlp-fit", "--epochs", 2)
        reports = self.json("eval", moe, "--dense", model, "--task", EXAMPLE / "sentiment.json", "--limit", 10,
                            "--selection", "mlp,mlp:threshold,mlp:budget,oracle", "--ffn-ratio", "0.1")
        rows = reports["reports"][0]["rows"]
        self.assertEqual([row["measured_ffn_ratio"] for row in rows if row["model"]], [0.25] * 4)

    def test_methods_of_others(self):
        """Each half of a method knows the other; shares of the best run the mean work asked for."""
        model, dump = EXAMPLE / "model", self.dir / "dump"
        task = ["--task", EXAMPLE / "sentiment.json"]
        self.succeed("record", model, *task, "--limit", 100, "--out", dump)
        for method, options, policy in (("cmoe", ["--dump", dump], ""), ("d2dmoe", [], ":relative"),
                                        ("expertweaver", ["--dump", dump, "--experts", 16], "")):
            split, moe = self.dir / f"split-{method}", self.dir / method
            self.succeed("split", model, "--preset", method, *options, "--out", split)
            self.succeed("route-train", split, "--dump", dump, "--preset", method, "--epochs", 4, "--out", moe)
            reports = self.json("eval", moe, "--dense", model, *task, "--limit", 60, "--selection",
                                f"stored{policy}", "--ffn-ratio", "0.75")
            row = reports["reports"][0]["rows"][-1]
            self.assertLess(abs(row["measured_ffn_ratio"] - 0.75), 0.1, method)
        self.refuse(2, ["--preset cmoe is one half of a method", "was split by kmeans", "moefy split --preset cmoe"],
                    "route-train", self.dir / "split-d2dmoe", "--dump", dump, "--preset", "cmoe")
        self.refuse(2, ["--preset cats", "has experts of 8 neurons", "moefy split --preset cats"],
                    "route-train", self.dir / "split-d2dmoe", "--dump", dump, "--preset", "cats")
        self.refuse(2, ["activation-marks with shared experts needs --dump"], "split", model, "--preset", "cmoe",
                    "--out", self.dir / "none")

    def test_neuron_share(self):
        """A share of neurons pays for more experts: more neurons run, the work is the same."""
        model, dump = EXAMPLE / "model", self.dir / "dump"
        plain, thinned = self.dir / "plain", self.dir / "thinned"
        task = ["--task", EXAMPLE / "sentiment.json"]
        self.succeed("record", model, *task, "--limit", 100, "--out", dump)
        self.succeed("split", model, "--expert-size", 16, "--out", plain)
        train = ["route-train", plain, "--dump", dump, "--preset", "mlp-fit", "--epochs", 2]
        for share in (0, 1.5):
            self.refuse(2, [f"--neuron-share is {share}", "above 0 and at most 1"], *train, "--neuron-share", share)
        out = self.json(*train, "--neuron-share", 0.5, "--out", thinned)
        self.assertEqual([ffn["neuron_share"] for ffn in out["ffns"]], [0.5] * 5)
        self.assertEqual([ffn["neuron_share"] for ffn in self.json(*train)["ffns"]], [1] * 5)

        def rows(moe, selections):
            reports = self.json("eval", moe, "--dense", model, *task, "--limit", 20, "--selection", selections,
                                "--ffn-ratio", "0.375,1")
            return {(row["selection"], row["ffn_ratio"]): row for row in reports["reports"][0]["rows"][1:]}

        self.assertEqual(rows(plain, "mlp")["mlp", 0.375]["measured_ffn_ratio"], 0.375)
        found = rows(thinned, "mlp,mlp/1,similarity")
        self.assertEqual(found["mlp", 0.375]["measured_ffn_ratio"], 0.5)  # 12 of 32, or 16 at 3 / 4
        self.assertLess(found["mlp", 0.375]["ffn_flops_ratio_with_router"],
                        found["mlp/1", 0.375]["ffn_flops_ratio_with_router"] + 0.05)
        for selection in ("mlp/1", "similarity"):
            self.assertEqual(found[selection, 0.375]["measured_ffn_ratio"], 0.375)
        self.assertEqual(found["mlp", 1]["kl_from_dense"], found["mlp/1", 1]["kl_from_dense"])

    def test_sparsity(self):
        model, dump, plots = EXAMPLE / "model", self.dir / "dump", self.dir / "plots"
        task = ["--task", EXAMPLE / "sentiment.json", "--limit", 20]
        recorded = self.json("record", model, *task, "--out", dump)
        ffns = self.json("sparsity", model, "--dump", dump, "--plots", plots)["ffns"]
        self.assertEqual([ffn["ffn"] for ffn in ffns], [ffn["name"] for ffn in recorded["ffns"]])
        for ffn, other in zip(ffns, recorded["ffns"]):
            self.assertEqual(ffn["fires"], "above zero")
            self.assertAlmostEqual(ffn["active"], other["active_share"], 5)
            self.assertEqual(ffn["dead"], ffn["rates"].count(0))
        self.assertEqual(sorted(file.name for file in plots.iterdir()),
                         [".moefy-output.json", "active.svg", "rates.svg"])
        # The same by running the task, leaving nothing behind.
        self.assertEqual(self.json("sparsity", model, *task)["ffns"], ffns)
        self.refuse(2, "one of --dump, --task and --text", "sparsity", model)
        self.refuse(3, "is of another model than", "sparsity", PICO / "t5-relu-tied", "--dump", dump)

    def test_device(self):
        """Where there is no CUDA, asking for it gives what the CPU gives, and a warning."""
        model, task = EXAMPLE / "model", ["--task", EXAMPLE / "sentiment.json"]
        devices = {"default": [], "cpu": ["--device", "cpu"], "cuda": ["--device", "cuda"]}
        dumps, routers, reports = [], [], []
        for name, device in devices.items():
            dump, moe = self.dir / f"dump-{name}", self.dir / f"moe-{name}"
            self.succeed("split", model, "--expert-size", 8, "--out", moe)
            results = [
                self.succeed("record", model, *task, "--limit", 20, "--out", dump, *device),
                self.succeed("route-train", moe, "--dump", dump, "--preset", "mlp-fit", "--epochs", 2,
                             *device),
                self.succeed("eval", moe, *task, "--limit", 20, "--ffn-ratio", 0.5, "--selection",
                             "mlp", "--json", *device)]
            if name == "cuda" and "no CUDA in this LibTorch" not in results[0].stderr:
                return  # there is a GPU: its figures differ in their last digits
            for result in results:
                self.assertEqual("no CUDA in this LibTorch; running on the CPU" in result.stderr,
                                 name == "cuda", result.stderr)
                self.assertNotIn("no GPU kernels", result.stderr)
            dumps.append([path.read_bytes() for path in sorted(dump.iterdir())])
            routers.append((moe / "moefy.safetensors").read_bytes())
            reports.append([[row["ffn_ratio"], row["accuracy"], row["kl_from_dense"]] for row in
                            json.loads(results[2].stdout)["reports"][0]["rows"]])
            self.assertEqual(len(reports[-1]), 3)  # dense, packed, mlp
        for outputs in (dumps, routers, reports):
            self.assertEqual(len(outputs), 3)
            self.assertEqual(outputs[1:], outputs[:-1])
        for command in (["record", model, *task, "--out", self.dir / "out"],
                        ["route-train", self.dir / "moe-cpu", "--dump", self.dir / "dump-cpu"],
                        ["eval", model, *task]):
            self.refuse(2, "unknown device 'gpu'; expected cpu, cuda or cuda:N", *command,
                        "--device", "gpu")

    def test_verify_says_no(self):
        dense, moe = self.copy_pico(), self.dir / "moe"
        self.succeed("split", dense, "--expert-size", 8, "--out", moe)
        path = moe / "model.safetensors"
        data = bytearray(path.read_bytes())
        data[-1] ^= 1
        path.write_bytes(data)
        result = run("verify", dense, moe)
        self.assertEqual(result.returncode, 1, result.stderr)
        self.assertIn("different", result.stdout)

    def test_run_tensors_equals_the_recording(self):
        for name in ("t5-relu-tied", "bert-cls-gelu", "bert-qa-gelu"):
            out = self.dir / f"{name}.safetensors"
            golden = read_safetensors(PICO / name / "golden.safetensors")
            self.succeed("run", PICO / name, "--tensors", PICO / name / "golden.safetensors",
                         "--hidden-states", "--ffn-taps", "--out", out)
            got = read_safetensors(out)
            # Values are compared in tests/parity; here: every recorded name, in its shape.
            inputs = {"input_ids", "attention_mask", "token_type_ids", "decoder_input_ids",
                      "decoder_attention_mask"}
            for tensor in golden.keys() - inputs:
                self.assertEqual(got[tensor][0], golden[tensor][0], f"{name}: {tensor}")

    def test_run_answers_people(self):
        model = EXAMPLE / "model"
        story = ("question: where is the ball ? story: tom hid the ball in the cellar . "
                 "anna moved the ball to the garden .")
        one_word = ["--max-new-tokens", 1]
        self.assertEqual(self.succeed("run", model, story, *one_word).stdout, "garden\n")
        answers = self.json("run", model, story, *one_word)["answers"]
        self.assertEqual(answers, [{"text": "garden", "tokens": 1, "finished": False}])

        lines = self.dir / "in.jsonl"
        lines.write_text('{"id": 1, "sentence": "the plot was hardly dull ."}\n'
                         '{"id": 2, "sentence": "nobody enjoyed the music ."}\n')
        task = ["--task", EXAMPLE / "sentiment.json"]
        out = self.dir / "out.jsonl"
        self.succeed("run", model, *task, "--input", lines, "--out", out)
        labels = [(line["id"], line["label"]) for line in map(json.loads, out.open())]
        self.assertEqual(labels, [(1, "positive"), (2, "negative")])
        self.refuse(2, "exists already", "run", model, *task, "--input", lines, "--out", out)
        self.refuse(2, "nothing to run", "run", model)
        self.refuse(2, "--hidden-states goes with --tensors", "run", model, "x", "--hidden-states")

    def test_existing_output_needs_force(self):
        dense, moe = self.copy_pico(), self.dir / "moe"
        self.succeed("split", dense, "--experts", 4, "--out", moe)
        self.refuse(2, ["exists", "--force"], "split", dense, "--experts", 4, "--out", moe)
        self.succeed("split", dense, "--experts", 8, "--out", moe, "--force")
        self.assertEqual(sorted(p.name for p in self.dir.iterdir()), ["moe", "t5-relu-tied"])

    def test_stage_by_stage_and_convert_agree(self):
        recipe = self.dir / "recipe.json"
        task = str(EXAMPLE / "sentiment.json")
        recipe.write_text(json.dumps({
            "model": str(EXAMPLE / "model"),
            "record": {"task": [task], "limit": 60},
            "split": [{"expert_size": 32}],
            "route": {"preset": "paper", "epochs": 2},
            "eval": {"task": [task], "limit": 40, "ffn_ratio": [0.25, 1.0],
                     "selection": ["stored", "oracle"]}}))
        out = self.dir / "out"
        plan = self.json("convert", recipe, "--out", out, "--dry-run")["conversions"][0]
        self.assertFalse(out.exists())
        self.assertIn("eval", plan["stages"])
        document = self.json("convert", recipe, "--out", out)["conversions"][0]
        rows = {(r["selection"], r["ffn_ratio"]): r for r in document["reports"][0]["rows"]}
        self.assertEqual(rows["mlp", 1.0]["agreement_with_dense"], 1)
        self.assertAlmostEqual(rows["mlp", 0.25]["measured_ffn_ratio"], 0.25)
        self.assertLess(rows["mlp", 1.0]["kl_from_dense"]["value"], 1e-6)
        self.assertTrue(self.json("verify", EXAMPLE / "model", out / "moe-kmeans")["equal"])
        again = self.json("convert", recipe, "--out", out)["conversions"][0]
        self.assertTrue(all(stage["kept"] for stage in again["stages"]))
        self.assertEqual(again["reports"], document["reports"])
        # A changed option redoes its stage and what depends on it, and nothing else.
        recipe.write_text(recipe.read_text().replace('"epochs": 2', '"epochs": 1'))
        third = self.json("convert", recipe, "--out", out)["conversions"][0]
        self.assertEqual([stage["name"] for stage in third["stages"] if not stage["kept"]],
                         ["route-train kmeans", "eval"])

    def check_page(self, conversion):
        """`moefy report` writes a page that is well-formed, needs nothing but itself, and is drawn
        without a word on the console."""
        result = self.succeed("report", conversion)
        self.assertIn("moe-kmeans, ridge", result.stdout)
        page = conversion / "report.html"
        self.assertIn(str(page), result.stderr)
        text = page.read_text()
        elements = ElementTree.fromstring(  # HTML's void elements have no end
            re.sub(r"<(meta[^>]*)>", r"<\1/>", text.removeprefix("<!DOCTYPE html>")))
        self.assertEqual(len(elements.findall(".//h1")), 1)
        for picture in elements.iter("{http://www.w3.org/2000/svg}svg"):
            self.assertTrue(picture.get("aria-label"))
        self.assertNotRegex(text, r"(src|href)=|<script|@import|url\(")
        chromium = shutil.which("chromium")
        if not chromium:
            print("no chromium here: the page was not drawn", file=sys.stderr)
            return
        picture = self.dir / "page.png"
        drawn = subprocess.run(
            [chromium, "--headless", "--no-sandbox", "--disable-gpu", "--enable-logging=stderr",
             f"--user-data-dir={self.dir / 'profile'}", "--window-size=390,900",
             f"--screenshot={picture}", page.as_uri()], capture_output=True, text=True, timeout=120)
        self.assertEqual(drawn.returncode, 0, drawn.stderr)
        self.assertNotIn("CONSOLE", drawn.stderr)
        self.assertTrue(picture.read_bytes().startswith(b"\x89PNG"))

    def test_convert_without_a_recipe_leaves_one(self):
        (self.dir / "data").mkdir()
        for part in ("train", "eval"):
            lines = (EXAMPLE / f"data/sentiment.{part}.tsv").read_text().splitlines(True)[:60]
            (self.dir / f"data/sentiment.{part}.tsv").write_text("".join(lines))
        task, out = ["--task", EXAMPLE / "sentiment.json", "--data", self.dir], self.dir / "out"
        dry = self.succeed("convert", EXAMPLE / "model", *task, "--dry-run").stdout
        self.assertIn("an FFN with relu: small experts", dry)
        self.assertIn("OUT/moe-kmeans", dry)
        self.refuse(2, ["--max-loss is 'much'", "0.5%"], "convert", EXAMPLE / "model", *task,
                    "--max-loss", "much", "--dry-run")
        result = self.succeed("convert", EXAMPLE / "model", *task, "--max-loss", "5%", "--out", out)
        self.assertIn(str(out / "recipe.json"), result.stdout)
        self.assertIn("within the 5.00 % allowed", result.stdout)
        choice = self.json("convert", out / "recipe.json", "--out", out)["conversions"][0]["choice"]
        self.assertLessEqual(choice["loss"], 0.05)
        self.assertIn(f"--ffn-ratio {choice['ffn_ratio']}", result.stderr)
        again = self.json("convert", out / "recipe.json", "--out", out)["conversions"][0]
        self.assertTrue(all(stage["kept"] for stage in again["stages"]))
        self.check_page(out)
        self.refuse(2, "needs --task", "convert", EXAMPLE / "model", "--out", out)
        self.refuse(2, "--model is for recipes", "convert", EXAMPLE / "model", *task, "--model",
                    "x", "--out", out)
        self.refuse(2, "no such file or directory", "convert", self.dir / "nosuch", *task, "--out",
                    out)
        self.refuse(2, ["is no recipe", "--task"], "convert", EXAMPLE / "sentiment.json", "--out",
                    self.dir / "other")
        self.refuse(2, "a recipe names its tasks", "convert", out / "recipe.json", *task, "--out",
                    out)

    def test_convert_tunes(self):
        (self.dir / "data").mkdir()
        for part in ("train", "eval"):
            lines = (EXAMPLE / f"data/sentiment.{part}.tsv").read_text().splitlines(True)[:60]
            (self.dir / f"data/sentiment.{part}.tsv").write_text("".join(lines))
        task, out = ["--task", EXAMPLE / "sentiment.json", "--data", self.dir], self.dir / "out"
        for samples, words in ((0, "--tune is 0"), (60, "'train' of sentiment has 59 examples")):
            self.refuse(2, words, "convert", EXAMPLE / "model", *task, "--tune", samples,
                        "--dry-run")
        self.refuse(2, "needs --task", "convert", EXAMPLE / "model", "--tune", 40, "--out", out)
        self.refuse(2, ["adds a calibrate stage", "'calibrated'"], "convert",
                    EXAMPLE / "calibrated.json", "--tune", 40, "--dry-run")
        dry = self.succeed("convert", EXAMPLE / "model", *task, "--tune", 40, "--dry-run").stdout
        self.assertIn("calibrate kmeans, eval", dry)
        self.assertIn("the first 40 samples of sentiment's split train, 2 epochs", dry)
        self.assertRegex(dry, r"time .*of it is for the tuning")

        # Untuned first: what is there is kept, and the tuning is added.
        self.succeed("convert", EXAMPLE / "model", *task, "--out", out)
        tuned = self.succeed("convert", EXAMPLE / "model", *task, "--tune", 40, "--out", out)
        for model in ("moe-kmeans", "calibrated-kmeans"):
            self.assertRegex(tuned.stdout, model + r" \+ ridge +20 %")
        self.assertIn("moefy run " + str(out / "calibrated-kmeans"), tuned.stderr)
        recipe = json.loads((out / "recipe.json").read_text())
        self.assertEqual((recipe["calibrate"]["limit"], recipe["calibrate"]["ffn_ratio"]),
                         (40, [0.1, 0.2, 0.3, 0.5]))
        stages = json.loads((out / "results.json").read_text())["timings"]["stages"]
        kept = {stage["name"] for stage in stages if stage["kept"]}
        self.assertEqual(kept, {"inspect", "record", "split kmeans", "route-train kmeans"})
        self.check_page(out)
        self.assertIn("calibrated-kmeans", (out / "report.html").read_text())

        # A changed tuning is as much the user's as the rest of the recipe.
        recipe["calibrate"]["learning_rate"] = 1e-3
        (out / "recipe.json").write_text(json.dumps(recipe))
        self.refuse(2, "was changed", "convert", EXAMPLE / "model", *task, "--tune", 40, "--out",
                    out)


class BadInput(Case):
    def test_missing_and_truncated_files(self):
        out = self.dir / "out"
        self.refuse(3, "nowhere", "inspect", self.dir / "nowhere")
        self.refuse(3, "model.safetensors", "inspect", EXAMPLE / "data")
        pico = self.copy_pico()
        data = (pico / "model.safetensors").read_bytes()
        (pico / "model.safetensors").write_bytes(data[:-100])
        self.refuse(3, ["model.safetensors", "580700", "cut short"], "split", pico, "--experts", 4, "--out", out)
        (pico / "config.json").unlink()
        (pico / "model.safetensors").write_bytes(data)
        self.refuse(3, ["config.json", "no such file"], "split", pico, "--experts", 4, "--out", out)

    def test_wrong_shapes(self):
        pico = self.edit_config(self.copy_pico(), d_ff=64)
        self.refuse(3, ["[112, 48]", "[64, 48]", "DenseReluDense.wi"], "inspect", pico)

    def test_unknown_family_and_activation(self):
        self.refuse(3, ["model_type", "'t6'", "supported"], "inspect",
                    self.edit_config(self.copy_pico(), model_type="t6"))
        pico = self.edit_config(self.copy_pico("bert-cls-relu"), hidden_act="tanhh")
        self.refuse(3, ["hidden_act", "'tanhh'", "supported"], "inspect", pico)

    def test_experts_that_do_not_divide(self):
        self.refuse(2, ["112", "30", "28"], "split", self.copy_pico(), "--experts", 30, "--out",
                    self.dir / "out")

    def test_dump_of_another_model(self):
        dump, moe = self.dir / "dump", self.dir / "moe"
        self.succeed("record", EXAMPLE / "model", "--task", EXAMPLE / "sentiment.json", "--limit",
                     10, "--out", dump)
        self.succeed("split", PICO / "t5-relu-tied", "--experts", 4, "--out", moe)
        self.refuse(3, "another model", "route-train", moe, "--dump", dump)
        self.refuse(2, ["--router-width is 64", "'ridge'", "regression"], "route-train", moe, "--dump",
                    dump, "--router-width", 64)

    def test_bad_tasks(self):
        task = self.dir / "task.json"
        spec = json.loads((EXAMPLE / "sentiment.json").read_text())
        spec["splits"]["eval"]["file"] = "eval.tsv"
        spec["splits"].pop("train", None)
        task.write_text(json.dumps(spec))
        data = self.dir / "eval.tsv"

        def evaluate(exit_code, fragments, text):
            data.write_text(text)
            self.refuse(exit_code, fragments, "eval", EXAMPLE / "model", "--task", task)

        evaluate(3, "eval.tsv", "")
        evaluate(3, "eval.tsv", "sentence\tlabel\n")
        evaluate(3, ["line 3", "'maybe'"], "sentence\tlabel\nfine .\tpositive\nso .\tmaybe\n")
        evaluate(3, "'label'", "sentence\tlable\nfine .\tpositive\n")
        spec["labels"][0]["word"] = "Łukasiewicz"
        task.write_text(json.dumps(spec))
        evaluate(3, ["Łukasiewicz", "vocabulary"], "sentence\tlabel\nfine .\tpositive\n")

    def test_no_routers_yet(self):
        moe = self.dir / "moe"
        self.succeed("split", EXAMPLE / "model", "--expert-size", 32, "--out", moe)
        self.refuse(2, ["no routers", "route-train"], "eval", moe, "--task",
                    EXAMPLE / "sentiment.json", "--limit", 5)

    @unittest.skipUnless(shutil.which("bash"), "needs bash")
    def test_full_disk(self):
        # A file size limit stands for a full disk: the write fails, the message names the file.
        command = f"ulimit -f 16; exec '{MOEFY}' split '{EXAMPLE}/model' --expert-size 32 --out '{self.dir}/out'"
        result = subprocess.run(["bash", "-c", command], capture_output=True, text=True,
                                preexec_fn=lambda: signal.signal(signal.SIGXFSZ, signal.SIG_IGN))
        self.assertEqual(result.returncode, 4, result.stderr)
        self.assertEqual(list(self.dir.iterdir()), [])


class Interruption(Case):
    def test_killed_while_it_works_leaves_nothing_or_all(self):
        recipe_args = ["record", EXAMPLE / "model", "--task", EXAMPLE / "stories.json", "--limit", 0,
                       "--out", self.dir / "dump"]
        process = subprocess.Popen([MOEFY, *map(str, recipe_args)], stdout=subprocess.PIPE,
                                   stderr=subprocess.PIPE, text=True)
        while not any(self.dir.iterdir()) and process.poll() is None:  # until it has begun to write
            time.sleep(0.01)
        time.sleep(0.2)
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=60)
        self.assertIn(process.returncode, (0, 130), errors)
        left = [path.name for path in self.dir.iterdir()]
        self.assertEqual(left, ["dump"] if process.returncode == 0 else [], errors)


class Reviews(Case):
    """The recipe for the real model, short."""

    def test_conversion_of_the_real_model(self):
        recipe = json.loads((SOURCE / "configs/recipes/reviews.json").read_text())
        tasks = [str(SOURCE / "configs/tasks/sst2.json")]
        recipe["record"].update(task=tasks, limit=500)
        recipe["route"]["epochs"] = 10
        recipe["eval"].update(task=tasks, ffn_ratio=[0.1, 0.2, 1.0])
        path = self.dir / "recipe.json"
        path.write_text(json.dumps(recipe))
        model = SHARED / "checkpoints/t5-relu-reviews"
        document = self.json("convert", path, "--model", model, "--data", SHARED / "data", "--out",
                             self.dir / "out")["conversions"][0]
        rows = {(r["model"], r["selection"], r["ffn_ratio"]): r
                for r in document["reports"][0]["rows"]}
        dense = rows["", "dense", 1]
        self.assertAlmostEqual(dense["accuracy"]["value"], 0.7695, places=3)
        for model_name in ("moe-kmeans", "moe-random"):
            for selection in ("mlp", "oracle"):
                full = rows[model_name, selection, 1.0]
                self.assertEqual(full["agreement_with_dense"], 1)
                self.assertLess(full["kl_from_dense"]["value"], 1e-6)
        kl = {key: row["kl_from_dense"]["value"] for key, row in rows.items()}
        for ratio in (0.1, 0.2):
            self.assertLess(kl["moe-kmeans", "mlp", ratio], kl["moe-random", "mlp", ratio])
        self.assertTrue(self.json("verify", model, self.dir / "out/moe-kmeans")["equal"])


if __name__ == "__main__":
    if sys.argv[3:] == ["Reviews"] and not (SHARED / "checkpoints/t5-relu-reviews").exists():
        print(f"skipped: needs {SHARED}/checkpoints/t5-relu-reviews (set MOEFY_SHARED to find it)")
        sys.exit(77)
    unittest.main(argv=[sys.argv[0], *sys.argv[3:]], verbosity=2)
