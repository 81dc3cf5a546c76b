#!/usr/bin/env bash
# Installs Debian packages that are missing, saying which and why.
#   cmake/install-packages.sh REASON PACKAGE...
set -euo pipefail
reason=$1
shift
missing=()
for package in "$@"; do
	state=$(dpkg-query -W -f='${Status}' "$package" 2>/dev/null || true)
	[ "$state" = "install ok installed" ] || missing+=("$package")
done
[ ${#missing[@]} -eq 0 ] && exit 0
echo "Pinion needs ${missing[*]} $reason."
as_root=()
if [ "$(id -u)" -ne 0 ]; then
	if ! sudo -n true 2>/dev/null; then
		echo "This user may not install packages. Run: sudo apt-get install ${missing[*]}" >&2
		exit 1
	fi
	as_root=(sudo)
fi
log=$(mktemp)
trap 'rm -f "$log"' EXIT
echo "Installing them with apt-get ..."
if ! { "${as_root[@]}" apt-get -q update && "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive \
	apt-get -q -y install --no-install-recommends "${missing[@]}"; } >"$log" 2>&1; then
	tail -n 20 "$log" >&2
	echo "apt-get could not install: ${missing[*]}" >&2
	exit 1
fi
