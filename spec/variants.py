"""The model with one rule broken, again and again. Each must be refused.

A broken variant is the model with one named change: a condition dropped or replaced, or a relation
changed differently. Conditions are dropped by name, so a variant cannot outlive the rule that it
breaks. A change stays in the fragment of the model (see there), so that z3 decides it, too.

Beside it stands the outline of a run that goes wrong: which actions, in which order. Who acts, at
which ballot, in which slot, with which value and with which quorums is left to z3.

A variant without an outline breaks the invariant only.
"""

from dataclasses import dataclass, field

from z3 import And, Not, Or

from world import ACCEPTOR, BALLOT, SLOT, VALUE

VARIANTS = {}


@dataclass
class Variant:
    """One named change."""

    says: str
    outline: list
    action: str = ""
    change: object = None
    without_axioms: list = field(default_factory=list)


def breaks(action, outline):
    """The decorated function changes a step of the action: (world, state, parameters, step)."""

    def register(change):
        VARIANTS[change.__name__] = Variant(change.__doc__, outline.split(), action, change)
        return change

    return register


ELECT = "prepare promise promise lead "
TWO_LEADERS = "prepare promise promise lead prepare promise promise lead "


# ---- acceptors ----


@breaks("accept", TWO_LEADERS + "propose propose" + " accept" * 4)
def accept_below_promise(w, s, p, step):
    """An acceptor accepts a ballot below its promise."""
    del step.when["nothing higher is promised"]


@breaks("promise", TWO_LEADERS + "propose propose" + " accept" * 4)
def promise_is_not_remembered(w, s, p, step):
    """An acceptor sends its promise and does not remember it."""
    step.then["left"] = s.left


@breaks("accept", "")
def accept_does_not_promise(w, s, p, step):
    """Accepting a ballot does not promise it."""
    step.then["left"] = s.left


@breaks(
    "accept",
    TWO_LEADERS + "propose propose accept accept accept " + ELECT + "propose_adopted accept accept",
)
def last_vote_kept(w, s, p, step):
    """Accepting a ballot does not promise it, and the last vote replaces a higher one."""
    step.then["left"] = s.left
    here = lambda a, i: And(a == p["a"], i == p["i"])
    step.then["above"] = lambda a, i, c: Or(
        And(here(a, i), w.ballot_lt(c, p["b"])), And(Not(here(a, i)), s.above(a, i, c))
    )


@breaks("promise", ELECT + "propose accept accept " + ELECT + "propose accept accept")
def votes_are_forgotten(w, s, p, step):
    """An acceptor promises from an empty disk: it reports no vote."""
    step.then["reports"] = s.reports
    step.then["nothing_above"] = lambda a, b, i, c: Or(
        s.nothing_above(a, b, i, c), And(a == p["a"], b == p["b"])
    )


OLD_VOTE_ADOPTED = (
    ELECT + "propose accept " + ELECT + "propose accept accept "
    + ELECT + "propose_adopted accept accept"
)


@breaks("promise", OLD_VOTE_ADOPTED)
def promise_reported_as_vote(w, s, p, step):
    """A promise reports the promised ballot as if it were the ballot of the vote."""
    vote = lambda i, v: w.some(
        (BALLOT,), lambda c: And(s.voted(p["a"], c, i, v), Not(s.above(p["a"], i, c)))
    )
    mine = lambda a, b: And(a == p["a"], b == p["b"])
    step.then["reports"] = lambda a, b, i, vb, v: Or(
        s.reports(a, b, i, vb, v), And(mine(a, b), vb == b, vote(i, v))
    )
    step.then["nothing_above"] = lambda a, b, i, c: Or(
        s.nothing_above(a, b, i, c),
        And(mine(a, b), Or(w.ballot_le(b, c), Not(w.some((VALUE,), lambda v: vote(i, v))))),
    )


# ---- an acceptor that has lost votes ----


@breaks("promise", ELECT + "propose accept accept lose " + ELECT + "propose accept accept")
def suspect_counted(w, s, p, step):
    """An acceptor that may have lost its vote reports that it has none."""
    step.then["nothing_above"] = lambda x, c, i, vb: Or(
        s.nothing_above(x, c, i, vb),
        And(x == p["a"], c == p["b"], Not(s.above(p["a"], i, vb))),
    )


STARTED = ELECT + "propose_start accept accept count settle announce "


@breaks(
    "narrow",
    STARTED + "propose accept accept lose narrow " + ELECT + "propose_start accept accept",
)
def settled_by_whom_it_voted_for(w, s, p, step):
    """A leader settles what was lost who may have counted some of it."""
    del step.when["no vote at its ballot may be lost"]


