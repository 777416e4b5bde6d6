// results.json: what became of a conversion, for programs. docs/formats.md describes its keys.
// Pure functions but for the file; thread-safe.
#pragma once

#include <filesystem>
#include <string>

#include "base/json.h"
#include "moefy/base/error.h"
#include "pipeline/convert.h"

namespace moefy::pipeline {

// The document. `error` is what ended the conversion, null where it came to its end; `about` says
// what the caller knows of the program and the machine ("build" and "machine").
Json ResultsToJson(const ConvertResult& result, const Error* error, const Json& about);

}  // namespace moefy::pipeline
