# Finds an nvcc that works, and what it can build for.

# Sets `works`; and CMAKE_CUDA_COMPILER and CMAKE_CUDA_ARCHITECTURES, or what is wrong to `fault`.
function(ter_find_nvcc works fault)
  set(${works} FALSE PARENT_SCOPE)
  find_program(TER_FAST_NVCC NAMES ${CMAKE_CUDA_COMPILER} $ENV{CUDACXX} nvcc
               HINTS ENV CUDA_HOME ENV CUDA_PATH PATHS /usr/local/cuda PATH_SUFFIXES bin)
  if(NOT TER_FAST_NVCC)
    set(${fault} "there is no nvcc" PARENT_SCOPE)
    return()
  endif()

  # nvcc may be there and refuse the C++ compiler, so it has to show that it can.
  set(probe "${CMAKE_BINARY_DIR}/ter_probe.cu")
  file(WRITE "${probe}" "#include <cuda_fp16.h>\n#include <stdexcept>\n__global__ void probe() {}\n")
  set(host)
  if(NOT MSVC)
    set(host -ccbin "${CMAKE_CXX_COMPILER}")
  endif()
  execute_process(COMMAND "${TER_FAST_NVCC}" -std=c++17 ${host} -c "${probe}" -o "${probe}.o"
                  RESULT_VARIABLE failed OUTPUT_VARIABLE said ERROR_VARIABLE said)
  if(failed)
    string(STRIP "${said}" said)
    set(${fault} "${TER_FAST_NVCC} does not compile: ${said}" PARENT_SCOPE)
    return()
  endif()

  set(CMAKE_CUDA_COMPILER "${TER_FAST_NVCC}" PARENT_SCOPE)
  if(NOT MSVC AND NOT CMAKE_CUDA_HOST_COMPILER)
    set(CMAKE_CUDA_HOST_COMPILER "${CMAKE_CXX_COMPILER}" PARENT_SCOPE)
  endif()
  if(NOT CMAKE_CUDA_ARCHITECTURES)
    ter_default_architectures(architectures)
    set(CMAKE_CUDA_ARCHITECTURES "${architectures}" PARENT_SCOPE)
  endif()
  set(${works} TRUE PARENT_SCOPE)
endfunction()

# Machine code for every generation of GPUs that this nvcc knows, and for later ones what their driver
# compiles.
function(ter_default_architectures result)
  execute_process(COMMAND "${TER_FAST_NVCC}" --list-gpu-arch OUTPUT_VARIABLE known)
  set(kept)
  foreach(architecture 80 86 89 90 100 120)
    if(known MATCHES "compute_${architecture}([^0-9]|$)")
      list(APPEND kept ${architecture}-real)
    endif()
  endforeach()
  list(POP_BACK kept newest)
  string(REPLACE "-real" "" newest "${newest}")
  set(${result} ${kept} ${newest} PARENT_SCOPE)
endfunction()

# "80, 86, 90" for people.
function(ter_architecture_names result)
  list(TRANSFORM CMAKE_CUDA_ARCHITECTURES REPLACE "-(real|virtual)$" "" OUTPUT_VARIABLE names)
  list(REMOVE_DUPLICATES names)
  string(REPLACE ";" ", " names "${names}")
  set(${result} "${names}" PARENT_SCOPE)
endfunction()
