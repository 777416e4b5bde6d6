#include "text/tokenizer_classes.h"

#include <algorithm>
#include <iterator>

namespace moefy::text {
namespace {

struct FamilyTokenizer {
  std::string_view model_type;
  const char* tokenizer_class;  // "" means that only tokenizer.json tells
};

constexpr FamilyTokenizer kFamilies[] = {
    {"albert", "AlbertTokenizer"},
    {"bart", "BartTokenizer"},
    {"bert", "BertTokenizer"},
    {"camembert", "CamembertTokenizer"},
    {"deberta-v2", "DebertaV2Tokenizer"},
    {"distilbert", "DistilBertTokenizer"},
    {"electra", "ElectraTokenizer"},
    {"falcon", ""},
    {"gemma", "GemmaTokenizer"},
    {"gemma2", "GemmaTokenizer"},
    {"gemma3", "GemmaTokenizer"},
    {"gemma3_text", "GemmaTokenizer"},
    {"gpt2", "GPT2Tokenizer"},
    {"gpt_neox", ""},
    {"granite", "GPT2Tokenizer"},
    {"led", "LEDTokenizer"},
    {"llama", "LlamaTokenizer"},
    {"longformer", "LongformerTokenizer"},
    {"m2m_100", "M2M100Tokenizer"},
    {"marian", "MarianTokenizer"},
    {"marian-ssru", "BergamotTokenizer"},
    {"mbart", "MBartTokenizer"},
    {"mistral", "LlamaTokenizer"},
    {"mixtral", "LlamaTokenizer"},
    {"modernbert", ""},
    {"mt5", "T5Tokenizer"},
    {"nemotron", ""},
    {"olmo2", ""},
    {"olmoe", ""},
    {"opt", "GPT2Tokenizer"},
    {"pegasus", "PegasusTokenizer"},
    {"phi", "CodeGenTokenizer"},
    {"phi3", "LlamaTokenizer"},
    {"qwen2", "Qwen2Tokenizer"},
    {"qwen2_moe", "Qwen2Tokenizer"},
    {"qwen3", "Qwen2Tokenizer"},
    {"roberta", "RobertaTokenizer"},
    {"smollm3", ""},
    {"stablelm", ""},
    {"starcoder2", "GPT2Tokenizer"},
    {"t5", "T5Tokenizer"},
    {"umt5", "T5Tokenizer"},
    {"xlm-roberta", "XLMRobertaTokenizer"},
};

}  // namespace

std::optional<std::string> ClassOfModel(std::string_view model_type) {
  const auto* const found =
      std::find_if(std::begin(kFamilies), std::end(kFamilies),
                   [&](const FamilyTokenizer& family) { return family.model_type == model_type; });
  if (found == std::end(kFamilies)) return std::nullopt;
  return found->tokenizer_class;
}

}  // namespace moefy::text
