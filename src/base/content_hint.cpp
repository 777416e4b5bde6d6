#include "base/content_hint.h"

#include <algorithm>
#include <array>

namespace moefy {
namespace {

// Tells files by their first bytes. Lower-case letters stand for both cases.
struct Row {
  std::string_view magic;
  std::string_view hint;
};
constexpr std::string_view kPage =
    "; this is an HTML page and not the file: download the file itself";
constexpr std::string_view kRefusal =
    "; this is a server's answer that there is no such file, or that it may not be read: check the "
    "name and the access, and download it again";
constexpr std::array<Row, 14> kRows = {{
    {"version https://git-lfs", "; this is a Git LFS pointer: run 'git lfs pull' to get the file"},
    {"<!doctype html", kPage},
    {"<html", kPage},
    {"<?xml", "; this is an XML document, perhaps a server's error: download the file again"},
    {"entry not found", kRefusal},
    {"repository not found", kRefusal},
    {"not found", kRefusal},
    {"404", kRefusal},
    {"access to model", kRefusal},
    {"invalid username or password", kRefusal},
    {"pk\x03\x04", "; this looks like a PyTorch or zip file"},
    {"\x80\x02", "; this looks like a Python pickle"},
    {"gguf", "; this looks like a GGUF file"},
    {"\x89hdf", "; this looks like an HDF5 file"},
}};

bool StartsWith(std::string_view bytes, std::string_view lower_case) {
  return bytes.size() >= lower_case.size() &&
         std::equal(lower_case.begin(), lower_case.end(), bytes.begin(), [](char wanted, char c) {
           return wanted == (c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c);
         });
}

}  // namespace

std::string_view ContentHint(std::string_view bytes) {
  if (bytes.empty()) return "; the file is empty, as a download that failed leaves it";
  const std::string_view text =
      bytes.substr(std::min(bytes.find_first_not_of(" \t\r\n"), bytes.size()));
  for (const Row& row : kRows) {
    if (StartsWith(text, row.magic)) return row.hint;
  }
  return "";
}

bool IsLfsPointer(std::string_view bytes) { return StartsWith(bytes, kRows.front().magic); }

}  // namespace moefy
