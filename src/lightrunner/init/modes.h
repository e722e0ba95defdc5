/* The modes of the program: each takes what follows its name, and returns the exit status. */
#ifndef LIGHTRUNNER_MODES_H
#define LIGHTRUNNER_MODES_H

#include "sys.h"
#include "text.h"

enum { EXIT_USAGE = 64 }; /* BSD's sysexits.h */

int run(char **command, char **envp);
int secrets(char **command, char **envp);
int serve(char **envp);
int read_file(const char *path, const char *limit);
int write_file(const char *path);
int pack(const char *path);
int unpack(const char *path);

/* find.c: the path of a command's program, NULL with a negated errno where there is none to execute. */
const char *find_program(const char *name, char **envp, long *error);

#endif
