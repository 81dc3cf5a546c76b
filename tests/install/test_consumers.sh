#!/usr/bin/env bash
# The installed tree is enough: C programs by find_package and pkg-config, a C++17 program, and the
# command, each from a prefix that is chosen only at install time.
#   test_consumers.sh BUILD_DIR CC
set -euo pipefail
build=$1
cc=$2
cxx=$(sed 's/clang/clang++/; s/gcc/g++/' <<<"$cc")
warnings=(-Wall -Wextra -Wpedantic -Wconversion -Wshadow -Werror)
here=$(cd "$(dirname "$0")" && pwd)
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT

expect() {
	local expected=$1 got
	shift
	got=$("$@")
	[ "$got" = "$expected" ] || {
		echo "$*: '$got' instead of '$expected'" >&2
		exit 1
	}
}

cmake --install "$build" --prefix "$tmp/prefix" >"$tmp/install.log"
library=$(dirname "$(find "$tmp/prefix" -name 'libpinion.so' -print -quit)")

cmake -S "$here/c" -B "$tmp/c" -G Ninja -DCMAKE_BUILD_TYPE=Release -DCMAKE_C_COMPILER="$cc" \
	-DCMAKE_C_FLAGS="${warnings[*]}" \
	-DCMAKE_PREFIX_PATH="$tmp/prefix" >"$tmp/c.log"
cmake --build "$tmp/c" >>"$tmp/c.log" || {
	cat "$tmp/c.log" >&2
	exit 1
}
expect "C 42" "$tmp/c/consumer"
expect "HTTP 200" "$tmp/c/consumer_http"

export PKG_CONFIG_PATH=$library/pkgconfig
read -ra cflags < <(pkg-config --cflags pinion)
read -ra libs < <(pkg-config --libs pinion)
"$cxx" -std=c++17 -O2 "${warnings[@]}" "${cflags[@]}" \
	"$here/cpp/main.cpp" -o "$tmp/cpp" "${libs[@]}"
expect "C++ 42" env LD_LIBRARY_PATH="$library" "$tmp/cpp"
read -ra cflags < <(pkg-config --cflags pinion-http)
read -ra libs < <(pkg-config --libs pinion-http)
"$cc" -std=gnu17 -O2 "${warnings[@]}" "${cflags[@]}" "$here/c/http.c" -o "$tmp/http" "${libs[@]}"
expect "HTTP 200" env LD_LIBRARY_PATH="$library" "$tmp/http"

# The command finds its library by its own place.
"$tmp/prefix/bin/pinion" version
[ -s "$tmp/prefix/share/man/man1/pinion.1" ]
echo "consumers ok"
