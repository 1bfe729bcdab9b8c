"""What is always true, conjunct by conjunct, and the properties that follow from it.

Together the conjuncts are inductive: true at the beginning, and kept by every action. `safe_value`
is the heart of Paxos; the rest says that messages and memories mean what they say.
"""

from z3 import And, Implies, Not, Or

from world import ACCEPTOR, BALLOT, NODE, QUORUM1, QUORUM2, SLOT, VALUE

INVARIANT = {}
SAFETY = {}


def conjunct(holds):
    INVARIANT[holds.__name__] = holds
    return holds


def safety(*sorts):
    """A property of all elements of the sorts; a counterexample is a few of them."""

    def register(holds):
        SAFETY[holds.__name__] = (sorts, holds)
        return holds

    return register


def voted_by(w, s, q, b, i, v):
    """Every member of the phase-2 quorum has voted for the value at the ballot."""
    return w.all((ACCEPTOR,), lambda a: Implies(w.in_quorum2(a, q), s.voted(a, b, i, v)))


# ---- properties ----


@safety(QUORUM2, QUORUM2, BALLOT, BALLOT, SLOT, VALUE, VALUE)
def one_value_is_chosen(w, s, p, q, b, c, i, u, v):
    """Two phase-2 quorums, each of one ballot, have voted for the same value in a slot."""
    return Implies(And(voted_by(w, s, p, b, i, u), voted_by(w, s, q, c, i, v)), u == v)


@safety(NODE, SLOT, VALUE)
def only_the_chosen_is_believed(w, s, n, i, v):
    """What a learner believes, a phase-2 quorum has voted for at one ballot."""
    quorum = w.some((BALLOT, QUORUM2), lambda b, q: voted_by(w, s, q, b, i, v))
    return Implies(s.believes(n, i, v), quorum)


@safety(NODE, NODE, SLOT, VALUE, VALUE)
def learners_agree(w, s, n, m, i, u, v):
    """Two learners believe the same of a slot."""
    return Implies(And(s.believes(n, i, u), s.believes(m, i, v)), u == v)


# ---- proposals ----


@conjunct
def proposals_are_of_elected_ballots(w, s):
    """Nothing is proposed before a phase-1 quorum has promised, and nothing at no ballot."""
    return w.all(
        (BALLOT, SLOT, VALUE),
        lambda b, i, v: Implies(
            s.proposed(b, i, v), And(s.elected(b), s.prepared(b), s.used(b, i))
        ),
    )


@conjunct
def elected_ballots_were_prepared(w, s):
    """A leader has asked before it leads, at a real ballot."""
    return w.all(
        (BALLOT,),
        lambda b: And(Implies(s.elected(b), s.prepared(b)), Implies(s.prepared(b), b != w.none)),
    )


@conjunct
def one_value_a_ballot_and_slot(w, s):
    """One ballot proposes at most one value in a slot."""
    return w.all(
        (BALLOT, SLOT, VALUE, VALUE),
        lambda b, i, u, v: Implies(And(s.proposed(b, i, u), s.proposed(b, i, v)), u == v),
    )


@conjunct
def safe_value(w, s):
    """Whatever is proposed, no other value can ever be chosen in the slot at a lower ballot: of
    every phase-2 quorum a member has promised more than that ballot, and did not vote for it."""
    return w.all(
        (BALLOT, BALLOT, SLOT, VALUE, VALUE, QUORUM2),
        lambda low, b, i, u, v, q: Implies(
            And(s.proposed(b, i, v), w.ballot_lt(low, b), u != v),
            w.some(
                (ACCEPTOR,),
                lambda a: And(
                    w.in_quorum2(a, q), s.left(a, low), Not(s.voted(a, low, i, u))
                ),
            ),
        ),
    )


# ---- acceptors ----


@conjunct
def votes_are_for_proposals(w, s):
    """An acceptor votes only for what the ballot's leader proposed."""
    return w.all(
        (ACCEPTOR, BALLOT, SLOT, VALUE),
        lambda a, b, i, v: Implies(s.voted(a, b, i, v), s.proposed(b, i, v)),
    )


@conjunct
def a_vote_is_a_promise(w, s):
    """The promise of an acceptor is never below one of its votes."""
    return w.all(
        (ACCEPTOR, BALLOT, BALLOT, SLOT, VALUE),
        lambda a, low, b, i, v: Implies(
            And(s.voted(a, b, i, v), w.ballot_lt(low, b)), s.left(a, low)
        ),
    )


@conjunct
def a_promise_is_kept(w, s):
    """The promise of an acceptor is never below a Promise that it sent."""
    return w.all(
        (ACCEPTOR, BALLOT, BALLOT),
        lambda a, low, b: Implies(And(s.promised(a, b), w.ballot_lt(low, b)), s.left(a, low)),
    )


@conjunct
def the_highest_vote_is_remembered(w, s):
    """Per slot, an acceptor's memory holds no vote lower than one that it has cast, unless that was
    lost and is suspect, or does not matter any more."""
    return w.all(
        (ACCEPTOR, BALLOT, BALLOT, SLOT, VALUE),
        lambda a, low, b, i, v: Implies(
            And(s.voted(a, b, i, v), w.ballot_lt(low, b)),
            Or(s.above(a, i, low), And(s.suspect(a, i), s.risky(a, b)), s.closed(b, i)),
        ),
    )


