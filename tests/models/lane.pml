/* SPDX-License-Identifier: Apache-2.0 */
/*
 * lane.pml - one lane, as shm/lane.h has it: a producer and a consumer, each of whom may be killed between any
 * two of its steps.
 *
 * A message is two words, its ticket plus one in each, so that a torn or an older one shows. First tickets differ.
 * A push is claim, two stores, publish; a take is peek, two loads, skip; the consumer settles when it likes, at the
 * latest when there is nothing to take. Stores are seen in the order in which they are made, loads are made in theirs:
 * P and C are releases and acquires. What a processor may do without them is PUBLISH_FIRST, COPY_FIRST, SETTLE_FIRST.
 *
 * Checked   What is taken was pushed, whole, once and in order; a push that was cut short is nothing; nothing is
 *           written over before it is copied; head proves "taken", and a lane that looks empty is; whoever lives
 *           comes to an end of what there is.
 * Run       spin -a lane.pml && gcc -O2 -w -DSAFETY -o pan pan.c && ./pan -m100000
 * Right     as it is; -DCELLS, -DMESSAGES: a longer lane, more laps.
 * Wrong     -DPUBLISH_FIRST   the sequence word is stored before the message
 *           -DCOPY_FIRST      the message is loaded before the sequence word
 *           -DSETTLE_FIRST    head is published before the copy is made
 *           -DNO_CLAIM        the producer does not look at head
 *           -DONE_TOO_MANY    it takes a lane of n cells to have n + 1
 *           -DBLIND           a head that it has seen is good for a lap more
 *           -DSAME_EACH_LAP   the sequence word is the cell's number plus one: the last lap's looks full
 *           -DNEVER_SETTLED   head is published by bursts alone, and a burst is more than the lane has
 */
#ifndef CELLS
#define CELLS 2
#endif
#ifndef MESSAGES
#define MESSAGES 6 /* three laps of two cells */
#endif
#ifdef ONE_TOO_MANY
#define ROOM (CELLS + 1)
#else
#define ROOM CELLS
#endif
#ifdef SAME_EACH_LAP
#define SEQUENCE(ticket) ((ticket) % CELLS + 1)
#else
#define SEQUENCE(ticket) ((ticket) + 1)
#endif
#define LEFT(at) message[(at) % CELLS * 2]
#define RIGHT(at) message[(at) % CELLS * 2 + 1]

/* The lane. */
byte sequence[CELLS];    /* W producer */
byte message[CELLS * 2]; /* W producer */
byte taken;              /* W consumer: head */
/* Private; global only to be looked at. */
byte first;          /* frozen before either runs */
byte pushed, copied; /* tickets below were published, were copied */
bool producer_dead, consumer_dead;

#define PRODUCER_MAY_DIE if :: producer_dead = true; goto dead :: skip fi
#define CONSUMER_MAY_DIE if :: consumer_dead = true; goto dead :: skip fi

inline publish() {
	atomic {
		sequence[tail % CELLS] = SEQUENCE(tail);
		tail++;
		pushed = tail
	}
}

proctype producer() {
	byte tail = first, head_seen = first;

	do
	:: tail - first < MESSAGES ->
#ifndef NO_CLAIM
		do
		:: tail - head_seen < ROOM -> break
		:: else ->
			PRODUCER_MAY_DIE;
#ifdef BLIND
			head_seen = head_seen + CELLS;
#else
			head_seen = taken;
#endif
			if
			:: tail - head_seen < ROOM
			:: else ->
end_full:			taken != head_seen /* -ENOBUFS; tries again */
			fi
		od;
#endif
#ifdef PUBLISH_FIRST
		publish();
		PRODUCER_MAY_DIE;
		LEFT(tail - 1) = tail;
		RIGHT(tail - 1) = tail
#else
		PRODUCER_MAY_DIE;
		LEFT(tail) = tail + 1;
		PRODUCER_MAY_DIE;
		RIGHT(tail) = tail + 1;
		PRODUCER_MAY_DIE;
		publish()
#endif
	:: taken == tail -> assert(copied == tail) /* lane_tx_is_empty: nothing of it is looked at any more */
	:: tail - first == MESSAGES -> break
	od;
dead:	skip
}

proctype consumer() {
	byte next = first, settled = first, left, right;

end:	do
#ifdef COPY_FIRST
	:: true ->
#else
	:: sequence[next % CELLS] == SEQUENCE(next) ->
#endif
		CONSUMER_MAY_DIE;
#ifdef SETTLE_FIRST
		taken = next + 1;
		settled = next + 1;
#endif
		left = LEFT(next);
		right = RIGHT(next);
#ifdef COPY_FIRST
		if
		:: sequence[next % CELLS] == SEQUENCE(next)
		:: else -> goto end
		fi;
#endif
		atomic {
			assert(next < pushed);
			assert(left == next + 1 && right == next + 1);
			next++;
			copied = next
		}
#ifdef NEVER_SETTLED
	:: next - settled > CELLS ->
#else
	:: settled != next ->
#endif
		CONSUMER_MAY_DIE;
		settled = next;
		taken = next
	od;
dead:	skip
}

init {
	atomic {
		if
		:: first = 0
		:: first = 1
		:: first = CELLS
		fi;
		taken = first;
		pushed = first;
		copied = first;
		run producer();
		run consumer()
	}
	timeout; /* nobody can do anything more */
	assert(copied <= pushed && taken <= copied);
	assert(consumer_dead || (copied == pushed && taken == copied));
	assert(consumer_dead || producer_dead || pushed == first + MESSAGES)
}
