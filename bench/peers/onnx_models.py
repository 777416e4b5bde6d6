"""An encoder of BERT's layout as an ONNX graph of ONNX Runtime's fused operators, without PyTorch,
and its dynamic quantisation to 8 bits."""

import json

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper
from onnxruntime.quantization import QuantType, quantize_dynamic

from checkpoints import read_safetensors

FUSED = "com.microsoft"


def write_bert(checkpoint, directory):
    """model.onnx in F32 and model-int8.onnx. Inputs: input_ids [batch, tokens] I64, and lengths
    [batch] I32, the real tokens of each text; padding is on the right."""
    config = json.loads((checkpoint / "config.json").read_text(encoding="utf-8"))
    stored = read_safetensors(checkpoint / "model.safetensors")
    tensors = {name.removeprefix("bert."): array for name, array in stored.items()}
    heads, epsilon = config["num_attention_heads"], config.get("layer_norm_eps", 1e-12)
    nodes, weights = [], {}

    def constant(name, array):
        weights[name] = array
        return name

    def node(kind, inputs, output, **attributes):
        nodes.append(helper.make_node(kind, inputs, [output], **attributes))
        return output

    def norm_weights(name):
        parts = [f"{name}.{part}" for part in ("weight", "bias")]
        return [constant(part, tensors[part]) for part in parts]

    def product(x, name):
        weight = constant(name + ".weight", np.ascontiguousarray(tensors[name + ".weight"].T))
        return node("MatMul", [x, weight], name)

    def bias(name):
        return constant(name + ".bias", tensors[name + ".bias"])

    table = constant("words", tensors["embeddings.word_embeddings.weight"])
    positions = constant("positions", tensors["embeddings.position_embeddings.weight"])
    zeros = constant("first_type", tensors["embeddings.token_type_embeddings.weight"][:1])
    words = node("Gather", [table, "input_ids"], "word_states")
    shape = node("Shape", ["input_ids"], "shape", start=1, end=2)
    start = constant("zero", np.array([0], np.int64))
    used = node("Slice", [positions, start, shape], "used_positions")
    placed = node("Add", [used, zeros], "placed")
    x = node("Add", [words, placed], "summed")
    x = node("LayerNormalization", [x, *norm_weights("embeddings.LayerNorm")], "embedded",
             epsilon=epsilon, axis=-1)
    for index in range(config["num_hidden_layers"]):
        base = f"encoder.layer.{index}."
        parts = [f"{base}attention.self.{part}" for part in ("query", "key", "value")]
        qkv = constant(base + "qkv.weight", np.ascontiguousarray(
            np.concatenate([tensors[part + ".weight"] for part in parts]).T))
        qkv_bias = constant(base + "qkv.bias",
                            np.concatenate([tensors[part + ".bias"] for part in parts]))
        mixed = node("Attention", [x, qkv, qkv_bias, "lengths"], base + "mixed", domain=FUSED,
                     num_heads=heads)
        name = base + "attention.output.dense"
        x = node("SkipLayerNormalization",
                 [product(mixed, name), x, *norm_weights(base + "attention.output.LayerNorm"),
                  bias(name)], base + "attended", domain=FUSED, epsilon=epsilon)
        name = base + "intermediate.dense"
        active = node("BiasGelu", [product(x, name), bias(name)], base + "active", domain=FUSED)
        name = base + "output.dense"
        x = node("SkipLayerNormalization",
                 [product(active, name), x, *norm_weights(base + "output.LayerNorm"), bias(name)],
                 base + "out", domain=FUSED, epsilon=epsilon)
    hidden = config["hidden_size"]
    graph = helper.make_graph(
        nodes, "bert",
        [helper.make_tensor_value_info("input_ids", TensorProto.INT64, ["batch", "tokens"]),
         helper.make_tensor_value_info("lengths", TensorProto.INT32, ["batch"])],
        [helper.make_tensor_value_info(x, TensorProto.FLOAT, ["batch", "tokens", hidden])],
        [numpy_helper.from_array(array, name) for name, array in weights.items()])
    model = helper.make_model(graph, ir_version=8, opset_imports=[
        helper.make_opsetid("", 17), helper.make_opsetid(FUSED, 1)])
    onnx.save(model, directory / "model.onnx")
    quantize_dynamic(directory / "model.onnx", directory / "model-int8.onnx",
                     weight_type=QuantType.QInt8,
                     extra_options={"DefaultTensorType": TensorProto.FLOAT})
