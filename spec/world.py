"""Sorts and quantifiers, in two readings: without bounds for the proof, with bounds for stories.

Knows no Paxos. The model, the invariant and the properties are written once, against `all` and
`some`. In an unbounded world these are z3's quantifiers over uninterpreted sorts: whatever is
proven holds for any number of nodes, acceptors, ballots, slots and values. In a bounded world the
sorts have a few named elements and quantifiers are spelt out, so that z3 finds a run, or that
there is none, without any guess about quantifiers.
"""

from itertools import product

import z3

NODE = "Node"
ACCEPTOR = "Acceptor"
BALLOT = "Ballot"
SLOT = "Slot"
VALUE = "Value"
QUORUM1 = "Quorum1"
QUORUM2 = "Quorum2"
SORTS = (NODE, ACCEPTOR, BALLOT, SLOT, VALUE, QUORUM1, QUORUM2)


class World:
    """What never changes: orders, who is in which quorum, who owns which ballot."""

    def __init__(self):
        self.sorts = {name: z3.DeclareSort(name) for name in SORTS}
        self.none = self.element(BALLOT, "NONE")
        self.noop = self.element(VALUE, "Noop")
        self.leader_start = self.element(VALUE, "LeaderStart")
        self.ballot_le = self.relation("ballot_le", BALLOT, BALLOT)
        self.slot_le = self.relation("slot_le", SLOT, SLOT)
        self.in_quorum1 = self.relation("in_quorum1", ACCEPTOR, QUORUM1)
        self.in_quorum2 = self.relation("in_quorum2", ACCEPTOR, QUORUM2)
        self.owns = self.relation("owns", NODE, BALLOT)

    def element(self, sort, name):
        return z3.Const(name, self.sorts[sort])

    def relation(self, name, *sorts):
        return z3.Function(name, *(self.sorts[sort] for sort in sorts), z3.BoolSort())

    def all(self, sorts, body):
        variables = [z3.FreshConst(self.sorts[sort], sort.lower()) for sort in sorts]
        return z3.ForAll(variables, body(*variables))

    def some(self, sorts, body):
        variables = [z3.FreshConst(self.sorts[sort], sort.lower()) for sort in sorts]
        return z3.Exists(variables, body(*variables))

    def ballot_lt(self, low, high):
        return z3.And(self.ballot_le(low, high), low != high)

    def slot_lt(self, low, high):
        return z3.And(self.slot_le(low, high), low != high)

    def any_of(self, sort, name):
        """An element about which nothing is known yet: an action's parameter."""
        return z3.FreshConst(self.sorts[sort], name)

    def closure(self, _sort, _element):
        """What is known about every element of a sort."""
        return z3.BoolVal(True)

    def elements(self):
        """What is known about the sorts themselves."""
        return z3.BoolVal(True)


class BoundedWorld(World):
    """A world of a few elements, each with a name."""

    def __init__(self, sizes):
        super().__init__()
        self.members = {
            sort: [self.element(sort, f"{sort.lower()}{i}") for i in range(sizes[sort])]
            for sort in SORTS
        }
        self.members[BALLOT][0] = self.none
        self.members[VALUE][0:2] = [self.noop, self.leader_start]

    def all(self, sorts, body):
        return z3.And([body(*each) for each in product(*(self.members[s] for s in sorts))])

    def some(self, sorts, body):
        return z3.Or([body(*each) for each in product(*(self.members[s] for s in sorts))])

    def closure(self, sort, element):
        return z3.Or([element == member for member in self.members[sort]])

    def elements(self):
        distinct = [z3.Distinct(members) for members in self.members.values() if len(members) > 1]
        # Names are in order, so that z3 need not look at every renaming.
        ordered = [self.ballot_le(a, b) for a, b in pairs(self.members[BALLOT])]
        ordered += [self.slot_le(a, b) for a, b in pairs(self.members[SLOT])]
        return z3.And(distinct + ordered)


def pairs(members):
    return zip(members, members[1:])
