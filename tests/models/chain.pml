/* SPDX-License-Identifier: Apache-2.0 */
/*
 * chain.pml - requests that travel to their arguments, as core/request.c (route, wait_for, send_on, stand_in,
 * hand_over, send_behind), core/custody.h, core/complete.c and core/pool.c have them.
 *
 * A caller sends r0, which has no argument, and r1 and r2, which wait for r0, for r1 or for both. Whoever runs one may
 * hand it on to a deployment elsewhere, or here, or give it away unstarted; one is handed on with an argument, a call
 * that its handler makes first, and goes by way of that call's worker. Targets are open. Messages between two lie in
 * order; outboxes make each lane long enough (lane.pml has the lane). What a worker does with one message or with one
 * handler is one step, but for DONE, which comes after the dependents that go early; in between, and between its look
 * at the slots and what it does about them, others go on.
 *
 * Left out  Generations (slot.pml), cancels, the lazy writing of the latest request.
 * Checked   Each request has one outcome; no handler starts before its arguments are there, after the outcome, or for
 *           a request that is queued twice; a dependent moves MOVES times at most; in the end nobody waits, and nobody
 *           has anything in custody.
 * Run       spin -a chain.pml && gcc -O0 -w -DSAFETY -DCOLLAPSE -o pan pan.c && ./pan -m100000
 * Right     as it is; -DHANDED, -DGIVEN: more hand-overs, or fewer
 *           -DFAILING          one request finds no memory where it comes by, and ends there
 * Wrong     -DNO_PLACEHOLDER   what has not come is taken to have ended: the dependent goes to its target
 *           -DNO_TRAIL         who hands on keeps no note of where: a dependent that comes later waits for ever
 *           -DNO_COMPARE       a trail is followed whatever the message says of it: the dependent runs in circles
 *           -DNO_STAND_IN      what goes to an argument and will be back leaves nothing for those that wait for it
 *           -DTO_STOP          dependents follow to the worker of the argument's argument, where it is not to run
 *           -DLATE_LOOK        the lane is looked at between the dependents' departure and DONE
 *           -DNO_RESCUE        -DFAILING: nobody looks at placeholders whose calls have ended elsewhere
 */
#ifndef HANDED
#define HANDED 2 /* tail calls, in all */
#endif
#ifndef GIVEN
#define GIVEN 0 /* given to a sibling, in all */
#endif
#define W 3 /* workers; the caller is the next number */
#define Q 4 /* requests; the last is the one that a handler makes */
#define INNER 3
#ifndef MOVES
#define MOVES (2 + HANDED + GIVEN) /* to its second argument's home, behind each hand-over, to its target */
#endif
#define BIT(q) (1 << (q))
#define AT(w, q) ((w) * Q + (q))
#define LANE(from, to) ((from) * W + (to))

/* Shared. */
byte done;                        /* W callee: bits of the slots that are DONE */
chan lanes[12] = [Q] of { byte }; /* W one worker, or the caller */
/* In a request's message, of which there is one at a time. W whoever has it. */
byte target[Q];
byte hops[Q], given[Q];
byte refs[Q];       /* bits of the arguments that are references still */
byte home[Q];       /* in those to it: the worker that it was to run on at first. Frozen */
byte followed[Q];   /* MESSAGE_FOLLOW: that argument and one; 0: none */
byte sent_trail[Q]; /* with MESSAGE_FOLLOW */

/* Custody, private to each worker: [worker, slot]. */
#define NOTHING 0
#define REAL 1
#define PLACEHOLDER 2
#define OLD 3 /* was handed on; what comes of it may take its place */
byte here[12];
byte waits[12];      /* bits of the dependents there */
byte gone_trail[12]; /* 0: it has not left from here */
byte gone_to[12];
byte queued[W]; /* bits; they may run */

/* To be looked at. */
byte arguments[Q]; /* bits of all that it had */
byte answered;     /* bits */
byte moves[Q];
byte handed, gave;
bool failed;

