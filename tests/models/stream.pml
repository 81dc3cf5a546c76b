/* SPDX-License-Identifier: Apache-2.0 */
/*
 * stream.pml - the items of one stream, as shm/ring.h, core/stream.c, core/starved.c, core/told.c and core/result.c
 * have them, behind store buffers: a handler that yields, a reader that takes, and how each waits for the other.
 *
 * Each thread's stores reach memory late and in order (x86-TSO), by `memory`; a fence waits until they have. The
 * raise of a bell and the request for a telling drain nothing here, although they do on x86: no rule may lean on
 * them. The producer suspends on its worker, which sleeps when its list has nothing; there is no other handler.
 * The cancel that goes with a close is left out: the close itself has to reach a producer that waits. How one
 * sleeps on a bell is sleep.pml's; here a bell is one bit, which who reads it clears. No sleep has a time limit.
 *
 * Checked   The reader has each item once, in order and whole, as long as it looks at it; the end comes behind the
 *           last item; both come to their ends, whether the reader reads all or closes somewhere.
 * Run       spin -a stream.pml && gcc -O2 -w -DSAFETY -o pan pan.c && ./pan -m100000
 * Right     as it is: the reader is a thread, and sleeps on its port's bell
 *           -DHANDLER   the reader is a handler of another worker: told by a bit, suspended
 *           -DPIPED     the reader is a handler that has the stream as an argument: hungry, suspended
 *           each also with -DWINDOW=1, and with -DONE_FENCE: without the fence behind `starved` and `hungry`,
 *           which that of the sleeper makes up for
 * Wrong     -DNO_ROOM_FENCE, -DNO_CLOSE_FENCE   the reader's look at `starved` is not ordered
 *           -DNO_ITEM_FENCE    nor is the producer's at who asked; -DPIPED: at `hungry`
 *           -DNO_ANNOUNCE_FENCE               nor is a sleeper's last look, at either end
 *           -DBLIND_SLEEP      a worker does not look at those who wait for rings before it sleeps
 *           -DHOARD            -DWINDOW=1: the reader does not say what it took before it waits
 *           -DEARLY            it says that it has taken what it still looks at
 *           -DCLOSE_SILENT     who closes wakes nobody
 *           -DASK_ONCE         the reader asks to be told once a stream, not once a wait
 *           -DONE_LOOK         the slot that is DONE is the end: no second look for the last items
 *           -DASK_LAST         -DHANDLER: the look for an item is not ordered behind the request to be told
 *           -DEND_SILENT       -DPIPED: the end of the stream is told to who asked, and not to who is hungry
 */
#ifndef WINDOW
#define WINDOW 2
#endif
#ifndef ITEMS
#define ITEMS 4
#endif

/* Memory: the ring, ... */
byte sequence[WINDOW]; /* W producer */
byte value[WINDOW];    /* W producer, between claim and put */
bool starved;          /* W producer */
byte taken;            /* W reader */
bool closed;           /* W reader */
bool hungry;           /* W reader, -DPIPED */
/* ... the slot's word, by compare-exchange, ... */
bool tell; /* W both */
bool done; /* W producer */
/* ... and what the two sleepers have. */
bool odd_producer; /* W producer: epoch */
bool odd_reader;   /* W reader: epoch */
bool rang_producer, rang_reader; /* W the other; who reads the bell clears it */
bool ready;                      /* W producer sets it, reader takes it */
/* The kernel's. */
bool producer_waits, reader_waits;
/* On its way to memory. */
mtype = { SEQUENCE, STARVED, TAKEN, CLOSED, HUNGRY, EPOCH };
chan stores_producer = [5] of { mtype, byte };
chan stores_reader = [4] of { mtype, byte };
/* Private; global only to be looked at in the end. */
bool producer_ended, reader_ended, reader_closed;
byte got;

