/*
 * Runs a fuzz target over its corpus as a TAP test: every input as it is, its
 * truncations, and a bounded number of seeded mutations, so that the replay
 * finds shallow mistakes also where there is no libFuzzer.
 */
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/buf.h"
#include "base/file.h"
#include "base/mem.h"
#include "base/rand.h"

/* Longer inputs are cut at as many places, evenly spread: some targets do real work for each. */
enum { INPUT_MAX = 1 << 20, TRUNCATIONS = 256, MUTATIONS = 64 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

/* From the heap at its exact size, so that ASan sees a read past the end. */
static void run(const uint8_t *data, size_t n)
{
	uint8_t *copy = mem_dup(data, n);

	(void)LLVMFuzzerTestOneInput(copy, n);
	free(copy);
}

static void mutate(struct rand_src *rand, const uint8_t *data, size_t n)
{
	if (n == 0)
		return;
	for (unsigned i = 0; i < MUTATIONS; i++) {
		uint8_t *copy = mem_dup(data, n);
		uint64_t changes = 1 + rand_src_below(rand, 4);

		while (changes--)
			copy[rand_src_below(rand, n)] ^= (uint8_t)(1u << rand_src_below(rand, 8));
		(void)LLVMFuzzerTestOneInput(copy, n - rand_src_below(rand, n < 8 ? n : 8));
		free(copy);
	}
}

int main(int argc, char **argv)
{
	unsigned count = 0;
	struct rand_src rand;
	DIR *dir = argc > 1 ? opendir(argv[1]) : NULL;

	(void)setvbuf(stdout, NULL, _IOLBF, 0);
	rand_seeded(&rand, 1);
	if (!dir) {
		printf("Bail out! no corpus %s\n", argc > 1 ? argv[1] : "");
		return 1;
	}
	for (struct dirent *e; (e = readdir(dir));) {
		AUTO_DONE(buf) struct buf input = { 0 };
		AUTO_FREE char *path = str_fmt("%s/%s", argv[1], e->d_name);

		if (e->d_name[0] == '.')
			continue;
		if (file_read(path, INPUT_MAX, &input) < 0) {
			printf("Bail out! cannot read %s\n", path);
			return 1;
		}
		run(input.p, input.n);
		for (size_t n = 0; n < input.n; n += 1 + input.n / TRUNCATIONS)
			run(input.p, n);
		mutate(&rand, input.p, input.n);
		printf("ok %u - %s\n", ++count, e->d_name);
	}
	(void)closedir(dir);
	if (count == 0)
		printf("not ok %u - the corpus is empty\n", ++count);
	printf("1..%u\n", count);
	return 0;
}
