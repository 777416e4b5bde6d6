// moefy report: a conversion as one page of HTML.
#include "command.h"
#include "moefy/base/strings.h"
#include "pipeline/report_stage.h"

namespace moefy::apps {
namespace {

Outcome RunReport(const pipeline::ReportOptions& options, Context& context) {
  const pipeline::ReportResult result = pipeline::Report(options, context.if_exists());
  Outcome outcome;
  for (const std::string& finding : result.findings) outcome.text += finding + "\n";
  outcome.json = {{"page", result.page.string()}, {"findings", result.findings}};
  outcome.next = StrCat("open ", result.page.string(), " in a browser");
  return outcome;
}

}  // namespace

std::unique_ptr<Command> ReportCommand(CLI::App& parent) {
  return MakeCommand<pipeline::ReportOptions>(
      parent, "report", "Show a finished conversion as one page of HTML.",
      "  moefy report out                   # writes out/report.html\n"
      "  moefy report out --out page.html",
      RunReport);
}

}  // namespace moefy::apps
