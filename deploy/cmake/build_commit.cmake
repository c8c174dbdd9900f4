# cmake -DSOURCE=<dir> -DCOMMIT=<empty, or what to say> -DOUTPUT=<file.cc> -P build_commit.cmake
#
# Writes a C++ source with the commit that SOURCE is at; leaves one alone that says so already, so
# that nothing is built anew.
if(NOT COMMIT)
  set(COMMIT unknown)
  # Only a repository whose top is SOURCE knows it: not one that it was unpacked into.
  execute_process(COMMAND git -C ${SOURCE} rev-parse --show-prefix
                  OUTPUT_VARIABLE prefix RESULT_VARIABLE failed ERROR_QUIET
                  OUTPUT_STRIP_TRAILING_WHITESPACE)
  if(NOT failed AND prefix STREQUAL "")
    execute_process(COMMAND git -C ${SOURCE} describe --always --dirty --abbrev=12 "--exclude=*"
                    OUTPUT_VARIABLE described RESULT_VARIABLE failed ERROR_QUIET
                    OUTPUT_STRIP_TRAILING_WHITESPACE)
    if(NOT failed)
      set(COMMIT ${described})
    endif()
  endif()
endif()
file(CONFIGURE OUTPUT ${OUTPUT} @ONLY CONTENT [[
namespace diffusiond {

extern const char kBuildCommit[];
const char kBuildCommit[] = "@COMMIT@";

}  // namespace diffusiond
]])
