#include <algorithm>
#include <cstring>

#include "base/file.h"
#include "moefy/base/error.h"
#include "moefy/base/json.h"
#include "moefy/io/safetensors.h"

namespace moefy::io {
namespace {

std::string QuotedJson(const std::string& text) {
  return Json(text).dump(-1, ' ', false, Json::error_handler_t::replace);
}

// Written by hand: building an ordered_json member by member costs quadratic time.
std::string FormatHeader(const std::vector<TensorInfo>& tensors,
                         const std::map<std::string, std::string>& metadata) {
  std::string json = "{";
  if (!metadata.empty()) {
    json += "\"__metadata__\":{";
    for (const auto& [key, value] : metadata) {
      json += QuotedJson(key) + ":" + QuotedJson(value) + ",";
    }
    json.back() = '}';
    json += ",";
  }
  for (const TensorInfo& info : tensors) {
    json += QuotedJson(info.name) + ":{\"dtype\":\"" + std::string(DTypeName(info.dtype)) +
            "\",\"shape\":[";
    for (size_t i = 0; i < info.shape.size(); ++i) {
      json += (i > 0 ? "," : "") + std::to_string(info.shape[i]);
    }
    json += "],\"data_offsets\":[" + std::to_string(info.begin) + "," + std::to_string(info.end) +
            "]},";
  }
  if (json.back() == ',') json.pop_back();
  json += "}";
  json.resize((json.size() + 7) / 8 * 8, ' ');

  const uint64_t length = json.size();
  std::string header(8, '\0');
  std::memcpy(header.data(), &length, 8);
  return header + json;
}

}  // namespace

struct SafetensorsWriter::Impl {
  struct Slot {
    uint64_t begin = 0;  // in the file
    uint64_t num_bytes = 0;
    bool is_written = false;
  };

  File file;
  std::string header;
  std::map<std::string, Slot, std::less<>> slots;
};

SafetensorsWriter::SafetensorsWriter(std::filesystem::path path, std::vector<TensorInfo> tensors,
                                     std::map<std::string, std::string> metadata) {
  std::sort(tensors.begin(), tensors.end(), [](const TensorInfo& a, const TensorInfo& b) {
    return std::tie(b.dtype, a.name) < std::tie(a.dtype, b.name);
  });
  uint64_t position = 0;
  for (TensorInfo& info : tensors) {
    const std::optional<uint64_t> num_bytes = NumBytes(info.shape, info.dtype);
    MOEFY_CHECK(num_bytes && !info.name.empty() && info.name != "__metadata__");
    info.begin = position;
    position += *num_bytes;
    info.end = position;
  }
  impl_.reset(new Impl{File::Create(path), FormatHeader(tensors, metadata), {}});
  impl_->file.Reserve(impl_->header.size() + position);
  for (const TensorInfo& info : tensors) {
    const Impl::Slot slot{impl_->header.size() + info.begin, info.num_bytes()};
    MOEFY_CHECK(impl_->slots.emplace(info.name, slot).second);
  }
}

SafetensorsWriter::~SafetensorsWriter() = default;

void SafetensorsWriter::Write(std::string_view name, std::span<const std::byte> bytes) {
  const auto found = impl_->slots.find(name);
  MOEFY_CHECK(found != impl_->slots.end());
  Impl::Slot& slot = found->second;
  MOEFY_CHECK(!slot.is_written && slot.num_bytes == bytes.size());
  impl_->file.WriteAt(slot.begin, bytes);
  slot.is_written = true;
}

void SafetensorsWriter::Finish() {
  for (const auto& [name, slot] : impl_->slots) MOEFY_CHECK(slot.is_written);
  impl_->file.WriteAt(0, std::as_bytes(std::span(impl_->header)));
  impl_->file.Sync();
}

}  // namespace moefy::io
