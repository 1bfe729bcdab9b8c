"""Multi-Paxos as this project builds it: what is known, and every step that can change it.

The state is a set of relations. Messages are never taken away: a message once sent can arrive
late, twice, in any order or not at all, so the network needs no action of its own. Crashes need
none either: an acceptor tells nobody anything before its disk knows it, and a leader that crashes
is one that takes no further step (its next life has another incarnation and so other ballots).

A number that only grows is kept as the set of what lies below it: `left(a, b)` says that the
promise of `a` is above `b`, and `above(a, s, b)` that its vote in `s` is. This is what keeps every
formula in a fragment that z3 decides. Wherever a formula says "for all x there is a y", the sorts
of x and y are in this order: slot, value, ballot, quorums, acceptor. No chain of such sentences can
then make new elements for ever.

Source: Padon, Losa, Sagiv and Shoham, "Paxos made EPR", OOPSLA 2017. Differs from it in what this
project has and they have not: Accept promises, a promise for all slots reports the highest votes,
leaders have a start and a prefix, quorums have a phase, and learners believe on three grounds.

Deliberately absent: time, elections, resending, pages, bounds, truncation, clients' sessions. See
README.md for what that means.
"""

from dataclasses import dataclass

from z3 import And, BoolVal, Not, Or

from world import ACCEPTOR, BALLOT, NODE, QUORUM1, QUORUM2, SLOT, VALUE

RELATIONS = {
    # ---- acceptor.rs ----
    # The promise of the acceptor is above the ballot.
    "left": (ACCEPTOR, BALLOT),
    # The acceptor has accepted the value. It remembers only the highest per slot; this remembers
    # all, for the properties to speak of.
    "voted": (ACCEPTOR, BALLOT, SLOT, VALUE),
    # The acceptor's vote in the slot is at a ballot above this one.
    "above": (ACCEPTOR, SLOT, BALLOT),
    # ---- doubt.rs ----
    # A vote of the acceptor in the slot may be missing from its memory.
    "suspect": (ACCEPTOR, SLOT),
    # A vote of the acceptor at the ballot may have been lost, now or earlier.
    "risky": (ACCEPTOR, BALLOT),
    # The slot is at or above the start of a leader of a higher ballot: at this one, nothing that is
    # not chosen in the slot will ever be. It says nothing that the rest does not.
    "closed": (BALLOT, SLOT),
    # ---- messages ----
    # Prepare was sent.
    "prepared": (BALLOT,),
    # Promise was sent, and its pages together ...
    "promised": (ACCEPTOR, BALLOT),
    # ... report a vote for the value in the slot, cast at the second ballot, ...
    "reports": (ACCEPTOR, BALLOT, SLOT, BALLOT, VALUE),
    # ... and no vote in the slot above the second ballot, which the acceptor can know.
    "nothing_above": (ACCEPTOR, BALLOT, SLOT, BALLOT),
    # Accept was sent.
    "proposed": (BALLOT, SLOT, VALUE),
    # Accepted was sent. It names slots, never values.
    "accepted": (ACCEPTOR, BALLOT, SLOT),
    # Heartbeat, Chosen or Accept says of the slot, and of all below, that it is chosen.
    "announced": (BALLOT, SLOT),
    # ---- proposer.rs ----
    # The leader has counted complete promises of the quorum.
    "elected_by": (BALLOT, QUORUM1),
    "elected": (BALLOT,),
    # The slot of the leader-start entry.
    "start": (BALLOT, SLOT),
    # The ballot has used the slot: it lies below `next`.
    "used": (BALLOT, SLOT),
    # The slot lies below the leader's prefix, and was compared with what the leader proposed.
    "settled": (BALLOT, SLOT),
    # The leader has given up the ballot.
    "over": (BALLOT,),
    # ---- learner.rs ----
    # The node takes the value for the one that is chosen in the slot.
    "believes": (NODE, SLOT, VALUE),
    # Somebody had a right to: a phase-2 quorum has voted for the value at one ballot.
    "chosen": (SLOT, VALUE),
}


