/* SPDX-License-Identifier: MIT */
#include "ui/heatmap/swage-heat-gl.h"

#include "core/base/swage-error.h"

#include <epoxy/gl.h>
#include <glib/gi18n-lib.h>

#define T SWAGE_HEAT_TILE
/* Textures that are kept though their tiles are not on screen. */
#define MAX_TEXTURES 224

typedef struct
{
  GLuint id;
  guint used;
} Texture;

struct _SwageHeatGl
{
  GLuint program, array, buffer, scale;
  GLint rect, part, limit;
  GHashTable *textures; /* serial → Texture */
  guint clock;
};

static const char vertex_source[] = "in vec2 corner;\n"
                                    "uniform vec4 rect;\n" /* left, top, right, bottom in clip space */
                                    "uniform vec2 part;\n" /* of the texture that the tile fills */
                                    "out vec2 at;\n"
                                    "void main () {\n"
                                    "  at = corner * part;\n"
                                    "  gl_Position = vec4 (mix (rect.xy, rect.zw, corner), 0.0, 1.0);\n"
                                    "}\n";
/* What is not a number is magenta: on neither scale. */
static const char fragment_source[]
    = "in vec2 at;\n"
      "uniform sampler2D tile;\n"
      "uniform sampler2D colors;\n"
      "uniform float limit;\n"
      "out vec4 color;\n"
      "void main () {\n"
      "  float v = texture (tile, at).r;\n"
      "  float t = limit > 0.0 ? 0.5 + 0.5 * sign (v) * min (1.0, sqrt (abs (v) / limit)) : v;\n"
      "  color = texture (colors, vec2 (t * (255.0 / 256.0) + 0.5 / 256.0, 0.5));\n"
      "  if (!(v >= -3.4e38 && v <= 3.4e38)) color = vec4 (1.0, 0.0, 1.0, 1.0);\n"
      "}\n";

static GLuint
compile (GLenum kind, bool es, const char *source, GError **error)
{
  const char *parts[]
      = { es ? "#version 300 es\nprecision highp float;\nprecision highp sampler2D;\n" : "#version 150\n",
          source };
  GLuint shader = glCreateShader (kind);
  GLint ok = 0;
  glShaderSource (shader, 2, parts, NULL);
  glCompileShader (shader);
  glGetShaderiv (shader, GL_COMPILE_STATUS, &ok);
  if (ok)
    return shader;
  char text[512] = "";
  glGetShaderInfoLog (shader, sizeof text, NULL, text);
  glDeleteShader (shader);
  g_set_error (error, SWAGE_ERROR, SWAGE_ERROR_UNSUPPORTED,
               _ ("This OpenGL does not take the heat map’s shader: %s"), text);
  return 0;
}

static GLuint
link_program (bool es, GError **error)
{
  GLuint vertex = compile (GL_VERTEX_SHADER, es, vertex_source, error);
  GLuint fragment = vertex != 0 ? compile (GL_FRAGMENT_SHADER, es, fragment_source, error) : 0;
  if (fragment == 0)
    {
      if (vertex != 0)
        glDeleteShader (vertex);
      return 0;
    }
  GLuint program = glCreateProgram ();
  GLint ok = 0;
  glAttachShader (program, vertex);
  glAttachShader (program, fragment);
  glBindAttribLocation (program, 0, "corner");
  glLinkProgram (program);
  glDeleteShader (vertex);
  glDeleteShader (fragment);
  glGetProgramiv (program, GL_LINK_STATUS, &ok);
  if (ok)
    return program;
  glDeleteProgram (program);
  g_set_error (error, SWAGE_ERROR, SWAGE_ERROR_UNSUPPORTED,
               _ ("This OpenGL does not take the heat map’s shader: %s"), "link");
  return 0;
}

SwageHeatGl *
swage_heat_gl_new (bool es, GError **error)
{
  GLuint program = link_program (es, error);
  if (program == 0)
    return NULL;
  SwageHeatGl *gl = g_new0 (SwageHeatGl, 1);
  static const float corners[] = { 0, 0, 1, 0, 0, 1, 1, 1 };
  gl->program = program;
  gl->rect = glGetUniformLocation (program, "rect");
  gl->part = glGetUniformLocation (program, "part");
  gl->limit = glGetUniformLocation (program, "limit");
  glUseProgram (program);
  glUniform1i (glGetUniformLocation (program, "tile"), 0);
  glUniform1i (glGetUniformLocation (program, "colors"), 1);
  glGenVertexArrays (1, &gl->array);
  glBindVertexArray (gl->array);
  glGenBuffers (1, &gl->buffer);
  glBindBuffer (GL_ARRAY_BUFFER, gl->buffer);
  glBufferData (GL_ARRAY_BUFFER, sizeof corners, corners, GL_STATIC_DRAW);
  glEnableVertexAttribArray (0);
  glVertexAttribPointer (0, 2, GL_FLOAT, GL_FALSE, 0, NULL);
  glBindVertexArray (0);
  glGenTextures (1, &gl->scale);
  gl->textures = g_hash_table_new_full (g_int64_hash, g_int64_equal, g_free, g_free);
  return gl;
}

