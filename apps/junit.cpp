#include "junit.h"

#include "base/own_output.h"
#include "eval/svg.h"
#include "pipeline/convert_output.h"

namespace moefy::apps {
namespace {

// One case. `inside` is what says that it did not pass.
struct Case {
  std::string name;
  double seconds = 0;
  std::string inside;
};

struct Suite {
  std::string name;
  double seconds = 0;
  std::vector<Case> cases;
  size_t num_failures = 0, num_errors = 0, num_skipped = 0;
};

// XML has no place for most control characters.
std::string Escaped(std::string text) {
  for (char& c : text) {
    if (static_cast<unsigned char>(c) < ' ' && c != '\n' && c != '\t') c = '?';
  }
  return eval::EscapedMarkup(IsValidUtf8(text) ? text : Quoted("text that is not UTF-8"));
}

std::string Element(const char* kind, const std::string& message) {
  return StrCat("<", kind, " message=\"", Escaped(message), "\"/>");
}

// The cases that results.json tells of.
void AddResults(const Json& results, Suite& suite) {
  for (const Json& stage : results.at("timings").at("stages")) {
    suite.cases.push_back({stage.at("name"), stage.at("seconds"), ""});
  }
  std::vector<std::string> tasks;  // each once, as they come
  for (const Json& row : results.at("metrics")) {
    const std::string task = row.at("task");
    if (tasks.empty() || tasks.back() != task) tasks.push_back(task);
  }
  for (const std::string& task : tasks) {
    std::vector<std::string> failures;
    for (const Json& failure : results.at("failures")) {
      if (failure.at("task") == task) failures.push_back(failure.at("failure"));
    }
    suite.num_failures += !failures.empty();
    suite.cases.push_back({"quality of " + task, 0,
                           failures.empty() ? "" : Element("failure", Join(failures, "\n"))});
  }
}

Suite MakeSuite(const ConvertEnd& end) {
  Suite suite{end.name, end.seconds, {}};
  if (end.state == ConvertEnd::State::kNotRun) {
    suite.num_skipped = 1;
    suite.cases.push_back({"conversion", 0, Element("skipped", "an earlier job failed")});
    return suite;
  }
  std::error_code ignored;
  const auto file = end.out / pipeline::kResultsFile;
  if (std::filesystem::exists(file, ignored)) {
    const Json results = ReadJsonFile(file);
    // A job that failed before it began left what an earlier run had written.
    if (results.at("error").is_null() == end.error.empty()) AddResults(results, suite);
  }
  if (!end.error.empty()) {
    suite.num_errors = 1;
    suite.cases.push_back({"conversion", 0, Element("error", end.error)});
  }
  return suite;
}

std::string Attributes(size_t tests, size_t failures, size_t errors, size_t skipped,
                       double seconds) {
  return StrCat(" tests=\"", tests, "\" failures=\"", failures, "\" errors=\"", errors,
                "\" skipped=\"", skipped, "\" time=\"", FormatFixed(seconds, 3), "\"");
}

}  // namespace

std::string FormatJUnit(const std::vector<ConvertEnd>& ends) {
  Suite all;
  size_t num_cases = 0;
  std::string suites;
  for (const ConvertEnd& end : ends) {
    const Suite suite = MakeSuite(end);
    num_cases += suite.cases.size();
    all.num_failures += suite.num_failures;
    all.num_errors += suite.num_errors;
    all.num_skipped += suite.num_skipped;
    all.seconds += suite.seconds;
    const std::string name = Escaped(suite.name);
    suites += StrCat("  <testsuite name=\"", name, "\"",
                     Attributes(suite.cases.size(), suite.num_failures, suite.num_errors,
                                suite.num_skipped, suite.seconds),
                     ">\n");
    for (const Case& one : suite.cases) {
      suites +=
          StrCat("    <testcase classname=\"", name, "\" name=\"", Escaped(one.name), "\" time=\"",
                 FormatFixed(one.seconds, 3), "\">", one.inside, "</testcase>\n");
    }
    suites += "  </testsuite>\n";
  }
  return StrCat(
      "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuites name=\"moefy convert\"",
      Attributes(num_cases, all.num_failures, all.num_errors, all.num_skipped, all.seconds), ">\n",
      suites, "</testsuites>\n", kOwnPageEnd);
}

void CheckJUnit(const std::string& file) {
  if (!file.empty()) CheckOutput(file, Staging::Kind::kFile, IfExists::kReplace);
}

void WriteJUnit(const std::string& file, const std::vector<ConvertEnd>& ends) {
  if (!file.empty()) WriteTextFile(file, FormatJUnit(ends), IfExists::kReplace);
}

}  // namespace moefy::apps
