/* SPDX-License-Identifier: MIT
 *
 * From a dispatch to a shader: which variant, how many workgroups. Plain values, no Vulkan types. Private to this folder.
 */
#pragma once

#include "core/engine/backend/vulkan/swage-vulkan-devices.h"
#include "core/engine/swage-backend.h"

#define SWAGE_SHADER_CONSTANTS 8 /* constant_id 0 (local_size_x) to 7 */
#define SWAGE_SHADER_MAX_PASSES 4

typedef struct
{
  const char *variant;                       /* static: the variant's name in shaders/meson.build */
  uint32_t constants[SWAGE_SHADER_CONSTANTS]; /* [0]: local_size_x, a power of two from 32 up */
  int passes;                                /* 0 counts as 1; there is a barrier between two passes */
  uint64_t groups[SWAGE_SHADER_MAX_PASSES];  /* workgroups of each pass; 0 of the first: nothing to do */
  size_t scratch_bytes;                      /* binding 10; 0: none */
} SwageShaderChoice;

typedef struct
{
  const uint32_t *words;
  size_t bytes;
} SwageShaderCode;

/* The code of a variant; false when there is none of that name. */
bool swage_shader_find (const char *variant, SwageShaderCode *code);
/* Whether operator `op` has any shader at all. */
bool swage_shader_has (const char *op);
/* Choose for one call. False: no shader can do it, the host runs the operator on the CPU. `device` tells which features
 * there are. */
bool swage_shader_choose (const SwageVulkanDevice *device, const SwageOp *op, const SwageDispatch *dispatch,
                          SwageShaderChoice *choice);
