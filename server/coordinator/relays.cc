#include "server/coordinator/relays.h"

#include <algorithm>
#include <deque>

#include "fmt/format.h"

#include "server/coordinator/core.h"

namespace banyan {
namespace {

namespace pb = internal::v1;

}  // namespace

// The stream of one of the two nodes.
class Relays::End : public StreamHandler {
 public:
  End(Relays* relays, uint64_t id, std::unique_ptr<Stream> stream)
      : relays_(relays), id_(id), stream_(std::move(stream)) {}
  ~End() override { relays_->bytes_ -= bytes_; }

  void OnFrame(std::string bytes) override {
    if (over_) return;
    if (relay_ != 0) return relays_->Forward(this, std::move(bytes));
    pb::RelayRequest request;
    if (!request.ParseFromString(bytes)) return relays_->Close(this, NoFrame());
    relays_->OnFirst(this, request);
  }
  void OnClose(absl::Status status) override {
    if (over_) return;
    relays_->Close(this, absl::UnavailableError("the other end is over: " + status.ToString()));
  }
  void OnWritable() override { CountTaken(); }

  // False: too much waits for this node already.
  bool Send(std::string bytes) {
    CountTaken();
    if (bytes_ + bytes.size() > kBytesMax || relays_->bytes_ + bytes.size() > kBytesOfAllMax)
      return false;
    sizes_.push_back(bytes.size());
    bytes_ += bytes.size();
    relays_->bytes_ += bytes.size();
    stream_->Write(std::move(bytes));
    return true;
  }

  static absl::Status NoFrame() {
    return absl::InvalidArgumentError("bytes that are no RelayRequest");
  }

  wire::NodeIdentity self, to;

 private:
  friend class Relays;

  void CountTaken() {
    while (sizes_.size() > stream_->queued()) {
      bytes_ -= sizes_.front();
      relays_->bytes_ -= sizes_.front();
      sizes_.pop_front();
    }
  }

