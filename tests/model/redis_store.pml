/* The Redis store's protocol: callers of one pool, whose books a server keeps that may lose them.
 *
 * Each script of src/store/redis/scripts is one step, named in capitals (README.md there has the
 * table); the names in small letters are the scripts' functions. A caller may be killed between any
 * two steps, be cut off, or lose the answer to a request that was done.
 *
 * Time is left out but for what follows from it:
 * - A lease ends (LEASE_END) only when its holder is dead or cut off, and who is cut off has counted
 *   it as lost before (CUT), since it counts from before its request and gives up two seconds early.
 * - A grant that nobody confirms ends, at any time; so does the sign of life of a dead waiter.
 * - After a loss of data, `hold` ends when every live holder has renewed: it lasts longer than a third
 *   of a lease. (All are taken to have the same lease.)
 * - A grant that is pushed says when it ends. Whoever reads it in time (not `late`) starts at once and
 *   has sent KEEP before: until then the grant does not end, but when it is cut off.
 * - A waiter looks (TICK) when something could have ended, or after a loss; without either it has
 *   to be woken.
 *
 * NP callers, NS slots. MAXC crashes, MAXL losses, MAXCUT times cut off, MAXR answers lost. WAITERS: a
 * bit for each caller that waits; LEAVERS: that may leave the queue. DISTRUST: who
 * reads a grant in time may ask all the same. STRICT: also who is first after a
 * loss must not be let in beside those whom the server forgot (it is: README.md, what Redis cannot
 * promise).
 * Mutants: MUT_*. */

#ifndef NP
#define NP 3
#endif
#ifndef NS
#define NS 1
#endif
#ifndef MAXC
#define MAXC 1
#endif
#ifndef MAXL
#define MAXL 0
#endif
#ifndef MAXCUT
#define MAXCUT 0
#endif
#ifndef MAXR
#define MAXR 0
#endif
#ifndef WAITERS
#define WAITERS 255
#endif
#ifndef LEAVERS
#define LEAVERS 0
#endif
#ifndef DISTRUST
#define DISTRUST 0
#endif
#define BIT(mask, p) (((mask) >> (p)) & 1)

/* The server: what a loss of data takes away. 0 is "not there" for epoch and slot. */
byte epoch, used, places;
bool hold;
bool H[NP], P[NP], Q[NP];        /* holder, unconfirmed, waiter */
bool g[NP], n[NP];               /* its lists have an element: woken; granted */
byte slot[NP];                   /* from 1 */
byte place[NP];                  /* in the queue, from 1 */
/* The server: what it keeps, or has of its own. */
bool asleep[NP];                 /* a BLPOP is blocked */
byte epochs;
bool ended[NP], gone[NP];        /* the lease, the sign of life: over, but not purged yet */
bool told[NP];                   /* the grant is on its way to who was asleep */
byte n_slot[NP], n_epoch[NP];    /* what it says */
bool late[NP];                   /* it has ended by the server's clock */

/* The callers' own. */
byte known[NP], own_place[NP], own_slot[NP];
byte owed[NP];                   /* grants that it has been told to look after */
bool confirmed[NP], running[NP], cut[NP], dead[NP], done[NP];

/* What the model counts. */
byte nrun, crashes, losses, cuts, lost_answers;
byte beside;                     /* who came after a loss, before anybody who knew of it */
bool overtaken, lost, same_slot;

byte i, j, k;                    /* of the steps, never kept */
byte answer;                     /* of the step before, within the same atomic one */
#define OK 1
#define WAIT 2
#define FULL 3
#define REFUSED 4

inline inv() {
    assert(nrun <= NS + beside);
    assert(!overtaken);
    for (i : 0 .. NP - 1) {
        for (j : 0 .. NP - 1) {
            if
            :: i < j && H[i] && H[j] && slot[i] == slot[j] -> same_slot = 1
            :: else
            fi
        }
    }
    assert(!same_slot);
    i = 0;
    j = 0;
    k = 0
}

inline begin_books() {
    if
    :: epoch == 0 -> epochs++; epoch = epochs
    :: else
    fi
}

/* Whether somebody who knows that it holds a slot is not in the books. */
inline unheard(result) {
    result = 0;
    for (j : 0 .. NP - 1) {
        if
        :: (confirmed[j] || (told[j] && !late[j])) && !dead[j] && !H[j] -> result = 1
        :: else
        fi
    }
}

inline lost_since() {
#ifndef MUT_NO_HOLD
    hold = 1
#else
    skip
#endif
}

inline settle_hold() { /* it is over once all have been heard of */
    unheard(k);
    if
    :: k == 0 -> hold = 0
    :: else
    fi
}

