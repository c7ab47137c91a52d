#pragma once

#include <memory>
#include <string>
#include <vector>

#include "banyan/internal/v1/peer.pb.h"
#include "tests/unit/server/cluster/two_nodes.h"

namespace banyan::testing {

namespace pb = internal::v1;

// A peer that is no router: a bare stream to `a`.
class RawPeer : public TwoNodes {
 protected:
  struct Handler : StreamHandler {
    std::vector<pb::SessionResponse> frames;
    bool closed = false;
    void OnFrame(std::string bytes) override { frames.emplace_back().ParseFromString(bytes); }
    void OnClose(absl::Status) override { closed = true; }
    bool Saw(pb::CloseFrame::Reason reason) const {
      for (const auto& f : frames) {
        for (const auto& frame : f.batch().frames()) {
          if (frame.has_close() && frame.close().reason() == reason) return true;
        }
      }
      return false;
    }
  };

  void SetUp() override {
    TwoNodes::SetUp();
    b.reset();
    evil = std::make_unique<SimTransport>(&network, "b:1", &time);
    stream = evil->Dial("a:1", StreamKind::kPeer, &handler);
  }
  void TearDown() override {
    stream.reset();
    evil.reset();
    TwoNodes::TearDown();
  }
  pb::PeerBatch Batch() {
    pb::PeerBatch batch;
    batch.set_seq(++seq);
    return batch;
  }
  void Write(const pb::PeerBatch& batch) {
    pb::SessionRequest request;
    *request.mutable_batch() = batch;
    stream->Write(request.SerializeAsString());
    time.RunFor(absl::Milliseconds(5));
  }
  void Greet() {
    pb::PeerBatch batch = Batch();
    pb::PeerHello* hello = batch.add_frames()->mutable_hello();
    hello->set_cluster_id("cluster");
    hello->set_node_id(2);
    hello->set_incarnation(1);
    hello->set_peer_node_id(1);
    hello->set_peer_incarnation(1);
    hello->mutable_protocol()->set_major(1);
    Write(batch);
    ASSERT_FALSE(handler.frames.empty());
    ASSERT_TRUE(handler.frames[0].batch().frames(0).has_hello_ack());
  }

  std::unique_ptr<SimTransport> evil;
  Handler handler;
  std::unique_ptr<Stream> stream;
  uint64_t seq = 0;
};

}  // namespace banyan::testing
