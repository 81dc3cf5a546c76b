#!/usr/bin/env bash
# trading: the same seed is the same feed, every tick ends as on one thread, and what is wrong is said with its place.
#   test_trading.sh TRADING TICKS
set -euo pipefail
trading=$1 ticks=$2
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT

fail() {
	echo "FAILED: $*" >&2
	exit 1
}

# refused PATTERN ARGUMENT...: exit code 1, and a line like that.
refused() {
	local pattern=$1 said status=0
	shift
	said=$("$trading" "$@" 2>&1) || status=$?
	[ "$status" -eq 1 ] || fail "$* ended with $status: $said"
	[[ $said == *"$pattern"* ]] || fail "$* said: $said"
}

# The numbers behind "N ticks:" add up to N.
accounted() {
	local said=$1 sum=0 all n
	all=${said%% ticks:*}
	for n in $(head -1 <<<"${said#*ticks:}" | grep -oE '[0-9]+'); do sum=$((sum + n)); done
	[ "$all" -eq "$ticks" ] || fail "$said"
	[ "$sum" -eq "$ticks" ] || fail "$said"
}

"$trading" --ticks="$ticks" --seed=7 --write-feed="$dir/a"
"$trading" --ticks="$ticks" --seed=7 --write-feed="$dir/b"
"$trading" --ticks="$ticks" --seed=8 --write-feed="$dir/c"
cmp "$dir/a" "$dir/b"
cmp -s "$dir/a" "$dir/c" && fail "another seed makes the same feed"
[ "$(head -3 "$dir/a")" = $'# ns,symbol,price,size\n0,30,1000062,600\n57220,20,1000159,800' ] ||
	fail "seed 7 begins otherwise: $(head -3 "$dir/a")"

for more in "--feed=$dir/a --speed=10000" "--ticks=$ticks --rate=500000" "--ticks=$ticks --rate=20000 --symbols=1" \
	"--feed=$dir/a --speed=10000 --workers=2" "--ticks=$ticks --rate=500000 --workers=3"; do
	read -ra arguments <<<"$more"
	said=$("$trading" --check "${arguments[@]}") || fail "$said"
	accounted "$said"
	[[ $said == *"each tick ended as on one thread"* ]] || fail "$said"
done
accounted "$("$trading" --feed="$dir/a" --speed=5000 --deadline=50)"
accounted "$("$trading" --ticks="$ticks" --rate=400000 --symbols=2)"
said=$("$trading" --ticks="$ticks" --plot="$dir")
[ -s "$dir/stages.dat" ] || fail "no curves"
[[ $said != *stages.png* ]] || [ -s "$dir/stages.png" ] || fail "no picture"

refused '--ticks is "-1": it may be 1 to' --ticks=-1
refused '--symbols is "0": it may be 1 to 1024' --symbols=0
refused '--deadline is "soon": it may be 1 to' --deadline=soon
refused "$dir/none: No such file" --feed="$dir/none"
refused "/none/there: No such file" --ticks=10 --plot=/none/there
wrong() { # PATTERN LINE...
	local pattern=$1
	shift
	printf '%s\n' '# comment' "$@" >"$dir/wrong"
	refused "$dir/wrong$pattern" --feed="$dir/wrong"
}
# A comment of any length, and no newline at the end.
{ printf '#%200s\n' ''; printf '10,0,1000000,100\n20,0,1000000,100'; } >"$dir/short"
[[ $("$trading" --feed="$dir/short") == "2 ticks:"* ]] || fail "a feed without a last newline"
wrong ': there is no tick in it'
wrong ':3: the time is no number of ns, or before the last' 10,0,1,1 9,0,1,1
wrong ':2: the symbol is no number from 0 to 1023' 10,1024,1,1
wrong ':2: the price is no number' 10,1,-5,1
wrong ':2: the size is no number' 10,1,5,1,7
wrong ':2: the size is no number' 10,1,5,99999999999