inline allocate(p) { /* the lowest free slot */
    slot[p] = 1;
    do
    :: slot[p] <= NP ->
        k = 0;
        for (j : 0 .. NP - 1) {
            if
            :: j != p && H[j] && slot[j] == slot[p] -> k = 1
            :: else
            fi
        }
        if
        :: k -> slot[p]++
        :: else -> break
        fi
    :: else -> break
    od;
    k = 0
}

inline forget_grant(p) { n[p] = 0; told[p] = 0; late[p] = 0; n_slot[p] = 0; n_epoch[p] = 0 }

inline drop_holder(p) { /* a grant that nobody has read is none any more: who reads asks again */
    if
    :: H[p] ->
        if
        :: P[p] && n[p] ->
#ifndef MUT_OLD_GRANT
            forget_grant(p);
            g[p] = 1
#else
            skip
#endif
        :: else
        fi;
        H[p] = 0; P[p] = 0; slot[p] = 0; used--; ended[p] = 0
    :: else
    fi
}

inline drop_waiter(p) { Q[p] = 0; gone[p] = 0; place[p] = 0 }

inline purge() {
    for (i : 0 .. NP - 1) {
        if
        :: ended[i] -> drop_holder(i)
        :: else
        fi;
        if
        :: gone[i] -> drop_waiter(i)
        :: else
        fi
    }
}

inline wake(p) { /* RPUSH of the grant; whoever sleeps on it has it at once */
#ifndef MUT_NO_WAKE
    late[p] = 0;
    n_slot[p] = slot[p];
    n_epoch[p] = epoch;
    if
    :: asleep[p] && dead[p] -> asleep[p] = 0; forget_grant(p)
    :: asleep[p] && !dead[p] -> asleep[p] = 0; told[p] = 1
    :: else -> n[p] = 1
    fi
#else
    skip
#endif
}

inline head(p) { /* NP: there is none */
    p = NP;
    for (j : 0 .. NP - 1) {
        if
        :: Q[j] && (p == NP || place[j] < place[p]) -> p = j
        :: else
        fi
    }
}

inline admit(p) {
    H[p] = 1;
    used++;
    allocate(p)
}

inline pump() {
    do
    :: used < NS && !hold ->
        head(i);
        if
        :: i < NP ->
            drop_waiter(i);
            P[i] = 1;
            admit(i);
            begin_books();
            wake(i)
        :: else -> break
        fi
    :: else -> break
    od;
    i = 0
}

inline pending(p) { /* all that have not confirmed, but for p */
    owed[p] = 0;
    for (i : 0 .. NP - 1) {
        if
        :: P[i] && i != p -> owed[p] = owed[p] | (1 << i)
        :: else
        fi
    }
    i = 0
}

/* Whether a live caller stands in the queue before p. */
inline judge_order(p) {
    for (j : 0 .. NP - 1) {
        if
        :: j != p && Q[j] && !dead[j] && (place[p] == 0 || place[j] < place[p]) -> overtaken = 1
        :: else
        fi
    }
}

inline confirm(p) {
    forget_grant(p);
    P[p] = 0;
    ended[p] = 0;
    begin_books();
    known[p] = epoch;
    own_slot[p] = slot[p];
    answer = OK
}

inline queue_up(p) {
    begin_books();
    Q[p] = 1;
    place[p] = own_place[p];
    known[p] = epoch;
    answer = WAIT
}

/* take.lua, and what the client remembers of its answer. */
inline TAKE(p) {
    d_step {
        if
        :: known[p] != 0 && epoch != known[p] -> begin_books(); lost_since()
        :: else
        fi;
        if
        :: hold -> settle_hold()
        :: else
        fi;
        purge();
        if
        :: H[p] -> confirm(p)
        :: !H[p] && Q[p] ->
            pump();
            if
            :: H[p] -> confirm(p)
            :: else -> known[p] = epoch; answer = WAIT
            fi
        :: else ->
            if
            :: own_place[p] == 0 -> places++; own_place[p] = places
            :: else
            fi;
            place[p] = own_place[p];
            head(i);
#ifndef MUT_BARGE
            if
            :: !(used < NS && !hold && (i == NP || place[p] < place[i])) -> pump(); head(i)
            :: else
            fi;
#endif
            if
#ifdef MUT_BARGE
            :: used < NS && !hold ->
#else
            :: used < NS && !hold && (i == NP || place[p] < place[i]) ->
#endif
                judge_order(p);
                place[p] = 0;
#ifndef STRICT
                unheard(k);
                if
                :: known[p] == 0 && k -> beside++
                :: else
                fi;
#endif
                admit(p);
                confirm(p);
                pump()
            :: else ->
                place[p] = 0;
                if
                :: BIT(WAITERS, p) -> queue_up(p)
                :: else -> answer = FULL
                fi
            fi
        fi;
        i = 0;
        pending(p);
        inv()
    }
}

