#!/usr/bin/env bash
# `pinion run FILE.yaml` runs what the file says, over what the code says; the command stands over both.
#   test_config.sh PINION APPS.SO HELLO.SO
set -euo pipefail
pinion=$1
apps=$2
hello=$3
# shellcheck source=tests/cli/server.sh
. "$(dirname "$0")/server.sh"

# The numbers that answer in a round of ten calls, once each.
numbers() {
	for _ in 1 2 3 4 5 6 7 8 9 10; do
		curl -sS --fail-with-body "$1"
		echo
	done | sort -nu | paste -sd ' '
}

# Each application at its route, with its own arguments; paths from the file's folder, not from ours.
mkdir "$tmp/sub"
ln -s "$apps" "$tmp/apps.so"
cat >"$tmp/sub/several.yaml" <<-END
	applications:
	  - import_path: ../apps.so
	    args: {greeting: "it's 5", other: 7}
	  - name: words
	    import_path: $apps:app
	    args:
	      greeting: hi
	  - name: numbers
	    import_path: ../apps.so:numbered
	    route_prefix: /n
	    deployments:
	      - name: Numberer
	        num_replicas: 3
	        queue_timeout_ns: 10s
	http:
	  port: 0
	  request_timeout: 2.5
	workers: 2
	idle: adaptive
	poll: clock
END
server_start "$tmp/sub/several.yaml"
server_url
expect "pinion: app 'default' at $url (2 workers)" "$line"
first=$url
server_url
expect "pinion: app 'words' at ${first}words (2 workers)" "$line"
expect "hi" "$(curl -sS --fail-with-body "$url")"
server_url
expect "pinion: app 'numbers' at ${first}n (2 workers)" "$line"
expect "0 1 2" "$(numbers "$url")"
expect "it's 5" "$(curl -sS --fail-with-body "$first")"
server_stop TERM
expect 0 "$code"

# What is not in the file is as in code; what is said beside it stands over it.
cat >"$tmp/one.yml" <<-END
	applications:
	  - name: file
	    import_path: apps.so:numbered
	    deployments: [{name: Numberer, num_replicas: 3}]
	http: {port: 1, host: 192.0.2.1}
	workers: 2
END
server_start "$apps:numbered" --port=0
server_url
expect "0 1" "$(numbers "$url")"
server_stop TERM
server_start "$tmp/one.yml" Numberer.num_replicas=4 --port=0 --host=127.0.0.1 --workers=1 \
	--name=command --route-prefix=/c
server_url
expect "pinion: app 'command' at $url (1 worker)" "$line"
[[ $url == http://127.0.0.1:*/c ]] || fail "'$url' is not what the command says"
expect "0 1 2 3" "$(numbers "$url")"
server_stop TERM
expect 0 "$code"
server_start "$apps:numbered" --port=0 Numberer.num_replicas=1
server_url
expect 0 "$(numbers "$url")"
server_stop TERM

# Builder arguments, too.
cat >"$tmp/args.yaml" <<-END
	applications:
	  - import_path: apps.so
	    args: {greeting: of the file}
END
server_start "$tmp/args.yaml" --port=0
server_url
expect "of the file" "$(curl -sS --fail-with-body "$url")"
server_stop TERM
server_start "$tmp/args.yaml" --port=0 "greeting=of the command"
server_url
expect "of the command" "$(curl -sS --fail-with-body "$url")"
server_stop TERM

# The example, beside its module.
cp "$(dirname "$0")/../../examples/hello.yaml" "$tmp/hello.yaml"
ln -s "$hello" "$tmp/hello.so"
server_start "$tmp/hello.yaml" --port=0
server_url
expect "Hola Dora" "$(curl -sS --fail-with-body --json '{"language": "spanish", "name": "Dora"}' "$url")"
server_stop TERM
expect 0 "$code"
