// moefy doctor: what this machine has, and what slows moefy down on it.
#include "base/table.h"
#include "bench/machine_advice.h"
#include "command.h"
#include "pipeline/inspect.h"

namespace moefy::apps {
namespace {

struct DoctorOptions {
  std::string checkpoint;
  double seconds = 0.5;

  template <class Visitor>
  void Visit(Visitor& v) {
    v.Argument("checkpoint", checkpoint, "say whether this model fits into memory, too");
    v.Field("seconds", seconds, "how long to look how busy the machine is");
  }
};

// A fact for people and for programs; null if the system does not tell it.
struct Fact {
  const char* name;
  const char* key;
  std::string text;
  Json value;
};

Fact Text(const char* name, const char* key, const std::string& text, const char* without) {
  return {name, key, text.empty() ? without : text, text.empty() ? Json() : Json(text)};
}

Fact Bytes(const char* name, const char* key, int64_t bytes, const char* without) {
  if (bytes < 0) return {name, key, without, Json()};
  return {name, key, FormatBytes(static_cast<uint64_t>(bytes)), bytes};
}

template <class Number>
Fact Count(const char* name, const char* key, Number count, const char* without) {
  if (count < 0) return {name, key, without, Json()};
  return {name, key, StrCat(count), count};
}

std::vector<Fact> FactRows(const bench::MachineFacts& facts) {
  constexpr const char* kUnknown = "the system does not say";
  const bool busy_known = facts.busy_share >= 0;
  return {Text("processor", "cpu", facts.cpu, kUnknown),
          Text("kernels run with", "instruction_set", facts.instruction_set, kUnknown),
          Text("products of bytes", "byte_products", facts.byte_products, "no VNNI"),
          Bytes("last cache", "last_level_cache_bytes", facts.last_level_cache_bytes, kUnknown),
          Text("governor", "governor", facts.governor, kUnknown),
          Count("processors", "processors", facts.processors, kUnknown),
          Count("  of them allowed", "processors_allowed", facts.processors_allowed, "all"),
          Count("threads", "threads", facts.threads, kUnknown),
          {"busy now", "busy_share",
           busy_known ? FormatFixed(100 * facts.busy_share, 0) + " %" : kUnknown,
           busy_known ? Json(facts.busy_share) : Json()},
          Bytes("memory", "memory_bytes", facts.memory_bytes, kUnknown),
          Bytes("  of it free", "free_bytes", facts.free_bytes, kUnknown),
          Bytes("  of it allowed", "memory_limit_bytes", facts.memory_limit_bytes, "all"),
          Text("LibTorch", "libtorch", facts.libtorch, kUnknown),
          Text("  file", "libtorch_file", facts.libtorch_file, kUnknown),
          Text("BLAS", "blas", facts.blas, "inside LibTorch"),
          Text("  its kernels", "blas_kernels", facts.blas_kernels, "chosen by the library"),
          Text("oneDNN", "onednn", facts.onednn, "none"),
          Count("GPUs for LibTorch", "gpus", facts.gpus, kUnknown)};
}

Outcome Doctor(const DoctorOptions& options, Context& context) {
  constexpr double kLongest = 60;
  RequireOption(options.seconds >= 0 && options.seconds <= kLongest, "seconds", options.seconds,
                "0 to 60");
  int64_t wanted_bytes = 0;
  if (!options.checkpoint.empty()) {
    wanted_bytes =
        pipeline::Inspect(options.checkpoint).num_parameters * static_cast<int64_t>(sizeof(float));
  }
  const bench::MachineFacts facts = bench::ReadMachineFacts(options.seconds);
  context.warnings.clear();  // what every command warns of is among the advice
  Outcome outcome;
  std::vector<std::vector<std::string>> rows;
  for (const Fact& fact : FactRows(facts)) {
    rows.push_back({fact.name, fact.text});
    outcome.json["machine"][fact.key] = fact.value;
  }
  outcome.text = FormatTable({"what", "found"}, rows, 2) + "\n";
  outcome.json["advice"] = Json::array();
  for (const bench::Advice& advice : bench::GiveAdvice(facts, wanted_bytes)) {
    outcome.text += StrCat("- ", advice.found, "\n  to do: ", advice.remedy, "\n");
    outcome.json["advice"].push_back(
        {{"about", advice.about}, {"found", advice.found}, {"remedy", advice.remedy}});
  }
  if (outcome.json["advice"].empty()) outcome.text += "Nothing was found that slows moefy down.\n";
  return outcome;
}

}  // namespace

std::unique_ptr<Command> DoctorCommand(CLI::App& parent) {
  return MakeCommand<DoctorOptions>(parent, "doctor",
                                    "What this machine has, and what slows moefy down on it.",
                                    "  moefy doctor\n  moefy doctor CKPT --json", Doctor);
}

}  // namespace moefy::apps