  Relays* const relays_;
  const uint64_t id_;
  const std::unique_ptr<Stream> stream_;
  uint64_t relay_ = 0;  // 0: it has not said what it is for
  bool over_ = false;
  std::string early_;         // the frame that waits for the other end
  std::deque<size_t> sizes_;  // of frames that the transport has not taken
  size_t bytes_ = 0;
};

Relays::Relays(Coordinator::Core* core) : core_(core) {}
Relays::~Relays() = default;

void Relays::Listen() {
  if (core_->options.relays_max == 0) return;
  core_->deps.transport->Listen(
      StreamKind::kRelay,
      [weak = core_->weak_from_this()](std::unique_ptr<Stream> stream) -> StreamHandler* {
        std::shared_ptr<Coordinator::Core> core = weak.lock();
        // Streams of which nobody has said yet what they are for, besides those in use.
        if (!core || core->relays.ends_.size() >= 4 * core->options.relays_max) return nullptr;
        Relays& self = core->relays;
        std::unique_ptr<End>& end = self.ends_[++self.last_id_];
        end = std::make_unique<End>(&self, self.last_id_, std::move(stream));
        return end.get();
      });
}

void Relays::OnFirst(End* end, const pb::RelayRequest& request) {
  end->self = {request.from_node_id(), request.from_incarnation()};
  end->to = {request.to_node_id(), request.to_incarnation()};
  for (const wire::NodeIdentity& id : {end->self, end->to}) {
    const Member* member = core_->members.FindLive(id.node_id, id.incarnation);
    if (member == nullptr || member->control == nullptr || !member->control->greeted) {
      return Close(end, absl::UnavailableError(fmt::format("node {}:{} cannot be reached from the "
                                                           "coordinator",
                                                           id.node_id, id.incarnation)));
    }
  }
  request.relay_id() == 0 ? Ask(end) : Answer(end, request.relay_id());
}

void Relays::Ask(End* end) {
  const Member* to = core_->members.FindLive(end->to.node_id, end->to.incarnation);
  if (to->suspect || (to->control->features & feature::kRelay) == 0) {
    return Close(end, absl::UnavailableError(
                          fmt::format("node {} takes no relayed sessions now", to->name())));
  }
  // Whoever asks again has given up what it asked for before.
  if (auto before = asked_.find({end->self.node_id, end->to.node_id}); before != asked_.end())
    Close(pairs_[before->second].ends[0], absl::AbortedError("asked for anew"));
  if (pairs_.size() >= core_->options.relays_max) {
    return Close(end,
                 absl::ResourceExhaustedError(fmt::format(
                     "{} sessions between nodes are relayed already (relays-max)", pairs_.size())));
  }
  // Never used again: not in another term either.
  end->relay_ = uint64_t{core_->epoch} << 32 | ++last_relay_;
  pairs_[end->relay_].ends[0] = end;
  asked_[{end->self.node_id, end->to.node_id}] = end->relay_;
  pb::RelayOffer offer;
  offer.set_relay_id(end->relay_);
  offer.set_from_node_id(end->self.node_id);
  offer.set_from_incarnation(end->self.incarnation);
  to->control->SendRelayOffer(offer);
}

void Relays::Answer(End* end, uint64_t relay_id) {
  auto it = pairs_.find(relay_id);
  if (it == pairs_.end() || it->second.ends[1] != nullptr || it->second.ends[0]->to != end->self ||
      it->second.ends[0]->self != end->to) {
    return Close(end, absl::UnavailableError("nobody waits for this session any more"));
  }
  end->relay_ = relay_id;
  it->second.ends[1] = end;
  if (!it->second.ends[0]->early_.empty()) end->Send(std::exchange(it->second.ends[0]->early_, ""));
  Tell(*end);
}

void Relays::Forward(End* from, std::string bytes) {
  pb::RelayRequest request;
  if (!request.ParseFromString(bytes)) return Close(from, End::NoFrame());
  pb::RelayResponse response;
  response.set_from_node_id(from->self.node_id);
  response.mutable_batch()->swap(*request.mutable_batch());
  response.set_taken(request.taken());
  std::string out = response.SerializeAsString();
  const Pair& pair = pairs_[from->relay_];
  End* other = pair.ends[0] == from ? pair.ends[1] : pair.ends[0];
  if (other == nullptr) {
    // Its hello. Whoever says more before that is answered breaks the rules.
    if (!from->early_.empty() || out.size() > kBytesMax)
      return Close(from, absl::ResourceExhaustedError("more than a hello before it is answered"));
    from->early_ = std::move(out);
    return;
  }
  if (!other->Send(std::move(out)))
    Close(from, absl::ResourceExhaustedError("the other node does not take what is relayed to it"));
}

void Relays::OnNodeGone(uint32_t node_id, uint32_t incarnation) {
  const wire::NodeIdentity gone{node_id, incarnation};
  std::vector<uint64_t> over;
  for (const auto& [id, end] : ends_) {
    if (end->self == gone || end->to == gone) over.push_back(id);
  }
  for (uint64_t id : over) {
    auto it = ends_.find(id);
    if (it != ends_.end()) Close(it->second.get(), absl::UnavailableError("its node is gone"));
  }
}

// After what is queued has been sent: a session's last frame says why it ends.
void Relays::Close(End* end, const absl::Status& status) {
  auto it = pairs_.find(end->relay_);
  if (it == pairs_.end()) {
    end->stream_->Close(status);
    return Forget(end);
  }
  const Pair pair = it->second;
  asked_.erase({pair.ends[0]->self.node_id, pair.ends[0]->to.node_id});
  pairs_.erase(it);
  for (End* e : pair.ends) {
    if (e == nullptr) continue;
    e->stream_->Close(status);
    Forget(e);
  }
}

// Destroyed later: the caller may be its own.
void Relays::Forget(End* end) {
  end->over_ = true;
  ended_.push_back(std::move(ends_.extract(end->id_).mapped()));
  core_->deps.executor->Post([weak = core_->weak_from_this()] {
    if (std::shared_ptr<Coordinator::Core> core = weak.lock()) core->relays.ended_.clear();
  });
}

// Once for two nodes: an operator wants to know that their network is broken, not each time that it
// is noticed.
void Relays::Tell(const End& end) {
  if (told_.size() >= core_->options.relays_max) told_.clear();
  if (!told_.insert(std::minmax(end.self.node_id, end.to.node_id)).second) return;
  auto name = [&](uint32_t id) { return core_->members.FindById(id)->name(); };
  core_->Run([&] {
    core_->cluster_events.AddAlarm(
        fmt::format("nodes {} and {} cannot reach each other: what they say to each other goes "
                    "through the coordinator",
                    name(end.to.node_id), name(end.self.node_id)));
  });
}

}  // namespace banyan
