/* Calls of getenv() and what surrounds them, timed inside of one process:
 *
 *   getenv WHAT NAMES THREADS SAMPLES CALLS
 *
 * Prints SAMPLES numbers, each the nanoseconds that one of the CALLS calls of each thread took: from when the first
 * thread began until the last one ended. All wait for each other before they begin. WHAT is
 *
 *   hit      getenv() of the name in the middle of NAMES variables
 *   spread   getenv() of all of them in turn, of each as often: CALLS is a multiple of NAMES
 *   secure   secure_getenv() of the name in the middle
 *   miss     getenv() of a name that is not there and begins like many that are
 *   spawn    fork, execve of a program that does nothing, wait
 *   heap     reading 64 KiB of the heap
 *   secret   reading 64 KiB of memfd_secret memory
 *
 * The names are those of name_of in bench/getenv.py.
 */
#define _GNU_SOURCE
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { NAME_BYTES = 32, BLOCK_BYTES = 65536, MAX_THREADS = 64 };

static const char *const words[] = {"DB", "API", "AWS", "REDIS", "S3", "JWT", "SMTP", "KUBERNETES"};

static char (*names)[NAME_BYTES];
static long name_count, calls;
static const uint64_t *block;
static _Thread_local volatile uintptr_t sink; /* so that no call is optimised away; threads share no cache line */

static void make_names(void)
{
	names = calloc((size_t)name_count + 1, NAME_BYTES);
	if (!names)
		exit(3);
	for (long i = 0; i < name_count; i++)
		snprintf(names[i], NAME_BYTES, "%s_SETTING_%ld", words[i % 8], i);
	snprintf(names[name_count], NAME_BYTES, "%s_SETTING_MISSING", words[0]);
}

static void hit(void)
{
	const char *name = names[name_count / 2];
	for (long i = 0; i < calls; i++)
		sink = (uintptr_t)getenv(name);
}

static void spread(void)
{
	for (long i = 0, next = 0; i < calls; i++) {
		sink = (uintptr_t)getenv(names[next]);
		if (++next == name_count)
			next = 0;
	}
}

static void secure(void)
{
	const char *name = names[name_count / 2];
	for (long i = 0; i < calls; i++)
		sink = (uintptr_t)secure_getenv(name);
}

static void miss(void)
{
	for (long i = 0; i < calls; i++)
		sink = (uintptr_t)getenv(names[name_count]);
}

static void spawn(void)
{
	char *const words_of_true[] = {(char *)"true", NULL};
	for (long i = 0; i < calls; i++) {
		pid_t child = fork();
		if (child == 0) {
			execve("/bin/true", words_of_true, environ);
			_exit(127);
		}
		int status;
		if (child < 0 || waitpid(child, &status, 0) != child || status != 0)
			exit(4);
	}
}

static void read_block(void)
{
	for (long i = 0; i < calls; i++) {
		uint64_t sum = 0;
		for (int word = 0; word < BLOCK_BYTES / 8; word++)
			sum += block[word];
		sink = sum;
	}
}

static void *make_block(int is_secret)
{
	if (!is_secret)
		return malloc(BLOCK_BYTES);
	int file = (int)syscall(447 /* memfd_secret */, 0);
	if (file < 0 || ftruncate(file, BLOCK_BYTES) != 0)
		return NULL;
	void *made = mmap(NULL, BLOCK_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
	return made == MAP_FAILED ? NULL : made;
}

static double now_ns(void)
{
	struct timespec now;
	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * 1e9 + now.tv_nsec;
}

struct worker {
	pthread_t thread;
	void (*work)(void);
	double begin, end;
};

static pthread_barrier_t line;

static void *run_worker(void *given)
{
	struct worker *worker = given;
	pthread_barrier_wait(&line);
	worker->begin = now_ns();
	worker->work();
	worker->end = now_ns();
	return NULL;
}

static double timed(void (*work)(void), int threads)
{
	struct worker workers[MAX_THREADS];
	pthread_barrier_init(&line, NULL, (unsigned)threads);
	for (int i = 0; i < threads; i++) {
		workers[i].work = work;
		if (i && pthread_create(&workers[i].thread, NULL, run_worker, &workers[i]) != 0)
			exit(3);
	}
	run_worker(&workers[0]);
	double begin = workers[0].begin, end = workers[0].end;
	for (int i = 1; i < threads; i++) {
		pthread_join(workers[i].thread, NULL);
		begin = workers[i].begin < begin ? workers[i].begin : begin;
		end = workers[i].end > end ? workers[i].end : end;
	}
	pthread_barrier_destroy(&line);
	return (end - begin) / (double)calls;
}

int main(int argc, char **argv)
{
	static const struct {
		const char *name;
		void (*work)(void);
	} kinds[] = {
		{"hit", hit}, {"spread", spread}, {"secure", secure}, {"miss", miss}, {"spawn", spawn},
		{"heap", read_block}, {"secret", read_block},
	};
	if (argc != 6)
		return 2;
	name_count = atol(argv[2]);
	int threads = atoi(argv[3]), samples = atoi(argv[4]);
	calls = atol(argv[5]);
	if (threads < 1 || threads > MAX_THREADS || calls < 1)
		return 2;
	if (name_count < 1 || (strcmp(argv[1], "spread") == 0 && calls % name_count != 0))
		return 2;
	make_names();
	if (!getenv(names[name_count / 2]) || getenv(names[name_count]))
		return 5; /* the environment is not what is to be measured */
	void *made = make_block(strcmp(argv[1], "secret") == 0);
	if (!made)
		return 6;
	block = memset(made, 1, BLOCK_BYTES);
	for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++)
		if (strcmp(argv[1], kinds[i].name) == 0) {
			for (int sample = 0; sample < samples; sample++)
				printf("%.4f\n", timed(kinds[i].work, threads));
			return 0;
		}
	return 2;
}
