/* SPDX-License-Identifier: Apache-2.0 */
/*
 * affinity/pin.h - ties the calling thread to a CPU, and names it.
 */
#ifndef PINION_AFFINITY_PIN_H
#define PINION_AFFINITY_PIN_H

/* cpu: the kernel's number. 0, -EINVAL (not allowed here) or -EPERM: go on without, and say so. */
int pinioni_thread_pin(int cpu) __attribute__((warn_unused_result));

/* CPUs this process may run on, in order; at most `max`. Returns how many there are. */
unsigned pinioni_cpus_allowed(int *cpus, unsigned max);

/* Cut to 15 bytes, which is all the kernel keeps. */
void pinioni_thread_name(const char *name);

#endif
