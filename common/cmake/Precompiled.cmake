# The precompiled headers, one library per kind: `core` for what knows no gRPC, `grpc` for the rest.
file(WRITE "${CMAKE_BINARY_DIR}/pch/empty.cc.in" "// Carries a precompiled header.\n")
configure_file("${CMAKE_BINARY_DIR}/pch/empty.cc.in" "${CMAKE_BINARY_DIR}/pch/empty.cc" COPYONLY)

add_library(banyan_pch_core STATIC "${CMAKE_BINARY_DIR}/pch/empty.cc")
target_link_libraries(banyan_pch_core PUBLIC
  banyan_options absl::status absl::statusor absl::strings absl::time absl::flat_hash_map
  absl::flat_hash_set absl::span absl::inlined_vector fmt::fmt)
target_precompile_headers(banyan_pch_core PRIVATE
  <algorithm> <atomic> <chrono> <coroutine> <cstdint> <deque> <functional> <map> <memory> <optional> <set> <string>
  <string_view> <unordered_map> <utility> <variant> <vector>
  <absl/container/flat_hash_map.h> <absl/status/status.h> <absl/status/statusor.h> <absl/time/time.h>
  <fmt/format.h>)
target_compile_options(banyan_pch_core PRIVATE "SHELL:-Xclang -fno-pch-timestamp")

if(BANYAN_GRPC)
  add_library(banyan_pch_grpc STATIC "${CMAKE_BINARY_DIR}/pch/empty.cc")
  target_link_libraries(banyan_pch_grpc PUBLIC banyan_pch_core banyan_proto_internal)
  target_precompile_headers(banyan_pch_grpc PRIVATE
    <algorithm> <atomic> <chrono> <coroutine> <cstdint> <deque> <functional> <map> <memory> <optional> <set> <string>
    <string_view> <unordered_map> <utility> <variant> <vector>
    <absl/container/flat_hash_map.h> <absl/status/status.h> <absl/status/statusor.h> <absl/time/time.h>
    <fmt/format.h> <grpcpp/grpcpp.h>
    <banyan/v1/actors.pb.h> <banyan/v1/supervisors.pb.h> <banyan/v1/cluster.pb.h> <banyan/v1/registry.pb.h>
    <banyan/internal/v1/membership.pb.h>)
  target_compile_options(banyan_pch_grpc PRIVATE "SHELL:-Xclang -fno-pch-timestamp")
endif()
