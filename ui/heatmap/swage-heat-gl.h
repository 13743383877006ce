/* SPDX-License-Identifier: MIT
 *
 * Tiles by OpenGL (3.2, or ES 3.0): a texture of floats for each tile, coloured in the shader. The only place
 * that knows GL. All functions with the context current.
 */
#pragma once

#include "ui/heatmap/swage-heat-tiles.h"

typedef struct
{
  const SwageHeatTile *tile;
  double x, y, width, height; /* in pixels of the plot, from its left upper corner */
} SwageHeatQuad;

typedef struct _SwageHeatGl SwageHeatGl;
/* NULL with an error where the shaders do not compile. */
SwageHeatGl *swage_heat_gl_new (bool es, GError **error);
void swage_heat_gl_free (SwageHeatGl *gl);
/* Paint the quads, later ones over earlier ones. `colors`: 256 RGBA of the scale from its lower to its upper
 * end; limit 0: a share; `size` of the plot in device pixels, `scale` of these a pixel. */
void swage_heat_gl_draw (SwageHeatGl *gl, const SwageHeatQuad *quads, int n, const uint8_t *colors,
                         double limit, const float background[4], int width, int height, double scale);