@dataclass
class Step:
    """When an action may happen (each condition by a name), and what each relation is after it."""

    when: dict
    then: dict


class State:
    """One relation each, callable with elements."""

    def __init__(self, relations):
        self.__dict__.update(relations)

    def after(self, step):
        return State({**self.__dict__, **step.then})


def any_state(world):
    return State({name: world.relation(name, *sorts) for name, sorts in RELATIONS.items()})


def initial_state():
    """Nothing was ever said."""
    return State({name: lambda *_: BoolVal(False) for name in RELATIONS})


def axioms(w):
    """What never changes, each by a name."""
    order = {}
    for sort, le in ((BALLOT, w.ballot_le), (SLOT, w.slot_le)):
        order |= {
            f"{sort} antisymmetric": w.all(
                (sort, sort), lambda a, b: Or(Not(le(a, b)), Not(le(b, a)), a == b)
            ),
            f"{sort} transitive": w.all(
                (sort, sort, sort), lambda a, b, c: Or(Not(le(a, b)), Not(le(b, c)), le(a, c))
            ),
            f"{sort} total": w.all((sort, sort), lambda a, b: Or(le(a, b), le(b, a))),
        }
    return order | {
        # ballot.rs: below every ballot that a leader can own.
        "none is lowest": w.all((BALLOT,), lambda b: w.ballot_le(w.none, b)),
        # ballot.rs: the leader is part of the ballot, and so is its life.
        "ballots have one owner": w.all(
            (NODE, NODE, BALLOT), lambda n, m, b: Or(Not(w.owns(n, b)), Not(w.owns(m, b)), n == m)
        ),
        # quorum.rs: `Configuration::flexible` refuses anything else. Two quorums of the same
        # phase need not meet.
        "quorums meet": w.all(
            (QUORUM1, QUORUM2),
            lambda p, q: w.some(
                (ACCEPTOR,), lambda a: And(w.in_quorum1(a, p), w.in_quorum2(a, q))
            ),
        ),
        # value.rs: kinds of their own.
        "a no-op is no leader start": w.noop != w.leader_start,
    }


def add(relation, *element):
    """The relation with one more element."""
    return lambda *x: Or(relation(*x), And([a == b for a, b in zip(x, element)]))


# ---- phase 1 ----


def prepare(w, s, n: NODE, b: BALLOT):
    """`Proposer::prepare`: a ballot of its own that it never used."""
    return Step(
        when={
            "the ballot is its own": w.owns(n, b),
            "the ballot is real": b != w.none,
            "the ballot is new": Not(s.prepared(b)),
        },
        then={"prepared": add(s.prepared, b)},
    )


def promise(w, s, a: ACCEPTOR, b: BALLOT):
    """`Acceptor::prepare` and `Acceptor::page`, all pages at once.

    Pages fit together: they are sent at a promise of `b`, before any vote at `b` (nobody has
    proposed at `b` while its leader still asks). A vote below `b` is refused from the first page
    on, and after a vote above `b` the next page is refused. So every page is cut from the same
    votes, and a Promise sent twice says the same twice. After the election, see `promise_late`.
    """
    return Step(
        when={
            "Prepare was sent": s.prepared(b),
            "nothing higher is promised": Not(s.left(a, b)),
            "the leader still asks": Not(s.elected(b)),
        },
        then={
            "left": lambda x, c: Or(s.left(x, c), And(x == a, w.ballot_lt(c, b))),
            "promised": add(s.promised, a, b),
            "reports": lambda x, c, i, vb, v: Or(
                s.reports(x, c, i, vb, v),
                And(x == a, c == b, s.voted(a, vb, i, v), Not(s.above(a, i, vb))),
            ),
            "nothing_above": lambda x, c, i, vb: Or(
                s.nothing_above(x, c, i, vb),
                And(x == a, c == b, Not(s.above(a, i, vb)), Not(s.suspect(a, i))),
            ),
        },
    )


