"""Texts as people have them: JSON lines under any name, other encodings, inputs that break, figures of one example.

usage: inputs_test.py MOEFY SOURCE_DIR [CLASS...]
"""
import json
import os
import subprocess
import sys
import unittest

from cli_test import EXAMPLE, MOEFY, Case, run
from tasks_test import TASKS, causal_model


def model_beside(directory):
    """The model in a directory of its own: outputs do not lie in inputs."""
    (directory / "model").mkdir()
    return causal_model(directory / "model")


class Texts(Case):
    """What record and sparsity are given as --text."""

    def setUp(self):
        super().setUp()
        self.model = model_beside(self.dir)

    def write(self, name, data):
        path = self.dir / name
        path.write_bytes(data if isinstance(data, bytes) else data.encode())
        return path

    def tokens(self, *args):
        ffns = self.json("record", self.model, *args, "--out", self.dir / "dump", "--force")["ffns"]
        (count,) = {ffn["tokens"] for ffn in ffns}
        return count

    def test_json_lines_by_name(self):
        plain = self.tokens("--text", self.write("a.txt", "Once.\nThe end.\n"))
        rows = '{"text": "Once."}\n{"text": "The end."}\n'
        for name in ("a.jsonl", "a.NDJSON", "a.json", "a.JSONL"):
            self.assertEqual(self.tokens("--text", self.write(name, rows)), plain)
        array = self.write("b.json", '[{"body": "Once."},\n {"body": "The end."}]')
        self.assertEqual(self.tokens("--text", array, "--field", "body"), plain)
        self.refuse(3, ["b.json: line 1: no key 'text'", "--field"], "record", self.model,
                    "--text", array, "--out", self.dir / "other")

    def test_other_encodings(self):
        for data, fragments in ((b"\xff\xfeh\x00\n\x00", ["line 1, byte 1 is 0xff", "UTF-16"]),
                                (b"ok\ncaf\xe9\n", ["line 2, byte 4 is 0xe9", "Windows-1252"])):
            path = self.write("text.txt", data)
            self.refuse(3, ["text.txt", *fragments], "record", self.model, "--text", path, "--out",
                        self.dir / "dump")
            self.refuse(3, ["text.txt", *fragments], "sparsity", self.model, "--text", path)


