# The functions that declare targets. One static library per second-level folder.

# For code that no test runs in a loop: a debug build compiles it in half the time without optimisation.
set(BANYAN_QUICK_OPTIONS "$<$<CONFIG:Debug>:-O0>")

# A clean build is dominated by the headers and templates that files share: compiled six at a time they take half the
# time, and a change of one of the six takes longer. So the presets have it on, and the names of an unnamed namespace
# must be unique in their folder. -DBANYAN_UNITY=OFF while you work on it; build once with it before you push.
option(BANYAN_UNITY "Compile the files of a target in batches" OFF)
set(CMAKE_UNITY_BUILD_BATCH_SIZE 6)

# banyan_library(NAME SOURCES a.cc ... [DEPS banyan::x ...] [PCH core|grpc] [QUICK])
# Declares the static library banyan_NAME with the alias banyan::NAME. DEPS are public. A library
# without sources is an INTERFACE one. QUICK: not optimised in a debug build.
function(banyan_library name)
  cmake_parse_arguments(A "QUICK" "PCH" "SOURCES;DEPS" ${ARGN})
  if(A_SOURCES)
    add_library(banyan_${name} STATIC ${A_SOURCES})
    target_link_libraries(banyan_${name} PUBLIC banyan_options ${A_DEPS})
    set_target_properties(banyan_${name} PROPERTIES UNITY_BUILD ${BANYAN_UNITY})
    if(A_QUICK)
      banyan_quick(banyan_${name})
      banyan_pch(banyan_${name} "${A_PCH}" _quick)
    else()
      banyan_pch(banyan_${name} "${A_PCH}" "")
    endif()
  else()
    add_library(banyan_${name} INTERFACE)
    target_link_libraries(banyan_${name} INTERFACE banyan_options ${A_DEPS})
  endif()
  add_library(banyan::${name} ALIAS banyan_${name})
endfunction()

# banyan_program(NAME SOURCES ... DEPS ... [PCH core|grpc] [QUICK]): an executable called NAME in build/PRESET/bin.
function(banyan_program name)
  cmake_parse_arguments(A "QUICK" "PCH" "SOURCES;DEPS" ${ARGN})
  add_executable(${name} ${A_SOURCES})
  target_link_libraries(${name} PRIVATE banyan_options ${A_DEPS})
  set_target_properties(${name} PROPERTIES RUNTIME_OUTPUT_DIRECTORY "${CMAKE_BINARY_DIR}/bin")
  if(A_QUICK)
    banyan_quick(${name})
    banyan_pch(${name} "${A_PCH}" _quick)
  else()
    banyan_pch(${name} "${A_PCH}" "")
  endif()
endfunction()

# banyan_test(NAME LABEL unit|conformance|sim|integration|fuzz SOURCES ... DEPS ... [PCH core|grpc])
# One GoogleTest program, QUICK; ctest sees each of its cases. A source that does not exist fails here.
function(banyan_test name)
  cmake_parse_arguments(A "" "LABEL;PCH;TIMEOUT" "SOURCES;DEPS" ${ARGN})
  if(NOT A_LABEL)
    message(FATAL_ERROR "banyan_test(${name}): LABEL is missing")
  endif()
  if(NOT A_TIMEOUT)
    set(A_TIMEOUT 120)
  endif()
  add_executable(${name} ${A_SOURCES})
  target_link_libraries(${name} PRIVATE banyan_options ${A_DEPS} GTest::gmock GTest::gtest_main)
  set_target_properties(${name} PROPERTIES RUNTIME_OUTPUT_DIRECTORY "${CMAKE_BINARY_DIR}/tests"
    UNITY_BUILD ${BANYAN_UNITY})
  banyan_quick(${name})
  banyan_pch(${name} "${A_PCH}" _test)
  add_test(NAME ${A_LABEL}.${name} COMMAND ${name})
  set_tests_properties(${A_LABEL}.${name} PROPERTIES LABELS ${A_LABEL} TIMEOUT ${A_TIMEOUT})
  banyan_test_group(${A_LABEL} ${name})
