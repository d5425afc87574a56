/* Preloaded into a program, this makes its CPU look as if it had AVX2 and nothing wider: for comparisons of programs that
 * choose their kernels by what the CPU says of itself, and cannot be told otherwise.
 *
 *     cc -O2 -shared -fPIC hide_avx512.c -o hide_avx512.so
 *     LD_PRELOAD=./hide_avx512.so program
 *
 * Linux lets the instruction CPUID fault where the CPU can ("cpuid_fault" in /proc/cpuinfo; arch_prctl(2)).  The handler
 * executes it in the program's place and takes AVX-512, AMX and AVX's later multiply-adds of integers out of the answer. */
#define _GNU_SOURCE
#include <cpuid.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <ucontext.h>
#include <unistd.h>

#define ARCH_CPUID 0x1012 /* arch_prctl's: 0 makes CPUID fault in this thread and those it starts */

/* Bits of leaf 7: F DQ IFMA PF ER CD BW VL; VBMI VBMI2 VNNI BITALG VPOPCNTDQ; 4VNNIW 4FMAPS VP2INTERSECT, AMX and FP16;
 * of its second part: AVX-VNNI BF16, AMX-FP16 AVX-IFMA; integers of AVX and AMX, AVX10. */
#define HIDDEN_EBX 0xdc230000u
#define HIDDEN_ECX 0x00005842u
#define HIDDEN_EDX 0x03c0010cu
#define HIDDEN_EAX_1 0x00a00030u
#define HIDDEN_EDX_1 0x00080530u

static void answer(int signal, siginfo_t *info, void *context)
{
    greg_t *r = ((ucontext_t *)context)->uc_mcontext.gregs;
    const unsigned char *code = (const unsigned char *)r[REG_RIP];
    (void)info;
    if (code[0] != 0x0f || code[1] != 0xa2) { /* a fault of the program's own: again, without this handler */
        struct sigaction plain = {.sa_handler = SIG_DFL};
        sigaction(signal, &plain, NULL);
        return;
    }
    unsigned leaf = (unsigned)r[REG_RAX], part = (unsigned)r[REG_RCX], a, b, c, d;
    syscall(SYS_arch_prctl, ARCH_CPUID, 1);
    __cpuid_count(leaf, part, a, b, c, d);
    syscall(SYS_arch_prctl, ARCH_CPUID, 0);
    if (leaf == 7 && part == 0) {
        b &= ~HIDDEN_EBX;
        c &= ~HIDDEN_ECX;
        d &= ~HIDDEN_EDX;
    } else if (leaf == 7 && part == 1) {
        a &= ~HIDDEN_EAX_1;
        d &= ~HIDDEN_EDX_1;
    }
    r[REG_RAX] = a;
    r[REG_RBX] = b;
    r[REG_RCX] = c;
    r[REG_RDX] = d;
    r[REG_RIP] += 2;
}

__attribute__((constructor)) static void hide(void)
{
    struct sigaction act = {.sa_sigaction = answer, .sa_flags = SA_SIGINFO | SA_NODEFER};
    if (sigaction(SIGSEGV, &act, NULL) || syscall(SYS_arch_prctl, ARCH_CPUID, 0)) {
        fprintf(stderr, "hide_avx512: this CPU's CPUID cannot be made to fault\n");
        exit(2);
    }
}
