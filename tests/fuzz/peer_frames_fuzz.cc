// Frames of a peer that has greeted: a breach of the protocol at worst.
#include <cstddef>
#include <cstdint>

#include "google/protobuf/stubs/logging.h"

#include "banyan/internal/v1/peer.pb.h"
#include "common/time/virtual_time.h"
#include "server/cluster/frame_decoder.h"
#include "server/runtime/runtime.h"

namespace {

using namespace banyan;

// One process, so that names and pids can be right.
struct World {
  VirtualTime time;
  Runtime runtime{
      Runtime::Options{.clock = &time, .timers = &time, .workers = 0, .executor = &time}};
  World() {
    SpawnOptions options;
    options.name = "a";
    (void)runtime.Spawn(
        [](Self& self) -> Task<ExitReason> {
          for (;;) co_await self.Receive();
        },
        options);
    time.RunFor(absl::Milliseconds(1));
  }
  ~World() { runtime.Shutdown(); }
};

}  // namespace

// protobuf tells of each string that is no UTF-8: of most inputs.
extern "C" int LLVMFuzzerInitialize(int*, char***) {
  google::protobuf::SetLogHandler(nullptr);
  return 0;
}

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static World world;
  internal::v1::PeerBatch batch;
  if (!batch.ParseFromArray(data, static_cast<int>(size))) return 0;
  FrameDecoder decoder(&world.runtime, {1, 1}, {2, 1});
  Inbound in;
  for (internal::v1::Frame& frame : *batch.mutable_frames()) {
    if (!decoder.Decode(std::move(frame), batch.strings(), world.time.Now(), &in).ok()) break;
  }
  return 0;
}
