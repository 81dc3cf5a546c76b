/* SPDX-License-Identifier: Apache-2.0 */
/*
 * shm/line.h - how far apart words of different writers must lie.
 */
#ifndef PINION_SHM_LINE_H
#define PINION_SHM_LINE_H

/* Two 64-byte lines: x86 prefetchers fetch lines in pairs, so one is not apart enough. */
#define PINION_LINE 128

#endif
