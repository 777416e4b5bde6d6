"""Tasks of every kind through the program: eval with samples and gates, record, bad data.

usage: tasks_test.py MOEFY SOURCE_DIR [CLASS...]
"""
import json
import math
import shutil
import sys
import unittest

from cli_test import EXAMPLE, PICO, SHARED, SOURCE, Case, run

TASKS = SOURCE / "tests/data/tasks"
NO_MODEL = "no-such-model"


def causal_model(directory):
    """A pico GPT-2 with a token per byte, as far as its 163 rows go."""
    directory.mkdir(exist_ok=True)
    for file in ("config.json", "model.safetensors"):
        shutil.copy(PICO / "gpt2-relu-ninner" / file, directory / file)
    names = ["<|endoftext|>", *(chr(byte) for byte in range(33, 127)), "Ġ", "Ċ"]
    names += [f"unused{i}" for i in range(163 - len(names))]
    (directory / "vocab.json").write_text(json.dumps({n: i for i, n in enumerate(names)}))
    (directory / "merges.txt").write_text("#version: 0.2\n")
    return directory


class Kinds(Case):
    """Untrained or trained for something else, so only what must hold for any model."""

    def evaluate(self, model, task, *args):
        report = self.json("eval", model, "--task", TASKS / task, *args)["reports"][0]
        self.assertEqual([row["selection"] for row in report["rows"]], ["dense"])
        return report

    def test_text_to_text(self):
        model = EXAMPLE / "model"
        choice = ["accuracy", "accuracy_norm"]
        for task, metrics in (("moods.json", ["accuracy"]), ("race.json", choice),
                              ("dream.json", choice), ("mctest.json", choice),
                              ("sums.json", choice), ("squad.json", ["f1", "exact_match"]),
                              ("letters.json",
                               ["character_error_rate", "exact_match", "rouge_l", "bleu",
                                "chrf"])):
            with self.subTest(task):
                if task == "moods.json":  # the example's words
                    words = json.loads((TASKS / task).read_text())
                    words["labels"][0]["word"], words["labels"][1]["word"] = "negative", "positive"
                    shutil.copy(TASKS / "moods.tsv", self.dir / "moods.tsv")
                    task = self.dir / task
                    task.write_text(json.dumps(words))
                report = self.evaluate(model, task)
                self.assertEqual(report["metrics"], metrics)
                row = report["rows"][0]
                for metric in metrics:
                    self.assertGreaterEqual(row[metric]["value"], 0)
                    difference = row["difference_to_dense"][metric]
                    one = report["examples"] == 1  # which has no error
                    self.assertEqual((difference["value"], difference["interval_95"]),
                                     (0, None if one else [0, 0]))
                self.assertEqual(row["agreement_with_dense"], 1)
                self.assertEqual("kl_from_dense" in row, metrics[0] == "accuracy")
        self.refuse(3, ["'tales'", "only decoder-only"], "eval", model, "--task",
                    TASKS / "tales.json")

    def test_causal(self):
        model = causal_model(self.dir / "model")
        report = self.evaluate(model, "tales.json")
        self.assertEqual(report["metrics"], ["perplexity", "nats_per_token"])
        row = report["rows"][0]
        # Two texts of 27 and 15 bytes, the first byte of each given.
        self.assertEqual(row["kl_from_dense"]["count"], 26 + 14)
        self.assertGreater(row["perplexity"]["value"], 1)
        task = json.loads((TASKS / "moods.json").read_text())
        task["prompt"] = "{sentence}"
        shutil.copy(TASKS / "moods.tsv", self.dir / "moods.tsv")
        (self.dir / "moods.json").write_text(json.dumps(task))
        report = self.json("eval", model, "--task", self.dir / "moods.json")["reports"][0]
        self.assertEqual(report["examples"], 3)

    def test_all_experts_equal_dense(self):
        def rows(model, experts, *tasks):
            moe = self.dir / "moe"
            self.succeed("split", model, "--experts", experts, "--out", moe, "--force")
            reports = self.json("eval", moe, "--task", ",".join(map(str, tasks)), "--selection",
                                "random", "--ffn-ratio", "0.25,1.0")["reports"]
            return [report["rows"] for report in reports]

        model = self.dir / "causal"
        model.mkdir()
        (text,) = rows(causal_model(model), 4, TASKS / "tales.json")
        self.assertEqual([row["selection"] for row in text], ["dense", "packed", "random", "random"])
        self.assertLess(text[1]["kl_from_dense"]["value"], 1e-6)
        self.assertEqual(text[3]["agreement_with_dense"], 1)
        self.assertLess(text[3]["kl_from_dense"]["value"], 1e-6)
        self.assertGreater(text[2]["kl_from_dense"]["value"], 1e-4)
        difference = text[2]["difference_to_dense"]["nats_per_token"]
        self.assertAlmostEqual(difference["value"], text[2]["nats_per_token"]["value"] -
                               text[0]["nats_per_token"]["value"])
        low, high = difference["interval_95"]
        self.assertAlmostEqual((low + high) / 2, difference["value"])
        self.assertAlmostEqual((high - low) / 2, 1.959964 * difference["standard_error"])
        for report in rows(EXAMPLE / "model", 16, TASKS / "squad.json", TASKS / "race.json"):
            self.assertEqual(report[3]["agreement_with_dense"], 1)

    def test_every_kind_is_recorded(self):
        for task in ("race.json", "sums.json", "squad.json", "letters.json"):
            with self.subTest(task):
                dump = self.dir / task
                document = self.json("record", EXAMPLE / "model", "--task", TASKS / task, "--split",
                                     "eval", "--out", dump)
                self.assertEqual(document["examples"], 2)
                tokens = {ffn["name"]: ffn["tokens"] for ffn in document["ffns"]}
                decoder = [count for name, count in tokens.items() if name.startswith("decoder")]
                self.assertTrue(decoder)
                # The start token and the answer before its end: more than one token an example.
                self.assertTrue(all(count > 2 for count in decoder), tokens)

    def test_text_is_recorded_but_for_its_last_token(self):
        document = self.json("record", causal_model(self.dir / "model"), "--task", TASKS / "tales.json",
                             "--split", "eval", "--out", self.dir / "dump")
        self.assertEqual([ffn["tokens"] for ffn in document["ffns"]],
                         [26 + 14] * len(document["ffns"]))


