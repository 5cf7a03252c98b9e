/*
 * The shootdown of docs/SHOOTDOWN.md: the vCPUs of one guest, a page, and calls that change its
 * protection. A step is what others can see at once: one access to shared memory, together with
 * what only this CPU sees and with the lock's release after or acquisition before it. NMIs come
 * between any two steps.
 *
 * CPUs 0 and 1 have a vCPU each, which make calls at the same time; CPU 2 has two vCPUs in turn.
 * All of them write to the page. Everything is bounded, so every run ends, and one that ends with a
 * call or a vCPU half-way is an invalid end state.
 *
 *   CALLS=n    calls that the vCPUs make together       FAULTS=n   writes that fault
 *   TURNS=n    how often CPU 2 takes the other vCPU     STOP       a call may be EXIT
 *   NO_PROTN   no call is PROTN                         OUTSIDE    another guest takes the page away
 *   MISTAKE_x  one step is left out, misordered or wrong; the verifier must find out
 */
#ifndef CALLS
#define CALLS 2
#endif
#ifndef FAULTS
#define FAULTS 0
#endif
#ifndef TURNS
#define TURNS 0
#endif

#define CPUS   3
#define VCPUS  4
#define NOBODY VCPUS

#define cpu_of(vcpu) ((vcpu) == 3 -> 2 : (vcpu))

/* The guest: under its lock, but the table entry and flush_gen, which others read at any time. */
bool lock;
bool writable = 1; /* the EPT entry */
bool dirty;
bool owed; /* the entry was restricted, and no shootdown has followed */
byte flush_gen = 1;
bool stopping;

/* vCPUs; those of CPUs 0 and 1 run already. */
bool loaded[VCPUS];
bool buffered[VCPUS]; /* a store of loaded = 1 is in the CPU's store buffer */
bool waiting[VCPUS];
byte seen[VCPUS];

/* CPUs. A TLB may have the page as one to write to, without setting a dirty flag. */
bool tlb[CPUS];
byte current[CPUS];
bool in_guest[CPUS];
bool pending[CPUS]; /* an NMI is latched: a second one is lost in it */
bool blocked[CPUS]; /* NMIs are blocked */
bool in_nmi[CPUS];  /* the NMI handler has interrupted root mode */

/* What the properties speak of, and the bounds. */
bool forbidden; /* a PROT has come to its end, and no UNPROT has begun since */
bool reporting; /* a DIRTY is going on that reports the page */
bool freed;     /* the guest's memory and tables */
byte running = CPUS;
byte calls = CALLS;
byte faults = FAULTS;
byte turns = TURNS;

/* A step of root mode, which stands still while the NMI handler has interrupted it. */
#define STEP(x)               d_step { !in_nmi[c] -> x }
#define STEP_IF(condition, x) d_step { !in_nmi[c] && (condition) -> x }

/* Take the guest's lock. Who has to wait says so, and flushes for itself when it has the lock. */
#define TAKE_LOCK(x) \
    if \
    :: STEP_IF(!lock, lock = 1; x) \
    :: STEP_IF(lock, waiting[v] = 1); \
        STEP_IF(!lock, lock = 1; CATCH_UP_LOCKED; waiting[v] = 0; x) \
    fi
#define CATCH_UP_LOCKED tlb[c] = tlb[c] && seen[v] == flush_gen; seen[v] = flush_gen

/* The other vCPUs, one after the other. */
#define TARGET    ((v + 1 + u) % VCPUS)
#define NEEDS_NMI (loaded[TARGET] && !waiting[TARGET] && seen[TARGET] < g)

inline send_nmis()
{
    do
    :: STEP_IF(u < VCPUS - 1 && NEEDS_NMI, pending[cpu_of(TARGET)] = 1; sent[u] = 1; u++)
    :: STEP_IF(u < VCPUS - 1 && !NEEDS_NMI, u++)
    :: u == VCPUS - 1 -> break
    od;
    u = 0
}

#ifdef MISTAKE_WAIT_FOR_WAITING
#define ACKNOWLEDGED (seen[TARGET] >= g || !loaded[TARGET])
#else
#define ACKNOWLEDGED (!sent[u] || !NEEDS_NMI)
#endif

inline await_acks()
{
    do
    :: STEP_IF(u < VCPUS - 1 && ACKNOWLEDGED, sent[u] = 0; u++)
    :: u == VCPUS - 1 -> break
    od;
    u = 0
}

