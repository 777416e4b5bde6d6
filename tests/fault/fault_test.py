"""Kills the program and fails its calls at every write, sync, rename, mkdir, link and removal, and
looks at what is left: the output is absent, the old one or the whole new one, byte for byte; inputs
are as they were; and the next run succeeds and cleans up.

usage: fault_test.py MOEFY FAULT_LIBRARY SOURCE_DIR (sample | all [Name...] | Name...)

A name is that of a class, or of a test as in Everywhere.test_split.
"""
import concurrent.futures
import contextlib
import json
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "support"))
from dump_files import write_dump  # noqa: E402
from program_server import ProgramServer  # noqa: E402

MOEFY, LIBRARY, SOURCE = (pathlib.Path(path).resolve() for path in sys.argv[1:4])
EXAMPLE = SOURCE / "examples/quickstart"
PICO = SOURCE / "tests/data/pico/t5-relu-tied"
SAMPLED = sys.argv[4] != "all"  # of every scenario so many cases, evenly spread
STAGED = ".out.moefy-??????"  # an output while it is made; its lock has another name
TOLD_TIMES = ["eval.json", "report.txt", "results.json"]  # what is measured differs from run to run
COMMON = ["--quiet", "--threads", "1"]  # every core has a command of its own
EVERY_CALL = 0  # as a number of cases: each call once, what it meets in turn
# What each kind of call may meet. A removal that fails, or room that cannot be set aside, is no error.
ACTIONS = {"create": ["kill", "ENOSPC", "EDQUOT", "EROFS"],
           "write": ["kill", "short", "ENOSPC", "EIO", "EDQUOT"], "sync": ["kill", "EIO", "EDQUOT"],
           "rename": ["kill", "after", "EIO", "EROFS"], "mkdir": ["kill", "ENOSPC", "EROFS"],
           "link": ["kill", "EIO", "EDQUOT"], "remove": ["kill", "EIO", "EROFS"],
           "reserve": ["kill", "ENOSPC", "EDQUOT"]}
COLUMNS = ["kill", "after", "short", "ENOSPC", "EDQUOT", "EIO", "EROFS"]


def tree(path):
    """Names and bytes of everything below; a file is its bytes."""
    path = pathlib.Path(path)
    if path.is_file():
        return path.read_bytes()
    return {str(entry.relative_to(path)): entry.read_bytes() if entry.is_file() else None
            for entry in sorted(path.rglob("*"))}


def variables(directory, fault, counts, clock):
    """What the library in front of the C library reads."""
    chosen = {"FAULT": fault, "FAULT_COUNTS": counts, "FAULT_CLOCK": clock}
    return {"FAULT_UNDER": str(directory),
            **{name: str(value) for name, value in chosen.items() if value}}


