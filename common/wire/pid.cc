#include "common/wire/pid.h"

namespace banyan::wire {

Pid Export(Pid pid, const NodeIdentity& self) {
  if (!pid.valid() || !pid.local() || pid.incarnation != 0) return pid;
  return Pid{self.node_id, self.incarnation, pid.id};
}

Pid Import(Pid pid, const NodeIdentity& self) {
  if (pid.node_id != self.node_id || pid.incarnation != self.incarnation) return pid;
  return Pid{0, 0, pid.id};
}

void ToProto(Pid pid, const NodeIdentity& self, v1::Pid* out) {
  const Pid global = Export(pid, self);
  out->set_node_id(global.node_id);
  out->set_incarnation(global.incarnation);
  out->set_id(global.id);
}

v1::Pid ToProto(Pid pid, const NodeIdentity& self) {
  v1::Pid out;
  ToProto(pid, self, &out);
  return out;
}

Pid FromProto(const v1::Pid& in, const NodeIdentity& self) {
  return Import(Pid{in.node_id(), in.incarnation(), in.id()}, self);
}

}  // namespace banyan::wire
