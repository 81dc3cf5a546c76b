/* SPDX-License-Identifier: Apache-2.0 */
/*
 * inherit.pml - a host dies, and a worker of the controller sees to what it had: core/inherit.c, with note_taken and send_on of
 * core/request.c, request_mark_sent of core/custody.h and the outboxes of core/pool.c.
 *
 *   caller   pushes r0, for D, and r1, for E, whose argument is r0: both into its lane to D
 *   D        takes them; runs r0, and answers it or hands it on to E; sends r1 on to E, behind it. May be killed between any two
 *            stores. Its lane to E may be full: then what it sends waits in its outbox
 *   E        takes from D's lane and others'; runs what comes, r1 when r0 is done
 *   heir     when D is dead: reads its lanes' head, its requests' states, its outbox
 *   next     serves in D's place: takes from the caller's lane where D has left off, and what the heir redirects
 *
 * How a push is made is lane.pml's; how requests find arguments that have moved is chain.pml's; how D's port goes is detach.pml's.
 *
 * Checked   No handler begins twice for a call; what D had not begun does not fail; both calls end.
 * Run       spin -a inherit.pml && gcc -O2 -w -DSAFETY -DCOLLAPSE -o pan pan.c && ./pan -m100000
 * Right     as it is
 * Wrong     -DSETTLE_LATE   a lane's head is published behind what is done with its message
 *           -DNO_TAKING     what was taken last is not written down: it is in a request, and in the lane
 *           -DSTATE_FIRST   a request is queued before its message is in it
 *           -DNO_TICKET     what is being sent on has not been sent, for the heir
 *           -DFREE_FIRST    a request is free before it is sent on
 *           -DRESEND        the first of an outbox is sent once more, although it was pushed
 *           -DDROP_LANE     nobody takes what D had pushed when it is dead
 */
#define CALLS 2

mtype = { FREE, NEW, WAITING, QUEUED, RUNNING, ANSWERED, HANDED, SENT };

/* The caller's lane to D: tickets 0 and 1 are r0 and r1. */
byte pushed;     /* W caller */
byte head;       /* W D, heir, next */

/* D's requests: that of each call. */
mtype state[CALLS] = FREE;
bool whole[CALLS];       /* its message is there */
byte ticket[CALLS];      /* in the lane to E, when it is being sent */
byte taking, taking_call; /* W D: ticket taken last, plus one; and which request has it */

/* D's lane to E, of one cell more than what is there at once; its outbox. */
byte sent[4];            /* what lies, or lay, under each ticket */
byte tail;               /* W D */
byte taken;              /* W E */
byte box[4], box_first, box_end;

/* Slots, and who began what. */
bool done[CALLS], failed[CALLS];
byte began[CALLS];       /* at its first target */
byte began_on;           /* r0, handed on, at E */
bool dead;               /* D */
bool seen_to;            /* by the heir */

/* Lanes of the living: a call, or r0 handed on. */
#define HANDED_R0 2
chan to_next = [4] of { byte };
chan to_e = [6] of { byte };

#define MAY_DIE if :: true -> goto killed :: true -> skip fi
#define LAST(q) (tail > 0 && sent[tail - 1] == q)

/* ---- D ------------------------------------------------------------------------------------------ */

inline put(message)
{
	if
	:: box_first == box_end && tail - taken < 2 -> /* else it is full */
		d_step { sent[tail] = message; tail++ }
	:: true ->
		box[box_end] = message;
		MAY_DIE;
		box_end++
	fi
}

inline flush_one()
{
	d_step { sent[tail] = box[box_first]; tail++ };
	MAY_DIE;
	box_first++
}

inline send_on(q, how, message)
{
	ticket[q] = tail;
	MAY_DIE;
#ifdef FREE_FIRST
	state[q] = FREE;
#else
	state[q] = how;
#endif
	MAY_DIE;
	put(message);
	MAY_DIE
}

inline take(q)
{
	state[q] = NEW;
	MAY_DIE;
#ifdef STATE_FIRST
	state[q] = QUEUED;
	MAY_DIE;
	whole[q] = true;
	taking = q + 1; taking_call = q;
#else
	whole[q] = true;
	MAY_DIE;
#ifndef NO_TAKING
	d_step { taking_call = q; taking = q + 1 };
	MAY_DIE;
#endif
	state[q] = QUEUED;
#endif
	MAY_DIE;
#ifndef SETTLE_LATE
	head = q + 1;
	MAY_DIE
#endif
}

/* Its argument is done, or has gone to E. */
inline pass_r1()
{
	send_on(1, SENT, 1);
	state[1] = FREE
}

