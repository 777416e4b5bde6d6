// The version that every report and manifest carries; the same as project(VERSION) of the build.
#pragma once

namespace moefy {

inline constexpr const char* kVersion = "0.1.0";

}  // namespace moefy
