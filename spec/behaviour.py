"""Whether walks of the simulator are behaviours of the proven model. Prints one line for each thing
that is shown; the exit code is 1 if any is not.

    behaviour.py                        sound walks, and everything that must be refused
    behaviour.py --walks FIRST COUNT    so many walks from this seed on
    behaviour.py --walk SEED            one walk, observation by observation, with what explains it
    behaviour.py --world NAME ...       the same in a broken world of the simulator

A check that cannot fail shows nothing. So walks of broken worlds, walks with a lie in them, and the
runs that z3 finds for the broken variants must all be refused; the latter are behaviours of
their own variant.

Source of the idea: Howard et al., "Smart Casual Verification of the Confidential Consortium
Framework", NSDI 2025, which calls it trace validation. Differs from it: an observation is explained
by evaluating the conditions of the proof, without a model checker.
"""

import argparse
import json
import subprocess
import sys
import time
from collections import Counter
from itertools import islice
from multiprocessing import Pool

from check import EXAMPLES, Table, example, violation
from doctor import DOCTORED
from follow import Follower, Model, Refused, around, described
from model import ACTIONS
from runs import behaviour_of, differences
from variants import VARIANTS

# Walks of the sound world.
WALKS = 1_000
# Walks for one process at a time.
CHUNK = 125
PROCESSES = 2
# A broken world must be refused within so many walks.
BROKEN_WALKS = 60
# Sound walks to change a line in, and to show to broken models.
SOUND_WALKS = 60

# Walks in which a lie is tried, at most.
LIES = 5

# Worlds of `crates/sim/src/broken.rs`. Of two more, SendsBeforeSync and SameIncarnation, the
# simulator itself stops the message that would show them; `doctor.py` has their like.
BROKEN = (
    "Amnesia",
    "EmptyDisk",
    "TwistedAccept",
    "BorrowedVote",
    "HiddenVotes",
    "QuorumsApart",
    "LyingWatermark",
    "FalseTeacher",
)

# What happens in no walk that is told: their disks lose nothing.
NOT_WALKED = {"lose", "narrow", "mend", "trust"}
# Variants that do not only allow more: a walk of the sound world shows what they cannot explain.
REFUSE_SOUND_WALKS = ("votes_are_forgotten", "promise_reported_as_vote")


# ---- walks ----


def walks(first, count, world=None):
    """Walks of the simulator, each a list of observations."""
    command = "cargo run --quiet -p sim --example behaviour --".split()
    arguments = [str(first), str(count), *([world] if world else [])]
    with subprocess.Popen(command + arguments, stdout=subprocess.PIPE, text=True) as told:
        walk = []
        for line in told.stdout:
            walk.append(json.loads(line))
            if walk[-1]["what"] == "end":
                yield walk
                walk = []
    if told.returncode:
        raise SystemExit(f"cannot walk: {' '.join(command)} ended with {told.returncode}")


def follow(model, walk):
    """The follower at the walk's end or where it was refused, and the refusal in words."""
    follower = Follower(model, walk)
    for number, observation in enumerate(walk):
        try:
            follower.observe(observation)
        except Refused as refused:
            return follower, refusal(follower, walk, number, refused)
    return follower, None


class Refusal:
    """What was refused: by which conditions; in one line and in many."""

    def __init__(self, conditions, line, lines):
        self.conditions = conditions
        self.line = line
        self.lines = lines


def refusal(follower, walk, number, refused):
    observation = walk[number]
    return Refusal(
        refused.conditions,
        f"{observation['what']}: {'; '.join(refused.conditions)}",
        [
            f"seed {walk[0]['seed']}, observation {number} of {len(walk)}:",
            f"  {json.dumps(observation)}",
            f"  {described(follower, refused.action, refused.chosen)}",
            *(f"  does not hold: {condition}" for condition in refused.conditions),
            *(f"    {line}" for line in around(follower, refused.chosen)),
        ],
    )


MODEL = None


def begin_process():
    global MODEL
    MODEL = Model()


def follow_many(first, count, world):
    """How many walks and observations were seen, which actions were taken, what was refused."""
    seen, observations, taken, refusals = 0, 0, Counter(), []
    for walk in walks(first, count, world):
        follower, refused = follow(MODEL, walk)
        seen += 1
        observations += len(walk)
        taken += follower.taken
        if refused:
            refusals.append(refused)
    return seen, observations, taken, refusals


def many_walks(pool, table, first, count, world=None):
    started = time.monotonic()
    chunks = [
        (begin, min(CHUNK, first + count - begin), world)
        for begin in range(first, first + count, CHUNK)
    ]
    seen, observations, taken, refusals = 0, 0, Counter(), []
    for some in pool.starmap(follow_many, chunks, chunksize=1):
        seen, observations = seen + some[0], observations + some[1]
        taken, refusals = taken + some[2], refusals + some[3]
    text = f"{seen} of {count} are behaviours, {observations} observations"
    if refusals:
        text = f"{len(refusals)} REFUSED"
    took = time.monotonic() - started
    table.row(f"walks from seed {first}", seen == count and not refusals, text, took)
    # The first of each kind is enough to read.
    for refused in list({refused.line: refused for refused in reversed(refusals)}.values())[::-1]:
        print("\n".join(refused.lines))
    return taken


