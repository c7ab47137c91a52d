#include "tests/support/sim_transport.h"

#include <algorithm>
#include <utility>
#include <vector>

namespace banyan::testing {

class SimStream : public Stream {
 public:
  SimStream(SimNetwork* network, uint64_t conn, int end, std::string peer)
      : network_(network), conn_(conn), end_(end), peer_(std::move(peer)) {}

  ~SimStream() override {
    auto it = network_->conns_.find(conn_);
    if (it == network_->conns_.end()) return;
    SimNetwork::End& end = it->second.ends[end_];
    end.handler = nullptr;
    if (end.over) return;
    end.over = true;
    Send({.last = true, .status = absl::CancelledError("the other side dropped the stream")});
  }

  void Write(std::string bytes) override {
    if (closing_) return;
    Send({.bytes = std::move(bytes)});
  }
  size_t queued() const override {
    auto it = network_->conns_.find(conn_);
    if (!network_->count_queued_ || it == network_->conns_.end()) return 0;
    return it->second.lanes[end_].waiting.size();
  }

  void Close(absl::Status status) override {
    if (closing_) return;
    closing_ = true;
    // A server's status reaches the client; a client can only end orderly or not.
    absl::Status seen = status;
    if (end_ == 0 && !status.ok()) seen = absl::CancelledError("cancelled by the client");
    Send({.last = true, .status = seen});
    network_->CloseEndLater(conn_, end_, std::move(status));
  }

  void Abort() override {
    if (closing_) return;
    closing_ = true;
    Send({.last = true, .status = absl::CancelledError("aborted by the other side")});
    network_->CloseEnd(conn_, end_, absl::CancelledError("aborted"));
  }
  std::string peer() const override { return peer_; }

 private:
  void Send(SimNetwork::Frame frame) { network_->Send(conn_, end_, std::move(frame)); }

