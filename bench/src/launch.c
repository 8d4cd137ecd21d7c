/* Starts one command and writes to a file when it was exec'd, and what it used:
 *
 *   launch FILE COMMAND [ARG...]
 *   FILE: "START_NS USER_US SYSTEM_US PEAK_KIB STATUS"
 *
 * It is a program of its own because the kernel counts the memory of anyone who forks towards the peak of the child
 * (exec_mmap in fs/exec.c), and this one has next to none.
 */
#define _GNU_SOURCE
#include <stdio.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

int main(int argc, char **argv)
{
	if (argc < 3)
		return 2;
	int ends[2];
	if (pipe2(ends, 0) != 0)
		return 3;
	pid_t child = fork();
	if (child == 0) {
		struct timespec now;
		close(ends[0]);
		clock_gettime(CLOCK_MONOTONIC, &now);
		long long start = now.tv_sec * 1000000000LL + now.tv_nsec;
		if (write(ends[1], &start, sizeof start) != sizeof start)
			_exit(125);
		close(ends[1]);
		execvp(argv[2], argv + 2);
		_exit(126);
	}
	close(ends[1]);
	long long start = 0;
	int status = 0;
	struct rusage used;
	if (child < 0 || read(ends[0], &start, sizeof start) != sizeof start || wait4(child, &status, 0, &used) != child)
		return 3;
	FILE *file = fopen(argv[1], "w");
	if (!file)
		return 3;
	fprintf(file, "%lld %lld %lld %ld %d\n", start, used.ru_utime.tv_sec * 1000000LL + used.ru_utime.tv_usec,
		used.ru_stime.tv_sec * 1000000LL + used.ru_stime.tv_usec, used.ru_maxrss,
		WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status));
	return fclose(file) != 0;
}
