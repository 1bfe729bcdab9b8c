"""Proves the invariant and its properties, and refuses every broken variant. Prints one line for
each obligation; the exit code is 1 if any fails.

    check.py                 everything
    check.py --each          a line for every action and conjunct
    check.py --run NAME      the run that z3 found for a variant or an example, step by step
"""

import argparse
import sys
import time
from dataclasses import dataclass
from itertools import product

import z3

from invariant import INVARIANT, SAFETY
from model import ACTIONS, RELATIONS, any_state, axioms, initial_state, parameters
from variants import ELECT, VARIANTS, Variant
from world import ACCEPTOR, BALLOT, NODE, QUORUM1, QUORUM2, SLOT, VALUE, BoundedWorld, World

# No obligation needs a second; whoever needs this many has left the decidable fragment.
PATIENCE_MS = 60_000

# The world of the runs. Ballots: NONE and three. Values: no-op, leader start and two clients'.
SIZES = {NODE: 2, ACCEPTOR: 3, BALLOT: 4, SLOT: 3, VALUE: 4, QUORUM1: 3, QUORUM2: 2}

# Runs that the unbroken model must allow: a proof about a model that cannot move says nothing.
EXAMPLES = {
    "adopted_and_chosen_again": ELECT
    + "propose accept prepare promise promise lead propose_adopted accept accept count",
    "noop_in_a_hole": ELECT + "propose accept " + ELECT + "propose_noop accept accept count",
    "three_grounds_for_belief": ELECT
    + "propose_start accept accept count settle announce apply_watermark learn",
    "lost_votes_are_mended": ELECT
    + "propose_start accept accept count lose "
    + ELECT
    + "settle propose_start accept accept count settle announce narrow mend trust",
    "overtaken_leader_gives_up": ELECT + ELECT + "propose_start accept accept count give_up",
}


class Table:
    """Obligation, result, time."""

    def __init__(self, width=38):
        self.width = width
        self.failed = 0
        self.started = time.monotonic()

    def row(self, obligation, good, result, seconds):
        self.failed += not good
        mark = "ok  " if good else "FAIL"
        print(f"{mark}  {obligation:<{self.width}} {result:<50} {seconds:5.2f} s", flush=True)

    def end(self):
        seconds = time.monotonic() - self.started
        print(f"\n{'FAILED: ' + str(self.failed) if self.failed else 'all hold'}, {seconds:.1f} s")
        return 1 if self.failed else 0


def check(*known):
    """Whether all of it can be true together."""
    solver = z3.Solver()
    solver.set("timeout", PATIENCE_MS)
    solver.add(*known)
    result = solver.check()
    return result, solver.model() if result == z3.sat else None


def fixed(world, variant=Variant("", [])):
    """What is known of a world at all times."""
    known = [
        axiom for name, axiom in axioms(world).items() if name not in variant.without_axioms
    ]
    return [world.elements(), *known]


def step_of(world, state, name, variant=Variant("", [])):
    """A step of the action with parameters that are left open, and what allows it."""
    chosen, known = parameters(world, ACTIONS[name])
    step = ACTIONS[name](world, state, **chosen)
    if variant.action == name:
        variant.change(world, state, chosen, step)
    return chosen, step, [known, *step.when.values()]


# ---- the proof ----


def prove(table, title, hypotheses, goals, each):
    """That each goal follows from the hypotheses."""
    started = time.monotonic()
    proven, broken = 0, []
    for name, goal in goals.items():
        began = time.monotonic()
        result, _ = check(*hypotheses, z3.Not(goal))
        proven += result == z3.unsat
        if result != z3.unsat:
            broken.append(f"{name} ({result})")
        if each:
            text = "proven" if result == z3.unsat else f"not proven ({result})"
            table.row(f"{title}: {name}", result == z3.unsat, text, time.monotonic() - began)
    if not each:
        text = f"{proven} of {len(goals)} proven"
        text = f"{text}; not: {', '.join(broken)}" if broken else text
        table.row(title, not broken, text, time.monotonic() - started)


def proof(table, each):
    world = World()
    state = any_state(world)
    known = fixed(world)
    holds = [conjunct(world, state) for conjunct in INVARIANT.values()]

    goals = {name: holds_in(world, initial_state()) for name, holds_in in INVARIANT.items()}
    prove(table, "initially", known, goals, each)
    for name in ACTIONS:
        _, step, allowed = step_of(world, state, name)
        after = state.after(step)
        goals = {name: holds_in(world, after) for name, holds_in in INVARIANT.items()}
        prove(table, f"kept by {name}", known + holds + allowed, goals, each)
    for name, (sorts, holds_for) in SAFETY.items():
        goal = world.all(sorts, lambda *elements: holds_for(world, state, *elements))
        prove(table, f"safe: {name}", known + holds, {name: goal}, False)


# ---- runs ----


def run_of(world, outline, variant=Variant("", [])):
    """A run of the actions from the beginning: what must be known, the end, the parameters."""
    state = initial_state()
    known = fixed(world, variant)
    steps = []
    for name in outline:
        chosen, step, allowed = step_of(world, state, name, variant)
        known += allowed
        steps.append((name, chosen))
        state = state.after(step)
    return known, state, steps


@dataclass
class Run:
    """A run that z3 has filled in. An element is its place among those of its sort."""

    # Per sort of quorums, the members of each.
    quorums: dict
    # Which node owns which ballot.
    owns: set
    # The actions, each with its parameters by name.
    steps: list
    # What each relation holds in the end; a function, for it takes a while.
    end: object