proctype memory() {
	byte v;

end:	do
	:: atomic { stores_producer?SEQUENCE(v) -> sequence[(v - 1) % WINDOW] = v; v = 0 }
	:: atomic { stores_producer?STARVED(v) -> starved = v; v = 0 }
	:: atomic { stores_producer?EPOCH(v) -> odd_producer = v; v = 0 }
	:: atomic { stores_reader?TAKEN(v) -> taken = v; v = 0 }
	:: atomic { stores_reader?CLOSED(v) -> closed = v; v = 0 }
	:: atomic { stores_reader?HUNGRY(v) -> hungry = v; v = 0 }
	:: atomic { stores_reader?EPOCH(v) -> odd_reader = v; v = 0 }
	od
}

/* A worker or a thread announces its sleep, looks once more, which sets `found`, and sleeps. */
inline announce(stores, rang) {
	rang = false;
	stores!EPOCH(true)
#ifndef NO_ANNOUNCE_FENCE
	;
	empty(stores)
#endif
}

inline sleep(stores, rang, waits) {
	if
	:: found
	:: else ->
		atomic { /* the kernel compares and sleeps in one step */
			if
			:: !rang -> waits = true
			:: else
			fi
		};
		!waits
	fi;
	stores!EPOCH(false)
}

inline ring_producer() {
	if
	:: starved ->
		if
		:: odd_producer -> rang_producer = true; producer_waits = false
		:: else
		fi
	:: else
	fi
}

inline ring_reader() {
	if
	:: odd_reader -> rang_reader = true; reader_waits = false
	:: else
	fi
}

#ifdef BLIND_SLEEP
#define LAST_LOOK(look) found = false
#else
#define LAST_LOOK(look) look()
#endif

/* ---- producer ---- */

/* has_room: one load after the other, as in all looks below. */
inline look_for_room() {
	found = next - taken < WINDOW;
	found = found || closed
}

/* wait_for_room, starved_wait and the loop of the worker, which has nothing else to do. */
inline wait_for_room() {
	stores_producer!STARVED(true);
#ifndef ONE_FENCE
	empty(stores_producer);
#endif
	do
	:: true ->
		look_for_room();
		if
		:: found -> break
		:: else
		fi;
		announce(stores_producer, rang_producer);
		LAST_LOOK(look_for_room);
		sleep(stores_producer, rang_producer, producer_waits)
	od;
	stores_producer!STARVED(false)
}

inline tell_asked() {
	if
	:: asked ->
		asked = false;
		ready = true;
		empty(stores_producer);
		ring_reader()
	:: else
	fi
}

inline look_at_hungry() {
	if
	:: hungry -> ring_reader()
	:: else
	fi
}

inline put() {
	value[next % WINDOW] = next + 1;
	next++;
	stores_producer!SEQUENCE(next);
#ifndef NO_ITEM_FENCE
	empty(stores_producer);
#endif
#ifdef PIPED
	look_at_hungry()
#else
	atomic { asked = tell; tell = false }; /* slot_take_asked */
	tell_asked()
#endif
}

proctype producer() {
	byte next, taken_seen;
	bool asked, found;

	do
	:: next == ITEMS || closed -> break
	:: next < ITEMS && !closed ->
		if
		:: next - taken_seen >= WINDOW -> taken_seen = taken
		:: else
		fi;
		if
		:: next - taken_seen < WINDOW -> put()
		:: else -> wait_for_room()
		fi
	od;
	empty(stores_producer); /* the exchange is a release */
	atomic { done = true; asked = tell; tell = false };
	tell_asked();
#if defined(PIPED) && !defined(END_SILENT)
	empty(stores_producer);
	look_at_hungry();
#endif
	producer_ended = true
}

/* ---- reader ---- */

#define HAS_ITEM (sequence[next % WINDOW] == next + 1)

/* has_item_or_end, port_find_done */
inline look_for_item() {
	found = HAS_ITEM;
	found = found || done
}

/* The same of a thread that has announced: ready_is_empty. */
inline look_for_item_or_bit() {
	look_for_item();
	found = found || ready
}

