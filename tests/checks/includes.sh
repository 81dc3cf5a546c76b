#!/usr/bin/env bash
# #include "..." goes one way: core -> shm, affinity; these two know neither each other nor core; ingress,
# cli and examples know pinion's public headers and their own folder's, cli also ingress/json. Tests may include anything.
set -euo pipefail
cd "$(dirname "$0")/../.."

status=0
# Complains of quoted includes in FOLDER's files that do not match PATTERN.
allow() { # FOLDER PATTERN
	local found
	[ -d "$1" ] || return 0
	found=$(find "$1" -name '*.[ch]' -exec grep -nHE '^[[:space:]]*#[[:space:]]*include[[:space:]]*"' {} + |
		grep -vE "include[[:space:]]*\"($2)\"" || true)
	[ -z "$found" ] && return 0
	echo "$found"
	echo "$1/ may include only: $2"
	status=1
}

allow shm 'shm/[a-z_]+\.h'
allow affinity 'affinity/[a-z_]+\.h'
allow core '(core|shm|affinity)/[a-z_]+\.h|pinion(_declare|_face)?\.h'
allow ingress 'ingress/[a-z_/]+\.h'
allow cli '[a-z_]+\.h|ingress/json/[a-z_]+\.h'
allow examples '[a-z]+\.h'

# ingress, cli and examples see the library as its users do; the library itself never does.
found=$(grep -rnE '#[[:space:]]*include[[:space:]]*<(core|shm|affinity|tests|bench|pinion)/' --include='*.[ch]' \
	shm affinity core ingress cli examples |
	grep -vE '^(ingress|cli|examples)/.*<pinion/pinion[a-z_]*\.h>' || true)
if [ -n "$found" ]; then
	echo "$found"
	echo "only ingress, cli and examples include <pinion/pinion*.h>, and nobody includes a folder by <>"
	status=1
fi

# A private header stays in its folder.
found=$(grep -rnoE '#[[:space:]]*include[[:space:]]*"[^"]+/[a-z_]+_priv\.h"' --include='*.[ch]' \
	shm affinity core ingress cli examples |
	sed -E 's/^(.*)\/[^/:]+:([0-9]+):.*"(.*)\/([^/]+)"$/\1 \3 \4/' | awk '$1 != $2' || true)
if [ -n "$found" ]; then
	echo "$found"
	echo "a _priv.h is included from another folder"
	status=1
fi
exit $status