def every_action(table, taken):
    walked = [name for name in ACTIONS if name not in NOT_WALKED]
    missing = [name for name in walked if not taken[name]]
    rarest = min(walked, key=lambda name: taken[name])
    text = f"{sum(taken.values())} actions; rarest {rarest}, {taken[rarest]}"
    if missing:
        text = f"NEVER TAKEN: {', '.join(missing)}"
    table.row("every action explains something", not missing, text, 0)


def show(seed, world):
    [walk] = walks(seed, 1, world)
    model = Model()
    follower = Follower(model, walk)
    for number, observation in enumerate(walk):
        print(number, json.dumps(observation))
        try:
            follower.observe(observation)
        except Refused as refused:
            print("\n".join(refusal(follower, walk, number, refused).lines))
            return 1
        for action, chosen in follower.steps:
            print(f"      {described(follower, action, chosen)}")
    return 0


# ---- what must be refused ----


def broken_worlds(table, model):
    for world in BROKEN:
        started = time.monotonic()
        text = "NOT REFUSED"
        for walk in walks(0, BROKEN_WALKS, world):
            # What the simulator's own checkers find at a walk's end is no merit of the model.
            _, refused = follow(model, walk[:-1])
            if refused:
                text = f"seed {walk[0]['seed']}, {refused.line}"
                break
        table.row(f"refused: world {world}", refused is not None, text, time.monotonic() - started)


def doctored_walks(table, model, sound):
    for name, (condition, doctor) in DOCTORED.items():
        started = time.monotonic()
        # A lie may happen to be true: two ballots may have proposed the same. One of a few is not.
        doctored = list(islice(filter(None, map(doctor, sound)), LIES))
        refused = next(filter(None, (follow(model, walk)[1] for walk in doctored)), None)
        text = refused.line if refused else "NOT REFUSED" if doctored else "NO SUCH WALK"
        good = refused is not None and condition in refused.conditions
        table.row(f"refused: {name}", good, text, time.monotonic() - started)


def broken_models(table, sound):
    for name in REFUSE_SOUND_WALKS:
        started = time.monotonic()
        model = Model(VARIANTS[name])
        refused = next(filter(None, (follow(model, walk)[1] for walk in sound)), None)
        text = f"refuses a sound walk: {refused.line}" if refused else "EXPLAINS ALL SOUND WALKS"
        table.row(f"variant {name}", refused is not None, text, time.monotonic() - started)


def runs(table, model):
    for name, outline in EXAMPLES.items():
        if not NOT_WALKED.isdisjoint(outline.split()):
            continue
        started = time.monotonic()
        run = example(name)
        different = differences(run, model)
        good, text = True, "a behaviour, and ends as z3 says"
        if different:
            good, text = False, f"z3 DISAGREES: {', '.join(different)}"
        try:
            behaviour_of(name, run, model)
        except Refused as refused:
            good, text = False, f"NOT EXPLAINED: {refused}"
        table.row(f"example {name}", good, text, time.monotonic() - started)
    for name, variant in VARIANTS.items():
        if not variant.outline or not NOT_WALKED.isdisjoint(variant.outline):
            continue
        started = time.monotonic()
        _, run = violation(variant.outline, variant)
        own = Model(variant)
        lost = model.lost_by(own)
        try:
            # The variant explains each observation while it is made.
            _, refused = follow(model, behaviour_of(name, run, own))
            good = bool(refused and (not lost or lost.intersection(refused.conditions)))
            text = refused.line if refused else "NOT REFUSED"
            text = text if good else f"{text}, AND NOT FOR WHAT IT HAS LOST"
        except Refused as by_its_own:
            good, text = False, f"NOT A BEHAVIOUR OF ITS OWN VARIANT: {by_its_own}"
        table.row(f"refused: run of {name}", good, text, time.monotonic() - started)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--walks", metavar=("FIRST", "COUNT"), nargs=2, type=int)
    parser.add_argument("--walk", metavar="SEED", type=int)
    parser.add_argument("--world", metavar="NAME", help="a broken world of the simulator")
    arguments = parser.parse_args()
    if arguments.walk is not None:
        return show(arguments.walk, arguments.world)
    table = Table(46)
    first, count = arguments.walks or (0, WALKS)
    with Pool(PROCESSES, begin_process) as pool:
        taken = many_walks(pool, table, first, count, arguments.world)
    if arguments.walks or arguments.world:
        return table.end()
    every_action(table, taken)
    model = Model()
    sound = list(walks(0, SOUND_WALKS))
    broken_worlds(table, model)
    doctored_walks(table, model, sound)
    broken_models(table, sound)
    runs(table, model)
    return table.end()


if __name__ == "__main__":
    sys.exit(main())
