#!/usr/bin/env bash
# The manual page has each verb and option that --help has, and no other.
#   check_manual.sh PINION
set -euo pipefail
pinion=$1
page=$(cd "$(dirname "$0")/../.." && pwd)/docs/man/pinion.1

options() { # of --help: "      --port=NUMBER   ..."; argp's own are left out
	"$pinion" run --help | grep -oE -e '^ +--[a-z-]+(=[A-Z]+)?' | tr -d ' ' |
		grep -v -e --usage | sort
}

verbs() {
	"$pinion" --help | sed -n '/^Verbs:/,/^$/s/^  \([a-z]*\) .*/\1/p' | sort
}

plain=$(sed 's/\\-/-/g; s/\\f[BIR]//g' "$page")
diff -u --label --help --label manual <(options) \
	<(sed -n 's/^\.BR \(--.*\)$/\1/p' <<<"$plain" | sort)
diff -u --label "--help's verbs" --label "the manual's" <(verbs) \
	<(sed -n 's/^\.SS pinion \([a-z]*\)$/\1/p' <<<"$plain" | sort)
echo "manual ok, $(options | wc -l) options"
