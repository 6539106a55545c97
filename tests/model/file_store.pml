/* The file store's protocol, src/store/file/PROTOCOL.md, for SPIN.
 *
 * Step names (A1, C6, D3, ...) are those of PROTOCOL.md. One process here is one ticket: a caller
 * that arrives twice is two processes. `check` beside this file runs it.
 *
 * The kernel
 * - M: flock(2), granted to any of those who ask, in any order.
 * - W, L, H: OFD write locks, one byte to a ticket. A ticket locks each once, so the bytes only
 *   ever go from locked to free, and a blocking request ends when the owner's lock has gone.
 *   The read lock with which a waiter blocks is taken and given back in one step: a probe asks
 *   for a read lock too (F_OFD_GETLK with F_RDLCK), so it never mistakes it for an owner.
 * - H belongs to the hold description, which the command inherits. It ends with the explicit
 *   unlock, or with the last of cachify and its command; with --no-inherit when cachify ends.
 * - bell: FUTEX_WAIT compares the value and goes to sleep in one step. FUTEX_WAKE wakes all of
 *   the sleepers. A death with the robust list's pending entry armed wakes one, any one,
 *   leaves the value as it is, and only when the value has no TID bits (0 and RUNG have none).
 * - SIGKILL: the kernel's ring comes at once (it stands for the instant of the death, a victim
 *   that was killed but has not rung yet only looks slow); the locks of the control description
 *   and those of the hold description end in later steps of their own, in either order.
 * - inotify: an event comes with every write to the table and with every death, always BEFORE the
 *   locks end. That is the worst order there is; a later event only wakes sooner.
 *
 * Left out
 * - Time. "Expired" is an event that may come at any time while a slot is held; a time-out may
 *   come whenever its waiter sleeps, and also just after it was woken. The re-checks after a
 *   ring are one re-check, after the locks of the dead have ended. The one-second tick comes
 *   only when nothing else in the system can happen at all (TICK=1, SPIN's `timeout`), so that
 *   an assertion can say what it was needed for; at any time (TICK=2); or never (TICK=0).
 * - Checksums, damage, a table over one page, shards (all locks are visible to whoever has the
 *   file open), file systems without working locks, SIGSTOP with M held.
 * - Probes and drops of dead entries inside one CHECK are one step: locks only go from locked to
 *   free, and a CHECK cut short leaves only entries that are dead, which crashes inside ADMIT and
 *   RELEASE leave as well.
 * - Closing: a flag that nobody but A1 reads. The numbers of processes: a poke goes to the ticket's
 *   own process, or to nobody.
 * - Between TERM and KILL: the command ends.
 *
 * Arrival: tickets are drawn in the order of the processes' numbers. For callers of the same kind
 * that is no loss; where kinds differ, run each arrangement, or -DANY_ORDER.
 *
 * MUT_x are mutants of the protocol, LIT_x wordings of it that turned out to lose a wake-up, VAR_x
 * orders that make no difference; `check` says what is expected of each.
 *
 * Shown (assertions, SPIN's invalid end states, and with -DNP that the state graph has no cycle,
 * so that every run ends)
 *  1 exclusion: whoever is admitted makes no more than its own N together with all that really
 *    run unexpired (G, kept apart from the table), slots are unique and below N;
 *  2 nothing is lost: everybody ends, also who was dismissed, replaced, or told to end; a tick is
 *    needed in the named windows only, and after a tick nobody sleeps on;
 *  3 order: no live waiter of higher priority, or of the same and an earlier ticket, is overtaken;
 *  4 an unexpired holder's entry stays in the table until its own release.
 */

/* Configuration: masks have one bit for each process, CAPS, PRIOS and WEIGHTS one decimal
 * digit, process 0 on the right. */
#ifndef NP
#define NP 3            /* callers, 5 at most */
#endif
#ifndef MAXC
#define MAXC 1          /* crashes */
#endif
#ifndef CAPS
#define CAPS 11111
#endif
#ifndef PRIOS
#define PRIOS 0
#endif
#ifndef WEIGHTS
#define WEIGHTS 11111
#endif
#ifndef WAITERS
#define WAITERS 31      /* --wait */
#endif
#ifndef LEAVERS
#define LEAVERS 0       /* ... with a time-out */
#endif
#ifndef EXPIRING
#define EXPIRING 0      /* --slot-exp */
#endif
#ifndef NOINHERIT
#define NOINHERIT 0     /* --no-inherit */
#endif
#ifndef READERS
#define READERS 0       /* -s; with LOCKS */
#endif
#ifndef LONG
#define LONG 0          /* the command never ends by itself */
#endif
#ifndef DELETERS
#define DELETERS 0      /* run DELETE, nothing else */
#endif
#ifndef STEER
#define STEER 0         /* run STEER once, nothing else; whenever they like */
#endif
#ifndef DEED
#define DEED 0          /* ... and do this */
#endif
#define RESIZE 1        /* to NEWCAP; 0: unset */
#define DISMISS 2
#define GIVE_BACK 3     /* all */
#define TERMINATE 4     /* all */
#ifndef NEWCAP
#define NEWCAP 0
#endif
#ifndef SCAP
#define SCAP 0          /* the stored cap at first */
#endif
#ifndef REPLACE
#define REPLACE 0       /* --replace running */
#endif
#ifndef REPLACE_W
#define REPLACE_W 0     /* --replace waiting */
#endif
#ifndef KEEPERS
#define KEEPERS 0       /* acquire: no command, ends when its slot was given back */
#endif
#ifndef FAR
#define FAR 0           /* out of the poke's reach */
#endif
#ifndef FIRSTS
#define FIRSTS NE       /* entries in the same pwrite(2) as the header */
#endif
#if STEER || REPLACE || REPLACE_W
#define STEERING
#endif
#ifndef TICK
#define TICK 1
#endif
#ifndef WINDOW
#define WINDOW 15       /* what may need a tick: 1 a ring between probe and sleep,
                           2 a probe between a ring and the end of the locks,
                           4 who steered was killed before the poke, or cannot poke,
                           8 the cachify was killed of a holder that is to be replaced */
