#include <optional>

#include "moefy/base/error.h"
#include "text/tokenizer_json/pipeline_steps.h"

namespace moefy::text {
namespace {

using Kind = TemplateItem::Kind;

constexpr int64_t kMaxType = 1 << 16;
constexpr size_t kMaxItems = 1000;

// "sep": ["[SEP]", 102]
int64_t GetTokenId(const JsonObject& object, const std::string& key) {
  const Json& pair = object.GetRaw(key);
  if (!pair.is_array() || pair.size() != 2 || !pair[1].is_number_unsigned()) {
    throw InputError(object.PathOf(key), ": expected a token and its id");
  }
  return pair[1].get<int64_t>();
}

// [{"SpecialToken": {"id": "[CLS]", "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}}]
std::vector<TemplateItem> ParseItems(const JsonObject& object, const std::string& key) {
  std::vector<TemplateItem> items;
  for (const JsonObject& entry : object.GetObjects(key)) {
    if (entry.Has("Sequence")) {
      const JsonObject sequence = entry.GetObject("Sequence");
      const std::string id = sequence.GetString("id");
      if (id != "A" && id != "B") {
        throw InputError(sequence.PathOf("id"), " is ", Quoted(id), "; expected A or B");
      }
      if (id == "B" && key == "single") {
        throw InputError(sequence.PathOf("id"), ": there is no B for one segment");
      }
      items.push_back(
          {id == "A" ? Kind::kFirst : Kind::kSecond, 0, sequence.GetInt("type_id", 0, kMaxType)});
      continue;
    }
    const JsonObject special = entry.GetObject("SpecialToken");
    const std::string name = special.GetString("id");
    const JsonObject definition = object.GetObject("special_tokens").GetObject(name);
    for (const int64_t id : definition.GetInts("ids", 0, int64_t{1} << 31)) {
      items.push_back({Kind::kToken, id, special.GetInt("type_id", 0, kMaxType)});
    }
    if (items.size() > kMaxItems) {
      throw InputError(object.PathOf(key), ": more than ", kMaxItems, " tokens around a text");
    }
  }
  return items;
}

TokenTemplate ParseSequence(const JsonObject& object) {
  const std::string path = object.PathOf("processors");
  std::optional<TokenTemplate> found;
  const Json& list = object.GetRaw("processors");
  for (size_t i = 0; i < list.size() && list.is_array(); ++i) {
    const std::string where = StrCat(path, "[", i, "]");
    if (JsonObject(list[i], where).GetString("type") == "ByteLevel") continue;  // offsets only
    if (found) throw InputError(where, ": a second step that adds tokens is not supported");
    found = ParsePostProcessor(list[i], where);
  }
  return found.value_or(TokenTemplate{});
}

}  // namespace

TokenTemplate ParsePostProcessor(const Json& json, const std::string& where) {
  const JsonObject object(json, where);
  const std::string type = object.GetString("type");
  if (type == "ByteLevel") return {};  // changes offsets only
  if (type == "Sequence") return ParseSequence(object);
  if (type == "TemplateProcessing") {
    return {ParseItems(object, "single"), ParseItems(object, "pair")};
  }
  if (type != "BertProcessing" && type != "RobertaProcessing") {
    throw InputError(object.PathOf("type"), ": post-processor ", Quoted(type),
                     " is not supported; supported: BertProcessing, ByteLevel, RobertaProcessing, "
                     "Sequence, TemplateProcessing");
  }
  const int64_t start = GetTokenId(object, "cls"), end = GetTokenId(object, "sep");
  TokenTemplate out = AroundEach({start}, {end});
  if (type == "RobertaProcessing") {
    out.pair[3].id = end;  // <s> A </s> </s> B </s>
  } else {
    out.pair.erase(out.pair.begin() + 3);  // [CLS] A [SEP] B [SEP]
    for (size_t i = 3; i < out.pair.size(); ++i) out.pair[i].type = 1;
  }
  return out;
}

}  // namespace moefy::text
