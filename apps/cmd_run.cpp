// moefy run: text in, answers out; or raw tensors in and out.
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <span>
#include <utility>

#include "base/file.h"
#include "base/own_output.h"
#include "command.h"
#include "moefy/base/error.h"
#include "moefy/base/strings.h"
#include "pipeline/run_tensors.h"
#include "pipeline/run_text.h"

namespace moefy::apps {
namespace {

Outcome RunOnTensors(const pipeline::RunOptions& options, Context& context) {
  const pipeline::RunTensorsResult result =
      pipeline::RunTensors(options, context.if_exists(), *context.progress);
  Outcome outcome;
  outcome.text = Join(result.tensors, "\n") + "\n";
  outcome.json = {{"out", options.out}, {"tensors", result.tensors}, {"seconds", result.seconds}};
  return outcome;
}

// Shows a vector's width and first numbers; programs get the whole of it.
std::string FormatVector(const std::string& id, const Json& numbers) {
  constexpr size_t kShown = 6;
  std::vector<std::string> shown;
  for (size_t i = 0; i < std::min(kShown, numbers.size()); ++i) {
    shown.push_back(FormatFixed(numbers[i].get<double>(), 4));
  }
  return StrCat(id, numbers.size(), " numbers\t", Join(shown, " "),
                numbers.size() > kShown ? " ..." : "", "\n");
}

// Every label with its share or value, the largest first.
std::string FormatScores(const std::string& id, const Json& by_name, bool shares) {
  std::vector<std::pair<double, std::string>> sorted;
  for (const auto& [name, value] : by_name.items()) sorted.emplace_back(value.get<double>(), name);
  std::stable_sort(sorted.begin(), sorted.end(),
                   [](const auto& a, const auto& b) { return a.first > b.first; });
  std::vector<std::string> parts;
  for (const auto& [value, name] : sorted) {
    parts.push_back(shares ? StrCat(name, " ", FormatFixed(100 * value, 1), " %")
                           : StrCat(name, " ", FormatFixed(value, 4)));
  }
  return StrCat(id, Join(parts, "\t"), "\n");
}

// One line for people: the answer first, how sure the model is behind it.
std::string FormatAnswer(const Json& answer) {
  const auto percent = [](double share) { return FormatFixed(100 * share, 1) + " %"; };
  std::string id;
  if (answer.contains("id")) id = answer["id"].dump() + "\t";
  // An input that failed keeps its line, which is empty. Why was said before.
  if (answer.contains("error")) return id + "\n";
  if (answer.contains("label")) {
    const auto label = answer["label"].get<std::string>();
    return StrCat(id, label, "\t", percent(answer["scores"][label].get<double>()), "\n");
  }
  if (answer.contains("embedding")) return FormatVector(id, answer["embedding"]);
  if (answer.contains("labels") || answer.contains("values")) {
    return FormatScores(id, answer.contains("values") ? answer["values"] : answer["scores"],
                        answer.contains("labels"));
  }
  if (answer.contains("tokens") && answer["tokens"].is_array()) {
    std::string lines;
    for (const Json& token : answer["tokens"]) {
      lines +=
          StrCat(id, token["token"].get<std::string>(), "\t", token["label"].get<std::string>(),
                 "\t", percent(token["share"].get<double>()), "\n");
    }
    return lines;
  }
  if (answer.contains("masks")) {
    std::string lines = StrCat(id, answer["text"].get<std::string>(), "\n");
    for (const Json& mask : answer["masks"]) {
      std::vector<std::string> candidates;
      for (const Json& candidate : mask["candidates"]) {
        candidates.push_back(StrCat(candidate["token"].get<std::string>(), " ",
                                    percent(candidate["share"].get<double>())));
      }
      lines += StrCat("  ", Join(candidates), "\n");
    }
    return lines;
  }
  if (answer.contains("choice")) {
    const auto choice = answer["choice"].get<std::string>();
    return StrCat(id, choice, "\t", answer["text"].get<std::string>(), "\t",
                  percent(answer["scores"][choice].get<double>()), "\n");
  }
  if (answer.contains("answer")) {
    const auto text = answer["answer"].get<std::string>();
    return answer.contains("score")
               ? StrCat(id, text, "\t", percent(answer["score"].get<double>()), "\n")
               : StrCat(id, text, "\n");
  }
  if (answer.contains("perplexity")) return StrCat(id, answer["perplexity"].dump(), "\n");
  if (answer.contains("text")) return StrCat(id, answer["text"].get<std::string>(), "\n");
  return StrCat(id, answer["score"].dump(), "\n");
}

// An answer goes out at once, for whoever reads along; what was written stays when a later input
// breaks.
void WriteNow(std::string_view text) {
  if (std::fwrite(text.data(), 1, text.size(), stdout) != text.size() || std::fflush(stdout) != 0) {
    throw SystemError(errno, "stdout cannot be written");
  }
}

Outcome RunOnText(const pipeline::RunOptions& options, Context& context) {
  if (options.hidden_states || options.ffn_taps) {
    throw UsageError(options.hidden_states ? "--hidden-states" : "--ffn-taps",
                     " goes with --tensors");
  }
  const bool streams = options.out.empty() && !context.common.json && isatty(STDOUT_FILENO) != 0;
  std::optional<StagedFile> file;
  if (!options.out.empty()) {
    file.emplace(options.out, context.if_exists(),
                 InputPaths{options.model, options.input, options.task});
  }
  std::string lines;
  Json answers = Json::array();
  bool streamed = false;
  const auto on_answer = [&](size_t, const Json& answer) {
    if (file) {
      lines += FormatOwnLine(answer);
    } else if (context.common.json) {
      answers.push_back(answer);
    } else if (!streamed) {
      WriteNow(FormatAnswer(answer));
    }
  };
  const auto on_piece = [&](std::string_view piece) {
    streamed = true;
    WriteNow(piece);
  };
  pipeline::RunTextResult result;
  try {
    result = pipeline::RunText(
        options, on_answer, streams ? pipeline::PieceSink(on_piece) : nullptr, *context.progress);
  } catch (const Error& error) {
    if (lines.empty() || error.kind() == ErrorKind::kInterrupted) throw;
    // What was answered before is not lost, but it is not what was asked for either.
    const std::string partial = options.out + ".partial";
    WriteTextFile(partial, lines, IfExists::kReplace);
    throw Error(error.kind(), StrCat(error.what(), "; what was answered before is in ", partial));
  }
  context.errors = result.failures;
  context.warnings.insert(context.warnings.end(), result.warnings.begin(), result.warnings.end());
  if (file) {
    File::Create(file->path()).WriteAt(0, std::as_bytes(std::span(lines)));
    file->Commit();
  }
  Outcome outcome;
  if (!result.failures.empty()) outcome.exit_code = 3;
  if (streamed) outcome.text = "\n";
  if (file) outcome.text = StrCat(options.out, ": ", result.num_answers, " answers\n");
  outcome.json = {{"answers", file ? Json(result.num_answers) : answers},
                  {"failed", result.failures.size()},
                  {"new_tokens", result.new_tokens},
                  {"seconds", result.seconds},
                  {"ffn_ratio", result.ffn_ratio}};
  if (file) outcome.json["out"] = options.out;
  return outcome;
}

Outcome RunRun(const pipeline::RunOptions& options, Context& context) {
  if (options.model.empty()) throw UsageError("run needs a model: a checkpoint directory");
  return options.tensors.empty() ? RunOnText(options, context) : RunOnTensors(options, context);
}

}  // namespace

std::unique_ptr<Command> RunCommand(CLI::App& parent) {
  return MakeCommand<pipeline::RunOptions>(
      parent, "run",
      "Run a model, dense or sparse: classify, embed, fill masks, generate, answer; or raw "
      "tensors.",
      "  moefy run CKPT \"Once upon a time\" --max-new-tokens 100\n"
      "  moefy run MOE --selection stored --ffn-ratio 0.2 --input reviews.jsonl --out "
      "answers.jsonl\n"
      "  moefy run CKPT --task configs/tasks/sst2.json \"a gripping film\"\n"
      "  moefy run all-MiniLM-L6-v2 --input texts.txt --out vectors.jsonl\n"
      "  moefy run CKPT --question \"Where is it?\" --context \"It is in Rome.\"\n"
      "  moefy run CKPT --tensors in.safetensors --out out.safetensors --hidden-states --ffn-taps",
      RunRun);
}

}  // namespace moefy::apps
