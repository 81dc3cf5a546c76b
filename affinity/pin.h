/* SPDX-License-Identifier: Apache-2.0 */
/*
 * affinity/pin.h - ties the calling thread to a CPU or keeps it off one, and names it.
 */
#ifndef PINION_AFFINITY_PIN_H
#define PINION_AFFINITY_PIN_H

/* cpu: the kernel's number. 0, -EINVAL (not allowed here) or -EPERM: go on without, and say so. */
int pinioni_thread_pin(int cpu) __attribute__((warn_unused_result));

/* Runs it while the calling thread keeps off that cpu, if it may run on another; then the thread may run where it
 * could before. */
void pinioni_thread_off_cpu(int cpu, void (*run)(void *arg), void *arg);

/* Where the calling thread runs at this moment. */
int pinioni_thread_cpu(void);

/* CPUs this process may run on, in order; at most `max`. Returns how many there are. */
unsigned pinioni_cpus_allowed(int *cpus, unsigned max);

/* Cut to 15 bytes, which is all the kernel keeps. */
void pinioni_thread_name(const char *name);

#endif