void
swage_heat_gl_free (SwageHeatGl *gl)
{
  if (gl == NULL)
    return;
  GHashTableIter iter;
  gpointer texture;
  g_hash_table_iter_init (&iter, gl->textures);
  while (g_hash_table_iter_next (&iter, NULL, &texture))
    glDeleteTextures (1, &((Texture *)texture)->id);
  g_hash_table_unref (gl->textures);
  glDeleteTextures (1, &gl->scale);
  glDeleteBuffers (1, &gl->buffer);
  glDeleteVertexArrays (1, &gl->array);
  glDeleteProgram (gl->program);
  g_free (gl);
}

static void
set_filter (void)
{
  glTexParameteri (GL_TEXTURE_2D, GL_TEXTURE_MIN_FILTER, GL_NEAREST);
  glTexParameteri (GL_TEXTURE_2D, GL_TEXTURE_MAG_FILTER, GL_NEAREST);
  glTexParameteri (GL_TEXTURE_2D, GL_TEXTURE_WRAP_S, GL_CLAMP_TO_EDGE);
  glTexParameteri (GL_TEXTURE_2D, GL_TEXTURE_WRAP_T, GL_CLAMP_TO_EDGE);
}

static void
drop_old (SwageHeatGl *gl)
{
  GHashTableIter iter;
  gpointer value;
  if (g_hash_table_size (gl->textures) <= MAX_TEXTURES)
    return;
  g_hash_table_iter_init (&iter, gl->textures);
  while (g_hash_table_iter_next (&iter, NULL, &value))
    if (gl->clock - ((Texture *)value)->used > 30)
      {
        glDeleteTextures (1, &((Texture *)value)->id);
        g_hash_table_iter_remove (&iter);
      }
}

static void
bind_tile (SwageHeatGl *gl, const SwageHeatTile *tile)
{
  Texture *texture = g_hash_table_lookup (gl->textures, &tile->serial);
  if (texture == NULL)
    {
      texture = g_new0 (Texture, 1);
      glGenTextures (1, &texture->id);
      glBindTexture (GL_TEXTURE_2D, texture->id);
      set_filter ();
      glTexImage2D (GL_TEXTURE_2D, 0, GL_R32F, T, tile->height, 0, GL_RED, GL_FLOAT, tile->values);
      g_hash_table_insert (gl->textures, g_memdup2 (&tile->serial, sizeof tile->serial), texture);
    }
  else
    glBindTexture (GL_TEXTURE_2D, texture->id);
  texture->used = gl->clock;
}

void
swage_heat_gl_draw (SwageHeatGl *gl, const SwageHeatQuad *quads, int n, const uint8_t *colors, double limit,
                    const float background[4], int width, int height, double scale)
{
  gl->clock++;
  glViewport (0, 0, width, height);
  glDisable (GL_BLEND);
  glDisable (GL_DEPTH_TEST);
  glClearColor (background[0], background[1], background[2], background[3]);
  glClear (GL_COLOR_BUFFER_BIT);
  glUseProgram (gl->program);
  glBindVertexArray (gl->array);
  glActiveTexture (GL_TEXTURE1);
  glBindTexture (GL_TEXTURE_2D, gl->scale);
  set_filter ();
  glTexImage2D (GL_TEXTURE_2D, 0, GL_RGBA, 256, 1, 0, GL_RGBA, GL_UNSIGNED_BYTE, colors);
  glActiveTexture (GL_TEXTURE0);
  glUniform1f (gl->limit, (float)limit);
  for (int i = 0; i < n; i++)
    {
      const SwageHeatQuad *q = &quads[i];
      double left = 2 * q->x * scale / width - 1, right = 2 * (q->x + q->width) * scale / width - 1;
      double top = 1 - 2 * q->y * scale / height, bottom = 1 - 2 * (q->y + q->height) * scale / height;
      bind_tile (gl, q->tile);
      glUniform4f (gl->rect, (float)left, (float)top, (float)right, (float)bottom);
      glUniform2f (gl->part, (float)q->tile->width / T, 1);
      glDrawArrays (GL_TRIANGLE_STRIP, 0, 4);
    }
  glBindVertexArray (0);
  glUseProgram (0);
  drop_old (gl);
}