/* keep.lua */
inline KEEP(p) {
    d_step {
        g[p] = 0;
        if
        :: H[p] -> P[p] = 0; ended[p] = 0; known[p] = epoch; answer = OK
        :: else ->
            k = 0; /* whether there is room: its own slot, and one more */
            for (j : 0 .. NP - 1) {
                if
                :: H[j] && slot[j] == own_slot[p] -> k = 1
                :: else
                fi
            }
            if
            :: epoch != known[p] ->
                begin_books();
                lost_since();
                H[p] = 1;
                used++;
                drop_waiter(p);
                if
                :: k == 0 -> slot[p] = own_slot[p]
                :: else -> allocate(p)
                fi;
                own_slot[p] = slot[p];
                known[p] = epoch;
                answer = OK
            :: else ->
                if
#ifdef MUT_KEEP_BLIND
                :: true ->
#else
                :: k == 0 && used < NS ->
#endif
                    H[p] = 1;
                    used++;
                    slot[p] = own_slot[p];
                    answer = OK
#ifndef MUT_KEEP_BLIND
                :: else -> answer = REFUSED
#endif
                fi
            fi
        fi;
        k = 0;
        if
        :: answer == OK && !running[p] -> running[p] = 1; nrun++ /* it was cut off, and goes on */
        :: else
        fi;
        cut[p] = 0;
        inv()
    }
}

/* free.lua */
inline FREE(p) {
    d_step {
        g[p] = 0;
        forget_grant(p);
        if
#ifdef MUT_BLIND_FREE
        :: !H[p] && used > 0 -> /* whoever has the slot that was its own */
            for (i : 0 .. NP - 1) {
                if
                :: H[i] && slot[i] == own_slot[p] -> drop_holder(i)
                :: else
                fi
            }
#endif
        :: H[p] -> drop_holder(p)
        :: else -> drop_waiter(p)
        fi;
        if
        :: hold -> settle_hold()
        :: else
        fi;
        purge();
        pump();
        pending(p);
        inv()
    }
}

/* settle.lua: nobody was asleep on the list of a grant, so it is still there. */
inline SETTLE(p) {
    d_step {
        for (i : 0 .. NP - 1) {
            if
            :: BIT(owed[p], i) && (g[i] || n[i]) ->
                if
                :: P[i] -> drop_holder(i)
                :: else -> drop_waiter(i)
                fi;
#ifdef MUT_SETTLE_TAKES_LIST
                g[i] = 0;
#endif
            :: else
            fi
        }
        purge();
        pump();
        pending(p);
        inv()
    }
}

inline look_after(p) {
    do
    :: owed[p] != 0 -> SETTLE(p);
        if
        :: owed[p] != 0 -> /* those that are left have been picked up */
            d_step {
                k = 0;
                for (i : 0 .. NP - 1) {
                    if
                    :: BIT(owed[p], i) && P[i] && (g[i] || n[i]) -> k = 1
                    :: else
                    fi
                }
                i = 0;
                if
                :: k == 0 -> owed[p] = 0
                :: else
                fi;
                k = 0
            }
        :: else
        fi
    :: else -> break
    od
}

/* Whether a look of its own could show a waiter something that nobody has told. */
#define OVER(p) (ended[p] || gone[p])
#define TICK (OVER(0) || OVER(1) || OVER(NP - 1) || (NP > 3 && OVER(2)) || losses > 0)

#ifdef MUT_LATE_GRANT
#define IN_TIME(p) true
#else
#define IN_TIME(p) (!late[p])
#endif

