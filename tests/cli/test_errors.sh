#!/usr/bin/env bash
# Each thing that can be wrong with `pinion run` is one line on stderr and exit code 1.
#   test_errors.sh PINION APPS.SO
set -euo pipefail
pinion=$1
apps=$2
# shellcheck source=tests/cli/server.sh
. "$(dirname "$0")/server.sh"

# refused PATTERN ARGUMENT...
refused() {
	local pattern=$1 status=0
	shift
	"$pinion" run "$@" >"$tmp/out" 2>"$tmp/all" || status=$?
	grep -v '^pinion: polls: ' "$tmp/all" >"$tmp/err" || true # the log's, and no error
	printf 'pinion run %s\n   %s\n' "$*" "$(cat "$tmp/err")"
	expect 1 "$status"
	expect "" "$(cat "$tmp/out")"
	expect 1 "$(wc -l <"$tmp/err")"
	# shellcheck disable=SC2053
	[[ $(cat "$tmp/err") == $pattern ]] || fail "not '$pattern'"
}

refused "pinion run: *FILE.so*"
refused "pinion run: $tmp/none.so: No such file or directory" "$tmp/none.so"
echo "int main(void);" >"$tmp/text.so"
refused "pinion run: $tmp/text.so: not a shared object" "$tmp/text.so"
: >"$tmp/empty.so"
refused "pinion run: $tmp/empty.so: not a shared object" "$tmp/empty.so"
refused "pinion run: $tmp: Is a directory" "$tmp"
refused "pinion run: $apps has no symbol 'nobody'" "$apps:nobody"
refused "pinion run: $apps: 'unstamped' has no ABI stamp; *" "$apps:unstamped"
refused "pinion run: $apps: 'foreign' was compiled for ABI * and this is ABI *" "$apps:foreign"
refused "pinion run: *weights=w.bin is no file*" "$apps:refused" weights=w.bin
refused "pinion run: *Faulter*there is no model*" "$apps:failing"
refused "pinion run: *Other has no method \"__call__\"; it has: one, two" "$apps:uncallable"
refused "pinion run: 'greeting' is not key=value" "$apps" greeting
refused "pinion run: '=hello' is not key=value" "$apps" =hello
refused "pinion run: 'a' is given twice" "$apps" a=1 a=2
refused "pinion run: 'x' is not a number *" "$apps" --port=x
refused "pinion run: '0' is not a number of seconds *" "$apps" --request-timeout=0
refused "pinion run: '-1' is not a number of seconds *" "$apps" --request-timeout=-1
refused "pinion run: '65536' is not a number *" "$apps" --port=65536
refused "pinion run: '0' is not a number *" "$apps" --workers=0
refused "pinion run: *idle*" "$apps" --idle=fast
refused "pinion run: *poll*" "$apps" --poll=fast
refused "pinion run: *name is empty" "$apps" --name=
refused "pinion run: *name has a control character" "$apps" --name=$'two\nlines'
refused "pinion run: *\"/-/healthz\" cannot be: *" "$apps" --route-prefix=/-/healthz

server_start --port=0 "$apps"
server_url
port=${url##*:}
port=${port%%/*}
refused "pinion run: *$port*in use*" --port="$port" "$apps"
server_stop TERM
expect 0 "$code"
