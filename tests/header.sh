#!/bin/sh
# The public header compiles alone, warning-free, as C11 and as C++17, and the program in its first
# comment compiles, links and says what is wrong with a directory that is no model.
#   [CC=.. CXX=..] header.sh SOURCE_DIRECTORY LIBRARY_DIRECTORY [FLAG that the library was linked with]
set -eu
header=$1/include/vidette/vidette.h
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
strict="-Wall -Wextra -Wpedantic -Werror -I$1/include"

echo '#include "vidette/vidette.h"' >"$work/alone.c"
${CC:-cc} -std=c11 $strict -fsyntax-only "$work/alone.c"
${CXX:-c++} -std=c++17 $strict -fsyntax-only -x c++ "$work/alone.c"

{
    printf '#include <vidette/vidette.h>\n#include <stdio.h>\n#include <stdlib.h>\n'
    sed -n '/^ \*     int main/,/^ \*     }$/s/^ \*     //p' "$header"
} >"$work/program.c"
${CC:-cc} -std=c11 $strict "$work/program.c" -o "$work/program" ${3:-} -L"$2" -Wl,-rpath,"$2" -lvidette
if LSAN_OPTIONS=detect_leaks=0 "$work/program" "$work" none.mp4 2>"$work/said"; then
    echo "a directory without a model was accepted" >&2
    exit 1
fi
grep -q 'config.json' "$work/said"
