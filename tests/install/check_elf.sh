#!/usr/bin/env bash
# A library needs only what a program that embeds it has to have; libpinion.so asks for jemalloc weakly.
#   check_elf.sh pinion LIBPINION.SO
#   check_elf.sh http LIBPINION-HTTP.SO
set -euo pipefail
export LC_ALL=C
case $1 in
pinion) allowed='libc|libm|libhwloc|liburcu-qsbr|liburcu-common' ;;
http) allowed='libc|libpinion|libmicrohttpd|libjansson' ;;
esac
allowed="^($allowed|ld-linux[-_a-z0-9]*)\\.so(\\.[0-9]+)*\$"
name=$(basename "$2")
failed=false
while read -r needed; do
	[[ $needed =~ $allowed ]] || {
		echo "$name needs $needed" >&2
		failed=true
	}
done < <(readelf --dynamic --wide "$2" | sed -n 's/.*(NEEDED).*\[\(.*\)\]/\1/p')

# jemalloc's own names, which no other malloc has.
own='(mallocx|rallocx|xallocx|sallocx|dallocx|sdallocx|nallocx|mallctl|mallctlnametomib|mallctlbymib)'
weak=0
while read -r type symbol; do
	if [ "$type" = w ]; then
		weak=$((weak + 1))
	else
		echo "$symbol is of type $type, not weak" >&2
		failed=true
	fi
done < <(nm --dynamic --format=posix "$2" | sed 's/@[^ ]*//' |
	awk -v own="^$own\$" '$1 ~ own { print $2, $1 }')
if [ "$1" = pinion ] && [ $weak -eq 0 ]; then
	echo "$name does not look for jemalloc" >&2
	failed=true
fi
if $failed; then exit 1; fi
echo "elf ok, $weak weak symbols of jemalloc"
