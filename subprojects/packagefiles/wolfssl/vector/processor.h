/* What an x86-64 processor has, and the system on it saves: that is part of what the compiler's
 * function asks for. */
#ifndef POSTERN_VECTOR_PROCESSOR_H
#define POSTERN_VECTOR_PROCESSOR_H

#include <cpuid.h>
#include <stdbool.h>

/* AVX-512 with the multiplication of 52-bit integers. */
static inline bool postern_has_ifma(void) {
    return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512vl") &&
           __builtin_cpu_supports("avx512ifma");
}

/* What upstream's code for P-256 wants that is called beside ours. */
static inline bool postern_has_mulx(void) {
    unsigned eax, ebx, ecx, edx;
    return __builtin_cpu_supports("avx2") && __get_cpuid_count(7, 0, &eax, &ebx, &ecx, &edx) &&
           (ebx & bit_BMI2) != 0 && (ebx & bit_ADX) != 0;
}

/* AVX-512 with AES and carry-less multiplication; clang 14 does not know these two by name. */
static inline bool postern_has_vaes(void) {
    unsigned eax, ebx, ecx, edx;
    return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
           __builtin_cpu_supports("avx512vl") && __get_cpuid_count(7, 0, &eax, &ebx, &ecx, &edx) &&
           (ecx & bit_VAES) != 0 && (ecx & bit_VPCLMULQDQ) != 0;
}

#endif