class Inputs(Case):
    """One that breaks costs itself; 64 positions, a token a byte."""

    def setUp(self):
        super().setUp()
        self.model = model_beside(self.dir)

    def write(self, name, data):
        path = self.dir / name
        path.write_bytes(data if isinstance(data, bytes) else data.encode())
        return path

    def some(self, path, *args):
        """Answers of a run of which some inputs failed, and what it said."""
        result = run("run", self.model, "--input", path, "--max-new-tokens", 3, "--json", "--quiet",
                     *args)
        self.assertEqual(result.returncode, 3, result.stderr)
        document = json.loads(result.stdout)
        failed = [answer for answer in document["answers"] if "error" in answer]
        self.assertEqual(document["failed"], len(failed))
        errors = [line[7:] for line in result.stderr.splitlines() if line.startswith("error: ")]
        self.assertEqual(errors, [answer["error"] for answer in failed])
        return document["answers"], errors

    def texts(self, *args):
        answers = self.json("run", self.model, "--max-new-tokens", 3, *args)["answers"]
        return [answer["text"] for answer in answers]

    def test_json_by_name_and_field(self):
        wanted = self.texts("ab", "cd")
        for name in ("in.jsonl", "in.ndjson", "in.json", "in.JSONL"):
            path = self.write(name, '{"text": "ab"}\n\n{"text": "cd"}\n')
            self.assertEqual(self.texts("--input", path), wanted)
        path = self.write("rows.json", '{"data": [{"body": "ab"}, {"body": "cd"}]}')
        self.assertEqual(self.texts("--input", path, "--field", "body"), wanted)
        self.refuse(3, ["none of 2 inputs", "rows.json: line 1: no field 'text'", "--field"], "run",
                    self.model, "--input", path)

    def test_one_that_is_too_long(self):
        path = self.write("in.txt", "ab\n" + "ab" * 40 + "\ncd\n")
        answers, (error,) = self.some(path)
        self.assertEqual(error, f"{path}: line 2: the text has 80 tokens; the model has 64 "
                         "positions")
        self.assertEqual([answers[0]["text"], answers[2]["text"]], self.texts("ab", "cd"))
        self.refuse(3, ["text 1: the text has 80 tokens", "64 positions"], "run", self.model,
                    "ab" * 40)

    def test_one_of_ten_megabytes(self):
        path = self.write("in.txt", "ab\n" + "ab" * 5_000_000 + "\n")
        _, (error,) = self.some(path)
        self.assertIn("line 2: the text has 10000000 tokens", error)
        # Relative positions have no end, but memory and patience have.
        path = self.write("t5.txt", "a b " * 2_500_000)
        self.refuse(3, ["t5.txt: line 1: the text has", "at most 1048576"], "run",
                    EXAMPLE / "model", "--input", path)

    def test_broken_ones_of_every_sort(self):
        path = self.write("in.jsonl", b'{"id": 1, "text": "ab"}\n{"text": "ab",\n{"txt": "ab"}\n'
                          b'{"id": 4, "text": ""}\n{"text": "caf\xe9"}\n{"id": 6, "text": "cd"}\n')
        answers, errors = self.some(path)
        for line, fragment, error in zip((2, 3, 4, 5),
                                         ("not valid JSON", "did you mean 'txt'", "no tokens",
                                          "byte 14 is 0xe9"), errors):
            self.assertTrue(error.startswith(f"{path}: line {line}: "), error)
            self.assertIn(fragment, error)
        self.assertEqual([answer.get("id") for answer in answers], [1, None, None, 4, None, 6])
        self.assertEqual([answers[0]["text"], answers[5]["text"]], self.texts("ab", "cd"))

    def test_tokens_without_a_row(self):
        (self.model / "added_tokens.json").write_text(json.dumps({"<extra>": 168}))
        result = run("run", self.model, "ab", "ab <extra> c", "cd", "--max-new-tokens", 3)
        if result.returncode == 3 and result.stdout == "":  # refused with its tokenizer
            self.assertIn("168", result.stderr)
            return
        self.assertEqual(result.returncode, 3, result.stderr)
        self.assertIn("text 2: token", result.stderr)
        self.assertIn("168", result.stderr)
        self.assertEqual(result.stdout.count("\n"), 3)

    def test_a_line_for_each_input(self):
        path = self.write("in.txt", "ab\n" + "ab" * 40 + "\ncd\n")
        out = self.dir / "out.jsonl"
        result = run("run", self.model, "--input", path, "--max-new-tokens", 3, "--out", out)
        self.assertEqual(result.returncode, 3, result.stderr)
        lines = [json.loads(line) for line in out.read_text().splitlines()]
        self.assertEqual(["error" in line for line in lines], [False, True, False])
        printed = run("run", self.model, "--input", path, "--max-new-tokens", 3).stdout
        self.assertEqual(printed.split("\n"), [lines[0]["text"], "", lines[2]["text"], ""])

    def test_generation_ends_at_the_last_position(self):
        result = run("run", self.model, "a" * 62, "--max-new-tokens", 50, "--json", "--quiet")
        self.assertEqual(result.returncode, 0, result.stderr)
        (answer,) = json.loads(result.stdout)["answers"]
        self.assertEqual((answer["tokens"], answer["finished"], answer["stopped"]),
                         (3, False, "positions"))
        self.assertIn("text 1: the text ends after 3 new tokens, at the last of the model's 64",
                      result.stderr)
        path = self.write("in.txt", "a" * 62 + "\nab\n")
        answers = self.json("run", self.model, "--input", path, "--max-new-tokens", 50)["answers"]
        self.assertEqual([answer["tokens"] for answer in answers], [3, 50])
        self.assertNotIn("stopped", answers[1])

    def test_of_a_task(self):
        lines = [{"question": "two and two?", "first": "a", "second": "b", "third": "c"},
                 {"question": "two and two?", "first": "a", "second": "b"},
                 {"question": "two?", "first": "", "second": "b", "third": "c"},
                 {"question": "one?", "first": "a", "second": "b", "third": "c"}]
        path = self.write("in.jsonl", "".join(json.dumps(line) + "\n" for line in lines))
        answers, errors = self.some(path, "--task", TASKS / "sums.json")
        self.assertEqual([list(answer)[0] for answer in answers],
                         ["choice", "error", "error", "choice"])
        self.assertIn("line 2: no field 'third'", errors[0])
        self.assertIn("the answer '' has no tokens", errors[1])

    def test_arguments_are_utf_8(self):
        self.refuse(3, ["text 1: byte 4 is 0xe9", "not valid UTF-8"], "run", self.model,
                    os.fsdecode(b"caf\xe9"))
        result = run("run", self.model, "ab", os.fsdecode(b"\xe9"), "--max-new-tokens", 1)
        self.assertEqual(result.returncode, 3)
        self.assertIn("text 2: byte 1 is 0xe9", result.stderr)
        self.refuse(3, ["flags: --context: byte 1 is 0xe9"], "run", self.model, "--question", "Who?",
                    "--context", os.fsdecode(b"\xe9"))

    def test_stdin_that_cannot_be_read(self):
        command = [MOEFY, "run", self.model, "--input", "-", "--quiet"]
        for redirection in ("<&-", f"< '{self.dir}'"):
            result = subprocess.run(["sh", "-c", f'exec "$@" {redirection}', "sh", *command],
                                    capture_output=True, text=True, timeout=60)
            self.assertEqual(result.returncode, 4, result.stderr)
            self.assertIn("stdin cannot be read", result.stderr)
        for text, code in (("ab\n", 0), ("", 3)):
            result = subprocess.run([*command, "--max-new-tokens", "1"], input=text, text=True,
                                    capture_output=True, timeout=60)
            self.assertEqual(result.returncode, code, result.stderr)


