# The curves of one plot, of results.json: a line that says what was measured on, then a block a curve, its name and its
# points in ns. Nothing at all when nothing of it was measured.
#   jq -r --arg plot percentiles|payload|chain|load -f curves.jq results.json

def number: capture("-(?<n>[0-9]+)$").n | tonumber;

# What a row gives to plots. systems: the program that has measured most of them, in turns.
def drawn(systems):
	# x: of so many calls one is slower; nothing is said of it by fewer.
	(select(.bench == systems and .payload_bytes <= 8 and (.case | IN("floor", "raw", "call", "echo")))
		| { plot: "percentiles", curve: (if .case == "echo" then .system else .name end),
			points: (.samples as $n | [[2, .p50_ns], [100, .p99_ns], [1000, .p999_ns], [10000, .p9999_ns]]
				| map(select(.[0] <= $n))) }),
	({ "call/echo": "there and back", "call/copied": "there, copied", "call/loaned": "there, loaned",
			"chain/payload": "handed on in a chain", "chain/payload-caller": "the same through the caller",
			"chain/filled": "filled and handed on", "chain/filled-caller": "filled, through the caller", "peers/echo": .system }["\(.bench)/\(.case)"] // empty
		| { plot: "payload", curve: . }) + { points: [[.payload_bytes, .value]] },
	(select(.bench == "chain" and (.case | test("^(chain|steps)-")))
		| { plot: "chain", points: [[(.case | number), .value]],
			curve: (if .case | startswith("chain") then "a handler chains between two workers"
				else "the same, one by one" end) }),
	(select(.bench == "chain" and (.case | startswith("together-")))
		| { plot: "chain", points: [[(.case | number), .value]],
			curve: (if .case | contains("steps") then "a thread calls one worker, one by one"
				else "a thread chains on one worker" end) }),
	(select(.bench == "local" and (.case | test("^(call|chain-[0-9]+)$")))
		| { plot: "chain", curve: "a handler chains on its own worker",
			points: [[(if .case == "call" then 1 else .case | number end), .value]] }),
	(select(.bench == "load" and (.system == "pinion" or .system == "ideal"))
		| { plot: "load", points: [[(.case | number), .p99_ns]],
			curve: ((.case | sub("-[0-9]+$"; "")) + if .system == "ideal" then ", ideal queue" else "" end) });

# Of these, those of the placement under which most was seen.
def placed: group_by(.placement) | max_by(map(.samples) | add) // [];

# In the order in which they came. One point is no curve.
def curves:
	reduce .[] as $row ([]; (map(.curve) | index([$row.curve])) as $at
		| if $at == null then . + [$row] else .[$at].points += $row.points end)
	| map(.points |= (map(select(all(. != null))) | sort) | select(.points | length > 1));

.machine.cpu as $cpu
| .results
| (if any(.bench == "peers") then "peers" else "call" end) as $systems
| map(. as $row | drawn($systems) | select(.plot == $plot) + ($row | { placement, samples }))
| placed
| curves
| select(length > 0)
| "# \($cpu), \(.[0].placement)",
	(.[] | "\"\(.curve)\"", (.points[] | map(tostring) | join(" ")), "", "")
