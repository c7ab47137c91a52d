#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "server/runtime/runtime.h"
#include "server/runtime/self.h"

namespace banyan::faults {

// Processes that link to those of a pool on another node, and count the exits that come.
class LinkPool {
 public:
  // Starts `size` processes, linked to nobody; their ids, comma separated.
  std::string Start(Self& self, int size);
  // The i-th links to the processes (node_id, incarnation, ids[i + first]) and so on, `count` of
  // them; after the last of `ids` comes the first.
  void Mesh(Self& self, uint32_t node_id, uint32_t incarnation, const std::string& ids,
            size_t first, size_t count);
  // "LINKS FIRED DOUBLES": made from here, exits that came, exits of a peer that had one before.
  std::string Stats() const;
  // Links that its processes have, whoever made them, of each no more than a snapshot shows, as
  // counted since it was asked before; counts them anew.
  size_t Linked(Runtime& runtime) const;

 private:
  struct Counts {
    std::atomic<uint64_t> links{0};
    std::atomic<uint64_t> fired{0};
    std::atomic<uint64_t> doubles{0};
  };
  static Task<ExitReason> Member(Self& self, std::shared_ptr<Counts> counts);

  std::vector<Pid> members_;
  std::shared_ptr<std::atomic<size_t>> linked_ = std::make_shared<std::atomic<size_t>>(0);
  std::shared_ptr<Counts> counts_ = std::make_shared<Counts>();
};

}  // namespace banyan::faults
