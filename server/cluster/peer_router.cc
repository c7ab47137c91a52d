#include "server/cluster/peer_router.h"

#include "server/cluster/router_core.h"

namespace banyan {

PeerRouter::PeerRouter(Deps deps, PeerOptions options, Hooks hooks)
    : core_(std::make_shared<Core>(deps, options, std::move(hooks))) {}
PeerRouter::~PeerRouter() = default;

void PeerRouter::Listen() { core_->Listen(); }
void PeerRouter::Route(SignalPtr signal) { core_->Route(std::move(signal)); }
bool PeerRouter::Busy(uint32_t node_id) const { return core_->Busy(node_id); }
std::optional<Pid> PeerRouter::FindNode(const std::string& name) const {
  return core_->FindNode(name);
}
void PeerRouter::SetIdentity(std::string cluster_id, wire::NodeIdentity self) {
  core_->SetIdentity(std::move(cluster_id), self);
}
void PeerRouter::ClearIdentity() { core_->ClearIdentity(); }
void PeerRouter::SetPeer(wire::NodeIdentity peer, std::string address) {
  core_->SetPeer(peer, std::move(address));
}
void PeerRouter::SetPeerGone(wire::NodeIdentity peer) { core_->SetPeerGone(peer); }
void PeerRouter::SetRelay(std::string coordinator) { core_->SetRelay(std::move(coordinator)); }
void PeerRouter::OnRelayOffer(uint64_t relay_id, wire::NodeIdentity from) {
  core_->OnRelayOffer(relay_id, from);
}
std::vector<PeerRouter::PeerState> PeerRouter::Peers() const { return core_->Peers(); }
PeerRouter::Stats PeerRouter::stats() const { return core_->stats(); }
void PeerRouter::DropSessionForTest(uint32_t node_id) { core_->DropSession(node_id); }

}  // namespace banyan
