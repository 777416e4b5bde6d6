// Trains the example's model, or evaluates one that is there:
//   moefy_example_train OUT [--config OPTIONS.json]
//   moefy_example_train OUT --evaluate
#include <iostream>

#include "base/options.h"
#include "moefy/base/error.h"
#include "trainer.h"

namespace moefy::example {
namespace {

constexpr const char* kUsage =
    "usage: moefy_example_train OUT [--config OPTIONS.json | --evaluate]\n"
    "OUT is a directory that exists; the tasks and the vocabulary are read from "
    "examples/quickstart.\n";

std::string FormatPercent(double share) { return FormatFixed(100 * share, 1) + " %"; }

std::string FormatResults(const std::vector<TaskResult>& results) {
  std::string text;
  for (const TaskResult& result : results) {
    text += StrCat("  ", result.task, " ", FormatPercent(result.accuracy), " (active");
    for (const double share : result.active) text += " " + FormatFixed(100 * share, 0);
    text += " %)";
  }
  return text;
}

void PrintReport(const TrainReport& report) {
  std::cout << "ffns: " << Join(report.ffn_names) << "\n";
  for (const TaskResult& result : report.results) {
    std::cout << result.task << ": accuracy " << FormatPercent(result.accuracy) << ", active";
    for (const double share : result.active) std::cout << " " << FormatPercent(share);
    std::cout << "\n";
  }
  std::cout << "took " << FormatDuration(report.seconds) << "\n";
}

TrainOptions ReadTrainOptions(const std::string& path) {
  const Json json = ReadJsonFile(path);
  const JsonObject object(json, path);
  TrainOptions options;
  ReadOptions(object, options);
  object.RefuseUnknownKeys();
  return options;
}

int Main(int argc, char** argv) {
  TrainOptions options;
  std::string out;
  bool evaluate = false;
  for (int i = 1; i < argc; ++i) {
    const std::string argument = argv[i];
    if (argument == "--evaluate") {
      evaluate = true;
    } else if (argument == "--config" && i + 1 < argc) {
      options = ReadTrainOptions(argv[++i]);
    } else if (out.empty() && !argument.starts_with("-")) {
      out = argument;
    } else {
      throw UsageError("unexpected argument ", Quoted(argument), "\n", kUsage);
    }
  }
  if (out.empty()) throw UsageError(kUsage);
  if (evaluate) {
    PrintReport(Evaluate(out, MOEFY_EXAMPLE_DIRECTORY));
    return 0;
  }
  const std::string example = MOEFY_EXAMPLE_DIRECTORY;
  PrintReport(Train(options, example, example + "/model", out, [&](const TrainProgress& progress) {
    const double rate = progress.seconds / static_cast<double>(progress.step);
    std::cerr << "step " << progress.step << "/" << options.steps << "  loss "
              << FormatFixed(progress.loss, 4) << FormatResults(progress.results) << "  "
              << FormatDuration(progress.seconds) << ", "
              << FormatDuration(rate * static_cast<double>(options.steps - progress.step))
              << " left" << std::endl;
  }));
  return 0;
}

}  // namespace
}  // namespace moefy::example

int main(int argc, char** argv) {
  try {
    return moefy::example::Main(argc, argv);
  } catch (const moefy::Error& error) {
    std::cerr << "moefy_example_train: " << error.what() << "\n";
    return error.kind() == moefy::ErrorKind::kUsage    ? 2
           : error.kind() == moefy::ErrorKind::kInput  ? 3
           : error.kind() == moefy::ErrorKind::kSystem ? 4
                                                       : 70;
  }
}
