/* SPDX-License-Identifier: MIT
 *
 * The searches for scales of kernels/type/tile.c and super.c, operation by operation in the same order, so that the same
 * codes come out. There a lane of a vector has a sub-block, here a thread has one: element e of it is x_at (e), its weight
 * w_at (e). Doubles that join the sub-blocks of a super-block are pairs of floats. All are called by all threads.
 */

const float search_book[16] = float[] (-127.0, -104.0, -83.0, -65.0, -49.0, -35.0, -22.0, -10.0, 1.0, 13.0, 25.0, 38.0,
                                       53.0, 69.0, 89.0, 113.0);
/* Where y = 8i − 128 … 8i − 120 lies among the book's values: their midpoint, with the lower one's index in the last bits. */
const uint search_bins[32] = uint[] (
  0x4e6e6b20u, 0xc2e70000u, 0x4e6e6b21u, 0x4e6e6b21u, 0xc2bb0001u, 0x4e6e6b22u, 0xc2940002u, 0x4e6e6b23u,
  0xc2640003u, 0x4e6e6b24u, 0xc2280004u, 0x4e6e6b25u, 0xc1e40005u, 0x4e6e6b26u, 0xc1800006u, 0xc0900007u,
  0x40e00008u, 0x4e6e6b29u, 0x41980009u, 0x41fc000au, 0x4e6e6b2bu, 0x4236000bu, 0x4e6e6b2cu, 0x4274000cu,
  0x4e6e6b2du, 0x429e000du, 0x4e6e6b2eu, 0x4e6e6b2eu, 0x42ca000eu, 0x4e6e6b2fu, 0x4e6e6b2fu, 0x4e6e6b2fu);

float
search_clamp (float x, float lo, float hi)
{
  float v = x > lo ? x : lo;
  return v < hi ? v : hi;
}

/* a / b, and 0 where b is 0. */
float
search_div (float a, float b)
{
  return abs (b) > 0.0 ? swage_divide (a, b) : 0.0;
}

uint
search_index (float y)
{
  precise float place = y * 0.125 + 16.0;
  uint entry = search_bins[uint (place)];
  return (entry & 15u) + (uintBitsToFloat (entry) < y ? 1u : 0u);
}

void
search_range (out float least, out float most)
{
  least = most = x_at (0u);
  for (uint e = 1u; e < LEN; e++)
    {
      float x = x_at (e);
      least = least < x ? least : x;
      most = most > x ? most : x;
    }
}

/* The element of largest magnitude; of two the negative one. */
float
search_extreme ()
{
  float least, most;
  search_range (least, most);
  return -least < most ? most : least;
}

/* ---- pairs over a super-block ---- */

shared float search_lane[THREADS];

vec2
search_joint (float v)
{
  uint t = gl_LocalInvocationID.x, from = t / JOINT * JOINT;
  barrier ();
  search_lane[t] = v;
  barrier ();
  vec2 sum = vec2 (0.0);
  for (uint l = from; l < from + JOINT; l++)
    sum = pair_add (sum, search_lane[l]);
  return sum;
}

vec2
search_minus (vec2 a, vec2 b)
{
  return pair_add (a, -b);
}

float
search_quotient (vec2 a, vec2 b)
{
  precise float q = swage_divide (a.x, b.x);
  vec2 rest = search_minus (a, pair_multiply (vec2 (q, 0.0), b));
  precise float better = q + rest.x / b.x;
  return better;
}

/* ---- codes without a minimum: x ≈ d · q ---- */

float
sym_round (float y)
{
  y = search_clamp (y, SYM_LO, SYM_HI);
  return BOOK ? search_book[search_index (y)] : roundEven (y);
}

/* Σ w x q and Σ w q² for the codes of step 1/id. */
void
sym_sums (float id, out float sum_xq, out float sum_qq)
{
  precise float xq = 0.0, qq = 0.0;
  for (uint e = 0u; e < LEN; e++)
    {
      precise float x = x_at (e), y = x * id, q = sym_round (y), wq = w_at (e) * q;
      xq += wq * x;
      qq += wq * q;
    }
  sum_xq = xq;
  sum_qq = qq;
}

/* Σ w (x − d q)² with the codes that d itself gives. */
float
sym_error (float d)
{
  float id = search_div (1.0, d);
  precise float error = 0.0;
  for (uint e = 0u; e < LEN; e++)
    {
      precise float x = x_at (e), y = x * id, r = x - d * sym_round (y);
      error += w_at (e) * r * r;
    }
  return error;
}

