// What somebody who mistyped a name may have meant.
#ifndef VIDETTE_TOOLS_NEAREST_H
#define VIDETTE_TOOLS_NEAREST_H

// The one of `names` (NULL at the end) most like `word`, or NULL where none is near.
const char *nearest_name(const char *word, const char *const *names);

#endif