endfunction()

# banyan_test_group(LABEL TARGET): the target tests_LABEL builds TARGET, so that `tests/run LABEL` builds no more
# than it runs.
function(banyan_test_group label target)
  if(NOT TARGET tests_${label})
    add_custom_target(tests_${label})
  endif()
  add_dependencies(tests_${label} ${target})
endfunction()

# banyan_quick(TARGET): no optimisation in a debug build.
function(banyan_quick target)
  target_compile_options(${target} PRIVATE ${BANYAN_QUICK_OPTIONS})
endfunction()

# The precompiled header of the target's kind in the variant for its flags: _quick, _test or none.
function(banyan_pch target kind variant)
  if(kind STREQUAL "" OR kind STREQUAL "none")
    return()
  endif()
  if(NOT TARGET banyan_pch_${kind}${variant})
    message(FATAL_ERROR "${target}: no precompiled header of kind '${kind}' (core, grpc)")
  endif()
  # The header was compiled with -fPIC as libraries are; clang refuses it to a target with -fPIE.
  get_target_property(type ${target} TYPE)
  if(type STREQUAL "EXECUTABLE")
    set_target_properties(${target} PROPERTIES POSITION_INDEPENDENT_CODE OFF)
    target_compile_options(${target} PRIVATE -fPIC)
  endif()
  target_precompile_headers(${target} REUSE_FROM banyan_pch_${kind}${variant})
  # For its include folders; nothing that is installed needs it.
  target_link_libraries(${target} PRIVATE $<BUILD_INTERFACE:banyan_pch_${kind}${variant}>)
endfunction()

# banyan_proto(TARGET t PROTOS a/v1/x.proto ... [GRPC] [DEPS t2]): generated code, no warnings, no debug info.
function(banyan_proto)
  cmake_parse_arguments(A "GRPC" "TARGET" "PROTOS;DEPS" ${ARGN})
  set(root "${PROJECT_SOURCE_DIR}/proto")
  set(out "${CMAKE_BINARY_DIR}/gen")
  file(MAKE_DIRECTORY "${out}")
  foreach(p IN LISTS A_PROTOS)
    string(REGEX REPLACE "\\.proto$" "" b "${p}")
    set(gen "${out}/${b}.pb.cc" "${out}/${b}.pb.h")
    set(args "--cpp_out=${out}")
    if(A_GRPC)
      list(APPEND gen "${out}/${b}.grpc.pb.cc" "${out}/${b}.grpc.pb.h")
      list(APPEND args "--grpc_out=${out}" "--plugin=protoc-gen-grpc=$<TARGET_FILE:gRPC::grpc_cpp_plugin>")
    endif()
    add_custom_command(OUTPUT ${gen}
      COMMAND protobuf::protoc -I "${root}" ${args} "${root}/${p}"
      DEPENDS "${root}/${p}" protobuf::protoc gRPC::grpc_cpp_plugin VERBATIM)
    list(APPEND srcs ${gen})
    list(APPEND messages "${out}/${b}.pb.cc")
  endforeach()
  add_library(${A_TARGET} STATIC ${srcs})
  target_include_directories(${A_TARGET} SYSTEM PUBLIC "$<BUILD_INTERFACE:${out}>"
    "$<INSTALL_INTERFACE:include/banyan>")
  target_link_libraries(${A_TARGET} PUBLIC protobuf::libprotobuf gRPC::grpc++ ${A_DEPS})
  target_compile_options(${A_TARGET} PRIVATE -w -g0 ${BANYAN_QUICK_OPTIONS})
  # Services compile together; the files of messages use names of their own for the same things.
  set_target_properties(${A_TARGET} PROPERTIES UNITY_BUILD ${BANYAN_UNITY})
  set_source_files_properties(${messages} PROPERTIES SKIP_UNITY_BUILD_INCLUSION ON)
endfunction()
