#include "interrupt.h"

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <unistd.h>

static atomic_int received;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static vdt_reader *watched; // guarded by lock

static void *wait_for_signals(void *argument) {
    const sigset_t *set = argument;
    for (;;) {
        int signal_number;
        if (sigwait(set, &signal_number) != 0) continue;
        if (atomic_exchange(&received, signal_number) != 0) _exit(128 + signal_number);
        pthread_mutex_lock(&lock);
        if (watched) vdt_reader_cancel(watched);
        pthread_mutex_unlock(&lock);
    }
    return NULL;
}

int interrupt_install(void) {
    static sigset_t set; // the thread reads it as long as the process lives
    pthread_t thread;
    sigemptyset(&set);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGTERM);
    if (pthread_sigmask(SIG_BLOCK, &set, NULL) != 0) return -1;
    if (pthread_create(&thread, NULL, wait_for_signals, &set) != 0) return -1;
    pthread_detach(thread);
    return 0;
}

int interrupt_signal(void) {
    return atomic_load(&received);
}

void interrupt_watch(vdt_reader *reader) {
    pthread_mutex_lock(&lock);
    watched = reader;
    if (watched && interrupt_signal()) vdt_reader_cancel(watched);
    pthread_mutex_unlock(&lock);
}
