#!/bin/sh
# Every function of the library that uses wide registers clears their upper halves before it returns:
# SSE instructions wait for them otherwise (docs/kernels.md). $1: the library.
set -u
command -v objdump >/dev/null || { echo "objdump is not installed"; exit 1; }
kept=$(objdump -d --no-show-raw-insn "$1" | awk '
    /^[0-9a-f]+ <.*>:$/ { name = $2; wide = clear = 0 }
    /%[yz]mm[0-9]/ { wide = 1 }
    /vzeroupper|vzeroall/ { clear = 1 }
    /\tret/ && wide && !clear { print name; wide = 0 }')
[ -z "$kept" ] && exit 0
echo "these return with the upper halves of their registers in use:" $kept
exit 1
