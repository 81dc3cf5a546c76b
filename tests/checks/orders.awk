# Lists each memory order of the files given and the reason it has:
#   file line occurrence order letter        letter: an edge, "relaxed", or "none"
# The reason is the nearest comment that opens with a letter or "relaxed", on the line or at most 4 above.
FNR == 1 { at = -9; inside = 0 }
{
	code = $0
	if (inside) {
		if (!match(code, /\*\//))
			next
		code = substr(code, RSTART + 2)
		inside = 0
	}
	while (match(code, /\/\*/)) {
		comment = substr(code, RSTART)
		before = substr(code, 1, RSTART - 1)
		if (comment ~ /^\/\* [A-Z][ .:;,]/) {
			letter = substr(comment, 4, 1)
			at = FNR
		} else if (comment ~ /^\/\* relaxed/) {
			letter = "relaxed"
			at = FNR
		}
		if (match(comment, /\*\//)) {
			code = before substr(comment, RSTART + 2)
		} else {
			code = before
			inside = 1
			break
		}
	}
	for (nth = 1; match(code, /memory_order_[a-z_]+/); nth++) {
		order = substr(code, RSTART + 13, RLENGTH - 13)
		print FILENAME, FNR, nth, order, (FNR - at > 4 ? "none" : letter), (code ~ /signal_fence/ ? "compiler" : code ~ /_fence/ ? "fence" : "call")
		code = substr(code, 1, RSTART - 1) substr(code, RSTART + RLENGTH)
	}
}
