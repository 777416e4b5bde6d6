// Every field of ModelConfig and of the structs in it, as text by name: "norm_epsilon",
// "decoder.num_heads", "rotary.base", "layer_attention.windowed".
#pragma once

#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>
#include <vector>

#include "moefy/base/error.h"
#include "moefy/model/config.h"

namespace moefy::tests {

using FieldValues = std::map<std::string, std::string>;

// Takes a struct apart and appends its fields; the names are those of the members, in their order.
// The compiler counts them: a struct with one member more, or one fewer, does not build.
#define MOEFY_APPEND_FIELDS(out, prefix, object, ...) \
  const auto& [__VA_ARGS__] = object;                 \
  moefy::tests::AppendFields(out, prefix, #__VA_ARGS__, __VA_ARGS__)

inline void AppendField(FieldValues& out, const std::string& name, const std::string& value) {
  out[name] = value;
}
template <typename T>
requires(std::is_arithmetic_v<T> || std::is_enum_v<T>) void AppendField(FieldValues& out,
                                                                        const std::string& name,
                                                                        const T& value) {
  out[name] = std::to_string(static_cast<double>(value));
}
inline void AppendField(FieldValues& out, const std::string& name,
                        const std::vector<std::string>& value) {
  out[name] = Join(value);
}
inline void AppendField(FieldValues& out, const std::string& name,
                        const std::map<std::string, std::string>& value) {
  for (const auto& [key, text] : value) out[name] += StrCat(key, "=", text, ";");
  out.try_emplace(name);
}

template <typename... Values>
void AppendFields(FieldValues& out, const std::string& prefix, std::string_view names,
                  const Values&... values);

inline void AppendField(FieldValues& out, const std::string& name, const model::Activation& value) {
  MOEFY_APPEND_FIELDS(  // A new member? Name it here; decode_step_fields_test.cpp wants a row then.
      out, name + ".", value, kind, threshold, on_both);
}
inline void AppendField(FieldValues& out, const std::string& name,
                        const model::StackConfig& value) {
  MOEFY_APPEND_FIELDS(  // A new member? Name it here; decode_step_fields_test.cpp wants a row then.
      out, name + ".", value, num_layers, num_heads, num_kv_heads, head_dim, num_neurons);
}
inline void AppendField(FieldValues& out, const std::string& name,
                        const std::vector<int64_t>& value) {
  for (const int64_t number : value) out[name] += StrCat(number, ";");
  out.try_emplace(name);
}
inline void AppendField(FieldValues& out, const std::string& name,
                        const model::MixtureConfig& value) {
  MOEFY_APPEND_FIELDS(  // A new member? Name it here; decode_step_fields_test.cpp wants a row then.
      out, name + ".", value, num_experts, num_chosen, num_neurons, shared_neurons, normalised,
      dense_layers);
}
inline void AppendField(FieldValues& out, const std::string& name,
                        const model::RotaryConfig& value) {
  MOEFY_APPEND_FIELDS(  // A new member? Name it here; decode_step_fields_test.cpp wants a row then.
      out, name + ".", value, dims, base, factor, llama3, low_frequency_factor,
      high_frequency_factor, original_positions);
}
inline void AppendField(FieldValues& out, const std::string& name,
                        const model::LayerAttention& value) {
  MOEFY_APPEND_FIELDS(  // A new member? Name it here; decode_step_fields_test.cpp wants a row then.
      out, name + ".", value, windowed, rotary);
}
// By member: the values of all layers one after the other.
inline void AppendField(FieldValues& out, const std::string& name,
                        const std::vector<model::LayerAttention>& layers) {
  FieldValues all;
  AppendField(all, name, model::LayerAttention());
  for (auto& [member, text] : all) text.clear();
  for (const model::LayerAttention& layer : layers) {
    FieldValues values;
    AppendField(values, name, layer);
    for (const auto& [member, text] : values) all[member] += text + ";";
  }
  out.merge(all);
}
// One field, whatever is in it: the members are those of the struct elsewhere.
template <typename T>
void AppendField(FieldValues& out, const std::string& name, const std::optional<T>& value) {
  FieldValues values;
  if (value) AppendField(values, "", *value);
  AppendField(out, name, values);
}

template <typename... Values>
void AppendFields(FieldValues& out, const std::string& prefix, std::string_view names,
                  const Values&... values) {
  const auto next_name = [&] {
    const std::string name = prefix + std::string(names.substr(0, names.find(',')));
    names.remove_prefix(std::min(names.size(), names.find(',') + 2));
    return name;
  };
  (AppendField(out, next_name(), values), ...);
}

inline FieldValues FieldsOf(const model::ModelConfig& config) {
  FieldValues out;
  MOEFY_APPEND_FIELDS(  // A new member? Name it here; decode_step_fields_test.cpp wants a row then.
      out, "", config, family, model_type, architecture, head, vocab_size, input_vocab_size, hidden,
      embedding_width, narrow_embeddings, encoder, decoder, num_layer_groups, activation, gated,
      mixture, qkv_bias, attention_output_bias, ffn_bias, head_bias, qkv, transposed, norm,
      norm_bias, first_attention_norm, norm_place, norm_epsilon, norm_weight_offset,
      separate_ffn_norm, qk_norm, position, position_count, position_offset, max_positions,
      sinusoid_steps, relative_buckets, relative_max_distance, content_to_position,
      position_to_content, relative_norm, rotary, local_rotary, sliding_window, layer_attention,
      recurrent_decoder, num_token_types, embedding_scale, zero_start, scale_attention,
      attention_scale, scale_attention_by_layer, final_norm, tied_embeddings, logits_scale,
      residual_scale, attention_softcap, logits_softcap, problem, num_labels, pooler_activation,
      mean_pooling, head_activation, head_dense_bias, label_names, pad_id, eos_id, decoder_start_id,
      missing_prefix, added_prefix, gamma_beta, aliases);
  return out;
}

}  // namespace moefy::tests