def start(directory, args, fault="", counts="", clock=""):
    environment = {**os.environ, "LD_PRELOAD": str(LIBRARY),
                   **variables(directory, fault, counts, clock)}
    return subprocess.Popen([MOEFY, *map(str, args), *COMMON], cwd=directory, env=environment,
                            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def run(directory, args, fault="", counts="", clock=""):
    process = start(directory, args, fault, counts, clock)
    output, errors = process.communicate(timeout=300)
    return process.returncode, output, errors


class Scenario:
    """A command, what it reads, and what is at its output before. A command with stages keeps those
    it has done, so that its output may be there in part."""

    def __init__(self, name, args, num_sampled, inputs=(), old=None, changing=(), out="out",
                 stages=False, beside=()):
        self.name, self.args, self.num_sampled, self.inputs = name, args, num_sampled, inputs
        self.old = old  # a directory of the fixtures that stands at the output before
        self.changing = changing  # files that differ from run to run
        self.out = out
        self.stages = stages
        self.beside = beside  # what else it leaves

    def prepare(self, fixtures, directory):
        for name in self.inputs:
            shutil.copytree(fixtures / name, directory / name)
        if self.old:
            shutil.copytree(fixtures / self.old, directory / self.out)

    def output(self, directory):
        found = directory / self.out
        if not found.exists():
            return None
        result = tree(found)
        for name in self.changing:
            result.pop(name, None)
        return result

    def again(self):
        """The next run: over what the first one may have finished."""
        if self.stages or "--force" in self.args:
            return self.args
        return [*self.args, "--force"]


def scenarios():
    task = [EXAMPLE / "sentiment.json", "--limit", 20]
    return [
        Scenario("split", ["split", PICO, "--experts", 4, "--out", "out"], EVERY_CALL),
        Scenario("split over an old one", ["split", PICO, "--experts", 4, "--out", "out", "--force"],
                 14, old="split8"),
        Scenario("merge", ["merge", "moe", "--out", "out"], EVERY_CALL, inputs=["moe"]),
        Scenario("record", ["record", EXAMPLE / "model", "--task", *task, "--out", "out"], 10),
        Scenario("route-train in place",
                 ["route-train", "out", "--dump", "dump", "--preset", "fast"], 14,
                 inputs=["dump"], old="split"),
        Scenario("route-train to another",
                 ["route-train", "split", "--dump", "dump", "--preset", "fast", "--out", "out"], 8, inputs=["dump", "split"]),
        Scenario("route-train by parts",
                 ["route-train", "split", "--dump", "dump", "--preset", "fast",
                  "--parts", "parts", "--out", "out", "--force"], 4,
                 inputs=["dump", "split"], stages=True, beside=("parts",)),
        Scenario("join", ["join", "parts", "--out", "out"], 4, inputs=["parts", "dump", "split"]),
        Scenario("calibrate", ["calibrate", "split", "--selection", "similarity", "--task",
                               EXAMPLE / "sentiment.json", "--limit", 40, "--steps", 2,
                               "--evaluate-every", 1, "--force", "--out", "out"], 4,
                 inputs=["split"], stages=True),
        Scenario("pack", ["pack", "moe", "--weights", "int8", "--out", "out"], 4, inputs=["moe"]),
        Scenario("export to GGUF", ["export", "gated", "--format", "gguf", "--ffn-ratio", 0.5,
                                    "--out", "out"], 4, inputs=["gated"]),
        Scenario("export to Mixtral", ["export", "gated", "--format", "mixtral", "--ffn-ratio", 0.5,
                                       "--out", "out"], 4, inputs=["gated"]),
        Scenario("run", ["run", EXAMPLE / "model", "--input", "in/texts.txt", "--out", "out",
                         "--task", EXAMPLE / "sentiment.json", "--force"], 8, inputs=["in"],
                 old="answers"),
        Scenario("convert", ["convert", "recipe/recipe.json", "--out", "out"], 14,
                 inputs=["recipe"], changing=TOLD_TIMES, stages=True),
        Scenario("convert, two jobs", ["convert", "recipe/many.json", "--out", "out"],
                 4, inputs=["recipe"], stages=True,
                 changing=["results.json", *(f"split.seed={seed}/{name}" for seed in (1, 2)
                                             for name in TOLD_TIMES)]),
    ]


def write_recipe(path, **more):
    task = str(EXAMPLE / "sentiment.json")
    path.write_text(json.dumps({
        "model": str(EXAMPLE / "model"), "record": {"task": [task], "limit": 20},
        "split": [{"expert_size": 32}], "route": {"preset": "fast"},
        "eval": {"task": [task], "limit": 5, "ffn_ratio": [0.25], "selection": ["stored"]}, **more}))


def make_fixtures(directory):
    """What scenarios start from, made without faults."""
    def succeed(*args):
        code, _, errors = run(directory, args)
        assert code == 0, errors
    task = ["--task", EXAMPLE / "sentiment.json", "--limit", 20]
    succeed("split", PICO, "--experts", 4, "--out", "moe")
    succeed("split", PICO, "--experts", 8, "--out", "split8")
    succeed("split", EXAMPLE / "model", "--expert-size", 32, "--out", "split")
    succeed("record", EXAMPLE / "model", *task, "--out", "dump")
    (directory / "in").mkdir()
    (directory / "in/texts.txt").write_text("a fine film .\na dull film .\n")
    (directory / "recipe").mkdir()
    write_recipe(directory / "recipe/recipe.json")
    write_recipe(directory / "recipe/many.json", matrix={"split.seed": [1, 2]})
    succeed("route-train", "split", "--dump", "dump", "--preset", "fast",
            "--parts", "parts", "--shard", "1/1", "--out", "unused")
    write_dump(directory / "gated-dump",
               [f"model.layers.{i}.mlp.up_proj.weight" for i in range(2)], 48)
    succeed("split", SOURCE / "tests/data/pico/mistral-gqa", "--expert-size", 29, "--out", "gated")
    succeed("route-train", "gated", "--dump", "gated-dump", "--preset", "fast", "--router",
            "unbiased")


def faults_by_kind(faults):
    kinds = [fault.rsplit(":", 1)[1] for fault in faults]
    return [kinds.count(kind) for kind in COLUMNS]


def print_matrix(rows):
    """How many faults of each kind every command met, and how often something was lost."""
    rows = [*rows, ["all", *(sum(column) for column in list(zip(*rows))[1:])]] if rows else []
    for row in [["", *COLUMNS, "lost"], ["---"] * (len(COLUMNS) + 2), *rows]:
        print("| " + " | ".join(map(str, row)) + " |", flush=True)


class Everywhere(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.dir = pathlib.Path(tempfile.mkdtemp(prefix="moefy-fault-")).resolve()
        cls.addClassCleanup(shutil.rmtree, cls.dir, ignore_errors=True)
        cls.fixtures = cls.dir / "fixtures"
        cls.fixtures.mkdir()
        cls.matrix = []
        cls.addClassCleanup(print_matrix, cls.matrix)
        make_fixtures(cls.fixtures)
        cls.server = ProgramServer(MOEFY, LIBRARY, cls.dir / "server")
        cls.addClassCleanup(cls.server.close)
        code, _, errors = run(cls.fixtures, ["run", EXAMPLE / "model", "x", "--task",
                                             EXAMPLE / "sentiment.json", "--out", "answers0"])
        assert code == 0, errors

    @contextlib.contextmanager
    def place(self, scenario):
        directory = pathlib.Path(tempfile.mkdtemp(dir=self.dir))
        try:
            if scenario.old == "answers":
                shutil.copy(self.fixtures / "answers0", directory / "out")
                for name in scenario.inputs:
                    shutil.copytree(self.fixtures / name, directory / name)
            else:
                scenario.prepare(self.fixtures, directory)
            yield directory
        finally:
            shutil.rmtree(directory)

    def cases(self, scenario, counts):
        every = [f"{call}:{number}:{action}" for call, actions in ACTIONS.items()
                 for number in range(1, counts[call] + 1) for action in actions]
        if not SAMPLED or len(every) <= scenario.num_sampled:
            return every
        if scenario.num_sampled == EVERY_CALL:
            return [f"{call}:{number}:{actions[number % len(actions)]}"
                    for call, actions in ACTIONS.items() for number in range(1, counts[call] + 1)]
        return [every[i * len(every) // scenario.num_sampled] for i in range(scenario.num_sampled)]

    def run_copy(self, directory, args, fault="", counts=""):
        done = self.server.run([*args, *COMMON], directory, variables(directory, fault, counts, ""))
        return done.returncode, done.stdout, done.stderr

    def check(self, scenario, fault, old, new):
        """What is wrong after a fault, in words; "" if nothing is."""
        with self.place(scenario) as directory:
            inputs = {name: tree(directory / name) for name in scenario.inputs}
            code, _, errors = self.run_copy(directory, scenario.args, fault)
            if code not in (0, 4, -signal.SIGKILL):
                return f"exit {code}: {errors}"
            left = scenario.output(directory)
            if not scenario.stages and left not in (None if old is None else old, new):
                return f"exit {code}: half an output: {sorted(left or [])}; {errors}"
            if code == 4 and "error: " not in errors:
                return "exit 4 without a word"
            if code != -signal.SIGKILL and not scenario.stages:
                names = {entry.name for entry in directory.iterdir()} - {"out", *scenario.inputs}
                # A removal that failed, or a lost race with a full disk, may leave a staging name.
                if names and not fault.startswith("remove"):
                    return f"exit {code}: left {names}"
            code, _, errors = self.run_copy(directory, scenario.again())
            if code != 0:
                return f"the next run: exit {code}: {errors}"
            if scenario.output(directory) != new:
                return f"the next run made something else; {errors}"
            names = {entry.name for entry in directory.iterdir()} - {
                "out", *scenario.inputs, *scenario.beside}
            hidden = [path for path in directory.rglob(".*.moefy-*")]
            if names or hidden:
                return f"the next run left {names} {hidden}"
            if inputs != {name: tree(directory / name) for name in scenario.inputs}:
                return "an input was changed"
        return ""

    def attack(self, scenario):
        with self.place(scenario) as directory:
            old = scenario.output(directory)
            counts_file = self.dir / "counts"
            code, _, errors = self.run_copy(directory, scenario.args, counts=counts_file)
            self.assertEqual(code, 0, errors)
            new = scenario.output(directory)
            self.assertNotEqual(old, new)
        counts = {}  # the most of any of its processes
        for line in counts_file.read_text().splitlines():
            call, count = line.split()
            counts[call] = max(counts.get(call, 0), int(count))
        counts_file.unlink()
        faults = self.cases(scenario, counts)
        with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
            problems = pool.map(lambda fault: self.check(scenario, fault, old, new), faults)
            found = [f"{fault}: {problem}" for fault, problem in zip(faults, problems) if problem]
        print(f"{scenario.name}: {len(faults)} faults; calls: {counts}", flush=True)
        print(*found, sep="\n", end="\n" * bool(found), flush=True)  # at once: the others take long
        self.matrix.append([scenario.name, *faults_by_kind(faults), len(found)])
        self.assertEqual(found, [])


for a_scenario in scenarios():
    setattr(Everywhere, "test_" + a_scenario.name.replace(" ", "_").replace("-", "_"),
            lambda self, scenario=a_scenario: self.attack(scenario))


class Moments(unittest.TestCase):
    """What happens between two calls of a command that is held there."""

    def setUp(self):
        self.dir = pathlib.Path(tempfile.mkdtemp(prefix="moefy-fault-")).resolve()
        self.addCleanup(shutil.rmtree, self.dir, ignore_errors=True)

    def hold(self, fault, *args):
        """The command, stopped at a call."""
        process = start(self.dir, args, fault)
        self.addCleanup(process.kill)
        _, status = os.waitpid(process.pid, os.WUNTRACED)
        self.assertTrue(os.WIFSTOPPED(status), status)
        return process

    def let_go(self, process):
        process.send_signal(signal.SIGCONT)
        _, errors = process.communicate(timeout=60)
        return process.returncode, errors

    def stuck(self, *args):
        """The command, inside a call that does not come back."""
        process = start(self.dir, args, "write:3:stall")
        self.addCleanup(process.kill)
        while process.poll() is None and not any(self.dir.glob(STAGED)):
            time.sleep(0.02)
        time.sleep(0.3)
        return process

    def model(self, name="model"):
        shutil.copytree(PICO, self.dir / name, ignore=shutil.ignore_patterns("golden*", "meta*"))
        return self.dir / name

    def test_a_signal_ends_even_what_cannot_notice_it(self):
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            process = self.stuck("split", PICO, "--experts", 4, "--out", "out")
            process.send_signal(number)
            _, errors = process.communicate(timeout=60)
            self.assertEqual(process.returncode, 130, errors)
            self.assertEqual(errors, "error: interrupted; no output was written\n")
            self.assertEqual(list(self.dir.iterdir()), [])

    def test_a_second_signal_ends_at_once(self):
        process = self.stuck("split", PICO, "--experts", 4, "--out", "out")
        for _ in range(2):
            process.send_signal(signal.SIGINT)
            time.sleep(0.05)
        process.communicate(timeout=60)
        self.assertEqual(process.returncode, 130)
        self.assertEqual(list(self.dir.iterdir()), [])

    def test_nohup_is_respected(self):
        before = signal.signal(signal.SIGHUP, signal.SIG_IGN)  # inherited
        try:
            process = self.hold("write:3:stop", "split", PICO, "--experts", 4, "--out", "out")
        finally:
            signal.signal(signal.SIGHUP, before)
        process.send_signal(signal.SIGHUP)
        self.assertEqual(self.let_go(process)[0], 0)

    def test_an_input_cut_short_while_it_is_mapped(self):
        model = self.model()
        # Where room for the weights is set aside, none of them has been read.
        process = self.hold("reserve:1:stop", "split", model, "--experts", 4, "--out", "out")
        os.truncate(model / "model.safetensors", 5000)
        code, errors = self.let_go(process)
        self.assertEqual(code, 4, errors)
        self.assertRegex(errors, "model.safetensors: became shorter|an input became shorter")
        self.assertEqual([path.name for path in self.dir.iterdir()], ["model"])

    def test_an_input_changed_while_it_is_read(self):
        model = self.model()
        process = self.hold("write:2:stop", "split", model, "--experts", 4, "--out", "out")
        with open(model / "model.safetensors", "r+b") as file:
            file.seek(-8, os.SEEK_END)
            file.write(b"otherwise"[:8])
        code, errors = self.let_go(process)
        self.assertEqual(code, 4, errors)
        self.assertIn("was changed while it was read", errors)
        self.assertEqual([path.name for path in self.dir.iterdir()], ["model"])

    def test_a_clock_that_jumps(self):
        """By a month ahead and back, whenever it is looked at."""
        write_recipe(self.dir / "recipe.json")
        trees = []
        for jump in ("0", "2592000"):
            out = self.dir / f"out{jump}"
            code, _, errors = run(self.dir, ["convert", "recipe.json", "--out", out], clock=jump)
            self.assertEqual(code, 0, errors)
            trees.append({name: data for name, data in tree(out).items()
                          if name not in TOLD_TIMES})
        self.assertEqual(*trees)

    def wait_for(self, *args):
        """The command that waits for another, and what it says first."""
        process = start(self.dir, [*args, "--wait"])
        self.addCleanup(process.kill)
        return process, process.stderr.readline()

    def test_the_second_of_two_names_the_first_or_waits(self):
        split = ["split", PICO, "--experts", 4, "--out", "out"]
        process = self.hold("write:3:stop", *split)
        named = [f"out: process {process.pid} on {socket.gethostname()}, since 20", "moefy split"]
        code, _, errors = run(self.dir, split)
        self.assertEqual(code, 4, errors)
        for words in [*named, "--wait"]:
            self.assertIn(words, errors)
        self.assertTrue(any(self.dir.glob(STAGED)))  # and nothing was cleaned away
        waiting, said = self.wait_for(*split, "--force")
        for words in [*named, "waiting"]:
            self.assertIn(words, said)
        second, _ = self.wait_for(*split)
        self.assertEqual(self.let_go(process)[0], 0)
        self.assertEqual(waiting.communicate(timeout=60)[1], "")
        self.assertEqual(waiting.returncode, 0)
        self.assertIn("exists already", second.communicate(timeout=60)[1])
        self.assertEqual(second.returncode, 2)
        self.assertEqual([path.name for path in self.dir.iterdir()], ["out"])

    def test_a_signal_ends_the_wait(self):
        split = ["split", PICO, "--experts", 4, "--out", "out"]
        process = self.hold("write:3:stop", *split)
        waiting, _ = self.wait_for(*split)
        waiting.send_signal(signal.SIGINT)
        waiting.communicate(timeout=60)
        self.assertEqual(waiting.returncode, 130)
        # Who is killed is waited for no longer.
        waiting, _ = self.wait_for(*split)
        process.kill()
        process.communicate()
        waiting.communicate(timeout=60)
        self.assertEqual(waiting.returncode, 0)
        self.assertEqual([path.name for path in self.dir.iterdir()], ["out"])

    def test_a_killed_run_is_cleaned_up_and_said(self):
        split = ["split", PICO, "--experts", 4, "--out", "out"]
        self.assertEqual(run(self.dir, split, "write:4:kill")[0], -signal.SIGKILL)
        self.assertEqual(len(list(self.dir.glob(STAGED))), 1)
        code, _, errors = run(self.dir, split)
        self.assertEqual(code, 0, errors)
        self.assertIn("left by an earlier run for out that was killed", errors)
        self.assertEqual([path.name for path in self.dir.iterdir()], ["out"])

    def test_a_conversion_names_who_holds_its_place(self):
        write_recipe(self.dir / "recipe.json")
        convert = ["convert", "recipe.json", "--out", "out"]
        process = self.hold("write:2:stop", *convert)
        code, _, errors = run(self.dir, convert)
        self.assertEqual(code, 4, errors)
        self.assertIn(f"out: process {process.pid} on", errors)
        waiting, _ = self.wait_for(*convert)
        self.assertEqual(self.let_go(process)[0], 0)
        waiting.communicate(timeout=60)
        self.assertEqual(waiting.returncode, 0)
        self.assertFalse((self.dir / "out/.moefy-lock").exists())


if __name__ == "__main__":
    if not SAMPLED and not os.environ.get("MOEFY_FAULT_ALL"):
        print("skipped: every call of every command takes hours; MOEFY_FAULT_ALL=1 tries them")
        sys.exit(77)
    names = sys.argv[4:] if sys.argv[4] not in ("sample", "all") else sys.argv[5:]
    chosen = names or ["Everywhere"]
    unittest.main(argv=[sys.argv[0], *chosen], verbosity=2)
