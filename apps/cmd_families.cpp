// moefy families: what is supported.
#include "base/table.h"
#include "command.h"
#include "model/family.h"

namespace moefy::apps {
namespace {

struct FamiliesOptions {
  template <class Visitor>
  void Visit(Visitor&) {}
};

Outcome Families(const FamiliesOptions&, Context&) {
  Outcome outcome;
  std::vector<std::vector<std::string>> rows;
  Json json = Json::array();
  for (const model::Family& family : model::Families()) {
    rows.push_back({family.name, family.description, family.source});
    json.push_back({{"name", family.name},
                    {"model_types", family.model_types},
                    {"description", family.description},
                    {"source", family.source}});
  }
  outcome.text = FormatTable({"family", "what runs", "checked against"}, rows, 3);
  outcome.json["families"] = json;
  return outcome;
}

}  // namespace

std::unique_ptr<Command> FamiliesCommand(CLI::App& parent) {
  return MakeCommand<FamiliesOptions>(parent, "families", "What model families are supported.",
                                      "  moefy families\n  moefy families --json", Families);
}

}  // namespace moefy::apps
