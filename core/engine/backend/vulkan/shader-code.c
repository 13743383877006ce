/* SPDX-License-Identifier: MIT
 *
 * The compiled shaders, as words of the program.
 */
#include "core/engine/backend/vulkan/swage-vulkan-shaders.h"

#include <string.h>
#include "shaders/swage-shader-table.h" /* generated from shaders/meson.build */
#include "shaders/include/swage-types.glsl"

#define SAME(name) G_STATIC_ASSERT (SWAGE_SHADER_##name == SWAGE_TYPE_##name)
SAME (F32);
SAME (F16);
SAME (BF16);
SAME (Q4_0);
SAME (Q4_1);
SAME (Q5_0);
SAME (Q5_1);
SAME (Q8_0);
SAME (Q2_K);
SAME (Q3_K);
SAME (Q4_K);
SAME (Q5_K);
SAME (Q6_K);
SAME (IQ4_NL);
SAME (IQ4_XS);
SAME (F64);
SAME (I8);
SAME (U8);
SAME (BOOL);
SAME (I16);
SAME (I32);
SAME (I64);
SAME (INT);

#define X(name) { #name, { spirv_##name, sizeof spirv_##name } },
static const struct
{
  const char *variant;
  SwageShaderCode code;
} shaders[] = { SWAGE_SHADER_TABLE (X) };
#undef X

bool
swage_shader_find (const char *variant, SwageShaderCode *code)
{
  for (size_t i = 0; i < G_N_ELEMENTS (shaders); i++)
    if (strcmp (shaders[i].variant, variant) == 0)
      {
        *code = shaders[i].code;
        return true;
      }
  return false;
}
