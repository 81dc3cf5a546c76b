#!/usr/bin/env bash
# `pinion run` serves until it is told to stop, lets calls under way finish, and then exits 0.
#   test_serving.sh PINION APPS.SO HELLO.SO
set -euo pipefail
pinion=$1
apps=$2
hello=$3
# shellcheck source=tests/cli/server.sh
. "$(dirname "$0")/server.sh"

# hello answers by language; a file without a slash is one of the current directory.
cd "$(dirname "$hello")"
server_start --port=0 "$(basename "$hello"):app"
server_url
post() {
	curl -sS --fail-with-body --json "$1" "$url"
}
expect "Hola Dora" "$(post '{"language": "spanish", "name": "Dora"}')"
expect "Bonjour Dora" "$(post '{"language": "french", "name": "Dora"}')"
expect "Please try again." "$(post '{"language": "klingon", "name": "Dora"}')"
server_stop INT
expect 0 "$code"

# A stream comes as what the client accepts; what is refused says so.
server_start --port=0 stream.so:app --request-timeout=10
server_url
expect $'0\n1\n2' "$(curl -sSN --fail-with-body "$url?limit=3")"
expect $'data: 0\n\ndata: 1' "$(curl -sSN --fail-with-body -H 'Accept: text/event-stream' "$url?limit=2")"
server_stop TERM
expect 0 "$code"

# key=value pairs reach the builder, before and behind options; name and prefix are used.
server_start "$apps" greeting=a=b --port=0 --name=echo --route-prefix=/echo --workers=1
server_url
expect "pinion: app 'echo' at $url (1 worker)" "$line"
[[ $url == http://127.0.0.1:*/echo ]] || fail "'$url' lacks the prefix"
expect "a=b" "$(curl -sS --fail-with-body "$url")"
server_stop TERM
expect 0 "$code"

# Without HTTP.
server_start --no-http "$apps"
server_await "pinion: app 'default' without HTTP (*)"
server_stop TERM
expect 0 "$code"

# A call under way at Ctrl-C is still answered.
mkfifo "$tmp/held"
server_start --port=0 "$apps:held" fifo="$tmp/held"
server_url
exec {held}<>"$tmp/held"
curl -sS --fail-with-body "$url" >"$tmp/answer" {held}>&- &
caller=$!
server_await entered
kill -INT "$server_pid"
server_await "pinion: stopping*"
exec {held}>&-
wait "$caller"
expect "released" "$(cat "$tmp/answer")"
server_end
expect 0 "$code"

# The second Ctrl-C ends it at once, even inside an init that never returns.
server_start --no-http "$apps:hanging"
server_await entered
kill -INT "$server_pid"
server_await "pinion: stopping*"
server_stop INT
expect 130 "$code"