#endif
#ifndef NF
#define NF 1            /* files that may bear the key's name, one after the other */
#endif
#ifndef NE
#define NE NP           /* entries of the table */
#endif

#define DIGIT(x, p) (((p) == 0 -> (x) : ((p) == 1 -> (x) / 10 : \
                      ((p) == 2 -> (x) / 100 : ((p) == 3 -> (x) / 1000 : (x) / 10000)))) % 10)
#define CAP(p)    DIGIT(CAPS, p)
#define PRIO(p)   DIGIT(PRIOS, p)
#define WEIGHT(p) DIGIT(WEIGHTS, p)
#define BIT(p)    (1 << (p))
#define ME        BIT(_pid)
#define IN(s, p)  (((s) >> (p)) & 1)
#define POP(m)    (((m) & 1) + (((m) >> 1) & 1) + (((m) >> 2) & 1) + (((m) >> 3) & 1) + (((m) >> 4) & 1))
#define ORD(a, b) (PRIO(a) > PRIO(b) || (PRIO(a) == PRIO(b) && tk[a] < tk[b]))
#define NONE 15

#define FREE 0
#define DISMISSED 1
#define WAITING 2
#define HOLDING 3
#define EXTRA 4

#define FIT 1
#define BEHIND 2
#define HEAD 3
#define BELL 4
#define INOTIFY 5
#define OUT 6

#define RUNG 1

/* the file */
byte kind[NE * NF];
byte own[NE * NF];              /* the ticket's process */
byte msk[NE * NF];              /* slots */
byte next;
byte bell;
byte cur;                       /* the inode that bears the name; NONE: unlinked */
byte nfiles = 1;

/* the kernel */
byte M[NF];                     /* owner + 1 */
byte W, L, H;                   /* the bytes that are locked, a bit to a ticket */
byte asleep;                    /* in FUTEX_WAIT */
byte armed;                     /* robust list, pending entry */
byte watch, event;              /* inotify */
byte killed;
byte dying;                     /* rang or gave its event, but has locks still */
byte expd;                      /* the clock has passed its expiry */

byte tk[5];

#ifdef STEERING
byte scap = SCAP;               /* the file: stored cap */
byte ending;                    /* the file: marks of holding entries, a bit to a ticket */
byte poked;                     /* SIGURG is pending */
byte told_to_end;               /* an orphan's command got TERM or KILL */
byte owed;                      /* ghost: is to be poked */
byte dism;                      /* ghost: dismissed, alive and has not left */
#define NCAP(p) (scap -> scap : CAP(p))
#else
#define NCAP(p) CAP(p)
#endif
#if REPLACE
byte fence[5];
byte fences;
#endif
#ifdef EARLY
byte looked;                    /* has taken its early look */
#endif

/* ghosts: nobody decides by them */
byte G;                         /* admitted and really running */
byte gs[5];                     /* its slots */
byte Q;                         /* in the queue and alive */
byte alive;
byte probing;                   /* between the probe of CHECK and going to sleep */
byte miss;                      /* a ring fell there */
byte early;                     /* the probe saw locks of somebody who had rung already */
byte steered;
byte crashes;
byte finished;

hidden byte i, j, k, u, o, n, near, told;     /* scratch, of no meaning between steps */

#define LIVE    (G & ~expd & ~steered)
#define E(x)    (f * NE + (x))
#define NOTIFY  event = event | watch

/* nobody's entry goes before its time (4) */
inline intact() {
        j = 0;
        do
        :: j < NP ->
                if
                :: IN(LIVE, j) ->
                        k = 0; near = 0;
                        do
                        :: k < NE * NF ->
                                near = near | (kind[k] >= HOLDING && own[k] == j -> msk[k] : 0); k++
                        :: else -> break
                        od;
                        assert(near == gs[j])
                :: else
                fi;
                j++
        :: else -> break
        od
}

/* A4, C2: the nearest live waiter before me; dead ones dropped */
inline before() {
        near = NONE; i = 0;
        do
        :: i < NE ->
                if
                :: kind[E(i)] == WAITING && own[E(i)] != _pid ->
                        if
                        :: !IN(W, own[E(i)]) -> kind[E(i)] = FREE; own[E(i)] = 0
                        :: else ->
                                if
                                :: ORD(own[E(i)], _pid) ->
                                        if
                                        :: near == NONE -> near = own[E(i)]
                                        :: else ->
                                                if
                                                :: ORD(near, own[E(i)]) -> near = own[E(i)]
                                                :: else
                                                fi
                                        fi
                                :: else
                                fi
                        fi
                :: else
                fi;
                i++
        :: else -> break
        od
}

