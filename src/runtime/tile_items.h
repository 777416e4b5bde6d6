// How the products of many rows with many tiles of weights are shared out: an item is a few tiles,
// which stay in a thread's cache, times many rows, which go by in groups. Values, thread-safe.
#pragma once

#include <algorithm>
#include <cstdint>

namespace moefy::runtime {

struct TileItems {
  static constexpr int64_t kTiles = 4, kRowGroup = 24;

  int64_t rows, tiles;
  int64_t rows_per_item = 240;
  int64_t tiles_per_item = kTiles;

  int64_t tile_items() const { return (tiles + tiles_per_item - 1) / tiles_per_item; }
  int64_t count() const { return (rows + rows_per_item - 1) / rows_per_item * tile_items(); }

  // Calls run(first row, number of rows, at most kRowGroup, and tile) for all of an item.
  template <class Function>
  void ForEach(int64_t item, const Function& run) const {
    const int64_t first_row = item / tile_items() * rows_per_item;
    const int64_t last_row = std::min(rows, first_row + rows_per_item);
    const int64_t first_tile = item % tile_items() * tiles_per_item;
    const int64_t last_tile = std::min(tiles, first_tile + tiles_per_item);
    for (int64_t row = first_row; row < last_row; row += kRowGroup) {
      for (int64_t tile = first_tile; tile < last_tile; ++tile) {
        run(row, std::min(kRowGroup, last_row - row), tile);
      }
    }
  }
};

}  // namespace moefy::runtime