def promise_late(w, s, a: ACCEPTOR, b: BALLOT):
    """`Acceptor::prepare` after the election: the acceptor is bound like any other. Its Promise is
    `Promised::Stale` to the leader; here it is not sent.
    """
    return Step(
        when={
            "Prepare was sent": s.prepared(b),
            "nothing higher is promised": Not(s.left(a, b)),
            "the leader asks no more": s.elected(b),
        },
        then={"left": lambda x, c: Or(s.left(x, c), And(x == a, w.ballot_lt(c, b)))},
    )


def lead(w, s, n: NODE, b: BALLOT, q: QUORUM1, start: SLOT):
    """`Proposer::lead`: a phase-1 quorum is complete; it has no vote from `start` on."""
    return Step(
        when={
            "the ballot is its own": w.owns(n, b),
            "it asks for promises": And(s.prepared(b), Not(s.elected(b)), Not(s.over(b))),
            "a phase-1 quorum has promised": w.all(
                (ACCEPTOR,), lambda a: Or(Not(w.in_quorum1(a, q)), s.promised(a, b))
            ),
            "no votes from the start on": w.all(
                (ACCEPTOR, SLOT),
                lambda a, i: Or(
                    Not(w.in_quorum1(a, q)),
                    w.slot_lt(i, start),
                    s.nothing_above(a, b, i, w.none),
                ),
            ),
        },
        then={
            "elected": add(s.elected, b),
            "elected_by": add(s.elected_by, b, q),
            "start": add(s.start, b, start),
            "closed": lambda c, i: Or(
                s.closed(c, i), And(w.ballot_lt(c, b), w.slot_le(start, i))
            ),
        },
    )


# ---- phase 2 ----


def proposing(w, s, n, b, i, v, when):
    """`Proposer::next_run`, one slot of it."""
    return Step(
        when={
            "the ballot is its own": w.owns(n, b),
            "it leads": And(s.elected(b), Not(s.over(b))),
            "the slot is not used": Not(s.used(b, i)),
            "the slot is above its prefix": Not(s.settled(b, i)),
            **when,
        },
        then={"proposed": add(s.proposed, b, i, v), "used": add(s.used, b, i)},
    )


def propose_adopted(
    w, s, n: NODE, b: BALLOT, i: SLOT, v: VALUE, q: QUORUM1, a: ACCEPTOR, vb: BALLOT
):
    """`Leading::recovered`: the value of the highest vote that is reported in the slot.

    Whoever reports it need not be in the quorum: the leader also looks at the first pages of a
    promise that is not complete yet. Such a vote is as good as any, if none of the quorum's is
    higher.
    """
    return proposing(
        w,
        s,
        n,
        b,
        i,
        v,
        {
            "the vote is reported": s.reports(a, b, i, vb, v),
            "no vote that its quorum reports is higher": And(
                s.elected_by(b, q),
                w.all(
                    (ACCEPTOR,),
                    lambda x: Or(Not(w.in_quorum1(x, q)), s.nothing_above(x, b, i, vb)),
                ),
            ),
        },
    )


def propose_noop(w, s, n: NODE, b: BALLOT, i: SLOT, q: QUORUM1, start: SLOT):
    """`Leading::recovered`: a hole among the reported votes."""
    return proposing(
        w,
        s,
        n,
        b,
        i,
        w.noop,
        {
            "the slot is below the start": And(s.start(b, start), w.slot_lt(i, start)),
            "its quorum reports no vote": And(
                s.elected_by(b, q),
                w.all(
                    (ACCEPTOR,),
                    lambda a: Or(Not(w.in_quorum1(a, q)), s.nothing_above(a, b, i, w.none)),
                ),
            ),
        },
    )


def propose_start(w, s, n: NODE, b: BALLOT, i: SLOT):
    """`Leading::recovered`: the leader-start entry."""
    return proposing(w, s, n, b, i, w.leader_start, {"the slot is the start": s.start(b, i)})


