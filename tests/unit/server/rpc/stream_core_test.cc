#include "server/rpc/stream_core.h"

#include <memory>
#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

#include "common/time/virtual_time.h"

namespace banyan::rpc {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

// Notes what is started on the call; its reactions are played by the test.
class FakeWire : public StreamCore::Wire {
 public:
  void StartReading(grpc::ByteBuffer*) override { ops.push_back("read"); }
  void StartWriting(const grpc::ByteBuffer*, bool more) override {
    ops.push_back(more ? "write, more" : "write");
  }
  void End(const absl::Status&) override { ops.push_back("end"); }
  void Cancel() override { ops.push_back("cancel"); }
  void RemoveTheHold() override { ops.push_back("remove hold"); }
  std::vector<std::string> Take() { return std::exchange(ops, {}); }
  std::vector<std::string> ops;
};

class StreamCoreTest : public ::testing::Test {
 protected:
  void Make(StreamCore::Side side) {
    core = std::make_shared<StreamCore>(side, &time, "peer");
    core->Attach(&wire);
    core->StartReading();
    EXPECT_THAT(wire.Take(), ElementsAre("read"));
  }
  VirtualTime time;
  FakeWire wire;
  std::shared_ptr<StreamCore> core;
};

TEST_F(StreamCoreTest, OneWriteAtATime) {
  Make(StreamCore::Side::kClient);
  core->Write("a");
  core->Write("b");
  core->Write("c");
  EXPECT_THAT(wire.Take(), ElementsAre("write"));
  EXPECT_EQ(core->queued(), 3u);
  core->OnWritten(true);
  EXPECT_THAT(wire.Take(), ElementsAre("write, more"));
  core->OnWritten(true);
  core->OnWritten(true);
  EXPECT_EQ(core->queued(), 0u);
}

// Once the hold is gone gRPC may free the call at any moment.
TEST_F(StreamCoreTest, AClientStartsNothingAfterItsReadsAreOver) {
  Make(StreamCore::Side::kClient);
  core->OnRead(false);
  EXPECT_THAT(wire.Take(), ElementsAre("remove hold"));
  core->Write("late");
  core->Close(absl::OkStatus());
  EXPECT_THAT(wire.Take(), IsEmpty());
  EXPECT_EQ(core->queued(), 0u);
}

TEST_F(StreamCoreTest, TheHoldStaysWhileAWriteIsUnderWay) {
  Make(StreamCore::Side::kClient);
  core->Write("a");
  wire.Take();
  core->OnRead(false);
  EXPECT_THAT(wire.Take(), IsEmpty());
  core->OnWritten(false);
  EXPECT_THAT(wire.Take(), ElementsAre("remove hold"));
}

TEST_F(StreamCoreTest, CloseSendsWhatIsQueuedFirst) {
  Make(StreamCore::Side::kServer);
  core->Write("a");
  core->Close(absl::OkStatus());
  core->Write("too late");
  EXPECT_THAT(wire.Take(), ElementsAre("write"));
  core->OnWritten(true);
  EXPECT_THAT(wire.Take(), ElementsAre("end"));
}

TEST_F(StreamCoreTest, AServerEndsOnceWhenTheClientIsGone) {
  Make(StreamCore::Side::kServer);
  core->Write("a");
  core->Write("b");
  wire.Take();
  core->OnRead(false);
  core->OnCancelled();
  EXPECT_THAT(wire.Take(), IsEmpty()) << "not while a write is under way";
  core->OnWritten(false);
  EXPECT_THAT(wire.Take(), ElementsAre("end"));
  core->Abort();
  core->Close(absl::OkStatus());
  EXPECT_THAT(wire.Take(), ElementsAre("cancel"));
  core->OnOver(absl::OkStatus());
  core->Abort();
  EXPECT_THAT(wire.Take(), IsEmpty());
}

}  // namespace
}  // namespace banyan::rpc
