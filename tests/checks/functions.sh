#!/usr/bin/env bash
# A function has at most 70 lines, a file at most 700.
set -euo pipefail
cd "$(dirname "$0")/../.."

find . -path ./build -prune -o \( -name '*.[ch]' -o -name '*.[ch]pp' \) -print0 | xargs -0 awk '
	FNR == 1 { start = 0 }
	/^{/ { start = FNR }
	/^}/ {
		if (start && FNR - start - 1 > 70) {
			print FILENAME ":" start ": a function of " FNR - start - 1 " lines"
			bad = 1
		}
		start = 0
	}
	FNR == 701 {
		print FILENAME ": more than 700 lines"
		bad = 1
	}
	END { exit bad }'
