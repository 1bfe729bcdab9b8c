"""The third reading of the model: one state of one cluster, and what a step makes of it.

Nothing is written twice. A formula that z3 has proven something about is turned, once, into a
Python function: quantifiers become loops over the few elements of a walk, a relation becomes a set.
What a relation is after a step becomes a comprehension that yields the new elements only: it binds
what the formula says to be equal, walks through relations that the formula names, and tries a whole
sort only where nothing else is left.

Knows no Paxos beyond how elements are represented: a ballot is its place in the order, a quorum the
set of its members, everything else a number.
"""

from itertools import count, permutations

import z3

from model import ACTIONS, RELATIONS, any_state, axioms, parameters
from world import World

# Elements that the model names.
CONSTANTS = {"NONE": "0", "Noop": "0", "LeaderStart": "1"}

# What never changes, by how elements are represented. `W` is the cluster.
FIXED = {
    "ballot_le": "({} <= {})",
    "slot_le": "({} <= {})",
    "in_quorum1": "({} in {})",
    "in_quorum2": "({} in {})",
    "owns": "(({}, {}) in W.owns)",
}


class Cluster:
    """The elements of each sort, and who owns which ballot."""

    def __init__(self, elements, owns):
        self.elements = elements
        self.owns = owns


class State:
    """Each relation as a set."""

    def __init__(self):
        for name in RELATIONS:
            setattr(self, name, set())


class Action:
    """An action as functions of a state, a cluster and the action's parameters, by their names."""

    def __init__(self, name, change=None):
        world = World()
        before = any_state(world)
        chosen, _ = parameters(world, ACTIONS[name])
        step = ACTIONS[name](world, before, **chosen)
        if change:
            change(world, before, chosen, step)
        self.name = name
        self.sorts = ACTIONS[name].__annotations__
        names = {str(element): parameter for parameter, element in chosen.items()}
        heading = f"lambda S, W, {', '.join(self.sorts)}: "
        # Each condition as Python, and as a function.
        self.sources = {name: source(formula, names) for name, formula in step.when.items()}
        self.when = {name: eval(heading + text) for name, text in self.sources.items()}
        self.then = {}
        for relation, after in step.then.items():
            columns = [
                world.any_of(sort, f"column{place}")
                for place, sort in enumerate(RELATIONS[relation])
            ]
            keeps, parts = grown(after(*columns), relation, columns, names)
            self.then[relation] = keeps, [eval(heading + part) for part in parts]

    def fails(self, state, cluster, **chosen):
        """The conditions that do not hold."""
        return [name for name, holds in self.when.items() if not holds(state, cluster, **chosen)]

    def take(self, state, cluster, **chosen):
        """Makes the state the one after the step."""
        after = {}
        for relation, (keeps, parts) in self.then.items():
            new = set().union(*(part(state, cluster, **chosen) for part in parts))
            after[relation] = keeps, new
        for relation, (keeps, new) in after.items():
            if keeps:
                getattr(state, relation).update(new)
            else:
                setattr(state, relation, new)


def source(formula, names, bound=()):
    """The formula in Python. `names` are those of the free elements, `bound` the variables of the
    quantifiers around it, the innermost last."""
    inner = lambda part: source(part, names, bound)
    if z3.is_quantifier(formula):
        fresh = [f"x{len(bound) + place}" for place in range(formula.num_vars())]
        sorts = [formula.var_sort(place).name() for place in range(formula.num_vars())]
        loops = " ".join(f"for {x} in W.elements[{sort!r}]" for x, sort in zip(fresh, sorts))
        body = source(formula.body(), names, (*bound, *fresh))
        return f"{'all' if formula.is_forall() else 'any'}({body} {loops})"
    if z3.is_var(formula):
        return bound[-1 - z3.get_var_index(formula)]
    parts = [inner(part) for part in formula.children()]
    if z3.is_true(formula) or z3.is_false(formula):
        return str(z3.is_true(formula))
    if z3.is_and(formula):
        return f"({' and '.join(parts)})" if parts else "True"
    if z3.is_or(formula):
        return f"({' or '.join(parts)})" if parts else "False"
    if z3.is_not(formula):
        return f"(not {parts[0]})"
    if z3.is_eq(formula):
        return f"({parts[0]} == {parts[1]})"
    if z3.is_distinct(formula) and len(parts) == 2:
        return f"({parts[0]} != {parts[1]})"
    name = formula.decl().name()
    if name in FIXED:
        return FIXED[name].format(*parts)
    if name in RELATIONS:
        return f"(({', '.join(parts)},) in S.{name})"
    if z3.is_const(formula):
        return names.get(name) or CONSTANTS[name]
    raise ValueError(f"no such formula is read here: {formula}")


def grown(formula, relation, columns, names):
    """Whether the relation keeps its elements, and comprehensions that yield the others."""
    keeps, parts = False, []
    for part in flat(formula, z3.is_or):
        same = z3.is_app(part) and part.decl().name() == relation
        if same and all(a.eq(b) for a, b in zip(part.children(), columns)):
            keeps = True
        else:
            parts.append(comprehension(flat(part, z3.is_and), columns, names))
    return keeps, parts


def flat(formula, joins):
    if not joins(formula):
        return [formula]
    return [inner for part in formula.children() for inner in flat(part, joins)]


def comprehension(conditions, columns, names):
    """The elements that satisfy all conditions, as Python."""
    names = names | {str(column): f"c{place}" for place, column in enumerate(columns)}
    unbound = {str(column): column.sort().name() for column in columns}
    conditions, clauses = list(conditions), []
    fresh = count()
    read = lambda part: source(part, names)
    is_open = lambda part: str(part) in unbound
    has_open = lambda part: is_open(part) or any(has_open(child) for child in part.children())

    def loop(part, values):
        del unbound[str(part)]
        clauses.append(f"for {read(part)} in {values}")

    def walk(atom):
        """Through the elements of a relation that fit."""
        targets, fits = [], []
        for part in atom.children():
            if is_open(part):
                del unbound[str(part)]
                targets.append(read(part))
            else:
                targets.append(f"y{next(fresh)}")
                fits.append(f"if {targets[-1]} == {read(part)}")
        clauses.append(f"for {', '.join(targets)}, in S.{atom.decl().name()} {' '.join(fits)}")

    def bind():
        """One more clause, by the cheapest condition that there is."""
        for condition in conditions:
            if not has_open(condition):
                clauses.append(f"if {read(condition)}")
                return condition
        for condition in filter(z3.is_eq, conditions):
            for one, other in permutations(condition.children()):
                if is_open(one) and not has_open(other):
                    loop(one, f"({read(other)},)")
                    return condition
        for condition in conditions:
            if z3.is_app(condition) and condition.decl().name() in RELATIONS:
                walk(condition)
                return condition
        column = next(column for column in columns if is_open(column))
        loop(column, f"W.elements[{unbound[str(column)]!r}]")
        return None

    while unbound or conditions:
        used = bind()
        conditions = [condition for condition in conditions if condition is not used]
    element = ", ".join(map(read, columns))
    return f"{{({element},) {' '.join(clauses)}}}"


# What a cluster must satisfy at all times.
AXIOMS = {
    name: eval("lambda W: " + source(formula, {})) for name, formula in axioms(World()).items()
}
