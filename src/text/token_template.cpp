#include "text/token_template.h"

#include <algorithm>

namespace moefy::text {

using Kind = TemplateItem::Kind;

TokenTemplate AroundEach(const std::vector<int64_t>& before, const std::vector<int64_t>& after) {
  TokenTemplate out = {{}, {}};
  for (const Kind segment : {Kind::kFirst, Kind::kSecond}) {
    const auto add = [&](const TemplateItem& item) {
      out.pair.push_back(item);
      if (segment == Kind::kFirst) out.single.push_back(item);
    };
    for (const int64_t id : before) add({Kind::kToken, id});
    add({segment});
    for (const int64_t id : after) add({Kind::kToken, id});
  }
  return out;
}

int64_t NumTokens(const std::vector<TemplateItem>& items) {
  return std::count_if(items.begin(), items.end(),
                       [](const TemplateItem& item) { return item.kind == Kind::kToken; });
}

Encoding Fill(const std::vector<TemplateItem>& items, const std::vector<int64_t>& first,
              const std::vector<int64_t>* second) {
  Encoding out;
  size_t begin = 0;  // of the last segment
  for (const TemplateItem& item : items) {
    if (item.kind == Kind::kToken) {
      const bool there = out.ids.size() > begin && out.ids.back() == item.id;
      if (!(item.unless_there && there)) out.ids.push_back(item.id);
    } else {
      const std::vector<int64_t>& segment = item.kind == Kind::kFirst ? first : *second;
      begin = out.ids.size();
      out.ids.insert(out.ids.end(), segment.begin(), segment.end());
    }
    out.token_type_ids.resize(out.ids.size(), item.type);
  }
  return out;
}

}  // namespace moefy::text
