/* The compiler's intrinsics, and how a function asks for them. A test may put others in their
 * place, made of plain C: then the same source runs where there is no AVX-512, under valgrind for
 * instance. */
#ifndef POSTERN_VECTOR_INTRINSICS_H
#define POSTERN_VECTOR_INTRINSICS_H

#ifdef POSTERN_EMULATED_INTRINSICS
#include POSTERN_EMULATED_INTRINSICS
#else
#include <immintrin.h>

#define POSTERN_IFMA __attribute__((target("avx512f,avx512vl,avx512ifma")))
#define POSTERN_VAES __attribute__((target("aes,pclmul,avx512f,avx512bw,avx512vl,vaes,vpclmulqdq")))

/* Keeps the compiler from mixing what stands before with what stands after: it would run out of
 * registers, and take three times as long. */
#define POSTERN_SETTLE_5(v)                                                                        \
    __asm__ volatile("" : "+v"(v[0]), "+v"(v[1]), "+v"(v[2]), "+v"(v[3]), "+v"(v[4])::"memory")
#endif

#endif
