"""Models in CTranslate2's format, without PyTorch, from checkpoint directories: T5, encoders of
BERT's layout and decoders of LLaMA's."""

import json
import pathlib

import numpy as np
from ctranslate2.specs import common_spec, transformer_spec

from checkpoints import read_safetensors

ACTIVATIONS = {"relu": common_spec.Activation.RELU, "gelu": common_spec.Activation.GELU,
               "silu": common_spec.Activation.SWISH}


def save(spec, directory):
    spec.validate()
    pathlib.Path(directory).mkdir(parents=True, exist_ok=True)
    spec.save(str(directory))


def fill_t5(stack, name, tensors):
    """Encoder or decoder of T5 version 1.0, from tensors of T5's layout."""
    base = name + "."
    stack.layer_norm.gamma = tensors[base + "final_layer_norm.weight"]
    table = stack.embeddings[0] if isinstance(stack.embeddings, list) else stack.embeddings
    table.weight = tensors["shared.weight"]
    stack.scale_embeddings = False
    bias = tensors[base + "block.0.layer.0.SelfAttention.relative_attention_bias.weight"]

    def fill_attention(attention, sublayer, name, *maps):
        """maps: the letters of each linear map's parts."""
        attention.queries_scale = 1.0
        attention.layer_norm.gamma = tensors[sublayer + "layer_norm.weight"]
        for linear, parts in zip(attention.linear, maps):
            linear.weight = np.concatenate([tensors[f"{sublayer}{name}.{part}.weight"]
                                            for part in parts])

    for index, layer in enumerate(stack.layer):
        sublayers = [f"{base}block.{index}.layer.{i}." for i in range(3)]
        fill_attention(layer.self_attention, sublayers[0], "SelfAttention", "qkv", "o")
        layer.self_attention.relative_attention_bias = bias
        layer.self_attention.relative_attention_max_distance = np.dtype("int32").type(128)
        if name == "decoder":
            fill_attention(layer.attention, sublayers[1], "EncDecAttention", "q", "kv", "o")
        ffn = sublayers[2 if name == "decoder" else 1]
        layer.ffn.layer_norm.gamma = tensors[ffn + "layer_norm.weight"]
        layer.ffn.linear_0.weight = tensors[ffn + "DenseReluDense.wi.weight"]
        layer.ffn.linear_1.weight = tensors[ffn + "DenseReluDense.wo.weight"]


T5_OPTIONS = {"pre_norm": True, "activation": common_spec.Activation.RELU,
              "relative_attention_bias": True, "rms_norm": True}


def write_t5(checkpoint, directory):
    """T5 version 1.0, for ctranslate2.Translator; tokens are named t0, t1, ... but for the first
    two."""
    config = json.loads((checkpoint / "config.json").read_text(encoding="utf-8"))
    tensors = read_safetensors(checkpoint / "model.safetensors")
    layers = (config["num_layers"], config["num_decoder_layers"])
    spec = transformer_spec.TransformerSpec.from_config(layers, config["num_heads"], **T5_OPTIONS)
    fill_t5(spec.encoder, "encoder", tensors)
    fill_t5(spec.decoder, "decoder", tensors)
    spec.decoder.projection.weight = tensors["shared.weight"]
    spec.decoder.scale_outputs = config["d_model"] ** -0.5
    tokens = ["<pad>", "</s>"] + [f"t{i}" for i in range(2, config["vocab_size"])]
    spec.register_source_vocabulary(tokens)
    spec.register_target_vocabulary(tokens)
    spec.config.bos_token, spec.config.eos_token, spec.config.unk_token = tokens[:3]
    spec.config.decoder_start_token = "<pad>"
    spec.config.layer_norm_epsilon = config["layer_norm_epsilon"]
    save(spec, directory)


def write_t5_encoder(checkpoint, directory):
    """T5's encoder alone, for ctranslate2.Encoder."""
    config = json.loads((checkpoint / "config.json").read_text(encoding="utf-8"))
    encoder = transformer_spec.TransformerEncoderSpec(config["num_layers"], config["num_heads"],
                                                      **T5_OPTIONS)
    fill_t5(encoder, "encoder", read_safetensors(checkpoint / "model.safetensors"))
    spec = transformer_spec.TransformerEncoderModelSpec(encoder)
    spec.register_vocabulary([f"t{i}" for i in range(config["vocab_size"])])
    spec.config.unk_token = "t0"
    spec.config.layer_norm_epsilon = config["layer_norm_epsilon"]
    save(spec, directory)


