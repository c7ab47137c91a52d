# What `cmake --install` puts where. Components: `programs` (banyand, banyan) and `sdk`, the package
# banyan with the target banyan::sdk: what somebody needs who writes modules and behaviours and builds a
# node of his own. docs/sdk.md shows its use.
include(CMakePackageConfigHelpers)
include(GNUInstallDirs)

# Our libraries that TARGET needs, itself among them.
function(banyan_closure target out)
  set(todo ${target})
  set(seen)
  while(todo)
    list(POP_FRONT todo next)
    if(NOT TARGET ${next})
      continue()
    endif()
    get_target_property(aliased ${next} ALIASED_TARGET)
    if(aliased)
      set(next ${aliased})
    endif()
    if(NOT next MATCHES "^banyan_" OR next MATCHES "^banyan_pch_" OR next IN_LIST seen)
      continue()
    endif()
    list(APPEND seen ${next})
    get_target_property(links ${next} INTERFACE_LINK_LIBRARIES)
    if(links)
      list(APPEND todo ${links})
    endif()
  endwhile()
  set(${out} ${seen} PARENT_SCOPE)
endfunction()

# Whoever links our libraries compiles as they were: see BanyanCompiler.cmake.
add_library(banyan_sdk INTERFACE)
add_library(banyan::sdk ALIAS banyan_sdk)
target_link_libraries(banyan_sdk INTERFACE
  banyan_server_app banyan_server_behaviours banyan_common_wire banyan_common_time banyan_common_log)
target_compile_features(banyan_sdk INTERFACE cxx_std_20)
target_compile_options(banyan_sdk INTERFACE -fclang-abi-compat=17)
if(BANYAN_SANITIZE)
  target_compile_options(banyan_sdk INTERFACE -fsanitize=${BANYAN_SANITIZE} -fno-sanitize-recover=all)
  target_link_options(banyan_sdk INTERFACE -fsanitize=${BANYAN_SANITIZE})
endif()

banyan_closure(banyan_sdk libraries)
foreach(library IN LISTS libraries)
  string(REGEX REPLACE "^banyan_" "" name ${library})
  set_target_properties(${library} PROPERTIES EXPORT_NAME ${name})
endforeach()
set(package "${CMAKE_INSTALL_LIBDIR}/cmake/banyan")
install(TARGETS ${libraries} EXPORT banyan ARCHIVE DESTINATION "${CMAKE_INSTALL_LIBDIR}/banyan" COMPONENT sdk)
install(EXPORT banyan NAMESPACE banyan:: FILE banyanTargets.cmake DESTINATION "${package}" COMPONENT sdk)
configure_package_config_file("${PROJECT_SOURCE_DIR}/common/cmake/banyanConfig.cmake.in"
  "${CMAKE_BINARY_DIR}/banyanConfig.cmake" INSTALL_DESTINATION "${package}")
write_basic_package_version_file("${CMAKE_BINARY_DIR}/banyanConfigVersion.cmake" COMPATIBILITY SameMinorVersion)
install(FILES "${CMAKE_BINARY_DIR}/banyanConfig.cmake" "${CMAKE_BINARY_DIR}/banyanConfigVersion.cmake"
  DESTINATION "${package}" COMPONENT sdk)

# The headers of the SDK; what they include comes with them.
set(sdk_headers
  common/base/error.h
  common/log/log.h
  common/time/virtual_time.h
  common/wire/payload.h
  server/app/node_main.h
  server/behaviours/behaviour.h
  server/behaviours/enter_loop.h
  server/behaviours/gen_event.h
  server/behaviours/gen_server.h
  server/behaviours/gen_statem.h
  server/behaviours/lease_lost.h
  server/behaviours/module.h
  server/behaviours/multi_call.h
  server/behaviours/partition_supervisor.h
  server/behaviours/pg.h
  server/behaviours/requests.h
  server/behaviours/supervisor.h
  server/behaviours/supervisor_client.h
  server/behaviours/sys.h
  server/behaviours/sys_upgrade.h
  server/behaviours/task.h
  server/behaviours/task_stream.h
  server/modules/fenced_writer.h
  server/modules/sqlite_sql.h
  server/runtime/runtime.h)
install(CODE "
  set(HEADERS \"${sdk_headers}\")
  set(ROOTS \"${PROJECT_SOURCE_DIR};${CMAKE_BINARY_DIR}/gen\")
  set(DESTINATION \"\$ENV{DESTDIR}\${CMAKE_INSTALL_PREFIX}/${CMAKE_INSTALL_INCLUDEDIR}/banyan\")
  include(\"${PROJECT_SOURCE_DIR}/common/cmake/InstallHeaders.cmake\")" COMPONENT sdk)
install(DIRECTORY "${PROJECT_SOURCE_DIR}/proto/" DESTINATION "${CMAKE_INSTALL_DATADIR}/banyan/proto" COMPONENT sdk
  FILES_MATCHING PATTERN "*.proto" PATTERN internal EXCLUDE)

install(TARGETS banyand banyan RUNTIME DESTINATION "${CMAKE_INSTALL_BINDIR}" COMPONENT programs)
