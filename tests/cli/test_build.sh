#!/usr/bin/env bash
# `pinion build` writes a file that runs the same application, starts nothing, and says what cannot be.
#   test_build.sh PINION APPS.SO
set -euo pipefail
pinion=$1
apps=$2
# shellcheck source=tests/cli/server.sh
. "$(dirname "$0")/server.sh"
cd "$tmp"
cp "$apps" apps.so

# What code says is said, defaults are comments.
"$pinion" build apps.so:numbered >built.yaml
cat >expected <<-END
	applications:
	  - name: default
	    import_path: apps.so:numbered
	    route_prefix: /
	    deployments:
	      - name: Numberer
	        num_replicas: 2
	        routing: round_robin
END
diff -u expected <(grep -v '^ *#' built.yaml)
grep -qx '        # max_ongoing_requests: 100' built.yaml || fail "no default in a comment"
grep -qx '        # max_queued_requests: none' built.yaml || fail "no absent limit in a comment"

# What it says of that file is what it says of the code, whatever the names and arguments are.
again() { # ARGUMENT... of a build: through the file it is the same
	"$pinion" build "$@" -o first.yaml
	server_start first.yaml --port=0
	server_url
}
again apps.so greeting=$'\'it\' is: "5" \\ # \tor\n~' Echoer.queue_timeout_ns=1500us --name='a: b' --route-prefix=/p
[[ $line == "pinion: app 'a: b' at http://127.0.0.1:"*"/p ("* ]] || fail "$line"
expect $'\'it\' is: "5" \\ # \tor\n~' "$(curl -sS --fail-with-body "$url")"
server_stop TERM
grep -qx '        queue_timeout_ns: 1500us' first.yaml || fail "what the command says is not in the file"
again apps.so greeting=
expect "" "$(curl -sS --fail-with-body "$url")"
server_stop TERM
again apps.so greeting=null
expect null "$(curl -sS --fail-with-body "$url")"
server_stop TERM

# Two of a kind, and options that are not in code.
"$pinion" build apps.so:talking "Talker#2.num_replicas=2" Relay.routing=by_key >names.yaml
cat >expected <<-END
	      - name: Talker
	      - name: Relay
	        routing: by_key
	      - name: Talker#2
	        num_replicas: 2
	        max_queued_requests: 1000
END
diff -u expected <(sed '1,/deployments:/d; /^ *#/d' names.yaml)
expect well "$("$pinion" call names.yaml)"

# The path is seen from the file's folder.
mkdir -p in/deep
cp apps.so in/deep/apps.so
"$pinion" build in/deep/apps.so -o in/it.yaml
grep -qx '    import_path: deep/apps.so:app' in/it.yaml || fail "$(grep import in/it.yaml)"
"$pinion" build apps.so -o in/deep/it.yaml
grep -qx "    import_path: $(pwd -P)/apps.so:app" in/deep/it.yaml || fail "$(grep import in/deep/it.yaml)"
expect "no greeting" "$("$pinion" call in/it.yaml)"
expect "no greeting" "$("$pinion" call in/deep/it.yaml)"

# No init runs: it would fail, or never end.
"$pinion" build apps.so:failing | grep -qx '      - name: Faulter' || fail "no Faulter"
"$pinion" build apps.so:hanging | grep -qx '      - name: Hanger' || fail "no Hanger"

# refused PATTERN ARGUMENT...
refused() {
	local pattern="pinion build: $1" status=0
	shift
	"$pinion" build "$@" >out 2>err || status=$?
	cat err
	expect 1 "$status"
	expect "" "$(cat out)"
	expect 1 "$(wc -l <err)"
	# shellcheck disable=SC2053
	[[ $(cat err) == $pattern ]] || fail "not '$pattern'"
}
refused "which FILE.so\?"
refused "./none.so: No such file or directory" none.so
refused "./built.yaml: not a shared object" built.yaml
refused "weights=w.bin is no file" apps.so:refused weights=w.bin
refused "Numberer: num_replicas is \"0\": *" apps.so:numbered Numberer.num_replicas=0
refused "there is no deployment \"x\" in \"default\"; it has: Numberer" apps.so:numbered x.routing=local
refused "route_prefix \"n\" does not begin with /" apps.so --route-prefix=n
refused "the application's name is empty" apps.so --name=
refused "this cannot be said in YAML: *" apps.so greeting=$'\xff'
refused "none/it.yaml: No such file or directory" apps.so -o none/it.yaml
refused "'a' is given twice" apps.so a=1 a=2
[ ! -e none ] || fail "a folder was made"
