/* SPDX-License-Identifier: MIT
 *
 * Reductions over a workgroup, in a fixed tree. All threads call them, and all get the result.
 */
#ifndef SWAGE_REDUCE_INCLUDED
#define SWAGE_REDUCE_INCLUDED

shared float reduce_memory[gl_WorkGroupSize.x];

#define REDUCE(name, combine)                                                                                          \
  float name (float v)                                                                                                 \
  {                                                                                                                    \
    uint t = gl_LocalInvocationID.x;                                                                                   \
    barrier ();                                                                                                        \
    reduce_memory[t] = v;                                                                                              \
    for (uint step = gl_WorkGroupSize.x / 2u; step > 0u; step /= 2u)                                                   \
      {                                                                                                                \
        barrier ();                                                                                                    \
        if (t < step)                                                                                                  \
          {                                                                                                            \
            float a = reduce_memory[t], b = reduce_memory[t + step];                                                   \
            reduce_memory[t] = combine;                                                                                \
          }                                                                                                            \
      }                                                                                                                \
    barrier ();                                                                                                        \
    return reduce_memory[0];                                                                                           \
  }

REDUCE (reduce_sum, a + b)
REDUCE (reduce_max, max (a, b))
REDUCE (reduce_min, min (a, b))

#endif
