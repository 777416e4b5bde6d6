#include "pipeline/run_inputs.h"

#include <unistd.h>

#include <array>
#include <cerrno>

#include "base/json_rows.h"
#include "base/output.h"
#include "base/utf8.h"
#include "moefy/base/error.h"
#include "task/text_file.h"

namespace moefy::pipeline {
namespace {

// Reads all of standard input. A read that fails is an error, never the end of the text.
std::string ReadStandardInput() {
  std::string text;
  std::array<char, 1 << 16> buffer;
  for (;;) {
    const ssize_t num_read = ::read(STDIN_FILENO, buffer.data(), buffer.size());
    if (num_read < 0 && errno == EINTR) {
      ThrowIfInterrupted();
      continue;
    }
    if (num_read < 0) throw SystemError(errno, "stdin cannot be read");
    if (num_read == 0) return text;
    text.append(buffer.data(), static_cast<size_t>(num_read));
  }
}

// Fields of one row of JSON; `field` is the one that stands for "text".
void TakeFields(const Json& row, const std::string& field, RunInput& input) {
  const JsonObject object(row, input.where);
  for (const std::string& key : object.Keys()) {
    const Json& value = row.at(key);
    if (key == "id") {
      input.id = value;
    } else if (key == "choices" && value.is_array()) {
      input.choices = object.GetStrings(key);
    } else if (value.is_string()) {
      input.fields[key] = value.get<std::string>();
    } else if (value.is_number() || value.is_boolean()) {
      input.fields[key] = value.dump();
    }
  }
  if (field != "text") {
    std::string text = input.Get(field);
    input.fields["text"] = std::move(text);
  }
  if (input.fields.empty()) throw InputError(input.where, ": no field with text in it");
}

// An Error{kInput} costs its own input only.
template <typename Body>
void Try(RunInput& input, Body&& body) {
  try {
    body();
  } catch (const Error& error) {
    if (error.kind() != ErrorKind::kInput) throw;
    input.problem = error.what();
  }
}

std::vector<RunInput> JsonInputs(std::string_view text, const std::string& name,
                                 const std::string& field) {
  std::vector<RunInput> inputs;
  JsonRows rows(text);
  for (JsonRow row; rows.Next(row);) {
    if (row.is_empty) continue;
    RunInput& input = inputs.emplace_back();
    input.where = StrCat(name, ": line ", row.line);
    input.problem = row.problem;
    if (row.problem.empty()) Try(input, [&] { TakeFields(row.value, field, input); });
  }
  return inputs;
}

RunInput TextInput(std::string text, std::string where) {
  RunInput input;
  input.where = std::move(where);
  Try(input, [&] { RequireUtf8InLine(text); });
  input.fields["text"] = std::move(text);
  return input;
}

// Stdin, which has no name, holds an object or an array of them.
bool BeginsAsJson(std::string_view text) {
  std::string begin = Trim(text.substr(0, 256));
  if (begin.starts_with("[")) begin = Trim(std::string_view(begin).substr(1));
  return begin.starts_with("{");
}

std::vector<RunInput> ReadInputFile(const std::string& path, const std::string& field) {
  const std::string name = path == "-" ? "stdin" : path;
  const std::string bytes = path == "-" ? ReadStandardInput() : ReadTextFile(path);
  const std::string_view text =
      WithContext(name, [&] { return task::WithoutByteOrderMark(bytes); });
  if (path == "-" ? BeginsAsJson(text) : HasJsonName(path)) return JsonInputs(text, name, field);
  std::vector<RunInput> inputs;
  int64_t line_number = 0;
  for (const std::string& line : moefy::Split(text, '\n')) {
    ++line_number;
    if (Trim(line).empty()) continue;
    inputs.push_back(TextInput(Trim(line), StrCat(name, ": line ", line_number)));
  }
  return inputs;
}

}  // namespace

const std::string& RunInput::Get(const std::string& field) const {
  const auto found = fields.find(field);
  if (found != fields.end()) return found->second;
  std::vector<std::string> names;
  for (const auto& [name, value] : fields) names.push_back(name);
  throw InputError(where, ": no field ", Quoted(field), DidYouMean(field, names), "; there is ",
                   fields.empty() ? "none" : StrCat("'", Join(names, "', '"), "'"),
                   field == "text" ? " (--field says which holds the text)" : "");
}

std::vector<RunInput> ReadRunInputs(const RunOptions& options) {
  const bool asks = !options.question.empty() || !options.context.empty();
  const int num_sources =
      (options.texts.empty() ? 0 : 1) + (asks ? 1 : 0) + (options.input.empty() ? 0 : 1);
  if (num_sources != 1) {
    throw UsageError(num_sources == 0 ? "nothing to run" : "several things to run",
                     "; give a text, or --question with --context, or --input FILE, or --tensors");
  }
  std::vector<RunInput> inputs;
  if (!options.input.empty()) {
    inputs = ReadInputFile(options.input, options.field);
    if (inputs.empty()) {
      throw InputError(options.input == "-" ? "stdin" : options.input, ": no text in it");
    }
  } else if (asks) {
    if (options.question.empty() || options.context.empty()) {
      throw UsageError("--question and --context belong together; ",
                       options.question.empty() ? "--question" : "--context", " is missing");
    }
    RunInput& input = inputs.emplace_back();
    input.where = "flags";
    input.fields = {{"question", options.question}, {"context", options.context}};
    for (const auto& [name, text] : input.fields) {
      Try(input, [&] { WithContext("--" + name, [&] { RequireUtf8InLine(text); }); });
    }
  }
  for (size_t i = 0; i < options.texts.size(); ++i) {
    inputs.push_back(TextInput(options.texts[i], StrCat("text ", i + 1)));
  }
  return inputs;
}

}  // namespace moefy::pipeline