class Asked(Case):
    """`run --task` answers as `eval` does, without the data's right answers."""

    def predictions(self, model, task):
        samples = self.dir / "samples.jsonl"
        self.succeed("eval", model, "--task", TASKS / task, "--samples", samples, "--force")
        return [json.loads(line)["prediction"] for line in samples.read_text().splitlines()]

    def answers(self, model, task, *inputs):
        lines = self.dir / "in.jsonl"
        lines.write_text("".join(json.dumps(line) + "\n" for line in inputs))
        return self.json("run", model, "--task", TASKS / task, "--input", lines)["answers"]

    def test_multiple_choice_from_documents(self):
        story = {"context": "Ann has a red kite. Bob has a blue one."}
        inputs = [story | {"id": 1, "question": "Who has the red kite?", "choices": ["Ann", "Bob"]},
                  story | {"question": "What colour is Bob's kite?",
                           "choices": ["red", "green", "blue"]}]
        answers = self.answers(EXAMPLE / "model", "race.json", *inputs)
        self.assertEqual([answer["choice"] for answer in answers],
                         self.predictions(EXAMPLE / "model", "race.json"))
        for answer, line in zip(answers, inputs):
            self.assertEqual(answer["text"], line["choices"][ord(answer["choice"]) - ord("A")])
            self.assertEqual(list(answer["scores"]), ["A", "B", "C"][:len(line["choices"])])
            self.assertAlmostEqual(sum(answer["scores"].values()), 1)
            self.assertEqual(max(answer["scores"], key=answer["scores"].get), answer["choice"])
        self.assertEqual(answers[0]["id"], 1)
        self.refuse(3, ["in.jsonl: line 1", "has 0 choices; expected 2 to 26"], "run",
                    EXAMPLE / "model", "--task", TASKS / "race.json", "--input",
                    self.write("in.jsonl", json.dumps(story | {"question": "Who?"})))

    def write(self, name, text):
        (self.dir / name).write_text(text)
        return self.dir / name

    def test_multiple_choice_from_tables(self):
        inputs = [{"question": "two and two?", "first": "three", "second": "four",
                   "third": "five, or so"},
                  {"question": "one and two?", "first": "three", "second": "four", "third": "five"}]
        answers = self.answers(EXAMPLE / "model", "sums.json", *inputs)
        self.assertEqual([answer["choice"] for answer in answers],
                         self.predictions(EXAMPLE / "model", "sums.json"))
        line = self.write("in.jsonl", json.dumps(inputs[0]))
        printed = self.succeed("run", EXAMPLE / "model", "--task", TASKS / "sums.json", "--input",
                               line).stdout
        self.assertTrue(printed.startswith(f"{answers[0]['choice']}\t{answers[0]['text']}\t"),
                        printed)

    def test_generation(self):
        source = [line.split("\t")[0] for line in
                  (TASKS / "letters.txt").read_text().splitlines()]
        answers = self.answers(EXAMPLE / "model", "letters.json",
                               *({"source": text} for text in source))
        predictions = self.predictions(EXAMPLE / "model", "letters.json")
        self.assertEqual(answers, [{"text": text} for text in predictions])
        # The one field may also come as a plain text.
        printed = self.succeed("run", EXAMPLE / "model", "--task", TASKS / "letters.json",
                               *source).stdout
        self.assertEqual(printed, "".join(text + "\n" for text in predictions))

    def test_questions(self):
        context = "The Elm runs past the old mill for 12 miles."
        answers = self.answers(EXAMPLE / "model", "squad.json",
                               {"question": "How long is it?", "context": context},
                               {"question": "Who owns the mill?", "context": context})
        self.assertEqual(answers, [{"answer": text} for text in
                                   self.predictions(EXAMPLE / "model", "squad.json")])
        self.refuse(3, "field 'context': is empty", "run", EXAMPLE / "model", "--task",
                    TASKS / "squad.json", "--input",
                    self.write("in.jsonl", '{"question": "Who?", "context": " "}'))

    def test_language_modelling(self):
        model = causal_model(self.dir / "model")
        texts = [text.strip("\n") for text in
                 (TASKS / "tales.txt").read_text().split("<end>")][:2]
        answers = self.answers(model, "tales.json", *({"text": text} for text in texts),
                               {"text": "a"})
        row = self.json("eval", model, "--task", TASKS / "tales.json")["reports"][0]["rows"][0]
        total = sum(answer["nats_per_token"] * answer["tokens"] for answer in answers[:2])
        self.assertEqual([answer["tokens"] for answer in answers], [26, 14, 0])
        self.assertAlmostEqual(total / (26 + 14), row["nats_per_token"]["value"], places=5)
        self.assertAlmostEqual(answers[0]["perplexity"], math.exp(answers[0]["nats_per_token"]))
        self.assertIsNone(answers[2]["perplexity"])
        self.refuse(3, "only decoder-only", "run", EXAMPLE / "model", "--task",
                    TASKS / "tales.json", "a b")