/* The best of the least-squares refits of steps extreme / GRID, and one more refit of it. */
float
sym_search ()
{
  float extreme = search_extreme (), xq, qq;
  float inverse = abs (extreme) > 1e-20 ? swage_divide (1.0, extreme) : 0.0, best = 0.0, best_d = 0.0;
  for (uint i = 0u; i < N_GRID; i++)
    {
      precise float id = inverse * GRID (i);
      sym_sums (id, xq, qq);
      precise float d = search_div (xq, qq), gain = d * xq;
      if (best < gain)
        {
          best = gain;
          best_d = d;
        }
    }
  sym_sums (search_div (1.0, best_d), xq, qq);
  precise float d = search_div (xq, qq), gain = d * xq;
  return best < gain ? d : best_d;
}

/* For the sub-block the integer scale with the least error among the first n of NEAR around s/d. */
void
sym_super_pick (float s, float d, uint n, out float best_k, out float best)
{
  float base = roundEven (search_clamp (search_div (s, d), K_LO, K_HI));
  best = best_k = 0.0;
  for (uint i = 0u; i < n; i++)
    {
      precise float k = search_clamp (base + NEAR (i), K_LO, K_HI), scale = d * k;
      float error = sym_error (scale);
      if (i == 0u || error < best)
        {
          best = error;
          best_k = k;
        }
    }
}

void
sym_super_search (float s, out float d, out float k)
{
  uint t = gl_LocalInvocationID.x, from = t / JOINT * JOINT;
  float best, try_k, try_error, xq, qq, top = 0.0;
  barrier ();
  search_lane[t] = s;
  barrier ();
  for (uint l = from; l < from + JOINT; l++)
    if (abs (top) < abs (search_lane[l]))
      top = search_lane[l];
  d = store_round_half (swage_divide (top, K_LO));
  sym_super_pick (s, d, N_NEAR, k, best);
  /* x ≈ d · (k q): least squares over the super-block */
  precise float own = d * k;
  sym_sums (search_div (1.0, own), xq, qq);
  precise float num = xq * k, den = qq * k * k;
  vec2 sum_num = search_joint (num), sum_den = search_joint (den);
  float try_d = store_round_half (sum_den.x > 0.0 ? search_quotient (sum_num, sum_den) : 0.0);
  sym_super_pick (own, try_d, 4u, try_k, try_error);
  vec2 gain = search_minus (search_joint (try_error), search_joint (best));
  if (gain.x < 0.0)
    {
      d = try_d;
      k = try_k;
    }
}

/* ---- codes with a minimum: x ≈ s · q + m ---- */

struct AffineSums
{
  float w, x, q, qq, xq;
};

void
affine_totals (inout AffineSums sums)
{
  precise float sw = 0.0, sx = 0.0;
  for (uint e = 0u; e < LEN; e++)
    {
      sw += w_at (e);
      sx += w_at (e) * x_at (e);
    }
  sums.w = sw;
  sums.x = sx;
}

void
affine_sums (float inverse, float off, inout AffineSums sums)
{
  precise float sq = 0.0, qq = 0.0, xq = 0.0;
  for (uint e = 0u; e < LEN; e++)
    {
      precise float x = x_at (e), y = x * inverse + off, q = roundEven (search_clamp (y, 0.0, TOP)), wq = w_at (e) * q;
      sq += wq;
      qq += wq * q;
      xq += wq * x;
    }
  sums.q = sq;
  sums.qq = qq;
  sums.xq = xq;
}

float
affine_error (float s, float m)
{
  float inverse = search_div (1.0, s);
  precise float off = -m * inverse, error = 0.0;
  for (uint e = 0u; e < LEN; e++)
    {
      precise float x = x_at (e), y = x * inverse, z = y + off;
      precise float r = x - (roundEven (search_clamp (z, 0.0, TOP)) * s + m);
      error += w_at (e) * r * r;
    }
  return error;
}

/* Least squares for fixed codes: keep the line if it explains more of Σ w x² than the best so far. */
void
affine_judge (AffineSums sums, inout float best, inout float best_s, inout float best_m)
{
  precise float det = sums.w * sums.qq - sums.q * sums.q;
  precise float a = sums.w * sums.xq - sums.x * sums.q, b = sums.qq * sums.x - sums.q * sums.xq;
  float s = search_div (a, det), m = search_div (b, det);
  if (NEGATIVE && m > 0.0)
    {
      s = search_div (sums.xq, sums.qq);
      m = 0.0;
    }
  if (s < 0.0)
    s = m = 0.0;
  precise float gain = s * sums.xq + m * sums.x;
  if (best < gain)
    {
      best = gain;
      best_s = s;
      best_m = m;
    }
}

