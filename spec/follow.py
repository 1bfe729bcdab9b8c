"""Follows a walk through the model: each observation is explained by actions, or refused.

An observation is a dictionary as `crates/sim/examples/behaviour.rs` prints it: what was said, what
became durable, what was learned, who leads and who gave up. Whatever the model does inside of
itself is inferred: `settle` before a watermark, the ground for a belief, the quorum of a leader.
An action is taken only if each of its conditions holds; a message that no action sends must be
true. So whoever gets to the end has shown a behaviour of the model.
"""

from collections import Counter, defaultdict
from itertools import combinations, repeat

from concrete import AXIOMS, Action, Cluster, State
from model import ACTIONS, RELATIONS
from world import ACCEPTOR, BALLOT, NODE, QUORUM1, QUORUM2, SLOT, VALUE

NOOP, LEADER_START = 0, 1


class Refused(Exception):
    """No action explains an observation."""

    def __init__(self, action, conditions, chosen):
        super().__init__(f"{action}: {'; '.join(conditions)}")
        self.action = action
        self.conditions = conditions
        self.chosen = chosen


class Model:
    """The actions, or those of a broken variant; both as functions of a concrete state."""

    def __init__(self, variant=None):
        changed = variant.action if variant else None
        self.actions = {
            name: Action(name, variant.change if name == changed else None) for name in ACTIONS
        }
        without = variant.without_axioms if variant else []
        self.axioms = {name: holds for name, holds in AXIOMS.items() if name not in without}

    def lost_by(self, other):
        """The conditions and axioms that the other does not have, or has in another form."""
        kept = {
            (action.name, *condition)
            for action in other.actions.values()
            for condition in action.sources.items()
        }
        lost = {
            name
            for action in self.actions.values()
            for name, text in action.sources.items()
            if (action.name, name, text) not in kept
        }
        return lost | (self.axioms.keys() - other.axioms.keys())


class Heard:
    """What a learner has heard in one life."""

    def __init__(self):
        # (slot, value, ballot)
        self.proposals = set()
        # (acceptor, ballot, slot)
        self.accepted = set()
        # (ballot, slot)
        self.watermarks = set()
        # (learner, slot, value)
        self.told = set()


