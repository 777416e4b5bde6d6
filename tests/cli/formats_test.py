"""Checkpoints of every format, and of no known family, through the program.

usage: formats_test.py MOEFY SOURCE_DIR [CLASS...]
"""
import json
import pathlib
import struct
import sys
import unittest

from cli_test import PICO, SHARED, SOURCE, Case, read_safetensors, run

sys.path.insert(0, str(pathlib.Path(sys.argv[2]) / "tests/support"))
import torch_save  # noqa: E402
from dump_files import floats, npy, write_dump  # noqa: E402

TSP = SHARED / "checkpoints/am-tsp50"
GOLDENS = SHARED / "goldens"


def dtypes(path):
    data = pathlib.Path(path).read_bytes()
    header = json.loads(data[8:8 + struct.unpack("<Q", data[:8])[0]])
    return {name: info["dtype"] for name, info in header.items() if name != "__metadata__"}


class Formats(Case):
    def torch_twin(self, name, legacy):
        """A pico model as torch.save would have written it."""
        directory = self.dir / f"{name}-{legacy}"
        directory.mkdir()
        (directory / "config.json").write_bytes((PICO / name / "config.json").read_bytes())
        types = dtypes(PICO / name / "model.safetensors")
        tensors = {key: torch_save.Parameter(torch_save.tensor(types[key], shape, data)) for
                   key, (shape, data) in read_safetensors(PICO / name / "model.safetensors").items()}
        value = {"epoch": 1, "model": torch_save.state_dict(tensors)} if legacy else torch_save.state_dict(tensors)
        (directory / "pytorch_model.bin").write_bytes(torch_save.save_bytes(value, legacy=legacy))
        return directory

    def test_pytorch_files_work_like_safetensors(self):
        twin = PICO / "bert-cls-gelu"
        golden = twin / "golden.safetensors"
        self.succeed("run", twin, "--tensors", golden, "--out", self.dir / "want")
        for legacy in (False, True):
            dense = self.torch_twin("bert-cls-gelu", legacy)
            inspected = self.json("inspect", dense)
            self.assertEqual(inspected["parameters"], self.json("inspect", twin)["parameters"])
            self.succeed("run", dense, "--tensors", golden, "--out", self.dir / f"got{legacy}")
            self.assertEqual(read_safetensors(self.dir / "want"),
                             read_safetensors(self.dir / f"got{legacy}"))
            moe, back = self.dir / f"moe{legacy}", self.dir / f"back{legacy}"
            result = self.succeed("split", dense, "--expert-size", 8, "--out", moe)
            self.assertIn("is not safetensors; the split checkpoint is", result.stderr)
            self.assertEqual(sorted(p.name for p in moe.iterdir()),
                             [".moefy-output.json", "config.json", "model.safetensors", "moefy.json",
                              "moefy.safetensors"])
            for side in (dense, twin):
                self.assertTrue(self.json("verify", side, moe)["equal"])
            self.succeed("merge", moe, "--out", back)
            self.assertEqual(read_safetensors(back / "model.safetensors"),
                             read_safetensors(twin / "model.safetensors"))
            self.assertEqual(dtypes(back / "model.safetensors"), dtypes(twin / "model.safetensors"))

    def test_a_file_alone(self):
        dense = self.torch_twin("bert-cls-gelu", False)
        (dense / "pytorch_model.bin").rename(dense / "weights.pt")
        self.succeed("inspect", dense / "weights.pt")
        self.refuse(3, ["pytorch_model.bin", "name the file itself"], "inspect", dense)

    def test_hostile_pickles_are_refused_by_name(self):
        class Hostile:
            def __reduce__(self):
                return print, ("owned",)
        for legacy in (False, True):
            dense = self.torch_twin("bert-cls-gelu", legacy)
            (dense / "pytorch_model.bin").write_bytes(
                torch_save.save_bytes({"a": Hostile()}, legacy=legacy))
            self.refuse(3, ["pytorch_model.bin", "'__builtin__.print', which is not allowed"],
                        "split", dense, "--experts", 4, "--out", self.dir / "out")

    def check_named(self, dense, pattern, w_in_names, hidden, expert_size):
        moe, routed, back, dump = (self.dir / name for name in ("moe", "routed", "back", "dump"))
        self.refuse(3, ["model_type", "supported"], "split", dense, "--expert-size", expert_size,
                    "--out", moe)
        split = self.json("split", dense, "--ffn", pattern, "--expert-size", expert_size, "--out", moe)
        self.assertEqual(split["ffns"], len(w_in_names))
        verified = self.json("verify", dense, moe)
        self.assertTrue(verified["equal"])
        write_dump(dump, w_in_names, hidden)
        trained = self.json("route-train", moe, "--dump", dump, "--preset", "paper",
                            "--epochs", 2, "--out", routed)
        self.assertEqual([row["ffn"] for row in trained["ffns"]],
                         [f"ffn.{i}" for i in range(len(w_in_names))])
        self.assertTrue(self.json("verify", dense, routed)["equal"])
        self.succeed("merge", routed, "--out", back)
        for file in dense.iterdir():
            self.assertEqual(file.read_bytes(), (back / file.name).read_bytes(), file.name)
        (dump / "other.npy").write_bytes(npy([2, hidden], floats(2 * hidden, 0)))
        self.refuse(3, "'other', which the model lacks", "route-train", moe, "--dump", dump)
        return verified

    def test_exports_for_other_engines(self):
        dense, moe = PICO / "mistral-gqa", self.dir / "moe"
        dump, out = self.dir / "dump", self.dir / "out"
        names = [f"model.layers.{i}.mlp.up_proj.weight" for i in range(2)]
        write_dump(dump, names, 48)
        self.succeed("split", dense, "--expert-size", 29, "--out", self.dir / "split")
        export = "--ffn-ratio", 0.5, "--out", out
        self.refuse(2, ["it has no routers", "moefy route-train"], "export", self.dir / "split",
                    "--format", "mixtral", *export)
        self.refuse(2, ["--format is 'mixtrel'", "'mixtral'"], "export", self.dir / "split",
                    "--format", "mixtrel", *export)
        self.refuse(2, "--ffn-ratio is 0", "export", self.dir / "split", "--format", "mixtral",
                    "--out", out)
        self.refuse(2, "--weights is 'q3'", "export", self.dir / "split", "--format", "gguf",
                    "--weights", "q3", *export)
        self.succeed("route-train", self.dir / "split", "--dump", dump, "--preset", "fast",
                     "--router", "unbiased", "--out", moe)
        document = self.json("export", moe, "--format", "granite-moe", *export)
        self.assertEqual((document["experts"], document["experts_per_token"]), (4, 2))
        self.assertEqual(document["router"], "unbiased")
        tensors = dtypes(out / "model.safetensors")
        self.assertIn("model.layers.1.block_sparse_moe.output_linear.weight", tensors)
        self.assertFalse((out / "moefy.json").exists())
        self.refuse(2, "exists", "export", moe, "--format", "gguf", *export)
        self.succeed("export", moe, "--format", "gguf", *export, "--force")
        self.assertEqual((out / "model.gguf").read_bytes()[:4], b"GGUF")
        other = self.dir / "t5"
        self.succeed("split", PICO / "t5-relu-tied", "--experts", 4, "--out", other)
        self.refuse(3, ["the family 't5'", "`moefy run` runs this one"], "export", other, "--format",
                    "mixtral", "--ffn-ratio", 0.5, "--out", self.dir / "t5-out")

    def test_exports_for_transformers(self):
        dense, moe, out = PICO / "bert-cls-relu", self.dir / "moe", self.dir / "out"
        self.succeed("split", dense, "--experts", 4, "--out", self.dir / "split")
        export = "--format", "transformers", "--ffn-ratio", 0.5, "--out", out
        self.refuse(2, ["has no routers yet", "moefy route-train"], "export", self.dir / "split",
                    *export)
        dump = self.dir / "dump"
        hidden = json.loads((dense / "config.json").read_text())["hidden_size"]
        write_dump(dump, [f"bert.encoder.layer.{i}.intermediate.dense.weight" for i in range(2)],
                   hidden)
        self.succeed("route-train", self.dir / "split", "--dump", dump, "--preset", "best",
                     "--out", moe)
        self.refuse(2, ["--selection similarity", "stored routers, which are ridge"], "export", moe,
                    *export, "--selection", "similarity")
        self.refuse(2, "--dump is for formats that need linear routers", "export", moe, *export,
                    "--dump", dump)
        self.refuse(2, "--selection is for transformers", "export", moe, "--format", "mixtral",
                    "--ffn-ratio", 0.5, "--out", out, "--selection", "stored:threshold")
        document = self.json("export", moe, *export, "--selection", "stored:threshold")
        self.assertEqual(document["architecture"], "BertForSequenceClassification")
        config = json.loads((out / "config.json").read_text())
        self.assertEqual(config["auto_map"], {
            "AutoModelForSequenceClassification":
                "modeling_moefy.MoefyBertForSequenceClassification",
            "AutoModel": "modeling_moefy.MoefyBertModel"})
        self.assertNotIn("moefy", config)
        ffn = config["moefy_experts"][0]
        self.assertEqual((ffn["name"], ffn["w_in"], ffn["experts"], ffn["router"]),
                         ("ffn.0", "bert.encoder.layer.0.intermediate.dense", 4, "ridge"))
        self.assertIsInstance(ffn["threshold"], float)
        self.assertIn("ffn.0.router.w", dtypes(out / "modeling_moefy.safetensors"))
        source = SOURCE / "src/export/modeling_moefy.py"
        self.assertEqual((out / "modeling_moefy.py").read_bytes(), source.read_bytes())
        self.assertEqual((out / "model.safetensors").read_bytes(),
                         (moe / "model.safetensors").read_bytes())
        # Not a model for moefy: its class is code of its own.
        self.refuse(3, ["MoefyBertForSequenceClassification", "a class of its own"], "inspect", out)

    def test_ffns_by_name(self):
        dense = self.edit_config(self.copy_pico(), model_type="nobody-knows")
        block = "encoder.block.{}.layer.1.DenseReluDense."
        names = sorted(name for name in dtypes(dense / "model.safetensors")
                       if name.startswith("encoder") and name.endswith("DenseReluDense.wi.weight"))
        verified = self.check_named(dense, f"{block}wi.weight:{block}wo.weight", names, 48, 8)
        self.assertEqual(verified["permuted"], 2 * len(names))
        out = self.dir / "out"
        self.refuse(2, ["no tensor is called 'encoder.block.{}.layer.1.DenseReluDense.wj.weight'",
                        "nearest in the checkpoint", f"'{block}wi.weight'"],
                    "split", dense, "--ffn", f"{block}wj.weight:{block}wo.weight", "--experts", 4,
                    "--out", out)
        self.refuse(3, ["has shape", "transposed"], "split", dense, "--ffn",
                    f"{block}wi.weight:{block}wi.weight", "--experts", 4, "--out", out)


