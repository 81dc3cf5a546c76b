#!/usr/bin/env bash
# Each system call that attaching, hosting, or listening makes fails once, at its first, second, ... use: the program says why in a line or goes
# on, is not ended by a signal, does not hang; the other side notices nothing, and nothing is left of it.
#   fail_syscalls.sh SERVE CLIENT PINION HOST
set -euo pipefail
serve=$1 client=$2 pinion=$3 host=$4
command -v strace >/dev/null || { echo "strace is missing"; exit 77; }
divisor=${PINION_TEST_DIVISOR:-1}
tmp=$(mktemp -d)
export PINION_RUNTIME_DIR=$tmp/names
pid=
trap '[ -z "$pid" ] || kill -KILL "$pid" 2>/dev/null; rm -rf "$tmp"' EXIT

fail() {
	echo "FAILED: $*" >&2
	exit 1
}

start_server() {
	exec {said}< <(exec "$serve" test)
	pid=$!
	IFS= read -r _ <&"$said" || fail "serve did not start"
}

runs=0
refused=0
# Runs it with that call failing at its n-th use. False: it made fewer.
failing() { # CALL N ERROR PROGRAM...
	local call=$1 n=$2 error=$3 code=0
	shift 3
	timeout 60 strace -f -qq -o "$tmp/trace" -e "trace=$call" -e "inject=$call:error=$error:when=$n" \
		"$@" >"$tmp/out" 2>"$tmp/err" || code=$?
	runs=$((runs + 1))
	[ "$code" -lt 124 ] || fail "$call failing at $n with $error: $* ended with $code: $(cat "$tmp/err")"
	[ "$code" = 0 ] || refused=$((refused + 1))
	if [ "$code" != 0 ] && [ ! -s "$tmp/err" ]; then fail "$call failing at $n with $error: it said nothing"; fi
	grep -q INJECTED "$tmp/trace"
}

# How many a program makes before it comes to what is tested: the loader's fail as they do for any program.
before() { # CALL PROGRAM...
	strace -f -qq -o "$tmp/trace" -e "trace=$1" "${@:2}" >/dev/null 2>&1 || true
	grep -c . "$tmp/trace" || true
}

start_server
"$client" test >"$tmp/right"
step=$((divisor > 4 ? 4 : 1))
for call in socket connect sendmsg recvmsg getsockopt pidfd_open fcntl fstat mmap munmap madvise poll clone3 close openat \
	membarrier getrandom flock; do
	first=$(before "$call" "$client" nothing-runs-by-this)
	for error in ENOMEM EMFILE; do
		for ((n = first + 1; n <= first + 40; n += step)); do
			failing "$call" "$n" "$error" "$client" test || break
		done
	done
done
echo "client: $runs runs, $refused refused"
[ "$("$client" test)" = "$(cat "$tmp/right")" ] || fail "the server answers otherwise now"
for ((i = 0; ; i++)); do
	"$pinion" status test >"$tmp/status"
	grep -q "client process" "$tmp/status" || break
	[ "$i" -lt 100 ] || fail "clients are left: $(cat "$tmp/status")"
done

# A host that is told to end by the terminal's signal ends: that is right.
runs=0
refused=0
# shellcheck disable=SC2016 # the inner shell's
hosting=(bash -c 'timeout --preserve-status -s TERM 0.2 "$0" "$1" || [ $? = 143 ]' "$host")
for call in socket connect sendmsg recvmsg pidfd_open fcntl fstat mmap munmap clone3 openat memfd_create fallocate; do
	first=$(before "$call" "${hosting[@]}" nothing-runs-by-this)
	for ((n = first + 1; n <= first + 30; n += 2 * step)); do
		failing "$call" "$n" ENOMEM "${hosting[@]}" test || break
	done
done
echo "host: $runs runs, $refused refused"
[ "$("$client" test)" = "$(cat "$tmp/right")" ] || fail "the server answers otherwise after its hosts"
kill -TERM "$pid"
wait "$pid"
pid=

runs=0
refused=0
for call in socket bind listen mkdir flock chmod unlink epoll_create1 epoll_ctl eventfd2 memfd_create ftruncate fallocate fcntl \
	fchmod clone3 mmap; do
	first=$(before "$call" "$serve" "no name")
	for ((n = first + 1; n <= first + 12; n += step)); do
		failing "$call" "$n" ENOMEM timeout --preserve-status -s TERM 0.3 "$serve" test || break
		# If that itself fails the name stays, and is the next to start's.
		[ "$call" = unlink ] || [ -z "$(ls "$PINION_RUNTIME_DIR" 2>/dev/null)" ] ||
			fail "$call failing at $n: a name is left"
	done
done
echo "serve: $runs runs, $refused refused"
