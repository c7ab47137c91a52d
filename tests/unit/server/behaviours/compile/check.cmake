# cmake -DCOMPILER=.. -DROOT=.. -DSOURCE=.. [-DEXPECT=text] -P check.cmake
# Without EXPECT the source must compile; with it, it must not, and the compiler must say that text.
execute_process(COMMAND "${COMPILER}" -std=c++20 -fsyntax-only -I "${ROOT}" "${SOURCE}"
  RESULT_VARIABLE result ERROR_VARIABLE messages OUTPUT_VARIABLE messages)
if(NOT EXPECT)
  if(NOT result EQUAL 0)
    message(FATAL_ERROR "${SOURCE} must compile:\n${messages}")
  endif()
elseif(result EQUAL 0)
  message(FATAL_ERROR "${SOURCE} must not compile")
elseif(NOT messages MATCHES "${EXPECT}")
  message(FATAL_ERROR "the compiler does not say \"${EXPECT}\":\n${messages}")
endif()
