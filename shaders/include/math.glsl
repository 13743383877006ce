/* SPDX-License-Identifier: MIT
 *
 * Elementary functions that mean the same on every device. Vulkan lets exp, log, sin, cos and division be off by several
 * units in the last place and leaves erf out; a perplexity computed on two devices should not differ for that. These are
 * right to about one unit: argument reduction in exact steps, then a polynomial (Chebyshev interpolation of the function
 * itself on the reduced interval). `precise` keeps the compiler from contracting or reordering what depends on rounding.
 */
#ifndef SWAGE_MATH_INCLUDED
#define SWAGE_MATH_INCLUDED

#define SWAGE_INF uintBitsToFloat (0x7f800000u)
#define SWAGE_NAN uintBitsToFloat (0x7fc00000u)

/* x · 2^n for n in −252 … 254, in two factors so that neither leaves the range. */
float
swage_scale (float x, int n)
{
  int half_n = n >> 1;
  return x * uintBitsToFloat (uint (half_n + 127) << 23) * uintBitsToFloat (uint (n - half_n + 127) << 23);
}

/* a = h + l with 12 bits in each, so that products of the parts are exact (Dekker, 1971). */
void
swage_split (float a, out float h, out float l)
{
  precise float t = 4097.0 * a;
  precise float high = t - (t - a);
  precise float low = a - high;
  h = high;
  l = low;
}

/* p + e = a · b exactly, while nothing leaves the range. */
void
swage_two_product (float a, float b, out float p, out float e)
{
  float ah, al, bh, bl;
  swage_split (a, ah, al);
  swage_split (b, bh, bl);
  precise float product = a * b;
  precise float error = ((ah * bh - product) + ah * bl + al * bh) + al * bl;
  p = product;
  e = error;
}

/* The nearest float to a / b for finite operands of ordinary size: one step of correction, with the exact remainder. */
float
swage_divide (float a, float b)
{
  precise float q = a / b;
  float p, e;
  if (!(abs (a) > 1e-30 && abs (a) < 1e30 && abs (b) > 1e-30 && abs (b) < 1e30))
    return q;
  swage_two_product (q, b, p, e);
  precise float r = (a - p) - e;
  precise float corrected = q + r / b;
  return corrected;
}

float
swage_exp (float x)
{
  if (swage_is_nan (x))
    return x;
  if (x > 88.8)
    return SWAGE_INF;
  if (x < -104.0)
    return 0.0;
  precise float n = roundEven (x * 1.44269504);
  precise float r = x - n * 0.693145752; /* 16 bits: n times it is exact */
  precise float s = r - n * 1.42860677e-6;
  precise float p = 1.39421598e-3;
  p = p * s + 8.37596823e-3;
  p = p * s + 4.16663401e-2;
  p = p * s + 0.166664053;
  p = p * s + 0.500000005;
  p = p * s * s + s;
  precise float y = 1.0 + p;
  return swage_scale (y, int (n));
}

/* 2 atanh s for |s| < 0.1716; log (a / b) is this of (a − b) / (a + b). */
float
swage_atanh2 (float s)
{
  precise float z = s * s;
  precise float p = 0.118220713;
  p = p * z + 0.142668037;
  p = p * z + 0.200002038;
  p = p * z + 0.333333326;
  precise float y = 2.0 * s + 2.0 * s * z * p;
  return y;
}

/* log x for x > 0. */
float
swage_log (float x)
{
  if (!(x > 0.0) || !swage_is_finite (x))
    return x > 0.0 ? x : x == 0.0 ? -SWAGE_INF : SWAGE_NAN;
  uint bits = floatBitsToUint (x);
  int e = 0;
  if (bits < 0x00800000u)
    {
      bits = floatBitsToUint (x * 16777216.0);
      e = -24;
    }
  e += int (bits >> 23) - 127;
  float m = uintBitsToFloat ((bits & 0x7fffffu) | 0x3f800000u);
  if (m > 1.41421354)
    {
      m *= 0.5;
      e++;
    }
  precise float f = m - 1.0;
  precise float s = f / (2.0 + f);
  precise float n = float (e);
  precise float y = n * 0.693145752 + (swage_atanh2 (s) + n * 1.42860677e-6);
  return y;
}

/* log (a / b) for positive a, b: nothing is lost where they are nearly equal. */
float
swage_log_ratio (float a, float b)
{
  precise float d = a - b;
  precise float s = d / (a + b);
  return abs (s) < 0.17 ? swage_atanh2 (s) : swage_log (a / b);
}

/* Cosine and sine of any |x| < 1e7: π/2 in three floats, its multiples taken off exactly (Cody and Waite). */
void
swage_cos_sin (float x, out float cosine, out float sine)
{
  precise float n = roundEven (x * 0.636619772);
  float p, e, p2, e2;
  swage_two_product (n, 1.57079637, p, e);
  swage_two_product (n, -4.37113883e-8, p2, e2);
  precise float r = x - p; /* exact: they are within a factor of two, or n is 0 */
  precise float t = r - e;
  precise float lost = (r - t) - e;
  precise float u = t - p2;
  precise float lost2 = (t - u) - p2;
  precise float a = u + (lost + lost2 - e2 - n * -1.71512451e-15);
  precise float z = a * a;
  precise float ps = 2.71580523e-6;
  ps = ps * z - 1.98390325e-4;
  ps = ps * z + 8.33332821e-3;
  ps = ps * z - 0.166666666;
  precise float s = a + a * z * ps;
  precise float pc = -2.71580231e-7;
  pc = pc * z + 2.47987106e-5;
  pc = pc * z - 1.38888793e-3;
  pc = pc * z + 4.16666665e-2;
  precise float c = 1.0 - (0.5 * z - z * z * pc);
  int quarter = int (n) & 3;
  bool odd = (quarter & 1) != 0;
  float cs = odd ? s : c, sn = odd ? c : s;
  cosine = quarter == 1 || quarter == 2 ? -cs : cs;
  sine = quarter >= 2 ? -sn : sn;
}

/* 1 − erf x. Below 1 from erf x / x in x², above from erfc x · exp (x²) in t = 1 / (1 + x/2), which decays smoothly. */
float
swage_erfc (float x)
{
  float a = abs (x);
  if (swage_is_nan (x))
    return x;
  if (a < 1.0)
    {
      precise float z = x * x;
      precise float p = -9.66704457e-6;
      p = p * z + 1.12659590e-4;
      p = p * z - 8.48408041e-4;
      p = p * z + 5.22103181e-3;
      p = p * z - 2.68654307e-2;
      p = p * z + 0.112837825;
      p = p * z - 0.376126385;
      p = p * z + 1.12837917;
      return 1.0 - x * p;
    }
  if (a > 10.0)
    return x > 0.0 ? 0.0 : 2.0;
  float h, l;
  precise float t = 1.0 / (1.0 + 0.5 * a);
  precise float q = -6.88716394e-2;
  q = q * t + 0.215371620;
  q = q * t - 0.185410780;
  q = q * t - 3.58531687e-2;
  q = q * t + 1.20378328e-2;
  q = q * t + 7.23570182e-2;
  q = q * t + 0.179672863;
  q = q * t + 0.246285415;
  q = q * t + 0.282142607;
  q = q * t + 0.282093039;
  swage_two_product (a, a, h, l);
  precise float y = swage_exp (-h) * (1.0 - l) * (t * q);
  return x > 0.0 ? y : 2.0 - y;
}

/* x / (1 + exp (−x)) */
float
swage_silu (float x)
{
  return x < -103.0 ? -0.0 : x / (1.0 + swage_exp (-x));
}

#endif
