#!/bin/sh
# Lets Theseus examine @NAME@.so and calls its tool, in a server of its own that leaves nothing behind.
# Which Theseus: $THESEUS, else the one of the source tree around this folder, else the one in PATH.
set -eu
cd "$(dirname "$0")"

theseus=${THESEUS:-}
[ -n "$theseus" ] || [ ! -x ../../build/theseus ] || theseus=../../build/theseus
[ -n "$theseus" ] || theseus=$(command -v theseus) || {
    echo "test.sh: theseus is not in PATH; say where it is: make test THESEUS=/where/it/is/theseus" >&2
    exit 1
}

dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
mkdir "$dir/plugins"
cp @NAME@.so "$dir/plugins/"
chmod go-w "$dir/plugins/@NAME@.so"
cat >"$dir/theseus.ini" <<END
[server]
state_dir = $dir/state
runtime_dir = $dir/run
[plugins]
path = $dir/plugins
END

# expect TEXT TOOL ARGUMENTS: the answer holds the text.
expect() {
    answer=$("$theseus" call "$2" "$3" -c "$dir/theseus.ini") || {
        echo "FAILED: $2 $3 ended with an error: $answer" >&2
        exit 1
    }
    case $answer in
    *"$1"*) echo "ok: $2 $3" ;;
    *)
        echo "FAILED: $2 $3 answered: $answer" >&2
        echo "        expected: $1" >&2
        exit 1
        ;;
    esac
}

"$theseus" check "$dir/plugins/@NAME@.so"
echo "ok: @NAME@.so is well formed"
expect "Hello, World, from @NAME@" @NAME@ '{"name": "World"}'
