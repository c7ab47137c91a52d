# Compiler, warnings, sanitizers, linker and cache: what every target of the project shares.

if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
  message(FATAL_ERROR
    "Banyan does not build with g++: g++ 12 miscompiles coroutines without a warning (temporaries in "
    "an expression with co_await are destroyed twice). Configure with Debian's clang++-19, e.g. "
    "`cmake --preset release` or `-DCMAKE_CXX_COMPILER=clang++-19`.")
endif()
if(NOT CMAKE_CXX_COMPILER_ID STREQUAL "Clang" OR CMAKE_CXX_COMPILER_VERSION VERSION_LESS 19)
  message(FATAL_ERROR
    "Banyan needs clang 19 or newer (found ${CMAKE_CXX_COMPILER_ID} ${CMAKE_CXX_COMPILER_VERSION}): "
    "older ones lack parts of C++20 that it uses. On Debian 12: apt-get install clang-19.")
endif()

set(CMAKE_CXX_STANDARD 20)
set(CMAKE_CXX_STANDARD_REQUIRED ON)
set(CMAKE_CXX_EXTENSIONS OFF)
set(CMAKE_POSITION_INDEPENDENT_CODE ON)

set(BANYAN_SANITIZE "" CACHE STRING "Sanitizers, comma separated (address,undefined or thread)")
option(BANYAN_WERROR "Warnings are errors" OFF)

add_library(banyan_options INTERFACE)
target_include_directories(banyan_options INTERFACE "$<BUILD_INTERFACE:${PROJECT_SOURCE_DIR}>"
  "$<INSTALL_INTERFACE:include/banyan>")
set(warnings
  -Wall -Wextra -Wno-unused-parameter -Wno-missing-field-initializers -Wthread-safety
  -Wno-missing-designated-field-initializers)
if(BANYAN_WERROR)
  list(APPEND warnings -Werror)
endif()
target_compile_options(banyan_options INTERFACE "$<BUILD_INTERFACE:${warnings}>")

# clang 18 began to mangle constrained template parameters in a way that g++ 12, which built Debian's Abseil
# and gRPC, does not: without this, absl::Cord's constructors are undefined at link time.
add_compile_options(-fclang-abi-compat=17)

set(CMAKE_CXX_FLAGS_DEBUG "-O1 -g1 -fno-omit-frame-pointer")
set(CMAKE_CXX_FLAGS_RELEASE "-O2 -g1")
if(BANYAN_SANITIZE)
  # Set for all targets, generated code too: mixed binaries hide container overflows.
  add_compile_options(-fsanitize=${BANYAN_SANITIZE} -fno-sanitize-recover=all)
  add_link_options(-fsanitize=${BANYAN_SANITIZE})
  if(BANYAN_SANITIZE MATCHES "undefined")
    # A check at every access to memory: a fifth of the compile time, for what ASan or the processor finds anyway.
    add_compile_options(-fno-sanitize=null,alignment,object-size,vptr)
  endif()
endif()

find_program(BANYAN_MOLD mold)
find_program(BANYAN_LLD ld.lld-19)
if(BANYAN_MOLD)
  add_link_options(-fuse-ld=mold)
elseif(BANYAN_LLD)
  add_link_options(-fuse-ld=${BANYAN_LLD})
endif()

find_program(BANYAN_CCACHE ccache)
if(BANYAN_CCACHE)
  set(CMAKE_CXX_COMPILER_LAUNCHER
    ${CMAKE_COMMAND} -E env CCACHE_SLOPPINESS=pch_defines,time_macros,include_file_mtime,include_file_ctime
    ${BANYAN_CCACHE})
endif()
