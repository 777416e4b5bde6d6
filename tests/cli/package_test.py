"""What is installed beside the program, and the Debian package of both.

usage: package_test.py MOEFY SOURCE_DIR [CLASS...]
"""
import os
import pathlib
import re
import shutil
import subprocess
import sys
import unittest

from cli_test import MOEFY, Case, run

BUILD = MOEFY.resolve().parents[1]
STATUS = pathlib.Path("/var/lib/dpkg/status")  # what this machine has installed


def missing():
    """Why the package cannot be built or installed here; "" if it can."""
    for tool in ("cpack", "dpkg", "dpkg-deb", "dpkg-shlibdeps"):
        if not shutil.which(tool):
            return f"needs {tool}"
    if os.geteuid() != 0:
        return "needs root, as which alone dpkg installs"
    libraries = subprocess.run(["ldd", MOEFY], capture_output=True, text=True).stdout
    if not re.search(r"libtorch_cpu\S* => (/usr)?/lib/", libraries):
        return "needs a build with Debian's LibTorch, of which a package can be named"
    return ""


class Shared(Case):
    def check(self, *command):
        result = subprocess.run([*map(str, command)], capture_output=True, text=True, timeout=1500)
        self.assertEqual(result.returncode, 0, f"{command}: {result.stdout}{result.stderr}")
        return result

    def words(self, completion, *line):
        """What bash offers for the last word of a command line."""
        script = ('source "$1"; shift; COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _moefy; '
                  'printf "%s\\n" "${COMPREPLY[@]}"')
        result = self.check("bash", "-c", script, "bash", completion, "moefy", *line)
        return set(result.stdout.split())

    def check_bash(self, completion):
        self.check("bash", "-n", completion)
        self.assertEqual(self.words(completion, "sp"), {"split", "sparsify", "sparsity"})
        self.assertEqual(self.words(completion, "split", "--ex"), {"--experts", "--expert-size"})
        self.assertEqual(self.words(completion, "split", "CKPT", "--ou"), {"--out"})
        # Behind an option that takes a number there is nothing to offer; elsewhere it is files.
        for line in (["split", "--experts", ""], ["split", "--experts", "="], ["split", ""]):
            self.assertEqual(self.words(completion, *line), set(), line)

    def check_manual(self, directory):
        """Every command has a page, and none has a mistake that a formatter finds."""
        commands = re.findall(r"^  ([a-z][a-z-]*) ", run("--help").stdout.split("Subcommands:")[1],
                              re.MULTILINE)
        self.assertIn("split", commands)
        pages = {"moefy", *(f"moefy-{name}" for name in commands)}
        self.assertEqual({page.stem for page in directory.iterdir()}, pages)
        formatters = [command for command in (["groff", "-man", "-ww", "-Tutf8"],
                                              ["man", "--warnings", "-l"])
                      if shutil.which(command[0])]
        for page in sorted(directory.iterdir()) if formatters else []:
            result = self.check(*formatters[0], page)
            self.assertEqual(result.stderr, "", page)
            # Bold is struck twice, or in an escape sequence.
            plain = re.sub("\x1b\\[[0-9;]*m|.\b", "", result.stdout)
            for part in ("NAME", "SYNOPSIS", f"\n       {page.stem.replace('-', ' ', 1)} "):
                self.assertIn(part, plain)


