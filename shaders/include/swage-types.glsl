/* SPDX-License-Identifier: MIT
 *
 * SwageType for shaders. The numbers are those of kernels/swage-type.h; the host includes this file too and does not
 * compile where they differ.
 */
#define SWAGE_SHADER_F32 0
#define SWAGE_SHADER_F16 1
#define SWAGE_SHADER_BF16 2
#define SWAGE_SHADER_Q4_0 3
#define SWAGE_SHADER_Q4_1 4
#define SWAGE_SHADER_Q5_0 5
#define SWAGE_SHADER_Q5_1 6
#define SWAGE_SHADER_Q8_0 7
#define SWAGE_SHADER_Q2_K 8
#define SWAGE_SHADER_Q3_K 9
#define SWAGE_SHADER_Q4_K 10
#define SWAGE_SHADER_Q5_K 11
#define SWAGE_SHADER_Q6_K 12
#define SWAGE_SHADER_IQ4_NL 13
#define SWAGE_SHADER_IQ4_XS 14
#define SWAGE_SHADER_F64 15
#define SWAGE_SHADER_I8 16
#define SWAGE_SHADER_U8 17
#define SWAGE_SHADER_BOOL 18
#define SWAGE_SHADER_I16 19
#define SWAGE_SHADER_I32 20
#define SWAGE_SHADER_I64 21
#define SWAGE_SHADER_INT 22
