// JUnit XML, which CI services show: a suite for each job, with a case for each stage, which fails
// when the stage does, and one for each task, which fails when its gate says no.
#pragma once

#include <string>
#include <vector>

#include "convert_jobs.h"

namespace moefy::apps {

std::string FormatJUnit(const std::vector<ConvertEnd>& ends);

// Throws unless the file may be written: called before long work.
void CheckJUnit(const std::string& file);
void WriteJUnit(const std::string& file, const std::vector<ConvertEnd>& ends);

}  // namespace moefy::apps
