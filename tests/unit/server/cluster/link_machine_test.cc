// The link table of one process, row by row (cluster.md 3.4): what it says to a peer and what it
// does with what the peer says.
#include "fmt/format.h"
#include <gmock/gmock.h>

#include "tests/unit/server/cluster/raw_peer.h"

namespace banyan::testing {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

constexpr uint64_t kPeer = (uint64_t{1} << 32) | 77;

class LinkMachine : public RawPeer {
 protected:
  void SetUp() override {
    RawPeer::SetUp();
    Greet();
    x_ = Spawn(*a, true);
    Said();
  }
  Pid peer() const { return {2, 1, kPeer}; }
  // What node a has written since the last time.
  std::vector<std::string> Said() {
    std::vector<std::string> out;
    for (; read_ < handler.frames.size(); ++read_) {
      for (const pb::Frame& f : handler.frames[read_].batch().frames()) {
        if (f.has_link()) out.push_back("LINK");
        if (f.has_unlink()) {
          id_ = f.unlink().unlink_id();
          out.push_back("UNLINK");
        }
        if (f.has_unlink_ack()) out.push_back(fmt::format("ACK {}", f.unlink_ack().unlink_id()));
        if (f.has_exit()) out.push_back("EXIT");
        if (f.has_message()) out.push_back("message");
      }
    }
    return out;
  }
  pb::Frame* From(pb::PeerBatch* batch) {
    pb::Frame* frame = batch->add_frames();
    frame->set_src(kPeer);
    frame->set_dst(x_->pid.id);
    return frame;
  }
  void Hear(const std::function<void(pb::Frame*)>& what) {
    pb::PeerBatch batch = Batch();
    what(From(&batch));
    Write(batch);
  }
  void HearLink() {
    Hear([](pb::Frame* f) { f->mutable_link(); });
  }
  void HearUnlink(uint64_t id) {
    Hear([&](pb::Frame* f) { f->mutable_unlink()->set_unlink_id(id); });
  }
  void HearAck(uint64_t id) {
    Hear([&](pb::Frame* f) { f->mutable_unlink_ack()->set_unlink_id(id); });
  }
  void HearExit() {
    Hear([](pb::Frame* f) { f->mutable_exit()->mutable_reason()->set_type("gone"); });
  }
  void Link() {
    Run(*a, x_, [to = peer()](Self& self) -> Task<void> {
      self.Link(to);
      co_return;
    });
    Settle();
  }
  void Unlink() {
    Run(*a, x_, [to = peer()](Self& self) -> Task<void> {
      self.Unlink(to);
      co_return;
    });
    Settle();
  }
  void End() {
    a->runtime.Exit(x_->pid, ExitReason::Kill());
    Settle();
  }
  bool Active() { return !Links(*a, x_->pid).empty(); }

  std::shared_ptr<Log> x_;
  size_t read_ = 0;
  uint64_t id_ = 0;  // of the last UNLINK
};

TEST_F(LinkMachine, LinkIsSaidOnce) {
  Link();
  Link();
  EXPECT_THAT(Said(), ElementsAre("LINK"));
  EXPECT_TRUE(Active());
}

TEST_F(LinkMachine, AHeardLinkIsOne) {
  HearLink();
  EXPECT_TRUE(Active());
  End();
  EXPECT_THAT(Said(), ElementsAre("EXIT"));
}

TEST_F(LinkMachine, AHeardLinkToTheDeadIsAnsweredWithExit) {
  End();
  Said();
  HearLink();
  EXPECT_THAT(Said(), ElementsAre("EXIT"));
}

TEST_F(LinkMachine, AnUnlinkOfNothingSaysNothing) {
  Unlink();
  EXPECT_THAT(Said(), IsEmpty());
}

TEST_F(LinkMachine, AHeardUnlinkIsAcknowledgedInEveryState) {
  HearUnlink(5);
  EXPECT_THAT(Said(), ElementsAre("ACK 5"));
  Link();
  HearUnlink(6);
  EXPECT_THAT(Said(), ElementsAre("LINK", "ACK 6"));
  EXPECT_FALSE(Active());
  Link();
  Unlink();
  HearUnlink(7);
  EXPECT_THAT(Said(), ElementsAre("LINK", "UNLINK", "ACK 7"));
  HearLink();
  EXPECT_FALSE(Active()) << "our unlink is still under way";
}

TEST_F(LinkMachine, TheAcknowledgementComesBeforeWhatIsSaidLater) {
  Link();
  Said();
  pb::PeerBatch batch = Batch();
  From(&batch)->mutable_unlink()->set_unlink_id(8);
  Run(*a, x_, [to = peer()](Self& self) -> Task<void> {
    co_await self.Sleep(absl::Milliseconds(50));
    self.Send(to, Text("later"));
    self.Link(to);
  });
  Write(batch);
  Settle();
  EXPECT_THAT(Said(), ElementsAre("ACK 8", "message", "LINK"));
}

TEST_F(LinkMachine, WhileAnUnlinkIsUnderWayLinksAreIgnored) {
  Link();
  Unlink();
  HearLink();
  EXPECT_FALSE(Active());
  Said();
  HearAck(id_ + 1);
  HearLink();
  EXPECT_FALSE(Active()) << "that was another acknowledgement";
  HearAck(id_);
  HearLink();
  EXPECT_TRUE(Active());
}

TEST_F(LinkMachine, AnExitThatCrossesOurUnlinkIsNotSeen) {
  Link();
  Unlink();
  HearExit();
  EXPECT_THAT(x_->lines, IsEmpty());
  HearAck(id_);
  HearExit();
  EXPECT_THAT(x_->lines, IsEmpty());
}

TEST_F(LinkMachine, AnExitWithoutALinkIsNotSeen) {
  HearExit();
  EXPECT_THAT(x_->lines, IsEmpty());
}

TEST_F(LinkMachine, AnExitEndsTheLink) {
  Link();
  HearExit();
  EXPECT_EQ(x_->Count("EXIT"), 1u);
  HearExit();
  EXPECT_EQ(x_->Count("EXIT"), 1u);
  End();
  EXPECT_THAT(Said(), ElementsAre("LINK"));
}

TEST_F(LinkMachine, ANewLinkForgetsTheUnlink) {
  Link();
  Unlink();
  Link();
  EXPECT_THAT(Said(), ElementsAre("LINK", "UNLINK", "LINK"));
  HearAck(id_);
  EXPECT_TRUE(Active());
  HearExit();
  EXPECT_EQ(x_->Count("EXIT"), 1u);
}

TEST_F(LinkMachine, WhoDiesWithAnUnlinkUnderWaySaysNoExit) {
  Link();
  Unlink();
  End();
  EXPECT_THAT(Said(), ElementsAre("LINK", "UNLINK"));
}

TEST_F(LinkMachine, TheEndOfTheSessionIsSeenOnceAndOnlyByActiveOnes) {
  Link();
  Unlink();
  stream->Abort();
  Settle();
  EXPECT_THAT(x_->lines, IsEmpty());
}

}  // namespace
}  // namespace banyan::testing
