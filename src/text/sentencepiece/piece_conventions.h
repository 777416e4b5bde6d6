// A table of what the tokenizer classes around a SentencePiece model differ in. Values,
// thread-safe. Source: the slow tokenizers of transformers 4.44; of Bergamot's students, for which
// it has none, Marian's use of SentencePiece.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace moefy::text {

// Which ids come before those of the pieces.
enum class FirstIds {
  kNone,       // a piece has its own id
  kFairseq,    // <s> <pad> </s> <unk>; a piece's own id plus 1 (its <s>, </s> and <unk> are unused)
  kCamembert,  // <s>NOTUSED <pad> </s>NOTUSED <unk> <unk>NOTUSED; plus 4
  kPegasus,    // <pad> </s> <mask_1> <mask_2> <unk_2> ... <unk_102>; plus `offset`, 103
  kVocabJson,  // vocab.json tells the ids of the pieces
};

enum class Around {
  kEnd,        // A </s>, and A B </s>
  kBert,       // [CLS] A [SEP] B [SEP], the second of type 1
  kRoberta,    // <s> A </s> </s> B </s>
  kBosEos,     // <bos> A <eos> <bos> B <eos>, either by add_bos_token and add_eos_token
  kLanguages,  // what src_lang and tgt_lang ask for
};

// How decoding joins pieces and special tokens.
enum class PieceJoin {
  kPlain,     // all pieces one after the other
  kSpaced,    // the model decodes the runs between special tokens, each with a space in front
  kTight,     // without that space
  kVerbatim,  // without it, and no spaces at the ends are taken away
};

struct NamedToken {
  const char* key;      // of tokenizer_config.json
  const char* content;  // if the configuration names none
};

struct PieceConvention {
  std::string_view tokenizer_class;
  FirstIds first_ids;
  Around around;
  PieceJoin join;
  std::vector<NamedToken> tokens;  // new ones get ids in this order
  bool mask_strips_left = false;   // the mask token takes the space before it
  bool mask_after_pieces = false;  // its id follows the pieces' and, for mBART, the languages'
  bool albert_text = false;        // options do_lower_case, remove_space, keep_accents
  bool deberta_text = false;       // options do_lower_case, split_by_punct
  bool clean_up_spaces = true;     // clean_up_tokenization_spaces if the file is silent
};

// The row of a class; null if it is not in the table.
const PieceConvention* FindPieceConvention(std::string_view tokenizer_class);

}  // namespace moefy::text
