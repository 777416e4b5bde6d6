"""moefy under mpirun: ranks share a conversion. Only where moefy is built with MPI.

usage: mpi_test.py MOEFY SOURCE_DIR [CLASS...]
"""
import json
import os
import pathlib
import shutil
import signal
import subprocess
import time
import unittest

from cli_test import EXAMPLE, MOEFY, PICO, Case
from safety_test import tree

# A test machine may have fewer cores than ranks, or be a container of root's.
MPIRUN = ["mpirun", "--oversubscribe", "--allow-run-as-root", "-n", "2"]


def mpirun(*arguments):
    return subprocess.run([*MPIRUN, MOEFY, *map(str, arguments)], capture_output=True, text=True,
                          timeout=240, check=False)


def children_of(pid):
    """The processes below a process, by /proc."""
    found = []
    for entry in pathlib.Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            parent = int((entry / "stat").read_text().rsplit(")", 1)[1].split()[1])
        except (OSError, ValueError):
            continue
        if parent == pid:
            found += [int(entry.name), *children_of(int(entry.name))]
    return found


def rank_of(pid):
    try:
        environment = pathlib.Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
    except OSError:
        return None
    ranks = [int(line.split(b"=")[1]) for line in environment
             if line.startswith(b"OMPI_COMM_WORLD_RANK=")]
    return ranks[0] if ranks else None


