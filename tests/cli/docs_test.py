"""The commands of README.md and docs/tutorial.md, as they are written, on the embedded example; and
of every other page, as far as an empty directory lets them come.

usage: docs_test.py MOEFY SOURCE_DIR [CLASS...]

Each page's commands run in their order in one directory, in which the paths that the page speaks of
are the example's model and some of its rows. EXPECTED has a line for every command: how it ends and
a line that it prints, or why it is left out. A command without a line here is an error, and so is a
line here that no command begins with.
"""
import json
import os
import re
import shlex
import subprocess
import sys
import unittest

from cli_test import EXAMPLE, MOEFY, SOURCE, Case, run

# {start of a command: (exit code, what it prints) or why it does not run here}
README = {
    "scripts/quickstart.sh": "it installs packages and builds; CI runs it by itself",
    "scripts/test.sh": "it is the test suite",
    "moefy inspect": (0, r"family +t5"),
    "moefy sparsity": (0, r"encoder\.ffn\.0"),
    "moefy convert path/to/model": (0, r"Ratio 0\.\d+ of moe-kmeans, ridge, loses"),
    "moefy convert recipe.json": (0, r"moe-kmeans \+ ridge +20 %"),
    "moefy report build/reviews": (0, r"report\.html"),
    "moefy eval": (0, r"moe-kmeans \+ ridge +50 %"),
    "moefy run": (0, r"positive|negative"),
    "moefy pack": (0, r"packed"),
    "moefy verify": (0, r"equal: \d+ tensors"),
    "moefy merge": (0, r"dense-again"),
}
TUTORIAL = {
    "moefy finetune": "the example has no encoder, and training takes minutes; "
                      "training_test.py trains one",
    "moefy inspect": (0, r"family +t5"),
    "moefy convert models/reviews --task reviews.json --max-loss 1% --dry-run":
        (0, r"choose a ratio"),
    "moefy convert models/reviews --task reviews.json --max-loss 1% --out":
        (0, r"Ratio 0\.\d+ of moe-kmeans, ridge, loses"),
    "moefy report out": (0, r"report\.html"),
    "moefy run out/moe-kmeans": (0, r"\w"),
    "moefy verify": (0, r"equal: \d+ tensors"),
    "moefy convert ci.json": (0, r"moe-kmeans \+ ridge +50 %"),
    "moefy export out/moe-kmeans": (0, r"python-model"),
    **dict.fromkeys(
        ("moefy record models/llm", "moefy split models/llm --expert-size 64",
         "moefy route-train split", "moefy run moe ", "moefy export moe ",
         "moefy split models/llm --expert-size 1 ", "moefy route-train neurons",
         "moefy run routed "),
        "the example is no LLaMA; transformers_exports.py and gguf_exports.py run these on SmolLM2"),
    "llama-cli": "it is llama.cpp's",
}

# What stands for a value that the reader chooses.
READERS_CHOICE = {"RATIOS?": "0.5", "SIZE": "8", "SELECTION": "stored", "METHOD": "cmoe", "SHAPE": "",
                "PRESET": ""}


def commands_of(text):
    """The commands in a page's plain fenced blocks, with their continuation lines joined."""
    found = []
    for language, block in re.findall(r"^```(\w*)\n(.*?)^```", text, re.MULTILINE | re.DOTALL):
        if language:
            continue
        joined = re.sub(r"\s*\\\n\s*", " ", block)
        found += [line.strip() for line in joined.splitlines()
                  if re.match(r"(moefy|scripts/|cmake|llama-cli|python)", line.strip())]
    return found


def files_of(text):
    """What the page says to write: `name.json`: and a block of JSON."""
    return dict(re.findall(r"`(\w+\.json)`:\n\n```json\n(.*?)^```", text, re.MULTILINE | re.DOTALL))