inline look_for_bit() {
	found = ready
}

/* pinioni_stream_give_room */
inline give_room() {
	if
	:: settled != next ->
		settled = next;
		stores_reader!TAKEN(next);
#ifndef NO_ROOM_FENCE
		empty(stores_reader);
#endif
		ring_producer()
	:: else
	fi
}

/* slot_ask */
inline ask() {
	atomic {
		asked_late = done;
		if
#ifdef ASK_ONCE
		:: !done && !has_asked -> tell = true; has_asked = true
#else
		:: !done -> tell = true
#endif
		:: else
		fi
	}
}

#ifdef PIPED
/* wait_for_item, and the worker's loop. */
inline wait_for_item() {
	stores_reader!HUNGRY(true);
#ifndef ONE_FENCE
	empty(stores_reader);
#endif
	do
	:: true ->
		look_for_item();
		if
		:: found -> break
		:: else
		fi;
		announce(stores_reader, rang_reader);
		LAST_LOOK(look_for_item);
		sleep(stores_reader, rang_reader, reader_waits)
	od;
	stores_reader!HUNGRY(false)
}
#else
#ifdef HANDLER
/* pinioni_worker_await: asks, looks, is suspended until it is told; and the worker's loop. */
inline wait_for_item() {
	do
	:: true ->
		look_for_item();
		if
		:: found -> break
		:: else
		fi;
#ifdef ASK_LAST
		found = HAS_ITEM;
		ask();
#else
		ask();
		empty(stores_reader);
		found = HAS_ITEM;
#endif
		if
		:: found || asked_late
		:: else ->
			do
			:: atomic { ready -> ready = false }; break
			:: else ->
				announce(stores_reader, rang_reader);
				look_for_bit();
				sleep(stores_reader, rang_reader, reader_waits)
			od
		fi
	od
}
#else
/* wait_foreign: asks, announces, looks, sleeps. */
inline wait_for_item() {
	do
	:: true ->
		look_for_item();
		if
		:: found -> break
		:: else
		fi;
		ask();
		if
		:: asked_late
		:: else ->
			announce(stores_reader, rang_reader);
			look_for_item_or_bit();
			sleep(stores_reader, rang_reader, reader_waits)
		fi;
		ready = false
	od
}
#endif
#endif

inline close() {
	stores_reader!CLOSED(true);
#ifndef NO_CLOSE_FENCE
	empty(stores_reader);
#endif
#ifndef CLOSE_SILENT
	ring_producer();
#endif
	reader_closed = true
}

inline look_at_item() {
	assert(value[next % WINDOW] == next + 1)
}

inline read_item() {
	look_at_item();
	got++;
	if
	:: next++ /* a scalar is copied */
	:: holds = true /* a view: looked at until the next is asked for */
#ifdef EARLY
		; next++
#endif
	fi;
	if
	:: (next - settled) * 2 >= WINDOW -> give_room()
	:: else
	fi
}

inline pass_held() {
	if
	:: holds ->
#ifdef EARLY
		assert(value[(next - 1) % WINDOW] == next);
#else
		look_at_item();
		next++;
#endif
		holds = false
	:: else
	fi
}

proctype reader() {
	byte next, settled;
	bool holds, found, asked_late, has_asked;

	do
	:: close(); break
	:: true ->
		pass_held();
		do /* until there is one */
		:: HAS_ITEM -> read_item(); break
		:: else ->
			if
			:: done ->
#ifndef ONE_LOOK
				if
				:: HAS_ITEM
				:: else -> goto ended
				fi
#else
				goto ended
#endif
			:: else ->
#ifndef HOARD
				give_room();
#endif
				wait_for_item()
			fi
		od
	od;
ended:	reader_ended = true
}

init {
	atomic {
		run memory();
		run producer();
		run reader()
	}
	timeout; /* nobody can do anything more */
	assert(producer_ended && reader_ended);
	assert(reader_closed || got == ITEMS)
}