class Follower:
    """One walk under way: the model's state, and what the lives of leaders have heard."""

    def __init__(self, model, observations):
        self.model = model
        self.taken = Counter()
        # The actions that explain the latest observation.
        self.steps = []
        self.state = State()
        cluster, *_ = observations
        self.ballots = {ballot: place for place, ballot in enumerate(ballots_in(observations))}
        self.cluster = Cluster(
            {
                NODE: sorted({*cluster["leaders"], *cluster["learners"]}),
                ACCEPTOR: cluster["acceptors"],
                BALLOT: list(self.ballots.values()),
                SLOT: list(range(slots_in(observations))),
                VALUE: list(range(values_in(observations))),
                QUORUM1: quorums(cluster["acceptors"], cluster["phase1"]),
                QUORUM2: quorums(cluster["acceptors"], cluster["phase2"]),
            },
            owns={(ballot[1], place) for ballot, place in self.ballots.items()},
        )
        # Per node, the ballots that it has prepared in this life.
        self.asked = defaultdict(set)
        # Per ballot: the slot from which it asked for votes; per acceptor, the page that is to
        # come next; whose promise is complete; and which votes were reported.
        self.asked_from = {}
        self.pages = defaultdict(dict)
        self.complete = defaultdict(set)
        self.reported = defaultdict(set)
        self.heard = defaultdict(Heard)

    def observe(self, observation):
        """Finds the actions that explain the observation and takes them, or raises Refused."""
        self.steps = []
        said = {**observation, "node": observation.get("node")}
        if "ballot" in said:
            said["ballot"] = self.ballots[tuple(said["ballot"])]
        del said["what"]
        getattr(self, observation["what"].replace(" ", "_"))(**said)

    # ---- actions and claims ----

    def take(self, action, **chosen):
        fails = self.model.actions[action].fails(self.state, self.cluster, **chosen)
        if fails:
            raise Refused(action, fails, chosen)
        self.model.actions[action].take(self.state, self.cluster, **chosen)
        self.taken[action] += 1
        self.steps.append((action, chosen))

    def explain(self, candidates):
        """Takes the first action whose conditions hold. There is at least one candidate."""
        refusals = []
        for action, chosen in candidates:
            try:
                return self.take(action, **chosen)
            except Refused as refused:
                refusals.append(refused)
        # The one that came closest says most.
        raise min(refusals, key=lambda refused: len(refused.conditions))

    def claim(self, holds, condition, **chosen):
        """What is said must be so."""
        if not holds:
            raise Refused("claim", [condition], chosen)

    # ---- the cluster, lives ----

    def walk(self, **_):
        broken = [name for name, holds in self.model.axioms.items() if not holds(self.cluster)]
        if broken:
            raise Refused("axioms", broken, {})

    def begins(self, node):
        """A life begins: whatever the last one led or prepared is over. What it believed it may
        have to learn again; the model goes on to believe it."""
        self.heard.pop(node, None)
        for ballot in sorted(self.asked.pop(node, ())):
            self.take("give_up", n=node, b=ballot)

    # ---- phase 1 ----

    def prepare(self, node, ballot, **page):
        """A ballot is asked for, for the first time or again, or a further page of votes.

        The model's promise reports the votes in all slots, the code's those from `from` on: below
        it every slot must be in the leader's prefix. So the leader settles them at once, and
        from here on the model refuses any proposal there.
        """
        if ballot in self.asked[node]:
            return
        self.take("prepare", n=node, b=ballot)
        self.take("settle", n=node, b=ballot, end=page["from"])
        self.asked[node].add(ballot)
        self.asked_from[ballot] = page["from"]
        self.pages[ballot] = {a: page["from"] for a in self.cluster.elements[ACCEPTOR]}

    def has_promised(self, node, ballot):
        """The promise is durable. The model's promise happens here, in the order of the disk and
        not of the messages: two Prepares may be answered by one sync, and a crash may come between
        the sync and the answer."""
        late = (ballot,) in self.state.elected
        self.take("promise_late" if late else "promise", a=node, b=ballot)

    def promise(self, node, ballot, next, truncated, votes, **page):
        """A page of votes. The model sends all pages at once, in `has_promised`; each page must
        show of its slots exactly what the model reports. Once the leader asks no more, the model
        sends nothing and the leader reads nothing: then the page must be true, and the promise
        kept."""
        s, begin = self.state, page["from"]
        self.claim(truncated == 0, "no vote is cut", a=node)
        votes = self.votes_of(votes)
        if (ballot,) in s.elected:
            below = range(ballot)
            self.claim(
                all((node, low) in s.left for low in below), "the promise is durable", a=node
            )
            self.shows(node, votes)
            return
        self.claim((node, ballot) in s.promised, "the promise is durable", a=node, b=ballot)
        end = next if next is not None else len(self.cluster.elements[SLOT])
        reported = {
            (i, vb, v)
            for a, b, i, vb, v in s.reports
            if (a, b) == (node, ballot) and begin <= i < end
        }
        self.claim(
            votes == reported, "the page shows exactly the votes in its slots", a=node, b=ballot
        )

    def hears_promise(self, node, by, ballot, next, **page):
        """A page arrives at a leader. It counts if it is the one that was to come next; the promise
        is complete when the last is in, and the pages fit together without a gap."""
        if ballot not in self.asked[node] or self.pages[ballot].get(by) != page["from"]:
            return
        shown = self.votes_of(page["votes"])
        self.reported[ballot] |= {(by, *vote) for vote in shown}
        if next is None:
            del self.pages[ballot][by]
            self.complete[ballot].add(by)
        else:
            self.pages[ballot][by] = next

    def leads(self, node, ballot, recovered):
        """A leader is elected, by promises that are all complete at this life, and starts one past
        the slots that it must recover."""
        arrived = self.complete[ballot]
        candidates = [q for q in self.cluster.elements[QUORUM1] if q <= arrived]
        self.claim(candidates, "a phase-1 quorum's promises have arrived", b=ballot)
        start = self.asked_from[ballot] + recovered
        self.explain(("lead", dict(n=node, b=ballot, q=q, start=start)) for q in candidates)

    def gives_up(self, node, ballot):
        """A leader is deposed, overtaken, forsaken, or starts anew. If nobody ever heard of the
        ballot, for its node was silent, then the model has not either."""
        if ballot in self.asked[node]:
            self.take("give_up", n=node, b=ballot)

    # ---- phase 2 ----

    def accept(self, node, ballot, first, values, chosen):
        """Values are proposed, for the first time or again, with a watermark."""
        self.announces(node, ballot, chosen)
        for slot, value in enumerate(values, first):
            if (ballot, slot, value) not in self.state.proposed:
                self.explain(self.proposals(node, ballot, slot, value))

    def proposals(self, n, b, i, v):
        here = dict(n=n, b=b, i=i)
        s = self.state
        starts = [start for c, start in s.start if c == b] or [0]
        elected_by = [q for c, q in s.elected_by if c == b] or self.cluster.elements[QUORUM1][:1]
        for q in elected_by:
            for a, slot, vb, value in sorted(self.reported[b]):
                if (slot, value) == (i, v):
                    yield "propose_adopted", dict(**here, v=v, q=q, a=a, vb=vb)
            if v == NOOP:
                for start in starts:
                    yield "propose_noop", dict(**here, q=q, start=start)
        if v == LEADER_START:
            yield "propose_start", here
        for start in starts:
            yield "propose", dict(**here, v=v, start=start)

    def has_voted(self, node, ballot, first, values):
        """The votes are durable: as with promises, the model's action is here."""
        for slot, value in enumerate(values, first):
            self.take("accept", a=node, b=ballot, i=slot, v=value)

    def accepted(self, node, ballot, first, end):
        for slot in range(first, end):
            self.claim(
                (node, ballot, slot) in self.state.accepted,
                "the vote is durable",
                a=node,
                b=ballot,
                i=slot,
            )

    # ---- learners ----

    def heartbeat(self, node, ballot, chosen):
        self.announces(node, ballot, chosen)

    def chosen(self, node, ballot, chosen):
        self.announces(node, ballot, chosen)

    def announces(self, n, b, end):
        """A watermark. What it says must be settled, and is, if it can be."""
        if any((b, i) not in self.state.settled for i in range(end)):
            self.take("settle", n=n, b=b, end=end)
        self.take("announce", n=n, b=b, end=end)

    def believes(self, node, first, values):
        """Values are in a learner's prefix. In an earlier life they may have been before."""
        for slot, value in enumerate(values, first):
            if (node, slot, value) in self.state.believes:
                continue
            grounds = list(self.grounds(node, slot, value))
            self.claim(grounds, "there is a ground for what is believed", n=node, i=slot)
            self.explain(grounds)

    def grounds(self, n, i, v):
        """Every ground for which the learner has heard all that it needs, in this life."""
        heard = self.heard[n]
        own = {b for b in self.asked[n] if (b, i, v) in self.state.proposed}
        seen_at = {b for slot, value, b in heard.proposals if (slot, value) == (i, v)}
        for m in self.cluster.elements[NODE]:
            if (m, i, v) in heard.told:
                yield "learn", dict(n=n, m=m, i=i, v=v)
        for seen in sorted(seen_at | own):
            for b in self.cluster.elements[BALLOT]:
                if (b, i) in heard.watermarks:
                    yield "apply_watermark", dict(n=n, b=b, i=i, v=v, seen_at=seen)
            for q in self.cluster.elements[QUORUM2]:
                if all((a, seen, i) in heard.accepted for a in q):
                    yield "count", dict(n=n, b=seen, i=i, v=v, q=q)

    def learned(self, node, first, values):
        """A learner tells another what is chosen. It must believe it."""
        for slot, value in enumerate(values, first):
            here = (node, slot, value) in self.state.believes
            self.claim(here, "the sender believes it", n=node, i=slot)

    def votes(self, node, votes, **_):
        """An acceptor shows votes to a learner."""
        self.shows(node, self.votes_of(votes))

    def shows(self, a, votes):
        for i, b, v in votes:
            was_cast = (a, b, i, v) in self.state.voted
            self.claim(was_cast, "a vote that is shown is durable", a=a, b=b, i=i)

    def votes_of(self, votes):
        return {(slot, self.ballots[tuple(ballot)], value) for slot, ballot, value in votes}

    # ---- what learners hear ----

    def hears_accept(self, node, by, ballot, first, values, chosen):
        self.heard[node].proposals |= {(i, v, ballot) for i, v in enumerate(values, first)}
        self.hears_chosen(node, by, ballot, chosen)

    def hears_accepted(self, node, by, ballot, first, end):
        self.heard[node].accepted |= {(by, ballot, i) for i in range(first, end)}

    def hears_chosen(self, node, by, ballot, chosen):
        self.heard[node].watermarks |= {(ballot, i) for i in range(chosen)}

    def hears_heartbeat(self, node, by, ballot, chosen):
        self.hears_chosen(node, by, ballot, chosen)

    def hears_learned(self, node, by, first, values):
        self.heard[node].told |= {(by, i, v) for i, v in enumerate(values, first)}

    def hears_votes(self, node, by, votes, **_):
        """Each counts as an Accepted, and its value as a proposal seen."""
        for i, b, v in self.votes_of(votes):
            self.heard[node].proposals.add((i, v, b))
            self.heard[node].accepted.add((by, b, i))

    def hears_prepare(self, **_):
        """At a node that is also an acceptor."""

    # ---- the end ----

    def has_cut(self, node, **_):
        self.claim(False, "the model knows nothing of truncation", a=node)

    def end(self, violation, **_):
        self.claim(violation is None, f"the simulator itself found its promise broken: {violation}")