@breaks(
    "mend",
    ELECT + "propose_start accept accept count " + ELECT + "settle announce mend "
    + ELECT + "propose_adopted accept accept",
)
def undecided_value_mended(w, s, p, step):
    """An acceptor keeps as a vote what was not decided."""
    del step.when["a learner says what was decided"]


@breaks(
    "trust",
    ELECT + "propose accept accept lose trust trust " + ELECT + "propose_noop accept accept",
)
def old_vote_trusted(w, s, p, step):
    """An acceptor trusts its memory where a later vote may be lost."""
    del step.when["no vote at that ballot may be lost"]


# ---- leaders ----


@breaks("lead", TWO_LEADERS + "propose propose" + " accept" * 4)
def stale_promises_counted(w, s, p, step):
    """A leader counts promises of another ballot."""
    step.when["a phase-1 quorum has promised"] = w.some(
        (BALLOT,),
        lambda c: w.all(
            (ACCEPTOR,), lambda a: Or(Not(w.in_quorum1(a, p["q"])), s.promised(a, c))
        ),
    )
    del step.when["no votes from the start on"]


@breaks("lead", ELECT + "propose accept accept " + ELECT + "propose accept accept")
def quorum_not_complete(w, s, p, step):
    """One promise is enough to lead."""
    mine = lambda a: And(w.in_quorum1(a, p["q"]), s.promised(a, p["b"]))
    step.when["a phase-1 quorum has promised"] = w.some((ACCEPTOR,), mine)
    del step.when["no votes from the start on"]


@breaks("propose_adopted", OLD_VOTE_ADOPTED)
def any_vote_adopted(w, s, p, step):
    """A leader adopts any reported vote, not the highest."""
    del step.when["no vote that its quorum reports is higher"]


@breaks("propose_noop", ELECT + "propose accept accept " + ELECT + "propose_noop accept accept")
def noop_over_a_vote(w, s, p, step):
    """A leader proposes a no-op where a vote was reported."""
    del step.when["its quorum reports no vote"]


@breaks("propose", ELECT + "propose accept accept " + ELECT + "propose accept accept")
def new_value_over_a_vote(w, s, p, step):
    """A leader proposes a client's value below its start, where a vote was reported."""
    del step.when["the slot is above the start"]


@breaks("propose", ELECT + "propose propose" + " accept" * 4)
def two_proposals_a_slot(w, s, p, step):
    """A ballot proposes twice in a slot; also a leader that reuses a ballot in its next life."""
    del step.when["the slot is not used"]


OVERTAKEN = (
    ELECT + "propose " + ELECT + "propose_start propose accept accept accept accept count count "
    "settle announce apply_watermark"
)


@breaks("settle", OVERTAKEN)
def overtaken_leader_announces(w, s, p, step):
    """A leader goes on announcing after it has learned a choice that it did not propose."""
    del step.when["it has learned every slot below, and proposed nothing else there"]
    step.when["it has learned every slot below"] = w.all(
        (SLOT,),
        lambda i: Or(
            Not(w.slot_lt(i, p["end"])), w.some((VALUE,), lambda v: s.believes(p["n"], i, v))
        ),
    )


@breaks(
    "propose",
    ELECT + ELECT + "propose_start propose accept accept accept accept count count "
    "settle announce propose apply_watermark",
)
def proposes_below_its_prefix(w, s, p, step):
    """A leader proposes in a slot that it has announced."""
    del step.when["the slot is above its prefix"]


# ---- learners ----


@breaks("apply_watermark", OVERTAKEN)
def watermark_for_another_ballot(w, s, p, step):
    """A learner applies a ballot's watermark to another ballot's proposal."""
    del step.when["at that very ballot"]


@breaks("count", TWO_LEADERS + "propose accept propose accept count")
def counted_across_ballots(w, s, p, step):
    """A learner counts votes of two ballots together."""
    voted_at = lambda a, c: Or(s.accepted(a, p["b"], p["i"]), s.accepted(a, c, p["i"]))
    step.when["a phase-2 quorum accepted the ballot"] = w.some(
        (BALLOT,),
        lambda c: w.all(
            (ACCEPTOR,), lambda a: Or(Not(w.in_quorum2(a, p["q"])), voted_at(a, c))
        ),
    )


@breaks("count", ELECT + "propose accept count")
def one_vote_is_enough(w, s, p, step):
    """A learner believes at the first vote of a quorum."""
    step.when["a phase-2 quorum accepted the ballot"] = w.some(
        (ACCEPTOR,), lambda a: And(w.in_quorum2(a, p["q"]), s.accepted(a, p["b"], p["i"]))
    )


# ---- configuration ----

VARIANTS["quorums_need_not_meet"] = Variant(
    says="A phase-1 and a phase-2 quorum may have no common member.",
    outline=(TWO_LEADERS + "propose propose" + " accept" * 4).split(),
    without_axioms=["quorums meet"],
)
