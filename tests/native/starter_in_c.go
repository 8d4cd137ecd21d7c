// Starts the program of its second argument by the function of the C library that the first one names, as libraries in C
// do it in Go programs, and ends as it does.
package main

/*
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

extern char **environ;

static int start(const char *call, char *program) {
	char *const argv[] = {program, NULL};
	int status = -1;
	if (strcmp(call, "system") == 0) {
		status = system(program);
	} else if (strcmp(call, "popen") == 0) {
		FILE *stream = popen(program, "r");
		for (int c; stream != NULL && (c = getc(stream)) != EOF;) {
			putchar(c);
		}
		status = stream == NULL ? -1 : pclose(stream);
		fflush(stdout);
	} else if (strcmp(call, "posix_spawn") == 0) {
		pid_t child;
		if (posix_spawn(&child, program, NULL, NULL, argv, environ) == 0) {
			waitpid(child, &status, 0);
		}
	} else {
		execv(program, argv);
	}
	return WIFEXITED(status) ? WEXITSTATUS(status) : 99;
}
*/
import "C"

import "os"

func main() {
	os.Exit(int(C.start(C.CString(os.Args[1]), C.CString(os.Args[2]))))
}