class Docs(Case):
    def write_rows(self, split, count):
        rows = (EXAMPLE / f"data/sentiment.{split}.tsv").read_text().splitlines()[:count + 1]
        return "\n".join(rows) + "\n"

    def run_page(self, page, expected):
        """Runs the commands that are to run, and checks what each of them is expected to do."""
        text = (SOURCE / page).read_text(encoding="utf-8")
        for name, contents in files_of(text).items():
            (self.dir / name).write_text(contents)
        (self.dir / "bin").mkdir()
        (self.dir / "bin/moefy").symlink_to(MOEFY.resolve())
        path = f"{self.dir / 'bin'}:{os.environ['PATH']}"
        used = set()
        for command in commands_of(text):
            starts = [start for start in expected if command.startswith(start)]
            self.assertTrue(starts, f"{page} has a command that this test does not know: {command}")
            start = max(starts, key=len)
            used.add(start)
            if isinstance(expected[start], str):
                continue
            exit_code, pattern = expected[start]
            done = subprocess.run(["bash", "-c", command], cwd=self.dir, capture_output=True,
                                  text=True, timeout=300, env={**os.environ, "PATH": path})
            said = done.stdout + done.stderr
            self.assertEqual(done.returncode, exit_code, f"{command}\n{said}")
            self.assertRegex(said, pattern, command)
        self.assertEqual(used, set(expected), f"{page} no longer has all commands of the test")

    def test_readme(self):
        (self.dir / "path/to").mkdir(parents=True)
        (self.dir / "path/to/model").symlink_to(EXAMPLE.resolve() / "model")
        (self.dir / "data").mkdir()
        task = json.loads((EXAMPLE / "sentiment.json").read_text())
        for split, count in (("train", 120), ("eval", 60)):
            (self.dir / f"data/sentiment.{split}.tsv").write_text(self.write_rows(split, count))
        (self.dir / "my-task.json").write_text(json.dumps(task))
        (self.dir / "corpus.txt").write_text(self.write_rows("train", 20))
        (self.dir / "recipe.json").write_text(json.dumps({
            "model": "path/to/model", "record": {"task": ["my-task.json"]},
            "split": [{"name": "kmeans", "expert_size": 16}], "route": {"preset": "fast"},
            "eval": {"task": ["my-task.json"], "ffn_ratio": [0.2]}}))
        self.run_page("README.md", README)

    def test_tutorial(self):
        (self.dir / "models").mkdir()
        (self.dir / "models/reviews").symlink_to(EXAMPLE.resolve() / "model")
        (self.dir / "data").mkdir()
        (self.dir / "data/train.tsv").write_text(self.write_rows("train", 120))
        (self.dir / "data/dev.tsv").write_text(self.write_rows("eval", 60))
        self.run_page("docs/tutorial.md", TUTORIAL)

    def test_every_page_knows_the_options(self):
        """Commands end where their first file is missing, and not at how they are written."""
        def wrong(command):
            for word, value in READERS_CHOICE.items():
                command = re.sub(rf"\b{word}\b", value, command)
            done = run(*shlex.split(command, comments=True)[1:], cwd=self.dir)
            if done.returncode == 0 or (done.returncode in (2, 3) and "--help`" not in done.stderr):
                return []
            return [f"{command}: exit {done.returncode}: {done.stderr}"]

        commands = sorted({command for page in (SOURCE / "docs").rglob("*.md")
                           for command in commands_of(page.read_text(encoding="utf-8"))
                           if command.startswith("moefy ") and "bench --shape" not in command})
        self.assertGreater(len(commands), 100)
        self.assertEqual(sum(map(wrong, commands), []), [])
        self.assertIn("did you mean '--expert-size'",
                      wrong("moefy split model --expert-sise 32 --out moe")[0])

    def test_a_changed_command_is_noticed(self):
        self.assertEqual(commands_of("x\n```\nmoefy a \\\n    --b  # c\nls\n```\n```json\nmoefy\n```\n"),
                         ["moefy a --b  # c"])
        with self.assertRaisesRegex(AssertionError, "does not know: scripts/quickstart.sh"):
            self.run_page("README.md", {})


if __name__ == "__main__":
    unittest.main(argv=[sys.argv[0], *sys.argv[3:]], verbosity=2)
