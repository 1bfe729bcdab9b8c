"""What would be observed of a run that z3 has found, as if it were a walk of the simulator.

The model whose run it is follows the observations while they are made: what an acceptor reports
depends on its state, and each observation must be a step of that model.

Whoever acts on what was never said, as only broken variants do, has heard it all the same. So it is
a condition of the model that refuses such a step, never what was heard.
"""

from check import SIZES
from concrete import Cluster, State
from follow import LEADER_START, NOOP, Follower
from model import ACTIONS, RELATIONS
from world import ACCEPTOR, BALLOT, NODE, QUORUM1, QUORUM2, SLOT, SORTS, VALUE


def differences(run, model):
    """What a concrete state makes of the run, against what z3 makes of it: the conditions that do
    not hold on the way, and the relations that differ in the end."""
    elements = {sort: list(range(SIZES[sort])) for sort in SORTS}
    elements |= {sort: list(map(frozenset, each)) for sort, each in run.quorums.items()}
    cluster, state = Cluster(elements, run.owns), State()
    different = [name for name, holds in model.axioms.items() if not holds(cluster)]
    for name, chosen in run.steps:
        sorts = ACTIONS[name].__annotations__
        chosen = {key: elements[sorts[key]][place] for key, place in chosen.items()}
        different += model.actions[name].fails(state, cluster, **chosen)
        model.actions[name].take(state, cluster, **chosen)
    for name, held in run.end().items():
        sorts = RELATIONS[name]
        wanted = {tuple(elements[s][place] for s, place in zip(sorts, e)) for e in held}
        different += [] if getattr(state, name) == wanted else [name]
    return different


def behaviour_of(name, run, model):
    """The observations. Raises Refused if the run is no behaviour of the model."""
    teller = Teller(name, run, model)
    for action, chosen in run.steps:
        getattr(teller, action)(**chosen)
    return teller.walk


class Teller:
    """A method for each action. Parameters are named as in the model."""

    def __init__(self, name, run, model):
        self.run = run
        owner = {ballot: node for node, ballot in run.owns}
        self.ballots = [[place, owner.get(place, 0), 0] for place in range(SIZES[BALLOT])]
        self.ballots[0] = [0, 0, 0]
        nodes = list(range(SIZES[NODE]))
        self.walk = [
            {
                "what": "walk",
                "seed": name,
                "leaders": nodes,
                "learners": nodes,
                "acceptors": list(range(SIZES[ACCEPTOR])),
                "phase1": run.quorums[QUORUM1],
                "phase2": run.quorums[QUORUM2],
                "ballots": self.ballots,
                "slots": SIZES[SLOT],
                "values": list(range(SIZES[VALUE])),
            }
        ]
        self.follower = Follower(model, self.walk)
        self.follower.observe(self.walk[0])

    def tell(self, what, **said):
        if "ballot" in said:
            said["ballot"] = self.ballots[said["ballot"]]
        observation = {"what": what, **said}
        self.follower.observe(observation)
        self.walk.append(observation)

    def page(self, a, b, is_last=True):
        """All that the acceptor reports, and whether the leader takes it for the last page."""
        votes = [
            [i, self.ballots[vb], v]
            for x, c, i, vb, v in sorted(self.follower.state.reports)
            if (x, c) == (a, b)
        ]
        after = None if is_last else SIZES[SLOT]
        return {"from": 0, "next": after, "truncated": 0, "votes": votes}

    # ---- phase 1 ----

    def prepare(self, n, b):
        self.tell("prepare", node=n, ballot=b, **{"from": 0})

    def promise(self, a, b):
        self.tell("has promised", node=a, ballot=b)
        self.tell("promise", node=a, ballot=b, **self.page(a, b))

    def promise_late(self, a, b):
        self.tell("has promised", node=a, ballot=b)

    def lead(self, n, b, q, start):
        for a in range(SIZES[ACCEPTOR]):
            page = self.page(a, b, a in self.run.quorums[QUORUM1][q])
            self.tell("hears promise", node=n, by=a, ballot=b, **page)
        self.tell("leads", node=n, ballot=b, recovered=start)

    # ---- phase 2 ----

    def propose(self, n, b, i, v, **_):
        self.tell("accept", node=n, ballot=b, first=i, values=[v], chosen=0)

    def propose_adopted(self, n, b, i, v, **_):
        self.propose(n, b, i, v)

    def propose_noop(self, n, b, i, **_):
        self.propose(n, b, i, NOOP)

    def propose_start(self, n, b, i):
        self.propose(n, b, i, LEADER_START)

    def accept(self, a, b, i, v):
        self.tell("has voted", node=a, ballot=b, first=i, values=[v])
        self.tell("accepted", node=a, ballot=b, first=i, end=i + 1)

    # ---- learners ----

    def settle(self, **_):
        """Nobody sees it before the leader announces."""

    def announce(self, n, b, end):
        self.tell("heartbeat", node=n, ballot=b, chosen=end)

    def give_up(self, n, b):
        self.tell("gives up", node=n, ballot=b)

    def count(self, n, b, i, v, q):
        self.sees(n, b, i, v)
        for a in self.run.quorums[QUORUM2][q]:
            self.tell("hears accepted", node=n, by=a, ballot=b, first=i, end=i + 1)
        self.tell("believes", node=n, first=i, values=[v])

    def apply_watermark(self, n, b, i, v, seen_at):
        self.sees(n, seen_at, i, v)
        self.tell("hears heartbeat", node=n, by=n, ballot=b, chosen=i + 1)
        self.tell("believes", node=n, first=i, values=[v])

    def learn(self, n, m, i, v):
        self.tell("learned", node=m, first=i, values=[v])
        self.tell("hears learned", node=n, by=m, first=i, values=[v])
        self.tell("believes", node=n, first=i, values=[v])

    def sees(self, n, b, i, v):
        heard = {"by": n, "ballot": b, "first": i, "values": [v], "chosen": 0}
        self.tell("hears accept", node=n, **heard)
