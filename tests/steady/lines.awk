# Follows lackey's trace of memory as two caches would, the caller's and the worker's, each with room for all.
#   awk -f lines.awk RANGES TRACE
# RANGES is what `traced` says. Prints, per call: "travel N" lines that one side fetches from the other, and
# "caller N", "worker N" lines that a side touches at all; then, from which memory the travelling ones were.

BEGIN { ranges = 0 }

# mawk reads no hexadecimal numbers.
function number(text,   i, value) {
	for (i = 1; i <= length(text); i++)
		value = value * 16 + index("0123456789abcdef", substr(text, i, 1)) - 1
	return value
}

function place_of(address,   i) {
	for (i = 0; i < ranges; i++)
		if (address >= from[i] && address < to[i])
			return name[i]
	return "private"
}

function count_touched(   line) {
	touched[side] += distinct
	for (line in seen)
		delete seen[line]
	distinct = 0
}

NR == FNR {
	if ($1 == "calls")
		calls = $2
	else if ($3 == "0")
		mark[number($2)] = $1
	else {
		name[ranges] = $1
		from[ranges] = number($2)
		to[ranges++] = number($3)
	}
	next
}

!/^ [LSM] / { next }

{
	split($2, part, ",")
	address = number(part[1])
	if (address in mark) {
		if (side != "")
			count_touched()
		side = mark[address]
		if (side == "nobody")
			exit
		if (side == "counted") {
			side = "caller"
			for (memory in travels)
				delete travels[memory]
			for (one in touched)
				delete touched[one]
		}
		next
	}
	if (side == "")
		next
	# An access may lie across two lines.
	last = int((address + part[2] - 1) / 64)
	for (line = int(address / 64); line <= last; line++) {
		if (!(line in place))
			place[line] = place_of(line * 64)
		if (place[line] == "stack" || place[line] == "thread")
			continue
		if (!(line in seen)) {
			seen[line] = 1
			distinct++
		}
		other = side == "caller" ? "worker" : "caller"
		if (!((side, line) in has)) {
			if ((other, line) in has)
				travels[place[line]]++
			has[side, line] = 1
		}
		if ($1 != "L" && (other, line) in has)
			delete has[other, line]
	}
}

END {
	for (memory in travels)
		total += travels[memory]
	printf "travel %.2f\n", total / calls
	printf "caller %.2f\n", touched["caller"] / calls
	printf "worker %.2f\n", touched["worker"] / calls
	for (memory in travels)
		printf "# %.2f of %s\n", travels[memory] / calls, memory
}
