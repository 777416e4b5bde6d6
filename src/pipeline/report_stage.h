// The stage report: what a conversion did and what its models keep, as one page of HTML. It reads
// the JSON files of the conversion's directory and computes nothing but what it shows.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "base/output.h"

namespace moefy::pipeline {

struct ReportOptions {
  std::string directory;
  std::string out;

  template <class Visitor>
  void Visit(Visitor& v) {
    v.Argument("directory", directory, "directory of a finished `moefy convert`");
    v.Field("out", out, "HTML file (default: report.html in that directory)");
  }
};

struct ReportResult {
  std::filesystem::path page;
  std::vector<std::string> findings;  // the sentences at the top of the page
};

// Throws Error{kInput} for a directory that holds no finished conversion.
ReportResult Report(const ReportOptions& options, IfExists if_exists);

}  // namespace moefy::pipeline
