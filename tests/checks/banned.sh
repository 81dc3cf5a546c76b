#!/usr/bin/env bash
# What does not appear in the code. Comments may speak of it.
set -euo pipefail
cd "$(dirname "$0")/../.."

status=0
# shellcheck disable=SC2016 # awk's own fields
# file:line:code, with comments and texts taken out.
code() { # FOLDER...
	find "$@" -name '*.[ch]' -print0 2>/dev/null | xargs -0 -r awk '
		FNR == 1 { inside = 0 }
		{
			line = $0
			gsub(/\\./, "", line)
			gsub(/"[^"]*"/, "\"\"", line)
			out = ""
			while (line != "") {
				if (inside) {
					at = index(line, "*/")
					if (!at) break
					line = substr(line, at + 2)
					inside = 0
				} else {
					at = index(line, "/*")
					if (!at) { out = out line; break }
					out = out substr(line, 1, at - 1)
					line = substr(line, at + 2)
					inside = 1
				}
			}
			if (out ~ /[^ \t]/) print FILENAME ":" FNR ":" out
		}'
}
ban() { # WHY PATTERN (of file:line:code on standard input)
	local found
	found=$(grep -E "$2" || true)
	if [ -n "$found" ]; then
		printf '%s\n' "$found"
		echo "  $1"
		status=1
	fi
}

library=(shm affinity core)
product=("${library[@]}" ingress)
all=("${product[@]}" cli examples bench tests)

ban "volatile orders nothing between threads" '\bvolatile\b' < <(code "${all[@]}")
ban "C11 atomics instead" '\b__(sync|atomic)_' < <(code "${all[@]}")
ban "no inline assembly but pause" '\b(__)?asm(__)?\b' < <(code "${product[@]}" | grep -v '""' || true)
ban "name both memory orders" '\batomic_(load|store|exchange|compare_exchange_(weak|strong)|fetch_[a-z]+|flag_test_and_set|flag_clear)[[:space:]]*\(' \
	< <(code "${product[@]}" cli)
# A fence is a measured exception: docs/design/sleep.md. The one in thread.h stops only the compiler.
ban "no fence outside shm/bell.h (docs/design/sleep.md)" '\batomic_(thread|signal)_fence\b|\b__builtin_ia32_.fence\b' \
	< <(code "${product[@]}" cli examples | grep -vE '^shm/bell\.h:|^core/thread\.h:[0-9]+:.*atomic_signal_fence' || true)
# A table into a file that the caller opened is what was asked for, not a word of the library's own.
ban "the library prints nothing" '\b(printf|puts|putchar|vprintf|perror|fprintf|vfprintf|fputs|syslog)[[:space:]]*\(' \
	< <(code "${library[@]}" | grep -vE '^shm/histogram_print\.c:[0-9]+:.*\bfprintf\(to,' || true)
ban "the library ends nobody" '\b(exit|_exit|quick_exit)[[:space:]]*\(' < <(code "${product[@]}")
ban "the library installs no signal handlers" '\b(signal|sigaction)[[:space:]]*\(' < <(code "${product[@]}")
ban "a test waits for what it needs, not for time" '(^|[^_[:alnum:]])(sleep|usleep|nanosleep|clock_nanosleep|thrd_sleep)[[:space:]]*\(' \
	< <(code tests | grep -v '^tests/stress/' || true) # which paces itself: it runs for a time that it was given
ban "a test script waits for what it needs, not for time" '\bsleep[[:space:]]+[0-9."$]' \
	< <(grep -rnE --include='*.sh' '^[^#]*\bsleep\b' tests examples | grep -v '^tests/checks/banned\.sh:' || true)
exit $status
