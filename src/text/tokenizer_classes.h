// The tokenizer class that goes with a family of models, if the checkpoint does not name one.
// Source: AutoTokenizer's table in transformers 4.44 and 5. Pure functions, thread-safe.
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace moefy::text {

// The class of `model_type`; "" if the family's tokenizers are tokenizer.json files of any kind;
// nothing if the table does not have it.
std::optional<std::string> ClassOfModel(std::string_view model_type);

}  // namespace moefy::text
