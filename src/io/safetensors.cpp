#include "io/safetensors.h"

#include <algorithm>
#include <bit>
#include <cstring>

#include "base/content_hint.h"
#include "base/file.h"
#include "base/json.h"
#include "base/problems.h"
#include "io/tensor_name.h"
#include "moefy/base/error.h"

namespace moefy::io {
namespace {

static_assert(std::endian::native == std::endian::little, "the format is little-endian");

constexpr uint64_t kMaxHeaderBytes = 100'000'000;
constexpr int kMaxDepth = 3;  // the header, a tensor, its shape

// The JSON text of the header.
std::string_view HeaderText(std::string_view file) {
  if (file.size() < 8) {
    throw InputError("has ", file.size(),
                     " bytes; a safetensors file begins with 8 bytes of length", ContentHint(file));
  }
  uint64_t length = 0;
  std::memcpy(&length, file.data(), 8);
  if (length > kMaxHeaderBytes) {
    throw InputError("header length is ", length, " bytes; at most ", kMaxHeaderBytes,
                     " are allowed", ContentHint(file));
  }
  if (length > file.size() - 8) {
    throw InputError("header length is ", length, " bytes, but only ", file.size() - 8,
                     " follow: the file is cut short or no safetensors file", ContentHint(file));
  }
  return file.substr(8, length);
}

std::map<std::string, std::string> ParseMetadata(const Json& json) {
  std::map<std::string, std::string> metadata;
  if (json.is_null()) return metadata;
  const JsonObject object(json, "__metadata__");
  for (const auto& [key, value] : json.items()) {
    if (!value.is_string()) {
      throw InputError("__metadata__: ", Quoted(key), " is not a string");
    }
    metadata.emplace_hint(metadata.end(), key, value.get<std::string>());
  }
  return metadata;
}

std::vector<uint64_t> ParseUnsigned(const Json& json, const std::string& where) {
  if (!json.is_array()) throw InputError(where, " is not an array");
  std::vector<uint64_t> values;
  values.reserve(json.size());
  for (const Json& item : json) {
    // Any other check lets -1, 3.7 or 2^64 through as another number.
    if (!item.is_number_unsigned()) {
      throw InputError(where, "[", values.size(), "] is not an unsigned 64-bit integer");
    }
    values.push_back(item.get<uint64_t>());
  }
  return values;
}

TensorInfo ParseTensor(const std::string& name, const Json& json) {
  CheckTensorName(name);
  TensorInfo info;
  info.name = name;
  const JsonObject entry(json, "tensor " + Quoted(name));

  const std::string dtype = entry.GetString("dtype");
  const std::optional<DType> known = FindDType(dtype);
  if (!known) {
    throw InputError(entry.PathOf("dtype"), " is ", Quoted(dtype), "; known are ",
                     Join(DTypeNames()));
  }
  info.dtype = *known;
  info.shape = ParseUnsigned(entry.GetRaw("shape"), entry.PathOf("shape"));
  const std::vector<uint64_t> offsets =
      ParseUnsigned(entry.GetRaw("data_offsets"), entry.PathOf("data_offsets"));
  entry.RefuseUnknownKeys();

  if (offsets.size() != 2) {
    throw InputError(entry.PathOf("data_offsets"), " has ", offsets.size(),
                     " numbers; expected 2, begin and end");
  }
  info.begin = offsets[0];
  info.end = offsets[1];
  if (info.begin > info.end) {
    throw InputError(entry.PathOf("data_offsets"), ": begin ", info.begin, " is after end ",
                     info.end);
  }
  const std::optional<uint64_t> num_bytes = NumBytes(info.shape, info.dtype);
  if (!num_bytes) {
    throw InputError(entry.PathOf("shape"), " ", FormatShape(info.shape), " of ", dtype,
                     " overflows 64 bits or does not fill whole bytes");
  }
  if (info.num_bytes() != *num_bytes) {
    throw InputError(entry.PathOf("data_offsets"), " span ", info.num_bytes(), " bytes, but shape ",
                     FormatShape(info.shape), " of ", dtype, " needs ", *num_bytes);
  }
  return info;
}

// Tensors in order must tile the data section: no hole, no overlap, nothing before or after.
void CheckLayout(const std::vector<TensorInfo>& tensors, uint64_t num_data_bytes) {
  uint64_t position = 0;
  for (const TensorInfo& info : tensors) {
    if (info.begin != position) {
      throw InputError("tensor ", Quoted(info.name), " begins at byte ", info.begin,
                       " of the data section; expected ", position,
                       info.begin > position ? " (a hole)" : " (an overlap)");
    }
    position = info.end;
  }
  if (position != num_data_bytes) {
    throw InputError("the tensors end at byte ", position, " of the data section, which has ",
                     num_data_bytes, position > num_data_bytes ? ": the file is cut short" : "");
  }
}

std::string QuotedJson(const std::string& text) {
  return Json(text).dump(-1, ' ', false, Json::error_handler_t::replace);
}

// Written by hand: building an ordered_json member by member costs quadratic time.
std::string FormatHeader(const std::vector<TensorInfo>& tensors,
                         const std::map<std::string, std::string>& metadata, uint64_t alignment) {
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
  constexpr uint64_t kLengthBytes = 8;
  const uint64_t whole = (kLengthBytes + json.size() + alignment - 1) / alignment * alignment;
  json.resize(whole - kLengthBytes, ' ');

  const uint64_t length = json.size();
  std::string header(8, '\0');
  std::memcpy(header.data(), &length, 8);
  return header + json;
}

}  // namespace

SafetensorsHeader ParseSafetensorsHeader(std::span<const std::byte> file_bytes) {
  const std::string_view text =
      HeaderText({reinterpret_cast<const char*>(file_bytes.data()), file_bytes.size()});
  const Json json =
      WithContext("header", [&] { return ParseJson(text, {.max_depth = kMaxDepth}); });
  if (!json.is_object()) throw InputError("header is not a JSON object");

  SafetensorsHeader header;
  header.data_begin = 8 + text.size();
  Problems problems;
  for (const auto& [name, entry] : json.items()) {
    if (problems.StopSearch()) break;
    try {
      if (name == "__metadata__") {
        header.metadata = ParseMetadata(entry);
      } else {
        header.tensors.push_back(ParseTensor(name, entry));
      }
    } catch (const Error& error) {
      problems.Add(error.what());
    }
  }
  problems.ThrowIfAny();

  std::sort(header.tensors.begin(), header.tensors.end(),
            [](const TensorInfo& a, const TensorInfo& b) {
              return std::tie(a.begin, a.end, a.name) < std::tie(b.begin, b.end, b.name);
            });
  CheckLayout(header.tensors, file_bytes.size() - header.data_begin);
  return header;
}

SafetensorsFile::SafetensorsFile(const std::filesystem::path& path)
    : file_(path),
      header_(WithContext(path.string(), [&] { return ParseSafetensorsHeader(file_.bytes()); })) {
  for (size_t i = 0; i < header_.tensors.size(); ++i) index_.emplace(header_.tensors[i].name, i);
}

const TensorInfo* SafetensorsFile::Find(std::string_view name) const {
  const auto found = index_.find(name);
  return found == index_.end() ? nullptr : &header_.tensors[found->second];
}

std::span<const std::byte> SafetensorsFile::HeaderBytes() const {
  return file_.bytes().first(header_.data_begin);
}

std::span<const std::byte> SafetensorsFile::Bytes(const TensorInfo& info) const {
  const auto data = file_.bytes().subspan(header_.data_begin);
  MOEFY_CHECK(info.begin <= info.end && info.end <= data.size());
  return data.subspan(info.begin, info.num_bytes());
}

struct SafetensorsWriter::Impl {
  struct Slot {
    uint64_t begin = 0;  // in the file
    uint64_t num_bytes = 0;
    bool is_written = false;
  };