# ---- elements ----


def ballots_in(observations):
    """Every ballot, none first, then in their order: round, leader, incarnation."""
    found = set()
    for observation in observations:
        found.update(map(tuple, observation.get("ballots", ())))
        if "ballot" in observation:
            found.add(tuple(observation["ballot"]))
        found.update(tuple(ballot) for _, ballot, _ in observation.get("votes", ()))
    return [(0, 0, 0), *sorted(found - {(0, 0, 0)})]


def slots_in(observations):
    """One past every slot that is spoken of, and one more for what comes after."""
    highest = 0
    for observation in observations:
        for key in ("from", "next", "first", "end", "chosen", "slots"):
            highest = max(highest, observation.get(key) or 0)
        past = observation.get("first", 0) + len(observation.get("values", ()))
        shown = [slot for slot, _, _ in observation.get("votes", ())]
        highest = max([highest, past, *shown])
    return highest + 2


def values_in(observations):
    """One past the highest value."""
    highest = LEADER_START
    for observation in observations:
        shown = [value for _, _, value in observation.get("votes", ())]
        highest = max([highest, *observation.get("values", ()), *shown])
    return highest + 1


def quorums(acceptors, described):
    """All quorums of a size, for a larger one says no more; or those that are named."""
    if isinstance(described, int):
        return [frozenset(quorum) for quorum in combinations(acceptors, described)]
    return [frozenset(quorum) for quorum in described]