/* Make what the tables have allowed unusable on every CPU. The lock is held. */
#define FLUSH_OWN tlb[c] = 0; seen[v] = g

inline shoot_down()
{
    if
    :: STEP_IF(!owed, skip)
#if defined(MISTAKE_TARGETS_FIRST)
    :: STEP_IF(owed, g = flush_gen + 1) ->
        send_nmis();
        STEP(flush_gen++; FLUSH_OWN);
#elif defined(MISTAKE_BUMP_FIRST)
    :: STEP_IF(owed, g = flush_gen; FLUSH_OWN) ->
        send_nmis();
#else
    :: STEP_IF(owed, flush_gen++; g = flush_gen; FLUSH_OWN) ->
        send_nmis();
#endif
        await_acks();
        g = 0
    fi
}

#define WITHDRAW owed = owed || writable; writable = 0

inline call_prot()
{
#ifdef MISTAKE_BUMP_FIRST
    TAKE_LOCK(flush_gen++);
    STEP(WITHDRAW);
#else
    TAKE_LOCK(WITHDRAW);
#endif
    shoot_down();
    STEP(owed = 0; forbidden = 1; lock = 0)
}

/* PROTN in two slices: the lock is free in between. */
inline call_protn()
{
    TAKE_LOCK(WITHDRAW);
    STEP(lock = 0);
    TAKE_LOCK(skip);
    shoot_down();
    STEP(owed = 0; forbidden = !writable; lock = 0)
}

inline call_unprot()
{
    TAKE_LOCK(forbidden = 0; writable = 1);
    STEP(lock = 0)
}

inline call_dirty()
{
    TAKE_LOCK(reporting = dirty; owed = owed || dirty; dirty = 0);
#ifndef MISTAKE_DIRTY_NO_FLUSH
    shoot_down();
#endif
    STEP(owed = 0; reporting = 0; lock = 0)
}

/* EXIT: every vCPU goes no further than its next exit, for which it is interrupted. */
inline call_exit()
{
    STEP(stopping = 1);
    do
    :: STEP_IF(u < VCPUS - 1 && loaded[TARGET], pending[cpu_of(TARGET)] = 1; u++)
    :: STEP_IF(u < VCPUS - 1 && !loaded[TARGET], u++)
    :: u == VCPUS - 1 -> break
    od;
    u = 0
}

/*
 * Flush if a shootdown has passed this vCPU by. One that comes meanwhile has been acknowledged by
 * the NMI handler with a higher number than the one that is stored here: so look again.
 */
inline catch_up()
{
    STEP(g = flush_gen);
    do
    :: STEP_IF(seen[v] == g, g = 0) -> break
    :: STEP_IF(seen[v] != g, tlb[c] = 0; seen[v] = g);
#ifdef MISTAKE_LOOK_ONCE
        break
#endif
        STEP(g = flush_gen)
    od;
    skip
}

/* The same for the current vCPU in an NMI handler, which nothing interrupts and which began by
 * reading flush_gen into g; at its end NMIs are no longer blocked. */
inline catch_up_by_nmi(g)
{
    do
    :: d_step { tlb[c] = tlb[c] && seen[current[c]] == g; seen[current[c]] = g };
        if
        :: d_step { flush_gen == g -> g = 0; blocked[c] = 0; in_nmi[c] = 0 } -> break
        :: d_step { flush_gen != g -> g = flush_gen }
        fi
    od;
    skip
}

/* The vCPU runs again, or for the first time. */
inline load()
{
#if defined(MISTAKE_COMPARE_FIRST)
    catch_up();
    STEP(loaded[v] = 1)
#elif defined(MISTAKE_NO_FENCE)
    STEP(buffered[v] = 1);
    catch_up()
#else
    STEP(buffered[v] = 1);
    STEP_IF(!buffered[v], skip); /* a locked store: it is visible before anything else is read */
    catch_up()
#endif
}