/* u: slots in use, o: their tickets; an extra without its holder counts for nobody */
inline count() {
        u = 0; o = 0; i = 0;
        do
        :: i < NE ->
                if
                :: kind[E(i)] == HOLDING && !IN(expd, own[E(i)]) ->
                        u = u | msk[E(i)]; o = o | BIT(own[E(i)])
                :: else
                fi;
                i++
        :: else -> break
        od;
        i = 0;
        do
        :: i < NE ->
                if
                :: kind[E(i)] == EXTRA && IN(o, own[E(i)]) -> u = u | msk[E(i)]
                :: kind[E(i)] == EXTRA && !IN(o, own[E(i)]) ->
                        kind[E(i)] = FREE; own[E(i)] = 0; msk[E(i)] = 0
                :: else
                fi;
                i++
        :: else -> break
        od
}

inline drop() {
        i = 0;
        do
        :: i < NE ->
                if
                :: kind[E(i)] >= HOLDING && (!IN(H, own[E(i)]) || IN(expd, own[E(i)])) ->
                        kind[E(i)] = FREE; own[E(i)] = 0; msk[E(i)] = 0
                :: kind[E(i)] == DISMISSED && !IN(W, own[E(i)]) -> kind[E(i)] = FREE; own[E(i)] = 0
                :: else
                fi;
                i++
        :: else -> break
        od;
        intact()
}

#ifdef LOCKS
#define ROOM(p) (o == 0 || (IN(READERS, p) && (o & ~(READERS)) == 0))
#else
#define ROOM(p) (POP(u) + WEIGHT(p) <= NCAP(p))
#endif

/* r, and the slots in sl */
inline fits() {
        count();
        if
#ifndef LOCKS
        :: ROOM(_pid) -> r = FIT
#endif
        :: else ->
                drop();
                count();
                if
                :: ROOM(_pid) -> r = FIT
                :: else -> r = HEAD
                fi
        fi;
        if
        :: r == FIT ->
                sl = 0; n = WEIGHT(_pid); i = 0;
                do
                :: n > 0 ->
                        if
                        :: !IN(u, i) -> sl = sl | BIT(i); n--
                        :: else
                        fi;
                        i++
                :: else -> break
                od
        :: else
        fi
}

/* a free entry for kind_, or my own waiting one */
inline put(kind_, mask_) {
        i = 0;
        do
        :: i < NE && !(kind[E(i)] == WAITING && own[E(i)] == _pid) -> i++
        :: else -> break
        od;
        if
        :: i == NE || kind_ == EXTRA ->
                i = 0;
                do
                :: i < NE && kind[E(i)] != FREE -> i++
                :: else -> break
                od
        :: else
        fi;
        assert(i < NE);
        kind[E(i)] = kind_; own[E(i)] = _pid; msk[E(i)] = mask_; idx = i;
        NOTIFY
}

inline clear(from, to) {
        i = 0;
        do
        :: i < NE ->
                if
                :: kind[E(i)] >= from && kind[E(i)] <= to && own[E(i)] == _pid ->
                        kind[E(i)] = FREE; own[E(i)] = 0; msk[E(i)] = 0
                :: else
                fi;
                i++
        :: else -> break
        od;
        NOTIFY
}

/* n: does anybody wait, but me? */
inline somebody() {
        n = 0; i = 0;
        do
        :: i < NE ->
                if
                :: kind[E(i)] == WAITING && own[E(i)] != _pid -> n = 1
                :: else
                fi;
                i++
        :: else -> break
        od
}

/* near: the first in the queue, as the table has it; live_only: dead ones dropped */
inline first(live_only) {
        near = NONE; i = 0;
        do
        :: i < NE ->
                if
                :: kind[E(i)] == WAITING && live_only && !IN(W, own[E(i)]) ->
                        kind[E(i)] = FREE; own[E(i)] = 0
                :: kind[E(i)] == WAITING && !(live_only && !IN(W, own[E(i)])) ->
                        if
                        :: near == NONE -> near = own[E(i)]
                        :: else ->
                                if
                                :: ORD(own[E(i)], near) -> near = own[E(i)]
                                :: else
                                fi
                        fi
                :: else
                fi;
                i++
        :: else -> break
        od
}

/* on: the live waiters that may sleep on something else than W of who is before them: the head, and
 * who was the head before those came that overtook it */
inline heads() {
        first(1);
        on = 0; i = 0;
        do
        :: i < NE ->
                if
                :: kind[E(i)] == WAITING ->
                        n = 1; j = 0;
                        do
                        :: j < NE ->
                                if
                                :: kind[E(j)] == WAITING && ORD(own[E(j)], own[E(i)]) &&
                                   tk[own[E(j)]] < tk[own[E(i)]] -> n = 0
                                :: else
                                fi;
                                j++
                        :: else -> break
                        od;
                        on = on | (n -> BIT(own[E(i)]) : 0)
                :: else
                fi;
                i++
        :: else -> break
        od;
#ifdef LIT_POKE_HEAD
        on = (near == NONE -> 0 : BIT(near))
#endif
}

/* n: has the key room for the next in line, as far as the table tells? */
inline next_fits() {
        first(0);
        count();
        n = 1;
        if
        :: near != NONE && !ROOM(near) -> n = 0
        :: else
        fi
}

/* only an armed bell can have a sleeper who was not rung for yet */
inline ring() {
        rang = (bell == 0);
        if
        :: rang -> bell = RUNG
        :: else
        fi
}

/* POKE each in `who`, after a look that his byte in `locks` is locked */
inline poke(who, locks) {
        do
        :: who ->
                d_step {
                        i = 0;
                        do
                        :: !IN(who, i) -> i++
                        :: else -> break
                        od;
                        who = who & ~BIT(i);
                        if
                        :: IN(FAR, i)
                        :: else ->
                                owed = owed & ~BIT(i);
#ifndef MUT_NO_POKE
                                if
                                :: IN(locks & ~killed, i) -> poked = poked | BIT(i)
                                :: else
                                fi
#endif
                        fi;
                        i = 0
                }
        :: else -> break
        od
}

