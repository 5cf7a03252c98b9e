/*
 * The protocol of guest/workloads/svm/protocol.c: nodes, one page, and faults. A step is what a node
 * does about one message or one fault; messages of a node to another keep their order, others come
 * in any. Everything is bounded, so every run ends, and one that ends with a fault or a message that
 * nobody sees to is an invalid end state.
 *
 *   NODES=n    that there are                 FAULTS=n  that they meet together
 *   MISTAKE_x  one step is left out or wrong; the verifier must find out
 */
#ifndef NODES
#define NODES 3
#endif
#ifndef FAULTS
#define FAULTS 4
#endif

#define NONE       0
#define READABLE   1
#define WRITABLE   2
#define NO_VERSION 255
#define QUEUE      4 /* messages on their way from one node to another; more than can be */

mtype = { READ, WRITE, COPY, OWNERSHIP, INVALIDATE, INVALIDATED };

/* kind; who asks; version; copies, or the version that who asks has; contents */
chan channels[NODES * NODES] = [QUEUE] of { mtype, byte, byte, byte, byte };
chan deferred[NODES] = [NODES] of { mtype, byte, byte, byte, byte };
#define way(from, to) channels[(from) * NODES + (to)]

byte access[NODES];
bool owner[NODES];
byte hint[NODES];
byte copies[NODES];
byte version[NODES];
byte killed[NODES];
byte contents[NODES];
byte pending[NODES]; /* NONE, or what the fault wants */
byte acknowledgements[NODES];
bool fresh[NODES];

byte latest;          /* what was written last */
byte faults = FAULTS; /* that are still to be met */
byte busy;            /* nodes with a fault or a fresh page */
byte flying;          /* messages on their way or deferred */

inline send(to, k, a, b, c, d)
{
    assert(to != self);
    assert(nfull(way(self, to)));
    way(self, to) ! k, a, b, c, d;
    flying++;
}

inline finish(rights)
{
    access[self] = rights;
    pending[self] = NONE;
    fresh[self] = true;
}

inline begin_writing()
{
    version[self]++;
    acknowledgements[self] = 0;
    i = 0;
    do
    :: i < NODES ->
        if
        :: copies[self] & (1 << i) ->
            acknowledgements[self]++;
            send(i, INVALIDATE, self, version[self], 0, 0)
        :: else
        fi;
        i++
    :: else -> break
    od;
    i = 0;
    copies[self] = 0;
#ifdef MISTAKE_NO_WAIT
    acknowledgements[self] = 0;
#endif
    if
    :: acknowledgements[self] == 0 -> finish(WRITABLE)
    :: else
    fi
}

inline ask()
{
    held = (access[self] == NONE -> NO_VERSION : version[self]);
    if
    :: pending[self] == WRITABLE -> send(hint[self], WRITE, self, 0, held, 0)
    :: else -> send(hint[self], READ, self, 0, held, 0)
    fi;
    held = 0
}

inline forward()
{
    assert(hint[self] != who); /* a request does not come back */
    send(hint[self], kind, who, number, more, 0)
}

inline handle()
{
    if
    :: kind == READ && owner[self] ->
        if
        :: access[self] == WRITABLE -> access[self] = READABLE
        :: else
        fi;
        copies[self] = copies[self] | (1 << who);
        send(who, COPY, self, version[self], 0, contents[self])
    :: kind == READ && !owner[self] -> forward()
    :: kind == WRITE && owner[self] ->
        access[self] = NONE;
        owner[self] = false;
        send(who, OWNERSHIP, self, version[self], copies[self] & ~(1 << who),
             (more == version[self] -> NO_VERSION : contents[self]));
        hint[self] = who
    :: kind == WRITE && !owner[self] ->
        forward();
        hint[self] = who
    :: kind == COPY ->
        assert(pending[self] == READABLE);
        if
#ifndef MISTAKE_STALE
        :: number < killed[self] -> ask()
#endif
        :: else ->
            contents[self] = data;
            version[self] = number;
            hint[self] = who;
            finish(READABLE)
        fi
    :: kind == OWNERSHIP ->
        assert(pending[self] == WRITABLE);
        if
        :: data != NO_VERSION -> contents[self] = data
        :: else
        fi;
        version[self] = number;
        owner[self] = true;
        copies[self] = more;
        begin_writing()
    :: kind == INVALIDATE ->
        killed[self] = number;
        hint[self] = who;
#ifndef MISTAKE_DEAF
        access[self] = NONE;
#endif
        send(who, INVALIDATED, self, 0, 0, 0)
    :: kind == INVALIDATED ->
#ifdef MISTAKE_NO_WAIT
        skip
#else
        assert(pending[self] == WRITABLE && acknowledgements[self] > 0);
        acknowledgements[self]--;
        if
        :: acknowledgements[self] == 0 -> finish(WRITABLE)
        :: else
        fi
#endif
    fi
}

#ifdef MISTAKE_NO_DEFER
#define about_to_own false
#else
#define about_to_own (pending[self] == WRITABLE)
#endif
#ifdef MISTAKE_HOLD
#define keeps_copy (fresh[self] || pending[self] == WRITABLE)
#else
#define keeps_copy fresh[self]
#endif
#define must_wait(k)                                                                               \
    ((k == INVALIDATE && keeps_copy) ||                                                            \
     ((k == READ || k == WRITE) && (about_to_own || (owner[self] && fresh[self]))))

inline forget()
{
    who = 0;
    number = 0;
    more = 0;
    data = 0;
    kind = 0
}

/* Whoever may read the page finds in it what was written last. */
inline look()
{
    i = 0;
    do
    :: i < NODES ->
        assert(access[i] == NONE || contents[i] == latest);
        i++
    :: else -> break
    od;
    i = 0
}

#define RECEIVE(from)                                                                              \
    atomic {                                                                                       \
        from != self && nempty(way(from, self)) ->                                                 \
        way(from, self) ? kind, who, number, more, data;                                           \
        if                                                                                         \
        :: must_wait(kind) -> deferred[self] ! kind, who, number, more, data                       \
        :: else ->                                                                                 \
            flying--;                                                                              \
            handle()                                                                               \
        fi;                                                                                        \
        forget();                                                                                  \
        look()                                                                                     \
    }

active [NODES] proctype node()
{
    byte self = _pid, who, number, more, data, held, i;
    mtype kind;

    atomic {
        owner[self] = self == 0;
        access[self] = (self == 0 -> WRITABLE : NONE)
    }
    do
    :: atomic {
        faults > 0 && access[self] != WRITABLE && pending[self] == NONE && !fresh[self] &&
            empty(deferred[self]) ->
        faults--;
        busy++;
        if
        :: access[self] == NONE -> pending[self] = READABLE
        :: pending[self] = WRITABLE
        fi;
        if
        :: owner[self] -> begin_writing()
        :: else -> ask()
        fi;
        look()
    }
    :: atomic { /* the instruction that wanted the page */
        fresh[self] ->
        assert(contents[self] == latest);
        if
        :: access[self] == WRITABLE ->
            latest++;
            contents[self] = latest
        :: else
        fi;
        fresh[self] = false;
        busy--;
        look()
    }
    :: atomic {
        nempty(deferred[self]) && !keeps_copy && pending[self] != WRITABLE ->
        deferred[self] ? kind, who, number, more, data;
        flying--;
        handle();
        forget();
        look()
    }
    :: RECEIVE(0)
    :: RECEIVE(1)
#if NODES > 2
    :: RECEIVE(2)
#endif
#if NODES > 3
    :: RECEIVE(3)
#endif
    :: atomic { faults == 0 && busy == 0 && flying == 0 -> break }
    od
}
