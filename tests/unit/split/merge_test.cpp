#include "split/merge.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "support/expect_error.h"
#include "unit/split/split_checkpoint.h"

namespace moefy::split {
namespace {

using Merge = SplitCheckpoint;

TEST_F(Merge, MergeRefusesAnEditedConfig) {
  tests::SplitInto(dense_, moe_, 8);
  Edit("config.json", "{\"format\": 1}", "{\"format\":1}");
  tests::ExpectError(ErrorKind::kInput, {"changed after the split"},
                     [&] { MergeMoe(MoeCheckpoint::Open(moe_), temp_.Make("merged")); });
}

}  // namespace
}  // namespace moefy::split