class Tsp(Formats):
    """The real checkpoint of a family that moefy does not know."""

    def test_ffns_by_name(self):
        layer = "encoder.layer.{}."
        names = [f"encoder.layer.{i}.intermediate.dense.weight" for i in range(3)]
        verified = self.check_named(TSP, f"{layer}intermediate.dense.weight:{layer}output.dense.weight",
                                    names, 128, 32)
        self.assertEqual(verified["permuted"], 9)  # W_in, b_in, W_out


class Mixtures(Case):
    def test_mixtures_of_experts_as_they_come(self):
        dense, moe, back = GOLDENS / "mixtral/e6k2", self.dir / "moe", self.dir / "back"
        document = self.json("inspect", dense)
        self.assertEqual(document["mixture"], {"experts": 6, "experts_per_token": 2, "neurons": 52,
                                               "shared_neurons": 0, "dense_layers": []})
        self.assertEqual(document["ffns"][7]["name"], "ffn.1.expert.1")
        self.assertIn("2 of 6 experts per token, of 52 neurons", self.succeed("inspect", dense).stdout)
        qwen = self.succeed("inspect", GOLDENS / "qwen2_moe/no-norm").stdout
        self.assertIn("3 of 7 experts per token, of 28 neurons, and a shared one of 60; 1 layer is "
                      "dense", qwen)
        self.assertIsNone(self.json("inspect", PICO / "bert-cls-relu")["mixture"])
        self.succeed("split", dense, "--expert-size", 13, "--out", moe)
        self.assertTrue(self.json("verify", dense, moe)["equal"])
        self.succeed("merge", moe, "--out", back)
        self.assertEqual((back / "model.safetensors").read_bytes(),
                         (dense / "model.safetensors").read_bytes())
        logits = []
        for model, options in ((dense, []), (moe, []),
                               (moe, ["--selection", "similarity", "--ffn-ratio", 1]),
                               (moe, ["--selection", "similarity", "--ffn-ratio", 0.5])):
            out = self.dir / f"out{len(logits)}"
            self.succeed("run", model, "--tensors", dense / "golden.safetensors", "--out", out,
                         *options)
            shape, data = read_safetensors(out)["logits"]
            logits.append(struct.unpack(f"<{shape[0] * shape[1] * shape[2]}f", data))
        apart = [max(abs(a - b) for a, b in zip(logits[0], other)) for other in logits]
        self.assertLess(max(apart[1], apart[2]), 1e-4)
        self.assertGreater(apart[3], 1e-2)


if __name__ == "__main__":
    for name, needed in (("Tsp.test_ffns_by_name", TSP), ("Mixtures", GOLDENS)):
        if sys.argv[3:] == [name] and not needed.exists():
            print(f"skipped: needs {needed} (set MOEFY_SHARED to find it)")
            sys.exit(77)
    unittest.main(argv=[sys.argv[0], *sys.argv[3:]], verbosity=2)