def propose(w, s, n: NODE, b: BALLOT, i: SLOT, v: VALUE, start: SLOT):
    """`Proposer::next_run` with clients' values."""
    return proposing(
        w,
        s,
        n,
        b,
        i,
        v,
        {
            "the slot is above the start": And(s.start(b, start), w.slot_lt(start, i)),
            "the value is a client's": And(v != w.noop, v != w.leader_start),
        },
    )


def accept(w, s, a: ACCEPTOR, b: BALLOT, i: SLOT, v: VALUE):
    """`Acceptor::accept` and `apply`: one record for the vote and for the promise in it."""
    return Step(
        when={
            "the value was proposed": s.proposed(b, i, v),
            "nothing higher is promised": Not(s.left(a, b)),
        },
        then={
            "left": lambda x, c: Or(s.left(x, c), And(x == a, w.ballot_lt(c, b))),
            "voted": add(s.voted, a, b, i, v),
            "above": lambda x, j, c: Or(
                s.above(x, j, c), And(x == a, j == i, w.ballot_lt(c, b))
            ),
            "accepted": add(s.accepted, a, b, i),
        },
    )


# ---- an acceptor that has lost votes ----


def lose(w, s, a: ACCEPTOR, i: SLOT, low: BALLOT, promised: BALLOT):
    """A part of the disk is lost, and with it the acceptor's votes in a slot above a ballot; once
    for each slot. It knows its promise, and that it has lost something, but not what.
    """
    return Step(
        when={
            "it has promised just that": And(
                Not(s.left(a, promised)),
                w.all((BALLOT,), lambda c: Or(Not(w.ballot_lt(c, promised)), s.left(a, c))),
            ),
        },
        then={
            "above": lambda x, j, c: And(
                s.above(x, j, c), Or(Not(x == a), Not(j == i), w.ballot_lt(c, low))
            ),
            "suspect": lambda x, j: Or(s.suspect(x, j), x == a),
            "risky": lambda x, c: Or(s.risky(x, c), And(x == a, w.ballot_le(c, promised))),
        },
    )


def narrow(w, s, a: ACCEPTOR, b: BALLOT, start: SLOT):
    """`Doubt::settles`: what was lost above a later leader's start does not matter."""
    return Step(
        when={
            "the leader says that its start is chosen": And(
                s.start(b, start), s.announced(b, start)
            ),
            "no vote at its ballot may be lost": Not(s.risky(a, b)),
        },
        then={
            "suspect": lambda x, j: And(
                s.suspect(x, j), Or(Not(x == a), w.slot_le(j, start))
            )
        },
    )


def mend(w, s, n: NODE, a: ACCEPTOR, b: BALLOT, i: SLOT, v: VALUE):
    """`Replica::mend`: a decided value is kept as a vote, as if the leader had proposed it.

    Where the leader did propose, this is `accept`. Whoever is shown the vote may count it.
    """
    return Step(
        when={
            "a learner says what was decided": s.believes(n, i, v),
            "the leader says that something was": s.announced(b, i),
            "the leader has not proposed there": Not(s.used(b, i)),
            "nothing higher is promised": Not(s.left(a, b)),
        },
        then={
            "left": lambda x, c: Or(s.left(x, c), And(x == a, w.ballot_lt(c, b))),
            "voted": add(s.voted, a, b, i, v),
            "above": lambda x, j, c: Or(
                s.above(x, j, c), And(x == a, j == i, w.ballot_lt(c, b))
            ),
            "accepted": add(s.accepted, a, b, i),
            "proposed": add(s.proposed, b, i, v),
            "used": add(s.used, b, i),
        },
    )


def trust(w, s, a: ACCEPTOR, i: SLOT, b: BALLOT):
    """`Acceptor::gap`: it holds a vote in the slot that is later than all that was lost. The code
    says so of all slots at once.
    """
    return Step(
        when={
            "it remembers a vote as high as that": w.all(
                (BALLOT,), lambda c: Or(Not(w.ballot_lt(c, b)), s.above(a, i, c))
            ),
            "no vote at that ballot may be lost": Not(s.risky(a, b)),
        },
        then={"suspect": lambda x, j: And(s.suspect(x, j), Or(Not(x == a), Not(j == i)))},
    )


