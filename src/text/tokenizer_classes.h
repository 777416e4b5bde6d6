// Which tokenizer class a family of models goes with, where the checkpoint does not name one.
// Source: AutoTokenizer's table in transformers 4.44 and 5. Pure functions, thread-safe.
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace moefy::text {

// "" for a family whose tokenizers are tokenizer.json files of any kind; nothing for a `model_type`
// that is not in the table.
std::optional<std::string> ClassOfModel(std::string_view model_type);

}  // namespace moefy::text