/* S2 for the entry x; the marks of `terminate` are one bit each. Noted: waiters in on, holders in
 * nexp, orphans in sl */
inline change(x) {
#if DEED == DISMISS || REPLACE_W
        if
        :: kind[E(x)] == WAITING && IN(W, own[E(x)]) ->
#ifdef MUT_DISMISSED_FREE
                kind[E(x)] = FREE;
#else
                kind[E(x)] = DISMISSED;
#endif
                on = on | BIT(own[E(x)]);
                Q = Q & ~BIT(own[E(x)]); dism = dism | (BIT(own[E(x)]) & ~killed)
        :: kind[E(x)] == WAITING && !IN(W, own[E(x)]) -> kind[E(x)] = FREE; own[E(x)] = 0
        :: else
        fi
#elif DEED == GIVE_BACK
        if
        :: kind[E(x)] >= HOLDING && IN(sl, own[E(x)]) ->
                if
                :: kind[E(x)] == HOLDING ->
                        steered = steered | BIT(own[E(x)]); nexp = nexp | BIT(own[E(x)])
                :: else
                fi;
                kind[E(x)] = FREE; own[E(x)] = 0; msk[E(x)] = 0
        :: else
        fi
#elif DEED == TERMINATE
        if
        :: kind[E(x)] == HOLDING && IN(H & ~(FAR), own[E(x)]) ->
#ifdef MUT_TERMINATE_FREES
                kind[E(x)] = FREE;
#endif
                ending = ending | BIT(own[E(x)]);
                if
                :: IN(L, own[E(x)]) -> nexp = nexp | BIT(own[E(x)])
                :: else -> sl = sl | BIT(own[E(x)])
                fi
        :: else
        fi
#else
        skip
#endif
}

/* n: does anybody wait who was there before me? Only such a one can sleep on the bell */
inline overtaken() {
        n = 0; i = 0;
        do
        :: i < NE ->
                if
                :: kind[E(i)] == WAITING && own[E(i)] != _pid && tk[own[E(i)]] < tk[_pid] -> n = 1
                :: else
                fi;
                i++
        :: else -> break
        od
}

inline futex_wake() {
        if
        :: asleep & 1 -> asleep = asleep & ~1
        :: asleep & 2 -> asleep = asleep & ~2
        :: asleep & 4 -> asleep = asleep & ~4
        :: asleep & 8 -> asleep = asleep & ~8
        :: asleep & 16 -> asleep = asleep & ~16
        :: asleep == 0
        fi
}

/* user space wakes all, the kernel one */
#define WAKE_ALL asleep = 0

/* exclusion (1) and order (3), at the instant of admission */
inline admission() {
        u = 0; j = 0;
        do
        :: j < NP ->
                if
                :: IN(LIVE, j) ->
#ifdef LOCKS
                        assert(IN(READERS, j) && IN(READERS, _pid));
#else
                        assert((gs[j] & sl) == 0);
                        u = u | gs[j];
#endif
                :: else
                fi;
                if
                :: j != _pid && IN(Q, j) -> assert(!ORD(j, _pid))
                :: else
                fi;
                j++
        :: else -> break
        od;
#ifndef LOCKS
        assert(POP(u) + WEIGHT(_pid) <= NCAP(_pid));
        assert(sl < BIT(NCAP(_pid)) && POP(sl) == WEIGHT(_pid));
#endif
#if REPLACE
        fences++; fence[_pid] = fences;
#endif
        G = G | ME; gs[_pid] = sl; Q = Q & ~ME
}

/* Nobody stands before x and it would fit, by what really runs */
#define SLOTS(j)  (IN(LIVE, j) -> gs[j] : 0)
#define USED      (SLOTS(0) | SLOTS(1) | SLOTS(2) | SLOTS(3) | SLOTS(4))
#define FIRST(x)  !(IN(Q, 0) && ORD(0, x) || IN(Q, 1) && ORD(1, x) || \
                    IN(Q, 2) && ORD(2, x) || IN(Q, 3) && ORD(3, x) || IN(Q, 4) && ORD(4, x))
#ifdef LOCKS
#define STUCK     (FIRST(_pid) && (LIVE == 0 || (IN(READERS, _pid) && (LIVE & ~(READERS)) == 0)))
#else
#define STUCK     (FIRST(_pid) && POP(USED) + WEIGHT(_pid) <= NCAP(_pid))
#endif
#ifdef STEERING
/* ... or would have to leave */
#define LATE      (STUCK || IN(dism, _pid) || NCAP(_pid) == 0)
#define OWED      (IN(owed, _pid) && WINDOW & 4)
#define POKED     IN(poked, _pid)
#define UNPOKE    poked = poked & ~ME
#else
#define LATE      STUCK
#define OWED      0
#endif
#if REPLACE
/* All in the way of who replaces are to end */
#define REPLACING (!LATE && IN(REPLACE, _pid) && FIRST(_pid))
#define ORPHAN    (ending & H & ~L & ~told_to_end && WINDOW & 8)
#endif

#define LOCK_M   atomic { M[f] == 0 -> M[f] = _pid + 1; alive = alive | ME }
#define UNLOCK_M M[f] = 0

