/* SPDX-License-Identifier: MIT
 *
 * All spellings hang in one trie over bytes. A text is walked from each position down the trie; nearly every
 * position ends at the root, whose children are a table.
 */
#include "core/text/swage-added.h"

#include <string.h>

/* Room for some 300,000 tokens of usual length. */
#define MAX_NODES (1 << 22)

typedef struct
{
  guint32 first_child, next_sibling; /* node indices, 0 = none */
  gint32 token;                      /* index into tokens, -1 */
  guint8 byte;
} Node;

struct _SwageAddedSet
{
  GArray *tokens; /* of SwageAdded */
  GArray *nodes;  /* of Node; [0] is the root */
  guint32 roots[256];
};

static void
added_clear (gpointer data)
{
  g_free (((SwageAdded *)data)->text);
}

SwageAddedSet *
swage_added_set_new (void)
{
  SwageAddedSet *set = g_new0 (SwageAddedSet, 1);
  set->tokens = g_array_new (FALSE, FALSE, sizeof (SwageAdded));
  g_array_set_clear_func (set->tokens, added_clear);
  set->nodes = g_array_new (FALSE, FALSE, sizeof (Node));
  Node root = { .token = -1 };
  g_array_append_val (set->nodes, root);
  return set;
}

void
swage_added_set_free (SwageAddedSet *set)
{
  if (set == NULL)
    return;
  g_array_unref (set->tokens);
  g_array_unref (set->nodes);
  g_free (set);
}

guint
swage_added_set_get_size (const SwageAddedSet *set)
{
  return set->tokens->len;
}

#define NODE(set, i) (&g_array_index ((set)->nodes, Node, (i)))
#define TOKEN(set, i) (&g_array_index ((set)->tokens, SwageAdded, (i)))

static guint32
find_child (const SwageAddedSet *set, guint32 node, guint8 byte)
{
  if (node == 0)
    return set->roots[byte];
  guint32 child = NODE (set, node)->first_child;
  while (child != 0 && NODE (set, child)->byte != byte)
    child = NODE (set, child)->next_sibling;
  return child;
}

bool
swage_added_set_add (SwageAddedSet *set, const char *text, size_t n, const SwageAdded *like)
{
  if (n == 0)
    return true;
  if (n > SWAGE_ADDED_MAX_LENGTH || set->nodes->len > MAX_NODES)
    return false;
  guint32 node = 0;
  for (size_t i = 0; i < n; i++)
    {
      guint8 byte = (guint8)text[i];
      guint32 child = find_child (set, node, byte);
      if (child == 0)
        {
          child = set->nodes->len;
          Node fresh
              = { .token = -1, .byte = byte, .next_sibling = node == 0 ? 0 : NODE (set, node)->first_child };
          g_array_append_val (set->nodes, fresh);
          if (node == 0)
            set->roots[byte] = child;
          else
            NODE (set, node)->first_child = child;
        }
      node = child;
    }
  if (NODE (set, node)->token >= 0) /* spelled like an earlier one, which keeps the place */
    return true;
  NODE (set, node)->token = (gint32)set->tokens->len;
  SwageAdded added = *like;
  added.text = g_memdup2 (text, n);
  added.n = n;
  g_array_append_val (set->tokens, added);
  return true;
}

/* ---- tokenizer.json ---- */

/* The longest spelling that the text has at `at`: its token's index, or -1. */
static gint32
longest_at (const SwageAddedSet *set, const char *text, size_t n, size_t at)
{
  gint32 best = -1;
  guint32 node = set->roots[(guint8)text[at]];
  while (node != 0)
    {
      if (NODE (set, node)->token >= 0)
        best = NODE (set, node)->token;
      if (++at == n)
        break;
      node = find_child (set, node, (guint8)text[at]);
    }
  return best;
}

static bool
is_word (gunichar c)
{
  return c == '_' || g_unichar_isalnum (c) || g_unichar_ismark (c)
         || g_unichar_type (c) == G_UNICODE_CONNECT_PUNCTUATION;
}

static bool
is_space (gunichar c)
{
  return c == 0x20 || (c >= 9 && c <= 13) || c == 0x85 || (c > 0x85 && g_unichar_isspace (c));
}

static size_t
previous (const char *text, size_t at)
{
  return (size_t)(g_utf8_prev_char (text + at) - text);
}

