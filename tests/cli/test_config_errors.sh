#!/usr/bin/env bash
# Each thing that can be wrong with a file, or with what is said over it, is one line with file, line and key, and exit
# code 1.
#   test_config_errors.sh PINION APPS.SO
set -euo pipefail
pinion=$1
apps=$2
# shellcheck source=tests/cli/server.sh
. "$(dirname "$0")/server.sh"
cd "$tmp"
ln -s "$apps" apps.so

# refused PATTERN [ARGUMENT...], with the file on standard input; the pattern is of what comes behind "app.yaml".
refused() {
	local pattern="pinion run: app.yaml$1" status=0
	cat >app.yaml
	shift
	"$pinion" run app.yaml "$@" >out 2>all || status=$?
	grep -v '^pinion: polls: ' all >err || true # the log's, and no error
	cat err
	expect 1 "$status"
	expect "" "$(cat out)"
	expect 1 "$(wc -l <err)"
	# shellcheck disable=SC2053
	[[ $(cat err) == $pattern ]] || fail "not '$pattern'"
}

# The application that is there, with these lines behind.
app() {
	printf 'applications:\n  - import_path: apps.so:numbered\n'
	[ $# -eq 0 ] || printf '%s\n' "$@"
}

# Its one deployment, with this option in line 5.
option() {
	app "    deployments:" "      - name: Numberer" "        $1"
}

# Unknown keys.
refused ":3: there is no key 'app' here; there are: applications, http, workers, idle, poll, listen, listen_group" <<<"$(app "app: 1")"
refused ":3: there is no key 'route' here; there are: name, import_path, *" <<<"$(app "    route: /")"
refused ":3: there is no key 'Port' here; there are: host, port, request_timeout" <<<"$(app "http: {Port: 1}")"
refused ":5: Numberer: there is no option \"replicas\"; there are: num_replicas, *" <<<"$(option "replicas: 1")"
refused ":5: Numberer: there is no option \"min_replicas\"; *" <<<"$(option "min_replicas: 1")"
refused ":5: there is no deployment \"Number\" in \"default\"; it has: Numberer" \
	<<<"$(option "num_replicas: 1" | sed s/Numberer/Number/)"

# Wrong types.
refused ":1: applications: a list is needed, and not a mapping" <<<"applications: {a: b}"
refused ":1: a mapping is needed, and not a list" <<<"[applications]"
refused ":1: a mapping is needed, and not a single value" <<<"applications"
refused ":2: a mapping is needed, and not a single value" <<<$'applications:\n  - apps.so'
refused ":2: import_path: a single value is needed, and not a list" <<<$'applications:\n  - import_path: [a]'
refused ":3: name: a single value is needed, and not nothing" <<<"$(app "    name:")"
refused ":3: args: a mapping is needed, and not a single value" <<<"$(app "    args: a=b")"
refused ":4: list: a single value is needed, and not a list" <<<"$(app "    args:" "      list: [1]")"
refused ":3: deployments: a list is needed, and not a mapping" <<<"$(app "    deployments: {name: Numberer}")"
refused ":5: num_replicas: a single value is needed, and not a mapping" <<<"$(option "num_replicas: {min: 1}")"
refused ":3: http: a mapping is needed, and not a single value" <<<"$(app "http: 8000")"
refused ":3: port: 'x' is not a number from 0 to 65535" <<<"$(app "http: {port: x}")"
refused ":3: port: '65536' is not a number from 0 to 65535" <<<"$(app "http: {port: 65536}")"
refused ":3: a key is needed, and not a list" <<<"$(app "[a]: b")"

# Numbers that cannot be, a written 0 among them; unknown policies.
for option in num_replicas max_ongoing_requests max_queued_requests; do
	for value in 0 -1 1.5 many 99999999999; do
		refused ":5: Numberer: $option is \"$value\": it may be a whole number of at least 1" \
			<<<"$(option "$option: $value")"
	done
done
for value in 0 -1 0s 5h; do
	refused ":5: Numberer: queue_timeout_ns is \"$value\": it may be a time above 0, *" \
		<<<"$(option "queue_timeout_ns: $value")"
done
refused ":5: Numberer: routing is \"random\": it may be least_loaded, round_robin, by_key, local" \
	<<<"$(option "routing: random")"
refused ":3: workers: '0' is not a number from 1 to 64" <<<"$(app "workers: 0")"
refused ":3: workers: '-1' is not a number from 1 to 64" <<<"$(app "workers: -1")"
refused ":3: request_timeout: '0' is not a number of seconds *" <<<"$(app "http: {request_timeout: 0}")"
refused ":3: request_timeout: '-1' is not a number of seconds *" <<<"$(app "http: {request_timeout: -1}")"
refused ":3: idle is \"fast\": *" <<<"$(app "idle: fast")"
refused ":3: poll is \"fast\": *" <<<"$(app "poll: fast")"

# Duplicates.
refused ":3: workers is there twice" <<<$'workers: 1\napplications: []\nworkers: 1'
refused ":6: num_replicas is there twice" <<<"$(option "num_replicas: 1"; echo "        num_replicas: 2")"
refused ":5: deployment 'Numberer' is there twice" \
	<<<"$(app "    deployments:" "      - name: Numberer" "      - {name: Numberer, num_replicas: 2}")"
refused ":3: name 'default' is another application's" <<<"$(app "  - import_path: apps.so")"
refused ":5: name 'a' is another application's" \
	<<<"$(app "    name: a" "  - import_path: apps.so" "    name: a")"
refused ":5: route_prefix '/' is that of 'default'" \
	<<<"$(app "  - import_path: apps.so" "    name: a" "    route_prefix: /")"
refused ":4: route_prefix '/b' is that of 'default'" \
	<<<"$(app "    route_prefix: /b" "  - import_path: apps.so" "    name: b")"

# Names and routes that cannot be.
refused ":3: route_prefix 'n' does not begin with /" <<<"$(app "    route_prefix: n")"
refused ":2: route_prefix \"/-/x\" cannot be: *" <<<"$(app "    route_prefix: /-/x")"
refused ":2: the application's name has a control character" <<<"$(app '    name: "a\nb"')"
refused ":3: name: there is a zero byte in it" <<<"$(app '    name: "a\0b"')"

# What is missing.
refused ": it is empty" </dev/null
refused ":1: a mapping is needed, and not nothing" <<<"~"
refused ":1: it has no applications" <<<"workers: 1"
refused ":1: it has no applications" <<<"applications: []"
refused ":2: an application needs an import_path: *" <<<$'applications:\n  - name: a'
refused ":4: a deployment needs a name" <<<"$(app "    deployments:" "      - num_replicas: 1")"
refused ":2: ./none.so: No such file or directory" <<<$'applications:\n  - import_path: none.so'
refused ":2: *weights=w.bin is no file*" \
	<<<$'applications:\n  - import_path: apps.so:refused\n    args: {weights: w.bin}'

# No YAML, or more than one.
refused ":2: did not find expected ',' or ']'" <<<"applications: [a"
refused ":2: found character that cannot start any token" <<<$'applications:\n\t- a'
refused ": byte 0: *UTF-8*" <<<$'\xff'
refused ":4: there is a second document" <<<"$(app "---" "a: b")"
refused ":3: found undefined alias" <<<"$(app "    args: *a")"

# What is said beside the file. The rest of what a command can say wrongly is test_errors.sh's.
wrong() { # PATTERN ARGUMENT...
	local status=0 pattern=$1
	shift
	"$pinion" run "$@" >out 2>all || status=$?
	grep -v '^pinion: polls: ' all >err || true
	cat err
	expect 1 "$status"
	# shellcheck disable=SC2053
	[[ $(cat err) == $pattern ]] || fail "not '$pattern'"
}
app "  - {import_path: apps.so, name: b}" >app.yaml
wrong "pinion run: the file has 2 applications: *" app.yaml greeting=hi
wrong "pinion run: the file has 2 applications: *" app.yaml --name=x
app >app.yaml
wrong "pinion run: beside the file: Numberer: num_replicas is \"0\": *" app.yaml Numberer.num_replicas=0
wrong "pinion run: app.yaml:2: *\"/-/\" cannot be*" app.yaml --route-prefix=/-/
wrong "pinion run: none.yaml: No such file or directory" none.yaml
wrong "pinion run: Numberer: num_replicas is \"0\": *" apps.so:numbered Numberer.num_replicas=0
wrong "pinion run: Numberer: num_replicas is \"-2\": *" apps.so:numbered Numberer.num_replicas=-2
wrong "pinion run: Numberer: there is no option \"x\"; *" apps.so:numbered Numberer.x=1
wrong "pinion run: there is no deployment \"x\" *" apps.so:numbered x.num_replicas=1
wrong "pinion run: 'Numberer.num_replicas' is given twice" apps.so Numberer.num_replicas=1 Numberer.num_replicas=2
wrong "pinion run: 'x.' is not DEPLOYMENT.OPTION, *" apps.so x.=1
wrong "pinion run: route_prefix 'n' does not begin with /" apps.so --route-prefix=n
