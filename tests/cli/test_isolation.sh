#!/usr/bin/env bash
# `pinion run` with an isolated deployment: its replicas are processes, which answer, are started again when they are killed, and end
# with it, however it ends. `pinion host` says what is wrong in one line.
#   test_isolation.sh PINION HELLO.SO
set -euo pipefail
pinion=$1
hello=$2
# shellcheck source=tests/cli/server.sh
. "$(dirname "$0")/server.sh"
export PINION_RUNTIME_DIR=$tmp/names

hosts() { pgrep -f -- "host $hello.* SpanishResponder" || true; }

await() { # WHAT CONDITION...
	local what=$1
	shift
	for _ in {1..2000}; do
		if "$@"; then return; fi
		read -rt 0.01 <> <(:) || true
	done
	fail "$what"
}

hola() { [ "$("$pinion" call hello.SpanishResponder.say_hello '["Dora"]' 2>&1)" = "Hola Dora" ]; }
are() { [ "$(hosts | wc -l)" = "$1" ]; }

cat >"$tmp/hello.yaml" <<-END
	applications:
	  - import_path: $hello:app
	    deployments:
	      - {name: SpanishResponder, isolation: process, num_replicas: 2}
	listen: hello
	workers: 1
END
server_start "$tmp/hello.yaml" --no-http --poll=pause
server_await "pinion: app 'default' without HTTP (3 workers), found as 'hello'"
are 2 || fail "there are $(hosts | wc -l) processes, not 2"
for _ in {1..10}; do hola || fail "it does not answer"; done
first=$(hosts | head -1)
kill -KILL "$first"
for _ in {1..10}; do hola || fail "it does not answer when one of two was killed"; done
await "it was not started again" are 2
if hosts | grep -qx "$first"; then fail "process $first is still there"; fi
kill -TERM "$server_pid"
server_end
are 0 || fail "processes are left: $(hosts | xargs)"

# Without a name of its own; killed, it takes them along.
server_start "$hello" --no-http --workers=1 --poll=pause SpanishResponder.isolation=process
server_await "pinion: app 'default' without HTTP (4 workers)"
are 3 || fail "there are $(hosts | wc -l) processes, not 3"
kill -KILL "$server_pid"
server_end
await "processes outlive what started them" are 0

refused() { # TEXT ARGUMENT...
	local text=$1
	shift
	if "$pinion" "$@" >"$tmp/out" 2>"$tmp/err"; then fail "'$*' went well"; fi
	grep -qF -- "$text" "$tmp/err" || fail "'$*' said '$(cat "$tmp/err")', not '$text'"
	expect 1 "$(wc -l <"$tmp/err")"
}
refused 'which FILE.so, and of which NAME' host "$hello"
refused 'nothing runs by the name "nobody"' host "$hello" nobody default SpanishResponder
refused 'SpanishResponder: isolation is "threads": it may be none, process' \
	run "$hello" --no-http --poll=pause SpanishResponder.isolation=threads
"$pinion" status >/dev/null # takes the killed one's name away
