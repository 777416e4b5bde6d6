#include "io/npy_file.h"

#include <array>
#include <charconv>
#include <cstring>

#include "moefy/base/error.h"

namespace moefy::io {
namespace {

constexpr std::string_view kMagic = "\x93NUMPY";
constexpr size_t kMaxRank = 64;

struct DTypeRow {
  std::string_view descr;
  DType dtype;
};
constexpr std::array<DTypeRow, 13> kDTypes = {{
    {"<f4", DType::kF32},
    {"<f2", DType::kF16},
    {"<f8", DType::kF64},
    {"|b1", DType::kBool},
    {"|u1", DType::kU8},
    {"|i1", DType::kI8},
    {"<u2", DType::kU16},
    {"<i2", DType::kI16},
    {"<u4", DType::kU32},
    {"<i4", DType::kI32},
    {"<u8", DType::kU64},
    {"<i8", DType::kI64},
    {"<c8", DType::kC64},
}};

// The header is a Python dict, always of the same three keys:
//   {'descr': '<f4', 'fortran_order': False, 'shape': (3, 4), }
class Header {
 public:
  explicit Header(std::string_view text) : text_(text) {}

  // The text that follows "'key':", without white space.
  std::string_view After(std::string_view key) const {
    const std::string quoted = StrCat("'", key, "':");
    const size_t at = text_.find(quoted);
    if (at == std::string_view::npos) throw InputError("its header has no ", Quoted(key));
    const std::string_view rest = text_.substr(at + quoted.size());
    return rest.substr(std::min(rest.find_first_not_of(' '), rest.size()));
  }
  DType ReadDType() const {
    const std::string_view rest = After("descr");
    for (const auto& [descr, dtype] : kDTypes) {
      if (rest.starts_with(StrCat("'", descr, "'"))) return dtype;
    }
    throw InputError("its dtype is ", Quoted(rest.substr(0, rest.find(','))),
                     "; expected a little-endian number, for example '<f4'");
  }
  std::vector<uint64_t> ReadShape() const {
    std::string_view rest = After("shape");
    const size_t close = rest.find(')');
    if (!rest.starts_with('(') || close == std::string_view::npos) {
      throw InputError("its shape is not a tuple");
    }
    rest = rest.substr(1, close - 1);
    std::vector<uint64_t> shape;
    for (const std::string& part : Split(rest, ',')) {
      const std::string number = Trim(part);
      if (number.empty()) continue;  // nothing stands behind the last comma
      uint64_t extent = 0;
      const auto [end, code] =
          std::from_chars(number.data(), number.data() + number.size(), extent);
      if (code != std::errc() || end != number.data() + number.size() || shape.size() == kMaxRank) {
        throw InputError("its shape is ", Quoted(rest), "; expected numbers");
      }
      shape.push_back(extent);
    }
    return shape;
  }

 private:
  std::string_view text_;
};

TensorInfo ParseHeader(std::string_view file) {
  if (!file.starts_with(kMagic) || file.size() < 12) {
    throw InputError("is not a file of numpy.save");
  }
  const int version = static_cast<unsigned char>(file[6]);
  if (version < 1 || version > 3) throw InputError("has version ", version, "; expected 1 to 3");
  const size_t length_bytes = version == 1 ? 2 : 4;
  uint64_t length = 0;
  std::memcpy(&length, file.data() + 8, length_bytes);
  const uint64_t begin = 8 + length_bytes + length;
  if (begin > file.size()) throw InputError("its header is cut short");
  const Header header(file.substr(8 + length_bytes, length));

  TensorInfo info;
  info.name = "npy";
  info.dtype = header.ReadDType();
  info.shape = header.ReadShape();
  if (!header.After("fortran_order").starts_with("False")) {
    throw InputError("is stored column by column; save numpy.ascontiguousarray(array)");
  }
  const auto num_bytes = NumBytes(info.shape, info.dtype);
  if (!num_bytes || *num_bytes != file.size() - begin) {
    throw InputError("shape ", FormatShape(info.shape), " of ", DTypeName(info.dtype), " needs ",
                     num_bytes ? StrCat(*num_bytes) : "too many", " bytes; the file has ",
                     file.size() - begin);
  }
  info.begin = begin;
  info.end = begin + *num_bytes;
  return info;
}

}  // namespace

NpyFile::NpyFile(const std::filesystem::path& path) : file_(path) {
  const auto bytes = file_.bytes();
  tensors_.push_back(WithContext(path.string(), [&] {
    return ParseHeader({reinterpret_cast<const char*>(bytes.data()), bytes.size()});
  }));
}

const TensorInfo* NpyFile::Find(std::string_view name) const {
  return name == tensors_.front().name ? &tensors_.front() : nullptr;
}

std::span<const std::byte> NpyFile::Bytes(const TensorInfo& info) const {
  MOEFY_CHECK(info.end <= file_.bytes().size());
  return file_.bytes().subspan(info.begin, info.num_bytes());
}

}  // namespace moefy::io
