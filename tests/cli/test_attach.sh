#!/usr/bin/env bash
# `pinion run --listen`, `pinion call NAME`, `pinion status`: what one command runs, others find, call and look at; what is wrong is
# one line. No name is left behind.
#   test_attach.sh PINION APPS.SO
set -euo pipefail
pinion=$1
apps=$2
# shellcheck source=tests/cli/server.sh
. "$(dirname "$0")/server.sh"
export PINION_RUNTIME_DIR=$tmp/names

refused() { # TEXT ARGUMENT...
	local text=$1
	shift
	if "$pinion" "$@" >"$tmp/out" 2>"$tmp/err"; then fail "'$*' went well"; fi
	grep -qF -- "$text" "$tmp/err" || fail "'$*' said '$(cat "$tmp/err")', not '$text'"
	expect 1 "$(wc -l <"$tmp/err")"
}

expect "nothing runs that can be attached to (pinion run --listen=NAME)" "$("$pinion" status)"
refused 'nothing runs by the name "demo"' call demo
refused 'nothing runs by the name "demo"' status demo
refused 'is no name to be found by' status 'a/b'

server_start "$apps:talking" --no-http --workers=1 --idle=yield --poll=pause --listen=demo
server_await "pinion: app 'default' without HTTP (1 worker), found as 'demo'"

expect hi "$("$pinion" call demo '["hi"]')"
expect hi "$("$pinion" call demo.Relay.pass '{"text": "hi"}')"
expect hi "$("$pinion" call demo Relay.pass '["hi"]')"
expect well "$("$pinion" call 'demo.Talker#2')"
expect well "$("$pinion" call --app=default demo)"
expect "0 1 2" "$("$pinion" call --stream demo.Talker.count '[3]' | xargs)"
"$pinion" call demo --count=100 | grep -qE '^ +100 +0 ' || fail "no table of 100 calls"
refused "there is no deployment 'Nope' in 'default'; it has: Talker, Relay, Talker#2" call demo.Nope
refused "Relay has no method 'nope'; it has: pass" call demo.Relay.nope
refused "there is no application 'other'; there is: default" call --app=other demo
refused "'x=5': what runs has its options already" call demo x=5
refused "--app is of what runs, not of a file" call --app=x "$apps"

"$pinion" status >"$tmp/status"
for line in 'attached to "demo", process '"$server_pid" '  app default at /' '    Relay                    1 replica'; do
	grep -qxF "$line" "$tmp/status" || fail "no '$line' in: $(cat "$tmp/status")"
done
expect "demo default Relay 1" "$("$pinion" status --json demo |
	jq -r '.[0] | "\(.name) \(.applications[0].name) \(.applications[0].deployments[1] | "\(.name) \(.replicas)")"')"

# Two at once: one has the name, the other says who.
refused "another process is named \"demo\": process $server_pid" run "$apps:talking" --no-http --listen=demo --poll=pause
refused "is no name to be found by" run "$apps:talking" --no-http --listen=de.mo --poll=pause
refused "there is no such group" run "$apps:talking" --no-http --listen=demo2 --listen-group=nobody-has-this --poll=pause

# Killed: the name is in nobody's way, and goes when somebody looks.
kill -KILL "$server_pid"
server_end
[ -e "$PINION_RUNTIME_DIR/demo" ] || fail "the name went with its process: nothing is tested here"
refused 'nothing runs by the name "demo"' call demo
expect "nothing runs that can be attached to (pinion run --listen=NAME)" "$("$pinion" status)"
[ ! -e "$PINION_RUNTIME_DIR/demo" ] || fail "a dead process's name was left"

# A file says it as well; a stop leaves no name.
cat >"$tmp/app.yaml" <<-END
	applications: [{import_path: $apps:talking}]
	listen: of-the-file
	workers: 1
	idle: yield
	poll: pause
END
server_start "$tmp/app.yaml" --no-http
server_await "*, found as 'of-the-file'"
expect hi "$("$pinion" call of-the-file '["hi"]')"
server_stop TERM
expect 0 "$code"
expect "" "$(ls "$PINION_RUNTIME_DIR")"
