/* SPDX-License-Identifier: Apache-2.0 */
/*
 * detach.pml - a client's process ends, and its port (slots and lanes) is unmapped from under two workers that may
 * still have requests of it: the burial of core/guest.h, as core/burial.c, pinioni_cancel_port in core/cancel_many.c,
 * resolve and hand_over in core/request.c, the outboxes of core/pool.c and the loans of core/port.c have it.
 *
 *   client   pushes r0 and r1; may be killed between any two of its steps
 *   door     learns of it by pidfd, and takes the port out of `ports`, where it is found, after putting it into
 *            `buried`, where loans still find it; then its lanes out of the workers' tables. In rounds it asks each
 *            worker by a letter, until a round found nothing; then it waits until what all had written by it is
 *            taken. Then nobody finds the port in `buried` either, its number is free, and it is unmapped a grace
 *            period later.
 *   worker   drops a message whose port it does not find. What it took before it keeps, starts, hands on: the letter
 *            counts that, and ends what does not run; what waits for such a one may get away, to be queued again or
 *            sent on. Letters are read between two steps, and so are the ends of grace periods.
 *
 * A lane's head is published behind what is done with its message. How a push is made is lane.pml's; how requests
 * find their arguments is chain.pml's. What other threads read of the port, and count as visitors, is left out.
 *
 * Checked   Nobody touches the port when it is unmapped; nobody takes a message that names it when its number is
 *           free; a loan is not over while its request is somewhere; the port is unmapped in the end.
 * Run       spin -a detach.pml && gcc -O2 -w -DSAFETY -DCOLLAPSE -o pan pan.c && ./pan -m100000
 * Right     as it is; -DHANDED: more hand-overs, or fewer
 * Wrong     -DNO_TAILS      a round that found nothing is enough, whatever lies between the workers
 *           -DNO_OUTBOX     an outbox is not counted
 *           -DNO_LOOKUP     what is taken from another worker is kept although its port is not found
 *           -DNULL_FIRST    out of `ports` before it is in `buried`
 *           -DBURIED_LATE   out of `buried` when it is unmapped, and not before the grace period: a loan finds it
 *           -DNO_GRACE      unmapped without a grace period: a loan has found it
 */
#ifndef HANDED
#define HANDED 2 /* from worker to worker, in all */
#endif
#define BIT(q) (1 << (q))
#define AT(w, q) ((w) * 2 + (q))
#define OTHER (1 - me)

/* The port. */
bool mapped = true;                     /* W door */
chan client_lanes[2] = [1] of { byte }; /* W client; a message is there until its head is published */
byte done;                              /* W whoever has the request; bits of the slots that are DONE */
/* Between workers. */
chan lanes[2] = [1] of { byte }; /* W the worker of that number, to the other; as above */
byte heads[2];                   /* W the other */
/* The kernel's. */
bool dead; /* the pidfd says so */
/* The runtime's. */
bool in_ports = true, in_buried; /* W door */
bool in_tables = true;           /* W door: workers look at the client's lanes */
byte letters[2];                 /* W door; the worker takes it */
byte counts[2], tails_now[2];    /* W worker, in its answer */
/* Private to each worker; global only to be looked at. */
mtype = { QUEUED, RUNNING, WAITING, OUTBOX };
mtype requests[4]; /* [worker, request]; 0: not here */
byte tails[2];
byte loans[2]; /* bits of requests that were handed on with something that was lent */
byte handed;

#define NO_LETTER 0
#define COUNT 1
#define GRACE 2

#define TOUCH assert(mapped)
#define NUMBER_IS_TAKEN (in_ports || in_buried)
#define IS_SOMEWHERE(q) (requests[AT(0, q)] != 0 || requests[AT(1, q)] != 0 || lanes[0]??[eval(q)] || \
	lanes[1]??[eval(q)])

inline end_request(q) {
	atomic {
		TOUCH;
		assert(!(done & BIT(q)));
		done = done | BIT(q);
		requests[AT(me, q)] = 0
	}
}

/* A message was taken. resolve: a load, and what comes of it later. */
inline admit(q) {
	found = in_ports;
	if
	:: found -> atomic {
			TOUCH;
			if
			:: q == 1 && !(done & BIT(0)) -> requests[AT(me, q)] = WAITING
			:: requests[AT(me, q)] = QUEUED
			fi
		}
	:: !found
	fi
}

inline push(q) {
	requests[AT(me, q)] = 0;
	tails[me]++;
	lanes[me]!q
}

/* A tail call, a surplus, a dependent. */
inline hand_over(q) {
	atomic {
		handed++;
		if
		:: nfull(lanes[me]) -> push(q)
		:: requests[AT(me, q)] = OUTBOX /* the lane is full, of others' messages too */
		fi
	}
}

inline any(q, which) {
	if
	:: requests[AT(me, 0)] == which -> q = 0
	:: requests[AT(me, 1)] == which -> q = 1
	fi
}

#define HAS(which) (requests[AT(me, 0)] == which || requests[AT(me, 1)] == which)
#ifdef NO_OUTBOX
#define NAMES(w, q) (requests[AT(w, q)] != 0 && requests[AT(w, q)] != OUTBOX)
#else
#define NAMES(w, q) (requests[AT(w, q)] != 0)
#endif