  SimNetwork* const network_;
  const uint64_t conn_;
  const int end_;
  const std::string peer_;
  bool closing_ = false;
};

// ------------------------------------------------------------------ transport

SimTransport::SimTransport(SimNetwork* network, std::string address, Executor* executor)
    : network_(network), address_(std::move(address)), executor_(executor) {
  network_->hosts_[address_] = this;
  network_->Reset(address_);
}

SimTransport::~SimTransport() {
  network_->hosts_.erase(address_);
  network_->muted_.erase(address_);
  for (auto& [id, conn] : network_->conns_) {
    for (int end : {0, 1}) {
      if (conn.ends[end].transport != this) continue;
      conn.ends[end].transport = nullptr;
      conn.ends[end].handler = nullptr;
      if (conn.ends[end].over) continue;
      conn.ends[end].over = true;
      network_->Send(id, end, {.last = true, .status = absl::UnavailableError("connection reset")});
    }
  }
}

std::unique_ptr<Stream> SimTransport::Dial(const std::string& address, StreamKind kind,
                                           StreamHandler* handler) {
  const uint64_t id = ++network_->last_conn_;
  if (id % 256 == 0) network_->Sweep();
  SimNetwork::Conn& conn = network_->conns_[id];
  conn.kind = kind;
  conn.ends[0] = {this, handler, false};
  conn.lanes[0].from = conn.lanes[1].to = address_;
  conn.lanes[0].to = conn.lanes[1].from = address;
  auto stream = std::make_unique<SimStream>(network_, id, 0, address);
  SimNetwork* network = network_;
  if (network->Blocked(address_, address) || network->Blocked(address, address_) ||
      !network->hosts_.contains(address)) {
    network->time_->ScheduleAt(network->time_->Now() + network->connect_timeout_, [network, id] {
      network->Cut(id, absl::UnavailableError("cannot connect"));
    });
    return stream;
  }
  const absl::Duration latency =
      network->latency_ ? network->latency_(address_, address) : absl::Milliseconds(1);
  const Instant at = network->time_->Now() + latency;
  conn.lanes[0].last_arrival = at;
  network->time_->ScheduleAt(at, [network, id] { network->Accept(id); });
  return stream;
}

// -------------------------------------------------------------------- network

bool SimNetwork::Blocked(const std::string& from, const std::string& to) const {
  return from != to &&
         (blocked_.contains({from, to}) || isolated_.contains(from) || isolated_.contains(to));
}

void SimNetwork::Accept(uint64_t id) {
  auto it = conns_.find(id);
  if (it == conns_.end()) return;
  Conn& conn = it->second;
  auto host = hosts_.find(conn.lanes[0].to);
  if (host == hosts_.end()) return Cut(id, absl::UnavailableError("connection refused"));
  auto acceptor = host->second->acceptors_.find(conn.kind);
  if (acceptor == host->second->acceptors_.end()) {
    return Cut(id, absl::UnimplementedError("nobody takes streams of this kind"));
  }
  conn.ends[1].transport = host->second;
  SimTransport* transport = host->second;
  transport->executor_->Post([this, id, transport] {
    auto found = conns_.find(id);
    if (found == conns_.end() || found->second.ends[1].transport != transport) return;
    const std::string from = found->second.lanes[0].from;
    StreamHandler* handler =
        transport->acceptors_[found->second.kind](std::make_unique<SimStream>(this, id, 1, from));
    found = conns_.find(id);
    if (found == conns_.end()) return;
    found->second.accepted = true;
    if (!found->second.ends[1].over) found->second.ends[1].handler = handler;
    Arrive(id, 0);
  });
}

void SimNetwork::Send(uint64_t id, int end, Frame frame) {
  auto it = conns_.find(id);
  if (it == conns_.end() || it->second.closed) return;
  Lane& lane = it->second.lanes[end];
  if (dark_.contains(lane.from) || (!frame.last && muted_.contains(lane.from))) return;
  if (end_tap_ && frame.last) end_tap_(id, lane.from, frame.status);
  if (tap_ && !frame.last) tap_(id, lane.from, lane.to, it->second.kind, frame.bytes);
  const absl::Duration latency = latency_ ? latency_(lane.from, lane.to) : absl::Milliseconds(1);
  lane.last_arrival = std::max(lane.last_arrival, time_->Now() + latency);
  frame.at = lane.last_arrival;
  lane.waiting.emplace(lane.next_in++, std::move(frame));
  time_->ScheduleAt(lane.last_arrival, [this, id, end] { Arrive(id, end); });
}

// Hands over what has arrived on the lane.
void SimNetwork::Arrive(uint64_t id, int lane_index) {
  auto it = conns_.find(id);
  if (it == conns_.end()) return;
  Conn& conn = it->second;
  Lane& lane = conn.lanes[lane_index];
  if (lane_index == 0 && !conn.accepted) return;
  if (Blocked(lane.from, lane.to)) return;  // Flush() goes on with it
  SimTransport* transport = conn.ends[1 - lane_index].transport;
  if (transport == nullptr) return;
  transport->executor_->Post([this, id, lane_index] { Deliver(id, lane_index); });
}

void SimNetwork::Deliver(uint64_t id, int lane_index) {
  while (true) {
    auto it = conns_.find(id);
    if (it == conns_.end()) return;
    Lane& lane = it->second.lanes[lane_index];
    auto first = lane.waiting.find(lane.next_out);
    if (first == lane.waiting.end() || Blocked(lane.from, lane.to)) return;
    if (first->second.at > time_->Now()) return;
    Frame frame = std::move(first->second);
    lane.waiting.erase(first);
    ++lane.next_out;
    const int to = 1 - lane_index;
    End& end = it->second.ends[to];
    if (end.over) continue;
    if (frame.last) {
      end.over = true;
      if (end.handler != nullptr) end.handler->OnClose(std::move(frame.status));
      return;
    }
    if (end.handler == nullptr) continue;
    if (delivery_tap_) delivery_tap_(id, lane.from, lane.to, it->second.kind, frame.bytes);
    end.handler->OnFrame(std::move(frame.bytes));
  }
}

// The side that closed hears of it too, later.
void SimNetwork::CloseEnd(uint64_t id, int end, absl::Status status) {
  auto it = conns_.find(id);
  if (it == conns_.end() || it->second.ends[end].over) return;
  SimTransport* transport = it->second.ends[end].transport;
  if (transport == nullptr) return;
  transport->executor_->Post([this, id, end, status = std::move(status)] {
    auto found = conns_.find(id);
    if (found == conns_.end() || found->second.ends[end].over) return;
    found->second.ends[end].over = true;
    StreamHandler* handler = found->second.ends[end].handler;
    if (handler != nullptr) handler->OnClose(status);
  });
}

void SimNetwork::CloseEndLater(uint64_t id, int end, absl::Status status) {
  auto it = conns_.find(id);
  if (it == conns_.end()) return;
  const absl::Duration linger = linger_ ? linger_(it->second.kind) : absl::ZeroDuration();
  if (linger <= absl::ZeroDuration()) return CloseEnd(id, end, std::move(status));
  time_->ScheduleAt(time_->Now() + linger,
                    [this, id, end, status = std::move(status)] { CloseEnd(id, end, status); });
}

void SimNetwork::Stall(const std::string& from, const std::string& to, StreamKind kind,
                       absl::Duration d) {
  for (auto& [id, conn] : conns_) {
    if (conn.kind != kind) continue;
    for (Lane& lane : conn.lanes) {
      if (lane.from == from && lane.to == to)
        lane.last_arrival = std::max(lane.last_arrival, time_->Now() + d);
    }
  }
}

void SimNetwork::Cut(uint64_t id, const absl::Status& status) {
  auto it = conns_.find(id);
  if (it == conns_.end()) return;
  it->second.closed = true;
  it->second.lanes[0].waiting.clear();
  it->second.lanes[1].waiting.clear();
  for (int end : {0, 1}) CloseEnd(id, end, status);
}

void SimNetwork::Break(const std::string& a, const std::string& b) {
  for (StreamKind kind : {StreamKind::kLease, StreamKind::kControl, StreamKind::kWatcher,
                          StreamKind::kPeer, StreamKind::kRelay}) {
    Break(a, b, kind);
  }
}

void SimNetwork::Break(const std::string& a, const std::string& b, StreamKind kind) {
  for (auto& [id, conn] : conns_) {
    const Lane& lane = conn.lanes[0];
    const bool between = (lane.from == a && lane.to == b) || (lane.from == b && lane.to == a);
    if (between && conn.kind == kind) Cut(id, absl::UnavailableError("connection reset"));
  }
}

size_t SimNetwork::OpenStreams(const std::string& a, const std::string& b) const {
  return static_cast<size_t>(std::count_if(conns_.begin(), conns_.end(), [&](const auto& entry) {
    const Conn& conn = entry.second;
    const Lane& lane = conn.lanes[0];
    const bool between = (lane.from == a && lane.to == b) || (lane.from == b && lane.to == a);
    return between && !conn.ends[0].over && !conn.ends[1].over;
  }));
}

void SimNetwork::BlockOneWay(const std::string& from, const std::string& to) {
  blocked_.insert({from, to});
}
void SimNetwork::Block(const std::string& a, const std::string& b) {
  BlockOneWay(a, b);
  BlockOneWay(b, a);
}
void SimNetwork::Heal(const std::string& a, const std::string& b) {
  blocked_.erase({a, b});
  blocked_.erase({b, a});
  Flush();
}
void SimNetwork::HealOneWay(const std::string& from, const std::string& to) {
  blocked_.erase({from, to});
  Flush();
}
void SimNetwork::HealAll() {
  blocked_.clear();
  isolated_.clear();
  Flush();
}
void SimNetwork::Isolate(const std::string& address) { isolated_.insert(address); }
void SimNetwork::Join(const std::string& address) {
  isolated_.erase(address);
  Flush();
}

// Streams that nobody holds any more.
void SimNetwork::Sweep() {
  for (auto it = conns_.begin(); it != conns_.end();) {
    const Conn& conn = it->second;
    const bool gone = conn.ends[0].over && conn.ends[0].handler == nullptr && conn.ends[1].over &&
                      conn.ends[1].handler == nullptr;
    it = gone ? conns_.erase(it) : std::next(it);
  }
}

void SimNetwork::PowerOff(const std::string& address) {
  for (auto& [id, conn] : conns_) {
    for (Lane& lane : conn.lanes) {
      if (lane.from != address) continue;
      lane.waiting.clear();
      lane.next_out = lane.next_in;
    }
  }
  dark_.insert(address);
}

// The machine is back and knows nothing of the streams it had.
void SimNetwork::Reset(const std::string& address) {
  if (dark_.erase(address) == 0) return;
  for (auto& [id, conn] : conns_) {
    for (int end : {0, 1}) {
      if (conn.lanes[end].from != address || conn.ends[end].transport != nullptr) continue;
      Send(id, end, {.last = true, .status = absl::UnavailableError("connection reset")});
    }
  }
}

bool SimNetwork::Inject(const std::string& from, const std::string& to, StreamKind kind,
                        std::string bytes) {
  for (auto& [id, conn] : conns_) {
    if (conn.kind != kind || !conn.accepted || conn.closed) continue;
    for (int lane : {0, 1}) {
      if (conn.lanes[lane].from != from || conn.lanes[lane].to != to) continue;
      if (conn.ends[0].over || conn.ends[1].over) continue;
      Send(id, lane, {.bytes = std::move(bytes)});
      return true;
    }
  }
  return false;
}

void SimNetwork::Flush() {
  Sweep();
  std::vector<uint64_t> ids;
  for (const auto& [id, conn] : conns_) {
    if (!conn.lanes[0].waiting.empty() || !conn.lanes[1].waiting.empty()) ids.push_back(id);
  }
  for (uint64_t id : ids) {
    for (int lane : {0, 1}) {
      time_->ScheduleAt(time_->Now(), [this, id, lane] { Arrive(id, lane); });
    }
  }
}

}  // namespace banyan::testing