void
affine_search (out float s, out float m)
{
  AffineSums sums = AffineSums (0.0, 0.0, 0.0, 0.0, 0.0);
  float least, most;
  affine_totals (sums);
  search_range (least, most);
  float mean = search_div (sums.x, sums.w);
  if (NEGATIVE)
    {
      least = least < 0.0 ? least : 0.0;
      mean = mean < 0.0 ? mean : 0.0;
    }
  precise float range = most - least, best = mean * sums.x;
  s = 0.0;
  m = mean;
  float inverse = range < 1e-20 ? 0.0 : swage_divide (1.0, range);
  for (uint i = 0u; i < 8u; i++)
    {
      vec2 clip = CLIP (i);
      precise float rest = 1.0 - clip.x - clip.y;
      precise float step = inverse * swage_divide (TOP, rest);
      precise float off = -(least + range * clip.x) * step;
      affine_sums (step, off, sums);
      float gain = best, gain_s = s, gain_m = m;
      affine_judge (sums, gain, gain_s, gain_m);
      best = gain;
      s = gain_s;
      m = gain_m;
    }
  float step = search_div (1.0, s);
  precise float off = -m * step;
  affine_sums (step, off, sums);
  float gain = best;
  affine_judge (sums, gain, s, m);
}

/* For the sub-block the pair of integers with the least error among the nine around s/d and m/dm. */
void
affine_super_pick (float s, float m, float d, float dm, out float best_k, out float best_km, out float best)
{
  float base = roundEven (search_clamp (search_div (s, d), 0.0, K_HI));
  float base_m = roundEven (search_clamp (search_div (m, dm), 0.0, K_HI));
  best = 0.0;
  best_k = base;
  best_km = base_m;
  for (int i = 0; i < 9; i++)
    {
      precise float k = search_clamp (base + float (i / 3 - 1), 0.0, K_HI), scale = d * k;
      precise float km = search_clamp (base_m + float (i % 3 - 1), 0.0, K_HI), least = -(dm * km);
      float error = affine_error (scale, least);
      if (i == 0 || error < best)
        {
          best = error;
          best_k = k;
          best_km = km;
        }
    }
}

float
search_joint_max (float v)
{
  uint t = gl_LocalInvocationID.x, from = t / JOINT * JOINT;
  float top = 0.0;
  barrier ();
  search_lane[t] = v;
  barrier ();
  for (uint l = from; l < from + JOINT; l++)
    top = search_lane[l] > top ? search_lane[l] : top; /* max () may take −0 for larger than 0 */
  return top;
}

void
affine_super_search (float s, float m, out float d, out float dm, out float k, out float km)
{
  float best, try_k, try_km, try_error;
  d = store_round_half (swage_divide (search_joint_max (s), K_HI));
  dm = store_round_half (swage_divide (search_joint_max (m), K_HI));
  affine_super_pick (s, m, d, dm, k, km, best);

  /* The normal equations of x ≈ d (k q) + dm (−km) over the super-block */
  AffineSums sums = AffineSums (0.0, 0.0, 0.0, 0.0, 0.0);
  precise float own = d * k, own_m = dm * km, inverse = search_div (1.0, own), off = own_m * inverse;
  affine_totals (sums);
  affine_sums (inverse, off, sums);
  precise float fkk = sums.qq * k * k, fkm = -(sums.q * k * km), fmm = sums.w * km * km;
  precise float fxk = sums.xq * k, fxm = -(sums.x * km);
  vec2 a = search_joint (fkk), b = search_joint (fkm), c = search_joint (fmm), u = search_joint (fxk), v = search_joint (fxm);
  vec2 ac = pair_multiply (a, c), det = search_minus (ac, pair_multiply (b, b));
  float try_d = a.x > 0.0 ? search_quotient (u, a) : 0.0, try_dm = 0.0;
  if (det.x > 1e-9 * ac.x)
    {
      try_d = search_quotient (search_minus (pair_multiply (u, c), pair_multiply (v, b)), det);
      try_dm = search_quotient (search_minus (pair_multiply (v, a), pair_multiply (u, b)), det);
    }
  else if (c.x > 0.0 && !(a.x > 0.0))
    try_dm = search_quotient (v, c);
  try_d = store_round_half (try_d > 0.0 ? try_d : 0.0);
  try_dm = store_round_half (try_dm > 0.0 ? try_dm : 0.0);
  affine_super_pick (own, own_m, try_d, try_dm, try_k, try_km, try_error);
  vec2 gain = search_minus (search_joint (try_error), search_joint (best));
  if (gain.x < 0.0)
    {
      d = try_d;
      dm = try_dm;
      k = try_k;
      km = try_km;
    }
}