void
swage_added_set_scan (const SwageAddedSet *set, const char *text, size_t n, bool special, GArray *stretches)
{
  size_t done = 0;
  for (size_t at = 0; at < n && set->tokens->len > 0;)
    {
      gint32 found = set->roots[(guint8)text[at]] == 0 ? -1 : longest_at (set, text, n, at);
      if (found < 0)
        {
          at++;
          continue;
        }
      const SwageAdded *token = TOKEN (set, found);
      size_t start = at, end = at + token->n;
      at = end;
      if (token->special && !special)
        continue;
      if (token->single_word
          && ((start > 0 && is_word (g_utf8_get_char (text + previous (text, start))))
              || (end < n && is_word (g_utf8_get_char (text + end)))))
        continue;
      if (token->lstrip)
        while (start > done && is_space (g_utf8_get_char (text + previous (text, start))))
          start = previous (text, start);
      if (token->rstrip)
        while (end < n && is_space (g_utf8_get_char (text + end)))
          end = (size_t)(g_utf8_next_char (text + end) - text);
      if (end <= done) /* an earlier token took it along */
        continue;
      start = MAX (start, done);
      if (start > done)
        g_array_append_vals (stretches, &(SwageStretch){ done, start, -1 }, 1);
      g_array_append_vals (stretches, &(SwageStretch){ start, end, token->id }, 1);
      done = end;
    }
  if (done < n)
    g_array_append_vals (stretches, &(SwageStretch){ done, n, -1 }, 1);
}

/* ---- llama.cpp ---- */

static gint
by_length_then_id (gconstpointer a, gconstpointer b, gpointer data)
{
  const SwageAddedSet *set = data;
  const SwageAdded *x = TOKEN (set, *(const gint32 *)a), *y = TOKEN (set, *(const gint32 *)b);
  if (x->n != y->n)
    return x->n > y->n ? -1 : 1;
  return x->id < y->id ? -1 : x->id > y->id;
}

/* The tokens whose spelling stands anywhere in the text, longest first. */
static GArray *
tokens_present (const SwageAddedSet *set, const char *text, size_t n, bool special)
{
  GArray *present = g_array_new (FALSE, FALSE, sizeof (gint32));
  g_autofree guint8 *seen = g_malloc0 (set->tokens->len + 1);
  for (size_t start = 0; start < n; start++)
    {
      guint32 node = set->roots[(guint8)text[start]];
      for (size_t at = start; node != 0;)
        {
          gint32 token = NODE (set, node)->token;
          if (token >= 0 && !seen[token] && (special || !TOKEN (set, token)->special))
            {
              seen[token] = 1;
              g_array_append_val (present, token);
            }
          if (++at == n)
            break;
          node = find_child (set, node, (guint8)text[at]);
        }
    }
  g_array_sort_with_data (present, by_length_then_id, (gpointer)set);
  return present;
}

void
swage_added_set_partition (const SwageAddedSet *set, const char *text, size_t n, bool special,
                           GArray *stretches)
{
  if (n == 0)
    return;
  GArray *now = g_array_new (FALSE, FALSE, sizeof (SwageStretch));
  g_array_append_vals (now, &(SwageStretch){ 0, n, -1 }, 1);
  if (set->tokens->len > 0)
    {
      g_autoptr (GArray) present = tokens_present (set, text, n, special);
      for (guint i = 0; i < present->len; i++)
        {
          const SwageAdded *token = TOKEN (set, g_array_index (present, gint32, i));
          GArray *next = g_array_sized_new (FALSE, FALSE, sizeof (SwageStretch), now->len + 16);
          for (guint k = 0; k < now->len; k++)
            {
              SwageStretch rest = g_array_index (now, SwageStretch, k);
              const char *found;
              while (rest.id < 0 && rest.start < rest.end
                     && (found = memmem (text + rest.start, rest.end - rest.start, token->text, token->n))
                            != NULL)
                {
                  size_t at = (size_t)(found - text);
                  if (at > rest.start)
                    g_array_append_vals (next, &(SwageStretch){ rest.start, at, -1 }, 1);
                  g_array_append_vals (next, &(SwageStretch){ at, at + token->n, token->id }, 1);
                  rest.start = at + token->n;
                  while (token->rstrip && rest.start < rest.end && g_ascii_isspace (text[rest.start]))
                    rest.start++;
                }
              if (rest.id >= 0 || rest.start < rest.end)
                g_array_append_val (next, rest);
            }
          g_array_unref (now);
          now = next;
        }
    }
  g_array_append_vals (stretches, now->data, now->len);
  g_array_unref (now);
}