class Mpi(Case):
    @classmethod
    def setUpClass(cls):
        # mpirun looks for ssh, also where nobody starts anything elsewhere.
        os.environ.setdefault("OMPI_MCA_plm_rsh_agent", "sh")
        alone = subprocess.run([*MPIRUN, "true"], capture_output=True, text=True, timeout=120,
                               check=False)
        if alone.returncode != 0:
            raise unittest.SkipTest(f"mpirun cannot start even `true` here: {alone.stderr[:300]}")

    def test_two_ranks_make_what_one_process_makes(self):
        model = PICO / "t5-relu-tied"
        self.succeed("split", model, "--experts", 8, "--out", self.dir / "one")
        result = mpirun("split", model, "--experts", 8, "--out", self.dir / "two")
        self.assertEqual(result.returncode, 0, result.stderr)
        self.assertEqual(tree(self.dir / "two"), tree(self.dir / "one"))
        self.assertFalse((self.dir / "two.parts").exists())
        self.assertEqual(result.stdout.count("split by"), 1, "one rank alone speaks")

    def test_a_whole_conversion(self):
        for name, program in (("one", [MOEFY]), ("two", [*MPIRUN, MOEFY])):
            result = subprocess.run([*program, "convert", EXAMPLE / "recipe.json", "--out",
                                     self.dir / name, "--quiet"], capture_output=True, text=True,
                                    timeout=280, check=False)
            self.assertEqual(result.returncode, 0, result.stderr)
        one, two = (sorted((self.dir / name).glob("moe-*")) for name in ("one", "two"))
        self.assertEqual([moe.name for moe in one], [moe.name for moe in two])
        for ours, theirs in zip(one, two):
            # Products of one thread and of several may round differently; the plans may not.
            self.assertEqual((ours / "config.json").read_bytes(),
                             (theirs / "config.json").read_bytes())
        self.assertFalse(list((self.dir / "two").glob("*.parts")))

    def many(self, **changes):
        """A recipe of four conversions."""
        task = str(EXAMPLE / "sentiment.json")
        recipe = {"model": str(EXAMPLE / "model"), "record": {"task": [task], "limit": 20},
                  "split": [{"expert_size": 32}], "route": {"preset": "fast"},
                  "eval": {"task": [task], "limit": 5, "ffn_ratio": [0.5], "selection": ["stored"]},
                  "matrix": {"split.seed": [1, 2, 3, 4]}, **changes}
        if "models" in changes:
            del recipe["model"]
        path = self.dir / "many.json"
        path.write_text(json.dumps(recipe))
        return path

    def test_ranks_take_conversions_in_turn(self):
        result = mpirun("convert", self.many(), "--out", self.dir / "out", "--threads", 1, "--json")
        self.assertEqual(result.returncode, 0, result.stderr)
        names = [f"split.seed={seed}" for seed in (1, 2, 3, 4)]
        jobs = json.loads(result.stdout)["conversions"]
        self.assertEqual([(job["name"], job["exit_code"]) for job in jobs], [(n, 0) for n in names])
        for name in names:
            self.assertEqual(result.stderr.count(f"] {name}\n"), 1, "each is begun once")
        alone = self.many(split=[{"expert_size": 32, "seed": 3}], matrix={"split.seed": [3]})
        self.succeed("convert", alone, "--out", self.dir / "one", "--threads", 1)
        for file in ("moe-kmeans/moefy.safetensors", "moe-kmeans/model.safetensors"):
            self.assertEqual((self.dir / "one" / names[2] / file).read_bytes(),
                             (self.dir / "out" / names[2] / file).read_bytes())
        self.assertFalse((self.dir / "out.jobs").exists())

    def test_a_conversion_that_fails_ends_them_unless_told_otherwise(self):
        bad = self.dir / "bad"
        shutil.copytree(EXAMPLE / "model", bad)
        with open(bad / "model.safetensors", "r+b") as file:
            file.seek(-4096, os.SEEK_END)
            file.write(b"\xff" * 4096)
        recipe = self.many(models=[str(bad), str(EXAMPLE / "model")])
        result = mpirun("convert", recipe, "--out", self.dir / "out", "--threads", 1, "--json",
                        "--keep-going")
        self.assertEqual(result.returncode, 3, result.stderr)
        codes = [job["exit_code"] for job in json.loads(result.stdout)["conversions"]]
        self.assertEqual(codes, [3] * 4 + [0] * 4)
        result = mpirun("convert", recipe, "--out", self.dir / "out", "--threads", 1, "--json")
        self.assertEqual(result.returncode, 3, result.stderr)
        codes = [job["exit_code"] for job in json.loads(result.stdout)["conversions"]]
        self.assertIn(3, codes[:2])
        self.assertIn(None, codes)
        self.assertFalse((self.dir / "out.jobs").exists())

    def test_training_shares_its_steps(self):
        """Two ranks train what one does, but for rounding."""
        task = ["--task", EXAMPLE / "sentiment.json", "--limit", 200, "--threads", 1]
        for command in (["finetune", EXAMPLE / "model"],
                        ["calibrate", self.dir / "moe", "--selection", "similarity",
                         "--distill", 0.5, "--lora-rank", 4]):
            if command[0] == "calibrate":
                self.succeed("split", EXAMPLE / "model", "--expert-size", 32, "--out",
                             self.dir / "moe")
            training = [*command, *task, "--steps", 6, "--evaluate-every", 2, "--json"]
            one = self.json(*training[:-1], "--out", self.dir / f"one-{command[0]}")
            result = mpirun(*training, "--out", self.dir / f"two-{command[0]}")
            self.assertEqual(result.returncode, 0, result.stderr)
            two = json.loads(result.stdout)
            self.assertEqual(len(two["history"]), len(one["history"]))
            for ours, theirs in zip(two["history"], one["history"]):
                self.assertAlmostEqual(ours["loss"], theirs["loss"], delta=1e-4)
                self.assertAlmostEqual(ours["held_out_loss"], theirs["held_out_loss"], delta=1e-4)
            self.assertNotEqual(one["history"][0]["held_out_loss"],
                                one["history"][-1]["held_out_loss"])

    def test_a_training_goes_on_after_a_rank_was_killed(self):
        command = ["finetune", EXAMPLE / "model", "--task", EXAMPLE / "sentiment.json", "--limit",
                   400, "--threads", 1, "--steps", 30, "--evaluate-every", 2, "--out",
                   self.dir / "out"]
        state = self.dir / "out.training"
        run = subprocess.Popen([*MPIRUN, MOEFY, *map(str, command)], stderr=subprocess.PIPE,
                               stdout=subprocess.DEVNULL, text=True)
        deadline = time.monotonic() + 120
        while not state.exists():
            self.assertLess(time.monotonic(), deadline)
            time.sleep(0.005)
        (victim,) = [pid for pid in children_of(run.pid) if rank_of(pid) == 1]
        os.kill(victim, signal.SIGKILL)
        run.communicate(timeout=60)
        self.assertNotEqual(run.returncode, 0)
        self.assertFalse((self.dir / "out").exists())
        result = mpirun(*command, "--json")
        self.assertEqual(result.returncode, 0, result.stderr)
        document = json.loads(result.stdout)
        self.assertGreater(document["first_step"], 0)
        self.assertFalse(state.exists())
        alone = self.json(*command[:-1], self.dir / "alone")
        self.assertAlmostEqual(document["history"][-1]["held_out_loss"],
                               alone["history"][-1]["held_out_loss"], delta=1e-3)

    def recording(self, *more, batch_tokens=256):
        return ["record", EXAMPLE / "model", "--task", EXAMPLE / "sentiment.json",
                "--batch-tokens", batch_tokens, "--threads", 1, *more, "--out"]

    def test_a_recording_is_shared(self):
        for name, more in (("whole", ["--limit", 300]), ("full", ["--max-tokens", 1000])):
            one, two = self.dir / f"{name}-one", self.dir / f"{name}-two"
            alone = self.json(*self.recording(*more), one)
            result = mpirun(*self.recording(*more), two, "--json")
            self.assertEqual(result.returncode, 0, result.stderr)
            self.assertEqual(tree(two), tree(one))
            shared = json.loads(result.stdout)
            self.assertEqual(shared["ffns"], alone["ffns"])
            self.assertEqual(shared["examples"] == 300, name == "whole")
            self.assertEqual([path.name for path in self.dir.glob("*.parts")], [])

    def test_a_recording_goes_on_after_a_rank_was_killed(self):
        command = [*self.recording("--limit", 0, batch_tokens=64), self.dir / "dump"]
        self.succeed(*command[:-1], self.dir / "one")
        parts = self.dir / "dump.parts"
        for victim in (1, 0):
            before = set(parts.glob("*.rows"))
            run = subprocess.Popen([*MPIRUN, MOEFY, *map(str, command)], stderr=subprocess.PIPE,
                                   stdout=subprocess.DEVNULL, text=True)
            deadline = time.monotonic() + 60
            while len(set(parts.glob("*.rows")) - before) < 3:
                self.assertLess(time.monotonic(), deadline)
                self.assertIsNone(run.poll(), "the run was over before a rank could be killed")
                time.sleep(0.002)
            (killed,) = [pid for pid in children_of(run.pid) if rank_of(pid) == victim]
            os.kill(killed, signal.SIGKILL)
            run.communicate(timeout=60)
            self.assertNotEqual(run.returncode, 0)
            self.assertFalse((self.dir / "dump").exists())
            self.assertTrue(before < set(parts.glob("*.rows")), "what was found is kept")
        result = mpirun(*self.recording("--limit", 100), self.dir / "dump")
        self.assertEqual(result.returncode, 2, result.stderr)
        self.assertIn("dump.parts keeps parts of another model or of other options", result.stderr)
        # What is there is not made again: one of its notes is changed, and the change shows.
        note = min(parts.glob("[0-9]*.json"))
        values = json.loads(note.read_text())
        values["examples"] += 100000
        note.write_text(json.dumps(values))
        result = mpirun(*command, "--json")
        self.assertEqual(result.returncode, 0, result.stderr)
        self.assertGreater(json.loads(result.stdout)["examples"], 100000)
        self.assertEqual(tree(self.dir / "dump"), tree(self.dir / "one"))
        self.assertFalse(parts.exists())

    def test_errors_end_all_ranks(self):
        result = mpirun("split", self.dir / "missing", "--experts", 8, "--out", self.dir / "moe")
        self.assertEqual(result.returncode, 3, result.stderr)
        self.assertIn("missing", result.stderr)
        result = mpirun("split", PICO / "t5-relu-tied", "--experts", 9, "--out", self.dir / "moe")
        self.assertEqual(result.returncode, 2, result.stderr)
        self.assertIn("nearest that divide", result.stderr)
        self.assertEqual(list(self.dir.iterdir()), [])

    def test_a_killed_rank_fails_the_run_and_the_next_one_goes_on(self):
        command = ["split", EXAMPLE / "model", "--expert-size", 16, "--restarts", 300, "--out",
                   self.dir / "moe"]
        self.succeed(*command[:-1], self.dir / "one")
        parts = self.dir / "moe.parts"
        for victim in (1, 0):
            before = set(parts.glob("*.claim-*"))
            run = subprocess.Popen([*MPIRUN, MOEFY, *map(str, command)], stderr=subprocess.PIPE,
                                   stdout=subprocess.DEVNULL, text=True)
            deadline = time.monotonic() + 60
            while set(parts.glob("*.claim-*")) == before:
                self.assertLess(time.monotonic(), deadline)
                time.sleep(0.005)
            killed = [pid for pid in children_of(run.pid) if rank_of(pid) == victim]
            self.assertEqual(len(killed), 1)
            os.kill(killed[0], signal.SIGKILL)
            run.communicate(timeout=60)
            self.assertNotEqual(run.returncode, 0)
            self.assertFalse((self.dir / "moe").exists())
            self.assertTrue((parts / "parts.json").exists())
        result = mpirun(*command)
        self.assertEqual(result.returncode, 0, result.stderr)
        self.assertEqual(tree(self.dir / "moe"), tree(self.dir / "one"))
        self.assertFalse((self.dir / "moe.parts").exists())


