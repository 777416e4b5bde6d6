// How a stage that works FFN by FFN, `split` or `route-train`, is shared among processes.
#pragma once

#include <cstdint>
#include <string>

namespace moefy::pipeline {

struct PartOptions {
  std::string parts;
  std::string shard;
  // Not options of the command line:
  bool join = false;   // everything must be there already; `moefy join` says so
  std::string serves;  // the MPI run for whose rank 0 this process finds parts

  // Whether this process writes the stage's result, once all parts are there.
  bool MakesResult() const { return shard.empty() && serves.empty(); }

  template <class Visitor>
  void VisitParts(Visitor& v) {
    v.Field("parts", parts,
            "directory that keeps what is found for each FFN: an interrupted run goes on from "
            "there, and --shard shares the work through it");
    v.Field("shard", shard,
            "i/n: find what --parts lacks of every n-th FFN, from the i-th on, and stop; when "
            "1/n to n/n are done, `moefy join` makes the result");
  }
};

// What a run with --shard did: the result is not there yet.
struct ShardDone {
  int64_t found = 0;  // of all FFNs, those whose part is there now
  int64_t ffns = 0;
};

}  // namespace moefy::pipeline
