/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sleep.pml - a sleeper and two ringers, as shm/bell.h and core/port.c have them, behind store buffers.
 *
 * Each thread's stores reach memory late and in order (x86-TSO), by `memory`; a fence waits until they have.
 * The raise of the bell drains nothing here, although it does on x86: no rule may lean on it. Ringer 0 may
 * be killed between any two of its steps. No sleep has a time limit.
 *
 * Checked   At the end nobody sleeps on what a living ringer gave; nobody is stuck.
 * Right     as it is; -DEVENT: the sleeper sits in its own event loop.
 * Wrong     -DNO_SLEEPER_FENCE, -DNO_RINGER_FENCE   one side's look is not ordered
 *           -DWAIT_ON_EPOCH                         the futex word is the epoch itself
 *           -DCLAIM                                 the first ringer takes the duty to wake, and dies
 *           -DREAD_LATE                             the bell is read after the look
 *           -DRANG_ONCE                             a ringer remembers that it rang, not for which epoch
 */
#ifndef GIFTS_1
#define GIFTS_1 2 /* of the living ringer: it may have rung for the epoch before */
#endif
#define GIFTS(me) (me == 0 -> 1 : GIFTS_1)
#define ODD (mine + KIND)
#define EVEN ((mine / 4 + 1) * 4)
#ifdef EVENT
#define KIND 3
#else
#define KIND 1
#endif

/* Memory. */
byte given[2]; /* W ringer */
byte epoch;    /* W sleeper; never wraps here, nor in 64 bits */
byte bell;     /* W ringers */
/* The kernel's. */
bool waiting;
bool event; /* the eventfd is readable */
/* On its way to memory. */
chan epochs = [2] of { byte };
chan gifts[2] = [2] of { byte };
/* Private; global only to be looked at in the end. */
byte made[2], taken[2];
bool killed;

proctype memory() {
end:	do
	:: epochs?epoch
	:: gifts[0]?given[0]
	:: gifts[1]?given[1]
	od
}

inline announce() {
	mine = ODD;
	epochs!mine;
#ifndef NO_SLEEPER_FENCE
	empty(epochs)
#endif
}

inline awake() {
#ifdef CLAIM
	atomic {
		empty(epochs);
		if
		:: epoch == mine -> epoch = EVEN
		:: else
		fi;
		mine = epoch
	}
#else
	mine = EVEN;
	epochs!mine
#endif
}

inline wait() {
	atomic { /* the kernel compares and sleeps in one step */
		if
#ifdef EVENT
		:: !event
#else
#ifdef WAIT_ON_EPOCH
		:: epoch == mine
#else
		:: bell == seen
#endif
#endif
			-> waiting = true
		:: else
		fi
	}
end_asleep:
	!waiting
}

proctype sleeper() {
	byte mine, seen;

end:	do
	:: given[0] > taken[0] -> taken[0]++
	:: given[1] > taken[1] -> taken[1]++
	:: given[0] == taken[0] && given[1] == taken[1] ->
		seen = bell;
		event = false;
		announce();
		if
		:: given[0] > taken[0]
		:: else ->
			if
			:: given[1] > taken[1]
			:: else ->
#ifdef READ_LATE
				seen = bell;
#endif
				wait()
			fi
		fi;
		awake()
	od
}

#define MAY_DIE if :: me == 0 -> killed = true; goto dead :: skip fi

proctype ringer(byte me) {
	byte seen, rang;

	do
	:: made[me] < GIFTS(me) ->
		made[me]++;
		gifts[me]!made[me];
		MAY_DIE;
		if
		:: made[me] < GIFTS(me) /* unordered: a later look, at the latest the last, is ordered */
#ifdef NO_RINGER_FENCE
		:: skip
#else
		:: empty(gifts[me])
#endif
		fi;
		seen = epoch;
		if
#ifdef RANG_ONCE
		:: seen % 2 == 1 && rang == 0 ->
#else
		:: seen % 2 == 1 && rang != seen ->
#endif
#ifdef CLAIM
			atomic {
				if
				:: epoch == seen -> epoch = (seen / 4 + 1) * 4
				:: else -> goto next
				fi
			};
#endif
			rang = seen;
			MAY_DIE;
#ifndef WAIT_ON_EPOCH
			bell++;
			MAY_DIE;
#endif
			event = true;
			waiting = false
		:: else
		fi;
next:		skip
	:: else -> break
	od;
dead:	skip
}

init {
	atomic {
		run memory();
		run sleeper();
		run ringer(0);
		run ringer(1)
	}
	(_nr_pr == 3); /* both ringers have ended: nobody will ring any more */
	assert(!waiting || made[1] == taken[1]);
	assert(!waiting || killed || made[0] == taken[0])
}
