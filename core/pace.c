/* SPDX-License-Identifier: Apache-2.0 */
/*
 * core/pace.c - the paces, and the trial: both sides run the same loops.
 */
#include "core/pace.h"

#include <stdlib.h>

#include "affinity/pin.h"
#include "shm/futex.h"

const struct pace_steps pinioni_paces[PACES] = {
	[PACE_CLOCK] = { .name = "clock", .reads = 1 },
	[PACE_2_CLOCKS] = { .name = "2 clocks", .reads = 2 },
	[PACE_PAUSE] = { .name = "pause", .pauses = 1 },
	[PACE_2_PAUSES] = { .name = "2 pauses", .pauses = 2 },
	[PACE_4_PAUSES] = { .name = "4 pauses", .pauses = 4 },
	[PACE_TIGHT] = { .name = "tight" },
};

struct side {
	struct pace_trial *trial;
	bool is_near;
	struct pacing pacing;
	uint64_t end; /* ticks */
	uint64_t n;
	unsigned homes; /* that all paces were tried on */
	uint64_t batches[PACES][TRIAL_HOMES];
};

static struct side
side_begin(struct pace_trial *trial, bool is_near)
{
	struct side s = { .trial = trial, .is_near = is_near, .pacing = pacing_begin(PACE_CLOCK) };

	s.end = s.pacing.now + trial->limit_ticks;
	return s;
}

static void
send(const struct side *s, _Atomic uint64_t *line)
{
	/* relaxed: nothing but the number goes with it. */
	atomic_store_explicit(line, s->n, memory_order_relaxed);
}

/* Ended by the other side, or the clock: false. */
static bool
await(struct side *s, const _Atomic uint64_t *line)
{
	/* relaxed: as above. */
	while (atomic_load_explicit(line, memory_order_relaxed) != s->n)
		if (pace_step(&s->pacing) > s->end)
			return false;
	return true;
}

static bool
make_trips(struct side *s, struct trial_lines *lines, unsigned count)
{
	for (unsigned i = 0; i < count; i++) {
		s->n++;
		if (s->is_near)
			send(s, &lines->ping);
		if (!await(s, s->is_near ? &lines->pong : &lines->ping))
			return false;
		if (!s->is_near)
			send(s, &lines->pong);
	}
	return true;
}

static bool
try_all(struct side *s, unsigned home)
{
	struct trial_lines *lines = &s->trial->homes[home];

	for (unsigned i = 0; i < PACES; i++) {
		unsigned pace = (i + home) % PACES; /* another is the first */

		s->pacing = pacing_begin((enum pace)pace);
		if (!make_trips(s, lines, TRIAL_WARM))
			return false;
		s->batches[pace][home] = clock_ticks();
		if (!make_trips(s, lines, TRIAL_TRIPS))
			return false;
		s->batches[pace][home] = clock_ticks() - s->batches[pace][home];
	}
	return true;
}

static void
try_homes(void *side)
{
	struct side *s = side;

	while (s->homes < TRIAL_HOMES && try_all(s, s->homes))
		s->homes++;
}

static int
compare(const void *a, const void *b)
{
	const uint64_t *x = a, *y = b;

	return *x < *y ? -1 : *x > *y;
}

/* Far's cpu, and 1 more; 0: it did not begin in time. */
static uint32_t
await_far(struct pace_trial *t, uint64_t end)
{
	uint32_t cpu;

	/* relaxed: nothing but the number goes with it. */
	while ((cpu = atomic_load_explicit(&t->far_cpu, memory_order_relaxed)) == 0) {
		if (clock_ticks() > end)
			break;
		/* Asleep: it may be our cpu that far waits for. */
		(void)pinioni_futex_wait(&t->far_cpu, 0, TRIAL_MS * UINT64_C(1000000));
	}
	return cpu;
}

bool
pinioni_pace_try(struct pace_trial *t, uint64_t ticks[PACES])
{
	struct side s = side_begin(t, true);
	uint32_t cpu = await_far(t, s.end);

	if (cpu == 0)
		return false;
	pinioni_thread_off_cpu((int)cpu - 1, try_homes, &s);
	for (unsigned pace = 0; pace < PACES; pace++) {
		qsort(s.batches[pace], s.homes, sizeof s.batches[pace][0], compare);
		ticks[pace] = s.batches[pace][s.homes / 2];
	}
	return s.homes >= TRIAL_HOMES_MIN;
}

void
pinioni_pace_answer(struct pace_trial *t)
{
	struct side s = side_begin(t, false);

	/* relaxed: as above. */
	atomic_store_explicit(
	    &t->far_cpu, (uint32_t)pinioni_thread_cpu() + 1, memory_order_relaxed);
	pinioni_futex_wake(&t->far_cpu);
	try_homes(&s);
}

enum pace
pinioni_pace_choose(const uint64_t ticks[PACES])
{
	enum pace best = PACE_CLOCK;

	for (unsigned pace = 0; pace < PACES; pace++)
		if (ticks[pace] < ticks[best])
			best = (enum pace)pace;
	return ticks[best] < ticks[PACE_CLOCK] / 5 * 4 ? best : PACE_CLOCK;
}