# ---- a leader and what it has learned ----


def settle(w, s, n: NODE, b: BALLOT, end: SLOT):
    """`Proposer::settled`: the prefix has reached `end`, and no proposal below differs from it.

    Also `Proposer::prepare`, which never asks for what is below its prefix.
    """
    return Step(
        when={
            "the ballot is its own": w.owns(n, b),
            "the ballot is under way": And(s.prepared(b), Not(s.over(b))),
            "it has learned every slot below, and proposed nothing else there": w.all(
                (SLOT,),
                lambda i: Or(
                    Not(w.slot_lt(i, end)),
                    w.some(
                        (VALUE,),
                        lambda v: And(
                            s.believes(n, i, v),
                            w.all((VALUE,), lambda u: Or(Not(s.proposed(b, i, u)), u == v)),
                        ),
                    ),
                ),
            ),
        },
        then={"settled": lambda c, i: Or(s.settled(c, i), And(c == b, w.slot_lt(i, end)))},
    )


def give_up(w, s, n: NODE, b: BALLOT):
    """`Proposer::give_up`: deposed, overtaken, or for no reason at all."""
    return Step(
        when={"the ballot is its own": And(w.owns(n, b), s.prepared(b))},
        then={"over": add(s.over, b)},
    )


def announce(w, s, n: NODE, b: BALLOT, end: SLOT):
    """The watermark in Heartbeat, Accept and Chosen."""
    return Step(
        when={
            "the ballot is its own": w.owns(n, b),
            "it leads": And(s.elected(b), Not(s.over(b))),
            "every slot below is settled": w.all(
                (SLOT,), lambda i: Or(Not(w.slot_lt(i, end)), s.settled(b, i))
            ),
        },
        then={"announced": lambda c, i: Or(s.announced(c, i), And(c == b, w.slot_lt(i, end)))},
    )


# ---- learners ----


def count(w, s, n: NODE, b: BALLOT, i: SLOT, v: VALUE, q: QUORUM2):
    """`Learner::see` and `count`, or `Proposer::accepted` at a leader: a quorum at one ballot.

    A vote shown in Votes counts as an Accepted and its value as a proposal seen: both are true
    whenever it is sent.
    """
    return Step(
        when={
            "the proposal was seen": s.proposed(b, i, v),
            "a phase-2 quorum accepted the ballot": w.all(
                (ACCEPTOR,), lambda a: Or(Not(w.in_quorum2(a, q)), s.accepted(a, b, i))
            ),
        },
        then={"believes": add(s.believes, n, i, v), "chosen": add(s.chosen, i, v)},
    )


def apply_watermark(w, s, n: NODE, b: BALLOT, i: SLOT, v: VALUE, seen_at: BALLOT):
    """`Learner::announced`: the leader's word, about a proposal seen at that very ballot."""
    return Step(
        when={
            "the slot was announced": s.announced(b, i),
            "the proposal was seen": s.proposed(seen_at, i, v),
            "at that very ballot": seen_at == b,
        },
        then={"believes": add(s.believes, n, i, v)},
    )


def learn(w, s, n: NODE, m: NODE, i: SLOT, v: VALUE):
    """`Learner::learn` from Learned: another learner's word."""
    return Step(
        when={"another learner says so": s.believes(m, i, v)},
        then={"believes": add(s.believes, n, i, v)},
    )


ACTIONS = {
    action.__name__: action
    for action in (
        prepare,
        promise,
        promise_late,
        lead,
        propose_adopted,
        propose_noop,
        propose_start,
        propose,
        accept,
        lose,
        narrow,
        mend,
        trust,
        settle,
        give_up,
        announce,
        count,
        apply_watermark,
        learn,
    )
}


def parameters(w, action):
    """Elements for the action's parameters, and what is known about them."""
    sorts = action.__annotations__
    chosen = {name: w.any_of(sort, name) for name, sort in sorts.items()}
    return chosen, And([w.closure(sort, chosen[name]) for name, sort in sorts.items()])
