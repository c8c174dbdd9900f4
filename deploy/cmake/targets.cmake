# diffusiond_library(NAME SOURCES a.cc ... DEPS lib ... [TORCH | GRPC] [UNITY])
# diffusiond_binary(NAME SOURCES main.cc ... DEPS lib ... [TORCH | GRPC])
# diffusiond_test(NAME SOURCES a_test.cc ... DEPS lib ... [TORCH | GRPC] [LABELS suite ...])
#
# Our flags for our code, and one of four precompiled headers, which spare a file most of what it
# would take to read its includes: of LibTorch with TORCH, of gRPC and the API with GRPC (for all
# that link gRPC, whose flags they share), of GoogleTest in tests, else of the standard library and
# Abseil. Each file includes what it uses all the same: the preset clang compiles without them. TORCH
# also links LibTorch; without LibTorch (the presets tsan and clang) such targets are left out.
#
# UNITY compiles several sources as one, where each would instantiate a library's templates anew for
# seconds; not with clang. Their anonymous namespaces are then one: two functions of a name are an
# error.

# diffusiond_precompiled(NAME HEADERS <a.h> ... [DEPS lib ...]): compiles them for all that reuse them.
function(diffusiond_precompiled name)
  cmake_parse_arguments(ARG "" "" "HEADERS;DEPS" ${ARGN})
  file(WRITE ${CMAKE_CURRENT_BINARY_DIR}/${name}.cc "")
  add_library(${name} STATIC ${CMAKE_CURRENT_BINARY_DIR}/${name}.cc)
  target_link_libraries(${name} PUBLIC ${ARG_DEPS})
  diffusiond_flags(${name})
  target_precompile_headers(${name} PRIVATE ${ARG_HEADERS})
endfunction()

set(DIFFUSIOND_PLAIN_HEADERS
  <algorithm> <array> <cstdint> <functional> <map> <memory> <optional> <span> <string> <utility>
  <vector> <absl/status/status.h> <absl/status/statusor.h> <absl/strings/str_cat.h>
  <absl/strings/str_format.h> <absl/strings/str_join.h> <absl/strings/str_split.h>
  <absl/synchronization/mutex.h> <absl/time/time.h>)

function(diffusiond_flags target)
  target_include_directories(${target} PUBLIC ${PROJECT_SOURCE_DIR})
  target_compile_options(${target} PRIVATE -Wall -Wextra -Werror)
  if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
    # False alarms when optimising: in std::string's operator+ (GCC bug 105651), and where GCC 14
    # moves a std::optional.
    target_compile_options(${target} PRIVATE -Wno-restrict -Wno-maybe-uninitialized)
  endif()
  if(CMAKE_CXX_COMPILER_ID MATCHES "Clang")
    target_compile_options(${target} PRIVATE -Wthread-safety -Werror=thread-safety)
  endif()
endfunction()

# Debian's LibTorch takes whatever BLAS the machine prefers. OpenBLAS over OpenMP keeps to the threads
# that LibTorch is told to use; OpenBLAS over its own threads lets every worker spin on all cores. So
# our programs look there first; DT_RPATH, unlike DT_RUNPATH, also counts for LibTorch's own needs.
find_path(DIFFUSIOND_BLAS_DIR libblas.so.3 NO_DEFAULT_PATH
          PATHS /usr/lib/${CMAKE_LIBRARY_ARCHITECTURE}/openblas-openmp)

function(diffusiond_torch target)
  target_link_libraries(${target} PUBLIC ${TORCH_LIBRARIES})
  if(DIFFUSIOND_BLAS_DIR)
    target_link_options(${target} PUBLIC
                        -Wl,--disable-new-dtags -Wl,-rpath,${DIFFUSIOND_BLAS_DIR})
  endif()
  # Headers of LibTorch are not ours to mend.
  foreach(dir ${TORCH_INCLUDE_DIRS})
    target_include_directories(${target} SYSTEM PUBLIC ${dir})
  endforeach()
endfunction()

