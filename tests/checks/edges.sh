#!/usr/bin/env bash
# Every memory order of the library has its reason within 4 lines above: an edge's letter or "relaxed:".
# Acquire, release and sequentially consistent ones have a letter (a fence that stops only the compiler
# needs just a reason). Each letter is listed in one header's Edges and nowhere else, and has both halves
# somewhere in the tree.
set -euo pipefail
cd "$(dirname "$0")/../.."

shopt -s nullglob
files=(shm/*.[ch] core/*.[ch] affinity/*.[ch] cli/*.[ch] ingress/*.[ch] ingress/*/*.[ch])
listed=$(grep -nE '^ \*   [A-Z]  ' -- shm/*.h core/*.h affinity/*.h cli/*.h ingress/*/*.h | awk -F: '{ print substr($3, 6, 1), $1 }' || true)
{
	printf '%s\n' "$listed"
	awk -f tests/checks/orders.awk "${files[@]}"
} | awk '
	function complain(text) { print text; bad = 1 }
	NF == 2 {
		if ($1 in header)
			complain($2 ": edge " $1 " is listed in " header[$1] " too")
		header[$1] = $2
		next
	}
	NF != 6 { next }
	{
		where = $1 ":" $2 ": memory_order_" $4
		count++
	}
	$5 == "none" { complain(where " without a reason"); next }
	$5 == "relaxed" {
		if ($4 != "relaxed" && $6 != "compiler")
			complain(where " needs an edge")
		next
	}
	!($5 in header) { complain(where ": edge " $5 " is in no header"); next }
	$4 ~ /release|acq_rel|seq_cst/ { release[$5] = 1 }
	$4 ~ /acquire|acq_rel|seq_cst/ { acquire[$5] = 1 }
	END {
		for (letter in header) {
			letters++
			if (!release[letter])
				complain(header[letter] ": edge " letter " has no release")
			if (!acquire[letter])
				complain(header[letter] ": edge " letter " has no acquire")
		}
		if (!bad)
			print count " memory orders, " letters " edges"
		exit bad
	}'
