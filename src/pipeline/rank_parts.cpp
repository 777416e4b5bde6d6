#include "pipeline/rank_parts.h"

#include "base/ranks.h"

namespace moefy::pipeline {
namespace {

std::string DirectoryOf(const PartsRequest& request) {
  return request.options.parts.empty() ? request.beside + ".parts" : request.options.parts;
}

// The name of the MPI run, which rank 0 announces together with the stage.
std::string Announce(const PartsRequest& request) {
  if (!Ranks::Get().IsFirst()) return request.options.serves;
  std::string run = Claims::NewRun();
  Ranks::Get().Announce(FormatJson({{"stage", request.stage},
                                    {"options", request.stage_options},
                                    {"parts", DirectoryOf(request)},
                                    {"run", run}}));
  return run;
}

}  // namespace

RankParts::RankParts(const PartsRequest& request)
    : num_parts_(request.names.size()),
      own_(request.options.parts.empty()),
      directory_(DirectoryOf(request), request),
      claims_(directory_.path(), Announce(request)) {}

size_t RankParts::Find(const std::function<void(size_t)>& find,
                       const std::function<bool(const Json& values)>& enough, Progress& progress) {
  for (size_t i = 0; i < num_parts_ && !EnoughBefore(i, enough); ++i) {
    ThrowIfInterrupted();
    if (!directory_.Has(i) && claims_.Take(i)) find(i);
    progress.Advance(1);
  }
  Ranks::Get().WaitForAll();
  if (!Ranks::Get().IsFirst()) return 0;
  size_t count = 0;
  while (count < num_parts_ && !EnoughBefore(count, enough)) ++count;
  return count;
}

bool RankParts::EnoughBefore(size_t i, const std::function<bool(const Json& values)>& enough) {
  if (!enough) return false;
  for (; !enough_ && num_told_ < i && directory_.Has(num_told_); ++num_told_) {
    enough_ = enough(directory_.Values(num_told_));
  }
  return enough_ && num_told_ <= i;
}

void RankParts::End() const { own_ ? directory_.Remove() : Claims::RemoveAll(directory_.path()); }

}  // namespace moefy::pipeline