class Figures(Case):
    def task(self, rows, **changes):
        task = json.loads((EXAMPLE / "sentiment.json").read_text())
        (self.dir / "data.tsv").write_text("sentence\tlabel\n" + "".join(
            f"{text}\t{label}\n" for text, label in rows))
        task["format"] = "tsv"
        task["splits"] = {"eval": {"file": "data.tsv",
                                   "columns": {"sentence": "sentence", "label": "label"}}}
        (self.dir / "task.json").write_text(json.dumps(task | changes))
        return ["eval", EXAMPLE / "model", "--task", self.dir / "task.json"]

    def test_one_example_has_no_standard_error(self):
        labels = [label["value"] for label in
                  json.loads((EXAMPLE / "sentiment.json").read_text())["labels"]]
        one = self.task([("nobody enjoyed the music .", labels[0])])
        row = self.json(*one)["reports"][0]["rows"][0]
        self.assertIsNone(row["accuracy"]["standard_error"])
        self.assertNotIn("±", self.succeed(*one).stdout)
        two = self.task([("nobody enjoyed the music .", labels[0])] * 2)
        self.assertEqual(self.json(*two)["reports"][0]["rows"][0]["accuracy"]["standard_error"], 0)
        result = self.succeed(*two)
        self.assertIn("±", result.stdout)
        self.assertIn(f"every example has the label '{labels[0]}'", result.stderr)

    def test_a_limit_on_windows(self):
        model = model_beside(self.dir)
        task = json.loads((TASKS / "tales.json").read_text()) | {"max_tokens": 8}
        (self.dir / "tales.txt").write_text((TASKS / "tales.txt").read_text())
        (self.dir / "tales.json").write_text(json.dumps(task))
        args = ["eval", model, "--task", self.dir / "tales.json"]
        counts = [self.json(*args, "--limit", limit)["reports"][0]["rows"][0]["kl_from_dense"]["count"]
                  for limit in (0, 1, 3)]
        self.assertEqual(counts, [26 + 14, 7, 21])

    def test_bench_names_its_limit(self):
        self.refuse(2, ["--tokens is 20000000", "from 1 to 16777216"], "bench", "--shape",
                    "t5-small", "--tokens", 20000000)

    def test_bench_refuses_options_of_its_other_half(self):
        for option, value in (("--tokens", 8), ("--routing", "skewed"), ("--expert-size", 16),
                              ("--experts", 8), ("--seconds-per-row", 1)):
            self.refuse(2, [f"{option} does not go with --end-to-end"], "bench", "--shape",
                        "t5-small", "--end-to-end", option, value)
        for option in (("--selection", "random"), ("--baseline",), ("--text", "a.txt"),
                       ("--batch", 4), ("--prompt-tokens", 4), ("--new-tokens", 4)):
            self.refuse(2, [f"{option[0]} goes with --end-to-end and a checkpoint"], "bench",
                        "--shape", "t5-small", *option)
        self.refuse(2, ["--end-to-end", "needs a checkpoint", "bench/make_checkpoint.py"], "bench",
                    "--shape", "t5-small", "--end-to-end")


