# A `pinion run` in the background, for the tests that source this.
# shellcheck shell=bash disable=SC2034
#   server_start ARGUMENT...   starts it; its stdout and stderr are read by server_await
#   server_await PATTERN       reads lines until one matches, left in $line; fails when it ends before
#   server_stop SIGNAL         tells it, reads the rest into $rest, leaves the exit code in $code
tmp=$(mktemp -d)
server_pid=
trap '[ -z "$server_pid" ] || kill -KILL "$server_pid" 2>/dev/null; rm -rf "$tmp"' EXIT
mkfifo "$tmp/said"

fail() {
	echo "FAILED: $*" >&2
	exit 1
}

expect() {
	[ "$1" = "$2" ] || fail "'$2' instead of '$1'"
}

server_start() {
	# shellcheck disable=SC2154
	"$pinion" run "$@" >"$tmp/said" 2>&1 &
	server_pid=$!
	exec {said}<"$tmp/said"
}

server_await() {
	while IFS= read -r line <&"$said"; do
		echo "server: $line"
		# shellcheck disable=SC2053
		[[ $line == $1 ]] && return
	done
	fail "the server ended before it said '$1'"
}

server_stop() {
	kill -"$1" "$server_pid"
	server_end
}

server_end() {
	rest=$(cat <&"$said")
	exec {said}<&-
	code=0
	wait "$server_pid" || code=$?
	server_pid=
}

# The URL in the ready line.
server_url() {
	server_await "pinion: app *"
	[[ $line =~ (http://[^ ]+) ]] || fail "no address in '$line'"
	url=${BASH_REMATCH[1]}
}
