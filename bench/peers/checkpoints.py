"""Checkpoints to measure with: reading and writing safetensors, models of known shapes with random
weights, and their split by moefy."""

import json
import pathlib
import subprocess
import sys

import numpy as np

sys.path.append(str(pathlib.Path(__file__).resolve().parents[1]))
import make_checkpoint

CACHE = pathlib.Path(__file__).resolve().parents[2] / "build/peers/models"


def read_safetensors(path):
    """Arrays by name, F16 and BF16 as F32. The format: 8 bytes of length, a JSON head, the data."""
    data = np.memmap(path, dtype=np.uint8, mode="r")
    length = int(data[:8].view("<u8")[0])
    header = json.loads(bytes(data[8:8 + length]))
    tensors = {}
    for name, info in header.items():
        if name == "__metadata__":
            continue
        begin, end = (8 + length + offset for offset in info["data_offsets"])
        raw = np.array(data[begin:end])
        if info["dtype"] == "BF16":
            array = (raw.view("<u2").astype(np.uint32) << 16).view(np.float32)
        elif info["dtype"] in ("F32", "F16"):
            array = raw.view({"F32": "<f4", "F16": "<f2"}[info["dtype"]]).astype(np.float32)
        elif info["dtype"] in ("I64", "I32"):
            array = raw.view({"I64": "<i8", "I32": "<i4"}[info["dtype"]])
        else:
            raise ValueError(f"{path}: {name} is {info['dtype']}")
        tensors[name] = array.reshape(info["shape"])
    return tensors


def write_safetensors(path, tensors):
    """F32, F16, I64: whatever the arrays are."""
    names = {"float32": "F32", "float16": "F16", "int64": "I64"}
    header, offset = {}, 0
    for name, array in tensors.items():
        header[name] = {"dtype": names[str(array.dtype)], "shape": array.shape,
                        "data_offsets": [offset, offset + array.nbytes]}
        offset += array.nbytes
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    with open(path, "wb") as file:
        file.write(len(text).to_bytes(8, "little") + text)
        for array in tensors.values():
            file.write(np.ascontiguousarray(array).tobytes())


def read_texts(file):
    """A text a line, or the last column of a .tsv behind its head."""
    lines = [line for line in file.read_text(encoding="utf-8").splitlines() if line]
    return [line.split("\t")[-1] for line in lines[1:]] if file.suffix == ".tsv" else lines


def made(name, last_file, write):
    """The directory of a model, written once: `last_file` is the one that is written last."""
    directory = CACHE / name
    if not (directory / last_file).is_file():
        print(f"making {directory}", file=sys.stderr)
        directory.mkdir(parents=True, exist_ok=True)
        write(directory)
    return directory


def random_matrix(random, rows, columns):
    """What goes in comes out about as large."""
    return random.standard_normal((rows, columns), np.float32) / np.float32(columns ** 0.5)


def write_random_t5(shape, directory):
    """In BF16, as bench/make_checkpoint.py makes it."""
    make_checkpoint.write(shape, directory)


BERT_BASE = {"model_type": "bert", "architectures": ["BertModel"], "vocab_size": 30522,
             "hidden_size": 768, "num_hidden_layers": 12, "num_attention_heads": 12,
             "intermediate_size": 3072, "hidden_act": "gelu", "max_position_embeddings": 512,
             "type_vocab_size": 2, "layer_norm_eps": 1e-12, "pad_token_id": 0}


def write_random_bert(config, directory):
    random = np.random.default_rng(0)
    hidden, neurons = config["hidden_size"], config["intermediate_size"]
    tensors = {}

    def add_linear(name, rows, columns):
        tensors[name + ".weight"] = random_matrix(random, rows, columns)
        tensors[name + ".bias"] = np.zeros(rows, np.float32)

    def add_norm(name):
        tensors[name + ".weight"] = np.ones(hidden, np.float32)
        tensors[name + ".bias"] = np.zeros(hidden, np.float32)

    for name, rows in (("word", "vocab_size"), ("position", "max_position_embeddings"),
                       ("token_type", "type_vocab_size")):
        tensors[f"embeddings.{name}_embeddings.weight"] = random.standard_normal(
            (config[rows], hidden), np.float32)
    add_norm("embeddings.LayerNorm")
    for index in range(config["num_hidden_layers"]):
        base = f"encoder.layer.{index}."
        for part in ("query", "key", "value"):
            add_linear(f"{base}attention.self.{part}", hidden, hidden)
        add_linear(base + "attention.output.dense", hidden, hidden)
        add_norm(base + "attention.output.LayerNorm")
        add_linear(base + "intermediate.dense", neurons, hidden)
        add_linear(base + "output.dense", hidden, neurons)
        add_norm(base + "output.LayerNorm")
    (directory / "config.json").write_text(json.dumps(config), encoding="utf-8")
    write_safetensors(directory / "model.safetensors", tensors)


# The sizes of TinyLlama-1.1B with ReLU, as ProSparse and TurboSparse give larger models.
LLAMA_1B = {"model_type": "llama", "architectures": ["LlamaForCausalLM"], "vocab_size": 32000,
            "hidden_size": 2048, "num_hidden_layers": 22, "num_attention_heads": 32,
            "num_key_value_heads": 4, "intermediate_size": 5632, "hidden_act": "relu",
            "max_position_embeddings": 2048, "rms_norm_eps": 1e-5, "rope_theta": 10000.0,
            "tie_word_embeddings": False, "bos_token_id": 1, "eos_token_id": 2}


def write_random_llama(config, directory):
    """In F16, half of F32's size on disk."""
    random = np.random.default_rng(0)
    hidden, neurons = config["hidden_size"], config["intermediate_size"]
    kv = hidden // config["num_attention_heads"] * config["num_key_value_heads"]
    ones = np.ones(hidden, np.float16)
    tensors = {}

    def add(name, rows, columns):
        tensors[name + ".weight"] = random_matrix(random, rows, columns).astype(np.float16)

    add("model.embed_tokens", config["vocab_size"], hidden)
    for index in range(config["num_hidden_layers"]):
        base = f"model.layers.{index}."
        tensors[base + "input_layernorm.weight"] = ones
        tensors[base + "post_attention_layernorm.weight"] = ones
        for part, rows in (("q", hidden), ("k", kv), ("v", kv), ("o", hidden)):
            add(f"{base}self_attn.{part}_proj", rows, hidden)
        add(base + "mlp.gate_proj", neurons, hidden)
        add(base + "mlp.up_proj", neurons, hidden)
        add(base + "mlp.down_proj", hidden, neurons)
    tensors["model.norm.weight"] = ones
    add("lm_head", config["vocab_size"], hidden)
    (directory / "config.json").write_text(json.dumps(config), encoding="utf-8")
    write_safetensors(directory / "model.safetensors", tensors)


def split(moefy, model, expert_size):
    """The model split by moefy, at random: for speed alone, experts need not mean anything."""
    name = f"{model.name}-experts-of-{expert_size}"
    directory = CACHE / name
    if not (directory / "moefy.json").is_file():
        print(f"making {directory}", file=sys.stderr)
        CACHE.mkdir(parents=True, exist_ok=True)
        subprocess.run([moefy, "split", model, "--method", "random", "--expert-size",
                        str(expert_size), "--out", directory, "--quiet"],
                       check=True, stdout=sys.stderr)
    return directory