class HelpFiles(Shared):
    def setUp(self):
        super().setUp()
        self.share = self.dir / "share"
        self.succeed("--help-files", self.share)

    def test_manual(self):
        self.check_manual(self.share / "man/man1")

    def test_completions(self):
        bash = self.share / "bash-completion/completions/moefy"
        self.check_bash(bash)
        files = {"bash": bash, "zsh": self.share / "zsh/site-functions/_moefy",
                 "fish": self.share / "fish/vendor_completions.d/moefy.fish"}
        for shell, file in files.items():
            self.assertEqual(self.succeed("--completion", shell).stdout, file.read_text())
            if shutil.which(shell):
                self.check(shell, "-n", file)

    def test_every_option_is_completed(self):
        bash = self.share / "bash-completion/completions/moefy"
        for command in ("split", "run", "calibrate"):
            shown = set(re.findall(r"^  (?:-\w,)?(--[\w-]+)", run(command, "--help").stdout,
                                   re.MULTILINE))
            self.assertGreater(len(shown), 10)
            self.assertEqual(self.words(bash, command, "--"), shown, command)

    @unittest.skipUnless(shutil.which("fish"), "no fish here")
    def test_fish_completes(self):
        fish = self.share / "fish/vendor_completions.d/moefy.fish"
        for line, wanted in (("moefy sp", {"split", "sparsify", "sparsity"}),
                             ("moefy split --exp", {"--experts", "--expert-size"})):
            result = self.check("fish", "--no-config", "-c",
                                f"source {fish}; complete -C '{line}'")
            self.assertEqual({row.split("\t")[0] for row in result.stdout.splitlines()}, wanted)

    def test_refusals(self):
        self.refuse(2, ["unknown shell 'bsh'", "did you mean 'bash'", "zsh, fish"],
                    "--completion", "bsh")
        (self.share / "mine").write_text("kept")
        self.refuse(2, "it holds 'mine'", "--help-files", self.share)


class Package(Shared):
    """The package is installed below a directory of its own, after this machine's list of packages
    was copied there: so what it depends on counts, and the machine stays as it is."""

    def dpkg(self, *args):
        return subprocess.run(
            ["dpkg", f"--root={self.root}", f"--log={self.dir}/log", "--path-include=*", *args],
            capture_output=True, text=True, timeout=600)

    def installed(self):
        return {path.relative_to(self.root) for path in self.root.rglob("*")
                if not path.is_relative_to(self.admin)}

    def set_up_root(self, status):
        self.root = self.dir / "root"
        self.admin = self.root / "var/lib/dpkg"
        shutil.rmtree(self.root, ignore_errors=True)
        for name in ("info", "updates", "triggers"):
            (self.admin / name).mkdir(parents=True)
        (self.admin / "status").write_text(status)

    def test_installed_used_and_removed(self):
        self.check("cpack", "--config", BUILD / "CPackConfig.cmake", "-B", self.dir / "built")
        [package] = (self.dir / "built").glob("*.deb")
        depends = self.check("dpkg-deb", "--field", package, "Depends").stdout
        for library in ("libtorch1.13", "libmetis5", "libhwy1", "libicu72", "libxxhash0"):
            self.assertIn(library, depends)

        stanzas = STATUS.read_text().split("\n\n")
        self.set_up_root("\n\n".join(stanza for stanza in stanzas
                                     if not stanza.startswith("Package: libtorch1.13\n")))
        refused = self.dpkg("--install", package)
        self.assertNotEqual(refused.returncode, 0)
        self.assertIn("moefy depends on libtorch1.13", refused.stderr)

        self.set_up_root(STATUS.read_text())
        before = self.installed()
        self.assertEqual(self.dpkg("--install", package).returncode, 0)
        verified = self.dpkg("--verify", "moefy")
        self.assertEqual((verified.returncode, verified.stdout), (0, ""))
        self.use(self.root / "usr")
        self.assertEqual(self.dpkg("--purge", "moefy").returncode, 0)
        self.assertEqual(self.installed(), before)
        self.assertNotIn("Package: moefy\n", (self.admin / "status").read_text())

    def use(self, prefix):
        program, data = prefix / "bin/moefy", prefix / "share/moefy"
        out = self.dir / "out"
        self.check(program, "convert", data / "examples/quickstart/recipe.json", "--out", out,
                   "--quiet")
        model = data / "examples/quickstart/model"
        self.check(program, "verify", model, out / "split-kmeans")
        self.check(program, "convert", data / "configs/recipes/reviews.json", "--model", model,
                   "--dry-run")
        self.check_manual(prefix / "share/man/man1")
        self.check_bash(prefix / "share/bash-completion/completions/moefy")
        for shell, file in (("zsh", "zsh/vendor-completions/_moefy"),
                            ("fish", "fish/vendor_completions.d/moefy.fish")):
            self.assertTrue((prefix / "share" / file).exists(), file)
            if shutil.which(shell):
                self.check(shell, "-n", prefix / "share" / file)


if __name__ == "__main__":
    if sys.argv[3:] == ["Package"] and missing():
        print(f"skipped: {missing()}")
        sys.exit(77)
    unittest.main(argv=[sys.argv[0], *sys.argv[3:]], verbosity=2)
