# diffusiond_library(NAME SOURCES a.cc ... DEPS lib ... [TORCH])
# diffusiond_binary(NAME SOURCES main.cc ... DEPS lib ... [TORCH])
# diffusiond_test(NAME SOURCES a_test.cc ... DEPS lib ... [TORCH] [LABELS suite ...])
#
# Our flags for our code. TORCH links LibTorch and shares one precompiled <torch/torch.h>; without
# LibTorch (the thread sanitizer's preset) such targets are left out.

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
  if(target STREQUAL "diffusiond_torch_pch")
    target_precompile_headers(${target} PRIVATE <torch/torch.h>)
  else()
    target_precompile_headers(${target} REUSE_FROM diffusiond_torch_pch)
  endif()
endfunction()

function(diffusiond_library name)
  cmake_parse_arguments(ARG "TORCH" "" "SOURCES;DEPS" ${ARGN})
  if(ARG_TORCH AND NOT DIFFUSIOND_WITH_TORCH)
    return()
  endif()
  add_library(${name} STATIC ${ARG_SOURCES})
  target_link_libraries(${name} PUBLIC ${ARG_DEPS})
  diffusiond_flags(${name})
  if(ARG_TORCH)
    diffusiond_torch(${name})
  endif()
endfunction()

function(diffusiond_binary name)
  cmake_parse_arguments(ARG "TORCH" "" "SOURCES;DEPS" ${ARGN})
  if(ARG_TORCH AND NOT DIFFUSIOND_WITH_TORCH)
    return()
  endif()
  add_executable(${name} ${ARG_SOURCES})
  target_link_libraries(${name} PRIVATE ${ARG_DEPS})
  diffusiond_flags(${name})
  if(ARG_TORCH)
    diffusiond_torch(${name})
  endif()
endfunction()

function(diffusiond_test name)
  cmake_parse_arguments(ARG "TORCH" "" "SOURCES;DEPS;LABELS" ${ARGN})
  if(ARG_TORCH AND NOT DIFFUSIOND_WITH_TORCH)
    return()
  endif()
  add_executable(${name} ${ARG_SOURCES})
  target_link_libraries(${name} PRIVATE ${ARG_DEPS} GTest::gtest GTest::gmock GTest::gtest_main)
  diffusiond_flags(${name})
  if(ARG_TORCH)
    diffusiond_torch(${name})
  endif()
  add_test(NAME ${name} COMMAND ${name} WORKING_DIRECTORY ${PROJECT_SOURCE_DIR})
  set_tests_properties(${name} PROPERTIES TIMEOUT 300 LABELS "${ARG_LABELS}")
endfunction()
