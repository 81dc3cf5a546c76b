#!/usr/bin/env bash
# Installs what is missing, builds, and runs an example: hello, chain, object_ref, stream, embed, client, trading.
#   examples/run.sh NAME [ARGUMENT...]
# hello listens on port 8000, or on PINION_PORT.
set -euo pipefail
cd "$(dirname "$0")/.."
. cmake/packages.sh
built=build/without-tests

usage() {
	sed -n '2,4s/^# \{0,1\}//p' examples/run.sh >&2
	exit 1
}

prepare() {
	cmake/install-packages.sh "to build" "${packages_build[@]}" "$@"
	echo "Building $built ..."
	log=$(mktemp)
	{ cmake --preset without-tests && cmake --build --preset without-tests; } >"$log" 2>&1 || {
		cat "$log" >&2
		rm -f "$log"
		exit 1
	}
	rm -f "$log"
}

# What the application at $url answers in this language.
ask() {
	local body="{\"language\": \"$1\", \"name\": \"Dora\"}" answer
	answer=$(curl -sS --fail-with-body --json "$body" "$url")
	printf '%s\n%s\n' "$body" "$answer"
}

hello() {
	local pid ready last
	exec {said}< <(exec "$built/cli/pinion" run "$built/examples/hello.so:app" \
		--port="${PINION_PORT:-8000}")
	pid=$!
	trap 'kill "$pid" 2>/dev/null || true' EXIT
	IFS= read -r ready <&"$said" || exit 1 # it has said why
	echo "$ready"
	url=${ready#* at }
	url=${url%% *}
	ask klingon
	ask french
	last=$(ask spanish)
	kill -INT "$pid"
	wait "$pid"
	trap - EXIT
	echo "$last"
}

# One program serves, one runs a deployment of it, one calls.
client() {
	local pid ready
	exec {said}< <(exec "$built/examples/serve" "$@")
	pid=$!
	trap 'kill "$pid" 2>/dev/null || true' EXIT
	IFS= read -r ready <&"$said" || exit 1 # it has said why
	echo "$ready"
	exec {hosted}< <(exec "$built/examples/host" "$@")
	IFS= read -r ready <&"$hosted" || exit 1
	echo "$ready"
	"$built/examples/client" "$@"
	kill -TERM "$pid"
	wait "$pid"
	trap - EXIT
}

[ $# -gt 0 ] || usage
name=$1
shift
case $name in
hello)
	prepare curl
	hello
	;;
client)
	prepare
	client "$@"
	;;
chain | object_ref | stream | embed | trading)
	prepare
	"$built/examples/$name" "$@"
	;;
*) usage ;;
esac
