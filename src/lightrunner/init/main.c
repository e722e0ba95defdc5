/* The program that lightrunner puts into containers. Its first argument is its mode:
 *
 *   pause    do nothing, for ever: holds a network namespace          main.c
 *   run      process 1 of a measured run: runs a command, reports     run.c
 *   secrets  process 1 of a run with secrets, until its command       secrets.c
 *   serve    process 1 of a sandbox: spawns commands for the host     server.c
 *   read, write, pack, unpack    a sandbox's files, as its user       files.c, tar.c
 *
 * It is static and needs no C library, so that it runs in every image, an empty one included. */
#include "modes.h"

static void __attribute__((noreturn)) pause_for_ever(void)
{
    for (;;)
        SYS_5(NR_ppoll, 0, 0, 0, 0, 0);
}

static int dispatch(int argc, char **argv, char **envp)
{
    const char *mode = argc > 1 ? argv[1] : "pause";
    if (text_equal(mode, "pause"))
        pause_for_ever();
    if (text_equal(mode, "run"))
        return run(argv + 2, envp);
    if (text_equal(mode, "secrets"))
        return secrets(argv + 2, envp);
    if (text_equal(mode, "serve"))
        return serve(envp);
    if (text_equal(mode, "read") && argc == 4)
        return read_file(argv[2], argv[3]);
    if (text_equal(mode, "write") && argc == 3)
        return write_file(argv[2]);
    if (text_equal(mode, "pack") && argc == 3)
        return pack(argv[2]);
    if (text_equal(mode, "unpack") && argc == 3)
        return unpack(argv[2]);
    return EXIT_USAGE;
}

/* The kernel's stack at the start: argc, the arguments, NULL, the environment, NULL. */
void __attribute__((noreturn, used)) begin(long *stack)
{
    int argc = (int)stack[0];
    char **argv = (char **)(stack + 1);
    sys_exit(dispatch(argc, argv, argv + argc + 1));
}

#if defined(__x86_64__)
__asm__(".globl _start\n_start:\n xor %ebp, %ebp\n mov %rsp, %rdi\n and $-16, %rsp\n call begin\n");
#else
__asm__(".globl _start\n_start:\n mov x29, #0\n mov x30, #0\n mov x0, sp\n bl begin\n");
#endif
