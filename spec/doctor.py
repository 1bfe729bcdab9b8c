"""Sound walks with a lie in them. Each must be refused.

A change is given a walk and gives back the changed one, or none if the walk has nothing to change.
Beside it stands the condition that must refuse it.
"""

DOCTORED = {}


def doctored(condition):
    def register(change):
        DOCTORED[change.__name__] = condition, change
        return change

    return register


def place_of(walk, after=0, **wanted):
    """The place of the first observation from `after` on that is so."""
    for place in range(after, len(walk)):
        if all(walk[place].get(key) == value for key, value in wanted.items()):
            return place
    return None


def swapped(walk, first, second):
    """The same walk with two observations in each other's place."""
    if first is None or second is None:
        return None
    changed = list(walk)
    changed[first], changed[second] = walk[second], walk[first]
    return changed


def replaced(walk, place, **lie):
    return [*walk[:place], walk[place] | lie, *walk[place + 1 :]]


@doctored("the promise is durable")
def promise_before_its_sync(walk):
    """An acceptor sends its promise before the disk has it."""
    durable = place_of(walk, what="has promised")
    if durable is None:
        return None
    node, ballot = walk[durable]["node"], walk[durable]["ballot"]
    said = place_of(walk, durable, what="promise", node=node, ballot=ballot)
    return swapped(walk, durable, said)


@doctored("the vote is durable")
def vote_before_its_sync(walk):
    """An acceptor says that it has accepted before the disk has it."""
    durable = place_of(walk, what="has voted")
    if durable is None:
        return None
    node, ballot = walk[durable]["node"], walk[durable]["ballot"]
    said = place_of(walk, durable, what="accepted", node=node, ballot=ballot)
    return swapped(walk, durable, said)


@doctored("the ballot is new")
def ballot_of_two_lives(walk):
    """A leader's next life asks for a ballot of the last one."""
    asked = place_of(walk, what="prepare")
    if asked is None:
        return None
    born = place_of(walk, asked, what="begins", node=walk[asked]["node"])
    return born and [*walk[: born + 1], walk[asked] | {"from": 0}, *walk[born + 1 :]]


@doctored("the page shows exactly the votes in its slots")
def promise_shown_as_a_vote(walk):
    """An acceptor reports its vote at the ballot that it promises, not at that of the vote."""
    for place, said in enumerate(walk):
        if said["what"] == "promise":
            lie = [[slot, said["ballot"], value] for slot, _, value in said["votes"]]
            if lie != said["votes"]:
                return replaced(walk, place, votes=lie)
    return None


@doctored("the slot is above the start")
def adopted_value_exchanged(walk):
    """A leader proposes a value of its own where it should adopt one."""
    for place, led in enumerate(walk):
        if led["what"] == "leads" and led["recovered"]:
            said = place_of(walk, place, what="accept", ballot=led["ballot"])
            other = max(max(seen.get("values", [0]), default=0) for seen in walk)
            return said and replaced(walk, said, values=[other] * len(walk[said]["values"]))
    return None


@doctored("it leads")
def leads_on_after_giving_up(walk):
    """A leader that has given up announces once more."""
    over = place_of(walk, what="gives up")
    if over is None:
        return None
    lie = walk[over] | {"what": "heartbeat", "chosen": 0}
    return [*walk[: over + 1], lie, *walk[over + 1 :]]


DECISIVE = ("hears accepted", "hears chosen", "hears heartbeat", "hears votes", "hears learned")


@doctored("there is a ground for what is believed")
def deaf_learner(walk):
    """A learner believes what it has not heard to be chosen."""
    node = walk[0]["learners"][-1]
    return [said for said in walk if said.get("node") != node or said["what"] not in DECISIVE]


@doctored("there is a ground for what is believed")
def bare_watermark(walk):
    """A learner, no leader, takes another ballot's values for those that a watermark speaks of."""
    node = walk[0]["learners"][-1]
    ballots = [said["ballot"] for said in walk if "ballot" in said]
    others = [ballot for ballot in ballots if ballot != ballots[0] and ballot[1] != node]
    if not others or place_of(walk, what="prepare", node=node) is not None:
        return None
    changed = []
    for said in walk:
        heard = said["what"] if said.get("node") == node else None
        if heard == "hears accept" and said["ballot"] == ballots[0]:
            changed.append(said | {"ballot": others[0]})
        elif heard not in ("hears votes", "hears learned"):
            changed.append(said)
    return changed
