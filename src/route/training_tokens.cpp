#include "route/training_tokens.h"

#include <algorithm>
#include <cmath>

#include "moefy/base/error.h"
#include "moefy/base/progress.h"
#include "record/dump_rows.h"

namespace moefy::route {
namespace {

// Marks up to 50 runs of neighbours, at even distances, as held out. Neighbours are words of one
// text, and a word held out between two trained ones would measure memory.
std::vector<char> HoldOutRuns(int64_t num_tokens, double held_out) {
  const auto wanted =
      static_cast<int64_t>(std::clamp(std::round(held_out * static_cast<double>(num_tokens)), 1.0,
                                      std::max(1.0, static_cast<double>(num_tokens - 1))));
  const int64_t num_runs = std::min<int64_t>(wanted, 50);
  std::vector<char> is_held(num_tokens, 0);
  for (int64_t run = 0; run < num_runs; ++run) {
    const int64_t length = wanted * (run + 1) / num_runs - wanted * run / num_runs;
    const int64_t end = num_tokens * (run + 1) / num_runs;
    std::fill(is_held.begin() + (end - length), is_held.begin() + end, 1);
  }
  return is_held;
}

int64_t Share(double share, int64_t max_tokens) {
  return std::max<int64_t>(1, std::llround(share * static_cast<double>(max_tokens)));
}

}  // namespace

TrainingTokens::TrainingTokens(const record::ActivationDump& dump, size_t ffn_idx, double held_out,
                               int64_t max_tokens)
    : dump_(dump), ffn_idx_(ffn_idx) {
  const std::vector<char> is_held = HoldOutRuns(dump.ffns()[ffn_idx].tokens, held_out);
  std::vector<int64_t> held;
  for (size_t i = 0; i < is_held.size(); ++i) {
    (is_held[i] ? held : train_).push_back(static_cast<int64_t>(i));
  }
  if (train_.empty()) train_ = held;  // a single token
  const int64_t max_train = Share(1 - held_out, max_tokens);
  num_passes_ = (num_train() + max_train - 1) / max_train;
  if (const int64_t max_held = Share(held_out, max_tokens);
      static_cast<int64_t>(held.size()) > max_held) {
    const auto all = static_cast<int64_t>(held.size());
    for (int64_t i = 0; i < max_held; ++i) held[i] = held[i * all / max_held];
    held.resize(max_held);
  }
  held_out_ = Read(held);
}

at::Tensor TrainingTokens::Pass(int64_t pass) const {
  std::vector<int64_t> rows;
  for (int64_t i = pass % num_passes_; i < num_train(); i += num_passes_) rows.push_back(train_[i]);
  return Read(rows);
}

at::Tensor TrainingTokens::Read(const std::vector<int64_t>& rows) const {
  constexpr int64_t kReadRows = 8192;
  const record::DumpedFfn& ffn = dump_.ffns()[ffn_idx_];
  at::Tensor out = at::empty({static_cast<int64_t>(rows.size()), ffn.hidden}, at::kFloat);
  size_t done = 0;
  for (int64_t begin = 0; begin < ffn.tokens && done < rows.size(); begin += kReadRows) {
    ThrowIfInterrupted();
    const int64_t end = std::min(ffn.tokens, begin + kReadRows);
    std::vector<int64_t> wanted;
    for (size_t i = done; i < rows.size() && rows[i] < end; ++i) wanted.push_back(rows[i] - begin);
    if (wanted.empty()) continue;
    const at::Tensor read = record::ReadRows(dump_, ffn_idx_, begin, end);
    const auto count = static_cast<int64_t>(wanted.size());
    out.narrow(0, static_cast<int64_t>(done), count)
        .copy_(read.index_select(0, at::tensor(at::ArrayRef<int64_t>(wanted))));
    done += wanted.size();
  }
  if (!out.isfinite().all().item<bool>()) {
    throw InputError("the activation dump's ", Quoted(ffn.name),
                     " holds values that are not finite");
  }
  return out;
}

}  // namespace moefy::route
