#include "server/runtime/crash_reason.h"

#include <cstdlib>
#include <string>
#include <typeinfo>

#include <cxxabi.h>

#include "server/runtime/process_exit.h"

namespace banyan {
namespace {

std::string TypeName(const std::type_info& type) {
  int status = 0;
  char* name = abi::__cxa_demangle(type.name(), nullptr, nullptr, &status);
  std::string out = status == 0 ? name : type.name();
  free(name);
  return out;
}

}  // namespace

ExitReason CrashReason(std::exception_ptr error) {
  try {
    std::rethrow_exception(error);
  } catch (const ProcessExit& e) {
    return e.reason();
  } catch (const std::exception& e) {
    return ExitReason::Error(TypeName(typeid(e)), e.what());
  } catch (...) {
    const std::type_info* type = abi::__cxa_current_exception_type();
    return ExitReason::Error(type ? TypeName(*type) : "exception");
  }
}

}  // namespace banyan