active [NP] proctype Caller()
{
        byte f, r, sl, idx;
        byte on;                /* whose byte I block on; at C6 all holders */
        byte nexp;              /* holders whose expiry ends my wait */
        bool rang;              /* I have to FUTEX_WAKE */
        bool slept;             /* I was in FUTEX_WAIT */
        bool woken;             /* ... and somebody woke me, or inotify did */
        bool again;             /* check again soon: the kernel rang */
        bool ticked;
        bool cmd;

        {
/* ARRIVE */
        skip;
arrive:
#if NF > 1
        skip;
        d_step {                                                        /* A1 */
                if
                :: cur == NONE -> assert(nfiles < NF); cur = nfiles; nfiles++
                :: else
                fi;
                f = cur
        };
#endif
#ifdef ANY_ORDER
        LOCK_M;
#else
        atomic { M[f] == 0 && (IN(STEER, _pid) || _pid == 0 || tk[_pid - (_pid > 0)]) ->
                M[f] = _pid + 1; alive = alive | ME };
#endif
#if NF > 1
        if                                                              /* A2 */
#ifndef MUT_NO_A2
        :: f != cur &&
#ifdef MUT_DELETE_NO_A2
           !IN(DELETERS, _pid)
#else
           true
#endif
           -> UNLOCK_M; goto arrive
#endif
        :: else
        fi;
#endif
#if DELETERS
        if
        :: IN(DELETERS, _pid) -> goto delete
        :: else
        fi;
#endif
#if STEER
        if
        :: IN(STEER, _pid) -> goto steer
        :: else
        fi;
#endif
#if REPLACE_W
        if
        :: IN(REPLACE_W, _pid) ->
                d_step {
                        idx = 0;
                        do
                        :: idx < NE -> change(idx); idx++
                        :: else -> break
                        od;
                        idx = 0; owed = owed | on; NOTIFY
                };
                poke(on, W)
        :: else
        fi;
#endif
        atomic {
                d_step {
                        next++; tk[_pid] = next;                        /* A3 */
                        before();                                       /* A4 */
#ifdef MUT_BARGE
                        near = NONE;
#endif
                        if
                        :: near == NONE -> fits()                       /* A5 */
                        :: else -> r = BEHIND
                        fi
                };
                if
                :: r == FIT -> r = 0; goto admit
                :: r != FIT && (!IN(WAITERS, _pid) || NCAP(_pid) == 0) -> UNLOCK_M; goto gone  /* A6 */
                :: else -> r = 0
                fi
        };
#if !defined(MUT_NO_ROBUST) && !defined(LIT_ARM)
        armed = armed | ME;
#endif
#ifndef MUT_W_LATE
        W = W | ME;                                                     /* A7 */
#endif
        d_step { put(WAITING, 0); Q = Q | ME };                         /* A8 */
#ifdef MUT_W_LATE
        UNLOCK_M;
        W = W | ME;
        LOCK_M;
#endif

check:
        atomic {
                d_step {
                        assert((kind[E(idx)] == WAITING || kind[E(idx)] == DISMISSED) &&
                               own[E(idx)] == _pid);                    /* C1 */
#ifdef STEERING
                        owed = owed & ~ME;
#endif
                        again = woken && (bell == 0 || IN(watch, _pid));
                        told = again;
#ifdef LIT_C7_AGAIN
                        again = woken && bell == 0 && !IN(watch, _pid);
#endif
                        woken = 0;
                        event = event & ~ME; probing = probing & ~ME;
                        before();                                       /* C2 */
                        if
                        :: kind[E(idx)] == DISMISSED || NCAP(_pid) == 0 -> r = OUT; watch = watch & ~ME
                        :: kind[E(idx)] == WAITING && NCAP(_pid) && near != NONE ->
                                r = BEHIND; on = near; watch = watch & ~ME
                        :: else ->
                                fits();
                                on = o; nexp = o & (EXPIRING);
                                if
                                :: r == FIT -> on = 0; nexp = 0; watch = watch & ~ME
                                :: else ->
                                        probing = probing | ME;
                                        miss = miss & ~ME;
                                        if
                                        :: dying && !told -> early = early | ME
                                        :: else -> early = early & ~ME
                                        fi
                                fi
                        fi
                };
                if
                :: r == OUT -> r = 0; again = 0; ticked = 0; goto leave_m
                :: r == BEHIND -> r = 0; goto behind
                :: r == FIT -> r = 0; slept = 0; again = 0; ticked = 0; goto admit  /* C4 */
                :: else -> r = 0
                fi
        };
        assert(!ticked);
#if REPLACE
        if
        :: IN(REPLACE, _pid) ->
                d_step {
                        /* o: those that stay, u: their slots */
                        count();
                        o = o & ~ending; sl = 0;
                        do
                        :: o ->
#ifdef LOCKS
                                if
                                :: ROOM(_pid) -> break
                                :: else
                                fi;
#else
                                n = 0; j = 0;
                                do
                                :: j < NP -> n = n + (IN(o, j) -> POP(gs[j]) : 0); j++
                                :: else -> break
                                od;
                                if
                                :: n + WEIGHT(_pid) <= NCAP(_pid) -> break
                                :: else
                                fi;
#endif
                                near = NONE; j = 0;
                                do
                                :: j < NP ->
                                        if
                                        :: IN(o, j) && near == NONE -> near = j
                                        :: IN(o, j) && near != NONE ->
                                                near = (fence[j] < fence[near] -> j : near)
                                        :: else
                                        fi;
                                        j++
                                :: else -> break
                                od;
                                o = o & ~BIT(near); ending = ending | BIT(near); sl = sl | BIT(near)
                        :: else -> break
                        od;
#ifndef LIT_REPLACE
                        count();
                        sl = o & ending;
#endif
                        sl = sl & L; owed = owed | sl;
                        if
                        :: sl -> NOTIFY
                        :: else
                        fi
                };
                poke(sl, L);
                atomic { told_to_end = told_to_end | (ending & H & ~L) }
        :: else
        fi;
#endif
        atomic {
                d_step {
#ifdef LOCKS
                        r = FIT;
#else
                        r = (POP(on) == 1 -> FIT : 0);
#endif
                        slept = 0;
                        if
                        :: r == FIT ->                                  /* C5 */
                                i = 0;
                                do
                                :: !IN(on, i) -> i++
                                :: else -> break
                                od;
                                on = i; again = 0;
                                watch = watch & ~ME; probing = probing & ~ME
                        :: else ->
                                if
                                :: (on & ~L) == 0 ->                    /* C6 */
                                        r = BELL;
#ifndef MUT_ARM_LATE
                                        bell = 0;
#endif
#ifdef EARLY
                                        if
                                        :: IN(looked, _pid)
                                        :: else -> again = 1; looked = looked | ME
                                        fi;
#endif
                                        watch = watch & ~ME
                                :: else ->                              /* C7 */
#ifdef LIT_C7_WATCH
                                        r = INOTIFY;
#else
                                        r = (IN(watch, _pid) -> INOTIFY : HEAD);
                                        /* first watch, then probe again */
#endif
                                        if
                                        :: r == HEAD && again -> woken = 1
                                        :: else
                                        fi;
#ifndef LIT_C7_WATCH
                                        watch = watch | ME
#endif
                                fi;
                                on = 0
                        fi
                };
                if
                :: r == FIT -> r = 0; goto in_my_way
                :: r == HEAD -> r = 0; goto check
                :: r == INOTIFY -> r = 0; goto inotify
                :: else -> r = 0
                fi
        };

        /* C6 */
        UNLOCK_M;
#ifdef MUT_ARM_LATE
        bell = 0;
#endif
        atomic {
                probing = probing & ~ME;
                if
                :: bell == 0 -> asleep = asleep | ME
                :: else -> nexp = 0; again = 0; goto again_m            /* EAGAIN */
                fi
        };
end_bell:
        if
        :: atomic { !IN(asleep, _pid) -> woken = 1; slept = 1 }
#ifdef STEERING
        :: atomic { POKED -> UNPOKE; woken = !IN(asleep, _pid); slept = woken; asleep = asleep & ~ME }
#endif
        :: atomic { (expd & nexp) -> asleep = asleep & ~ME }
#ifndef MUT_NO_RECHECK
        :: atomic { again && !dying -> asleep = asleep & ~ME }
#endif
#if TICK == 1
        :: atomic { timeout && LATE ->
                assert(IN(miss, _pid) && WINDOW & 1 || IN(early, _pid) && WINDOW & 2 || OWED);
                asleep = asleep & ~ME; ticked = 1 }
#if REPLACE
        :: atomic { timeout && REPLACING -> assert(ORPHAN); asleep = asleep & ~ME }
#endif
#elif TICK == 2
        :: atomic { true -> asleep = asleep & ~ME }
#endif
        :: atomic { IN(LEAVERS, _pid) -> slept = !IN(asleep, _pid); asleep = asleep & ~ME; goto leave }
        fi;
        atomic { nexp = 0; again = 0; goto again_m };

inotify:
#ifdef LIT_C7_WATCH
        watch = watch | ME;
#endif
        UNLOCK_M;
        probing = probing & ~ME;
end_inotify:
        if
        :: atomic { IN(event, _pid) -> woken = 1 }
        :: (expd & nexp)
        :: again && !dying
#ifdef STEERING
        :: atomic { POKED -> UNPOKE }
#endif
#if TICK == 1
        :: atomic { timeout && LATE -> assert(IN(early, _pid) && WINDOW & 2 || OWED); ticked = 1 }
#if REPLACE
        :: atomic { timeout && REPLACING -> assert(ORPHAN) }
#endif
#elif TICK == 2
        :: true
#endif
        :: atomic { IN(LEAVERS, _pid) -> watch = watch & ~ME; event = event & ~ME; goto leave }
        fi;
        atomic { nexp = 0; again = 0; goto again_m };

in_my_way:                                                              /* C5 */
        UNLOCK_M;
end_in_my_way:
        if
        :: !IN(H, on)
        :: (expd & nexp)
#ifdef STEERING
        :: atomic { POKED -> UNPOKE }
#endif
#if TICK == 1
        :: atomic { timeout && LATE -> assert(OWED); ticked = 1 }
#if REPLACE
        :: atomic { timeout && REPLACING -> assert(ORPHAN) }
#endif
#elif TICK == 2
        :: true
#endif
        :: atomic { IN(LEAVERS, _pid) -> goto leave }
        fi;
        atomic { on = 0; nexp = 0; goto again_m };

behind:                                                                 /* C3 */
#ifndef MUT_NO_RING_ON
        if
        :: slept -> atomic { WAKE_ALL; slept = 0 }
        :: else
        fi;
#endif
        atomic { slept = 0; ticked = 0; again = 0; UNLOCK_M };
end_behind:
        if
        :: !IN(W, on)
#ifdef STEERING
        :: atomic { POKED -> UNPOKE }
#endif
        :: atomic { timeout && STUCK -> assert(false) }
        :: atomic { IN(LEAVERS, _pid) -> goto leave }
        fi;
        on = 0;

again_m:
        LOCK_M;
        goto check;

/* ADMIT, M held */
admit:
#ifndef MUT_NO_ROBUST
        armed = armed | ME;                                             /* D1 */
#endif
        L = L | ME;                                                     /* D2 */
#if !defined(MUT_H_LATE) && !defined(VAR_D3_D2)
        H = H | ME;
#endif
#ifdef MUT_M_EARLY
        UNLOCK_M;
#endif
#ifdef VAR_D5_D3
        W = W & ~ME;
#endif
        if                                                              /* D3 */
        :: sl == 5 -> d_step { put(EXTRA, 4) }
        :: else
        fi;
        d_step {
                rang = 0;
#ifndef LIT_ADMIT
                if
                :: IN(Q, _pid) -> overtaken(); rang = n
                :: else
                fi;
#endif
                if
                :: rang -> bell = RUNG
                :: else
                fi;
                admission();
                put(HOLDING, (sl == 5 -> 1 : sl)); sl = 0;
                next_fits(); again = !n
        };
#ifdef VAR_D3_D2
        H = H | ME;
#endif
#ifndef MUT_M_EARLY
        UNLOCK_M;                                                       /* D4 */
#endif
#ifdef MUT_H_LATE
        H = H | ME;
#endif
#ifndef MUT_KEEP_W
        if
        :: IN(W, _pid) && !again -> W = W & ~ME                         /* D5 */
        :: else
        fi;
#endif
        if
        :: rang -> atomic { WAKE_ALL; rang = 0 }
        :: else
        fi;

        cmd = !IN(KEEPERS, _pid);       /* the command starts */
#ifndef MUT_KEEP_W
        if
        :: again -> atomic { again = 0; W = W & ~ME }                   /* D5 */
        :: else
        fi;
#endif
        again = 0;
        if
        :: !IN(LONG, _pid) -> skip
        :: else ->
end_long:       do
#ifdef STEERING
                :: atomic { POKED -> UNPOKE; owed = owed & ~ME;
                        if
                        :: IN(ending, _pid) || (IN(steered, _pid) && IN(KEEPERS, _pid)) -> break
                        :: else
                        fi }
                :: atomic { timeout && (IN(ending, _pid) || (IN(steered, _pid) && IN(KEEPERS, _pid))) ->
                        assert(OWED); break }
#else
                :: false
#endif
                od
        fi;
        cmd = 0;                        /* and ends, and was reaped */

/* RELEASE */
        LOCK_M;                                                         /* R1 */
        d_step {                                                        /* R2 */
                G = G & ~ME;
#ifdef MUT_BLIND_RELEASE
                rang = 1;
                kind[E(idx)] = FREE; own[E(idx)] = 0; msk[E(idx)] = 0;
#else
                i = 0; rang = 0;
                do
                :: i < NE ->
                        if
                        :: kind[E(i)] == HOLDING && own[E(i)] == _pid -> rang = 1
                        :: else
                        fi;
                        i++
                :: else -> break
                od;
                clear(HOLDING, HOLDING);
#endif
                intact();
                idx = 0
        };
        if
        :: rang && WEIGHT(_pid) > 1 -> d_step { clear(EXTRA, EXTRA) }
        :: else
        fi;
        if
        :: rang -> d_step { ring() }
        :: else
        fi;
        UNLOCK_M;                                                       /* R3 */
        H = H & ~ME;                                                    /* R4 */
        if
#ifdef MUT_NO_RING
        :: rang -> rang = 0
#else
        :: rang -> atomic { WAKE_ALL; rang = 0 }                        /* R5 */
#endif
        :: else
        fi;
        d_step { armed = armed & ~ME; W = W & ~ME; L = L & ~ME; NOTIFY };       /* R6 */
        goto gone;

/* LEAVE */
leave:
        Q = Q & ~ME;
        LOCK_M;
leave_m:        skip;
        d_step { Q = Q & ~ME; clear(DISMISSED, WAITING); idx = 0; on = 0; nexp = 0; again = 0; woken = 0 };
#ifdef LIT_LEAVE
        slept = 0;
#else
        d_step {
                somebody(); rang = n;
                if
                :: rang -> bell = RUNG
                :: else
                fi
        };
#endif
        UNLOCK_M;
        W = W & ~ME;
        if
        :: rang || slept -> atomic { WAKE_ALL; rang = 0; slept = 0 }
        :: else
        fi;
        armed = armed & ~ME;
        goto gone;

#if DELETERS
delete:                                                                 /* DELETE */
        skip;
        d_step {
                n = 0; i = 0;
                do
                :: i < NE ->
                        if
                        :: kind[E(i)] == WAITING && IN(W, own[E(i)]) -> n = 1
                        :: kind[E(i)] >= HOLDING && IN(H & ~expd, own[E(i)]) -> n = 1
                        :: else
                        fi;
                        i++
                :: else -> break
                od;
                if
                :: n == 0 -> cur = NONE
                :: else
                fi
        };
        UNLOCK_M;
        goto gone;
#endif
#if STEER
steer:  skip;
        d_step {                                                        /* S1 */
                i = 0;
                do
                :: i < NE ->
                        if
                        :: kind[E(i)] >= HOLDING && IN(expd, own[E(i)]) ->
                                kind[E(i)] = FREE; own[E(i)] = 0; msk[E(i)] = 0
                        :: else
                        fi;
                        i++
                :: else -> break
                od
        };
#if DEED == RESIZE || DEED == GIVE_BACK
        armed = armed | ME;                                             /* S3 */
#endif
#if DEED == GIVE_BACK && !defined(LIT_GIVE_BACK)
        /* the primary entries are written before the extras */
#define PRIMARY(x) (kind[E(x)] == HOLDING)
#else
#define PRIMARY(x) 1
#endif
        d_step {                                                        /* S2 to S4 */
#if DEED == RESIZE
                scap = NEWCAP;
#endif
#if DEED == GIVE_BACK
                count();
                sl = o & H;
#endif
#if DEED == RESIZE || DEED == GIVE_BACK
                heads();
                ring();
#endif
#if DEED == RESIZE && NEWCAP == 0
                i = 0;                  /* who has named no cap of his own */
                do
                :: i < NE ->
                        if
                        :: kind[E(i)] == WAITING && CAP(own[E(i)]) == 0 -> on = on | BIT(own[E(i)])
                        :: else
                        fi;
                        i++
                :: else -> break
                od;
#endif
                i = 0;
                do
                :: i < FIRSTS && PRIMARY(i) -> change(i); i++
                :: i < FIRSTS && !PRIMARY(i) -> i++
                :: else -> break
                od;
                owed = owed | on | (nexp & ~(FAR)); NOTIFY
        };
        idx = FIRSTS;
        do
        :: idx < NE ->
                d_step {
                        if
                        :: PRIMARY(idx) -> change(idx)
                        :: else
                        fi;
                        owed = owed | on | (nexp & ~(FAR)); idx++; NOTIFY
                }
        :: else -> break
        od;
        idx = 0;
#if DEED == GIVE_BACK
        sl = 0;
#endif
        UNLOCK_M;
        if
        :: rang -> atomic { WAKE_ALL; rang = 0 }                        /* S5 */
        :: else
        fi;
        armed = armed & ~ME;
        poke(on, W);
        poke(nexp, L);
        atomic { told_to_end = told_to_end | (sl & H); sl = 0 };
        goto gone;
#endif

gone:
        atomic {
                alive = alive & ~ME; finished++;
#ifdef STEERING
                poked = poked & ~ME; owed = owed & ~ME; dism = dism & ~ME;
#endif
                goto done
        }

        } unless { IN(killed, _pid) };

        /* killed: what was its cachify has rung; its locks end */
        atomic {
                if
                :: tk[_pid] == 0 -> next++; tk[_pid] = next
                :: else
                fi;
                f = 0; r = 0; sl = 0; idx = 0; on = 0; nexp = 0; rang = 0; slept = 0; woken = 0; again = 0; ticked = 0;
                if
                :: true
                :: !cmd -> H = H & ~ME; goto control
                fi
        };
control:
        atomic {
                W = W & ~ME; L = L & ~ME;
                i = 0;
                do
                :: i < NF ->
                        if
                        :: M[i] == _pid + 1 -> M[i] = 0
                        :: else
                        fi;
                        i++
                :: else -> break
                od;
#ifdef MUT_CLOEXEC
                H = H & ~ME;
#else
                if
                :: IN(NOINHERIT, _pid) -> H = H & ~ME
                :: else
                fi;
#endif
                if
                :: cmd || !IN(H, _pid) -> dying = dying & ~ME
                :: else
                fi
        };
end_killed:
        if
#ifdef STEERING
        :: cmd && (!IN(LONG, _pid) || IN(told_to_end, _pid)) ->
#else
        :: cmd && !IN(LONG, _pid) ->
#endif
                d_step { cmd = 0; G = G & ~ME; dying = dying | (H & ME); NOTIFY }
        :: !cmd
        fi;
        d_step { H = H & ~ME; dying = dying & ~ME; finished++ };
done:
        skip
}