#define TRAIL_OF(q) (1 + hops[q] * 4 + given[q])

inline enqueue(q) {
	assert(((queued[0] | queued[1] | queued[2]) & BIT(q)) == 0);
	queued[me] = queued[me] | BIT(q)
}

/* Nothing of it matters any more. */
inline forget(q) {
	target[q] = 0;
	hops[q] = 0;
	given[q] = 0;
	refs[q] = 0;
	followed[q] = 0;
	sent_trail[q] = 0;
	moves[q] = 0
}

/* dependents stay with the entry, and so with whatever is there next */
inline custody_write(q) {
	here[AT(me, q)] = REAL;
	gone_trail[AT(me, q)] = 0;
	gone_to[AT(me, q)] = 0
}

inline custody_leave(q, number, to) {
	here[AT(me, q)] = NOTHING;
	gone_trail[AT(me, q)] = number;
	gone_to[AT(me, q)] = to
}

inline stand_in(q) {
#ifdef NO_STAND_IN
	custody_leave(q, 0, 0);
	waits[AT(me, q)] = 0
#else
	assert(!(done & BIT(q))); /* it is to come back */
	here[AT(me, q)] = PLACEHOLDER
#endif
}

inline send_on(q, to, argument, number) {
	followed[q] = argument;
	sent_trail[q] = number;
	if
	:: here[AT(me, q)] == REAL && target[q] == me -> stand_in(q)
	:: else
	fi;
	assert(to != me);
	moves[q]++;
	assert(moves[q] <= MOVES);
	lanes[LANE(me, to)]!q
}

inline wait_at(q, a) {
	waits[AT(me, a)] = waits[AT(me, a)] | BIT(q);
	if
	:: target[q] == me && here[AT(me, q)] != REAL -> custody_write(q)
	:: else
	fi
}

#ifdef NO_COMPARE
#define IS_AHEAD(q, a) true
#else
#define IS_AHEAD(q, a) (!follow || gone_trail[AT(me, a)] > sent_trail[q])
#endif

inline wait_for(q, a) {
	follow = followed[q] == a + 1;
	followed[q] = 0;
	if
	:: here[AT(me, a)] != NOTHING -> sent_trail[q] = 0; wait_at(q, a)
	:: here[AT(me, a)] == NOTHING && gone_trail[AT(me, a)] != 0 && IS_AHEAD(q, a) ->
		send_on(q, gone_to[AT(me, a)], a + 1, gone_trail[AT(me, a)])
	:: else ->
		if
		:: home[a] != me && !follow -> send_on(q, home[a], 0, 0)
		:: else ->
#ifdef NO_PLACEHOLDER
			refs[q] = 0;
			if
			:: target[q] != me -> send_on(q, target[q], 0, 0)
			:: else -> custody_write(q); enqueue(q)
			fi
#else
			sent_trail[q] = 0;
			here[AT(me, a)] = PLACEHOLDER;
			gone_trail[AT(me, a)] = 0;
			gone_to[AT(me, a)] = 0;
			wait_at(q, a)
#endif
		fi
	fi
}

/* pinioni_request_route */
inline route(q) {
	pending = refs[q] & ~seen;
	if
	:: pending & BIT(0) -> wait_for(q, 0)
	:: !(pending & BIT(0)) && (pending & BIT(1)) -> wait_for(q, 1)
	:: pending == BIT(INNER) -> wait_for(q, INNER)
	:: pending == 0 ->
		refs[q] = 0;
		if
		:: target[q] != me -> send_on(q, target[q], 0, 0)
		:: else ->
			custody_write(q);
			enqueue(q)
		fi
	fi
}

/* In any order: the next of a list is its lowest. */
inline route_all(list) {
	d = 0;
	do
	:: d < Q && (list & BIT(d)) -> route(d); d++
	:: d < Q && !(list & BIT(d)) -> d++
	:: d == Q -> break
	od;
	d = 0;
	list = 0
}

