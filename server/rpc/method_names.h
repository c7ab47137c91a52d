#pragma once

// Full names of the RPCs that servers pass on to each other.
namespace banyan::rpc::method {

#define BANYAN_NAME(Service, Method) \
  inline constexpr char k##Method[] = "/banyan.v1." #Service "/" #Method;
BANYAN_NAME(Actors, Call)
BANYAN_NAME(Actors, Cast)
BANYAN_NAME(Actors, Send)
BANYAN_NAME(Actors, Spawn)
BANYAN_NAME(Actors, Exit)
BANYAN_NAME(Actors, Whereis)
BANYAN_NAME(Actors, GetActor)
BANYAN_NAME(Actors, ListActors)
BANYAN_NAME(Actors, Monitor)
BANYAN_NAME(Supervisors, StartSupervisor)
BANYAN_NAME(Supervisors, StopSupervisor)
BANYAN_NAME(Supervisors, StartChild)
BANYAN_NAME(Supervisors, TerminateChild)
BANYAN_NAME(Supervisors, RestartChild)
BANYAN_NAME(Supervisors, DeleteChild)
BANYAN_NAME(Supervisors, GetChildSpec)
BANYAN_NAME(Supervisors, ListChildren)
BANYAN_NAME(Supervisors, CountChildren)
BANYAN_NAME(Supervisors, ListSupervisors)
BANYAN_NAME(Supervisors, GetTree)
BANYAN_NAME(Supervisors, WaitOperation)
BANYAN_NAME(Supervisors, WatchEvents)
BANYAN_NAME(Cluster, GetCluster)
BANYAN_NAME(Cluster, ListNodes)
BANYAN_NAME(Cluster, GetNode)
BANYAN_NAME(Cluster, ListModules)
BANYAN_NAME(Cluster, ConfirmDead)
BANYAN_NAME(Cluster, Cordon)
BANYAN_NAME(Cluster, Uncordon)
BANYAN_NAME(Cluster, Drain)
BANYAN_NAME(Cluster, RemoveNode)
BANYAN_NAME(Cluster, WatchCluster)
BANYAN_NAME(Registry, Register)
BANYAN_NAME(Registry, Unregister)
BANYAN_NAME(Registry, Lookup)
BANYAN_NAME(Registry, ListNames)
#undef BANYAN_NAME

}  // namespace banyan::rpc::method
