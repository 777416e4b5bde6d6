// Keys of config.json that change nothing, whatever the family, and what becomes of the others that
// no reader has read. Source: Hugging Face transformers 4.44 and 5, configuration_utils.py.
#include "model/families/config_keys.h"

#include <algorithm>

#include "moefy/base/error.h"

namespace moefy::model {
namespace {

constexpr const char* kBookkeeping = "says who wrote the file, and how";
constexpr const char* kOtherTools = "of other programs; no class of transformers reads it";
constexpr const char* kTraining = "of training only";
constexpr const char* kOutputs = "says what else a call returns";
constexpr const char* kGeneration = "of generation, where moefy's own options decide";
constexpr const char* kTokens = "special tokens the model itself does not look at";
constexpr const char* kOtherHeads = "of other heads";
constexpr const char* kSpeed = "another order of the same sums";

const std::vector<UnreadKey>& CommonKeys() {
  static const std::vector<UnreadKey> keys = [] {
    std::vector<UnreadKey> all;
    const auto add = [&](const char* reason, std::initializer_list<const char*> names) {
      for (const char* name : names) all.push_back({name, reason});
    };
    add(kBookkeeping, {"_name_or_path",
                       "_commit_hash",
                       "architectures",
                       "auto_map",
                       "model_type",
                       "moefy",
                       "transformers_version",
                       "transformers.js_config",
                       "torch_dtype",
                       "dtype",
                       "torchscript",
                       "use_bfloat16",
                       "tf_legacy_loss",
                       "tokenizer_class",
                       "finetuning_task",
                       "task_specific_params",
                       "custom_pipelines",
                       "is_encoder_decoder",
                       "is_decoder",
                       "unsloth_version",
                       "unsloth_fixed",
                       "gradient_checkpointing",
                       "_attn_implementation",
                       "_attn_implementation_autoset",
                       "_attn_implementation_internal",
                       "attn_implementation",
                       "use_flash_attn",
                       "_flash_attn_2_enabled",
                       "pretraining_tp",
                       "use_cache",
                       "cache_config"});
    // save_step: transformers' old example of fine-tuning, in which sshleifer's distilled BARTs
    // were made. sentence_transformers: what CrossEncoder does with the logits. ff_factor: what a
    // training script derived intermediate_size from, which counts.
    add(kOtherTools, {"save_step", "sentence_transformers", "ff_factor"});
    add(kTraining, {"attention_dropout",
                    "hidden_dropout",
                    "hidden_dropout_prob",
                    "attention_probs_dropout_prob",
                    "activation_dropout",
                    "dropout",
                    "dropout_rate",
                    "classifier_dropout",
                    "classif_dropout",
                    "seq_classif_dropout",
                    "qa_dropout",
                    "embd_pdrop",
                    "resid_pdrop",
                    "attn_pdrop",
                    "embedding_dropout",
                    "residual_dropout",
                    "layerdrop",
                    "encoder_layerdrop",
                    "decoder_layerdrop",
                    "initializer_range",
                    "initializer_factor",
                    "init_std",
                    "summary_first_dropout",
                    "pooler_dropout",
                    "mlp_dropout",
                    "router_aux_loss_coef"});
    // output_past: use_cache's name before transformers 3.
    add(kOutputs, {"return_dict", "output_attentions", "output_hidden_states", "output_scores",
                   "return_dict_in_generate", "output_past"});
    add(kGeneration, {"max_length",
                      "min_length",
                      "max_new_tokens",
                      "do_sample",
                      "early_stopping",
                      "num_beams",
                      "num_beam_groups",
                      "diversity_penalty",
                      "temperature",
                      "top_k",
                      "top_p",
                      "typical_p",
                      "repetition_penalty",
                      "length_penalty",
                      "no_repeat_ngram_size",
                      "encoder_no_repeat_ngram_size",
                      "bad_words_ids",
                      "num_return_sequences",
                      "forced_bos_token_id",
                      "force_bos_token_to_be_generated",  // ReadGenerationOptions() reads it later
                      "forced_eos_token_id",
                      "remove_invalid_values",
                      "exponential_decay_length_penalty",
                      "suppress_tokens",
                      "begin_suppress_tokens",
                      "prefix"});
    add(kTokens, {"bos_token_id", "sep_token_id", "cls_token_id", "mask_token_id", "unk_token_id",
                  "pad_token_id", "eos_token_id", "decoder_start_token_id"});
    add(kOtherHeads, {"id2label", "label2id", "num_labels", "problem_type", "_num_labels",
                      "classifier_activation", "summary_type", "summary_use_proj",
                      "summary_activation", "summary_proj_to_labels", "hidden_act_param"});
    add(kSpeed, {"chunk_size_feed_forward"});
    all.push_back({"pruned_heads", "heads would be missing", Json::object()});
    all.push_back({"add_cross_attention", "blocks would attend to a memory", false});
    all.push_back({"cross_attention_hidden_size", "blocks would attend to a memory", nullptr});
    all.push_back({"tie_encoder_decoder", "the stacks would share their weights", false});
    all.push_back({"use_bidirectional_attention", "tokens would see what comes after them", false});
    return all;
  }();
  return keys;
}

// Keys of all encoders.
const std::vector<UnreadKey>& EncoderKeys() {
  static const std::vector<UnreadKey> keys = {
      {"is_decoder", "tokens would not see what comes after them", false}};
  return keys;
}

const UnreadKey* FindKey(const std::vector<UnreadKey>& keys, const std::string& name) {
  const auto found = std::ranges::find(keys, name, &UnreadKey::key);
  return found == keys.end() ? nullptr : &*found;
}

}  // namespace

void CheckUnreadKeys(const JsonObject& json, const Family& family,
                     std::vector<std::string>* warnings) {
  std::vector<std::string> unknown;
  for (const std::string& name : json.UnreadKeys()) {
    const UnreadKey* key = FindKey(family.unread_keys, name);
    const bool encoder = family.keys.decoder.layers.key.empty();
    if (!key && encoder) key = FindKey(EncoderKeys(), name);
    if (!key) key = FindKey(CommonKeys(), name);
    if (!key) {
      unknown.push_back(Quoted(name));
      continue;
    }
    if (!key->only || !json.Has(name)) continue;
    const Json& value = json.GetRaw(name);
    const bool empty = key->only->is_structured() && value.is_structured() && value.empty();
    if (value == *key->only || (key->only->is_structured() && empty)) continue;
    throw InputError(json.PathOf(name), " is ", value.dump(), ", which is not supported (",
                     key->reason, "); only ", key->only->dump(), " is");
  }
  if (unknown.empty() || !warnings) return;
  warnings->push_back(StrCat(json.PathOf(Join(unknown)),
                             unknown.size() == 1 ? " is a key" : " are keys",
                             " that nothing is known of for models of type ", Quoted(family.name),
                             "; if the model's own code reads ",
                             unknown.size() == 1 ? "it" : "them", ", it computes something else"));
}

}  // namespace moefy::model