/* To be completed: bits of those that wait are in `rest`, or have gone. */
inline dispatch_early(q) {
	answered = answered | BIT(q);
	rest = waits[AT(me, q)];
	waits[AT(me, q)] = 0;
	if
	:: d = 0; /* a scalar: it travels */
		do
		:: d < Q && (rest & BIT(d)) ->
			refs[d] = refs[d] & ~BIT(q);
			if
			:: refs[d] == 0 -> rest = rest & ~BIT(d); route(d)
			:: else
			fi;
			d++
		:: d < Q && !(rest & BIT(d)) -> d++
		:: d == Q -> break
		od;
		d = 0
	:: rest != 0
	fi
}

inline finish(q) {
	assert(!(done & BIT(q)));
	done = done | BIT(q);
	seen = seen | BIT(q);
	if
	:: here[AT(me, q)] == REAL -> custody_leave(q, 0, 0)
	:: else
	fi;
	forget(q);
	route_all(rest)
}

/* pinioni_request_hand_over: by way of `stop` to target[q], which was set, as trail and refs were */
inline hand_over(q, stop) {
	if
	:: target[q] != me ->
		rest = waits[AT(me, q)];
		waits[AT(me, q)] = 0;
#ifdef NO_TRAIL
		custody_leave(q, 0, 0)
#else
		custody_leave(q, TRAIL_OF(q), target[q])
#endif
	:: else -> here[AT(me, q)] = OLD
	fi;
	followed[q] = 0;
	number = TRAIL_OF(q);
	t = target[q];
	if
	:: stop == me -> route(q)
	:: else -> lanes[LANE(me, stop)]!q
	fi;
	if
	:: here[AT(me, q)] == OLD -> stand_in(q)
	:: else
	fi;
#ifdef TO_STOP
	if
	:: stop != me -> t = stop
	:: else
	fi;
#endif
	d = 0;
	do
	:: d < Q && (rest & BIT(d)) -> send_on(d, t, q + 1, number); d++
	:: d < Q && !(rest & BIT(d)) -> d++
	:: d == Q -> break
	od;
	d = 0;
	rest = 0
}

inline start(q) {
	queued[me] = queued[me] & ~BIT(q);
	assert((arguments[q] & ~answered) == 0);
	assert(!(done & BIT(q)))
}

#define HAS_MESSAGE \
	(nempty(lanes[LANE(0, me)]) || nempty(lanes[LANE(1, me)]) || nempty(lanes[LANE(2, me)]) || \
	nempty(lanes[LANE(3, me)]))

inline take(q) {
	if
	:: lanes[LANE(0, me)]?q
	:: lanes[LANE(1, me)]?q
	:: lanes[LANE(2, me)]?q
	:: lanes[LANE(3, me)]?q
	fi
}

inline accept(q) {
	if
	:: route(q)
#ifdef FAILING
	/* For want of memory: nothing of it is here but what waits for it, if anything does. */
	:: !failed && here[AT(me, q)] != REAL ->
		failed = true;
		answered = answered | BIT(q);
		finish(q)
#endif
	fi
}

inline any_queued(q) {
	if
	:: queued[me] & BIT(0) -> q = 0
	:: queued[me] & BIT(1) -> q = 1
	:: queued[me] & BIT(2) -> q = 2
	:: queued[me] & BIT(3) -> q = 3
	fi
}

inline any_worker(to) {
	if
	:: to = 0
	:: to = 1
	:: to = 2
	fi
}

inline any_sibling(to) {
	if
	:: me != 0 -> to = 0
	:: me != 1 -> to = 1
	:: me != 2 -> to = 2
	fi
}

inline rescue(q) {
	seen = done;
	rest = waits[AT(me, q)];
	waits[AT(me, q)] = 0;
	here[AT(me, q)] = NOTHING;
	route_all(rest);
	goto next
}