function(diffusiond_library name)
  cmake_parse_arguments(ARG "TORCH;GRPC;UNITY" "" "SOURCES;DEPS" ${ARGN})
  if(ARG_TORCH AND NOT DIFFUSIOND_WITH_TORCH)
    return()
  endif()
  add_library(${name} STATIC ${ARG_SOURCES})
  target_link_libraries(${name} PUBLIC ${ARG_DEPS})
  diffusiond_flags(${name})
  if(ARG_TORCH)
    diffusiond_torch(${name})
    target_precompile_headers(${name} REUSE_FROM diffusiond_torch_pch)
  elseif(ARG_GRPC)
    target_precompile_headers(${name} REUSE_FROM diffusiond_grpc_pch)
  else()
    target_precompile_headers(${name} REUSE_FROM diffusiond_plain_pch)
  endif()
  if(ARG_UNITY AND NOT CMAKE_CXX_COMPILER_ID MATCHES "Clang")
    set_target_properties(${name} PROPERTIES UNITY_BUILD ON)
  endif()
endfunction()

function(diffusiond_binary name)
  cmake_parse_arguments(ARG "TORCH;GRPC" "" "SOURCES;DEPS" ${ARGN})
  if(ARG_TORCH AND NOT DIFFUSIOND_WITH_TORCH)
    return()
  endif()
  add_executable(${name} ${ARG_SOURCES})
  target_link_libraries(${name} PRIVATE ${ARG_DEPS})
  diffusiond_flags(${name})
  if(ARG_TORCH)
    diffusiond_torch(${name})
    target_precompile_headers(${name} REUSE_FROM diffusiond_torch_pch)
  elseif(ARG_GRPC)
    target_precompile_headers(${name} REUSE_FROM diffusiond_grpc_pch)
  else()
    target_precompile_headers(${name} REUSE_FROM diffusiond_plain_pch)
  endif()
endfunction()

# diffusiond_suite(PROGRAM LABEL...): the target suite_LABEL builds what the tests of a label run.
function(diffusiond_suite program)
  foreach(label IN LISTS ARGN)
    if(NOT TARGET suite_${label})
      add_custom_target(suite_${label})
    endif()
    add_dependencies(suite_${label} ${program})
  endforeach()
endfunction()

function(diffusiond_test name)
  cmake_parse_arguments(ARG "TORCH;GRPC" "" "SOURCES;DEPS;LABELS" ${ARGN})
  if(ARG_TORCH AND NOT DIFFUSIOND_WITH_TORCH)
    return()
  endif()
  add_executable(${name} ${ARG_SOURCES})
  target_link_libraries(${name} PRIVATE ${ARG_DEPS} GTest::gtest GTest::gmock GTest::gtest_main)
  diffusiond_flags(${name})
  # What is tested runs at full speed; the tests need not.
  target_compile_options(${name} PRIVATE $<$<CONFIG:Dev>:-O1>)
  if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
    # GCC bug 105651 again, in the constants that tests are full of.
    target_compile_options(${name} PRIVATE
      "$<$<CONFIG:Release>:-Wno-array-bounds;-Wno-stringop-overflow;-Wno-stringop-overread>")
  endif()
  if(ARG_TORCH)
    diffusiond_torch(${name})
    target_precompile_headers(${name} REUSE_FROM diffusiond_torch_pch)
  elseif(ARG_GRPC)
    target_precompile_headers(${name} REUSE_FROM diffusiond_grpc_pch)
    if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
      target_compile_options(${name} PRIVATE -Wno-array-bounds -Wno-stringop-overflow)  # GCC bug 105651 again.
    endif()
  else()
    target_precompile_headers(${name} REUSE_FROM diffusiond_test_pch)
  endif()
  add_test(NAME ${name} COMMAND ${name} WORKING_DIRECTORY ${PROJECT_SOURCE_DIR})
  set_tests_properties(${name} PROPERTIES TIMEOUT 300 LABELS "${ARG_LABELS}")
  if(DIFFUSIOND_SANITIZER STREQUAL "thread")
    set_property(TEST ${name} PROPERTY ENVIRONMENT
      TSAN_OPTIONS=suppressions=${PROJECT_SOURCE_DIR}/tests/tsan.supp)
  endif()
  if(DIFFUSIOND_SANITIZER STREQUAL "address")
    set_property(TEST ${name} PROPERTY ENVIRONMENT
      LSAN_OPTIONS=suppressions=${PROJECT_SOURCE_DIR}/tests/lsan.supp:print_suppressions=0)
  endif()
  diffusiond_suite(${name} ${ARG_LABELS})
endfunction()
