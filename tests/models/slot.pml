/* SPDX-License-Identifier: Apache-2.0 */
/*
 * slot.pml - one slot through several calls: its owner, two callees, a reader with a reference, and one whose
 * reference is stale. shm/slot.h draws the word; core/result.c, core/ref.c and core/request.c use it.
 *
 * The result of call g is g in each of two words. Whether a call's reference leaves the owner is open; if it
 * does, the result is kept until the reader has given it back, and the slot is retired. Callees answer in turns,
 * so that what one still has to do after DONE meets the next call.
 *
 * Checked   Who waits is told or woken; a copy that its check confirms is whole and the call's own; a slot is
 *           used again only after its reference was given back; no call starts with another's flag.
 * Right     as it is.
 * Wrong     -DSTORE_DONE   the callee loads the flags and then stores DONE
 *           -DASK_STORE    the owner asks by a load and a store
 *           -DPLAIN_OR     the callee's late ENDED is set whatever the word is
 *           -DNO_RETIRE    a slot whose reference left is used again at once
 *           -DWAKE_FIRST   whoever waits on the word is woken before DONE
 */
#define CALLS 2 /* enough for what is left of one call to meet the next */
#define DONE 1
#define TELL 2
#define FOREIGN 4
#define ENDED 8

/* The slot. */
byte generation, flags = DONE; /* one word */
byte bytes[2];
/* The owner's bell and ready bit; the kernel's queue on the word. */
bool told;
bool asleep_on_word;

chan requests = [1] of { byte };
chan refs = [1] of { byte };
chan stale = [1] of { byte };
byte calls; /* ended */

#define IS_DONE(g) (generation == g && (flags & DONE))
#define IS_PENDING(g) ((flags & DONE) -> (generation == g - 1) : (generation == g))

/* slot_flag_while_pending: a load, then a compare-exchange that may find another word. */
inline flag_while_pending(g, flag, pending) {
	do
	:: atomic { seen_g = generation; seen_f = flags };
		pending = ((seen_f & DONE) -> (seen_g == g - 1) : (seen_g == g));
		if
		:: !pending -> break
		:: else
		fi;
		next_f = ((seen_f & DONE) -> flag : (seen_f | flag));
#ifdef ASK_STORE
		atomic { generation = g; flags = next_f };
		break
#else
		atomic {
			if
			:: generation == seen_g && flags == seen_f ->
				generation = g;
				flags = next_f;
				break
			:: else
			fi
		}
#endif
	od
}

/* slot_end */
inline give_back(g, is_live) {
	do
	:: atomic { seen_g = generation; seen_f = flags };
		is_live = seen_g == g && (seen_f & DONE);
		if
		:: is_live -> next_f = seen_f | ENDED
		:: else ->
			is_live = ((seen_f & DONE) -> (seen_g == g - 1) : (seen_g == g));
			next_f = ((seen_f & DONE) -> ENDED : (seen_f | ENDED))
		fi;
		if
		:: !is_live -> break
		:: else
		fi;
		atomic {
			if
			:: generation == seen_g && flags == seen_f ->
				generation = g;
				flags = next_f;
				break
			:: else
			fi
		}
	od
}

proctype owner() {
	byte g, seen_g, seen_f, next_f;
	bool shared, pending;

	do
	:: calls < CALLS ->
		g++;
		/* Nobody has written of this call: it starts without flags. */
		assert(generation == g - 1 && (flags & (DONE | TELL | FOREIGN)) == DONE);
		if
		:: shared = false
		:: shared = true -> refs!g
		fi;
		requests!g;
		if
		:: !IS_DONE(g) || shared -> /* asks, and sleeps until it is told */
			do
			:: flag_while_pending(g, TELL, pending);
				if
				:: !pending -> break
				:: else
				fi;
				told; /* a bit may be an older call's: it looks again */
				told = false
			od
		:: IS_DONE(g) /* by polling */
		fi;
		assert(IS_DONE(g));
		assert(bytes[0] == g && bytes[1] == g);
		if
		:: shared ->
			IS_DONE(g) && (flags & ENDED);
#ifndef NO_RETIRE
			atomic { g++; generation = g; flags = DONE };
#endif
			skip
		:: else ->
			assert((flags & ENDED) == 0)
		fi;
		calls++
	:: else -> break
	od
}

proctype callee() {
	byte g, old_g, old_f;

end:	do
	:: requests?g ->
		bytes[0] = g;
		bytes[1] = g;
#ifdef STORE_DONE
		atomic { old_g = generation; old_f = flags };
		atomic { generation = g; flags = DONE };
#else
#ifdef WAKE_FIRST
		asleep_on_word = false;
#endif
		atomic { old_g = generation; old_f = flags; generation = g; flags = DONE };
#endif
		if
		:: old_g != g -> old_f = 0
		:: else
		fi;
		if
		:: old_f & ENDED ->
#ifdef PLAIN_OR
			flags = flags | ENDED
#else
			atomic {
				if
				:: generation == g && flags == DONE -> flags = DONE | ENDED
				:: else
				fi
			}
#endif
		:: else
		fi;
		if
		:: old_f & FOREIGN ->
#ifndef WAKE_FIRST
			asleep_on_word = false
#endif
		:: else
		fi;
		if
		:: old_f & TELL -> told = true
		:: else
		fi
	od
}

/* pinion_ref_get and pinion_ref_release; or only the latter, before or after the result is there. */
proctype reader() {
	byte g, seen_g, seen_f, next_f, copy[2];
	bool pending, is_live;

end:	do
	:: refs?g ->
		if
		:: true ->
			do
			:: flag_while_pending(g, FOREIGN, pending);
				if
				:: !pending -> break
				:: else
				fi;
				atomic { seen_g = generation; seen_f = flags };
				if
				:: seen_g == g && !(seen_f & DONE) ->
					atomic { /* futex: compares and sleeps in one step */
						if
						:: generation == seen_g && flags == seen_f ->
							asleep_on_word = true
						:: else
						fi
					};
					!asleep_on_word
				:: else
				fi
			od;
			copy[0] = bytes[0];
			copy[1] = bytes[1];
			assert(IS_DONE(g)); /* the reference is held: it cannot be stale */
			assert(copy[0] == g && copy[1] == g)
		:: true
		fi;
		give_back(g, is_live);
		assert(is_live);
		if
		:: nfull(stale) -> stale!g
		:: true
		fi
	od
}

/* Keeps a reference that was given back. */
proctype latecomer() {
	byte g, seen_g, seen_f, next_f, copy[2];
	bool is_live;

end:	do
	:: stale?g ->
		if
		:: IS_DONE(g) ->
			copy[0] = bytes[0];
			copy[1] = bytes[1];
			if
			:: IS_DONE(g) -> assert(copy[0] == g && copy[1] == g)
			:: else
			fi
		:: true -> give_back(g, is_live) /* a second time: may be too late, and must then do nothing */
		fi
	od
}

init {
	atomic {
		run callee();
		run callee();
		run reader();
		run latecomer();
		run owner()
	}
}
