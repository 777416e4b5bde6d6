"""A LLaMA checkpoint as a GGUF file for llama.cpp: linear maps in 4 or 8 bits, the tables in 8,
as files that people download. Prompts are token ids, so the vocabulary is made up: t3, t4, ..."""

import json

import numpy as np
from gguf import GGMLQuantizationType, GGUFWriter, TokenType
from gguf.quants import quantize

from checkpoints import read_safetensors

LAYER = {"input_layernorm": "attn_norm", "post_attention_layernorm": "ffn_norm",
         "self_attn.q_proj": "attn_q", "self_attn.k_proj": "attn_k", "self_attn.v_proj": "attn_v",
         "self_attn.o_proj": "attn_output", "mlp.gate_proj": "ffn_gate", "mlp.up_proj": "ffn_up",
         "mlp.down_proj": "ffn_down"}
OTHERS = {"model.embed_tokens": "token_embd", "model.norm": "output_norm", "lm_head": "output"}


def interleaved(weight, heads):
    """llama.cpp rotates neighbours, a checkpoint the halves of a head."""
    rows, columns = weight.shape
    return (weight.reshape(heads, 2, rows // heads // 2, columns).swapaxes(1, 2)
            .reshape(rows, columns))


def write_llama(checkpoint, file, kind):
    """kind: Q4_0, which llama.cpp multiplies fastest, Q4_1 or Q8_0."""
    config = json.loads((checkpoint / "config.json").read_text(encoding="utf-8"))
    heads, hidden = config["num_attention_heads"], config["hidden_size"]
    kv_heads = config.get("num_key_value_heads", heads)
    writer = GGUFWriter(file, "llama")
    writer.add_context_length(config["max_position_embeddings"])
    writer.add_embedding_length(hidden)
    writer.add_block_count(config["num_hidden_layers"])
    writer.add_feed_forward_length(config["intermediate_size"])
    writer.add_head_count(heads)
    writer.add_head_count_kv(kv_heads)
    writer.add_rope_dimension_count(hidden // heads)
    writer.add_rope_freq_base(config.get("rope_theta", 10000.0))
    writer.add_layer_norm_rms_eps(config["rms_norm_eps"])
    writer.add_vocab_size(config["vocab_size"])
    special = ["<unk>", "<s>", "</s>"]
    count = config["vocab_size"]
    writer.add_tokenizer_model("llama")
    writer.add_token_list(special + [f"t{i}" for i in range(len(special), count)])
    writer.add_token_scores([0.0] * count)
    writer.add_token_types([TokenType.UNKNOWN, TokenType.CONTROL, TokenType.CONTROL]
                           + [TokenType.NORMAL] * (count - 3))
    writer.add_bos_token_id(1)
    writer.add_eos_token_id(2)
    writer.add_unk_token_id(0)
    writer.add_add_bos_token(False)
    tensors = read_safetensors(checkpoint / "model.safetensors")
    for name in list(tensors):
        weight = tensors.pop(name)
        stem = name.removesuffix(".weight")
        if stem in OTHERS:
            new = OTHERS[stem]
        else:
            _, _, layer, part = stem.split(".", 3)
            new = f"blk.{layer}.{LAYER[part]}"
            if part.endswith("q_proj"):
                weight = interleaved(weight, heads)
            if part.endswith("k_proj"):
                weight = interleaved(weight, kv_heads)
        if weight.ndim == 1:
            writer.add_tensor(new + ".weight", weight)
            continue
        whole = new in ("token_embd", "output")
        made = GGMLQuantizationType.Q8_0 if whole else GGMLQuantizationType[kind]
        writer.add_tensor(new + ".weight", quantize(np.ascontiguousarray(weight), made),
                          raw_dtype=made)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
