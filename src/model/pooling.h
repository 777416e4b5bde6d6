// Texts as vectors: how the hidden states of an encoder become one, as sentence-transformers writes
// it beside a model: modules.json, 1_Pooling/config.json, sentence_bert_config.json and
// config_sentence_transformers.json. Source: sentence_transformers/models/Pooling.py and
// Transformer.py of version 5. Values, thread-safe.
#pragma once

#include <ATen/ATen.h>

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

namespace moefy::model {

// What one vector is made of; several of them stand one after the other in this order.
enum class Pooling {
  kFirst,         // of the first token
  kMax,           // the largest of all tokens, number by number
  kMean,          // of all tokens
  kMeanSqrt,      // their sum by the square root of their number
  kWeightedMean,  // later tokens count more: 1, 2, 3, ...
  kLast,          // of the last token
};

struct TextEmbedding {
  std::vector<Pooling> pooling = {Pooling::kMean};
  bool normalize = false;   // to a length of 1
  int64_t max_tokens = 0;   // longer texts are cut; 0: as the model says
  bool lower_case = false;  // before the tokenizer sees the text
  std::string prompt;       // stands before every text
};

// What the files beside the model say; without modules.json the mean of all tokens, with a warning.
// Throws Error{kInput} for modules and options that are not supported, such as a dense layer after
// the pooling.
TextEmbedding ReadTextEmbedding(const std::filesystem::path& directory,
                                std::vector<std::string>* warnings = nullptr);

// states [batch, tokens, hidden], mask [batch, tokens], non-zero for real tokens; undefined: all
// are -> [batch, hidden * number of poolings].
at::Tensor EmbedTexts(const TextEmbedding& embedding, const at::Tensor& states,
                      const at::Tensor& mask);

}  // namespace moefy::model
