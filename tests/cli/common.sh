# What the command's tests share. Arguments of every test: the command, the source directory, the
# program make_media (edit_safetensors and json_check lie beside it).
vidette=$1
source=$2
make_media=$3
edit=$(dirname "$make_media")/edit_safetensors
json=$(dirname "$make_media")/json_check
golden=$source/tests/golden

work=$(mktemp -d) || exit 1
trap 'rm -rf "$work"' EXIT
out=$work/stdout
err=$work/stderr
checks=0

fail() {
    echo "FAILED: $*"
    echo "  command: $command"
    echo "  status: $status"
    echo "  stderr:"
    head -n 20 "$err" | sed 's/^/    /'
    exit 1
}

# run ARGUMENT...: the command; its status in $status, what it prints in $out and $err.
run() {
    command="vidette $*"
    status=0
    "$vidette" "$@" >"$out" 2>"$err" </dev/null || status=$?
    checks=$((checks + 1))
}

expect_status() {
    [ "$status" -eq "$1" ] || fail "expected status $1"
}

# Nothing but the result: no word on stderr.
expect_quiet() {
    [ ! -s "$err" ] || fail "expected nothing on stderr"
}

# Every line on stderr is the command's own, none a sanitizer's or a library's.
expect_own_words() {
    if grep -qv '^vidette: ' "$err"; then fail "expected lines that begin with 'vidette: '"; fi
}

# expect_error STATUS [TEXT...]: one line on stderr that holds each TEXT.
expect_error() {
    expect_status "$1"
    shift
    expect_own_words
    [ "$(wc -l <"$err")" -eq 1 ] || fail "expected one line on stderr"
    for text in "$@"; do
        grep -qF -e "$text" "$err" || fail "expected '$text' in the message"
    done
}

expect_no_output() {
    [ ! -s "$out" ] || fail "expected nothing on stdout"
}

# expect_lines N [KEY...]: N lines of JSON on stdout that have the keys.
expect_lines() {
    n=$1
    shift
    found=$("$json" lines "$@" <"$out" 2>&1) || fail "not JSON: $found"
    [ "$found" -eq "$n" ] || fail "expected $n lines, found $found"
}

# check WHAT: that picture_check ($picture) agrees; what it prints in $found.
check() {
    command="picture_check $*"
    status=0
    found=$("$picture" "$@" 2>"$err") || status=$?
    checks=$((checks + 1))
    expect_status 0
}

# expect_gone FILE: neither the file nor what it is made of.
expect_gone() {
    for left in "$1" "$1.part" "$1.part.json"; do
        [ ! -e "$left" ] || fail "expected $left not to exist"
    done
}

# What does not depend on the clock.
without_times() {
    sed 's/,"ms":{[^}]*}//'
}

finish() {
    echo "$checks runs"
}
