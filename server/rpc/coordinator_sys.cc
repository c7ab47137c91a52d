#include <algorithm>
#include <utility>

#include "server/rpc/call_deadline.h"
#include "server/rpc/coordinator_routes.h"

namespace banyan::rpc {

// All of Sys is done by the node that hosts the process.
#define BANYAN_ROUTE(Method)                                                                \
  void CoordinatorBackend::Method(const CallContext& context, v1::Method##Request* request, \
                                  Answer<v1::Method##Response> answer) {                    \
    Route<v1::Method##Request, v1::Method##Response>(                                       \
        context, std::move(*request), TargetOf<v1::Method##Request>, method::k##Method,     \
        SysDeadline(context, deps_.clock->Now()), std::move(answer));                       \
  }
BANYAN_ROUTE(GetState)
BANYAN_ROUTE(ReplaceState)
BANYAN_ROUTE(GetStatus)
BANYAN_ROUTE(Suspend)
BANYAN_ROUTE(Resume)
BANYAN_ROUTE(SetDebug)
BANYAN_ROUTE(GetStatistics)
BANYAN_ROUTE(ChangeCode)
BANYAN_ROUTE(Terminate)
#undef BANYAN_ROUTE

}  // namespace banyan::rpc
