/* SPDX-License-Identifier: MIT
 *
 * What every shader stands on. A shader is one operator of kernels/ on the same views: the top of kernels/ref/NAME.c says
 * what it computes, shaders/NAME.comp how it is spread over threads, shaders/meson.build which variants are built, and
 * core/engine/backend/vulkan/shader-choice.c which variant runs a call, with how many workgroups (or that none can: then
 * the host runs the operator on the CPU).
 *
 *   set 0, binding 0       the call: pass number and views (below); read only
 *   set 0, binding 1       dst
 *   set 0, binding 2 + i   src i; where it is absent some other memory is bound, and `views[1 + i].present` is 0
 *   set 0, binding 10      scratch, when the choice asks for some; contents undefined before the first pass, kept between
 *                          the passes of one call
 *   push constants         the operator's struct of kernels/swage-op-args.h (all zeros when the call has none)
 *   constant_id 0          local_size_x; 1 to 7: the choice's `constants`, for the shader to name
 *
 * Sizes and strides of a view are in elements and bytes and fit 32 bits. A buffer is bound at an aligned place before the
 * view's first byte; `offset` is the rest, in bytes: a multiple of 4 for views of F32, I32 (and 8 for I64, F64), any even
 * number for weights. dst may be the same memory as a source where the operator allows it.
 *
 * Floats are IEEE 32-bit; nothing here needs an optional feature. Results must be the same bits each time: no float
 * atomics, and reductions in a fixed order. Workgroup sizes are powers of two from 32 up.
 */
#ifndef SWAGE_GLSL_INCLUDED
#define SWAGE_GLSL_INCLUDED

#ifndef SWAGE_GLSL
#define SWAGE_GLSL
#endif
#extension GL_EXT_control_flow_attributes : require
#include "kernels/swage-op-args.h"
#include "swage-types.glsl"

layout (local_size_x_id = 0, local_size_y = 1, local_size_z = 1) in;

struct SwageView
{
  uvec4 ne;     /* elements */
  uvec4 nb;     /* strides in bytes */
  uint offset;  /* bytes from the start of the binding */
  uint type;    /* SWAGE_SHADER_* */
  uint present; /* 0: absent, do not read */
  uint bytes;   /* of the binding */
};

layout (std430, set = 0, binding = 0) readonly buffer SwageCall
{
  uint pass;   /* 0, 1, … of choice.passes */
  uint passes;
  uint unused0, unused1;
  SwageView views[9]; /* dst, src 0 … 7 */
}
swage_call;

/* Array `name` of `type` over the memory of slot `slot` (SWAGE_DST, SWAGE_SRC (i), SWAGE_SCRATCH). Several of different
 * types may look at one slot: uint for bytes, float, vec4 where offset and strides are known to be multiples of 16. */
#define SWAGE_DST 1
#define SWAGE_SRC(i) (2 + i)
#define SWAGE_SCRATCH 10
#define SWAGE_READ(slot, type, name)                                                                                   \
  layout (std430, set = 0, binding = slot) readonly buffer SwageRead_##name { type name[]; };
#define SWAGE_WRITE(slot, type, name)                                                                                  \
  layout (std430, set = 0, binding = slot) buffer SwageWrite_##name { type name[]; };

#define SWAGE_PUSH(Struct) layout (push_constant) uniform SwagePush { Struct args; };

#define view_dst swage_call.views[0]
#define view_src(i) swage_call.views[1 + (i)]

/* Workgroups are numbered in x and y together: there may be more than 65535. */
uint
swage_group ()
{
  return gl_WorkGroupID.y * gl_NumWorkGroups.x + gl_WorkGroupID.x;
}

uint
swage_thread ()
{
  return swage_group () * gl_WorkGroupSize.x + gl_LocalInvocationID.x;
}

/* Rows in dimensions 1 to 3, and the coordinates of row r. */
uint
swage_rows (SwageView v)
{
  return v.ne.y * v.ne.z * v.ne.w;
}

uvec3
swage_row_at (SwageView v, uint r)
{
  uint q = r / v.ne.y;
  return uvec3 (r - q * v.ne.y, q % v.ne.z, q / v.ne.z);
}

/* Byte offset of row i in its binding. */
uint
swage_row (SwageView v, uvec3 i)
{
  return v.offset + i.x * v.nb.y + i.y * v.nb.z + i.z * v.nb.w;
}

/* Not 0/1-valued tests of floats that a compiler may fold away. */
bool
swage_is_nan (float x)
{
  return (floatBitsToUint (x) & 0x7fffffffu) > 0x7f800000u;
}

bool
swage_is_finite (float x)
{
  return (floatBitsToUint (x) & 0x7f800000u) != 0x7f800000u;
}

/* IEEE half and bfloat16 from their bits. */
float
swage_half (uint bits)
{
  return unpackHalf2x16 (bits & 0xffffu).x;
}

float
swage_bfloat (uint bits)
{
  return uintBitsToFloat (bits << 16);
}

#endif
