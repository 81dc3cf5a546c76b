/* SPDX-License-Identifier: Apache-2.0 */
/*
 * recovery.pml - what is left of two requests when the process of one worker dies at any step, and another may be
 * stopped for good: whose word decides whether a request is dispatched again. A plan for hosts in processes of their
 * own (core/request.c sends requests to their arguments, shm/format.h keeps `holder` free for this).
 *
 * r0 runs on host A. r1 takes r0's response and runs on B; its message is sent to A, where its argument is, behind
 * r0's. B's handler hands r1 on to a deployment on A (a tail call). A may die between any two steps; B may be stopped
 * for good at any step; C has spare replicas. The caller, who lives, decides about its own slots alone: first by what
 * lies in the dead one's lanes, then by the slot's holder, then by the dead one's list of what has started.
 *
 * Checked   No handler starts twice for one request, none before its argument is there; the caller's requests end,
 *           unless B is stopped and rightly holds one.
 * Run       spin -a recovery.pml && gcc -O2 -w -DSAFETY -o pan pan.c && ./pan -m100000
 * Right     as it is.
 * Wrong     -DHOLDER_FIRST   holder is read before the dead one's lane: the message moves in between
 *           -DTRUST_HEAD     a message above the dead one's head is taken back, whoever holds it
 */
#define NOBODY 0
#define HOST_A 1
#define HOST_B 2
#define R0 0
#define R1 1
#define R1B 2 /* r1 after B's handler handed it on */

/* Slots. */
bool done[2], failed[2]; /* W callee, or the caller */
byte holder[2];          /* W who took it from another worker's lane */
bool handed_on[2];       /* W who took it from there */
/* The kernel's. */
bool dead_a, stopped_b;
/* A's board. */
bool started_a[3]; /* W A */
/* Lanes, the consumer's letter last; a message leaves its channel when head is published. */
chan ca = [3] of { byte }; /* W caller */
chan cb = [3] of { byte }; /* W caller */
chan cc = [3] of { byte }; /* W caller */
chan ab = [3] of { byte }; /* W A */
chan ba = [3] of { byte }; /* W B */
/* To be looked at. */
byte ran[3];

#define MAY_DIE if :: true -> goto dead :: true -> skip fi
#define MAY_STOP if :: true -> stopped_b = true; goto stopped :: true -> skip fi

proctype host_a() {
	byte m;
	bool r1_waits, early;

	do
	:: ca?m ->
		if
		:: m == R0 ->
			MAY_DIE;
			started_a[R0] = true;
			MAY_DIE;
			ran[R0]++;
			MAY_DIE;
			done[R0] = true;
			MAY_DIE;
			started_a[R0] = false
		:: m == R1 -> r1_waits = true
		fi;
		if
		:: r1_waits && done[R0] ->
			MAY_DIE;
			ab!R1;
			r1_waits = false
		:: else
		fi
	:: ba?<m> ->
		MAY_DIE;
		holder[R1] = HOST_A;
		MAY_DIE;
		handed_on[R1] = true;
		if /* head is published before the handler, or in a batch after it */
		:: true ->
			MAY_DIE;
			ba?m;
			early = true
		:: true -> early = false
		fi;
		MAY_DIE;
		started_a[R1B] = true;
		MAY_DIE;
		ran[R1B]++;
		MAY_DIE;
		done[R1] = true;
		MAY_DIE;
		started_a[R1B] = false;
		if
		:: !early ->
			MAY_DIE;
			ba?m
		:: else
		fi
	:: goto dead
	od;
dead:	dead_a = true
}

inline run_r1() {
	ran[R1]++;
	assert(done[R0] && !failed[R0]);
	MAY_STOP;
	if
	:: !dead_a -> ba!R1B
	:: dead_a -> ran[R1B]++; done[R1] = true
	fi
}

proctype host_b() {
	byte m;
	bool early;

end:	do
	:: MAY_STOP
	:: ab?<m> ->
		MAY_STOP;
		holder[R1] = HOST_B;
		MAY_STOP;
		if
		:: true ->
			ab?m;
			early = true
		:: true -> early = false
		fi;
		MAY_STOP;
		run_r1();
		MAY_STOP;
		if
		:: !early -> ab?m
		:: else
		fi
	:: cb?m -> run_r1()
#ifdef TRUST_HEAD
	:: atomic { dead_a && len(ba) > 0 -> ba?m };
#else
	:: atomic { dead_a && len(ba) > 0 && holder[R1] != HOST_A -> ba?m };
		MAY_STOP;
#endif
		ran[R1B]++;
		done[R1] = true
	od;
stopped: skip
}

proctype host_c() {
	byte m;

end:	do
	:: cc?m ->
		if
		:: m == R0 -> ran[R0]++; done[R0] = true
		:: else -> ran[R1]++; ran[R1B]++; done[R1] = true
		fi
	od
}

proctype caller() {
	bool direct, in_lane;
	byte h;

	ca!R0;
	direct = done[R0];
	if
	:: direct -> cb!R1
	:: else -> ca!R1
	fi;
	if
	:: done[R1] -> goto out
	:: dead_a ->
		if
		:: done[R0]
		:: !done[R0] && started_a[R0] -> failed[R0] = true; done[R0] = true
		:: !done[R0] && !started_a[R0] -> cc!R0; done[R0]
		fi;
#ifdef HOLDER_FIRST
		h = holder[R1];
		in_lane = ab??[R1];
#else
		in_lane = ab??[R1];
		h = holder[R1];
#endif
		if
		:: done[R1]
		:: else ->
			if
			:: h == HOST_A -> failed[R1] = true; done[R1] = true /* a handler had started */
			:: h == HOST_B || in_lane || direct ->
end_b:				done[R1] /* B lives and has it; if it is stopped, this waits, rightly */
			:: else ->
				if
				:: failed[R0] -> failed[R1] = true; done[R1] = true
				:: else -> cc!R1; done[R1]
				fi
			fi
		fi
	:: stopped_b && !dead_a -> goto rest
	fi;
out:	assert(done[R0] && done[R1]);
	assert(failed[R1] || (ran[R0] == 1 && ran[R1] == 1 && ran[R1B] == 1));
rest:	assert(ran[R0] <= 1 && ran[R1] <= 1 && ran[R1B] <= 1)
}

init {
	atomic {
		run host_a();
		run host_b();
		run host_c();
		run caller()
	}
}
