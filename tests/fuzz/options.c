/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tests/fuzz/options.c - the words of a command.
 *
 *   input:  r, c or b: of `pinion run`, `call` or `build` | a line end | a word | a line end | ...
 *
 * Goal    Any words are taken or refused, and nothing is kept of them.
 * Method  The verbs themselves, whose argp_parse is this file's: it has the C library read the words by the verb's own parser, and
 *         then says that they are wrong, so that no verb goes on. Where the C library would print and exit, this file's argp_failure
 *         leaves the verb's parser, so that what the C library took is given back.
 */
#include <argp.h>
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include "cli/config.h"
#include "cli/verb.h"
#include "fuzz.h"

enum {
	WORDS_MAX = 64,
	CHILDREN_MAX = 4
};

/* Of the one parse at a time. */
static argp_parser_t verb_parser, settings_parser;
static jmp_buf refused;

error_t __real_argp_parse(
    const struct argp *argp, int argc, char **argv, unsigned flags, int *index, void *input);
PINION_EXPORT error_t __wrap_argp_parse(
    const struct argp *argp, int argc, char **argv, unsigned flags, int *index, void *input);
PINION_EXPORT void __wrap_argp_failure(const struct argp_state *state, int status, int code,
    const char *format, ...) PINION_PRINTF(4, 5);

/* ---- the C library's, replaced ---------------------------------------------------------------- */

void
__wrap_argp_failure(const struct argp_state *state, int status, int code, const char *format, ...)
{
	char text[512];
	va_list values;

	(void)state;
	va_start(values, format);
	(void)vsnprintf(text, sizeof text, format, values);
	va_end(values);
	fuzz_check(status != 0 && code == 0 && text[0] != '\0', "it is refused without a word", "");
	longjmp(refused, 1);
}

static error_t
parse_guarded(argp_parser_t parser, int key, char *arg, struct argp_state *state)
{
	if (setjmp(refused) != 0)
		return EINVAL;
	return parser(key, arg, state);
}

static error_t
parse_verb(int key, char *arg, struct argp_state *state)
{
	return parse_guarded(verb_parser, key, arg, state);
}

static error_t
parse_settings(int key, char *arg, struct argp_state *state)
{
	return parse_guarded(settings_parser, key, arg, state);
}

error_t
__wrap_argp_parse(
    const struct argp *argp, int argc, char **argv, unsigned flags, int *index, void *input)
{
	struct argp verb = *argp, settings[CHILDREN_MAX];
	struct argp_child children[CHILDREN_MAX + 1] = { { NULL, 0, NULL, 0 } };

	verb_parser = argp->parser;
	verb.parser = parse_verb;
	for (size_t i = 0; argp->children != NULL && argp->children[i].argp != NULL; i++) {
		fuzz_check(i < CHILDREN_MAX, "a verb has more children", "");
		settings[i] = *argp->children[i].argp;
		settings_parser = settings[i].parser; /* settings.c's, of each */
		settings[i].parser = parse_settings;
		children[i] = argp->children[i];
		children[i].argp = &settings[i];
	}
	verb.children = children;
	(void)__real_argp_parse(
	    &verb, argc, argv, flags | ARGP_NO_HELP | ARGP_NO_EXIT | ARGP_NO_ERRS, index, input);
	return EINVAL;
}

/* ---- words ------------------------------------------------------------------------------------ */

/* Each in a block of its own: the verbs cut them. How many. */
static int
words_split(const uint8_t *data, size_t size, char *words[WORDS_MAX])
{
	int count = 0;

	while (size > 0 && count < WORDS_MAX) {
		const uint8_t *end = memchr(data, '\n', size);
		size_t length = end == NULL ? size : (size_t)(end - data);

		words[count] = strndup((const char *)data, length);
		if (words[count] == NULL)
			break;
		count++;
		length += end != NULL;
		data += length;
		size -= length;
	}
	return count;
}

/* Its line of complaint goes nowhere. */
static void
verb_start(pinion_verb *verb, int argc, char **argv, FILE *nowhere)
{
	FILE *before = stderr;

	stderr = nowhere;
	fuzz_check(verb(argc, argv) == EXIT_FAILURE, "a verb goes on", "");
	stderr = before;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static char name[] = "pinion verb";
	static FILE *nowhere;
	char *words[WORDS_MAX], *argv[WORDS_MAX + 2] = { name };
	int count;

	if (nowhere == NULL)
		nowhere = fopen("/dev/null", "we");
	if (nowhere == NULL || size < 2)
		return 0;
	count = words_split(data + 2, size - 2, words);
	memcpy(argv + 1, words, (size_t)count * sizeof *words);
	argv[count + 1] = NULL;
	verb_start(data[0] == 'r' ? pinioni_verb_run
		: data[0] == 'c'  ? pinioni_verb_call
				  : pinioni_verb_build,
	    count + 1, argv, nowhere);
	for (int i = 0; i < count; i++)
		free(words[i]);
	return 0;
}
