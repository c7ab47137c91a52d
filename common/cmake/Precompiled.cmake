# The precompiled headers, one per kind of target: `core` for what knows no gRPC, `grpc` for the rest. A header serves
# the flags that it was compiled with, so there is each also as KIND_quick, for targets that a debug build does not
# optimise, and as KIND_test, quick and with GoogleTest.
file(WRITE "${CMAKE_BINARY_DIR}/pch/empty.cc.in" "// Carries a precompiled header.\n")
configure_file("${CMAKE_BINARY_DIR}/pch/empty.cc.in" "${CMAKE_BINARY_DIR}/pch/empty.cc" COPYONLY)

# banyan_precompile(NAME HEADERS ... DEPS ... [OPTIONS ...])
function(banyan_precompile name)
  cmake_parse_arguments(A "" "" "HEADERS;DEPS;OPTIONS" ${ARGN})
  add_library(banyan_pch_${name} STATIC "${CMAKE_BINARY_DIR}/pch/empty.cc")
  target_link_libraries(banyan_pch_${name} PUBLIC ${A_DEPS})
  target_precompile_headers(banyan_pch_${name} PRIVATE ${A_HEADERS})
  target_compile_options(banyan_pch_${name} PRIVATE "SHELL:-Xclang -fno-pch-timestamp" ${A_OPTIONS})
endfunction()

# banyan_precompile_kind(KIND HEADERS ... DEPS ...)
function(banyan_precompile_kind kind)
  cmake_parse_arguments(A "" "" "HEADERS;DEPS" ${ARGN})
  banyan_precompile(${kind} HEADERS ${A_HEADERS} DEPS ${A_DEPS})
  banyan_precompile(${kind}_quick HEADERS ${A_HEADERS} DEPS ${A_DEPS} OPTIONS ${BANYAN_QUICK_OPTIONS})
  banyan_precompile(${kind}_test HEADERS ${A_HEADERS} <gmock/gmock.h> <gtest/gtest.h>
    DEPS ${A_DEPS} GTest::gmock OPTIONS ${BANYAN_QUICK_OPTIONS})
endfunction()

set(core_headers
  <algorithm> <atomic> <chrono> <coroutine> <cstdint> <deque> <functional> <map> <memory> <optional> <set> <string>
  <string_view> <unordered_map> <utility> <variant> <vector>
  <absl/container/flat_hash_map.h> <absl/status/status.h> <absl/status/statusor.h> <absl/time/time.h>
  <fmt/format.h>)
set(core_deps
  banyan_options absl::status absl::statusor absl::strings absl::time absl::flat_hash_map
  absl::flat_hash_set absl::span absl::inlined_vector fmt::fmt)
banyan_precompile_kind(core HEADERS ${core_headers} DEPS ${core_deps})
if(BANYAN_GRPC)
  banyan_precompile_kind(grpc
    HEADERS ${core_headers} <grpcpp/grpcpp.h>
      <banyan/v1/actors.pb.h> <banyan/v1/supervisors.pb.h> <banyan/v1/cluster.pb.h> <banyan/v1/registry.pb.h>
      <banyan/internal/v1/membership.pb.h>
    DEPS ${core_deps} banyan_proto_internal)
endif()
