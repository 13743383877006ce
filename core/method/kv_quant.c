/* SPDX-License-Identifier: MIT
 *
 * KV-cache quantization: keys and values are rounded as they are kept for later tokens, a scale for each
 * group of neighbouring channels of a token,
 *
 *   k ← Q (rope (W_k·x)),   v ← Q (W_v·x)
 *
 * which is what runtimes do that offer it (llama.cpp's --cache-type-k and --cache-type-v: groups of 32). The
 * weights stay as they are: this is a step on attn_k and attn_v that says what quality such a cache costs.
 */
#include <glib/gi18n-lib.h>
#include "core/base/swage-error.h"
#include "core/method/swage-act.h"

typedef struct
{
  int format;
  int bits, group_size;
  bool symmetric;
} KvQuantParams;

static const char *const formats[] = { "int", "fp8_e4m3", "fp8_e5m2", "fp4_e2m1", NULL };
static const char *const layers[] = { "attn_k", "attn_v", "attn_qkv", NULL };

static const SwageParam params[] = {
  SWAGE_CHOICE (KvQuantParams, format, 0, formats, N_ ("Format"),
                N_ ("The numbers that keys and values are kept as.")),
  SWAGE_INT (KvQuantParams, bits, 8, 2, 8, N_ ("Bits"), N_ ("Bits for each number."), .unit = N_ ("bits"),
             .when = "format=int"),
  SWAGE_INT (KvQuantParams, group_size, 32, 1, 65536, N_ ("Group size"),
             N_ ("Neighbouring channels of a token that share a scale."), .soft_min = 16, .soft_max = 128),
  SWAGE_BOOL (KvQuantParams, symmetric, true, N_ ("Symmetric"), N_ ("Leave out the zero point."),
              .when = "format=int"),
  { 0 },
};

static bool
cost (const void *data, const SwageLinearSpec *in, SwageLinearSpec *out, GError **error)
{
  out->parts |= SWAGE_PART_OUT_QUANT;
  return true;
}

static SwageLinear *
apply (const void *data, const SwageLinear *in, const SwageMethodContext *context, SwageJob *job,
       GError **error)
{
  const KvQuantParams *p = data;
  SwageLinear *out = swage_linear_dup (in);

  swage_act_quant_free (out->out_quant);
  out->out_quant = g_new0 (SwageActQuant, 1);
  *out->out_quant = (SwageActQuant){ .format = (SwageActFormat)p->format,
                                     .scope = SWAGE_ACT_PER_GROUP,
                                     .bits = p->bits,
                                     .group_size = p->group_size,
                                     .symmetric = p->symmetric };
  if (swage_job_step (job, 1, 1, error))
    return out;
  swage_linear_unref (out);
  return NULL;
}

const SwageMethod swage_method_kv_quant = {
  .id = "kv_quant",
  .version = 1,
  .family = SWAGE_FAMILY_ACTIVATION,
  .title = N_ ("Quantized KV cache"),
  .summary = N_ ("Rounds keys and values as they are kept for later tokens. Shows what a quantized cache "
                 "costs; files do not "
                 "hold it, programs that run a model have an option for it."),
  .scope = SWAGE_SCOPE_LINEAR,
  .accepts = SWAGE_PART_DENSE | SWAGE_PART_PACKED | SWAGE_PART_LOW_RANK | SWAGE_PART_SPARSE
             | SWAGE_PART_TRANSFORM | SWAGE_PART_ACT_QUANT,
  .emits = SWAGE_PART_OUT_QUANT,
  .needs = SWAGE_NEED_NONE,
  .params = params,
  .params_size = sizeof (KvQuantParams),
  .cost = cost,
  .apply = apply,
  .layers = layers,
};
