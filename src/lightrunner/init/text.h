/* Memory and text: the few functions that a C library would have. */
#ifndef LIGHTRUNNER_TEXT_H
#define LIGHTRUNNER_TEXT_H

#include "sys.h"

/* The compiler calls these two by itself. */
void *memcpy(void *to, const void *from, u64 size);
void *memset(void *to, int value, u64 size);
void *memmove(void *to, const void *from, u64 size);

u64 text_length(const char *text);
int text_equal(const char *a, const char *b);
int text_starts(const char *text, const char *start);
/* Write a number in decimal digits, and a NUL; returns the number of digits. */
u64 text_number(char *to, u64 value);
/* Read a decimal number; returns -1 where the text is none, or one of more than 10 digits. */
i64 text_parse(const char *text);
/* Write all of it, however many calls that takes; 0 or a negated errno. */
long write_all(int fd, const void *data, u64 size);

#endif
