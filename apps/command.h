// This header says what a command is and how its options become flags. A command is one file with
// an options struct and a function; main.cpp has the table of all commands.
#pragma once

#include <CLI/CLI.hpp>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/json.h"
#include "base/options.h"
#include "base/output.h"
#include "console.h"
#include "help_pages.h"
#include "moefy/pipeline/route_stage.h"
#include "moefy/pipeline/split_stage.h"

namespace moefy::apps {

inline constexpr int kExitUsage = 2, kExitInput = 3, kExitSystem = 4, kExitBug = 70,
                     kExitInterrupted = 130;

// The exit code of an error.
int ExitCode(ErrorKind kind);

// The options that every command has.
struct CommonOptions {
  std::string config;
  bool json = false;
  bool quiet = false;
  bool force = false;
  bool wait = false;
  int64_t threads = 0;
  std::string max_memory;

  template <class Visitor>
  void Visit(Visitor& v) {
    v.Field("config", config, "JSON file with this command's options; flags given win over it");
    v.Field("json", json, "print one JSON document instead of text");
    v.Field("quiet", quiet, "no progress on stderr");
    v.Field("force", force, "replace an existing output, if moefy made it");
    v.Field("wait", wait, "wait for another process that is at work on the output");
    v.Field("threads", threads, "threads to compute with (default: all)");
    v.Field("max-memory", max_memory,
            "memory that the command may take for itself, like 6GB, beside mapped files; it ends "
            "with an error rather than take more");
  }
};

// What a command works with besides its own options.
struct Context {
  CommonOptions common;
  Progress* progress = nullptr;
  std::vector<std::string> warnings;
  std::vector<std::string> errors;  // one per input that failed by itself while others went on

  IfExists if_exists() const { return common.force ? IfExists::kReplace : IfExists::kRefuse; }
};

// What a command leaves behind for people or programs.
struct Outcome {
  int exit_code = 0;
  std::string text;  // for stdout
  Json json;         // for stdout with --json; "schema" and "moefy_version" are added
  std::string next;  // the command to type next, for stderr; "" for none
};

// A command set up on a CLI::App; Run is called when it was chosen.
class Command {
 public:
  virtual ~Command() = default;
  virtual CLI::App* app() const = 0;
  // Reads --config below the flags.
  virtual void ReadConfig() = 0;
  virtual Outcome Run(Context& context) = 0;
  virtual CommonOptions& common() = 0;
};

// "output-fit" -> "--no-output-fit"
inline std::string NoFlag(const char* name) { return std::string("--no-") + name; }

// Turns fields into CLI11 options.
struct OptionBinder {
  CLI::App& app;

  void Renamed(const char* before, const char* now) {
    const std::string old_flag = std::string("--") + before;
    app.add_flag_callback(old_flag,
                          [old_flag, now] { throw UsageError(old_flag, " is now called --", now); })
        ->group("");  // not in the help
  }
  template <typename T>
  void Argument(const char* name, T& value, const char* help) {
    app.add_option(name, value, help);
  }
  template <typename T>
  void Field(const char* name, T& value, const char* help) {
    const std::string flag = std::string("--") + name;
    if constexpr (std::is_same_v<T, std::optional<bool>>) {
      auto* yes = app.add_flag_callback(
          flag, [&value] { value = true; }, help);
      app.add_flag_callback(
             NoFlag(name), [&value] { value = false; }, "the opposite of " + flag)
          ->excludes(yes);
    } else if constexpr (internal::OptionalOf<T>::kIs) {
      using Value = typename T::value_type;
      auto* option = app.add_option_function<Value>(
          flag, [&value](const Value& given) { value = given; }, help);
      if constexpr (!std::is_same_v<Value, std::string> && !std::is_arithmetic_v<Value>) {
        option->delimiter(',');
      }
    } else if constexpr (std::is_same_v<T, bool>) {
      app.add_flag(flag, value, help);
    } else if constexpr (std::is_same_v<T, std::vector<std::string>> ||
                         std::is_same_v<T, std::vector<double>>) {
      auto* option = app.add_option(flag, value, help)->delimiter(',');
      if (!value.empty()) option->capture_default_str();
    } else {
      auto* option = app.add_option(flag, value, help);
      if constexpr (std::is_same_v<T, std::string>) {
        if (!value.empty()) option->capture_default_str();
      } else {
        option->capture_default_str();
      }
    }
  }
};

// Copies fields that were not given as flags from another value of the same options.
struct NotGivenFlags {
  const CLI::App& app;
  std::vector<std::string> given;