inline run_r0()
{
	state[0] = RUNNING;
	MAY_DIE;
	began[0]++;
	MAY_DIE;
	if
	:: true ->
		state[0] = ANSWERED;
		MAY_DIE;
		if :: state[1] == WAITING -> pass_r1() :: else fi;
		done[0] = true;
		MAY_DIE
	:: true ->
		send_on(0, HANDED, HANDED_R0);
		if :: state[1] == WAITING -> pass_r1() :: else fi;
		MAY_DIE
	fi;
	state[0] = FREE
}

proctype D()
{
	byte next_ticket;

	do
	:: next_ticket < pushed && next_ticket == 0 -> take(0); next_ticket = 1
	:: next_ticket < pushed && next_ticket == 1 ->
		take(1);
		next_ticket = 2;
		if
		:: state[0] != FREE -> state[1] = WAITING
		:: else -> pass_r1()
		fi
	:: state[0] == QUEUED -> run_r0()
	:: box_first < box_end && tail - taken < 2 -> flush_one()
#ifdef SETTLE_LATE
	:: head < next_ticket -> head = next_ticket
#endif
	:: next_ticket == 2 && state[0] == FREE && state[1] == FREE && box_first == box_end -> break
	:: goto killed
	od;
killed:	dead = true
}

/* ---- the heir ----------------------------------------------------------------------------------- */

inline is_boxed(message)
{
	found = false;
	for (k : box_first .. 3) {
		if :: k < box_end && box[k] == message -> found = true :: else fi
	}
}

inline was_sent(call, text)
{
	is_boxed(text);
#ifndef NO_TICKET
	if :: tail > ticket[call] -> found = true :: else fi
#endif
}

inline redirect(call)
{
	assert(whole[call]);
	if
	:: call == 0 || !done[0] -> to_next!call /* r1 goes where its argument may be */
	:: else -> to_e!call
	fi
}

proctype heir()
{
	byte i, k, q;
	bool found;

	dead;
	/* The lane. */
	d_step {
		if :: taking == head + 1 && state[taking_call] != FREE && state[taking_call] != NEW -> head = taking :: else fi
	};
	/* What had started. */
	for (q : 0 .. 1) {
		if
		:: done[q] || state[q] == FREE || state[q] == NEW || state[q] == WAITING || state[q] == QUEUED || state[q] == SENT -> skip
		:: else ->
			if
			:: state[q] == HANDED -> was_sent(q, HANDED_R0)
			:: else -> found = false
			fi;
			if :: !found -> failed[q] = true; done[q] = true :: else fi
		fi
	}
	/* What it could not push. */
	for (i : box_first .. 3) {
		if
#ifdef RESEND
		:: i < box_end -> to_e!box[i]
#else
		:: i < box_end && !(i == box_first && LAST(box[i])) -> to_e!box[i]
#endif
		:: else
		fi
	}
	/* What had not. */
	for (q : 0 .. 1) {
		if
		:: !done[q] && (state[q] == WAITING || state[q] == QUEUED) -> redirect(q)
		:: !done[q] && state[q] == SENT ->
			was_sent(q, q);
			if :: !found -> redirect(q) :: else fi
		:: else
		fi
	}
	seen_to = true
}

/* ---- the others --------------------------------------------------------------------------------- */

inline begin_first(q)
{
	began[q]++;
	assert(began[q] <= 1)
}

inline at_e(message)
{
	if
	:: message == HANDED_R0 ->
		began_on++;
		assert(began_on <= 1);
		if :: !done[0] -> done[0] = true :: else fi
	:: message == 1 ->
		assert(!has_r1 && !done[1]); /* it came once before */
		has_r1 = true
	fi
}

inline run_r1()
{
	has_r1 = false;
	if
	:: failed[0] -> failed[1] = true
	:: else -> begin_first(1)
	fi;
	done[1] = true
}

proctype E()
{
	byte m;
	bool has_r1; /* it waits for r0 */

end:	do
#ifdef DROP_LANE
	:: !dead && taken < tail -> m = sent[taken]; taken++; at_e(m)
#else
	:: taken < tail -> m = sent[taken]; taken++; at_e(m)
#endif
	:: to_e?m -> at_e(m)
	:: has_r1 && done[0] -> run_r1()
	od
}

inline run_it()
{
	if
	:: m == 0 ->
		if :: !done[0] -> begin_first(0); done[0] = true :: else fi
	:: m == 1 -> to_e!1
	fi
}

/* r1 may come before r0, and waits. */
proctype next()
{
	byte m;

	seen_to;
end:	do
	:: head < pushed -> m = head; head++; run_it()
	:: to_next?m -> run_it()
	od
}

proctype caller()
{
	pushed = 1;
	pushed = 2;
	done[0] && done[1];
	assert(!failed[0] || began[0] == 1 || state[0] == RUNNING || began_on == 0);
	assert(!failed[1] || failed[0])
}

init { atomic { run D(); run heir(); run E(); run next(); run caller() } }
