# Proposes values to the ancestor's leader, all at once, and says how many were decided and when.
#
#   python3 ancestor.py PROGRAM ACCEPTORS VALUES
#
# The program was written for Python 2; lib2to3 makes it a module of today's where it has to. What it
# prints is thrown away. Whole quorums are counted with a whole division, as Python 2 did.
import json, os, pickle, socket, sys, time, types, warnings

STALLED_S = 5
LIMIT_S = 60

path, acceptors, values = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
source = open(path).read()
try:
    code = compile(source, path, "exec")
except SyntaxError:
    warnings.simplefilter("ignore")
    from lib2to3 import refactor
    fixes = refactor.get_fixers_from_package("lib2to3.fixes")
    code = compile(str(refactor.RefactoringTool(fixes).refactor_string(source + "\n", path)), path, "exec")
program = types.ModuleType("ancestor")
sys.modules["ancestor"] = program
exec(code, program.__dict__)
program.PaxosLeader.getQuorumSize = lambda leader: len(leader.getAcceptors()) // 2 + 1

said, sys.stdout = sys.stdout, open(os.devnull, "w")

def free_ports(count):
    held = [socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(count)]
    for one in held:
        one.bind(("localhost", 0))
    return sorted(one.getsockname()[1] for one in held)

ports = free_ports(acceptors + 2)
# The higher port leads.
lower, higher = ports[-2:]
nodes = [program.PaxosAcceptor(port, [lower, higher]) for port in ports[:acceptors]]
follower = program.PaxosLeader(lower, [higher], ports[:acceptors])
leader = program.PaxosLeader(higher, [lower], ports[:acceptors])
for one in nodes + [follower, leader]:
    one.start()
leader.setPrimary(True)

client = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
start = last = time.time()
for number in range(values):
    message = program.Message(program.Message.MSG_EXT_PROPOSE)
    message.value, message.to = number + 1, higher
    client.sendto(pickle.dumps(message), ("localhost", higher))

def decided():
    # Its own count: instances from 0 on that have a value.
    try:
        known = list(leader.instances.values())
    except RuntimeError:  # It grew meanwhile.
        return seen
    return sum(1 for one in known if one.value is not None)

seen = 0
while seen < values and time.time() - last < STALLED_S and time.time() - start < LIMIT_S:
    time.sleep(0.002)
    now = decided()
    if now > seen:
        seen, last = now, time.time()
said.write(json.dumps({"decided": min(seen, values), "took": last - start}))
said.flush()
# Its threads do not end when they are told to.
os._exit(0)
