"""Comparisons with other methods, reruns of papers, timings, and the pages that they make: no part of `ter_fast`.

`python -m benchmarks` runs the comparisons, from the root of a checkout; README.md here lists the rest.
"""

import sys
from pathlib import Path

# `python -m` puts the folder that it is called in first on the path. There lies the source of `ter_fast`
# as well, without its compiled kernels: put last, it leaves the name to the package that is installed.
# While Python looks for the module to run, and only then, the first argument is "-m".
_ROOT = str(Path(__file__).parents[1])
if sys.argv[:1] == ["-m"] and sys.path[:1] == [_ROOT]:
    sys.path.append(sys.path.pop(0))