def violation(outline, variant):
    """A run that ends in a state in which a property is broken: its name, the run; or None."""
    world = BoundedWorld(SIZES)
    known, end, steps = run_of(world, outline, variant)
    for name, (sorts, holds) in SAFETY.items():
        example = [world.any_of(sort, sort) for sort in sorts]
        inside = [world.closure(sort, each) for sort, each in zip(sorts, example)]
        result, model = check(*known, *inside, z3.Not(holds(world, end, *example)))
        if result == z3.sat:
            return name, filled(world, end, steps, model)
        if result != z3.unsat:
            raise SystemExit(f"z3 gave up on a bounded run: {result}")
    return None


def example(name):
    """A run of the unbroken model along the outline; None if there is none."""
    world = BoundedWorld(SIZES)
    known, end, steps = run_of(world, EXAMPLES[name].split())
    result, model = check(*known)
    return filled(world, end, steps, model) if result == z3.sat else None


def filled(world, end, steps, model):
    value = lambda element: str(model.eval(element, model_completion=True))
    holds = lambda formula: z3.is_true(model.eval(formula, model_completion=True))
    places = {
        value(member): place
        for members in world.members.values()
        for place, member in enumerate(members)
    }
    members = lambda sort: list(enumerate(world.members[sort]))
    quorums = {
        sort: [
            [place for place, a in members(ACCEPTOR) if holds(inside(a, quorum))]
            for quorum in world.members[sort]
        ]
        for sort, inside in ((QUORUM1, world.in_quorum1), (QUORUM2, world.in_quorum2))
    }
    owns = {
        (node, ballot)
        for node, n in members(NODE)
        for ballot, b in members(BALLOT)
        if holds(world.owns(n, b))
    }
    elements = lambda sorts: product(*(members(sort) for sort in sorts))
    in_end = lambda: {
        name: {
            tuple(place for place, _ in element)
            for element in elements(sorts)
            if holds(getattr(end, name)(*(member for _, member in element)))
        }
        for name, sorts in RELATIONS.items()
    }
    in_places = lambda chosen: {key: places[value(element)] for key, element in chosen.items()}
    return Run(quorums, owns, [(name, in_places(chosen)) for name, chosen in steps], in_end)


def told(run):
    """A run in words, after the quorums that it needs."""
    names = {sort: list(map(str, each)) for sort, each in BoundedWorld(SIZES).members.items()}
    lines = []
    for sort, quorums in run.quorums.items():
        for place, quorum in enumerate(quorums):
            inner = " ".join(names[ACCEPTOR][acceptor] for acceptor in quorum)
            lines.append(f"{names[sort][place]} = {{{inner}}}")
    for number, (name, chosen) in enumerate(run.steps, 1):
        sorts = ACTIONS[name].__annotations__
        words = " ".join(f"{key}={names[sorts[key]][place]}" for key, place in chosen.items())
        lines.append(f"{number:3} {name:<16} {words}")
    return lines


def examples(table):
    for name in EXAMPLES:
        started = time.monotonic()
        run = example(name)
        text = f"possible, {len(run.steps)} steps" if run else "IMPOSSIBLE"
        table.row(f"example: {name}", run is not None, text, time.monotonic() - started)


# ---- broken variants ----


def broken_conjunct(variant):
    """The first obligation of the proof that fails for the variant; None if none does."""
    world = World()
    state = any_state(world)
    known = fixed(world, variant) + [holds(world, state) for holds in INVARIANT.values()]
    for action in [variant.action] if variant.action else ACTIONS:
        _, step, allowed = step_of(world, state, action, variant)
        for name, conjunct in INVARIANT.items():
            result, _ = check(*known, *allowed, z3.Not(conjunct(world, state.after(step))))
            if result == z3.sat:
                return f"{name} by {action}"
            if result == z3.unknown:
                raise SystemExit(f"z3 gave up on {name} by {action}: outside the fragment?")
    return None


def refuse(table):
    for name, variant in VARIANTS.items():
        started = time.monotonic()
        conjunct = broken_conjunct(variant)
        good, text = conjunct is not None, "NOT REFUSED"
        if good:
            text = f"not inductive: {conjunct}"
        if good and variant.outline:
            found = violation(variant.outline, variant)
            same_run_unbroken = violation(variant.outline, Variant("", []))
            good = found is not None and same_run_unbroken is None
            text = "NO RUN FOUND, or one without the change"
            if good:
                text = f"{found[0]} violated in {len(variant.outline)} steps"
        table.row(f"refused: {name}", good, text, time.monotonic() - started)


def show(name):
    if name in EXAMPLES:
        print("\n".join(told(example(name))))
        return 0
    variant = VARIANTS[name]
    print(f"{variant.says}\nNot inductive: {broken_conjunct(variant)}")
    found = violation(variant.outline, variant) if variant.outline else None
    if found:
        print("\n".join(told(found[1])))
        print(f"Violated: {found[0]}")
    return 0


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--each", action="store_true", help="a line for every conjunct")
    parser.add_argument("--run", metavar="NAME", choices=[*EXAMPLES, *VARIANTS])
    arguments = parser.parse_args()
    if arguments.run:
        return show(arguments.run)
    table = Table()
    proof(table, arguments.each)
    examples(table)
    refuse(table)
    return table.end()


if __name__ == "__main__":
    sys.exit(main())
