#!/usr/bin/env bash
# The manual page has each verb and option that --help has, and no other.
#   check_manual.sh PINION
set -euo pipefail
pinion=$1
page=$(cd "$(dirname "$0")/../.." && pwd)/docs/man/pinion.1

verbs() {
	"$pinion" --help | sed -n '/^Verbs:/,/^$/s/^  \([a-z]*\) .*/\1/p' | sort -u
}

options() { # of each verb's --help: "  -o, --output=FILE   ..."; argp's own are left out
	for verb in $(verbs); do
		"$pinion" "$verb" --help | sed -nE 's/^ +(-[a-z], )?(--[a-z-]+(=[A-Z]+)?).*/\2/p'
	done | grep -v -e --usage -e --help | sort -u
}

plain=$(sed 's/\\-/-/g; s/\\f[BIR]//g' "$page")
diff -u --label --help --label manual <(options) \
	<(sed -n 's/^\.BR \(--.*\)$/\1/p' <<<"$plain" | sort)
diff -u --label "--help's verbs" --label "the manual's" <(verbs) \
	<(sed -n 's/^\.SS pinion \([a-z]*\)$/\1/p' <<<"$plain" | sort)
echo "manual ok, $(options | wc -l) options"