class Gates(Case):
    def setUp(self):
        super().setUp()
        self.moe = self.dir / "moe"
        self.succeed("split", EXAMPLE / "model", "--expert-size", 32, "--out", self.moe)
        self.args = ["eval", self.moe, "--task", EXAMPLE / "sentiment.json", "--limit", 20,
                     "--selection", "random", "--ffn-ratio", "0.05,1.0", "--quiet"]

    def test_rows_that_fail(self):
        # The example hardly needs its neurons: a condition that is sure to hold for one row.
        condition = "accuracy <= dense and ffn_ratio < 0.5"
        result = run(*self.args, "--fail-if", condition)
        self.assertEqual(result.returncode, 1, result.stderr)
        failed = [line for line in result.stdout.splitlines() if line.startswith("failed: ")]
        self.assertEqual(len(failed), 1, result.stdout)
        self.assertIn(f"moe + random at 5.0 %: {condition} (accuracy", failed[0])
        document = json.loads(run(*self.args, "--json", "--fail-if",
                                  "ffn_ratio < dense.ffn_ratio").stdout)
        self.assertEqual(len(document["reports"][0]["failures"]), 1)
        self.assertEqual(run(*self.args, "--fail-if", "accuracy < 0").returncode, 0)

    def test_mistakes_are_found_before_the_model_is_loaded(self):
        def refuse(condition, *fragments):
            self.refuse(2, ["--fail-if", *fragments], "eval", NO_MODEL, "--task",
                        EXAMPLE / "sentiment.json", "--fail-if", condition)
        refuse("accuracy < 0.98*dnse", "position 17", "'dnse'", "did you mean 'dense'")
        refuse("f1 < 0.5", "position 1", "'f1'", "accuracy")
        refuse("accuracy <", "position 11", "the end")


    def test_recipes_have_them_too(self):
        recipe, out, task = self.dir / "recipe.json", self.dir / "out", EXAMPLE / "sentiment.json"
        document = {"model": str(EXAMPLE / "model"), "record": {"task": [str(task)], "limit": 20},
                    "split": [{"expert_size": 32}], "route": {"epochs": 1},
                    "eval": {"task": [str(task)], "limit": 10, "ffn_ratio": [0.5],
                             "selection": ["random"], "fail_if": "accuracy < 2*dense and"}}
        recipe.write_text(json.dumps(document))
        self.refuse(2, ["position 23", "the end"], "convert", recipe, "--out", out)
        document["eval"]["fail_if"] = "accuracy < 2*dense"
        recipe.write_text(json.dumps(document))
        for kept in (False, True):
            result = run("convert", recipe, "--out", out, "--json", "--quiet")
            self.assertEqual(result.returncode, 1, result.stderr)
            (conversion,) = json.loads(result.stdout)["conversions"]
            self.assertEqual({stage["kept"] for stage in conversion["stages"]}, {kept})
            self.assertEqual(len(conversion["reports"][0]["failures"]), 1)


