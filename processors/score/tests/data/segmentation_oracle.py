"""Pk and WindowDiff of other people's code: reads {n, k, predicted, truth} as JSON lines, writes [pk, windowdiff, segeval pk or null]."""
import json
import sys

try:
    from nltk.metrics.segmentation import pk, windowdiff
except ImportError:
    sys.exit(3)
try:
    import segeval
except ImportError:
    segeval = None


def gaps(starts, n):
    return "".join("1" if unit in starts else "0" for unit in range(1, n))


def masses(starts, n):
    ends = starts[1:] + [n]
    return [end - start for start, end in zip(starts, ends)]


for line in sys.stdin:
    case = json.loads(line)
    n, k, predicted, truth = case["n"], case["k"], case["predicted"], case["truth"]
    theirs = [pk(gaps(truth, n), gaps(predicted, n), k), windowdiff(gaps(truth, n), gaps(predicted, n), k), None]
    if segeval is not None:
        theirs[2] = float(segeval.pk(tuple(masses(predicted, n)), tuple(masses(truth, n)), window_size=k))
    print(json.dumps(theirs))