proctype Caller(byte p) {
    {
        skip;
take:   atomic {
            TAKE(p);
            if
            :: lost_answers < MAXR && !cut[p] -> lost_answers++; answer = 0; goto take
            :: answer == OK -> confirmed[p] = 1; answer = 0
            :: answer == WAIT -> confirmed[p] = 0; answer = 0
            :: answer == FULL -> answer = 0; goto leave
            fi
        };
        if
        :: confirmed[p] -> goto holds
        :: else
        fi;
        look_after(p);
        /* BLPOP */
        if
        :: d_step { g[p] -> g[p] = 0 }; goto take
        :: d_step { !g[p] && n[p] -> n[p] = 0; told[p] = 1 }; goto granted
        :: d_step { !g[p] && !n[p] -> asleep[p] = 1 }
        fi;
        if
        :: !asleep[p] -> goto granted
        :: atomic { TICK -> asleep[p] = 0 }; goto take
        :: atomic { BIT(LEAVERS, p) -> asleep[p] = 0 }; FREE(p); goto leave
        fi;

granted:
        if
        :: atomic { told[p] && IN_TIME(p) -> /* and what the next atomic step of `holds` does: KEEP is sent before */
            known[p] = n_epoch[p];
            own_slot[p] = n_slot[p];
            forget_grant(p);
            confirmed[p] = 1;
            running[p] = 1;
            nrun++;
            inv() };
            goto runs
        :: d_step { late[p] || !told[p] || DISTRUST -> forget_grant(p) }; goto take
        fi;

holds:  atomic { running[p] = 1; nrun++; inv() };
        look_after(p);
runs:   do
        :: atomic { running[p] && !cut[p] && P[p] -> KEEP(p); answer = 0 }
        :: atomic { running[p] && !H[p] && losses > 0 -> KEEP(p); answer = 0 }
        :: d_step { cuts < MAXCUT && running[p] && losses == 0 -> /* CUT: --on-lost ends COMMAND */
            cuts++; cut[p] = 1;
#ifndef MUT_LATE_LOST
            running[p] = 0; nrun--
#endif
           }
        :: atomic { cut[p] ->
            KEEP(p);
            if
            :: answer == REFUSED ->
                answer = 0;
                confirmed[p] = 0;
                if
                :: running[p] -> running[p] = 0; nrun--
                :: else
                fi;
                break
            :: else -> answer = 0
            fi }
        :: atomic { running[p] && !cut[p] -> running[p] = 0; nrun--; confirmed[p] = 0 }; break
        od;
        FREE(p);

leave:  look_after(p);
        done[p] = 1
    } unless { dead[p] }
}

/* Everything that nobody does on purpose. */
inline crash(p) {
    d_step { crashes < MAXC && !dead[p] && !done[p] ->
        crashes++;
        dead[p] = 1;
        if
        :: told[p] -> forget_grant(p)
        :: else
        fi;
        known[p] = 0; own_place[p] = 0; own_slot[p] = 0; owed[p] = 0;
        if
        :: running[p] -> running[p] = 0; nrun--
        :: else
        fi }
}

/* A lease or a sign of life that nobody renews. */
#ifdef MUT_LEASE_STAYS
#define UNHEARD(p) false
#else
#define UNHEARD(p) (H[p] && !ended[p] && (dead[p] || cut[p] || (P[p] && !running[p])))
#endif
#define NOT_ALIVE(p) (Q[p] && !gone[p] && dead[p])
#define CLOSED(p) (asleep[p] && dead[p])
#define OVERDUE(p) (UNHEARD(p) || NOT_ALIVE(p) || CLOSED(p))
#define STAYS(p) (done[p] || dead[p])

inline fate(p) {
    if
    :: crash(p)
    :: d_step { UNHEARD(p) ->                      /* LEASE_END */
        ended[p] = 1;
        if
        :: told[p] || n[p] -> late[p] = 1
        :: else
        fi }
    :: d_step { NOT_ALIVE(p) -> gone[p] = 1 }
    :: d_step { CLOSED(p) -> asleep[p] = 0 }       /* the server sees the end of the connection */
    fi
}

active proctype Fate() {
    atomic {
        run Caller(0);
        run Caller(1);
#if NP > 2
        run Caller(2);
#endif
#if NP > 3
        run Caller(3);
#endif
    }
end:
    do
    :: fate(0)
    :: fate(1)
#if NP > 2
    :: fate(2)
#endif
#if NP > 3
    :: fate(3)
#endif
    :: d_step { losses < MAXL ->                   /* LOSS: restarted without data, or FLUSHALL */
        losses++;
        epoch = 0; used = 0; hold = 0;
        for (i : 0 .. NP - 1) {
            H[i] = 0; P[i] = 0; Q[i] = 0; g[i] = 0; n[i] = 0;
            slot[i] = 0; place[i] = 0; ended[i] = 0; gone[i] = 0
        };
        i = 0 }
    :: STAYS(0) && STAYS(1) && STAYS(NP - 1) && (NP < 4 || STAYS(2)) &&
       !OVERDUE(0) && !OVERDUE(1) && !OVERDUE(NP - 1) && (NP < 4 || !OVERDUE(2)) ->
        d_step {
            purge();
            i = 0;
            for (j : 0 .. NP - 1) {
                if
                :: H[j] || Q[j] -> lost = 1
                :: else
                fi
            };
            j = 0;
            assert(!lost && used == 0)
        };
        break
    od
}
