// Frames of a node to the coordinator: whatever they are, the stream ends at worst. The first byte
// chooses the kind of the stream; then come frames, each with its length in two bytes before it.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>

#include "google/protobuf/stubs/logging.h"

#include "common/base/check.h"
#include "common/time/random.h"
#include "common/time/virtual_time.h"
#include "server/coordinator/coordinator.h"
#include "server/coordinator/store/memory_store.h"
#include "tests/support/sim_transport.h"

namespace {

using namespace banyan;
using testing::SimNetwork;
using testing::SimTransport;

struct Ignore : StreamHandler {
  bool closed = false;
  void OnFrame(std::string) override {}
  void OnClose(absl::Status) override { closed = true; }
};

// A coordinator that has just started with an empty store.
struct World {
  VirtualTime time;
  SeededRandom random{1};
  SimNetwork network{&time};
  std::shared_ptr<MemoryDisk> disk = MemoryStore::NewDisk(&random);
  SimTransport transport{&network, "coord", &time};
  MemoryStore store{disk, MemoryStore::Deps{&time, &time, &time}};
  std::unique_ptr<Coordinator> coordinator = std::make_unique<Coordinator>(
      Coordinator::Deps{&time, &time, &time, &random, &transport, &store}, CoordinatorOptions{});
  SimTransport node{&network, "node", &time};

  World() {
    bool ready = false;
    coordinator->Start([&](absl::Status status) { ready = status.ok(); });
    time.RunUntilIdle();
    BANYAN_CHECK(ready);
  }
};

}  // namespace

// protobuf tells of each string that is no UTF-8: of most inputs.
extern "C" int LLVMFuzzerInitialize(int*, char***) {
  google::protobuf::SetLogHandler(nullptr);
  return 0;
}

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size < 1) return 0;
  World world;
  Ignore handler;
  constexpr StreamKind kKinds[] = {StreamKind::kLease, StreamKind::kControl, StreamKind::kWatcher,
                                   StreamKind::kRelay};
  auto stream = world.node.Dial("coord", kKinds[data[0] % 4], &handler);
  for (size_t at = 1; at + 2 <= size && !handler.closed;) {
    const size_t length = std::min<size_t>(data[at] | data[at + 1] << 8, size - at - 2);
    stream->Write(std::string(reinterpret_cast<const char*>(data) + at + 2, length));
    at += 2 + length;
    world.time.RunFor(absl::Milliseconds(20));
  }
  world.time.RunFor(absl::Seconds(2));
  stream.reset();
  world.time.RunFor(absl::Seconds(1));
  return 0;
}
