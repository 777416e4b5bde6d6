#include "record/recorded_inputs.h"

#include <algorithm>
#include <set>

#include "base/problems.h"
#include "moefy/base/error.h"
#include "moefy/base/progress.h"
#include "record/dump_rows.h"

namespace moefy::record {

void RecordedInputs::Visit(int64_t max_tokens,
                           const std::function<void(const at::Tensor& x)>& visit) const {
  constexpr int64_t kPiece = 256;
  const int64_t wanted = std::min(max_tokens, tokens());
  const int64_t num_pieces = (wanted + kPiece - 1) / kPiece;
  for (int64_t piece = 0; piece < num_pieces; ++piece) {
    ThrowIfInterrupted();
    const int64_t size = std::min(kPiece, wanted - piece * kPiece);
    // The tokens left out lie between the pieces, in equal gaps.
    const int64_t begin = piece * kPiece + (tokens() - wanted) * piece / num_pieces;
    visit(ReadRows(*dump_, ffn_idx_, begin, begin + size));
  }
}

void CheckDumpMatches(const ActivationDump& dump, const std::string& model,
                      const std::string& fingerprint, const std::vector<model::FfnSpec>& ffns) {
  Problems problems;
  const std::string& recorded_from = dump.info().model_fingerprint;
  if (!recorded_from.empty() && recorded_from != fingerprint) {
    problems.Add("it was recorded from ", recorded_from, "; the dense checkpoint is ", fingerprint);
  }
  std::set<size_t> known;
  for (const model::FfnSpec& spec : ffns) {
    const std::optional<size_t> found = dump.Find(spec);
    if (!found) {
      problems.Add("it holds nothing of ", Quoted(spec.name), " (", Quoted(spec.w_in), ")");
      continue;
    }
    known.insert(*found);
    if (dump.ffns()[*found].hidden != spec.hidden) {
      problems.Add("its ", Quoted(dump.ffns()[*found].name), " is ", dump.ffns()[*found].hidden,
                   " wide; expected ", spec.hidden);
    }
  }
  for (size_t i = 0; i < dump.ffns().size(); ++i) {
    if (!known.contains(i)) {
      problems.Add("it holds ", Quoted(dump.ffns()[i].name), ", which the model lacks");
    }
  }
  WithContext(StrCat("the activation dump is of another model than ", model,
                     "; record one from the dense checkpoint of this model"),
              [&] { problems.ThrowIfAny(); });
}

}  // namespace moefy::record