proctype worker(byte me) {
	byte seen; /* the slots, as they were when this step began */
	byte q, d, rest, pending, number, t, to;
	bool follow;

end:	do
	:: atomic {
			HAS_MESSAGE -> take(q);
			if
			:: refs[q] == 0 -> accept(q); goto next
			:: else -> seen = done
			fi
		};
		atomic { accept(q); goto next }
	:: atomic {
			queued[me] != 0 -> any_queued(q);
			start(q);
			/* It is answered, ... */
			if
			:: seen = done; dispatch_early(q)
			:: handed < HANDED && q != INNER ->
				/* ... or handed on, ... */
				handed++;
				hops[q]++;
				given[q] = 0;
				any_worker(target[q]);
				hand_over(q, target[q]);
				goto next
			:: handed < HANDED && q != INNER && home[INNER] == W ->
				/* ... by way of a call that its handler makes first. */
				handed++;
				hops[q]++;
				given[q] = 0;
				any_worker(target[INNER]);
				home[INNER] = target[INNER];
				if
				:: target[INNER] == me -> route(INNER)
				:: else -> lanes[LANE(me, target[INNER])]!INNER
				fi;
				any_worker(target[q]);
				refs[q] = BIT(INNER);
				arguments[q] = arguments[q] | BIT(INNER);
				hand_over(q, home[INNER]);
				goto next
			fi
		};
#ifdef LATE_LOOK
		if
		:: atomic { HAS_MESSAGE -> take(t); accept(t) }
		:: true
		fi;
#endif
		atomic { finish(q); goto next }
	:: atomic {
			queued[me] != 0 && gave < GIVEN -> any_queued(q);
			/* It is given away. */
			any_sibling(to);
			queued[me] = queued[me] & ~BIT(q);
			gave++;
			given[q]++;
			target[q] = to;
			hand_over(q, to);
			goto next
		}
#if defined(FAILING) && !defined(NO_RESCUE)
	/* pinioni_request_look_at_placeholders */
	:: atomic { here[AT(me, 0)] == PLACEHOLDER && (done & BIT(0)) -> rescue(0) }
	:: atomic { here[AT(me, 1)] == PLACEHOLDER && (done & BIT(1)) -> rescue(1) }
	:: atomic { here[AT(me, 2)] == PLACEHOLDER && (done & BIT(2)) -> rescue(2) }
	:: atomic { here[AT(me, 3)] == PLACEHOLDER && (done & BIT(3)) -> rescue(3) }
#endif
	od;
	atomic {
		skip; /* a label may not come first */
next:		q = 0; rest = 0; pending = 0; number = 0; t = 0; to = 0; follow = false; seen = 0;
		goto end
	}
}

/* dispatch, pinioni_call_first_stop */
inline call(q) {
	if
	:: (refs[q] & ~done) & BIT(0) -> to = home[0]
	:: !((refs[q] & ~done) & BIT(0)) && ((refs[q] & ~done) & BIT(1)) -> to = home[1]
	:: (refs[q] & ~done) == 0 -> to = target[q]
	fi;
	lanes[LANE(W, to)]!q
}

proctype caller() {
	byte to;

	call(0);
	call(1);
	call(2)
}

init {
	byte i;

	atomic {
		/* Which worker is which does not matter. */
		if
		:: target[1] = 0
		:: target[1] = 1
		fi;
		if
		:: target[2] = 0
		:: target[2] = 1
		:: target[2] = 2
		fi;
		refs[1] = BIT(0);
		if
		:: refs[2] = BIT(0)
		:: refs[2] = BIT(1)
		:: refs[2] = BIT(0) | BIT(1)
		fi;
		arguments[1] = refs[1];
		arguments[2] = refs[2];
		home[1] = target[1];
		home[2] = target[2];
		home[INNER] = W; /* not made yet */
		run worker(0);
		run worker(1);
		run worker(2);
		run caller()
	}
	timeout; /* nobody can do anything more */
	assert((done | BIT(INNER)) == 15 && (home[INNER] == W || (done & BIT(INNER))));
	do
	:: i < 12 -> assert(here[i] == NOTHING && waits[i] == 0); i++
	:: else -> break
	od
}