#ifdef STEERING
#define UNSTEER(p) poked = poked & ~BIT(p); owed = owed & ~BIT(p); dism = dism & ~BIT(p)
#else
#define UNSTEER(p)
#endif

#define KILL(p) \
        :: atomic { crashes < MAXC && p < NP && IN(alive & ~killed, p) -> \
                crashes++; killed = killed | BIT(p); dying = dying | BIT(p); \
                asleep = asleep & ~BIT(p); Q = Q & ~BIT(p); \
                probing = probing & ~BIT(p); miss = (miss & ~BIT(p)) | probing; early = early & ~BIT(p); \
                watch = watch & ~BIT(p); event = event & ~BIT(p); NOTIFY; UNSTEER(p); \
                if \
                :: !Caller[p]:cmd || IN(NOINHERIT, p) -> G = G & ~BIT(p) \
                :: else \
                fi; \
                if \
                :: IN(armed, p) && (bell == 0 || !TIDBITS) -> armed = armed & ~BIT(p); futex_wake() \
                :: else -> armed = armed & ~BIT(p) \
                fi }

#ifdef MUT_TID_BITS
#define TIDBITS 1
#else
#define TIDBITS 0
#endif

#define EXPIRE(p) :: d_step { IN(G & (EXPIRING) & ~expd, p) -> expd = expd | BIT(p) }

active proctype Env()
{
end:    do
        KILL(0)
        KILL(1)
        KILL(2)
#if NP > 3
        KILL(3)
#endif
#if NP > 4
        KILL(4)
#endif
        :: crashes < MAXC -> crashes = MAXC
        EXPIRE(0)
        EXPIRE(1)
        EXPIRE(2)
        EXPIRE(3)
        EXPIRE(4)
        :: atomic { finished == NP -> finished = 0;     /* what entries remain are dead */
                assert(M[0] == 0 && W == 0 && L == 0 && H == 0 && G == 0 && Q == 0);
                assert(asleep == 0 && armed == 0 && dying == 0 && alive == killed && !probing) }
        od
}