# ---- words ----

# Parameters of claims, named as the actions name theirs.
CLAIMED = {"n": NODE, "a": ACCEPTOR, "b": BALLOT, "i": SLOT}
# Elements of a relation that are shown.
SHOWN_MAX = 12


def described(follower, action, chosen):
    """An action with its parameters, in words."""
    sorts = ACTIONS[action].__annotations__ if action in ACTIONS else CLAIMED
    words = [f"{key}={word(follower, sorts[key], element)}" for key, element in chosen.items()]
    return " ".join([action, *words])


def around(follower, chosen):
    """The state around a refusal: what each relation holds of the elements that are named."""
    wanted = {sort: chosen[key] for key, sort in CLAIMED.items() if key in chosen}
    lines = []
    for relation, sorts in RELATIONS.items():
        named = [(sorts.index(sort), element) for sort, element in wanted.items() if sort in sorts]
        fits = lambda element: all(element[place] == value for place, value in named)
        found = sorted(filter(fits, getattr(follower.state, relation)), key=str)
        if named and found:
            text = ["(" + " ".join(map(word, repeat(follower), sorts, e)) + ")" for e in found]
            more = ["..."] if len(text) > SHOWN_MAX else []
            lines.append(f"{relation}: {' '.join(text[:SHOWN_MAX] + more)}")
    return lines


def word(follower, sort, element):
    if sort == BALLOT:
        round, leader, _ = list(follower.ballots)[element]
        return f"{round}·{leader}" if element else "none"
    if sort == VALUE and element in (NOOP, LEADER_START):
        return ("noop", "start")[element]
    if sort in (QUORUM1, QUORUM2):
        return f"{{{' '.join(map(str, sorted(element)))}}}"
    return str(element)