/* look, pinioni_cancel_port */
inline read_letter() {
	counts[me] = NAMES(me, 0) + NAMES(me, 1);
	got_away = requests[AT(me, 0)] == QUEUED && requests[AT(me, 1)] == WAITING;
	if
	:: requests[AT(me, 0)] == QUEUED -> end_request(0)
	:: else
	fi;
	if
	:: requests[AT(me, 1)] == QUEUED || requests[AT(me, 1)] == WAITING -> end_request(1)
	:: got_away -> requests[AT(me, 1)] = QUEUED
	:: got_away && handed < HANDED -> hand_over(1)
	:: else
	fi;
	got_away = false;
	tails_now[me] = tails[me];
	letters[me] = NO_LETTER
}

proctype worker(byte me) {
	byte q;
	bool found, got_away, looked, kept, in_use;

end:	do
	:: atomic { in_tables && nempty(client_lanes[me]) -> TOUCH; client_lanes[me]?<q> };
		admit(q);
		atomic { TOUCH; client_lanes[me]?_; q = 0; found = false }
	:: atomic { in_tables && !looked -> looked = true }; /* at an empty lane, once in a while */
		TOUCH
	:: atomic { nempty(lanes[OTHER]) -> assert(NUMBER_IS_TAKEN); lanes[OTHER]?<q> };
#ifdef NO_LOOKUP
		requests[AT(me, q)] = QUEUED;
#else
		admit(q);
#endif
		atomic { lanes[OTHER]?_; heads[OTHER]++; q = 0; found = false }
	:: atomic { HAS(QUEUED) -> any(q, QUEUED);
			if
			:: TOUCH; requests[AT(me, q)] = RUNNING
			:: handed < HANDED -> hand_over(q)
			fi;
			q = 0
		}
	:: atomic { HAS(RUNNING) -> any(q, RUNNING);
			if
			:: end_request(q)
			:: handed < HANDED -> loans[me] = loans[me] | BIT(q); hand_over(q)
			fi;
			q = 0
		}
	:: atomic { HAS(OUTBOX) && nfull(lanes[me]) -> any(q, OUTBOX); push(q); q = 0 }
	:: atomic { requests[AT(me, 1)] == WAITING && ((done & BIT(0)) || !in_ports) ->
			requests[AT(me, 1)] = QUEUED
		}
	/* loan_is_over: looks in `ports`, then in `buried`, then at the slot. */
	:: atomic { loans[me] != 0 && !kept ->
			if
			:: loans[me] & BIT(0) -> q = 0
			:: loans[me] & BIT(1) -> q = 1
			fi;
			found = in_ports
		};
		if
		:: found
		:: !found -> found = in_buried
		fi;
		atomic {
			if
			:: !found ->
				in_use = IS_SOMEWHERE(q);
				assert(!in_use);
				loans[me] = loans[me] & ~BIT(q)
			:: found ->
				TOUCH;
				if
				:: done & BIT(q) -> loans[me] = loans[me] & ~BIT(q)
				:: else -> kept = true /* looked at again, once in a while */
				fi
			fi;
			q = 0;
			found = false
		}
	:: atomic { letters[me] == COUNT -> looked = false; kept = false; read_letter() }
	:: atomic { letters[me] == GRACE -> looked = false; kept = false; letters[me] = NO_LETTER }
	od
}

proctype client() {
	if
	:: client_lanes[0]!0
	:: goto killed
	fi;
	if
	:: client_lanes[0]!1
	:: client_lanes[1]!1
	:: goto killed
	fi;
killed:	dead = true
}

#define NOTHING_LEFT (requests[0] == 0 && requests[1] == 0 && requests[2] == 0 && requests[3] == 0 && \
	empty(lanes[0]) && empty(lanes[1]))
#ifdef NO_TAILS
#define HAS_PASSED(from) true
#else
#define HAS_PASSED(from) (heads[from] >= noted[from])
#endif
#define LOOKS 4 /* rounds in which things go on; then the door looks when nothing is left */

/* pinioni_burial_turn */
proctype door() {
	byte noted[2], rounds, late;

	dead;
#ifdef NULL_FIRST
	in_ports = false;
	in_buried = true;
#else
	in_buried = true;
	in_ports = false;
#endif
	in_tables = false;
	do
	:: true ->
		letters[0] = COUNT;
		letters[1] = COUNT;
		letters[0] == NO_LETTER && letters[1] == NO_LETTER;
		if
		:: counts[0] == 0 && counts[1] == 0 ->
			noted[0] = tails_now[0];
			noted[1] = tails_now[1];
			HAS_PASSED(0);
			HAS_PASSED(1);
			break
		:: else
		fi;
		if
		:: rounds < LOOKS -> rounds++
		:: else ->
			late++;
			assert(late <= 2); /* one that ends what is left, and one that finds nothing */
			NOTHING_LEFT
		fi
	od;
#ifndef BURIED_LATE
	in_buried = false;
#endif
#ifndef NO_GRACE
	letters[0] = GRACE;
	letters[1] = GRACE;
	letters[0] == NO_LETTER && letters[1] == NO_LETTER;
#endif
	mapped = false;
#ifdef BURIED_LATE
	in_buried = false
#endif
}

init {
	atomic {
		run worker(0);
		run worker(1);
		run client();
		run door()
	}
	timeout; /* nobody can do anything more */
	assert(!mapped)
}
