#!/usr/bin/env bash
# Each header compiles alone as C17; the public ones also as a user includes them, in C++17 too.
set -euo pipefail
cd "$(dirname "$0")/../.."

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir "$work/pinion"
public=(core/pinion*.h ingress/*/pinion*.h)
for header in "${public[@]}"; do ln -s "$PWD/$header" "$work/pinion/"; done
read -ra packages < <(pkg-config --cflags liburcu-qsbr hwloc cmocka)
flags=(-I. -I"$work" "${packages[@]}" -D_GNU_SOURCE -Wall -Wextra -Wpedantic -Werror
	-Wno-unused-function -Wno-unused-variable -fsyntax-only)

status=0
alone() { # COMPILER LANGUAGE STANDARD INCLUDE
	printf '#include %s\ntypedef int nothing;\n' "$4" | "$1" "${flags[@]}" -x "$2" -std="$3" - || {
		echo "$4 does not compile alone as $3"
		status=1
	}
}

mapfile -t headers < <(find shm affinity core ingress cli examples bench tests -name '*.h' 2>/dev/null | sort)
for header in "${headers[@]}"; do alone gcc c c17 "\"$header\""; done
for header in "${public[@]}"; do
	alone gcc c c17 "<pinion/${header##*/}>"
	[[ $header == */pinion_face.h ]] && continue # what C's macros stand on: pinion.h leaves it out in C++
	alone g++ c++ c++17 "<pinion/${header##*/}>"
done
exit $status