class Samples(Case):
    def test_one_line_per_example_and_row(self):
        moe, samples = self.dir / "moe", self.dir / "samples.jsonl"
        self.succeed("split", EXAMPLE / "model", "--expert-size", 32, "--out", moe)
        args = ["eval", moe, "--task", EXAMPLE / "sentiment.json", "--limit", 5, "--selection",
                "random", "--ffn-ratio", 0.1, "--samples", samples]
        report = self.json(*args)["reports"][0]
        lines = [json.loads(line) for line in samples.read_text().splitlines()]
        self.assertEqual([(line["id"], line["selection"]) for line in lines],
                         [(i, s) for s in ("dense", "packed", "random") for i in range(5)])
        for row, selection in zip(report["rows"], ("dense", "packed", "random")):
            of_row = [line for line in lines if line["selection"] == selection]
            right = [line["prediction"] == line["gold"] for line in of_row]
            self.assertAlmostEqual(sum(right) / 5, row["accuracy"]["value"])
            for line in of_row:
                self.assertEqual(line["prediction"], max(line["scores"], key=line["scores"].get))
                self.assertEqual(line["accuracy"], line["prediction"] == line["gold"])
        self.refuse(2, ["samples.jsonl", "--force"], *args)
        self.succeed(*args, "--force")

    def test_generated_text(self):
        samples = self.dir / "samples.jsonl"
        self.succeed("eval", EXAMPLE / "model", "--task", TASKS / "letters.json", "--samples",
                     samples)
        lines = [json.loads(line) for line in samples.read_text().splitlines()]
        self.assertEqual([line["gold"] for line in lines], [["abg"], ["ga"]])
        self.assertTrue(all(isinstance(line["prediction"], str) for line in lines))
        self.assertNotIn("scores", lines[0])


class BadData(Case):
    """Found, and named with file, line and field, before any model is looked at."""

    def check(self, task, data, fragments):
        spec = json.loads((TASKS / task).read_text())
        name = spec["splits"]["eval"]["file"]
        (self.dir / name).write_text(data)
        path = self.dir / "task.json"
        path.write_text(json.dumps(spec))
        for command in (["eval", NO_MODEL], ["record", NO_MODEL, "--split", "eval", "--out",
                                             self.dir / "out"]):
            with self.subTest(task=task, command=command[0]):
                self.refuse(3, [name, *fragments], *command, "--task", path)

    def test_tables(self):
        self.check("moods.json", "label\tsentense\nglad\thm\n",
                   ["line 1", "'sentence'", "did you mean 'sentense'"])
        self.check("moods.json", "label\tsentence\nglad\thm\nmad\thm\n",
                   ["line 3", "'label'", "'mad'", "'sad', 'glad'"])
        self.check("sums.json", "question,a,b,c,answer\nq,1,2,3,D\n", ["line 2", "'label'", "'D'"])
        self.check("follows.json", '{"first": "a", "second": "b", "follows": true}\n{"first": \n',
                   ["line 2", "not valid JSON"])
        self.check("letters.json", "αβγ\tabg\nγα\n", ["line 2", "1 column"])

    def test_documents(self):
        squad = json.loads((TASKS / "squad-data.json").read_text())
        paragraph = squad["data"][0]["paragraphs"][0]
        paragraph["qas"][0]["answers"][1]["text"] = "river"
        self.check("squad.json", json.dumps(squad),
                   ["data[0]", "qas[0]", "answers[1]", "'river' is not in the context"])
        paragraph["context"] = " "
        self.check("squad.json", json.dumps(squad), ["paragraphs[0]", "context is empty"])
        self.check("race.json", '{"id": "1", "article": \n', ["line 1", "not valid JSON"])
        self.check("tales.json", "\n\n", ["is empty"])


class Trained(Case):
    """What the READMEs of real models say of them."""

    def figures(self, model, task, *args):
        report = self.json("eval", SHARED / "checkpoints" / model, "--task",
                           SOURCE / "configs/tasks" / task, "--data", SHARED / "data",
                           *args)["reports"][0]
        return {name: report["rows"][0][name]["value"] for name in report["metrics"]}

    def test_transliteration(self):
        figures = self.figures("aren-transliteration", "ar2en.json", "--split", "test")
        self.assertAlmostEqual(figures["exact_match"], 0.221, delta=6e-4)
        self.assertAlmostEqual(figures["character_error_rate"], 0.226, delta=6e-4)

    def test_stories(self):
        figures = self.figures("stories260k", "tinystories.json")
        self.assertAlmostEqual(figures["nats_per_token"], 1.2664, delta=5e-5)


if __name__ == "__main__":
    if sys.argv[3:] == ["Trained"] and not (SHARED / "checkpoints/stories260k").exists():
        print(f"skipped: needs {SHARED}/checkpoints (set MOEFY_SHARED to find it)")
        sys.exit(77)
    unittest.main(argv=[sys.argv[0], *sys.argv[3:]], verbosity=2)