class BenchModel(Case):
    """moefy bench MODEL --end-to-end."""

    LENGTHS = ("--batch", 2, "--prompt-tokens", 6, "--repetitions", 1, "--threads", 1)

    def bench(self, model, *args):
        return self.json("bench", model, "--end-to-end", *self.LENGTHS, *args)

    def test_dense(self):
        model = model_beside(self.dir)
        result = self.bench(model, "--new-tokens", 3, "--weights", "f32,int8")
        self.assertEqual([(row["phase"], row["engine"], row["weights"]) for row in result["rows"]],
                         [("prefill", "dense", "f32"), ("decode", "dense", "f32"),
                          ("prefill", "dense", "int8"), ("decode", "dense", "int8")])
        self.assertEqual((result["texts"], result["tokens"], result["new_tokens"]), (2, 12, 3))
        for row in result["rows"]:
            self.assertGreater(row["ms"]["median"], 0)
            self.assertGreater(row["bytes"], 0)
            self.assertEqual(row["threads"], 1)
        table = self.succeed("bench", model, "--end-to-end", *self.LENGTHS).stdout
        self.assertIn("2 texts, 12 tokens, 32 new tokens each", table)
        rows = self.succeed("bench", model, "--end-to-end", *self.LENGTHS, "--baseline", "--csv")
        lines = rows.stdout.splitlines()
        self.assertEqual(len(lines), 5)
        self.assertEqual({line.count(",") for line in lines}, {lines[0].count(",")})

    def test_split(self):
        model = model_beside(self.dir)
        self.succeed("split", model, "--experts", 4, "--out", self.dir / "moe")
        result = self.bench(self.dir / "moe", "--selection", "similarity", "--ffn-ratio", 0.5,
                            "--baseline")
        self.assertEqual([row["engine"] for row in result["rows"]],
                         ["torch"] * 2 + ["dense"] * 2 + ["sparse"] * 2)
        self.assertEqual(result["rows"][-1]["ffn_ratio"], 0.5)
        self.refuse(2, ["no routers yet"], "bench", self.dir / "moe", "--end-to-end", *self.LENGTHS)
        self.refuse(2, ["--routing does not go with --end-to-end", "as --selection says"], "bench",
                    self.dir / "moe", "--end-to-end", "--routing", "skewed")

    def test_texts(self):
        model = model_beside(self.dir)
        text = self.dir / "text.txt"
        text.write_text("Once upon a time.\nThe end.\n")
        result = self.bench(model, "--text", text)
        self.assertEqual(result["tokens"], 12)
        text.write_text("Once")
        self.refuse(3, ["text.txt has", "tokens; 2 prompts of 6 need 12"], "bench", model,
                    "--end-to-end", *self.LENGTHS, "--text", text)

    def test_what_a_model_does_not_have(self):
        model = model_beside(self.dir)
        self.refuse(2, ["--ffn-ratio needs a split checkpoint", "is dense"], "bench", model,
                    "--end-to-end", "--ffn-ratio", 0.5)
        self.refuse(2, ["--selection needs a split checkpoint"], "bench", model, "--end-to-end",
                    "--selection", "stored")
        self.refuse(2, ["prompts with their answers are 1005 tokens"], "bench", model,
                    "--end-to-end", *self.LENGTHS, "--new-tokens", 1000)
        self.refuse(2, ["either a checkpoint or --shape"], "bench", "--end-to-end")


if __name__ == "__main__":
    unittest.main(argv=[sys.argv[0], *sys.argv[3:]], verbosity=2)
