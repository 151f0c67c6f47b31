"""What the proxy is meant to reach beside nginx, and whether it did."""

from dataclasses import dataclass

OURS = "lockgate"


@dataclass(frozen=True)
class Goal:
    """A figure's ratio to that of `base`, in every case of a kind whose name has `part` in it and `without` not."""

    text: str
    kind: str
    figure: str
    base: str
    bound: float
    at_most: bool = True
    part: str = ""
    without: str = "\0"
    mine: str = OURS

    def judged(self, kinds):
        """The worst case's name and its ratio, and whether the goal is met; None where nothing was measured."""
        ratios = {case: of[self.mine][self.figure].ratio_to(of[self.base][self.figure])
                  for case, of in kinds.get(self.kind, {}).items()
                  if self.part in case and self.without not in case
                  and self.figure in of.get(self.mine, {}) and self.figure in of.get(self.base, {})}
        ratios = {case: ratio for case, ratio in ratios.items() if ratio.runs}
        if not ratios:
            return None
        case = (max if self.at_most else min)(ratios, key=lambda case: ratios[case].median)
        median = ratios[case].median
        return case, ratios[case], median <= self.bound if self.at_most else median >= self.bound


UNLOCKED = "nginx-best, no password"
STACK, OUR_STACK = "nginx-best, docker-registry", "lockgate, lockgate-backend"
BULK, SHAKING = "cpu s per GiB", "cpu us per handshake"
RATE, REQUESTS = "requests per s", "cpu ms per 1,000"
GOALS = [
    Goal("processor time of bulk, TLS 1.3", "bulk", BULK, "nginx-default", 0.65, part="TLS 1.3"),
    Goal("processor time of bulk, TLS 1.3", "bulk", BULK, "nginx-best", 0.85, part="TLS 1.3"),
    Goal("processor time of bulk, TLS 1.2", "bulk", BULK, "nginx-default", 0.65, part="TLS 1.2"),
    Goal("processor time of bulk, TLS 1.2", "bulk", BULK, "nginx-best", 0.85, part="TLS 1.2"),
    Goal("rate of small requests, both with a password", "small", RATE, "nginx-best", 50, False, without="closing"),
    Goal("rate of small requests, on kept connections", "small", RATE, UNLOCKED, 0.7, False, without="closing"),
    Goal("rate of small requests, a connection for each", "small", RATE, UNLOCKED, 1, False, part="closing"),
    # The rates are also the clients'; these are not.
    Goal("processor time of small requests, on kept connections", "small", REQUESTS, UNLOCKED, 1.43, without="closing"),
    Goal("processor time of small requests, a connection for each", "small", REQUESTS, UNLOCKED, 1, part="closing"),
    Goal("processor time with 10,000 users", "users", REQUESTS, OURS, 1.05, mine=OURS + ", 10,000 users"),
    Goal("processor time of a full handshake, ECDSA", "handshake", SHAKING, "nginx-best", 0.6, part="full ecdsa"),
    Goal("processor time of a full handshake, RSA", "handshake", SHAKING, "nginx-best", 0.6, part="full rsa"),
    Goal("processor time of a full handshake, X25519MLKEM768 offered", "handshake", SHAKING, "nginx-best", 0.6,
         part="hybrid"),
    Goal("processor time of a resumed handshake", "handshake", SHAKING, "nginx-best", 0.6, part="resumed"),
    Goal("p99 of HEAD beside bulk", "mixed", "HEAD p99 ms", "nginx-default", 0.5),
    Goal("p99 of GET beside bulk", "mixed", "GET p99 ms", "nginx-default", 0.5),
    Goal("time of an image's push", "image", "push wall s", STACK, 0.77, mine=OUR_STACK),
    Goal("time of an image's pull", "image", "pull wall s", STACK, 0.77, mine=OUR_STACK),
    Goal("processor time of an image's push", "image", "push cpu s", STACK, 0.75, mine=OUR_STACK),
    Goal("processor time of an image's pull", "image", "pull cpu s", STACK, 0.8, mine=OUR_STACK),
]


def table(kinds):
    """A line a goal: the worst of its cases."""
    yield from ["| Lockgate's goal | beside | ratio | worst case | measured there | |", "|---|---|---|---|---|---|"]
    for goal in GOALS:
        bound = f"{'at most' if goal.at_most else 'at least'} {goal.bound:g}"
        if judged := goal.judged(kinds):
            case, ratio, met = judged
            yield (f"| {goal.text} | {goal.base} | {bound} | {case} | {ratio.text('.3g')} | "
                   f"{'met' if met else '**missed**'} |")
        else:
            yield f"| {goal.text} | {goal.base} | {bound} | - | not measured | |"