  void Renamed(const char*, const char*) {}
  template <typename T>
  void Argument(const char* name, T&, const char*) {
    if (app.get_option(name)->count() > 0) given.push_back(JsonKey(name));
  }
  template <typename T>
  void Field(const char* name, T&, const char*) {
    size_t count = app.get_option(std::string("--") + name)->count();
    if constexpr (std::is_same_v<T, std::optional<bool>>) {
      count += app.get_option(NoFlag(name))->count();
    }
    if (count > 0) given.push_back(JsonKey(name));
  }
};

template <typename Options>
class CommandOf final : public Command {
 public:
  using Function = Outcome (*)(const Options&, Context&);

  CommandOf(CLI::App& parent, const char* name, const char* summary, const char* examples,
            Function run)
      : run_(run) {
    app_ = parent.add_subcommand(name, summary);
    app_->description(std::string(summary) + kExamplesTitle + examples);
    OptionBinder binder{*app_};
    options_.Visit(binder);
    common_.Visit(binder);
  }

  CLI::App* app() const override { return app_; }
  CommonOptions& common() override { return common_; }

  void ReadConfig() override {
    if (common_.config.empty()) return;
    // What the flags said, kept aside while the file is read over it.
    NotGivenFlags flags{*app_, {}};
    options_.Visit(flags);
    common_.Visit(flags);
    Json flag_values = OptionsToJson(options_);
    flag_values.update(OptionsToJson(common_));
    Json given = Json::object();
    for (const std::string& key : flags.given) given[key] = flag_values.at(key);
    const Json file = ReadJsonFile(common_.config);
    try {
      Apply(file, common_.config);
    } catch (const Error& error) {
      throw UsageError(error.what());  // a wrong configuration, not a wrong input
    }
    Apply(given, "flags");
  }

  Outcome Run(Context& context) override { return run_(options_, context); }

 private:
  void Apply(const Json& json, const std::string& where) {
    const JsonObject object(json, where);
    ReadOptions(object, options_);
    ReadOptions(object, common_);
    object.RefuseUnknownKeys();
  }

  CLI::App* app_;
  Options options_;
  CommonOptions common_;
  Function run_;
};

template <typename Options>
std::unique_ptr<Command> MakeCommand(CLI::App& parent, const char* name, const char* summary,
                                     const char* examples,
                                     Outcome (*run)(const Options&, Context&)) {
  return std::make_unique<CommandOf<Options>>(parent, name, summary, examples, run);
}

// What split and route-train say, also through join.
Outcome ShardOutcome(const pipeline::ShardDone& shard, const std::string& parts);
Outcome SplitOutcome(const pipeline::SplitResult& result, const std::string& parts,
                     Context& context);
Outcome RouteTrainOutcome(const pipeline::RouteTrainResult& result, const std::string& parts,
                          Context& context);

// Each file has one of these functions; the table in main.cpp calls them in this order.
std::unique_ptr<Command> FamiliesCommand(CLI::App& parent);
std::unique_ptr<Command> InspectCommand(CLI::App& parent);
std::unique_ptr<Command> RecordCommand(CLI::App& parent);
std::unique_ptr<Command> SparsityCommand(CLI::App& parent);
std::unique_ptr<Command> SplitCommand(CLI::App& parent);
std::unique_ptr<Command> JoinCommand(CLI::App& parent);
std::unique_ptr<Command> RouteTrainCommand(CLI::App& parent);
std::unique_ptr<Command> FinetuneCommand(CLI::App& parent);
std::unique_ptr<Command> SparsifyCommand(CLI::App& parent);
std::unique_ptr<Command> CalibrateCommand(CLI::App& parent);
std::unique_ptr<Command> EvalCommand(CLI::App& parent);
std::unique_ptr<Command> RunCommand(CLI::App& parent);
std::unique_ptr<Command> BenchCommand(CLI::App& parent);
std::unique_ptr<Command> PackCommand(CLI::App& parent);
std::unique_ptr<Command> ExportCommand(CLI::App& parent);
std::unique_ptr<Command> VerifyCommand(CLI::App& parent);
std::unique_ptr<Command> MergeCommand(CLI::App& parent);
std::unique_ptr<Command> ConvertCommand(CLI::App& parent);
std::unique_ptr<Command> ReportCommand(CLI::App& parent);
std::unique_ptr<Command> DoctorCommand(CLI::App& parent);

}  // namespace moefy::apps
