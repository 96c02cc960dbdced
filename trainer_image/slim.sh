#!/bin/sh
# Takes from a folder of installed libraries what no running process needs, about a fifth of it.
set -eu
cd "$1"
# Debug symbols of extension modules. What lies in *.libs, and in torch, was laid out by patchelf, and strip would break it.
find . -name '*.so' -not -path '*.libs/*' -not -path './torch/*' -exec strip --strip-unneeded {} +
# The libraries' tests of themselves.
for library in numpy pandas scipy statsmodels pyarrow onnx; do
  [ ! -d "$library" ] || find "$library" -type d -name tests -prune -exec rm -r {} +
done
# onnxruntime's Python module holds the whole runtime; this is the same once more for C programs, and tools to make models with.
if [ -d onnxruntime ]; then
  rm -f onnxruntime/capi/libonnxruntime.so*
  for part in backend datasets quantization tools transformers; do rm -rf "onnxruntime/$part"; done
fi
# Command-line programs, whose first line names a Python of the build.
rm -rf bin