def write_bert(checkpoint, directory):
    """An encoder of BERT's layout, headless or not, for ctranslate2.Encoder."""
    config = json.loads((checkpoint / "config.json").read_text(encoding="utf-8"))
    stored = read_safetensors(checkpoint / "model.safetensors")
    tensors = {name.removeprefix("bert."): array for name, array in stored.items()}
    encoder = transformer_spec.TransformerEncoderSpec(
        config["num_hidden_layers"], config["num_attention_heads"], pre_norm=False,
        activation=ACTIVATIONS[config["hidden_act"]], layernorm_embedding=True,
        num_source_embeddings=2, embeddings_merge=common_spec.EmbeddingsMerge.ADD)
    encoder.scale_embeddings = False

    def set_norm(norm, name):
        norm.gamma, norm.beta = tensors[name + ".weight"], tensors[name + ".bias"]

    def set_linear(linear, *names):
        linear.weight = np.concatenate([tensors[name + ".weight"] for name in names])
        linear.bias = np.concatenate([tensors[name + ".bias"] for name in names])

    encoder.embeddings[0].weight = tensors["embeddings.word_embeddings.weight"]
    encoder.embeddings[1].weight = tensors["embeddings.token_type_embeddings.weight"]
    encoder.position_encodings.encodings = tensors["embeddings.position_embeddings.weight"]
    set_norm(encoder.layernorm_embedding, "embeddings.LayerNorm")
    for index, layer in enumerate(encoder.layer):
        base = f"encoder.layer.{index}."
        set_linear(layer.self_attention.linear[0],
                   *(f"{base}attention.self.{part}" for part in ("query", "key", "value")))
        set_linear(layer.self_attention.linear[1], base + "attention.output.dense")
        set_norm(layer.self_attention.layer_norm, base + "attention.output.LayerNorm")
        set_linear(layer.ffn.linear_0, base + "intermediate.dense")
        set_linear(layer.ffn.linear_1, base + "output.dense")
        set_norm(layer.ffn.layer_norm, base + "output.LayerNorm")
    spec = transformer_spec.TransformerEncoderModelSpec(encoder)
    spec.register_vocabulary([f"t{i}" for i in range(config["vocab_size"])])
    spec.config.unk_token = "t0"
    spec.config.layer_norm_epsilon = config.get("layer_norm_eps", 1e-12)
    save(spec, directory)


def write_llama(checkpoint, directory):
    """A decoder of LLaMA's layout, for ctranslate2.Generator."""
    config = json.loads((checkpoint / "config.json").read_text(encoding="utf-8"))
    tensors = read_safetensors(checkpoint / "model.safetensors")
    heads = config["num_attention_heads"]
    spec = transformer_spec.TransformerDecoderModelSpec.from_config(
        config["num_hidden_layers"], heads, pre_norm=True, ffn_glu=True, rms_norm=True,
        activation=ACTIVATIONS[config["hidden_act"]], rotary_dim=0, rotary_interleave=False,
        rotary_base=config.get("rope_theta", 10000.0),
        num_heads_kv=config.get("num_key_value_heads", heads))
    decoder = spec.decoder
    decoder.scale_embeddings = False
    decoder.embeddings.weight = tensors["model.embed_tokens.weight"]
    decoder.layer_norm.gamma = tensors["model.norm.weight"]
    decoder.projection.weight = tensors.get("lm_head.weight", decoder.embeddings.weight)
    for index, layer in enumerate(decoder.layer):
        base = f"model.layers.{index}."
        layer.self_attention.layer_norm.gamma = tensors[base + "input_layernorm.weight"]
        layer.ffn.layer_norm.gamma = tensors[base + "post_attention_layernorm.weight"]
        layer.self_attention.linear[0].weight = np.concatenate(
            [tensors[f"{base}self_attn.{part}_proj.weight"] for part in "qkv"])
        layer.self_attention.linear[1].weight = tensors[base + "self_attn.o_proj.weight"]
        layer.ffn.linear_0.weight = tensors[base + "mlp.gate_proj.weight"]
        layer.ffn.linear_0_noact.weight = tensors[base + "mlp.up_proj.weight"]
        layer.ffn.linear_1.weight = tensors[base + "mlp.down_proj.weight"]
    tokens = [f"t{i}" for i in range(config["vocab_size"])]
    spec.register_vocabulary(tokens)
    spec.config.bos_token = spec.config.unk_token = tokens[0]
    spec.config.eos_token = tokens[config["eos_token_id"]]
    spec.config.layer_norm_epsilon = config["rms_norm_eps"]
    save(spec, directory)
