#include "moefy/model/generation.h"

#include <algorithm>

#include "base/json.h"
#include "model/decoding_state.h"
#include "model/families/families.h"
#include "model/input_check.h"
#include "model/sampling.h"
#include "moefy/base/error.h"

namespace moefy::model {
namespace {

void CheckId(int64_t id, const ModelConfig& config, const char* what) {
  if (id < -1 || id >= config.vocab_size) {
    throw UsageError(what, " is ", id, "; expected a token from 0 to ", config.vocab_size - 1);
  }
}

void CheckOptions(const GenerationOptions& options, const ModelConfig& config) {
  if (config.head != Head::kLanguageModel) {
    throw UsageError("this ", config.family, " model classifies; it cannot generate text");
  }
  if (options.max_new_tokens < 1) {
    throw UsageError("max-new-tokens is ", options.max_new_tokens, "; expected at least 1");
  }
  if (!(options.temperature >= 0) || options.temperature > 1e6) {
    throw UsageError("temperature is ", options.temperature, "; expected 0 (greedy) or more");
  }
  if (options.top_k < 0) throw UsageError("top-k is ", options.top_k, "; expected 0 or more");
  if (!(options.top_p > 0) || options.top_p > 1) {
    throw UsageError("top-p is ", options.top_p, "; expected more than 0 and at most 1");
  }
  for (const int64_t id : options.eos_ids) CheckId(id, config, "eos token");
  for (const int64_t id : options.banned_ids) CheckId(id, config, "banned token");
  CheckId(options.forced_bos_id, config, "forced first token");
  CheckId(options.forced_eos_id, config, "forced last token");
  CheckId(options.decoder_start_id, config, "decoder start token");
}

struct PaddedBatch {
  at::Tensor ids;   // [batch, tokens]
  at::Tensor mask;  // likewise; undefined without padding
};

// Pads prompts on the left, because texts that will be continued must end together.
PaddedBatch Pad(const std::vector<std::vector<int64_t>>& prompts, int64_t pad_id, bool left) {
  size_t tokens = 0;
  bool equal = true;
  for (size_t i = 0; i < prompts.size(); ++i) {
    if (prompts[i].empty()) throw InputError("prompt ", i, " has no tokens");
    equal = equal && prompts[i].size() == prompts[0].size();
    tokens = std::max(tokens, prompts[i].size());
  }
  const auto rows = static_cast<int64_t>(prompts.size());
  PaddedBatch batch;
  batch.ids = at::full({rows, static_cast<int64_t>(tokens)}, pad_id, at::kLong);
  if (!equal) batch.mask = at::zeros_like(batch.ids);
  for (int64_t row = 0; row < rows; ++row) {
    const std::vector<int64_t>& prompt = prompts[static_cast<size_t>(row)];
    const int64_t first = left ? static_cast<int64_t>(tokens - prompt.size()) : 0;
    std::copy(prompt.begin(), prompt.end(), batch.ids[row].data_ptr<int64_t>() + first);
    if (!equal) batch.mask[row].narrow(0, first, static_cast<int64_t>(prompt.size())).fill_(1);
  }
  return batch;
}

bool Contains(const std::vector<int64_t>& ids, int64_t id) {
  return std::find(ids.begin(), ids.end(), id) != ids.end();
}

}  // namespace

std::vector<std::vector<int64_t>> Generate(Transformer& model,
                                           const std::vector<std::vector<int64_t>>& prompts,
                                           const GenerationOptions& options,
                                           const TokenCallback& callback) {
  const at::NoGradGuard no_grad;
  const ModelConfig& config = model.config();
  CheckOptions(options, config);
  if (prompts.empty()) return {};
  const bool encoder_decoder = config.architecture == Architecture::kEncoderDecoder;
  const auto rows = static_cast<int64_t>(prompts.size());
  const int64_t padding = std::max<int64_t>(0, config.pad_id);
  const PaddedBatch batch = Pad(prompts, padding, !encoder_decoder);
  ForwardInputs inputs;
  inputs.input_ids = batch.ids;
  inputs.attention_mask = batch.mask;
  const std::shared_ptr<DecodingState> state = model.StartDecoding(inputs);
  at::Tensor ids = batch.ids, mask = batch.mask;
  if (encoder_decoder) {
    const int64_t start =
        options.decoder_start_id >= 0 ? options.decoder_start_id : config.decoder_start_id;
    if (start < 0) throw UsageError("generation needs a decoder start token; the config has none");
    ids = at::full({rows, 1}, start, at::kLong);
    mask = at::Tensor();
  }

  Sampler sampler(options, prompts.size());
  const auto vocab = static_cast<size_t>(config.vocab_size);
  // The loop writes these in place, so that a step makes no tensors.
  const at::Tensor next = at::full({rows, 1}, padding, at::kLong);
  const at::Tensor goes_on = at::ones({rows, 1}, at::kLong);
  int64_t num_going = rows;
  std::vector<std::vector<int64_t>> texts(prompts.size());
  // A text is full if no position is left at which to read its last token and to write another.
  const int64_t positions = NumPositions(config);
  const auto is_full = [&](size_t i) {
    const size_t num_before = encoder_decoder ? 1 : prompts[i].size();
    return positions > 0 && static_cast<int64_t>(num_before + texts[i].size()) > positions;
  };
  for (int64_t step = 0; step < options.max_new_tokens && num_going > 0; ++step) {
    const at::Tensor logits = model.Decode(*state, ids, mask).contiguous();  // [batch, vocab]
    for (size_t i = 0; i < texts.size(); ++i) {
      int64_t& going = goes_on.data_ptr<int64_t>()[i];
      if (!going) continue;
      int64_t token = -1;
      if (step == 0) token = options.forced_bos_id;
      if (token < 0 && step + 1 == options.max_new_tokens) token = options.forced_eos_id;
      if (token < 0) {
        token = sampler.Choose(i, {logits.data_ptr<float>() + i * vocab, vocab});
      }
      texts[i].push_back(token);
      if (callback && !callback(i, token)) going = 0;
      if (Contains(options.eos_ids, token) || is_full(i)) going = 0;
      num_going -= going == 0;
      next.data_ptr<int64_t>()[i] = going ? token : padding;
    }
    ids = next;
    mask = num_going < rows ? goes_on : at::Tensor();  // finished texts are padding from now on
  }
  return texts;
}

namespace {

// Reads each key from the first of the two files that has it.
class TokenReader {
 public:
  TokenReader(const std::vector<JsonObject>& files, const ModelConfig& config)
      : files_(files), limit_(config.vocab_size - 1) {}

