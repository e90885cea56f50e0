#!/bin/sh
# A file includes only what stands above it: core < kernels < gemm < ops < format < nn < reduce < models < video < train,
# then session.h; and each library underneath is included by its one file.
set -u
cd "$(dirname "$0")/../src" || exit 1
status=0
rank() {
    case $1 in
    core) echo 0 ;; kernels) echo 1 ;; gemm) echo 2 ;; ops) echo 3 ;; format) echo 4 ;; nn) echo 5 ;; reduce) echo 6 ;;
    models) echo 7 ;; video) echo 8 ;; train) echo 9 ;; *) echo 10 ;;
    esac
}
for file in $(find . -name '*.[ch]' | sed 's|^\./||'); do
    own=$(rank "$(dirname "$file" | cut -d/ -f1)")
    for included in $(sed -n 's|^#include "\(.*\)"|\1|p' "$file"); do
        if [ ! -e "$included" ]; then
            echo "$file: includes $included, which is not a path from src/"
            status=1
        elif [ "$(rank "$(dirname "$included" | cut -d/ -f1)")" -gt "$own" ]; then
            echo "$file: includes $included, which stands below it"
            status=1
        fi
    done
done
only() { # pattern file: no other file includes the header
    others=$(grep -lE "#include <$1" -r . | sed 's|^\./||' | grep -vx "$2")
    [ -z "$others" ] || { echo "$1: included outside $2: $others"; status=1; }
}
only 'oneapi/' gemm/gemm_dnnl.c
only 'lib(av|sw)' video/decode_av.c
only 'jansson' format/json.c
if grep -rnE '\b(printf|puts|exit|abort|getenv)\(' --include='*.[ch]' . | grep -v 'snprintf\|fprintf(NULL'; then
    echo "the library prints, exits or reads the environment"
    status=1
fi
if grep -rn '#include' ../tools | grep -E '"(core|kernels|gemm|ops|format|nn|models|video)/'; then
    echo "tools include more than the public headers"
    status=1
fi
others=$(grep -lE '#include <lib(av|sw)' -r ../tools | grep -vx '../tools/encode_av.c')
[ -z "$others" ] || { echo "libav: included outside encode_av.c: $others"; status=1; }
exit $status
