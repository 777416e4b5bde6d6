"""moefy under mpirun: ranks share a conversion. Only where moefy is built with MPI.

usage: mpi_test.py MOEFY SOURCE_DIR [CLASS...]
"""
import os
import pathlib
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


if __name__ == "__main__":
    import sys
    unittest.main(argv=[sys.argv[0], *sys.argv[3:]], verbosity=2)
