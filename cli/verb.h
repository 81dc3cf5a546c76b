/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cli/verb.h - what `pinion` can be told to do; a verb is a file of its name.
 *
 * A verb gets its own arguments, argv[0] being "pinion VERB", and returns the exit code. Every error
 * is one line on stderr and exit code 1.
 */
#ifndef PINION_CLI_VERB_H
#define PINION_CLI_VERB_H

typedef int pinion_verb(int argc, char **argv);

pinion_verb pinioni_verb_build;
pinion_verb pinioni_verb_call;
pinion_verb pinioni_verb_host;
pinion_verb pinioni_verb_run;
pinion_verb pinioni_verb_status;
pinion_verb pinioni_verb_version;

#endif