# mpirun's way to another host, in place of ssh: AGENT HOST COMMAND...
AGENT = """#!/bin/sh
shift
exec ip netns exec {there} unshare --uts sh -c "hostname host-b; $*"
"""
# How soon a connection that is silent counts as lost; by default it takes minutes.
KEEPALIVE = {"oob_tcp_keepalive_time": 3, "oob_tcp_keepalive_intvl": 1,
             "oob_tcp_keepalive_probes": 3}
# What mpirun says of a host it cannot reach: that it missed it, or, where the other end gave up
# first, that the daemon there ended.
HOST_IS_GONE = "lost communication|unable to reliably start one or more daemons"


class TwoHosts(Case):
    """Two network namespaces stand for two hosts that share a file system and nothing else."""

    def setUp(self):
        super().setUp()
        if os.geteuid() != 0 or not shutil.which("ip") or not shutil.which("mpirun"):
            self.skipTest("needs root, iproute2 and mpirun")
        self.here, self.there = (f"moefy-{os.getpid()}-{side}" for side in "ab")
        link = f"m{os.getpid()}"
        for command in (f"ip netns add {self.here}", f"ip netns add {self.there}",
                        f"ip link add {link}a netns {self.here} type veth peer name {link}b netns {self.there}",
                        *(f"ip -n {name} {rest}"
                          for name, end, number in ((self.here, "a", 1), (self.there, "b", 2))
                          for rest in ("link set lo up", f"addr add 10.77.0.{number}/24 dev {link}{end}",
                                       f"link set {link}{end} up"))):
            done = subprocess.run(command.split(), capture_output=True, text=True, check=False)
            if done.returncode != 0:
                self.remove_hosts()
                self.skipTest(f"no network namespaces here: {done.stderr.strip()}")
        self.addCleanup(self.remove_hosts)
        self.cut = ["ip", "-n", self.there, "link", "set", f"{link}b", "down"]
        agent = self.dir / "agent"
        agent.write_text(AGENT.format(there=self.there))
        agent.chmod(0o755)
        settings = {"plm_rsh_agent": agent, "btl": "tcp,self", "oob_tcp_if_include": "10.77.0.0/24",
                    "btl_tcp_if_include": "10.77.0.0/24", **KEEPALIVE}
        self.mpirun = ["ip", "netns", "exec", self.here, "unshare", "--uts", "sh", "-c",
                       'hostname host-a; exec mpirun "$@"', "mpirun", "--allow-run-as-root",
                       "--host", "10.77.0.1:1,10.77.0.2:1", "-n", "2",
                       *(part for key, value in settings.items()
                         for part in ("--mca", key, str(value))), str(MOEFY)]

    def remove_hosts(self):
        for name in (self.here, self.there):
            subprocess.run(["ip", "netns", "del", name], capture_output=True, check=False)

    def on_both(self, *arguments):
        return subprocess.run([*self.mpirun, *map(str, arguments)], capture_output=True, text=True,
                              timeout=240, check=False)

    def test_a_split_and_a_training(self):
        split = ["split", EXAMPLE / "model", "--expert-size", 16, "--threads", 1, "--out"]
        self.succeed(*split, self.dir / "one")
        result = self.on_both(*split, self.dir / "two")
        self.assertEqual(result.returncode, 0, result.stderr)
        self.assertEqual(tree(self.dir / "two"), tree(self.dir / "one"))
        record = ["record", EXAMPLE / "model", "--task", EXAMPLE / "sentiment.json", "--limit", 100,
                  "--batch-tokens", 256, "--threads", 1, "--out"]
        self.succeed(*record, self.dir / "dump-one")
        result = self.on_both(*record, self.dir / "dump-two")
        self.assertEqual(result.returncode, 0, result.stderr)
        self.assertEqual(tree(self.dir / "dump-two"), tree(self.dir / "dump-one"))
        training = ["finetune", EXAMPLE / "model", "--task", EXAMPLE / "sentiment.json", "--limit",
                    200, "--threads", 1, "--steps", 4, "--evaluate-every", 2]
        one = self.json(*training, "--out", self.dir / "trained-one")
        result = self.on_both(*training, "--json", "--out", self.dir / "trained-two")
        self.assertEqual(result.returncode, 0, result.stderr)
        two = json.loads(result.stdout)
        self.assertAlmostEqual(two["history"][-1]["held_out_loss"],
                               one["history"][-1]["held_out_loss"], delta=1e-4)

    def test_a_network_that_is_cut_fails_the_run_and_the_next_one_goes_on(self):
        command = ["split", EXAMPLE / "model", "--expert-size", 16, "--restarts", 300, "--threads",
                   1, "--out", self.dir / "moe"]
        run = subprocess.Popen([*self.mpirun, *map(str, command)], stderr=subprocess.PIPE,
                               stdout=subprocess.DEVNULL, text=True)
        parts = self.dir / "moe.parts"
        deadline = time.monotonic() + 120
        while len(list(parts.glob("*.claim-*"))) < 2:
            self.assertLess(time.monotonic(), deadline)
            time.sleep(0.005)
        subprocess.run(self.cut, check=True)
        _, errors = run.communicate(timeout=120)
        self.assertNotEqual(run.returncode, 0)
        self.assertRegex(errors, HOST_IS_GONE)
        self.assertFalse((self.dir / "moe").exists())
        self.assertTrue((parts / "parts.json").exists())
        self.succeed(*command[:-1], self.dir / "one")
        self.succeed(*command, "--parts", parts)  # on one host
        self.assertEqual(tree(self.dir / "moe"), tree(self.dir / "one"))


if __name__ == "__main__":
    import sys
    unittest.main(argv=[sys.argv[0], *sys.argv[3:]], verbosity=2)