@conjunct
def what_is_lost_is_below_the_promise(w, s):
    """Where a vote may be lost, so may every lower one, and only up to the promise."""
    return w.all(
        (ACCEPTOR, BALLOT, BALLOT),
        lambda a, low, b: Implies(
            And(s.risky(a, b), w.ballot_lt(low, b)), And(s.risky(a, low), s.left(a, low))
        ),
    )


@conjunct
def nothing_is_chosen_where_a_later_leader_started(w, s):
    """At a closed ballot and slot no value can get a quorum any more, whatever is forgotten: of every
    phase-2 quorum a member has promised more than that ballot, and did not vote for it."""
    return w.all(
        (BALLOT, SLOT, VALUE, QUORUM2),
        lambda b, i, v, q: Implies(
            s.closed(b, i),
            w.some(
                (ACCEPTOR,),
                lambda a: And(w.in_quorum2(a, q), s.left(a, b), Not(s.voted(a, b, i, v))),
            ),
        ),
    )


@conjunct
def a_start_closes_what_is_above(w, s):
    """From a leader's start on, every lower ballot is closed."""
    return w.all(
        (BALLOT, BALLOT, SLOT, SLOT),
        lambda low, b, start, i: Implies(
            And(s.start(b, start), w.ballot_lt(low, b), w.slot_le(start, i)), s.closed(low, i)
        ),
    )


@conjunct
def only_leaders_announce(w, s):
    """What is announced is announced at an elected ballot."""
    return w.all((BALLOT, SLOT), lambda b, i: Implies(s.announced(b, i), s.elected(b)))


@conjunct
def accepted_names_the_vote(w, s):
    """An Accepted stands for a vote for what the ballot proposed there."""
    return w.all(
        (ACCEPTOR, BALLOT, SLOT, VALUE),
        lambda a, b, i, v: Implies(
            s.accepted(a, b, i),
            And(s.used(b, i), Implies(s.proposed(b, i, v), s.voted(a, b, i, v))),
        ),
    )


# ---- promises ----


@conjunct
def reports_are_votes(w, s):
    """A vote reported in a Promise was cast, at the ballot that is reported, below the promise."""
    return w.all(
        (ACCEPTOR, BALLOT, SLOT, BALLOT, VALUE),
        lambda a, b, i, vb, v: Implies(
            s.reports(a, b, i, vb, v), And(s.voted(a, vb, i, v), w.ballot_lt(vb, b))
        ),
    )


@conjunct
def what_is_not_reported_is_not_cast(w, s):
    """Where a Promise shows no vote above a ballot, there is none below the promise, and there
    never will be, except where it does not matter."""
    return w.all(
        (ACCEPTOR, BALLOT, SLOT, BALLOT, BALLOT, VALUE),
        lambda a, b, i, shown, c, v: Implies(
            And(s.nothing_above(a, b, i, shown), s.voted(a, c, i, v)),
            Or(w.ballot_le(c, shown), w.ballot_le(b, c), s.closed(c, i)),
        ),
    )


@conjunct
def pages_belong_to_promises(w, s):
    """What a Promise shows was shown by an acceptor that has promised."""
    return w.all(
        (ACCEPTOR, BALLOT, SLOT, BALLOT),
        lambda a, b, i, shown: Implies(s.nothing_above(a, b, i, shown), s.promised(a, b)),
    )


@conjunct
def leaders_have_a_quorum(w, s):
    """A ballot is elected by a phase-1 quorum."""
    return w.all(
        (BALLOT,),
        lambda b: Implies(s.elected(b), w.some((QUORUM1,), lambda q: s.elected_by(b, q))),
    )


@conjunct
def leaders_have_promises(w, s):
    """Whoever is in the quorum that elected a ballot has promised it."""
    return w.all(
        (ACCEPTOR, BALLOT, QUORUM1),
        lambda a, b, q: Implies(
            s.elected_by(b, q), And(s.elected(b), Implies(w.in_quorum1(a, q), s.promised(a, b)))
        ),
    )


@conjunct
def no_votes_from_the_start_on(w, s):
    """Only an elected ballot has a start, and its quorum reports no vote from there on."""
    return w.all(
        (ACCEPTOR, BALLOT, SLOT, SLOT, QUORUM1),
        lambda a, b, start, i, q: Implies(
            s.start(b, start),
            And(
                s.elected(b),
                Implies(
                    And(s.elected_by(b, q), w.in_quorum1(a, q), w.slot_le(start, i)),
                    s.nothing_above(a, b, i, w.none),
                ),
            ),
        ),
    )


# ---- learners ----


@conjunct
def chosen_has_a_quorum(w, s):
    """What counts as chosen, a phase-2 quorum has voted for at one ballot."""
    return w.all(
        (SLOT, VALUE),
        lambda i, v: Implies(
            s.chosen(i, v), w.some((BALLOT, QUORUM2), lambda b, q: voted_by(w, s, q, b, i, v))
        ),
    )


@conjunct
def believed_is_chosen(w, s):
    """What a learner believes is chosen."""
    return w.all((NODE, SLOT, VALUE), lambda n, i, v: Implies(s.believes(n, i, v), s.chosen(i, v)))


@conjunct
def settled_is_chosen(w, s):
    """What a leader proposed in a slot that it has settled is what was chosen there."""
    return w.all(
        (BALLOT, SLOT, VALUE),
        lambda b, i, v: Implies(And(s.settled(b, i), s.proposed(b, i, v)), s.chosen(i, v)),
    )


@conjunct
def announced_is_settled(w, s):
    """A leader announces no slot that it has not settled."""
    return w.all((BALLOT, SLOT), lambda b, i: Implies(s.announced(b, i), s.settled(b, i)))
