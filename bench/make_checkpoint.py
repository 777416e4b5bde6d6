#!/usr/bin/env python3
"""Writes a checkpoint of random BF16 weights in the shape of a known model, in the memory of one
tensor, to measure conversions of any size with:

  bench/make_checkpoint.py llama-7b build/llama-7b            all 32 layers, 13.5 GB
  bench/make_checkpoint.py llama-7b build/llama-7b --layers 4
"""

import argparse
import json
import os
import pathlib

# LLaMA's layout: layers, hidden, neurons, heads, heads of keys and values, vocab.
LLAMAS = {"llama-1b": (22, 2048, 5632, 32, 4, 32000), "llama-7b": (32, 4096, 11008, 32, 32, 32000),
          "llama-70b": (80, 8192, 28672, 64, 8, 32000)}
# T5's: layers of either stack, hidden, neurons, heads, vocab.
T5S = {"t5-small": (6, 512, 2048, 8, 32128), "t5-base": (12, 768, 3072, 12, 32128),
       "t5-large": (24, 1024, 4096, 16, 32128), "t5-3b": (24, 1024, 16384, 32, 32128)}


def llama(shape, layers):
    _, hidden, neurons, heads, kv_heads, vocab = shape
    config = {"model_type": "llama", "architectures": ["LlamaForCausalLM"], "vocab_size": vocab,
              "hidden_size": hidden, "num_hidden_layers": layers, "num_attention_heads": heads,
              "num_key_value_heads": kv_heads, "intermediate_size": neurons, "hidden_act": "silu",
              "max_position_embeddings": 4096, "rms_norm_eps": 1e-5, "rope_theta": 10000.0,
              "tie_word_embeddings": False, "bos_token_id": 1, "eos_token_id": 2}
    kv = hidden // heads * kv_heads
    tensors = {"model.embed_tokens.weight": (vocab, hidden)}
    for i in range(layers):
        base = f"model.layers.{i}."
        tensors |= {
            base + "input_layernorm.weight": (hidden,),
            base + "post_attention_layernorm.weight": (hidden,),
            base + "self_attn.q_proj.weight": (hidden, hidden),
            base + "self_attn.k_proj.weight": (kv, hidden),
            base + "self_attn.v_proj.weight": (kv, hidden),
            base + "self_attn.o_proj.weight": (hidden, hidden),
            base + "mlp.gate_proj.weight": (neurons, hidden),
            base + "mlp.up_proj.weight": (neurons, hidden),
            base + "mlp.down_proj.weight": (hidden, neurons)}
    return config, tensors | {"model.norm.weight": (hidden,), "lm_head.weight": (vocab, hidden)}


def t5(shape, layers):
    _, hidden, neurons, heads, vocab = shape
    width = 128 if neurons == 16384 else 64  # of a head
    config = {"model_type": "t5", "architectures": ["T5ForConditionalGeneration"],
              "vocab_size": vocab, "d_model": hidden, "d_kv": width, "d_ff": neurons,
              "num_layers": layers, "num_decoder_layers": layers, "num_heads": heads,
              "relative_attention_num_buckets": 32, "feed_forward_proj": "relu",
              "layer_norm_epsilon": 1e-6, "pad_token_id": 0, "eos_token_id": 1,
              "decoder_start_token_id": 0, "tie_word_embeddings": True}
    tensors = {"shared.weight": (vocab, hidden)}
    for stack, attentions in (("encoder", ("SelfAttention",)),
                              ("decoder", ("SelfAttention", "EncDecAttention"))):
        for i in range(layers):
            for j, attention in enumerate(attentions):
                base = f"{stack}.block.{i}.layer.{j}."
                tensors[base + "layer_norm.weight"] = (hidden,)
                for part in "qkv":
                    tensors[f"{base}{attention}.{part}.weight"] = (heads * width, hidden)
                tensors[f"{base}{attention}.o.weight"] = (hidden, heads * width)
                if i == 0 and j == 0:
                    tensors[f"{base}{attention}.relative_attention_bias.weight"] = (32, heads)
            base = f"{stack}.block.{i}.layer.{len(attentions)}."
            tensors |= {base + "layer_norm.weight": (hidden,),
                        base + "DenseReluDense.wi.weight": (neurons, hidden),
                        base + "DenseReluDense.wo.weight": (hidden, neurons)}
        tensors[f"{stack}.final_layer_norm.weight"] = (hidden,)
    return config, tensors


def random_bf16(count):
    """Numbers of either sign between 2^-9 and 2^-5: random low bytes under four random high ones.
    That is about 1 / sqrt(hidden), so that what goes in comes out about as large."""
    values = bytearray(2 * count)
    values[0::2] = os.urandom(count)
    values[1::2] = os.urandom(count).translate(bytes([0x3B, 0x3C, 0xBB, 0xBC] * 64))
    return values


def write(shape_name, directory, layers=None):
    """The bytes of its weights. layers: of each stack, instead of the shape's own."""
    shape = {**LLAMAS, **T5S}[shape_name]
    make = llama if shape_name in LLAMAS else t5
    config, tensors = make(shape, layers or shape[0])
    (directory / "config.json").write_text(json.dumps(config, indent=1), encoding="utf-8")
    header, offset = {}, 0
    for name, extents in tensors.items():
        count = extents[0] * (extents[1] if len(extents) == 2 else 1)
        header[name] = {"dtype": "BF16", "shape": extents, "data_offsets": [offset,
                                                                           offset + 2 * count]}
        offset += 2 * count
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    with open(directory / "model.safetensors", "wb") as file:
        file.write(len(text).to_bytes(8, "little") + text)
        for info in header.values():
            begin, end = info["data_offsets"]
            count = (end - begin) // 2
            if len(info["shape"]) == 1:
                file.write(b"\x80\x3f" * count)  # ones, of norms
            else:
                file.write(random_bf16(count))
    return offset


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("shape", choices=[*LLAMAS, *T5S])
    parser.add_argument("out", type=pathlib.Path)
    parser.add_argument("--layers", type=int, help="of each stack (default: all)")
    options = parser.parse_args()
    options.out.mkdir(parents=True)
    size = write(options.shape, options.out, options.layers)
    print(f"{options.out}: {size / 1e9:.2f} GB")


if __name__ == "__main__":
    main()
