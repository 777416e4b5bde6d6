#include "text/sentencepiece/sentencepiece_model.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <unordered_set>

#include "moefy/base/error.h"
#include "text/byte_level/bpe.h"
#include "text/sentencepiece/protobuf.h"

namespace moefy::text {
namespace {

// Field numbers of sentencepiece_model.proto.
enum ModelField : uint32_t {
  kPieces = 1,
  kTrainerSpec = 2,
  kNormalizerSpec = 3,
  kDenormalizer = 5
};
enum PieceField : uint32_t { kText = 1, kScore = 2, kType = 3 };
enum TrainerField : uint32_t {
  kModelType = 3,
  kWhitespaceAsSuffix = 24,
  kByteFallback = 35,
  kUnknownSurface = 44
};
enum NormalizerField : uint32_t {
  kCharsmap = 2,
  kAddDummyPrefix = 3,
  kRemoveExtraWhitespaces = 4,
  kEscapeWhitespaces = 5
};
constexpr size_t kMaxPieceBytes = 4096;

Piece ParsePiece(std::string_view bytes) {
  Piece piece;
  for (ProtobufReader reader(bytes); reader.Next();) {
    switch (reader.field()) {
      case kText:
        piece.text = reader.GetBytes();
        break;
      case kScore:
        piece.score = reader.GetFloat();
        break;
      case kType: {
        const uint64_t type = reader.GetVarint();
        if (type < 1 || type > 6) throw InputError("piece type ", type, " is not in 1..6");
        piece.type = static_cast<PieceType>(type);
        break;
      }
      default:
        break;
    }
  }
  return piece;
}

void ParseTrainerSpec(std::string_view bytes, SentencePieceModel& model) {
  for (ProtobufReader reader(bytes); reader.Next();) {
    switch (reader.field()) {
      case kModelType:
        if (reader.GetVarint() != 1 && reader.GetVarint() != 2) {
          throw InputError("model type ", reader.GetVarint(),
                           " is not supported; supported: 1 (unigram), 2 (BPE)");
        }
        model.algorithm = static_cast<SentencePieceAlgorithm>(reader.GetVarint());
        break;
      case kWhitespaceAsSuffix:
        if (reader.GetBool()) throw InputError("white space as suffix is not supported");
        break;
      case kByteFallback:
        model.byte_fallback = reader.GetBool();
        break;
      case kUnknownSurface:
        model.unknown_surface = reader.GetBytes();
        break;
      default:
        break;
    }
  }
}

void ParseNormalizerSpec(std::string_view bytes, SentencePieceModel& model) {
  for (ProtobufReader reader(bytes); reader.Next();) {
    switch (reader.field()) {
      case kCharsmap:
        model.precompiled_charsmap = reader.GetBytes();
        break;
      case kAddDummyPrefix:
        model.add_dummy_prefix = reader.GetBool();
        break;
      case kRemoveExtraWhitespaces:
        model.remove_extra_whitespaces = reader.GetBool();
        break;
      case kEscapeWhitespaces:
        model.escape_whitespaces = reader.GetBool();
        break;
      default:
        break;
    }
  }
}

}  // namespace

void CheckSentencePieceModel(const SentencePieceModel& model) {
  const std::vector<Piece>& pieces = model.pieces;
  // A reserved piece (control, unknown, byte) may repeat a normal piece's text, but not that of
  // another reserved piece.
  std::unordered_set<std::string_view> seen[2];
  std::array<bool, 256> has_byte{};
  int64_t num_unknown = 0;
  for (size_t id = 0; id < pieces.size(); ++id) {
    const Piece& piece = pieces[id];
    if (piece.text.empty()) throw InputError("piece ", id, " is empty");
    if (!IsValidUtf8(piece.text)) throw InputError("piece ", id, " is not valid UTF-8");
    if (!std::isfinite(piece.score)) throw InputError("piece ", id, " has a score not finite");
    if (piece.text.size() > kMaxPieceBytes) {
      throw InputError("piece ", id, " has ", piece.text.size(), " bytes; at most ",
                       kMaxPieceBytes);
    }
    if (piece.type == PieceType::kByte) {
      if (!model.byte_fallback) throw InputError("piece ", id, " is a byte without byte fallback");
      const std::optional<unsigned char> byte = ParseByteToken(piece.text);
      if (!byte) throw InputError("byte piece ", id, " is ", Quoted(piece.text));
      has_byte[*byte] = true;
    }
    const bool reserved = piece.type == PieceType::kControl || piece.type == PieceType::kUnknown ||
                          piece.type == PieceType::kByte;
    if (!seen[reserved].insert(piece.text).second) {
      throw InputError("piece ", id, ", ", Quoted(piece.text), ", is defined twice");
    }
    num_unknown += piece.type == PieceType::kUnknown;
  }
  if (num_unknown != 1) {
    throw InputError(num_unknown, " pieces of type unknown among ", pieces.size(),
                     "; expected exactly one");
  }
  const auto num_bytes = std::count(has_byte.begin(), has_byte.end(), true);
  if (model.byte_fallback && num_bytes != 256) {
    throw InputError("byte fallback with ", num_bytes, " byte pieces; expected 256");
  }
}

SentencePieceModel ParseSentencePieceModel(std::string_view bytes) {
  if (bytes.empty()) throw InputError("not a SentencePiece model: the file is empty");
  SentencePieceModel model;
  bool has_trainer_spec = false, has_normalizer_spec = false;
  WithContext("not a SentencePiece model that can be read", [&] {
    for (ProtobufReader reader(bytes); reader.Next();) {
      switch (reader.field()) {
        case kPieces:
          model.pieces.push_back(ParsePiece(reader.GetBytes()));
          break;
        case kTrainerSpec:
          ParseTrainerSpec(reader.GetBytes(), model);
          has_trainer_spec = true;
          break;
        case kNormalizerSpec:
          ParseNormalizerSpec(reader.GetBytes(), model);
          has_normalizer_spec = true;
          break;
        case kDenormalizer:
          for (ProtobufReader spec(reader.GetBytes()); spec.Next();) {
            if (spec.field() == kCharsmap && !spec.GetBytes().empty()) {
              throw InputError("a denormalizer is not supported");
            }
          }
          break;
        default:
          break;
      }
    }
    // Every trainer writes both; a file cut between two fields lacks them and would load silently.
    if (!has_trainer_spec) throw InputError("no trainer_spec: the file may be cut short");
    if (!has_normalizer_spec) throw InputError("no normalizer_spec: the file may be cut short");
    CheckSentencePieceModel(model);
  });
  return model;
}

}  // namespace moefy::text