  // Null and an empty list mean no tokens.
  std::vector<int64_t> Ids(const std::string& key, const std::vector<int64_t>& if_absent) const {
    for (const JsonObject& file : files_) {
      if (!IsThere(file, key)) continue;
      if (!file.Has(key)) return {};
      if (file.GetRaw(key).is_array()) return file.GetInts(key, 0, limit_);
      const int64_t id = file.GetInt(key, -1, limit_);
      return id < 0 ? std::vector<int64_t>{} : std::vector{id};
    }
    return if_absent;
  }
  int64_t Id(const std::string& key, int64_t if_absent) const {
    const std::vector<int64_t> ids = Ids(key, {if_absent});
    return ids.empty() ? -1 : ids.front();
  }

 private:
  const std::vector<JsonObject>& files_;
  int64_t limit_;
};

// Reads "bad_words_ids": [[5], [7, 8]].
void ReadBanned(const std::vector<JsonObject>& files, const ModelConfig& config,
                GenerationOptions& options, std::vector<std::string>* warnings) {
  for (const JsonObject& file : files) {
    if (!file.Has("bad_words_ids")) continue;
    const Json& words = file.GetRaw("bad_words_ids");
    const std::string where = file.PathOf("bad_words_ids");
    if (!words.is_array()) throw InputError(where, " is not a list of lists of tokens");
    int64_t longer = 0;
    for (const Json& word : words) {
      const Json wrapped = {{"ids", word}};
      const std::vector<int64_t> ids =
          JsonObject(wrapped, where).GetInts("ids", 0, config.vocab_size - 1);
      if (ids.size() == 1) options.banned_ids.push_back(ids.front());
      longer += ids.size() > 1;
    }
    if (longer > 0 && warnings) {
      warnings->push_back(
          StrCat(where, ": ", longer, " sequences of several tokens are not banned"));
    }
    return;
  }
}

}  // namespace

GenerationOptions ReadGenerationOptions(const std::filesystem::path& directory,
                                        const std::string& config_text, const ModelConfig& config,
                                        std::vector<std::string>* warnings) {
  const std::filesystem::path generation = directory / "generation_config.json";
  const std::filesystem::path model = directory / "config.json";
  std::error_code ignored;
  const bool has_generation_config = std::filesystem::exists(generation, ignored);
  const Json json[] = {
      has_generation_config ? ReadJsonFile(generation) : Json::object(),
      config_text.empty() ? Json::object() : ParseJsonFile(model, config_text),
  };
  const std::vector<JsonObject> files = {{json[0], generation.string()}, {json[1], model.string()}};
  const TokenReader read(files, config);
  GenerationOptions options;
  options.eos_ids = read.Ids(
      "eos_token_id", config.eos_id >= 0 ? std::vector{config.eos_id} : std::vector<int64_t>{});
  options.decoder_start_id = read.Id("decoder_start_token_id", config.decoder_start_id);
  options.forced_bos_id = read.Id("forced_bos_token_id", -1);
  options.forced_eos_id = read.Id("forced_eos_token_id", -1);
  const JsonObject& old = files.back();
  if (options.forced_bos_id < 0 && config.family == "bart" && !has_generation_config &&
      old.GetBool("force_bos_token_to_be_generated", false)) {
    options.forced_bos_id = old.GetInt("bos_token_id", 0, config.vocab_size - 1, 0);
  }
  ReadBanned(files, config, options, warnings);
  return options;
}

}  // namespace moefy::model