  File file;
  std::string header;
  std::map<std::string, Slot, std::less<>> slots;

  // Sets room aside for the tensors, which follow the header in this order.
  void Declare(const std::vector<TensorInfo>& tensors) {
    file.Reserve(header.size() + (tensors.empty() ? 0 : tensors.back().end));
    for (const TensorInfo& info : tensors) {
      MOEFY_CHECK(
          slots.emplace(info.name, Slot{header.size() + info.begin, info.num_bytes()}).second);
    }
  }
};

SafetensorsWriter::SafetensorsWriter(std::filesystem::path path, std::vector<TensorInfo> tensors,
                                     std::map<std::string, std::string> metadata,
                                     uint64_t alignment) {
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
  impl_.reset(new Impl{File::Create(path), FormatHeader(tensors, metadata, alignment), {}});
  impl_->Declare(tensors);
}

SafetensorsWriter::SafetensorsWriter(const std::filesystem::path& path, const TensorFile& like) {
  const std::span<const std::byte> header = like.HeaderBytes();
  impl_.reset(new Impl{
      File::Create(path), {reinterpret_cast<const char*>(header.data()), header.size()}, {}});
  impl_->Declare(like.tensors());
}

SafetensorsWriter::~SafetensorsWriter() = default;

void SafetensorsWriter::Write(std::string_view name, std::span<const std::byte> bytes,
                              Progress* progress) {
  constexpr size_t kChunkBytes = 16 << 20;  // between two reports of progress
  const auto found = impl_->slots.find(name);
  MOEFY_CHECK(found != impl_->slots.end());
  Impl::Slot& slot = found->second;
  MOEFY_CHECK(!slot.is_written && slot.num_bytes == bytes.size());
  for (size_t done = 0; done < bytes.size();) {
    const auto chunk = bytes.subspan(done, std::min(bytes.size() - done, kChunkBytes));
    impl_->file.WriteAt(slot.begin + done, chunk);
    done += chunk.size();
    if (progress) progress->Advance(chunk.size());
  }
  slot.is_written = true;
}

void SafetensorsWriter::Finish() {
  for (const auto& [name, slot] : impl_->slots) MOEFY_CHECK(slot.is_written);
  impl_->file.WriteAt(0, std::as_bytes(std::span(impl_->header)));
  impl_->file.Sync();
}

}  // namespace moefy::io
