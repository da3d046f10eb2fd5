#pragma once
#include <cstddef>

namespace siglane {

// A walk over an unordered map in small steps, between which the map may change. Whoever is there
// all the time is visited: twice, perhaps, if many have come meanwhile.
class TableWalk {
 public:
  // Visits one bucket: few, or nobody. false: it was the last one.
  template <class Map, class Visit>
  bool step(Map& map, Visit&& visit) {
    if (map.bucket_count() != buckets_) {  // it has grown, so that all have changed places
      buckets_ = map.bucket_count();
      next_ = 0;
    }
    if (next_ == buckets_) return false;
    for (auto it = map.begin(next_); it != map.end(next_); ++it) visit(*it);
    return ++next_ < buckets_;
  }

 private:
  std::size_t buckets_ = 0;
  std::size_t next_ = 0;
};

}  // namespace siglane
