"""What is not a model that moefy computes, named as what it is; numbers that are none; memory.

usage: refusals_test.py MOEFY SOURCE_DIR [CLASS...]
"""
import json
import pathlib
import resource
import shutil
import struct
import subprocess
import sys
import unittest

from cli_test import EXAMPLE, MOEFY, PICO, Case, run


def read(path):
    """Header as it is and data, to be changed and written again."""
    data = pathlib.Path(path).read_bytes()
    size = struct.unpack("<Q", data[:8])[0]
    return json.loads(data[8:8 + size]), bytearray(data[8 + size:])


def write(path, header, data):
    text = json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(text)) + text + bytes(data))


def put(model, name, element, value):
    """One number of an F32 tensor."""
    header, data = read(model / "model.safetensors")
    begin = header[name]["data_offsets"][0] + 4 * element
    data[begin:begin + 4] = struct.pack("<f", value)
    write(model / "model.safetensors", header, data)


class Refusals(Case):
    def test_quantised_checkpoints_are_named_before_anything_is_suggested(self):
        model = self.edit_config(self.copy_pico(), quantization_config={"quant_method": "gptq", "bits": 4})
        for command in (["inspect"], ["split", "--expert-size", 8, "--out", self.dir / "moe"],
                        ["record", "--text", EXAMPLE / "README.md", "--out", self.dir / "dump"], ["run", "x"]):
            self.refuse(3, ["quantised by gptq: ", "use the checkpoint that it was made from"],
                        command[0], model, *command[1:])

    def test_inspect_lists_the_tensors_of_a_file_without_config(self):
        model = self.copy_pico()
        (model / "config.json").unlink()
        file = model / "model.safetensors"
        result = self.succeed("inspect", file)
        self.assertRegex(result.stdout, r"encoder.block.0.layer.1.DenseReluDense.wi.weight +F32 +\[112, 48\]\n")
        self.assertIn("no config.json", result.stderr)
        self.assertNotIn("next:", result.stderr)
        document = self.json("inspect", file)
        header, _ = read(file)
        header.pop("__metadata__", None)
        self.assertEqual({tensor["name"]: (tensor["dtype"], tensor["shape"]) for tensor in document["tensor_list"]},
                         {name: (info["dtype"], info["shape"]) for name, info in header.items()})
        self.assertNotIn("expert_sizes", document)
        # With config.json beside it, a file is a model.
        shutil.copy(PICO / "t5-relu-tied/config.json", model / "config.json")
        self.assertIn("expert_sizes", self.json("inspect", file))

    def test_a_tokenizer_that_was_not_downloaded_stops_the_split(self):
        model = self.copy_pico()
        (model / "tokenizer.json").symlink_to("../../blobs/y")
        self.refuse(3, ["tokenizer.json", "a link to ../../blobs/y", "download it again"], "split", model,
                    "--expert-size", 8, "--out", self.dir / "moe")
        (model / "tokenizer.json").unlink()
        self.succeed("split", model, "--expert-size", 8, "--out", self.dir / "moe")

    def test_a_repository_of_the_hub(self):
        self.refuse(3, ["hf download no-such-org/tiny --local-dir tiny"], "inspect", "no-such-org/tiny")


class NotNumbers(Case):
    FFN = "encoder.block.0.layer.1.DenseReluDense.wi.weight"
    OTHER = "decoder.block.0.layer.0.SelfAttention.q.weight"

    def model(self, tensor, value=float("nan")):
        """The quickstart's model with one number changed."""
        model = self.dir / "model"
        shutil.rmtree(model, ignore_errors=True)
        shutil.copytree(EXAMPLE / "model", model)
        (model / "model.safetensors").chmod(0o644)
        put(model, tensor, 5, value)
        return model

    def test_every_command_that_reads_weights_names_the_tensor(self):
        moe, dump, task = self.dir / "moe", self.dir / "dump", EXAMPLE / "sentiment.json"
        self.succeed("record", EXAMPLE / "model", "--task", task, "--limit", 10, "--out", dump)
        self.succeed("split", EXAMPLE / "model", "--expert-size", 16, "--out", moe)
        out = self.dir / "out"
        for tensor in (self.FFN, self.OTHER):
            model = self.model(tensor)
            bad = self.dir / "bad"
            shutil.copytree(moe, bad)
            put(bad, tensor, 5, float("-inf"))
            for what, commands in ((model, (["record", "--task", task, "--limit", 10, "--out", out],
                                            ["split", "--expert-size", 16, "--out", out],
                                            ["sparsity", "--task", task, "--limit", 10],
                                            ["finetune", "--task", task, "--out", out],
                                            ["sparsify", "--task", task, "--out", out],
                                            ["eval", "--task", task, "--limit", 10],
                                            ["eval", "--task", task, "--limit", 10, "--json"],
                                            ["run", "good"])),
                                   (bad, (["eval", "--task", task, "--limit", 10, "--selection", "oracle"],
                                          ["run", "good", "--selection", "random", "--ffn-ratio", 0.5],
                                          ["merge", "--out", out]))):
                for command in commands:
                    with self.subTest(command[0], tensor=tensor):
                        self.refuse(3, [tensor, "nan at" if what == model else "-inf at"], command[0], what,
                                    *command[1:])
            self.refuse(3, tensor, "verify", EXAMPLE / "model", bad)
            if tensor == self.FFN:
                self.refuse(3, tensor, "route-train", bad, "--dump", dump)
            shutil.rmtree(bad)


class Memory(Case):
    def limited(self, *args):
        """With 6 GB of addresses, as `ulimit -v` gives."""
        limit = 6 << 30
        return subprocess.run([MOEFY, *map(str, args)], capture_output=True, text=True, timeout=300,
                              preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_AS, (limit, limit)))

    def test_what_does_not_fit_is_said_with_its_size(self):
        moe, dump = self.dir / "moe", self.dir / "dump"
        self.succeed("record", EXAMPLE / "model", "--task", EXAMPLE / "sentiment.json", "--limit", 10, "--out", dump)
        self.succeed("split", EXAMPLE / "model", "--expert-size", 16, "--out", moe)
        result = self.limited("route-train", moe, "--dump", dump, "--router", "regression", "--router-width",
                              200000000, "--quiet")
        self.assertEqual(result.returncode, 4, result.stderr)
        self.assertRegex(result.stderr, r"out of memory: a tensor of [0-9.]+ [GT]B")

    def test_batch_tokens_changes_the_parts_and_not_what_is_recorded(self):
        task = EXAMPLE / "sentiment.json"
        documents = [self.json("record", EXAMPLE / "model", "--task", task, "--limit", 40, "--batch-tokens", tokens,
                               "--out", self.dir / f"dump{tokens}") for tokens in (16, 4096)]
        self.assertEqual(documents[0]["examples"], documents[1]["examples"])
        for one, other in zip(documents[0]["ffns"], documents[1]["ffns"]):
            self.assertEqual(one["tokens"], other["tokens"])
        self.refuse(2, "--batch-tokens is 0", "record", EXAMPLE / "model", "--task", task, "--batch-tokens", 0,
                    "--out", self.dir / "none")


if __name__ == "__main__":
    unittest.main(argv=[sys.argv[0], *sys.argv[3:]], verbosity=2)