proctype cpu(byte c)
{
    byte v = c, g, u;
    bool sent[VCPUS];

enter:
    if
    :: STEP_IF(stopping, skip) -> goto leave
    :: STEP_IF(!stopping, in_guest[c] = 1)
    fi;
end_guest:
    if
    :: d_step { pending[c] && !blocked[c] ->
            pending[c] = 0; blocked[c] = 1; in_guest[c] = 0; g = flush_gen };
        catch_up_by_nmi(g);
        goto enter
    :: d_step { stopping && !pending[c] -> in_guest[c] = 0 }; /* the slice is over */
        goto enter
    /* A write through the TLB: only the wrong ones are steps. */
    :: tlb[c] && (forbidden || freed || !dirty && !reporting) -> assert(false)
    /* A write that walks the tables first. */
    :: d_step { !tlb[c] && writable -> dirty = 1; tlb[c] = 1 };
        goto end_guest
    /* A write that faults: the entry is looked at under the lock. */
    :: d_step { !tlb[c] && !writable && faults > 0 -> faults--; in_guest[c] = 0 };
        TAKE_LOCK(skip);
        STEP(lock = 0);
        goto enter
    :: d_step { c != 2 && calls > 0 -> calls--; in_guest[c] = 0 };
        if
        :: call_prot()
#ifndef NO_PROTN
        :: call_protn()
#endif
        :: call_unprot()
        :: call_dirty()
#ifdef STOP
        :: call_exit()
#endif
        fi;
        goto enter
    /* CPU 2 takes its other vCPU, or this one sleeps for a while. */
    :: d_step { c == 2 && turns > 0 -> turns--; in_guest[c] = 0 };
        STEP_IF(!buffered[v], loaded[v] = 0);
        if
        :: STEP(v = 5 - v; current[c] = v)
        :: skip
        fi;
        load();
        goto enter
    fi;
leave:
    skip;
    STEP_IF(!buffered[v], loaded[v] = 0);
    STEP(current[c] = NOBODY);
    STEP(running--; freed = (running == 0))
}

/* NMIs that come in root mode. */
proctype nmi(byte c)
{
    byte g;

end:
    do
    :: d_step { pending[c] && !blocked[c] && !in_guest[c] && current[c] == NOBODY ->
            pending[c] = 0 }
    :: d_step { pending[c] && !blocked[c] && !in_guest[c] && current[c] != NOBODY ->
            assert(!freed); pending[c] = 0; blocked[c] = 1; in_nmi[c] = 1; g = flush_gen };
#ifdef MISTAKE_ROOT_NMI_IGNORED
        d_step { g = 0; blocked[c] = 0; in_nmi[c] = 0 }
#else
        catch_up_by_nmi(g)
#endif
    od
}

/* A CPU of another guest takes the page away, which is none of its own vCPUs' business. */
proctype outside()
{
    byte u, g;
    bool sent[VCPUS];

    d_step { !lock -> lock = 1; WITHDRAW };
    d_step { flush_gen++; g = flush_gen };
    do
    :: d_step { u < VCPUS && loaded[u] && !waiting[u] && seen[u] < g ->
            pending[cpu_of(u)] = 1; sent[u] = 1; u++ }
    :: d_step { u < VCPUS && !(loaded[u] && !waiting[u] && seen[u] < g) -> u++ }
    :: u == VCPUS -> break
    od;
    u = 0;
    do
    :: d_step { u < VCPUS && (!sent[u] || !(loaded[u] && !waiting[u] && seen[u] < g)) ->
            sent[u] = 0; u++ }
    :: u == VCPUS -> break
    od;
    u = 0;
    d_step { owed = 0; forbidden = 1; lock = 0 }
}

/* Store buffers empty themselves at some time. */
proctype memory()
{
end:
    do
    :: d_step { buffered[0] -> buffered[0] = 0; loaded[0] = 1 }
    :: d_step { buffered[1] -> buffered[1] = 0; loaded[1] = 1 }
    :: d_step { buffered[2] -> buffered[2] = 0; loaded[2] = 1 }
    :: d_step { buffered[3] -> buffered[3] = 0; loaded[3] = 1 }
    od
}

init {
    atomic {
        current[1] = 1; current[2] = 2;
        loaded[0] = 1; loaded[1] = 1; loaded[2] = 1;
        seen[0] = flush_gen; seen[1] = flush_gen; seen[2] = flush_gen; seen[3] = flush_gen;
        run cpu(0);
        run cpu(1);
        run cpu(2);
        run nmi(0);
        run nmi(1);
        run nmi(2);
#ifdef OUTSIDE
        run outside();
#endif
        run memory()
    }
}
