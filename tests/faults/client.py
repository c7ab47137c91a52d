"""A client of one server: the public API in a test's words."""
import uuid

import grpc

CALL_SECONDS_MAX = 20


def reason_of(pb, error):
    """The word that programs branch on."""
    for key, value in error.trailing_metadata() or ():
        if key == "grpc-status-details-bin":
            info = pb.error_details_pb2.ErrorInfo()
            for detail in pb.status_pb2.Status.FromString(value).details:
                if detail.Unpack(info):
                    return info.reason
    return error.code().name


class Client:
    def __init__(self, pb, address):
        self.pb = pb
        self.channel = grpc.insecure_channel(address, [
            ("grpc.use_local_subchannel_pool", 1), ("grpc.max_receive_message_length", -1),
            ("grpc.max_send_message_length", -1)])
        self.actors = pb.actors_pb2_grpc.ActorsStub(self.channel)
        self.supervisors = pb.supervisors_pb2_grpc.SupervisorsStub(self.channel)
        self.members = pb.cluster_pb2_grpc.ClusterStub(self.channel)

    def close(self):
        self.channel.close()

    def named(self, name):
        return self.pb.types_pb2.Target(name=name)

    def at(self, supervisor, child):
        path = self.pb.types_pb2.ChildPath(supervisor=supervisor, child_ids=[child])
        return self.pb.types_pb2.Target(child=path)

    # --- processes

    def call(self, target, message, reply, seconds=CALL_SECONDS_MAX):
        request = self.pb.actors_pb2.CallRequest(target=target)
        request.payload.value.Pack(message)
        request.timeout.FromMilliseconds(int(seconds * 1000))
        self.actors.Call(request, timeout=seconds).payload.value.Unpack(reply)
        return reply

    def order(self, target, text, seconds=CALL_SECONDS_MAX):
        """What the probe `target` (a name or a Target) answers."""
        target = self.named(target) if isinstance(target, str) else target
        return self.call(target, self.pb.kv_pb2.Get(key=text), self.pb.kv_pb2.GetReply(), seconds).value.decode()

    def cast(self, target, text):
        request = self.pb.actors_pb2.CastRequest(target=self.named(target))
        request.payload.value.Pack(self.pb.kv_pb2.Get(key=text))
        request.ack = self.pb.actors_pb2.ACK_ENQUEUED
        self.actors.Cast(request, timeout=CALL_SECONDS_MAX)

    def pid(self, name):
        """The numbers of its pid, as the probe takes them."""
        request = self.pb.actors_pb2.WhereisRequest(target=self.named(name))
        pid = self.actors.Whereis(request, timeout=CALL_SECONDS_MAX).pid
        return f"{pid.node_id} {pid.incarnation} {pid.id}"

    # --- supervisors

    def child(self, id, module="probe", options=None, **more):
        spec = self.pb.types_pb2.ChildSpec(
            id=id, start=self.pb.types_pb2.StartSpec(module=module, name=id), **more)
        if options:
            args = self.pb.kv_pb2.KvArgs()
            for key, value in options.items():
                args.initial[key] = str(value).encode()
            spec.start.args.add().value.Pack(args)
        return spec

    def on(self, node):
        """Preferably there."""
        types = self.pb.types_pb2
        there = types.Constraint(key="banyan/node", op=types.Constraint.OPERATOR_IN, values=[node])
        return types.Placement(preferences=[types.Preference(constraint=there, weight=100)])

    def only_on(self, node):
        return self.pb.types_pb2.Placement(node=node)

    def start_supervisor(self, name, children=(), seconds=CALL_SECONDS_MAX, **flags):
        spec = self.pb.types_pb2.SupervisorSpec(children=children, **flags)
        if not spec.strategy:
            spec.strategy = spec.STRATEGY_ONE_FOR_ONE
        request = self.pb.supervisors_pb2.StartSupervisorRequest(
            spec=spec, name=name, cluster_wide=True, request_id=str(uuid.uuid4()))
        return self.supervisors.StartSupervisor(request, timeout=seconds)

    def start_child(self, supervisor, spec, request_id=None, seconds=CALL_SECONDS_MAX):
        request = self.pb.supervisors_pb2.StartChildRequest(
            supervisor=self.named(supervisor), spec=spec, request_id=request_id or str(uuid.uuid4()))
        return self.supervisors.StartChild(request, timeout=seconds).child

    def terminate_child(self, supervisor, id, seconds=CALL_SECONDS_MAX):
        request = self.pb.supervisors_pb2.TerminateChildRequest(
            supervisor=self.named(supervisor), child_id=id, request_id=str(uuid.uuid4()))
        return self.supervisors.TerminateChild(request, timeout=seconds)

    def children(self, supervisor):
        """{id: ChildInfo}"""
        request = self.pb.supervisors_pb2.ListChildrenRequest(supervisor=self.named(supervisor))
        out = {}
        while True:
            page = self.supervisors.ListChildren(request, timeout=CALL_SECONDS_MAX)
            out.update((c.id, c) for c in page.children)
            if not page.next_page_token:
                return out
            request.page_token = page.next_page_token

    def supervisor(self, name):
        """Its SupervisorInfo."""
        request = self.pb.supervisors_pb2.ListSupervisorsRequest()
        infos = self.supervisors.ListSupervisors(request, timeout=CALL_SECONDS_MAX).supervisors
        return next(s for s in infos if s.name == name)

    # --- members

    def node(self, name):
        """Its NodeInfo, or None."""
        try:
            request = self.pb.cluster_pb2.GetNodeRequest(name=name)
            return self.members.GetNode(request, timeout=CALL_SECONDS_MAX).node
        except grpc.RpcError as e:
            if e.code() == grpc.StatusCode.NOT_FOUND:
                return None
            raise
