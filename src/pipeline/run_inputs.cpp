#include "pipeline/run_inputs.h"

#include <iostream>
#include <istream>
#include <iterator>

#include "moefy/base/error.h"
#include "moefy/base/strings.h"

namespace moefy::pipeline {
namespace {

std::string ReadInput(const std::string& path) {
  if (path != "-") return ReadTextFile(path);
  return {std::istreambuf_iterator<char>(std::cin), std::istreambuf_iterator<char>()};
}

RunInput ParseObject(const std::string& line, const std::string& where) {
  const Json json = WithContext(where, [&] { return ParseJson(line); });
  const JsonObject object(json, where);
  RunInput input;
  input.where = where;
  for (const std::string& key : object.Keys()) {
    const Json& value = object.GetRaw(key);
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
  if (input.fields.empty()) throw InputError(where, ": no field with text in it");
  return input;
}

std::vector<RunInput> ReadInputFile(const std::string& path) {
  const std::string name = path == "-" ? "stdin" : path;
  const std::string text = ReadInput(path);
  if (!IsValidUtf8(text)) throw InputError(name, ": not UTF-8");
  // On stdin an object a line is told by how it begins.
  const bool objects = path.ends_with(".jsonl") || (path == "-" && Trim(text).starts_with("{"));
  std::vector<RunInput> inputs;
  int64_t line_number = 0;
  for (const std::string& line : Split(text, '\n')) {
    ++line_number;
    if (Trim(line).empty()) continue;
    const std::string where = StrCat(name, ": line ", line_number);
    if (objects) {
      inputs.push_back(ParseObject(line, where));
    } else {
      inputs.push_back({{{"text", Trim(line)}}, nullptr, where});
    }
  }
  if (inputs.empty()) throw InputError(name, ": no text in it");
  return inputs;
}

}  // namespace

const std::string& RunInput::Get(const std::string& field) const {
  const auto found = fields.find(field);
  if (found != fields.end()) return found->second;
  std::vector<std::string> names;
  for (const auto& [name, value] : fields) names.push_back(Quoted(name));
  throw InputError(where, ": no field ", Quoted(field), DidYouMean(field, names), "; there is ",
                   Join(names));
}

std::vector<RunInput> ReadRunInputs(const RunOptions& options) {
  const bool asks = !options.question.empty() || !options.context.empty();
  const int num_sources =
      (options.texts.empty() ? 0 : 1) + (asks ? 1 : 0) + (options.input.empty() ? 0 : 1);
  if (num_sources != 1) {
    throw UsageError(num_sources == 0 ? "nothing to run" : "several things to run",
                     "; give a text, or --question with --context, or --input FILE, or --tensors");
  }
  if (!options.input.empty()) return ReadInputFile(options.input);
  if (asks) {
    if (options.question.empty() || options.context.empty()) {
      throw UsageError("--question and --context belong together; ",
                       options.question.empty() ? "--question" : "--context", " is missing");
    }
    return {{{{"question", options.question}, {"context", options.context}}, nullptr, "flags"}};
  }
  std::vector<RunInput> inputs;
  for (size_t i = 0; i < options.texts.size(); ++i) {
    inputs.push_back({{{"text", options.texts[i]}}, nullptr, StrCat("text ", i + 1)});
  }
  return inputs;
}

}  // namespace moefy::pipeline
