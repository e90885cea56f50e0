// SIGINT and SIGTERM as a request to stop: the run is cancelled, results so far are kept whole, and
// the exit status says which signal it was. A second signal ends the process at once.
#ifndef VIDETTE_TOOLS_INTERRUPT_H
#define VIDETTE_TOOLS_INTERRUPT_H

#include <vidette/vidette.h>

// Before any other thread is started. Returns 0, or -1 where no thread can be made.
int interrupt_install(void);

// The signal that asked to stop, 0 while there is none.
int interrupt_signal(void);

// The reader that a signal cancels; NULL: none. Set before it is closed.
void interrupt_watch(vdt_reader *reader);

#endif
